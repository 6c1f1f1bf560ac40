"""Learning rates that change with the step.

A schedule is plain data that is called like a function: with a step (0, 1, 2, ...) it returns that step's learning
rate, with an array of steps an array. Any other function of the step serves as well; these are faster and have a
readable repr.

>>> from fastsgd import SGD, schedules
>>> SGD(schedules.WarmUp(100, schedules.Cosine(0.1)))
SGD(WarmUp(steps=100, then=Cosine(rate=0.1, steps=None, end=0.0)))

``steps=None`` means the whole training run, or what a warm-up leaves of it; ``fastsgd.train`` fills it in.
"""
from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np

from fastsgd.arguments import is_number
from fastsgd.deprecation import old_names, renamed_fields
from fastsgd.engine import elementary
from fastsgd.optimizers.parameters import Parameters

__all__ = ["Constant", "CosLog", "Cosine", "Exponential", "FlatCosine", "InverseScaling", "InverseTime", "OneCycle",
           "Schedule", "StepDecay", "WarmUp"]

__getattr__ = old_names(__name__, Bottou="InverseTime", Step="StepDecay")


@dataclass(frozen=True)
class Schedule(Parameters):
    """What the schedules share. ValueError or TypeError for an argument that cannot be used."""

    def __post_init__(self):
        for name in (entry.name for entry in fields(self)):
            value = getattr(self, name)
            if name == "then" or (name == "steps" and value is None):
                continue
            if not is_number(value):
                raise TypeError(f"{type(self).__name__}: {name} must be a number, got {value!r}")
            if not 0 <= value < math.inf:
                raise ValueError(f"{type(self).__name__}: {name} must be at least 0 and finite, got {value!r}")
            if name in ("steps", "every") and (value < 1 or value != int(value)):
                raise ValueError(f"{type(self).__name__}: {name} must be a whole number of steps, at least 1, got "
                                 f"{value!r}")
            if name in ("rise", "flat") and not value < 1:
                raise ValueError(f"{type(self).__name__}: {name} must be below 1, got {value!r}")

    def __call__(self, step):
        steps = np.asarray(step, dtype=np.int64).astype(float)
        rates = self._rates(steps)
        return float(rates) if steps.ndim == 0 else rates

    def between(self, first: int, steps: int) -> np.ndarray:
        """The rates of so many steps from the first one on: those that a call with each of them returns."""
        return self._rates(np.arange(first, first + steps, dtype=float))

    def over(self, steps: int) -> Self:
        """The same for a run of so many steps, where the schedule itself leaves them open."""
        open_ended = "steps" in (entry.name for entry in fields(self)) and self.steps is None     # type: ignore
        return replace(self, **{"steps": max(1, steps)}) if open_ended else self

    def _rates(self, step: np.ndarray) -> np.ndarray:
        raise NotImplementedError(f"{type(self).__name__} has no _rates")

    def _length(self) -> int:
        length = getattr(self, "steps", None)
        if length is None:
            raise ValueError(f"{self!r} does not know how many steps there will be: give steps=, or use it in "
                             "fastsgd.train, or in train_stream with rows=, which do")
        return length


@dataclass(frozen=True)
class Constant(Schedule):
    """Always the same rate.

    >>> Constant(0.1)(7)
    0.1
    """

    rate: float

    def _rates(self, step):
        return np.full(step.shape, float(self.rate))


