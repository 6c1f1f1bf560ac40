"""Which columns a model rests on: how much worse its predictions become where one is shuffled among rows."""
from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from fastsgd.network.network import Network
from fastsgd.tables.encoding import Encoding
from fastsgd.tabular.fitting import Fold, Rows, mean_cost, predict_fold

MOST_ROWS = 2000             # of each fold, that columns are shuffled among


def permutation_importance(net: Network, folds: list[Fold], encoding: Encoding, *, repeats: int = 5, seed: int = 0,
                           threads: int | None = None) -> np.ndarray:
    """How much larger the cost of held-out rows is where a column is shuffled among them, (columns,).

    (Breiman 2001.) The cost is the log loss, or the root mean squared error in the target's unit.
    """
    rng = np.random.default_rng(seed)
    total, weight = np.zeros(len(encoding.columns)), 0
    for fold in folds:
        held_out = fold.held_out
        if len(held_out) > MOST_ROWS:
            held_out = held_out.part(np.sort(rng.permutation(len(held_out))[:MOST_ROWS]))
        before = _cost(net, fold, held_out.X, held_out, encoding, threads)
        for column, inputs in enumerate(encoding.slices):
            for _ in range(repeats):
                X = held_out.X.copy()
                X[:, inputs] = X[rng.permutation(len(X)), inputs]
                total[column] += len(X) * (_cost(net, fold, X, held_out, encoding, threads) - before) / repeats
        weight += len(held_out)
    return total / weight


def by_name(importances: np.ndarray, encoding: Encoding, names: Iterable[str]) -> list[float]:
    """Those of columns of these names, 0 where one is left out."""
    found = dict(zip((column.name for column in encoding.columns), importances.tolist(), strict=True))
    return [found.get(name, 0.0) for name in names]


def _cost(net: Network, fold: Fold, X: np.ndarray, rows: Rows, encoding: Encoding, threads: int | None) -> float:
    cost = mean_cost(predict_fold(net, fold, X, threads), rows, len(encoding.classes))
    return cost if encoding.classes else math.sqrt(cost) * encoding.target_scale()[0]
