"""``python -m bench.compare``: one epoch of each case, fastsgd against its peers, in turn in one run.

Costs are shown equal before times are taken; every row is printed, won or lost. A ratio is the median over the rounds
of a peer's time to fastsgd's in the same round, so that a machine that slows down for a while slows both. So is the
share of the peak: what multiply-adds in registers reach on the same threads, measured in every round; and a barrier of
two threads, which tells how near the cores are to each other: on virtual machines that changes by the minute, so that
rounds near and far have tables of their own.

``--isa avx2`` holds everyone to AVX2 on a CPU that has more, and fastsgd's plans to the caches of Zen 3. JAX's default
products choose their instructions by themselves; there it computes them with oneDNN, which can be held.
"""
import argparse
import datetime
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from bench import estimators, machine
from bench.cases import CASES, Case, Start, check_agreement
from bench.runners import all_runners, describe_plan
from fastsgd.engine.step_model import choose_threads_of_step

HELD = {"FASTSGD_ISA": "avx2", "FASTSGD_CACHES": "32K,512K", "OPENBLAS_CORETYPE": "Haswell", "DNNL_MAX_CPU_ISA": "AVX2",
        "ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2",
        "XLA_FLAGS": "--xla_cpu_max_isa=AVX2 --xla_cpu_experimental_ynn_fusion_type="}
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
    threads = choose_threads_of_step(None, start.net.architecture, case.batch_size, start.net.params.itemsize)
    peaks: list[float] = []
    barriers: list[float] = []

    def conditions() -> None:
        peaks.append(machine.peak(threads))
        barriers.append(machine.barrier())

    seconds = machine.in_turn({"conditions": conditions, **runners}, repeat, REST)
    del seconds["conditions"]
    return {"name": case.name, "rows": len(start.X), "threads": threads, "plan": describe_plan(start, threads),
            "peaks": peaks, "barriers": barriers, "seconds": seconds, "flops": flops * len(start.X),
            "skips": case.zeros and case.sizes[0] == 784 and case.batch_size > 10}


def summarise(result: dict, rounds: list[int]) -> dict:
    """The medians of a case over these rounds: seconds, ratios to fastsgd's, share of the peak."""
    seconds = {name: [times[i] for i in rounds] for name, times in result["seconds"].items()}
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
                                      zip(own, (result["peaks"][i] for i in rounds), strict=True)),
            "barrier": statistics.median(result["barriers"][i] for i in rounds), "rounds": len(rounds)}


def by_distance(result: dict) -> dict[str, list[int]]:
    """The rounds with the cores near each other, and those with the cores far apart."""
    near = [taken < machine.FAR for taken in result["barriers"]]
    return {"near each other": [i for i, is_near in enumerate(near) if is_near],
            "far apart": [i for i, is_near in enumerate(near) if not is_near]}


def best_rounds(result: dict) -> list[int]:
    """The rounds with near cores, or all where none were near."""
    return by_distance(result)["near each other"] or list(range(len(result["barriers"])))


def as_json(about: str, results: list[dict]) -> str:
    """All of it, a case in each line."""
    lines = ",\n".join(json.dumps(result) for result in results)
    head = json.dumps({"machine": about, "date": datetime.date.today().isoformat()})
    return f'{head[:-1]}, "results": [\n{lines}\n]}}\n'


IN_WORDS = ("distance in a copy of W", "rows of W at a time")


def in_words(plan: dict) -> str:
    """What the plan of fastsgd's pass chose, in a line."""
    words = [f"up to {plan['threads']} threads"]
    for number, layer in enumerate(plan["layers"], 1):
        own = [layer["products"]] if layer["products"] != "tiles" else []
        own += [f"{what} {value}" for what, value in layer.items() if what in IN_WORDS]
        words += [f"layer {number}: {', '.join(own)}"] if own else []
    return "; ".join(words)


