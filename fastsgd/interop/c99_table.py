"""A table's own values in C: a struct with a member for each column, and a function that predicts from one."""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastsgd.interop import c99_templates as templates
from fastsgd.interop.c99_text import checked, literal, members
from fastsgd.tables.columns import Category, Date, Number, Text
from fastsgd.tables.encoding import Encoding

LISTED = 20                         # levels that a comment has at most
WHOLE = 2**63                       # whole numbers below are long long
PARTS = ("days", "year", "month", "day", "weekday", "hour")     # in the order of templates.PARTS


def table_of(encoding: Encoding, limits: tuple[float, float] | None, fields: dict,
             largest_stack: int) -> tuple[str, str]:
    """What the header and the source say of a table's columns and rows; a quantity stays within the limits, if any.

    ValueError names a column that cannot be written.
    """
    name, NAME, real = (fields[key] for key in ("name", "NAME", "real"))
    columns: tuple[Any, ...] = encoding.columns
    for column in columns:
        if isinstance(column, Text):
            raise ValueError(f"column {column.name!r:.60} is text whose words are hashed, which is not written in C; "
                             "columns=False (--encoded of fastsgd export) writes the network alone")
    own = members(column.name for column in columns)
    spelled = {i: column.spellings for i, column in enumerate(columns)
               if isinstance(column, Category) and column.spellings}
    wide = encoding.width * np.dtype(real if real == "double" else "float32").itemsize > largest_stack
    scratch = encoding.width * wide + int(fields["scratch_length"])
    parameter = f", {real} scratch[{NAME}_ROW_SCRATCH]" if scratch else ""
    memory = "numbers of memory, one array for each thread"
    row = f"const {name}_row *row"
    starts = [own.start for own in encoding.slices]
    classes = bool(encoding.classes)
    units = [f"    out[{k}] = a[{k}];" for k in range(int(fields["outputs"]))] if encoding.own_units else [
        f"    out[{k}] = a[{k}] * {scale!r} + {_signed(offset)};"
        for k, (scale, offset) in enumerate(zip(encoding.target_scale(), encoding.target_offset(), strict=True))]
    if encoding.mean_and_quantiles:
        units.append(templates.IN_ORDER.format(**fields))
    if limits is not None:
        units.append(templates.WITHIN.format(**fields, low=repr(limits[0]), high=repr(limits[1])))
    rest = f"scratch + {encoding.width}" if wide else "scratch"
    fields = {
        **fields, "columns": len(columns), "targets": ", ".join(map(literal, encoding.target_names)),
        "members": "\n".join(map(_member, columns, own)),
        "row_scratch": f"#define {NAME}_ROW_SCRATCH {scratch}      /* {memory} */\n" if scratch else "",
        "row_signature": f"int {name}_classify_row({row}, {real} out[{NAME}_CLASSES]{parameter})" if classes else
                         f"int {name}_predict_row({row}, double out[{NAME}_OUTPUTS]{parameter})",
        "says": (templates.SAYS_CLASS if classes else templates.SAYS_QUANTITIES).format(**fields),
        "names": _listed(literal(column.name) for column in columns),
        "pointers": _listed(f"{name}_levels_{i}" if isinstance(column, Category) else "0"
                            for i, column in enumerate(columns)),
        "means": _listed(f"{column.offset + column.mean!r}" if isinstance(column, Number) else "0"
                         for column in columns),
        "scales": _listed(f"{column.scale!r}" if isinstance(column, Number) else "1" for column in columns),
        "MAX": "FLT_MAX" if real == "float" else "DBL_MAX",
        "encoded": "\n".join(line for i, (column, member, at) in enumerate(zip(columns, own, starts, strict=True))
                             for line in _encoded(name, column, f"row->{member}", i, at, _spellings_of(
                                 name, spelled, i))),
        "spelled": f"const {name}_spelling *spellings, " if spelled else "",
        "as_spelled": templates.AS_SPELLED if spelled else "",
        "x": f"{real} *x = scratch;" if wide else f"{real} x[{NAME}_INPUTS];",
        "code": ", code" * any(isinstance(column, Category) and not column.coded for column in columns),
        "parts": "\n    double parts[6] = {0};" * any(isinstance(column, Date) for column in columns),
        "argument": f", {rest}" if fields["scratch_length"] else "", "units": "\n".join(units),
    }
    sources = [templates.LEVELS.format(**fields, i=i, levels=_listed((*_levels(column), "0")))
               for i, column in enumerate(columns) if isinstance(column, Category)]
    sources += [templates.SPELLING.format(**fields)] * bool(spelled)
    sources += [templates.SPELLINGS.format(**fields, i=i, spellings=_listed(
        (*(f"{{{literal(text)}, {code}}}" for text, code in spellings.items()), "{0, 0}")))
                for i, spellings in spelled.items()]
    sources.append(templates.COLUMNS.format(**fields))
    for template, needed in (
            (templates.LESS, any(isinstance(column, Number) and _whole(column.offset) for column in columns)),
            (templates.NUMBER, any(not isinstance(column, Category) for column in columns)),
            (templates.LEVEL, any(isinstance(column, Category) for column in columns)),
            (templates.PARTS, any(isinstance(column, Date) for column in columns))):
        if needed:
            sources.append(template.format(**fields))
    sources.append(templates.ENCODE.format(**fields))
    sources.append((templates.CLASSIFY_ROW if classes else templates.PREDICT_ROW).format(**fields))
    return templates.TABLE.format(**fields), "\n".join(sources)


