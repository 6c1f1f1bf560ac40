"""train() and train_stream(): a training run from beginning to end."""
from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from fastsgd import descent
from fastsgd.network.derived import for_scaled_targets
from fastsgd.network.network import Network
from fastsgd.optimizers import SGD, Optimizer, Rates, State
from fastsgd.runs.callback import Callback, Run
from fastsgd.runs.checkpoint import Checkpoint
from fastsgd.runs.evaluation import Metric
from fastsgd.runs.history import History
from fastsgd.runs.settings import Settings
from fastsgd.runs.start import train_batches, train_rows
from fastsgd.runs.stream_feed import Source

if TYPE_CHECKING:
    from fastsgd.data.typing import ArrayLike, RowsLike

AUTO_SECONDS = 2.0                       # for the search of batch_size="auto"


def train(net: Network, X: RowsLike | os.PathLike, y: ArrayLike | os.PathLike, *,
          optimizer: Optimizer = SGD(0.1),  # noqa: B008 - a frozen dataclass
          batch_size: int | str | None = 100, epochs: int = 20, seed: int | Sequence[int] | None = None,
          threads: int | None = None, validation: tuple | float | None = None, metrics: Iterable[str | Metric] = (),
          evaluate_every: int | None = None, callbacks: Iterable[Callback | Callable[[Run], object]] = (),
          sample_weight: ArrayLike | None = None, class_weight: str | dict | ArrayLike | None = None,
          dropout: Rates = 0.0, label_smoothing: float = 0.0, accumulate: int = 1,
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
        or the path of an .npy file, may be larger than the memory: it is read while the training runs.
    y : array (rows,) or (rows, outputs)
        Class labels 0 .. outputs - 1 or one-hot rows for cross_entropy, else targets; see :class:`fastsgd.Network` for
        one-vs-rest class labels.
    optimizer : Optimizer
        Begins with a fresh memory, unless ``state`` is given.
    batch_size : int, None or "auto"
        Rows per step; None, or more rows than there are, means full gradient descent. "auto" spends some two seconds on
        :func:`fastsgd.descent.suggest_batch_size`, without weights and dropout. What it takes depends on this machine
        and moment; ``history.batch_size`` tells it, and given the next time makes the run reproducible.
    epochs : int
        Passes over the rows; 0 trains nothing, but checks all arguments.
    seed : int, sequence of int or None
        Of the order of the rows, of a validation fraction and of dropout. The same seed gives the same bits, for any
        number of threads; None draws one from the operating system. Where members share nothing it may be a sequence
        of one each: then each has orders and dropout of its own, those of its network alone with this seed.
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
        sums of their rows' sample_weight. With one-vs-rest labels, as in scikit-learn: how much the rows of a class
        count in the output of that class. It acts on training alone: on the gradient, and on ``history.cost`` and
        ``history.metric``, which are then weighted; validation rows do not meet it.
    dropout : float, function of the step, or sequence of them
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
        The optimizer's memory to continue with, which ``optimizer.state(net.params)`` made and earlier calls changed:
        its moments, its average, and the number of steps that schedules count. A fresh one by default.
    weighted_steps : bool
        Whether a mini-batch's weighted gradient is divided by the number of its rows instead of by the sum of their
        weights, so that heavy rows make longer steps.
    checkpoint : path or Checkpoint, optional
        Where to write the state of the run every ten seconds and at its end, or as :class:`fastsgd.Checkpoint` says.
    resume : path or bool
        A checkpoint to resume from, to the same bits as if the run had never been interrupted; everything else must be
        given as it was. True resumes from ``checkpoint`` if that file exists, and else begins.
    kernel : "fused" or "reference"
        The compiled step, or the same step in NumPy, which Ctrl-C may leave half done.
    backend : "auto", "native" or "blas"
        What computes the matrix products of the compiled step: fastsgd's own tiles, or the OpenBLAS it carries. "auto"
        means native, which alone gives the same bits for any number of threads and for AVX2 and AVX-512.

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
    settings = Settings(net, optimizer=optimizer, epochs=epochs, validation=validation, metrics=metrics,
                        evaluate_every=evaluate_every, callbacks=callbacks, dropout=dropout,
                        label_smoothing=label_smoothing, accumulate=accumulate, checkpoint=checkpoint, kernel=kernel,
                        backend=backend, threads=threads, weighted_steps=weighted_steps)

    def suggest(X, y) -> int:
        return descent.suggest_batch_size(for_scaled_targets(net), X, y, optimizer, seconds=AUTO_SECONDS, seed=0,
                                          threads=threads).batch_size

    return train_rows(settings, X, y, batch_size=batch_size, seed=seed, sample_weight=sample_weight,
                      class_weight=class_weight, shuffle=shuffle, state=state, resume=resume, suggest=suggest)


def train_stream(net: Network, source: Source, *, rows: int | None = None, window: int | None = None,
                 shuffle: bool = True, optimizer: Optimizer = SGD(0.1),  # noqa: B008 - a frozen dataclass
                 batch_size: int = 100, epochs: int = 1, seed: int | None = None, threads: int | None = None,
                 validation: tuple | None = None, metrics: Iterable[str | Metric] = (),
                 evaluate_every: int | None = None, callbacks: Iterable[Callback | Callable[[Run], object]] = (),
                 class_weight: dict | ArrayLike | None = None, dropout: Rates = 0.0,
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
        When the source raises something, which is named and chained. In a child that was forked during the training,
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
    settings = Settings(net, optimizer=optimizer, epochs=epochs, validation=validation, metrics=metrics,
                        evaluate_every=evaluate_every, callbacks=callbacks, dropout=dropout,
                        label_smoothing=label_smoothing, accumulate=accumulate, checkpoint=checkpoint, kernel=kernel,
                        backend=backend, threads=threads, weighted_steps=weighted_steps)
    return train_batches(settings, source, rows=rows, window=window, shuffle=shuffle, batch_size=batch_size, seed=seed,
                         class_weight=class_weight, resume=resume)
