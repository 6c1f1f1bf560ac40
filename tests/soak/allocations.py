"""Is a network as good as before after any allocation of train, predict, save or load has failed?

Each fails in a child of its own: one of Python's allocators (by _testcapi), or with a preloaded malloc one that NumPy
makes itself, which is where arrays come from. The kernel allocates nothing but NumPy arrays.
"""
import argparse
import collections
import ctypes
import gc
import json
import os
import sys
import tempfile
import time
import traceback
from pathlib import Path

import numpy as np
from preload import start_again

import fastsgd

SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
static long count, failing;
extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
static int fails(void *caller) {
    Dl_info info;
    if (!failing || !dladdr(caller, &info) || !strstr(info.dli_fname, "_multiarray_umath") || ++count != failing)
        return 0;
    errno = ENOMEM;
    return 1;
}
void *malloc(size_t n) { return fails(__builtin_return_address(0)) ? NULL : __libc_malloc(n); }
void *calloc(size_t n, size_t s) { return fails(__builtin_return_address(0)) ? NULL : __libc_calloc(n, s); }
void *realloc(void *p, size_t n) { return fails(__builtin_return_address(0)) ? NULL : __libc_realloc(p, n); }
void fail_allocation(long k) { count = 0, failing = k; }
long allocations(void) { return count; }
"""
SETTINGS = {"optimizer": fastsgd.Adam(average=0.9), "epochs": 2, "batch_size": 20, "seed": 0, "threads": 1,
            "dropout": 0.1, "validation": 0.2}


class Python:
    """Allocations of Python objects and what else goes through its allocators."""

    def __init__(self):
        import _testcapi
        self._fail, self._end = _testcapi.set_nomemory, _testcapi.remove_mem_hooks

    def fail(self, k):
        self._fail(k, k + 1)

    def end(self):
        self._end()


class NumPy:
    """What NumPy asks malloc for itself."""

    def __init__(self):
        self._shim = ctypes.CDLL(None)

    def fail(self, k):
        self._shim.fail_allocation(ctypes.c_long(k))

    def end(self):
        self.fail(0)


def works(folder):
    """What is tried: a network, the work, and a check of what it made or left."""
    (X, y), _ = fastsgd.datasets.digits()
    X, y = X[:100], y[:100]
    net = fastsgd.Network([64, 16, 10], seed=0)
    first = net.params.copy()
    fastsgd.train(net, X, y, **SETTINGS)
    trained, path = net.params.copy(), folder / "net"
    outputs = net.predict(X)
    net.save(path)
    content = path.read_bytes()

    def check(result, done):
        net.params = trained
        assert (net.predict(X) == outputs).all()
        net.params = first
        fastsgd.train(net, X, y, **SETTINGS)
        assert (net.params == trained).all()
        assert path.read_bytes() == content
        assert os.listdir(folder) == ["net"]

    def train():
        net.params = first
        fastsgd.train(net, X, y, **SETTINGS)
        return net.params

    def check_train(result, done):
        assert not done or (net.params == trained).all()
        check(result, done)

    def check_predict(result, done):
        assert not done or (result == outputs).all()
        check(result, done)

    def check_load(result, done):
        assert not done or (result.params == trained).all()
        check(result, done)

    return {"train": (train, check_train), "predict": (lambda: net.predict(X), check_predict),
            "save": (lambda: net.save(path), check), "load": (lambda: fastsgd.Network.load(path), check_load)}


ROUNDS, REPEATED = 8, 40
DONE, REFUSED, INTERPRETER, OTHER, WRONG = range(5)


def is_of_the_interpreter(error):
    """Whether it is what CPython or NumPy make of missing memory where they forget to look, or to say so."""
    said = str(error)
    return isinstance(error, SystemError) or "can't allocate" in said or said.endswith("PathLike object, not PosixPath")


def attempt(allocator, k, work, check):
    """In a child: how the work ended with its k-th allocation failed."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    code, result = WRONG, None
    try:
        allocator.fail(k)
        try:
            result = work()
            code = DONE
        except MemoryError:
            code = REFUSED
        except BaseException as error:
            code, result = INTERPRETER if is_of_the_interpreter(error) else OTHER, error
        allocator.end()
        if code in (INTERPRETER, OTHER):
            print(f"allocation {k}: {type(result).__name__}: {result}", file=sys.stderr)
        check(result, code == DONE)
    except BaseException:
        code = WRONG
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)


