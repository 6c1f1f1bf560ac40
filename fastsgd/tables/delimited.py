"""CSV and the like: encoding, separator and header are found here; pandas reads the rest."""
from __future__ import annotations

import csv
import io
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import IO

from fastsgd.tables.reading import Reading

MAX_HEADER = 16 * 2**20  # in characters
SAMPLE = 2**16               # bytes that are looked at
SAMPLE_ROWS = 200
SEPARATORS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "pipes", " ": "blanks"}
PART_OF_ROWS = 0.9           # so many must have as many values as the header
MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}
MAGIC = {b"PK\x03\x04": "a zip archive (.xlsx, .zip or .npz?)", b"\x1f\x8b": "a gzip file (.gz?)", b"BZh": "a bzip2 "
         "file (.bz2?)", b"\xfd7zXZ": "an xz file (.xz?)", b"PAR1": "a Parquet file (.parquet?)", b"%PDF": "a PDF",
         b"\x89PNG": "a picture", b"\xd0\xcf\x11\xe0": "an old Excel file (.xls?)", b"ARROW1": "an Arrow file "
         "(.feather?)"}
_EXPECTED = re.compile(r"Expected (\d+) fields in line (\d+), saw (\d+)")
_QUOTE = re.compile(r"EOF inside string starting at row (\d+)")
_NUMBER = re.compile(r"[-+]?[\d.,\s]*\d[\d.,\s]*(?:[eE][-+]?\d+)?%?")
_PLAIN, _COMMA = re.compile(r"[-+]?\d+(\.\d+)?([eE][-+]?\d+)?"), re.compile(r"[-+]?\d+,\d+")
_THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2}([.,]\d{3})+")


class Unreadable(ValueError):
    """What is wrong with a file, in our words."""


def read_delimited(opened: Callable[[], IO[bytes]], suffix: str, text: Iterable[str], reading: Reading, tell, pandas):
    """``(DataFrame, reading)`` of a file that ``opened()`` opens; ``tell`` is told what it was taken for.

    What a row holds beyond the header is refused: pandas would make row labels of its first values. So are names that
    come twice: it would make others of them, in a time that grows with the square of their number.
    """
    with opened() as file:
        head = file.read(SAMPLE)
    for magic, what in MAGIC.items():
        if head.startswith(magic):
            raise Unreadable(f"it is no text but {what}")
    marked = next((name for mark, name in MARKS.items() if head.startswith(mark)), None)
    encodings = [reading.encoding] if reading.encoding else ["utf-16"] if marked == "utf-16" else [
        marked or "utf-8", "cp1252", "latin-1"]
    for encoding in encodings:
        try:
            found = _read(opened, head, encoding, suffix, tuple(text), reading, pandas)
        except UnicodeError:
            if b"\0" in head and len(encodings) > 1:
                raise Unreadable("it is no text") from None
            continue
        frame, reading, notes = found
        if encoding in ("cp1252", "latin-1") and not reading.encoding:
            notes.insert(0, f"its characters are read as {'Windows-1252' if encoding == 'cp1252' else 'latin-1'}, as "
                            "they are not utf-8 (--encoding)")
        if notes:
            tell("; ".join(notes))
        return frame, reading
    raise Unreadable(f"its characters are not {encodings[0]} (--encoding)")


def _read(opened, head: bytes, encoding: str, suffix: str, text: tuple[str, ...], reading: Reading, pandas):
    sample = io.StringIO(head.decode(encoding, errors="ignore"), newline="")
    lines = sample.readlines()
    lines = lines[:-1] if len(head) == SAMPLE and len(lines) > 1 else lines
    sep, above = _layout(lines, suffix, reading.sep)
    notes = []
    if sep != "," and reading.sep is None and not (sep == "\t" and suffix == ".tsv"):
        notes.append(f"separated by {SEPARATORS[sep]} (--sep)")
    with opened() as file, io.TextIOWrapper(file, encoding, newline="") as decoded:
        names, passed = _header(decoded, sep, above)
    if above:
        notes.append(f"lines above the header, which are passed over: {passed}, such as {lines[0].strip()[:60]!r}")
    refuse_repeated(filter(None, names))
    if names and all(map(_NUMBER.fullmatch, names)) and names != [str(i) for i in range(len(names))]:
        notes.append(f"its header is of numbers ({', '.join(names[:3])[:60]}); a file without a header needs one")
    usual = reading.decimal or _usual_mark(lines[passed:], sep)
    if usual != "." and reading.decimal is None:
        notes.append("decimal commas (--decimal)")
    options = {"sep": r"\s+" if sep == " " else sep, "encoding": encoding, "index_col": False,
               "dtype": dict.fromkeys((name for name in text if name in names), str), "low_memory": False,
               "decimal": usual, "thousands": reading.thousands or None, "skiprows": passed,
               "na_values": list(reading.na) or None}
    with warnings.catch_warnings(), opened() as file:
        warnings.simplefilter("error", pandas.errors.ParserWarning)
        warnings.simplefilter("ignore", pandas.errors.DtypeWarning)
        try:
            frame = pandas.read_csv(file, **options)
        except (pandas.errors.ParserWarning, pandas.errors.ParserError, pandas.errors.EmptyDataError) as error:
            raise Unreadable(_in_words(str(error), passed)) from None
    return frame, replace(reading, usual=usual), notes


