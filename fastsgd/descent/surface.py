"""Where descents go, and the cost of the places around: paths, planes, and the cost on a grid of a plane."""
from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from fastsgd.arguments import check_whole
from fastsgd.data.checks import check_batch_size, generator, one_seed
from fastsgd.deprecation import keyword_only
from fastsgd.descent.descend import Problem, check_seconds, name_of, prepare
from fastsgd.descent.noise import layers_of, linear_map, require_finite, scaled_input, shuffled_batches
from fastsgd.display.bars import Meter
from fastsgd.display.shown import Shown, Table
from fastsgd.engine import _kernel
from fastsgd.model.architecture import Architecture
from fastsgd.network import checked
from fastsgd.network.given import as_network, as_network_and_rows
from fastsgd.network.network import Network
from fastsgd.optimizers import SGD, Optimizer, aligned_zeros, check_fits, check_optimizer
from fastsgd.runs.settings import Settings
from fastsgd.runs.start import train_rows

if TYPE_CHECKING:
    from fastsgd.data.typing import ArrayLike, RowsLike

COLUMNS_AT_ONCE = 1 << 16                # of snapshots that are in memory as float64
FEW_STEPS = 30                           # of the slowest descent, without steps= and seconds=
TIMED, TIMED_STEPS = 0.02, 256           # seconds for measuring a step, and steps of one measurement


@dataclass(frozen=True, eq=False, repr=False)
class Path:
    """One descent of a :class:`Trajectory`.

    Attributes
    ----------
    name : str
    batch_size : int or None
    steps : ndarray (snapshots,)
        After how many steps each snapshot was taken, the first at 0.
    params : ndarray (snapshots, P)
    cost : ndarray (snapshots,)
        Over all rows, of the whole network and not of its shadow on a plane.
    seconds : ndarray (snapshots,)
        How long so many steps take, by the time of a step that was measured before.
    """

    name: str
    batch_size: int | None
    steps: np.ndarray
    params: np.ndarray
    cost: np.ndarray
    seconds: np.ndarray

    def __repr__(self) -> str:
        return (f"Path({self.name}: {self.steps[-1]:,} steps, {self.seconds[-1]:.3g} s, cost {self.cost[0]:.4g} to "
                f"{self.cost[-1]:.4g})")


@dataclass(frozen=True, eq=False, repr=False)
class Plane:
    """``origin + x directions[0] + y directions[1]`` among the parameters.

    ``about`` says what it is, in words.
    """

    origin: np.ndarray
    directions: np.ndarray
    about: str

    def __repr__(self) -> str:
        return f"Plane({self.about}; among {self.origin.size:,} parameters)"

    def coordinates(self, params: np.ndarray) -> np.ndarray:
        """Where parameters (..., P) lie when they are moved straight onto the plane: (..., 2)."""
        seen, lengths = np.zeros((*params.shape[:-1], 2)), np.zeros((2, 2))
        for piece in _pieces(self.origin.size):
            directions = self.directions[:, piece].astype(np.float64)
            seen += (params[..., piece] - self.origin[piece]) @ directions.T
            lengths += directions @ directions.T
        return np.linalg.solve(lengths, seen.T).T

    def at(self, x: float, y: float) -> np.ndarray:
        """The parameters of a point, (P,)."""
        return self.origin + x * self.directions[0] + y * self.directions[1]


