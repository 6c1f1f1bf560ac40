"""Networks without a hidden layer: losses, steps and penalties of linear models, by the kernel and by its reference."""
import numpy as np
import pytest
from cases import MARGINS, TOLERANCE, StepConfig, agree, make_net, one_epoch, sample

import fastsgd
from fastsgd import losses
from fastsgd.data.checks import Csr
from fastsgd.engine import _kernel, reference
from fastsgd.network import checked
from fastsgd.runs.evaluation import _scorer

DTYPES = ["float64", "float32"]
CLASSIFIERS = ["binary_cross_entropy", *MARGINS]
REGRESSORS = ["squared_error", "huber", "epsilon_insensitive", "squared_epsilon_insensitive"]
SETTINGS = [
    fastsgd.SGD(0.05),
    fastsgd.SGD(0.05, l2=0.3),
    fastsgd.SGD(lambda step: 0.3 / (1 + step), l2=0.01, bias_rate=0.5, average="polyak"),
    fastsgd.SGD(0.05, l2=0.1, average=0.9, average_from=5),
    fastsgd.SGD(0.05, average="polyak", average_from=3, bias_rate=0.0),
    fastsgd.SGD(0.05, l1=0.02),
    fastsgd.SGD(0.05, l2=0.1, alpha=0.3, clip_delta=0.3),
    fastsgd.SGD(0.05, l1=0.02, cumulative_l1=True),
    fastsgd.SGD(0.05, weight_decay=0.1, l2=0.1),
    fastsgd.SGD(0.05, l2=30.0),                        # rate * l2 above 1
]
PASSIVE = [
    fastsgd.PassiveAggressive(0.1), fastsgd.PassiveAggressive(10.0), fastsgd.PassiveAggressive(0.1, squared=True),
    fastsgd.PassiveAggressive(0.5, bias_rate=0.0), fastsgd.PassiveAggressive(0.5, l2=0.01, average="polyak"),
]


def as_csr(X):
    entries = [np.flatnonzero(row) for row in X]
    indptr = np.concatenate([[0], np.cumsum([len(row) for row in entries])]).astype(np.int64)
    return Csr(indptr, np.concatenate(entries).astype(np.int32), X[X != 0], X.shape)


def targets(loss, rows, outputs, rng):
    if loss in REGRESSORS:
        return rng.standard_normal((rows, outputs))
    if outputs > 1 and rng.random() < 0.7:
        return rng.integers(0, outputs, rows)
    return rng.choice([0, 1], (rows, outputs))


def compare(net, X, y, order, recipe, weights, tolerance):
    found, expected = (one_epoch(module, net, X, y, order, recipe, 1, weights) for module in (_kernel, reference))
    agree(f"params of {net} with {recipe}", found[0], expected[0], tolerance)
    for name in ("slots", "steps", "cost", "score", "cumulative_l1"):
        agree(f"{name} of {net} with {recipe}", getattr(found[1], name), getattr(expected[1], name), tolerance)
    if recipe.optimizer.average is not None:
        agree(f"average of {net} with {recipe}", found[1].average, expected[1].average, tolerance)
    assert (found[0] != net.params).any()
    return found


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("outputs", [1, 3, 20])
@pytest.mark.parametrize("loss", [*CLASSIFIERS, *REGRESSORS])
def test_kernel_agrees_with_reference(loss, outputs, dtype):
    settings = SETTINGS + PASSIVE * (loss in fastsgd.PassiveAggressive.losses)
    place = [[*CLASSIFIERS, *REGRESSORS].index(loss), outputs]
    for which, batch_size, density in sample(range(len(settings)), (1, 7, 40), (1.0, 0.2), share=1 / 4,
                                             salt=[*place, dtype == "float32"]):
        rng = np.random.default_rng([*place, which, batch_size, density == 1])
        optimizer = settings[which]
        net = make_net([9, outputs], "relu", loss, None, dtype, rng)
        X = rng.standard_normal((40, 9)) * (rng.random((40, 9)) < density)
        X, y = checked.check(net, X, targets(loss, 40, outputs, rng))
        weights = rng.random(40) + 0.1 if rng.random() < 0.5 else None
        positive = tuple(rng.random(outputs) + 0.5) if y.ndim == 1 and rng.random() < 0.5 else ()
        recipe = StepConfig(optimizer, batch_size, positive_weight=positive, weighted_steps=bool(rng.random() < 0.5))
        order = rng.permutation(40) if rng.random() < 0.8 else None
        for rows in (X, as_csr(X)):
            compare(net, rows, y, order, recipe, weights, 5 * TOLERANCE[dtype])


