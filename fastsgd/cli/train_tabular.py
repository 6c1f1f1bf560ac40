"""``fastsgd train`` where nothing is said of the network: the recipes of ``fastsgd.tabular``."""
from __future__ import annotations

import argparse
import dataclasses
import importlib.util
from pathlib import Path

import numpy as np

import fastsgd
from fastsgd.cli.console import printable, say, tell, warn
from fastsgd.cli.scorecard import scorecard
from fastsgd.cli.table_report import write_report
from fastsgd.cli.train_config import CURVE, LOG, MODEL, REPORT
from fastsgd.files.atomic import write_atomically
from fastsgd.tables.encoding import Encoding, Table, rows_with_targets
from fastsgd.tables.read import read_table
from fastsgd.tables.reading import Reading
from fastsgd.tabular.fitting import QUANTILES, Fitted, Rows, fit, predict_fold
from fastsgd.tabular.model import TabularModel
from fastsgd.tabular.recipe import recipe_for

OF_NETWORKS = frozenset((
    "loss", "huber_delta", "quantile", "focal_gamma", "tweedie_power", "sorted_quantiles", "hidden", "activation",
    "dtype", "dropout", "optimizer", "learning_rate", "schedule", "warm_up", "momentum", "weight_decay", "clip_norm",
    "max_norm", "average", "label_smoothing", "class_weight", "batch_size", "epochs", "early_stopping", "init_from",
    "resume", "checkpoint_every"))           # with any of these a network is trained as they say


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a run has learned, and what it is worth on rows that it has not seen."""

    model: TabularModel
    fitted: Fitted
    table: Table
    rows: Rows
    held_out: Rows
    outputs: np.ndarray                  # of the held-out rows, by members that were not trained on them
    told: list[str]                      # what was noticed about the table


def applies(options: argparse.Namespace) -> bool:
    """Whether the options leave the network and its descent open."""
    return not options.given & OF_NETWORKS and len(options.target) == 1 and options.validation > 0


def train(options: argparse.Namespace, progress: fastsgd.Callback) -> Outcome:
    """Reads, learns and tells; nothing is written yet."""
    told: list[str] = []

    def noticed(text: str) -> None:
        told.append(text)
        tell(text)

    def doubted(text: str) -> None:
        told.append(text)
        warn(text)

    said = Reading.of_options(options)
    table = read_table(options.data, reading=said, drop=options.drop, tell=noticed)
    table = rows_with_targets(table, tuple(options.target), noticed, options.missing)
    encoding = Encoding.learn(table, tuple(options.target), options.task, warn=doubted, keep=options.keep,
                              missing=options.missing, coded=True, tell=noticed)
    classes = len(encoding.classes)
    if not classes:
        encoding = dataclasses.replace(encoding, quantiles=(None, *QUANTILES))
    say(printable(encoding.summary()))
    rows = Rows(encoding.rows(table), encoding.targets(table, "float32"))
    recipe = recipe_for(round(len(rows) * (1 - options.validation)), classes, options.quality)
    say(f"quality {options.quality}: {recipe.members} networks of {recipe.depth} x {recipe.width} side by side"
        + f", for each of {recipe.folds} folds" * (recipe.folds > 1)
        + f"; at most {recipe.epochs} epochs, fewer where the validation cost has not fallen for {recipe.patience}")
    fitted = fit(rows, recipe, encoding.categories(), classes, seed=options.seed, fraction=options.validation,
                 threads=options.threads, time_limit=options.time_limit, callbacks=[progress])
    limits = None
    if not classes:
        own = rows.y.astype(float) * encoding.target_scale()[0] + encoding.target_offset()[0]
        limits = float(own.min()), float(own.max())
    model = TabularModel(encoding, fitted.net, limits, {"estimator": "fastsgd train"})
    checks = [fold.held_out for fold in fitted.folds]
    held_out = Rows(np.concatenate([own.X for own in checks]), np.concatenate([own.y for own in checks]))
    outputs = np.concatenate([predict_fold(fitted.net, fold, fold.held_out.X, options.threads)
                              for fold in fitted.folds])
    return Outcome(model, fitted, table, rows, held_out, outputs, told)


def tell_outcome(outcome: Outcome) -> None:
    """How the run went and what its model is worth."""
    steps = [fold.best_step for fold in outcome.fitted.folds]
    epochs = [-(-step * fold.history.epochs // fold.history.steps)
              for step, fold in zip(steps, outcome.fitted.folds, strict=True)]
    say("the best parameters are kept, those of epoch " + ", ".join(map(str, epochs))
        + f"; beside {outcome.fitted.recipe.members} networks {outcome.fitted.linear} linear"
        * (outcome.fitted.linear > 0))
    card = scorecard(outcome.model.net, outcome.model.encoding, outcome.held_out.X, outcome.held_out.y, outcome.outputs)
    for line in card.line().split("\n"):
        say(f"held-out rows: {line}")
    if doubt := card.doubt():
        warn(doubt)


def write(options: argparse.Namespace, outcome: Outcome) -> None:
    """The model, and with ``--run`` the log, the learning curve and the report."""
    folder = None if options.run is None else Path(options.run)
    for path in filter(None, [options.out, folder and folder / MODEL]):
        outcome.model.save(path)
        say(f"saved {path}")
    report = options.report or (folder and folder / REPORT)
    if folder:
        write_atomically(folder / LOG, [_log(outcome.fitted).encode()])
        if importlib.util.find_spec("matplotlib"):
            from fastsgd import plots
            plots.save(plots.history(outcome.fitted.folds[0].history), folder / CURVE)
            say(f"drew {folder / CURVE}")
    if report:
        write_report(report, options, outcome)
        say(f"wrote {report}")


def _log(fitted: Fitted) -> str:
    lines = ["fold,epoch,learning_rate,cost,validation_cost"]
    for number, fold in enumerate(fitted.folds, 1):
        history = fold.history
        for epoch, figures in enumerate(zip(history.learning_rate, history.cost, history.validation_cost, strict=True),
                                        1):
            lines.append(",".join(map(repr, (number, epoch, *figures))))
    return "\n".join(lines) + "\n"
