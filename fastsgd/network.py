"""The network: what it computes, and the one flat array that holds everything it has learned."""
from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from numbers import Integral, Real

import numpy as np

from fastsgd import _kernel, modelfile
from fastsgd.data import CLASSIFICATION, check_rows, check_targets
from fastsgd.optimizers import Optimizer, State
from fastsgd.machine import choose_threads

ACTIVATIONS = ("identity", "logistic", "tanh", "relu", "leaky_relu", "elu", "gelu", "silu", "softplus")
OUTPUTS = {  # the output activations each loss allows, its own first
    "cross_entropy": ("softmax",),
    "binary_cross_entropy": ("logistic",),
    "squared_error": ("identity", "logistic", "tanh"),
    "absolute_error": ("identity",),
    "huber": ("identity",),
    "quantile": ("identity",),
    "poisson": ("exp",),
}
INITS = ("auto", "he", "glorot", "normal")
MAX_PARAMETERS = 2**31 - 1


@dataclass(frozen=True)
class Architecture:
    """A network without its parameters: the layer sizes and what happens between them.

    ``activations`` has one name per layer, the output layer's last; ``loss_parameters`` one number per
    output: huber's delta or the quantile, 0 for other losses.
    """

    sizes: tuple[int, ...]
    activations: tuple[str, ...]
    loss: str
    loss_parameters: tuple[float, ...] = field(repr=False)

    @property
    def parameters(self) -> int:
        """The number of weights and biases."""
        return sum(inputs * outputs + outputs for inputs, outputs in zip(self.sizes, self.sizes[1:], strict=False))

    @property
    def flops(self) -> int:
        """Floating-point operations per row of a training step: products forward, back, and for the gradient."""
        products = [inputs * outputs for inputs, outputs in zip(self.sizes, self.sizes[1:], strict=False)]
        return 6 * sum(products) - 2 * products[0]


