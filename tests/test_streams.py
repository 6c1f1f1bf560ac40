"""Do rows of a stream arrive once each, mixed, in bounded memory, and is a broken stream told of in words?"""
import sys
import threading
import time

import numpy as np
import pytest
from test_checkpoint import interrupt_after

import fastsgd
from fastsgd.runs import callbacks, checkpoint

pytestmark = pytest.mark.filterwarnings("ignore:nothing was trained")        # by runs resumed at their end


def net_of(**arguments):
    return fastsgd.Network([64, 24, 10], seed=0, **arguments)


def batches_of(X, y, size, weight=None):
    def batches(epoch):
        for first in range(0, X.shape[0], size):
            rows = slice(first, first + size)
            yield (X[rows], y[rows]) if weight is None else (X[rows], y[rows], weight[rows])
    return batches


@pytest.mark.parametrize("window", [100, 333, 10**6])
@pytest.mark.parametrize("size", [1, 37, 400, 2000])
def test_a_stream_is_all_rows_in_windows(digits, size, window):
    (X, y), _ = digits
    net, by_hand = net_of(), net_of()
    history = fastsgd.train_stream(net, batches_of(X, y, size), window=window, seed=5, epochs=2, batch_size=50)
    assert history.steps == 2 * 29
    rng = np.random.default_rng(5)
    for epoch in range(2):
        held, seen = np.empty(0, int), []
        for first in range(0, len(X), size):
            held = np.append(held, np.arange(first, min(first + size, len(X))))
            if len(held) >= window:
                held = held[rng.permutation(len(held))]
                seen.extend(held[:len(held) // 50 * 50])
                held = held[len(held) // 50 * 50:]
        seen.extend(held[rng.permutation(len(held))] if len(held) else [])
        assert sorted(seen) == list(range(len(X)))
        parts = [seen[i:i + 50] for i in range(0, len(X), 50)]
        costs = [by_hand.step(X[rows], y[rows], fastsgd.SGD(0.1)) for rows in parts]
        assert history.cost[epoch] == pytest.approx(np.average(costs, weights=[len(rows) for rows in parts]), rel=1e-6)
    np.testing.assert_array_equal(net.params, by_hand.params)


def test_a_stream_in_one_window_gives_the_metrics_of_its_rows(digits):
    (X, y), (X_test, y_test) = digits
    weight = np.random.default_rng(0).random(len(X))
    for net, targets in ((net_of(), y), (fastsgd.Network([64, 8, 2], loss="squared_error", seed=0), X[:, 10:12] + 1e3)):
        start = net.copy()
        history = fastsgd.train_stream(net, batches_of(X, targets, 200, weight), optimizer=fastsgd.SGD(0.0))
        cost, metric = start.evaluate(X, targets, sample_weight=weight)
        assert history.cost[0] == pytest.approx(cost, rel=1e-5)
        assert history.metric[0] == pytest.approx(metric, rel=1e-4)
    net = net_of()
    history = fastsgd.train_stream(net, batches_of(X, y, 100), epochs=20, seed=0, validation=(X_test, y_test),
                                   optimizer=fastsgd.SGD(fastsgd.schedules.OneCycle(0.3)), rows=len(X),
                                   callbacks=[fastsgd.EarlyStopping(20)], dropout=0.1, class_weight={0: 2.0})
    assert history.validation_metric[-1] > 0.95


def test_sparse_and_byte_rows_stream_too(digits):
    sparse = pytest.importorskip("scipy.sparse")
    (X, y), _ = digits
    dense, thin, small = net_of(), net_of(), net_of(input_scale=1 / 16)
    bytes_ = (X * 16).astype(np.uint8)
    for net, rows in ((dense, X), (thin, sparse.csr_matrix(X)), (small, bytes_)):
        fastsgd.train_stream(net, batches_of(rows, y, 123), window=300, seed=0, rows=1000)
    np.testing.assert_array_equal(thin.params, dense.params)
    np.testing.assert_allclose(small.params, dense.params, atol=1e-5)


def test_a_stream_goes_on_to_the_same_bits(digits, tmp_path):
    (X, y), (X_test, y_test) = digits
    settings = {"epochs": 3, "seed": 3, "validation": (X_test, y_test), "evaluate_every": 4, "window": 300,
                "optimizer": fastsgd.SGD(0.1, momentum=0.9, average=0.9)}
    net = net_of()
    expected = fastsgd.train_stream(net, batches_of(X, y, 77), **settings)
    for steps in (3, 17, expected.steps - 1):
        with pytest.raises(KeyboardInterrupt):
            fastsgd.train_stream(net_of(), batches_of(X, y, 77), **settings, checkpoint=tmp_path / "run.ckpt",
                                 callbacks=[interrupt_after(steps)])
        again = fastsgd.Network([64, 24, 10], seed=1)
        history = fastsgd.train_stream(again, batches_of(X, y, 77), **settings, resume=tmp_path / "run.ckpt")
        np.testing.assert_array_equal(again.params, net.params)
        assert history.cost == expected.cost


def test_no_more_than_two_windows_are_read_ahead(digits):
    (X, y), _ = digits
    read = []

    def endless(epoch):
        while True:
            read.append(1)
            yield X[:100], y[:100]

    class Slow(fastsgd.Callback):
        def on_evaluation(self, run):
            time.sleep(0.02)
            assert 100 * len(read) - run.steps * 50 <= 3 * 500 + 100
            run.stop = run.steps >= 60

    history = fastsgd.train_stream(net_of(), endless, batch_size=50, window=500, validation=(X, y), evaluate_every=1,
                                   callbacks=[Slow()])
    assert (history.stopped, history.steps, history.epochs) == (True, 60, 0)
    for _ in range(40):
        if not any("reads ahead" in thread.name for thread in threading.enumerate()):
            break
        time.sleep(0.05)
    assert not any("reads ahead" in thread.name for thread in threading.enumerate())


def test_a_time_limit_and_a_checkpoint_do_not_wait_for_the_source(digits, tmp_path, stopped_clock):
    (X, y), _ = digits
    clock, ended = stopped_clock(callbacks, checkpoint), threading.Event()

    def slow(epoch):
        yield X[:500], y[:500]
        ended.wait(60)

    class Clock(fastsgd.Callback):
        def on_rows(self, run):
            clock.now += 0.1 if run.steps == 10 else 0.0

    begin, path = time.monotonic(), tmp_path / "run.ckpt"
    net = net_of()
    history = fastsgd.train_stream(net, slow, batch_size=50, window=500, seed=0,
                                   callbacks=[Clock(), fastsgd.TimeLimit(0.8)],
                                   checkpoint=fastsgd.Checkpoint(path, seconds=0.2))
    assert time.monotonic() - begin < 30
    ended.set()
    assert (history.stopped, history.steps, history.epochs) == (True, 10, 0)
    np.testing.assert_array_equal(fastsgd.Network.load(path).params, net.params)


def test_a_stop_at_the_last_step_of_a_slow_stream_enters_its_epoch_once(digits, tmp_path):
    (X, y), _ = digits
    opened, path = [], tmp_path / "run.ckpt"

    def slow(epoch):
        opened.append(epoch)
        for first in (0, 500):
            time.sleep(0.3)
            yield X[first:first + 500], y[first:first + 500]

    def run(*more, **arguments):
        stopping = fastsgd.EarlyStopping(1, min_delta=100.0)
        return fastsgd.train_stream(net_of(), slow, rows=1000, batch_size=100, window=500, epochs=9, seed=0,
                                    validation=(X, y), evaluate_every=5, callbacks=[stopping, *more], **arguments)

    expected = run()
    with pytest.raises(KeyboardInterrupt):
        run(interrupt_after(10, ["on_epoch"]), checkpoint=path)
    opened.clear()
    history = run(resume=path)
    assert (history.epochs, history.steps, history.cost) == (1, 10, expected.cost)
    assert opened == [1]


def breaking(X, y, how):
    def batches(epoch):
        for count, first in enumerate(range(0, 1000, 100), 1):
            if count == 7:
                if how == "raises":
                    raise OSError("the line went dead")
                if how == "ends":
                    return
                yield {"columns": (X[first:first + 100, :60], y[first:first + 100]), "alone": X[first:first + 100],
                       "labels": (X[first:first + 100], y[first:first + 100] + 9), "three": (X, y, y, y),
                       "nan": (np.full((2, 64), np.nan), [0, 1]), "weight": (X[:3], y[:3], [-1, 0, 1])}[how]
            yield X[first:first + 100], y[first:first + 100]
    return batches


@pytest.mark.parametrize(("how", "error", "message"), [
    ("raises", RuntimeError, "batch 7 of the stream could not be read: OSError: the line went dead"),
    ("ends", ValueError, "the stream ended after batch 6, with 600 of 1,000 rows"),
    ("columns", ValueError, r"batch 7 of the stream: X must have shape \(rows, 64\)"),
    ("labels", ValueError, "batch 7 of the stream: y must be class labels"),
    ("alone", ValueError, r"batch 7 of the stream must be \(X, y\) or \(X, y, sample_weight\), got ndarray"),
    ("three", ValueError, r"batch 7 of the stream must be \(X, y\) or \(X, y, sample_weight\), got tuple"),
    ("nan", ValueError, r"batch 7 of the stream: X\[0, 0\] is nan"),
    ("weight", ValueError, "batch 7 of the stream: sample_weight must not be negative"),
])
def test_a_stream_that_breaks_names_the_batch_and_leaves_the_checkpoint_good(digits, tmp_path, how, error, message):
    (X, y), _ = digits
    net, path = net_of(), tmp_path / "run.ckpt"
    settings = {"window": 100, "batch_size": 50, "seed": 0, "rows": 1000}
    with pytest.raises(error, match=message):
        fastsgd.train_stream(net, breaking(X, y, how), **settings, checkpoint=fastsgd.Checkpoint(path, steps=1))
    np.testing.assert_array_equal(fastsgd.Network.load(path).params, net.params)
    history = fastsgd.train_stream(net_of(), batches_of(X, y, 100), **settings, resume=path)
    whole = net_of()
    expected = fastsgd.train_stream(whole, batches_of(X, y, 100), **settings)
    assert history.cost == expected.cost


@pytest.mark.parametrize(("arguments", "error", "message"), [
    ({"source": 3}, TypeError, "source must be an iterable of batches or a function that returns one, got 3"),
    ({"source": iter([]), "epochs": 2}, ValueError, "source is an iterator, which gives its batches once; for epo"),
    ({"source": lambda epoch: None}, TypeError, "source must return an iterable of batches, got NoneType for epoch 1"),
    ({"source": lambda epoch: 1 / 0}, RuntimeError, "the source of epoch 1 could not be opened: ZeroDivisionError"),
    ({"source": []}, ValueError, "the stream of epoch 1 has no rows"),
    ({"validation": 0.1}, ValueError, r"validation must be rows, \(X, y\): a stream has none to hold out, got 0.1"),
    ({"batch_size": None}, TypeError, "batch_size must be a whole number, got None"),
    ({"rows": 0}, ValueError, "rows must be at least 1, got 0"),
    ({"window": 1.5}, TypeError, "window must be a whole number, got 1.5"),
    ({"class_weight": "balanced"}, ValueError, "class_weight must be a dict or a sequence, as a stream is not known"),
    ({"shuffle": "rows"}, TypeError, "shuffle must be True or False, got 'rows'"),
    ({"optimizer": fastsgd.SGD(fastsgd.schedules.Cosine(0.1))}, ValueError, "does not know how many steps there"),
])
def test_bad_arguments(digits, arguments, error, message):
    (X, y), _ = digits
    net = net_of()
    before = net.params.copy()
    with pytest.raises(error, match=message):
        fastsgd.train_stream(net, **{"source": batches_of(X, y, 100), **arguments})
    assert (net.params == before).all()


def test_small_integers_of_numpy_and_other_weights_of_classes(digits, tmp_path):
    (X, y), _ = digits
    nets, path = [net_of(), net_of()], tmp_path / "run.ckpt"
    fastsgd.train_stream(nets[0], batches_of(X, y, 100), rows=1000, batch_size=100, window=200, seed=0)
    fastsgd.train_stream(nets[1], batches_of(X, y, 100), rows=np.int16(1000), batch_size=np.int16(100),
                         window=np.uint8(200), seed=0)
    np.testing.assert_array_equal(nets[0].params, nets[1].params)
    fastsgd.train(nets[0], X, y, batch_size=200, accumulate=np.uint8(2), validation=0.2, evaluate_every=np.int8(3),
                  epochs=np.int8(40), checkpoint=fastsgd.Checkpoint(path, steps=3.0), seed=0)
    fastsgd.train_stream(nets[0], batches_of(X, y, 100), class_weight=[1] * 10, checkpoint=path, seed=0)
    with pytest.raises(ValueError, match=r"; class_weight: \[1, .*\] in the checkpoint, \[2, .*\] here"):
        fastsgd.train_stream(nets[0], batches_of(X, y, 100), class_weight=[2] * 10, epochs=2, resume=path, seed=0)


def test_weights_of_classes_in_a_stream_count_as_those_of_rows(digits):
    (X, y), _ = digits
    weights = np.linspace(0.1, 2, 10)
    for more in ({}, {"loss": "hinge"}):
        by_class, by_row = (fastsgd.Network([64, 10], seed=0, **more) for _ in range(2))
        fastsgd.train_stream(by_class, batches_of(X, y, 100), class_weight=weights, shuffle=False)
        if more:                            # one-vs-rest: the weight of a class is that of its own output's 1
            fastsgd.train(by_row, X, y, class_weight=weights, shuffle=False, epochs=1)
        else:
            fastsgd.train_stream(by_row, batches_of(X, y, 100, weights[y]), shuffle=False)
        np.testing.assert_array_equal(by_class.params, by_row.params)
    with pytest.raises(ValueError, match="class_weight"):
        fastsgd.train_stream(fastsgd.Network([64, 10], loss="hinge"), batches_of(X, y, 100), class_weight=weights[:9])


def test_an_iterator_serves_one_epoch_and_a_source_may_know_its_rows(digits):
    (X, y), _ = digits
    nets = [net_of(), net_of()]
    histories = [fastsgd.train_stream(net, source, seed=0) for net, source in
                 zip(nets, (batches_of(X, y, 100)(1), batches_of(X, y, 100)), strict=True)]
    assert [history.steps for history in histories] == [15, 15]
    np.testing.assert_array_equal(nets[0].params, nets[1].params)

    class Knows:
        rows = 300

        def __iter__(self):
            return batches_of(X, y, 100)(1)

    assert fastsgd.train_stream(net_of(), Knows(), seed=0).steps == 3
    assert fastsgd.train_stream(net_of(), Knows(), seed=0, rows=200).steps == 2


@pytest.fixture
def parquet(digits, tmp_path):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet as pq
    (X, y), _ = digits
    table = pa.table({**{f"pixel {i}": X[:, i] for i in range(64)}, "digit": y, "weight": np.ones(len(X))})
    (tmp_path / "rows").mkdir()
    for part in range(3):
        pq.write_table(table.slice(part * 500, 500), tmp_path / "rows" / f"{part}.parquet", row_group_size=90)
    return tmp_path / "rows"


def test_parquet_files(digits, parquet):
    (X, y), test = digits
    pixels = [f"pixel {i}" for i in range(64)]
    source = fastsgd.streams.arrow(parquet, "digit", columns=pixels, sample_weight="weight", seed=None, batch_rows=64)
    assert source.rows == len(X)
    net, twin = net_of(), net_of()
    fastsgd.train_stream(net, source, epochs=2, seed=0, window=200)
    fastsgd.train_stream(twin, batches_of(X, y, 64), epochs=1, seed=0, window=10**6, shuffle=False)
    parts = list(source(1))
    np.testing.assert_array_equal(np.concatenate([part[0] for part in parts]), X)
    np.testing.assert_array_equal(np.concatenate([part[1] for part in parts]), y)
    mixed = fastsgd.streams.arrow(parquet, "digit", columns=pixels, seed=1)
    first, again, other = ([part[1].tolist() for part in mixed(epoch)] for epoch in (1, 1, 2))
    assert first == again != other
    history = fastsgd.train_stream(net_of(), mixed, epochs=15, seed=0, validation=test, batch_size=50,
                                   optimizer=fastsgd.Adam(fastsgd.schedules.Cosine(0.01)))
    assert history.validation_metric[-1] > 0.95
    assert fastsgd.streams.arrow(sorted(parquet.iterdir()), "digit").columns == [*pixels, "weight"]


def test_parquet_files_that_cannot_be_used(parquet, tmp_path):
    import pyarrow as pa
    from pyarrow import parquet as pq
    with pytest.raises(FileNotFoundError, match="nowhere"):
        fastsgd.streams.arrow(tmp_path / "nowhere", "digit")
    with pytest.raises(ValueError, match=r"the data have no column 'number'; they have 'pixel 0', "):
        fastsgd.streams.arrow(parquet, "number")
    pq.write_table(pa.table({"a": ["x", "y"], "y": [0, 1]}), tmp_path / "text.parquet")
    with pytest.raises(ValueError, match="columns must hold numbers, but 'a' holds string; give"):
        fastsgd.streams.arrow(tmp_path / "text.parquet", "y", columns=["a"])
    pq.write_table(pa.table({"a": [1.0, None], "y": [0, 1]}), tmp_path / "missing.parquet")
    with pytest.raises(RuntimeError, match="batch 1 of the stream could not be read: ValueError: column 'a' has 1"):
        fastsgd.train_stream(fastsgd.Network([1, 2]), fastsgd.streams.arrow(tmp_path / "missing.parquet", "y"))


@pytest.mark.parametrize("kind", ["array", "memoryview", "pandas", "torch"])
def test_a_source_may_use_its_arrays_again(digits, kind):
    (X, y), _ = digits
    wrapped = {"array": lambda array: array, "memoryview": memoryview,
               "pandas": lambda array: pytest.importorskip("pandas").DataFrame(array, copy=False),
               "torch": lambda array: pytest.importorskip("torch").from_numpy(array)}[kind]

    def reuses(epoch):
        rows, labels = np.empty((100, 64), np.float32), np.empty(100, np.int32)
        given = wrapped(rows), wrapped(labels) if kind != "pandas" else labels
        for first in range(0, 1000, 100):
            rows[:], labels[:] = X[first:first + 100], y[first:first + 100]
            yield given

    net, twin = net_of(), net_of()
    fastsgd.train_stream(net, reuses, seed=0, window=100)
    fastsgd.train_stream(twin, batches_of(X[:1000], y[:1000], 100), seed=0, window=100)
    np.testing.assert_array_equal(net.params, twin.params)


def test_batches_of_another_kind_are_refused(digits):
    sparse = pytest.importorskip("scipy.sparse")
    (X, y), _ = digits
    for second in ((sparse.csr_matrix(X[:50]), y[:50]), (X[:50], np.eye(10)[y[:50]])):
        with pytest.raises(ValueError, match=r"batch 2 of the stream: X is .* and y .-D, but before they were float"):
            fastsgd.train_stream(net_of(), [(X[:50], y[:50]), second])


def test_evaluations_within_an_epoch_of_a_stream(digits):
    (X, y), _ = digits
    history = fastsgd.train_stream(fastsgd.Network([64, 10], seed=0), [(X, y)], validation=(X, y), evaluate_every=4)
    assert history.validation_steps == [4, 8, 12]


def test_a_data_set_of_pyarrow_as_a_source(tmp_path, monkeypatch):
    datasets = pytest.importorskip("pyarrow.dataset")
    pa = pytest.importorskip("pyarrow")
    table = pa.table({"a": [1.0, 2.0], "y": [0, 1]})
    datasets.write_dataset([table, table.slice(0, 0)], tmp_path / "d", schema=table.schema, format="parquet")
    source = fastsgd.streams.arrow(datasets.dataset(tmp_path / "d"), "y", seed=None)
    (X, labels), = source(1)
    assert (X.tolist(), labels.tolist()) == ([[1.0], [2.0]], [0, 1])
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"streams\.arrow needs pyarrow: pip install"):
        fastsgd.streams.arrow(tmp_path, "y")


def test_a_source_may_use_its_targets_again():
    rng = np.random.default_rng(0)
    X, y = rng.random((400, 3), np.float32), rng.random((400, 2), np.float32)

    def reuses(epoch):
        held = np.empty((100, 2), np.float32)
        for first in range(0, 400, 100):
            held[:] = y[first:first + 100]
            yield X[first:first + 100], held

    nets = [fastsgd.Network([3, 2], loss="squared_error", seed=0) for _ in range(2)]
    for net, source in zip(nets, (reuses, [(X, y)]), strict=True):
        fastsgd.train_stream(net, source, seed=0, window=1000)
    np.testing.assert_array_equal(nets[0].params, nets[1].params)


def test_weights_of_rows_and_classes_multiply_and_none_is_one(digits):
    (X, y), _ = digits
    X, y, weights = X[:200], y[:200], np.linspace(0.1, 2, 10)
    rows = np.linspace(0.5, 1.5, 100)
    mixed, whole = (fastsgd.Network([64, 10], seed=0) for _ in range(2))
    fastsgd.train_stream(mixed, [(X[:100], y[:100], rows), (X[100:], y[100:])], shuffle=False, batch_size=200,
                         class_weight=weights)
    fastsgd.train_stream(whole, [(X, y, np.concatenate([rows, np.ones(100)]) * weights[y])], shuffle=False,
                         batch_size=200)
    np.testing.assert_array_equal(mixed.params, whole.params)
    plain, ones = (fastsgd.Network([64, 10], seed=0) for _ in range(2))
    fastsgd.train_stream(plain, [(X[:100], y[:100], rows), (X[100:], y[100:])], shuffle=False, batch_size=200)
    fastsgd.train_stream(ones, [(X, y, np.concatenate([rows, np.ones(100)]))], shuffle=False, batch_size=200)
    np.testing.assert_array_equal(plain.params, ones.params)


def test_a_stream_that_has_nothing_to_learn_or_to_explain(digits):
    (X, y), _ = digits
    with pytest.raises(ValueError, match="sample_weight and class_weight are 0 throughout the stream"):
        fastsgd.train_stream(fastsgd.Network([64, 10], seed=0), [(X, y, np.zeros(len(X)))])
    history = fastsgd.train_stream(fastsgd.Network([64, 1], loss="squared_error", seed=0), [(X, np.ones(len(X)))])
    assert np.isnan(history.metric[0])
    net = fastsgd.Network([64, 10], loss="hinge", seed=0)
    history = fastsgd.train_stream(net.copy(), [(X, y)], optimizer=fastsgd.SGD(0.0))
    assert history.metric[0] == pytest.approx(net.score(X, y))


def test_columns_and_kinds_of_arrow_files(tmp_path):
    pa = pytest.importorskip("pyarrow")
    from decimal import Decimal

    from pyarrow import feather
    table = pa.table({"a": [1.0, 2.0], "flag": [True, False], "price": [Decimal("0.5"), Decimal("1.25")],
                      "w": [0.5, 1.5], "y": [0, 1]})
    feather.write_feather(table, tmp_path / "rows.arrow", compression="uncompressed")
    source = fastsgd.streams.arrow(tmp_path / "rows.arrow", "y", sample_weight="w", seed=None)
    assert source.columns == ["a", "flag", "price"]
    (X, y, weight), = source(1)
    assert (X.tolist(), y.tolist(), weight.tolist()) == ([[1, 1, 0.5], [2, 0, 1.25]], [0, 1], [0.5, 1.5])
    table = table.append_column("text", [["u", "v"]]).append_column("list", [[[1], [2]]])
    feather.write_feather(table, tmp_path / "rows.arrow", compression="uncompressed")
    with pytest.raises(ValueError, match="but 'text' holds string, 'list' holds list"):
        fastsgd.streams.arrow(tmp_path / "rows.arrow", "y")
    assert fastsgd.streams.arrow(tmp_path / "rows.arrow", "y", columns=["a", "price"]).columns == ["a", "price"]
