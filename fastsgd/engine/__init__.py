"""The fused step, compiled, beside its twin in NumPy, and the machine that runs it.

What could be decided in Python is decided elsewhere.
"""
