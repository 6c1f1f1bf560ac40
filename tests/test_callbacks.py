"""Do callbacks and metrics do what they promise: early stopping, a reduced rate, time limits, figures by name?"""
import io
import re
import time
from types import SimpleNamespace

import numpy as np
import pytest

import fastsgd
from fastsgd.runs import callbacks
from fastsgd.runs.evaluation import _scorer


@pytest.fixture
def data(digits):
    (X, y), _ = digits
    return X[:600], y[:600]


def net_of(seed=0):
    return fastsgd.Network([64, 24, 10], seed=seed)


def test_early_stopping_takes_the_best_parameters_back(data):
    X, y = data
    for monitor, better in ((None, min), ("validation_cost", min), ("validation_accuracy", max)):
        stopping = fastsgd.EarlyStopping(4, monitor=monitor)
        net, params = net_of(), []
        history = fastsgd.train(net, X[:300], y[:300], optimizer=fastsgd.SGD(1.0), epochs=300, seed=0,
                                validation=(X[300:], y[300:]),
                                callbacks=[stopping, lambda run, params=params: params.append(run.net.params.copy())])
        figures = history.validation_metric if better is max else history.validation_cost
        best = figures.index(better(figures))
        assert history.stopped
        assert history.epochs == best + 1 + 4
        assert (stopping.best, stopping.best_step) == (figures[best], 3 * (best + 1))
        np.testing.assert_array_equal(net.params, params[best])
    stopping = fastsgd.EarlyStopping(1, monitor="cost", min_delta=10.0, restore_best=False)
    assert fastsgd.train(net, X, y, epochs=9, callbacks=[stopping]).epochs == 2


def test_early_stopping_within_an_epoch(data):
    X, y = data
    stopping = fastsgd.EarlyStopping(2, min_delta=100.0)
    history = fastsgd.train(net_of(), X, y, epochs=3, batch_size=20, validation=0.5, evaluate_every=4,
                            callbacks=[stopping])
    assert (history.steps, history.epochs, history.stopped) == (12, 0, True)
    assert history.validation_steps == [4, 8, 12]
    assert repr(history).startswith("History(0 epochs, 12 steps")


def test_with_an_average_the_average_is_judged_and_kept(data):
    X, y = data
    stopping, seen = fastsgd.EarlyStopping(3), []
    net = net_of()
    fastsgd.train(net, X, y, optimizer=fastsgd.SGD(0.5, average="polyak"), epochs=5, seed=0, validation=0.5,
                  callbacks=[stopping, lambda run: seen.append((run.result.params.copy(), run.net.params.copy()))])
    assert (seen[-1][0] != seen[-1][1]).any()
    np.testing.assert_array_equal(net.params, seen[-1][0])
    plain, every_step = net_of(), []
    fastsgd.train(plain, X, y, optimizer=fastsgd.SGD(0.5), epochs=5, seed=0, validation=0.5)
    np.testing.assert_array_equal(plain.params, seen[-1][1])
    fastsgd.train(net_of(), X, y, optimizer=fastsgd.SGD(0.5), epochs=5, seed=0, validation=0.5, evaluate_every=1,
                  callbacks=[Each(lambda run: every_step.append(run.net.params.copy()))])
    np.testing.assert_allclose(net.params, np.mean(every_step, axis=0), atol=1e-6)


class Each(fastsgd.Callback):
    def __init__(self, function):
        self.on_evaluation = function


def test_the_rate_is_reduced_on_a_plateau(data):
    X, y = data
    reduce = fastsgd.ReduceOnPlateau(0.5, patience=2, monitor="cost", min_delta=100.0, min_factor=0.2)
    history = fastsgd.train(net_of(), X, y, optimizer=fastsgd.SGD(0.8), epochs=8, callbacks=[reduce])
    assert history.learning_rate == pytest.approx([0.8, 0.8, 0.8, 0.4, 0.4, 0.2, 0.2, 0.16])


