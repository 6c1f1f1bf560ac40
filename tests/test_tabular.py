"""TabularClassifier and TabularRegressor: messy tables in, calibrated predictions out, the same bits again."""
import copy
import datetime
import decimal
import pickle
import re
import warnings
from dataclasses import replace

import numpy as np
import pytest

import fastsgd
from fastsgd import tabular
from fastsgd.tabular.fitting import QUANTILES, folds_of, hold_out
from fastsgd.tabular.recipe import QUALITIES, recipe_for

pytest.importorskip("pandas")
pytest.importorskip("sklearn")
import pandas as pd
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.exceptions import NotFittedError
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastsgd import TabularClassifier, TabularRegressor

ROWS = 240
QUICK = fastsgd.tabular.Recipe(members=2, width=16, depth=1, activation="relu", bins=8, dropout=0.0, learning_rate=0.01,
                               weight_decay=0.01, batch_size=16, epochs=8, patience=8)
CHECKS = parametrize_with_checks(
    [TabularClassifier(recipe=QUICK), TabularRegressor(quality="fast")], expected_failed_checks=lambda model: {
        "check_sample_weight_equivalence_on_dense_data": "rows are shuffled and held out: a row of weight 2 is in one "
                                                         "mini-batch, a row that is there twice in two"}).mark


@pytest.mark.parametrize(CHECKS.args[0], list(CHECKS.args[1]), **CHECKS.kwargs)
def test_scikit_learns_checks(estimator, check):
    check(estimator)


def messy(rows=ROWS, seed=0):
    """A frame of all kinds of columns, classes and a quantity that depend on some of them."""
    rng = np.random.default_rng(seed)
    size, colour = rng.normal(5, 2, rows), rng.choice(["red", "green", "blue"], rows)
    quantity = 3 * size + 10 * (colour == "red") + rng.normal(0, 0.5, rows)
    frame = pd.DataFrame({
        "id": np.arange(rows) + 1000, "size": np.where(rng.random(rows) < 0.1, np.nan, size), "colour": colour,
        "price": [f"${1000 * value:,.2f}" for value in rng.random(rows)],
        "when": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 700, rows), unit="D"),
        "yes": rng.random(rows) < 0.5, "count": pd.array(rng.integers(0, 9, rows), dtype="Int64"),
        "amount": [decimal.Decimal(int(value)) / 100 for value in rng.integers(0, 1000, rows)],
        "grade": pd.Categorical(rng.choice(["a", "b", None], rows)), "nothing": [None] * rows, "one": 1,
        "zip": rng.integers(10000, 10005, rows),
        "note": [f"order {i} of {name}" for i, name in enumerate(rng.choice(["ann", "bob"], rows))]})
    frame.loc[3, "count"] = pd.NA
    return frame, np.where(quantity > np.median(quantity), "high", "low"), quantity


def kinds(model):
    return {use.name: use.kind for use in model.columns_}


def test_columns_are_recognised_and_told():
    frame, y, _ = messy()
    model = TabularClassifier(recipe=QUICK, random_state=0).fit(frame, y)
    found = kinds(model)
    assert found["size"] == found["price"] == found["yes"] == found["count"] == found["amount"] == "number"
    assert (found["colour"], found["grade"], found["zip"]) == ("3 levels", "2 levels and missing", "5 levels")
    assert found["when"].startswith("date (days")
    assert found["note"] == "text, its words hashed into 16 numbers"
    assert found["id"].startswith("left out: an identifier")
    assert found["nothing"].startswith("left out")
    assert list(model.feature_names_in_) == list(frame.columns)
    said = TabularClassifier(recipe=QUICK, random_state=0, columns={
        "count": "category", "note": "drop", "id": "number"}).fit(frame, y)
    assert "levels" in kinds(said)["count"]
    assert kinds(said)["note"] == "left out: as you said"
    assert kinds(said)["id"] == "number"


