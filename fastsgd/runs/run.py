"""A training run: epochs of mini-batch steps with evaluations, callbacks and checkpoints between them."""
from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from fastsgd.arguments import check_factor
from fastsgd.data import advice
from fastsgd.engine import _kernel
from fastsgd.optimizers import Optimizer, State, StepConfig
from fastsgd.runs.callback import Run
from fastsgd.runs.callback_states import CallbackStates, States, divided
from fastsgd.runs.checkpoint import CheckpointData, CheckpointTimer
from fastsgd.runs.evaluation import Evaluation
from fastsgd.runs.feeds import Feed, Segment, steps_in
from fastsgd.runs.generators import OwnGenerators
from fastsgd.runs.history import History
from fastsgd.runs.run_state import Counters, RunState
from fastsgd.runs.settings import Settings


class Snapshot(NamedTuple):
    """A run before its callbacks are called: all of it that they, or what is noted for them, may change."""

    counters: Counters
    history_lengths: dict[str, int]
    callback_states: States


class TrainingRun(Run):
    """The run that :class:`fastsgd.Run` describes, and what makes it."""

    unit = "epoch"

    def __init__(self, settings: Settings, feed: Feed, config: StepConfig, *, evaluation: Evaluation | None,
                 rng: np.random.Generator | OwnGenerators, rng_at_start: Mapping, threads: int, plan: dict,
                 state: State | None = None):
        net = settings.net
        self.net, self.epochs, self.threads = net, settings.epochs, threads
        self.history = History(net.metric, batch_size=feed.batch_size, weighted=_weighted(feed, config))
        self.epoch, self.rows_done, self.stop = 0, 0, False
        self.learning_rates: list[np.ndarray] = []
        self.evaluate_every = settings.evaluate_every
        self._feed, self._config, self._evaluation, self._plan = feed, config, evaluation, plan
        self._train_epoch, self._adapts_threads = settings.train_epoch, settings.threads is None
        self._callbacks = settings.callbacks
        self._callback_states = CallbackStates(self._callbacks)
        self._checkpoint = settings.checkpoint
        self._timer = None if self._checkpoint is None else CheckpointTimer(self._checkpoint)
        self._of_optimizer = config.optimizer.state(net.params) if state is None else state
        self._state = RunState(self._of_optimizer, rng, rng_at_start)
        self.result = net if self._of_optimizer.average is None else net.copy()
        self._diverged = False
        self._pass_began: float | None = None    # when the engine was called, while it runs
        self._looked = time.perf_counter()       # when on_rows was last called
        self._latest: Segment | None = None      # the segment trained on last
        self._good, self._good_are = net.params.copy(), "the initial parameters"
        self._begun = False
        self._restored: CheckpointData | None = None
        self._snapshot: Snapshot | None = None

    @property
    def optimizer(self) -> Optimizer:
        return self._config.optimizer

    @property
    def batch_size(self) -> int:
        return self._feed.batch_size

    @property
    def weighted(self) -> bool:
        return self.history.weighted

    @property
    def rows(self) -> int | None:
        return self._feed.rows

    @property
    def steps(self) -> int:
        return self._of_optimizer.steps

    @property
    def rate_factor(self) -> float:
        return self._state.rate_factor

    @rate_factor.setter
    def rate_factor(self, factor: float) -> None:
        self._state.rate_factor = check_factor("rate_factor", factor)

    @property
    def seconds(self) -> float:
        running = 0.0 if self._pass_began is None else time.perf_counter() - self._pass_began
        within = self.epoch > self.history.epochs or self._state.steps_in_epoch > 0
        return sum(self.history.seconds) + (self._state.seconds if within else 0.0) + running

    @property
    def figures(self) -> list[str]:
        names = ["cost", self.history.metric_name]
        if self._evaluation:
            names += ["validation_cost", f"validation_{self.history.metric_name}",
                      *(f"validation_{name}" for name in self._evaluation.metrics)]
        return names

    def __repr__(self) -> str:
        return (f"Run(epoch {self.epoch} of {self.epochs}, {self.steps:,} steps, {self.seconds:.3g} s"
                + "".join(f", {name} {value:.4g}" for name, value in self.history.named().items()) + ")")

    # ---- the story ----

    def execute(self) -> History:
        """Trains to the end."""
        if self._restored is None and self._of_optimizer.averaged is not None:
            self.net.params[:] = self._of_optimizer.averaged
        with contextlib.ExitStack() as ends:                # every on_end follows its on_start, last first
            ends.callback(self._put_back_unless_begun)
            for callback in self._callbacks:
                callback.on_start(self)
                ends.callback(callback.on_end, self)
            self._restore_callbacks()
            self._begun = True
            ends.callback(self._adopt_average)
            try:
                while self.history.epochs < self.epochs and (not self.stop or self._epoch_lacks_its_entry):
                    self._one_epoch()
                self.history.stopped = bool(self.stop)
            finally:
                if not self._diverged:
                    self._save_if_due(at_the_end=True)
            if self._timer and self._checkpoint and not self._timer.written:
                self._write(self._checkpoint.path)          # even of a run that had nothing to do
        return self.history

    def _one_epoch(self) -> None:
        self.epoch = self.history.epochs + 1
        skipped = self._state.steps_in_epoch                # where a checkpoint was written within the epoch
        self.learning_rates = self._state.rates_so_far(self.optimizer)
        if not skipped:
            self._state.begin_epoch()
        self.rows_done = skipped * self.batch_size if self.rows is None else min(skipped * self.batch_size, self.rows)
        self._evaluate_if_due()
        if self.stop and self.rows_done != self.rows:
            return
        for segment in self._timed(self._feed.epoch(self.epoch, self._state.rng, skipped)):
            if segment is None:                             # the feed is still reading it
                self._look(self.rows_done)
                if self.stop and self.rows_done != self.rows:
                    return
                self._save_if_due()
                continue
            first = 0
            while first < len(segment):
                rows = min(len(segment) - first, self._steps_to_pause(segment) * self.batch_size)
                first += self._train_on(segment.part(first, rows))
                self._evaluate_if_due()
                if self.rows_done == self.rows:
                    break
                if self.stop:
                    return
                self._save_if_due()
        self._require_finite_parameters()
        self._latest = None
        cost, metric = self._feed.summary(self._of_optimizer.cost, self._of_optimizer.score)
        evaluated = self._evaluation(self.result) if self._evaluation and not self.evaluate_every else None
        self._good[:], self._good_are = self.net.params, "the parameters of the last good epoch"
        with self._calling_back():
            self._state.steps_at_epoch = self.steps
            self.history.cost.append(cost)
            self.history.metric.append(metric)
            self.history.seconds.append(self._state.seconds)
            self.history.learning_rate.append(float(np.mean(self.last_rates)))
            if evaluated:
                self._note_evaluation(evaluated)
            for callback in self._callbacks:
                callback.on_epoch(self)
            self._state.rng_at_epoch = self._state.rng.bit_generator.state
        self._save_if_due()

    def _timed(self, segments: Iterator[Segment | None]) -> Iterator[Segment | None]:
        """The segments; waiting for them counts as time of the epoch."""
        while True:
            begin = time.perf_counter()
            try:
                segment = next(segments)
            except StopIteration:
                return
            finally:
                self._state.seconds += time.perf_counter() - begin
            yield segment

    def _train_on(self, segment: Segment) -> int:
        """One call of the engine, to the end of the segment or until ``poll`` asks for a pause; returns its rows."""
        state, rows_before, steps_before, begin = self._state, self.rows_done, self.steps, time.perf_counter()
        steps = steps_in(len(segment), self.batch_size)
        rates = self.optimizer.learning_rates(self.steps, steps) * state.acting_factor
        self._latest, stopped = segment, self._of_optimizer.stopped.copy()
        self.history.weighted |= segment.weight is not None

        def poll(rows_done: int) -> bool:
            self._look(rows_before + rows_done)
            return self.stop or (self._timer is not None and self._timer.expired())

        self._pass_began = begin
        try:
            self._train_epoch(self.net.architecture, self.net.params, segment.X, segment.y, segment.order, self._config,
                              self._of_optimizer, rates, segment.weight, self.threads, poll, self._adapts_threads)
        finally:
            made = self.steps - steps_before
            rows = min(made * self.batch_size, len(segment))
            state.seconds += time.perf_counter() - begin
            self._pass_began = None
            self.rows_done = rows_before + rows
            self.history.steps = self.steps
            self.learning_rates.append(rates[..., :made])
            state.factors.append([made, state.acting_factor])
            self._show_average()
        now_stopped = self._of_optimizer.stopped
        for member in np.flatnonzero(now_stopped > stopped) if not now_stopped.all() else ():
            rate = f" (learning rate {rates[member, -1]:g})" if rates.ndim == 2 else ""
            advice.warn(f"member {member}{rate} stopped in epoch {self.epoch}: its cost was not finite; the others go "
                        "on")
        if not np.isfinite(self._of_optimizer.cost):
            self._give_up("the cost", self.steps + 1, float(np.max(rates[..., min(made, steps - 1)])))
        if time.perf_counter() - self._looked >= _kernel.POLL_SECONDS:        # in passes that are shorter
            self._look(self.rows_done)
        return rows

    def _look(self, rows_done: int) -> None:
        self.rows_done = rows_done
        for callback in self._callbacks:
            callback.on_rows(self)
        self._looked = time.perf_counter()

    def _evaluate_if_due(self) -> None:
        if self._evaluation and self.evaluate_every and self.steps and self.steps % self.evaluate_every == 0 and \
                self.steps not in self.history.validation_steps[-1:]:
            evaluated = self._evaluation(self.result)
            with self._calling_back():
                self._note_evaluation(evaluated)
            self._state.acting_factor = self.rate_factor

    def _note_evaluation(self, evaluated: tuple[float, float, dict[str, float]]) -> None:
        cost, metric, scores = evaluated
        self.history.validation_cost.append(cost)
        self.history.validation_metric.append(metric)
        self.history.validation_steps.append(self.steps)
        for name, value in scores.items():
            self.history.scores.setdefault(name, []).append(value)
        for callback in self._callbacks:
            callback.on_evaluation(self)

    # ---- its parts ----

    def _steps_to_pause(self, segment: Segment) -> int:
        """How many steps may be made before an evaluation or a checkpoint is due.

        A checkpoint waits for the next step at which the engine flushes its lazy updates in any case: a flush between
        would change the last bits of a run, so that they would depend on its checkpoints.
        """
        ends = [2**40]
        if self.evaluate_every:
            ends.append(self.evaluate_every - self.steps % self.evaluate_every)
        if self._timer:
            each = _kernel.flush_interval(self.net.architecture, segment.X, self._config) or 1
            ends.append(-(-(self.steps + self._timer.steps_left(self.steps)) // each) * each - self.steps)
        return min(ends)

    @property
    def last_rates(self) -> np.ndarray:
        """The learning rates of the last step: one, or one for each member that has its own."""
        return np.atleast_1d(self.learning_rates[-1][..., -1])

    @property
    def _epoch_lacks_its_entry(self) -> bool:
        """Whether an epoch has all its steps but no entry in the history: a callback or Ctrl-C came between."""
        return self.rows is not None and 0 < self._state.steps_in_epoch == steps_in(self.rows, self.batch_size)

    def _put_back_unless_begun(self) -> None:
        if not self._begun:
            self.net.params[:] = self._good

    def _show_average(self) -> None:
        if self._of_optimizer.average is not None:
            self.result.params[:] = self._of_optimizer.average

    def _adopt_average(self) -> None:
        if self._of_optimizer.average is not None and not self._diverged:
            self._of_optimizer.averaged = self.net.params.copy()
            self.net.params[:] = self.result.params

    def _require_finite_parameters(self) -> None:
        if not np.isfinite(self.net.params).all():
            self._give_up("a parameter", self.steps, float(np.max(self.last_rates)))

    def _give_up(self, what: str, step: int, rate: float) -> None:
        self._diverged = True
        self.net.params[:] = self._good
        latest = self._latest
        cure = f"Try a smaller learning rate (it was {rate:g})" if latest is None else advice.of_divergence(
            self.net.architecture, latest.X, latest.y, rate, self.net.dtype, latest.numbers)
        raise FloatingPointError(f"{what} stopped being finite at step {step}, in epoch {self.epoch}; {self._good_are} "
                                 f"are kept. {cure}")

    # ---- checkpoints ----

    def _save_if_due(self, at_the_end: bool = False) -> None:
        if self._timer and self._checkpoint and self._timer.is_due(self.steps, self.history.epochs, at_the_end):
            self._write(self._checkpoint.path)
            self._timer.restart(self.steps, self.history.epochs, written=True)

    @contextlib.contextmanager
    def _calling_back(self):
        """While callbacks are called with new figures.

        A checkpoint that is written meanwhile, or after an exception of one of them or Ctrl-C, is of the snapshot taken
        here: the run that resumes from it calls all of them again. So an exception must leave the snapshot in place.
        """
        self._snapshot = self._take_snapshot()
        yield
        self._snapshot = None

    def _take_snapshot(self) -> Snapshot:
        return Snapshot(self._state.counters(), self.history.lengths(), self._callback_states.take())

    def save(self, path) -> None:
        if self._snapshot is None:
            raise RuntimeError("run.save may be called in on_evaluation and on_epoch, where a run is between two steps")
        self._write(path)

    def _write(self, path) -> None:
        self._require_finite_parameters()
        self._show_average()                     # Ctrl-C may have come between the last step and these
        self.history.steps = self.steps
        snapshot = self._snapshot or self._take_snapshot()
        callbacks, arrays = divided(snapshot.callback_states)
        data = CheckpointData(plan=self._plan, counters=snapshot.counters.checked(), callbacks=callbacks, arrays=arrays,
                              history=self.history.upto(snapshot.history_lengths), params=self.net.params,
                              slots=self._of_optimizer.slots, average=self._of_optimizer.average)
        data.write(path, self.net.architecture, self.result.params, self.net.metadata)

    def restore(self, data: CheckpointData, path) -> None:
        """Puts the run where a checkpoint was written. ValueError where it is another run's, and nothing is changed."""
        engine, counters = self._of_optimizer, data.counters
        data.require(path, self._plan, self._callback_states.names)
        if data.slots.shape != engine.slots.shape or (data.average is None) != (engine.average is None):
            raise ValueError(f"{path} is damaged: its slots have shape {data.slots.shape}")
        if self.rows is not None and counters.steps_in_epoch > steps_in(self.rows, self.batch_size):
            raise ValueError(f"{path} is damaged: an epoch has not {counters.steps_in_epoch:,} steps")
        self._restored, self.history = data, data.history
        self.history.batch_size, self.history.weighted = self.batch_size, _weighted(self._feed, self._config)
        self.net.params[:] = data.params
        engine.slots[:] = data.slots
        if engine.average is not None and data.average is not None:
            engine.average[:] = data.average
        self._state.restore(counters, counters.steps in self.history.validation_steps[-1:],
                            self.net.architecture.members)
        if counters.steps_in_epoch:
            self.epoch = self.history.epochs + 1
            self.learning_rates = self._state.rates_so_far(self.optimizer)
        self._show_average()

    def _restore_callbacks(self) -> None:
        if self._timer:
            self._timer.restart(self.steps, self.history.epochs)
        if self._restored is None:
            return
        self._callback_states.restore(self, self._restored.callbacks, self._restored.arrays)
        self._good[:], self._good_are = self.net.params, "the parameters of the checkpoint"
        self._restored = None


def _weighted(feed: Feed, config: StepConfig) -> bool:
    return feed.weighted or bool(config.positive_weight)
