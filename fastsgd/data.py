"""Arrays in: what the kernel may rely on is established here, and what it cannot use is refused by name."""
from numbers import Integral

import numpy as np

CLASSIFICATION = ("cross_entropy", "binary_cross_entropy")


def check_rows(X, columns: int, dtype: np.dtype, name: str = "X") -> np.ndarray:
    """X as a (rows, columns) array of this dtype whose rows are contiguous; a copy only where needed.

    Raises TypeError for what is not a table of real numbers, ValueError for a wrong shape, no rows, NaN,
    infinity or values beyond the dtype.
    """
    array = as_numbers(X, name)
    if array.ndim != 2:
        hint = "; .reshape(1, -1) makes it one row" if array.ndim == 1 else ""
        raise ValueError(f"{name} must be 2-D (rows, columns), got shape {array.shape}{hint}")
    if array.shape[0] == 0:
        raise ValueError(f"{name} must have at least one row, got shape {array.shape}")
    if array.shape[1] != columns:
        raise ValueError(f"{name} must have {columns} columns, the network's first size, got {array.shape[1]}")
    array = to_dtype(array, dtype, name)
    if array.strides[1] != dtype.itemsize or (len(array) > 1 and array.strides[0] < columns * dtype.itemsize):
        array = np.ascontiguousarray(array)
    return array


def check_targets(y, rows: int, outputs: int, loss: str, dtype: np.dtype, name: str = "y") -> np.ndarray:
    """y as the kernel takes it: int32 class labels (rows,) or a contiguous (rows, outputs) array of targets."""
    array = as_numbers(y, name)
    if array.ndim not in (1, 2):
        raise ValueError(f"{name} must be 1-D or 2-D, got shape {array.shape}")
    if len(array) != rows:
        raise ValueError(f"{name} must have one entry per row of X ({rows}), got {len(array)}")
    if loss == "cross_entropy" and (array.ndim == 1 or array.shape[1] == 1 != outputs):
        return check_labels(array.reshape(-1), outputs, name)
    if array.ndim == 1:
        array = array[:, np.newaxis]
    if array.shape[1] == 1 and loss == "quantile":
        array = np.broadcast_to(array, (rows, outputs))      # every quantile of the same quantity
    if array.shape[1] != outputs:
        raise ValueError(f"{name} must have {outputs} columns, the network's last size, got {array.shape[1]}")
    array = np.ascontiguousarray(to_dtype(array, dtype, name))
    if loss in CLASSIFICATION and (array.min() < 0 or array.max() > 1):
        raise ValueError(f"{name} must lie between 0 and 1 for {loss}, got {array.min()} to {array.max()}")
    if loss == "poisson" and array.min() < 0:
        raise ValueError(f"{name} must not be negative for poisson, got {array.min()}")
    return array


def check_labels(labels: np.ndarray, classes: int, name: str) -> np.ndarray:
    """Whole numbers 0 .. classes - 1 as int32; floats that are whole are taken too."""
    if labels.dtype.kind == "f" and not (np.isfinite(labels).all() and (labels == np.floor(labels)).all()):
        raise ValueError(f"{name} must be class labels 0 to {classes - 1}, got numbers that are not whole")
    low, high = labels.min(), labels.max()
    if low < 0 or high >= classes:
        raise ValueError(f"{name} must be class labels 0 to {classes - 1}, got {low} to {high}")
    return np.ascontiguousarray(labels, dtype=np.int32)


def check_batch_size(batch_size, rows: int) -> int:
    """The rows of a mini-batch: None and anything beyond ``rows`` mean all of them."""
    if batch_size is None:
        return rows
    if isinstance(batch_size, bool) or not isinstance(batch_size, Integral):
        raise TypeError(f"batch_size must be a whole number, or None for all rows, got {batch_size!r}")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, or None for all rows, got {batch_size}")
    return min(int(batch_size), rows)


def as_numbers(values, name: str) -> np.ndarray:
    """values as a NumPy array of integers, booleans or floats."""
    if values is None:
        raise TypeError(f"{name} must hold real numbers, got None")
    if hasattr(values, "toarray") and not isinstance(values, np.ndarray):
        raise TypeError(f"{name} is sparse, which is not supported yet; pass {name}.toarray()")
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise TypeError(f"{name} has masked values; fill or drop them first")
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name} is not a rectangular array: {error}") from None
    if array.dtype.kind == "O":
        try:
            array = array.astype(float)
        except (TypeError, ValueError):
            pass
    if array.dtype.kind not in "biuf":
        hint = "; encode strings as numbers first" if array.dtype.kind in "OUST" else ""
        raise TypeError(f"{name} must hold real numbers, got dtype {array.dtype}{hint}")
    if array.size == 0:
        raise ValueError(f"{name} is empty, shape {array.shape}")
    return array


def to_dtype(array: np.ndarray, dtype: np.dtype, name: str) -> np.ndarray:
    """array as dtype, finite throughout."""
    with np.errstate(over="ignore", invalid="ignore"):
        converted = array.astype(dtype, copy=False)
        # The sum meets every NaN and infinity without an array of booleans; it may overflow by itself.
        if np.isfinite(converted.sum()) or np.isfinite(converted).all():
            return np.asarray(converted)
    at = tuple(int(i) for i in np.argwhere(~np.isfinite(converted))[0])
    if np.isfinite(array[at]):
        raise ValueError(f"{name}{list(at)} is {array[at]}, too large for {dtype}; scale the data or use float64")
    raise ValueError(f"{name}{list(at)} is {array[at]}; NaN and infinity must be removed or filled first")
