"""Pictures of what happens, by matplotlib: ``pip install "fastsgd[plot]"``. Every plot takes axes and returns them."""
from fastsgd.plots._axes import save
from fastsgd.plots.descent import animate_descent, descent, gradient_noise, race
from fastsgd.plots.training import confusion, history, weights

__all__ = ["animate_descent", "confusion", "descent", "gradient_noise", "history", "race", "save", "weights"]
