"""Do the pictures show what they should, on the axes they are given?"""
import builtins
import dataclasses
import math
import re

import numpy as np
import pytest

import fastsgd
from fastsgd import descent, plots
from fastsgd.cli.main import main
from fastsgd.plots._axes import plain

matplotlib = pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def seen():
    """A trained network and everything that is drawn of it."""
    (X, y), (X_test, y_test) = fastsgd.datasets.digits()
    net = fastsgd.Network([64, 20, 10], seed=0)
    race = descent.race(net, X, y, (20, None), seconds=0.05, seed=0)
    noise = descent.gradient_noise(net, X, y, samples=7, seed=0)
    paths = descent.trajectory(net, X, y, (5, None), steps=40, seed=0)
    surface = descent.cost_surface(net, X[:300], y[:300], paths, resolution=9)
    history = fastsgd.train(net, X, y, epochs=4, seed=0, validation=(X_test, y_test))
    return {"net": net, "X": X_test, "y": y_test, "race": race, "noise": noise, "paths": paths, "surface": surface,
            "history": history}


PLOTS = {
    "history": lambda s, ax: plots.history(s["history"], ax),
    "race": lambda s, ax: plots.race(s["race"], ax),
    "race, examples": lambda s, ax: s["race"].plot(ax, against="examples"),
    "noise": lambda s, ax: s["noise"].plot(ax),
    "weights": lambda s, ax: plots.weights(s["net"], units=6, ax=ax),
    "confusion": lambda s, ax: plots.confusion(s["net"], s["X"], s["y"], ax=ax),
    "descent": lambda s, ax: plots.descent(s["paths"], s["surface"], ax),
    "landscape": lambda s, ax: plots.descent(s["paths"], s["surface"], ax, view="3d"),
    "importances": lambda s, ax: plots.importances(["size", "colour"], [3.0, 0.5], ax),
    "reliability": lambda s, ax: plots.reliability(s["y"], s["net"].predict(s["X"]), ax),
    "predicted": lambda s, ax: plots.predicted(s["y"], s["y"] + 0.5, ax=ax),
}


def text_of(ax):
    legend = ax.get_legend()
    return " ".join([ax.get_title(), ax.get_xlabel(), ax.get_ylabel(), *(t.get_text() for t in ax.texts),
                     *([t.get_text() for t in legend.get_texts()] if legend else [])])


@pytest.mark.parametrize("name", PLOTS)
def test_every_plot_takes_axes_returns_them_and_says_what_they_show(seen, name):
    from matplotlib.figure import Figure
    kind = {"projection": "3d"} if name == "landscape" else {}
    ax = Figure().add_subplot(**kind)
    assert PLOTS[name](seen, ax) is ax
    own = PLOTS[name](seen, None)
    assert own is not ax
    assert own.figure.get_size_inches()[0] * own.figure.dpi == (1000 if name == "confusion" else 800)    # with images
    assert own.get_xlabel()
    assert own.get_ylabel() or name == "weights"
    picture = plots._axes.picture_of(own)
    assert picture.startswith(b"\x89PNG")


