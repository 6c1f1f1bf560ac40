"""Whether a target is classes or a quantity: as asked for, or by the values of its column."""
from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fastsgd.tables import spelling
from fastsgd.tables.columns import MAX_LEVELS, Category, Number, plain
from fastsgd.tables.identifiers import DIFFERENT, FEW
from fastsgd.tables.reading import Reading
from fastsgd.tables.wording import refuse_missing

MAX_CLASSES = 20  # whole-number targets with more distinct values than this are taken for quantities
Tell = Callable[[str], object]


def learn_targets(names: tuple[str, ...], table: dict[str, np.ndarray], task: str, rows, reading: Reading,
                  tell: Tell) -> tuple[Number | Category, ...]:
    if task not in ("auto", "classification", "regression"):
        raise ValueError(f"task must be auto, classification or regression, got {task!r}")
    refuse_missing({name: table[name] for name in names}, "fill them or drop the rows")
    if len(names) == 1:
        return (_target(names[0], table[names[0]], task, rows, reading, tell),)
    if task == "classification":
        raise ValueError(f"several targets must be quantities (--task regression), got {len(names)} for classification")
    try:
        return tuple(_quantity(name, table[name], rows, reading, tell) for name in names)
    except ValueError as error:
        raise ValueError(f"several targets must all be quantities: {error}") from None


def _quantity(name: str, values: np.ndarray, rows, reading: Reading, tell) -> Number:
    written = None
    if values.dtype.kind == "O":
        written = spelling.of_numbers(values, reading.decimal, reading.thousands, reading.usual)
        numbers = written.numbers(values) if written else np.full(len(values), np.nan)
        if written is None or np.isnan(numbers).any():
            row = int(np.argmax(np.isnan(numbers))) if written else next(
                (row for row, value in enumerate(values.tolist())
                 if not np.isfinite(spelling.Spelling().numbers(values[row:row + 1])[0])), 0)
            raise ValueError(f"regression needs a target of numbers, but {name!r} holds {values[row]!r} in row {row}, "
                             "counted from 0")
        tell(f"strings read as numbers: target {name!r} ({values[0]!r:.40})")
        values = numbers
    if values.dtype.kind == "M":
        raise ValueError(f"target {name!r} holds dates; turn it into numbers")
    return Number.learn(name, values, rows, written)


def _target(name: str, values: np.ndarray, task: str, rows, reading: Reading, tell) -> Number | Category:
    if task == "regression":
        return _quantity(name, values, rows, reading, tell)
    distinct = sorted(set(values.tolist()))
    if values.dtype.kind == "O" and task == "auto" and len(distinct) > MAX_CLASSES and spelling.of_numbers(
            values, reading.decimal, reading.thousands, reading.usual):
        tell(_how_chosen(name, distinct, "regression"))
        return _quantity(name, values, rows, reading, tell)
    if values.dtype.kind == "M":
        raise ValueError(f"target {name!r} holds dates; turn it into numbers or classes")
    whole = values.dtype.kind in "biu" or (values.dtype.kind == "f" and are_whole(values))
    if task == "auto" and values.dtype.kind in "iuf":
        most = MAX_CLASSES if values.dtype.kind in "iu" else 2
        task = "classification" if whole and len(distinct) <= most else "regression"
        if whole:
            tell(_how_chosen(name, distinct, task))
        if task == "regression":
            return _quantity(name, values, rows, reading, tell)
    if len(distinct) < 2:
        raise ValueError(f"target {name!r} has a single class, {distinct[0]!r}; there is nothing to learn")
    if not whole and values.dtype.kind != "O":
        row = int(np.argmax(values != np.floor(values)))
        raise ValueError(f"classification needs a target of strings or whole numbers, but {name!r} holds "
                         f"{plain(values, row)!r} in row {row}, counted from 0")
    if len(distinct) > MAX_LEVELS or (values.dtype.kind == "O" and len(distinct) > FEW
                                       and len(distinct) > DIFFERENT * len(values)):
        why = (f"more than {MAX_LEVELS}" if len(distinct) > MAX_LEVELS else
               f"nearly all of its {len(values)} values are different")
        text = values.dtype.kind == "O" and spelling.of_numbers(values) is None
        hint = "is it text?" if text else "is it a quantity (--task regression)?"
        raise ValueError(f"target {name!r} has {len(distinct)} classes, {why}; {hint}")
    levels = tuple(int(level) if isinstance(level, float) else level for level in distinct)
    return Category(name, levels)


def _how_chosen(name: str, distinct: list, task: str) -> str:
    meanings = {"classification": "classes", "regression": "a quantity"}
    other = "regression" if task == "classification" else "classification"
    what = "numbers" if isinstance(distinct[0], str) else f"whole numbers, {distinct[0]:.15g} to {distinct[-1]:.15g}"
    return (f"target {name!r}: {len(distinct):,} different {what}, taken for {meanings[task]} (--task {other} takes "
            f"them for {meanings[other]})")


def are_whole(values: np.ndarray) -> bool:
    """Whether all numbers of a column are whole."""
    return bool(len(values)) and bool((np.isfinite(values) & (values == np.floor(values))).all())