def test_a_table_is_learned_and_predictions_are_calibrated():
    frame, y, quantity = messy(600)
    new, y_new, quantity_new = messy(400, seed=1)
    model = TabularClassifier(random_state=0).fit(frame, y)
    probabilities = model.predict_proba(new)
    assert (model.predict(new) == y_new).mean() > 0.9
    assert log_loss(y_new, probabilities) < 0.3
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-12)
    regressor = TabularRegressor(random_state=0).fit(frame, quantity)
    assert regressor.score(new, quantity_new) > 0.85
    low, high = regressor.predict_interval(new, 0.8).T
    assert 0.65 < ((quantity_new >= low) & (quantity_new <= high)).mean() < 0.92
    each = regressor.predict(new, quantiles=[0.1, 0.25, 0.5, 0.9])
    assert each.shape == (400, 4)
    assert (np.diff(each, axis=1) >= 0).all()
    assert regressor.predict(new).min() >= quantity.min()
    assert regressor.predict(new).max() <= quantity.max()


@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow", "categories", "arrow dtypes", "objects"])
def test_frames_of_other_kinds_give_the_same_predictions(kind):
    frame, y, _ = messy()
    frame = frame.drop(columns=["amount", "nothing", "yes"])
    model = TabularClassifier(recipe=QUICK, random_state=0).fit(frame, y)
    expected = model.predict_proba(frame)
    if kind == "polars":
        other = pytest.importorskip("polars").from_pandas(frame)
    elif kind == "pyarrow":
        other = pytest.importorskip("pyarrow").Table.from_pandas(frame, preserve_index=False)
    elif kind == "categories":
        other = frame.astype({"colour": "category"})
    elif kind == "arrow dtypes":
        pytest.importorskip("pyarrow")
        other = frame.convert_dtypes(dtype_backend="pyarrow")
    elif kind == "objects":
        other = frame.astype(object)
    else:
        other = frame
    np.testing.assert_array_equal(model.predict_proba(other), expected)
    again = TabularClassifier(recipe=QUICK, random_state=0).fit(other, y)
    np.testing.assert_array_equal(again.predict_proba(other), expected)


@pytest.mark.parametrize("quality", QUALITIES)
def test_the_same_seed_gives_the_same_bits_for_any_number_of_threads(quality):
    frame, y, quantity = messy(120)
    for kind, target, classes in ((TabularClassifier, y, 2), (TabularRegressor, quantity, 0)):
        recipe = replace(recipe_for(96, classes, quality), epochs=4)
        found = [kind(recipe=recipe, random_state=3, n_jobs=jobs).fit(frame, target).network_.params for jobs in (1, 2)]
        np.testing.assert_array_equal(*found)
        other = kind(recipe=recipe, random_state=4).fit(frame, target).network_.params
        assert not np.array_equal(other, found[0])


