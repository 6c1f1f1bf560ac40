"""Layers that stand between dense ones and have a few numbers for each column."""
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from fastsgd.arguments import check_factor, is_number
from fastsgd.layers.base import Layer

ACTIVATIONS = ("identity", "logistic", "tanh", "relu", "leaky_relu", "elu", "gelu", "silu", "softplus", "selu", "mish",
               "hard_sigmoid", "hard_swish", "hard_tanh", "relu6")


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
        if self.function not in ACTIVATIONS:
            raise ValueError(f"function must be one of {', '.join(ACTIVATIONS)}, got {self.function!r}")
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
        if not is_number(self.epsilon) or not 0 < self.epsilon < math.inf:
            raise ValueError(f"epsilon must be a finite number above 0, got {self.epsilon!r}")
        object.__setattr__(self, "epsilon", float(self.epsilon))

    def shapes(self) -> tuple[tuple[int, ...], ...]:
        return (self.inputs,), (self.inputs,)

    @property
    def flops(self) -> int:
        return 8 * self.inputs

    def initial(self, name: str, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
        return float(name == "gain")
