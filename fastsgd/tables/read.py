"""Tables out of files: text of separated values, JSON lines, Parquet and Arrow, spreadsheets and .npz."""
from __future__ import annotations

import errno
import importlib
import importlib.util
import io
import math
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np

from fastsgd.datasets.idx import MAX_EXPANSION
from fastsgd.files.atomic import require_regular
from fastsgd.tables import arrow_columns
from fastsgd.tables.delimited import Unreadable, read_delimited, refuse_repeated
from fastsgd.tables.encoding import Encoding
from fastsgd.tables.object_rows import column_of, read_json_lines, read_sheet
from fastsgd.tables.reading import Reading
from fastsgd.tables.wording import LISTED, how_to_drop, suffix_in_words

MAX_COLUMNS = 100_000  # of an .npz file
MAX_TEXT_BYTES, TEXT_EXPANSION = 64 * 2**20, 200  # bytes that any packed text may have, and times its size
MAX_CELL_BYTES, CELLS_EXPANSION = 2**30, 1000    # of Parquet, bytes in the same sense
TEXT, LINES, ARROW = (".csv", ".tsv", ".txt"), (".jsonl", ".ndjson"), (".parquet", ".pq", ".feather", ".arrow")
SHEETS = {".xlsx": "openpyxl", ".xls": "xlrd", ".ods": "odfpy"}
PACKED = (".gz", ".bz2", ".xz", ".zip")
KINDS = (".csv, .tsv or .txt (also with .gz, .bz2, .xz or .zip), .jsonl or .ndjson, .parquet, .feather, .arrow, "
         ".xlsx, .xls, .ods or .npz")


class Table(dict[str, np.ndarray]):
    """Columns by name, how they were read, and which of them are categories where a data frame says so."""

    reading: Reading = Reading()
    categories: frozenset[str] = frozenset()


def read_table(path, text: Iterable[str] = (), *, reading: Reading | None = None, drop: Iterable[str] = (),
               needs: Iterable[str] | None = None, tell: Callable[[str], object] | None = None) -> Table:
    """The columns of a file, each a 1-D array, in the file's order.

    An array holds numbers (NaN where one is missing), datetime64[us], or objects that are strings, booleans or None.
    A column of text is numbers where all its values are, unless it is named in ``text``; a string stays as it is
    written. Durations and times of day are seconds. In an .npz file, 1-D arrays are columns of their own name and a
    2-D array ``X`` gives columns ``X0``, ``X1``, ... Columns of other kinds are refused, all in one message; those in
    ``drop`` are not looked at, and of those that are not in ``needs``, where it is given, what cannot be used is left
    out. ``reading`` says what is known of a text file; ``tell`` is told what was found out.
    """
    path, reading, drop = Path(path), reading or Reading(), set(drop)
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist")
    require_regular(path)
    suffixes = [suffix.lower() for suffix in path.suffixes]
    packed = suffixes[-1] if suffixes[-1:] and suffixes[-1] in PACKED else ""
    kind = "".join(suffixes[-2:-1] if packed else suffixes[-1:])
    if kind not in (*TEXT, *LINES, *(() if packed else (*ARROW, *SHEETS, ".npz"))):
        raise ValueError(f"{path} must be a file of the kind {KINDS}; got "
                         f"{suffix_in_words(''.join(path.suffixes[-2:]))}")
    told: list[str] = []
    try:
        columns, refused, reading = _read(path, kind, packed, tuple(text), reading, drop, told.append)
    except (MemoryError, ImportError):
        raise
    except Unreadable as error:
        raise ValueError(f"{path} cannot be read: {error!s:.300}") from None
    except Exception as error:       # of pandas, pyarrow, NumPy's parser, tokenize, zlib and zipfile: any of a dozen
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):      # a damaged place to seek
            raise OSError(error.errno, f"cannot read: {error.strerror}", str(path)) from None
        raise ValueError(f"{path} cannot be read: it is damaged, or not of the kind that {(kind + packed)!r} says"
                         ) from None
    for name in drop:
        if name not in columns:
            raise ValueError(f"there is no column {name!r}; the columns are {', '.join(columns)}")
    if needs is not None:
        refused = {name: what for name, what in refused.items() if name in set(needs)}
    if refused:
        parts = [f"{name!r:.80} holds {what}" for name, what in list(refused.items())[:LISTED]]
        drop_them = " ".join(how_to_drop(name[:80]) for name in list(refused)[:LISTED])
        raise ValueError(f"{path} cannot be read: column {', '.join(parts)}; turn what it holds into numbers or "
                         f"strings, or leave it out ({drop_them})")
    table = Table((name, column) for name, column in columns.items() if column is not None)
    lengths = {name: len(column) for name, column in table.items()}
    if columns and not lengths:
        raise ValueError(f"{path}: no column is left")
    if not lengths or not min(lengths.values()):
        raise ValueError(f"{path} has no rows")
    if len(set(lengths.values())) > 1:
        raise ValueError(f"{path} has columns of different lengths: {lengths!s:.300}")
    table.reading = reading
    if tell and told:
        tell(f"{path.name}: {'; '.join(told)}")
    return table