def test_the_pictures_show_the_figures(seen):
    race = plots.race(seen["race"])
    lines = {line.get_label(): line for line in race.get_lines()}
    for runner in seen["race"].runners:
        line = next(line for label, line in lines.items() if label.startswith(runner.name))
        whole = np.isfinite(line.get_xdata())                # lines end at NaN where the next measurement is far away
        np.testing.assert_array_equal(line.get_xdata()[whole], runner.seconds[1:])
        np.testing.assert_array_equal(line.get_ydata()[whole], runner.cost[1:])
    assert "times sooner with mini-batches of 20" in race.get_title()
    noise = plots.gradient_noise(seen["noise"])
    dots = [line for line in noise.get_lines() if line.get_marker() == "o"]
    lengths = [np.hypot(line.get_xdata()[0], line.get_ydata()[0]) for line in dots]
    np.testing.assert_allclose(lengths, seen["noise"].norm_ratios)
    assert "7 gradients of 100 rows" in text_of(noise)
    above = plots.descent(seen["paths"], seen["surface"])
    for path in seen["paths"].paths:
        points = seen["paths"].coordinates(path)
        assert any(len(line.get_xdata()) == len(points) and np.allclose(line.get_xydata(), points)
                   for line in above.get_lines())
        assert f"{path.name}: 40 steps, " in text_of(above)
        assert f", cost {plain(path.cost[-1])} at the end" in text_of(above)
    assert "start" in text_of(above)
    confusion = plots.confusion(seen["net"], seen["X"], seen["y"])
    said = seen["net"].predict(seen["X"]).argmax(axis=1)
    wrong = int((said != seen["y"]).sum())
    assert f"{1 - wrong / len(said):.2%}" in confusion.get_title()
    counts = [int(text.get_text()) for text in confusion.texts if text.get_text().isdecimal()]
    assert sum(counts) == len(said)
    bar, *insets = confusion.child_axes
    assert bar.get_ylabel() == "share of the class that is mistaken"
    assert len(insets) == min(9, wrong)
    worst = max(np.flatnonzero(said != seen["y"]), key=lambda row: seen["net"].predict(seen["X"])[row].max())
    assert insets[0].get_title() == f"{seen['y'][worst]} read as {said[worst]}"
    np.testing.assert_array_equal(insets[0].get_images()[0].get_array(), seen["X"][worst].reshape(8, 8))
    image = plots.weights(seen["net"], units=6).get_images()[0].get_array()
    longest = np.linalg.norm(seen["net"].weights[0], axis=0).argmax()
    np.testing.assert_array_equal(np.asarray(image)[:8, :8], seen["net"].weights[0][:, longest].reshape(8, 8))


def test_a_race_with_a_runner_that_diverged_is_drawn():
    (X, y), _ = fastsgd.datasets.digits()
    net = fastsgd.Network([64, 10], loss="squared_error", seed=0)
    for rates, which in (((1e30, 0.01), 0), ((0.01, 1e30), 1)):
        race = descent.race(net, X, np.eye(10)[y], (10, None), seconds=0.02, learning_rates=rates, seed=0)
        assert [runner.diverged for runner in race.runners] == [which == 0, which == 1]
        assert np.isnan(race.goal) == np.isnan(race.sooner(race.runners[0])) == (which == 1)
        assert ("reaches" in str(race)) == (which == 0)
        assert "diverged" in str(race).splitlines()[1 + which]
        ax = race.plot()
        assert "sooner" not in text_of(ax)
        assert ax.get_ylim()[1] <= 10 * race.runners[0].cost[0]
        assert "learning rate 1e30, diverged" in text_of(ax)
        assert plots._axes.picture_of(race.plot()).startswith(b"\x89PNG")


def test_a_landscape_lies_as_high_as_the_cost(seen):
    from fastsgd.plots.descent import _interpolated
    surface = seen["surface"]
    corners = np.array([[surface.x[2], surface.y[3]], [surface.x[-1], surface.y[-1]]])
    np.testing.assert_allclose(_interpolated(surface, corners), [surface.cost[3, 2], surface.cost[-1, -1]])


@pytest.mark.parametrize(("lowest", "highest", "ticks"), [
    (0.17, 0.83, ["0.2", "0.3", "0.5", "0.7"]), (0.02, 4.0, ["0.03", "0.1", "0.3", "1", "3"])])
def test_a_landscape_has_ticks_of_the_cost(seen, lowest, highest, ticks):
    surface = seen["surface"]
    share = (surface.cost - surface.cost.min()) / np.ptp(surface.cost)
    surface = dataclasses.replace(surface, cost=lowest * (highest / lowest) ** share)
    paths = tuple(dataclasses.replace(path, cost=np.clip(path.cost, lowest, highest)) for path in seen["paths"].paths)
    ax = plots.descent(dataclasses.replace(seen["paths"], paths=paths), surface, view="3d")
    assert [label.get_text() for label in ax.get_zticklabels()] == ticks


