"""``python -m bench.published``: published results on MNIST, with the published settings where they are known.

Each row trains five networks of five seeds and prints their test accuracy beside what was published; the second table
tells after how many seconds of training a plain network reads 97, 98 and 98.5 % of the test digits. With
``--json FILE`` every result is kept there, and a run that was interrupted goes on where it was.
"""
from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import fastsgd
from bench import machine
from fastsgd import SGD, Adam, schedules
from fastsgd.files.atomic import write_atomically
from fastsgd.optimizers import Optimizer


@dataclass(frozen=True)
class Published:
    """A result, its settings, and where it stands."""

    name: str
    source: str
    accuracy: float                      # percent
    spread: float | None                 # standard deviation over seeds, where it was published
    sizes: tuple[int, ...]
    optimizer: Optimizer
    batch_size: int
    epochs: int
    network: dict = field(default_factory=dict)
    training: dict = field(default_factory=dict)
    trained_on: int = 60_000             # the first so many rows
    judged_on: str = "test"              # or "validation": the rows that follow those
    epoch: str = "last"                  # or "best": the one that was published
    input_dropout: float = 0.0
    remark: str = ""

    @property
    def key(self) -> str:
        """What a kept result depends on."""
        return repr(dataclasses.replace(self, source="", accuracy=0.0, spread=None, remark=""))


NIELSEN = "Nielsen 2015, Neural Networks and Deep Learning"
SRIVASTAVA = "Srivastava et al. 2014, JMLR 15, table 2"
CLASSIC = {"activation": "logistic", "loss": "squared_error", "output": "logistic", "init": "normal"}
DROPOUT = {"sizes": (784, 1024, 1024, 1024, 10), "batch_size": 100, "epochs": 40, "training": {"dropout": 0.5},
           "input_dropout": 0.2}
ROWS = [
    Published("784-30-10, quadratic cost", f"{NIELSEN}, chapter 1", 95.42, None, (784, 30, 10), SGD(3.0), 10, 30,
              CLASSIC, trained_on=50_000, epoch="best",
              remark="published is a single run; of twenty seeds here the best has 95.42"),
    Published("784-100-10, quadratic cost", f"{NIELSEN}, chapter 1", 96.59, None, (784, 100, 10), SGD(3.0), 10, 30,
              CLASSIC, trained_on=50_000, epoch="best",
              remark="every other run never learns one of the classes, in float64 too, of which the source warns; "
                     "the others reach 96.2 to 96.6"),
    Published("784-100-10, cross-entropy, L2", f"{NIELSEN}, chapter 3", 98.04, None, (784, 100, 10),
              SGD(0.1, l2=5.0 / 50_000), 10, 60,
              {"activation": "logistic", "loss": "binary_cross_entropy", "init": "normal"}, trained_on=50_000,
              judged_on="validation", epoch="best"),
    Published("784-128-10, a step for each row", "C-MNIST Digit Classifier, README", 98.29, 0.07, (784, 128, 10),
              SGD(0.01), 1, 20),
    Published("784-800-10, cross-entropy", "Simard, Steinkraus and Platt 2003", 98.4, None, (784, 800, 10),
              SGD(schedules.OneCycle(0.3), momentum=0.9), 100, 15),
    Published("3 x 1,024 relu, dropout", SRIVASTAVA, 98.75, None, optimizer=Adam(schedules.Cosine(0.001)), **DROPOUT),
    Published("3 x 1,024 relu, dropout, max-norm", SRIVASTAVA, 98.94, None,
              remark="40 epochs of Adam, where the source trains many times as long",
              optimizer=Adam(schedules.Cosine(0.001), max_norm=2.0), **DROPOUT),
]


@dataclass(frozen=True)
class Recipe:
    """A plain network, relu, that reaches a target soon by Adam with a learning rate that rises and falls once."""

    target: float                        # percent of the test digits
    hidden: int
    peak: float                          # of the learning rate
    batch_size: int
    epochs: int
    label_smoothing: float = 0.0

    @property
    def name(self) -> str:
        smoothed = f", label smoothing {self.label_smoothing:g}" if self.label_smoothing else ""
        return (f"784-{self.hidden}-10 relu, Adam, one cycle to {self.peak:g} in {self.epochs} "
                f"epoch{'s' * (self.epochs > 1)}, batches of {self.batch_size}{smoothed}")


RECIPES = [
    Recipe(97.0, 192, 0.01, 100, 1), Recipe(98.0, 256, 0.008, 100, 2, 0.1), Recipe(98.5, 512, 0.005, 128, 5, 0.1),
]


# ---- the runs ----

def accuracy_of(row: Published, seed: int, data: tuple, threads: int | None) -> float:
    """Percent of the test rows, or of the validation rows, that a network of this seed reads."""
    (X, y), (X_test, y_test) = data
    n = min(row.trained_on, len(X))
    if row.judged_on == "validation":
        X_test, y_test = X[n:], y[n:]
    X, y = X[:n], y[:n]
    net = fastsgd.Network(row.sizes, seed=seed, **row.network)
    targets = y if net.loss == "cross_entropy" else (y[:, np.newaxis] == range(10)).astype(np.float32)
    found: list[float] = []

    def judge(run) -> None:
        found.append(100 * float((run.net.predict(X_test).argmax(axis=1) == y_test).mean()))

    settings = {"optimizer": row.optimizer, "batch_size": row.batch_size, "epochs": row.epochs, "seed": seed,
                "threads": threads, "callbacks": [judge], **row.training}
    if row.input_dropout:
        rng = np.random.default_rng(seed)
        fastsgd.train_stream(net, lambda epoch: thinned(X, targets, row.input_dropout, rng), rows=n, **settings)
    else:
        fastsgd.train(net, X, targets, **settings)
    return max(found) if row.epoch == "best" else found[-1]


