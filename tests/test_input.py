"""Is bad input refused by name, before anything changes, and is good input of any kind taken?"""
import numpy as np
import pytest

import fastsgd
from fastsgd import losses

X = np.random.default_rng(0).standard_normal((30, 4))
Y = np.arange(30) % 3


def network(**arguments):
    return fastsgd.Network([4, 5, 3], seed=0, **arguments)


def with_value(value, at=(7, 2)):
    changed = X.copy()
    changed[at] = value
    return changed


BAD_ROWS = [
    (with_value(np.nan), ValueError, r"X\[7, 2\] is nan; NaN and infinity must be removed"),
    (with_value(-np.inf), ValueError, r"X\[7, 2\] is -inf"),
    (with_value(1e300), ValueError, r"X\[7, 2\] is 1e\+300, too large for float32"),
    (X[0], ValueError, r"X must be 2-D \(rows, columns\), got shape \(4,\); .reshape\(1, -1\) makes it"),
    (X[np.newaxis], ValueError, r"X must be 2-D \(rows, columns\), got shape \(1, 30, 4\)"),
    (X[:, :3], ValueError, r"X must have shape \(rows, 4\), columns being the network's first size; got \(30, 3\)"),
    (X[:0], ValueError, "X is empty"),
    (X.astype(complex), TypeError, "X must hold real numbers, got dtype complex128"),
    (X.astype(str), TypeError, "X must hold real numbers, got dtype .*encode strings"),
    (np.array([["a", None]] * 30, dtype=object), TypeError, "X must hold real numbers, got dtype object"),
    ([[1, 2, 3, 4], [1, 2]], ValueError, "X is not a rectangular array"),
    (np.array([["1", "2", "3", "4"]] * 30, dtype=object), TypeError, "X must hold real numbers, got dtype object"),
    (np.ma.masked_greater(X, 1), TypeError, "X has masked values"),
    (None, TypeError, "X must hold real numbers"),
    ("text", TypeError, "X must (hold|be an array of) real numbers"),
]
BAD_TARGETS = [
    (Y[:-1], ValueError, r"y must have one entry per row of X \(30\), got 29"),
    (Y + 1, ValueError, r"y must be class labels, whole numbers 0 to 2; .*y\[2\] is 3"),
    (Y - 1, ValueError, r"y must be class labels, whole numbers 0 to 2; .*y\[0\] is -1"),
    (Y + 0.5, ValueError, r"y must be class labels, whole numbers 0 to 2; .*y\[0\] is 0\.5"),
    (np.where(Y == 1, np.nan, Y), ValueError, r"y must be class labels, whole numbers 0 to 2; .*y\[1\] is nan"),
    (Y.astype(str), TypeError, "y must hold real numbers"),
    (np.eye(4)[Y], ValueError, r"y must have shape \(30, 3\), outputs being the network's last size; got \(30, 4\)"),
    (2 * np.eye(3)[Y], ValueError, "y must lie between 0 and 1 for cross_entropy, got 0.0 to 2.0"),
    (np.eye(3)[Y] / 2, ValueError, "y must have rows that sum to 1 for cross_entropy; row 0 sums to 0.5"),
    (np.zeros((30, 3, 1)), ValueError, "y must be 1-D or 2-D"),
    (5, ValueError, "y must be 1-D or 2-D"),
]


def everything(net):
    return {"train": lambda rows, y: fastsgd.train(net, rows, y, epochs=1),
            "validation": lambda rows, y: fastsgd.train(net, X, Y, epochs=1, validation=(rows, y)),
            "step": lambda rows, y: net.step(rows, y, fastsgd.SGD(0.1)),
            "cost": net.cost, "score": net.score, "gradient": net.gradient,
            "check_gradient": lambda rows, y: fastsgd.check_gradient(net, rows, y)}


@pytest.mark.parametrize(("rows", "error", "message"), BAD_ROWS)
def test_bad_rows(rows, error, message):
    net = network()
    before = net.params.copy()
    calls = {**everything(net), "predict": lambda rows, y: net.predict(rows)}
    if "too large" in message:
        del calls["check_gradient"]                  # works in float64
    for call in calls.values():
        with pytest.raises(error, match=message):
            call(rows, Y)
    assert (net.params == before).all()


@pytest.mark.parametrize(("y", "error", "message"), BAD_TARGETS)
def test_bad_targets(y, error, message):
    net = network()
    before = net.params.copy()
    for call in everything(net).values():
        with pytest.raises(error, match=message):
            call(X, y)
    assert (net.params == before).all()


