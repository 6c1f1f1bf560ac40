"""Does the kernel do what the NumPy reference says? (15 x 15 x 2 tests, each of a sample of 48 combinations.)"""
import numpy as np
import pytest
from cases import (
    ACTIVATIONS,
    LOSSES,
    OPTIMIZERS,
    TOLERANCE,
    StepConfig,
    agree,
    make_net,
    make_targets,
    one_epoch,
    sample,
)

import fastsgd
from fastsgd.data.checks import Csr
from fastsgd.engine import _kernel, reference
from fastsgd.network import checked
from fastsgd.optimizers import State

# sizes, rows, batch size, threads, and how X lies in memory
SHAPES = [
    ([5, 7, 3], 23, 10, 1, "contiguous"),             # a short last batch
    ([6, 41, 9, 2], 131, 67, 3, "every other row"),   # several blocks and threads, primes
    ([3, 1, 4, 2], 50, 50, 2, "part of the columns"),  # one unit; the full gradient
    ([2, 3], 1, 1, 1, "contiguous"),                  # one row, no hidden layer
]


def arrange(X, layout):
    if layout == "every other row":
        wide = np.full((2 * len(X), X.shape[1]), np.nan, dtype=X.dtype)
        wide[::2] = X
        return wide[::2]
    if layout == "part of the columns":
        wide = np.full((len(X), X.shape[1] + 5), np.nan, dtype=X.dtype)
        wide[:, 2:2 + X.shape[1]] = X
        return wide[:, 2:2 + X.shape[1]]
    return X


def run(module, net, X, y, order, batch_size, optimizer, threads):
    """Everything a module of kernels computes on one case."""
    params, state, steps = one_epoch(module, net, X, y, order, StepConfig(optimizer, batch_size), threads)
    gradient = np.empty_like(params)
    cost = module.gradient(net.architecture, net.params, X, y, gradient, threads=threads)
    predictions = np.empty((len(X), net.sizes[-1]), dtype=params.dtype)
    module.predict(net.architecture, net.params, X, predictions, threads=threads)
    total_cost, score = module.cost(net.architecture, net.params, X, y, threads=threads)
    return {"epoch's cost": state.cost, "epoch's score": state.score, "epoch's steps": steps, "params": params,
            "slots": state.slots, "steps": state.steps, "gradient": gradient, "mean cost": cost, "cost": total_cost,
            "score": score, "predictions": predictions}


def compare(net, X, y, order, batch_size, optimizer, *numbers_of_threads):
    """What the kernel computes on the last number of threads, after comparing each with the reference."""
    expected = run(reference, net, X, y, order, batch_size, optimizer, 1)
    for threads in numbers_of_threads:
        found = run(_kernel, net, X, y, order, batch_size, optimizer, threads)
        for name, value in expected.items():
            agree(f"{name} of {net} with {optimizer} on {threads} threads", found[name], value,
                  TOLERANCE[str(net.dtype)])
    return found


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("loss", "output"), LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_kernel_agrees_with_reference(activation, loss, output, dtype):
    place = [ACTIVATIONS.index(activation), LOSSES.index((loss, output))]
    combinations = sample(range(len(OPTIMIZERS)), range(len(SHAPES)), share=1 / 4, salt=[*place, dtype == "float32"])
    for which, shape in combinations:
        rng = np.random.default_rng([*place, which, shape])
        optimizer, (sizes, rows, batch_size, threads, layout) = OPTIMIZERS[which], SHAPES[shape]
        net = make_net(sizes, activation, loss, output, dtype, rng)
        X, y = rng.standard_normal((rows, sizes[0])), make_targets(loss, output, rows, sizes[-1], rng)
        X, y = checked.check(net, X, y)
        order = rng.permutation(rows) if batch_size < rows else None
        found = compare(net, arrange(X, layout), y, order, batch_size, optimizer, threads)
        right = rows == 1 and (loss == "perceptron" or "epsilon" in loss)       # one row, and nothing to do
        assert right or (found["params"] != net.params).any(), "the step changed nothing, so nothing was compared"


@pytest.mark.parametrize(("shape", "optimizer", "dtype"), sample(
    [(2500, 2100), (2500, 1024), (1025, 1025), (700, 300)], [OPTIMIZERS[0], OPTIMIZERS[6], OPTIMIZERS[8]],
    ["float64", "float32"], share=1 / 3))
def test_batches_larger_than_the_workspace(shape, optimizer, dtype):
    rows, batch_size = shape
    rng = np.random.default_rng(rows)
    net = make_net([600, 300, 5], "tanh", "cross_entropy", None, dtype, rng)
    net.params *= 0.1
    X, y = checked.check(net, rng.standard_normal((rows, 600)), rng.integers(0, 5, rows))
    compare(net, X, y, rng.permutation(rows), batch_size, optimizer, 1, 3)


