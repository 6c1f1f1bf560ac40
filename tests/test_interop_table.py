"""Do exports of a table's model take the table's own values, and say what ``fastsgd predict`` says of them?"""
import ctypes
import math
import os
import shlex
import shutil
import subprocess

import numpy as np
import pytest
from c_compiler import WARNINGS, compile_c

import fastsgd
from fastsgd.interop import from_onnx, to_c, to_onnx
from fastsgd.network.classes import labels_of, probabilities_of
from fastsgd.tables.columns import Category, Date, Number
from fastsgd.tables.encoding import Encoding
from fastsgd.tabular.fitting import QUANTILES
from fastsgd.tabular.model import TabularModel

HOSTILE = ["*/ #error", "/*", "a\\", "??/", '"); system("x', "int", "class", "linux", "gr\u00f6\u00dfe \u202e", "NaN",
           "A b", "a_b", "9", "%s%n", "label", "prediction", "weights.0", "whole 3",
           "\n#define x", "\0", "x" * 200, "' -- \ud800"]


def texts(*values):
    return np.array(values, object)


def table():
    """Ten rows with what a column may be."""
    rng = np.random.default_rng(0)
    days = np.array(["2024-02-29T23:59:59", "1969-12-31", "1600-03-01", "2100-02-28T12", "2023-12-31"] * 2,
                    "datetime64[us]")
    days[7] = np.datetime64("NaT")
    gaps = rng.standard_normal(10) * 1e3
    gaps[3] = np.nan
    return {"number": rng.standard_normal(10), "whole": np.arange(10), "gaps": gaps,
            "large": 2**62 + np.arange(10) ** 3, "kind": texts("a", "b*/", "", "c??/", "d\\") .repeat(2),
            "maybe": texts("yes", None, "no", "yes", "no", "no", None, "yes", "yes", "no"), "day": days,
            "class": texts(*("r\u00f6t", 'bl"au', "0") * 3, "0"), "y": rng.uniform(100, 200, 10), "z": -np.arange(10.0)}


def model(table, target, dtype="float32", sizes=(3,), **more):
    """A network with the encoding of such a table, and what it says of rows."""
    drop = {"class", "y", "z"} & set(table) - ({target} if isinstance(target, str) else set(target))
    encoding = Encoding.learn(table, target, drop=tuple(drop), keep=tuple(
        name for name in ("whole", "large") if name in table), **more)
    net = fastsgd.Network([encoding.width, *sizes, encoding.outputs], "tanh", encoding.loss, dtype=dtype, seed=0)
    if encoding.own_units:
        net.output_scale, net.output_offset = encoding.target_scale(), encoding.target_offset()
    net.metadata["table"] = encoding.to_json()
    if encoding.quantiles:
        net.weights[-1][:] *= 3                         # so that quantiles cross and some are beyond the limits
        net.metadata["tabular"] = '{"version": 1, "limits": [120.25, 160.5]}'
    return net, encoding


CASES = {"classes": ("class", {}), "a quantity": ("y", {}), "quantities": (("y", "z"), {}),
         "own units": (("y", "z"), {"own_units": True}), "quantiles": ("y", {"quantiles": (None, *QUANTILES)})}
UNSEEN = {"number": 1e300, "whole": -7, "gaps": math.inf, "large": 2**62 - 10**6, "kind": "unseen", "maybe": None,
          "day": np.datetime64("1899-12-31T05", "us"), "class": "0", "y": 0.0, "z": 0.0}


def more_rows(table):
    """Those rows, and some that the training did not see, the last but for its number."""
    more = {name: np.append(values, np.array([UNSEEN[name]], values.dtype)) for name, values in table.items()}
    more["number"][-1] = 3.5
    return more


def expected_of(net, encoding, rows):
    outputs = net.predict(encoding.rows(rows, net.dtype))
    if encoding.quantiles:
        own = TabularModel(encoding, net, (120.25, 160.5)).in_own_units(outputs)
        assert {120.25, 160.5} < set(own.ravel())
        return list(map(tuple, own.tolist())), outputs
    return encoding.labels(outputs), outputs


