"""A client of Dask: submitting tasks by name, waits that have a limit, and errors that say what to do."""
from __future__ import annotations

import contextlib
import math
import os
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from fastsgd.distributed.extra import require_dask
from fastsgd.distributed.tasks import Context, Failure, guarded, versions

POLL_SECONDS = 0.1                       # between two looks at callbacks while a round is under way
LOOK_SECONDS = 2.0                       # between two looks at the cluster's workers
KNOWN_SECONDS = 0.5                      # that what is known of workers may be old when a round begins
SECONDS_WITHOUT_WORKERS = 120.0
SECONDS_WITHOUT_SCHEDULER = 10.0
HOW_TO = ("make one with client = dask.distributed.Client(n_workers=4, threads_per_worker=1) on this machine, or "
          "client = dask.distributed.Client('tcp://ADDRESS:8786') for a cluster's scheduler")


class ClusterError(RuntimeError):
    """The cluster has failed: its scheduler is gone, it has no workers, or a task does not end.

    What a checkpoint holds stays good: ``train(resume=...)`` continues from it on a new cluster.
    """


class Cluster:
    """The cluster that a client is connected to.

    Parameters
    ----------
    client : dask.distributed.Client or None
        None takes the client made last in this process.
    timeout : float
        Seconds that may pass without any task of this run coming to its end.
    """

    def __init__(self, client: Any = None, timeout: float = 3600.0):
        require_dask()
        self.client, self.timeout = _check_client(client), timeout
        self.context = Context(versions())
        self.doing = "before the first round"                # what messages say is going on
        self._direct = _is_local(self.client) or None        # results come from the workers without a detour
        self._run, self._submitted = os.urandom(5).hex(), 0
        self.known: dict[str, dict] = {}
        self._know()
        self._looked = self._alive = time.monotonic()
        self._without_workers: float | None = None

    # ---- what it has ----

    def workers(self) -> dict[str, dict]:
        """What the scheduler says of each worker, by address."""
        return dict(self._ask(self.client.scheduler.identity, n_workers=-1).get("workers", {}))

    @property
    def slots(self) -> int:
        """How many tasks all workers have at the same time, as was known half a second ago at most."""
        if time.monotonic() - self._known_at > KNOWN_SECONDS:
            self._know()
        return max(1, sum(worker.get("nthreads", 1) for worker in self.known.values()))

    def holders(self, futures: Sequence[Any]) -> list[set[str]]:
        """Which workers hold each result."""
        held = self._ask(self.client.scheduler.who_has, keys=[future.key for future in futures])
        return [set(held.get(future.key, ())) for future in futures]

    def _ask(self, function: Callable, **arguments: Any) -> Any:
        """What the scheduler answers, within a few seconds."""
        if self.client.status == "running":
            try:
                return self.client.sync(function, **arguments, callback_timeout=SECONDS_WITHOUT_SCHEDULER)
            except Exception as error:                   # of the connection, of many kinds
                raise ClusterError(self._lost()) from error
        raise ClusterError(self._lost())

    def _know(self) -> None:
        self.known, self._known_at = self.workers(), time.monotonic()

    def memory(self) -> float:
        """Bytes that all workers may use together; infinite where one has no limit."""
        limits = [worker.get("memory_limit") or math.inf for worker in self.known.values()]
        return sum(limits) if limits else 0.0

    # ---- tasks ----

    def submit(self, name: str, function: Callable, *arguments: Any) -> Any:
        """A future of ``function(context, *arguments)``; ``name`` is what Dask's dashboard shows."""
        with _quietly():
            return self.client.submit(guarded, function, self.context, *arguments, key=self._key(name), pure=False)

    def compute(self, delayed: Sequence[Any]) -> list:
        """Futures of a collection's delayed objects."""
        with _quietly():
            return self.client.compute(list(delayed)) if delayed else []

    def _key(self, name: str) -> str:
        self._submitted += 1
        return f"fastsgd-{name}-{self._submitted}-{self._run}"

    @contextlib.contextmanager
    def listening(self, topic: str, hear: Callable[[dict], None]) -> Iterator[None]:
        """Within the context ``hear`` is called with what workers log under a topic."""
        listeners = [hear]                                   # which Dask's table of handlers must not keep alive

        def handle(event: Any) -> None:
            with contextlib.suppress(Exception):             # in Dask's thread, which must not end by it
                for listener in listeners:
                    listener(event[1] if isinstance(event, tuple | list) else event)

        self.client.subscribe_topic(topic, handle)
        try:
            yield
        finally:
            listeners.clear()
            with contextlib.suppress(Exception):             # where the scheduler is gone
                self.client.unsubscribe_topic(topic)

    # ---- waiting ----

    def results(self, futures: Iterable[Any], what: str, watch: Callable[[], None] | None = None,
                name: Callable[[int], str] | None = None, beside: Sequence[Any] = (),
                heard: Callable[[], int] = int) -> list:
        """The results of all these, in order; ``watch`` is called about ten times a second meanwhile.

        What a task raised is raised here; ``name(i)`` says what the i-th is of. ClusterError where the cluster fails,
        or where for too long none of the futures and of those ``beside`` them ends, nor a worker is ``heard`` of.
        """
        futures, self.doing = list(futures), what
        self._alive, before, self._without_workers = time.monotonic(), None, None
        while True:
            finished = sum(_is_over(future) for future in futures)
            now = finished, sum(_is_over(future) for future in beside), heard()
            if now != before:
                self._alive, before = time.monotonic(), now
            for i, future in enumerate(futures):
                self._raise_failed(future, what, None if name is None else name(i))
            if finished == len(futures):
                with contextlib.suppress(_Again):
                    found = self._gather(futures, what)
                    for result in found:
                        if isinstance(result, Failure):
                            raise result.error
                    return found
            self._pause(futures)
            if watch is not None:
                watch()
            self._require_alive()

    def _pause(self, futures: list) -> None:
        from distributed import wait
        try:
            with self.client.as_current():
                wait([future for future in futures if not _is_over(future)], timeout=POLL_SECONDS)
        except TimeoutError:
            pass
        except Exception:                                # of the connection: what follows looks at that
            time.sleep(POLL_SECONDS)

    def _gather(self, futures: list, what: str) -> list:
        try:
            return self.client.gather(futures, errors="raise", direct=self._direct)
        except (KeyboardInterrupt, MemoryError):
            raise
        except BaseException as error:
            for future in futures:
                self._raise_failed(future, what, None)
            if self.client.status != "running":
                raise ClusterError(self._lost()) from error
            raise _Again from error                      # the worker that held one has just died

    def _raise_failed(self, future: Any, what: str, name: str | None) -> None:
        if future.status == "cancelled":
            raise ClusterError(self._lost())
        if future.status != "error":
            return
        try:
            error = future.exception(timeout=SECONDS_WITHOUT_SCHEDULER)
        except Exception as problem:
            raise ClusterError(self._lost()) from problem
        raise translated(error, name or what).with_traceback(None)

    def _require_alive(self) -> None:
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        if self.client.status != "running":
            raise ClusterError(self._lost())
        if now - self._alive > self.timeout:
            raise ClusterError(f"{self.doing}: no task has come to its end for {self.timeout:g} s (timeout=); is a "
                               "worker stuck, or are tasks that long?")
        if now - self._alive < LOOK_SECONDS:
            return
        self._know()
        if self.known:
            self._without_workers = None
            return
        self._without_workers = self._without_workers or now
        if now - self._without_workers > SECONDS_WITHOUT_WORKERS:
            raise ClusterError(f"{self.doing}: the cluster has had no workers for {SECONDS_WITHOUT_WORKERS:g} s")

    def _lost(self) -> str:
        return (f"{self.doing}: the scheduler of the cluster is gone, or has dropped this client's tasks; to go on "
                f"from the last checkpoint, give resume= and another client: {HOW_TO}")


