"""Does train() do what it says: shuffling, batches, history, callbacks, interruption, divergence?"""
import gc
import importlib.util
import io
import json
import os
import signal
import sys
import threading
import time
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from cases import StepConfig
from test_checkpoint import interrupt_after

import fastsgd
from fastsgd import training
from fastsgd.descent import batch_size
from fastsgd.engine import _kernel
from fastsgd.network import checked
from fastsgd.runs import start


def small(digits, rows=250, **arguments):
    (X, y), _ = digits
    return fastsgd.Network([64, 16, 10], seed=0, **arguments), X[:rows], y[:rows]


@pytest.mark.parametrize("kernel", ["fused", "reference"])
def test_epochs_are_shuffled_mini_batch_steps_with_the_last_one_weighted_rightly(digits, kernel):
    net, X, y = small(digits, dtype="float64")
    by_hand = net.copy()
    optimizer = fastsgd.SGD(0.1, momentum=0.9)
    history = fastsgd.train(net, X, y, optimizer=optimizer, batch_size=100, epochs=3, seed=7, kernel=kernel)
    rng = np.random.default_rng(7)
    for epoch in range(3):
        order = rng.permutation(250)
        costs = [by_hand.step(X[rows], y[rows], optimizer) for rows in np.split(order, [100, 200])]
        assert history.cost[epoch] == pytest.approx(np.average(costs, weights=[100, 100, 50]), rel=1e-12)
    np.testing.assert_allclose(net.params, by_hand.params, rtol=1e-11, atol=1e-13)
    assert (history.epochs, history.steps, history.stopped) == (3, 9, False)


@pytest.mark.parametrize("batch_size", [None, 250, 10_000])
def test_full_gradient_descent(digits, batch_size):
    net, X, y = small(digits, dtype="float64")
    expected = net.params.copy()
    for _ in range(4):
        twin = net.copy()
        twin.params[:] = expected
        expected -= 0.5 * twin.gradient(X, y)
    history = fastsgd.train(net, X, y, optimizer=fastsgd.SGD(0.5), batch_size=batch_size, epochs=4)
    np.testing.assert_allclose(net.params, expected, rtol=1e-11, atol=1e-14)
    assert history.steps == 4


def test_the_same_seed_gives_the_same_bits_and_another_does_not(digits):
    nets = []
    for seed in (1, 1, 2, None):
        net, X, y = small(digits)
        fastsgd.train(net, X, y, epochs=2, seed=seed)
        nets.append(net.params)
    assert (nets[0] == nets[1]).all()
    assert (nets[0] != nets[2]).any()
    assert (nets[0] != nets[3]).any()


def test_numpy_global_random_state_is_left_alone(digits):
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    net, X, y = small(digits)
    fastsgd.train(net, X, y, epochs=1)
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


def test_history(digits):
    net, X, y = small(digits)
    _, (X_test, y_test) = digits
    history = fastsgd.train(net, X, y, epochs=3, seed=0, validation=(X_test, y_test))
    for values in (history.cost, history.metric, history.validation_cost, history.validation_metric, history.seconds,
                   history.learning_rate):
        assert len(values) == 3
        assert all(isinstance(value, float) for value in values)
    assert history.metric_name == "accuracy"
    assert (history.validation_cost[-1], history.validation_metric[-1]) == net.evaluate(X_test, y_test)
    assert history.as_dict()["cost"] == history.cost
    assert repr(history).startswith("History(3 epochs, 9 steps")
    assert repr(fastsgd.train(net, X, y, epochs=0)) == "History(no epochs)"


def test_metrics():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 3))
    for loss, y in (("squared_error", X @ [[1.0], [2.0], [3.0]] + 4), ("binary_cross_entropy", X[:, :1] > 0),
                    ("cross_entropy", np.eye(3)[X.argmax(axis=1)]), ("poisson", rng.poisson(np.exp(X[:, :1])))):
        net = fastsgd.Network([3, 16, y.shape[1]], "tanh", loss, seed=0, dtype="float64")
        history = fastsgd.train(net, X, y, optimizer=fastsgd.Adam(0.01), batch_size=20, epochs=60, seed=0)
        a = net.predict(X)
        right = {"squared_error": lambda a=a, y=y: 1 - ((a - y) ** 2).sum() / ((y - y.mean(axis=0)) ** 2).sum(),
                 "poisson": lambda a=a, y=y: 1 - ((a - y) ** 2).sum() / ((y - y.mean(axis=0)) ** 2).sum(),
                 "binary_cross_entropy": lambda a=a, y=y: ((a > 0.5) == y).mean(),
                 "cross_entropy": lambda a=a, y=y: (a.argmax(axis=1) == y.argmax(axis=1)).mean()}[loss]()
        assert net.score(X, y) == pytest.approx(right, rel=1e-9)
        assert net.score(X, y) > (0.2 if loss == "poisson" else 0.9), loss
        assert history.cost[-1] < history.cost[0]