def test_files_and_pickles_hold_all_of_it(tmp_path):
    frame, y, quantity = messy()
    for kind, target in ((TabularClassifier, y), (TabularRegressor, quantity)):
        model = kind(recipe=QUICK, random_state=0).fit(frame, target)
        importances = model.feature_importances_
        model.save(tmp_path / "model.fastsgd")
        for twin in (tabular.load(tmp_path / "model.fastsgd"), pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
            assert type(twin) is kind
            np.testing.assert_array_equal(twin.predict(frame), model.predict(frame))
            np.testing.assert_array_equal(twin.feature_importances_, importances)
            assert twin.columns_ == model.columns_
        np.testing.assert_array_equal(tabular.load(tmp_path / "model.fastsgd").feature_names_in_, frame.columns)
    for classes in ([0, 1], [0.0, 1.0], [False, True], ["no", "yes"]):
        target = np.array(classes)[(y == "high").astype(int)]
        model = TabularClassifier(recipe=QUICK, random_state=0).fit(frame, target)
        model.save(tmp_path / "model.fastsgd")
        twin = tabular.load(tmp_path / "model.fastsgd")
        assert twin.classes_.dtype == model.classes_.dtype
        np.testing.assert_array_equal(twin.predict(frame), model.predict(frame))
    fastsgd.Network([2, 2], seed=0).save(tmp_path / "net.safetensors")
    with pytest.raises(ValueError, match="has no table encoding"):
        tabular.load(tmp_path / "net.safetensors")


def test_what_a_file_says_of_the_fit(tmp_path):
    frame, y, _ = messy()
    model = TabularClassifier(recipe=QUICK, columns={"size": "drop"}, class_weight={"low": 1.0, "high": 2.0},
                              random_state=3, n_jobs=1).fit(frame, pd.Series(y, name="level"))
    model.save(tmp_path / "model.fastsgd")
    twin = tabular.load(tmp_path / "model.fastsgd")
    assert twin.get_params() == model.get_params() | {"recipe": None}
    assert twin.recipe_ == model.recipe_
    assert twin._model.encoding.target_names == ("level",)
    assert "history_" in dir(model)
    assert dir(twin)
    assert "colour" in twin._repr_html_()
    with pytest.raises(AttributeError, match="history_ is of a fit"):
        _ = twin.history_
    for name in ("size", "", 7):                       # a column of X, or no name
        named = TabularClassifier(recipe=QUICK, random_state=0).fit(frame, pd.Series(y, name=name))
        assert named._model.encoding.target_names == ("target",)


@pytest.mark.parametrize("dtype", [object, "str", "string", "category"])
def test_missing_values_in_y_are_named(dtype):
    frame, y, _ = messy()
    for rows in ([0], [5, 7], [len(y) - 1]):
        gaps = pd.Series(y).astype(dtype)
        gaps[rows] = None
        values = f"missing value{'s' * (len(rows) > 1)}"
        with pytest.raises(ValueError, match=f"^y has {len(rows)} {values}, the first in row {rows[0]}, counted"):
            TabularClassifier(recipe=QUICK).fit(frame, gaps)


def test_single_rows_are_encoded_as_many_are():
    frame, y, _ = messy()
    frame = frame.drop(columns=["price", "when", "amount"])             # which are not plain
    model = TabularClassifier(recipe=QUICK, random_state=0).fit(frame, y)
    odd = frame.copy()
    odd.loc[0, "colour"], odd.loc[1, "size"], odd.loc[2, "zip"] = "violet", np.inf, 99999
    expected = model.encode(odd)
    for row in range(40):
        np.testing.assert_array_equal(model.encode(odd.iloc[row:row + 1]), expected[row:row + 1])
        np.testing.assert_array_equal(model.predict_proba(odd.iloc[row:row + 1]), model.predict_proba(odd)[row:row + 1])
    assert model._few_rows(odd[model._few_rows.names].to_numpy()[:1]) is not None


def test_validation_rows_may_be_given():
    frame, y, quantity = messy()
    model = TabularClassifier(recipe=QUICK, random_state=0).fit(frame[:160], y[:160], X_val=frame[160:], y_val=y[160:])
    assert len(model.history_.validation_cost) == model.recipe_.epochs
    for arguments, message in (({"X_val": frame}, "X_val and y_val go together"),
                               ({"X_val": frame[:5], "y_val": ["other"] * 5}, "y_val has the class 'other'")):
        with pytest.raises(ValueError, match=message):
            TabularClassifier(recipe=QUICK).fit(frame, y, **arguments)
    TabularRegressor(recipe=QUICK).fit(frame[:160], quantity[:160], X_val=frame[160:], y_val=quantity[160:])


def test_weights_count():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 1))
    y = rng.integers(0, 2, 400)
    heavy = np.where(y == 1, 9.0, 1.0)
    model = TabularClassifier(recipe=QUICK, random_state=0).fit(X, y, sample_weight=heavy)
    assert abs(model.predict_proba(X)[:, 1].mean() - 0.9) < 0.05
    quantity = y.astype(float)
    assert abs(TabularRegressor(recipe=QUICK, random_state=0).fit(X, quantity, sample_weight=heavy).predict(X).mean()
               - 0.9) < 0.06


def test_classes_have_weights():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 2))
    y = np.where(rng.random(600) < 0.1, "rare", "often")
    shares = {None: y == "rare", "balanced": 0.5, (("often", 1), ("rare", 4)): 0.4 / 1.3}
    for weights, share in shares.items():
        weights = dict(weights) if isinstance(weights, tuple) else weights
        model = TabularClassifier(recipe=QUICK, class_weight=weights, random_state=0).fit(X, y)
        assert model.predict_proba(X)[:, 1].mean() == pytest.approx(np.mean(share), abs=0.1)
    with pytest.raises(ValueError, match="class_weight"):
        TabularClassifier(class_weight="equal").fit(X, y)
    given = {"X_val": X[:300], "y_val": y[:300]}
    balanced = TabularClassifier(recipe=QUICK, class_weight="balanced", random_state=0).fit(X[300:], y[300:], **given)
    assert balanced.predict_proba(X)[:, 1].mean() == pytest.approx(0.5, abs=0.1)


