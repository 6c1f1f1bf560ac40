"""Where rows lie: dask.array, dask.dataframe, Parquet files, or delayed objects and futures, cut into chunks."""
from __future__ import annotations

import glob
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastsgd.cached import cached_property
from fastsgd.distributed.extra import require_dask

SHARED = 1.5                             # tasks that chunks may need one by one, for each that all need together


@dataclass(frozen=True)
class Layout:
    """How a chunk's objects become X, y and weights.

    Attributes
    ----------
    columns : tuple of str
        Those of X, where it is a data frame; else none.
    target : tuple of str
        Columns of that data frame that are y, where y does not come by itself.
    weight : str or None
        The column of sample weights, likewise.
    one : bool
        Whether a chunk is one object, (X, y) or (X, y, weight) or a frame, not one each.
    """

    columns: tuple[str, ...] = ()
    target: tuple[str, ...] = ()
    weight: str | None = None
    one: bool = False

    def split(self, given: Sequence[Any]) -> tuple[Any, Any, Any]:
        """X, y and weights, None where there are none; TypeError or ValueError says what a chunk lacks."""
        if self.target:
            frame = _as_frame(given[0])
            X = _columns_of(frame, self.columns)
            y = _columns_of(frame, self.target)
            return X, y[:, 0] if len(self.target) == 1 else y, self._weight_of(frame)
        if self.one:
            if not isinstance(given[0], tuple | list) or len(given[0]) not in (2, 3):
                raise TypeError(f"it must be a pair (X, y) or three (X, y, sample_weight), got {_shown(given[0])}")
            given = given[0]
        X, y, *weight = given
        if hasattr(X, "columns"):
            X = _columns_of(X, self.columns or tuple(X.columns))
        return X, _plain(y, "y"), _plain(weight[0], "sample_weight") if weight else None

    def _weight_of(self, frame) -> np.ndarray | None:
        return None if self.weight is None else _columns_of(frame, (self.weight,))[:, 0]


@dataclass(frozen=True)
class Sources:
    """All chunks of a collection: of each its delayed objects or futures, and what makes X, y and weights of them."""

    chunks: tuple[tuple[Any, ...], ...]
    split: Callable[[Sequence[Any]], tuple[Any, Any, Any]]
    columns: tuple[str, ...] = ()        # of X, where it is a data frame
    known_bytes: int | None = None       # of all of them in memory, where it is known

    def __len__(self) -> int:
        return len(self.chunks)

    @cached_property
    def separable(self) -> bool:
        """Whether each chunk can be read by itself: no rows are in the memory of the cluster already, and chunks share
        no work, as those of a shuffle do.
        """
        if any(is_future(part) for chunk in self.chunks for part in chunk):
            return False
        if any(is_future(value) for graph in self._graphs for value in graph.values()):
            return False
        return sum(map(len, self._graphs)) <= SHARED * len(set().union(*self._graphs))

    def graph(self, number: int) -> tuple[dict, tuple]:
        """What reads a chunk: a graph of Dask's, and the keys of its objects."""
        return self._graphs[number], tuple(part.key for part in self.chunks[number])

    @cached_property
    def _graphs(self) -> list[dict]:
        """What reads each chunk, without what others need."""
        return [_graph_of(chunk) for chunk in self.chunks]


def _graph_of(parts: Sequence[Any]) -> dict:
    graph: dict = {}
    for part in parts:
        whole = part.__dask_graph__()
        graph.update(whole.cull({part.key}) if hasattr(whole, "cull") else whole)
    return graph