class Network:
    """A dense feed-forward network.

    Parameters
    ----------
    sizes : sequence of int
        Units per layer, the input's columns first: ``[64, 128, 10]`` has one hidden layer of 128.
    activation : str or sequence of str
        One of identity, logistic, tanh, relu, leaky_relu (slope 0.01), elu, gelu (exact), silu, softplus;
        or one name per hidden layer.
    loss : str
        What is minimised, summed over the outputs and averaged over the rows. It fixes the output layer:

        ====================  ==========  =====================================================
        loss                  output      cost of an output a, or row of outputs, with target t
        ====================  ==========  =====================================================
        cross_entropy         softmax     -sum t log a, t a class label or a row of probabilities
        binary_cross_entropy  logistic    -t log a - (1 - t) log(1 - a)
        squared_error         identity    (a - t)^2 / 2
        absolute_error        identity    abs(a - t)
        huber                 identity    (a - t)^2 / 2 up to delta, then delta (abs(a - t) - delta / 2)
        quantile              identity    q (t - a) where t > a, else (1 - q)(a - t)
        poisson               exp         t log(t / a) - t + a
        ====================  ==========  =====================================================
    output : str, optional
        With squared_error also "logistic" or "tanh": the classic digit network with the quadratic cost.
    dtype : "float32" or "float64"
    seed : int or None
        Seed of the initial weights; None draws one from the operating system.
    init : str
        "he" (normal, variance 2 / inputs; He 2015), "glorot" (uniform, +-sqrt(6 / (inputs + outputs));
        Glorot and Bengio 2010), both with zero biases; "normal" (weights and biases from the unit normal,
        as in Nielsen's digit network); "auto" takes he for relu-like layers and glorot for the others.
    huber_delta : float
    quantile : float or sequence of float
        Between 0 and 1; one for all outputs, or one each.

    Attributes
    ----------
    params : ndarray (P,)
        Every parameter, in one flat array aligned to 64 bytes; changing it changes the network.
    weights, biases : tuples of ndarray
        Views of ``params``: ``weights[l]`` (inputs, outputs) and ``biases[l]`` (outputs,).
    metadata : dict of str to str
        Travels with the model file; the command line keeps its table encoding here.

    Errors
    ------
    ValueError or TypeError, naming the argument, what was given and what is allowed.

    Using one network from many threads: predict, cost and gradient may run at once; step and train must
    not run beside anything else on the same network.

    Examples
    --------
    >>> import fastsgd
    >>> net = fastsgd.Network([2, 8, 2], seed=0)
    >>> net
    Network([2, 8, 2], activation='relu', loss='cross_entropy', dtype='float32')
    >>> net.predict([[0.0, 1.0]]).shape
    (1, 2)
    """

    def __init__(self, sizes: Sequence[int], activation: str | Sequence[str] = "relu", loss: str = "cross_entropy",
                 output: str | None = None, dtype: str = "float32", seed: int | None = None, init: str = "auto",
                 huber_delta: float = 1.0, quantile: float | Sequence[float] = 0.5):
        sizes = _check_sizes(sizes)
        hidden = _check_activation(activation, len(sizes) - 2)
        output = _check_output(loss, output, sizes[-1])
        parameters = _loss_parameters(loss, sizes[-1], huber_delta, quantile)
        self.architecture = Architecture(sizes, (*hidden, output), loss, parameters)
        if init not in INITS:
            raise ValueError(f"init must be one of {', '.join(INITS)}, got {init!r}")
        if str(np.dtype(dtype)) not in ("float32", "float64"):
            raise ValueError(f"dtype must be float32 or float64, got {dtype!r}")
        self.params = aligned_empty(self.architecture.parameters, np.dtype(dtype))
        self.weights, self.biases = _views(self.architecture.sizes, self.params)
        self.metadata: dict[str, str] = {}
        self._stepping: tuple[Optimizer, State] | None = None
        self._initialise(np.random.default_rng(seed), init)

    def _initialise(self, rng: np.random.Generator, init: str) -> None:
        for W, b, name in zip(self.weights, self.biases, self.architecture.activations, strict=True):
            inputs, outputs = W.shape
            rule = init
            if init == "auto":
                rule = "he" if name in ("relu", "leaky_relu", "elu", "gelu", "silu", "softplus") else "glorot"
            b[:] = 0
            if rule == "he":
                W[:] = rng.standard_normal(W.shape) * math.sqrt(2 / inputs)
            elif rule == "glorot":
                limit = math.sqrt(6 / (inputs + outputs))
                W[:] = rng.uniform(-limit, limit, W.shape)
            else:
                b[:] = rng.standard_normal(b.shape)
                W[:] = rng.standard_normal(W.shape)

    # ---- what it is ----

    @property
    def sizes(self) -> tuple[int, ...]:
        """Units per layer, the input first."""
        return self.architecture.sizes

    @property
    def loss(self) -> str:
        """The name of the loss."""
        return self.architecture.loss

    @property
    def dtype(self) -> np.dtype:
        """The dtype of the parameters."""
        return self.params.dtype

    @property
    def metric(self) -> str:
        """What ``score`` measures: "accuracy" for a classifier, "r2" otherwise."""
        return "accuracy" if self.loss in CLASSIFICATION else "r2"

    def __repr__(self) -> str:
        hidden = self.architecture.activations[:-1]
        same = set(hidden) if hidden else {"relu"}
        activation = same.pop() if len(same) == 1 else list(hidden)
        output = self.architecture.activations[-1]
        shown = f", output={output!r}" if output != OUTPUTS[self.loss][0] else ""
        return (f"Network({list(self.sizes)}, activation={activation!r}, loss={self.loss!r}{shown}, "
                f"dtype={str(self.dtype)!r})")

    def copy(self) -> Network:
        """A network of its own with equal parameters."""
        return Network._from_parts(self.architecture, self.params, dict(self.metadata))

    @classmethod
    def _from_parts(cls, architecture: Architecture, params: np.ndarray, metadata: dict[str, str]) -> Network:
        net = cls.__new__(cls)
        net.architecture = architecture
        net.params = aligned_empty(params.size, params.dtype)
        net.params[:] = params
        net.weights, net.biases = _views(architecture.sizes, net.params)
        net.metadata = metadata
        net._stepping = None
        return net

    def __getstate__(self):
        return self.architecture, np.array(self.params), self.metadata

    def __setstate__(self, state):
        self.__dict__.update(Network._from_parts(*state).__dict__)

    # ---- what it does ----

    def predict(self, X, threads: int | None = None) -> np.ndarray:
        """The output layer's activations, (rows, outputs): probabilities for a classifier.

        >>> Network([3, 4, 2], seed=1).predict([[0, 0, 0]])
        array([[0.5, 0.5]], dtype=float32)
        """
        X = check_rows(X, self.sizes[0], self.dtype)
        out = np.empty((len(X), self.sizes[-1]), dtype=self.dtype)
        _kernel.predict(self.architecture, self.params, X, out, self._threads(threads, len(X)))
        return out

    def cost(self, X, y, threads: int | None = None) -> float:
        """The mean cost over the rows."""
        return self.evaluate(X, y, threads)[0]

    def score(self, X, y, threads: int | None = None) -> float:
        """Accuracy for a classifier, else R^2 over all outputs (see ``metric``)."""
        return self.evaluate(X, y, threads)[1]

    def evaluate(self, X, y, threads: int | None = None) -> tuple[float, float]:
        """``(cost, score)`` in one pass over the rows."""
        return self.evaluate_checked(*self.check(X, y), threads)

    def gradient(self, X, y, threads: int | None = None) -> np.ndarray:
        """The gradient of the mean cost over the rows given, (P,), laid out like ``params``."""
        X, y = self.check(X, y)
        out = np.empty_like(self.params)
        _kernel.gradient(self.architecture, self.params, X, y, out, self._threads(threads, len(X)))
        return out

    def step(self, X, y, optimizer: Optimizer, threads: int | None = None) -> float:
        """One fused mini-batch step on these rows, in place; returns the cost before it.

        Momentum and the like carry over from step to step as long as the optimizer is an equal one;
        another starts afresh. A cost that is not finite raises FloatingPointError and changes nothing.

        >>> import fastsgd
        >>> net = Network([2, 3, 2], seed=0)
        >>> before = net.step([[0, 1], [1, 0]], [0, 1], fastsgd.SGD(0.5))
        >>> net.cost([[0, 1], [1, 0]], [0, 1]) < before
        True
        """
        X, y = self.check(X, y)
        check_optimizer(optimizer)
        if self._stepping is None or self._stepping[0] != optimizer:
            self._stepping = optimizer, optimizer.state(self.params)
        state = self._stepping[1]
        cost, _, steps = _kernel.train_epoch(self.architecture, self.params, X, y, None, len(X), optimizer, state,
                                             optimizer.learning_rates(state.steps, 1), self._threads(threads, len(X)))
        if not steps:
            raise FloatingPointError(f"the cost is {cost / len(X)}; nothing was changed. Try a smaller learning rate "
                                     "or scale the inputs")
        return cost / len(X)

    # ---- what train() shares ----

    def check(self, X, y, prefix: str = "") -> tuple[np.ndarray, np.ndarray]:
        """X and y as the kernel takes them, or the error that says what is wrong with them."""
        X = check_rows(X, self.sizes[0], self.dtype, f"{prefix}X")
        return X, check_targets(y, len(X), self.sizes[-1], self.loss, self.dtype, f"{prefix}y")

    def evaluate_checked(self, X: np.ndarray, y: np.ndarray, threads: int | None) -> tuple[float, float]:
        """``evaluate`` for arrays that :meth:`check` returned."""
        cost, score = _kernel.cost(self.architecture, self.params, X, y, self._threads(threads, len(X)))
        return cost / len(X), self.metric_of(score, y)

    def metric_of(self, score: float, y: np.ndarray) -> float:
        """The metric from the kernel's summed score over the rows of y."""
        if self.loss == "cross_entropy":
            return score / len(y)
        if self.loss == "binary_cross_entropy":
            return score / y.size
        spread = float(((y - y.mean(axis=0, dtype=float)) ** 2).sum(dtype=float))
        return 1 - score / spread if spread else math.nan

    def _threads(self, threads: int | None, rows: int) -> int:
        return choose_threads(threads, self.architecture.flops * rows)

    # ---- files ----

    def save(self, path) -> None:
        """Writes the network as a safetensors file: complete or not at all.

        The format is described in ``fastsgd.modelfile``. OSError names the path where it cannot be written.
        """
        modelfile.save(path, self.architecture, self.params, self.metadata)

    @classmethod
    def load(cls, path) -> Network:
        """Reads a network written by :meth:`save`. ValueError says what is wrong with any other file."""
        fields, params, metadata = modelfile.load(path)
        try:
            sizes = _check_sizes(fields["sizes"])
            loss = fields["loss"]
            hidden = _check_activation(fields["activations"][:-1], len(sizes) - 2)
            output = _check_output(loss, fields["activations"][-1], sizes[-1])
            given = [float(value) for value in fields["loss_parameters"]]
            delta, quantile = (given[0], 0.5) if loss == "huber" else (1.0, given)
            parameters = _loss_parameters(loss, sizes[-1], delta, quantile)
        except (KeyError, IndexError, TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"{path} does not describe a network: {error}") from None
        architecture = Architecture(sizes, (*hidden, output), loss, parameters)
        if params.size != architecture.parameters:
            raise ValueError(f"{path} holds {params.size} parameters where sizes {list(sizes)} need "
                             f"{architecture.parameters}")
        return cls._from_parts(architecture, params, metadata)


