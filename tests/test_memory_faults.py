"""Is memory that is missing a MemoryError and no harm, and memory that nobody has refused? More in tests/soak."""
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from soak import cycles

import fastsgd

SOAK = Path(__file__).parent / "soak" / "allocations.py"
linux = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")


@linux
@pytest.mark.parametrize(("allocator", "stride"), [("python", 97), ("numpy", 19)])
def test_failed_allocations(allocator, stride):
    if allocator == "numpy" and not shutil.which("cc"):
        pytest.skip("needs a C compiler")
    if allocator == "python":
        pytest.importorskip("_testcapi")
    result = subprocess.run([sys.executable, SOAK, "--stride", str(stride), "--allocator", allocator],
                            capture_output=True, text=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.count("others {}") == 4
    assert len(re.findall(r" [1-9]\d* MemoryError", result.stdout)) >= 2        # of train, predict, save and load


@linux
def test_cycles_of_train_predict_save_and_load_take_no_more_memory():
    assert cycles.grown(300, 200) < 10**6


@pytest.mark.parametrize("sizes", [[2**40, 10], [10, 2**40], [2**32, 2**32], [4, 2**62, 2], [2**63, 2], [2**31 - 1, 2]])
def test_absurd_sizes_are_refused(sizes):
    with pytest.raises(ValueError, match="parameters; at most 2,147,483,647 are supported"):
        fastsgd.Network(sizes)


@pytest.mark.parametrize("hidden", [(2**40,), (2**32, 2**32), (2**63,)])
def test_absurd_estimators_are_refused(digits, hidden):
    pytest.importorskip("sklearn")
    (X, y), _ = digits
    with pytest.raises(ValueError, match="parameters; at most 2,147,483,647 are supported"):
        fastsgd.MLPClassifier(hidden).fit(X, y)


@pytest.mark.parametrize("settings", [
    {"batch_size": 2**62}, {"batch_size": 2**70}, {"accumulate": 2**62}, {"epochs": 2**62}, {"epochs": 2**70},
    {"epochs": 2**70, "optimizer": fastsgd.SGD(fastsgd.schedules.Cosine(0.1))}, {"threads": 2**62},
    {"evaluate_every": 2**62, "validation": 0.5},
    {"optimizer": fastsgd.SGD(0.1, average="polyak", average_from=2**70)}])
def test_absurd_numbers_of_rows_and_steps_mean_all_of_them(digits, settings):
    (X, y), _ = digits
    history = fastsgd.train(fastsgd.Network([64, 10]), X[:100], y[:100],
                            callbacks=[lambda run: setattr(run, "stop", True)], **settings)
    assert history.epochs == history.steps == 1


@pytest.mark.parametrize(("rows", "error", "message"), [
    (2**48, MemoryError, "Unable to allocate"), (2**57, ValueError, "rows must be at most 18,014,398,509,481,983 for"),
    (2**70, ValueError, "rows must be at most 18,014,398,509,481,983 for this network, got 1,180,591,")])
def test_a_predictor_of_absurdly_many_rows(rows, error, message):
    with pytest.raises(error, match=message):
        fastsgd.Network([64, 10]).compile_predictor(rows)


def test_one_row_that_stands_for_more_than_there_is_memory_for():
    net, X = fastsgd.Network([64, 10]), np.broadcast_to(np.float32(0), (2**44, 64))
    with pytest.raises(MemoryError):
        net.predict(X)
    with pytest.raises(MemoryError):
        fastsgd.train(net, X, np.broadcast_to(np.int32(0), len(X)))
    assert (net.predict(X[:1000]) == net.predict(np.zeros((1000, 64)))).all()
