"""Does an interrupted run go on to the same bits, and is every file that it cannot go on from refused in words?"""
import importlib.metadata
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from test_modelfile import join, parts

import fastsgd
from fastsgd.runs import checkpoint
from fastsgd.runs.run import TrainingRun
from fastsgd.runs.run_state import Counters
from fastsgd.schedules import Cosine, WarmUp

pytestmark = pytest.mark.filterwarnings("ignore:nothing was trained")        # by runs resumed at their end

ROWS = 700
SETTINGS = {  # of train(), whatever may carry something from step to step
    "plain": {},
    "momentum": {"optimizer": fastsgd.SGD(0.05, momentum=0.9), "batch_size": 32},
    "schedule": {"optimizer": fastsgd.Adam(WarmUp(9, Cosine(0.01)), clip_norm=1.0)},
    "dropout": {"dropout": 0.3, "label_smoothing": 0.1, "class_weight": "balanced"},
    "average": {"optimizer": fastsgd.SGD(0.1, average=0.95, max_norm=3.0)},
    "held out": {"validation": 0.2, "evaluate_every": 5, "metrics": [lambda y, outputs: float(outputs[0, 0])]},
    "full gradient": {"batch_size": None, "optimizer": fastsgd.RMSprop(0.01, momentum=0.5)},
    "accumulated": {"batch_size": 64, "accumulate": 3, "backend": "blas", "threads": 2},   # whose bits depend on these
}


def start(digits):
    (X, y), _ = digits
    return fastsgd.Network([64, 24, 10], seed=0), X[:ROWS], y[:ROWS]


def interrupt_after(steps, hooks=("on_evaluation", "on_epoch")):
    """A callback that raises in one of the hooks once so many steps have been made."""
    def hook(run):
        if run.steps >= steps:
            raise KeyboardInterrupt

    interrupt = fastsgd.Callback()
    for name in hooks:
        setattr(interrupt, name, hook)
    return interrupt


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_a_run_that_was_interrupted_goes_on_to_the_same_bits(digits, tmp_path, settings):
    settings = {"epochs": 4, "seed": 3, **settings}
    net, X, y = start(digits)
    expected = fastsgd.train(net, X, y, **settings)
    path = tmp_path / "run.ckpt"
    for steps in (1, min(8, expected.steps - 2), expected.steps - 1):
        other, _, _ = start(digits)
        with pytest.raises(KeyboardInterrupt):
            fastsgd.train(other, X, y, **settings, checkpoint=path, callbacks=[interrupt_after(steps)])
        again = fastsgd.Network([64, 24, 10], seed=99)
        history = fastsgd.train(again, X, y, **settings, resume=path)
        np.testing.assert_array_equal(again.params, net.params)
        assert {**history.as_dict(), "seconds": []} == {**expected.as_dict(), "seconds": []}
    assert os.listdir(tmp_path) == ["run.ckpt"]


@pytest.mark.parametrize(("optimizer", "seed"), [
    (fastsgd.SGD(0.1, momentum=0.9), None), (fastsgd.SGD(0.1, momentum=0.9), 5),
    (fastsgd.NAdamW(0.01, momentum_decay=0.5), 5), (fastsgd.ScheduleFreeAdamW(WarmUp(7, 0.01)), 5),
    (fastsgd.Muon(0.01, clip_norm=1.0), 5)])
def test_every_step_of_a_run_is_one_to_go_on_from(digits, tmp_path, optimizer, seed):
    net, X, y = start(digits)
    settings = {"epochs": 3, "optimizer": optimizer, "validation": 0.3, "seed": seed}
    paths = []

    class Copy(fastsgd.Callback):
        def on_evaluation(self, run):
            paths.append(tmp_path / f"{run.steps}.ckpt")
            run.save(paths[-1])

    fastsgd.train(net, X, y, **settings, evaluate_every=1, callbacks=[Copy()])
    assert len(paths) == 15
    for path in paths:
        again = fastsgd.Network([64, 24, 10], seed=99)
        fastsgd.train(again, X, y, **settings, evaluate_every=1, resume=path)
        np.testing.assert_array_equal(again.params, net.params)
        at_that_step = fastsgd.Network.load(path)
        assert (at_that_step.params != net.params).any() == (path != paths[-1])


def test_early_stopping_and_a_reduced_rate_go_on_too(digits, tmp_path):
    net, X, y = start(digits)

    def settings():
        return {"epochs": 60, "optimizer": fastsgd.SGD(0.8), "validation": 0.3, "seed": 1,
                "callbacks": [fastsgd.EarlyStopping(8), fastsgd.ReduceOnPlateau(patience=2), fastsgd.LearningRates()]}

    whole = settings()
    expected = fastsgd.train(net, X, y, **whole)
    assert 12 < expected.epochs < 60
    assert expected.learning_rate[-1] < 0.8
    path = tmp_path / "run.ckpt"
    for place, epochs in enumerate((2, 11, expected.epochs - 1, expected.epochs)):
        first, second = settings(), settings()
        first["callbacks"].insert(place, interrupt_after(5 * epochs, ["on_epoch" if place % 2 else "on_evaluation"]))
        with pytest.raises(KeyboardInterrupt):
            fastsgd.train(start(digits)[0], X, y, **first, checkpoint=path)
        again, _, _ = start(digits)
        history = fastsgd.train(again, X, y, **second, resume=path)
        np.testing.assert_array_equal(again.params, net.params)
        assert history.cost == expected.cost
        np.testing.assert_array_equal(second["callbacks"][2].rates, whole["callbacks"][2].rates)
        assert second["callbacks"][0].best_step == whole["callbacks"][0].best_step
    fastsgd.train(start(digits)[0], X, y, **settings(), checkpoint=path)
    steps = fastsgd.train(again, X, y, **settings(), resume=path).steps
    assert steps == expected.steps                   # a run that stopped by itself stays so
    np.testing.assert_array_equal(again.params, net.params)