@pytest.mark.parametrize(("lowest", "highest"), [(0.46, 0.7), (0.58, 0.59), (1.01e-3, 1.9e-3), (1e-12, 1), (0.9, 1.15)])
def test_a_landscape_of_few_or_many_costs_has_some_ticks(lowest, highest):
    from fastsgd.plots.descent import _round_costs
    ticks = _round_costs(lowest, highest)
    assert 3 <= len(ticks) <= 8
    assert ticks == sorted(ticks)
    assert lowest <= ticks[0] < ticks[-1] <= highest


def boxes_of(artists):
    return [artist.get_window_extent() for artist in artists]


def apart(boxes):
    boxes = [box.padded(-1) for box in boxes]           # they may touch
    return not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])


@pytest.mark.parametrize("names", [None, ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight",
                                          "nine"], [f"a rather long class name {i}" for i in range(10)]])
@pytest.mark.parametrize("worst", [1, 4, 9])
def test_the_names_of_classes_do_not_overlap(seen, names, worst):
    net = fastsgd.Network([64, 10], seed=0)
    ax = plots.confusion(net, seen["X"], seen["y"], classes=names, worst=worst)
    ax.figure.draw_without_rendering()
    bar, *insets = ax.child_axes
    assert len(insets) == worst
    beside = [box for inset in insets for box in (inset.get_window_extent(), inset.title.get_window_extent())]
    labels = boxes_of(ax.get_yticklabels())
    assert apart([*beside, *labels, bar.get_tightbbox(), ax.get_window_extent(), ax.yaxis.label.get_window_extent(),
                  ax.title.get_window_extent()])
    for label in ax.get_xticklabels() if names else ():
        assert (label.get_ha(), label.get_rotation_mode(), label.get_rotation()) == ("right", "anchor", 45)


def learning_curve(history):
    """Its axes and the right ones, or None, after its legend has been compared with its lines and their places."""
    ax = plots.history(history)
    ax.figure.draw_without_rendering()
    axes = [ax, *ax.figure.axes[1:]]
    legend = ax.get_legend()
    drawn = [line.get_label() for each in axes for line in each.get_lines()]
    assert [text.get_text() for text in legend.get_texts()] == drawn
    assert apart([legend.get_window_extent(), ax.get_window_extent()])
    for line in (line for each in axes for line in each.get_lines()):
        assert len(line.get_xdata()) > 1 or line.get_marker() not in (None, "None")
    return ax, axes[1] if len(axes) > 1 else None


def test_the_legend_of_a_learning_curve_covers_nothing(seen):
    (X, y), _ = fastsgd.datasets.digits()
    net = fastsgd.Network([64, 10], seed=0)
    learning_curve(seen["history"])
    learning_curve(fastsgd.train(net, X, y, epochs=2, validation=0.2, evaluate_every=7, seed=0))


def test_a_single_epoch_is_seen():
    (X, y), _ = fastsgd.datasets.digits()
    for validation in (None, 0.2):
        ax, right = learning_curve(
            fastsgd.train(fastsgd.Network([64, 10], seed=0), X, y, epochs=1, validation=validation, seed=0))
        assert ax.get_xlim() == (0.5, 1.5)
        assert [tick for tick in ax.get_xticks() if 0.5 <= tick <= 1.5] == [1]
        points = [each.transData.transform(line.get_xydata()[0]) for each in (ax, right) for line in each.get_lines()
                  if not line.get_label().startswith("lowest")]
        assert all(np.hypot(*(one - other)) > 10 for i, one in enumerate(points) for other in points[:i])


