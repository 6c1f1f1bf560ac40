"""Layers that are an affine map of each column, multiplied into the weights of dense layers beside them."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastsgd.layers import Add, Layer

FOLDED = ("scale", "batch_norm")
DENSE = ("dense", "adapted_dense", "member_dense")       # the first tensor of each is its weights


@dataclass
class _Waiting:
    """Layers whose map, x * factor + offset, the next one is to take in."""

    layers: list[tuple[Layer, Sequence[np.ndarray]]]
    factor: np.ndarray
    offset: np.ndarray | None = None

    def add(self, layer: Layer, arrays: Sequence[np.ndarray]) -> None:
        factor, offset = _map_of(layer, arrays)
        self.layers.append((layer, arrays))
        if self.offset is not None:
            offset = factor * self.offset + (0 if offset is None else offset)
        self.factor, self.offset = factor * self.factor, offset


def fold(layers: Sequence[Layer], arrays: Sequence[Sequence[np.ndarray]], skips: dict[int, int],
         kinds: Sequence[str]) -> tuple[list[Layer], list[np.ndarray]]:
    """``(layers, arrays)`` of the same function, without those layers of these kinds that a dense one can take in.

    That is the dense layer before them, if it has no activation, or the one behind. What a block receives stays as it
    is. ``skips`` are the architecture's.
    """
    made: list[tuple[Layer, Sequence[np.ndarray]]] = []
    begins = set(skips.values())
    first_of: dict[int, int] = {}                  # where a block that began at this layer now begins
    waiting: _Waiting | None = None
    for number, (layer, own) in enumerate(zip(layers, arrays, strict=True)):
        folds = layer.kind in kinds
        if waiting and (number in begins or not (folds or _takes(layer, waiting))):
            made += waiting.layers
            waiting = None
        first_of[number] = len(made)
        if folds:
            before = made[-1] if made else None
            if waiting:
                waiting.add(layer, own)
            elif before and number not in begins and before[0].kind == "dense" and before[0].activation == "identity":
                made[-1] = before[0], _after(before[1], *_map_of(layer, own))
            else:
                waiting = _Waiting([(layer, own)], *_map_of(layer, own))
            continue
        if waiting:
            own = _before(own, waiting.factor, waiting.offset)
            waiting = None
        made.append((Add(len(made) - first_of[skips[number]]).placed(layer.inputs) if number in skips else layer, own))
    return [layer for layer, _ in made], [array for _, own in made for array in own]


def _takes(layer: Layer, waiting: _Waiting) -> bool:
    return layer.kind == "dense" or (layer.kind in DENSE and waiting.offset is None)


def _map_of(layer: Any, arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray | None]:
    """The factor and the offset of each column."""
    if layer.kind == "scale":
        return arrays[0], None
    gain, shift, mean, variance = arrays
    factor = gain / np.sqrt(variance + variance.dtype.type(layer.epsilon))
    return factor, shift - mean * factor


def _after(arrays: Sequence[np.ndarray], factor: np.ndarray, offset: np.ndarray | None) -> list[np.ndarray]:
    """W and b of a dense layer that makes (x W + b) * factor + offset."""
    W, b = arrays
    return [W * factor, b * factor if offset is None else b * factor + offset]


def _before(arrays: Sequence[np.ndarray], factor: np.ndarray, offset: np.ndarray | None) -> list[np.ndarray]:
    """The arrays of a layer, its weights first, that receives x * factor + offset; offsets are for dense ones alone."""
    W, *rest = arrays
    if offset is not None:
        rest[0] = rest[0] + offset @ W
    return [factor[:, np.newaxis] * W, *rest]
