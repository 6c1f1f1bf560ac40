"""Logs of a training run: CSV, JSON lines, TensorBoard, MLflow."""
from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import os
from typing import Any

from fastsgd.deprecation import old_names
from fastsgd.files.atomic import check_writable, write_atomically
from fastsgd.runs.callback import Callback, Run

__getattr__ = old_names(__name__, CSVLog="CSVLogger", JSONLog="JSONLogger", TensorBoard="TensorBoardLogger",
                        MLflow="MLflowLogger")


def to_json(figures: dict[str, Any]) -> str:
    """JSON on one line, with null for a figure that is not finite: JSON has no NaN."""
    return json.dumps({name: None if isinstance(value, float) and not math.isfinite(value) else value
                       for name, value in figures.items()})


class _Log(Callback):
    """A record after every epoch, and after evaluations within one."""

    def on_evaluation(self, run: Run) -> None:
        if run.evaluate_every:
            self._write(run, {name: value for name, value in run.history.last().items()
                              if name.startswith("validation_")}, run.epoch)

    def on_epoch(self, run: Run) -> None:
        history = run.history
        figures = {name: value for name, value in history.last().items()
                   if not (run.evaluate_every and name.startswith("validation_"))}
        self._write(run, {"seconds": history.seconds[-1], "learning_rate": history.learning_rate[-1], **figures},
                    run.epoch)

    def _write(self, run: Run, figures: dict[str, float], epoch: int) -> None:
        raise NotImplementedError


class _FileLog(_Log):
    """A text file with a line for each record.

    A run that resumes from a checkpoint keeps the lines up to there and appends; any other begins a new file. Lines are
    written to the operating system at once, without fsync. A line that cannot be written whole is removed again, and
    OSError names the path.
    """

    def __init__(self, path: str | os.PathLike):
        if not hasattr(path, "__fspath__") and not isinstance(path, str):
            raise TypeError(f"{type(self).__name__}: path must be a path, got {path!r}")
        self.path = path

    def on_start(self, run: Run) -> None:
        check_writable(self.path)
        self._file: Any = None
        kept, head = [], self._head(run)
        if run.steps and os.path.exists(self.path):
            records = run.history.epochs + (len(run.history.validation_steps) if run.evaluate_every else 0)
            try:
                with open(self.path, encoding="utf-8", newline="\n") as file:
                    lines = file.readlines()[1 if head else 0:][:records]
            except UnicodeDecodeError as error:
                raise ValueError(f"{self.path} is no log to append to: it is not UTF-8 ({error.reason} at byte "
                                 f"{error.start:,})") from None
            kept = [line for line in lines if line.endswith("\n")]      # the last may not have reached the disk whole
        write_atomically(self.path, ["".join([head, *kept]).encode()])
        self._file = open(self.path, "ab", buffering=0)  # noqa: SIM115 - closed at the end

    def on_end(self, run: Run) -> None:
        if self._file:
            with self._naming():
                self._file.close()

    def _write(self, run, figures, epoch):
        line = memoryview(self._line({"epoch": epoch, "steps": run.steps, **figures}).encode())
        with self._naming():
            end = os.fstat(self._file.fileno()).st_size
            try:
                while line:
                    line = line[self._file.write(line):]
            except BaseException:
                with contextlib.suppress(OSError):
                    os.ftruncate(self._file.fileno(), end)
                raise

    @contextlib.contextmanager
    def _naming(self):
        try:
            yield
        except OSError as error:
            raise OSError(error.errno, f"cannot write the log: {error.strerror}", os.fspath(self.path)) from error

    def _head(self, run: Run) -> str:
        return ""

    def _line(self, record: dict[str, Any]) -> str:
        raise NotImplementedError


class CSVLogger(_FileLog):
    """Writes a CSV file: epoch, steps, seconds, learning_rate, and every figure of the history, by epoch.

    With ``train(evaluate_every=...)`` evaluations have lines of their own, their other columns empty.

    >>> import fastsgd, os, tempfile
    >>> (X, y), _ = fastsgd.datasets.digits()
    >>> path = os.path.join(tempfile.mkdtemp(), "log.csv")
    >>> _ = fastsgd.train(fastsgd.Network([64, 10]), X, y, epochs=2, callbacks=[CSVLogger(path)])
    >>> with open(path) as file:
    ...     print(file.readline().strip())
    epoch,steps,seconds,learning_rate,cost,accuracy
    """

    def _head(self, run):
        self._columns = ["epoch", "steps", "seconds", "learning_rate", *run.figures]
        return self._row(self._columns)

    def _line(self, record):
        return self._row(record.get(name, "") for name in self._columns)

    @staticmethod
    def _row(cells) -> str:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(cells)
        return text.getvalue()


class JSONLogger(_FileLog):
    """Writes a file of JSON lines: an object with the same names for each epoch or evaluation, null for NaN.

    >>> import fastsgd, json, os, tempfile
    >>> (X, y), _ = fastsgd.datasets.digits()
    >>> path = os.path.join(tempfile.mkdtemp(), "log.jsonl")
    >>> _ = fastsgd.train(fastsgd.Network([64, 10]), X, y, epochs=2, callbacks=[JSONLogger(path)])
    >>> with open(path) as file:
    ...     [json.loads(line)["steps"] for line in file]
    [15, 30]
    """

    def _line(self, record):
        return to_json(record) + "\n"


class TensorBoardLogger(_Log):
    """Writes the figures as scalars for TensorBoard, by step, with tensorboardX or PyTorch's writer.

    Parameters
    ----------
    folder : path
        Of the event files.
    """

    def __init__(self, folder: str | os.PathLike):
        self.folder = folder
        self._writer_class()                           # what is missing is said before the training

    @staticmethod
    def _writer_class():
        try:
            from tensorboardX import SummaryWriter
        except ImportError:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                raise ImportError("TensorBoardLogger needs a writer of event files: pip install tensorboardX") from None
        return SummaryWriter

    def on_start(self, run: Run) -> None:
        self._writer = self._writer_class()(os.fspath(self.folder))

    def _write(self, run, figures, epoch):
        for name, value in figures.items():
            self._writer.add_scalar(name, value, run.steps)
        self._writer.add_scalar("epoch", epoch, run.steps)

    def on_end(self, run: Run) -> None:
        self._writer.close()


class MLflowLogger(_Log):
    """Logs the figures to the active MLflow run, by step, and the optimizer, batch size and network as its parameters.

    Without an active run one is begun, and ended with the training.
    """

    def __init__(self):
        try:
            import mlflow
        except ImportError:
            raise ImportError("MLflowLogger needs mlflow: pip install mlflow") from None
        self._mlflow = mlflow

    def on_start(self, run: Run) -> None:
        self._begun = self._mlflow.active_run() is None
        if self._begun:
            self._mlflow.start_run()
        if not run.history.steps:
            self._mlflow.log_params({"optimizer": repr(run.optimizer), "batch_size": run.batch_size,
                                     "network": repr(run.net)})

    def _write(self, run, figures, epoch):
        self._mlflow.log_metrics({"epoch": epoch, **figures}, step=run.steps)

    def on_end(self, run: Run) -> None:
        if self._begun:
            self._mlflow.end_run()
