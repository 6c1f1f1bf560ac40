"""Debian in a folder: a chroot of some release and CPU, without a compiler, in which a wheel is installed and tried.

    apt-get install --no-install-recommends mmdebstrap arch-test qemu-user-static binfmt-support
"""
from __future__ import annotations

import os
import shutil
from pathlib import Path

from tools.commands import check_run

# As in a container: a process table and devices of its own, which are gone with the command.
ENTER = """
mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && exec chroot "$0" "$@"
"""
EMULATORS = Path("/proc/sys/fs/binfmt_misc")


class Debian:
    def __init__(self, folder: Path, release: str, architecture: str = "amd64"):
        self.folder = folder.resolve()
        self.release = release
        self.architecture = architecture

    def make(self, *packages: str) -> None:
        """Anew, with packages of the release. RuntimeError where mmdebstrap fails."""
        if self.architecture == "arm64":
            _emulate_arm()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        # Mirrors that lag behind hold lists whose time is over.
        check_run("mmdebstrap", "--variant=minbase", f"--architectures={self.architecture}",
                  f"--include={','.join(('ca-certificates', *packages))}",
                  '--aptopt=Acquire::Check-Valid-Until "false"',
                  self.release, self.folder)

    def command(self, *words: str, **environment: str) -> list[str]:
        """A command line that runs another inside."""
        inside = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/root", "LANG": "C.UTF-8", **environment}
        return ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", ENTER, str(self.folder),
                "env", "-i", *map("=".join, inside.items()), *words]


def _emulate_arm() -> None:
    """Have the kernel hand Arm's programs to QEMU."""
    if not EMULATORS.joinpath("register").exists():
        check_run("mount", "-t", "binfmt_misc", "binfmt_misc", EMULATORS)
    if not EMULATORS.joinpath("qemu-aarch64").exists() and os.uname().machine != "aarch64":
        check_run("update-binfmts", "--enable", "qemu-aarch64")
