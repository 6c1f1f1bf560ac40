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

from fastsgd.arguments import hint_of, is_number

__all__ = ["AbsoluteError", "BinaryCrossEntropy", "CrossEntropy", "EpsilonInsensitive", "Focal", "Gamma", "GaussianNLL",
           "Hinge", "Huber", "Loss", "MeanQuantiles", "ModifiedHuber", "Ordinal", "Perceptron", "Poisson", "Quantile",
           "SquaredEpsilonInsensitive", "SquaredError", "SquaredHinge", "Tweedie"]

MAX_NUMBER = 1e30                # that a network may be given as a parameter


@dataclass(frozen=True)
class Targets:
    """A kind of targets, and what follows from it."""

    metric: str                          # "accuracy" or "r2"
    classes: bool = False                # a row is of one class, by its label
    in_order: bool = False               # classes have an order, and an output stands between two neighbours
    one_vs_rest: bool = False            # networks of several outputs take class labels, too
    probabilities: bool = False          # targets lie between 0 and 1, and may be smoothed
    has_unit: bool = False               # targets may have a unit of their own, output_scale and output_offset
    sign: str = ""                       # what quantities must be, "at least 0" or "above 0"


CLASSES = Targets("accuracy", classes=True, probabilities=True)         # one class per row: labels, or shares of 1
LABELS = Targets("accuracy", classes=True)                              # labels alone
LEVELS = Targets("accuracy", classes=True, in_order=True)               # labels whose order counts
YES_OR_NO = Targets("accuracy", one_vs_rest=True, probabilities=True)   # 0 or 1, or between, for each output
MARGINS = Targets("accuracy", one_vs_rest=True)                         # -1 or 1 (0 is taken for -1) for each output
QUANTITIES = Targets("r2", has_unit=True)
COUNTS = Targets("r2", sign="at least 0")
POSITIVE = Targets("r2", sign="above 0")


@dataclass(frozen=True)
class Loss:
    """What the losses share. A loss has at most one parameter, its only field."""

    name: ClassVar[str]                                 # as ``Network(loss=...)`` and model files have it
    targets: ClassVar[Targets]
    outputs: ClassVar[tuple[str, ...]] = ("identity",)  # the output activations that it allows, its own first
    outputs_per_target: ClassVar[int] = 1
    constant: ClassVar[str] = "median"                  # the best constant prediction, or nearly: the mean, its sign,
                                                        # mean and deviation, the median or quantile
    bounded_slope: ClassVar[bool] = True                # however large the error
    of_one_target: ClassVar[bool] = False               # whether all outputs may be of one target, (rows, 1)
    scores_first_output: ClassVar[bool] = False         # whether R^2 is that of the first output alone
    passive_aggressive: ClassVar[bool] = False          # whether the optimizer of that name is for it
    fixed_parameter: ClassVar[float] = 0.0              # what the engine receives where there is no field
    allowed: ClassVar[str]                              # numbers that the field may be, in words

    def __post_init__(self):
        if type(self) not in LOSSES.values():
            raise TypeError(f"{type(self).__name__} is no loss to be used; allowed are {_names_of_classes()}")
        if name := self.parameter():
            object.__setattr__(self, name, self._checked(getattr(self, name)))

    @classmethod
    def targets_of(cls, outputs: int) -> int:
        """How many columns of targets, or classes, so many outputs are for.

        >>> SquaredError.targets_of(4), GaussianNLL.targets_of(4), Ordinal.targets_of(4)
        (4, 2, 5)
        """
        return outputs // cls.outputs_per_target + cls.targets.in_order

    @classmethod
    def outputs_for(cls, targets: int) -> int:
        """How many outputs so many columns of targets, or classes, need.

        >>> SquaredError.outputs_for(4), GaussianNLL.outputs_for(2), Ordinal.outputs_for(5)
        (4, 4, 4)
        """
        return (targets - cls.targets.in_order) * cls.outputs_per_target

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


