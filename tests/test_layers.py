"""Layers other than dense ones, and parameter groups: do kernel and reference agree, and does all else know them?"""
import pickle
from dataclasses import replace

import numpy as np
import pytest
from cases import OPTIMIZERS, TOLERANCE, StepConfig, agree, one_epoch

import fastsgd
from fastsgd import ParameterGroup
from fastsgd.data.checks import Csr
from fastsgd.engine import _kernel, reference
from fastsgd.layers import Scale
from fastsgd.network import checked

CHAINS = {"first": [13, Scale(2.0), 20, 3], "hidden": [13, 20, Scale(), 3], "many": [13, Scale(), 20, Scale(0.5), 9, 3]}
GROUPS = {"bias": ParameterGroup(2.0, 0.0), "weight": ParameterGroup(0.5, 3.0), 0: ParameterGroup(1.5),
          "weights.1": ParameterGroup(weight_decay_factor=0.0)}


def make(sizes, dtype="float64", **arguments):
    net = fastsgd.Network(sizes, "tanh", dtype=dtype, **arguments)
    net.params[:] = 0.4 * np.random.default_rng(0).standard_normal(net.params.size)
    return net


def rows(net, count=100, density=1.0):
    rng = np.random.default_rng(1)
    X = rng.standard_normal((count, net.sizes[0])) * (rng.random((count, net.sizes[0])) < density)
    return checked.check(net, X, rng.integers(0, net.sizes[-1], count))


def compare(net, X, y, recipe, weights=None):
    """Kernel and reference after an epoch; the kernel's parameters, which are the same for any number of threads."""
    order = np.random.default_rng(2).permutation(len(X))
    expected, its_state, _ = one_epoch(reference, net, X, y, order, recipe, sample_weight=weights)
    first = None
    for threads in (1, 2, 5):
        found, state, _ = one_epoch(_kernel, net, X, y, order, recipe, threads, weights)
        agree("params", found, expected, TOLERANCE[str(net.dtype)])
        agree("slots", state.slots, its_state.slots, TOLERANCE[str(net.dtype)])
        first = found if first is None else first
        np.testing.assert_array_equal(found, first)
    assert (first != net.params).any()
    return first


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("sizes", CHAINS.values(), ids=CHAINS)
@pytest.mark.parametrize("batch_size", [7, 1500])
def test_scales_agree_with_the_reference(sizes, batch_size, dtype):
    net = make(sizes, dtype)
    X, y = rows(net, 100 if batch_size == 7 else 3000)
    compare(net, X, y, StepConfig(fastsgd.SGD(0.05, momentum=0.9), batch_size))


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda optimizer: optimizer.kind)
def test_every_optimizer_moves_scales(optimizer):
    net = make(CHAINS["many"])
    compare(net, *rows(net), StepConfig(optimizer, 20))


@pytest.mark.parametrize("around", [{"clip_norm": 0.05}, {"clip_value": 0.002}, {"max_norm": 0.5}, {"average": 0.9}],
                         ids=str)
def test_limits_and_dropout_with_scales(around):
    net = make(CHAINS["many"])
    recipe = StepConfig(fastsgd.Adam(0.01, epsilon=1e-3, **around), 20, (0.0, 0.25, 0.0, 0.5), seed=3)
    compare(net, *rows(net), recipe, np.random.default_rng(3).random(100))


@pytest.mark.parametrize("sizes", [CHAINS["first"], CHAINS["many"]], ids=["first", "many"])
def test_a_first_scale_sees_lists_zeros_and_bytes(sizes):
    net = make(sizes)
    X, y = rows(net, density=0.2)
    recipe = StepConfig(fastsgd.SGD(0.05, momentum=0.5), 20)
    dense = compare(net, X, y, recipe)
    entries = [np.flatnonzero(row) for row in X]
    lists = Csr(np.cumsum([0, *map(len, entries)]), np.concatenate(entries).astype(np.int32), X[X != 0], X.shape)
    order = np.random.default_rng(2).permutation(len(X))
    np.testing.assert_array_equal(one_epoch(_kernel, net, lists, y, order, recipe, 2)[0], dense)
    few = make(sizes, input_scale=1 / 255)
    compare(few, np.random.default_rng(4).integers(0, 255, X.shape).astype(np.uint8), y, recipe)
    np.testing.assert_array_equal(net.predict(X[:1]), net.predict(X)[:1])


def test_the_gradient_of_scales_is_that_of_finite_differences():
    net = make(CHAINS["many"])
    fastsgd.check_gradient(net, *rows(net, 10))


def test_a_scale_of_one_changes_no_bit():
    with_it, without = fastsgd.Network([13, Scale(0.0), 20, 3], seed=0), fastsgd.Network([13, 20, 3], seed=0)
    X, y = rows(without)
    for net in (with_it, without):
        fastsgd.train(net, X, y, epochs=3, seed=0)
    assert (with_it.tensors["scale.0"] == 1).all()
    np.testing.assert_array_equal(with_it.params[13:], without.params)


def test_networks_with_scales_are_saved_copied_pickled_and_resumed(tmp_path):
    net = make(CHAINS["many"], "float32")
    X, y = rows(net)
    net.save(tmp_path / "net.safetensors")
    for again in (fastsgd.Network.load(tmp_path / "net.safetensors"), net.copy(), pickle.loads(pickle.dumps(net))):
        assert again.layers == net.layers
        assert repr(again) == repr(net)
        np.testing.assert_array_equal(again.predict(X), net.predict(X))
    whole, parted = net.copy(), net.copy()
    options = {"seed": 0, "optimizer": fastsgd.AdamW(0.01, groups={"scale": ParameterGroup(2.0)})}
    fastsgd.train(whole, X, y, epochs=4, **options)
    fastsgd.train(parted, X, y, epochs=2, checkpoint=tmp_path / "run.ckpt", **options)
    fastsgd.train(parted, X, y, epochs=4, checkpoint=tmp_path / "run.ckpt", resume=True, **options)
    np.testing.assert_array_equal(whole.params, parted.params)


