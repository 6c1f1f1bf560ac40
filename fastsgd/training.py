"""train() and train_stream(): what may be asked of a training run, and the run made of it."""
from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from fastsgd.data.advice import warn
from fastsgd.data.checks import (
    Csr,
    check_batch_size,
    check_class_weight,
    check_fraction,
    check_mapped_rows,
    check_positive_weight,
    check_rates,
    check_sample_weight,
    check_targets,
    check_whole,
    generator,
    open_npy,
)
from fastsgd.engine import _kernel
from fastsgd.engine.machine import choose_threads
from fastsgd.losses import LOSSES
from fastsgd.network import model_file
from fastsgd.network.given import require_network
from fastsgd.network.network import Network
from fastsgd.optimizers import SGD, Optimizer, State, StepConfig, check_fits, check_optimizer, check_state
from fastsgd.runs.baseline import nothing_learned
from fastsgd.runs.callbacks import Callback, as_callback
from fastsgd.runs.checkpoint import Checkpoint, Saved
from fastsgd.runs.evaluation import Evaluation, Metric, check_metrics
from fastsgd.runs.feeds import Blocks, Feed, Rows, fingerprint, readable_in_place, steps_in
from fastsgd.runs.history import History
from fastsgd.runs.run import Run
from fastsgd.streams import Source, Stream

if TYPE_CHECKING:
    from fastsgd.data.typing import ArrayLike, RowsLike

AUTO_SECONDS = 2.0                       # for the search of batch_size="auto"


