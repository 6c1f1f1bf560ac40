"""Do MLPClassifier and MLPRegressor do what scikit-learn's do, and what its users asked for beyond?"""
import io
import pickle
import sys

import numpy as np
import pytest

import fastsgd

pytest.importorskip("sklearn")
import sklearn.neural_network
from scipy.sparse import coo_matrix, csc_matrix, csr_array, csr_matrix
from sklearn.base import clone
from sklearn.datasets import load_digits, make_multilabel_classification, make_regression
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.utils import compute_class_weight

from fastsgd import MLPClassifier, MLPRegressor

X, Y = load_digits(return_X_y=True)
X = X[:450] / 16
Y = Y[:450]
XR, YR = make_regression(240, 12, noise=5, random_state=0)
YR = YR / YR.std()
LABELS = np.eye(10, dtype=int)[Y] + np.eye(10, dtype=int)[(Y + 1) % 10]
quiet = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def pair(kind, y, **parameters):
    """Ours and scikit-learn's estimator with the same initial weights, ready for warm starts."""
    models = []
    for module in (fastsgd, sklearn.neural_network):
        model = getattr(module, kind)(hidden_layer_sizes=(16, 8), warm_start=True, shuffle=False, random_state=0,
                                      max_iter=1, **parameters)
        models.append(model.fit(X if kind == "MLPClassifier" else XR, y))
    ours, theirs = models
    ours.coefs_ = [W.copy() for W in theirs.coefs_]
    ours.intercepts_ = [b.copy() for b in theirs.intercepts_]
    return ours, theirs


@quiet
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("activation", ["relu", "tanh", "logistic", "identity"])
@pytest.mark.parametrize(("kind", "y", "parameters"), [
    ("MLPClassifier", Y, {"solver": "sgd", "learning_rate_init": 0.05, "alpha": 0.1, "batch_size": 64}),
    ("MLPClassifier", Y, {"solver": "sgd", "nesterovs_momentum": False, "momentum": 0.5, "batch_size": 450}),
    ("MLPClassifier", Y, {"solver": "adam", "alpha": 1.0, "epsilon": 1e-14}),
    ("MLPClassifier", Y > 4, {"solver": "sgd", "momentum": 0.0, "alpha": 0.5}),
    ("MLPClassifier", LABELS, {"solver": "adam", "alpha": 1.0, "epsilon": 1e-14}),
    ("MLPRegressor", YR, {"solver": "sgd", "alpha": 0.2, "batch_size": 100}),
    ("MLPRegressor", np.stack([YR, -YR, YR ** 2], axis=1), {"solver": "adam", "epsilon": 1e-14}),
    ("MLPRegressor", np.round(YR ** 2), {"solver": "adam", "loss": "poisson", "epsilon": 1e-14}),
])
def test_three_epochs_from_equal_weights_are_equal(kind, y, parameters, activation, weighted):
    ours, theirs = pair(kind, y, activation=activation, **parameters)
    # Noise, as where all gradients of a weight are almost 0 it matters where Adam's epsilon comes in.
    rows = X + np.random.default_rng(1).uniform(0, 0.5, X.shape) if kind == "MLPClassifier" else XR
    weight = np.random.default_rng(0).uniform(0.1, 3, len(rows)) if weighted else None
    for model in (ours, theirs):
        model.set_params(max_iter=3).fit(rows, y, weight)
    for own, given in zip([*ours.coefs_, *ours.intercepts_], [*theirs.coefs_, *theirs.intercepts_], strict=True):
        np.testing.assert_allclose(own, given, rtol=1e-6, atol=1e-6)
    assert ours.n_iter_ == theirs.n_iter_ == 3
    assert ours.t_ == theirs.t_
    assert ours.n_layers_, ours.n_outputs_ == (theirs.n_layers_, theirs.n_outputs_)
    assert ours.out_activation_ == theirs.out_activation_
    if not weighted:                     # scikit-learn counts a batch's mean cost by its rows, fastsgd by their weights
        # The penalty is the mean of that before and after an epoch, theirs the mean over its steps.
        np.testing.assert_allclose(ours.loss_curve_[1:], theirs.loss_curve_[1:], rtol=1e-3)
    np.testing.assert_allclose(ours.predict(rows), theirs.predict(rows), rtol=1e-5)


