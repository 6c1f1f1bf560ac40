"""Where a training run is: its counters while it trains, and the same as a checkpoint keeps them."""
from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from fastsgd.optimizers import CARRIED, Optimizer, State
from fastsgd.runs.generators import OwnGenerators, check_state

# The names in the file, which are those of its first version.
ON_DISK = {"rng_at_start": "first_draw", "rng_at_epoch": "draw", "cumulative_l1": "penalty"}


@dataclass
class Counters:
    """Where a run is between two steps, beside its arrays: all numbers that it needs to resume to the same bits."""

    steps: int
    steps_at_epoch: int              # that had been made when the present epoch began
    cost: float                      # sums over the rows of the present epoch
    score: float
    seconds: float                   # of the present epoch
    rate_factor: float
    factors: list                    # [steps, factor of their learning rates] of each pass of the present epoch
    rng_at_start: dict               # the generator's state before it drew anything,
    rng_at_epoch: dict               # and before it drew the order of the present epoch
    cumulative_l1: Any = 0.0         # these are of the optimizer's State, of each member where there are several
    mu_product: Any = 1.0
    weight_sum: Any = 0.0
    stopped: list = field(default_factory=list)      # numbers of members that have diverged

    @classmethod
    def from_json(cls, values: dict) -> Counters:
        """What :meth:`as_json` gave; ValueError, KeyError or TypeError for all else."""
        known = {ON_DISK.get(field.name, field.name): field.name for field in fields(cls)}
        return cls(**{known[name]: value for name, value in values.items()}).checked()

    def as_json(self) -> dict:
        """A dict of numbers, lists and dicts."""
        unused = {"stopped": [], "mu_product": 1.0, "weight_sum": 0.0}            # which older files lack
        return {ON_DISK.get(name, name): value for name, value in vars(self).items()
                if name not in unused or value != unused[name]}

    def checked(self) -> Counters:
        """These, with the factors of as many steps as were made; ValueError where they do not fit each other."""
        for name, kind in (("steps", int), ("steps_at_epoch", int), ("cost", float), ("score", float),
                           ("seconds", float), ("rate_factor", float), ("factors", list), ("stopped", list),
                           *((name, float | list) for name in CARRIED)):
            if not isinstance(getattr(self, name), kind):
                raise ValueError(f"{name} is {getattr(self, name)!r}")
        if not 0 <= self.steps_at_epoch <= self.steps < 2**53:
            raise ValueError(f"{self.steps} steps, {self.steps_at_epoch} before the epoch")
        for name in ("cost", "seconds", "rate_factor", *CARRIED):
            if not np.isfinite(getattr(self, name)).all():
                raise ValueError(f"{name} is {getattr(self, name)}")
        if not all(type(number) is int and 0 <= number < 2**31 for number in self.stopped):
            raise ValueError(f"stopped is {self.stopped!r}")
        self.factors = list(self._factors_upto(self.steps_in_epoch))
        for rng_state in (self.rng_at_start, self.rng_at_epoch):
            check_state(rng_state)
        return self

    @property
    def steps_in_epoch(self) -> int:
        """Steps of the present epoch that were made."""
        return self.steps - self.steps_at_epoch

    def _factors_upto(self, left: int):
        """The factors of the first steps of the present epoch."""
        for made, factor in self.factors:
            if type(made) is not int or made < 0 or not math.isfinite(factor):
                raise ValueError(f"a pass has {made!r} steps and the factor {factor!r}")
            if left:
                yield [min(made, left), factor]
            left -= min(made, left)
        if left:
            raise ValueError(f"its passes lack {left} steps")


class RunState:
    """The counters of a run while it trains. The engine counts steps and sums in ``of_optimizer``.

    ``rate_factor`` is what callbacks ask for; ``acting_factor``, its value at the beginning of the epoch or at the
    last evaluation, is what learning rates are multiplied by.
    """

    def __init__(self, of_optimizer: State, rng: np.random.Generator | OwnGenerators, rng_at_start: Mapping):
        self.of_optimizer, self.rng = of_optimizer, rng
        self.rng_at_start, self.rng_at_epoch = rng_at_start, rng.bit_generator.state
        self.steps_at_epoch = of_optimizer.steps
        self.seconds = 0.0
        self.rate_factor = self.acting_factor = 1.0
        self.factors: list = []

    @property
    def steps(self) -> int:
        """Steps in all."""
        return self.of_optimizer.steps

    @property
    def steps_in_epoch(self) -> int:
        """Steps of the present epoch."""
        return self.of_optimizer.steps - self.steps_at_epoch

    def begin_epoch(self) -> None:
        """Sums and factors of an epoch of which no step has been made."""
        self.factors, self.acting_factor = [], self.rate_factor
        self.of_optimizer.cost = self.of_optimizer.score = self.seconds = 0.0
        if self.of_optimizer.output_costs is not None:
            self.of_optimizer.output_costs[:] = 0

    def rates_so_far(self, optimizer: Optimizer) -> list[np.ndarray]:
        """The learning rates of the epoch's steps that were made before a checkpoint."""
        steps = self.steps_in_epoch
        factors = np.repeat([factor for _, factor in self.factors], [steps for steps, _ in self.factors])[:steps]
        return [optimizer.learning_rates(self.steps_at_epoch, steps) * factors] if steps else []

    def counters(self) -> Counters:
        """The counters as they are now."""
        engine = self.of_optimizer
        # Ctrl-C may have come between a pass and its entry in the factors.
        missing = self.steps_in_epoch - sum(steps for steps, _ in self.factors)
        factors = [*self.factors, [missing, self.acting_factor]] if missing > 0 else self.factors
        return Counters(steps=engine.steps, steps_at_epoch=self.steps_at_epoch, cost=float(engine.cost),
                        score=float(engine.score), seconds=float(self.seconds), rate_factor=float(self.rate_factor),
                        factors=factors, rng_at_start=dict(self.rng_at_start), rng_at_epoch=dict(self.rng_at_epoch),
                        stopped=np.flatnonzero(engine.stopped).tolist(),
                        **{name: np.array(getattr(engine, name), float).tolist() for name in CARRIED})

    def restore(self, counters: Counters, evaluated: bool, members: int) -> None:
        """Takes over the counters of a checkpoint; ``evaluated`` says whether its last step was followed by one."""
        engine = self.of_optimizer
        engine.steps, self.steps_at_epoch = counters.steps, counters.steps_at_epoch
        engine.cost, engine.score = counters.cost, counters.score
        for name in CARRIED:
            setattr(engine, name, getattr(counters, name))
        engine.stopped = np.isin(np.arange(members), counters.stopped)
        self.seconds, self.rate_factor, self.factors = counters.seconds, counters.rate_factor, counters.factors
        self.acting_factor = self.rate_factor
        if counters.steps_in_epoch and self.factors and not evaluated:
            self.acting_factor = self.factors[-1][1]
        self.rng.bit_generator.state = self.rng_at_epoch = counters.rng_at_epoch
