"""Estimators that fit on Dask collections, with the conventions of xgboost.dask and lightgbm.dask."""
from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

import fastsgd.estimators as local
from fastsgd.arguments import check_whole
from fastsgd.distributed.agreement import Agreement, agree
from fastsgd.distributed.cluster import Cluster
from fastsgd.distributed.history import RoundHistory
from fastsgd.distributed.local_sgd import MEMORIES, Recipe
from fastsgd.distributed.outer import check_outer
from fastsgd.distributed.rows import read
from fastsgd.distributed.sources import Sources, is_array, is_collection, is_frame, sources_of
from fastsgd.distributed.tasks import naming
from fastsgd.distributed.train import run_rounds
from fastsgd.estimators.base import SEEDS, weights_for_classes
from fastsgd.estimators.documented import DocumentedEstimator
from fastsgd.losses import LOSSES
from fastsgd.network.network import Network
from fastsgd.runs.callback import Callback
from fastsgd.runs.callbacks import EarlyStopping, Progress
from fastsgd.runs.settings import Settings

DEFAULT_BATCH = 10


class DistributedEstimator(DocumentedEstimator):
    """What the estimators share: a fit by rounds on a cluster, whose result is an estimator of :mod:`fastsgd`."""

    _local: ClassVar[type]
    _own: ClassVar[tuple[str, ...]] = ("local_epochs", "local_steps", "partitions", "outer", "memory", "standardize",
                                       "persist", "timeout")

    @property
    def client(self) -> Any:
        """The client that fits, None for the one made last in this process; not a parameter, so clones have none."""
        return self.__dict__.get("_client")

    @client.setter
    def client(self, client: Any) -> None:
        self.__dict__["_client"] = client

    def __getstate__(self):
        return {name: value for name, value in super().__getstate__().items() if name != "_client"}

    def fit(self, X, y, sample_weight=None):
        """Trains on a collection.

        Parameters
        ----------
        X : dask array (rows, columns) or dask.dataframe
        y : dask array or series (rows,) or, of a regressor, (rows, targets)
        sample_weight : dask array or series (rows,), optional

        Returns
        -------
        self
        """
        model = self._local(**{name: value for name, value in self.get_params(deep=False).items()
                               if name not in self._own})
        model._validate_params()
        momentum = check_outer(self.outer)
        steps = None if self.local_steps is None else check_whole("local_steps", self.local_steps, least=1)
        if self.memory not in MEMORIES:
            raise ValueError(f"memory must be one of {', '.join(map(repr, MEMORIES))}, got {self.memory!r}")
        cluster = Cluster(self.client, self.timeout)
        sources = sources_of((X, y) if sample_weight is None else (X, y, sample_weight))
        agreed = agree(cluster, sources, isinstance(self, ClassifierMixin))
        random = check_random_state(self.random_state)
        net, split = self._begin(model, agreed, sources, random.randint(SEEDS))
        scales = self._standardise(net, agreed)
        stopping = EarlyStopping(model.n_iter_no_change, monitor="cost", min_delta=model.tol or 0.0, restore_best=False)
        callbacks: list[Callback] = [*([] if model.tol is None or model.tol == -np.inf else [stopping]),
                                     *(self.callbacks or ()), *([Progress()] if self.progress else [])]
        settings = Settings(net, optimizer=model._optimizer_of(*self._of_optimizer(agreed)), epochs=model.max_iter,
                            threads=None, callbacks=callbacks, dropout=getattr(model, "dropout", 0.0),
                            label_smoothing=getattr(model, "label_smoothing", 0.0))
        batch = min(200, agreed.rows) if self.batch_size == "auto" else self.batch_size
        recipe = Recipe(net.architecture, settings.optimizer, batch, int(random.randint(SEEDS)), settings.dropout,
                        settings.label_smoothing, self.memory, equal=self.outer == "mean",
                        **self._of_recipe(model, agreed))
        self.history_: RoundHistory = run_rounds(
            settings, recipe, replace(sources, split=split), cluster,
            rows=(self.partitions, check_whole("local_epochs", self.local_epochs, least=1), steps), outer=momentum,
            held_out=None, persist=self.persist, saved=None, path=None, seed=recipe.seed)
        self._finish(model, net, agreed, sources, scales)
        return self

    def to_local(self):
        """The fitted estimator of :mod:`fastsgd`, which needs neither Dask nor a client.

        Features were standardised, and a regressor's targets, by what is now part of its weights.
        """
        check_is_fitted(self, "local_")
        return copy.deepcopy(self.local_)

    def predict(self, X):
        """Predictions, lazily and partition by partition where X is a collection; else at once."""
        return self._lazily("predict", X)

    def score(self, X, y, sample_weight=None) -> float:
        """Accuracy of a classifier, R^2 of a regressor, over all partitions."""
        check_is_fitted(self, "local_")
        if not is_collection(X):
            return self.local_.score(X, y, sample_weight)
        cluster = Cluster(self.client, self.timeout)
        sources = sources_of((X, y) if sample_weight is None else (X, y, sample_weight))
        parts = cluster.results(read(cluster, sources, _Judge(sources.split, self.local_), "X"), "score")
        return _score_of([part for part in parts if part is not None], isinstance(self, ClassifierMixin))

    # ---- its parts ----

    def _begin(self, model: Any, agreed: Agreement, sources: Sources, seed: int) -> tuple[Network, _Encoded]:
        """The network before its first step, and what makes rows of chunks."""
        raise NotImplementedError

    def _of_optimizer(self, agreed: Agreement) -> tuple:
        return ()

    def _of_recipe(self, model: Any, agreed: Agreement) -> dict:
        return {}

    def _standardise(self, net: Network, agreed: Agreement) -> bool:
        """Has the network standardise its inputs, and where they have a unit its targets."""
        if not self.standardize:
            return False
        scale = 1 / agreed.features.deviation
        net.input_scale = scale.tolist()
        net.input_offset = 0.0 if agreed.sparse else (-agreed.features.mean * scale).tolist()
        if agreed.targets is not None and net.architecture.loss_type.targets.has_unit:
            each = net.sizes[-1] // len(agreed.targets.mean)
            net.output_scale = np.repeat(agreed.targets.deviation, each).tolist()
            net.output_offset = np.repeat(agreed.targets.mean, each).tolist()
        return True

    def _finish(self, model: Any, net: Network, agreed: Agreement, sources: Sources, scales: bool) -> None:
        """The fitted attributes."""
        if scales:
            net = _with_scales_in_weights(net)
        model._hold(net)
        model.n_features_in_ = agreed.columns
        if sources.columns:
            model.feature_names_in_ = np.array(sources.columns, dtype=object)
        self.local_, self.n_iter_, self.n_features_in_ = model, self.history_.rounds, agreed.columns
        model.n_iter_, model.t_ = self.history_.rounds, self.history_.steps
        for name in ("classes_", "coefs_", "intercepts_", "coef_", "intercept_", "loss_", "loss_curve_",
                     "feature_names_in_"):
            if hasattr(model, name):
                setattr(self, name, getattr(model, name))

    def _lazily(self, method: str, X):
        check_is_fitted(self, "local_")
        call = _Call(self.local_, method)
        if is_frame(X):
            import pandas as pd
            empty = call(X._meta_nonempty)
            meta = pd.Series(empty, dtype=empty.dtype) if empty.ndim == 1 else pd.DataFrame(empty)
            return X.map_partitions(call.of_frame, meta=meta)
        if not is_array(X):
            return call(X)
        if X.numblocks[1] > 1:
            X = X.rechunk({1: -1})
        example = call(np.zeros((1, X.shape[1]), X.dtype))
        shape: dict = {"drop_axis": 1} if example.ndim == 1 else {"chunks": (X.chunks[0], (example.shape[1],))}
        return X.map_blocks(call, dtype=example.dtype, meta=example[:0], **shape)


