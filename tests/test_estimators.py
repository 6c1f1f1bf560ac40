"""Are the estimators good citizens of scikit-learn: its checks, processes, metadata, and what is said without it?"""
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fastsgd
from fastsgd.engine.machine import cores
from fastsgd.network.derived import before_output

pytest.importorskip("sklearn")
import joblib
import sklearn
from scipy.sparse import csr_matrix
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.ensemble import BaggingClassifier
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

KINDS = ("MLPClassifier", "MLPRegressor", "SGDClassifier", "SGDRegressor")
REPEATED = ("a step is made for each row in a shuffled order: a row of weight 2 makes one step twice as long, a row "
            "that is there twice makes two")
EXPECTED = {"check_sample_weight_equivalence_on_dense_data": REPEATED,
            "check_sample_weight_equivalence_on_sparse_data": REPEATED}
X, Y = load_digits(return_X_y=True)
X = X / 16
quiet = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def expected(model):
    return EXPECTED if type(model).__name__.startswith("SGD") else {}


CHECKS = parametrize_with_checks([getattr(fastsgd, kind)() for kind in KINDS], expected_failed_checks=expected).mark


# As a list: scikit-learn 1.8 gives a generator, which pytest 9 warns of.
@pytest.mark.parametrize(CHECKS.args[0], list(CHECKS.args[1]), **CHECKS.kwargs)
@pytest.mark.filterwarnings("default")
def test_scikit_learns_checks(estimator, check):
    check(estimator)


