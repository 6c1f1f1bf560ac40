"""Tables in, labels out: what lies between a data file and a network.

An :class:`Encoding` is learned from the training table and travels in the model file (``net.metadata["table"]``):
numbers are standardised, string columns become one-hot columns, and the target's classes or scale are
remembered so that predictions come back in the table's own terms.
"""
from __future__ import annotations

import csv
import errno
import json
import math
import shlex
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

import numpy as np

from fastsgd.bounded_json import parse_json
from fastsgd.datasets.idx import MOST_EXPANSION
from fastsgd.files import require_regular

MOST_LEVELS = 1000
MOST_COLUMNS = 100_000  # of an .npz file
LONGEST_HEADER = 16 * 2**20  # of a CSV file, in characters
MOST_CLASSES = 20  # whole-number targets with more distinct values than this are taken for quantities


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
                         f"({_drop(name)})")
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


@dataclass(frozen=True)
class Number:
    """A numeric column, standardised as (x - mean) / scale; ``constant`` where it was mean throughout the training."""

    name: str
    mean: float
    scale: float
    constant: bool = False


@dataclass(frozen=True)
class Category:
    """A column of one-hot coded levels, or a target of classes."""

    name: str
    levels: tuple[str | int | bool, ...]


@dataclass(frozen=True)
class Encoding:
    """How a table's columns become a network's inputs, and its outputs predictions.

    >>> table = {"size": np.array([1.0, 3.0]), "kind": np.array(["a", "b"], dtype=object), "y": np.array([0, 1])}
    >>> encoding = Encoding.learn(table, "y")
    >>> encoding.rows(table).tolist()
    [[-1.0, 1.0, 0.0], [1.0, 0.0, 1.0]]
    >>> encoding.labels(np.array([[0.9, 0.1]]))
    [0]
    """

    columns: tuple[Number | Category, ...]
    target: Number | Category

    @property
    def width(self) -> int:
        """The network's inputs."""
        return sum(1 if isinstance(column, Number) else len(column.levels) for column in self.columns)

    @property
    def classes(self) -> tuple[str | int | bool, ...]:
        """The target's classes, none where it is a quantity."""
        return self.target.levels if isinstance(self.target, Category) else ()

    @property
    def text(self) -> tuple[str, ...]:
        """The columns that the training table had as strings."""
        return tuple(column.name for column in (*self.columns, self.target)
                     if isinstance(column, Category) and all(isinstance(level, str) for level in column.levels))

    @property
    def outputs(self) -> int:
        """How many a network for the target has."""
        return len(self.classes) or 1

    @property
    def loss(self) -> str:
        """What such a network minimises."""
        return "cross_entropy" if self.classes else "squared_error"

    @classmethod
    def learn(cls, table: dict[str, np.ndarray], target: str, task: str = "auto", drop: tuple[str, ...] = (),
              rows=slice(None), warn=None) -> Encoding:
        """Means, scales and levels from the given rows of a table; the target's classes are the whole table's.

        ``task`` is "auto", "classification" or "regression"; ``warn`` is told of a column of strings that are nearly
        all numbers.
        """
        for name in (target, *drop):
            if name not in table:
                raise ValueError(f"there is no column {name!r}; the columns are {', '.join(table)}")
        columns: list[Number | Category] = []
        for name, values in table.items():
            if name == target or name in drop:
                continue
            _refuse_missing(name, values, f"fill them, or drop the rows or the column ({_drop(name)})")
            if values.dtype.kind != "O":
                columns.append(_number(name, values[rows]))
                continue
            levels = tuple(sorted(set(values[rows])))
            if len(levels) > MOST_LEVELS:
                raise ValueError(f"column {name!r} has {len(levels)} different strings, more than {MOST_LEVELS}"
                                 f"{_stray(values)}; drop it ({_drop(name)}) or encode it yourself")
            columns.append(Category(name, levels))
        if not columns:
            raise ValueError(f"no columns are left to learn {target!r} from")
        encoding = cls(tuple(columns), _target(target, table[target], task, rows))
        for name in encoding.text if warn else ():
            if stray := _stray(table[name]):
                warn(f"column {name!r} is read as strings{stray}; mend it if the column holds numbers")
        return encoding

    def summary(self, most: int = 6) -> str:
        """What was made of the columns, the first of them by name."""
        parts = [f"{column.name:.40}: " + ("number" if isinstance(column, Number) else f"{len(column.levels)} levels")
                 for column in self.columns]
        parts[most:] = [f"{len(parts) - most} more"] * (len(parts) > most)
        kind = f"classification, {len(self.classes)} classes" if self.classes else "regression"
        return f"{', '.join(parts)}; target {self.target.name:.40}: {kind}"

    def rows(self, table: dict[str, np.ndarray], dtype="float32", warn=None) -> np.ndarray:
        """The network's input (rows, width). Levels never seen become zeros; ``warn`` is told of them."""
        length = len(next(iter(table.values())))
        X = np.zeros((length, self.width), dtype=dtype)
        at = 0
        for column in self.columns:
            if column.name not in table:
                raise ValueError(f"the table has no column {column.name!r}, which the model needs")
            values = table[column.name]
            _refuse_missing(column.name, values)
            if isinstance(column, Number):
                X[:, at] = _standardised(column, values, dtype)
                at += 1
                if warn and column.constant and (others := ~np.isclose(values, column.mean, rtol=1e-12, atol=0)).any():
                    warn(f"column {column.name!r} was {column.mean:g} in all rows of the training; other values: "
                         f"{int(others.sum())}, such as {_plain(values, int(np.argmax(others)))!r}; what they mean was "
                         "not learned")
                continue
            codes = _codes(column, values)
            X[codes >= 0, at + codes[codes >= 0]] = 1
            if warn and (codes < 0).any():
                warn(f"column {column.name!r}: values not in the training table: {int((codes < 0).sum())}, "
                     f"such as {_plain(values, int(np.argmax(codes < 0)))!r}; they count as none of its levels")
            at += len(column.levels)
        return X

    def targets(self, table: dict[str, np.ndarray], dtype="float32") -> np.ndarray:
        """The network's targets: class labels, or the standardised quantity."""
        values = table[self.target.name]
        _refuse_missing(self.target.name, values)
        if isinstance(self.target, Number):
            return _standardised(self.target, values, dtype)
        codes = _codes(self.target, values)
        if (codes < 0).any():
            row = int(np.argmax(codes < 0))
            raise ValueError(f"target {self.target.name!r} is {_plain(values, row)!r} in row {row}, counted from 0, "
                             f"which is none of the model's classes {list(self.target.levels)}")
        return codes

    def labels(self, outputs: np.ndarray) -> list:
        """Predictions in the table's own terms from the network's outputs (rows, outputs)."""
        if isinstance(self.target, Number):
            return (outputs[:, 0].astype(float) * self.target.scale + self.target.mean).tolist()
        return [self.target.levels[i] for i in outputs.argmax(axis=1)]

    def to_json(self) -> str:
        return json.dumps({"columns": [_as_dict(column) for column in self.columns], "target": _as_dict(self.target)})

    @classmethod
    def from_json(cls, text: str) -> Encoding:
        """ValueError where the text is not what :meth:`to_json` writes."""
        try:
            value = parse_json(text)
            return cls(tuple(_from_dict(column) for column in value["columns"]), _from_dict(value["target"]))
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise ValueError(f"the model file's table encoding is damaged: {error!s:.300}") from None


