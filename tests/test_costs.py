"""Is the cost of each loss what its sources say, on any number of threads, and are predictions what the loss is for?"""
import numpy as np
import pytest
from cases import LOSSES, TOLERANCE, StepConfig, agree, make_net, make_targets, one_epoch

import fastsgd
from fastsgd import losses
from fastsgd.engine import _kernel, reference
from fastsgd.losses import LOSSES as LOSSES_OF
from fastsgd.network import checked
from fastsgd.network.checked import check_targets
from fastsgd.network.classes import labels_of, probabilities_of
from fastsgd.network.derived import before_output
from fastsgd.runs.baseline import best_constant, constant_cost, output_alone


def trained(loss, output, dtype, threads=1, sizes=(20, 30, 4)):
    rng = np.random.default_rng(0)
    net = make_net(list(sizes), "tanh", loss, output, dtype, rng)
    X, y = rng.standard_normal((500, sizes[0])), make_targets(loss, output, 500, sizes[-1], rng)
    fastsgd.train(net, X, y, optimizer=fastsgd.SGD(0.01), batch_size=150, epochs=2, seed=0, threads=threads)
    return net, X, y


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("loss", "output"), LOSSES)
def test_any_number_of_threads_gives_the_same_bits(loss, output, dtype):
    one, X, y = trained(loss, output, dtype)
    for threads in (2, 3):
        other, *_ = trained(loss, output, dtype, threads)
        np.testing.assert_array_equal(one.params, other.params)
        np.testing.assert_array_equal(one.predict(X), other.predict(X, threads=threads))
        assert one.evaluate(X, y, threads=1) == other.evaluate(X, y, threads=threads)


@pytest.mark.parametrize(("loss", "output"), LOSSES)
def test_files_keep_everything_and_few_rows_are_predicted_as_many(tmp_path, loss, output):
    net, X, _ = trained(loss, output, "float32")
    net.save(tmp_path / "net")
    twin = fastsgd.Network.load(tmp_path / "net")
    assert (twin.architecture, twin.loss_function) == (net.architecture, net.loss_function)
    np.testing.assert_array_equal(twin.predict(X[:3]), net.predict(X)[:3])
    np.testing.assert_array_equal(net.compile_predictor(3)(X[:3].astype("f4")), net.predict(X)[:3])


@pytest.mark.parametrize(("loss", "output"), [
    ("cross_entropy", None), ("binary_cross_entropy", None), ("ordinal", None), ("squared_error", "identity"),
    ("absolute_error", None), ("quantile", "identity"), ("quantile", "sorted"), ("mean_quantiles", None),
    ("gaussian_nll", None),
    ("poisson", None), ("gamma", None), ("tweedie", None)])
def test_no_constant_is_better_than_the_best(loss, output):
    rng = np.random.default_rng(0)
    net = make_net([3, 4], "relu", loss, output, "float64", rng)
    y = check_targets(net, make_targets(loss, output, 400, 4, rng), 400)
    weight = rng.integers(0, 3, 400).astype(float)
    echo = output_alone(net, net.architecture.loss_parameters, float, 4)
    echo.weights[0][:] = np.eye(4)
    best = best_constant(net, y, weight)
    least = constant_cost(net, y, weight)
    assert echo.cost(np.tile(best, (400, 1)), y, sample_weight=weight) == pytest.approx(least, rel=1e-12)
    for step in 0.05 * np.vstack([np.eye(4), -np.eye(4)]):
        assert echo.cost(np.tile(best + step, (400, 1)), y, sample_weight=weight) > least - 1e-12


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("loss", "output"), LOSSES)
def test_small_steps_without_a_hidden_layer_agree_with_the_reference(loss, output, dtype):
    rng = np.random.default_rng(0)
    for outputs, batch_size in ((1 + LOSSES_OF[loss].targets.classes, 1), (4, 1), (3, 2)):
        net = make_net([9, outputs], "relu", loss, output, dtype, rng)
        X, y = checked.check(net, rng.standard_normal((60, 9)), make_targets(loss, output, 60, outputs, rng))
        for optimizer in (fastsgd.SGD(0.002, l2=0.1, average=0.9), fastsgd.SGD(0.02, clip_delta=0.3)):
            config, order = StepConfig(optimizer, batch_size), rng.permutation(60)
            assert _kernel.flush_interval(net.architecture, X, config) > 0, "the linear path"
            found, expected = (one_epoch(module, net, X, y, order, config) for module in (_kernel, reference))
            agree("params", found[0], expected[0], TOLERANCE[dtype])
            agree("cost", found[1].cost, expected[1].cost, TOLERANCE[dtype])
            assert found[1].score == pytest.approx(expected[1].score, rel=TOLERANCE[dtype])


