"""Is the NTK parametrisation what its definition says, and are initial parameters that rows decide?"""
import math
import pickle
from dataclasses import replace

import numpy as np
import pytest
from cases import AROUND, OPTIMIZERS, SEED, TOLERANCE, StepConfig, agree, one_epoch, random_sizes

import fastsgd
from fastsgd import ParameterGroup
from fastsgd.engine import _kernel, reference
from fastsgd.layers import LayerNorm, ParametricActivation, Residual, Scale
from fastsgd.network import checked

SIZES = [13, Scale(6.0), 20, ParametricActivation("selu"), 9, 3]
RULES = [replace(optimizer, weight_decay=decay) for optimizer, decay in
         zip([*OPTIMIZERS, fastsgd.Lion(0.01, l1=0.01, l2=0.1)], [0, 0.1] * 8, strict=False)]


def make(sizes=SIZES, dtype="float64", **arguments):
    net = fastsgd.Network(sizes, "selu", dtype=dtype, init="ntk", seed=0, **arguments)
    rng = np.random.default_rng(0)
    for array in net.biases:
        array[:] = 0.3 * rng.standard_normal(array.shape)
    return net


def rows(net, count=100):
    rng = np.random.default_rng(1)
    return checked.check(net, rng.standard_normal((count, net.sizes[0])), rng.integers(0, net.sizes[-1], count))


def compare(net, X, y, recipe):
    order = np.random.default_rng(2).permutation(len(X))
    expected, its_state, _ = one_epoch(reference, net, X, y, order, recipe)
    found, state, _ = one_epoch(_kernel, net, X, y, order, recipe, 2)
    agree("params", found, expected, TOLERANCE[str(net.dtype)])
    agree("slots", state.slots, its_state.slots, TOLERANCE[str(net.dtype)])
    return found


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("optimizer", RULES, ids=lambda optimizer: f"{optimizer.kind}-{optimizer.weight_decay}")
def test_every_rule_agrees_with_the_reference(optimizer, dtype):
    net = make(dtype=dtype)
    compare(net, *rows(net), StepConfig(optimizer, 20))


@pytest.mark.parametrize("around", AROUND, ids=str)
def test_limits_and_averages_agree_with_the_reference(around):
    net = make()
    for optimizer in (fastsgd.SGD(0.5, momentum=0.9), fastsgd.Adam(0.01, epsilon=1e-3), fastsgd.SGD(0.5)):
        recipe = StepConfig(replace(optimizer, **around), 20, net.architecture.for_each_layer((0.25, 0.0)), seed=3)
        compare(net, *rows(net), recipe)


@pytest.mark.parametrize("sizes", [[13, 3], [13, 20, 1, 3], random_sizes(np.random.default_rng(SEED))], ids=str)
@pytest.mark.parametrize("batch_size", [1, 1500])
def test_other_paths_agree_with_the_reference(sizes, batch_size):
    net = make(sizes)
    for optimizer in (fastsgd.SGD(0.05), fastsgd.AdamW(0.01, epsilon=1e-3)):
        compare(net, *rows(net, 100 if batch_size == 1 else 3000), StepConfig(optimizer, batch_size))


