"""A distributed run: rounds of tasks, with evaluations, callbacks and checkpoints between them.

Reading order: ``execute``, ``_one_round``, ``_submit``. What a task computes is in ``local_sgd``.
"""
from __future__ import annotations

import contextlib
import math
import secrets
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fastsgd.distributed import tasks
from fastsgd.distributed.bundles import bundles_of
from fastsgd.distributed.checkpoint import RoundCheckpoint
from fastsgd.distributed.cluster import Cluster
from fastsgd.distributed.history import RoundHistory
from fastsgd.distributed.local_sgd import Kept, Outcome, Recipe, RoundStart, Share, Timing, add, segments_of
from fastsgd.distributed.outer import Nesterov, outer_step
from fastsgd.distributed.rows import Rows
from fastsgd.optimizers import CARRIED, Optimizer
from fastsgd.runs.callback import Run
from fastsgd.runs.callback_states import CallbackStates, divided
from fastsgd.runs.checkpoint import CheckpointTimer
from fastsgd.runs.evaluation import Evaluation
from fastsgd.runs.feeds import fingerprint
from fastsgd.runs.settings import Settings
from fastsgd.runs.start import plan_of_network

LAST_OUTCOMES = 4                        # that the client itself adds up
IN_TASKS = 2**23                         # bytes of parameters that travel within the tasks that need them
ROUNDS_KEPT = 16                         # after which what partitions keep comes to the client, so that a worker's
                                         # death never makes more rounds than these run again


