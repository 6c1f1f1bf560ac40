"""What all optimizers share: options, checks, state."""
from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from numbers import Integral
from types import FunctionType, MethodType
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from fastsgd.arguments import check_factor, is_number
from fastsgd.deprecation import warn_of
from fastsgd.layers import ROLES, Tensor
from fastsgd.model.architecture import Architecture
from fastsgd.optimizers.parameters import Parameters
from fastsgd.optimizers.state import State, aligned_zeros

Rate = float | Callable[[int], float]
Rates = Rate | Sequence[Rate]


@dataclass(frozen=True)
class ParameterGroup:
    """Factors of the learning rate and of the penalties for some of the parameters.

    ``weight_decay_factor`` multiplies weight_decay, l1, l2 and alpha alike.

    >>> ParameterGroup(learning_rate_factor=0.1)
    ParameterGroup(learning_rate_factor=0.1, weight_decay_factor=1.0)
    """

    learning_rate_factor: float = 1.0
    weight_decay_factor: float = 1.0

    def __post_init__(self):
        for entry in fields(self):
            object.__setattr__(self, entry.name, check_factor(entry.name, getattr(self, entry.name)))


class Factors(NamedTuple):
    """What the learning rate, weight_decay, and l1 and l2 are multiplied by for one tensor."""

    rate: float
    decay: float
    penalty: float


OWN_OPTIONS = {
    "momentum": """float
        mu, at least 0 and below 1.""",
    "nesterov": """bool
        Whether the step looks ahead along the momentum.""",
    "cumulative_l1": """bool
        Whether l1 makes weights exactly zero, as above.""",
    "beta_1": """float
        Decay of the average of gradients, at least 0 and below 1.""",
    "beta_2": """float
        Decay of the average of their squares (with Lion, of gradients), at least 0 and below 1.""",
    "epsilon": """float
        Added to the root, so that nothing is divided by 0; at least 0.""",
    "momentum_decay": """float
        How slowly mu rises, as above; at least 0.""",
    "rho": """float
        Decay of the average of squares, at least 0 and below 1.""",
    "scale": """"rms" or "original"
        What c is, as above.""",
    "adam_rate": """float
        What the learning rate is multiplied by where AdamW makes the step; at least 0.""",
    "squared": """bool
        PA-II instead of PA-I."""}
DECAYS = {
    False: "g gains ``weight_decay * w``.",
    True: "w shrinks by ``eta * weight_decay * w``, apart from the gradient."}
OPTIONS = """    Parameters
    ----------
    learning_rate : float or function
        eta, a number, or a function from the step (0, 1, 2, ...) to a number such as those of ``fastsgd.schedules``;
        for a network of several members it may be a sequence of these, one for each.
        All other options are given by their keyword; numbers are finite and at least 0, those that limit something
        above 0.
{own}    weight_decay : float or function
        A number, or a function of the step like the learning rate. Acts on every parameter, biases too:
        {decay}
    l2, l1 : float
        Act on weights only: g gains ``l2 * w`` and ``l1 * sign(w)``, the derivatives of ``l2/2 * sum(w**2)`` and
        ``l1 * sum(abs(w))``.
    alpha : float
        l2 in the meaning of scikit-learn's MLPClassifier: g gains ``alpha / n * w``, n being the rows of the
        mini-batch, or the sum of their weights. It may stand beside l2.
    clip_value, clip_norm : float, optional
        Limit every entry of the mini-batch's gradient to [-clip_value, clip_value], or its length: where it is longer
        than clip_norm, all of it is scaled down (Pascanu, Mikolov and Bengio 2013). Penalties come after.
    clip_delta : float, optional
        Limits the slope of every single cost, dC/dz of each output of each row, to [-clip_delta, clip_delta].
    max_norm : float, optional
        Limits the length of the weights into each unit of a hidden layer after each step (Srivastava 2014). Weights of
        a group with factor 0 of the learning rate stay as they are. In a network with ``init="ntk"`` it is the length
        of the weights W; all else acts on V (see :class:`fastsgd.Network`).
    average : float or "polyak", optional
        Training ends with a running average of the parameters. A number above 0 and below 1 is the decay of an
        exponential one, a <- average * a + (1 - average) * w, begun as a plain mean so that it forgets where it
        started. "polyak" is the mean of the parameters after every step (Polyak and Juditsky 1992).
    average_from : int
        Steps before the average begins.
    bias_rate : float
        What eta is multiplied by for biases; 0 keeps them as they are.
    groups : dict of ParameterGroup
        Factors for some of the parameters: by role ("weight", "bias", "scale", "activation", "gain", "shift",
        "encoding", "embedding", "adapter"), by the number of their layer, or by name ("weights.0"); where several
        apply, all of them multiply.
"""


