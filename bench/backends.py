"""``python -m bench.backends``: what the native products gain over OpenBLAS, one thread each, in turn.

``FASTSGD_ISA`` pins the instruction set of both. The first two cases differ in their zeros alone: what the native
products gain from one to the other is what skipping them gains.
"""
import argparse
import statistics

from bench import machine
from bench.cases import CASES, Start, check_agreement
from bench.runners import fastsgd


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=7, help="runs of each, the median counts (%(default)s)")
    parser.add_argument("--rows", type=int, default=20_000, help="at most so many rows of each case (%(default)s)")
    options = parser.parse_args()
    print(f"{machine.describe()}; seconds for {options.rows:,} rows, one thread\n")
    print("| net, batch | native | OpenBLAS | ratio |\n|---|---|---|---|")
    for case in CASES:
        start = Start(case, options.rows)
        runners = {backend: fastsgd(start, 1, backend) for backend in ("native", "blas")}
        check_agreement({name: run() for name, run in runners.items()})
        native, blas = (statistics.median(times) for times in machine.in_turn(runners, options.repeat).values())
        print(f"| {case.name} | {native:.4f} | {blas:.4f} | {blas / native:.2f}x |", flush=True)


if __name__ == "__main__":
    main()