def test_when_a_checkpoint_is_written(digits, tmp_path, monkeypatch, stopped_clock):
    net, X, y = start(digits)
    written = []
    monkeypatch.setattr("fastsgd.runs.run.TrainingRun._write", lambda run, path: written.append(run.steps))
    path = tmp_path / "run.ckpt"
    for when, steps in ((path, [21]), (fastsgd.Checkpoint(path, epochs=2), [14, 21]),
                        (fastsgd.Checkpoint(path, steps=5), [5, 10, 15, 20, 21]),
                        (fastsgd.Checkpoint(path, steps=4, epochs=1), [4, 7, 11, 14, 18, 21]),
                        (fastsgd.Checkpoint(path, seconds=1e-9), list(range(7, 22, 7)))):
        written.clear()
        fastsgd.train(net, X, y, epochs=3, checkpoint=when)
        assert written == steps, when
    written.clear()
    clock, within_epochs = stopped_clock(checkpoint), fastsgd.Callback()

    def a_tenth_of_a_second(run):
        clock.now += 0.1
        run.stop = clock.now > 1.05

    within_epochs.on_rows = a_tenth_of_a_second
    fastsgd.train(net, X, y, epochs=99, callbacks=[a_tenth_of_a_second],
                  checkpoint=fastsgd.Checkpoint(path, seconds=0.29))
    assert written == [21, 42, 63, 77]               # of 7 steps an epoch, and the last
    (X, y), _ = digits
    written.clear()
    clock.now = 0.0
    repeated = np.tile(X, (600, 1))                  # an epoch of seconds: within it, too
    fastsgd.train(net, repeated, np.tile(y, 600), batch_size=1, epochs=1, threads=1,
                  callbacks=[within_epochs], checkpoint=fastsgd.Checkpoint(path, seconds=0.29))
    assert len(written) == 4
    assert 0 < written[0] < written[1] < written[2] < written[3] < len(repeated)


