"""One epoch of each case, the kernel against the reference, for pytest-benchmark: ``pytest bench``."""
import pytest

from bench.cases import CASES, Epoch, check_agreement


@pytest.fixture(params=CASES, ids=lambda case: case.name, scope="module")
def epoch(request):
    return Epoch(request.param, request.config.getoption("--rows"))


@pytest.mark.parametrize("runner", ["kernel", "reference"])
def test_epoch(epoch, runner, benchmark, request):
    benchmark.group = request.node.callspec.id.rsplit("-", 1)[0]
    costs = {name: getattr(epoch, name)() for name in ("kernel", "reference")}
    run = costs[runner]
    check_agreement({name: other() for name, other in costs.items()})
    cost = benchmark.pedantic(run, rounds=3, warmup_rounds=0)
    assert cost == pytest.approx(run(), rel=1e-6)
