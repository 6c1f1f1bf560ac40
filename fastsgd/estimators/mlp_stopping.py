"""When the fit of a multilayer perceptron stops, and what its attributes say of it."""
from __future__ import annotations

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from fastsgd.engine import elementary
from fastsgd.estimators.stopping import MIN_RATE, Convergence, Validation, sentence
from fastsgd.optimizers import Optimizer
from fastsgd.runs.callback import Run
from fastsgd.runs.feeds import steps_in

NOT_FINITE = ("Solver produced non-finite parameter weights. The input data may contain large values and need to be "
              "preprocessed.")


class MLPConvergence(Convergence):
    """Keeps ``loss_``, ``loss_curve_``, ``n_iter_``, ``t_`` and the scores; stops, or divides the rate by five."""

    def __init__(self, estimator, validation: Validation | None, optimizer: Optimizer, rows: int):
        super().__init__(estimator, validation, optimizer)
        self._rows = rows
        self.count, self.best = estimator._no_improvement_count, -np.inf
        self.best_params: np.ndarray | None = None           # of the best score, where there has been a finite one
        self.best_epoch = 0                                  # from 0
        self.lost_patience = False
        if not estimator.early_stopping and estimator.best_loss_ is not None:
            self.best = -estimator.best_loss_

    def on_start(self, run: Run) -> None:
        super().on_start(run)
        estimator = self.estimator
        if self.validation is not None:
            estimator.validation_loss_curve_ = getattr(estimator, "validation_loss_curve_", [])
        self._penalty = self._penalty_of(run)

    def _penalty_of(self, run: Run) -> float:
        """The mean over the batches, of which the last may be smaller."""
        return self.optimizer.regularization_cost(run.net.weights, self._rows / steps_in(self._rows, run.batch_size))

    def on_epoch(self, run: Run) -> None:
        estimator = self.estimator
        before, self._penalty = self._penalty, self._penalty_of(run)
        loss = estimator._shown_loss(run.history.cost[-1]) + (before + self._penalty) / 2
        estimator.n_iter_ += 1
        estimator.t_ += self._rows
        estimator.loss_ = loss
        estimator.loss_curve_.append(loss)
        if estimator.verbose:
            print(f"Iteration {estimator.n_iter_}, loss = {loss:.8f}")
        score = self._judge(run)
        if estimator.early_stopping:
            self._look(score, run)
            estimator.best_validation_score_ = self.best if np.isfinite(self.best) else np.nan
        else:
            self._look(-loss, run)
            estimator.best_loss_ = -self.best
        estimator._no_improvement_count = self.count
        if estimator.solver == "sgd" and estimator.optimizer is None and estimator.learning_rate == "invscaling":
            run.rate_factor = 1 / float(elementary.power(estimator.t_ + 1, estimator.power_t))
        if self.count > estimator.n_iter_no_change:
            self._stop_or_reduce_rate(run)
        estimator._rate_factor = run.rate_factor

    def _look(self, figure: float, run: Run) -> None:
        """Counts the epochs in a row whose figure did not beat the best one so far by ``tol``; more of it is better.

        A figure that is not finite is no improvement, once there has been one to improve on.
        """
        defined = np.isfinite(figure)
        worse = figure < self.best + self.estimator.tol if defined else np.isfinite(self.best)
        self.count = self.count + 1 if worse else 0
        if defined and figure > self.best:
            self.best = figure
            if self.estimator.early_stopping:
                self.best_params, self.best_epoch = run.result.params.copy(), run.epoch - 1

    def _judge(self, run: Run) -> float:
        """The score of the validation rows, noted; NaN where there are none."""
        if self.validation is None:
            return np.nan
        estimator = self.estimator
        score = self.validation.score(estimator, run)
        if estimator.validation_scores_ is None:
            estimator.validation_scores_ = []
        estimator.validation_scores_.append(score)
        estimator.validation_loss_curve_.append(estimator._shown_loss(run.history.validation_cost[-1]))
        if estimator.verbose:
            print(f"Validation score: {score:f}")
        return score

    def _stop_or_reduce_rate(self, run: Run) -> None:
        estimator = self.estimator
        what = "Validation score" if estimator.early_stopping else "Training loss"
        message = (f"{what} did not improve more than tol={estimator.tol:f} for {estimator.n_iter_no_change} "
                   "consecutive epochs.")
        adaptive = estimator.solver == "sgd" and estimator.optimizer is None and estimator.learning_rate == "adaptive"
        rate = estimator.learning_rate_init * run.rate_factor
        if not adaptive:
            message += " Stopping."
        elif rate <= MIN_RATE:
            message += " Learning rate too small. Stopping."
        else:
            run.rate_factor /= 5
            message += f" Setting learning rate to {rate / 5:f}"
            self.count = estimator._no_improvement_count = 0
        if estimator.verbose:
            print(message)
        if not adaptive or rate <= MIN_RATE:
            run.stop = self.lost_patience = True

    def diverged(self, error: FloatingPointError) -> None:
        estimator = self.estimator
        if not estimator.early_stopping:
            raise ValueError(f"{NOT_FINITE} {sentence(error)}") from error
        estimator.validation_scores_.append(np.nan)
        warnings.warn(f"The fit diverged and ends with its best parameters: {error}", ConvergenceWarning,
                      stacklevel=8)
