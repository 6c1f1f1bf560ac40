"""``python -m bench.compare``: one epoch of each case, fastsgd against its peers, in turn in one run.

Costs are shown equal before times are taken; every row is printed, won or lost. A ratio is the median over the rounds
of a peer's time to fastsgd's in the same round, so that a machine that slows down for a while slows both. So is the
share of the peak: what multiply-adds in registers reach on the same threads, measured in every round.
"""
import argparse
import importlib.util
import json
import statistics
from pathlib import Path

from bench import estimators, machine
from bench.cases import CASES, Case, Start, check_agreement
from bench.runners import all_runners
from fastsgd.engine.machine import choose_threads

REST = 0.3  # seconds between two runs: NumPy's idle BLAS threads keep a core busy for a tenth of a second
PEERS = {"JAX": "JAX", "PyTorch eager": "PyTorch eager", "torch.compile": "torch.compile",
         "scikit-learn": "scikit-learn", "NumPy": "NumPy"}     # a column's name: how its runners' names begin


def measure(case: Case, rows: int | None, repeat: int, only: str = "") -> dict:
    """Seconds of every runner and of every round, and the peak in each round."""
    start = Start(case, rows)
    runners = all_runners(start, only)
    # scikit-learn adds Adam's epsilon before the bias correction, not after it.
    check_agreement({name: run() for name, run in runners.items()}, 1e-4 if case.optimizer.kind == "sgd" else 5e-4)
    flops = start.net.architecture.flops
    threads = choose_threads(None, flops * case.batch_size)
    peaks: list[float] = []
    seconds = machine.in_turn({"peak": lambda: peaks.append(machine.peak(threads)), **runners}, repeat, REST)
    del seconds["peak"]
    return {"name": case.name, "rows": len(start.X), "threads": threads, "peaks": peaks, "seconds": seconds,
            "flops": flops * len(start.X), "skips": case.zeros and case.sizes[0] == 784 and case.batch_size > 10}


def summarise(result: dict) -> dict:
    """The medians of a case: seconds, ratios to fastsgd's, share of the peak."""
    seconds = result["seconds"]
    best = {}
    for column, begins in PEERS.items():                # a peer's better number of threads
        own = [name for name in seconds if name.startswith(begins)]
        if own:
            best[column] = seconds[min(own, key=lambda name: statistics.median(seconds[name]))]
    own, alone = seconds["fastsgd"], seconds["fastsgd, 1 thread"]

    def ratio(times: list[float]) -> float:
        return statistics.median(one / other for one, other in zip(times, own, strict=True))

    return {"seconds": {name: statistics.median(times) for name, times in
                        {"fastsgd": own, "1 thread": alone, **best}.items()},
            "ratios": {column: ratio(times) for column, times in best.items()}, "speedup": ratio(alone),
            "peak": statistics.median(result["flops"] / one / peak for one, peak in
                                      zip(own, result["peaks"], strict=True))}


def print_tables(results: list[dict]) -> None:
    """Seconds an epoch, then how many times fastsgd's time that is."""
    for what, form in (("seconds", "{:.4f}"), ("ratios", "{:.1f}x")):
        columns = list(results[0]["summary"][what])
        more = ["against 1 thread", "of the peak"] if what == "ratios" else ["rows", "threads"]
        print(f"| {what}: net, batch | " + " | ".join(columns + more) + " |\n|" + "---|" * (len(columns + more) + 1))
        for result in results:
            summary = result["summary"]
            cells = [form.format(summary[what][column]) for column in columns]
            if what == "ratios":
                cells += [f"{summary['speedup']:.2f}x",
                          f"{summary['peak']:.0%}" + (" (zeros skipped)" if result["skips"] else "")]
            else:
                cells += [f"{result['rows']:,}", str(result["threads"])]
            print(f"| {result['name']} | " + " | ".join(cells) + " |")
        print()


def draw(results: list[dict], path: Path) -> None:
    """How many times longer each peer takes, as bars."""
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    columns = list(results[0]["summary"]["ratios"])
    figure, ax = plt.subplots(figsize=(9, 1.2 + 0.8 * len(results)), layout="constrained")
    height = 0.8 / len(columns)
    colours = ["#0072b2", "#d55e00", "#cc79a7", "#009e73", "#999999"]          # Okabe and Ito: safe for all eyes
    for c, column in enumerate(columns):
        at = [row + (c - (len(columns) - 1) / 2) * height for row in range(len(results))]
        values = [result["summary"]["ratios"][column] for result in results]
        ax.barh(at, values, height, label=column, color=colours[c])
        for y, value in zip(at, values, strict=True):
            ax.text(value * 1.03, y, f"{value:.1f}", va="center", fontsize=7)
    ax.axvline(1, color="black", linewidth=1)
    ax.set_xscale("log")
    ax.set_xticks([1, 2, 5, 10, 20, 50], ["1", "2", "5", "10", "20", "50"])
    ax.set_yticks(range(len(results)), [f"{result['name']}\n{result['summary']['seconds']['fastsgd']:.3g} s an epoch"
                                        for result in results], fontsize=8)
    ax.invert_yaxis()
    ax.set_xlabel("seconds an epoch, as a multiple of fastsgd's (logarithmic; beyond 1 fastsgd is faster)")
    figure.legend(loc="outside upper center", ncols=len(columns), fontsize=8)
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5, help="timed rounds (%(default)s)")
    parser.add_argument("--rows", type=int, help="at most so many rows of each case")
    parser.add_argument("--cases", default="", help="only cases whose name contains this")
    parser.add_argument("--peers", default="", help="only peers whose name contains this")
    parser.add_argument("--no-estimators", action="store_true", help="leave the estimators out")
    parser.add_argument("--chart", type=Path, help="write a chart to this PNG file (needs matplotlib)")
    parser.add_argument("--json", type=Path, help="write every round's seconds to this file")
    options = parser.parse_args()
    about = machine.describe("scikit-learn", "torch", "jax")
    print(f"{about}; {options.repeat} rounds\n", flush=True)
    results = []
    for case in CASES:
        if options.cases in case.name:
            result = measure(case, options.rows, options.repeat, options.peers)
            result["summary"] = summarise(result)
            results.append(result)
            shown = ", ".join(f"{name} {value:.4f}" for name, value in result["summary"]["seconds"].items())
            if options.json:
                options.json.write_text(json.dumps({"machine": about, "results": results}, indent=1))
            print(f"{case.name}: {shown}; peak {statistics.median(result['peaks']) / 1e9:.0f} GFLOP/s", flush=True)
    if results:
        print()
        print_tables(results)
    if not options.no_estimators and importlib.util.find_spec("sklearn"):
        estimators.measure(options.repeat)
    if options.chart and results:
        draw(results, options.chart)
        print(f"chart: {options.chart}")


if __name__ == "__main__":
    main()