@pytest.mark.parametrize("loss", [*MARGINS, "epsilon_insensitive", "squared_epsilon_insensitive"])
def test_gradients_are_those_of_the_costs(loss):
    rng = np.random.default_rng(len(loss))
    for sizes in ([5, 3], [4, 6, 2], [5, 1]):
        net = make_net(sizes, "tanh", loss, None, "float64", rng)
        y = targets("hinge" if loss in MARGINS else loss, 8, sizes[-1], rng)
        assert fastsgd.check_gradient(net, rng.standard_normal((8, sizes[0])), y) < 1e-6


@pytest.mark.parametrize("module", [_kernel, reference], ids=["kernel", "reference"])
def test_losses_are_what_they_say(module):
    def cost_and_slope(loss, z, t):
        net = fastsgd.Network([1, 1], loss=loss, dtype="float64")
        net.params[:] = [1.0, 0.0]
        X, y = checked.check(net, [[z]], [t])
        out = np.empty(2)
        return module.gradient(net.architecture, net.params, X, y, out), out[1]

    for loss, z, t, cost, slope in [
            ("hinge", 1.0, 1, 0.0, -1.0), ("hinge", 1.5, 1, 0.0, 0.0), ("hinge", -2.0, 1, 3.0, -1.0),
            ("hinge", 0.5, -1, 1.5, 1.0), ("perceptron", 0.0, 1, 0.0, -1.0), ("perceptron", -0.5, 1, 0.5, -1.0),
            ("perceptron", 0.5, 0, 0.5, 1.0), ("perceptron", -0.5, 0, 0.0, 0.0), ("squared_hinge", -1.0, 1, 4.0, -4.0),
            ("squared_hinge", 2.0, 1, 0.0, 0.0), ("modified_huber", 0.5, 1, 0.25, -1.0),
            ("modified_huber", -2.0, 1, 8.0, -4.0), ("modified_huber", 3.0, -1, 12.0, 4.0)]:
        assert cost_and_slope(loss, z, t) == (cost, slope), (loss, z, t)
    for loss, z, t, cost, slope in [
            ("epsilon_insensitive", 1.0, 0.75, 0.0, 0.0), ("epsilon_insensitive", 1.0, -1.0, 1.5, 1.0),
            ("squared_epsilon_insensitive", 1.0, 3.0, 2.25, -3.0), ("squared_epsilon_insensitive", 1.0, 1.5, 0.0, 0.0)]:
        assert cost_and_slope(losses.with_parameters(loss, epsilon=0.5), z, t) == (cost, slope), (loss, z, t)


@pytest.mark.parametrize("module", [_kernel, reference], ids=["kernel", "reference"])
@pytest.mark.parametrize("loss", [*CLASSIFIERS, *REGRESSORS])
@pytest.mark.parametrize("batch_size", [1, 4])
def test_a_cost_that_is_not_finite_stops_before_its_step(loss, batch_size, module):
    rng = np.random.default_rng(0)
    net = make_net([4, 2], "relu", loss, None, "float64", rng)
    X, y = checked.check(net, rng.standard_normal((12, 4)), rng.choice([0, 1], (12, 2)))
    X[9] = np.nan
    with np.errstate(all="ignore"):
        config = StepConfig(fastsgd.SGD(0.1, l2=0.1), batch_size)
        params, state, steps = one_epoch(module, net, X, y, np.arange(12), config)
    assert steps == state.steps == 9 // batch_size
    assert not np.isfinite(state.cost)
    assert np.isfinite(params).all()


