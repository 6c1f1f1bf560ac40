"""GridSearchCV in two processes, each with its share of the cores."""
import warnings

from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastsgd

X, X_test, y, y_test = train_test_split(*load_breast_cancer(return_X_y=True), random_state=0)
model = make_pipeline(StandardScaler(), fastsgd.MLPClassifier(max_iter=60, tol=0.0, random_state=0))
search = GridSearchCV(model, {
    "mlpclassifier__hidden_layer_sizes": [(32,), (32, 16)],
    "mlpclassifier__activation": ["relu", "gelu"],
    "mlpclassifier__optimizer": [fastsgd.AdamW(fastsgd.schedules.Cosine(0.01)), fastsgd.SGD(0.05, momentum=0.9)],
}, n_jobs=2)

if __name__ == "__main__":
    warnings.simplefilter("ignore", ConvergenceWarning)              # the epochs are given
    search.fit(X, y)
    print("best:", {name.removeprefix("mlpclassifier__"): value for name, value in search.best_params_.items()})
    print(f"{search.best_score_:.1%} in cross-validation, {search.score(X_test, y_test):.1%} of unseen rows")
