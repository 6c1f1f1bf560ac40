"""train(): local SGD over the partitions of a collection on a Dask cluster."""
from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from fastsgd.arguments import check_whole, is_number
from fastsgd.distributed.checkpoint import RoundCheckpoint
from fastsgd.distributed.cluster import Cluster
from fastsgd.distributed.history import RoundHistory
from fastsgd.distributed.local_sgd import MEMORIES, Recipe
from fastsgd.distributed.outer import Nesterov, check_outer
from fastsgd.distributed.rows import Rows
from fastsgd.distributed.run import ClusterEvaluation, DistributedRun, Plan
from fastsgd.distributed.sources import Sources, is_collection, sources_of
from fastsgd.distributed.tasks import Preparation
from fastsgd.distributed.transfer import TRANSFERS
from fastsgd.network.network import Network
from fastsgd.optimizers import SGD, Optimizer, Rates
from fastsgd.runs.callback import Callback, Run
from fastsgd.runs.checkpoint import Checkpoint, path_to_resume
from fastsgd.runs.evaluation import Metric
from fastsgd.runs.settings import Settings


def train(net: Network, data: Any, *, client: Any = None, rounds: int = 10, local_epochs: int | None = None,
          local_steps: int | None = None, partitions: int | None = None, outer: str | Nesterov = "weighted",
          memory: str = "average", optimizer: Optimizer = SGD(0.1),  # noqa: B008 - a frozen dataclass
          batch_size: int = 100, seed: int | None = None, target: str | Iterable[str] | None = None,
          weight: str | None = None, validation: Any = None, metrics: Iterable[str | Metric] = (),
          callbacks: Iterable[Callback | Callable[[Run], object]] = (), dropout: Rates = 0.0,
          label_smoothing: float = 0.0, checkpoint: str | os.PathLike | Checkpoint | None = None,
          resume: str | os.PathLike | bool = False, transfer: str = "full", persist: bool | None = None,
          timeout: float = 3600.0) -> RoundHistory:
    """Trains a network in place by local SGD on a Dask cluster (Stich 2019, arXiv 1805.09767).

    In each round every partition of the rows trains on its own from the same parameters, by fastsgd's fused steps; then
    the parameters move by the mean of all partitions' changes. The *partitions* are part of the mathematics, the
    workers are not: the same call gives the same bits on any number of workers, also when some die, join or leave, and
    after a resume from a checkpoint.

    Parameters
    ----------
    net : Network
        Changed in place, after every round.
    data : collection
        A tuple (X, y) or (X, y, sample_weight) of dask arrays or data frames; a dask.dataframe, or the path, a pattern
        such as ``"data/*.parquet"`` or a list of paths of Parquet files, with ``target``; or a list of delayed objects
        or futures of (X, y) or (X, y, sample_weight). What a chunk of it may hold is what :func:`fastsgd.train` takes;
        columns of a data frame must be numbers.
    client : dask.distributed.Client, optional
        None takes the one made last in this process.
    rounds : int
        0 trains nothing, but checks all arguments and rows.
    local_epochs : int, optional
        Passes of each partition over its rows in a round, 1 by default.
    local_steps : int, optional
        Instead of them, how many mini-batch steps each partition makes in a round. With 1, SGD makes just the steps
        that one machine makes with batches that are the union of the partitions' (to rounding, where a step is linear
        in the gradient: with momentum, Nesterov's too, l2, weight_decay and schedules, but not with clip_norm or
        Adam's division).
    partitions : int, optional
        Into how many parts the chunks of data are divided, neighbours together; each trains through its own chunks one
        after the other, of which only one need be in memory. As many as there are chunks by default, up to 16.
    outer : "weighted", "mean" or Nesterov
        What is made of the partitions' changes: their mean, weighted by the rows that each trained on (or their
        weights), or with all partitions alike; or a step of SGD with Nesterov momentum on the weighted mean
        (:class:`fastsgd.distributed.Nesterov`), for rounds of many steps.
    memory : "average", "keep" or "reset"
        The optimizer's memory (momenta, means of squares) from round to round: averaged like the parameters, kept by
        each partition for itself, or begun afresh. docs/reference/distributed.md has measurements.
    optimizer : Optimizer
        Of the steps within a round. Schedules without a length reach over a partition's steps in all rounds. An average
        of the parameters is not for distributed runs.
    batch_size : int
        Rows per step of each partition.
    seed : int, optional
        Of all orders of rows and of dropout; None draws one from the operating system.
    target : str or sequence of str, optional
        The columns of a dask.dataframe or of Parquet files that are y.
    weight : str, optional
        The column of these that is sample_weight.
    validation : (X, y), (X, y, sample_weight) or collection, optional
        Rows to evaluate the network on after every round: arrays in this process, or a collection like ``data``, whose
        chunks are then evaluated where they lie.
    metrics : iterable
        As in :func:`fastsgd.train`; for validation rows in this process.
    callbacks : iterable
        As in :func:`fastsgd.train`, with rounds for epochs: ``fastsgd.Progress()``, ``fastsgd.EarlyStopping()``, ...
    dropout, label_smoothing
        As in :func:`fastsgd.train`.
    checkpoint : path or Checkpoint, optional
        Where this process writes the state of the run, between two rounds: every ten seconds and at its end, or as
        :class:`fastsgd.Checkpoint` says, whose ``epochs`` are rounds here.
    resume : path or bool
        As in :func:`fastsgd.train`: a checkpoint to resume from to the same bits, on any cluster.
    transfer : "full", "float16" or "bfloat16"
        How changes travel: in the network's dtype, or as 16 bits each; what is rounded off is added to the partition's
        next change (error feedback, Karimireddy 2019, arXiv 1901.09847).
    persist : bool, optional
        Whether rows stay in the workers' memory between rounds, or are read anew in each. None keeps them where they
        take less than 0.4 of all workers' memory.
    timeout : float
        Seconds that may pass without any task of the run coming to its end; then the run gives up.

    Returns
    -------
    RoundHistory
        One entry per round, with seconds of computing and waiting, and bytes.

    Raises
    ------
    ValueError, TypeError, OSError
        For an argument or rows that cannot be used, by the name of the partition, and a checkpoint of another run:
        before anything is changed.
    FloatingPointError
        When the cost or a parameter stops being finite, by the name of the partition.
    ClusterError
        When the scheduler is gone, there are no workers, or no task ends for too long. Whatever is raised, the network
        has the parameters of the last whole round, and so has the checkpoint.
    RuntimeError
        Where a worker has another version of fastsgd or NumPy, or a chunk cannot be read.

    Examples
    --------
    >>> import dask.array as da, fastsgd, fastsgd.distributed
    >>> from dask.distributed import Client
    >>> (X, y), test = fastsgd.datasets.digits()
    >>> net = fastsgd.Network([64, 32, 10], seed=0)
    >>> with Client(n_workers=2, threads_per_worker=1, dashboard_address=None):      # doctest: +SKIP
    ...     rows = da.from_array(X, chunks=(360, 64)), da.from_array(y, chunks=360)
    ...     history = fastsgd.distributed.train(net, rows, optimizer=fastsgd.SGD(0.1, momentum=0.9), rounds=20, seed=0)
    >>> history.rounds, net.score(*test) > 0.9                                       # doctest: +SKIP
    (20, True)
    """
    if not is_number(timeout) or not timeout > 0:
        raise ValueError(f"timeout must be a number of seconds above 0, got {timeout!r}")
    given = is_collection(validation)
    settings = Settings(net, optimizer=optimizer, epochs=rounds, threads=None,
                        validation=None if given else _rows_in_memory(validation), metrics=metrics, callbacks=callbacks,
                        dropout=dropout, label_smoothing=label_smoothing, checkpoint=checkpoint)
    recipe = _recipe(settings, batch_size, seed, outer, memory, transfer)
    steps, epochs = _lengths(local_steps, local_epochs)
    momentum = check_outer(outer)
    saved, path = _saved(resume, settings.checkpoint)
    sources = sources_of(data, target, weight)
    held_out = sources_of(validation, target, weight, "validation") if given else None
    return run_rounds(settings, recipe, sources, Cluster(client, float(timeout)), rows=(partitions, epochs, steps),
                      outer=momentum, held_out=held_out, persist=persist, saved=saved, path=path, seed=seed)


