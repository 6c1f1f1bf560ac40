"""The rows of a fit, checked once and passed on as one."""
from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.utils import _safe_indexing


@dataclass(frozen=True, eq=False)
class FitData:
    """Rows to train on.

    Attributes
    ----------
    X, y
        As scikit-learn's validation returned them; y is the user's.
    targets : ndarray
        y as the network takes it: numbers of classes, -1 and 1, (rows, outputs) of targets.
    sample_weight : ndarray (rows,) or None
        The user's.
    table
        X as it was given to ``fit``, whose names of columns scorers are shown.
    """

    X: Any
    y: np.ndarray
    targets: np.ndarray
    sample_weight: Any
    table: Any

    def __len__(self) -> int:
        return self.X.shape[0]

    def take(self, rows: np.ndarray) -> FitData:
        """Those of these numbers; ``table`` stays whole."""
        weight = self.sample_weight
        return replace(self, X=self.X[rows], y=self.y[rows], targets=self.targets[rows],
                       sample_weight=None if weight is None else weight[rows])

    def held_out(self, rows: np.ndarray) -> tuple[tuple, tuple]:
        """Those of these numbers as (X, y, sample_weight): as the network takes them, and as a scorer does."""
        held = self.take(rows)
        named = _safe_indexing(self.table, rows) if hasattr(self.table, "columns") else held.X
        weight = held.sample_weight
        given = None if weight is None or (weight == 1).all() else weight
        return (held.X, held.targets, weight), (named, held.y, given)
