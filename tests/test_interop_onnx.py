"""Does onnxruntime compute what net.predict does, do graphs come back whole, and are others read or refused?"""
import importlib.util
import io
import json
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from interop_cases import (
    COUNT,
    ENCODINGS,
    LARGE,
    MEMBERS,
    Differences,
    difference,
    encoding_name,
    random_layers,
    random_network,
    random_rows,
    table_networks,
    table_rows,
)

import fastsgd
from fastsgd.interop import from_onnx, onnx_writer, to_onnx
from fastsgd.layers import Columns, LayerNorm, Residual, Scale
from fastsgd.model.architecture import ACTIVATIONS

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
helper, TensorProto = onnx.helper, onnx.TensorProto


def run(model, X):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4                  # errors are raised
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: X})[0]


# ---- networks of ours ----

def test_random_networks_agree_to_a_millionth():
    rng = np.random.default_rng(2)
    differences = Differences(lambda net, X: run(to_onnx(net), X))
    for _ in range(COUNT):
        net = random_network(rng)
        onnx.checker.check_model(to_onnx(net), full_check=True)
        differences.add(net, random_rows(rng, net))
    differences.report("ONNX")


def test_float64():
    rng = np.random.default_rng(3)
    for _ in range(40):
        net = random_network(rng, "float64")
        X = random_rows(rng, net)
        assert difference(run(to_onnx(net), X), net.predict(X)) < 1e-12


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_layers_of_all_kinds_agree_and_come_back(dtype):
    rng = np.random.default_rng(5)
    for _ in range(40):
        net = random_layers(rng, dtype)
        net.metadata["note"] = "Zürich"
        X, model = random_rows(rng, net), to_onnx(net)
        onnx.checker.check_model(model, full_check=True)
        assert difference(run(model, X), net.predict(X)) < {"float32": 2e-5, "float64": 1e-12}[dtype]
        twin, folded = from_onnx(onnx.ModelProto.FromString(model.SerializeToString())), net.folded()
        assert twin.architecture == folded.architecture
        assert twin.metadata == net.metadata
        np.testing.assert_array_equal(twin.params, folded.params)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("members", "sharing"), MEMBERS)
@pytest.mark.parametrize("encoding", ENCODINGS, ids=encoding_name)
def test_columns_and_members_agree_and_come_back(encoding, members, sharing, dtype):
    rng = np.random.default_rng(6)
    for net in table_networks(encoding, members, sharing, dtype):
        X, model = table_rows(rng, net), to_onnx(net)
        onnx.checker.check_model(model, full_check=True)
        for rows in (X, X[:1]):
            assert difference(run(model, rows), net.predict(rows)) < {"float32": 5e-6, "float64": 1e-12}[dtype]
        for column, levels in net.layers[0].categories:
            unknown, wrong = X.copy(), X.copy()
            unknown[:, column], wrong[:, column] = -1, rng.choice([levels, -2, 1e30, np.nan], len(X))
            np.testing.assert_array_equal(run(model, wrong), run(model, unknown))
        twin, folded = from_onnx(onnx.ModelProto.FromString(model.SerializeToString())), net.folded()
        assert twin.architecture == folded.architecture
        np.testing.assert_array_equal(twin.params, folded.params)
        if net.layers[0].kind == "columns":
            with pytest.raises(ValueError, match=r"node '.*' \(\w+\)(:| is not part of a chain of dense layers)"):
                from_onnx(model, "huber")


def test_scales_of_members_are_folded():
    rng = np.random.default_rng(0)
    for sharing, kind in (("none", "dense"), ("batch", "adapted_dense")):
        net = fastsgd.Network([4, Columns(), Scale(), Scale(), 8, 8, Scale(), 3], members=3, sharing=sharing,
                              dtype="float64", seed=0)
        net.params[:] += 0.1 * rng.standard_normal(net.params.size)
        folded, X = net.folded(), random_rows(rng, net)
        assert [layer.kind for layer in folded.layers[:3]] == ["columns", kind, kind]
        np.testing.assert_allclose(folded.predict(X), net.predict(X), rtol=1e-12)


def test_a_graph_of_other_layers_must_be_the_one_that_is_described():
    model = to_onnx(fastsgd.Network([3, 4, LayerNorm(), Residual(4), 2], seed=0))

    def changed(change):
        other = onnx.ModelProto.FromString(model.SerializeToString())
        change(other)
        return other

    def describe(text):
        return lambda other: setattr(other.metadata_props[0], "value", text)
    text = model.metadata_props[0].value
    for change in (lambda other: setattr(other.graph.node[1], "op_type", "Tanh"),
                   lambda other: other.graph.initializer.pop(), lambda other: other.graph.node.pop(),
                   describe("{"), describe("3"), describe(text.replace("[3, 4", "[3, 5")),
                   describe(text.replace("layer_norm", "norm")), describe(text.replace('"layers": 1', '"layers": 2')),
                   describe(text.replace("1e-05", "1e-3"))):
        with pytest.raises(ValueError, match=r"its fastsgd\.network does not describe its graph: .* to_onnx wrote"):
            from_onnx(changed(change))
    with pytest.raises(ValueError, match=r"ReduceMean\) is not part of a chain of dense layers"):
        from_onnx(model, "hinge")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_stands_large_inputs(name, dtype):
    X = LARGE.astype(dtype)
    net = fastsgd.Network([1, 1, 1], name, "absolute_error", dtype=dtype)
    net.params = [1, 0, 1, 0]
    found, expected = run(to_onnx(net), X), net.predict(X)
    # onnxruntime's float32 logistic function stops at 1.5e-8 on its way to 0, which silu multiplies
    scale = np.maximum(1, abs(X) if name == "silu" else abs(expected))
    assert (abs(found - expected) / scale).max() < {"float32": 1e-6, "float64": 1e-14}[dtype]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_networks_come_back_equal(tmp_path, dtype):
    rng = np.random.default_rng(4)
    for k in range(60):
        net = random_network(rng, dtype)
        net.metadata["note"] = "Zürich"
        path = tmp_path / f"{k}.onnx"
        to_onnx(net, path)
        twin = from_onnx(path)
        assert twin.architecture == net.architecture
        assert twin.metadata == net.metadata
        assert twin.dtype == net.dtype
        np.testing.assert_array_equal(twin.params, net.params)
    assert len(os.listdir(tmp_path)) == 60


