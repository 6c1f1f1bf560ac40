"""What exports and imports share: the layers of a network to be made, and packages that may be missing."""
from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastsgd import layers as layers_as_data
from fastsgd.losses import LOSSES, Loss, for_output
from fastsgd.network.network import Network


@dataclass(frozen=True)
class Layer:
    """f(x W + b), W (inputs, outputs) and b (outputs,)."""

    W: np.ndarray
    b: np.ndarray
    activation: str = "identity"


@dataclass(frozen=True)
class Other:
    """A layer of another kind, as fastsgd has it, and its tensors."""

    kind: layers_as_data.Layer
    arrays: tuple[np.ndarray, ...] = ()


def network_of(layers: Sequence[Layer | Other], loss: str | Loss | None = None, **arguments) -> Network:
    """The network of these layers; ``arguments`` are others of :class:`Network`.

    Without a loss the last activation decides. With one, a last layer without activation is taken for what
    that loss' own output activation is applied to, which is how other libraries define their losses.
    """
    dense = [layer for layer in layers if isinstance(layer, Layer)]
    if not dense:
        raise ValueError("there is no layer with weights")
    if layers[-1] is not dense[-1]:
        raise ValueError("the last layer must have weights")
    sizes: list = []
    width = 0
    for i, layer in enumerate(layers):
        if isinstance(layer, Layer) and (layer.W.ndim != 2 or layer.b.shape != layer.W.shape[1:]):
            raise ValueError(f"layer {i} has weights of shape {layer.W.shape} and biases of shape {layer.b.shape}; "
                             "allowed are (inputs, outputs) and (outputs,)")
        if isinstance(layer, Layer):
            inputs, outputs = layer.W.shape
        else:
            inputs = outputs = layer.arrays[0].size if layer.arrays else width
        if sizes and inputs != width:
            raise ValueError(f"layer {i} takes {inputs} inputs, but the one before it gives {width}")
        sizes = sizes or [inputs]
        sizes.append(outputs if isinstance(layer, Layer) else layer.kind)
        width = outputs
    arrays = [array for layer in layers for array in arrays_of(layer)]
    dtypes = {str(array.dtype) for array in arrays}
    if dtypes not in ({"float32"}, {"float64"}):
        raise ValueError(f"the parameters must be all float32 or all float64, got {' and '.join(sorted(dtypes))}")
    output = dense[-1].activation
    if loss is None and (loss := for_output(output)) is None:
        allowed = sorted({name for known in LOSSES.values() for name in known.outputs})
        raise ValueError(f"the last layer's activation is {output}; a network may end in {', '.join(allowed)}")
    net = Network(sizes, [layer.activation for layer in dense[:-1]], loss,
                  output=None if output == "identity" else output, dtype=dtypes.pop(), seed=0, **arguments)
    for tensor, array in zip(net.tensors.values(), arrays, strict=True):
        tensor[:] = array
    return net


def arrays_of(layer: Layer | Other) -> tuple[np.ndarray, ...]:
    """Its tensors."""
    return (layer.W, layer.b) if isinstance(layer, Layer) else layer.arrays


def unit_of_targets(output: str, scale: np.ndarray, offset: np.ndarray) -> dict[str, np.ndarray]:
    """``output_scale`` and ``output_offset`` of a network whose outputs have these: each one number or one per output.

    ValueError where deviations are not scaled like their means, or shifted.
    """
    if output == "mean_and_deviation" and max(len(scale), len(offset)) > 1:
        scale, offset = (np.broadcast_to(values, (max(len(scale), len(offset)),)) for values in (scale, offset))
        (scale, of_deviations), (offset, shift) = (np.split(values, 2) for values in (scale, offset))
        if (scale != of_deviations).any() or shift.any():
            raise ValueError(f"deviations must be scaled as their means are, by {scale.tolist()}, and not shifted, got "
                             f"{of_deviations.tolist()} and {shift.tolist()}")
    return {"output_scale": scale, "output_offset": offset}


def third_party(name: str) -> Any:
    """The package of this name, which is also the name of the extra that installs it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(f'this needs {name}: pip install "fastsgd[{name}]"') from error
