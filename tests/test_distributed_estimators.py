"""Estimators, many models at once, and the command, on a cluster."""
import logging
import pickle
import re
import warnings

import numpy as np
import pytest

pytest.importorskip("distributed")
pytest.importorskip("sklearn")
pytest.importorskip("dask.dataframe")
import dask.array as da
import dask.dataframe as dd
import pandas as pd
from dask.distributed import Client, LocalCluster
from sklearn.base import clone

import fastsgd
import fastsgd.distributed as fd
from fastsgd.cli.main import main
from fastsgd.distributed.moments import Moments

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning",
                                        "ignore::pytest.PytestUnraisableExceptionWarning",
                                        "ignore::pytest.PytestUnhandledThreadExceptionWarning",
                                        "ignore:.*fork.*", "ignore::RuntimeWarning:distributed")
NAMES = np.array(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])


@pytest.fixture(scope="module")
def client():
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0",
                      silence_logs=logging.CRITICAL) as cluster, Client(cluster) as found:
        yield found


@pytest.fixture(scope="module")
def digits():
    (X, y), (X_test, y_test) = fastsgd.datasets.digits()
    return X * 37 + 5, y, X_test * 37 + 5, y_test


def chunked(X, y, rows=360):
    return da.from_array(X, chunks=(rows, X.shape[1])), da.from_array(y, chunks=rows)


@pytest.mark.parametrize("labels", ["numbers", "strings", "two"])
def test_a_classifier(client, digits, labels):
    """Features far from unit size, classes of any kind; predictions lazy, and those of the local model."""
    X, y, X_test, y_test = digits
    y, y_test = {"numbers": (y, y_test), "strings": (NAMES[y], NAMES[y_test]), "two": (y % 2, y_test % 2)}[labels]
    A, b = chunked(X, y)
    model = fd.MLPClassifier((32,), learning_rate_init=0.01, max_iter=20, random_state=0).fit(A, b)
    local = model.to_local()
    assert isinstance(local, fastsgd.MLPClassifier)
    assert model.classes_.tolist() == sorted(set(y.tolist()))
    assert local.score(X_test, y_test) > 0.95
    A_test, b_test = chunked(X_test, y_test, 100)
    assert model.score(A_test, b_test) == pytest.approx(local.score(X_test, y_test))
    lazy = model.predict(A_test)
    assert isinstance(lazy, da.Array)
    assert lazy.chunks == (A_test.chunks[0],)
    assert (lazy.compute() == local.predict(X_test)).all()
    probabilities = model.predict_proba(A_test)
    assert probabilities.shape == (len(X_test), len(model.classes_))
    np.testing.assert_allclose(probabilities.compute(), local.predict_proba(X_test), rtol=1e-6)
    assert (model.predict(X_test) == local.predict(X_test)).all()
    assert model.n_iter_ == model.history_.rounds == len(model.loss_curve_)
    assert fd.MLPClassifier((32,), learning_rate_init=0.01, max_iter=20, random_state=0).fit(
        A, b).coefs_[0].tobytes() == model.coefs_[0].tobytes()


def test_frames(client, digits):
    X, y, X_test, _ = digits
    names = [f"pixel {i}" for i in range(64)]
    frame = dd.from_pandas(pd.DataFrame(X, columns=names), npartitions=4)
    labels = dd.from_pandas(pd.Series(NAMES[y]), npartitions=4)
    model = fd.MLPClassifier((32,), learning_rate_init=0.01, max_iter=20, random_state=0).fit(frame, labels)
    assert model.feature_names_in_.tolist() == names
    found = model.predict(frame)
    assert isinstance(found, dd.Series)
    local = model.to_local().predict(pd.DataFrame(X, columns=names))
    assert (found.compute() == local).all()
    assert found.compute().index.tolist() == list(range(len(X)))
    assert model.predict_proba(frame).compute().shape == (len(X), 10)
    assert model.score(frame, labels) == pytest.approx(np.mean(local == NAMES[y]))
    assert model.predict(pd.DataFrame(X_test, columns=names)).shape == (len(X_test),)


