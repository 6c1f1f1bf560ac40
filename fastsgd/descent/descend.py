"""One descent for a limited time: what is descended, and which cost it has after how many seconds."""
from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastsgd.network import checked
from fastsgd.network.derived import for_scaled_targets
from fastsgd.network.given import as_network_and_rows
from fastsgd.network.network import Network
from fastsgd.optimizers import Optimizer
from fastsgd.runs.callback import Callback, Run
from fastsgd.runs.settings import Settings
from fastsgd.runs.start import train_rows

PROGRESS_EVERY = 1.0                     # seconds of steps between two updates of the bar within a pass: they cost time
NEXT_LOOK = 1.15                         # times the steps so far, until the cost is measured again


@dataclass(frozen=True, eq=False)
class Problem:
    """A network that is to descend, and the rows that it descends on.

    Attributes
    ----------
    net : Network
        Where a descent starts.
    X, y
        As ``prepare`` returns them.
    threads : int or None
    seed : int or None
        Of the order of the rows.
    """

    net: Network
    X: Any
    y: np.ndarray
    threads: int | None = None
    seed: int | None = 0


def prepare(net: Any, X: Any, y: Any) -> tuple[Network, Any, np.ndarray]:
    """The network that is to descend, and the rows as the engine takes them: targets are scaled already."""
    net, X, y = as_network_and_rows(net, X, y)
    X, y = checked.check(net, X, y)
    return for_scaled_targets(net), X, y


def check_seconds(seconds: float) -> None:
    """ValueError for no time, and for time without end."""
    if not seconds > 0 or seconds == math.inf:
        raise ValueError(f"seconds must be above 0 and finite, got {seconds!r}")


def name_of(batch_size: int) -> str:
    """A descent in words."""
    return f"mini-batches of {batch_size:,}" if batch_size > 1 else "row by row"


class Watch(Callback):
    """Measures the cost of some rows ever less often, until the time is over or the cost is as low as was asked."""

    explains = True                  # no warning of ``train``: descents that learn nothing are part of the comparison

    def __init__(self, X, y, limit: float, threads: int | None, target: float, looks: bool,
                 tell: Callable[[float], object] | None = None):
        self.X, self.y, self.limit, self.threads, self.target, self.looks = X, y, limit, threads, target, looks
        self._tell, self._told = tell, 0.0
        self.steps: list[int] = []
        self.seconds: list[float] = []
        self.cost: list[float] = []
        self.diverged = False

    def on_start(self, run: Run) -> None:
        """Without looks eight steps are made first, which tell how many fit into the time."""
        self._run, run.evaluate_every = run, 1 if self.looks else 8

    def on_evaluation(self, run: Run) -> None:
        """Notes the cost, and sets after how many steps the next one is due."""
        self._note(run)
        self._tell_of(run)
        last, left = run.seconds, self.limit - run.seconds
        to_the_end = max(1, round(left * run.steps / max(last, 1e-9)))
        further = max(1, math.ceil(run.steps * (NEXT_LOOK - 1))) if self.looks else to_the_end
        run.evaluate_every = run.steps + min(further, to_the_end)
        run.stop = left <= 0 or self.cost[-1] <= self.target

    def on_rows(self, run: Run) -> None:
        """Ends the run where steps have become slower, and updates the progress."""
        run.stop = run.seconds >= 1.05 * self.limit
        if run.seconds - self._told >= PROGRESS_EVERY:
            self._tell_of(run)

    def finish(self) -> None:
        """Notes the cost after the last step, if it has not been."""
        if self._run.steps > (self.steps[-1] if self.steps else 0):
            self._note(self._run)

    def crossing(self, cost: float, start: float) -> float:
        """Seconds to this cost, interpolated in its logarithm between measurements; infinite where not reached."""
        below = np.flatnonzero(np.array(self.cost) <= cost)
        if not len(below):
            return math.inf
        costs, seconds = [start, *self.cost], [0.0, *self.seconds]
        i = int(below[0])                               # costs[i] is the last above
        if not costs[i] > costs[i + 1] > 0 or cost <= 0:
            return seconds[i + 1]
        share = math.log(costs[i] / cost) / math.log(costs[i] / costs[i + 1])
        return seconds[i] + min(1.0, max(0.0, share)) * (seconds[i + 1] - seconds[i])

    def _tell_of(self, run: Run) -> None:
        if self._tell is not None:
            self._told = run.seconds
            self._tell(self._told)

    def _note(self, run: Run) -> None:
        if run.history.validation_steps[-1:] == [run.steps]:
            cost = run.history.validation_cost[-1]
        else:
            cost = run.net.cost(self.X, self.y, threads=self.threads)
        self.steps.append(run.steps)
        self.seconds.append(run.seconds)
        self.cost.append(cost)


def descend(problem: Problem, batch_size: int | None, optimizer: Optimizer, seconds: float, *,
            judged: tuple | None = None, target: float = -math.inf, looks: bool = True, in_place: bool = False,
            tell: Callable[[float], object] | None = None) -> Watch:
    """A descent of a copy of the network for so many seconds, or until the cost of the ``judged`` rows is the target.

    These are the rows that it descends on by default. ``tell`` is called with the seconds of steps so far.
    """
    net = problem.net if in_place else problem.net.copy()
    X, y = judged = (problem.X, problem.y) if judged is None else judged
    watch = Watch(X, y, limit=seconds, threads=problem.threads, target=target, looks=looks, tell=tell)
    settings = Settings(net, optimizer=optimizer, epochs=10**9, threads=problem.threads, validation=judged,
                        evaluate_every=1, callbacks=[watch])
    try:
        train_rows(settings, problem.X, problem.y, batch_size=batch_size, seed=problem.seed,
                   shuffle=batch_size is not None)
        watch.finish()
    except FloatingPointError:
        watch.diverged = True
    watch.diverged |= not watch.cost or not math.isfinite(watch.cost[-1])
    return watch
