"""The network: what it computes, and the one flat array of its parameters."""
from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsgd.arguments import check_whole
from fastsgd.data import advice
from fastsgd.data.checks import check_sample_weight, generator
from fastsgd.deprecation import keyword_only, warn_of
from fastsgd.engine import _kernel, ensemble
from fastsgd.engine.machine import cores
from fastsgd.layers import Dense, Layer, ParametricActivation, Residual, acting, in_blocks
from fastsgd.losses import Loss, as_loss, with_parameters
from fastsgd.model.architecture import Architecture
from fastsgd.network import checked, model_file
from fastsgd.network.folding import FOLDED, fold
from fastsgd.optimizers import Optimizer, State, aligned_zeros, check_fits, check_optimizer

if TYPE_CHECKING:
    from fastsgd.data.typing import ArrayLike, RowsLike

INITS = ("auto", "he", "glorot", "lecun", "normal", "ntk", "scikit-learn")
RELU_LIKE = ("relu", "leaky_relu", "elu", "gelu", "silu", "softplus", "mish", "hard_swish", "relu6")


class Network:
    """A dense feed-forward network.

    Parameters
    ----------
    sizes : sequence of int
        Units per layer, the input's columns first: ``[64, 128, 10]`` has one hidden layer of 128. Between them may
        stand layers of other kinds: those of ``fastsgd.layers``, such as ``Scale()``, ``LayerNorm()``,
        ``ParametricActivation("selu")`` and ``Residual(...)``, a block of several.
    activation : str or sequence of str
        One of identity, logistic, tanh, relu, leaky_relu (slope 0.01), elu, gelu (exact), silu, softplus, selu, mish,
        hard_sigmoid, hard_swish, hard_tanh, relu6, with PyTorch's definitions; or one name per hidden layer. (PyTorch's
        celu is elu, its alpha being 1.) One name is for those whose place no ``ParametricActivation`` takes.
    loss : str or Loss
        What is minimised, summed over the outputs and averaged over the rows: a loss of ``fastsgd.losses``, such as
        ``losses.Huber(2.0)``, or its name for the default parameter: cross_entropy, squared_error, huber and others,
        whose formulas ``help(fastsgd.losses)`` has. It fixes the output layer's activation and what targets there are.
    output : str, optional
        With squared_error also "logistic" or "tanh": the classic digit network with the quadratic cost; with quantile
        also "sorted": predictions that do not cross.
    dtype : "float32" or "float64"
    seed : int or None
        Seed of the initial weights; None draws one from the operating system.
    init : str
        "he" (normal, variance 2 / inputs; He 2015), "glorot" (uniform, +-sqrt(6 / (inputs + outputs));
        Glorot and Bengio 2010), "lecun" (normal, variance 1 / inputs; Klambauer 2017), all three with zero biases;
        "ntk" (the parametrisation of the neural tangent kernel, Jacot 2018: a dense layer is x V / sqrt(inputs) + b,
        V from the unit normal, b zero, and optimizers change V: their rate, penalties, limits and memory are V's;
        ``weights`` and files hold W = V / sqrt(inputs), and so are gradients those of W);
        "normal" (weights and biases from the unit normal,
        as in Nielsen's digit network); "scikit-learn" (weights and biases uniform within glorot's limits, with
        logistic hidden layers within +-sqrt(2 / (inputs + outputs)), as MLPClassifier does); "auto" takes he for
        relu-like layers, lecun for selu and glorot for the others.
    members : int
        As many networks side by side, which train independently in one call, several at a time. ``predict`` gives the
        mean of their predictions; ``member(i)`` is one of them. Each is bit for bit what its network alone would be:
        the i-th begins with the seed ``seed + i``, or with the i-th of a sequence of seeds. An optimizer may have one
        learning rate for each.
    sharing : "none", "batch" or "mini"
        What members have in common. With "batch" all weights of hidden layers: each member has a vector of factors for
        the inputs and one for the outputs of each, its own biases, and its own output layer (TabM, Gorishniy et al.
        2024, arXiv 2410.24210). With "mini" a member has but factors of the first layer's inputs and its output layer.
        The cost is the mean of theirs.
    huber_delta, quantile, epsilon : deprecated
        Parameters of a loss: give ``loss=losses.Huber(2.0)``, ``losses.Quantile([0.1, 0.9])``,
        ``losses.EpsilonInsensitive(0.5)``.
    input_scale, input_offset : float or sequence of float
        The first layer receives ``X * input_scale + input_offset``; one number for all columns, or one each. They are
        part of the network and of its file.
    output_scale, output_offset : float or sequence of float
        The unit of targets that are quantities: predictions are what the last layer computes, times output_scale plus
        output_offset, and targets are compared as ``(y - output_offset) / output_scale``; one number for all targets,
        or one each. The spread and the mean of y make targets of unit size, which the usual learning rates and
        initial weights are meant for. ``cost`` and ``gradient`` are of the targets so scaled, as are a loss's delta
        and epsilon; ``predict`` and R^2 know nothing of it. They are part of the network and of its file.

    Attributes
    ----------
    params : ndarray (P,)
        Every parameter, in one flat array aligned to 64 bytes; changing it changes the network.
    weights, biases : tuples of ndarray
        Views of ``params``: ``weights[l]`` (inputs, outputs) and ``biases[l]`` (outputs,) of each dense layer.
    tensors : dict of str to ndarray
        Views of all of it by name, as in the model file: "weights.0", "biases.0", "scale.1", "gain.2" ...
    metadata : dict of str to str
        Travels with the model file; the command line keeps its table encoding here.

    Raises
    ------
    ValueError, TypeError
        Here and in every method for an argument that cannot be used, saying what was given and what is allowed.

    Notes
    -----
    X is an array (rows, columns) of finite real numbers, columns being the first of ``sizes``; uint8 rows are used as
    they are, a quarter of the memory (``input_scale=1/255`` makes bytes a unit). It may be a SciPy sparse matrix, which
    is never made dense.

    y is (rows, outputs) targets, half as many columns for gaussian_nll, or (rows,) where there is one. It is (rows,)
    class labels 0 .. outputs - 1 or (rows, outputs) probabilities for cross_entropy, labels for focal, and labels 0 ..
    outputs for ordinal. With binary_cross_entropy and the losses whose targets are -1 and 1, networks of several
    outputs take class labels (rows,) too: then each output is trained one-vs-rest, and a row is right where its largest
    output is that of its class.

    Threads: predict, cost, score, evaluate and gradient of one network may run at once; step and train must not
    run beside anything else on the same network.

    Examples
    --------
    >>> import fastsgd
    >>> net = fastsgd.Network([2, 8, 2], seed=0)
    >>> net
    Network([2, 8, 2], activation='relu', loss='cross_entropy', dtype='float32')
    >>> net.predict([[0.0, 1.0]]).shape
    (1, 2)
    """

    @keyword_only
    def __init__(self, sizes: Sequence[int | Layer | Residual], activation: str | Sequence[str] = "relu",
                 loss: str | Loss = "cross_entropy", *,
                 output: str | None = None, dtype: str = "float32", seed: int | Sequence[int] | None = None,
                 init: str = "auto",
                 huber_delta: float | None = None, quantile: float | Sequence[float] | None = None,
                 input_scale: float | Sequence[float] = 1.0, input_offset: float | Sequence[float] = 0.0,
                 epsilon: float | None = None, output_scale: float | Sequence[float] = 1.0,
                 output_offset: float | Sequence[float] = 0.0, members: int = 1, sharing: str = "none"):
        loss = _with_old_arguments(loss, huber_delta, quantile, epsilon)
        if init not in INITS:
            how = " (for realmlp, fastsgd.initialise_from_data after init='ntk')" if init == "realmlp" else ""
            raise ValueError(f"init must be one of {', '.join(INITS)}{how}, got {init!r}")
        architecture = Architecture.checked(sizes, activation, loss, output, input_scale, input_offset, output_scale,
                                            output_offset, members, sharing, init == "ntk")
        if dtype not in ("float32", "float64", np.float32, np.float64):
            raise ValueError(f"dtype must be float32 or float64, got {dtype!r}")
        generators = [generator(own) for own in _seeds(seed, architecture.networks)]
        self._hold(architecture, aligned_zeros((architecture.parameters,), dtype), {})
        for number, rng in enumerate(generators):
            (self if len(generators) == 1 else self.member(number))._initialise(rng, init)
        self._warn_of_offset()

    def _hold(self, architecture: Architecture, params: np.ndarray, metadata: dict[str, str]) -> None:
        self.architecture = architecture
        self._params = params
        self.tensors = {tensor.name: tensor.of(params) for tensor in architecture.tensors}
        self.weights, self.biases = (tuple(self.tensors[tensor.name] for tensor in architecture.tensors
                                           if tensor.role == role) for role in ("weight", "bias"))
        self.metadata = metadata
        self._stepping: tuple[Optimizer, State] | None = None
        self._few_rows = _few_rows_of(architecture, params)

    def _change(self, architecture: Architecture) -> None:
        self.architecture = architecture
        self._few_rows = _few_rows_of(architecture, self._params)

    def _warn_of_offset(self) -> None:
        """Predictions are rounded to the dtype after the offset is added."""
        scale, offset = np.broadcast_arrays(self.architecture.output_scale, self.architecture.output_offset)
        apart = abs(offset) * np.finfo(self.dtype).eps
        if (apart > 0.01 * scale).any():
            i = int(np.argmax(apart / scale))
            advice.warn(f"output_offset is {offset[i]:g}, where {self.dtype} numbers lie {apart[i]:.3g} apart, but "
                        f"output_scale only {scale[i]:g}: predictions cannot tell targets apart; use dtype='float64' "
                        "or a smaller offset")

    def _initialise(self, rng: np.random.Generator, init: str) -> None:
        layers = self.layers
        for tensor in self.architecture.tensors:
            if tensor.role not in ("weight", "bias"):
                name = tensor.name.split(".")[0]
                self.tensors[tensor.name][:] = layers[tensor.layer].initial(name, tensor.shape, rng)
        dense = [number for number, layer in enumerate(layers) if isinstance(layer, Dense)]
        for number, W, b in zip(dense, self.weights, self.biases, strict=True):
            inputs, outputs, function = layers[number].inputs, layers[number].outputs, layers[acting(layers, number)]
            name = function.function if isinstance(function, ParametricActivation) else function.activation
            rule = init
            if init == "auto":
                rule = "he" if name in RELU_LIKE else "lecun" if name == "selu" else "glorot"
            b[:] = 0
            if rule == "he":
                W[:] = rng.standard_normal(W.shape) * math.sqrt(2 / inputs)
            elif rule in ("lecun", "ntk"):
                W[:] = rng.standard_normal(W.shape) / math.sqrt(inputs)
            elif rule == "glorot":
                limit = math.sqrt(6 / (inputs + outputs))
                W[:] = rng.uniform(-limit, limit, W.shape)
            elif rule == "scikit-learn":
                limit = math.sqrt((2 if "logistic" in self.architecture.activations[:-1] else 6) / (inputs + outputs))
                W[:] = rng.uniform(-limit, limit, W.shape)
                b[:] = rng.uniform(-limit, limit, b.shape)
            else:
                b[:] = rng.standard_normal(b.shape)
                W[:] = rng.standard_normal(W.shape)

    # ---- what it is ----

    @property
    def params(self) -> np.ndarray:
        """Every parameter in one flat array, (P,). Assigning copies the values into it."""
        return self._params

    @params.setter
    def params(self, values) -> None:
        values = np.asarray(values)
        if values.shape != self._params.shape:
            raise ValueError(f"params must have shape {self._params.shape}, got {values.shape}")
        self._params[:] = values

    @property
    def layers(self) -> tuple[Layer, ...]:
        """What the network is made of, as data."""
        return self.architecture.layers

    @property
    def sizes(self) -> tuple[int, ...]:
        """The columns of the input, then the outputs of each layer."""
        return self.architecture.sizes

    @property
    def input_scale(self) -> float | np.ndarray:
        """What the rows are multiplied by before the first layer: a float, or one per column. May be assigned."""
        return _one_or_many(self.architecture.input_scale)

    @input_scale.setter
    def input_scale(self, scale: float | Sequence[float]) -> None:
        self._change(self.architecture.with_input(scale, self.architecture.input_offset))

    @property
    def input_offset(self) -> float | np.ndarray:
        """What is then added to them: a float, or one per column. May be assigned."""
        return _one_or_many(self.architecture.input_offset)

    @input_offset.setter
    def input_offset(self, offset: float | Sequence[float]) -> None:
        self._change(self.architecture.with_input(self.architecture.input_scale, offset))

    @property
    def output_scale(self) -> float | np.ndarray:
        """What the last layer's numbers are multiplied by: a float, or one per target. May be assigned."""
        return _one_or_many(self.architecture.output_scale)

    @output_scale.setter
    def output_scale(self, scale: float | Sequence[float]) -> None:
        self._change(self.architecture.with_output(scale, self.architecture.output_offset))

    @property
    def output_offset(self) -> float | np.ndarray:
        """What is then added to them: a float, or one per target. May be assigned."""
        return _one_or_many(self.architecture.output_offset)

    @output_offset.setter
    def output_offset(self, offset: float | Sequence[float]) -> None:
        self._change(self.architecture.with_output(self.architecture.output_scale, offset))
        self._warn_of_offset()

    @property
    def loss(self) -> str:
        """The name of the loss."""
        return self.architecture.loss

    @property
    def loss_function(self) -> Loss:
        """The loss with its parameters.

        >>> Network([2, 1], loss="huber").loss_function
        Huber(delta=1.0)
        """
        return self.architecture.loss_function

    @property
    def dtype(self) -> np.dtype:
        """The dtype of the parameters."""
        return self.params.dtype

    @property
    def metric(self) -> str:
        """What ``score`` measures: "accuracy" for a classifier, "r2" otherwise."""
        return self.architecture.loss_type.targets.metric

    def __repr__(self) -> str:
        hidden = [layer.activation for layer in self.layers[:-1] if layer.has_units]
        sizes = [self.sizes[0], *in_blocks(self.layers)]
        own = self.architecture
        members = f", members={own.members}" * (own.members > 1)
        members += f", sharing={own.sharing!r}" * (own.sharing != "none")
        same = set(hidden) if hidden else {"relu"}
        activation = same.pop() if len(same) == 1 else list(hidden)
        output = self.architecture.activations[-1]
        shown = f", output={output!r}" if output != self.architecture.loss_type.outputs[0] else ""
        ntk = ", init='ntk'" if own.ntk else ""
        return (f"Network({sizes}, activation={activation!r}, loss={self.loss!r}{shown}{members}, "
                f"dtype={str(self.dtype)!r}{ntk})")

    def member(self, number: int) -> Network:
        """One of the members, a network by itself whose ``params`` are its part of these: changing it changes them.

        >>> net = Network([2, 3], members=4, seed=0)
        >>> net.params.shape, net.weights[0].shape, net.member(3).weights[0].shape
        ((36,), (4, 2, 3), (2, 3))
        """
        members = self.architecture.members
        if isinstance(number, bool) or not isinstance(number, Integral) or not 0 <= number < members:
            raise IndexError(f"member must be a whole number from 0 to {members - 1}, got {number!r}")
        if members == 1:
            return self
        if self.architecture.sharing != "none":
            raise ValueError(f"members with sharing={self.architecture.sharing!r} are no networks by themselves")
        one = Network.__new__(Network)
        one._hold(self.architecture.member, self._params.reshape(members, -1)[int(number)], dict(self.metadata))
        return one

    def folded(self, kinds: Sequence[str] = FOLDED) -> Network:
        """The same function with fewer layers, to rounding, as exports have it.

        Scales and batch norms, whose running figures then are numbers like all others, are multiplied into the weights
        of a dense layer beside them: the one before if it has no activation, or else the one behind. Where none can be,
        it is the network itself. ``kinds`` are those wanted, of "scale" and "batch_norm".

        >>> import fastsgd
        >>> net = Network([2, fastsgd.layers.Scale(), 3], seed=0)
        >>> net.tensors["scale.0"][:] = [2.0, 0.0]
        >>> net.folded()
        Network([2, 3], activation='relu', loss='cross_entropy', dtype='float32')
        >>> bool(np.allclose(net.folded().predict([[1, 1]]), net.predict([[1, 1]])))
        True
        """
        own = self.architecture
        one, kept = own.member if own.networks > 1 else own, []
        for params in self._params.reshape(own.networks, -1):
            layers, arrays = fold(own.layers, one.arrays(params), own.skips, kinds)
            kept += [array.ravel() for array in arrays]
        if len(layers) == len(own.layers):
            return self
        return Network._from_parts(replace(own, layers=tuple(layers)), np.concatenate(kept), dict(self.metadata))

    def copy(self) -> Network:
        """An independent copy."""
        return Network._from_parts(self.architecture, self.params, dict(self.metadata))

    @classmethod
    def _from_parts(cls, architecture: Architecture, params: np.ndarray, metadata: dict[str, str]) -> Network:
        net = cls.__new__(cls)
        own = aligned_zeros(params.shape, params.dtype)
        own[:] = params
        net._hold(architecture, own, metadata)
        return net

    def __getstate__(self):
        return self.architecture, np.array(self._params), dict(self.metadata)

    def __setstate__(self, state):
        self.__dict__.update(Network._from_parts(*state).__dict__)

    # ---- what it does ----

    def predict(self, X: RowsLike, out: np.ndarray | None = None, threads: int | None = None) -> np.ndarray:
        """The output layer's activations, (rows, outputs): probabilities for a classifier, in the unit of the targets.

        They are written into ``out`` where it is given: a contiguous array of that shape and of the network's dtype.
        A few rows of a contiguous array of the network's dtype take about a microsecond.

        >>> Network([3, 4, 2], seed=1).predict([[0, 0, 0]])
        array([[0.5, 0.5]], dtype=float32)
        """
        if threads is None and (few := self._few_rows(X, out)) is not None:
            return few
        X = checked.check_rows(self, X)
        shape = len(X), self.sizes[-1]
        if out is None:
            out = np.empty(shape, dtype=self.dtype)
        elif not isinstance(out, np.ndarray) or out.shape != shape or out.dtype != self.dtype or \
                not out.flags.carray:
            raise ValueError(f"out must be a contiguous, writeable array of shape {shape} and dtype {self.dtype}, got "
                             + (f"{out.shape} and {out.dtype}" if isinstance(out, np.ndarray) else repr(out)))
        elif isinstance(X, np.ndarray) and np.may_share_memory(X, out):
            X = X.copy()
        ensemble.predict(self.architecture, self.params, X, out, threads=checked.threads_for(self, threads, len(X)))
        return out

    def predict_members(self, X: RowsLike, threads: int | None = None) -> np.ndarray:
        """What each member predicts, (members, rows, outputs); ``predict`` is their mean.

        >>> net = Network([3, 8, 2], members=4, sharing="batch", seed=1)
        >>> net.predict_members([[1, 2, 3]]).shape
        (4, 1, 2)
        """
        X = checked.check_rows(self, X)
        out = np.empty((len(X), self.architecture.members, self.sizes[-1]), dtype=self.dtype)
        ensemble.predict_members(self.architecture, self.params, X, out, checked.threads_for(self, threads, len(X)))
        return np.moveaxis(out, 1, 0)

    def compile_predictor(self, rows: int = 1, *, input_dtype=None, threads: int = 1) -> _kernel.Predictor:
        """``predict`` for so many rows at a time, with everything that can be done before the first call done.

        Parameters
        ----------
        rows : int
            Of every X it will be called with.
        input_dtype : "uint8", optional
            Of X; the network's own by default.
        threads : int
            Within a call; one is best where calls come from many threads.

        Returns
        -------
        Predictor
            A callable ``predictor(X, out=None)`` that returns what ``predict`` does, for contiguous X (rows, columns)
            of exactly that shape and dtype; ValueError refuses others, NaN and infinity. It may be called from any
            number of threads at once; each call has buffers of its own. It reads the parameters where they lie, so
            training changes its answers; input_scale, input_offset, output_scale and output_offset are those of now.

        Raises
        ------
        ValueError
            For a network with members: ``net.member(i).compile_predictor()`` is of one of them.

        Examples
        --------
        >>> net = Network([3, 4, 2], seed=1)
        >>> predictor = net.compile_predictor()
        >>> predictor
        <predictor of (1, 3) float32 rows, 2 outputs, 1 thread>
        >>> predictor(np.zeros((1, 3), np.float32))
        array([[0.5, 0.5]], dtype=float32)
        """
        rows, threads = check_whole("rows", rows, least=1), check_whole("threads", threads, least=1)
        most = sys.maxsize // (8 * max(self.sizes))
        if rows > most:
            raise ValueError(f"rows must be at most {most:,} for this network, got {rows:,}")
        self.architecture.require_one("a predictor")
        dtype = self.dtype if input_dtype is None else np.dtype(input_dtype)
        if dtype not in (self.dtype, np.uint8):
            raise ValueError(f"input_dtype must be {self.dtype} or uint8, got {dtype}")
        return _kernel.Predictor(self.architecture, self.params, int(rows), dtype, min(int(threads), cores()))

    @keyword_only
    def cost(self, X: RowsLike, y: ArrayLike, *, threads: int | None = None,
             sample_weight: ArrayLike | None = None) -> float:
        """The mean cost over the rows, a float; where ``sample_weight`` (rows,) is given, each counts by its weight.

        >>> net = Network([2, 3], seed=0)
        >>> round(net.cost([[0, 0]], [2]), 4)              # three equal probabilities: log 3
        1.0986
        """
        return self.evaluate(X, y, threads=threads, sample_weight=sample_weight)[0]

    @keyword_only
    def score(self, X: RowsLike, y: ArrayLike, *, threads: int | None = None,
              sample_weight: ArrayLike | None = None) -> float:
        """Accuracy for a classifier, else R^2 over all outputs; NaN for R^2 of targets that do not vary.

        R^2 = 1 - sum (t - a)^2 / sum (t - mean t)^2. Accuracy counts rows where y has class labels, or probabilities
        of classes, else single outputs.

        >>> Network([2, 3], seed=0).score([[0, 0], [0, 0]], [0, 2])       # of equal outputs the first counts
        0.5
        """
        return self.evaluate(X, y, threads=threads, sample_weight=sample_weight)[1]

    @keyword_only
    def evaluate(self, X: RowsLike, y: ArrayLike, *, threads: int | None = None,
                 sample_weight: ArrayLike | None = None) -> tuple[float, float]:
        """``(cost, score)`` in one pass over the rows.

        >>> Network([2, 3], seed=0).evaluate([[0, 0]], [0])[1]
        1.0
        """
        X, y = checked.check(self, X, y)
        weight = check_sample_weight(sample_weight, len(X))
        return checked.evaluate(self, X, y, threads, checked.metric_of(self, y, weight), weight)

    @keyword_only
    def gradient(self, X: RowsLike, y: ArrayLike, *, threads: int | None = None,
                 sample_weight: ArrayLike | None = None) -> np.ndarray:
        """The gradient of the mean cost over the rows given, (P,), laid out like ``params``.

        A cost that is not finite raises FloatingPointError.

        >>> net = Network([2, 2], seed=0)
        >>> net.gradient([[1, 0]], [0]).tolist()[2:4]      # a column of zeros moves no weight
        [0.0, 0.0]
        """
        X, y = checked.check(self, X, y)
        out = np.empty_like(self.params)
        cost = checked.gradient(self, X, y, threads, check_sample_weight(sample_weight, len(X), dtype=self.dtype), out)
        if not math.isfinite(cost):
            raise FloatingPointError(f"the cost of these rows is {cost}, so there is no gradient; the parameters or "
                                     "the inputs are too large")
        return out

    @keyword_only
    def step(self, X: RowsLike, y: ArrayLike, optimizer: Optimizer, *, threads: int | None = None) -> float:
        """One fused mini-batch step on these rows, in place; returns the cost before it.

        Momentum and the like carry over from step to step as long as the optimizer is an equal one;
        another starts afresh. (An average of the parameters is for ``fastsgd.train``.) A cost that is not finite
        raises FloatingPointError and changes nothing; a step that itself overflows shows in the next one's cost.

        >>> import fastsgd
        >>> net = Network([2, 3, 2], seed=0)
        >>> before = net.step([[0, 1], [1, 0]], [0, 1], fastsgd.SGD(0.5))
        >>> net.cost([[0, 1], [1, 0]], [0, 1]) < before
        True
        """
        X, y = checked.check(self, X, y)
        check_optimizer(optimizer)
        check_fits(optimizer, self.architecture)
        if self._stepping is None or self._stepping[0] != optimizer:
            self._stepping = optimizer, optimizer.state(self.params)
        return checked.step(self, X, y, optimizer, self._stepping[1], threads)

    # ---- files ----

    def save(self, path) -> None:
        """Writes the network as a safetensors file: complete or not at all.

        The format is described in ``fastsgd.network.model_file``. OSError names the path where it cannot be written.

        >>> import os, tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), "net.safetensors")
        >>> Network([2, 3], seed=0).save(path)
        >>> Network.load(path)
        Network([2, 3], activation='relu', loss='cross_entropy', dtype='float32')
        """
        model_file.save(path, self.architecture, self.params, self.metadata)

    @classmethod
    def load(cls, path) -> Network:
        """Reads a network written by :meth:`save`; ValueError says what is wrong with any other file.

        Nothing in the file is executed.
        """
        return cls._from_parts(*model_file.load(path))