def test_without_scikit_learn_using_an_estimator_says_what_to_install():
    code = ("import sys\n"
            "sys.modules['sklearn'] = None\n"
            "import fastsgd\n"
            "assert 'MLPClassifier' in dir(fastsgd)\n"
            "for kind in ('MLPClassifier', 'SGDRegressor'):\n"
            "    try:\n"
            "        getattr(fastsgd, kind)\n"
            "        raise AssertionError(kind)\n"
            "    except ImportError as error:\n"
            "        assert 'pip install \"fastsgd[sklearn]\"' in str(error), error\n")
    result = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_the_cores_are_shared_among_joblib_s_processes():
    with joblib.parallel_config("loky", n_jobs=2):
        assert joblib.Parallel()(joblib.delayed(cores)() for _ in range(2)) == [max(1, cores() // 2)] * 2


@pytest.mark.parametrize("backend", ["loky", "threading", "multiprocessing"])
def test_a_grid_search_is_the_same_in_processes_and_threads(backend):
    def search(n_jobs):
        grid = {"hidden_layer_sizes": [(8,), (16,)], "optimizer": [None, fastsgd.SGD(0.1, momentum=0.9)]}
        # It converges at once, and warns of nothing: without the GIL threads put each other's filters of warnings away.
        model = fastsgd.MLPClassifier(n_iter_no_change=4, tol=1e9, random_state=0)
        with joblib.parallel_config(backend):
            return GridSearchCV(model, grid, cv=2, n_jobs=n_jobs).fit(X[:400], Y[:400])

    alone, shared = search(1), search(2)
    assert alone.best_params_ == shared.best_params_
    np.testing.assert_array_equal(alone.cv_results_["mean_test_score"], shared.cv_results_["mean_test_score"])


@quiet
@pytest.mark.parametrize("kind", KINDS)
def test_a_search_among_an_optimizer_s_parameters(kind):
    optimizer = fastsgd.SGD(fastsgd.schedules.Cosine(0.001))
    model = getattr(fastsgd, kind)(optimizer=optimizer, max_iter=2, random_state=0)
    grid = {"model__optimizer__learning_rate__rate": [1e-9, 0.01], "model__optimizer__momentum": [0.0, 0.5]}
    search = GridSearchCV(Pipeline([("model", model)]), grid, cv=2).fit(X[:200], Y[:200])
    assert search.best_params_["model__optimizer__learning_rate__rate"] == 0.01
    assert search.best_estimator_[0].optimizer.learning_rate.rate == 0.01
    assert model.optimizer is optimizer == fastsgd.SGD(fastsgd.schedules.Cosine(0.001))
    assert clone(model).set_params(optimizer__momentum=0.1).optimizer.momentum == 0.1
    assert model.set_params(optimizer=fastsgd.Adam(), optimizer__learning_rate=0.5).optimizer == fastsgd.Adam(0.5)
    with pytest.raises(ValueError, match=r"optimizer__momentum needs an optimizer to change, such as .*; it is None"):
        model.set_params(optimizer=None, optimizer__momentum=0.5)


@quiet
@pytest.mark.parametrize("kind", ["MLPClassifier", "SGDClassifier"])
def test_weights_and_validation_rows_are_routed(kind):
    weight = np.random.default_rng(0).uniform(0, 1, 300)
    with sklearn.config_context(enable_metadata_routing=True):
        model = getattr(fastsgd, kind)(random_state=0, max_iter=3, tol=0.0)
        model.set_fit_request(sample_weight=True, X_val=True, y_val=True, sample_weight_val=False)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        pipeline = make_pipeline(scaler, model, transform_input=["X_val"])
        pipeline.fit(X[:300], Y[:300], sample_weight=weight, X_val=X[300:400], y_val=Y[300:400])
        assert len(pipeline[-1].validation_scores_) == 3
        assert pipeline[-1].validation_scores_[-1] == pytest.approx(pipeline.score(X[300:400], Y[300:400]))
        scaled = StandardScaler().fit(X[:300])
        alone = getattr(fastsgd, kind)(random_state=0, max_iter=3, tol=0.0)
        alone.fit(scaled.transform(X[:300]), Y[:300], sample_weight=weight)
        np.testing.assert_array_equal(alone.predict(scaled.transform(X)), pipeline.predict(X))
        cross_validate(model.set_fit_request(X_val=False, y_val=False).set_score_request(sample_weight=False), X[:300],
                       Y[:300], params={"sample_weight": weight}, cv=2, error_score="raise")


@quiet
def test_in_an_ensemble():
    bag = BaggingClassifier(fastsgd.SGDClassifier(max_iter=5, tol=None), n_estimators=3, random_state=0).fit(X, Y)
    assert bag.score(X, Y) > 0.8


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_and_defaults_are_scikit_learns_and_others_come_after_them(kind):
    import inspect

    import sklearn.linear_model
    import sklearn.neural_network
    theirs = getattr(sklearn.neural_network, kind, None) or getattr(sklearn.linear_model, kind)
    own = inspect.signature(getattr(fastsgd, kind).__init__).parameters
    given = inspect.signature(theirs.__init__).parameters
    assert list(own)[:len(given)] == list(given)
    assert all(own[name].default == parameter.default and own[name].kind == parameter.kind
               for name, parameter in given.items())
    for method in ("fit", "partial_fit", "predict", "score"):
        asked = inspect.signature(getattr(theirs, method)).parameters
        assert list(inspect.signature(getattr(getattr(fastsgd, kind), method)).parameters)[:len(asked)] == list(asked)


@quiet
@pytest.mark.parametrize("kind", KINDS)
def test_a_model_mapped_from_a_file_goes_on(kind, tmp_path):
    model = getattr(fastsgd, kind)(max_iter=3, random_state=0).fit(X, Y)
    joblib.dump(model, tmp_path / "model.jl")
    mapped = joblib.load(tmp_path / "model.jl", mmap_mode="r")
    np.testing.assert_array_equal(mapped.predict(X), model.predict(X))
    mapped.partial_fit(X, Y)
    model.partial_fit(X, Y)
    np.testing.assert_array_equal(mapped.predict(X), model.predict(X))


@quiet
@pytest.mark.parametrize("kind", KINDS)
def test_sparse_rows_with_wide_indices(kind):
    rows = csr_matrix(X)
    rows.indices, rows.indptr = rows.indices.astype(np.int64), rows.indptr.astype(np.int64)
    models = [getattr(fastsgd, kind)(max_iter=3, random_state=0).fit(given, Y) for given in (rows, csr_matrix(X))]
    np.testing.assert_array_equal(*(model.predict(X) for model in models))


@quiet
def test_many_threads_may_predict_with_a_model_that_has_just_been_read():
    model = fastsgd.MLPClassifier((16,), max_iter=3, random_state=0).fit(X, Y)
    expected = model.predict_proba(X[:3])
    other = pickle.loads(pickle.dumps(model))
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: other.predict_proba(X[:3]), range(4000)))
    assert all((answer == expected).all() for answer in found)


