"""When does a fit of the estimators stop, by which rows, and what does it say where it came to nothing?"""
import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn")
from sklearn.exceptions import ConvergenceWarning

from fastsgd import MLPClassifier, MLPRegressor, SGDClassifier, SGDRegressor

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
        model = kind(early_stopping=True, scoring=scoring, n_iter_no_change=4, random_state=0).fit(X, POSITIVE)
    assert model.n_iter_ in (8, 9)                       # scikit-learn's rules for the two differ by one
    if kind is MLPClassifier:
        assert model.best_validation_score_ == 0.9
        np.testing.assert_array_equal(model.predict_proba(X), kept[3])
