"""How good an approximation a mini-batch gradient is.

For rows i with gradients g_i, their mean G is the true gradient and Sigma their covariance. The gradient of a
mini-batch of B rows has the mean G and the covariance Sigma / B, so that it is about G as soon as B is well above the
simple noise scale tr(Sigma) / |G|^2 (McCandlish, Kaplan and Amodei 2018, arXiv 1812.06162).
"""
from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsgd.arguments import check_whole
from fastsgd.data.checks import Csr, generator
from fastsgd.deprecation import keyword_only
from fastsgd.display.numbers import noise_in_rows, plain
from fastsgd.display.shown import Shown, Table
from fastsgd.engine import _kernel
from fastsgd.model.architecture import Architecture
from fastsgd.network import checked
from fastsgd.network.given import as_network_and_rows
from fastsgd.network.network import Network
from fastsgd.runs.callback import Callback, Run

if TYPE_CHECKING:
    from fastsgd.data.typing import ArrayLike, RowsLike

ROWS_AT_ONCE = 4096                     # whose activations and deltas are in memory
EXPECTED, EXPECTED_SPEED = 2e-4, 2e10   # seconds and FLOP/s of a measurement, before there has been one


@dataclass(frozen=True, eq=False)
class Noise:
    """Unbiased figures of how the gradients of single rows scatter, of a layer or of the whole network.

    Attributes
    ----------
    gradient_square : float
        |G|^2, the squared length of the true gradient of the distribution that the rows were drawn from; it may be
        negative where it drowns in the noise.
    variance : float
        tr(Sigma), the mean squared distance of a row's gradient from G.
    """

    gradient_square: float
    variance: float

    @property
    def noise_scale(self) -> float:
        """tr(Sigma) / |G|^2 in rows; infinite where no gradient can be told from the noise."""
        if self.gradient_square <= 0:
            return math.inf if self.variance > 0 else math.nan
        return self.variance / self.gradient_square

    def expected_cosine(self, batch_size: int) -> float:
        """About the cosine between G and the gradient of so many rows: 1 / sqrt(1 + noise_scale / batch_size)."""
        return 1 / math.sqrt(1 + self.noise_scale / batch_size)


@dataclass(frozen=True, eq=False, repr=False)
class RowNoise(Shown, Noise):
    """What one mini-batch tells by itself: :class:`Noise` in all, and of each layer. It is shown as a table.

    ``layers`` has one entry per layer, ``kernel`` (rows, rows) the dot products of the rows' gradients.
    """

    layers: tuple[Noise, ...]
    kernel: np.ndarray

    def _shown(self) -> Table:
        names = [*(f"layer {i + 1}" for i in range(len(self.layers))), "all"]
        return Table(f"{len(self.kernel):,} rows; noise scale {noise_in_rows(self.noise_scale)}",
                     ("parameters", "|G|^2", "tr(Sigma)", "noise scale, rows"),
                     [(name, f"{part.gradient_square:.3g}", f"{part.variance:.3g}", plain(part.noise_scale))
                      for name, part in zip(names, (*self.layers, self), strict=True)])


@dataclass(frozen=True, eq=False, repr=False)
class LayerNoise(Noise):
    """Of one layer's parameters: :class:`Noise`, and what was measured of mini-batches as in :class:`GradientNoise`."""

    name: str
    true_norm: float
    cosines: np.ndarray
    norm_ratios: np.ndarray
    distances: np.ndarray

    def __repr__(self) -> str:
        return (f"LayerNoise({self.name}: |G| {self.true_norm:.3g}, cosine {np.mean(self.cosines):.3f} on average of "
                f"{len(self.cosines)}, noise scale {noise_in_rows(self.noise_scale)})")


