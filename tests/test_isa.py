"""Does every instruction set of this CPU agree with the reference, and is a wrong choice refused?"""
import ctypes
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from cases import LOSSES, OPTIMIZERS, SEED

from fastsgd import config
from fastsgd.engine import machine


def python(*arguments, **environment):
    return subprocess.run([sys.executable, *arguments], env={**os.environ, **environment, "PYTHONSAFEPATH": "1"},
                          capture_output=True, text=True)


def test_the_best_instruction_set_of_the_cpu_is_used():
    """By the system's list of what the CPU has, which is not how fastsgd finds it."""
    if sys.platform != "linux":
        pytest.skip("needs Linux's list")
    if platform.machine() == "aarch64":              # where QEMU has the other CPU's /proc/cpuinfo
        asimd = ctypes.CDLL(None).getauxval(16) & 2
        has, sets = {"asimd"} if asimd else set(), {"neon": {"asimd"}}
    elif platform.machine() == "x86_64":
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        has = next(set(line.partition(":")[2].split()) for line in lines if line.startswith("flags"))
        sets = {"avx512": {"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx2", "fma"},
                "avx2": {"avx2", "fma"}, "sse2": {"sse2"}}
    else:
        pytest.skip("no vectors are written for this CPU")
    assert config()["isa_available"] == [name for name, flags in sets.items() if flags <= has]
    if not os.environ.get("FASTSGD_ISA"):
        assert config()["isa"] == config()["isa_available"][0]


@pytest.mark.parametrize("isa", config()["isa_available"])
def test_kernel_agrees_with_reference_on(isa):
    if isa == config()["isa"]:
        pytest.skip("the instruction set of this run, which test_kernel.py has tested")
    tests = Path(__file__).parent
    result = python("-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", str(tests.parent / "pyproject.toml"),
                    "--rootdir", str(tests.parent),
                    *(str(tests / f"test_{name}.py") for name in ("kernel", "linear", "functions")),
                    "-k", "not every_instruction", FASTSGD_ISA=isa, OPENBLAS_NUM_THREADS="1",
                    FASTSGD_TEST_SEED=str(SEED + 1 + config()["isa_available"].index(isa)))
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-1000:]
    assert " passed" in result.stdout


BITS = """
import hashlib, numpy as np, scipy.sparse, fastsgd
from cases import LOSSES, OPTIMIZERS, make_net, make_targets
from fastsgd.layers import *
rng = np.random.default_rng(0)
for dtype in ("float32", "float64"):
    for sizes, activation, batch_size in (([50, 40, 10], "relu", 30), ([33, 70, 17, 3], "tanh", 7),
                                          ([600, 130, 5], "gelu", 1100), ([9, 8, 4], "elu", None),
                                          ([37, LayerNorm(), 70, BatchNorm(), ParametricActivation("mish"),
                                            Residual(LayerNorm(), 70), 5], "selu", 40)):
        for optimizer in OPTIMIZERS:
            X = rng.standard_normal((1200, sizes[0])) * (rng.random((1200, sizes[0])) < rng.choice([0.1, 1.0]))
            y = rng.integers(0, sizes[-1], 1200)
            net = fastsgd.Network(sizes, activation, dtype=dtype, seed=0)
            history = fastsgd.train(net, X, y, optimizer=optimizer, batch_size=batch_size, epochs=1, seed=0, threads=2)
            digest = hashlib.sha256(net.params.tobytes() + net.predict(X).tobytes() + repr(history.cost).encode())
            print(dtype, sizes, optimizer.kind, digest.hexdigest())
    numbers = rng.standard_normal((900, 21))
    edges = quantile_edges(numbers, 9)
    X = np.column_stack([numbers, rng.integers(0, 5, 900), rng.integers(-1, 70, 900)])
    y = rng.integers(0, 3, 900)
    for encoding in (None, LinearReLU(3), Periodic(3, 5, 0.3), PBLD(4, 7, 0.5), PiecewiseLinear(edges),
                     PiecewiseLinear(edges, 3)):
        for members, sharing in ((1, "none"), (2, "none"), (3, "batch"), (4, "mini")):
            net = fastsgd.Network([23, Columns({21: 5, 22: 70}, numbers=encoding), Scale(), 36, 40, 3], dtype=dtype,
                                  seed=0, members=members, sharing=sharing)
            fastsgd.train(net, X, y, optimizer=fastsgd.AdamW(0.01), batch_size=64, epochs=1, seed=0, threads=2)
            digest = hashlib.sha256(net.params.tobytes() + net.predict(X).tobytes())
            print(dtype, encoding, members, sharing, digest.hexdigest())
    for loss, output in LOSSES:
        net = make_net([20, 30, 4], "tanh", loss, output, dtype, rng)
        X, y = rng.standard_normal((300, 20)), make_targets(loss, output, 300, 4, rng)
        history = fastsgd.train(net, X, y, optimizer=fastsgd.SGD(0.01), batch_size=70, epochs=2, seed=0)
        digest = hashlib.sha256(net.params.tobytes() + net.predict(X).tobytes() + repr(history.cost).encode())
        print(dtype, loss, output, digest.hexdigest())
    for sizes, batch_size in (([37, 1], 1), ([61, 11], 1), ([40, 3], 5)):
        for optimizer in (fastsgd.SGD(0.01, l2=0.01, average="polyak"),
                          fastsgd.SGD(0.01, l1=0.01, l2=0.1, cumulative_l1=True),
                          fastsgd.PassiveAggressive(1.0)):
            for density in (0.1, 1.0):
                dense = rng.standard_normal((500, sizes[0])) * (rng.random((500, sizes[0])) < density)
                y = rng.choice([-1, 1], (500, sizes[1]))
                for X in (dense, scipy.sparse.csr_matrix(dense)):
                    net = fastsgd.Network(sizes, loss="hinge", dtype=dtype, seed=0)
                    history = fastsgd.train(net, X, y, optimizer=optimizer, batch_size=batch_size, epochs=1, seed=0)
                    digest = hashlib.sha256(net.params.tobytes() + repr(history.cost).encode())
                    print(dtype, sizes, optimizer.kind, digest.hexdigest())
"""