@pytest.mark.filterwarnings("error")
def test_a_metric_that_is_nowhere_defined_has_no_axis():
    X = np.random.default_rng(0).standard_normal((50, 3))
    same = np.ones(50)
    for validation in (None, (X, same)):
        net = fastsgd.Network([3, 1], loss="squared_error", seed=0)
        history = fastsgd.train(net, X, same, epochs=5, validation=validation, seed=0)
        assert np.isnan(history.metric).all()
        ax, right = learning_curve(history)
        assert right is None
        assert "nan" not in text_of(ax)


def test_a_race_tells_how_much_sooner_where_it_was(seen):
    race = seen["race"]
    quick, full = race.runners
    for times, told in ((1.5, "1.5 times sooner"), (12345, "12,345 times sooner"), (0.5, None)):
        factor = race.sooner(quick) / times
        other = dataclasses.replace(quick, seconds=quick.seconds * factor)
        changed = dataclasses.replace(race, runners=[other, full])
        title, line = plots.race(changed).get_title(), str(changed).splitlines()[1]
        if told:
            assert title == f"full gradient descent's final cost is reached {told} with mini-batches of 20"
            assert line.endswith(f" s, {told}")
        else:
            assert "sooner" not in title
            assert line.endswith(" s, no sooner")
        slow = dataclasses.replace(other, cost=np.maximum(other.cost, full.cost[-1] * 1.1))
        never = dataclasses.replace(race, runners=[slow, full])
        assert str(never).splitlines()[1].endswith(f"not in {slow.seconds[-1]:.3g} s")
        assert "sooner" not in str(never) + plots.race(never).get_title()


def test_a_race_draws_no_line_where_nothing_was_measured(seen):
    runner = dataclasses.replace(seen["race"].runners[0], seconds=np.array([0, 1, 2, 2.3, 9, 10.0]),
                                 steps=np.array([0, 1, 2, 12, 13 * 5, 70]), cost=np.array([3, 2, 1.5, 1, 0.5, 0.4]))
    ax = plots.race(dataclasses.replace(seen["race"], runners=[runner]))
    line, gap = ax.get_lines()
    assert line.get_marker() == "."
    np.testing.assert_array_equal(line.get_xdata(), [1, 2, 2.3, np.nan, 9, 10])     # neighbouring steps are no gap
    assert gap.get_linestyle() == ":"
    assert gap.get_xdata().tolist() == [2.3, 9]


# ---- layout: nothing lies on something else, nothing is cut off, numbers are plain ----

def drawn_texts(ax):
    """Title, labels, and every visible tick label and text of axes, those within and around alike."""
    texts = [ax.title, ax.xaxis.label, ax.yaxis.label, *ax.texts]
    for axis in (ax.xaxis, ax.yaxis):
        low, high = sorted(axis.get_view_interval())
        texts += [label for tick, label in zip(axis.get_majorticklocs(), axis.get_ticklabels(), strict=True)
                  if low <= tick <= high]
    return [text for text in texts if text.get_text().strip() and text.get_visible()]


def require_a_clear_layout(ax):
    ax.figure.draw_without_rendering()
    every = [ax, *(each for each in ax.figure.axes if each is not ax)]
    for one in every:
        outside = [text.get_window_extent() for text in drawn_texts(one)
                   if text not in one.texts and text.get_rotation() != 45]      # whose boxes are larger than they are
        outside += [one.get_window_extent()]
        if one.get_legend():
            outside += [one.get_legend().get_window_extent()]
        assert apart(outside), one.get_title()
        inside = [text for text in one.texts if text.get_text() and text.get_clip_on()]
        for text in inside:                                             # such as labels of contours
            box, room = text.get_window_extent(), one.get_window_extent()
            assert room.x0 <= box.x0, text
            assert box.x1 <= room.x1, text
            assert room.y0 <= box.y0, text
            assert box.y1 <= room.y1, text
        for text in drawn_texts(one):
            assert not set("$^\N{MULTIPLICATION SIGN}") & set(text.get_text()), text
    panels = [each for each in every if each.get_subplotspec() != ax.get_subplotspec()]
    assert apart([ax.get_tightbbox(), *(panel.get_tightbbox() for panel in panels)])


