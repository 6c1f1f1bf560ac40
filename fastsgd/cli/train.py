"""``fastsgd train``: a table, a network, and a run folder from which the training can be resumed."""
from __future__ import annotations

import argparse
import contextlib
import dataclasses
import importlib.util
import math
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import fastsgd
from fastsgd import schedules
from fastsgd.arguments import check_whole
from fastsgd.cli import step_budget, train_tabular
from fastsgd.cli import train_outcome as outcome
from fastsgd.cli.console import printable, say, tell, warn
from fastsgd.cli.predict import load
from fastsgd.cli.suffixes import refuse_other_suffix
from fastsgd.cli.train_config import (
    CHECKPOINT,
    CONFIG,
    CURVE,
    LOG,
    MODEL,
    RUN_FILES,
    is_ours,
    with_config,
    write_config,
)
from fastsgd.cli.train_options import OF_LOSSES, OF_MODEL, OPTIMIZERS
from fastsgd.cli.train_outcome import shell
from fastsgd.data.checks import generator
from fastsgd.files.atomic import check_writable, refuse_replacing
from fastsgd.losses import LOSSES, Loss, with_parameters
from fastsgd.runs.checkpoint import CheckpointData
from fastsgd.runs.feeds import steps_in
from fastsgd.tables.encoding import Encoding, rows_with_targets
from fastsgd.tables.read import read_for, read_table
from fastsgd.tables.reading import Reading
from fastsgd.training import AUTO_SECONDS

OF_OPTIMIZERS = ("learning_rate", "momentum", "weight_decay", "clip_norm", "max_norm", "average")
LINES = 20                  # of a run's epochs that are shown where there is no bar


def train(options: argparse.Namespace, command: argparse.ArgumentParser) -> int:
    """Learns the table's encoding, trains, and saves both in one file."""
    options = with_config(options, command)
    _check(options, command)
    if train_tabular.applies(options):
        return _by_recipe(options)
    optimizer = _optimizer(options)
    net, encoding, X, y, kept, held_out = _begin(options)
    saved = _saved(options)
    _choose_steps(options, net, X[kept], y[kept], optimizer, saved, len(held_out))
    optimizer = _scheduled(optimizer, options, steps_in(len(kept), min(options.batch_size, len(kept))))
    stopping = fastsgd.EarlyStopping(options.early_stopping) if options.early_stopping else None
    callbacks: list = [_Progress(), *filter(None, [stopping])]
    folder = None if options.run is None else Path(options.run)
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        check_writable(folder / MODEL)
        callbacks += [_Opening(options), fastsgd.CSVLogger(folder / LOG)]
    checkpoint = fastsgd.Checkpoint(folder / CHECKPOINT, seconds=options.checkpoint_every) if folder else None
    say(f"{net}, {net.params.size:,} parameters; {len(kept):,} rows to train on, {len(held_out):,} held out")
    if saved:
        say(f"resuming from {folder and folder / CHECKPOINT}")
        outcome.check_schedule(options, saved, optimizer)
    before = outcome.cost(options, net, X, y, kept)
    try:
        with _collecting_warnings() as told:
            history = fastsgd.train(
                net, X[kept], y[kept], optimizer=optimizer, batch_size=options.batch_size, epochs=options.epochs,
                seed=options.seed, threads=options.threads, dropout=options.dropout, class_weight=options.class_weight,
                label_smoothing=options.label_smoothing, callbacks=callbacks, checkpoint=checkpoint,
                resume=options.resume, validation=(X[held_out], y[held_out]) if len(held_out) else None)
    except FloatingPointError as error:
        what = str(error).partition(". ")[0]
        raise ArithmeticError(f"{what}, but not saved; {outcome.smaller_rate(options)}") from None
    except KeyboardInterrupt:
        if folder:
            say(f"fastsgd: interrupted; fastsgd train --config {shell(folder / CONFIG)} --resume continues")
        if options.out:
            net.save(options.out)
            say(f"fastsgd: interrupted; the network trained so far is saved in {options.out}")
        return 130
    outcome.require_descent(options, before, outcome.cost(options, net, X, y, kept))
    outcome.tell_course(options, history, saved, stopping, len(kept))
    outcome.tell_scores(net, encoding, X, y, kept, held_out, told)
    for path in filter(None, [options.out, folder and folder / MODEL]):
        net.save(path)
        say(f"saved {path}")
    if folder and importlib.util.find_spec("matplotlib"):
        from fastsgd import plots
        plots.save(plots.history(history), folder / CURVE)
        say(f"drew {folder / CURVE}")
    return 0