def read_for(encoding: Encoding, path, said: Reading | None = None, tell=None) -> Table:
    """A table for a model that has learned an encoding: read as the training table was, unless something else is said.

    Columns that the model does not need are there if they can be used.
    """
    reading = encoding.reading if said is None else said.or_else(encoding.reading)
    return read_table(path, encoding.text, reading=reading, needs=encoding.names, tell=tell)


Found = tuple[dict[str, np.ndarray | None], dict[str, str], Reading]


def _read(path: Path, kind: str, packed: str, text: tuple[str, ...], reading: Reading, drop: set[str], tell) -> Found:
    """Columns, None for one that was not looked at or cannot be used; why those are refused; how it was read."""
    opened = partial(_open, path, packed)
    if kind == ".npz":
        return (*_read_npz(path, drop), reading)
    if kind in ARROW:
        return (*_read_arrow(path, kind, drop), reading)
    if kind in LINES:
        return (*_of_objects(read_json_lines(opened, _most(path)), drop, reading), reading)
    pandas = _needed("pandas", path)
    if kind in SHEETS:
        return (*_of_objects(_read_sheet(path, kind, pandas, tell), drop, reading), reading)
    frame, reading = read_delimited(opened, kind, text, reading, tell, pandas)
    names = [str(name) for name in frame.columns]
    refuse_repeated(names)
    return ({name: None if name in drop else _of_series(frame.iloc[:, i]) for i, name in enumerate(names)}, {}, reading)


def _needed(package: str, path: Path):
    try:
        return importlib.import_module(package)
    except ImportError:
        raise ImportError(f'reading {path} needs {package}: pip install "fastsgd[table]"') from None


def _of_series(series) -> np.ndarray:
    """A pandas column of a text file as numbers, or as objects that are strings, booleans or None."""
    if series.dtype.kind in "biuf":
        return series.to_numpy(dtype=series.dtype.type if isinstance(series.dtype, np.dtype) else None)
    missing = series.isna().to_numpy()
    return np.array([None if gone else value if isinstance(value, bool) else str(value)
                     for value, gone in zip(series, missing, strict=True)], dtype=object)


def _of_objects(columns: dict[str, list], drop: set[str], reading: Reading):
    found: dict[str, np.ndarray | None] = {}
    refused: dict[str, str] = {}
    for name, values in columns.items():
        found[name] = None
        if name not in drop:
            try:
                found[name] = column_of(name, values, reading.na)
            except Unreadable as error:
                refused[name] = str(error).partition(" holds ")[2]
    return found, refused


# ---- packed files ----

class _Bounded(io.RawIOBase):
    """Reads what a packed file holds, up to so many bytes: a small one may claim the whole memory."""

    def __init__(self, file: IO[bytes], most: int):
        self._file, self._most, self._left = file, most, most

    def readinto(self, buffer) -> int:
        piece = self._file.read(len(buffer))
        self._left -= len(piece)
        if self._left < 0:
            raise Unreadable(f"it unpacks to more than {self._most:,} bytes; unpack it before")
        buffer[:len(piece)] = piece
        return len(piece)

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()
        super().close()


def _most(path: Path) -> int:
    return MAX_TEXT_BYTES + TEXT_EXPANSION * path.stat().st_size


def _open(path: Path, packed: str) -> IO[bytes]:
    if not packed:
        return open(path, "rb")
    if packed == ".zip":
        archive = zipfile.ZipFile(path)
        members = [member for member in archive.infolist() if not member.is_dir()
                   and not member.filename.startswith("__MACOSX/")]
        if len(members) != 1:
            raise Unreadable(f"it holds {len(members)} files; one is expected")
        return io.BufferedReader(_Bounded(archive.open(members[0]), _most(path)), 2**16)
    name = {".gz": "gzip", ".bz2": "bz2", ".xz": "lzma"}[packed]
    try:
        unpacker = importlib.import_module(name)
    except ImportError:
        raise Unreadable(f"this Python was built without {name}; unpack the file first") from None
    return io.BufferedReader(_Bounded(unpacker.open(path, "rb"), _most(path)), 2**16)


# ---- the kinds of files ----

