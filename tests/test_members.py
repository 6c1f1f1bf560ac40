"""Networks side by side: is a member bit for bit what its network alone would be, and does all else know of them?"""
import pickle

import numpy as np
import pytest

import fastsgd
from fastsgd.engine import reference
from fastsgd.layers import PBLD, Columns, Scale
from fastsgd.schedules import Cosine

OPTIMIZERS = [fastsgd.SGD(0.1), fastsgd.AdamW(0.01, clip_norm=0.5, average=0.9),
              fastsgd.SGD(0.1, l1=0.01, momentum=0.9)]


def digits(count=400):
    (X, y), _ = fastsgd.datasets.digits()
    return X[:count], y[:count]


def alone(net, own_seed, **arguments):
    """The network of a member by itself, trained as the members are."""
    one = fastsgd.Network(list(net.sizes), seed=own_seed, dtype=str(net.dtype), loss=net.loss)
    fastsgd.train(one, **arguments)
    return one


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda optimizer: optimizer.kind)
@pytest.mark.parametrize("sizes", [[64, 16, 10], [64, 10]], ids=["hidden", "linear"])
def test_members_are_what_their_networks_alone_would_be(sizes, optimizer):
    X, y = digits()
    for threads in (1, 2, 3):
        net = fastsgd.Network(sizes, members=3, seed=[5, 7, 5])
        arguments = {"X": X, "y": y, "optimizer": optimizer, "epochs": 3, "batch_size": 1 if len(sizes) == 2 else 20,
                     "seed": 1, "threads": threads}
        if len(sizes) > 2:
            arguments["dropout"] = 0.2
        fastsgd.train(net, **arguments)
        for number, own_seed in enumerate((5, 7, 5)):
            np.testing.assert_array_equal(net.member(number).params, alone(net, own_seed, **arguments).params)


def test_each_may_have_its_own_order_of_the_rows(tmp_path):
    X, y = digits()
    seeds, arguments = [3, 1, 3], {"dropout": 0.3, "optimizer": fastsgd.Adam(0.01), "batch_size": 30}
    net = fastsgd.Network([64, 16, 10], members=3, seed=[5, 5, 5])
    parted = net.copy()
    fastsgd.train(net, X, y, epochs=4, seed=seeds, **arguments)
    for number, seed in enumerate(seeds):
        one = alone(net, 5, X=X, y=y, epochs=4, seed=seed, **arguments)
        np.testing.assert_array_equal(net.member(number).params, one.params)
    assert (net.member(0).params != net.member(1).params).any()
    path = tmp_path / "run.ckpt"
    fastsgd.train(parted, X, y, epochs=2, seed=seeds, checkpoint=path, **arguments)
    with pytest.raises(ValueError, match="seed must be that of each member, as in the checkpoint's run, got 0"):
        fastsgd.train(parted, X, y, epochs=4, seed=0, checkpoint=path, resume=True, **arguments)
    fastsgd.train(parted, X, y, epochs=4, seed=seeds, checkpoint=path, resume=True, **arguments)
    np.testing.assert_array_equal(parted.params, net.params)
    fastsgd.train(parted, X, y, epochs=1, seed=0, checkpoint=path, **arguments)
    with pytest.raises(ValueError, match="seed: there are 3, one per member; the checkpoint's run had one for all"):
        fastsgd.train(parted, X, y, epochs=4, seed=seeds, checkpoint=path, resume=True, **arguments)


def test_orders_of_their_own_are_refused_where_there_are_none():
    X, y = digits()
    net = fastsgd.Network([64, 10], members=2, seed=0)
    for seed, options, message in (([1, 2, 3], {}, "seed must be one or 2, one per member, got 3"),
                                   ([1, -2], {}, "seed must be None or a whole number at least 0, got -2"),
                                   ([1, 2], {"validation": 0.2}, "one for all members where validation is a fraction"),
                                   ([1, 2], {"shuffle": "blocks"}, "one for all members where rows are shuffled by")):
        with pytest.raises(ValueError, match=message):
            fastsgd.train(net, X, y, epochs=1, seed=seed, **options)
    with pytest.raises(ValueError, match=r"seed must be one for all members of a stream, got \[1, 2\]"):
        fastsgd.train_stream(net, [(X, y)], seed=[1, 2])
    with pytest.raises(TypeError, match="seed must be None or a whole number at least 0, got 'ab'"):
        fastsgd.train(net, X, y, epochs=1, seed="ab")