@quiet
@pytest.mark.parametrize("y", [YR, np.stack([YR, 2 * YR], axis=1)])
def test_lbfgs_is_scikit_learns(y):
    ours, theirs = pair("MLPRegressor", y, solver="lbfgs", activation="tanh", alpha=0.01)
    for model in (ours, theirs):
        model.set_params(max_iter=20).fit(XR, y)
    if y.ndim == 1:                      # with several targets scikit-learn's cost and gradient do not belong together
        np.testing.assert_allclose(ours.predict(XR), theirs.predict(XR), rtol=1e-3, atol=1e-3)
        assert ours.loss_ == pytest.approx(theirs.loss_, rel=1e-4)
    assert ours.score(XR, y) > 0.8


def test_a_learning_rate_that_scales_and_one_that_adapts():
    seen = []
    scaled = MLPClassifier((8,), solver="sgd", learning_rate="invscaling", power_t=0.5, max_iter=3, tol=0,
                           random_state=0)
    with pytest.warns(ConvergenceWarning, match="Maximum iterations"):
        scaled.set_params(callbacks=[lambda run: seen.append(run.history.learning_rate[-1])]).fit(X, Y)
    np.testing.assert_allclose(seen, [0.001, 0.001 / np.sqrt(451), 0.001 / np.sqrt(901)])
    adaptive = MLPClassifier((8,), solver="sgd", learning_rate="adaptive", tol=1, n_iter_no_change=1, random_state=0)
    adaptive.set_params(callbacks=[lambda run: seen.append(run.history.learning_rate[-1])]).fit(X, Y)
    assert seen[-1] == pytest.approx(0.001 / 5 ** 5)
    assert seen[-1] <= 1e-6 < seen[-3]
    assert adaptive.n_iter_ < adaptive.max_iter


@quiet
def test_partial_fit_goes_on_with_moments_and_order():
    once = MLPClassifier((16,), shuffle=False, max_iter=4, random_state=0).fit(X, Y)
    parts = MLPClassifier((16,), shuffle=False, random_state=0)
    for _ in range(4):
        parts.partial_fit(X, Y, classes=np.arange(10) if not hasattr(parts, "classes_") else None)
        parts = pickle.loads(pickle.dumps(parts))
    for own, given in zip(parts.coefs_, once.coefs_, strict=True):
        np.testing.assert_array_equal(own, given)
    assert parts.n_iter_ == 1
    assert parts.t_ == once.t_
    assert parts.loss_curve_ == once.loss_curve_


@quiet
@pytest.mark.parametrize("container", [csr_matrix, csr_array, csc_matrix])
def test_sparse_rows_give_the_bits_of_dense_ones(container):
    dense = MLPClassifier((16,), max_iter=5, random_state=0).fit(X, Y)
    sparse = MLPClassifier((16,), max_iter=5, random_state=0).fit(container(X), Y)
    np.testing.assert_array_equal(dense.coefs_[0], sparse.coefs_[0])
    np.testing.assert_array_equal(dense.predict_proba(X), sparse.predict_proba(container(X)))


@quiet
@pytest.mark.parametrize("y", [np.array(list("abcdefghij"))[Y], np.array(list("abcdefghij"), dtype=object)[Y],
                               Y * 10 - 5.0, Y > 4])
def test_labels_of_any_kind(y):
    clf = MLPClassifier((32,), learning_rate_init=0.01, max_iter=30, random_state=0).fit(X, y)
    assert clf.score(X, y) > 0.95
    assert clf.predict(X[:3]).dtype == clf.classes_.dtype
    assert set(clf.predict(X)) <= set(clf.classes_)
    probabilities = clf.predict_proba(X)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
    assert (clf.classes_[probabilities.argmax(axis=1)] == clf.predict(X)).all()
    np.testing.assert_allclose(clf.predict_log_proba(X), np.log(probabilities))


