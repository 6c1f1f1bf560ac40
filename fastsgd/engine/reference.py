"""The mini-batch step in plain NumPy: what the kernel must agree with.

The public functions have the names, arguments and results of ``_kernel``. This module is the yardstick of
the tests and the baseline of the benchmarks, and ``train(kernel="reference")`` runs on it.

Per mini-batch of B rows, for layers l = 1 .. L with a_0 the input::

    forward     z_l = a_{l-1} W_l + b_l,   a_l = f_l(z_l)
    cost        C = mean over rows of cost(a_L, target)
    backward    delta_L = dC/dz_L,   delta_{l-1} = (delta_l W_l^T) * f'_{l-1}(z_{l-1})
    gradient    dC/dW_l = a_{l-1}^T delta_l / B,   dC/db_l = mean over rows of delta_l
    update      every parameter by its optimizer's rule

With dropout a_l and f'_l of a hidden layer are multiplied by a mask of 0 and 1 / (1 - rate); with weights of the rows,
means over rows are weighted; the optimizer may limit the gradient before its rule, and the weights after it.
"""
import math
import time
from dataclasses import replace

import numpy as np

from fastsgd.engine.reference_layers import Columns, activate, layers, slope, softmax_of_wide_logits


def train_epoch(architecture, params, X, target, order, config, state, learning_rates, sample_weight=None, threads=1,
                poll=None, adapts=False):
    """One pass over the rows in ``order`` in mini-batches, changing ``params`` and ``state`` in place.

    Returns the number of steps; ``state`` gains the cost and the score of the rows seen, each times its weight. A cost
    that is not finite ends the pass before the step that met it changes anything, and stands in ``state``.
    Where the number of threads ``adapts``, the team is made smaller in the first steps if that is faster.
    ``poll(rows_done)`` is called about ten times a second; where it returns something true the pass ends after the
    step, and what it raises ends the pass at once and is raised here.
    """
    order = np.arange(len(X)) if order is None else order
    weights_of_average = averaging_weights_of(config.optimizer, state.steps, len(learning_rates))
    weight_decays = config.optimizer.weight_decays(state.steps, len(learning_rates))
    steps = 0
    polled = time.perf_counter()
    for first in range(0, len(order), config.batch_size):
        rows = order[first:first + config.batch_size]
        masks = dropout_masks(architecture, config, state.steps, len(rows), params.dtype)
        targets = smooth(architecture, target[rows], config.label_smoothing, params.dtype)
        cost, score, gradients, activations = backpropagate(
            architecture, params, X[rows], targets, None if sample_weight is None else sample_weight[rows], masks,
            config, learning_rates[steps], state.output_costs)
        state.cost += cost
        state.score += score
        if not math.isfinite(cost):
            break
        state.steps += 1
        carry(config.optimizer, state, learning_rates[steps])
        weight = len(rows) if sample_weight is None or config.weighted_steps else sample_weight[rows].sum()
        gradients = [g / weight if weight else 0 * g for g in gradients]
        gradients = clip(config.optimizer, [g * g.dtype.type(tensor.unit) for tensor, g in
                                            zip(architecture.tensors, gradients, strict=True)])
        optimizer = config.optimizer
        if callable(optimizer.weight_decay):
            optimizer = replace(optimizer, weight_decay=float(weight_decays[steps]))
        for tensor, g in zip(architecture.tensors, gradients, strict=True):
            if tensor.role == "running":
                continue
            arrays = [tensor.of(params), g, *(tensor.of(memory) for memory in config.optimizer.memory(state))]
            chosen = touched(architecture, tensor, X[rows])
            w, g, *slots = arrays if chosen is None else [array[chosen] for array in arrays]
            update(optimizer, optimizer.rule_of(tensor, architecture), w, slots, g,
                   optimizer.factors(tensor, architecture), learning_rates[steps], weight, state, tensor.unit)
            if chosen is not None:
                for array, changed in zip((arrays[0], *arrays[2:]), (w, *slots), strict=True):
                    array[chosen] = changed
        move_running(architecture, params, config, state, activations)
        constrain(config.optimizer, architecture, params)
        if config.optimizer.average is not None:
            state.average += params.dtype.type(weights_of_average[steps]) * (params - state.average)
        steps += 1
        if poll is not None and time.perf_counter() - polled >= 0.1:
            pauses = poll(min(first + config.batch_size, len(order)))
            polled = time.perf_counter()
            if pauses:
                break
    return steps


