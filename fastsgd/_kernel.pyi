import os
from collections.abc import Callable

import numpy as np

from fastsgd.architecture import Architecture
from fastsgd.optimizers import Optimizer, State

ACTIVATIONS: dict[str, int]
LOSSES: dict[str, int]
MAX_THREADS: int
OPTIMIZERS: dict[str, int]

def train_epoch(architecture: Architecture, params: np.ndarray, X: np.ndarray, target: np.ndarray,
                order: np.ndarray | None, batch_size: int, optimizer: Optimizer, state: State,
                learning_rates: np.ndarray, threads: int = 1,
                poll: Callable[[int], object] | None = None) -> tuple[float, float, int]: ...
def gradient(architecture: Architecture, params: np.ndarray, X: np.ndarray, target: np.ndarray, out: np.ndarray,
             threads: int = 1) -> float: ...
def cost(architecture: Architecture, params: np.ndarray, X: np.ndarray, target: np.ndarray,
         threads: int = 1) -> tuple[float, float]: ...
def predict(architecture: Architecture, params: np.ndarray, X: np.ndarray, out: np.ndarray,
            threads: int = 1) -> None: ...
def function(name: str, x: np.ndarray) -> np.ndarray: ...
def config() -> dict: ...
def select_isa(name: str) -> str: ...
def load_blas(path: str | os.PathLike[str]) -> str: ...