# ---- C ----

def struct_of(encoding):
    kinds = {Number: ctypes.c_double, Category: ctypes.c_char_p, Date: ctypes.c_longlong}
    return type("Row", (ctypes.Structure,), {"_fields_": [
        (f"m{i}", ctypes.c_longlong if getattr(column, "offset", 0) else kinds[type(column)])
        for i, column in enumerate(encoding.columns)]})


def c_rows(encoding, rows):
    struct = struct_of(encoding)
    for k in range(len(next(iter(rows.values())))):
        values = []
        for column in encoding.columns:
            value = rows[column.name][k]
            if isinstance(column, Date):
                value = int(value.astype("datetime64[us]").astype(np.int64))
            elif isinstance(column, Number):
                value = int(value) if column.offset else float(value)
            else:
                value = None if value is None else value.encode("utf-8", "surrogatepass")
            values.append(value)
        yield struct(*values)


def told(library, name, net, encoding, rows, scratch=None):
    """What the compiled function of rows returns and fills."""
    classes = bool(encoding.classes)
    function = getattr(library, f"{name}_{'classify' if classes else 'predict'}_row")
    out = np.empty((len(next(iter(rows.values()))), len(encoding.classes) or net.sizes[-1]),
                   net.dtype if classes else float)
    more = () if scratch is None else (ctypes.c_void_p(scratch.ctypes.data),)
    returned = [function(ctypes.byref(row), ctypes.c_void_p(each.ctypes.data), *more)
                for row, each in zip(c_rows(encoding, rows), out, strict=True)]
    return returned, out


def test_c_takes_the_values_of_a_table(tmp_path):
    rows, names = table(), {}
    for i, (target, more) in enumerate(CASES.values()):
        names[f"m{i}"] = model(rows, target, ("float32", "float64")[i % 2], **more)
        to_c(names[f"m{i}"][0], tmp_path / f"m{i}", f"m{i}")
    library = compile_c(tmp_path, names, more=["-O1"])
    rows = more_rows(rows)
    for name, (net, encoding) in names.items():
        returned, out = told(library, name, net, encoding, rows)
        labels, outputs = expected_of(net, encoding, rows)
        if encoding.classes:
            assert [encoding.classes[k] for k in returned] == labels
            np.testing.assert_allclose(out, outputs, rtol=1e-5, atol=1e-7)
        else:
            assert set(returned) == {0}
            np.testing.assert_allclose(out, np.array(labels).reshape(out.shape), rtol=1e-6)
        rows_too_large = {**rows, "number": np.full(11, 1e300 if net.dtype == np.float32 else math.nan)}
        returned, out = told(library, name, net, encoding, rows_too_large)
        assert (set(returned) == {-1}) == (net.dtype == np.float32)         # what is missing takes the median


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("target", "loss"), [("rank", "ordinal"), (("y", "z"), "gaussian_nll"), ("y", "quantile")])
def test_exports_of_other_losses(tmp_path, target, loss, dtype):
    """In C and in ONNX: classes in order; means and deviations; sorted quantiles."""
    rows = {name: values for name, values in table().items() if name in ("number", "y", "z")}
    rows["rank"] = np.array([3, 1, 2, 2, 5, 5, 1, 3, 2, 5])
    quantile = (0.1, 0.5, 0.8) if loss == "quantile" else ()
    encoding = Encoding.learn(rows, target, drop={"rank", "y", "z"} - set(np.atleast_1d(target)), own_units=True,
                              quantiles=quantile)
    kind = fastsgd.losses.with_parameters(loss, quantile=quantile)
    units = {} if encoding.classes else {"output_scale": encoding.target_scale(),
                                         "output_offset": encoding.target_offset()}
    net = fastsgd.Network([1, 5, kind.outputs_for(encoding.outputs)], "tanh", kind, seed=3, dtype=dtype,
                          output="sorted" if quantile else None, **units)
    net.params[:] = 2 * np.random.default_rng(1).standard_normal(net.params.size)
    net.metadata["table"] = encoding.to_json()
    rows = {"number": np.linspace(-3, 3, 25)}
    outputs = net.predict(encoding.rows(rows, dtype))
    to_c(net, tmp_path / "net")
    returned, out = told(compile_c(tmp_path, ["net"], more=["-O1"]), "net", net, encoding, rows)
    if loss != "ordinal":
        assert set(returned) == {0}
        np.testing.assert_allclose(out, outputs, rtol=1e-5)
    else:
        labels, probabilities = (function(outputs, net.architecture.loss_type.targets) for function in (
            labels_of, probabilities_of))
        assert len({*labels.tolist()}) > 1
        assert returned == labels.tolist()
        np.testing.assert_allclose(out, probabilities, rtol=1e-4, atol=1e-6)
    onnx = pytest.importorskip("onnx")
    exported = to_onnx(net, columns=True)
    onnx.checker.check_model(exported, full_check=True)
    found = run(exported, encoding, rows)
    if loss != "ordinal":
        np.testing.assert_allclose(found["prediction"], outputs, rtol=1e-5)
    else:
        np.testing.assert_array_equal(found["label"], np.array(encoding.classes)[labels])
        np.testing.assert_allclose(found["probabilities"], probabilities, rtol=1e-4, atol=1e-6)


