"""Training on many machines by Dask: local SGD whose bits depend on the partitions of the rows, not on the workers."""
from importlib.util import find_spec
from typing import TYPE_CHECKING

from fastsgd.distributed.cluster import ClusterError
from fastsgd.distributed.history import RoundHistory
from fastsgd.distributed.outer import Nesterov
from fastsgd.distributed.train import train

if TYPE_CHECKING:
    from fastsgd.distributed.estimators import MLPClassifier, MLPRegressor, SGDClassifier, SGDRegressor

__all__ = ["ClusterError", "Nesterov", "RoundHistory", "train"]
for _kind in (ClusterError, Nesterov, RoundHistory):
    _kind.__module__ = "fastsgd.distributed"

_ESTIMATORS = ("MLPClassifier", "MLPRegressor", "SGDClassifier", "SGDRegressor")
if find_spec("sklearn") is not None:           # which is imported with the first of them; "import *" must not need it
    __all__ += ["MLPClassifier", "MLPRegressor", "SGDClassifier", "SGDRegressor"]


def __getattr__(name):
    if name in _ESTIMATORS:
        from fastsgd.distributed import estimators
        return getattr(estimators, name)
    raise AttributeError(f"module 'fastsgd.distributed' has no attribute {name!r}")


def __dir__():
    return sorted({*__all__, *_ESTIMATORS})
