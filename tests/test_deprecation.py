"""Do the old names still work, with a warning that names the new ones and points at the caller?"""
import copy
import importlib.util
import inspect
import pickle
import re
import sys
import types

import numpy as np
import pytest

import fastsgd
from fastsgd import deprecation, descent, plots, schedules
from fastsgd.runs.checkpoint import in_new_words

NET = fastsgd.Network([2, 3, 2], seed=0)
X, Y = np.eye(2), np.array([0, 1])


def told(old, call, new=""):
    """What the call gives, which must warn once, here."""
    with pytest.warns(DeprecationWarning, match=re.escape(old) + ".*" + re.escape(new)) as seen:
        found = call()
    assert len(seen) == 1
    assert seen[0].filename == __file__
    return found


@pytest.mark.parametrize(("module", "old", "new"), [
    (fastsgd, "CSVLog", "CSVLogger"), (fastsgd, "JSONLog", "JSONLogger"), (fastsgd, "MLflow", "MLflowLogger"),
    (fastsgd, "TensorBoard", "TensorBoardLogger"), (schedules, "Bottou", "InverseTime"),
    (schedules, "Step", "StepDecay"), (plots, "animate_descent", "save_animation")])
def test_public_things_by_their_old_names(module, old, new):
    thing = told(f"{module.__name__}.{old} is deprecated and will be removed: use {module.__name__}.{new}",
                 lambda: getattr(module, old))
    assert thing is getattr(module, new)
    assert old not in module.__all__
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        module.nothing  # noqa: B018


@pytest.mark.parametrize(("old", "make", "new"), [
    ("OneCycle: start=", lambda: schedules.OneCycle(0.1, 9, start=5.0), schedules.OneCycle(0.1, 9, div_factor=5.0)),
    ("OneCycle: end=", lambda: schedules.OneCycle(0.1, 9, end=5.0), schedules.OneCycle(0.1, 9, final_div_factor=5.0)),
    ("SGD: truncate=", lambda: fastsgd.SGD(0.1, truncate=True), fastsgd.SGD(0.1, cumulative_l1=True)),
    ("average=1.0", lambda: fastsgd.SGD(0.1, average=1.0), fastsgd.SGD(0.1, average="polyak")),
    ("average=1.0", lambda: fastsgd.Adam(average=1), fastsgd.Adam(average="polyak")),
    ("OneCycle: start", lambda: schedules.OneCycle(0.1).set_params(start=5.0), schedules.OneCycle(0.1, div_factor=5.0)),
])
def test_data_by_old_arguments(old, make, new):
    assert told(old, make) == new


def test_old_fields_are_read():
    assert told("OneCycle.start", lambda: schedules.OneCycle(0.1, div_factor=5.0).start) == 5.0
    assert told("ReduceOnPlateau: least=", lambda: fastsgd.ReduceOnPlateau(least=0.2)).min_factor == 0.2
    assert told("Optimizer.penalty", lambda: fastsgd.SGD(l1=0.5).penalty([X])) == 1.0
    with pytest.raises(TypeError, match="OneCycle: start is the old name of div_factor; give div_factor alone"):
        schedules.OneCycle(0.1, start=1.0, div_factor=2.0)
    with pytest.raises(AttributeError, match="'OneCycle' object has no attribute 'nothing'"):
        schedules.OneCycle(0.1).nothing  # noqa: B018


def test_old_pickles_of_data_load():
    for old, state in ((schedules.OneCycle(0.1, 9, 0.3, 5.0, 6.0),
                        {"peak": 0.1, "steps": 9, "rise": 0.3, "start": 5.0, "end": 6.0}),
                       (fastsgd.SGD(0.1, cumulative_l1=True, average="polyak"),
                        {**vars(fastsgd.SGD(0.1)), "truncate": True, "average": 1.0})):
        state = {name: value for name, value in state.items() if name != "cumulative_l1"}
        made = type(old).__new__(type(old))
        made.__setstate__(state)
        assert made == old == copy.deepcopy(old) == pickle.loads(pickle.dumps(old))
    assert fastsgd.SGD(average="polyak").averaging_weights(0, 3).tolist() == [1, 1 / 2, 1 / 3]


@pytest.mark.parametrize(("old", "new"), [
    (repr(fastsgd.SGD(0.1, momentum=0.9)),) * 2,
    ("SGD(0.1, average=1.0, truncate=True)", "SGD(0.1, average='polyak', cumulative_l1=True)"),
    ("SGD(Step(rate=1.0, every=3, factor=0.1))", repr(fastsgd.SGD(schedules.StepDecay(1.0, 3)))),
    ("SGD(WarmUp(steps=3, then=OneCycle(peak=0.5, steps=90, rise=0.3, start=25.0, end=10000.0)))",
     repr(fastsgd.SGD(schedules.WarmUp(3, schedules.OneCycle(0.5, 90))))),
    ("SGD(Cosine(rate=0.1, steps=9, end=0.0))", repr(fastsgd.SGD(schedules.Cosine(0.1, 9))))])