@pytest.mark.parametrize(("model", "least"), [
    (lambda: fd.SGDClassifier(random_state=0), 0.93), (lambda: fd.SGDClassifier("log_loss", random_state=0), 0.93),
    (lambda: fd.SGDClassifier("log_loss", class_weight="balanced", random_state=0), 0.93),
    (lambda: fd.SGDClassifier("log_loss", multi_class="multinomial", class_weight="balanced", random_state=0), 0.93),
    (lambda: fd.MLPClassifier(solver="sgd", learning_rate_init=0.1, class_weight="balanced", random_state=0), 0.93),
    (lambda: fd.MLPClassifier(optimizer=fastsgd.AdamW(0.01), outer=fd.Nesterov(0.5, 0.5), random_state=0), 0.93)],
    ids=["hinge", "log_loss", "balanced", "multinomial", "sgd", "optimizer"])
def test_classifiers_learn(client, digits, model, least):
    X, y, X_test, y_test = digits
    weight = da.from_array(np.random.default_rng(0).uniform(0.5, 1.5, len(y)), chunks=360)
    found = model().fit(*chunked(X, y), weight)
    assert found.to_local().score(X_test, y_test) > least
    if hasattr(found, "decision_function"):
        assert found.decision_function(chunked(X_test, y_test)[0]).shape == (len(X_test), 10)


@pytest.mark.parametrize("model", [fd.MLPRegressor(learning_rate_init=0.01, random_state=0),
                                   fd.SGDRegressor(random_state=0)], ids=["mlp", "sgd"])
def test_regressors_need_no_scaling(client, model):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((4000, 5)) * [1, 10, 100, 1, 0.01] + 50
    y = X @ [1.0, 2.0, 3.0, 4.0, 5.0] + 1000
    A, b = chunked(X, y, 1000)
    found = clone(model).fit(A, b)
    assert found.to_local().score(X, y) > 0.98
    assert found.score(A, b) == pytest.approx(found.to_local().score(X, y), abs=1e-9)
    assert found.predict(A).compute() == pytest.approx(found.to_local().predict(X))
    if hasattr(found, "loss_curve_"):
        both = clone(model).fit(A, da.stack([b, -b], axis=1))
        assert both.predict(A).compute().shape == (4000, 2)
        assert both.score(A, da.stack([b, -b], axis=1)) > 0.9


def test_sparse_rows_are_scaled_and_not_centred(client, digits):
    import scipy.sparse
    X, y, X_test, y_test = digits
    X, X_test = X - 5, X_test - 5
    A = da.from_array(X, chunks=(360, 64)).map_blocks(scipy.sparse.csr_matrix)
    model = fd.MLPClassifier((32,), learning_rate_init=0.01, max_iter=20, random_state=0).fit(A, chunked(X, y)[1])
    assert model.to_local().score(X_test, y_test) > 0.93


def test_bad_input(client, digits):
    X, y, _, _ = digits
    A, b = chunked(X, y)
    broken = X.copy()
    broken[400, 2] = np.nan
    for model, data, kind, said in (
            (fd.MLPClassifier(solver="lbfgs"), (A, b), ValueError, "solver must be 'adam' or 'sgd' on a cluster"),
            (fd.MLPClassifier(), (A, b * 0), ValueError, "y has one class, 0, in all partitions"),
            (fd.MLPClassifier(), (A, b + 0.5), ValueError, "partition 0 of data: y holds numbers that are not whole"),
            (fd.MLPClassifier(), (chunked(broken, y)[0], b), ValueError, "partition 1 of data: X has NaN or infinity"),
            (fd.MLPClassifier(alpha=-1), (A, b), ValueError, "The 'alpha' parameter of MLPClassifier"),
            (fd.MLPClassifier(outer="sum"), (A, b), ValueError, "outer must be"),
            (fd.MLPClassifier(memory="x"), (A, b), ValueError, "memory must be one of"),
            (fd.MLPClassifier(), (X, y), TypeError, "data must be a pair"),
            (fd.MLPRegressor(), (A, da.from_array(NAMES[y], chunks=360)), ValueError, "y must hold finite numbers"),
            (fd.SGDClassifier("squared_error", class_weight="balanced"), (A, b), ValueError,
             "class_weight with more than two classes")):
        with pytest.raises(kind) as caught:
            model.fit(*data)
        assert said in str(caught.value)
    with pytest.raises(ValueError, match="not fitted"):
        fd.SGDClassifier().predict(A)


def test_parameters_client_and_pickles(client, digits):
    X, y, X_test, y_test = digits
    model = fd.MLPClassifier((16,), max_iter=3, random_state=0)
    model.client = client
    assert "client" not in model.get_params()
    assert clone(model).client is None
    assert model.set_params(max_iter=2).fit(*chunked(X, y)).n_iter_ == 2
    again = pickle.loads(pickle.dumps(model))
    assert again.client is None
    assert (again.predict(X_test) == model.predict(X_test)).all()
    assert pickle.loads(pickle.dumps(model.to_local())).score(X_test, y_test) == model.score(X_test, y_test)