def test_explanations_add_up_and_find_the_columns_that_count():
    frame, y, quantity = messy(400)
    model = TabularRegressor(random_state=0).fit(frame, quantity)
    importances = dict(zip(frame.columns, model.feature_importances_, strict=True))
    assert sorted(importances, key=importances.get)[-2:] in (["colour", "size"], ["size", "colour"])
    assert importances["id"] == importances["nothing"] == 0
    for samples in (1, 7, 400):
        values, base = model.explain(frame[:10], samples=samples)
        assert values.shape == (10, frame.shape[1])
        np.testing.assert_allclose(values.sum(axis=1) + base, model.predict(frame[:10]), rtol=1e-4)
    assert base == pytest.approx(model.predict(frame).mean(), abs=0.2 * quantity.std())
    classifier = TabularClassifier(recipe=QUICK, random_state=0).fit(frame, y)
    values, base = classifier.explain(frame[:3], background=frame[:50])
    assert (values.shape, base.shape) == ((3, frame.shape[1], 2), (2,))
    np.testing.assert_allclose(values.sum(axis=2), 0, atol=1e-6)
    np.testing.assert_allclose(values.sum(axis=1) + base, classifier.predict_proba(frame[:3]), atol=1e-5)


def test_explanations_show_and_draw_a_row():
    pytest.importorskip("matplotlib")
    frame, y, quantity = messy(400)
    one = TabularRegressor(recipe=QUICK, random_state=0).fit(frame, quantity).explain(frame[3:4])
    assert re.search(r"^size = \S+ +[+-]", str(one), re.M)
    assert f"{one.base + one.values.sum():.4g}" in str(one).splitlines()[-1]
    ax = one.plot()
    widths = {label.get_text(): bar.get_width() for label, bar in zip(ax.get_yticklabels(), ax.patches, strict=True)}
    assert sum(widths.values()) == pytest.approx(one.values.sum())
    assert ax.patches[-1].get_x() == pytest.approx(one.base)
    classifier = TabularClassifier(recipe=QUICK, random_state=0).fit(frame, y)
    named = classifier.explain(frame[:7])
    assert f"row 0: {classifier.predict(frame[:1])[0]}" in str(named)
    assert "the first 5 of 7 rows" in named._repr_html_()
    assert f"probability of '{classifier.predict(frame[6:7])[0]}'" == named.plot(6).get_xlabel()
    with pytest.raises(IndexError, match="row must be below 7, the rows explained, got 7"):
        named.plot(7)


def test_scikit_learn_takes_them_as_its_own():
    frame, y, quantity = messy()
    frame = frame[["size", "colour", "grade"]]
    search = GridSearchCV(TabularClassifier(recipe=QUICK, random_state=0), {"columns": [None, {"grade": "drop"}]},
                          cv=2).fit(frame, y)
    assert search.best_score_ > 0.7
    assert cross_val_score(clone(TabularRegressor(recipe=QUICK, random_state=0)), frame, quantity, cv=2).shape == (2,)
    passed = make_column_transformer(("passthrough", ["size", "colour"])).set_output(transform="pandas")
    pipeline = make_pipeline(passed, TabularClassifier(recipe=QUICK, random_state=0)).fit(frame, y)
    assert pipeline.score(frame, y) > 0.8
    found = permutation_importance(search.best_estimator_, frame, y, n_repeats=2, random_state=0)
    assert found.importances_mean.argmax() < 2


def test_shap_explains_them():
    shap = pytest.importorskip("shap")
    frame, _, quantity = messy()
    model = TabularRegressor(recipe=QUICK, random_state=0).fit(frame[["size", "count"]].astype(float), quantity)
    X = frame[["size", "count"]].astype(float)[:8]
    found = shap.Explainer(model.predict, X)(X)
    np.testing.assert_allclose(found.values.sum(axis=1) + found.base_values, model.predict(X), rtol=1e-6)


