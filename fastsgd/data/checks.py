"""Checks of arguments: arrays become what the kernel may rely on; errors name what it cannot use."""
from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np

from fastsgd.arguments import is_number
from fastsgd.files.atomic import require_regular
from fastsgd.layers import UNKNOWN
from fastsgd.losses import LOSSES, MARGINS
from fastsgd.model.architecture import Architecture

NOT_ENOUGH_MEMORY = 8                # Windows' word for a mapping that is longer than its file


@dataclass(frozen=True)
class Csr:
    """Sparse rows as the kernel takes them: compressed (CSR), the columns of a row in increasing order.

    Row r has ``values[indptr[r]:indptr[r + 1]]`` in the columns ``indices[...]`` of the same range; indptr is int64,
    indices int32.
    """

    indptr: np.ndarray
    indices: np.ndarray
    values: np.ndarray
    shape: tuple[int, int]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows) -> Csr:
        """The rows of these numbers."""
        entries = [np.arange(self.indptr[row], self.indptr[row + 1]) for row in rows]
        chosen = np.concatenate(entries) if entries else np.empty(0, np.int64)
        indptr = np.concatenate([[0], np.cumsum([len(part) for part in entries], dtype=np.int64)]).astype(np.int64)
        return Csr(indptr, self.indices[chosen], self.values[chosen], (len(rows), self.shape[1]))

    def dense(self) -> np.ndarray:
        """All rows with their zeros."""
        out = np.zeros(self.shape, self.values.dtype)
        stored = slice(0, self.indptr[-1])
        out[np.repeat(np.arange(len(self)), np.diff(self.indptr)), self.indices[stored]] = self.values[stored]
        return out


def copy_if_shared(array, given):
    """The array, or a copy of it where it shares memory with what was given, which its owner may change."""
    if isinstance(array, Csr):
        parts = ((array.indptr, "indptr"), (array.indices, "indices"), (array.values, "data"))
        indptr, indices, values = (copy_if_shared(part, getattr(given, name, None)) for part, name in parts)
        return Csr(indptr, indices, values, array.shape)
    return array.copy() if np.may_share_memory(array, np.asarray(given)) else array


def stack(parts: Sequence[np.ndarray | Csr]) -> np.ndarray | Csr:
    """Concatenates rows, dense or sparse."""
    if len(parts) == 1:
        return parts[0]
    sparse = [part for part in parts if isinstance(part, Csr)]
    if not sparse:
        return np.concatenate([part for part in parts if isinstance(part, np.ndarray)])
    counts = [int(part.indptr[-1]) for part in sparse]
    starts = np.cumsum([0, *counts])
    indptr = np.concatenate([[0], *(part.indptr[1:] + start for part, start in zip(sparse, starts[:-1], strict=True))])
    return Csr(indptr.astype(np.int64),
               np.concatenate([part.indices[:count] for part, count in zip(sparse, counts, strict=True)]),
               np.concatenate([part.values[:count] for part, count in zip(sparse, counts, strict=True)]),
               (sum(len(part) for part in sparse), sparse[0].shape[1]))


def check_rows(X, columns: int, dtype: np.dtype, name: str = "X", scale: tuple[float, ...] = (1.0,),
               offset: tuple[float, ...] = (0.0,), categories: Sequence[tuple[int, int]] = ()) -> np.ndarray | Csr:
    """X as a (rows, columns) array whose rows are contiguous, of this dtype or uint8; a copy only where needed.

    A sparse matrix becomes a :class:`Csr`, which is already scaled and never made dense; a Csr stays as it is.
    ``categories`` are columns that hold codes, and their numbers of levels.

    Raises TypeError for what is not a table of real numbers, ValueError for a wrong shape, no rows, NaN,
    infinity or values beyond the dtype.
    """
    if categories and (isinstance(X, Csr) or hasattr(X, "tocsr")):
        raise TypeError(f"{name} must be dense where columns hold codes of categories; pass {name}.toarray()")
    if isinstance(X, Csr):
        _check_shape(X.shape, columns, name)
        return X
    if hasattr(X, "tocsr"):
        return _check_sparse(X, columns, dtype, name, scale, offset)
    array = as_numbers(X, name)
    _check_shape(array.shape, columns, name)
    if array.strides[0] == 0 and len(array) > 1:         # a broadcast row: fail early where there is no memory for all
        array = np.array(array, order="C")
    if array.dtype != np.uint8:
        array = to_dtype(array, dtype, name)
    item = array.itemsize
    rows_in_place = len(array) == 1 or (array.strides[0] >= columns * item and array.strides[0] % item == 0)
    if array.strides[1] != item or not rows_in_place or not array.flags.aligned:
        array = np.array(array, order="C")
    check_codes(array, categories, name)
    return array


