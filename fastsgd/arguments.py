"""What counts as a number among the arguments of losses, layers, optimizers and schedules, and which name was meant."""
from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from numbers import Integral, Real
from typing import Any


def is_number(value: Any) -> bool:
    """Whether it is a real number, which a bool is not."""
    return isinstance(value, Real) and not isinstance(value, bool)


def check_factor(name: str, value: Any) -> float:
    """value as Python's float; ValueError unless it is a finite number, at least 0.

    >>> check_factor("learning_rate_factor", 6)
    6.0
    """
    if not is_number(value) or not 0 <= value < math.inf:
        raise ValueError(f"{name} must be a finite number, at least 0, got {value!r}")
    return float(value)


def did_you_mean(name: str, names: Iterable[str], show: Callable[[str], str] = str) -> str:
    """For the end of a message: the name that is close, if one is.

    >>> did_you_mean("--epoch", ["--epochs", "--seed"])
    '; did you mean --epochs?'
    >>> did_you_mean("fly", ["train"])
    ''
    """
    import difflib  # which only messages need
    close = difflib.get_close_matches(name, list(names), 1)
    return f"; did you mean {show(close[0])}?" if close else ""


def hint_of(name: Any, names: Iterable[str], elsewhere: Mapping[str, str]) -> str:
    """What a name is likely meant to be, for the end of a message; "" where that is not clear.

    ``elsewhere`` has names of other libraries.

    >>> hint_of("rleu", ["relu", "tanh"], {}), hint_of("sigmoid", ["logistic"], {"sigmoid": "logistic"})
    ("; did you mean 'relu'?", "; did you mean 'logistic'?")
    """
    if not isinstance(name, str):
        return ""
    lower = name.lower()
    return f"; did you mean {elsewhere[lower]!r}?" if lower in elsewhere else did_you_mean(lower, names, repr)


def check_whole(name: str, value: Any, least: int) -> int:
    """value as Python's int; TypeError or ValueError unless it is a whole number, at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be a whole number, got {value!r}")
    if int(value) < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")
    return int(value)
