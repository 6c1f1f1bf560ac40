"""The feed of a stream: batches from an iterable, of which a window is in memory at once."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from fastsgd.data.advice import some_rows
from fastsgd.data.checks import Csr, check_class_weight, check_sample_weight, copy_if_shared, stack
from fastsgd.network import checked
from fastsgd.network.network import Network
from fastsgd.runs.feeds import WINDOW_BYTES, Segment, prefetch

Batch = tuple
Source = Iterable[Batch] | Callable[[int], Iterable[Batch]]


class Stream:
    """A :class:`fastsgd.runs.feeds.Feed` of batches, whose rows are shuffled within windows of ``window`` rows."""

    def __init__(self, net: Network, source: Source, batch_size: int, rows: int | None, window: int | None,
                 shuffle: bool, class_weight):
        self._net, self._source, self.batch_size = net, source, batch_size
        self._rows, self._window, self._shuffle, self._class_weight = rows, window, shuffle, class_weight
        self._kind: tuple[str, int] | None = None
        self._sample: Segment | None = None              # rows of the largest window of the epoch so far,
        self._sampled = 0                                # and how many rows that window has

    @property
    def rows(self):
        return self._rows

    @property
    def weighted(self):
        return self._class_weight is not None

    def epoch(self, number, rng, skipped):
        self._tally, self._kind, self._sample, self._sampled = Tally(self._net), None, None, 0
        return prefetch(self._segments(number, rng, skipped * self.batch_size))

    def summary(self, cost, score):
        if not self._tally.weight:
            raise ValueError("sample_weight and class_weight are 0 throughout the stream, so no row counts")
        return cost / self._tally.weight, self._tally.metric(score)

    def sample(self):
        return self._sample

    def describe(self):
        return {"rows": self._rows, "columns": self._net.sizes[0], "window": self._window, "shuffle": self._shuffle,
                **({} if self._class_weight is None else {"class_weight": str(self._class_weight)})}

    def _segments(self, number: int, rng: np.random.Generator, skipped: int) -> Iterator[Segment]:
        parts: list[Segment] = []
        held = 0
        for part in self._batches(number):
            parts.append(part)
            held += len(part)
            if held >= self._window_rows(part):
                segment, left = self._mix(parts, rng, last=False)
                parts, held = ([left], len(left)) if len(left) else ([], 0)
                skipped, rest = self._without(segment, skipped)
                if rest is not None:
                    yield rest
        if parts:
            rest = self._without(self._mix(parts, rng, last=True)[0], skipped)[1]
            if rest is not None:
                yield rest

    def _window_rows(self, part: Segment) -> int:
        if self._window is not None:
            return max(self._window, self.batch_size)
        width = part.X.shape[1] * (8 if isinstance(part.X, Csr) else part.X.itemsize)
        return max(WINDOW_BYTES // width, self.batch_size)

    def _batches(self, number: int) -> Iterator[Segment]:
        """The batches of an epoch, checked; ValueError or RuntimeError name the one that cannot be used."""
        batches, taken = self._open(number), 0
        for count in range(1, 2**62):
            name = f"batch {count} of the stream"
            try:
                batch = next(batches)
            except StopIteration:
                if not taken:
                    raise ValueError(f"the stream of epoch {number} has no rows") from None
                if self._rows is not None and taken < self._rows:
                    raise ValueError(f"the stream ended after batch {count - 1}, with {taken:,} of {self._rows:,} "
                                     "rows") from None
                return
            except Exception as error:
                raise RuntimeError(f"{name} could not be read: {type(error).__name__}: {error}") from error
            part = self._check(batch, name)
            if self._rows is not None and taken + len(part) >= self._rows:
                yield _part(part, 0, self._rows - taken)
                return
            taken += len(part)
            yield part

    def _open(self, number: int) -> Iterator[Batch]:
        try:
            source = self._source(number) if callable(self._source) else self._source
        except Exception as error:
            raise RuntimeError(f"the source of epoch {number} could not be opened: {type(error).__name__}: {error}"
                               ) from error
        if not isinstance(source, Iterable):
            raise TypeError(f"source must return an iterable of batches, got {type(source).__name__} for epoch "
                            f"{number}")
        return iter(source)

    def _check(self, batch, name: str) -> Segment:
        if not isinstance(batch, tuple | list) or len(batch) not in (2, 3):
            raise ValueError(f"{name} must be (X, y) or (X, y, sample_weight), got {type(batch).__name__}")
        given_X, given_y, *weight = batch
        X, y = checked.check(self._net, given_X, given_y, prefix=f"{name}: ")
        X, y = copy_if_shared(X, given_X), copy_if_shared(y, given_y)      # the source may reuse its arrays
        kind = ("sparse" if isinstance(X, Csr) else str(X.dtype), y.ndim)
        self._kind = self._kind or kind
        if kind != self._kind:
            raise ValueError(f"{name}: X is {kind[0]} and y {kind[1]}-D, but before they were {self._kind[0]} and "
                             f"{self._kind[1]}-D")
        w = check_sample_weight(weight[0], len(X), f"{name}: sample_weight", all_zero=True) if weight else None
        by_class = check_class_weight(self._class_weight, y, self._net.loss, self._net.architecture.targets)
        w = by_class if w is None else w if by_class is None else w * by_class
        w = check_sample_weight(w, len(X), f"{name}: sample_weight", all_zero=True, dtype=self._net.dtype)
        return Segment(X, y, w, None)

    def _mix(self, parts: list[Segment], rng: np.random.Generator, last: bool) -> tuple[Segment, Segment]:
        """The rows in a new order, in whole mini-batches; and those that are left, unless they are the last."""
        rows = sum(len(part) for part in parts)
        order = rng.permutation(rows) if self._shuffle else np.arange(rows)
        kept = rows if last else rows // self.batch_size * self.batch_size
        X = stack([part.X for part in parts])
        y = np.concatenate([part.y for part in parts])
        weight = None
        if any(part.weight is not None for part in parts):
            weight = np.concatenate([np.ones(len(part)) if part.weight is None else part.weight for part in parts])
        left = order[kept:]
        if kept > self._sampled:
            self._sample, self._sampled = Segment(*some_rows(X, y, weight, order[:kept]), None), kept
        self._tally.add(y[order[:kept]], None if weight is None else weight[order[:kept]])
        return (Segment(X, y, weight, order[:kept]),
                Segment(X[left], y[left], None if weight is None else weight[left], None))

    @staticmethod
    def _without(segment: Segment, skipped: int) -> tuple[int, Segment | None]:
        """The segment without its first rows, and how many are still to be skipped."""
        skip = min(skipped, len(segment))
        rest = None if skip == len(segment) else segment.part(skip, len(segment) - skip)
        return skipped - skip, rest


class Tally:
    """Running sums over the targets of an epoch, from which its metric follows."""

    def __init__(self, net: Network):
        self._classes = net.metric == "accuracy"
        self._per_row = 1 if net.architecture.loss_type.targets.classes else net.sizes[-1]
        self.weight, self._shift = 0.0, None
        self._scored = net.architecture.scored_targets
        self._sum = self._squares = np.zeros(self._scored)

    def add(self, y: np.ndarray, weight: np.ndarray | None) -> None:
        self.weight += len(y) if weight is None else float(weight.sum())
        if y.ndim == 1:
            self._per_row = 1
        if self._classes or not len(y):
            return
        y = y[:, :self._scored]
        if self._shift is None:
            first = 0 if weight is None else int(np.argmax(weight > 0))
            self._shift = y[first].astype(float)       # near the mean, so that squares of large numbers do not cancel
        difference = y - self._shift
        w = np.ones((len(y), 1)) if weight is None else weight[:, np.newaxis]
        self._sum = self._sum + (w * difference).sum(axis=0)
        self._squares = self._squares + (w * difference**2).sum(axis=0)

    def metric(self, score: float) -> float:
        if self._classes:
            return score / (self.weight * self._per_row)
        spread = float((self._squares - self._sum**2 / self.weight).sum())
        return 1 - score / spread if spread > 0 else float("nan")


def _part(part: Segment, first: int, end: int) -> Segment:
    rows = np.arange(first, end)
    return Segment(part.X[rows], part.y[rows], None if part.weight is None else part.weight[rows], None)
