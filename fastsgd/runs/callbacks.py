"""Callbacks of a training run: progress, early stopping, time limits, a smaller learning rate on a plateau."""
from __future__ import annotations

import math
import re
import sys
import time
from typing import Any, ClassVar

import numpy as np

from fastsgd.data.advice import warn
from fastsgd.deprecation import keyword_only, renamed_arguments
from fastsgd.display.bars import bar
from fastsgd.runs.callback import Callback, Run

BESIDE = 20                 # columns of a bar beside its text: the percentage, four for the bar, the time left
NUMBER = int | float | np.integer | np.floating


class Progress(Callback):
    """A progress bar with rows per second and the time left, by tqdm where it is installed; else a line per epoch.

    In a notebook the bar is tqdm's widget, or without tqdm or ipywidgets a line that changes in place. In files and
    pipes there are only lines.

    Parameters
    ----------
    file : text stream, optional
        Where to write; standard error, or the notebook's output, by default.

    Examples
    --------
    >>> import fastsgd, sys
    >>> (X, y), _ = fastsgd.datasets.digits()
    >>> _ = fastsgd.train(fastsgd.Network([64, 10], seed=0), X, y, epochs=1, callbacks=[Progress(sys.stdout)])
    ... # doctest: +ELLIPSIS
    epoch 1/1  cost ...  accuracy ...  ... rows/s
    """

    def __init__(self, file=None):
        self.file = file

    def on_start(self, run: Run) -> None:
        total = None if run.rows is None else run.epochs * run.rows
        self._bar: Any = bar(total, " rows", file=self.file, initial=run.history.epochs * run.rows if run.rows else 0)
        if self._bar is not None:
            self._epochs_done = 0 if run.rows else self._bar.n

    def on_rows(self, run: Run) -> None:
        if self._bar is not None:
            self._advance(run, run.history.epochs)

    def on_epoch(self, run: Run) -> None:
        if self._bar is None:
            out = self.file or sys.stderr
            out.write(epoch_line(run) + "\n")
            out.flush()
            return
        self._bar.set_postfix_str(figures_line(run, self._room(run)), refresh=False)
        self._advance(run, run.history.epochs - 1)
        self._epochs_done += run.rows_done

    def on_end(self, run: Run) -> None:
        if self._bar is not None:
            self._bar.close()

    def _room(self, run: Run) -> int | None:
        """Columns of a terminal that a bar leaves to the figures."""
        width = getattr(self._bar, "ncols", None)
        return width - len(f"{run.unit} {run.epoch}/{run.epochs}") - BESIDE if isinstance(width, int) else None

    def _advance(self, run: Run, epochs: int) -> None:
        self._bar.set_description_str(f"{run.unit} {run.epoch}/{run.epochs}", refresh=False)
        done = epochs * run.rows if run.rows else self._epochs_done
        self._bar.update(done + run.rows_done - self._bar.n)


def figures_line(run: Run, room: int | None = None) -> str:
    """The latest figures of a run, each by its whole name; those of weighted training rows are called weighted.

    Where they take more than ``room`` characters, some are left out: first the training metric, then further scores,
    the training cost and the validation cost.
    """
    figures = [f"{name} {value:.4f}" for name, value in run.history.named().items()]
    least_first = [1, *range(len(figures) - 1, 3, -1), 0, 2] if len(figures) > 2 else [1]
    left_out: set[int] = set()
    while True:
        line = "  ".join(figure for i, figure in enumerate(figures) if i not in left_out)
        if room is None or len(line) <= room or not least_first:
            return line
        left_out.add(least_first.pop(0))


def epoch_line(run: Run) -> str:
    """The last finished epoch on one line."""
    history = run.history
    return (f"{run.unit} {run.epoch:{len(str(run.epochs))}}/{run.epochs}  {figures_line(run)}  "
            f"{run.rows_done / max(history.seconds[-1], 1e-9):,.0f} rows/s")


