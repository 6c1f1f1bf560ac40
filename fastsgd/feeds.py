"""Where the rows of an epoch come from and in what order: a feed gives a run one segment of rows after another."""
from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from fastsgd.data import Csr


@dataclass(frozen=True)
class Segment:
    """Rows to be trained on in this order: whole mini-batches, but for the last one of an epoch.

    ``order`` numbers rows of X, y and weight; None means all of them as they lie.
    """

    X: np.ndarray | Csr
    y: np.ndarray
    weight: np.ndarray | None
    order: np.ndarray | None

    def __len__(self) -> int:
        return len(self.X) if self.order is None else len(self.order)

    def part(self, first: int, rows: int) -> Segment:
        """``rows`` of its rows from the ``first`` on."""
        if self.order is None:
            if rows == len(self):
                return self
            return Segment(self.X, self.y, self.weight, np.arange(first, first + rows))
        return Segment(self.X, self.y, self.weight, self.order[first:first + rows])


class Feed(Protocol):
    """What a run asks of the place its rows come from."""

    batch_size: int

    @property
    def rows(self) -> int | None:
        """Of an epoch, where it is known."""

    def epoch(self, rng: np.random.Generator, skipped: int) -> Iterator[Segment]:
        """The segments of an epoch in an order that rng draws, without the rows of the first so many steps."""

    def summary(self, cost: float, score: float) -> tuple[float, float]:
        """The mean cost and the metric of the epoch that has just ended, from its sums."""

    def describe(self) -> dict:
        """What a run that is to go on must find again."""


class Rows:
    """Rows in memory (or mapped into it), each epoch in a new order."""

    def __init__(self, X, y, weight: np.ndarray | None, chosen: np.ndarray | None, batch_size: int,
                 metric: Callable[[float], float]):
        self.X, self.y, self.weight, self.chosen = X, y, weight, chosen
        self._rows = len(X) if chosen is None else len(chosen)
        self.batch_size = min(batch_size, self._rows)
        self._metric = metric
        counted = weight if weight is None or chosen is None else weight[chosen]
        self._total = self._rows if counted is None else float(counted.sum())

    @property
    def rows(self):
        return self._rows

    def epoch(self, rng, skipped):
        order = self.chosen
        # The full gradient does not depend on the order of the rows, so they stay where they lie.
        if self.batch_size < self.rows:
            order = rng.permutation(self.rows)
            order = order if self.chosen is None else self.chosen[order]
        segment = Segment(self.X, self.y, self.weight, order)
        done = skipped * self.batch_size
        if done < len(segment):
            yield segment.part(done, len(segment) - done)

    def summary(self, cost, score):
        return cost / self._total, self._metric(score)

    def describe(self):
        return {"rows": self.rows, "columns": self.X.shape[1], "data": fingerprint(self.X, self.y, self.weight)}


def fingerprint(X, y: np.ndarray, weight: np.ndarray | None) -> str:
    """A checksum of a few rows, which tells other data from the same."""
    rows = np.unique(np.linspace(0, len(X) - 1, 32).astype(int))
    sample = X[rows].values if isinstance(X, Csr) else X[rows]
    sum_ = 0
    for array in (sample, y[rows], *([] if weight is None else [weight[rows]])):
        sum_ = zlib.crc32(np.ascontiguousarray(array).tobytes(), sum_)
    return f"{len(X)} rows of {X.shape[1]}, checksum {sum_:08x}"


def steps_in(rows: int, batch_size: int) -> int:
    """Mini-batches in so many rows, the shorter last one too."""
    return math.ceil(rows / batch_size)