@dataclass(frozen=True)
class _Call:
    """A method of a fitted estimator, on a block."""

    model: Any
    method: str

    def __call__(self, block):
        if len(block) == 0:
            return getattr(self.model, self.method)(np.zeros((1, self.model.n_features_in_), self._dtype))[:0]
        return getattr(self.model, self.method)(block)

    def of_frame(self, frame):
        """The same with the frame's index."""
        import pandas as pd
        found = self(frame)
        return (pd.Series if found.ndim == 1 else pd.DataFrame)(found, index=frame.index)

    @property
    def __name__(self):
        """That of the tasks on Dask's dashboard."""
        return f"fastsgd-{self.method}"

    @property
    def _dtype(self):
        return self.model.network_.dtype


@dataclass(frozen=True)
class _Encoded:
    """From a chunk's objects to X, y as the estimator's network takes it, and what each row counts."""

    split: Any
    model: Any
    dtype: str
    class_weight: np.ndarray | None = None

    def __call__(self, given):
        X, y, weight = self.split(given)
        y = np.asarray(y)
        y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
        if X.shape[0] == 0:
            return X, y, weight
        X = X.astype(self.dtype) if X.dtype != self.dtype else X
        if self.class_weight is not None:
            own = self.class_weight[np.searchsorted(self.model.classes_, y)]
            weight = own if weight is None else own * np.asarray(weight, dtype=float)
        return X, self.model._encode(y, np.dtype(self.dtype)), weight


