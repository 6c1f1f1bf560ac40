"""Does fastsgd get along with other libraries' threads in its process, and with other processes on its cores?"""
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from soak import shared_cores

import fastsgd
from fastsgd.engine import machine

if not hasattr(os, "sched_setaffinity"):
    pytest.skip("this system has no affinity that Python can set", allow_module_level=True)


def test_orders_of_import_and_products_between():
    if len(shared_cores.present()) < 3:
        pytest.skip("needs SciPy, scikit-learn or PyTorch beside NumPy")
    alone = shared_cores.run_order(["fastsgd"])
    for names in shared_cores.orders(2):
        assert shared_cores.run_order(names) == alone, names


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_where_a_core_is_taken_two_threads_are_not_much_slower_than_one():
    """Without a rest for the team two threads take three to ten times as long here."""
    cores = sorted(os.sched_getaffinity(0))[:2]
    rng = np.random.default_rng(0)
    X, y = rng.random((10_000, 32), dtype=np.float32), rng.integers(0, 5, 10_000)
    seconds: dict[int, list[float]] = {1: [], 2: []}
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        time.sleep(0.2)
        results = set()
        for threads in [*seconds] * 9:
            net = fastsgd.Network([32, 64, 64, 5], seed=0)
            begin = time.perf_counter()
            fastsgd.train(net, X, y, batch_size=32, epochs=4, seed=0, threads=threads)
            seconds[threads].append(time.perf_counter() - begin)
            results.add(net.params.tobytes())
    finally:
        busy.kill()
        busy.wait()
        os.sched_setaffinity(0, before)
    assert len(results) == 1
    assert statistics.median(seconds[2]) < 2.5 * statistics.median(seconds[1])


def test_cores_that_come_and_go_during_training_change_no_bit():
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs two cores")
    cores = sorted(os.sched_getaffinity(0))
    rng = np.random.default_rng(0)
    X, y = rng.random((20_000, 64), dtype=np.float32), rng.integers(0, 5, 20_000)

    class Moves(fastsgd.Callback):
        def on_epoch(self, run):
            os.sched_setaffinity(0, cores[:1 + run.epoch % len(cores)])

    nets = [fastsgd.Network([64, 128, 5], seed=0) for _ in range(2)]
    try:
        for net, callbacks in zip(nets, ([], [Moves()]), strict=True):
            fastsgd.train(net, X, y, batch_size=64, epochs=8, seed=0, callbacks=callbacks)
    finally:
        os.sched_setaffinity(0, cores)
    np.testing.assert_array_equal(nets[0].params, nets[1].params)


@pytest.fixture
def quota():
    """Sets this process's quota of CPU time, in cores; None takes it away."""
    for root, name in (("/sys/fs/cgroup", "cpu.max"), ("/sys/fs/cgroup/cpu", "cpu.cfs_quota_us")):
        group = Path(root) / f"fastsgd-test-{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            continue
        if (group / name).exists():
            break
        group.rmdir()
    else:
        pytest.skip("needs a cgroup that may be made")

    def give(cores):
        text = {"cpu.max": "max 100000", "cpu.cfs_quota_us": "-1"}[name] if cores is None else f"{int(cores * 1e5)}"
        (group / name).write_text(text)

    (group / "cgroup.procs").write_text(str(os.getpid()))
    yield give
    (group.parent / "cgroup.procs").write_text(str(os.getpid()))
    group.rmdir()


def test_a_quota_that_comes_and_goes_during_training_changes_no_bit(quota):
    rng = np.random.default_rng(0)
    X, y = rng.random((5000, 64), dtype=np.float32), rng.integers(0, 5, 5000)
    seen = []

    class Changes(fastsgd.Callback):
        def on_epoch(self, run):
            quota(0.5 if run.epoch % 4 == 1 else None)
            machine._known_quota = (-np.inf, 0)              # as if a second had passed
            seen.append(machine.cores())

    nets = [fastsgd.Network([64, 128, 5], seed=0) for _ in range(2)]
    for net, callbacks in zip(nets, ([], [Changes()]), strict=True):
        fastsgd.train(net, X, y, batch_size=64, epochs=8, seed=0, threads=2, callbacks=callbacks)
    np.testing.assert_array_equal(nets[0].params, nets[1].params)
    assert seen[0] == seen[4] == 1
