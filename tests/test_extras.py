"""Dropout, weights of rows, smoothed labels, limits and averages: do kernel and reference agree, on any threads?"""
from dataclasses import replace

import numpy as np
import pytest
from cases import AROUND, LOSSES, OPTIMIZERS, TOLERANCE, StepConfig, agree, make_net, make_targets, one_epoch

import fastsgd
from fastsgd.data.checks import Csr
from fastsgd.engine import _kernel, reference
from fastsgd.model.architecture import ACTIVATIONS
from fastsgd.network import checked

DTYPES = ["float64", "float32"]


def both(net, X, y, order, recipe, weights=None, tolerance=None):
    """The kernel's outcome on one thread, which the reference's resembles and which other threads share bit for bit."""
    first = None
    expected = one_epoch(reference, net, X, y, order, recipe, sample_weight=weights)
    for threads in (1, 2, 5):
        params, state, steps = one_epoch(_kernel, net, X, y, order, recipe, threads, weights)
        found = [params, state.slots, np.array([state.cost, state.score, steps]),
                 np.zeros(1) if state.average is None else state.average]
        if first is None:
            first = found
            theirs = [expected[0], expected[1].slots, [expected[1].cost, expected[1].score, expected[2]],
                      np.zeros(1) if state.average is None else expected[1].average]
            for a, b in zip(found, theirs, strict=True):
                agree(f"{recipe}", a, b, tolerance or TOLERANCE[str(net.dtype)])
        for a, b in zip(found, first, strict=True):
            np.testing.assert_array_equal(a, b)
    return first


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("around", AROUND, ids=str)
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda optimizer: optimizer.kind)
def test_limits_and_averages_agree_with_the_reference(optimizer, around, dtype):
    if optimizer.averages and {"average", "max_norm"} & around.keys():
        pytest.skip("it has its own average")
    rng = np.random.default_rng(0)
    net = make_net([13, 40, 21, 3], ["relu", "gelu"], "cross_entropy", None, dtype, rng)
    X, y = checked.check(net, rng.standard_normal((100, 13)), rng.integers(0, 3, 100))
    with_it = both(net, X, y, rng.permutation(100), StepConfig(replace(optimizer, **around), 30))
    without = one_epoch(_kernel, net, X, y, np.random.default_rng(0).permutation(100), StepConfig(optimizer, 30))[0]
    if "average" not in around:
        assert (with_it[0] != without).any()                  # the case does reach its limit


@pytest.mark.parametrize("batch_size", [7, 1500])
@pytest.mark.parametrize("dtype", DTYPES)
def test_all_at_once_with_large_batches_and_lists(dtype, batch_size):
    rng = np.random.default_rng(1)
    net = make_net([30, 70, 20, 4], "tanh", "cross_entropy", None, dtype, rng)
    X = rng.standard_normal((3100, 30)) * (rng.random((3100, 30)) < 0.2)
    X, y = checked.check(net, X, rng.integers(0, 4, 3100))
    weights = rng.random(3100)
    optimizer = fastsgd.Adam(0.01, epsilon=1e-3, clip_norm=0.05, max_norm=2.0, average=0.99)
    recipe = StepConfig(optimizer, batch_size, (0.5, 0.25), 12345, 0.1)
    order = rng.permutation(3100)[:100 if batch_size == 7 else None]
    dense = both(net, X, y, order, recipe, weights, 1e-9 if dtype == "float64" else 1e-3)
    entries = [np.flatnonzero(row) for row in X]
    indptr = np.concatenate([[0], np.cumsum([len(row) for row in entries])])
    lists = Csr(indptr, np.concatenate(entries).astype(np.int32), X[X != 0], X.shape)
    params, _, _ = one_epoch(_kernel, net, lists, y, order, recipe, 2, weights)
    np.testing.assert_array_equal(params, dense[0])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_dropout_agrees_with_the_reference(activation, dtype):
    rng = np.random.default_rng(2)
    net = make_net([9, 150, 17, 3], activation, "cross_entropy", None, dtype, rng)
    X, y = checked.check(net, rng.standard_normal((90, 9)), rng.integers(0, 3, 90))
    both(net, X, y, rng.permutation(90), StepConfig(fastsgd.SGD(0.05), 20, (0.3, 0.6), seed=2**63 + 7))
    both(net, X, y, rng.permutation(90), StepConfig(fastsgd.SGD(0.05, momentum=0.9), 20, (0.0, 0.5), seed=7))


def test_dropout_drops_what_it_is_asked_to_and_each_step_other_units():
    recipe = StepConfig(fastsgd.SGD(0.1), 10_000, (0.2,), seed=3)
    net = fastsgd.Network([2, 100, 2], seed=0)
    masks = [reference.dropout_masks(net.architecture, recipe, step, 10_000, np.dtype("float64"))[0] for step in (0, 1)]
    for mask in masks:
        assert (mask == 0).mean() == pytest.approx(0.2, abs=1e-3)
        assert mask.mean() == pytest.approx(1, abs=1e-3)
        assert abs((mask == 0).mean(axis=0) - 0.2).max() < 0.02         # over the rows of each unit
        assert abs((mask == 0).mean(axis=1) - 0.2).max() < 0.25         # over the units of each row
    for other in (masks[1], np.roll(masks[0], 1, axis=0), np.roll(masks[0], 1, axis=1)):
        assert np.corrcoef(masks[0].ravel() == 0, other.ravel() == 0)[0, 1] == pytest.approx(0, abs=0.005)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("loss", "output"), LOSSES)