def test_each_may_have_its_own_learning_rate_and_schedule():
    X, y = digits()
    rates = [0.1, Cosine(0.3), lambda step: 1 / (1 + step)]
    net = fastsgd.Network([64, 16, 10], members=3, seed=0)
    optimizer = fastsgd.SGD(rates, momentum=0.5)
    history = fastsgd.train(net, X, y, optimizer=optimizer, epochs=2, seed=1)
    for number, rate in enumerate(rates):
        one = fastsgd.Network([64, 16, 10], seed=number)
        fastsgd.train(one, X, y, optimizer=fastsgd.SGD(rate, momentum=0.5), epochs=2, seed=1)
        np.testing.assert_array_equal(net.member(number).params, one.params)
    assert len(history.learning_rate) == 2
    with pytest.raises(ValueError, match="learning_rate must be one or 3, one per member, got 2"):
        fastsgd.train(net, X, y, optimizer=fastsgd.SGD([0.1, 0.2]))
    for wrong in ([], [-1.0], ["fast"], [np.inf]):
        with pytest.raises(ValueError, match="learning_rate must hold"):
            fastsgd.SGD(wrong)


def test_the_reference_trains_members_alike():
    X, y = digits(100)
    nets = [fastsgd.Network([64, 8, 10], members=2, dtype="float64", seed=0) for _ in range(2)]
    histories = [fastsgd.train(net, X, y, epochs=2, seed=0, kernel=kernel)
                 for net, kernel in zip(nets, ("fused", "reference"), strict=True)]
    np.testing.assert_allclose(nets[0].params, nets[1].params, atol=1e-12)
    np.testing.assert_allclose(histories[0].cost, histories[1].cost)


def test_predictions_are_means_and_scores_are_of_them():
    X, y = digits()
    net = fastsgd.Network([64, 16, 10], members=3, seed=0)
    fastsgd.train(net, X, y, epochs=1, seed=0)
    members = [net.member(number) for number in range(3)]
    expected = np.mean([one.predict(X) for one in members], axis=0)
    np.testing.assert_allclose(net.predict(X), expected, rtol=1e-5)
    np.testing.assert_allclose(net.predict(X[:2]), expected[:2], rtol=1e-5)
    out = np.empty((2, 10), np.float32)
    assert net.predict(X[:2], out) is out
    assert net.score(X, y) == (expected.argmax(axis=1) == y).mean()
    assert net.cost(X, y) == pytest.approx(np.mean([one.cost(X, y) for one in members]))
    np.testing.assert_array_equal(net.gradient(X, y), np.concatenate([one.gradient(X, y) for one in members]))
    weight = np.arange(len(y), dtype=float)
    assert net.score(X, y, sample_weight=weight) == pytest.approx(
        weight @ (expected.argmax(axis=1) == y) / weight.sum())


@pytest.mark.parametrize(("loss", "outputs"), [("squared_error", 2), ("binary_cross_entropy", 2), ("hinge", 3),
                                               ("cross_entropy", 3)])
def test_scores_of_every_kind_are_those_of_equal_members(loss, outputs):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((50, 4))
    scaled = {"output_scale": 2.0, "output_offset": 1.0} if loss == "squared_error" else {}
    net = fastsgd.Network([4, 5, outputs], loss=loss, members=2, seed=[3, 3], dtype="float64", **scaled)
    one = net.member(0)
    targets = [rng.integers(0, outputs, 50)] if loss != "squared_error" else []
    if loss != "cross_entropy":
        targets.append(rng.integers(0, 2, (50, outputs)).astype(float) * (2 if loss == "hinge" else 1)
                       - (loss == "hinge"))
    for y in targets:
        assert net.evaluate(X, y) == pytest.approx(one.evaluate(X, y))


def test_a_member_that_diverges_stops_and_the_others_go_on(tmp_path):
    X, y = digits()
    optimizer = fastsgd.SGD([0.1, 1e30, 0.2], momentum=0.9)
    net = fastsgd.Network([64, 16, 10], members=3, seed=0)
    with pytest.warns(UserWarning, match=r"member 1 \(learning rate 1e\+30\) stopped in epoch 1: its cost was "
                                         "not finite; the others go on"):
        history = fastsgd.train(net, X, y, optimizer=optimizer, epochs=4, seed=0)
    assert np.isfinite(history.cost).all()
    for number in (0, 2):
        one = fastsgd.Network([64, 16, 10], seed=number)
        fastsgd.train(one, X, y, optimizer=optimizer.member(number), epochs=4, seed=0)
        np.testing.assert_array_equal(net.member(number).params, one.params)
    parted = fastsgd.Network([64, 16, 10], members=3, seed=0)
    with pytest.warns(UserWarning, match="member 1 .* stopped"):
        fastsgd.train(parted, X, y, optimizer=optimizer, epochs=2, seed=0, checkpoint=tmp_path / "run.ckpt")
    fastsgd.train(parted, X, y, optimizer=optimizer, epochs=4, seed=0, checkpoint=tmp_path / "run.ckpt", resume=True)
    np.testing.assert_array_equal(parted.params, net.params)
    with pytest.raises(FloatingPointError, match="the cost stopped being finite"):
        fastsgd.train(net, X, y, optimizer=fastsgd.SGD(1e30, momentum=0.9), epochs=4, seed=0)


