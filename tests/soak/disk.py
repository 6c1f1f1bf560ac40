"""Does a save that meets a fault of the disk say so, and leave the old file and nothing else?

A preloaded library fails the k-th call for files in one folder, for k = 1, 2, ... until a save makes fewer calls: that
one, or it and all after it, as on a full disk. Run it as a script; it starts itself again with the library.
"""
import argparse
import contextlib
import ctypes
import errno
import gzip
import hashlib
import io
import itertools
import os
import re
import shutil
import struct
import sys
import tempfile
import time
from pathlib import Path

from preload import start_again

SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
static char folder[4096];
static long calls, first, last;
static int fault;                         /* an errno, or -1: write half of it */
void fail_calls(const char *in, long from, long to, int number) {
    strncpy(folder, in, sizeof folder - 1);
    first = from, last = to, fault = number, calls = 0;
}
long calls_made(void) { return calls; }
static int hit(const char *path) {
    if (!*folder || !path || strncmp(path, folder, strlen(folder)))
        return 0;
    calls++;
    if (calls < first || calls > last)
        return 0;
    errno = fault;
    return 1;
}
static int hit_file(int file) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t n = *folder ? readlink(link, path, sizeof path - 1) : -1;
    if (n < 0)
        return 0;
    path[n] = 0;
    return hit(path);
}
#define REAL(name) ((__typeof__(name) *)dlsym(RTLD_NEXT, #name))
#define OPEN(name) int name(const char *path, int flags, ...) { \
    va_list rest; va_start(rest, flags); mode_t mode = va_arg(rest, mode_t); va_end(rest); \
    return fault > 0 && hit(path) ? -1 : REAL(name)(path, flags, mode); }
