"""Does a step allocate nothing? A preloaded malloc counts the calls that come from one library.

OpenBLAS is not counted: some of its AVX-512 kernels take a small buffer of their own per product.
"""
import os
import shutil
import subprocess
import sys

import pytest
from soak import preload

COUNTER = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
static long count;
static const char *watched;
extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
static void note(void *caller) {
    Dl_info info;
    if (watched && dladdr(caller, &info) && strstr(info.dli_fname, watched))
        __atomic_add_fetch(&count, 1, __ATOMIC_RELAXED);
}
void *malloc(size_t n) { note(__builtin_return_address(0)); return __libc_malloc(n); }
void *calloc(size_t n, size_t s) { note(__builtin_return_address(0)); return __libc_calloc(n, s); }
void *realloc(void *p, size_t n) { note(__builtin_return_address(0)); return __libc_realloc(p, n); }
void watch(const char *library) { watched = library; count = 0; }
long allocations(void) { return count; }
"""
SCRIPT = """
import ctypes
import numpy as np, fastsgd
from fastsgd.network import checked
from fastsgd.engine import _kernel
from fastsgd.optimizers import StepConfig
counter = ctypes.CDLL(None)
rng = np.random.default_rng(0)
NUMPY, KERNEL = ctypes.c_char_p(b"_multiarray_umath"), ctypes.c_char_p(b"fastsgd/engine/_kernel")
counter.watch(NUMPY)
np.zeros(1000)
assert counter.allocations() > 0, "the counter does not count"
for sizes, activation, optimizer, batch_size, dropout in (
        ([20, 300, 5], "gelu", fastsgd.Adam(), 50, ()), ([20, 30, 5], "relu", fastsgd.SGD(0.01), 50, ()),
        ([20, 30, 5], "relu", fastsgd.SGD(0.01, clip_norm=1, max_norm=1, average=0.9), 50, (0.5,)),
        ([20, 30, 5], "tanh", fastsgd.SGD(0.01, momentum=0.9), 1500, ()),
        ([20, 60, 50, 5], "relu", fastsgd.Muon(), 50, ()), ([20, 30, 5], "relu", fastsgd.ScheduleFreeAdamW(), 50, ())):
    net = fastsgd.Network(sizes, activation, seed=0)
    X, y = checked.check(net, rng.standard_normal((50, 20)), rng.integers(0, 5, 50))
    order = np.zeros(100 * batch_size, dtype=np.int64)
    recipe, state = StepConfig(optimizer, batch_size, dropout, 0, 0.1), optimizer.state(net.params)
    rates = np.full(100, 1e-6)

    def made(library, steps):
        counter.watch(library)
        _kernel.train_epoch(net.architecture, net.params, X, y, order[:steps * batch_size], recipe, state,
                            rates[:steps], np.ones(50), 2)
        return counter.allocations()

    assert made(KERNEL, 100) == 0, sizes
    assert made(NUMPY, 100) < made(NUMPY, 10) + 45, sizes        # some for a pass, none for each step
"""


@pytest.mark.skipif(sys.platform != "linux" or not shutil.which("cc"), reason="needs Linux and a C compiler")
def test_a_step_allocates_nothing(tmp_path):
    library = preload.build(COUNTER, tmp_path)
    if library is None:
        pytest.skip("this C library cannot be counted")
    result = subprocess.run([sys.executable, "-P", "-c", SCRIPT], capture_output=True, text=True,
                            env={**os.environ, "LD_PRELOAD": str(library)})
    assert result.returncode == 0, result.stdout + result.stderr


PEAK = """
import re, sys
import numpy as np, fastsgd

def peak():
    return 1024 * int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])

rows, sizes = 20_000, [784, 1024, 512, 10]
kind = sys.argv[1]
rng = np.random.default_rng(0)
before = peak()
if kind == "bytes":
    X = rng.integers(0, 256, (rows, 784), dtype=np.uint8)
else:
    X = rng.random((rows, 784), dtype=np.float32)
    if kind == "zeros":
        X[:, 100:] = 0
y = rng.integers(0, 10, rows)
net = fastsgd.Network(sizes, seed=0, input_scale=1 / 255 if kind == "bytes" else 1.0)
fastsgd.train(net, X, y, epochs=1, batch_size=256, seed=0)
print(peak() - before, X.nbytes + y.nbytes + 3 * net.params.nbytes + 64 * 2**20)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
@pytest.mark.parametrize("kind", ["floats", "bytes", "zeros"])
def test_a_training_run_takes_little_memory_beside_data_and_parameters(kind):
    result = subprocess.run([sys.executable, "-P", "-c", PEAK, kind], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    taken, allowed = map(int, result.stdout.split())
    assert 0 < taken < allowed
