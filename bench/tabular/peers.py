"""The methods that are compared: each a function of a task that predicts the test rows, one thread.

Boosted trees and networks choose their best step on the validation rows; scikit-learn's networks and linear models get
the training and the validation rows. Numbers that are missing, where a library takes none, are filled with the median
beside an indicator; categories are one-hot coded where it takes none.
"""
from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import pandas as pd

from bench.tabular.scores import LEVELS
from bench.tabular.sources import Source, Split, split

ROUNDS, PATIENCE = 2000, 50                  # of boosting


@dataclass
class Task:
    """A table, divided; y holds numbers of classes, or quantities."""

    source: Source
    seed: int
    few: int | None = None               # rows to train on and to choose with

    def __post_init__(self) -> None:
        self.X, y = self.source.frame()
        self.regression = self.source.regression
        self.y = y.to_numpy(float) if self.regression else np.unique(y, return_inverse=True)[1]
        self.rows: Split = split(self.y, self.seed, self.regression, self.few)
        self.classes = 0 if self.regression else int(self.y.max()) + 1

    @property
    def train(self) -> tuple[pd.DataFrame, np.ndarray]:
        return self.X.iloc[self.rows.train], self.y[self.rows.train]

    @property
    def validation(self) -> tuple[pd.DataFrame, np.ndarray]:
        return self.X.iloc[self.rows.validation], self.y[self.rows.validation]

    @property
    def both(self) -> tuple[pd.DataFrame, np.ndarray]:
        """The rows to train on, then those for validation."""
        rows = np.concatenate([self.rows.train, self.rows.validation])
        return self.X.iloc[rows], self.y[rows]

    @property
    def test(self) -> tuple[pd.DataFrame, np.ndarray]:
        return self.X.iloc[self.rows.test], self.y[self.rows.test]

    @cached_property
    def categories(self) -> list[str]:
        """The names of columns of categories."""
        return [name for name in self.X.columns if isinstance(self.X[name].dtype, pd.CategoricalDtype)]

    def objective(self, regression, binary, several) -> str:
        return regression if self.regression else binary if self.classes == 2 else several


def predict(model, task: Task, X: pd.DataFrame) -> np.ndarray:
    """Probabilities (rows, classes), or quantities (rows,)."""
    return np.asarray(model.predict(X) if task.regression else model.predict_proba(X), dtype=float)


# ---- boosted trees ----

def xgboost(task: Task) -> np.ndarray:
    import xgboost as xgb
    kind = xgb.XGBRegressor if task.regression else xgb.XGBClassifier
    model = kind(n_estimators=ROUNDS, early_stopping_rounds=PATIENCE, n_jobs=1, random_state=task.seed,
                 enable_categorical=True, tree_method="hist",
                 eval_metric=task.objective("rmse", "logloss", "mlogloss"))
    model.fit(*task.train, eval_set=[task.validation], verbose=False)
    return predict(model, task, task.test[0])


def lightgbm(task: Task) -> np.ndarray:
    import lightgbm as lgb
    kind = lgb.LGBMRegressor if task.regression else lgb.LGBMClassifier
    model = kind(n_estimators=ROUNDS, n_jobs=1, random_state=task.seed, verbose=-1)
    model.fit(*task.train, eval_set=[task.validation], callbacks=[lgb.early_stopping(PATIENCE, verbose=False)],
              eval_metric=task.objective("rmse", "binary_logloss", "multi_logloss"))
    return predict(model, task, task.test[0])


def catboost(task: Task, **more) -> np.ndarray:
    import catboost as cb
    kind = cb.CatBoostRegressor if task.regression else cb.CatBoostClassifier
    model = kind(**{"iterations": ROUNDS, "early_stopping_rounds": PATIENCE, "thread_count": 1, "verbose": 0,
                    "random_seed": task.seed, "cat_features": task.categories, "allow_writing_files": False,
                    "eval_metric": task.objective("RMSE", "Logloss", "MultiClass"), **more})

    def filled(X: pd.DataFrame) -> pd.DataFrame:
        return X.assign(**{name: X[name].astype(object).where(X[name].notna(), "missing") for name in task.categories})

    X, y = task.train
    X_val, y_val = task.validation
    model.fit(filled(X), y, eval_set=(filled(X_val), y_val))
    return predict(model, task, filled(task.test[0]))


def hist_gradient_boosting(task: Task, **more) -> np.ndarray:
    from sklearn import ensemble
    kind = ensemble.HistGradientBoostingRegressor if task.regression else ensemble.HistGradientBoostingClassifier
    model = kind(max_iter=ROUNDS, early_stopping=True, n_iter_no_change=PATIENCE, random_state=task.seed,
                 categorical_features="from_dtype", **more)
    X, y = task.train
    X_val, y_val = task.validation
    model.fit(X, y, X_val=X_val, y_val=y_val)
    return predict(model, task, task.test[0])


# ---- networks of pytabkit ----

