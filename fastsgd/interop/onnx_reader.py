"""A network from an ONNX graph that is a chain of dense layers.

Nothing in a file is executed, and nothing outside it is read.
"""
from __future__ import annotations

import importlib
import json
import math
import os
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from fastsgd.files.atomic import require_regular
from fastsgd.files.bounded_json import ROOM, parse_json
from fastsgd.interop.layers import network_of, third_party, unit_of_targets
from fastsgd.interop.onnx_rows import OPERATIONS, Base, Rows, follow, scaled
from fastsgd.interop.onnx_writer import to_onnx
from fastsgd.losses import Loss, as_loss
from fastsgd.network.model_file import architecture_of
from fastsgd.network.network import Network

OLDEST_OPSET = 7            # since then operands are broadcast like NumPy's
DOMAINS = ("", "ai.onnx")
CONSTANTS = ("Constant", "Identity", "Cast", "Transpose")
MAX_FILE_BYTES = 2**31 - 1    # bytes that a protocol buffer may have
MAX_COPIES = 4             # of a file's bytes, beside ROOM, in all arrays that its nodes make


def from_onnx(path_or_model, loss: str | Loss | None = None) -> Network:
    """The network that an ONNX graph computes; float32 or float64, like the graph's weights.

    The graph may be what :func:`to_onnx` wrote, of any network, or any chain of Gemm, or MatMul and Add, with fastsgd's
    activations between them, in one operation or several. Before the first layer the rows may be scaled by constants
    (Mul, Add, Sub, Div), and so may the outputs of a layer, whose weights and biases take that in (but a network's own
    ``output_scale`` comes back as that). Identity, Dropout, Cast, and a Flatten or Reshape that keeps the rows, change
    nothing.

    Parameters
    ----------
    path_or_model : path or onnx.ModelProto
    loss : str or Loss, optional
        The network's loss. Without it the last activation decides: softmax cross_entropy, logistic
        binary_cross_entropy, exp poisson, tanh and none squared_error. A graph that ends without an activation is
        taken for what the loss' own output activation is applied to: with loss="cross_entropy", ``predict`` gives the
        softmax of what the graph gives.

    Raises
    ------
    ValueError
        For anything else, naming the node; ImportError without the package onnx.

    Examples
    --------
    >>> import fastsgd
    >>> model = fastsgd.interop.to_onnx(fastsgd.Network([4, 8, 3], "gelu", "huber", seed=0))
    >>> from_onnx(model)
    Network([4, 8, 3], activation='gelu', loss='huber', dtype='float32')
    """
    onnx = third_party("onnx")
    if isinstance(path_or_model, onnx.ModelProto):
        return _network(onnx, path_or_model, loss)
    if not isinstance(path_or_model, str | bytes | os.PathLike):
        raise TypeError(f"path_or_model must be a path or an onnx.ModelProto, got {type(path_or_model).__name__}")
    path = os.fsdecode(path_or_model)
    require_regular(path)
    try:
        if (size := os.path.getsize(path)) > MAX_FILE_BYTES:
            raise ValueError(f"it has {size:,} bytes; an ONNX file has less than 2 GiB")
        try:
            with open(path, "rb") as file:
                model = onnx.ModelProto.FromString(file.read())
        except importlib.import_module("google.protobuf.message").DecodeError as error:
            raise ValueError(f"it is not an ONNX file ({error})") from None
        return _network(onnx, model, loss)
    except ValueError as error:
        raise ValueError(f"{path}: {error!s:.600}") from None