def test_weights_and_smoothing_agree_with_the_reference(loss, output, dtype):
    rng = np.random.default_rng([3, LOSSES.index((loss, output))])
    for _ in range(3):
        net = make_net([5, 12, 4], "relu", loss, output, dtype, rng)
        X, y = checked.check(net, rng.standard_normal((64, 5)), make_targets(loss, output, 64, 4, rng))
        weights = rng.random(64) * (rng.random(64) < 0.7)
        weights[:20] = 0                                                # a batch in which no row counts
        smoothing = 0.2 if "entropy" in loss else 0.0
        order = np.concatenate([np.arange(20), 20 + rng.permutation(44)])
        both(net, X, y, order, StepConfig(fastsgd.SGD(0.05, momentum=0.5), 20, label_smoothing=smoothing), weights)
        found, expected = np.empty_like(net.params), np.empty_like(net.params)
        costs = [module.gradient(net.architecture, net.params, X, y, out, weights) for module, out in
                 ((_kernel, found), (reference, expected))]
        agree("gradient", found, expected, TOLERANCE[dtype])
        agree("its cost", *costs, TOLERANCE[dtype])
        rows = np.array([3, 3, 60, 21, 40])
        agree("cost of rows", _kernel.cost(net.architecture, net.params, X, y, rows, weights, 2),
              reference.cost(net.architecture, net.params, X, y, rows, weights), TOLERANCE[dtype])
        out = np.empty((5, 4), dtype)
        _kernel.predict(net.architecture, net.params, X, out, rows)
        np.testing.assert_array_equal(out, net.predict(X)[rows])


def test_a_weight_is_as_good_as_so_many_rows():
    rng = np.random.default_rng(4)
    net = make_net([5, 12, 3], "tanh", "cross_entropy", None, "float64", rng)
    X, y = checked.check(net, rng.standard_normal((40, 5)), rng.integers(0, 3, 40))
    counts = rng.integers(0, 4, 40)
    repeated = np.repeat(np.arange(40), counts)
    weighted, repeats = np.empty_like(net.params), np.empty_like(net.params)
    a = _kernel.gradient(net.architecture, net.params, X, y, weighted, counts.astype(float))
    b = _kernel.gradient(net.architecture, net.params, X[repeated], y[repeated], repeats)
    assert a == pytest.approx(b, rel=1e-12)
    np.testing.assert_allclose(weighted, repeats, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("module", [_kernel, reference], ids=["kernel", "reference"])
def test_a_weight_of_zero_takes_an_infinite_cost_away(module):
    net = make_net([2, 3], "relu", "squared_error", None, "float64", np.random.default_rng(0))
    X, y = np.array([[1e300, 1.0], [1.0, 2.0]]), np.zeros((2, 3))
    with np.errstate(all="ignore"):
        params, state, steps = one_epoch(module, net, X, y, None, StepConfig(fastsgd.SGD(0.1), 2),
                                         sample_weight=np.array([0.0, 1.0]))
    assert steps == 1
    assert np.isfinite(params).all()
    assert np.isfinite(state.cost)


def test_philox_is_the_published_one():
    """Known answers of Random123 (kat_vectors, philox4x64-10) by way of NumPy, whose counter goes up before use."""
    random = np.random.Philox(key=np.zeros(2, np.uint64), counter=np.full(4, 2**64 - 1, np.uint64))
    assert random.random_raw(4).tolist() == [0x16554d9eca36314c, 0xdb20fe9d672d0fdc, 0xd7e772cee186176b,
                                             0x7e68b68aec7ba23b]


def test_the_average_is_what_it_says():
    rng = np.random.default_rng(5)
    net = make_net([3, 4, 2], "relu", "cross_entropy", None, "float64", rng)
    X, y = checked.check(net, rng.standard_normal((50, 3)), rng.integers(0, 2, 50))
    after = [one_epoch(_kernel, net, X, y, np.arange(10 * steps), StepConfig(fastsgd.SGD(0.1), 10))[0]
             for steps in range(1, 6)]
    moving = after[0]
    for params in after[1:]:
        moving = 0.3 * moving + 0.7 * params
    for arguments, expected in (({"average": "polyak"}, np.mean(after, axis=0)), ({"average": 0.3}, moving),
                                ({"average": "polyak", "average_from": 3}, np.mean(after[3:], axis=0))):
        recipe = StepConfig(fastsgd.SGD(0.1, **arguments), 10)
        found = one_epoch(_kernel, net, X, y, np.arange(50), recipe)[1].average
        np.testing.assert_allclose(found, expected, rtol=1e-12)