OPEN(open) OPEN(open64)
ssize_t write(int file, const void *from, size_t n) {
    if (!hit_file(file))
        return REAL(write)(file, from, n);
    return fault > 0 ? -1 : REAL(write)(file, from, (n + 1) / 2);
}
int fsync(int file) { return fault > 0 && hit_file(file) ? -1 : 0; }   /* without the wait */
int rename(const char *a, const char *b) { return fault > 0 && hit(b) ? -1 : REAL(rename)(a, b); }
int mkdir(const char *path, mode_t mode) { return fault > 0 && hit(path) ? -1 : REAL(mkdir)(path, mode); }
int chmod(const char *path, mode_t mode) { return fault > 0 && hit(path) ? -1 : REAL(chmod)(path, mode); }
int close(int file) {
    int written = (fcntl(file, F_GETFL) & O_ACCMODE) != O_RDONLY;
    int failed = written && fault > 0 && hit_file(file), error = errno, result = REAL(close)(file);
    if (failed)
        errno = error;
    return failed ? -1 : result;
}
"""


def read(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class Save:
    """A kind of save: what it writes into a folder for one of two networks, and which files may be how."""

    def __init__(self, write):
        self.write = write

    def whole(self, before, after, now):
        """Whether a failed save left the old files."""
        return now == before

    def done(self, after, now):
        """Whether a save that reported nothing left the new files."""
        return now == after


class Several(Save):
    """Files of which each is the old one or the new one.

    Of C's two, renaming the second may fail and so may putting back the first: their compiler then refuses them.
    """

    def whole(self, before, after, now):
        return before.keys() <= now.keys() and all(content in (before.get(name), after.get(name))
                                                   for name, content in now.items())

    def done(self, after, now):
        return after.items() <= now.items()


class Log(Save):
    """Lines of a log: those written before stay whole, and there are no others."""

    def whole(self, before, after, now):
        return all(after[name].startswith(content) and content[-1:] in (b"\n", b"") for name, content in now.items()
                   if now != before)


class Checkpoints(Save):
    """Checkpoints of a run: what is there is one to go on from, to the same bits."""

    def whole(self, before, after, now):
        from fastsgd.runs import checkpoint
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "run.ckpt"
            path.write_bytes(now[Path("run.ckpt")])
            if checkpoint.CheckpointData.read(path).plan["seed"] == OLD:
                return now == before
            return (train(NEW, resume=path).params == train(NEW).params).all()

    def done(self, after, now):
        return self.whole({}, after, now)


OLD, NEW = 1, 2


def train(seed, **settings):
    import fastsgd
    (X, y), _ = fastsgd.datasets.digits()
    net = fastsgd.Network([64, 16, 10], seed=seed)
    parameters = [net.params.copy()]
    if "callbacks" not in settings:
        settings["callbacks"] = [lambda run: parameters.append(net.params.copy())]
    try:
        fastsgd.train(net, X[:200], y[:200], epochs=3, seed=seed, threads=1, **settings)
    except OSError:
        assert len(parameters) == 1 or (net.params == parameters[-1]).all(), "the network lost what it had learned"
        raise
    return net


def command(*arguments):
    """The command, whose message becomes an OSError again."""
    from fastsgd.cli import main
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        code = main.main([str(argument) for argument in arguments])
    if code:
        found = re.search(r"^fastsgd: error: cannot write: (.+): '(.+)'$", said.getvalue(), re.M)
        assert found, said.getvalue()
        number = next(number for number in errno.errorcode if os.strerror(number) == found[1])
        raise OSError(number, said.getvalue(), found[2])


def download(folder, seed):
    """Fetches a data set of four small files into a cache in the folder."""
    from unittest import mock

    from fastsgd import datasets
    images = struct.pack(">HBB3I", 0, 8, 3, 2, 1, 1) + b"ab"
    labels = struct.pack(">HBBI", 0, 8, 1, 2) + bytes([0, seed])
    contents = [gzip.compress(content, mtime=0) for content in (images, labels)] * 2
    sources = {"set": (str(seed), tuple(hashlib.sha256(content).hexdigest() for content in contents))}
    with mock.patch.dict(os.environ, {"XDG_CACHE_HOME": str(folder / str(seed)), "FASTSGD_DATA": ""}), \
            mock.patch.object(datasets, "SOURCES", sources), \
            mock.patch.object(datasets, "_download", lambda url: contents[datasets.FILES.index(url[2:-3])]):
        datasets._find("set", True)


def quietly(write):
    def written(folder, seed):
        with contextlib.redirect_stderr(io.StringIO()):
            write(folder, seed)
    return written


def kinds(data):
    """Every kind of save by name; ``data`` is a folder for what they read."""
    import fastsgd
    from fastsgd import interop
    from fastsgd.cli import descent, train_config
    from fastsgd.cli.report import Report
    from fastsgd.files import atomic
    nets = {seed: fastsgd.Network([64, 16, 10], seed=seed) for seed in (OLD, NEW)}
    table = data / "table.csv"
    table.write_text("a,b,t\n" + "".join(f"{i},{i * i % 7},{'xy'[i % 2]}\n" for i in range(60)))
    for seed in nets:
        command("train", table, "--target", "t", "--hidden", "4", "--epochs", "1", "--seed", seed, "--out",
                data / f"{seed}.model")
    found = {
        "a network": Save(lambda folder, seed: nets[seed].save(folder / "net")),
        "C": Several(lambda folder, seed: interop.to_c(nets[seed], folder / "net")),
        "predictions": Save(lambda folder, seed: command("predict", data / f"{seed}.model", table, "--probabilities",
                                                         "--out", folder / "out.csv")),
        "the options of a run": Save(lambda folder, seed: train_config.write_config(
            folder / "config.toml", argparse.Namespace(data="table.csv", seed=seed))),
        "a report": Several(quietly(lambda folder, seed: descent._write(
            argparse.Namespace(out=folder / "race"), Report(f"{seed}"), {"a.png": (b"%d" % seed * 10_000, "a")}))),
        "data that were downloaded": Several(lambda folder, seed: download(folder, seed)),
        "a check": Save(lambda folder, seed: atomic.check_writable(folder / "net")),
        "checkpoints": Checkpoints(lambda folder, seed: train(
            seed, checkpoint=fastsgd.Checkpoint(folder / "run.ckpt", epochs=1))),
    }
    for name, log in (("JSON lines", fastsgd.JSONLogger), ("CSV", fastsgd.CSVLogger)):
        def logged(folder, seed, log=log):
            callback = log(folder / "log")
            callback._line = lambda record, line=callback._line: line({**record, "seconds": 0.5})
            train(seed, callbacks=[callback])
        found[name] = Log(logged)
    with contextlib.suppress(ImportError):
        import onnx  # noqa: F401
        found["ONNX"] = Save(lambda folder, seed: interop.to_onnx(nets[seed], folder / "net.onnx"))
    with contextlib.suppress(ImportError):
        import matplotlib
        matplotlib.use("Agg")
        from fastsgd import plots
        rows = fastsgd.datasets.digits()[0]
        axes = {seed: plots.history(fastsgd.train(nets[seed].copy(), *rows, epochs=seed, seed=0)) for seed in nets}
        for ax in axes.values():
            ax.set_title("")
        found["a picture"] = Save(lambda folder, seed: plots.save(axes[seed], folder / "picture.png"))
    return found


FAULTS = [(-1, False), (errno.ENOSPC, True), (errno.ENOSPC, False), (errno.EIO, True), (errno.EIO, False)]
"""errno, or -1 for a write of half; and whether all later calls fail too."""


def fail_every_call(save, fault, stays):
    """Fails each call of a save in turn; how many."""
    shim = ctypes.CDLL(None)
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(os.path.realpath(parent)) / "in"
        folder.mkdir()
        save.write(folder, NEW)
        after = read(folder)
        for k in itertools.count(1):
            shutil.rmtree(folder)
            folder.mkdir()
            save.write(folder, OLD)
            before = read(folder)
            shim.fail_calls(os.fsencode(folder), ctypes.c_long(k), ctypes.c_long(2**40 if stays else k), fault)
            raised = None
            try:
                save.write(folder, NEW)
            except OSError as error:
                raised = error
            calls = shim.calls_made()
            shim.fail_calls(b"", ctypes.c_long(0), ctypes.c_long(0), 1)
            now, what = read(folder), f"call {k}, {fault}"
            assert set(now) <= set(before) | set(after), f"{what}: left behind {set(now) - set(before)}"
            if raised is None:
                assert save.done(after, now), f"{what}: no error, and not the new file"
            else:
                assert fault > 0, f"{what}: {raised}"
                assert raised.errno == fault, f"{what}: {raised!r}"
                assert str(folder) in str(raised.filename), f"{what}: {raised!r} names no path"
                assert save.whole(before, after, now), f"{what}: {raised}"
            if calls < k:
                return k - 1
    raise AssertionError


def main():
    with tempfile.TemporaryDirectory() as folder:
        if not hasattr(ctypes.CDLL(None), "fail_calls"):
            start_again(SHIM, Path(folder))
        faults = FAULTS[:2] if "--quick" in sys.argv else FAULTS
        begin, total = time.monotonic(), 0
        for name, save in kinds(Path(folder)).items():
            counts = [fail_every_call(save, fault, stays) for fault, stays in faults]
            total += sum(counts)
            print(f"{name}: {sum(counts)} faults, {counts}", flush=True)
    print(f"{total} faults, no fault of ours; {time.monotonic() - begin:.0f} s")


if __name__ == "__main__":
    main()
