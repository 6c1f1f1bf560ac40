"""When a fit stops: scikit-learn's rules, as a callback that also fills the estimator's fitted attributes."""
from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.exceptions import ConvergenceWarning, UndefinedMetricWarning
from sklearn.metrics import check_scoring, r2_score

from fastsgd.estimators.fitted import FittedEstimator
from fastsgd.optimizers import Optimizer
from fastsgd.runs.callback import Callback, Run

MIN_RATE = 1e-6                    # of learning_rate="adaptive"


class Validation:
    """Validation rows, and the score of a network on them.

    Parameters
    ----------
    rows : (X, y, sample_weight)
        As ``fastsgd.train`` takes them; y encoded.
    given : (X, y, sample_weight)
        The same as the user knows them, for a scorer.
    score : None, "loss", str, callable
        None for the kernel's own accuracy or R^2, else the cost, or one of scikit-learn's scorers.
    measure : callable, optional
        Of (y, outputs, sample_weight): takes the place of the kernel's figure.
    measure_outputs : callable, optional
        The same, one score for each output, (outputs,), kept in ``per_output``.
    """

    def __init__(self, estimator: FittedEstimator, rows: tuple, given: tuple, score, measure: Callable | None,
                 measure_outputs: Callable | None = None):
        self.rows, self._given, self._named = rows, given, score
        by_loss = isinstance(score, str) and score == "loss"
        self._by_loss = by_loss
        self._scorer = None if score is None or by_loss else check_scoring(estimator, score)
        self._measure = measure if score is None else None
        self._measure_outputs = measure_outputs if score is None else None
        self.per_output: np.ndarray | None = None
        self.scores = self.finite_scores = 0

    @property
    def metrics(self) -> list[Callable]:
        """For ``fastsgd.train``."""
        return [self._measured] if self._measure or self._measure_outputs else []

    def _measured(self, y: np.ndarray, outputs: np.ndarray) -> float:
        if self._measure_outputs is not None:
            self.per_output = self._measure_outputs(y, outputs, self.rows[2])
        if self._measure is None or not np.isfinite(outputs).all():
            return np.nan
        return float(self._measure(y, outputs, self.rows[2]))

    def score(self, estimator: FittedEstimator, run: Run) -> float:
        """The score after the epoch that has just ended, of which more is better; NaN where it is not defined."""
        score = self._score(estimator, run)
        self.scores += 1
        self.finite_scores += bool(np.isfinite(score))
        return score

    def _score(self, estimator: FittedEstimator, run: Run) -> float:
        history = run.history
        if self._by_loss:
            return -history.validation_cost[-1]
        if self._scorer is None:
            return history.validation_metric[-1] if self._measure is None else history.scores["_measured"][-1]
        X, y, weight = self._given
        weighted = {} if weight is None else {"sample_weight": weight}
        with estimator._showing(run.result):
            if not (estimator.early_stopping and isinstance(self._named, str) and self._reason(estimator)):
                return float(self._scorer(estimator, X, y, **weighted))
            if self.never_defined:               # nor will it ever be
                return np.nan
            with warnings.catch_warnings():      # one of ours comes after the last epoch
                warnings.simplefilter("ignore", UndefinedMetricWarning)
                return float(self._scorer(estimator, X, y, **weighted))

    @property
    def never_defined(self) -> bool:
        """Whether there were scores, and none of them was finite."""
        return self.scores > 0 and self.finite_scores == 0

    def warn_if_never_defined(self, estimator: FittedEstimator, stacklevel: int) -> bool:
        """One warning where early stopping had no finite score to go by; returns whether it was given."""
        if not (estimator.early_stopping and self.never_defined):
            return False
        name = self._named if isinstance(self._named, str) else getattr(self._named, "__name__", None)
        name = name or (repr(self._named) if self._named is not None else "accuracy" if is_classifier(estimator)
                        else "R^2")
        warnings.warn(f"Early stopping had nothing to go by: the score ({name}) of the validation rows was not finite "
                      f"in any of {self.scores} epochs{self._reason(estimator)}. The last parameters are kept. Give "
                      "rows on which the score is defined (X_val and y_val, or a larger validation_fraction), or "
                      "another scoring.", ConvergenceWarning, stacklevel=stacklevel + 1)
        return True

    def _reason(self, estimator: FittedEstimator) -> str:
        """What is odd about the validation rows, if anything is, after a comma."""
        _, y, weight = self._given
        y = np.asarray(y)
        y = y if weight is None else y[np.asarray(weight) > 0]
        if len(y) == 1:
            return ", as there is a single row"
        constant = (y == y[0]).all(axis=0)
        if y.ndim == 2 and constant.any() and not constant.all():
            return f", as column {int(constant.argmax())} of their y has a single value"
        if not constant.all():
            return ""
        return f", as all {len(y)} rows are of class {y[0]}" if is_classifier(estimator) and y.ndim == 1 else \
            f", as all {len(y)} rows have the same y"


def r2_metric(targets: np.ndarray, trained: np.ndarray) -> Callable | None:
    """R^2 of validation targets (rows, outputs), of (y, outputs, sample_weight); None where the kernel's own will do.

    It is NaN where the targets have no spread. Where those of the training have none either, it is scikit-learn's.
    """
    if len(targets) > 1 and (targets == targets[0]).all() and (trained == targets[0]).all():
        return _r2
    return None if targets.shape[1] == 1 else _r2_or_nan


def _r2(y: np.ndarray, outputs: np.ndarray, weight: np.ndarray | None) -> float:
    return float(r2_score(y, outputs[:, :y.shape[1]], sample_weight=weight))         # without the deviations


def _r2_or_nan(y: np.ndarray, outputs: np.ndarray, weight: np.ndarray | None) -> float:
    counted = y if weight is None else y[weight > 0]
    return np.nan if (counted == counted[0]).all() else _r2(y, outputs, weight)


class Convergence(Callback):
    """What the stopping rules of both kinds of estimators share; subclasses decide when a fit stops."""

    explains = True

    def __init__(self, estimator: Any, validation: Validation | None, optimizer: Optimizer):
        self.estimator, self.validation, self.optimizer = estimator, validation, optimizer

    def on_start(self, run: Run) -> None:
        self.estimator.n_iter_ = 0
        run.rate_factor = self.estimator._rate_factor

    def diverged(self, error: FloatingPointError) -> None:
        """The cost stopped being finite, and the network has the parameters of the last good epoch."""
        raise NotImplementedError


def sentence(error: Exception) -> str:
    """An error's message after a full stop."""
    message = str(error)
    return message[:1].upper() + message[1:]
