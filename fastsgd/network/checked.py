"""A network's work on arrays that are checked already, for callers which use the same rows many times.

:func:`check` makes of X and y what the kernel takes, once; the other functions take what it returned and check nothing.
"""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

import numpy as np

from fastsgd.data import advice, checks
from fastsgd.data.checks import Csr
from fastsgd.engine import ensemble
from fastsgd.engine.machine import choose_threads
from fastsgd.model.architecture import Architecture
from fastsgd.optimizers import Optimizer, State, StepConfig


class _Network(Protocol):
    architecture: Architecture

    @property
    def params(self) -> np.ndarray: ...


def check(net: _Network, X, y, prefix: str = "") -> tuple[np.ndarray | Csr, np.ndarray]:
    """X and y as the kernel takes them, or the error that says what is wrong with them."""
    X = check_rows(net, X, f"{prefix}X")
    return X, check_targets(net, y, len(X), f"{prefix}y")


def check_rows(net: _Network, X, name: str = "X") -> np.ndarray | Csr:
    own = net.architecture
    return checks.check_rows(X, own.sizes[0], net.params.dtype, name, own.input_scale, own.input_offset,
                             own.layers[0].categories)


def check_targets(net: _Network, y, rows: int, name: str = "y") -> np.ndarray:
    return checks.check_targets(y, rows, net.architecture, net.params.dtype, name)


def threads_for(net: _Network, threads: int | None, rows: int) -> int:
    """How many threads work on so many rows: those asked for, or as many as pay."""
    return choose_threads(threads, net.architecture.flops * rows)


def predict(net: _Network, X: np.ndarray | Csr, threads: int | None, chosen: np.ndarray | None = None) -> np.ndarray:
    """The outputs of all rows, or of those of the numbers chosen."""
    rows = len(X) if chosen is None else len(chosen)
    out = np.empty((rows, net.architecture.sizes[-1]), dtype=net.params.dtype)
    ensemble.predict(net.architecture, net.params, X, out, chosen, threads_for(net, threads, rows))
    return out


def evaluate(net: _Network, X: np.ndarray | Csr, y: np.ndarray, threads: int | None, metric: Callable[[float], float],
             weight: np.ndarray | None = None, chosen: np.ndarray | None = None) -> tuple[float, float]:
    """The mean cost and the score over all rows, or those chosen by number; ``metric`` is that of their targets."""
    rows = len(X) if chosen is None else len(chosen)
    cost, score = ensemble.cost(net.architecture, net.params, X, y, chosen, weight, threads_for(net, threads, rows))
    counted = rows if weight is None else float((weight if chosen is None else weight[chosen]).sum())
    return cost / counted, metric(score)


def mean_cost(net: _Network, X: np.ndarray | Csr, y: np.ndarray, threads: int | None,
              weight: np.ndarray | None = None) -> float:
    return evaluate(net, X, y, threads, float, weight)[0]


def gradient(net: _Network, X: np.ndarray | Csr, y: np.ndarray, threads: int | None, weight: np.ndarray | None,
             out: np.ndarray) -> float:
    """The mean cost, and into ``out`` (P,) its gradient."""
    return ensemble.gradient(net.architecture, net.params, X, y, out, weight, threads_for(net, threads, len(X)))


def step(net: _Network, X: np.ndarray | Csr, y: np.ndarray, optimizer: Optimizer, state: State,
         threads: int | None) -> float:
    """One step on all rows, in place, by an optimizer that fits; returns the cost before it. See ``Network.step``."""
    state.cost = state.score = 0.0
    rates, team = optimizer.learning_rates(state.steps, 1), threads_for(net, threads, len(X))
    steps = ensemble.train_epoch(net.architecture, net.params, X, y, None, StepConfig(optimizer, len(X)), state, rates,
                                threads=team)
    cost = state.cost / len(X)
    if not steps:
        rate = float(np.max(rates[..., 0]))
        raise FloatingPointError(f"the cost is {cost}; nothing was changed. "
                                 + advice.of_divergence(net.architecture, X, y, rate, net.params.dtype))
    return cost


def metric_of(net: _Network, y: np.ndarray, weight: np.ndarray | None = None,
              chosen: np.ndarray | None = None) -> Callable[[float], float]:
    """The function that turns the kernel's score, summed over the rows of y, into accuracy or R^2."""
    if chosen is not None:
        y, weight = y[chosen], None if weight is None else weight[chosen]
    if net.architecture.loss_type.targets.metric == "accuracy":
        counted = len(y) if weight is None else float(weight.sum())
        per_row = 1 if net.architecture.loss_type.targets.classes or y.ndim == 1 else y.shape[1]
        return lambda score: score / (counted * per_row)
    if weight is not None and not weight.all():
        y, weight = y[weight > 0], weight[weight > 0]
    y = y[:, :net.architecture.scored_targets]
    mean = np.average(y, axis=0, weights=weight) if weight is not None else y.mean(axis=0, dtype=float)
    spread = 0.0
    for i in range(0, len(y), 4096):
        squares = (y[i:i + 4096] - mean) ** 2
        spread += float((squares if weight is None else squares * weight[i:i + 4096, np.newaxis]).sum())
    if not spread or (y == y[0]).all():
        spread = math.nan
    return lambda score: 1 - score / spread
