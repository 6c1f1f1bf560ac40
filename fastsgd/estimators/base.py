"""What the estimators share: the network behind the fitted attributes, and training by ``fastsgd.train``."""
from __future__ import annotations

import contextlib
import copy
import os
import threading
import warnings
from collections.abc import Sequence
from numbers import Integral
from typing import ClassVar

import numpy as np
from sklearn.base import BaseEstimator, is_classifier
from sklearn.utils import compute_class_weight
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from fastsgd.data.checks import check_sample_weight, weights_of_classes
from fastsgd.engine.machine import cores
from fastsgd.estimators.documented import DocumentedEstimator
from fastsgd.estimators.fit_data import FitData
from fastsgd.estimators.sklearn_callbacks import CallbackSupportMixin, Epochs
from fastsgd.estimators.stopping import Convergence, Validation
from fastsgd.network.network import Network
from fastsgd.optimizers import SGD, Optimizer, PassiveAggressive, State, check_state
from fastsgd.runs.callback import Callback
from fastsgd.runs.callbacks import Progress
from fastsgd.runs.history import History
from fastsgd.training import train

MAKING = threading.Lock()                    # a model just read may be asked by many threads at once
FLOATS = (np.float64, np.float32)            # dtypes of X that are kept
SEEDS = 2**31 - 1                            # drawn below this


def _renew_lock() -> None:
    global MAKING
    MAKING = threading.Lock()


if hasattr(os, "register_at_fork"):          # a thread that holds it at a fork does not exist in the child
    os.register_at_fork(after_in_child=_renew_lock)


def weights_for_classes(class_weight, classes: np.ndarray, labels: np.ndarray, sample_weight) -> np.ndarray:
    """The weight of each class from ``class_weight``, "balanced" by the sums of the rows' weights.

    ``labels`` number the classes.
    """
    weights = compute_class_weight(class_weight, classes=classes, y=classes[labels])
    if not isinstance(class_weight, str):
        check_sample_weight(weights, len(classes), "class_weight")
        return weights
    return weights_of_classes(class_weight, labels, len(classes), sample_weight)


def logarithms(probabilities: np.ndarray, from_logits: np.ndarray) -> np.ndarray:
    """Of probabilities: those of small ones as they follow from the logits, as they may be rounded to 0."""
    return np.log(probabilities, out=from_logits, where=probabilities > 0.5)


def validated(estimator: BaseEstimator, X, *y, **options):
    """scikit-learn's ``validate_data``; missing values and text are refused with the name of the estimator for them.

    So are dates and durations as quantities.
    """
    try:
        checked = validate_data(estimator, X, *y, **options)
    except ValueError as error:
        said, tabular = str(error), f"Tabular{'Classifier' if is_classifier(estimator) else 'Regressor'}"
        if said.startswith("Input X contains NaN"):
            raise ValueError(f"Input X contains NaN. {type(estimator).__name__} takes no missing values: {tabular} "
                             "does, or fill them, as sklearn.impute.SimpleImputer does in a pipeline") from None
        if said.startswith("could not convert string to float"):
            raise ValueError(f"X must hold numbers, but {said}. {tabular} takes tables with text, or encode it, as "
                             "sklearn.preprocessing.OneHotEncoder does in a pipeline") from None
        raise
    if y and options.get("y_numeric"):
        refuse_times(checked[1])
    return checked


def refuse_times(y: np.ndarray) -> None:
    """ValueError where a quantity is a date or a duration, whose unit nobody has said."""
    if y.dtype.kind in "mM":
        raise ValueError(f"y must hold numbers, got {y.dtype}; (y - y.min()) / np.timedelta64(1, 'D') are days"
                         if y.dtype.kind == "M" else
                         f"y must hold numbers, got {y.dtype}; y / np.timedelta64(1, 'D') are days")


def threads_of(n_jobs: int | None) -> int | None:
    """``n_jobs`` as ``fastsgd.train`` takes it: None leaves the choice to it, negatives count from all cores."""
    if n_jobs is None:
        return None
    if n_jobs == 0:
        raise ValueError("n_jobs == 0 has no meaning: give a number of threads, -1 for all cores, or None")
    return n_jobs if n_jobs > 0 else max(1, cores() + 1 + n_jobs)


