"""Tables out of files: CSV, Parquet and .npz."""
from __future__ import annotations

import csv
import errno
import math
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TextIO

import numpy as np

from fastsgd.datasets.idx import MOST_EXPANSION
from fastsgd.encoding import how_to_drop
from fastsgd.files import require_regular

MOST_COLUMNS = 100_000  # of an .npz file
LONGEST_HEADER = 16 * 2**20  # of a CSV file, in characters


def read_table(path, text: Iterable[str] = ()) -> dict[str, np.ndarray]:
    """The columns of a CSV, Parquet or .npz file, each a 1-D array, in the file's order.

    A CSV column is numbers where all its values are, unless it is named in ``text``; a string stays as it is written.
    In an .npz file, 1-D arrays are columns of their own name and a 2-D array ``X`` gives columns ``X0``, ``X1``, ...
    CSV and Parquet are read by pandas, an extra of fastsgd.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist")
    kind = path.suffix.lower()
    if kind not in (".npz", ".csv", ".parquet", ".pq"):
        raise ValueError(f"{path} must be a .csv, .parquet or .npz file, got {path.suffix or 'no suffix'!r}")
    require_regular(path)
    try:
        columns = _read_npz(path) if kind == ".npz" else _read_frame(path, text)
    except (MemoryError, ImportError):
        raise
    except Exception as error:       # of pandas, NumPy's parser, tokenize, zlib and zipfile: any of a dozen kinds
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):      # a damaged place to seek
            raise OSError(error.errno, f"cannot read: {error.strerror}", str(path)) from None
        raise ValueError(f"{path} cannot be read: {error!s:.300}") from None
    lengths = {name: len(column) for name, column in columns.items()}
    if not lengths or not min(lengths.values()):
        raise ValueError(f"{path} has no rows")
    if len(set(lengths.values())) > 1:
        raise ValueError(f"{path} has columns of different lengths: {lengths!s:.300}")
    return columns


def _read_frame(path: Path, text: Iterable[str]) -> dict[str, np.ndarray]:
    try:
        import pandas
    except ImportError:
        raise ImportError(f'reading {path} needs pandas: pip install "fastsgd[table]"') from None
    frame = _read_csv(path, text, pandas) if path.suffix.lower() == ".csv" else pandas.read_parquet(path)
    names = [str(name) for name in frame.columns]
    _refuse_repeated(names)
    return {name: _values(frame.iloc[:, i], name) for i, name in enumerate(names)}


def _read_csv(path: Path, text: Iterable[str], pandas):
    """A DataFrame.

    What a row holds beyond the header is refused: pandas would make row labels of its first values. So are names that
    come twice: it would make others of them, in a time that grows with the square of their number.
    """
    with open(path, newline="", encoding="utf-8-sig") as file:
        _refuse_repeated(filter(None, next((names for names in csv.reader(_beginning(file)) if names), [])))
    with warnings.catch_warnings():
        warnings.simplefilter("error", pandas.errors.ParserWarning)
        try:
            return pandas.read_csv(path, index_col=False, dtype=dict.fromkeys(text, str), low_memory=False)
        except pandas.errors.ParserWarning:
            raise ValueError("a row holds more values than the header has names") from None


def _beginning(file: TextIO) -> Iterator[str]:
    """Lines, as long as they may be of the header."""
    left = LONGEST_HEADER
    while line := file.readline(left + 1):
        left -= len(line)
        if left < 0:
            raise ValueError(f"its header is longer than the {LONGEST_HEADER:,} characters that are allowed")
        yield line


def _refuse_repeated(names: Iterable[str]) -> None:
    if repeated := sorted(name for name, count in Counter(names).items() if count > 1):
        raise ValueError(f"it has two columns of one name: {repeated!s:.300}")


def _values(series, name: str) -> np.ndarray:
    """A pandas column as numbers, or as objects that are strings or None."""
    if series.dtype.kind in "biuf" and not series.isna().any():
        return series.to_numpy(dtype=series.dtype.type if isinstance(series.dtype, np.dtype) else None)
    if series.dtype.kind in "biuf":
        return series.to_numpy(dtype=float, na_value=np.nan)
    if series.dtype.kind in "mM":
        raise ValueError(f"column {name!r} holds dates or times; turn it into numbers or drop it "
                         f"({how_to_drop(name)})")
    missing = series.isna().to_numpy()
    return np.array([None if gone else str(value) for value, gone in zip(series, missing, strict=True)], dtype=object)


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    columns: dict[str, np.ndarray] = {}
    with zipfile.ZipFile(path) as archive:
        claimed = sum(member.file_size for member in archive.infolist())
        if claimed > MOST_EXPANSION * path.stat().st_size:
            raise ValueError(f"its arrays claim {claimed:,} bytes, more than it can hold")
        for member in archive.infolist():
            name = member.filename.removesuffix(".npy")
            array = _read_npy(archive, member, name, MOST_COLUMNS - len(columns))
            if array.dtype.kind in "US":
                array = array.astype(str).astype(object)
            flat = array.reshape(len(array), -1) if array.ndim else array.reshape(1, 1)
            for i in range(flat.shape[1]):
                column = name if array.ndim == 1 else f"{name}{i}"
                if column in columns:
                    raise ValueError(f"two arrays give a column {column!r}")
                columns[column] = flat[:, i]
    return columns


def _read_npy(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str, most_columns: int) -> np.ndarray:
    """An array of an .npz file. Memory is taken for one that has the bytes it claims only."""
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read_header(file)
        if dtype.kind not in "biufUS" or not dtype.itemsize:
            raise ValueError(f"array {name!r:.80} holds {dtype!s:.80}, neither numbers nor strings")
        if math.prod(shape[1:]) > most_columns:
            raise ValueError(f"array {name!r:.80} has the shape {shape!s:.80}; {MOST_COLUMNS:,} columns are allowed in "
                             "all")
        length = math.prod(shape) * dtype.itemsize
        if length != member.file_size - file.tell():
            raise ValueError(f"array {name!r:.80} of the shape {shape!s:.80} and {dtype!s:.80} does not have the "
                             f"{length:,} bytes that it claims")
        file.seek(0)
        return np.lib.format.read_array(file, allow_pickle=False)
