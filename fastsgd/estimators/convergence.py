"""When a fit stops: scikit-learn's rules, as a callback that keeps a fit's account in the estimator's attributes."""
from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.metrics import check_scoring

from fastsgd.callbacks import Callback
from fastsgd.optimizers import Optimizer
from fastsgd.run import Run

if TYPE_CHECKING:
    from fastsgd.estimators.base import EngineEstimator


LEAST_RATE = 1e-6                    # of learning_rate="adaptive"


class Validation:
    """Rows that are not trained on, and how a network is judged by them.

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
        The same, (outputs,): for those that are judged one by one, in ``per_output``.
    """

    def __init__(self, estimator: EngineEstimator, rows: tuple, given: tuple, score, measure: Callable | None,
                 measure_outputs: Callable | None = None):
        self.rows, self._given = rows, given
        by_loss = isinstance(score, str) and score == "loss"
        self._by_loss = by_loss
        self._scorer = None if score is None or by_loss else check_scoring(estimator, score)
        self._measure = measure if score is None else None
        self._measure_outputs = measure_outputs if score is None else None
        self.per_output: np.ndarray | None = None

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

    def score(self, estimator: EngineEstimator, run: Run) -> float:
        """The score after the epoch that has just ended, of which more is better."""
        history = run.history
        if self._by_loss:
            return -history.validation_cost[-1]
        if self._scorer is None:
            return history.validation_metric[-1] if self._measure is None else history.scores["_measured"][-1]
        X, y, weight = self._given
        with estimator._showing(run.result):
            return float(self._scorer(estimator, X, y, **({} if weight is None else {"sample_weight": weight})))


class Convergence(Callback):
    """What the rules of both kinds of estimators share; subclasses say when a fit stops and what follows."""

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
