"""Which batch size is the fastest to a target cost on this machine?"""
from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from fastsgd.arguments import check_whole
from fastsgd.data.checks import generator, one_seed
from fastsgd.descent.descend import Problem, check_seconds, descend, prepare
from fastsgd.descent.noise import require_finite, row_noise
from fastsgd.display.bars import Meter
from fastsgd.display.numbers import noise_in_rows
from fastsgd.display.shown import Shown, Table
from fastsgd.network.network import Network
from fastsgd.optimizers import SGD, Optimizer, check_fits, check_optimizer
from fastsgd.runs.settings import Settings
from fastsgd.runs.start import train_rows

if TYPE_CHECKING:
    from fastsgd.data.typing import ArrayLike, RowsLike

SERIES = tuple(m * 10**e for e in range(4) for m in (1, 2, 5))
JUDGED_ROWS, NOISE_ROWS = 5000, 1024
MEASURED = 0.02                          # seconds of steps that are timed for each size
TIMES = 3                                # measurements of each size at least
FAR_OVER = 4.0                           # times a size's share of the time: too slow to be measured again
MAX_NOISE = 1e6                         # rows; a larger noise scale is as good as infinite
WORTH_TRYING = 4.0                       # times the shortest time that is expected


@dataclass
class Candidate:
    """A batch size, and what is known of it.

    Attributes
    ----------
    batch_size : int
    step : float
        Seconds, measured.
    steps : float
        Expected for the same progress, as a multiple of what noiseless steps need: 1 + noise scale / batch size.
    expected : float
        step * steps, as a multiple of the least.
    seconds : float or None
        Until the target was reached when it was tried, infinite where it was not; None where it was not tried.
    cost : float or None
        At the end of that.
    """

    batch_size: int
    step: float
    steps: float = math.nan
    expected: float = math.nan
    seconds: float | None = None
    cost: float | None = None


@dataclass(repr=False)
class BatchSize(Shown):
    """What :func:`suggest_batch_size` found. It is shown as the table it was decided from.

    Attributes
    ----------
    batch_size : int
    target : float
        The cost to be reached.
    noise_scale : float
        In rows, halfway there; infinite where no gradient can be told from the noise.
    candidates : list of Candidate
    reached : bool
        Whether one of them reached the target in its time; else the one with the lowest cost was taken.
    """

    batch_size: int
    target: float
    noise_scale: float
    candidates: list[Candidate]
    reached: bool

    def table(self) -> list[dict]:
        """One entry per batch size, as plain numbers."""
        return [vars(candidate) | {"chosen": candidate.batch_size == self.batch_size} for candidate in self.candidates]

    def _shown(self) -> Table:
        about = (f"batch size {self.batch_size:,}: "
                 + ("the fastest to" if self.reached else "the lowest cost in equal time, on the way to")
                 + f" cost {self.target:.3g}; noise scale {noise_in_rows(self.noise_scale)}")
        rows = [[f"{each.batch_size:,}", f"{each.step * 1e6:.1f}",
                 f"x {each.steps:.2f}" if math.isfinite(each.steps) else "-", f"x {each.expected:.2f}",
                 "" if each.seconds is None else f"{each.seconds:.3g}" if math.isfinite(each.seconds) else "-",
                 "" if each.cost is None else f"{each.cost:.4g}" if math.isfinite(each.cost) else "diverged"]
                for each in self.candidates]
        head = ("batch size", "microseconds a step", "steps needed", "time expected", "seconds to the cost", "cost")
        return Table(about, head, rows, [each.batch_size for each in self.candidates].index(self.batch_size))


