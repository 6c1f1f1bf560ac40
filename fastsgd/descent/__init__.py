"""Descent made visible: how good a mini-batch step is, what it saves, and what the path looks like.

A mini-batch gradient approximates the true one (:func:`gradient_noise`); it is very much faster (:func:`race`), by how
much depends on the size of the batch and on the machine (:func:`suggest_batch_size`); and its path stumbles where full
gradient descent walks carefully (:func:`trajectory`, :func:`cost_surface`). ``fastsgd.plots`` draws all of it.
"""
from fastsgd.descent.batch_size import BatchSize, Candidate, suggest_batch_size
from fastsgd.descent.noise import GradientNoise, LayerNoise, Noise, NoiseLog, RowNoise, gradient_noise, row_noise
from fastsgd.descent.race import Race, Runner, race
from fastsgd.descent.surface import CostSurface, Path, Plane, Trajectory, cost_surface, random_plane, trajectory

__all__ = ["BatchSize", "Candidate", "CostSurface", "GradientNoise", "LayerNoise", "Noise", "NoiseLog", "Path", "Plane",
           "Race", "RowNoise", "Runner", "Trajectory", "cost_surface", "gradient_noise", "race", "random_plane",
           "row_noise", "suggest_batch_size", "trajectory"]