@pytest.mark.parametrize("rows", [60, 200])
def test_small_tables_are_no_worse_than_linear_models(rows):
    ours, linear = [], []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(rows + 500, 5))
        y = X @ [1.0, -1.0, 0.5, 0, 0] + 0.5 * rng.normal(size=rows + 500)
        regressor = TabularRegressor(random_state=seed).fit(X[:rows], y[:rows])
        ours.append(np.sqrt(np.mean((regressor.predict(X[rows:]) - y[rows:]) ** 2)))
        linear.append(np.sqrt(np.mean((Ridge().fit(X[:rows], y[:rows]).predict(X[rows:]) - y[rows:]) ** 2)))
        labels = y > 0
        classifier = TabularClassifier(random_state=seed).fit(X[:rows], labels[:rows])
        ours.append(log_loss(labels[rows:], classifier.predict_proba(X[rows:])))
        fitted = LogisticRegression().fit(X[:rows], labels[:rows])
        linear.append(log_loss(labels[rows:], fitted.predict_proba(X[rows:])))
    assert np.exp(np.mean(np.log(ours) - np.log(linear))) < 1.15


def test_a_time_limit_is_kept():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20_000, 20))
    began = datetime.datetime.now()
    model = TabularRegressor(quality="best", time_limit=2, random_state=0, n_jobs=1).fit(X, X[:, 0] ** 2)
    assert (datetime.datetime.now() - began).total_seconds() < 20
    assert model.recipe_.epochs < recipe_for(16_000, 0, "best").epochs or model.recipe_.members < 8


@pytest.mark.parametrize(("arguments", "message"), [
    ({"quality": "great"}, "The 'quality' parameter"), ({"columns": {"size": "float"}}, "columns must map names"),
    ({"columns": {"weight": "number"}}, "columns: there is no column 'weight'"),
    ({"columns": {"colour": "number"}}, "column 'colour' must hold numbers, got 'blue'|column 'colour' must hold"),
    ({"time_limit": -1}, "The 'time_limit' parameter"), ({"n_jobs": 0}, "n_jobs == 0 has no meaning")])
def test_what_cannot_be_used_is_refused_by_name(arguments, message):
    frame, y, _ = messy(40)
    with pytest.raises(ValueError, match=message):
        TabularClassifier(**arguments).fit(frame, y)


def test_bad_tables_are_refused_by_column():
    frame, y, quantity = messy(40)
    with pytest.raises(ValueError, match="column 'list' holds lists"):
        TabularClassifier().fit(frame.assign(list=[[1]] * 40), y)
    with pytest.raises(ValueError, match="X has two columns of the name 'size'"):
        TabularClassifier().fit(pd.concat([frame, frame[["size"]]], axis=1), y)
    with pytest.raises(ValueError, match="no column to learn from: 'nothing'"):
        TabularClassifier().fit(frame[["nothing"]], y)
    with pytest.raises(ValueError, match="y contains NaN"):
        TabularRegressor().fit(frame, np.where(quantity > 20, np.nan, quantity))
    model = TabularRegressor(recipe=QUICK, random_state=0).fit(frame, quantity)
    with pytest.raises(ValueError, match="size"):
        model.predict(frame.drop(columns="size"))
    with pytest.raises(ValueError, match=r"quantiles must be a list of numbers from 0\.025 to 0\.975"):
        model.predict(frame, quantiles=[0.001])
    with pytest.raises(ValueError, match="coverage must be above 0"):
        model.predict_interval(frame, 0.99)
    with pytest.raises(ValueError, match="background has no rows"):
        model.explain(frame[:2], background=frame[:0])
    with pytest.raises(NotFittedError):
        TabularRegressor().predict_interval(frame)


