"""The configuration of a step."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastsgd.optimizers.base import Optimizer, Rate, values_of


@dataclass(frozen=True)
class StepConfig:
    """What stays the same from step to step, as plain data.

    ``dropout`` has a rate for each hidden layer, a number or a function of the step, or none; ``seed`` is that of its
    random bits, or of each member's. ``positive_weight`` has a number for each output, or none: the weight of its
    positive rows where class labels are one-vs-rest. With ``weighted_steps`` a gradient is divided by its rows, not by
    their weights.
    """

    optimizer: Optimizer
    batch_size: int
    dropout: tuple[Rate, ...] = ()
    seed: int | list[int] = 0
    label_smoothing: float = 0.0
    backend: str = "auto"
    positive_weight: tuple[float, ...] = ()
    weighted_steps: bool = False

    def drops(self, layer: int, first_step: int, steps: int) -> np.ndarray | None:
        """How many of 65,536 units of this layer are dropped on average at each of so many steps; None for none ever.

        >>> from fastsgd import SGD
        >>> StepConfig(SGD(0.1), 100, dropout=(0.25, 0.0)).drops(0, 0, 3)
        array([16384, 16384, 16384], dtype=int32)
        """
        if layer >= len(self.dropout) or not (callable(self.dropout[layer]) or self.dropout[layer]):
            return None
        rates = values_of("dropout", self.dropout[layer], first_step, steps, limit=1.0)
        return np.minimum(np.rint(rates * 65536), 65535).astype(np.int32)
