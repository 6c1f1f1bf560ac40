"""What ``fastsgd train`` may be asked for."""
from __future__ import annotations

import argparse
from collections.abc import Callable

import fastsgd
from fastsgd import losses
from fastsgd.cli.option_types import (
    above_zero,
    decay_or_polyak,
    not_negative,
    number,
    part,
    path,
    seconds_between,
    whole,
    whole_or_auto,
)
from fastsgd.model.architecture import ACTIVATIONS
from fastsgd.tables.inputs import KINDS
from fastsgd.tables.reading import add_column_options, add_reading_options
from fastsgd.tabular.recipe import QUALITIES

OPTIMIZERS = {kind.kind: kind
              for kind in (fastsgd.SGD, fastsgd.Adam, fastsgd.AdamW, fastsgd.NAdamW, fastsgd.ScheduleFreeAdamW,
                           fastsgd.RMSprop, fastsgd.Adagrad, fastsgd.Lion, fastsgd.Muon)}
SCHEDULES = ("constant", "cosine", "one-cycle", "flat-cosine", "step", "exponential", "inverse-scaling")
OF_LOSSES = {option.rpartition("_")[2]: option for option in (
    "huber_delta", "quantile", "focal_gamma", "tweedie_power")}         # their parameters, and the options of these
LOSSES = losses.names(losses.CLASSES, losses.LABELS, losses.LEVELS, losses.QUANTITIES, losses.COUNTS, losses.POSITIVE,
                      parameters=tuple(OF_LOSSES))
OF_MODEL = ("task", "column", "drop", "keep", "missing", "loss", *OF_LOSSES.values(), "sorted_quantiles", "hidden",
            "activation", "dtype")      # that a model file settles
OF_NETWORKS = frozenset((
    "loss", *OF_LOSSES.values(), "sorted_quantiles", "hidden", "activation", "dtype", "dropout", "optimizer",
    "learning_rate", "schedule", "warm_up", "momentum", "weight_decay", "clip_norm", "max_norm", "average",
    "label_smoothing", "class_weight", "batch_size", "epochs", "early_stopping", "init_from"))
