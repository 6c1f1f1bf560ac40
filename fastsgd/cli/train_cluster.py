"""``fastsgd train`` on a Dask cluster: Parquet files in pieces, one network, rounds of local SGD."""
from __future__ import annotations

import argparse
import contextlib
import importlib.util
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import fastsgd
from fastsgd import schedules
from fastsgd.cli import step_budget
from fastsgd.cli import train_outcome as outcome
from fastsgd.cli.console import printable, say, tell, warn
from fastsgd.cli.train_config import CHECKPOINT, CONFIG, LOG, MODEL
from fastsgd.cli.train_network import network, optimizer_of
from fastsgd.cli.train_options import OF_CLUSTERS, OF_RECIPES, column_kinds
from fastsgd.cli.train_progress import Opening, Progress
from fastsgd.files.atomic import check_writable
from fastsgd.runs.settings import Settings
from fastsgd.tables.wording import shell_word
from fastsgd.tabular.model import TabularModel

ROUNDS_PICTURE = "rounds.png"
SCORED_ROWS = 20_000                     # held out, that come to this process for its figures
REFUSED = ("quality", "time_limit", "report", "compare", "init_from", "epochs", "average", "warm_up", "threads",
           "decimal", "thousands", "na")


def applies(options: argparse.Namespace) -> bool:
    """Whether the command is to train on a cluster."""
    if options.dask is not None or options.workers is not None:
        return True
    if given := [name for name in OF_CLUSTERS if name in options.given]:
        raise ValueError(f"--{given[0].replace('_', '-')} is for training on a cluster: give --dask ADDRESS, or "
                         "--workers N for one on this machine")
    return False


def run(options: argparse.Namespace) -> int:
    """Learns the encoding in one pass over all partitions, trains, and saves both in one file."""
    _check(options)
    optimizer = _scheduled(optimizer_of(options), options.schedule)
    from fastsgd.distributed.cluster import Cluster
    from fastsgd.distributed.sources import Sources, read_parquet
    from fastsgd.distributed.table import HoldingOut, learn_encoding
    frame = read_parquet(options.data)
    for name in (*options.target, *options.drop, *options.keep):
        if name not in frame.columns:
            raise ValueError(f"there is no column {name!r}; the columns are {', '.join(map(str, frame.columns))}")
    sources = Sources(tuple((chunk,) for chunk in frame.to_delayed()), tuple)
    with _client(options) as client:
        try:
            cluster = Cluster(client)
            held_out = HoldingOut(tuple(options.target), options.validation, options.seed)
            encoding, samples = learn_encoding(
                cluster, sources, held_out, options.drop, tell, task=options.task, warn=warn, keep=options.keep,
                missing=options.missing, own_units=True, quantiles=options.quantile or (),
                kinds=column_kinds(options.column))
            say(printable(encoding.summary()))
            rows = sum(sample.rows for sample in samples)
            return _train(options, optimizer, cluster, sources, encoding, held_out, samples, rows)
        except FloatingPointError as error:
            raise ArithmeticError(f"{str(error).partition('. ')[0]}, but not saved; "
                                  f"{outcome.smaller_rate(options)}") from None
        except RuntimeError as error:                    # of the cluster, or of a piece that cannot be read
            raise ArithmeticError(f"{error}{_how_to_resume(options)}") from None


def _train(options: argparse.Namespace, optimizer: Any, cluster: Any, sources: Any, encoding: Any, held_out: Any,
           samples: list, rows: int) -> int:
    from dataclasses import replace

    from fastsgd.distributed.checkpoint import RoundCheckpoint
    from fastsgd.distributed.local_sgd import Recipe
    from fastsgd.distributed.outer import Nesterov
    from fastsgd.distributed.table import EncodedRows
    from fastsgd.distributed.train import run_rounds
    from fastsgd.runs.checkpoint import path_to_resume
    net = network(options, encoding)
    weights = _class_weights(options, encoding, samples)
    split = EncodedRows(encoding, held_out, False, str(net.dtype), weights)
    stopping = fastsgd.EarlyStopping(options.early_stopping) if options.early_stopping else None
    callbacks: list = [Progress(), *filter(None, [stopping])]
    folder = None if options.run is None else Path(options.run)
    checkpoint = None
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        check_writable(folder / MODEL)
        callbacks += [Opening(options, {*OF_RECIPES, *REFUSED}), fastsgd.CSVLogger(folder / LOG)]
        checkpoint = fastsgd.Checkpoint(folder / CHECKPOINT, seconds=options.checkpoint_every)
    settings = Settings(net, optimizer=optimizer, epochs=options.rounds,
                        threads=None, callbacks=callbacks, dropout=options.dropout,
                        label_smoothing=options.label_smoothing, checkpoint=checkpoint)
    batch = options.batch_size or step_budget.batch_size_for(rows)
    outer = Nesterov() if options.outer == "nesterov" else None
    recipe = Recipe(net.architecture, settings.optimizer, batch, options.seed, settings.dropout,
                    settings.label_smoothing, options.memory, equal=options.outer == "mean")
    path = path_to_resume(options.resume, settings.checkpoint) if options.resume else None
    others = replace(sources, split=replace(split, held_out=True))
    say(f"{net}, {net.params.size:,} parameters; {rows:,} rows in {len(sources):,} pieces, some "
        f"{round(rows * options.validation):,} held out; {len(cluster.known)} workers")
    if path:
        say(f"resuming from {path}")
    some = _some_rows(cluster, others if options.validation else replace(sources, split=split), net)
    before = net.cost(*some)
    try:
        history = run_rounds(settings, recipe, replace(sources, split=split), cluster,
                             rows=(options.partitions, options.local_epochs, options.local_steps), outer=outer,
                             held_out=others if options.validation else None, persist=None,
                             saved=None if path is None else RoundCheckpoint.read(path), path=path, seed=options.seed)
    except KeyboardInterrupt:
        outcome.tell_interrupted(options, net)
        return 130
    outcome.require_descent(options, before, net.cost(*some))
    _tell(options, history, stopping)
    numbers = np.arange(len(some[0]))
    outcome.tell_scores(TabularModel(encoding, net), *some, numbers, numbers if options.validation else numbers[:0], [])
    outcome.save(options, net, history)
    if folder and history.tasks["round"] and importlib.util.find_spec("matplotlib"):
        from fastsgd import plots
        outcome.draw(plots.rounds(history), folder / ROUNDS_PICTURE)
    return 0


