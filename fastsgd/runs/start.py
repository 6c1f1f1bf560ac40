"""How a run starts: on rows in memory or mapped, or on a stream, at its beginning or from a checkpoint."""
from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from fastsgd.arguments import check_whole
from fastsgd.data.advice import warn
from fastsgd.data.checks import (
    check_batch_size,
    check_class_weight,
    check_mapped_rows,
    check_positive_weight,
    check_sample_weight,
    open_npy,
    weights_of_gradients,
)
from fastsgd.engine import _kernel
from fastsgd.engine.step_model import choose_threads_of_step
from fastsgd.network import checked, model_file
from fastsgd.network.network import Network
from fastsgd.optimizers import State, StepConfig, check_state, over
from fastsgd.runs.baseline import nothing_learned
from fastsgd.runs.checkpoint import CheckpointData, path_to_resume
from fastsgd.runs.evaluation import Evaluation
from fastsgd.runs.feeds import Blocks, Feed, Rows, fingerprint, readable_in_place, steps_in
from fastsgd.runs.generators import OwnGenerators, generators
from fastsgd.runs.history import History
from fastsgd.runs.run import TrainingRun
from fastsgd.runs.settings import Settings
from fastsgd.runs.stream_feed import Source, Stream


def train_rows(settings: Settings, X, y, *, batch_size: int | str | None = 100, seed: int | Sequence[int] | None = None,
               sample_weight=None, class_weight=None, shuffle: bool | str = True, state: State | None = None,
               resume: str | os.PathLike | bool = False,
               suggest: Callable[[np.ndarray, np.ndarray], int] | None = None) -> History:
    """What :func:`fastsgd.train` does; ``suggest`` gives the size that "auto" means, of the rows trained on."""
    net = settings.net
    check_state(state, settings.optimizer, net.params)
    X, y = open_npy(X, "X"), open_npy(y, "y")
    given_y = y
    by_blocks = _by_blocks(shuffle, X)
    if by_blocks:
        X = check_mapped_rows(X, net.sizes[0])
        y = checked.check_targets(net, y, len(X))
    else:
        X, y = checked.check(net, X, y)
    of_rows = check_sample_weight(sample_weight, len(y))
    positive_weight: tuple[float, ...] = ()
    if y.ndim == 1 and net.architecture.loss_type.targets.one_vs_rest:
        positive_weight, class_weight = check_positive_weight(class_weight, y, net.sizes[-1], of_rows), None
    weight, named = _weight_in_training(net, y, of_rows, class_weight)
    if isinstance(batch_size, str):
        _check_automatic(batch_size, by_blocks, settings.accumulate)
    else:
        batch_size = check_batch_size(batch_size, len(X))
    start = Start(settings, seed, resume, positive_weight)

    chosen = None
    if by_blocks:
        start.require_one_order("where rows are shuffled by blocks")
    if settings.fraction is not None:
        start.require_one_order("where validation is a fraction, which it draws")
        held_out, chosen = _split(len(X), settings.fraction, start.rng)
        for counted, name, part, what in ((of_rows, "sample_weight", held_out, "held out"),
                                          (weight, named, chosen, "trained on")):
            if counted is not None and not counted[part].any():
                raise ValueError(f"{name} is 0 for all rows that validation={settings.fraction} has {what}")
        if by_blocks and isinstance(X, np.ndarray) and readable_in_place(X, net.dtype) and X.dtype != np.uint8:
            bad = _kernel.prefault(X, held_out, True)
            if bad >= 0:
                raise ValueError(f"X[{bad}] has NaN or infinity, which must be removed or filled first")
        start.evaluation = Evaluation(net, X, y, of_rows, held_out, metrics=settings.metrics, threads=settings.threads,
                                      metric_targets=settings.metric_targets(given_y, len(X)))
    rows = len(X) if chosen is None else len(chosen)
    if isinstance(batch_size, str):
        batch_size = start.suggested_batch_size(suggest, *((X, y) if chosen is None else (X[chosen], y[chosen])))
    batch_size = min(batch_size * settings.accumulate, rows)
    metric = checked.metric_of(net, y, weight, chosen)
    feed: Feed
    if by_blocks:
        feed = Blocks(X, y, weight, chosen, batch_size, metric, net.dtype, bool(shuffle))
    else:
        feed = Rows(X, y, weight, chosen, batch_size, metric, bool(shuffle))
    return start.execute(feed, settings.epochs * steps_in(rows, batch_size), state)