def test_schedules_reach_over_the_run_and_every_rate_is_kept(data):
    X, y = data
    rates = fastsgd.LearningRates()
    schedule = fastsgd.schedules.Cosine(0.2)
    history = fastsgd.train(net_of(), X, y, optimizer=fastsgd.SGD(schedule), epochs=4, callbacks=[rates],
                            accumulate=2, batch_size=50)
    np.testing.assert_array_equal(rates.rates, schedule.over(24)(np.arange(24)))
    assert history.learning_rate == rates.rates[5::6].tolist()


def test_every_rate_of_a_run_that_goes_on_with_a_state_is_kept_once(data):
    X, y = data
    net, optimizer, rates = net_of(), fastsgd.SGD(fastsgd.schedules.InverseScaling(0.1, 0.5)), fastsgd.LearningRates()
    state = optimizer.state(net.params)
    for _ in range(2):
        fastsgd.train(net, X, y, optimizer=optimizer, state=state, batch_size=100, epochs=2, callbacks=[rates])
    np.testing.assert_array_equal(rates.rates, optimizer.learning_rates(12, 12))


def test_a_time_limit_reaches_into_an_epoch(data):
    X, y = data
    X, y = np.tile(X, (4000, 1)), np.tile(y, 4000)
    begin, rates = time.monotonic(), fastsgd.LearningRates()
    limit = fastsgd.TimeLimit(np.float32(0.3))
    history = fastsgd.train(net_of(), X, y, batch_size=2, epochs=1, callbacks=[rates, limit])
    assert time.monotonic() - begin < 20               # of which the limit has 0.3, but for a busy machine
    assert len(rates.rates) == history.steps
    assert history.stopped
    assert history.epochs == 0
    assert 0 < history.steps < len(X) // 2


@pytest.mark.parametrize("how", ["evaluations", "windows"])
def test_a_time_limit_reaches_into_short_passes(data, how):
    X, y = data
    X, y = np.tile(X, (4000, 1)), np.tile(y, 4000)
    begin, limit = time.monotonic(), [fastsgd.TimeLimit(0.3)]
    if how == "evaluations":
        history = fastsgd.train(net_of(), X, y, batch_size=2, epochs=1, callbacks=limit, validation=(X[:9], y[:9]),
                                evaluate_every=50)
    else:
        def batches(epoch):
            for first in range(0, len(X), 1000):
                yield X[first:first + 1000], y[first:first + 1000]
        history = fastsgd.train_stream(net_of(), batches, batch_size=2, window=1000, callbacks=limit)
    assert time.monotonic() - begin < 20               # of which the limit has 0.3, but for a busy machine
    assert (history.stopped, history.epochs) == (True, 0)


@pytest.mark.parametrize("sizes", [[64, 16, 10], [64, 10]])
def test_a_slow_callback_is_called_no_more_often(data, sizes):
    X, y = data
    X, y, told = np.tile(X, (1000, 1)), np.tile(y, 1000), []

    class Slow(fastsgd.Callback):
        def on_rows(self, run):
            told.append(time.monotonic())
            time.sleep(0.15)
            run.stop = len(told) == 3

    fastsgd.train(fastsgd.Network(sizes, seed=0), X, y, batch_size=2, epochs=20, callbacks=[Slow()])
    assert all(np.diff(told) > 0.24)


def test_weights_of_rows_and_classes(data):
    X, y = data
    weights = np.random.default_rng(0).random(600)
    weights[y == 3] = 0
    net = net_of()
    history = fastsgd.train(net, X, y, sample_weight=weights, epochs=30, batch_size=None, optimizer=fastsgd.SGD(0.5))
    assert history.cost[0] == pytest.approx(net_of().cost(X, y, sample_weight=weights), rel=1e-6)
    assert history.metric[0] == pytest.approx(np.average(net_of().predict(X).argmax(axis=1) == y, weights=weights))
    assert (net.predict(X).argmax(axis=1) != 3).all()        # what does not count is not learned
    by_class, by_hand = net_of(), net_of()
    counts = np.bincount(y, weights)                         # of nine classes, as the rows of one count nothing
    of_classes = np.divide(counts.sum(), 9 * counts, out=np.ones(10), where=counts > 0)
    fastsgd.train(by_class, X, y, class_weight="balanced", sample_weight=weights, seed=0)
    fastsgd.train(by_hand, X, y, sample_weight=weights * of_classes[y], seed=0)
    np.testing.assert_array_equal(by_class.params, by_hand.params)
    some = net_of()
    fastsgd.train(some, X, y, class_weight={3: 0.0}, seed=0)
    fastsgd.train(by_hand := net_of(), X, y, class_weight=[1, 1, 1, 0, 1, 1, 1, 1, 1, 1], seed=0)
    np.testing.assert_array_equal(some.params, by_hand.params)


