"""How one column is encoded, as a number, a date, a category or text, learned from the training rows."""
from __future__ import annotations

import datetime
import zlib
from collections import Counter
from dataclasses import asdict, dataclass, fields

import numpy as np

from fastsgd.cached import cached_property
from fastsgd.tables import spelling
from fastsgd.tables.identifiers import words_of
from fastsgd.tables.spelling import Spelling

MAX_LEVELS = 1000
TINY = 1e-150                    # numbers below have squares that float64 does not hold
MAX_EXACT = 2**53                 # float64 holds all whole numbers up to here
NARROW = 1e-12                        # a smaller spread, relative to the mean, needs an offset to be kept in float64
PARTS = ("year", "month", "day", "weekday", "hour")
MAX_TIME = 2**62                  # microseconds from 1970
MAX_HASHED = 1024                 # numbers that a text becomes


@dataclass(frozen=True)
class Number:
    """A numeric column, standardised as (x - offset - mean) / scale; ``constant`` where all training rows had mean.

    A missing value is taken for ``fill``, and where the training rows had ``gaps``, a second input says where they are.
    None fills nothing: missing values are refused. A ``boolean`` column was of true and false at training.
    """

    name: str
    mean: float
    scale: float
    constant: bool = False
    offset: int | float = 0
    fill: float | None = None
    gaps: bool = False
    spelling: Spelling | None = None
    boolean: bool = False

    @property
    def width(self) -> int:
        """How many of the network's inputs it makes."""
        return 1 + self.gaps

    @property
    def kind(self) -> str:
        """In words."""
        return "number"

    @classmethod
    def learn(cls, name: str, values: np.ndarray, rows=slice(None), written: Spelling | None = None,
              boolean: bool = False) -> Number:
        """From the given rows of numbers, of which NaN and infinity are missing."""
        values = values[rows]
        there = values[np.isfinite(values)] if values.dtype.kind == "f" else values
        offset = _offset(there)
        with np.errstate(over="ignore", invalid="ignore"):
            numbers = there if offset == 0 else _less(there, offset)
            mean, scale = float(numbers.mean(dtype=float)), float(numbers.std(dtype=float))
        if not (np.isfinite(mean) and np.isfinite(scale)):
            raise ValueError(f"column {name!r} holds values too large to standardise, up to {abs(there).max():g}")
        constant = bool(numbers.min() == numbers.max())
        largest = float(abs(numbers).max())
        if largest < TINY and not constant:                     # so that no square is lost
            scale = largest * float((numbers / largest).std(dtype=float))
        return cls(name, mean, 1.0 if constant else scale, constant, offset, float(np.median(numbers.astype(float))),
                   len(there) < len(values), written, boolean)

    def numbers(self, values: np.ndarray, decimal: str = ".") -> np.ndarray:
        """Values of a table as numbers; ValueError names the first that is none."""
        if self.boolean and values.dtype.kind == "O":
            return as_booleans(self.name, values, decimal)
        return as_numbers(self.name, values, self.spelling, decimal, self.gaps)

    def shifted(self, values: np.ndarray) -> np.ndarray:
        """In float64, less the offset; NaN where there is none."""
        numbers = values.astype(float) if self.offset == 0 else _less(values, self.offset)
        return np.where(np.isfinite(numbers), numbers, np.nan) if values.dtype.kind == "f" else numbers

    def encode(self, values: np.ndarray, dtype, out: np.ndarray, warn) -> None:
        """Into the columns of ``out``; within what the dtype holds."""
        shifted = self.shifted(values)
        missing = np.isnan(shifted)
        if missing.any():
            shifted = np.where(missing, self.mean if self.fill is None else self.fill, shifted)
            if self.gaps:
                out[:, 1] = missing
        out[:, 0] = self._within(values, (shifted - self.mean) / self.scale, dtype)
        if warn and self.constant:
            others = ~missing & (abs(shifted - self.mean) > 1e-14 * abs(self.mean))
            if others.any():
                warn(f"column {self.name!r} was {self.offset + self.mean:g} in all rows of the training; other values: "
                     f"{int(others.sum())}, such as {plain(values, int(np.argmax(others)))!r}; what they mean was not "
                     "learned")

    def standardised(self, values: np.ndarray, dtype) -> np.ndarray:
        """As a target."""
        with np.errstate(over="ignore"):
            return self._within(values, (self.shifted(values) - self.mean) / self.scale, dtype)

    def in_own_units(self, standardised: np.ndarray) -> np.ndarray:
        """Of a target, float64."""
        return standardised.astype(float) * self.scale + (self.offset + self.mean)

    def _within(self, values: np.ndarray, numbers: np.ndarray, dtype) -> np.ndarray:
        large = abs(numbers) > np.finfo(dtype).max
        if large.any():
            row = int(np.argmax(large))
            raise ValueError(f"column {self.name!r} holds {plain(values, row)!r} in row {row}, counted from 0, which "
                             f"is too large for a model of {np.dtype(dtype)}")
        return numbers


