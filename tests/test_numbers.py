"""Is a number right where floating point is at its ends: denormals, logits of 1e4, probabilities of 0?"""
import itertools
import platform
import statistics
import time

import numpy as np
import pytest
from cases import LOSSES, MARGINS, StepConfig, make_net

import fastsgd
from fastsgd.engine import _kernel, reference
from fastsgd.network import checked

TYPES = ["float32", "float64"]


def denormals_count() -> bool:
    """Whether this thread computes with them; through memory, so that no compiler does it beforehand."""
    return bool((np.full(3, 2.0**-1060) * np.full(3, 0.5) > 0).all())


def single_layer(size, dtype="float64", **arguments):
    net = fastsgd.Network([size, size], dtype=dtype, **arguments)
    net.params[:] = 0
    net.weights[0][:] = np.eye(size)
    return net


@pytest.mark.parametrize("rows", [1, 100, 3000])                # of each way to predict
@pytest.mark.parametrize("dtype", TYPES)
def test_denormals_are_zero_inside_and_numbers_outside(dtype, rows):
    net = single_layer(4, dtype, loss="squared_error")
    tiny = np.finfo(dtype).tiny
    X = np.full((rows, 4), tiny, dtype)
    assert (net.predict(X, threads=2) == tiny).all()
    assert (net.predict(X / 4, threads=2) == 0).all()           # taken for zero
    net.params *= 0.25
    assert (net.predict(X, threads=2) == 0).all()               # come out as zero
    assert denormals_count()


@pytest.mark.parametrize("rows", [1, 100, 3000])
@pytest.mark.parametrize("dtype", TYPES)
def test_what_rounds_up_to_the_smallest_normal_number_depends_on_the_cpu(dtype, rows):
    """The one difference between CPUs: Arm looks whether a result is subnormal before it is rounded, x86-64 after."""
    half, part = np.sqrt(np.finfo(dtype).tiny), {"float32": 2.0**-13, "float64": 2.0**-28}[dtype]
    net = single_layer(1, dtype, loss="squared_error")
    net.params *= half * (1 - part)
    kept = platform.machine().lower() in ("x86_64", "amd64")
    assert (net.predict(np.full((rows, 1), half * (1 + part), dtype)) == np.finfo(dtype).tiny * kept).all()


def test_denormals_count_after_every_call_and_in_what_python_sees_of_one(digits):
    (X, y), _ = digits
    net = fastsgd.Network([64, 300, 300, 10], seed=0)
    X, y = checked.check(net, X, y)
    seen = []
    for threads in (1, 2):
        state = fastsgd.SGD(0.1).state(net.params)
        order = np.tile(np.arange(len(X)), 80)      # more than a tenth of a second
        _kernel.train_epoch(net.architecture, net.params, X, y, order, StepConfig(fastsgd.SGD(0.1), 100), state,
                            np.full(len(order), 1e-3), None, threads, lambda _: seen.append(denormals_count()))
        assert denormals_count()
    assert seen
    assert all(seen)
    net.cost(X, y)
    net.gradient(X, y)
    assert denormals_count()


