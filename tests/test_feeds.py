"""Do rows of a file arrive once each, well mixed, checked, and in the same order again after a resume?"""
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from test_checkpoint import interrupt_after

import fastsgd
from fastsgd.runs import feeds
from fastsgd.runs.feeds import Blocks, prefetch

pytestmark = pytest.mark.filterwarnings("ignore:nothing was trained")        # by runs resumed at their end


@pytest.fixture(autouse=True)
def small_windows(monkeypatch):
    monkeypatch.setattr(feeds, "BLOCK_BYTES", 64 * 4 * 8)          # eight rows of 64
    monkeypatch.setattr(feeds, "WINDOW_BYTES", 64 * 4 * 200)


def mapped(path, array):
    np.save(path, array)
    return np.load(path, mmap_mode="r")


def blocks_of(rows, batch_size, chosen=None, dtype=np.float32):
    X = np.arange(rows, dtype=dtype)[:, np.newaxis].repeat(64, axis=1)
    return Blocks(X, np.arange(rows), None, chosen, batch_size, lambda score: score, np.dtype("float32"))


def read(items):
    """The items of ``prefetch``, without the None that it gives on a slow machine while none is ready."""
    return (item for item in items if item is not None)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("rows", "batch_size"), [(1003, 7), (1003, 150), (1003, 400), (15, 4), (3, 2)])