def test_rows_are_held_out_by_class():
    rng = np.random.default_rng(0)
    y = np.array([0] * 50 + [1] * 10 + [2])
    out = hold_out(y, 0.2, 3, rng)
    assert np.bincount(y[out], minlength=3).tolist() == [10, 2, 0]
    parts = folds_of(y, 4, 3, rng)
    assert sorted(np.concatenate(parts)) == list(range(61))
    assert {int((y[part] == 1).sum()) for part in parts} == {2, 3}
    assert len(QUANTILES) % 2 == 1
    many = np.repeat(np.arange(50), 2)
    out = hold_out(many, 0.2, 50, rng)                          # a fifth of 2 rows rounds to none
    assert len(out) == len(set(many[out])) == 20
    assert len(hold_out(many, 0.001, 50, rng)) == len(hold_out(np.zeros(4), 0.001, 0, rng)) == 1
    assert len(hold_out(np.arange(9), 0.2, 9, rng)) == len(hold_out(np.zeros(2), 0.2, 0, rng)) == 0


def test_where_no_row_is_held_out_it_is_said():
    frame = pd.DataFrame({"a": np.arange(6.0)})
    with pytest.warns(UserWarning, match="none of the 6 rows can be held out: those that are trained on"):
        TabularClassifier(recipe=QUICK, random_state=0).fit(frame, list("abcdef"))


def test_weights_that_leave_nothing_to_hold_out():
    frame = pd.DataFrame({"a": np.arange(20.0)})
    with pytest.raises(ValueError, match="weights are above 0 in 1 of 20 rows, too few"):
        TabularRegressor(recipe=QUICK, random_state=0).fit(frame, frame["a"], np.arange(20) == 3)
    for weight, message in ((-1.0, r"class_weight\[1\] is -1"), (np.nan, r"class_weight\[1\] is nan")):
        with pytest.raises(ValueError, match=message):
            TabularClassifier(recipe=QUICK, class_weight={"q": weight}).fit(frame, list("pq") * 10)


def test_names_that_are_no_strings_keep_their_order(tmp_path):
    frame = pd.DataFrame({0: np.arange(40.0), 1: np.arange(40)[::-1]})
    model = TabularRegressor(recipe=QUICK, random_state=0).fit(frame, frame[0])
    model.save(tmp_path / "model")
    for each in (model, tabular.load(tmp_path / "model")):
        each.predict(frame)
        for other in (frame[[1, 0]], frame.rename(columns={1: 9})):
            with pytest.raises(ValueError, match=r"X has the columns .*, the model was fitted to 0, 1, in this order"):
                each.predict(other)
    model.fit(frame.to_numpy(), frame[0]).predict(frame[[1, 0]])
    with pytest.raises(ValueError, match="columns without names of text are called x0, x1"):
        TabularRegressor(columns={0: "drop"}).fit(frame, frame[0])


@pytest.mark.parametrize("kind", [TabularRegressor, fastsgd.MLPRegressor, fastsgd.SGDRegressor])
def test_dates_and_durations_are_no_quantities(kind):
    frame, days = pd.DataFrame({"a": np.arange(30.0)}), pd.Series(pd.date_range("2020", periods=30))
    for y, message in ((days, r"got datetime64\[.*are days"), (days - days[0], r"got timedelta64\[.*are days")):
        with pytest.raises(ValueError, match=message):
            kind().fit(frame, y)


def test_quantities_too_large_are_named_y():
    frame = pd.DataFrame({"a": np.arange(30.0)})
    for kind in (fastsgd.MLPRegressor, fastsgd.SGDRegressor):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(ValueError, match=r"^y\[1\] is 1e\+200, too large for float32; scale"):
                kind().fit(frame.astype("float32"), frame["a"] * 1e200)
    with pytest.raises(ValueError, match=r"^y holds values too large to standardise, up to 2\.9e\+307"):
        TabularRegressor().fit(frame, frame["a"] * 1e306)


def test_words_among_numbers_are_warned_of():
    """But not those that say that a value is missing."""
    rows = 60
    frame = pd.DataFrame({"age": [str(i % 50) for i in range(rows)], "b": np.arange(rows) % 7.0})
    frame.loc[[3, 9], "age"] = "n/a", "?"
    fit = TabularRegressor(recipe=QUICK, random_state=0).fit
    fit(frame, frame["b"])
    frame.loc[12, "age"] = "over 90"
    with pytest.warns(UserWarning, match=r"'age' is read as numbers; other values, which count as missing: 1, such as "
                                         r"'over 90' in row 12") as told:
        fit(frame, frame["b"])
    assert told[0].filename == __file__