@dataclass(frozen=True, kw_only=True, repr=False)
class Optimizer(Parameters):
    """What all optimizers share. Use one of its subclasses."""

    learning_rate: Rates = field(kw_only=False)
    weight_decay: Rate = 0.0
    l1: float = 0.0
    l2: float = 0.0
    alpha: float = 0.0
    clip_norm: float | None = None
    clip_value: float | None = None
    clip_delta: float | None = None
    max_norm: float | None = None
    average: float | str | None = None
    average_from: int = 0
    bias_rate: float = 1.0
    groups: Mapping[str | int, ParameterGroup] = field(default_factory=dict, hash=False)

    kind: ClassVar[str]
    decoupled: ClassVar[bool] = False            # whether weight_decay acts apart from the gradient, for the docstring
    flags: ClassVar[tuple[str, ...]] = ("nesterov", "cumulative_l1", "squared")
    choices: ClassVar[Mapping[str, tuple[str, ...]]] = {"scale": ("rms", "original")}
    above_zero: ClassVar[tuple[str, ...]] = ("clip_norm", "clip_value", "clip_delta", "max_norm")
    below_one: ClassVar[tuple[str, ...]] = ("momentum", "beta_1", "beta_2", "rho")

    def __post_init__(self):
        if type(self) is Optimizer:
            raise TypeError("Optimizer is what the optimizers share; use one of them, such as SGD, Adam or AdamW")
        for name in (entry.name for entry in fields(self)):
            value = getattr(self, name)
            if name == "groups":
                object.__setattr__(self, name, _checked_groups(value))
                continue
            if name in ("learning_rate", "weight_decay") and callable(value):
                continue
            if name == "learning_rate" and isinstance(value, Sequence) and not isinstance(value, str):
                object.__setattr__(self, name, _checked_rates(value))
                continue
            if name in self.flags:
                if not isinstance(value, bool):
                    raise TypeError(f"{name} must be True or False, got {value!r}")
                continue
            if name == "average":
                object.__setattr__(self, name, _checked_average(value))
                continue
            if name in self.choices:
                if value not in self.choices[name]:
                    raise ValueError(f"{name} must be {' or '.join(map(repr, self.choices[name]))}, got {value!r}")
                continue
            if name in self.above_zero and value is None:
                continue
            if not is_number(value) or (name == "average_from" and not isinstance(value, Integral)):
                raise TypeError(f"{name} must be {_KINDS.get(name, 'a number')}, got {value!r}")
            if name in self.above_zero and not 0 < value < math.inf:
                raise ValueError(f"{name} must be above 0 and finite, got {value!r}")
            limit = 1 if name in self.below_one else math.inf
            if not 0 <= value < limit:
                allowed = "at least 0 and below 1" if limit == 1 else "at least 0 and finite"
                raise ValueError(f"{name} must be {allowed}, got {value!r}")
            object.__setattr__(self, name, int(value) if name == "average_from" else float(value))
        if self.clip_norm is not None and self.clip_value is not None:
            raise ValueError(f"clip_norm={self.clip_norm:g} and clip_value={self.clip_value:g} exclude each other")

    def __init_subclass__(cls) -> None:
        """Adds the options to the docstring: the rule's own, then what all share."""
        names = dict.fromkeys(name for base in reversed(cls.__mro__) for name in vars(base).get("__annotations__", {}))
        own = "".join(f"    {name} : {OWN_OPTIONS[name]}\n" for name in names if name in OWN_OPTIONS)
        options = OPTIONS.format(own=own, decay=DECAYS[cls.decoupled])
        cls.__doc__ = f"{(cls.__doc__ or '').rstrip()}\n\n{options}"

    def __setstate__(self, state: dict) -> None:
        average = "polyak" if state.get("average") == 1.0 else state.get("average")     # as fastsgd 0.1 had it
        self.__dict__.update({"groups": {}, **state, "average": average})

    def __repr__(self) -> str:
        shown = [_shown(self.learning_rate)] + [f"{entry.name}={_shown(getattr(self, entry.name))}"
                                              for entry in fields(self)
                                              if entry.name != "learning_rate" and getattr(self, entry.name) != (
                                                  {} if entry.name == "groups" else entry.default)]
        return f"{type(self).__name__}({', '.join(shown)})"

    @property
    def slots(self) -> int:
        """How many numbers per parameter the rule remembers between steps."""
        return 0

    @property
    def averages(self) -> bool:
        """Whether training ends with an average of the parameters."""
        return self.average is not None

    def memory(self, state: State) -> list[np.ndarray]:
        """The arrays of a state that the rule reads and changes, each laid out like the parameters."""
        return list(state.slots)

    def rule_of(self, tensor: Tensor, architecture: Architecture) -> str:
        """The ``kind`` of the rule that changes a tensor."""
        return self.kind

    def factors(self, tensor: Tensor, architecture: Architecture) -> Factors:
        """What acts on a tensor: its role's, its layer's and its own group, one after the other.

        >>> from fastsgd import SGD
        >>> from fastsgd.model.architecture import Architecture
        >>> net = Architecture.dense((3, 2), ("identity",), "squared_error", (0.0, 0.0))
        >>> SGD(0.1, groups={"bias": ParameterGroup(2.0, 0.0)}).factors(net.tensors[1], net)
        Factors(rate=2.0, decay=0.0, penalty=0.0)
        """
        rate, decay = architecture.layers[tensor.layer].rate_factor(tensor.role), 1.0
        penalty = float(tensor.role == "weight")
        if tensor.role == "bias":
            rate *= self.bias_rate
        for group in self._groups_of(tensor.role, tensor.layer, tensor.name):
            rate *= group.learning_rate_factor
            decay *= group.weight_decay_factor
            penalty *= group.weight_decay_factor
        return Factors(rate, decay, penalty)

    def _groups_of(self, role: str, layer: int, name: str) -> list[ParameterGroup]:
        """Those that apply to a tensor."""
        return [self.groups[key] for key in (role, layer, name) if key in self.groups] if self.groups else []

    def learning_rates(self, first_step: int, steps: int) -> np.ndarray:
        """The learning rates of ``steps`` steps from ``first_step`` on, float64; (members, steps) where each has its
        own.

        >>> from fastsgd import SGD
        >>> SGD(lambda step: 1 / (1 + step)).learning_rates(0, 3)
        array([1.        , 0.5       , 0.33333333])
        """
        if isinstance(self.learning_rate, tuple):
            return np.stack([self.member(m).learning_rates(first_step, steps) for m in range(len(self.learning_rate))])
        return values_of("learning_rate", self.learning_rate, first_step, steps)

    def weight_decays(self, first_step: int, steps: int) -> np.ndarray:
        """The same of weight_decay, (steps,)."""
        return values_of("weight_decay", self.weight_decay, first_step, steps)

    def over(self, steps: int) -> Self:
        """The same for a run of so many steps: a schedule without a length gets it."""
        rates = self.learning_rate
        bound = tuple(over(rate, steps) for rate in rates) if isinstance(rates, tuple) else over(rates, steps)
        decay = over(self.weight_decay, steps)
        if bound == rates and decay == self.weight_decay:
            return self
        return replace(self, learning_rate=bound, weight_decay=decay)

    def member(self, number: int) -> Self:
        """The same with the learning rate of one member, where each has its own.

        >>> from fastsgd import SGD
        >>> SGD([0.1, 0.2], momentum=0.9).member(1)
        SGD(0.2, momentum=0.9)
        """
        rates = self.learning_rate
        return replace(self, learning_rate=rates[number]) if isinstance(rates, tuple) else self

    def averaging_weights(self, first_step: int, steps: int) -> np.ndarray:
        """By how much the average moves towards the parameters at each of these steps; 1 makes it equal to them.

        >>> from fastsgd import SGD
        >>> SGD(average="polyak").averaging_weights(0, 4).tolist() == [1, 1 / 2, 1 / 3, 1 / 4]
        True
        """
        averaged = np.maximum(np.arange(first_step, first_step + steps) + 1.0 - self.average_from, 1)
        decay = 1.0 if isinstance(self.average, str) else self.average or 0.0
        return np.maximum(1 - decay, 1 / averaged)

    def regularization_cost(self, weights: Iterable[np.ndarray], batch_weight: float = 1.0, per_output: bool = False):
        """What l1, l2 and alpha add to the cost of a mini-batch of so many rows, or of each output, (outputs,).

        >>> from fastsgd import SGD
        >>> SGD(l1=0.5, alpha=2.0).regularization_cost([np.array([[1.0, -2.0]])], batch_weight=10)
        2.0
        """
        l2 = self.l2 + self.alpha / batch_weight
        total: Any = 0.0
        for number, W in enumerate(weights):
            groups = self._groups_of("weight", number, f"weights.{number}")
            factor = math.prod(group.weight_decay_factor for group in groups)
            if l2:                                           # not by BLAS, whose idle threads would keep a core busy
                squares = np.einsum("ij,ij->j" if per_output else "ij,ij->", W, W)
                total = total + factor * l2 / 2 * (squares if per_output else float(squares))
            if self.l1:
                sizes = abs(W).sum(axis=0) if per_output else float(abs(W).sum())
                total = total + factor * self.l1 * sizes
        return total

    def penalty(self, *args, **kwargs):
        """The old name of :meth:`regularization_cost`."""
        warn_of("Optimizer.penalty", "Optimizer.regularization_cost")
        return self.regularization_cost(*args, **kwargs)

    def state(self, params: np.ndarray) -> State:
        """A fresh state for these parameters.

        ValueError where a beta, rho or epsilon would be rounded to 1 or 0 in the parameters' dtype.
        """
        self._check_dtype(params.dtype)
        average = None
        if self.averages:
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
        """Which rule the slots belong to: their shapes do not tell."""
        return type(self).__name__ + "-truncating" * getattr(self, "cumulative_l1", False) if self.slots else ""


