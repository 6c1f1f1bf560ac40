"""``TabularClassifier`` and ``TabularRegressor``: tables as they are, defaults that need no tuning."""
from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, ClassVar, NamedTuple

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin, is_classifier
from sklearn.utils import check_random_state
from sklearn.utils._missing import is_pandas_na, is_scalar_nan
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_feature_names,
    _check_sample_weight,
    assert_all_finite,
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from fastsgd.data.advice import warn
from fastsgd.display.shown import Table as ShownTable
from fastsgd.estimators.base import SEEDS, refuse_times, threads_of, weights_for_classes
from fastsgd.estimators.documented import DocumentedEstimator
from fastsgd.network.network import Network
from fastsgd.runs.callbacks import Progress
from fastsgd.runs.history import History
from fastsgd.tables.columns import Category, Number
from fastsgd.tables.encoding import Encoding
from fastsgd.tables.few_rows import FEW, FewRows
from fastsgd.tables.frames import frame_names, is_frame, refuse_lazy, table_of
from fastsgd.tables.inputs import KINDS, Wishes, learn_inputs
from fastsgd.tables.read import Table
from fastsgd.tables.wording import some
from fastsgd.tabular.explanation import Explanation, shapley_values
from fastsgd.tabular.fitting import QUANTILES, Rows, fit
from fastsgd.tabular.importance import by_name, permutation_importance
from fastsgd.tabular.model import TabularModel, description
from fastsgd.tabular.recipe import QUALITIES, Recipe, recipe_for

TARGET = "target"                            # the name of one that has none
MOST_SHOWN = 50                              # columns, in a notebook


class ColumnUse(NamedTuple):
    """What was made of a column: its kind, in words, and how many inputs of the network; 0 where it is left out."""

    name: str
    kind: str
    inputs: int