def aligned_empty(n: int, dtype: np.dtype) -> np.ndarray:
    """An uninitialised array of n elements that begins at a multiple of 64 bytes."""
    raw = np.empty(n * dtype.itemsize + 64, dtype=np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start:start + n * dtype.itemsize].view(dtype)


def check_optimizer(optimizer) -> None:
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"optimizer must be an optimizer such as fastsgd.SGD(0.1), got {optimizer!r}")


def _views(sizes: Sequence[int], params: np.ndarray) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    weights, biases = [], []
    offset = 0
    for inputs, outputs in zip(sizes, sizes[1:], strict=False):
        weights.append(params[offset:offset + inputs * outputs].reshape(inputs, outputs))
        offset += inputs * outputs
        biases.append(params[offset:offset + outputs])
        offset += outputs
    return tuple(weights), tuple(biases)


def _check_sizes(sizes) -> tuple[int, ...]:
    if isinstance(sizes, str) or not isinstance(sizes, Sequence | np.ndarray):
        raise TypeError(f"sizes must be a sequence of whole numbers such as [64, 128, 10], got {sizes!r}")
    for size in sizes:
        if isinstance(size, bool) or not isinstance(size, Integral):
            raise TypeError(f"sizes must hold whole numbers, got {size!r} in {list(sizes)}")
        if size < 1:
            raise ValueError(f"sizes must be at least 1, got {size} in {list(sizes)}")
    if len(sizes) < 2:
        raise ValueError(f"sizes must name at least the inputs and the outputs, got {list(sizes)}")
    sizes = tuple(int(size) for size in sizes)
    parameters = Architecture(sizes, (), "", ()).parameters
    if parameters > MAX_PARAMETERS:
        raise ValueError(f"sizes {list(sizes)} make {parameters:,} parameters; at most {MAX_PARAMETERS:,} are supported")
    return sizes


