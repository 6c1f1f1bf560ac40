"""Batch norms: do kernel, reference and PyTorch agree, and do their running figures go where all parameters go?"""
from dataclasses import replace

import numpy as np
import pytest
from cases import AROUND, OPTIMIZERS, TOLERANCE, StepConfig, agree, one_epoch, randomise, sample
from test_layers import compare, make, rows

import fastsgd
from fastsgd.engine import _kernel, reference
from fastsgd.layers import BatchNorm, LayerNorm, ParametricActivation, Residual
from fastsgd.network import checked

CHAINS = {"first": [13, BatchNorm(), 20, 3],
          "hidden": [13, 20, BatchNorm(0.1, 0.3), ParametricActivation("relu", 0.0), 9, 3],
          "two": [13, 20, BatchNorm(), BatchNorm(), 3],
          "block": [13, 20, Residual(BatchNorm(0.1), 31, BatchNorm(0.1), 20), 3]}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("sizes", CHAINS.values(), ids=CHAINS)
@pytest.mark.parametrize("batch_size", [7, 100, 1500, 2100])
def test_they_agree_with_the_reference(sizes, batch_size, dtype):
    net = make(sizes, dtype)
    X, y = rows(net, 100 if batch_size < 1000 else 5000)
    compare(net, X, y, StepConfig(fastsgd.SGD(0.05, momentum=0.9), batch_size), np.random.default_rng(3).random(len(X)))
    expected = np.empty((len(X), 3), dtype)
    reference.predict(net.architecture, net.params, X, expected)
    for found in (net.predict(X), net.predict(X, threads=2), np.concatenate([net.predict(X[:3]), net.predict(X[3:])]),
                  np.concatenate([net.compile_predictor(50)(X[i:i + 50]) for i in range(0, len(X), 50)])):
        agree("predictions", found, expected, TOLERANCE[dtype])


@pytest.mark.parametrize(("optimizer", "around", "batch_size"), sample(OPTIMIZERS, AROUND, [20, 1100], share=0.2))
def test_with_every_optimizer_and_what_may_go_with_it(optimizer, around, batch_size):
    if optimizer.kind == "schedule_free_adamw":
        around = {}
    recipe = StepConfig(replace(optimizer, **around), batch_size, (0.0, 0.2, 0.0, 0.0, 0.0, 0.3), seed=1)
    net = make([13, 20, BatchNorm(0.1), ParametricActivation("mish"), 16, BatchNorm(0.1), 11, 3])
    compare(net, *rows(net, 150 if batch_size < 100 else 2500), recipe)


