"""Do functions of networks take a fitted estimator for its network, or say by the argument's name what to give?"""
import numpy as np
import pytest

import fastsgd
from fastsgd import descent

pytest.importorskip("sklearn")
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

rng = np.random.default_rng(0)
X = rng.standard_normal((30, 4)).astype("float32")
Y = {"three classes": rng.choice(["a", "b", "c"], 30), "two classes": np.where(rng.random(30) < 0.5, "no", "yes"),
     "labels": (rng.random((30, 3)) < 0.5).astype(int), "numbers": rng.standard_normal(30).astype("float32")}
ENCODED = {"three classes": lambda y: np.searchsorted(["a", "b", "c"], y), "two classes": lambda y: y == "yes",
           "labels": lambda y: y, "numbers": lambda y: y}


def fitted(name, kind="MLP"):
    kind = getattr(fastsgd, f"{kind}{'Regressor' if name == 'numbers' else 'Classifier'}")
    model = kind(hidden_layer_sizes=(3,), random_state=0) if "MLP" in kind.__name__ else kind(random_state=0)
    classes = [0, 1, 2] if name == "labels" else np.unique(Y[name])
    return model.partial_fit(X, Y[name], **({} if name == "numbers" else {"classes": classes}))


MEASURES = {
    "gradient_noise": lambda net, X, y: descent.gradient_noise(net, X, y, 10, samples=3, seed=0).true_gradient,
    "row_noise": lambda net, X, y: descent.row_noise(net, X, y).kernel,
    "trajectory": lambda net, X, y: descent.trajectory(net, X, y, steps=4, seed=0).paths[0].cost,
    "random_plane": lambda net, X, y: descent.random_plane(net, seed=0).directions,
    "cost_surface": lambda net, X, y: descent.cost_surface(net, X, y, resolution=3).cost,
    "check_gradient": lambda net, X, y: fastsgd.check_gradient(net, X, y),
}
TIMED = {
    "race": lambda net, X, y: descent.race(net, X, y, (10, None), seconds=0.01, seed=0),
    "suggest_batch_size": lambda net, X, y: descent.suggest_batch_size(net, X, y, batch_sizes=[10], seconds=0.01),
}
TRAINING = {
    "train": lambda net, X, y: fastsgd.train(net, X, y),
    "train_stream": lambda net, X, y: fastsgd.train_stream(net, [(X, y)]),
}


@pytest.mark.parametrize("name", Y)
@pytest.mark.parametrize("measure", MEASURES)
def test_a_fitted_estimator_is_its_network_and_y_is_its_own(measure, name):
    for model in [fitted(name)] + ([fitted(name, "SGD")] if name != "labels" else []):
        before = model.network_.params.copy()
        found = MEASURES[measure](model, X, Y[name])
        np.testing.assert_array_equal(found, MEASURES[measure](model.network_.copy(), X, ENCODED[name](Y[name])))
        np.testing.assert_array_equal(model.network_.params, before)


@pytest.mark.parametrize("measure", TIMED)
def test_what_measures_time_takes_an_estimator(measure):
    model = fitted("three classes")
    before = model.network_.params.copy()
    TIMED[measure](model, X, Y["three classes"])
    np.testing.assert_array_equal(model.network_.params, before)


def test_labels_that_the_estimator_does_not_know():
    with pytest.raises(ValueError, match=r"`y` has classes not in `self\.classes_`"):
        descent.row_noise(fitted("three classes"), X, ["z"] * 30)


@pytest.mark.parametrize("function", MEASURES | TIMED)
def test_what_holds_no_network_is_refused_by_name(function):
    call = (MEASURES | TIMED)[function]
    pipe = make_pipeline(StandardScaler(), fastsgd.SGDClassifier())
    search = GridSearchCV(fastsgd.SGDClassifier(), {"alpha": [1e-4]}, cv=2).fit(X, Y["two classes"])
    with pytest.raises(NotFittedError, match="This MLPClassifier instance is not fitted yet"):
        call(fastsgd.MLPClassifier(), X, Y["two classes"])
    for given, message in ((5, "got int$"), (fastsgd.SGDClassifier, "got the class SGDClassifier"),
                           (pipe, "got Pipeline; give its last step"),
                           (search, "got GridSearchCV; give its best_estimator_"),
                           (SGDClassifier(), r"got scikit-learn's SGDClassifier; fastsgd\.interop\.from_sklearn")):
        with pytest.raises(TypeError, match=rf"net must be a fastsgd\.Network or a fitted estimator.*{message}"):
            call(given, X, Y["two classes"])


@pytest.mark.parametrize("function", TRAINING)
def test_estimators_are_trained_by_their_own_fit(function):
    for model in (fitted("two classes"), fastsgd.SGDClassifier()):
        with pytest.raises(TypeError, match=r"net must be a fastsgd\.Network, got (MLP|SGD)Classifier, which is .* fit "
                                            r"or partial_fit; its network_ can be .* classes as numbers from 0"):
            TRAINING[function](model, X, Y["two classes"])


def test_noise_logs_say_that_their_y_must_be_encoded():
    model = fastsgd.MLPClassifier((3,), max_iter=1, callbacks=[descent.NoiseLog(X, Y["two classes"], rows=9, seed=0)])
    with pytest.raises(TypeError, match=r"NoiseLog: y must hold real numbers.*encode strings as numbers"):
        model.fit(X, Y["two classes"])


@pytest.mark.parametrize("name", ["two classes", "three classes"])
def test_plots_take_estimators(name):
    pytest.importorskip("matplotlib").use("agg")
    from fastsgd import plots
    for model in (fitted(name), fitted(name, "SGD")):
        ax = plots.confusion(model, X, Y[name], worst=0)
        assert [label.get_text() for label in ax.get_xticklabels()] == model.classes_.tolist()
        assert ax.get_title().startswith(f"{model.score(X, Y[name]):.2%}")
        assert "units" in plots.weights(model, (2, 2)).get_title()
        ax.figure.clear()
    for plot, source in ((plots.history, "fastsgd.train"), (plots.race, r"fastsgd\.descent\.race"),
                         (plots.gradient_noise, r"fastsgd\.descent\.gradient_noise")):
        with pytest.raises(TypeError, match=f"must be what {source} returns, got SGDClassifier"):
            plot(model)
