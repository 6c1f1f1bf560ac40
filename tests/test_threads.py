"""Are the bits the same for any number of threads, and may many threads use one network?"""
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from c_compiler import compiler
from cases import StepConfig, one_epoch
from soak import preload, processes, teams

import fastsgd
from fastsgd.cached import cached_property
from fastsgd.engine import _kernel, step_model
from fastsgd.engine._kernel import MAX_THREADS
from fastsgd.engine.machine import _read_quota, choose_threads, cores
from fastsgd.engine.step_model import StepModel

CASES = [
    ([784, 128, 10], "relu", fastsgd.SGD(0.1), 100),
    ([784, 16, 16, 10], "logistic", fastsgd.SGD(0.1, momentum=0.9), 10),
    ([54, 256, 256, 7], "tanh", fastsgd.Adam(), 256),
    ([54, 256, 256, 7], "tanh", fastsgd.Muon(), 256),
    ([200, 600, 300, 10], "gelu", fastsgd.RMSprop(), 333),
    ([784, 128, 10], "relu", fastsgd.SGD(0.1, momentum=0.9), None),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("sizes", "activation", "optimizer", "batch_size"), CASES)
def test_any_number_of_threads_gives_the_same_bits(sizes, activation, optimizer, batch_size, dtype):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((1500, sizes[0])), rng.integers(0, sizes[-1], 1500)
    results = []
    for threads in (1, 2, 3, 4, 7, 16):
        net = fastsgd.Network(sizes, activation, dtype=dtype, seed=0)
        history = fastsgd.train(net, X, y, optimizer=optimizer, batch_size=batch_size, epochs=2, seed=0,
                                threads=threads)
        results.append((net.params, history.cost, net.gradient(X, y, threads=threads),
                        net.predict(X, threads=threads), net.cost(X, y, threads=threads)))
    for result in results[1:]:
        for found, expected in zip(result, results[0], strict=True):
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("sizes", [[20, 16, 3], [784, 128, 10]])
def test_a_team_that_adapts_gives_the_same_bits(sizes):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((1000, sizes[0]), dtype=np.float32), rng.integers(0, 3, 1000).astype(np.int32)
    optimizer, order = fastsgd.SGD(0.1), rng.permutation(1000)
    results = []
    for threads, adapts in [(1, False), (2, True), (4, True), (16, True)]:
        net = fastsgd.Network(sizes, seed=0)
        params, state, steps = one_epoch(_kernel, net, X, y, order, StepConfig(optimizer, 2), threads, adapts=adapts)
        results.append(((state.cost, state.score, steps), params))
    for outcome, params in results[1:]:
        assert outcome == results[0][0]
        np.testing.assert_array_equal(params, results[0][1])


def test_many_python_threads_predict_with_one_network_while_others_train():
    assert processes.predict_at_once(16, 100) < 60


