"""Follows rows through the ONNX operations that a chain of dense layers consists of.

Rows are described, not computed: where they began, which is a layer's x W + b, and the function applied since. What
that function is called shows when the next layer begins, whether it was written as one operation or as several.
"""
from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from fastsgd.interop import elementwise
from fastsgd.interop.elementwise import Function, Z, activation_of
from fastsgd.interop.layers import Layer
from fastsgd.model.architecture import ACTIVATIONS

UNCHANGED = ("Identity", "Dropout", "Cast", "Flatten", "Reshape")
OPERATIONS = ("Gemm", "MatMul", *elementwise.OPERATIONS, "BatchNormalization", "Softmax", "TopK", *UNCHANGED)
FLOAT, DOUBLE = 1, 11           # of onnx.TensorProto.DataType


@dataclass(frozen=True, eq=False)
class Base:
    """Where a function of the rows begins: at x * scale + offset, x being the last layer's x W + b or the input."""

    layers: tuple[Layer, ...] = ()
    scale: np.ndarray = field(default_factory=lambda: np.ones(1))
    offset: np.ndarray = field(default_factory=lambda: np.zeros(1))
    input: tuple[np.ndarray, np.ndarray] | None = None      # the input's scale and offset, where there are layers
    biased: bool = False            # whether the last layer has its biases already
    width: int | None = None        # columns, where known
    flat: bool = True               # whether it is (rows, columns)
    complete: bool = False          # whether the last layer has an activation of whole rows: a unit may follow


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows within a graph: where they began, and the function applied since, None after Softmax."""

    base: Base
    function: Function | None = Z
    where: str = "the input"        # the node that they come from

    @property
    def plain(self) -> bool:
        """Whether there is no function yet."""
        return self.function == Z

    def settled(self) -> Base:
        """The base with the last layer's activation, and what comes before that in its weights and biases.

        Scale and offset are what is left to be done: none of it after an activation.
        """
        base = self.base
        line = None if self.function is None else self.function.line
        if line is not None:
            return replace(base, scale=base.scale * line[0], offset=base.offset * line[0] + line[1])
        if base.complete:
            raise ValueError(f"nothing but a scale and an offset may follow {base.layers[-1].activation}, which "
                             f"{self.where} does")
        name = "softmax" if self.function is None else activation_of(self.function)
        if name is None:
            raise ValueError(f"what {self.where} gives is none of fastsgd's activations: {', '.join(ACTIVATIONS)}, "
                             "and softmax and exp after the last layer")
        return _activated(base, name, self.where)


def _activated(base: Base, name: str, where: str) -> Base:
    """The base with an activation of its last layer, which takes in scale and offset."""
    if not base.layers:
        raise ValueError(f"{where} comes before the first layer, where only a scale and an offset are allowed")
    last = scaled(base.layers[-1], base.scale, base.offset)
    return replace(base, layers=(*base.layers[:-1], replace(last, activation=name)), scale=np.ones(1),
                   offset=np.zeros(1))


def scaled(layer: Layer, scale: np.ndarray, offset: np.ndarray) -> Layer:
    """The layer whose outputs are these times scale plus offset; it has no activation."""
    if (scale == 1).all() and not offset.any():
        return layer
    W, b = (layer.W * scale).astype(layer.W.dtype), (layer.b * scale + offset).astype(layer.b.dtype)
    if not (np.isfinite(W).all() and np.isfinite(b).all()):
        raise ValueError(f"a layer scaled by {abs(scale).max():g} has weights that are not finite")
    return replace(layer, W=W, b=b)


def follow(operation: str, operands: list, attributes: dict[str, Any], where: str) -> Rows:
    """The rows after an operation. Operands are Rows, arrays for constants, or None.

    Raises ValueError or TypeError for what a chain of dense layers does not do.
    """
    if operation == "Where" and len(operands) == 3 and isinstance(operands[0], np.ndarray) and operands[0].size > 1:
        return _mean_and_deviation(operands[0], operands[1], operands[2], where)
    if operation in elementwise.OPERATIONS:
        moved = _moved(operation, *operands) if len(operands) == 2 else None
        return moved or _apply(operation, operands, attributes, where)
    rows, *others = operands
    if not isinstance(rows, Rows) or any(isinstance(other, Rows) for other in others):
        raise ValueError("the rows must be its first operand, and all others constants")
    if operation == "Gemm":
        return _gemm(rows, *others, **attributes)
    if operation == "MatMul":
        return _layer(rows, *others, **attributes)
    if operation == "BatchNormalization":
        return _normalised(rows, *others, **attributes)
    if operation == "Softmax":
        if attributes.get("axis", 1) not in (1, -1) or not rows.plain:
            raise ValueError("it must follow a layer, over the columns (axis 1 or -1)")
        return Rows(rows.base, None, where)
    if operation == "TopK":
        if not rows.plain or attributes.get("axis", -1) not in (1, -1) or attributes.get("largest", 1) or \
                others[0].tolist() != [rows.base.width]:
            raise ValueError("it must follow a layer and sort all of its columns (axis 1 or -1, largest 0)")
        return _complete(rows.base, "sorted", where)
    if operation not in UNCHANGED:
        raise ValueError("it does not leave the rows as they are")
    return replace(rows, base=_unchanged(operation, rows.base, others, attributes))


def _complete(base: Base, name: str, where: str) -> Rows:
    """The rows after an activation of whole rows."""
    if base.complete:
        raise ValueError(f"{base.layers[-1].activation} must come last")
    return Rows(replace(_activated(base, name, where), biased=True, complete=True), Z, where)


def _mean_and_deviation(chosen: np.ndarray, rows, others, where: str) -> Rows:
    """The rows after Where(means, z, exp(z))."""
    if not (isinstance(rows, Rows) and isinstance(others, Rows) and rows.base is others.base and rows.plain and
            others.function == elementwise.exp(Z) and rows.base.width and not rows.base.width % 2
            and np.array_equal(chosen.reshape(-1), np.arange(rows.base.width) < rows.base.width // 2)):
        raise ValueError("of constant conditions only that of means and deviations can be read")
    return _complete(rows.base, "mean_and_deviation", where)


def _apply(operation: str, operands: list, attributes: dict[str, Any], where: str) -> Rows:
    """An operation on every element by itself."""
    base = next(operand.base for operand in operands if isinstance(operand, Rows))
    functions: list[Function | None] = []
    for operand in operands:
        if isinstance(operand, Rows):
            if operand.base is not base:
                raise ValueError("its operands come from different layers, but a chain has no branches")
            if operand.function is None:
                raise ValueError("nothing but the end may follow a Softmax")
            functions.append(operand.function)
        elif operand is None:                   # Clip has only one of its limits
            functions.append(None)
        elif operand.size == 1 and operand.ndim <= 2:
            functions.append(elementwise.number(operand.item()))
        else:
            raise ValueError(f"a constant of shape {operand.shape} is not possible here")
    return Rows(base, elementwise.OPERATIONS[operation](*functions, **attributes), where)


def _moved(operation: str, left, right) -> Rows | None:
    """The rows after a constant joined the scale and offset or the biases, where that is what it does."""
    rows, constant, rows_first = (left, right, True) if isinstance(left, Rows) else (right, left, False)
    if not (isinstance(rows, Rows) and rows.plain and isinstance(constant, np.ndarray)):
        return None
    base = rows.base
    # One number times a layer's outputs may be a part of the activation.
    if operation not in ("Add", "Sub", "Mul", "Div") or (base.layers and constant.size == 1 and
                                                         operation in ("Mul", "Div")):
        return None
    constant = _per_column(constant, base.width if base.flat else 1)
    if base.layers and not base.biased and (operation == "Add" or (operation == "Sub" and rows_first)):
        last = base.layers[-1]
        b = last.b + constant if operation == "Add" else last.b - constant
        return Rows(replace(base, layers=(*base.layers[:-1], replace(last, b=b)), biased=True))
    constant = constant.astype(float)
    scale, offset = base.scale, base.offset
    if operation == "Add":
        offset = offset + constant
    elif operation == "Mul":
        scale, offset = scale * constant, offset * constant if offset.any() else offset
    elif not rows_first:
        if operation == "Div":
            raise ValueError("the rows cannot be a divisor")
        scale, offset = -scale, constant - offset
    elif operation == "Sub":
        offset = offset - constant
    else:
        scale, offset = scale / constant, offset / constant if offset.any() else offset
    return Rows(replace(base, scale=scale, offset=offset, biased=True))


def _layer(rows: Rows, W: np.ndarray, b: np.ndarray | None = None) -> Rows:
    base = rows.settled()
    if base.complete:
        raise ValueError(f"{base.layers[-1].activation} must come last")
    if not base.flat:
        raise ValueError("the network's input must be (rows, columns), or be made so by a Flatten")
    if W.ndim != 2 or not W.size or base.width not in (None, len(W)):
        raise ValueError(f"its weights have shape {W.shape}; ({base.width or 'inputs'}, outputs) is allowed")
    outputs, layers, given = W.shape[1], base.layers, base.input
    if layers:
        layers = (*layers[:-1], scaled(layers[-1], base.scale, base.offset))
    else:
        given = base.scale, base.offset
    biases = np.zeros(outputs, W.dtype) if b is None else np.broadcast_to(_per_column(b, outputs), (outputs,))
    return Rows(Base((*layers, Layer(W, biases)), input=given, biased=b is not None, width=outputs))


def _gemm(rows: Rows, W: np.ndarray, C: np.ndarray | None = None, *, alpha=1.0, beta=1.0, transA=0, transB=0) -> Rows:
    if transA:
        raise ValueError("transA must be 0")
    if not (isinstance(alpha, int | float) and isinstance(beta, int | float)):
        raise ValueError("alpha and beta must be numbers")
    W = W.T if transB else W
    return _layer(rows, W * W.dtype.type(alpha), None if C is None else C * C.dtype.type(beta))


def _normalised(rows: Rows, gain: np.ndarray, shift: np.ndarray, mean: np.ndarray, variance: np.ndarray, *,
                epsilon=1e-5, training_mode=0, **unused) -> Rows:
    """The rows after a batch norm, whose map of each column joins the scale and offset."""
    base = rows.base
    if training_mode:
        raise ValueError("it is in training mode; export the model for inference")
    if not (rows.plain and base.flat) or base.complete:
        raise ValueError("it must follow a layer that has no activation, or the input")
    figures = [_per_column(array, base.width).astype(float) for array in (gain, shift, mean, variance)]
    factor = figures[0] / np.sqrt(figures[3] + epsilon)
    offset = (base.offset - figures[2]) * factor + figures[1]
    return Rows(replace(base, scale=base.scale * factor, offset=offset, biased=True))


def _unchanged(operation: str, base: Base, others: list, attributes: dict[str, Any]) -> Base:
    """The base after an operation that must leave every row as it is."""
    if operation == "Dropout" and len(others) > 1 and others[1] is not None and (others[1].size != 1 or others[1]):
        raise ValueError("it is in training mode; export the model for inference")
    if operation == "Cast" and attributes["to"] not in (FLOAT, DOUBLE):
        raise ValueError("only a cast to float or double leaves the rows as they are")
    if operation == "Flatten" and attributes.get("axis", 1) != 1:
        raise ValueError("axis must be 1")
    if operation == "Reshape":
        rows, columns = others[0].tolist() if others[0].shape == (2,) else (1, 0)
        if columns not in {0: (-1, base.width), -1: (base.width,)}.get(rows, ()):
            raise ValueError("it must make (rows, columns) of the input, by the shape (0, -1) or (-1, columns)")
    return base if base.flat or operation not in ("Flatten", "Reshape") else replace(base, flat=True)


def _per_column(constant: np.ndarray, columns: int | None) -> np.ndarray:
    """A constant that meets every row alike, as one number or one per column."""
    row = constant.reshape(-1)
    if constant.ndim > 2 or constant.shape[:-1] not in ((), (1,)) or (columns and row.size not in (1, columns)):
        raise ValueError(f"a constant of shape {constant.shape} is neither one number nor one per column")
    return row
