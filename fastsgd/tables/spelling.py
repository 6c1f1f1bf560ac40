"""Numbers and dates that are written as text: "$1,234", "5.1%", "(5)", "2024-02-29T12:30"."""
from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

NEARLY_ALL = 0.9           # of the different values, and of the rows: what is left is no number and counts as missing
TRIED = 1000               # different values that are looked at before all are
MINUS = "\u2212"           # the sign itself
CURRENCIES = "$¢£¤¥฿₠-₿"
_FORM = re.compile(rf"(?P<open>\(?)\s*(?P<sign>[-+\u2212]?)\s*(?P<unit>[{CURRENCIES}]?)\s*(?P<second>[-+\u2212]?)"
                   r"(?P<body>[\d.,'\u2019\s]*\d[\d.,'\u2019\s]*?(?:[eE][-+]?\d{1,4})?)"
                   rf"\s*(?P<after>[%‰{CURRENCIES}]?)\s*(?P<close>\)?)")
_DATE = re.compile(r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})"
                   r"(?:[T ](\d{1,2}):(\d{2})(?::(\d{2})(\.\d{1,9})?)?\s*(?:Z|UTC|[+-]\d{2}:?\d{2})?)?")
_ISO = re.compile(r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2})?)?")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?")     # as Python writes it
_WHOLE = re.compile(r"-?\d+")
_MIDNIGHT = " 00:00:00"
TRUTH = {"true": 1.0, "false": 0.0}
_GAP = re.compile(r"\s+")
_NO_DATE = np.datetime64("NaT", "us")
LONGEST = 64               # characters of a number or a date
NOTHING = {"", "-", "--", "?", ".", "na", "n/a", "#n/a", "<na>", "nan", "nat", "null", "none", "nil", "missing",
           "unknown"}      # words for a missing value, in a column of numbers or dates


@dataclass(frozen=True)
class Spelling:
    """How the numbers of a column of strings are written: the decimal mark, between thousands, and what is beside."""

    decimal: str = "."
    thousands: str = ""
    unit: str = ""

    def __post_init__(self):
        if (self.decimal not in (".", ",") or self.thousands not in ("", ",", ".", " ", "'")
                or self.decimal == self.thousands or len(self.unit) > 1):
            raise ValueError(f"numbers cannot be written with the decimal mark {self.decimal!r:.20}, thousands "
                             f"{self.thousands!r:.20} and unit {self.unit!r:.20}")

    def numbers(self, values: np.ndarray) -> np.ndarray:
        """The numbers of strings; NaN where a value is missing or no number of this spelling."""
        parse = _parser(self.decimal, self.thousands)
        known: dict = {None: np.nan}
        for value in set(values.tolist()) - {None}:
            number, unit = parse(str(value))
            known[value] = np.nan if number is None or unit not in ("", self.unit) else number
        return np.array([known[value] for value in values.tolist()], dtype=float)


def of_numbers(values: np.ndarray, decimal: str | None = None, thousands: str | None = None,
               usual: str = ".") -> Spelling | None:
    """The spelling in which nearly all of the strings are numbers, if there is one.

    ``decimal`` and ``thousands`` are what the user said, if anything; ``usual`` is the file's decimal mark, which
    decides where "1,234" may be either.
    """
    distinct = _distinct(values)
    ways = [(mark, between) for mark in sorted(".,", key=lambda mark: mark != usual)
            for between in ("", ",", ".", " ", "'") if mark != between and decimal in (None, mark)
            and thousands in (None, between)]
    if not ways or not distinct:
        return None
    for part in _sample_and_all(distinct):
        found = {}
        for way in ways:
            found[way] = _judge(part, way)
            if found[way][0] == len(part):
                break
        best = max(found, key=lambda way: found[way][0])
        ways = [way for way in ways if way in found and found[way][0] >= NEARLY_ALL * len(part)]
        if not ways:
            return None
    units = found[best][1]
    if len(units - {""}) > 1 or ("" in units and units & {"%", "‰"}):
        return None
    spelling = Spelling(best[0], best[1], "".join(units))
    if found[best][0] == len(distinct):
        return spelling
    return spelling if np.isfinite(spelling.numbers(values[there(values)])).mean() >= NEARLY_ALL else None


def _distinct(values: np.ndarray) -> list[str]:
    """The different strings, without words that say that a value is missing."""
    return sorted(value for value in set(values.tolist()) if not _says_nothing(value))


def there(values: np.ndarray) -> np.ndarray:
    """Where there is a value, and not a word that says that it is missing."""
    missing = {value: _says_nothing(value) for value in set(values.tolist())}
    return np.array([not missing[value] for value in values.tolist()], dtype=bool)


def _says_nothing(value: str | None) -> bool:
    return value is None or (len(value) <= LONGEST and value.strip().casefold() in NOTHING)


