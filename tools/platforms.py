"""``python -m tools.platforms [JOB ...]``: fastsgd on systems that this one is not, and a table of what came of it.

    .ci/platforms                                              # installs what is needed, and runs all jobs
    python -m tools.platforms musl windows                     # two of them
    python -m tools.platforms musl --run -m fastsgd info       # in the place that a job has left

A job builds a wheel, installs it in a place made for it, runs the demo there, compares trained parameters with the
golden ones, and runs tests. Places, wheels, and a log of each job stay in build/platforms; table.md there is the table.
"""
from __future__ import annotations

import argparse
import re
import sys
import time
from collections import Counter
from dataclasses import astuple, dataclass
from functools import cache
from pathlib import Path

from tools import interpreters, wheels
from tools.places import FromSource, InDebian, OnThisSystem, OnWindows, Place

OUT = Path(__file__).resolve().parents[1] / "build" / "platforms"


def _files(names: str) -> tuple[str, ...]:
    return tuple(f"tests/test_{name}.py" for name in names.split())


BITS = _files("golden isa elementary numbers")
COMMON = (*BITS, *_files("threads training checkpoint predictor modelfile streams optimizers losses"))
UNDER_WINE = (                              # joblib's processes hang there; docs/reference/platforms.md says it too
    "tests/test_estimators.py::test_a_grid_search_is_the_same_in_processes_and_threads",
    "tests/test_estimators.py::test_the_cores_are_shared_among_joblib_s_processes",
    "tests/test_sklearn_sgd.py::test_multi_core_gridsearch_and_early_stopping",
    "tests/test_sklearn_sgd.py::test_SGDClassifier_fit_for_all_backends")
THREADED = (*COMMON, *_files("free_threading"))
# Under emulation a test takes some thirty times as long.
ARM_SAMPLE = ("relu-cross_entropy or gelu-huber or blas_agrees or any_number_of_threads or forked",
              *_files("kernel threads"))


@dataclass(frozen=True)
class Job:
    """What is built for which place, if any, and the tests that run there: pytest's arguments, for each call of it."""

    system: str
    place: Place | None
    target: str                             # of tools/wheels.py, or "sdist"
    tests: tuple[tuple[str, ...], ...] = ()
    interpreter: str = ""                   # of tools/interpreters.py, that of the place
    own_wheel: bool = False                 # for this interpreter alone, not of the limited API


@dataclass(frozen=True)
class Row:
    system: str
    python: str
    wheel: str
    instructions: str
    bits: str
    tests: str
    minutes: str

    def __str__(self) -> str:
        return f"| {' | '.join(astuple(self))} |"


HEADING = f"| {' | '.join(Row.__dataclass_fields__)} |\n{'|---' * len(Row.__dataclass_fields__)}|"


def jobs() -> dict[str, Job]:
    linux, arm = (wheels.TARGETS[name].parts for name in ("linux-x86_64", "linux-aarch64"))

    def debian(release: str, python: str, interpreter: str = "") -> Job:
        place = InDebian(OUT / release, release, python, linux, prefix=_prefix(interpreter) if interpreter else None)
        return Job(f"Debian {release}", place, "linux-x86_64", (COMMON,), interpreter)

    def free_threaded(version: str) -> Job:
        place = OnThisSystem(OUT / version, _prefix(version) / "bin" / "python3", version, linux)
        return Job("Linux, free-threaded", place, "linux-x86_64", (THREADED,), version, own_wheel=True)

    return {
        "bullseye": debian("bullseye", "python3.13", "glibc-2.27"),
        "bookworm": debian("bookworm", "python3.11"),
        "trixie": debian("trixie", "python3.13"),
        "forky": debian("forky", "python3.14"),
        "sdist": Job("Debian forky, with GCC", FromSource(OUT / "sdist", "forky", "python3.14", linux), "sdist",
                     (BITS,)),
        "3.13t": free_threaded("3.13t"), "3.14t": free_threaded("3.14t"),
        "musl": Job("Linux, musl", OnThisSystem(OUT / "musl", _prefix("musl") / "bin" / "python3", "3.13",
                                                wheels.TARGETS["musl-x86_64"].parts), "musl-x86_64", (COMMON,), "musl"),
        "windows": Job("Windows, under Wine", OnWindows(OUT / "windows"), "windows-x86_64",
                       ((*(f"--deselect={test}" for test in UNDER_WINE), "tests"),)),
        "arm": Job("Debian bookworm, Arm under QEMU",
                   # NumPy's own OpenBLAS warns of divisions by zero in products where it finds SME
                   InDebian(OUT / "arm", "bookworm", "python3.11", arm, architecture="arm64",
                            OPENBLAS_CORETYPE="ARMV8"),
                   "linux-aarch64", (BITS, ("-k", *ARM_SAMPLE))),
        "macos-arm64": Job("macOS, Arm", None, "macos-arm64"),
        "macos-x86_64": Job("macOS, x86-64", None, "macos-x86_64"),
    }