@dataclass(frozen=True, eq=False, repr=False)
class Trajectory(Shown):
    """Descents from the same start, and the plane that shows most of their ways. It is shown as a table.

    Attributes
    ----------
    paths : tuple of Path
    plane : Plane
        The first two principal components of all snapshots together.
    explained : tuple of two float
        The share of the snapshots' variance along each. Paths of random walks have large shares, too (Antognini and
        Sohl-Dickstein 2018, arXiv 1806.08805): they do not prove that a descent is flat.
    equal : "seconds" or "steps"
        What all descents had as much of.
    """

    paths: tuple[Path, ...]
    plane: Plane
    explained: tuple[float, float]
    equal: str = "steps"

    def coordinates(self, path: Path) -> np.ndarray:
        """A path on the plane, (snapshots, 2)."""
        return self.plane.coordinates(path.params)

    def extent(self, margin: float = 0.15) -> tuple[float, float, float, float]:
        """``(x from, x to, y from, y to)`` of all paths on the plane, and a margin around."""
        points = np.concatenate([self.coordinates(path) for path in self.paths])
        low, high = points.min(axis=0), points.max(axis=0)
        room = np.maximum(margin * (high - low), 1e-6)
        return (float(low[0] - room[0]), float(high[0] + room[0]), float(low[1] - room[1]), float(high[1] + room[1]))

    def _shown(self) -> Table:
        return Table(f"descents of equal {self.equal}; the plane shows {sum(self.explained):.0%} of their variance",
                     ("path", "steps", "seconds", "cost at the start", "at the end"),
                     [(path.name, f"{path.steps[-1]:,}", f"{path.seconds[-1]:.3g}", f"{path.cost[0]:.4g}",
                       f"{path.cost[-1]:.4g}") for path in self.paths])


@dataclass(frozen=True, eq=False, repr=False)
class CostSurface:
    """The cost on a grid of a plane: ``cost[j, i]`` at ``x[i]``, ``y[j]``. Infinite where it overflows."""

    plane: Plane
    x: np.ndarray
    y: np.ndarray
    cost: np.ndarray
    rows: int

    def __repr__(self) -> str:
        return (f"CostSurface({len(self.x)} x {len(self.y)} points of {self.plane.about}; cost "
                f"{self.cost.min():.4g} to {self.cost.max():.4g} over {self.rows:,} rows)")


@keyword_only
def trajectory(net: Network, X: RowsLike, y: ArrayLike, batch_sizes: Iterable[int | None] = (10, None), *,
               steps: int | None = None,
               optimizer: Optimizer | Sequence[Optimizer] = SGD(0.1),  # noqa: B008 - a frozen dataclass
               snapshots: int = 150, seed: int | None = None, threads: int | None = None,
               seconds: float | None = None, progress: bool | None = None) -> Trajectory:
    """Descends from the same start with several batch sizes, each for equal time, and notes the way.

    How long a step takes is measured first, as :func:`fastsgd.train` makes it; each descent then makes as many steps as
    fit into the time, at least one.

    Parameters
    ----------
    net : Network or fitted estimator
        Where all start; it is not changed.
    X, y
        As in :func:`fastsgd.train`, for an estimator as in its fit.
    batch_sizes : iterable of int or None
        None is full gradient descent.
    steps : int, optional
        As many for each, instead of equal time. The same seed then gives the same paths.
    optimizer : Optimizer or sequence of Optimizer
        One for all, or one for each of the batch sizes; without an average.
    snapshots : int
        Of each path, evenly spread over its steps, the start and the end among them.
    seed : int or None
        Of the orders of the rows, the same for all; None draws one from the operating system.
    threads : int, optional
    seconds : float, optional
        Of steps, for each. Without ``steps`` too, what the slowest needs for 30 steps. To keep the paths, steps are
        made one by one, which takes several times as long as they themselves.
    progress : bool, optional
        As in :func:`race`.

    Returns
    -------
    Trajectory

    Raises
    ------
    ValueError, TypeError
        For an argument that cannot be used.
    FloatingPointError
        Where a cost stops being finite.

    Examples
    --------
    >>> import fastsgd
    >>> (X, y), _ = fastsgd.datasets.digits()
    >>> both = fastsgd.descent.trajectory(fastsgd.Network([64, 32, 10], seed=0), X, y, steps=50, seed=0)
    >>> [path.name for path in both.paths], both.paths[0].params.shape[0]
    (['mini-batches of 10', 'full gradient'], 51)
    >>> quick, careful = fastsgd.descent.trajectory(fastsgd.Network([64, 32, 10], seed=0), X, y).paths
    >>> bool(quick.steps[-1] > careful.steps[-1]), int(careful.steps[-1])
    (True, 30)
    """
    net, X, y = prepare(net, X, y)
    sizes = list(batch_sizes)
    if not sizes:
        raise ValueError("batch_sizes must not be empty")
    if steps is not None:
        if seconds is not None:
            raise ValueError(f"give steps or seconds, not both; got steps={steps!r} and seconds={seconds!r}")
        check_whole("steps", steps, least=1)
    if seconds is not None:
        check_seconds(seconds)
    check_whole("snapshots", snapshots, least=2)
    optimizers = [optimizer] * len(sizes) if isinstance(optimizer, Optimizer) else list(optimizer)
    if len(optimizers) != len(sizes):
        raise ValueError(f"optimizer must be one, or one for each of the {len(sizes)} batch_sizes, got "
                         f"{len(optimizers)}")
    for each in optimizers:
        check_optimizer(each)
        check_fits(each, net.architecture)
        if each.averages:
            raise ValueError(f"optimizer must not average the parameters, whose path it would hide, got {each!r}")
    for size in sizes:
        check_batch_size(size, len(X))
        if size is not None and size > len(X):
            raise ValueError(f"batch_sizes must be at most the rows of X, {len(X)}, got {size}; None means all rows")
    require_finite(checked.mean_cost(net, X, y, threads))
    seed = one_seed(seed)
    problem = Problem(net, X, y, threads, seed)
    paces = [_step_seconds(problem, size, each) for size, each in zip(sizes, optimizers, strict=True)]
    lasting = FEW_STEPS * max(paces) if seconds is None else seconds
    counts = [max(1, round(lasting / pace)) if steps is None else steps for pace in paces]
    with Meter(progress, "trajectory", sum(counts), " steps") as meter:
        paths = tuple(_descend(problem, size, each.over(count), count, pace, snapshots=snapshots, meter=meter,
                               before=sum(counts[:number]))
                      for number, (size, each, count, pace)
                      in enumerate(zip(sizes, optimizers, counts, paces, strict=True)))
    plane, explained = _principal_plane([path.params for path in paths])
    return Trajectory(paths, plane, explained, "seconds" if steps is None else "steps")


