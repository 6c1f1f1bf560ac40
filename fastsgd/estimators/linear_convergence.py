"""When the fit of a linear model stops."""
from __future__ import annotations

import time

import numpy as np

from fastsgd.estimators.convergence import Convergence, Validation
from fastsgd.optimizers import Optimizer
from fastsgd.run import Run

LEAST_RATE = 1e-6


class LinearConvergence(Convergence):
    """Stops where the cost with its penalties, or the score of validation rows, has not become better for a while."""

    def __init__(self, estimator, validation: Validation | None, optimizer: Optimizer):
        super().__init__(estimator, validation)
        self._optimizer = optimizer

    def on_start(self, run: Run) -> None:
        self.estimator.n_iter_ = 0
        self._began = time.monotonic()
        run.rate_factor = self.estimator._rate_factor
        self._penalty = self._penalty_of(run)

    def _penalty_of(self, run: Run) -> float:
        return self._optimizer.penalty(run.net.weights)

    def on_epoch(self, run: Run) -> None:
        estimator = self.estimator
        estimator.n_iter_ += 1
        before, self._penalty = self._penalty, self._penalty_of(run)
        objective = run.history.cost[-1] + (before + self._penalty) / 2
        score = np.nan if self.validation is None else self.validation.score(estimator, run)
        if self.validation is not None:
            estimator.validation_scores_.append(score)
        if estimator.verbose:
            self._report(run, objective, score)
        self.look(score if estimator.early_stopping else -objective, run)
        if self.count >= estimator.n_iter_no_change:
            rate = run.history.learning_rate[-1]
            if estimator.learning_rate == "adaptive" and estimator.optimizer is None and rate > LEAST_RATE:
                run.rate_factor /= 5
                self.count = 0
            else:
                run.stop = True
                if estimator.verbose:
                    taken = time.monotonic() - self._began
                    print(f"Convergence after {estimator.n_iter_} epochs took {taken:.2f} seconds")
        estimator._rate_factor = run.rate_factor

    def _report(self, run: Run, objective: float, score: float) -> None:
        weights, biases = run.result.weights[0], run.result.biases[0]
        figures = [f"-- Epoch {self.estimator.n_iter_}\nNorm: {np.linalg.norm(weights):.2f}",
                   f"NNZs: {np.count_nonzero(weights)}", f"Bias: {biases.mean():.6f}", f"T: {run.steps}",
                   f"Avg. loss: {run.history.cost[-1]:f}", f"Objective: {objective:f}"]
        if self.validation is not None:
            figures.append(f"Validation score: {score:f}")
        print(", ".join(figures))
        print(f"Total training time: {time.monotonic() - self._began:.2f} seconds.")

    def diverged(self, error: FloatingPointError) -> None:
        raise ValueError(f"Floating-point under-/overflow occurred at epoch #{self.estimator.n_iter_ + 1}. Scaling "
                         "input data with StandardScaler or MinMaxScaler might help. "
                         f"{str(error)[0].upper()}{str(error)[1:]}") from error
