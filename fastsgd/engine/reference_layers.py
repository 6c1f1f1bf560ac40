"""The layers and activations of the reference: what each computes, in plain NumPy."""
import math

import numpy as np

LEAK = 0.01  # slope of leaky_relu below zero
SELU_SCALE, SELU_ALPHA = 1.0507009873554804934, 1.6732632423543772848      # Klambauer et al. 2017
_erf = np.vectorize(math.erf, otypes=[float])


class Twin:
    """What computes a layer; the methods of all kinds are those of Dense."""

    def __init__(self, layer, together=None):
        """In training, so many rows of a batch are normalised together."""
        self.layer, self.together = layer, together


class Dense(Twin):
    """Tensors W (inputs, outputs) and b (outputs,)."""

    @staticmethod
    def forward(x, W, b):
        """What the activation receives, a row for each of x."""
        return x @ W + b

    @staticmethod
    def backward(x, delta, W, b):
        """dC/dx of deltas dC/dz."""
        return delta @ W.T

    @staticmethod
    def gradients(x, delta, W, b):
        """Of each tensor, summed over the rows."""
        return [x.reshape(-1, x.shape[-1]).T @ delta.reshape(-1, delta.shape[-1]), _over_rows(delta)]


class AdaptedDense(Twin):
    """W shared; r, s and b of each member. x is (rows, inputs) or (rows, members, inputs), z has an axis of members."""

    def forward(self, x, W, r, *rest):
        u = _of_members(x) * r @ W
        return u * rest[0] + rest[1] if self.layer.adapts_outputs else u + rest[0]

    def backward(self, x, delta, W, r, *rest):
        below = self._inner(delta, rest) @ W.T * r
        return below if x.ndim == 3 else below.sum(axis=1)

    def gradients(self, x, delta, W, r, *rest):
        x, inner = _of_members(x), self._inner(delta, rest)
        found = [np.einsum("nki,nko->io", x * r, inner), (x * (inner @ W.T)).sum(axis=0)]
        if self.layer.adapts_outputs:
            return [*found, (delta * (x * r @ W)).sum(axis=0), delta.sum(axis=0)]
        return [*found, delta.sum(axis=(0, 1))]

    def _inner(self, delta, rest):
        """dC/du of u = (x r) W."""
        return delta * rest[0] if self.layer.adapts_outputs else delta


class MemberDense(Twin):
    """W and b of each member; x (rows, members, inputs)."""

    @staticmethod
    def forward(x, W, b):
        return np.einsum("nki,kio->nko", x, W) + b

    @staticmethod
    def backward(x, delta, W, b):
        return np.einsum("nko,kio->nki", delta, W)

    @staticmethod
    def gradients(x, delta, W, b):
        return [np.einsum("nki,nko->kio", x, delta), delta.sum(axis=0)]


def _of_members(x):
    """The rows with an axis of members, which may be of length 1."""
    return x if x.ndim == 3 else x[:, np.newaxis]


def _over_rows(terms):
    """Sums over the rows of all members."""
    return terms.reshape(-1, terms.shape[-1]).sum(axis=0)


class Scale(Twin):
    """Tensor s (columns,)."""

    @staticmethod
    def forward(x, s):
        return x * s

    @staticmethod
    def backward(x, delta, s):
        return delta * s

    @staticmethod
    def gradients(x, delta, s):
        return [_over_rows(x * delta)]


class ParametricActivation(Twin):
    """Tensor w (columns,), between the identity and an activation."""

    def forward(self, x, w):
        return x + w * (activate(self.layer.function, x) - x)

    def backward(self, x, delta, w):
        return delta * (1 + w * (slope(self.layer.function, x, activate(self.layer.function, x)) - 1))

    def gradients(self, x, delta, w):
        return [_over_rows((activate(self.layer.function, x) - x) * delta)]


class LayerNorm(Twin):
    """Tensors gain and shift (columns,). With y = (x - mean) / deviation and g = gain * delta, dC/dx is
    (g - mean of g - y * mean of g * y) / deviation."""

    def normal(self, x):
        """y and the deviation, of each row."""
        centred = x - x.mean(axis=-1, keepdims=True)
        deviation = np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + self.layer.epsilon)
        return centred / deviation, deviation

    def forward(self, x, gain, shift):
        return self.normal(x)[0] * gain + shift

    def backward(self, x, delta, gain, shift):
        y, deviation = self.normal(x)
        g = gain * delta
        return (g - g.mean(axis=-1, keepdims=True) - y * (g * y).mean(axis=-1, keepdims=True)) / deviation

    def gradients(self, x, delta, gain, shift):
        return [_over_rows(self.normal(x)[0] * delta), _over_rows(delta)]