def _step_seconds(problem: Problem, size: int | None, optimizer: Optimizer) -> float:
    """How long a step takes at best, in whole passes of compiled code."""
    X, y, scratch = problem.X, problem.y, problem.net.copy()
    still, size = replace(optimizer, learning_rate=0.0), size or len(X)
    rows = min(len(X), TIMED_STEPS * size)
    chosen = slice(rows) if isinstance(X, np.ndarray) else np.arange(rows)
    part, targets = X[chosen], y[chosen]
    times: list[float] = []
    begin = time.perf_counter()
    while len(times) < 2 or time.perf_counter() - begin < TIMED:
        settings = Settings(scratch, optimizer=still, epochs=1, threads=problem.threads)
        history = train_rows(settings, part, targets, batch_size=size, seed=0)
        times.append(sum(history.seconds) / history.steps)
    return min(times)


def _descend(problem: Problem, size: int | None, optimizer: Optimizer, steps: int, pace: float, *, snapshots: int,
             meter: Meter, before: int) -> Path:
    """One descent, step by step; ``before`` steps of all descents were made before it, which its meter shows."""
    net, X, y, threads = problem.net.copy(), problem.X, problem.y, problem.threads
    state = optimizer.state(net.params)
    at = np.unique(np.linspace(0, steps, min(snapshots, steps + 1)).round().astype(int))
    batches = shuffled_batches(len(X), size or len(X), generator(problem.seed))
    params, cost = np.empty((len(at), net.params.size), net.dtype), np.empty(len(at))
    name = "full gradient" if size is None else name_of(size)
    meter.begin(name)
    taken = 0
    for step in range(at[-1] + 1):
        if step == at[taken]:
            params[taken], cost[taken] = net.params, checked.mean_cost(net, X, y, threads)
            require_finite(cost[taken])
            taken += 1
            meter.at(before + step)
        if step == at[-1]:
            break
        if size is None:
            checked.step(net, X, y, optimizer, state, threads)
        else:
            chosen = next(batches)
            checked.step(net, X[chosen], y[chosen], optimizer, state, threads)
    return Path(name, size, at, params, cost, at * pace)