def run(name: str, job: Job) -> tuple[Row, bool]:
    """Its row of the table, and whether all is well."""
    began = time.perf_counter()
    if job.interpreter:
        _make_interpreter(job.interpreter)
    wheel = _built(job.target, job.interpreter if job.own_wheel else "")
    if job.place:
        (python, instructions, bits, tests), well = _try(job.place, wheel, job.tests, OUT / f"{name}.log")
    else:
        (python, instructions, bits, tests), well = ("", "", "", "compiled without a warning, not run"), True
    minutes = f"{(time.perf_counter() - began) / 60:.0f}"
    return Row(job.system, python, wheel.name, instructions, bits, tests, minutes), well


def _try(place: Place, wheel: Path, tests: tuple[tuple[str, ...], ...], log: Path) -> tuple[tuple[str, ...], bool]:
    """What the columns say, from its Python to its tests, and whether all is well."""
    with log.open("w", encoding="utf-8") as file:
        def python(*arguments: str) -> str:
            said = []
            for line in place.run(*arguments):
                said.append(line)
                file.write(line)
                file.flush()
            return "".join(said)

        place.make(wheel)
        about = python("-c", "import sys, fastsgd; print('Python', sys.version.split()[0], fastsgd.config()['isa'])")
        demo = python("-m", "fastsgd", "demo", "--out", "demo.safetensors")
        bits = python("tests/bits.py", "compare", "tests/golden/1/bits.json")
        outcomes = [python("-m", "pytest", "-v", "-p", "no:cacheprovider", *arguments) for arguments in tests]
    found = re.search(r"^Python (\S+) (\S+)", about, re.M)
    version, instructions = found.groups() if found else ("?", "fails")
    same = re.search(r"\d+ of \d+", bits)
    counts: Counter[str] = Counter()
    for outcome in outcomes:
        summary = outcome.rstrip().rpartition("\nexit")[0].rpartition("\n")[2]
        for number, what in re.findall(r"(\d+) (passed|failed|skipped|error)", summary):
            counts[what] += int(number)
    well = all(said.endswith("exit code 0\n") for said in (about, demo, *outcomes)) and same is not None
    results = ", ".join((*place.notes, *(f"{number:,} {what}" for what, number in counts.items())))
    return (version, instructions, same[0] if same else "fails", results), well


def _prefix(name: str) -> Path:
    return OUT / "interpreters" / name


@cache
def _built(target: str, interpreter: str) -> Path:
    """Once for all jobs of a call."""
    if target == "sdist":
        return wheels.source_archive(OUT / "wheels")
    return wheels.build(target, OUT / "wheels", _make_interpreter(interpreter) if interpreter else None)


def _make_interpreter(name: str) -> Path:
    python = _prefix(name) / "bin" / "python3"
    return python if python.exists() else interpreters.make(name, _prefix(name))


def main() -> None:
    known = jobs()
    parser = argparse.ArgumentParser(description="Runs fastsgd on other systems, and prints a table.")
    parser.add_argument("jobs", nargs="*", metavar="JOB", help=f"of {', '.join(known)}; all where none is named")
    parser.add_argument("--run", nargs=argparse.REMAINDER, metavar="ARGUMENT",
                        help="for the Python that a job has left")
    options = parser.parse_args()
    if unknown := sorted(set(options.jobs) - set(known)):
        parser.error(f"JOB must be of {', '.join(known)}, got {', '.join(unknown)}")
    if options.run is not None:
        if len(options.jobs) != 1 or not (place := known[options.jobs[0]].place):
            parser.error("--run needs one JOB, which has a place to run in")
        for line in place.run(*options.run):
            print(line, end="", flush=True)
        return
    OUT.mkdir(parents=True, exist_ok=True)
    rows, failed = [], []
    for name in options.jobs or known:
        print(f"{name} ...", end=" ", flush=True)
        try:
            row, well = run(name, known[name])
        except RuntimeError as error:
            print(f"failed: {error}", flush=True)
            failed.append(name)
            continue
        end = "" if well else ": FAILED"
        what = [row.instructions, row.bits and f"{row.bits} bits", row.tests, f"{row.minutes} min"]
        print(", ".join(filter(None, what)) + end, flush=True)
        rows.append(str(row))
        failed += [] if well else [name]
    table = "\n".join((HEADING, *rows))
    (OUT / "table.md").write_text(table + "\n")
    print(table)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}; build/platforms has their logs")


if __name__ == "__main__":
    main()