class LearningRates(Callback):
    """Keeps the learning rate of every step, in ``rates``.

    >>> import fastsgd
    >>> (X, y), _ = fastsgd.datasets.digits()
    >>> seen = LearningRates()
    >>> optimizer = fastsgd.SGD(fastsgd.schedules.Cosine(0.1))
    >>> history = fastsgd.train(fastsgd.Network([64, 10]), X, y, optimizer=optimizer, epochs=2, callbacks=[seen])
    >>> len(seen.rates) == history.steps, float(seen.rates[0])
    (True, 0.1)
    """

    def __init__(self):
        self.rates = np.empty(0)

    def on_start(self, run: Run) -> None:
        self.rates = np.empty(0)

    def on_epoch(self, run: Run) -> None:
        means = [rates.mean(axis=0) if rates.ndim == 2 else rates for rates in run.learning_rates]
        self.rates = np.concatenate([self.rates, *means])

    def on_end(self, run: Run) -> None:
        """Of an epoch that was not finished, too."""
        if run.epoch > run.history.epochs:
            self.on_epoch(run)

    def state(self) -> dict[str, Any]:
        return {"rates": self.rates}

    def restore(self, run: Run, state: dict[str, Any]) -> None:
        self.rates = state["rates"]


class TimeLimit(Callback):
    """Ends the training after so many seconds, within an epoch too.

    >>> import fastsgd
    >>> (X, y), _ = fastsgd.datasets.digits()
    >>> net = fastsgd.Network([64, 10], seed=0)
    >>> fastsgd.train(net, X, y, epochs=10**6, callbacks=[fastsgd.TimeLimit(0.3)]).stopped
    True
    """

    def __init__(self, seconds: float):
        if not isinstance(seconds, NUMBER) or isinstance(seconds, bool) or not 0 < seconds < math.inf:
            raise ValueError(f"TimeLimit: seconds must be a number above 0, got {seconds!r}")
        self.seconds = float(seconds)

    def on_start(self, run: Run) -> None:
        self._end = time.perf_counter() + self.seconds

    def on_rows(self, run: Run) -> None:
        if time.perf_counter() >= self._end:
            run.stop = True

    on_epoch = on_rows


# Words of a metric's name that say that less of it is better, or more.
LESS = {"cost", "loss", "logloss", "error", "errors", "err", "mse", "rmse", "mae", "mape", "smape", "wape", "medae",
        "msle", "rmsle", "deviance", "nll", "brier", "crps", "perplexity", "pinball", "ece", "regret", "fpr", "fnr"}
MORE = {"accuracy", "acc", "r2", "auc", "auroc", "auprc", "precision", "recall", "sensitivity", "specificity", "f1",
        "f2", "fbeta", "jaccard", "iou", "dice", "kappa", "mcc", "matthews", "corrcoef", "correlation", "pearson",
        "spearman", "ndcg", "dcg", "likelihood", "explained", "tpr", "tnr"}


