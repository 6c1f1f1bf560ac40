"""``fastsgd train``: a table, a network, and a run folder from which the training goes on."""
from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import json
import math
import shlex
import tomllib
from pathlib import Path

import numpy as np

import fastsgd
from fastsgd import schedules
from fastsgd.architecture import ACTIVATIONS
from fastsgd.checkpoint import Saved
from fastsgd.console import printable, say, tell, warn
from fastsgd.data import generator
from fastsgd.encoding import Encoding, rows_with_targets
from fastsgd.files import check_writable, refuse_replacing, require_regular, write_atomically
from fastsgd.reading import Reading, add_column_options, add_reading_options
from fastsgd.table import read_table
from fastsgd.training import AUTO_SECONDS

OPTIMIZERS = {kind.kind: kind
              for kind in (fastsgd.SGD, fastsgd.Adam, fastsgd.AdamW, fastsgd.RMSprop, fastsgd.Adagrad)}
SCHEDULES = ("constant", "cosine", "one-cycle", "step", "exponential", "inverse-scaling")
OF_OPTIMIZERS = ("learning_rate", "momentum", "weight_decay", "clip_norm", "max_norm", "average")
CHECKPOINT, LOG, MODEL, CONFIG, CURVE = "run.ckpt", "log.csv", "model.safetensors", "config.toml", "learning_curve.png"
RUN_FILES = (CHECKPOINT, MODEL, LOG, CURVE, CONFIG)
HEADING = "# fastsgd train --config with this file repeats the run\n"


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The options of ``fastsgd train``."""
    command.add_argument("data", metavar="DATA", nargs="?", help="a CSV, Parquet or .npz table")
    command.add_argument("--config", metavar="TOML", help="a file with any of these options, such as the config.toml "
                         "of a run folder; the command line comes before it")

    command.add_argument("--data-of-config", help=argparse.SUPPRESS)

    where = command.add_argument_group("what comes of it")
    where.add_argument("--out", metavar="MODEL", help="the model file to write, .safetensors")
    where.add_argument("--run", metavar="FOLDER", help="a folder for everything: config.toml, log.csv, run.ckpt, "
                       "model.safetensors and, with matplotlib, learning_curve.png")
    where.add_argument("--resume", action="store_true", help="go on from the checkpoint of the run folder, if there is "
                       "one")
    where.add_argument("--overwrite", action="store_true", help="replace the run, or other files of those names, "
                       "that the folder holds")
    where.add_argument("--checkpoint-every", type=float, default=10.0, metavar="SECONDS", help="in a run folder "
                       "(%(default)s)")

    table = command.add_argument_group("the table")
    table.add_argument("--target", metavar="COLUMN", help="the column to predict")
    table.add_argument("--task", default="auto", choices=["auto", "classification", "regression"])
    add_column_options(table)
    add_reading_options(table)
    table.add_argument("--validation", type=float, default=0.2, metavar="FRACTION", help="of the rows, held out and "
                       "evaluated after every epoch (%(default)s)")

    network = command.add_argument_group("the network")
    network.add_argument("--hidden", type=sizes, default=[128], metavar="128,64", help="units of the hidden layers "
                         "(128); 0 for none")
    network.add_argument("--activation", default="relu", choices=ACTIVATIONS)
    network.add_argument("--dropout", type=float, default=0.0, help="part of the hidden units left out in a step")
    network.add_argument("--dtype", default="float32", choices=["float32", "float64"])

    descent = command.add_argument_group("the descent")
    descent.add_argument("--optimizer", default="adam", choices=OPTIMIZERS)
    descent.add_argument("--learning-rate", type=float, help="the optimizer's own by default")
    descent.add_argument("--schedule", default="constant", choices=SCHEDULES, help="of the learning rate over the "
                         "whole run: step is a tenth after each third, exponential ends at a hundredth (%(default)s)")
    descent.add_argument("--warm-up", type=float, default=0.0, metavar="EPOCHS", help="in which the rate rises first")
    descent.add_argument("--momentum", type=float, help="for sgd and rmsprop")
    descent.add_argument("--weight-decay", type=float)
    descent.add_argument("--clip-norm", type=float, help="longest gradient")
    descent.add_argument("--max-norm", type=float, help="longest weights into a hidden unit")
    descent.add_argument("--average", type=float, metavar="DECAY", help="average the parameters: exponentially below "
                         "1, all alike with 1")
    descent.add_argument("--label-smoothing", type=float, default=0.0)
    descent.add_argument("--class-weight", choices=["balanced"], help="make all classes count alike")
    descent.add_argument("--batch-size", type=_batch_size, default=100, help="rows per step; 'auto' looks for what is "
                         "soonest on this machine (%(default)s)")
    descent.add_argument("--epochs", type=int, default=20, help="passes over the rows (%(default)s)")
    descent.add_argument("--early-stopping", type=int, metavar="PATIENCE", help="end after so many epochs without a "
                         "lower validation cost, with the best parameters")
    descent.add_argument("--seed", type=int, default=0, help="of the split, the weights and the order (%(default)s)")
    descent.add_argument("--threads", type=int)
    command.set_defaults(run_command=lambda options: train(options, command))


def _batch_size(text: str) -> int | str:
    try:
        return text if text == "auto" else int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a whole number nor 'auto'") from None


def sizes(text: str) -> list[int]:
    """Of hidden layers, from 128,64."""
    try:
        found = [int(part) for part in text.split(",")]
    except ValueError:
        found = [-1]
    if found == [0]:
        return []
    if min(found) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of layer sizes such as 128,64")
    return found


# ---- configuration files ----

def with_config(arguments: list[str], command: argparse.ArgumentParser) -> list[str]:
    """The command line with the options of its ``--config`` file before its own."""
    finder = argparse.ArgumentParser(add_help=False)
    finder.add_argument("--config")
    path = finder.parse_known_args(arguments)[0].config
    if path is None:
        return arguments
    require_regular(path)
    try:
        with open(path, "rb") as file:
            config = tomllib.load(file)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"--config {path} is not valid TOML: {error}") from None
    hidden = ("help", "config", "data_of_config")
    actions = {action.dest: action for action in command._actions if action.dest not in hidden}
    found: list[str] = []
    for key, value in config.items():
        name = key.replace("-", "_")
        if name not in actions:
            raise ValueError(f"--config {path} has an unknown option {key!r}; it may have {', '.join(actions)}")
        flag = isinstance(actions[name].const, bool)
        if isinstance(value, dict) or flag != isinstance(value, bool):
            raise ValueError(f"--config {path}: {key} = {value!r} should be {'true or false' if flag else 'a value'}")
        if name == "data":
            found += [f"--data-of-config={value}"]
        elif flag:
            found += [actions[name].option_strings[0]] * value
        elif isinstance(actions[name].default, list) and actions[name].type is None:       # may be given repeatedly
            for each in value if isinstance(value, list) else [value]:
                found += [f"{actions[name].option_strings[0]}={each}"]
        else:
            text = (",".join(map(str, value)) or "0") if isinstance(value, list) else str(value)
            found += [f"{actions[name].option_strings[0]}={text}"]
    return found + arguments


def write_config(path: Path, options: argparse.Namespace) -> None:
    """The options as a file for ``--config``, those that were not given left out."""
    lines = [HEADING]
    for name, value in vars(options).items():
        if name not in ("run_command", "config", "data_of_config", "resume", "overwrite") and value is not None:
            lines.append(f"{name} = {_toml(value)}\n")
    write_atomically(path, ["".join(lines).encode()])


def _toml(value) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


# ---- the run ----

def train(options: argparse.Namespace, command: argparse.ArgumentParser) -> int:
    """Learns the table's encoding, trains, and saves both in one file."""
    options.data = options.data or options.data_of_config
    for name, shown in (("data", "DATA"), ("target", "--target COLUMN")):
        if getattr(options, name) is None:
            command.error(f"{shown} is missing")
    if options.out is None and options.run is None:
        command.error("--out MODEL or --run FOLDER is missing: where should the model go?")
    if options.resume and options.run is None:
        command.error("--resume goes on from the checkpoint of a --run FOLDER, which is missing")
    if options.resume and options.overwrite:
        command.error("--resume goes on with the run that --overwrite replaces: give one of them")
    if not 0 <= options.validation < 1:
        raise ValueError(f"--validation must be at least 0 and below 1, got {options.validation}")
    if options.early_stopping is not None and options.early_stopping < 1:
        raise ValueError(f"--early-stopping must be at least 1, got {options.early_stopping}")
    if options.early_stopping and not options.validation:
        raise ValueError("--early-stopping needs rows held out: --validation above 0")
    if not 0 <= options.warm_up < math.inf:
        raise ValueError(f"--warm-up must be at least 0 and finite, got {options.warm_up}")
    if options.target in options.drop:
        raise ValueError(f"--drop {options.target} would drop the target")
    if options.out is not None:
        refuse_replacing(options.out, *filter(None, (options.data, options.config)))
        check_writable(options.out)
    _check_folder(options)
    optimizer = _optimizer(options)

    table = rows_with_targets(read_table(options.data, reading=Reading.of_options(options), drop=options.drop,
                                         tell=tell), options.target, tell, options.missing)
    order = generator(options.seed).permutation(len(next(iter(table.values()))))
    held_out = order[:round(len(order) * options.validation)]
    kept = np.sort(order[len(held_out):])
    if not len(kept):
        raise ValueError(f"--validation {options.validation} leaves none of the {len(order)} rows to train on")
    encoding = Encoding.learn(table, options.target, options.task, rows=kept, warn=warn, keep=options.keep,
                              missing=options.missing, tell=tell)
    say(printable(encoding.summary()))
    X, y = encoding.rows(table, options.dtype), encoding.targets(table, options.dtype)
    if options.class_weight and not encoding.classes:
        raise ValueError("--class-weight is for classes; this target is a quantity")
    net = fastsgd.Network([encoding.width, *options.hidden, encoding.outputs], options.activation, encoding.loss,
                          dtype=options.dtype, seed=options.seed)
    net.metadata["table"] = encoding.to_json()
    if options.batch_size == "auto":
        options.batch_size = _automatic(options, net, X[kept], y[kept], optimizer)
    steps_per_epoch = -(-len(kept) // min(options.batch_size, len(kept))) if options.batch_size > 0 else 1
    optimizer = _scheduled(optimizer, options, steps_per_epoch)
    callbacks: list = [fastsgd.Progress()]
    if options.early_stopping:
        callbacks.append(fastsgd.EarlyStopping(options.early_stopping))
    folder = None if options.run is None else Path(options.run)
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        check_writable(folder / MODEL)
        callbacks += [_Opening(options), fastsgd.CSVLog(folder / LOG)]
    checkpoint = fastsgd.Checkpoint(folder / CHECKPOINT, seconds=options.checkpoint_every) if folder else None
    say(f"{net}, {net.params.size:,} parameters; {len(kept):,} rows to train on, {len(held_out):,} held out")
    if folder and options.resume and (folder / CHECKPOINT).exists():
        say(f"going on from {folder / CHECKPOINT}")
    try:
        history = fastsgd.train(
            net, X[kept], y[kept], optimizer=optimizer, batch_size=options.batch_size, epochs=options.epochs,
            seed=options.seed, threads=options.threads, dropout=options.dropout, class_weight=options.class_weight,
            label_smoothing=options.label_smoothing, callbacks=callbacks, checkpoint=checkpoint, resume=options.resume,
            validation=(X[held_out], y[held_out]) if len(held_out) else None)
    except KeyboardInterrupt:
        if folder:
            say(f"fastsgd: interrupted; fastsgd train --config {shlex.quote(str(folder / CONFIG))} --resume goes on")
        if options.out:
            net.save(options.out)
            say(f"fastsgd: interrupted; the network trained so far is saved in {options.out}")
        return 130
    for path in filter(None, [options.out, folder and folder / MODEL]):
        net.save(path)
        say(f"saved {path}")
    if folder and importlib.util.find_spec("matplotlib"):
        from fastsgd import plots
        plots.save(plots.history(history), folder / CURVE)
        say(f"drew {folder / CURVE}")
    return 0


def _automatic(options: argparse.Namespace, net: fastsgd.Network, X, y, optimizer) -> int:
    """The batch size of the checkpoint that the run goes on from, else the one that is soonest on this machine."""
    if options.resume and (Path(options.run) / CHECKPOINT).exists():
        return Saved.read(Path(options.run) / CHECKPOINT).batch_size
    say("looking for the batch size")
    found = fastsgd.descent.suggest_batch_size(net, X, y, optimizer, seconds=AUTO_SECONDS, threads=options.threads)
    say(str(found))
    return found.batch_size


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
        "one-cycle": lambda: schedules.OneCycle(rate, rest), "step": lambda: schedules.Step(rate, -(-rest // 3)),
        "exponential": lambda: schedules.Exponential(rate, rest, 0.01),
        "inverse-scaling": lambda: schedules.InverseScaling(rate)}[options.schedule]()
    if rises:
        schedule = schedules.WarmUp(rises, schedule)
    return dataclasses.replace(optimizer, learning_rate=schedule)


def _check_folder(options: argparse.Namespace) -> None:
    """Refuses a run folder whose files would be lost, and names that its config.toml cannot hold."""
    if options.run is None:
        return
    folder = Path(options.run)
    for name in RUN_FILES:
        refuse_replacing(folder / name, options.data)
    for text in filter(None, (options.data, options.run, options.out)):
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValueError(f"{CONFIG} cannot hold the name {text!a}, which is not UTF-8; rename the file") from None
    holds = [name for name in RUN_FILES if (folder / name).exists()]
    if not holds or options.overwrite:
        return
    if not ({CHECKPOINT, MODEL} & set(holds) or _is_ours(folder / CONFIG)):
        raise FileExistsError(f"--run {folder} holds files that are not of a run ({', '.join(holds)}); give another "
                              "folder, or --overwrite replaces them")
    if not options.resume:
        raise FileExistsError(f"--run {folder} holds a run already ({', '.join(holds)}); --resume goes on with it, "
                              "--overwrite replaces it")


def _is_ours(config: Path) -> bool:
    return config.is_file() and config.read_bytes().startswith(HEADING.encode())


class _Opening(fastsgd.Callback):
    """Makes room for the run in its folder, as the first step is about to be made: nothing is refused any more."""

    def __init__(self, options: argparse.Namespace):
        self._options, self._folder = options, Path(options.run)

    def on_start(self, run) -> None:
        if self._options.overwrite:
            for name in RUN_FILES:
                (self._folder / name).unlink(missing_ok=True)
        write_config(self._folder / CONFIG, self._options)
