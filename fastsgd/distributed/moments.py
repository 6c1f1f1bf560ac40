"""Means and sums of squares of columns, merged over blocks of rows."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

BLOCK = 65_536                           # rows whose squares are in memory at once


@dataclass(frozen=True)
class Moments:
    """The weight of some rows, and of each column the mean and the sum of squares around it."""

    weight: float
    mean: np.ndarray
    squares: np.ndarray

    @classmethod
    def of(cls, values: Any, weight: np.ndarray | None) -> Moments:
        """Of rows (rows, columns), dense or a sparse matrix."""
        found = None
        for first in range(0, values.shape[0], BLOCK):
            part = values[first:first + BLOCK]
            own = None if weight is None else weight[first:first + BLOCK]
            moments = cls._of_block(part, own)
            found = moments if found is None else found.merge(moments)
        assert found is not None
        return found

    @classmethod
    def _of_block(cls, part: Any, weight: np.ndarray | None) -> Moments:
        total = float(part.shape[0] if weight is None else weight.sum())
        rows = np.ones(part.shape[0]) if weight is None else weight
        if hasattr(part, "tocsr"):
            part = part.tocsr().astype(float)
            mean = np.asarray(part.T @ rows).ravel() / max(total, 1e-300)
            squares = np.asarray(part.multiply(part).T @ rows).ravel()
            return cls(total, mean, np.maximum(squares - total * mean * mean, 0))
        part = np.asarray(part, dtype=float)
        mean = rows @ part / max(total, 1e-300)
        return cls(total, mean, rows @ (part - mean) ** 2)

    def merge(self, other: Moments) -> Moments:
        """Of both together (Chan, Golub and LeVeque 1983)."""
        total = self.weight + other.weight
        apart, share = other.mean - self.mean, other.weight / total if total else 0.0
        return Moments(total, self.mean + apart * share,
                       self.squares + other.squares + apart * apart * self.weight * share)

    @property
    def deviation(self) -> np.ndarray:
        """Of each column, 1 where it does not vary."""
        found = np.sqrt(self.squares / max(self.weight, 1e-300))
        return np.where(found > 1e-12 * np.maximum(1.0, abs(self.mean)), found, 1.0)
