"""Are the optimizers the ones of the literature? (PyTorch is the judge.) And do they refuse nonsense?"""
import numpy as np
import pytest

import fastsgd
from fastsgd import optimizers

# ours, torch's class, torch's arguments
PAIRS = [
    (fastsgd.SGD(0.1), "SGD", {"lr": 0.1}),
    (fastsgd.SGD(0.1, momentum=0.9), "SGD", {"lr": 0.1, "momentum": 0.9}),
    (fastsgd.SGD(0.1, momentum=0.9, nesterov=True), "SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    (fastsgd.SGD(0.1, weight_decay=0.05), "SGD", {"lr": 0.1, "weight_decay": 0.05}),
    (fastsgd.SGD(0.1, momentum=0.5, weight_decay=0.05), "SGD", {"lr": 0.1, "momentum": 0.5, "weight_decay": 0.05}),
    (fastsgd.Adam(0.01), "Adam", {"lr": 0.01}),
    (fastsgd.Adam(0.01, beta_1=0.8, beta_2=0.95, epsilon=1e-5, weight_decay=0.1), "Adam",
     {"lr": 0.01, "betas": (0.8, 0.95), "eps": 1e-5, "weight_decay": 0.1}),
    (fastsgd.AdamW(0.01, weight_decay=0.1), "AdamW", {"lr": 0.01, "weight_decay": 0.1}),
    (fastsgd.NAdamW(0.01, weight_decay=0.1), "NAdam", {"lr": 0.01, "weight_decay": 0.1,
                                                       "decoupled_weight_decay": True}),
    (fastsgd.NAdamW(0.01, beta_1=0.8, epsilon=1e-5, weight_decay=0.0, momentum_decay=0.2), "NAdam",
     {"lr": 0.01, "betas": (0.8, 0.999), "eps": 1e-5, "momentum_decay": 0.2}),
    (fastsgd.RMSprop(0.01), "RMSprop", {"lr": 0.01}),
    (fastsgd.RMSprop(0.01, rho=0.9, momentum=0.7, weight_decay=0.1), "RMSprop",
     {"lr": 0.01, "alpha": 0.9, "momentum": 0.7, "weight_decay": 0.1}),
    (fastsgd.Adagrad(0.1), "Adagrad", {"lr": 0.1}),
    (fastsgd.Adagrad(0.1, weight_decay=0.1), "Adagrad", {"lr": 0.1, "weight_decay": 0.1}),
    (fastsgd.SGD(0.1, momentum=0.9, clip_norm=0.3), "SGD", {"lr": 0.1, "momentum": 0.9}),
    (fastsgd.SGD(0.1, clip_value=0.05), "SGD", {"lr": 0.1}),
    (fastsgd.AdamW(0.01, weight_decay=0.1, clip_norm=0.3), "AdamW", {"lr": 0.01, "weight_decay": 0.1}),
]


@pytest.fixture
def torch():
    """On one thread: on several, networks of so few units are mostly waiting. NAdam's product has the default dtype."""
    torch = pytest.importorskip("torch")
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    yield torch
    torch.set_num_threads(threads)
    torch.set_default_dtype(dtype)


@pytest.mark.parametrize(("optimizer", "name", "arguments"), PAIRS, ids=[str(pair[0]) for pair in PAIRS])
def test_a_hundred_steps_follow_pytorch(torch, optimizer, name, arguments):
    rng = np.random.default_rng(0)
    net = fastsgd.Network([6, 8, 5, 3], "tanh", dtype="float64", seed=0)
    twin = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.Tanh(), torch.nn.Linear(8, 5), torch.nn.Tanh(),
                               torch.nn.Linear(5, 3)).double()
    linears = [layer for layer in twin if isinstance(layer, torch.nn.Linear)]
    with torch.no_grad():
        for layer, W, b in zip(linears, net.weights, net.biases, strict=True):
            layer.weight.copy_(torch.from_numpy(W.T.copy()))
            layer.bias.copy_(torch.from_numpy(b.copy()))
    judge = getattr(torch.optim, name)(twin.parameters(), **arguments)
    for _ in range(100):
        X, y = rng.standard_normal((20, 6)), rng.integers(0, 3, 20)
        judge.zero_grad()
        cost = torch.nn.functional.cross_entropy(twin(torch.from_numpy(X)), torch.from_numpy(y))
        cost.backward()
        gradients = [parameter.grad for parameter in twin.parameters()]
        if optimizer.clip_value:
            torch.nn.utils.clip_grad_value_(twin.parameters(), optimizer.clip_value)
        if optimizer.clip_norm:                      # clip_grad_norm_ would add 1e-6 to the norm
            norm = torch.nn.utils.get_total_norm(gradients)
            for gradient in gradients:
                gradient *= min(1, optimizer.clip_norm / norm)
        judge.step()
        assert net.step(X, y, optimizer) == pytest.approx(cost.item(), rel=1e-9)
    for layer, W, b in zip(linears, net.weights, net.biases, strict=True):
        np.testing.assert_allclose(W, layer.weight.detach().numpy().T, rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(b, layer.bias.detach().numpy(), rtol=1e-8, atol=1e-10)


def test_lion_follows_its_paper(digits):
    """Algorithm 2 of Chen et al. 2023, told here again; PyTorch has no Lion."""
    (X, y), _ = digits
    net = fastsgd.Network([64, 12, 10], "tanh", dtype="float64", seed=0)
    w, m = net.params.copy(), np.zeros_like(net.params)
    for step in range(60):
        rows = slice(20 * step, 20 * step + 20)
        g = net.gradient(X[rows], y[rows])
        w -= 1e-3 * (np.sign(0.8 * m + (1 - 0.8) * g) + 0.1 * w)
        m = 0.95 * m + (1 - 0.95) * g
        net.step(X[rows], y[rows], fastsgd.Lion(1e-3, beta_1=0.8, beta_2=0.95, weight_decay=0.1))
        np.testing.assert_allclose(net.params, w, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_lion_in_the_kernel_is_that_of_the_reference_on_any_number_of_threads(digits, dtype):
    (X, y), _ = digits
    trained = []
    for kernel, threads in (("reference", 1), ("fused", 1), ("fused", 2), ("fused", 5)):
        net = fastsgd.Network([64, 20, 10], "tanh", dtype=dtype, seed=0)
        optimizer = fastsgd.Lion(1e-3, weight_decay=0.1, l1=1e-4, l2=1e-3, clip_norm=0.5)
        fastsgd.train(net, X[:400], y[:400], optimizer=optimizer, batch_size=40, epochs=3, seed=0, kernel=kernel,
                      threads=threads)
        trained.append(net.params)
    # In float32 a sign of something near zero may be rounded either way.
    differ = abs(trained[0] - trained[1]) > {"float32": 2e-5, "float64": 1e-10}[dtype]
    assert differ.mean() <= {"float32": 0.01, "float64": 0}[dtype]
    for other in trained[2:]:
        np.testing.assert_array_equal(trained[1], other)


def test_schedule_free_follows_its_paper(digits):
    """Algorithm 1 of Defazio et al. 2024, told here again with y and z alone, as its authors' package keeps them."""
    (X, y), _ = digits
    net = fastsgd.Network([64, 12, 10], "tanh", dtype="float64", seed=0)
    twin, rate = net.copy(), fastsgd.schedules.WarmUp(20, 0.01)
    optimizer = fastsgd.ScheduleFreeAdamW(rate, beta_1=0.8, beta_2=0.95, epsilon=1e-6, weight_decay=0.1)
    z, v, weight_sum = twin.params.copy(), np.zeros_like(twin.params), 0.0
    for step in range(60):
        g = twin.gradient(X[20 * step:20 * step + 20], y[20 * step:20 * step + 20])
        gamma = rate(step) * np.sqrt(1 - 0.95 ** (step + 1))
        weight_sum += gamma**2
        c = gamma**2 / weight_sum
        v = 0.95 * v + 0.05 * g**2
        d = g / (np.sqrt(v) + 1e-6) + 0.1 * twin.params
        twin.params = (1 - c) * twin.params + c * z + gamma * (0.8 * (1 - c) - 1) * d
        z = z - gamma * d
        net.step(X[20 * step:20 * step + 20], y[20 * step:20 * step + 20], optimizer)
        np.testing.assert_allclose(net.params, twin.params, rtol=0, atol=1e-12)
    x = twin.params + (1 - 1 / 0.8) * (z - twin.params)
    trained = fastsgd.Network([64, 12, 10], "tanh", dtype="float64", seed=0)
    history = fastsgd.train(trained, X[:1200], y[:1200], optimizer=optimizer, batch_size=20, epochs=1, shuffle=False,
                            validation=(X, y))
    np.testing.assert_allclose(trained.params, x, rtol=0, atol=1e-12)
    assert history.validation_cost == [trained.cost(X, y)]


def test_steps_without_a_rate_leave_schedule_free_where_it_is(digits):
    (X, y), _ = digits
    net = fastsgd.Network([64, 10], seed=0)
    before = net.params.copy()
    for kernel in ("fused", "reference"):
        fastsgd.train(net, X, y, optimizer=fastsgd.ScheduleFreeAdamW(0.0), epochs=1, kernel=kernel)
        np.testing.assert_array_equal(net.params, before)


def test_penalties_are_the_derivatives_they_claim_to_be():
    """One step on a flat cost: weights move by the penalties alone, biases by weight decay alone."""
    net = fastsgd.Network([2, 2], loss="squared_error", dtype="float64", seed=1)
    net.biases[0][:] = [0.5, -0.5]
    W, b = net.weights[0].copy(), net.biases[0].copy()
    X = np.zeros((4, 2))
    y = np.tile(b, (4, 1))                           # exactly what the network says: no gradient
    net.step(X, y, fastsgd.SGD(0.1, l1=0.2, l2=0.3, weight_decay=0.4))
    np.testing.assert_allclose(net.weights[0], W - 0.1 * (0.2 * np.sign(W) + 0.3 * W + 0.4 * W), rtol=1e-12)
    np.testing.assert_allclose(net.biases[0], b - 0.1 * 0.4 * b, rtol=1e-12)


def test_step_remembers_momentum_for_an_equal_optimizer_and_forgets_it_for_another(digits):
    (X, y), _ = digits
    nets = [fastsgd.Network([64, 10], seed=0, dtype="float64") for _ in range(3)]
    for net in nets:
        net.step(X, y, fastsgd.SGD(0.1, momentum=0.9))
    nets[0].step(X, y, fastsgd.SGD(0.1, momentum=0.9))
    nets[1].step(X, y, fastsgd.SGD(0.1, momentum=0.8))
    nets[2].step(X, y, fastsgd.SGD(0.1))
    assert (nets[0].params != nets[2].params).any()
    np.testing.assert_array_equal(nets[1].params, nets[2].params)     # a first step has no momentum yet


def test_a_function_of_the_step_is_a_schedule(digits):
    (X, y), _ = digits
    by_schedule, by_hand = (fastsgd.Network([64, 10], seed=0, dtype="float64") for _ in range(2))
    seen = []

    def schedule(step):
        seen.append(step)
        return 0.1 / (1 + step)

    history = fastsgd.train(by_schedule, X[:250], y[:250], optimizer=fastsgd.SGD(schedule), epochs=2, seed=5)
    assert seen == [0, 1, 2, 3, 4, 5]
    assert history.learning_rate == [0.1 / 3, 0.1 / 6]
    rng = np.random.default_rng(5)
    step = 0
    for _ in range(2):
        order = rng.permutation(250)
        for first in (0, 100, 200):
            rows = order[first:first + 100]
            by_hand.step(X[rows], y[rows], fastsgd.SGD(schedule(step)))
            step += 1
    np.testing.assert_allclose(by_schedule.params, by_hand.params, rtol=1e-12)


@pytest.mark.parametrize(("make", "message"), [
    (lambda: fastsgd.SGD(-0.1), "learning_rate must be at least 0 and finite, got -0.1"),
    (lambda: fastsgd.SGD(float("nan")), "learning_rate must be at least 0"),
    (lambda: fastsgd.Adam(float("inf")), "learning_rate must be at least 0"),
    (lambda: fastsgd.SGD(0.1, momentum=1.0), "momentum must be at least 0 and below 1, got 1.0"),
    (lambda: fastsgd.SGD(0.1, momentum=-0.1), "momentum must be"),
    (lambda: fastsgd.SGD(0.1, nesterov=True), "nesterov=True needs a momentum"),
    (lambda: fastsgd.Adam(beta_2=1.5), "beta_2 must be"),
    (lambda: fastsgd.AdamW(weight_decay=-1), "weight_decay must be"),
    (lambda: fastsgd.RMSprop(rho=1), "rho must be"),
    (lambda: fastsgd.Adagrad(epsilon=-1e-9), "epsilon must be"),
    (lambda: fastsgd.SGD(clip_norm=0), "clip_norm must be above 0 and finite, got 0"),
    (lambda: fastsgd.SGD(max_norm=float("inf")), "max_norm must be above 0 and finite, got inf"),
    (lambda: fastsgd.SGD(average=1.1), "average must be 'polyak' or a number above 0 and below 1, got 1.1"),
    (lambda: fastsgd.SGD(average="mean"), "average must be 'polyak' or a number above 0 and below 1, got 'mean'"),
    (lambda: fastsgd.SGD(average_from=-1), "average_from must be at least 0"),
    (lambda: fastsgd.NAdamW(momentum_decay=-1), "momentum_decay must be at least 0 and finite, got -1"),
    (lambda: fastsgd.Muon(scale="adam"), "scale must be 'rms' or 'original', got 'adam'"),
    (lambda: fastsgd.Muon(momentum=1), "momentum must be at least 0 and below 1, got 1"),
    (lambda: fastsgd.ScheduleFreeAdamW(average=0.9), "average must be None, got 0.9: ScheduleFreeAdamW has its own"),
    (lambda: fastsgd.ScheduleFreeAdamW(max_norm=2), "max_norm must be None, got 2.0: ScheduleFreeAdamW makes"),
    (lambda: fastsgd.Adam(clip_norm=1, clip_value=1), "clip_norm=1 and clip_value=1 exclude each other"),
])
def test_values_out_of_range(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("make", [lambda: fastsgd.SGD("0.1"), lambda: fastsgd.SGD(True), lambda: fastsgd.SGD(None),
                                  lambda: fastsgd.SGD(0.1, momentum=[0.9]), lambda: fastsgd.SGD(0.1, nesterov=1)])
def test_values_of_a_wrong_kind(make):
    with pytest.raises(TypeError, match="must be"):
        make()


def test_only_the_learning_rate_is_positional():
    for make in (fastsgd.SGD, fastsgd.Adam, fastsgd.AdamW, fastsgd.NAdamW, fastsgd.ScheduleFreeAdamW, fastsgd.RMSprop,
                 fastsgd.Adagrad, fastsgd.Lion, fastsgd.Muon):
        assert make(0.25).learning_rate == 0.25
        with pytest.raises(TypeError, match="positional argument"):
            make(0.1, 0.9)
    with pytest.raises(TypeError, match="such as SGD, Adam"):
        optimizers.Optimizer(0.1)


@pytest.mark.parametrize("rate", [lambda step: -1, lambda step: float("nan"), lambda step: [0.1, 0.2]])
def test_schedules_that_return_nonsense(digits, rate):
    (X, y), _ = digits
    net = fastsgd.Network([64, 10], seed=0)
    before = net.params.copy()
    with pytest.raises(ValueError, match=r"learning_rate\(step\) must return"):
        fastsgd.train(net, X, y, optimizer=fastsgd.SGD(rate), epochs=1)
    assert (net.params == before).all()


def test_parameters_are_read_and_changed_by_name():
    schedule = fastsgd.schedules.WarmUp(10, fastsgd.schedules.Cosine(0.1))
    optimizer = fastsgd.SGD(schedule, momentum=0.9)
    params = optimizer.get_params()
    assert (params["momentum"], params["learning_rate"], params["learning_rate__then__rate"]) == (0.9, schedule, 0.1)
    assert "learning_rate__steps" not in optimizer.get_params(deep=False)
    changed = optimizer.set_params(momentum=0.5, learning_rate__steps=3, learning_rate__then__rate=0.2)
    assert changed == fastsgd.SGD(fastsgd.schedules.WarmUp(3, fastsgd.schedules.Cosine(0.2)), momentum=0.5)
    assert optimizer == fastsgd.SGD(schedule, momentum=0.9)                    # it is frozen
    changed = optimizer.set_params(learning_rate=fastsgd.schedules.StepDecay(1.0, 5), learning_rate__factor=0.5)
    assert changed.learning_rate == fastsgd.schedules.StepDecay(1.0, 5, 0.5)
    for bad, message in (({"lr": 1}, "SGD has no parameter 'lr'; it has learning_rate, weight_decay, "),
                         ({"learning_rate__rate": 1}, "WarmUp has no parameter 'rate'; it has steps, then"),
                         ({"momentum__x": 1}, "SGD: momentum is 0.9, which has no parameter 'x'"),
                         ({"momentum": 2}, "momentum must be at least 0 and below 1, got 2")):
        with pytest.raises(ValueError, match=message):
            optimizer.set_params(**bad)