@dataclass(frozen=True, eq=False, repr=False)
class GradientNoise(Shown, LayerNoise):
    """How mini-batch gradients of a network lie about the true one. It is shown as a table.

    Attributes
    ----------
    gradient_square, variance, noise_scale
        As in :class:`Noise`, of all parameters.
    rows, batch_size : int
    true_gradient : ndarray (P,)
        G over all rows, laid out like ``net.params``; ``true_norm`` is its length.
    cosines, norm_ratios : ndarray (samples,)
        Of each mini-batch: the cosine between its gradient and G, 0 where one of them is 0, and their lengths' ratio.
    distances : ndarray (samples,)
        The squared distance between both.
    layers : tuple of LayerNoise
        The same of each layer.
    """

    rows: int
    batch_size: int
    true_gradient: np.ndarray
    layers: tuple[LayerNoise, ...]

    @property
    def batch_variance(self) -> float:
        """The squared distance that is to be expected between G and a mini-batch drawn without replacement."""
        return self.variance / self.batch_size * (self.rows - self.batch_size) / self.rows

    def table(self) -> list[dict]:
        """One entry per layer, and one for all of them, as plain numbers."""
        return [{"parameters": part.name, "true_norm": part.true_norm, "cosine": float(np.mean(part.cosines)),
                 "lowest_cosine": float(np.min(part.cosines)), "norm_ratio": float(np.mean(part.norm_ratios)),
                 "variance": part.variance, "noise_scale": part.noise_scale} for part in (*self.layers, self)]

    def plot(self, ax: Any = None) -> Any:
        """:func:`fastsgd.plots.gradient_noise` of this."""
        from fastsgd import plots
        return plots.gradient_noise(self, ax)

    def _shown(self) -> Table:
        about = (f"{len(self.cosines)} mini-batches of {self.batch_size:,} among {self.rows:,} rows; noise scale "
                 f"{noise_in_rows(self.noise_scale)}")
        head = ("parameters", "|G|", "cosine, mean", "lowest", "|g| / |G|", "tr(Sigma)", "noise scale, rows")
        return Table(about, head, [
            (part["parameters"], f"{part['true_norm']:.3g}", f"{part['cosine']:.3f}", f"{part['lowest_cosine']:.3f}",
             f"{part['norm_ratio']:.3g}", f"{part['variance']:.3g}", plain(part['noise_scale']))
            for part in self.table()])


@keyword_only
def gradient_noise(net: Network, X: RowsLike, y: ArrayLike, batch_size: int = 100, *, samples: int = 100,
                   seed: int | None = None, threads: int | None = None) -> GradientNoise:
    """Compares mini-batch gradients with the true gradient over all rows.

    Two passes over the rows and ``samples`` steps: the true gradient; the length of every row's gradient, which for
    a dense layer is sqrt((|a|^2 + 1) |delta|^2) of what the layer receives and of its delta (Goodfellow 2015, arXiv
    1510.01799); and mini-batches drawn as training draws them, in shuffled order without replacement.

    Parameters
    ----------
    net : Network or fitted estimator
        Is not changed.
    X, y
        As in :func:`fastsgd.train`, for an estimator as in its fit; more than one row.
    batch_size, samples : int
        Rows of a mini-batch, and how many are compared.
    seed : int or None
        Of their order; None draws one from the operating system.
    threads : int, optional
        As in :func:`fastsgd.train`.

    Returns
    -------
    GradientNoise

    Raises
    ------
    ValueError, TypeError
        For an argument that cannot be used; fewer rows than a batch has.
    FloatingPointError
        Where the cost of the rows is not finite, or their gradient is 0.

    Examples
    --------
    >>> import fastsgd
    >>> (X, y), _ = fastsgd.datasets.digits()
    >>> net = fastsgd.Network([64, 32, 10], seed=0)
    >>> before = fastsgd.descent.gradient_noise(net, X, y, batch_size=50, seed=0)
    >>> _ = fastsgd.train(net, X, y, epochs=10, seed=0)
    >>> fastsgd.descent.gradient_noise(net, X, y, batch_size=50, seed=0).noise_scale > before.noise_scale
    True
    """
    net, X, y = as_network_and_rows(net, X, y)
    X, y = checked.check(net, X, y)
    rows = len(X)
    check_whole("batch_size", batch_size, least=1)
    check_whole("samples", samples, least=1)
    if rows < 2:
        raise ValueError("X must have at least 2 rows, of which gradients can differ; got 1")
    if batch_size > rows:
        raise ValueError(f"batch_size must be at most the rows of X, {rows}, got {batch_size}")
    true = np.empty_like(net.params)
    require_finite(checked.gradient(net, X, y, threads, None, true))
    if not true.any():
        raise FloatingPointError("the gradient of all rows is 0, so there is no direction to compare with")
    squares = np.array([_row_squares(net, part, target, threads).sum(axis=1)
                        for part, target in _parts(X, y)]).sum(axis=0) / rows

    parts = layers_of(net.architecture)
    true_squares = np.array([_dot(true[part], true[part]) for part in parts])
    dots, batch_squares = np.empty((2, samples, len(parts)))
    batches, gradient = shuffled_batches(rows, batch_size, generator(seed)), np.empty_like(true)
    for sample, chosen in zip(range(samples), batches, strict=False):
        checked.gradient(net, X[chosen], y[chosen], threads, None, gradient)
        dots[sample] = [_dot(gradient[part], true[part]) for part in parts]
        batch_squares[sample] = [_dot(gradient[part], gradient[part]) for part in parts]

    def figures(of_rows: float, of_true: float, dot: np.ndarray, of_batches: np.ndarray) -> dict:
        variance = float(rows / (rows - 1) * (of_rows - of_true))
        with np.errstate(invalid="ignore", divide="ignore"):
            return {"gradient_square": float(of_true) - variance / rows, "variance": variance,
                    "true_norm": math.sqrt(of_true),
                    "cosines": np.nan_to_num(dot / np.sqrt(of_batches * of_true)),
                    "norm_ratios": np.sqrt(of_batches / of_true),
                    "distances": of_batches - 2 * dot + of_true}

    layers = tuple(LayerNoise(name=f"layer {i + 1}",
                              **figures(squares[i], true_squares[i], dots[:, i], batch_squares[:, i]))
                   for i in range(len(parts)))
    return GradientNoise(name="all", rows=rows, batch_size=batch_size, true_gradient=true, layers=layers,
                         **figures(squares.sum(), true_squares.sum(), dots.sum(axis=1), batch_squares.sum(axis=1)))