class Tabular(DocumentedEstimator):
    """What both estimators share."""

    _parameter_constraints: ClassVar[dict] = {
        "quality": [StrOptions(set(QUALITIES))],
        "columns": [Mapping, None],
        "time_limit": [Interval(Real, 0, None, closed="neither"), None],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "recipe": [Recipe, None],
        "random_state": ["random_state"],
        "n_jobs": [Integral, None],
        "progress": ["boolean"],
    }

    _model: TabularModel
    _few_rows: FewRows
    _few_at: tuple[tuple, list[int]] | None          # the columns of the last few rows, and where the needed ones are
    _names_given: list[str] | None                   # of a frame, whatever they were, as text
    columns_: tuple[ColumnUse, ...]
    feature_names_in_: np.ndarray

    def __init__(self, *, quality="good", columns=None, time_limit=None, validation_fraction=0.2, recipe=None,
                 random_state=None, n_jobs=None, progress=False):
        self.quality = quality
        self.columns = columns
        self.time_limit = time_limit
        self.validation_fraction = validation_fraction
        self.recipe = recipe
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.progress = progress

    def fit(self, X, y, sample_weight=None, *, X_val=None, y_val=None, sample_weight_val=None):
        """Learns a table.

        Parameters
        ----------
        X : data frame or array (rows, columns)
            Of pandas, Polars or pyarrow, with columns of any kind; or an array of numbers, strings or objects.
        y : array (rows,)
            Classes, or quantities.
        sample_weight : array (rows,), optional
            How much each row counts.
        X_val, y_val, sample_weight_val : optional
            Rows to choose the best epoch and to calibrate with, instead of a part of X.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            Where something cannot be used; what is wrong with a column is told with its name.
        """
        self._validate_params()
        kinds, dropped = self._kinds(), self._dropped()
        table = self._table(X, reset=True, drop=dropped)
        name_of_y, y = _name_of(y, self._input_names()), self._checked_target(y)
        check_consistent_length(X, y)
        if len(y) < 2:
            raise ValueError(f"{type(self).__name__} needs at least 2 rows, got n_samples = {len(y)}")
        weight = None if sample_weight is None else _check_sample_weight(sample_weight, y, ensure_non_negative=True)
        for name in kinds:
            if name not in self._input_names():
                raise ValueError(f"columns: there is no column {name!r}; the columns are "
                                 f"{', '.join(self._input_names())}")
        seed = int(check_random_state(self.random_state).randint(SEEDS))
        codes, target = self._learn_target(y, name_of_y)
        class_weights = self._class_weights(codes, weight)
        inputs, found, left_out = learn_inputs(table, set(table), Wishes(kinds=kinds, coded=True), slice(None), _silent,
                                               warn)
        empty = sorted(set(table) - set(found) - set(left_out))
        left_out = dict.fromkeys(empty, "empty in the rows to train on") | left_out
        if not inputs:
            raise ValueError("X has no column to learn from: " + ("; ".join(
                f"{name!r}, {why}" for name, why in list(left_out.items())[:6]) or "all were dropped by columns="))
        encoding = Encoding(inputs, (target,), quantiles=() if isinstance(target, Category) else (None, *QUANTILES))
        rows = _weighted(Rows(encoding.rows(table), codes, weight), class_weights)
        validation = self._validation_rows(encoding, X_val, y_val, sample_weight_val)
        if validation is not None:
            validation = _weighted(validation, class_weights)
        classes = len(encoding.classes)
        recipe = self.recipe or recipe_for(
            len(y) if validation else round(len(y) * (1 - self.validation_fraction)), classes, self.quality)
        fitted = fit(rows, recipe, encoding.categories(), classes, seed=seed, validation=validation,
                     fraction=self.validation_fraction, threads=self._threads(), time_limit=self.time_limit,
                     callbacks=[Progress()] if self.progress else [])
        self.__dict__.pop("_importances", None)
        self.recipe_ = fitted.recipe
        self._folds = fitted.folds
        self._left_out = left_out | dict.fromkeys(dropped, "as you said")
        self._hold(TabularModel(encoding, fitted.net, self._limits(y)))
        return self

    def _hold(self, model: TabularModel) -> None:
        self._model, self._few_rows, self._few_at = model, FewRows(model.encoding), None
        self.columns_ = (*(ColumnUse(column.name, column.kind, column.width) for column in model.encoding.columns),
                         *(ColumnUse(name, f"left out: {why}", 0) for name, why in self._left_out.items()))

    # ---- what is given ----

    def _kinds(self) -> dict[str, str]:
        kinds = dict(self.columns or {})
        for name, kind in kinds.items():
            if not isinstance(name, str) or kind not in KINDS:
                raise ValueError(f"columns must map names of columns to {', '.join(map(repr, KINDS))}, got "
                                 f"{name!r:.60}: {kind!r:.60}; columns without names of text are called x0, x1, ...")
        return kinds

    def _dropped(self) -> list[str]:
        """The columns that are not looked at."""
        return [name for name, kind in self._kinds().items() if kind == "drop"]

    def _table(self, X, reset: bool, drop: Iterable[str] = ()) -> Table:
        refuse_lazy(X, "X")
        if not is_frame(X):
            X = validate_data(self, X, reset=reset, dtype=None, ensure_all_finite=False, ensure_min_samples=1)
            if reset:
                self._names_given = None
            return table_of(X, drop)
        table, names = table_of(X, drop), list(map(str, frame_names(X)))
        if not names:
            raise ValueError(f"Found array with 0 feature(s) (shape=({len(X)}, 0)) while a minimum of 1 is required.")
        if not len(X):
            raise ValueError("X has no rows")
        if reset:
            _check_feature_names(self, X, reset=True)
            self.n_features_in_ = len(names)
            self._names_given = names
        if not hasattr(self, "feature_names_in_"):              # as its names are no strings, they count as none
            if len(names) != self.n_features_in_:
                raise ValueError(f"X has {len(names)} features, but {type(self).__name__} is expecting "
                                 f"{self.n_features_in_} features as input")
            self._check_names_given(names)
            renamed = Table(zip(self._input_names(), table.values(), strict=True))
            renamed.categories = frozenset(new for new, old in zip(renamed, table, strict=True)
                                           if old in table.categories)
            return renamed
        return table

    def _check_names_given(self, names: list[str]) -> None:
        """ValueError where a frame whose names are no strings, and so are not asked for, has others than at the fit."""
        expected = self.__dict__.get("_names_given")          # None of an array
        if expected is not None and names != expected:
            raise ValueError(f"X has the columns {some(names)}, the model was fitted to {some(expected)}, in this "
                             "order: names that are no strings are not looked up")

    def _encoded(self, encoding: Encoding, X) -> np.ndarray:
        return encoding.rows(self._table_with(encoding, X))

    def _table_with(self, encoding: Encoding, X) -> Table:
        """The columns of X; ValueError where one of the encoding is not among them."""
        if hasattr(X, "iat") and not is_frame(X):
            raise ValueError("X must have rows and columns, got a Series; of one row of a data frame give "
                             "frame.iloc[[0]], not frame.iloc[0]")
        named = hasattr(self, "feature_names_in_")              # others are told apart by their places
        table = self._table(X, reset=False, drop={*self._dropped()} - {*encoding.names} if named else ())
        if missing := [column.name for column in encoding.columns if column.name not in table]:
            _check_feature_names(self, X, reset=False)
            if not is_frame(X):
                raise ValueError("X has no names of columns, which the model was fitted to: give a data frame")
            raise ValueError(f"X lacks columns that the model needs: {some(list(map(repr, missing)))}")
        return table

    def _validation_rows(self, encoding: Encoding, X, y, weight) -> Rows | None:
        if X is None and y is None:
            if weight is not None:
                raise ValueError("sample_weight_val needs X_val and y_val")
            return None
        if X is None or y is None:
            raise ValueError("X_val and y_val go together, one of them is missing")
        refuse_lazy(X, "X_val")
        check_consistent_length(X, y)
        weight = None if weight is None else _check_sample_weight(weight, y, ensure_non_negative=True)
        return Rows(self._encoded(encoding, X), self._encoded_target(y, encoding), weight)

    def _checked_target(self, y) -> np.ndarray:
        """(rows,), without missing values."""
        _refuse_missing(y)
        return column_or_1d(y, warn=True)

    def _learn_target(self, y: np.ndarray, name: str) -> tuple[np.ndarray, Number | Category]:
        """What the network is trained on, and the column of the encoding, with its name."""
        raise NotImplementedError

    def _encoded_target(self, y, encoding: Encoding) -> np.ndarray:
        raise NotImplementedError

    def _class_weights(self, codes: np.ndarray, weight: np.ndarray | None) -> np.ndarray | None:
        """(classes,), where there are such and they do not count alike."""
        return None

    def _limits(self, y: np.ndarray) -> tuple[float, float] | None:
        return None

    def _threads(self) -> int | None:
        return threads_of(self.n_jobs)

    # ---- what it has learned ----

    @property
    def network_(self) -> Network:
        """The network behind the columns, which takes what :meth:`encode` makes of rows."""
        check_is_fitted(self)
        return self._model.net

    @property
    def history_(self) -> History:
        """Of the training; of the first fold where there are several. AttributeError after loading."""
        check_is_fitted(self)
        if not self._folds:
            raise AttributeError("history_ is of a fit, and an estimator that was read from a file has none")
        return self._folds[0].history

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_model")

    def __getstate__(self):
        state = dict(super().__getstate__())
        for name in ("_few_rows", "_few_at"):                # closures, which are made again
            state.pop(name, None)
        return state

    def __setstate__(self, state):
        super().__setstate__(state)
        if "_model" in self.__dict__:
            self._hold(self._model)

    def encode(self, X) -> np.ndarray:
        """The network's inputs, float32 (rows, inputs)."""
        if "_model" not in self.__dict__:            # check_is_fitted takes longer than a prediction
            check_is_fitted(self)
        if hasattr(X, "iat") and hasattr(X, "columns") and len(X) <= FEW and (few := self._encode_few(X)) is not None:
            return few
        return self._encoded(self._model.encoding, X)

    @property
    def feature_importances_(self) -> np.ndarray:
        """How much worse predictions of held-out rows become where a column is shuffled, (columns,); 0 if left out.

        It is the increase of the log loss, or of the root mean squared error in the unit of y, the mean of 5 shuffles
        (Breiman 2001); computed when it is first asked for.
        """
        check_is_fitted(self)
        if "_importances" not in self.__dict__:
            if not self._folds:
                raise AttributeError("feature_importances_ need the held-out rows of the fit, which a file has not, "
                                     "and were not asked for before the estimator was saved")
            found = permutation_importance(self._model.net, self._folds, self._model.encoding, threads=self._threads())
            self._importances = by_name(found, self._model.encoding, self._input_names())
        return np.array(self._importances)

    def explain(self, X, samples: int = 128, background=None) -> Explanation:
        """What each column adds to the predictions of these rows: sampled Shapley values.

        Parameters
        ----------
        X : data frame or array (rows, columns)
        samples : int
            Orders of columns that are drawn for each row; the error falls with their square root.
        background : data frame or array, optional
            The rows that those of X are compared with; the held-out rows of the fit by default.

        Returns
        -------
        Explanation
            ``values`` (rows, columns), or (rows, columns, classes) of probabilities, and ``base``: with the values of a
            row it adds up to its prediction. ``plot()`` draws one row.
        """
        check_is_fitted(self)
        if isinstance(samples, bool) or not isinstance(samples, Integral) or samples < 1:
            raise ValueError(f"samples must be a whole number, at least 1, got {samples!r}")
        if background is None and not self._folds:
            raise ValueError("background is needed: an estimator that was read from a file has no rows of its fit")
        if background is not None and not len(background):
            raise ValueError("background has no rows")
        compared = self._folds[0].held_out.X if background is None else self.encode(background)
        table, threads = self._table_with(self._model.encoding, X), self._threads()
        encoded = self._model.encoding.rows(table)
        outputs = slice(None) if self._model.classes else slice(1)

        def predict(rows: np.ndarray) -> np.ndarray:
            return self._model.outputs(rows, threads)[:, outputs]

        found, base = shapley_values(predict, encoded, compared, self._model.encoding.slices, samples, seed=0)
        names = self._input_names()
        values = np.zeros((len(encoded), self.n_features_in_, found.shape[2]))
        values[:, [names.index(column.name) for column in self._model.encoding.columns]] = found
        cells = np.array([table[name] if name in table else np.full(len(encoded), "") for name in names], object).T
        if not self._model.classes:
            return Explanation(values[:, :, 0], float(base[0]), tuple(names), cells)
        return Explanation(values, base, tuple(names), cells, tuple(self.classes_.tolist()))

    def _input_names(self) -> list[str]:
        names = getattr(self, "feature_names_in_", None)
        return [f"x{i}" for i in range(self.n_features_in_)] if names is None else list(map(str, names))

    def _encode_few(self, frame) -> np.ndarray | None:
        """A few rows of a pandas data frame; None where a value or a column is not plain."""
        few, names = self._few_rows, tuple(frame.columns)
        if self._few_at is None or self._few_at[0] != names:
            if len(set(names)) < len(names) or not set(few.names) <= set(names):
                return None
            self._few_at = names, [names.index(name) for name in few.names]
        at, places = frame.iat, self._few_at[1]
        return few([at[row, place] for place in places] for row in range(len(frame))) if len(frame) else None

    def _outputs(self, X) -> np.ndarray:
        encoded = self.encode(X)
        return self._model.outputs(encoded, None if len(encoded) <= FEW else self._threads())

    def save(self, path) -> None:
        """Writes the fitted estimator as one safetensors file: complete or not at all.

        ``fastsgd.tabular.load`` reads it; nothing in such a file is executed. ``fastsgd predict`` and ``fastsgd
        export`` take it, too.
        """
        self._table_network().save(path)

    def _table_network(self) -> Network:
        """The network with the encoding of the columns in its metadata: what a file holds, and what is exported."""
        check_is_fitted(self)
        self._model.about = self._about()
        return self._model.network()

    def _about(self) -> dict[str, Any]:
        names = getattr(self, "feature_names_in_", None)
        return description(
            type(self).__name__, features=self.n_features_in_, names=None if names is None else list(map(str, names)),
            left_out=self._left_out, importances=self.__dict__.get("_importances"),
            recipe=getattr(self, "recipe_", None),
            parameters={name: value for name, value in self.get_params(deep=False).items() if _is_json(value)},
            classes=self._model.encoding.classes, dtype=self.classes_.dtype if is_classifier(self) else None
        ) | {"names_given": self.__dict__.get("_names_given")}

    def _restore(self, model: TabularModel) -> None:
        about = model.about
        self.n_features_in_ = int(about["features"])
        if about["names"] is not None:
            self.feature_names_in_ = np.array(about["names"], dtype=object)
        self._names_given = about.get("names_given")
        if about["importances"] is not None:
            self._importances = list(map(float, about["importances"]))
        if about.get("recipe") is not None:
            self.recipe_ = Recipe(**about["recipe"])
        self.set_params(**about.get("parameters", {}))
        self._validate_params()
        self._left_out, self._folds = dict(about["left_out"]), []
        self._hold(model)

    def _html_repr(self) -> str:
        """scikit-learn's, and below it the columns of a fitted estimator."""
        shown = super()._html_repr()
        if not self.__sklearn_is_fitted__():
            return shown
        columns = [(name, kind, str(inputs)) for name, kind, inputs in self.columns_]
        more = [("", f"{len(columns) - MOST_SHOWN:,} more", "")] * (len(columns) > MOST_SHOWN)
        return shown + ShownTable("", ("column", "recognised as", "inputs"), columns[:MOST_SHOWN] + more).html()

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        return tags


