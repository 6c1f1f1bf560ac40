"""Is a file whole, and does a run go on to the same bits, wherever SIGKILL meets training, a checkpoint or a save?

Children are forked from a process that has imported everything. Half of the kills come at a random time, half when the
child has just entered a random one of the steps of a save. A page of shared memory tells afterwards what it was doing.
"""
import argparse
import contextlib
import json
import mmap
import os
import random
import shutil
import signal
import struct
import sys
import tempfile
import time
from pathlib import Path

import fastsgd
from fastsgd.files import safetensors
from fastsgd.runs import checkpoint
from fastsgd.schedules import Cosine

PHASES = ("outside a save", "writing", "flushing", "renaming", "flushing the folder")


class Page:
    """What a child was doing when it was killed: the phase, how many it has entered, saves begun, saves done."""

    def __init__(self):
        self._memory = mmap.mmap(-1, mmap.PAGESIZE)

    def __getitem__(self, i):
        return struct.unpack_from("q", self._memory, 8 * i)[0]

    def __setitem__(self, i, value):
        struct.pack_into("q", self._memory, 8 * i, value)

    def enter(self, phase):
        self[0] = phase
        self[1] += 1

    @contextlib.contextmanager
    def phase(self, number):
        before = self[0]
        self.enter(number)
        yield
        self.enter(before)

    def watch(self):
        """From here on this process notes its saves."""
        write, flush, rename = safetensors.write_atomically, os.fsync, os.replace

        def saving(path, parts):
            self[2] += 1
            with self.phase(1):
                write(path, parts)
            self[3] += 1

        def flushing(descriptor):
            with self.phase(4 if os.path.isdir(f"/proc/self/fd/{descriptor}") else 2):
                flush(descriptor)

        def renaming(*paths):
            with self.phase(3):
                rename(*paths)

        safetensors.write_atomically, os.fsync, os.replace = saving, flushing, renaming


def fork(work, *arguments):
    """A child that does the work; it ends with 0, or with 1 and the traceback."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        work(*arguments)
        code = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)


def end_of(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def kill_somewhere(pid, page, moments, lasts):
    """Kills a child at a random moment of a run that lasts so long and enters so many phases; how it ended."""
    seconds, entered = lasts
    if moments.random() < 0.5:
        time.sleep(moments.uniform(0, seconds))
    else:
        wanted, limit = moments.randrange(entered), time.monotonic() + 2 * seconds
        while page[1] < wanted and time.monotonic() < limit:
            pass
        begin, pause = time.perf_counter(), moments.uniform(0, 2e-4)
        while time.perf_counter() - begin < pause:
            pass
    os.kill(pid, signal.SIGKILL)
    return end_of(pid)


def leftovers(folder, *names):
    """Temporary files that the killed have left; there may be nothing else."""
    others = set(os.listdir(folder)) - set(names)
    assert all(name.startswith(".") and name.endswith(".tmp") for name in others), others
    return len(others)


# ---- training, with a checkpoint after every few steps ----

def train(folder, data, page=None, resume=False):
    """The run; with a page one that is watched, writes checkpoints and resumes from its own."""
    settings = {"resume": resume}
    if page is not None:
        page.watch()
        settings = {"checkpoint": fastsgd.Checkpoint(folder / "run.ckpt", steps=7), "resume": True}
    net = fastsgd.Network([64, 300, 10], seed=0)
    fastsgd.train(net, *data, optimizer=fastsgd.AdamW(Cosine(0.002), average=0.99), batch_size=20, epochs=12, seed=0,
                  threads=2, dropout=0.2, validation=0.2, evaluate_every=50, **settings,
                  callbacks=[fastsgd.EarlyStopping(1000), fastsgd.JSONLogger(folder / "log")])
    net.save(folder / "end")


def figures(folder):
    return [{**json.loads(line), "seconds": 0} for line in (folder / "log").read_text().splitlines()]


def kill_training(count, folder, moments):
    """So many kills, and after each a run that resumes from what is there; what the killed were doing, by kill."""
    data, found = fastsgd.datasets.digits()[0], []
    whole, killed, again = folder / "whole", folder / "killed", folder / "again"
    for one in (whole, killed, again):
        one.mkdir()
    page, begin = Page(), time.monotonic()
    assert end_of(fork(train, killed, data, page)) == 0
    lasts = (time.monotonic() - begin) / 4, page[1] // 4         # so that a run is killed some four times
    assert end_of(fork(train, whole, data)) == 0
    end, log, path, steps = (whole / "end").read_bytes(), figures(whole), killed / "run.ckpt", 0
    assert (killed / "end").read_bytes() == end
    path.unlink()
    while len(found) < count:
        page = Page()
        code = kill_somewhere(fork(train, killed, data, page), page, moments, lasts)
        if code == 0:                                            # it came to its end before: begin a new run
            assert (killed / "end").read_bytes() == end
            assert figures(killed) == log
            path.unlink()
            steps = 0
            continue
        assert code == -signal.SIGKILL, code
        found.append(PHASES[page[0]])
        leftovers(killed, "run.ckpt", "log", "end")
        assert path.exists() or (not page[3] and not steps)
        if path.exists():
            before, steps = steps, checkpoint.CheckpointData.read(path).counters.steps    # which compares the checksum
            fastsgd.Network.load(path)
            assert steps >= before + 7 * page[3] - 7, "a checkpoint that was complete is lost"
        if (killed / "log").exists():
            shutil.copy(killed / "log", again / "log")
        assert end_of(fork(train, again, data, None, path if path.exists() else False)) == 0
        assert (again / "end").read_bytes() == end, f"kill {len(found)}: other bits"
        assert figures(again) == log
    return found, leftovers(killed, "run.ckpt", "log", "end")


# ---- saves of two networks in turn over one file ----

def save_in_turn(folder, nets, page):
    page.watch()
    while True:
        for net in nets:
            net.save(folder / "net")


def kill_saving(count, folder, moments):
    """So many kills; the file is always one of the two. What the killed were doing, by kill."""
    nets = [fastsgd.Network([784, 300, 10], seed=seed) for seed in range(2)]
    contents, found, path = [], [], folder / "net"
    for net in nets:
        net.save(path)
        contents.append(path.read_bytes())
    assert contents[0] != contents[1]
    while len(found) < count:
        page = Page()
        code = kill_somewhere(fork(save_in_turn, folder, nets, page), page, moments, (0.1, 40))
        assert code == -signal.SIGKILL, code
        found.append(PHASES[page[0]])
        assert path.read_bytes() in contents, f"kill {len(found)}: neither file"
        fastsgd.Network.load(path)
        leftovers(folder, "net")
    left = leftovers(folder, "net")
    for name in set(os.listdir(folder)) - {"net"}:
        os.utime(folder / name, (0, 0))                          # of long ago: the next save clears them away
    nets[0].save(path)
    assert os.listdir(folder) == ["net"]
    return found, left


def run(kind, count, seed):
    """So many kills of one kind, in a folder of their own; a line about them."""
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        found, left = {"training": kill_training, "saving": kill_saving}[kind](count, Path(folder), random.Random(seed))
    counts = ", ".join(f"{found.count(phase)} {phase}" for phase in PHASES)
    return (f"{kind}: {len(found)} kills ({counts}), {left} temporary files left behind, no fault; "
            f"{time.monotonic() - begin:.0f} s, seed {seed}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=300, help="kills of each kind")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**6)
    options = parser.parse_args()
    for kind in ("training", "saving"):
        print(run(kind, options.count, options.seed), flush=True)


if __name__ == "__main__":
    main()