# ---- what scikit-learn has not ----

@quiet
def test_an_activation_for_each_layer():
    clf = MLPClassifier((16, 8), activation=["gelu", "tanh"], max_iter=3, random_state=0).fit(X, Y)
    assert clf.network_.architecture.activations == ("gelu", "tanh", "softmax")
    with pytest.raises(ValueError, match="activation must be one name or 2, one per hidden layer"):
        MLPClassifier((16, 8), activation=["gelu"]).fit(X, Y)
    with pytest.raises(ValueError, match="The 'activation' parameter of MLPClassifier must be"):
        MLPClassifier(activation="swish").fit(X, Y)


@quiet
def test_any_optimizer_with_its_schedule_and_limits():
    optimizer = fastsgd.AdamW(fastsgd.schedules.OneCycle(0.02), clip_norm=1.0)
    clf = MLPClassifier((32,), optimizer=optimizer, max_iter=20, random_state=0).fit(X, Y)
    assert clf.score(X, Y) > 0.95
    assert clone(clf).optimizer == optimizer
    averaged = MLPClassifier((32,), optimizer=fastsgd.SGD(0.3, average=0.99), max_iter=20, random_state=0).fit(X, Y)
    assert averaged.score(X, Y) > 0.9


@quiet
@pytest.mark.parametrize("optimizer", [fastsgd.NAdamW(0.01), fastsgd.ScheduleFreeAdamW(0.01), fastsgd.Muon(0.01)],
                         ids=lambda optimizer: optimizer.kind)
def test_optimizers_that_carry_numbers_average_or_take_whole_matrices(optimizer):
    once = MLPClassifier((32,), optimizer=optimizer, max_iter=12, tol=0.0, shuffle=False, random_state=0).fit(X, Y)
    parts = MLPClassifier((32,), optimizer=optimizer, shuffle=False, random_state=0)
    for _ in range(12):
        parts = pickle.loads(pickle.dumps(parts.partial_fit(X, Y, classes=np.unique(Y))))
    np.testing.assert_array_equal(parts.coefs_[0], once.coefs_[0])
    assert once.score(X, Y) > 0.9


@quiet
def test_dropout_and_label_smoothing_reach_the_training():
    plain, dropped, smoothed = (MLPClassifier((32,), max_iter=5, random_state=0, **more).fit(X, Y)
                                for more in ({}, {"dropout": 0.5}, {"label_smoothing": 0.3}))
    assert dropped.loss_ > plain.loss_
    assert smoothed.loss_ > plain.loss_
    assert (dropped.coefs_[0] != plain.coefs_[0]).any()


@quiet
@pytest.mark.parametrize("y", [Y, Y > 7])
@pytest.mark.parametrize("given", ["balanced", {0: 3.0}])
def test_class_weight_is_a_weight_of_rows(y, given):
    weighted = MLPClassifier((8,), class_weight=given, max_iter=3, random_state=0).fit(X, y)
    classes = np.unique(y)
    weights = compute_class_weight(given, classes=classes, y=y)[np.searchsorted(classes, y)]
    by_rows = MLPClassifier((8,), max_iter=3, random_state=0).fit(X, y, weights)
    np.testing.assert_array_equal(weighted.coefs_[0], by_rows.coefs_[0])
    with pytest.raises(ValueError, match="class_weight='balanced' is not supported for partial_fit"):
        MLPClassifier(class_weight="balanced").partial_fit(X, y, classes=classes)


@pytest.mark.parametrize("loss", ["absolute_error", "huber", "quantile"])
@quiet
def test_other_losses(loss):
    model = MLPRegressor(loss, (32,), learning_rate_init=0.01, random_state=0, huber_delta=0.1).fit(XR, YR)
    assert model.score(XR, YR) > 0.8
    assert model.network_.loss == loss


