"""What SGDClassifier and SGDRegressor share: a network without hidden layers, its penalties, rates and fit."""
from __future__ import annotations

import warnings
from dataclasses import replace
from functools import partial
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from scipy.sparse import issparse
from sklearn.base import _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model._base import SparseCoefMixin
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight

from fastsgd import schedules
from fastsgd.engine import elementary
from fastsgd.estimators.base import FLOATS, SEEDS, EngineEstimator, validated
from fastsgd.estimators.diagnosis import divergence
from fastsgd.estimators.fit_data import FitData
from fastsgd.estimators.sgd_stopping import LinearConvergence
from fastsgd.estimators.sklearn_callbacks import with_callbacks
from fastsgd.losses import with_parameters
from fastsgd.network.derived import before_output
from fastsgd.network.network import Network
from fastsgd.optimizers import SGD, Optimizer, PassiveAggressive

DEFAULT_EPSILON = 0.1
MAX_DELTA = 1e12                    # scikit-learn's too: squared costs of rows that are not scaled would overflow
SPARSE_BIAS_RATE = 0.01              # scikit-learn's: every row meets the bias, but few meet a weight


class LinearSGD(SparseCoefMixin, EngineEstimator):
    """A linear model trained by mini-batch steps, of one row each by default."""

    _parameter_constraints: ClassVar[dict] = {
        **EngineEstimator._parameter_constraints,
        "penalty": [StrOptions({"l2", "l1", "elasticnet"}), None],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "l1_ratio": [Interval(Real, 0, 1, closed="both"), None],
        "fit_intercept": ["boolean"],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left"), None],
        "shuffle": ["boolean"],
        "verbose": ["verbose"],
        "epsilon": [Interval(Real, 0, None, closed="left")],
        "random_state": ["random_state"],
        "learning_rate": [StrOptions({"constant", "optimal", "invscaling", "adaptive", "pa1", "pa2"})],
        "eta0": [Interval(Real, 0, None, closed="neither")],
        "power_t": [Interval(Real, None, None, closed="neither")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "warm_start": ["boolean"],
        "average": [Interval(Integral, 0, None, closed="neither"), "boolean"],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "optimizer": [Optimizer, None],
    }
    loss_functions: ClassVar[dict[str, tuple]] = {}     # the network's loss, and epsilon's default where it has one
    _splitter: ClassVar[type]
    _first_attribute: ClassVar[str]      # that the first of several calls of partial_fit sets
    _network_parameters = frozenset({"loss", "epsilon", "multi_class"})
    _fitted_attribute = "coef_"
    _catches_interrupt = False           # as in scikit-learn, where multilayer perceptrons alone do

    # ---- the network ----

    def _loss(self) -> str:
        return self.loss_functions[self.loss][0]

    def _new_network(self, sizes, dtype, seed):
        loss = with_parameters(self._loss(), epsilon=self.epsilon, delta=max(self.epsilon, np.finfo(np.float32).tiny))
        net = Network(sizes, loss=loss, dtype=np.dtype(dtype).name, seed=seed)
        net.params = np.zeros_like(net.params)
        return net

    def _shown(self):
        return [self.coef_, self.intercept_]

    def _as_arrays(self):
        coef: Any = self.coef_
        coef = coef.toarray() if issparse(coef) else np.asarray(coef)
        return [np.atleast_2d(coef).T], [np.atleast_1d(self.intercept_)]

    def _show(self, net):
        if not issparse(self.__dict__.get("coef_")):          # as sparsify() has left it
            self.coef_, self.intercept_ = self._coefficients(net.weights[0]), net.biases[0]

    def _coefficients(self, weights: np.ndarray) -> np.ndarray:
        """A view of weights (columns, outputs) in the shape of ``coef_``."""
        return weights.T

    def _hold(self, net):
        self._scoring = net if net.architecture.activations[-1] == "identity" else before_output(net)
        super()._hold(net)

    def _scores(self, X) -> np.ndarray:
        """X W + b, (rows, outputs)."""
        self._network()
        return self._outputs(self._scoring, X)

    # ---- a fit ----

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, coef_init=None, intercept_init=None, sample_weight=None, *, X_val=None, y_val=None,
            sample_weight_val=None):
        """Trains on these rows.

        Parameters
        ----------
        X : array, data frame or CSR matrix (rows, columns)
        y : array (rows,)
            Targets, or class labels of any kind.
        coef_init : array of the shape of ``coef_``, optional
        intercept_init : array of the shape of ``intercept_``, optional
            Where to begin.
        sample_weight : array (rows,), optional
            How long a step each row makes, times ``class_weight`` of a classifier.
        X_val, y_val, sample_weight_val : as X, y and sample_weight, optional
            Rows to judge the model by after each epoch; early stopping then needs no split.

        Returns
        -------
        self
        """
        self._check_parameters()
        classes = self._classes_of(y)
        if self.warm_start and self.__sklearn_is_fitted__():
            coef_init = self.coef_ if coef_init is None else coef_init
            intercept_init = self.intercept_ if intercept_init is None else intercept_init
        for name in {self._first_attribute, "coef_"}:
            self.__dict__.pop(name, None)
        self.t_ = 1.0
        self._fit(X, y, classes=classes, coef_init=coef_init, intercept_init=intercept_init,
                  sample_weight=sample_weight, held_out=(X_val, y_val, sample_weight_val), max_iter=self.max_iter,
                  incremental=False)
        self._warn_of_power_t()
        return self

    def _fit(self, X, y, *, classes=None, coef_init=None, intercept_init=None, sample_weight=None,
             held_out=(None, None, None), max_iter=1, incremental=True):
        table = X
        X, y = self._validate_rows(X, y, reset=getattr(self, self._first_attribute, None) is None)
        self._check_classes(y, classes)
        sample_weight = self._check_weight(sample_weight, X)
        data = FitData(X, y, self._encode(y, X.dtype), sample_weight, table)
        return self._train_linear(data, coef_init, intercept_init, held_out, max_iter, incremental)

    @with_callbacks
    def _train_linear(self, data: FitData, coef_init, intercept_init, held_out, max_iter, incremental):
        if not incremental or not hasattr(self, "_random_state"):
            self._random_state = check_random_state(self.random_state)
        rows = len(data)
        validation = self._validation(held_out, data.targets)
        net = self._network_for(data, coef_init, intercept_init)
        given_weight, more = self._weights_of(data)
        weight = None if (given_weight == 1).all() else given_weight
        if self.early_stopping and validation is None:
            trained, others = self._split(data)
            validation, data = self._hold_out(others, data), data.take(trained)
            weight = None if weight is None else weight[trained]
        optimizer = self._optimizer_of(issparse(data.X))
        self._remember_steps(optimizer, net, incremental)
        if not incremental:
            self.__dict__.pop("validation_scores_", None)
        if validation is not None and not hasattr(self, "validation_scores_"):
            self.validation_scores_: list = []
        before = net.params.copy()
        convergence = LinearConvergence(self, validation, optimizer, net.sizes[-1], net.loss != "cross_entropy")
        self._state.output_costs = np.zeros(net.sizes[-1])
        self._train(net, data, convergence, optimizer=optimizer, state=self._state, batch_size=self.batch_size,
                    epochs=max_iter, shuffle=self.shuffle, seed=self._random_state.randint(SEEDS), weighted_steps=True,
                    sample_weight=weight, **more)
        convergence.finish(net)
        self.t_ += float(self.n_iter_ * rows)
        if incremental or (validation and validation.warn_if_never_defined(self, stacklevel=6)):
            return self
        said = []
        if self.tol is not None and self.n_iter_ == max_iter:
            said.append("Maximum number of iteration reached before convergence. Consider increasing max_iter to "
                        "improve the fit.")
        by_labels = self._first_attribute == "classes_"
        if cause := divergence(net, before, data.X, data.targets, data.sample_weight, by_labels, self._shorter_steps()):
            said.append(cause)
        if said:
            warnings.warn(" ".join(said), ConvergenceWarning, stacklevel=6)
        return self

    def _network_for(self, data: FitData, coef_init, intercept_init) -> Network:
        """The network to train: a new one where there is none or the user gives initial parameters."""
        if getattr(self, "coef_", None) is None or coef_init is not None or intercept_init is not None:
            net = self._new_network([data.X.shape[1], self._outputs_of()], data.X.dtype, 0)
            self._fill(net, coef_init, intercept_init)
        else:
            net = self._network()
            if net.sizes[-1] != self._outputs_of():
                raise ValueError(f"the fitted model has {net.sizes[-1]} outputs, which cannot continue as "
                                 f"{self._outputs_of()}; loss and multi_class must ask for as many as before")
        self.__dict__.pop("coef_", None)
        self._hold(net)
        return net

    def _remember_steps(self, optimizer: Optimizer, net: Network, incremental: bool) -> None:
        """:meth:`_remember`, with as many steps as ``t_`` stands for."""
        steps = int(self.t_ - 1) // self.batch_size
        known = self.__dict__.get("_state")
        if incremental and known is not None and known.average is None and optimizer.average and \
                optimizer.average_from < steps:
            raise ValueError(f"average={self.average!r} cannot begin now that {steps} steps have been made: fit "
                             "afresh, or give a higher number of steps to begin after")
        self._remember(optimizer, net, not incremental, steps)

    def _fill(self, net: Network, coef_init, intercept_init) -> None:
        """Initial parameters of the user."""
        outputs = net.sizes[-1]
        if coef_init is not None:
            coef = np.asarray(coef_init, dtype=net.dtype)
            coef = coef if outputs > 1 else coef.ravel()[np.newaxis]
            if coef.shape != (outputs, net.sizes[0]):
                raise ValueError("Provided coef_init does not match dataset." if outputs == 1 else
                                 "Provided ``coef_`` does not match dataset. ")
            net.weights[0][:] = coef.T
        if intercept_init is not None:
            intercept = np.asarray(intercept_init, dtype=net.dtype)
            if intercept.shape != (outputs,) and not (outputs == 1 and intercept.shape == ()):
                raise ValueError("Provided intercept_init does not match dataset.")
            net.biases[0][:] = intercept

    # ---- averages ----

    def _unaveraged(self) -> tuple[np.ndarray, np.ndarray]:
        """The last iterate behind an averaged ``coef_`` and ``intercept_``, as copies; else copies of these."""
        net = self._network().copy()
        state = self.__dict__.get("_state")
        if state is not None and state.averaged is not None:
            net.params = state.averaged
        return np.array(self._coefficients(net.weights[0]), order="C"), net.biases[0].copy()

    def _continue_averaging(self, coef, intercept) -> None:
        """Makes ``partial_fit`` continue from these, in the shapes of ``coef_`` and ``intercept_``.

        The fitted attributes are then the average so far, if there have been enough steps for one to begin.
        """
        net = self._network()
        last = net.copy()
        self._fill(last, coef, intercept)
        optimizer = self._optimizer_of(sparse=False)
        self._state, self._rate_factor = optimizer.state(net.params), 1.0
        self._state.steps, self._state.averaged = int(self.t_ - 1) // self.batch_size, last.params.copy()
        if self._state.steps <= optimizer.average_from:
            self._state.average[:] = last.params

    # ---- its parts ----

    def _check_parameters(self, incremental: bool = False) -> None:
        """ValueError for parameters that do not go together."""
        if self.early_stopping and incremental:
            raise ValueError("early_stopping should be False with partial_fit")
        if self.learning_rate == "optimal" and self.alpha == 0 and self.optimizer is None:
            raise ValueError("alpha must be > 0 since learning_rate is 'optimal'. alpha is used to compute the optimal "
                             "learning rate.")
        allowed = "hinge" if "hinge" in self.loss_functions else "epsilon_insensitive"
        if self.learning_rate in ("pa1", "pa2") and self.loss != allowed:
            raise ValueError(f"Learning rate '{self.learning_rate}' only works with loss '{allowed}'.")
        if self.penalty == "elasticnet" and self.l1_ratio is None:
            raise ValueError("l1_ratio must be set when penalty is 'elasticnet'")

    def _classes_of(self, y):
        """The classes of a fit, where there are such."""
        return None

    def _check_classes(self, y, classes) -> None:
        """ValueError where y, or what is said of its classes, does not suit what is known of them."""

    def _check_weight(self, sample_weight, X) -> np.ndarray:
        return _check_sample_weight(sample_weight, X, dtype=X.dtype)

    def _validate_rows(self, X, y, reset, **more):
        return validated(self, X, y, accept_sparse="csr", dtype=FLOATS, order="C", reset=reset, **more)

    def _optimizer_of(self, sparse: bool) -> Optimizer:
        ratio = {"l2": 0.0, "l1": 1.0, "elasticnet": self.l1_ratio}.get(self.penalty)
        penalties = {} if ratio is None else {"l1": self.alpha * ratio, "l2": self.alpha * (1 - ratio)}
        bias_rate = 0.0 if not self.fit_intercept else SPARSE_BIAS_RATE if sparse else 1.0
        around = {**penalties, "clip_delta": MAX_DELTA, "bias_rate": bias_rate}
        if self.average:
            around |= {"average": "polyak", "average_from": int(self.average) - 1}
        if self.optimizer is not None:
            return replace(self.optimizer, **around)
        if self.learning_rate in ("pa1", "pa2"):
            return PassiveAggressive(self.eta0, squared=self.learning_rate == "pa2", **around)
        return SGD(self._rate(), cumulative_l1=bool(around.get("l1")), **around)

    def _rate(self):
        """The learning rate of each step."""
        if self.learning_rate == "optimal":
            return schedules.InverseTime(float(elementary.power(self.alpha, -0.25)), self.alpha)
        if self.learning_rate == "invscaling":
            if self.power_t < 0:
                return partial(_growing, self.eta0, self.power_t)
            return schedules.InverseScaling(self.eta0, self.power_t)
        return self.eta0

    def _shorter_steps(self) -> str:
        if self.optimizer is not None:
            return f"Give the optimizer a smaller learning rate; it is {self.optimizer!r}."
        if self.learning_rate == "optimal":
            return ("Give a larger alpha, or learning_rate='invscaling' with a small eta0: 'optimal' begins with long "
                    "steps.")
        return f"Give a smaller eta0; it is {self.eta0:g}."

    def _warn_of_power_t(self) -> None:
        if self.power_t < 0:
            warnings.warn("Negative values for `power_t` are deprecated in scikit-learn 1.8 and will raise an error in "
                          "1.10. Use values in the range [0.0, inf) instead.", FutureWarning, stacklevel=4)

    def _split(self, data: FitData) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of the rows to train on and of those held out."""
        y = data.y
        splitter = self._splitter(test_size=self.validation_fraction, random_state=self.random_state)
        trained, held_out = next(splitter.split(np.zeros((len(y), 1)), y))
        if not data.sample_weight[held_out].any():
            raise ValueError("The sample weights for validation set are all zero, consider using a different random "
                             "state.")
        if not len(trained) or not len(held_out):
            raise ValueError(
                f"Splitting {len(y)} samples into a train set and a validation set with validation_fraction="
                f"{self.validation_fraction!r} led to an empty set ({len(trained)} and {len(held_out)} samples). "
                "Please either change validation_fraction, increase number of samples, or disable early_stopping.")
        return np.sort(trained), np.sort(held_out)

    def _check_more(self, X, y):
        return self._validate_rows(X, y, reset=False)

    def _outputs_of(self) -> int:
        """How many outputs the network needs."""
        raise NotImplementedError

    def _weights_of(self, data: FitData) -> tuple[np.ndarray, dict]:
        """What each row counts in training, and more for ``fastsgd.train``."""
        return data.sample_weight, {}

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _growing(rate: float, power: float, step: int) -> float:
    return rate / float(elementary.power(1 + step, power))
