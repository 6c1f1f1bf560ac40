"""scikit-learn's grid search with its fits spread over the workers of a Dask cluster."""
import time

import joblib
from dask.distributed import Client
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastsgd


def main() -> None:
    (X, y), (X_test, y_test) = fastsgd.datasets.digits()
    model = make_pipeline(StandardScaler(), fastsgd.MLPClassifier((32,), max_iter=15, tol=0.0, n_iter_no_change=100,
                                                                  random_state=0, n_jobs=1))
    search = GridSearchCV(model, {"mlpclassifier__learning_rate_init": [0.001, 0.01, 0.1],
                                  "mlpclassifier__alpha": [1e-4, 1.0]}, cv=3)
    with Client(n_workers=2, threads_per_worker=1, dashboard_address=":0") as client, joblib.parallel_backend("dask"):
        begin = time.perf_counter()
        search.fit(X, y)
        print(f"18 fits on {len(client.scheduler_info()['workers'])} workers: {time.perf_counter() - begin:.2f} s")
    print(f"best: {search.best_params_}, cross-validated {search.best_score_:.4f}, test rows "
          f"{search.score(X_test, y_test):.4f}")


if __name__ == "__main__":
    import warnings
    warnings.filterwarnings("ignore", "Stochastic Optimizer")          # 15 epochs are asked for
    main()