def train_batches(settings: Settings, source: Source, *, rows: int | None, window: int | None, shuffle: bool,
                  batch_size: int, seed: int | None, class_weight, resume: str | os.PathLike | bool) -> History:
    """What :func:`fastsgd.train_stream` does."""
    net = settings.net
    if settings.fraction is not None:
        raise ValueError(f"validation must be rows, (X, y): a stream has none to hold out, got {settings.fraction}")
    if not callable(source) and not isinstance(source, Iterable):
        raise TypeError(f"source must be an iterable of batches or a function that returns one, got {source!r}")
    if settings.epochs > 1 and hasattr(source, "__next__"):
        raise ValueError(f"source is an iterator, which gives its batches once; for epochs={settings.epochs} pass a "
                         "function that returns one for each epoch")
    batch_size = check_whole("batch_size", batch_size, least=1)
    rows = getattr(source, "rows", None) if rows is None else rows
    rows, window = (None if value is None else check_whole(name, value, least=1)
                    for name, value in (("rows", rows), ("window", window)))
    if not isinstance(shuffle, bool):
        raise TypeError(f"shuffle must be True or False, got {shuffle!r}")
    if isinstance(class_weight, str):
        raise ValueError(f"class_weight must be a dict or a sequence, as a stream is not known beforehand, got "
                         f"{class_weight!r}")
    positive_weight: tuple[float, ...] = ()
    if net.architecture.loss_type.targets.one_vs_rest and net.sizes[-1] > 1:
        no_labels = np.zeros(0, np.int32)
        positive_weight, class_weight = check_positive_weight(class_weight, no_labels, net.sizes[-1]), None
    start = Start(settings, seed, resume, positive_weight)
    start.require_one_order("of a stream")
    batch_size *= settings.accumulate
    if rows is not None:
        batch_size = min(batch_size, rows)
    steps = None if rows is None else settings.epochs * steps_in(rows, batch_size)
    return start.execute(Stream(net, source, batch_size, rows, window, shuffle, class_weight), steps)


class Start:
    """A run before its first step: its generator of random numbers, and the checkpoint that it resumes from, if any."""

    def __init__(self, settings: Settings, seed, resume, positive_weight: tuple[float, ...]):
        self._settings, self._positive_weight, self.evaluation = settings, positive_weight, settings.evaluation
        self.rng = generators(seed, settings.net.architecture.networks)
        self._seed: Any = seed if seed is None or isinstance(seed, int) else type(seed).__name__
        if isinstance(self.rng, OwnGenerators):
            self._seed = [int(own) for own in seed]
        self._path = path_to_resume(resume, settings.checkpoint)
        self._saved = None if self._path is None else CheckpointData.read(self._path)
        if self._saved is not None:
            if "members" in self._saved.counters.rng_at_start and not isinstance(self.rng, OwnGenerators):
                raise ValueError(f"seed must be that of each member, as in the checkpoint's run, got {seed!r}")
            self.rng.bit_generator.state = self._saved.counters.rng_at_start
        self._rng_at_start = self.rng.bit_generator.state
        if settings.checkpoint is not None and self._rng_at_start["bit_generator"] != "PCG64":
            raise ValueError("seed: a checkpoint needs a seed or a generator of PCG64, as np.random.default_rng gives; "
                             f"got {self._rng_at_start['bit_generator']}")

    def require_one_order(self, what: str) -> None:
        """ValueError where members have orders of their own."""
        if isinstance(self.rng, OwnGenerators):
            raise ValueError(f"seed must be one for all members {what}, got {self._seed}")

    def suggested_batch_size(self, suggest: Callable[[np.ndarray, np.ndarray], int] | None, X, y) -> int:
        """That of the checkpoint, or one that is searched for."""
        if self._saved is not None:
            return self._saved.batch_size
        assert suggest is not None
        return suggest(X, y)

    def execute(self, feed: Feed, steps: int | None, state: State | None = None) -> History:
        """The whole run, from its beginning or from a checkpoint; schedules without a length reach over its steps."""
        settings = self._settings
        run = self._run(feed, steps, state)
        steps_before = run.steps
        history = run.execute()
        if run.steps == steps_before:
            if self._saved is not None:
                warn(f"nothing was trained: {self._path!s} is the checkpoint of a run that "
                     f"{self._way_on(run, history)}")
        elif not (self._positive_weight or any(callback.explains for callback in settings.callbacks)):
            rows = feed.sample()
            if rows is not None and (said := nothing_learned(settings.net, rows, history, run.last_rates)):
                warn(said)
        return history

    def _way_on(self, run: TrainingRun, history: History) -> str:
        """How to train further than a checkpoint that is at the end of its run."""
        epochs, optimizer = self._settings.epochs, self._settings.optimizer
        anew = "begin another run with fastsgd.Network.load of this file"
        if run.stop and history.epochs < epochs:
            return f"a callback had ended, and does so again; to train on, give it more patience, or {anew}"
        done = f"has made all that epochs={epochs} asks for; "
        if optimizer.over(1) != optimizer:
            return f"{done}its schedule ends there, so to train on, {anew}"
        return f"{done}a larger epochs= trains on"

    def _run(self, feed: Feed, steps: int | None, state: State | None) -> TrainingRun:
        """A run that is about to begin, or to resume."""
        settings, net = self._settings, self._settings.net
        optimizer, dropout = settings.optimizer, settings.dropout
        if steps is not None:
            optimizer, dropout = optimizer.over(steps), tuple(over(rate, steps) for rate in dropout)
        seed_of_dropout = self.rng.integers(2**63).tolist() if dropout else 0
        config = StepConfig(optimizer, feed.batch_size, dropout=dropout, seed=seed_of_dropout,
                            label_smoothing=settings.label_smoothing, backend=settings.backend,
                            positive_weight=self._positive_weight, weighted_steps=settings.weighted_steps)
        run = TrainingRun(settings, feed, config, evaluation=self.evaluation, rng=self.rng,
                          rng_at_start=self._rng_at_start, plan=self._plan(feed, config), state=state,
                          threads=choose_threads_of_step(settings.threads, net.architecture, feed.batch_size,
                                                         net.params.itemsize))
        if self._saved is not None:
            run.restore(self._saved, self._path)
        return run

    def _plan(self, feed: Feed, config: StepConfig) -> dict:
        """What must be the same for a run to resume to the same bits, in words that a message can show."""
        settings, evaluation = self._settings, self.evaluation
        validation = None if evaluation is None else fingerprint(evaluation.X, evaluation.y, evaluation.weight)
        return {**plan_of_network(settings.net, with_metadata=settings.checkpoint is not None),
                "optimizer": repr(config.optimizer), "batch_size": config.batch_size,
                "dropout": [repr(rate) if callable(rate) else rate for rate in config.dropout],
                "label_smoothing": config.label_smoothing, "backend": config.backend, "kernel": settings.kernel,
                "seed": self._seed, "validation": settings.fraction or validation,
                "evaluate_every": settings.evaluate_every,
                **({"positive_weight": list(config.positive_weight)} if config.positive_weight else {}),
                **({"weighted_steps": True} if config.weighted_steps else {}), **feed.describe()}


