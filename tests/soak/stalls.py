"""The tests on a machine that stalls: does one of them lean on the clock?

    python tests/soak/stalls.py -n 2                             # the whole of tests/
    python tests/soak/stalls.py --busy 4 tests/test_descent.py -k log

pytest and the processes that it starts are stopped and go on again at random, each by itself, while others keep the
cores busy: a host whose cores are shared does as much. What follows the options is pytest's. Needs psutil.
"""
from __future__ import annotations

import argparse
import contextlib
import random
import subprocess
import sys
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
TICK = 0.005                             # seconds


class Stalls:
    """Stops and resumes processes, each on a schedule of its own."""

    def __init__(self, parent: int, between: float, shortest: float, longest: float, seed: int):
        self.parent, self.between, self.shortest, self.longest = parent, between, shortest, longest
        self.count, self.seconds, self._chance = 0, 0.0, random.Random(seed)
        self._stops: dict[psutil.Process, float] = {}       # when, of those that run
        self._resumes: dict[psutil.Process, float] = {}     # when, of those that are stopped

    def tick(self) -> None:
        """What is due by now."""
        now = time.monotonic()
        with contextlib.suppress(psutil.NoSuchProcess):
            parent = psutil.Process(self.parent)
            for process in [parent, *parent.children(recursive=True)]:
                if process not in self._resumes:
                    self._stops.setdefault(process, now + self._chance.expovariate(1 / self.between))
        for process in [each for each, due in self._stops.items() if due <= now]:
            del self._stops[process]
            seconds = min(self.longest, self.shortest / (1 - self._chance.random()))
            with contextlib.suppress(psutil.NoSuchProcess):
                process.suspend()
                self._resumes[process] = now + seconds
                self.count, self.seconds = self.count + 1, self.seconds + seconds
        self.resume([each for each, due in self._resumes.items() if due <= now])

    def resume(self, processes: list[psutil.Process] | None = None) -> None:
        """These, or all that are stopped."""
        for process in list(self._resumes) if processes is None else processes:
            del self._resumes[process]
            with contextlib.suppress(psutil.NoSuchProcess):      # it has been killed
                process.resume()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--busy", type=int, default=2, help="processes that do nothing but take time (%(default)s)")
    parser.add_argument("--between", type=float, default=0.15,
                        help="seconds from one stall of a process to its next, on average (%(default)s)")
    parser.add_argument("--shortest", type=float, default=0.02,
                        help="stall, in seconds (%(default)s); one of ten lasts ten times as long")
    parser.add_argument("--longest", type=float, default=3.0, help="stall, in seconds (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the stalls (%(default)s)")
    options, arguments = parser.parse_known_args()
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(options.busy)]
    began = time.monotonic()
    tests = subprocess.Popen([sys.executable, "-m", "pytest", *arguments], cwd=ROOT)
    stalls = Stalls(tests.pid, options.between, options.shortest, options.longest, options.seed)
    try:
        while tests.poll() is None:
            stalls.tick()
            time.sleep(TICK)
    finally:
        stalls.resume()
        for process in [*busy, tests]:
            process.kill()
            process.wait()
    print(f"{stalls.count:,} stalls of {stalls.seconds:,.0f} s together, in {time.monotonic() - began:,.0f} s")
    sys.exit(tests.returncode)


if __name__ == "__main__":
    main()
