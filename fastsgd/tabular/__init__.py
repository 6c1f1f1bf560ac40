"""Networks for tables that need no tuning: recipes chosen by measurement, and the models that they make.

``fastsgd.TabularClassifier`` and ``TabularRegressor`` are their scikit-learn face, ``fastsgd train`` their command.
"""
import importlib

from fastsgd.tabular.explanation import Explanation
from fastsgd.tabular.model import TabularModel, load_model
from fastsgd.tabular.recipe import QUALITIES, Recipe, recipe_for

__all__ = ["QUALITIES", "Explanation", "Recipe", "TabularModel", "load", "recipe_for"]


def load(path):
    """The fitted ``TabularClassifier`` or ``TabularRegressor`` of a file that its ``save`` wrote. Needs scikit-learn.

    Raises ValueError where the file is damaged or holds something else.
    """
    face = importlib.import_module("fastsgd.estimators.tabular")           # which is built on this room
    return face.from_model(load_model(path))
