"""What a classifier's outputs (rows, outputs) say: the class of each row, and the probability of each class."""
from __future__ import annotations

import numpy as np

from fastsgd.losses import Targets


def labels_of(outputs: np.ndarray, kind: Targets) -> np.ndarray:
    """The class of each row, (rows,): the largest output, of equal ones the first; of classes in order see
    ``losses.Ordinal``.

    >>> from fastsgd.losses import CLASSES, LEVELS
    >>> outputs = np.array([[0.9, 0.8], [0.7, 0.2], [0.2, 0.7]])
    >>> labels_of(outputs, CLASSES).tolist(), labels_of(outputs, LEVELS).tolist()
    ([0, 0, 1], [2, 1, 1])
    """
    return (outputs > 0.5).sum(axis=1) if kind.in_order else outputs.argmax(axis=1)


def probabilities_of(outputs: np.ndarray, kind: Targets) -> np.ndarray:
    """The outputs, or of classes in order the differences of each row's outputs, sorted, from 1 down to 0.

    The class that :func:`labels_of` says is then the median.

    >>> from fastsgd.losses import LEVELS
    >>> probabilities_of(np.array([[0.75, 0.5], [0.25, 0.75]]), LEVELS).tolist()
    [[0.25, 0.25, 0.5], [0.25, 0.5, 0.25]]
    """
    if not kind.in_order:
        return outputs
    return -np.diff(np.sort(outputs, axis=1)[:, ::-1], axis=1, prepend=1, append=0)