@quiet
def test_several_quantiles_at_once():
    rng = np.random.default_rng(0)
    rows = rng.uniform(-1, 1, (2000, 1))
    y = rows[:, 0] + rng.standard_normal(2000) * 0.3
    model = MLPRegressor("quantile", (32,), quantile=[0.1, 0.5, 0.9], learning_rate_init=0.01, early_stopping=True,
                         random_state=0).fit(rows, y)
    found = model.predict(rows)
    assert found.shape == (2000, 3)
    np.testing.assert_allclose((y[:, np.newaxis] < found).mean(axis=0), [0.1, 0.5, 0.9], atol=0.06)
    assert 0 < model.score(rows, y) < 1
    with pytest.raises(ValueError, match="several quantiles need one target, y has 2"):
        model.fit(rows, np.stack([y, y], axis=1))


@quiet
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_means_come_with_deviations_where_they_are_asked_for(solver):
    rng = np.random.default_rng(0)
    rows = rng.uniform(-1, 1, (2000, 2))
    y = np.stack([rows[:, 0] + rng.standard_normal(2000) * np.exp(rows[:, 1]), rng.standard_normal(2000)], axis=1)
    for columns in (0, slice(2)):
        model = MLPRegressor("gaussian_nll", (16,), "tanh", solver=solver, learning_rate_init=0.01, random_state=0,
                             early_stopping=solver == "adam").fit(rows, y[:, columns])
        mean, deviation = model.predict(rows, return_std=True)
        np.testing.assert_array_equal(mean, model.predict(rows))
        assert mean.shape == deviation.shape == y[:, columns].shape
        assert model.n_outputs_ == 2 * y[:, columns].size / 2000
        first = deviation if deviation.ndim == 1 else deviation[:, 0]
        assert np.corrcoef(np.log(first), rows[:, 1])[0, 1] > 0.9
        assert model.score(rows, y[:, columns]) == pytest.approx(sklearn.metrics.r2_score(y[:, columns], mean))
        assert -1 < model.loss_ < 2
    with pytest.raises(ValueError, match="return_std needs the loss gaussian_nll, this model has huber"):
        MLPRegressor("huber", (4,), max_iter=2).fit(rows, y[:, 0]).predict(rows, return_std=True)


@quiet
@pytest.mark.parametrize(("loss", "power"), [("gamma", 2), ("tweedie", 1.3)])
def test_amounts_by_lbfgs_are_scikit_learns_generalised_linear_models(loss, power):
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((400, 2))
    y = rng.gamma(2, np.exp(rows @ [0.5, -0.3] + 1)) * (rng.random(400) < (1 if power == 2 else 0.7))
    theirs = sklearn.linear_model.TweedieRegressor(power=power, link="log", alpha=0, tol=1e-10, max_iter=1000)
    theirs.fit(rows, y)
    ours = MLPRegressor(loss, (), solver="lbfgs", alpha=0, tol=1e-12, tweedie_power=power if power < 2 else 1.5,
                        random_state=0).fit(rows, y)
    np.testing.assert_allclose(ours.coefs_[0][:, 0], theirs.coef_, atol=1e-5)
    with pytest.raises(ValueError, match="y must not be negative for"):
        ours.fit(rows, -y)


@quiet
def test_validation_rows_of_the_user():
    clf = MLPClassifier((32,), learning_rate_init=0.01, max_iter=12, random_state=0)
    clf.fit(X[:300], Y[:300], X_val=X[300:], y_val=Y[300:])
    assert len(clf.validation_scores_) == len(clf.validation_loss_curve_) == clf.n_iter_ == 12
    assert clf.validation_scores_[-1] == pytest.approx(clf.score(X[300:], Y[300:]))
    net = clf.network_
    assert clf.validation_loss_curve_[-1] == pytest.approx(net.cost(X[300:], Y[300:]))
    clf.set_params(max_iter=2).fit(X[:300], Y[:300], X_val=X[300:], y_val=Y[300:])
    assert len(clf.validation_loss_curve_) == len(clf.loss_curve_) == 2
    assert not hasattr(clf.fit(X[:300], Y[:300]), "validation_loss_curve_")
    clf.set_params(early_stopping=True, max_iter=200, n_iter_no_change=3, tol=1e-3)
    clf.fit(X[:300], Y[:300], X_val=X[300:], y_val=Y[300:], sample_weight_val=np.ones(150))
    assert clf.n_iter_ < 200
    assert clf.best_validation_score_ == max(clf.validation_scores_) == pytest.approx(clf.score(X[300:], Y[300:]))
    with pytest.raises(ValueError, match="X_val needs y_val"):
        clf.fit(X, Y, X_val=X)
    with pytest.raises(ValueError, match="`y` has classes not in"):
        clf.fit(X[:300], Y[:300], X_val=X[300:], y_val=Y[300:] + 1)


