"""``python -m bench.threads``: from how much arithmetic a step on is a second thread worth its barriers?

Prints one and two threads over a range of steps; ``FLOPS_PER_THREAD`` in fastsgd/machine.py comes from here.
"""
import statistics
from functools import partial

import numpy as np

import fastsgd
from bench.machine import in_turn
from fastsgd.engine import _kernel
from fastsgd.network import checked
from fastsgd.optimizers import StepConfig


def main() -> None:
    rng = np.random.default_rng(0)
    optimizer, rates = fastsgd.SGD(0.001), np.full(200, 0.001)
    print("| net, batch | MFLOP a step | us, 1 thread | us, 2 threads | ratio |\n|---|---|---|---|---|")
    for sizes, batch_size in [([10, 16, 2], 32), ([32, 64, 1], 8), ([784, 16, 10], 4), ([784, 16, 16, 10], 10),
                              ([32, 64, 64, 1], 32), ([784, 32, 10], 10), ([32, 64, 64, 1], 64), ([64, 128, 10], 50),
                              ([784, 30, 10], 20), ([32, 64, 64, 1], 128), ([784, 16, 16, 10], 100),
                              ([784, 128, 10], 20), ([784, 128, 10], 100)]:
        net = fastsgd.Network(sizes, loss="squared_error", seed=0)
        rows = 200 * batch_size
        X, y = checked.check(net, rng.standard_normal((rows, sizes[0])), rng.standard_normal((rows, sizes[-1])))
        order = rng.permutation(rows)

        def run(threads, net=net, X=X, y=y, order=order, batch_size=batch_size):
            _kernel.train_epoch(net.architecture, net.params, X, y, order, StepConfig(optimizer, batch_size),
                                optimizer.state(net.params), rates, threads=threads)

        seconds = in_turn({threads: partial(run, threads) for threads in (1, 2)}, 15)
        one, two = (statistics.median(times) / 200 * 1e6 for times in seconds.values())
        print(f"| {'-'.join(map(str, sizes))}, {batch_size} | {net.architecture.flops * batch_size / 1e6:.2f} | "
              f"{one:.1f} | {two:.1f} | {one / two:.2f} |", flush=True)


if __name__ == "__main__":
    main()