def train(net: Network, X: RowsLike | os.PathLike, y: ArrayLike | os.PathLike, *, optimizer: Optimizer = SGD(0.1),  # noqa: B008 - a frozen dataclass
          batch_size: int | str | None = 100, epochs: int = 20, seed: int | None = None, threads: int | None = None,
          validation: tuple | float | None = None, metrics: Iterable[str | Metric] = (),
          evaluate_every: int | None = None, callbacks: Iterable[Callback | Callable[[Run], object]] = (),
          sample_weight: ArrayLike | None = None, class_weight: str | dict | ArrayLike | None = None,
          dropout: float | Sequence[float] = 0.0, label_smoothing: float = 0.0, accumulate: int = 1,
          shuffle: bool | str = True, weighted_steps: bool = False, state: State | None = None,
          checkpoint: str | os.PathLike | Checkpoint | None = None, resume: str | os.PathLike | bool = False,
          kernel: str = "fused", backend: str = "auto") -> History:
    """Trains a network in place by mini-batch gradient descent.

    Each epoch the rows are shuffled and divided into mini-batches, and each mini-batch makes one step with
    its mean gradient. The last, shorter batch is included, its mean taken over its own rows.

    Parameters
    ----------
    net : Network
        Changed in place.
    X : array (rows, columns)
        Finite real numbers; used without a copy where they have the network's dtype and contiguous rows. An np.memmap,
        or the path of an .npy file, may be larger than the memory: it is read as the training goes on.
    y : array (rows,) or (rows, outputs)
        Class labels 0 .. outputs - 1 or one-hot rows for cross_entropy, else targets; see :class:`fastsgd.Network` for
        class labels one-vs-rest.
    optimizer : Optimizer
        Begins with a fresh memory, unless ``state`` is given.
    batch_size : int, None or "auto"
        Rows per step; None, or more rows than there are, means full gradient descent. "auto" spends some two seconds on
        :func:`fastsgd.descent.suggest_batch_size`, without weights and dropout. What it takes depends on this machine
        and moment; ``history.batch_size`` tells it, and given the next time makes the run reproducible.
    epochs : int
        Passes over the rows; 0 trains nothing, but checks all arguments.
    seed : int or None
        Of the order of the rows, of a validation fraction and of dropout. The same seed gives the same bits, for any
        number of threads; None draws one from the operating system.
    threads : int or None
        None takes the cores this process may use, fewer where a step is too small to share or the first steps of an
        epoch are quicker with fewer.
    validation : (X, y), (X, y, sample_weight) or float, optional
        Rows to evaluate the network on after every epoch; a number between 0 and 1 holds this fraction of the rows
        aside, drawn by the seed, which are then not trained on. In cost and metric a row counts by its sample_weight,
        never by class_weight, so both ways agree.
    metrics : iterable
        More to measure on the validation rows: names of scikit-learn's scorers, such as "f1_macro", or functions of
        (y, outputs); sample weights do not enter. They appear in ``history.scores``.
    evaluate_every : int, optional
        Steps between evaluations, instead of one after every epoch.
    callbacks : iterable
        ``fastsgd.Progress()``, ``fastsgd.EarlyStopping()``, other :class:`fastsgd.Callback` objects, or functions of a
        :class:`fastsgd.Run` called after every epoch.
    sample_weight : array (rows,), optional
        How much each row counts: means over rows become weighted means.
    class_weight : "balanced", dict or sequence, optional
        How much the rows of each class count, times sample_weight; "balanced" makes all classes count alike, by the
        sums of their rows' sample_weight. Where outputs are trained one-vs-rest, as in scikit-learn: how much a class
        counts where it is the one. It acts on training alone: on the gradient, and on ``history.cost`` and
        ``history.metric``, which are then weighted; validation rows do not meet it.
    dropout : float or sequence of float
        The part of a hidden layer's units that is left out in a step; one for all hidden layers, or one each.
    label_smoothing : float
        The part of a target that is spread evenly over all classes (with binary_cross_entropy over yes and no).
    accumulate : int
        Mini-batches whose gradients are added up for one step: a step then means over ``accumulate * batch_size``
        rows, 1,024 of which at most are in the workspace at once.
    shuffle : bool, "rows" or "blocks"
        Whether each epoch has its own order of the rows. "rows" draws it among all of them, "blocks" in the way of
        :class:`fastsgd.runs.feeds.Blocks`, which suits files larger than the memory; True means "blocks" for an
        np.memmap and an .npy file, "rows" for all others.
    state : State, optional
        The optimizer's memory to go on with, which ``optimizer.state(net.params)`` made and earlier calls changed: its
        moments, its average, and the number of steps that schedules count. A fresh one by default.
    weighted_steps : bool
        Whether a mini-batch's weighted gradient is divided by the number of its rows instead of by the sum of their
        weights, so that heavy rows make longer steps.
    checkpoint : path or Checkpoint, optional
        Where to write the state of the run every ten seconds and at its end, or as :class:`fastsgd.Checkpoint` says.
    resume : path or bool
        A checkpoint to go on from, to the same bits as if the run had never been interrupted; everything else must be
        given as it was. True goes on from ``checkpoint`` if that file exists, and else begins.
    kernel : "fused" or "reference"
        The compiled step, or the same step in NumPy, which Ctrl-C may leave half done.
    backend : "auto", "native" or "blas"
        What computes the matrix products of the compiled step: fastsgd's own tiles, or the OpenBLAS it carries. "auto"
        means native, but on AVX2 and SSE2 OpenBLAS for layers at least 1,024 wide on both sides, where it is faster.
        Only native gives the same bits for any number of threads and for AVX2 and AVX-512.

    Returns
    -------
    History

    Raises
    ------
    ValueError, TypeError, OSError
        For an argument that cannot be used, a checkpoint of another run, a folder that cannot be written to: before
        anything is changed. (A learning rate that is a function is asked once an epoch, and the values of a mapped file
        are looked at where they are read; if either is nonsense, the network keeps the steps before.)
    FloatingPointError
        When the cost or a parameter stops being finite: it says at which step and what to try, and the
        network is left as it was after the last good epoch.
    KeyboardInterrupt
        On Ctrl-C, between two steps: the network keeps the steps done so far, and so does the checkpoint.
    RuntimeError
        In a child that was forked during the training, where a thread reads X from a file: it has no such thread.

    Warns
    -----
    UserWarning
        Where the cost of the rows ends no lower than that of the best constant prediction, and X or y are far from unit
        size or steps were too long: it names what is far, and the cure. Where the checkpoint is of a run that has
        ended: it names the way on.

    Examples
    --------
    >>> import fastsgd
    >>> (X, y), test = fastsgd.datasets.digits()
    >>> net = fastsgd.Network([64, 32, 10], seed=0)
    >>> history = fastsgd.train(net, X, y, optimizer=fastsgd.SGD(0.1, momentum=0.9), epochs=15, seed=0)
    >>> history.epochs, net.score(*test) > 0.95
    (15, True)
    """
    settings = _Settings(net, optimizer=optimizer, epochs=epochs, validation=validation, metrics=metrics,
                         evaluate_every=evaluate_every, callbacks=callbacks, dropout=dropout,
                         label_smoothing=label_smoothing, accumulate=accumulate, checkpoint=checkpoint, kernel=kernel,
                         backend=backend, threads=threads, weighted_steps=weighted_steps)
    check_state(state, optimizer, net.params)
    X, y = open_npy(X, "X"), open_npy(y, "y")
    given_y = y
    by_blocks = _by_blocks(shuffle, X)
    if by_blocks:
        X = check_mapped_rows(X, net.sizes[0])
        y = net._check_targets(y, len(X))
    else:
        X, y = net._check(X, y)
    of_rows = check_sample_weight(sample_weight, len(y))
    if y.ndim == 1 and net.architecture.loss_type.targets.one_vs_rest:
        settings.positive_weight = check_positive_weight(class_weight, y, net.sizes[-1], of_rows)
        class_weight = None
    of_classes = check_class_weight(class_weight, y, net.loss, net.sizes[-1], of_rows)
    weight = of_classes if of_rows is None else of_rows if of_classes is None else of_rows * of_classes
    named = "sample_weight" if of_classes is None else "sample_weight times class_weight"
    weight = check_sample_weight(weight, len(y), named, dtype=net.dtype)
    if isinstance(batch_size, str):
        _check_automatic(batch_size, by_blocks, settings.accumulate)
    else:
        batch_size = check_batch_size(batch_size, len(X))
    rng = settings.begin(seed, resume)

    chosen = None
    if settings.fraction is not None:
        held_out, chosen = _split(len(X), settings.fraction, rng)
        for counted, name, part, what in ((of_rows, "sample_weight", held_out, "held out"),
                                          (weight, named, chosen, "trained on")):
            if counted is not None and not counted[part].any():
                raise ValueError(f"{name} is 0 for all rows that validation={validation} has {what}")
        if by_blocks and isinstance(X, np.ndarray) and readable_in_place(X, net.dtype) and X.dtype != np.uint8:
            bad = _kernel.prefault(X, held_out, True)
            if bad >= 0:
                raise ValueError(f"X[{bad}] has NaN or infinity, which must be removed or filled first")
        settings.evaluation = Evaluation(net, X, y, of_rows, held_out, settings.metrics, threads,
                                         settings.told(given_y, len(X)))
    rows = len(X) if chosen is None else len(chosen)
    if isinstance(batch_size, str):
        few_X, few_y = (X, y) if chosen is None else (X[chosen], y[chosen])
        batch_size = settings.batch_size_of(few_X, few_y, optimizer)
    batch_size = min(batch_size * settings.accumulate, rows)
    metric = net._metric_of(y, weight, chosen)
    if by_blocks:
        feed: Feed = Blocks(X, y, weight, chosen, batch_size, metric, net.dtype, bool(shuffle))
    else:
        feed = Rows(X, y, weight, chosen, batch_size, metric, bool(shuffle))
    return settings.go(feed, optimizer.over(settings.epochs * steps_in(rows, batch_size)), state)