def train_members(passes, threads):
    """Passes of ``train_epoch``, each a tuple of its arguments up to ``sample_weight``; the steps of each."""
    return [train_epoch(*each) for each in passes]


def gradient(architecture, params, X, target, out, sample_weight=None, threads=1, backend="auto"):
    """The gradient of the mean cost over all rows into ``out``, laid out like ``params``; returns that cost.

    Where the cost is not finite the gradient is NaN throughout.
    """
    total = len(X) if sample_weight is None else sample_weight.sum()
    cost, _, gradients, _ = backpropagate(architecture, params, X, target, sample_weight)
    out[:] = np.concatenate([g.ravel() for g in gradients]) / total if math.isfinite(cost) else np.nan
    return cost / total


def cost(architecture, params, X, target, rows=None, sample_weight=None, threads=1, backend="auto"):
    """``(cost, score)`` summed over all rows, or over those of the numbers in ``rows``, each times its weight."""
    if rows is not None:
        X, target = X[rows], target[rows]
        sample_weight = sample_weight[rows] if sample_weight is not None else None
    z = forward(architecture, params, X)[0][-1]
    return mean_cost_and_delta(architecture, z, target, sample_weight)[:2]


def cost_on_plane(architecture, params, Z, along, factors, activation, target, threads=1, backend="auto"):
    """The cost summed over all rows of what a network computes of f(Z + p Z_1 + q Z_2), f being an activation.

    ``along`` holds Z_1 and Z_2, of Z's shape, and ``factors`` p and q.
    """
    p, q = (params.dtype.type(factor) for factor in factors)
    return cost(architecture, params, activate(activation, Z + p * along[0] + q * along[1]), target)[0]


def deltas(architecture, params, X, target, out, threads=1, backend="auto"):
    """What each row's gradient is made of into ``out``: hidden activations a_1 .. a_{L-1}, then dC/dz_1 .. dC/dz_L.

    Side by side, a row of ``out`` for each of X. Returns the cost summed over the rows.
    """
    cost, _, activations, found = deltas_of(architecture, params, X, target)
    out[:] = np.hstack([*activations[1:-1], *found])
    return cost


def predict(architecture, params, X, out, rows=None, threads=1, backend="auto"):
    """The output layer's activations of every row, or of those numbered in ``rows``, into ``out``.

    That is (rows, outputs); members that share weights have their mean there, or each its own in (rows, members,
    outputs).
    """
    a = forward(architecture, params, X if rows is None else X[rows])[1][-1]
    if architecture.scales_output:
        scale, offset = (np.array(values, a.dtype) for values in architecture.unit_of_outputs)
        a = a * scale + offset
    out[:] = a if a.ndim == out.ndim else a.mean(axis=1)


# ---- forward and backward ----

def touched(architecture, tensor, X):
    """Which rows of a tensor a step on these rows of data changes; None for all."""
    layer = architecture.layers[tensor.layer]
    return Columns(layer).touched(X, tensor.name.split(".")[0]) if layer.kind == "columns" else None


def scaled(architecture, X, dtype):
    """``X * input_scale + input_offset``; a sparse X is scaled already."""
    if hasattr(X, "dense"):
        return X.dense()
    X = X.astype(dtype, copy=False)
    if architecture.scales_input:
        X = X * np.array(architecture.input_scale, dtype) + np.array(architecture.input_offset, dtype)
    return X


