"""Is backpropagation the gradient, and would the check notice if it were not?"""
import pickle

import numpy as np
import pytest
from cases import ACTIVATIONS, LOSSES, make_net, make_targets

import fastsgd


def random_case(seed, dtype="float64"):
    rng = np.random.default_rng(seed)
    loss, output = LOSSES[seed % len(LOSSES)]
    depth = int(rng.integers(0, 4))
    sizes = [int(n) for n in rng.integers(1, 12, depth + 1)] + [int(rng.integers(2, 6))]
    activation = [str(name) for name in rng.choice(ACTIVATIONS, depth)]
    net = make_net(sizes, activation, loss, output, dtype, rng)
    rows = int(rng.integers(1, 9))
    return net, rng.standard_normal((rows, sizes[0])), make_targets(loss, output, rows, sizes[-1], rng)


def live_cases(count):
    """Random cases but for those without any gradient: relu units that are all off, say."""
    found = dead = seed = 0
    while found < count:
        case = random_case(seed)
        seed += 1
        if case[0].gradient(*case[1:]).any():
            found += 1
            yield seed - 1, case
        else:
            dead += 1
    assert dead <= 0.05 * count


def test_two_hundred_random_networks():
    checked = 0
    for seed, (net, X, y) in live_cases(200):
        before = net.params.copy()
        assert fastsgd.check_gradient(net, X, y) <= 1e-6, (seed, net)
        assert (net.params == before).all()
        checked += 1
    assert checked == 200


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradients_are_pytorchs(activation):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    net = make_net([5, 40, 30, 3], activation, "squared_error", None, "float64", rng)
    X, y = 3 * rng.standard_normal((50, 5)), rng.standard_normal((50, 3))
    module = fastsgd.interop.to_torch(net)
    found = module(torch.from_numpy(X))
    np.testing.assert_allclose(net.predict(X), found.detach(), rtol=1e-12, atol=1e-12)
    (((found - torch.from_numpy(y)) ** 2).sum() / (2 * len(X))).backward()
    expected = np.concatenate([(p.grad.T if p.ndim == 2 else p.grad).numpy().ravel() for p in module.parameters()])
    rtol = 1e-7 if activation == "hard_sigmoid" else 1e-10      # whose slope is a float's 1/6 there
    np.testing.assert_allclose(net.gradient(X, y), expected, rtol=rtol, atol=1e-12 * abs(expected).max())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_check_passes_on_real_digits(digits, dtype):
    (X, y), _ = digits
    net = fastsgd.Network([64, 20, 10], "tanh", dtype=dtype, seed=0)
    assert fastsgd.check_gradient(net, X[:8], y[:8]) < (1e-6 if dtype == "float64" else 1e-4)


def smooth_case():
    rng = np.random.default_rng(0)
    net = make_net([5, 6, 4, 3], "tanh", "cross_entropy", None, "float64", rng)
    return net, rng.standard_normal((7, 5)), rng.integers(0, 3, 7)


def test_a_gradient_wrong_by_a_tenth_of_a_percent_fails():
    net, X, y = smooth_case()
    with pytest.raises(fastsgd.GradientError, match=r"gradient of weights\.0: relative error 0\.0005 exceeds 1e-06"):
        fastsgd.check_gradient(net, X, y, gradient=net.gradient(X, y) * 1.001)


@pytest.mark.parametrize("layer", range(3))
@pytest.mark.parametrize("kind", ["weights", "biases"])
def test_one_wrong_array_fails_and_is_named(layer, kind):
    net, X, y = smooth_case()
    wrong = net.copy()
    wrong.params[:] = net.gradient(X, y)
    getattr(wrong, kind)[layer][...] *= 1.001
    with pytest.raises(fastsgd.GradientError, match=rf"{kind}\.{layer}"):
        fastsgd.check_gradient(net, X, y, gradient=wrong.params)


def test_a_zero_gradient_fails():
    net, X, y = smooth_case()
    with pytest.raises(fastsgd.GradientError):
        fastsgd.check_gradient(net, X, y, gradient=np.zeros_like(net.params))


def test_a_network_without_any_gradient_fails():
    net = fastsgd.Network([3, 4, 2], "relu", "squared_error", dtype="float64", seed=0)
    net.params[:] = 0
    with pytest.raises(fastsgd.GradientError, match="nothing was checked"):
        fastsgd.check_gradient(net, np.ones((2, 3)), np.zeros((2, 2)))


def test_each_weight_moves_by_the_rate_times_the_difference_of_the_cost():
    """The fused step exposes no gradient, so the change it makes is compared with the cost itself."""
    net, X, y = smooth_case()
    stepped = net.copy()
    stepped.step(X, y, fastsgd.SGD(0.3))
    change = stepped.params - net.params
    h = 1e-5
    for i in range(net.params.size):
        up, down = net.copy(), net.copy()
        up.params[i] += h
        down.params[i] -= h
        difference = (up.cost(X, y) - down.cost(X, y)) / (2 * h)
        assert change[i] == pytest.approx(-0.3 * difference, abs=1e-9)
    assert np.abs(change).max() > 1e-3


