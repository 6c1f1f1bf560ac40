"""What the value of an option may be: a path, or a number within limits. Any other is refused when it is parsed."""
from __future__ import annotations

import argparse
import math
from collections.abc import Callable


def path(text: str) -> str:
    """Of a file or a folder.

    >>> path("iris.csv")
    'iris.csv'
    """
    if not text:
        raise argparse.ArgumentTypeError(f"it must be a path, got {text!r}")
    return text


def whole(least: int) -> Callable[[str], int]:
    """A whole number, at least so large.

    >>> whole(1)("3")
    3
    """
    def read(text: str) -> int:
        value = _whole_of(text)
        if value is None or value < least:
            raise argparse.ArgumentTypeError(f"it must be a whole number of at least {least}, got {text!r}")
        return value
    return read


def whole_or_auto(text: str) -> int | str:
    """A whole number, at least 1, or "auto".

    >>> whole_or_auto("3"), whole_or_auto("auto")
    (3, 'auto')
    """
    value = text if text == "auto" else _whole_of(text)
    if value is None or (isinstance(value, int) and value < 1):
        raise argparse.ArgumentTypeError(f"it must be a whole number of at least 1, or auto, got {text!r}")
    return value


def number(allowed: str, within: Callable[[float], bool]) -> Callable[[str], float]:
    """A number that is ``within`` limits; ``allowed`` says which. NaN never is.

    >>> number("above 0", lambda value: value > 0)("0.5")
    0.5
    """
    def read(text: str) -> float:
        value = _number_of(text)
        if math.isnan(value) or not within(value):
            raise argparse.ArgumentTypeError(f"it must be a number {allowed}, got {text!r}")
        return value
    return read


above_zero = number("above 0 and finite", lambda value: 0 < value < math.inf)
not_negative = number("of at least 0 and finite", lambda value: 0 <= value < math.inf)
part = number("of at least 0 and below 1", lambda value: 0 <= value < 1)
seconds_between = number("above 0", lambda value: value > 0)


def decay_or_polyak(text: str) -> float | str:
    """Of an average of the parameters.

    >>> decay_or_polyak("0.9"), decay_or_polyak("1")
    (0.9, 'polyak')
    """
    if text == "polyak" or _number_of(text) == 1:
        return "polyak"
    return number("above 0 and below 1, or polyak", lambda value: 0 < value < 1)(text)


def _whole_of(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None


def _number_of(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
