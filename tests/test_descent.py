"""Are the figures of fastsgd.descent right, against brute force over the gradients of single rows?"""
import importlib.util
import math
import re
import time
import types

import numpy as np
import pytest
from cases import ACTIVATIONS, LOSSES, TOLERANCE, agree, make_net, make_targets

import fastsgd
from fastsgd import descent
from fastsgd.descent.descend import Problem, Watch
from fastsgd.descent.noise import Noise
from fastsgd.engine import _kernel, reference
from fastsgd.network import checked

MODULES = [_kernel, reference]


def gradients_of_rows(net, X, y):
    """(rows, P), one after the other, by the reference."""
    out = np.empty((len(X), net.params.size), net.dtype)
    for i in range(len(X)):
        reference.gradient(net.architecture, net.params, X[i:i + 1], y[i:i + 1], out[i])
    return out.astype(float)


def parts_of(net):
    ends = np.cumsum([W.size + b.size for W, b in zip(net.weights, net.biases, strict=True)])
    return [slice(None), *(slice(*pair) for pair in zip([0, *ends[:-1]], ends, strict=True))]


def brute_force(gradients):
    """Mean squared length of the true gradient without bias, and the trace of the covariance."""
    rows = len(gradients)
    products = gradients @ gradients.T
    others = (products.sum() - np.trace(products)) / (rows * (rows - 1))
    return others, gradients.var(axis=0, ddof=1).sum()


def case(loss, output, rng, sizes=(5, 7, 4, 3), activation="tanh", dtype="float64", rows=23):
    net = make_net(list(sizes), activation, loss, output, dtype, rng)
    X, y = rng.standard_normal((rows, sizes[0])), make_targets(loss, output, rows, sizes[-1], rng)
    return (net, *checked.check(net, X, y))


# ---- the noise ----

@pytest.mark.parametrize(("loss", "output"), LOSSES)
def test_noise_agrees_with_brute_force(loss, output):
    rng = np.random.default_rng(LOSSES.index((loss, output)))
    net, X, y = case(loss, output, rng)
    gradients = gradients_of_rows(net, X, y)
    true = gradients.mean(axis=0)
    assert np.abs(true).max() > 0
    found = descent.gradient_noise(net, X, y, batch_size=6, samples=12, seed=3)
    alone = descent.row_noise(net, X, y)
    agree("kernel", alone.kernel, gradients @ gradients.T, 1e-10)
    agree("true gradient", found.true_gradient, true, 1e-10)

    order_rng, batches = np.random.default_rng(3), []
    while len(batches) < 12:
        order = order_rng.permutation(len(X))
        batches += [order[i:i + 6] for i in range(0, 18, 6)]
    for part, layer, estimate in zip(parts_of(net), (found, *found.layers), (alone, *alone.layers), strict=True):
        square, variance = brute_force(gradients[:, part])
        for one in (layer, estimate):
            agree("gradient square", one.gradient_square, square, 1e-6)
            agree("variance", one.variance, variance, 1e-6)
            expected = variance / square if square > 0 else math.inf
            assert one.noise_scale == pytest.approx(expected, rel=1e-6)
        of_batches = np.array([gradients[batch][:, part].mean(axis=0) for batch in batches])
        norms, length = np.linalg.norm(of_batches, axis=1), np.linalg.norm(true[part])
        agree("cosines", layer.cosines, of_batches @ true[part] / (norms * length), 1e-6)
        agree("norm ratios", layer.norm_ratios, norms / length, 1e-6)
        agree("distances", layer.distances, ((of_batches - true[part]) ** 2).sum(axis=1), 1e-6)


@pytest.mark.parametrize("kind", ["sparse", "bytes", "scaled", "float32", "no hidden layer"])
def test_noise_of_every_kind_of_rows(kind):
    from scipy.sparse import csr_matrix
    rng = np.random.default_rng(5)
    dtype = "float32" if kind == "float32" else "float64"
    net = make_net([6, 3] if kind == "no hidden layer" else [6, 8, 3], "relu", "cross_entropy", None, dtype, rng)
    X, y = rng.integers(0, 200, (40, 6)) * (rng.random((40, 6)) < 0.5), rng.integers(0, 3, 40)
    dense = X / 255
    if kind == "bytes":
        net.input_scale, given = 1 / 255, X.astype(np.uint8)
    elif kind == "scaled":
        net.input_scale, net.input_offset, given = 1 / 255, 0.1, X.astype(dtype)
        dense = dense + 0.1
    else:
        given = csr_matrix(dense) if kind == "sparse" else dense.astype(dtype)
    plain = net.copy()
    plain.input_scale, plain.input_offset = 1.0, 0.0
    gradients = gradients_of_rows(plain, *checked.check(plain, dense, y))
    square, variance = brute_force(gradients)
    tolerance = 1e-4 if dtype == "float32" else 1e-9
    for found in (descent.gradient_noise(net, given, y, batch_size=10, samples=3, seed=0),
                      descent.row_noise(net, given, y)):
        agree("gradient square", found.gradient_square, square, tolerance)
        agree("variance", found.variance, variance, tolerance)


