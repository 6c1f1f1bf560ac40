"""Sources of rows that come in batches, for ``fastsgd.train_stream``: Parquet and Arrow files.

Any iterable of batches ``(X, y)`` or ``(X, y, sample_weight)`` is a source too, and so is a function that returns one
for an epoch's number, from 1; :func:`arrow` makes such a function of Parquet or Arrow files.
"""
from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import numpy as np

from fastsgd.arguments import check_whole
from fastsgd.runs.stream_feed import Batch, Source
from fastsgd.tables.arrow_columns import is_number, numbers

__all__ = ["Arrow", "Batch", "Source", "arrow"]


class Arrow:
    """What :func:`arrow` returns: called with an epoch's number it gives its batches, of ``rows`` rows in all."""

    def __init__(self, dataset, target: str, columns: list[str], sample_weight: str | None, batch_rows: int,
                 seed: int | None):
        self._dataset, self._target, self.columns, self._weight = dataset, target, columns, sample_weight
        self._batch_rows, self._seed = batch_rows, seed
        self.rows = dataset.count_rows()

    def __call__(self, epoch: int) -> Iterator[Batch]:
        names = [*self.columns, self._target, *([self._weight] if self._weight else [])]
        pieces = list(self._dataset.get_fragments())
        pieces = [group for piece in pieces
                  for group in (piece.split_by_row_group() if hasattr(piece, "split_by_row_group") else [piece])]
        if self._seed is not None:
            pieces = [pieces[i] for i in np.random.default_rng([self._seed, epoch]).permutation(len(pieces))]
        for piece in pieces:
            for batch in piece.to_batches(columns=names, batch_size=self._batch_rows, batch_readahead=1,
                                          fragment_readahead=1, schema=self._dataset.schema):
                if not batch.num_rows:
                    continue
                arrays = [_numbers(batch.column(name), name) for name in names]
                X = np.stack(arrays[:len(self.columns)], axis=1)
                yield (X, *arrays[len(self.columns):])


def arrow(data, target: str, *, columns: Sequence[str] | None = None, sample_weight: str | None = None,
          batch_rows: int = 16_384, seed: int | None = 0) -> Arrow:
    """Parquet or Arrow files as a source for ``fastsgd.train_stream``, read a part at a time by pyarrow.

    Parameters
    ----------
    data : path, list of paths or pyarrow.dataset.Dataset
        A file, a folder of Parquet files, or a dataset.
    target : str
        The column to predict: class labels 0, 1, ... or numbers.
    columns : sequence of str, optional
        The network's inputs in order; all but the target and the weight by default, which must then be numbers.
    sample_weight : str, optional
        A column that says how much each row counts.
    batch_rows : int
        Read at once.
    seed : int or None
        Of the order of the row groups, another one in each epoch; None reads them as they lie.

    Raises
    ------
    ValueError
        That names a column that is missing, the columns that are not of numbers (``columns`` leaves them out; decimals
        and booleans are numbers), and one with missing values.

    Examples
    --------
    >>> import os, tempfile
    >>> import pandas, fastsgd
    >>> path = os.path.join(tempfile.mkdtemp(), "rows.parquet")
    >>> pandas.DataFrame({"a": [0.0, 1.0] * 50, "b": [1.0] * 100, "y": [0, 1] * 50}).to_parquet(path)
    >>> source = fastsgd.streams.arrow(path, "y")
    >>> source.columns, source.rows
    (['a', 'b'], 100)
    >>> net = fastsgd.Network([2, 2], seed=0)
    >>> fastsgd.train_stream(net, source, optimizer=fastsgd.SGD(1.0), batch_size=10, epochs=5, seed=0).metric[-1]
    1.0
    """
    try:
        from pyarrow import dataset as datasets
    except ImportError:
        raise ImportError('streams.arrow needs pyarrow: pip install "fastsgd[table]"') from None
    check_whole("batch_rows", batch_rows, least=1)
    if not isinstance(data, datasets.Dataset):
        paths = [os.fspath(path) for path in data] if isinstance(data, list | tuple) else os.fspath(data)
        first = paths if isinstance(paths, str) else paths[0]
        if not os.path.exists(first):
            raise FileNotFoundError(f"{first} does not exist")
        data = datasets.dataset(paths, format="ipc" if first.endswith((".arrow", ".feather")) else "parquet")
    types = dict(zip(data.schema.names, data.schema.types, strict=True))
    if columns is None:
        columns = [name for name in types if name not in (target, sample_weight)]
    used = [*columns, target, *([sample_weight] if sample_weight else [])]
    for name in used:
        if name not in types:
            raise ValueError(f"the data have no column {name!r}; they have {', '.join(map(repr, list(types)[:20]))}")
    if strange := [f"{name!r} holds {types[name]!s:.60}" for name in used if not is_number(types[name])]:
        raise ValueError(f"columns must hold numbers, but {', '.join(strange[:20])}; give columns= without them, or "
                         "turn them into numbers")
    return Arrow(data, target, list(columns), sample_weight, int(batch_rows), seed)


def _numbers(column, name: str) -> np.ndarray:
    if column.null_count:
        raise ValueError(f"column {name!r} has {column.null_count:,} missing value{'s' * (column.null_count > 1)}")
    return numbers(column)