@keyword_only
def row_noise(net: Network, X: RowsLike, y: ArrayLike, *, threads: int | None = None) -> RowNoise:
    """The noise of the gradient as one mini-batch shows it by itself, at the cost of a step or two.

    Its rows' gradients have the dot products K_ij = sum over layers of (a_i . a_j + 1) (delta_i . delta_j), from what
    each layer receives and its deltas; no gradient is ever made. The mean of K where i differs from j is an unbiased
    estimate of |G|^2, the mean of its diagonal less that one of tr(Sigma).

    Parameters
    ----------
    net : Network or fitted estimator
    X, y
        The rows of the mini-batch, as in :func:`fastsgd.train`, for an estimator as in its fit; from 2 to 4,096.
    threads : int, optional

    Returns
    -------
    RowNoise

    Raises
    ------
    ValueError, TypeError, FloatingPointError
        As :func:`gradient_noise` does.

    Examples
    --------
    >>> import fastsgd
    >>> (X, y), _ = fastsgd.datasets.digits()
    >>> noise = fastsgd.descent.row_noise(fastsgd.Network([64, 32, 10], seed=0), X[:100], y[:100])
    >>> noise.kernel.shape, len(noise.layers), noise.noise_scale > 0
    ((100, 100), 2, True)
    """
    net, X, y = as_network_and_rows(net, X, y)
    X, y = checked.check(net, X, y)
    rows = len(X)
    if not 2 <= rows <= ROWS_AT_ONCE:
        raise ValueError(f"X must have from 2 to {ROWS_AT_ONCE:,} rows, got {rows}")
    return _row_noise(net, X, y, threads)


def _row_noise(net: Network, X: np.ndarray | Csr, y: np.ndarray, threads: int | None) -> RowNoise:
    """``row_noise`` of arrays that ``checked.check`` returned."""
    received, deltas = _received_and_deltas(net, X, y, threads)
    kernels = [_products(a, 1, threads) * _products(delta, 0, threads)
               for a, delta in zip(received, deltas, strict=True)]
    total = sum(kernels)
    return RowNoise(**_of_kernel(total), layers=tuple(Noise(**_of_kernel(kernel)) for kernel in kernels), kernel=total)


