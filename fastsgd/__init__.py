"""Dense neural networks on CPUs by mini-batch stochastic gradient descent."""
from fastsgd import datasets
from fastsgd.callbacks import Callback, Progress
from fastsgd.gradient_check import GradientError, check_gradient
from fastsgd.network import Network
from fastsgd.optimizers import SGD, Adagrad, Adam, AdamW, RMSprop
from fastsgd.machine import config
from fastsgd.training import History, train

__version__ = "0.1.0"
__all__ = ["SGD", "Adagrad", "Adam", "AdamW", "Callback", "GradientError", "History", "Network", "Progress", "RMSprop",
           "check_gradient", "config", "datasets", "train"]
