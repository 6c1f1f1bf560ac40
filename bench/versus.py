"""``python -m bench.versus FOLDER``: this checkout against another one, built in place, in turn in one run.

Each checkout has a process of its own, which keeps its data and runs when it is told to; a ratio is the median over the
rounds of this checkout's seconds to the other's in the same round: below 1 is faster. Costs are compared too: they are
equal to the bit where both compute the same.

    git worktree add ../before HEAD~1 && (cd ../before && python setup.py build_ext --inplace)
    python -m bench.versus ../before --threads 1
"""
from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
PREDICTED = 5000     # rows in one timing of predictions, about
REST = 0.05          # seconds between two runs


class Process:
    """A checkout at work."""

    def __init__(self, folder: Path, rows: int):
        paths = filter(None, [str(folder), os.environ.get("PYTHONPATH")])
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        self._process = subprocess.Popen([sys.executable, __file__, str(folder), "--serve", "--rows", str(rows)],
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
                                         cwd=folder)

    def __call__(self, kind: str, name: str, threads: int | None) -> tuple[float, float]:
        """Seconds of a case, and its cost or the sum of its last outputs."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps([kind, name, threads]), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            sys.exit("bench: the other process has ended")
        return tuple(json.loads(answer))

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def serve(rows: int) -> None:
    """Runs what each line asks for; imports are those of the checkout that PYTHONPATH names."""
    from bench import cases, latency
    from bench.runners import fastsgd as runner

    def training(name: str, threads: int | None) -> Callable[[], float]:
        return runner(cases.Start(named(cases.CASES, name), rows), threads)

    def prediction(name: str, _: int | None) -> Callable[[], float]:
        case = named(latency.CASES, name)
        (net, X), calls = latency.network(case), -(-PREDICTED // case.rows)

        def run() -> float:
            for _ in range(calls):
                out = net.predict(X)
            return float(out.sum())
        return run

    kinds = {"train": training, "predict": prediction}
    before, run = None, None
    for line in sys.stdin:
        kind, name, threads = asked = json.loads(line)
        if asked != before:
            before, run = asked, kinds[kind](name, threads)
        begin = time.perf_counter()
        cost = run()
        print(json.dumps([time.perf_counter() - begin, cost]), flush=True)


def named(cases: list, name: str):
    """The case of that name, whichever place it has."""
    found = [case for case in cases if case.name == name]
    return found[0] if found else sys.exit(f"bench: {os.environ['PYTHONPATH']} has no case {name!r}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("folder", type=Path, help="the other checkout")
    parser.add_argument("--repeat", type=int, default=9, help="timed rounds (%(default)s)")
    parser.add_argument("--rows", type=int, default=20_000, help="at most so many rows of each case (%(default)s)")
    parser.add_argument("--threads", type=int, help="1, 2 ...; the default is what train would take")
    parser.add_argument("--cases", default="", help="only cases whose name contains this")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.rows)
        return

    from bench import cases, latency, machine
    print(f"{machine.describe()}; seconds for at most {options.rows:,} rows, medians of {options.repeat}\n")
    print("| case | before | now | now / before | cost |\n|---|---|---|---|---|")
    processes = [Process(options.folder.resolve(), options.rows), Process(HERE, options.rows)]
    work = [("train", case.name, options.threads) for case in cases.CASES]
    work += [("predict", case.name, None) for case in latency.CASES]
    for kind, name, threads in work:
        if options.cases not in name:
            continue
        costs = [process(kind, name, threads)[1] for process in processes]
        seconds: list[list[float]] = [[], []]
        for _ in range(options.repeat):
            for process, own in zip(processes, seconds, strict=True):
                time.sleep(REST)
                own.append(process(kind, name, threads)[0])
        before, now = map(statistics.median, seconds)
        ratio = statistics.median(b / a for a, b in zip(*seconds, strict=True))
        same = "same bits" if costs[0] == costs[1] else f"{costs[0]:.9g}, now {costs[1]:.9g}"
        print(f"| {kind} {name} | {before:.4f} | {now:.4f} | {ratio:.3f} | {same} |", flush=True)
    for process in processes:
        process.close()


if __name__ == "__main__":
    main()
