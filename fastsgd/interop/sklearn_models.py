"""Fitted estimators to scikit-learn's classes of the same names, and back."""
from __future__ import annotations

import copy
import importlib

import numpy as np

MODULES = {"MLPClassifier": "sklearn.neural_network", "MLPRegressor": "sklearn.neural_network",
           "SGDClassifier": "sklearn.linear_model", "SGDRegressor": "sklearn.linear_model"}
LOSSES = {"MLPRegressor": ("squared_error", "poisson")}
# What a fitted model of theirs needs beside the attributes that end in an underscore.
PRIVATE = ("_label_binarizer", "_no_improvement_count")


def from_sklearn(model):
    """A fastsgd estimator with the parameters and the fitted attributes of one of scikit-learn's.

    Parameters
    ----------
    model : MLPClassifier, MLPRegressor, SGDClassifier or SGDRegressor of scikit-learn
        Fitted or not; it is copied.

    Returns
    -------
    The class of the same name of fastsgd
        Predicts the same. ``partial_fit`` continues with its weights, or where these are an average with the last
        iterate; the optimizer's moments begin afresh.

    Raises
    ------
    TypeError
        For a model of another class.

    Examples
    --------
    >>> import fastsgd
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.neural_network import MLPRegressor
    >>> X, y = load_iris(return_X_y=True)
    >>> theirs = MLPRegressor(solver="lbfgs", max_iter=1000, random_state=0).fit(X, y)
    >>> ours = fastsgd.interop.from_sklearn(theirs)
    >>> bool(abs(ours.predict(X) - theirs.predict(X)).max() < 1e-9)
    True
    """
    ours = _moved(model, "sklearn", "fastsgd")
    before_average = getattr(model, "_standard_coef", None)
    if getattr(ours, "average", False) and before_average is not None:
        ours._continue_averaging(before_average, model._standard_intercept)
    return ours


def to_sklearn(estimator):
    """scikit-learn's estimator with the parameters and the fitted attributes of one of fastsgd's.

    Parameters
    ----------
    estimator : MLPClassifier, MLPRegressor, SGDClassifier or SGDRegressor of fastsgd
        Fitted or not; it is copied.

    Returns
    -------
    The class of the same name of scikit-learn
        Predicts the same. What only fastsgd has and only training needs (``dropout``, ``optimizer`` and the like) is
        left behind.

    Raises
    ------
    TypeError
        For a model of another class.
    ValueError
        Where scikit-learn cannot compute the predictions: activations or losses that it has not, a softmax of
        SGDClassifier's, an output_scale that was given to the fitted network.

    Examples
    --------
    >>> import fastsgd
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> ours = fastsgd.MLPClassifier(solver="lbfgs", random_state=0).fit(X, y)
    >>> theirs = fastsgd.interop.to_sklearn(ours)
    >>> type(theirs).__module__.split(".")[0], bool((theirs.predict(X) == ours.predict(X)).all())
    ('sklearn', True)
    """
    theirs = _moved(estimator, "fastsgd", "sklearn")
    if isinstance(getattr(theirs, "activation", None), list | tuple):
        theirs.set_params(activation=estimator.activation[0] if estimator.activation else "relu")
    # Where their fits continue from:
    if getattr(theirs, "average", False) and hasattr(theirs, "coef_"):
        begun = theirs.average <= theirs.t_ - 1
        coef = theirs.coef_.toarray() if hasattr(theirs.coef_, "toarray") else theirs.coef_
        theirs._standard_coef, theirs._standard_intercept = estimator._unaveraged()
        theirs._average_coef, theirs._average_intercept = np.array(coef) * begun, np.array(theirs.intercept_) * begun
    if hasattr(theirs, "coefs_") and getattr(theirs, "validation_scores_", None) is not None:
        theirs._best_coefs = [W.copy() for W in theirs.coefs_]
        theirs._best_intercepts = [b.copy() for b in theirs.intercepts_]
    return theirs


def _moved(model, source: str, target: str):
    kinds = {name: getattr(importlib.import_module(module if source == "sklearn" else "fastsgd"), name)
             for name, module in MODULES.items()}
    name = type(model).__name__
    if type(model) is not kinds.get(name):
        raise TypeError(f"model must be one of {source}'s {', '.join(kinds)}, got {type(model).__module__}.{name}")
    kind = getattr(importlib.import_module(MODULES[name] if target == "sklearn" else "fastsgd"), name)
    parameters = model.get_params(deep=False)
    if target == "sklearn":
        _require_known_to_sklearn(model, kind)
    moved = kind(**{key: value for key, value in parameters.items() if key in kind().get_params()})
    for key, value in vars(model).items():
        if key in PRIVATE or (key.endswith("_") and not key.startswith("_")):
            setattr(moved, key, np.array(value, order="C") if isinstance(value, np.ndarray) else copy.deepcopy(value))
    return moved


def _require_known_to_sklearn(model, kind) -> None:
    """ValueError where scikit-learn's class has no such activation or loss."""
    activation = getattr(model, "activation", "relu")
    names = {activation} if isinstance(activation, str) else set(activation)
    if len(names) > 1 or not names <= {"identity", "logistic", "tanh", "relu"}:
        raise ValueError(f"scikit-learn has one activation for all hidden layers, identity, logistic, tanh or relu; "
                         f"got {activation!r}")
    if model.__sklearn_is_fitted__() and model.network_.architecture.scales_output:
        raise ValueError("scikit-learn's models have no output_scale and output_offset; set those of network_ back to "
                         "1 and 0")
    if getattr(model, "multi_class", "ovr") != "ovr":
        raise ValueError(f"scikit-learn's SGDClassifier has no multi_class={model.multi_class!r}")
    has_losses = "loss" in kind().get_params()
    losses = LOSSES.get(kind.__name__, (model.loss,)) if has_losses else ("squared_error", "log_loss")
    if model.loss not in losses:
        raise ValueError(f"scikit-learn's {kind.__name__} has no loss {model.loss!r}, only {', '.join(losses)}")
