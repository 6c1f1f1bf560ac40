"""Do a run and a saved file survive kills at any moment? tests/soak/kills.py kills more often."""
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import fastsgd
from fastsgd.files import atomic

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")


def test_twenty_kills_at_random_moments_and_twenty_resumes():
    soak = Path(__file__).parent / "soak" / "kills.py"           # a process of its own, without threads, forks safely
    result = subprocess.run([sys.executable, soak, "--count", "20"], capture_output=True, text=True,
                            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.count("20 kills") == 2


def test_what_a_killed_process_left_is_cleared_away_after_an_hour(tmp_path):
    net, path = fastsgd.Network([2, 2], seed=0), tmp_path / "net"
    stale = f".net.{'0' * 12}.tmp"
    others = [f".net.{'1' * 12}.tmp", f".net2.{'0' * 12}.tmp", f".net.{'0' * 11}.tmp", "net.tmp"]
    for name in (stale, *others):
        (tmp_path / name).touch()
        if name != others[0]:                        # which may be another process's, that is writing
            os.utime(tmp_path / name, (0, time.time() - atomic.STALE_SECONDS - 60))
    net.save(path)
    assert sorted(os.listdir(tmp_path)) == sorted(["net", *others])


def test_a_temporary_file_is_stale_after_an_hour_and_not_before(tmp_path):
    for digit, minutes in ((0, 61), (1, 59)):
        (tmp_path / f".net.{str(digit) * 12}.tmp").touch()
        os.utime(tmp_path / f".net.{str(digit) * 12}.tmp", (0, time.time() - 60 * minutes))
    fastsgd.Network([2, 2], seed=0).save(tmp_path / "net")
    assert sorted(os.listdir(tmp_path)) == [f".net.{'1' * 12}.tmp", "net"]


def test_no_other_file_is_taken_for_a_stale_one(tmp_path):
    others = [f".net.{'0' * 12}.tmp.kept", f".nXt.{'0' * 12}.tmp"]
    for name in others:
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (0, 0))
    for name in ("net", "n.t"):
        fastsgd.Network([2, 2], seed=0).save(tmp_path / name)
    assert sorted(os.listdir(tmp_path)) == sorted(["net", "n.t", *others])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="makes a pipe")
def test_a_pipe_of_a_temporary_file_s_name_is_not_waited_for(tmp_path):
    pipe = tmp_path / f".net.{'0' * 12}.tmp"
    os.mkfifo(pipe)
    os.utime(pipe, (0, 0))
    atomic.write_atomically(tmp_path / "net", [b"one"])
    assert pipe.exists()


@pytest.mark.skipif(atomic.fcntl is None, reason="locks files")
def test_a_clock_that_jumps_removes_no_file_that_is_being_written(tmp_path, monkeypatch):
    path = tmp_path / "net"
    with atomic.written_beside(path, [b"one"]) as put:
        now = time.time()
        monkeypatch.setattr(atomic.time, "time", lambda: now + 10 * atomic.STALE_SECONDS)
        atomic.write_atomically(path, [b"two"])
        put()
    assert path.read_bytes() == b"one"
    assert os.listdir(tmp_path) == ["net"]
