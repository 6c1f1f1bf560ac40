"""Do SGDClassifier and SGDRegressor do what scikit-learn's do, and what its users asked for beyond?"""
import pickle

import numpy as np
import pytest

import fastsgd

pytest.importorskip("sklearn")
import sklearn.linear_model
from scipy.sparse import bsr_matrix, coo_matrix, csr_matrix, issparse
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris, make_regression
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler

from fastsgd import SGDClassifier, SGDRegressor
from fastsgd.data.checks import Csr

X, Y = load_digits(return_X_y=True)
X = StandardScaler().fit_transform(X[:450])[:, np.r_[1:8, 9:16, 17:24]]
Y = Y[:450]
XR, YR = make_regression(240, 12, noise=5, random_state=0)
YR = YR / YR.std()
SPARSE = np.where(np.random.default_rng(0).random(XR.shape) < 0.3, XR, 0)
RATES = [{"learning_rate": "constant", "eta0": 0.01}, {"learning_rate": "optimal", "alpha": 0.01},
         {"learning_rate": "invscaling", "eta0": 0.1, "power_t": 0.3}]
quiet = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def both(kind, rows, y, epochs=3, weight=None, **parameters):
    """Ours and scikit-learn's, fitted in the order of the rows."""
    models = [getattr(module, kind)(shuffle=False, tol=None, max_iter=epochs, **parameters)
              for module in (fastsgd, sklearn.linear_model)]
    return [model.fit(rows, y, sample_weight=weight) for model in models]


def same(ours, theirs, rtol=1e-8):
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=rtol, atol=rtol)
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, rtol=rtol, atol=rtol)
    assert ours.t_ == theirs.t_
    assert ours.n_iter_ == theirs.n_iter_


@pytest.mark.parametrize("rates", RATES, ids=str)
@pytest.mark.parametrize("penalty", ["l2", None])
@pytest.mark.parametrize("loss", list(SGDClassifier.loss_functions))
@pytest.mark.parametrize("y", [Y > 4, Y], ids=["two classes", "ten"])
def test_a_classifier_makes_scikit_learns_steps(y, loss, penalty, rates):
    if loss not in ("hinge", "perceptron", "log_loss", "epsilon_insensitive"):
        # Where costs are curved a large rate makes chaos of rounding errors; the first of "optimal" is alpha ** -0.25.
        rates = {**rates, "alpha": 1e5} if rates["learning_rate"] == "optimal" else {**rates, "eta0": 1e-3}
    same(*both("SGDClassifier", X, y, loss=loss, penalty=penalty, **rates), rtol=1e-6)


def test_an_average_of_an_l1_is_the_mean_of_the_steps_coefficients():
    settings = {"penalty": "l1", "alpha": 0.01, "learning_rate": "constant", "shuffle": False, "max_iter": 1,
                "tol": None}
    steps = [sklearn.linear_model.SGDRegressor(**settings).fit(XR[:n], YR[:n]).coef_ for n in range(1, 41)]
    ours = SGDRegressor(**settings, average=True).fit(XR[:40], YR[:40])
    np.testing.assert_allclose(ours.coef_, np.mean(steps, axis=0), rtol=1e-9)


@pytest.mark.parametrize("average", [False, True, 100])
@pytest.mark.parametrize("rows", [XR, csr_matrix(SPARSE)], ids=["dense", "sparse"])
@pytest.mark.parametrize("loss", list(SGDRegressor.loss_functions))
def test_a_regressor_makes_scikit_learns_steps(loss, rows, average):
    for intercept in (True, False):
        same(*both("SGDRegressor", rows, YR, loss=loss, eta0=0.002, average=average, fit_intercept=intercept))


@pytest.mark.parametrize("penalty", ["l1", "elasticnet"])
@pytest.mark.parametrize("kind", ["SGDClassifier", "SGDRegressor"])
def test_penalties_that_make_zeros(kind, penalty):
    y = YR > 0 if kind == "SGDClassifier" else YR
    parameters = {"penalty": penalty, "alpha": 0.05, "learning_rate": "constant", "eta0": 0.01, "epochs": 20}
    ours, theirs = both(kind, XR, y, **parameters)
    same(ours, theirs, rtol=1e-6)
    assert (ours.coef_ == 0).sum() == (theirs.coef_ == 0).sum()
    ours, theirs = both(kind, csr_matrix(SPARSE), y, **parameters)     # theirs penalises a weight when it is met next
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=0.02)
    assert abs(int((ours.coef_ == 0).sum()) - int((theirs.coef_ == 0).sum())) <= 2


