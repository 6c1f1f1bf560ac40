"""Initial weights that rows decide."""
from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from fastsgd.data.checks import generator
from fastsgd.model.architecture import Architecture
from fastsgd.network import checked
from fastsgd.network.given import require_network
from fastsgd.network.network import Network

if TYPE_CHECKING:
    from fastsgd.data.typing import RowsLike

INITS = ("realmlp",)
ROWS = 4096             # that are looked at
POINTS = 5              # that a unit's kink lies between


def initialise_from_data(net: Network, X: RowsLike, init: str = "realmlp", seed: int | None = None) -> None:
    """Gives a network initial parameters that go by rows, in place, layer after layer.

    "realmlp" (Holzmüller et al. 2024, arXiv 2407.04491): weights from the unit normal, each unit's divided by the
    standard deviation over the rows of what they make, so that x W has deviation 1; and biases

        b = -sum_k p_k (x_k W),    k = 1 .. 5,

    of five rows x_k drawn for each unit and shares p uniform among those that sum to 1 ("he+5", after Steinwart 2019,
    arXiv 1903.11482), so that a unit is zero at a point between rows. The next layer meets what these units make of the
    rows. Layers of other kinds begin as they always do. RealMLP has these values in the parametrisation of
    ``init="ntk"``, which they leave as it is.

    Parameters
    ----------
    net : Network
    X : array (rows, columns)
        The training rows; where there are more than 4,096 so many are drawn. A unit that is the same for all of them
        keeps weights of variance 1 / inputs.
    init : "realmlp"
    seed : int or None
        None draws one from the operating system. Of several members each has its own, ``seed + i``.

    Examples
    --------
    >>> import fastsgd
    >>> (X, y), _ = fastsgd.datasets.digits()
    >>> net = fastsgd.Network([64, 32, 10], "selu", dtype="float64", init="ntk", seed=0)
    >>> initialise_from_data(net, X, seed=0)
    >>> bool(np.allclose((X @ net.weights[0]).std(axis=0), 1))
    True
    """
    require_network(net)
    if init not in INITS:
        raise ValueError(f"init must be {' or '.join(INITS)}, got {init!r}")
    rows = checked.check_rows(net, X)
    if net.architecture.networks > 1:
        for member in range(net.architecture.members):
            initialise_from_data(net.member(member), rows, init, None if seed is None else seed + member)
        return
    net.architecture.require_one(f"init={init!r}")
    rng = generator(seed)
    chosen = np.sort(rng.choice(len(rows), ROWS, replace=False)) if len(rows) > ROWS else None
    layers = net.layers
    for number, (layer, arrays) in enumerate(zip(layers, net.architecture.arrays(net.params), strict=True)):
        for (name, _), array in zip(layer.tensors, arrays, strict=True):
            if layer.kind != "dense":
                array[:] = layer.initial(name, array.shape, rng)
        if layer.kind == "dense":
            W, b = arrays
            W[:], b[:] = rng.standard_normal(W.shape), 0
            z = checked.predict(_up_to(net, number), rows, None, chosen).astype(float)
            deviation = z.std(axis=0)
            deviation[deviation <= 1e-9 * abs(z).max(axis=0)] = math.sqrt(layer.inputs)
            W /= deviation
            b[:] = -_between_rows(z, rng) / deviation


def _up_to(net: Network, number: int) -> Network:
    """The network that ends with what a dense layer's activation receives; it shares the parameters' memory."""
    own = net.architecture
    last = replace(own.layers[number], activation="identity")
    architecture = Architecture((*own.layers[:number], last), "squared_error", (0.0,) * last.outputs, own.input_scale,
                                own.input_offset)
    twin = Network.__new__(Network)
    twin._hold(architecture, net.params[:architecture.parameters], {})
    return twin


def _between_rows(z: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """For each column the mean of a few of its values, weighted by shares uniform among those that sum to 1."""
    columns = z.shape[1]
    chosen, shares = rng.integers(len(z), size=(columns, POINTS)), rng.standard_exponential((columns, POINTS))
    values = z[chosen, np.arange(columns)[:, np.newaxis]]
    return (shares * values).sum(axis=1) / shares.sum(axis=1)