def _few_rows_of(architecture: Architecture, params: np.ndarray) -> Callable[[Any, Any], Any]:
    """A quick way to predict a few rows; it returns None for others."""
    if architecture.sharing != "none":
        return lambda X, out: None
    if architecture.members == 1:
        return _kernel.FewRows(architecture, params)
    return _kernel.FewRowsOfMembers(architecture, params)


def _seeds(seed: Any, members: int) -> list[Any]:
    """That of each member."""
    if isinstance(seed, Sequence | np.ndarray):
        if len(seed) != members:
            raise ValueError(f"seed must be one or {members}, one per member, got {len(seed)}")
        return list(seed)
    if members == 1 or seed is None:
        return [seed] * members
    return [check_whole("seed", seed, least=0) + number for number in range(members)]


def _with_old_arguments(loss: str | Loss, huber_delta, quantile, epsilon) -> str | Loss:
    """The loss with the parameter that was given as one of the deprecated arguments."""
    for old, parameter, value in (("huber_delta", "delta", huber_delta), ("quantile", "quantile", quantile),
                                  ("epsilon", "epsilon", epsilon)):
        if value is None:
            continue
        known = as_loss(loss)
        if known.parameter() != parameter:
            warn_of(f"Network: {old}=", f"no such argument with the loss {known.name}")
        elif known is loss:
            raise ValueError(f"{old} is deprecated and does not go with loss={loss!r}, which has its own {parameter}")
        else:
            warn_of(f"Network: {old}=", f"loss=fastsgd.losses.{type(known).__name__}({value!r})")
            loss = with_parameters(known.name, **{parameter: value})
    return loss


def _one_or_many(values: tuple[float, ...]) -> float | np.ndarray:
    return values[0] if len(values) == 1 else np.array(values)