def forward(architecture, params, X, masks=(), config=None):
    """Lists of every layer's z and a; ``a`` begins with the input as the first layer receives it.

    A hidden layer's a is multiplied by its mask, where there are any.
    """
    zs, activations = [], [scaled(architecture, X, params.dtype)]
    for layer, (twin, tensors) in enumerate(layers(architecture, params, config)):
        zs.append(twin.forward(activations[-1], *tensors))
        if layer in architecture.skips:
            zs[-1] = zs[-1] + activations[architecture.skips[layer]]
        activations.append(activate(architecture.activations[layer], zs[-1]))
        if architecture.activations[layer] == "softmax" and not np.isfinite(activations[-1]).all():
            activations[-1] = (softmax_of_wide_logits(activations[-2], *tensors) if zs[-1].ndim == 2 else np.stack(
                [softmax_of_wide_logits(activations[-2][:, m], *(tensor[m] for tensor in tensors))
                 for m in range(architecture.members)], axis=1))
        if layer < len(masks):
            activations[-1] = np.where(masks[layer] == 0, 0, activations[-1] * masks[layer])
    return zs, activations


def backpropagate(architecture, params, X, target, sample_weight=None, masks=(), config=None, learning_rate=None,
                  output_costs=None):
    """``(cost, score, [dW_1, db_1, dW_2, ...], [a_0, ...])``: gradients for each tensor, all summed over the rows, each
    times its weight.

    For a passive-aggressive config deltas are the steps that the rows ask for.
    """
    cost, score, activations, found = deltas_of(architecture, params, X, target, sample_weight, masks, config,
                                                learning_rate, output_costs)
    gradients = []
    for (twin, tensors), a, delta in zip(layers(architecture, params, config), activations, found, strict=False):
        gradients += twin.gradients(a, delta, *tensors)
    return cost, score, gradients, activations


def deltas_of(architecture, params, X, target, sample_weight=None, masks=(), config=None, learning_rate=None,
              output_costs=None):
    """``(cost, score, [a_0, ...], [delta_1, ...])``: the costs summed, a row of every array for each row of X."""
    zs, activations = forward(architecture, params, X, masks, config)
    cost, score, delta = mean_cost_and_delta(architecture, zs[-1], target, sample_weight, config, activations[0],
                                             learning_rate, output_costs)
    found = [delta]
    chain = layers(architecture, params, config)
    for layer in reversed(range(1, len(chain))):
        name = architecture.activations[layer - 1]
        a = activate(name, zs[layer - 1]) if masks else activations[layer]
        twin, tensors = chain[layer]
        delta = twin.backward(activations[layer], delta, *tensors)
        for end, first in architecture.skips.items():
            if first == layer:                              # the input of this block is added to its output
                delta = delta + found[end - layer]
        delta = delta * slope(name, zs[layer - 1], a)
        if masks:
            delta = delta * masks[layer - 1]
        found.insert(0, delta)
    return cost, score, activations, found


def move_running(architecture, params, config, state, activations):
    """What batch norms have instead of a batch's figures outside of training; the average has the same where a rule
    makes one by itself."""
    for (twin, tensors), a in zip(layers(architecture, params, config), activations, strict=False):
        if twin.layer.kind == "batch_norm":
            twin.move(a, *tensors)
    if config.optimizer.kind == "schedule_free_adamw":
        for tensor in architecture.tensors:
            if tensor.role == "running":
                tensor.of(state.average)[...] = tensor.of(params)