def test_several_quantiles_of_one_quantity():
    rng = np.random.default_rng(0)
    X = np.ones((4000, 1))
    y = rng.standard_normal(4000)
    net = fastsgd.Network([1, 3], loss=fastsgd.losses.Quantile([0.1, 0.5, 0.9]), dtype="float64", seed=0)
    fastsgd.train(net, X, y, optimizer=fastsgd.SGD(lambda step: 1 / (1 + step / 20)), epochs=30, seed=0)
    np.testing.assert_allclose(net.predict(X[:1])[0], np.quantile(y, [0.1, 0.5, 0.9]), atol=0.05)


def test_callbacks_are_called_in_order_and_may_stop_the_run(digits):
    calls = []

    class Watch(fastsgd.Callback):
        def on_start(self, run):
            calls.append(("start", run.epoch))

        def on_epoch(self, run):
            calls.append(("epoch", run.epoch, run.rows_done, len(run.history.cost)))
            run.stop = run.epoch == 2

        def on_end(self, run):
            calls.append(("end", run.epoch))

    net, X, y = small(digits)
    functions = []
    history = fastsgd.train(net, X, y, epochs=9, callbacks=[Watch(), lambda run: functions.append(run.net)])
    assert calls == [("start", 0), ("epoch", 1, 250, 1), ("epoch", 2, 250, 2), ("end", 2)]
    assert functions == [net, net]
    assert history.stopped


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("kernel", ["fused", "reference"])
def test_on_rows_is_called_within_long_epochs_and_what_it_raises_ends_them(kernel, threads):
    rng = np.random.default_rng(0)
    rows = 2_000_000
    X, y = rng.standard_normal((rows, 8), dtype="float32"), rng.integers(0, 3, rows)
    net = fastsgd.Network([8, 16, 3], seed=0)
    seen = []

    class Stop(Exception):
        pass

    class Watch(fastsgd.Callback):
        def on_rows(self, run):
            seen.append(run.rows_done)
            if len(seen) == 2:
                raise Stop

    with pytest.raises(Stop):
        fastsgd.train(net, X, y, batch_size=2, epochs=1, threads=threads, callbacks=[Watch()], kernel=kernel)
    assert 0 < seen[0] < seen[1] < rows
    assert np.isfinite(net.params).all()
    assert np.isfinite(net.cost(X[:1000], y[:1000]))


@pytest.mark.parametrize("threads", [1, 2])
def test_the_network_stands_still_while_on_rows_looks_at_it(threads):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((40_000, 200), dtype="float32"), rng.integers(0, 5, 40_000)
    net = fastsgd.Network([200, 600, 600, 5], seed=0)
    moved = []

    class Look(fastsgd.Callback):
        def on_rows(self, run):
            before = run.net.params.copy()
            time.sleep(0.02)
            moved.append((run.net.params != before).any())
            run.stop = len(moved) >= 4

    fastsgd.train(net, X, y, optimizer=fastsgd.Adam(), epochs=20, threads=threads, callbacks=[Look()])
    assert len(moved) >= 4
    assert not any(moved)


def test_every_callback_that_started_is_ended(digits):
    calls = []

    class Watch(fastsgd.Callback):
        def __init__(self, name):
            self.name = name

        def on_start(self, run):
            if self.name == "c":
                raise RuntimeError("no")
            calls.append("start " + self.name)

        def on_end(self, run):
            calls.append("end " + self.name)
            if self.name == "b":
                raise RuntimeError("neither")

    net, X, y = small(digits)
    with pytest.raises(RuntimeError, match="neither"):
        fastsgd.train(net, X, y, callbacks=[Watch(name) for name in "abc"])
    assert calls == ["start a", "start b", "end b", "end a"]


