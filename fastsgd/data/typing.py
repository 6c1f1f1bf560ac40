"""Types of what may be given as rows and targets, for type checkers: importing NumPy's takes 9 ms."""
from __future__ import annotations

from typing import Any, Protocol

from numpy.typing import ArrayLike

from fastsgd.data.checks import Csr

__all__ = ["ArrayLike", "RowsLike", "SparseMatrix"]


class SparseMatrix(Protocol):
    """A SciPy sparse matrix or array."""

    def tocsr(self) -> Any:
        """The same as CSR."""


RowsLike = ArrayLike | SparseMatrix | Csr
