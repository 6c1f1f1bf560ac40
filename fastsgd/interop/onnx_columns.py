"""The first layer of a network for tables as nodes of an ONNX graph.

Rows are (rows, columns), or (1, rows, columns) where tensors have an axis of members in front, which the features then
have too.
"""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastsgd.layers import Columns


def features(graph: Any, layer: Columns, rows: str, own: Sequence[str], axis: int) -> str:
    """Adds what the layer makes of the rows, whose columns are that axis."""
    members = axis - 1
    tensors = dict(zip((name for name, _ in layer.tensors), own, strict=True))
    parts: list[tuple[str, bool]] = []                    # each with whether it has something of each member
    if layer.number_columns:
        numbers = rows if not layer.categories else picked(graph, rows, layer.number_columns, axis)
        parts.append((_numbers(graph, layer, numbers, tensors, members), bool(members) and "column_biases" in tensors))
        if layer.numbers is not None and layer.numbers.shortcut:
            parts.append((numbers, False))
    if layer.one_hot:
        columns, levels = zip(*((column, level) for column, count in layer.one_hot for level in range(count)),
                              strict=True)
        equal = graph("Equal", picked(graph, rows, columns, axis), graph.constant("levels", np.array(levels,
                                                                                                       graph.dtype)))
        parts.append((_cast(graph, equal, graph.dtype), False))
    if layer.embedded:
        parts.append((_embeddings(graph, layer, rows, tensors["embeddings"], members), bool(members)))
    if len({apart for _, apart in parts}) > 1:
        count = len(graph.constants[own[0]])
        parts = [(part if apart else graph("Expand", part, graph.whole(count, 1, 1)), True) for part, apart in parts]
    names = [name for name, _ in parts]
    return graph("Concat", *names, axis=axis) if len(names) > 1 else names[0]


def picked(graph: Any, rows: str, columns: Sequence[int], axis: int) -> str:
    """Adds these columns of the rows, side by side."""
    return graph("Gather", rows, graph.whole(*columns), axis=axis)


def _cast(graph: Any, values: str, dtype: Any) -> str:
    return graph("Cast", values, to=int(graph.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))))


def _numbers(graph: Any, layer: Columns, x: str, tensors: dict[str, str], members: int) -> str:
    """What the encoding makes of the numbers: for each of its outputs all columns, side by side."""
    encoding = layer.numbers
    if encoding is None:
        return x
    if not encoding.map_outputs:
        # terms that a column has not are left out of the table: a flat list of a term's columns, term by term
        lines = encoding.lines(layer.number_order)                          # type: ignore[attr-defined]
        flat = [np.concatenate([line[term, :count] for term, count in enumerate(layer.term_columns)]) for line in lines]
        order = [layer.number_order[place] for count in layer.term_columns for place in range(count)]
        return _pieces(graph, picked(graph, x, order, 1 + members), flat)
    # Matrices of each column: (columns, rows, terms) times (columns, terms, outputs).
    x = graph("Unsqueeze", _swapped(graph, x, members, 2), graph.whole(2 + members))
    if encoding.basis == "piecewise":
        lines = encoding.lines(range(len(layer.number_columns)))            # type: ignore[attr-defined]
        x = _pieces(graph, x, [line.T[:, np.newaxis] for line in lines])
    elif encoding.basis in ("waves", "cosines"):
        x = _waves(graph, x, tensors, members, encoding.basis == "waves")
    last = 2 + members
    order = [*range(members), members + 2, members, members + 1]
    x = graph("MatMul", x, graph("Transpose", tensors["column_weights"], perm=order))
    x = graph("Add", x, _by_column(graph, tensors["column_biases"], members))
    if encoding.map_activation == "relu":
        x = graph("Relu", x)
    x = graph("Transpose", x, perm=[*range(members), members + 1, last, members])           # rows, outputs, columns
    return graph("Reshape", x, graph.whole(*[0] * (1 + members), encoding.map_outputs * len(layer.number_columns)))


def _pieces(graph: Any, x: str, lines: Sequence[np.ndarray]) -> str:
    """Adds the terms of a piecewise-linear encoding, of their slopes, offsets and limits."""
    operations = ("Mul", "slopes"), ("Add", "offsets"), ("Max", "lowest"), ("Min", "highest")
    for (operation, name), values in zip(operations, lines, strict=True):
        x = graph(operation, x, graph.constant(name, np.array(values, graph.dtype)))
    return x


def _waves(graph: Any, x: str, tensors: dict[str, str], members: int, with_sines: bool) -> str:
    """Adds cosines, and sines behind them, of numbers (columns, rows, 1)."""
    turns = graph("Mul", x, _by_column(graph, tensors["frequencies"], members))
    angles = graph("Mul", graph("Sub", turns, graph("Round", turns)), 2 * math.pi)
    if "phases" in tensors:
        angles = graph("Add", angles, _by_column(graph, tensors["phases"], members))
    waves = graph("Cos", angles)
    return graph("Concat", waves, graph("Sin", angles), axis=2 + members) if with_sines else waves


def _by_column(graph: Any, tensor: str, members: int) -> str:
    """A tensor (terms, columns) as (columns, 1, terms)."""
    return graph("Unsqueeze", _swapped(graph, tensor, members, 2), graph.whole(1 + members))


def _swapped(graph: Any, name: str, members: int, axes: int) -> str:
    """The axes behind that of members the other way round."""
    return graph("Transpose", name, perm=[*range(members), *reversed(range(members, members + axes))])


def _embeddings(graph: Any, layer: Columns, rows: str, table: str, members: int) -> str:
    """Adds the rows of the table that codes have, side by side, and zeros for codes that their column has not."""
    codes = picked(graph, rows, [column for column, _ in layer.embedded], 1 + members)
    if members:
        codes = graph("Squeeze", codes, graph.whole(0))
    counts = graph.constant("counts", np.array([levels for _, levels in layer.embedded], graph.dtype))
    known = graph("And", graph("Not", graph("Less", codes, 0.0)), graph("Less", codes, counts))
    places = graph("Add", _cast(graph, graph("Where", known, codes, 0.0), np.int64), graph.whole(*layer.first_rows))
    found = graph("Where", graph("Unsqueeze", known, graph.whole(2)), graph("Gather", table, places, axis=members), 0.0)
    return graph("Reshape", found, graph.whole(*[0] * (1 + members), len(layer.embedded) * layer.embedding_size))
