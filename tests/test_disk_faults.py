"""Does a save that the disk fails leave the old file, name the path and leave nothing else? More: soak/disk.py."""
import errno
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fastsgd

resource = pytest.importorskip("resource", reason="a limit of POSIX systems")
SOAK = Path(__file__).parent / "soak"


@pytest.mark.skipif(sys.platform != "linux" or not shutil.which("cc"), reason="needs Linux and a C compiler")
def test_every_call_of_every_save_fails_in_turn():
    result = subprocess.run([sys.executable, SOAK / "disk.py", "--quick"], capture_output=True, text=True,
                            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    assert result.returncode == 0, result.stdout + result.stderr
    assert "no fault of ours" in result.stdout
    assert all(int(count) for count in re.findall(r": (\d+) faults", result.stdout))


def refused(path, number):
    """A save of a large network over a small one, refused by the system."""
    before = path.read_bytes()
    with pytest.raises(OSError, match="cannot write: ") as caught:
        fastsgd.Network([1000, 1000], seed=0).save(path)
    assert (caught.value.errno, caught.value.filename) == (number, os.path.realpath(path))
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]
    fastsgd.Network.load(path)


def test_a_limit_of_the_system(tmp_path):
    fastsgd.Network([2, 2], seed=0).save(tmp_path / "net")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10**6, limits[1]))
    try:
        refused(tmp_path / "net", errno.EFBIG)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_and_one_that_is_read_only(tmp_path):
    if sys.platform != "linux" or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", tmp_path],
                                                 capture_output=True).returncode:
        pytest.skip("may not mount")
    try:
        fastsgd.Network([2, 2], seed=0).save(tmp_path / "net")
        refused(tmp_path / "net", errno.ENOSPC)
        subprocess.run(["mount", "-o", "remount,ro", tmp_path], check=True)
        refused(tmp_path / "net", errno.EROFS)
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_the_folder_is_flushed_and_need_not_be_readable(tmp_path, monkeypatch):
    flushed, flush, opened, listed = [], os.fsync, os.open, os.scandir
    monkeypatch.setattr(os, "fsync", lambda file: (flushed.append(os.path.isdir(f"/proc/self/fd/{file}")), flush(file)))
    net = fastsgd.Network([2, 2], seed=0)
    net.save(tmp_path / "net")
    assert flushed == [False, True]

    def refuse(path, *arguments, of):
        if os.path.isdir(path):
            raise PermissionError(errno.EACCES, "Permission denied")
        return of(path, *arguments)

    monkeypatch.setattr(os, "open", lambda *arguments: refuse(*arguments, of=opened))
    monkeypatch.setattr(os, "scandir", lambda *arguments: refuse(*arguments, of=listed))
    net.save(tmp_path / "net")
    assert os.path.exists(tmp_path / "net")