def values_of(name: str, value: Any, first_step: int, steps: int, limit: float = math.inf) -> np.ndarray:
    """A number for each of so many steps, (steps,), of a number or of a function of the step.

    ValueError where the function returns what is not from 0 to below the limit.
    """
    if not callable(value):
        return np.full(steps, float(value))
    of_steps = range(first_step, first_step + steps)
    found: Any = value.between(first_step, steps) if hasattr(value, "between") else list(map(value, of_steps))
    for step, one in zip(of_steps, found, strict=True):
        if not is_number(one) or not 0 <= one < limit:
            allowed = "finite number, at least 0" if limit == math.inf else f"number, at least 0 and below {limit:g}"
            raise ValueError(f"{name}(step) must return a {allowed}; for step {step} it returned {one!r}")
    return np.array(found, dtype=float)


def over(value: Any, steps: int) -> Any:
    """The same for a run of so many steps: a schedule without a length gets it."""
    return value.over(steps) if hasattr(value, "over") else value


def _shown(rate) -> str:
    """A learning rate as text that is the same in every process: a function's repr has its address."""
    if isinstance(rate, tuple):
        return f"[{', '.join(map(_shown, rate))}]"
    if isinstance(rate, partial):
        arguments = [*map(repr, rate.args), *(f"{name}={value!r}" for name, value in rate.keywords.items())]
        return f"partial({', '.join([_shown(rate.func), *arguments])})"
    if callable(rate) and type(rate).__repr__ in (object.__repr__, FunctionType.__repr__, MethodType.__repr__):
        return getattr(rate, "__qualname__", type(rate).__qualname__)
    return repr(rate)


