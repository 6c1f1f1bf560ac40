"""Training on many machines by Dask: local SGD whose bits depend on the partitions of the rows, not on the workers."""
from fastsgd.distributed.cluster import ClusterError
from fastsgd.distributed.history import RoundHistory
from fastsgd.distributed.outer import Nesterov
from fastsgd.distributed.train import train

__all__ = ["ClusterError", "Nesterov", "RoundHistory", "train"]