def test_the_model_as_others_see_it(tmp_path):
    net = fastsgd.Network([4, 5, 3], seed=0, input_scale=2.0)
    model = to_onnx(net, tmp_path / "net.onnx")
    assert onnx.load(tmp_path / "net.onnx") == model
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx", providers=["CPUExecutionProvider"])
    ends = [(end.name, end.type, end.shape) for end in (*session.get_inputs(), *session.get_outputs())]
    assert ends == [("X", "tensor(float)", ["rows", 4]), ("output", "tensor(float)", ["rows", 3])]
    assert [node.op_type for node in model.graph.node] == ["Mul", "Gemm", "Relu", "Gemm", "Softmax"]
    assert (model.ir_version, [(entry.domain, entry.version) for entry in model.opset_import]) == (7, [("", 13)])
    for rows in (1, 7):
        assert run(model, np.zeros((rows, 4), np.float32)).shape == (rows, 3)


def test_networks_that_a_file_cannot_hold(tmp_path, monkeypatch):
    net = fastsgd.Network([2, 3])
    for key, value in (("fastsgd.version", "9"), ("n", 3), (3, "n")):
        net.metadata = {key: value}
        with pytest.raises(ValueError, match="metadata must map strings to strings"):
            to_onnx(net, tmp_path / "net.onnx")
    monkeypatch.setattr(onnx_writer, "MAX_FILE_BYTES", 10)
    with pytest.raises(ValueError, match="take 36 bytes; an ONNX file holds at most 10"):
        to_onnx(net, tmp_path / "net.onnx")
    assert not os.listdir(tmp_path)


def test_graph_and_description_must_agree():
    net = fastsgd.Network([2, 3, 2], loss=fastsgd.losses.Huber(0.3), seed=0, input_scale=0.1)
    model = to_onnx(net)

    def changed(**changes):
        other = onnx.ModelProto.FromString(model.SerializeToString())
        fields = {**json.loads(other.metadata_props[0].value), **changes}
        other.metadata_props[0].value = json.dumps(fields)
        return other
    for changes in ({"sizes": [2, 4, 2]}, {"activations": ["tanh", "identity"]}, {"loss": "hinge"}, {"loss": "poisson"},
                    {"input_scale": [0.2]}, {"input_scale": [0.1] * 3}, {"output_scale": [2.0]},
                    {"output_offset": [1.0]}, {"loss_parameters": []}, {"sizes": None},
                    {"more": 1}):
        with pytest.raises(ValueError, match=r"its fastsgd\.architecture does not describe its graph: .*with loss="):
            from_onnx(changed(**changes))
        assert from_onnx(changed(**changes), "quantile").loss == "quantile"
    broken = changed()
    broken.metadata_props[0].value = "{"
    with pytest.raises(ValueError, match="does not describe its graph"):
        from_onnx(broken)
    assert from_onnx(changed(loss_parameters=[0.7, 0.7])).architecture.loss_parameters == (0.7, 0.7)


# ---- graphs of others ----