@pytest.mark.parametrize(("loss", "y", "message"), [
    ("binary_cross_entropy", np.full(30, 2), "y must lie between 0 and 1 for binary_cross_entropy"),
    ("poisson", np.full(30, -1), "y must not be negative for poisson"),
    ("squared_error", np.full(30, np.nan), r"y\[0, 0\] is nan"),
    ("huber", np.zeros((30, 2)), r"y must have shape \(30, 1\)"),
])
def test_bad_targets_of_other_losses(loss, y, message):
    net = fastsgd.Network([4, 1], loss=loss, seed=0)
    with pytest.raises(ValueError, match=message):
        net.cost(X, y)


@pytest.mark.parametrize(("arguments", "error", "message"), [
    ({"batch_size": 0}, ValueError, "batch_size must be at least 1, or None for all rows, got 0"),
    ({"batch_size": -5}, ValueError, "batch_size must be at least 1"),
    ({"batch_size": 2.5}, TypeError, "batch_size must be a whole number"),
    ({"epochs": -1}, ValueError, "epochs must be at least 0, got -1"),
    ({"epochs": 1.5}, TypeError, "epochs must be a whole number, got 1.5"),
    ({"optimizer": 0.1}, TypeError, r"optimizer must be an optimizer such as fastsgd.SGD\(0.1\), got 0.1"),
    ({"optimizer": fastsgd.SGD}, TypeError, "optimizer must be an optimizer"),
    ({"backend": "mkl"}, ValueError, "backend must be one of auto, native, blas, got 'mkl'"),
    ({"kernel": "gpu"}, ValueError, "kernel must be 'fused' or 'reference', got 'gpu'"),
    ({"validation": X}, TypeError, r"validation must be a pair \(X, y\), .*, got ndarray"),
    ({"validation": 1.0}, ValueError, "validation must be above 0 and below 1, got 1.0"),
    ({"validation": True}, TypeError, "validation must be a number between 0 and 1, got True"),
    ({"validation": (X, Y, -np.ones(30))}, ValueError, "validation sample_weight must not be negative"),
    ({"metrics": [max]}, ValueError, "metrics needs validation rows"),
    ({"evaluate_every": 3}, ValueError, "evaluate_every needs validation rows"),
    ({"validation": 0.5, "evaluate_every": 0}, ValueError, "evaluate_every must be at least 1, got 0"),
    ({"validation": 0.5, "metrics": "accuracy"}, TypeError, "metrics must be a sequence"),
    ({"validation": 0.5, "metrics": [3]}, TypeError, "metrics must hold names and functions of"),
    ({"validation": 0.5, "metrics": [max, max]}, ValueError, "metrics must have different names, got 'max' twice"),
    ({"sample_weight": np.ones(7)}, ValueError, r"sample_weight must have shape \(30,\)"),
    ({"sample_weight": np.zeros(30)}, ValueError, "sample_weight is 0 throughout"),
    ({"sample_weight": [1] * 7 + [np.nan] * 23}, ValueError, r"sample_weight\[7\] is nan"),
    ({"sample_weight": np.full(30, 1e-40)}, ValueError, "sample_weight is at most 1e-40; with float32 its largest"),
    ({"sample_weight": np.full(30, 1e30)}, ValueError, r"lie between 1e-29 and 8e\+28: divide all by the same number"),
    ({"class_weight": "even"}, ValueError, "class_weight must be 'balanced', a dict or a sequence, got 'even'"),
    ({"class_weight": {3: 1.0}}, ValueError, "class_weight must be for classes 0 to 2, got 3"),
    ({"class_weight": [1.0, 2.0]}, ValueError, "class_weight must have one weight for each of the 3 classes"),
    ({"dropout": 1.0}, ValueError, "dropout must be at least 0 and below 1, got 1.0"),
    ({"dropout": [0.1, 0.1]}, ValueError, "dropout must be one number or 1, one per hidden layer, got 2"),
    ({"dropout": None}, TypeError, "dropout must be a number, or one per hidden layer, got None"),
    ({"label_smoothing": 1}, ValueError, "label_smoothing must be at least 0 and below 1, got 1"),
    ({"accumulate": 0}, ValueError, "accumulate must be at least 1, got 0"),
    ({"checkpoint": 3}, TypeError, "checkpoint must be a path or a fastsgd.Checkpoint, got 3"),
    ({"checkpoint": "/nowhere/run.ckpt"}, OSError, r"cannot write: .*[\\/]nowhere[\\/]+run.ckpt"),
    ({"resume": True}, ValueError, "resume=True resumes from the file of checkpoint=, which was not given"),
    ({"resume": "/nowhere.ckpt"}, FileNotFoundError, "/nowhere.ckpt"),
    ({"callbacks": [3]}, TypeError, "callbacks must hold fastsgd.Callback objects or functions, got 3"),
    ({"callbacks": fastsgd.Progress()}, TypeError, "callbacks must be a sequence of callbacks"),
    ({"callbacks": None}, TypeError, "callbacks must be a sequence of callbacks"),
    ({"seed": -1}, ValueError, "seed must be None or a whole number at least 0, got -1"),
    ({"optimizer": fastsgd.Adam(beta_2=1 - 1e-9)}, ValueError, r"beta_2 = 0.999999999 is 1.0 in float32"),
    ({"optimizer": fastsgd.Adam(epsilon=1e-60)}, ValueError, r"epsilon = 1e-60 is 0.0 in float32"),
    ({"callbacks": [fastsgd.Progress]}, TypeError, "callbacks must hold"),
    ({"seed": "a"}, (TypeError, ValueError), "seed must be"),
])
def test_bad_arguments_of_train(arguments, error, message):
    net = network()
    before = net.params.copy()
    with pytest.raises(error, match=message):
        fastsgd.train(net, X, Y, **arguments)
    assert (net.params == before).all()