def printable(text: str) -> str:
    """For a terminal: what would move its cursor or change its colours is escaped, as in a repr."""
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)


def _plain(values: np.ndarray, row: int):
    """A value as Python's own, which a message shows as it was written."""
    return values[row:row + 1].tolist()[0]


def _drop(name: str) -> str:
    return f"--drop{'=' if name.startswith('-') else ' '}{shlex.quote(name)}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def _first_text(values: np.ndarray) -> str:
    """The first string of a column that is no number, or the first of all, and where it is."""
    row = next((row for row, text in enumerate(values) if not _is_number(text)), 0)
    return f"{values[row]!r} in row {row}, counted from 0"


def _stray(values: np.ndarray) -> str:
    """For a message: the first string that is no number, where nine of ten different ones are numbers; else nothing."""
    different = set(values)
    texts = sum(not _is_number(text) for text in different)
    return f", as {_first_text(values)}, is no number" if 0 < 10 * texts <= len(different) else ""


def _standardised(column: Number, values: np.ndarray, dtype) -> np.ndarray:
    """In float64, and within what the dtype holds."""
    if values.dtype.kind == "O":
        raise ValueError(f"column {column.name!r} must hold numbers, got {_first_text(values)}")
    with np.errstate(over="ignore"):
        numbers = (values.astype(float) - column.mean) / column.scale
    large = abs(numbers) > np.finfo(dtype).max
    if large.any():
        row = int(np.argmax(large))
        raise ValueError(f"column {column.name!r} holds {_plain(values, row)!r} in row {row}, counted from 0, which is "
                         f"too large for a model of {np.dtype(dtype)}")
    return numbers