NAMES_ELSEWHERE = {
    "mse": "squared_error", "mse_loss": "squared_error", "mean_squared_error": "squared_error", "l2": "squared_error",
    "mae": "absolute_error", "l1": "absolute_error", "l1_loss": "absolute_error", "smooth_l1": "huber",
    "bce": "binary_cross_entropy", "logistic": "binary_cross_entropy", "log_loss": "cross_entropy",
    "nll": "cross_entropy", "nll_loss": "cross_entropy", "categorical_crossentropy": "cross_entropy",
    "softmax": "cross_entropy", "pinball": "quantile"}


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
    raise ValueError(f"loss must be one of {', '.join(LOSSES)}, or of fastsgd.losses, got {shown}"
                     + hint_of(loss, LOSSES, NAMES_ELSEWHERE))


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
    ['squared_error', 'absolute_error', 'huber', 'gaussian_nll']
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


@dataclass(frozen=True)
class Focal(Loss):
    """``-(1 - a)^gamma log a`` of a softmax, a being the output of the row's class (Lin et al. 2017, arXiv 1708.02002).

    Rows that are classified well already (easy examples) count less, the more so the larger ``gamma``; 0 makes it
    cross_entropy. Slope: that of
    cross_entropy times (1 - a)^gamma - gamma a (1 - a)^(gamma - 1) log a. t is a class label. The outputs are less sure
    than the shares of the classes are; :func:`fastsgd.calibrate_temperature` makes them probabilities again.

    >>> Focal(-1)
    Traceback (most recent call last):
    ...
    ValueError: Focal: gamma must be a number of at least 0, at most 100, got -1
    """

    gamma: float = 2.0
    name = "focal"
    targets = LABELS
    outputs = ("softmax",)
    constant = "mean"
    allowed = "of at least 0, at most 100"

    @staticmethod
    def _allows(value):
        return 0 <= value <= 100