def graph(nodes, constants=(), shape=("rows", 3), opset=17, outputs=("y",), kind=TensorProto.FLOAT):
    """A model with input "x", output "y", nodes as (operation, inputs, output, attributes) and constants by name."""
    made = [helper.make_node(operation, inputs, [output], name=f"n{i}", **(attributes[0] if attributes else {}))
            for i, (operation, inputs, output, *attributes) in enumerate(nodes)]
    tensors = [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in dict(constants).items()]
    return helper.make_model(helper.make_graph(
        made, "test", [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", None]) for name in outputs], tensors),
        opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def arrays(seed=0):
    rng = np.random.default_rng(seed)
    shapes = {"W": (3, 4), "V": (4, 2), "Wt": (4, 3), "b": (4,), "c": (2,), "row": (1, 4), "m": (3,), "s": (3,),
              "d": (2,)}
    made = {name: rng.uniform(0.5, 1, shape).astype("float32") for name, shape in shapes.items()}
    return made | {"half": np.float32(0.5), "two": np.float32([2]), "one": np.float32(1),
                   "root": np.float32(np.sqrt(2)), "square": np.ones((4, 4), np.float32),
                   "shape": np.array([-1, 3]), "keep": np.array([0, -1]), "no": np.array(False), "yes": np.array(True),
                   "four": np.array([4]), "odd": np.array([[False, True] * 2]),
                   "first": np.array([[True, True, False, False]])}


def dense(activation):
    """Nodes of one hidden layer with this activation of "z", which gives "a"."""
    return [("Gemm", "xWb", "z"), *activation, ("Gemm", "aVc", "y")]


READ = {
    "Gemm, transposed, alpha and beta": [
        ("Gemm", ["x", "Wt", "b"], "z", {"transB": 1, "alpha": 0.5, "beta": 2.0}), ("Relu", "z", "a"),
        ("Gemm", ["a", "V"], "y")],
    "MatMul and Add in either order": [
        ("MatMul", "xW", "u"), ("Add", "bu", "z"), ("Tanh", "z", "a"), ("MatMul", "aV", "v"), ("Add", "vc", "w"),
        ("Sigmoid", "w", "y")],
    "a bias that is one row or one number, added or subtracted": [
        ("Gemm", ["x", "W", "row"], "u"), ("Sub", ["u", "half"], "z"), ("Relu", "z", "a"), ("MatMul", "aV", "y")],
    "standardised rows": [
        ("Sub", "xm", "u"), ("Div", "us", "v"), ("MatMul", "vW", "w"), ("Add", "wb", "z"), ("Relu", "z", "a"),
        ("Gemm", "aVc", "y")],
    "one minus the rows, times two": [
        ("Sub", ["one", "x"], "u"), ("Mul", ["two", "u"], "v"), ("Gemm", "vWb", "z"), ("Relu", "z", "a"),
        ("Gemm", "aVc", "y")],
    "scaled outputs": [("Gemm", "xWb", "z"), ("Mul", ["z", "half"], "y")],
    "outputs in units of their own": [
        ("Gemm", "xWb", "z"), ("Relu", "z", "a"), ("Gemm", "aVc", "u"), ("Mul", "uc", "v"), ("Sub", "vd", "y")],
    "hidden units scaled by column": [
        ("MatMul", "xW", "u"), ("Mul", "ub", "v"), ("Add", "vb", "z"), ("Relu", "z", "a"), ("Gemm", "aVc", "y")],
    "hidden units halved, then less one": [
        ("Gemm", "xWb", "u"), ("Mul", ["u", "half"], "v"), ("Sub", ["v", "one"], "z"), ("Gemm", "zVc", "y")],
    "x + x": [("Add", "xx", "z"), ("Gemm", "zWb", "y")],
    "operations that change nothing": [
        ("Identity", "x", "u"), ("Flatten", "u", "v"), ("Reshape", ["v", "shape"], "w"), ("Cast", "w", "q", {"to": 1}),
        ("Gemm", "qWb", "z"), ("Relu", "z", "p"), ("Dropout", ["p", "half", "no"], "r"),
        ("Reshape", ["r", "keep"], "a"), ("Gemm", "aVc", "l"), ("Softmax", "l", "e"), ("Identity", "e", "y")],
    "weights by a Constant and a Transpose": [
        ("Transpose", ["Wt"], "U", {"perm": [1, 0]}), ("Constant", "", "k", {"value_floats": [1.0, 2.0]}),
        ("Gemm", "xUb", "z"), ("Relu", "z", "a"), ("Gemm", "aVk", "y"), ("Identity", "V", "unused")],
    "no activation between": [("Gemm", "xWb", "z"), ("Gemm", "zVc", "y")],
    "exp": [("Gemm", "xWb", "z"), ("Exp", "z", "y")],
    "tanh": [("Gemm", "xWb", "z"), ("Tanh", "z", "y")],
    "leaky relu": dense([("LeakyRelu", "z", "a", {"alpha": 0.01})]),
    "leaky relu as Max": dense([("Constant", "", "k", {"value_float": 0.01}), ("Mul", "zk", "u"), ("Max", "uz", "a")]),
    "relu as Max": dense([("Constant", "", "k", {"value_float": 0.0}), ("Max", "kz", "a")]),
    "elu": dense([("Elu", "z", "a")]),
    "celu": dense([("Celu", "z", "a")]),
    "gelu in five": dense([("Div", ["z", "root"], "u"), ("Erf", "u", "v"), ("Add", ["v", "one"], "w"),
                           ("Mul", "zw", "q"), ("Mul", ["q", "half"], "a")]),
    "gelu in another order": dense([("Mul", ["half", "z"], "p"), ("Div", ["z", "root"], "u"), ("Erf", "u", "v"),
                                    ("Add", ["one", "v"], "w"), ("Mul", "wp", "a")]),
    "silu": dense([("Sigmoid", "z", "u"), ("Mul", "uz", "a")]),
    "silu as a quotient": dense([("Neg", "z", "u"), ("Exp", "u", "v"), ("Add", ["v", "one"], "w"), ("Div", "zw", "a")]),
    "softplus": dense([("Softplus", "z", "a")]),
    "softplus as torch.export writes it": dense([
        ("Mul", ["z", "one"], "u"), ("Softplus", "u", "v"), ("Div", ["v", "one"], "w"),
        ("Constant", "", "k", {"value_float": 20.0}), ("Greater", "uk", "g"), ("Where", "gzw", "a")]),
    "logistic as a quotient": dense([("Exp", "z", "u"), ("Add", ["u", "one"], "v"), ("Div", "uv", "a")]),
    "relu as Where": dense([("Constant", "", "k", {"value_float": 0.0}), ("Greater", "zk", "g"),
                            ("Where", "gzk", "a")]),
    "relu as a product": dense([("Constant", "", "k", {"value_float": 0.0}), ("Less", "kz", "g"),
                                ("Cast", "g", "u", {"to": 1}), ("Mul", "uz", "a")]),
    "relu by its absolute value": dense([("Abs", "z", "u"), ("Add", "uz", "v"), ("Mul", ["v", "half"], "a")]),
    "elu as Where": dense([("Exp", "z", "u"), ("Sub", ["u", "one"], "v"), ("Constant", "", "k", {"value_float": 0.0}),
                           ("Less", "zk", "g"), ("Where", "gvz", "a")]),
    "relu within the ends of float32": dense([
        ("Constant", "", "k", {"value_float": 0.0}), ("Constant", "", "n", {"value_float": 3.4028234663852886e38}),
        ("Max", "zk", "u"), ("Min", "un", "a")]),
    "selu": dense([("Selu", "z", "a")]),
    "hard sigmoid": dense([("HardSigmoid", "z", "a", {"alpha": 1 / 6, "beta": 0.5})]),
    "hard swish": dense([("HardSwish", "z", "a")]),
    "hard swish as a product": dense([("HardSigmoid", "z", "u", {"alpha": 1 / 6}), ("Mul", "zu", "a")]),
    "hard tanh": dense([("Constant", "", "k", {"value_float": -1.0}), ("Clip", ["z", "k", "one"], "a")]),
    "hard tanh as Min and Max": dense([("Constant", "", "k", {"value_float": -1.0}), ("Min", ["z", "one"], "u"),
                                       ("Max", "uk", "a")]),
    "relu6": dense([("Constant", "", "k", {"value_float": 0.0}), ("Constant", "", "n", {"value_float": 6.0}),
                    ("Clip", "zkn", "a")]),
    "relu6 as Relu and Min": dense([("Constant", "", "n", {"value_float": 6.0}), ("Relu", "z", "u"),
                                    ("Min", "un", "a")]),
    "relu as Clip": dense([("Constant", "", "k", {"value_float": 0.0}), ("Clip", "zk", "a")]),
    "mish": dense([("Softplus", "z", "u"), ("Tanh", "u", "v"), ("Mul", "zv", "a")]),
    "softplus as Log": dense([("Exp", "z", "u"), ("Add", ["u", "one"], "v"), ("Log", "v", "a")]),
}


@pytest.mark.parametrize("name", READ)
def test_chains_of_others_are_read(name):
    model = graph(READ[name], arrays())
    onnx.checker.check_model(model, full_check=True)
    X = np.random.default_rng(0).uniform(-1, 1, (9, 3)).astype("float32")
    net = from_onnx(model)
    assert difference(net.predict(X), run(model, X)) < 1e-6
    last = {node.op_type for node in model.graph.node[-2:]} & {"Softmax", "Sigmoid", "Exp", "Tanh"} or {"none"}
    assert (net.loss, net.architecture.activations[-1]) == {
        "Softmax": ("cross_entropy", "softmax"), "Sigmoid": ("binary_cross_entropy", "logistic"),
        "Exp": ("poisson", "exp"), "Tanh": ("squared_error", "tanh"), "none": ("squared_error", "identity"),
    }[last.pop()]


def test_later_opsets_have_mish_gelu_and_swish():
    X = np.random.default_rng(0).uniform(-1, 1, (9, 3)).astype("float32")
    for operation, opset, name in (("Gelu", 20, "gelu"), ("Swish", 24, "silu"), ("Mish", 18, "mish")):
        model = graph(dense([(operation, "z", "a")]), arrays(), opset=opset)
        net = from_onnx(model)
        assert net.architecture.activations == (name, "identity")
        assert difference(net.predict(X), run(model, X)) < 1e-6


def test_the_units_of_outputs_come_back_and_of_older_files_are_one():
    net = fastsgd.Network([2, 3, 1], loss="huber", seed=0, output_scale=1000.0, output_offset=0.1)
    model = to_onnx(net)
    assert [node.op_type for node in model.graph.node][-2:] == ["Mul", "Add"]
    assert from_onnx(model).architecture == net.architecture
    X = random_rows(np.random.default_rng(0), net)
    assert difference(from_onnx(model, "quantile").predict(X), net.predict(X)) < 1e-6
    net.output_scale, net.output_offset = 1.0, 0.0
    model = to_onnx(net)
    fields = json.loads(model.metadata_props[0].value)
    del fields["output_scale"], fields["output_offset"]
    model.metadata_props[0].value = json.dumps(fields)
    assert from_onnx(model).architecture == net.architecture


def test_the_units_of_means_and_of_sorted_outputs_come_back():
    means = fastsgd.Network([2, 3, 4], loss="gaussian_nll", seed=0, output_scale=[2.0, 3.0], output_offset=[1.0, -1.0])
    ranks = fastsgd.Network([2, 3, 2], loss=fastsgd.losses.Quantile([0.1, 0.6]), output="sorted", seed=0,
                            output_scale=2.0, output_offset=1.0)
    for net in (means, ranks):
        model = to_onnx(net)
        X = random_rows(np.random.default_rng(0), net)
        twin = from_onnx(model)
        assert twin.architecture == net.architecture
        other = from_onnx(model, net.loss_function)
        assert other.architecture.activations == net.architecture.activations
        for each in (twin, other):
            np.testing.assert_array_equal(each.predict(X), net.predict(X))
        onnx.checker.check_model(model, full_check=True)
        assert difference(run(model, X), net.predict(X)) < 1e-6
    model = to_onnx(means)
    for tensor in model.graph.initializer:
        if tensor.name == "output_offset":
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.float32([1, -1, 0, 0.5]), "output_offset"))
    with pytest.raises(ValueError, match="the graph scales its output otherwise"):
        from_onnx(model)
    with pytest.raises(ValueError, match=r"deviations must be scaled as their means are, by \[2.0, 3.0\], and"):
        from_onnx(model, "gaussian_nll")


def test_the_caller_decides_the_loss():
    model = graph(READ["no activation between"], arrays())
    assert from_onnx(model, loss="cross_entropy").architecture.activations == ("identity", "softmax")
    assert from_onnx(model, loss="quantile").loss == "quantile"
    assert from_onnx(graph(READ["tanh"], arrays()), loss="squared_error").architecture.activations == ("tanh",)
    with pytest.raises(ValueError, match="output for huber must be identity, got 'tanh'"):
        from_onnx(graph(READ["tanh"], arrays()), loss="huber")


def test_images_are_flattened():
    W = np.ones((12, 2), np.float32)
    nodes = [("Mul", ["x", "half"], "u"), ("Flatten", "u", "v"), ("MatMul", "vW", "y")]
    net = from_onnx(graph(nodes, {"W": W, "half": np.float32(0.5)}, ("rows", 1, 3, 4)))
    assert net.sizes == (12, 2)
    assert net.input_scale == 0.5
    with pytest.raises(ValueError, match=r"shape \(4,\) is neither"):
        from_onnx(graph([("Mul", "xm", "u"), *nodes[1:]], {"W": W[:4], "m": np.ones(4, np.float32)}, ("rows", 4, 1)))
    with pytest.raises(ValueError, match=r"node 'n0' \(MatMul\): the network's input must be \(rows, columns\)"):
        from_onnx(graph([("MatMul", "xW", "y")], {"W": W}, ("rows", 5, 12)))


def external(model):
    tensor = model.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")


def claims(dims):
    def edit(model):
        del model.graph.initializer[0].dims[:]
        model.graph.initializer[0].dims.extend(dims)
    return edit


def half(model):
    model.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(np.ones((3, 4), np.float16), "W"))


