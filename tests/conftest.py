import sys
import time
import types

import cases
import pytest
import smoke

import fastsgd


def pytest_report_header():
    if cases.FULL:
        return "fastsgd: all combinations, as FASTSGD_TEST_FULL is set"
    return f"fastsgd: combinations drawn by FASTSGD_TEST_SEED={cases.SEED}; FASTSGD_TEST_FULL=1 runs them all"


def pytest_make_parametrize_id(val, argname):
    """No bytes in a test's name: compressed ones hold the time, and each process of pytest-xdist would have its own."""
    return argname if isinstance(val, bytes) else None


def pytest_ignore_collect(collection_path, config):
    """For ``-m smoke`` alone only the files with such tests are imported."""
    if config.getoption("markexpr") == "smoke" and collection_path.suffix == ".py":
        return collection_path.name not in smoke.FILES or None
    return None


@pytest.hookimpl(tryfirst=True)                      # before -k and -m leave tests out
def pytest_collection_modifyitems(config, items):
    gone = smoke.mark(items, whole=not any("::" in argument for argument in config.args))
    if gone:
        raise pytest.UsageError(f"tests/smoke.py names what is no more: {', '.join(gone)}")


@pytest.fixture(scope="session")
def digits():
    return fastsgd.datasets.digits()


@pytest.fixture(scope="session")
def mnist():
    try:
        return fastsgd.datasets.mnist(download=False)
    except FileNotFoundError as error:
        pytest.skip(f"needs MNIST: {error}")


@pytest.fixture
def stopped_clock(monkeypatch):
    """``stopped_clock(module)``: the module's ``time`` from here on, which moves where a test sets its ``now``."""
    def stop(*modules):
        clock = types.SimpleNamespace(now=0.0, perf_counter=lambda: clock.now)
        for module in modules:
            monkeypatch.setattr(module, "time", clock)
        return clock
    return stop


@pytest.fixture
def cpu_time(monkeypatch):
    """Seconds are those of this process, whatever else the machine does meanwhile; but on Windows, which counts them in
    ticks of some 15 ms."""
    if sys.platform != "win32":
        monkeypatch.setattr(time, "perf_counter", time.process_time)


def pytest_sessionstart():
    """Ctrl-C interrupts, also where the suite was started in the background of a shell, which ignores it there."""
    import signal
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def close_figures():
    """Where a test has imported pyplot, figures of later ones are pyplot's, which warns of the twenty-first."""
    yield
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        pyplot.close("all")
