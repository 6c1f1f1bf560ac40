"""Tables in pieces: an encoding that all partitions agree on, and rows by it, some of each partition held out."""
from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastsgd.distributed.cluster import Cluster
from fastsgd.distributed.rows import read
from fastsgd.distributed.sources import Sources
from fastsgd.distributed.tasks import naming
from fastsgd.tables.columns import missing_in
from fastsgd.tables.encoding import Encoding, rows_with_targets
from fastsgd.tables.frames import as_text, table_of
from fastsgd.tables.read import Table

SAMPLED_ROWS = 200_000                   # of all partitions, from which means, scales and levels are learned
LEAST_ROWS = 200                         # of each
MAX_LEVELS = 1000                        # of a target, of each of which the sample has a row


@dataclass(frozen=True)
class HoldingOut:
    """Which rows of a partition are held out: a fraction of them, drawn by the seed and their targets."""

    targets: tuple[str, ...]
    fraction: float
    seed: int

    def __call__(self, table: Table) -> np.ndarray:
        """(rows,) booleans."""
        values = table[self.targets[0]]
        text = "\n".join(map(str, values.tolist())) if values.dtype.kind == "O" else values.tobytes()
        checksum = zlib.crc32(text.encode(errors="surrogatepass") if isinstance(text, str) else text)
        return np.random.default_rng((self.seed, checksum)).random(len(values)) < self.fraction


@dataclass(frozen=True)
class Sample:
    """Some rows of a partition, and what is known of all."""

    table: Table
    rows: int
    without_target: int
    classes: dict[Any, int]              # how often each value of the target comes, where these are few


@dataclass(frozen=True)
class Sampling:
    """From a chunk's frame to its sample, None where it has no row with a target."""

    holding_out: HoldingOut
    drop: tuple[str, ...]
    most: int

    def __call__(self, label: str, given: Sequence[Any]) -> Sample | None:
        with naming(label):
            table, lost = _with_targets(given[0], self.drop, self.holding_out.targets)
            names = self.holding_out.targets
            rows = len(table[names[0]])
            if not rows:
                return None
            there = np.flatnonzero(~self.holding_out(table))
            chosen = there[np.linspace(0, max(0, len(there) - 1), min(len(there), self.most)).astype(int)]
            values, first, counts = np.unique(_comparable(table[names[0]]), return_index=True, return_counts=True)
            few = len(values) <= MAX_LEVELS and len(names) == 1
            if few and table[names[0]].dtype.kind != "f":
                chosen = np.union1d(chosen, first)
            part = Table({name: column[chosen] for name, column in table.items()})
            part.categories = table.categories
            classes = dict(zip(table[names[0]][first].tolist(), counts.tolist(), strict=True)) if few else {}
            return Sample(part, rows, lost, classes)


@dataclass(frozen=True)
class EncodedRows:
    """From a chunk's frame to X and y by the encoding: the rows that are held out, or the others."""

    encoding: Encoding
    holding_out: HoldingOut
    held_out: bool
    dtype: str
    class_weight: Mapping[Any, float] | None = None

    def __call__(self, given: Sequence[Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        table, _ = _with_targets(given[0], (), self.holding_out.targets)
        chosen = self.holding_out(table) == self.held_out
        table = Table({name: column[chosen] for name, column in table.items()})
        if not chosen.any():
            return np.empty((0, self.encoding.width)), np.empty(0), None
        X, y = self.encoding.rows(table, self.dtype), self.encoding.targets(table, self.dtype)
        if self.class_weight is None or self.held_out:
            return X, y, None
        weights = np.array([self.class_weight.get(level, 1.0) for level in self.encoding.classes])
        return X, y, weights[y]


def learn_encoding(cluster: Cluster, sources: Sources, holding_out: HoldingOut, drop: Sequence[str] = (),
                   tell: Callable[[str], object] | None = None, **options: Any) -> tuple[Encoding, list[Sample]]:
    """An encoding from samples of all partitions, in one pass; the classes are those of all rows.

    ``options`` are those of ``Encoding.learn``.
    """
    most = max(LEAST_ROWS, SAMPLED_ROWS // len(sources))
    futures = read(cluster, sources, Sampling(holding_out, tuple(drop), most), "data")
    samples = [sample for sample in cluster.results(futures, "data") if sample is not None]
    if not samples:
        raise ValueError(f"no row has a target, {', '.join(map(repr, holding_out.targets))}")
    lost, rows = sum(sample.without_target for sample in samples), sum(sample.rows for sample in samples)
    if lost and tell:
        tell(f"rows left out: {lost:,} of {lost + rows:,}, whose target is missing")
    table = joined([sample.table for sample in samples])
    return Encoding.learn(table, holding_out.targets, tell=tell, **options), samples


def joined(tables: Sequence[Table]) -> Table:
    """Tables of the same columns as one; what holds nothing somewhere has the kind of the others there."""
    names = list(tables[0])
    for number, table in enumerate(tables):
        if set(table) != set(names):
            other = next(iter(set(table) ^ set(names)))
            where = "has a column" if other in table else "has no column"
            raise ValueError(f"partition {number} of data {where} {other!r}, unlike the first one")
    found = Table({name: _joined([table[name] for table in tables], name) for name in names})
    found.categories = frozenset.union(*(table.categories for table in tables))
    return found


def _joined(parts: list[np.ndarray], name: str) -> np.ndarray:
    kinds = {"O" if part.dtype.kind == "O" else "M" if part.dtype.kind == "M" else "f"
             for part in parts if not missing_in(part).all()}
    if len(kinds) == 2 and "O" in kinds and "f" in kinds:
        parts, kinds = [part if part.dtype.kind == "O" else as_text(part.tolist()) for part in parts], {"O"}
    if len(kinds) > 1:
        raise ValueError(f"column {name!r} holds dates in some partitions and other things in others")
    if kinds == {"O"}:
        parts = [part if part.dtype.kind == "O" else np.full(len(part), None, object) for part in parts]
    if kinds == {"M"}:
        parts = [part if part.dtype.kind == "M" else np.full(len(part), "NaT", "datetime64[us]") for part in parts]
    return np.concatenate(parts)


def _with_targets(frame: Any, drop: Sequence[str], targets: tuple[str, ...]) -> tuple[Table, int]:
    """The table of a frame's rows that have a target, and how many have none."""
    table = table_of(frame, drop)
    for name in targets:
        if name not in table:
            raise ValueError(f"it has no column {name!r}; its columns are {', '.join(table)}")
    categories = table.categories
    rows = len(table[targets[0]])
    missing = np.zeros(rows, bool)
    for name in targets:
        missing |= missing_in(table[name])
    if missing.all():
        table = Table({name: values[:0] for name, values in table.items()})
    else:
        table = rows_with_targets(table, targets)
    table.categories = categories
    return table, int(missing.sum())


def _comparable(values: np.ndarray) -> np.ndarray:
    return np.array([str(value) for value in values.tolist()]) if values.dtype.kind == "O" else values