def test_ctrl_c_reaches_into_one_large_batch():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((300_000, 100), dtype="float32"), rng.integers(0, 5, 300_000)
    net = fastsgd.Network([100, 600, 600, 5], seed=0)
    before = net.params.copy()

    class Stop(fastsgd.Callback):
        def on_rows(self, run):
            assert run.rows_done < len(X)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fastsgd.train(net, X, y, batch_size=None, epochs=1, callbacks=[Stop()])
    assert (net.params == before).all()              # the batch was not complete, so it made no step


@pytest.fixture(scope="module")
def many_rows():
    rng = np.random.default_rng(0)
    return rng.standard_normal((200_000, 100), dtype="float32"), rng.integers(0, 5, 200_000)


@pytest.mark.skipif(os.name != "posix", reason="sends itself SIGALRM")
@pytest.mark.parametrize("what", ["predict", "cost", "gradient", "step", "validation"])
@pytest.mark.parametrize("threads", [1, 2])
def test_ctrl_c_reaches_into_long_calls(many_rows, what, threads):
    X, y = many_rows
    net = fastsgd.Network([100, 2000, 1000, 5], seed=0)
    before = net.params.copy()
    call = {"predict": lambda: net.predict(X, threads=threads), "cost": lambda: net.cost(X, y, threads=threads),
            "gradient": lambda: net.gradient(X, y, threads=threads),
            "step": lambda: net.step(X, y, fastsgd.SGD(0.1), threads=threads),
            "validation": lambda: fastsgd.train(net, X[:9], y[:9], epochs=1, validation=(X, y), threads=threads,
                                                optimizer=fastsgd.SGD(0.0))}[what]
    handler = signal.signal(signal.SIGALRM, signal.default_int_handler)
    begin = time.process_time()
    gc.disable()                                           # an interrupt within its callbacks, as Dask has, is lost
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.raises(KeyboardInterrupt):
            call()
        assert time.process_time() - begin < 1.5           # the whole call takes several seconds
    finally:
        gc.enable()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
    np.testing.assert_array_equal(net.params, before)
    np.testing.assert_array_equal(net.predict(X[:300], threads=threads), net.predict(X[:300], threads=1))


def test_the_gil_is_released(digits):
    net, X, y = small(digits, rows=1000)
    done = threading.Event()
    counted = 0

    def count():
        nonlocal counted
        while not done.is_set():
            counted += 1

    thread = threading.Thread(target=count)
    thread.start()
    try:
        state, rates = fastsgd.SGD(0.01).state(net.params), np.full(2_000_000, 0.01)
        rows, labels = checked.check(net, X, y)
        before = counted
        _kernel.train_epoch(net.architecture, net.params, rows, labels, np.zeros(1_000_000, dtype=np.int64),
                            StepConfig(fastsgd.SGD(0.01), 2), state, rates)
        assert counted > before + 1000
    finally:
        done.set()
        thread.join()


@pytest.mark.skipif(os.name != "posix", reason="sends itself SIGINT")
@pytest.mark.parametrize("threads", [1, 2])
def test_ctrl_c_between_batches_leaves_a_usable_network(threads):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((20_000, 50)).astype("float32"), rng.integers(0, 3, 20_000)
    net = fastsgd.Network([50, 64, 3], seed=0)
    before = net.params.copy()
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        fastsgd.train(net, X, y, batch_size=5, epochs=100_000, threads=threads)
    assert time.monotonic() - begin < 20
    timer.join()
    assert (net.params != before).any()
    assert np.isfinite(net.params).all()
    fastsgd.train(net, X[:100], y[:100], epochs=1)


@pytest.mark.parametrize("kernel", ["fused", "reference"])
@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning", "ignore:invalid:RuntimeWarning")
def test_divergence_says_where_and_keeps_the_last_good_epoch(digits, kernel):
    net, X, y = small(digits, activation="relu")
    kept = []

    def rate(step):
        return 0.1 if step < 6 else 1e20            # two epochs of three steps go well

    with pytest.raises(FloatingPointError, match=r"the cost stopped being finite at step [789], in epoch 3; "
                                                 r"the parameters of the last good epoch are kept\. "
                                                 r"Try a smaller learning rate \(it was 1e\+20\)"):
        fastsgd.train(net, X, y, optimizer=fastsgd.SGD(rate), epochs=5, seed=0, kernel=kernel,
                      callbacks=[lambda run: kept.append(run.net.params.copy())])
    assert len(kept) == 2
    assert (net.params == kept[-1]).all()


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning", "ignore:invalid:RuntimeWarning")
def test_parameters_that_overflow_in_the_very_last_step_are_noticed(digits):
    net, X, y = small(digits)
    before = net.params.copy()
    with pytest.raises(FloatingPointError, match="a parameter stopped being finite at step 1, in epoch 1; the initial "
                                                 "parameters are kept"):
        fastsgd.train(net, X, y, optimizer=fastsgd.SGD(1e38, l1=1e30), batch_size=None, epochs=1)
    assert (net.params == before).all()