def test_r2_beside_quantiles_is_that_of_the_mean():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(90, 2)).astype("float32"), rng.normal(size=90).astype("float32")
    weight = rng.random(90)
    for members in (1, 3):
        net = fastsgd.Network([2, 5, 3], loss=losses.MeanQuantiles([0.1, 0.9]), seed=0, members=members)
        left = float(weight @ (y - net.predict(X)[:, 0]) ** 2 / (weight @ (y - np.average(y, weights=weight)) ** 2))
        assert net.score(X, y, sample_weight=weight) == pytest.approx(1 - left, rel=1e-5)


def test_streams_and_validation_rows_take_every_loss():
    rng = np.random.default_rng(0)
    for loss, output in LOSSES:
        net = make_net([3, 5, 4], "tanh", loss, output, "float32", rng)
        X, y = rng.standard_normal((60, 3)), np.asarray(make_targets(loss, output, 60, 4, rng))
        history = fastsgd.train_stream(net, lambda _, X=X, y=y: [(X[:30], y[:30]), (X[30:], y[30:])], batch_size=20,
                                       optimizer=fastsgd.SGD(1e-9), epochs=2, seed=0, validation=(X, y))
        cost, score = net.evaluate(X, y)
        assert history.validation_cost[-1] == pytest.approx(cost, rel=1e-6)
        assert history.metric[-1] == pytest.approx(score, rel=1e-4, abs=1e-5), loss


# ---- sorted quantiles ----

def test_sorted_quantiles_do_not_cross_and_are_trained_as_without():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 3)).astype("float32")
    y = X[:, 0] + rng.standard_normal(300) * (0.1 + abs(X[:, 1]))
    q = np.linspace(0.05, 0.95, 19)
    plain, net = (fastsgd.Network([3, 16, 19], loss=losses.Quantile(q), output=output, seed=0, output_scale=2.0,
                                  output_offset=1.0) for output in ("identity", "sorted"))
    for each in (plain, net):
        fastsgd.train(each, X, y, optimizer=fastsgd.Adam(0.01), epochs=10, seed=0)
    np.testing.assert_array_equal(plain.params, net.params)
    found = net.predict(X)
    assert (np.diff(plain.predict(X)) < 0).any()
    np.testing.assert_array_equal(found, np.sort(plain.predict(X), axis=1))
    for k in (1, 16, 100):
        np.testing.assert_array_equal(net.predict(X[:k]), found[:k])

    def pinball(a):
        above = y[:, np.newaxis] - a
        return np.maximum(q * above, (q - 1) * above).sum(axis=1)

    assert (pinball(found.astype(float)) <= pinball(plain.predict(X).astype(float)) + 1e-9).all()
    assert net.cost(X, y) == plain.cost(X, y) == pytest.approx(pinball(plain.predict(X)).mean() / 2, rel=1e-5)
    assert net.cost(X, y) == net.cost(X, np.tile(y[:, np.newaxis], 19))
    with pytest.raises(ValueError, match=r"y must be one target, \(300, 1\), where outputs are sorted; its columns"):
        net.cost(X, y[:, np.newaxis] + np.arange(19))


# ---- a mean and a deviation ----

def test_gaussian_nll_is_torchs():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    net = make_net([3, 5, 4], "tanh", "gaussian_nll", None, "float64", rng)
    X, y = rng.standard_normal((50, 3)), rng.standard_normal((50, 2))
    module = fastsgd.interop.to_torch(net)
    found = module(torch.from_numpy(X))
    cost = torch.nn.GaussianNLLLoss(reduction="sum")(found[:, :2], torch.from_numpy(y), found[:, 2:] ** 2) / 50
    assert net.cost(X, y) == pytest.approx(cost.item(), rel=1e-12)
    cost.backward()
    expected = np.concatenate([part.grad.numpy().T.ravel() if part.ndim == 2 else part.grad.numpy()
                               for part in module.parameters()])
    np.testing.assert_allclose(net.gradient(X, y), expected, rtol=1e-9, atol=1e-12)