def test_gradient_is_the_mean_over_the_rows():
    net, X, y = smooth_case()
    one_by_one = np.mean([net.gradient(X[i:i + 1], y[i:i + 1]) for i in range(len(X))], axis=0)
    np.testing.assert_allclose(net.gradient(X, y), one_by_one, rtol=1e-12, atol=1e-15)


def test_wrong_shape_of_gradient():
    net, X, y = smooth_case()
    with pytest.raises(ValueError, match="gradient must have shape"):
        fastsgd.check_gradient(net, X, y, gradient=np.zeros(3))


@pytest.mark.parametrize(("arguments", "error", "message"), [
    ({"tolerance": 0}, ValueError, "tolerance must be above 0, got 0"),
    ({"samples": 0}, ValueError, "samples must be at least 1, got 0"),
])
def test_wrong_arguments(arguments, error, message):
    net, X, y = smooth_case()
    with pytest.raises(error, match=message):
        fastsgd.check_gradient(net, X, y, **arguments)
    with pytest.raises(TypeError, match=r"net must be a fastsgd\.Network.*got list"):
        fastsgd.check_gradient([net], X, y, **arguments)


def test_a_tolerance_of_ones_own():
    net, X, y = smooth_case()
    wrong = net.gradient(X, y) * 1.001
    fastsgd.check_gradient(net, X, y, gradient=wrong, tolerance=0.01)
    with pytest.raises(fastsgd.GradientError, match=r"exceeds 0\.0001"):
        fastsgd.check_gradient(net, X, y, gradient=wrong, tolerance=1e-4)


def test_a_row_of_zeros_leaves_out_the_biases_at_the_kink():
    net = fastsgd.Network([3, 4, 2], "relu", dtype="float64", seed=0)            # whose biases are 0
    X = np.array([[0.0, 0, 0], [1, 2, 3], [-1, 1, 2]])
    found = fastsgd.check_gradient(net, X, [0, 1, 1])
    assert found < 1e-6
    assert (found.checked, found.left_out) == (22, 4)
    assert repr(found).endswith("of 22 parameters, 4 left out at a kink of the cost>")
    assert float(str(found)) == pickle.loads(pickle.dumps(found)) == found
    with pytest.raises(fastsgd.GradientError):
        fastsgd.check_gradient(net, X, [0, 1, 1], gradient=net.gradient(X, [0, 1, 1]) * 1.001)


def test_units_after_a_dead_layer_are_left_out():
    net = fastsgd.Network([3, 4, 4, 2], "relu", "squared_error", dtype="float64", seed=0)
    net.biases[0][:] = -100
    found = fastsgd.check_gradient(net, np.ones((2, 3)), np.ones((2, 2)))
    assert found.left_out == 4                       # the biases of the second layer, which receives zeros
    assert found < 1e-6


@pytest.mark.parametrize(("loss", "y"), [("absolute_error", 1.0), ("quantile", 1.0), ("epsilon_insensitive", 1.1),
                                         ("hinge", 1.0)])
def test_costs_all_at_a_kink_are_no_check(loss, y):
    net = fastsgd.Network([2, 1], loss=loss, dtype="float64", seed=0)
    net.params[:] = [1, 0, 0]
    X = np.array([[1.0, 1], [1, 2]])                 # both predicted 1, where these costs bend
    with pytest.raises(fastsgd.GradientError, match="all 3 coordinates lie at a kink of the cost"):
        fastsgd.check_gradient(net, X, [y, y], gradient=np.ones(3))


@pytest.mark.parametrize(("loss", "y"), [("huber", [[2.0], [0.5]]), ("squared_hinge", [[1], [-1]]),
                                         ("modified_huber", [[1], [-1]])])
def test_knees_where_only_the_slope_bends_are_no_disagreement(loss, y):
    net = fastsgd.Network([2, 1], loss=loss, dtype="float64", seed=0)
    net.params[:] = [1, 0, 0]                        # the first row is predicted 1, at the knee of these
    assert fastsgd.check_gradient(net, np.array([[1.0, 0], [0.3, 2]]), y).left_out == 2


@pytest.mark.parametrize(("activation", "rows", "left_out"), [("elu", 3, 4), ("relu", 3, 4), ("relu", 1000, 4),
                                                              ("tanh", 1000, 0), ("gelu", 1000, 0)])
def test_one_row_of_zeros_among_others(activation, rows, left_out):
    net = fastsgd.Network([3, 4, 2], activation, dtype="float64", seed=0)
    X = np.random.default_rng(0).standard_normal((rows, 3))
    X[0] = 0
    found = fastsgd.check_gradient(net, X, np.arange(rows) % 2)
    assert (found < 1e-6, found.left_out) == (True, left_out)


def test_rounding_of_a_large_cost_is_no_kink():
    net = fastsgd.Network([3, 4, 1], "tanh", "squared_error", dtype="float64", seed=0)
    X = np.random.default_rng(0).standard_normal((5, 3))
    assert fastsgd.check_gradient(net, X, 1e5 * X[:, 0]).left_out == 0
