"""Dense neural networks on CPUs by mini-batch stochastic gradient descent."""
try:
    from fastsgd import _kernel  # noqa: F401
except ModuleNotFoundError as error:
    raise ImportError("fastsgd's compiled kernel is missing. In its source folder, which hides the installed package, "
                      "run pip install -e . or change to another folder.") from error
from fastsgd import datasets, descent, interop, plots, schedules, streams
from fastsgd.callbacks import Callback, EarlyStopping, LearningRates, Progress, ReduceOnPlateau, TimeLimit
from fastsgd.checkpoint import Checkpoint
from fastsgd.gradient_check import GradientError, check_gradient
from fastsgd.history import History
from fastsgd.loggers import CSVLog, JSONLog, MLflow, TensorBoard
from fastsgd.machine import config
from fastsgd.network import Network
from fastsgd.optimizers import SGD, Adagrad, Adam, AdamW, PassiveAggressive, RMSprop
from fastsgd.run import Run
from fastsgd.training import train, train_stream

__version__ = "0.1.0"
__all__ = ["SGD", "Adagrad", "Adam", "AdamW", "CSVLog", "Callback", "Checkpoint", "EarlyStopping", "GradientError",
           "History", "JSONLog", "LearningRates", "MLflow", "Network", "PassiveAggressive", "Progress", "RMSprop",
           "ReduceOnPlateau", "Run", "TensorBoard", "TimeLimit", "check_gradient", "config", "datasets", "descent",
           "interop", "plots", "schedules", "streams", "train", "train_stream"]

_ESTIMATORS = ("MLPClassifier", "MLPRegressor", "SGDClassifier", "SGDRegressor")


def __getattr__(name):
    if name in _ESTIMATORS:                    # they need scikit-learn, which may be missing
        from fastsgd import estimators
        return getattr(estimators, name)
    raise AttributeError(f"module 'fastsgd' has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *_ESTIMATORS])