def test_weighted_r2():
    rng = np.random.default_rng(0)
    net = fastsgd.Network([3, 5, 2], loss="squared_error", dtype="float64", seed=0)
    X, y, w = rng.standard_normal((50, 3)), rng.standard_normal((50, 2)), rng.random(50)
    a = net.predict(X)
    mean = np.average(y, axis=0, weights=w)
    expected = 1 - (w[:, None] * (y - a) ** 2).sum() / (w[:, None] * (y - mean) ** 2).sum()
    assert net.score(X, y, sample_weight=w) == pytest.approx(expected, rel=1e-12)
    history = fastsgd.train(net, X, y, sample_weight=w, validation=(X, y, w), epochs=1, batch_size=None,
                            optimizer=fastsgd.SGD(0.0))
    assert history.validation_metric[0] == history.metric[0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("y", "w"), [([0.1, 0.1, 0.1, 2.0], [1, 1, 1, 0]), ([1.0, 2.0, 3.0, 4.0], [0, 0, 5, 0]),
                                      ([1e-200, 2e-200, 0.0, 1e-201], [1, 1, 1, 1])])
def test_r2_of_targets_that_do_not_vary_is_nan(y, w):
    X = np.random.default_rng(0).standard_normal((4, 3))
    net = fastsgd.Network([3, 1], loss="squared_error", dtype="float64", seed=0)
    assert np.isnan(net.score(X, y, sample_weight=w))
    history = fastsgd.train(net, X, y, sample_weight=w, validation=(X, y, w), epochs=1)
    assert np.isnan([*history.metric, *history.validation_metric]).all()
    assert np.isnan(fastsgd.train_stream(net, [(X[::-1], y[::-1], w[::-1])], epochs=1).metric).all()


def test_metrics_by_name_and_function(data):
    metrics = pytest.importorskip("sklearn.metrics")
    X, y = data

    def sure(y, outputs):
        return float((outputs.max(axis=1) > 0.5).mean())

    net = net_of()
    def whole(y, outputs):
        return outputs

    history = fastsgd.train(net, X[:500], y[:500], epochs=2, validation=(X[500:], y[500:]),
                            metrics=["f1_macro", "neg_log_loss", "roc_auc_ovr", sure])
    outputs = net.predict(X[500:])
    assert list(history.scores) == ["f1_macro", "neg_log_loss", "roc_auc_ovr", "sure"]
    assert history.scores["f1_macro"][-1] == pytest.approx(metrics.f1_score(y[500:], outputs.argmax(axis=1),
                                                                            average="macro"))
    assert history.scores["neg_log_loss"][-1] == pytest.approx(-history.validation_cost[-1], rel=1e-5)
    assert history.scores["sure"][-1] == sure(y[500:], outputs)
    two = fastsgd.Network([64, 1], loss="binary_cross_entropy", seed=0)
    history = fastsgd.train(two, X, y == 3, epochs=40, validation=0.3, metrics=["roc_auc", "f1"])
    assert history.scores["roc_auc"][-1] > 0.9
    line = fastsgd.Network([64, 2], loss="squared_error", seed=0)
    history = fastsgd.train(line, X, X[:, 20:22], epochs=2, validation=0.3,
                            metrics=[_scorer("r2", line), "neg_mean_absolute_error"])
    assert history.scores["measure"][-1] <= 1
    assert -1 < history.scores["neg_mean_absolute_error"][-1] < 0
    with pytest.raises(ValueError, match=r"metrics must be functions or names of scikit-learn's scorers .*, got 'f9'"):
        fastsgd.train(net, X, y, validation=0.3, metrics=["f9"])
    with pytest.raises(ValueError, match=r"metrics: accuracy is measured in any case, as history.validation_metric"):
        fastsgd.train(net, X, y, validation=0.3, metrics=["accuracy"])
    with pytest.raises(TypeError, match=r"metrics: whole must return a number, got array\("):
        fastsgd.train(net, X, y, validation=0.3, epochs=1, metrics=[whole])


