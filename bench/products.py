"""``python -m bench.products``: each product of a step by itself, on one thread: GFLOP/s and the share of the peak.

Of every layer forward, backward and the weights' gradient with the update, on one batch that stays in the caches, as
``train`` plans it. ``FASTSGD_ISA`` pins the instruction set.
"""
from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator

import numpy as np

import fastsgd
from bench import machine
from bench.cases import SHAPES
from fastsgd.engine import _kernel
from fastsgd.network import checked
from fastsgd.optimizers import StepConfig

SECONDS = 0.02       # of one timing


def measure(sizes: tuple[int, ...], batch_size: int, optimizer: fastsgd.Optimizer, backend: str,
            repeat: int) -> Iterator[tuple[int, str, float]]:
    """FLOP/s of each layer's products, in turn, medians; each beside a measurement of the peak."""
    rng = np.random.default_rng(0)
    net = fastsgd.Network(sizes, loss="squared_error", seed=0)
    rows = batch_size * 32          # as many steps, for which the plan may copy W
    X, y = checked.check(net, rng.random((rows, sizes[0])) + 0.1, np.zeros((rows, sizes[-1])))
    config, rates = StepConfig(optimizer, batch_size, backend=backend), np.full(32, 1e-9)

    def seconds(layer: int, product: str, rounds: int) -> float:
        params = net.copy().params
        return _kernel.product_seconds(net.architecture, params, X, y, config, optimizer.state(params), rates, layer,
                                       product, rounds)

    for layer in range(len(sizes) - 1):
        for product in _kernel.PRODUCTS:
            if layer == 0 and product == "backward":
                continue
            rounds = max(1, int(SECONDS / max(seconds(layer, product, 1), 1e-6)))
            taken = statistics.median(seconds(layer, product, rounds) for _ in range(repeat))
            yield layer, product, 2 * sizes[layer] * sizes[layer + 1] * batch_size * rounds / taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=5, help="timings of each, the median counts (%(default)s)")
    parser.add_argument("--shapes", default="", help="only shapes whose name contains this")
    parser.add_argument("--backend", default="auto", choices=_kernel.BACKENDS)
    parser.add_argument("--adam", action="store_true", help="Adam instead of plain SGD")
    options = parser.parse_args()
    optimizer = fastsgd.Adam(0.001) if options.adam else fastsgd.SGD(0.01)
    print(f"{machine.describe()}; one thread, {type(optimizer).__name__}, backend {options.backend}\n")
    print("| net, batch | layer | forward | backward | weights |\n|---|---|---|---|---|")
    for sizes, batch_size in SHAPES:
        name = f"{'-'.join(map(str, sizes))}, {batch_size}"
        if options.shapes not in name:
            continue
        cells: dict[int, dict[str, str]] = {}
        for layer, product, flops in measure(sizes, batch_size, optimizer, options.backend, options.repeat):
            share = flops / machine.peak(1)
            cells.setdefault(layer, {})[product] = f"{flops / 1e9:.0f} ({share:.0%})"
        for layer, found in cells.items():
            print(f"| {name} | {sizes[layer]} x {sizes[layer + 1]} | "
                  + " | ".join(found.get(product, "-") for product in _kernel.PRODUCTS) + " |", flush=True)


if __name__ == "__main__":
    main()
