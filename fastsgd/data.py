"""Arrays in: what the kernel may rely on is established here, and what it cannot use is refused by name."""
import contextlib
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
    if array.shape[1] != columns:
        raise ValueError(f"{name} must have shape (rows, {columns}), columns being the network's first size; "
                         f"got {array.shape}")
    array = to_dtype(array, dtype, name)
    rows_in_place = len(array) == 1 or (array.strides[0] >= columns * dtype.itemsize
                                        and array.strides[0] % dtype.itemsize == 0)
    if array.strides[1] != dtype.itemsize or not rows_in_place or not array.flags.aligned:
        array = np.array(array, order="C")
    return array


def check_targets(y, rows: int, outputs: int, loss: str, dtype: np.dtype, name: str = "y") -> np.ndarray:
    """y as the kernel takes it: int32 class labels (rows,) or a contiguous (rows, outputs) array of targets."""
    array = as_numbers(y, name)
    if array.ndim not in (1, 2):
        raise ValueError(f"{name} must be 1-D or 2-D, got shape {array.shape}")
    if len(array) != rows:
        raise ValueError(f"{name} must have one entry per row of X ({rows}), got {len(array)}")
    if loss == "cross_entropy" and (array.ndim == 1 or array.shape[1] == 1):
        return check_labels(array.reshape(-1), outputs, name)
    if array.ndim == 1:
        array = array[:, np.newaxis]
    if array.shape[1] == 1 and loss == "quantile":
        array = np.broadcast_to(array, (rows, outputs))      # every quantile of the same quantity
    if array.shape[1] != outputs:
        raise ValueError(f"{name} must have shape ({rows}, {outputs}), outputs being the network's last size; "
                         f"got {array.shape}")
    array = np.ascontiguousarray(to_dtype(array, dtype, name))
    if loss in CLASSIFICATION and (array.min() < 0 or array.max() > 1):
        raise ValueError(f"{name} must lie between 0 and 1 for {loss}, got {array.min()} to {array.max()}")
    if loss == "cross_entropy":
        sums = array.sum(axis=1)
        at = int(abs(sums - 1).argmax())
        if abs(sums[at] - 1) > 1e-3:
            raise ValueError(f"{name} must have rows that sum to 1 for cross_entropy; row {at} sums to {sums[at]:g}")
    if loss == "poisson" and array.min() < 0:
        raise ValueError(f"{name} must not be negative for poisson, got {array.min()}")
    return array


def check_labels(labels: np.ndarray, classes: int, name: str) -> np.ndarray:
    """Labels 0 .. classes - 1 as int32; floats that are whole are taken too."""
    wrong = (labels < 0) | (labels >= classes)
    if labels.dtype.kind == "f":
        wrong |= ~np.isfinite(labels) | (labels != np.floor(labels))
    if wrong.any():
        at = int(wrong.argmax())
        raise ValueError(f"{name} must be class labels, whole numbers 0 to {classes - 1}; {name}[{at}] is {labels[at]}")
    return np.array(labels, dtype=np.int32)          # a copy: the kernel trusts them while the caller's may change


def check_batch_size(batch_size, rows: int) -> int:
    """The rows of a mini-batch: None and anything beyond ``rows`` mean all of them."""
    if batch_size is None:
        return rows
    if isinstance(batch_size, bool) or not isinstance(batch_size, Integral):
        raise TypeError(f"batch_size must be a whole number, or None for all rows, got {batch_size!r}")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, or None for all rows, got {batch_size}")
    return min(int(batch_size), rows)


def generator(seed) -> np.random.Generator:
    """NumPy's generator of this seed; None draws one from the operating system."""
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError) as error:
        raise type(error)(f"seed must be None or a whole number at least 0, got {seed!r}") from None


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
    if array.dtype.kind == "O" and not any(isinstance(value, str | bytes) for value in array.flat):
        with contextlib.suppress(TypeError, ValueError, OverflowError):   # else refused below, as objects
            array = array.astype(float)
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
