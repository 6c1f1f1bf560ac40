"""Benchmarks: first check that the results agree, then time.

An environment that pins OpenBLAS to older kernels would slow NumPy, not fastsgd, which pins its own copy; so the
pins are dropped before NumPy is loaded. ``--isa`` of bench.compare sets its own.
"""
import os
import sys

PINS = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
if "FASTSGD_BENCH_ISA" in os.environ:
    pass
elif "numpy" not in sys.modules:
    for pin in PINS:
        os.environ.pop(pin, None)
elif any(pin in os.environ for pin in PINS):
    print("bench: NumPy was loaded before OPENBLAS_CORETYPE could be dropped; its figures suffer", file=sys.stderr)
