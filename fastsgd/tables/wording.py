"""How messages name the columns of a table, what is missing in them, and the options that help."""
from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np

from fastsgd.tables.columns import missing_in

LISTED = 6         # columns that a line names


def how_to_drop(name: str) -> str:
    """For a message: the option."""
    return _option("--drop", name)


def how_to_keep(name: str) -> str:
    """For a message: the option."""
    return _option("--keep", name)


def _option(option: str, name: str) -> str:
    return f"{option}{'=' if name.startswith('-') else ' '}{shell_word(name)}"


def shell_word(text: str | Path) -> str:
    """Quoted, where that is needed, as the system's shells read it: those of POSIX, or cmd and PowerShell."""
    return subprocess.list2cmdline([str(text)]) if sys.platform == "win32" else shlex.quote(str(text))


def suffix_in_words(suffix: str) -> str:
    """For the end of a message.

    >>> suffix_in_words(".png"), suffix_in_words("")
    ("'.png'", 'no suffix')
    """
    return repr(suffix) if suffix else "no suffix"


def some(parts: list[str]) -> str:
    """The first of them in one line."""
    return ", ".join(parts[:LISTED]) + f", {len(parts) - LISTED} more" * (len(parts) > LISTED)


def refuse_missing(columns: dict[str, np.ndarray], advice: str = "") -> None:
    """ValueError that names all columns with values missing."""
    missing = {name: gone for name, values in columns.items() if (gone := missing_in(values)).any()}
    if not missing:
        return
    parts = [f"{name!r} {int(gone.sum()):,}, the first in row {int(np.argmax(gone))}"
             for name, gone in missing.items()]
    advice = advice or ("fill them, or drop the rows or the column" + "s" * (len(missing) > 1) + " ("
                        + " ".join(how_to_drop(name) for name in list(missing)[:LISTED]) + ")")
    raise ValueError(f"values missing (as NA, None and null are in a CSV file, too) or infinite: column "
                     f"{some(parts)}, counted from 0; {advice}")
