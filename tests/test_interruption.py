"""Is a run that Ctrl-C meets at any line of its loop one to go on from?"""
import os
import sys
import threading
import time

import numpy as np
import pytest
from cases import FULL, SEED

import fastsgd
from fastsgd.runs import checkpoint, evaluation, feeds, history, run, run_state

pytestmark = pytest.mark.filterwarnings("ignore:nothing was trained")        # by runs resumed at their end

FILES = {module.__file__ for module in (run, run_state, feeds, history, checkpoint, evaluation)}


WAYS = {"by steps": {"evaluate_every": 2}, "by epochs": {}, "blocks": {"shuffle": "blocks"}}


def settings(tmp_path, way):
    return {**WAYS[way], "optimizer": fastsgd.SGD(0.1, momentum=0.9, average=0.9), "epochs": 2, "batch_size": 20,
            "seed": 0, "validation": 0.25, "threads": 1,
            "callbacks": [fastsgd.EarlyStopping(50), fastsgd.ReduceOnPlateau(patience=1), fastsgd.LearningRates(),
                          fastsgd.JSONLogger(tmp_path / "log")]}


def lines_of(function, interrupted_at: int | None = None) -> list[tuple[str, int]]:
    """The file and number of each line in FILES that is run, to the end or to a KeyboardInterrupt before that one."""
    lines: list[tuple[str, int]] = []

    def trace(frame, event, argument):
        if frame.f_code.co_filename not in FILES:
            return None
        if event == "line":
            if len(lines) == interrupted_at:
                sys.settrace(None)
                raise KeyboardInterrupt
            lines.append((frame.f_code.co_filename, frame.f_lineno))
        return trace

    sys.settrace(trace)
    try:
        function()
    finally:
        sys.settrace(None)
    return lines


def day_s_moments(lines) -> list[int]:
    """For each line of code one of the times when it is run, and a tenth of all others."""
    if FULL:
        return list(range(len(lines)))
    order = np.random.default_rng([SEED, len(lines)]).permutation(len(lines)).tolist()
    first_drawn = list({lines[i]: i for i in order}.values())
    return sorted({*first_drawn, *order[:len(lines) // 10]})


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")      # a log that was not closed
@pytest.mark.skipif(sys.gettrace() is not None, reason="something else traces")
@pytest.mark.parametrize("way", WAYS)
def test_every_line(digits, tmp_path, way, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda file: None)             # a thousand checkpoints that no power cut threatens
    (X, y), _ = digits
    X, y = X[:80], y[:80]
    whole = fastsgd.Network([64, 4, 10], seed=0)
    kept = settings(tmp_path, way)
    expected = fastsgd.train(whole, X, y, **kept)
    log = (tmp_path / "log").read_text().count("\n")
    path = tmp_path / "run.ckpt"
    resumed = 0

    def train():
        path.unlink(missing_ok=True)
        net = fastsgd.Network([64, 4, 10], seed=0)
        fastsgd.train(net, X, y, **settings(tmp_path, way), checkpoint=path)

    for line in day_s_moments(lines_of(train)):
        try:
            lines_of(train, interrupted_at=line)
        except KeyboardInterrupt:
            pass
        else:
            continue                                 # this time it took fewer lines
        if not path.exists():                        # before the first step
            continue
        resumed += 1
        again, mine = fastsgd.Network([64, 4, 10], seed=9), settings(tmp_path, way)
        found = fastsgd.train(again, X, y, **mine, checkpoint=path, resume=True)
        np.testing.assert_array_equal(again.params, whole.params, err_msg=f"line {line}")
        assert {**found.as_dict(), "seconds": 0} == {**expected.as_dict(), "seconds": 0}, line
        np.testing.assert_array_equal(mine["callbacks"][2].rates, kept["callbacks"][2].rates)
        assert (tmp_path / "log").read_text().count("\n") == log, line
    assert resumed > 20
    end = time.monotonic() + 60
    while reading := [thread for thread in threading.enumerate() if "reads ahead" in thread.name]:
        assert time.monotonic() < end, f"{len(reading)} threads still read ahead"
        time.sleep(0.05)
