"""``python -m bench.tables``: networks for tables against the PyTorch packages that they come from, in turn in one run.

- an epoch of RealMLP-TD's network and optimizer against pytabkit's, 10,000 rows of 20 numbers and 5 categories. Of both
  it is the difference between a run of several epochs and one of fewer, so that what is done once does not count;
- steps of TabM and TabM mini, 32 members of 3 x 512, with and without piecewise-linear embeddings, against ``tabm``,
  eager and compiled, from the same parameters on the same rows; and how much of the FMA peak they reach;
- 16 independent networks of 64-64 side by side against one after the other, and against ``torch.func.vmap``;
- a step of Muon against one of AdamW; a prediction of one row.

Times are medians over the rounds; of several threads those count in which their cores are near each other, which
changes by the minute on virtual machines. Both libraries have the same number of threads. ``--only TEXT`` measures one
of them, ``--json FILE`` keeps the results.
"""
from __future__ import annotations

import argparse
import json
import logging
import statistics
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

import fastsgd
from bench import machine
from fastsgd import layers, schedules
from fastsgd.engine import _kernel
from fastsgd.optimizers import StepConfig

BATCH = 256
LEVELS = (2, 3, 5, 8, 40)
PEERS = ("torch", "tabm", "rtdl_num_embeddings", "pytabkit")

Runs = dict[str, Callable[[], object]]


def medians(runs: Runs, rounds: int, threads: int) -> dict[str, float]:
    """Seconds of each, after a first run that is not timed; FLOP/s of multiply-adds in registers; and barriers.

    Of several threads the rounds in which their cores were near each other count, all where none were.
    """
    barriers: list[float] = []
    peaks: list[float] = []

    def conditions() -> None:
        barriers.append(machine.barrier())
        peaks.append(machine.peak(threads))

    for run in runs.values():
        run()
    seconds = machine.in_turn(runs | {"conditions": conditions}, rounds)
    near = [i for i, taken in enumerate(barriers) if taken < machine.FAR or threads == 1]
    counted = near or list(range(rounds))
    return {**{name: statistics.median(seconds[name][i] for i in counted) for name in runs},
            "peak": statistics.median(peaks[i] for i in counted), "rounds": len(counted), "near": len(near)}


def of(found: dict[str, float], **figures: float) -> dict[str, float]:
    """These figures, and what tells how they were measured."""
    return {**figures, "rounds": found["rounds"], "near": found["near"]}


# ---- RealMLP-TD ----

def realmlp(columns: int, categories: dict[int, int], classes: int, seed: int = 0) -> fastsgd.Network:
    """RealMLP-TD's network for a classifier (Holzmüller et al. 2024, arXiv 2407.04491)."""
    hidden = [entry for _ in range(3) for entry in (256, layers.ParametricActivation("selu", 0.1))]
    first = layers.Columns(categories, numbers=layers.PBLD(), embedding_size=8, one_hot_up_to=9, lazy=False)
    return fastsgd.Network([columns, first, layers.Scale(6.0), *hidden, classes], init="ntk", seed=seed)


def realmlp_optimizer() -> fastsgd.AdamW:
    """And what trains it."""
    return fastsgd.AdamW(schedules.CosLog(0.04), weight_decay=schedules.FlatCosine(0.02), beta_2=0.95, groups={
        "bias": fastsgd.ParameterGroup(0.1, 0.0)})


