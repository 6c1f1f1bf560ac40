"""Tables in, labels out: what lies between a table's columns and a network.

An :class:`Encoding` is learned from the training table and travels in the model file (``net.metadata["table"]``):
numbers are standardised, string columns become one-hot columns, and the target's classes or scale are
remembered so that predictions come back in the table's own terms.
"""
from __future__ import annotations

import json
import shlex
from dataclasses import asdict, dataclass

import numpy as np

from fastsgd.bounded_json import parse_json

MOST_LEVELS = 1000
MOST_CLASSES = 20  # whole-number targets with more distinct values than this are taken for quantities


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
    target_columns: tuple[Number | Category, ...]
    own_units: bool = False  # quantities come to the network as they are: its output_scale standardises them

    @property
    def target(self) -> Number | Category:
        """The target, the first of several."""
        return self.target_columns[0]

    @property
    def target_names(self) -> tuple[str, ...]:
        """The columns that are predicted."""
        return tuple(column.name for column in self.target_columns)

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
        return tuple(column.name for column in (*self.columns, *self.target_columns)
                     if isinstance(column, Category) and all(isinstance(level, str) for level in column.levels))

    @property
    def outputs(self) -> int:
        """How many a network for the target has."""
        return len(self.classes) or len(self.target_columns)

    @property
    def loss(self) -> str:
        """What such a network minimises."""
        return "cross_entropy" if self.classes else "squared_error"

    @classmethod
    def learn(cls, table: dict[str, np.ndarray], targets: str | tuple[str, ...], task: str = "auto",
              drop: tuple[str, ...] = (), rows=slice(None), warn=None, *, own_units: bool = False) -> Encoding:
        """Means, scales and levels from the given rows of a table; the target's classes are the whole table's.

        Several targets must all be quantities, an output each. ``task`` is "auto", "classification" or "regression";
        ``warn`` is told of a column of strings that are nearly all numbers. With ``own_units`` quantities are not
        standardised: the network does that, with ``target_scale()`` and ``target_offset()``.
        """
        targets = (targets,) if isinstance(targets, str) else tuple(targets)
        if not targets or len(set(targets)) < len(targets):
            raise ValueError(f"targets must be one column or several different ones, got {list(targets)}")
        for name in (*targets, *drop):
            if name not in table:
                raise ValueError(f"there is no column {name!r}; the columns are {', '.join(table)}")
        columns: list[Number | Category] = []
        for name, values in table.items():
            if name in targets or name in drop:
                continue
            _refuse_missing(name, values, f"fill them, or drop the rows or the column ({how_to_drop(name)})")
            if values.dtype.kind != "O":
                columns.append(_number(name, values[rows]))
                continue
            levels = tuple(sorted(set(values[rows])))
            if len(levels) > MOST_LEVELS:
                raise ValueError(f"column {name!r} has {len(levels)} different strings, more than {MOST_LEVELS}"
                                 f"{_stray(values)}; drop it ({how_to_drop(name)}) or encode it yourself")
            columns.append(Category(name, levels))
        if not columns:
            raise ValueError(f"no columns are left to learn {', '.join(map(repr, targets))} from")
        encoding = cls(tuple(columns), _targets(targets, table, task, rows), own_units)
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
        names = ", ".join(f"{name:.40}" for name in self.target_names)
        return f"{', '.join(parts)}; target{'s' * (len(self.target_names) > 1)} {names}: {kind}"

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
        """The network's targets: class labels (rows,), a quantity (rows,), or several of them (rows, targets).

        Quantities are standardised, unless with ``own_units``.
        """
        for column in self.target_columns:
            _refuse_missing(column.name, table[column.name])
        if isinstance(self.target, Number):
            found = [_own(column, table[column.name]) if self.own_units else
                     _standardised(column, table[column.name], dtype) for column in self.target_columns
                     if isinstance(column, Number)]
            return found[0] if len(found) == 1 else np.stack(found, axis=1)
        values = table[self.target.name]
        codes = _codes(self.target, values)
        if (codes < 0).any():
            row = int(np.argmax(codes < 0))
            raise ValueError(f"target {self.target.name!r} is {_plain(values, row)!r} in row {row}, counted from 0, "
                             f"which is none of the model's classes {list(self.target.levels)}")
        return codes

    def target_scale(self) -> list[float]:
        """What an output of 1 is in the target's own units, for each output; 1 for classes."""
        return [column.scale for column in self._quantities] or [1.0] * self.outputs

    def target_offset(self) -> list[float]:
        """What an output of 0 is in the target's own units, for each output; 0 for classes."""
        return [column.mean for column in self._quantities] or [0.0] * self.outputs

    @property
    def _quantities(self) -> list[Number]:
        return [column for column in self.target_columns if isinstance(column, Number)]

    def labels(self, outputs: np.ndarray) -> list:
        """Predictions in the table's own terms from the network's outputs (rows, outputs); tuples of several targets.
        """
        if isinstance(self.target, Category):
            return [self.target.levels[i] for i in outputs.argmax(axis=1)]
        found = outputs.astype(float)
        if not self.own_units:
            found = found * self.target_scale() + self.target_offset()
        return found[:, 0].tolist() if found.shape[1] == 1 else list(map(tuple, found.tolist()))

    def to_json(self) -> str:
        targets = [_as_dict(column) for column in self.target_columns]
        return json.dumps({"columns": [_as_dict(column) for column in self.columns],
                           "target": targets[0] if len(targets) == 1 else targets,
                           **({"own_units": True} if self.own_units else {})})

    @classmethod
    def from_json(cls, text: str) -> Encoding:
        """ValueError where the text is not what :meth:`to_json` writes."""
        try:
            value = parse_json(text)
            targets = value["target"] if isinstance(value["target"], list) else [value["target"]]
            encoding = cls(tuple(map(_from_dict, value["columns"])), tuple(map(_from_dict, targets)),
                           value.get("own_units", False) is True)
            if not targets or (len(targets) > 1 and len(encoding._quantities) < len(targets)):
                raise ValueError("several targets must be quantities")
            return encoding
        except (AttributeError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise ValueError(f"the model file's table encoding is damaged: {error!s:.300}") from None


def _plain(values: np.ndarray, row: int):
    """A value as Python's own, which a message shows as it was written."""
    return values[row:row + 1].tolist()[0]


def how_to_drop(name: str) -> str:
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


def _own(column: Number, values: np.ndarray) -> np.ndarray:
    """In float64, as they are."""
    if values.dtype.kind == "O":
        raise ValueError(f"column {column.name!r} must hold numbers, got {_first_text(values)}")
    return values.astype(float)


def _standardised(column: Number, values: np.ndarray, dtype) -> np.ndarray:
    """In float64, and within what the dtype holds."""
    with np.errstate(over="ignore"):
        numbers = (_own(column, values) - column.mean) / column.scale
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
    text = values.dtype.kind == "O"
    missing = np.array([value is None for value in values]) if text else ~np.isfinite(values)
    if missing.any():
        what = "missing (as NA, None and null are in a CSV file, too)" if text else "missing or infinite"
        raise ValueError(f"column {name!r}: values {what}: {int(missing.sum())}, the first in row "
                         f"{int(np.argmax(missing))}, counted from 0; {advice}")


def _number(name: str, values: np.ndarray) -> Number:
    with np.errstate(over="ignore", invalid="ignore"):
        mean, scale = float(values.mean(dtype=float)), float(values.std(dtype=float))
    if not (np.isfinite(mean) and np.isfinite(scale)):
        raise ValueError(f"column {name!r} holds values too large to standardise, up to {abs(values).max():g}")
    constant = scale <= 1e-14 * abs(mean)              # the mean of equal values is rounded, so scale may not be 0
    return Number(name, mean, 1.0 if constant else scale, constant)


def _targets(names: tuple[str, ...], table: dict[str, np.ndarray], task: str, rows) -> tuple[Number | Category, ...]:
    if len(names) == 1:
        return (_target(names[0], table[names[0]], task, rows),)
    if task == "classification":
        raise ValueError(f"several targets must be quantities (--task regression), got {len(names)} for classification")
    return tuple(_target(name, table[name], "regression" if task == "auto" else task, rows) for name in names)


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
