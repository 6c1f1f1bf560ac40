"""A network, or what a fitted estimator says, as an ONNX graph of operations that runtimes have had since 2020."""
from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import numpy as np

from fastsgd.deprecation import keyword_only
from fastsgd.files.atomic import write_atomically
from fastsgd.interop.answers import Answers, answers_of, class_array, table_answers, with_its_table
from fastsgd.interop.layers import third_party
from fastsgd.interop.onnx_graph import Graph, activate, in_order, network
from fastsgd.interop.onnx_table import encoded, in_own_units
from fastsgd.network.given import is_estimator
from fastsgd.network.model_file import in_json
from fastsgd.network.network import Network
from fastsgd.tabular.model import limits_and_about

OPSETS, IR_VERSION = {"": 13, "ai.onnx.ml": 2}, 7           # ONNX 1.8
MAX_FILE_BYTES = 2**31 - 2**20        # what Protocol Buffers take, and room for all but the parameters


@keyword_only
def to_onnx(net: Network | Any, path=None, *, columns: bool = False) -> Any:
    """The network as an ``onnx.ModelProto``; where a path is given, it is also written there, whole or not at all.

    Input "X" (rows, inputs) takes what ``net.predict`` takes, before any scaling; "output" (rows, outputs) is what it
    returns. Both have the network's dtype, any number of rows. The model's ``metadata_props`` hold the loss and
    ``net.metadata``, so that :func:`from_onnx` gives an equal network: ``net.folded()``. Columns of a table hold codes
    of categories as for ``net.predict``; here those that the column has not count as unknown, as -1 does. Of several
    members the output is the mean.

    Of a fitted estimator the graph computes what its methods do, with X of the dtype that it was fitted to:

    - a classifier: "label" (rows,), what ``predict`` returns, int64 or strings as the estimator's own classes are
      (several yes-or-no labels: int64 (rows, labels)), and "probabilities" (rows, classes), what ``predict_proba``
      does, in the order of ``classes_``; where there are none, "scores", what ``decision_function`` returns;
    - a regressor: "prediction", what ``predict`` returns, with the loss gaussian_nll the deviations behind it.

    The names of its columns are in ``metadata_props["feature_names"]``, as JSON. To have such a graph back as a
    network, write ``estimator.network_``.

    With ``columns`` the graph of a network that ``fastsgd train`` made takes the table's own columns, an input of each
    column's name, (rows, 1): double for numbers (int64 where they are too large for that), NaN where one is missing;
    strings, empty where one is missing; int64 for dates, microseconds since 1970, -2^63 where one is missing. Text that
    the training rows did not have counts as none of the levels. Its outputs are "label" and "probabilities" as above,
    or "prediction" in the target's own units, in double (of the default recipe the mean and 13 quantiles, from 0.025 to
    0.975); an output that is called like a column has _ behind its name. A TabularClassifier or TabularRegressor is
    always exported in this way; ``estimator.network_`` is the network behind its columns.

    Raises ImportError without the package onnx, ValueError for a network beyond ONNX's 2 GiB, metadata that is not text
    or classes or columns that ONNX has no type for, TypeError for what is neither network nor estimator, scikit-learn's
    NotFittedError, and OSError where the file cannot be written.

    >>> import fastsgd
    >>> model = to_onnx(fastsgd.Network([4, 8, 3], seed=0))
    >>> [node.op_type for node in model.graph.node]
    ['Gemm', 'Relu', 'Gemm', 'Softmax']
    """
    given, net = net, with_its_table(net)
    columns |= net is not given
    answers, encoding = table_answers(net) if columns else (answers_of(net), None)
    if columns and encoding is None:
        raise ValueError("columns=True needs a network with net.metadata['table'], as fastsgd train writes it")
    onnx = third_party("onnx")
    if answers.net.params.nbytes > MAX_FILE_BYTES:
        raise ValueError(f"the network's parameters take {answers.net.params.nbytes:,} bytes; an ONNX file holds at "
                         f"most {MAX_FILE_BYTES:,}")
    graph = Graph(answers.net.dtype)
    rows = encoded(graph, encoding) if encoding else graph.declare(graph.inputs, "X", graph.dtype, answers.net.sizes[0])
    found = network(graph, answers.net, rows)
    if encoding:
        if encoding.classes:
            _answer(graph, answers, found, graph.dtype)
        else:
            limits, _ = limits_and_about(answers.net, "the network")
            _answer(graph, answers, in_own_units(graph, encoding, limits, found), np.float64)
        properties = {**_properties(net), "fastsgd.columns": "1"}
    elif is_estimator(net):
        _answer(graph, answers, found, graph.dtype)
        properties = {"fastsgd.estimator": type(net).__name__}
        if hasattr(net, "feature_names_in_"):
            properties["feature_names"] = json.dumps(net.feature_names_in_.tolist())
    else:
        graph.nodes[-1].output[0] = graph.declare(graph.outputs, "output", graph.dtype, net.sizes[-1])
        properties = _properties(net)
    tensors = [onnx.numpy_helper.from_array(array, name) for name, array in graph.constants.items()]
    model = onnx.helper.make_model(
        onnx.helper.make_graph(graph.nodes, "fastsgd", graph.inputs, graph.outputs, tensors), producer_name="fastsgd",
        doc_string=repr(answers.net), ir_version=IR_VERSION,
        opset_imports=[onnx.helper.make_opsetid(domain, OPSETS[domain]) for domain in sorted(graph.domains)])
    onnx.helper.set_model_props(model, properties)
    if path is not None:
        write_atomically(path, [model.SerializeToString()])
    return model