class BatchNorm(Twin):
    """Tensors gain, shift, mean and variance (columns,), the last two the running ones.

    With y = (x - m) / deviation and g = gain * delta, dC/dx is (g - mean of g - y * mean of g * y) / deviation; with
    running figures g / deviation.
    """

    def parts(self, rows):
        """Those that are normalised together."""
        return [slice(first, first + self.together) for first in range(0, rows, self.together)]

    def normal(self, x, mean, variance):
        """y of each row, and the deviation."""
        if self.together is None:
            deviation = np.sqrt(variance + x.dtype.type(self.layer.epsilon)) + np.zeros_like(x)
            return (x - mean) / deviation, deviation
        y, deviation = np.empty_like(x), np.empty_like(x)
        for part in self.parts(len(x)):
            centred = x[part] - x[part].mean(axis=0)
            deviation[part] = np.sqrt((centred * centred).mean(axis=0) + self.layer.epsilon)
            y[part] = centred / deviation[part]
        return y, deviation

    def forward(self, x, gain, shift, mean, variance):
        return self.normal(x, mean, variance)[0] * gain + shift

    def backward(self, x, delta, gain, shift, mean, variance):
        y, deviation = self.normal(x, mean, variance)
        g = gain * delta
        for part in self.parts(len(x)) if self.together is not None else []:
            g[part] -= g[part].mean(axis=0) + y[part] * (g[part] * y[part]).mean(axis=0)
        return g / deviation

    def gradients(self, x, delta, gain, shift, mean, variance):
        y = self.normal(x, mean, variance)[0]
        return [_over_rows(y * delta), _over_rows(delta), np.zeros_like(mean), np.zeros_like(variance)]

    def move(self, x, gain, shift, mean, variance):
        """The running figures after a step on these rows, in place."""
        x = x[self.parts(len(x))[-1]]
        if len(x) > 1:
            momentum = x.dtype.type(self.layer.momentum)
            mean += momentum * (x.mean(axis=0) - mean)
            variance += momentum * (x.var(axis=0, ddof=1) - variance)


class Add(Twin):
    """No tensors. What the block received is added by ``forward``, and its delta by ``deltas_of``."""

    @staticmethod
    def forward(x):
        return x

    @staticmethod
    def backward(x, delta):
        return delta

    @staticmethod
    def gradients(x, delta):
        return []


class Columns(Twin):
    """Features of the columns of a table, see layers/columns.py; its tensors by name are those that its encoding has.

    Arrays of numbers are (rows, terms, columns): what each column becomes lies along the middle axis.
    """

    def by_name(self, tensors):
        return dict(zip((name for name, _ in self.layer.tensors), tensors, strict=True))

    def forward(self, x, *tensors):
        own, layer = self.by_name(tensors), self.layer
        numbers = x[:, list(layer.number_columns)]
        features = [self.numbers(numbers, own)[-1]]
        if layer.numbers is not None and layer.numbers.shortcut:
            features.append(numbers)
        features += [(x[:, [column]] == np.arange(levels)).astype(x.dtype) for column, levels in layer.one_hot]
        for codes, first in self.codes(x):
            features.append(np.where(codes[:, np.newaxis] < 0, 0, own["embeddings"][first + codes]))
        return np.hstack(features)

    def numbers(self, numbers, own):
        """``(angles, basis, features)``: the first two (rows, terms, columns), or None; the features side by side."""
        encoding = self.layer.numbers
        if encoding is None:
            return None, None, numbers
        angles, basis = None, numbers[:, np.newaxis]
        if encoding.basis == "piecewise":
            order = list(self.layer.number_order)
            slopes, offsets, lowest, highest = (line.astype(numbers.dtype) for line in encoding.lines(order))
            basis = np.clip(numbers[:, np.newaxis, order] * slopes + offsets, lowest, highest)
        elif encoding.basis in ("waves", "cosines"):
            turns = numbers[:, np.newaxis] * own["frequencies"]
            angles = numbers.dtype.type(2 * math.pi) * (turns - np.round(turns)) + own.get("phases", 0)
            basis = np.cos(angles)
            if encoding.basis == "waves":
                basis = np.concatenate([basis, np.sin(angles)], axis=1)
        if not encoding.map_outputs:
            return None, basis, np.hstack([basis[:, t, :count] for t, count in enumerate(self.layer.term_columns)])
        features = np.einsum("rtd,thd->rhd", basis, own["column_weights"]) + own["column_biases"]
        features = features.reshape(len(numbers), -1)
        return angles, basis, np.maximum(features, 0) if encoding.map_activation == "relu" else features

    def codes(self, x):
        """For each embedded column its codes, and where its rows begin."""
        return [(x[:, column].astype(int), first) for (column, _), first in
                zip(self.layer.embedded, self.layer.first_rows, strict=True)]

    def gradients(self, x, delta, *tensors):
        own, layer, encoding = self.by_name(tensors), self.layer, self.layer.numbers
        found = {}
        if encoding is not None and encoding.map_outputs:
            found = self.gradients_of_numbers(x[:, list(layer.number_columns)], delta, own)
        if layer.embedded:
            found["embeddings"] = np.zeros_like(own["embeddings"])
            at = delta.shape[1] - len(layer.embedded) * layer.embedding_size
            for codes, first in self.codes(x):
                known = codes >= 0
                np.add.at(found["embeddings"], first + codes[known], delta[known, at:at + layer.embedding_size])
                at += layer.embedding_size
        return [found[name] for name in own]

    def gradients_of_numbers(self, numbers, delta, own):
        encoding, d = self.layer.numbers, numbers.shape[1]
        angles, basis, features = self.numbers(numbers, own)
        mapped = delta[:, :encoding.map_outputs * d]
        if encoding.map_activation == "relu":
            mapped = mapped * (features > 0)
        mapped = mapped.reshape(len(numbers), -1, d)
        found = {"column_weights": np.einsum("rtd,rhd->thd", basis, mapped), "column_biases": mapped.sum(axis=0)}
        if angles is not None:
            below = np.einsum("rhd,thd->rtd", mapped, own["column_weights"])
            if encoding.basis == "waves":
                half = len(own["frequencies"])
                below = below[:, half:] * np.cos(angles) - below[:, :half] * np.sin(angles)
            else:
                below = -below * np.sin(angles)
            found["frequencies"] = numbers.dtype.type(2 * math.pi) * np.einsum("rtd,rd->td", below, numbers)
            found["phases"] = below.sum(axis=0)
        return found

    def touched(self, x, name):
        """Which rows of a tensor a step on these rows changes; None for all."""
        if name != "embeddings" or not self.layer.lazy:
            return None
        rows = np.zeros(self.layer.shapes()[-1][0], bool)
        for codes, first in self.codes(x):
            rows[first + codes[codes >= 0]] = True
        return rows


