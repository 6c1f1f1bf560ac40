"""Optimizers as plain data: what to do with a gradient, not the doing of it.

An optimizer is a frozen dataclass. The kernel (and its NumPy reference) reads its fields and applies the
rule to each weight tile where the gradient is formed; the memory a rule needs between steps is a
:class:`State` that belongs to the training run, so one optimizer object can serve many networks.

In the formulas w is a parameter, g its gradient averaged over the mini-batch plus the penalties below,
and eta the learning rate. Every optimizer takes these penalties:

- ``weight_decay`` acts on every parameter, biases too, as in PyTorch: g gains ``weight_decay * w``
  (AdamW instead shrinks w by ``eta * weight_decay * w``, apart from the gradient).
- ``l2`` and ``l1`` act on weights only, as scikit-learn's ``alpha`` does: g gains ``l2 * w`` and
  ``l1 * sign(w)``, the derivatives of ``l2/2 * sum(w**2)`` and ``l1 * sum(abs(w))``.
- ``alpha`` is ``l2`` as MLPClassifier of scikit-learn means it: g gains ``alpha / n * w``, n being the rows of the
  mini-batch, or the sum of their weights.

Without momentum SGD shrinks w by the factor ``max(0, 1 - eta * (l2 + weight_decay))``, which never turns its sign.

Every optimizer also takes what acts around its rule:

- ``clip_value`` limits every entry of the mini-batch's gradient to [-clip_value, clip_value], or ``clip_norm`` its
  length: where it is longer, all of it is scaled down to that (Pascanu, Mikolov and Bengio 2013). Penalties come after.
- ``clip_delta`` limits the slope of every single cost, dC/dz of each output of each row, to [-clip_delta, clip_delta].
- ``max_norm`` limits the length of the weights into each unit of a hidden layer after each step (Srivastava 2014).
- ``average`` keeps a running average of the parameters, and training ends with it: below 1 the exponential one,
  a <- average * a + (1 - average) * w, begun as a plain mean so that it forgets where it started; 1 is the mean of the
  parameters after every step (Polyak and Juditsky 1992). It begins after ``average_from`` steps.
- ``bias_rate`` is what eta is multiplied by for biases; 0 keeps them as they are.

``learning_rate`` is a number, or a function from the step (0, 1, 2, ...) to a number such as those of
``fastsgd.schedules``; every other argument is given by its keyword. All are at least 0 and finite, and momentum,
beta_1, beta_2 and rho below 1: else a ValueError says so, or a TypeError for what is not a number.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields, replace
from functools import partial
from numbers import Integral, Real
from types import FunctionType, MethodType
from typing import ClassVar, Self

import numpy as np

from fastsgd.parameters import Parameters

__all__ = ["SGD", "Adagrad", "Adam", "AdamW", "Optimizer", "PassiveAggressive", "RMSprop", "Recipe", "State",
           "check_fits", "check_optimizer"]


@dataclass(frozen=True, kw_only=True, repr=False)
class Optimizer(Parameters):
    """The fields that every optimizer has. Use one of its subclasses."""

    learning_rate: float | Callable[[int], float] = field(kw_only=False)
    weight_decay: float = 0.0
    l1: float = 0.0
    l2: float = 0.0
    alpha: float = 0.0
    clip_norm: float | None = None
    clip_value: float | None = None
    clip_delta: float | None = None
    max_norm: float | None = None
    average: float | None = None
    average_from: int = 0
    bias_rate: float = 1.0

    kind: ClassVar[str]
    flags: ClassVar[tuple[str, ...]] = ("nesterov", "truncate", "squared")
    above_zero: ClassVar[tuple[str, ...]] = ("clip_norm", "clip_value", "clip_delta", "max_norm", "average")
    below_one: ClassVar[tuple[str, ...]] = ("momentum", "beta_1", "beta_2", "rho")

    def __post_init__(self):
        if type(self) is Optimizer:
            raise TypeError("Optimizer is what the optimizers share; use SGD, Adam, AdamW, RMSprop, Adagrad or "
                            "PassiveAggressive")
        for name in (entry.name for entry in fields(self)):
            value = getattr(self, name)
            if name == "learning_rate" and callable(value):
                continue
            if name in self.flags:
                if not isinstance(value, bool):
                    raise TypeError(f"{name} must be True or False, got {value!r}")
                continue
            if name in self.above_zero and value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, Integral if name == "average_from" else Real):
                raise TypeError(f"{name} must be {_KINDS.get(name, 'a number')}, got {value!r}")
            if name in self.above_zero:
                most = 1.0 if name == "average" else math.inf
                if not 0 < value <= most or value == math.inf:
                    allowed = "above 0 and at most 1" if most == 1 else "above 0 and finite"
                    raise ValueError(f"{name} must be {allowed}, got {value!r}")
            limit = 1 if name in self.below_one else math.inf
            if not 0 <= value < limit:
                allowed = "at least 0 and below 1" if limit == 1 else "at least 0 and finite"
                raise ValueError(f"{name} must be {allowed}, got {value!r}")
            object.__setattr__(self, name, int(value) if name == "average_from" else float(value))
        if self.clip_norm is not None and self.clip_value is not None:
            raise ValueError(f"clip_norm={self.clip_norm:g} and clip_value={self.clip_value:g} exclude each other")

    def __repr__(self) -> str:
        shown = [_shown(self.learning_rate)] + [f"{entry.name}={getattr(self, entry.name)!r}" for entry in fields(self)
                                              if entry.name != "learning_rate"
                                              and getattr(self, entry.name) != entry.default]
        return f"{type(self).__name__}({', '.join(shown)})"

    @property
    def slots(self) -> int:
        """How many numbers per parameter the rule remembers between steps."""
        return 0

    def learning_rates(self, first_step: int, steps: int) -> np.ndarray:
        """The learning rates of ``steps`` steps from ``first_step`` on, float64.

        >>> SGD(lambda step: 1 / (1 + step)).learning_rates(0, 3)
        array([1.        , 0.5       , 0.33333333])
        """
        if not callable(self.learning_rate):
            return np.full(steps, self.learning_rate)
        if hasattr(self.learning_rate, "between"):
            return self.learning_rate.between(first_step, steps)
        rates = [self.learning_rate(step) for step in range(first_step, first_step + steps)]
        for step, rate in enumerate(rates, first_step):
            if not isinstance(rate, Real) or not 0 <= rate < math.inf:
                raise ValueError(f"learning_rate(step) must return a finite number, at least 0; for step {step} it "
                                 f"returned {rate!r}")
        return np.array(rates, dtype=float)

    def over(self, steps: int) -> Self:
        """The same for a run of so many steps: a schedule that leaves its length open learns it."""
        bind = getattr(self.learning_rate, "over", None)
        return replace(self, learning_rate=bind(steps)) if bind is not None else self

    def averaging_weights(self, first_step: int, steps: int) -> np.ndarray:
        """By how much the average moves towards the parameters at each of these steps; 1 makes it equal to them.

        >>> SGD(average=1.0).averaging_weights(0, 4).tolist() == [1, 1 / 2, 1 / 3, 1 / 4]
        True
        """
        averaged = np.maximum(np.arange(first_step, first_step + steps) + 1.0 - self.average_from, 1)
        return np.maximum(1 - (self.average or 0), 1 / averaged)

    def penalty(self, weights: Iterable[np.ndarray], batch_weight: float = 1.0, per_output: bool = False):
        """What l1, l2 and alpha add to the cost of a mini-batch of so many rows, or of each output, (outputs,).

        >>> SGD(l1=0.5, alpha=2.0).penalty([np.array([[1.0, -2.0]])], batch_weight=10)
        2.0
        """
        l2 = self.l2 + self.alpha / batch_weight
        penalty = 0.0
        for W in weights:
            if l2:                                           # not by BLAS, whose idle threads would keep a core busy
                squares = np.einsum("ij,ij->j" if per_output else "ij,ij->", W, W)
                penalty = penalty + l2 / 2 * (squares if per_output else float(squares))
            if self.l1:
                penalty = penalty + self.l1 * (abs(W).sum(axis=0) if per_output else float(abs(W).sum()))
        return penalty

    def state(self, params: np.ndarray) -> State:
        """A fresh memory for these parameters.

        ValueError where a beta, rho or epsilon would be rounded to 1 or 0 in the parameters' dtype.
        """
        self._check_dtype(params.dtype)
        average = None
        if self.average is not None:
            average = aligned_zeros(params.shape, params.dtype)
            average[:] = params
        return State(aligned_zeros(self._slots_shape(params), params.dtype), average, rule=self._rule)

    def _slots_shape(self, params: np.ndarray) -> tuple[int, int]:
        return self.slots, params.size if self.slots else 0

    def _check_dtype(self, dtype: np.dtype) -> None:
        for name in ("beta_1", "beta_2", "rho", "epsilon"):
            value = getattr(self, name, 0.5)
            if dtype.type(value) == (0 if name == "epsilon" else 1):
                raise ValueError(f"{name} = {value!r} is {dtype.type(value)} in {dtype}; "
                                 "choose another or dtype='float64'")

    @property
    def _rule(self) -> str:
        """Whose slots these are: shapes alone do not tell what numbers mean."""
        return type(self).__name__ + "-truncating" * getattr(self, "truncate", False) if self.slots else ""


def _shown(rate) -> str:
    """A learning rate in words that are the same in every process: a function's repr would tell where it lies."""
    if isinstance(rate, partial):
        arguments = [*map(repr, rate.args), *(f"{name}={value!r}" for name, value in rate.keywords.items())]
        return f"partial({', '.join([_shown(rate.func), *arguments])})"
    if callable(rate) and type(rate).__repr__ in (object.__repr__, FunctionType.__repr__, MethodType.__repr__):
        return getattr(rate, "__qualname__", type(rate).__qualname__)
    return repr(rate)