def test_dropout_and_smoothing_reach_the_kernel(data):
    X, y = data
    results = []
    for kernel in ("fused", "reference"):
        net = fastsgd.Network([64, 24, 12, 10], seed=0, dtype="float64")
        fastsgd.train(net, X, y, epochs=2, seed=0, dropout=[0.2, 0.4], label_smoothing=0.1, kernel=kernel)
        results.append(net.params)
    np.testing.assert_allclose(*results, rtol=1e-9, atol=1e-12)
    plain = fastsgd.Network([64, 24, 12, 10], seed=0, dtype="float64")
    fastsgd.train(plain, X, y, epochs=2, seed=0)
    assert (plain.params != results[0]).any()


def test_a_fraction_held_out_is_not_trained_on(data):
    X, y = data
    net, twin = net_of(), net_of()
    history = fastsgd.train(net, X, y, epochs=2, seed=4, validation=0.25)
    order = np.random.default_rng(4).permutation(600)
    held_out, kept = np.sort(order[:150]), np.sort(order[150:])
    assert history.steps == 10
    rng = np.random.default_rng(4)
    rng.permutation(600)
    for _ in range(2):
        rows = kept[rng.permutation(450)]
        for first in range(0, 450, 100):
            twin.step(X[rows[first:first + 100]], y[rows[first:first + 100]], fastsgd.SGD(0.1))
    np.testing.assert_array_equal(net.params, twin.params)
    assert (history.validation_cost[-1], history.validation_metric[-1]) == net.evaluate(X[held_out], y[held_out])


@pytest.mark.parametrize(("make", "message"), [
    (lambda: fastsgd.EarlyStopping(0), "EarlyStopping: patience must be a whole number, at least 1, got 0"),
    (lambda: fastsgd.EarlyStopping(min_delta=-1), "EarlyStopping: min_delta must be a number, at least 0, got -1"),
    (lambda: fastsgd.EarlyStopping(mode="up"), "EarlyStopping: mode must be 'auto', 'min' or 'max', got 'up'"),
    (lambda: fastsgd.ReduceOnPlateau(1.5), "ReduceOnPlateau: factor must lie between 0 and 1, got 1.5"),
    (lambda: fastsgd.TimeLimit(0), "TimeLimit: seconds must be a number above 0, got 0"),
])
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(("monitor", "message"), [
    ("f1", "monitor must be one of cost, accuracy, validation_cost, validation_accuracy; got 'f1'"),
])
def test_a_figure_that_there_is_not(data, monitor, message):
    with pytest.raises(ValueError, match=message):
        fastsgd.train(net_of(), *data, validation=0.5, callbacks=[fastsgd.EarlyStopping(3, monitor=monitor)])
    with pytest.raises(ValueError, match="got 'validation_cost'; there are no validation rows"):
        fastsgd.train(net_of(), *data, callbacks=[fastsgd.EarlyStopping(3, monitor="validation_cost")])


def waits(figures, **arguments):
    """How long a stopping has waited, and its best, after these figures of validation_score."""
    watch = fastsgd.EarlyStopping(100, monitor="validation_score", restore_best=False, **arguments)
    run = SimpleNamespace(figures=["cost", "validation_score"], steps=0, stop=False)
    watch.on_start(run)
    for figure in figures:
        run.history = SimpleNamespace(last=lambda figure=figure: {"validation_score": figure})
        run.steps += 1
        watch.on_evaluation(run)
    return watch.waited, watch.best