def plan_of_network(net: Network, with_metadata: bool) -> dict:
    """What a plan says of the network. ValueError where its metadata cannot be in a model file, and is to be."""
    _, metadata = model_file.describe(net.architecture, net.params, net.metadata if with_metadata else {})
    details = json.loads(metadata["fastsgd.architecture"])
    return {"network": repr(net), **{name: details.get(name) for name in (
        "loss_parameters", "input_scale", "input_offset", "output_scale", "output_offset")}}


# ---- checks ----

def _weight_in_training(net, y: np.ndarray, of_rows: np.ndarray | None,
                        class_weight) -> tuple[np.ndarray | None, str]:
    """What each row counts in training, by itself and by its class, and what messages call it."""
    of_classes = check_class_weight(class_weight, y, net.loss, net.architecture.targets, of_rows)
    if of_classes is None:
        named = "sample_weight"
        return None if of_rows is None else weights_of_gradients(of_rows, named, net.dtype), named
    named = "sample_weight times class_weight"
    weight = of_classes if of_rows is None else of_rows * of_classes
    return check_sample_weight(weight, len(y), named, dtype=net.dtype), named


def _check_automatic(batch_size: str, by_blocks: bool, accumulate: int) -> None:
    if batch_size != "auto":
        raise ValueError(f"batch_size must be a whole number, None for all rows, or 'auto', got {batch_size!r}")
    if by_blocks or accumulate > 1:
        reason = "rows in memory" if by_blocks else "accumulate=1"
        raise ValueError(f"batch_size='auto' needs {reason}; give a number")


def _by_blocks(shuffle, X) -> bool:
    if not (isinstance(shuffle, bool) or (isinstance(shuffle, str) and shuffle in ("rows", "blocks"))):
        raise ValueError(f"shuffle must be True, False, 'rows' or 'blocks', got {shuffle!r}")
    if shuffle == "blocks" and not isinstance(X, np.ndarray):
        raise TypeError(f"shuffle='blocks' needs X to be an array or an .npy file, got {type(X).__name__}")
    return shuffle == "blocks" or (shuffle != "rows" and isinstance(X, np.memmap))


def _split(rows: int, fraction: float, rng: Any) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the rows held out and of those trained on, each in their own order."""
    count = min(max(1, round(rows * fraction)), rows - 1)
    if count < 1:
        raise ValueError(f"validation={fraction} leaves nothing of {rows} row to train on")
    order = rng.permutation(rows)
    return np.sort(order[:count]), np.sort(order[count:])
