"""SGDClassifier and SGDRegressor."""
from __future__ import annotations

from typing import ClassVar

import numpy as np
from scipy.special import expit, log_expit, log_softmax, softmax
from sklearn.base import ClassifierMixin, RegressorMixin, _fit_context
from sklearn.model_selection import ShuffleSplit, StratifiedShuffleSplit
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call
from sklearn.utils.validation import validate_data

from fastsgd.data.checks import to_dtype
from fastsgd.estimators.base import logarithms, weights_for_classes
from fastsgd.estimators.sgd_base import DEFAULT_EPSILON, LinearSGD
from fastsgd.estimators.stopping import r2_metric
from fastsgd.losses import LOSSES


class SGDClassifier(ClassifierMixin, LinearSGD):
    """scikit-learn's SGDClassifier on fastsgd's engine: linear, one-vs-rest or softmax.

    Parameters up to ``average`` are scikit-learn's, with its meanings and defaults; those that follow have no equal
    there.

    Parameters
    ----------
    loss : str
        hinge, log_loss, modified_huber, squared_hinge, perceptron, squared_error, huber, epsilon_insensitive or
        squared_epsilon_insensitive.
    penalty : "l2", "l1", "elasticnet" or None
        l1 makes zeros (Tsuruoka 2009). On sparse rows a step costs the entries it touches, whatever the penalty.
    learning_rate : str
        constant, optimal (Bottou 2012), invscaling, adaptive, pa1 or pa2 (Crammer 2006).
    alpha, l1_ratio, fit_intercept, max_iter, tol, shuffle, verbose, epsilon, random_state, eta0, power_t, \
early_stopping, validation_fraction, n_iter_no_change, warm_start, average
        As in scikit-learn. Classes are trained together, and the fit stops when the sum of their costs does not become
        better.
    class_weight : "balanced" or dict, optional
        As in scikit-learn, but "balanced" makes the sums of the classes' ``sample_weight`` alike, as
        LogisticRegression's. It acts on training alone: validation rows count by their ``sample_weight``.
    n_jobs : int, optional
        Threads; None takes as many as pay. No bit depends on it.
    batch_size : int
        Rows per step; 1 is scikit-learn's algorithm. Rates then count batches, and more cores have something to do.
    multi_class : "ovr" or "multinomial"
        With more than two classes and log_loss: one-vs-rest, or softmax over all.
    optimizer : Optimizer, optional
        Such as ``fastsgd.SGD(0.1, momentum=0.9)``: takes the place of learning_rate, eta0 and power_t; the penalty
        still holds.
    scoring : "loss", str or callable, optional
        What early stopping looks at: the cost, or a scikit-learn scorer; accuracy by default.
    callbacks : list, optional
        :class:`fastsgd.Callback` objects or functions of the run. ``set_callbacks`` takes scikit-learn's own.
    progress : bool
        Whether to show a progress bar.

    Attributes
    ----------
    coef_ : ndarray (1 or classes, columns)
    intercept_ : ndarray (1 or classes,)
        Both are views of the network's memory.
    classes_, n_iter_, t_, n_features_in_, feature_names_in_
        As in scikit-learn.
    validation_scores_ : list of float
        After each epoch, where there are validation rows.

    Raises
    ------
    ValueError, TypeError
        As scikit-learn does, also where the fit diverges.

    Warns
    -----
    ConvergenceWarning
        As scikit-learn does; where the score of early stopping was never finite; and where the fit ends at more than
        twice the cost of coefficients of 0 (a classifier: and is right no more often than the commonest class).

    Examples
    --------
    >>> from fastsgd import SGDClassifier
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.preprocessing import scale
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> SGDClassifier(loss="log_loss", random_state=0).fit(scale(X), y).score(scale(X), y) > 0.95
    True
    """

    loss_functions: ClassVar[dict[str, tuple]] = {
        "hinge": ("hinge",), "squared_hinge": ("squared_hinge",), "perceptron": ("perceptron",),
        "log_loss": ("binary_cross_entropy",), "modified_huber": ("modified_huber",),
        "squared_error": ("squared_error",), "huber": ("huber", DEFAULT_EPSILON),
        "epsilon_insensitive": ("epsilon_insensitive", DEFAULT_EPSILON),
        "squared_epsilon_insensitive": ("squared_epsilon_insensitive", DEFAULT_EPSILON),
    }
    _parameter_constraints: ClassVar[dict] = {
        **LinearSGD._parameter_constraints,
        "loss": [StrOptions(set(loss_functions))],
        "class_weight": [StrOptions({"balanced"}), dict, None],
        "multi_class": [StrOptions({"ovr", "multinomial"})],
    }
    _splitter = StratifiedShuffleSplit
    _first_attribute = "classes_"

    def __init__(self, loss="hinge", *, penalty="l2", alpha=0.0001, l1_ratio=0.15, fit_intercept=True, max_iter=1000,
                 tol=1e-3, shuffle=True, verbose=0, epsilon=DEFAULT_EPSILON, n_jobs=None, random_state=None,
                 learning_rate="optimal", eta0=0.01, power_t=0.5, early_stopping=False, validation_fraction=0.1,
                 n_iter_no_change=5, class_weight=None, warm_start=False, average=False, batch_size=1,
                 multi_class="ovr", optimizer=None, scoring=None, callbacks=None, progress=False):
        self._keep(locals())

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """One epoch over these rows, with the rates of the call before.

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
        if not hasattr(self, "classes_"):
            self._check_parameters(incremental=True)
            if self.class_weight == "balanced":
                raise ValueError(
                    "class_weight 'balanced' is not supported for partial_fit. In order to use 'balanced' weights, use "
                    "compute_class_weight('balanced', classes=classes, y=y). In place of y you can use a large enough "
                    "sample of the full training set target to properly estimate the class frequency distributions. "
                    "Pass the resulting weights as the class_weight parameter.")
        self.t_ = getattr(self, "t_", 1.0)
        return self._fit(X, y, classes=classes, sample_weight=sample_weight)

    def _classes_of(self, y):
        return np.unique(validate_data(self, y=y))

    def _check_classes(self, y, classes):
        _check_partial_fit_first_call(self, classes)
        if len(self.classes_) < 2:
            raise ValueError(f"The number of classes has to be greater than one; got {len(self.classes_)} class")
        self._refuse_unseen(y)

    def _refuse_unseen(self, y):
        unseen = np.setdiff1d(y, self.classes_)
        if len(unseen):
            raise ValueError(f"`y` has classes not in `self.classes_`: {unseen}; `self.classes_` has {self.classes_}.")

    def _check_more(self, X, y):
        X, y = super()._check_more(X, y)
        self._refuse_unseen(y)
        return X, y

    def _check_weight(self, sample_weight, X):
        if self.early_stopping and sample_weight is not None and not np.any(sample_weight):
            return np.zeros(X.shape[0])                  # the split says what is wrong
        return super()._check_weight(sample_weight, X)

    # ---- predictions ----

    def decision_function(self, X):
        """How far each row lies on a class's side, (rows, classes), or (rows,) on the second one's of two classes."""
        self._require_fitted()
        scores = self._scores(X)
        return scores[:, 0] if scores.shape[1] == 1 else scores

    def predict(self, X):
        """The class of each row, (rows,)."""
        scores = self.decision_function(X)
        return self.classes_[(scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)]

    def _has_probabilities(self) -> bool:
        if self.loss not in ("log_loss", "modified_huber"):
            raise AttributeError(f"probability estimates are not available for loss={self.loss!r}")
        return True

    @available_if(_has_probabilities)
    def predict_proba(self, X):
        """Probabilities (rows, classes) in the order of ``classes_``, with loss log_loss or modified_huber.

        With more than two classes the one-vs-rest estimates are divided by their sum (Zadrozny and Elkan 2002); with
        multi_class="multinomial" they are the softmax's. modified_huber's are (clip(decision, -1, 1) + 1) / 2 (Zhang
        2002).
        """
        self._require_fitted()
        if self._loss() == "cross_entropy":
            return self._outputs(self._network(), X)
        scores = self._scores(X)
        yes = expit(scores) if self.loss == "log_loss" else (np.clip(scores, -1, 1) + 1) / 2
        if yes.shape[1] == 1:
            return np.hstack([1 - yes, yes])
        total = np.add.reduce(yes, axis=1, keepdims=True)
        if not total.all():                             # modified_huber: as likely one as another where all say no
            none = total[:, 0] == 0
            yes[none] = 1 if self.loss == "modified_huber" else softmax(log_expit(scores[none]), axis=1)
            total[none] = np.add.reduce(yes[none], axis=1, keepdims=True)
        yes /= total
        return yes

    @available_if(_has_probabilities)
    def predict_log_proba(self, X):
        """The logarithms of ``predict_proba``, with log_loss also where it is rounded to 0 or 1.

        modified_huber's probabilities may be 0, whose logarithm is -inf.
        """
        probabilities = self.predict_proba(X)
        if self.loss == "modified_huber":
            with np.errstate(divide="ignore"):
                return np.log(probabilities)
        z = self._scores(X)
        if z.shape[1] == 1:
            return logarithms(probabilities, log_expit(np.hstack([-z, z])))
        return logarithms(probabilities, log_softmax(z if self._loss() == "cross_entropy" else log_expit(z), axis=1))

    # ---- what training needs to know ----

    def _loss(self):
        several = len(self.classes_) > 2
        return "cross_entropy" if several and self.multi_class == "multinomial" else super()._loss()

    def _check_parameters(self, incremental=False):
        super()._check_parameters(incremental)
        if self.multi_class == "multinomial" and self.loss != "log_loss":
            raise ValueError(f"multi_class='multinomial' needs loss 'log_loss', got {self.loss!r}")

    def _encode(self, y, dtype):
        labels = np.searchsorted(self.classes_, y).astype(np.int32)
        if LOSSES[self._loss()].targets.metric == "accuracy":
            return labels[:, np.newaxis].astype(dtype) if len(self.classes_) == 2 else labels
        columns = np.arange(1, 2) if len(self.classes_) == 2 else np.arange(len(self.classes_))
        return np.where(labels[:, np.newaxis] == columns, 1, -1).astype(dtype)

    def _outputs_of(self):
        return 1 if len(self.classes_) == 2 else len(self.classes_)

    def _metrics(self, targets, trained):
        if self._loss() == "cross_entropy":
            return None, None
        border = 0.5 if self._loss() == "binary_cross_entropy" else 0

        def of_outputs(y, outputs, weight):
            yes = y[:, np.newaxis] == np.arange(outputs.shape[1]) if y.ndim == 1 else y > 0
            return np.average((outputs > border) == yes, axis=0, weights=weight)

        def of_rows(y, outputs, weight):
            if outputs.shape[1] == 1:
                return of_outputs(y, outputs, weight)[0]
            return np.average(outputs.argmax(axis=1) == y.argmax(axis=1), weights=weight)

        return None if LOSSES[self._loss()].targets.one_vs_rest else of_rows, of_outputs

    def _weights_of(self, data):
        if self.class_weight is None:
            return data.sample_weight, {}
        labels = np.searchsorted(self.classes_, data.y)
        weights = weights_for_classes(self.class_weight, self.classes_, labels, data.sample_weight)
        if len(self.classes_) == 2:
            return data.sample_weight * weights[labels], {}
        if LOSSES[self._loss()].targets.metric != "accuracy":
            raise ValueError(f"class_weight with more than two classes is not supported for loss {self.loss!r}; use "
                             "sample_weight")
        return data.sample_weight, {"class_weight": weights}


class SGDRegressor(RegressorMixin, LinearSGD):
    """scikit-learn's SGDRegressor on fastsgd's engine.

    Parameters up to ``average`` are scikit-learn's, with its meanings and defaults; those that follow have no equal
    there. :class:`SGDClassifier` describes all that is not said here.

    Parameters
    ----------
    loss : str
        squared_error, huber, epsilon_insensitive or squared_epsilon_insensitive.
    penalty, alpha, l1_ratio, fit_intercept, max_iter, tol, shuffle, verbose, epsilon, random_state, learning_rate, \
