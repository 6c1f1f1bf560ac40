"""Evaluation on validation rows: cost and metric by the engine, other metrics by scorer names or functions."""
from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from fastsgd.data.checks import Csr, to_dtype
from fastsgd.engine import ensemble
from fastsgd.losses import MARGINS
from fastsgd.network import checked
from fastsgd.network.classes import labels_of, probabilities_of
from fastsgd.network.network import Network
from fastsgd.runs.feeds import readable_in_place

CONVERTED_ROWS = 4096
Metric = Callable[[np.ndarray, np.ndarray], float]


class Evaluation:
    """Validation rows, and what is measured on them: called with a network."""

    def __init__(self, net: Network, X: np.ndarray | Csr, y: np.ndarray, weight: np.ndarray | None,
                 chosen: np.ndarray | None = None, *, metrics: dict[str, Metric], threads: int | None,
                 metric_targets: np.ndarray | None = None):
        self.X, self.y, self.weight, self.chosen = X, y, weight, chosen
        self._metric_targets = y if metric_targets is None else metric_targets      # in the unit they were given in
        self.metrics, self._threads = metrics, threads
        self._metric = checked.metric_of(net, y, weight, chosen)
        self._in_place = isinstance(X, Csr) or readable_in_place(X, net.dtype)

    def __call__(self, net: Network) -> tuple[float, float, dict[str, float]]:
        """``(cost, metric, {name: value})`` of a network."""
        cost = score = 0.0
        outputs = []
        for X, y, weight, chosen in self._parts(net.dtype):
            part_cost, part_score = ensemble.cost(net.architecture, net.params, X, y, chosen, weight,
                                                 checked.threads_for(net, self._threads, len(X)))
            cost += part_cost
            score += part_score
            if self.metrics:
                outputs.append(checked.predict(net, X, self._threads, chosen))
        weight = self.weight if self.weight is None or self.chosen is None else self.weight[self.chosen]
        y = self._metric_targets if self.chosen is None else self._metric_targets[self.chosen]
        cost /= len(y) if weight is None else float(weight.sum())
        return cost, self._metric(score), {name: _number(name, measure(y, np.concatenate(outputs)))
                                           for name, measure in self.metrics.items()}

    def _parts(self, dtype: np.dtype):
        """``(X, y, weight, chosen)`` as the kernel takes them; rows of a file of another dtype a part at a time."""
        if self._in_place or self.chosen is None or isinstance(self.X, Csr):
            yield self.X, self.y, self.weight, self.chosen
            return
        for first in range(0, len(self.chosen), CONVERTED_ROWS):
            rows = self.chosen[first:first + CONVERTED_ROWS]
            yield (to_dtype(self.X[rows], dtype, "held-out rows of X"), self.y[rows],
                   None if self.weight is None else self.weight[rows], None)


def _number(name: str, value) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(f"metrics: {name} must return a number, got {value!r:.200}") from None


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
        if name in ("cost", net.metric):
            raise ValueError(f"metrics: {name} is measured in any case, as history.validation_"
                             f"{'cost' if name == 'cost' else 'metric'}; a function needs another name")
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
    kind = net.architecture.loss_type.targets

    labels = False                                  # whether y has class labels

    class Predicted(ClassifierMixin if net.metric == "accuracy" else RegressorMixin, BaseEstimator):  # type: ignore
        """What a scorer asks for its predictions: those given to it as X."""

        def __init__(self):
            self.classes_ = np.arange(max(2, net.architecture.targets))

        def predict(self, outputs):
            if net.metric != "accuracy":
                outputs = outputs[:, :net.architecture.targets]                # not the deviations
                return outputs[:, 0] if outputs.shape[1] == 1 else outputs
            if kind.classes or labels:
                return labels_of(outputs, kind)
            yes = outputs > (0 if kind is MARGINS else 0.5)
            return yes.astype(int)[:, 0] if outputs.shape[1] == 1 else yes.astype(int)

        if kind is MARGINS:
            def decision_function(self, outputs):
                return outputs[:, 0] if outputs.shape[1] == 1 else outputs
        else:
            def predict_proba(self, outputs):
                found = probabilities_of(outputs, kind)
                return np.hstack([1 - found, found]) if found.shape[1] == 1 else found

        def __sklearn_is_fitted__(self):
            return True

    def measure(y: np.ndarray, outputs: np.ndarray) -> float:
        nonlocal labels
        labels = y.ndim == 1
        if y.ndim == 2 and kind.classes:
            y = y.argmax(axis=1)
        if y.ndim == 2 and kind is MARGINS:
            y = (y > 0).astype(int)
        return scorer(Predicted(), outputs, y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y)

    return measure