@dataclass(frozen=True)
class _Judge:
    """What a chunk adds to a score."""

    split: Any
    model: Any

    def __call__(self, label: str, given):
        with naming(label):
            X, y, weight = self.split(given)
            if not X.shape[0]:
                return None
            y, found = np.asarray(y), self.model.predict(X)
            weight = np.ones(len(y)) if weight is None else np.asarray(weight, dtype=float)
            if hasattr(self.model, "classes_"):
                return float(weight.sum()), float(weight @ (found == y.reshape(found.shape)))
            y, found = y.reshape(len(y), -1).astype(float), found.reshape(len(y), -1)
            return float(weight.sum()), weight @ y, weight @ y ** 2, weight @ (y - found) ** 2


def _score_of(parts: list[tuple], classifies: bool) -> float:
    total, *sums = (sum(each) for each in zip(*parts, strict=True))
    if classifies:
        return sums[0] / total
    mean, squares, residual = sums
    return float(np.mean(1 - residual / (squares - mean ** 2 / total)))


def _with_scales_in_weights(net: Network) -> Network:
    """The same function with inputs and outputs as they are, to rounding."""
    own = Network._from_parts(replace(net.architecture, input_scale=(1.0,), input_offset=(0.0,), output_scale=(1.0,),
                                      output_offset=(0.0,)), net.params, dict(net.metadata))
    scale, offset = np.broadcast_to(net.input_scale, net.sizes[0]), np.broadcast_to(net.input_offset, net.sizes[0])
    first = net.weights[0].astype(float)
    own.biases[0][:] = net.biases[0] + offset @ first
    own.weights[0][:] = scale[:, np.newaxis] * first
    if net.architecture.scales_output:
        own.weights[-1][:] = own.weights[-1] * np.asarray(net.output_scale)
        own.biases[-1][:] = own.biases[-1] * np.asarray(net.output_scale) + net.output_offset
    return own


class _Classifier(ClassifierMixin, DistributedEstimator):
    """What the classifiers share."""

    def predict_proba(self, X):
        """Probabilities (rows, classes) in the order of ``classes_``, lazily as ``predict``."""
        return self._lazily("predict_proba", X)

    def _classes(self, model: Any, agreed: Agreement) -> tuple[np.ndarray, np.ndarray | None]:
        """The classes in order, and their weights in training."""
        labels = sorted(agreed.classes)
        if len(labels) < 2:
            raise ValueError(f"y has one class, {labels[0]!r}, in all partitions; a classifier needs two")
        classes = np.array(labels)
        if model.class_weight is None:
            return classes, None
        sums = np.array([agreed.classes[label] for label in labels])
        return classes, weights_for_classes(model.class_weight, classes, np.arange(len(classes)), sums)


