"""Pictures of what happens, by matplotlib: ``pip install "fastsgd[plot]"``. Every plot takes axes and returns them;
``save`` and ``save_animation`` write files."""
from fastsgd.deprecation import old_names
from fastsgd.plots._axes import save
from fastsgd.plots.descent import descent, gradient_noise, race, save_animation
from fastsgd.plots.predictions import explanation, importances, predicted, reliability
from fastsgd.plots.rounds import rounds
from fastsgd.plots.training import confusion, history, weights

__all__ = ["confusion", "descent", "explanation", "gradient_noise", "history", "importances", "predicted", "race",
           "reliability", "rounds", "save", "save_animation", "weights"]

__getattr__ = old_names(__name__, animate_descent="save_animation")