def test_trainings_at_once_equal_trainings_in_turn(digits):
    (X, y), _ = digits

    def run(seed):
        net = fastsgd.Network([64, 64, 10], seed=seed)
        fastsgd.train(net, X, y, epochs=5, seed=seed, threads=2)
        return net.params

    in_turn = [run(seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        at_once = list(pool.map(run, range(4)))
    for a, b in zip(in_turn, at_once, strict=True):
        np.testing.assert_array_equal(a, b)


def train_on_many_rows(X, y, callbacks):
    net = fastsgd.Network([100, 200, 10], seed=0)
    fastsgd.train(net, X, y, epochs=2, batch_size=3000, threads=2, seed=0, callbacks=callbacks)
    return net.params


@pytest.fixture(scope="module")
def trained_on_many_rows():
    rng = np.random.default_rng(0)
    X, y = rng.random((200_000, 100), dtype=np.float32), rng.integers(0, 10, 200_000)
    return X, y, train_on_many_rows(X, y, [])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork.*:DeprecationWarning")
@pytest.mark.parametrize("leaves", ["raising", "stopping", "training on"])
def test_a_callback_that_forks(trained_on_many_rows, leaves):
    X, y, expected = trained_on_many_rows
    children = []

    class Fork(fastsgd.Callback):
        alone = False

        def on_rows(self, run):
            if self.alone or len(children) == 3:
                return
            child = os.fork()
            self.alone = child == 0
            children.append(child)
            if self.alone and leaves == "raising":
                raise InterruptedError
            run.stop = self.alone and leaves == "stopping"

    fork, code = Fork(), 1
    try:
        code = int((train_on_many_rows(X, y, [fork]) != expected).any() and leaves != "stopping")
    except InterruptedError:
        code = 0
    finally:
        if fork.alone:
            os._exit(code)
    assert code == 0
    assert children
    for child in children:
        assert wait_for(child, 60) == 0


def wait_for(child, seconds):
    """The exit code of a child, which is killed where it takes longer."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        gone, status = os.waitpid(child, os.WNOHANG)
        if gone:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "it hangs"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork.*:DeprecationWarning")
def test_children_forked_while_threads_train():
    assert processes.forks(10) == 10


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork.*:DeprecationWarning")
def test_children_train_after_the_parent_has(method):
    assert processes.pools(method, 6) == 6


@pytest.mark.skipif(os.name != "posix", reason="sends signals to another process")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("phase", ["step", "predict", "save", "load", "evaluate"])
def test_a_signal_in_any_phase_ends_the_process_soon_and_in_order(phase, sent, tmp_path):
    child = subprocess.Popen([sys.executable, "-P", "-c", PHASES, phase, str(tmp_path / "net")], stdout=subprocess.PIPE,
                             text=True)
    assert child.stdout.readline() == "working\n"
    time.sleep(0.3)
    begin = time.perf_counter()
    child.send_signal(sent)
    out, _ = child.communicate(timeout=30)
    assert out.split() == ["stopped", "usable"]
    assert child.returncode == 0
    assert time.perf_counter() - begin < 10


PHASES = """
import signal, sys
import numpy as np, fastsgd
def stop(*_):
    raise KeyboardInterrupt
signal.signal(signal.SIGINT, stop)
signal.signal(signal.SIGTERM, stop)
phase, path = sys.argv[1:]
rng = np.random.default_rng(0)
X, y = rng.random((20_000, 100), dtype=np.float32), rng.integers(0, 10, 20_000)
net = fastsgd.Network([100, 256, 10], seed=0)
net.save(path)
print("working", flush=True)
try:
    while True:
        if phase == "step":
            fastsgd.train(net, X, y, epochs=10**6, threads=2)
        elif phase == "evaluate":
            fastsgd.train(net, X[:1000], y[:1000], epochs=10**6, validation=(X, y), evaluate_every=1)
        elif phase == "predict":
            net.predict(X, threads=2)
        elif phase == "save":
            net.save(path)
        else:
            net = fastsgd.Network.load(path)
except KeyboardInterrupt:
    print("stopped")
net.predict(X[:5])
fastsgd.Network.load(path).predict(X[:5])
fastsgd.train(net, X[:100], y[:100], epochs=1)
import os
assert len(os.listdir(os.path.dirname(path))) == 1, os.listdir(os.path.dirname(path))
print("usable")
"""


def test_no_core_stays_busy_after_a_call(digits):
    (X, y), _ = digits
    net = fastsgd.Network([64, 128, 10], seed=0)
    fastsgd.train(net, X, y, epochs=20, seed=0, threads=2)
    time.sleep(0.05)
    before = time.process_time()                     # of all threads
    time.sleep(0.3)
    assert time.process_time() - before < 0.03


def test_workers_are_used_again(digits):
    tasks = f"/proc/{os.getpid()}/task"
    if not os.path.isdir(tasks):
        pytest.skip("needs /proc to count threads")
    processes.train(0)
    before = set(os.listdir(tasks))
    for seed in range(20):
        processes.train(seed)
    assert set(os.listdir(tasks)) <= before


def test_all_of_many_short_calls_of_teams_return():
    if not teams.ENGINE.is_dir():
        pytest.skip("needs the engine's sources beside the tests")
    teams.call_teams(3000, compiler())


def test_threadpoolctl_sees_and_limits_the_team(digits):
    threadpoolctl = pytest.importorskip("threadpoolctl")
    ours = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "fastsgd"]
    assert [pool["num_threads"] for pool in ours] == [cores()]
    if cores() == 1:
        pytest.skip("needs two cores")
    with threadpoolctl.threadpool_limits(1):
        assert choose_threads(None, 1e12) == choose_threads(7, 0) == 1
    assert choose_threads(None, 1e12) == cores()
    assert choose_threads(1, 0) == 1


def test_a_limit_of_threadpoolctl_holds_beside_the_variable_and_ends_with_its_block(monkeypatch):
    threadpoolctl = pytest.importorskip("threadpoolctl")
    monkeypatch.setenv("FASTSGD_NUM_THREADS", "2")
    with threadpoolctl.threadpool_limits(2):
        assert choose_threads(7, 0) == 2
        with threadpoolctl.threadpool_limits(1):
            assert choose_threads(7, 0) == choose_threads(None, 1e12) == 1
        assert choose_threads(7, 0) == 2
    assert choose_threads(7, 0) == 7


@pytest.mark.parametrize(("files", "expected"), [
    ({"root/cpu.max": "150000 100000"}, 2), ({"root/cpu.max": "max 100000"}, MAX_THREADS),
    ({"root/cpu.max": "max 100000", "root/a/b/cpu.max": "50000 100000"}, 1),
    ({"root/a/cpu.max": "300000 100000", "root/a/b/cpu.max": "max 100000"}, 3),
    ({"root/cpu/cpu.cfs_quota_us": "400000", "root/cpu/cpu.cfs_period_us": "100000"}, 4),
    ({"root/cpu/cpu.cfs_quota_us": "-1", "root/cpu/cpu.cfs_period_us": "100000"}, MAX_THREADS),
    ({"root/cpu.max": "nonsense"}, MAX_THREADS), ({}, MAX_THREADS),
])
def test_the_quota_of_the_cgroup_is_respected(tmp_path, files, expected):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    (tmp_path / "own").write_text("0::/a/b\n")
    assert _read_quota(tmp_path / "root", tmp_path / "own") == expected


def test_the_cgroup_s_name_need_not_be_utf_8(tmp_path):
    (tmp_path / "cpu.max").write_text("100000 100000\n")
    (tmp_path / "own").write_bytes(b"0::/\xff\n")
    assert _read_quota(tmp_path, tmp_path / "own") == 1


@pytest.mark.parametrize("threads", [300, 10**6, 2**31, 10**30])
def test_absurd_numbers_of_threads_take_no_more_memory_than_the_work_can_use(digits, threads):
    (X, y), _ = digits
    nets = [fastsgd.Network([64, 32, 10], seed=0) for _ in range(2)]
    for net, number in zip(nets, (1, threads), strict=True):
        fastsgd.train(net, X[:300], y[:300], optimizer=fastsgd.Adam(), epochs=1, seed=0, threads=number)
    assert (nets[0].params == nets[1].params).all()


def test_default_number_of_threads(monkeypatch):
    assert choose_threads(None, 0) == 1
    assert choose_threads(None, 1e12) == cores()
    assert choose_threads(3, 0) == 3
    monkeypatch.setenv("FASTSGD_NUM_THREADS", "1")
    assert choose_threads(None, 1e12) == 1
    for wrong in ("0", "-1", "many", "1.5", "²"):
        monkeypatch.setenv("FASTSGD_NUM_THREADS", wrong)
        with pytest.raises(ValueError, match=f"FASTSGD_NUM_THREADS must be .* got '{wrong}'"):
            choose_threads(None, 1e12)


def test_the_model_of_a_step_knows_when_more_threads_stop_paying():
    own = fastsgd.Network([784, 128, 10]).architecture
    model = StepModel()
    assert model.seconds(own, 100, 1) > model.seconds(own, 100, 2) > model.seconds(own, 100, 8)
    assert model.best_threads(fastsgd.Network([10, 16, 2]).architecture, 32, 64) == 1
    assert 4 < model.best_threads(own, 100, 64) < model.best_threads(own, 10_000, 64)
    assert model.best_threads(own, 10_000, 8) == 8
    slow = StepModel(line=1e-6)                                   # a far core
    assert slow.best_threads(own, 100, 64) == 1
    assert model.seconds(own, 100, 2, 8) > model.seconds(own, 100, 2, 4)


def test_a_run_on_many_cores_begins_with_the_threads_of_the_model(monkeypatch):
    own = fastsgd.Network([784, 128, 10]).architecture
    monkeypatch.setattr(step_model, "choose_threads", lambda threads, flops, most: threads or 64)
    assert step_model.choose_threads_of_step(None, own, 100, 4) == StepModel().best_threads(own, 100, 64)
    assert step_model.choose_threads_of_step(48, own, 100, 4) == 48
    monkeypatch.setattr(step_model, "choose_threads", lambda threads, flops, most: 2)
    assert step_model.choose_threads_of_step(None, own, 1, 4) == 2          # the first steps try one


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs CPU affinity")
def test_affinity_is_respected():
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert choose_threads(None, 1e12) == 1
    finally:
        os.sched_setaffinity(0, allowed)


@pytest.mark.parametrize(("threads", "error"), [(0, ValueError), (-1, ValueError), (1.5, TypeError), (True, TypeError),
                                                ("2", TypeError)])
def test_bad_numbers_of_threads(digits, threads, error):
    (X, y), _ = digits
    net = fastsgd.Network([64, 10], seed=0)
    for call in (lambda: fastsgd.train(net, X, y, threads=threads), lambda: net.predict(X, threads=threads)):
        with pytest.raises(error, match="threads must be"):
            call()


@pytest.mark.parametrize(("omp", "own", "expected"), [("1", "", 1), ("1,4", "", 1), ("1", "2", 2), ("0", "", None),
                                                     ("x", "", None)])
def test_openmp_s_variable_limits_the_threads_too(omp, own, expected):
    def found(omp: str, own: str) -> list[int]:
        result = subprocess.run([sys.executable, "-c", CORES], capture_output=True, text=True, check=True,
                                env={**os.environ, "PYTHONSAFEPATH": "1", "OMP_NUM_THREADS": omp,
                                     "FASTSGD_NUM_THREADS": own})
        return [int(word) for word in result.stdout.split()]

    available = found("", "")[0]
    assert found(omp, own) == [min(available, expected or available)] * 2


CORES = """
import os, fastsgd
print(fastsgd.config()["cores"])
os.environ["OMP_NUM_THREADS"] = "1" if fastsgd.config()["cores"] > 1 else "8"   # too late, as for OpenMP
print(fastsgd.config()["cores"])
"""
NO_THREADS = r"""
#include <errno.h>
int pthread_create() { return EAGAIN; }
"""
WITHOUT = """
import hashlib, os
import numpy as np, fastsgd
rng = np.random.default_rng(0)
X, y = rng.random((500, 64), dtype=np.float32), rng.integers(0, 10, 500)
net = fastsgd.Network([64, 32, 10], seed=0)
fastsgd.train(net, X, y, epochs=2, seed=0, threads=4)
print(hashlib.sha256(net.params.tobytes() + net.predict(X, threads=4).tobytes()).hexdigest(),
      len(os.listdir("/proc/self/task")) > 1)
"""


@pytest.mark.skipif(sys.platform != "linux" or not shutil.which("cc") or "SANITIZE" in os.environ,
                    reason="needs Linux, a C compiler and the system's own threads")
def test_where_the_system_refuses_threads_one_does_the_work(tmp_path):
    library = preload.build(NO_THREADS, tmp_path)
    assert library is not None
    results = [subprocess.run([sys.executable, "-P", "-c", WITHOUT], check=True, capture_output=True, text=True,
                              env={**os.environ, "OPENBLAS_NUM_THREADS": "1", **more}).stdout.split()
               for more in ({}, {"LD_PRELOAD": str(library)})]
    assert [threads for _, threads in results] == ["True", "False"]
    assert results[0][0] == results[1][0]


MAKING = """
import os, pickle, signal, sys, threading
import numpy as np
from fastsgd import MLPClassifier
X = np.random.default_rng(0).random((50, 20))
model = pickle.dumps(MLPClassifier((300, 300), max_iter=1).fit(X, np.arange(50) % 3))
def predict():
    return pickle.loads(model).predict(X)
def loop():
    while not done:
        predict()
done = False
thread = threading.Thread(target=loop)
thread.start()
codes = []
for _ in range(8):
    child = os.fork()
    if not child:
        signal.alarm(10)                 # ends a child that hangs
        predict()
        os._exit(0)
    codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
done = True
thread.join()
print(codes)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_child_may_be_forked_while_an_estimator_s_network_is_made():
    pytest.importorskip("sklearn")
    found = subprocess.run([sys.executable, "-P", "-W", "ignore", "-c", MAKING], check=True, timeout=100,
                           capture_output=True, text=True)
    assert found.stdout == f"{[0] * 8}\n"


def test_a_property_that_is_computed_waits_for_no_other_instance():
    """A child that is forked meanwhile has no thread that would end it."""
    begun, over = threading.Event(), threading.Event()

    class Slow:
        def __init__(self, waits):
            self.waits = waits

        @cached_property
        def value(self):
            begun.set()
            assert not self.waits or over.wait(60)
            return 3

    thread = threading.Thread(target=lambda: Slow(True).value)
    thread.start()
    assert begun.wait(60)
    try:
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(lambda: Slow(False).value).result(30) == 3
    finally:
        over.set()
        thread.join()


def test_no_property_has_a_lock():
    package = Path(fastsgd.__file__).parent
    locked = "functools import cached_property"
    named = [path.name for path in package.rglob("*.py") if locked in path.read_text(encoding="utf-8")]
    assert not named, "fastsgd.cached has one without"