_KINDS = {"learning_rate": "a number or a function of the step", "average_from": "a whole number of steps"}


def aligned_zeros(shape: tuple[int, ...], dtype) -> np.ndarray:
    """Memory for parameters and for what is laid out like them.

    Its rows each begin at a multiple of 64 bytes: no vector then lies in two cache lines.
    """
    *rows, n = shape
    item = np.dtype(dtype).itemsize
    width = -(-n * item // 64) * 64
    size = math.prod(rows) * width
    raw = np.zeros(size + 64, np.uint8)
    raw = raw[-raw.ctypes.data % 64:][:size]
    return raw.view(dtype).reshape(*rows, width // item)[..., :n]


def check_optimizer(optimizer) -> None:
    """TypeError unless this is an optimizer."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"optimizer must be an optimizer such as fastsgd.SGD(0.1), got {optimizer!r}")


def check_state(state, optimizer: Optimizer, params: np.ndarray) -> None:
    """TypeError or ValueError unless this is None or a memory of this optimizer for these parameters."""
    if state is None:
        return
    if not isinstance(state, State):
        raise TypeError(f"state must be what optimizer.state(net.params) returns, got {type(state).__name__}")
    optimizer._check_dtype(params.dtype)
    if state.slots.shape != optimizer._slots_shape(params) or state.slots.dtype != params.dtype or \
            (state.average is None) != (optimizer.average is None) or state.rule not in ("", optimizer._rule):
        of = f" of {state.rule}" if state.rule else ""
        raise ValueError(f"state is not one of {optimizer!r} for {params.size:,} parameters of {params.dtype}: it has "
                         f"slots{of} of shape {state.slots.shape} and {state.slots.dtype}")


def check_fits(optimizer: Optimizer, architecture) -> None:
    """ValueError where the optimizer is not for such a network."""
    losses = getattr(optimizer, "losses", None)
    if losses is not None and (len(architecture.sizes) > 2 or architecture.loss not in losses):
        raise ValueError(f"optimizer: {type(optimizer).__name__} is for networks without a hidden layer and with the "
                         f"loss {' or '.join(losses)}; this network has sizes {list(architecture.sizes)} and "
                         f"{architecture.loss}")


@dataclass
class State:
    """What a run remembers from step to step.

    ``slots`` (k, P) and ``average`` (P,) or None are laid out like the P parameters; ``cost`` and ``score`` are sums
    over the rows seen, which whoever reads them may set back to 0. ``penalty`` is what SGD's truncating l1 has asked of
    every weight so far, the sum of learning_rate * l1. ``averaged`` are the parameters that the average was taken of,
    where a run has ended with the average in their place.

    ``output_costs`` (outputs,), where somebody has put it there, gains the costs of each output, without any weights:
    of networks without a hidden layer in small batches, which take a path of their own. Else it becomes NaN.
    ``rule`` names whose numbers the slots are.
    """

    slots: np.ndarray
    average: np.ndarray | None = None
    steps: int = 0
    cost: float = 0.0
    score: float = 0.0
    penalty: float = 0.0
    averaged: np.ndarray | None = None
    output_costs: np.ndarray | None = None
    rule: str = ""


@dataclass(frozen=True)
class Recipe:
    """What makes a step, all that stays the same from one to the next, as plain data.

    ``dropout`` has a rate for each hidden layer, or none; ``seed`` is that of its random bits. ``positive_weight`` has
    a number for each output, or none: what it counts where its target is yes, for class labels that are told one from
    the rest. With ``weighted_steps`` a gradient is divided by the number of rows and not by their weights.
    """

    optimizer: Optimizer
    batch_size: int
    dropout: tuple[float, ...] = ()
    seed: int = 0
    label_smoothing: float = 0.0
    backend: str = "auto"
    positive_weight: tuple[float, ...] = ()
    weighted_steps: bool = False

    def drop(self, layer: int) -> int:
        """How many of 65,536 units of this layer are dropped on average."""
        return min(round(self.dropout[layer] * 65536), 65535) if layer < len(self.dropout) else 0


@dataclass(frozen=True, kw_only=True, repr=False)
class SGD(Optimizer):
    """Stochastic gradient descent, with momentum if wanted.

    w -= eta * g. With momentum mu: m = mu * m + g, then w -= eta * m, or with ``nesterov``
    w -= eta * (g + mu * m). (Sutskever, Martens, Dahl and Hinton 2013, in PyTorch's form.)

    ``nesterov`` without momentum is a ValueError.

    With ``truncate`` l1 does not act on the gradient but makes weights zero (Tsuruoka, Tsujii and Ananiadou 2009,
    "cumulative penalty"). With u the sum of eta * l1 over all steps and q what a weight has received of it so far, each
    step ends with w = max(0, w - (u + q)) for w > 0 and w = min(0, w + (u - q)) for w < 0; q gains the change.

    >>> SGD(0.1, momentum=0.9)
    SGD(0.1, momentum=0.9)
    """

    learning_rate: float | Callable[[int], float] = field(default=0.1, kw_only=False)
    momentum: float = 0.0
    nesterov: bool = False
    truncate: bool = False
    kind: ClassVar[str] = "sgd"

    def __post_init__(self):
        super().__post_init__()
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov=True needs a momentum above 0, got momentum=0.0")

    @property
    def slots(self) -> int:
        return (1 if self.momentum else 0) + self.truncate


@dataclass(frozen=True, kw_only=True, repr=False)
class Adam(Optimizer):
    """Adam (Kingma and Ba 2015, arXiv 1412.6980, algorithm 1).

    m = beta_1 m + (1 - beta_1) g and v = beta_2 v + (1 - beta_2) g^2; at step t
    w -= eta * (m / (1 - beta_1^t)) / (sqrt(v / (1 - beta_2^t)) + epsilon).

    >>> Adam().learning_rate
    0.001
    """

    learning_rate: float | Callable[[int], float] = field(default=0.001, kw_only=False)
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    kind: ClassVar[str] = "adam"

    @property
    def slots(self) -> int:
        return 2


@dataclass(frozen=True, kw_only=True, repr=False)
class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, arXiv 1711.05101).

    w -= eta * weight_decay * w, then Adam's step.

    >>> AdamW(weight_decay=0.1).weight_decay
    0.1
    """

    weight_decay: float = 0.01
    kind: ClassVar[str] = "adamw"


@dataclass(frozen=True, kw_only=True, repr=False)
class RMSprop(Optimizer):
    """RMSprop (Tieleman and Hinton, Coursera lecture 6e, 2012), in PyTorch's form.

    v = rho v + (1 - rho) g^2 and u = g / (sqrt(v) + epsilon); w -= eta * u, or with momentum mu
    b = mu b + u and w -= eta * b. PyTorch calls rho ``alpha``.

    >>> RMSprop(0.01).rho
    0.99
    """

    learning_rate: float | Callable[[int], float] = field(default=0.01, kw_only=False)
    rho: float = 0.99
    epsilon: float = 1e-8
    momentum: float = 0.0
    kind: ClassVar[str] = "rmsprop"

    @property
    def slots(self) -> int:
        return 2 if self.momentum else 1


@dataclass(frozen=True, kw_only=True, repr=False)
class Adagrad(Optimizer):
    """Adagrad (Duchi, Hazan and Singer 2011): s += g^2, w -= eta * g / (sqrt(s) + epsilon).

    >>> Adagrad(0.1).slots
    1
    """

    learning_rate: float | Callable[[int], float] = field(default=0.01, kw_only=False)
    epsilon: float = 1e-10
    kind: ClassVar[str] = "adagrad"

    @property
    def slots(self) -> int:
        return 1


@dataclass(frozen=True, kw_only=True, repr=False)
class PassiveAggressive(Optimizer):
    """Passive-aggressive steps (Crammer et al. 2006), for networks without a hidden layer and hinge or
    epsilon_insensitive.

    A row x whose output costs c moves that output's weights by tau * x in the direction that lowers the cost, and its
    bias by tau. tau = min(eta, c / |x|^2) (PA-I: no step where x is 0), or with ``squared``
    tau = c / (|x|^2 + 1 / (2 * eta)) (PA-II): eta is what Crammer et al. call C. A mini-batch takes the mean over its
    rows. Penalties act with the rate eta.

    >>> PassiveAggressive(0.5)
    PassiveAggressive(0.5)
    """

    learning_rate: float | Callable[[int], float] = field(default=1.0, kw_only=False)
    squared: bool = False
    kind: ClassVar[str] = "passive_aggressive"
    losses: ClassVar[tuple[str, ...]] = ("hinge", "epsilon_insensitive")
