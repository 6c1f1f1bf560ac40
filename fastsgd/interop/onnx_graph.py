"""Builds an ONNX graph, and the nodes of a network in it.

onnxruntime has no float64 kernels for Elu, Erf, Selu and Softplus, so float64 networks compose them from others,
stably.
"""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fastsgd.interop.layers import third_party
from fastsgd.interop.onnx_columns import features
from fastsgd.interop.onnx_composed import COMPOSED
from fastsgd.network.network import Network


class Graph:
    """Nodes, constants, inputs and outputs; called, it adds a node and returns the name of what the node gives."""

    def __init__(self, dtype: np.dtype):
        self.helper = third_party("onnx").helper
        self.dtype = dtype
        self.nodes: list = []
        self.constants: dict[str, np.ndarray] = {}
        self.inputs: list = []
        self.outputs: list = []
        self.taken: set[str] = set()            # names that only the caller may give
        self.domains: set[str] = {""}

    def __call__(self, operation: str, *inputs: str | float, unused: int = 0, **attributes) -> str:
        names = [value if isinstance(value, str) else self.constant(f"{value:.17g}", value) for value in inputs]
        name = self._free(f"{operation}.{len(self.nodes)}")
        self.domains.add(attributes.get("domain", ""))
        outputs = [name, *(self._free(f"{name}.{i}") for i in range(1, unused + 1))]
        self.nodes.append(self.helper.make_node(operation, names, outputs, name=name, **attributes))
        return name

    def constant(self, name: str, values) -> str:
        """Arrays as they are, numbers of the graph's dtype; what the constant is called."""
        name = self._free(name)
        self.constants[name] = values if isinstance(values, np.ndarray) else np.array(values, self.dtype)
        return name

    def whole(self, *numbers: int) -> str:
        """A constant of whole numbers, (numbers,), such as axes."""
        if len(numbers) < 9:
            return self.constant(f"whole {' '.join(map(str, numbers))}", np.array(numbers, np.int64))
        return self.constant(f"whole.{len(self.constants)}", np.array(numbers, np.int64))

    def _free(self, name: str) -> str:
        while name in self.taken:
            name += "_"
        return name

    def declare(self, ends: list, name: str, dtype, *shape: int) -> str:
        """An input or output of the graph, (rows, *shape), strings for dtype object."""
        kind = (self.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)) if np.dtype(dtype).kind != "O" else
                third_party("onnx").TensorProto.STRING)
        ends.append(self.helper.make_tensor_value_info(name, kind, ["rows", *shape]))
        return name

    def give(self, name: str, found: str, dtype, *shape: int) -> None:
        """Makes what a node gives an output of this name, with _ where an input has it."""
        name = self._free(name)
        self.nodes.append(self.helper.make_node("Identity", [found], [self.declare(self.outputs, name, dtype, *shape)],
                                                name=name))


def network(graph: Graph, net: Network, rows: str) -> str:
    """Adds a network to the graph; what it makes of the rows of that name.

    Where there are members, arrays have an axis of them in front, from the first layer on that has something for each.
    """
    architecture = net.architecture
    apart = architecture.networks > 1
    first = 0 if apart else architecture.first_of_members
    tensors: list[list[str]] = [[] for _ in architecture.layers]
    for tensor in architecture.tensors:
        tensors[tensor.layer].append(graph.constant(tensor.name, tensor.of(net.params)))
    a = rows
    if architecture.input_scale != (1.0,):
        a = graph("Mul", a, graph.constant("input_scale", architecture.input_scale))
    if architecture.input_offset != (0.0,):
        a = graph("Add", a, graph.constant("input_offset", architecture.input_offset))
    axis = 1                                    # that of the columns
    received = []
    for number, (layer, own) in enumerate(zip(architecture.layers, tensors, strict=True)):
        if number == first:
            a, axis = graph("Unsqueeze", a, graph.whole(0)), 2
        received.append(a)
        if apart and layer.kind != "columns":
            own = [vectors_of_members(graph, name) for name in own]
        a = LAYERS[layer.kind](graph, layer, a, own, axis)
        if number in architecture.skips:
            a = graph("Add", a, received[architecture.skips[number]])
    if architecture.scales_output:
        scale, offset = (np.broadcast_to(values, net.sizes[-1:]).astype(graph.dtype)
                         for values in architecture.unit_of_outputs)
        a = graph("Mul", a, graph.constant("output_scale", scale))
        a = graph("Add", a, graph.constant("output_offset", offset))
    return graph("ReduceMean", a, axes=[0], keepdims=0) if axis == 2 else a


def vectors_of_members(graph: Graph, name: str) -> str:
    """A constant (members, columns) as (members, 1, columns), for rows of all; others as they are."""
    return graph("Unsqueeze", name, graph.whole(1)) if graph.constants[name].ndim == 2 else name