class MLPClassifier(_Classifier):
    """:class:`fastsgd.MLPClassifier` fitted on a Dask cluster, by local SGD over the partitions of a collection.

    Parameters
    ----------
    hidden_layer_sizes, activation, solver, alpha, batch_size, learning_rate_init, random_state, tol, momentum, \
nesterovs_momentum, beta_1, beta_2, epsilon, n_iter_no_change, optimizer, dropout, class_weight, label_smoothing, \
callbacks, progress
        As for :class:`fastsgd.MLPClassifier`; solver is "adam" or "sgd", and tol looks at the cost of whole rounds.
    max_iter : int
        Rounds at most.
    local_epochs, local_steps, partitions, outer, memory, persist, timeout
        As in :func:`fastsgd.distributed.train`.
    standardize : bool
        Whether features are brought to mean 0 and deviation 1 by what all partitions agree on. The scales become part
        of the first layer's weights, so ``predict`` takes features as they are. Sparse ones are not centred.

    Attributes
    ----------
    local_ : fastsgd.MLPClassifier
        The fitted estimator.
    history_ : RoundHistory
    classes_, coefs_, intercepts_, loss_, loss_curve_, n_iter_, n_features_in_, feature_names_in_
        Those of ``local_``.

    Examples
    --------
    >>> import dask.array as da, fastsgd.distributed
    >>> from dask.distributed import Client
    >>> X = da.random.random((100_000, 20), chunks=(25_000, 20)); y = (X[:, 0] > X[:, 1]).astype(int)
    >>> with Client(n_workers=2) as client:                                     # doctest: +SKIP
    ...     model = fastsgd.distributed.MLPClassifier(max_iter=5, random_state=0).fit(X, y)
    ...     model.predict(X).compute().mean()
    """

    _local = local.MLPClassifier

    def __init__(self, hidden_layer_sizes=(100,), activation="relu", *, solver="adam", alpha=0.0001, batch_size="auto",
                 learning_rate_init=0.001, max_iter=50, random_state=None, tol=1e-4, momentum=0.9,
                 nesterovs_momentum=True, beta_1=0.9, beta_2=0.999, epsilon=1e-8, n_iter_no_change=10, optimizer=None,
                 dropout=0.0, class_weight=None, label_smoothing=0.0, callbacks=None, progress=False, local_epochs=1,
                 local_steps=None, partitions=None, outer="weighted", memory="average", standardize=True, persist=None,
                 timeout=3600.0):
        self._keep(locals())

    def _begin(self, model, agreed, sources, seed):
        return _begin_mlp(model, agreed, sources, seed, *self._classes(model, agreed))

    def _finish(self, model, net, agreed, sources, scales):
        _finish_mlp(model, self.history_)
        super()._finish(model, net, agreed, sources, scales)


class MLPRegressor(RegressorMixin, DistributedEstimator):
    """:class:`fastsgd.MLPRegressor` fitted on a Dask cluster, by local SGD over the partitions of a collection.

    Parameters
    ----------
    loss, quantile, huber_delta, tweedie_power
        As for :class:`fastsgd.MLPRegressor`.
    standardize : bool
        Whether features, and targets where the loss is of their unit, are brought to mean 0 and deviation 1 by what
        all partitions agree on; the scales become part of the weights.
    hidden_layer_sizes, activation, solver, alpha, batch_size, learning_rate_init, max_iter, random_state, tol, \
momentum, nesterovs_momentum, beta_1, beta_2, epsilon, n_iter_no_change, optimizer, dropout, callbacks, progress, \
local_epochs, local_steps, partitions, outer, memory, persist, timeout
        As for :class:`fastsgd.distributed.MLPClassifier`.
    """

    _local = local.MLPRegressor

    def __init__(self, loss="squared_error", hidden_layer_sizes=(100,), activation="relu", *, solver="adam",
                 alpha=0.0001, batch_size="auto", learning_rate_init=0.001, max_iter=50, random_state=None, tol=1e-4,
                 momentum=0.9, nesterovs_momentum=True, beta_1=0.9, beta_2=0.999, epsilon=1e-8, n_iter_no_change=10,
                 optimizer=None, dropout=0.0, quantile=0.5, huber_delta=1.0, tweedie_power=1.5, callbacks=None,
                 progress=False, local_epochs=1, local_steps=None, partitions=None, outer="weighted", memory="average",
                 standardize=True, persist=None, timeout=3600.0):
        self._keep(locals())

    def _begin(self, model, agreed, sources, seed):
        return _begin_mlp(model, agreed, sources, seed, None, None)

    def _finish(self, model, net, agreed, sources, scales):
        _finish_mlp(model, self.history_)
        super()._finish(model, net, agreed, sources, scales)


def _begin_mlp(model: Any, agreed: Agreement, sources: Sources, seed: int, classes, class_weight):
    if model.solver == "lbfgs":
        raise ValueError("solver must be 'adam' or 'sgd' on a cluster, got 'lbfgs'")
    if classes is not None:
        model._label_binarizer = LabelBinarizer().fit(classes)
        model.classes_ = model._label_binarizer.classes_
        outputs = 1 if len(classes) == 2 else len(classes)
    else:
        assert agreed.targets is not None
        columns = len(agreed.targets.mean)
        example = model._encode(np.zeros((1, columns) if columns > 1 else 1), np.dtype(agreed.dtype))
        outputs = LOSSES[model.loss].outputs_for(example.shape[1])
    hidden = list(model.hidden_layer_sizes) if np.ndim(model.hidden_layer_sizes) else [model.hidden_layer_sizes]
    model.n_outputs_ = outputs
    net = model._new_network([agreed.columns, *hidden, outputs], agreed.dtype, seed)
    model.n_layers_, model.out_activation_ = len(net.sizes), net.architecture.activations[-1]
    return net, _Encoded(sources.split, model, agreed.dtype, class_weight)


