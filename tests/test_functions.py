"""How exact are the vectorised functions, and are they the same bits on every instruction set with FMA?"""
import math
import os
import subprocess
import sys

import numpy as np
import pytest

from fastsgd import config
from fastsgd.engine import _kernel, reference

# Largest error allowed, in units in the last place of the right result, where that result is a normal number.
ULP = {"exp": 2, "expm1": 2, "tanh": 3, "logistic": 3, "log": 2, "softplus": 3, "selu": 3, "mish": 4}
SCALE, ALPHA = np.longdouble("1.05070098735548049342"), np.longdouble("1.67326324235437728482")
WIDTH = {"float32": 80.0, "float64": 650.0}


def exact(name, x):
    """The function in extended precision."""
    x = x.astype(np.longdouble)
    return {
        "exp": lambda: np.exp(x),
        "expm1": lambda: np.expm1(x),
        "tanh": lambda: np.tanh(x),
        "logistic": lambda: 1 / (1 + np.exp(-x)),
        "log": lambda: np.log(x),
        "softplus": lambda: np.log1p(np.exp(-abs(x))) + np.maximum(x, 0),
        "silu": lambda: x / (1 + np.exp(-x)),
        "selu": lambda: SCALE * np.where(x > 0, x, ALPHA * np.expm1(np.minimum(x, 0))),
        "mish": lambda: x * (lambda e: e * (e + 2) / (e * (e + 2) + 2))(np.exp(np.minimum(x, 100))),
        "hard_sigmoid": lambda: np.clip(x + 3, 0, 6) / 6,
        "hard_swish": lambda: x * np.clip(x + 3, 0, 6) / 6,
        "mish slope": lambda: mish_slope(x),
    }[name]()


def mish_slope(x):
    e = np.exp(np.minimum(x, 100))
    t = e * (e + 2) / (e * (e + 2) + 2)
    return t + x * e / (1 + e) * (1 - t * t)


def points(name, dtype):
    rng = np.random.default_rng(0)
    width = WIDTH[dtype]
    if name == "log":
        return np.exp(rng.uniform(-width, width, 200_000)).astype(dtype)
    x = np.concatenate([rng.uniform(-width, width, 100_000), rng.uniform(-2, 2, 100_000),
                        rng.choice([-1, 1], 50_000) * np.exp(rng.uniform(-15, 3, 50_000))])
    if name == "expm1":
        x = np.clip(x, -40, 20)
    return x.astype(dtype)


def ulps(found, right):
    spacing = np.spacing(np.abs(right).astype(found.dtype)).astype(np.longdouble)
    normal = np.abs(right) > 4 * np.finfo(found.dtype).tiny
    return float((np.abs(found - right) / spacing)[normal].max())


def need_more_digits_than(dtype):
    """To judge by: Windows has no long double that is wider than double."""
    if np.finfo(np.longdouble).nmant <= np.finfo(dtype).nmant:
        pytest.skip("needs a long double wider than double to judge by")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ULP)
def test_error_in_ulps(name, dtype):
    need_more_digits_than(dtype)
    x = points(name, dtype)
    assert ulps(_kernel.function(name, x), exact(name, x)) <= ULP[name]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["gelu", "silu", "erfcx", "mish slope", "hard_sigmoid", "hard_swish"])
