"""Columns of Parquet and Arrow files as arrays, by their types; what is neither number, date nor string is refused."""
from __future__ import annotations

import numpy as np

SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}


def is_number(kind) -> bool:
    """Whether a column of an Arrow type holds numbers, decimals and booleans too."""
    import pyarrow as pa
    types = pa.types
    return (types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind) or types.is_decimal(kind))


def is_usable(kind) -> bool:
    """Whether :func:`values` makes something of an Arrow type."""
    import pyarrow as pa
    types = pa.types
    if types.is_dictionary(kind):
        return is_usable(kind.value_type)
    return (is_number(kind) or is_text(kind) or types.is_date(kind) or types.is_timestamp(kind) or types.is_time(kind)
            or types.is_duration(kind) or types.is_null(kind))


def is_text(kind) -> bool:
    """Whether a column of an Arrow type holds strings."""
    import pyarrow as pa
    return (pa.types.is_string(kind) or pa.types.is_large_string(kind)
            or (hasattr(pa.types, "is_string_view") and pa.types.is_string_view(kind)))


def numbers(column) -> np.ndarray:
    """Of a column of numbers: as they are, decimals as float64, and with gaps float64 with NaN."""
    import pyarrow as pa
    if pa.types.is_decimal(column.type) or column.null_count:
        column = column.cast(pa.float64(), safe=False)
    return column.to_numpy(zero_copy_only=False) if isinstance(column, pa.Array) else column.to_numpy()


def values(column) -> np.ndarray:
    """Of a usable column: numbers, datetime64[us], or objects that are strings, booleans or None. Times are seconds."""
    import pyarrow as pa
    types = pa.types
    if types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    kind = column.type
    if types.is_null(kind):
        return np.full(len(column), np.nan)
    if types.is_boolean(kind) and column.null_count:
        return np.array(column.to_pylist(), dtype=object)
    if is_number(kind):
        return numbers(column)
    if is_text(kind):
        return np.array(column.to_pylist(), dtype=object)
    if types.is_date(kind) or types.is_timestamp(kind):
        if types.is_timestamp(kind) and kind.tz is not None:
            column = _what_clocks_show(column)
        return column.cast(pa.timestamp("us"), safe=False).to_numpy().astype("datetime64[us]")
    column = column.cast(pa.int32() if types.is_time32(kind) else pa.int64())
    return numbers(column).astype(float) * SECONDS[kind.unit]


def _what_clocks_show(column):
    """Timestamps of a time zone without it. On Windows pyarrow has no database of time zones, but pandas has one."""
    import pyarrow as pa
    import pyarrow.compute as pc
    try:
        return pc.local_timestamp(column)
    except pa.ArrowInvalid:
        return pa.array(column.cast(pa.timestamp("us", column.type.tz), safe=False).to_pandas().dt.tz_localize(None))
