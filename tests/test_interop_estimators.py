"""Do exports of fitted estimators say what the estimators do: labels, probabilities or decision values, predictions?"""
import ctypes
import os
import warnings

import numpy as np
import pytest
from c_compiler import compile_c

import fastsgd
from fastsgd.interop import from_onnx, to_c, to_onnx

pytest.importorskip("sklearn")
from sklearn.exceptions import NotFittedError

rng = np.random.default_rng(0)
X = rng.standard_normal((40, 5))
PLACES = np.arange(40) % 3
CLASSES = {"text": ["", "gr\u00fcn \u2713", 'b"*/'], "numbers": [-5, 7, 2**40], "small": np.array([3, 4, 5], np.uint8),
           "floats": [0.0, 1.0, 2.0]}
MODELS = {
    "mlp": lambda: fastsgd.MLPClassifier((4,), "tanh", random_state=0),
    "hinge": lambda: fastsgd.SGDClassifier(random_state=0),
    "log_loss": lambda: fastsgd.SGDClassifier("log_loss", random_state=0),
    "modified_huber": lambda: fastsgd.SGDClassifier("modified_huber", random_state=0),
    "multinomial": lambda: fastsgd.SGDClassifier("log_loss", multi_class="multinomial", random_state=0),
    "squared_error": lambda: fastsgd.SGDClassifier("squared_error", learning_rate="constant", random_state=0),
    "regression": lambda: fastsgd.SGDRegressor(random_state=0),
    "mlp regression": lambda: fastsgd.MLPRegressor("poisson", (4,), random_state=0),
    "quantiles": lambda: fastsgd.MLPRegressor("quantile", (4,), quantile=[0.1, 0.9], random_state=0),
}

REGRESSORS = ("regression", "mlp regression", "quantiles")


def fitted(name, y, dtype):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return MODELS[name]().set_params(max_iter=3).fit(X.astype(dtype), y)


def cases():
    for name in MODELS:
        if name in REGRESSORS:
            yield name, abs(rng.standard_normal(40))
            continue
        for kind, classes in CLASSES.items():
            yield name, np.array(classes)[PLACES]
            if kind == "text":
                yield name, np.array(classes, object)[PLACES]
            yield name, np.array(classes)[PLACES % 2]
        yield name, PLACES % 2 == 1
    yield "mlp", (rng.random((40, 3)) < 0.5).astype(int)
    yield "mlp", np.zeros(40, int)
    yield "mlp regression", abs(rng.standard_normal((40, 3)))


CASES = list(cases())


def rows(dtype):
    """Some far out, where one against the rest says no to all, or all is saturated."""
    return np.concatenate([X, 30 * X, 1000 * X, np.zeros((1, 5))]).astype(dtype)


def expected_of(model, rows):
    """What its methods say, by the names of the graph's outputs."""
    if not hasattr(model, "classes_"):
        return {"prediction": model.predict(rows)}
    with np.errstate(divide="ignore"):
        more = {"probabilities": model.predict_proba(rows)} if hasattr(model, "predict_proba") else {
            "scores": model.decision_function(rows)}
    return {"label": model.predict(rows), **more}


def run(model, X):
    onnxruntime = pytest.importorskip("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    assert [end.name for end in session.get_inputs()] == ["X"]
    return dict(zip([end.name for end in session.get_outputs()], session.run(None, {"X": X}), strict=True))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "y"), CASES)
def test_onnx_says_what_the_estimator_says(name, y, dtype):
    onnx = pytest.importorskip("onnx")
    estimator = fitted(name, y, dtype)
    model = to_onnx(estimator)
    onnx.checker.check_model(model, full_check=True)
    found, expected = run(model, rows(dtype)), expected_of(estimator, rows(dtype))
    assert list(found) == list(expected)
    for key, values in expected.items():
        assert found[key].shape == values.shape
        if key == "label":
            np.testing.assert_array_equal(found[key], values)
            assert found[key].dtype == (object if values.dtype.kind in "UO" else np.int64 if values.dtype.kind in "iu"
                                        else values.dtype)
        else:
            assert found[key].dtype == values.dtype
            np.testing.assert_allclose(found[key], values, *{"float32": (1e-4, 1e-6), "float64": (1e-12, 1e-14)}[dtype])
    if name in ("log_loss", "modified_huber"):
        np.testing.assert_allclose(found["probabilities"].sum(axis=1), 1, rtol=1e-6)


