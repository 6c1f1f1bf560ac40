"""Networks made from a network: what it computes before its output activation, and without a scale of targets."""
from __future__ import annotations

from dataclasses import replace

from fastsgd.model.architecture import Architecture
from fastsgd.network.network import Network


def before_output(net: Network) -> Network:
    """The network that predicts what ``net``'s output activation receives; it shares the parameters' memory.

    >>> import numpy as np
    >>> before_output(Network([2, 3], seed=0)).predict(np.zeros((1, 2))).tolist()
    [[0.0, 0.0, 0.0]]
    """
    own = net.architecture
    layers = (*own.layers[:-1], replace(own.layers[-1], activation="identity"))
    twin = Network.__new__(Network)
    twin._hold(Architecture(layers, "squared_error", (0.0,) * own.sizes[-1], own.input_scale, own.input_offset,
                            members=own.members, sharing=own.sharing), net.params, {})
    return twin


def for_scaled_targets(net: Network) -> Network:
    """The network for targets that ``checked.check`` returned, which must not be scaled again: itself, or a copy."""
    if not net.architecture.scales_output:
        return net
    copy = net.copy()
    copy.output_scale, copy.output_offset = 1.0, 0.0
    return copy