# ---- one-vs-rest ----

def test_labels_mean_their_targets():
    rng = np.random.default_rng(1)
    X, labels = rng.standard_normal((50, 6)), rng.integers(0, 4, 50)
    for loss in CLASSIFIERS:
        nets = [fastsgd.Network([6, 4], loss=loss, seed=0, dtype="float64") for _ in range(3)]
        yes = np.eye(4)[labels]
        histories = [fastsgd.train(net, X, y, epochs=2, batch_size=7, seed=0)
                     for net, y in zip(nets, (labels, yes, 2 * yes - 1 if loss in MARGINS else yes), strict=True)]
        np.testing.assert_array_equal(nets[0].params, nets[1].params)
        np.testing.assert_array_equal(nets[0].params, nets[2].params)
        assert histories[0].cost == histories[1].cost
        assert nets[0].score(X, labels) == (nets[0].predict(X).argmax(axis=1) == labels).mean()
        z = nets[0].predict(X) - (0.5 if loss not in MARGINS else 0)
        assert nets[0].score(X, yes) == ((z > 0) == yes).mean()


def test_what_is_no_target_is_refused():
    net = fastsgd.Network([2, 3], loss="hinge")
    for y, message in (([0, 3], r"class labels, whole numbers 0 to 2; y\[1\] is 3"), ([[0.5, 1, 1]] * 2, "got 0.5"),
                       ([[0, 1]] * 2, r"y must have shape \(2, 3\)")):
        with pytest.raises(ValueError, match=message):
            net.cost([[1, 2], [3, 4]], y)
    for bad, error in ((-1, ValueError), (float("nan"), ValueError), ("a", ValueError)):
        with pytest.raises(error, match="epsilon must be a number"):
            losses.EpsilonInsensitive(bad)
    with pytest.raises(ValueError, match="label_smoothing is for classifiers with cross_entropy or"):
        fastsgd.train(net, np.ones((2, 2)), [0, 1], label_smoothing=0.1)


def test_class_weights_count_where_their_class_is_the_one():
    rng = np.random.default_rng(2)
    X, labels = rng.standard_normal((60, 5)), rng.integers(0, 3, 60)
    together = fastsgd.Network([5, 3], loss="hinge", seed=0, dtype="float64")
    apart = [fastsgd.Network([5, 1], loss="hinge", dtype="float64") for _ in range(3)]
    for k, net in enumerate(apart):
        net.weights[0][:, 0], net.biases[0][:] = together.weights[0][:, k], together.biases[0][k]
    optimizer, weights = fastsgd.SGD(0.1, l2=0.01), {0: 2.0, 2: 0.5}
    fastsgd.train(together, X, labels, optimizer=optimizer, batch_size=1, epochs=2, seed=0, class_weight=weights)
    for k, net in enumerate(apart):
        fastsgd.train(net, X, labels == k, optimizer=optimizer, batch_size=1, epochs=2, seed=0, weighted_steps=True,
                      sample_weight=np.where(labels == k, weights.get(k, 1.0), 1.0))
        np.testing.assert_allclose(together.weights[0][:, k], net.weights[0][:, 0], rtol=1e-12)
        np.testing.assert_allclose(together.biases[0][k], net.biases[0][0], rtol=1e-12)
    with pytest.raises(ValueError, match="class_weight must not be negative"):
        fastsgd.train(together, X, labels, class_weight=[1, 1, -1])
    with pytest.raises(ValueError, match="class_weight needs"):
        fastsgd.train(together, X, np.eye(3)[labels], class_weight=[1, 1, 1])
    fastsgd.train(together, X, labels, class_weight="balanced", epochs=1, seed=0)