def test_absolute_error_of_products(name, dtype):
    """gelu and silu lose relative, not absolute, accuracy in the tail where they vanish."""
    x = np.abs(points(name, dtype)) if name == "erfcx" else points(name, dtype)
    x = np.ascontiguousarray(x[np.abs(x) < 25][::20])
    if name == "gelu":
        right = np.array([v * math.erfc(-v / math.sqrt(2)) / 2 for v in x.astype(float)])
    elif name == "erfcx":
        right = np.array([math.erfc(v) * math.exp(v * v) for v in x.astype(float)])
    else:
        need_more_digits_than(dtype)
        right = exact(name, x)
    assert (np.abs(_kernel.function(name, x) - right) <= 8 * np.finfo(dtype).eps * np.maximum(np.abs(right), 1)).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extremes(dtype):
    x = np.array([-np.inf, -1e30, -1e4, -0.0, 0.0, 1e4, 1e30, np.inf, np.nan], dtype=dtype)
    inf, nan = np.inf, np.nan
    expected = {
        "exp": [0, 0, 0, 1, 1, inf, inf, inf, nan],
        "tanh": [-1, -1, -1, -0.0, 0, 1, 1, 1, nan],
        "logistic": [0, 0, 0, 0.5, 0.5, 1, 1, 1, nan],
        "softplus": [0, 0, 0, math.log(2), math.log(2), 1e4, 1e30, inf, nan],
        "selu": [-1.7580993, -1.7580993, -1.7580993, -0.0, 0, 1.05070099e4, 1.05070099e30, inf, nan],
        "mish": [nan, -0.0, -0.0, -0.0, 0, 1e4, 1e30, inf, nan],
        "hard_sigmoid": [0, 0, 0, 0.5, 0.5, 1, 1, 1, nan],
        "hard_swish": [nan, -0.0, -0.0, -0.0, 0, 1e4, 1e30, inf, nan],
        "hard_tanh": [-1, -1, -1, -0.0, 0, 1, 1, 1, nan],
        "relu6": [0, 0, 0, -0.0, 0, 6, 6, 6, nan],
    }
    for name, values in expected.items():
        found = _kernel.function(name, x)
        np.testing.assert_allclose(found, values, rtol=1e-6, err_msg=name)
        numbers = ~np.isnan(values)
        assert (np.signbit(found) == np.signbit(values))[numbers].all(), name


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_waves_of_whole_turns(dtype):
    x = np.random.default_rng(0).uniform(-40, 40, 100_000).astype(dtype)
    rest = (x - np.round(x)).astype(np.longdouble)
    for name, function in (("cos_turns", np.cos), ("sin_turns", np.sin)):
        found = _kernel.function(name, x)
        assert abs(found - function(2 * np.longdouble(np.pi) * rest)).max() < 2 * np.finfo(dtype).eps
        ends = _kernel.function(name, np.array([np.nan, np.inf, 1e30, -1e9, 0, 0.25, -0.5], dtype))
        assert np.isnan(ends[0])
        assert (abs(ends[2:]) <= 1).all()


def powers(base, most):
    """base^t for t = 0 .. most, correctly rounded: of integers that keep 400 bits."""
    numerator, denominator = base.as_integer_ratio()
    power = 1 << 400
    for _ in range(most + 1):
        yield math.ldexp(power, -400) if power >= 1 << 336 else 0.0
        power = power * numerator // denominator


@pytest.mark.parametrize("base", [0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 0.9999])
def test_powers_are_correctly_rounded(base):
    """So that bias corrections are the same on every system: glibc's pow is off by a bit in one of a thousand."""
    right = list(powers(base, 100_000))
    assert [_kernel.power(base, t) for t in range(100_001)] == right
    assert [reference.power(base, t) for t in range(0, 100_001, 7)] == right[::7]
    assert max(abs(power - base**t) for t, power in enumerate(right)) < 3e-16


@pytest.mark.parametrize("power", [_kernel.power, reference.power])
def test_powers_at_the_edges(power):
    assert [power(base, t) for base, t in ((0.0, 0), (0.0, 1), (0.5, 64), (0.5, 65), (1.0, 2**53), (0.9, 2**53))] == [
        1, 0, 2.0**-64, 0, 1, 0]


def test_small_results_are_flushed_to_zero_not_denormal():
    y = _kernel.function("exp", np.linspace(-104, -80, 10_000, dtype="float32"))
    assert (y[y < np.finfo("float32").tiny] == 0).all()
    assert y[-1] > 0


BITS = """
import hashlib, numpy as np
from fastsgd.engine import _kernel
digest = hashlib.sha256()
for dtype in ("float32", "float64"):
    for n in (1, 7, 1000):
        x = np.linspace(-30, 30, n).astype(dtype)
        for name in ("exp", "expm1", "tanh", "logistic", "softplus", "gelu", "silu", "selu", "mish", "mish slope",
                     "hard_swish"):
            digest.update(_kernel.function(name, np.minimum(x, 15)).tobytes())
        for name in ("cos_turns", "sin_turns"):
            digest.update(_kernel.function(name, x).tobytes())
        digest.update(_kernel.function("log", np.exp(x)).tobytes())
print(digest.hexdigest())
"""


def test_the_same_bits_on_every_instruction_set_with_fma():
    names = [name for name in config()["isa_available"] if name not in ("sse2", "generic")]
    if len(names) < 2:
        pytest.skip(f"needs two instruction sets with FMA, this CPU has {names}")
    digests = {name: subprocess.run([sys.executable, "-P", "-c", BITS], env={**os.environ, "FASTSGD_ISA": name},
                                    check=True, capture_output=True, text=True).stdout for name in names}
    assert len(set(digests.values())) == 1, digests
