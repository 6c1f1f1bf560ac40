"""The mini-batch step in plain NumPy: what the kernel must agree with.

The public functions have the names, arguments and results of ``_kernel``. This module is the yardstick of
the tests and the baseline of the benchmarks, and ``train(kernel="reference")`` runs on it.

Per mini-batch of B rows, for layers l = 1 .. L with a_0 the input::

    forward     z_l = a_{l-1} W_l + b_l,   a_l = f_l(z_l)
    cost        C = mean over rows of cost(a_L, target)
    backward    delta_L = dC/dz_L,   delta_{l-1} = (delta_l W_l^T) * f'_{l-1}(z_{l-1})
    gradient    dC/dW_l = a_{l-1}^T delta_l / B,   dC/db_l = mean over rows of delta_l
    update      every parameter by its optimizer's rule
"""
import math
import time
from itertools import pairwise

import numpy as np

LEAK = 0.01  # slope of leaky_relu below zero
_erf = np.vectorize(math.erf, otypes=[float])


def train_epoch(architecture, params, X, target, order, batch_size, optimizer, state, learning_rates, threads=1,
                poll=None, backend="auto", adapts=False):
    """One pass over the rows in ``order`` in mini-batches, changing ``params`` and ``state`` in place.

    Returns ``(cost, score, steps)``, cost and score summed over the rows seen. A cost that is not finite
    ends the pass before the step that met it changes anything; ``steps`` counts the steps before it.
    Where the number of threads ``adapts``, the team is made smaller in the first steps if that is faster.
    ``poll(rows_done)`` is called about ten times a second; what it raises ends the pass and is raised here.
    """
    order = np.arange(len(X)) if order is None else order
    total_cost = total_score = 0.0
    steps = 0
    polled = time.monotonic()
    for first in range(0, len(order), batch_size):
        rows = order[first:first + batch_size]
        cost, score, gradients = backpropagate(architecture, params, X[rows], target[rows])
        total_cost += cost
        total_score += score
        if not math.isfinite(cost):
            break
        state.steps += 1
        for view, slots, g, is_weight in zip(*_views(architecture, params, state.slots), gradients,
                                             [True, False] * (len(architecture.sizes) - 1), strict=True):
            update(optimizer, view, slots, g / len(rows), is_weight, learning_rates[steps], state.steps)
        steps += 1
        if poll is not None and time.monotonic() - polled >= 0.1:
            polled = time.monotonic()
            poll(min(first + batch_size, len(order)))
    return total_cost, total_score, steps


def gradient(architecture, params, X, target, out, threads=1, backend="auto"):
    """The gradient of the mean cost over all rows into ``out``, laid out like ``params``; returns that cost.

    Where the cost is not finite the gradient is NaN throughout.
    """
    cost, _, gradients = backpropagate(architecture, params, X, target)
    out[:] = np.concatenate([g.ravel() for g in gradients]) / len(X) if math.isfinite(cost) else np.nan
    return cost / len(X)


def cost(architecture, params, X, target, threads=1, backend="auto"):
    """``(cost, score)`` summed over all rows."""
    z = forward(architecture, params, X)[0][-1]
    return cost_and_delta(architecture, z, target)[:2]


def predict(architecture, params, X, out, threads=1, backend="auto"):
    """The output layer's activations of every row into ``out`` (rows, outputs)."""
    out[:] = forward(architecture, params, X)[1][-1]


# ---- forward and backward ----

def layers(architecture, params):
    """``[(W, b), ...]``: views of the flat parameters, W (inputs, outputs) before b (outputs,), layer by layer."""
    views = []
    offset = 0
    for inputs, outputs in pairwise(architecture.sizes):
        W = params[offset:offset + inputs * outputs].reshape(inputs, outputs)
        offset += inputs * outputs
        views.append((W, params[offset:offset + outputs]))
        offset += outputs
    return views


def scaled(architecture, X, dtype):
    """``X * input_scale + input_offset``; a sparse X is scaled already."""
    if hasattr(X, "dense"):
        return X.dense()
    X = X.astype(dtype, copy=False)
    if architecture.scales_input:
        X = X * np.array(architecture.input_scale, dtype) + np.array(architecture.input_offset, dtype)
    return X


