"""Dense neural networks on CPUs by mini-batch stochastic gradient descent."""
import sys

if sys.version_info < (3, 11):  # noqa: UP036 (where pip was not asked, such as on a path)
    raise ImportError(f"fastsgd needs Python 3.11 or newer, this is {sys.version.split()[0]}")
try:
    import fastsgd.engine._kernel  # noqa: F401
except ImportError as error:
    from fastsgd.engine.unloadable import explain
    raise ImportError(explain(error)) from error
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from fastsgd import datasets, descent, interop, layers, losses, optimizers, plots, schedules, streams
from fastsgd.deprecation import old_names
from fastsgd.engine.machine import config
from fastsgd.model import architecture
from fastsgd.network.calibration import calibrate_temperature
from fastsgd.network.data_init import initialise_from_data
from fastsgd.network.gradient_check import GradientError, check_gradient
from fastsgd.network.network import Network
from fastsgd.optimizers import (
    SGD,
    Adagrad,
    Adam,
    AdamW,
    Lion,
    Muon,
    NAdamW,
    Optimizer,
    ParameterGroup,
    PassiveAggressive,
    RMSprop,
    ScheduleFreeAdamW,
    State,
)
from fastsgd.runs import callbacks, checkpoint, history
from fastsgd.runs.callback import Callback, Run
from fastsgd.runs.callbacks import EarlyStopping, LearningRates, Progress, ReduceOnPlateau, TimeLimit
from fastsgd.runs.checkpoint import Checkpoint
from fastsgd.runs.history import History
from fastsgd.runs.loggers import CSVLogger, JSONLogger, MLflowLogger, TensorBoardLogger
from fastsgd.schedules import Schedule
from fastsgd.training import train, train_stream

if TYPE_CHECKING:
    from fastsgd.estimators import (
        MLPClassifier,
        MLPRegressor,
        SGDClassifier,
        SGDRegressor,
        TabularClassifier,
        TabularRegressor,
    )

__version__ = "0.1.0"
__all__ = ["SGD", "Adagrad", "Adam", "AdamW", "CSVLogger", "Callback", "Checkpoint", "EarlyStopping", "GradientError",
           "History", "JSONLogger", "LearningRates", "Lion", "MLflowLogger", "Muon", "NAdamW", "Network", "Optimizer",
           "ParameterGroup", "PassiveAggressive", "Progress", "RMSprop", "ReduceOnPlateau", "Run", "Schedule",
           "ScheduleFreeAdamW", "State", "TensorBoardLogger", "TimeLimit", "calibrate_temperature", "check_gradient",
           "config", "datasets", "descent", "initialise_from_data", "interop", "layers", "losses", "optimizers",
           "plots", "schedules", "streams", "train", "train_stream"]

for _name in __all__:
    if isinstance(globals()[_name], type):      # so that help and pickles need not know in which room a class lives
        globals()[_name].__module__ = "fastsgd"
for _old, _new in {"architecture": architecture, "callbacks": callbacks, "checkpoint": checkpoint,
                   "history": history}.items():
    sys.modules[f"fastsgd.{_old}"] = _new       # as pickles of 0.1 call them

_ESTIMATORS = ("MLPClassifier", "MLPRegressor", "SGDClassifier", "SGDRegressor", "TabularClassifier",
               "TabularRegressor")
_MODULES = ("distributed", "tabular")             # imported when they are first asked for
__all__ += _MODULES
if find_spec("sklearn") is not None:           # which is imported with the first of them; "import *" must not need it
    __all__ += ["MLPClassifier", "MLPRegressor", "SGDClassifier", "SGDRegressor", "TabularClassifier",
                "TabularRegressor"]
_renamed = old_names("fastsgd", CSVLog="CSVLogger", JSONLog="JSONLogger", MLflow="MLflowLogger",
                     TensorBoard="TensorBoardLogger")


def __getattr__(name):
    if name in _MODULES:
        return import_module(f"fastsgd.{name}")
    if name in _ESTIMATORS:
        from fastsgd import estimators
        return getattr(estimators, name)
    return _renamed(name)


def __dir__():
    return sorted({*__all__, *_ESTIMATORS, "__version__"})