def test_c_refuses_what_is_missing_where_the_model_does(tmp_path):
    rows = {name: values for name, values in table().items() if name in ("number", "whole", "class")}
    net, encoding = model(rows, "class", missing="error")
    to_c(net, tmp_path / "net")
    rows["number"][2] = math.nan
    returned, _ = told(compile_c(tmp_path, ["net"], more=["-O1"]), "net", net, encoding, rows)
    assert [k for k, each in enumerate(returned) if each == -1] == [2]


def test_c_names_columns_levels_scaling_and_classes(tmp_path):
    net, encoding = model(table(), "class")
    to_c(net, tmp_path / "net")
    library, count = compile_c(tmp_path, ["net"], more=["-O1"]), len(encoding.columns)

    def strings(array):
        return [text.decode() for text in array]
    assert strings((ctypes.c_char_p * count).in_dll(library, "net_columns")) == [
        column.name for column in encoding.columns]
    assert strings((ctypes.c_char_p * 3).in_dll(library, "net_classes")) == list(encoding.classes)
    levels = (ctypes.POINTER(ctypes.c_char_p) * count).in_dll(library, "net_levels")
    means, scales = ((ctypes.c_double * count).in_dll(library, f"net_{name}") for name in ("means", "scales"))
    header = (tmp_path / "net.h").read_text()
    assert header.isascii()
    for i, column in enumerate(encoding.columns):
        known = [level for level in getattr(column, "levels", ()) if level is not None]
        assert strings(levels[i][:len(known)]) == known if known else not levels[i]
        assert not known or levels[i][len(known)] is None
        if isinstance(column, Number):
            assert (means[i], scales[i]) == (column.offset + column.mean, column.scale)
        assert f'/* "{column.name}": a ' in header
    assert 'a text in UTF-8: "no", "yes"; NULL where it is missing */\n    const char *maybe;' in header
    assert '"whole": a number, mean 4.5, scale 2.87228, NAN where it is missing */\n    double whole;' in header
    assert "    long long large;" in header
    assert '* 2: "r\\303\\266t" */' in header


def test_names_from_a_file_cannot_end_comments_or_strings(tmp_path):
    """Neither in C99, which has trigraphs, nor for C++; members stay different."""
    columns = (*(Number(name, 0.5, 2.0) for name in HOSTILE),
               Category("levels", tuple(name for name in HOSTILE if name != "\0")))
    classes = Category('*/ "??/\n', tuple(f"{name}!" for name in HOSTILE if name != "\0"))
    encoding = Encoding(columns, (classes,))
    net = fastsgd.Network([encoding.width, encoding.outputs], seed=0)
    net.metadata["table"] = encoding.to_json()
    to_c(net, tmp_path / "net")
    rng = np.random.default_rng(0)
    rows = {column.name: rng.standard_normal(30) for column in columns[:-1]}
    rows["levels"] = texts(*HOSTILE, *["unseen"] * 30)[np.array(HOSTILE + ["x"] * 30, object) != "\0"][:30]
    returned, out = told(compile_c(tmp_path, ["net"], more=["-O1"]), "net", net, encoding, rows)
    labels, outputs = expected_of(net, encoding, rows)
    assert [classes.levels[k] for k in returned] == labels
    np.testing.assert_allclose(out, outputs, rtol=1e-5)
    cxx = shlex.split(os.environ.get("CXX", "g++"))
    if shutil.which(cxx[0]):
        subprocess.run([*cxx, *WARNINGS, "-trigraphs", "-fsyntax-only", "-x", "c++", tmp_path / "net.h"], check=True)