def less_is_better(name: str) -> bool | None:
    """Whether a metric of this name is the better the smaller it is, by the field's names; None where they do not tell.

    ``neg_`` and ``negative_`` turn it round, ``d2_`` is a score, and so is what calls itself one and no error.

    >>> [less_is_better(name) for name in ("rmse", "MeanSquaredError", "neg_log_loss", "f1_macro", "my_metric")]
    [True, True, False, False, None]
    """
    words = re.findall(r"[a-z0-9]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower())
    if words[:1] in (["neg"], ["negative"]):
        rest = less_is_better("_".join(words[1:]))
        return None if rest is None else not rest
    if words[:1] == ["d2"]:
        return False
    less, more = bool(LESS & set(words)), bool(MORE & set(words))
    if less and more:
        return None
    return True if less else False if more or "score" in words else None


class _Watch(Callback):
    """Counts how often in a row a figure of the history has not improved."""

    def __init__(self, patience: int, monitor: str | None, min_delta: float, mode: str):
        name = type(self).__name__
        if isinstance(patience, bool) or not isinstance(patience, int | np.integer) or patience < 1:
            raise ValueError(f"{name}: patience must be a whole number, at least 1, got {patience!r}")
        if isinstance(min_delta, bool) or not isinstance(min_delta, NUMBER) or not 0 <= min_delta < math.inf:
            raise ValueError(f"{name}: min_delta must be a number, at least 0, got {min_delta!r}")
        if mode not in ("auto", "min", "max"):
            raise ValueError(f"{name}: mode must be 'auto', 'min' or 'max', got {mode!r}")
        self.patience, self.monitor, self.min_delta, self.mode = int(patience), monitor, float(min_delta), mode
        self._forget()

    def _forget(self) -> None:
        self.best: float = math.nan
        self.best_step = self.waited = self._looks = 0

    def on_start(self, run: Run) -> None:
        self._forget()
        figures = run.figures
        self._watched = self.monitor or ("validation_cost" if "validation_cost" in figures else "cost")
        if self._watched not in figures:
            raise ValueError(f"{type(self).__name__}: monitor must be one of {', '.join(figures)}; got "
                             f"{self.monitor!r}" + ("" if "validation_cost" in figures else "; there are no validation "
                                                    "rows"))
        less = self.mode == "min" if self.mode != "auto" else less_is_better(self._watched.removeprefix("validation_"))
        if less is None:
            raise ValueError(f"{type(self).__name__}: mode='auto' does not know whether more or less of "
                             f"{self._watched!r} is better; give mode='min' or mode='max'")
        self._sign = 1 if less else -1

    def on_evaluation(self, run: Run) -> None:
        if self._watched.startswith("validation_"):
            self._look(run)

    def on_epoch(self, run: Run) -> None:
        if not self._watched.startswith("validation_"):
            self._look(run)

    def _look(self, run: Run) -> None:
        value = run.history.last()[self._watched]
        if not math.isnan(value) and (math.isnan(self.best) or self._sign * (self.best - value) > self.min_delta):
            self.best, self.best_step, self.waited = value, run.steps, 0
            self._improved(run)
        else:
            self.waited += 1
            if self.waited >= self.patience:
                self._lost_patience(run)
        self._looks += 1

    def on_end(self, run: Run) -> None:
        if self._looks and math.isnan(self.best):
            warn(f"{type(self).__name__} had nothing to go by: {self._watched} was NaN all {self._looks} times, "
                 f"{self._consequence}. Give rows on which it is defined (R^2 needs targets that differ, AUC both "
                 "classes), or another monitor", RuntimeWarning)

    _consequence: ClassVar[str]              # of a figure that was never a number

    def _improved(self, run: Run) -> None:
        """The figure is better than ever."""

    def _lost_patience(self, run: Run) -> None:
        """It has not been for too long."""

    def state(self) -> dict[str, Any]:
        return {"best_figure": self.best, "best_step": self.best_step, "waited": self.waited}

    def restore(self, run: Run, state: dict[str, Any]) -> None:
        best, step, waited = state["best_figure"], state["best_step"], state["waited"]
        if not (isinstance(best, float) and type(step) is type(waited) is int and min(step, waited) >= 0):
            raise ValueError(f"the best figure is {best!r} of step {step!r}, {waited!r} evaluations ago")
        self.best, self.best_step, self.waited = best, step, waited


class EarlyStopping(_Watch):
    """Ends the training when a figure has not improved for a while, and takes the best parameters back.

    Parameters
    ----------
    patience : int
        Evaluations (or epochs, without validation) in a row without improvement that end the training.
    monitor : str, optional
        A figure of the history: "cost", "accuracy" or "r2", either of them after ``validation_``, or ``validation_``
        and the name of one of ``train``'s metrics. "validation_cost" by default, or "cost" without validation.
    min_delta : float
        An improvement must be larger than this.
    mode : "auto", "min" or "max"
        Which way is better; auto goes by the figure's name: down for costs, losses and errors (mse, rmse, log_loss,
        ...), up for accuracies, scores and the like, and asks for a mode where the name says neither.
    restore_best : bool
        Whether the network ends with the parameters of the best figure, also where all epochs were made.

    Attributes
    ----------
    best : float
        After the training the last figure that counted as an improvement: the best one where min_delta is 0.
    best_step : int
        How many steps led to it.

    Examples
    --------
    >>> import fastsgd
    >>> (X, y), _ = fastsgd.datasets.digits()
    >>> stopping = fastsgd.EarlyStopping(patience=3)
    >>> net = fastsgd.Network([64, 32, 10], seed=0)
    >>> history = fastsgd.train(net, X, y, optimizer=fastsgd.SGD(0.5), epochs=500, seed=0, validation=0.2,
    ...                         callbacks=[stopping])
    >>> history.stopped, stopping.best == min(history.validation_cost)
    (True, True)
    """

    _consequence = "and the last parameters are kept"

    @keyword_only
    def __init__(self, patience: int = 10, *, monitor: str | None = None, min_delta: float = 0.0, mode: str = "auto",
                 restore_best: bool = True):
        super().__init__(patience, monitor, min_delta, mode)
        self.restore_best = restore_best

    def _forget(self) -> None:
        super()._forget()
        self._best_params: np.ndarray | None = None

    def _improved(self, run: Run) -> None:
        if self.restore_best:
            self._best_params = run.result.params.copy()

    def _lost_patience(self, run: Run) -> None:
        run.stop = True

    def on_end(self, run: Run) -> None:
        super().on_end(run)
        if self._best_params is not None:
            run.net.params[:] = self._best_params

    def state(self) -> dict[str, Any]:
        kept = {} if self._best_params is None else {"best": self._best_params}
        return {**super().state(), **kept}

    def restore(self, run: Run, state: dict[str, Any]) -> None:
        super().restore(run, state)
        best = state.get("best")
        if best is not None and not (isinstance(best, np.ndarray) and best.shape == run.net.params.shape
                                     and np.isfinite(best).all()):
            raise ValueError("the best parameters are not those of the network")
        self._best_params = best
        run.stop = run.stop or self.waited >= self.patience


class ReduceOnPlateau(_Watch):
    """Multiplies the learning rate by ``factor`` whenever a figure has not improved for ``patience`` evaluations.

    Parameters are those of :class:`fastsgd.EarlyStopping`; the rate never becomes smaller than ``min_factor`` times
    what the optimizer says.

    >>> import fastsgd
    >>> (X, y), _ = fastsgd.datasets.digits()
    >>> net = fastsgd.Network([64, 32, 10], seed=0)
    >>> history = fastsgd.train(net, X, y, optimizer=fastsgd.SGD(0.5), epochs=60, seed=0, validation=0.2,
    ...                         callbacks=[fastsgd.ReduceOnPlateau(patience=3)])
    >>> history.learning_rate[0], history.learning_rate[-1] < 0.1
    (0.5, True)
    """

    _consequence = "and the learning rate was lowered whatever the network learned"

    @renamed_arguments(least="min_factor")
    @keyword_only
    def __init__(self, factor: float = 0.5, patience: int = 5, *, monitor: str | None = None, min_delta: float = 0.0,
                 mode: str = "auto", min_factor: float = 1e-4):
        super().__init__(patience, monitor, min_delta, mode)
        for name, value in (("factor", factor), ("min_factor", min_factor)):
            if isinstance(value, bool) or not isinstance(value, NUMBER) or not 0 < value < 1:
                raise ValueError(f"ReduceOnPlateau: {name} must lie between 0 and 1, got {value!r}")
        self.factor, self.min_factor = float(factor), float(min_factor)

    def _lost_patience(self, run: Run) -> None:
        run.rate_factor = max(self.min_factor, run.rate_factor * self.factor)
        self.waited = 0
