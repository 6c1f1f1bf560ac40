"""What is far from unit size, the usual cause of a run that diverges or learns nothing, and the cure, in words."""
from __future__ import annotations

import math

import numpy as np

from fastsgd.architecture import QUANTITIES, Architecture
from fastsgd.data import CLASSIFICATION, Csr

FAR = 10.0                       # from 1, up or down: of the root mean square of a column or a target
LOOKED_AT = 1000                 # rows at most


def of_divergence(architecture: Architecture, X, y: np.ndarray, rate: float, dtype: np.dtype,
                  order: np.ndarray | None = None) -> str:
    """What to do about a cost that stopped being finite on rows, or on those of them in ``order``."""
    few = evenly_spread(len(y) if order is None else len(order))
    few = few if order is None else order[few]
    if causes := far_from_unit_size(architecture, X[few], y[few]):
        return f"{'. '.join(causes)}. Or try a smaller learning rate (it was {rate:g})"
    return f"Try a smaller learning rate (it was {rate:g})" + ("" if dtype == np.float64 else ", or dtype='float64'")


def far_from_unit_size(architecture: Architecture, X, y: np.ndarray) -> list[str]:
    """A sentence of the targets and one of the columns, where they are far; X and y as the kernel takes them."""
    return [cause for cause in (_of_targets(architecture, y), _of_columns(architecture, X)) if cause]


def evenly_spread(rows: int) -> np.ndarray:
    """The numbers of at most LOOKED_AT rows."""
    return np.linspace(0, rows - 1, min(rows, LOOKED_AT)).astype(int)


def is_far(size: float) -> bool:
    """Whether a root mean square is far from 1; 0 is nothing that could be scaled."""
    return size > FAR or 0 < size < 1 / FAR


def sizes_of_columns(X) -> np.ndarray:
    """The root mean square of each column, (columns,), as float64."""
    with np.errstate(over="ignore"):
        return np.sqrt(np.mean(np.square(np.asarray(X, dtype=float)), axis=0))


def _of_columns(architecture: Architecture, X) -> str:
    """Of the column of X that is farthest up, or of all where the largest is small."""
    if isinstance(X, Csr):
        return _of_entries(architecture, X)
    with np.errstate(all="ignore"):
        seen = X.astype(float) * architecture.input_scale + architecture.input_offset
        sizes = sizes_of_columns(seen)
        column = int(np.argmax(sizes))
        mean, spread = float(seen[:, column].mean()), float(seen[:, column].std())
    if not is_far(sizes[column]):
        return ""
    has = (f"Column {column} of X has mean {mean:.3g} and standard deviation {spread:.3g}"
           f"{' after input_scale' if architecture.scales_input else ''}")
    if not spread:
        return f"{has}: it is constant, leave it out"
    return (f"{has}: scale the columns to about unit size, with the network's input_scale=1 / s and "
            "input_offset=-m / s, where m and s are their means and standard deviations, or with scikit-learn's "
            "StandardScaler")


def _of_entries(architecture: Architecture, X: Csr) -> str:
    """Of sparse rows, whose values are scaled already."""
    size = math.sqrt(np.mean(np.square(X.values, dtype=float))) if len(X.values) else 1.0
    if not is_far(size):
        return ""
    scale = f"input_scale={architecture.input_scale[0] / size:.2g}" if len(architecture.input_scale) == 1 else (
        f"{1 / size:.2g} times as large an input_scale")
    return (f"The entries of X have a root mean square of {size:.3g}"
            f"{' after input_scale' if architecture.scales_input else ''}: scale them to about unit size, with {scale}")


def _of_targets(architecture: Architecture, y: np.ndarray) -> str:
    """Of the quantity that is farthest up, or of the one that varies least."""
    if architecture.loss in CLASSIFICATION or y.ndim == 1:
        return ""
    with np.errstate(all="ignore"):
        y = y.astype(float)
        means, spreads = y.mean(axis=0), y.std(axis=0)
        sizes = np.maximum(abs(means), spreads)
    output = int(np.argmax(sizes)) if sizes.max() > FAR else int(np.argmin(spreads))
    if sizes[output] <= FAR and not 0 < spreads[output] < 1 / FAR:
        return ""
    scale = np.broadcast_to(architecture.output_scale, means.shape)[output]
    mean = means[output] * scale + np.broadcast_to(architecture.output_offset, means.shape)[output]
    spread = spreads[output] * scale
    several = y.shape[1] > 1 and architecture.loss != "quantile"
    cure = "divide it by its mean"
    if architecture.loss in QUANTITIES and architecture.activations[-1] == "identity":
        cure = f"give the network its unit, output_scale={spread or 1:.3g} and output_offset={mean:.4g}"
        if several:
            cure = "give the network their units, output_scale=y.std(axis=0) and output_offset=y.mean(axis=0)"
    name = f"Column {output} of y" if several else "The target y"
    return f"{name} has mean {mean:.4g} and standard deviation {spread:.3g}, far from unit size: {cure}"