def sparse(model):
    model.graph.sparse_initializer.add()


def of_domain(model):
    model.graph.node[0].domain = "com.microsoft"
    model.opset_import.add(domain="com.microsoft", version=1)


GOOD = dense([("Relu", "z", "a")])
REFUSED = {  # nodes, what is done to the model, the message
    "a convolution": ([("Conv", "xW", "y")], None,
                      r"node 'n0' \(Conv\) is not part of a chain.*allowed are Gemm, MatMul"),
    "a condition": ([("If", ["no"], "y", {"then_branch": helper.make_graph([], "t", [], [])})], None,
                    r"\(If\) is not part"),
    "a branch": ([("Gemm", "xWb", "z"), ("Gemm", "xWb", "w"), ("Add", "zw", "a"), ("Gemm", "aVc", "y")], None,
                 r"node 'n2' \(Add\): its operands come from different layers"),
    "a residual": ([("Gemm", "xWb", "z"), ("MatMul", ["z", "square"], "w"), ("Add", "zw", "y")], None,
                   "different layers"),
    "rows times rows": ([("Gemm", "xWb", "z"), ("MatMul", "zz", "y")], None, "all others constants"),
    "weights on the left": ([("MatMul", ["square", "x"], "y")], None, "the rows must be its first operand"),
    "transposed rows": ([("Gemm", "xWb", "y", {"transA": 1})], None, "transA must be 0"),
    "a list of alphas": ([("Gemm", "xWb", "y", {"alpha": [1.0, 1.0, 1.0, 1.0]})], None,
                         "alpha and beta must be numbers"),
    "a text as beta": ([("Gemm", "xWb", "y", {"beta": "1.0"})], None, "alpha and beta must be numbers"),
    "another slope": (dense([("LeakyRelu", "z", "a", {"alpha": 0.2})]), None,
                      r"node 'n2' \(Gemm\): what node 'n1' \(LeakyRelu\) gives is none of fastsgd's activations"),
    "relu up to 5": (dense([("Relu", "z", "u"), ("Constant", "", "k", {"value_float": 5.0}), ("Min", "uk", "a")]), None,
                     r"node 'n3' \(Min\) gives is none of"),
    "a limit far out": (dense([("Relu", "z", "u"), ("Constant", "", "k", {"value_float": 500.0}), ("Min", "uk", "a")]),
                        None, r"node 'n3' \(Min\) gives is none of"),
    "a limit below": (dense([("Constant", "", "k", {"value_float": -1e29}), ("Max", "zk", "a")]), None,
                      r"\(Max\) gives is none of"),
    "a softplus with a limit": (dense([("Exp", "z", "u"), ("Add", ["u", "one"], "v"), ("Log", "v", "w"),
                                       ("Constant", "", "k", {"value_float": 600.0}), ("Min", "wk", "a")]), None,
                                r"\(Min\) gives is none of"),
    "a small slope": (dense([("LeakyRelu", "z", "a", {"alpha": 1e-9})]), None, r"\(LeakyRelu\) gives is none of"),
    "a tanh gelu": (dense([("Gelu", "z", "a", {"approximate": "tanh"})]), None, r"\(Gelu\) gives is none of"),
    "a threshold near zero": (dense([("Constant", "", "k", {"value_float": 0.2}), ("Greater", "zk", "g"),
                                     ("Cast", "g", "u", {"to": 1}), ("Mul", "uz", "a")]), None,
                              r"\(Mul\) gives is none of"),
    "a threshold by Where": (dense([("Constant", "", "k", {"value_float": 0.1}), ("Less", "zk", "g"),
                                    ("Sub", "kk", "u"), ("Where", "guz", "a")]), None, "does not act on the rows"),
    "a hard shrink": (dense([("Constant", "", "k", {"value_float": 0.1}), ("Constant", "", "n", {"value_float": 0.0}),
                             ("Abs", "z", "u"), ("Greater", "uk", "g"), ("Where", "gzn", "a")]), None,
                      r"\(Where\) gives is none of"),
    "a soft shrink": (dense([("Constant", "", "k", {"value_float": 1e-3}), ("Sub", "zk", "u"), ("Relu", "u", "v"),
                             ("Neg", "z", "w"), ("Sub", "wk", "p"), ("Relu", "p", "q"), ("Sub", "vq", "a")]), None,
                      r"\(Sub\): its operands come from different layers"),
    "a narrow bump on relu": (dense([("Constant", "", "k", {"value_float": 1000.0}), ("Mul", "zk", "u"),
                                     ("Constant", "", "n", {"value_float": 130.0}), ("Sub", "un", "v"),
                                     ("Mul", "vv", "w"), ("Neg", "w", "q"), ("Exp", "q", "p"), ("Relu", "z", "r"),
                                     ("Add", "pr", "a")]), None, r"\(Add\) gives is none of"),
    "a softplus that is straight from 8": (dense([
        ("Softplus", "z", "v"), ("Constant", "", "k", {"value_float": 8.0}), ("Greater", "zk", "g"),
        ("Where", "gzv", "a")]), None, r"\(Where\) gives is none of"),
    "an overflow": (dense([("Constant", "", "k", {"value_float": 3e38}), ("Mul", "zk", "u"), ("Mul", "uk", "a")]), None,
                    r"\(Gemm\): a layer scaled by 9e\+76 .*not finite"),
    "a constant divided by zero": (dense([("Constant", "", "k", {"value_float": 0.0}), ("Div", "zk", "a")]), None,
                                   r"node 'n2' \(Div\): "),
    "many squares": (dense([("Exp", "z", "u"), ("Add", ["u", "one"], "v"), ("Mul", "vv", "w"), *(
        ("Mul", [f"{'w' if i == 0 else i - 1}"] * 2, str(i)) for i in range(30)), ("Mul", ["29", "z"], "a")]), None,
                     "more complicated than any activation"),
    "an attribute": (dense([("Relu", "z", "a", {"alpha": 1.0})]), None, r"node 'n1' \(Relu\): .*unexpected keyword"),
    "relu at the end": ([("Gemm", "xWb", "z"), ("Relu", "z", "y")], None, "the last layer's activation is relu"),
    "softmax inside": (dense([("Softmax", "z", "a")]), None, "got 'softmax'"),
    "softmax over rows": ([("Gemm", "xWb", "z"), ("Softmax", "z", "y", {"axis": 0})], None, "over the columns"),
    "relu after softmax": ([("Gemm", "xWb", "z"), ("Softmax", "z", "a"), ("Relu", "a", "y")], None,
                           "may follow a Softmax"),
    "sorted downwards": ([("Gemm", "xWb", "z"), ("TopK", ["z", "four"], "y", {"axis": 1})], None, "sort all of its"),
    "some of the sorted": ([("Gemm", "xWb", "z"), ("TopK", ["z", "two"], "y", {"axis": 1, "largest": 0})], None,
                           "sort all of its columns"),
    "sorted inside": ([("Gemm", "xWb", "z"), ("TopK", ["z", "four"], "a", {"axis": 1, "largest": 0}),
                       ("Gemm", "aVc", "y")], None, r"node 'n2' \(Gemm\): sorted must come last"),
    "sorted twice": ([("Gemm", "xWb", "z"), ("TopK", ["z", "four"], "a", {"axis": 1, "largest": 0}),
                      ("TopK", ["a", "four"], "y", {"axis": 1, "largest": 0})], None, "sorted must come last"),
    "relu after sorting": ([("Gemm", "xWb", "z"), ("TopK", ["z", "four"], "a", {"axis": 1, "largest": 0}),
                            ("Relu", "a", "y")], None, "nothing but a scale and an offset may follow sorted"),
    "sorted rows": ([("TopK", ["x", "four"], "y", {"axis": 1, "largest": 0})], None, "sort all of its columns"),
    "another condition": ([("Gemm", "xWb", "z"), ("Exp", "z", "a"), ("Where", ["odd", "z", "a"], "y")], None,
                          "only that of means and deviations can be read"),
    "another deviation": ([("Gemm", "xWb", "z"), ("Softplus", "z", "a"), ("Where", ["first", "z", "a"], "y")], None,
                          "only that of means and deviations can be read"),
    "scaled softmax": ([("Gemm", "xWb", "z"), ("Softmax", "z", "a"), ("Mul", ["a", "half"], "y")], None,
                       "may follow a Softmax"),
    "scaled after an activation": ([("Gemm", "xWb", "z"), ("Tanh", "z", "a"), ("Mul", "ab", "y")], None,
                                   r"constant of shape \(4,\) is not possible"),
    "an activation first": ([("Relu", "x", "z"), ("Gemm", "zWb", "y")], None, "comes before the first layer"),
    "max of 2x and x": ([("Mul", ["x", "two"], "u"), ("Max", "ux", "z"), ("Gemm", "zWb", "y")], None,
                        "different layers"),
    "1 / x": ([("Div", ["one", "x"], "z"), ("Gemm", "zWb", "y")], None, "cannot be a divisor"),
    "a bias per row": ([("Gemm", ["x", "W", "square"], "y")], None, "neither one number nor one per column"),
    "a bias too long": ([("MatMul", "xW", "z"), ("Add", "zc", "y")], None, r"shape \(2,\) is neither"),
    "sizes that do not fit": ([("Gemm", "xWb", "z"), ("MatMul", ["z", "W"], "y")], None, r"\(3, 4\); \(4, outputs\)"),
    "columns that do not fit": ([("Gemm", "xVc", "y")], None, r"weights have shape \(4, 2\); \(3, outputs\)"),
    "a scale that does not fit": ([("Mul", "xb", "z"), ("Gemm", "zWb", "y")], None, r"shape \(4,\) is neither"),
    "a dropout in training": (dense([("Dropout", ["z", "half", "yes"], "a")]), None, "training mode"),
    "a cast to whole numbers": ([("Cast", "x", "z", {"to": 7}), ("Gemm", "zWb", "y")], None,
                                "only a cast to float or double"),
    "a reshape": ([("Reshape", ["x", "c"], "z"), ("Gemm", "zWb", "y")], None, r"it must make \(rows, columns\)"),
    "rows made columns": ([("Gemm", "xWb", "z"), ("Transpose", "z", "y")], None, r"\(Transpose\): it does not leave"),
    "flat over rows": ([("Flatten", "x", "z", {"axis": 0}), ("Gemm", "zWb", "y")], None, "axis must be 1"),
    "constants alone": ([("Add", "bb", "z"), ("Gemm", "xWz", "y")], None, "does not act on the rows"),
    "an operand missing": ([("Gemm", "xWq", "y")], None, r"uses \['q'\], which nothing before it gives"),
    "no layer": ([("Identity", "x", "y")], None, "there is no layer with weights"),
    "no path from input to output": ([("Gemm", "xWb", "z"), ("Identity", "W", "y")], None,
                                     "does not depend on its input"),
    "external data": (GOOD, external, "'W' lies outside the file"),
    "a tensor that claims too much": (GOOD, claims([2**40, 2**20]), r"'W' does not have the shape \[1099511627776"),
    "a tensor of negative size": (GOOD, claims([-1, 4]), r"'W' does not have the shape \[-1, 4\]"),
    "half precision": (GOOD, half, "'W' has data type 10; allowed are float and double"),
    "sparse weights": (GOOD, sparse, "sparse initializers"),
    "another domain": (GOOD, of_domain, r"node 'n0' \(Gemm\) is of the domain 'com.microsoft'"),
    "an old opset": (GOOD, lambda model: model.opset_import[0].CopyFrom(helper.make_opsetid("", 6)), "its opset is 6"),
    "no opset": (GOOD, lambda model: model.opset_import.pop(), "its opset is 0"),
    "two outputs": (GOOD, lambda model: model.graph.output.append(model.graph.output[0]), "1 inputs and 2 outputs"),
    "nothing": (GOOD, lambda model: model.Clear(), "its opset is 0"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_chain_of_dense_layers_is_refused_by_name(tmp_path, name):
    nodes, edit, message = REFUSED[name]
    model = graph(nodes, arrays())
    if edit:
        edit(model)
    with pytest.raises(ValueError, match=message):
        from_onnx(model)
    path = tmp_path / "bad.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ValueError, match=rf"bad\.onnx: .*{message}"):
        from_onnx(path)


def test_files_that_are_no_models(tmp_path):
    path = tmp_path / "bad.onnx"
    for content in (b"", b"no protocol buffer", bytes(1000)):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"bad\.onnx: "):
            from_onnx(path)
    os.truncate(path, 2**31)
    with pytest.raises(ValueError, match=r"bad\.onnx: it has 2,147,483,648 bytes"):
        from_onnx(path)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        from_onnx(tmp_path / "nowhere.onnx")
    with pytest.raises(TypeError, match=r"path_or_model must be a path or an onnx\.ModelProto, got Network"):
        from_onnx(fastsgd.Network([2, 2]))


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_mutated_files_load_or_raise_value_error(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("mutated") / "bad.onnx"
    net = fastsgd.Network([2, 3, 2], ["gelu"], "huber", seed=0, input_scale=[1, 2], input_offset=3)
    content = bytearray(to_onnx(net).SerializeToString())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content) - 1))
        if data.draw(st.booleans()):
            content[at] = data.draw(st.integers(0, 255))
        else:
            del content[at:at + data.draw(st.integers(1, 20))]
    path.write_bytes(content)
    try:
        found = from_onnx(path)
    except ValueError as error:
        refusal = str(error)
    else:                                            # the mutation hit a name that nothing needs, or a weight
        refusal = "bad.onnx: "
        assert found.predict(np.zeros((1, found.sizes[0]))).shape == (1, found.sizes[-1])
    assert "bad.onnx: " in refusal


