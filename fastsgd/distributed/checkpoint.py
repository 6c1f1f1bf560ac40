"""Checkpoints of a distributed run, which its client writes between two rounds.

The file is a model file (``network.model_file``): ``fastsgd.Network.load`` reads the network of that round. Beside its
arrays it holds ``run.momentum`` (of the outer optimizer), ``run.slots`` (the optimizer's memory, averaged),
``run.kept.P.slots`` and ``run.kept.P.residual`` (what partition P keeps), ``run.history.*`` and the arrays of the
callbacks' states, and as metadata ``fastsgd.rounds``, JSON:

- ``version`` of this layout, ``library``, ``checksum``: as in ``runs.checkpoint``;
- ``plan``: what must be the same for the run to resume to the same bits;
- ``round``, ``rate_factor``, ``carried``, ``history``, ``callbacks``: where the run is.
"""
from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from fastsgd.distributed.history import RoundHistory
from fastsgd.distributed.local_sgd import Kept
from fastsgd.files.safetensors import TensorFile
from fastsgd.model.architecture import Architecture
from fastsgd.network import model_file
from fastsgd.runs.checkpoint import below, checked_content, differences, write_content

VERSION = 1


@dataclass
class RoundCheckpoint:
    """What a checkpoint holds beside the network."""

    plan: dict
    round: int
    rate_factor: float
    carried: list                        # of each partition
    history: RoundHistory
    callbacks: list
    params: np.ndarray
    momentum: np.ndarray | None = None
    slots: np.ndarray | None = None
    kept: dict[int, Kept] = field(default_factory=dict)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)

    def write(self, path, architecture: Architecture, metadata: dict[str, str]) -> None:
        """Writes the file, complete or not at all."""
        tensors = [(f"run.{name}", array) for name, array in (("momentum", self.momentum), ("slots", self.slots))
                   if array is not None]
        for partition, kept in self.kept.items():
            tensors += [(f"run.kept.{partition}.{name}", np.ascontiguousarray(array))
                        for name, array in kept._asdict().items() if array is not None]
        tensors += [(f"run.history.{name}", np.array(values, float)) for name, values in self.history.lists().items()]
        tensors += [(f"run.callback.{name}", array) for name, array in self.arrays.items()]
        content = {"version": VERSION, "plan": self.plan, "round": self.round, "rate_factor": self.rate_factor,
                   "carried": [list(each) for each in self.carried], "callbacks": self.callbacks,
                   "history": {"metric_name": self.history.metric_name, "steps": self.history.steps}}
        write_content(path, model_file.ROUNDS, content, tensors, architecture, self.params, metadata)

    @classmethod
    def read(cls, path) -> RoundCheckpoint:
        """ValueError says why a file is no checkpoint that this version can resume from."""
        with TensorFile(path) as file:
            if model_file.ROUNDS not in file.metadata:
                what = "one of fastsgd.train" if model_file.CHECKPOINT in file.metadata else "it holds no run"
                raise ValueError(f"{path} is not a checkpoint of fastsgd.distributed.train: {what}")
            content, _, params, arrays = checked_content(file, model_file.ROUNDS, VERSION, path)
        try:
            kept: dict[int, dict] = {}
            for name, array in below("run.kept.", arrays).items():
                partition, _, what = name.partition(".")
                kept.setdefault(int(partition), {"slots": None, "residual": None})[what] = array
            found = cls(dict(content["plan"]), int(content["round"]), float(content["rate_factor"]),
                        [tuple(each) for each in content["carried"]],
                        _history_of(content["history"], below("run.history.", arrays)),
                        [(str(name), dict(values)) for name, values in content["callbacks"]], params,
                        arrays.get("run.momentum"), arrays.get("run.slots"),
                        {partition: Kept(**each) for partition, each in kept.items()}, below("run.callback.", arrays))
            if not found.round >= 0 or found.history.rounds != found.round or not np.isfinite(params).all():
                raise ValueError(f"it is of round {found.round}, with a history of {found.history.rounds}")
            for array in (found.momentum, *(each.residual for each in found.kept.values())):
                if array is not None and array.shape != params.shape:
                    raise ValueError(f"an array has shape {array.shape}, the parameters {params.shape}")
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise ValueError(f"{path} is damaged: {type(error).__name__}: {error!s:.300}") from None
        return found

    def require(self, path, plan: dict, callbacks: list[str]) -> None:
        """ValueError names what differs between the run that wrote the checkpoint and the one that would resume it."""
        theirs = {**self.plan, "callbacks with a state": [name for name, _ in self.callbacks]}
        found = differences(theirs, {**plan, "callbacks with a state": callbacks}, path)
        if found:
            raise ValueError(f"{path} is a checkpoint of another run, nothing was changed; " + "; ".join(found[:20]))


def _history_of(names: dict, lists: dict) -> RoundHistory:
    return RoundHistory.checked(names, lists)          # type: ignore[return-value]