def _check_activation(activation, hidden: int) -> tuple[str, ...]:
    names = (activation,) * hidden if isinstance(activation, str) else tuple(activation)
    if len(names) != hidden:
        raise ValueError(f"activation must be one name or {hidden}, one per hidden layer, got {list(names)}")
    for name in {*names, *([activation] if isinstance(activation, str) else [])}:
        if name not in ACTIVATIONS:
            raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, got {name!r}")
    return names


def _check_output(loss: str, output: str | None, outputs: int) -> str:
    if loss not in OUTPUTS:
        raise ValueError(f"loss must be one of {', '.join(OUTPUTS)}, got {loss!r}")
    if output is not None and output not in OUTPUTS[loss]:
        raise ValueError(f"output for {loss} must be {' or '.join(OUTPUTS[loss])}, got {output!r}")
    if loss == "cross_entropy" and outputs < 2:
        raise ValueError("sizes: cross_entropy needs an output per class, at least 2, got 1; "
                         "for one yes-or-no output use loss='binary_cross_entropy'")
    return output or OUTPUTS[loss][0]


def _loss_parameters(loss: str, outputs: int, huber_delta, quantile) -> tuple[float, ...]:
    if loss == "huber":
        if isinstance(huber_delta, bool) or not isinstance(huber_delta, Real) or not 0 < huber_delta < math.inf:
            raise ValueError(f"huber_delta must be a number above 0, got {huber_delta!r}")
        return (float(huber_delta),) * outputs
    if loss != "quantile":
        return (0.0,) * outputs
    quantiles = (quantile,) * outputs if isinstance(quantile, Real) else tuple(quantile)
    if len(quantiles) != outputs:
        raise ValueError(f"quantile must be one number or {outputs}, one per output, got {list(quantiles)}")
    for q in quantiles:
        if isinstance(q, bool) or not isinstance(q, Real) or not 0 < q < 1:
            raise ValueError(f"quantile must lie between 0 and 1, got {q!r}")
    return tuple(float(q) for q in quantiles)
