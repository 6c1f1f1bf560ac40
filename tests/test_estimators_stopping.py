"""When does a fit of the estimators stop, by which rows, and what does it say where it came to nothing?"""
import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn")
from scipy.sparse import csr_matrix
from sklearn.datasets import load_wine
from sklearn.exceptions import ConvergenceWarning

from fastsgd import SGD, MLPClassifier, MLPRegressor, SGDClassifier, SGDRegressor

X = np.linspace(-1, 1, 200)[:, np.newaxis]
Y = X[:, 0]
POSITIVE = (Y > 0).astype(int)
quiet = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


# ---- each fit judges by its own rows ----

@quiet
@pytest.mark.parametrize("more", [{}, {"early_stopping": True}, {"early_stopping": True, "scoring": "loss"},
                                  {"solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 0.1}], ids=str)
@pytest.mark.parametrize("own_rows", [False, True], ids=["split", "X_val"])
def test_a_warm_start_on_other_targets_learns_them(own_rows, more):
    parameters = {"learning_rate_init": 0.01, "warm_start": True, "random_state": 0, **more}
    model = MLPRegressor("squared_error", (20,), **parameters)
    for y in (Y, -Y):
        model.fit(X, y, **({"X_val": X[::5], "y_val": y[::5]} if own_rows else {}))
    assert model.score(X, -Y) > 0.9
    if model.early_stopping:
        assert model.best_validation_score_ == max(model.validation_scores_[-model.n_iter_:])
        assert model.best_loss_ is None
    else:
        assert model.best_loss_ == min(model.loss_curve_[-model.n_iter_:])


@quiet
def test_a_warm_start_with_another_scoring_or_without_early_stopping():
    model = MLPClassifier((8,), warm_start=True, early_stopping=True, scoring="accuracy", learning_rate_init=0.05,
                          random_state=0).fit(X, POSITIVE)
    model.set_params(scoring="loss").fit(X, 1 - POSITIVE)           # all of whose scores are below those before
    assert model.score(X, 1 - POSITIVE) > 0.9
    assert model.best_validation_score_ < 0
    model.set_params(early_stopping=False).fit(X, POSITIVE)
    assert model.score(X, POSITIVE) > 0.9
    assert model.best_validation_score_ is None
    model.set_params(early_stopping=True).fit(X, 1 - POSITIVE)
    assert model.score(X, 1 - POSITIVE) > 0.9
    assert model.best_loss_ is None


@quiet
@pytest.mark.parametrize("kind", [SGDClassifier, SGDRegressor])
def test_a_warm_start_of_a_linear_model_too(kind):
    y = POSITIVE if kind is SGDClassifier else Y
    model = kind(warm_start=True, early_stopping=True, random_state=0, eta0=0.1, learning_rate="adaptive")
    assert model.fit(X, y).fit(X, 1 - y).score(X, 1 - y) > 0.9


# ---- scores that are not finite ----

def last_of(epochs, kind, y, rows, **more):
    """A fit that its validation rows cannot judge, and the same without early stopping."""
    model = kind(random_state=0, max_iter=epochs, early_stopping=True, **more)
    with pytest.warns(ConvergenceWarning) as caught:
        model.fit(X, y, X_val=X[rows], y_val=y[rows])
    assert len(caught) == 1
    assert caught[0].filename == __file__
    more.pop("scoring", None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        plain = kind(random_state=0, max_iter=epochs, n_iter_no_change=epochs, **more).fit(X, y)
    return model, plain, str(caught[0].message)


@pytest.mark.parametrize(("kind", "rows", "more", "said"), [
    (MLPClassifier, slice(-5, None), {"scoring": "roc_auc"},
     "(roc_auc) of the validation rows was not finite in any of 20 epochs, as all 5 rows are of class 1."),
    (SGDClassifier, slice(-5, None), {"scoring": "roc_auc"}, "as all 5 rows are of class 1."),
    (MLPRegressor, slice(1), {},
     "(R^2) of the validation rows was not finite in any of 20 epochs, as there is a single row."),
    (SGDRegressor, slice(1), {}, "as there is a single row."),
    (MLPRegressor, slice(1), {"scoring": "r2"}, "(r2) of the validation rows"),
    (MLPRegressor, slice(1), {"loss": "quantile", "quantile": [0.2, 0.8]}, "as there is a single row."),
    (SGDRegressor, slice(9), {"scoring": lambda estimator, rows, y: np.nan}, "(<lambda>) of the validation rows"),
])
def test_a_score_that_is_never_finite_keeps_the_last_parameters_and_says_why(kind, rows, more, said):
    model, plain, message = last_of(20, kind, POSITIVE if "Classifier" in kind.__name__ else Y, rows, **more)
    assert said in message
    assert "Give rows on which the score is defined" in message
    np.testing.assert_array_equal(model.predict(X), plain.predict(X))
    assert np.isnan(model.validation_scores_).all()
    if kind in (MLPClassifier, MLPRegressor):
        assert np.isnan(model.best_validation_score_)


@pytest.mark.parametrize("kind", [MLPRegressor, SGDRegressor])
def test_validation_targets_without_spread(kind):
    with pytest.warns(ConvergenceWarning, match="as all 3 rows have the same y"):
        kind(early_stopping=True, max_iter=20, random_state=0).fit(X, Y, X_val=X[:3], y_val=np.ones(3))
    constant = kind(early_stopping=True, random_state=0, eta0=0.1) if kind is SGDRegressor else kind(
        early_stopping=True, random_state=0)
    assert np.isfinite(constant.fit(X, np.ones(200)).validation_scores_).all()         # as scikit-learn's R^2


@quiet
@pytest.mark.parametrize("kind", [MLPClassifier, SGDClassifier])
def test_a_score_that_is_not_finite_now_and_then_is_passed_over(kind):
    scores = iter([np.nan, 0.5, np.inf, 0.9, np.nan, -np.inf, *[0.8] * 100])
    kept = []

    def scoring(estimator, rows, y):
        kept.append(estimator.decision_function(X) if kind is SGDClassifier else estimator.predict_proba(X))
        return next(scores)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = kind(early_stopping=True, scoring=scoring, n_iter_no_change=4, batch_size=10, random_state=0)
        model.fit(X, POSITIVE)
    assert model.n_iter_ in (8, 9)                       # scikit-learn's rules for the two differ by one
    if kind is MLPClassifier:
        assert model.best_validation_score_ == 0.9
        np.testing.assert_array_equal(model.predict_proba(X), kept[3])


# ---- fits that came to nothing ----

def said_of(model, X, y, **more):
    """What a fit warns of, in one warning at most."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X, y, **more)
    assert all(warning.category is ConvergenceWarning and warning.filename == __file__ for warning in caught)
    assert len(caught) <= 1
    return str(caught[0].message) if caught else ""


STANDARD = np.random.default_rng(0).standard_normal((120, 3))
LINEAR = STANDARD @ [0.3, 0.5, 0.8]


@pytest.mark.parametrize(("y", "more", "parts"), [
    (2000 + 300 * LINEAR, {}, ("Maximum iterations (200)", "It has mean 1.99e+03 and standard deviation ",
                               "TransformedTargetRegressor")),
    (LINEAR / 1000, {}, ("that of a constant ", "It has mean")),
    (2000 + 300 * LINEAR, {"early_stopping": True, "loss": "absolute_error"}, ("that of a constant ",)),
    (2000 + 300 * LINEAR, {"loss": "quantile", "quantile": [0.2, 0.8]}, ("that of a constant ",)),
    (np.exp(9 + 0.3 * LINEAR), {"loss": "poisson", "max_iter": 9}, ("divide it by its mean",)),
    (np.c_[LINEAR, 5e4 + 300 * LINEAR], {}, ("nothing of column 1 of y", "It has mean 5e+04")),
    (LINEAR / 1000, {"solver": "lbfgs", "max_iter": 1000}, ("The fit explains nothing of the target y",)),
], ids=["large", "small", "absolute", "quantiles", "poisson", "two", "lbfgs"])
def test_targets_that_are_to_blame(y, more, parts):
    said = said_of(MLPRegressor(random_state=0, **more), STANDARD, y)
    for part in parts:
        assert part in said
    assert "X has columns" not in said


def test_columns_that_are_to_blame():
    said = said_of(MLPRegressor(random_state=0), STANDARD * 1e4, LINEAR)
    assert "explains nothing" in said
    assert "X has columns of a size (root mean square) up to 1.14e+04: scale them" in said
    assert "standardise" not in said
    assert "It has mean" in said_of(MLPRegressor(random_state=0), csr_matrix(STANDARD * 1e4), 2000 + 300 * LINEAR)


@pytest.mark.parametrize(("model", "y"), [
    (MLPRegressor(solver="lbfgs", random_state=0, max_iter=5000), 2000 + 300 * LINEAR),        # which manages these
    (MLPRegressor(solver="sgd", learning_rate_init=0.01, random_state=0), 12 + LINEAR),
    (MLPRegressor(random_state=0, tol=1e-3), LINEAR),
    (MLPRegressor(random_state=0, early_stopping=True), LINEAR), (MLPRegressor(random_state=0), np.full(120, 500.0)),
    (SGDRegressor(random_state=0), LINEAR), (SGDRegressor(random_state=0), 1000 + LINEAR),
    (SGDRegressor(random_state=0, fit_intercept=False), 1000 + LINEAR),
    (SGDRegressor(random_state=0), np.random.default_rng(1).standard_normal(120)),
    (SGDClassifier(random_state=0), LINEAR > 0), (SGDClassifier("squared_hinge", random_state=0), LINEAR > 0)])
def test_nothing_is_said_of_fits_that_worked(model, y):
    said = said_of(model, STANDARD, y)
    assert not said or said.endswith("hasn't converged yet.")


@pytest.mark.parametrize("model", [
    SGDRegressor(random_state=0), SGDRegressor("squared_epsilon_insensitive", random_state=0),
    SGDClassifier("squared_error", random_state=0)], ids=str)
@pytest.mark.parametrize("classes", [2, 3])
def test_a_divergence_that_stays_finite(model, classes):
    y = LINEAR if isinstance(model, SGDRegressor) else np.digitize(LINEAR, [-1, 0][:classes - 1])
    said = said_of(model, STANDARD * 1e4, y)
    assert "The fit diverged" in said
    assert "X has columns of a size (root mean square) up to 1.14e+04: scale them" in said
    assert "The fit diverged" in said_of(model, csr_matrix(STANDARD * 1e4), y)


@pytest.mark.parametrize(("parameters", "cure"), [
    ({"eta0": 100.0}, "Give a smaller eta0; it is 100."),
    ({"learning_rate": "optimal", "alpha": 1e-9, "max_iter": 9}, "Give a larger alpha, or learning_rate='invscaling'"),
    ({"optimizer": SGD(9.0), "max_iter": 2}, "Give the optimizer a smaller learning rate; it is SGD(9.0"),
])
def test_a_divergence_by_long_steps(parameters, cure):
    assert cure in said_of(SGDRegressor(random_state=0, **parameters), STANDARD, LINEAR)


def test_classifiers_that_are_right_are_left_in_peace_whatever_their_cost():
    for loss in ("hinge", "log_loss", "modified_huber", "perceptron"):
        assert "diverged" not in said_of(SGDClassifier(loss, random_state=0), STANDARD * 1e4, LINEAR > 0)


@pytest.mark.parametrize("y", [ONE_OF_THREE := np.arange(120) % 3, np.eye(3, dtype=int)[ONE_OF_THREE]],
                         ids=["classes", "labels"])
def test_early_stopping_after_too_few_steps(y):
    rows = STANDARD + np.eye(3)[ONE_OF_THREE] * 2
    said = said_of(MLPClassifier(early_stopping=True, random_state=0, n_iter_no_change=3), rows, y)
    assert "Early stopping ended the fit after " in said
    assert "while the training cost was still falling" in said
    model = MLPClassifier(early_stopping=True, random_state=0, batch_size=10, learning_rate_init=0.01)
    assert not said_of(model, rows, y)
    stopped = MLPClassifier(early_stopping=True, random_state=0, callbacks=[lambda run: setattr(run, "stop", True)])
    assert not said_of(stopped, rows, y)                   # by the user


def test_a_divergence_that_stays_finite_and_columns_of_a_classifier():
    x = np.linspace(-1, 1, 200)[:, np.newaxis]
    assert "Its steps are too long: give a smaller learning_rate_init." in said_of(
        MLPRegressor(random_state=0, learning_rate_init=10), x, x[:, 0])
    for rate in (100, 1e4):
        said = said_of(MLPClassifier(solver="sgd", learning_rate_init=rate, random_state=0, max_iter=30), STANDARD,
                       LINEAR > 0)
        assert "The fit learned nothing: its mean cost is " in said
        assert said.endswith("Its steps are too long: give a smaller learning_rate_init.")
    rows, y = load_wine(return_X_y=True)
    for more in ({"solver": "sgd", "learning_rate_init": 0.5}, {"early_stopping": True}):
        assert "X has columns of a size (root mean square) up to 810: scale them" in said_of(
            MLPClassifier(random_state=0, **more), rows, y)


def test_a_fit_of_targets_that_are_all_0_has_not_diverged():
    rows = np.random.default_rng(0).standard_normal((200, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SGDRegressor(random_state=0).fit(rows, np.zeros(200), coef_init=[1, 1, 1])