def test_c_says_what_the_estimator_says(tmp_path):
    exported = {}
    for number, (name, y) in enumerate(CASES):
        if y.dtype == object or (y.dtype.kind in "iuf" and y.ndim == 1 and name not in REGRESSORS):
            continue                                # names are written alike whatever they are made of
        estimator = fitted(name, y, ("float32", "float64")[number % 2])
        to_c(estimator, tmp_path / f"m{number}", f"m{number}")
        exported[f"m{number}"] = estimator
    library = compile_c(tmp_path, exported, more=["-O1"])
    for name, estimator in exported.items():
        X = rows(estimator.network_.dtype)
        expected = expected_of(estimator, X)
        several = "label" in expected and expected["label"].ndim == 2
        out = np.empty(expected.get("probabilities", expected.get("scores", expected.get("prediction"))).shape, X.dtype)
        yes, said = np.empty((len(X), 3), np.intc), []
        for row, numbers, more in zip(X, out.reshape(len(X), -1), yes, strict=True):
            arrays = [row, more, numbers] if several else [row, numbers]
            function = getattr(library, f"{name}_{'classify' if 'label' in expected else 'predict'}")
            said.append(function(*(ctypes.c_void_p(array.ctypes.data) for array in arrays)))
        if several:
            np.testing.assert_array_equal(yes, expected["label"])
        elif "label" in expected:
            names = (ctypes.c_char_p * len(estimator.classes_)).in_dll(library, f"{name}_classes")
            assert [names[k].decode() for k in said] == [str(label) for label in expected["label"].tolist()]
        np.testing.assert_allclose(out, [*expected.values()][-1], *{4: (1e-4, 1e-6), 8: (1e-12, 1e-14)}[
            X.dtype.itemsize], err_msg=str(estimator))
    assert len(exported) > 20


def test_c_knows_the_columns(tmp_path):
    pandas = pytest.importorskip("pandas")
    names = ["a", "*/", "??/", '"', "\\"]
    to_c(fastsgd.SGDRegressor(random_state=0).fit(pandas.DataFrame(X, columns=names), X[:, 0]), tmp_path / "net")
    found = (ctypes.c_char_p * 5).in_dll(compile_c(tmp_path, ["net"]), "net_columns")
    assert [name.decode() for name in found] == names
    assert ' * 1: "\\052\\057"\n' in (tmp_path / "net.h").read_text()


def test_classes_that_no_c_string_holds(tmp_path):
    estimator = fitted("mlp", PLACES, "float32")
    for label, message in (("a\0b", "which has a character 0"), ("a" * 5000, "longer than the 4,095 bytes")):
        estimator.classes_ = np.array(["a", "b", label], object)
        with pytest.raises(ValueError, match=f"the name of a class is .*{message}"):
            to_c(estimator, tmp_path / "net")
    assert not os.listdir(tmp_path)


def test_onnx_knows_the_columns_and_does_not_come_back_as_a_network(tmp_path):
    pytest.importorskip("onnx")
    pandas = pytest.importorskip("pandas")
    estimator = fastsgd.SGDRegressor(random_state=0).fit(pandas.DataFrame(X, columns=list("abcde")), X[:, 0])
    model = to_onnx(estimator, tmp_path / "model.onnx")
    assert {entry.key: entry.value for entry in model.metadata_props}["feature_names"] == '["a", "b", "c", "d", "e"]'
    with pytest.raises(ValueError, match=r"says what an estimator does, an SGDRegressor; .*write the .*network_"):
        from_onnx(tmp_path / "model.onnx")
    assert from_onnx(to_onnx(estimator.network_)).architecture == estimator.network_.architecture


def test_classes_without_a_type_in_onnx():
    pytest.importorskip("onnx")
    estimator = fitted("mlp", PLACES, "float32")
    estimator.classes_ = np.array([0, 1, 2**63], np.uint64)
    with pytest.raises(ValueError, match="classes must be strings, whole numbers below"):
        to_onnx(estimator)


def test_torch_has_the_network_alone():
    torch = pytest.importorskip("torch")
    estimator = fitted("mlp", np.array(["a", "b", "c"])[PLACES], "float32")
    module = fastsgd.interop.to_torch(estimator)
    with torch.no_grad():
        found = module(torch.from_numpy(X.astype("float32"))).numpy()
    np.testing.assert_allclose(found, estimator.predict_proba(X.astype("float32")), rtol=1e-5)


@pytest.mark.parametrize("function", ["to_onnx", "to_torch", "to_c"])
def test_what_is_not_fitted_or_no_network_is_refused(tmp_path, function):
    export = getattr(fastsgd.interop, function)
    more = {"path": tmp_path / "net"} if function == "to_c" else {}
    with pytest.raises(NotFittedError, match="This SGDClassifier instance is not fitted yet"):
        export(fastsgd.SGDClassifier(), **more)
    with pytest.raises(TypeError, match=r"net must be a fastsgd\.Network or a fitted estimator of fastsgd, got list"):
        export([], **more)