def test_the_mean_of_mini_batch_gradients_tends_to_the_true_one():
    """The distance of the mean of n batches falls as 1 / sqrt(n): a hundred times as many, a tenth."""
    rng = np.random.default_rng(6)
    net, X, y = case("cross_entropy", None, rng, rows=200)
    true = net.gradient(X, y)
    distances = {}
    for batches in (4, 400):
        trials = []
        for _ in range(40):
            rows = rng.integers(0, 200, (batches, 5))
            trials.append(((net.gradient(X[rows.ravel()], y[rows.ravel()]) - true) ** 2).sum())
        distances[batches] = math.sqrt(np.mean(trials))
    assert distances[4] / distances[400] == pytest.approx(10, rel=0.25)
    expected = math.sqrt(descent.gradient_noise(net, X, y, batch_size=5, seed=0).variance * (199 / 200) / (4 * 5))
    assert distances[4] == pytest.approx(expected, rel=0.25)


def test_estimates_of_mini_batches_are_unbiased():
    rng = np.random.default_rng(7)
    net, X, y = case("cross_entropy", None, rng, rows=300)
    whole = descent.gradient_noise(net, X, y, samples=1, seed=0)
    parts = [descent.row_noise(net, X[rows], y[rows]) for rows in
             (rng.choice(300, 20, replace=False) for _ in range(1500))]
    for name in ("gradient_square", "variance"):
        values = [getattr(part, name) for part in parts]
        error = np.std(values) / math.sqrt(len(values))
        assert abs(np.mean(values) - getattr(whole, name)) < 4 * error
    assert np.mean(descent.gradient_noise(net, X, y, batch_size=30, samples=400, seed=0).distances) == pytest.approx(
        descent.gradient_noise(net, X, y, batch_size=30, samples=1, seed=0).batch_variance, rel=0.1)


def test_noise_figures_at_their_limits():
    assert Noise(0.0, 1.0).noise_scale == math.inf
    assert Noise(-1e-9, 1.0).noise_scale == math.inf
    assert math.isnan(Noise(0.0, 0.0).noise_scale)
    assert Noise(2.0, 6.0).noise_scale == 3
    assert Noise(2.0, 6.0).expected_cosine(9) == pytest.approx(math.sqrt(0.75))
    net = fastsgd.Network([2, 3], seed=0)
    same = np.ones((6, 2))
    found = descent.gradient_noise(net, same, [0] * 6, batch_size=3, samples=2, seed=0)
    assert found.noise_scale == pytest.approx(0, abs=1e-5)
    assert "3 among 6 rows" in str(found)


def test_the_log_follows_a_run_and_keeps_to_its_share(stopped_clock, monkeypatch):
    """An epoch takes 0.1 s and a measurement 0.01 s, but one of them ten times as long."""
    clock, shares, row_noise = stopped_clock(descent.noise), [], descent.noise._row_noise

    def measure(*args):
        clock.now += 0.1 if len(shares) == 4 else 0.01
        shares.append((log.seconds + 0.01) / clock.now)
        return row_noise(*args)

    def an_epoch(run):
        clock.now += 0.1

    monkeypatch.setattr(descent.noise, "_row_noise", measure)
    (X, y), _ = fastsgd.datasets.digits()
    log = descent.NoiseLog(X, y, share=0.03, seed=0)
    net, alone = (fastsgd.Network([64, 32, 10], seed=0) for _ in range(2))
    history = fastsgd.train(net, X, y, epochs=200, seed=0, callbacks=[an_epoch, log], threads=1)
    fastsgd.train(alone, X, y, epochs=200, seed=0, threads=1)
    assert (net.params == alone.params).all()
    assert len(shares) == len(log.steps) == len(log.noise_scale) == len(log.variance) == len(log.gradient_square) > 9
    assert log.steps == sorted(log.steps)
    assert log.steps[-1] <= history.steps
    assert max(shares[1:]) <= 0.03                          # since it knows how long one takes
    assert log.seconds == pytest.approx(0.01 * (len(shares) + 9))
    assert 0 < log.variance[-1] < log.variance[0]                # little is left to learn
    for scale, square, variance in zip(log.noise_scale, log.gradient_square, log.variance, strict=True):
        assert scale == (variance / square if square > 0 else math.inf)


# ---- the kernel's part ----

