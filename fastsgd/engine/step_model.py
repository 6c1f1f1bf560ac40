"""What a training step takes on so many threads: a model of a few measured figures.

It chooses how many threads a run begins with where there are many cores; the first steps then try smaller teams
(csrc/thread_count.c). ``python -m bench.threads --model 64`` measures the figures, prints the model's times beside
measured ones, and what it expects of machines with more cores.
"""
from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

from fastsgd.engine.machine import choose_threads
from fastsgd.model.architecture import Architecture

TILE_ROWS = 6        # of a register tile, a thread's smallest piece of a matrix
LINE = 64            # bytes


@dataclass(frozen=True)
class StepModel:
    """Seconds of a step of plain SGD. The figures are those of two cores of a Zen 5 on AVX-512."""

    flops: float = 2.3e11        # floating-point operations a second that a thread's products come to in wide layers,
    half_width: int = 8          # and half as many in layers of so many columns
    call: float = 1e-7           # seconds of a layer in each phase besides
    barrier: float = 1.5e-7      # seconds of a barrier of two threads
    arrival: float = 0.75e-7     # that each further thread adds, as they arrive one by one
    line: float = 3e-9           # of a cache line that one core writes and another reads, of many in a row

    def seconds(self, architecture: Architecture, rows: int, threads: int, item: int = 4) -> float:
        """Of one step on so many rows, with ``item`` bytes a number.

        The rows' phase and the weights' phase each end when the thread with the largest share has finished. To each
        thread cross what the others wrote of the weights, and of the rows' activations and deltas.
        """
        layers, largest_share = architecture.layers, math.ceil(rows / threads)
        seconds, numbers = 0.0, architecture.parameters + rows * layers[0].outputs
        for layer in layers:
            pieces = math.ceil(layer.inputs / TILE_ROWS)
            own_rows = largest_share * (1 if layer is layers[0] else 2) + rows * math.ceil(pieces / threads) / pieces
            seconds += own_rows * layer.flops / self.flops * (1 + self.half_width / layer.outputs) + 2 * self.call
            if layer is not layers[0]:
                numbers += rows * (math.ceil(layer.inputs / threads) + layer.outputs)
        if threads == 1:
            return seconds
        lines = numbers * item / LINE * (threads - 1) / threads
        return seconds + lines * self.line + 2 * (self.barrier + (threads - 2) * self.arrival)

    def best_threads(self, architecture: Architecture, rows: int, most: int, item: int = 4) -> int:
        """The smallest number of threads whose step is within 5 % of the fastest with up to ``most``."""
        seconds = [self.seconds(architecture, rows, threads, item) for threads in range(1, most + 1)]
        return next(i for i, taken in enumerate(seconds, 1) if taken <= 1.05 * min(seconds))


@lru_cache(maxsize=256)
def _best_threads(architecture: Architecture, rows: int, most: int, item: int) -> int:
    return StepModel().best_threads(architecture, rows, most, item)


def choose_threads_of_step(threads: int | None, architecture: Architecture, rows: int, item: int,
                           most: int | None = None) -> int:
    """The number asked for; for None one that suits steps on so many rows, ``most`` at most."""
    chosen = choose_threads(threads, architecture.flops * rows, most)
    return _best_threads(architecture, rows, chosen, item) if threads is None and chosen > 2 else chosen
