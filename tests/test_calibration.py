"""Does a temperature make probabilities hold, without changing what is said?"""
import numpy as np
import pytest

import fastsgd
from fastsgd import calibrate_temperature

RNG = np.random.default_rng(0)
X = RNG.standard_normal((3000, 5)).astype("float32")
LOGITS = X @ RNG.standard_normal((5, 4))
Y = (LOGITS + RNG.gumbel(size=LOGITS.shape)).argmax(axis=1)


def too_sure(loss, factor, outputs=4, dtype="float64"):
    net = fastsgd.Network([5, 12, outputs], "tanh", loss, dtype=dtype, seed=0)
    fastsgd.train(net, X[:1500], Y[:1500] if loss != "binary_cross_entropy" or outputs > 1 else Y[:1500] > 1,
                  optimizer=fastsgd.Adam(0.01), epochs=20, seed=0)
    for array in (net.weights[-1], net.biases[-1]):
        array *= factor
    return net


@pytest.mark.parametrize("loss", ["cross_entropy", "binary_cross_entropy", "ordinal", "focal"])
@pytest.mark.parametrize("factor", [0.2, 5.0])
def test_the_log_loss_is_least(loss, factor):
    net = too_sure(loss, factor, 3 if loss == "ordinal" else 4)
    plain = net.copy()
    if loss == "focal":                                     # whose own cost is another
        plain = fastsgd.Network([5, 12, 4], "tanh", dtype="float64")
        plain.params = net.params
    before, score = plain.cost(X[1500:], Y[1500:]), net.score(X[1500:], Y[1500:])
    said = net.predict(X).argmax(axis=1)
    temperature = calibrate_temperature(net, X[1500:], Y[1500:])
    assert (temperature > 1) == (factor > 1)
    plain.params = net.params
    least = plain.cost(X[1500:], Y[1500:])
    assert least < 0.95 * before
    assert net.score(X[1500:], Y[1500:]) == score
    np.testing.assert_array_equal(net.predict(X).argmax(axis=1), said)
    for other in (0.99, 1.01):
        net.params = plain.params
        for array in (net.weights[-1], net.biases[-1]):
            array *= other
        nearby = fastsgd.Network._from_parts(plain.architecture, net.params, {})
        assert nearby.cost(X[1500:], Y[1500:]) > least
    net.params = plain.params
    assert calibrate_temperature(net, X[1500:], Y[1500:]) == pytest.approx(1, abs=1e-9)


def test_weights_count_files_keep_it_and_float32_does_too(tmp_path):
    net = too_sure("cross_entropy", 3.0, dtype="float32")
    twice, twin = net.copy(), net.copy()
    weight = RNG.integers(0, 3, 1500)
    found = calibrate_temperature(net, X[1500:], Y[1500:], sample_weight=weight)
    rows = np.repeat(np.arange(1500, 3000), weight)
    assert calibrate_temperature(twice, X[rows], Y[rows]) == pytest.approx(found, rel=1e-9)
    assert calibrate_temperature(twin, X[1500:], np.eye(4)[Y[1500:]], threads=1) != pytest.approx(found, rel=1e-6)
    net.save(tmp_path / "net")
    np.testing.assert_array_equal(fastsgd.Network.load(tmp_path / "net").predict(X), net.predict(X))


def test_torch_finds_the_same():
    torch = pytest.importorskip("torch")
    net = too_sure("cross_entropy", 3.0)
    z = fastsgd.interop.to_torch(net, output_activation=False)(torch.from_numpy(X[1500:].astype(float))).detach()
    log_temperature = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([log_temperature], max_iter=200, tolerance_grad=1e-12, tolerance_change=1e-15)

    def closure():
        optimizer.zero_grad()
        cost = torch.nn.functional.cross_entropy(z / log_temperature.exp(), torch.from_numpy(Y[1500:]))
        cost.backward()
        return cost
    optimizer.step(closure)
    assert calibrate_temperature(net, X[1500:], Y[1500:]) == pytest.approx(log_temperature.exp().item(), rel=1e-6)


def test_what_cannot_be_calibrated():
    net = too_sure("cross_entropy", 1.0)
    params = net.params.copy()
    with pytest.raises(ValueError, match="no temperature makes these rows more likely than equal probabilities do"):
        calibrate_temperature(net, X, net.predict(X).argmin(axis=1))
    with pytest.raises(ValueError, match="all 3,000 rows are predicted right, so that no temperature is low enough"):
        calibrate_temperature(net, X, net.predict(X).argmax(axis=1))
    for loss in ("hinge", "squared_error", "gaussian_nll"):
        with pytest.raises(ValueError, match="net must have probabilities as outputs, with one of the losses cross_"
                                             f"entropy, binary_cross_entropy, focal, ordinal; this one has {loss}"):
            calibrate_temperature(fastsgd.Network([5, 4], loss=loss), X, Y)
    with pytest.raises(TypeError, match=r"net must be a fastsgd\.Network, got int"):
        calibrate_temperature(5, X, Y)
    np.testing.assert_array_equal(net.params, params)
    net.params *= np.inf
    with np.errstate(all="ignore"), pytest.raises(ValueError, match="net has logits that are not finite on these rows"):
        calibrate_temperature(net, X, Y)


@pytest.mark.parametrize("sharing", ["none", "batch"])
@pytest.mark.parametrize(("loss", "outputs"), [("cross_entropy", 4), ("binary_cross_entropy", 4), ("ordinal", 3)])
def test_the_log_loss_of_the_mean_of_members_is_least(loss, outputs, sharing):
    net = fastsgd.Network([5, 12, outputs], "tanh", loss, dtype="float64", seed=0, members=3, sharing=sharing)
    fastsgd.train(net, X[:1500], Y[:1500], optimizer=fastsgd.Adam(0.01), epochs=10, seed=0)
    for array in (net.weights[-1], net.biases[-1]):
        array *= 4

    def log_loss():
        p = net.predict(X[1500:])
        labels = Y[1500:, np.newaxis]
        t = np.arange(outputs) < labels if loss == "ordinal" else np.arange(outputs) == labels
        return -np.mean(t * np.log(p) + (0 if loss == "cross_entropy" else (1 - t) * np.log1p(-p)))

    assert calibrate_temperature(net, X[1500:], Y[1500:]) > 1.5
    least = log_loss()
    for factor in (0.99, 1.01 / 0.99):
        for array in (net.weights[-1], net.biases[-1]):
            array *= factor
        assert log_loss() > least
