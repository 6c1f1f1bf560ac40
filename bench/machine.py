"""What the figures were measured on, and the most arithmetic it can do."""
import contextlib
import importlib.metadata
import importlib.util
import platform
import re
import time
from pathlib import Path

import numpy as np

import fastsgd
from fastsgd.engine import _kernel
from fastsgd.engine.machine import cpu_name


def describe(*libraries: str) -> str:
    """The CPU and the versions of everything that takes part."""
    config = fastsgd.config()
    versions = [f"{name} {importlib.metadata.version(name)}" for name in libraries if importlib.util.find_spec(
        {"scikit-learn": "sklearn"}.get(name, name))]
    return (f"{cpu_name()}, {config['cores']} cores, {caches()}{config['isa']}; " + ", ".join(
        [f"Python {platform.python_version()}", f"NumPy {np.__version__}", *versions]) + f"; {config['blas']}")


def short_name() -> str:
    """What tells this kind of CPU and instruction set from others, for the name of a file."""
    words = [cpu_name(), fastsgd.config()["isa"]]
    with contextlib.suppress(OSError):
        lines = [line.split(":", 1) for line in Path("/proc/cpuinfo").read_text().splitlines() if ":" in line]
        found = {name.strip(): value.strip() for name, value in lines}
        words[1:1] = [f"{name} {found[name]}" for name in ("cpu family", "model") if name in found]
    return "-".join(re.findall("[a-z0-9]+", " ".join(words).lower()))


def caches() -> str:
    """Sizes of the data caches, such as "L1d 48K, L2 1024K, L3 32768K, "."""
    return "".join(f"{name} {size // 1024}K, " for name, size in fastsgd.config()["caches"].items() if size)


def in_turn(runners: dict, rounds: int, rest: float = 0.0) -> dict[object, list[float]]:
    """Seconds of every runner in every round; so many seconds of rest lie before each run."""
    seconds: dict[object, list[float]] = {name: [] for name in runners}
    for _ in range(rounds):
        for name, run in runners.items():
            time.sleep(rest)
            begin = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - begin)
    return seconds


FAR = 1.5e-7  # seconds of a barrier of two threads, from which on their cores count as far apart


def barrier() -> float:
    """Seconds of a barrier of two threads, which tell how near the cores are to each other."""
    return min(_kernel.team_seconds(2, 0, 20_000) for _ in range(3))


def peak(threads: int) -> float:
    """FLOP/s of float32 multiply-adds in registers, on so many threads at once for some 30 ms."""
    return _kernel.peak(20_000_000, threads)
