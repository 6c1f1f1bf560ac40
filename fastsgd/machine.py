"""What this machine offers: cores and threads, the instruction set, the BLAS. Importing it makes the kernel ready."""
import os
import platform
from numbers import Integral
from pathlib import Path

from fastsgd import _kernel

# A thread must have this much arithmetic a step to be worth two barriers; measured by python -m bench.threads.
FLOPS_PER_THREAD = 1e6


def cores() -> int:
    """The cores that this process may run on, or fewer where FASTSGD_NUM_THREADS says so."""
    limit = os.environ.get("FASTSGD_NUM_THREADS", "")
    if limit and not (limit.isascii() and limit.isdigit() and int(limit) > 0):
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
    return min(int(threads), _kernel.MAX_THREADS)


def config() -> dict:
    """What runs fastsgd's arithmetic here.

    Keys: ``isa`` and ``isa_available`` (``FASTSGD_ISA`` pins one before import), ``blas`` (the private
    OpenBLAS and the kernels it chose), ``cores`` (that this process may use).

    >>> config()["isa"] in config()["isa_available"]
    True
    """
    return {**_kernel.config(), "cores": cores()}


def cpu_name() -> str:
    """What the system calls the CPU."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _make_ready() -> None:
    wanted = os.environ.get("FASTSGD_ISA", "")
    if reason := _kernel.select_isa(wanted):
        raise ImportError(f"FASTSGD_ISA={wanted}: {reason}")
    folder = Path(__file__).parent / "_libs"
    libraries = sorted(folder.glob("libscipy_openblas-fastsgd.*"))
    if not libraries:
        raise ImportError(f"fastsgd's private BLAS library is missing from {folder}; reinstall fastsgd")
    # Both are read once, by the library's start-up code. Its kernels follow the instruction set chosen here, so that
    # FASTSGD_ISA alone decides which bits come out, whatever OPENBLAS_CORETYPE says to other copies of OpenBLAS.
    settings = {"OPENBLAS_NUM_THREADS": "1"}
    core = {"avx512": "SkylakeX", "avx2": "Haswell", "sse2": "Nehalem"}.get(_kernel.config()["isa"])
    if core:
        settings["OPENBLAS_CORETYPE"] = core
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        reason = _kernel.load_blas(libraries[0])
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
    if reason:
        raise ImportError(f"fastsgd cannot open its private BLAS library: {reason}")


_make_ready()