@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(("loss", "output"), LOSSES)
def test_deltas_and_costs_on_a_plane_agree_with_the_reference(loss, output, activation, dtype):
    rng = np.random.default_rng([LOSSES.index((loss, output)), ACTIVATIONS.index(activation)])
    for sizes, rows, threads in (([5, 7, 3], 23, 1), ([6, 41, 9, 2], 300, 3), ([2, 3], 1, 2)):
        net, X, y = case(loss, output, rng, sizes, activation, dtype, rows)
        found = []
        for module in MODULES:
            out = np.empty((rows, sum(net.sizes[1:-1]) + sum(net.sizes[1:])), dtype)
            cost = module.deltas(net.architecture, net.params, X, y, out, threads=threads)
            Z, *directions = np.random.default_rng(1).standard_normal((3, rows, sizes[0])).astype(dtype)
            on_plane = module.cost_on_plane(net.architecture, net.params, Z, directions, (0.3, -0.7), activation, y,
                                            threads=threads)
            found.append((out, cost, on_plane))
        for name, value, expected in zip(("deltas", "cost", "cost on a plane"), *found, strict=True):
            agree(f"{name} of {net}", value, expected, TOLERANCE[dtype])


def test_the_kernel_refuses_planes_that_do_not_fit():
    net, X, y = case("cross_entropy", None, np.random.default_rng(0), (4, 3))
    for Z, along, message in ((X[:, ::-1], (X, X), "neighbours"), (X, (X[1:], X), r"along\[0\] must hold"),
                              (X, (X, X.astype("float32")), "Buffer dtype"),
                              (X.astype(np.uint8), (X, X), "contiguous")):
        with pytest.raises(ValueError, match=message):
            _kernel.cost_on_plane(net.architecture, net.params, Z, along, (0, 0), "relu", y)
    with pytest.raises(ValueError, match="out must hold"):
        _kernel.deltas(net.architecture, net.params, X, y, np.empty((len(X), 2)))


# ---- the race and the batch size ----

def test_a_race_is_run_from_the_same_start_and_told(cpu_time):
    (X, y), _ = fastsgd.datasets.digits()
    net = fastsgd.Network([64, 32, 10], seed=0)
    before = net.params.copy()
    race = descent.race(net, X, y, (20, 5000, None), seconds=0.1, seed=0)
    assert (net.params == before).all()
    assert [runner.batch_size for runner in race.runners] == [20, None]
    small, full = race.runners
    assert race.full is full
    for runner in race.runners:
        assert runner.cost[0] == pytest.approx(net.cost(X, y))
        assert runner.seconds[0] == runner.steps[0] == runner.examples[0] == 0
        assert (np.diff(runner.seconds) > 0).all()
        assert (np.diff(runner.steps) > 0).all()
        size, at = runner.batch_size or len(X), np.random.default_rng(0).integers(len(runner.steps))
        batches = [min(size, len(X) - first) for first in range(0, len(X), size)]
        step = int(runner.steps[at])
        assert runner.examples[at] == step // len(batches) * len(X) + sum(batches[:step % len(batches)])
        assert runner.tried[runner.learning_rate] == min(runner.tried.values())
        assert 0.05 < runner.seconds[-1] < 1             # to the end of a step, which a busy machine may draw out
        assert not runner.diverged
    assert small.cost[-1] < full.cost[-1] < full.cost[0]
    assert race.sooner(small) > 1
    assert race.sooner(full) == full.seconds[-1] / full.seconds[(full.cost <= full.cost[-1]).argmax()] >= 1
    assert "full gradient" in str(race)
    assert [entry["batch_size"] for entry in race.table()] == [20, None]


def test_learning_rates_may_be_given_and_a_diverging_runner_is_told_of(cpu_time):
    (X, y), _ = fastsgd.datasets.digits()
    net = fastsgd.Network([64, 10], loss="squared_error", seed=0)
    race = descent.race(net, X, np.eye(10)[y], (10, None), seconds=0.05, learning_rates=(1e6, 0.01), seed=0)
    assert race.runners[0].diverged
    assert not race.runners[0].tried
    assert race.runners[1].learning_rate == 0.01
    only = descent.race(net, X, np.eye(10)[y], (10,), seconds=0.02, learning_rates=(0.01,), seed=0)
    assert only.full is None
    assert math.isnan(only.sooner(only.runners[0]))
    assert math.isnan(only.goal)
    assert "reaches" not in str(only)
    assert "diverged" in str(race).splitlines()[1]
    assert "diverged" in repr(race.runners[0])


def test_time_to_a_cost_lies_between_measurements():
    watch = Watch(None, None, 1.0, None, 0.0, True)
    watch.seconds, watch.cost = [1.0, 3.0], [1.0, 0.01]
    assert watch.crossing(0.1, 10.0) == pytest.approx(2.0)
    assert watch.crossing(1.0, 10.0) == pytest.approx(1.0)
    assert watch.crossing(0.001, 10.0) == math.inf


