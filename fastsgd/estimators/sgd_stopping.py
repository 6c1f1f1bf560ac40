"""When the fit of a linear model stops."""
from __future__ import annotations

import time

import numpy as np

from fastsgd.estimators.stopping import MIN_RATE, Convergence, Validation, sentence
from fastsgd.network.network import Network
from fastsgd.optimizers import Optimizer
from fastsgd.runs.callback import Run


class LinearConvergence(Convergence):
    """Stops when no output's objective (cost and penalty), or validation score, has improved for ``n_iter_no_change``.

    Outputs are independent problems, and each ends with the weights it had when it converged: it is trained on until
    all have, and :meth:`finish` restores these weights. Where the engine does not sum costs for each output, as in
    large batches, the mean over the outputs decides for all.
    """

    def __init__(self, estimator, validation: Validation | None, optimizer: Optimizer, outputs: int, apart: bool):
        super().__init__(estimator, validation, optimizer)
        self._apart = apart
        self._best, self._count = np.full(outputs, -np.inf), np.zeros(outputs, int)
        self._converged: dict[int, tuple[np.ndarray, float]] = {}

    def on_start(self, run: Run) -> None:
        super().on_start(run)
        self._began = time.perf_counter()
        self._penalty = self.optimizer.regularization_cost(run.net.weights, per_output=True)

    def on_epoch(self, run: Run) -> None:
        estimator = self.estimator
        estimator.n_iter_ += 1
        before, self._penalty = self._penalty, self.optimizer.regularization_cost(run.net.weights, per_output=True)
        penalty = (before + self._penalty) / 2
        costs = None if estimator._state.output_costs is None else estimator._state.output_costs / run.rows
        if costs is None or not self._apart or np.isnan(costs[0]):
            costs = run.history.cost[-1] / len(self._best)           # of all outputs alike
            penalty = np.mean(penalty)
        figures = -(costs + penalty)
        if self.validation is not None:
            score = self.validation.score(estimator, run)
            estimator.validation_scores_.append(score)
            if estimator.early_stopping:
                figures = score if self.validation.per_output is None or not self._apart else self.validation.per_output
        if estimator.verbose:
            self._report(run, float(np.sum(penalty) if np.ndim(penalty) else penalty * len(self._best)))
        self._look(np.broadcast_to(figures, self._best.shape), run)
        estimator._rate_factor = run.rate_factor

    def _look(self, figures: np.ndarray, run: Run) -> None:
        estimator = self.estimator
        defined = np.isfinite(figures)
        if estimator.tol is not None:
            # A figure that is not finite is no improvement, once there has been one to improve on.
            worse = np.where(defined, figures < self._best + estimator.tol, np.isfinite(self._best))
            self._count = np.where(worse, self._count + 1, 0)
        self._best = np.where(defined, np.maximum(self._best, figures), self._best)
        lost = self._count >= estimator.n_iter_no_change
        if estimator.learning_rate == "adaptive" and estimator.optimizer is None:
            if lost.all() and run.history.learning_rate[-1] > MIN_RATE:
                run.rate_factor /= 5
                self._count[:] = 0
                return
            lost[:] = lost.all()
        for k in np.flatnonzero(lost).tolist():
            if k not in self._converged:
                self._converged[k] = run.result.weights[0][:, k].copy(), float(run.result.biases[0][k])
        if len(self._converged) == len(lost):
            run.stop = True
            if estimator.verbose:
                taken = time.perf_counter() - self._began
                print(f"Convergence after {estimator.n_iter_} epochs took {taken:.2f} seconds")

    def finish(self, net: Network) -> None:
        """Gives each output that converged the weights it had then."""
        for k, (weights, bias) in self._converged.items():
            net.weights[0][:, k], net.biases[0][k] = weights, bias

    def _report(self, run: Run, penalty: float) -> None:
        weights, biases, cost = run.result.weights[0], run.result.biases[0], run.history.cost[-1]
        figures = [f"-- Epoch {self.estimator.n_iter_}\nNorm: {np.linalg.norm(weights):.2f}",
                   f"NNZs: {np.count_nonzero(weights)}", f"Bias: {biases.mean():.6f}", f"T: {run.steps}",
                   f"Avg. loss: {cost:f}", f"Objective: {cost + penalty:f}"]
        if self.validation is not None:
            figures.append(f"Validation score: {self.estimator.validation_scores_[-1]:f}")
        print(", ".join(figures))
        print(f"Total training time: {time.perf_counter() - self._began:.2f} seconds.")

    def diverged(self, error: FloatingPointError) -> None:
        raise ValueError(f"Floating-point under-/overflow occurred at epoch #{self.estimator.n_iter_ + 1}. Scaling "
                         f"input data with StandardScaler or MinMaxScaler might help. {sentence(error)}") from error
