"""Activations as several ONNX operations that onnxruntime has for float64; it has no Elu, Erf, Selu and Softplus there.

Each is a function of ``operate``, which adds an operation to a graph, or whatever else is made of it, and of z.
"""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

Operate = Callable[..., Any]        # of an operation of ONNX and its operands

# (1 + 2x) exp(x^2) erfc(x) for x >= 0, as a Chebyshev series in (x - 3.75)/(x + 3.75): that of csrc/functions.inc.
ERFCX = [
    1.177578934567401754, -0.004590054580646477311, -0.08424913336651791556, 0.05920993999819189052,
    -0.02665866843530575226, 0.009074997670705265111, -0.002413163540417608175, 4.907758365258086465e-4,
    -6.916973302501205122e-5, 4.139027986073020707e-6, 7.740383066198575591e-7, -2.188640104923376217e-7,
    1.076499946567500646e-8, 4.521959811220091695e-9, -7.754400208836441478e-10, -6.318088341168211185e-11,
    2.868795010422285795e-11, 1.945586781725666405e-13, -9.654696842340401748e-13, 3.252547010858693508e-14,
    3.347810627684053481e-14, -1.86457774665874454e-15, -1.250811385032029221e-15, 7.416476839409494903e-17,
    5.066288241357258791e-17,
]


def _leaky_relu(operate: Operate, z: Any) -> Any:
    return operate("Max", z, operate("Mul", z, 0.01))           # LeakyRelu's slope is a float32


def _elu(operate: Operate, z: Any) -> Any:
    return operate("Add", operate("Relu", z), operate("Sub", operate("Exp", operate("Min", z, 0.0)), 1.0))


def _softplus(operate: Operate, z: Any) -> Any:
    small = operate("Exp", operate("Neg", operate("Abs", z)))
    return operate("Add", operate("Relu", z), operate("Log", operate("Add", small, 1.0)))


def _gelu(operate: Operate, z: Any) -> Any:
    """max(z, 0) - abs(z) erfc(x) / 2 with x = abs(z) / sqrt(2)."""
    magnitude = operate("Abs", z)
    x = operate("Mul", magnitude, math.sqrt(0.5))
    t = operate("Div", operate("Sub", x, 3.75), operate("Add", x, 3.75))
    *rest, p = [float(c) for c in np.polynomial.chebyshev.cheb2poly(ERFCX)]
    polynomial = operate("Mul", t, p)
    for c in reversed(rest[1:]):
        polynomial = operate("Mul", operate("Add", polynomial, c), t)
    erfcx = operate("Div", operate("Add", polynomial, rest[0]), operate("Add", operate("Mul", x, 2.0), 1.0))
    erfc = operate("Mul", operate("Exp", operate("Neg", operate("Mul", x, x))), erfcx)
    return operate("Sub", operate("Relu", z), operate("Mul", operate("Mul", magnitude, 0.5), erfc))


def _selu(operate: Operate, z: Any) -> Any:
    bent = operate("Mul", operate("Sub", operate("Exp", operate("Min", z, 0.0)), 1.0), 1.7580993408473768)
    return operate("Add", operate("Mul", operate("Relu", z), 1.0507009873554805), bent)


COMPOSED = {"leaky_relu": _leaky_relu, "elu": _elu, "softplus": _softplus, "gelu": _gelu, "selu": _selu}