def _read_arrow(path: Path, kind: str, drop: set[str]):
    pa = _needed("pyarrow", path)
    if kind in (".parquet", ".pq"):
        from pyarrow import parquet
        try:
            file = parquet.ParquetFile(path)
        except (pa.ArrowException, ValueError, OSError) as error:
            raise _of_arrow(error, "Parquet") from None
        schema, rows = file.schema_arrow, file.metadata.num_rows
        if 8 * rows * len(schema) > MAX_CELL_BYTES + CELLS_EXPANSION * path.stat().st_size:
            raise Unreadable(f"its {rows:,} rows of {len(schema):,} columns are more than such a file can hold")
        read = partial(file.read, use_threads=False)
    else:
        from pyarrow import feather
        try:
            with pa.memory_map(str(path)) as mapped:
                schema = pa.ipc.open_file(mapped).schema
        except (pa.ArrowException, ValueError, OSError) as error:
            raise _of_arrow(error, "Arrow") from None
        read = partial(feather.read_table, path, memory_map=False, use_threads=False)
    names = schema.names
    refuse_repeated(names)
    kinds = dict(zip(names, schema.types, strict=True))
    usable = [name for name in names if name not in drop and arrow_columns.is_usable(kinds[name])]
    refused = {name: f"values of the type {kinds[name]!s:.60}" for name in names
               if name not in drop and name not in usable}
    found: dict[str, np.ndarray | None] = dict.fromkeys(names)
    try:
        table = read(columns=usable)
        found |= {name: arrow_columns.values(table.column(name)) for name in usable}
    except (pa.ArrowException, ValueError, OSError) as error:
        raise _of_arrow(error, "Parquet" if kind in (".parquet", ".pq") else "Arrow") from None
    return found, refused


def _of_arrow(error: Exception, kind: str) -> Exception:
    if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
        return error
    return Unreadable(f"it is damaged, or no {kind} file")


def _read_sheet(path: Path, kind: str, pandas, tell) -> dict[str, list]:
    package = SHEETS[kind]
    if importlib.util.find_spec({"odfpy": "odf"}.get(package, package)) is None:
        raise ImportError(f"reading {path} needs {package}: pip install {package}")
    if kind != ".xls":
        with zipfile.ZipFile(path) as archive:
            claimed = sum(member.file_size for member in archive.infolist())
            if claimed > _most(path):
                raise Unreadable(f"it claims {claimed:,} bytes, more than such a file can hold")
    with warnings.catch_warnings(), pandas.ExcelFile(path) as book:
        warnings.simplefilter("ignore")                # of openpyxl, about styles
        sheets = list(book.sheet_names)
        if len(sheets) > 1:
            tell(f"the first of {len(sheets)} sheets is read, {sheets[0]!r:.60}")
        frame = book.parse(sheets[0], header=None, dtype=object, keep_default_na=True)
    return read_sheet(frame.itertuples(index=False, name=None), tell)


def _read_npz(path: Path, drop: set[str]) -> tuple[dict[str, np.ndarray | None], dict[str, str]]:
    columns: dict[str, np.ndarray | None] = {}
    refused: dict[str, str] = {}
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile:
        raise Unreadable("it is no .npz file, or cut short") from None
    with archive:
        claimed = sum(member.file_size for member in archive.infolist())
        if claimed > MAX_EXPANSION * path.stat().st_size:
            raise Unreadable(f"its arrays claim {claimed:,} bytes, more than it can hold")
        for member in archive.infolist():
            name = member.filename.removesuffix(".npy")
            if name in drop:
                columns[name] = None
                continue
            array = _read_npy(archive, member, name, MAX_COLUMNS - len(columns))
            if isinstance(array, np.dtype):
                columns[name], refused[name] = None, f"{array!s:.80}, neither numbers, dates nor strings"
                continue
            if array.dtype.kind in "US":
                array = array.astype(str).astype(object)
            if array.dtype.kind == "m":
                array = np.where(np.isnat(array), np.nan, array.astype("timedelta64[us]").astype(float) / 1e6)
            if array.dtype.kind == "M":
                array = array.astype("datetime64[us]")
            flat = array.reshape(len(array), -1) if array.ndim else array.reshape(1, 1)
            for i in range(flat.shape[1]):
                column = name if array.ndim == 1 else f"{name}{i}"
                if column in columns:
                    raise Unreadable(f"two arrays give a column {column!r}")
                columns[column] = None if column in drop else flat[:, i]
    return columns, refused


def _read_npy(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str,
              most_columns: int) -> np.ndarray | np.dtype:
    """An array of an .npz file, or its dtype if no column can have that. Memory is taken for what is there only."""
    with archive.open(member) as file:
        try:
            version = np.lib.format.read_magic(file)
            read_header = (np.lib.format.read_array_header_1_0 if version == (1, 0) else
                           np.lib.format.read_array_header_2_0)
            shape, _, dtype = read_header(file)
        except (ValueError, SyntaxError, TypeError, zlib.error):
            raise Unreadable(f"array {name!r:.80} has no header of the .npy format") from None
        if dtype.kind not in "biufUSmM" or not dtype.itemsize:
            return dtype
        if math.prod(shape[1:]) > most_columns:
            raise Unreadable(f"array {name!r:.80} has the shape {shape!s:.80}; {MAX_COLUMNS:,} columns are allowed in "
                             "all")
        length = math.prod(shape) * dtype.itemsize
        if length != member.file_size - file.tell():
            raise Unreadable(f"array {name!r:.80} of the shape {shape!s:.80} and {dtype!s:.80} does not have the "
                             f"{length:,} bytes that it claims")
        file.seek(0)
        return np.lib.format.read_array(file, allow_pickle=False)