def dropout_masks(architecture, config, step, rows, dtype):
    """For every hidden layer (rows, units): 0 where a unit is dropped, else 1 / (1 - rate); none without dropout.

    Sixteen bits of Philox decide for each unit; the counters are block and row, layer, and step.
    """
    masks = []
    for layer, units in enumerate(architecture.sizes[1:-1] if config.dropout else ()):
        drops = config.drops(layer, step, 1)
        drop = 0 if drops is None else drops[0]
        members = architecture.members if layer >= architecture.first_of_members else 1
        blocks = -(-units // 16)
        random = np.random.Philox(key=np.array([config.seed, 0], np.uint64),
                                  counter=np.array([0, layer, step, 0], np.uint64))
        chance = random.random_raw(rows * members * blocks * 4).astype("<u8").view("<u2").reshape(-1, blocks * 16)
        mask = np.where(chance[:, :units] < drop, 0, 65536 / (65536 - drop)).astype(dtype)
        masks.append(mask if members == 1 else mask.reshape(rows, members, units))
    return masks


def smooth(architecture, target, smoothing, dtype):
    """The targets with a part of each spread evenly over all classes (Szegedy et al. 2016, arXiv 1512.00567)."""
    if not smoothing:
        return target
    classes = architecture.sizes[-1]
    if target.ndim == 1 and architecture.loss != "cross_entropy":
        return target                                      # cost_and_delta does it
    if target.ndim == 1:
        target = one_hot(target, classes, dtype)
    even = 1 / classes if architecture.loss == "cross_entropy" else 1 / 2
    return ((1 - smoothing) * target + smoothing * even).astype(dtype)


def one_hot(labels, classes, dtype):
    """A row for each label, 1 in its column and else 0."""
    rows = np.zeros((len(labels), classes), dtype)
    rows[np.arange(len(labels)), labels] = 1
    return rows


# ---- cost, score and output delta ----

def mean_cost_and_delta(architecture, z, target, sample_weight=None, *rest):
    """``cost_and_delta`` of z (rows, outputs), or the mean of all members' where z is (rows, members, outputs)."""
    if z.ndim == 2:
        return cost_and_delta(architecture, z, target, sample_weight, *rest)
    members = z.shape[1]
    weight = None if sample_weight is None else np.repeat(sample_weight, members)
    cost, score, delta = cost_and_delta(architecture, z.reshape(-1, z.shape[-1]), np.repeat(target, members, axis=0),
                                        weight, *rest)
    return cost / members, score / members, delta.reshape(z.shape) / z.dtype.type(members)


def cost_and_delta(architecture, z, target, sample_weight=None, config=None, rows=None, learning_rate=None,
                   output_costs=None):
    """``(cost, score, dC/dz)`` of the output layer's z: the cost summed over outputs and rows, each times its weight.

    The score counts rows classified correctly (single outputs, where there are no labels); for losses that do not
    classify it is the summed squared error. ``rows`` are those that the layer received, for passive-aggressive steps.
    ``output_costs`` gains the costs of each output, without any weights, where it is given.
    """
    loss, output = architecture.loss, architecture.activations[-1]
    if loss in ("cross_entropy", "focal"):
        if target.ndim == 1:
            target = one_hot(target, z.shape[1], z.dtype)
        right = z.argmax(axis=1) == target.argmax(axis=1)
        shifted = np.maximum(z - z.max(axis=1, keepdims=True), np.finfo(z.dtype).min)
        log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        delta = np.exp(log_p) * target.sum(axis=1, keepdims=True) - target
        costs = -target * log_p
        if loss == "focal":
            factor, steeper = focus(architecture.loss_parameters[0], costs.sum(axis=1, keepdims=True))
            costs, delta = factor * costs, steeper * delta
        return _weighted(costs, right[:, np.newaxis], limit(config, delta), sample_weight)
    if loss == "gaussian_nll":
        mean, logarithm = np.split(z, 2, axis=1)
        error = mean - target
        with np.errstate(over="ignore"):
            inverse = np.exp(-logarithm)
        u = product(error, inverse)
        delta = np.hstack([product(u, inverse), 1 - u * u])
        return _weighted(logarithm + u * u / 2, error * error, limit(config, delta).astype(z.dtype), sample_weight)
    a = z if output == "sorted" else activate(output, z)
    right = None
    if target.ndim == 1:
        named = (z > 0).sum(axis=1) if loss == "ordinal" else z.argmax(axis=1)
        right = (named == target)[:, np.newaxis]
        target = one_vs_rest(loss, target, z, config.label_smoothing if config is not None else 0)
    error = a - target
    p = np.array(architecture.loss_parameters, dtype=z.dtype)
    if loss in ("binary_cross_entropy", "ordinal"):
        costs = np.logaddexp(z, z.dtype.type(0)) - target * z
        right, delta = (z > 0) == (target > 0.5) if right is None else right, error
    elif loss in ("hinge", "perceptron", "squared_hinge", "modified_huber"):
        margin = target * z
        right = (z > 0) == (target > 0) if right is None else right
        below = 1 - margin
        if loss in ("hinge", "perceptron"):
            costs, delta = np.maximum(p - margin, 0), np.where(margin <= p, -target, 0)
        else:
            costs, delta = np.where(margin > 1, 0, below * below), np.where(margin > 1, 0, -2 * target * below)
        if loss == "modified_huber":
            costs, delta = np.where(margin < -1, -4 * margin, costs), np.where(margin < -1, -4 * target, delta)
    elif loss == "epsilon_insensitive":
        costs, delta = np.maximum(abs(error) - p, 0), np.where(abs(error) > p, np.sign(error), 0)
    elif loss == "squared_epsilon_insensitive":
        beyond = np.maximum(abs(error) - p, 0)
        costs, delta = beyond * beyond, 2 * beyond * np.sign(error)
    elif loss == "squared_error":
        costs = error * error / 2
        delta = error * slope(output, z, a)
    elif loss == "absolute_error":
        costs = abs(error)
        delta = np.sign(error)
    elif loss == "huber":
        costs = np.where(abs(error) > p, p * (abs(error) - p / 2), error * error / 2)
        delta = np.clip(error, -p, p)
    elif loss == "quantile":
        costs = np.maximum(p * -error, (1 - p) * error)
        delta = np.where(error < 0, -p, np.where(error > 0, 1 - p, 0)).astype(z.dtype)
    elif loss == "mean_quantiles":
        pinball = np.where(error < 0, -p, np.where(error > 0, 1 - p, 0))
        delta = np.where(p == 0, error, z.dtype.type(0.1) * pinball).astype(z.dtype)
        costs = np.where(p == 0, error / 2, delta) * error
    elif loss == "poisson":
        log_t = np.log(np.where(target > 0, target, 1))
        costs = target * (log_t - z) + error
        delta = error
    elif loss == "gamma":
        delta = 1 - target * np.exp(-z)
        costs = z - np.log(target) - delta
    elif loss == "tweedie":
        down, up = product(target, np.exp((1 - p) * z)), np.exp((2 - p) * z)
        delta = up - down
        costs = target ** (2 - p) / ((1 - p) * (2 - p)) - down / (1 - p) + up / (2 - p)
    if output_costs is not None:
        output_costs += costs.sum(axis=0, dtype=float)
    delta = limit(config, delta)
    if config is not None and config.optimizer.kind == "passive_aggressive":
        squares = (rows.astype(float) ** 2).sum(axis=1, keepdims=True)
        delta = delta * longest_step(config.optimizer, costs, squares, learning_rate)
    if config is not None and config.positive_weight:
        w = np.where(target > (0.5 if loss == "binary_cross_entropy" else 0), np.array(config.positive_weight), 1)
        costs, delta = np.where(w == 0, 0, w * costs), np.where(w == 0, 0, w * delta)
    squares = np.where(p == 0, error * error, 0) if loss == "mean_quantiles" else error * error
    return _weighted(costs, squares if right is None else right, delta.astype(z.dtype), sample_weight)


def limit(config, delta):
    """Every dC/dz between -clip_delta and clip_delta, where the optimizer asks for it."""
    most = None if config is None else config.optimizer.clip_delta
    return delta if most is None else np.clip(delta, -most, most)


def one_vs_rest(loss, labels, z, smoothing):
    """The targets (rows, outputs) that class labels stand for: yes for a row's own class, no for all others.

    Of classes in order yes for those below a row's own.
    """
    if loss == "ordinal":
        return (np.arange(z.shape[1]) < labels[:, np.newaxis]).astype(z.dtype)
    yes = one_hot(labels, z.shape[1], z.dtype)
    if loss != "binary_cross_entropy":
        return 2 * yes - 1
    return ((1 - smoothing) * yes + smoothing / 2).astype(z.dtype)


def focus(gamma, cost):
    """What focal multiplies cost and slope of cross_entropy by, where the latter's cost is -log a."""
    a, rest = np.exp(-cost), -np.expm1(-cost)
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = np.where(rest > 0, rest ** cost.dtype.type(gamma), gamma == 0).astype(cost.dtype)
        return factor, factor * np.where(rest > 0, 1 + gamma * product(a, cost) / rest, 1).astype(cost.dtype)


def product(x, y):
    """x y, where 0 times infinity is 0."""
    with np.errstate(invalid="ignore"):
        return np.where((x == 0) & np.isinf(y) | np.isinf(x) & (y == 0), 0, x * y).astype(x.dtype)


def longest_step(optimizer, costs, squares, learning_rate):
    """tau of passive-aggressive steps, see optimizers/rules.py; none where a row is 0 and that would be infinite."""
    with np.errstate(divide="ignore", invalid="ignore"):
        if optimizer.squared:
            return costs / (squares + 0.5 / learning_rate) if learning_rate else 0 * costs
        return np.where(squares == 0, 0, np.minimum(learning_rate, costs / squares))


def _weighted(costs, scores, delta, sample_weight):
    if sample_weight is not None:
        none = (sample_weight == 0)[:, np.newaxis]           # takes away infinities too
        w = sample_weight[:, np.newaxis]
        costs, scores = np.where(none, 0, costs * w), np.where(none, 0, scores * w)
        delta = np.where(none, 0, delta * w.astype(delta.dtype))
    return float(costs.sum(dtype=float)), float(scores.sum(dtype=float)), delta


# ---- the optimizers' rules and what acts around them; formulas and sources are in optimizers/rules.py ----

def clip(optimizer, gradients):
    """The gradients W_1, b_1, ..., each entry or the length of all of them limited."""
    if optimizer.clip_value:
        return [np.clip(g, -optimizer.clip_value, optimizer.clip_value) for g in gradients]
    if optimizer.clip_norm:
        norm = math.sqrt(sum(float((g.astype(float) ** 2).sum()) for g in gradients))
        if norm > optimizer.clip_norm:
            return [g * g.dtype.type(optimizer.clip_norm / norm) for g in gradients]
    return gradients


def constrain(optimizer, architecture, params):
    """The weights into each unit of a hidden layer scaled down to max_norm, in place."""
    for tensor in architecture.tensors if optimizer.max_norm else ():
        last = tensor.layer == len(architecture.layers) - 1
        if tensor.role != "weight" or last or not optimizer.factors(tensor, architecture).rate:
            continue
        W = tensor.of(params)
        norms = np.sqrt((W.astype(float) ** 2).sum(axis=0))
        W *= np.where(norms > optimizer.max_norm, optimizer.max_norm / np.maximum(norms, 1e-300), 1).astype(W.dtype)


def averaging_weights_of(optimizer, first_step, steps):
    """How far the average moves towards the parameters at each step; see optimizers/base.py."""
    return optimizer.averaging_weights(first_step, steps) if optimizer.average is not None else ()


def carry(optimizer, state, learning_rate):
    """Brings what the rule carries from step to step, besides its slots, to the step that ``state`` counts."""
    if getattr(optimizer, "cumulative_l1", False):
        state.cumulative_l1 += learning_rate * optimizer.l1
    if optimizer.kind == "nadamw":
        state.mu_product *= nadam_momentum(optimizer, state.steps)
    if optimizer.kind == "schedule_free_adamw":
        state.weight_sum += schedule_free_weight(optimizer, learning_rate, state.steps)


def nadam_momentum(optimizer, t):
    """mu_t; see NAdamW in optimizers/rules.py."""
    return optimizer.beta_1 * (1 - 0.5 * power(optimizer.mu_decay, t))


def schedule_free_weight(optimizer, learning_rate, t):
    """What step t counts in the average of ScheduleFreeAdamW."""
    return learning_rate**2 * (1 - power(optimizer.beta_2, t))


def power(base, t):
    """base^t of a base from 0 to 1 and a whole t, correctly rounded; 0 where it is below 2^-64.

    By squaring, in pairs of a number and what its rounding left out.
    """
    result, square = (1.0, 0.0), (base, 0.0)
    while t:
        if square[0] < 2.0**-64:
            return 0.0
        if t % 2:
            result = multiply_pairs(result, square)
        square = multiply_pairs(square, square)
        t //= 2
    return result[0] if result[0] >= 2.0**-64 else 0.0


def multiply_pairs(a, b):
    """The product of two such pairs; its rounding error is found by halves of 26 bits (Dekker 1971)."""
    a_high, b_high = (x * (2.0**27 + 1) - (x * (2.0**27 + 1) - x) for x in (a[0], b[0]))
    a_low, b_low = a[0] - a_high, b[0] - b_high
    product = a[0] * b[0]
    error = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
    low = error + (a[0] * b[1] + a[1] * b[0])
    high = product + low
    return high, low - (high - product)


def update(optimizer, kind, w, slots, g, factors, learning_rate, batch_weight, state, unit=1.0):
    """One step on the array w = unit * v and its part of the optimizer's slots, in place, by the rule ``kind`` for v.

    g is the gradient of v. ``factors`` multiply the learning rate, weight_decay, and l1 and l2 for this array.
    """
    unit = w.dtype.type(unit)
    truncates = getattr(optimizer, "cumulative_l1", False) and optimizer.l1 * factors.penalty > 0
    places = [w, *slots[::2]] if kind == "schedule_free_adamw" else [w]        # which have the unit, too
    for place in places:
        place /= unit
    apply_rule(optimizer, kind, w, slots, g, factors, learning_rate, batch_weight, state, truncates)
    for place in places:
        place *= unit
    if truncates:
        truncate(w, slots[-1], unit * factors.rate * factors.penalty * state.cumulative_l1)


def apply_rule(optimizer, kind, w, slots, g, factors, learning_rate, batch_weight, state, truncates):
    """The optimizer's rule for w in place, but for l1 that truncates."""
    l1 = 0 if truncates else optimizer.l1 * factors.penalty
    l2 = factors.penalty * (optimizer.l2 + (optimizer.alpha / batch_weight if batch_weight else 0))
    weight_decay = factors.decay * optimizer.weight_decay
    rate = factors.rate * learning_rate
    if kind == "passive_aggressive" or (kind == "sgd" and not optimizer.momentum):
        shrink = max(0, 1 - rate * (l2 + weight_decay))
        w[...] = shrink * w - rate * l1 * np.sign(w) - (rate if kind == "sgd" else factors.rate) * g
        return
    g = g + l2 * w + l1 * np.sign(w)
    if kind in ("adamw", "nadamw", "lion", "muon"):
        w -= rate * weight_decay * w
    elif kind != "schedule_free_adamw":                # where it acts on z
        g = g + weight_decay * w

    if kind == "sgd":
        slots[0][...] = optimizer.momentum * slots[0] + g
        g = g + optimizer.momentum * slots[0] if optimizer.nesterov else slots[0]
        w -= rate * g
    elif kind in ("adam", "adamw"):
        m, v = slots
        m[...] = optimizer.beta_1 * m + (1 - optimizer.beta_1) * g
        v[...] = optimizer.beta_2 * v + (1 - optimizer.beta_2) * g * g
        m_hat = m / (1 - power(optimizer.beta_1, state.steps))
        v_hat = v / (1 - power(optimizer.beta_2, state.steps))
        w -= rate * m_hat / (np.sqrt(v_hat) + optimizer.epsilon)
    elif kind == "nadamw":
        m, v = slots
        m[...] = optimizer.beta_1 * m + (1 - optimizer.beta_1) * g
        v[...] = optimizer.beta_2 * v + (1 - optimizer.beta_2) * g * g
        mu, mu_next = (nadam_momentum(optimizer, t) for t in (state.steps, state.steps + 1))
        m_hat = mu_next / (1 - state.mu_product * mu_next) * m + (1 - mu) / (1 - state.mu_product) * g
        v_hat = v / (1 - power(optimizer.beta_2, state.steps))
        w -= rate * m_hat / (np.sqrt(v_hat) + optimizer.epsilon)
    elif kind == "schedule_free_adamw":
        z, v, x = slots                                 # w is y
        v[...] = optimizer.beta_2 * v + (1 - optimizer.beta_2) * g * g
        correction = math.sqrt(1 - power(optimizer.beta_2, state.steps))
        z -= rate * correction * (g / (np.sqrt(v) + optimizer.epsilon) + weight_decay * w)
        weight = schedule_free_weight(optimizer, learning_rate, state.steps)
        x += w.dtype.type(weight / state.weight_sum if weight else 0) * (z - x)
        w[...] = x + (1 - optimizer.beta_1) * (z - x)
    elif kind == "lion":
        (m,) = slots
        w -= rate * np.sign(optimizer.beta_1 * m + (1 - optimizer.beta_1) * g)
        m[...] = optimizer.beta_2 * m + (1 - optimizer.beta_2) * g
    elif kind == "muon":
        m = slots[0]
        m[...] = optimizer.momentum * m + g
        g = g + optimizer.momentum * m if optimizer.nesterov else m
        inputs, outputs = w.shape
        scale = 0.2 * math.sqrt(max(w.shape)) if optimizer.scale == "rms" else math.sqrt(max(1, outputs / inputs))
        w -= rate * scale * orthogonalize(g)
    elif kind == "rmsprop":
        v = slots[0]
        v[...] = optimizer.rho * v + (1 - optimizer.rho) * g * g
        g = g / (np.sqrt(v) + optimizer.epsilon)
        if optimizer.momentum:
            slots[1][...] = optimizer.momentum * slots[1] + g
            g = slots[1]
        w -= rate * g
    elif kind == "adagrad":
        slots[0][...] += g * g
        w -= rate * g / (np.sqrt(slots[0]) + optimizer.epsilon)


def orthogonalize(g):
    """U V^T of a matrix U S V^T, roughly: five steps of Newton and Schulz, see Muon in optimizers/rules.py."""
    norm = math.sqrt(float((g.astype(float) ** 2).sum()))
    x = (g if len(g) >= g.shape[1] else g.T) * g.dtype.type(1 / max(norm, 1e-7))
    for _ in range(5):
        gram = x.T @ x
        x = x @ (3.4445 * np.eye(len(gram), dtype=g.dtype) - 4.7750 * gram + 2.0315 * gram @ gram)
    return x if len(g) >= g.shape[1] else x.T


def truncate(w, l1_applied, penalty):
    """Moves w towards zero by what it has not paid yet of the penalty, at most to zero."""
    before = w.copy()
    w[...] = np.where(w > 0, np.maximum(0, w - (penalty + l1_applied)),
                      np.where(w < 0, np.minimum(0, w + (penalty - l1_applied)), w))
    l1_applied += w - before