def check_codes(X: np.ndarray, categories: Sequence[tuple[int, int]], name: str = "X") -> None:
    """ValueError where a column of categories holds what is none of its codes."""
    for column, levels in categories:
        codes = X[:, column]
        wrong = (codes < 0) & (codes != UNKNOWN) if codes.dtype.kind != "u" else np.zeros(len(codes), bool)
        wrong |= codes >= levels
        if codes.dtype.kind == "f":
            wrong |= codes != np.floor(codes)
        if wrong.any():
            row = int(np.argmax(wrong))
            raise ValueError(f"{name}[{row}, {column}] is {codes[row]:g}; column {column} has codes 0 to {levels - 1}, "
                             f"or {UNKNOWN} for an unknown category")


def check_mapped_rows(X, columns: int, name: str = "X") -> np.ndarray:
    """An array that is mapped from a file, as it is; its values are checked where they are read."""
    array = np.asarray(X)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold real numbers, got dtype {array.dtype}")
    _check_shape(array.shape, columns, name)
    if array.size == 0:
        raise ValueError(f"{name} is empty, shape {array.shape}")
    return array


def open_npy(values, name: str):
    """An array, or where it is given by the path of an .npy file that file mapped into memory."""
    if not isinstance(values, str | os.PathLike):
        return values
    if not os.fspath(values).endswith(".npy"):
        raise TypeError(f"{name} must hold real numbers or be the path of an .npy file, got {os.fspath(values)!r}")
    if not os.path.exists(values):
        raise FileNotFoundError(f"{name} must be an array or the path of an .npy file: there is no file "
                                f"{os.fspath(values)!r}")
    require_regular(values)
    try:
        return np.lib.format.open_memmap(values, mode="r")
    except (OSError, MemoryError) as error:
        if getattr(error, "winerror", None) == NOT_ENOUGH_MEMORY:
            raise ValueError(f"{name} cannot be read from {os.fspath(values)}: it is shorter than its header "
                             "says") from None
        raise
    except Exception as error:                             # NumPy's parser raises errors of many kinds
        raise ValueError(f"{name} cannot be read from {os.fspath(values)}: {error!s:.300}") from None


def _check_shape(shape: tuple[int, ...], columns: int, name: str) -> None:
    if len(shape) != 2:
        hint = "; .reshape(1, -1) makes it one row" if len(shape) == 1 else ""
        raise ValueError(f"{name} must be 2-D (rows, columns), got shape {shape}{hint}")
    if shape[1] != columns:
        raise ValueError(f"{name} must have shape (rows, {columns}), columns being the network's first size; "
                         f"got {shape}")


def _check_sparse(X, columns: int, dtype: np.dtype, name: str, scale: tuple[float, ...],
                  offset: tuple[float, ...]) -> Csr:
    _check_shape(X.shape, columns, name)
    if any(offset):
        raise ValueError(f"{name} is sparse, so the network's input_offset must be 0: it would make every zero "
                         "something else")
    if X.shape[0] == 0:
        raise ValueError(f"{name} is empty, shape {X.shape}")
    X = X.tocsr()
    indptr, indices = np.array(X.indptr), np.array(X.indices)          # copies: the caller's may change after the check
    if len(indptr) != X.shape[0] + 1 or indptr[0] != 0 or (np.diff(indptr) < 0).any() or indptr[-1] > len(indices) or \
            len(indices) != len(X.data):
        raise ValueError(f"{name} is not a CSR matrix: its indptr must rise from 0 to at most its number of entries")
    outside = (indices < 0) | (indices >= columns)
    if outside.any():
        at = int(outside.argmax())
        raise ValueError(f"{name}.indices[{at}] is {indices[at]}; allowed are 0 to {columns - 1}")
    rising = indices[1:] > indices[:-1]
    ends = indptr[1:-1]
    rising[ends[(ends > 0) & (ends < len(indices))] - 1] = True         # columns may fall from one row to the next
    if not rising.all():
        X = X.copy()
        X.indptr, X.indices = indptr, indices
        X.has_canonical_format = False                                  # whatever its flag says
        X.sum_duplicates()
        indptr, indices = X.indptr, X.indices
    values = to_dtype(as_numbers(X.data, name), dtype, f"{name}.data") if len(X.data) else np.empty(0, dtype)
    indices = np.ascontiguousarray(indices, dtype=np.int32)
    if scale != (1.0,):
        factors = np.empty(columns, dtype)
        factors[:] = scale
        with np.errstate(over="ignore"):
            scaled = values * factors[indices]
        if not np.isfinite(scaled).all():
            at = int(np.isfinite(scaled).argmin())
            raise ValueError(f"{name}.data[{at}] is {values[at]:g}, which times input_scale {factors[indices[at]]:g} "
                             f"is too large for {dtype}")
        values = scaled
    return Csr(np.ascontiguousarray(indptr, dtype=np.int64), indices, np.ascontiguousarray(values), X.shape)


