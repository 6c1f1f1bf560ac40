"""What ``fastsgd train`` says of a run when it has ended: how it went, what it is worth, and how to continue."""
from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np

import fastsgd
from fastsgd.cli import step_budget
from fastsgd.cli.console import say, warn
from fastsgd.cli.scorecard import MIN_ROWS, scorecard
from fastsgd.cli.train_config import CHECKPOINT, CONFIG, CURVE, MODEL
from fastsgd.cli.train_options import OPTIMIZERS
from fastsgd.data.checks import check_class_weight
from fastsgd.files.atomic import write_atomically
from fastsgd.plots._axes import last_picture_of
from fastsgd.runs.checkpoint import CheckpointData
from fastsgd.tables.wording import shell_word
from fastsgd.tabular.model import TabularModel

COMPARED_ROWS = 10_000      # on which the cost before the training and after it is measured


def cost(options: argparse.Namespace, net: fastsgd.Network, X: np.ndarray, y: np.ndarray, kept: np.ndarray) -> float:
    """Of the rows to train on, or some of them, weighted as in the training."""
    some = kept[::-(-len(kept) // COMPARED_ROWS)]
    weight = check_class_weight(options.class_weight, y[some], net.loss, net.architecture.targets)
    return net.cost(X[some], y[some], sample_weight=weight)


def require_descent(options: argparse.Namespace, before: float, after: float) -> None:
    """ArithmeticError where the training did harm: its model is not worth a file."""
    if not after <= before + 0.001 * abs(before):
        raise ArithmeticError(f"the training raised the cost of its own rows from {before:.4g} to {after:.4g}: the "
                              f"model is worse than before its first step and is not saved; {smaller_rate(options)}")


def smaller_rate(options: argparse.Namespace) -> str:
    """The cure of steps that are too long."""
    own = float(OPTIMIZERS[options.optimizer]().learning_rate)          # type: ignore[arg-type]
    given = own if options.learning_rate is None else options.learning_rate
    return f"try --learning-rate {own if given > 3 * own else given / 10:g} (it was {given:g})"


def tell_course(options: argparse.Namespace, history: fastsgd.History, saved: CheckpointData | None,
                stopping: fastsgd.EarlyStopping | None, rows: int) -> None:
    """Whether the run ended early, too soon or too late, or had nothing to do."""
    if saved and history.steps == saved.counters.steps:
        say(_nothing_left(options, history))
    elif stopping and history.stopped:
        best = epoch_of(stopping.best_step, history)
        early = f"ended early, after {history.epochs:,} of {options.epochs:,} epochs; "
        say(early * (history.epochs < options.epochs) + f"the best parameters are kept, those of epoch {best:,}")
    elif step_budget.still_falling(history):
        more = max(3 * options.epochs, step_budget.epochs_for(rows, options.batch_size))
        say(f"the cost is still falling after {history.steps:,} steps; try --epochs {more}"
            + f" --early-stopping {options.early_stopping}" * bool(stopping) + _how_to_continue(options, more))
    elif not stopping and (lowest := step_budget.rising_since(history)):
        say(f"the validation cost was lowest after epoch {lowest:,} and has risen since; --early-stopping keeps the "
            "best parameters")


def epoch_of(step: int, history: fastsgd.History) -> int:
    """In which epoch of a run a step was made."""
    return -(-step * history.epochs // max(1, history.steps))


def save(options: argparse.Namespace, model: fastsgd.Network | TabularModel, history: fastsgd.History) -> None:
    """The model, where it is wanted, and in a run folder the learning curve."""
    folder = None if options.run is None else Path(options.run)
    for path in filter(None, [options.out, folder and folder / MODEL]):
        model.save(path)
        say(f"saved {path}")
    if folder and importlib.util.find_spec("matplotlib"):
        from fastsgd import plots
        draw(plots.history(history), folder / CURVE)


def draw(ax: Any, path: Path) -> None:
    """Writes the picture of these axes, and says so."""
    write_atomically(path, [last_picture_of(ax)])
    say(f"drew {path}")


def tell_interrupted(options: argparse.Namespace, net: fastsgd.Network) -> None:
    """How to continue, and where the network trained so far is saved."""
    if options.run is not None:
        say(f"fastsgd: interrupted; fastsgd train --config {shell_word(Path(options.run) / CONFIG)} --resume continues")
    if options.out:
        net.save(options.out)
        say(f"fastsgd: interrupted; the network trained so far is saved in {options.out}")


def tell_scores(model: TabularModel, X: np.ndarray, y: np.ndarray, kept: np.ndarray, held_out: np.ndarray,
                told: list[str]) -> None:
    """Figures of the held-out rows, and whether they are no better than a constant's; ``told`` are causes."""
    shown, name = (held_out, "held-out") if len(held_out) else (kept, "training")
    card = scorecard(model, X[shown], y[shown])
    for line in card.line().split("\n"):
        say(f"{name} rows: {line}")
    if len(shown) < MIN_ROWS:
        card = scorecard(model, X, y)                   # of all rows: so few say nothing
    for text in told:
        warn(text)
    if doubt := card.doubt():
        cure = "; other --epochs, --learning-rate or --hidden may help, if the columns tell of the target at all"
        warn(doubt if told or card.tells_more else doubt + cure)


def check_schedule(options: argparse.Namespace, saved: CheckpointData, optimizer) -> None:
    """ValueError where a run with a schedule would be resumed with another one."""
    if (options.schedule != "constant" or options.warm_up) and saved.plan.get("optimizer") != repr(optimizer):
        raise ValueError(f"{Path(options.run) / CHECKPOINT} is a checkpoint of another run, nothing was changed; "
                         f"optimizer: {saved.plan.get('optimizer')!s:.300} in the checkpoint, {optimizer!r:.300} here. "
                         "A schedule reaches over all epochs of a run, which cannot be made longer: "
                         + _new_run(options))


def _new_run(options: argparse.Namespace) -> str:
    return f"--init-from {shell_word(Path(options.run) / MODEL)} with another --run begins one from its model"


def _nothing_left(options: argparse.Namespace, history: fastsgd.History) -> str:
    if history.stopped:
        return (f"nothing was left to do: the run had ended early, after {history.epochs:,} epochs; a larger "
                f"--early-stopping than {options.early_stopping} continues")
    return (f"nothing was left to do: the run had made its {history.epochs:,} epochs already"
            + _how_to_continue(options, 2 * history.epochs))


def _how_to_continue(options: argparse.Namespace, epochs: int) -> str:
    if not options.run:
        return ""
    if options.schedule != "constant" or options.warm_up:
        return "; a run with a schedule cannot be made longer: " + _new_run(options)
    return f"; fastsgd train --config {shell_word(Path(options.run) / CONFIG)} --resume --epochs {epochs} continues"