def of_pytabkit(name: str, task: Task, **more) -> np.ndarray:
    import pytabkit
    for logger in ("pytorch_lightning", "lightning.pytorch"):
        logging.getLogger(logger).setLevel(logging.ERROR)
    kind = getattr(pytabkit, f"{name}_{'Regressor' if task.regression else 'Classifier'}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = kind(device="cpu", n_threads=1, random_state=task.seed, n_cv=1, n_refit=0, verbosity=0, **more)
        train, validation, test = (_filled(task, X) for X in (task.train[0], task.validation[0], task.test[0]))
        model.fit(train, task.train[1], validation, task.validation[1], cat_col_names=task.categories)
        return predict(model, task, test)


def _filled(task: Task, X: pd.DataFrame) -> pd.DataFrame:
    """pytabkit's networks take no missing numbers."""
    numbers = task.train[0].select_dtypes("number")
    gaps = [name for name in numbers if task.X[name].isna().any()]
    return X.fillna(numbers.median()).assign(**{f"{name} missing": X[name].isna().astype(float) for name in gaps})


def realmlp(size: str, task: Task) -> np.ndarray:
    """By log loss, and without the label smoothing that is chosen for accuracy."""
    more = {} if task.regression else {"val_metric_name": "cross_entropy", "use_ls": False}
    return of_pytabkit(f"RealMLP_{size}", task, **more)


def of_boosted_td(name: str, task: Task) -> np.ndarray:
    return of_pytabkit(name, task, **({} if task.regression else {"val_metric_name": "cross_entropy"}))


# ---- scikit-learn ----

def pipeline(task: Task, model):
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler
    numbers = [name for name in task.X.columns if name not in task.categories]
    prepared = make_column_transformer(
        (make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler()), numbers),
        (OneHotEncoder(handle_unknown="ignore"), task.categories))
    return make_pipeline(prepared, model)


def of_sklearn(task: Task, model) -> np.ndarray:
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.preprocessing import StandardScaler
    whole = pipeline(task, model)
    if task.regression:
        whole = TransformedTargetRegressor(whole, transformer=StandardScaler())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole.fit(*task.both)
    return predict(whole, task, task.test[0])


def linear(task: Task) -> np.ndarray:
    from sklearn.linear_model import LogisticRegressionCV, RidgeCV
    if task.regression:
        return of_sklearn(task, RidgeCV(np.logspace(-3, 4, 15)))
    return of_sklearn(task, LogisticRegressionCV(Cs=5, cv=3, max_iter=300, scoring="neg_log_loss"))


def sklearn_mlp(task: Task) -> np.ndarray:
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    return of_sklearn(task, (MLPRegressor if task.regression else MLPClassifier)(random_state=task.seed))


# ---- fastsgd ----

def fastsgd_tabular(quality: str, task: Task) -> np.ndarray:
    from fastsgd import TabularClassifier, TabularRegressor
    kind = TabularRegressor if task.regression else TabularClassifier
    model = kind(quality=quality, random_state=task.seed, n_jobs=1).fit(*task.both)
    return predict(model, task, task.test[0])


# ---- quantiles ----

def fastsgd_quantiles(quality: str, task: Task) -> np.ndarray:
    from fastsgd import TabularRegressor
    model = TabularRegressor(quality=quality, random_state=task.seed, n_jobs=1).fit(*task.both)
    return model.predict(task.test[0], quantiles=LEVELS)


def catboost_quantiles(task: Task) -> np.ndarray:
    """All in one model."""
    return catboost(task, loss_function=f"MultiQuantile:alpha={','.join(map(str, LEVELS))}", eval_metric=None)


def boosting_quantiles(task: Task) -> np.ndarray:
    """A model for each."""
    found = [hist_gradient_boosting(task, loss="quantile", quantile=level) for level in LEVELS]
    return np.stack(found, axis=1)


def constant_quantiles(task: Task) -> np.ndarray:
    return np.tile(np.quantile(task.both[1], LEVELS), (len(task.test[1]), 1))


METHODS: dict[str, Callable[[Task], np.ndarray]] = {
    "fast": partial(fastsgd_tabular, "fast"), "good": partial(fastsgd_tabular, "good"),
    "best": partial(fastsgd_tabular, "best"), "linear": linear, "sklearn MLP": sklearn_mlp,
    "HistGradientBoosting": hist_gradient_boosting,
    "XGBoost": xgboost, "XGBoost TD": partial(of_boosted_td, "XGB_TD"),
    "LightGBM": lightgbm, "LightGBM TD": partial(of_boosted_td, "LGBM_TD"),
    "CatBoost": catboost, "CatBoost TD": partial(of_boosted_td, "CatBoost_TD"),
    "pytabkit MLP": partial(of_pytabkit, "MLP_SKL_D"), "RealMLP-TD-S": partial(realmlp, "TD_S"),
    "RealMLP-TD": partial(realmlp, "TD"), "TabM": partial(of_boosted_td, "TabM_D"),
}
QUANTILE_METHODS: dict[str, Callable[[Task], np.ndarray]] = {
    "fast": partial(fastsgd_quantiles, "fast"), "good": partial(fastsgd_quantiles, "good"),
    "best": partial(fastsgd_quantiles, "best"), "CatBoost": catboost_quantiles,
    "HistGradientBoosting": boosting_quantiles, "constant": constant_quantiles,
}
