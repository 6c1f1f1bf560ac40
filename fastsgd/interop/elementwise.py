"""A normal form for functions of one number z, by which activations are recognised.

A few values cannot tell relu from a threshold at 0.1; the form can. Every rewriting here is an identity for all real
z, so that what is recognised is that activation, up to the rounding of its constants; what is not recognised may be
one all the same.
"""
from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from fastsgd.interop.onnx_composed import COMPOSED

MAX_FACTORS, MAX_DEPTH = 600, 40      # of a function's form; gelu's longest has 492 and 27
MAX_PRODUCTS = 16                      # of terms, one by one, where there is a step among them
COMPLICATED = "it is more complicated than any activation"
LARGEST = 3.4028234e38                  # limits beyond are no limits: some exporters clip at the ends of float32
STRAIGHT_FROM = 15.0                    # softplus may be replaced by z from here on, which is 2e-8 of it
ROUNDED = 3e-7                          # relative, of constants that float32 cannot hold
SIXTH = 0.16666667163372040             # as float32 has it, in hard_sigmoid's slope
SELU_ALPHA, SELU_SCALE = 1.67326319217681884765625, 1.05070102214813232421875       # ONNX's, those of float32


@dataclass(frozen=True, order=True)
class Function:
    """A sum: products of factors and their coefficients, in order.

    A factor is ``("z",)`` or a name and a Function: relu, step (1 above 0, else 0), exp, log, erf, tanh, logistic,
    softplus, inverse (1 / f), sum (of several terms). The product without factors is that of the constant.
    """

    terms: tuple[tuple[tuple, float], ...]
    size: int = field(default=0, compare=False)
    depth: int = field(default=0, compare=False)
    hashed: int = field(default=0, compare=False)       # once, as there are functions of functions of functions

    def __hash__(self) -> int:
        return self.hashed

    @classmethod
    def of(cls, terms: Iterable[tuple[tuple, float]]) -> Function:
        """ValueError for constants that are not finite, and for a form that is too long."""
        total: dict[tuple, float] = {}
        moved: dict[tuple, float] = {}
        for product, coefficient in terms:
            total[product] = total.get(product, 0.0) + coefficient
            moved[product] = moved.get(product, 0.0) + abs(coefficient)
        kept = tuple(sorted((product, coefficient) for product, coefficient in total.items()
                            if not abs(coefficient) <= 1e-14 * moved[product]))
        inner = [factor[1] for product, _ in kept for factor in product if len(factor) > 1]
        size = sum(len(product) + 1 for product, _ in kept) + sum(function.size for function in inner)
        depth = 1 + max((function.depth for function in inner), default=0)
        if not all(math.isfinite(coefficient) for _, coefficient in kept):
            raise ValueError("it makes numbers that are not finite")
        if size > MAX_FACTORS or depth > MAX_DEPTH:
            raise ValueError(COMPLICATED)
        return cls(kept, size, depth, hash(kept))

    @property
    def constant(self) -> float | None:
        """Its value where it does not depend on z."""
        if not self.terms:
            return 0.0
        return self.terms[0][1] if len(self.terms) == 1 and not self.terms[0][0] else None

    @property
    def line(self) -> tuple[float, float] | None:
        """a and b where it is a z + b and depends on z."""
        found = dict(self.terms)
        slope = found.get((("z",),), 0.0)
        return (slope, found.get((), 0.0)) if slope and not found.keys() - {(), (("z",),)} else None

    @property
    def lead(self) -> float:
        """The first coefficient that is not the constant's."""
        return next(coefficient for product, coefficient in self.terms if product)

    @property
    def has_steps(self) -> bool:
        return any(factor[0] == "step" for product, _ in self.terms for factor in product)

    def __add__(self, other: Function) -> Function:
        return Function.of((*self.terms, *other.terms))

    def __neg__(self) -> Function:
        return self.times(-1.0)

    def __sub__(self, other: Function) -> Function:
        return self + -other

    def times(self, number: float) -> Function:
        return Function.of((product, number * coefficient) for product, coefficient in self.terms)

    def __mul__(self, other: Function) -> Function:
        for one, another in ((self, other), (other, self)):
            if one.constant is not None:
                return another.times(one.constant)
        if not (self.has_steps or other.has_steps):
            return _product(*self._as_product(), *other._as_product())
        if len(self.terms) * len(other.terms) > MAX_PRODUCTS:
            raise ValueError(COMPLICATED)
        return Function.of(itertools.chain.from_iterable(
            _product(*one, *another).terms for one in self.terms for another in other.terms))

    def _as_product(self) -> tuple[tuple, float]:
        if len(self.terms) == 1:
            return self.terms[0]
        first = self.terms[0][1]
        return (("sum", self.times(1 / first)),), first


def number(value: float) -> Function:
    """The constant function."""
    return Function.of([((), float(value))])


def _factor(*factor) -> Function:
    return Function.of([((factor,), 1.0)])


Z = _factor("z")
ONE = number(1.0)