def run_rounds(settings: Settings, recipe: Recipe, sources: Sources, cluster: Cluster, *, rows: tuple,
               outer: Nesterov | None, held_out: Sources | None, persist: bool | None, saved: RoundCheckpoint | None,
               path: object, seed: int | None) -> RoundHistory:
    """The whole run, of arguments that are checked; ``rows`` are (partitions, local_epochs, local_steps)."""
    net, optimizer = settings.net, settings.optimizer
    partitions, epochs, steps = rows
    if optimizer.averages:
        raise ValueError(f"optimizer: an average of the parameters over steps is not kept in distributed runs, got "
                         f"{optimizer!r}; rounds average over partitions, and outer=fastsgd.distributed.Nesterov() "
                         "smooths them")
    own = Rows(cluster, sources, _preparation(sources, net), "data", persist)
    own.look()
    evaluation: Any = settings.evaluation
    if held_out is not None:
        others = Rows(cluster, held_out, _preparation(held_out, net), "validation", persist)
        others.look()
        evaluation = ClusterEvaluation(cluster, others)
    if saved is not None and seed is None:
        recipe = _with_seed(recipe, saved)
    plan = Plan.of(own, partitions, recipe.batch_size, epochs, steps)
    run = DistributedRun(cluster, settings, recipe, own, plan, outer=outer, evaluation=evaluation)
    if saved is not None:
        run.restore(saved, path)
    return run.execute()


