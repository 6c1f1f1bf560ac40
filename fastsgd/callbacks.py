"""What may watch a training run: progress on the screen, or any object or function of the user's."""
from __future__ import annotations

import shutil
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastsgd.training import Run


class Callback:
    """A watcher of a training run; override what you need.

    Every method receives the :class:`fastsgd.Run`. Setting ``run.stop = True`` ends the run after
    the present epoch. What a method raises ends the training; the network keeps the steps done so far.

    >>> import fastsgd
    >>> class StopWhenGood(fastsgd.Callback):
    ...     def on_epoch(self, run):
    ...         run.stop = run.history.metric[-1] > 0.5
    >>> (X, y), _ = fastsgd.datasets.digits()
    >>> net = fastsgd.Network([64, 16, 10], seed=0)
    >>> fastsgd.train(net, X, y, epochs=50, seed=0, callbacks=[StopWhenGood()]).stopped
    True
    """

    def on_start(self, run: Run) -> None:
        """Before the first epoch."""

    def on_rows(self, run: Run) -> None:
        """About ten times a second within an epoch; ``run.rows_done`` says how far it is."""

    def on_epoch(self, run: Run) -> None:
        """After an epoch, its entry in ``run.history`` made."""

    def on_end(self, run: Run) -> None:
        """After the last epoch, or when the training ends in an error."""


class _Function(Callback):
    def __init__(self, function):
        self.on_epoch = function


def as_callback(callback) -> Callback:
    """A Callback, or a function of the run that will be called after every epoch, as a Callback."""
    if isinstance(callback, Callback):
        return callback
    if callable(callback) and not isinstance(callback, type):
        return _Function(callback)
    raise TypeError(f"callbacks must hold fastsgd.Callback objects or functions, got {callback!r}")


class Progress(Callback):
    """One line per epoch; on a terminal also a bar with rows per second and the time left.

    Parameters
    ----------
    file : text stream, optional
        Where to write; standard error by default.

    >>> import fastsgd, sys
    >>> (X, y), _ = fastsgd.datasets.digits()
    >>> _ = fastsgd.train(fastsgd.Network([64, 10], seed=0), X, y, epochs=1, callbacks=[Progress(sys.stdout)])
    ... # doctest: +ELLIPSIS
    epoch 1/1  cost ...  accuracy ...  ... rows/s
    """

    def __init__(self, file=None):
        self.file = file

    def on_start(self, run: Run) -> None:
        self._out = self.file or sys.stderr
        self._live = bool(getattr(self._out, "isatty", lambda: False)())
        self._began = time.perf_counter()
        self._bar_shown = False

    def on_rows(self, run: Run) -> None:
        if not self._live:
            return
        done = (run.epoch - 1) * run.rows + run.rows_done
        total = run.epochs * run.rows
        elapsed = time.perf_counter() - self._began
        left = elapsed * (total - done) / done
        text = f"  {done / elapsed:,.0f} rows/s  {_clock(left)} left"
        head = f"epoch {run.epoch}/{run.epochs} "
        width = max(4, min(30, shutil.get_terminal_size().columns - len(head) - len(text) - 3))
        filled = width * done // total
        self._out.write(f"\r{head}[{'#' * filled}{'.' * (width - filled)}]{text}\x1b[K")
        self._out.flush()
        self._bar_shown = True

    def on_epoch(self, run: Run) -> None:
        self._clear()
        self._out.write(epoch_line(run) + "\n")
        if self._live:
            self.on_rows(run)
        self._out.flush()

    def on_end(self, run: Run) -> None:
        self._clear()
        self._out.flush()

    def _clear(self) -> None:
        if self._bar_shown:
            self._out.write("\r\x1b[K")
            self._bar_shown = False


def epoch_line(run: Run) -> str:
    """The last finished epoch on one line."""
    history = run.history
    line = (f"epoch {run.epoch:{len(str(run.epochs))}}/{run.epochs}  cost {history.cost[-1]:.4f}  "
            f"{history.metric_name} {history.metric[-1]:.4f}")
    if history.validation_cost:
        line += f"  validation {history.validation_cost[-1]:.4f} {history.validation_metric[-1]:.4f}"
    return f"{line}  {run.rows / history.seconds[-1]:,.0f} rows/s"


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