def _checked_rates(given: Sequence) -> tuple:
    """A sequence of rates, each a function or a number, as a tuple."""
    for rate in given:
        if not callable(rate) and not (is_number(rate) and 0 <= rate < math.inf):
            raise ValueError("learning_rate must hold finite numbers, at least 0, or functions of the step, got "
                             f"{rate!r}")
    if not given:
        raise ValueError("learning_rate must hold one for each member, got none")
    return tuple(rate if callable(rate) else float(rate) for rate in given)


def _checked_average(average: Any) -> float | str | None:
    if average is None or (isinstance(average, str) and average == "polyak"):
        return average
    if not isinstance(average, str) and not is_number(average):
        raise TypeError(f"average must be 'polyak' or a number, got {average!r}")
    if average == 1:
        warn_of("average=1.0", "average='polyak', the mean of the parameters after every step")
        return "polyak"
    if isinstance(average, str) or not 0 < average < 1:
        raise ValueError(f"average must be 'polyak' or a number above 0 and below 1, got {average!r}")
    return float(average)


def _checked_groups(groups) -> dict[str | int, ParameterGroup]:
    if not isinstance(groups, Mapping):
        raise TypeError(f"groups must be a dict of fastsgd.ParameterGroup, got {groups!r}")
    for key, group in groups.items():
        if isinstance(key, bool) or not isinstance(key, str | int):
            raise TypeError(f"groups must have roles ({', '.join(ROLES)}), numbers of layers or names of tensors such "
                            f"as 'weights.0' as keys, got {key!r}")
        if not isinstance(group, ParameterGroup):
            raise TypeError(f"groups[{key!r}] must be a fastsgd.ParameterGroup, got {group!r}")
    return dict(groups)


