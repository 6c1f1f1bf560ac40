"""Layers other than dense ones, and parameter groups: do kernel and reference agree, and does all else know them?"""
import pickle
from dataclasses import replace

import numpy as np
import pytest
from cases import ACTIVATIONS, OPTIMIZERS, SEED, TOLERANCE, StepConfig, agree, one_epoch, random_sizes, randomise

import fastsgd
from fastsgd import ParameterGroup
from fastsgd.data.checks import Csr
from fastsgd.engine import _kernel, reference
from fastsgd.files import safetensors
from fastsgd.layers import Add, BatchNorm, LayerNorm, ParametricActivation, Residual, Scale
from fastsgd.network import checked, model_file

ALL_KINDS = [13, Scale(), 20, LayerNorm(0.01), ParametricActivation("selu", 0.3),
             Residual(LayerNorm(), 31, BatchNorm(), 20),
             Residual(Residual(20, ParametricActivation("mish")), 16, 20), 3]
CHAINS = {"first": [13, Scale(2.0), 20, 3], "hidden": [13, 20, Scale(), 3], "many": [13, Scale(), 20, Scale(0.5), 9, 3]}
GROUPS = {"bias": ParameterGroup(2.0, 0.0), "weight": ParameterGroup(0.5, 3.0), 0: ParameterGroup(1.5),
          "weights.1": ParameterGroup(weight_decay_factor=0.0)}


def make(sizes, dtype="float64", **arguments):
    net = fastsgd.Network(sizes, "tanh", dtype=dtype, **arguments)
    randomise(net, 0.4, np.random.default_rng(0))
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


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("seed", range(SEED, SEED + 12))
def test_random_chains_agree_with_the_reference(seed, dtype):
    rng = np.random.default_rng(seed)
    for _ in range(4):
        net = make(random_sizes(rng), dtype)
        X, y = rows(net, 150, float(rng.choice([0.2, 1.0])))
        hidden = net.architecture.hidden
        drop = net.architecture.for_each_layer(rng.uniform(0, 0.6, hidden).tolist()) if rng.random() < 0.5 else ()
        optimizer = replace(OPTIMIZERS[rng.integers(len(OPTIMIZERS))], clip_norm=float(rng.choice([0.1, 1e3])))
        recipe = StepConfig(optimizer, int(rng.choice([7, 150])), drop, seed=1)
        compare(net, X, y, recipe, rng.random(150) if rng.random() < 0.5 else None)
        expected = np.empty((len(X), net.sizes[-1]), net.dtype)
        reference.predict(net.architecture, net.params, X, expected)
        few = np.concatenate([net.predict(X[:3]), net.predict(X[3:])])
        for found in (net.predict(X), net.predict(X, threads=2), few):
            agree("predictions", found, expected, TOLERANCE[dtype])
        if dtype == "float64":
            fastsgd.check_gradient(net, X[:20], y[:20], samples=200)


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


@pytest.mark.parametrize("sizes", [
    CHAINS["first"], CHAINS["many"], [13, LayerNorm(), 20, 3], [13, ParametricActivation("softplus"), 20, 3],
    [13, BatchNorm(), 20, 3], [13, Residual(13), 20, 3], [13, Residual(LayerNorm(), 13), 3]], ids=str)
def test_a_first_layer_sees_lists_zeros_and_bytes(sizes):
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


@pytest.mark.parametrize("sizes", [CHAINS["many"], ALL_KINDS], ids=["scales", "all kinds"])
def test_networks_with_layers_are_saved_copied_pickled_and_resumed(tmp_path, sizes):
    net = make(sizes, "float32")
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


def test_predictors_blas_and_deltas_know_all_layers():
    net = make(ALL_KINDS)
    X, y = rows(net)
    predicted = net.predict(X)
    for count in (1, 16, 100):
        np.testing.assert_array_equal(net.compile_predictor(count)(X[:count]), predicted[:count])
        np.testing.assert_array_equal(net.predict(X[:count]), predicted[:count])
    blas, native = net.copy(), net.copy()
    for each, backend in ((blas, "blas"), (native, "native")):
        fastsgd.train(each, X, y, epochs=2, seed=0, backend=backend)
    np.testing.assert_allclose(blas.params, native.params, rtol=1e-10, atol=1e-13)
    width = sum(net.sizes[1:-1]) + sum(net.sizes[1:])
    found, expected = np.empty((2, len(X), width))
    for module, out in ((_kernel, found), (reference, expected)):
        module.deltas(net.architecture, net.params, X, y, out)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("change", [
    ('"kind": "layer_norm"', '"kind": "norm"'), ('"epsilon": 0.01', '"epsilon": -1'),
    ('"epsilon": 0.01', '"epsilon": "a"'), ('"epsilon": 0.01', '"gain": 1'), ('"function": "selu"', '"function": [3]'),
    ('"layers": 2}', '"layers": 99}'), ('"layers": 2}', '"layers": 4}'), ('"layers": 2}', '"layers": true}'),
    ('"layers": 5}', '"layers": 1e9}'),
    ('[{"kind": "scale"', "[" + '{"kind": "add", "layers": 1}, ' * 10_100 + '{"kind": "scale"')],
    ids=lambda change: change[1][:30])
