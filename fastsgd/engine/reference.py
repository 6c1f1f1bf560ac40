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

import numpy as np

LEAK = 0.01  # slope of leaky_relu below zero
_erf = np.vectorize(math.erf, otypes=[float])


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
    steps = 0
    polled = time.monotonic()
    for first in range(0, len(order), config.batch_size):
        rows = order[first:first + config.batch_size]
        masks = dropout_masks(architecture, config, state.steps, len(rows), params.dtype)
        cost, score, gradients = backpropagate(architecture, params, X[rows],
                                               smooth(architecture, target[rows], config.label_smoothing, params.dtype),
                                               None if sample_weight is None else sample_weight[rows], masks,
                                               config, learning_rates[steps], state.output_costs)
        state.cost += cost
        state.score += score
        if not math.isfinite(cost):
            break
        state.steps += 1
        if getattr(config.optimizer, "cumulative_l1", False):
            state.cumulative_l1 += learning_rates[steps] * config.optimizer.l1
        weight = len(rows) if sample_weight is None or config.weighted_steps else sample_weight[rows].sum()
        gradients = clip(config.optimizer, [g / weight if weight else 0 * g for g in gradients])
        for tensor, g in zip(architecture.tensors, gradients, strict=True):
            factors = config.optimizer.factors(tensor, architecture.layers[tensor.layer])
            update(config.optimizer, tensor.of(params), [tensor.of(slot) for slot in state.slots], g, factors,
                   learning_rates[steps], state.steps, weight, state.cumulative_l1)
        constrain(config.optimizer, architecture, params)
        if state.average is not None:
            state.average += params.dtype.type(weights_of_average[steps]) * (params - state.average)
        steps += 1
        if poll is not None and time.monotonic() - polled >= 0.1:
            pauses = poll(min(first + config.batch_size, len(order)))
            polled = time.monotonic()
            if pauses:
                break
    return steps


def gradient(architecture, params, X, target, out, sample_weight=None, threads=1, backend="auto"):
    """The gradient of the mean cost over all rows into ``out``, laid out like ``params``; returns that cost.

    Where the cost is not finite the gradient is NaN throughout.
    """
    total = len(X) if sample_weight is None else sample_weight.sum()
    cost, _, gradients = backpropagate(architecture, params, X, target, sample_weight)
    out[:] = np.concatenate([g.ravel() for g in gradients]) / total if math.isfinite(cost) else np.nan
    return cost / total


def cost(architecture, params, X, target, rows=None, sample_weight=None, threads=1, backend="auto"):
    """``(cost, score)`` summed over all rows, or over those of the numbers in ``rows``, each times its weight."""
    if rows is not None:
        X, target = X[rows], target[rows]
        sample_weight = sample_weight[rows] if sample_weight is not None else None
    z = forward(architecture, params, X)[0][-1]
    return cost_and_delta(architecture, z, target, sample_weight)[:2]


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
    """The output layer's activations of every row, or of those numbered in ``rows``, into ``out`` (rows, outputs)."""
    a = forward(architecture, params, X if rows is None else X[rows])[1][-1]
    if architecture.scales_output:
        scale, offset = (np.array(values, a.dtype) for values in architecture.unit_of_outputs)
        a = a * scale + offset
    out[:] = a


# ---- forward and backward ----

class Dense:
    """Tensors W (inputs, outputs) and b (outputs,)."""

    @staticmethod
    def forward(x, W, b):
        """What the activation receives, a row for each of x."""
        return x @ W + b

    @staticmethod
    def backward(delta, W, b):
        """dC/dx of deltas dC/dz."""
        return delta @ W.T

    @staticmethod
    def gradients(x, delta):
        """Of each tensor, summed over the rows."""
        return [x.T @ delta, delta.sum(axis=0)]


class Scale:
    """Tensor s (columns,)."""

    @staticmethod
    def forward(x, s):
        return x * s

    @staticmethod
    def backward(delta, s):
        return delta * s

    @staticmethod
    def gradients(x, delta):
        return [(x * delta).sum(axis=0)]


LAYERS = {"dense": Dense, "scale": Scale}


def layers(architecture, params):
    """``[(twin, tensors), ...]``: for each layer what computes it, and views of its part of the flat parameters."""
    return [(LAYERS[layer.kind], tensors) for layer, tensors in
            zip(architecture.layers, architecture.arrays(params), strict=True)]


def scaled(architecture, X, dtype):
    """``X * input_scale + input_offset``; a sparse X is scaled already."""
    if hasattr(X, "dense"):
        return X.dense()
    X = X.astype(dtype, copy=False)
    if architecture.scales_input:
        X = X * np.array(architecture.input_scale, dtype) + np.array(architecture.input_offset, dtype)
    return X