_KINDS = {"learning_rate": "a number or a function of the step", "average_from": "a whole number of steps"}


def check_optimizer(optimizer) -> None:
    """TypeError unless this is an optimizer."""
    if not isinstance(optimizer, Optimizer):
        kinds = {kind.__name__.lower(): kind.__name__ for kind in _all_kinds(Optimizer)}
        named = kinds.get(str(optimizer).lower())
        hint = f"; give fastsgd.{named}()" if named else ""
        raise TypeError(f"optimizer must be an optimizer such as fastsgd.SGD(0.1), got {optimizer!r:.80}{hint}")


def _all_kinds(kind: type) -> Iterator[type]:
    own: type
    for own in kind.__subclasses__():
        yield own
        yield from _all_kinds(own)


def check_state(state, optimizer: Optimizer, params: np.ndarray) -> None:
    """TypeError or ValueError unless this is None or a memory of this optimizer for these parameters."""
    if state is None:
        return
    if not isinstance(state, State):
        raise TypeError(f"state must be what optimizer.state(net.params) returns, got {type(state).__name__}")
    optimizer._check_dtype(params.dtype)
    if state.slots.shape != optimizer._slots_shape(params) or state.slots.dtype != params.dtype or \
            (state.average is not None) != optimizer.averages or state.rule not in ("", optimizer._rule):
        of = f" of {state.rule}" if state.rule else ""
        raise ValueError(f"state is not one of {optimizer!r} for {params.size:,} parameters of {params.dtype}: it has "
                         f"slots{of} of shape {state.slots.shape} and {state.slots.dtype}")


def check_fits(optimizer: Optimizer, architecture) -> None:
    """ValueError where the optimizer is not for such a network."""
    rates = optimizer.learning_rate
    if isinstance(rates, tuple) and architecture.sharing != "none":
        raise ValueError(f"learning_rate must be one where members share weights, got {len(rates)}")
    if isinstance(rates, tuple) and len(rates) != architecture.members:
        raise ValueError(f"learning_rate must be one or {architecture.members}, one per member, got {len(rates)}")
    if optimizer.groups:
        known = {key for tensor in architecture.tensors if tensor.role != "running"
                 for key in (tensor.role, tensor.layer, tensor.name)}
        for key in optimizer.groups:
            if key not in known:
                raise ValueError(f"groups: this network has no parameters {key!r}; it has "
                                 f"{', '.join(map(repr, sorted(known, key=str)))}")
    losses = getattr(optimizer, "losses", None)
    if losses is not None and architecture.ntk:
        raise ValueError(f"optimizer: {type(optimizer).__name__} is not for networks with init='ntk'")
    if losses is not None and (len(architecture.sizes) > 2 or architecture.loss not in losses):
        raise ValueError(f"optimizer: {type(optimizer).__name__} is for networks without a hidden layer and with the "
                         f"loss {' or '.join(losses)}; this network has sizes {list(architecture.sizes)} and "
                         f"{architecture.loss}")
