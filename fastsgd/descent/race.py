"""Full gradient descent against mini-batches: the cost that each reaches in equal time."""
from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsgd.data.checks import check_batch_size, one_seed
from fastsgd.deprecation import keyword_only
from fastsgd.descent.descend import Problem, Watch, check_seconds, descend, name_of, prepare
from fastsgd.descent.noise import require_finite
from fastsgd.display.bars import Meter
from fastsgd.display.shown import Shown, Table
from fastsgd.network.network import Network
from fastsgd.optimizers import SGD
from fastsgd.runs.settings import Settings
from fastsgd.runs.start import train_rows

if TYPE_CHECKING:
    from fastsgd.data.typing import ArrayLike, RowsLike

FIRST_RATE, FACTOR, MAX_RATE = 0.1, 3.0, 1000.0
TRIAL = 0.15                             # share of a runner's time for each learning rate that is tried


@dataclass(eq=False, repr=False)
class Runner:
    """One descent of a :class:`Race`.

    Attributes
    ----------
    name : str
    batch_size : int or None
        None for full gradient descent.
    learning_rate : float
    tried : dict of float to float
        Learning rates, and the cost that a short run with each came to; infinite where it diverged.
    seconds, examples, steps, cost : ndarray
        When the cost over all rows was measured (steps alone counted), and what it was.
    diverged : bool
        Whether its cost stopped being finite.
    """

    name: str
    batch_size: int | None
    learning_rate: float
    tried: dict[float, float]
    seconds: np.ndarray
    examples: np.ndarray
    steps: np.ndarray
    cost: np.ndarray
    diverged: bool = False

    def time_to(self, cost: float) -> float:
        """Seconds until the cost was first at most this, infinite where it never was."""
        reached = np.flatnonzero(self.cost <= cost)
        return float(self.seconds[reached[0]]) if len(reached) else math.inf

    def __repr__(self) -> str:
        return (f"Runner({self.name}: learning rate {self.learning_rate:.4g}, {self.steps[-1]:,} steps, "
                f"{self.seconds[-1]:.3g} s, " + ("diverged)" if self.diverged else f"cost {self.cost[-1]:.4g})"))


@dataclass(eq=False, repr=False)
class Race(Shown):
    """What :func:`race` found. It is shown as a table.

    Attributes
    ----------
    runners : list of Runner
    rows : int
        Of the data.
    seconds : float
        That each had.
    """

    runners: list[Runner]
    rows: int
    seconds: float

    @property
    def full(self) -> Runner | None:
        """Full gradient descent, where it took part."""
        return next((runner for runner in self.runners if runner.batch_size is None), None)

    @property
    def goal(self) -> float:
        """The cost that full gradient descent comes to; NaN where it took no part, diverged, or never went down."""
        full = self.full
        return math.nan if full is None or full.diverged or not full.cost[-1] < full.cost[0] else float(full.cost[-1])

    def sooner(self, runner: Runner) -> float:
        """How many times sooner than full gradient descent this runner had its cost at the end; NaN without a goal."""
        if self.full is None or math.isnan(self.goal):
            return math.nan
        return float(self.full.seconds[-1]) / runner.time_to(self.goal)

    def table(self) -> list[dict]:
        """One entry per runner, as plain numbers."""
        return [{"runner": runner.name, "batch_size": runner.batch_size, "learning_rate": runner.learning_rate,
                 "steps": int(runner.steps[-1]), "examples": int(runner.examples[-1]),
                 "seconds": float(runner.seconds[-1]), "cost": float(runner.cost[-1]),
                 "seconds_to_full": math.nan if math.isnan(self.goal) else runner.time_to(self.goal),
                 "sooner": self.sooner(runner)} for runner in self.runners]

    def plot(self, ax: Any = None, against: str = "seconds") -> Any:
        """:func:`fastsgd.plots.race` of this."""
        from fastsgd import plots
        return plots.race(self, ax, against=against)

    def reached(self, runner: Runner) -> str:
        """In words, when a runner had the cost that full gradient descent comes to; nothing where there is no goal."""
        if runner.batch_size is None or math.isnan(self.goal):
            return ""
        after, sooner = runner.time_to(self.goal), self.sooner(runner)
        if not math.isfinite(after):
            return "no" if runner.diverged else f"not in {runner.seconds[-1]:.3g} s"
        times = f"{sooner:,.0f}" if sooner >= 99.95 else f"{sooner:.3g}"
        return f"after {after:.3g} s, " + (f"{times} times sooner" if sooner >= 1.005 else "no sooner")

    def _shown(self) -> Table:
        compared = not math.isnan(self.goal) and len(self.runners) > 1
        head = ["runner", "learning rate", "steps", "seconds", "final cost"]
        rows = [[runner.name, f"{runner.learning_rate:.4g}", f"{runner.steps[-1]:,}", f"{runner.seconds[-1]:.2f}",
                 "diverged" if runner.diverged else f"{runner.cost[-1]:.4g}",
                 *([self.reached(runner)] if compared else [])] for runner in self.runners]
        return Table("", head + ["reaches full descent's final cost"] * compared, rows)