@pytest.mark.parametrize("name", [name for name in PLOTS if name != "landscape"])
def test_nothing_overlaps_or_is_cut_off(seen, name):
    require_a_clear_layout(PLOTS[name](seen, None))


def test_paths_of_equal_time_show_what_they_cost_themselves(seen):
    net, X, y = seen["net"], seen["X"], seen["y"]
    paths = descent.trajectory(net, X, y, (5, 20, None), seconds=0.002, optimizer=fastsgd.SGD(0.3), seed=0)
    surface = descent.cost_surface(net, X, y, paths, resolution=11)
    ax = plots.descent(paths, surface)
    ax.figure.draw_without_rendering()                             # lays out
    panel, = (each for each in ax.figure.axes if each is not ax)
    assert panel.get_xlabel() == "seconds of steps"
    for path in paths.paths:
        assert any(np.array_equal(line.get_xdata(), path.seconds) and np.array_equal(line.get_ydata(), path.cost)
                   for line in panel.get_lines())
        label, = (text for text in ax.texts if text.get_text() == f"own cost {plain(path.cost[-1])}")
        box, room = label.get_window_extent(), ax.get_window_extent()
        assert room.x0 < box.x0 < box.x1 < room.x1
    start = next(line for line in ax.get_lines() if line.get_marker() == "s")
    ends = [line for line in ax.get_lines() if line.get_marker() == "o"]
    assert len(ends) == 3
    for end in ends:                        # one that did not get far is seen before the start's square
        assert end.get_zorder() > start.get_zorder()
        assert end.get_markersize() < start.get_markersize()
    require_a_clear_layout(ax)
    assert plots.descent(seen["paths"], seen["surface"]).figure.axes[1].get_xlabel() == "steps"
    landscape = plots.descent(paths, surface, view="3d")
    height = landscape.get_lines()[0].get_data_3d()[2] if hasattr(landscape.get_lines()[0], "get_data_3d") else None
    assert any(np.allclose(height, np.log10(path.cost)) for path in paths.paths if len(path.cost) == len(height))


def test_given_axes_make_room_for_panels(seen):
    from matplotlib.figure import Figure
    figure = Figure(figsize=(8, 8))
    for ax in (figure.add_axes((0.1, 0.1, 0.8, 0.75)), Figure(figsize=(8, 8)).subplots(2, 2)[0, 0]):
        whole = ax.get_position()
        plots.descent(seen["paths"], seen["surface"], ax)
        panel = ax.figure.axes[-1].get_position()
        assert ax.get_position().y0 > panel.y1
        assert whole.y0 - 1e-6 <= panel.y0 < panel.y1 < whole.y1


@pytest.mark.parametrize(("value", "shown"), [
    (0.9, "0.9"), (0.09, "0.09"), (1e-6, "0.000001"), (1e-7, "1e-7"), (2.25e-9, "2.25e-9"), (1500, "1,500"), (0, "0"),
    (123456.0, "123,000"), (1e8, "1e8"), (0.99996, "1"), (-0.25, "-0.25"), (math.inf, "inf")])
def test_numbers_are_plain(value, shown):
    assert plain(value) == shown


@pytest.mark.parametrize("values", [(2.05, 2.25), (0.3, 0.9), (0.021, 4.4), (1e-5, 3.0), (1.0, 1.0)])
def test_logarithmic_axes_have_plain_ticks(values):
    from matplotlib.figure import Figure
    ax = Figure().add_subplot()
    ax.plot([1, 2], values)
    plots._axes.logarithmic(ax.yaxis, values)
    ax.figure.draw_without_rendering()
    shown = [text.get_text() for text in drawn_texts(ax) if text in ax.get_yticklabels()]
    assert len(set(shown)) == len(shown) >= 2
    assert all(re.fullmatch(r"[\d,]*\.?\d+", text) for text in shown)
    assert not [label for label in ax.get_yticklabels(minor=True) if label.get_text()]