@quiet
@pytest.mark.parametrize(("scoring", "better"), [("loss", "lower cost"), ("f1_macro", "higher f1"),
                                                 (lambda estimator, rows, y: estimator.score(rows, y), "accuracy")])
def test_what_early_stopping_looks_at(scoring, better):
    clf = MLPClassifier((32,), learning_rate_init=0.01, early_stopping=True, scoring=scoring, n_iter_no_change=2,
                        random_state=0).fit(X, Y)
    assert clf.best_validation_score_ == max(clf.validation_scores_)
    if scoring == "loss":
        np.testing.assert_allclose(clf.validation_scores_, -np.array(clf.validation_loss_curve_))
    else:
        assert 0.8 < clf.best_validation_score_ <= 1


@quiet
def test_scores_while_the_parameters_are_averaged_are_those_of_the_average():
    seen = []

    def scorer(estimator, rows, y):
        seen.append(estimator.coefs_[0].copy())
        return estimator.score(rows, y)

    clf = MLPClassifier((8,), optimizer=fastsgd.SGD(0.1, average=0.9), max_iter=3, early_stopping=True, scoring=scorer,
                        random_state=0).fit(X, Y)
    assert any((array == clf.coefs_[0]).all() for array in seen)


@quiet
def test_callbacks_and_a_bar(monkeypatch):
    monkeypatch.setattr(sys, "stderr", out := io.StringIO())
    epochs = []
    MLPClassifier((8,), max_iter=3, callbacks=[lambda run: epochs.append(run.epoch), fastsgd.TimeLimit(60)],
                  progress=True).fit(X, Y)
    assert epochs == [1, 2, 3]
    assert out.getvalue().count("rows/s") == 3


@quiet
def test_a_callback_that_stops_a_fit():
    clf = MLPClassifier((8,), max_iter=50, callbacks=[lambda run: setattr(run, "stop", run.epoch == 2)]).fit(X, Y)
    assert clf.n_iter_ == 2


@quiet
def test_the_bits_do_not_depend_on_n_jobs():
    fits = [MLPClassifier((64,), max_iter=3, random_state=0, n_jobs=n).fit(X, Y) for n in (None, 1, 2, -1)]
    for fit in fits[1:]:
        np.testing.assert_array_equal(fits[0].coefs_[0], fit.coefs_[0])
    with pytest.raises(ValueError, match="n_jobs == 0 has no meaning"):
        MLPClassifier(n_jobs=0).fit(X, Y)


@quiet
@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_tables(library):
    pytest.importorskip(library)
    pandas = pytest.importorskip("pandas")
    names = [f"pixel {i}" for i in range(64)]
    frame = pandas.DataFrame(X, columns=names)
    if library == "polars":
        import polars
        frame = polars.from_pandas(frame)
    elif library == "pyarrow":
        import pyarrow
        frame = pyarrow.table({name: X[:, i] for i, name in enumerate(names)})
    clf = MLPClassifier((8,), max_iter=3, random_state=0).fit(frame, Y)
    plain = MLPClassifier((8,), max_iter=3, random_state=0).fit(X, Y)
    np.testing.assert_array_equal(clf.predict_proba(frame), plain.predict_proba(X))
    assert list(clf.feature_names_in_) == names
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        clf.predict(X)


