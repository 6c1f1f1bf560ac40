"""One partition's share of a round, and how shares are added up: plain functions that a worker of any kind may run.

A round of local SGD (Stich 2019, arXiv 1805.09767) begins with the same parameters everywhere. Each partition trains on
its own rows by the fused steps of the engine, and sends back by how much its parameters changed. A share is a function
of what goes out (:class:`RoundStart`), of the partition's rows and of its place in the run (:class:`Share`): whoever
computes it, and however often, it has the same bits.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from fastsgd.data.checks import Csr
from fastsgd.distributed.transfer import Packed, pack, unpack
from fastsgd.engine import ensemble
from fastsgd.engine.step_model import choose_threads_of_step
from fastsgd.model.architecture import Architecture
from fastsgd.optimizers import Optimizer, State, StepConfig
from fastsgd.optimizers.base import over
from fastsgd.optimizers.state import CARRIED, aligned_zeros

MEMORIES = ("average", "keep", "reset")
ORDER_OF_ROWS, ORDER_OF_CHUNKS, DROPOUT = range(3)           # what a seed is for


@dataclass(frozen=True)
class Recipe:
    """What stays the same in all rounds."""

    architecture: Architecture
    optimizer: Optimizer
    batch_size: int
    seed: int
    dropout: tuple = ()
    label_smoothing: float = 0.0
    memory: str = "average"
    transfer: str = "full"
    equal: bool = False                  # partitions count alike, not by their rows
    weighted_steps: bool = False         # a step's gradient is divided by its rows, not by their weights
    positive_weight: tuple[float, ...] = ()

    def generator(self, purpose: int, *numbers: int) -> np.random.Generator:
        """That of one purpose in one place of the run."""
        return np.random.default_rng((self.seed, purpose, *numbers))


@dataclass(frozen=True)
class RoundStart:
    """What goes out to every worker: a round's first parameters, and the optimizer's memory where it is averaged."""

    recipe: Recipe
    round: int
    params: np.ndarray
    slots: np.ndarray | None = None
    rate_factor: float = 1.0

    @property
    def nbytes(self) -> int:
        return self.params.nbytes + (0 if self.slots is None else self.slots.nbytes)


class Segment(NamedTuple):
    """Mini-batches of one chunk, in the order that an epoch has there."""

    chunk: int
    epoch: int
    first: int
    steps: int


@dataclass(frozen=True)
class Share:
    """What a partition does in a round: which mini-batches, and how many steps it has made before and makes in all."""

    partition: int
    segments: tuple[Segment, ...]
    steps_before: int
    steps_in_all: int
    carried: tuple = ()                  # of the optimizer, after those before; () at first

    @property
    def steps(self) -> int:
        return sum(segment.steps for segment in self.segments)


@dataclass
class Chunk:
    """Rows in the memory of a worker, checked, as the engine takes them."""

    X: np.ndarray | Csr
    y: np.ndarray
    weight: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.y)

    @property
    def nbytes(self) -> int:
        X = self.X
        rows = X.indptr.nbytes + X.indices.nbytes + X.values.nbytes if isinstance(X, Csr) else X.nbytes
        return rows + self.y.nbytes + (0 if self.weight is None else self.weight.nbytes)

    def __sizeof__(self) -> int:
        return self.nbytes


class Kept(NamedTuple):
    """What a partition keeps from round to round: the optimizer's memory, and what rounding its changes left over."""

    slots: np.ndarray | None
    residual: np.ndarray | None


class Timing(NamedTuple):
    """When and where a task ran; times are the worker's clock, in seconds from 1970."""

    round: int
    partition: int
    worker: str
    began: float
    ended: float


@dataclass
class Progress:
    """A partition in the middle of its share."""

    params: np.ndarray
    state: State
    weight: float = 0.0
    rows: int = 0
    steps: int = 0


