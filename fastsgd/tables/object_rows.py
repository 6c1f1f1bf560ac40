"""Rows of Python's objects as columns: of JSON lines and of spreadsheets."""
from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterable
from decimal import Decimal
from numbers import Integral, Real
from typing import IO

import numpy as np

from fastsgd.files.bounded_json import parse_json
from fastsgd.tables.delimited import Unreadable, refuse_repeated

SHORT = 2**16            # characters of JSON whose memory is not reckoned first
CELL_BYTES = 8           # that a value takes at least
MAX_ABOVE = 50          # rows over the header of a sheet


def read_json_lines(opened: Callable[[], IO[bytes]], most: int) -> dict[str, list]:
    """Lists of values, None where a row has none. Rows times columns may take ``most`` bytes."""
    columns: dict[str, list] = {}
    count = 0
    with opened() as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
                row = parse_json(text) if len(text) > SHORT else json.loads(text, object_pairs_hook=_once)
            except (ValueError, RecursionError) as error:
                said = str(error) if isinstance(error, Unreadable) else "it is no JSON"
                raise Unreadable(f"line {number}: {said}") from None
            if not isinstance(row, dict):
                raise Unreadable(f"line {number} holds no object {{...}} of names and values")
            if CELL_BYTES * (count + 1) * len(columns.keys() | row.keys()) > most:
                raise Unreadable(f"its {count:,} rows of {len(columns):,} columns are more than such a file can hold")
            for name, value in row.items():
                column = columns.setdefault(name, [])
                column.extend([None] * (count - len(column)))
                column.append(value)
            count += 1
    for column in columns.values():
        column.extend([None] * (count - len(column)))
    return columns


def _once(pairs: list[tuple]) -> dict:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Unreadable("a name appears twice")
    return found


def read_sheet(rows: Iterable[Iterable], tell) -> dict[str, list]:
    """Lists of values of a sheet's rows; what lies above the header is passed over, which ``tell`` is told."""
    cells = [[None if _is_gap(value) else value for value in row] for row in rows]
    while cells and all(value is None for value in cells[-1]):
        cells.pop()
    width = max((len(row) - next((i for i, value in enumerate(reversed(row)) if value is not None), len(row))
                 for row in cells), default=0)
    cells = [[*row[:width], *[None] * (width - len(row))] for row in cells]
    above = next((i for i, row in enumerate(cells[:MAX_ABOVE])
                  if sum(value is not None for value in row) > min(1, width - 1)), 0)
    if any(value is not None for row in cells[:above] for value in row):
        tell(f"rows above the header, which are passed over: {above}")
    if not cells:
        return {}
    names = [f"Unnamed: {i}" if name is None else str(name) for i, name in enumerate(cells[above])]
    refuse_repeated(names)
    return {name: [row[i] for row in cells[above + 1:]] for i, name in enumerate(names)}


def column_of(name: str, given: list, na: Iterable[str] = ()) -> np.ndarray:
    """An array: numbers, datetime64[us], or objects that are strings, booleans or None."""
    missing = {"", *na}
    values = [None if _is_gap(value) or (isinstance(value, str) and value in missing) else value for value in given]
    there = [value for value in values if value is not None]
    if not there:
        return np.full(len(values), np.nan)
    if all(isinstance(value, bool | np.bool_) for value in there):
        found = np.array([None if value is None else bool(value) for value in values], dtype=object)
        return found.astype(bool) if len(there) == len(values) else found
    if all(isinstance(value, Real | Decimal) for value in there):
        if len(there) == len(values) and all(isinstance(value, Integral) and abs(int(value)) < 2**63
                                             for value in there):
            return np.array([int(value) for value in there], dtype=np.int64)
        return np.array([np.nan if value is None else _float(value) for value in values])
    if all(isinstance(value, datetime.date) for value in there):
        return np.array([np.datetime64("NaT") if value is None else _clock(value) for value in values],
                        dtype="datetime64[us]")
    if all(isinstance(value, datetime.time | datetime.timedelta) for value in there):
        return np.array([np.nan if value is None else _seconds(value) for value in values])
    if strange := next((value for value in there if not isinstance(
            value, str | Real | Decimal | datetime.date | datetime.time | datetime.timedelta)), None):
        raise Unreadable(f"column {name!r} holds {type(strange).__name__.removesuffix('s')}s")
    return np.array([None if value is None else value if isinstance(value, str) else str(value) for value in values],
                    dtype=object)


def _is_gap(value) -> bool:
    return value is None or (value != value) is True or type(value).__name__ in ("NaTType", "NAType")


def _float(value) -> float:
    try:
        return float(value)
    except OverflowError:
        return np.inf


def _clock(value: datetime.date) -> np.datetime64:
    return np.datetime64(value.replace(tzinfo=None) if isinstance(value, datetime.datetime) else value, "us")


def _seconds(value: datetime.time | datetime.timedelta) -> float:
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    return value.hour * 3600 + value.minute * 60 + value.second + value.microsecond / 1e6