@quiet
def test_pickles_hold_plain_arrays_and_predict_the_same():
    clf = MLPClassifier((16,), max_iter=3, random_state=0).fit(X, Y)
    state = clf.__getstate__()
    assert not {"_net"} & set(state)
    assert all(type(value).__module__.split(".")[0] != "fastsgd" for value in state.values())
    other = pickle.loads(pickle.dumps(clf))
    np.testing.assert_array_equal(other.predict_proba(X), clf.predict_proba(X))
    other.coefs_[0][:] = 0
    assert (other.predict_proba(X) != clf.predict_proba(X)).any()


@quiet
def test_arrays_put_into_the_attributes_count():
    clf = MLPClassifier((16,), max_iter=3, random_state=0).fit(X, Y)
    before = clf.predict_proba(X)
    clf.coefs_[0] = np.zeros((64, 16))
    after = clf.predict_proba(X)
    assert (after != before).any()
    assert (after == after[0]).all()


@quiet
def test_a_network_to_export():
    clf = MLPClassifier((16,), max_iter=3, random_state=0).fit(X.astype(np.float32), Y)
    np.testing.assert_array_equal(clf.network_.predict(X.astype(np.float32)), clf.predict_proba(X.astype(np.float32)))
    with pytest.raises(NotFittedError):
        _ = MLPClassifier().network_


def test_html_and_text():
    assert "MLPClassifier" in MLPClassifier()._repr_html_()
    assert repr(MLPClassifier(dropout=0.5)) == "MLPClassifier(dropout=0.5)"


def test_scikit_learns_own_callbacks():
    callback = pytest.importorskip("sklearn.callback")
    events = []

    class Recorder:
        def setup(self, estimator, context):
            events.append("setup")

        def teardown(self, estimator, context):
            events.append("teardown")

        def on_fit_task_begin(self, estimator, context):
            events.append(f"begin {context.task_name}")

        def on_fit_task_end(self, estimator, context, *, X=None, fitted_estimator=None):
            events.append(f"end {context.task_name}")
            if context.task_name == "epoch":
                assert len(X) == 450
                events.append(fitted_estimator.score(X, Y))
                return len([event for event in events if event == "end epoch"]) == 2
            return False

    assert isinstance(Recorder(), callback.FitCallback)
    clf = MLPClassifier((8,), max_iter=5, random_state=0).set_callbacks(Recorder()).fit(X, Y)
    assert clf.n_iter_ == 2
    assert [event for event in events if isinstance(event, str)] == [
        "setup", "begin fit", "begin epoch", "end epoch", "begin epoch", "end epoch", "end fit", "teardown"]
    assert [event for event in events if not isinstance(event, str)][1] == clf.score(X, Y)


# ---- what goes wrong ----

def test_a_fit_that_diverges_raises_and_leaves_finite_weights():
    model = MLPRegressor(hidden_layer_sizes=(16,), activation="identity", solver="sgd", learning_rate_init=1000.0,
                         random_state=0)
    with pytest.raises(ValueError, match=r"Solver produced non-finite parameter weights.*smaller learning rate"):
        model.fit(XR * 1e3, YR)
    assert all(np.isfinite(W).all() for W in model.coefs_)
    model.set_params(early_stopping=True)
    with pytest.warns(ConvergenceWarning, match="diverged and ends with its best parameters"):
        model.fit(XR * 1e3, YR)
    assert all(np.isfinite(W).all() for W in model.coefs_)
    assert np.isnan(model.validation_scores_[-1])


@pytest.mark.parametrize(("parameters", "message"), [
    ({"solver": "lbfgs", "dropout": 0.5}, "dropout=0.5 needs solver 'sgd' or 'adam'"),
    ({"solver": "lbfgs", "optimizer": fastsgd.SGD()}, "optimizer=SGD.* needs solver 'sgd' or 'adam'"),
    ({"solver": "newton"}, "The 'solver' parameter of MLPClassifier must be a str among"),
    ({"optimizer": "adamw"}, "The 'optimizer' parameter of MLPClassifier must be an instance of"),
    ({"dropout": 1.0}, "The 'dropout' parameter"),
    ({"hidden_layer_sizes": (3, 0)}, r"hidden_layer_sizes must be > 0, got \[3, 0\]"),
    ({"callbacks": [3]}, "callbacks must hold fastsgd.Callback objects or functions, got 3"),
    ({"scoring": "best"}, "best"),
])
def test_bad_parameters(parameters, message):
    with pytest.raises((ValueError, TypeError), match=message):
        MLPClassifier(early_stopping="scoring" in parameters, **parameters).fit(X, Y)