def test_columns_that_arrow_cannot_take_are_refused_by_name():
    pl = pytest.importorskip("polars")
    y = np.arange(40) % 2
    frame = pl.DataFrame({"a": range(40), "v": pl.Series(range(40)).cast(pl.Int128)})
    with pytest.raises(ValueError, match=r"^X cannot be used: column 'v' holds values of the type Int128; turn what it "
                                         "holds into numbers or strings, or leave it out"):
        TabularClassifier().fit(frame, y)
    assert TabularClassifier(recipe=QUICK, columns={"v": "drop"}).fit(frame, y).predict(frame).shape == (40,)


@pytest.mark.filterwarnings("error")
def test_a_lazy_frame_is_refused():
    pl = pytest.importorskip("polars")
    frame, y = pl.DataFrame({"v": ["a", "b"] * 20}), ["a", "b"] * 20
    model = TabularClassifier(recipe=QUICK, random_state=0).fit(frame, y)
    for call in (lambda: TabularClassifier().fit(frame.lazy(), y), lambda: model.predict(frame.lazy())):
        with pytest.raises(ValueError, match=r"^X is a LazyFrame; give X\.collect\(\)$"):
            call()
    with pytest.raises(ValueError, match=r"^X_val is a LazyFrame; give X_val\.collect\(\)$"):
        TabularClassifier().fit(frame, y, X_val=frame.lazy(), y_val=y)


def test_lone_surrogates_are_text_as_any(tmp_path):
    frame = pd.DataFrame({"v": pd.Series(["\ud800", "a"] * 20, dtype=object)})
    model = TabularClassifier(recipe=QUICK, random_state=0).fit(frame, np.arange(40) % 2)
    model.save(tmp_path / "m")
    assert tabular.load(tmp_path / "m").predict(frame).tolist() == model.predict(frame).tolist()
    assert model.encode(frame)[:2, 0].tolist() == [1, 0]


def test_nothing_is_left_of_a_table():
    frame = pd.DataFrame({"a": [1.0, 2] * 20, "c": ["u", "v"] * 20})
    with pytest.raises(ValueError, match=r"^X has no column to learn from: all were dropped by columns=$"):
        TabularClassifier(columns={"a": "drop", "c": "drop"}).fit(frame, np.arange(40) % 2)
    frame["a"] = np.where(np.arange(40) % 5 == 0, np.nan, frame["a"])
    model = TabularClassifier(recipe=QUICK).fit(frame, np.arange(40) % 2)
    for call in (model.predict, model.encode, model.explain):
        with pytest.raises(ValueError, match=r"^X has no rows$"):
            call(frame[:0])


@pytest.mark.parametrize("rows", [3, 40])                      # few and many
def test_strings_of_a_csv_file_are_the_levels_they_mean(rows):
    frame = pd.DataFrame({"grade": np.arange(40) % 4, "day": pd.Timestamp("2024-07-01") + pd.to_timedelta(
        np.arange(40) % 3, unit="D"), "x": np.arange(40.0), "yes": np.arange(40) % 3 == 0})
    model = TabularClassifier(recipe=QUICK, columns={"grade": "category", "day": "category"}, random_state=0).fit(
        frame, np.arange(40) % 2)
    assert model._model.encoding.columns[1].levels == ("2024-07-01", "2024-07-02", "2024-07-03")
    texts = frame.assign(grade=frame["grade"].astype(float).astype(str), yes=frame["yes"].astype(str))
    for day in (frame["day"], frame["day"].astype(str), frame["day"].dt.strftime("%Y-%m-%d %H:%M:%S"),
                frame["day"].dt.date, frame["day"].astype("category")):
        given = texts.assign(day=day)
        np.testing.assert_array_equal(model.encode(given[:rows]), model.encode(frame)[:rows])
        given["yes"] = frame["yes"]
        np.testing.assert_array_equal(model.encode(given[:rows]), model.encode(frame)[:rows])
