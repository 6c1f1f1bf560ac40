"""What all partitions agree on before a fit, in one pass: classes and their weights, means and deviations, columns."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from fastsgd.distributed.cluster import Cluster
from fastsgd.distributed.moments import Moments
from fastsgd.distributed.rows import read
from fastsgd.distributed.sources import Sources
from fastsgd.distributed.tasks import naming

MAX_CLASSES = 10_000


@dataclass(frozen=True)
class Agreement:
    """What is known of rows, of a chunk or of all."""

    rows: int
    columns: int
    dtype: str                           # of X: float32, or float64 for all else
    sparse: bool
    features: Moments
    targets: Moments | None              # of a regressor
    classes: dict[Any, float]            # and their weights, of a classifier
    several: bool                        # whether y has columns

    def merge(self, other: Agreement) -> Agreement:
        """Of both together; ValueError where they do not belong to one table."""
        if self.columns != other.columns:
            raise ValueError(f"partitions have {self.columns} and {other.columns} columns")
        if self.several != other.several or (self.targets is not None and other.targets is not None
                                             and self.targets.mean.shape != other.targets.mean.shape):
            raise ValueError("y has more columns in some partitions than in others")
        classes = dict(self.classes)
        for label, weight in other.classes.items():
            classes[label] = classes.get(label, 0.0) + weight
        targets = None if self.targets is None or other.targets is None else self.targets.merge(other.targets)
        return Agreement(self.rows + other.rows, self.columns, str(np.result_type(self.dtype, other.dtype)),
                         self.sparse or other.sparse, self.features.merge(other.features), targets, classes,
                         self.several)


@dataclass(frozen=True)
class Agreeing:
    """From a chunk's objects to its part of the agreement, None where it has no rows."""

    split: Callable[[Sequence[Any]], tuple[Any, Any, Any]]
    classifies: bool

    def __call__(self, label: str, given: Sequence[Any]) -> Agreement | None:
        with naming(label):
            X, y, weight = self.split(given)
            sparse = hasattr(X, "tocsr")
            X = X if sparse else np.asarray(X)
            y = np.asarray(y)
            if X.ndim != 2:
                raise ValueError(f"X must be 2-D (rows, columns), got shape {X.shape}")
            if y.ndim == 2 and y.shape[1] == 1:
                y = y[:, 0]
            if not X.shape[0]:
                return None
            if len(y) != X.shape[0]:
                raise ValueError(f"X has {X.shape[0]:,} rows and y {len(y):,}")
            if X.dtype.kind not in "biuf":
                raise TypeError(f"X must hold real numbers, got dtype {X.dtype}")
            if not np.isfinite(X.data if sparse else X).all():
                raise ValueError("X has NaN or infinity, which must be removed or filled first")
            weight = None if weight is None else np.asarray(weight, dtype=float)
            found = self._classes_of(y, weight) if self.classifies else {}
            targets = None
            if not self.classifies:
                if y.dtype.kind not in "biuf" or not np.isfinite(y).all():
                    raise ValueError("y must hold finite numbers")
                targets = Moments.of(y.reshape(len(y), -1), weight)
            return Agreement(len(y), X.shape[1], "float32" if X.dtype == np.float32 else "float64", sparse,
                             Moments.of(X, weight), targets, found, y.ndim == 2)

    def _classes_of(self, y: np.ndarray, weight: np.ndarray | None) -> dict[Any, float]:
        if y.ndim != 1:
            raise ValueError(f"y must be 1-D, a class for each row, got shape {y.shape}")
        if y.dtype.kind == "f" and not (np.isfinite(y).all() and (y == np.floor(y)).all()):
            raise ValueError("y holds numbers that are not whole, which are no classes; a regressor takes them")
        if y.dtype.kind == "O" and any(label is None or label != label for label in y.tolist()):
            raise ValueError("y has missing labels")
        labels, numbers = np.unique(y, return_inverse=True)
        if len(labels) > MAX_CLASSES:
            raise ValueError(f"y has {len(labels):,} different labels; at most {MAX_CLASSES:,} classes are taken")
        counts = np.bincount(numbers, weight, len(labels))
        return dict(zip(labels.tolist(), counts.tolist(), strict=True))


def agree(cluster: Cluster, sources: Sources, classifies: bool) -> Agreement:
    """What all chunks agree on, merged in their order."""
    futures = read(cluster, sources, Agreeing(sources.split, classifies), "data")
    parts = [part for part in cluster.results(futures, "data") if part is not None]
    if not parts:
        raise ValueError("data has no rows")
    return reduce(Agreement.merge, parts)