def test_a_deviation_is_learned_in_the_unit_of_the_targets():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((4000, 2))
    y = np.stack([100 + 20 * X[:, 0] + rng.standard_normal(4000) * 5 * np.exp(X[:, 1] / 2),
                  rng.standard_normal(4000) - 3], axis=1)
    net = fastsgd.Network([2, 16, 4], "tanh", "gaussian_nll", seed=0, output_scale=y.std(axis=0),
                          output_offset=y.mean(axis=0))
    fastsgd.train(net, X, y, optimizer=fastsgd.Adam(0.01), epochs=30, seed=0)
    mean, deviation = np.split(net.predict(X), 2, axis=1)
    assert np.median(abs(mean[:, 0] - 100 - 20 * X[:, 0])) < 1.5
    ratio = deviation[:, 0] / (5 * np.exp(X[:, 1] / 2))
    assert np.quantile(ratio, [0.05, 0.95]) == pytest.approx([0.9, 1.2], abs=0.2)
    assert 0.93 < np.mean(abs(y - mean) < 1.96 * deviation) < 0.97
    inside = check_targets(net, y, 4000)
    z = before_output(net).predict(X).astype(float)
    nll = z[:, 2:] + (inside - z[:, :2]) ** 2 * np.exp(-2 * z[:, 2:]) / 2
    assert net.cost(X, y) == pytest.approx(nll.sum(axis=1).mean(), rel=1e-5)
    assert net.score(X, y) == pytest.approx(1 - ((inside - z[:, :2]) ** 2).sum()
                                            / ((inside - inside.mean(axis=0)) ** 2).sum(), rel=1e-4)
    net.output_scale = [1.0, 2.0]
    assert net.architecture.unit_of_outputs[0] == (1, 2, 1, 2)
    with pytest.raises(ValueError, match=r"y must have shape \(4000, 2\), one column for each 2 of the network's 4"):
        net.cost(X, y[:, :1])


# ---- classes ----

def test_focal_is_what_the_paper_says_and_with_gamma_0_cross_entropy():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    X, y = 3 * rng.standard_normal((50, 3)), rng.integers(0, 4, 50)
    net = make_net([3, 5, 4], "tanh", "cross_entropy", None, "float64", rng)
    for gamma in (0, 0.5, 2, 5):
        focal = fastsgd.Network([3, 5, 4], "tanh", losses.Focal(gamma), dtype="float64")
        focal.params = net.params
        module = fastsgd.interop.to_torch(focal, output_activation=False)
        log_p = torch.log_softmax(module(torch.from_numpy(X)), 1)[range(50), y]
        cost = (-(1 - log_p.exp()) ** gamma * log_p).mean()
        assert focal.cost(X, y) == pytest.approx(cost.item(), rel=1e-10)
        cost.backward()
        expected = np.concatenate([part.grad.numpy().T.ravel() if part.ndim == 2 else part.grad.numpy()
                                   for part in module.parameters()])
        np.testing.assert_allclose(focal.gradient(X, y), expected, rtol=1e-8, atol=1e-12)
        if gamma == 0:
            np.testing.assert_allclose(focal.gradient(X, y), net.gradient(X, y), rtol=1e-12)
    assert focal.score(X, y) == net.score(X, y)
    with pytest.raises(ValueError, match=r"y must be class labels \(50,\) for focal, got shape \(50, 4\)"):
        focal.cost(X, np.eye(4)[y])
    with pytest.raises(ValueError, match="label_smoothing is for classifiers with cross_entropy or binary"):
        fastsgd.train(focal, X, y, epochs=1, label_smoothing=0.1)


def test_ordinal_is_the_cross_entropy_of_its_thresholds():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((200, 3)), rng.integers(0, 5, 200)
    net = make_net([3, 6, 4], "tanh", "ordinal", None, "float64", rng)
    twin = fastsgd.Network([3, 6, 4], "tanh", "binary_cross_entropy", dtype="float64")
    twin.params = net.params
    above = y[:, np.newaxis] > np.arange(4)
    assert net.cost(X, y) == twin.cost(X, above)
    np.testing.assert_array_equal(net.gradient(X, y), twin.gradient(X, above))
    outputs = net.predict(X)
    assert net.score(X, y) == np.mean((outputs > 0.5).sum(axis=1) == y)
    assert net.metric == "accuracy"
    kind, p = losses.LEVELS, probabilities_of(outputs, losses.LEVELS)
    assert p.shape == (200, 5)
    assert p.min() >= 0
    np.testing.assert_allclose(p.sum(axis=1), 1)
    np.testing.assert_array_equal((np.cumsum(p, axis=1)[:, :4] < 0.5).sum(axis=1), labels_of(outputs, kind))
    for wrong, message in (([5], r"numbers 0 to 4; y\[0\] is 5"), ([-1], "is -1"), ([[1, 1, 0, 0]], "class labels")):
        with pytest.raises(ValueError, match=message):
            net.cost(X[:1], wrong)
    weighted = net.copy()
    fastsgd.train(net, X, y, optimizer=fastsgd.SGD(0.1), epochs=2, seed=0, sample_weight=np.arange(1, 6.0)[y])
    fastsgd.train(weighted, X, y, optimizer=fastsgd.SGD(0.1), epochs=2, seed=0, class_weight=np.arange(1, 6.0))
    np.testing.assert_array_equal(net.params, weighted.params)


