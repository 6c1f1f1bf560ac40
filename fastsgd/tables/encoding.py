"""The encoding between a table's columns and a network's inputs and outputs.

An :class:`Encoding` is learned from the training table and travels in the model file (``net.metadata["table"]``):
numbers are standardised, dates become numbers, string columns become one-hot columns, missing values are filled, and
the target's classes or scale are remembered so that predictions come back in the table's own terms.
"""
from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TypeVar

import numpy as np

from fastsgd.files.bounded_json import parse_json
from fastsgd.tables.columns import (
    Category,
    Column,
    Date,
    Number,
    Text,
    as_dates,
    from_dict,
    missing_in,
    plain,
    to_dict,
)
from fastsgd.tables.inputs import Wishes, learn_inputs, tell_of_columns, without_fill
from fastsgd.tables.reading import Reading
from fastsgd.tables.targets import are_whole, learn_targets
from fastsgd.tables.wording import LISTED, how_to_keep, refuse_missing, some

Table = dict[str, np.ndarray]
AnyTable = TypeVar("AnyTable", bound=Table)
Teller = Callable[[str], object] | None
PLAIN = Reading()


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

    columns: tuple[Column, ...]
    target_columns: tuple[Number | Category, ...]
    own_units: bool = False  # quantities come to the network as they are: its output_scale standardises them
    reading: Reading = PLAIN
    quantiles: tuple[float | None, ...] = ()   # of each target, an output each, None its mean; () its mean alone

    @property
    def target(self) -> Number | Category:
        """The target, the first of several."""
        return self.target_columns[0]

    @property
    def target_names(self) -> tuple[str, ...]:
        """The columns that are predicted."""
        return tuple(column.name for column in self.target_columns)

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that the model knows, the targets last."""
        return (*(column.name for column in self.columns), *self.target_names)

    @property
    def width(self) -> int:
        """The network's inputs."""
        return sum(column.width for column in self.columns)

    @property
    def slices(self) -> list[slice]:
        """Which of the network's inputs each column makes."""
        ends = accumulate((column.width for column in self.columns), initial=0)
        return [slice(first, last) for first, last in pairwise(ends)]

    @property
    def mean_and_quantiles(self) -> bool:
        """Whether the first output is the mean of a quantity, and those behind it are quantiles of it."""
        return self.quantiles[:1] == (None,)

    def categories(self) -> dict[int, int]:
        """The inputs that are codes, each with its number of levels: what ``fastsgd.layers.Columns`` takes."""
        return {own.start: column.codes_count for own, column in zip(self.slices, self.columns, strict=True)
                if isinstance(column, Category) and column.coded}

    @property
    def classes(self) -> tuple[str | int | bool | None, ...]:
        """The target's classes, none where it is a quantity."""
        return self.target.levels if isinstance(self.target, Category) else ()

    @property
    def text(self) -> tuple[str, ...]:
        """The columns that the training table had as strings."""
        return tuple(column.name for column in (*self.columns, *self.target_columns)
                     if (isinstance(column, Number) and column.spelling) or (
                         isinstance(column, Category)
                         and all(isinstance(level, str | None) for level in column.levels)))

    @property
    def outputs(self) -> int:
        """Classes, or quantities and quantiles of them: what the network's outputs are for."""
        return len(self.classes) or len(self.target_columns) * max(1, len(self.quantiles))

    @property
    def loss(self) -> str:
        """What such a network minimises."""
        return "cross_entropy" if self.classes else "squared_error"

    @classmethod
    def learn(cls, table: Table, targets: str | tuple[str, ...], task: str = "auto", drop: Iterable[str] = (),
              rows=slice(None), warn: Teller = None, *, keep: Iterable[str] = (), missing: str = "fill",
              own_units: bool = False, quantiles: Iterable[float | None] = (), tell: Teller = None,
              kinds: Mapping[str, str] | None = None, coded: bool = False) -> Encoding:
        """Means, scales and levels from the given rows of a table; the target's classes are the whole table's.

        Several targets must all be quantities, an output each. ``task`` is "auto", "classification" or "regression".
        Columns of row numbers, identifiers and free text are left out, but those named in ``keep``. ``missing`` is
        "fill" or "error". With ``own_units`` quantities are not standardised: the network does that, with
        ``target_scale()`` and ``target_offset()``. With ``quantiles`` it has an output for each of them instead of one
        for each target. ``kinds`` says what some columns are, "number", "category", "date" or "text"; with ``coded``
        categories become codes, for a network whose first layer is of ``categories()``, and free text is hashed.
        ``tell`` and ``warn`` are told, a line each, what was made of the columns where it is not plain, and what looks
        like a mistake.
        """
        targets = (targets,) if isinstance(targets, str) else tuple(targets)
        drop, keep = tuple(drop), tuple(keep)
        if not targets or len(set(targets)) < len(targets):
            raise ValueError(f"targets must be one column or several different ones, got {list(targets)}")
        if missing not in ("fill", "error"):
            raise ValueError(f"missing must be fill or error, got {missing!r}")
        kinds = kinds or {}
        for name in (*targets, *drop, *keep, *kinds):
            if name not in table:
                raise ValueError(f"there is no column {name!r}; the columns are {', '.join(table)}")
        if both := sorted({*keep, *kinds} & {*drop, *targets}):
            raise ValueError(f"column {both[0]!r} cannot be an input: it is dropped or a target")
        tell, warn = tell or _silent, warn or _silent
        reading = getattr(table, "reading", PLAIN)
        wishes = Wishes(keep, kinds, coded)
        columns, inputs, left_out = learn_inputs(table, set(table) - {*targets, *drop}, wishes, rows, tell, warn)
        if missing == "error":
            refuse_missing({name: values for name, (values, _) in inputs.items()})
        if not inputs:
            raise ValueError(f"no columns are left to learn {', '.join(map(repr, targets))} from"
                             + "".join(f"; {name!r} is left out, {why} ({how_to_keep(name)})"
                                       for name, why in list(left_out.items())[:LISTED]))
        if missing == "error":
            columns = tuple(without_fill(column) for column in columns)
        tell_of_columns(columns, inputs, tell)
        found = learn_targets(targets, table, task, rows, reading, tell)
        return cls(columns, found, own_units, reading, tuple(quantiles))

    def summary(self, most: int = 6) -> str:
        """What was made of the columns, the first of them by name."""
        parts = [f"{column.name:.40}: {column.kind}" for column in self.columns]
        parts[most:] = [f"{len(parts) - most} more"] * (len(parts) > most)
        kind = f"classification, {len(self.classes)} classes" if self.classes else "regression"
        names = ", ".join(f"{name:.40}" for name in self.target_names)
        return f"{', '.join(parts)}; target{'s' * (len(self.target_names) > 1)} {names}: {kind}"

    def rows(self, table: Table, dtype="float32", warn: Teller = None) -> np.ndarray:
        """The network's input (rows, width). Levels never seen become zeros; ``warn`` is told of them.

        A value that is missing where the training rows had none is filled, and ``warn`` told of it.
        """
        read = {column.name: self._values(column, table) for column in self.columns}
        gaps = {column.name: missing_in(read[column.name]) for column in self.columns}
        refuse_missing({column.name: read[column.name] for column in self.columns
                         if isinstance(column, Number | Date) and column.fill is None})
        X = np.zeros((len(next(iter(table.values()))), self.width), dtype=dtype)
        sudden = []
        for column, own in zip(self.columns, self.slices, strict=True):
            column.encode(read[column.name], np.dtype(dtype), X[:, own], warn)
            known = None in column.levels if isinstance(column, Category) else getattr(column, "gaps", True)
            if not known and gaps[column.name].any():
                sudden.append(f"{column.name!r} ({int(gaps[column.name].sum()):,})")
        if warn and sudden:
            warn(f"values missing where the training rows had none: column {some(sudden)}; numbers and dates take the "
                 "median of those rows, categories none of the levels")
        return X

    def _values(self, column: Column, table: Table) -> np.ndarray:
        if column.name not in table:
            raise ValueError(f"the table has no column {column.name!r}, which the model needs")
        values = table[column.name]
        decimal = getattr(table, "reading", self.reading).usual
        return (column.numbers(values, decimal) if isinstance(column, Number) else
                as_dates(column.name, values) if isinstance(column, Date) else
                column.texts(values) if isinstance(column, Text) else values)

    def targets(self, table: Table, dtype="float32") -> np.ndarray:
        """The network's targets: class labels (rows,), a quantity (rows,), or several of them (rows, outputs).

        Quantities are standardised, unless with ``own_units``.
        """
        read = {column.name: self._values(column, table) for column in self.target_columns}
        refuse_missing(read, "fill them or drop the rows")
        if isinstance(self.target, Number):
            found = [read[column.name].astype(float) if self.own_units else
                     column.standardised(read[column.name], dtype) for column in self._quantities]
            return found[0] if len(found) == 1 else np.stack(self._each(found), axis=1)
        codes = self.target.codes(read[self.target.name])
        if (codes < 0).any():
            row = int(np.argmax(codes < 0))
            raise ValueError(f"target {self.target.name!r} is {plain(table[self.target.name], row)!r} in row {row}, "
                             f"counted from 0, which is none of the model's classes {list(self.target.levels)}")
        return codes

    def target_scale(self) -> list[float]:
        """What an output of 1 is in the target's own units, for each output; 1 for classes."""
        return self._each([column.scale for column in self._quantities]) or [1.0] * self.outputs

    def target_offset(self) -> list[float]:
        """What an output of 0 is in the target's own units, for each output; 0 for classes."""
        return self._each([column.offset + column.mean for column in self._quantities]) or [0.0] * self.outputs

    def _each(self, values: list) -> list:
        """What there is of each target, for each output."""
        return [value for value in values for _ in self.quantiles or (None,)]

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
        """For a model's metadata."""
        targets = [to_dict(column) for column in self.target_columns]
        return json.dumps({"columns": [to_dict(column) for column in self.columns],
                           "target": targets[0] if len(targets) == 1 else targets,
                           **({"own_units": True} if self.own_units else {}),
                           **({"quantiles": list(self.quantiles)} if self.quantiles else {}),
                           **({"reading": self.reading.as_dict()} if self.reading != PLAIN else {})})

    @classmethod
    def from_json(cls, text: str) -> Encoding:
        """ValueError where the text is not what :meth:`to_json` writes."""
        try:
            value = parse_json(text)
            targets = value["target"] if isinstance(value["target"], list) else [value["target"]]
            found = tuple(map(from_dict, targets))
            if not found or (len(found) > 1 and not all(isinstance(column, Number) for column in found)) or any(
                    isinstance(column, Date | Text) or (isinstance(column, Category) and (
                        column.other or None in column.levels))
                    for column in found):
                raise ValueError("its targets are neither quantities nor one of classes")
            targets = [column for column in found if isinstance(column, Number | Category)]
            return cls(tuple(map(from_dict, value["columns"])), tuple(targets), value.get("own_units", False) is True,
                Reading.from_dict(value.get("reading", {})), _quantiles_of(value, found))
        except (AttributeError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise ValueError(f"the model file's table encoding is damaged: {error!s:.300}") from None


def _quantiles_of(value: dict, targets: tuple) -> tuple[float | None, ...]:
    quantiles = tuple(None if q is None else float(q) for q in value.get("quantiles", ()))
    if quantiles and (not all(q is None or 0 < q < 1 for q in quantiles) or len(set(quantiles)) < len(quantiles)
                      or isinstance(targets[0], Category)):
        raise ValueError(f"it has quantiles {quantiles!r:.80}")
    return quantiles


def rows_with_targets(table: AnyTable, targets: str | tuple[str, ...], tell: Teller = None,
                      missing_values: str = "fill") -> AnyTable:
    """The table without the rows that lack a target, of which ``tell`` is told; all of it with "error"."""
    targets = (targets,) if isinstance(targets, str) else tuple(targets)
    missing = np.zeros(len(next(iter(table.values()), ())), dtype=bool)
    for name in targets:
        if name in table:                          # what is not there is refused by learn, in words
            missing |= missing_in(table[name])
    if not missing.any() or missing.all() or missing_values == "error":
        return table
    if tell:
        tell(f"rows left out: {int(missing.sum()):,} of {len(missing):,}, whose target is missing")
    return table_like(table, {name: _whole_again(values[~missing]) if name in targets else values[~missing]
                              for name, values in table.items()})


def table_like(table: AnyTable, columns: Table) -> AnyTable:
    """Other columns that were read as those of a table were."""
    made = type(table)(columns)
    if hasattr(table, "reading"):
        made.reading = table.reading               # type: ignore[attr-defined]
    return made


def _whole_again(values: np.ndarray) -> np.ndarray:
    """Whole numbers and booleans that were something else for the sake of a gap."""
    if values.dtype.kind == "f" and are_whole(values) and abs(values).max() < 2**53:
        return values.astype(np.int64)
    if values.dtype.kind == "O" and all(isinstance(value, bool) for value in values.tolist()):
        return values.astype(bool)
    return values


def _silent(_: str) -> None:
    pass
