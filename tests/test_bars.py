"""Where is progress shown, and how: terminals, notebooks with and without widgets, files and pipes?"""
import importlib.util
import io
import sys
import types
import warnings

import pytest

import fastsgd
from fastsgd import descent
from fastsgd.display import bars


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """So that no pause of the machine makes a short descent a long one."""
    monkeypatch.setattr(bars, "SHOWN_AFTER", 1000.0)


@pytest.fixture
def digits():
    return fastsgd.datasets.digits()[0]


@pytest.fixture
def notebook(monkeypatch):
    """A kernel without ipywidgets, as its modules look from here; the texts that are shown, by display."""
    shown = []

    class Handle:
        def __init__(self, text):
            shown.append([text])
            self.texts = shown[-1]

        def update(self, content, raw):
            self.texts.append(content["text/plain"])

    ipython, display = types.ModuleType("IPython"), types.ModuleType("IPython.display")
    ipython.get_ipython = lambda: types.SimpleNamespace(config={"IPKernelApp": {}})
    display.display = lambda content, raw, display_id: Handle(content["text/plain"])
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "ipywidgets" else
                        real(name, *more))
    return shown


def test_a_notebook_without_widgets_has_one_line_that_changes_and_nothing_in_red(notebook, digits, capsys):
    X, y = digits
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        fastsgd.train(fastsgd.Network([64, 10], seed=0), X, y, epochs=5, validation=0.2, callbacks=[fastsgd.Progress()])
    assert not told
    assert capsys.readouterr() == ("", "")
    (texts,) = notebook
    assert texts[-1].startswith("epoch 5/5  100%  cost ")
    assert "  validation accuracy 0." in texts[-1]
    assert " rows/s" in texts[-1]


def test_an_asked_for_file_has_lines_in_a_notebook_too(notebook, digits):
    out = io.StringIO()
    fastsgd.train(fastsgd.Network([64, 10], seed=0), *digits, epochs=3, callbacks=[fastsgd.Progress(out)])
    assert out.getvalue().count("\n") == 3
    assert not notebook


@pytest.mark.parametrize("kind", ["race", "suggest_batch_size", "trajectory", "cost_surface"])
@pytest.mark.parametrize("progress", [True, None, False])
def test_a_notebook_shows_the_progress_of_descents_where_it_is_asked_for(notebook, digits, kind, progress, capsys):
    look(kind, *digits, progress)
    assert len(notebook) == (1 if progress else 0)          # what takes less than a second is not shown unasked
    assert capsys.readouterr() == ("", "")
    if progress:
        assert "100%" in notebook[0][-1] or kind == "suggest_batch_size"


def look(kind, X, y, progress):
    net = fastsgd.Network([64, 10], seed=0)
    if kind == "race":
        return descent.race(net, X, y, (20, None), seconds=0.01, progress=progress, seed=0)
    if kind == "suggest_batch_size":
        return descent.suggest_batch_size(net, X, y, batch_sizes=(20, 50), seconds=0.03, progress=progress, seed=0)
    paths = descent.trajectory(net, X, y, (20, None), steps=9, seed=0,
                               progress=progress if kind == "trajectory" else False)
    return descent.cost_surface(net, X[:50], y[:50], paths, resolution=5,
                                progress=progress if kind == "cost_surface" else False)


LINES = {"race": "race: mini-batches of 20: looking for its learning rate\nrace: mini-batches of 20: learning rate ",
         "suggest_batch_size": "batch size: batches of ", "trajectory": "trajectory: mini-batches of 20\n",
         "cost_surface": "cost surface: 5 x 5 points\n"}


@pytest.mark.parametrize("kind", LINES)
def test_pipes_have_lines_where_they_are_asked_for_and_terminals_a_bar(digits, kind, monkeypatch, capsys):
    for progress in (None, False):
        look(kind, *digits, progress)
        assert capsys.readouterr() == ("", "")
    look(kind, *digits, True)
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith(LINES[kind])
    pytest.importorskip("tqdm")
    monkeypatch.setattr(bars, "SHOWN_AFTER", 1e-9)
    for progress in (None, True):
        terminal = Terminal()
        monkeypatch.setattr(sys, "stderr", terminal)
        look(kind, *digits, progress)
        assert "\r" in terminal.getvalue()
        assert "race: " not in terminal.getvalue()
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    look(kind, *digits, False)
    assert not terminal.getvalue()


def test_a_short_descent_is_not_shown_on_a_terminal_unless_asked_for(digits, monkeypatch):
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    look("race", *digits, None)
    assert not terminal.getvalue()


def test_progress_is_true_false_or_none(digits):
    with pytest.raises(TypeError, match="progress must be True, False or None, got 'yes'"):
        look("race", *digits, "yes")


def test_a_line_tells_how_long_it_will_take_and_goes_where_it_was_not_asked_for(notebook, stopped_clock):
    clock = stopped_clock(bars)
    line = bars.NotebookLine(200, 0, " rows", True, 0.0, leave=False)
    clock.now = 10.0
    line.set_description_str("reading")
    line.update(50)
    assert str(line) == "reading  25%  5 rows/s  30 s left"
    line.close()
    line.close()
    assert notebook == [["reading  25%  5 rows/s  30 s left", ""]]


def test_a_plot_in_a_notebook_is_shown_below_its_cell(digits, monkeypatch):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    monkeypatch.setattr(fastsgd.plots._axes, "in_notebook", lambda: True)
    history = fastsgd.train(fastsgd.Network([64, 10], seed=0), *digits, epochs=2)
    ax = fastsgd.plots.history(history)
    try:
        assert ax.figure in [pyplot.figure(number) for number in pyplot.get_fignums()]
    finally:
        pyplot.close("all")