def test_per_layer_activations():
    rng = np.random.default_rng(1)
    net = make_net([4, 6, 5, 7, 2], ["gelu", "relu", "silu"], "squared_error", None, "float64", rng)
    X, y = checked.check(net, rng.standard_normal((30, 4)), rng.standard_normal((30, 2)))
    compare(net, X, y, rng.permutation(30), 7, OPTIMIZERS[1], 2)


def test_rows_may_be_left_out_or_repeated_by_the_order():
    rng = np.random.default_rng(2)
    net = make_net([4, 6, 3], "tanh", "cross_entropy", None, "float64", rng)
    X, y = checked.check(net, rng.standard_normal((30, 4)), rng.integers(0, 3, 30))
    compare(net, X, y, np.array([3, 3, 29, 0, 7, 8, 7]), 3, OPTIMIZERS[0], 1)


@pytest.mark.parametrize("module", [_kernel, reference], ids=["kernel", "reference"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_cost_that_is_not_finite_stops_before_its_step(activation, value, module):
    rng = np.random.default_rng(3)
    net = make_net([4, 6, 3], activation, "cross_entropy", None, "float64", rng)
    X, y = checked.check(net, rng.standard_normal((30, 4)), rng.integers(0, 3, 30))
    X = X.copy()
    X[25] = value                                    # the row of the last of three steps
    with np.errstate(all="ignore"):
        params, state, steps = one_epoch(module, net, X, y, np.arange(30), StepConfig(OPTIMIZERS[0], 10))
    assert (steps, state.steps) == (2, 2)
    assert not np.isfinite(state.cost)
    assert np.isfinite(params).all()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda optimizer: optimizer.kind)
def test_blas_agrees_with_reference(optimizer, dtype):
    rng = np.random.default_rng(6)
    net = make_net([30, 40, 20, 3], "tanh", "cross_entropy", None, dtype, rng)
    X, y = checked.check(net, rng.standard_normal((300, 30)) * (rng.random((300, 30)) < 0.1), rng.integers(0, 3, 300))
    order = rng.permutation(300)
    for threads in (1, 3):
        outcomes = []
        for module in (_kernel, reference):
            params, state, steps = one_epoch(module, net, X, y, order, StepConfig(optimizer, 30, backend="blas"),
                                             threads)
            gradient = np.empty_like(params)
            module.gradient(net.architecture, net.params, X, y, gradient, threads=threads, backend="blas")
            outcomes.append([params, state.slots, [state.cost, state.score, steps], gradient])
        for found, expected in zip(*outcomes, strict=True):
            agree(f"{optimizer} on BLAS", found, expected, TOLERANCE[dtype])


def test_what_is_written_to_must_be_writeable():
    net = make_net([2, 3], "relu", "cross_entropy", None, "float64", np.random.default_rng(0))
    X, y = checked.check(net, np.ones((4, 2)), np.zeros(4))
    out = np.zeros_like(net.params)
    out.flags.writeable = False
    with pytest.raises(ValueError, match="out is read-only"):
        _kernel.gradient(net.architecture, net.params, X, y, out)
    with pytest.raises(ValueError, match="params is read-only"):
        _kernel.train_epoch(net.architecture, out, X, y, None, StepConfig(OPTIMIZERS[0], 2), OPTIMIZERS[0].state(out),
                            np.ones(2))


def test_the_kernel_refuses_arrays_that_do_not_fit():
    rng = np.random.default_rng(4)
    net = make_net([4, 6, 3], "relu", "cross_entropy", None, "float64", rng)
    X, y = checked.check(net, rng.standard_normal((9, 4)), rng.integers(0, 3, 9))
    out = np.empty_like(net.params)
    packed = np.zeros(9, dtype=[("x", "f8", 4), ("label", "u1")])["x"]     # rows 33 bytes apart
    for params, rows, targets, message in [
            (net.params[1:], X, y, "params must hold 51 contiguous"), (net.params, X[:, 1:], y, "X does not fit"),
            (net.params, X[::-1], y, "rows of X overlap"), (net.params, packed, y, "between its values"),
            (net.params, X.T.copy().T, y, "must be neighbours"), (net.params, X, y[1:], "differ in length"),
            (net.params, X, y + np.int32(1), r"labels\[\d\] is 3; allowed are 0 to 2"),
            (net.params, X, y - np.int32(3), r"labels\[\d\] is -\d; allowed"),
            (net.params, X.astype("float32"), y, "X must have dtype float64 or uint8, got float32"),
            (net.params, X, np.zeros((9, 2)), "target must hold 27"), (net.params, X[:0], y[:0], "X does not fit")]:
        with pytest.raises(ValueError, match=message):
            _kernel.gradient(net.architecture, params, rows, targets, out)
    with pytest.raises(ValueError, match="out must hold 51"):
        _kernel.gradient(net.architecture, net.params, X, y, out[:2])
    with pytest.raises(ValueError, match="out must hold 27"):
        _kernel.predict(net.architecture, net.params, X, np.empty((9, 2)))
    state = OPTIMIZERS[1].state(net.params)
    for order, batch_size, rates, its_state, message in [
            (np.array([9]), 1, np.ones(1), state, r"order\[0\] is 9"), (np.array([-1]), 1, np.ones(1), state, "is -1"),
            (np.array([], dtype=int), 1, np.ones(1), state, "order is empty"),
            (np.arange(9), 0, np.ones(9), state, "batch_size must be positive"),
            (np.arange(9), 2, np.ones(4), state, "one value per step"),
            (np.arange(9), 2, np.ones(5), OPTIMIZERS[0].state(net.params), "state does not fit")]:
        with pytest.raises(ValueError, match=message):
            _kernel.train_epoch(net.architecture, net.params, X, y, order, StepConfig(OPTIMIZERS[1], batch_size),
                                its_state, rates)
    for weights, rates, its_state, message in [
            (np.ones(8), np.ones(5), state, "sample_weight and X differ in length"),
            (np.ones(9), np.ones(5), State(state.slots, net.params.copy()), "state does not fit")]:
        with pytest.raises(ValueError, match=message):
            _kernel.train_epoch(net.architecture, net.params, X, y, None, StepConfig(OPTIMIZERS[1], 2), its_state,
                                rates, weights)


@pytest.mark.parametrize("module", [_kernel, reference], ids=["kernel", "reference"])
def test_of_equal_outputs_the_first_counts(module):
    net = make_net([2, 3], "relu", "cross_entropy", None, "float64", np.random.default_rng(0))
    net.params[:] = 0
    X = np.ones((6, 2))
    for target in (np.array([0, 1, 2, 0, 1, 2], dtype=np.int32), np.eye(3)[[0, 1, 2, 0, 1, 2]]):
        assert module.cost(net.architecture, net.params, X, target)[1] == 2


@pytest.mark.parametrize("module", [_kernel, reference], ids=["kernel", "reference"])
def test_the_gradient_of_a_cost_that_is_not_finite_is_nan(module):
    net = make_net([2, 3], "relu", "squared_error", None, "float64", np.random.default_rng(0))
    out = np.zeros_like(net.params)
    with np.errstate(all="ignore"):
        cost = module.gradient(net.architecture, net.params, np.full((1, 2), 1e200), np.zeros((1, 3)), out)
    assert not np.isfinite(cost)
    assert np.isnan(out).all()


@pytest.mark.parametrize("beta_2", [0.9999, 0.99999, 0.999999])
def test_betas_close_to_one_in_float32(beta_2):
    rng = np.random.default_rng(5)
    net = make_net([4, 6, 3], "tanh", "cross_entropy", None, "float32", rng)
    X, y = checked.check(net, rng.standard_normal((60, 4)), rng.integers(0, 3, 60))
    moved = []
    for module in (_kernel, reference):
        recipe = StepConfig(fastsgd.Adam(0.001, beta_2=beta_2), 6)
        moved.append(one_epoch(module, net, X, y, np.arange(60), recipe)[0] - net.params)
    agree("change", moved[0], moved[1], 1e-3)


def test_the_reference_takes_memory_for_the_rows_alone():
    net = fastsgd.Network([2, 100_000], loss="hinge", seed=0)
    fastsgd.train(net, np.ones((3, 2)), [0, 1, 99_999], epochs=1, kernel="reference")       # outputs^2: 37 GiB
    net = fastsgd.Network([2, 100_000], seed=0)
    fastsgd.train(net, np.ones((3, 2)), [0, 1, 99_999], epochs=1, kernel="reference", label_smoothing=0.1)


@pytest.mark.parametrize("hidden", [[], [8]])
@pytest.mark.parametrize("sparse", [False, True])
def test_a_pass_looks_at_its_own_rows_only(hidden, sparse):
    """So that a step on 100 rows costs the same among a million as among a thousand."""
    net = fastsgd.Network([3, *hidden, 2], seed=0)
    X, y = checked.check(net, np.ones((10, 3), "f4"), np.zeros(10, int))
    if sparse:
        X = Csr(np.arange(0, 33, 3), np.tile(np.arange(3, dtype=np.int32), 10), np.ones(30, "f4"), (10, 3))
        X.indptr[8] = 10**9
    y[7] = 99
    config = StepConfig(fastsgd.SGD(0.1), 2)
    assert one_epoch(_kernel, net, X, y, np.arange(6), config)[2] == 3
    with pytest.raises(ValueError, match=r"labels\[7\] is 99; allowed are 0 to 1"):
        one_epoch(_kernel, net, X, y, np.arange(6, 8), config)
    y[7] = 0
    if sparse:
        with pytest.raises(ValueError, match="rows outside the matrix"):
            one_epoch(_kernel, net, X, y, np.arange(6, 8), config)