class TabularClassifier(ClassifierMixin, Tabular):
    """Learns the classes of a table's rows: columns of any kind, no settings to tune.

    Members of an ensemble of small networks are trained side by side on a piecewise-linear encoding of numbers
    (Gorishniy et al. 2022, arXiv 2203.05556), the best epoch is chosen on rows that are held out, and on these the
    probabilities are calibrated (Guo et al. 2017, arXiv 1706.04599).

    Parameters
    ----------
    quality : "fast", "good" or "best"
        A point on the curve of quality against time.
    columns : dict, optional
        What some columns are, by name (of an array x0, x1, ...): "number", "category", "date", "text", or "drop".
    class_weight : dict or "balanced", optional
        How much the rows of each class count, times sample_weight; "balanced" makes all classes count alike. Rows that
        are held out are weighted, too: probabilities are those of a population with these weights.
    time_limit : float, optional
        Seconds that a fit may take, about. With it results depend on the machine.
    validation_fraction : float
        The part of the rows that is held out where the recipe has one fold. With more folds each is held out in turn.
    recipe : fastsgd.tabular.Recipe, optional
        The settings, instead of those that quality stands for.
    random_state : int, RandomState or None
        The same int gives the same bits, for any n_jobs.
    n_jobs : int, optional
        Threads; -1 for all cores. None lets the engine choose.
    progress : bool
        Whether to show a bar.

    Attributes
    ----------
    classes_ : ndarray
    columns_ : tuple of (name, kind, inputs)
        What was made of each column.
    network_ : fastsgd.Network
    recipe_ : fastsgd.tabular.Recipe
        What was trained: ``members`` networks of ``depth`` hidden layers, beside a linear model where held-out rows
        say that it helps; of 0 members the linear model alone.
    history_ : fastsgd.History
        Of the training, of the first fold where there are several; a loaded estimator has none.

    Examples
    --------
    >>> import pandas as pd
    >>> from fastsgd import TabularClassifier
    >>> frame = pd.DataFrame({"size": [1.0, 2.5, None, 4.0] * 20, "colour": ["red", "blue", "red", "green"] * 20})
    >>> model = TabularClassifier(random_state=0).fit(frame, ["a", "b", "a", "b"] * 20)
    >>> model.predict(frame[:3]).tolist()
    ['a', 'b', 'a']
    >>> model.columns_[0]
    ColumnUse(name='size', kind='number', inputs=2)
    """

    _parameter_constraints: ClassVar[dict] = {
        **Tabular._parameter_constraints, "class_weight": [StrOptions({"balanced"}), dict, None]}

    def __init__(self, *, quality="good", columns=None, class_weight=None, time_limit=None, validation_fraction=0.2,
                 recipe=None, random_state=None, n_jobs=None, progress=False):
        super().__init__(quality=quality, columns=columns, time_limit=time_limit, recipe=recipe, n_jobs=n_jobs,
                         validation_fraction=validation_fraction, random_state=random_state, progress=progress)
        self.class_weight = class_weight

    def _class_weights(self, codes, weight):
        if self.class_weight is None:
            return None
        return weights_for_classes(self.class_weight, self.classes_, codes, weight)

    def _checked_target(self, y) -> np.ndarray:
        y = super()._checked_target(y)
        if y.dtype.kind == "f":
            assert_all_finite(y, input_name="y")
        check_classification_targets(y)
        return y

    def _learn_target(self, y, name):
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError("y has a single class; a classifier needs at least 2 classes")
        return codes, Category(name, tuple(map(_level, self.classes_.tolist())))

    def _encoded_target(self, y, encoding):
        y = self._checked_target(y)
        places = {label: i for i, label in enumerate(self.classes_.tolist())}
        try:
            return np.array([places[label] for label in y.tolist()])
        except KeyError as error:
            raise ValueError(f"y_val has the class {error.args[0]!r}, which y has not") from None

    def predict_proba(self, X) -> np.ndarray:
        """Calibrated probabilities, (rows, classes), in the order of ``classes_``."""
        found = self._outputs(X).astype(float)
        return found / found.sum(axis=1, keepdims=True)

    def predict(self, X) -> np.ndarray:
        """The most probable class of each row."""
        best = self._outputs(X).argmax(axis=1)
        return self.classes_[best]

    def _restore(self, model):
        super()._restore(model)
        levels = model.about["classes"]
        dtype = np.dtype(model.about["classes_dtype"])
        self.classes_ = np.array(levels, dtype=object if dtype.kind == "O" else dtype)


