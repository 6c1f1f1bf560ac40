"""What happened in a training run, as numbers."""
from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar


@dataclass
class History:
    """What happened, one entry per finished epoch, and one per evaluation on validation rows.

    Attributes
    ----------
    metric_name : str
        "accuracy" for classifiers, "r2" (R^2) otherwise.
    cost : list of float
        Mean cost over the epoch's rows, each measured just before its own step; weighted where rows or classes are.
    metric : list of float
        The metric over the same rows; weighted where rows are, or where classes are by weights of their rows.
    seconds : list of float
        Wall time of the epoch's steps and of waiting for its rows; validation and callbacks excluded.
    learning_rate : list of float
        Of the epoch's last step.
    validation_cost, validation_metric : list of float
        One entry per evaluation, after every epoch or every so many steps; empty without validation. Weighted by the
        validation rows' sample_weight alone, never by class_weight.
    validation_steps : list of int
        The steps taken before each evaluation.
    scores : dict of str to list of float
        What ``train(metrics=...)`` asked for, one entry per evaluation.
    steps : int
        Mini-batch steps taken in all.
    batch_size : int
        Rows of each, but for the last of an epoch.
    stopped : bool
        Whether the training ended early.
    weighted : bool
        Whether weights of rows or classes were in use: ``cost`` and ``metric`` are then weighted means.

    Examples
    --------
    >>> import fastsgd
    >>> (X, y), _ = fastsgd.datasets.digits()
    >>> history = fastsgd.train(fastsgd.Network([64, 10], seed=0), X, y, epochs=3, seed=0)
    >>> history.steps, len(history.cost), history.cost[2] < history.cost[0]
    (45, 3, True)
    """

    unit: ClassVar[str] = "epoch"            # what most lists have an entry of
    metric_name: str
    cost: list[float] = field(default_factory=list)
    metric: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)
    validation_cost: list[float] = field(default_factory=list)
    validation_metric: list[float] = field(default_factory=list)
    validation_steps: list[int] = field(default_factory=list)
    scores: dict[str, list[float]] = field(default_factory=dict)
    steps: int = 0
    batch_size: int = 0
    stopped: bool = False
    weighted: bool = False

    @classmethod
    def checked(cls, names: dict, lists: dict) -> History:
        """From what :meth:`lists` gave, as arrays, and the rest; ValueError, KeyError or TypeError for all else."""
        history = cls(str(names["metric_name"]), steps=int(names["steps"]))
        for name, numbers in lists.items():
            if numbers.ndim != 1:
                raise ValueError(f"its history has a list {name:.80} of shape {numbers.shape}")
            values: list = numbers.astype(float, copy=False).tolist()
            if name == "validation_steps":
                if not all(step.is_integer() and 0 <= step <= history.steps for step in values):
                    raise ValueError(f"its history has evaluations after steps that are none of its {history.steps}")
                values = [int(step) for step in values]
            if name.startswith("scores."):
                history.scores[name.removeprefix("scores.")] = values
            elif isinstance(getattr(history, name, None), list):
                setattr(history, name, values)
            else:
                raise ValueError(f"its history has an unknown list {name:.80}")
        per_epoch = (history.cost, history.metric, history.seconds, history.learning_rate)
        if len({len(numbers) for numbers in per_epoch}) > 1:
            raise ValueError("its history has lists of different lengths")
        return history

    @property
    def epochs(self) -> int:
        """Finished epochs."""
        return len(self.cost)

    def lists(self) -> dict[str, list]:
        """All lists by name, those of ``scores`` after "scores."."""
        fields = {**vars(self), **{f"scores.{name}": values for name, values in self.scores.items()}}
        return {name: values for name, values in fields.items() if isinstance(values, list)}

    def lengths(self) -> dict[str, int]:
        """How many entries each list has."""
        return {name: len(values) for name, values in self.lists().items()}

    def upto(self, lengths: dict) -> History:
        """The history as it was when its lists had these lengths."""
        lists: dict = {name: values[:lengths[name]] for name, values in vars(self).items() if isinstance(values, list)}
        scores = {name: values[:lengths[f"scores.{name}"]] for name, values in self.scores.items()
                  if f"scores.{name}" in lengths}
        return replace(self, **lists, scores=scores, stopped=False)

    def as_dict(self) -> dict:
        """All fields as plain lists of one length and numbers, for JSON or ``pandas.DataFrame``.

        A list has an entry for each epoch; those of the validation have one for each evaluation, and where there was
        none they are left out. A score f is ``validation_f``. Where the numbers of epochs and of evaluations differ,
        shorter lists end with None.

        >>> History("accuracy", cost=[0.5, 0.25], metric=[0.8, 0.9], validation_cost=[0.3]).as_dict()["validation_cost"]
        [0.3, None]
        """
        named = vars(self)
        scores = {f"validation_{name}" if f"validation_{name}" not in named else f"scores.{name}": values
                  for name, values in self.scores.items()}
        lists = {name: values for name, values in {**named, **scores}.items() if isinstance(values, list)}
        length = max(len(values) for values in lists.values())
        columns = {name: values + [None] * (length - len(values)) for name, values in lists.items()
                   if values or not name.startswith(("validation_", "scores."))}
        numbers = {name: value for name, value in named.items() if name not in lists and name != "scores"}
        return {**columns, **numbers}

    def last(self) -> dict[str, float]:
        """The latest figure of each kind, by name.

        >>> History("accuracy", cost=[0.5, 0.25], metric=[0.8, 0.9]).last()
        {'cost': 0.25, 'accuracy': 0.9}
        """
        figures = {"cost": self.cost, self.metric_name: self.metric, "validation_cost": self.validation_cost,
                   f"validation_{self.metric_name}": self.validation_metric,
                   **{f"validation_{name}": values for name, values in self.scores.items()}}
        return {name: values[-1] for name, values in figures.items() if values}

    def named(self) -> dict[str, float]:
        """The latest figures under the names that are shown: those of weighted training rows are called weighted.

        >>> History("accuracy", cost=[0.25], metric=[0.9], validation_cost=[0.5], weighted=True).named()
        {'weighted cost': 0.25, 'weighted accuracy': 0.9, 'validation cost': 0.5}
        """
        weighted = "weighted " if self.weighted else ""
        return {f"validation {name.removeprefix('validation_')}" if name.startswith("validation_")
                else weighted + name: value for name, value in self.last().items()}

    def __repr__(self) -> str:
        if not self.cost and not self.validation_cost:
            return "History(no epochs)"
        figures = ", ".join(f"{name} {value:.4g}" for name, value in self.named().items())
        return f"History({self.epochs} epochs, {self.steps} steps, {sum(self.seconds):.3g} s: {figures})"