def _by_recipe(options: argparse.Namespace) -> int:
    try:
        with _collecting_warnings() as told:
            outcome = train_tabular.train(options, _Progress())
    except KeyboardInterrupt:
        say("fastsgd: interrupted; nothing is saved")
        return 130
    for text in told:
        warn(text)
    train_tabular.tell_outcome(outcome)
    if options.run:
        folder = Path(options.run)
        folder.mkdir(parents=True, exist_ok=True)
        if options.overwrite:
            for name in RUN_FILES:
                (folder / name).unlink(missing_ok=True)
        write_config(folder / CONFIG, options)
    train_tabular.write(options, outcome)
    return 0


# ---- before it ----

def _check(options: argparse.Namespace, command: argparse.ArgumentParser) -> None:
    """What can be refused before anything is read."""
    for name, shown in (("data", "DATA"), ("target", "--target COLUMN")):
        if not getattr(options, name) and not (name == "target" and options.init_from):
            command.error(f"{shown} is missing")
    if options.out is None and options.run is None:
        command.error("--out MODEL or --run FOLDER is missing")
    if options.resume and options.run is None:
        command.error("--resume needs the checkpoint of a --run FOLDER, which is missing")
    if options.resume and options.overwrite:
        command.error("--resume continues the run that --overwrite replaces: give one of them")
    for name in options.target:
        if options.target.count(name) > 1:
            raise ValueError(f"--target {name} is given twice; several targets must be different columns")
        if name in options.drop:
            raise ValueError(f"--drop {name} would drop the target")
    if not 0 <= options.validation < 1:
        raise ValueError(f"--validation must be at least 0 and below 1, got {options.validation}")
    if options.early_stopping is not None and options.early_stopping < 1:
        raise ValueError(f"--early-stopping must be at least 1, got {options.early_stopping}")
    if options.early_stopping and not options.validation:
        raise ValueError("--early-stopping needs rows held out: --validation above 0")
    if options.epochs != "auto" and options.epochs < 1:
        raise ValueError(f"--epochs must be at least 1, or auto, got {options.epochs}; a network that made no step "
                         "predicts nothing")
    if not 0 <= options.warm_up < math.inf:
        raise ValueError(f"--warm-up must be at least 0 and finite, got {options.warm_up}")
    _check_loss(options)
    if options.init_from and (settled := [name for name in OF_MODEL if name in options.given]):
        raise ValueError(f"--{settled[0].replace('_', '-')} does not go with --init-from: the model file settles it")
    if options.out is not None:
        refuse_replacing(options.out, *filter(None, (options.data, options.config)))
        refuse_other_suffix("--out", options.out, (".safetensors",), "a model file")
        check_writable(options.out)
    _check_folder(options)


def _check_loss(options: argparse.Namespace) -> None:
    for parameter, name in OF_LOSSES.items():
        loss = next(loss for loss, kind in LOSSES.items() if kind.parameter() == parameter)
        if getattr(options, name) is not None:
            options.loss = options.loss or loss
            if options.loss != loss:
                raise ValueError(f"--{name.replace('_', '-')} is for --loss {loss}, got --loss {options.loss}")
    if options.loss == "quantile" and options.quantile is None:
        options.quantile = [0.5]
    if options.sorted_quantiles and options.loss != "quantile":
        got = f", got --loss {options.loss}" if options.loss else ""
        raise ValueError(f"--sorted-quantiles is for --loss quantile{got}")
    if options.sorted_quantiles and len(options.target) > 1:
        raise ValueError(f"--sorted-quantiles is for one target, got {', '.join(options.target)}")
    if options.loss is None:
        return
    kind = "classification" if LOSSES[options.loss].targets.classes else "regression"
    if options.task not in ("auto", kind):
        raise ValueError(f"--loss {options.loss} is for {kind}, got --task {options.task}")
    options.task = kind


def _check_folder(options: argparse.Namespace) -> None:
    """Refuses a run folder whose files would be lost, and names that its config.toml cannot hold."""
    if options.run is None:
        return
    folder = Path(options.run)
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"--run {folder} is a file; give a folder, which need not exist")
    for name in RUN_FILES:
        refuse_replacing(folder / name, *filter(None, (options.data, options.init_from)))
    for text in filter(None, (options.data, options.run, options.out, options.init_from)):
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValueError(f"{CONFIG} cannot hold the name {text!a}, which is not UTF-8; rename the file") from None
    holds = [name for name in RUN_FILES if (folder / name).exists()]
    if not holds or options.overwrite:
        return
    if not ({CHECKPOINT, MODEL} & set(holds) or is_ours(folder / CONFIG)):
        raise FileExistsError(f"--run {folder} holds files that are not of a run ({', '.join(holds)}); give another "
                              "folder, or --overwrite replaces them")
    if not options.resume:
        raise FileExistsError(f"--run {folder} holds a run already ({', '.join(holds)}); --resume continues it, "
                              "--overwrite replaces it")


