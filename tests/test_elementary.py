"""Are exp, log, cos and power of float64 rightly rounded, and the same bits everywhere?"""
import decimal
import hashlib
import math

import numpy as np
import pytest

from fastsgd.engine import elementary

EXACT = decimal.Context(prec=80, Emin=-10**6, Emax=10**6)
PI = decimal.Decimal("3.141592653589793238462643383279502884197169399375105820974944592307816406286208998628035")


def exact_cos(x):
    """Of a Decimal, by its series."""
    x = EXACT.remainder_near(x, EXACT.multiply(2, PI))
    term, total, n = decimal.Decimal(1), decimal.Decimal(1), 0
    while abs(term) > decimal.Decimal("1e-70"):
        n += 2
        term = EXACT.divide(EXACT.multiply(EXACT.multiply(EXACT.minus(term), x), x), n * (n - 1))
        total = EXACT.add(total, term)
    return total


def exact_log2(x):
    return EXACT.divide(EXACT.ln(x), EXACT.ln(decimal.Decimal(2)))


RNG = np.random.default_rng(0)
CASES = {
    "exp": (EXACT.exp, [RNG.standard_normal(300) * 10, RNG.random(100) * 1e-3, RNG.uniform(-700, 700, 200)]),
    "log": (EXACT.ln, [RNG.random(200) * 10, 1 + RNG.standard_normal(200) * 1e-6, np.arange(1.0, 200),
                       np.exp(RNG.uniform(-700, 700, 100))]),
    "log2": (exact_log2, [RNG.random(200) * 10, 1 + RNG.random(200), 2.0 ** np.arange(-1000, 1000, 50)]),
    "cos": (exact_cos, [np.pi * np.arange(200) / 200, RNG.random(200) * 60, RNG.uniform(-1e6, 1e6, 100)]),
}


@pytest.mark.parametrize("name", CASES)
def test_functions_are_rounded_once(name):
    exact, values = CASES[name]
    x = np.concatenate(values)
    expected = [float(exact(decimal.Decimal(float(each)))) for each in x]
    assert getattr(elementary, name)(x).tolist() == expected


def test_powers_are_rounded_once():
    x = np.concatenate([np.arange(1.0, 300), np.full(200, 0.97), RNG.random(300) * 20])
    y = np.concatenate([np.full(299, 0.75), np.arange(200) / 50, RNG.uniform(-50, 50, 300)])
    expected = [EXACT.power(decimal.Decimal(float(a)), decimal.Decimal(float(b))) for a, b in zip(x, y, strict=True)]
    assert elementary.power(x, y).tolist() == list(map(float, expected))
    assert elementary.power(3, -0.25) == elementary.power([3.0], -0.25)[0]
    assert elementary.power([[1, 4], [9, 16]], 0.5).tolist() == [[1, 2], [3, 4]]


def test_bits_are_the_same_on_every_system():
    """The digest was made on Linux with AVX2; whatever the system's own functions give, this is it."""
    x = np.arange(1, 20_001) / 1000
    found = [getattr(elementary, name)(x) for name in CASES] + [elementary.power(x, y) for y in (-0.25, 0.5, 2.7)]
    assert hashlib.sha256(np.concatenate(found).astype("<f8").tobytes()).hexdigest() == DIGEST


DIGEST = "f9167966290eda889f606e63997e5fad262bbd94efd0b01687a684932608a723"


@pytest.mark.filterwarnings("error")
def test_the_ends_of_their_ranges():
    inf, nan = math.inf, math.nan
    assert elementary.exp([0, 709, 710, -746, inf, -inf]).tolist() == [1, math.exp(709), inf, 0, inf, 0]
    assert elementary.log([0, inf, 1]).tolist() == [-inf, inf, 0]
    assert elementary.log2([0, inf, 5e-324]).tolist() == [-inf, inf, -1074]
    assert np.isnan(elementary.log([-1, nan])).all()
    assert np.isnan([elementary.exp(nan), elementary.cos(nan), elementary.cos(inf), elementary.cos(2.0**31)]).all()
    cases = [(0, 1, 0), (0, -1, inf), (2, inf, inf), (2, -inf, 0), (0.5, inf, 0), (inf, 2, inf), (inf, -1, 0),
             (nan, 0, 1), (1, nan, 1), (2, 2000, inf), (2, -2000, 0), (2, 1e300, inf), (0.5, 1e300, 0),
             (1e300, 1, 1e300)]
    for x, y, expected in cases:
        assert elementary.power(x, y) == expected, (x, y)
    assert np.isnan(elementary.power(-8, 1 / 3))
    assert isinstance(elementary.cos(1), float)
    assert elementary.exp(np.empty((0, 3))).shape == (0, 3)