def _codes(category: Category, values: np.ndarray) -> np.ndarray:
    """The place of each value among the levels, also of one that is written like a level; -1 where there is none."""
    places: dict = {str(level): i for i, level in enumerate(category.levels)}
    places |= {level: i for i, level in enumerate(category.levels)}
    return np.array([places.get(value, places.get(str(value), -1)) for value in values.tolist()])


def _as_dict(column: Number | Category) -> dict:
    return {"kind": type(column).__name__.lower(), **asdict(column)}


def _from_dict(value: dict) -> Number | Category:
    if value["kind"] == "number":
        number = Number(str(value["name"]), float(value["mean"]), float(value["scale"]),
                        value.get("constant", False) is True)
        if not (np.isfinite(number.mean) and np.isfinite(number.scale) and number.scale > 0):
            raise ValueError(f"column {number.name!r} has mean {number.mean} and scale {number.scale}")
        return number
    levels = tuple(value["levels"])
    if not levels or len(set(levels)) < len(levels) or not all(isinstance(level, str | int) for level in levels):
        raise ValueError(f"column {value['name']!r} has levels {levels!r}")
    return Category(str(value["name"]), levels)


def _refuse_missing(name: str, values: np.ndarray, advice: str = "fill them or drop the rows") -> None:
    missing = np.array([value is None for value in values]) if values.dtype.kind == "O" else ~np.isfinite(values)
    if missing.any():
        raise ValueError(f"column {name!r}: values missing or infinite: {int(missing.sum())}, the first in row "
                         f"{int(np.argmax(missing))}, counted from 0; {advice}")


def _number(name: str, values: np.ndarray) -> Number:
    with np.errstate(over="ignore", invalid="ignore"):
        mean, scale = float(values.mean(dtype=float)), float(values.std(dtype=float))
    if not (np.isfinite(mean) and np.isfinite(scale)):
        raise ValueError(f"column {name!r} holds values too large to standardise, up to {abs(values).max():g}")
    constant = scale <= 1e-14 * abs(mean)              # the mean of equal values is rounded, so scale may not be 0
    return Number(name, mean, 1.0 if constant else scale, constant)


def _target(name: str, values: np.ndarray, task: str, rows) -> Number | Category:
    if task not in ("auto", "classification", "regression"):
        raise ValueError(f"task must be auto, classification or regression, got {task!r}")
    _refuse_missing(name, values)
    whole = values.dtype.kind in "biu"
    if task == "auto":
        few = whole and len(np.unique(values)) <= MOST_CLASSES
        task = "classification" if values.dtype.kind in "Ob" or few else "regression"
    if task == "regression":
        if values.dtype.kind == "O":
            raise ValueError(f"regression needs a target of numbers, but {name!r} holds {_first_text(values)}")
        return _number(name, values[rows])
    levels = tuple(sorted(set(values.tolist())))
    if len(levels) < 2:
        raise ValueError(f"target {name!r} has a single class, {levels[0]!r}; there is nothing to learn")
    if not whole and values.dtype.kind != "O":
        raise ValueError(f"classification needs a target of strings or whole numbers, but {name!r} holds "
                         f"{_plain(values, 0)!r}")
    if len(levels) > MOST_LEVELS:
        raise ValueError(f"target {name!r} has {len(levels)} classes, more than {MOST_LEVELS}; is it a quantity "
                         "(--task regression)?")
    return Category(name, levels)