class Ordinal(Loss):
    """``-t log a - (1 - t) log(1 - a)`` of logistic outputs, t of output k being 1 where the class is above k, else 0.

    For classes 0 .. K - 1 whose order counts, such as ratings (Niu et al. 2016): y are class labels, output k of K - 1
    is the probability of a class above k. Slope: a - t. A row's class is the number of its outputs above 1/2, by which
    ``score`` goes: ``(net.predict(X) > 0.5).sum(axis=1)``. The outputs have weights of their own, so that a row's need
    not fall from each to the next.

    >>> import fastsgd
    >>> fastsgd.Network([3, 4], loss=Ordinal(), seed=0).score([[0, 0, 0]], [0])             # of 5 classes
    1.0
    """

    name = "ordinal"
    targets = LEVELS
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

    Several quantiles of one target may cross. With ``Network(output="sorted")``, where they must rise from output to
    output, each row's predictions are sorted, which never makes their loss larger (Chernozhukov, Fernandez-Val and
    Galichon 2010). Cost, score and gradient are of the outputs before that: a network is trained as without. Trained
    through the sort, or on a first quantile and increments, it predicted worse where quantiles were many
    (docs/explanation/decisions.md).

    >>> Quantile([0.1, 0.9])
    Quantile(quantile=(0.1, 0.9))
    """

    quantile: float | Sequence[float] = 0.5
    name = "quantile"
    targets = QUANTITIES
    outputs = ("identity", "sorted")
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


@dataclass(frozen=True)
class MeanQuantiles(Loss):
    """``(t - a)^2 / 2`` of the first output, the mean, and a tenth of the pinball loss of the quantiles behind it.

    ``quantiles`` holds one q for each further output. All outputs are of one target. The weight of a tenth leaves the
    hidden layers to the mean: its prediction is as good as that of squared_error alone
    (docs/explanation/decisions.md). Slopes: a - t, and a tenth of -q where t > a, of 1 - q where t < a. R^2 is that of
    the mean.

    >>> import fastsgd
    >>> net = fastsgd.Network([3, 8, 3], loss=MeanQuantiles([0.1, 0.9]), seed=0)
    >>> net.predict([[0, 0, 0]]).shape                              # the mean, and the quantiles 0.1 and 0.9
    (1, 3)
    """

    quantiles: Sequence[float] = (0.1, 0.9)
    name = "mean_quantiles"
    targets = QUANTITIES
    constant = "mean and quantiles"
    bounded_slope = False
    of_one_target = scores_first_output = True
    allowed = "above 0 and below 1"

    def _checked(self, value):
        if isinstance(value, Real | str):
            value = (value,)
        try:
            values = tuple(value)
        except TypeError:
            values = ()
        if not values:
            raise ValueError(f"MeanQuantiles: quantiles must be one number or several, got {value!r:.80}")
        return tuple(Loss._checked(self, entry) for entry in values)

    @staticmethod
    def _allows(value):
        return 0 < value < 1

    def parameters(self, outputs: int) -> tuple[float, ...]:
        if outputs != len(self.quantiles) + 1:
            raise ValueError(f"loss: MeanQuantiles of {len(self.quantiles)} quantiles needs {len(self.quantiles) + 1} "
                             f"outputs, got {outputs}")
        return (0.0, *self.quantiles)

    @classmethod
    def from_parameters(cls, parameters: Sequence[float]) -> Self:
        if parameters[0]:
            raise ValueError(f"MeanQuantiles: the first parameter must be 0, got {parameters[0]!r}")
        return cls(tuple(parameters[1:]))


class GaussianNLL(Loss):
    """``s + (t - m)^2 / (2 exp(2 s))``: the negative log-likelihood of a normal distribution, less log(2 pi) / 2.

    Its mean m and the logarithm s of its standard deviation are outputs (Nix and Weigend 1994): of k targets, the means
    are the first k outputs and the logarithms the last k, of which predictions are exp(s), the deviations. Slopes:
    (m - t) exp(-2 s) and 1 - (t - m)^2 exp(-2 s). R^2 is that of the means. ``output_scale`` and ``output_offset`` are
    the targets': deviations are scaled, but not shifted.

    The curvature in s is 2 wherever the deviation is right, small or large. The slopes grow without limit where a
    deviation is far too small: Adam stands that, SGD wants ``clip_delta`` or ``clip_norm``.

    >>> import fastsgd
    >>> net = fastsgd.Network([3, 2], loss=GaussianNLL(), output_scale=5.0, output_offset=20.0, seed=0)
    >>> net.predict([[0, 0, 0]]).tolist()                           # a mean and a deviation
    [[20.0, 5.0]]
    """

    name = "gaussian_nll"
    targets = QUANTITIES
    outputs = ("mean_and_deviation",)
    outputs_per_target = 2
    constant = "mean and deviation"
    bounded_slope = False


# ---- counts and other quantities that are not negative ----

class Poisson(Loss):
    """``t log(t / a) - t + a``, half the Poisson deviance, of an output exp(z). Slope: a - t.

    t is a count, or another quantity of at least 0.
    """

    power: ClassVar[float] = 1.0
    name = "poisson"
    targets = COUNTS
    outputs = ("exp",)
    constant = "mean"
    bounded_slope = False


class Gamma(Loss):
    """``t / a - log(t / a) - 1``, half the gamma deviance, of an output exp(z). Slope: 1 - t / a.

    t is above 0; its standard deviation is taken to grow like its mean, as that of amounts does.
    """

    power: ClassVar[float] = 2.0
    name = "gamma"
    targets = POSITIVE
    outputs = ("exp",)
    constant = "mean"
    bounded_slope = False


@dataclass(frozen=True)
class Tweedie(Loss):
    """``t^(2 - p) / ((1 - p)(2 - p)) - t a^(1 - p) / (1 - p) + a^(2 - p) / (2 - p)``, half the Tweedie deviance.

    The output is exp(z), p is ``power``, between poisson's 1 and gamma's 2: amounts of which many are 0, such as claims
    (Tweedie 1984, Jorgensen 1987). t is at least 0. Slope: a^(2 - p) - t a^(1 - p).

    >>> Tweedie(2)
    Traceback (most recent call last):
    ...
    ValueError: Tweedie: power must be a number above 1 and below 2, got 2
    """

    power: float = 1.5
    name = "tweedie"
    targets = COUNTS
    outputs = ("exp",)
    constant = "mean"
    bounded_slope = False
    allowed = "above 1 and below 2"

    @staticmethod
    def _allows(value):
        return 1 < value < 2


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
    CrossEntropy, BinaryCrossEntropy, Focal, Ordinal, SquaredError, AbsoluteError, Huber, Quantile, GaussianNLL,
    Poisson, Gamma, Tweedie, Hinge, Perceptron, SquaredHinge, ModifiedHuber, EpsilonInsensitive,
    SquaredEpsilonInsensitive, MeanQuantiles)}

if __doc__:                      # and not by python -OO
    __doc__ += "\nname, output activations, cost:\n\n" + "\n".join(
        f"- {name}, {' or '.join(loss.outputs)}: {(loss.__doc__ or '').splitlines()[0]}"
        for name, loss in LOSSES.items())
