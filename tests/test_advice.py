"""Does a run that diverged or learned nothing say what was too large, and is it silent where all went well?"""
import warnings

import numpy as np
import pytest

import fastsgd

RNG = np.random.default_rng(0)
X = RNG.standard_normal((500, 4))
LABELS = (X[:, 0] > 0).astype(int)
NOISY = (X[:, 0] + 0.3 * X[::-1, 1] > 0).astype(int)
MANY = RNG.standard_normal((2000, 4))


def regression(**arguments):
    return fastsgd.Network([4, 8, 1], loss="squared_error", seed=0, **arguments)


@pytest.mark.parametrize(("rows", "y", "rate", "message"), [
    (X, 2000 + X[:, 0], 0.1, r"The target y has mean 2000 and standard deviation 1\.\d+, far from unit size: give the "
                             r"network its unit, output_scale=1\.\d+ and output_offset=2000\. "
                             r"Or try a smaller learning rate"),
    (X * [1, 1, 1e4, 1], X[:, 0], 0.1, r"Column 2 of X has mean .* and standard deviation .*e\+04: scale the columns.*"
                                       r"input_scale=1 / s and input_offset=-m / s"),
    (X, X[:, 0], 1e9, r"are kept\. Try a smaller learning rate \(it was 1e\+09\)"),
])
def test_divergence_names_what_is_large(rows, y, rate, message):
    with pytest.raises(FloatingPointError, match=message):
        fastsgd.train(regression(), rows, y, optimizer=fastsgd.SGD(rate), epochs=50, seed=0)
    with pytest.raises(FloatingPointError, match=message):
        fastsgd.train_stream(regression(), lambda _: [(rows, y)], optimizer=fastsgd.SGD(rate), epochs=50, seed=0)


def test_a_step_that_diverges_names_it_too():
    net = regression()
    net.params *= 1e30
    with pytest.raises(FloatingPointError, match=r"nothing was changed\. The target y has mean 2000"):
        net.step(X, 2000 + X[:, 0], fastsgd.SGD(0.1))


def test_the_cure_works():
    y = 2000 + X[:, 0]
    net = regression(output_scale=y.std(), output_offset=y.mean())
    assert fastsgd.train(net, X, y, seed=0).metric[-1] > 0.9


@pytest.mark.parametrize(("rows", "y", "rate"), [(X * 1e-3, X[:, 0], 1e12), (X, X[:, 0] * 1e-3, 1e9)])
def test_what_is_small_is_no_cause_of_divergence(rows, y, rate):
    with pytest.raises(FloatingPointError, match=r"are kept\. Try a smaller learning rate"):
        fastsgd.train(regression(), rows, y, optimizer=fastsgd.SGD(rate), epochs=500, seed=0)


def test_bytes_are_made_a_unit_by_one_number():
    with pytest.raises(FloatingPointError, match=r"Column \d of X has mean .*: bytes are made a unit by the network's "
                                                 r"input_scale=1/255\. Or try"):
        fastsgd.train(regression(), (X > 0).astype(np.uint8) * 255, X[:, 0], seed=0)


def test_targets_of_a_bounded_output_belong_into_its_range():
    net = fastsgd.Network([4, 1], loss="squared_error", output="logistic", seed=0)
    with pytest.warns(UserWarning, match=r"y has mean 2000 .*: scale it into the range of the logistic output"):
        fastsgd.train(net, X, 2000 + X[:, 0], seed=0)


NOTHING = [
    (lambda: fastsgd.Network([4, 8, 2], seed=0), X * [1, 1, 1, 1e3] + [0, 0, 0, 1e4], LABELS, fastsgd.SGD(0.1),
     r"no better than a constant: their cost is .*, that of the constant 0\.69\d*\. Column 3 of X has mean 1e\+04"),
    (lambda: fastsgd.Network([4, 2], seed=0), X * 1e-4, LABELS, fastsgd.SGD(0.1),
     r"no better than a constant: .*Column \d of X has mean \S+ and standard deviation 0\.0001"),
    (regression, X, 1e6 + X[:, 0], fastsgd.Adam(1e-4),
     r"no better than a constant: their cost is \S+e\+11, that of the constant \S+\. The target y has mean 1e\+06"),
    (lambda: fastsgd.Network([4, 8, 1], loss=fastsgd.losses.Quantile(0.9), seed=0), X * 1e4, X[:, 0], fastsgd.SGD(1e-3),
     r"no better than a constant: .*Column \d of X has mean"),
    (lambda: fastsgd.Network([4, 1], loss="squared_error", seed=0), X, X[:, 0], fastsgd.SGD(1e9, clip_norm=1.0),
     r"no better than a constant: .*\. The steps are too long: try a smaller learning rate \(it was 1e\+09\)"),
    (lambda: fastsgd.Network([4, 2], seed=0), X, NOISY, fastsgd.SGD(1e9),           # though its accuracy is high
     r"their cost is \S+e\+\d+, that of the constant 0\.69\d*\. The steps are too long: try a"),
]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(("net", "rows", "y", "optimizer", "message"), NOTHING)
def test_a_run_that_came_to_nothing_says_why(net, rows, y, optimizer, message, streamed):
    train, data = fastsgd.train, (rows, y)
    if streamed:
        train, data = fastsgd.train_stream, (lambda _: [(rows[::2], y[::2]), (rows[1::2], y[1::2])],)
    with pytest.warns(UserWarning, match=message) as found:
        train(net(), *data, optimizer=optimizer, epochs=20, seed=0)
    assert [(len(found), found[0].filename)] == [(1, __file__)]