def test_checkpoints_know_optimizers_in_old_words(old, new):
    assert in_new_words(old) == new


@pytest.mark.parametrize(("old", "call"), [
    ("Network.cost: threads=", lambda: NET.cost(X, Y, 1)), ("Network.score: threads=", lambda: NET.score(X, Y, 1)),
    ("Network.evaluate: threads=, sample_weight=", lambda: NET.evaluate(X, Y, 1, [1.0, 2.0])),
    ("Network.gradient: threads=", lambda: NET.gradient(X, Y, 1)),
    ("Network.step: threads=", lambda: NET.copy().step(X, Y, fastsgd.SGD(0.1), 1)),
    ("gradient_noise: samples=, seed=", lambda: descent.gradient_noise(NET, X, Y, 1, 2, 0)),
    ("row_noise: threads=", lambda: descent.row_noise(NET, X, Y, 1)),
    ("random_plane: seed=", lambda: descent.random_plane(NET, 0)),
    ("cost_surface: resolution=", lambda: descent.cost_surface(NET, X, Y, None, 3)),
    ("trajectory: steps=", lambda: descent.trajectory(NET, X, Y, (1,), 2)),
    ("race: seconds=", lambda: descent.race(NET, X, Y, (1,), 0.01)),
    ("NoiseLog: rows=", lambda: descent.NoiseLog(X, Y, 2)),
    ("EarlyStopping: monitor=", lambda: fastsgd.EarlyStopping(3, "cost")),
    ("ReduceOnPlateau: monitor=", lambda: fastsgd.ReduceOnPlateau(0.5, 3, "cost"))])
def test_options_by_position(old, call):
    told(old + " by position is deprecated", call)


def test_wrong_arguments_are_still_pythons_own_errors():
    with pytest.raises(TypeError, match="positional argument"):
        NET.cost(X, Y, 1, None, None)
    with pytest.raises(TypeError, match="positional argument"):
        NET.cost(X, Y, 1, threads=1)
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        NET.cost(X)


def test_signatures_show_what_is_meant():
    parameters = inspect.signature(fastsgd.Network).parameters
    assert [name for name, p in parameters.items() if p.kind is not p.KEYWORD_ONLY] == ["sizes", "activation", "loss"]
    assert "cumulative_l1" in inspect.signature(fastsgd.SGD).parameters
    shared = inspect.signature(fastsgd.Optimizer).parameters
    for kind in (fastsgd.SGD, fastsgd.Adam, fastsgd.AdamW, fastsgd.RMSprop, fastsgd.Adagrad, fastsgd.Lion,
                 fastsgd.NAdamW, fastsgd.ScheduleFreeAdamW, fastsgd.Muon, fastsgd.PassiveAggressive):
        for name in shared:
            assert re.search(rf"^    .*\b{name}\b.* : ", kind.__doc__, re.MULTILINE), (kind, name)


def test_dir_and_all_show_public_names_only():
    estimators = {"MLPClassifier", "MLPRegressor", "SGDClassifier", "SGDRegressor", "TabularClassifier",
                  "TabularRegressor"}
    assert set(dir(fastsgd)) == {*fastsgd.__all__, *estimators, "__version__"}
    assert {"Optimizer", "State", "Schedule", "losses"} <= set(fastsgd.__all__)
    namespace = {}
    exec("from fastsgd import *", namespace)
    assert namespace["SGD"] is fastsgd.SGD
    if importlib.util.find_spec("sklearn"):
        assert estimators <= set(fastsgd.__all__)
        assert namespace["SGDClassifier"] is fastsgd.SGDClassifier


def test_seeds_default_to_none():
    for function in (fastsgd.train, fastsgd.train_stream, descent.race, descent.trajectory, descent.gradient_noise,
                     descent.suggest_batch_size, descent.random_plane, descent.NoiseLog, fastsgd.Network):
        assert inspect.signature(function).parameters["seed"].default is None, function


def test_a_module_of_old_names_says_where_it_was_asked(monkeypatch):
    module = types.ModuleType("somewhere")
    module.new = 1
    monkeypatch.setitem(sys.modules, "somewhere", module)
    assert told("somewhere.old is deprecated", lambda: deprecation.old_names("somewhere", old="new")("old"),
                "use somewhere.new") == 1