class TabularRegressor(RegressorMixin, Tabular):
    """Learns a quantity of a table's rows, with its quantiles: columns of any kind, no settings to tune.

    As ``TabularClassifier``; a network has an output for the mean and one for each of several quantiles, which are
    moved so that their part of held-out rows lies below them (Romano et al. 2019, arXiv 1905.03222). Predictions stay
    between the least and the largest value of y.

    Parameters
    ----------
    quality, columns, time_limit, validation_fraction, recipe, random_state, n_jobs, progress :
        As of ``TabularClassifier``.

    Examples
    --------
    >>> import numpy as np
    >>> from fastsgd import TabularRegressor
    >>> x = np.linspace(0, 10, 400)
    >>> model = TabularRegressor(random_state=0).fit(x[:, np.newaxis], np.sin(x))
    >>> print(abs(model.predict([[1.5]])[0] - np.sin(1.5)) < 0.05)
    True
    >>> model.predict([[1.5]], quantiles=[0.1, 0.9]).shape
    (1, 2)
    """

    def _checked_target(self, y) -> np.ndarray:
        y = super()._checked_target(y)
        refuse_times(y)
        try:
            y = y.astype(float)
        except (TypeError, ValueError):
            raise ValueError(f"y must hold numbers, got {y[0]!r:.40}") from None
        if not np.isfinite(y).all():
            row = int(np.argmax(~np.isfinite(y)))
            raise ValueError(f"y contains NaN or infinity: {y[row]} in row {row}, counted from 0")
        with np.errstate(over="ignore", invalid="ignore"):
            if not np.isfinite(y.std()):
                raise ValueError(f"y holds values too large to standardise, up to {abs(y).max():g}")
        return y

    def _learn_target(self, y, name):
        target = Number.learn(name, y)
        return target.standardised(y, np.float32), target

    def _encoded_target(self, y, encoding):
        return encoding.target.standardised(self._checked_target(y), np.float32)

    def _limits(self, y):
        return float(y.min()), float(y.max())

    def predict(self, X, quantiles: Sequence[float] | None = None) -> np.ndarray:
        """The mean (rows,), or with ``quantiles`` these (rows, quantiles): numbers from 0.025 to 0.975."""
        if quantiles is None:
            return self._outputs(X)[:, 0]
        outputs = self._outputs(X)
        return self._model.quantiles(outputs, _checked_levels(quantiles))

    def predict_interval(self, X, coverage: float = 0.9) -> np.ndarray:
        """(rows, 2): between which y lies with the probability ``coverage``, of at most 0.95, and as often beside."""
        if not isinstance(coverage, Real) or not 0 < coverage <= 0.95:
            raise ValueError(f"coverage must be above 0 and at most 0.95, got {coverage!r}")
        return self.predict(X, quantiles=[(1 - coverage) / 2, (1 + coverage) / 2])


