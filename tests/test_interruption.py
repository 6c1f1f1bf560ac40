"""Is a run that Ctrl-C meets at any line of its loop one to go on from?"""
import sys
import threading
import time

import numpy as np
import pytest

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


def interrupted_at(line: int, function) -> bool:
    """Raises KeyboardInterrupt at the so-manieth line that is run in FILES; whether it came to that."""
    count = 0

    def trace(frame, event, argument):
        nonlocal count
        if frame.f_code.co_filename not in FILES:
            return None
        if event == "line":
            count += 1
            if count == line:
                sys.settrace(None)
                raise KeyboardInterrupt
        return trace

    sys.settrace(trace)
    try:
        function()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(None)
    return False


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")      # a log that was not closed
@pytest.mark.skipif(sys.gettrace() is not None, reason="something else traces")
@pytest.mark.parametrize("way", WAYS)
def test_every_line(digits, tmp_path, way):
    (X, y), _ = digits
    X, y = X[:80], y[:80]
    whole = fastsgd.Network([64, 4, 10], seed=0)
    kept = settings(tmp_path, way)
    expected = fastsgd.train(whole, X, y, **kept)
    log = (tmp_path / "log").read_text().count("\n")
    path = tmp_path / "run.ckpt"
    line, resumed = 1, 0
    while True:
        path.unlink(missing_ok=True)
        net = fastsgd.Network([64, 4, 10], seed=0)
        arguments = {**settings(tmp_path, way), "checkpoint": path}
        if not interrupted_at(line, lambda net=net, arguments=arguments: fastsgd.train(net, X, y, **arguments)):
            break
        line += 1
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
    end = time.monotonic() + 5
    while reading := [thread for thread in threading.enumerate() if "reads ahead" in thread.name]:
        assert time.monotonic() < end, f"{len(reading)} threads still read ahead"
        time.sleep(0.05)