class NoiseLog(Callback):
    """Follows the gradient noise during a training run, for a small share of its time.

    Every so often it takes :func:`row_noise` of a few rows, drawn at random. |G|^2 and tr(Sigma) are averaged over the
    latest of these, each by itself, before one is divided by the other.

    Parameters
    ----------
    X, y
        Where the rows are drawn from, as in :func:`fastsgd.train`, also where an estimator's fit is followed: its
        classes are numbers from 0 then.
    rows : int
        Of each measurement.
    share : float
        Of the run's time. A measurement waits until the longest so far, at first an estimate, fits into it.
    memory : float
        What an average keeps of its past at each measurement, at least 0 and below 1.
    seed : int or None

    Attributes
    ----------
    steps, noise_scale, gradient_square, variance : list
        One entry per measurement: the steps made before it, and the averages.
    seconds : float
        That it has taken.

    Examples
    --------
    >>> import fastsgd
    >>> (X, y), _ = fastsgd.datasets.digits()
    >>> log = fastsgd.descent.NoiseLog(X, y, seed=0)
    >>> _ = fastsgd.train(fastsgd.Network([64, 32, 10], seed=0), X, y, epochs=200, seed=0, callbacks=[log])
    >>> len(log.steps) > 0
    True
    """

    @keyword_only
    def __init__(self, X: RowsLike, y: ArrayLike, *, rows: int = 128, share: float = 0.03, memory: float = 0.95,
                 seed: int | None = None):
        check_whole("rows", rows, least=2)
        if not 0 < share <= 1:
            raise ValueError(f"share must lie above 0 and be at most 1, got {share!r}")
        if not 0 <= memory < 1:
            raise ValueError(f"memory must be at least 0 and below 1, got {memory!r}")
        self.X, self.y, self.rows, self.share, self.memory = X, y, min(rows, ROWS_AT_ONCE), share, memory
        self.steps: list[int] = []
        self.noise_scale: list[float] = []
        self.gradient_square: list[float] = []
        self.variance: list[float] = []
        self.seconds = 0.0
        self._rng = generator(seed)

    def on_start(self, run: Run) -> None:
        """Checks the rows, before anything is trained."""
        self._checked = checked.check(run.net, self.X, self.y, "NoiseLog: ")
        if self.rows > len(self._checked[0]):
            raise ValueError(f"NoiseLog: rows must be at most those of X, {len(self._checked[0])}, got {self.rows}")
        for values in (self.steps, self.noise_scale, self.gradient_square, self.variance):
            values.clear()
        sizes, rows = run.net.sizes, self.rows
        work = rows * (run.net.architecture.flops + 2 * rows * (sum(sizes[:-1]) + sum(sizes[1:])))
        self.seconds, self._began, self._longest = 0.0, time.perf_counter(), EXPECTED + work / EXPECTED_SPEED

    def on_rows(self, run: Run) -> None:
        """About ten times a second."""
        self._measure_if_affordable(run)

    def on_epoch(self, run: Run) -> None:
        """After every epoch, as some are short."""
        self._measure_if_affordable(run)

    def _measure_if_affordable(self, run: Run) -> None:
        begin = time.perf_counter()
        if run.steps in self.steps[-1:]:                # on_rows and on_epoch may both be called after a step
            return
        if self.seconds + self._longest > self.share * (begin - self._began):
            return
        X, y = self._checked
        chosen = self._rng.choice(len(X), self.rows, replace=False)
        try:
            found = _row_noise(run.net, X[chosen], y[chosen], run.threads)
        except FloatingPointError:                      # the run raises it too
            return
        for name, value in (("gradient_square", found.gradient_square), ("variance", found.variance)):
            values = getattr(self, name)
            values.append(self.memory * values[-1] + (1 - self.memory) * value if values else value)
        self.steps.append(run.steps)
        self.noise_scale.append(Noise(self.gradient_square[-1], self.variance[-1]).noise_scale)
        took = time.perf_counter() - begin
        self.seconds += took
        self._longest = max(self._longest, took)


# ---- their parts ----

def require_finite(cost: float) -> None:
    """FloatingPointError for a cost that is not."""
    if not math.isfinite(cost):
        raise FloatingPointError(f"the cost of these rows is {cost}, so there is no descent to look at; the parameters "
                                 "or the inputs are too large")


