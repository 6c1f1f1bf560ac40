"""Dense layers of members that share weights: k networks of nearly the parameters of one.

Rows of the batch come k times from the first of these layers on, once for each member.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from fastsgd.layers.base import Dense, Layer

SHARINGS = ("none", "batch", "mini")
MAX_SHARING = 128                    # members, all of whose rows of one row of the batch are in a block


@dataclass(frozen=True)
class AdaptedDense(Dense):
    """f(((x * r) W) * s + b) with W shared by all members, and r, s and b for each.

    (BatchEnsemble, Wen, Tran and Ba 2020, arXiv 2002.06715.) Where only the inputs are adapted there is no s, and b is
    shared. The first layer's r begin as random signs, so that members differ; other adapters as 1 (TabM, Gorishniy,
    Kotelnikov and Babenko 2024, arXiv 2410.24210).
    """

    members: int = field(default=1, kw_only=True)
    adapts_outputs: bool = field(default=True, kw_only=True)
    random_signs: bool = field(default=False, kw_only=True, repr=False)
    kind: ClassVar[str] = "adapted_dense"

    @property
    def tensors(self) -> tuple[tuple[str, str], ...]:              # type: ignore[override]
        outputs = (("output_adapters", "adapter"),) * self.adapts_outputs
        return ("weights", "weight"), ("input_adapters", "adapter"), *outputs, ("biases", "bias")

    def shapes(self) -> tuple[tuple[int, ...], ...]:
        k, inputs, outputs = self.members, self.inputs, self.outputs
        own: tuple[tuple[int, ...], ...] = ((k, outputs), (k, outputs)) if self.adapts_outputs else ((outputs,),)
        return (inputs, outputs), (k, inputs), *own

    def initial(self, name: str, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
        return rng.choice([-1.0, 1.0], shape) if name == "input_adapters" and self.random_signs else 1.0


@dataclass(frozen=True)
class MemberDense(Dense):
    """f(x W + b) with W (inputs, outputs) and b of its own for each member."""

    members: int = field(default=1, kw_only=True)
    kind: ClassVar[str] = "member_dense"

    def shapes(self) -> tuple[tuple[int, ...], ...]:
        return (self.members, self.inputs, self.outputs), (self.members, self.outputs)


def share(layers: Sequence[Layer], members: int, sharing: str) -> tuple[Layer, ...]:
    """The layers of so many members that share weights.

    With "batch" each hidden layer has adapters for each, with "mini" the first has some, of its inputs. The output
    layer is each member's own.

    >>> from fastsgd.layers import chain
    >>> [layer.kind for layer in share(chain([2, 8, 8, 3], ["relu", "relu", "softmax"]), 4, "batch")]
    ['adapted_dense', 'adapted_dense', 'member_dense']
    """
    places = [i for i, layer in enumerate(layers) if layer.kind == "dense"]
    if sharing == "none" or members == 1:
        return tuple(layers)
    if any(layer.kind == "batch_norm" for layer in layers):
        raise ValueError(f"BatchNorm is not for members that share weights, got sharing={sharing!r}; LayerNorm is")
    if len(places) < 2:
        raise ValueError(f"sharing={sharing!r} needs a hidden layer, whose weights are shared")
    if members > MAX_SHARING:
        raise ValueError(f"members must be at most {MAX_SHARING} where they share weights, got {members}")
    found = list(layers)
    for i in places:
        layer = layers[i]
        options = {"inputs": layer.inputs, "outputs": layer.outputs, "activation": layer.activation, "members": members}
        if i == places[-1]:
            found[i] = MemberDense(**options)                      # type: ignore[arg-type]
        elif sharing == "batch" or i == places[0]:
            found[i] = AdaptedDense(**options, adapts_outputs=sharing == "batch",      # type: ignore[arg-type]
                                    random_signs=i == places[0])
    return tuple(found)