# ---- its parts ----

def _member(column: Number | Date | Category, member: str) -> str:
    """A member of the struct, after a comment that says what it is."""
    name, missing = literal(column.name), ""
    if isinstance(column, Number):
        kind = "unsigned long long " if _whole(column.offset) and column.offset >= WHOLE else (
            "long long " if _whole(column.offset) else "double ")
        written = f", without its {literal(column.spelling.unit)}" if column.spelling and column.spelling.unit else ""
        if column.fill is not None and kind == "double ":
            missing = ", NAN where it is missing"
        says = f"a number{written}, mean {column.offset + column.mean:.6g}, scale {column.scale:.6g}{missing}"
    elif isinstance(column, Date):
        kind = "long long "
        missing = ", LLONG_MIN where it is missing" if column.fill is not None else ""
        says = f"a time in microseconds since 1970-01-01 00:00{missing}"
    else:
        kind, levels = "const char *", _levels(column)
        more = f" and {len(levels) - LISTED} more" if len(levels) > LISTED else ""
        other = "; others count alike" * column.other
        other += f"; also {literal(next(iter(column.spellings)))} and the like" if column.spellings else ""
        missing = "; NULL where it is missing" * (None in column.levels)
        says = f"a text in UTF-8: {', '.join(levels[:LISTED])}{more}{other}{missing}"
    return f"    /* {name}: {says} */\n    {kind}{member};"


def _levels(column: Category) -> list[str]:
    """As C strings; a missing value's place is the last one."""
    if None in column.levels[:-1]:
        raise ValueError(f"column {column.name!r} has a level for missing values that is not the last")
    return [checked(str(level), f"a level of column {column.name!r:.60}")
            for level in column.levels if level is not None]


def _spellings_of(name: str, spelled: dict, i: int) -> str:
    """The argument of a column's other spellings, where any column has such."""
    return (f"{name}_spellings_{i}, " if i in spelled else "0, ") if spelled else ""


def _encoded(name: str, column: Number | Date | Category, value: str, i: int, at: int, spellings: str) -> list[str]:
    """The lines that make a member of the row to the network's inputs from ``at`` on."""
    if isinstance(column, Category):
        count = len(_levels(column))
        found = f"{name}_level({value}, {name}_levels_{i}, {spellings}{len(column.levels) if column.other else -1}, " \
                f"{count if None in column.levels else -1})"
        if column.coded:
            return [f"    x[{at}] = {found};"]
        return [f"    code = {found};", "    if (code >= 0)", f"        x[{at} + code] = 1;"]
    if isinstance(column, Date):
        first = f"    fine &= {name}_parts({value}, {_time(column.first)}, " \
                f"{0 if column.fill is None else _time(column.fill)}, {int(column.fill is not None)}, parts);"
        lines = [first, *(_number(name, part, f"parts[{PARTS.index(part.name)}]", at + k)
                          for k, part in enumerate(column.parts))]
        return lines + [f"    x[{at + len(column.parts)}] = {value} == LLONG_MIN;"] * column.gaps
    number = f"{name}_less({value}, {_whole_literal(column.offset)})" if _whole(column.offset) else value
    return [_number(name, column, number, at)] + [f"    x[{at + 1}] = !isfinite((double){value});"] * column.gaps


def _number(name: str, number: Number, value: str, at: int) -> str:
    offset = 0.0 if _whole(number.offset) else float(number.offset)
    shifted = value if not offset else f"{value} - {_signed(offset)}"
    fill = "NAN" if number.fill is None else repr(number.fill)
    return f"    fine &= {name}_number({shifted}, {number.mean!r}, {number.scale!r}, {fill}, x + {at});"


def _whole(offset: int | float) -> bool:
    """Whether an offset is subtracted from whole numbers, which a double may not hold."""
    return isinstance(offset, int) and offset != 0


def _whole_literal(value: int | float) -> str:
    if not -WHOLE < value < 2 * WHOLE:
        raise ValueError(f"{value} is beyond the whole numbers of C")
    return f"{value}ull" if value >= WHOLE else f"{value}ll"


def _time(microseconds: int) -> str:
    return f"{microseconds}ll"


def _signed(value: float) -> str:
    return repr(value) if math.copysign(1, value) > 0 else f"({value!r})"


def _listed(items) -> str:
    return ",\n".join(f"    {item}" for item in items)