CHANGES = ["Gemm", "MatMul", "Add", "Sub", "Mul", "Div", "Max", "Min", "Where", "Relu", "LeakyRelu", "Elu", "Sigmoid",
           "TopK", "Tanh", "Softplus", "Softmax", "Exp", "Abs", "Neg", "Identity", "Transpose", "Flatten", "Reshape"]


def test_no_changed_graph_is_read_as_something_else():
    rng = np.random.default_rng(5)
    read = 0
    for _ in range(1500):
        sizes = [int(rng.integers(1, 4))] * 4                   # equal widths, so that many changes are still graphs
        net = fastsgd.Network(sizes, [str(name) for name in rng.choice(ACTIVATIONS, 2)], "squared_error", seed=0,
                              input_scale=rng.choice([1.0, 2.0]), input_offset=rng.choice([0.0, 0.5]))
        model = to_onnx(net)
        model.metadata_props.pop()
        nodes = model.graph.node
        names = ["X", *(tensor.name for tensor in model.graph.initializer), *(node.output[0] for node in nodes)]
        for _ in range(rng.integers(1, 3)):
            at = int(rng.integers(len(nodes)))
            node = nodes[at]
            action = rng.integers(5)
            if action == 0:
                node.op_type = str(rng.choice(CHANGES))
            elif action == 1 and node.input:
                node.input.pop()
            elif action == 2:
                node.input.append(str(rng.choice(names)))
            elif action == 3 and node.input:
                node.input[rng.integers(len(node.input))] = str(rng.choice(names))
            else:
                name = node.output[0]
                node.output[0] = f"{name}.before{at}"
                nodes.insert(at + 1, helper.make_node(str(rng.choice(CHANGES)), [node.output[0]], [name]))
        try:
            found = from_onnx(model)
        except ValueError:
            continue
        X = rng.standard_normal((5, found.sizes[0])).astype("float32")
        try:
            expected = run(model, X)
        except Exception:                                       # not a graph: from_onnx need not notice
            continue
        np.testing.assert_allclose(found.predict(X), expected, rtol=1e-4, atol=1e-5, err_msg=str(nodes))
        read += 1
    assert read > 100


