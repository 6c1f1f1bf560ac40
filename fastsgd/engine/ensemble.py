"""Networks side by side: the functions of ``_kernel`` for an architecture with several members.

Members are trained independently, each by its own plan on one thread, several at a time; what a member becomes is bit
for bit what its network alone would. A member whose cost stops being finite keeps the parameters that it had before
that step, and the others go on. With one member each function is the kernel's.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import ModuleType

import numpy as np

from fastsgd.engine import _kernel
from fastsgd.losses import MARGINS

SECONDS_BETWEEN_POLLS = 0.05
SECONDS_PER_FLOP, SECONDS_PER_STEP = 2e-11, 1.5e-6        # of one thread, roughly


def train_epoch(architecture, params, X, target, order, config, state, learning_rates, sample_weight=None, threads=1,
                poll: Callable[[int], bool] | None = None, adapts=False, kernel: ModuleType = _kernel) -> int:
    """What ``_kernel.train_epoch`` says; cost and score of the members that still train are averaged.

    ``learning_rates`` are (steps,), or (members, steps); so may ``order`` and ``config.seed`` be each member's.
    ``poll`` is called between two steps that all have made.
    """
    if architecture.networks == 1:
        return kernel.train_epoch(architecture, params, X, target, order, config, state, learning_rates, sample_weight,
                                  threads, poll, adapts)
    order = np.arange(len(X)) if order is None else order
    count, batch = architecture.members, config.batch_size
    orders, seeds = np.broadcast_to(order, (count, order.shape[-1])), np.broadcast_to(config.seed, count).tolist()
    own = _split(params, count)
    configs = [replace(config, optimizer=config.optimizer.member(m), seed=seeds[m]) for m in range(count)]
    states = [state.member(m, count) for m in range(count)]
    rates = np.broadcast_to(learning_rates, (count, np.shape(learning_rates)[-1]))
    if len(state.stopped) != count:
        state.stopped = np.zeros(count, bool)
    at_once = _steps_between_polls(architecture, X, configs[0], threads)
    first = 0
    while first * batch < orders.shape[1]:
        rows = orders[:, first * batch:(first + at_once) * batch]
        steps = -(-rows.shape[1] // batch)
        training = [m for m in range(count) if not state.stopped[m]]
        kernel.train_members([(architecture.member, own[m], X, target, np.ascontiguousarray(rows[m]), configs[m],
                               states[m], np.ascontiguousarray(rates[m, first:first + steps]), sample_weight)
                              for m in training], threads)
        for m in training:
            state.stopped[m] = not np.isfinite(states[m].cost)
        training = [m for m in range(count) if not state.stopped[m]]
        for name in ("cost", "score"):
            sums = [getattr(states[m], name) for m in training]
            setattr(state, name, getattr(state, name) + sum(sums) / len(sums) if sums else np.nan)
        for each in states:
            each.cost = each.score = 0.0
        if not training:
            return first
        state.steps = states[training[0]].steps
        state.adopt(states)
        first += steps
        if (poll or _kernel.check_signals)(min(first * batch, orders.shape[1])):
            break
    return first


def gradient(architecture, params, X, target, out, sample_weight=None, threads=1) -> float:
    """Each member's own into its part of ``out``; the mean of their costs."""
    if architecture.networks == 1:
        return _kernel.gradient(architecture, params, X, target, out, sample_weight, threads)
    costs = [_kernel.gradient(architecture.member, own, X, target, its, sample_weight, threads)
             for own, its in zip(_split(params, architecture.members), _split(out, architecture.members), strict=True)]
    return sum(costs) / len(costs)


def cost(architecture, params, X, target, rows=None, sample_weight=None, threads=1) -> tuple[float, float]:
    """``(cost, score)`` summed over the rows: the mean of the members' costs, the score of their mean prediction."""
    if architecture.members == 1:
        return _kernel.cost(architecture, params, X, target, rows, sample_weight, threads)
    costs = [_kernel.cost(architecture.member if architecture.networks > 1 else architecture, own, X, target, rows,
                          sample_weight, threads)[0] for own in _split(params, architecture.networks)]
    count = len(X) if rows is None else len(rows)
    mean = np.empty((count, architecture.sizes[-1]), params.dtype)
    predict(architecture.with_output(1.0, 0.0), params, X, mean, rows, threads)
    if rows is not None:
        target, sample_weight = target[rows], None if sample_weight is None else sample_weight[rows]
    scores = _scores(architecture, mean, target)
    return sum(costs) / len(costs), float(scores.sum() if sample_weight is None else scores @ sample_weight)


def predict(architecture, params, X, out, rows=None, threads=1) -> None:
    """The mean of the members' predictions into ``out`` (rows, outputs)."""
    if architecture.networks == 1:
        _kernel.predict(architecture, params, X, out, rows, threads)
        return
    own = np.empty_like(out)
    out[:] = 0
    for each in _split(params, architecture.members):
        _kernel.predict(architecture.member, each, X, own, rows, threads)
        out += own
    out /= architecture.members


def predict_members(architecture, params, X, out, threads=1) -> None:
    """Each member's predictions into ``out`` (rows, members, outputs)."""
    if architecture.networks == 1:
        _kernel.predict(architecture, params, X, out, None, threads)
        return
    for number, each in enumerate(_split(params, architecture.members)):
        own = np.empty((len(X), architecture.sizes[-1]), out.dtype)
        _kernel.predict(architecture.member, each, X, own, None, threads)
        out[:, number] = own


def _split(flat: np.ndarray, count: int) -> list[np.ndarray]:
    """The part of each member."""
    return list(flat.reshape(count, -1))


def _steps_between_polls(architecture, X, config, threads: int) -> int:
    """As many as members make on their threads in a short while, and whole flushes of the linear path."""
    of_member = architecture.member.flops * min(config.batch_size, len(X)) * SECONDS_PER_FLOP + SECONDS_PER_STEP
    rounds = -(-architecture.members // threads)
    each = _kernel.flush_interval(architecture.member, X, config) or 1
    return each * max(1, int(SECONDS_BETWEEN_POLLS / (of_member * rounds * each)))


def _scores(architecture, predictions: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Of each row, as the engine counts: 1 where its class is right, single outputs that are, or the squared error."""
    targets = architecture.loss_type.targets
    if target.ndim == 1 or targets.classes:
        labels = target if target.ndim == 1 else target.argmax(axis=1)
        found = (predictions > 0.5).sum(axis=1) if targets.in_order else predictions.argmax(axis=1)
        return (found == labels).astype(float)
    if targets.metric == "accuracy":
        yes = predictions > (0 if targets is MARGINS else 0.5)
        return (yes == (target > (0 if targets is MARGINS else 0.5))).sum(axis=1, dtype=float)
    means = architecture.scored_targets                  # deviations or quantiles may stand behind them
    return ((predictions[:, :means] - target[:, :means]).astype(float) ** 2).sum(axis=1)
