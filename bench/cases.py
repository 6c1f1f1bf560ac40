"""The shapes that are measured, and one epoch of each as every runner does it: same rows, weights, order and steps."""
from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import fastsgd
from fastsgd import _kernel, reference

RATE = 0.01


@dataclass(frozen=True)
class Case:
    """One epoch: a network, a batch size, rows of data."""

    sizes: tuple[int, ...]
    batch_size: int
    rows: int

    @property
    def name(self) -> str:
        return f"{'-'.join(map(str, self.sizes))}, {self.batch_size}"


CASES = [
    Case((784, 128, 10), 100, 60_000),
    Case((784, 16, 16, 10), 100, 60_000),
    Case((784, 16, 16, 10), 10, 60_000),
    Case((54, 256, 256, 7), 256, 100_000),
    Case((784, 512, 512, 10), 128, 60_000),
    Case((784, 2048, 2048, 10), 256, 60_000),
    Case((32, 64, 64, 1), 32, 100_000),
]


class Epoch:
    """A case with its data, initial weights and order of rows. MNIST where it is to be had, else random rows."""

    def __init__(self, case: Case, rows: int | None = None):
        n = min(case.rows, rows or case.rows)
        rng = np.random.default_rng(0)
        loss = "cross_entropy" if case.sizes[-1] > 1 else "squared_error"
        self.net = fastsgd.Network(case.sizes, loss=loss, seed=0)
        self.data = "random rows"
        if case.sizes[0] == 784:
            try:
                (X, y), _ = fastsgd.datasets.mnist(download=False)
                self.data = "MNIST"
            except FileNotFoundError:
                X, y = rng.random((n, 784)), rng.integers(0, 10, n)
        else:
            X = rng.standard_normal((n, case.sizes[0]))
            y = rng.integers(0, case.sizes[-1], n) if case.sizes[-1] > 1 else rng.standard_normal(n)
        self.X, self.y = self.net._check(X[:n], y[:n])
        self.order = rng.permutation(n)
        self.batch_size = case.batch_size
        self.optimizer = fastsgd.SGD(RATE)
        self.rates = self.optimizer.learning_rates(0, -(-n // case.batch_size))

    def kernel(self, module=_kernel, threads: int | None = None) -> Callable[[], float]:
        """A function that does the epoch with a module of kernels and returns its mean cost."""
        net = self.net
        threads = fastsgd.machine.choose_threads(threads, net.architecture.flops * self.batch_size)

        def run() -> float:
            params = net.params.copy()
            cost, _, _ = module.train_epoch(net.architecture, params, self.X, self.y, self.order, self.batch_size,
                                            self.optimizer, self.optimizer.state(params), self.rates, threads)
            return cost / len(self.X)
        return run

    def reference(self) -> Callable[[], float]:
        """The same epoch in NumPy."""
        return self.kernel(reference)

    def torch(self, threads: int) -> Callable[[], float]:
        """The same epoch in eager PyTorch, with its fused SGD."""
        import torch

        torch.set_num_threads(threads)
        layers: list[torch.nn.Module] = []
        for W, b in zip(self.net.weights, self.net.biases, strict=True):
            layers += [torch.nn.Linear(*W.shape), torch.nn.ReLU()]
            with torch.no_grad():
                layers[-2].weight.copy_(torch.from_numpy(W.T.copy()))
                layers[-2].bias.copy_(torch.from_numpy(b.copy()))
        model = torch.nn.Sequential(*layers[:-1])
        start = {name: value.clone() for name, value in model.state_dict().items()}
        X, order = torch.from_numpy(self.X), torch.from_numpy(self.order)
        y = torch.from_numpy(self.y.astype(np.int64) if self.y.ndim == 1 else self.y)
        if self.y.ndim == 1:
            loss_of = torch.nn.CrossEntropyLoss()
        else:
            def loss_of(a, t):                        # ours is half the squared error, summed over outputs
                return ((a - t) ** 2).sum() / (2 * len(a))

        def run() -> float:
            torch.set_num_threads(threads)
            model.load_state_dict(start)
            optimizer = torch.optim.SGD(model.parameters(), lr=RATE, fused=True)
            total = torch.zeros(())
            for rows in order.split(self.batch_size):
                optimizer.zero_grad()
                loss = loss_of(model(X[rows]), y[rows])
                loss.backward()
                optimizer.step()
                total += loss.detach() * len(rows)
            return total.item() / len(X)
        return run


def check_agreement(costs: dict[str, float], tolerance: float = 1e-4) -> None:
    """All runners must report the same mean cost of the epoch, or they did different work."""
    expected = next(iter(costs.values()))
    for name, cost in costs.items():
        if not abs(cost - expected) <= tolerance * abs(expected):
            sys.exit(f"bench: {name} ends with cost {cost}, not {expected}: the runners do different work")
