"""Which columns of a table are inputs: what they hold, what is left out, and the messages about it."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from fastsgd.tables import spelling
from fastsgd.tables.columns import (
    MAX_LEVELS,
    Category,
    Column,
    Date,
    Number,
    Text,
    are_booleans,
    as_dates,
    as_numbers,
    as_text,
    missing_in,
)
from fastsgd.tables.identifiers import free_text, names_code, why_left_out
from fastsgd.tables.reading import Reading
from fastsgd.tables.wording import how_to_drop, how_to_keep, some

Tell = Callable[[str], object]

FEW_LEVELS, ROWS_OF_A_LEVEL = 50, 4          # more levels than both allow are told of
KINDS = ("number", "category", "date", "text", "drop")


@dataclass(frozen=True)
class Wishes:
    """What was said about the columns: those to keep in any case, and the kind of some.

    With ``coded`` categories become codes instead of inputs of their own, whole numbers that are called codes are
    categories, and free text is hashed instead of left out.
    """

    keep: tuple[str, ...] = ()
    kinds: Mapping[str, str] = field(default_factory=dict)
    coded: bool = False


def learn_inputs(table: dict[str, np.ndarray], names: set[str], wishes: Wishes, rows, tell: Tell,
                 warn: Tell) -> tuple[tuple[Column, ...], dict, dict[str, str]]:
    """The columns of these names, what they hold, and the names of those that are left out, with why.

    Columns that hold nothing in the rows to train on are in neither.
    """
    read = read_inputs(table, names, getattr(table, "reading", Reading()), rows, tell, warn, wishes)
    left_out = leave_out(read, wishes, rows, tell)
    inputs = {name: found for name, found in read.items() if name not in left_out}
    columns = tuple(learn_column(name, values, written, rows, wishes, are_booleans(table[name]))
                    for name, (values, written) in inputs.items())
    return columns, inputs, left_out


def read_inputs(table: dict[str, np.ndarray], names: set[str], reading: Reading, rows, tell: Tell, warn: Tell,
                wishes: Wishes) -> dict:
    """``{name: (values, spelling)}`` of the inputs, with strings that are numbers or dates as such."""
    categories: frozenset[str] = getattr(table, "categories", frozenset())
    found: dict = {}
    numbers: list[str] = []
    dates: list[str] = []
    empty: list[str] = []
    for name, values in table.items():
        if name not in names:
            continue
        if missing_in(values[rows]).all():
            empty.append(f"{name!r}")
            continue
        if said := wishes.kinds.get(name, "category" if name in categories or (
                wishes.coded and is_code(name, values)) else ""):
            found[name] = _as_said(name, values, said, reading)
            continue
        if values.dtype.kind != "O" or are_booleans(values):
            found[name] = (values if values.dtype.kind == "M" else as_numbers(name, values), None)
            continue
        written = spelling.of_numbers(values, reading.decimal, reading.thousands, reading.usual)
        times = None if written else spelling.dates(values)
        read = written.numbers(values) if written else values if times is None else times
        found[name] = (read, written)
        if read is values:
            continue
        example = next(value for value in values.tolist() if value is not None)
        (numbers if written else dates).append(f"{name!r} ({example!r:.40})")
        gone = np.flatnonzero(missing_in(read))
        if len(strange := gone[spelling.there(values[gone])]):
            row = int(strange[0])
            warn(f"column {name!r} is read as {'numbers' if written else 'dates'}; other values, which count as "
                 f"missing: {len(strange):,}, such as {values[row]!r} in row {row}, counted from 0")
    for what, names_of in (("numbers", numbers), ("dates", dates)):
        if names_of:
            tell(f"strings read as {what}: {some(names_of)}")
    if empty:
        tell(f"left out, as they hold nothing in the rows to train on: {some(empty)}")
    return found


def _as_said(name: str, values: np.ndarray, kind: str, reading: Reading) -> tuple[np.ndarray, Any]:
    if kind == "date":
        return as_dates(name, values), None
    if kind != "number":
        return as_text(values), None
    written = spelling.of_numbers(values, reading.decimal, reading.thousands,
                                  reading.usual) if values.dtype.kind == "O" else None
    return as_numbers(name, values, written, reading.usual), written


def is_code(name: str, values: np.ndarray) -> bool:
    """Whether whole numbers are codes by their name: zip, sector_code; identifiers that are repeated, such as user_id.
    """
    return values.dtype.kind in "iu" and names_code(name)


def leave_out(read: dict, wishes: Wishes, rows, tell: Tell) -> dict[str, str]:
    """The columns that are not learned from, and why."""
    found = {name: why for name, (values, _) in read.items()
             if name not in wishes.keep and name not in wishes.kinds and (why := why_left_out(
                 name, values, rows, text=not wishes.coded))}
    if found:
        tell(f"left out: {some([f'{name!r} ({why})' for name, why in found.items()])}; "
             f"{how_to_keep(next(iter(found)))} keeps {'it' if len(found) == 1 else 'the first'}")
    return found


def learn_column(name: str, values: np.ndarray, written, rows, wishes: Wishes, boolean: bool) -> Column:
    """By its kind of values; ``boolean`` says that these numbers were true and false."""
    if values.dtype.kind == "O":
        said = wishes.kinds.get(name)
        if said == "text" or (wishes.coded and said is None and name not in wishes.keep and free_text(values, rows)):
            return Text(name)
        return Category.learn(name, values, rows, wishes.coded)
    if values.dtype.kind == "M":
        return Date.learn(name, values, rows)
    return Number.learn(name, values, rows, written, boolean)


def without_fill(column: Column) -> Column:
    """One that refuses missing values."""
    if isinstance(column, Number):
        return replace(column, fill=None, gaps=False)
    return Date(column.name, column.first, column.parts) if isinstance(column, Date) else column


def tell_of_columns(columns: tuple[Column, ...], inputs: dict, tell: Tell) -> None:
    """Of what is missing, and of levels that are many."""
    gaps = {column.name: int(missing_in(inputs[column.name][0]).sum()) for column in columns}
    gaps = {name: count for name, count in gaps.items() if count}
    if gaps:
        tell(f"values missing (or infinite): {some([f'{name!r} {count:,}' for name, count in gaps.items()])}; numbers "
             "and dates take the median of the rows to train on, with an input that says where, categories have a "
             "level for them (--missing error refuses them)")
    rows = len(next(iter(inputs.values()))[0])
    rare = {column.name: len(column.levels) for column in columns if isinstance(column, Category) and not column.other
            and len(column.levels) > max(FEW_LEVELS, rows // ROWS_OF_A_LEVEL)}
    if rare:
        levels = some([f"{name!r} {count:,}" for name, count in rare.items()])
        tell(f"strings with many levels for so few rows: {levels}; dates or numbers in a form that is not known here? "
             f"Turn them into numbers, or {how_to_drop(next(iter(rare)))} leaves "
             f"{'it' if len(rare) == 1 else 'the first'} out")
    if other := [column.name for column in columns if isinstance(column, Category) and column.other]:
        tell(f"more than {MAX_LEVELS:,} levels: {some(list(map(repr, other)))}; the {MAX_LEVELS:,} most frequent "
             f"are kept, the rest are one level, \"other\" ({how_to_drop(other[0])} leaves "
             f"{'it' if len(other) == 1 else 'the first'} out)")
