"""What this machine offers: cores and threads, the instruction set, the BLAS. Importing it makes the kernel ready."""
import contextlib
import math
import os
import platform
import re
import time
from numbers import Integral
from pathlib import Path

from fastsgd.engine import _kernel

# A thread must have this much arithmetic a step to be worth two barriers; measured by python -m bench.threads.
FLOPS_PER_THREAD = 2.5e5


def cores() -> int:
    """The cores that this process may run on.

    They are what CPU affinity and the cgroup's CPU quota allow, or fewer where FASTSGD_NUM_THREADS, else
    OMP_NUM_THREADS, or a limit of threadpoolctl says so. As OpenMP does, it goes by what OMP_NUM_THREADS was when the
    process began: joblib and Dask set it for their workers, and a local cluster of Dask leaves it set in the process
    that started it.
    """
    setting = os.environ.get("FASTSGD_NUM_THREADS", "")
    if setting and not (setting.isascii() and setting.isdigit() and int(setting) > 0):
        raise ValueError(f"FASTSGD_NUM_THREADS must be a whole number above 0, got {setting!r}")
    available = cores_of_affinity()
    limits = int(setting) if setting else _openmp_threads, _kernel.get_num_threads()
    return min(available, _quota(), *(limit for limit in limits if limit))


def cores_of_affinity() -> int:
    """The cores that CPU affinity allows this process, or all where a system has none."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _read_openmp_threads() -> int:
    """What OMP_NUM_THREADS says, 0 where it says nothing; a list has one number for each nested level."""
    setting = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(setting) if setting.isascii() and setting.isdigit() else 0


_openmp_threads = _read_openmp_threads()


def _quota() -> int:
    """Cores' worth of time that the cgroup grants (version 2 or 1), rounded up; looked up once a second."""
    global _known_quota
    now = time.perf_counter()
    if now - _known_quota[0] > 1:
        _known_quota = now, _read_quota()
    return _known_quota[1]


_known_quota = (-math.inf, 0)


def _read_quota(root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> int:
    folders = [root, root / "cpu"]
    with contextlib.suppress(OSError):
        for line in own.read_text("utf-8", "surrogateescape").splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers in ("", "cpu", "cpu,cpuacct"):
                folder = root / ("cpu" if controllers else "") / path.lstrip("/")
                folders += [folder, *(parent for parent in folder.parents if root in parent.parents)]
    granted = [math.inf]
    for folder in folders:
        with contextlib.suppress(OSError, ValueError):
            quota, period = (folder / "cpu.max").read_text().split()
            granted.append(int(quota) / int(period))
        with contextlib.suppress(OSError, ValueError):
            quota, period = ((folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
            if int(quota) > 0:
                granted.append(int(quota) / int(period))
    return max(1, math.ceil(min(min(granted), _kernel.MAX_THREADS)))


def choose_threads(threads: int | None, flops: float, most: int | None = None) -> int:
    """The number asked for; for None as many cores as work of so many floating-point operations a step feeds.

    ``most`` says how many those are at most, in place of all that this process may run on.
    """
    if threads is None:
        wanted = int(flops / FLOPS_PER_THREAD)
        return 1 if wanted < 2 else min(most or cores(), wanted)
    if isinstance(threads, bool) or not isinstance(threads, Integral):
        raise TypeError(f"threads must be a whole number or None, got {threads!r}")
    if threads < 1:
        raise ValueError(f"threads must be at least 1, got {threads}")
    return min(int(threads), _kernel.get_num_threads() or _kernel.MAX_THREADS)


def config() -> dict:
    """What runs fastsgd's arithmetic here.

    Keys: ``isa`` and ``isa_available`` (``FASTSGD_ISA`` pins one before import), ``caches`` (bytes of a core's L1d,
    L2 and L3 by which training is planned; ``FASTSGD_CACHES`` says others), ``blas`` (the private OpenBLAS and the
    kernels it chose), ``cores`` (that this process may use).

    >>> config()["isa"] in config()["isa_available"]
    True
    """
    return {**_kernel.config(), "cores": cores()}


def _find_caches(root: Path = Path("/sys/devices/system/cpu/cpu0/cache")) -> None:
    """Has plans go by FASTSGD_CACHES, else by what the CPU says of its caches, else by what the system does."""
    units = {"": 1, "K": 2**10, "M": 2**20}
    if setting := os.environ.get("FASTSGD_CACHES", ""):
        found = re.fullmatch(r"([1-9]\d{0,8})([KM]?),([1-9]\d{0,8})([KM]?)", setting.upper())
        if not found:
            raise ImportError(f"FASTSGD_CACHES must be the sizes of L1d and L2 such as 32K,512K, got {setting!r}")
        _kernel.set_caches(int(found[1]) * units[found[2]], int(found[3]) * units[found[4]])
    elif not _kernel.find_caches():
        sizes = {}
        for index in root.glob("index*"):
            with contextlib.suppress(OSError, ValueError, KeyError):
                level, kind, size = ((index / name).read_text().strip() for name in ("level", "type", "size"))
                if kind != "Instruction":
                    sizes[int(level)] = int(size.rstrip("KM")) * units[size.lstrip("0123456789")]
        if sizes.get(1) and sizes.get(2):
            _kernel.set_caches(sizes[1], sizes[2], sizes.get(3, 0))


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
    _find_caches()
    folder = Path(__file__).parent / "_libs"
    libraries = sorted(folder.glob("libscipy_openblas-fastsgd.*"))
    if not libraries:
        raise ImportError(f"fastsgd's private BLAS library is missing from {folder}; reinstall fastsgd")
    # Both are read once, by the library's start-up code. Its kernels follow the instruction set chosen here, so that
    # FASTSGD_ISA alone decides which bits come out, whatever OPENBLAS_CORETYPE says to other copies of OpenBLAS.
    settings = {"OPENBLAS_NUM_THREADS": "1"}
    # Cortex-A57 has NEON; of newer cores OpenBLAS 0.3.34 takes kernels for SME that are not there ("should never get
    # called") where it finds SME, as under QEMU.
    core = {"avx512": "SkylakeX", "avx2": "Haswell", "sse2": "Nehalem", "neon": "CORTEXA57"}.get(
        _kernel.config()["isa"])
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
        raise ImportError(f"fastsgd cannot open its private BLAS library, {libraries[0].name} ({reason}); reinstall "
                          "fastsgd: python -m pip install --force-reinstall fastsgd")


class _NoLimit(int):
    """What threadpoolctl finds where there is no limit: it sets the same again when a block with a limit ends."""


def _meet_threadpoolctl() -> None:
    """Lets threadpoolctl, where it is installed, see and limit our teams like those of BLAS and OpenMP."""
    try:
        import threadpoolctl
    except ImportError:
        return

    class TeamController(threadpoolctl.LibController):
        user_api = internal_api = "fastsgd"
        filename_prefixes = ("_kernel",)
        check_symbols = ("fastsgd_get_num_threads", "fastsgd_set_num_threads")

        def get_num_threads(self) -> int:
            return cores() if _kernel.get_num_threads() else _NoLimit(cores())

        def set_num_threads(self, num_threads: int) -> None:
            self.dynlib.fastsgd_set_num_threads(0 if isinstance(num_threads, _NoLimit) else num_threads)

        def get_version(self) -> None:
            return None

    with contextlib.suppress(AttributeError):        # before threadpoolctl 3.2 nobody could register
        threadpoolctl.register(TeamController)


_make_ready()
_meet_threadpoolctl()