def test_what_counts_as_better():
    nan = float("nan")
    assert waits([1.0, 1.0, 1.0]) == (2, 1.0)              # as good is not better
    assert waits([1.0, 1.5, 1.5], min_delta=0.5) == (2, 1.0)
    assert waits([nan, 1.0, nan, 0.5]) == (2, 1.0)
    assert np.isnan(waits([nan, nan])[1])
    assert waits([nan, nan])[0] == 2
    assert waits([1.0, 2.0, 0.5], mode="min") == (0, 0.5)
    assert waits([1.0, 2.0, 0.5], mode="max") == (1, 2.0)
    (X, y), _ = fastsgd.datasets.digits()
    stopping = fastsgd.EarlyStopping(3, monitor="cost", mode="max")
    fastsgd.train(fastsgd.Network([64, 10], seed=0), X, y, epochs=9, callbacks=[stopping])
    assert (stopping.waited, stopping.best_step) == (3, 15)


def test_a_callback_may_serve_a_second_training(digits):
    (X, y), _ = digits
    stopping, rates = fastsgd.EarlyStopping(2, monitor="cost", min_delta=100.0), fastsgd.LearningRates()
    net = fastsgd.Network([64, 10], seed=0)
    for _ in range(2):
        history = fastsgd.train(net, X, y, epochs=9, callbacks=[stopping, rates])
        assert history.epochs == 3
        assert len(rates.rates) == history.steps


def test_a_time_limit_looks_after_each_epoch_and_takes_no_longer(digits):
    (X, y), _ = digits
    for slow in (0.0, 0.06):                               # long epochs of next to no rows are told of at their ends
        begin = time.monotonic()
        fastsgd.train(fastsgd.Network([64, 10], seed=0), X[:10], y[:10], epochs=10**7,
                      callbacks=[fastsgd.TimeLimit(1.0), lambda run, slow=slow: time.sleep(slow)])
        assert 1 <= time.monotonic() - begin < 20


def test_the_rows_per_second_of_a_line_are_those_of_its_epoch(digits):
    (X, y), _ = digits
    out, seen = io.StringIO(), []
    fastsgd.train(fastsgd.Network([64, 10], seed=0), X, y, epochs=4, callbacks=[
        fastsgd.Progress(out), lambda run: seen.append(f"  {len(X) / run.history.seconds[-1]:,.0f} rows/s")])
    assert all(line.endswith(rate) for line, rate in zip(out.getvalue().splitlines(), seen, strict=True))


@pytest.mark.parametrize("kind", ["rows", "classes", "one-vs-rest", "stream", "stream with classes", "none"])
def test_figures_are_named_in_whole_and_weighted_ones_so(digits, kind):
    (X, y), test = digits
    X, y, test = X[:200], y[:200], tuple(part[:50] for part in test)
    weights, classes = np.linspace(1, 2, 200), dict.fromkeys(range(10), 2.0)
    out, seen = io.StringIO(), []
    net = fastsgd.Network([64, 10], loss="hinge" if kind == "one-vs-rest" else "cross_entropy", seed=0)
    more = {"epochs": 2, "validation": test, "callbacks": [fastsgd.Progress(out), lambda run: seen.append(
        (run.weighted, repr(run)))]}
    if kind.startswith("stream"):
        history = fastsgd.train_stream(net, [(X, y) if "classes" in kind else (X, y, weights)], **more,
                                       class_weight=classes if "classes" in kind else None)
    else:
        history = fastsgd.train(net, X, y, **more, sample_weight=weights if kind == "rows" else None,
                                class_weight=None if kind in ("rows", "none") else classes)
    weighted = "" if kind == "none" else "weighted "
    assert history.weighted == (kind != "none") == seen[-1][0]
    line = (r"epoch \d/2  {0}cost [\d.]+  {0}accuracy [\d.]+  validation cost [\d.]+  validation accuracy [\d.]+"
            r"  [\d,]+ rows/s")
    for text in out.getvalue().splitlines():
        assert re.fullmatch(line.format(weighted), text)
    shown = rf"{weighted}cost [\d.]+, {weighted}accuracy [\d.]+, validation cost [\d.]+, validation accuracy [\d.]+\)"
    assert re.fullmatch(r"History\(2 epochs, 4 steps, .* s: " + shown, repr(history))
    assert re.fullmatch(r"Run\(epoch 2 of 2, 4 steps, .* s, " + shown, seen[-1][1])