def test_exports_find_levels_as_the_library_does(tmp_path):
    """Numbers with a point, dates with a time: in C and in ONNX; a column of words beside them."""
    columns = (Category("grade", ("1", "2", "3", None), coded=True), Category("day", ("2024-07-04", "2024-07-05")),
               Category("word", ("a", "b"), other=True))
    encoding = Encoding(columns, (Category("kind", ("u", "v")),))
    net = fastsgd.Network([encoding.width, 2], seed=0)
    net.metadata["table"] = encoding.to_json()
    rows = {"grade": texts("2", "2.0", "3.0", None, "4.0", "1.0"), "word": texts("a", "b", "c", "a", "a", "a"),
            "day": texts("2024-07-05", "2024-07-05 00:00:00", "2024-07-04T00:00:00", "2024-07-04", "x", "2024-07-06")}
    outputs = expected_of(net, encoding, rows)[1]
    assert len(np.unique(encoding.rows(rows), axis=0)) == 6
    to_c(net, tmp_path / "net")
    assert 'a text in UTF-8: "1", "2", "3"; also "1.0" and the like; NULL' in (tmp_path / "net.h").read_text()
    _, out = told(compile_c(tmp_path, ["net"]), "net", net, encoding, rows)
    np.testing.assert_allclose(out, outputs, rtol=1e-5)
    pytest.importorskip("onnx")
    found = run(to_onnx(net, columns=True), encoding, rows)
    np.testing.assert_allclose(found["probabilities"], outputs, rtol=1e-5)


def test_wide_tables_take_their_memory_from_the_caller(tmp_path):
    levels = tuple(str(k) for k in range(1000))
    encoding = Encoding(tuple(Category(str(k), levels, other=True) for k in range(5)), (Number("y", 1.5, -0.0 + 2.0),))
    rows = {str(k): texts("7", "999", "unseen", "0") for k in range(5)}
    few = Encoding(encoding.columns[:1], encoding.target_columns)
    for name, each, sizes, length in (("inputs", encoding, [5005, 1], 5005), ("layers", few, [1001, 2, 4100, 1], 4102),
                                      ("both", encoding, [5005, 2, 4100, 1], 9107)):
        net = fastsgd.Network(sizes, loss="squared_error", seed=0)
        net.metadata["table"] = each.to_json()
        to_c(net, tmp_path / name, name)
        assert f"#define {name.upper()}_ROW_SCRATCH {length} " in (tmp_path / f"{name}.h").read_text()
        library = compile_c(tmp_path, [name], f"{name}.so", ["-O1"])
        returned, out = told(library, name, net, each, rows, np.empty(length, np.float32))
        assert returned == [0] * 4
        np.testing.assert_allclose(out[:, 0], expected_of(net, each, rows)[0], rtol=1e-5)


@pytest.mark.parametrize(("level", "message"), [
    ("a\0b", "a level of column 'kind' is .* which has a character 0"), ("a" * 5000, "longer than the 4,095 bytes")])
