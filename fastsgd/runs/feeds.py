"""Feeds: the rows of an epoch in their order, as one segment of whole mini-batches after another."""
from __future__ import annotations

import contextlib
import math
import os
import queue
import threading
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from fastsgd.data.checks import Csr, to_dtype
from fastsgd.engine import _kernel
from fastsgd.runs.generators import OwnGenerators

BLOCK_BYTES = 2**16          # read from a file at once
WINDOW_BYTES = 2**26         # of blocks that are shuffled together


@dataclass(frozen=True)
class Segment:
    """Rows to be trained on in this order: whole mini-batches, but for the last one of an epoch.

    ``order`` numbers rows of X, y and weight; None means all of them as they lie. It is (members, rows) where members
    have orders of their own.
    """

    X: np.ndarray | Csr
    y: np.ndarray
    weight: np.ndarray | None
    order: np.ndarray | None

    def __len__(self) -> int:
        return len(self.X) if self.order is None else self.order.shape[-1]

    @property
    def numbers(self) -> np.ndarray | None:
        """Of its rows, each once."""
        return self.order if self.order is None or self.order.ndim == 1 else self.order[0]

    def part(self, first: int, rows: int) -> Segment:
        """``rows`` of its rows from the ``first`` on."""
        if self.order is None:
            if rows == len(self):
                return self
            return Segment(self.X, self.y, self.weight, np.arange(first, first + rows))
        return Segment(self.X, self.y, self.weight, self.order[..., first:first + rows])


class Feed(Protocol):
    """The source of a run's rows."""

    batch_size: int

    @property
    def rows(self) -> int | None:
        """Of an epoch, where it is known."""

    @property
    def weighted(self) -> bool:
        """Whether rows are known to have weights."""

    def epoch(self, number: int, rng: np.random.Generator | OwnGenerators, skipped: int) -> Iterator[Segment | None]:
        """The segments of an epoch, counted from 1, in an order that rng draws, without its first ``skipped`` steps.

        None every tenth of a second while the next one is not ready.
        """

    def summary(self, cost: float, score: float) -> tuple[float, float]:
        """The mean cost and the metric of the epoch that has just ended, from its sums."""

    def sample(self) -> Segment | None:
        """Rows of the epoch that has just ended, or a part of them."""

    def describe(self) -> dict:
        """What a resumed run must find unchanged, by name."""


class Rows:
    """Rows in memory (or mapped into it), each epoch in a new order, or as they lie."""

    def __init__(self, X, y, weight: np.ndarray | None, chosen: np.ndarray | None, batch_size: int,
                 metric: Callable[[float], float], shuffle: bool = True):
        self.X, self.y, self.weight, self.chosen = X, y, weight, chosen
        self._rows = len(X) if chosen is None else len(chosen)
        self.batch_size = min(batch_size, self._rows)
        self._metric = metric
        # The full gradient does not depend on the order of the rows, so they stay where they lie.
        self._shuffles = shuffle and self.batch_size < self._rows
        counted = weight if weight is None or chosen is None else weight[chosen]
        self._total = self._rows if counted is None else float(counted.sum())

    @property
    def rows(self):
        return self._rows

    @property
    def weighted(self):
        return self.weight is not None

    def epoch(self, number, rng, skipped):
        order = self.chosen
        if self._shuffles:
            order = rng.permutation(self._rows)
            order = order if self.chosen is None else self.chosen[order]
        segment = Segment(self.X, self.y, self.weight, order)
        done = skipped * self.batch_size
        if done < len(segment):
            yield segment.part(done, len(segment) - done)

    def summary(self, cost, score):
        return cost / self._total, self._metric(score)

    def sample(self):
        return Segment(self.X, self.y, self.weight, self.chosen)

    def describe(self):
        return {"rows": self._rows, "columns": self.X.shape[1], "data": fingerprint(self.X, self.y, self.weight),
                "shuffle": self._shuffles}


