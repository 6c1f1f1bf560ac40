"""What each column adds to a prediction: Shapley values."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastsgd.arguments import check_whole
from fastsgd.display.shown import Shown, Table

AT_ONCE = 2**16              # rows that are predicted in one call
MOST_ROWS, MOST_COLUMNS = 5, 20          # that are shown


@dataclass(frozen=True, eq=False, repr=False)
class Explanation(Shown):
    """What each column adds to the predictions of some rows.

    ``base`` and the values of a row add up to its prediction. ``values, base = explanation`` takes the two apart.

    Attributes
    ----------
    values : array (rows, columns), or (rows, columns, classes)
        In the unit of the target; of a classifier, probabilities.
    base : float, or array (classes,)
        The mean prediction of the rows that these were compared with.
    columns : tuple of str
        The columns' names.
    cells : array of object (rows, columns)
        What is in the rows.
    classes : tuple
        The names of the classes, empty for numbers.
    """

    values: np.ndarray
    base: Any
    columns: tuple[str, ...]
    cells: np.ndarray
    classes: tuple[Any, ...] = ()

    def __iter__(self) -> Iterator[Any]:
        return iter((self.values, self.base))

    def of_row(self, row: int) -> tuple[np.ndarray, float, Any]:
        """The values (columns,) of a row and its base; of a classifier those of the class that is named, and it."""
        check_whole("row", row, 0)
        if row >= len(self.values):
            raise IndexError(f"row must be below {len(self.values)}, the rows explained, got {row}")
        if not self.classes:
            return self.values[row], float(self.base), None
        named = int(np.argmax(self.values[row].sum(axis=0) + self.base))
        return self.values[row, :, named], float(self.base[named]), self.classes[named]

    def cell(self, row: int, column: int) -> str:
        """What is in a row, as text."""
        held = self.cells[row, column]
        return f"{held:.5g}" if isinstance(held, float | np.floating) else str(held)

    def plot(self, row: int = 0, ax: Any = None) -> Any:
        """:func:`fastsgd.plots.explanation` of this."""
        from fastsgd import plots
        return plots.explanation(self, row, ax)

    def _shown(self) -> Table:
        rows = range(min(MOST_ROWS, len(self.values)))
        parts = [self.of_row(row) for row in rows]
        order = np.argsort(-sum((np.abs(values) for values, _, _ in parts), np.zeros(len(self.columns))), kind="stable")
        head = ["column", *(f"row {row}" + f": {part[2]}" * bool(self.classes)
                            for row, part in zip(rows, parts, strict=True))]
        lines = [["base", *(f"{base:.4g}" for _, base, _ in parts)]]
        for column in order[:MOST_COLUMNS]:
            what = f" = {self.cell(0, column)}" if len(rows) == 1 else ""
            lines.append([self.columns[column] + what, *(f"{values[column]:+.3g}" for values, _, _ in parts)])
        if len(order) > MOST_COLUMNS:
            others = order[MOST_COLUMNS:]
            lines.append([f"{len(others):,} more columns", *(f"{values[others].sum():+.3g}" for values, _, _ in parts)])
        lines.append(["prediction", *(f"{base + values.sum():.4g}" for values, base, _ in parts)])
        left = f", the first {len(rows)} of {len(self.values):,} rows" if len(self.values) > len(rows) else ""
        return Table(f"what each column adds to the prediction{left}", head, lines)


def shapley_values(predict: Callable[[np.ndarray], np.ndarray], X: np.ndarray, background: np.ndarray,
                   groups: Iterable[slice], samples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """What each group of inputs adds to the predictions of X (rows, inputs): (rows, groups, outputs), and (outputs,).

    Sampled (Strumbelj and Kononenko 2014): a row of the background becomes the row to explain, group by group in a
    random order, and what a group's turn changes is its own. Each row to explain meets the same rows of the background,
    as evenly as ``samples`` allow; the second result is their mean prediction, and with the values of a row it adds up
    to its prediction.
    """
    rng = np.random.default_rng(seed)
    groups = list(groups)
    count, outputs = len(groups), predict(X[:1]).shape[1]
    compared = background[np.resize(rng.permutation(len(background)), samples)]
    total, base = np.zeros((len(X), count, outputs)), np.zeros(outputs)
    each = max(1, AT_ONCE // ((count + 1) * len(X)))
    for first in range(0, samples, each):
        rows = compared[first:first + each]
        orders = [rng.permutation(count) for _ in rows]
        paths = []
        for row, order in zip(rows, orders, strict=True):
            path = np.repeat(row[np.newaxis], len(X), axis=0)
            paths.append(path.copy())
            for group in order:
                path[:, groups[group]] = X[:, groups[group]]
                paths.append(path.copy())
        found = predict(np.concatenate(paths)).astype(float).reshape(len(orders), count + 1, len(X), outputs)
        base += found[:, 0, 0].sum(axis=0)
        for order, along in zip(orders, np.diff(found, axis=1), strict=True):
            total[:, order] += along.transpose(1, 0, 2)
    return total / samples, base / samples