def shuffled_batches(rows: int, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Numbers of the rows of one whole mini-batch after the other, epoch after epoch, without end."""
    while True:
        order = rng.permutation(rows)
        yield from (order[first:first + size] for first in range(0, rows - size + 1, size))


def layers_of(architecture: Architecture) -> list[slice]:
    """Where each layer's weights and biases lie in the flat parameters."""
    architecture.require_dense("what is computed of a network's layers one by one")
    begins = [tensor.offset for tensor in architecture.tensors if tensor.role == "weight"]
    return [slice(*ends) for ends in pairwise([*begins, architecture.parameters])]


def _parts(X, y) -> Iterator[tuple]:
    for first in range(0, len(X), ROWS_AT_ONCE):
        part = np.arange(first, min(first + ROWS_AT_ONCE, len(X)))
        yield X[part], y[part]


def _dot(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.einsum("i,i->", a, b, dtype=np.float64))     # on one thread, which does not spin afterwards


def _received_and_deltas(net: Network, X: np.ndarray | Csr, y: np.ndarray,
                         threads: int | None) -> tuple[list, list[np.ndarray]]:
    """What each layer receives, and its deltas, a row for each of X."""
    net.architecture.require_dense("what is computed of each row's gradient")
    sizes = net.sizes
    out = np.empty((len(X), sum(sizes[1:-1]) + sum(sizes[1:])), dtype=net.dtype)
    require_finite(_kernel.deltas(net.architecture, net.params, X, y, out, checked.threads_for(net, threads, len(X))))
    pieces = np.split(out, np.cumsum([*sizes[1:-1], *sizes[1:-1]]), axis=1)
    hidden = len(sizes) - 2
    return [scaled_input(net, X), *pieces[:hidden]], pieces[hidden:]


def scaled_input(net: Network, X: np.ndarray | Csr) -> Any:
    """``X * input_scale + input_offset``, what the first layer receives; CSR rows are scaled already."""
    if isinstance(X, Csr):
        return X
    if not net.architecture.scales_input:
        return X.astype(net.dtype, copy=False)
    return X * np.array(net.input_scale, net.dtype) + np.array(net.input_offset, net.dtype)


def _row_squares(net: Network, X, y, threads: int | None) -> np.ndarray:
    """The squared length of each row's gradient in each layer, (layers, rows)."""
    received, deltas = _received_and_deltas(net, X, y, threads)
    return np.array([(_squares(a) + 1) * _squares(delta) for a, delta in zip(received, deltas, strict=True)])


def _squares(rows: np.ndarray | Csr) -> np.ndarray:
    if isinstance(rows, Csr):
        ends = np.concatenate([[0.0], np.cumsum(rows.values.astype(np.float64) ** 2)])
        return ends[rows.indptr[1:]] - ends[rows.indptr[:-1]]
    return np.einsum("ij,ij->i", rows, rows, dtype=np.float64)


def _products(rows: Any, more: float, threads: int | None) -> np.ndarray:
    """``rows @ rows.T + more``: what a linear network predicts of rows that are its weights, too."""
    columns = rows.dense() if isinstance(rows, Csr) else rows
    n, dtype = len(rows), columns.dtype
    params = np.empty((rows.shape[1] + 1) * n, dtype=dtype)
    params[:-n].reshape(-1, n)[:] = columns.T
    params[-n:] = more
    return linear_map(rows, params, n, threads).astype(np.float64)


def linear_map(rows: Any, params: np.ndarray, outputs: int, threads: int | None) -> np.ndarray:
    """``rows @ W + b`` by the engine, of the flat parameters of a layer."""
    architecture = Architecture.dense((rows.shape[1], outputs), ("identity",), "squared_error", (0.0,) * outputs)
    return checked.predict(Network._from_parts(architecture, params, {}), rows, threads)


def _of_kernel(kernel: np.ndarray) -> dict[str, float]:
    rows, diagonal = len(kernel), float(np.trace(kernel))
    others = (float(kernel.sum()) - diagonal) / (rows * (rows - 1))
    return {"gradient_square": others, "variance": diagonal / rows - others}
