"""Backpropagation against finite differences."""
from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from fastsgd.data.checks import Csr, generator
from fastsgd.network import checked
from fastsgd.network.given import as_network_and_rows
from fastsgd.network.network import Network

if TYPE_CHECKING:
    from fastsgd.data.typing import ArrayLike, RowsLike


class GradientError(AssertionError):
    """The gradient disagrees with the finite differences of the cost."""


class GradientCheck(float):
    """The largest relative error that :func:`check_gradient` found.

    Attributes
    ----------
    checked, left_out : int
        Parameters that were compared, and those that were not, as the cost has a kink there.
    """

    checked: int
    left_out: int

    def __new__(cls, error: float, checked: int, left_out: int):
        found = super().__new__(cls, error)
        found.checked, found.left_out = checked, left_out
        return found

    def __getnewargs__(self):
        return float(self), self.checked, self.left_out

    def __repr__(self) -> str:
        out = f", {self.left_out:,} left out at a kink of the cost" if self.left_out else ""
        return f"<largest relative error {float(self):.2g} of {self.checked:,} parameters{out}>"

    def __str__(self) -> str:
        return float.__repr__(self)


def check_gradient(net: Network, X: RowsLike, y: ArrayLike, *, gradient: np.ndarray | None = None,
                   tolerance: float | None = None, samples: int = 1000, seed: int = 0) -> GradientCheck:
    """Compares the gradient with central differences of the cost; returns the largest relative error.

    For each array of parameters (every layer's weights, every layer's biases) the differences
    (C(w + h) - C(w - h)) / 2h of the sampled coordinates form a vector n, the gradient's the vector g, and
    the error is |g - n| / (|g| + |n|). The differences are taken in float64 whatever the network's dtype.
    Where the cost or its slope has a kink at the coordinate or within the step (relu, absolute_error, huber's knee,
    ...) the differences to both sides disagree, however small h is, or those of h, h / 2 and h / 4 do not approach each
    other as those of a smooth cost: they say nothing about the gradient, and the coordinate is left out.

    Parameters
    ----------
    net : Network or fitted estimator
        Not changed.
    X, y : arrays
        Of an estimator as in its fit. A few rows are enough: the cost is evaluated four to six times per coordinate.
    gradient : array (P,), optional
        What to check; ``net.gradient(X, y)`` by default.
    tolerance : float, optional
        1e-6 for a float64 network, 1e-3 for float32.
    samples : int
        Coordinates tried, spread evenly over the arrays and drawn by ``seed``; all where there are fewer.

    Returns
    -------
    GradientCheck
        A float, whose ``checked`` and ``left_out`` tell how many parameters were compared and how many were not.

    Raises
    ------
    GradientError
        When an error exceeds the tolerance, naming the array and its worst coordinate; when the gradient
        is zero throughout, or all coordinates lie at a kink, so that nothing would be checked.

    Examples
    --------
    >>> import fastsgd
    >>> (X, y), _ = fastsgd.datasets.digits()
    >>> net = fastsgd.Network([64, 8, 10], activation="tanh", dtype="float64", seed=0)
    >>> fastsgd.check_gradient(net, X[:8], y[:8]) < 1e-6
    True
    """
    net, X, y = as_network_and_rows(net, X, y)
    if net.architecture.networks > 1:
        net.architecture.require_one("a check of the gradient")
    if tolerance is not None and not tolerance > 0:
        raise ValueError(f"tolerance must be above 0, got {tolerance!r}")
    if samples < 1:
        raise ValueError(f"samples must be at least 1, got {samples!r}")
    if gradient is None:
        gradient = net.gradient(X, y)
    gradient = np.asarray(gradient, dtype=float)
    if gradient.shape != net.params.shape:
        raise ValueError(f"gradient must have shape {net.params.shape}, got {gradient.shape}")
    if tolerance is None:
        tolerance = 1e-6 if net.dtype == np.float64 else 1e-3
    twin = Network._from_parts(net.architecture, net.params.astype(float), {})
    rows, targets = checked.check(twin, X, y)
    rng = generator(seed)

    arrays = [tensor for tensor in net.architecture.tensors if tensor.role != "running"]
    share = max(8, samples // len(arrays))
    # Differences of a cost C carry a rounding error of about 1e-10 C; less than that is zero to them.
    here = checked.mean_cost(twin, rows, targets, 1)
    rounding = 1e-9 * max(1.0, abs(here))

    worst = 0.0
    compared = tried = 0
    for tensor in arrays:
        name, offset, size = tensor.name, tensor.offset, tensor.size
        chosen = np.arange(size) if size <= share else rng.choice(size, share, replace=False)
        numeric = np.array([_difference(twin, rows, targets, offset + i, here) for i in chosen])
        smooth = np.isfinite(numeric)
        n, g, chosen = numeric[smooth], gradient[offset + chosen[smooth]], chosen[smooth]
        tried += len(smooth)
        compared += len(n)
        scale = max(float(np.linalg.norm(g) + np.linalg.norm(n)), rounding * math.sqrt(max(1, len(n))) / tolerance)
        error = float(np.linalg.norm(g - n) / scale)
        if not error <= tolerance:
            at = int(np.argmax(abs(g - n)))
            position = [int(i) for i in np.unravel_index(chosen[at], tensor.shape)]
            raise GradientError(f"gradient of {name}: relative error {error:.3g} exceeds {tolerance:g}; at {position} "
                                f"it is {g[at]:.9g}, the finite difference {n[at]:.9g}")
        worst = max(worst, error)
    if not compared:
        raise GradientError(f"all {tried} coordinates lie at a kink of the cost, so nothing was checked; use other "
                            "rows or weights")
    if not gradient.any():
        raise GradientError("the gradient is zero everywhere, so nothing was checked; use other rows or weights")
    return GradientCheck(worst, compared, tried - compared)


def _difference(net: Network, rows: np.ndarray | Csr, targets: np.ndarray, i: int, here: float) -> float:
    """The central difference of the cost along parameter i, or NaN at a kink; the cost is ``here`` as it is."""
    value = net.params[i]
    h = 1e-4 * max(1.0, abs(value))
    rounding = 3e-10 * max(1.0, abs(here))

    def slopes(step: float) -> tuple[float, float]:
        """The central difference, and by how much those to both sides disagree."""
        costs = []
        for signed in (step, -step):
            net.params[i] = value + signed
            costs.append(checked.mean_cost(net, rows, targets, 1))
        net.params[i] = value
        return (costs[0] - costs[1]) / (2 * step), (costs[0] - 2 * here + costs[1]) / step

    (coarse, gap), (fine, gap_of_half) = slopes(h), slopes(h / 2)
    change, jump = abs(coarse - fine), abs(2 * gap_of_half - gap)
    # Without a kink the sides' disagreement is O(h), so half of it is left at h / 2; a jump of the slope stays.
    if change > 1e-5 * max(abs(coarse), abs(fine), 1e-3) or jump > max(4 * rounding, 1e-4 * abs(gap)):
        return np.nan
    # And the central difference is wrong by O(h^2), so the next half changes it by a quarter; where only the slope has
    # a kink (huber's knee, elu at 0) by a half.
    if change > rounding and abs(fine - slopes(h / 4)[0]) > 0.35 * change + rounding:
        return np.nan
    # Richardson: without a kink the error of both is O(h^2), and this combination's O(h^4).
    return (4 * fine - coarse) / 3