def test_files_that_describe_no_layers_are_refused(tmp_path, change):
    tensors, metadata = model_file.describe(make(ALL_KINDS).architecture, make(ALL_KINDS).params, {})
    text = metadata["fastsgd.architecture"]
    assert change[0] in text
    metadata["fastsgd.architecture"] = text.replace(*change, 1)
    safetensors.write(tmp_path / "net.safetensors", tensors, metadata)
    with pytest.raises(ValueError, match=r"net.safetensors does not describe a network: "):
        fastsgd.Network.load(tmp_path / "net.safetensors")


def test_folded_networks_compute_the_same_of_dense_layers():
    net = make(CHAINS["many"])
    X, _ = rows(net)
    folded = net.folded()
    assert folded.sizes == (13, 20, 9, 3)
    np.testing.assert_allclose(folded.predict(X), net.predict(X), rtol=1e-12)


@pytest.mark.parametrize("sizes", [[Scale(), 3], [3, Scale()], [3, True, 2], [3, Scale], [Residual(3), 3],
                                   [3, Residual(3)], [3, Residual(3, Scale), 3]])
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


def test_a_stopped_layer_is_not_shortened_to_max_norm():
    net = make([13, 20, 20, 3])
    before = {name: array.copy() for name, array in net.tensors.items()}
    optimizer = fastsgd.SGD(0.1, max_norm=0.01, groups={0: ParameterGroup(0.0)})
    compare(net, *rows(net), StepConfig(optimizer, 20))
    fastsgd.train(net, *rows(net), epochs=1, seed=0, optimizer=optimizer)
    np.testing.assert_array_equal(net.tensors["weights.0"], before["weights.0"])
    assert (np.linalg.norm(net.tensors["weights.1"], axis=0) < 0.0101).all()


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


def test_what_needs_dense_layers_says_so():
    net = make(CHAINS["many"])
    with pytest.raises(ValueError, match="is for networks of dense layers; this one has scale layers too"):
        fastsgd.descent.gradient_noise(net, *rows(net), batch_size=10)
    others = "add and batch_norm and layer_norm and parametric_activation and scale"
    with pytest.raises(ValueError, match=f"this one has {others} layers"):
        fastsgd.descent.cost_surface(make(ALL_KINDS), *rows(net))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_parametric_activation_of_weight_one_is_the_activation(activation):
    sizes, between = [13, 20, 9, 3], [13, 20, ParametricActivation(activation), 9, ParametricActivation(activation), 3]
    net, twin = fastsgd.Network(sizes, activation, seed=0), fastsgd.Network(between, seed=0)
    assert all((twin.tensors[name] == 1).all() for name in ("activation.1", "activation.3"))
    X, y = rows(net)
    for one, other in zip((*net.weights, *net.biases), (*twin.weights, *twin.biases), strict=True):
        np.testing.assert_array_equal(one, other)              # of the same rule for the initial weights
    np.testing.assert_allclose(twin.predict(X), net.predict(X), rtol=1e-4, atol=1e-6)
    for each in (net, twin):
        fastsgd.train(each, X, y, epochs=2, seed=0, optimizer=fastsgd.SGD(0.05), dropout=0.25)
    fixed = fastsgd.Network([13, 20, ParametricActivation(activation, 0.0), 3], seed=0)
    fastsgd.train(fixed, X, y, epochs=2, seed=0, optimizer=fastsgd.SGD(0.05))
    assert (fixed.tensors["activation.1"] == 1).all()
    assert activation == "identity" or (twin.tensors["activation.1"] != 1).any()


def test_a_dense_layer_has_no_activation_of_its_own_before_a_parametric_one_unless_it_is_named():
    act = ParametricActivation("selu")
    for sizes, expected in (([4, 8, act, 8, 3], ["identity", "relu"]), ([4, act, 8, 3], ["relu"]),
                            ([4, 8, LayerNorm(), act, 8, 3], ["identity", "relu"]),
                            ([4, 8, Residual(8), act, 3], ["relu", "identity"]),
                            ([4, 8, Residual(act, 8), 3], ["identity", "relu"])):
        net = fastsgd.Network(sizes)
        assert [layer.activation for layer in net.layers[:-1] if layer.kind == "dense"] == expected, sizes
    assert fastsgd.Network([4, 8, act, 8, 3], ["tanh", "relu"]).architecture.activations[0] == "tanh"


