"""How good predictions are, as numbers: of classes and of quantities, NumPy alone.

Classes are labels (rows,), whole numbers from 0; scores of classes (rows, classes); quantities (rows,) float.
"""
from __future__ import annotations

import math

import numpy as np


def confusion(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """How many rows of each class (first axis) were taken for which (second), int (classes, classes).

    >>> confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    pairs = labels.astype(np.int64) * classes + predicted
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def precision(table: np.ndarray) -> np.ndarray:
    """Of each class the part of the rows taken for it that are of it; NaN where none was. ``table`` is a confusion.

    >>> precision(np.array([[1, 1], [0, 1]])).tolist()
    [1.0, 0.5]
    """
    return _ratio(table.diagonal(), table.sum(axis=0))


def recall(table: np.ndarray) -> np.ndarray:
    """Of each class the part of its rows that are taken for it; NaN where it has none. ``table`` is a confusion.

    >>> recall(np.array([[1, 1], [0, 1]])).tolist()
    [0.5, 1.0]
    """
    return _ratio(table.diagonal(), table.sum(axis=1))


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)


def log_loss(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """The mean of -log of the probability of each row's own class. One of 0 counts as the dtype's smallest step.

    >>> round(log_loss(np.array([0, 1]), np.array([[0.5, 0.5], [0.25, 0.75]])), 4)
    0.4904
    """
    own = probabilities[np.arange(len(labels)), labels].astype(float)
    return float(-np.log(np.maximum(own, np.finfo(probabilities.dtype).eps)).mean())


def auc(positive: np.ndarray, score: np.ndarray) -> float:
    """The area under the ROC curve: how often a row that is ``positive`` (rows,) bool has the higher score.

    A tie counts half. NaN where all rows are of one kind.

    >>> auc(np.array([False, True, True]), np.array([0.1, 0.1, 0.9]))
    0.75
    """
    yes = int(positive.sum())
    no = len(positive) - yes
    if not yes or not no:
        return math.nan
    _, place, count = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[place]                 # from 1; the mean rank of those that tie
    return float((rank[positive].sum() - yes * (yes + 1) / 2) / (yes * no))


def auc_of_classes(labels: np.ndarray, scores: np.ndarray) -> float:
    """Of two classes the AUC of the second; of several the mean of each one's against the rest, classes without rows
    left out.

    >>> auc_of_classes(np.array([0, 1, 2]), np.eye(3))
    1.0
    """
    if scores.shape[1] == 2:
        return auc(labels == 1, scores[:, 1])
    found = [auc(labels == label, scores[:, label]) for label in np.unique(labels)]
    return float(np.mean(found))


def rmse(y: np.ndarray, predicted: np.ndarray) -> float:
    """The root of the mean squared error.

    >>> rmse(np.array([0.0, 0.0]), np.array([1.0, 7.0]))
    5.0
    """
    return math.sqrt(float(((predicted - y) ** 2).mean()))


def mae(y: np.ndarray, predicted: np.ndarray) -> float:
    """The mean absolute error.

    >>> mae(np.array([0.0, 0.0]), np.array([1.0, -7.0]))
    4.0
    """
    return float(abs(predicted - y).mean())


def r2(y: np.ndarray, predicted: np.ndarray) -> float:
    """1 - the squared errors' sum / that of the differences from the mean of y; NaN where y does not vary.

    >>> r2(np.array([0.0, 2.0]), np.array([0.0, 1.0]))
    0.5
    """
    if (y == y[0]).all():
        return math.nan
    return 1 - float(((predicted - y) ** 2).sum()) / float(((y - y.mean()) ** 2).sum())


def pinball(y: np.ndarray, predicted: np.ndarray, quantile: float) -> float:
    """The mean loss of a quantile: quantile * (y - predicted) where y is larger, else (1 - quantile) * the difference.

    >>> pinball(np.array([0.0, 3.0]), np.array([1.0, 1.0]), 0.5)
    0.75
    """
    above = y - predicted
    return float(np.maximum(quantile * above, (quantile - 1) * above).mean())


def deviance(y: np.ndarray, predicted: np.ndarray, power: float = 1.0) -> float:
    """The mean Tweedie deviance of y, at least 0, from predictions above 0: of Poisson's by default, of gamma's for 2.

    >>> deviance(np.array([0.0, 2.0]), np.array([1.0, 2.0]))
    1.0
    """
    logs = np.log(np.where(y > 0, y, 1) / np.where(y > 0, predicted, 1))
    if power == 1:
        return float(2 * (y * logs - y + predicted).mean())
    if power == 2:
        return float(2 * (y / predicted - logs - 1).mean())
    left = 2 - power
    each = y ** left / ((1 - power) * left) - y * predicted ** (1 - power) / (1 - power) + predicted ** left / left
    return float(2 * each.mean())


def negative_log_likelihood(y: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> float:
    """The mean of -log of normal densities.

    >>> round(negative_log_likelihood(np.zeros(2), np.zeros(2), np.ones(2)), 4)
    0.9189
    """
    return float((np.log(deviation) + ((y - mean) / deviation) ** 2 / 2).mean()) + math.log(2 * math.pi) / 2