def test_every_row_comes_once_in_whole_batches(rows, batch_size, dtype):
    chosen = np.sort(np.random.default_rng(1).permutation(rows)[:rows * 2 // 3])
    for which in (None, chosen):
        feed = blocks_of(rows, batch_size, which, dtype)
        segments = list(read(feed.epoch(1, np.random.default_rng(0), 0)))
        assert all(len(segment) % feed.batch_size == 0 for segment in segments[:-1])
        seen = np.concatenate([segment.y[segment.order] if segment.order is not None else segment.y
                               for segment in segments])
        assert sorted(seen) == list(range(rows) if which is None else which)
        assert rows < 20 or (seen != np.sort(seen)).mean() > 0.9
        for segment in segments:
            X = segment.X[segment.order] if segment.order is not None else segment.X
            y = segment.y[segment.order] if segment.order is not None else segment.y
            np.testing.assert_array_equal(X[:, 5], y)
        steps = -(-feed.rows // feed.batch_size)
        for skipped in range(0, steps, max(1, steps // 5)):
            rest = [segment.y[segment.order] if segment.order is not None else segment.y
                    for segment in read(feed.epoch(1, np.random.default_rng(0), skipped))]
            np.testing.assert_array_equal(np.concatenate(rest), seen[skipped * feed.batch_size:])


def test_batches_of_a_sorted_file_are_mixed_as_promised():
    """The variance of a batch's make-up is at most 1 + B / K times that of a full shuffle; K blocks make a window."""
    rows, batch_size = 40_000, 20
    feed = blocks_of(rows, batch_size)
    assert (feed._block, feed._window) == (8, 200)
    kind = np.arange(rows) < rows // 2                 # the worst: the first half of the file is of one kind
    shares = []
    rng = np.random.default_rng(0)
    for _ in range(5):
        seen = np.concatenate([segment.order for segment in read(feed.epoch(1, rng, 0))])
        shares.append(kind[seen].reshape(-1, batch_size).mean(axis=1))
    full = [kind[rng.permutation(rows)].reshape(-1, batch_size).mean(axis=1) for _ in range(5)]
    ratio = np.var(shares) / np.var(full)
    assert 1.1 < ratio < 1.05 * (1 + batch_size / 25)
    assert np.mean(shares) == pytest.approx(0.5)


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", ">f4", "int16"])
def test_training_on_a_file_is_training(digits, tmp_path, dtype):
    (X, y), (X_test, y_test) = digits
    scale = 1.0 if dtype != "uint8" else 16.0
    rows = mapped(tmp_path / "X.npy", (X * 16).astype(dtype) if dtype in ("uint8", "int16") else X.astype(dtype))
    net = fastsgd.Network([64, 48, 10], seed=0, input_scale=1 / 16 if dtype in ("uint8", "int16") else 1.0)
    history = fastsgd.train(net, rows, mapped(tmp_path / "y.npy", y), epochs=15, seed=0, validation=0.2,
                            optimizer=fastsgd.SGD(0.1, momentum=0.9), metrics=[lambda y, outputs: len(outputs)])
    assert history.scores["<lambda>"] == [len(X) // 5 + (len(X) % 5 > 2)] * 15
    assert net.score(X_test * scale * (16 / scale if dtype in ("uint8", "int16") else 1), y_test) > 0.93
    assert history.validation_metric[-1] > 0.93
    by_path = fastsgd.Network([64, 48, 10], seed=0)
    by_array = fastsgd.Network([64, 48, 10], seed=0)
    fastsgd.train(by_path, str(tmp_path / "X.npy"), tmp_path / "y.npy", epochs=2, seed=0)
    fastsgd.train(by_array, np.asarray(rows), y, epochs=2, seed=0, shuffle="blocks")
    np.testing.assert_array_equal(by_path.params, by_array.params)


def test_orders(digits):
    (X, y), _ = digits
    nets = {}
    for shuffle in (True, False, "rows", "blocks"):
        nets[shuffle] = fastsgd.Network([64, 10], seed=0)
        fastsgd.train(nets[shuffle], X, y, epochs=1, seed=0, shuffle=shuffle)
    by_hand = fastsgd.Network([64, 10], seed=0)
    for first in range(0, len(X), 100):
        by_hand.step(X[first:first + 100], y[first:first + 100], fastsgd.SGD(0.1))
    np.testing.assert_array_equal(nets[False].params, by_hand.params)
    np.testing.assert_array_equal(nets[True].params, nets["rows"].params)
    assert (nets["blocks"].params != nets["rows"].params).any()
    for wrong in (None, "all", 1):
        with pytest.raises(ValueError, match="shuffle must be True, False, 'rows' or 'blocks', got"):
            fastsgd.train(by_hand, X, y, shuffle=wrong)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_run_on_a_file_goes_on_to_the_same_bits(digits, tmp_path, dtype):
    (X, y), _ = digits
    X = mapped(tmp_path / "X.npy", X.astype(dtype))
    settings = {"epochs": 3, "seed": 3, "validation": 0.1, "evaluate_every": 4, "optimizer": fastsgd.Adam(0.01)}
    net = fastsgd.Network([64, 24, 10], seed=0)
    expected = fastsgd.train(net, X, y, **settings)
    for steps in (3, 17, expected.steps - 1):
        with pytest.raises(KeyboardInterrupt):
            fastsgd.train(fastsgd.Network([64, 24, 10], seed=0), X, y, **settings, checkpoint=tmp_path / "run.ckpt",
                          callbacks=[interrupt_after(steps)])
        again = fastsgd.Network([64, 24, 10], seed=1)
        history = fastsgd.train(again, X, y, **settings, resume=tmp_path / "run.ckpt")
        np.testing.assert_array_equal(again.params, net.params)
        assert history.cost == expected.cost


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_named_where_it_is_met(digits, tmp_path, value, dtype):
    (X, y), _ = digits
    X = X.astype(dtype)
    X[1234, 56] = value
    net = fastsgd.Network([64, 10], seed=0)
    with pytest.raises(ValueError, match=rf"X\[1234\]\[56\] is {value}; NaN and infinity must be removed"):
        fastsgd.train(net, mapped(tmp_path / "X.npy", X), y)
    assert np.isfinite(net.params).all()


@pytest.mark.parametrize(("X", "error", "message"), [
    (np.zeros((3, 5), "f4"), ValueError, r"X must have shape \(rows, 64\)"),
    (np.zeros((3, 64), "c8"), TypeError, "X must hold real numbers, got dtype complex64"),
    (np.zeros(64, "f4"), ValueError, "X must be 2-D"),
])
def test_bad_files(tmp_path, X, error, message):
    net = fastsgd.Network([64, 10], seed=0)
    with pytest.raises(error, match=message):
        fastsgd.train(net, mapped(tmp_path / "X.npy", X), [0, 1, 2])
    with pytest.raises(FileNotFoundError):
        fastsgd.train(net, tmp_path / "nowhere.npy", [0, 1, 2])
    with pytest.raises(TypeError, match=r"X must hold real numbers or be the path of an .npy file, got .*X.csv"):
        fastsgd.train(net, tmp_path / "X.csv", [0, 1, 2])


def test_the_thread_that_reads_ahead_ends_with_its_reader():
    def numbers():
        yield from range(100)

    before = set(threading.enumerate())              # a slow source of another test may still be awaited

    def reading():
        return any("reads ahead" in thread.name for thread in set(threading.enumerate()) - before)

    assert list(read(prefetch(numbers()))) == list(range(100))
    reader = prefetch(numbers())
    assert next(read(reader)) == 0
    assert reading()
    reader.close()
    for _ in range(50):
        if not reading():
            break
        time.sleep(0.05)
    assert not reading()

    def broken():
        yield 1
        raise ZeroDivisionError("here")

    reader = prefetch(broken())
    assert next(read(reader)) == 1
    with pytest.raises(ZeroDivisionError, match="here"):
        next(read(reader))


@pytest.mark.parametrize("stored", ["float32", "float64", "uint8"])
def test_weights_of_rows_in_blocks_count_as_they_do_in_memory(stored):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 9, (50, 3)).astype(stored)
    y, weight = rng.integers(0, 2, 50), rng.random(50)
    results = []
    for shuffle in ("blocks", "rows"):
        net = fastsgd.Network([3, 4, 2], seed=0)
        history = fastsgd.train(net, X, y, batch_size=None, epochs=2, shuffle=shuffle, sample_weight=weight)
        results.append((net.params.tolist(), history.cost, history.metric))
    assert results[0] == results[1]
    other = fastsgd.Network([3, 4, 2], seed=0)
    fastsgd.train(other, X, y, batch_size=None, epochs=2, shuffle="blocks")
    assert other.params.tolist() != results[0][0]


def test_a_first_row_that_is_bad_is_named():
    X = np.ones((5, 3), np.float32)
    X[0, 1] = np.nan
    with pytest.raises(ValueError, match=r"X\[0\]"):
        fastsgd.train(fastsgd.Network([3, 2]), X, np.zeros(5, int), shuffle="blocks")


def test_what_a_run_that_goes_on_must_find_again(monkeypatch):
    monkeypatch.setattr(feeds, "BLOCK_BYTES", 2**16)
    monkeypatch.setattr(feeds, "WINDOW_BYTES", 2**26)
    X, y = np.arange(80.0).reshape(40, 2), np.zeros(40)
    rows = feeds.Rows(X, y, None, None, 10, float)
    assert rows.describe() == {"rows": 40, "columns": 2, "data": feeds.fingerprint(X, y, None), "shuffle": True}
    assert feeds.Rows(X, y, None, None, 40, float).describe()["shuffle"] is False
    blocks = feeds.Blocks(X, y, None, None, 10, float, np.dtype(float))
    assert blocks.describe()["shuffle"] == "blocks of 4096 rows, windows of 4194304"
    assert feeds.Blocks(X, y, None, None, 10, float, np.dtype(float), False).describe()["shuffle"] == "none"
    one = feeds.Blocks(np.zeros((3, 100_000)), y, None, None, 1, float, np.dtype(float))
    assert one.describe()["shuffle"] == "blocks of 1 rows, windows of 83"


def test_parts_of_rows_as_they_lie():
    X, y = np.arange(10.0)[:, np.newaxis], np.arange(10)
    whole = feeds.Segment(X, y, None, None)
    assert whole.part(0, 10) is whole
    assert whole.part(3, 4).order.tolist() == [3, 4, 5, 6]
    assert feeds.Segment(X, y, None, np.array([7, 1, 5])).part(1, 2).order.tolist() == [1, 5]


def test_files_are_read_in_their_order_where_nothing_is_shuffled(digits, tmp_path):
    (X, y), _ = digits
    nets = [fastsgd.Network([64, 10], seed=0) for _ in range(2)]
    for net, rows in zip(nets, (X, mapped(tmp_path / "X.npy", X)), strict=True):
        fastsgd.train(net, rows, y, epochs=2, seed=0, shuffle=False)
    np.testing.assert_array_equal(nets[0].params, nets[1].params)
    for i, (targets, message) in enumerate(((y[:-1], r"y must have one entry per row of X \(1438\), got 1437"),
                                            (y + 1, "labels"))):
        with pytest.raises(ValueError, match=message):
            fastsgd.train(nets[1], mapped(tmp_path / f"X{i}.npy", X), targets)


def test_a_first_row_that_is_held_out_and_bad_is_named(tmp_path):
    X = np.ones((40, 2), np.float32)
    X[0, 1] = np.nan
    with pytest.raises(ValueError, match=r"^X\[0\] has NaN or infinity"):
        fastsgd.train(fastsgd.Network([2, 2]), mapped(tmp_path / "X.npy", X), np.zeros(40), validation=0.97, epochs=0,
                      seed=0)


def test_a_window_holds_a_batch_at_least():
    assert blocks_of(2000, 700).describe()["shuffle"] == "blocks of 8 rows, windows of 700"
    assert blocks_of(2000, 7).describe()["shuffle"] == "blocks of 8 rows, windows of 200"


FORKING = """
import os, sys, signal
import numpy as np, fastsgd
signal.alarm(20)
rng = np.random.default_rng(0)
X, y = rng.random((20_000, 20), dtype=np.float32), rng.integers(0, 3, 20_000)
if sys.argv[1] == "stream":
    def batches(epoch):
        for first in range(0, len(X), 500):
            yield X[first:first + 500], y[first:first + 500]
    def train(callback):
        fastsgd.train_stream(net, batches, window=500, epochs=50, batch_size=1, seed=0, callbacks=[callback])
else:
    np.save(sys.argv[2], X)
    def train(callback):
        fastsgd.train(net, sys.argv[2], y, epochs=50, batch_size=1, seed=0, callbacks=[callback])
net = fastsgd.Network([20, 8, 3], seed=0)
class Fork(fastsgd.Callback):
    child = None
    def on_rows(self, run):
        if self.child is None:
            self.child = os.fork()
            run.stop = self.child > 0
try:
    train(callback := Fork())
except RuntimeError as error:
    print(error, flush=True)
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(callback.child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.parametrize("kind", ["stream", "file"])
def test_a_child_forked_in_a_callback_is_told_that_nobody_reads_for_it(kind, tmp_path):
    found = subprocess.run([sys.executable, "-P", "-W", "ignore", "-c", FORKING, kind, tmp_path / "X.npy"], check=True,
                           timeout=60, capture_output=True, text=True)
    assert "which a child that is forked during the training does not have" in found.stdout
    assert found.stdout.endswith("\n7\n")
