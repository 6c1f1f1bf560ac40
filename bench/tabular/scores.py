"""How good predictions are: log loss, accuracy and calibration of classes; RMSE of quantities."""
from __future__ import annotations

import numpy as np

LEAST = 1e-7                # a probability counts as no less, so that one row cannot decide a table
LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)         # of quantiles, those of an interval of 90 % at the ends
BINS = 15                   # of the expected calibration error


def scores(predicted: np.ndarray, y: np.ndarray, regression: bool) -> dict[str, float]:
    """Metric is the log loss, or the RMSE as a part of the target's deviation; of quantiles their mean pinball loss."""
    if predicted.ndim == 2 and regression:
        error = y[:, np.newaxis] - predicted
        pinball = np.maximum(np.array(LEVELS) * error, (np.array(LEVELS) - 1) * error).mean() / y.std()
        inside = (y >= predicted[:, 0]) & (y <= predicted[:, -1])
        return {"metric": float(pinball), "coverage": float(inside.mean())}
    if regression:
        return {"metric": float(np.sqrt(np.mean((predicted.ravel() - y) ** 2)) / y.std())}
    own = predicted[np.arange(len(y)), y]
    right = predicted.argmax(axis=1) == y
    return {"metric": float(-np.log(np.clip(own, LEAST, 1)).mean()), "accuracy": float(right.mean()),
            "calibration": calibration_error(predicted.max(axis=1), right)}


def calibration_error(confidence: np.ndarray, right: np.ndarray) -> float:
    """How far the mean probability of the predicted class is from how often it is right, in bins of equal width.

    (Guo et al. 2017, arXiv 1706.04599, equation 3.)
    """
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = np.bincount(bins, right, BINS) - np.bincount(bins, confidence, BINS)
    return float(np.abs(gaps).sum() / len(right))
