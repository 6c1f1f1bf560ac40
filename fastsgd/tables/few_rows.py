"""A few rows of a data frame, encoded value by value, as an array for each column would take a hundred times longer.

The results are those of :meth:`fastsgd.tables.encoding.Encoding.rows`, to the last bit. Whatever is not plain, such as
numbers that are written as text, is left to that.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable
from numbers import Real
from typing import Any

import numpy as np

from fastsgd.tables.columns import Category, Column, Number, Text, written
from fastsgd.tables.encoding import Encoding

FEW = 8                          # rows


class NotPlainError(Exception):
    """A value that needs more than a look."""


class FewRows:
    """Encodes rows of plain values, given in the order of ``names``."""

    def __init__(self, encoding: Encoding):
        self.names = [column.name for column in encoding.columns]
        self._encode = list(map(_function_of, encoding.columns))
        self._largest = float(np.finfo(np.float32).max)

    def __call__(self, rows: Iterable[Iterable[Any]]) -> np.ndarray | None:
        """float32 (rows, inputs); None where a value is not plain."""
        if None in self._encode:
            return None
        try:
            found = [[number for encode, value in zip(self._encode, row, strict=True) for number in encode(value)]  # type: ignore[misc]
                     for row in rows]
        except NotPlainError:
            return None
        if any(abs(number) > self._largest for row in found for number in row):
            return None                                        # what is too large is told of there
        return np.array(found, dtype=np.float32)


def _function_of(column: Column) -> Callable[[Any], Iterable[float]] | None:
    if isinstance(column, Number):
        return None if column.offset else _number(column)
    if isinstance(column, Category):
        return _category(column) if column.coded else None
    return (lambda value: _text(column, value)) if isinstance(column, Text) else None


def _number(column: Number) -> Callable[[Any], Iterable[float]]:
    mean, scale, gaps = column.mean, column.scale, column.gaps
    fill = mean if column.fill is None else column.fill
    at_fill = ((fill - mean) / scale, 1.0) if gaps else ((fill - mean) / scale,)

    def encode(value: Any) -> Iterable[float]:
        if value is None:
            return at_fill
        if not isinstance(value, Real | np.bool_):
            raise NotPlainError
        number = float(value)
        if not -np.inf < number < np.inf:
            return at_fill
        return ((number - mean) / scale, 0.0) if gaps else ((number - mean) / scale,)
    return encode


def _category(column: Category) -> Callable[[Any], Iterable[float]]:
    places = {level: (float(code),) for level, code in column.places.items()}
    missing, others = places.get(None, (-1.0,)), (float(len(column.levels)) if column.other else -1.0,)

    def encode(value: Any) -> Iterable[float]:
        if value is None or (isinstance(value, float) and value != value):
            return missing
        if not isinstance(value, str | Real | np.bool_):
            raise NotPlainError
        found = places.get(value)
        return found or places.get(written(value), others)
    return encode


def _text(column: Text, value: Any) -> Iterable[float]:
    if not isinstance(value, str):
        raise NotPlainError
    return column.hashed(value).tolist()
