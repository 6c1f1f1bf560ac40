import os
from collections.abc import Callable

import numpy as np

from fastsgd.architecture import Architecture
from fastsgd.data import Csr
from fastsgd.optimizers import Optimizer, State

ACTIVATIONS: dict[str, int]
BACKENDS: tuple[str, ...]
LOSSES: dict[str, int]
MAX_THREADS: int
OPTIMIZERS: dict[str, int]

def train_epoch(architecture: Architecture, params: np.ndarray, X: np.ndarray | Csr, target: np.ndarray,
                order: np.ndarray | None, batch_size: int, optimizer: Optimizer, state: State,
                learning_rates: np.ndarray, threads: int = 1,
                poll: Callable[[int], object] | None = None,
                backend: str = "auto") -> tuple[float, float, int]: ...
def gradient(architecture: Architecture, params: np.ndarray, X: np.ndarray | Csr, target: np.ndarray, out: np.ndarray,
             threads: int = 1, backend: str = "auto") -> float: ...
def cost(architecture: Architecture, params: np.ndarray, X: np.ndarray | Csr, target: np.ndarray,
         threads: int = 1, backend: str = "auto") -> tuple[float, float]: ...
def predict(architecture: Architecture, params: np.ndarray, X: np.ndarray | Csr, out: np.ndarray,
            threads: int = 1, backend: str = "auto") -> None: ...
def function(name: str, x: np.ndarray) -> np.ndarray: ...
def multiply_adds(rounds: int, double: bool = False) -> float: ...
def config() -> dict: ...
def select_isa(name: str) -> str: ...
def load_blas(path: str | os.PathLike[str]) -> str: ...