def check_targets(y, rows: int, architecture: Architecture, dtype: np.dtype, name: str = "y") -> np.ndarray:
    """y as the kernel takes it: int32 class labels (rows,) or a contiguous array of targets (rows, columns)."""
    array, outputs, loss = as_numbers(y, name), architecture.sizes[-1], architecture.loss
    kind = architecture.loss_type.targets
    if array.ndim not in (1, 2):
        raise ValueError(f"{name} must be 1-D or 2-D, got shape {array.shape}")
    if len(array) != rows:
        raise ValueError(f"{name} must have one entry per row of X ({rows}), got {len(array)}")
    if kind.classes and (array.ndim == 1 or array.shape[1] == 1):
        return check_labels(array.reshape(-1), architecture.targets, name)
    if kind.classes and not kind.probabilities:
        raise ValueError(f"{name} must be class labels ({rows},) for {loss}, got shape {array.shape}")
    if kind.one_vs_rest and array.ndim == 1 and outputs > 1:
        return check_labels(array, outputs, name)
    if array.ndim == 1:
        array = array[:, np.newaxis]
    if array.shape[1] == 1 and architecture.loss_type.of_one_target:
        array = np.broadcast_to(array, (rows, outputs))      # every quantile of the same quantity
    if array.shape[1] != architecture.targets:
        per_target = architecture.loss_type.outputs_per_target
        which = "outputs being the network's last size" if per_target == 1 else (
            f"one column for each {per_target} of the network's {outputs} outputs")
        raise ValueError(f"{name} must have shape ({rows}, {architecture.targets}), {which}; got {array.shape}")
    if architecture.activations[-1] == "sorted" and (array != array[:, :1]).any():
        raise ValueError(f"{name} must be one target, ({rows}, 1), where outputs are sorted; its columns differ")
    if architecture.scales_output:                           # in double: differences of large numbers
        array = (to_dtype(array, np.dtype(float), name) - architecture.output_offset) / architecture.output_scale
    array = np.ascontiguousarray(to_dtype(array, dtype, name))
    if kind is MARGINS:
        other = ~np.isin(array, (-1, 0, 1))
        if other.any():
            raise ValueError(f"{name} must be -1 or 1, or 0 or 1, for {loss}, got {array[other][0]}")
        return np.where(array > 0, array, dtype.type(-1))
    if kind.probabilities and (array.min() < 0 or array.max() > 1):
        raise ValueError(f"{name} must lie between 0 and 1 for {loss}, got {array.min()} to {array.max()}")
    if kind.classes:
        sums = array.sum(axis=1)
        at = int(abs(sums - 1).argmax())
        if abs(sums[at] - 1) > 1e-3:
            raise ValueError(f"{name} must have rows that sum to 1 for {loss}; row {at} sums to {sums[at]:g}")
    if kind.sign and array.min() < 0:
        raise ValueError(f"{name} must not be negative for {loss}, got {array.min()}")
    if kind.sign == "above 0" and array.min() < np.finfo(dtype).tiny:
        raise ValueError(f"{name} must be above 0 for {loss}, in {dtype} at least {np.finfo(dtype).tiny:.3g}, got "
                         f"{array.min()}")
    return array


def check_labels(labels: np.ndarray, classes: int, name: str) -> np.ndarray:
    """Labels 0 .. classes - 1 as int32; floats that are whole are taken too."""
    wrong = (labels < 0) | (labels >= classes)
    if labels.dtype.kind == "f":
        wrong |= ~np.isfinite(labels) | (labels != np.floor(labels))
    if wrong.any():
        at, of_all = int(wrong.argmax()), name if name.isidentifier() else "labels_of_all_rows"
        raise ValueError(f"{name} must be class labels, whole numbers 0 to {classes - 1}; {name}[{at}] is "
                         f"{labels[at]}; np.unique({of_all}, return_inverse=True)[1] numbers classes from 0, and "
                         "quantities need a loss such as squared_error")
    return np.array(labels, dtype=np.int32)          # a copy: the kernel trusts them while the caller's may change


