"""Judging a network on validation rows: cost and metric by the kernel, other metrics by name or function."""
from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from fastsgd.data import Csr
from fastsgd.network import Network

Metric = Callable[[np.ndarray, np.ndarray], float]


class Evaluation:
    """Rows held aside, and what is measured on them."""

    def __init__(self, net: Network, X: np.ndarray | Csr, y: np.ndarray, weight: np.ndarray | None,
                 chosen: np.ndarray | None, metrics: dict[str, Metric], threads: int | None):
        self.X, self.y, self.weight, self.chosen = X, y, weight, chosen
        self.metrics, self._threads = metrics, threads
        self._metric = net._metric_of(y, weight, chosen)

    def __call__(self, net: Network) -> tuple[float, float, dict[str, float]]:
        """``(cost, metric, {name: value})`` of a network."""
        cost, metric = net._evaluate(self.X, self.y, self._threads, self._metric, self.weight, self.chosen)
        if not self.metrics:
            return cost, metric, {}
        outputs = net._predict(self.X, self._threads, self.chosen)
        y = self.y if self.chosen is None else self.y[self.chosen]
        return cost, metric, {name: float(measure(y, outputs)) for name, measure in self.metrics.items()}


def check_metrics(metrics: Iterable[str | Metric], net: Network) -> dict[str, Metric]:
    """Names and functions of ``(y, outputs)`` as functions by name.

    A name is one of scikit-learn's scorers, such as "f1_macro" or "roc_auc".
    """
    if isinstance(metrics, str) or callable(metrics) or not isinstance(metrics, Iterable):
        raise TypeError(f"metrics must be a sequence of names and functions, got {metrics!r}")
    found: dict[str, Metric] = {}
    for metric in metrics:
        if isinstance(metric, str):
            name, function = metric, _scorer(metric, net)
        elif callable(metric):
            name, function = getattr(metric, "__name__", type(metric).__name__), metric
        else:
            raise TypeError(f"metrics must hold names and functions of (y, outputs), got {metric!r}")
        if name in found:
            raise ValueError(f"metrics must have different names, got {name!r} twice")
        found[name] = function
    return found


def _scorer(name: str, net: Network) -> Metric:
    try:
        from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
        from sklearn.metrics import get_scorer, get_scorer_names
    except ImportError:
        raise ImportError(f'metrics: {name!r} is measured by scikit-learn: pip install "fastsgd[sklearn]"') from None
    if name not in get_scorer_names():
        raise ValueError(f"metrics must be functions or names of scikit-learn's scorers "
                         f"(sklearn.metrics.get_scorer_names()), got {name!r}")
    scorer = get_scorer(name)

    class Predicted(ClassifierMixin if net.metric == "accuracy" else RegressorMixin, BaseEstimator):  # type: ignore
        """What a scorer asks for its predictions: those given to it as X."""

        def __init__(self):
            self.classes_ = np.arange(max(2, net.sizes[-1]))

        def predict(self, outputs):
            if net.metric != "accuracy":
                return outputs[:, 0] if outputs.shape[1] == 1 else outputs
            if net.loss == "cross_entropy":
                return outputs.argmax(axis=1)
            return (outputs > 0.5).astype(int)[:, 0] if outputs.shape[1] == 1 else (outputs > 0.5).astype(int)

        def predict_proba(self, outputs):
            return np.hstack([1 - outputs, outputs]) if outputs.shape[1] == 1 else outputs

        def __sklearn_is_fitted__(self):
            return True

    def measure(y: np.ndarray, outputs: np.ndarray) -> float:
        if y.ndim == 2 and net.loss == "cross_entropy":
            y = y.argmax(axis=1)
        return scorer(Predicted(), outputs, y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y)

    return measure
