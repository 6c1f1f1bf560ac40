"""A network's parameters, predictions, gradient and file. It trains for one step at most; a run is made elsewhere."""
from fastsgd.network.network import Network

__all__ = ["Network"]