@contextlib.contextmanager
def _quietly():
    """Without Dask's warning of a large graph, which has the parameters of a large network."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sending large graph", UserWarning)
        yield


class _Again(Exception):
    """A result was lost on its way; it is being computed again."""


def _is_over(future: Any) -> bool:
    return future.status in ("finished", "error", "cancelled")


def _check_client(client: Any) -> Any:
    from distributed import Client, get_client
    if client is None:
        try:
            client = get_client()
        except ValueError:
            raise ValueError(f"client: there is none in this process; {HOW_TO}") from None
    if not isinstance(client, Client):
        raise TypeError(f"client must be a dask.distributed.Client, got {type(client).__name__}; {HOW_TO}")
    if client.asynchronous:
        raise TypeError("client must not be asynchronous: make it without asynchronous=True")
    if client.status != "running":
        raise ValueError(f"client is {client.status}; {HOW_TO}")
    return client


def _is_local(client: Any) -> bool:
    from distributed import LocalCluster
    return isinstance(client.cluster, LocalCluster)


def translated(error: BaseException, what: str) -> BaseException:
    """What a task raised, in words that name what it was about and the cure."""
    from distributed.scheduler import KilledWorker
    if isinstance(error, KilledWorker):
        return ClusterError(f"{what}: {error.allowed_failures + 1} workers in a row died while they worked on it, the "
                            "last for want of memory or killed; give more memory a worker, or more and smaller chunks")
    if isinstance(error, ImportError | AttributeError) and "fastsgd" in str(error):
        return ClusterError(f"{what}: a worker cannot run fastsgd's tasks ({error!s:.200}); install the same fastsgd "
                            "on all machines, the scheduler's too")
    if "deserialization of the task graph" in str(error):
        return ClusterError(f"{what}: the scheduler cannot read fastsgd's tasks; install the same fastsgd there, too")
    if isinstance(error, ValueError | TypeError | FloatingPointError | RuntimeError):
        return error
    return RuntimeError(f"{what}: {type(error).__name__}: {error!s:.300}")