class Blocks(Rows):
    """Rows of a file that is mapped into memory, which may be larger than that: shuffled by blocks.

    Neighbouring rows form a block of at most 64 KiB. Each epoch the blocks are put in a new order, and 64 MiB of them
    at a time, a window, are shuffled row by row. While one is trained on, a thread reads the next. So a mini-batch
    of B rows is drawn from a window of K random blocks: even where the file is sorted, so that blocks are all of one
    kind, the variance of a batch's make-up is that of a full shuffle times 1 + B / K at most.

    Where the file has the network's dtype, or bytes, rows are read where they lie; else a window is converted.
    """

    def __init__(self, X, y, weight, chosen, batch_size, metric, dtype: np.dtype, shuffle: bool = True):
        super().__init__(X, y, weight, chosen, batch_size, metric, shuffle)
        row_bytes = max(1, X.shape[1] * X.itemsize)
        self._block = max(1, BLOCK_BYTES // row_bytes)
        self._window = max(self._block, WINDOW_BYTES // row_bytes, self.batch_size)
        self._dtype = dtype
        self._in_place = readable_in_place(X, dtype)
        self._checked = np.zeros(-(-self._rows // self._block), dtype=bool)

    def epoch(self, number, rng, skipped):
        return prefetch(self._segments(rng, skipped))

    def describe(self):
        how = f"blocks of {self._block} rows, windows of {self._window}" if self._shuffles else "none"
        return {**super().describe(), "shuffle": how}

    def _segments(self, rng, skipped):
        draw = rng.permutation if self._shuffles else np.array
        blocks = draw(np.arange(len(self._checked)))
        per_window = -(-self._window // self._block)
        left = np.empty(0, np.int64)                   # rows that did not make a whole batch
        done = skipped * self.batch_size
        for first in range(0, len(blocks), per_window):
            window = blocks[first:first + per_window]
            rows = self._rows_of(window)
            pool = draw(np.concatenate([left, rows]))
            last = first + per_window >= len(blocks)
            kept = len(pool) if last else len(pool) // self.batch_size * self.batch_size
            order, left = pool[:kept], pool[kept:]
            skip = min(done, kept)
            done -= skip
            if skip < kept:
                yield self._segment(order[skip:], rows, window)

    def _rows_of(self, blocks: np.ndarray) -> np.ndarray:
        """The rows of these blocks in the order of the file."""
        first = np.sort(blocks)[:, np.newaxis] * self._block
        rows = (first + np.arange(self._block)).ravel()
        rows = rows[rows < self._rows]
        return rows if self.chosen is None else self.chosen[rows]

    def _segment(self, order: np.ndarray, rows: np.ndarray, blocks: np.ndarray) -> Segment:
        if not self._in_place:
            X = self.X[order]
            try:
                X = to_dtype(X, self._dtype, "X")
            except ValueError:
                self._refuse(order)
            return Segment(X, self.y[order], None if self.weight is None else self.weight[order], None)
        unchecked = self.X.dtype != np.uint8 and not self._checked[blocks].all()
        bad = _kernel.prefault(self.X, rows, unchecked)
        if bad >= 0:
            self._refuse(np.array([bad]))
        self._checked[blocks] = True
        return Segment(self.X, self.y, self.weight, order)

    def _refuse(self, rows: np.ndarray) -> None:
        for row in rows:
            to_dtype(self.X[row], self._dtype, f"X[{row}]")


def readable_in_place(X: np.ndarray, dtype: np.dtype) -> bool:
    """Whether the kernel can take the rows of X where they lie."""
    return (X.dtype in (dtype, np.uint8) and X.strides[1] == X.itemsize and X.flags.aligned
            and X.strides[0] >= X.shape[1] * X.itemsize)


T = TypeVar("T")


def prefetch(items: Iterator[T]) -> Iterator[T | None]:
    """The items, read by a thread that is one item ahead; what their iterator raises is raised here.

    None every tenth of a second while none is ready. RuntimeError in the child of a fork, which has no such thread.
    """
    ready: queue.Queue = queue.Queue(maxsize=1)
    gone = threading.Event()
    process = os.getpid()

    def put(entry) -> bool:
        while not gone.is_set():
            with contextlib.suppress(queue.Full):
                ready.put(entry, timeout=0.1)
                return True
        return False

    def produce() -> None:
        try:
            for item in items:
                if not put((item, None)):
                    return
            put((None, None))
        except BaseException as error:
            put((None, error))

    def take():
        if os.getpid() != process:              # whose locks may be held by the thread that stayed with the parent
            raise RuntimeError("the rows of a stream or a mapped file are read by a thread, which a child that is "
                               "forked during the training does not have; begin a training in the child, or fork "
                               "before the training")
        with contextlib.suppress(queue.Empty):
            return ready.get(timeout=_kernel.POLL_SECONDS)
        return None

    try:
        threading.Thread(target=produce, name="fastsgd reads ahead", daemon=True).start()
        while True:
            entry = take()
            if entry is None:
                yield None
                continue
            item, error = entry
            if error is not None:
                raise error
            if item is None:
                return
            yield item
    finally:
        gone.set()


def fingerprint(X, y: np.ndarray, weight: np.ndarray | None) -> str:
    """A checksum of a few rows, by which a resumed run recognises its data."""
    rows = np.unique(np.linspace(0, len(X) - 1, 32).astype(int))
    sample = X[rows]
    arrays = [sample.indices, sample.values] if isinstance(sample, Csr) else [sample]
    checksum = 0
    for array in [*arrays, y[rows], *([] if weight is None else [weight[rows]])]:
        checksum = zlib.crc32(np.ascontiguousarray(array).tobytes(), checksum)
    return f"{len(X)} rows of {X.shape[1]}, checksum {checksum:08x}"


def steps_in(rows: int, batch_size: int) -> int:
    """Mini-batches in so many rows, the shorter last one too."""
    return math.ceil(rows / batch_size)