def test_a_learning_curve_has_a_title_and_all_metrics(seen):
    history = dataclasses.replace(seen["history"], weighted=True, scores={
        "f1_macro": [0.2, 0.4, 0.5, 0.6], "neg_log_loss": [-2.0, -1.5, -1.0, -0.9], "undefined": [math.nan] * 4})
    ax = plots.history(history)
    assert ax.get_title().startswith("learning curve: 4 epochs, 60 steps, ")
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert "f1_macro, validation rows" in labels
    assert {"weighted cost, training rows as they were trained on", "weighted accuracy, training rows",
            "cost, validation rows", "accuracy, validation rows"} < set(labels)
    panel = next(each for each in ax.figure.axes if each.get_title() == "neg_log_loss, validation rows")
    assert panel.get_lines()[0].get_ydata().tolist() == history.scores["neg_log_loss"]
    assert len(ax.figure.axes) == 3
    require_a_clear_layout(ax)


def fitted(classes):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((400, 6)).astype(np.float32)
    net = fastsgd.Network([6, classes], seed=0)
    return net, X, net.predict(X).argmax(axis=1)


@pytest.mark.parametrize("classes", [2, 10, 21, 40])
def test_a_confusion_matrix_has_a_diagonal_that_is_seen_and_names_that_fit(classes):
    net, X, y = fitted(classes)
    y[:40] = (y[:40] + 1) % classes
    ax = plots.confusion(net, X, y, classes=[f"an unusually long name of the class {i}" for i in range(classes)])
    require_a_clear_layout(ax)
    mistakes, right = ax.get_images()
    pale = np.array(mistakes.to_rgba(0.0))[:3]
    for i in range(classes):
        assert mistakes.get_array().mask[i, i] and not right.get_array().mask[i, i]  # noqa: PT018
        if right.get_array()[i, i] > 0.5:
            assert np.abs(np.array(right.to_rgba(right.get_array()[i, i]))[:3] - pale).max() > 0.3
    for labels in (ax.get_xticklabels(), ax.get_yticklabels()):
        shown = [label.get_text() for label in labels]
        assert len(set(shown)) == len(shown) >= min(classes, 20)
        assert max(map(len, shown)) <= 20
        boxes = boxes_of(ax.get_yticklabels())
        assert apart(boxes)
    assert ax.get_window_extent().width > 150


def test_a_confusion_matrix_of_classes_in_order():
    net = fastsgd.Network([6, 3], loss="ordinal", seed=0)
    X = np.random.default_rng(0).standard_normal((50, 6)).astype("f4")
    y = np.where(np.arange(50) < 40, (net.predict(X) > 0.5).sum(axis=1), 0)
    ax = plots.confusion(net, X, y)
    assert f"{net.score(X, y):.2%} of 50 rows" in ax.get_title()
    assert len(ax.get_xticklabels()) == 4


def test_names_that_become_alike_when_they_are_shortened_get_a_number():
    from fastsgd.plots.training import _shortened
    names = ["short", "the same beginning 1 and the same ending", "the same beginning 2 and the same ending"]
    short = _shortened(names, 20)
    assert short[0] == "short"
    assert len(set(short)) == 3
    assert max(map(len, short)) <= 20


def test_counts_are_black_on_light_cells_and_white_on_dark_ones():
    from fastsgd.plots.training import _ink
    assert [_ink(colour) for colour in ((1, 1, 1, 1), (0, 0, 0, 1), (1, 0.6, 0.3, 1), (0.03, 0.19, 0.42, 1))] == [
        "black", "white", "black", "white"]


@pytest.mark.parametrize(("units", "shape"), [(1, (1, 1)), (2, (1, 2)), (3, (1, 3)), (5, (2, 3)), (32, (4, 8))])
def test_weights_leave_no_column_empty(units, shape):
    picture = plots.weights(fastsgd.Network([64, units, 3], seed=0)).get_images()[0].get_array()
    assert picture.shape == tuple(9 * n - 1 for n in shape)


