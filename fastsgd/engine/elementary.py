"""exp, log, log2, cos and power of float64 that are the same bits on every system.

Python's and NumPy's come from the system's libm or from NumPy's own vectors, which differ in a last bit now and then.
What training depends on, such as the learning rates of a schedule, is computed by these instead: correctly rounded in
all but about one of 2^40 cases (``csrc/elementary.c``).
"""
from __future__ import annotations

from typing import Any

import numpy as np

from fastsgd.engine import _kernel


def exp(x: Any) -> Any:
    """e to the power x, element by element, float64."""
    return _apply("exp", x)


def log(x: Any) -> Any:
    """The natural logarithm; -inf of 0, NaN of what is below."""
    return _apply("log", x)


def log2(x: Any) -> Any:
    """The logarithm to base 2.

    >>> float(log2(8))
    3.0
    """
    return _apply("log2", x)


def cos(x: Any) -> Any:
    """The cosine of x in radians; NaN from 2^30 on, in either direction."""
    return _apply("cos", x)


def power(x: Any, y: Any) -> Any:
    """x to the power y; NaN where x is below 0, whole exponents too.

    >>> power([4, 9], 0.5)
    array([2., 3.])
    """
    x, y = np.broadcast_arrays(np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64))
    out = np.empty(x.size)
    _kernel.elementary_power(np.ascontiguousarray(x).ravel(), np.ascontiguousarray(y).ravel(), out)
    return out.reshape(x.shape)[()]


def _apply(name: str, x: Any) -> Any:
    x = np.asarray(x, dtype=np.float64)
    out = np.empty(x.size)
    _kernel.elementary(name, np.ascontiguousarray(x).ravel(), out)
    return out.reshape(x.shape)[()]