def _finish_mlp(model: Any, history: RoundHistory) -> None:
    model.loss_curve_ = [model._shown_loss(cost) for cost in history.cost]
    model.loss_ = model.loss_curve_[-1]
    model.best_loss_ = min(model.loss_curve_)


class SGDClassifier(_Classifier):
    """:class:`fastsgd.SGDClassifier` fitted on a Dask cluster, by local SGD over the partitions of a collection.

    Parameters
    ----------
    loss, penalty, alpha, l1_ratio, fit_intercept, epsilon, random_state, learning_rate, eta0, power_t, tol, \
n_iter_no_change, class_weight, multi_class, optimizer, callbacks, progress
        As for :class:`fastsgd.SGDClassifier`; learning rates count the steps of a partition.
    max_iter : int
        Rounds at most.
    batch_size : int
        Rows per step.
    local_epochs, local_steps, partitions, outer, memory, standardize, persist, timeout
        As for :class:`fastsgd.distributed.MLPClassifier`.
    """

    _local = local.SGDClassifier

    def __init__(self, loss="hinge", *, penalty="l2", alpha=0.0001, l1_ratio=0.15, fit_intercept=True, max_iter=50,
                 tol=1e-3, epsilon=0.1, random_state=None, learning_rate="optimal", eta0=0.01, power_t=0.5,
                 n_iter_no_change=5, class_weight=None, batch_size=DEFAULT_BATCH, multi_class="ovr", optimizer=None,
                 callbacks=None, progress=False, local_epochs=1, local_steps=None, partitions=None, outer="weighted",
                 memory="average", standardize=True, persist=None, timeout=3600.0):
        self._keep(locals())

    def decision_function(self, X):
        """How far each row lies on a class's side, (rows, classes) or (rows,), lazily as ``predict``."""
        return self._lazily("decision_function", X)

    def _begin(self, model, agreed, sources, seed):
        classes, weights = self._classes(model, agreed)
        model._check_parameters()
        model.classes_ = classes
        several = len(classes) > 2
        if weights is not None and several and LOSSES[model._loss()].targets.metric != "accuracy":
            raise ValueError(f"class_weight with more than two classes is not supported for loss {model.loss!r}; use "
                             "sample_weight")
        self._positive = tuple(weights.tolist()) if weights is not None and several and \
            model._loss() != "cross_entropy" else ()
        net = model._new_network([agreed.columns, model._outputs_of()], agreed.dtype, 0)
        return net, _Encoded(sources.split, model, agreed.dtype, None if self._positive else weights)

    def _of_optimizer(self, agreed):
        return (agreed.sparse,)

    def _of_recipe(self, model, agreed):
        return {"weighted_steps": True, "positive_weight": self.__dict__.pop("_positive")}


class SGDRegressor(RegressorMixin, DistributedEstimator):
    """:class:`fastsgd.SGDRegressor` fitted on a Dask cluster, by local SGD over the partitions of a collection.

    Parameters
    ----------
    loss, penalty, alpha, l1_ratio, fit_intercept, epsilon, random_state, learning_rate, eta0, power_t, tol, \
n_iter_no_change, optimizer, callbacks, progress
        As for :class:`fastsgd.SGDRegressor`; learning rates count the steps of a partition.
    max_iter, batch_size, local_epochs, local_steps, partitions, outer, memory, persist, timeout
        As for :class:`fastsgd.distributed.SGDClassifier`.
    standardize : bool
        As for :class:`fastsgd.distributed.MLPRegressor`.
    """

    _local = local.SGDRegressor

    def __init__(self, loss="squared_error", *, penalty="l2", alpha=0.0001, l1_ratio=0.15, fit_intercept=True,
                 max_iter=50, tol=1e-3, epsilon=0.1, random_state=None, learning_rate="invscaling", eta0=0.01,
                 power_t=0.25, n_iter_no_change=5, batch_size=DEFAULT_BATCH, optimizer=None, callbacks=None,
                 progress=False, local_epochs=1, local_steps=None, partitions=None, outer="weighted", memory="average",
                 standardize=True, persist=None, timeout=3600.0):
        self._keep(locals())

    def _begin(self, model, agreed, sources, seed):
        model._check_parameters()
        net = model._new_network([agreed.columns, 1], agreed.dtype, 0)
        return net, _Encoded(sources.split, model, agreed.dtype)

    def _of_optimizer(self, agreed):
        return (agreed.sparse,)

    def _of_recipe(self, model, agreed):
        return {"weighted_steps": True}