@pytest.mark.parametrize("factor", [-1.0, np.nan, "a", None])
def test_a_rate_factor_is_a_number_of_at_least_0(digits, factor):
    (X, y), _ = digits
    net = fastsgd.Network([64, 10], seed=0)
    with pytest.raises(ValueError, match="rate_factor must be a finite number, at least 0, got"):
        fastsgd.train(net, X, y, epochs=1, seed=0, callbacks=[lambda run: setattr(run, "rate_factor", factor)])


def test_figures_that_do_not_fit_are_left_out_whole():
    from fastsgd.runs.callbacks import figures_line
    history = fastsgd.History("accuracy", cost=[0.25], metric=[0.5], validation_cost=[0.125], validation_metric=[0.75],
                              scores={"f1": [0.5]}, weighted=True)
    whole = ("weighted cost 0.2500  weighted accuracy 0.5000  validation cost 0.1250  validation accuracy 0.7500  "
             "validation f1 0.5000")
    for room, line in ((None, whole), (125, whole), (105, whole.replace("weighted accuracy 0.5000  ", "")),
                       (75, whole[:22] + whole[48:-22]), (60, whole[48:-22]), (30, "validation accuracy 0.7500"),
                       (5, "validation accuracy 0.7500")):
        assert figures_line(SimpleNamespace(history=history), room) == line, room
    alone = fastsgd.History("r2", cost=[0.25], metric=[0.5])
    assert figures_line(SimpleNamespace(history=alone), 15) == "cost 0.2500"


@pytest.mark.parametrize(("columns", "shown", "not_shown"), [(80, "validation accuracy", "validation cost"),
                                                             (200, "cost 0.", "nothing")])
def test_a_narrow_terminal_shows_whole_figures(digits, columns, shown, not_shown, monkeypatch):
    pytest.importorskip("tqdm")

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr("tqdm.std._screen_shape_wrapper", lambda: lambda file: (columns, 24))
    out = Terminal()
    fastsgd.train(fastsgd.Network([64, 10], seed=0), *digits[0], epochs=1000, validation=digits[1], seed=0,
                  callbacks=[fastsgd.Progress(out), lambda run: setattr(run, "stop", run.epoch > 40)])
    last = out.getvalue().strip().split("\r")[-1]
    assert shown in last
    assert not_shown not in last
    assert len(last) <= columns


@pytest.mark.filterwarnings("ignore:nothing was trained")
def test_a_weighted_run_that_goes_on_is_one(digits, tmp_path):
    (X, y), _ = digits
    for epochs in (1, 2, 2):
        history = fastsgd.train(fastsgd.Network([64, 10], seed=0), X, y, epochs=epochs, class_weight="balanced", seed=0,
                                checkpoint=tmp_path / "run", resume=True)
        assert history.weighted


def test_the_bar_of_a_stream_and_of_a_run_that_goes_on(digits, tmp_path):
    pytest.importorskip("tqdm")
    (X, y), _ = digits

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    bars = [fastsgd.Progress(Terminal()) for _ in range(3)]
    settings = {"checkpoint": tmp_path / "run", "resume": True, "seed": 0}
    for epochs, bar in ((2, bars[0]), (3, bars[1])):
        fastsgd.train(fastsgd.Network([64, 10], seed=0), X, y, epochs=epochs, **settings, callbacks=[bar])
    fastsgd.train_stream(fastsgd.Network([64, 10], seed=0), [(X, y)], epochs=3, callbacks=[bars[2]])
    assert [bar._bar.n for bar in bars] == [2 * len(X), 3 * len(X), 3 * len(X)]
    assert bars[1]._bar.initial == 2 * len(X)
    assert all(bar._bar.disable for bar in bars)           # closed