@dataclass
class Plan:
    """The partitions of a run: the chunks of each, and how many steps each makes in a round."""

    groups: list[list[int]]
    rows: list[list[int]]                # of each chunk of each partition
    steps: list[int]                     # of each partition in a round

    @classmethod
    def of(cls, rows: Rows, partitions: int | None, batch_size: int, local_epochs: int,
           local_steps: int | None) -> Plan:
        groups = rows.groups(partitions)
        counts = [[rows.facts[chunk].rows for chunk in group] for group in groups]
        steps = [local_steps or local_epochs * sum(-(-count // batch_size) for count in own) for own in counts]
        return cls(groups, counts, steps)

    def __len__(self) -> int:
        return len(self.groups)

    def rows_of_round(self, batch_size: int) -> list[int]:
        """About how many rows each partition trains on in a round; exact where it is of whole epochs."""
        return [round(steps * sum(own) / sum(-(-count // batch_size) for count in own))
                for own, steps in zip(self.rows, self.steps, strict=True)]


class DistributedRun(Run):
    """The run that :class:`fastsgd.Run` describes to callbacks, with rounds for epochs, and what makes it."""

    unit = "round"

    def __init__(self, cluster: Cluster, settings: Settings, recipe: Recipe, rows: Rows, plan: Plan, *,
                 outer: Nesterov | None, evaluation: Evaluation | ClusterEvaluation | None):
        net = settings.net
        self.net = self.result = net
        self.epochs, self.epoch, self.rows_done, self.stop = settings.epochs, 0, 0, False
        self.history = RoundHistory(net.metric, batch_size=recipe.batch_size, weighted=rows.total.weighted)
        self.learning_rates: list[np.ndarray] = []
        self.rate_factor, self.evaluate_every, self.threads = 1.0, None, 1
        self._cluster, self._recipe, self._rows, self._plan, self._outer = cluster, recipe, rows, plan, outer
        self._evaluation = evaluation
        self._callbacks = settings.callbacks
        self._callback_states = CallbackStates(self._callbacks)
        self._checkpoint = settings.checkpoint
        self._timer = None if self._checkpoint is None else CheckpointTimer(self._checkpoint)
        self._rows_of = plan.rows_of_round(recipe.batch_size)
        self._good = net.params.copy()
        self._momentum = None if outer is None else np.zeros_like(net.params)
        self._slots: np.ndarray | None = None
        self._carried: list[tuple] = [()] * len(plan)
        self._kept: list[Any] = [None] * len(plan)           # Kept, or a future of it
        self._began: float | None = None
        self._restored: RoundCheckpoint | None = None
        self._asked: list[Any] = []                          # paths that callbacks asked a checkpoint for
        self._start: Any = None                              # what goes out for a round, and which
        self._submitted: Any = None                          # the round before; let go of earlier, it would hold up
                                                             # the next one: two messages of a client are 10 ms apart
        self._bundles: list[range] = []                      # of partitions, each of which a task trains
        self._slots_known = 0                                # when they were chosen
        self._topic = f"fastsgd-rows-{secrets.token_hex(4)}"
        self._reported: dict[int, int] = {}                  # rows of each partition that are through

    # ---- what callbacks see ----

    @property
    def optimizer(self) -> Optimizer:
        return self._recipe.optimizer

    @property
    def batch_size(self) -> int:
        return self._recipe.batch_size

    @property
    def weighted(self) -> bool:
        return self.history.weighted

    @property
    def rows(self) -> int:
        return sum(self._rows_of)

    @property
    def steps(self) -> int:
        return self.history.steps

    @property
    def seconds(self) -> float:
        return sum(self.history.seconds) + (0.0 if self._began is None else time.perf_counter() - self._began)

    @property
    def figures(self) -> list[str]:
        names = ["cost", self.history.metric_name]
        if self._evaluation:
            names += ["validation_cost", f"validation_{self.history.metric_name}",
                      *(f"validation_{name}" for name in self._evaluation.metrics)]
        return names

    def save(self, path) -> None:
        if not self.history.rounds:
            raise RuntimeError("run.save may be called in on_evaluation and on_epoch, between two rounds")
        self._asked.append(path)

    # ---- the story ----

    def execute(self) -> RoundHistory:
        """Trains to the end. The network has the parameters of the last whole round whatever happens."""
        with contextlib.ExitStack() as ends:
            ends.enter_context(self._cluster.listening(self._topic, self._hear))
            for callback in self._callbacks:
                callback.on_start(self)
                ends.callback(callback.on_end, self)
            self._restore_callbacks()
            try:
                while self.history.rounds < self.epochs and not self.stop:
                    self._one_round()
                self.history.stopped = bool(self.stop)
            finally:
                self.net.params[:] = self._good
                self._start = self._submitted = None
                if self._timer and self._timer.is_due(self.steps, self.history.rounds, at_the_end=True):
                    self._write(self._checkpoint.path)       # type: ignore[union-attr]
            if self._timer and not self._timer.written:
                self._write(self._checkpoint.path)           # type: ignore[union-attr]
        return self.history

    def _one_round(self) -> None:
        self.epoch, self.rows_done = self.history.rounds + 1, 0
        self._reported, self._cluster.doing = {}, f"round {self.epoch}"
        self._began = time.perf_counter()
        last, kept, trained = self._submitted = self._submit()
        outcome = add(self._cluster.results(last, f"round {self.epoch}", lambda: self._watch(trained), beside=trained,
                                            heard=lambda: sum(self._reported.values())))
        change = np.asarray(outcome.change) / self._good.dtype.type(outcome.weight)
        self.net.params[:] = self._good
        outer_step(self._outer, self.net.params, self._momentum, change)
        if not np.isfinite(self.net.params).all():
            self.net.params[:] = self._good
            raise FloatingPointError(f"a parameter stopped being finite in the outer step of round {self.epoch}; the "
                                     "parameters of the round before are kept. Try a smaller learning rate")
        if outcome.slots is not None:
            self._slots = outcome.slots / outcome.slots.dtype.type(outcome.weight)
        self._carried = [outcome.carried[partition] for partition in range(len(self._plan))]
        self._kept = kept
        self._good[:] = self.net.params
        seconds, self._began = time.perf_counter() - self._began, None
        self._start = None
        self.rows_done = self.rows
        self._note(outcome, seconds)
        if self._evaluation:
            self._evaluate()
        try:
            for callback in self._callbacks:
                callback.on_epoch(self)
        finally:
            for path in self._asked:
                self._write(path)
            self._asked = []
        if self._timer and self._timer.is_due(self.steps, self.history.rounds, at_the_end=False):
            self._write(self._checkpoint.path)               # type: ignore[union-attr]
        elif self.history.rounds % ROUNDS_KEPT == 0:
            self._bring_kept()

    def _submit(self) -> tuple[list, list, list]:
        """The tasks of a round: futures of outcomes to add up, of what partitions keep, and those to watch."""
        cluster, recipe, plan, number = self._cluster, self._recipe, self._plan, self.epoch
        slots = cluster.slots
        if self._rows.renew() or self._slots_known != slots:
            self._spread_rows(slots)
            self._bundles, self._slots_known = [], slots
        if not self._bundles:
            held = self._rows.holders(plan.groups)
            self._bundles = bundles_of(len(plan), slots, lambda block: held is None or bool(
                set.intersection(*(held[partition] for partition in block))))
        cluster.context = replace(cluster.context, at_once=math.ceil(len(self._bundles) / max(1, len(cluster.known))))
        start = self._handed_out(number)
        self.learning_rates = [recipe.optimizer.over(plan.steps[0] * self.epochs).learning_rates(
            (number - 1) * plan.steps[0], plan.steps[0]) * self.rate_factor]
        keeps = recipe.transfer != "full" or (recipe.memory == "keep" and bool(recipe.optimizer.slots))
        kept, trained = [None] * len(plan), []
        for block in self._bundles:
            shares = [self._share(partition) for partition in block]
            chunks = [sorted({segment.chunk for segment in share.segments}) for share in shares]
            bundle = tasks.Bundle(tuple(shares), tuple(map(tuple, chunks)), self._topic)
            future = cluster.submit(f"train-{number}-{block.start}", tasks.train, bundle, start,
                                    [self._kept[partition] for partition in block],
                                    [self._rows.chunk(plan.groups[share.partition][chunk])
                                     for share, own in zip(shares, chunks, strict=True) for chunk in own])
            trained.append(future)
            if keeps:
                keep = cluster.submit(f"keep-{number}-{block.start}", tasks.second_of, future)
                for partition in block:
                    kept[partition] = keep
        outcomes = [cluster.submit(f"change-{number}-{block.start}", tasks.first_of, future)
                    for block, future in zip(self._bundles, trained, strict=True)] if keeps else trained
        return self._add_up(outcomes), kept, trained

    def _spread_rows(self, slots: int) -> None:
        """Has rows loaded anew, where workers have joined and what they save is more than that takes."""
        before, now = (math.ceil(len(self._plan) / max(1, each)) for each in (self._slots_known, slots))
        if self._slots_known and self.history.rounds and now < before and self._seconds_saved(
                1 - now / before) > self._rows.seconds:
            self._rows.spread()

    def _seconds_saved(self, share: float) -> float:
        """In all rounds to come, where each takes so much less."""
        return share * self.history.compute_seconds[-1] * (self.epochs - self.history.rounds)

    def _add_up(self, outcomes: list) -> list:
        """Tasks that add outcomes up until few are left, in the order of the tree whose leaves are the partitions."""
        size, level = max(map(len, self._bundles)), list(zip(self._bundles, outcomes, strict=True))
        while len(level) > LAST_OUTCOMES:
            size *= 4
            branches: dict[int, list] = defaultdict(list)
            for block, future in level:
                branches[block.start // size].append((block, future))
            level = [self._branch(own) if len(own) > 1 else own[0] for own in branches.values()]
        return [future for _, future in level]

    def _branch(self, own: list) -> tuple[range, Any]:
        block = range(own[0][0].start, own[-1][0].stop)
        return block, self._cluster.submit(f"add-{self.epoch}-{block.start}", tasks.add, [future for _, future in own])

    def _share(self, partition: int) -> Share:
        """What a partition does in the present round."""
        recipe, plan, steps = self._recipe, self._plan, self._plan.steps[partition]
        before = (self.epoch - 1) * steps
        return Share(partition, segments_of(recipe, partition, plan.rows[partition], before, steps), before,
                     steps * self.epochs, self._carried[partition])

    # ---- its parts ----

    def _hear(self, event: dict) -> None:
        """What a worker reports of a partition."""
        partition, rows = int(event["partition"]), int(event["rows"])
        self._reported[partition] = min(rows, self._rows_of[partition])

    def _handed_out(self, number: int) -> Any:
        """What goes out for the round of this number.

        It travels within the tasks that need it, or where these are many or it is large within a task of its own, from
        which workers fetch it, and then from each other.
        """
        if self._start is None or self._start[0] != (number, self.rate_factor):
            start: Any = RoundStart(self._recipe, number, self._good.copy(), self._slots, self.rate_factor)
            if len(self._bundles) > 2 * len(self._cluster.known) or start.nbytes * len(self._bundles) > IN_TASKS:
                start = self._cluster.submit(f"parameters-{number}", tasks.hand_out, start)
            self._start = (number, self.rate_factor), start
        return self._start[1]

    def _watch(self, trained: Sequence[Any]) -> None:
        """While a round is under way: callbacks see how many rows are through."""
        rows = dict(self._reported)
        for block, future in zip(self._bundles, trained, strict=True):
            if future.status == "finished":
                rows.update({partition: self._rows_of[partition] for partition in block})
        self.rows_done = min(self.rows, sum(rows.values()))
        for callback in self._callbacks:
            callback.on_rows(self)

    def _note(self, outcome: Outcome, seconds: float) -> None:
        history, by_worker = self.history, defaultdict(list)
        for timing in outcome.timings:
            by_worker[timing.worker].append(timing)
            for name, value in timing._asdict().items():
                history.tasks[name].append(value)
        busiest = max(map(_busy_seconds, by_worker.values()))
        history.steps += sum(self._plan.steps)
        history.cost.append(outcome.cost / outcome.counted)
        history.metric.append(self._rows.metric(outcome.score, outcome.counted))
        history.seconds.append(seconds)
        history.compute_seconds.append(min(busiest, seconds))
        history.waiting_seconds.append(max(0.0, seconds - busiest))
        history.learning_rate.append(float(np.mean(self.learning_rates[-1][..., -1])))
        out = self._good.nbytes + (0 if self._slots is None or self.epoch == 1 else self._slots.nbytes)
        history.bytes_out.append(float(out * len(by_worker)))
        history.bytes_back.append(float(outcome.moved))
        history.rows.append(float(outcome.rows))

    def _evaluate(self) -> None:
        assert self._evaluation is not None
        if isinstance(self._evaluation, ClusterEvaluation):
            start = self._handed_out(self.epoch + 1)
            cost, metric, scores = self._evaluation.on_cluster(start, f"validation after round {self.epoch}")
        else:
            cost, metric, scores = self._evaluation(self.net)
        history = self.history
        history.validation_cost.append(cost)
        history.validation_metric.append(metric)
        history.validation_steps.append(self.steps)
        for name, value in scores.items():
            history.scores.setdefault(name, []).append(value)
        for callback in self._callbacks:
            callback.on_evaluation(self)

    # ---- checkpoints ----

    def plan(self) -> dict:
        """What must be the same for a run to resume to the same bits, in words that a message can show."""
        recipe, plan, evaluation = self._recipe, self._plan, self._evaluation
        scheduled = recipe.optimizer.over(1) != recipe.optimizer or any(callable(rate) for rate in recipe.dropout)
        validation = None if evaluation is None else evaluation.rows.fingerprint() if isinstance(
            evaluation, ClusterEvaluation) else fingerprint(evaluation.X, evaluation.y, evaluation.weight)
        return {**plan_of_network(self.net, with_metadata=self._checkpoint is not None),
                "optimizer": repr(recipe.optimizer), "batch_size": recipe.batch_size, "outer": repr(self._outer),
                "weighted": not recipe.equal, "memory": recipe.memory, "transfer": recipe.transfer,
                "dropout": [repr(rate) if callable(rate) else rate for rate in recipe.dropout],
                "label_smoothing": recipe.label_smoothing, "seed": recipe.seed, "partitions": plan.rows,
                "steps_of_a_round": plan.steps, "data": self._rows.fingerprint(), "validation": validation,
                **({"rounds": self.epochs} if scheduled else {})}

    def _bring_kept(self) -> None:
        """What partitions keep, from the workers to the client."""
        if any(future is not None and not isinstance(future, Kept) for future in self._kept):
            dicts = self._cluster.results(self._kept, "what partitions keep")
            self._kept = [own[partition] for partition, own in enumerate(dicts)]

    def _write(self, path) -> None:
        self._bring_kept()
        callbacks, arrays = divided(self._callback_states.take())
        kept = {partition: each for partition, each in enumerate(self._kept) if each is not None}
        RoundCheckpoint(self.plan(), self.history.rounds, float(self.rate_factor), self._carried, self.history,
                        callbacks, self._good, self._momentum, self._slots, kept, arrays).write(
                            path, self.net.architecture, self.net.metadata)
        if self._timer:
            self._timer.restart(self.steps, self.history.rounds, written=True)

    def restore(self, saved: RoundCheckpoint, path) -> None:
        """Puts the run where a checkpoint was written. ValueError where it is another run's, and nothing is changed."""
        saved.require(path, self.plan(), self._callback_states.names)
        slots = (self.optimizer.slots, self.net.params.size)
        if (saved.momentum is None) != (self._momentum is None) or len(saved.carried) != len(self._plan) or any(
                len(each) not in (0, len(CARRIED)) for each in saved.carried) or (
                saved.slots is not None and saved.slots.shape != slots) or any(
                each.slots is not None and each.slots.shape != slots for each in saved.kept.values()):
            raise ValueError(f"{path} is damaged: its arrays are not those of such a run")
        self.history = saved.history
        self.history.batch_size, self.history.weighted = self._recipe.batch_size, self._rows.total.weighted
        self.epoch = saved.round
        self.net.params[:] = self._good[:] = saved.params
        self.rate_factor, self._momentum, self._slots = saved.rate_factor, saved.momentum, saved.slots
        self._carried = saved.carried
        self._kept = [saved.kept.get(partition) for partition in range(len(self._plan))]
        self._restored = saved

    def _restore_callbacks(self) -> None:
        if self._timer:
            self._timer.restart(self.steps, self.history.rounds)
        if self._restored is None:
            return
        self._callback_states.restore(self, self._restored.callbacks, self._restored.arrays)
        self._restored = None


class ClusterEvaluation:
    """Validation rows that lie on the cluster."""

    metrics: dict = {}                                        # noqa: RUF012 - there are none: rows stay apart

    def __init__(self, cluster: Cluster, rows: Rows):
        self._cluster, self._rows = cluster, rows

    def on_cluster(self, start: Any, what: str) -> tuple[float, float, dict[str, float]]:
        """``(cost, metric, {})`` of the parameters of a round's start."""
        self._rows.renew()
        there = [i for i, each in enumerate(self._rows.facts) if each.rows]
        sums = self._cluster.results([self._cluster.submit(f"evaluate-{i}", tasks.evaluate, start, self._rows.chunk(i))
                                      for i in there], what)
        weight = self._rows.total.weight
        cost, score = (sum(each) for each in zip(*sums, strict=True))
        return cost / weight, self._rows.metric(score, weight), {}

    @property
    def rows(self) -> Rows:
        return self._rows


def _busy_seconds(timings: Sequence[Timing]) -> float:
    """How long at least one of a worker's tasks ran."""
    busy, end = 0.0, 0.0
    for timing in sorted(timings, key=lambda timing: timing.began):
        busy += max(0.0, timing.ended - max(end, timing.began))
        end = max(end, timing.ended)
    return busy
