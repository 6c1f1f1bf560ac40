"""A linear model of a table, and its place among the members of an ensemble.

Where a table is small, or depends on its columns one by one, a linear model is better than networks, or they are better
together. A network of relu layers can be a linear model exactly, as z = relu(z) - relu(-z): so what a table has learned
remains one network, whatever was best on held-out rows.
"""
from __future__ import annotations

from dataclasses import replace

import numpy as np

from fastsgd.layers import Columns, PiecewiseLinear
from fastsgd.losses import Loss
from fastsgd.network.network import Network
from fastsgd.optimizers import Adam
from fastsgd.runs.callbacks import EarlyStopping
from fastsgd.runs.feeds import steps_in
from fastsgd.schedules import OneCycle
from fastsgd.training import train

RATE = 0.02
PENALTY = 1.0                # on half the squared weights, as a part of the sum over the rows: scikit-learn's alpha = 1
STEPS, LEAST_EPOCHS, MOST_EPOCHS = 6000, 20, 400


def train_linear(layers: list, loss: str | Loss, X: np.ndarray, y: np.ndarray, weight: np.ndarray | None,
                 validation: tuple, batch_size: int, seed: int, threads: int | None) -> Network:
    """A network without hidden layers on the same columns, but with numbers as they are."""
    columns: Columns = replace(layers[1], numbers=None)
    net = Network([layers[0], columns, layers[-1]], loss=loss, seed=seed)
    steps = steps_in(len(X), batch_size)
    epochs = min(MOST_EPOCHS, max(LEAST_EPOCHS, STEPS // steps))
    train(net, X, y, optimizer=Adam(OneCycle(RATE, steps * epochs), l2=PENALTY / len(X)), batch_size=batch_size,
          epochs=epochs, seed=seed, threads=threads, sample_weight=weight, validation=validation,
          callbacks=[EarlyStopping(epochs)])
    return net


def fits(layers: list) -> bool:
    """Whether a network of these layers has units enough to be linear."""
    return min(layers[2:-1], default=0) >= 2 * layers[-1]


def as_member(linear: Network, member: Network) -> None:
    """Makes a network with relu layers what a linear one on the same columns is, up to the clipping of numbers."""
    outputs = linear.sizes[-1]
    member.params[:] = 0
    for name, tensor in linear.tensors.items():
        if name.startswith("embeddings"):
            member.tensors[name][:] = tensor
    columns = member.layers[0]
    assert isinstance(columns, Columns)
    rows, last = _places(columns), len(member.weights) - 1
    for output in range(outputs):
        for unit, sign in ((2 * output, 1), (2 * output + 1, -1)):
            member.weights[0][rows, unit] = sign * linear.weights[0][:, output]
            member.biases[0][unit] = sign * linear.biases[0][output]
            for layer in range(1, last):
                member.weights[layer][unit, unit] = 1
            member.weights[last][unit, output] = sign


def _places(columns: Columns) -> np.ndarray:
    """Where the features of a linear network's columns are among those of a piecewise-linear encoding."""
    encoding, numbers = columns.numbers, len(columns.number_columns)
    found = list(range(numbers))
    rest = columns.outputs - numbers
    if isinstance(encoding, PiecewiseLinear):
        order = list(columns.number_order)
        starts = np.cumsum([0, *columns.term_columns])
        found = [int(starts[encoding.terms_of(place) - 1]) + order.index(place) for place in range(numbers)]
        rest = columns.outputs - encoding.features(numbers)
    return np.array(found + list(range(columns.outputs - rest, columns.outputs)), dtype=int)
