"""Commands that have to work."""
from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

MOST_LETTERS = 3000


def check_run(*command: object, **options) -> str:
    """What a command says. RuntimeError, with the end of it, where it fails."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, errors="replace", **{"env": plain_environment(), **options})
    except FileNotFoundError:
        raise RuntimeError(f"there is no {words[0]} here; .ci/platforms installs what is needed") from None
    if done.returncode:
        raise RuntimeError(f"{' '.join(words[:5])} ... failed:\n{done.stdout[-MOST_LETTERS:]}")
    return done.stdout


def own(command: str) -> str:
    """The path of a command that came with a package of this Python."""
    return str(Path(sysconfig.get_path("scripts"), command))


def download(folder: Path, version: str, platforms: Sequence[str], *requirements: object, alone: bool = False) -> None:
    """Wheels for another Python or system, with all that they need or alone. ``version`` ends in t if free-threaded."""
    check_run(sys.executable, "-m", "pip", "download", "-q", "--only-binary=:all:", *(["--no-deps"] if alone else []),
              "--python-version", version.removesuffix("t"),
              *(("--abi", f"cp{version.replace('.', '')}") if version.endswith("t") else ()),
              *(word for platform in platforms for word in ("--platform", platform)), "-d", folder, *requirements)


def plain_environment() -> dict[str, str]:
    """This process's, without what would lead another Python to packages of this one."""
    others = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if name not in others}
