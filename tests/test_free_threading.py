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


@pytest.mark.parametrize(("rows", "calls"), [(1, 1000), (17, 10_000), (200, 500)])
def test_threads_that_start_together_get_the_answers_of_one(rows, calls):
    net = fastsgd.Network([4, 3], seed=0)            # so small that calls are mostly about who has which memory
    predictor, start = net.compile_predictor(rows), threading.Barrier(THREADS)
    blocks = np.random.default_rng(0).random((THREADS, rows, 4), dtype=np.float32)
    expected = [net.predict(block) for block in blocks]

    def wrong(number):
        start.wait(timeout=60)
        predict = (net.predict, predictor)[number % 2]
        return sum(predict(blocks[number]).tobytes() != expected[number].tobytes() for _ in range(calls))

    with ThreadPoolExecutor(THREADS) as pool:
        assert sum(pool.map(wrong, range(THREADS))) == 0