def train_stream(net: Network, source: Source, *, rows: int | None = None, window: int | None = None,
                 shuffle: bool = True, optimizer: Optimizer = SGD(0.1),  # noqa: B008 - a frozen dataclass
                 batch_size: int = 100, epochs: int = 1, seed: int | None = None, threads: int | None = None,
                 validation: tuple | None = None, metrics: Iterable[str | Metric] = (),
                 evaluate_every: int | None = None, callbacks: Iterable[Callback | Callable[[Run], object]] = (),
                 class_weight: dict | ArrayLike | None = None, dropout: float | Sequence[float] = 0.0,
                 label_smoothing: float = 0.0, accumulate: int = 1, weighted_steps: bool = False,
                 checkpoint: str | os.PathLike | Checkpoint | None = None, resume: str | os.PathLike | bool = False,
                 kernel: str = "fused", backend: str = "auto") -> History:
    """Trains a network in place on rows that come in batches, of which only a part is in memory at once.

    A thread reads ahead and fills a window of rows; the rows of a window are shuffled and make mini-batches, whatever
    the sizes of the batches they came in.

    Parameters
    ----------
    net : Network
        Changed in place.
    source : iterable or function
        Batches ``(X, y)`` or ``(X, y, sample_weight)``, of what ``train`` takes; or a function that returns an iterable
        of them for an epoch's number, from 1. An iterator serves one epoch. ``fastsgd.streams.arrow`` makes a source
        of Parquet or Arrow files.
    rows : int, optional
        Of an epoch: what comes after them is left, and it is an error if there are fewer. Schedules that reach over
        the whole run need it. A source that has an attribute of this name says so itself.
    window : int, optional
        Rows that are shuffled together; 64 MiB of them by default. Two windows are in memory at once.
    shuffle : bool
        Whether the rows of a window are shuffled.
    class_weight : dict or sequence, optional
        How much the rows of each class count, in training alone, as in :func:`fastsgd.train`.
    optimizer, batch_size, epochs, seed, threads, validation, metrics, evaluate_every, callbacks, dropout, \
label_smoothing, accumulate, weighted_steps, checkpoint, kernel, backend
        As in :func:`fastsgd.train`; validation is (X, y) or (X, y, sample_weight).
    resume : path or bool
        As there; the source must give the same batches again, and those trained on before are read and passed over.

    Returns
    -------
    History

    Raises
    ------
    ValueError, TypeError, OSError
        For an argument that cannot be used, before anything is changed; and for a batch that cannot: the message has
        its number, and the network and the checkpoint keep the steps before.
    RuntimeError
        When the source raises something, which is told and chained. In a child that was forked during the training,
        which has no thread to read with.
    FloatingPointError, KeyboardInterrupt
        As in :func:`fastsgd.train`.

    Warns
    -----
    UserWarning
        As there, from some rows of a window.

    Examples
    --------
    >>> import fastsgd
    >>> (X, y), test = fastsgd.datasets.digits()
    >>> net = fastsgd.Network([64, 32, 10], seed=0)
    >>> def batches(epoch):
    ...     for first in range(0, len(X), 250):
    ...         yield X[first:first + 250], y[first:first + 250]
    >>> history = fastsgd.train_stream(net, batches, optimizer=fastsgd.SGD(0.1, momentum=0.9), epochs=15, seed=0)
    >>> history.epochs, net.score(*test) > 0.95
    (15, True)
    """
    settings = _Settings(net, optimizer=optimizer, epochs=epochs, validation=validation, metrics=metrics,
                         evaluate_every=evaluate_every, callbacks=callbacks, dropout=dropout,
                         label_smoothing=label_smoothing, accumulate=accumulate, checkpoint=checkpoint, kernel=kernel,
                         backend=backend, threads=threads, weighted_steps=weighted_steps)
    if settings.fraction is not None:
        raise ValueError(f"validation must be rows, (X, y): a stream has none to hold out, got {validation}")
    if not callable(source) and not isinstance(source, Iterable):
        raise TypeError(f"source must be an iterable of batches or a function that returns one, got {source!r}")
    if epochs > 1 and hasattr(source, "__next__"):
        raise ValueError(f"source is an iterator, which gives its batches once; for epochs={epochs} pass a function "
                         "that returns one for each epoch")
    batch_size = check_whole("batch_size", batch_size, least=1)
    rows = getattr(source, "rows", None) if rows is None else rows
    rows, window = (None if value is None else check_whole(name, value, least=1)
                    for name, value in (("rows", rows), ("window", window)))
    if not isinstance(shuffle, bool):
        raise TypeError(f"shuffle must be True or False, got {shuffle!r}")
    if isinstance(class_weight, str):
        raise ValueError(f"class_weight must be a dict or a sequence, as a stream is not known beforehand, got "
                         f"{class_weight!r}")
    if net.architecture.loss_type.targets.one_vs_rest and net.sizes[-1] > 1:
        no_labels = np.zeros(0, np.int32)
        settings.positive_weight, class_weight = check_positive_weight(class_weight, no_labels, net.sizes[-1]), None
    settings.begin(seed, resume)
    batch_size *= settings.accumulate
    if rows is not None:
        batch_size = min(batch_size, rows)
        optimizer = optimizer.over(settings.epochs * steps_in(rows, batch_size))
    return settings.go(Stream(net, source, batch_size, rows, window, shuffle, class_weight), optimizer)


