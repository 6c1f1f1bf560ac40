"""A network as an ONNX graph of operations that runtimes have had since 2020.

onnxruntime has no float64 kernels for Elu, Erf and Softplus, so float64 networks compose them from others, stably.
"""
from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import Any

import numpy as np

from fastsgd.files import write_atomically
from fastsgd.interop.layers import third_party
from fastsgd.interop.onnx_composed import COMPOSED
from fastsgd.network import Network

OPSET, IR_VERSION = 13, 7           # ONNX 1.8
LARGEST_FILE = 2**31 - 2**20        # what Protocol Buffers take, and room for all but the parameters


def to_onnx(net: Network, path=None) -> Any:
    """The network as an ``onnx.ModelProto``; where a path is given, it is also written there, whole or not at all.

    Input "X" (rows, inputs) takes what ``net.predict`` takes, before any scaling; "output" (rows, outputs) is what it
    returns. Both have the network's dtype, any number of rows. The model's ``metadata_props`` hold the loss and
    ``net.metadata``, so that :func:`from_onnx` gives an equal network.

    Raises ImportError without the package onnx, ValueError for a network beyond ONNX's 2 GiB or metadata that is not
    text, and OSError where the file cannot be written.

    >>> import fastsgd
    >>> model = to_onnx(fastsgd.Network([4, 8, 3], seed=0))
    >>> [node.op_type for node in model.graph.node]
    ['Gemm', 'Relu', 'Gemm', 'Softmax']
    """
    onnx = third_party("onnx")
    architecture, params = net.architecture, net.params
    if params.nbytes > LARGEST_FILE:
        raise ValueError(f"the network's parameters take {params.nbytes:,} bytes; an ONNX file holds at most "
                         f"{LARGEST_FILE:,}")
    properties = {"fastsgd.architecture": json.dumps(asdict(architecture))}
    for key, value in net.metadata.items():
        if not (isinstance(key, str) and isinstance(value, str)) or key.startswith("fastsgd."):
            raise ValueError(f"metadata must map strings to strings, no key beginning with 'fastsgd.'; got {key!r}")
        properties[key] = value

    graph = _Graph(onnx.helper, net.dtype)
    for name, offset, shape in architecture.tensors:
        graph.initializers[name] = params[offset:offset + math.prod(shape)].reshape(shape)
    a = "X"
    if architecture.input_scale != (1.0,):
        a = graph("Mul", a, graph.initializer("input_scale", architecture.input_scale))
    if architecture.input_offset != (0.0,):
        a = graph("Add", a, graph.initializer("input_offset", architecture.input_offset))
    for layer, name in enumerate(architecture.activations):
        z = graph("Gemm", a, f"weights.{layer}", f"biases.{layer}")
        a = _activate(graph, name, z)
    if architecture.scales_output:
        for operation, name in (("Mul", "output_scale"), ("Add", "output_offset")):
            values = np.broadcast_to(getattr(architecture, name), net.sizes[-1:])
            a = graph(operation, a, graph.initializer(name, values))
    graph.nodes[-1].output[0] = "output"

    kind = onnx.helper.np_dtype_to_tensor_dtype(net.dtype)
    ends = [onnx.helper.make_tensor_value_info(name, kind, ["rows", columns])
            for name, columns in (("X", net.sizes[0]), ("output", net.sizes[-1]))]
    tensors = [onnx.numpy_helper.from_array(array, name) for name, array in graph.initializers.items()]
    model = onnx.helper.make_model(
        onnx.helper.make_graph(graph.nodes, "fastsgd", ends[:1], ends[1:], tensors), producer_name="fastsgd",
        doc_string=repr(net), ir_version=IR_VERSION, opset_imports=[onnx.helper.make_opsetid("", OPSET)])
    onnx.helper.set_model_props(model, properties)
    if path is not None:
        write_atomically(path, [model.SerializeToString()])
    return model


class _Graph:
    """Nodes and initializers; called, it adds a node and returns the name of what the node gives."""

    def __init__(self, helper, dtype: np.dtype):
        self.helper = helper
        self.dtype = dtype
        self.nodes: list = []
        self.initializers: dict[str, np.ndarray] = {}

    def __call__(self, operation: str, *inputs: str | float, **attributes) -> str:
        names = [value if isinstance(value, str) else self.initializer(f"{value:.17g}", value) for value in inputs]
        name = f"{operation}.{len(self.nodes)}"
        self.nodes.append(self.helper.make_node(operation, names, [name], name=name, **attributes))
        return name

    def initializer(self, name: str, values) -> str:
        self.initializers[name] = np.array(values, self.dtype)
        return name


def _activate(graph: _Graph, name: str, z: str) -> str:
    """Adds the activation of that name to the graph."""
    if graph.dtype == np.float64 and name in COMPOSED:
        return COMPOSED[name](graph, z)
    return {
        "identity": lambda: z,
        "logistic": lambda: graph("Sigmoid", z),
        "tanh": lambda: graph("Tanh", z),
        "relu": lambda: graph("Relu", z),
        "leaky_relu": lambda: graph("LeakyRelu", z, alpha=0.01),
        "elu": lambda: graph("Elu", z),
        # As PyTorch writes it; the operation Gelu is too young (2023).
        "gelu": lambda: graph("Mul", graph("Mul", z, graph("Add", graph("Erf", graph("Div", z, math.sqrt(2))), 1.0)),
                              0.5),
        "silu": lambda: graph("Mul", z, graph("Sigmoid", z)),
        "softplus": lambda: graph("Softplus", z),
        "softmax": lambda: graph("Softmax", z, axis=1),
        "exp": lambda: graph("Exp", z),
    }[name]()
