"""``python -m bench.tabular``: estimators and their peers on real tables, quality against CPU time.

Every method gets the same three splits of each table, one thread, and the CPU seconds of its fit are counted (user and
system). Of the metric, log loss or the RMSE as a part of the target's deviation, each table's best method is 1. Results
are kept in a file of JSON lines as they come, from which an interrupted run goes on.

    python -m bench.tabular                                       # all methods on the judging tables: hours
    python -m bench.tabular --methods fast,good,CatBoost --seeds 0
    python -m bench.tabular --tables chosen --report              # what is there already, of the tables chosen on
    python -m bench.tabular --quantiles                           # of the quantities: pinball loss and coverage
    python -m bench.tabular --rows 50 --methods good,linear       # of so many rows alone
"""
from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
LEAST = 1e-3                 # a metric counts as no less where ratios are taken
BESIDE = {"accuracy": "accuracy", "calibration": "calibration error", "coverage": "coverage of 90 %"}
Results = dict[tuple[str, str, int], dict]           # by method, table and seed


def main() -> None:
    command = argparse.ArgumentParser(prog="python -m bench.tabular", description=__doc__,
                                      formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("--tables", default="judging", help="judging, chosen, or names separated by commas")
    command.add_argument("--methods", default="all", help="names separated by commas (%(default)s)")
    command.add_argument("--seeds", default="0,1,2", help="of splits and methods (%(default)s)")
    command.add_argument("--quantiles", action="store_true", help="of the quantities: pinball loss, and how many rows "
                         "lie in the interval of 90 %%")
    command.add_argument("--rows", type=int, help="to train on and to choose with, instead of 80 %% of a table")
    command.add_argument("--results", type=Path, default=Path("tabular.jsonl"), help="kept here (%(default)s)")
    command.add_argument("--report", action="store_true", help="only what is there")
    command.add_argument("--picture", type=Path, help="quality against CPU time, as a PNG or SVG file")
    options = command.parse_args()
    for name in THREADS:
        os.environ[name] = "1"
    from bench.tabular.peers import METHODS, QUANTILE_METHODS
    from bench.tabular.sources import CHOSEN_ON, JUDGING, SOURCES
    lists = {"judging": [source.name for source in JUDGING], "chosen": [source.name for source in CHOSEN_ON]}
    tables = lists.get(options.tables) or options.tables.split(",")
    every = QUANTILE_METHODS if options.quantiles else METHODS
    methods = list(every) if options.methods == "all" else options.methods.split(",")
    for given, known, what in ((tables, SOURCES, "--tables"), (methods, every, "--methods")):
        if unknown := [name for name in given if name not in known]:
            command.error(f"{what}: there is no {unknown[0]!r}; there are {', '.join(known)}")
    if options.quantiles:
        tables = [name for name in tables if SOURCES[name].regression]
    if options.rows:
        tables = [name for name in tables if not 3 * classes_of(SOURCES[name]) > options.rows]
    seeds = [int(seed) for seed in options.seeds.split(",")]
    found = read(options.results)
    if not options.report:
        measure({name: every[name] for name in methods}, tables, seeds, options.results, found, options.rows)
    wanted = {key: result for key, result in found.items()
              if key[0] in methods and key[1] in tables and key[2] in seeds}
    print(report(wanted))
    if options.picture:
        draw(wanted, options.picture)


def read(path: Path) -> Results:
    """What a file of results holds."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return {(result["method"], result["table"], result["seed"]): result for result in map(json.loads, lines)}


def classes_of(source) -> int:
    """How many; 0 of a quantity."""
    return 0 if source.regression else source.frame()[1].nunique()


def measure(methods: dict, tables: list[str], seeds: list[int], path: Path, found: Results, rows: int | None) -> None:
    """Runs what is not there yet, seed by seed and table by table, all methods in turn."""
    from bench.tabular.peers import Task
    from bench.tabular.scores import scores
    from bench.tabular.sources import SOURCES
    left = [(seed, table, method) for seed in seeds for table in tables for method in methods
            if (method, table, seed) not in found]
    for number, (seed, table, method) in enumerate(left, 1):
        task = Task(SOURCES[table], seed, rows)
        began = time.process_time()
        predicted = methods[method](task)
        seconds = time.process_time() - began
        result = {"method": method, "table": table, "seed": seed, "seconds": seconds,
                  **scores(predicted, task.test[1], task.regression)}
        found[method, table, seed] = result
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(result) + "\n")
        print(f"{number}/{len(left)} {table} {seed} {method}: {result['metric']:.4f}, {seconds:.2f} s", file=sys.stderr,
              flush=True)


# ---- what they say together ----

def mean_of(results: Results, key: str) -> dict[tuple[str, str], float]:
    """Of each method on each table, over the seeds."""
    values = defaultdict(list)
    for (method, table, _), result in results.items():
        if key in result:
            values[method, table].append(result[key])
    return {pair: statistics.fmean(each) for pair, each in values.items()}


def summary(results: Results) -> dict[str, dict[str, float]]:
    """Figures of each method that was measured on every table of these results."""
    metric, seconds = mean_of(results, "metric"), mean_of(results, "seconds")
    beside = {name: mean_of(results, name) for name in BESIDE}
    tables = sorted({table for _, table in metric})
    methods = [name for name in dict.fromkeys(method for method, _ in metric)
               if all((name, table) in metric for table in tables)]
    best = {table: min(metric[method, table] for method in methods) for table in tables}
    worst = {table: max(metric[method, table] for method in methods) for table in tables}
    found = {}
    for method in methods:
        own = [metric[method, table] for table in tables]
        ranks = [1 + sum(metric[other, table] < metric[method, table] for other in methods) for table in tables]
        found[method] = {
            "metric": statistics.geometric_mean(max(value, LEAST) / max(best[table], LEAST)
                                                for value, table in zip(own, tables, strict=True)),
            "score": statistics.fmean((worst[table] - value) / ((worst[table] - best[table]) or 1)
                                      for value, table in zip(own, tables, strict=True)),
            "rank": statistics.fmean(ranks),
            "seconds": statistics.geometric_mean(seconds[method, table] for table in tables),
            **{name: _mean(values[method, table] for table in tables if (method, table) in values)
               for name, values in beside.items() if values}}
    return found


def _mean(values: Iterable[float]) -> float:
    each = list(values)
    return statistics.fmean(each) if each else float("nan")


def report(results: Results) -> str:
    """A table of the methods, then of the tables."""
    found = summary(results)
    metric = mean_of(results, "metric")
    tables = sorted({table for _, table in metric})
    seeds = sorted({seed for *_, seed in results})
    beside = [name for name in BESIDE if any(name in own for own in found.values())]
    lines = [f"{len(tables)} tables, {len(seeds)} splits and seeds", "",
             "| method | metric / best | mean score | mean rank | CPU seconds | "
             + "".join(f"{BESIDE[name]} | " for name in beside), "|---" * (5 + len(beside)) + "|"]
    for method, own in sorted(found.items(), key=lambda pair: pair[1]["metric"]):
        lines.append(f"| {method} | {own['metric']:.3f} | {own['score']:.3f} | {own['rank']:.1f} | "
                     f"{own['seconds']:.2f} | " + "".join(f"{own[name]:.4f} | " for name in beside))
    lines = [line.rstrip() for line in lines]
    lines += ["", "| table | " + " | ".join(found) + " |", "|---" * (1 + len(found)) + "|"]
    lines += [f"| {table} | " + " | ".join(f"{metric[method, table]:.4f}" for method in found) + " |"
              for table in tables]
    return "\n".join(lines)


def draw(results: Results, path: Path) -> None:
    """Quality against CPU time."""
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot
    figure, axes = pyplot.subplots(figsize=(8, 5), layout="constrained")
    named: list[tuple[float, float]] = []
    for method, own in sorted(summary(results).items(), key=lambda pair: pair[1]["metric"]):
        ours = method in ("fast", "good", "best")
        name = f"fastsgd {method}" if ours else method
        place = math.log10(own["seconds"]), own["metric"]
        crowded = any(abs(place[0] - x) < 0.6 and abs(place[1] - y) < 0.02 for x, y in named)
        named.append(place)
        axes.plot(own["seconds"], own["metric"], "o", color="C0" if ours else "0.55", markersize=8 if ours else 6)
        axes.annotate(name, (own["seconds"], own["metric"]), xytext=(-6 if crowded else 6, 4), fontsize=9,
                      textcoords="offset points", ha="right" if crowded else "left",
                      fontweight="bold" if ours else "normal")
    axes.margins(x=0.18)
    axes.set(xscale="log", xlabel="CPU seconds of a fit, one thread (geometric mean)",
             ylabel="metric / best of all methods (geometric mean)")
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