def test_moments_are_those_of_all_rows():
    import scipy.sparse
    rng = np.random.default_rng(0)
    X, weight = rng.standard_normal((200_000, 3)) * [1, 100, 1e-3] + [0, 1e4, 5], rng.random(200_000)
    X[:, 2] = 7.0
    for own in (None, weight):
        found = Moments.of(X[:1000], None if own is None else own[:1000]).merge(
            Moments.of(X[1000:], None if own is None else own[1000:]))
        mean = np.average(X, axis=0, weights=own)
        np.testing.assert_allclose(found.mean, mean, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(found.deviation[:2], np.sqrt(np.average((X - mean) ** 2, axis=0, weights=own))[:2],
                                   rtol=1e-9)
        assert found.deviation[2] == 1
    sparse = scipy.sparse.random(5000, 4, 0.1, random_state=0).tocsr()
    np.testing.assert_allclose(Moments.of(sparse, None).deviation, sparse.toarray().std(axis=0), rtol=1e-9)


# ---- many models ----

def test_a_search_on_the_cluster(client, digits):
    """joblib's Dask backend: the same scores as in this process."""
    joblib = pytest.importorskip("joblib")
    from sklearn.model_selection import GridSearchCV
    X, y, _, _ = digits
    search = GridSearchCV(fastsgd.MLPClassifier((16,), learning_rate_init=0.01, max_iter=5, random_state=0),
                          {"alpha": [1e-4, 1.0]}, cv=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")              # that it has not converged
        here = clone(search).fit(X, y).cv_results_["mean_test_score"]
        with joblib.parallel_backend("dask"):
            there = clone(search).fit(X, y).cv_results_["mean_test_score"]
    assert (here == there).all()


def test_one_model_for_each_group(client):
    """groupby.apply of a dask.dataframe: a model per shop, wherever its rows lie."""
    def fit_group(group):
        model = fastsgd.SGDRegressor(random_state=0).fit(group[["a", "b"]].to_numpy(), group["y"].to_numpy())
        return pd.DataFrame({"a": [model.coef_[0]], "b": [model.coef_[1]], "rows": [len(group)]})

    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.standard_normal((5000, 2)), columns=["a", "b"]).assign(shop=rng.integers(0, 5, 5000))
    frame["y"] = frame["a"] * frame["shop"] - frame["b"]
    meta = pd.DataFrame({"a": [0.0], "b": [0.0], "rows": [0]})
    found = dd.from_pandas(frame, npartitions=4).groupby("shop").apply(fit_group, meta=meta).compute()
    found = found.droplevel(-1).sort_index()
    assert found.index.tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_allclose(found["a"], range(5), atol=0.05)
    np.testing.assert_allclose(found["b"], -1, atol=0.05)
    assert found["rows"].sum() == 5000


# ---- the command ----

@pytest.fixture(scope="module")
def pieces(tmp_path_factory):
    """Parquet files with numbers, categories, dates, gaps and an identifier."""
    folder, rng = tmp_path_factory.mktemp("pieces"), np.random.default_rng(0)
    for i in range(4):
        n = 1500
        frame = pd.DataFrame({
            "age": rng.integers(18, 90, n), "income": np.exp(rng.normal(10, 1, n)),
            "city": rng.choice(np.array(["Oslo", "Rome", "Bonn", None], dtype=object), n, p=[0.5, 0.3, 0.15, 0.05]),
            "when": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 400, n), unit="D"),
            "id": np.arange(n) + i * n})
        frame.loc[rng.random(n) < 0.05, "income"] = np.nan
        z = (frame["age"] - 50) / 20 + (frame["city"] == "Rome") * 1.5 + rng.normal(0, 0.5, n)
        frame["kind"] = np.where(z > 1, "high", np.where(z < -1, "low", "mid"))
        frame["amount"] = z * 100 + 1000
        frame.loc[rng.random(n) < 0.01, "kind"] = None
        if i == 3:
            frame["city"] = None                     # a piece that lacks a column's values
        frame.to_parquet(folder / f"part-{i}.parquet")
    return folder


def run(*arguments, capsys):
    code = main(["train", *map(str, arguments)])
    return code, capsys.readouterr().err


