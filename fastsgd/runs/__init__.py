"""One training run: its epochs, what watches it, what it measures, where it resumes.

It computes no gradient; that is the engine's.
"""