@quiet
def test_scikit_learns_scoring_monitor_sees_every_epoch():
    callback = pytest.importorskip("sklearn.callback")
    monitor = callback.ScoringMonitor(scoring="accuracy")
    clf = MLPClassifier((8,), max_iter=3, random_state=0).set_callbacks(monitor).fit(X, Y)
    scores = monitor.get_logs().data_as_pandas
    scores = (scores() if callable(scores) else scores)["accuracy"]
    assert len(scores) >= 3
    assert clf.score(X, Y) in set(scores)
    monitor = callback.ScoringMonitor(scoring="accuracy")
    clf = MLPClassifier((8,), max_iter=3, random_state=0).set_callbacks(monitor).fit(X, Y.astype(str))
    scores = monitor.get_logs().data_as_pandas
    scores = (scores() if callable(scores) else scores)["accuracy"]
    assert clf.score(X, Y.astype(str)) in set(scores)         # of the user's labels, not the network's numbers
    MLPClassifier((8,), solver="lbfgs", max_iter=3).set_callbacks(monitor).fit(X, Y)       # which has no epochs


@quiet
def test_parameters_that_changed_after_a_fit_hold_before_and_after_a_pickle():
    clf = MLPClassifier((8,), max_iter=3, random_state=0).fit(X, Y).set_params(activation="tanh")
    expected = MLPClassifier((8,), max_iter=3, random_state=0, activation="tanh").fit(X, Y)
    for own, array in zip((*expected.coefs_, *expected.intercepts_), (*clf.coefs_, *clf.intercepts_), strict=True):
        own[...] = array
    for model in (clf, pickle.loads(pickle.dumps(clf))):
        assert (model.predict_proba(X) == expected.predict_proba(X)).all()


def test_a_change_of_the_optimizer_begins_with_fresh_moments():
    reg = MLPRegressor("squared_error", (8,), solver="sgd", random_state=0)
    for optimizer in (None, fastsgd.RMSprop(0.001), fastsgd.Adagrad(0.01), None):
        reg.set_params(optimizer=optimizer)
        for _ in range(3):
            reg.partial_fit(XR, YR)
    assert np.isfinite(reg.loss_)


@quiet
def test_other_solvers_go_on_after_lbfgs():
    clf = MLPClassifier((8,), solver="lbfgs", max_iter=5, warm_start=True, random_state=0).fit(X, Y)
    cost = clf.loss_
    clf.set_params(solver="adam", learning_rate_init=1e-5, max_iter=2).fit(X, Y)
    assert clf.loss_curve_[0] == pytest.approx(cost, rel=0.05)
    assert clf.partial_fit(X, Y).n_iter_ == 1


def test_lbfgs_shows_the_penalty_once_for_several_targets():
    targets = np.c_[YR, YR ** 2]
    reg = MLPRegressor(hidden_layer_sizes=(), solver="lbfgs", alpha=1.0, random_state=0, max_iter=500).fit(XR, targets)
    expected = ((reg.predict(XR) - targets) ** 2).mean() / 2 + 0.5 * (reg.coefs_[0] ** 2).sum() / len(XR)
    assert reg.loss_ == pytest.approx(expected, rel=1e-9)


@quiet
def test_one_quantile_in_a_list():
    reg = MLPRegressor("quantile", (8,), quantile=[0.5], max_iter=5, random_state=0).fit(XR, YR)
    assert reg.score(XR, YR) < 1


@quiet
def test_early_stopping_takes_what_a_fit_takes():
    for kind in (coo_matrix, csc_matrix):
        clf = MLPClassifier((8,), max_iter=3, early_stopping=True, random_state=0).fit(kind(X), Y)
        assert len(clf.validation_scores_) == clf.n_iter_


