"""What a network minimises: each loss with its parameters, its formula and every fact that other modules ask for.

``Network(loss=losses.Huber(2.0))`` takes one of these, or the plain name of one for its defaults: ``loss="huber"``.

In the formulas a is an output, t its target and z what the output's activation receives. The cost of a row is summed
over its outputs, that of a batch is the mean over its rows. "Slope" is dC/dz. A new loss is a class here and a case in
``engine`` (C and reference).

>>> Huber(2.0)
Huber(delta=2.0)
>>> as_loss("quantile")
Quantile(quantile=0.5)
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from numbers import Real
from typing import Any, ClassVar, Self

from fastsgd.arguments import is_number

__all__ = ["AbsoluteError", "BinaryCrossEntropy", "CrossEntropy", "EpsilonInsensitive", "Hinge", "Huber", "Loss",
           "ModifiedHuber", "Perceptron", "Poisson", "Quantile", "SquaredEpsilonInsensitive", "SquaredError",
           "SquaredHinge"]

MAX_NUMBER = 1e30                # that a network may be given as a parameter


@dataclass(frozen=True)
class Targets:
    """A kind of targets, and what follows from it."""

    metric: str                          # "accuracy" or "r2"
    one_vs_rest: bool = False            # networks of several outputs take class labels, too
    probabilities: bool = False          # targets lie between 0 and 1, and may be smoothed
    has_unit: bool = False               # targets may have a unit of their own, output_scale and output_offset


CLASSES = Targets("accuracy", probabilities=True)                       # one class per row: labels, or shares of 1
YES_OR_NO = Targets("accuracy", one_vs_rest=True, probabilities=True)   # 0 or 1, or between, for each output
MARGINS = Targets("accuracy", one_vs_rest=True)                         # -1 or 1 (0 is taken for -1) for each output
QUANTITIES = Targets("r2", has_unit=True)
COUNTS = Targets("r2")                                                  # at least 0


@dataclass(frozen=True)
class Loss:
    """What the losses share. A loss has at most one parameter, its only field."""

    name: ClassVar[str]                                 # as ``Network(loss=...)`` and model files have it
    targets: ClassVar[Targets]
    outputs: ClassVar[tuple[str, ...]] = ("identity",)  # the output activations that it allows, its own first
    constant: ClassVar[str] = "median"                  # the best constant prediction, or nearly: the mean,
                                                        # its sign, the median or quantile
    bounded_slope: ClassVar[bool] = True                # however large the error
    of_one_target: ClassVar[bool] = False               # whether all outputs may be of one target, (rows, 1)
    passive_aggressive: ClassVar[bool] = False          # whether the optimizer of that name is for it
    fixed_parameter: ClassVar[float] = 0.0              # what the engine receives where there is no field
    allowed: ClassVar[str]                              # numbers that the field may be, in words

    def __post_init__(self):
        if type(self) not in LOSSES.values():
            raise TypeError(f"{type(self).__name__} is no loss to be used; allowed are {_names_of_classes()}")
        if name := self.parameter():
            object.__setattr__(self, name, self._checked(getattr(self, name)))

    @classmethod
    def parameter(cls) -> str | None:
        """The name of its parameter."""
        return next((entry.name for entry in fields(cls)), None)

    def parameters(self, outputs: int) -> tuple[float, ...]:
        """What the engine receives: a number for each output.

        >>> Huber(2.0).parameters(3), Hinge().parameters(1)
        ((2.0, 2.0, 2.0), (1.0,))
        """
        name = self.parameter()
        value = getattr(self, name) if name else self.fixed_parameter
        if not isinstance(value, tuple):
            return (value,) * outputs
        if len(value) != outputs:
            raise ValueError(f"loss: {type(self).__name__}: {name} must be one number or {outputs}, one per output, "
                             f"got {list(value)}")
        return value

    @classmethod
    def from_parameters(cls, parameters: Sequence[float]) -> Self:
        """The loss that has these :meth:`parameters`.

        >>> Quantile.from_parameters((0.1, 0.9)), Quantile.from_parameters((0.5, 0.5))
        (Quantile(quantile=(0.1, 0.9)), Quantile(quantile=0.5))
        """
        if not cls.parameter():
            return cls()
        values: Any = parameters[0] if len(set(parameters)) == 1 else tuple(parameters)
        return cls(values)                                                          # type: ignore[call-arg]

    def _checked(self, value):
        if not is_number(value) or not self._allows(value):
            raise ValueError(f"{type(self).__name__}: {self.parameter()} must be a number {self.allowed}, got "
                             f"{value!r}")
        return float(value)

    @staticmethod
    def _allows(value) -> bool:
        raise NotImplementedError


def as_loss(loss: str | Loss) -> Loss:
    """The loss of this name, or a loss as it is. ValueError for anything else.

    >>> as_loss("huber"), as_loss(Huber(2.0))
    (Huber(delta=1.0), Huber(delta=2.0))
    """
    if isinstance(loss, Loss):
        return loss
    if isinstance(loss, str) and loss in LOSSES:
        return LOSSES[loss]()
    shown = f"the class {loss.__name__}: give {loss.__name__}()" if isinstance(loss, type) else repr(loss)
    raise ValueError(f"loss must be one of {', '.join(LOSSES)}, or of fastsgd.losses, got {shown}")


def with_parameters(name: str, **known) -> Loss:
    """The loss of this name, with the one of these parameters that it has; what is None is left at its default.

    >>> with_parameters("huber", delta=2.0, epsilon=0.5), with_parameters("hinge", delta=2.0)
    (Huber(delta=2.0), Hinge())
    """
    loss = type(as_loss(name))
    parameter = loss.parameter()
    return loss() if known.get(parameter or "") is None else loss(**{str(parameter): known[str(parameter)]})


def names(*kinds: Targets, parameters: Sequence[str] = ()) -> list[str]:
    """Of the losses for these kinds of targets, those without a parameter or with one of these.

    >>> names(QUANTITIES, parameters=["delta"])
    ['squared_error', 'absolute_error', 'huber']
    """
    return [name for name, loss in LOSSES.items() if loss.targets in kinds
            and loss.parameter() in (None, *parameters)]


def for_output(output: str) -> str | None:
    """The name of the loss that an output activation stands for: the first whose own it is, else that allows it.

    >>> for_output("softmax"), for_output("tanh"), for_output("relu")
    ('cross_entropy', 'squared_error', None)
    """
    own = [name for name, loss in LOSSES.items() if loss.outputs[0] == output]
    return next(iter([*own, *(name for name, loss in LOSSES.items() if output in loss.outputs)]), None)


def _names_of_classes() -> str:
    return ", ".join(loss.__name__ for loss in LOSSES.values())


# ---- classes ----

class CrossEntropy(Loss):
    """``-sum t log a`` of a softmax: the negative log-likelihood of the classes. Slope: a - t.

    t is a class label, or a row of probabilities (Bridle 1990).
    """

    name = "cross_entropy"
    targets = CLASSES
    outputs = ("softmax",)
    constant = "mean"


class BinaryCrossEntropy(Loss):
    """``-t log a - (1 - t) log(1 - a)`` of a logistic output. Slope: a - t.

    t lies between 0 and 1. Networks of several outputs take class labels, too: each output is then trained one-vs-rest,
    and the largest is that of the class (as with all losses of margins).
    """

    name = "binary_cross_entropy"
    targets = YES_OR_NO
    outputs = ("logistic",)
    constant = "mean"


# ---- quantities ----

class SquaredError(Loss):
    """``(a - t)^2 / 2``: the prediction is a mean. Slope: (a - t) f'(z).

    The only loss with a choice of output activations: identity, or logistic or tanh.
    """

    name = "squared_error"
    targets = QUANTITIES
    outputs = ("identity", "logistic", "tanh")
    constant = "mean"
    bounded_slope = False


class AbsoluteError(Loss):
    """``abs(a - t)``: the prediction is a median. Slope: sign(a - t)."""

    name = "absolute_error"
    targets = QUANTITIES


@dataclass(frozen=True)
class Huber(Loss):
    """``(a - t)^2 / 2`` up to ``delta``, beyond it ``delta (abs(a - t) - delta / 2)`` (Huber 1964).

    Slope: a - t, limited to [-delta, delta]. delta is in units of the targets, where the network has ``output_scale``
    of the targets so scaled.

    >>> Huber(0)
    Traceback (most recent call last):
    ...
    ValueError: Huber: delta must be a number above 0, at most 1e+30, got 0
    """

    delta: float = 1.0
    name = "huber"
    targets = QUANTITIES
    allowed = f"above 0, at most {MAX_NUMBER:g}"

    @staticmethod
    def _allows(value):
        return 0 < value <= MAX_NUMBER


@dataclass(frozen=True)
class Quantile(Loss):
    """``q (t - a)`` where t > a, else ``(1 - q)(a - t)``: the pinball loss (Koenker and Bassett 1978).

    ``quantile`` is q, between 0 and 1: one for all outputs, or one each. Slope: -q where t > a, 1 - q where t < a.

    >>> Quantile([0.1, 0.9])
    Quantile(quantile=(0.1, 0.9))
    """

    quantile: float | Sequence[float] = 0.5
    name = "quantile"
    targets = QUANTITIES
    constant = "quantile"
    of_one_target = True
    allowed = "above 0 and below 1"

    def _checked(self, value):
        if isinstance(value, Real | str):
            return super()._checked(value)
        try:
            values = tuple(value)
        except TypeError:
            return super()._checked(value)
        if not values:
            raise ValueError("Quantile: quantile must be a number or one for each output, got none")
        return tuple(Loss._checked(self, entry) for entry in values)

    @staticmethod
    def _allows(value):
        return 0 < value < 1


# ---- counts ----

class Poisson(Loss):
    """``t log(t / a) - t + a``, half the Poisson deviance, of an output exp(z). Slope: a - t.

    t is a count, or another quantity of at least 0.
    """

    name = "poisson"
    targets = COUNTS
    outputs = ("exp",)
    constant = "mean"
    bounded_slope = False


# ---- margins: t is -1 or 1 ----

class Hinge(Loss):
    """``max(0, 1 - t a)``, of support vector machines (Cortes and Vapnik 1995). Slope: -t where t a <= 1, else 0."""

    name = "hinge"
    targets = MARGINS
    constant = "sign of mean"
    passive_aggressive = True
    fixed_parameter = 1.0


class Perceptron(Loss):
    """``max(0, -t a)`` (Rosenblatt 1958). Slope: -t where t a <= 0, else 0."""

    name = "perceptron"
    targets = MARGINS
    constant = "sign of mean"


class SquaredHinge(Loss):
    """``max(0, 1 - t a)^2``. Slope: -2 t (1 - t a) where t a <= 1, else 0."""

    name = "squared_hinge"
    targets = MARGINS
    constant = "mean"
    bounded_slope = False


class ModifiedHuber(Loss):
    """``max(0, 1 - t a)^2`` where t a >= -1, else ``-4 t a`` (Zhang 2004).

    Slope: -2 t (1 - t a) where -1 <= t a <= 1, -4 t below and 0 above.
    """

    name = "modified_huber"
    targets = MARGINS
    constant = "mean"


# ---- quantities again: of support vector regression ----

@dataclass(frozen=True)
class EpsilonInsensitive(Loss):
    """``max(0, abs(a - t) - epsilon)``: errors up to ``epsilon`` cost nothing (Vapnik 1995).

    Slope: sign(a - t) where abs(a - t) > epsilon, else 0.
    """

    epsilon: float = 0.1
    name = "epsilon_insensitive"
    targets = QUANTITIES
    passive_aggressive = True
    allowed = f"of at least 0, at most {MAX_NUMBER:g}"

    @staticmethod
    def _allows(value):
        return 0 <= value <= MAX_NUMBER


@dataclass(frozen=True)
class SquaredEpsilonInsensitive(EpsilonInsensitive):
    """``max(0, abs(a - t) - epsilon)^2``. Slope: 2 (abs(a - t) - epsilon) sign(a - t) where that is beyond epsilon."""

    name = "squared_epsilon_insensitive"
    passive_aggressive = False
    bounded_slope = False


LOSSES: dict[str, type[Loss]] = {loss.name: loss for loss in (
    CrossEntropy, BinaryCrossEntropy, SquaredError, AbsoluteError, Huber, Quantile, Poisson, Hinge, Perceptron,
    SquaredHinge, ModifiedHuber, EpsilonInsensitive, SquaredEpsilonInsensitive)}

if __doc__:                      # and not by python -OO
    __doc__ += "\nname, output activations, cost:\n\n" + "\n".join(
        f"- {name}, {' or '.join(loss.outputs)}: {(loss.__doc__ or '').splitlines()[0]}"
        for name, loss in LOSSES.items())