def test_the_suggested_batch_size_is_the_best_of_those_tried(cpu_time):
    (X, y), _ = fastsgd.datasets.digits()
    net = fastsgd.Network([64, 32, 10], seed=0)
    before = net.params.copy()
    found = descent.suggest_batch_size(net, X, y, fastsgd.SGD(0.1), batch_sizes=(10, 50, 1400), seconds=0.3, seed=0)
    assert (net.params == before).all()
    tried = [each for each in found.candidates if each.seconds is not None]
    assert found.reached
    assert found.batch_size == min(tried, key=lambda each: each.seconds).batch_size != 1400
    assert found.target == pytest.approx(0.1 * net.cost(X, y), rel=1e-5)
    for each in found.candidates:
        assert each.steps == pytest.approx(1 + found.noise_scale / each.batch_size)
    assert sum(entry["chosen"] for entry in found.table()) == 1
    assert "  <" in str(found)
    nowhere = descent.suggest_batch_size(net, X, y, fastsgd.SGD(0.1), target=-1.0, batch_sizes=(20, 1400), seconds=0.1,
                                          threads=1, seed=0)
    assert not nowhere.reached
    assert nowhere.batch_size == 20


# ---- paths and surfaces ----

def test_a_trajectory_goes_where_training_goes():
    (X, y), _ = fastsgd.datasets.digits()
    net = fastsgd.Network([64, 12, 10], seed=0, dtype="float64")
    both = descent.trajectory(net, X, y, (100, None), steps=20, optimizer=fastsgd.SGD(0.2), snapshots=6, seed=4)
    small, full = both.paths
    assert small.steps.tolist() == full.steps.tolist() == [0, 4, 8, 12, 16, 20]
    for path, batch_size in ((small, 100), (full, None)):
        rows = None if batch_size else 20
        trained = net.copy()
        fastsgd.train(trained, X[:2000], y, optimizer=fastsgd.SGD(0.2), batch_size=batch_size, epochs=rows or 1, seed=4,
                      shuffle=batch_size is not None)
        at = 14 if batch_size else 20                            # an epoch has 14 whole batches
        if at in path.steps:
            np.testing.assert_allclose(path.params[path.steps.tolist().index(at)], trained.params, rtol=1e-10)
        assert path.cost[0] == pytest.approx(net.cost(X, y))
        check = net.copy()
        check.params = path.params[-1]
        assert path.cost[-1] == pytest.approx(check.cost(X, y))


def test_the_plane_is_that_of_a_singular_value_decomposition():
    (X, y), _ = fastsgd.datasets.digits()
    net = fastsgd.Network([64, 6, 10], seed=0, dtype="float64")
    both = descent.trajectory(net, X, y, (5, None), steps=30, seed=0)
    points = np.concatenate([path.params for path in both.paths])
    _, values, directions = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
    for own, theirs in zip(both.plane.directions, directions, strict=False):
        assert abs(own @ theirs) == pytest.approx(1, abs=1e-9)
    np.testing.assert_allclose(both.explained, (values**2 / (values**2).sum())[:2])
    coordinates = both.coordinates(both.paths[0])
    np.testing.assert_allclose(coordinates, (both.paths[0].params - points.mean(axis=0)) @ both.plane.directions.T,
                               atol=1e-12)
    x_from, x_to, y_from, y_to = both.extent()
    assert (coordinates > [x_from, y_from]).all()
    assert (coordinates < [x_to, y_to]).all()


@pytest.mark.parametrize("seconds", [None, 0.004])
def test_descents_of_equal_time_make_as_many_steps_as_fit(seconds, cpu_time):
    (X, y), _ = fastsgd.datasets.digits()
    net = fastsgd.Network([64, 12, 10], seed=0)
    both = descent.trajectory(net, X, y, (10, None), seconds=seconds, optimizer=fastsgd.SGD(0.3), snapshots=20, seed=0)
    quick, careful = both.paths
    assert both.equal == "seconds"
    assert careful.steps[-1] == 30 if seconds is None else careful.steps[-1] >= 1
    assert quick.steps[-1] > 3 * careful.steps[-1]
    assert quick.cost[-1] < careful.cost[-1]
    for path in both.paths:
        pace = path.seconds[-1] / path.steps[-1]
        np.testing.assert_allclose(path.seconds, path.steps * pace)
        assert len(path.steps) == len(path.cost) == len(path.params) <= 20
        assert abs(path.seconds[-1] - (seconds or careful.seconds[-1])) <= 0.51 * pace
    same = descent.trajectory(net, X, y, (10, None), steps=40, optimizer=fastsgd.SGD(0.3), snapshots=5, seed=0)
    assert same.equal == "steps"
    assert [path.steps.tolist() for path in same.paths] == [[0, 10, 20, 30, 40]] * 2