def test_instruction_sets_and_sizes_of_caches_give_the_same_bits():
    pytest.importorskip("scipy")
    tests = str(Path(__file__).parent)
    sets = [isa for isa in ("avx2", "avx512", "neon") if isa in config()["isa_available"]] or [config()["isa"]]
    plans = [{"FASTSGD_ISA": isa} for isa in sets]
    plans += [{"FASTSGD_ISA": sets[0], "FASTSGD_CACHES": sizes} for sizes in ("64,1K", "1M,64M")]
    found = [python("-c", f"import sys; sys.path.append({tests!r})" + BITS, **plan) for plan in plans]
    assert found[0].returncode == 0, found[0].stderr
    assert found[0].stdout.count("float") == 10 * len(OPTIMIZERS) + 2 * len(LOSSES) + 72 + 48
    for plan, other in zip(plans[1:], found[1:], strict=True):
        assert other.stdout == found[0].stdout, plan


def test_one_set_is_chosen_and_the_blas_follows_it():
    for isa, core in (("avx512", "SkylakeX"), ("avx2", "Haswell"), ("sse2", "Nehalem"),
                      ("neon", "cortexa57")):
        if isa in config()["isa_available"]:
            result = python("-c", "import fastsgd; c = fastsgd.config(); print(c['isa'], c['blas'])", FASTSGD_ISA=isa,
                            OPENBLAS_CORETYPE="Haswell")
            assert result.stdout.split()[0] == isa, result.stderr
            assert core in result.stdout


def test_an_unknown_set_is_refused_at_import():
    result = python("-c", "import fastsgd", FASTSGD_ISA="mmx")
    assert result.returncode == 1
    assert "ImportError: FASTSGD_ISA=mmx: not an instruction set of this build; this CPU has: " in result.stderr


def test_caches_are_found_and_can_be_said():
    sizes = config()["caches"]
    assert 2**12 <= sizes["L1d"] <= sizes["L2"] <= 2**30
    said = python("-c", "import fastsgd; print(fastsgd.config()['caches'])", FASTSGD_CACHES="48k,2M")
    assert said.stdout.strip() == "{'L1d': 49152, 'L2': 2097152, 'L3': 0}", said.stderr
    for wrong in ("32K", "32K,0", "32K,1G", "-1,2"):
        result = python("-c", "import fastsgd", FASTSGD_CACHES=wrong)
        assert f"FASTSGD_CACHES must be the sizes of L1d and L2 such as 32K,512K, got {wrong!r}" in result.stderr


def test_caches_are_read_from_the_system_where_the_cpu_says_nothing(tmp_path, monkeypatch):
    before = config()["caches"]
    for i, (level, kind, size) in enumerate([("1", "Data", "64K"), ("1", "Instruction", "32K"), ("2", "Unified", "1M"),
                                             ("3", "Unified", "what")]):
        folder = tmp_path / f"index{i}"
        folder.mkdir()
        for name, value in (("level", level), ("type", kind), ("size", size)):
            (folder / name).write_text(value + "\n")
    monkeypatch.setattr(machine._kernel, "find_caches", lambda: False)
    try:
        machine._find_caches(tmp_path)
        assert config()["caches"] == {"L1d": 2**16, "L2": 2**20, "L3": 0}
    finally:
        machine._kernel.set_caches(*before.values())


def test_importing_leaves_the_environment_alone():
    code = "import os; before = dict(os.environ); import fastsgd; assert {k: v for k, v in os.environ.items() " \
           "if 'OPENBLAS' in k} == {k: v for k, v in before.items() if 'OPENBLAS' in k}"
    for core in ("Haswell", ""):
        environment = {"OPENBLAS_CORETYPE": core} if core else {}
        assert python("-c", "import numpy; " + code, **environment).returncode == 0