@dataclass(frozen=True)
class Date:
    """A column of dates or times: days since the first, and those of year, month, day, weekday and hour that vary."""

    name: str
    first: int                         # microseconds from 1970
    parts: tuple[Number, ...]
    fill: int | None = None            # likewise
    gaps: bool = False

    @property
    def width(self) -> int:
        """How many of the network's inputs it makes."""
        return len(self.parts) + self.gaps

    @property
    def kind(self) -> str:
        """In words."""
        return "date (" + ", ".join(part.name for part in self.parts) + ")"

    @classmethod
    def learn(cls, name: str, values: np.ndarray, rows=slice(None)) -> Date:
        """From the given rows of datetime64, of which NaT is missing."""
        times = values[rows].astype("datetime64[us]")
        there = np.sort(times[~np.isnat(times)])
        first = int(there[0].astype(np.int64))
        found = [Number.learn(part, numbers) for part, numbers in _parts(there, first).items()]
        middle = int(there[(len(there) - 1) // 2].astype(np.int64))
        return cls(name, first, tuple(part for part in found if part.name == "days" or not part.constant), middle,
                   len(there) < len(times))

    def encode(self, values: np.ndarray, dtype, out: np.ndarray, warn) -> None:
        """Into the columns of ``out``."""
        times = values.astype("datetime64[us]")
        missing = np.isnat(times)
        times = np.where(missing, np.datetime64(self.first if self.fill is None else self.fill, "us"), times)
        parts = _parts(times, self.first)
        for i, part in enumerate(self.parts):
            part.encode(parts[part.name], dtype, out[:, i:i + 1], None)
        if self.gaps:
            out[:, -1] = missing


@dataclass(frozen=True)
class Category:
    """A column of levels, or a target of classes. ``other`` is one more level, of all that are rare.

    A level is an input of its own, 1 for the rows that have it, or with ``coded`` a code in one input, as
    ``fastsgd.layers.Columns`` takes it.
    """

    name: str
    levels: tuple[str | int | bool | None, ...]
    other: bool = False
    coded: bool = False

    @cached_property
    def places(self) -> dict:
        """The code of each level, and of what is written like one."""
        return self.spellings | self._texts | {level: i for i, level in enumerate(self.levels)}

    @cached_property
    def spellings(self) -> dict[str, int]:
        """The codes of texts that are no level and mean one, as 4.0 does where the levels are whole numbers."""
        texts = self._texts
        found: dict[str, int] = {}
        for code, others in zip(texts.values(), spelling.other_texts(list(texts)), strict=True):
            for other in others:
                if other not in texts:
                    found.setdefault(other, code)
        return found

    @property
    def _texts(self) -> dict[str, int]:
        return {str(level): i for i, level in enumerate(self.levels) if level is not None}

    @property
    def codes_count(self) -> int:
        """Of the levels."""
        return len(self.levels) + self.other

    @property
    def width(self) -> int:
        """How many of the network's inputs it makes."""
        return 1 if self.coded else self.codes_count

    @property
    def kind(self) -> str:
        """In words."""
        gaps = None in self.levels
        return f"{len(self.levels) - gaps} levels" + " and missing" * gaps + " and other" * self.other

    @classmethod
    def learn(cls, name: str, values: np.ndarray, rows=slice(None), coded: bool = False) -> Category:
        """From the given rows of strings, of which None is a level of its own; beyond 1,000 the most frequent."""
        counts = Counter(values[rows].tolist())
        missing = (None,) * (counts.pop(None, 0) > 0)
        kept = sorted(counts)
        if len(kept) > MAX_LEVELS:
            kept = sorted(sorted(counts, key=lambda level: (-counts[level], level))[:MAX_LEVELS])
        return cls(name, (*kept, *missing), len(counts) > MAX_LEVELS, coded)

    def encode(self, values: np.ndarray, dtype, out: np.ndarray, warn) -> None:
        """Into the columns of ``out``."""
        codes = self.codes(values)
        if self.other:
            codes[(codes < 0) & ~missing_in(values)] = len(self.levels)
        if self.coded:
            out[:, 0] = codes
        else:
            out[codes >= 0, codes[codes >= 0]] = 1
        unseen = (codes < 0) & ~missing_in(values)
        if warn and unseen.any():
            warn(f"column {self.name!r}: values not in the training table: {int(unseen.sum())}, such as "
                 f"{plain(values, int(np.argmax(unseen)))!r}; they count as none of its levels")

    def codes(self, values: np.ndarray) -> np.ndarray:
        """The place of each value among the levels, also of one that is written like a level; -1 where there is none.
        """
        places = self.places
        given = [None if value != value else value for value in values.tolist()]       # a column of nothing is of NaN
        known = {value: places.get(value, places.get(written(value), -1)) for value in set(given)}
        return np.array([known[value] for value in given], dtype=int)


@dataclass(frozen=True)
class Text:
    """A column of free text: its words are hashed into ``features`` signed counts, divided by their length.

    (Weinberger et al. 2009, arXiv 0902.2206.) Nothing is learned, so a word that is new does no harm; the hash is
    CRC-32, the same everywhere. A missing text has no words.
    """

    name: str
    features: int = 16

    @property
    def width(self) -> int:
        """How many of the network's inputs it makes."""
        return self.features

    @property
    def kind(self) -> str:
        """In words."""
        return f"text, its words hashed into {self.features} numbers"

    def texts(self, values: np.ndarray) -> np.ndarray:
        """Values of a table as strings, None where one is missing; a time as NumPy writes it."""
        if values.dtype.kind != "M":
            return as_text(values)
        return np.where(np.isnat(values), np.array(None), values.astype(str))

    def encode(self, values: np.ndarray, dtype, out: np.ndarray, warn) -> None:
        """Into the columns of ``out``."""
        given = values.tolist()
        known = {value: self.hashed(str(value)) for value in set(given) if value is not None and value == value}
        nothing = np.zeros(self.features)
        out[:] = [known.get(value, nothing) for value in given]

    def hashed(self, text: str) -> np.ndarray:
        """Of one text."""
        found = np.zeros(self.features)
        for word in words_of(text):
            code = zlib.crc32(word.encode("utf-8", "surrogatepass"))
            found[(code >> 1) % self.features] += 1 if code & 1 else -1
        return found / (np.linalg.norm(found) or 1)


Column = Number | Date | Category | Text


# ---- values ----

def as_numbers(name: str, values: np.ndarray, written: Spelling | None = None, decimal: str = ".",
               lenient: bool = False) -> np.ndarray:
    """Numbers as they are, and those of strings and of True and False; ValueError names the first that is none.

    A string without a digit is missing if it is one of few, or with ``lenient``.
    """
    if values.dtype.kind in "Mm":
        raise ValueError(f"column {name!r} must hold numbers, got dates or times")
    if values.dtype.kind != "O":
        return values
    given = values.tolist()
    if are_booleans(values):
        return np.array([np.nan if value is None else float(value) for value in given])
    numbers, strange = values, list(range(len(values) + 1))                     # of the way that reads most
    for find in (lambda: written, lambda: spelling.of_numbers(values, usual=decimal), lambda: Spelling(decimal)):
        way = find()
        if way is None:
            continue
        read = way.numbers(values)
        left = [row for row in np.flatnonzero(np.isnan(read)) if given[row] is not None]
        if len(left) < len(strange):
            numbers, strange = read, left
        if len(strange) <= (1 - spelling.NEARLY_ALL) * len(values):
            break
    if strange and not (lenient and not any(map(has_digit, (given[row] for row in strange)))) and (
            len(strange) > (1 - spelling.NEARLY_ALL) * len(values)):
        raise ValueError(f"column {name!r} must hold numbers, got {given[strange[0]]!r} in row {strange[0]}, counted "
                         "from 0")
    return numbers


def are_booleans(values: np.ndarray) -> bool:
    """Whether a column holds true, false and gaps alone."""
    return values.dtype.kind == "b" or (values.dtype.kind == "O" and all(
        value is None or isinstance(value, bool) for value in values.tolist()))


def as_booleans(name: str, values: np.ndarray, decimal: str = ".") -> np.ndarray:
    """1 for true and 0 for false, also as text, and numbers as text; ValueError names the first that is neither."""
    texts = as_text(values)
    known = {text: spelling.TRUTH.get(text.strip().casefold(), np.nan) for text in set(texts.tolist()) - {None}}
    truths = np.array([known.get(text, np.nan) for text in texts.tolist()])
    numbers = np.where(np.isnan(truths), Spelling(decimal).numbers(texts), truths)
    strange = np.isnan(numbers) & spelling.there(texts)
    if strange.any():
        row = int(np.argmax(strange))
        raise ValueError(f"column {name!r} holds true or false at training; got {texts[row]!r} in row {row}, counted "
                         "from 0")
    return numbers


def as_text(values: np.ndarray) -> np.ndarray:
    """Strings, None where a value is missing; whole numbers without a point, dates as :func:`written` has them."""
    missing = missing_in(values)
    return np.array([None if gone else written(value) for value, gone in zip(values.tolist(), missing, strict=True)],
                    dtype=object)


def as_dates(name: str, values: np.ndarray) -> np.ndarray:
    """Dates as they are, and those of strings; ValueError names the first that is none."""
    if values.dtype.kind == "M":
        return values
    found = spelling.dates(values) if values.dtype.kind == "O" else None
    if found is None:
        missing = missing_in(values)
        if missing.all():
            return np.full(len(values), np.datetime64("NaT", "us"))
        row = int(np.argmin(missing))
        raise ValueError(f"column {name!r} must hold dates such as 2024-02-29, got {plain(values, row)!r} in row "
                         f"{row}, counted from 0")
    return found


def has_digit(value) -> bool:
    """Whether a string may hold a number."""
    return any(character.isdigit() for character in str(value))


def plain(values: np.ndarray, row: int):
    """A value as Python's own, which a message shows as it was written; a date as text."""
    value = values[row:row + 1].tolist()[0]
    return written(value) if isinstance(value, datetime.date) else value


def missing_in(values: np.ndarray) -> np.ndarray:
    """Where values are missing: None, NaN, NaT and infinity."""
    if values.dtype.kind == "O":
        return np.equal(values, None).astype(bool)      # type: ignore[call-overload]
    return np.isnat(values) if values.dtype.kind in "mM" else ~np.isfinite(values)


def written(value) -> str:
    """A level as a string: whole numbers without a point, dates as 2024-07-04 or 2024-07-04 12:30:00."""
    if isinstance(value, datetime.date):
        return spelling.of_time(value)
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _offset(values: np.ndarray) -> int | float:
    """What is subtracted before anything is added up, so that a small spread is not lost; 0 where none would be."""
    low, high = plain(values, int(np.argmin(values))), plain(values, int(np.argmax(values)))
    if isinstance(low, bool):
        return 0
    largest, spread = max(abs(low), abs(high)), high - low
    if not np.isfinite(float(spread)) or (largest < MAX_EXACT and not 0 < spread <= NARROW * largest):
        return 0
    if isinstance(low, int):
        return low
    return low if spread <= NARROW * largest else 0


def _less(values: np.ndarray, offset: int | float) -> np.ndarray:
    """values - offset, exactly where both are whole numbers."""
    if values.dtype.kind in "biu" and isinstance(offset, int):
        return np.array([value - offset for value in values.tolist()], dtype=float)
    return values.astype(float) - offset


def _parts(times: np.ndarray, first: int) -> dict[str, np.ndarray]:
    """Of datetime64[us]."""
    days, months = times.astype("datetime64[D]"), times.astype("datetime64[M]")
    years = times.astype("datetime64[Y]")
    return {"days": (times.astype(np.int64) - first) / 86_400e6,
            "year": years.astype(np.int64) + 1970,
            "month": (months - years.astype("datetime64[M]")).astype(np.int64) + 1,
            "day": (days - months.astype("datetime64[D]")).astype(np.int64) + 1,
            "weekday": (days.astype(np.int64) + 3) % 7,
            "hour": (times - days).astype(np.int64) // 3_600_000_000}


# ---- as JSON ----

def to_dict(column: Column) -> dict:
    """What :func:`from_dict` reads; what is as by default is left out, but for what every reader expects."""
    if isinstance(column, Date):
        return {"kind": "date", **asdict(column), "parts": [to_dict(part) for part in column.parts]}
    value = {"kind": type(column).__name__.lower(), **asdict(column)}
    for field in fields(column):
        if field.name != "constant" and value[field.name] == field.default:
            del value[field.name]
    return value


def from_dict(value: dict) -> Column:
    """ValueError, KeyError or TypeError where it is no column."""
    name = str(value["name"])
    if value["kind"] == "number":
        return _number(name, value)
    if value["kind"] == "date":
        parts = tuple(_number(str(part["name"]), part) for part in value["parts"])
        names = [part.name for part in parts]
        if not names or len(set(names)) < len(names) or not set(names) <= {"days", *PARTS}:
            raise ValueError(f"column {name!r} has the parts {names!s:.80}")
        return Date(name, _time(value["first"]), parts, None if value["fill"] is None else _time(value["fill"]),
                    value["gaps"] is True)
    if value["kind"] == "text":
        features = value.get("features", Text.features)
        if type(features) is not int or not 0 < features <= MAX_HASHED:
            raise ValueError(f"column {name!r} has {features!r:.40} features")
        return Text(name, features)
    levels = tuple(value["levels"])
    if not levels or len(set(levels)) < len(levels) or not all(
            level is None or isinstance(level, str | int) for level in levels):
        raise ValueError(f"column {name!r} has levels {levels!r}")
    return Category(name, levels, value.get("other", False) is True, value.get("coded", False) is True)


def _number(name: str, value: dict) -> Number:
    offset, fill, written = value.get("offset", 0), value.get("fill"), value.get("spelling")
    number = Number(name, float(value["mean"]), float(value["scale"]), value.get("constant", False) is True,
                    offset if isinstance(offset, int) else float(offset), None if fill is None else float(fill),
                    value.get("gaps", False) is True,
                    None if written is None else Spelling(*(str(written[key]) for key in (
                        "decimal", "thousands", "unit"))), value.get("boolean", False) is True)
    if not (np.isfinite(number.mean) and np.isfinite(number.scale) and number.scale > 0
            and np.isfinite(float(number.offset)) and np.isfinite(0.0 if number.fill is None else number.fill)):
        raise ValueError(f"column {name!r} has mean {number.mean}, scale {number.scale}, offset {number.offset} and "
                         f"fill {number.fill}")
    return number


def _time(value) -> int:
    if type(value) is not int or abs(value) > MAX_TIME:
        raise ValueError(f"a time is {value!r:.40}")
    return value