def test_an_interruption_between_the_draw_of_an_order_and_its_first_step(digits, tmp_path, monkeypatch):
    net, X, y = start(digits)
    fastsgd.train(net, X, y, epochs=3, seed=0)
    draw = fastsgd.runs.feeds.Rows.epoch

    def interrupted(feed, number, rng, skipped):
        segments = list(draw(feed, number, rng, skipped))
        if number == 2:
            raise KeyboardInterrupt
        yield from segments

    other, _, _ = start(digits)
    monkeypatch.setattr("fastsgd.runs.feeds.Rows.epoch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fastsgd.train(other, X, y, epochs=3, seed=0, checkpoint=tmp_path / "run.ckpt")
    monkeypatch.undo()
    fastsgd.train(other, X, y, epochs=3, seed=0, resume=tmp_path / "run.ckpt")
    np.testing.assert_array_equal(other.params, net.params)


def test_resume_true_begins_where_there_is_nothing_to_go_on_from(digits, tmp_path):
    net, X, y = start(digits)
    path = tmp_path / "run.ckpt"
    steps = [fastsgd.train(net, X, y, epochs=2, seed=0, checkpoint=path, resume=True).steps for _ in range(2)]
    before = path.read_bytes()
    assert steps == [14, 14]
    history = fastsgd.train(net, X, y, epochs=5, seed=0, checkpoint=path, resume=True)       # and longer
    twin, _, _ = start(digits)
    assert history.cost == fastsgd.train(twin, X, y, epochs=5, seed=0).cost
    np.testing.assert_array_equal(net.params, twin.params)
    assert path.read_bytes() != before


@pytest.fixture
def written(digits, tmp_path):
    net, X, y = start(digits)
    fastsgd.train(net, X, y, epochs=1, seed=0, checkpoint=tmp_path / "run.ckpt", callbacks=[fastsgd.EarlyStopping()])
    return net, X, y, tmp_path / "run.ckpt"


@pytest.mark.parametrize(("changes", "message"), [
    ({"batch_size": 50}, "batch_size: 100 in the checkpoint, 50 here"),
    ({"optimizer": fastsgd.SGD(0.2)}, r"optimizer: SGD\(0.1\) in the checkpoint, SGD\(0.2\) here"),
    ({"seed": 1}, "seed: 0 in the checkpoint, 1 here"),
    ({"dropout": 0.5}, r"dropout: \[\] in the checkpoint, \[0.5\] here"),
    ({"validation": 0.5}, "validation: None in the checkpoint, 0.5 here"),
    ({"sample_weight": np.arange(ROWS)}, "data: .* in the checkpoint"),
    ({"kernel": "reference"}, "kernel: fused in the checkpoint, reference here"),
    ({"callbacks": []}, r"callbacks with a state: \['EarlyStopping'\] in the checkpoint, \[\] here"),
    ({"net": fastsgd.Network([64, 25, 10])}, r"network: Network\(\[64, 24, 10\].*in the checkpoint, Network\(\[64, 25"),
    ({"net": fastsgd.Network([64, 24, 10], input_scale=2.0)}, r"input_scale: None in the checkpoint, \[2.0\] here"),
    ({"X": np.ones((ROWS, 64))}, "data: .*checksum"),
    ({"X": np.ones((3, 64)), "y": [0, 1, 2]}, "rows: 700 in the checkpoint, 3 here"),
])
def test_a_checkpoint_of_another_run_is_refused(written, changes, message):
    net, X, y, path = written
    before, content = net.params.copy(), path.read_bytes()
    arguments = {"net": net, "X": X, "y": y, "epochs": 3, "seed": 0, "callbacks": [fastsgd.EarlyStopping()], **changes}
    refusal = rf"run\.ckpt is a checkpoint of another run, nothing was changed; .*{message}"
    with pytest.raises(ValueError, match=refusal):
        fastsgd.train(**arguments, checkpoint=path, resume=True)
    assert (net.params == before).all()
    assert path.read_bytes() == content


def damages():
    def change(**changes):
        def damage(header, body):
            content = json.loads(header["__metadata__"]["fastsgd.checkpoint"])
            header["__metadata__"]["fastsgd.checkpoint"] = json.dumps({**content, **changes})
            return join(header, body)
        return damage

    return {
        "an older layout": (change(version=0), "is a checkpoint of layout 0, this fastsgd .* resumes from layout 1"),
        "no version": (change(version=None), "is a checkpoint of layout None"),
        "another history": (change(history={}), "is damaged: its checksum"),
        "another bit": (lambda header, body: join(header, bytes([body[0] ^ 1]) + body[1:]), "is damaged: its checksum"),
        "cut short": (lambda header, body: join(header, body[:-4]), "is cut short"),
        "a network": (lambda header, body: join({**header, "__metadata__": {
            name: text for name, text in header["__metadata__"].items() if name != "fastsgd.checkpoint"}}, body),
            "is not a checkpoint"),
        "no JSON": (lambda header, body: join({**header, "__metadata__": {
            **header["__metadata__"], "fastsgd.checkpoint": "{"}}, body), "not valid JSON"),
        "a list": (lambda header, body: join({**header, "__metadata__": {
            **header["__metadata__"], "fastsgd.checkpoint": "[]"}}, body), "is a checkpoint of layout None"),
    }


@pytest.mark.parametrize("name", damages())
def test_damaged_checkpoints_are_refused_and_left_alone(written, name):
    net, X, y, path = written
    damage, message = damages()[name]
    path.write_bytes(damage(*parts(path)))
    before, content = net.params.copy(), path.read_bytes()
    with pytest.raises(ValueError, match=rf"run\.ckpt.*{message}"):
        fastsgd.train(net, X, y, epochs=3, seed=0, checkpoint=path, resume=path)
    assert (net.params == before).all()
    assert path.read_bytes() == content


def test_a_run_that_diverges_leaves_the_last_good_checkpoint(digits, tmp_path):
    net, X, y = start(digits)
    path = tmp_path / "run.ckpt"
    with pytest.raises(FloatingPointError, match="stopped being finite"), np.errstate(all="ignore"):
        fastsgd.train(net, X, y, optimizer=fastsgd.SGD(lambda step: 0.1 if step < 14 else 1e30), epochs=9, seed=0,
                      checkpoint=fastsgd.Checkpoint(path, epochs=1))
    assert np.isfinite(fastsgd.Network.load(path).params).all()
    (header, _) = parts(path)
    assert json.loads(header["__metadata__"]["fastsgd.checkpoint"])["progress"]["steps"] == 14


@pytest.mark.parametrize(("arguments", "error", "message"), [
    ({"epochs": 0}, ValueError, "Checkpoint: epochs must be above 0, got 0"),
    ({"steps": 1.5}, TypeError, "Checkpoint: steps must be a whole number, got 1.5"),
    ({"seconds": "1"}, TypeError, "Checkpoint: seconds must be a number, got '1'"),
])
def test_bad_arguments_of_checkpoint(arguments, error, message):
    with pytest.raises(error, match=message):
        fastsgd.Checkpoint("run.ckpt", **arguments)


def test_a_folder_that_cannot_be_written_to_is_found_before_training(digits, tmp_path):
    net, X, y = start(digits)
    before = net.params.copy()
    for path in (tmp_path / "nowhere" / "run.ckpt", tmp_path, *([Path("/proc/run.ckpt")] * (os.name == "posix"))):
        with pytest.raises(OSError, match=f"cannot write: .*{re.escape(repr(str(path)))}"):
            fastsgd.train(net, X, y, checkpoint=path)
    assert (net.params == before).all()
    assert not os.listdir(tmp_path)


def forged(**changes):
    """A damage that recomputes the checksum; ``changes`` are functions of the content's parts."""
    def damage(path):
        with checkpoint.TensorFile(path) as file:
            tensors = {name: file.read(name) for name in file.tensors}
            metadata = dict(file.metadata)
        content = json.loads(metadata["fastsgd.checkpoint"])
        content.pop("checksum")
        for name, change in changes.items():
            if name == "tensors":
                change(tensors)
            else:
                content[name] = change(content[name])
        content = {name: part for name, part in content.items() if part is not None}
        content["checksum"] = checkpoint._checksum(content, list(tensors.items()))
        checkpoint.safetensors.write(path, tensors.items(), {**metadata, "fastsgd.checkpoint": json.dumps(content)})
    return damage


def progress(**values):
    return forged(progress=lambda part: {**part, **values})


@pytest.mark.parametrize("damage", [
    forged(plan=lambda part: None), forged(progress=lambda part: None), forged(callbacks=lambda part: [3]),
    forged(history=lambda part: {}), forged(progress=lambda part: [1]), progress(steps=-1), progress(steps="a"),
    progress(steps_at_epoch=10**9), progress(steps=10**9, steps_at_epoch=10**9 - 10**6), progress(factors=[3]),
    progress(factors=None), progress(draw={}), progress(draw={"bit_generator": "MT19937"}), progress(cost=None),
    progress(first_draw=7), forged(tensors=lambda tensors: tensors.pop("run.slots")),
    forged(tensors=lambda tensors: tensors.update({"run.slots": np.zeros(1, "f4")})),
    forged(tensors=lambda tensors: tensors.update({"run.history.cost": np.zeros((2, 2))})),
    forged(tensors=lambda tensors: tensors.update({"run.history.money": np.zeros(2)})),
    forged(tensors=lambda tensors: tensors.update({"run.params": np.zeros(1, "f4")})),
])
def test_forged_checkpoints_are_refused_too(written, damage):
    net, X, y, path = written
    damage(path)
    before = net.params.copy()
    with pytest.raises(ValueError, match=r"run\.ckpt"):
        fastsgd.train(net, X, y, epochs=3, seed=0, resume=path, callbacks=[fastsgd.EarlyStopping()])
    assert (net.params == before).all()


@pytest.mark.parametrize("damage", [
    forged(callbacks=lambda part: [[part[0][0], {}]]),
    *(forged(callbacks=lambda part, forgery=forgery: [[part[0][0], {**part[0][1], **forgery}]])
      for forgery in ({"waited": "1"}, {"waited": -5}, {"best_step": None}, {"best_figure": "a"})),
    forged(tensors=lambda tensors: tensors.update({"run.callback.0.best": np.zeros(3, "f4")})),
    forged(tensors=lambda tensors: tensors.update(
        {"run.callback.0.best": np.full_like(tensors["run.callback.0.best"], np.nan)})),
])
def test_forged_callbacks_are_refused_too(written, damage):
    net, X, y, path = written
    damage(path)
    with pytest.raises(ValueError, match="the checkpoint is damaged in what EarlyStopping keeps: "):
        fastsgd.train(net, X, y, epochs=3, seed=0, resume=path, callbacks=[fastsgd.EarlyStopping()])
    assert np.isfinite(net.params).all()


def test_save_is_for_moments_between_steps(digits, tmp_path):
    net, X, y = start(digits)
    callback = fastsgd.Callback()
    callback.on_start = lambda run: run.save(tmp_path / "run.ckpt")
    with pytest.raises(RuntimeError, match=r"run\.save may be called in on_evaluation and on_epoch"):
        fastsgd.train(net, X, y, callbacks=[callback])


class Keeps(fastsgd.Callback):
    """What it keeps it changes in place, and it has nothing to keep before it starts."""

    def on_start(self, run):
        self.kept = {}

    def on_epoch(self, run):
        self.kept.setdefault("seen", []).append(np.int64(run.epoch))

    def state(self):
        return self.kept

    def restore(self, run, state):
        self.kept = state


def test_what_callbacks_keep_is_of_the_moment_before(digits, tmp_path):
    net, X, y = start(digits)
    path = tmp_path / "run.ckpt"
    with pytest.raises(KeyboardInterrupt):
        fastsgd.train(net, X, y, epochs=4, seed=0, checkpoint=path, callbacks=[Keeps(), interrupt_after(14)])
    again = Keeps()
    fastsgd.train(net, X, y, epochs=4, seed=0, resume=path, callbacks=[again])
    assert again.kept["seen"] == [1, 2, 3, 4]


def test_stopping_that_was_interrupted_stops_at_the_same_step(digits, tmp_path):
    net, X, y = start(digits)
    settings = {"epochs": 3, "seed": 0, "validation": 0.5, "evaluate_every": 2, "batch_size": 50}
    patient = {"patience": 1, "min_delta": 100.0}
    fastsgd.train(net, X, y, **settings, callbacks=[fastsgd.EarlyStopping(**patient)])
    other, _, _ = start(digits)
    path = tmp_path / "run.ckpt"
    with pytest.raises(KeyboardInterrupt):
        fastsgd.train(other, X, y, **settings, checkpoint=path,
                      callbacks=[fastsgd.EarlyStopping(**patient), interrupt_after(4)])
    history = fastsgd.train(other, X, y, **settings, resume=path, callbacks=[fastsgd.EarlyStopping(**patient)])
    assert history.steps == 4
    np.testing.assert_array_equal(other.params, net.params)


def test_a_stop_at_the_last_step_of_an_epoch_that_was_not_told_of_yet(digits, tmp_path):
    _, X, y = start(digits)
    settings = {"epochs": 3, "seed": 0, "validation": 0.5, "evaluate_every": 7, "batch_size": 50}

    def run(*more, **arguments):
        net = fastsgd.Network([64, 24, 10], seed=0)
        return net, fastsgd.train(net, X, y, **settings, **arguments,
                                  callbacks=[fastsgd.EarlyStopping(1, min_delta=100.0), *more])

    net, expected = run()
    assert (expected.steps, expected.epochs) == (14, 2)
    path = tmp_path / "run.ckpt"
    with pytest.raises(KeyboardInterrupt):
        run(interrupt_after(14, ["on_epoch"]), checkpoint=path)
    again, history = run(resume=path)
    assert {**history.as_dict(), "seconds": 0} == {**expected.as_dict(), "seconds": 0}
    np.testing.assert_array_equal(again.params, net.params)


def refusing(hook):
    callback = fastsgd.Callback()

    def refuse(*_):
        raise ValueError("no")
    setattr(callback, hook, refuse)
    return callback


@pytest.mark.parametrize("keeps", [False, True])
def test_a_run_that_does_not_begin_leaves_the_network_as_it_was(digits, tmp_path, keeps):
    _, X, y = start(digits)
    path, stopping = tmp_path / "run.ckpt", fastsgd.EarlyStopping
    bad = refusing("on_start")
    if keeps:
        bad = type("Keeps", (fastsgd.Callback,), {"state": lambda self: {"a": 1}, "restore": bad.on_start})()
    fastsgd.train(fastsgd.Network([64, 10], seed=0), X, y, epochs=2, seed=0, checkpoint=path,
                  callbacks=[stopping(), type(bad)()])
    net = fastsgd.Network([64, 10], seed=5)
    before = net.params.copy()
    with pytest.raises(ValueError, match="no"):
        fastsgd.train(net, X, y, epochs=4, seed=0, resume=path, callbacks=[stopping(), bad])
    np.testing.assert_array_equal(net.params, before)
    optimizer = fastsgd.SGD(0.1, average="polyak")
    state = optimizer.state(net.params)
    fastsgd.train(net, X, y, optimizer=optimizer, state=state)
    before = net.params.copy()
    with pytest.raises(ValueError, match="no"):
        fastsgd.train(net, X, y, optimizer=optimizer, state=state, callbacks=[refusing("on_start")])
    with pytest.raises(ValueError, match="nothing was changed"):
        fastsgd.train(net, X, y, optimizer=optimizer, state=state, resume=path)
    np.testing.assert_array_equal(net.params, before)


def test_other_validation_rows_are_another_run(digits, tmp_path):
    net, X, y = start(digits)
    path = tmp_path / "run.ckpt"
    fastsgd.train(net, X, y, epochs=1, seed=0, validation=(X[:50], y[:50]), checkpoint=path)
    for other in (None, (X[:60], y[:60]), (X[50:100], y[50:100]), 0.1):
        with pytest.raises(ValueError, match=r"another run.*; validation: 50 rows of 64, checksum"):
            fastsgd.train(net, X, y, epochs=2, seed=0, validation=other, resume=path)


@pytest.mark.parametrize("resume", [1, 2.5, 0])
def test_a_number_is_no_checkpoint(digits, resume):
    net, X, y = start(digits)
    with pytest.raises(TypeError, match=rf"resume must be True, False or the path of a checkpoint, got {resume}"):
        fastsgd.train(net, X, y, resume=resume)
    with pytest.raises(TypeError, match=r"expected str, bytes or os.PathLike object, not"):
        fastsgd.Network.load(resume)


def test_a_run_with_nothing_to_do_leaves_a_checkpoint(digits, tmp_path):
    net, X, y = start(digits)
    fastsgd.train(net, X, y, epochs=0, checkpoint=tmp_path / "run.ckpt")
    assert (fastsgd.Network.load(tmp_path / "run.ckpt").params == net.params).all()


def test_divergence_with_an_average_keeps_what_it_says(digits):
    net, X, y = start(digits)
    before = net.params.copy()
    with pytest.raises(FloatingPointError, match="the initial parameters are kept"), np.errstate(all="ignore"):
        fastsgd.train(net, X * 100, y, optimizer=fastsgd.SGD(1e30, average=0.9))
    np.testing.assert_array_equal(net.params, before)


def test_the_clock_of_checkpoints(stopped_clock):
    time = stopped_clock(checkpoint)

    def clock(**when):
        return checkpoint.CheckpointTimer(fastsgd.Checkpoint("run", **when))

    every_ten_seconds, by_steps, by_seconds = clock(), clock(steps=4), clock(seconds=3)
    assert not by_steps.is_due(3, 9, False)
    assert by_steps.is_due(4, 0, False)
    assert [by_steps.steps_left(steps) for steps in (0, 3, 4, 9)] == [4, 1, 1, 1]
    assert every_ten_seconds.steps_left(0) > 2**39
    assert by_steps.is_due(1, 0, True)
    assert not by_steps.is_due(0, 0, True)
    assert clock(epochs=2).is_due(9, 2, False)
    assert not clock(epochs=2).is_due(9, 1, False)
    time.now = 3.0
    assert by_seconds.expired()
    assert by_seconds.is_due(0, 0, False)
    assert not every_ten_seconds.expired()
    time.now = 10.0
    assert every_ten_seconds.expired()
    assert not by_steps.expired()
    by_seconds.restart(5, 1, written=True)
    assert not by_seconds.expired()
    by_seconds.restart(6, 1)
    assert by_seconds.written


def test_arrays_of_another_byte_order_or_layout_are_kept(digits, tmp_path):
    class Keeper(fastsgd.Callback):
        def state(self):
            return {"big": np.arange(3, dtype=">f8"), "turned": np.arange(6.0).reshape(2, 3).T, "one": np.array(2.5),
                    "none": np.zeros((0, 3))}

        def restore(self, run, state):
            self.restored = state

    keeper = Keeper()
    for epochs in (1, 2):
        net, X, y = start(digits)
        fastsgd.train(net, X, y, epochs=epochs, checkpoint=tmp_path / "run", resume=epochs > 1, callbacks=[keeper])
    for name, array in keeper.state().items():
        np.testing.assert_array_equal(keeper.restored[name], array)


def test_what_a_checkpoint_cannot_keep(digits, tmp_path):
    class Keeper(fastsgd.Callback):
        def state(self):
            return {"bad": {1, 2}}

    net, X, y = start(digits)
    with pytest.raises(TypeError) as caught:
        fastsgd.train(net, X, y, epochs=1, checkpoint=tmp_path / "run", callbacks=[Keeper()])
    assert str(caught.value) == "a checkpoint keeps numbers, text, lists, dicts and arrays, got set"


def test_the_version_of_a_library_that_is_not_installed(monkeypatch):
    def missing(_):
        raise importlib.metadata.PackageNotFoundError

    monkeypatch.setattr("importlib.metadata.version", missing)
    assert checkpoint.library_version() == "unknown"


def test_a_checkpoint_needs_a_generator_it_can_keep(digits, tmp_path):
    net, X, y = start(digits)
    with pytest.raises(ValueError, match=r"^seed: a checkpoint needs a seed or a generator of PCG64, .*; got MT19937$"):
        fastsgd.train(net, X, y, seed=np.random.Generator(np.random.MT19937(0)), checkpoint=tmp_path / "run")
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("change", ["slots", "steps", "lengths"])
def test_parts_that_do_not_fit_each_other(digits, tmp_path, change):
    net, X, y = start(digits)
    path, settings = tmp_path / "run", {"optimizer": fastsgd.SGD(0.1, momentum=0.9), "seed": 0}
    fastsgd.train(net, X, y, **settings, epochs=1, checkpoint=path)
    saved = checkpoint.CheckpointData.read(path)
    if change == "slots":
        saved.slots = np.zeros((2, net.params.size), net.dtype)
        message = r"run is damaged: its slots have shape \(2, \d+\)$"
    elif change == "steps":
        saved.counters.steps += 9
        saved.counters.factors.append([9, 1.0])
        message = r"run is damaged: an epoch has not 9 steps$"
    else:
        saved.history.cost.append(1.0)
        message = r"run is damaged: ValueError: its history has lists of different lengths$"
    saved.write(path, net.architecture, net.params, {})
    before = net.params.copy()
    with pytest.raises(ValueError, match=message):
        fastsgd.train(net, X, y, **settings, epochs=2, resume=path)
    np.testing.assert_array_equal(net.params, before)


def test_each_difference_from_the_run_that_wrote_the_checkpoint_is_told(digits, tmp_path):
    (X, y), _ = digits
    path, shared = tmp_path / "run", {"epochs": 1, "seed": 0}

    def network(loss="hinge"):
        return fastsgd.Network([64, 10], loss=loss, seed=0)

    fastsgd.train(network(), X, y, **shared, checkpoint=path)
    with pytest.raises(ValueError, match=r"run is a checkpoint of another run, nothing was changed; positive_weight: "
                                         r"None in the checkpoint, \[[0-9., ]+\] here; weighted_steps: None in the "
                                         r"checkpoint, True here$"):
        fastsgd.train(network(), X, y, **shared, class_weight="balanced", weighted_steps=True, resume=path)
    fastsgd.train(network(fastsgd.losses.Huber(0.5)), X, np.eye(10)[y], **shared, checkpoint=path)
    with pytest.raises(ValueError, match=r"; loss_parameters: \[0\.5, .*\] in the checkpoint, \[2\.0, .*\] here$"):
        fastsgd.train(network(fastsgd.losses.Huber(2.0)), X, np.eye(10)[y], **shared, resume=path)


PLACE = {"steps": 5, "steps_at_epoch": 2, "cost": 1.5, "score": 3.0, "seconds": 0.5, "rate_factor": 1.0,
         "factors": [[3, 1.0]], "rng_at_start": np.random.default_rng(0).bit_generator.state,
         "rng_at_epoch": np.random.default_rng(1).bit_generator.state}


@pytest.mark.parametrize(("values", "message"), [
    ({"steps": 2.5}, "steps is 2.5"), ({"seconds": None}, "seconds is None"), ({"score": 1}, "score is 1"),
    ({"factors": ((3, 1.0),)}, "factors is ((3, 1.0),)"), ({"steps": 1}, "1 steps, 2 before the epoch"),
    ({"steps_at_epoch": -1}, "5 steps, -1 before the epoch"), ({"cost": np.nan}, "cost is nan"),
    ({"rate_factor": np.inf}, "rate_factor is inf"), ({"cumulative_l1": -np.inf}, "cumulative_l1 is -inf"),
    ({"mu_product": np.nan}, "mu_product is nan"), ({"weight_sum": 1}, "weight_sum is 1"),
    ({"factors": [[2, 1.0]]}, "its passes lack 1 steps"),
    ({"factors": [[-3, 1.0]]}, "a pass has -3 steps and the factor 1.0"),
    ({"factors": [[3, np.nan]]}, "a pass has 3 steps and the factor nan"),
    ({"rng_at_epoch": {"bit_generator": "MT19937"}},
     "the generator's state is not PCG64's: state must be for a PCG64 RNG"),
])
def test_counters_that_no_run_can_have(values, message):
    assert Counters(**PLACE).checked().steps_in_epoch == 3
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Counters(**{**PLACE, **values}).checked()


@pytest.mark.parametrize(("damage", "message"), [
    (forged(plan=lambda part: {**part, "batch_size": "10"}), "ValueError: batch_size is '10'"),
    (forged(plan=lambda part: {**part, "batch_size": -1}), "ValueError: batch_size is -1"),
    (forged(history=lambda part: {**part, "steps": 9}), "ValueError: its history has 9 steps and 'accuracy'"),
    (forged(history=lambda part: {**part, "metric_name": "x"}), "ValueError: its history has 7 steps and 'x'"),
    (forged(tensors=lambda tensors: tensors["biases.0"].fill(np.nan)), "ValueError: a parameter is not finite"),
    (forged(tensors=lambda tensors: tensors.update({"run.params": np.zeros(3, "f4")})),
     "its arrays have shapes (3,) and (0, 0)"),
    (forged(tensors=lambda tensors: tensors.update({"run.slots": np.zeros((0, 0), "f8")})),
     "its arrays have shapes (1810,) and (0, 0)"),
])
def test_what_is_said_of_a_forged_checkpoint(written, damage, message):
    damage(written[3])
    with pytest.raises(ValueError, match=rf"run\.ckpt is damaged: {re.escape(message)}$"):
        checkpoint.CheckpointData.read(written[3])


def test_what_is_said_of_another_layout_and_of_many_differences(written):
    *_, path = written
    header, body = parts(path)
    content = json.loads(header["__metadata__"]["fastsgd.checkpoint"])
    saved = checkpoint.CheckpointData.read(path)
    with pytest.raises(ValueError, match="another run") as caught:
        saved.require(path, {f"part {i}": i for i in range(30)}, [])
    assert str(caught.value).count("; ") == 20
    header["__metadata__"]["fastsgd.checkpoint"] = json.dumps({**content, "version": 2})
    path.write_bytes(join(header, body))
    advice = f"resumes from layout 1; fastsgd.Network.load({str(path)!r}) still reads its network"
    with pytest.raises(ValueError, match=f"{re.escape(advice)}$"):
        checkpoint.CheckpointData.read(path)
    header["__metadata__"]["fastsgd.checkpoint"] = json.dumps({name: content[name] for name in sorted(content)[::-1]})
    path.write_bytes(join(header, body))
    assert checkpoint.CheckpointData.read(path).plan == saved.plan          # in whichever order its parts are


def test_a_checkpoint_of_steps_of_one_row(digits, tmp_path):
    net, X, y = start(digits)
    fastsgd.train(net, X[:9], y[:9], batch_size=1, seed=0, epochs=1, checkpoint=tmp_path / "run", validation=0.5,
                  evaluate_every=2)
    saved = checkpoint.CheckpointData.read(tmp_path / "run")
    assert (saved.batch_size, saved.history.steps, saved.history.validation_steps) == (1, 5, [2, 4])
    with checkpoint.TensorFile(tmp_path / "run") as file:
        assert {file.read(name).dtype for name in file.tensors if name.startswith("run.history.")} == {np.dtype(float)}
    content = (tmp_path / "run").read_bytes()
    (tmp_path / "run").write_bytes(content.replace(b'\\"checksum\\"', b'\\"checkfun\\"'))
    with pytest.raises(ValueError, match=r"is damaged: its checksum is not that of its contents$"):
        checkpoint.CheckpointData.read(tmp_path / "run")


@pytest.mark.parametrize(("seed", "told"), [(None, None), (7, 7), (np.random.default_rng(7), "Generator")])
def test_the_seed_that_a_checkpoint_tells(digits, tmp_path, seed, told):
    net, X, y = start(digits)
    fastsgd.train(net, X, y, seed=seed, epochs=1, checkpoint=tmp_path / "run")
    assert checkpoint.CheckpointData.read(tmp_path / "run").plan["seed"] == told


def test_what_is_wrong_in_what_a_callback_keeps_is_told(written):
    net, X, y, path = written
    forged(callbacks=lambda part: [[part[0][0], {}]])(path)
    with pytest.raises(ValueError, match="in what EarlyStopping keeps: KeyError: "):
        fastsgd.train(net, X, y, epochs=3, seed=0, resume=path, callbacks=[fastsgd.EarlyStopping()])


def test_a_checkpoint_with_an_average_that_is_not_finite(digits, tmp_path):
    net, X, y = start(digits)
    optimizer = fastsgd.SGD(0.1, average=0.9)
    fastsgd.train(net, X, y, optimizer=optimizer, seed=0, epochs=1, checkpoint=tmp_path / "run", validation=0.5,
                  evaluate_every=3)
    with pytest.raises(ValueError, match=r"nothing was changed; evaluate_every: 3 in the checkpoint, 4 here$"):
        fastsgd.train(net, X, y, optimizer=optimizer, seed=0, epochs=2, resume=tmp_path / "run", validation=0.5,
                      evaluate_every=4)
    good = (tmp_path / "run").read_bytes()
    for name in ("run.params", "biases.0"):
        (tmp_path / "run").write_bytes(good)
        forged(tensors=lambda tensors, name=name: tensors[name].fill(np.inf))(tmp_path / "run")
        with pytest.raises(ValueError, match=r"run is damaged: ValueError: a parameter is not finite$"):
            checkpoint.CheckpointData.read(tmp_path / "run")


@pytest.mark.parametrize("average_from", [254, 255, 256])
def test_a_checkpoint_where_the_average_begins_changes_no_bit(tmp_path, monkeypatch, average_from):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((300, 5000), np.float32), rng.integers(0, 10, 300)
    optimizer = fastsgd.SGD(0.01, average="polyak", average_from=average_from)
    write = TrainingRun._write
    monkeypatch.setattr(TrainingRun, "_write", lambda self, path: write(self, f"{path}.{self.steps}"))

    def trained(**arguments):
        net = fastsgd.Network([5000, 10], loss="hinge", seed=0)
        fastsgd.train(net, X, y, optimizer=optimizer, batch_size=1, epochs=1, seed=0, **arguments)
        return net.params

    expected, path = trained(), tmp_path / "run"
    np.testing.assert_array_equal(trained(checkpoint=fastsgd.Checkpoint(path, steps=256)), expected)
    np.testing.assert_array_equal(trained(resume=f"{path}.256"), expected)


def test_rates_of_a_run_that_is_resumed_within_an_epoch_and_stops_at_once(digits, tmp_path):
    net, X, y = start(digits)
    path = tmp_path / "run.ckpt"

    class StopAt(fastsgd.Callback):
        def __init__(self, steps):
            self.steps = steps

        def on_start(self, run):
            run.stop = run.steps >= self.steps

        def on_evaluation(self, run):
            run.stop = run.steps >= self.steps

    def trained(**arguments):
        rates = fastsgd.LearningRates()
        history = fastsgd.train(net, X, y, epochs=3, seed=0, validation=(X[:9], y[:9]), evaluate_every=2,
                                optimizer=fastsgd.SGD(lambda step: 1 / (1 + step)), checkpoint=path,
                                callbacks=[rates, StopAt(2)], **arguments)
        return history.steps, rates.rates.tolist()

    assert trained() == trained(resume=True) == (2, [1, 0.5])


def test_a_rate_factor_set_within_an_epoch_acts_at_the_same_step_with_checkpoints_and_without(digits, tmp_path):
    (X, y), _ = digits
    X, y = np.tile(X, (60, 1)), np.tile(y, 60)

    class Halve(fastsgd.Callback):
        called = 0

        def on_rows(self, run):
            self.called += run.rows_done < len(X)
            run.rate_factor = 0.5

    found = []
    for arguments in ({}, {"checkpoint": fastsgd.Checkpoint(tmp_path / "run.ckpt", steps=20_000)}):
        net, rates, halve = fastsgd.Network([64, 64, 10], seed=0), fastsgd.LearningRates(), Halve()
        fastsgd.train(net, X, y, optimizer=fastsgd.SGD(1e-3), batch_size=1, epochs=1, seed=0, threads=1, **arguments,
                      callbacks=[halve, rates])
        assert halve.called
        assert set(rates.rates) == {1e-3}
        found.append(net.params)
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize(("optimizer", "epochs", "way"), [
    (fastsgd.SGD(0.1), 2, r"has made all that epochs=2 asks for; a larger epochs= trains on"),
    (fastsgd.SGD(Cosine(0.1)), 2, r"has made all .*; its schedule ends there, so to train on, begin another run with "
                                  r"fastsgd\.Network\.load of this file"),
    (fastsgd.SGD(0.0), 9, r"a callback had ended, and does so again; to train on, give it more patience, or begin")])
def test_a_finished_run_says_that_nothing_was_trained_and_the_way_on(digits, tmp_path, optimizer, epochs, way):
    net, X, y = start(digits)
    path = tmp_path / "run.ckpt"

    def trained(net, more=0, patience=3, **arguments):
        stopping = fastsgd.EarlyStopping(patience, monitor="validation_cost")
        return fastsgd.train(net, X, y, epochs=epochs + more, seed=0, optimizer=optimizer, checkpoint=path, resume=True,
                             validation=(X[:9], y[:9]), callbacks=[stopping], **arguments)

    made = trained(net).epochs
    with pytest.warns(UserWarning, match=f"nothing was trained: .*run.ckpt is the checkpoint of a run that {way}"
                      ) as found:
        trained(net)
    assert found[0].filename == __file__
    if "larger" in way:                                                     # the way leads on
        assert trained(net, more=1).epochs == made + 1
    elif "patience" in way:
        assert trained(net, patience=5).epochs == made + 2
    else:
        path.rename(tmp_path / "first.ckpt")
        assert trained(fastsgd.Network.load(tmp_path / "first.ckpt")).epochs == epochs


def test_a_schedule_that_cannot_be_extended_names_the_way(digits, tmp_path):
    net, X, y = start(digits)
    arguments = {"seed": 0, "checkpoint": tmp_path / "run.ckpt", "resume": True, "optimizer": fastsgd.SGD(Cosine(0.1))}
    fastsgd.train(net, X, y, epochs=1, **arguments)
    with pytest.raises(ValueError, match=r"belongs to its number of epochs: to train on, begin another run with "
                                         r"fastsgd\.Network\.load of this file"):
        fastsgd.train(net, X, y, epochs=2, **arguments)
    with pytest.raises(ValueError, match=r"rate=0\.2, steps=\d+, end=0\.0\)\) here$"):
        fastsgd.train(net, X, y, epochs=1, **{**arguments, "optimizer": fastsgd.SGD(Cosine(0.2))})
