"""What the imports share: a chain of layers on its way to a network, and activations known by their values."""
from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np

from fastsgd.architecture import ACTIVATIONS
from fastsgd.network import Network

LOSSES = {  # the loss that a last activation stands for, where none is given
    "softmax": "cross_entropy",
    "logistic": "binary_cross_entropy",
    "exp": "poisson",
    "tanh": "squared_error",
    "identity": "squared_error",
}
# Where activations are compared: their bend around zero, their way to both sides, and far out, where a limit shows.
FAR = np.array([1e3, 1e4, 1e6, 1e12, 1e30])           # below the ends of float32, which some exporters clip at
POINTS = np.concatenate([-FAR, [-500.0, -100.0, -30.0, -15.0], np.linspace(-8, 8, 65), [15.0, 30.0, 100.0, 500.0], FAR])
POINTS.flags.writeable = False
LOW, NEAR, HIGH = slice(len(FAR)), slice(len(FAR), -len(FAR)), slice(-len(FAR), None)


@dataclass(frozen=True)
class Layer:
    """f(x W + b), W (inputs, outputs) and b (outputs,)."""

    W: np.ndarray
    b: np.ndarray
    activation: str = "identity"


def network_of(layers: Sequence[Layer], loss: str | None = None, **arguments) -> Network:
    """The network of these layers; ``arguments`` are others of :class:`Network`.

    Without a loss the last activation decides (LOSSES). With one, a last layer without activation is taken for what
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
    if loss is None and output not in LOSSES:
        raise ValueError(f"the last layer's activation is {output}; a network may end in {', '.join(LOSSES)}")
    net = Network([layers[0].W.shape[0], *(len(layer.b) for layer in layers)],
                  [layer.activation for layer in layers[:-1]], loss or LOSSES[output],
                  output=None if output == "identity" else output, dtype=dtypes.pop(), seed=0, **arguments)
    for W, b, layer in zip(net.weights, net.biases, layers, strict=True):
        W[:] = layer.W
        b[:] = layer.b
    return net


def activation_of(values) -> str | None:
    """The name of the activation that has these values at POINTS, None where it is none of ours.

    However it is written, as one operation or as several: what counts is what it computes.

    >>> activation_of(np.maximum(POINTS, 0))
    'relu'
    >>> activation_of(np.clip(POINTS, 0, 1e6)) is None
    True
    """
    for name, expected in _activations().items():
        same = np.isclose(values, expected, rtol=1e-5, atol=1e-6)
        # log(1 + exp(x)), which is softplus, overflows far out; what has a limit does not.
        if same[NEAR].all() and all(same[side].all() or not np.isfinite(values[side]).any() for side in (LOW, HIGH)):
            return name
    return None


@cache
def _activations() -> dict[str, np.ndarray]:
    """Every activation's values at POINTS, as a network with one weight of 1 computes them."""
    with np.errstate(over="ignore"):
        values = {"exp": np.exp(POINTS)}
    for name in ACTIVATIONS:
        net = Network([1, 1, 1], name, "squared_error", dtype="float64", seed=0)
        net.params = [1, 0, 1, 0]
        values[name] = net.predict(POINTS[:, np.newaxis])[:, 0]
    return values


def third_party(name: str) -> Any:
    """The package of this name, which is also the name of the extra that installs it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(f'this needs {name}: pip install "fastsgd[{name}]"') from error
