"""Whether a wheel needs no more of a system than its tag promises, and no more of Python than the limited API, as
auditwheel, delvewheel and abi3audit see it. (delocate needs otool, which is on macOS alone.)"""
from __future__ import annotations

import re
from pathlib import Path

from tools.commands import check_run, own


def audit(wheel: Path) -> None:
    """RuntimeError where one of them objects."""
    tag = wheel.stem.rpartition("-")[2]
    if "linux" in tag:
        said = _say("auditwheel", "show", wheel)
        well = re.findall(r'following platform tag:\s+"(\S+)"', said) == [tag]
    elif tag.startswith("win"):
        said = _say("delvewheel", "show", wheel)
        well = re.search(r"will be copied into the wheel\.\s+None\s", said) is not None
    else:
        said, well = "", True
    if not well:
        raise RuntimeError(f"{wheel.name} is not what its tag says:\n{said}")
    if "-abi3-" in wheel.name:
        _say("abi3audit", "--strict", wheel)


def _say(command: str, *arguments: object) -> str:
    return check_run(own(command), *arguments)