def _dense(graph: Graph, layer: Any, x: str, own: list[str], axis: int) -> str:
    W, b = own
    z = graph("Gemm", x, W, b) if axis == 1 else graph("Add", graph("MatMul", x, W), b)
    return activate(graph, layer.activation, z, layer.outputs, axis)


def _adapted_dense(graph: Graph, layer: Any, x: str, own: list[str], axis: int) -> str:
    W, *rest = own
    r, *rest = (vectors_of_members(graph, name) for name in rest)
    z = graph("MatMul", graph("Mul", x, r), W)
    if layer.adapts_outputs:
        z = graph("Mul", z, rest[0])
    return activate(graph, layer.activation, graph("Add", z, rest[-1]), layer.outputs, axis)


def _member_dense(graph: Graph, layer: Any, x: str, own: list[str], axis: int) -> str:
    return _dense(graph, layer, x, [own[0], vectors_of_members(graph, own[1])], axis)


def _parametric_activation(graph: Graph, layer: Any, x: str, own: list[str], axis: int) -> str:
    return graph("Add", x, graph("Mul", graph("Sub", activate(graph, layer.function, x), x), own[0]))


def _layer_norm(graph: Graph, layer: Any, x: str, own: list[str], axis: int) -> str:
    """The operator LayerNormalization exists since opset 17."""
    gain, shift = own
    centred = graph("Sub", x, graph("ReduceMean", x, axes=[axis]))
    variance = graph("ReduceMean", graph("Mul", centred, centred), axes=[axis])
    normal = graph("Div", centred, graph("Sqrt", graph("Add", variance, layer.epsilon)))
    return graph("Add", graph("Mul", normal, gain), shift)


def _batch_norm(graph: Graph, layer: Any, x: str, own: list[str], axis: int) -> str:
    gain, shift, mean, variance = own
    normal = graph("Div", graph("Sub", x, mean), graph("Sqrt", graph("Add", variance, layer.epsilon)))
    return graph("Add", graph("Mul", normal, gain), shift)


LAYERS: dict[str, Callable[..., str]] = {       # of the graph, the layer, what it receives, its tensors, and the axis
    "columns": features,
    "dense": _dense,
    "adapted_dense": _adapted_dense,
    "member_dense": _member_dense,
    "scale": lambda graph, layer, x, own, axis: graph("Mul", x, *own),
    "parametric_activation": _parametric_activation,
    "layer_norm": _layer_norm,
    "batch_norm": _batch_norm,
    "add": lambda graph, layer, x, own, axis: x,
}


def activate(graph: Graph, name: str, z: str, outputs: int = 1, axis: int = 1) -> str:
    """Adds the activation of that name to the graph; those of whole rows need to know the outputs and their axis."""
    if graph.dtype == np.float64 and name in COMPOSED:
        return COMPOSED[name](graph, z)
    return {
        "identity": lambda: z,
        "logistic": lambda: graph("Sigmoid", z),
        "tanh": lambda: graph("Tanh", z),
        "relu": lambda: graph("Relu", z),
        "leaky_relu": lambda: graph("LeakyRelu", z, alpha=0.01),
        "elu": lambda: graph("Elu", z),
        # As PyTorch writes it; the operator Gelu exists since opset 20 (2023) only.
        "gelu": lambda: graph("Mul", graph("Mul", z, graph("Add", graph("Erf", graph("Div", z, math.sqrt(2))), 1.0)),
                              0.5),
        "silu": lambda: graph("Mul", z, graph("Sigmoid", z)),
        "softplus": lambda: graph("Softplus", z),
        "selu": lambda: graph("Selu", z, alpha=1.6732632423543772, gamma=1.0507009873554805),
        # The operators Mish and HardSwish exist since opsets 18 and 14.
        "mish": lambda: graph("Mul", z, graph("Tanh", activate(graph, "softplus", z))),
        "hard_sigmoid": lambda: graph("Min", graph("Relu", graph("Add", graph("Mul", z, 1 / 6), 0.5)), 1.0),
        "hard_swish": lambda: graph("Mul", z, activate(graph, "hard_sigmoid", z)),
        "hard_tanh": lambda: graph("Max", graph("Min", z, 1.0), -1.0),
        "relu6": lambda: graph("Min", graph("Relu", z), 6.0),
        "exp": lambda: graph("Exp", z),
        "softmax": lambda: graph("Softmax", z, axis=axis),
        "sorted": lambda: in_order(graph, z, outputs, descending=False, axis=axis),
        "mean_and_deviation": lambda: graph("Where", graph.constant("means", means(outputs)), z, graph("Exp", z)),
    }[name]()


def in_order(graph: Graph, rows: str, columns: int, descending: bool, axis: int = 1) -> str:
    """Adds what sorts each row of so many columns."""
    return graph("TopK", rows, graph.constant("all", np.array([columns])), axis=axis, largest=int(descending), unused=1)


def means(outputs: int) -> np.ndarray:
    """Which of the outputs mean_and_deviation are means, (1, outputs)."""
    return np.arange(outputs)[np.newaxis] < outputs // 2