def _product(left: tuple, by: float, right: tuple, by_more: float) -> Function:
    """Of two products; a step that meets z or a relu of z makes one of them, once."""
    factors = (*left, *right)
    steps = {factor for factor in factors if factor[0] == "step"}
    others = [factor for factor in factors if factor[0] != "step"]
    up, down, relu_z = _of_z()
    if down in steps and (up in steps or relu_z in others):
        return number(0.0)
    if up in steps and relu_z in others:
        steps.remove(up)
    rest = number(by * by_more)
    for step, replaced in ((up, relu(Z)), (down, Z - relu(Z))) if steps & {up, down} else ():
        if step in steps and ("z",) in others:
            steps.remove(step)
            others.remove(("z",))
            rest = rest * replaced
    found = tuple(sorted((*others, *steps)))
    return Function.of([(found, by * by_more)]) if rest.constant is not None else rest * Function.of([(found, 1.0)])


@cache
def _of_z() -> tuple[tuple, tuple, tuple]:
    """The factors that are steps up and down at 0, and relu."""
    return ("step", Z), ("step", -Z), ("relu", Z)


# ---- functions of functions ----

def _elementary(name: str, compute: Callable[[float], float],
                mirrored: Callable[[Function, Function], Function] | None = None) -> Callable[[Function], Function]:
    """``mirrored(f(-x), x)`` is f(x), where the first coefficient of x is negative."""
    def apply(x: Function) -> Function:
        if x.constant is not None:
            return number(compute(x.constant))
        if mirrored is not None and x.lead < 0:
            return mirrored(_factor(name, -x), x)
        return _factor(name, x)
    return apply


exp = _elementary("exp", math.exp)
log = _elementary("log", math.log)
erf = _elementary("erf", math.erf, lambda found, _: -found)
tanh = _elementary("tanh", math.tanh, lambda found, _: -found)
logistic = _elementary("logistic", lambda x: 1 / (1 + math.exp(-x)), lambda found, _: ONE - found)
softplus = _elementary("softplus", lambda x: max(x, 0.0) + math.log1p(math.exp(-abs(x))), lambda found, x: found + x)


def relu(x: Function) -> Function:
    if x.constant is not None:
        return number(max(x.constant, 0.0))
    size = abs(x.lead)
    x = x.times(1 / size)
    if x.lead < 0:
        return (relu(-x) + x).times(size)
    if len(x.terms) == 1 and [factor[0] for factor in x.terms[0][0]] == ["relu"]:
        return x.times(size)
    return _factor("relu", x).times(size)


def step(x: Function) -> Function:
    return number(x.constant > 0) if x.constant is not None else _factor("step", x.times(1 / abs(x.lead)))


def inverse(x: Function) -> Function:
    if x.constant is not None:
        return number(1 / x.constant)
    first = x.terms[0][1]
    return _factor("inverse", x.times(1 / first)).times(1 / first)


def maximum(x: Function, y: Function) -> Function:
    for one, other in ((x, y), (y, x)):
        if other.constant is not None and other.constant <= -LARGEST:
            return one
    return y + relu(x - y)


def minimum(x: Function, y: Function) -> Function:
    return -maximum(-x, -y)


def clip(x: Function, low: Function | None = None, high: Function | None = None, **limits: float) -> Function:
    """ONNX's Clip: its limits are operands, and attributes before opset 11."""
    low, high = number(limits["min"]) if "min" in limits else low, number(limits["max"]) if "max" in limits else high
    x = x if low is None else maximum(x, low)
    return x if high is None else minimum(x, high)


def where(condition: Function, x: Function, y: Function) -> Function:
    chosen = condition.constant
    if chosen is not None:
        return x if chosen else y
    if len(condition.terms) > 1 or condition.lead != 1 or any(name != "step" for name, _ in condition.terms[0][0]):
        raise ValueError("its condition must be a comparison")
    return y + condition * (x - y)


def elu(x: Function, alpha: float = 1.0) -> Function:
    return relu(x) + (exp(x - relu(x)) - ONE).times(alpha)


def selu(x: Function, alpha: float = SELU_ALPHA, gamma: float = SELU_SCALE) -> Function:
    return elu(x, alpha).times(gamma)


def hard_sigmoid(x: Function, alpha: float = 0.2, beta: float = 0.5) -> Function:
    return clip(x.times(alpha) + number(beta), number(0), ONE)


def gelu(x: Function, approximate: bytes = b"none") -> Function:
    if approximate == b"none":
        return x.times(0.5) * (ONE + erf(x.times(math.sqrt(0.5))))
    cubic = x + (x * x * x).times(0.044715)
    return x.times(0.5) * (ONE + tanh(cubic.times(math.sqrt(2 / math.pi))))