# ---- checks ----

def _recipe(settings: Settings, batch_size: int, seed: int | None, outer, memory: str, transfer: str) -> Recipe:
    for name, value, allowed in (("memory", memory, MEMORIES), ("transfer", transfer, TRANSFERS)):
        if value not in allowed:
            raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}")
    seed = int.from_bytes(os.urandom(6), "little") if seed is None else check_whole("seed", seed, least=0)
    return Recipe(settings.net.architecture, settings.optimizer, check_whole("batch_size", batch_size, least=1), seed,
                  settings.dropout, settings.label_smoothing, memory, transfer, equal=outer == "mean")


def _lengths(local_steps, local_epochs) -> tuple[int | None, int]:
    """How long a round is: steps, or epochs."""
    if local_steps is not None and local_epochs is not None:
        raise ValueError(f"local_steps={local_steps!r} and local_epochs={local_epochs!r} exclude each other")
    steps = None if local_steps is None else check_whole("local_steps", local_steps, least=1)
    return steps, check_whole("local_epochs", 1 if local_epochs is None else local_epochs, least=1)


def _with_seed(recipe: Recipe, saved: RoundCheckpoint) -> Recipe:
    return replace(recipe, seed=check_whole("seed of the checkpoint", saved.plan.get("seed"), least=0))


def _saved(resume, checkpoint: Checkpoint | None) -> tuple[RoundCheckpoint | None, object]:
    """The checkpoint to resume from, and its path."""
    path = path_to_resume(resume, checkpoint)
    return (None, None) if path is None else (RoundCheckpoint.read(path), path)


def _preparation(sources: Sources, net: Network) -> Preparation:
    return Preparation(sources.split, net.architecture, str(net.dtype))


def _rows_in_memory(validation: Any) -> Any:
    if is_number(validation):
        raise TypeError(f"validation must be rows, (X, y), or a collection, got {validation!r}; a fraction is for "
                        "fastsgd.train: leave some chunks out of data instead")
    return validation