def test_dropout_acts_behind_a_parametric_activation():
    net = make([4, 8, ParametricActivation("selu"), 8, Residual(LayerNorm(), 8), 3])
    assert net.architecture.for_each_layer((0.1, 0.2, 0.3)) == (0.0, 0.1, 0.2, 0.0, 0.3, 0.0)
    behind = fastsgd.Network([4, 8, LayerNorm(), ParametricActivation("selu"), Scale(), 3])
    assert behind.architecture.for_each_layer((0.1,)) == (0.0, 0.0, 0.1, 0.0)


def test_a_layer_norm_makes_rows_of_mean_zero_and_spread_one():
    net = fastsgd.Network([200, LayerNorm(1e-12), 200], loss="squared_error", dtype="float64")
    net.weights[0][:] = np.eye(200)
    X = 7 + 1e3 * np.random.default_rng(0).standard_normal((50, 200))
    out = net.predict(X)
    np.testing.assert_allclose(out.mean(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(out.std(axis=1), 1)
    assert np.isnan(fastsgd.Network([3, LayerNorm(), 3]).predict(np.array([[1, 1, 1]]))).sum() == 0


def test_a_block_adds_its_input():
    net = fastsgd.Network([4, Residual(LayerNorm(), 7, 4), 4], loss="squared_error", dtype="float64", seed=0)
    for name in ("weights.2", "biases.2"):
        net.tensors[name][:] = 0
    net.weights[-1][:] = np.eye(4)
    X = np.random.default_rng(0).standard_normal((5, 4))
    np.testing.assert_allclose(net.predict(X), X)


def test_networks_are_shown_by_what_makes_them_again():
    net = make(ALL_KINDS)
    again = eval(repr(net), {"Network": fastsgd.Network, **vars(fastsgd.layers)})
    assert again.architecture == net.architecture
    assert "Residual(LayerNorm(epsilon=1e-05), 31, BatchNorm(epsilon=1e-05, momentum=0.1), 20), Residual(" in repr(net)
    assert Residual(3, Scale()) == Residual(3, Scale()) != Residual(3)
    assert hash(Residual(3, Scale())) == hash(Residual(3, Scale()))


def test_layers_that_cannot_be_used_are_refused_by_name():
    for make_it, message in (
            (lambda: ParametricActivation("softmax"), "function must be one of identity, .*, got 'softmax'"),
            (lambda: ParametricActivation("selu", -1), "learning_rate_factor must be a finite number, at least 0, got"),
            (lambda: LayerNorm(0), "epsilon must be a finite number above 0, got 0"),
            (lambda: Residual(), "a Residual block needs at least one layer, got none"),
            (lambda: Add(0), "layers must be a whole number of at least 1, got 0"),
            (lambda: fastsgd.Network([4, 8, Residual(6), 3]),
             "a Residual block must end as wide as it begins; it receives 8 columns and gives 6"),
            (lambda: fastsgd.Network([4, 8, Add(1), 3]), "it receives 4 columns and gives 8"),
            (lambda: fastsgd.Network([4, 8, Add(3), 3]), r"Add\(layers=3\) must stand behind so many layers"),
            (lambda: fastsgd.Network([4, 8, 8, Add(1), 8, Add(2), 3]), "hold all of a block or none of it")):
        with pytest.raises(ValueError, match=message):
            make_it()


def test_each_kind_has_the_learning_rate_factor_of_its_tensors():
    net = make(ALL_KINDS)
    optimizer = fastsgd.SGD(0.1, groups={"gain": ParameterGroup(3.0)})
    factors = {tensor.name: optimizer.factors(tensor, net.architecture) for tensor in net.architecture.tensors}
    assert factors["activation.3"] == (0.3, 1, 0)
    assert factors["gain.2"] == (3, 1, 0)
    assert factors["shift.2"] == (1, 1, 0)


def test_dropout_is_for_layers_with_units():
    net = make(CHAINS["many"])
    X, y = rows(net)
    one, each = net.copy(), net.copy()
    fastsgd.train(one, X, y, epochs=2, seed=0, dropout=0.3)
    fastsgd.train(each, X, y, epochs=2, seed=0, dropout=[0.3, 0.3])
    np.testing.assert_array_equal(one.params, each.params)
    assert net.architecture.for_each_layer((0.3, 0.2)) == (0.0, 0.3, 0.0, 0.2)
