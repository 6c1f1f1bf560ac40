"""A training run: epochs of mini-batch steps, what is looked at between them, and going on from a checkpoint."""
from __future__ import annotations

import contextlib
import copy
import time
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from fastsgd.data import advice
from fastsgd.engine import _kernel
from fastsgd.network.network import Network
from fastsgd.optimizers import Optimizer, State, StepConfig
from fastsgd.runs.callbacks import Callback
from fastsgd.runs.checkpoint import Checkpoint, Clock, Progress, Saved
from fastsgd.runs.evaluation import Evaluation
from fastsgd.runs.feeds import Feed, Segment, steps_in
from fastsgd.runs.history import History


class Moment(NamedTuple):
    """What listeners, or what is noted for them, may change."""

    steps_at_epoch: int
    draw: Mapping
    rate_factor: float
    lengths: dict
    listeners: list[tuple[str, dict]]


class Run:
    """A training run, as its callbacks see it.

    Attributes
    ----------
    net : Network
        Changes with every step.
    result : Network
        What the training would return now: ``net``, or where the optimizer keeps an average one with that.
    history : History
    optimizer : Optimizer
    epochs, epoch : int
        How many there will be, and the number of the present one, from 1.
    rows : int or None
        Of an epoch; None where a stream does not say.
    rows_done, steps : int
        Rows of the present epoch that have been trained on, and steps in all.
    batch_size, threads : int
    weighted : bool
        Whether weights of rows or classes are in use, so that ``history.cost`` and ``history.metric`` are weighted
        means; of a stream, whether any have come so far.
    learning_rates : list of ndarray
        Those of the present epoch's steps.
    rate_factor : float
        What learning rates are multiplied by from the next epoch, or the next evaluation, on; callbacks may change it.
        Within an epoch without evaluations a change waits for the next one.
    evaluate_every : int or None
        Evaluations happen after steps that are multiples of it; callbacks may change it where it is not None.
    stop : bool
        A callback sets it to end the run: in ``on_rows`` after the present step, else when the callback returns.
    """

    def __init__(self, net: Network, feed: Feed, recipe: StepConfig, *, epochs: int, rng: np.random.Generator,
                 threads: int, adapts: bool, train_epoch: Callable, listeners: list[Callback],
                 evaluation: Evaluation | None, evaluate_every: int | None, checkpoint: Checkpoint | None, plan: dict,
                 first_draw: Mapping, state: State | None = None):
        self.net, self.epochs, self.threads = net, epochs, threads
        self.history = History(net.metric, batch_size=feed.batch_size, weighted=_weighted(feed, recipe))
        self.epoch, self.rows_done, self.rate_factor, self.stop = 0, 0, 1.0, False
        self.learning_rates: list[np.ndarray] = []
        self.evaluate_every = evaluate_every
        self._feed, self._recipe, self._rng, self._train_epoch = feed, recipe, rng, train_epoch
        self._keepers = [listener for listener in listeners if type(listener).state is not Callback.state]
        self._adapts, self._listeners, self._evaluation, self._plan = adapts, listeners, evaluation, plan
        self._checkpoint, self._clock = checkpoint, None if checkpoint is None else Clock(checkpoint)
        self._state = recipe.optimizer.state(net.params) if state is None else state
        self.result = net if self._state.average is None else net.copy()
        self._steps_at_epoch, self._seconds, self._diverged = self._state.steps, 0.0, False
        self._pass_began: float | None = None    # of compiled code that is running
        self._looked = time.perf_counter()       # when on_rows had been called last
        self._acting_factor = 1.0                # rate_factor at the last epoch's beginning or evaluation
        self._factors: list = []                 # [steps, acting factor] of each pass of the epoch
        self._latest: Segment | None = None      # that was trained on
        self._first_draw = first_draw            # the generator's state before it drew anything,
        self._draw = rng.bit_generator.state     # and before it drew the order of the epoch
        self._good, self._good_are = net.params.copy(), "the initial parameters"
        self._begun = False
        self._saved: Saved | None = None
        self._moment: Moment | None = None

    @property
    def optimizer(self) -> Optimizer:
        """What changes the parameters."""
        return self._recipe.optimizer

    @property
    def batch_size(self) -> int:
        """Rows per step."""
        return self._feed.batch_size

    @property
    def weighted(self) -> bool:
        """Whether weights of rows or classes are in use."""
        return self.history.weighted

    @property
    def rows(self) -> int | None:
        """Rows of an epoch."""
        return self._feed.rows

    @property
    def steps(self) -> int:
        """Steps in all."""
        return self._state.steps

    @property
    def seconds(self) -> float:
        """Wall time of all steps and of waiting for their rows, as in ``history.seconds``, up to now."""
        running = 0.0 if self._pass_began is None else time.perf_counter() - self._pass_began
        within = self.epoch > self.history.epochs or self.steps > self._steps_at_epoch
        return sum(self.history.seconds) + (self._seconds if within else 0.0) + running

    @property
    def figures(self) -> list[str]:
        """The names under which ``history.last()`` has figures, as soon as they have been measured."""
        names = ["cost", self.history.metric_name]
        if self._evaluation:
            names += ["validation_cost", f"validation_{self.history.metric_name}",
                      *(f"validation_{name}" for name in self._evaluation.metrics)]
        return names

    def __repr__(self) -> str:
        return (f"Run(epoch {self.epoch} of {self.epochs}, {self.steps:,} steps, {self.seconds:.3g} s"
                + "".join(f", {name} {value:.4g}" for name, value in self.history.named().items()) + ")")

    # ---- the story ----

    def go(self) -> History:
        """Trains to the end."""
        if self._saved is None and self._state.averaged is not None:
            self.net.params[:] = self._state.averaged
        with contextlib.ExitStack() as ends:                # every on_end follows its on_start, last first
            ends.callback(self._put_back_unless_begun)
            for listener in self._listeners:
                listener.on_start(self)
                ends.callback(listener.on_end, self)
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
            if self._clock and self._checkpoint and not self._clock.written:
                self._write(self._checkpoint.path)          # of a run that had nothing to do
        return self.history

    def _one_epoch(self) -> None:
        self.epoch = self.history.epochs + 1
        skipped = self.steps - self._steps_at_epoch         # where a checkpoint was written within the epoch
        self.learning_rates = self._rates_before(skipped)
        if not skipped:
            self._factors, self._acting_factor = [], self.rate_factor
            self._state.cost = self._state.score = self._seconds = 0.0
            if self._state.output_costs is not None:
                self._state.output_costs[:] = 0
        self.rows_done = skipped * self.batch_size if self.rows is None else min(skipped * self.batch_size, self.rows)
        self._evaluate_if_due()
        if self.stop and self.rows_done != self.rows:
            return
        for segment in self._timed(self._feed.epoch(self.epoch, self._rng, skipped)):
            if segment is None:                             # it is still awaited
                self._look(self.rows_done)
                if self.stop and self.rows_done != self.rows:
                    return
                self._save_if_due()
                continue
            first = 0
            while first < len(segment):
                rows = min(len(segment) - first, self._steps_to_rest(segment) * self.batch_size)
                first += self._descend(segment.part(first, rows))
                self._evaluate_if_due()
                if self.rows_done == self.rows:
                    break
                if self.stop:
                    return
                self._save_if_due()
        self._require_finite_parameters()
        self._latest = None
        cost, metric = self._feed.summary(self._state.cost, self._state.score)
        evaluated = self._evaluation(self.result) if self._evaluation and not self.evaluate_every else None
        self._good[:], self._good_are = self.net.params, "the parameters of the last good epoch"
        with self._telling():
            self._steps_at_epoch = self.steps
            self.history.cost.append(cost)
            self.history.metric.append(metric)
            self.history.seconds.append(self._seconds)
            self.history.learning_rate.append(float(np.concatenate(self.learning_rates)[-1]))
            if evaluated:
                self._note_evaluation(evaluated)
            for listener in self._listeners:
                listener.on_epoch(self)
            self._draw = self._rng.bit_generator.state
        self._save_if_due()

    def _timed(self, segments: Iterator[Segment | None]) -> Iterator[Segment | None]:
        """The segments; the time until they are there is part of the epoch's."""
        while True:
            begin = time.perf_counter()
            try:
                segment = next(segments)
            except StopIteration:
                return
            finally:
                self._seconds += time.perf_counter() - begin
            yield segment

    def _descend(self, segment: Segment) -> int:
        """One pass of compiled code along the segment, to its end or where a pause is asked for; returns its rows."""
        rows_before, steps_before, begin = self.rows_done, self.steps, time.perf_counter()
        steps = steps_in(len(segment), self.batch_size)
        rates = self.optimizer.learning_rates(self.steps, steps) * self._acting_factor
        self._latest = segment
        self.history.weighted |= segment.weight is not None

        def poll(rows_done: int) -> bool:
            self._look(rows_before + rows_done)
            return self.stop or (self._clock is not None and self._clock.rings())

        self._pass_began = begin
        try:
            self._train_epoch(self.net.architecture, self.net.params, segment.X, segment.y, segment.order, self._recipe,
                              self._state, rates, segment.weight, self.threads, poll, self._adapts)
        finally:
            made = self.steps - steps_before
            rows = min(made * self.batch_size, len(segment))
            self._seconds += time.perf_counter() - begin
            self._pass_began = None
            self.rows_done = rows_before + rows
            self.history.steps = self.steps
            self.learning_rates.append(rates[:made])
            self._factors.append([made, self._acting_factor])
            self._show_average()
        if not np.isfinite(self._state.cost):
            self._give_up("the cost", self.steps + 1, rates[min(made, steps - 1)])
        if time.perf_counter() - self._looked >= _kernel.POLL_SECONDS:        # in passes that are shorter
            self._look(self.rows_done)
        return rows

    def _look(self, rows_done: int) -> None:
        self.rows_done = rows_done
        for listener in self._listeners:
            listener.on_rows(self)
        self._looked = time.perf_counter()

    def _evaluate_if_due(self) -> None:
        if self._evaluation and self.evaluate_every and self.steps and self.steps % self.evaluate_every == 0 and \
                self.steps not in self.history.validation_steps[-1:]:
            evaluated = self._evaluation(self.result)
            with self._telling():
                self._note_evaluation(evaluated)
            self._acting_factor = self.rate_factor

    def _note_evaluation(self, evaluated: tuple[float, float, dict[str, float]]) -> None:
        cost, metric, scores = evaluated
        self.history.validation_cost.append(cost)
        self.history.validation_metric.append(metric)
        self.history.validation_steps.append(self.steps)
        for name, value in scores.items():
            self.history.scores.setdefault(name, []).append(value)
        for listener in self._listeners:
            listener.on_evaluation(self)

    # ---- its parts ----

    def _steps_to_rest(self, segment: Segment) -> int:
        """How many steps may be made before somebody wants to look.

        Where a checkpoint is due the linear path of the kernel goes on to where it rests in any case, or whether there
        are checkpoints would change the last bits.
        """
        ends = [2**40]
        if self.evaluate_every:
            ends.append(self.evaluate_every - self.steps % self.evaluate_every)
        if self._clock:
            each = _kernel.flush_interval(self.net.architecture, segment.X, self._recipe) or 1
            ends.append(-(-(self.steps + self._clock.steps_left(self.steps)) // each) * each - self.steps)
        return min(ends)

    def _rates_before(self, skipped: int) -> list[np.ndarray]:
        """The learning rates of the epoch's steps that another process made."""
        factors = np.repeat([factor for _, factor in self._factors], [steps for steps, _ in self._factors])[:skipped]
        return [self.optimizer.learning_rates(self._steps_at_epoch, skipped) * factors] if skipped else []

    @property
    def _epoch_lacks_its_entry(self) -> bool:
        """Whether all steps of an epoch are made, and a listener or Ctrl-C came between them and its entry."""
        made = self.steps - self._steps_at_epoch
        return self.rows is not None and 0 < made == steps_in(self.rows, self.batch_size)

    def _put_back_unless_begun(self) -> None:
        if not self._begun:
            self.net.params[:] = self._good

    def _show_average(self) -> None:
        if self._state.average is not None:
            self.result.params[:] = self._state.average

    def _adopt_average(self) -> None:
        if self._state.average is not None and not self._diverged:
            self._state.averaged = self.net.params.copy()
            self.net.params[:] = self.result.params

    def _require_finite_parameters(self) -> None:
        if not np.isfinite(self.net.params).all():
            self._give_up("a parameter", self.steps, np.concatenate(self.learning_rates)[-1])

    def _give_up(self, what: str, step: int, rate: float) -> None:
        self._diverged = True
        self.net.params[:] = self._good
        latest = self._latest
        cure = f"Try a smaller learning rate (it was {rate:g})" if latest is None else advice.of_divergence(
            self.net.architecture, latest.X, latest.y, rate, self.net.dtype, latest.order)
        raise FloatingPointError(f"{what} stopped being finite at step {step}, in epoch {self.epoch}; {self._good_are} "
                                 f"are kept. {cure}")

    # ---- checkpoints ----

    def _save_if_due(self, at_the_end: bool = False) -> None:
        if self._clock and self._checkpoint and self._clock.is_due(self.steps, self.history.epochs, at_the_end):
            self._write(self._checkpoint.path)
            self._clock.saved(self.steps, self.history.epochs, written=True)

    @contextlib.contextmanager
    def _telling(self):
        """While listeners are told something new.

        A checkpoint of this time is one of the moment before, so that those who have not been told yet, as one of them
        or Ctrl-C came between, will be told by the run that goes on from there. That is why an exception, which passes
        over the last line, leaves the moment as it is.
        """
        self._moment = self._now()
        yield
        self._moment = None

    def _now(self) -> Moment:
        return Moment(self._steps_at_epoch, self._draw, self.rate_factor, self.history.lengths(),
                      [(type(listener).__name__, copy.deepcopy(listener.state())) for listener in self._keepers])

    def save(self, path) -> None:
        """Writes a checkpoint: complete or not at all. ``train(resume=path)`` goes on from there.

        For callbacks, in ``on_evaluation`` and ``on_epoch``: what is saved is the moment before they were called, and
        the run that goes on calls them again. RuntimeError at any other time, OSError where the file cannot be written.
        """
        if self._moment is None:
            raise RuntimeError("run.save may be called in on_evaluation and on_epoch, where a run is between two steps")
        self._write(path)

    def _write(self, path) -> None:
        self._require_finite_parameters()
        self._show_average()                     # Ctrl-C may have come between the last step and these
        self.history.steps = self.steps
        moment = self._moment or self._now()
        missing = self.steps - moment.steps_at_epoch - sum(steps for steps, _ in self._factors)
        factors = [*self._factors, [missing, self._acting_factor]] if missing > 0 else self._factors
        progress = Progress(self.steps, moment.steps_at_epoch, float(self._state.cost), float(self._state.score),
                            float(self._seconds), float(moment.rate_factor), factors, dict(self._first_draw),
                            dict(moment.draw), float(self._state.cumulative_l1))
        kept, arrays = [], {}
        for i, (name, values) in enumerate(moment.listeners):
            kept.append([name, {key: value for key, value in values.items() if not isinstance(value, np.ndarray)}])
            arrays.update({f"{i}.{key}": value for key, value in values.items() if isinstance(value, np.ndarray)})
        Saved(self._plan, progress, self.history.upto(moment.lengths), kept, self.net.params, self._state.slots,
              self._state.average, arrays).write(path, self.net.architecture, self.result.params, self.net.metadata)

    def go_to(self, saved: Saved, path) -> None:
        """Goes to where a checkpoint was written. ValueError where it is another run's, and nothing is changed."""
        saved.require(path, self._plan, [type(listener).__name__ for listener in self._keepers])
        if saved.slots.shape != self._state.slots.shape or (saved.average is None) != (self._state.average is None):
            raise ValueError(f"{path} is damaged: its slots have shape {saved.slots.shape}")
        if self.rows is not None and saved.progress.skipped > steps_in(self.rows, self.batch_size):
            raise ValueError(f"{path} is damaged: an epoch has not {saved.progress.skipped:,} steps")
        self._saved, self.history = saved, saved.history
        self.history.batch_size, self.history.weighted = self.batch_size, _weighted(self._feed, self._recipe)
        self.net.params[:] = saved.params
        self._state.slots[:] = saved.slots
        if self._state.average is not None and saved.average is not None:
            self._state.average[:] = saved.average
        progress = saved.progress
        self._state.steps, self._steps_at_epoch = progress.steps, progress.steps_at_epoch
        self._state.cost, self._state.score = progress.cost, progress.score
        self._state.cumulative_l1 = progress.penalty
        self._seconds, self.rate_factor, self._factors = progress.seconds, progress.rate_factor, progress.factors
        self._acting_factor = self.rate_factor
        if progress.skipped:
            self.epoch = self.history.epochs + 1
            self.learning_rates = self._rates_before(progress.skipped)
            if self._factors and self.steps not in self.history.validation_steps[-1:]:
                self._acting_factor = self._factors[-1][1]
        self._rng.bit_generator.state = self._draw = progress.draw
        self._show_average()

    def _restore_callbacks(self) -> None:
        if self._clock:
            self._clock.saved(self.steps, self.history.epochs)
        if self._saved is None:
            return
        for i, listener in enumerate(self._keepers):
            prefix = f"{i}."
            kept = {**self._saved.callbacks[i][1], **{name[len(prefix):]: array for name, array
                                                      in self._saved.arrays.items() if name.startswith(prefix)}}
            try:
                listener.restore(self, kept)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise ValueError(f"the checkpoint is damaged in what {type(listener).__name__} keeps: "
                                 f"{type(error).__name__}: {error!s:.300}") from error
        self._good[:], self._good_are = self.net.params, "the parameters of the checkpoint"
        self._saved = None


def _weighted(feed: Feed, recipe: StepConfig) -> bool:
    return feed.weighted or bool(recipe.positive_weight)