def fail_all(allocator, work, check, stride, most):
    """How often work ended how, with every stride-th allocation failed until so many in turn changed nothing."""
    found, quiet, k = collections.Counter(), 0, 1
    while quiet < 100 // stride + 10 and k < most:
        code = attempt(allocator, k, work, check)
        found[code] += 1
        quiet = quiet + 1 if code == DONE else 0
        k += stride
    return found


class Held(ctypes.Structure):
    """What malloc tells of itself: mallinfo2 of the GNU C library."""

    _fields_ = [(name, ctypes.c_size_t) for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks",
                                                     "fsmblks", "uordblks", "fordblks", "keepcost")]


def held():
    """Python's blocks and malloc's bytes in use."""
    ask = ctypes.CDLL(None).mallinfo2
    ask.restype = Held
    gc.collect()
    told = ask()
    return np.array([sys.getallocatedblocks(), told.uordblks + told.hblkhd])


def attempt_again(allocator, k, work):
    """In a child: how many blocks and bytes the work leaves behind each time its k-th allocation fails, and where."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(ours)
        before, where, grown = None, "", []
        for _ in range(ROUNDS):                 # free lists and caches fill meanwhile
            for _ in range(REPEATED):
                try:
                    allocator.fail(k)
                    try:
                        work()
                    finally:
                        allocator.end()
                except BaseException as error:
                    where = f"{type(error).__name__} at " + " ".join(
                        f"{os.path.basename(line.filename)}:{line.lineno}"
                        for line in traceback.extract_tb(error.__traceback__)[2:][-3:])
                    del error
            now = held()
            if before is not None:
                grown.append((now - before) / REPEATED)
            before = now
        os.write(theirs, json.dumps([*np.min(grown, axis=0), where]).encode())
        os._exit(0)
    os.close(theirs)
    with open(ours, "rb") as pipe:
        *grown, where = json.load(pipe)
    os.waitpid(pid, 0)
    return np.array(grown), where


def leaks(allocator, name, work, stride, most):
    """How many failed allocations of work left something behind, each time; each is printed."""
    for _ in range(200):
        work()
    tried, found, quiet = 0, 0, 0
    for k in range(1, most, stride):
        grown, where = attempt_again(allocator, k, work)
        tried, quiet = tried + 1, 0 if where else quiet + 1
        if where and (grown >= (1, 64)).any():
            found += 1
            print(f"  {name}, allocation {k}: {grown[0]:.1f} blocks, {grown[1]:.0f} bytes each time, {where}",
                  flush=True)
        if quiet > 100 // stride + 10:
            break
    return tried - quiet, found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stride", type=int, default=1, help="fail each so-manieth allocation only")
    parser.add_argument("--count", type=int, default=20_000, help="go up to this allocation at most")
    parser.add_argument("--allocator", choices=["python", "numpy"], default="python")
    parser.add_argument("--leaks", action="store_true", help="does work that fails again and again keep memory?")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as parent:
        if options.allocator == "numpy" and not hasattr(ctypes.CDLL(None), "fail_allocation"):
            start_again(SHIM, Path(parent))
        folder = Path(parent) / "in"
        folder.mkdir()
        allocator, bad = (NumPy if options.allocator == "numpy" else Python)(), 0
        for name, (work, check) in works(folder).items():
            begin = time.monotonic()
            if options.leaks:
                tried, found = leaks(allocator, name, work, options.stride, options.count)
                print(f"{name}, {options.allocator}: {tried} failed again and again, {found} of them kept memory; "
                      f"{time.monotonic() - begin:.0f} s", flush=True)
                continue
            found = fail_all(allocator, work, check, options.stride, options.count)
            others = {code: n for code, n in found.items() if code not in (DONE, REFUSED, INTERPRETER)}
            bad += sum(others.values())
            print(f"{name}, {options.allocator}: {found.total()} tried, {found[REFUSED]} MemoryError, {found[DONE]} "
                  f"done all the same, {found[INTERPRETER]} errors of CPython's or NumPy's making, others {others}; "
                  f"{time.monotonic() - begin:.0f} s", flush=True)
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
