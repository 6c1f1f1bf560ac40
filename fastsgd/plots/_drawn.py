"""What is drawn of results: the attributes that a picture needs, whatever class has them."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np


class Runner(Protocol):
    """One descent of a race: its cost by seconds, steps and examples."""

    name: str
    batch_size: int | None
    learning_rate: float
    seconds: np.ndarray
    examples: np.ndarray
    steps: np.ndarray
    cost: np.ndarray
    diverged: bool


class Race(Protocol):
    """Descents with several batch sizes for the same time; ``goal`` is the final cost of full gradient descent."""

    rows: int

    @property
    def runners(self) -> Sequence[Runner]: ...

    @property
    def full(self) -> Runner | None: ...

    @property
    def goal(self) -> float: ...

    def sooner(self, runner: Any) -> float:
        """How many times sooner than full gradient descent this runner reached the goal."""

    def reached(self, runner: Any) -> str:
        """The same in words."""


class GradientNoise(Protocol):
    """Mini-batch gradients beside the true gradient of all rows: the cosine and the ratio of lengths of each."""

    @property
    def rows(self) -> int: ...

    @property
    def batch_size(self) -> int: ...

    @property
    def cosines(self) -> np.ndarray: ...

    @property
    def norm_ratios(self) -> np.ndarray: ...

    @property
    def noise_scale(self) -> float: ...


class Path(Protocol):
    """One descent among the parameters: snapshots of them (snapshots, P), and the cost at each."""

    @property
    def name(self) -> str: ...

    @property
    def batch_size(self) -> int | None: ...

    @property
    def steps(self) -> np.ndarray: ...

    @property
    def seconds(self) -> np.ndarray: ...

    @property
    def params(self) -> np.ndarray: ...

    @property
    def cost(self) -> np.ndarray: ...


class Trajectory(Protocol):
    """Paths from the same start, and their coordinates on a plane."""

    @property
    def paths(self) -> Sequence[Path]: ...

    @property
    def plane(self) -> Any: ...

    @property
    def explained(self) -> tuple[float, float]: ...

    @property
    def equal(self) -> str: ...

    def coordinates(self, path: Any) -> np.ndarray:
        """A path on the plane, (snapshots, 2)."""


class CostSurface(Protocol):
    """The cost on a grid of the plane: ``cost[j, i]`` at ``x[i]``, ``y[j]``."""

    @property
    def x(self) -> np.ndarray: ...

    @property
    def y(self) -> np.ndarray: ...

    @property
    def cost(self) -> np.ndarray: ...


class Explanation(Protocol):
    """What each column adds to the predictions of some rows."""

    @property
    def columns(self) -> Sequence[str]: ...

    def of_row(self, row: int) -> tuple[np.ndarray, float, Any]:
        """The values of a row, what they begin with, and the class they are of, if any."""

    def cell(self, row: int, column: int) -> str:
        """What is in a row, as text."""