class _Settings:
    """What every training run may be asked for, checked; and the run made of it and of a feed."""

    def __init__(self, net, *, optimizer, epochs, validation, metrics, evaluate_every, callbacks, dropout,
                 label_smoothing, accumulate, checkpoint, kernel, backend, threads, weighted_steps) -> None:
        require_network(net)
        check_optimizer(optimizer)
        check_fits(optimizer, net.architecture)
        self._net, self._threads, self._optimizer = net, threads, optimizer
        self.epochs = check_whole("epochs", epochs, least=0)
        self.accumulate = check_whole("accumulate", accumulate, least=1)
        self.metrics = check_metrics(metrics, net)
        if evaluate_every is not None:
            evaluate_every = check_whole("evaluate_every", evaluate_every, least=1)
        if validation is None and (self.metrics or evaluate_every):
            asked = "metrics" if self.metrics else "evaluate_every"
            raise ValueError(f"{asked} needs validation rows; give validation=")
        self._evaluate_every = evaluate_every
        self.fraction: float | None = None
        self.evaluation: Evaluation | None = None
        if isinstance(validation, int | float | np.floating):
            check_fraction(validation, "validation")
            self.fraction = float(validation)
        elif validation is not None:
            checked = _check_validation(net, validation)
            self.evaluation = Evaluation(net, *checked, None, self.metrics, threads,
                                         self.told(validation[1], len(checked[0])))
        self._dropout = check_rates(dropout, len(net.sizes) - 2)
        check_fraction(label_smoothing, "label_smoothing", least_included=True)
        if label_smoothing and not net.architecture.loss_type.targets.probabilities:
            allowed = [name for name, loss in LOSSES.items() if loss.targets.probabilities]
            raise ValueError(f"label_smoothing is for classifiers with {' or '.join(allowed)}; this network has "
                             f"{net.loss}")
        if not isinstance(weighted_steps, bool):
            raise TypeError(f"weighted_steps must be True or False, got {weighted_steps!r}")
        self._weighted_steps = weighted_steps
        self.positive_weight: tuple[float, ...] = ()
        self._label_smoothing = float(label_smoothing)
        self._kernel, self._train_epoch = kernel, _train_epoch_of(kernel)
        if backend not in _kernel.BACKENDS:
            raise ValueError(f"backend must be one of {', '.join(_kernel.BACKENDS)}, got {backend!r}")
        self._backend = backend
        if not isinstance(callbacks, Iterable):
            raise TypeError(f"callbacks must be a sequence of callbacks, got {callbacks!r}")
        self._listeners = [as_callback(callback) for callback in callbacks]
        self._checkpoint = Checkpoint.checked(checkpoint)

    def told(self, y, rows: int) -> np.ndarray | None:
        """Targets for metrics, in their own unit, where the network's differs."""
        net = self._net
        if not (self.metrics and net.architecture.scales_output):
            return None
        return check_targets(y, rows, net.architecture.with_output(1.0, 0.0), net.dtype, "validation y")

    def begin(self, seed, resume) -> np.random.Generator:
        """The generator of the run as it is, or was, before it drew anything."""
        self._seed = seed if seed is None or isinstance(seed, int) else type(seed).__name__
        self._rng = generator(seed)
        self._saved, self._resumed_from = _read_checkpoint(resume, self._checkpoint)
        if self._saved is not None:
            self._rng.bit_generator.state = self._saved.progress.first_draw
        self._first_draw = self._rng.bit_generator.state
        if self._checkpoint is not None and self._first_draw["bit_generator"] != "PCG64":
            raise ValueError("seed: a checkpoint needs a seed or a generator of PCG64, as np.random.default_rng gives; "
                             f"got {self._first_draw['bit_generator']}")
        return self._rng

    def batch_size_of(self, X, y, optimizer: Optimizer) -> int:
        """What "auto" means: that of the checkpoint, or the one that is soonest on this machine."""
        if self._saved is not None:
            return self._saved.batch_size
        from fastsgd.descent import suggest_batch_size  # which imports this module
        return suggest_batch_size(self._net._for_checked(), X, y, optimizer, seconds=AUTO_SECONDS, seed=0,
                                  threads=self._threads).batch_size

    def go(self, feed: Feed, optimizer: Optimizer, state: State | None = None) -> History:
        """The whole run, from its beginning or from a checkpoint."""
        run = self._run(feed, optimizer, state)
        steps_before = run.steps
        history = run.go()
        if run.steps == steps_before:
            if self._saved is not None:
                warn(f"nothing was trained: {self._resumed_from!s} is the checkpoint of a run that "
                     f"{self._way_on(run, history)}")
        elif not (self.positive_weight or any(listener.explains for listener in self._listeners)):
            rows = feed.sample()
            if rows is not None and (said := nothing_learned(self._net, rows, history)):
                warn(said)
        return history

    def _way_on(self, run: Run, history: History) -> str:
        """From a checkpoint that is at its end."""
        anew = "begin another run with fastsgd.Network.load of this file"
        if run.stop and history.epochs < self.epochs:
            return f"a callback had ended, and does so again; to train on, give it more patience, or {anew}"
        done = f"has made all that epochs={self.epochs} asks for; "
        if self._optimizer.over(1) != self._optimizer:
            return f"{done}its schedule ends there, so to train on, {anew}"
        return f"{done}a larger epochs= trains on"

    def _run(self, feed: Feed, optimizer: Optimizer, state: State | None) -> Run:
        """A run that is about to begin, or to go on."""
        net = self._net
        seed_of_dropout = int(self._rng.integers(2**63)) if self._dropout else 0
        recipe = StepConfig(optimizer, feed.batch_size, self._dropout, seed_of_dropout, self._label_smoothing,
                        self._backend, self.positive_weight, self._weighted_steps)
        run = Run(net, feed, recipe, epochs=self.epochs, rng=self._rng, adapts=self._threads is None,
                  threads=choose_threads(self._threads, net.architecture.flops * feed.batch_size),
                  train_epoch=self._train_epoch, listeners=self._listeners, evaluation=self.evaluation,
                  evaluate_every=self._evaluate_every, checkpoint=self._checkpoint, plan=self._plan(feed, recipe),
                  first_draw=self._first_draw, state=state)
        if self._saved is not None:
            run.go_to(self._saved, self._resumed_from)
        return run

    def _plan(self, feed: Feed, recipe: StepConfig) -> dict:
        """What must be the same for a run to go on to the same bits, in words that a message can show."""
        _, metadata = model_file.describe(self._net.architecture, self._net.params,
                                         self._net.metadata if self._checkpoint else {})
        details = json.loads(metadata["fastsgd.architecture"])
        validation = None if self.evaluation is None else fingerprint(self.evaluation.X, self.evaluation.y,
                                                                      self.evaluation.weight)
        return {"network": repr(self._net),
                **{name: details.get(name) for name in ("loss_parameters", "input_scale", "input_offset",
                                                        "output_scale", "output_offset")},
                "optimizer": repr(recipe.optimizer), "batch_size": recipe.batch_size, "dropout": list(recipe.dropout),
                "label_smoothing": recipe.label_smoothing, "backend": recipe.backend, "kernel": self._kernel,
                "seed": self._seed, "validation": self.fraction or validation, "evaluate_every": self._evaluate_every,
                **({"positive_weight": list(recipe.positive_weight)} if recipe.positive_weight else {}),
                **({"weighted_steps": True} if recipe.weighted_steps else {}), **feed.describe()}