def forward(architecture, params, X):
    """Lists of every layer's z and a; ``a`` begins with the input as the first layer receives it."""
    zs, activations = [], [scaled(architecture, X, params.dtype)]
    for (W, b), name in zip(layers(architecture, params), architecture.activations, strict=True):
        zs.append(activations[-1] @ W + b)
        activations.append(activate(name, zs[-1]))
    return zs, activations


def backpropagate(architecture, params, X, target):
    """``(cost, score, [dW_1, db_1, dW_2, ...])``, all summed over the rows."""
    zs, activations = forward(architecture, params, X)
    cost, score, delta = cost_and_delta(architecture, zs[-1], target)
    gradients = []
    weights = [W for W, _ in layers(architecture, params)]
    for layer in reversed(range(len(weights))):
        gradients[:0] = [activations[layer].T @ delta, delta.sum(axis=0)]
        if layer > 0:
            delta = (delta @ weights[layer].T) * slope(architecture.activations[layer - 1], zs[layer - 1],
                                                       activations[layer])
    return cost, score, gradients


def _views(architecture, params, slots):
    """The parameters' arrays W_1, b_1, W_2, ... and, beside each, its part of the optimizer's slots."""
    def split(flat):
        return [array for pair in layers(architecture, flat) for array in pair]
    parts = [split(slot) for slot in slots]
    own = split(params)
    return own, [[part[i] for part in parts] for i in range(len(own))]


# ---- activations ----

def _logistic(z):
    with np.errstate(over="ignore"):
        return (1 / (1 + np.exp(-z))).astype(z.dtype)


def _normal_cdf(z):
    return (0.5 * (1 + _erf(z / math.sqrt(2)))).astype(z.dtype)


def _softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def activate(name, z):
    """The activation of that name, elementwise (softmax: over each row)."""
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
        "softmax": lambda: _softmax(z),
        "exp": lambda: np.exp(z),
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

def cost_and_delta(architecture, z, target):
    """``(cost, score, dC/dz)`` of the output layer's z: the cost summed over outputs and rows.

    The score counts rows classified correctly (single outputs, for binary_cross_entropy); for the other
    losses it is the summed squared error.
    """
    loss, output = architecture.loss, architecture.activations[-1]
    if loss == "cross_entropy":
        if target.ndim == 1:
            target = np.eye(z.shape[1], dtype=z.dtype)[target]
        right = z.argmax(axis=1) == target.argmax(axis=1)
        shifted = z - z.max(axis=1, keepdims=True)
        log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        delta = np.exp(log_p) * target.sum(axis=1, keepdims=True) - target
        return -float((target * log_p).sum(dtype=float)), float(right.sum()), delta
    a = activate(output, z)
    error = a - target
    if loss == "binary_cross_entropy":
        costs = np.logaddexp(z, z.dtype.type(0)) - target * z
        return float(costs.sum(dtype=float)), float(((z > 0) == (target > 0.5)).sum()), error
    p = np.array(architecture.loss_parameters, dtype=z.dtype)
    if loss == "squared_error":
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
    return float(costs.sum(dtype=float)), float((error * error).sum(dtype=float)), delta


# ---- the optimizers' rules; formulas and sources are in optimizers.py ----

def update(optimizer, w, slots, g, is_weight, learning_rate, t):
    """One step with gradient g on the array w and its part of the optimizer's slots, in place."""
    kind = optimizer.kind
    if is_weight:
        g = g + optimizer.l2 * w + optimizer.l1 * np.sign(w)
    if kind == "adamw":
        w -= learning_rate * optimizer.weight_decay * w
    else:
        g = g + optimizer.weight_decay * w

    if kind == "sgd":
        if slots:
            slots[0][...] = optimizer.momentum * slots[0] + g
            g = g + optimizer.momentum * slots[0] if optimizer.nesterov else slots[0]
        w -= learning_rate * g
    elif kind in ("adam", "adamw"):
        m, v = slots
        m[...] = optimizer.beta_1 * m + (1 - optimizer.beta_1) * g
        v[...] = optimizer.beta_2 * v + (1 - optimizer.beta_2) * g * g
        m_hat = m / (1 - optimizer.beta_1 ** t)
        v_hat = v / (1 - optimizer.beta_2 ** t)
        w -= learning_rate * m_hat / (np.sqrt(v_hat) + optimizer.epsilon)
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