def _weighted(rows: Rows, class_weights: np.ndarray | None) -> Rows:
    if class_weights is None:
        return rows
    weight = class_weights[rows.y]
    return Rows(rows.X, rows.y, weight if rows.weight is None else weight * rows.weight)


def from_model(model: TabularModel) -> TabularClassifier | TabularRegressor:
    """The estimator of a file."""
    if not model.about:
        raise ValueError("the file holds a network of 'fastsgd train' with options of its own, which fastsgd predict "
                         "and fastsgd.Network.load take, but no TabularClassifier or TabularRegressor")
    kind: Any = TabularClassifier if model.classes else TabularRegressor
    made = kind()
    try:
        made._restore(model)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ValueError("the file is damaged: what it says of the estimator cannot be read") from None
    return made


def _checked_levels(quantiles) -> tuple[float, ...]:
    try:
        levels = tuple(float(level) for level in quantiles)
    except (TypeError, ValueError):
        levels = ()
    if not levels or not all(QUANTILES[0] <= round(level, 12) <= QUANTILES[-1] for level in levels):
        raise ValueError(f"quantiles must be a list of numbers from {QUANTILES[0]} to {QUANTILES[-1]}, got "
                         f"{quantiles!r:.80}")
    return tuple(min(max(round(level, 12), QUANTILES[0]), QUANTILES[-1]) for level in levels)


def _refuse_missing(y) -> None:
    """ValueError where a target has None, NaN or pandas' NA among objects."""
    values = np.asarray(y)
    if values.dtype.kind == "O" and values.ndim == 1:
        gone = [value is None or is_scalar_nan(value) or is_pandas_na(value) for value in values]
        if count := sum(gone):
            raise ValueError(f"y has {count:,} missing value{'s' * (count > 1)}, the first in row {gone.index(True)}, "
                             "counted from 0; leave these rows out: X[y.notna()], y[y.notna()] of pandas' frames")


def _name_of(y, inputs: list[str]) -> str:
    """That of a Series, by which the command finds the target in a table."""
    name = getattr(y, "name", None)
    return name if isinstance(name, str) and name and name not in inputs else TARGET


def _level(label) -> str | int | bool:
    """A class as an encoding has it."""
    if isinstance(label, float) and math.isfinite(label) and label.is_integer():
        return int(label)
    return label if isinstance(label, str | int | bool) else str(label)


def _is_json(value) -> bool:
    """Whether a file can hold it as it is."""
    try:
        return json.loads(json.dumps(value)) == value
    except (TypeError, ValueError):
        return False


def _silent(_: str) -> None:
    pass