def test_a_time_too_short_for_a_step_has_one():
    (X, y), _ = fastsgd.datasets.digits()
    paths = descent.trajectory(fastsgd.Network([64, 10], seed=0), X, y, (10, None), seconds=1e-9, seed=0).paths
    assert [path.steps.tolist() for path in paths] == [[0, 1], [0, 1]]


def test_results_are_shown_as_short_tables_and_lines():
    (X, y), _ = fastsgd.datasets.digits()
    net = fastsgd.Network([64, 8, 10], seed=0)
    paths = descent.trajectory(net, X, y, (10, None), steps=200, seed=0)
    noise = descent.gradient_noise(net, X, y, seed=0)
    race = descent.race(net, X, y, (10, None), seconds=0.01, seed=0)
    suggestion = descent.suggest_batch_size(net, X, y, batch_sizes=(20, 100), seconds=0.02, seed=0)
    tables = (noise, descent.row_noise(net, X[:90], y[:90]), race, suggestion, paths)
    lines = (race.runners[0], noise.layers[0], paths.paths[0], paths.plane, suggestion.candidates[0],
             descent.cost_surface(net, X[:90], y[:90], paths, resolution=5))
    for result in tables:
        assert repr(result) == str(result)
        assert 3 <= len(repr(result).splitlines()) <= 15
        assert max(map(len, repr(result).splitlines())) <= 110
        html = result._repr_html_()
        assert html.count("<tr>") == html.count("</tr>") == len(repr(result).splitlines()) - (
            result._shown().about != "")
        assert "script" not in html
        assert not re.search(r"(?<!&)#", html)          # the page's own colours
    for result in lines:
        assert "\n" not in repr(result)
        assert len(repr(result)) < 200
        assert "array" not in repr(result)


def test_tables_escape_what_is_written_in_them():
    from fastsgd.display.shown import Table
    table = Table("1 < 2", ["<b>", "n"], [["a & b", "1,000"], ["c", "2"]], marked=1)
    assert table.text().splitlines() == ["1 < 2", "<b>        n", "a & b  1,000", "c          2  <"]
    html = table.html()
    for escaped in ("1 &lt; 2", "&lt;b&gt;", "a &amp; b"):
        assert escaped in html
    assert html.count("font-weight: bold") == 2


@pytest.mark.parametrize("sizes", [(6, 3), (6, 9, 3), (6, 9, 5, 3)])
@pytest.mark.parametrize(("loss", "output"), LOSSES)
def test_a_surface_is_the_cost_of_its_points(loss, output, sizes):
    rng = np.random.default_rng(8)
    net, X, y = case(loss, output, rng, sizes, "gelu", rows=150)
    net.input_scale, net.input_offset = 0.7, 0.2
    plane = descent.random_plane(net, seed=1)
    surface = descent.cost_surface(net, X, y, plane, resolution=(7, 5), extent=(-0.8, 1.0, -0.5, 0.5))
    assert surface.cost.shape == (5, 7)
    direct = net.copy()
    for _ in range(20):
        i, j = rng.integers(7), rng.integers(5)
        direct.params = plane.at(surface.x[i], surface.y[j])
        assert surface.cost[j, i] == pytest.approx(direct.cost(X, y), rel=1e-10)


def test_random_planes_have_units_as_long_as_the_network():
    net = fastsgd.Network([5, 4, 3], seed=0)
    net.biases[0][:] = 1
    plane = descent.random_plane(net, seed=0)
    for direction in plane.directions:
        twin = net.copy()
        twin.params = direction
        for W, own, b in zip(twin.weights, net.weights, twin.biases, strict=True):
            np.testing.assert_allclose(np.linalg.norm(W, axis=0), np.linalg.norm(own, axis=0), rtol=1e-6)
            assert (b == 0).all()
    assert abs(plane.directions[0] @ plane.directions[1]) < 0.9 * (plane.directions[0] ** 2).sum()
    assert (plane.directions == descent.random_plane(net, seed=0).directions).all()


def test_a_surface_of_mnist_is_quick_and_right(mnist):
    (X, y), _ = mnist
    X, y = X[:10_000], y[:10_000]
    net = fastsgd.Network([784, 128, 10], seed=0)
    fastsgd.train(net, X, y, epochs=1, seed=0)
    begin = time.process_time()
    surface = descent.cost_surface(net, X, y)
    seconds = time.process_time() - begin
    direct, rng = net.copy(), np.random.default_rng(0)
    for i, j in rng.integers(0, 41, (20, 2)):
        direct.params = surface.plane.at(surface.x[i], surface.y[j])
        assert surface.cost[j, i] == pytest.approx(direct.cost(X, y), rel=1e-5)
    assert seconds < 20                                             # of all threads; 6 on an idle machine