def test_a_film_is_written_whole(seen, tmp_path):
    from PIL import Image
    path = tmp_path / "descent.gif"
    plots.save_animation(seen["paths"], seen["surface"], path, seconds=0.5, frames_per_second=6)
    with Image.open(path) as film:
        assert film.n_frames >= 3
    for name, message in (("descent.mpg", "end in .gif or .mp4"), ("descent.gif", "above 0")):
        with pytest.raises(ValueError, match=message):
            plots.save_animation(seen["paths"], seen["surface"], tmp_path / name, seconds=0)
    assert [file.name for file in tmp_path.iterdir()] == ["descent.gif"]


def test_what_cannot_be_drawn_is_said(seen):
    from matplotlib.figure import Figure
    net, X, y = seen["net"], seen["X"], seen["y"]
    for call, message in (
            (lambda: plots.race(seen["race"], against="steps"), "against must be"),
            (lambda: plots.descent(seen["paths"], seen["surface"], view="below"), "view must be"),
            (lambda: plots.descent(seen["paths"], seen["surface"], Figure().add_subplot(), view="3d"),
             "projection='3d'"),
            (lambda: plots.weights(net, shape=(3, 3)), "of the 64 inputs"),
            (lambda: plots.weights(fastsgd.Network([5, 3])), "do not make a square"),
            (lambda: plots.confusion(fastsgd.Network([64, 1], loss="squared_error"), X, y), "must be a classifier"),
            (lambda: plots.confusion(net, X, y + 1), "labels from 0 to 9"),
            (lambda: plots.confusion(net, X, y[1:]), "class labels"),
            (lambda: plots.confusion(net, X, y, classes="abc"), "10 names, got 3"),
            (lambda: plots.confusion(net, X, y, shape=(2, 2)), "of the 64 inputs")):
        with pytest.raises(ValueError, match=re.escape(message)):
            call()


@pytest.mark.filterwarnings("error")
def test_yes_and_no_classes_of_rows_that_are_no_images():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((60, 5)).astype(np.float32), rng.integers(0, 2, 60)
    net = fastsgd.Network([5, 1], loss="binary_cross_entropy", seed=0)
    ax = plots.confusion(net, X, y, classes=("no", "yes"))
    assert len(ax.child_axes) == 1              # the colour bar
    assert [label.get_text() for label in ax.get_xticklabels()] == ["no", "yes"]


@pytest.mark.parametrize("loss", ["hinge", "perceptron", "squared_hinge", "modified_huber", "binary_cross_entropy"])
@pytest.mark.parametrize("outputs", [1, 3])
def test_the_share_that_is_right_is_the_score(loss, outputs):
    rng = np.random.default_rng(1)
    net = fastsgd.Network([4, outputs], loss=loss, seed=3)
    net.params[:] += 0.3 * rng.standard_normal(net.params.size)
    X, y = rng.standard_normal((97, 4)).astype(np.float32), rng.integers(0, max(2, outputs), 97)
    score = net.score(X, y if outputs > 1 else y[:, np.newaxis])
    assert 0 < score < 1
    assert plots.confusion(net, X, y).get_title().startswith(f"{score:.2%} of 97 rows")


def test_a_missing_matplotlib_is_told(seen, monkeypatch, tmp_path, capsys):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.split(".")[0] == "matplotlib":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    for call in (lambda: plots.history(seen["history"]), lambda: seen["race"].plot(),
                 lambda: plots.save_animation(seen["paths"], seen["surface"], tmp_path / "a.gif")):
        with pytest.raises(ImportError, match=re.escape('pip install "fastsgd[plot]"')):
            call()


# ---- fastsgd race and fastsgd descent ----