def check_sample_weight(weights, rows: int, name: str = "sample_weight", all_zero: bool = False,
                        dtype: np.dtype | None = None) -> np.ndarray | None:
    """The weight of each row, float64 (rows,): at least 0, and not all 0 unless ``all_zero``. None weighs all alike.

    With a ``dtype`` weighted gradients must stay within its range; weights that are 0 in it become 0.
    """
    if weights is None:
        return None
    array = to_dtype(as_numbers(weights, name), np.dtype(float), name)
    if array.shape != (rows,):
        raise ValueError(f"{name} must have shape ({rows},), one weight per row of X, got {array.shape}")
    if array.min() < 0:
        at = int(array.argmin())
        raise ValueError(f"{name} must not be negative; {name}[{at}] is {array[at]:g}")
    if not array.any() and not all_zero:
        raise ValueError(f"{name} is 0 throughout, so no row counts")
    if dtype is not None:
        return weights_of_gradients(array, name, dtype, all_zero)
    return np.array(array, order="C")                # a copy: the kernel trusts it while the caller's may change


def weights_of_gradients(weights: np.ndarray, name: str, dtype, all_zero: bool = False) -> np.ndarray:
    """A copy of weights that were checked, for gradients of this dtype; ValueError where these would leave its range.

    Those whose gradients would be 0 become 0.
    """
    largest, most = float(weights.max()), float(np.finfo(dtype).max) ** 0.75
    if largest > most or (not all_zero and largest < 1 / most):
        raise ValueError(f"{name} is at most {largest:g}; with {dtype} its largest must lie between {1 / most:.0e} "
                         f"and {most:.0e}: divide all by the same number")
    array = np.array(weights, order="C")
    array[array < np.finfo(dtype).tiny] = 0          # else the gradient would lose the row but be divided by its weight
    return array


def check_class_weight(class_weight, y: np.ndarray, loss: str, classes: int,
                       sample_weight: np.ndarray | None = None) -> np.ndarray | None:
    """The weight of each row by its class, float64 (rows,), or None.

    "balanced" weighs every class alike, as :func:`weights_of_classes` says.
    """
    if class_weight is None:
        return None
    kind = LOSSES[loss].targets
    if kind.one_vs_rest and y.ndim == 2 and y.shape[1] == 1:
        labels, classes = (y[:, 0] > 0.5).astype(int), 2
    elif kind.classes:
        labels = y if y.ndim == 1 else y.argmax(axis=1)
    else:
        others = [name for name, other in LOSSES.items() if other.targets.one_vs_rest]
        of_classes = [name for name, other in LOSSES.items() if other.targets.classes]
        raise ValueError(f"class_weight needs {', '.join(of_classes)}, or class labels, or one output of "
                         f"{', '.join(others)}; this network has {loss}")
    weights = weights_of_classes(class_weight, labels, classes, sample_weight)
    return check_sample_weight(weights[labels], len(labels), "class_weight of the rows", all_zero=True)


def check_positive_weight(class_weight, labels: np.ndarray, classes: int,
                          sample_weight: np.ndarray | None = None) -> tuple[float, ...]:
    """The weight of each class where outputs are trained one-vs-rest, one number per output; () for None."""
    if class_weight is None:
        return ()
    weights = weights_of_classes(class_weight, labels, classes, sample_weight)
    check_sample_weight(weights, classes, "class_weight", all_zero=True)
    return tuple(float(weight) for weight in weights)


def weights_of_classes(class_weight, labels: np.ndarray, classes: int,
                       sample_weight: np.ndarray | None = None) -> np.ndarray:
    """The weight of each class, (classes,), from the argument of ``train``; its sign is not checked.

    "balanced" is n / (k * n_c): n and n_c are the rows, of all classes and of one, or the sums of their
    ``sample_weight``; k is the number of classes for which n_c is above 0. A row of weight 0 counts as left out.

    >>> weights_of_classes("balanced", np.array([0, 0, 0, 1]), 2, np.array([1.0, 1.0, 0.0, 1.0]))
    array([0.75, 1.5 ])
    """
    if isinstance(class_weight, str):
        if class_weight != "balanced":
            raise ValueError(f"class_weight must be 'balanced', a dict or a sequence, got {class_weight!r}")
        counts = np.bincount(labels, minlength=classes) if sample_weight is None else \
            np.bincount(labels, sample_weight, classes)
        weights = counts.sum() / ((counts > 0).sum() * np.where(counts > 0, counts, 1))
    elif isinstance(class_weight, dict):
        weights = np.ones(classes)
        for label, weight in class_weight.items():
            if isinstance(label, bool) or not isinstance(label, Integral) or not 0 <= int(label) < classes:
                raise ValueError(f"class_weight must be for classes 0 to {classes - 1}, got {label!r}")
            if not is_number(weight):
                raise TypeError(f"class_weight must hold numbers, got {weight!r} for class {label}")
            weights[label] = weight
    else:
        weights = as_numbers(class_weight, "class_weight").astype(float)
        if weights.shape != (classes,):
            raise ValueError(f"class_weight must have one weight for each of the {classes} classes, got shape "
                             f"{weights.shape}")
    return weights


