"""What runs on Dask's workers: loading a chunk, training on it, adding up, evaluating, predicting."""
from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from fastsgd.data.checks import check_sample_weight
from fastsgd.distributed import local_sgd
from fastsgd.distributed.local_sgd import Chunk, Kept, Outcome, RoundStart, Share, Timing
from fastsgd.distributed.moments import Moments
from fastsgd.engine import ensemble
from fastsgd.engine.machine import cores_of_affinity
from fastsgd.model.architecture import Architecture
from fastsgd.network import checked
from fastsgd.runs.checkpoint import library_version
from fastsgd.runs.feeds import fingerprint


class Versions(NamedTuple):
    """What must be the same on all machines, for the bits depend on it."""

    fastsgd: str
    numpy: str


def versions() -> Versions:
    """Of this process; NumPy's without what only mends it."""
    return Versions(library_version(), ".".join(np.__version__.split(".")[:2]))


@dataclass(frozen=True)
class Context:
    """What every task of a run is told: the versions it must meet, and how many tasks a worker has at once."""

    versions: Versions
    at_once: int = 1


class _Turns:
    """Hands out the threads of a worker, never more at once than Dask has given it."""

    def __init__(self, limit: int):
        self.limit = self._free = limit
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def take(self, wanted: int) -> Iterator[int]:
        wanted = max(1, min(wanted, self.limit))
        with self._changed:
            self._changed.wait_for(lambda: self._free >= wanted)
            self._free -= wanted
        try:
            yield wanted
        finally:
            with self._changed:
                self._free += wanted
                self._changed.notify_all()


_turns: dict[str, _Turns] = {}
_making_turns = threading.Lock()


