"""Layers as data: what a network is made of, and which tensors each layer needs.

The sizes of :class:`fastsgd.Network` are numbers of units, each a dense layer, and between them layers of other kinds::

    Network([8, Scale(learning_rate_factor=6.0), 64, ParametricActivation("selu"), Residual(LayerNorm(), 64), 3])

To add a kind: a class here, its twin in ``engine/reference.py`` (LAYERS), its functions in C (a file of
``engine/csrc`` and their line in the table of ``layers.inc``), and its line in KINDS of ``engine/_kernel.pyx``.
"""
from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from numbers import Integral
from typing import Any, ClassVar, NamedTuple

import numpy as np

from fastsgd.arguments import check_factor, is_number

__all__ = ["Add", "Dense", "Layer", "LayerNorm", "ParametricActivation", "Residual", "Scale", "Tensor"]

ACTIVATIONS = ("identity", "logistic", "tanh", "relu", "leaky_relu", "elu", "gelu", "silu", "softplus", "selu", "mish",
               "hard_sigmoid", "hard_swish", "hard_tanh", "relu6")
ROLES = ("weight", "bias", "scale", "activation", "gain", "shift")       # penalties l1 and l2 act on weights alone


class Tensor(NamedTuple):
    """Where an array of parameters lies within the flat ones.

    >>> Tensor("weights.0", 0, (2, 3), "weight", 0).of(np.arange(9.0))
    array([[0., 1., 2.],
           [3., 4., 5.]])
    """

    name: str
    offset: int
    shape: tuple[int, ...]
    role: str
    layer: int
    unit: float = 1.0        # times the parameters that the optimizer changes; see Architecture.ntk

    @property
    def size(self) -> int:
        """How many numbers there are."""
        return math.prod(self.shape)

    def of(self, flat: np.ndarray) -> np.ndarray:
        """The view of them in an array that is laid out like the parameters."""
        return flat[self.offset:self.offset + self.size].reshape(self.shape)