def sources_of(data, target=None, weight=None, name: str = "data") -> Sources:
    """The chunks of what the argument ``name`` was given as; TypeError or ValueError says what cannot be used."""
    require_dask()
    if isinstance(data, str | os.PathLike) or (isinstance(data, list | tuple) and data and all(
            isinstance(part, str | os.PathLike) for part in data)):
        data = read_parquet(data)
    if is_frame(data):
        return _of_frame(data, target, weight, name)
    if target is not None or weight is not None:
        raise TypeError(f"target and weight are names of columns of a dask.dataframe or of Parquet files; {name} is "
                        f"{_shown(data)}")
    if isinstance(data, tuple) and len(data) in (2, 3) and all(is_array(part) or is_frame(part) for part in data):
        return _of_collections(data, name)
    if isinstance(data, list | tuple) and data and all(is_delayed(part) or is_future(part) for part in data):
        return Sources(tuple((part,) for part in data), Layout(one=True).split)
    raise TypeError(f"{name} must be a pair (X, y) or three (X, y, sample_weight) of dask arrays or data frames, a "
                    "dask.dataframe or paths of Parquet files with target=, or a list of delayed objects or futures of "
                    f"(X, y); got {_shown(data)}")


def is_collection(data: Any) -> bool:
    """Whether rows lie on a cluster or in files: a collection of Dask, delayed objects, futures or paths."""
    if isinstance(data, tuple | list):
        return any(map(is_collection, data))
    return isinstance(data, str | os.PathLike) or any(
        kind(data) for kind in (is_array, is_frame, is_delayed, is_future))


def read_parquet(paths: Any) -> Any:
    """A dask.dataframe of Parquet files; OSError or ValueError names them where that cannot be."""
    try:
        import dask.dataframe as dd
    except ImportError as error:
        raise ImportError(f'Parquet files are read by dask.dataframe: pip install "fastsgd[dask]" ({error})') from None
    given = [os.fspath(path) for path in ([paths] if isinstance(paths, str | os.PathLike) else paths)]
    found = [path for pattern in given for path in (
        sorted(glob.glob(pattern)) if glob.has_magic(pattern) and "://" not in pattern else [pattern])]
    paths = given[0] if len(given) == 1 else given
    if not found:
        raise FileNotFoundError(f"there are no Parquet files {paths}")
    try:
        frame = dd.read_parquet(found[0] if len(found) == 1 else found)
        if len(frame.columns):
            return frame
    except FileNotFoundError:
        pass
    except Exception as error:                           # of pyarrow, fsspec and Dask, of many kinds
        if isinstance(error, PermissionError):
            raise PermissionError(f"{paths} may not be read") from None
        raise ValueError(f"{paths} cannot be read: it is damaged, not Parquet, or its files differ in their columns"
                         ) from None
    raise FileNotFoundError(f"there are no Parquet files {paths}")


def _of_collections(parts: tuple, name: str) -> Sources:
    X, *others = parts
    names = ["X", "y", "sample_weight"]
    if is_array(X):
        if X.ndim != 2:
            raise ValueError(f"{name}: X must be 2-D (rows, columns), got shape {X.shape}")
        X = X.rechunk({1: -1}) if X.numblocks[1] > 1 else X
    sizes = _chunk_rows(X)
    delayed = [_delayed_chunks(X)]
    for part, what in zip(others, names[1:], strict=False):
        if is_array(part):
            if part.ndim > 1 and part.numblocks[1] > 1:
                part = part.rechunk({1: -1})
            own = _chunk_rows(part)
            if sizes is not None and own is not None and own != sizes:
                if sum(own) != sum(sizes):
                    raise ValueError(f"{name}: X has {sum(sizes):,} rows and {what} {sum(own):,}")
                part = part.rechunk({0: sizes})
        delayed.append(_delayed_chunks(part))
    counts = [len(chunks) for chunks in delayed]
    if len(set(counts)) > 1:
        given = ", ".join(f"{what} in {count}" for what, count in zip(names, counts, strict=False))
        raise ValueError(f"{name} has {given} chunks of unknown sizes, which do not belong together; give all the "
                         "same chunks (compute_chunk_sizes() makes sizes known, repartition() and rechunk() change "
                         "them)")
    if not counts[0]:
        raise ValueError(f"{name} has no chunks")
    columns = tuple(map(str, X.columns)) if is_frame(X) else ()
    known = int(sum(part.nbytes for part in (X, *others))) if sizes is not None and all(
        is_array(part) and not np.isnan(part.nbytes) for part in (X, *others)) else None
    return Sources(tuple(zip(*delayed, strict=True)), Layout(columns=columns).split, columns, known)


