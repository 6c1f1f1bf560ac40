"""scikit-learn's own callbacks (SLEP 23), from the version on that has them: epochs are tasks of a fit."""
from __future__ import annotations

import functools

from fastsgd.estimators.fitted import FittedEstimator
from fastsgd.runs.callback import Callback, Run

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:                                  # before scikit-learn 1.9

    class CallbackSupportMixin:                      # type: ignore[no-redef]
        """Nothing to support."""

    def with_callbacks(method):                      # type: ignore[no-redef]
        """The method, called from a frame of its own as scikit-learn's would be: warnings count these."""
        @functools.wraps(method)
        def called(*arguments, **keywords):
            return method(*arguments, **keywords)
        return called

__all__ = ["CallbackSupportMixin", "Epochs", "with_callbacks"]


class Epochs(Callback):
    """Tells scikit-learn's callbacks of an estimator about every epoch, and stops where one of them asks for it."""

    def __init__(self, estimator: FittedEstimator, X, y, sample_weight):
        self._estimator = estimator
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self._data = {"X": X, "y": y, "metadata": metadata}

    def on_start(self, run: Run) -> None:
        self._fit = self._estimator._init_callback_context(max_subtasks=run.epochs)
        self._fit.call_on_fit_task_begin(estimator=self._estimator, **self._data)
        self._begin()

    def on_epoch(self, run: Run) -> None:
        run.stop |= self._end(self._epoch, run)
        if not run.stop and run.history.epochs < run.epochs:
            self._begin()

    def on_end(self, run: Run) -> None:
        self._end(self._fit, run)

    def _begin(self) -> None:
        self._epoch = self._fit.subcontext(task_name="epoch")
        self._epoch.call_on_fit_task_begin(estimator=self._estimator, **self._data)

    def _end(self, context, run: Run) -> bool:
        with self._estimator._showing(run.result):
            fitted = {name: value for name, value in vars(self._estimator).items() if name.endswith("_")}
            return context.call_on_fit_task_end(estimator=self._estimator, reconstruction_attributes=fitted,
                                                **self._data)
