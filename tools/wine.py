"""A Windows Python under Wine.

    apt-get install --no-install-recommends wine wine64
    pip install ziglang

No installer of Python for Windows is in a package registry. But the wheel of panda3d has the interpreter's libraries,
of CPython 3.11; the part of its standard library that is written in Python is that of the Python which runs this, and
has to be 3.11 too; python.exe, and python3.dll, through which extensions of the limited API call the interpreter, are
made here. Of other packages those versions are taken that work with Debian's Wine 8.
"""
from __future__ import annotations

import shutil
import sys
import sysconfig
import tempfile
import zipfile
from pathlib import Path

from tools.commands import check_run, download, plain_environment
from tools.wheels import TARGETS, exported_names, python_headers, zig

PACKAGES = [
    "numpy==2.0.2", "scipy==1.14.1", "pandas==2.3.3", "scikit-learn==1.8.0", "pyarrow==16.1.0",
    "pytest", "pytest-benchmark", "hypothesis",
    "threadpoolctl", "tqdm", "joblib", "psutil", "cloudpickle", "narwhals", "pluggy", "iniconfig", "packaging",
    "colorama", "sortedcontainers", "attrs", "py-cpuinfo", "python-dateutil", "pytz", "tzdata", "six", "pygments"]
LAUNCHER = r"""
#include <windows.h>
int wmain(int count, wchar_t **words) {
    HMODULE python = LoadLibraryW(L"python311.dll");
    int (*run)(int, wchar_t **) = python ? (void *)GetProcAddress(python, "Py_Main") : NULL;
    return run ? run(count, words) : 103;
}
"""


class WindowsPython:
    """The interpreter in a folder, with Wine's own files beside it."""

    def __init__(self, folder: Path):
        self.folder = folder.resolve()
        self.python = self.folder / "python"

    def make(self) -> None:
        """Anew."""
        if sys.version_info[:2] != (3, 11):
            raise RuntimeError(f"a Windows Python is made by Python 3.11, this is {sys.version.split()[0]}")
        shutil.rmtree(self.folder, ignore_errors=True)
        (self.python / "DLLs").mkdir(parents=True)
        with tempfile.TemporaryDirectory() as temporary:
            work = Path(temporary)
            self._interpreter(work)
            self._launchers(work)
        shutil.copytree(sysconfig.get_path("stdlib"), self.python / "Lib", ignore=shutil.ignore_patterns(
            "site-packages", "lib-dynload", "test", "config-*", "__pycache__"))
        self.install(PACKAGES)

    def install(self, requirements: list[str]) -> None:
        """Wheels by name, or by path, without what they depend on."""
        with tempfile.TemporaryDirectory() as temporary:
            for wheel in _downloaded(requirements, Path(temporary)):
                with zipfile.ZipFile(wheel) as archive:
                    archive.extractall(self.python / "Lib" / "site-packages")

    def command(self, *arguments: str) -> list[str]:
        """That runs ``python.exe``. Under Wine it finds no console: its input is to be empty, its output a pipe."""
        return ["wine", str(self.python / "python.exe"), *arguments]

    def environment(self) -> dict[str, str]:
        """For the command."""
        environment = {**plain_environment(), "WINEPREFIX": str(self.folder / "prefix"), "WINEDEBUG": "-all",
                       "PYTHONSAFEPATH": "1"}
        if data := environment.get("FASTSGD_DATA"):
            environment["FASTSGD_DATA"] = "Z:" + data.replace("/", "\\")
        return environment

    def _interpreter(self, work: Path) -> None:
        (wheel,) = _downloaded(["panda3d==1.10.16"], work)
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                path = Path(name)
                if path.parent.name != "deploy_libs" or path.name.startswith("api-ms-"):
                    continue
                into = self.python if path.name in ("python311.dll", "VCRUNTIME140.dll") else self.python / "DLLs"
                (into / path.name).write_bytes(archive.read(name))

    def _launchers(self, work: Path) -> None:
        target = TARGETS["windows-x86_64"]
        compiler, source = zig(target, work), work / "python.c"
        source.write_text(LAUNCHER)
        _compile(compiler, "-municode", source, self.python / "python.exe")
        names = exported_names(python_headers(target, work / "headers"), compiler)
        forwarded = work / "python3.def"
        forwarded.write_text("LIBRARY python3\nEXPORTS\n" + "".join(f"    {name}=python311.{name}\n" for name in names))
        source.write_text("int __stdcall DllMain(void *a, unsigned b, void *c) { return a || b || c || 1; }\n")
        _compile(compiler, "-shared", source, forwarded, self.python / "python3.dll")


def _compile(compiler: str, how: str, *sources_and_result: Path) -> None:
    *sources, result = map(str, sources_and_result)
    check_run(compiler, how, "-O1", "-s", *sources, "-o", result)


def _downloaded(requirements: list[str], folder: Path) -> list[Path]:
    download(folder, "3.11", TARGETS["windows-x86_64"].parts, *requirements, alone=True)
    return sorted(folder.glob("*.whl"))