@pytest.mark.parametrize(("less", "names"), [
    (True, ["validation_mse", "rmse", "my_loss", "log_loss", "max_error", "mean_absolute_error", "mean_pinball_loss",
            "mean_poisson_deviance", "brier_score", "brier_score_loss", "hamming_loss", "MeanSquaredError", "RMSE",
            "negative_log_likelihood", "neg_log_likelihood"]),
    (False, ["accuracy_score", "r2_score", "R2", "explained_variance_score", "d2_absolute_error_score", "F1Score",
             "roc_auc", "average_precision", "matthews_corrcoef", "neg_mse", "log_likelihood", "my_score"]),
    (None, ["fancy", "<lambda>", "variance", "f1_loss", "distance", "gini", "neg_fancy", "recall_error", "partial"])])
def test_whether_less_of_a_metric_is_better_goes_by_its_name(less, names):
    found = {name: callbacks.less_is_better(name.removeprefix("validation_")) for name in names}
    assert found == dict.fromkeys(names, less)


def test_every_scorer_of_scikit_learn_is_the_better_the_greater():
    names = pytest.importorskip("sklearn.metrics").get_scorer_names()
    assert {name for name in names if callbacks.less_is_better(name) is not False} == set()


@pytest.mark.parametrize(("metric", "better"), [
    ("rmse", min), ("mean_absolute_error", min), ("my_loss", min), ("f1_macro", max), ("r2_score", max),
    ("brier_score", min), ("neg_brier_score", max), ("neg_log_likelihood", min), ("d2_absolute_error_score", max)])
def test_auto_goes_by_the_names_of_metrics(data, metric, better):
    figures = iter([3.0, 1.0, 2.0, 4.0, 5.0, 0.5] * 9)

    def measure(y, outputs):
        return next(figures)

    measure.__name__ = metric
    stopping = fastsgd.EarlyStopping(9, monitor=f"validation_{metric}")
    fastsgd.train(net_of(), *data, epochs=5, seed=0, validation=0.5, metrics=[measure], callbacks=[stopping])
    assert stopping.best == better(3.0, 1.0, 2.0, 4.0, 5.0)


def test_auto_asks_for_a_mode_where_a_name_says_nothing(data):
    def fancy(y, outputs):
        return 1.0

    for kind in (fastsgd.EarlyStopping, fastsgd.ReduceOnPlateau):
        net = net_of()
        before = net.params.copy()
        with pytest.raises(ValueError, match=rf"{kind.__name__}: mode='auto' does not know whether more or less of "
                                             r"'validation_fancy' is better; give mode='min' or mode='max'"):
            fastsgd.train(net, *data, validation=0.5, metrics=[fancy], callbacks=[kind(monitor="validation_fancy")])
        np.testing.assert_array_equal(net.params, before)


@pytest.mark.parametrize(("watch", "said"), [
    (fastsgd.EarlyStopping(3, monitor="validation_r2"),
     "EarlyStopping .* was NaN all 3 times, and the last parameters"),
    (fastsgd.ReduceOnPlateau(0.5, 3, monitor="validation_r2"),
     "ReduceOnPlateau .* was NaN all 4 times, and the learning rate"),
])
def test_a_figure_that_is_never_a_number_is_said(watch, said):
    X = np.linspace(-1, 1, 50)[:, np.newaxis]
    net = fastsgd.Network([1, 1], loss="squared_error", seed=0)
    with pytest.warns(RuntimeWarning, match=said) as caught:
        fastsgd.train(net, X, X[:, 0], validation=(X[:1], X[:1, 0]), epochs=4, callbacks=[watch])
    assert [warning.filename for warning in caught] == [__file__]