@keyword_only
def race(net: Network, X: RowsLike, y: ArrayLike, batch_sizes: Iterable[int | None] = (1, 10, 100, 1000, None), *,
         seconds: float = 5.0, learning_rates: Sequence[float] | None = None, seed: int | None = None,
         threads: int | None = None,
         progress: bool | None = None) -> Race:
    """Plain gradient descent with several batch sizes from the same start, each for the same time at its own best rate.

    The cost over all rows is measured ever less often, and the time that takes is not counted. Before it starts, every
    runner tries learning rates for a seventh of the time each, by factors of 3 and then of 1.7, and takes the one that
    came furthest.

    Parameters
    ----------
    net : Network or fitted estimator
        Where all start; it is not changed.
    X, y
        As in :func:`fastsgd.train`, for an estimator as in its fit.
    batch_sizes : iterable of int or None
        None is full gradient descent. Sizes that are not below the number of rows are left out.
    seconds : float
        Of each runner, steps alone; what lies between them, and looking at the cost, comes on top.
    learning_rates : sequence of float, optional
        One for each of the batch sizes; nothing is tried then.
    seed : int or None
        Of the orders of the rows, the same for all; None draws one from the operating system.
    threads : int, optional
        The same for all; None leaves to each how many of the same cores it takes.
    progress : bool, optional
        Whether to show the progress: a bar on a terminal or in a notebook, else lines on standard error. None
        shows the bar alone, where it takes longer than a second or two.

    Returns
    -------
    Race

    Raises
    ------
    ValueError, TypeError
        For an argument that cannot be used.
    FloatingPointError
        Where the cost is not finite at the start, or for every learning rate.

    Examples
    --------
    >>> import fastsgd
    >>> (X, y), _ = fastsgd.datasets.digits()
    >>> net = fastsgd.Network([64, 32, 10], seed=0)
    >>> race = fastsgd.descent.race(net, X, y, batch_sizes=(100, None), seconds=0.1, seed=0)
    >>> [runner.name for runner in race.runners], race.sooner(race.runners[0]) > 1
    (['mini-batches of 100', 'full gradient, 1,438 rows'], True)
    """
    net, X, y = prepare(net, X, y)
    sizes = list(batch_sizes)
    for size in sizes:
        if size is not None:
            check_batch_size(size, len(X))
    if learning_rates is not None and len(learning_rates) != len(sizes):
        raise ValueError(f"learning_rates must have one entry for each of the {len(sizes)} batch_sizes, got "
                         f"{len(learning_rates)}")
    rates = [None] * len(sizes) if learning_rates is None else list(learning_rates)
    for given in filter(None, rates):
        SGD(given)                                          # says what is wrong with it
    chosen = [(size, rate) for size, rate in zip(sizes, rates, strict=True) if size is None or size < len(X)]
    if not chosen:
        raise ValueError(f"batch_sizes must have one below the {len(X)} rows of X, or None, got {sizes}")
    seed = one_seed(seed)
    check_seconds(seconds)
    start = float(net.cost(X, y, threads=threads))
    require_finite(start)
    train_rows(Settings(net.copy(), optimizer=SGD(0.0), epochs=1, threads=threads), X, y, seed=0)  # wakes the threads

    problem, found = Problem(net, X, y, threads, seed), Race([], len(X), float(seconds))
    of_one = seconds * (2 if learning_rates is None else 1)        # looking for a rate takes about as long
    with Meter(progress, "race", of_one * len(chosen), " s") as meter:
        for number, (size, rate) in enumerate(chosen):
            name = f"full gradient, {len(X):,} rows" if size is None else name_of(size)
            before = number * of_one
            tried: dict[float, float] = {}
            if rate is None:
                meter.begin(name, more=": looking for its learning rate")
                tried = _try_rates(problem, size, seconds * TRIAL, meter.within(before, seconds))
                before += seconds
            best = min(tried, key=tried.__getitem__) if rate is None else float(rate)
            if tried and not math.isfinite(tried[best]):
                raise FloatingPointError(f"{name} diverges with every learning rate tried: {sorted(tried)}")
            meter.begin(name, line=not tried)
            watch = descend(problem, size, SGD(best), seconds, tell=meter.within(before, seconds))
            runner = _runner(name, size, best, tried, watch, start=start, rows=len(X))
            found.runners.append(runner)
            meter.at((number + 1) * of_one)
            meter.found(name, f"learning rate {best:.3g}, cost {runner.cost[-1]:.4g} after {runner.seconds[-1]:.2f} s "
                              f"and {runner.steps[-1]:,} steps", f"cost {runner.cost[-1]:.3g}")
    return found


# ---- its parts ----

def _runner(name: str, size: int | None, rate: float, tried: dict[float, float], watch: Watch, *, start: float,
            rows: int) -> Runner:
    """A descent that was watched, from the cost ``start``."""
    steps, times = (np.array([0, *values]) for values in (watch.steps, watch.seconds))
    epochs, rest = np.divmod(steps, -(-rows // (size or rows)))          # the last step of an epoch has fewer rows
    return Runner(name=name, batch_size=size, learning_rate=rate, tried=tried, seconds=times, steps=steps,
                  examples=epochs * rows + rest * (size or rows), cost=np.array([start, *watch.cost]),
                  diverged=watch.diverged)


def _try_rates(problem: Problem, size: int | None, seconds: float,
               tell: Callable[[float], object]) -> dict[float, float]:
    """Costs after short runs, by learning rate, until the best one lies between worse ones."""
    tried: dict[float, float] = {}

    def cost_of(rate: float) -> float:
        if rate not in tried:
            before = len(tried) * seconds
            watch = descend(problem, size, SGD(rate), seconds, looks=False, tell=lambda spent: tell(before + spent))
            tried[rate] = math.inf if watch.diverged else watch.cost[-1]
        return tried[rate]

    rate = FIRST_RATE
    for factor in (FACTOR, 1 / FACTOR):
        while 1 / MAX_RATE**2 < rate * factor < MAX_RATE and cost_of(rate * factor) < cost_of(rate):
            rate *= factor
    while not math.isfinite(cost_of(rate)) and rate > 1 / MAX_RATE**2:
        rate /= FACTOR
    for factor in (math.sqrt(FACTOR), 1 / math.sqrt(FACTOR)):
        if cost_of(rate * factor) < cost_of(rate):
            break
    return tried
