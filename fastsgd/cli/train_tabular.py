"""``fastsgd train`` where nothing is said of the network: the recipes of ``fastsgd.tabular``."""
from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import numpy as np

import fastsgd
from fastsgd.cli.console import printable, say, tell, warn
from fastsgd.cli.scorecard import scorecard
from fastsgd.cli.table_report import Outcome, report_of
from fastsgd.cli.train_config import CONFIG, LOG, MODEL, REPORT, checkpoint_of
from fastsgd.cli.train_options import OF_NETWORKS, OF_RECIPES, column_kinds
from fastsgd.cli.train_outcome import epoch_of, save
from fastsgd.cli.train_progress import LINES, Opening, Progress, collecting_warnings
from fastsgd.files.atomic import check_writable, write_atomically
from fastsgd.tables.columns import Number
from fastsgd.tables.encoding import Encoding, Table, rows_with_targets
from fastsgd.tables.read import read_table
from fastsgd.tables.reading import Reading
from fastsgd.tables.wording import shell_word
from fastsgd.tabular.fitting import QUANTILES, Fitted, Rows, fit, predict_fold, together
from fastsgd.tabular.importance import by_name, permutation_importance
from fastsgd.tabular.model import TabularModel, description
from fastsgd.tabular.recipe import Recipe, recipe_for


def applies(options: argparse.Namespace) -> bool:
    """Whether the options leave the network and its descent open; ValueError where they contradict each other."""
    described = [f"--{name.replace('_', '-')}" for name in sorted(options.given & OF_NETWORKS)]
    described += ["several targets"] * (len(options.target) > 1) + ["--validation 0"] * (not options.validation)
    if described and (asked := sorted(options.given & OF_RECIPES)):
        raise ValueError(f"--{asked[0]} is of a table that is learned by recipe, which {described[0]} rules out: give "
                         "one of them")
    return not described


def run(options: argparse.Namespace) -> int:
    """Reads, learns, tells and writes."""
    folder = None if options.run is None else Path(options.run)
    remarks: list[str] = []

    def remark(text: str) -> None:
        remarks.append(text)
        tell(text)

    encoding, table, rows = _read(options, remark)
    recipe = recipe_for(round(len(rows) * (1 - options.validation)), len(encoding.classes), options.quality)
    say(_plan(options.quality, recipe))
    if recipe.folds > 1 and "validation" in options.given:
        warn(f"--validation {options.validation:g} is not used: each of the {recipe.folds} folds is held out in turn")
    checkpoint, opening = _checkpoints(options, folder), []
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        check_writable(folder / MODEL)
        unused = {"validation"} - options.given if recipe.folds > 1 else set()
        opening = [Opening(options, OF_NETWORKS | unused)]
    try:
        with collecting_warnings() as told:
            fitted = fit(rows, recipe, encoding.categories(), len(encoding.classes), seed=options.seed,
                         fraction=options.validation, threads=options.threads, time_limit=options.time_limit,
                         callbacks=[_FoldProgress(recipe.folds), *opening], resume=options.resume,
                         checkpoint=checkpoint)
    except KeyboardInterrupt:
        if folder and checkpoint:
            say(f"fastsgd: interrupted; fastsgd train --config {shell_word(folder / CONFIG)} --resume continues")
        else:
            say("fastsgd: interrupted; nothing is saved (a --run FOLDER without --time-limit can be resumed)")
        return 130
    for text in told:
        warn(text)
    outcome = _outcome(encoding, table, rows, fitted, remarks, options)
    _tell(outcome)
    _write(options, folder, outcome)
    return 0


def _read(options: argparse.Namespace, remark) -> tuple[Encoding, Table, Rows]:
    def doubt(text: str) -> None:
        remark(f"warning: {text}")

    table = read_table(options.data, reading=Reading.of_options(options), drop=options.drop, tell=remark)
    table = rows_with_targets(table, tuple(options.target), remark, options.missing)
    count = len(next(iter(table.values())))
    if round(count * options.validation) == count:
        raise ValueError(f"--validation {options.validation} leaves none of the {count} rows to train on")
    encoding = Encoding.learn(table, tuple(options.target), options.task, warn=doubt, keep=options.keep,
                              missing=options.missing, kinds=column_kinds(options.column), coded=True, tell=remark)
    if not encoding.classes:
        encoding = dataclasses.replace(encoding, quantiles=(None, *QUANTILES))
    say(printable(encoding.summary()))
    return encoding, table, Rows(encoding.rows(table), encoding.targets(table, "float32"))