def _in_words(message: str, passed: int) -> str:
    """What pandas says of a file that it does not take."""
    if found := _EXPECTED.search(message):
        return (f"a row holds more values than the header has names: line {int(found[2])} has {found[3]}, the header "
                f"{found[1]}")
    if found := _QUOTE.search(message):
        return f"a quotation mark in line {int(found[1]) + passed + 1} is never closed"
    if "header" in message:
        return "a row holds more values than the header has names"
    if "No columns" in message:
        return "it is empty"
    return "a line of it is malformed"


def _header(file: IO[str], sep: str, above: int) -> tuple[list[str], int]:
    """The names, and how many lines lie above them."""
    lines = _beginning(file)
    if sep == " ":
        rows: Iterator[list[str]] = (line.split() for line in lines)
        return next((row for row in islice(rows, above, None) if row), []), above
    reader = csv.reader(lines, delimiter=sep)
    passed = 0
    for row in reader:
        if above > 0:
            above, passed = above - 1, reader.line_num
        elif row:
            return row, passed
    return [], passed


def _beginning(file: IO[str]) -> Iterator[str]:
    """Lines, as long as they may be of the header."""
    left = MAX_HEADER
    while line := file.readline(left + 1):
        left -= len(line)
        if left < 0:
            raise Unreadable(f"its header is longer than the {MAX_HEADER:,} characters that are allowed")
        yield line


def refuse_repeated(names: Iterable[str]) -> None:
    """Of columns."""
    if repeated := sorted(name for name, count in Counter(names).items() if count > 1):
        raise Unreadable(f"it has two columns of one name: {repeated!s:.300}")


# ---- what a sample shows ----

def _layout(lines: list[str], suffix: str, said: str | None) -> tuple[str, int]:
    """The separator, and how many rows lie above the header."""
    usual = "\t" if suffix == ".tsv" else ","
    candidates = [said] if said else [usual, *(sep for sep in SEPARATORS if sep not in (usual, " "))]
    found = {}
    for order, sep in enumerate(candidates):
        if judged := _judge(lines, sep):
            part, width, above = judged
            found[sep] = ((round(part, 1), width, -order), above)
    if not found and said is None and (judged := _judge(lines, " ", numbers=suffix == ".csv")):
        return " ", judged[2]
    if not found:
        return said or _of_header(lines, usual), 0
    best = max(found, key=lambda sep: found[sep][0])
    return best, found[best][1]


def _of_header(lines: list[str], usual: str) -> str:
    """The separator of a header whose rows do not fit it, if most of them have it too."""
    rows = [line for line in lines[:SAMPLE_ROWS] if line.strip()]
    for sep in SEPARATORS:
        if sep not in (usual, " ") and rows and usual not in rows[0] and sep in rows[0] and (
                2 * sum(sep in row for row in rows) > len(rows)):
            return sep
    return usual


def _judge(lines: list[str], sep: str, numbers: bool = False) -> tuple[float, int, int] | None:
    """Which part of the rows has the most frequent number of values, that number, and the rows above the header.

    None where the rows above the header are none that may be passed over: a title, a comment, an empty row.
    """
    try:
        rows = list(islice((line.split() for line in lines) if sep == " " else
                           csv.reader(lines, delimiter=sep), SAMPLE_ROWS))
    except csv.Error:
        return None
    widths = Counter(len(row) for row in rows if row)
    if not widths:
        return None
    width = max(widths, key=lambda size: (widths[size], size))
    if width < 2:
        return None
    above = next((i for i, row in enumerate(rows) if len(row) == width and _filled(row) > 1), 0)
    header, below = rows[above], rows[above + 1:]
    if any(_filled(row) > 1 and not row[0].lstrip().startswith("#") for row in rows[:above]):
        return None
    if above == 0 and header[0].lstrip().startswith("#") and len(rows) > 2 and len(rows[1]) == width and not any(
            map(_NUMBER.fullmatch, rows[1])) and any(map(_NUMBER.fullmatch, rows[2])):
        above, header, below = 1, rows[1], rows[2:]
    if not any(rows[:above]):
        above = 0                                          # empty lines are passed over in any case
    elif any(not name.strip() or _NUMBER.fullmatch(name.strip()) for name in header):
        return None
    below = [row for row in below if row]
    part = sum(len(row) == width for row in below) / len(below) if below else 1.0
    if part < PART_OF_ROWS:
        return None
    if numbers and not (below and sum(bool(_NUMBER.fullmatch(value)) for row in below for value in row)
                        > 0.5 * sum(map(len, below))):
        return None
    return part, width, above


def _filled(row: list[str]) -> int:
    return sum(bool(value.strip()) for value in row)


def _usual_mark(lines: list[str], sep: str) -> str:
    """The decimal mark: a comma where values have one that is not between thousands, and no point is one."""
    if sep == ",":
        return "."
    values = [value.strip() for line in lines[:SAMPLE_ROWS]
              for value in (line.split() if sep == " " else line.rstrip("\r\n").split(sep))]
    commas = [value for value in values if _COMMA.fullmatch(value)]
    points = any("." in value and _PLAIN.fullmatch(value) and not _THOUSANDS.fullmatch(value) for value in values)
    certain = sep == ";" or not all(map(_THOUSANDS.fullmatch, commas))
    return "," if commas and certain and not points else "."