def test_a_step_that_diverges_changes_nothing(digits):
    net, X, y = small(digits)
    net.params[:] *= 1e30
    before = net.params.copy()
    with pytest.raises(FloatingPointError, match="nothing was changed"):
        net.step(X, y, fastsgd.SGD(0.1))
    assert (net.params == before).all()


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_writes_lines_and_on_a_terminal_a_bar(digits):
    net, X, y = small(digits)
    for out, bar in ((io.StringIO(), False), (Terminal(), importlib.util.find_spec("tqdm") is not None)):
        fastsgd.train(net, X, y, epochs=2, validation=(X, y), callbacks=[fastsgd.Progress(out)])
        text = out.getvalue()
        assert "rows/s" in text
        assert ("\r" in text) == bar
        if bar:
            assert "epoch 2/2: 100%" in text
            assert "validation cost" in text
        else:
            assert text.count("\n") == 2
            assert text.startswith("epoch 1/2  cost ")
            assert "  validation cost " in text


def test_pickle_and_copy(digits):
    import copy
    import pickle
    net, X, y = small(digits)
    net.metadata["note"] = "kept"
    for twin in (pickle.loads(pickle.dumps(net)), copy.deepcopy(net), net.copy()):
        assert (twin.predict(X) == net.predict(X)).all()
        assert twin.metadata == {"note": "kept"}
        fastsgd.train(twin, X, y, epochs=1)
        assert (twin.params != net.params).any()
        assert twin.params.ctypes.data % 64 == 0
        assert np.shares_memory(twin.weights[0], twin.params)


@pytest.mark.parametrize("optimizer", [
    fastsgd.SGD(0.1, momentum=0.9), fastsgd.Adam(0.01), fastsgd.SGD(0.1, average="polyak"),
    fastsgd.SGD(fastsgd.schedules.InverseScaling(0.1), average=0.9, average_from=20)])
def test_training_goes_on_with_the_state_of_an_earlier_call(digits, optimizer):
    (X, y), _ = digits
    once, twice = (fastsgd.Network([64, 16, 10], seed=0) for _ in range(2))
    fastsgd.train(once, X, y, optimizer=optimizer, epochs=5, shuffle=False)
    state = optimizer.state(twice.params)
    fastsgd.train(twice, X, y, optimizer=optimizer, epochs=2, shuffle=False, state=state)
    history = fastsgd.train(twice, X, y, optimizer=optimizer, epochs=3, shuffle=False, state=state)
    np.testing.assert_array_equal(twice.params, once.params)
    assert history.steps == state.steps == 5 * 15
    assert history.epochs == 3


def test_a_state_that_is_none_is_refused(digits):
    (X, y), _ = digits
    net = fastsgd.Network([64, 16, 10], seed=0)
    with pytest.raises(TypeError, match=r"state must be what optimizer.state\(net.params\) returns, got dict"):
        fastsgd.train(net, X, y, state={})
    with pytest.raises(ValueError, match="state is not one of Adam"):
        fastsgd.train(net, X, y, optimizer=fastsgd.Adam(), state=fastsgd.SGD(0.1, momentum=0.9).state(net.params))


def test_scikit_learns_initial_weights():
    net = fastsgd.Network([50, 40, 3], activation="logistic", init="scikit-learn", seed=0)
    for W, b in zip(net.weights, net.biases, strict=True):
        limit = np.sqrt(2 / sum(W.shape))
        assert 0.9 * limit < abs(W).max() <= limit
        assert 0.3 * limit < abs(b).max() <= limit