def forward(architecture, params, X, masks=()):
    """Lists of every layer's z and a; ``a`` begins with the input as the first layer receives it.

    A hidden layer's a is multiplied by its mask, where there are any.
    """
    zs, activations = [], [scaled(architecture, X, params.dtype)]
    for layer, (twin, tensors) in enumerate(layers(architecture, params)):
        zs.append(twin.forward(activations[-1], *tensors))
        activations.append(activate(architecture.activations[layer], zs[-1]))
        if architecture.activations[layer] == "softmax" and not np.isfinite(activations[-1]).all():
            activations[-1] = softmax_of_wide_logits(activations[-2], *tensors)
        if layer < len(masks):
            activations[-1] = np.where(masks[layer] == 0, 0, activations[-1] * masks[layer])
    return zs, activations


def backpropagate(architecture, params, X, target, sample_weight=None, masks=(), config=None, learning_rate=None,
                  output_costs=None):
    """``(cost, score, [dW_1, db_1, dW_2, ...])``, for each tensor, all summed over the rows, each times its weight.

    For a passive-aggressive config deltas are the steps that the rows ask for.
    """
    cost, score, activations, found = deltas_of(architecture, params, X, target, sample_weight, masks, config,
                                                learning_rate, output_costs)
    gradients = []
    for (twin, _), a, delta in zip(layers(architecture, params), activations, found, strict=False):
        gradients += twin.gradients(a, delta)
    return cost, score, gradients


def deltas_of(architecture, params, X, target, sample_weight=None, masks=(), config=None, learning_rate=None,
              output_costs=None):
    """``(cost, score, [a_0, ...], [delta_1, ...])``: the costs summed, a row of every array for each row of X."""
    zs, activations = forward(architecture, params, X, masks)
    cost, score, delta = cost_and_delta(architecture, zs[-1], target, sample_weight, config, activations[0],
                                        learning_rate, output_costs)
    found = [delta]
    chain = layers(architecture, params)
    for layer in reversed(range(1, len(chain))):
        name = architecture.activations[layer - 1]
        a = activate(name, zs[layer - 1]) if masks else activations[layer]
        twin, tensors = chain[layer]
        delta = twin.backward(delta, *tensors) * slope(name, zs[layer - 1], a)
        if masks:
            delta = delta * masks[layer - 1]
        found.insert(0, delta)
    return cost, score, activations, found