@pytest.mark.parametrize("epochs", [1, 3])
def test_short_steps_are_not_called_long(epochs):
    y = (np.arange(20_000) % 200 == 0).astype(int)               # a constant costs 0.03, the first weights 1 or more
    rows = np.random.default_rng(0).normal(size=(len(y), 10))
    with pytest.warns(UserWarning, match=r"still falling: try a larger learning rate \(it was 1e-05\), or more epochs"):
        fastsgd.train(fastsgd.Network([10, 32, 2], seed=0), rows, y, optimizer=fastsgd.SGD(1e-5), epochs=epochs, seed=0)


@pytest.mark.parametrize("optimizer", [fastsgd.SGD(1e-9), fastsgd.SGD(1e-5), fastsgd.Adam(1e-7)], ids=str)
def test_steps_that_lead_nowhere_are_called_short(optimizer):
    """Where the first weights cost more than a constant, which is never reached."""
    rows = np.random.default_rng(0).normal(size=(1000, 10)).astype(np.float32)
    y = (rows[:, 0] > 0).astype(int)
    with pytest.warns(UserWarning, match="no better than a constant.* still falling: try a larger learning rate"):
        fastsgd.train(fastsgd.Network([10, 32, 2], seed=0), rows, y, optimizer=optimizer, epochs=20, seed=0)
    fastsgd.train(fastsgd.Network([10, 32, 2], seed=0), rows, y, optimizer=fastsgd.SGD(0.1), epochs=20, seed=0)


def test_of_members_with_own_learning_rates_the_best_is_judged():
    def train(*rates):
        net = fastsgd.Network([4, 2], members=len(rates), seed=0)
        fastsgd.train(net, X, NOISY, optimizer=fastsgd.SGD(rates), epochs=20, seed=0)

    train(0.1, 1e7)
    with pytest.warns(UserWarning, match=r"all members .* of member 0, is \S+e\+\d+, that of the constant 0\.69\d*\. "
                                         r"The steps are too long: try a smaller learning rate \(it was 1e\+07\)"):
        train(1e7, 1e9)


def test_sparse_rows_have_a_size_too():
    sparse = pytest.importorskip("scipy.sparse")
    rows, y = sparse.csr_array(X * 1e-4), RNG.integers(0, 2, 500)
    with pytest.warns(UserWarning, match=r"The entries of X have a root mean square of 0\.0001.*input_scale=1e\+04"):
        fastsgd.train(fastsgd.Network([4, 2], seed=0), rows, y, optimizer=fastsgd.SGD(1e-3), seed=0)


@pytest.mark.parametrize(("network", "y", "arguments"), [
    ({"loss": fastsgd.losses.Quantile(0.95)}, 0.05 * RNG.standard_normal(2000) + 0.05 * MANY[:, 0], {"epochs": 100}),
    ({"loss": "absolute_error"}, 20 * RNG.exponential(size=2000) * (1.2 + np.tanh(MANY[:, 0])),
     {"epochs": 100, "optimizer": fastsgd.Adam(0.05)}),
    ({"input_scale": 11.0}, (MANY[:, 0] > 2).astype(int), {"epochs": 10, "optimizer": fastsgd.SGD(0.01)}),
    ({"loss": "hinge", "input_scale": 11.0}, (MANY[:, 0] > 1).astype(int), {})])