def test_files_pickles_copies_and_a_resume_within_an_epoch(tmp_path):
    X, y = digits()
    net = fastsgd.Network([64, Columns(numbers=PBLD()), Scale(), 8, 10], members=2, seed=0)
    net.save(tmp_path / "net.safetensors")
    for again in (fastsgd.Network.load(tmp_path / "net.safetensors"), net.copy(), pickle.loads(pickle.dumps(net))):
        assert again.architecture == net.architecture
        assert repr(again) == repr(net)
        np.testing.assert_array_equal(again.params, net.params)
        assert again.tensors["weights.2"].shape == (2, 64 * 4, 8)

    class StopAt(fastsgd.Callback):
        def on_evaluation(self, run):
            run.stop = run.steps == 3

    options = {"seed": 0, "optimizer": fastsgd.AdamW(0.01), "batch_size": 50, "epochs": 2, "validation": (X[:9], y[:9]),
               "evaluate_every": 3}
    whole, parted = net.copy(), net.copy()
    fastsgd.train(whole, X, y, **options)
    fastsgd.train(parted, X, y, checkpoint=tmp_path / "run.ckpt", callbacks=[StopAt()], **options)
    fastsgd.train(parted, X, y, checkpoint=tmp_path / "run.ckpt", resume=True, **options)
    np.testing.assert_array_equal(whole.params, parted.params)


def test_ctrl_c_and_callbacks_come_through():
    (X, y), _ = fastsgd.datasets.digits()
    X, y = np.tile(X, (40, 1)), np.tile(y, 40)
    net = fastsgd.Network([64, 64, 10], members=4, seed=0)

    class Interrupt(fastsgd.Callback):
        looked = 0

        def on_rows(self, run):
            self.looked += 1
            if 0 < run.rows_done < run.rows:
                raise KeyboardInterrupt

    interrupt = Interrupt()
    with pytest.raises(KeyboardInterrupt):
        fastsgd.train(net, X, y, batch_size=2, epochs=3, seed=0, callbacks=[interrupt])
    assert interrupt.looked >= 1


def test_steps_streams_and_sparse_rows():
    X, y = digits()
    net = fastsgd.Network([64, 16, 10], members=2, seed=0)
    ones = [fastsgd.Network([64, 16, 10], seed=seed) for seed in range(2)]
    cost = net.step(X, y, fastsgd.SGD([0.1, 0.2]))
    assert cost == pytest.approx(np.mean([one.step(X, y, fastsgd.SGD(rate))
                                          for one, rate in zip(ones, (0.1, 0.2), strict=True)]))
    batches = [(X[i:i + 50], y[i:i + 50]) for i in range(0, 400, 50)]
    for each in (net, *ones):
        fastsgd.train_stream(each, batches, batch_size=50, seed=0)
    np.testing.assert_array_equal(net.params, np.concatenate([one.params for one in ones]))
    sparse = pytest.importorskip("scipy.sparse").csr_array(X)
    np.testing.assert_allclose(net.predict(sparse), net.predict(X), rtol=1e-5)


def test_what_is_for_one_network_says_so():
    net = fastsgd.Network([4, 3], members=2, seed=0)
    X, y = np.zeros((5, 4)), np.zeros(5, int)
    for call in (lambda: fastsgd.check_gradient(net, X, y), net.compile_predictor,
                 lambda: fastsgd.descent.row_noise(net, X, y)):
        with pytest.raises(ValueError, match=r"for one network; net.member\(i\) is one of this one's members"):
            call()
    for wrong in (-1, 2, True, "0"):
        with pytest.raises(IndexError, match="member must be a whole number from 0 to 1"):
            net.member(wrong)
    with pytest.raises(ValueError, match="seed must be one or 2, one per member, got 3"):
        fastsgd.Network([4, 3], members=2, seed=[1, 2, 3])
    for wrong in (0, 1.5, "2"):
        with pytest.raises((ValueError, TypeError), match="members must be"):
            fastsgd.Network([4, 3], members=wrong)


@pytest.mark.parametrize("sharing", ["none", "batch", "mini"])
def test_what_each_predicts_has_the_prediction_as_its_mean(sharing):
    X, _ = digits(300)
    net = fastsgd.Network([64, 16, 10], members=3, sharing=sharing, seed=0)
    each = net.predict_members(X)
    assert each.shape == (3, 300, 10)
    np.testing.assert_allclose(each.mean(axis=0), net.predict(X), rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(net.predict_members(X, threads=2), each)
    if sharing == "none":
        for number in range(3):
            np.testing.assert_array_equal(each[number], net.member(number).predict(X))
    else:
        expected = np.empty((300, 3, 10), np.float32)
        reference.predict(net.architecture, net.params, X, expected)
        np.testing.assert_allclose(np.moveaxis(expected, 1, 0), each, rtol=2e-5, atol=1e-6)
    one = fastsgd.Network([64, 10], seed=0)
    np.testing.assert_array_equal(one.predict_members(X)[0], one.predict(X))
