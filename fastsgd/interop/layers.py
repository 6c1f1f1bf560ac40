"""What exports and imports share: the layers of a network to be made, and packages that may be missing."""
from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from fastsgd.losses import LOSSES, Loss, for_output
from fastsgd.network.network import Network


@dataclass(frozen=True)
class Layer:
    """f(x W + b), W (inputs, outputs) and b (outputs,)."""

    W: np.ndarray
    b: np.ndarray
    activation: str = "identity"


def network_of(layers: Sequence[Layer], loss: str | Loss | None = None, **arguments) -> Network:
    """The network of these layers; ``arguments`` are others of :class:`Network`.

    Without a loss the last activation decides. With one, a last layer without activation is taken for what
    that loss' own output activation is applied to, which is how other libraries define their losses.
    """
    if not layers:
        raise ValueError("there is no layer with weights")
    for i, layer in enumerate(layers):
        if layer.W.ndim != 2 or layer.b.shape != layer.W.shape[1:]:
            raise ValueError(f"layer {i} has weights of shape {layer.W.shape} and biases of shape {layer.b.shape}; "
                             "allowed are (inputs, outputs) and (outputs,)")
    for i, (before, layer) in enumerate(pairwise(layers)):
        if before.W.shape[1] != layer.W.shape[0]:
            raise ValueError(f"layer {i + 1} takes {layer.W.shape[0]} inputs, but the one before it gives "
                             f"{before.W.shape[1]}")
    dtypes = {str(array.dtype) for layer in layers for array in (layer.W, layer.b)}
    if dtypes not in ({"float32"}, {"float64"}):
        raise ValueError(f"the parameters must be all float32 or all float64, got {' and '.join(sorted(dtypes))}")
    output = layers[-1].activation
    if loss is None and (loss := for_output(output)) is None:
        allowed = sorted({name for known in LOSSES.values() for name in known.outputs})
        raise ValueError(f"the last layer's activation is {output}; a network may end in {', '.join(allowed)}")
    net = Network([layers[0].W.shape[0], *(len(layer.b) for layer in layers)],
                  [layer.activation for layer in layers[:-1]], loss,
                  output=None if output == "identity" else output, dtype=dtypes.pop(), seed=0, **arguments)
    for W, b, layer in zip(net.weights, net.biases, layers, strict=True):
        W[:] = layer.W
        b[:] = layer.b
    return net


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