@dataclass(frozen=True)
class StepDecay(Schedule):
    """``rate * factor ** (step // every)``: multiplied by ``factor`` every so many steps (PyTorch's StepLR).

    >>> StepDecay(0.1, every=10, factor=0.5)(25)
    0.025
    """

    rate: float
    every: int
    factor: float = 0.1

    def _rates(self, step):
        return self.rate * elementary.power(self.factor, step // self.every)


@dataclass(frozen=True)
class Exponential(Schedule):
    """``rate * factor ** (step / every)``: the same, smoothly.

    >>> Exponential(0.1, every=10, factor=0.25)(5)
    0.05
    """

    rate: float
    every: int
    factor: float = 0.5

    def _rates(self, step):
        return self.rate * elementary.power(self.factor, step / self.every)


@dataclass(frozen=True)
class InverseScaling(Schedule):
    """``rate / (1 + step) ** power``; a power of 0.5 to 1 is what convergence proofs ask for (Robbins and Monro 1951).

    >>> InverseScaling(0.1)(3)
    0.05
    """

    rate: float
    power: float = 0.5

    def _rates(self, step):
        return self.rate / elementary.power(1 + step, self.power)


@dataclass(frozen=True)
class InverseTime(Schedule):
    """``rate / (1 + rate * l2 * step)``, for a cost with the penalty ``l2``.

    Bottou 2012, "Stochastic gradient descent tricks"; scikit-learn's learning_rate="optimal" is of this form.

    >>> InverseTime(0.5, l2=0.01)(200)
    0.25
    """

    rate: float
    l2: float

    def _rates(self, step):
        return self.rate / (1 + self.rate * self.l2 * step)


@dataclass(frozen=True)
class Cosine(Schedule):
    """From ``rate`` down to ``end`` along half a cosine (Loshchilov and Hutter 2017, arXiv 1608.03983), then ``end``.

    >>> Cosine(0.1, steps=100)([0, 50, 100])
    array([0.1 , 0.05, 0.  ])
    """

    rate: float
    steps: int | None = None
    end: float = 0.0

    def _rates(self, step):
        done = np.minimum(step / self._length(), 1)
        return _half_cosine(self.rate, self.end, done)


@dataclass(frozen=True)
class FlatCosine(Schedule):
    """``rate`` for the fraction ``flat`` of the steps, then down to ``end`` along half a cosine, then ``end``.

    With the defaults it is the flat_cos of RealMLP (Holzmüller, Grinsztajn and Steinwart 2024, arXiv 2407.04491).

    >>> FlatCosine(0.1, steps=100)([0, 50, 75, 100])
    array([0.1 , 0.1 , 0.05, 0.  ])
    """

    rate: float
    steps: int | None = None
    flat: float = 0.5
    end: float = 0.0

    def _rates(self, step):
        done = np.minimum(step / self._length(), 1)
        return _half_cosine(self.rate, self.end, np.maximum((done - self.flat) / (1 - self.flat), 0))


@dataclass(frozen=True)
class CosLog(Schedule):
    """From 0 up to ``rate`` and down again so many times, each time twice as slowly.

    rate (1 - cos(2 pi log2(1 + (2^cycles - 1) t))) / 2, t being the fraction of the steps that are done; at the end and
    after it 0. With four cycles it is the coslog4 of RealMLP (Holzmüller, Grinsztajn and Steinwart 2024, arXiv
    2407.04491).

    >>> CosLog(0.2, steps=150)([0, 10, 150]).round(6)
    array([0., 0., 0.])
    """

    rate: float
    steps: int | None = None
    cycles: int = 4

    def __post_init__(self):
        super().__post_init__()
        if not 1 <= self.cycles <= 50 or self.cycles != int(self.cycles):
            raise ValueError(f"CosLog: cycles must be a whole number from 1 to 50, got {self.cycles!r}")

    def _rates(self, step):
        done = np.minimum(step / self._length(), 1)
        turns = elementary.log2(1 + (2.0 ** self.cycles - 1) * done)
        return self.rate * (1 - elementary.cos(2 * np.pi * turns)) / 2


@renamed_fields(start="div_factor", end="final_div_factor")
@dataclass(frozen=True)
class OneCycle(Schedule):
    """Up to ``peak`` and down to almost nothing along two half cosines (Smith and Topin 2018, arXiv 1708.07120).

    It begins at ``peak / div_factor``, reaches the peak after the fraction ``rise`` of the steps and ends at
    ``peak / div_factor / final_div_factor``. PyTorch's OneCycleLR gives the same rates; there ``rise`` is pct_start.

    >>> OneCycle(0.5, steps=101)([0, 50])
    array([0.02      , 0.40149209])
    """

    peak: float
    steps: int | None = None
    rise: float = 0.3
    div_factor: float = 25.0
    final_div_factor: float = 1e4

    def __post_init__(self):
        super().__post_init__()
        for name in ("div_factor", "final_div_factor"):
            if not getattr(self, name) > 0:
                raise ValueError(f"OneCycle: {name} must be above 0, got {getattr(self, name)!r}")

    def _rates(self, step):
        length = self._length()
        top = self.rise * length - 1
        low = self.peak / self.div_factor
        last = low / self.final_div_factor
        with np.errstate(divide="ignore", invalid="ignore"):
            up = _half_cosine(low, self.peak, step / top)
            down = _half_cosine(self.peak, last, np.minimum((step - top) / (length - 1 - top), 1))
        return np.where(step < top, up, np.where(np.isnan(down), last, down))


@dataclass(frozen=True)
class WarmUp(Schedule):
    """Rises in ``steps`` equal parts to the first rate of ``then``, a schedule or a number, which then takes over.

    >>> WarmUp(4, then=0.1)([0, 1, 3, 4])
    array([0.025, 0.05 , 0.1  , 0.1  ])
    """

    steps: int
    then: Schedule | float

    def __post_init__(self):
        super().__post_init__()
        then: Any = self.then
        if is_number(then):
            object.__setattr__(self, "then", Constant(then))
        if not isinstance(self.then, Schedule):
            raise TypeError(f"WarmUp: then must be a schedule or a number, got {self.then!r}")

    def over(self, steps):
        then: Any = self.then
        return replace(self, then=then.over(steps - self.steps))

    def _rates(self, step):
        then: Any = self.then
        rising = then(0) * (step + 1) / self.steps
        return np.where(step < self.steps, rising, then(np.maximum(step - self.steps, 0).astype(np.int64)))


def _half_cosine(begin: float, end: float, part: np.ndarray) -> np.ndarray:
    return end + (begin - end) * (1 + elementary.cos(np.pi * part)) / 2