OF_CLUSTERS = ("rounds", "local_epochs", "local_steps", "partitions", "outer", "memory")
OF_RECIPES = frozenset(("quality", "report", "compare"))        # which is how a table is learned without any of those


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The options of ``fastsgd train``."""
    command.add_argument("data", metavar="DATA", nargs="?", type=path, help="a table: CSV, TSV, Parquet, Feather, "
                         "JSON lines, Excel, .npz, or such a text file packed by gzip, bz2, xz or zip")
    command.add_argument("--config", type=path, metavar="TOML", help="a file with any of these options, such as the "
                         "config.toml of a run folder; the command line comes before it")

    where = command.add_argument_group("what comes of it")
    where.add_argument("--out", type=path, metavar="MODEL", help="the model file to write, .safetensors")
    where.add_argument("--run", type=path, metavar="FOLDER", help="a folder for everything: config.toml, log.csv, "
                       "run.ckpt, model.safetensors and, with matplotlib, learning_curve.png")
    where.add_argument("--resume", action="store_true", help="resume from the checkpoint of the run folder, "
                       "if there is one")
    where.add_argument("--overwrite", action="store_true", help="replace the run, or other files of those names, "
                       "that the folder holds")
    where.add_argument("--report", type=path, metavar="FILE", help="a page about the run, .html: columns, quality on "
                       "held-out rows, pictures (needs matplotlib), importance; report.html in a run folder")
    where.add_argument("--compare", action="store_true", help="also train scikit-learn's gradient boosting on the same "
                       "rows, for the report")
    where.add_argument("--init-from", type=path, metavar="MODEL", help="begin with the network of this model file, "
                       "and read the table as it does")
    where.add_argument("--checkpoint-every", type=seconds_between, default=10.0, metavar="SECONDS", help="in a run "
                       "folder (%(default)s)")

    table = command.add_argument_group("the table")
    table.add_argument("--target", action="append", default=[], metavar="COLUMN", help="the column to predict; given "
                       "more than once, several quantities")
    table.add_argument("--column", action="append", default=[], metavar="NAME=KIND", help="what a column is: number, "
                       "category, date (such as 2024-02-29), or text whose words are hashed")
    table.add_argument("--task", default="auto", choices=["auto", "classification", "regression"], help="what the "
                       "target says by default (%(default)s)")
    add_column_options(table)
    add_reading_options(table)
    table.add_argument("--validation", type=part, default=0.2, metavar="FRACTION", help="of the rows, held out and "
                       "evaluated after every epoch (%(default)s); not used where a recipe holds each of its folds out "
                       "in turn: --quality best, and good below 1,000 rows")

    recipe = command.add_argument_group("how it is learned", "by a recipe that follows from the table's size, where no "
                                        "option of the two groups below but --seed and --threads is given")
    recipe.add_argument("--quality", default="good", choices=QUALITIES, help="a point on the curve of quality against "
                        "time (%(default)s)")
    recipe.add_argument("--time-limit", type=above_zero, metavar="SECONDS", help="that the training may take, about")
    recipe.add_argument("--seed", type=whole(0), default=0, help="of the split, the weights and the order "
                        "(%(default)s)")
    recipe.add_argument("--threads", type=whole(1), help="at most (as many as pay); the result does not depend on it")

    cluster = command.add_argument_group("on a cluster", "DATA is then the path or a pattern of Parquet files, which "
                                         "are trained on in pieces by rounds of local SGD (needs fastsgd[dask])")
    cluster.add_argument("--dask", metavar="ADDRESS", help="of a Dask scheduler, such as tcp://192.168.0.1:8786")
    cluster.add_argument("--workers", type=whole(1), metavar="N", help="start a cluster of so many processes on this "
                         "machine instead")
    cluster.add_argument("--rounds", type=whole(1), default=20, metavar="N", help="(%(default)s)")
    cluster.add_argument("--local-epochs", type=whole(1), default=1, metavar="N", help="passes of a partition over "
                         "its rows in a round (%(default)s)")
    cluster.add_argument("--local-steps", type=whole(1), metavar="N", help="instead of them, its steps in a round")
    cluster.add_argument("--partitions", type=whole(1), metavar="N", help="that train at the same time; the result "
                         "depends on it, and not on the workers (as many as pieces, up to 16)")
    cluster.add_argument("--outer", default="weighted", choices=["weighted", "mean", "nesterov"], help="what is made "
                         "of the partitions' changes (%(default)s)")
    cluster.add_argument("--memory", default="average", choices=["average", "keep", "reset"], help="of the optimizer, "
                         "from round to round (%(default)s)")

    network = command.add_argument_group("the network")
    network.add_argument("--hidden", type=sizes, default=[128], metavar="128,64", help="units of the hidden layers "
                         "(128); 0 for none")
    network.add_argument("--activation", default="relu", choices=ACTIVATIONS, help="of the hidden layers (%(default)s)")
    network.add_argument("--loss", choices=LOSSES, help="what is minimised (cross_entropy for classes, squared_error "
                         "for quantities)")
    network.add_argument("--quantile", type=quantiles, metavar="0.1,0.5,0.9", help="which quantiles --loss quantile "
                         "predicts, an output each (0.5)")
    network.add_argument("--sorted-quantiles", action="store_true", help="quantiles of one target that never cross: "
                         "each row's predictions are sorted")
    network.add_argument("--huber-delta", type=_parameter_of("huber"), metavar="DELTA", help="the error, in standard "
                         "deviations of the target, from which --loss huber is linear (1)")
    network.add_argument("--focal-gamma", type=_parameter_of("focal"), metavar="GAMMA", help="how much less --loss "
                         "focal counts rows that are classified well already (2)")
    network.add_argument("--tweedie-power", type=_parameter_of("tweedie"), metavar="POWER", help="of the mean, with "
                         "which the variance of --loss tweedie grows: between 1 and 2 (1.5)")
    network.add_argument("--dropout", type=part, default=0.0, help="part of the hidden units left out in a step "
                         "(%(default)s)")
    network.add_argument("--dtype", default="float32", choices=["float32", "float64"], help="of all numbers "
                         "(%(default)s)")

    descent = command.add_argument_group("the descent")
    descent.add_argument("--optimizer", default="adam", choices=OPTIMIZERS, help="the rule of a step (%(default)s)")
    descent.add_argument("--learning-rate", type=not_negative, metavar="RATE", help="the optimizer's own by default")
    descent.add_argument("--schedule", default="constant", choices=SCHEDULES, help="of the learning rate over the "
                         "whole run: step is a tenth after each third, exponential ends at a hundredth (%(default)s)")
    descent.add_argument("--warm-up", type=not_negative, default=0.0, metavar="EPOCHS", help="in which the rate rises "
                         "first")
    descent.add_argument("--momentum", type=part, help="for sgd, rmsprop and muon")
    descent.add_argument("--weight-decay", type=not_negative, help="how much parameters shrink in a step (the "
                         "optimizer's own: 0, or 0.01 for adamw, nadamw and muon)")
    descent.add_argument("--clip-norm", type=above_zero, help="longest gradient")
    descent.add_argument("--max-norm", type=above_zero, help="longest weights into a hidden unit")
    descent.add_argument("--average", type=decay_or_polyak, metavar="DECAY", help="average the parameters: "
                         "exponentially with a decay below 1, all alike with 'polyak'")
    descent.add_argument("--label-smoothing", type=part, default=0.0, help="the part of each label that is "
                         "spread over all classes (%(default)s)")
    descent.add_argument("--class-weight", choices=["balanced"], help="make all classes count alike")
    descent.add_argument("--batch-size", type=whole_or_auto, metavar="ROWS", help="rows per step; 'auto' looks for "
                         "what is fastest on this machine (100, down to 5 where there are fewer than 2,000 rows)")
    descent.add_argument("--epochs", type=whole_or_auto, default="auto", help="passes over the rows; 'auto' makes "
                         "20 to 1,000, at least some thousands of steps, and ends with the best parameters when the "
                         "validation cost falls no more (%(default)s)")
    descent.add_argument("--early-stopping", type=whole(1), metavar="PATIENCE", help="end after so many epochs "
                         "without a lower validation cost, with the best parameters")


def _parameter_of(loss: str) -> Callable[[str], float]:
    kind = losses.LOSSES[loss]
    return number(kind.allowed, kind._allows)


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


def quantiles(text: str) -> list[float]:
    """Different numbers between 0 and 1, in order, from 0.1,0.5,0.9."""
    try:
        found = sorted(float(part) for part in text.split(","))
    except ValueError:
        found = []
    if not found or not all(0 < q < 1 for q in found) or len(set(found)) < len(found):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of different numbers between 0 and 1 such as "
                                         "0.1,0.5,0.9")
    return found


def column_kinds(given: list[str]) -> dict[str, str]:
    """What ``--column NAME=KIND`` says.

    >>> column_kinds(["zip=category"])
    {'zip': 'category'}
    """
    kinds: dict[str, str] = {}
    for text in given:
        name, _, kind = text.rpartition("=")
        if not name or kind not in KINDS or kind == "drop":
            raise ValueError(f"--column must be NAME=KIND with a KIND of number, category, date and text, got {text!r}")
        if kinds.setdefault(name, kind) != kind:
            raise ValueError(f"--column says that {name!r} is {kinds[name]} and {kind}")
    return kinds