def test_it_judges_by_the_loss_of_the_network_that_comes_of_it(network, y, arguments):
    outputs = 2 if network.get("loss", "cross_entropy") == "cross_entropy" else 1
    net = fastsgd.Network([4, 16, outputs], seed=0, **network)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fastsgd.train(net, MANY, y, seed=0, **{"optimizer": fastsgd.Adam(0.003), "epochs": 30, **arguments})


def test_the_cure_of_several_targets_is_one_for_each():
    y = np.column_stack([24 * X[:, 0] + 178, 0.5 * X[:, 0]])
    net = fastsgd.Network([4, 2], loss="squared_error", seed=0)
    with pytest.warns(UserWarning, match=r"Column 0 of y has mean 17\d.*output_scale=y\.std\(axis=0\) and "
                                         r"output_offset=y\.mean\(axis=0\)"):
        fastsgd.train(net, X, y, optimizer=fastsgd.SGD(1e-5), seed=0)


def test_constant_columns_and_scaled_entries():
    rows = np.column_stack([X, np.full(500, 2000.0)])
    with pytest.warns(UserWarning, match="has mean 2e\\+03 and standard deviation 0: it is constant, leave it"):
        fastsgd.train(fastsgd.Network([5, 8, 1], loss="squared_error", seed=0), rows, X[:, 0], seed=0)
    sparse = pytest.importorskip("scipy.sparse")
    net = fastsgd.Network([4, 2], seed=0, input_scale=1e-6)
    with pytest.warns(UserWarning, match=r"0\.01 after input_scale: .*input_scale=0\.0001"):
        fastsgd.train(net, sparse.csr_array(X * 1e4), RNG.integers(0, 2, 500), optimizer=fastsgd.SGD(1e-3), seed=0)


@pytest.mark.parametrize(("rows", "y", "arguments"), [
    (X, LABELS, {}), (X, RNG.integers(0, 2, 500), {}),                      # nothing there to learn
    (X, LABELS, {"class_weight": "balanced"}), (X * 1e3, LABELS, {"epochs": 1}),     # too early to tell
    (X * 1e3, LABELS, {"optimizer": fastsgd.SGD(0.0)}), (X[:, :] * 20, LABELS, {"epochs": 30})])
def test_it_is_silent_where_nothing_is_wrong(rows, y, arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fastsgd.train(fastsgd.Network([4, 8, 2], seed=0), rows, y, seed=0, **arguments)


@pytest.mark.parametrize(("loss", "y", "arguments"), [
    (fastsgd.losses.Quantile(0.95), X[:, 0] * 20 + RNG.exponential(20, 500),
     {"optimizer": fastsgd.Adam(0.3), "epochs": 30}),
    ("squared_error", X[:, 0] * 20, {"optimizer": fastsgd.SGD(1e-3), "epochs": 5}),      # better as the epoch ends
])
def test_it_is_silent_where_raw_targets_do_no_harm(loss, y, arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fastsgd.train(fastsgd.Network([4, 1], loss=loss, seed=0), X, y, seed=0, **arguments)


def test_outputs_that_count_by_their_class_are_not_judged_by_rows():
    rare = (X[:, 0] + RNG.standard_normal(500) > 2.2).astype(int)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fastsgd.train(fastsgd.Network([4, 2], loss="binary_cross_entropy", seed=0), X * 12, rare, epochs=10, seed=0,
                      optimizer=fastsgd.SGD(1e-3), class_weight="balanced")


def test_races_and_searches_say_nothing_of_their_trials():
    load = pytest.importorskip("sklearn.datasets").load_wine
    rows, y = load(return_X_y=True)
    net = fastsgd.Network([13, 16, 3], seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fastsgd.descent.race(net, rows, y, batch_sizes=(10, None), seconds=0.05, seed=0)
        fastsgd.descent.suggest_batch_size(net, rows, y, seconds=0.2, seed=0)


def test_digits_and_breast_cancer(digits):
    load = pytest.importorskip("sklearn.datasets").load_breast_cancer
    rows, y = load(return_X_y=True)
    net, unit = (fastsgd.Network([30, 32, 2], seed=0, **arguments) for arguments in (
        {}, {"input_scale": 1 / rows.std(axis=0), "input_offset": -rows.mean(axis=0) / rows.std(axis=0)}))
    with pytest.warns(UserWarning, match="Column 23 of X has mean 881 and standard deviation 569"):
        fastsgd.train(net, rows, y, epochs=30, seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fastsgd.train(unit, rows, y, epochs=30, seed=0)
        fastsgd.train(fastsgd.Network([64, 10], seed=0), *digits[0], epochs=3, seed=0)