@pytest.mark.parametrize(("target", "other"), [("kind", "amount"), ("amount", "kind")])
def test_the_command(pieces, tmp_path, capsys, client, target, other):
    """From files to a model, on a scheduler's address; a second run resumes to the same bytes."""
    options = (pieces / "*.parquet", "--target", target, "--drop", other, "--dask", client.scheduler.address,
               "--hidden", "32", "--batch-size", "50")
    code, said = run(*options, "--rounds", 6, "--run", tmp_path / "whole", capsys=capsys)
    assert code == 0, said
    assert "left out: 'id' (an identifier" in said
    assert "in 4 pieces" in said
    assert "round 6/6" in said
    assert "held-out rows: " in said
    assert {"model.safetensors", "run.ckpt", "log.csv", "config.toml"} <= {path.name for path in
                                                                           (tmp_path / "whole").iterdir()}
    assert main(["evaluate", str(tmp_path / "whole" / "model.safetensors"), str(pieces / "part-2.parquet")]) == 0
    assert float(re.search(r"(accuracy|R\^2) +(0\.\d+)", capsys.readouterr().out)[2]) > 0.6
    assert run(*options, "--rounds", 3, "--run", tmp_path / "parts", capsys=capsys)[0] == 0
    code, said = run("--config", tmp_path / "parts" / "config.toml", "--rounds", 6, "--resume", capsys=capsys)
    assert code == 0, said
    assert "resuming from" in said
    one, two = (fastsgd.Network.load(tmp_path / name / "model.safetensors") for name in ("whole", "parts"))
    assert one.params.tobytes() == two.params.tobytes()


def test_the_command_on_workers_of_its_own(pieces, tmp_path, capsys):
    code, said = run(pieces / "part-?.parquet", "--target", "kind", "--drop", "amount", "--workers", 1, "--rounds", 2,
                     "--outer", "nesterov", "--memory", "reset", "--partitions", 1, "--class-weight", "balanced",
                     "--schedule", "cosine", "--early-stopping", 5, "--out", tmp_path / "m.safetensors", capsys=capsys)
    assert code == 0, said
    assert "1 workers" in said
    assert main(["evaluate", str(tmp_path / "m.safetensors"), str(pieces / "part-2.parquet")]) == 0


def test_what_the_command_refuses(pieces, tmp_path, capsys, client):
    files, out, address = pieces / "*.parquet", ("--out", tmp_path / "m.safetensors"), client.scheduler.address
    for options, said in (
            (("--dask", "tcp://127.0.0.1:1", "--target", "kind"), "--dask tcp://127.0.0.1:1: no scheduler answers"),
            (("--dask", address, "--workers", 2, "--target", "kind"), "exclude each other"),
            (("--rounds", 3, "--target", "kind"), "--rounds is for training on a cluster"),
            (("--dask", address, "--target", "nothing"), "there is no column 'nothing'; the columns are age"),
            (("--dask", address, "--target", "kind", "--epochs", 3), "--epochs does not go with --dask"),
            (("--dask", address, "--target", "kind", "--schedule", "step"), "--schedule must be constant"),
            (("--dask", address, "--target", "kind", "--batch-size", "auto"), "--batch-size must be a number"),
            (("--dask", address, "--target", "amount", "--class-weight", "balanced"), "--class-weight is for classes"),
            (("--dask", address, "--target", "kind", "--optimizer", "sgd", "--learning-rate", 1e30), "but not saved;")):
        code, found = run(files, *options, *out, capsys=capsys)
        assert code == 1
        assert said in found
    code, found = run(tmp_path / "*.parquet", "--workers", 1, "--target", "kind", *out, capsys=capsys)
    assert (code, "there are no Parquet files" in found) == (1, True)
    assert not (tmp_path / "m.safetensors").exists()


def test_pieces_that_differ_are_refused(tmp_path, capsys, client):
    for i, columns in enumerate((["a", "y"], ["a", "y"])):
        pd.DataFrame({name: np.arange(50.0) for name in columns}).to_parquet(tmp_path / f"{i}.parquet")
    pd.DataFrame({"b": np.arange(50.0), "y": np.arange(50.0)}).to_parquet(tmp_path / "2.parquet")
    code, said = run(tmp_path / "*.parquet", "--target", "y", "--dask", client.scheduler.address, "--out",
                     tmp_path / "m.safetensors", capsys=capsys)
    assert code == 1, said
    assert "partition 2 of data" in said
