"""Probabilities that hold: the temperature of a classifier's last layer."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from fastsgd.data.checks import check_sample_weight
from fastsgd.engine import _kernel, elementary
from fastsgd.losses import LOSSES
from fastsgd.network import checked
from fastsgd.network.derived import before_output
from fastsgd.network.given import require_network
from fastsgd.network.network import Network

if TYPE_CHECKING:
    from fastsgd.data.typing import ArrayLike, RowsLike

LIMIT = 1000.0                   # of a temperature, and of its inverse
MOST = float(elementary.log(LIMIT))
MOST_TRIES, TOLERANCE = 60, 1e-9                # of the root for its logarithm


def calibrate_temperature(net: Network, X: RowsLike, y: ArrayLike, *, sample_weight: ArrayLike | None = None,
                          threads: int | None = None) -> float:
    """Divides the last layer of a classifier by the temperature of the least log loss on these rows; returns it.

    Its probabilities are then softmax(z / T) or logistic(z / T), z being what the last layer gave before (Guo et al.
    2017, arXiv 1706.04599). A network that is too sure of itself has a T above 1. As weights and biases take it in,
    model files and exports have it too; no row's class changes, but that of close rows where it is the mean of several
    members' probabilities, whose log loss then is made least. Training on undoes it.

    Parameters
    ----------
    net : Network
        With probabilities as outputs: of cross_entropy, binary_cross_entropy, focal or ordinal. Of a fitted
        ``MLPClassifier`` its ``network_``, with y as class numbers.
    X, y : arrays
        Rows that it was not trained on, with targets as ``train`` takes them.
    sample_weight : array (rows,), optional
    threads : int, optional

    Returns
    -------
    float

    Raises
    ------
    ValueError
        Where no temperature from 1/1000 to 1000 is the best: all rows are predicted right, or no better than by chance.

    Examples
    --------
    >>> import fastsgd
    >>> (X, y), (X_test, y_test) = fastsgd.datasets.digits()
    >>> net = fastsgd.Network([64, 32, 10], seed=0)
    >>> _ = fastsgd.train(net, X[:1000], y[:1000], optimizer=fastsgd.Adam(0.01), epochs=50, seed=0)
    >>> before = net.cost(X_test, y_test)
    >>> calibrate_temperature(net, X[1000:], y[1000:]) > 1
    True
    >>> net.cost(X_test, y_test) < before
    True
    """
    require_network(net)
    slope = _slope(net, X, y, sample_weight, threads)
    if not slope(-MOST) < 0:
        raise ValueError("no temperature makes these rows more likely than equal probabilities do; are y the classes "
                         "of X, and was net trained?")
    if not slope(MOST) > 0:
        raise ValueError(f"all {len(np.asarray(y)):,} rows are predicted right, so that no temperature is low enough; "
                         "give more rows, that net was not trained on")
    temperature = _root(slope)
    divide_logits(net, temperature)
    return temperature


def temperature_together(nets: Sequence[Network], rows: Sequence[tuple], prior: float, threads: int | None = None,
                         members: int | None = None) -> float:
    """The one best temperature T of several networks, each on rows ``(X, y, sample_weight)`` of its own.

    ``prior / 2 * log(T)^2`` is added to the log loss of all rows, which keeps T near 1 where they are few. ``members``
    says of how many members of each the mean is taken.
    """
    slopes = [(len(y), _slope(net, X, y, weight, threads, members))
              for net, (X, y, weight) in zip(nets, rows, strict=True)]
    return _root(lambda log_inverse: prior * log_inverse + float(elementary.exp(log_inverse)) * sum(
        count * slope(log_inverse) for count, slope in slopes))


def divide_logits(net: Network, temperature: float) -> None:
    """What the last layer gives before its activation becomes smaller by so much."""
    for array in (net.weights[-1], net.biases[-1]):
        array /= array.dtype.type(temperature)


def _slope(net: Network, X: RowsLike, y: ArrayLike, sample_weight: ArrayLike | None, threads: int | None,
           members: int | None = None) -> Callable[[float], float]:
    """Of the log loss of the members' mean, along 1 / T, as a function of log(1 / T)."""
    output = net.architecture.activations[-1]
    if net.metric != "accuracy" or output not in ("softmax", "logistic"):
        allowed = [name for name, loss in LOSSES.items() if loss.targets.metric == "accuracy"
                   and loss.outputs[0] in ("softmax", "logistic")]
        raise ValueError(f"net must have probabilities as outputs, with one of the losses {', '.join(allowed)}; this "
                         f"one has {net.loss}")
    X, y = checked.check(net, X, y)
    weight = check_sample_weight(sample_weight, len(X))
    z = before_output(net).predict_members(X, threads=threads)[:members].astype(float)
    if not np.isfinite(z).all():
        raise ValueError("net has logits that are not finite on these rows")
    t = _targets(net, y)

    def slope(log_inverse: float) -> float:
        inverse = float(elementary.exp(log_inverse))
        p = _probabilities(output, inverse * z)
        mean = np.maximum(p.mean(axis=0), np.finfo(float).tiny)
        if output == "softmax":
            along = p * (z - (p * z).sum(axis=-1, keepdims=True))
            return float(-np.average((t * along.mean(axis=0) / mean).sum(axis=-1), weights=weight))
        against = np.maximum(_probabilities(output, -inverse * z).mean(axis=0), np.finfo(float).tiny)
        along = (p * (1 - p) * z).mean(axis=0)
        return float(np.average(((1 - t) * along / against - t * along / mean).sum(axis=-1), weights=weight))

    return slope


def _root(slope: Callable[[float], float]) -> float:
    """The temperature where a function of log(1 / T) rises through 0; with one member the log loss is convex.

    By false position, Illinois variant (Dowell and Jarratt 1971), from an interval that grows from T = 1.
    """
    before, slope_before = 0.0, slope(0.0)
    width = 0.25 if slope_before < 0 else -0.25
    while True:
        at = min(max(before + width, -MOST), MOST)
        slope_at = slope(at)
        if (slope_at < 0) != (slope_before < 0):
            break
        if abs(at) == MOST:
            return float(elementary.exp(-at))
        before, slope_before, width = at, slope_at, 2 * width
    for _ in range(MOST_TRIES):
        middle = at - slope_at * (at - before) / (slope_at - slope_before)
        slope_there = slope(middle)
        if (slope_there < 0) == (slope_at < 0):
            slope_before /= 2
        else:
            before, slope_before = at, slope_at
        moved, at, slope_at = abs(middle - at), middle, slope_there
        if moved < TOLERANCE or not slope_at:
            break
    return float(elementary.exp(-at))


def _probabilities(output: str, z: np.ndarray) -> np.ndarray:
    if output == "softmax":
        e = _exp(z - z.max(axis=-1, keepdims=True))
        return e / e.sum(axis=-1, keepdims=True)
    e = _exp(-abs(z))
    return np.where(z > 0, 1, e) / (1 + e)


def _exp(z: np.ndarray) -> np.ndarray:
    """As the kernel has it, so that the bits depend on no libm; not rounded as well as elementary.exp, and quicker."""
    return _kernel.function("exp", np.ascontiguousarray(z).ravel()).reshape(z.shape)


def _targets(net: Network, y: np.ndarray) -> np.ndarray:
    """What the outputs should be, (rows, outputs)."""
    if y.ndim == 2:
        return y.astype(float)
    outputs = np.arange(net.sizes[-1])
    labels = y[:, np.newaxis]
    return (outputs < labels if net.architecture.loss_type.targets.in_order else outputs == labels).astype(float)