def _network(onnx, model, loss: str | Loss | None) -> Network:
    properties = {entry.key: entry.value for entry in model.metadata_props}
    if not all(isinstance(text, str) for entry in properties.items() for text in entry):
        raise ValueError("it has metadata that is not text")            # what is not UTF-8 comes as bytes
    if estimator := properties.get("fastsgd.estimator"):
        raise ValueError(f"it says what an estimator does, an {estimator:.40}; only networks come back: write the "
                         "estimator's network_")
    if "fastsgd.columns" in properties:
        raise ValueError("it takes a table's columns; only networks come back: write the network without columns")
    described = properties.pop("fastsgd.architecture", None)
    whole = properties.pop("fastsgd.network", None)
    with np.errstate(all="ignore"):
        if whole is not None and loss is None:
            return _rebuilt(onnx, model, whole, properties)
        base = _rows(onnx, model).settled()
        if described is None or loss is not None:
            layers, unit = base.layers, {}
            if base.complete:
                unit = unit_of_targets(layers[-1].activation, base.scale, base.offset)
            else:
                layers = (*layers[:-1], *(scaled(layer, base.scale, base.offset) for layer in layers[-1:]))
            scale, offset = base.input or (base.scale, base.offset)
            net = network_of(layers, loss, input_scale=scale, input_offset=offset, **unit)
        else:
            net = _described(base, described)
    net.metadata.update(_own(properties))
    return net


def _own(properties: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in properties.items() if not key.startswith("fastsgd.")}


