"""What is said of a fit that came to nothing: whether it did, what is to blame, and the cure."""
from __future__ import annotations

import numpy as np
from scipy.sparse import issparse
from scipy.special import entr

from fastsgd.network import Network

FAR = 10.0                           # from 1: of the size of a target or of a column, up or down
LOOKED_AT = 10_000                   # rows at most
FEW_STEPS = 100
FALLING = 0.005                      # of a cost in an epoch
SLOPE_GROWS = ("squared_error", "squared_hinge", "squared_epsilon_insensitive")


def regression_cause(net: Network, X, targets: np.ndarray, weight: np.ndarray | None, parameters: dict,
                     metric: float) -> str:
    """Why a network predicts its training targets (rows, outputs) no better than a constant; "" where it is better.

    Only outputs that are far from unit size are looked at, and where none is, and R^2 was at most 0 in the last epoch
    (``metric``), the size of X. ``parameters`` are those of the loss.
    """
    X, targets, weight = _some(X, targets.astype(float), weight)
    if weight is not None and not weight.any():
        return ""
    means, spreads = _moments(targets, weight)
    far = (abs(means) > FAR) | (spreads > FAR) | (spreads < 1 / FAR)
    if not far.any() and (metric > 0 or _largest_column(X) <= FAR):
        return ""
    outputs = net.predict(X).astype(float)
    for i in np.flatnonzero(far if far.any() else ~far).tolist():
        one = _of_output(parameters, i)
        constant, what = _constant(net.loss, targets[:, i], weight, one)
        cost, least = (_cost(net.loss, column, targets[:, i], weight, one)
                       for column in (outputs[:, i], np.full(len(targets), constant)))
        if cost < least or spreads[i] == 0:
            continue
        name = "y" if targets.shape[1] == 1 or net.loss == "quantile" else f"column {i} of y"
        said = (f"The fit explains nothing of {name}: its mean cost is {cost:.4g}, that of predicting {what} "
                f"{least:.4g}.")
        if far[i]:
            cure = "divide it by its mean" if net.loss == "poisson" else (
                "standardise it, for example by sklearn.compose.TransformedTargetRegressor(model, "
                "transformer=StandardScaler())")
            said += (f" {name[0].upper()}{name[1:]} has mean {means[i]:.3g} and standard deviation {spreads[i]:.3g}, "
                     f"far from the unit size that initial weights, learning rates and tol suit: {cure}.")
        largest = _largest_column(X)
        return f"{said} {_of_columns(largest)}" if largest > FAR else said
    return ""


def divergence(net: Network, X, targets: np.ndarray, weight: np.ndarray | None, by_labels: bool, cure: str) -> str:
    """Why a linear model ends at more than twice the cost of weights that are all 0; "" where it does not.

    A classifier, whose targets are labels or -1 and 1, must also be right no more often than the commonest class, and
    its loss must be one whose slope grows with the error: others cost much where nothing can be learned, too. ``cure``
    is what to do where X is of unit size.
    """
    if by_labels and net.loss not in SLOPE_GROWS:
        return ""
    X, targets, weight = _some(X, targets, weight)
    if weight is not None and not weight.any():
        return ""
    none = net.copy()
    none.params = np.zeros_like(none.params)
    with np.errstate(all="ignore"):
        cost, start = (each.cost(X, targets, sample_weight=weight) for each in (net, none))
        if cost <= 2 * start:
            return ""
        if by_labels:
            scores = net._before_output().predict(X)
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
    largest = _largest_column(X)
    return f"{said} {_of_columns(largest) if largest > FAR else cure}"


def few_steps(net: Network, X, targets: np.ndarray, weight: np.ndarray | None, steps: int, curve: list[float],
              kept: int) -> str:
    """Why early stopping came too soon, or "".

    That is where there were few ``steps``, the training's costs by epoch went on falling after the epoch whose
    parameters are ``kept`` (from 0), and with these half of the cost of the best constant prediction is left.
    """
    later = len(curve) - kept - 2                # epochs
    if steps >= FEW_STEPS or later < 1 or not curve[-1] < (1 - FALLING) ** later * curve[kept + 1]:
        return ""
    constant = _constant_cost(net, targets, weight)
    if constant <= 0 or net.cost(X, targets, sample_weight=weight) < 0.5 * constant:
        return ""
    each = steps // len(curve)
    return (f"Early stopping ended the fit after {steps} steps, while the training cost was still falling; the "
            f"parameters kept are those of step {(kept + 1) * each}. Let it make more or longer steps: by a smaller "
            "batch_size, a higher n_iter_no_change or learning_rate_init, or another scoring: 'loss' sees small "
            "improvements on few rows.")


def _some(X, targets: np.ndarray, weight: np.ndarray | None) -> tuple:
    every = -(-len(targets) // LOOKED_AT)
    return (X, targets, weight) if every == 1 else \
        (X[::every], targets[::every], None if weight is None else weight[::every])


def _moments(targets: np.ndarray, weight: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    means = np.average(targets, axis=0, weights=weight)
    return means, np.sqrt(np.average((targets - means) ** 2, axis=0, weights=weight))


def _largest_column(X) -> float:
    """The largest root mean square of a column."""
    squares = X.multiply(X).mean(axis=0) if issparse(X) else np.einsum("ij,ij->j", X, X, dtype=float) / len(X)
    return float(np.sqrt(np.max(squares)))


def _of_columns(largest: float) -> str:
    return (f"X has columns of a size (root mean square) up to {largest:.3g}: scale them, for example by "
            "make_pipeline(StandardScaler(), model).")


def _of_output(parameters: dict, output: int) -> dict:
    """The parameters of a loss for one of the outputs: each may have a quantile of its own."""
    quantile = parameters.get("quantile")
    return parameters if quantile is None or np.ndim(quantile) == 0 else {"quantile": float(quantile[output])}


def _constant(loss: str, y: np.ndarray, weight: np.ndarray | None, parameters: dict) -> tuple[float, str]:
    """The best constant prediction of a target, or one that is nearly so, and its name."""
    if loss == "quantile":
        return float(np.quantile(y, parameters["quantile"])), f"the quantile {parameters['quantile']:g}"
    if loss in ("absolute_error", "huber"):
        return float(np.median(y)), "the median"
    return float(np.average(y, weights=weight)), "the mean"


def _cost(loss: str, predictions: np.ndarray, y: np.ndarray, weight: np.ndarray | None, parameters: dict) -> float:
    """The mean cost of predictions (rows,) by a network's loss."""
    echo = Network([1, 1], loss=loss, dtype="float64", seed=0, **parameters)
    echo.params = [1.0, 0.0]
    with np.errstate(divide="ignore"):
        given = np.maximum(np.log(predictions), -700) if loss == "poisson" else predictions
    return echo.cost(given[:, np.newaxis], y, sample_weight=weight) if np.isfinite(given).all() else np.inf


def _constant_cost(net: Network, targets: np.ndarray, weight: np.ndarray | None) -> float:
    """The cost of predicting every class by its frequency, or of half the variance of targets."""
    if net.loss == "cross_entropy":
        counts = np.bincount(targets, weight, net.sizes[-1])
        return float(entr(counts / counts.sum()).sum())
    means, spreads = _moments(targets.astype(float), weight)
    if net.loss == "binary_cross_entropy":
        return float((entr(means) + entr(1 - means)).sum())
    return float((spreads ** 2).sum() / 2) if net.loss == "squared_error" else np.inf