@pytest.mark.parametrize("rows", [1, 40, 500])
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("kind", ["dense", "zeros", "sparse"])
def test_softmax_of_logits_that_overflow(dtype, rows, kind):
    net = fastsgd.Network([12 if kind == "zeros" else 2, 3], dtype=dtype)
    net.params[:] = 0
    net.weights[0][:2] = [[2, 1, -1], [1, 2, -1]]
    large = np.finfo(dtype).max / 2
    X = np.zeros((rows, net.sizes[0]), dtype)
    X[:, :2] = np.array([[large, large / 2], [large / 2, large], [large, large], [-large, -large], [1, 2]],
                        dtype)[np.arange(rows) % 5]
    given = pytest.importorskip("scipy.sparse").csr_array(X) if kind == "sparse" else X
    small = np.exp(np.array([4.0, 5, -3]) - 5)
    expected = np.array([[1, 0, 0], [0, 1, 0], [0.5, 0.5, 0], [0, 0, 1], small / small.sum()])[np.arange(rows) % 5]
    np.testing.assert_allclose(net.predict(given), expected, rtol=1e-6)
    out = np.empty_like(expected, dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        reference.predict(net.architecture, net.params, X, out)
    np.testing.assert_allclose(out, expected, rtol=1e-6)


@pytest.mark.filterwarnings("ignore:the network predicts the rows it was trained on")
def test_training_full_of_denormals_takes_no_longer():
    rng = np.random.default_rng(0)
    X, y = rng.random((4000, 100), dtype=np.float32), rng.integers(0, 10, 4000)
    seconds = {1.0: [], 1e-39: []}
    for scale in [*seconds] * 5:
        net = fastsgd.Network([100, 64, 64, 10], "relu", seed=0)
        net.params *= np.float32(scale)
        begin = time.process_time()
        fastsgd.train(net, X * np.float32(scale), y, optimizer=fastsgd.SGD(1e-3, momentum=0.9), batch_size=50, epochs=2,
                      seed=0, threads=1)
        seconds[scale].append(time.process_time() - begin)
    assert statistics.median(seconds[1e-39]) < 2 * statistics.median(seconds[1.0])


def extremes(dtype) -> np.ndarray:
    """All triples of what may be hard to compute with, in a shuffled order."""
    largest = float(np.finfo(dtype).max)
    sizes = [0, 1e-300, 1e-40, 1, 88, 104, 710, 750, 1e4, 1e10, 1e30, largest]
    values = sorted({sign * size for size in sizes for sign in (-1, 1)})
    X = np.array(list(itertools.product(values, repeat=3)), dtype)
    return np.random.default_rng(0).permutation(X)


def targets(loss, output):
    """Of one row each, for three outputs, or four where there are two for each target."""
    kinds = {"cross_entropy": [[1, 0, 0], [0.5, 0.5, 0]], "binary_cross_entropy": [[1, 0, 1], [0.5, 0, 1]],
             "focal": [[0], [1]], "ordinal": [[0], [2], [3]], "sorted": [[0], [3e38], [-3e38]],
             "gaussian_nll": [[0, 1], [3e38, -3e38]], "poisson": [[0, 1, 3]], "gamma": [[1e-30, 1, 3e38]],
             "tweedie": [[0, 1, 3], [1e-30, 0, 3e38]], **{name: [[1, -1, 1]] for name in MARGINS}}
    found = kinds.get(output) or kinds.get(loss) or [[0, 1, -3], [3e38, -3e38, 0]]
    return [np.array([row], float) for row in found]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")               # of NumPy, where the reference overflows
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(("loss", "output"), LOSSES)
def test_never_nan_where_mathematics_gives_a_number(loss, output, dtype):
    net = make_net([3, 3], "relu", loss, output, dtype, np.random.default_rng(1))
    net.params[:] = 0
    np.fill_diagonal(net.weights[0], 1)
    X = extremes(dtype)
    assert not np.isnan(net.predict(X)).any()
    for y in targets(loss, output):
        for i in range(0, len(X) - 4, max(len(X) // 400, 1)):
            rows, target = checked.check(net, X[i:i + 1], y)
            cost, expected = (module.cost(net.architecture, net.params, rows, target)[0]
                              for module in (_kernel, reference))
            assert not np.isnan(cost), (X[i], y[0])
            slopes = np.empty((1, net.sizes[-1]), dtype)
            _kernel.deltas(net.architecture, net.params, rows, target, slopes)
            assert not np.isnan(slopes).any(), (X[i], y[0], slopes)
            if expected < 1e30:
                assert cost == pytest.approx(expected, rel=1e-4, abs=1e-4), (X[i], y[0])


@pytest.mark.parametrize("dtype", TYPES)
def test_the_cost_of_a_logit_of_ten_thousand(dtype):
    X = np.array([[1e4, -1e4, 0]])
    softmax = single_layer(3, dtype)
    assert [softmax.cost(X, [label]) for label in range(3)] == [0, 2e4, 1e4]
    assert softmax.cost(X, [[0.5, 0.5, 0]]) == 1e4
    np.testing.assert_array_equal(softmax.predict(X), [[1, 0, 0]])
    for label, gradient in ((0, [0, 0, 0]), (1, [1, -1, 0]), (2, [1, 0, -1])):
        np.testing.assert_array_equal(softmax.gradient(X, [label])[-3:], gradient)
    logistic = single_layer(3, dtype, loss="binary_cross_entropy")
    assert logistic.cost(X, [[0, 1, 0.5]]) == pytest.approx(2e4 + np.log(2), rel=1e-6)
    assert logistic.cost(X[:, :2].repeat(2, axis=1)[:, :3], [[1, 1, 0]]) == 0
    np.testing.assert_array_equal(logistic.predict(X), [[1, 0, 0.5]])


@pytest.mark.parametrize(("activation", "expected"), [
    ("logistic", [0, 1]), ("tanh", [-1, 1]), ("relu", [0, 1e4]), ("leaky_relu", [-100, 1e4]), ("elu", [-1, 1e4]),
    ("gelu", [0, 1e4]), ("silu", [0, 1e4]), ("softplus", [0, 1e4]),
    ("selu", [-1.75809934, 1.05070099e4]), ("mish", [0, 1e4]), ("hard_sigmoid", [0, 1]), ("hard_swish", [0, 1e4]),
    ("hard_tanh", [-1, 1]), ("relu6", [0, 6])])
@pytest.mark.parametrize("dtype", TYPES)
def test_activations_far_out(activation, expected, dtype):
    net = make_net([2, 2, 2], activation, "squared_error", "identity", dtype, np.random.default_rng(0))
    net.params[:] = 0
    for layer in range(2):
        net.weights[layer][:] = np.eye(2)
    X = np.array([[-1e4, 1e4]])
    np.testing.assert_allclose(net.predict(X)[0], expected, rtol=1e-6)
    assert np.isfinite(net.gradient(X, [[0, 0]])).all()