def test_train_needs_a_network():
    with pytest.raises(TypeError, match=r"net must be a fastsgd.Network, got list"):
        fastsgd.train([4, 3], X, Y)


@pytest.mark.parametrize(("arguments", "error", "message"), [
    (([4],), ValueError, "sizes must name at least the inputs and the outputs"),
    (([4, 0, 3],), ValueError, "sizes must be at least 1, got 0"),
    (([4, 2.0, 3],), TypeError, "sizes must hold whole numbers, got 2.0"),
    (([4, True],), TypeError, "sizes must hold whole numbers, got True"),
    (("4,3",), TypeError, "sizes must be a sequence of whole numbers"),
    ((5,), TypeError, "sizes must be a sequence of whole numbers"),
    (([4, 2**40, 3],), ValueError, "parameters; at most 2,147,483,647 are supported"),
    (([4, 5, 3], "sigmoid"), ValueError, "activation must be one of identity, logistic, .* got 'sigmoid'"),
    (([4, 5, 3], ["relu", "tanh"]), ValueError, "activation must be one name or 1, one per hidden layer"),
    (([4, 5, 3], 5), TypeError, "activation must be a name, or a sequence of one name per hidden layer, got 5"),
    (([4, 5, 3], [["relu"]]), TypeError, "activation must be a name"),
    (([4, 5, 3], "relu", ["huber"]), ValueError, "loss must be one of"),
    (([4, 5, 3], "softmax"), ValueError, "activation must be one of"),
    (([4, 3], "nonsense"), ValueError, "activation must be one of"),
    (([4, 5, 3], "relu", "mse"), ValueError, "loss must be one of cross_entropy, .* got 'mse'"),
    (([4, 5, 1],), ValueError, "cross_entropy needs an output per class.*binary_cross_entropy"),
])
def test_bad_networks(arguments, error, message):
    with pytest.raises(error, match=message):
        fastsgd.Network(*arguments)


@pytest.mark.parametrize(("arguments", "message"), [
    ({"dtype": "float16"}, "dtype must be float32 or float64, got 'float16'"),
    ({"dtype": None}, "dtype must be float32 or float64, got None"),
    ({"init": "zeros"}, "init must be one of auto, he, glorot, lecun, normal, ntk, scikit-learn, got 'zeros'"),
    ({"output": "logistic"}, "output for cross_entropy must be softmax, got 'logistic'"),
    ({"loss": losses.Quantile([0.1, 0.9])}, r"loss: Quantile: quantile must be one number or 3, one per output, got "
                                            r"\[0.1, 0.9\]"),
    ({"loss": losses.Quantile([0.5])}, "quantile must be one number or 3"),
])
def test_bad_keywords_of_networks(arguments, message):
    with pytest.raises(ValueError, match=message):
        network(**arguments)


def test_bad_seeds_of_networks():
    with pytest.raises(ValueError, match="seed must be None or a whole number at least 0, got -1"):
        fastsgd.Network([2, 2], seed=-1)


def test_rows_of_many_kinds_give_the_same_predictions():
    net = network(dtype="float64")
    whole = np.round(X * 10)
    expected = net.predict(whole)
    wide = np.zeros((60, 8))
    wide[::2, ::2] = whole
    read_only = whole.copy()
    read_only.flags.writeable = False
    kinds = [whole.tolist(), whole.astype("float32"), whole.astype("int8"), whole.astype(">f8"), whole.astype("f2"),
             np.asfortranarray(whole), wide[::2, ::2], whole[::-1][::-1], read_only, np.ma.array(whole),
             whole.astype(object), memoryview(whole)]
    for kind in kinds:
        np.testing.assert_array_equal(net.predict(kind), expected)
    np.testing.assert_array_equal(net.predict(whole[::-1]), expected[::-1])
    np.testing.assert_array_equal(net.predict(np.broadcast_to(whole[0], (5, 4))), np.tile(expected[0], (5, 1)))
    packed = np.zeros(30, dtype=[("x", "f8", 4), ("label", "u1")])        # rows 33 bytes apart
    packed["x"] = whole
    np.testing.assert_array_equal(net.predict(packed["x"]), expected)
    unaligned = np.zeros(30, dtype=[("label", "u1"), ("x", "f8", 4), ("rest", "V7")])
    unaligned["x"] = whole
    np.testing.assert_array_equal(net.predict(unaligned["x"]), expected)
    pandas = pytest.importorskip("pandas")
    np.testing.assert_array_equal(net.predict(pandas.DataFrame(whole)), expected)