OPERATIONS: dict[str, Callable[..., Function]] = {      # of ONNX, by the operands and the node's attributes
    "Add": lambda x, y: x + y,
    "Sub": lambda x, y: x - y,
    "Mul": lambda x, y: x * y,
    "Div": lambda x, y: x * inverse(y),
    "Max": lambda x, y: maximum(x, y),
    "Min": minimum,
    "Clip": clip,
    "Greater": lambda x, y: step(x - y),
    "Less": lambda x, y: step(y - x),
    "Where": lambda condition, x, y: where(condition, x, y),
    "Relu": lambda x: relu(x),
    "LeakyRelu": lambda x, alpha=0.01: x.times(alpha) + relu(x).times(1 - alpha),
    "Elu": elu,
    "Celu": lambda x, alpha=1.0: relu(x) + (exp((x - relu(x)).times(1 / alpha)) - ONE).times(alpha),
    "Selu": selu,
    "HardSigmoid": hard_sigmoid,
    "HardSwish": lambda x: x * hard_sigmoid(x, SIXTH),
    "Mish": lambda x: x * tanh(softplus(x)),
    "Gelu": gelu,
    "Swish": lambda x, alpha=1.0: x * logistic(x.times(alpha)),
    "Softplus": lambda x: softplus(x),
    "Sigmoid": lambda x: logistic(x),
    "Tanh": lambda x: tanh(x),
    "Exp": lambda x: exp(x),
    "Log": lambda x: log(x),
    "Erf": lambda x: erf(x),
    "Abs": lambda x: maximum(x, -x),
    "Neg": lambda x: -x,
}


# ---- the activations ----

def activation_of(function: Function) -> str | None:
    """The name of the activation that a function is, None where it is not seen to be one of ours.

    >>> activation_of(OPERATIONS["Max"](Z, number(0)))
    'relu'
    >>> activation_of(OPERATIONS["Max"](Z, number(1e-9))) is None
    True
    """
    for name, forms in _forms().items():
        if any(_alike(function, form) for form in forms):
            return name
    for product, _ in function.terms:                       # PyTorch's softplus is z itself above a threshold
        for name, *of in product:
            if name == "step" and (of[0] - Z).constant is not None and (Z - of[0]).constant >= STRAIGHT_FROM:
                straight = (where(_factor("step", of[0]), Z, form) for form in _forms()["softplus"])
                return "softplus" if any(_alike(function, form) for form in straight) else None
    return None


@cache
def _forms() -> dict[str, tuple[Function, ...]]:
    """The ways in which each activation is written, that of a float64 network's export among them."""
    half = Z.times(0.5)
    logistics = (logistic(Z), inverse(ONE + exp(-Z)), exp(Z) * inverse(ONE + exp(Z)), (ONE + tanh(half)).times(0.5))
    bent = exp(Z) - ONE
    error = erf(Z.times(math.sqrt(0.5)))
    softpluses = (softplus(Z), log(ONE + exp(Z)), relu(Z) + log(ONE + exp(-maximum(Z, -Z))))
    stairs = [form for slope in (1 / 6, SIXTH) for form in _clipped(Z.times(slope) + number(0.5), 0, 1)]
    forms = {
        "identity": (Z,),
        "logistic": logistics,
        "tanh": (tanh(Z), logistic(Z.times(2)).times(2) - ONE),
        "relu": (relu(Z),),
        "leaky_relu": (Z.times(0.01) + relu(Z).times(0.99),),
        "elu": (elu(Z), where(step(Z), Z, bent), where(step(-Z), bent, Z)),
        "gelu": (gelu(Z), half + half * error),
        "silu": (*(Z * form for form in logistics), half + half * tanh(half)),
        "softplus": softpluses,
        "selu": (selu(Z),),
        "mish": tuple(Z * tanh(form) for form in softpluses),
        "hard_sigmoid": tuple(stairs),
        "hard_swish": tuple(Z * form for form in stairs),
        "hard_tanh": _clipped(Z, -1, 1),
        "relu6": _clipped(Z, 0, 6),
        "exp": (exp(Z),),
    }
    return {name: (*known, COMPOSED[name](_operate, Z)) if name in COMPOSED else known for name, known in forms.items()}


def _clipped(x: Function, low: float, high: float) -> tuple[Function, ...]:
    """x between two limits, whichever comes first."""
    bottom, top = number(low), number(high)
    return clip(x, bottom, top), maximum(minimum(x, top), bottom)


def _operate(operation: str, *operands: Function | float) -> Function:
    return OPERATIONS[operation](*(x if isinstance(x, Function) else number(x) for x in operands))


def _alike(found: Any, expected: Any) -> bool:
    """Whether two forms differ by the rounding of constants only: to float32, of those that it cannot hold."""
    if isinstance(found, Function) and isinstance(expected, Function):
        return _alike(found.terms, expected.terms)
    if isinstance(found, tuple) and isinstance(expected, tuple):
        return len(found) == len(expected) and all(map(_alike, found, expected))
    if isinstance(found, float) and isinstance(expected, float):
        exact = expected * 2**20 == int(expected * 2**20)
        return math.isclose(found, expected, rel_tol=1e-12 if exact else ROUNDED)
    return found == expected