def random_function(rng):
    """Nodes of a random function of "z", which gives "a", and its constants: thresholds, shrinks and the like."""
    nodes, constants, names = [], {}, ["z"]

    def constant():
        value = rng.choice([0.0, 0.0, 1.0, -1.0, 0.5, 0.01, 20.0, round(rng.uniform(-0.6, 0.6), 2), rng.normal()])
        constants[f"k{len(constants)}"] = np.float32(value)
        return f"k{len(constants) - 1}"

    def add(operation, inputs, **attributes):
        nodes.append((operation, inputs, f"t{len(nodes)}", attributes))
        return nodes[-1][2]

    def either():
        return str(rng.choice(names)) if rng.random() < 0.6 else constant()

    for _ in range(rng.integers(1, 4)):
        kind, last = rng.integers(7), str(rng.choice(names[-2:]))
        if kind == 0:
            chosen = add(str(rng.choice(["Greater", "Less"])), [last, constant()])
            names.append(add("Where", [chosen, either(), either()]))
        elif kind == 1:
            chosen = add(str(rng.choice(["Greater", "Less"])), [last, constant()])
            names.append(add("Mul", [add("Cast", [chosen], to=1), str(rng.choice(names))]))
        elif kind in (2, 3):
            names.append(add(str(rng.choice(["Max", "Min", "Add", "Sub", "Mul"])), [last, either()]))
        elif kind == 4:
            names.append(add(str(rng.choice(["LeakyRelu", "Elu"])), [last], alpha=rng.choice([0.01, 0.1, 1.0])))
        else:
            names.append(add(str(rng.choice(["Relu", "Sigmoid", "Tanh", "Softplus", "Abs", "Neg", "Erf"])), [last]))
    add("Identity", [names[-1]])
    nodes[-1] = (*nodes[-1][:2], "a", nodes[-1][3])
    return nodes, constants


