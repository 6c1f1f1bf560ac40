"""Warnings of fits that learned nothing or diverged: whether one did, the likely cause, and the cure."""
from __future__ import annotations

import numpy as np
from scipy.sparse import issparse

from fastsgd.data.advice import FAR, is_far, sizes_of_columns, some_rows
from fastsgd.network.derived import before_output
from fastsgd.network.network import Network
from fastsgd.runs.baseline import LITTLE, best_constant, clear_accuracy, constant_cost, output_alone

FEW_STEPS = 100
FALLING = 0.005                      # of a cost in an epoch
SMALLER_RATE = "Its steps are too long: give a smaller learning_rate_init."


def regression_cause(net: Network, X, targets: np.ndarray, weight: np.ndarray | None, metric: float) -> str:
    """Why a network predicts its training targets (rows, outputs) no better than a constant; "" where it is better.

    Only outputs that are far from unit size are looked at, and where none is, and R^2 was at most 0 in the last epoch
    (``metric``), the size of X and that of the error.
    """
    X, targets, weight = some_rows(X, targets, weight)
    loss = net.architecture.loss_type
    if weight is not None and not weight.any():
        return ""
    means = np.average(targets.astype(float), axis=0, weights=weight)
    spreads = np.sqrt(np.average((targets - means) ** 2, axis=0, weights=weight))
    far = (abs(means) > FAR) | (spreads > FAR) | (spreads < 1 / FAR)
    if not far.any() and (metric > 0 or (_largest_column(X) <= FAR and metric >= -FAR)):
        return ""
    for i in np.flatnonzero(far if far.any() else ~far).tolist():
        cost, least = _costs_of_output(net, X, targets, weight, i)
        if cost < least or spreads[i] == 0:
            continue
        name = "the target y" if targets.shape[1] == 1 or loss.of_one_target else f"column {i} of y"
        said = f"The fit explains nothing of {name}: its mean cost is {cost:.4g}, that of a constant {least:.4g}."
        if far[i]:
            cure = "divide it by its mean" if loss.targets.sign else (
                "standardise it, for example by sklearn.compose.TransformedTargetRegressor(model, "
                "transformer=StandardScaler())")
            said += (f" It has mean {means[i]:.3g} and standard deviation {spreads[i]:.3g}, far from the unit size "
                     f"that initial weights, learning rates and tol suit: {cure}.")
        elif _largest_column(X) <= FAR:
            return f"{said} {SMALLER_RATE}"
        return " ".join(filter(None, (said, _of_columns(X))))
    return ""


def classification_cause(net: Network, X, targets: np.ndarray, weight: np.ndarray | None, metric: float) -> str:
    """Why a classifier costs its training rows no less than their classes' shares do; "" where no reason is seen.

    Where no column is far from unit size and the accuracy of the last epoch (``metric``) is clear, nothing is computed.
    """
    X, targets, weight = some_rows(X, targets, weight)
    if weight is not None and not weight.any():
        return ""
    columns = _of_columns(X)
    if not columns and metric >= clear_accuracy(net, targets, weight):
        return ""
    with np.errstate(all="ignore"):
        cost, least = net.cost(X, targets, sample_weight=weight), constant_cost(net, targets, weight)
    cure = columns or (SMALLER_RATE if cost > FAR * least else "")
    if not cure or cost < least or least <= LITTLE:
        return ""
    return f"The fit learned nothing: its mean cost is {cost:.4g}, that of the classes' shares {least:.4g}. {cure}"