def _properties(net: Network) -> dict[str, str]:
    architecture = net.folded().architecture
    one = architecture.is_dense and architecture.members == 1
    properties = ({"fastsgd.architecture": json.dumps(asdict(architecture))} if one else
                  {"fastsgd.network": in_json(architecture)})
    for key, value in net.metadata.items():
        if not (isinstance(key, str) and isinstance(value, str)) or key.startswith("fastsgd."):
            raise ValueError(f"metadata must map strings to strings, no key beginning with 'fastsgd.'; got {key!r}")
        properties[key] = value
    return properties


def _answer(graph: Graph, answers: Answers, outputs: str, dtype) -> None:
    """Adds the graph's outputs: labels and probabilities or decision values, or a prediction, of this dtype."""
    count = answers.net.sizes[-1]

    def flat(found: str) -> str:
        return graph("Squeeze", found, graph.constant("columns", np.array([1])))

    if not answers.classes:
        if count == 1:
            return graph.give("prediction", flat(outputs), dtype)
        return graph.give("prediction", outputs, dtype, count)
    if answers.threshold is None:
        number = graph("ArgMax", outputs, axis=1, keepdims=0)
    else:
        number = graph("Cast", graph("Greater", outputs, answers.threshold), to=7)          # int64
    if answers.share == "in order":
        number = graph("ReduceSum", number, graph.constant("columns", np.array([1])))
    if answers.several:
        graph.give("label", number, np.int64, count)
    else:
        classes = class_array(answers.classes)
        number = number if answers.threshold is None else flat(number)
        graph.give("label", graph("Gather", graph.constant("classes", classes), number), classes.dtype)
    if answers.share is not None:
        return graph.give("probabilities", _probabilities(graph, answers, outputs), dtype, answers.columns)
    if count == 1:
        return graph.give("scores", flat(outputs), dtype)
    return graph.give("scores", outputs, dtype, count)


def _probabilities(graph: Graph, answers: Answers, outputs: str) -> str:
    """Of all classes, of a network's outputs."""
    if answers.share == "softmax":
        return activate(graph, "softmax", outputs)
    count, each = answers.net.sizes[-1], outputs
    if answers.share == "in order":             # 1, the outputs from the largest on, 0: their differences
        falling = in_order(graph, outputs, count, descending=True)
        differences = np.eye(count, count + 1, 1, graph.dtype) - np.eye(count, count + 1, 0, graph.dtype)
        return graph("Gemm", falling, graph.constant("differences", differences),
                     graph.constant("first", np.eye(1, count + 1, 0, graph.dtype)))
    if answers.share == "logistic" and count > 1:       # of logarithms, none of which is rounded to that of 0
        return activate(graph, "softmax", graph("Neg", activate(graph, "softplus", graph("Neg", outputs))))
    if answers.share == "logistic":             # not Sigmoid, whose float32 loses the digits of what is nearly 0
        each = graph("Div", 1.0, graph("Add", graph("Exp", graph("Neg", outputs)), 1.0))
    elif answers.share == "clipped":
        each = graph("Mul", graph("Add", graph("Max", graph("Min", outputs, 1.0), -1.0), 1.0), 0.5)
    if count == 1:
        return graph("Concat", graph("Sub", 1.0, each), each, axis=1)
    if answers.share == "outputs":
        return each
    total = graph("ReduceSum", each, graph.constant("columns", np.array([1])))
    shared = graph("Div", each, total)
    return graph("Where", graph("Equal", total, 0.0), 1 / count, shared)    # as likely where all say no
