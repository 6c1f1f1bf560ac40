"""scikit-learn's neural-network and SGD estimators on fastsgd's engine.

They take the place of scikit-learn's classes of the same names: the same parameters, defaults, attributes, warnings and
errors, and further parameters after scikit-learn's own. ``fastsgd`` imports them when they are first asked for.
"""
try:
    import sklearn  # noqa: F401
except ImportError as error:
    raise ImportError('the estimators of fastsgd need scikit-learn: pip install "fastsgd[sklearn]"') from error
from fastsgd.estimators.mlp import MLPClassifier, MLPRegressor
from fastsgd.estimators.sgd import SGDClassifier, SGDRegressor
from fastsgd.estimators.tabular import TabularClassifier, TabularRegressor

for _kind in (MLPClassifier, MLPRegressor, SGDClassifier, SGDRegressor, TabularClassifier, TabularRegressor):
    _kind.__module__ = "fastsgd"              # so that help and pickles need not know in which room a class lives

__all__ = ["MLPClassifier", "MLPRegressor", "SGDClassifier", "SGDRegressor", "TabularClassifier", "TabularRegressor"]