@quiet
def test_classes_do_not_go_on_as_labels():
    clf = MLPClassifier((8,), max_iter=2, warm_start=True).fit(X, np.arange(len(X)) % 2)
    with pytest.raises(ValueError, match="not fitted with multilabel input"):
        clf.fit(X, np.eye(2, dtype=int)[np.arange(len(X)) % 2])


@quiet
def test_sizes_that_changed_before_a_warm_start():
    clf = MLPClassifier((8,), max_iter=2, warm_start=True).fit(X, Y)
    with pytest.raises(ValueError, match=r"the fitted layers have sizes \[64, 8, 10\], .* continue as \[64, 9, 10\]"):
        clf.set_params(hidden_layer_sizes=(9,)).fit(X, Y)


@quiet
def test_class_weight_of_several_labels_is_refused():
    rows, y = make_multilabel_classification(60, random_state=0)
    with pytest.raises(ValueError, match="class_weight is not supported for multi-label"):
        MLPClassifier(class_weight="balanced").fit(rows, y)


def test_ctrl_c_leaves_a_usable_model():
    def interrupt(run):
        if run.epoch == 2:
            raise KeyboardInterrupt

    with pytest.warns(UserWarning, match="Training interrupted by user"):
        clf = MLPClassifier((8,), callbacks=[interrupt]).fit(X, Y)
    assert clf.n_iter_ == 2
    assert clf.predict(X).shape == (450,)


def test_warnings_point_at_the_caller():
    with pytest.warns() as caught:
        MLPClassifier((8,), max_iter=2, batch_size=1000).fit(X, Y)
    assert [warning.category for warning in caught] == [UserWarning, ConvergenceWarning]
    assert {warning.filename for warning in caught} == {__file__}


# ---- to scikit-learn and back ----

@quiet
@pytest.mark.parametrize(("kind", "y"), [("MLPClassifier", Y), ("MLPClassifier", Y > 4), ("MLPClassifier", LABELS),
                                         ("MLPRegressor", Y / 10), ("MLPRegressor", np.stack([Y, -Y], axis=1) / 10)])
def test_models_move_both_ways(kind, y):
    theirs = getattr(sklearn.neural_network, kind)(hidden_layer_sizes=(16,), max_iter=5, random_state=0).fit(X, y)
    ours = fastsgd.interop.from_sklearn(theirs)
    assert type(ours) is getattr(fastsgd, kind)
    back = fastsgd.interop.to_sklearn(ours)
    assert type(back) is type(theirs)
    assert back.get_params() == theirs.get_params()
    for model in (ours, back):
        np.testing.assert_allclose(model.predict(X), theirs.predict(X), rtol=1e-9)
        if kind == "MLPClassifier":
            np.testing.assert_allclose(model.predict_proba(X), theirs.predict_proba(X), rtol=1e-9)
        model.partial_fit(X, y)
        assert model.t_ == theirs.t_ + 450
    assert theirs.t_ == 5 * 450


def test_an_unfitted_model_moves_and_what_the_other_side_has_not_is_refused():
    assert fastsgd.interop.from_sklearn(sklearn.neural_network.MLPClassifier(alpha=0.5)).alpha == 0.5
    to_sklearn = fastsgd.interop.to_sklearn
    assert to_sklearn(MLPClassifier(activation=["tanh"], dropout=0.5)).activation == "tanh"
    with pytest.raises(ValueError, match=r"scikit-learn has one activation for all hidden layers.*'gelu'"):
        to_sklearn(MLPClassifier(activation="gelu"))
    with pytest.raises(ValueError, match="MLPRegressor has no loss 'huber', only squared_error, poisson"):
        to_sklearn(MLPRegressor("huber"))
    with pytest.raises(TypeError, match="model must be one of fastsgd's MLPClassifier, MLPRegressor, SGDClassifier"):
        to_sklearn(sklearn.neural_network.MLPClassifier())
    with pytest.raises(TypeError, match="model must be one of sklearn's MLPClassifier"):
        fastsgd.interop.from_sklearn(MLPClassifier())