def check_batch_size(batch_size, rows: int) -> int:
    """The rows of a mini-batch: None and anything beyond ``rows`` mean all of them."""
    if batch_size is None:
        return rows
    if isinstance(batch_size, bool) or not isinstance(batch_size, Integral):
        raise TypeError(f"batch_size must be a whole number, or None for all rows, got {batch_size!r}")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, or None for all rows, got {batch_size}")
    return min(int(batch_size), rows)


def check_fraction(value, name: str, least_included: bool = False) -> None:
    """TypeError or ValueError unless value is a number between 0 and 1; 0 itself only where it is included."""
    if not is_number(value):
        raise TypeError(f"{name} must be a number between 0 and 1, got {value!r}")
    if not 0 <= float(value) < 1 or not (value or least_included):
        raise ValueError(f"{name} must be {'at least' if least_included else 'above'} 0 and below 1, got {value}")


def check_rates(dropout, hidden: int) -> tuple[Any, ...]:
    """A dropout rate for each hidden layer from one for all or one each; none where nothing is dropped.

    A rate is a number, or a function of the step.
    """
    one_for_all = isinstance(dropout, Real) or callable(dropout)
    try:
        given = (dropout,) if one_for_all else tuple(dropout)
    except TypeError:
        raise TypeError(f"dropout must be a number, or one per hidden layer, got {dropout!r}") from None
    for rate in given:
        if not callable(rate):
            check_fraction(rate, "dropout", least_included=True)
    if one_for_all and dropout and not hidden:
        raise ValueError("dropout acts on hidden layers; this network has none")
    if not one_for_all and len(given) != hidden:
        raise ValueError(f"dropout must be one number or {hidden}, one per hidden layer, got {len(given)}")
    rates = tuple(rate if callable(rate) else float(rate) for rate in given) * (hidden if one_for_all else 1)
    return rates if any(rates) else ()


def generator(seed) -> np.random.Generator:
    """NumPy's generator of this seed; None draws one from the operating system."""
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError) as error:
        raise type(error)(f"seed must be None or a whole number at least 0, got {seed!r}") from None


def one_seed(seed) -> Any:
    """The seed, or a drawn one for None: for several runs that are to have the same order of the rows."""
    return int(generator(None).integers(2**63)) if seed is None else seed


def as_numbers(values, name: str) -> np.ndarray:
    """values as a NumPy array of integers, booleans or floats."""
    if values is None:
        raise TypeError(f"{name} must hold real numbers, got None")
    if isinstance(values, str | bytes | os.PathLike):
        raise TypeError(f"{name} must be an array of real numbers, got {values!r:.80}; np.load reads an .npy file")
    if hasattr(values, "toarray") and not isinstance(values, np.ndarray):
        raise TypeError(f"{name} must be dense; pass {name}.toarray()")
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
        gone = [type(value).__name__ == "NAType" for value in array.flat] if array.dtype.kind == "O" else []
        if any(gone):
            at = [int(i) for i in np.unravel_index(gone.index(True), array.shape)]
            raise ValueError(f"{name}{at} is missing (pandas.NA); missing values must be removed or filled first")
        hint = "; encode strings as numbers first" if array.dtype.kind in "OUST" else ""
        raise TypeError(f"{name} must hold real numbers, got dtype {array.dtype}{hint}")
    if array.size == 0:
        raise ValueError(f"{name} is empty, shape {array.shape}")
    return array


def to_dtype(array: np.ndarray, dtype: np.dtype, name: str) -> np.ndarray:
    """array as dtype, finite throughout."""
    with np.errstate(over="ignore", invalid="ignore"):
        converted = array.astype(dtype, copy=False)
        # A sum finds every NaN and infinity without an array of booleans; as it may overflow, all are checked then.
        if np.isfinite(converted.sum()) or np.isfinite(converted).all():
            return np.asarray(converted)
    at = tuple(int(i) for i in np.argwhere(~np.isfinite(converted))[0])
    if np.isfinite(array[at]):
        raise ValueError(f"{name}{list(at)} is {array[at]}, too large for {dtype}; scale the data or use float64")
    raise ValueError(f"{name}{list(at)} is {array[at]}; NaN and infinity must be removed or filled first")