def test_penalties_of_the_cost_have_the_gradient_that_the_step_adds():
    optimizer = fastsgd.SGD(1.0, l1=0.1, l2=0.2, alpha=3.0)
    net = fastsgd.Network([2, 2], loss="squared_error", dtype="float64", seed=1)
    X = np.zeros((6, 2))
    W, delta = net.weights[0].copy(), 1e-6
    expected = np.empty_like(W)
    for at in np.ndindex(W.shape):
        steps = [W.copy(), W.copy()]
        steps[0][at] += delta
        steps[1][at] -= delta
        up, down = (optimizer.regularization_cost([step], 6) for step in steps)
        expected[at] = (up - down) / (2 * delta)
    net.step(X, np.tile(net.biases[0], (6, 1)), optimizer)
    np.testing.assert_allclose(W - net.weights[0], expected, rtol=1e-8)


def test_an_automatic_batch_size_is_told_and_kept_by_a_checkpoint(tmp_path, digits):
    (X, y), _ = digits
    def train(epochs, **more):
        net = fastsgd.Network([64, 16, 10], seed=0)
        return net, fastsgd.train(net, X, y, epochs=epochs, seed=0, **more)

    path = tmp_path / "run.ckpt"
    _, history = train(1, batch_size="auto", checkpoint=path)
    assert history.batch_size in batch_size.SERIES
    assert history.steps == -(-len(X) // history.batch_size)
    resumed, again = train(3, batch_size="auto", resume=path)
    assert again.batch_size == history.batch_size
    given, _ = train(3, batch_size=history.batch_size)
    assert (resumed.params == given.params).all()
    for asked, more, message in (("large", {}, "or 'auto', got 'large'"),
                                      ("auto", {"accumulate": 2}, "needs accumulate=1"),
                                      ("auto", {"shuffle": "blocks"}, "needs rows in memory")):
        with pytest.raises(ValueError, match=message):
            train(1, batch_size=asked, **more)


def test_seconds_of_a_run_are_those_of_its_history(tmp_path, digits):
    (X, y), _ = digits
    seen = []

    class Look(fastsgd.Callback):
        def on_start(self, run):
            seen.append((run.seconds, sum(run.history.seconds)))

        on_epoch = on_end = on_start

    path = tmp_path / "run.ckpt"
    fastsgd.train(fastsgd.Network([64, 10], seed=0), X, y, epochs=2, seed=0, checkpoint=path, callbacks=[Look()])
    fastsgd.train(fastsgd.Network([64, 10], seed=0), X, y, epochs=3, seed=0, resume=path, callbacks=[Look()])
    assert len(seen) == 7
    for seconds, of_history in seen:
        assert seconds == pytest.approx(of_history)
    assert 0 == seen[0][0] < seen[1][0] < seen[2][0] == seen[4][0] < seen[5][0]


def test_the_metric_is_that_of_the_rows_trained_on(digits):
    (X, y), _ = digits
    net = fastsgd.Network([64, 1], loss="squared_error", seed=0)
    history = fastsgd.train(net, X, y, optimizer=fastsgd.SGD(0.0), epochs=1, validation=0.5, seed=0, batch_size=None)
    _, chosen = start._split(len(X), 0.5, np.random.default_rng(0))
    assert history.metric[0] == pytest.approx(net.score(X[chosen], y[chosen]), rel=1e-6)
    assert abs(history.metric[0] - net.score(X, y)) > 1e-4


def test_the_seconds_of_an_epoch_are_those_of_all_its_passes(digits, cpu_time):
    (X, y), _ = digits
    shown = []

    class Seconds(fastsgd.Callback):
        def on_evaluation(self, run):
            shown.append(run.seconds)

    history = fastsgd.train(fastsgd.Network([64, 2000, 10], seed=0), X, y, epochs=1, validation=0.5, evaluate_every=1,
                            callbacks=[Seconds()])
    assert len(shown) == 8
    assert all(later > sooner for sooner, later in pairwise(shown))
    assert history.seconds[0] == pytest.approx(shown[-1], rel=0.2)


def test_a_run_that_goes_on_and_diverges_keeps_the_checkpoint(digits, tmp_path):
    (X, y), _ = digits

    def rate(step):
        return 0.1 if step < 10 else 1e30

    settings = {"optimizer": fastsgd.SGD(rate), "epochs": 4, "seed": 0, "checkpoint": tmp_path / "run",
                "validation": 0.5, "evaluate_every": 2}
    with pytest.raises(KeyboardInterrupt):
        fastsgd.train(fastsgd.Network([64, 10], loss="squared_error", seed=0), X, np.eye(10)[y], **settings,
                      callbacks=[interrupt_after(10)])
    net = fastsgd.Network([64, 10], loss="squared_error", seed=0)
    with pytest.raises(FloatingPointError, match="; the parameters of the checkpoint are kept"):
        fastsgd.train(net, X, np.eye(10)[y], **settings, resume=True)
    np.testing.assert_array_equal(net.params, fastsgd.Network.load(tmp_path / "run").params)


def test_blocks_need_an_array():
    with pytest.raises(TypeError, match=r"^shuffle='blocks' needs X to be an array or an \.npy file, got list$"):
        fastsgd.train(fastsgd.Network([2, 2]), [[1, 2]], [0], shuffle="blocks")


def test_a_fraction_whose_rows_count_nothing(digits):
    (X, y), _ = digits
    weight = np.zeros(len(y))
    weight[0] = 1
    with pytest.raises(ValueError, match=r"^sample_weight is 0 for all rows that validation=0.5 has (held out|trained "
                                         r"on)$"):
        fastsgd.train(fastsgd.Network([64, 10]), X, y, validation=0.5, seed=0, sample_weight=weight)
    with pytest.raises(ValueError, match=r"^sample_weight times class_weight is 0 for all rows that validation=0.5 has "
                                         r"trained on$"):
        fastsgd.train(fastsgd.Network([1, 2]), [[0.0], [1.0]], [1, 0], validation=0.5, seed=3, class_weight={1: 0})


@pytest.mark.parametrize(("loss", "outputs", "one_hot"), [
    ("cross_entropy", 2, False), ("cross_entropy", 2, True), ("binary_cross_entropy", 1, False),
    ("binary_cross_entropy", 2, False), ("hinge", 1, False), ("hinge", 2, False)])
def test_class_weights_act_on_training_alone(loss, outputs, one_hot):
    X, y = np.zeros((1000, 1)), (np.arange(1000) % 5 == 0).astype(int)
    weight = np.random.default_rng(0).uniform(0.5, 1.5, 1000)
    labels = np.eye(2)[y] if one_hot else y

    def run(validation, by_stream=False, **more):
        net = fastsgd.Network([1, outputs], loss=loss, dtype="float64")
        net.params = [0, 0, 1, 0] if outputs == 2 else [0, -1]
        settings = {"optimizer": fastsgd.SGD(1e-30), "epochs": 1, "seed": 0, "class_weight": [1, 4], **more}
        if by_stream:
            return net, fastsgd.train_stream(net, [(X, labels)], validation=validation, **settings)
        return net, fastsgd.train(net, X, labels, validation=validation, **settings)

    net, given = run((X, labels))
    assert (given.validation_cost[0], given.validation_metric[0]) == pytest.approx(net.evaluate(X, labels))
    assert given.validation_metric == [pytest.approx(0.8)]
    assert given.cost[0] > given.validation_cost[0]                                       # the weighted one
    _, streamed = run((X, labels), by_stream=True)
    assert streamed.validation_cost == given.validation_cost
    _, part = run(0.5)
    held_out = np.sort(np.random.default_rng(0).permutation(1000)[:500])
    expected = net.evaluate(X[held_out], labels[held_out])
    assert (part.validation_cost[0], part.validation_metric[0]) == pytest.approx(expected)
    _, part = run(0.5, sample_weight=weight)
    expected = net.evaluate(X[held_out], labels[held_out], sample_weight=weight[held_out])
    assert (part.validation_cost[0], part.validation_metric[0]) == pytest.approx(expected)


@pytest.mark.parametrize(("loss", "outputs"), [("cross_entropy", 2), ("binary_cross_entropy", 1), ("hinge", 2)])
def test_balanced_classes_count_the_weights_of_their_rows(loss, outputs):
    rng = np.random.default_rng(0)
    X, y, weight = rng.standard_normal((60, 2)), np.arange(60) % 3 // 2, rng.uniform(0, 2, 60)
    weight[::4] = 0
    nets = []
    for rows in (slice(None), weight > 0):
        net = fastsgd.Network([2, outputs], loss=loss, dtype="float64", seed=0)
        fastsgd.train(net, X[rows], y[rows], sample_weight=weight[rows], class_weight="balanced", batch_size=None,
                      epochs=5, shuffle=False)
        nets.append(net)
    np.testing.assert_allclose(nets[0].params, nets[1].params, rtol=1e-9)


def test_a_weight_that_float32_cannot_hold_is_0_in_the_mean_too():
    params = []
    for light in (5e-39, 0.0):
        net = fastsgd.Network([2, 1], loss="squared_error", seed=0)
        fastsgd.train(net, np.tile(np.eye(2), (2, 1)), np.ones(4), sample_weight=[1, 1, light, 2e-38], batch_size=2,
                      shuffle=False, epochs=1)
        params.append(net.params)
    np.testing.assert_array_equal(*params)


def test_metrics_need_names_of_their_own_and_scikit_learn(digits, monkeypatch):
    (X, y), _ = digits
    net = fastsgd.Network([64, 10])

    def cost(y, outputs):
        return 0.0

    with pytest.raises(ValueError, match=r"metrics: cost is measured in any case, as history.validation_cost; a f"):
        fastsgd.train(net, X, y, validation=0.5, metrics=[cost])
    monkeypatch.setitem(sys.modules, "sklearn.metrics", None)
    with pytest.raises(ImportError, match="metrics: 'f1_macro' is measured by scikit-learn: pip install"):
        fastsgd.train(net, X, y, validation=0.5, metrics=["f1_macro"])


def test_scores_of_one_hot_rows_are_those_of_their_labels(digits):
    pytest.importorskip("sklearn")
    (X, y), _ = digits
    scores = []
    for targets in (y, np.eye(10)[y]):
        history = fastsgd.train(fastsgd.Network([64, 10], seed=0), X, targets, epochs=1, seed=0, validation=0.5,
                                metrics=["f1_macro"])
        scores.append(history.scores["f1_macro"])
    assert scores[0] == scores[1]


def test_numbers_mapped_from_a_file_are_named_where_they_are_wrong(tmp_path):
    X, y = np.ones((40, 2), np.float32), np.zeros(40)
    X[7, 1] = np.inf
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", y)
    with pytest.raises(ValueError, match=r"^X\[7\] has NaN or infinity, which must be removed or filled first$"):
        fastsgd.train(fastsgd.Network([2, 2]), tmp_path / "X.npy", tmp_path / "y.npy", validation=0.97, epochs=0,
                      seed=0)
    with pytest.raises(TypeError, match=r"^y must hold real numbers or be the path of an \.npy file, got 'y\.csv'$"):
        fastsgd.train(fastsgd.Network([2, 2]), tmp_path / "X.npy", "y.csv")


def test_what_is_asked_of_the_search_for_a_batch_size(digits, monkeypatch):
    (X, y), _ = digits
    net, optimizer, asked = fastsgd.Network([64, 10], seed=0), fastsgd.Adam(0.01), []

    def suggest(*arguments, **keywords):
        asked.append((arguments, keywords))
        return SimpleNamespace(batch_size=30)

    monkeypatch.setattr("fastsgd.descent.suggest_batch_size", suggest)
    assert fastsgd.train(net, X, y, optimizer=optimizer, batch_size="auto", epochs=1, threads=1).batch_size == 30
    (given_net, given_X, given_y, given_optimizer), keywords = asked[0]
    assert given_net is net
    assert given_optimizer is optimizer
    assert (len(given_X), len(given_y), keywords) == (len(X), len(y), {"seconds": training.AUTO_SECONDS, "seed": 0,
                                                                            "threads": 1})


def test_a_run_that_is_stopped_in_its_second_epoch_counts_the_rows_of_that():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((600_000, 8), dtype="float32"), rng.integers(0, 3, 600_000)
    stop = fastsgd.Callback()
    met = []

    def on_rows(run):
        run.stop = run.epoch == 2

    stop.on_rows, stop.on_end = on_rows, lambda run: met.append(run.rows_done)
    history = fastsgd.train(fastsgd.Network([8, 16, 3], seed=0), X, y, batch_size=2, epochs=3, threads=1,
                            callbacks=[stop])
    assert 300_000 < history.steps < 600_000
    assert met == [2 * (history.steps - 300_000)]


@pytest.mark.parametrize(("threads", "adapts"), [(None, True), (1, False), (2, False)])
def test_only_threads_that_were_not_asked_for_may_be_fewer(digits, monkeypatch, threads, adapts):
    net, X, y = small(digits)
    told, train_epoch = [], _kernel.train_epoch

    def told_of(*arguments):
        told.append(arguments[-1])
        return train_epoch(*arguments)

    monkeypatch.setattr(_kernel, "train_epoch", told_of)
    fastsgd.train(net, X, y, threads=threads, epochs=2)
    assert told == [adapts, adapts]


def test_rows_held_out_leave_one_at_least(digits):
    net, X, y = small(digits)
    for rows, fraction, left in ((3, 0.99, 1), (3, 0.01, 2), (2, 0.5, 1)):
        history = fastsgd.train(net, X[:rows], y[:rows], validation=fraction, batch_size=1, epochs=1)
        assert history.steps == left
    with pytest.raises(ValueError, match=r"^validation=0\.5 leaves nothing of 1 row to train on$"):
        fastsgd.train(net, X[:1], y[:1], validation=0.5)
    with pytest.raises(ValueError, match=r"^validation X must have shape"):
        fastsgd.train(net, X, y, validation=(X[:, :3], y))


def test_weights_whose_product_is_none(digits):
    net, X, y = small(digits)
    with pytest.raises(ValueError, match=r"^sample_weight times class_weight"), np.errstate(over="ignore"):
        fastsgd.train(net, X, y, sample_weight=np.full(len(y), 1e200), class_weight=[1e200] * 10)


def test_masks_of_dropout_are_drawn_from_the_seed(digits):
    params = []
    for seed in (1, 1, 2):
        net, X, y = small(digits)
        fastsgd.train(net, X, y, batch_size=None, dropout=0.5, seed=seed)       # no other draw: the rows stay in order
        params.append(net.params)
    np.testing.assert_array_equal(params[0], params[1])
    assert (params[0] != params[2]).any()


def test_an_average_is_what_the_network_has_at_the_end(digits):
    net, X, y = small(digits)
    optimizer = fastsgd.SGD(0.1, average=0.9)
    state = optimizer.state(net.params)
    fastsgd.train(net, X, y, optimizer=optimizer, state=state, epochs=2, seed=0)
    np.testing.assert_array_equal(net.params, state.average)
    assert (state.averaged != state.average).any()


def test_an_optimizer_that_does_not_suit_the_network(digits):
    net, X, y = small(digits)
    with pytest.raises(ValueError, match="PassiveAggressive is for networks without a hidden layer"):
        fastsgd.train(net, X, y, optimizer=fastsgd.PassiveAggressive(1.0))


def test_the_rows_held_out_are_counted_off(digits):
    net, X, y = small(digits)
    for shuffle in ("rows", "blocks"):
        history = fastsgd.train(net, X, y, validation=0.2, batch_size=50, epochs=1, shuffle=shuffle)
        assert history.steps == 4
        history = fastsgd.train(net, X, y, validation=0.2, batch_size=None, epochs=1, shuffle=shuffle)
        assert (history.steps, history.batch_size) == (1, 200)


def test_threads_that_are_asked_for_are_had():
    rng = np.random.default_rng(0)
    X, y = rng.random((600, 500)), rng.integers(0, 10, 600)
    met = []
    for threads in (1, 2):
        fastsgd.train(fastsgd.Network([500, 500, 10]), X, y, batch_size=600, threads=threads, epochs=1,
                      callbacks=[lambda run: met.append(run.threads)])
    assert met == [1, 2]


@pytest.mark.parametrize("more", [{}, {"validation": 0.2}, {"validation": 0.2, "evaluate_every": 2}, {"epochs": 0}])
def test_a_history_becomes_a_data_frame_and_json(digits, more):
    pandas = pytest.importorskip("pandas")
    net, X, y = small(digits)

    def f(y, outputs):
        return 0.5

    history = fastsgd.train(net, X, y, **{"epochs": 3, **more}, metrics=[f] if "validation" in more else [])
    figures = history.as_dict()
    frame = pandas.DataFrame(figures)
    assert json.loads(json.dumps(figures)) == figures
    assert frame["cost"].dropna().tolist() == history.cost
    assert len(frame) == max(history.epochs, len(history.validation_cost))
    if "validation" in more:
        assert frame["validation_cost"].dropna().tolist() == history.validation_cost
        assert frame["validation_f"].dropna().tolist() == history.scores["f"]
        assert frame["validation_steps"].tolist() == history.validation_steps
    else:
        assert not [name for name in frame if name.startswith("validation")]
