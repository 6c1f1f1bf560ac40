"""May many threads predict with one network at once, also where Python has no lock that keeps them apart?"""
import sys
import sysconfig
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fastsgd

THREADS = 32


@pytest.mark.skipif(not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="needs a free-threaded CPython")
def test_importing_leaves_the_lock_off():
    assert not sys._is_gil_enabled()


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
@pytest.mark.parametrize("rows", [1, 40, 200])
def test_threads_that_start_together_get_the_answers_of_one(rows, dtype):
    net = fastsgd.Network([64, 32, 10], seed=0)
    blocks = np.random.default_rng(0).integers(0, 256, (THREADS, rows, 64)).astype(dtype)
    expected = [net.predict(block) for block in blocks]
    for _ in range(20):                              # each with no plan made yet, or one
        net, start = net.copy(), threading.Barrier(THREADS)
        predictor = net.compile_predictor(rows, input_dtype=dtype)

        def answers(block, net=net, predictor=predictor, start=start):
            start.wait(timeout=60)
            return [predict(block) for predict in (net.predict, predictor) for _ in range(10)]

        with ThreadPoolExecutor(THREADS) as pool:
            for found, right in zip(pool.map(answers, blocks), expected, strict=True):
                for answer in found:
                    np.testing.assert_array_equal(answer, right)
