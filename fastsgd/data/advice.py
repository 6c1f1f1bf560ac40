"""Advice for runs that diverge or learn nothing: columns and targets far from unit size, and how to scale them."""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastsgd.data.checks import Csr
from fastsgd.deprecation import warn_at_caller
from fastsgd.model.architecture import Architecture

FAR = 10.0                       # from 1, up or down: of the root mean square of a column or a target
LOOKED_AT = 1000                 # rows at most,
NUMBERS = 2**22                  # and about so many numbers


def warn(message: str, kind: type[Warning] = UserWarning) -> None:
    """A warning that points at the first caller outside this package."""
    warn_at_caller(message, kind)


def of_divergence(architecture: Architecture, X, y: np.ndarray, rate: float, dtype: np.dtype,
                  order: np.ndarray | None = None) -> str:
    """What to do about a cost that stopped being finite on rows, or on those of them in ``order``."""
    few_X, few_y, _ = some_rows(X, y, None, order)
    if causes := far_from_unit_size(architecture, few_X, few_y, too_small=False):
        return f"{'. '.join(causes)}. Or try a smaller learning rate (it was {rate:g})"
    return f"Try a smaller learning rate (it was {rate:g})" + ("" if dtype == np.float64 else ", or dtype='float64'")


def far_from_unit_size(architecture: Architecture, X, y: np.ndarray, too_small: bool = True) -> list[str]:
    """A sentence on the targets and one on the columns that are too large, or with ``too_small`` too small.

    X and y are as the kernel takes them.
    """
    found = _of_targets(architecture, y, too_small), _of_columns(architecture, X, too_small)
    return [cause for cause in found if cause]


def some_rows(X: Any, y: np.ndarray, weight: np.ndarray | None,
              order: np.ndarray | None = None) -> tuple[Any, np.ndarray, np.ndarray | None]:
    """Some rows, evenly spread over all or over those of the numbers in ``order``, with their targets and weights."""
    few = evenly_spread(len(y), X.shape[1], order)
    return X[few], y[few], None if weight is None else weight[few]


def evenly_spread(rows: int, columns: int, order: np.ndarray | None) -> np.ndarray:
    """The numbers of some of so many rows, or of those in ``order``."""
    rows = rows if order is None else len(order)
    most = min(LOOKED_AT, max(10, NUMBERS // columns))
    few = np.linspace(0, rows - 1, min(rows, most)).astype(int)
    return few if order is None else order[few]


def is_far(size: float, too_small: bool = True) -> bool:
    """Whether a root mean square is far from 1; 0 is nothing that could be scaled."""
    return size > FAR or (too_small and 0 < size < 1 / FAR)


def sizes_of_columns(X) -> np.ndarray:
    """The root mean square of each column, (columns,), as float64."""
    with np.errstate(over="ignore"):
        return np.sqrt(np.mean(np.square(np.asarray(X, dtype=float)), axis=0))


def _of_columns(architecture: Architecture, X, too_small: bool) -> str:
    """On the column of X with the largest root mean square, of those that are numbers."""
    if isinstance(X, Csr):
        return _of_entries(architecture, X, too_small)
    with np.errstate(all="ignore"):
        scaled = X.astype(float) * architecture.input_scale + architecture.input_offset
        sizes = sizes_of_columns(scaled)
        sizes[[column for column, _ in architecture.layers[0].categories]] = 0
        column = int(np.argmax(sizes))
        mean, spread = float(scaled[:, column].mean()), float(scaled[:, column].std())
    if not is_far(sizes[column], too_small):
        return ""
    has = (f"Column {column} of X has mean {mean:.3g} and standard deviation {spread:.3g}"
           f"{' after input_scale' if architecture.scales_input else ''}")
    if not spread:
        return f"{has}: it is constant, leave it out"
    if X.dtype == np.uint8 and not architecture.scales_input:
        return f"{has}: bytes are made a unit by the network's input_scale=1/255"
    return (f"{has}: scale the columns to about unit size, with the network's input_scale=1 / s and "
            "input_offset=-m / s, where m and s are their means and standard deviations, or with scikit-learn's "
            "StandardScaler")


def _of_entries(architecture: Architecture, X: Csr, too_small: bool) -> str:
    """On sparse rows, whose values are scaled already."""
    size = math.sqrt(np.mean(np.square(X.values, dtype=float))) if len(X.values) else 1.0
    if not is_far(size, too_small):
        return ""
    scale = f"input_scale={architecture.input_scale[0] / size:.2g}" if len(architecture.input_scale) == 1 else (
        f"{1 / size:.2g} times as large an input_scale")
    return (f"The entries of X have a root mean square of {size:.3g}"
            f"{' after input_scale' if architecture.scales_input else ''}: scale them to about unit size, with {scale}")


def _of_targets(architecture: Architecture, y: np.ndarray, too_small: bool) -> str:
    """On the largest of the targets, or on the one that varies least."""
    loss, last = architecture.loss_type, architecture.activations[-1]
    if loss.targets.metric == "accuracy" or y.ndim == 1:
        return ""
    with np.errstate(all="ignore"):
        y = y.astype(float)
        means, spreads = y.mean(axis=0), y.std(axis=0)
        sizes = np.maximum(abs(means), spreads)
    output = int(np.argmax(sizes)) if sizes.max() > FAR else int(np.argmin(spreads))
    if sizes[output] <= FAR and not (too_small and not loss.targets.sign and 0 < spreads[output] < 1 / FAR):
        return ""
    scale = np.broadcast_to(architecture.output_scale, means.shape)[output]
    mean = means[output] * scale + np.broadcast_to(architecture.output_offset, means.shape)[output]
    spread = spreads[output] * scale
    several = y.shape[1] > 1 and not loss.of_one_target
    if loss.targets.sign:
        cure = "divide it by its mean"
    elif not architecture.takes_unit:
        cure = f"scale it into the range of the {last} output"
    elif not np.isfinite(spread):
        cure = f"divide it by {abs(y[:, output]).max() * scale:.0e}"
    elif several:
        cure = "give the network their units, output_scale=y.std(axis=0) and output_offset=y.mean(axis=0)"
    else:
        cure = f"give the network its unit, output_scale={spread or 1:.3g} and output_offset={mean:.4g}"
    name = f"Column {output} of y" if several else "The target y"
    return f"{name} has mean {mean:.4g} and standard deviation {spread:.3g}, far from unit size: {cure}"