def test_race_writes_a_table_pictures_and_a_page(tmp_path, capsys):
    out = tmp_path / "new" / "race"
    assert main(["race", "--seconds", "0.05", "--batch-sizes", "50,all", "--hidden", "16", "--out", str(out)]) == 0
    told = capsys.readouterr()
    assert "mini-batches of 50" in told.out
    assert "looking for its learning rate" in told.err
    assert sorted(file.name for file in out.iterdir()) == ["race.png", "race_examples.png", "report.html"]
    page = (out / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 2
    assert not re.findall(r"(?:src|href)=\"(?!data:)", page)             # it opens without a network
    assert "mini-batches of 50" in page


def test_descent_writes_a_page_and_a_film(tmp_path, capsys):
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    size = rng.normal(size=200)
    table = tmp_path / "table.csv"
    pandas.DataFrame({"size": size, "kind": np.where(size > 0, "big", "small")}).to_csv(table, index=False)
    out = tmp_path / "descent"
    assert main(["descent", str(table), "--target", "kind", "--hidden", "4", "--steps", "20", "--film",
                 "--out", str(out)]) == 0
    assert sorted(file.name for file in out.iterdir()) == [
        "descent.gif", "descent.png", "descent_3d.png", "noise_after_an_epoch.png", "noise_at_the_start.png",
        "report.html"]
    told = capsys.readouterr()
    assert "batch size" in told.out
    assert "noise scale" in told.out
    assert "descents of equal steps" in told.out
    page = (out / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 4
    assert page.count("data:image/gif;base64,") == 1


def test_descent_on_a_quantity_takes_smaller_steps_and_says_what_to_do_where_it_diverges(tmp_path, capsys):
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 3))
    table = tmp_path / "table.csv"
    pandas.DataFrame(X, columns=list("abc")).assign(y=20 + 9 * X[:, 0] + X[:, 1]**2).to_csv(table, index=False)
    command = ["descent", str(table), "--target", "y", "--out", str(tmp_path / "out")]
    assert main(command) == 0
    page = (tmp_path / "out" / "report.html").read_text()
    assert "learning rate 0.01." in page
    assert "Descents of equal seconds" in page
    assert "last 0." in page
    capsys.readouterr()
    assert main([*command, "--learning-rate", "3"]) == 1
    assert "error: the descent diverges with --learning-rate 3; try a smaller one\n" in capsys.readouterr().err


@pytest.mark.parametrize(("arguments", "message"), [
    (["race", "--batch-sizes", "0"], "--batch-sizes must be a list such as 1,10,100,all, got '0' in it"),
    (["race", "--batch-sizes", "7,all,07"], "--batch-sizes must differ from each other, got '7,all,07'"),
    (["descent", "nothing.csv", "--target", "y"], "does not exist"),
    (["race", "--out", "/proc/nowhere"], "--out /proc/nowhere cannot be written to"),
    (["descent", "--out", __file__], "cannot be written to"),
    (["race", "--batch-sizes", "5000"], "must have one below the 1438 rows"),
])
def test_errors_are_told_before_anything_is_run(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 1
    told = capsys.readouterr().err
    assert message.lower() in told.lower()
    assert told.count("fastsgd: error:") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("arguments", "message"), [
    (["race", "--seconds", "-1"], "--seconds: it must be a number above 0 and finite, got '-1'"),
    (["descent", "--steps", "1"], "--steps: it must be a whole number of at least 2, got '1'"),
    (["descent", "--seconds", "0"], "--seconds: it must be a number above 0 and finite, got '0'"),
    (["descent", "--batch-size", "0"], "--batch-size: it must be a whole number of at least 1, got '0'"),
    (["descent", "--learning-rate", "-1"], "--learning-rate: it must be a number of at least 0 and finite, got '-1'"),
    (["race", "--threads", "0"], "--threads: it must be a whole number of at least 1, got '0'"),
    (["race", "--seed", "-1"], "--seed: it must be a whole number of at least 0, got '-1'"),
])
def test_numbers_that_cannot_be_are_refused(arguments, message, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err