def test_levels_that_no_c_string_holds(tmp_path, level, message):
    encoding = Encoding((Category("kind", ("a", level)),), (Number("y", 0.0, 1.0),))
    net = fastsgd.Network([2, 1], loss="squared_error")
    net.metadata["table"] = encoding.to_json()
    with pytest.raises(ValueError, match=message):
        to_c(net, tmp_path / "net")
    net.metadata["table"] = Encoding((Number("x", 0.0, 1.0),), (Number("y", 0.0, 1.0),)).to_json()
    with pytest.raises(ValueError, match=r"describes 1 inputs and 1 outputs, the network has 2 and 1"):
        to_c(net, tmp_path / "net")
    net.metadata["table"] = "{"
    with pytest.raises(ValueError, match="encoding is damaged"):
        to_c(net, tmp_path / "net")
    assert not os.listdir(tmp_path)


# ---- ONNX ----

def run(model, encoding, rows):
    onnxruntime = pytest.importorskip("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    assert [end.name for end in session.get_inputs()] == [column.name for column in encoding.columns]
    feed = {}
    for column in encoding.columns:
        values = rows[column.name]
        if isinstance(column, Date):
            values = values.astype("datetime64[us]").astype(np.int64)
        elif isinstance(column, Number):
            values = values.astype(np.int64 if column.offset else float)
        else:
            values = texts(*("" if value is None else value for value in values))
        feed[column.name] = values[:, np.newaxis]
    return dict(zip([end.name for end in session.get_outputs()], session.run(None, feed), strict=True))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES)
def test_onnx_takes_the_columns_of_a_table(case, dtype):
    onnx = pytest.importorskip("onnx")
    target, more = CASES[case]
    rows = {name: values for name, values in table().items() if name != "kind"}      # "" is missing to ONNX
    net, encoding = model(rows, target, dtype, **more)
    exported = to_onnx(net, columns=True)
    onnx.checker.check_model(exported, full_check=True)
    rows = {name: values for name, values in more_rows(table()).items() if name in rows}
    found = run(exported, encoding, rows)
    labels, outputs = expected_of(net, encoding, rows)
    if encoding.classes:
        assert found["label"].tolist() == labels
        np.testing.assert_allclose(found["probabilities"], outputs, rtol=1e-4, atol=1e-6)
    else:
        assert found["prediction"].dtype == np.float64
        assert found["prediction"].shape == np.shape(labels)
        np.testing.assert_allclose(found["prediction"], labels, rtol=1e-6)
    with pytest.raises(ValueError, match="it takes a table's columns; only networks come back"):
        from_onnx(exported)
    assert from_onnx(to_onnx(net)).metadata == net.metadata


def test_onnx_takes_any_names_and_levels():
    pytest.importorskip("onnx")
    names = [name for name in HOSTILE if name.isprintable() and name != "??/"]
    columns = (*(Number(name, 0.5, 2.0) for name in names), Category("levels", tuple(names), other=True))
    encoding = Encoding(columns, (Category("kind", (7, 3)),))
    net = fastsgd.Network([encoding.width, encoding.outputs], seed=0)
    net.metadata["table"] = encoding.to_json()
    rng = np.random.default_rng(0)
    rows = {name: rng.standard_normal(len(names) + 1) for name in names} | {"levels": texts(*names, "unseen")}
    found = run(to_onnx(net, columns=True), encoding, rows)
    labels, outputs = expected_of(net, encoding, rows)
    assert found["label_"].tolist() == labels                   # a column is called label
    np.testing.assert_allclose(found["probabilities"], outputs, rtol=1e-5)


def test_columns_that_onnx_cannot_take():
    pytest.importorskip("onnx")
    net = fastsgd.Network([2, 1], loss="squared_error")
    with pytest.raises(ValueError, match=r"columns=True needs a network with net\.metadata\['table'\]"):
        to_onnx(net, columns=True)
    for columns, message in (((Number("", 0.0, 1.0), Number("b", 0.0, 1.0)), "a name of its own for each .*, got ''"),
                             ((Number("b", 0.0, 1.0),) * 2, "got 'b'; columns=False .*--encoded.* the network alone"),
                             ((Number("b", 0.0, 1.0, offset=2**63), Number("c", 0.0, 1.0)), "beyond the int64")):
        net.metadata["table"] = Encoding(columns, (Number("y", 0.0, 1.0),)).to_json()
        with pytest.raises(ValueError, match=message):
            to_onnx(net, columns=True)