def print_tables(results: list[dict], where: str) -> None:
    """Seconds an epoch, then how many times fastsgd's time that is, of the rounds with the cores so far apart."""
    results = [{**result, "summary": summarise(result, rounds)} for result in results
               if (rounds := by_distance(result)[where])]
    if not results:
        return
    print(f"Rounds with the cores {where}:\n")
    for what, form in (("seconds", "{:.4f}"), ("ratios", "{:.1f}x")):
        columns = list(results[0]["summary"][what])
        more = ["against 1 thread", "of the peak", "barrier", "rounds"] if what == "ratios" else ["rows", "threads"]
        print(f"| {what}: net, batch | " + " | ".join(columns + more) + " |\n|" + "---|" * (len(columns + more) + 1))
        for result in results:
            summary = result["summary"]
            cells = [form.format(summary[what][column]) for column in columns]
            if what == "ratios":
                cells += [f"{summary['speedup']:.2f}x",
                          f"{summary['peak']:.0%}" + (" (zeros skipped)" if result["skips"] else ""),
                          f"{1e9 * summary['barrier']:.0f} ns", str(summary["rounds"])]
            else:
                cells += [f"{result['rows']:,}", str(result["threads"])]
            print(f"| {result['name']} | " + " | ".join(cells) + " |")
        print()


def draw(results: list[dict], path: Path) -> None:
    """How many times longer each peer takes, as bars: in the rounds with near cores, or in all where none were near."""
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    results = [{**result, "summary": summarise(result, best_rounds(result))} for result in results]
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
    names = [f"{result['name']}\n{result['summary']['seconds']['fastsgd']:.3g} s, {result['rows']:,} rows"
             for result in results]
    ax.set_yticks(range(len(results)), names, fontsize=8)
    ax.invert_yaxis()
    ax.set_xlabel("seconds, as a multiple of fastsgd's (logarithmic; beyond 1 fastsgd is faster)")
    figure.legend(loc="outside upper center", ncols=len(columns), fontsize=8)
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5, help="timed rounds (%(default)s)")
    parser.add_argument("--rows", type=int, help="at most so many rows of each case")
    parser.add_argument("--cases", default="", help="only cases whose name contains this")
    parser.add_argument("--peers", default="", help="only peers whose name contains one of these, with commas between")
    parser.add_argument("--no-estimators", action="store_true", help="leave the estimators out")
    parser.add_argument("--chart", type=Path, help="write a chart to this PNG file (needs matplotlib)")
    parser.add_argument("--json", type=Path, nargs="?", const=Path(), help="write every round's seconds and "
                        "fastsgd's plans to this file; without a name to one in bench/results/ named after the CPU")
    parser.add_argument("--isa", choices=["avx2"], help="hold everyone to this instruction set")
    options = parser.parse_args()
    if options.isa and "FASTSGD_BENCH_ISA" not in os.environ:       # libraries read these when they are loaded
        with tempfile.TemporaryDirectory() as cache:                # what torch.compile has kept has all instructions
            sys.exit(subprocess.run([sys.executable, "-m", "bench.compare", *sys.argv[1:]], check=False, env={
                **os.environ, **HELD, "FASTSGD_BENCH_ISA": options.isa, "TORCHINDUCTOR_CACHE_DIR": cache}).returncode)
    about = machine.describe("scikit-learn", "torch", "jax")
    if options.json == Path():
        options.json = Path(__file__).parent / "results" / f"{machine.short_name()}.json"
        options.json.parent.mkdir(exist_ok=True)
    print(f"{about}; {options.repeat} rounds\n", flush=True)
    results = []
    for case in CASES:
        if options.cases in case.name:
            result = measure(case, options.rows, options.repeat, options.peers)
            result["summary"] = summarise(result, list(range(options.repeat)))
            results.append(result)
            shown = ", ".join(f"{name} {value:.4f}" for name, value in result["summary"]["seconds"].items())
            if options.json:
                options.json.write_text(as_json(about, results))
            print(f"{case.name}: {shown}; peak {statistics.median(result['peaks']) / 1e9:.0f} GFLOP/s; "
                  f"barriers {', '.join(f'{1e9 * taken:.0f}' for taken in result['barriers'])} ns; "
                  f"{in_words(result['plan'])}", flush=True)
    if results:
        print()
        for where in ("near each other", "far apart"):
            print_tables(results, where)
    if not options.no_estimators and importlib.util.find_spec("sklearn"):
        estimators.measure(options.repeat)
    if options.chart and results:
        draw(results, options.chart)
        print(f"chart: {options.chart}")


if __name__ == "__main__":
    main()