def table(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of 20 numbers and 5 categories, and two classes."""
    rng = np.random.default_rng(0)
    numbers = rng.standard_normal((rows, 20))
    codes = np.column_stack([rng.integers(0, levels, rows) for levels in LEVELS])
    y = (numbers[:, 0] + codes[:, 1] - 1 + 0.5 * rng.standard_normal(rows) > 0).astype(int)
    return np.column_stack([numbers, codes]).astype(np.float32), y


def bench_realmlp(threads: int, rounds: int) -> dict[str, float]:
    """Seconds of an epoch."""
    X, y = table(12_500)
    train, categories = slice(0, 10_000), {20 + i: levels for i, levels in enumerate(LEVELS)}

    def ours(epochs: int) -> None:
        net = realmlp(25, categories, 2)
        fastsgd.initialise_from_data(net, X[train], seed=0)
        fastsgd.train(net, X[train], y[train], optimizer=realmlp_optimizer(), batch_size=BATCH, epochs=epochs, seed=0,
                      dropout=schedules.FlatCosine(0.15), label_smoothing=0.1, threads=threads,
                      validation=(X[10_000:], y[10_000:]))

    runs: Runs = {"fastsgd 10": partial(ours, 10), "fastsgd 2": partial(ours, 2)}
    import pandas as pd
    from pytabkit import RealMLP_TD_Classifier
    for name in ("pytorch_lightning", "lightning.pytorch"):
        logging.getLogger(name).setLevel(logging.ERROR)
    frame = pd.DataFrame(X[:, :20], columns=[f"x{i}" for i in range(20)])
    for i in range(len(LEVELS)):
        frame[f"c{i}"] = pd.Categorical(X[:, 20 + i].astype(int).astype(str))

    def theirs(epochs: int) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            RealMLP_TD_Classifier(n_epochs=epochs, device="cpu", n_threads=threads, val_fraction=0.2, n_cv=1, n_refit=0,
                                  verbosity=0, random_state=0).fit(frame, y)

    runs |= {"pytabkit 6": partial(theirs, 6), "pytabkit 2": partial(theirs, 2)}
    found = medians(runs, rounds, threads)
    return of(found, fastsgd=(found["fastsgd 10"] - found["fastsgd 2"]) / 8,
              pytabkit=(found["pytabkit 6"] - found["pytabkit 2"]) / 4)


# ---- TabM ----

def bench_tabm(sharing: str, embedded: bool, threads: int, rounds: int) -> dict[str, float]:
    """Seconds of a step of 256 rows; flops of ours per second as a part of the peak; the costs of both."""
    import rtdl_num_embeddings
    import tabm
    import torch
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    X, y = table(BATCH)
    numbers, codes = X[:, :20], X[:, 20:21]
    edges = layers.quantile_edges(numbers, 48)
    embedding = rtdl_num_embeddings.PiecewiseLinearEmbeddings(
        [torch.tensor(column, dtype=torch.float32) for column in edges], 16, activation=False, version="B")
    module = tabm.TabM.make(n_num_features=20, cat_cardinalities=[LEVELS[0]], d_out=2, n_blocks=3, d_block=512, k=32,
                            dropout=0.0, arch_type="tabm" if sharing == "batch" else "tabm-mini",
                            num_embeddings=embedding if embedded else None)
    encoding = layers.PiecewiseLinear(edges, 16) if embedded else None
    net = fastsgd.Network([21, layers.Columns({20: LEVELS[0]}, numbers=encoding), 512, 512, 512, 2], members=32,
                          sharing=sharing, seed=0)
    rows, labels = (torch.tensor(numbers), torch.tensor(codes).long()), torch.tensor(y).repeat_interleave(32)
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-4, weight_decay=0.01)

    def step_of(model) -> None:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(*rows).flatten(0, 1), labels).backward()
        optimizer.step()

    rule = fastsgd.AdamW(1e-4, weight_decay=0.01)
    state, config, rates = rule.state(net.params), StepConfig(rule, BATCH), rule.learning_rates(0, 1)
    X = np.ascontiguousarray(np.column_stack([numbers, codes]))
    y = y.astype(np.int32)
    found = medians({
        "fastsgd": lambda: _kernel.train_epoch(net.architecture, net.params, X, y, None, config, state, rates,
                                               threads=threads),
        "tabm": partial(step_of, module), "tabm compiled": partial(step_of, torch.compile(module))}, rounds, threads)
    reached = net.architecture.flops * BATCH / found["fastsgd"] / found.pop("peak")
    return {**found, "of the peak": reached}


# ---- 16 networks ----

def bench_sixteen(threads: int, rounds: int, rows: int = 10_000, batch: int = 32) -> dict[str, float]:
    """Seconds of an epoch of all of them, after the first."""
    import torch
    torch.set_num_threads(threads)
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((rows, 32), np.float32), rng.standard_normal((rows, 1), np.float32)
    rule = fastsgd.Adam(0.001)

    def net(members: int, seed: int = 0) -> fastsgd.Network:
        return fastsgd.Network([32, 64, 64, 1], loss="squared_error", members=members, seed=seed)

    def train(epochs: int, which: fastsgd.Network) -> None:
        fastsgd.train(which, X, y, optimizer=rule, epochs=epochs, batch_size=batch, seed=0, threads=threads)

    def train_apart(epochs: int) -> None:
        for one in apart:
            train(epochs, one)

    together, apart = net(16), [net(1, seed) for seed in range(16)]
    parameters = {name: torch.tensor(np.ascontiguousarray(values), requires_grad=True)
                  for name, values in together.tensors.items()}
    optimizer = torch.optim.Adam(parameters.values(), lr=0.001)
    order, rows_of, targets = rng.permutation(rows), torch.tensor(X), torch.tensor(y)

    def cost(p, x, t):
        for layer in range(2):
            x = torch.relu(x @ p[f"weights.{layer}"] + p[f"biases.{layer}"])
        return ((x @ p["weights.2"] + p["biases.2"] - t) ** 2).mean() / 2

    all_costs = torch.func.vmap(cost, in_dims=(0, None, None))

    def vmap() -> None:
        for first in range(0, rows, batch):
            chosen = torch.from_numpy(order[first:first + batch])
            optimizer.zero_grad()
            all_costs(parameters, rows_of[chosen], targets[chosen]).sum().backward()
            optimizer.step()

    found = medians({"fastsgd 1": partial(train, 1, together), "fastsgd 6": partial(train, 6, together),
                     "apart 1": partial(train_apart, 1), "apart 6": partial(train_apart, 6), "vmap": vmap},
                    rounds, threads)
    return of(found, fastsgd=(found["fastsgd 6"] - found["fastsgd 1"]) / 5,
              apart=(found["apart 6"] - found["apart 1"]) / 5, vmap=found["vmap"])


# ---- Muon, and one row ----

def bench_muon(threads: int, rounds: int, width: int = 256) -> dict[str, float]:
    """Seconds of a step of 256 rows."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((BATCH, width), np.float32), rng.integers(0, 10, BATCH).astype(np.int32)
    runs: Runs = {}
    for rule in (fastsgd.Muon(0.01), fastsgd.AdamW(0.01)):
        net = fastsgd.Network([width, width, width, width, 10], seed=0)
        runs[type(rule).__name__] = partial(
            _kernel.train_epoch, net.architecture, net.params, X, y, None, StepConfig(rule, BATCH),
            rule.state(net.params), rule.learning_rates(0, 1), threads=threads)
    found = medians(runs, 5 * rounds, threads)
    return of(found, **{name: found[name] for name in runs})


def bench_one_row(threads: int, rounds: int) -> dict[str, float]:
    """Seconds of a prediction by RealMLP-TD's network."""
    X, _ = table(1)
    net = realmlp(25, {20 + i: levels for i, levels in enumerate(LEVELS)}, 2)

    def many() -> None:
        for _ in range(1000):
            net.predict(X)

    found = medians({"fastsgd": many}, rounds, threads)
    return of(found, fastsgd=found["fastsgd"] / 1000)


BENCHMARKS: dict[str, Callable[[int, int], dict[str, float]]] = {
    "RealMLP-TD, an epoch of 10,000 rows": bench_realmlp,
    **{f"TabM{' mini' * (sharing == 'mini')}{', piecewise-linear' * embedded}, a step of 256 rows":
       partial(bench_tabm, sharing, embedded) for sharing in ("batch", "mini") for embedded in (False, True)},
    "16 networks 32-64-64-1, batches of 32, an epoch of 10,000 rows": bench_sixteen,
    "16 networks 32-64-64-1, batches of 256, an epoch of 10,000 rows": partial(bench_sixteen, batch=256),
    "Muon, 256 wide, a step of 256 rows": bench_muon,
    "RealMLP-TD, one row": bench_one_row,
}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.tables", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="measure those whose names contain this")
    parser.add_argument("--json", type=Path, help="keep the results in this file")
    options = parser.parse_args(arguments)
    described = machine.describe(*PEERS)
    print(described)
    results: dict[str, dict] = {"machine": described}
    for name, bench in BENCHMARKS.items():
        if options.only in name:
            for threads in options.threads:
                begin = time.perf_counter()
                found = bench(threads, options.rounds)
                results.setdefault(name, {})[threads] = found
                shown = ", ".join(f"{key} {value:.0%}" if key == "of the peak" else f"{key} {value * 1e3:.4g} ms"
                                  for key, value in found.items() if key not in ("rounds", "near"))
                if threads > 1:
                    shown += f"; {found['rounds']} rounds with the cores " + ("near" if found["near"] else "far apart")
                print(f"{name}, {threads} threads: {shown} ({time.perf_counter() - begin:.0f} s)", flush=True)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
