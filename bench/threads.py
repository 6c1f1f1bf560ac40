"""``python -m bench.threads``: from how much arithmetic a step on is a second thread worth its barriers?

Prints one and two threads over a range of steps; ``FLOPS_PER_THREAD`` in fastsgd/engine/machine.py comes from here.
With ``--model 64`` the figures of fastsgd/engine/step_model.py are measured, and the model's times stand beside
measured ones for one thread and two; what it expects of up to 64 threads is computed, not measured.
"""
import argparse
import statistics
from functools import partial

import numpy as np

import fastsgd
from bench import machine
from bench.cases import SHAPES
from bench.machine import in_turn
from fastsgd.engine import _kernel
from fastsgd.engine.step_model import StepModel
from fastsgd.network import checked
from fastsgd.optimizers import StepConfig

STEPS = 200
SMALL = [([10, 16, 2], 32), ([32, 64, 1], 8), ([784, 16, 10], 4), ([784, 16, 16, 10], 10), ([32, 64, 64, 1], 32),
         ([784, 32, 10], 10), ([32, 64, 64, 1], 64), ([64, 128, 10], 50), ([784, 30, 10], 20), ([32, 64, 64, 1], 128),
         ([784, 16, 16, 10], 100), ([784, 128, 10], 20), ([784, 128, 10], 100)]


def measure(sizes, batch_size: int, steps: int = STEPS) -> tuple[fastsgd.Network, float, float]:
    """A network, and the seconds of its step on one thread and on two: plain SGD on rows without zeros, in turn."""
    rng = np.random.default_rng(0)
    optimizer, rates = fastsgd.SGD(0.001), np.full(steps, 0.001)
    net = fastsgd.Network(sizes, loss="squared_error", seed=0)
    rows = steps * batch_size
    X, y = checked.check(net, rng.standard_normal((rows, sizes[0])), rng.standard_normal((rows, sizes[-1])))
    order = rng.permutation(rows)

    def run(threads: int) -> None:
        _kernel.train_epoch(net.architecture, net.params, X, y, order, StepConfig(optimizer, batch_size),
                            optimizer.state(net.params), rates, threads=threads)

    seconds = in_turn({threads: partial(run, threads) for threads in (1, 2)}, 15 if steps == STEPS else 5)
    one, two = (statistics.median(times) / steps for times in seconds.values())
    return net, one, two


def model_here() -> StepModel:
    """Its figures, measured on two threads; what a third one adds to a barrier is taken as half of two's."""
    barrier, lines = machine.barrier(), 4000
    crossing = statistics.median(_kernel.team_seconds(2, lines, 200) for _ in range(7)) - 2 * barrier
    net, one, _ = measure([784, 256, 256, 10], 128, 50)
    wide = StepModel(flops=1, call=0).seconds(net.architecture, 128, 1) / one
    return StepModel(flops=wide, barrier=barrier, arrival=barrier / 2, line=crossing / lines)


def expect(most: int) -> None:
    """The model's figures, how it does where it can be checked, and what it expects of more threads."""
    model = model_here()
    print(f"a thread's products {model.flops / 1e9:.0f} GFLOP/s, a barrier of two {model.barrier * 1e9:.0f} ns, each "
          f"further thread {model.arrival * 1e9:.0f} ns, a line from another core {model.line * 1e9:.1f} ns\n")
    sizes_of_teams = [2 ** i for i in range(1, most.bit_length()) if 2 ** i <= most]
    heads = [f"{threads}" for threads in sizes_of_teams]
    print("| net, batch | us, 1 thread: measured, model | 2: measured, model | times as fast on " + " | ".join(heads)
          + f" | best of {most} |\n|" + "---|" * (len(heads) + 4))
    for sizes, batch_size in [*SHAPES, ((784, 128, 10), 1000), ((784, 512, 512, 10), 1000)]:
        flops = fastsgd.Network(sizes, loss="squared_error", seed=0).architecture.flops * batch_size
        net, *measured = measure(sizes, batch_size, STEPS if flops < 1e8 else 10)
        own = net.architecture
        modelled = [model.seconds(own, batch_size, threads) for threads in (1, 2)]
        cells = [f"{1e6 * taken:.1f}, {1e6 * expected:.1f}" for taken, expected in zip(measured, modelled, strict=True)]
        cells += [f"{modelled[0] / model.seconds(own, batch_size, threads):.1f}" for threads in sizes_of_teams]
        print(f"| {'-'.join(map(str, sizes))}, {batch_size} | " + " | ".join(cells)
              + f" | {model.best_threads(own, batch_size, most)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--model", type=int, metavar="THREADS", help="print what the model expects of up to so many")
    options = parser.parse_args()
    print(f"{machine.describe()}\n")
    if options.model:
        expect(options.model)
        return
    print("| net, batch | MFLOP a step | us, 1 thread | us, 2 threads | ratio |\n|---|---|---|---|---|")
    for sizes, batch_size in SMALL:
        net, one, two = measure(sizes, batch_size)
        print(f"| {'-'.join(map(str, sizes))}, {batch_size} | {net.architecture.flops * batch_size / 1e6:.2f} | "
              f"{1e6 * one:.1f} | {1e6 * two:.1f} | {one / two:.2f} |", flush=True)


if __name__ == "__main__":
    main()
