"""Layers that stand between dense ones and have a few numbers for each column."""
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from fastsgd.arguments import check_factor, hint_of, is_number
from fastsgd.layers.base import Layer

ACTIVATIONS = ("identity", "logistic", "tanh", "relu", "leaky_relu", "elu", "gelu", "silu", "softplus", "selu", "mish",
               "hard_sigmoid", "hard_swish", "hard_tanh", "relu6")
NAMES_ELSEWHERE = {"sigmoid": "logistic", "linear": "identity", "swish": "silu", "hardswish": "hard_swish",
                   "hardsigmoid": "hard_sigmoid", "hardtanh": "hard_tanh", "leakyrelu": "leaky_relu"}


def check_activation(argument: str, name: Any) -> None:
    """ValueError unless it is the name of an activation."""
    if name not in ACTIVATIONS:
        raise ValueError(f"{argument} must be one of {', '.join(ACTIVATIONS)}, got {name!r}"
                         + hint_of(name, ACTIVATIONS, NAMES_ELSEWHERE))


@dataclass(frozen=True)
class Scale(Layer):
    """s * x, a number for each column, which begins as 1 and is trained.

    In front of the first dense layer it lets a network choose how much each column counts (RealMLP, Holzmüller et al.
    2024, arXiv 2407.04491, which multiplies its learning rate by 6).

    >>> import fastsgd
    >>> (X, y), test = fastsgd.datasets.digits()
    >>> net = fastsgd.Network([64, Scale(learning_rate_factor=6.0), 32, 10], seed=0)
    >>> history = fastsgd.train(net, X, y, epochs=10, seed=0)
    >>> net.tensors["scale.0"].shape, net.score(*test) > 0.9
    ((64,), True)
    """

    learning_rate_factor: float = 1.0
    kind: ClassVar[str] = "scale"
    tensors: ClassVar[tuple[tuple[str, str], ...]] = (("scale", "scale"),)

    def __post_init__(self):
        object.__setattr__(self, "learning_rate_factor",
                           check_factor("learning_rate_factor", self.learning_rate_factor))

    def shapes(self) -> tuple[tuple[int, ...], ...]:
        return ((self.inputs,),)

    def initial(self, name: str, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
        return 1.0

    @property
    def flops(self) -> int:
        return self.inputs

    def rate_factor(self, role: str) -> float:
        return self.learning_rate_factor


@dataclass(frozen=True)
class ParametricActivation(Layer):
    """x + w * (f(x) - x), an activation f between identity and itself: a number w for each column, trained from 1 on.

    (RealMLP, Holzmüller et al. 2024, arXiv 2407.04491, which multiplies its learning rate by 0.1.) It stands behind a
    dense layer and takes the place of its activation: where the network's ``activation`` is one name, that layer has
    none of its own, and dropout acts on what comes out here. With a factor of 0 it stays f itself, which so may follow
    any layer, a :class:`LayerNorm` say.

    ``function`` is any activation of :class:`fastsgd.Network`.

    >>> import fastsgd
    >>> (X, y), test = fastsgd.datasets.digits()
    >>> net = fastsgd.Network([64, 32, ParametricActivation("selu"), 10], seed=0)
    >>> history = fastsgd.train(net, X, y, epochs=10, seed=0)
    >>> net.tensors["activation.1"].shape, net.layers[0].activation, net.score(*test) > 0.9
    ((32,), 'identity', True)
    """

    function: str
    learning_rate_factor: float = 0.1
    kind: ClassVar[str] = "parametric_activation"
    tensors: ClassVar[tuple[tuple[str, str], ...]] = (("activation", "activation"),)

    def __post_init__(self):
        check_activation("function", self.function)
        object.__setattr__(self, "learning_rate_factor",
                           check_factor("learning_rate_factor", self.learning_rate_factor))

    def shapes(self) -> tuple[tuple[int, ...], ...]:
        return ((self.inputs,),)

    @property
    def flops(self) -> int:
        return 10 * self.inputs                  # most of it within the function

    def initial(self, name: str, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
        return 1.0

    def rate_factor(self, role: str) -> float:
        return self.learning_rate_factor


@dataclass(frozen=True)
class LayerNorm(Layer):
    """gain * (x - m) / sqrt(v + epsilon) + shift, m and v being mean and variance of each row's columns.

    (Ba, Kiros and Hinton 2016, arXiv 1607.06450.) v is the mean of the squared distances from m. gain begins as 1 and
    shift as 0, a number for each column.

    >>> import fastsgd
    >>> net = fastsgd.Network([64, 32, LayerNorm(), 10], seed=0)
    >>> {name: array.shape for name, array in net.tensors.items() if name.endswith(".1")}
    {'gain.1': (32,), 'shift.1': (32,)}
    """

    epsilon: float = 1e-5
    kind: ClassVar[str] = "layer_norm"
    tensors: ClassVar[tuple[tuple[str, str], ...]] = (("gain", "gain"), ("shift", "shift"))

    def __post_init__(self):
        _check_epsilon(self)

    def shapes(self) -> tuple[tuple[int, ...], ...]:
        return (self.inputs,), (self.inputs,)

    @property
    def flops(self) -> int:
        return 8 * self.inputs

    def initial(self, name: str, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
        return float(name == "gain")


@dataclass(frozen=True)
class BatchNorm(Layer):
    """gain * (x - m) / sqrt(v + epsilon) + shift, m and v being mean and variance of each column over a batch's rows.

    (Ioffe and Szegedy 2015, arXiv 1502.03167.) v is the mean of the squared distances from m. gain begins as 1 and
    shift as 0, a number for each column. That is what happens in training; each step moves ``mean`` and ``variance``,
    which begin as 0 and 1, by ``momentum`` of the way to its m and v (v times n / (n - 1) for n rows, as PyTorch has
    it), and everything but training has these in the place of m and v: predictions, costs, validation, ``gradient``
    and :func:`fastsgd.check_gradient`. No optimizer changes them.

    Batches of more than 1,024 rows are normalised in equal parts of no more than that (ghost batch normalisation,
    Hoffer et al. 2017, arXiv 1705.08741), the last of which moves the running figures. A step of one row, whose v is 0,
    does not move them. Weights of rows change their cost and not m and v.

    >>> import fastsgd
    >>> (X, y), test = fastsgd.datasets.digits()
    >>> net = fastsgd.Network([64, 32, BatchNorm(), ParametricActivation("relu", 0.0), 10], seed=0)
    >>> {name: array.shape for name, array in net.tensors.items() if name.endswith(".1")}
    {'gain.1': (32,), 'shift.1': (32,), 'mean.1': (32,), 'variance.1': (32,)}
    >>> history = fastsgd.train(net, X, y, epochs=10, seed=0)
    >>> net.score(*test) > 0.9
    True
    """

    epsilon: float = 1e-5
    momentum: float = 0.1
    kind: ClassVar[str] = "batch_norm"
    tensors: ClassVar[tuple[tuple[str, str], ...]] = (("gain", "gain"), ("shift", "shift"), ("mean", "running"),
                                                      ("variance", "running"))

    def __post_init__(self):
        _check_epsilon(self)
        if not is_number(self.momentum) or not 0 < self.momentum <= 1:
            raise ValueError(f"momentum must be above 0 and at most 1, got {self.momentum!r}")
        object.__setattr__(self, "momentum", float(self.momentum))

    def shapes(self) -> tuple[tuple[int, ...], ...]:
        return ((self.inputs,),) * 4

    @property
    def flops(self) -> int:
        return 8 * self.inputs

    def initial(self, name: str, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
        return float(name in ("gain", "variance"))


def _check_epsilon(layer: Any) -> None:
    if not is_number(layer.epsilon) or not 0 < layer.epsilon < math.inf:
        raise ValueError(f"epsilon must be a finite number above 0, got {layer.epsilon!r}")
    object.__setattr__(layer, "epsilon", float(layer.epsilon))
