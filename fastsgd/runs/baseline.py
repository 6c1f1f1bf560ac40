"""The baseline of the best constant prediction, and the warning where a network does no better."""
from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from fastsgd.data import advice
from fastsgd.engine import elementary
from fastsgd.layers import chain
from fastsgd.losses import MARGINS
from fastsgd.network import checked
from fastsgd.network.network import Network
from fastsgd.runs.feeds import Segment
from fastsgd.runs.history import History

FEW_STEPS = 20                   # with fewer no warning is due
ABSURD = 100.0                   # a mean cost of an output that no classifier should have
LEARNED = 0.98                   # of the constant's cost: with less of it something has been learned
RARELY = 1e-6                    # the least share of a class, mean or deviation whose logarithm is taken
ABOVE = 1.02                     # of the constant's cost: it was not even reached
EPOCHS = 5                       # in which a cost must fall to be called falling
ROUNDING = 1e-4                  # of a cost: what one epoch may be above the one before and still fall
LITTLE = 1e-5                    # a constant's cost that leaves nothing to be learned, as of a single class


def best_constant(net: Network, y: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    """What the output layer must receive, (outputs,), for the least cost of one prediction for all rows, or nearly so.

    ``y`` are targets as the network takes them: shares of classes, means, medians or quantiles make it.
    """
    architecture = net.architecture
    loss, output = architecture.loss_type, architecture.activations[-1]
    if y.ndim == 1:
        shares = np.bincount(y, weight, architecture.targets) / (len(y) if weight is None else weight.sum())
    else:
        shares = np.average(y.astype(float), axis=0, weights=weight)
    if loss.targets is MARGINS and y.ndim == 1:
        shares = 2 * shares - 1
    if loss.targets.in_order:
        shares = 1 - np.cumsum(shares)[:-1]
    if loss.constant == "mean and deviation":
        squares = np.average((y - shares) ** 2, axis=0, weights=weight)
        return np.concatenate([shares, elementary.log(np.maximum(np.sqrt(squares), RARELY))])
    if loss.constant == "sign of mean":
        return np.sign(shares)
    if loss.constant == "mean":
        if output in ("softmax", "exp"):
            return elementary.log(np.maximum(shares, RARELY))
        if output == "logistic":
            p = np.clip(shares, RARELY, 1 - RARELY)
            return elementary.log(p / (1 - p))
        return _arctanh(shares) if output == "tanh" else shares
    if loss.constant == "mean and quantiles":
        rest = [_quantile(y[:, i], level, weight) for i, level in enumerate(architecture.loss_parameters) if level]
        return np.array([shares[0], *rest])
    levels = architecture.loss_parameters if loss.constant == "quantile" else (0.5,) * net.sizes[-1]
    return np.array([_quantile(y[:, i], level, weight) for i, level in enumerate(levels)])


def constant_cost(net: Network, y: np.ndarray, weight: np.ndarray | None = None,
                  constant: np.ndarray | None = None) -> float:
    """The mean cost of the same output for all rows: where None is given, of :func:`best_constant`.

    >>> net = Network([3, 2], seed=0)
    >>> round(constant_cost(net, np.array([0, 1, 1, 1], np.int32)), 4)       # the entropy of the shares
    0.5623
    """
    alone = output_alone(net, net.architecture.loss_parameters, net.dtype)
    alone.biases[0][:] = best_constant(net, y, weight) if constant is None else constant
    return checked.mean_cost(alone, np.zeros((len(y), 1), net.dtype), y, 1, weight)


def output_alone(net: Network, loss_parameters: tuple[float, ...], dtype, columns: int = 1) -> Network:
    """A network of so many columns and one output for each of these numbers, with the output and the loss of another.

    All its parameters are 0.
    """
    layers = chain((columns, len(loss_parameters)), net.architecture.activations[-1:])
    architecture = replace(net.architecture, layers=layers, loss_parameters=loss_parameters, input_scale=(1.0,),
                           input_offset=(0.0,))
    return Network._from_parts(architecture, np.zeros(architecture.parameters, dtype), {})


def nothing_learned(net: Network, rows: Segment, history: History, rates: np.ndarray) -> str:
    """Why a network predicts some of the rows that it was trained on no better than a constant.

    ``rates`` are the learning rates of the last step: one, or one for each member, of which the best is judged then.
    "" where it does better, or no reason is seen.
    """
    if history.steps < FEW_STEPS or not history.metric or not rates.any():
        return ""
    few = advice.evenly_spread(len(rows.y), rows.X.shape[1], rows.numbers)
    y, weight = rows.y[few], None if rows.weight is None else rows.weight[few]
    if (weight is not None and not weight.any()) or not _is_suspicious(net, history, y, weight):
        return ""
    X = rows.X[few]
    nets = [net] if len(rates) == 1 else [net.member(number) for number in range(len(rates))]
    with np.errstate(all="ignore"):
        costs = [checked.mean_cost(net, checked.check_rows(net, X), y, 1, weight) for net in nets]
    best = int(np.argmin(costs))
    found = costs[best]
    least = constant_cost(net, y, weight)
    if found < LEARNED * least or not math.isfinite(found) or not least > LITTLE:
        return ""
    causes = advice.far_from_unit_size(net.architecture, X, y)
    if not causes and found > advice.FAR * least:
        at_zero = constant_cost(net, y, weight, np.zeros(net.sizes[-1]))
        causes = [_of_the_steps(rates[best], falls=found < min(advice.FAR * at_zero, history.cost[0]))]
    elif not causes and found > ABOVE * least and _falls_throughout(history):
        causes = [_of_the_steps(rates[best], falls=True)]
    if not causes:
        return ""
    if len(rates) == 1:
        what = f"the network predicts the rows it was trained on no better than a constant: their cost is {found:.4g}"
    else:
        what = ("all members predict the rows they were trained on no better than a constant: the least cost, of "
                f"member {best}, is {found:.4g}")
    return f"{what}, that of the constant {least:.4g}. {'. '.join(causes)}"


def _falls_throughout(history: History) -> bool:
    """Whether the cost falls, at a learning rate that no schedule has made small."""
    costs, rates = history.cost, history.learning_rate
    return len(costs) >= EPOCHS and bool(np.diff(costs).max() <= ROUNDING * costs[0]) and 2 * rates[-1] > max(rates)


def _of_the_steps(rate: float, falls: bool) -> str:
    if falls:
        return f"The cost is still falling: try a larger learning rate (it was {rate:g}), or more epochs"
    return f"The steps are too long: try a smaller learning rate (it was {rate:g})"


def _is_suspicious(net: Network, history: History, y: np.ndarray, weight: np.ndarray | None) -> bool:
    """A cheap test by the last epoch's figures: False where the network certainly beats a constant."""
    metric = history.metric[-1]
    if net.metric != "accuracy":
        return metric < 0.01
    return bool(metric < clear_accuracy(net, y, weight) or history.cost[-1] > ABSURD * net.sizes[-1])


def clear_accuracy(net: Network, y: np.ndarray, weight: np.ndarray | None) -> float:
    """One that is clearly above that of always predicting the commonest class, or label of each output."""
    if y.ndim == 1:
        counts = np.bincount(y, weight)
        share = counts.max() / counts.sum()
    else:
        yes = np.average(y > (0 if net.architecture.loss_type.targets is MARGINS else 0.5), axis=0, weights=weight)
        share = np.maximum(yes, 1 - yes).mean()
    return float(share + 0.1 * (1 - share))


def _quantile(values: np.ndarray, level: float, weight: np.ndarray | None) -> float:
    order = np.argsort(values)
    share = np.cumsum(np.ones(len(values)) if weight is None else weight[order])
    return float(values[order][min(np.searchsorted(share, level * share[-1]), len(values) - 1)])


def _arctanh(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, RARELY - 1, 1 - RARELY)
    return elementary.log((1 + x) / (1 - x)) / 2