def divergence(net: Network, before: np.ndarray, X, targets: np.ndarray, weight: np.ndarray | None, by_labels: bool,
               cure: str) -> str:
    """Why a linear model ends at more than twice the cost of weights that are all 0, and of those ``before`` the fit.

    "" where it does not. A classifier, whose targets are labels or -1 and 1, must also be right no more often than the
    commonest class, and its loss must be one whose slope grows with the error: others cost much where nothing can be
    learned, too. ``cure`` is what to do where X is of unit size.
    """
    if by_labels and net.architecture.loss_type.bounded_slope:
        return ""
    X, targets, weight = some_rows(X, targets, weight)
    if weight is not None and not weight.any():
        return ""
    other = net.copy()
    with np.errstate(all="ignore"):
        cost = net.cost(X, targets, sample_weight=weight)
        other.params = np.zeros_like(before)
        start = other.cost(X, targets, sample_weight=weight)
        other.params = before
        if cost <= 2 * max(start, other.cost(X, targets, sample_weight=weight)):
            return ""
        if by_labels:
            scores = before_output(net).predict(X)
            if scores.shape[1] == 1:
                truth, found = targets[:, 0] > 0, scores[:, 0] > 0
            else:
                truth = targets if targets.ndim == 1 else targets.argmax(axis=1)
                found = scores.argmax(axis=1)
            _, numbers = np.unique(truth, return_inverse=True)
            if np.average(truth == found, weights=weight) > np.bincount(numbers, weight).max() / (
                    len(truth) if weight is None else weight.sum()):
                return ""
    size = float(abs(net.weights[0]).max())
    said = (f"The fit diverged, or was about to: its mean cost is {cost:.4g} with coefficients up to {size:.2g}, but "
            f"{start:.4g} with coefficients of 0.")
    return f"{said} {_of_columns(X) or cure}"


def few_steps(net: Network, X, targets: np.ndarray, weight: np.ndarray | None, steps: int, curve: list[float],
              kept: int) -> str:
    """Why early stopping came too soon, or "".

    It did where there were few ``steps``, the training cost kept falling after the epoch whose parameters are ``kept``
    (from 0), and their cost is more than half of that of the best constant prediction.
    """
    later = len(curve) - kept - 2                # epochs
    if steps >= FEW_STEPS or later < 1 or not curve[-1] < (1 - FALLING) ** later * curve[kept + 1]:
        return ""
    X, targets, weight = some_rows(X, targets, weight)
    if weight is not None and not weight.any():
        return ""
    constant = constant_cost(net, targets, weight)
    if constant <= LITTLE or net.cost(X, targets, sample_weight=weight) < 0.5 * constant:
        return ""
    each = steps // len(curve)
    said = (f"Early stopping ended the fit after {steps} steps, while the training cost was still falling; the "
            f"parameters kept are those of step {(kept + 1) * each}. Let it make more or longer steps: by a smaller "
            "batch_size, a higher n_iter_no_change or learning_rate_init, or another scoring: 'loss' sees small "
            "improvements on few rows.")
    return " ".join(filter(None, (said, _of_columns(X) if net.metric == "accuracy" else "")))


def _costs_of_output(net: Network, X, targets: np.ndarray, weight: np.ndarray | None, i: int) -> tuple[float, float]:
    """The mean cost of what a network says of target i, and that of the best constant there."""
    outputs = range(i, net.sizes[-1], net.architecture.targets)
    echo = output_alone(net, tuple(net.architecture.loss_parameters[j] for j in outputs), float, len(outputs))
    echo.weights[0][:] = np.eye(len(outputs))
    y = targets[:, i:i + 1].astype(float)
    received = before_output(net).predict(X)[:, outputs].astype(float)
    if not np.isfinite(received).all():
        return np.inf, 0.0
    constant = np.broadcast_to(best_constant(echo, y, weight), received.shape)
    return (echo.cost(received, y, sample_weight=weight), echo.cost(constant, y, sample_weight=weight))


def _largest_column(X) -> float:
    """The largest root mean square of a column."""
    return float(np.max(np.sqrt(X.multiply(X).mean(axis=0)) if issparse(X) else sizes_of_columns(X)))


def _of_columns(X) -> str:
    """The cure for columns that are far from unit size, if there are any."""
    largest = _largest_column(X)
    return (f"X has columns of a size (root mean square) up to {largest:.3g}: scale them, for example by "
            "make_pipeline(StandardScaler(), model).") if is_far(largest) else ""