def dropout_masks(architecture, config, step, rows, dtype):
    """For every hidden layer (rows, units): 0 where a unit is dropped, else 1 / (1 - rate); none without dropout.

    Sixteen bits of Philox decide for each unit; the counters are block and row, layer, and step.
    """
    masks = []
    for layer, units in enumerate(architecture.sizes[1:-1] if config.dropout else ()):
        drop = config.drop(layer)
        blocks = -(-units // 16)
        random = np.random.Philox(key=np.array([config.seed, 0], np.uint64),
                                  counter=np.array([0, layer, step, 0], np.uint64))
        chance = random.random_raw(rows * blocks * 4).astype("<u8").view("<u2").reshape(rows, blocks * 16)[:, :units]
        masks.append(np.where(chance < drop, 0, 65536 / (65536 - drop)).astype(dtype))
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


# ---- activations ----

def _logistic(z):
    with np.errstate(over="ignore"):
        return (1 / (1 + np.exp(-z))).astype(z.dtype)


def _normal_cdf(z):
    return (0.5 * (1 + _erf(z / math.sqrt(2)))).astype(z.dtype)


def _mean_and_deviation(z):
    mean, logarithm = np.split(z, 2, axis=1)
    return np.hstack([mean, np.exp(logarithm)])


def _softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def softmax_of_wide_logits(x, W, b):
    """Softmax of ``x W + b`` where it overflows: from logits in double, those of doubles scaled down by 2^-1040."""
    unit = 2.0 ** -520 if x.dtype == np.float64 else 1.0
    z = (x * unit).astype(float) @ (W * unit).astype(float) + b * unit * unit
    return _softmax(np.maximum((z - z.max(axis=1, keepdims=True)) / unit / unit, -1e3)).astype(x.dtype)


def activate(name, z):
    """The activation of that name, elementwise (softmax, sorted, mean_and_deviation: over each row)."""
    return {
        "identity": lambda: z,
        "logistic": lambda: _logistic(z),
        "tanh": lambda: np.tanh(z),
        "relu": lambda: np.maximum(z, 0),
        "leaky_relu": lambda: np.where(z > 0, z, LEAK * z),
        "elu": lambda: np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
        "gelu": lambda: z * _normal_cdf(z),
        "silu": lambda: z * _logistic(z),
        "softplus": lambda: np.logaddexp(z, z.dtype.type(0)),
        "exp": lambda: np.exp(z),
        "softmax": lambda: _softmax(z),
        "sorted": lambda: np.sort(z, axis=1),
        "mean_and_deviation": lambda: _mean_and_deviation(z),
    }[name]()


def slope(name, z, a):
    """The activation's derivative at z, where its value is a."""
    return {
        "identity": lambda: np.ones_like(z),
        "logistic": lambda: a * (1 - a),
        "tanh": lambda: 1 - a * a,
        "relu": lambda: (z > 0).astype(z.dtype),
        "leaky_relu": lambda: np.where(z > 0, 1, LEAK).astype(z.dtype),
        "elu": lambda: np.where(z > 0, 1, a + 1).astype(z.dtype),
        "gelu": lambda: _normal_cdf(z) + z * np.exp(-z * z / 2) / z.dtype.type(math.sqrt(2 * math.pi)),
        "silu": lambda: _logistic(z) * (1 + z * (1 - _logistic(z))),
        "softplus": lambda: _logistic(z),
    }[name]()


# ---- cost, score and output delta ----

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
    return _weighted(costs, error * error if right is None else right, delta.astype(z.dtype), sample_weight)


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
        if tensor.role != "weight" or tensor.layer == len(architecture.layers) - 1:
            continue
        W = tensor.of(params)
        norms = np.sqrt((W.astype(float) ** 2).sum(axis=0))
        W *= np.where(norms > optimizer.max_norm, optimizer.max_norm / np.maximum(norms, 1e-300), 1).astype(W.dtype)


def averaging_weights_of(optimizer, first_step, steps):
    """How far the average moves towards the parameters at each step; see optimizers/base.py."""
    return optimizer.averaging_weights(first_step, steps) if optimizer.average is not None else ()


def update(optimizer, w, slots, g, factors, learning_rate, t, batch_weight, cumulative_l1=0.0):
    """One step with gradient g on the array w and its part of the optimizer's slots, in place.

    ``factors`` multiply the learning rate, weight_decay, and l1 and l2 for this array. ``cumulative_l1`` is the sum
    of learning_rate * l1 up to this step, for l1 that truncates.
    """
    kind = optimizer.kind
    truncates = getattr(optimizer, "cumulative_l1", False) and optimizer.l1 * factors.penalty > 0
    l1 = 0 if truncates else optimizer.l1 * factors.penalty
    l2 = factors.penalty * (optimizer.l2 + (optimizer.alpha / batch_weight if batch_weight else 0))
    weight_decay = factors.decay * optimizer.weight_decay
    learning_rate = factors.rate * learning_rate
    cumulative_l1 = factors.rate * factors.penalty * cumulative_l1
    if kind == "passive_aggressive" or (kind == "sgd" and not optimizer.momentum):
        shrink = max(0, 1 - learning_rate * (l2 + weight_decay))
        rate = learning_rate if kind == "sgd" else factors.rate
        w[...] = shrink * w - learning_rate * l1 * np.sign(w) - rate * g
        if truncates:
            truncate(w, slots[0], cumulative_l1)
        return
    g = g + l2 * w + l1 * np.sign(w)
    if kind in ("adamw", "lion"):
        w -= learning_rate * weight_decay * w
    else:
        g = g + weight_decay * w

    if kind == "sgd":
        slots[0][...] = optimizer.momentum * slots[0] + g
        g = g + optimizer.momentum * slots[0] if optimizer.nesterov else slots[0]
        w -= learning_rate * g
        if truncates:
            truncate(w, slots[1], cumulative_l1)
    elif kind in ("adam", "adamw"):
        m, v = slots
        m[...] = optimizer.beta_1 * m + (1 - optimizer.beta_1) * g
        v[...] = optimizer.beta_2 * v + (1 - optimizer.beta_2) * g * g
        m_hat = m / (1 - optimizer.beta_1 ** t)
        v_hat = v / (1 - optimizer.beta_2 ** t)
        w -= learning_rate * m_hat / (np.sqrt(v_hat) + optimizer.epsilon)
    elif kind == "lion":
        (m,) = slots
        w -= learning_rate * np.sign(optimizer.beta_1 * m + (1 - optimizer.beta_1) * g)
        m[...] = optimizer.beta_2 * m + (1 - optimizer.beta_2) * g
    elif kind == "rmsprop":
        v = slots[0]
        v[...] = optimizer.rho * v + (1 - optimizer.rho) * g * g
        g = g / (np.sqrt(v) + optimizer.epsilon)
        if optimizer.momentum:
            slots[1][...] = optimizer.momentum * slots[1] + g
            g = slots[1]
        w -= learning_rate * g
    elif kind == "adagrad":
        slots[0][...] += g * g
        w -= learning_rate * g / (np.sqrt(slots[0]) + optimizer.epsilon)


def truncate(w, l1_applied, penalty):
    """Moves w towards zero by what it has not paid yet of the penalty, at most to zero."""
    before = w.copy()
    w[...] = np.where(w > 0, np.maximum(0, w - (penalty + l1_applied)),
                      np.where(w < 0, np.minimum(0, w + (penalty - l1_applied)), w))
    l1_applied += w - before