def test_a_hundred_steps_are_those_of_pytorch():
    torch = pytest.importorskip("torch")
    net = fastsgd.Network([6, BatchNorm(momentum=0.2), 20, BatchNorm(1e-3), ParametricActivation("relu", 0.0), 3],
                          dtype="float64", seed=0)
    first, hidden, second, last = (torch.nn.BatchNorm1d(6, momentum=0.2), torch.nn.Linear(6, 20),
                                   torch.nn.BatchNorm1d(20, eps=1e-3), torch.nn.Linear(20, 3))
    module = torch.nn.Sequential(first, hidden, second, torch.nn.ReLU(), last).double()
    with torch.no_grad():
        for layer, W, b in ((hidden, net.weights[0], net.biases[0]), (last, net.weights[1], net.biases[1])):
            layer.weight[:], layer.bias[:] = torch.from_numpy(W.T.copy()), torch.from_numpy(b.copy())
    rng = np.random.default_rng(0)
    X, y = rng.normal(2.0, 3.0, (2000, 6)), rng.integers(0, 3, 2000)
    optimizer = torch.optim.Adam(module.parameters(), 0.01)
    for first_row in range(0, 2000, 20):
        batch = slice(first_row, first_row + 20)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(module(torch.from_numpy(X[batch])), torch.from_numpy(y[batch])).backward()
        optimizer.step()
        net.step(X[batch], y[batch], fastsgd.Adam(0.01))
    for theirs, number in ((first, 0), (second, 2)):
        for name, array in {"gain": theirs.weight, "shift": theirs.bias, "mean": theirs.running_mean,
                            "variance": theirs.running_var}.items():
            np.testing.assert_allclose(net.tensors[f"{name}.{number}"], array.detach(), rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(net.weights[1].T, last.weight.detach(), rtol=1e-8, atol=1e-9)
    module.eval()
    expected = torch.softmax(module(torch.from_numpy(X)), dim=1).detach()
    np.testing.assert_allclose(net.predict(X), expected, rtol=1e-8, atol=1e-10)


def test_everything_but_training_has_the_running_figures():
    net = make(CHAINS["hidden"])
    X, y = rows(net)
    fastsgd.train(net, X, y, epochs=2, seed=0)
    one_by_one = np.concatenate([net.predict(X[i:i + 1]) for i in range(len(X))])
    np.testing.assert_array_equal(net.predict(X), one_by_one)
    before = net.params.copy()
    fastsgd.check_gradient(net, X, y)
    gradient = net.gradient(X, y)
    expected = np.empty_like(gradient)
    reference.gradient(net.architecture, net.params, X, y, expected)
    agree("gradient", gradient, expected, 1e-10)
    assert not net.architecture.tensors[4].of(gradient).any()
    np.testing.assert_array_equal(net.params, before)


def test_a_step_of_one_row_leaves_the_running_figures_and_divergence_all():
    net = make(CHAINS["first"])
    X, y = rows(net)
    before = net.params.copy()
    net.step(X[:1], y[:1], fastsgd.SGD(0.1))
    for name in ("mean.0", "variance.0"):
        tensor = next(tensor for tensor in net.architecture.tensors if tensor.name == name)
        np.testing.assert_array_equal(net.tensors[name], tensor.of(before))
    net.weights[1][:] = 1e308
    before = net.params.copy()
    with pytest.raises(FloatingPointError):
        net.step(X, y, fastsgd.SGD(0.1))
    np.testing.assert_array_equal(net.params, before)


@pytest.mark.parametrize("optimizer", [fastsgd.SGD(0.1, average=0.9), fastsgd.ScheduleFreeAdamW(0.01)],
                         ids=lambda optimizer: optimizer.kind)
def test_averages_have_running_figures_and_a_run_resumes(tmp_path, optimizer):
    net = make(CHAINS["two"], "float32")
    rng = np.random.default_rng(0)
    X, y = rng.normal(3.0, 2.0, (400, 13)), rng.integers(0, 3, 400)
    whole, parted = net.copy(), net.copy()
    options = {"optimizer": optimizer, "batch_size": 20, "seed": 0}
    fastsgd.train(whole, X, y, epochs=6, **options)
    fastsgd.train(parted, X, y, epochs=3, checkpoint=tmp_path / "run.ckpt", **options)
    fastsgd.train(parted, X, y, epochs=6, checkpoint=tmp_path / "run.ckpt", resume=True, **options)
    np.testing.assert_array_equal(whole.params, parted.params)
    received = checked.check_rows(whole, X) @ whole.weights[0] + whole.biases[0]
    hidden = np.tanh(received)
    np.testing.assert_allclose(whole.tensors["mean.1"], hidden.mean(axis=0), atol=0.3)
    np.testing.assert_allclose(whole.tensors["variance.1"], hidden.var(axis=0), atol=0.3)


def test_members_are_bit_for_bit_alone():
    sizes = [13, 20, BatchNorm(), 3]
    together = fastsgd.Network(sizes, members=3, seed=0)
    X, y = rows(together.member(0))
    fastsgd.train(together, X, y, epochs=3, batch_size=20, seed=5)
    for number in range(3):
        alone = fastsgd.Network(sizes, seed=number)
        fastsgd.train(alone, X, y, epochs=3, batch_size=20, seed=5)
        np.testing.assert_array_equal(together.member(number).params, alone.params)


def test_it_learns_where_units_are_far_from_unit_size():
    (X, y), (X_test, y_test) = fastsgd.datasets.digits()
    far = {"activation": "tanh", "seed": 0, "input_scale": 100.0, "input_offset": 500.0}
    plain = fastsgd.Network([64, 32, 10], **far)
    with pytest.warns(UserWarning, match="no better than a constant"):
        fastsgd.train(plain, X, y, epochs=5, batch_size=20, seed=0)
    net = fastsgd.Network([64, BatchNorm(), 32, BatchNorm(), 10], **far)
    fastsgd.train(net, X, y, epochs=5, batch_size=20, seed=0)
    assert net.score(X_test, y_test) > 0.9 > plain.score(X_test, y_test)


def test_what_it_does_not_go_with_is_refused_by_name():
    with pytest.raises(ValueError, match="BatchNorm is not for members that share weights, got sharing='batch'"):
        fastsgd.Network([4, 8, BatchNorm(), 3], members=4, sharing="batch")
    for options, message in (({"epsilon": 0}, "epsilon must be a finite number above 0, got 0"),
                             ({"momentum": 0}, "momentum must be above 0 and at most 1, got 0"),
                             ({"momentum": "x"}, "momentum must be above 0 and at most 1, got 'x'")):
        with pytest.raises(ValueError, match=message):
            BatchNorm(**options)
    net = fastsgd.Network([4, 8, BatchNorm(), 3], seed=0)
    X, y = np.ones((2, 4)), [0, 1]
    with pytest.raises(ValueError, match="groups: this network has no parameters 'running'"):
        net.step(X, y, fastsgd.SGD(0.1, groups={"running": fastsgd.ParameterGroup(0.0)}))
    with pytest.raises(ValueError, match="is for networks of dense layers; this one has batch_norm layers too"):
        fastsgd.descent.gradient_noise(net, X, y, batch_size=2)


def test_a_layer_norm_in_its_place_needs_no_figures():
    assert "mean.1" not in fastsgd.Network([4, 8, LayerNorm(), 3]).tensors


def test_threads_change_no_bit():
    net = fastsgd.Network(CHAINS["block"], seed=0)
    randomise(net, 0.4, np.random.default_rng(0))
    X, y = rows(net, 3000)
    recipe = StepConfig(fastsgd.Adam(0.01), 700)
    found = [one_epoch(_kernel, net, X, y, None, recipe, threads)[0] for threads in range(1, 9)]
    for each in found[1:]:
        np.testing.assert_array_equal(each, found[0])
