"""Tables in memory as columns: data frames of pandas, Polars and pyarrow, and arrays."""
from __future__ import annotations

import sys
from collections.abc import Callable, Iterable

import numpy as np

from fastsgd.tables import arrow_columns
from fastsgd.tables.columns import written
from fastsgd.tables.delimited import Unreadable
from fastsgd.tables.object_rows import column_of
from fastsgd.tables.read import Table
from fastsgd.tables.wording import some


def is_frame(X) -> bool:
    """Whether X has named columns: a data frame of pandas or Polars, or a table of pyarrow."""
    return (hasattr(X, "columns") and hasattr(X, "dtypes")) or (hasattr(X, "column_names") and hasattr(X, "schema"))


def frame_names(X) -> list:
    """Of the columns of a data frame, as they are."""
    return list(X.column_names if hasattr(X, "column_names") else X.columns)


def refuse_lazy(X, name: str) -> None:
    """ValueError where X is a query whose rows are not there yet."""
    if type(X).__name__ == "LazyFrame":
        raise ValueError(f"{name} is a LazyFrame; give {name}.collect()")


def table_of(X, drop: Iterable[str] = ()) -> Table:
    """The columns of a data frame, or of an array (rows, columns), which are called x0, x1, ...

    An array of the table holds numbers (NaN where one is missing), datetime64[us], or objects that are strings,
    booleans or None, as those of :func:`fastsgd.tables.read.read_table` do. Times of a zone are those of its clocks,
    durations and times of day are seconds. ``table.categories`` names the columns that the frame itself has as
    categories.

    Raises ValueError for a column whose values cannot be used, all of them in one message, and for names that come
    twice.
    """
    drop = set(drop)
    if not is_frame(X):
        return _of_array(np.asarray(X), drop)
    if "pandas" in sys.modules and isinstance(X, sys.modules["pandas"].DataFrame):
        return _of_columns(frame_names(X), lambda i: _of_pandas(X.iloc[:, i]), drop)
    if hasattr(X, "to_arrow"):
        return _of_columns(frame_names(X), lambda i: _of_arrow(_to_arrow(X, i)), drop)
    return _of_columns(frame_names(X), lambda i: _of_arrow(X.column(i)), drop)


def _of_columns(names: list, read: Callable[[int], tuple[np.ndarray, bool]], drop: set[str]) -> Table:
    if len({str(name) for name in names}) < len(names):
        twice = next(name for name in names if [str(other) for other in names].count(str(name)) > 1)
        raise ValueError(f"X has two columns of the name {str(twice)!r:.80}")
    table, refused, categories = Table(), [], set()
    for i, name in enumerate(map(str, names)):
        if name in drop:
            continue
        try:
            table[name], category = read(i)
        except Unreadable as error:
            refused.append(f"{name!r:.80} holds {error}")
            continue
        if category:
            categories.add(name)
    if refused:
        raise ValueError(f"X cannot be used: column {some(refused)}; turn what it holds into numbers or strings, or "
                         "leave it out")
    table.categories = frozenset(categories)
    return table


def _of_pandas(series) -> tuple[np.ndarray, bool]:
    pd = sys.modules["pandas"]
    dtype = series.dtype
    if isinstance(dtype, np.dtype):
        if dtype.kind in "biuf":
            return series.to_numpy(), False
        if dtype.kind == "M":
            return series.to_numpy().astype("datetime64[us]"), False
        if dtype.kind == "m":
            return series.dt.total_seconds().to_numpy(), False
        if dtype.kind != "O":
            raise Unreadable(f"values of the type {dtype}")
        return _of_objects(series.tolist()), False
    if isinstance(dtype, pd.CategoricalDtype):
        levels = series.cat.categories
        if levels.dtype.kind in "biuf" and series.cat.ordered:
            return series.to_numpy(dtype=float, na_value=np.nan), False
        return as_text(series.astype(object).tolist()), True
    if isinstance(dtype, pd.DatetimeTZDtype):
        return series.dt.tz_localize(None).to_numpy().astype("datetime64[us]"), False
    if isinstance(dtype, pd.ArrowDtype):
        import pyarrow as pa
        return _of_arrow(pa.chunked_array([pa.array(series.array)]))
    if isinstance(dtype, pd.PeriodDtype):
        return series.dt.to_timestamp().to_numpy().astype("datetime64[us]"), False
    if isinstance(dtype, pd.SparseDtype):
        return _of_pandas(series.sparse.to_dense())
    if pd.api.types.is_bool_dtype(dtype):
        return _of_objects(series.tolist()), False
    if pd.api.types.is_numeric_dtype(dtype):
        whole = dtype.kind in "iu" and not series.isna().any()
        return series.to_numpy(dtype=np.int64 if dtype.kind == "i" else np.uint64) if whole else series.to_numpy(
            dtype=float, na_value=np.nan), False
    if pd.api.types.is_string_dtype(dtype):
        return np.array([value if isinstance(value, str) else None for value in series.tolist()], dtype=object), False
    return as_text(series.astype(object).tolist()), False                       # of intervals


def _to_arrow(X, i: int):
    """A column of a frame of Polars, some of whose types Arrow has not."""
    import pyarrow as pa
    try:
        return X[:, [i]].to_arrow().column(0)
    except pa.ArrowException:
        raise Unreadable(f"values of the type {X.dtypes[i]!s:.60}") from None


def _of_arrow(column) -> tuple[np.ndarray, bool]:
    import pyarrow as pa
    if not arrow_columns.is_usable(column.type):
        raise Unreadable(f"values of the type {column.type!s:.60}")
    category = pa.types.is_dictionary(column.type)
    values = arrow_columns.values(column)
    return (as_text(values.tolist()) if category else values), category


def _of_objects(values: list) -> np.ndarray:
    try:
        return column_of("", values)
    except Unreadable as error:
        raise Unreadable(str(error).partition(" holds ")[2]) from None


def as_text(values: list) -> np.ndarray:
    """Levels as strings, None where there is none; whole numbers as they are written without a point."""
    return np.array([None if value is None or value != value else written(value) for value in values], dtype=object)


def _of_array(X: np.ndarray, drop: set[str]) -> Table:
    if X.ndim != 2:
        raise ValueError(f"X must be a data frame, or an array (rows, columns), got an array of shape {X.shape}")
    names = [f"x{i}" for i in range(X.shape[1])]
    if X.dtype.kind in "biuf":
        return _of_columns(names, lambda i: (X[:, i], False), drop)
    if X.dtype.kind == "c":
        raise ValueError("Complex data not supported: X must hold real numbers")
    if X.dtype.kind == "M":
        return _of_columns(names, lambda i: (X[:, i].astype("datetime64[us]"), False), drop)
    if X.dtype.kind not in "OUST":
        raise ValueError(f"X must hold numbers, strings or dates, got an array of {X.dtype}")
    return _of_columns(names, lambda i: (_of_objects(X[:, i].tolist()), False), drop)
