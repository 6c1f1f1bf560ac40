"""Changes of parameters in fewer bytes: float16 or bfloat16, with a common factor."""
from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

TRANSFERS = ("full", "float16", "bfloat16")


@dataclass(frozen=True)
class Packed:
    """Numbers as 16 bits each, times a factor: float16, or the upper half of float32 (bfloat16)."""

    bits: np.ndarray                     # uint16
    kind: str
    factor: float
    dtype: str                           # of the numbers that they stand for

    @property
    def nbytes(self) -> int:
        return self.bits.nbytes


def pack(values: np.ndarray, kind: str) -> Packed:
    """The nearest of such numbers; the largest becomes about 1, so that small ones keep their digits.

    >>> unpack(pack(np.array([1000.0, -0.125, 0.0], np.float32), "bfloat16")).tolist()
    [1000.0, -0.125, 0.0]
    """
    largest = float(abs(values).max(initial=0.0))
    factor = 2.0 ** math.frexp(largest)[1] if largest else 1.0
    numbers = (values / values.dtype.type(factor)).astype(np.float32)
    if kind == "float16":
        return Packed(numbers.astype(np.float16).view(np.uint16), kind, factor, str(values.dtype))
    words = numbers.view(np.uint32)
    rounded = words + np.uint32(0x7FFF) + ((words >> np.uint32(16)) & np.uint32(1))      # to nearest, ties to even
    return Packed((rounded >> np.uint32(16)).astype(np.uint16), kind, factor, str(values.dtype))


def unpack(packed: Packed | np.ndarray) -> np.ndarray:
    """The numbers themselves; an array is its own."""
    if isinstance(packed, np.ndarray):
        return packed
    if packed.kind == "float16":
        numbers = packed.bits.view(np.float16).astype(packed.dtype)
    else:
        numbers = (packed.bits.astype(np.uint32) << np.uint32(16)).view(np.float32).astype(packed.dtype)
    return numbers * numbers.dtype.type(packed.factor)