@dataclass
class Outcome:
    """Shares added up: changes of the parameters, and memories where they are averaged, each times its weight."""

    change: np.ndarray | Packed
    slots: np.ndarray | None
    weight: float                        # what the change must be divided by
    counted: float                       # the weights of all rows trained on, that costs must be divided by
    cost: float
    score: float
    rows: int
    carried: dict[int, tuple]            # of each partition
    timings: tuple[Timing, ...] = ()
    worker: str = ""                     # where this object was made
    moved: int = 0                       # bytes that came to where they were added up

    @property
    def nbytes(self) -> int:
        return self.change.nbytes + (0 if self.slots is None else self.slots.nbytes)

    def __sizeof__(self) -> int:
        return self.nbytes


def segments_of(recipe: Recipe, partition: int, rows: Sequence[int], first: int, steps: int) -> tuple[Segment, ...]:
    """Where steps ``first`` to ``first + steps`` of a partition lie, whose chunks have so many rows.

    Its epochs follow each other without end, and each has its own order of the chunks.
    """
    per_chunk = [-(-count // recipe.batch_size) for count in rows]
    per_epoch, found = sum(per_chunk), []
    while steps:
        epoch, skipped = divmod(first, per_epoch)
        order = recipe.generator(ORDER_OF_CHUNKS, partition, epoch).permutation(len(rows)) if len(rows) > 1 else [0]
        for chunk in map(int, order):
            here = min(per_chunk[chunk] - skipped, steps)
            if here > 0:
                found.append(Segment(chunk, epoch, skipped, here))
                first, steps = first + here, steps - here
            skipped = max(0, skipped - per_chunk[chunk])
    return tuple(found)


def begin(start: RoundStart, share: Share, kept: Kept | None) -> Progress:
    """A partition before the first step of its share."""
    recipe = start.recipe
    params = aligned_zeros(start.params.shape, start.params.dtype)
    params[:] = start.params
    state = recipe.optimizer.state(params)
    slots = start.slots if kept is None else kept.slots
    if recipe.memory != "reset" and slots is not None:
        state.slots[:] = slots
        state.steps = share.steps_before
        for name, value in zip(CARRIED, share.carried, strict=bool(share.carried)):
            setattr(state, name, value)
    return Progress(params, state)


def advance(start: RoundStart, share: Share, segment: Segment, progress: Progress, chunk: Chunk, threads: int,
            poll: Callable[[int], bool] | None = None) -> None:
    """Makes the steps of a segment, changing ``progress``.

    FloatingPointError where the cost stops being finite; it names the partition.
    """
    recipe, state = start.recipe, progress.state
    first = share.steps_before + progress.steps              # of this partition, in the whole run
    order = recipe.generator(ORDER_OF_ROWS, share.partition, segment.epoch, segment.chunk).permutation(len(chunk))
    order = order[segment.first * recipe.batch_size:(segment.first + segment.steps) * recipe.batch_size]
    optimizer = recipe.optimizer.over(share.steps_in_all)
    rates = optimizer.learning_rates(first, segment.steps) * start.rate_factor
    config = StepConfig(_shifted(optimizer, first - state.steps), recipe.batch_size,
                        dropout=tuple(_later(over(rate, share.steps_in_all), first - state.steps)
                                      for rate in recipe.dropout),
                        seed=_seed_of_dropout(recipe, share, start.round), label_smoothing=recipe.label_smoothing,
                        positive_weight=recipe.positive_weight, weighted_steps=recipe.weighted_steps)
    threads = choose_threads_of_step(None, recipe.architecture, recipe.batch_size, progress.params.itemsize,
                                     most=threads)
    made = ensemble.train_epoch(recipe.architecture, progress.params, chunk.X, chunk.y, order, config, state, rates,
                                chunk.weight, threads, poll)
    if not math.isfinite(state.cost) or not np.isfinite(progress.params).all():
        rate = float(np.max(rates[..., min(made, segment.steps - 1)]))
        raise FloatingPointError(f"{name_of(share.partition)}: the cost or a parameter stopped being finite in round "
                                 f"{start.round}; the parameters of the round before are kept. Try a smaller "
                                 f"learning rate (it was {rate:g}), or shorter rounds")
    progress.steps += segment.steps
    progress.rows += len(order)
    progress.weight += len(order) if chunk.weight is None else float(chunk.weight[order].sum())


def finish(start: RoundStart, share: Share, progress: Progress, kept: Kept | None) -> tuple[Outcome, Kept | None]:
    """What the share adds to the round, and what the partition keeps for the next one."""
    recipe, state = start.recipe, progress.state
    weight = 1.0 if recipe.equal else float(progress.rows) if recipe.weighted_steps else progress.weight
    change: Any = progress.params
    change -= start.params
    residual = None
    if recipe.transfer != "full":
        if kept is not None and kept.residual is not None:
            change += kept.residual
        packed = pack(change, recipe.transfer)
        residual = change - unpack(packed)
        change = replace(packed, factor=packed.factor * weight)
    else:
        change *= change.dtype.type(weight)
    averages, keeps = recipe.memory == "average" and state.slots.size, recipe.memory == "keep" and state.slots.size
    outcome = Outcome(change, state.slots * state.slots.dtype.type(weight) if averages else None, weight,
                      progress.weight, state.cost, state.score, progress.rows,
                      {share.partition: tuple(getattr(state, name) for name in CARRIED)})
    left = Kept(state.slots if keeps else None, residual) if keeps or residual is not None else None
    return outcome, left


def add(outcomes: Sequence[Outcome], worker: str = "") -> Outcome:
    """The sum of outcomes, in the order of the binary tree whose leaves are the partitions, whoever adds up what.

    Each outcome is of one partition or of a branch of that tree.

    >>> import numpy as np
    >>> each = [Outcome(np.array([x]), None, 1.0, 1.0, x, x, 1, {i: ()}) for i, x in enumerate((1e16, 1.0, -1e16))]
    >>> add(each).change, add([add(each[:2]), each[2]]).change, add(each).weight
    (array([0.]), array([0.]), 3.0)
    """
    came = sum(outcome.nbytes for outcome in outcomes if outcome.worker != worker)
    parts = [replace(outcome, change=unpack(outcome.change)) for outcome in outcomes]
    first, last = min(map(_first, parts)), max(max(part.carried) for part in parts)
    size = 1
    while first // size != last // size:
        size *= 2
    total = _branch(parts, first // size * size, size)
    return replace(total, worker=worker, moved=total.moved + came)


def _branch(parts: list[Outcome], first: int, size: int) -> Outcome:
    """The sum of the parts that are of partitions from ``first`` to below ``first + size``, which are all of these."""
    if len(parts) == 1:
        return parts[0]
    middle = first + size // 2
    lower, upper = ([part for part in parts if (_first(part) < middle) == below] for below in (True, False))
    if not (lower and upper):
        return _branch(parts, first if lower else middle, size // 2)
    return _sum_of(_branch(lower, first, size // 2), _branch(upper, middle, size // 2))


def _first(outcome: Outcome) -> int:
    return min(outcome.carried)


def _sum_of(a: Outcome, b: Outcome) -> Outcome:
    slots = None if a.slots is None or b.slots is None else a.slots + b.slots
    change = unpack(a.change) + unpack(b.change)
    return Outcome(change, slots, a.weight + b.weight, a.counted + b.counted, a.cost + b.cost,
                   a.score + b.score, a.rows + b.rows, {**a.carried, **b.carried}, (*a.timings, *b.timings), a.worker,
                   a.moved + b.moved)


def name_of(partition: int) -> str:
    return f"partition {partition}"


def _seed_of_dropout(recipe: Recipe, share: Share, number: int) -> int:
    """Steps count from 0 in every round where the optimizer's memory is reset, so then each round has its own."""
    rounds = (number,) if recipe.memory == "reset" else ()
    return int(recipe.generator(DROPOUT, share.partition, *rounds).integers(2**63)) if recipe.dropout else 0


@dataclass(frozen=True)
class _Later:
    """A function of the step that begins so many steps later."""

    function: Callable[[int], float]
    steps: int

    def __call__(self, step: int) -> float:
        return self.function(step + self.steps)


def _later(value: Any, steps: int) -> Any:
    return _Later(value, steps) if callable(value) and steps else value


def _shifted(optimizer: Optimizer, steps: int) -> Optimizer:
    """The same for a state that counts its steps from later on; learning rates are given apart."""
    if callable(optimizer.weight_decay) and steps:
        return replace(optimizer, weight_decay=_later(optimizer.weight_decay, steps))
    return optimizer
