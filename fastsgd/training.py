"""train(): the mini-batch stochastic gradient descent of the whole package, one kernel call per epoch."""
from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field

import numpy as np

from fastsgd import _kernel
from fastsgd.callbacks import Callback, as_callback
from fastsgd.data import check_batch_size, generator
from fastsgd.machine import choose_threads
from fastsgd.network import Network
from fastsgd.optimizers import SGD, Optimizer, Recipe, check_optimizer


@dataclass
class History:
    """What happened, one entry per finished epoch.

    Attributes
    ----------
    cost : list of float
        Mean cost over the epoch's rows, each measured just before its own step.
    metric : list of float
        Accuracy (classifiers) or R^2 over the same rows; ``metric_name`` says which.
    validation_cost, validation_metric : list of float
        On the validation rows after the epoch; empty without validation.
    seconds : list of float
        Wall time of the epoch's steps, validation and callbacks excluded.
    learning_rate : list of float
        Of the epoch's last step.
    steps : int
        Mini-batch steps taken in all.
    stopped : bool
        Whether a callback ended the training early.

    >>> import fastsgd
    >>> (X, y), _ = fastsgd.datasets.digits()
    >>> history = fastsgd.train(fastsgd.Network([64, 10], seed=0), X, y, epochs=3, seed=0)
    >>> history.steps, len(history.cost), history.cost[2] < history.cost[0]
    (45, 3, True)
    """

    metric_name: str
    cost: list[float] = field(default_factory=list)
    metric: list[float] = field(default_factory=list)
    validation_cost: list[float] = field(default_factory=list)
    validation_metric: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)
    steps: int = 0
    stopped: bool = False

    @property
    def epochs(self) -> int:
        """Finished epochs."""
        return len(self.cost)

    def as_dict(self) -> dict:
        """All fields as plain lists and numbers, for JSON or a data frame."""
        return asdict(self)

    def __repr__(self) -> str:
        if not self.cost:
            return "History(no epochs)"
        last = f"cost {self.cost[-1]:.4g}, {self.metric_name} {self.metric[-1]:.4g}"
        if self.validation_cost:
            last += (f", validation cost {self.validation_cost[-1]:.4g}, "
                     f"{self.metric_name} {self.validation_metric[-1]:.4g}")
        return f"History({self.epochs} epochs, {self.steps} steps, {sum(self.seconds):.3g} s: {last})"


@dataclass
class Run:
    """A training run, as its callbacks see it. Setting ``stop`` ends the run after the epoch.

    ``epoch`` counts from 1; ``rows_done`` and ``rows`` are the rows of the present epoch.
    """

    net: Network
    history: History
    optimizer: Optimizer
    epochs: int
    rows: int
    batch_size: int
    threads: int
    epoch: int = 0
    rows_done: int = 0
    stop: bool = False


