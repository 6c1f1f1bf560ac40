"""What MLPClassifier and MLPRegressor share: the parameters, a fit by mini-batches, and one by L-BFGS."""
from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import replace
from numbers import Integral, Real
from typing import ClassVar

import numpy as np
from sklearn.base import _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.optimize import _check_optimize_result
from sklearn.utils.validation import _check_sample_weight

from fastsgd.estimators.base import SEEDS, EngineEstimator
from fastsgd.estimators.diagnosis import few_steps
from fastsgd.estimators.fit_data import FitData
from fastsgd.estimators.lbfgs import minimise
from fastsgd.estimators.mlp_stopping import NOT_FINITE, MLPConvergence
from fastsgd.estimators.sklearn_callbacks import with_callbacks
from fastsgd.losses import Loss
from fastsgd.model.architecture import ACTIVATIONS
from fastsgd.network import checked
from fastsgd.network.network import Network
from fastsgd.optimizers import SGD, Adam, Optimizer


class MultilayerPerceptron(EngineEstimator):
    """What MLPClassifier and MLPRegressor share."""

    _parameter_constraints: ClassVar[dict] = {
        **EngineEstimator._parameter_constraints,
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions(set(ACTIVATIONS)), list, tuple],
        "solver": [StrOptions({"lbfgs", "sgd", "adam"})],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"})],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "power_t": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "momentum": [Interval(Real, 0, 1, closed="both")],
        "nesterovs_momentum": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "beta_1": [Interval(Real, 0, 1, closed="left")],
        "beta_2": [Interval(Real, 0, 1, closed="left")],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), Options(Real, {np.inf})],
        "max_fun": [Interval(Integral, 1, None, closed="left")],
        "optimizer": [Optimizer, None],
        "dropout": [Interval(Real, 0, 1, closed="left"), list, tuple],
    }
    _network_parameters = frozenset({"activation", "loss", "huber_delta", "quantile", "tweedie_power"})
    _fitted_attribute = "coefs_"
    _not_for_lbfgs: ClassVar[dict] = {"optimizer": None, "dropout": 0.0, "callbacks": None, "progress": False}

    # ---- the network ----

    def _loss(self) -> str:
        """The network's loss."""
        raise NotImplementedError

    def _new_network(self, sizes, dtype, seed):
        return Network(sizes, self.activation, self._loss_function(), dtype=np.dtype(dtype).name, seed=seed,
                       init="scikit-learn")

    def _loss_function(self) -> str | Loss:
        """The same with its parameters."""
        return self._loss()

    def _shown(self):
        return [*self.coefs_, *self.intercepts_]

    def _as_arrays(self):
        return [np.asarray(W) for W in self.coefs_], [np.asarray(b) for b in self.intercepts_]

    def _show(self, net):
        self.coefs_, self.intercepts_ = list(net.weights), list(net.biases)

    # ---- a fit ----

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None, *, X_val=None, y_val=None, sample_weight_val=None):
        """Trains on these rows.

        Parameters
        ----------
        X : array, data frame or sparse matrix (rows, columns)
        y : array (rows,) or (rows, targets or labels)
            Targets, or class labels of any kind or an indicator matrix of several labels.
        sample_weight : array (rows,), optional
        X_val, y_val, sample_weight_val : as X, y and sample_weight, optional
            Rows to judge the network by after each epoch; early stopping then needs no split.

        Returns
        -------
        self
        """
        return self._fit(X, y, sample_weight, held_out=(X_val, y_val, sample_weight_val))

    @with_callbacks
    def _fit(self, X, y, sample_weight=None, incremental=False, held_out=(None, None, None)):
        hidden = self.hidden_layer_sizes
        hidden = list(hidden) if hasattr(hidden, "__iter__") else [hidden]
        if any(size <= 0 for size in hidden):
            raise ValueError(f"hidden_layer_sizes must be > 0, got {hidden}.")
        if incremental and self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        self._refuse_what_lbfgs_has_not(held_out)
        first = not hasattr(self, "coefs_") or not (self.warm_start or incremental)
        table = X
        X, y = self._validate_input(X, y, incremental, reset=first)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, X)
        if first or not incremental or not hasattr(self, "_random_state"):
            self._random_state = check_random_state(self.random_state)
        data = FitData(X, y, self._encode(y, X.dtype), sample_weight, table)
        self.n_outputs_ = self._outputs_of(data.targets)
        net = self._network_for([X.shape[1], *hidden, self.n_outputs_], X.dtype, first)
        if self.solver == "lbfgs":
            self._fit_lbfgs(net, data)
        else:
            self._fit_stochastic(net, data, incremental, held_out)
        return self

    def _network_for(self, sizes: Sequence[int], dtype, first: bool) -> Network:
        """The network to train: a new one, or the one of the fitted attributes, which must be of these sizes."""
        if first:
            net = self._new_network(sizes, dtype, self._random_state.randint(SEEDS))
            self.n_iter_ = self.t_ = 0
            self.n_layers_, self.out_activation_ = len(sizes), net.architecture.activations[-1]
            self._hold(net)
            self.__dict__.pop("validation_loss_curve_", None)
            if self.solver != "lbfgs":
                self._reset_curves()
            return net
        if self.solver != "lbfgs" and not hasattr(self, "_no_improvement_count"):        # after a fit by L-BFGS
            self._reset_curves()
        net = self._network()
        if list(net.sizes) != list(sizes):
            raise ValueError(f"the fitted layers have sizes {list(net.sizes)}, which cannot continue as {list(sizes)}; "
                             "hidden_layer_sizes and the shape of y must be those of the fit before")
        return net

    def _reset_curves(self) -> None:
        self.loss_curve_: list[float] = []
        self.validation_scores_: list[float] | None = [] if self.early_stopping else None
        self._reset_best()

    def _reset_best(self) -> None:
        self._no_improvement_count = 0
        self.best_validation_score_ = -np.inf if self.early_stopping else None
        self.best_loss_ = None if self.early_stopping else np.inf

    def _fit_lbfgs(self, net: Network, data: FitData) -> None:
        # In float64 whatever X is: a line search compares costs that differ by less than float32 can tell.
        double = net if net.dtype == np.float64 else Network._from_parts(net.architecture, net.params.astype(float), {})
        weight = self._weights_of(data)
        rows, targets = checked.check(double, data.X, data.targets)
        result = minimise(double, rows, targets, weight, alpha=self.alpha, max_iter=self.max_iter, max_fun=self.max_fun,
                          tol=self.tol, threads=self._threads())
        self.n_iter_ = _check_optimize_result("lbfgs", result, self.max_iter)
        self.loss_ = self._shown_loss(result.fun - result.penalty) + result.penalty
        with np.errstate(over="ignore"):
            net.params = double.params
        if not np.isfinite(net.params).all():
            raise ValueError(NOT_FINITE)
        if cause := self._cause(net, data, weight, np.nan):
            warnings.warn(cause, ConvergenceWarning, stacklevel=6)

    def _fit_stochastic(self, net: Network, data: FitData, incremental: bool, held_out: tuple) -> None:
        validation = self._validation(held_out, data.targets)
        if self.early_stopping and validation is None:
            chosen, others = self._split(data.targets)
            validation, data = self._hold_out(others, data), data.take(chosen)
        optimizer = self._optimizer_of()
        if not incremental:                  # its rows may be others than those of the fit before
            self._reset_best()
        self._remember(optimizer, net, not incremental)
        convergence = MLPConvergence(self, validation, optimizer, len(data))
        weight = self._weights_of(data)
        history = self._train(
            net, data, convergence, optimizer=optimizer, state=self._state, batch_size=self._batch_size_of(len(data)),
            epochs=1 if incremental else self.max_iter, seed=self._random_state.randint(SEEDS), sample_weight=weight,
            dropout=self.dropout, shuffle=self.shuffle, **self._more_for_training())
        if convergence.best_params is not None:
            net.params = convergence.best_params
        if history is None or incremental or (validation and validation.warn_if_never_defined(self, stacklevel=6)):
            return
        said = [] if history.stopped else [f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and "
                                           "the optimization hasn't converged yet."]
        cause = self._cause(net, data, data.sample_weight, history.metric[-1])
        if not cause and self.early_stopping and convergence.lost_patience:
            cause = few_steps(net, data.X, data.targets, weight, history.steps, history.cost, convergence.best_epoch)
        said += [cause] if cause else []
        if said:
            warnings.warn(" ".join(said), ConvergenceWarning, stacklevel=6)

    # ---- its parts ----

    def _optimizer_of(self) -> Optimizer:
        if self.optimizer is not None:
            return replace(self.optimizer, alpha=self.alpha)
        if self.solver == "sgd":
            momentum = min(float(self.momentum), math.nextafter(1.0, 0.0))
            return SGD(self.learning_rate_init, momentum=momentum, nesterov=self.nesterovs_momentum and momentum > 0,
                       alpha=self.alpha)
        return Adam(self.learning_rate_init, beta_1=self.beta_1, beta_2=self.beta_2, epsilon=self.epsilon,
                    alpha=self.alpha)

    def _batch_size_of(self, rows: int) -> int:
        if self.batch_size == "auto":
            return min(200, rows)
        if self.batch_size > rows:
            warnings.warn("Got `batch_size` less than 1 or larger than sample size. It is going to be clipped",
                          stacklevel=7)
        return min(self.batch_size, rows)

    def _split(self, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of the rows to train on and of those held out, the latter with a part of every class."""
        trained, held_out = train_test_split(np.arange(len(targets)), random_state=self._random_state,
                                             test_size=self.validation_fraction, stratify=self._strata(targets))
        if len(held_out) < 2:
            raise ValueError("The validation set is too small. Increase 'validation_fraction' or the size of your "
                             "dataset.")
        return trained, held_out

    def _check_more(self, X, y):
        return self._validate_input(X, y, True, reset=False)

    def _refuse_what_lbfgs_has_not(self, held_out) -> None:
        if self.solver != "lbfgs":
            return
        for name, default in self._not_for_lbfgs.items():
            if getattr(self, name) != default:
                raise ValueError(f"{name}={getattr(self, name)!r} needs solver 'sgd' or 'adam'; lbfgs makes no "
                                 "mini-batch steps")
        if held_out[0] is not None:
            raise ValueError("X_val needs solver 'sgd' or 'adam'")

    def _has_partial_fit(self) -> bool:
        if self.solver == "lbfgs":
            raise AttributeError(f"partial_fit is only available for stochastic optimizers. {self.solver} is not "
                                 "stochastic.")
        return True

    def _outputs_of(self, targets: np.ndarray) -> int:
        """How many outputs the network needs."""
        raise NotImplementedError

    def _shown_loss(self, cost: float) -> float:
        """A mean cost of the network as ``loss_`` means it."""
        return cost

    def _weights_of(self, data: FitData) -> np.ndarray | None:
        """What each row counts in training."""
        return data.sample_weight

    def _more_for_training(self) -> dict:
        return {}

    def _cause(self, net: Network, data: FitData, weight, metric: float) -> str:
        """Why a fit explains nothing, "" where it does; ``metric`` is that of the last epoch, NaN for L-BFGS."""
        return ""

    def _strata(self, targets):
        return None

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