@dataclass(frozen=True)
class Layer:
    """What the layers share. Use one of its subclasses.

    ``inputs`` and ``outputs`` are 0 where the layer has not found its place in a network yet.
    """

    inputs: int = field(default=0, kw_only=True, repr=False)
    outputs: int = field(default=0, kw_only=True, repr=False)
    activation: str = field(default="identity", kw_only=True, repr=False)

    kind: ClassVar[str]
    has_units: ClassVar[bool] = False        # that an activation and dropout act on
    tensors: ClassVar[tuple[tuple[str, str], ...]]         # (name, role) of each

    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Of its tensors."""
        raise NotImplementedError

    @property
    def flops(self) -> int:
        """Floating-point operations per row forward. Back and for the gradient there are as many again."""
        raise NotImplementedError

    def rate_factor(self, role: str) -> float:
        """What the learning rate of a tensor of this role is multiplied by."""
        return 1.0

    def initial(self, role: str) -> float:
        """What the numbers of a tensor of this role begin as, where they are not drawn."""
        return 0.0

    def options(self) -> dict[str, Any]:
        """What a model file must keep of it besides its sizes and activation."""
        return {entry.name: getattr(self, entry.name) for entry in fields(self) if not entry.kw_only}


@dataclass(frozen=True)
class Dense(Layer):
    """f(x W + b): weights (inputs, outputs), biases (outputs,). A number of units among the sizes of a network.

    >>> Dense(inputs=3, outputs=2).shapes()
    ((3, 2), (2,))
    """

    kind: ClassVar[str] = "dense"
    has_units: ClassVar[bool] = True
    tensors: ClassVar[tuple[tuple[str, str], ...]] = (("weights", "weight"), ("biases", "bias"))

    def shapes(self) -> tuple[tuple[int, ...], ...]:
        return (self.inputs, self.outputs), (self.outputs,)

    @property
    def flops(self) -> int:
        return 2 * self.inputs * self.outputs


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

    @property
    def flops(self) -> int:
        return self.inputs

    def initial(self, role: str) -> float:
        return 1.0

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

    def initial(self, role: str) -> float:
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

    def initial(self, role: str) -> float:
        return float(role == "gain")


@dataclass(frozen=True)
class Add(Layer):
    """x + what the first of the last so many layers received. It ends what :class:`Residual` stands for."""

    layers: int
    kind: ClassVar[str] = "add"
    tensors: ClassVar[tuple[tuple[str, str], ...]] = ()

    def __post_init__(self):
        if isinstance(self.layers, bool) or not isinstance(self.layers, Integral) or self.layers < 1:
            raise ValueError(f"layers must be a whole number of at least 1, got {self.layers!r}")
        object.__setattr__(self, "layers", int(self.layers))

    def shapes(self) -> tuple[tuple[int, ...], ...]:
        return ()

    @property
    def flops(self) -> int:
        return self.inputs


@dataclass(frozen=True, init=False, repr=False)
class Residual:
    """x + F(x): a block of layers whose input is added to its output (He et al. 2016, arXiv 1512.03385).

    Its entries are those of a network's sizes, numbers of units and layers; the last must be as wide as the block's
    input. It may hold further blocks. It stands for its layers and an :class:`Add` behind them, which is how
    ``net.layers`` has it.

    >>> import fastsgd
    >>> net = fastsgd.Network([20, 64, Residual(LayerNorm(), 128, 64), 3], activation=["relu", "relu", "identity"])
    >>> [layer.kind for layer in net.layers]
    ['dense', 'layer_norm', 'dense', 'dense', 'add', 'dense']
    """

    entries: tuple[int | Layer | Residual, ...]

    def __init__(self, *entries: int | Layer | Residual):
        if not entries:
            raise ValueError("a Residual block needs at least one layer, got none")
        object.__setattr__(self, "entries", entries)

    def __repr__(self) -> str:
        return f"Residual({', '.join(map(repr, self.entries))})"


KINDS = {kind.kind: kind for kind in (Dense, Scale, ParametricActivation, LayerNorm, Add)}


def flat(entries: Iterable[Any]) -> list[Any]:
    """Entries with the layers of blocks in their place.

    >>> flat([4, Residual(Scale(), 4), 2])
    [4, Scale(learning_rate_factor=1.0), 4, Add(layers=2), 2]
    """
    found: list[Any] = []
    for entry in entries:
        inner = flat(entry.entries) if isinstance(entry, Residual) else []
        found += [*inner, Add(len(inner))] if inner else [entry]
    return found


def in_blocks(layers: Iterable[Layer]) -> list[int | Layer | Residual]:
    """The other way round: the entries that make these layers. ValueError where blocks overlap.

    >>> in_blocks(chain([4, Scale(), 4, Add(2), 2], ["relu"] * 2))
    [Residual(Scale(learning_rate_factor=1.0), 4), 2]
    """
    found: list[tuple[int | Layer | Residual, int]] = []          # with how many layers each stands for
    for layer in layers:
        if not isinstance(layer, Add):
            found.append((layer.outputs if isinstance(layer, Dense) else layer, 1))
            continue
        inner: list[int | Layer | Residual] = []
        count = 0
        while found and count < layer.layers:
            entry, length = found.pop()
            inner.insert(0, entry)
            count += length
        if count != layer.layers:
            raise ValueError(f"{layer} must stand behind so many layers, and hold all of a block or none of it")
        found.append((Residual(*inner), count + 1))
    return [entry for entry, _ in found]


def acting(layers: Sequence[Layer], number: int) -> int:
    """Which layer's function acts on the units of a dense one: its own, or a parametric activation before the next.

    >>> acting(chain([2, 3, LayerNorm(), ParametricActivation("relu"), 4], ["identity", "identity"]), 0)
    2
    """
    for later in range(number + 1, len(layers)):
        if layers[later].has_units:
            break
        if isinstance(layers[later], ParametricActivation):
            return later
    return number


def chain(sizes: Sequence[int | Layer], activations: Sequence[str]) -> tuple[Layer, ...]:
    """The layers that sizes stand for; dense layers take the activations in turn.

    >>> [(layer.kind, layer.inputs, layer.outputs, layer.activation) for layer in chain([2, Scale(), 3], ["relu"])]
    [('scale', 2, 2, 'identity'), ('dense', 2, 3, 'relu')]
    """
    names = iter(activations)
    layers: list[Layer] = []
    assert isinstance(sizes[0], int)
    inputs = sizes[0]
    for entry in sizes[1:]:
        if isinstance(entry, Layer):
            layers.append(replace(entry, inputs=inputs, outputs=inputs))
        else:
            layers.append(Dense(inputs=inputs, outputs=entry, activation=next(names)))
        inputs = layers[-1].outputs
    return tuple(layers)

