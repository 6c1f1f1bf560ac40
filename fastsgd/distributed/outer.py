"""The outer optimizer: what is made of the mean of all partitions' changes."""
from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from fastsgd.arguments import is_number


@dataclass(frozen=True)
class Nesterov:
    """SGD with Nesterov momentum on the mean change, which stands in for a negative gradient (DiLoCo, Douillard 2023).

    (arXiv 2311.08105.) With the mean change d: v <- momentum v + d, then w <- w + learning_rate (d + momentum v).

    >>> Nesterov()
    Nesterov(learning_rate=0.7, momentum=0.9)
    """

    learning_rate: float = 0.7
    momentum: float = 0.9

    def __post_init__(self):
        if not is_number(self.learning_rate) or not 0 < self.learning_rate < math.inf:
            raise ValueError(f"learning_rate must be a number above 0, got {self.learning_rate!r}")
        if not is_number(self.momentum) or not 0 <= self.momentum < 1:
            raise ValueError(f"momentum must be at least 0 and below 1, got {self.momentum!r}")


OUTERS = ("weighted", "mean")


def check_outer(outer: str | Nesterov) -> Nesterov | None:
    """The momentum asked for, None for a plain mean."""
    if isinstance(outer, Nesterov):
        return outer
    if outer in OUTERS:
        return None
    raise ValueError(f"outer must be 'weighted', 'mean' or a fastsgd.distributed.Nesterov, got {outer!r}")


def outer_step(outer: Nesterov | None, params: np.ndarray, momentum: np.ndarray | None, change: np.ndarray) -> None:
    """Changes ``params`` and ``momentum`` in place by the mean change.

    >>> params, momentum = np.zeros(1), np.zeros(1)
    >>> outer_step(Nesterov(0.5, 0.5), params, momentum, np.ones(1)); float(params[0]), float(momentum[0])
    (0.75, 1.0)
    """
    if outer is None or momentum is None:
        params += change
        return
    number = params.dtype.type
    momentum *= number(outer.momentum)
    momentum += change
    params += number(outer.learning_rate) * (change + number(outer.momentum) * momentum)