def _pieces(parameters: int) -> Iterator[slice]:
    return (slice(first, first + COLUMNS_AT_ONCE) for first in range(0, parameters, COLUMNS_AT_ONCE))


def _principal_plane(paths: list[np.ndarray]) -> tuple[Plane, tuple[float, float]]:
    """Of points (n, P) of several paths, of which there are few, by the dot products between them."""
    parameters = paths[0].shape[1]
    count = sum(len(path) for path in paths)
    middle, products = np.empty(parameters), np.zeros((count, count))

    def moved(piece: slice) -> np.ndarray:
        return np.concatenate([path[:, piece] for path in paths]) - middle[piece]

    for piece in _pieces(parameters):
        middle[piece] = sum(path[:, piece].sum(axis=0, dtype=np.float64) for path in paths) / count
        points = moved(piece)
        products += points @ points.T
    values, vectors = np.linalg.eigh(products)
    values, vectors = np.maximum(values[::-1][:2], 0), vectors[:, ::-1][:, :2]
    if values[0] <= 1e-24 * count * float(middle @ middle):
        raise ValueError("the parameters did not move, so there is no plane to show their way on; take more steps, or "
                         "a larger learning rate")
    if values[1] <= 1e-12 * values[0]:
        raise ValueError("the snapshots lie on a line, so there is no plane through them; take more steps or snapshots")
    directions = np.concatenate([(moved(piece).T @ vectors).T for piece in _pieces(parameters)], axis=1)
    directions /= np.sqrt(values)[:, np.newaxis]
    backwards = (paths[-1][-1] - paths[-1][0]) @ directions[0] < 0   # descents go from left to right
    directions[0] *= -1 if backwards else 1
    shares = values / np.trace(products)
    plane = Plane(middle, directions, "the first two principal components of the paths")
    return plane, (float(shares[0]), float(shares[1]))


@keyword_only
def random_plane(net: Network, *, seed: int | None = None) -> Plane:
    """A plane through the network along two random directions, each unit of which is as long as the network's own.

    Each unit's incoming weights are drawn from the normal distribution and scaled to the length of the network's, so
    that pictures of networks can be compared whatever their scale; biases stay (Li et al. 2018, arXiv 1712.09913,
    "filter normalisation"). On the grid, 1 is as far as the weights are from zero. A fitted estimator stands for its
    network.

    >>> import fastsgd
    >>> plane = fastsgd.descent.random_plane(fastsgd.Network([64, 32, 10], seed=0), seed=0)
    >>> plane.directions.shape
    (2, 2410)
    """
    net, rng = as_network(net), generator(seed)
    directions = np.zeros((2, net.params.size))
    for direction in directions:
        for layer, W in zip(layers_of(net.architecture), net.weights, strict=True):
            drawn = rng.standard_normal(W.shape)
            lengths = np.linalg.norm(W.astype(np.float64), axis=0)
            drawn *= lengths / np.maximum(np.linalg.norm(drawn, axis=0), 1e-300)
            direction[layer][:drawn.size] = drawn.ravel()
    return Plane(net.params.astype(np.float64), directions, "two random directions, units as long as the network's")