def test_labels_of_many_kinds_give_the_same_cost():
    net = network(dtype="float64")
    expected = net.cost(X, Y)
    for kind in (Y.tolist(), Y.astype("uint8"), Y.astype(">i2"), Y.astype(float), Y[:, np.newaxis], np.eye(3)[Y],
                 np.eye(3, dtype=bool)[Y], np.repeat(Y, 2)[::2]):
        assert net.cost(X, kind) == pytest.approx(expected, rel=1e-12)


def test_the_callers_arrays_are_never_written():
    rows, y = X.copy(), np.eye(3)[Y]
    rows.flags.writeable = y.flags.writeable = False
    net = network(dtype="float64")
    fastsgd.train(net, rows, y, epochs=2, batch_size=7)
    fastsgd.train(net, rows, y, epochs=2, batch_size=None)


def test_labels_that_change_during_an_epoch_are_not_read_again():
    rows = np.random.default_rng(0).standard_normal((3_000_000, 4), dtype="float32")
    y = np.zeros(len(rows), dtype=np.int32)

    class Spoil(fastsgd.Callback):
        def on_rows(self, run):
            y[:] = 100_000_000

    fastsgd.train(network(), rows, y, batch_size=4, epochs=1, callbacks=[Spoil()])
    assert y[0] == 100_000_000, "the epoch was too short to be spoiled"


def test_assigning_params_copies_the_values_in():
    net, other = network(), fastsgd.Network([4, 5, 3], seed=1)
    net.params = other.params
    assert (net.predict(X) == other.predict(X)).all()
    assert (net.weights[0] == other.weights[0]).all()
    assert not np.shares_memory(net.params, other.params)
    net.params *= 0.5
    assert (net.weights[0] == 0.5 * other.weights[0]).all()
    with pytest.raises(ValueError, match=r"params must have shape \(43,\), got \(2,\)"):
        net.params = np.zeros(2)


def test_a_gradient_that_does_not_exist_is_an_error():
    net = fastsgd.Network([4, 1], loss="squared_error", seed=0)
    net.params[:] = 1e30
    with pytest.raises(FloatingPointError, match="the cost of these rows is inf, so there is no gradient"):
        net.gradient(X, X[:, 0])


def test_r2_of_targets_that_do_not_vary_is_nan():
    for dtype in ("float32", "float64"):
        net = fastsgd.Network([4, 1], loss="squared_error", dtype=dtype, seed=0)
        assert np.isnan(net.score(X, np.full(30, 0.7)))


@pytest.mark.parametrize("init", ["he", "glorot", "normal"])
def test_initial_weights_have_the_spread_they_claim(init):
    net = fastsgd.Network([300, 200, 100], init=init, seed=0)
    for W, b in zip(net.weights, net.biases, strict=True):
        spread = {"he": (2 / W.shape[0]) ** 0.5, "glorot": (2 / sum(W.shape)) ** 0.5, "normal": 1.0}[init]
        assert W.std() == pytest.approx(spread, rel=0.02)
        assert abs(W.mean()) < 0.02 * spread
        assert (b.std() > 0.8) == (init == "normal")


def test_auto_takes_he_for_relu_and_glorot_for_tanh():
    for activation, init in (("relu", "he"), ("tanh", "glorot")):
        auto, named = (fastsgd.Network([30, 20, 20], activation, "squared_error", seed=3, init=i)
                       for i in ("auto", init))
        assert (auto.weights[0] == named.weights[0]).all()


def test_params_are_one_flat_aligned_array_and_views_of_it():
    for sizes in ([3, 2], [7, 5, 3], [1, 1, 1, 1, 2]):
        net = fastsgd.Network(sizes, seed=0)
        assert net.params.ctypes.data % 64 == 0
        parts = [part.ravel() for pair in zip(net.weights, net.biases, strict=True) for part in pair]
        np.testing.assert_array_equal(np.concatenate(parts), net.params)
        for W, b, inputs, outputs in zip(net.weights, net.biases, sizes, sizes[1:], strict=False):
            assert (W.shape, b.shape) == ((inputs, outputs), (outputs,))
            assert np.shares_memory(W, net.params)
            assert np.shares_memory(b, net.params)
