"""``python -m bench.compare``: one epoch of each case, fastsgd against NumPy and PyTorch, in turn in one run.

Costs are shown equal before times are taken; every row is printed, won or lost.
"""
import argparse
import importlib.metadata
import importlib.util
import platform
import statistics
import time

import numpy as np

import fastsgd
from bench.cases import CASES, Epoch, check_agreement
from fastsgd.machine import cpu_name

REST = 0.3  # seconds between two runs: NumPy's idle BLAS threads keep a core busy for a tenth of a second


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=5, help="timed runs of each, the median counts (%(default)s)")
    parser.add_argument("--rows", type=int, help="at most so many rows of each case")
    parser.add_argument("--cases", default="", help="only cases whose name contains this")
    options = parser.parse_args()
    with_torch = importlib.util.find_spec("torch") is not None

    config = fastsgd.config()
    print(f"{cpu_name()}, {config['cores']} cores, {config['isa']}; Python {platform.python_version()}, "
          f"NumPy {np.__version__}" + (f", PyTorch {_version('torch')}" if with_torch else ""))
    print(f"{config['blas']}; medians of {options.repeat} runs in turn, seconds an epoch\n")
    print("| net, batch | rows | fastsgd | 1 thread | NumPy | PyTorch eager | against NumPy | against PyTorch |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for case in CASES:
        if options.cases not in case.name:
            continue
        epoch = Epoch(case, options.rows)
        runners = {"fastsgd": epoch.kernel(), "1 thread": epoch.kernel(threads=1), "NumPy": epoch.reference()}
        if with_torch:
            for threads in sorted({1, config["cores"]}):
                runners[f"PyTorch {threads}"] = epoch.torch(threads)
        check_agreement({name: run() for name, run in runners.items()})
        times: dict[str, list[float]] = {name: [] for name in runners}
        for _ in range(options.repeat):
            for name, run in runners.items():
                time.sleep(REST)
                begin = time.perf_counter()
                run()
                times[name].append(time.perf_counter() - begin)
        median = {name: statistics.median(values) for name, values in times.items()}
        ours, numpy = median["fastsgd"], median["NumPy"]
        torch = min((value for name, value in median.items() if name.startswith("PyTorch")), default=None)
        print(f"| {case.name} | {len(epoch.X):,} | {ours:.4f} | {median['1 thread']:.4f} | {numpy:.4f} | "
              + (f"{torch:.4f}" if torch else "-") + f" | {numpy / ours:.1f}x | "
              + (f"{torch / ours:.1f}x |" if torch else "- |"),
              flush=True)


def _version(name: str) -> str:
    return importlib.metadata.version(name)


if __name__ == "__main__":
    main()