eta0, power_t, early_stopping, validation_fraction, n_iter_no_change, warm_start, average, batch_size, optimizer, \
scoring, callbacks, progress, n_jobs
        As for :class:`SGDClassifier`; early stopping looks at R^2 by default.

    Attributes
    ----------
    coef_ : ndarray (columns,)
    intercept_ : ndarray (1,)
        Both are views of the network's memory.
    n_iter_, t_, validation_scores_, n_features_in_, feature_names_in_
        As there.

    Examples
    --------
    >>> from fastsgd import SGDRegressor
    >>> import numpy as np
    >>> X = np.random.default_rng(0).standard_normal((200, 3))
    >>> SGDRegressor(random_state=0).fit(X, X @ [1.0, 2.0, 3.0]).coef_.round(1)
    array([1., 2., 3.])
    """

    loss_functions: ClassVar[dict[str, tuple]] = {
        name: entry for name, entry in SGDClassifier.loss_functions.items() if LOSSES[entry[0]].targets.has_unit}
    _parameter_constraints: ClassVar[dict] = {**LinearSGD._parameter_constraints,
                                              "loss": [StrOptions(set(loss_functions))]}
    _splitter = ShuffleSplit
    _first_attribute = "coef_"

    def __init__(self, loss="squared_error", *, penalty="l2", alpha=0.0001, l1_ratio=0.15, fit_intercept=True,
                 max_iter=1000, tol=1e-3, shuffle=True, verbose=0, epsilon=DEFAULT_EPSILON, random_state=None,
                 learning_rate="invscaling", eta0=0.01, power_t=0.25, early_stopping=False, validation_fraction=0.1,
                 n_iter_no_change=5, warm_start=False, average=False, batch_size=1, optimizer=None, scoring=None,
                 callbacks=None, progress=False, n_jobs=None):
        self._keep(locals())

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, sample_weight=None):
        """One epoch over these rows, with the rates of the call before.

        Parameters
        ----------
        X, y, sample_weight
            As for ``fit``.

        Returns
        -------
        self
        """
        if not hasattr(self, "coef_"):
            self._check_parameters(incremental=True)
        self.t_ = getattr(self, "t_", 1.0)
        return self._fit(X, y, sample_weight=sample_weight)

    def predict(self, X):
        """The target of each row, (rows,)."""
        self._require_fitted()
        return self._scores(X)[:, 0]

    # ---- what training needs to know ----

    def _validate_rows(self, X, y, reset, **more):
        return super()._validate_rows(X, y, reset, y_numeric=True, **more)

    def _coefficients(self, weights):
        return weights[:, 0]

    def _encode(self, y, dtype):
        return to_dtype(y, dtype, "y")[:, np.newaxis]

    def _metrics(self, targets, trained):
        return r2_metric(targets, trained), None

    def _outputs_of(self):
        return 1
