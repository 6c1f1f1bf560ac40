"""Edges of the bins of piecewise-linear encodings, found in rows."""
from __future__ import annotations

import importlib

import numpy as np

from fastsgd.arguments import check_whole


def quantile_edges(X, bins: int = 48) -> tuple[tuple[float, ...], ...]:
    """Edges of bins that hold about as many rows each, for each column of X (rows, columns).

    Equal quantiles are one edge: a column with few different values has fewer bins. One with a single value has one bin
    around it.

    >>> quantile_edges([[0.0], [1.0], [2.0], [10.0]], bins=2)
    ((0.0, 1.5, 10.0),)
    """
    count = check_whole("bins", bins, 1)
    return tuple(_apart(np.quantile(column, np.linspace(0, 1, count + 1))) for column in _checked(X).T)


def tree_edges(X, y, bins: int = 48, *, min_rows: int = 64) -> tuple[tuple[float, ...], ...]:
    """Edges where a decision tree of y on one column alone would cut, for each column of X (rows, columns).

    (Gorishniy et al. 2022, arXiv 2203.05556, section 3.2.2.) Each tree has at most so many leaves, of at least
    ``min_rows`` rows, and cuts where the impurity, or the variance of y, falls by at least 1e-4 of the rows. y (rows,)
    are classes, or quantities where they are floats. The first and the last edge are the least and the largest value.

    Raises ImportError without scikit-learn, ValueError for X or y that cannot be used.

    >>> import numpy as np
    >>> x = np.arange(400.0)
    >>> tree_edges(x[:, np.newaxis], x > 120)
    ((0.0, 120.5, 399.0),)
    """
    count, least = check_whole("bins", bins, 2), check_whole("min_rows", min_rows, 1)
    X, y = _checked(X), np.asarray(y)
    if y.shape != X.shape[:1]:
        raise ValueError(f"y must be (rows,) as X has them, ({len(X)},), got {y.shape}")
    quantities = y.dtype.kind == "f"
    if quantities and not np.isfinite(y).all():
        raise ValueError("y has a value that is not finite")
    try:
        tree = importlib.import_module("sklearn.tree")
    except ImportError as error:
        raise ImportError('this needs scikit-learn: pip install "fastsgd[sklearn]"') from error
    kind = tree.DecisionTreeRegressor if quantities else tree.DecisionTreeClassifier
    found = []
    for column in X.T:
        fitted = kind(max_leaf_nodes=count, min_samples_leaf=least, min_impurity_decrease=1e-4, random_state=0).fit(
            column[:, np.newaxis], y).tree_
        cuts = fitted.threshold[fitted.children_left != fitted.children_right]
        found.append(_apart(np.concatenate([[column.min()], cuts, [column.max()]])))
    return tuple(found)


def _checked(X) -> np.ndarray:
    X = np.asarray(X, dtype=float)
    if X.ndim != 2 or not X.size:
        raise ValueError(f"X must be 2-D (rows, columns) with at least one of each, got shape {X.shape}")
    if not np.isfinite(X).all():
        raise ValueError("X has a value that is not finite; NaN and infinity must be removed or filled first")
    return X


def _apart(edges: np.ndarray) -> tuple[float, ...]:
    """In order, without those that hardly differ from the one before; at least two."""
    edges = np.unique(edges)
    edges = edges[np.concatenate([[True], np.diff(edges) > 1e-6 * max(np.ptp(edges), 1e-30)])]
    if len(edges) == 1:
        width = max(abs(edges[0]), 1.0) / 2
        edges = np.array([edges[0] - width, edges[0] + width])
    return tuple(map(float, edges))
