"""Does a compiled predictor answer like predict, from many threads at once, and refuse what it was not made for?"""
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fastsgd


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rows", [1, 3, 17, 200])
@pytest.mark.parametrize("sizes", [[5, 3], [5, 8, 7, 2], [300, 600, 4], [700, 20, 10]])
def test_the_answers_are_those_of_predict(sizes, rows, dtype):
    rng = np.random.default_rng(0)
    for arguments in ({}, {"input_scale": 0.5, "input_offset": -0.25}, {"input_scale": rng.random(sizes[0])},
                      {"loss": "huber", "output_scale": 1 + rng.random(sizes[-1]), "output_offset": -3}):
        net = fastsgd.Network(sizes, "tanh", seed=0, dtype=dtype, **arguments)
        for density in (1.0, 0.1):
            X = (rng.random((rows, sizes[0])) * 255 * (rng.random((rows, sizes[0])) < density)).astype(np.uint8)
            for threads in (1, 2):
                for input_dtype in (dtype, "uint8"):
                    predictor = net.compile_predictor(rows, input_dtype=input_dtype, threads=threads)
                    given = np.ascontiguousarray(X.astype(input_dtype))
                    out = np.empty((rows, sizes[-1]), dtype)
                    for _ in range(2):
                        np.testing.assert_array_equal(predictor(given), net.predict(given))
                        assert predictor(given, out=out) is out
                        np.testing.assert_array_equal(out, net.predict(given))
                        net.params[:] *= 0.9


def test_many_threads_call_one_predictor(digits):
    (X, _), _ = digits
    net = fastsgd.Network([64, 512, 512, 10], seed=0)
    for rows in (1, 40):
        predictor = net.compile_predictor(rows)
        blocks = [np.ascontiguousarray(X[first:first + rows]) for first in range(0, 400, rows)]
        expected = [net.predict(block) for block in blocks]
        with ThreadPoolExecutor(8) as pool:
            for found, right in zip(pool.map(predictor, blocks * 20), expected * 20, strict=True):
                np.testing.assert_array_equal(found, right)


@pytest.mark.skipif(os.name != "posix", reason="sends itself SIGALRM")
@pytest.mark.parametrize("compiled", [False, True])
def test_ctrl_c_reaches_into_it(compiled):
    X = np.zeros((200_000, 64), np.float32) + np.arange(64, dtype=np.float32)
    net = fastsgd.Network([64, 512, 512, 10], seed=0)
    predictor = net.compile_predictor(len(X)) if compiled else None
    handler = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        begin = time.process_time()
        with pytest.raises(KeyboardInterrupt):          # the whole call takes more than a second
            predictor(X) if predictor else net.compile_predictor(len(X))
        assert time.process_time() - begin < 0.9
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
    if predictor:
        few = net.compile_predictor(200)
        np.testing.assert_array_equal(few(X[:200]), net.predict(X[:200]))


def test_what_it_was_not_made_for():
    net = fastsgd.Network([4, 3], seed=0)
    predictor = net.compile_predictor(2)
    good = np.zeros((2, 4), np.float32)
    for X in (good[:1], good[:, :3], good.astype(float), good.T.copy().T, good.tolist(), np.zeros((2, 2, 4), "f4"),
              np.zeros((), "f4")):
        with pytest.raises(ValueError, match=r"X must be a contiguous array of shape \(2, 4\) and dtype float32, got "):
            predictor(X)
    for out in (np.zeros((2, 3)), np.zeros((2, 2), np.float32), 3, np.zeros((3, 2), np.float32).T):
        with pytest.raises(ValueError, match=r"out must be a contiguous, writeable array of shape \(2, 3\) and dtype"):
            predictor(good, out=out)
    for value in (np.nan, np.inf):
        for rows in (2, 100):
            X = np.zeros((rows, 4), np.float32)
            X[1, 2] = value
            with pytest.raises(ValueError, match="X has a value that is not finite"):
                net.compile_predictor(rows)(X)
    with pytest.raises(ValueError, match="rows must be at least 1, got 0"):
        net.compile_predictor(0)
    with pytest.raises(ValueError, match="input_dtype must be float32 or uint8, got float64"):
        net.compile_predictor(1, input_dtype="float64")


@pytest.mark.parametrize("rows", [2, 300])
def test_it_says_what_it_takes_and_may_write_over_its_rows(rows):
    net = fastsgd.Network([4, 3, 4], seed=0)
    predictor = net.compile_predictor(rows, threads=1)
    assert repr(predictor) == f"<predictor of ({rows}, 4) float32 rows, 4 outputs, 1 thread>"
    X = np.random.default_rng(0).standard_normal((rows, 4), np.float32)
    expected = net.predict(X)
    assert predictor(X, out=X) is X
    np.testing.assert_array_equal(X, expected)