def thinned(X: np.ndarray, y: np.ndarray, rate: float, rng: np.random.Generator):
    """Batches of all rows, in a new order, with dropout of the inputs."""
    order = rng.permutation(len(X))
    for first in range(0, len(X), 5000):
        rows = order[first:first + 5000]
        kept = rng.random((len(rows), X.shape[1]), dtype=np.float32) >= rate
        yield X[rows] * kept / np.float32(1 - rate), y[rows]


def seconds_to(recipe: Recipe, seed: int, data: tuple, threads: int | None) -> float | None:
    """Seconds of training until the target is reached, looked at after every tenth of an epoch; None where never."""
    (X, y), test = data
    net = fastsgd.Network([784, recipe.hidden, 10], seed=seed)
    found: list[float] = []

    class Watch(fastsgd.Callback):
        def on_evaluation(self, run):
            if run.history.validation_metric[-1] >= recipe.target / 100:
                found.append(run.seconds)
                run.stop = True

    fastsgd.train(net, X, y, optimizer=Adam(schedules.OneCycle(recipe.peak)), batch_size=recipe.batch_size,
                  epochs=recipe.epochs, seed=seed, threads=threads, label_smoothing=recipe.label_smoothing,
                  validation=test, evaluate_every=len(X) // recipe.batch_size // 10, callbacks=[Watch()])
    return found[0] if found else None


# ---- what is kept and shown ----

class Results:
    """Figures by row and seed, in a JSON file if one is given."""

    def __init__(self, path: Path | None):
        self._path = path
        self._known: dict[str, dict[str, float]] = json.loads(path.read_text()) if path and path.exists() else {}

    def of(self, row: Published, seeds: int, measure: Callable[[int], float]) -> list[float]:
        """The figures of these seeds, those that are missing measured now."""
        known = self._known.setdefault(row.key, {})
        for seed in range(seeds):
            if str(seed) not in known:
                begin = time.perf_counter()
                known[str(seed)] = measure(seed)
                print(f"  {row.name}, seed {seed}: {known[str(seed)]:.2f} ({time.perf_counter() - begin:.0f} s)",
                      file=sys.stderr, flush=True)
                if self._path:
                    write_atomically(self._path, [json.dumps(self._known, indent=1).encode()])
        return [known[str(seed)] for seed in range(seeds)]


def verdict(row: Published, ours: list[float]) -> str:
    """How ours lie to what was published: a mean with its spread, or else a single run."""
    mean = statistics.mean(ours)
    if mean >= row.accuracy:
        found = "reached"
    elif row.spread is not None and mean >= row.accuracy - row.spread:
        found = "within the published spread"
    elif row.spread is None and max(ours) >= row.accuracy:
        found = "a single run, within our range"
    else:
        found = "**short**"
    return f"{found}; {row.remark}" if row.remark else found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="", help="only rows whose name contains this")
    parser.add_argument("--seeds", type=int, default=5, help="networks of each (%(default)s)")
    parser.add_argument("--epochs", type=int, help="other than published, for a quick look")
    parser.add_argument("--threads", type=int, help="at most; results do not depend on it")
    parser.add_argument("--json", type=Path, help="keep results in this file, and do not repeat those it has")
    parser.add_argument("--only", choices=["accuracy", "time"], help="one of the two tables")
    options = parser.parse_args()
    if options.seeds < 1:
        parser.error("--seeds must be at least 1")
    data = fastsgd.datasets.mnist()
    results = Results(options.json)
    print(f"{machine.describe()}; {options.seeds} seeds\n")
    if options.only != "time":
        print("| network | source | published, % | ours: mean ± deviation | lowest to highest | |\n"
              "|---|---|---|---|---|---|")
        for row in ROWS:
            if options.rows in row.name:
                row = dataclasses.replace(row, epochs=options.epochs or row.epochs)
                ours = results.of(row, options.seeds, lambda seed, row=row: accuracy_of(
                    row, seed, data, options.threads))
                spread = "" if row.spread is None else f" ± {row.spread:.2f}"
                deviation = f" ± {statistics.stdev(ours):.2f}" if len(ours) > 1 else ""
                print(f"| {row.name} | {row.source} | {row.accuracy:.2f}{spread} | "
                      f"{statistics.mean(ours):.2f}{deviation} | {min(ours):.2f} to {max(ours):.2f} | "
                      f"{verdict(row, ours)} |", flush=True)
        print()
    if options.only != "accuracy":
        print("| test accuracy | seconds of training, median | fastest to slowest | recipe |\n|---|---|---|---|")
        for recipe in RECIPES:
            if options.rows in recipe.name:
                seconds = [seconds_to(recipe, seed, data, options.threads) for seed in range(options.seeds)]
                reached = sorted(s for s in seconds if s is not None)
                missed = len(seconds) - len(reached)
                median = (reached + [float("inf")] * missed)[len(seconds) // 2]
                between = f"{reached[0]:.2f} to {reached[-1]:.2f}" if reached else "-"
                never = f", {missed} never" if missed else ""
                print(f"| {recipe.target:g} % | {median:.2f} | {between}{never} | {recipe.name} |", flush=True)


if __name__ == "__main__":
    main()
