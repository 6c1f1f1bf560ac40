"""The configuration of a step."""
from __future__ import annotations

from dataclasses import dataclass

from fastsgd.optimizers.base import Optimizer


@dataclass(frozen=True)
class StepConfig:
    """What stays the same from step to step, as plain data.

    ``dropout`` has a rate for each hidden layer, or none; ``seed`` is that of its random bits. ``positive_weight`` has
    a number for each output, or none: the weight of its positive rows where class labels are one-vs-rest. With
    ``weighted_steps`` a gradient is divided by the number of rows and not by their weights.
    """

    optimizer: Optimizer
    batch_size: int
    dropout: tuple[float, ...] = ()
    seed: int = 0
    label_smoothing: float = 0.0
    backend: str = "auto"
    positive_weight: tuple[float, ...] = ()
    weighted_steps: bool = False

    def drop(self, layer: int) -> int:
        """How many of 65,536 units of this layer are dropped on average."""
        return min(round(self.dropout[layer] * 65536), 65535) if layer < len(self.dropout) else 0