def suggest_batch_size(net: Network, X: RowsLike, y: ArrayLike,
                       optimizer: Optimizer = SGD(0.1), *,  # noqa: B008 - a frozen dataclass
                       target: float | None = None, batch_sizes: Iterable[int] | None = None, seconds: float = 5.0,
                       seed: int | None = None, threads: int | None = None,
                       progress: bool | None = None) -> BatchSize:
    """The batch size that is the fastest to a target cost on this machine, with this optimizer.

    A step of B rows takes a time that is measured here, and for the same progress some 1 + noise scale / B times as
    many steps are needed as without noise (McCandlish 2018, arXiv 1812.06162, eq. 2.11). What that leaves in question,
    as a learning rate that stays the same is not the best one for every batch, is tried on copies of the network.

    Parameters
    ----------
    net : Network or fitted estimator
        Where the training will begin; it is not changed.
    X, y
        As in :func:`fastsgd.train`, for an estimator as in its fit.
    optimizer : Optimizer
        Taken as it is with every batch size; of a schedule the highest learning rate.
    target : float, optional
        The mean cost over the rows, below that at the start; a tenth of that by default.
    batch_sizes : iterable of int, optional
        To choose from; 1, 2, 5, 10, ... 5,000 by default, as far as there are rows.
    seconds : float
        Of steps, for trying; measuring takes some tenths of a second, at most about as long again. What is not a step,
        such as looking at the cost, comes on top.
    seed : int or None
    threads : int, optional
        As in :func:`fastsgd.train`.
    progress : bool, optional
        As in :func:`race`.

    Returns
    -------
    BatchSize

    Raises
    ------
    ValueError, TypeError
        For an argument that cannot be used.
    FloatingPointError
        Where the cost is not finite at the start, or every size diverges.

    Examples
    --------
    >>> import fastsgd
    >>> (X, y), _ = fastsgd.datasets.digits()
    >>> found = fastsgd.descent.suggest_batch_size(fastsgd.Network([64, 32, 10], seed=0), X, y, seconds=0.5,
    ...                                            seed=0)
    >>> found.batch_size in (1, 2, 5, 10, 20, 50, 100, 200)
    True
    """
    net, X, y = prepare(net, X, y)
    check_optimizer(optimizer)
    check_fits(optimizer, net.architecture)
    optimizer = _at_its_largest_rate(optimizer)
    sizes = [size for size in SERIES if size <= len(X)] if batch_sizes is None else sorted(set(batch_sizes))
    for size in sizes:
        check_whole("batch_sizes", size, least=1)
        if size > len(X):
            raise ValueError(f"batch_sizes must be at most the rows of X, {len(X)}, got {size}")
    if not sizes:
        raise ValueError("batch_sizes must not be empty")
    check_seconds(seconds)
    seed = one_seed(seed)
    rng = generator(seed)
    judged = np.sort(rng.permutation(len(X))[:JUDGED_ROWS])
    judged_X, judged_y = X[judged], y[judged]
    start = net.cost(judged_X, judged_y, threads=threads)
    require_finite(start)
    target = min(0.1 * start, 1.9 * start) if target is None else float(target)         # a likelihood's may be negative
    if not target < start or target == -math.inf:
        raise ValueError(f"target must be below the cost at the start, {start:.4g}, got {target!r}")

    problem = Problem(net, X, y, threads, seed)
    with Meter(progress, "batch size", 2.2 * seconds, " s") as meter:       # measured, a pilot, and tried
        meter.begin("measuring steps", line=False)
        candidates = _timed(problem, optimizer, sizes, seconds)
        meter.at(seconds)
        meter.begin("measuring noise", line=False)
        noise = _noise_on_the_way(problem, judged, optimizer, start, target, seconds)
        for each in candidates:
            each.steps = 1 + noise / each.batch_size
            each.expected = each.step * (1 + min(noise, MAX_NOISE) / each.batch_size)
        least = min(each.expected for each in candidates)
        for each in candidates:
            each.expected /= least
        likely = sum(each.expected <= WORTH_TRYING for each in candidates)
        tried: list[Candidate] = []
        limit = seconds / likely
        for each in sorted(candidates, key=lambda each: each.expected):
            if len(tried) >= likely and any(other.cost != math.inf for other in tried):
                break
            what = f"batches of {each.batch_size:,}"
            meter.begin(f"trying {what}", line=False)
            watch = descend(problem, each.batch_size, optimizer, limit, judged=(judged_X, judged_y), target=target,
                            tell=meter.within((1.2 + len(tried) / likely) * seconds, seconds / likely))
            each.seconds, each.cost = watch.crossing(target, start), math.inf if watch.diverged else watch.cost[-1]
            limit = min(limit, each.seconds)
            tried.append(each)
            meter.found(what, "diverged" if watch.diverged else f"cost {each.cost:.4g}")
    chosen = min(tried, key=lambda each: (each.seconds, each.cost))
    if chosen.cost == math.inf:
        raise FloatingPointError(f"{optimizer!r} diverges with every batch size, from {sizes[0]} to "
                                 f"{candidates[-1].batch_size}; try a smaller learning rate")
    return BatchSize(chosen.batch_size, target, noise, candidates, limit < seconds / likely)


# ---- its parts ----

def _noise_on_the_way(problem: Problem, judged: np.ndarray, optimizer: Optimizer, start: float, target: float,
                      seconds: float) -> float:
    """The noise scale where the logarithm of the cost is halfway to the target, or where a tenth of the time ends."""
    X, y, pilot = problem.X, problem.y, problem.net.copy()
    descend(replace(problem, net=pilot, seed=0), min(100, len(X)), optimizer, seconds / 10,
            judged=(X[judged], y[judged]), target=math.sqrt(start * target) if min(start, target) > 0 else target,
            in_place=True)
    rows = judged[np.linspace(0, len(judged) - 1, min(NOISE_ROWS, len(judged))).astype(int)]
    if len(rows) < 2:
        return 0.0
    noise = row_noise(pilot, X[rows], y[rows], threads=problem.threads).noise_scale
    return noise if noise <= MAX_NOISE else math.inf


def _timed(problem: Problem, optimizer: Optimizer, sizes: list[int], seconds: float) -> list[Candidate]:
    """The sizes and the shortest time of a step of each; the series ends at a size whose step takes its whole share."""
    still = replace(optimizer, learning_rate=0.0)         # takes as long and goes nowhere
    X, y, scratch = problem.X, problem.y, problem.net.copy()
    share, found = seconds / len(sizes), []
    enough = min(MEASURED, share)
    for size in sizes:
        times: list[float] = []
        begin = time.perf_counter()
        while (spent := time.perf_counter() - begin) < enough or (len(times) < TIMES and spent < FAR_OVER * share):
            steps = 2 ** len(times) if spent < enough else 1
            rows = min(len(X), steps * size)
            chosen = slice(rows) if isinstance(X, np.ndarray) else np.arange(rows)
            settings = Settings(scratch, optimizer=still, epochs=max(1, steps * size // rows),
                                threads=problem.threads)
            history = train_rows(settings, X[chosen], y[chosen], batch_size=size, seed=0)
            times.append(sum(history.seconds) / history.steps)
        found.append(Candidate(size, min(times)))
        if min(times) > share:
            break
    return found


def _at_its_largest_rate(optimizer: Optimizer) -> Optimizer:
    """With the highest learning rate that its schedule has in a run of a thousand steps, if it has one."""
    if not callable(optimizer.learning_rate):
        return optimizer
    return replace(optimizer, learning_rate=float(optimizer.over(1000).learning_rates(0, 1000).max()))