def test_streams_take_labels_and_weights_of_classes():
    rng = np.random.default_rng(3)
    X, labels = rng.standard_normal((60, 5)).astype("f4"), rng.integers(0, 3, 60)
    nets = [fastsgd.Network([5, 3], loss="hinge", seed=0) for _ in range(2)]
    more = {"class_weight": [1, 2, 3], "weighted_steps": True, "batch_size": 5, "shuffle": False, "epochs": 1}
    first = fastsgd.train(nets[0], X, labels, **more)
    second = fastsgd.train_stream(nets[1], [(X[:32], labels[:32]), (X[32:], labels[32:])], **more)
    np.testing.assert_array_equal(nets[0].params, nets[1].params)
    assert first.metric == second.metric
    with pytest.raises(ValueError, match="needs y to be class labels"):
        fastsgd.train_stream(nets[1], [(X, np.eye(3)[labels])], **more)


def test_metrics_by_name():
    pytest.importorskip("sklearn")
    (X, y), test = fastsgd.datasets.digits()
    net = fastsgd.Network([64, 10], loss="hinge", seed=0)
    history = fastsgd.train(net, X, y, epochs=3, seed=0, validation=test,
                            metrics=[_scorer("accuracy", net), "f1_macro"])
    assert history.scores["measure"] == pytest.approx(history.validation_metric)
    one = fastsgd.Network([64, 1], loss="hinge", seed=0)
    history = fastsgd.train(one, X, y > 4, epochs=3, seed=0, validation=(test[0], test[1] > 4),
                            metrics=[_scorer("accuracy", one), "roc_auc"])
    assert history.scores["measure"] == pytest.approx(history.validation_metric)


# ---- steps ----

def test_truncated_l1_makes_zeros_and_remembers_what_it_took(tmp_path):
    (X, y), _ = fastsgd.datasets.digits()
    X, y = X[:300], y[:300] > 4
    settings = {"optimizer": fastsgd.SGD(0.02, l1=0.1, cumulative_l1=True), "batch_size": 10, "seed": 0}
    net, parted = (fastsgd.Network([64, 1], loss="squared_hinge", seed=0, dtype="float64") for _ in range(2))
    fastsgd.train(net, X, y, epochs=4, **settings)
    assert 0.2 < (net.weights[0] == 0).mean() < 1

    def interrupt(run):
        if run.epoch == 2:
            raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        fastsgd.train(parted, X, y, epochs=4, **settings, checkpoint=tmp_path / "run.ckpt", callbacks=[interrupt])
    fastsgd.train(parted, X, y, epochs=4, **settings, resume=tmp_path / "run.ckpt")
    np.testing.assert_array_equal(net.params, parted.params)


def test_l2_never_turns_the_sign():
    net = fastsgd.Network([2, 1], loss="squared_error", dtype="float64", seed=0)
    net.step(np.zeros((1, 2)), [0.0], fastsgd.SGD(1.0, l2=3.0))
    assert (net.weights[0] == 0).all()


def test_passive_aggressive_steps_are_those_of_the_paper():
    x, C = np.array([[1.0, -2.0]]), 0.3
    for optimizer, tau in ((fastsgd.PassiveAggressive(C), min(C, 1 / 5)),
                           (fastsgd.PassiveAggressive(0.1), 0.1),
                           (fastsgd.PassiveAggressive(C, squared=True), 1 / (5 + 1 / (2 * C)))):
        net = fastsgd.Network([2, 1], loss="hinge", dtype="float64")
        net.params[:] = 0
        net.step(x, [-1], optimizer)
        np.testing.assert_allclose(net.params, [-tau, 2 * tau, -tau], rtol=1e-15)
    net = fastsgd.Network([2, 1], loss=losses.EpsilonInsensitive(0.5), dtype="float64")
    net.params[:] = 0
    net.step(x, [-3.0], fastsgd.PassiveAggressive(10.0))
    np.testing.assert_allclose(net.params, [-0.5, 1.0, -0.5], rtol=1e-15)
    for bad in (fastsgd.Network([2, 3, 1], loss="hinge"), fastsgd.Network([2, 1], loss="squared_hinge")):
        with pytest.raises(ValueError, match="optimizer: PassiveAggressive is for networks without a hidden layer"):
            fastsgd.train(bad, x, [1], optimizer=fastsgd.PassiveAggressive())


