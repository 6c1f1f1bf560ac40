"""A network's parameters, predictions, gradient and file. It makes single steps; runs are made elsewhere."""
from fastsgd.network.network import Network

__all__ = ["Network"]