class EngineEstimator(CallbackSupportMixin, DocumentedEstimator):
    """An estimator whose fitted attributes are views of a :class:`fastsgd.Network`'s arrays.

    Where a user puts other arrays into these attributes, a network is made of those. Pickles hold the attributes alone.
    """

    _parameter_constraints: ClassVar[dict] = {
        "scoring": [str, callable, None], "n_jobs": [Integral, None], "callbacks": [list, tuple, None],
        "progress": ["boolean"]}

    _network_parameters: ClassVar[frozenset[str]] = frozenset()      # those that say what network it is
    _fitted_attribute: ClassVar[str]
    _catches_interrupt: ClassVar[bool] = True            # Ctrl-C ends a fit as if it had converged
    optimizer: Optimizer | None

    def __setattr__(self, name, value):
        if name in self._network_parameters:                 # what is known of the network holds no longer
            self.__dict__.pop("_net", None)
        super().__setattr__(name, value)

    def __sklearn_is_fitted__(self) -> bool:
        return self.__dict__.get(self._fitted_attribute) is not None

    def set_params(self, **params):
        """Changes parameters, as in scikit-learn; ``optimizer__learning_rate`` and the like replace ``optimizer``."""
        prefix = "optimizer__"
        of_optimizer = {name[len(prefix):]: value for name, value in params.items() if name.startswith(prefix)}
        super().set_params(**{name: value for name, value in params.items() if not name.startswith(prefix)})
        if of_optimizer:
            if not isinstance(self.optimizer, Optimizer):
                raise ValueError(f"{prefix}{next(iter(of_optimizer))} needs an optimizer to change, such as "
                                 f"optimizer=fastsgd.SGD(0.1); it is {self.optimizer!r}")
            self.optimizer = self.optimizer.set_params(**of_optimizer)           # which is frozen, and may be shared
        return self

    # ---- the network ----

    def _new_network(self, sizes: Sequence[int], dtype, seed: int) -> Network:
        """A network for these parameters with initial weights."""
        raise NotImplementedError

    def _shown(self) -> list:
        """The fitted attributes that hold parameters, as they are now."""
        raise NotImplementedError

    def _as_arrays(self) -> tuple[list, list]:
        """Those as the weights (inputs, outputs) and the biases of layers."""
        raise NotImplementedError

    def _show(self, net: Network) -> None:
        """Makes the fitted attributes views of this network's arrays."""
        raise NotImplementedError

    def _hold(self, net: Network) -> None:
        """Shows a network, and remembers that it is the one of what the attributes hold now."""
        self._show(net)
        self._net_shown, self._net = self._shown(), net

    def _network(self) -> Network:
        """The network of the fitted attributes; made of them where a user has put other arrays there."""
        net = self._current()
        if net is None:
            with MAKING:
                net = self._current() or self._made_of_attributes()
        return net

    def _current(self) -> Network | None:
        net = self.__dict__.get("_net")
        if net is None or any(now is not then for now, then in zip(self._shown(), self._net_shown, strict=True)):
            return None
        return net

    def _made_of_attributes(self) -> Network:
        weights, biases = self._as_arrays()
        dtype = np.result_type(*weights, *biases)
        net = self._new_network([*(W.shape[0] for W in weights), weights[-1].shape[1]],
                                dtype if dtype in FLOATS else np.float64, 0)
        for own, array in zip((*net.weights, *net.biases), (*weights, *biases), strict=True):
            own[...] = array
        self._hold(net)
        return net

    @property
    def network_(self) -> Network:
        """The fitted network, for what a :class:`fastsgd.Network` does beyond an estimator: save, export, latency."""
        self._require_fitted()
        return self._network()

    def _for_network(self, X, y) -> tuple:
        """X and y, which holds the estimator's classes or targets, as its network takes them."""
        net = self.network_
        X, y = self._check_more(X, y)
        return X, self._encode(y, net.dtype)

    def _require_fitted(self) -> None:
        if "_net" not in self.__dict__:          # check_is_fitted takes longer than a prediction
            check_is_fitted(self)

    @contextlib.contextmanager
    def _showing(self, net: Network):
        """The fitted attributes are those of another network for a while: of an average, during a run."""
        own = self._net
        self._hold(net)
        try:
            yield
        finally:
            self._hold(own)

    def __getstate__(self):
        state = dict(super().__getstate__())
        for name in ("_net", "_net_shown", "_scoring"):
            state.pop(name, None)
        if isinstance(state.get("_state"), State):
            state["_state"] = dict(vars(state["_state"]))
        return state

    def __setstate__(self, state):
        if isinstance(state.get("_state"), dict):
            state = {**state, "_state": State(**state["_state"])}
        super().__setstate__(state)

    # ---- rows that are not trained on ----

    def _check_more(self, X, y) -> tuple:
        """X and y as arrays, where a fit has begun on others."""
        raise NotImplementedError

    def _encode(self, y, dtype) -> np.ndarray:
        """y as the network takes it."""
        raise NotImplementedError

    def _metrics(self, targets, trained) -> tuple:
        """Two functions of (y, outputs, sample_weight) for validation rows, or None for either.

        The first gives the score where it is not the engine's accuracy or R^2, the second one for each output. The
        validation rows have ``targets``, the rows that are trained on ``trained``.
        """
        return None, None

    def _validation(self, held_out: tuple, trained: np.ndarray) -> Validation | None:
        """Of X_val, y_val and sample_weight_val, where there are any, for a network trained on other targets."""
        X, y, sample_weight = held_out
        if X is None:
            if y is not None or sample_weight is not None:
                raise ValueError(f"{'sample_weight_val' if y is None else 'y_val'} needs X_val, the rows it is of")
            return None
        if y is None:
            raise ValueError("X_val needs y_val, the targets of its rows")
        X, y = self._check_more(X, y)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, X)
        targets = self._encode(y, X.dtype)
        return Validation(self, (X, targets, sample_weight), held_out, self.scoring,
                          *self._metrics(targets, trained))

    def _hold_out(self, rows: np.ndarray, data: FitData) -> Validation:
        """Of some rows of a fit."""
        held, given = data.held_out(rows)
        return Validation(self, held, given, self.scoring, *self._metrics(held[1], data.targets))

    # ---- training and predicting ----

    def _threads(self) -> int | None:
        return threads_of(self.n_jobs)

    def _remember(self, optimizer: Optimizer, net: Network, afresh: bool, steps: int = 0) -> None:
        """Sets ``_state``, the optimizer's memory, and ``_rate_factor``: to those of the call before, or to fresh ones.

        ``steps`` have been made where nothing is known of them: learning rates continue from there.
        """
        known = None if afresh else self.__dict__.get("_state")
        if known is not None:
            with contextlib.suppress(ValueError):        # where it is not of such an optimizer
                check_state(known, optimizer, net.params)
                arrays = [value for value in vars(known).values() if isinstance(value, np.ndarray)]
                if not all(array.flags.writeable for array in arrays):       # as joblib.load(mmap_mode="r") gives them
                    self._state = copy.deepcopy(known)
                return
        self._state = optimizer.state(net.params)
        if afresh or "_rate_factor" not in self.__dict__:
            self._rate_factor = 1.0
        if not afresh and isinstance(optimizer, SGD | PassiveAggressive):    # moments of others count their own steps
            self._state.steps = steps

    def _train(self, net: Network, data: FitData, convergence: Convergence, **arguments) -> History | None:
        """``fastsgd.train`` with this estimator's callbacks; None where Ctrl-C or a divergence ended it."""
        callbacks: list[Callback] = [convergence, *(self.callbacks or ())]
        if self.progress:
            callbacks.append(Progress())
        if getattr(self, "_skl_callbacks", None):
            callbacks.append(Epochs(self, data.X, data.y, data.sample_weight))
        validation = convergence.validation
        if validation is not None:
            arguments |= {"validation": validation.rows, "metrics": validation.metrics}
        self._hold(net)
        try:
            return train(net, data.X, data.targets, callbacks=callbacks, threads=self._threads(), **arguments)
        except KeyboardInterrupt:
            if not self._catches_interrupt:
                raise
            warnings.warn("Training interrupted by user.", stacklevel=7)
        except FloatingPointError as error:
            convergence.diverged(error)
        return None

    def _outputs(self, net: Network, X) -> np.ndarray:
        """What a network says of rows of any kind, (rows, outputs)."""
        if "feature_names_in_" not in self.__dict__ and (few := net._few_rows(X, None)) is not None:
            return few                           # of an array that is just what the network takes
        X = validated(self, X, accept_sparse=["csr", "csc"], reset=False)
        return net.predict(X, threads=self._threads())