# ---- its parts ----

def _check(options: argparse.Namespace) -> None:
    for name in REFUSED:
        if name in options.given:
            raise ValueError(f"--{name.replace('_', '-')} does not go with --dask and --workers"
                             + ("; --rounds says how long they train" if name == "epochs" else ""))
    if options.dask is not None and options.workers is not None:
        raise ValueError("--dask ADDRESS and --workers N exclude each other: N workers are started on this machine")
    if options.batch_size == "auto":
        raise ValueError("--batch-size must be a number with --dask and --workers, got auto")


@contextlib.contextmanager
def _client(options: argparse.Namespace) -> Iterator[Any]:
    """A client of the cluster asked for, which ends with the command where it was started by it."""
    from fastsgd.distributed.extra import require_dask
    require_dask()
    from distributed import Client, LocalCluster
    if options.dask is not None:
        try:
            client = Client(options.dask, timeout=10)
        except (OSError, ValueError, TimeoutError) as error:
            raise ConnectionError(f"--dask {options.dask}: no scheduler answers there ({type(error).__name__}); an "
                                  "address is like tcp://192.168.0.1:8786") from None
        with client:
            yield client
        return
    with LocalCluster(n_workers=options.workers, threads_per_worker=1, dashboard_address=":0",
                      silence_logs=logging.CRITICAL) as cluster, Client(cluster) as client:
        yield client


def _class_weights(options: argparse.Namespace, encoding: Any, samples: list) -> dict | None:
    """What makes all classes count alike, by how often each comes."""
    if not options.class_weight:
        return None
    if not encoding.classes:
        raise ValueError("--class-weight is for classes; this target is a quantity")
    counts: dict = {}
    for sample in samples:
        for label, count in sample.classes.items():
            counts[label] = counts.get(label, 0) + count
    total, classes = sum(counts.values()), len(encoding.classes)
    return {level: total / (classes * max(1, counts.get(level, 1))) for level in encoding.classes}


def _scheduled(optimizer: Any, schedule: str) -> Any:
    """The optimizer with its rate on a schedule that reaches over a partition's steps in all rounds."""
    from dataclasses import replace
    rate = optimizer.learning_rate
    kinds = {"cosine": schedules.Cosine, "flat-cosine": schedules.FlatCosine, "one-cycle": schedules.OneCycle,
             "inverse-scaling": schedules.InverseScaling}
    if schedule == "constant":
        return optimizer
    if schedule not in kinds:
        raise ValueError(f"--schedule must be constant, {', '.join(kinds)} with --dask and --workers, got {schedule}")
    return replace(optimizer, learning_rate=kinds[schedule](rate))


def _some_rows(cluster: Any, sources: Any, net: fastsgd.Network) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the first chunks, for figures."""
    from fastsgd.distributed.rows import read
    from fastsgd.distributed.tasks import Preparation
    found: list = []
    for number in range(len(sources)):
        chunk, = cluster.results(read(cluster, sources, Preparation(sources.split, net.architecture,
                                                                    str(net.dtype)), "data", [number]), "figures")
        if chunk is not None:
            found.append(chunk)
        if sum(map(len, found)) >= SCORED_ROWS:
            break
    X, y = (np.concatenate([getattr(chunk, name) for chunk in found]) for name in ("X", "y"))
    scale, offset = net.output_scale, net.output_offset
    return X[:SCORED_ROWS], (y * scale + offset if net.architecture.scales_output else y)[:SCORED_ROWS]


def _tell(options: argparse.Namespace, history: Any, stopping: fastsgd.EarlyStopping | None) -> None:
    if stopping and history.stopped:
        say(f"ended early, after {history.rounds:,} of {options.rounds:,} rounds; the best parameters are kept")
    elif step_budget.still_falling(history):
        say(f"the cost is still falling after {history.rounds:,} rounds; try --rounds {3 * options.rounds}")
    seconds, waiting = sum(history.seconds), sum(history.waiting_seconds)
    sent, back = (sum(values) / max(1, history.rounds) / 1e6 for values in (history.bytes_out, history.bytes_back))
    if seconds:
        say(f"{seconds:.3g} s in rounds, {100 * waiting / seconds:.0f} % of it waiting; {sent:.3g} MB out and "
            f"{back:.3g} MB back in a round")


def _how_to_resume(options: argparse.Namespace) -> str:
    if not options.run:
        return ""
    return f"; fastsgd train --config {shell_word(Path(options.run) / CONFIG)} --resume continues, with another --dask"