def test_ordered_classes_are_learned_and_scorers_know_them():
    pytest.importorskip("sklearn")
    rng = np.random.default_rng(0)
    X = rng.standard_normal((2000, 4)).astype("float32")
    y = np.digitize(X[:, 0] + X[:, 1] + 0.2 * rng.standard_normal(2000), [-2, -0.5, 0.5, 2])
    net = fastsgd.Network([4, 16, 4], loss="ordinal", seed=0)
    history = fastsgd.train(net, X, y, optimizer=fastsgd.Adam(0.01), epochs=20, seed=0, validation=0.2,
                            metrics=["f1_macro", "neg_log_loss", "neg_mean_absolute_error"])
    assert net.score(X, y) > 0.85
    assert history.scores["neg_mean_absolute_error"][-1] > -0.2
    assert history.scores["neg_log_loss"][-1] > -0.4


def test_scorers_see_means_alone():
    pytest.importorskip("sklearn")
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 2))
    net = fastsgd.Network([2, 8, 2], loss="gaussian_nll", seed=0)
    history = fastsgd.train(net, X, X[:, 0], optimizer=fastsgd.Adam(0.01), epochs=3, seed=0, validation=(X, X[:, 0]),
                            metrics=["neg_mean_squared_error"])
    assert history.scores["neg_mean_squared_error"][-1] == pytest.approx(
        -np.mean((net.predict(X)[:, 0] - X[:, 0]) ** 2), rel=1e-5)


# ---- amounts ----

@pytest.mark.parametrize("loss", [losses.Poisson(), losses.Gamma(), losses.Tweedie(1.2), losses.Tweedie(1.9)])
def test_costs_are_half_of_scikit_learns_deviances(loss):
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    net = fastsgd.Network([3, 5, 2], "tanh", loss, dtype="float64", seed=0)
    X, y = rng.standard_normal((50, 3)), rng.uniform(0.1, 3, (50, 2))
    y[:9] = y[:9] if loss.targets.sign == "above 0" else 0
    a = net.predict(X)
    half = sum(metrics.mean_tweedie_deviance(y[:, i], a[:, i], power=loss.power) / 2 for i in range(2))
    assert net.cost(X, y) == pytest.approx(half, rel=1e-12)
    assert net.cost(X, np.maximum(a, 1e-3)) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(("loss", "theirs"), [
    ("gamma", {"power": 2}), ("tweedie", {"power": 1.5}), ("poisson", {"power": 1})])
def test_linear_networks_find_scikit_learns_coefficients(loss, theirs):
    linear_model = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(0)
    X = rng.standard_normal((500, 3))
    y = rng.gamma(2, np.exp(X @ [0.5, -0.3, 0] + 1) / 2) * (rng.random(500) < (1 if loss == "gamma" else 0.8))
    expected = linear_model.TweedieRegressor(**theirs, link="log", alpha=0, tol=1e-10, max_iter=1000).fit(X, y)
    net = fastsgd.Network([3, 1], loss=loss, dtype="float64", seed=0)
    fastsgd.train(net, X, y, optimizer=fastsgd.SGD(fastsgd.schedules.Cosine(0.1)), batch_size=None, epochs=4000, seed=0)
    np.testing.assert_allclose(net.weights[0][:, 0], expected.coef_, atol=1e-5)
    assert net.biases[0][0] == pytest.approx(expected.intercept_, abs=1e-5)


@pytest.mark.parametrize(("loss", "y", "message"), [
    ("gamma", [1, 0], "y must be above 0 for gamma, in float32 at least 1.18e-38, got 0.0"),
    ("gamma", [1, -1], "y must not be negative for gamma, got -1.0"),
    ("tweedie", [0, -0.5], "y must not be negative for tweedie, got -0.5")])
def test_amounts_have_a_sign(loss, y, message):
    with pytest.raises(ValueError, match=message):
        fastsgd.Network([1, 1], loss=loss).cost(np.ones((2, 1)), y)