def train(net: Network, X, y, *, optimizer: Optimizer = SGD(0.1),  # noqa: B008 - a frozen dataclass
          batch_size: int | None = 100, epochs: int = 20, seed: int | None = None, threads: int | None = None,
          validation: tuple | None = None, callbacks: Iterable[Callback | Callable[[Run], object]] = (),
          kernel: str = "fused", backend: str = "auto") -> History:
    """Trains a network in place by mini-batch gradient descent.

    Each epoch the rows are shuffled and divided into mini-batches, and each mini-batch makes one step with
    its mean gradient. The last, shorter batch is included, its mean taken over its own rows.

    Parameters
    ----------
    net : Network
        Changed in place.
    X : array (rows, columns)
        Finite real numbers; used without a copy where they have the network's dtype and contiguous rows.
    y : array (rows,) or (rows, outputs)
        Class labels 0 .. outputs - 1 or one-hot rows for cross_entropy, else targets.
    optimizer : Optimizer
        Begins with a fresh memory.
    batch_size : int or None
        Rows per step; None, or more rows than there are, means full gradient descent.
    epochs : int
        Passes over the rows.
    seed : int or None
        Of the order of the rows. The same seed gives the same bits, for any number of threads; None draws
        one from the operating system.
    threads : int or None
        None takes the cores this process may use, fewer where a step is too small to share or the first steps of an
        epoch are quicker with fewer.
    validation : (X, y), optional
        Evaluated after every epoch.
    callbacks : iterable
        ``fastsgd.Progress()``, other :class:`fastsgd.Callback` objects, or functions of a
        :class:`fastsgd.Run` called after every epoch.
    kernel : "fused" or "reference"
        The compiled step, or the same step in NumPy.
    backend : "auto", "native" or "blas"
        What computes the matrix products of the compiled step: fastsgd's own tiles, or the OpenBLAS it carries. "auto"
        means native, but on AVX2 and SSE2 OpenBLAS for layers at least 1,024 wide on both sides, where it is faster.
        Only native gives the same bits for any number of threads and for AVX2 and AVX-512.

    Returns
    -------
    History

    Raises
    ------
    ValueError, TypeError
        For an argument that cannot be used, before anything is changed. (A learning rate that is a function is
        asked once an epoch; if it returns nonsense, the network keeps the epochs before.)
    FloatingPointError
        When the cost or a parameter stops being finite: it says at which step and what to try, and the
        network is left as it was after the last good epoch.
    KeyboardInterrupt
        On Ctrl-C, between two steps: the network keeps the steps done so far.

    Examples
    --------
    >>> import fastsgd
    >>> (X, y), test = fastsgd.datasets.digits()
    >>> net = fastsgd.Network([64, 32, 10], seed=0)
    >>> history = fastsgd.train(net, X, y, optimizer=fastsgd.SGD(0.1, momentum=0.9), epochs=15, seed=0)
    >>> history.epochs, net.score(*test) > 0.95
    (15, True)
    """
    if not isinstance(net, Network):
        raise TypeError(f"net must be a fastsgd.Network, got {type(net).__name__}")
    X, y = net._check(X, y)
    if validation is not None:
        if not isinstance(validation, tuple | list) or len(validation) != 2:
            raise TypeError("validation must be a pair (X, y) or None")
        validation = net._check(*validation, prefix="validation ")
        metric_of_validation = net._metric_of(validation[1])
    check_optimizer(optimizer)
    batch_size = check_batch_size(batch_size, len(X))
    if isinstance(epochs, bool) or not isinstance(epochs, int | np.integer):
        raise TypeError(f"epochs must be a whole number, got {epochs!r}")
    if epochs < 0:
        raise ValueError(f"epochs must be at least 0, got {epochs}")
    train_epoch = _train_epoch_of(kernel)
    if backend not in _kernel.BACKENDS:
        raise ValueError(f"backend must be one of {', '.join(_kernel.BACKENDS)}, got {backend!r}")
    step_threads = choose_threads(threads, net.architecture.flops * batch_size)
    rng = generator(seed)

    if not isinstance(callbacks, Iterable):
        raise TypeError(f"callbacks must be a sequence of callbacks, got {callbacks!r}")
    listeners = [as_callback(callback) for callback in callbacks]

    history = History(net.metric)
    run = Run(net, history, optimizer, int(epochs), len(X), batch_size, step_threads)
    state = optimizer.state(net.params)
    recipe = Recipe(optimizer, batch_size, backend=backend)
    steps_per_epoch = math.ceil(len(X) / batch_size)
    good = net.params.copy()
    metric = net._metric_of(y)

    def poll(rows_done: int) -> None:
        run.rows_done = rows_done
        for listener in listeners:
            listener.on_rows(run)

    with contextlib.ExitStack() as ends:                # every on_end follows its on_start, last first
        for listener in listeners:
            listener.on_start(run)
            ends.callback(listener.on_end, run)
        for epoch in range(1, run.epochs + 1):
            run.epoch, run.rows_done = epoch, 0
            rates = optimizer.learning_rates(state.steps, steps_per_epoch)
            begin = time.perf_counter()
            # The full gradient does not depend on the order of the rows, so they stay where they lie.
            order = rng.permutation(len(X)) if batch_size < len(X) else None
            state.cost = state.score = 0.0
            steps = train_epoch(net.architecture, net.params, X, y, order, recipe, state, rates, None, step_threads,
                                poll, threads is None)
            seconds = time.perf_counter() - begin
            if steps < steps_per_epoch or not np.isfinite(net.params).all():
                net.params[:] = good
                what = "the cost" if steps < steps_per_epoch else "a parameter"
                raise FloatingPointError(_diverged(what, state.steps + (steps < steps_per_epoch), epoch,
                                                   rates[min(steps, len(rates) - 1)]))
            good[:] = net.params

            history.cost.append(state.cost / len(X))
            history.metric.append(metric(state.score))
            history.seconds.append(seconds)
            history.learning_rate.append(float(rates[-1]))
            history.steps = state.steps
            if validation is not None:
                validation_cost, validation_metric = net._evaluate(*validation, threads, metric_of_validation)
                history.validation_cost.append(validation_cost)
                history.validation_metric.append(validation_metric)
            run.rows_done = len(X)
            for listener in listeners:
                listener.on_epoch(run)
            if run.stop:
                history.stopped = True
                break
    return history


def _train_epoch_of(kernel: str):
    if kernel == "fused":
        return _kernel.train_epoch
    if kernel == "reference":
        from fastsgd import reference
        return reference.train_epoch
    raise ValueError(f"kernel must be 'fused' or 'reference', got {kernel!r}")


def _diverged(what: str, step: int, epoch: int, rate: float) -> str:
    kept = "the parameters of the last good epoch are kept" if epoch > 1 else "the initial parameters are kept"
    return (f"{what} stopped being finite at step {step}, in epoch {epoch}; {kept}. Try a smaller learning rate "
            f"(it was {rate:g}), inputs scaled to about unit size, or dtype='float64'")