def _plan(quality: str, recipe: Recipe) -> str:
    folds = f", for each of {recipe.folds} folds" * (recipe.folds > 1)
    return (f"quality {quality}: {recipe.members} networks of {recipe.depth} x {recipe.width} side by side{folds}; at "
            f"most {recipe.epochs} epochs, fewer where the validation cost has not fallen for {recipe.patience}")


def _checkpoints(options: argparse.Namespace, folder: Path | None):
    """What ``fit`` asks for a fold's checkpoint, if there is to be one: a time limit goes by the clock."""
    if folder is None or options.time_limit is not None:
        return None
    return lambda fold: fastsgd.Checkpoint(checkpoint_of(folder, fold), seconds=options.checkpoint_every)


class _FoldProgress(Progress):
    """Says which fold it is, from the second on; the lines are those of all folds together."""

    fold = 0

    def __init__(self, folds: int):
        super().__init__()
        self.lines = max(2, LINES // folds)

    def on_start(self, run) -> None:
        self.fold += 1
        if self.fold > 1:
            say(f"fold {self.fold}")
        super().on_start(run)


# ---- after the training ----

def _outcome(encoding: Encoding, table: Table, rows: Rows, fitted: Fitted, remarks: list[str],
             options: argparse.Namespace) -> Outcome:
    limits = None
    if isinstance(encoding.target, Number):
        own = encoding.target.in_own_units(rows.y)
        limits = float(own.min()), float(own.max())
    held_out = together([fold.held_out for fold in fitted.folds])
    outputs = np.concatenate([predict_fold(fitted.net, fold, fold.held_out.X, None) for fold in fitted.folds])
    importances = permutation_importance(fitted.net, fitted.folds, encoding) if options.report or options.run else None
    model = TabularModel(encoding, fitted.net, limits, _about(encoding, table, importances, fitted.recipe, options))
    return Outcome(model, fitted, rows, held_out, outputs, scorecard(model, held_out.X, held_out.y, outputs),
                   importances, remarks)


def _about(encoding: Encoding, table: Table, importances: np.ndarray | None, recipe: Recipe,
           options: argparse.Namespace) -> dict:
    names = [name for name in table if name not in encoding.target_names]
    classes = encoding.classes
    return description(
        "TabularClassifier" if classes else "TabularRegressor", features=len(names), names=names,
        left_out=dict.fromkeys(sorted({*names} - {*encoding.names}), "by fastsgd train"),
        importances=None if importances is None else by_name(importances, encoding, names), recipe=recipe,
        parameters={"quality": options.quality, "validation_fraction": options.validation,
                    "time_limit": options.time_limit},
        classes=classes, dtype=_dtype_of(classes) if classes else None)


def _dtype_of(levels: tuple) -> np.dtype:
    kinds = {type(level) for level in levels}
    return np.dtype(kinds.pop() if kinds in ({int}, {bool}) else object)


def _tell(outcome: Outcome) -> None:
    """How the run went and what its model is worth."""
    folds, linear = outcome.fitted.folds, outcome.fitted.linear
    epochs = [epoch_of(fold.best_step, fold.history) for fold in folds]
    say("the best parameters are kept, those of epoch " + ", ".join(map(str, epochs))
        + f"; beside the networks a linear model, which counts as {linear} of {linear + outcome.fitted.recipe.members}"
        * (linear > 0))
    for line in outcome.card.line().split("\n"):
        say(f"{outcome.which_rows}: {line}")
    if doubt := outcome.card.doubt():
        warn(doubt)


def _write(options: argparse.Namespace, folder: Path | None, outcome: Outcome) -> None:
    """The model, and in a run folder the log, the learning curve and the report."""
    save(options, outcome.model, outcome.fitted.folds[0].history)
    if folder:
        write_atomically(folder / LOG, [_log(outcome.fitted).encode()])
    if reports := list(filter(None, [options.report, folder and folder / REPORT])):
        page = report_of(options, outcome)
        for path in reports:
            write_atomically(path, [page])
            say(f"wrote {path}")


def _log(fitted: Fitted) -> str:
    lines = ["fold,epoch,learning_rate,cost,validation_cost"]
    for number, fold in enumerate(fitted.folds, 1):
        history = fold.history
        for epoch, figures in enumerate(zip(history.learning_rate, history.cost, history.validation_cost, strict=True),
                                        1):
            lines.append(",".join(map(repr, (number, epoch, *figures))))
    return "\n".join(lines) + "\n"
