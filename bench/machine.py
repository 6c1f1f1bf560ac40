"""What the figures were measured on, and the most arithmetic that it can do."""
import importlib.metadata
import importlib.util
import platform
import threading
import time

import numpy as np

import fastsgd
from fastsgd import _kernel
from fastsgd.machine import cpu_name


def describe(*libraries: str) -> str:
    """The CPU and the versions of everything that takes part."""
    config = fastsgd.config()
    versions = [f"{name} {importlib.metadata.version(name)}" for name in libraries if importlib.util.find_spec(
        {"scikit-learn": "sklearn"}.get(name, name))]
    return (f"{cpu_name()}, {config['cores']} cores, {config['isa']}; " + ", ".join(
        [f"Python {platform.python_version()}", f"NumPy {np.__version__}", *versions]) + f"; {config['blas']}")


def peak(threads: int, seconds: float = 0.05) -> float:
    """FLOP/s of float32 multiply-adds in registers, on so many threads at once."""
    done = [0.0] * threads
    start = threading.Barrier(threads)
    until = [0.0] * threads

    def work(rank: int) -> None:
        start.wait()
        begin = time.perf_counter()
        while time.perf_counter() - begin < seconds:
            done[rank] += _kernel.multiply_adds(200_000)
        until[rank] = time.perf_counter() - begin

    team = [threading.Thread(target=work, args=(rank,)) for rank in range(threads)]
    for member in team:
        member.start()
    for member in team:
        member.join()
    return sum(count / taken for count, taken in zip(done, until, strict=True))