@pytest.fixture
def steps_of(stopped_clock, monkeypatch):
    """``steps_of(seconds)``: how long training takes that is timed for a suggestion, by the ``batch_size`` and how many
    times it has been trained with before."""
    def take(seconds):
        clock, calls = stopped_clock(descent.batch_size), []

        def train_rows(settings, X, y, *, batch_size, seed):
            steps = -(-len(X) // batch_size) * settings.epochs
            taken = steps * seconds(batch_size, calls.count(batch_size))
            calls.append(batch_size)
            clock.now += taken
            return types.SimpleNamespace(seconds=[taken], steps=steps)
        monkeypatch.setattr(descent.batch_size, "train_rows", train_rows)
    return take


def timed(sizes, seconds):
    problem = Problem(fastsgd.Network([4, 2], seed=0), np.zeros((200, 4)), np.zeros((200, 2)), threads=1)
    return [(each.batch_size, each.step) for each in descent.batch_size._timed(problem, fastsgd.SGD(), sizes, seconds)]


def test_a_hiccup_does_not_count_as_the_time_of_a_step(steps_of):
    steps_of(lambda batch_size, before: 1e-5 * batch_size if before else 0.04)     # longer than a size's share
    assert timed([1, 10, 100], 0.09) == [(1, pytest.approx(1e-5)), (10, pytest.approx(1e-4)),
                                         (100, pytest.approx(1e-3))]


def test_a_size_far_too_slow_is_measured_once_and_ends_the_series(steps_of):
    calls = []
    steps_of(lambda batch_size, before: calls.append(before) or 0.05)
    assert timed([1, 10], 0.02) == [(1, 0.05)]
    assert calls == [0]


def test_an_infinite_noise_scale_is_told_in_words():
    rng = np.random.default_rng(1)
    X, y = rng.standard_normal((6, 1)), np.array([0.1, -0.2, 0.3, 0.1, -0.3, 0.1])
    net = fastsgd.Network([1, 1], loss="squared_error", dtype="float64", seed=0)
    net.params[:] = 0
    found = descent.suggest_batch_size(net, X, y, fastsgd.SGD(0.01), seconds=0.05, seed=0)
    assert found.noise_scale == math.inf
    assert "; noise scale infinite (no gradient beyond the noise)\n" in str(found)
    assert "inf " not in str(found)
    assert [row.split()[2] for row in str(found).splitlines()[2:]] == ["-"] * len(found.candidates)
    assert min(each.expected for each in found.candidates) == 1
    noise = descent.gradient_noise(net, X, y, 5, seed=0)
    assert "noise scale infinite" in str(noise)
    if importlib.util.find_spec("matplotlib"):
        assert noise.plot().get_title().endswith("noise scale infinite (no gradient beyond the noise)")


# ---- what cannot be used ----

def test_what_cannot_be_used_is_said():
    (X, y), _ = fastsgd.datasets.digits()
    X, y = X[:50], y[:50]
    net = fastsgd.Network([64, 10], seed=0)
    for call, kind, message in (
            (lambda: descent.gradient_noise(net, X, y, seed=0), ValueError, "at most the rows of X, 50, got 100"),
            (lambda: descent.gradient_noise(net, X[:1], y[:1], 1, seed=0), ValueError, "at least 2 rows"),
            (lambda: descent.gradient_noise(net, X, y, 10, samples=0), ValueError, "samples must be at least 1"),
            (lambda: descent.gradient_noise(net, X, y, 2.5, seed=0), TypeError, "batch_size must be a whole number"),
            (lambda: descent.row_noise(net, X[:1], y[:1]), ValueError, "from 2 to 4,096 rows"),
            (lambda: descent.NoiseLog(X, y, rows=1, seed=0), ValueError, "rows must be at least 2"),
            (lambda: descent.NoiseLog(X, y, share=0, seed=0), ValueError, "share must lie above 0"),
            (lambda: descent.NoiseLog(X, y, memory=1, seed=0), ValueError, "memory must be"),
            (lambda: fastsgd.train(net, X, y, callbacks=[descent.NoiseLog(X, y)]), ValueError, "rows must be at most"),
            (lambda: descent.race(net, X, y, (50, 100), seed=0), ValueError, "must have one below the 50 rows"),
            (lambda: descent.race(net, X, y, (0, None), seed=0), ValueError, "batch_size must be at least 1"),
            (lambda: descent.race(net, X, y, seconds=0, seed=0), ValueError, "seconds must be above 0"),
            (lambda: descent.race(net, X, y, (1, None), learning_rates=(1,)), ValueError, "one entry for each of"),
            (lambda: descent.suggest_batch_size(net, X, y, batch_sizes=(), seed=0), ValueError, "must not be empty"),
            (lambda: descent.suggest_batch_size(net, X, y, batch_sizes=(60,)), ValueError, "rows of X, 50, got 60"),
            (lambda: descent.suggest_batch_size(net, X, y, seconds=math.inf, seed=0), ValueError, "seconds must be"),
            (lambda: descent.suggest_batch_size(net, X, y, "sgd", seed=0), TypeError, "optimizer"),
            (lambda: descent.suggest_batch_size(net, X, y, target=10.0), ValueError, "target must be below the cost"),
            (lambda: descent.suggest_batch_size(net, X, y, target=math.nan), ValueError, "target must be below"),
            (lambda: descent.suggest_batch_size(net, X, y, batch_sizes=(None,)), TypeError, "batch_sizes must be"),
            (lambda: descent.race(net, X, y, (1, None), learning_rates=(0.1, -1)), ValueError, "learning_rate must"),
            (lambda: descent.trajectory(net, X, y, optimizer=fastsgd.SGD(0.1, average="polyak"), seed=0), ValueError,
             "not average"),
            (lambda: descent.trajectory(net, X, y, optimizer=fastsgd.ScheduleFreeAdamW(), seed=0), ValueError,
             "not average"),
            (lambda: descent.trajectory(net, X, y, (), seed=0), ValueError, "batch_sizes must not be empty"),
            (lambda: descent.trajectory(net, X, y, (60,), seed=0), ValueError, "at most the rows of X, 50, got 60"),
            (lambda: descent.trajectory(net, X, y, steps=0, seed=0), ValueError, "steps must be at least 1"),
            (lambda: descent.trajectory(net, X, y, seconds=0, seed=0), ValueError, "seconds must be above 0"),
            (lambda: descent.trajectory(net, X, y, steps=5, seconds=1), ValueError, "steps or seconds, not both"),
            (lambda: descent.trajectory(net, X, y, optimizer=(fastsgd.SGD(),)), ValueError, "one for each of the 2"),
            (lambda: descent.trajectory(net, X, y, steps=9, optimizer=fastsgd.SGD(0.0)), ValueError, "did not move"),
            (lambda: descent.trajectory(net, X, y, (None,), steps=1, seed=0), ValueError, "lie on a line"),
            (lambda: descent.cost_surface(net, X, y, resolution=1), ValueError, "resolution must be at least 2"),
            (lambda: descent.cost_surface(net, X, y, extent=(1, 0, 0, 1)), ValueError, "extent must be"),
            (lambda: descent.cost_surface(net, X, y, descent.random_plane(fastsgd.Network([64, 3]))), ValueError,
             "one of the network's 650 parameters")):
        with pytest.raises(kind, match=message):
            call()


def test_a_cost_that_is_not_finite_is_refused_in_one_sentence():
    X, y = np.ones((200, 3), np.float32), np.ones((200, 1), np.float32)
    net = fastsgd.Network([3, 1], loss="squared_error", seed=0)
    net.params[:] = 1e30
    for call in (lambda: descent.gradient_noise(net, X, y, seed=0), lambda: descent.row_noise(net, X, y),
                 lambda: descent.race(net, X, y, seed=0), lambda: descent.suggest_batch_size(net, X, y, seed=0),
                 lambda: descent.trajectory(net, X, y, seed=0), lambda: descent.cost_surface(net, X, y)):
        with pytest.raises(FloatingPointError, match="cost"):
            call()


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_sparse_rows_serve_everywhere(scale):
    """A checked sparse matrix is scaled already, and must not be again."""
    matrices = pytest.importorskip("scipy.sparse")
    (X, y), _ = fastsgd.datasets.digits()
    net = fastsgd.Network([64, 16, 10], seed=0, input_scale=scale)
    sparse = matrices.csr_matrix(X)
    race = descent.race(net, sparse, y, (50, None), seconds=0.02, learning_rates=(0.1, 0.1), seed=0)
    assert race.runners[0].cost[0] == pytest.approx(net.cost(X, y))
    assert race.runners[0].cost[-1] < race.runners[0].cost[0]
    assert descent.suggest_batch_size(net, sparse, y, batch_sizes=(20, 50), seconds=0.05, seed=0).batch_size in (20, 50)
    paths = [descent.trajectory(net, rows, y, (10, None), steps=8, seed=0).paths for rows in (X, sparse)]
    for dense, same in zip(*paths, strict=True):
        np.testing.assert_allclose(same.params, dense.params, rtol=1e-4, atol=1e-6)
    history = fastsgd.train(net.copy(), sparse, y, batch_size="auto", epochs=1)
    assert history.batch_size >= 1


def test_targets_with_a_unit_of_their_own_serve_everywhere():
    """A checked target is scaled already, and must not be again."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 4))
    plain_y = X[:, 0] + 0.1 * rng.standard_normal(300)
    settings = {"loss": "squared_error", "dtype": "float64", "seed": 0}
    plain = fastsgd.Network([4, 6, 1], **settings)
    net, y = fastsgd.Network([4, 6, 1], **settings, output_scale=50.0, output_offset=2000.0), 2000 + 50 * plain_y
    start = plain.cost(X, plain_y)
    assert net.cost(X, y) == pytest.approx(start)
    race = descent.race(net, X, y, (20, None), seconds=0.02, learning_rates=(0.05, 0.05), seed=0)
    assert [runner.cost[0] for runner in race.runners] == pytest.approx([start] * 2)
    assert race.runners[0].cost[-1] < 0.5 * start
    found = descent.suggest_batch_size(net, X, y, fastsgd.SGD(0.05), batch_sizes=(20, 50), seconds=0.03, seed=0)
    assert found.target == pytest.approx(0.1 * start)
    assert min(each.cost for each in found.candidates if each.cost is not None) < 0.5 * start
    seen = []
    for each, targets in ((net, y), (plain, plain_y)):
        paths = descent.trajectory(each, X, targets, (20, None), steps=20, optimizer=fastsgd.SGD(0.05), seed=0)
        assert paths.paths[0].cost[0] == pytest.approx(start)
        seen.append((paths.paths[0].params, descent.cost_surface(each, X, targets, paths, resolution=5).cost,
                     descent.gradient_noise(each, X, targets, 20, seed=0).cosines))
    for scaled, unscaled in zip(*seen, strict=True):
        np.testing.assert_allclose(scaled, unscaled, rtol=1e-7, atol=1e-9)
    targets = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fastsgd.descent.batch_size.row_noise", lambda each, *rows, threads: targets.append(
            each.cost(*rows)) or types.SimpleNamespace(noise_scale=1.0))
        fastsgd.train(net, X, y, batch_size="auto", epochs=1, optimizer=fastsgd.SGD(0.05))
    assert targets[0] <= 1.01 * start


def test_sizes_that_diverge_are_passed_over(cpu_time):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((2000, 20))
    net = fastsgd.Network([20, 1], loss="squared_error", dtype="float64", seed=0)
    y = X @ rng.standard_normal(20)
    found = descent.suggest_batch_size(net, X, y, fastsgd.SGD(0.3), batch_sizes=(1, 200), seconds=0.1, seed=0)
    assert found.batch_size == 200
    with pytest.raises(FloatingPointError, match="diverges with every batch size, from 1000 to 2000; try a smaller"):
        descent.suggest_batch_size(net, X, y, fastsgd.SGD(1e4), batch_sizes=(1000, 2000), seconds=0.1, seed=0)


def test_a_schedule_is_taken_at_its_largest_rate():
    from fastsgd.descent.batch_size import _at_its_largest_rate
    one_cycle = fastsgd.SGD(fastsgd.schedules.OneCycle(0.3), momentum=0.9)
    assert _at_its_largest_rate(one_cycle).learning_rate == pytest.approx(0.3, rel=0.01)
    assert _at_its_largest_rate(fastsgd.Adam(lambda step: 0.1 / (1 + step))) == fastsgd.Adam(0.1)


def test_rows_that_ask_for_nothing():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 3))
    net = fastsgd.Network([3, 1], loss="hinge", dtype="float64", seed=0)
    y = np.where(net.predict(X) > 0, 1, -1)
    net.params *= 20
    noise = descent.gradient_noise(net, X, y, batch_size=2, samples=30, seed=0)
    assert (noise.cosines == 0).any()
    assert np.isfinite(noise.cosines).all()
    net.params *= 1e6
    with pytest.raises(FloatingPointError, match="gradient of all rows is 0"):
        descent.gradient_noise(net, X, y, batch_size=2, seed=0)


def test_a_log_that_is_used_again_begins_again(stopped_clock):
    (X, y), _ = fastsgd.datasets.digits()
    log = descent.NoiseLog(X, y, share=0.5, seed=0)
    for _ in range(2):
        history = fastsgd.train(fastsgd.Network([64, 16, 10], seed=0), X, y, epochs=100, seed=0, callbacks=[log])
        assert log.steps
        assert log.steps[-1] <= history.steps
        assert log.steps == sorted(log.steps)
    stopped_clock(descent.noise)
    short = descent.NoiseLog(X, y, seed=0)
    fastsgd.train(fastsgd.Network([64, 128, 10], seed=0), X, y, epochs=3, seed=0, callbacks=[short])
    assert not short.steps                               # which is over before 3 % of it is a measurement