@contextlib.contextmanager
def on_worker(context: Context) -> Iterator[tuple[int, str]]:
    """``(threads, address of the worker)`` for a task; RuntimeError where the worker is not like the client."""
    from distributed import get_worker
    worker = get_worker()
    here = versions()
    if here != context.versions:
        raise RuntimeError(f"worker {worker.address} has fastsgd {here.fastsgd} with NumPy {here.numpy}, the client "
                           f"fastsgd {context.versions.fastsgd} with NumPy {context.versions.numpy}; install the same "
                           "on all machines: results would depend on where a task runs")
    # Not machine.cores(): Dask's nanny sets OMP_NUM_THREADS=1, which is for libraries that do not ask Dask.
    given = min(worker.state.nthreads, cores_of_affinity())
    with _making_turns:
        turns = _turns.setdefault(worker.address, _Turns(given))
    with turns.take(given // max(1, context.at_once)) as threads:
        yield threads, worker.address


@dataclass(frozen=True)
class Failure:
    """What a task met instead of a result. As a result it reaches the client without the traceback that Dask logs."""

    error: Exception


def guarded(function: Callable, context: Context, *arguments: Any) -> Any:
    """``function(context, *arguments)``, or the :class:`Failure` that is among them or that it makes of an error."""
    for argument in arguments:
        for each in argument if isinstance(argument, list) else (argument,):
            if isinstance(each, Failure):
                return each
    try:
        return function(context, *arguments)
    except (ValueError, TypeError, FloatingPointError, RuntimeError) as error:
        return Failure(error.with_traceback(None))


# ---- rows ----

@dataclass
class _Shape:
    """What the checks of rows ask of a network."""

    architecture: Architecture
    params: np.ndarray


@dataclass(frozen=True)
class Preparation:
    """From a chunk's objects to rows as the engine takes them; ``split`` gives X, y and weights."""

    split: Callable[[Sequence[Any]], tuple[Any, Any, Any]]
    architecture: Architecture
    dtype: str

    def __call__(self, label: str, given: Sequence[Any]) -> Chunk | None:
        """The rows, None where there are none. ValueError or TypeError begins with the label."""
        with naming(label):
            X, y, weight = self.split(given)
            if (X.shape[0] if getattr(X, "shape", ()) else len(X)) == 0:
                return None
            X, y = checked.check(_Shape(self.architecture, np.empty(0, self.dtype)), X, y)
            weight = check_sample_weight(weight, len(y), all_zero=True, dtype=np.dtype(self.dtype))
            return Chunk(X, y, weight)


@contextlib.contextmanager
def naming(label: str) -> Iterator[None]:
    """ValueError and TypeError within the context begin with the label."""
    try:
        yield
    except (ValueError, TypeError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{label}: {error}") from None


@dataclass(frozen=True)
class Inline:
    """How a chunk is read within a task that needs it: a graph of Dask's, its keys, and what becomes of its objects."""

    label: str
    prepare: Callable[[str, Sequence[Any]], Any]
    graph: Any
    keys: tuple

    def __call__(self) -> Any:
        from dask.local import get_sync
        try:
            given = get_sync(self.graph, list(self.keys))        # together: what they share is done once
        except Exception as error:                           # of whatever the user's graph does
            raise RuntimeError(f"{self.label} cannot be read: {type(error).__name__}: {error!s:.300}") from error
        return self.prepare(self.label, given)


def load(context: Context, readings: list[Inline]) -> list:
    """What becomes of some chunks, in the memory of a worker."""
    with on_worker(context):
        return [reading() for reading in readings]


def pick(context: Context, chunks: list, place: int) -> Any:
    """One of them, which it shares memory with."""
    return chunks[place]


def prepare(context: Context, preparation: Callable[[str, Sequence[Any]], Any], label: str, *given: Any) -> Any:
    """The same of a chunk whose objects other tasks have made."""
    with on_worker(context):
        return preparation(label, given)


class Facts(NamedTuple):
    """What must be known of a chunk before the first step."""

    rows: int
    nbytes: int
    fingerprint: str
    targets: Moments                     # of those that R^2 is of
    weighted: bool
    columns: int                         # of y, 1 for labels

    @property
    def weight(self) -> float:
        """Of all its rows."""
        return self.targets.weight

    def merge(self, other: Facts) -> Facts:
        """Of both together."""
        if not self.rows or not other.rows:
            return self if self.rows else other
        return Facts(self.rows + other.rows, self.nbytes + other.nbytes, "",
                     self.targets.merge(other.targets), self.weighted or other.weighted, self.columns)


NO_ROWS = Facts(0, 0, "empty", Moments(0.0, np.zeros(0), np.zeros(0)), False, 1)


def facts(context: Context, scored_targets: int, chunk: Chunk | Inline | None) -> Facts:
    """Of a chunk; ``scored_targets`` are the columns of y that R^2 is of, 0 where the metric is accuracy."""
    with on_worker(context):
        rows = chunk() if isinstance(chunk, Inline) else chunk
        if rows is None:
            return NO_ROWS
        scored = rows.y[:, :scored_targets] if scored_targets else np.empty((len(rows), 0))
        columns = 1 if rows.y.ndim == 1 else rows.y.shape[1]
        return Facts(len(rows), rows.nbytes, fingerprint(rows.X, rows.y, rows.weight), Moments.of(scored, rows.weight),
                     rows.weight is not None, columns)


# ---- a round ----

def hand_out(context: Context, start: RoundStart) -> RoundStart:
    """A round's start, which travels within the task that makes it and so can be made again on any worker."""
    return start


@dataclass(frozen=True)
class Bundle:
    """Neighbouring partitions that one task trains, one after the other; of each the chunks that it needs."""

    shares: tuple[Share, ...]
    chunks: tuple[tuple[int, ...], ...]
    topic: str                           # that events of its progress are logged under


def train(context: Context, bundle: Bundle, start: RoundStart, kept: list, chunks: list) -> Any:
    """The outcome of a bundle; where partitions keep something, a pair of that and :class:`Kept` by partition.

    ``kept`` has for each partition None, a :class:`Kept`, or a dict of them by partition; ``chunks`` are those that the
    bundle names, all in one row.
    """
    with on_worker(context) as (threads, worker):
        rows, outcomes, left, timings = iter(chunks), [], {}, []
        for share, numbers, before in zip(bundle.shares, bundle.chunks, kept, strict=True):
            began = time.time()
            own = dict(zip(numbers, rows, strict=False))
            before = before[share.partition] if isinstance(before, dict) else before
            progress = local_sgd.begin(start, share, before)
            for segment in share.segments:
                chunk = own[segment.chunk]
                chunk = chunk() if isinstance(chunk, Inline) else chunk
                if chunk is None:
                    raise RuntimeError(f"{local_sgd.name_of(share.partition)} has no rows any more; the data has "
                                       "changed")
                local_sgd.advance(start, share, segment, progress, chunk, threads,
                                  _Reporter(bundle.topic, share.partition, progress.rows))
            outcome, keeps = local_sgd.finish(start, share, progress, before)
            timings.append(Timing(start.round, share.partition, worker, began, time.time()))
            outcomes.append(replace(outcome, worker=worker))
            if keeps is not None:
                left[share.partition] = keeps
        outcome = replace(local_sgd.add(outcomes, worker), timings=tuple(timings))
        return (outcome, left) if left else outcome


class _Reporter:
    """Tells the client how many rows of a partition are through, twice a second at most."""

    SECONDS = 0.5

    def __init__(self, topic: str, partition: int, rows_before: int):
        self._topic, self._partition, self._before, self._told = topic, partition, rows_before, time.monotonic()

    def __call__(self, rows_done: int) -> bool:
        if time.monotonic() - self._told >= self.SECONDS:
            from distributed import get_worker
            self._told = time.monotonic()
            get_worker().log_event(self._topic, {"partition": self._partition, "rows": self._before + rows_done})
        return False


def first_of(context: Context, pair: tuple) -> Outcome:
    return pair[0]


def second_of(context: Context, pair: tuple) -> dict[int, Kept]:
    return pair[1]


def add(context: Context, outcomes: list[Outcome]) -> Outcome:
    """Neighbours added up."""
    with on_worker(context) as (_, worker):
        return local_sgd.add(outcomes, worker)


def evaluate(context: Context, start: RoundStart, chunk: Chunk | Inline | None) -> tuple[float, float]:
    """``(cost, score)`` of the parameters of a round, summed over the rows of a chunk."""
    with on_worker(context) as (threads, _):
        rows = chunk() if isinstance(chunk, Inline) else chunk
        if rows is None:
            return 0.0, 0.0
        return ensemble.cost(start.recipe.architecture, start.params, rows.X, rows.y, None, rows.weight, threads)