def test_random_functions_are_read_right_or_refused():
    rng = np.random.default_rng(6)
    X = np.concatenate([np.linspace(-3, 3, 1201), [0.0, -30.0, 30.0, 1e4, -1e4]]).astype("float32")[:, None]
    one, read = np.ones((1, 1), np.float32), {}
    for _ in range(300):
        nodes, constants = random_function(rng)
        model = graph([("MatMul", "xW", "z"), *nodes, ("MatMul", "aV", "y")], {"W": one, "V": one, **constants},
                      ("rows", 1))
        try:
            net = from_onnx(model)
        except ValueError:
            continue
        expected = run(model, X)
        assert (abs(net.predict(X) - expected) <= 1e-6 * np.maximum(1, abs(expected))).all(), nodes
        name = net.architecture.activations[0]
        read[name] = read.get(name, 0) + 1
    assert min(read["relu"], read["identity"]) > 5
    assert len(read) > 5


@pytest.mark.parametrize("place", ["first", "hidden"])
def test_batch_norms_of_others_are_read_into_weights(place):
    rng = np.random.default_rng(0)
    width = 3 if place == "first" else 4
    figures = {name: rng.uniform(0.5, 2, width).astype("float32") for name in ("gain", "shift", "mean", "variance")}
    norm = ("BatchNormalization", ["x" if place == "first" else "z", *figures], "n", {"epsilon": 1e-3})
    chain = ([norm, ("Gemm", ["n", "W", "b"], "z"), ("Relu", ["z"], "a")] if place == "first" else
             [("Gemm", ["x", "W", "b"], "z"), norm, ("Relu", ["n"], "a")])
    model = graph([*chain, ("Gemm", ["a", "V", "c"], "y")], {**arrays(), **figures})
    X = rng.standard_normal((9, 3)).astype("float32")
    np.testing.assert_allclose(from_onnx(model).predict(X), run(model, X), rtol=1e-5)
    model.graph.node[chain.index(norm)].attribute.append(helper.make_attribute("training_mode", 1))
    with pytest.raises(ValueError, match="it is in training mode; export the model for inference"):
        from_onnx(model)
    late = graph([("Gemm", ["x", "W", "b"], "z"), ("Relu", ["z"], "a"), ("BatchNormalization", ["a", *figures], "n"),
                  ("Gemm", ["n", "V", "c"], "y")], {**arrays(), **figures})
    if place == "hidden":
        with pytest.raises(ValueError, match="it must follow a layer that has no activation, or the input"):
            from_onnx(late)