def _rebuilt(onnx, model, text: str, properties: dict[str, str]) -> Network:
    """The network whose graph this is to the last node; layers other than dense ones are not told from their nodes."""
    try:
        arrays = {tensor.name: _array(onnx, tensor) for tensor in model.graph.initializer}
        architecture = architecture_of(parse_json(text), {name: array.shape for name, array in arrays.items()})
        params = np.empty(architecture.parameters, np.result_type(*(arrays[t.name] for t in architecture.tensors)))
        for tensor in architecture.tensors:
            tensor.of(params)[:] = arrays[tensor.name].reshape(tensor.shape)
        net = Network._from_parts(architecture, params, _own(properties))
        if to_onnx(net).graph != model.graph:
            raise ValueError("it is another graph")
    except (KeyError, IndexError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ValueError(f"its fastsgd.network does not describe its graph: {error}; networks with layers other than "
                         "dense ones are read as to_onnx wrote them") from None
    return net


def _described(base: Base, text: str) -> Network:
    """The network of these layers with what only our own metadata knows: the loss, and the scale in full precision."""
    try:
        fields = parse_json(text)
        numbers = fields["loss_parameters"]
        loss = type(as_loss(fields["loss"])).from_parameters(numbers)
        fields = {"output_scale": [1.0], "output_offset": [0.0], "ntk": False, **fields}     # which older files lack
        net = network_of(base.layers, loss, input_scale=fields["input_scale"], input_offset=fields["input_offset"],
                         output_scale=fields["output_scale"], output_offset=fields["output_offset"])
        if fields["ntk"] is True:
            net._change(replace(net.architecture, ntk=True))
        if json.loads(json.dumps(asdict(net.architecture))) != fields:
            raise ValueError(f"the graph is {net}")
        scale, offset = base.input or (base.scale, base.offset)
        unit = net.architecture.unit_of_outputs
        for what, found, expected in (("input", scale, net.input_scale), ("input", offset, net.input_offset),
                                      ("output", base.scale, unit[0]), ("output", base.offset, unit[1])):
            if not np.all(np.asarray(found, net.dtype) == np.asarray(expected, net.dtype)):
                raise ValueError(f"the graph scales its {what} otherwise")
    except (KeyError, IndexError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"its fastsgd.architecture does not describe its graph: {error}; with loss=... the graph "
                         "alone is read") from None
    return net


def _rows(onnx, model) -> Rows:
    """The rows that the graph gives, followed node by node from its input."""
    graph = model.graph
    opset = max((entry.version for entry in model.opset_import if entry.domain in DOMAINS), default=0)
    if opset < OLDEST_OPSET:
        raise ValueError(f"its opset is {opset}; {OLDEST_OPSET} and later can be read")
    if graph.sparse_initializer:
        raise ValueError("it has sparse initializers; only dense ones can be read")
    known: dict[str, Rows | np.ndarray] = {tensor.name: _array(onnx, tensor) for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in known]
    if len(inputs) != 1 or len(graph.output) != 1:
        raise ValueError(f"it has {len(inputs)} inputs and {len(graph.output)} outputs; one of each is allowed")
    known[inputs[0].name] = Rows(_input(inputs[0].type.tensor_type))
    room = MAX_COPIES * model.ByteSize() + ROOM
    for node in graph.node:
        where = f"node {node.name!r} ({node.op_type})"
        if node.domain not in DOMAINS:
            raise ValueError(f"{where} is of the domain {node.domain!r}; only ONNX's own operations can be read")
        if node.op_type not in (*OPERATIONS, *CONSTANTS):
            raise ValueError(f"{where} is not part of a chain of dense layers; allowed are "
                             f"{', '.join((*OPERATIONS, *CONSTANTS))}")
        missing = [name for name in node.input if name and name not in known]
        if missing or not node.output:
            raise ValueError(f"{where} uses {missing}, which nothing before it gives")
        operands = [known[name] if name else None for name in node.input]
        found: Rows | np.ndarray
        try:
            attributes = {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}
            if any(isinstance(operand, Rows) for operand in operands):
                found = follow(node.op_type, operands, attributes, where)
            else:
                found = _constant(onnx, node.op_type, operands, attributes)
        except (AttributeError, LookupError, TypeError, ValueError, ArithmeticError) as error:
            raise ValueError(f"{where}: {error}") from None
        room -= _bytes_made(found, operands)
        if room < 0:
            raise ValueError(f"{where}: its nodes make arrays of more than {MAX_COPIES} times the file's size")
        known[node.output[0]] = found
    rows = known.get(graph.output[0].name)
    if not isinstance(rows, Rows):
        raise ValueError(f"its output {graph.output[0].name!r} does not depend on its input")
    return rows


def _bytes_made(found: Rows | np.ndarray, operands: list) -> int:
    """Those of the arrays that a node's result adds to its operands; shared weights count for each layer."""
    if isinstance(found, np.ndarray):
        return found.nbytes
    before = next(operand.base for operand in operands if isinstance(operand, Rows))
    if found.base is before:
        return 0
    weights = sum(layer.W.nbytes for layer in found.base.layers[len(before.layers):])
    return weights + sum(layer.b.nbytes for layer in found.base.layers[-1:]) + (
        found.base.scale.nbytes + found.base.offset.nbytes)


def _input(kind) -> Base:
    if not kind.HasField("shape"):
        return Base()
    columns = [entry.dim_value for entry in kind.shape.dim[1:]]         # 0 where unknown
    return Base(width=math.prod(columns) or None, flat=len(columns) == 1)


def _constant(onnx, operation: str, operands: list, attributes: dict[str, Any]) -> np.ndarray:
    """What an operation without rows gives."""
    if operation == "Constant":
        (kind, value), = attributes.items()
        if kind == "value":
            return _array(onnx, value)
        if kind in ("value_float", "value_floats"):
            return np.array(value, np.float32)
        if kind in ("value_int", "value_ints"):
            return np.array(value, np.int64)
    elif operation == "Identity":
        return operands[0]
    elif operation == "Transpose":
        return np.transpose(operands[0], attributes.get("perm"))
    elif operation == "Cast":
        return operands[0].astype(onnx.helper.tensor_dtype_to_np_dtype(attributes["to"]))
    raise ValueError(f"it does not act on the rows; of constants only {', '.join(CONSTANTS)} can be read")


def _array(onnx, tensor) -> np.ndarray:
    """The array of a tensor that lies in the file itself and is as large as it says."""
    kinds = onnx.TensorProto
    if tensor.data_location == kinds.EXTERNAL or tensor.external_data:
        raise ValueError(f"tensor {tensor.name!r} lies outside the file; save the model with its data inside")
    if tensor.data_type not in (kinds.FLOAT, kinds.DOUBLE, kinds.INT32, kinds.INT64, kinds.BOOL):
        raise ValueError(f"tensor {tensor.name!r} has data type {tensor.data_type}; allowed are float and double")
    try:
        array = onnx.numpy_helper.to_array(tensor)
        if array.shape != tuple(tensor.dims):
            raise ValueError(f"it holds {array.shape}")
    except (TypeError, ValueError) as error:
        raise ValueError(f"tensor {tensor.name!r} does not have the shape {list(tensor.dims)} it claims: {error}") \
            from None
    return array
