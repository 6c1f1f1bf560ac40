"""What a training run remembers from step to step."""
from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

CARRIED = ("cumulative_l1", "mu_product", "weight_sum")      # what some rules carry from step to step


@dataclass
class State:
    """What a run remembers from step to step.

    ``slots`` (k, P) and ``average`` (P,) or None are laid out like the P parameters; ``cost`` and ``score`` are sums
    over the rows trained on, which a caller may reset to 0. ``averaged`` are the parameters of the last step, where a
    run has ended with their average in their place.

    Some rules carry a number from step to step: ``cumulative_l1``, for SGD's option of this name, the sum of
    learning_rate * l1; ``mu_product``, NAdamW's, of its momenta; ``weight_sum``, ScheduleFreeAdamW's, of the weights in
    its average. Where there are several members that have their own, these are lists.

    ``output_costs`` (outputs,), where it is given, gains the unweighted costs of each output; only the linear path (no
    hidden layer, small batches) fills it, others set it to NaN.
    ``rule`` names whose numbers the slots are. ``stopped`` says of each member of a network with several whether it has
    diverged, and trains no more.
    """

    slots: np.ndarray
    average: np.ndarray | None = None
    steps: int = 0
    cost: float = 0.0
    score: float = 0.0
    cumulative_l1: Any = 0.0
    mu_product: Any = 1.0
    weight_sum: Any = 0.0
    averaged: np.ndarray | None = None
    output_costs: np.ndarray | None = None
    rule: str = ""
    stopped: np.ndarray = field(default_factory=lambda: np.zeros(1, bool))

    def member(self, number: int, count: int) -> State:
        """That of one of so many members: views of its slots and its average, and sums of its own."""
        slots = self.slots.reshape(len(self.slots), count, -1)[:, number] if self.slots.size else self.slots
        average = None if self.average is None else self.average.reshape(count, -1)[number]
        carried = {name: np.broadcast_to(getattr(self, name), count)[number].item() for name in CARRIED}
        return replace(self, slots=slots, average=average, cost=0.0, score=0.0, averaged=None, output_costs=None,
                       **carried)

    def adopt(self, members: Sequence[State]) -> None:
        """Takes over what these, one for each member, carry."""
        for name in CARRIED:
            setattr(self, name, [getattr(member, name) for member in members])


def aligned_zeros(shape: tuple[int, ...], dtype) -> np.ndarray:
    """Memory for parameters and for what is laid out like them.

    Its rows each begin at a multiple of 64 bytes: no vector then lies in two cache lines.
    """
    *rows, n = shape
    item = np.dtype(dtype).itemsize
    width = -(-n * item // 64) * 64
    size = math.prod(rows) * width
    raw = np.zeros(size + 64, np.uint8)
    raw = raw[-raw.ctypes.data % 64:][:size]
    return raw.view(dtype).reshape(*rows, width // item)[..., :n]