def test_folded_networks_compute_the_same_of_dense_layers():
    net = make(CHAINS["many"])
    X, _ = rows(net)
    folded = net.folded()
    assert folded.sizes == (13, 20, 9, 3)
    np.testing.assert_allclose(folded.predict(X), net.predict(X), rtol=1e-12)


@pytest.mark.parametrize("sizes", [[Scale(), 3], [3, Scale()], [3, True, 2], [3, Scale]])
def test_where_layers_may_stand(sizes):
    with pytest.raises(TypeError, match=r"sizes must hold whole numbers.*got"):
        fastsgd.Network(sizes)


@pytest.mark.parametrize("factor", [-1, np.inf, True, "6"])
def test_factors_are_finite_and_not_negative(factor):
    with pytest.raises(ValueError, match="learning_rate_factor must be a finite number"):
        Scale(factor)
    with pytest.raises(ValueError, match="learning_rate_factor must be a finite number"):
        ParameterGroup(factor)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda optimizer: optimizer.kind)
def test_parameter_groups_agree_with_the_reference(optimizer):
    net = make([13, 20, 3])
    grouped = compare(net, *rows(net), StepConfig(replace(optimizer, weight_decay=0.1, groups=GROUPS), 20))
    assert (grouped != compare(net, *rows(net), StepConfig(replace(optimizer, weight_decay=0.1), 20))).any()


def test_a_group_can_stop_a_layer_and_free_biases_of_decay():
    net = make([13, 20, 3])
    X, y = rows(net)
    before = {name: array.copy() for name, array in net.tensors.items()}
    fastsgd.train(net, X, y, epochs=1, seed=0, optimizer=fastsgd.SGD(0.1, groups={1: ParameterGroup(0.0)}))
    assert (net.tensors["weights.0"] != before["weights.0"]).any()
    for name in ("weights.1", "biases.1"):
        np.testing.assert_array_equal(net.tensors[name], before[name])
    silent = fastsgd.Network([2, 2], loss="squared_error", init="normal", dtype="float64", seed=0)
    bias = silent.biases[0].copy()
    fastsgd.train(silent, np.zeros((10, 2)), np.tile(bias, (10, 1)), epochs=1, seed=0,      # the gradient is 0
                  optimizer=fastsgd.SGD(0.1, weight_decay=0.5, groups={"bias": ParameterGroup(1.0, 0.0)}))
    np.testing.assert_array_equal(silent.biases[0], bias)


def test_linear_networks_with_groups_take_the_general_path():
    net = make([13, 3])
    X, y = rows(net)
    recipe = StepConfig(fastsgd.SGD(0.05, l2=0.1, groups={"weight": ParameterGroup(0.5, 2.0)}), 1)
    assert _kernel.flush_interval(net.architecture, X, recipe) == 0
    compare(net, X, y, recipe)


def test_groups_that_cannot_be_used_are_refused_by_name():
    X, y = rows(net := make([13, 20, 3]))
    with pytest.raises(ValueError, match=r"groups: this network has no parameters 'scale'; it has 0, 1, 'bias'"):
        fastsgd.train(net, X, y, optimizer=fastsgd.SGD(0.1, groups={"scale": ParameterGroup()}))
    with pytest.raises(TypeError, match=r"groups must be a dict of fastsgd\.ParameterGroup"):
        fastsgd.SGD(0.1, groups=[1])
    with pytest.raises(TypeError, match=r"groups\['bias'\] must be a fastsgd.ParameterGroup, got 2"):
        fastsgd.SGD(0.1, groups={"bias": 2})
    with pytest.raises(TypeError, match="groups must have roles"):
        fastsgd.SGD(0.1, groups={1.5: ParameterGroup()})


def test_grouped_optimizers_are_hashed_copied_and_shown():
    optimizer = fastsgd.Adam(groups=GROUPS)
    assert pickle.loads(pickle.dumps(optimizer)) == optimizer
    assert hash(optimizer) == hash(fastsgd.Adam(groups=dict(GROUPS)))
    assert "groups={'bias': ParameterGroup(" in repr(optimizer)
    assert repr(fastsgd.Adam()) == "Adam(0.001)"


def test_exports_compute_what_networks_with_scales_do():
    net = make(CHAINS["many"])
    X, _ = rows(net)
    torch = pytest.importorskip("torch")
    np.testing.assert_allclose(fastsgd.interop.to_torch(net)(torch.from_numpy(X)).detach(), net.predict(X), rtol=1e-12)


def test_what_needs_dense_layers_says_so():
    net = make(CHAINS["many"])
    with pytest.raises(ValueError, match="is for networks of dense layers; this one has scale layers too"):
        fastsgd.descent.gradient_noise(net, *rows(net), batch_size=10)


def test_dropout_is_for_layers_with_units():
    net = make(CHAINS["many"])
    X, y = rows(net)
    one, each = net.copy(), net.copy()
    fastsgd.train(one, X, y, epochs=2, seed=0, dropout=0.3)
    fastsgd.train(each, X, y, epochs=2, seed=0, dropout=[0.3, 0.3])
    np.testing.assert_array_equal(one.params, each.params)
    assert net.architecture.for_each_layer((0.3, 0.2)) == (0.0, 0.3, 0.0, 0.2)