def test_heavy_rows_make_longer_steps_where_they_are_asked_to():
    x, y = np.ones((1, 2)), [1.0]
    nets = [fastsgd.Network([2, 1], loss="squared_error", dtype="float64", seed=0) for _ in range(3)]
    before = nets[0].params.copy()
    for net, weight, weighted in ((nets[0], 1.0, False), (nets[1], 3.0, False), (nets[2], 3.0, True)):
        fastsgd.train(net, x, y, sample_weight=[weight], weighted_steps=weighted, epochs=1)
    np.testing.assert_allclose(nets[0].params, nets[1].params, rtol=1e-14)
    np.testing.assert_allclose(nets[2].params - before, 3 * (nets[0].params - before), rtol=1e-12)
    with pytest.raises(TypeError, match="weighted_steps must be True or False"):
        fastsgd.train(nets[0], x, y, weighted_steps=1)


# ---- the path of its own ----

def test_averaged_sgd_follows_a_transcription():
    """Steps of one row with l2 and the average of all weights, as in Bottou 2012, by hand."""
    rng = np.random.default_rng(4)
    X, y = rng.standard_normal((200, 10)), rng.choice([-1.0, 1.0], 200)
    for rows in (X, as_csr(X)):
        net = fastsgd.Network([10, 1], loss="squared_error", dtype="float64")
        net.params[:] = 0
        optimizer = fastsgd.SGD(0.001, l2=0.01, average="polyak")
        params, state, _ = one_epoch(_kernel, net, rows, y[:, np.newaxis], None, StepConfig(optimizer, 1))
        w, b, mean_w, mean_b = np.zeros(10), 0.0, np.zeros(10), 0.0
        for t, (x, target) in enumerate(zip(X, y, strict=True)):
            slope = x @ w + b - target
            w = (1 - 0.001 * 0.01) * w - 0.001 * slope * x
            b -= 0.001 * slope
            mean_w, mean_b = (t * mean_w + w) / (t + 1), (t * mean_b + b) / (t + 1)
        np.testing.assert_allclose(params, [*w, b], rtol=0, atol=1e-15)
        np.testing.assert_allclose(state.average, [*mean_w, mean_b], rtol=0, atol=1e-15)


def sparse_case(dtype="float64", rows=600, columns=300, outputs=1, per_row=6, seed=5):
    rng = np.random.default_rng(seed)
    X = np.zeros((rows, columns), dtype)
    X[np.arange(rows)[:, np.newaxis], rng.integers(0, columns, (rows, per_row))] = rng.standard_normal((rows, per_row))
    net = make_net([columns, outputs], "relu", "hinge", None, dtype, rng)
    net.params *= 0.2
    X, y = checked.check(net, X, rng.choice([-1, 1], (rows, outputs)))
    return net, as_csr(X), y, rng.permutation(rows)


WAITING = [
    fastsgd.SGD(0.05, l2=0.3), fastsgd.SGD(0.05, l2=0.01, average="polyak"),
    fastsgd.SGD(0.1, average=0.5, average_from=100), fastsgd.SGD(0.1, l2=5.0, average=0.9),     # many folds
    fastsgd.SGD(0.1, l1=1e-3, cumulative_l1=True),
    fastsgd.SGD(lambda step: 0.1 / (1 + 0.01 * step), l1=2e-3, cumulative_l1=True),
    fastsgd.PassiveAggressive(1.0, l2=0.01, average="polyak")]


