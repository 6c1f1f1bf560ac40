"""What layers share, and dense layers."""
from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

# penalties l1 and l2 act on weights alone, and no optimizer on running figures
ROLES = ("weight", "bias", "scale", "encoding", "embedding", "adapter", "activation", "gain", "shift", "running")


class Tensor(NamedTuple):
    """Where an array of parameters lies within the flat ones.

    Where there are several ``members``, each has its own: the first axis of the shape is theirs, and the offset is
    that within the parameters of one.

    >>> Tensor("weights.0", 0, (2, 3), "weight", 0).of(np.arange(9.0))
    array([[0., 1., 2.],
           [3., 4., 5.]])
    """

    name: str
    offset: int
    shape: tuple[int, ...]
    role: str
    layer: int
    members: int = 1
    unit: float = 1.0        # times the parameters that the optimizer changes; see Architecture.ntk

    @property
    def size(self) -> int:
        """How many numbers there are."""
        return math.prod(self.shape)

    def of(self, flat: np.ndarray) -> np.ndarray:
        """The view of them in an array that is laid out like the parameters."""
        size = self.size // self.members
        if self.members == 1:
            return flat[self.offset:self.offset + size].reshape(self.shape)
        return flat.reshape(self.members, -1)[:, self.offset:self.offset + size].reshape(self.shape)


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
    only_first: ClassVar[bool] = False       # whether it receives the rows of the data and nothing else
    categories: ClassVar[tuple[tuple[int, int], ...]] = ()     # columns of its input that hold codes, and their levels
    tensors: ClassVar[tuple[tuple[str, str], ...]]         # (name, role) of each

    def placed(self, inputs: int) -> Self:
        """The layer where it receives so many columns."""
        return replace(self, inputs=inputs, outputs=inputs)

    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Of its tensors."""
        raise NotImplementedError

    def initial(self, name: str, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
        """What a tensor begins as."""
        raise NotImplementedError

    @property
    def flops(self) -> int:
        """Floating-point operations per row forward. Back and for the gradient there are as many again."""
        raise NotImplementedError

    def rate_factor(self, role: str) -> float:
        """What the learning rate of a tensor of this role is multiplied by."""
        return 1.0

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