@keyword_only
def cost_surface(net: Network, X: RowsLike, y: ArrayLike, plane: Plane | Trajectory | None = None, *,
                 resolution: int | tuple[int, int] = 41, extent: tuple[float, float, float, float] | None = None,
                 threads: int | None = None, progress: bool | None = None) -> CostSurface:
    """The cost over the rows on a grid of a plane of parameters.

    What the first layer receives does not change, so that what it computes is linear in the two coordinates: three
    products serve the whole grid, and each point costs the other layers only.

    Parameters
    ----------
    net : Network or fitted estimator
        Says what is computed; where ``plane`` is None, where, too.
    X, y
        As in :func:`fastsgd.train`, for an estimator as in its fit. A few thousand rows give the same picture
        as all of them.
    plane : Plane or Trajectory, optional
        :func:`random_plane` of the network by default.
    resolution : int or two of them
        Points along x and y.
    extent : four float, optional
        ``(x from, x to, y from, y to)``; a trajectory's own, else -1 to 1.
    threads : int, optional
    progress : bool, optional
        As in :func:`race`.

    Returns
    -------
    CostSurface

    Raises
    ------
    ValueError, TypeError
        For an argument that cannot be used.
    FloatingPointError
        Where the cost is not finite anywhere on the grid.

    Examples
    --------
    >>> import fastsgd
    >>> (X, y), _ = fastsgd.datasets.digits()
    >>> net = fastsgd.Network([64, 32, 10], seed=0)
    >>> _ = fastsgd.train(net, X, y, seed=0)
    >>> surface = fastsgd.descent.cost_surface(net, X, y, resolution=11)
    >>> surface.cost.shape, bool(surface.cost[5, 5] == surface.cost.min())
    ((11, 11), True)
    """
    net, X, y = as_network_and_rows(net, X, y)
    X, y = checked.check(net, X, y)
    if plane is None:
        plane = random_plane(net, seed=0)
    if isinstance(plane, Trajectory):
        extent = plane.extent() if extent is None else extent
        plane = plane.plane
    if plane.directions.shape != (2, net.params.size):
        raise ValueError(f"plane must be one of the network's {net.params.size} parameters, got directions of shape "
                         f"{plane.directions.shape}")
    ends = np.asarray((-1.0, 1.0, -1.0, 1.0) if extent is None else extent, dtype=float)
    if ends.shape != (4,) or not np.isfinite(ends).all() or not (ends[0] < ends[1] and ends[2] < ends[3]):
        raise ValueError(f"extent must be (x from, x to, y from, y to), each from below its to, got {extent}")
    points = resolution if isinstance(resolution, tuple) else (resolution, resolution)
    for count in points:
        check_whole("resolution", count, least=2)
    grid = _Grid(net, X, y, plane, threads)
    across, up = np.linspace(ends[0], ends[1], points[0]), np.linspace(ends[2], ends[3], points[1])
    cost = np.empty((len(up), len(across)))
    with Meter(progress, "cost surface", cost.size, " points") as meter:
        meter.begin(f"{len(across)} x {len(up)} points")
        for j, q in enumerate(up):
            cost[j] = [grid.cost(p, q) for p in across]
            meter.at((j + 1) * len(across))
    cost[~np.isfinite(cost)] = math.inf
    if np.isinf(cost).all():
        raise FloatingPointError("the cost is not finite anywhere on the grid; give a smaller extent")
    return CostSurface(plane, across, up, cost, len(X))


class _Grid:
    """Costs of points of a plane: what the first layer computes of each direction, and the rest of the network."""

    def __init__(self, net: Network, X, y, plane: Plane, threads: int | None):
        architecture, outputs = net.architecture, net.sizes[1]
        self._y, self._threads = y, checked.threads_for(net, threads, len(X))
        first, rows = layers_of(architecture)[0], scaled_input(net, X)
        origin, *along = (linear_map(rows, flat[first].astype(net.dtype), outputs, threads)
                          for flat in (plane.origin, *plane.directions))
        self._Z, self._along = origin, (along[0], along[1])
        # of no hidden layer nothing is left but what is done to its outputs: a layer that passes them on
        sizes, activations = net.sizes[1:], architecture.activations
        if len(sizes) == 1:
            sizes, activations = (outputs, outputs), ("identity", *activations)
        self._activation = activations[0]
        self._rest = Architecture.dense(sizes, activations[1:], architecture.loss, architecture.loss_parameters)
        self._params = aligned_zeros((self._rest.parameters,), net.dtype)
        self._parts = [flat[first.stop:] for flat in (plane.origin, *plane.directions)]
        if not self._parts[0].size:
            self._params[:outputs**2] = np.eye(outputs).ravel()

    def cost(self, p: float, q: float) -> float:
        origin, first, second = self._parts
        if origin.size:
            self._params[:] = origin + p * first + q * second
        return _kernel.cost_on_plane(self._rest, self._params, self._Z, self._along, (p, q), self._activation, self._y,
                                     self._threads) / len(self._Z)
