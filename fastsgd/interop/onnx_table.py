"""A table's own columns as inputs of an ONNX graph, and predictions in the table's own terms as its outputs."""
from __future__ import annotations

import numpy as np

from fastsgd.interop.onnx_graph import Graph, in_order
from fastsgd.tables.columns import Category, Date, Number, Text
from fastsgd.tables.encoding import Encoding

DOUBLE, INT64 = 11, 7                   # of onnx.TensorProto.DataType
MISSING_TIME = -2**63                   # NumPy's NaT
A_DAY, AN_HOUR = 86_400_000_000, 3_600_000_000                  # microseconds
AN_ERA, SINCE_ERA = 146_097, 719_468    # days of 400 years, and from 0000-03-01 to 1970-01-01

ALONE = "columns=False (--encoded of fastsgd export) writes the network alone"


def encoded(graph: Graph, encoding: Encoding) -> str:
    """Adds an input (rows, 1) for each column and what makes of them the rows that the network takes.

    ValueError names a column that cannot be an input.
    """
    names = [column.name for column in encoding.columns]
    for name in names:
        if not name or names.count(name) > 1:
            raise ValueError(f"ONNX needs a name of its own for each column, got {name!r:.60}; {ALONE}")
    graph.taken.update(names)
    parts = []
    for column in encoding.columns:
        if isinstance(column, Number):
            parts += _number(graph, column, _number_input(graph, column))
        elif isinstance(column, Date):
            parts += _date(graph, column)
        elif isinstance(column, Text):
            raise ValueError(f"ONNX has no operator that hashes the words of column {column.name!r:.60}; {ALONE}")
        else:
            parts.append(_category(graph, column))
    return graph("Concat", *parts, axis=1) if len(parts) > 1 else parts[0]


def in_own_units(graph: Graph, encoding: Encoding, limits: tuple[float, float] | None, outputs: str) -> str:
    """Quantities as the table has them, in double: quantiles behind a mean in order, all within the limits."""
    found = graph("Cast", outputs, to=DOUBLE)
    if not encoding.own_units:
        found = graph("Mul", found, graph.constant("target_scale", np.array(encoding.target_scale())))
        found = graph("Add", found, graph.constant("target_offset", np.array(encoding.target_offset())))
    if encoding.mean_and_quantiles:
        mean = graph("Gather", found, graph.whole(0), axis=1)
        quantiles = graph("Gather", found, graph.whole(*range(1, encoding.outputs)), axis=1)
        found = graph("Concat", mean, in_order(graph, quantiles, encoding.outputs - 1, descending=False), axis=1)
    if limits is not None:
        found = graph("Min", graph("Max", found, _double(graph, limits[0])), _double(graph, limits[1]))
    return found


# ---- its columns ----

def _number_input(graph: Graph, column: Number) -> str:
    """The numbers of a column less their offset, in double."""
    if not (isinstance(column.offset, int) and column.offset):
        x = graph.declare(graph.inputs, column.name, np.float64, 1)
        return graph("Sub", x, _double(graph, column.offset)) if column.offset else x
    if abs(column.offset) >= 2**63:
        raise ValueError(f"column {column.name!r:.60} holds whole numbers beyond the int64 of ONNX; {ALONE}")
    x = graph.declare(graph.inputs, column.name, np.int64, 1)
    return graph("Cast", graph("Sub", x, _whole(graph, column.offset)), to=DOUBLE)


def _number(graph: Graph, column: Number, x: str) -> list[str]:
    """Standardised; with the input that says where it is missing, if there is one."""
    there = graph("Equal", graph("Sub", x, x), _double(graph, 0.0))             # neither NaN nor infinite
    if column.fill is not None:
        x = graph("Where", there, x, _double(graph, column.fill))
    z = graph("Div", graph("Sub", x, _double(graph, column.mean)), _double(graph, column.scale))
    return [_cast(graph, z)] + [_cast(graph, graph("Not", there))] * column.gaps


def _category(graph: Graph, column: Category) -> str:
    """The place of each text among the levels; compared with all places where the column is one-hot."""
    places = {"": -1}                       # where a text is missing, and no level of its own
    places |= column.spellings
    places |= {"" if level is None else str(level): i for i, level in enumerate(column.levels)}
    x = graph.declare(graph.inputs, column.name, object, 1)
    code = graph("LabelEncoder", x, domain="ai.onnx.ml", keys_strings=list(places), values_int64s=list(places.values()),
                 default_int64=len(column.levels) if column.other else -1)
    if column.coded:
        return _cast(graph, code)
    levels = graph.constant(f"places.{column.width}", np.arange(column.width)[np.newaxis])
    return _cast(graph, graph("Equal", code, levels))


def _date(graph: Graph, column: Date) -> list[str]:
    """The parts of times in microseconds since 1970, as the Gregorian calendar has them."""
    def whole(operation: str, x: str, by: int) -> str:
        return graph(operation, x, _whole(graph, by))

    def floor(x: str, by: int) -> tuple[str, str]:
        rest = whole("Mod", x, by)                                              # not negative, as by is not
        return whole("Div", graph("Sub", x, rest), by), rest

    given = graph.declare(graph.inputs, column.name, np.int64, 1)
    missing = whole("Equal", given, MISSING_TIME)
    time = given
    if column.fill is not None:
        time = graph("Where", missing, _whole(graph, column.fill), given)
    day, rest = floor(time, A_DAY)
    # Years that begin in March, in eras of 400: a leap day is the last day of a year, and of an era.
    era, of_era = floor(whole("Add", day, SINCE_ERA), AN_ERA)
    leap = graph("Sub", graph("Add", graph("Sub", of_era, whole("Div", of_era, 1460)), whole("Div", of_era, 36_524)),
                 whole("Div", of_era, 146_096))
    year = whole("Div", leap, 365)
    before = graph("Sub", graph("Add", whole("Mul", year, 365), whole("Div", year, 4)), whole("Div", year, 100))
    of_year = graph("Sub", of_era, before)
    month = whole("Div", whole("Add", whole("Mul", of_year, 5), 2), 153)
    in_march = whole("Div", whole("Add", whole("Mul", month, 153), 2), 5)
    late = whole("Greater", month, 9)                                           # January and February
    found = {
        "days": graph("Div", graph("Cast", whole("Sub", time, column.first), to=DOUBLE), _double(graph, 86_400e6)),
        "year": graph("Add", graph("Add", whole("Mul", era, 400), year), graph("Cast", late, to=INT64)),
        "month": graph("Where", late, whole("Sub", month, 9), whole("Add", month, 3)),
        "day": whole("Add", graph("Sub", of_year, in_march), 1),
        "weekday": whole("Mod", whole("Add", day, 3), 7),
        "hour": whole("Div", rest, AN_HOUR),
    }
    made = []
    for part in column.parts:
        x = found[part.name] if part.name == "days" else graph("Cast", found[part.name], to=DOUBLE)
        x = graph("Sub", x, _double(graph, part.offset)) if part.offset else x
        made += _number(graph, part, x)
    return made + [_cast(graph, missing)] * column.gaps


def _cast(graph: Graph, x: str) -> str:
    return graph("Cast", x, to=graph.helper.np_dtype_to_tensor_dtype(graph.dtype))


def _double(graph: Graph, value: float) -> str:
    return graph.constant(f"double {float(value)!r}", np.array(float(value)))


def _whole(graph: Graph, value: int) -> str:
    return graph.constant(f"whole {value}", np.array(value, np.int64))