LAYERS: dict = {"dense": Dense, "adapted_dense": AdaptedDense, "member_dense": MemberDense, "scale": Scale,
                "parametric_activation": ParametricActivation, "layer_norm": LayerNorm, "batch_norm": BatchNorm,
                "add": Add, "columns": Columns}


def layers(architecture, params, config=None):
    """``[(twin, tensors), ...]``: for each layer what computes it, and views of its part of the flat parameters.

    Batches are normalised by their own figures where there is the configuration of a step.
    """
    together = None if config is None else architecture.rows_together(config.batch_size)
    return [(LAYERS[layer.kind](layer, together), tensors) for layer, tensors in
            zip(architecture.layers, architecture.arrays(params), strict=True)]


# ---- activations ----

def _logistic(z):
    with np.errstate(over="ignore"):
        return (1 / (1 + np.exp(-z))).astype(z.dtype)


def _normal_cdf(z):
    return (0.5 * (1 + _erf(z / math.sqrt(2)))).astype(z.dtype)


def _hard_sigmoid(z):
    return np.clip(z + 3, 0, 6) / 6


def _mish_slope(z):
    t = np.tanh(np.logaddexp(z, z.dtype.type(0)))
    return t + z * _logistic(z) * (1 - t * t)


def _mean_and_deviation(z):
    mean, logarithm = np.split(z, 2, axis=-1)
    return np.concatenate([mean, np.exp(logarithm)], axis=-1)


def _softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


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
        "selu": lambda: SELU_SCALE * np.where(z > 0, z, SELU_ALPHA * np.expm1(np.minimum(z, 0))),
        "mish": lambda: z * np.tanh(np.logaddexp(z, z.dtype.type(0))),
        "hard_sigmoid": lambda: _hard_sigmoid(z),
        "hard_swish": lambda: z * _hard_sigmoid(z),
        "hard_tanh": lambda: np.clip(z, -1, 1),
        "relu6": lambda: np.clip(z, 0, 6),
        "softmax": lambda: _softmax(z),
        "sorted": lambda: np.sort(z, axis=-1),
        "mean_and_deviation": lambda: _mean_and_deviation(z),
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
        "selu": lambda: np.where(z > 0, SELU_SCALE, a + SELU_SCALE * SELU_ALPHA).astype(z.dtype),
        "mish": lambda: _mish_slope(z),
        "hard_sigmoid": lambda: ((a > 0) & (a < 1)).astype(z.dtype) / 6,
        "hard_swish": lambda: np.where(z <= -3, 0, np.where(z >= 3, 1, z / 3 + 0.5)).astype(z.dtype),
        "hard_tanh": lambda: (abs(a) < 1).astype(z.dtype),
        "relu6": lambda: ((a > 0) & (a < 6)).astype(z.dtype),
    }[name]()
