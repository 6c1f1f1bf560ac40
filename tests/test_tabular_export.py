"""Does the export of what ``fastsgd.tabular`` has learned say what the estimator says, from a table's own values?"""
import numpy as np
import pytest

import fastsgd
from fastsgd import tabular
from fastsgd.interop import to_c, to_onnx

pandas = pytest.importorskip("pandas")
pytest.importorskip("sklearn")

QUICK = tabular.Recipe(members=2, width=16, depth=2, activation="relu", bins=8, dropout=0.0, learning_rate=0.003,
                       weight_decay=0.01, batch_size=32, epochs=5, patience=5)


def frame(rows=200):
    rng = np.random.default_rng(0)
    return pandas.DataFrame({
        "size": np.where(rng.random(rows) < 0.1, np.nan, rng.normal(5, 2, rows)),
        "colour": rng.choice(["red", "green", None], rows), "zip": rng.choice([4001, 3011, 3600], rows),
        "when": pandas.Timestamp("2024-01-01") + pandas.to_timedelta(rng.integers(0, 700, rows), unit="D")})


def said(model, X, folder):
    """What onnxruntime says of the model's file."""
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    model.save(folder / "m.safetensors")
    graph = to_onnx(fastsgd.Network.load(folder / "m.safetensors"), columns=True)
    assert to_onnx(model).SerializeToString() == graph.SerializeToString()
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    rows = {}
    for given in session.get_inputs():
        values = X[given.name]
        if "string" in given.type:
            rows[given.name] = np.array(["" if value is None or value != value else str(value) for value in values],
                                        object)
        elif "int64" in given.type:
            rows[given.name] = values.to_numpy().astype("datetime64[us]").astype(np.int64)
        else:
            rows[given.name] = values.to_numpy(float)
    return session.run(None, {name: values[:, np.newaxis] for name, values in rows.items()})


def test_classes(tmp_path):
    X = frame()
    y = np.where((X["size"].fillna(0) > 5) & (X["colour"] == "red"), "yes", "no")
    model = fastsgd.TabularClassifier(recipe=QUICK, random_state=0).fit(X, y)
    labels, probabilities = said(model, X, tmp_path)
    np.testing.assert_allclose(probabilities, model.predict_proba(X), atol=2e-6)
    assert labels.tolist() == model.predict(X).tolist()


def test_a_quantity_its_quantiles_and_its_limits(tmp_path):
    X = frame()
    y = X["size"].fillna(0).to_numpy() ** 3
    model = fastsgd.TabularRegressor(recipe=QUICK, random_state=0).fit(X, y)
    X.loc[0, "size"] = 1e9
    found, = said(model, X, tmp_path)
    np.testing.assert_allclose(found[:, 0], model.predict(X), atol=1e-4 * y.std())
    np.testing.assert_allclose(found[:, 1:], model.predict(X, quantiles=tabular.fitting.QUANTILES), atol=1e-4 * y.std())
    assert found.max() <= y.max()


def test_text_is_refused_by_name(tmp_path):
    X = frame()
    X["note"] = [f"order {i} of {name}" for i, name in enumerate(np.random.default_rng(0).choice(["ann", "bob"], 200))]
    model = fastsgd.TabularRegressor(recipe=QUICK, random_state=0).fit(X, np.arange(200.0))
    assert any(kind.startswith("text") for _, kind, _ in model.columns_)
    with pytest.raises(ValueError, match="no operator that hashes the words of column 'note'"):
        said(model, X, tmp_path)


def test_c_of_an_estimator_is_that_of_its_file(tmp_path):
    X = frame()
    model = fastsgd.TabularClassifier(recipe=QUICK, random_state=0).fit(X, X["zip"] == 4001)
    model.save(tmp_path / "m.safetensors")
    to_c(model, tmp_path / "own")
    to_c(fastsgd.Network.load(tmp_path / "m.safetensors"), tmp_path / "of_file")
    assert "int net_classify_row(const net_row *row" in (tmp_path / "own.h").read_text()
    of_file = (tmp_path / "of_file.c").read_text().replace("of_file.", "own.")
    without_title = [text.partition("*/")[2] for text in ((tmp_path / "own.c").read_text(), of_file)]
    assert without_title[0] == without_title[1]