@pytest.mark.parametrize(("kind", "loss"), [("SGDClassifier", "hinge"), ("SGDRegressor", "epsilon_insensitive")])
@pytest.mark.parametrize("learning_rate", ["pa1", "pa2"])
def test_passive_aggressive_steps(learning_rate, kind, loss):
    known = getattr(sklearn.linear_model, kind)._parameter_constraints["learning_rate"]
    if not any(constraint.is_satisfied_by(learning_rate) for constraint in known):
        pytest.skip("scikit-learn has them from 1.8 on")
    y = Y if kind == "SGDClassifier" else YR
    rows = X if kind == "SGDClassifier" else XR
    same(*both(kind, rows, y, loss=loss, learning_rate=learning_rate, eta0=0.1, penalty=None))


@pytest.mark.parametrize("y", [Y > 4, Y], ids=["two classes", "ten"])
def test_weights_of_rows_and_classes(y):
    weight = np.random.default_rng(0).uniform(0, 3, len(y))
    given = {0: 2.0} if y.dtype == int else {False: 2.0}
    for class_weight in (None, given):
        same(*both("SGDClassifier", X, y, weight=weight, class_weight=class_weight, learning_rate="constant"))
    same(*both("SGDClassifier", X, y, class_weight="balanced", learning_rate="constant"))


def test_a_class_weight_that_the_engine_has_not():
    with pytest.raises(ValueError, match="class_weight with more than two classes is not supported for loss 'huber'"):
        SGDClassifier("huber", class_weight="balanced").fit(X, Y)


