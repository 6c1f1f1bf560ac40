"""What ``fastsgd train`` does while it trains: it shows how far it is, and opens the run folder."""
from __future__ import annotations

import argparse
import contextlib
import math
import time
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

import fastsgd
from fastsgd.cli.train_config import CONFIG, clear_folder, write_config

LINES = 20                  # of a run's epochs that are shown where there is no bar


@contextlib.contextmanager
def collecting_warnings() -> Iterator[list[str]]:
    """Collects warnings, except that of a run that had nothing to do: the command has a message of its own."""
    told: list[str] = []
    with warnings.catch_warnings(record=True) as found:
        for kind in (UserWarning, RuntimeWarning):
            warnings.simplefilter("always", kind)
        yield told
    told += [text for warning in found if not (text := str(warning.message)).startswith("nothing was trained")]


class Progress(fastsgd.Progress):
    """Its bar, or lines of some of the epochs: the first, the last, some twenty between, and one a second."""

    lines = LINES

    def on_start(self, run) -> None:
        super().on_start(run)
        self._shown = -math.inf

    def on_epoch(self, run) -> None:
        now = time.perf_counter()
        if self._bar is None and not (run.stop or run.epoch in (1, run.epochs) or now >= self._shown + 1
                                      or run.epoch % -(-run.epochs // self.lines) == 0):
            return
        self._shown = now
        super().on_epoch(run)


class Opening(fastsgd.Callback):
    """Clears the run folder right before the first step, when nothing can be refused any more."""

    def __init__(self, options: argparse.Namespace, left_out: Iterable[str]):
        self._options, self._folder, self._left_out, self._opened = options, Path(options.run), left_out, False

    def on_start(self, run) -> None:
        if self._opened:                        # of a fold before
            return
        self._opened = True
        if self._options.overwrite:
            clear_folder(self._folder)
        write_config(self._folder / CONFIG, self._options, self._left_out)