def _sample_and_all(distinct: list[str]) -> Iterable[list[str]]:
    """A sample of many values first: most columns of strings are no numbers."""
    if len(distinct) > 2 * TRIED:
        yield distinct[::len(distinct) // TRIED]
    yield distinct


def _judge(values: Iterable[str], way: tuple[str, str]) -> tuple[int, set[str]]:
    parse, count, units = _parser(*way), 0, set()
    for value in values:
        number, unit = parse(value)
        if number is not None:
            count += 1
            units.add(unit)
    return count, units


def _parser(decimal: str, thousands: str):
    """A function of a string that gives ``(number, unit)``, or None for a number where it is none."""
    mark, whole = re.escape(decimal), r"(?:0|[1-9]\d*)"                   # 007 is a code
    if thousands:
        whole = rf"(?:[1-9]\d{{0,2}}(?:{re.escape(thousands)}\d{{3}})+|{whole})"
    body = re.compile(rf"(?:{whole}(?:{mark}\d*)?|{mark}\d+)(?:[eE][-+]?\d+)?")

    def number_of(digits: str) -> float:
        return float((digits.replace(thousands, "") if thousands else digits).replace(decimal, "."))

    def parse(text: str) -> tuple[float | None, str]:
        if len(text) <= LONGEST and body.fullmatch(text):
            return number_of(text), ""
        form = _FORM.fullmatch(text.strip()) if len(text) <= LONGEST else None
        if form is None or bool(form["open"]) != bool(form["close"]) or (form["unit"] and form["after"]) or (
                form["sign"] and form["second"]):
            return None, ""
        digits = _GAP.sub(" ", form["body"].strip()).replace("\u2019", "'")
        if not body.fullmatch(digits):
            return None, ""
        number = number_of(digits)
        negative = form["open"] or (form["sign"] or form["second"]) in ("-", MINUS)
        return -number if negative else number, form["unit"] or form["after"]

    return parse


def dates(values: np.ndarray) -> np.ndarray | None:
    """The times of strings such as 2024-02-29 or 2024-02-29T12:30:00Z as datetime64[us], if nearly all are some.

    Times of a zone are those of its clocks. What is no date is NaT.
    """
    distinct = _distinct(values)
    if not distinct:
        return None
    for part in _sample_and_all(distinct):
        known = _dates(part)
        if sum(not np.isnat(date) for date in known.values()) < NEARLY_ALL * len(part):
            return None
    found = np.array([known.get(value, _NO_DATE) for value in values.tolist()], dtype="datetime64[us]")
    return found if (~np.isnat(found[there(values)])).mean() >= NEARLY_ALL else None


def _dates(values: list[str]) -> dict:
    if all(map(_ISO.fullmatch, values)):               # as NumPy reads them at once
        try:
            return dict(zip(values, np.array(values, dtype="datetime64[us]"), strict=True))
        except ValueError:
            pass
    return {value: _date(value) for value in values}


def _date(text: str) -> np.datetime64:
    found = _DATE.fullmatch(text.strip()) if len(text) <= LONGEST else None
    if found:
        year, month, day, hour, minute, second, rest = found.groups()
        try:
            return np.datetime64(f"{year}-{month:0>2}-{day:0>2}T{hour or 0:0>2}:{minute or 0:0>2}:{second or 0:0>2}"
                                 f"{(rest or '.0')[:7]}", "us")
        except ValueError:                   # the 30th of February
            pass
    return np.datetime64("NaT", "us")


# ---- levels ----

def of_time(time: datetime.date) -> str:
    """2024-07-04, or 2024-07-04 12:30:00 where it is not midnight; of a time zone what its clocks show.

    >>> of_time(datetime.datetime(2024, 7, 4)), of_time(datetime.datetime(2024, 7, 4, 12, 30))
    ('2024-07-04', '2024-07-04 12:30:00')
    """
    if not isinstance(time, datetime.datetime):
        return time.isoformat()
    return time.replace(tzinfo=None).isoformat(" ", "microseconds").removesuffix(".000000").removesuffix(_MIDNIGHT)


def other_texts(levels: Sequence[str]) -> list[list[str]]:
    """For each level the other texts that files have for it: 4.0 for 4, TRUE for True, 2024-07-04 00:00:00 for a date.

    None where the levels are not all numbers, all true and false, or all dates.
    """
    if all(map(_NUMBER.fullmatch, levels)):
        return [[f"{level}.0"] if _WHOLE.fullmatch(level) else [level.removesuffix(".0")] for level in levels]
    if all(level.casefold() in TRUTH for level in levels):
        return [[level.capitalize(), level.lower(), level.upper()] for level in levels]
    if all(map(_DATE.fullmatch, levels)):
        return [[] if np.isnat(time) else _texts_of(time) for time in map(_date, levels)]
    return [[] for _ in levels]


def _texts_of(time: np.datetime64) -> list[str]:
    whole = str(time).replace("T", " ")
    short = whole.removesuffix(".000000")
    return [short.removesuffix(_MIDNIGHT), short, short.replace(" ", "T"), whole, whole.replace(" ", "T")]
