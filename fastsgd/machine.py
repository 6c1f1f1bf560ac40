"""What this machine offers: cores and threads, the instruction set, the BLAS."""
import os
from numbers import Integral

from fastsgd import _kernel

# A thread must have this much arithmetic a step to be worth two barriers; measured with bench/threads.py.
FLOPS_PER_THREAD = 1e6


def cores() -> int:
    """The cores that this process may run on, or fewer where FASTSGD_NUM_THREADS says so."""
    limit = os.environ.get("FASTSGD_NUM_THREADS", "")
    if limit and not (limit.isdigit() and int(limit) > 0):
        raise ValueError(f"FASTSGD_NUM_THREADS must be a whole number above 0, got {limit!r}")
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(available, int(limit)) if limit else available


def choose_threads(threads: int | None, flops: float) -> int:
    """The number asked for; for None as many cores as work of so many floating-point operations a step feeds."""
    if threads is None:
        return max(1, min(cores(), int(flops / FLOPS_PER_THREAD)))
    if isinstance(threads, bool) or not isinstance(threads, Integral):
        raise TypeError(f"threads must be a whole number or None, got {threads!r}")
    if threads < 1:
        raise ValueError(f"threads must be at least 1, got {threads}")
    return int(threads)


def config() -> dict:
    """What runs fastsgd's arithmetic here.

    Keys: ``isa`` and ``isa_available`` (``FASTSGD_ISA`` pins one before import), ``blas`` (the private
    OpenBLAS and the kernels it chose), ``cores`` (that this process may use).

    >>> config()["isa"] in config()["isa_available"]
    True
    """
    return {**_kernel.config(), "cores": cores()}