def _begin(options: argparse.Namespace):
    """``(net, encoding, X, y, kept, held_out)``: the network before its first step, all rows, and
    the numbers of those to train on and of those held out.
    """
    given = load(options.init_from) if options.init_from else None
    said = Reading.of_options(options)
    table = read_for(given[1], options.data, said, tell) if given else read_table(
        options.data, reading=said, drop=options.drop, tell=tell)
    table = rows_with_targets(table, given[1].target_names if given else tuple(options.target), tell, options.missing)
    order = generator(options.seed).permutation(len(next(iter(table.values()))))
    held_out = order[:round(len(order) * options.validation)]
    kept = np.sort(order[len(held_out):])
    if not len(kept):
        raise ValueError(f"--validation {options.validation} leaves none of the {len(order)} rows to train on")
    if given:
        net, encoding = given
        if options.target and tuple(options.target) != encoding.target_names:
            raise ValueError(f"{options.init_from} predicts {', '.join(encoding.target_names)}, got --target "
                             f"{', '.join(options.target)}")
        for name in encoding.target_names:
            if name not in table:
                raise ValueError(f"{options.data} has no column {name!r}, which {options.init_from} predicts")
        options.target = list(encoding.target_names)
    else:
        encoding = Encoding.learn(table, tuple(options.target), options.task, rows=kept, warn=warn, keep=options.keep,
                                  missing=options.missing, own_units=True, quantiles=options.quantile or (), tell=tell)
    say(printable(encoding.summary()))
    if options.class_weight and not encoding.classes:
        raise ValueError("--class-weight is for classes; this target is a quantity")
    if not given:
        net = _network(options, encoding)
    X, y = encoding.rows(table, net.dtype, warn if given else None), encoding.targets(table, net.dtype)
    if net.architecture.loss_type.targets.sign:
        _check_sign(net.architecture.loss_type, encoding, y)
        if not given:
            net.biases[-1][:] = np.log(np.maximum(y.reshape(len(y), -1)[kept].mean(axis=0), 1e-6))
    return net, encoding, X, y, kept, held_out


def _network(options: argparse.Namespace, encoding: Encoding) -> fastsgd.Network:
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
    check_whole("batch_size", options.batch_size, least=1)
    if options.epochs != "auto":
        return
    options.epochs = step_budget.epochs_for(len(X), min(options.batch_size, len(X)), held_out > 0)
    if held_out and options.early_stopping is None:
        options.early_stopping = step_budget.patience_for(options.epochs)
    say(f"batches of {min(options.batch_size, len(X)):,} rows, at most {options.epochs:,} epochs" + (
        f", fewer where the validation cost has not fallen for {options.early_stopping:,}; the best parameters are kept"
        if options.early_stopping else "") + " (--epochs says how many)")


def _optimizer(options: argparse.Namespace) -> fastsgd.optimizers.Optimizer:
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


# ---- during the training ----

@contextlib.contextmanager
def _collecting_warnings() -> Iterator[list[str]]:
    """Collects warnings, except that of a run that had nothing to do: the command has a message of its own."""
    told: list[str] = []
    with warnings.catch_warnings(record=True) as found:
        for kind in (UserWarning, RuntimeWarning):
            warnings.simplefilter("always", kind)
        yield told
    told += [text for warning in found if not (text := str(warning.message)).startswith("nothing was trained")]


class _Progress(fastsgd.Progress):
    """Its bar, or lines of some of the epochs: the first, the last, some twenty between, and one a second."""

    def on_start(self, run) -> None:
        super().on_start(run)
        self._shown = -math.inf

    def on_epoch(self, run) -> None:
        now = time.monotonic()
        if self._bar is None and not (run.stop or run.epoch in (1, run.epochs) or now >= self._shown + 1
                                      or run.epoch % -(-run.epochs // LINES) == 0):
            return
        self._shown = now
        super().on_epoch(run)


class _Opening(fastsgd.Callback):
    """Clears the run folder right before the first step, when nothing can be refused any more."""

    def __init__(self, options: argparse.Namespace):
        self._options, self._folder = options, Path(options.run)

    def on_start(self, run) -> None:
        if self._options.overwrite:
            for name in RUN_FILES:
                (self._folder / name).unlink(missing_ok=True)
        write_config(self._folder / CONFIG, self._options)
