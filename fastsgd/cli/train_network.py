"""``fastsgd train`` with options of the network or its descent: the one network that they describe."""
from __future__ import annotations

import argparse
import dataclasses
import warnings
from pathlib import Path

import numpy as np

import fastsgd
from fastsgd import schedules
from fastsgd.cli import step_budget
from fastsgd.cli import train_outcome as outcome
from fastsgd.cli.console import printable, say, tell, warn
from fastsgd.cli.train_config import CHECKPOINT, LOG, MODEL
from fastsgd.cli.train_options import OF_LOSSES, OF_RECIPES, OPTIMIZERS, column_kinds
from fastsgd.cli.train_progress import Opening, Progress, collecting_warnings
from fastsgd.data.checks import generator
from fastsgd.engine import elementary
from fastsgd.files.atomic import check_writable
from fastsgd.losses import Loss, with_parameters
from fastsgd.runs.checkpoint import CheckpointData
from fastsgd.runs.feeds import steps_in
from fastsgd.tables.encoding import Encoding, rows_with_targets
from fastsgd.tables.read import read_for, read_table
from fastsgd.tables.reading import Reading
from fastsgd.tabular.model import TabularModel, load_model
from fastsgd.training import AUTO_SECONDS

OF_OPTIMIZERS = ("learning_rate", "momentum", "weight_decay", "clip_norm", "max_norm", "average")


def run(options: argparse.Namespace) -> int:
    """Learns the table's encoding, trains, and saves both in one file."""
    optimizer = optimizer_of(options)
    net, encoding, X, y, kept, held_out = _begin(options)
    saved = _saved(options)
    _choose_steps(options, net, X[kept], y[kept], optimizer, saved, len(held_out))
    optimizer = _scheduled(optimizer, options, steps_in(len(kept), min(options.batch_size, len(kept))))
    stopping = fastsgd.EarlyStopping(options.early_stopping) if options.early_stopping else None
    limit = fastsgd.TimeLimit(options.time_limit) if options.time_limit else None
    callbacks: list = [Progress(), *filter(None, [stopping, limit])]
    folder = None if options.run is None else Path(options.run)
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        check_writable(folder / MODEL)
        callbacks += [Opening(options, OF_RECIPES), fastsgd.CSVLogger(folder / LOG)]
    checkpoint = fastsgd.Checkpoint(folder / CHECKPOINT, seconds=options.checkpoint_every) if folder else None
    say(f"{net}, {net.params.size:,} parameters; {len(kept):,} rows to train on, {len(held_out):,} held out")
    if saved:
        say(f"resuming from {folder and folder / CHECKPOINT}")
        outcome.check_schedule(options, saved, optimizer)
    before = outcome.cost(options, net, X, y, kept)
    try:
        with collecting_warnings() as told:
            history = fastsgd.train(
                net, X[kept], y[kept], optimizer=optimizer, batch_size=options.batch_size, epochs=options.epochs,
                seed=options.seed, threads=options.threads, dropout=options.dropout, class_weight=options.class_weight,
                label_smoothing=options.label_smoothing, callbacks=callbacks, checkpoint=checkpoint,
                resume=options.resume, validation=(X[held_out], y[held_out]) if len(held_out) else None)
    except FloatingPointError as error:
        what = str(error).partition(". ")[0]
        raise ArithmeticError(f"{what}, but not saved; {outcome.smaller_rate(options)}") from None
    except KeyboardInterrupt:
        outcome.tell_interrupted(options, net)
        return 130
    outcome.require_descent(options, before, outcome.cost(options, net, X, y, kept))
    outcome.tell_course(options, history, saved, stopping, len(kept))
    outcome.tell_scores(TabularModel(encoding, net), X, y, kept, held_out, told)
    outcome.save(options, net, history)
    return 0


# ---- before the training ----

def _begin(options: argparse.Namespace):
    """``(net, encoding, X, y, kept, held_out)``: the network before its first step, all rows, and
    the numbers of those to train on and of those held out.
    """
    given = load_model(options.init_from) if options.init_from else None
    said = Reading.of_options(options)
    table = read_for(given.encoding, options.data, said, tell) if given else read_table(
        options.data, reading=said, drop=options.drop, tell=tell)
    names = given.encoding.target_names if given else tuple(options.target)
    table = rows_with_targets(table, names, tell, options.missing)
    order = generator(options.seed).permutation(len(next(iter(table.values()))))
    held_out = order[:round(len(order) * options.validation)]
    kept = np.sort(order[len(held_out):])
    if not len(kept):
        raise ValueError(f"--validation {options.validation} leaves none of the {len(order)} rows to train on")
    if given:
        net, encoding = given.net, given.encoding
        if options.target and tuple(options.target) != encoding.target_names:
            raise ValueError(f"{options.init_from} predicts {', '.join(encoding.target_names)}, got --target "
                             f"{', '.join(options.target)}")
        for name in encoding.target_names:
            if name not in table:
                raise ValueError(f"{options.data} has no column {name!r}, which {options.init_from} predicts")
        options.target = list(encoding.target_names)
    else:
        encoding = Encoding.learn(table, tuple(options.target), options.task, rows=kept, warn=warn, keep=options.keep,
                                  missing=options.missing, own_units=True, quantiles=options.quantile or (), tell=tell,
                                  kinds=column_kinds(options.column))
    say(printable(encoding.summary()))
    if options.class_weight and not encoding.classes:
        raise ValueError("--class-weight is for classes; this target is a quantity")
    if not given:
        net = network(options, encoding)
    X, y = encoding.rows(table, net.dtype, warn if given else None), encoding.targets(table, net.dtype)
    if net.architecture.loss_type.targets.sign:
        _check_sign(net.architecture.loss_type, encoding, y)
        if not given:
            net.biases[-1][:] = elementary.log(np.maximum(y.reshape(len(y), -1)[kept].mean(axis=0), 1e-6))
    return net, encoding, X, y, kept, held_out


