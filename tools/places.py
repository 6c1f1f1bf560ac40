"""Where a wheel is installed and tried: an interpreter of this system, a Debian, a Windows."""
from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tools.commands import check_run, download, plain_environment
from tools.debian import Debian
from tools.wheels import BUILD_REQUIREMENTS
from tools.wine import WindowsPython

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ["scipy", "pytest", "pytest-benchmark", "hypothesis", "safetensors", "threadpoolctl", "tqdm", "psutil"]


class Place:
    """A Python, and a folder that its commands run in."""

    def __init__(self, folder: Path):
        self.folder = folder.resolve()
        self.work = self.folder / "work"
        self.notes: list[str] = []

    def make(self, wheel: Path) -> None:
        """Anew: the Python with the wheel, and the tests without fastsgd's sources. RuntimeError where a step fails."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self._install(wheel)
        self.work.mkdir(parents=True)
        shutil.copy(ROOT / "pyproject.toml", self.work)
        shutil.copytree(ROOT / "tests", self.work / "tests", ignore=shutil.ignore_patterns("__pycache__"))

    def run(self, *arguments: str) -> Iterator[str]:
        """What its Python says, line by line; the last line is ``exit code N``."""
        command, environment = self._command(arguments)
        with subprocess.Popen(command, cwd=self.work, env=environment, text=True, errors="replace",
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            assert process.stdout
            yield from process.stdout
        yield f"exit code {process.returncode}\n"

    def _install(self, wheel: Path) -> None:
        raise NotImplementedError

    def _command(self, arguments: Sequence[str]) -> tuple[list[str], dict[str, str]]:
        """For the system: a command line and its environment."""
        raise NotImplementedError


class OnThisSystem(Place):
    """An interpreter, in a virtual environment. pip installs from a folder of wheels, as it may have no TLS.

    ``version`` as in ``"3.14"``, with a t for a free-threaded one; ``platforms`` are the tags of wheels it can have.
    """

    def __init__(self, folder: Path, interpreter: Path, version: str, platforms: Sequence[str]):
        super().__init__(folder)
        self.interpreter, self.version, self.platforms = interpreter, version, platforms
        self.python = str(self.folder / "env" / "bin" / "python")

    def _install(self, wheel: Path) -> None:
        packages = PACKAGES
        if self.version.endswith("t"):         # safetensors has no wheels for these, hypothesis none for 3.13t any more
            packages = ["hypothesis<6.149" if name == "hypothesis" else name for name in packages
                        if name != "safetensors"]
        wheels = self.folder / "wheels"
        download(wheels, self.version, self.platforms, wheel, *packages)
        check_run(self.interpreter, "-m", "venv", self.folder / "env")
        check_run(self.python, "-m", "pip", "install", "-q", "--no-index", "--find-links", wheels, wheel, *packages)

    def _command(self, arguments: Sequence[str]) -> tuple[list[str], dict[str, str]]:
        return [self.python, *arguments], {**plain_environment(), "PYTHONSAFEPATH": "1"}


class InDebian(Place):
    """A Debian without a compiler, where pip installs from a folder of wheels.

    ``python`` is a package of the release, or with ``prefix`` an interpreter that was made on this system for another.
    """

    def __init__(self, folder: Path, release: str, python: str, platforms: Sequence[str], *,
                 architecture: str = "amd64", prefix: Path | None = None, **environment: str):
        super().__init__(folder)
        self.debian = Debian(self.folder / "root", release, architecture)
        self.python, self.platforms, self.prefix, self.environment = python, platforms, prefix, environment
        self.work = self.debian.folder / "place"

    def _install(self, wheel: Path) -> None:
        if self.prefix:
            self.debian.make()
            shutil.copytree(self.prefix, self.debian.folder / str(self.prefix).lstrip("/"), symlinks=True)
            python = str(self.prefix / "bin" / "python3")
        else:
            self.debian.make(self.python, f"{self.python}-venv")
            python = self.python
        self._download(wheel, *PACKAGES)
        check_run(*self.debian.command(python, "-m", "venv", "/env"))
        check_run(*self.debian.command("/env/bin/pip", "install", "-q", "--no-index", "--find-links", "/wheels",
                                       "fastsgd", *PACKAGES))

    def _download(self, *requirements: object) -> None:
        download(self.debian.folder / "wheels", self.python.removeprefix("python"), self.platforms, *requirements)

    def _command(self, arguments: Sequence[str]) -> tuple[list[str], dict[str, str]]:
        shell = 'cd /place && exec /env/bin/python "$@"'
        command = self.debian.command("sh", "-c", shell, "sh", *arguments, PYTHONSAFEPATH="1", **self.environment)
        return command, dict(os.environ)


class FromSource(InDebian):
    """A Debian with a compiler, where the sdist is installed by pip, by uv, and without build isolation, in turn."""

    def _install(self, sdist: Path) -> None:
        offline, pip = ("--no-index", "--find-links", "/wheels"), ("/env/bin/pip", "install", "-q")

        def install(how: str, *command: str) -> None:
            began = time.perf_counter()
            check_run(*self.debian.command(*command, *offline, f"/wheels/{sdist.name}"))
            self.notes.append(f"{how} {time.perf_counter() - began:.0f} s")

        self.debian.make(self.python, f"{self.python}-venv", f"{self.python}-dev", "gcc", "libc6-dev")
        self._download(*BUILD_REQUIREMENTS, "numpy", "uv", *PACKAGES)
        shutil.copy(sdist, self.debian.folder / "wheels")
        check_run(*self.debian.command(self.python, "-m", "venv", "/env"))
        check_run(*self.debian.command(*pip, *offline, "uv", *PACKAGES))
        install("pip", *pip)
        install("uv pip", "/env/bin/uv", "pip", "install", "-q", "--python", "/env/bin/python",
                "--reinstall-package", "fastsgd")
        check_run(*self.debian.command(*pip, *offline, *BUILD_REQUIREMENTS))
        install("pip --no-build-isolation", *pip, "--no-build-isolation", "--no-deps", "--force-reinstall")


class OnWindows(Place):
    """A Windows Python under Wine."""

    def __init__(self, folder: Path):
        super().__init__(folder)
        self.windows = WindowsPython(self.folder / "wine")

    def _install(self, wheel: Path) -> None:
        self.windows.make()
        self.windows.install([str(wheel)])

    def _command(self, arguments: Sequence[str]) -> tuple[list[str], dict[str, str]]:
        return self.windows.command(*arguments), self.windows.environment()