def _of_frame(frame, target, weight, name: str) -> Sources:
    known = list(map(str, frame.columns))
    targets = (target,) if isinstance(target, str) else tuple(target or ())
    if not targets:
        raise ValueError(f"target must name the column, or the columns, of {name} to predict; they are "
                         f"{', '.join(known)}")
    for column, what in [*((column, "target") for column in targets), *([(weight, "weight")] if weight else [])]:
        if column not in known:
            raise ValueError(f"{what}: {name} has no column {column!r}; its columns are {', '.join(known)}")
    columns = tuple(column for column in known if column not in (*targets, weight))
    if not columns:
        raise ValueError(f"{name} has no columns beside {', '.join(targets)}")
    for column in columns:
        dtype = frame.dtypes[column]
        if getattr(dtype, "kind", "O") not in "biuf":
            raise TypeError(f"{name}: column {column!r} holds {dtype}; X must hold numbers. Encode it first, or let "
                            "the command do it: fastsgd train FILES --target ... --workers ...")
    chunks = tuple((chunk,) for chunk in frame.to_delayed())
    return Sources(chunks, Layout(columns, targets, weight, one=True).split, columns)


def _chunk_rows(part) -> tuple[int, ...] | None:
    """Rows of each chunk, None where they are not known."""
    if not is_array(part) or any(np.isnan(size) for size in part.chunks[0]):
        return None
    return tuple(map(int, part.chunks[0]))


def _delayed_chunks(part) -> list:
    return list(np.ravel(part.to_delayed())) if is_array(part) else list(part.to_delayed())


# ---- a chunk's objects, on a worker ----

def _as_frame(given) -> Any:
    if not hasattr(given, "columns"):
        raise TypeError(f"it must be a data frame, got {_shown(given)}")
    return given


def _columns_of(frame, names: Sequence[str]) -> np.ndarray:
    """Columns of a data frame as an array, in this order."""
    known = {str(column): column for column in frame.columns}
    if missing := [name for name in names if name not in known]:
        raise ValueError(f"it has no column {missing[0]!r}; its columns are {', '.join(known)}")
    arrays = [_numbers_of(frame[known[name]], name) for name in names]
    return np.stack(arrays, axis=1) if arrays else np.empty((len(frame), 0))


def _numbers_of(column, name: str) -> np.ndarray:
    """A column of a data frame as numbers; missing ones are NaN."""
    dtype = column.dtype
    if getattr(dtype, "kind", "O") not in "biuf":
        raise TypeError(f"column {name!r} holds {dtype}, and must hold numbers")
    if isinstance(dtype, np.dtype):
        return column.to_numpy()
    gaps = column.isna().any()
    kind = getattr(dtype, "numpy_dtype", float)
    return column.to_numpy(dtype=float, na_value=np.nan) if gaps else column.to_numpy(dtype=kind)


def _plain(values, name: str) -> Any:
    """An array of what may be a frame or a series; labels of classes may be of any kind."""
    if hasattr(values, "columns"):
        return _columns_of(values, tuple(map(str, values.columns)))
    if not hasattr(values, "to_numpy"):
        return values
    numbers = getattr(values.dtype, "kind", "O") in "biuf"
    return _numbers_of(values, name) if numbers else values.to_numpy(dtype=object)


# ---- kinds ----

def is_array(value) -> bool:
    return type(value).__module__.startswith("dask.array") and hasattr(value, "chunks")


def is_frame(value) -> bool:
    return type(value).__module__.startswith(("dask.dataframe", "dask_expr")) and hasattr(value, "npartitions")


def is_delayed(value) -> bool:
    return type(value).__module__ == "dask.delayed"


def is_future(value) -> bool:
    return type(value).__module__.startswith("distributed") and hasattr(value, "status")


def _shown(value) -> str:
    kind = type(value).__name__
    if isinstance(value, tuple | list):
        return f"a {kind} of {len(value)}" + (f", the first {type(value[0]).__name__}" if value else "")
    return kind
