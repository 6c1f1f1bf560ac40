"""The rows of a run on the cluster: looked at once, then kept in the workers' memory or read anew in every round."""
from __future__ import annotations

import math
import time
import zlib
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np

from fastsgd.arguments import check_whole
from fastsgd.data import advice
from fastsgd.distributed.cluster import Cluster
from fastsgd.distributed.sources import Sources, is_future
from fastsgd.distributed.tasks import NO_ROWS, Facts, Inline, Preparation, facts, load, pick, prepare

MAX_PARTITIONS = 16                      # where their number is not given
SHARE_OF_MEMORY = 0.4                    # that rows may take of all workers; Dask spills from 0.6 on


class Rows:
    """A collection's chunks, each loaded by a task that can be run again anywhere.

    ``name`` is what messages call the collection; ``persist`` says whether rows stay in memory, None leaves it open.
    """

    def __init__(self, cluster: Cluster, sources: Sources, preparation: Preparation, name: str, persist: bool | None):
        self._cluster, self._sources, self._preparation, self.name = cluster, sources, preparation, name
        own = preparation.architecture
        self._scored_targets = own.scored_targets if own.loss_type.targets.metric == "r2" else 0
        self._read: dict[int, Inline] = {}
        self._futures: list[Any] = [None] * len(sources)
        self.persists = persist if sources.separable else True
        self.facts: list[Facts] = []
        self.total = NO_ROWS                 # of all rows
        self.seconds = 0.0                   # that loading all of them took

    def look(self) -> None:
        """Loads every chunk once: checks its rows, and learns how many there are.

        Where it is open whether rows stay in memory, the first few chunks say how much all will take.
        """
        count = len(self._sources)
        numbers = range(count)
        if self.persists is None:
            expected = self._sources.known_bytes
            if expected is None:
                self.persists, few = False, numbers[:min(count, self._cluster.slots)]
                expected = sum(each.nbytes for each in self._facts_of(few)) * count / len(few)
            self.persists = expected <= SHARE_OF_MEMORY * self._cluster.memory()
        began = time.monotonic()
        if self.persists:
            self._load(numbers)
        self.facts = self._facts_of(numbers)
        self.seconds = time.monotonic() - began
        self.total = reduce(Facts.merge, self.facts, NO_ROWS)
        empty = [f"partition {i}" for i, each in enumerate(self.facts) if not each.rows]
        if len(empty) == count:
            raise ValueError(f"{self.name} has no rows")
        if empty:
            advice.warn(f"{self.name}: {', '.join(empty[:5])}{', ...' * (len(empty) > 5)} "
                        f"{'is' if len(empty) == 1 else 'are'} empty and left out")
        if not self.total.weight > 0:
            raise ValueError(f"{self.name}: sample_weight is 0 throughout, so no row counts")
        weighted = [each.weighted for each in self.facts if each.rows]
        if any(weighted) and not all(weighted):
            raise ValueError(f"{_label(self.name, weighted.index(False))} has no sample_weight, others have")

    def metric(self, score: float, counted: float) -> float:
        """What the engine's score comes to, summed over rows whose weights are ``counted``: accuracy, or R^2 against
        the spread of all rows.
        """
        total, targets = self.total, self._preparation.architecture.loss_type.targets
        if targets.metric == "accuracy":
            return score / (counted * (1 if targets.classes else total.columns))
        spread = float(total.targets.squares.sum())
        return 1 - score / (spread * counted / total.weight) if spread > 0 else math.nan

    def fingerprint(self) -> str:
        """A checksum of a few rows of each chunk."""
        return f"checksum {zlib.crc32(repr([each.fingerprint for each in self.facts]).encode()):08x}"

    def groups(self, partitions: int | None) -> list[list[int]]:
        """The chunks of each partition, neighbours, without empty ones."""
        there = [i for i, each in enumerate(self.facts) if each.rows]
        if partitions is None:
            partitions = min(len(there), MAX_PARTITIONS)
        check_whole("partitions", partitions, least=1)
        if partitions > len(there):
            raise ValueError(f"partitions must be at most {len(there)}, the chunks of {self.name} that hold rows, got "
                             f"{partitions}; repartition() or rechunk() makes more")
        return [list(map(int, group)) for group in np.array_split(there, partitions)]

    def chunk(self, number: int) -> Any:
        """What a task takes for a chunk: a future of its rows, or how to read them within the task."""
        return self._futures[number] if self.persists else self._inline(number)

    def renew(self) -> bool:
        """Loads anew what was lost with its worker, and says whether there is any.

        It gets new keys: Dask gives a key up after three workers died while they computed it.
        """
        lost = [number for number, future in enumerate(self._futures)
                if future is not None and future.status != "finished"]
        if lost:
            self._load(lost)
        return bool(lost)

    def spread(self) -> None:
        """Loads all that is kept anew, so that workers that have joined get their part."""
        if self.persists and self._sources.separable:
            self._load(range(len(self._sources)))

    def holders(self, groups: Sequence[Sequence[int]]) -> list[set[str]] | None:
        """For each group of chunks the workers that hold all of them; None where none are kept."""
        if not self.persists:
            return None
        held = self._cluster.holders([self.chunk(number) for group in groups for number in group])
        places = iter(held)
        return [set.intersection(*(next(places) for _ in group)) for group in groups]

    # ---- its parts ----

    def _load(self, numbers: Sequence[int]) -> None:
        for number, future in zip(numbers, read(self._cluster, self._sources, self._preparation, self.name, numbers),
                                  strict=True):
            self._futures[number] = future

    def _inline(self, number: int) -> Inline:
        if number not in self._read:
            self._read[number] = _reading(self._sources, self._preparation, self.name, number)
        return self._read[number]

    def _facts_of(self, numbers: Sequence[int]) -> list[Facts]:
        futures = [self._cluster.submit(f"look-{self.name}-{number}", facts, self._scored_targets, self.chunk(number))
                   for number in numbers]
        return self._cluster.results(futures, self.name, name=lambda i: _label(self.name, numbers[i]))


def read(cluster: Cluster, sources: Sources, preparation: Callable[[str, Sequence[Any]], Any], name: str,
         numbers: Sequence[int] | None = None) -> list:
    """Futures of what ``preparation(label, objects)`` makes of each chunk, or of those of these numbers.

    Where each can be read by itself, one task reads neighbours, for each task that can run at the same time: they are
    then on one worker, where their partitions can be trained by one task.
    """
    numbers = range(len(sources)) if numbers is None else numbers
    found = []
    if not sources.separable:
        computed = iter(cluster.compute([part for number in numbers for part in sources.chunks[number]
                                         if not is_future(part)]))
        for number in numbers:
            given = [part if is_future(part) else next(computed) for part in sources.chunks[number]]
            found.append(cluster.submit(f"prepare-{name}-{number}", prepare, preparation, _label(name, number), *given))
        return found
    for block in np.array_split(numbers, min(len(numbers), cluster.slots)):
        own = list(map(int, block))
        whole = cluster.submit(f"load-{name}-{own[0]}", load,
                               [_reading(sources, preparation, name, number) for number in own])
        found += [cluster.submit(f"chunk-{name}-{number}", pick, whole, place) for place, number in enumerate(own)]
    return found


def _reading(sources: Sources, preparation: Callable[[str, Sequence[Any]], Any], name: str, number: int) -> Inline:
    graph, keys = sources.graph(number)
    return Inline(_label(name, number), preparation, graph, keys)


def _label(name: str, chunk: int) -> str:
    """What messages call a chunk."""
    return f"partition {chunk} of {name}"
