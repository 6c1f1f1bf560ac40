"""What the figures were measured on, and the most arithmetic it can do."""
import importlib.metadata
import importlib.util
import platform

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


def peak(threads: int) -> float:
    """FLOP/s of float32 multiply-adds in registers, on so many threads at once for some 30 ms."""
    return _kernel.peak(20_000_000, threads)