def _train_epoch_of(kernel: str):
    if kernel == "fused":
        return _kernel.train_epoch
    if kernel == "reference":
        from fastsgd.engine import reference
        return reference.train_epoch
    raise ValueError(f"kernel must be 'fused' or 'reference', got {kernel!r}")


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


def _check_validation(net: Network, validation) -> tuple[np.ndarray | Csr, np.ndarray, np.ndarray | None]:
    if not isinstance(validation, tuple | list) or len(validation) not in (2, 3):
        raise TypeError("validation must be a pair (X, y), three (X, y, sample_weight), a fraction of the rows or "
                        f"None, got {type(validation).__name__}")
    X, y, *weight = validation
    X, y = net._check(X, y, prefix="validation ")
    return X, y, check_sample_weight(weight[0] if weight else None, len(X), "validation sample_weight")


def _split(rows: int, fraction: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the rows held out and of those trained on, each in their own order."""
    count = min(max(1, round(rows * fraction)), rows - 1)
    if count < 1:
        raise ValueError(f"validation={fraction} leaves nothing of {rows} row to train on")
    order = rng.permutation(rows)
    return np.sort(order[:count]), np.sort(order[count:])


def _read_checkpoint(resume, checkpoint: Checkpoint | None) -> tuple[Saved | None, object]:
    if not isinstance(resume, bool | np.bool_ | str | os.PathLike | None):
        raise TypeError(f"resume must be True, False or the path of a checkpoint, got {resume!r}")
    if resume is None or (isinstance(resume, bool | np.bool_) and not resume):
        return None, None
    if isinstance(resume, bool | np.bool_):
        if checkpoint is None:
            raise ValueError("resume=True goes on from the file of checkpoint=, which was not given")
        path = checkpoint.path
        return (Saved.read(path), path) if os.path.exists(path) else (None, path)
    return Saved.read(resume), resume