@pytest.mark.parametrize(("optimizer", "outputs", "batch_size", "dtype"),
                         sample(WAITING, [1, 3, 20], [1, 3, 16], DTYPES, share=1 / 3), ids=str)
def test_what_waits_is_what_would_have_been_done_at_once(optimizer, outputs, batch_size, dtype):
    net, X, y, order = sparse_case(dtype, outputs=outputs)
    recipe = StepConfig(optimizer, batch_size)
    assert _kernel.flush_interval(net.architecture, X, recipe) > 0
    compare(net, X, y, order, recipe, None, 20 * TOLERANCE[dtype])


def test_elastic_net_waits_almost_exactly():
    """Only what is left of a penalty when a weight reaches zero unseen is off, by the shrinking meanwhile at most."""
    net, X, y, order = sparse_case(rows=3000)
    optimizer = fastsgd.SGD(0.05, l1=0.001, l2=0.02, cumulative_l1=True)
    found, expected = (one_epoch(module, net, X, y, order, StepConfig(optimizer, 1)) for module in (_kernel, reference))
    assert 0.1 < (expected[0] == 0).mean() < 0.9
    assert (found[0] != expected[0]).any()
    agree("params", found[0], expected[0], 0.05)
    # No more than the whole shrinking of the pass can be off in what a weight has received.
    assert abs(found[1].slots - expected[1].slots).max() <= expected[1].cumulative_l1 * (1 - (1 - 0.05 * 0.02) ** 3000)
    # As long as no weight reaches zero the two are equal.
    net.params[:] += np.sign(net.params) * 100
    compare(net, X, y, order, StepConfig(fastsgd.SGD(0.05, l1=0.01, l2=1e-4, cumulative_l1=True), 1), None, 1e-10)


def test_passes_may_be_parted_where_they_fold():
    net, X, y, order = sparse_case(rows=4096, columns=1000, outputs=200, per_row=50)
    for optimizer in (fastsgd.SGD(0.05, l2=0.01, average="polyak"),
                      fastsgd.SGD(0.05, l1=1e-4, l2=0.01, cumulative_l1=True)):
        recipe = StepConfig(optimizer, 16)
        fold = _kernel.flush_interval(net.architecture, X, recipe)
        assert 8 < fold < 256
        rates = optimizer.learning_rates(0, 256)
        whole, parted = net.params.copy(), net.params.copy()
        states = optimizer.state(whole), optimizer.state(parted)
        _kernel.train_epoch(net.architecture, whole, X, y, order, recipe, states[0], rates)
        for rows, its_rates in ((order[:16 * fold], rates[:fold]), (order[16 * fold:], rates[fold:])):
            _kernel.train_epoch(net.architecture, parted, X, y, rows, recipe, states[1], its_rates)
        np.testing.assert_array_equal(whole, parted)
        np.testing.assert_array_equal(states[0].slots, states[1].slots)
        assert states[0].cumulative_l1 == states[1].cumulative_l1


@pytest.mark.parametrize("optimizer", [fastsgd.SGD(0.01, l2=0.01, average="polyak"),
                                       fastsgd.SGD(0.01, l1=1e-4, cumulative_l1=True)], ids=str)
