"""Why a run diverged or learned nothing, in words: what is far from unit size, and the cure."""
from __future__ import annotations

import math

import numpy as np

from fastsgd.architecture import QUANTITIES, Architecture
from fastsgd.data import CLASSIFICATION, MARGIN, Csr
from fastsgd.history import History

FAR = 10.0                       # from 1, up or down: of the root mean square of a column or a target
LOOKED_AT = 1000                 # rows at most
FEW_STEPS = 20                   # after which nothing need have been learned
MARGIN_OF_METRIC = 0.01


def of_divergence(architecture: Architecture, X, y: np.ndarray, rate: float, order: np.ndarray | None = None) -> str:
    """What to do about a cost that stopped being finite on rows, or on those of them in ``order``."""
    X, y = _some(X, y, order)
    causes = [cause for cause in (_of_targets(architecture, y), _of_columns(architecture, X)) if cause]
    if causes:
        return f"{'. '.join(causes)}. Or try a smaller learning rate (it was {rate:g})"
    return f"Try a smaller learning rate (it was {rate:g}), or dtype='float64'"


def of_nothing_learned(architecture: Architecture, X, y: np.ndarray, weight: np.ndarray | None,
                       chosen: np.ndarray | None, history: History) -> str:
    """Why the rows trained on are predicted no better than by a constant; "" where they are, or no reason is seen."""
    if history.steps < FEW_STEPS or not history.metric or not history.learning_rate[-1]:
        return ""
    cost, metric, rate = history.cost[-1], history.metric[-1], history.learning_rate[-1]
    classifies = architecture.loss in CLASSIFICATION
    if math.isnan(metric) or metric > 1 - MARGIN_OF_METRIC:
        return ""
    trained, counted = (y, weight) if chosen is None else (y[chosen], None if weight is None else weight[chosen])
    baseline = _constant_metric(architecture, trained, counted)
    if metric > baseline + MARGIN_OF_METRIC:
        return ""
    few_X, few_y = _some(X, y, chosen)
    causes = [cause for cause in (_of_targets(architecture, few_y), _of_columns(architecture, few_X)) if cause]
    absurd = cost > FAR**2 * math.log(max(2, architecture.sizes[-1])) if classifies else metric < -FAR
    if not causes and absurd:
        causes = [f"The last cost, {cost:.4g}, tells of steps that are too long: try a smaller learning rate (it was "
                  f"{rate:g})"]
    if not causes:
        return ""
    than = f"always the largest class ({baseline:.3f})" if classifies else "the mean of y"
    return (f"the network predicts the training rows no better than {than}: {'accuracy' if classifies else 'R^2'} "
            f"{metric:.4g}. {'. '.join(causes)}")


def _some(X, y: np.ndarray, order: np.ndarray | None) -> tuple:
    """At most LOOKED_AT rows, evenly spread."""
    rows = len(y) if order is None else len(order)
    few = np.linspace(0, rows - 1, min(rows, LOOKED_AT)).astype(int)
    few = few if order is None else order[few]
    return X[few], y[few]


def _of_columns(architecture: Architecture, X) -> str:
    """Of the column of X that is farthest from unit size, or of all if none is as small as one."""
    if isinstance(X, Csr):
        size = math.sqrt(np.mean(np.square(X.values, dtype=float))) if len(X.values) else 1.0
        if 1 / FAR <= size <= FAR:
            return ""
        return (f"The entries of X have a root mean square of {size:.3g}: scale them to about unit size, with "
                f"input_scale={1 / size:.2g}")
    with np.errstate(all="ignore"):
        seen = X.astype(float) * architecture.input_scale + architecture.input_offset
        sizes = np.sqrt(np.mean(np.square(seen), axis=0))
    column = int(np.argmax(sizes))
    if 1 / FAR <= sizes[column] <= FAR or not sizes[column]:
        return ""
    return (f"Column {column} of X has mean {seen[:, column].mean():.3g} and standard deviation "
            f"{seen[:, column].std():.3g}{' after input_scale' if architecture.scales_input else ''}: scale the "
            "columns to about unit size, with the network's input_scale=1 / s and input_offset=-m / s, where m and s "
            "are their means and standard deviations, or with scikit-learn's StandardScaler")


def _of_targets(architecture: Architecture, y: np.ndarray) -> str:
    """Of the quantity that is farthest from unit size."""
    if architecture.loss in CLASSIFICATION or y.ndim == 1:
        return ""
    with np.errstate(all="ignore"):
        y = y.astype(float)
        means, spreads = y.mean(axis=0), y.std(axis=0)
        far = np.maximum(abs(means), spreads)
    output = int(np.argmax(far))
    if far[output] <= FAR and spreads[output] >= 1 / FAR:
        return ""
    scale = np.broadcast_to(architecture.output_scale, means.shape)[output]
    mean = means[output] * scale + np.broadcast_to(architecture.output_offset, means.shape)[output]
    spread = spreads[output] * scale
    name = "The target y" if y.shape[1] == 1 or architecture.loss == "quantile" else f"Column {output} of y"
    cure = "divide it by its mean"
    if architecture.loss in QUANTITIES and architecture.activations[-1] == "identity":
        cure = (f"give the network its unit, output_scale={spread or 1:.3g} and output_offset={mean:.4g} (an "
                "estimator: scikit-learn's TransformedTargetRegressor)")
    return f"{name} has mean {mean:.4g} and standard deviation {spread:.3g}, far from unit size: {cure}"


def _constant_metric(architecture: Architecture, y: np.ndarray, weight: np.ndarray | None) -> float:
    """The accuracy of saying the largest class of all rows, or of each output, or 0, the R^2 of the mean."""
    if architecture.loss not in CLASSIFICATION:
        return 0.0
    if y.ndim == 2 and architecture.loss == "cross_entropy":
        y = y.argmax(axis=1)
    if y.ndim == 1:
        counts = np.bincount(y, weight)
        return float(counts.max() / counts.sum())
    yes = np.average(y > (0 if architecture.loss in MARGIN else 0.5), axis=0, weights=weight)
    return float(np.maximum(yes, 1 - yes).mean())