def test_the_fit_ends_by_scikit_learns_rule():
    for seed in range(3):
        ours, theirs = (module.SGDRegressor(random_state=seed, shuffle=False).fit(XR, YR)
                        for module in (fastsgd, sklearn.linear_model))
        assert abs(ours.n_iter_ - theirs.n_iter_) <= 1
    with pytest.warns(ConvergenceWarning, match="Maximum number of iteration reached") as caught:
        SGDClassifier(max_iter=2, random_state=0).fit(X, Y)
    assert caught[0].filename == __file__


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("patience", [1, 3])
def test_a_fit_that_never_improves_ends_at_the_same_epoch(patience, early_stopping):
    more = {"tol": 1e9, "n_iter_no_change": patience, "early_stopping": early_stopping, "random_state": 0}
    for kind, rows, targets in (("SGDRegressor", XR, YR), ("SGDClassifier", X, Y > 4)):
        ours, theirs = (getattr(module, kind)(**more).fit(rows, targets) for module in (fastsgd, sklearn.linear_model))
        assert ours.n_iter_ == theirs.n_iter_ == patience + 1, kind


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("loss", ["hinge", "log_loss", "epsilon_insensitive"])
def test_every_class_ends_where_a_fit_of_its_own_would(loss, early_stopping):
    def fit(y):
        clf = SGDClassifier(loss, shuffle=False, early_stopping=early_stopping, alpha=0.01)
        return clf.fit(X[:300], y[:300], X_val=X[300:], y_val=y[300:])

    together = fit(Y)
    apart = [fit(k == Y) for k in range(10)]
    np.testing.assert_allclose(together.coef_, np.concatenate([clf.coef_ for clf in apart]), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(together.intercept_, np.concatenate([clf.intercept_ for clf in apart]), rtol=1e-6)
    assert together.n_iter_ == max(clf.n_iter_ for clf in apart) > min(clf.n_iter_ for clf in apart)


@quiet
@pytest.mark.parametrize("loss", ["log_loss", "modified_huber"])
@pytest.mark.parametrize("y", [Y > 4, Y], ids=["two classes", "ten"])
def test_probabilities_are_scikit_learns(y, loss):
    ours, theirs = both("SGDClassifier", X, y, loss=loss, learning_rate="constant")
    np.testing.assert_allclose(ours.decision_function(X), theirs.decision_function(X), rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-7, atol=1e-9)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(ours.predict_log_proba(X), np.log(ours.predict_proba(X)), rtol=1e-7, atol=1e-12)


# ---- what scikit-learn has not ----

def test_softmax_over_all_classes():
    rows, y = load_iris(return_X_y=True)
    rows = StandardScaler().fit_transform(rows)
    clf = SGDClassifier("log_loss", multi_class="multinomial", alpha=1e-3, random_state=0).fit(rows, y)
    assert clf.network_.loss == "cross_entropy"
    assert clf.score(rows, y) > 0.95
    np.testing.assert_allclose(clf.predict_proba(rows).sum(axis=1), 1)
    with pytest.raises(ValueError, match="multi_class='multinomial' needs loss 'log_loss', got 'hinge'"):
        SGDClassifier(multi_class="multinomial").fit(rows, y)
    with pytest.raises(ValueError, match="has no multi_class='multinomial'"):
        fastsgd.interop.to_sklearn(clf)


@quiet
@pytest.mark.parametrize("batch_size", [7, 64, 1000])
def test_mini_batches_are_the_engines(batch_size):
    clf = SGDClassifier("log_loss", batch_size=batch_size, learning_rate="constant", eta0=0.5, max_iter=4, tol=None,
                        shuffle=False).fit(X, Y > 4)
    net = fastsgd.Network([X.shape[1], 1], loss="binary_cross_entropy", dtype="float64")
    net.params = np.zeros_like(net.params)
    fastsgd.train(net, X, Y > 4, optimizer=fastsgd.SGD(0.5, l2=1e-4), batch_size=batch_size, epochs=4, shuffle=False)
    np.testing.assert_allclose(clf.coef_[0], net.weights[0][:, 0], rtol=1e-10)


@quiet
def test_any_optimizer_keeps_the_penalty():
    clf = SGDClassifier("log_loss", optimizer=fastsgd.Adam(0.01), batch_size=32, alpha=0.1, random_state=0).fit(X, Y)
    weaker = SGDClassifier("log_loss", optimizer=fastsgd.Adam(0.01), batch_size=32, alpha=0.0, random_state=0).fit(X, Y)
    assert abs(clf.coef_).sum() < 0.7 * abs(weaker.coef_).sum()
    assert weaker.score(X, Y) > 0.75


@quiet
@pytest.mark.parametrize("optimizer", [fastsgd.NAdamW(0.01), fastsgd.ScheduleFreeAdamW(0.01), fastsgd.Muon(0.01)],
                         ids=lambda optimizer: optimizer.kind)
def test_linear_models_take_optimizers_for_networks(optimizer):
    clf = SGDClassifier("log_loss", optimizer=optimizer, batch_size=32, random_state=0).fit(X, Y)
    assert clf.score(X, Y) > 0.75
    averaged = SGDClassifier("log_loss", optimizer=optimizer, batch_size=32, average=True, random_state=0)
    if optimizer.averages:
        with pytest.raises(ValueError, match="average must be None, got 'polyak'"):
            averaged.fit(X, Y)
    else:
        assert averaged.fit(X, Y).score(X, Y) > 0.7


def test_validation_rows_of_the_user_and_what_counts():
    clf = SGDClassifier(early_stopping=True, scoring="f1_macro", random_state=0)
    clf.fit(X[:300], Y[:300], X_val=X[300:], y_val=Y[300:], sample_weight_val=np.ones(150))
    assert len(clf.validation_scores_) == clf.n_iter_ < clf.max_iter
    model = SGDRegressor(early_stopping=True, scoring="loss", random_state=0).fit(XR, YR)
    assert max(model.validation_scores_) < 0
    with pytest.raises(ValueError, match="X_val needs y_val"):
        clf.fit(X, Y, X_val=X)
    with pytest.raises(ValueError, match="y_val needs X_val"):
        clf.fit(X, Y, y_val=Y)
    with pytest.raises(ValueError, match=r"`y` has classes not in `self.classes_`: \[77\]"):
        clf.fit(X, Y, X_val=X[:2], y_val=[77, Y[0]])
    assert not hasattr(clf.set_params(early_stopping=False, scoring=None).fit(X, Y), "validation_scores_")


@quiet
def test_callbacks_progress_and_threads():
    epochs = []
    clf = SGDClassifier(max_iter=3, tol=None, callbacks=[lambda run: epochs.append(run.epoch)], random_state=0)
    clf.fit(X, Y)
    assert epochs == [1, 2, 3]
    for n_jobs in (1, 2, -1):
        other = SGDClassifier(max_iter=3, tol=None, n_jobs=n_jobs, random_state=0).fit(X, Y)
        np.testing.assert_array_equal(other.coef_, clf.coef_)


@pytest.mark.parametrize("learning_rate", ["constant", "optimal", "invscaling"])
@pytest.mark.parametrize("average", [False, True])
def test_partial_fits_are_one_fit_and_survive_a_pickle(average, learning_rate):
    parameters = {"average": average, "learning_rate": learning_rate, "alpha": 0.01, "shuffle": False}
    once = SGDClassifier(max_iter=3, tol=None, **parameters).fit(X, Y)
    parts = SGDClassifier(**parameters)
    for _ in range(3):
        parts = pickle.loads(pickle.dumps(parts.partial_fit(X, Y, classes=np.arange(10))))
    np.testing.assert_allclose(parts.coef_, once.coef_, rtol=1e-12)
    assert parts.t_ == once.t_
    with pytest.raises(ValueError, match=r"`y` has classes not in `self.classes_`: \[11\]"):
        parts.partial_fit(X[:2], [1, 11])


def test_a_stream_of_single_rows():
    ours, theirs = SGDClassifier(random_state=0), sklearn.linear_model.SGDClassifier(random_state=0)
    for model in (ours, theirs):
        for row, label in zip(X, Y, strict=True):
            model.partial_fit(row[np.newaxis], [label], classes=np.arange(10))
    same(ours, theirs)
    assert ours.t_ == 451


def test_sparse_rows_stay_sparse(monkeypatch):
    monkeypatch.setattr(Csr, "dense", lambda _: pytest.fail("made dense"))
    wide = csr_matrix((np.ones(3), ([0, 1, 2], [5, 10**6, 7])), shape=(3, 10**6 + 1))
    clf = SGDClassifier(penalty="elasticnet", random_state=0).fit(wide, [0, 1, 0])
    assert clf.predict(wide).tolist() == [0, 1, 0]
    clf.sparsify()
    assert issparse(clf.coef_)
    assert clf.predict(wide).tolist() == [0, 1, 0]
    assert issparse(clf.coef_)
    other = pickle.loads(pickle.dumps(clf))
    assert issparse(other.coef_)
    assert other.densify().predict(wide).tolist() == [0, 1, 0]


def test_float32_stays_float32():
    for model, y in ((SGDClassifier(random_state=0), Y), (SGDRegressor(random_state=0), Y / 10)):
        model.fit(X.astype(np.float32), y)
        assert model.coef_.dtype == model.intercept_.dtype == np.float32


def test_a_fit_that_diverges_raises_and_leaves_finite_weights():
    model = SGDRegressor(loss="squared_epsilon_insensitive", learning_rate="constant", eta0=1e300, alpha=0.0)
    with pytest.raises(ValueError, match=r"Floating-point under-/overflow occurred at epoch #1\. Scaling input data"):
        model.fit(XR * 1e10, YR)
    assert np.isfinite(model.coef_).all()


@pytest.mark.parametrize(("parameters", "message"), [
    ({"penalty": "l3"}, "The 'penalty' parameter of SGDClassifier must be"),
    ({"alpha": 0.0}, "alpha must be > 0 since learning_rate is 'optimal'"),
    ({"learning_rate": "pa1", "loss": "log_loss"}, "Learning rate 'pa1' only works with loss 'hinge'"),
    ({"batch_size": 0}, "The 'batch_size' parameter"),
    ({"early_stopping": True, "validation_fraction": 0.001}, "test_size = 1 should be greater or equal"),
])
def test_bad_parameters(parameters, message):
    with pytest.raises(ValueError, match=message):
        SGDClassifier(**parameters).fit(X, Y)


def test_clone_and_text():
    clf = clone(SGDClassifier("log_loss", batch_size=32, optimizer=fastsgd.SGD(0.1)))
    assert repr(clf) == "SGDClassifier(batch_size=32, loss='log_loss', optimizer=SGD(0.1))"
    assert "SGDClassifier" in clf._repr_html_()


@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize(("kind", "y"), [("SGDClassifier", Y), ("SGDClassifier", Y > 4), ("SGDRegressor", Y / 10)])
def test_models_move_both_ways(kind, y, average):
    theirs = getattr(sklearn.linear_model, kind)(average=average, random_state=0).fit(X, y)
    ours = fastsgd.interop.from_sklearn(theirs)
    back = fastsgd.interop.to_sklearn(ours)
    assert type(back) is type(theirs)
    assert back.get_params() == theirs.get_params()
    for model in (ours, back):
        np.testing.assert_allclose(model.predict(X), theirs.predict(X), rtol=1e-9)
        model.partial_fit(X, y)
        assert model.t_ == theirs.t_ + 450
        assert abs(model.score(X, y) - theirs.score(X, y)) < 0.2


@pytest.mark.parametrize("average", [True, 500, 2000])
@pytest.mark.parametrize(("kind", "y"), [("SGDClassifier", Y), ("SGDClassifier", Y > 4), ("SGDRegressor", Y / 10)])
def test_averages_go_on_on_the_other_side(kind, y, average):
    rows, parameters = X[:, :8], {"average": average, "learning_rate": "constant", "eta0": 0.001}
    # scikit-learn's classifiers forget the intercept before the average after each call.
    ours, theirs = both(kind, rows, y, fit_intercept=kind == "SGDRegressor", **parameters)
    moved = [pickle.loads(pickle.dumps(fastsgd.interop.from_sklearn(theirs))), fastsgd.interop.to_sklearn(ours),
             fastsgd.interop.to_sklearn(fastsgd.interop.from_sklearn(theirs))]
    for _ in range(3):
        for model in (ours, theirs, *moved):
            model.partial_fit(rows[::2], y[::2])
        for model in (ours, *moved):
            same(model, theirs)


def test_the_first_call_after_a_move_is_scikit_learns_also_with_an_intercept():
    _, theirs = both("SGDClassifier", X, Y > 4, average=True)
    ours = fastsgd.interop.from_sklearn(theirs)
    same(*(model.partial_fit(X, Y > 4) for model in (ours, theirs)))


@pytest.mark.parametrize("change", [{"penalty": "l1"}, {"loss": "hinge"}, {"optimizer": fastsgd.SGD(1e-4)}])
def test_a_change_of_parameters_does_not_begin_the_rates_afresh(change):
    clf, y = SGDClassifier("log_loss", alpha=0.01, random_state=0), Y > 4
    for _ in range(30):
        clf.partial_fit(X, y, classes=[False, True])
    before = clf.coef_.copy()
    clf.set_params(**change).partial_fit(X, y)
    assert 0 < abs(clf.coef_ - before).max() < abs(before).max() / 5


def test_a_change_of_loss_holds_from_the_next_rows_on():
    clf, y = SGDClassifier("squared_error", learning_rate="constant", eta0=0.001, random_state=0), Y > 4
    for _ in range(5):
        clf.partial_fit(X, y, classes=[False, True])
    clf.set_params(loss="log_loss", eta0=0.01)
    for _ in range(20):
        clf.partial_fit(X, y)
    expected = SGDClassifier("log_loss", learning_rate="constant", eta0=0.01, random_state=0, max_iter=25, tol=None)
    assert clf.score(X, y) > expected.fit(X, y).score(X, y) - 0.02


def test_rates_of_scikit_learns_models_go_on():
    y = Y > 4
    theirs = sklearn.linear_model.SGDClassifier(loss="log_loss", alpha=0.01, random_state=0)
    for _ in range(30):
        theirs.partial_fit(X, y, classes=[False, True])
    ours = fastsgd.interop.from_sklearn(theirs).partial_fit(X, y)
    assert 0 < abs(ours.coef_ - theirs.coef_).max() < abs(theirs.coef_).max() / 5


@quiet
@pytest.mark.parametrize("kind", [coo_matrix, bsr_matrix])
def test_early_stopping_takes_what_a_fit_takes(kind):
    clf = SGDClassifier(early_stopping=True, random_state=0, max_iter=3).fit(kind(X), Y, sample_weight=2.0)
    assert len(clf.validation_scores_) == clf.n_iter_
    assert SGDRegressor(early_stopping=True, random_state=0, max_iter=3).fit(kind(XR), YR).n_iter_ <= 3


def test_ctrl_c_ends_a_fit():
    def interrupt(run):
        raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        SGDClassifier(random_state=0, callbacks=[interrupt]).fit(X, Y)


def test_an_average_does_not_begin_late():
    reg = SGDRegressor(random_state=0).partial_fit(XR, YR)
    with pytest.raises(ValueError, match="average=True cannot begin now that 240 steps"):
        reg.set_params(average=True).partial_fit(XR, YR)
    reg.set_params(average=300).partial_fit(XR, YR)
    assert np.isfinite(reg.coef_).all()
