"""Columns that identify rows and do not describe them: row numbers, identifiers, free text."""
from __future__ import annotations

import re

import numpy as np

DIFFERENT = 0.8            # so large a part of the rows makes a column of strings free text
FEW = 20                   # different strings are levels in any case
_WORDS = re.compile(r"\w+")
_INDEX = re.compile(r"|unnamed: *\d+(\.\d+)?|level_\d+|index|row[._ ]?(names?|id|num(ber)?|no|nr)?")
_COUNTER = re.compile(r"#|order|obs\.?|observation|case|no\.?|nr\.?|number|seq|sequence|s\.?no\.?|sr\.?( ?no\.?)?")
_CODE = re.compile(r"(.*[^a-z])?(code|codes|zip|zip_?code|postcode|postal_?code|plz)")
_IDENTIFIER = re.compile(r"(.*[^a-z0-9])?(id|ids|[pugcs]id|uuid|guid)|.*[a-z0-9](ID|Id|UUID|Guid)")


def why_left_out(name: str, values: np.ndarray, rows=slice(None), text: bool = True) -> str:
    """What a column is that should not be learned from, nothing where it may.

    An index is a column without a name, or one that is called index, row, rownames or the like; an identifier is called
    id, or its name ends so (user_id, userId). Both are whole numbers or strings that are all different. A column
    called order, number, case or the like is left out where it counts the rows from 0 or 1, and the index that pandas
    keeps in a Parquet file in any case; free text, or with ``text`` False only that whose words do not come again.
    """
    if name.startswith("__index_level_"):
        return "row numbers" if values.dtype.kind in "iuf" else "row names"
    whole = values.dtype.kind in "iuO" or (values.dtype.kind == "f" and _are_whole(values))
    if whole and len(values) > 1 and (names_index(name) or names_identifier(name)) and _all_different(values):
        return "row numbers" if names_index(name) and values.dtype.kind != "O" else (
            "row names" if names_index(name) else "an identifier: all values are different")
    if whole and _COUNTER.fullmatch(name.strip().lower()) and _are_row_numbers(values):
        return "row numbers"
    if values.dtype.kind != "O" or not (found := free_text(values, rows)):
        return ""
    return found if text else _of_words_once(values[rows])


def free_text(values: np.ndarray, rows=slice(None)) -> str:
    """What strings are that are too different for categories: more than 20, in more than 0.8 of the given rows."""
    given = [value for value in values[rows].tolist() if value is not None]
    different = len(set(given))
    if different > FEW and different > DIFFERENT * len(given):
        return f"text: {different:,} different values in {len(given):,} rows"
    return ""


def _of_words_once(values: np.ndarray) -> str:
    """What text is whose words tell of no other row."""
    words = [word for value in values.tolist() if value is not None for word in words_of(str(value))]
    different = len(set(words))
    if different > DIFFERENT * len(words):
        return f"an identifier: {different:,} different words of {len(words):,}"
    return ""


def words_of(text: str) -> list[str]:
    """The words of a text, and its numbers."""
    return _WORDS.findall(text.casefold())


def names_code(name: str) -> bool:
    """Whether whole numbers of this name are no amounts: a code, an identifier, a postal code."""
    return names_identifier(name) or _CODE.fullmatch(name.strip().lower()) is not None


def names_index(name: str) -> bool:
    """Whether a column is called as pandas, R and databases call row numbers."""
    return _INDEX.fullmatch(name.strip().lower()) is not None


def names_identifier(name: str) -> bool:
    """Whether a name is or ends with id."""
    return _IDENTIFIER.fullmatch(name.strip().lower()) is not None or _IDENTIFIER.fullmatch(name.strip()) is not None


def _are_whole(values: np.ndarray) -> bool:
    return bool(np.isfinite(values).all()) and bool((values == np.floor(values)).all())


def _are_row_numbers(values: np.ndarray) -> bool:
    """From 0 or 1, in the order of the rows."""
    return values.dtype.kind != "O" and len(values) > 1 and values[0] in (0, 1) and bool(
        (values == np.arange(len(values)) + values[0]).all())


def _all_different(values: np.ndarray) -> bool:
    given = values.tolist()
    return None not in given and len(set(given)) == len(given)
