"""The base class of callbacks, and the interface of the run that they receive."""
from __future__ import annotations

import os
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np

from fastsgd.network.network import Network
from fastsgd.optimizers import Optimizer
from fastsgd.runs.history import History


@runtime_checkable
class Run(Protocol):
    """A training run, as its callbacks see it. ``train`` and ``train_stream`` make it; it has no constructor.

    Attributes
    ----------
    net : Network
        Changes with every step.
    result : Network
        What the training would return now: ``net``, or where the optimizer keeps an average one with that.
    history : History
    optimizer : Optimizer
    epochs, epoch : int
        How many there will be, and the number of the present one, from 1.
    rows : int or None
        Of an epoch; None where a stream does not say.
    rows_done, steps : int
        Rows of the present epoch that have been trained on, and steps in all.
    batch_size, threads : int
    weighted : bool
        Whether weights of rows or classes are in use, so that ``history.cost`` and ``history.metric`` are weighted
        means; of a stream, whether any have come so far.
    learning_rates : list of ndarray
        Those of the present epoch's steps.
    rate_factor : float
        What learning rates are multiplied by from the next epoch, or the next evaluation, on; callbacks may change it.
        Within an epoch without evaluations a change waits for the next one.
    evaluate_every : int or None
        Evaluations happen after steps that are multiples of it; callbacks may change it where it is not None.
    unit : str
        What ``epoch`` and ``epochs`` count: "epoch", or "round" in a distributed run.
    stop : bool
        A callback sets it to end the run: in ``on_rows`` after the present step, else when the callback returns.
    """

    net: Network
    result: Network
    history: History
    epochs: int
    epoch: int
    rows_done: int
    threads: int
    learning_rates: list[np.ndarray]
    rate_factor: float
    evaluate_every: int | None
    stop: bool
    unit: str

    @property
    def optimizer(self) -> Optimizer:
        """What changes the parameters."""

    @property
    def batch_size(self) -> int:
        """Rows per step."""

    @property
    def weighted(self) -> bool:
        """Whether weights of rows or classes are in use."""

    @property
    def rows(self) -> int | None:
        """Rows of an epoch."""

    @property
    def steps(self) -> int:
        """Steps in all."""

    @property
    def seconds(self) -> float:
        """Wall time of all steps and of waiting for their rows, as in ``history.seconds``, up to now."""

    @property
    def figures(self) -> list[str]:
        """The names under which ``history.last()`` has figures, as soon as they have been measured."""

    def save(self, path: str | os.PathLike) -> None:
        """Writes a checkpoint: complete or not at all. ``train(resume=path)`` resumes from it.

        For callbacks, in ``on_evaluation`` and ``on_epoch``: what is saved is the run as it was before any callback was
        called there, and the resumed run calls them again. RuntimeError at any other time, OSError where the file
        cannot be written.
        """


class Callback:
    """A watcher of a training run; override what you need.

    Every method receives the :class:`fastsgd.Run`. Setting ``run.stop = True`` ends the run. What a method raises ends
    the training; the network keeps the steps done so far.

    >>> import fastsgd
    >>> class StopWhenGood(fastsgd.Callback):
    ...     def on_epoch(self, run):
    ...         run.stop = run.history.metric[-1] > 0.5
    >>> (X, y), _ = fastsgd.datasets.digits()
    >>> net = fastsgd.Network([64, 16, 10], seed=0)
    >>> fastsgd.train(net, X, y, epochs=50, seed=0, callbacks=[StopWhenGood()]).stopped
    True
    """

    explains: ClassVar[bool] = False         # whether it says, instead of ``train``, why a run came to nothing

    def on_start(self, run: Run) -> None:
        """Before the first epoch, or before the first one after a checkpoint."""

    def on_rows(self, run: Run) -> None:
        """About ten times a second within an epoch; ``run.rows_done`` says how far it is."""

    def on_evaluation(self, run: Run) -> None:
        """After the validation rows were evaluated, the figures entered in ``run.history``."""

    def on_epoch(self, run: Run) -> None:
        """After an epoch and its evaluation, its entry in ``run.history`` made."""

    def on_end(self, run: Run) -> None:
        """After the last epoch, or when the training ends in an error."""

    def state(self) -> dict[str, Any]:
        """What a checkpoint must keep: numbers, text and arrays by name; nothing for most."""
        return {}

    def restore(self, run: Run, state: dict[str, Any]) -> None:
        """Takes back what :meth:`state` gave, after ``on_start`` of a run that resumes from a checkpoint."""


class _Function(Callback):
    def __init__(self, function):
        self.on_epoch = function                             # type: ignore[method-assign]


def as_callback(callback) -> Callback:
    """A Callback, or a function of the run that will be called after every epoch, as a Callback."""
    if isinstance(callback, Callback):
        return callback
    if callable(callback) and not isinstance(callback, type):
        return _Function(callback)
    raise TypeError(f"callbacks must hold fastsgd.Callback objects or functions, got {callback!r}")