@quiet
@pytest.mark.parametrize("kind", ["MLPClassifier", "SGDClassifier"])
@pytest.mark.parametrize("classes", [2, 3])
def test_balanced_classes_are_those_of_logistic_regression(kind, classes):
    rows, y = X[:90], np.arange(90) % 5 % classes
    weight = np.random.default_rng(0).uniform(0, 2, 90)
    weight[::7] = 0
    counts = np.bincount(y, weight)
    given = dict(enumerate(counts.sum() / (classes * counts)))       # compute_class_weight's, with sample_weight
    models = [getattr(fastsgd, kind)(class_weight=class_weight, max_iter=3, tol=0, random_state=0)
              .fit(rows, y, sample_weight=weight) for class_weight in ("balanced", given)]
    np.testing.assert_allclose(*(model.network_.params for model in models), rtol=1e-9, atol=1e-12)
    none = np.where(y == 0, 0, weight)                               # a class that counts nothing, nor in the balance
    with np.errstate(all="raise"):
        models[0].fit(rows, y, sample_weight=none)
    assert np.isfinite(models[0].network_.params).all()


@quiet
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("model", "y"), [
    (fastsgd.MLPClassifier((8,), max_iter=2), Y), (fastsgd.MLPClassifier((8,), max_iter=2), Y > 4),
    (fastsgd.MLPClassifier((8,), max_iter=2), np.eye(10, dtype=int)[Y]), (fastsgd.SGDClassifier("log_loss"), Y),
    (fastsgd.SGDClassifier("log_loss"), Y > 4), (fastsgd.SGDClassifier("log_loss", multi_class="multinomial"), Y)])
def test_logarithms_of_probabilities_that_are_rounded_to_0_or_1(model, y, dtype):
    rows = X[:200].astype(dtype)
    model = clone(model).set_params(random_state=0).fit(rows, y[:200])
    net = model.network_
    net.params = net.params * dtype(0.5 / abs(before_output(net).predict(rows)).max())
    found = model.predict_log_proba(rows)
    np.testing.assert_allclose(found, np.log(model.predict_proba(rows)), rtol=1e-5, atol=1e-6)
    net.weights[-1][:] *= 1e4 / abs(before_output(net).predict(rows)).max()
    net.biases[-1][:] = 0
    found = model.predict_log_proba(rows)                            # warnings are errors
    assert found.dtype == dtype
    assert np.isfinite(found).all()
    assert found.min() < -1000
    np.testing.assert_allclose(np.exp(found), model.predict_proba(rows), rtol=1e-5, atol=1e-6)


def test_logarithms_of_probabilities_that_are_0():
    assert (fastsgd.SGDClassifier("modified_huber", random_state=0).fit(X, Y).predict_log_proba(X) == -np.inf).any()


@pytest.mark.parametrize("kind", KINDS)
def test_what_tables_hold_is_refused_with_the_estimator_for_it(kind):
    tabular = "TabularClassifier" if "Classifier" in kind else "TabularRegressor"
    missing, text = np.array([[1.0, np.nan], [0.0, 1.0]]), np.array([["red", 1], ["blue", 2]], object)
    with pytest.raises(ValueError, match=f"contains NaN. {kind} takes no missing values: {tabular} does, or fill them"):
        getattr(fastsgd, kind)().fit(missing, [0, 1])
    with pytest.raises(ValueError, match=f"'red'. {tabular} takes tables with text, or encode it"):
        getattr(fastsgd, kind)().fit(text, [0, 1])


@pytest.mark.parametrize("kind", [*KINDS, "TabularClassifier", "TabularRegressor"])
def test_html_links_to_the_documentation(kind, monkeypatch, tmp_path):
    model = getattr(fastsgd, kind)()
    page = f"generated/api/fastsgd.{kind}.html"
    monkeypatch.delenv("FASTSGD_DOCS", raising=False)
    assert "href=" not in model._repr_html_()
    monkeypatch.setenv("FASTSGD_DOCS", "https://example.org/fastsgd/")
    assert f'href="https://example.org/fastsgd/{page}"' in model._repr_html_()
    monkeypatch.setenv("FASTSGD_DOCS", str(tmp_path))
    assert f'href="{tmp_path.as_uri()}/{page}"' in make_pipeline(StandardScaler(), model)._repr_html_()
