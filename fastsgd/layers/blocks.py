"""Chains of layers, and blocks of them whose input is added to their output."""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any, ClassVar

from fastsgd.layers.base import Dense, Layer
from fastsgd.layers.between import ParametricActivation


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
    >>> from fastsgd.layers import LayerNorm
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


def flat(entries: Iterable[Any]) -> list[Any]:
    """Entries with the layers of blocks in their place.

    >>> from fastsgd.layers import Scale
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

    >>> from fastsgd.layers import Scale
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

    >>> from fastsgd.layers import LayerNorm, ParametricActivation
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

    >>> from fastsgd.layers import Scale
    >>> [(layer.kind, layer.inputs, layer.outputs, layer.activation) for layer in chain([2, Scale(), 3], ["relu"])]
    [('scale', 2, 2, 'identity'), ('dense', 2, 3, 'relu')]
    """
    names = iter(activations)
    layers: list[Layer] = []
    assert isinstance(sizes[0], int)
    inputs = sizes[0]
    for entry in sizes[1:]:
        if isinstance(entry, Layer):
            layers.append(entry.placed(inputs))
        else:
            layers.append(Dense(inputs=inputs, outputs=entry, activation=next(names)))
        inputs = layers[-1].outputs
    return tuple(layers)