# ---- PyTorch's export ----

def torch_module():
    nn = pytest.importorskip("torch").nn
    return nn.Sequential(nn.Flatten(), nn.Linear(6, 5), nn.GELU(), nn.Dropout(), nn.Linear(5, 4), nn.SiLU(),
                         nn.Linear(4, 4, bias=False), nn.Softplus(), nn.Linear(4, 4), nn.LeakyReLU(), nn.Linear(4, 4),
                         nn.ELU(), nn.Linear(4, 4), nn.SELU(), nn.Linear(4, 4), nn.Hardsigmoid(), nn.Linear(4, 4),
                         nn.Hardswish(), nn.Linear(4, 4), nn.Hardtanh(), nn.Linear(4, 4), nn.ReLU6(), nn.Linear(4, 4),
                         nn.Mish(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 3), nn.Softmax(dim=1)).eval()


@pytest.mark.filterwarnings("ignore:.*legacy TorchScript-based ONNX export:DeprecationWarning",
                            "ignore:The feature will be removed:DeprecationWarning")
@pytest.mark.parametrize("options", [{"opset_version": 13}, {"opset_version": 20}, {"do_constant_folding": False}])
def test_what_torch_exports_by_tracing_is_read(options):
    module = torch_module()
    import torch
    X = torch.rand(2, 2, 3)
    file = io.BytesIO()
    torch.onnx.export(module, (X,), file, dynamo=False, input_names=["x"], dynamic_axes={"x": {0: "rows"}}, **options)
    net = from_onnx(onnx.load_model_from_string(file.getvalue()))
    assert net.sizes == (6, 5, *[4] * 11, 3)
    assert net.architecture.activations == ("gelu", "silu", "softplus", "leaky_relu", "elu", "selu", "hard_sigmoid",
                                            "hard_swish", "hard_tanh", "relu6", "mish", "relu", "softmax")
    with torch.no_grad():
        np.testing.assert_allclose(net.predict(X.reshape(2, 6).numpy()), module(X).numpy(), rtol=1e-6)


@pytest.mark.skipif(not importlib.util.find_spec("onnxscript"), reason="needs onnxscript")
def test_what_torch_exports_by_dynamo_is_read(tmp_path):
    module = torch_module()
    import torch
    X = torch.rand(2, 2, 3)
    torch.onnx.export(module, (X,), tmp_path / "net.onnx", dynamo=True, external_data=False,
                      dynamic_shapes=({0: torch.export.Dim("rows")},))
    net = from_onnx(tmp_path / "net.onnx")
    with torch.no_grad():
        np.testing.assert_allclose(net.predict(X.reshape(2, 6).numpy()), module(X).numpy(), rtol=1e-6)