def network(options: argparse.Namespace, encoding: Encoding) -> fastsgd.Network:
    """A new one for a table of this encoding, which travels with it."""
    known = {parameter: getattr(options, name) for parameter, name in OF_LOSSES.items()}
    loss = with_parameters(options.loss or encoding.loss, **{
        **known, "quantile": encoding.quantiles * len(encoding.target_names)})
    if loss.targets.in_order and any(isinstance(level, str) for level in encoding.classes):
        raise ValueError(f"--loss {loss.name} needs classes that are numbers, whose order is theirs; target "
                         f"{encoding.target.name!r} has text such as {encoding.classes[0]!r:.40}")
    more: dict = {"output": "sorted"} if options.sorted_quantiles else {}
    if loss.targets.has_unit:
        more |= {"output_scale": encoding.target_scale(), "output_offset": encoding.target_offset()}
    with warnings.catch_warnings():             # of float32 predictions: the command scales them in float64
        warnings.simplefilter("ignore", UserWarning)
        net = fastsgd.Network([encoding.width, *options.hidden, loss.outputs_for(encoding.outputs)],
                              options.activation, loss, dtype=options.dtype, seed=options.seed, **more)
    net.metadata["table"] = encoding.to_json()
    return net


def _check_sign(loss: type[Loss], encoding: Encoding, y: np.ndarray) -> None:
    columns, sign = y.reshape(len(y), -1), loss.targets.sign
    for i, name in enumerate(encoding.target_names):
        row = int(columns[:, i].argmin())
        if columns[row, i] < 0 or (sign == "above 0" and columns[row, i] == 0):
            what = f"counts and other quantities of {sign}" if sign == "at least 0" else f"quantities {sign}"
            raise ValueError(f"--loss {loss.name} is for {what}, but target {name!r} is {columns[row, i]:g} in row "
                             f"{row}, counted from 0")


def _saved(options: argparse.Namespace) -> CheckpointData | None:
    """The checkpoint to resume from."""
    path = Path(options.run or "") / CHECKPOINT
    return CheckpointData.read(path) if options.resume and path.exists() else None


def _choose_steps(options: argparse.Namespace, net: fastsgd.Network, X, y, optimizer, saved: CheckpointData | None,
                  held_out: int) -> None:
    """The batch size, the epochs and when they end early, where the options leave them open."""
    if options.batch_size is None:
        options.batch_size = step_budget.batch_size_for(len(X))
    elif options.batch_size == "auto" and saved:
        options.batch_size = saved.batch_size
    elif options.batch_size == "auto":
        say("looking for the batch size")
        found = fastsgd.descent.suggest_batch_size(net, X, y, optimizer, seconds=AUTO_SECONDS, seed=0,
                                                   threads=options.threads)
        say(str(found))
        options.batch_size = found.batch_size
    if options.epochs != "auto":
        return
    options.epochs = step_budget.epochs_for(len(X), min(options.batch_size, len(X)), held_out > 0)
    if held_out and options.early_stopping is None:
        options.early_stopping = step_budget.patience_for(options.epochs)
    say(f"batches of {min(options.batch_size, len(X)):,} rows, at most {options.epochs:,} epochs" + (
        f", fewer where the validation cost has not fallen for {options.early_stopping:,}; the best parameters are kept"
        if options.early_stopping else "") + " (--epochs says how many)")


def optimizer_of(options: argparse.Namespace) -> fastsgd.optimizers.Optimizer:
    """The one asked for, with a constant rate."""
    kind = OPTIMIZERS[options.optimizer]
    given = {name: value for name in OF_OPTIMIZERS if (value := getattr(options, name)) is not None}
    if "momentum" in given and not hasattr(kind(), "momentum"):
        raise ValueError(f"--momentum does not go with --optimizer {options.optimizer}")
    return kind(**given)


def _scheduled(optimizer, options: argparse.Namespace, steps_per_epoch: int):
    """The optimizer with its learning rate on the schedule asked for, which reaches over the whole run."""
    rate, run = optimizer.learning_rate, max(1, options.epochs * steps_per_epoch)
    rises = round(options.warm_up * steps_per_epoch)
    if options.schedule == "constant" and not rises:
        return optimizer
    rest = max(1, run - rises)
    schedule: schedules.Schedule = {
        "constant": lambda: schedules.Constant(rate), "cosine": lambda: schedules.Cosine(rate, rest),
        "flat-cosine": lambda: schedules.FlatCosine(rate, rest),
        "one-cycle": lambda: schedules.OneCycle(rate, rest), "step": lambda: schedules.StepDecay(rate, -(-rest // 3)),
        "exponential": lambda: schedules.Exponential(rate, rest, 0.01),
        "inverse-scaling": lambda: schedules.InverseScaling(rate)}[options.schedule]()
    if rises:
        schedule = schedules.WarmUp(rises, schedule)
    return dataclasses.replace(optimizer, learning_rate=schedule)
