"""MLPClassifier and MLPRegressor."""
from __future__ import annotations

import math
from numbers import Real
from typing import ClassVar

import numpy as np
from scipy.sparse import issparse
from scipy.special import log_expit, log_softmax
from sklearn.base import ClassifierMixin, RegressorMixin, _fit_context
from sklearn.metrics import accuracy_score, d2_pinball_score
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import column_or_1d
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call, type_of_target, unique_labels

from fastsgd.data.checks import to_dtype
from fastsgd.estimators.base import FLOATS, logarithms, validated, weights_for_classes
from fastsgd.estimators.diagnosis import classification_cause, regression_cause
from fastsgd.estimators.mlp_base import MultilayerPerceptron
from fastsgd.estimators.stopping import r2_metric
from fastsgd.losses import COUNTS, LOSSES, POSITIVE, QUANTITIES, names, with_parameters
from fastsgd.network.derived import before_output


class MLPClassifier(ClassifierMixin, MultilayerPerceptron):
    """scikit-learn's MLPClassifier on fastsgd's engine: multi-class, binary and multi-label.

    Parameters up to ``max_fun`` are scikit-learn's, with its meanings and defaults, but for a wider choice of
    ``activation``; those that follow have no equal there.

    Parameters
    ----------
    hidden_layer_sizes : sequence of int
        Units of each hidden layer.
    activation : str or sequence of str
        identity, logistic, tanh, relu, leaky_relu, elu, gelu, silu, softplus, selu, mish, hard_sigmoid, hard_swish,
        hard_tanh or relu6, for all hidden layers or one each.
    solver : "adam", "sgd" or "lbfgs"
        lbfgs is SciPy's, over the fused gradient of all rows, in float64.
    alpha : float
        L2 penalty: the cost of a mini-batch of n rows gains ``alpha / (2 n) sum(w^2)``.
    batch_size : int or "auto"
        auto means min(200, rows).
    learning_rate : "constant", "invscaling" or "adaptive"
        With solver "sgd": see scikit-learn. ``optimizer`` has any schedule.
    learning_rate_init, power_t, momentum, nesterovs_momentum, beta_1, beta_2, epsilon
        Of the solvers, as in scikit-learn.
    max_iter : int
        Epochs at most; iterations of lbfgs.
    shuffle, random_state, tol, verbose, warm_start, early_stopping, validation_fraction, n_iter_no_change, max_fun
        As in scikit-learn. The split of early stopping is stratified for several classes too.
    optimizer : Optimizer, optional
        Such as ``fastsgd.AdamW(fastsgd.schedules.OneCycle(0.01), clip_norm=1.0)``: takes the place of the solver's
        rule, rate and momentum. ``alpha`` still holds.
    dropout : float or sequence of float
        The part of a hidden layer's units that is left out in a step.
    class_weight : "balanced" or dict, optional
        How much the rows of each class count, times ``sample_weight``; "balanced" makes the sums of their weights
        alike, as LogisticRegression's. It acts on training and ``loss_`` alone: validation rows count by their
        ``sample_weight``.
    label_smoothing : float
        The part of a target that is spread evenly over all classes.
    scoring : "loss", str or callable, optional
        What early stopping looks at, the higher the better: minus the cost, or a scikit-learn scorer; accuracy by
        default.
    callbacks : list, optional
        :class:`fastsgd.Callback` objects or functions of the run. ``set_callbacks`` takes scikit-learn's own.
    progress : bool
        Whether to show a progress bar.
    n_jobs : int, optional
        Threads; None takes as many as pay. No bit depends on it.

    Attributes
    ----------
    classes_, coefs_, intercepts_, loss_, best_loss_, loss_curve_, validation_scores_, best_validation_score_, \
n_iter_, n_layers_, n_outputs_, out_activation_, t_, n_features_in_, feature_names_in_
        As in scikit-learn; ``coefs_`` and ``intercepts_`` are views of the network's memory.
    validation_loss_curve_ : list of float
        The cost of the validation rows after each epoch, where there are any.

    Raises
    ------
    ValueError, TypeError
        As scikit-learn does. A fit that diverges raises, or with early stopping warns and ends with its best
        parameters.

    Warns
    -----
    ConvergenceWarning
        As scikit-learn does; where the score of early stopping was never finite, which keeps the last parameters; and
        where early stopping came after a few steps that left most of the cost.

    Examples
    --------
    >>> from fastsgd import MLPClassifier
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.model_selection import train_test_split
    >>> X, X_test, y, y_test = train_test_split(*load_digits(return_X_y=True), random_state=0)
    >>> MLPClassifier((64,), activation="silu", random_state=0).fit(X, y).score(X_test, y_test) > 0.96
    True
    """

    _parameter_constraints: ClassVar[dict] = {
        **MultilayerPerceptron._parameter_constraints,
        "class_weight": [StrOptions({"balanced"}), dict, None],
        "label_smoothing": [Interval(Real, 0, 1, closed="left")],
    }
    _not_for_lbfgs: ClassVar[dict] = {**MultilayerPerceptron._not_for_lbfgs, "label_smoothing": 0.0}
    loss = "log_loss"

    def __init__(self, hidden_layer_sizes=(100,), activation="relu", *, solver="adam", alpha=0.0001, batch_size="auto",
                 learning_rate="constant", learning_rate_init=0.001, power_t=0.5, max_iter=200, shuffle=True,
                 random_state=None, tol=1e-4, verbose=False, warm_start=False, momentum=0.9, nesterovs_momentum=True,
                 early_stopping=False, validation_fraction=0.1, beta_1=0.9, beta_2=0.999, epsilon=1e-8,
                 n_iter_no_change=10, max_fun=15000, optimizer=None, dropout=0.0, class_weight=None,
                 label_smoothing=0.0, scoring=None, callbacks=None, progress=False, n_jobs=None):
        self._keep(locals())

    @available_if(MultilayerPerceptron._has_partial_fit)
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, sample_weight=None, classes=None):
        """One epoch over these rows, with the parameters, moments and rates of the call before.

        Parameters
        ----------
        X, y, sample_weight
            As for ``fit``.
        classes : array, optional
            All classes there will be; needed in the first call.

        Returns
        -------
        self
        """
        if _check_partial_fit_first_call(self, classes):
            self._label_binarizer = LabelBinarizer().fit(y if type_of_target(y).startswith("multilabel") else classes)
        if isinstance(self.class_weight, str):
            raise ValueError("class_weight='balanced' is not supported for partial_fit: the classes' frequencies are "
                             "not known. Pass a dict, from compute_class_weight('balanced', classes=classes, y=y) of a "
                             "sample")
        return self._fit(X, y, sample_weight, incremental=True)

    def predict(self, X):
        """The likeliest class of each row, (rows,), or an indicator matrix (rows, labels)."""
        self._require_fitted()
        outputs = self._outputs(self._network(), X)
        if self._label_binarizer.y_type_ == "multiclass":
            return self.classes_[outputs.argmax(axis=1)]
        return self._label_binarizer.inverse_transform(outputs[:, 0] if self.n_outputs_ == 1 else outputs)

    def predict_proba(self, X):
        """Probabilities (rows, classes) in the order of ``classes_``."""
        self._require_fitted()
        outputs = self._outputs(self._network(), X)
        return np.hstack([1 - outputs, outputs]) if self.n_outputs_ == 1 else outputs

    def predict_log_proba(self, X):
        """The logarithms of ``predict_proba``, also where it is rounded to 0 or 1."""
        probabilities = self.predict_proba(X)
        z = self._outputs(before_output(self._network()), X)
        if self._loss() == "cross_entropy":
            return logarithms(probabilities, log_softmax(z, axis=1))
        return logarithms(probabilities, log_expit(np.hstack([-z, z]) if self.n_outputs_ == 1 else z))

    # ---- what training needs to know ----

    def _loss(self):
        return "cross_entropy" if self._label_binarizer.y_type_ == "multiclass" else "binary_cross_entropy"

    def _validate_input(self, X, y, incremental, reset):
        X, y = validated(self, X, y, accept_sparse=["csr", "csc"], multi_output=True, dtype=FLOATS, reset=reset)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if not hasattr(self, "classes_") or not (self.warm_start or incremental):
            self._label_binarizer = LabelBinarizer().fit(y)
            self.classes_ = self._label_binarizer.classes_
            return X, y
        if (y.ndim == 2) != self._label_binarizer.y_type_.startswith("multilabel"):
            raise ValueError("The object was not fitted with multilabel input." if y.ndim == 2 else
                             "The object was fitted with multilabel input; y has one column.")
        classes = unique_labels(y)
        if self.warm_start and not incremental and set(classes) != set(self.classes_):
            raise ValueError("warm_start can only be used where `y` has the same classes as in the previous call to "
                             f"fit. Previously got {self.classes_}, `y` has {classes}")
        if len(np.setdiff1d(classes, self.classes_, assume_unique=True)):
            raise ValueError(f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. 'y' "
                             f"has {classes}.")
        return X, y

    def _encode(self, y, dtype):
        if self._label_binarizer.y_type_ == "multiclass":
            return np.searchsorted(self.classes_, y).astype(np.int32)
        encoded = self._label_binarizer.transform(y)
        return (encoded.toarray() if issparse(encoded) else encoded).astype(dtype)

    def _outputs_of(self, targets):
        return len(self.classes_) if targets.ndim == 1 else targets.shape[1]

    def _weights_of(self, data):
        weight = data.sample_weight
        if self.class_weight is None:
            return weight
        if self._label_binarizer.y_type_.startswith("multilabel"):
            raise ValueError("class_weight is not supported for multi-label targets; use sample_weight")
        labels = np.searchsorted(self.classes_, data.y)
        of_classes = weights_for_classes(self.class_weight, self.classes_, labels, weight)[labels]
        return of_classes if weight is None else of_classes * weight

    def _more_for_training(self):
        return {"label_smoothing": self.label_smoothing}

    def _strata(self, targets):
        if targets.ndim == 2:                # of two classes: where one is too small an error, as in scikit-learn
            return targets[:, 0].astype(bool).astype(str) if targets.shape[1] == 1 else None
        counts = np.bincount(targets)
        held_out = math.ceil(len(targets) * self.validation_fraction)
        enough = counts[counts > 0].min() >= 2 and (counts > 0).sum() <= min(held_out, len(targets) - held_out)
        return targets if enough else None

    def _cause(self, net, data, weight, metric):
        return classification_cause(net, data.X, data.targets, weight, metric)

    def _metrics(self, targets, trained):
        if targets.ndim == 1 or targets.shape[1] == 1:
            return None, None
        return lambda y, outputs, weight: accuracy_score(y > 0.5, outputs > 0.5, sample_weight=weight), None

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class MLPRegressor(RegressorMixin, MultilayerPerceptron):
    """scikit-learn's MLPRegressor on fastsgd's engine, for one target or several.

    Parameters up to ``max_fun`` are scikit-learn's, with its meanings and defaults, but for a wider choice of ``loss``
    and ``activation``; those that follow have no equal there. :class:`MLPClassifier` describes all that is not said
    here.

    Parameters
    ----------
    loss : str
        squared_error, poisson, absolute_error, huber, quantile, gaussian_nll, gamma or tweedie.
    quantile : float or sequence of float
        With loss "quantile": several make ``predict`` return a column for each, of one target.
    huber_delta : float
        With loss "huber": the error from which on it counts linearly.
    tweedie_power : float
        With loss "tweedie": the power of the mean, above 1 and below 2, with which the variance grows.
    hidden_layer_sizes, activation, solver, alpha, batch_size, learning_rate, learning_rate_init, power_t, max_iter, \
shuffle, random_state, tol, verbose, warm_start, momentum, nesterovs_momentum, early_stopping, validation_fraction, \
beta_1, beta_2, epsilon, n_iter_no_change, max_fun, optimizer, dropout, scoring, callbacks, progress, n_jobs
        As for :class:`MLPClassifier`; early stopping looks at R^2 by default.

    Attributes
    ----------
    coefs_, intercepts_, loss_, best_loss_, loss_curve_, validation_scores_, best_validation_score_, \
validation_loss_curve_, n_iter_, n_layers_, n_outputs_, out_activation_, t_, n_features_in_, feature_names_in_
        As there.

    Warns
    -----
    ConvergenceWarning
        As there; and where the fit predicts its targets no better than a constant, and they or X are far from unit
        size.

    Examples
    --------
    >>> from fastsgd import MLPRegressor
    >>> import numpy as np
    >>> X = np.random.default_rng(0).uniform(-1, 1, (500, 3))
    >>> y = X[:, 0] * X[:, 1]
    >>> model = MLPRegressor(activation="tanh", learning_rate_init=0.01, random_state=0).fit(X[:400], y[:400])
    >>> model.score(X[400:], y[400:]) > 0.9
    True
    """

    _parameter_constraints: ClassVar[dict] = {
        **MultilayerPerceptron._parameter_constraints,
        "loss": [StrOptions(set(names(QUANTITIES, COUNTS, POSITIVE, parameters=("delta", "quantile", "power"))))],
        "quantile": [Interval(Real, 0, 1, closed="neither"), "array-like"],
        "huber_delta": [Interval(Real, 0, None, closed="neither")],
        "tweedie_power": [Interval(Real, 1, 2, closed="neither")],
    }

    def __init__(self, loss="squared_error", hidden_layer_sizes=(100,), activation="relu", *, solver="adam",
                 alpha=0.0001, batch_size="auto", learning_rate="constant", learning_rate_init=0.001, power_t=0.5,
                 max_iter=200, shuffle=True, random_state=None, tol=1e-4, verbose=False, warm_start=False, momentum=0.9,
                 nesterovs_momentum=True, early_stopping=False, validation_fraction=0.1, beta_1=0.9, beta_2=0.999,
                 epsilon=1e-8, n_iter_no_change=10, max_fun=15000, optimizer=None, dropout=0.0, quantile=0.5,
                 huber_delta=1.0, tweedie_power=1.5, scoring=None, callbacks=None, progress=False, n_jobs=None):
        self._keep(locals())

    @available_if(MultilayerPerceptron._has_partial_fit)
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, sample_weight=None):
        """One epoch over these rows, with the parameters, moments and rates of the call before.

        Parameters
        ----------
        X, y, sample_weight
            As for ``fit``.

        Returns
        -------
        self
        """
        return self._fit(X, y, sample_weight, incremental=True)

    def predict(self, X, return_std=False):
        """The targets of each row, (rows,), or (rows, targets or quantiles) where there are several.

        With ``return_std``, which needs the loss gaussian_nll, ``(means, standard deviations)``.
        """
        self._require_fitted()
        net = self._network()
        found = [part[:, 0] if part.shape[1] == 1 else part
                 for part in np.split(self._outputs(net, X), [net.architecture.targets], axis=1)]
        if return_std and not found[1].size:
            raise ValueError(f"return_std needs the loss gaussian_nll, this model has {self.loss}")
        return tuple(found) if return_std else found[0]

    def score(self, X, y, sample_weight=None):
        """R^2; for several quantiles the mean over them of the part of the pinball loss that is explained (D^2)."""
        if self._quantiles() is None:
            return super().score(X, y, sample_weight)
        return self._mean_pinball(y, self.predict(X), sample_weight)

    # ---- what training needs to know ----

    def _loss(self):
        return self.loss

    def _loss_function(self):
        return with_parameters(self.loss, delta=self.huber_delta, quantile=self.quantile, power=self.tweedie_power)

    def _quantiles(self) -> list[float] | None:
        return list(self.quantile) if self.loss == "quantile" and np.ndim(self.quantile) else None

    def _mean_pinball(self, y, outputs, weight) -> float:
        y = np.asarray(y)
        y = y[:, 0] if y.ndim == 2 else y
        outputs = outputs.reshape(len(y), -1)
        return float(np.mean([d2_pinball_score(y, outputs[:, i], sample_weight=weight, alpha=q)
                              for i, q in enumerate(self._quantiles() or ())]))

    def _validate_input(self, X, y, incremental, reset):
        X, y = validated(self, X, y, accept_sparse=["csr", "csc"], multi_output=True, y_numeric=True, dtype=FLOATS,
                         reset=reset)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if y.ndim == 2 and self._quantiles() is not None:
            raise ValueError(f"several quantiles need one target, y has {y.shape[1]}")
        return X, y

    def _encode(self, y, dtype):
        targets = to_dtype(y, dtype, "y").reshape(len(y), -1)
        quantiles = self._quantiles()
        return targets if quantiles is None else np.repeat(targets, len(quantiles), axis=1)

    def _outputs_of(self, targets):
        return LOSSES[self.loss].outputs_for(targets.shape[1])

    def _shown_loss(self, cost):
        # scikit-learn takes the mean of squared errors over the targets, and the sum of Poisson's.
        kind = LOSSES[self.loss]
        return cost if kind.targets.sign else cost / kind.targets_of(self.n_outputs_)

    def _cause(self, net, data, weight, metric):
        return regression_cause(net, data.X, data.targets, weight, metric)

    def _metrics(self, targets, trained):
        if self._quantiles() is not None:
            return self._mean_pinball if len(targets) > 1 else lambda y, outputs, weight: np.nan, None
        return r2_metric(targets, trained), None

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.positive_only = bool(LOSSES[self.loss].targets.sign)
        return tags
