"""Regressions, for pytest-benchmark: one epoch of each case, and predictions. ``pytest bench``."""
import pytest

from bench import latency, runners
from bench.cases import CASES, Start, check_agreement


@pytest.fixture(params=CASES, ids=lambda case: case.name, scope="module")
def start(request):
    return Start(request.param, request.config.getoption("--rows"))


@pytest.mark.parametrize("runner", ["native", "blas", "reference"])
def test_epoch(start, runner, benchmark, request):
    benchmark.group = request.node.callspec.id.rsplit("-", 1)[0]
    run = runners.numpy_reference(start) if runner == "reference" else runners.fastsgd(start, backend=runner)
    check_agreement({runner: run(), "fastsgd": runners.fastsgd(start)()})
    assert benchmark.pedantic(run, rounds=3) > 0


@pytest.mark.parametrize("case", latency.CASES, ids=lambda case: case.name)
def test_prediction(case, benchmark):
    net, X = latency.network(case)
    assert benchmark(net.predict, X).shape == (case.rows, case.sizes[-1])