def test_a_run_interrupted_within_an_epoch_goes_on_to_the_same_bits(optimizer, tmp_path):
    rng = np.random.default_rng(6)
    X, y = rng.standard_normal((3000, 1000)), rng.integers(0, 20, 3000)
    settings = {"optimizer": optimizer, "batch_size": 2, "epochs": 2, "seed": 0}
    nets = [fastsgd.Network([1000, 20], loss="hinge", seed=0, dtype="float64") for _ in range(3)]
    fold = _kernel.flush_interval(nets[0].architecture, X, StepConfig(optimizer, 2))
    assert 1 < fold < 3000 / 2 / 3
    fastsgd.train(nets[0], X, y, **settings)
    # Checkpoints after so many steps are written where the path rests in any case.
    fastsgd.train(nets[1], X, y, **settings, checkpoint=fastsgd.Checkpoint(tmp_path / "often.ckpt", steps=7))
    np.testing.assert_array_equal(nets[0].params, nets[1].params)

    class Interrupt(fastsgd.Callback):
        def on_rows(self, run):
            if run.epoch == 2 and run.rows_done > 500:
                raise KeyboardInterrupt

    path = tmp_path / "run.ckpt"
    with pytest.MonkeyPatch.context() as patch:
        real = _kernel.train_epoch

        def parted(architecture, params, X, y, order, recipe, state, rates, weight, threads, poll, adapts):
            """Looks in at the second fold, as a pass would after a tenth of a second."""
            steps = 3 * fold - state.steps % fold
            made = real(architecture, params, X, y, order[:2 * steps], recipe, state, rates[:steps], weight, threads)
            poll(2 * steps)
            if made < len(rates):
                made += real(architecture, params, X, y, order[2 * steps:], recipe, state, rates[steps:], weight,
                             threads)
            return made
        patch.setattr("fastsgd.engine._kernel.train_epoch", parted)
        with pytest.raises(KeyboardInterrupt):
            fastsgd.train(nets[2], X, y, **settings, checkpoint=path, callbacks=[Interrupt()])
    fastsgd.train(nets[2], X, y, **settings, resume=path)
    np.testing.assert_array_equal(nets[0].params, nets[2].params)


def test_a_pass_pauses_and_stops_where_it_folds():
    rng = np.random.default_rng(7)
    net = make_net([500, 20], "relu", "hinge", None, "float32", rng)
    X, y = checked.check(net, rng.standard_normal((20_000, 500)), rng.integers(0, 20, 20_000))
    optimizer = fastsgd.SGD(0.01, l2=1e-4)
    recipe = StepConfig(optimizer, 1)
    fold = _kernel.flush_interval(net.architecture, X, recipe)
    order = np.tile(np.arange(20_000), 30)
    state, params = optimizer.state(net.params), net.params.copy()
    made = _kernel.train_epoch(net.architecture, params, X, y, order, recipe, state,
                               optimizer.learning_rates(0, len(order)), None, 1, lambda rows: True)
    assert 0 < made < len(order)
    assert made % fold == 0
    again = optimizer.state(net.params)
    twin = net.params.copy()
    _kernel.train_epoch(net.architecture, twin, X, y, order[:made], recipe, again, optimizer.learning_rates(0, made))
    np.testing.assert_array_equal(params, twin)


@pytest.mark.parametrize("density", [0.2, 1.0])
def test_rows_of_bytes_and_scaled_rows(density):
    rng = np.random.default_rng(8)
    X = (rng.integers(0, 256, (60, 40)) * (rng.random((60, 40)) < density)).astype(np.uint8)
    for offset, outputs in ((0.0, 5), (0.5, 5), (0.0, 1)):
        net = fastsgd.Network([40, outputs], loss="hinge", seed=0, dtype="float64", input_scale=1 / 255,
                              input_offset=offset)
        rows, y = checked.check(net, X, rng.choice([-1, 1], (60, outputs)))
        compare(net, rows, y, rng.permutation(60), StepConfig(fastsgd.SGD(0.05, l2=0.1), 1), None, 1e-10)


def test_a_matrix_that_changes_after_its_check_is_refused():
    net, X, y, order = sparse_case()
    X.indices[100] = 10_000
    with pytest.raises(ValueError, match="X has a column index out of range"):
        one_epoch(_kernel, net, X, y, order, StepConfig(fastsgd.SGD(0.1), 1))
