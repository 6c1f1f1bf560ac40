"""The shapes that are measured, their data, and where every runner starts: same rows, weights, order and steps."""
from __future__ import annotations

import sys
from dataclasses import dataclass, field
from functools import cache

import numpy as np

import fastsgd
from fastsgd.network import checked
from fastsgd.optimizers import Optimizer


@dataclass(frozen=True)
class Case:
    """One epoch: a network, a batch size, rows of data, an optimizer."""

    sizes: tuple[int, ...]
    batch_size: int
    rows: int
    optimizer: Optimizer = field(default_factory=lambda: fastsgd.SGD(0.01))
    zeros: bool = True           # MNIST as it is, or as x 0.9 + 0.1, which has none to skip

    @property
    def name(self) -> str:
        notes = "" if self.zeros else ", no zeros"
        if self.optimizer.kind != "sgd":
            notes += f", {type(self.optimizer).__name__}"
        return f"{'-'.join(map(str, self.sizes))}, {self.batch_size}{notes}"


CASES = [
    Case((784, 128, 10), 100, 60_000),
    Case((784, 128, 10), 100, 60_000, zeros=False),
    Case((784, 16, 16, 10), 100, 60_000),
    Case((784, 16, 16, 10), 10, 60_000),
    Case((54, 256, 256, 7), 256, 100_000),
    Case((784, 512, 512, 10), 128, 60_000, zeros=False),
    Case((784, 2048, 2048, 10), 256, 60_000, zeros=False),
    Case((32, 64, 64, 1), 32, 100_000, fastsgd.Adam(0.001)),
]
SHAPES = list(dict.fromkeys((case.sizes, case.batch_size) for case in CASES))


class Start:
    """A case's data, initial network and order of rows, which all runners share. Without MNIST, random rows."""

    def __init__(self, case: Case, rows: int | None = None):
        n = min(case.rows, rows or case.rows)
        rng = np.random.default_rng(0)
        self.case = case
        self.net = fastsgd.Network(case.sizes, loss="cross_entropy" if case.sizes[-1] > 1 else "squared_error", seed=0)
        if case.sizes[0] == 784:
            X, y = _mnist()
            X, y = X[:n], y[:n]
            if not case.zeros:
                X = X * np.float32(0.9) + np.float32(0.1)
        else:
            X = rng.standard_normal((n, case.sizes[0]), dtype=np.float32)
            y = rng.integers(0, case.sizes[-1], n) if case.sizes[-1] > 1 else rng.standard_normal(n)
        self.X, self.y = checked.check(self.net, X, y)
        self.order = rng.permutation(n)
        self.steps = -(-n // case.batch_size)


@cache
def _mnist() -> tuple[np.ndarray, np.ndarray]:
    try:
        return fastsgd.datasets.mnist(download=False)[0]
    except FileNotFoundError:
        print("bench: MNIST was not found (FASTSGD_DATA), random rows of its density take its place", file=sys.stderr)
        rng = np.random.default_rng(0)
        X = rng.random((60_000, 784), dtype=np.float32)
        return X * (rng.random(X.shape) < 0.19), rng.integers(0, 10, 60_000)


def check_agreement(costs: dict[str, float], tolerance: float = 1e-4) -> None:
    """All runners must report the same mean cost of the epoch, or they did different work."""
    expected = next(iter(costs.values()))
    for name, cost in costs.items():
        if not abs(cost - expected) <= tolerance * abs(expected):
            sys.exit(f"bench: {name} ends with cost {cost}, not {expected}: the runners do different work")
