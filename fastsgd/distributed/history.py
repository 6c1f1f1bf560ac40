"""What happened in a distributed run."""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from fastsgd.runs.history import History


@dataclass(repr=False)
class RoundHistory(History):
    """A :class:`fastsgd.History` with one entry per round instead of one per epoch, and what the cluster did.

    Attributes
    ----------
    cost, metric : list of float
        Over the rows that the round trained on, each measured just before its own step.
    seconds : list of float
        Wall time of the round, from handing out the parameters to the outer step; validation and callbacks excluded.
    compute_seconds : list of float
        Of these, how long the busiest worker was at work.
    waiting_seconds : list of float
        The rest: transfers, scheduling, and waiting for the busiest worker.
    bytes_out, bytes_back : list of float
        Bytes of parameters that went to workers, each worker that took part counting once, and bytes of results that
        came to where they were added up and to the client.
    rows : list of float
        That were trained on.
    learning_rate : list of float
        Of the round's last step.
    tasks : dict of str to list
        What each worker did, for ``fastsgd.plots.rounds``: "round", "partition", "worker" (address), "began" and
        "ended" (seconds from 1970, by the worker's clock). Of this process's part of the run alone.
    """

    unit: ClassVar[str] = "round"
    compute_seconds: list[float] = field(default_factory=list)
    waiting_seconds: list[float] = field(default_factory=list)
    bytes_out: list[float] = field(default_factory=list)
    bytes_back: list[float] = field(default_factory=list)
    rows: list[float] = field(default_factory=list)
    tasks: dict[str, list] = field(default_factory=lambda: {
        "round": [], "partition": [], "worker": [], "began": [], "ended": []})

    @property
    def rounds(self) -> int:
        """Finished rounds."""
        return len(self.cost)

    def as_dict(self) -> dict:
        found = super().as_dict()
        found.pop("tasks", None)
        return found

    def __repr__(self) -> str:
        if not self.cost:
            return "RoundHistory(no rounds)"
        figures = ", ".join(f"{name} {value:.4g}" for name, value in self.named().items())
        return (f"RoundHistory({self.rounds} rounds, {self.steps} steps, {sum(self.seconds):.3g} s of which "
                f"{sum(self.waiting_seconds):.3g} waiting: {figures})")