@pytest.mark.parametrize(("name", "options"), [
    ("SGD", {"weight_decay": 0.01}), ("SGD", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    ("Adam", {"epsilon": 1e-3, "weight_decay": 0.1}), ("AdamW", {"epsilon": 1e-3, "weight_decay": 0.1}),
    ("AdamW", {"weight_decay": 0.1, "beta_2": 0.95}), ("RMSprop", {"epsilon": 1e-3, "weight_decay": 0.1}),
    ("RMSprop", {"momentum": 0.5}), ("Adagrad", {"epsilon": 1e-3})], ids=str)
def test_a_hundred_steps_are_those_of_pytorch_on_v(name, options):
    """There x V / sqrt(inputs) + b is written out, and the optimizer changes V."""
    torch = pytest.importorskip("torch")
    net = make([13, 20, 9, 3])
    X, y = rows(net, 2000)
    parameters = [torch.tensor(array, requires_grad=True) for W, b in zip(net.weights, net.biases, strict=True)
                  for array in (W * math.sqrt(len(W)), b.copy())]
    renamed = {{"epsilon": "eps"}.get(key, key): value for key, value in options.items() if "beta" not in key}
    if "beta_2" in options:
        renamed["betas"] = (0.9, options["beta_2"])
    optimizer, own = getattr(torch.optim, name)(parameters, 0.02, **renamed), getattr(fastsgd, name)(0.02, **options)
    for first in range(0, 2000, 20):
        a, target = torch.from_numpy(X[first:first + 20]), torch.from_numpy(y[first:first + 20].astype(np.int64))
        for layer in range(3):
            V, b = parameters[2 * layer:2 * layer + 2]
            a = a @ V / math.sqrt(len(V)) + b
            a = torch.selu(a) if layer < 2 else a
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(a, target).backward()
        optimizer.step()
        net.step(X[first:first + 20], y[first:first + 20], own)
    for layer, (W, b) in enumerate(zip(net.weights, net.biases, strict=True)):
        np.testing.assert_allclose(W * math.sqrt(len(W)), parameters[2 * layer].detach(), rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(b, parameters[2 * layer + 1].detach(), rtol=1e-8, atol=1e-10)


def test_initial_weights_have_variance_one_over_inputs_and_gradients_are_those_of_w():
    net = fastsgd.Network([400, 300, 2], init="ntk", seed=0, dtype="float64")
    assert net.weights[0].std() * math.sqrt(400) == pytest.approx(1, rel=0.02)
    assert net.weights[1].std() * math.sqrt(300) == pytest.approx(1, rel=0.1)
    assert not np.concatenate(net.biases).any()
    plain = fastsgd.Network([400, 300, 2], init="lecun", seed=0, dtype="float64")
    np.testing.assert_array_equal(net.params, plain.params)
    X, y = rows(net)
    np.testing.assert_array_equal(net.gradient(X, y), plain.gradient(X, y))
    for each in (net, plain):
        each.step(X, y, fastsgd.SGD(1.0))
    start = fastsgd.Network([400, 300, 2], init="lecun", seed=0, dtype="float64")
    for layer, inputs in enumerate((400, 300)):
        moved, expected = net.weights[layer] - start.weights[layer], plain.weights[layer] - start.weights[layer]
        np.testing.assert_allclose(moved, expected / inputs, rtol=1e-9, atol=1e-15)
        np.testing.assert_array_equal(net.biases[layer], plain.biases[layer])


def test_it_is_saved_copied_pickled_shown_resumed_and_exported(tmp_path):
    net = make(dtype="float32")
    net.save(tmp_path / "net.safetensors")
    for again in (fastsgd.Network.load(tmp_path / "net.safetensors"), net.copy(), pickle.loads(pickle.dumps(net)),
                  eval(repr(net), {"Network": fastsgd.Network, **vars(fastsgd.layers)})):
        assert again.architecture == net.architecture
        assert again.architecture.ntk
    assert fastsgd.Network([4, Scale(), 8, 3], init="ntk").folded().architecture.ntk
    X, y = rows(net)
    whole, parted = net.copy(), net.copy()
    options = {"seed": 0, "optimizer": fastsgd.AdamW(0.01, groups={"bias": ParameterGroup(2.0)})}
    fastsgd.train(whole, X, y, epochs=4, **options)
    fastsgd.train(parted, X, y, epochs=2, checkpoint=tmp_path / "run.ckpt", **options)
    fastsgd.train(parted, X, y, epochs=4, checkpoint=tmp_path / "run.ckpt", resume=True, **options)
    np.testing.assert_array_equal(whole.params, parted.params)
    pytest.importorskip("onnx")
    for one in (net, make([4, 8, 3])):
        assert fastsgd.interop.from_onnx(fastsgd.interop.to_onnx(one)).architecture == one.folded().architecture


def test_what_does_not_go_with_it_is_refused_by_name():
    net = fastsgd.Network([4, 1], loss="hinge", init="ntk")
    with pytest.raises(ValueError, match="PassiveAggressive is not for networks with init='ntk'"):
        fastsgd.train(net, np.ones((2, 4)), [1, -1], optimizer=fastsgd.PassiveAggressive())
    with pytest.raises(ValueError, match=r"init must be one of auto, .* \(for realmlp, fastsgd.initialise_from_data"):
        fastsgd.Network([4, 1], init="realmlp")
    with pytest.raises(ValueError, match="init must be realmlp, got 'he'"):
        fastsgd.initialise_from_data(net, np.ones((2, 4)), "he")
    with pytest.raises(TypeError, match=r"net must be a fastsgd\.Network"):
        fastsgd.initialise_from_data(3, np.ones((2, 4)))


# ---- initial parameters that rows decide ----

def what_units_receive(net, X):
    """z of every dense layer, from the reference."""
    zs, _ = reference.forward(net.architecture, net.params, X)
    return [z for z, layer in zip(zs, net.layers, strict=True) if layer.kind == "dense"]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_every_unit_has_deviation_one_and_its_kink_between_rows(dtype):
    net = fastsgd.Network([12, Scale(), 40, ParametricActivation("mish"), Residual(LayerNorm(), 30, 40), 3], "relu",
                          "squared_error", dtype=dtype, init="ntk", input_scale=3.0, seed=0)
    X = np.random.default_rng(0).standard_normal((500, 12)).astype(dtype)
    net.tensors["scale.0"][:] = 7
    fastsgd.initialise_from_data(net, X, seed=1)
    assert (net.tensors["scale.0"] == 1).all()
    for z in what_units_receive(net, X):
        np.testing.assert_allclose(z.std(axis=0), 1, rtol=1e-4)
        assert (z.min(axis=0) < 0).all()
        assert (z.max(axis=0) > 0).all()
        assert abs(z.mean(axis=0)).mean() < 0.8
    again = net.copy()
    fastsgd.initialise_from_data(again, X, seed=1)
    np.testing.assert_array_equal(again.params, net.params)
    fastsgd.initialise_from_data(again, X, seed=2)
    assert (again.weights[0] != net.weights[0]).all()


def test_the_biases_are_means_of_five_rows():
    """The variance of sum_k p_k z_k, p uniform on the simplex of 5, is var(z) sum E p_k^2 = 5 * 2 / (5 * 6) = 1/3."""
    net = fastsgd.Network([5, 4000, 1], loss="squared_error", dtype="float64", seed=0)
    X = np.random.default_rng(0).standard_normal((1000, 5))
    fastsgd.initialise_from_data(net, X, seed=0)
    assert net.biases[0].std() == pytest.approx(math.sqrt(1 / 3), rel=0.05)


def test_rows_of_every_kind_many_of_them_and_columns_that_do_not_vary():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((9000, 6)) * (rng.random((9000, 6)) < 0.3)
    net = fastsgd.Network([6, 30, 2], "selu", seed=0)
    fastsgd.initialise_from_data(net, X, seed=0)
    assert np.std(X @ net.weights[0], axis=0) == pytest.approx(1, rel=0.1)
    sparse = pytest.importorskip("scipy.sparse")
    twin = fastsgd.Network([6, 30, 2], "selu", seed=0)
    fastsgd.initialise_from_data(twin, sparse.csr_matrix(X), seed=0)
    np.testing.assert_allclose(twin.params, net.params, rtol=1e-5)
    for same in (np.zeros((10, 6)), np.full((10, 6), 1e6), np.ones((1, 6))):
        fastsgd.initialise_from_data(net, same, seed=0)
        assert np.isfinite(net.params).all()
        assert net.weights[0].std() == pytest.approx(1 / math.sqrt(6), rel=0.3)
