"""Is Muon that of its papers, in the kernel as in the reference, on any number of threads?"""
import numpy as np
import pytest
from cases import TOLERANCE, StepConfig, agree, make_net, one_epoch

import fastsgd
from fastsgd.engine import _kernel, reference
from fastsgd.layers import Scale
from fastsgd.network import checked

# tall and wide, more than a block of 48 columns and 512 terms, of one row and of one column
CHAINS = [[600, 130, 70, 150, 3], [20, 260, 3], [9, 1, 7, 2], [3, 2], [13, Scale(), 50, 100, 3]]


def newton_schulz(u):
    """The five steps of Jordan 2024, as he writes them: on the matrix with fewer rows than columns."""
    x = u.T if u.shape[0] > u.shape[1] else u
    x = x / np.linalg.norm(x)
    for _ in range(5):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return x.T if u.shape[0] > u.shape[1] else x


def hidden_weights(net):
    return [tensor for tensor in net.architecture.tensors
            if tensor.role == "weight" and tensor.layer < len(net.architecture.layers) - 1]


@pytest.mark.parametrize(("nesterov", "scale"), [(True, "rms"), (False, "rms"), (True, "original")])
def test_it_follows_its_papers(digits, nesterov, scale):
    """Jordan 2024 and Liu et al. 2025, told here again; PyTorch's Muon computes in bfloat16."""
    (X, y), _ = digits
    net = fastsgd.Network([64, 24, 40, 10], "tanh", dtype="float64", seed=0)
    optimizer = fastsgd.Muon(0.01, momentum=0.9, nesterov=nesterov, weight_decay=0.1, scale=scale, adam_rate=0.5)
    twin = net.copy()
    buffers = {tensor: np.zeros(tensor.shape) for tensor in hidden_weights(net)}
    for step in range(30):
        rows = slice(20 * step, 20 * step + 20)
        g = twin.gradient(X[rows], y[rows])
        before = twin.params.copy()
        twin.step(X[rows], y[rows], fastsgd.AdamW(0.005, weight_decay=0.1))
        for tensor, m in buffers.items():
            m[:] = 0.9 * m + tensor.of(g)
            direction = newton_schulz(tensor.of(g) + 0.9 * m if nesterov else m)
            inputs, outputs = tensor.shape
            factor = 0.2 * max(inputs, outputs)**0.5 if scale == "rms" else max(1, outputs / inputs)**0.5
            tensor.of(twin.params)[:] = 0.999 * tensor.of(before) - 0.01 * factor * direction
        net.step(X[rows], y[rows], optimizer)
        np.testing.assert_allclose(net.params, twin.params, rtol=0, atol=1e-11)


@pytest.mark.parametrize("shape", [(50, 50), (300, 20), (20, 300), (1, 40), (40, 1)])
def test_directions_are_nearly_orthogonal_and_as_long_as_adams(shape):
    g = np.random.default_rng(0).standard_normal(shape)
    direction = reference.orthogonalize(g)
    sizes = np.linalg.svd(direction, compute_uv=False)
    assert sizes.min() > 0.68
    assert sizes.max() < 1.21
    assert 0.12 < 0.2 * max(shape)**0.5 * np.sqrt((direction**2).mean()) < 0.25


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("batch_size", [30, 1500])
@pytest.mark.parametrize("sizes", CHAINS, ids=str)
def test_the_kernel_agrees_with_the_reference_on_any_number_of_threads(sizes, batch_size, dtype):
    rng = np.random.default_rng(1)
    net = make_net(sizes, "tanh", "cross_entropy", None, dtype, rng)
    net.params /= np.sqrt(sizes[0])
    rows = 100 if batch_size == 30 else 2100                # the pass works on copies of W from 2,048 rows on
    X, y = checked.check(net, rng.standard_normal((rows, sizes[0])), rng.integers(0, sizes[-1], rows))
    order = rng.permutation(rows)
    around = {"clip_norm": 0.5} if dtype == "float64" else {"average": 0.9, "max_norm": 3.0}
    recipe = StepConfig(fastsgd.Muon(0.01, epsilon=1e-3, l1=1e-3, scale="original", adam_rate=0.5, **around),
                        batch_size)
    expected, its_state, _ = one_epoch(reference, net, X, y, order, recipe)
    results = []
    for threads in (1, 2, 5):
        found, state, _ = one_epoch(_kernel, net, X, y, order, recipe, threads)
        agree("params", found, expected, TOLERANCE[dtype])
        agree("slots", state.slots, its_state.slots, TOLERANCE[dtype])
        results.append((found, state.slots))
    for result in results[1:]:
        np.testing.assert_array_equal(result[0], results[0][0])
        np.testing.assert_array_equal(result[1], results[0][1])


def test_it_is_adamw_without_a_hidden_layer_and_for_all_but_hidden_weights(digits):
    (X, y), _ = digits
    for sizes in ([64, 10], [64, 20, 10]):
        nets = [fastsgd.Network(sizes, seed=0) for _ in range(2)]
        for net, kind in zip(nets, (fastsgd.Muon, fastsgd.AdamW), strict=True):
            net.step(X, y, kind(0.01, weight_decay=0.1))
        for name, found in nets[0].tensors.items():
            same = np.array_equal(found, nets[1].tensors[name])
            assert same == (len(sizes) == 2 or name != "weights.0"), name


def test_groups_and_the_rate_of_adams_part(digits):
    (X, y), _ = digits
    moved = []
    for arguments in ({}, {"adam_rate": 0.5}, {"groups": {"weights.0": fastsgd.ParameterGroup(2.0)}}):
        net = fastsgd.Network([64, 20, 10], dtype="float64", seed=0)
        before = {name: tensor.copy() for name, tensor in net.tensors.items()}
        net.step(X, y, fastsgd.Muon(0.01, weight_decay=0.0, **arguments))
        moved.append({name: tensor - before[name] for name, tensor in net.tensors.items()})
    for name, plain in moved[0].items():
        np.testing.assert_allclose(moved[1][name], plain * (1 if name == "weights.0" else 0.5), rtol=1e-9, atol=1e-13)
        np.testing.assert_allclose(moved[2][name], plain * (2 if name == "weights.0" else 1), rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("kernel", ["fused", "reference"])
def test_a_gradient_that_vanishes_moves_nothing(kernel):
    """All hidden units are dead: the first layer's gradient is zero."""
    net = fastsgd.Network([5, 8, 3], "relu", dtype="float64", seed=0)
    net.biases[0][:] = -1e3
    W = net.weights[0].copy()
    X, y = np.random.default_rng(0).standard_normal((60, 5)), np.arange(60) % 3
    fastsgd.train(net, X, y, optimizer=fastsgd.Muon(0.1, weight_decay=0.0), batch_size=20, epochs=2, kernel=kernel)
    np.testing.assert_array_equal(net.weights[0], W)
    assert np.isfinite(net.params).all()
