"""What a network is without its parameters: its layers, the loss, and where each tensor lies."""
from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import pairwise
from numbers import Integral
from typing import Any, Self

import numpy as np

from fastsgd.arguments import check_whole, is_number
from fastsgd.cached import cached_property
from fastsgd.layers import (
    ACTIVATIONS,
    SHARINGS,
    Add,
    Layer,
    Residual,
    Tensor,
    acting,
    chain,
    flat,
    in_blocks,
    share,
)
from fastsgd.layers.between import check_activation
from fastsgd.losses import LOSSES, MAX_NUMBER, Loss, as_loss

__all__ = ["ACTIVATIONS", "Architecture"]

WITH_UNIT = ("identity", "sorted", "mean_and_deviation")       # outputs whose targets may have a unit of their own
MAX_PARAMETERS = 2**31 - 1
MAX_TOGETHER = 1024     # rows of a batch that are normalised together: FS_CHUNK_ROWS of the kernel


@dataclass(frozen=True)
class Architecture:
    """A network without its parameters: its layers and what happens around them.

    ``loss_parameters`` are those of the loss, one number per output
    (:meth:`fastsgd.losses.Loss.parameters`). The first layer receives
    ``x * input_scale + input_offset``, each one number or one per column; ``output_scale`` and ``output_offset``, each
    one number or one per column of targets, are the unit of targets and predictions.
    Several ``members`` are as many networks of these layers, one behind the other in the flat parameters, or with
    ``sharing`` one network whose layers know of its members.

    ``ntk`` is the parametrisation of the neural tangent kernel (Jacot, Gabriel and Hongler 2018, arXiv 1806.07572): a
    dense layer is x V / sqrt(inputs) + b, and the optimizer changes V. The parameters hold W = V / sqrt(inputs).
    """

    layers: tuple[Layer, ...]
    loss: str
    loss_parameters: tuple[float, ...] = field(repr=False)
    input_scale: tuple[float, ...] = (1.0,)
    input_offset: tuple[float, ...] = (0.0,)
    output_scale: tuple[float, ...] = (1.0,)
    output_offset: tuple[float, ...] = (0.0,)
    members: int = 1
    sharing: str = "none"
    ntk: bool = False

    @classmethod
    def dense(cls, sizes: Sequence[int], activations: Sequence[str], loss: str,
              loss_parameters: tuple[float, ...]) -> Self:
        """Of dense layers, with one activation each."""
        return cls(chain(sizes, activations), loss, loss_parameters)

    @classmethod
    def checked(cls, sizes, activation, loss: str | Loss, output=None, input_scale=1.0, input_offset=0.0,
                output_scale=1.0, output_offset=0.0, members=1, sharing="none", ntk=False) -> Architecture:
        """From the arguments of :class:`fastsgd.Network`; what cannot be used is refused by name."""
        sizes = _check_sizes(sizes)
        hidden = _check_activation(activation, sum(isinstance(size, int) for size in sizes) - 2)
        if isinstance(activation, str):
            hidden = _without_those_of_others(sizes, hidden)
        loss = as_loss(loss)
        output = _check_output(loss, output, sizes[-1])
        if output == "sorted" and any(b <= a for a, b in pairwise(loss.parameters(sizes[-1]))):
            raise ValueError("output 'sorted' needs quantiles that rise from output to output, got "
                             f"{list(loss.parameters(sizes[-1]))}")
        layers = chain(sizes, (*hidden, output))
        members = check_whole("members", members, least=1)
        if sharing not in SHARINGS:
            raise ValueError(f"sharing must be one of {', '.join(SHARINGS)}, got {sharing!r}")
        found = cls(share(layers, members, sharing), loss.name, loss.parameters(sizes[-1]), members=members,
                    sharing=sharing if members > 1 else "none", ntk=ntk)
        if found.parameters > MAX_PARAMETERS:
            raise ValueError(f"members: {members} make {found.parameters:,} parameters; at most {MAX_PARAMETERS:,} are "
                             "supported")
        return found.with_input(input_scale, input_offset).with_output(output_scale, output_offset)

    def with_input(self, input_scale, input_offset) -> Architecture:
        """The same but for what is done to the rows."""
        changed = replace(self, input_scale=_one_or_each("input_scale", input_scale, self.sizes[0], "column"),
                          input_offset=_one_or_each("input_offset", input_offset, self.sizes[0], "column"))
        scales, offsets = np.broadcast_arrays(changed.input_scale, changed.input_offset, np.empty(self.sizes[0]))[:2]
        for column, _ in self.layers[0].categories:
            if scales[column] != 1 or offsets[column]:
                raise ValueError(f"input_scale and input_offset must be 1 and 0 for column {column}, which holds codes "
                                 f"of categories, got {scales[column]:g} and {offsets[column]:g}")
        return changed

    def with_output(self, output_scale, output_offset) -> Architecture:
        """The same but for the units of its targets and predictions."""
        what = "output" if self.targets == self.sizes[-1] else "target"
        changed = replace(self, output_scale=_one_or_each("output_scale", output_scale, self.targets, what),
                          output_offset=_one_or_each("output_offset", output_offset, self.targets, what))
        if not min(changed.output_scale) >= 1 / MAX_NUMBER:
            raise ValueError(f"output_scale must be at least {1 / MAX_NUMBER:g}, got {min(changed.output_scale)!r}")
        if changed.scales_output and not self.takes_unit:
            allowed = [name for name, loss in LOSSES.items() if loss.targets.has_unit]
            raise ValueError(f"output_scale and output_offset are for losses of quantities ({', '.join(allowed)}) with "
                             f"the output {' or '.join(WITH_UNIT)}; this network has {self.loss} with "
                             f"{self.activations[-1]}")
        if self.activations[-1] == "sorted" and len({*changed.output_scale}) * len({*changed.output_offset}) > 1:
            raise ValueError("output_scale and output_offset must be one number each where outputs are sorted, got "
                             f"{list(changed.output_scale)} and {list(changed.output_offset)}")
        return changed

    @property
    def takes_unit(self) -> bool:
        """Whether targets may have a unit of their own."""
        return self.loss_type.targets.has_unit and self.activations[-1] in WITH_UNIT

    @property
    def unit_of_outputs(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """What outputs are multiplied by, and what is then added to them: each one number or one per output.

        >>> Architecture.checked([1, 2], "relu", "gaussian_nll", None, 1, 0, 5, 20).unit_of_outputs
        ((5.0, 5.0), (20.0, 0.0))
        """
        if self.activations[-1] != "mean_and_deviation" or not self.scales_output:
            return self.output_scale, self.output_offset
        scale, offset = (values * (self.targets // len(values)) for values in (self.output_scale, self.output_offset))
        return scale * 2, offset + (0.0,) * self.targets

    @property
    def targets(self) -> int:
        """How many columns of targets, or classes, the outputs are for."""
        return self.loss_type.targets_of(self.sizes[-1])

    @property
    def scored_targets(self) -> int:
        """How many of these columns R^2 is of, the first."""
        return 1 if self.loss_type.scores_first_output else self.targets

    @property
    def loss_type(self) -> type[Loss]:
        """The class of the loss, which has the facts of it."""
        return LOSSES[self.loss]

    @property
    def loss_function(self) -> Loss:
        """The loss with its parameters."""
        return self.loss_type.from_parameters(self.loss_parameters)

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """The columns of the input, then the outputs of each layer."""
        return (self.layers[0].inputs, *(layer.outputs for layer in self.layers))

    @cached_property
    def activations(self) -> tuple[str, ...]:
        """That of each layer."""
        return tuple(layer.activation for layer in self.layers)

    @cached_property
    def tensors(self) -> tuple[Tensor, ...]:
        """Every array within the flat parameters, one behind the other.

        >>> for tensor in Architecture.dense((3, 2), ("softmax",), "cross_entropy", (0.0, 0.0)).tensors:
        ...     print(*tensor)
        weights.0 0 (3, 2) weight 0 1 1.0
        biases.0 6 (2,) bias 0 1 1.0
        """
        found: list[Tensor] = []
        offset = 0
        for number, layer in enumerate(self.layers):
            for (name, role), shape in zip(layer.tensors, layer.shapes(), strict=True):
                own = shape if self.networks == 1 else (self.networks, *shape)
                unit = 1 / math.sqrt(layer.inputs) if self.ntk and role == "weight" else 1.0
                found.append(Tensor(f"{name}.{number}", offset, own, role, number, self.networks, unit))
                offset += math.prod(shape)
        return tuple(found)

    def arrays(self, flat: np.ndarray) -> list[list[np.ndarray]]:
        """For each layer the views of its tensors in an array that is laid out like the parameters."""
        found: list[list[np.ndarray]] = [[] for _ in self.layers]
        for tensor in self.tensors:
            found[tensor.layer].append(tensor.of(flat))
        return found

    @cached_property
    def parameters(self) -> int:
        """How many there are."""
        return sum(tensor.size for tensor in self.tensors)

    @property
    def networks(self) -> int:
        """How many there are that share nothing."""
        return self.members if self.sharing == "none" else 1

    @cached_property
    def first_of_members(self) -> int:
        """The number of the first layer that has something for each member; as many as there are if none has."""
        return next((i for i, layer in enumerate(self.layers) if hasattr(layer, "members")), len(self.layers))

    @cached_property
    def member(self) -> Architecture:
        """That of each member by itself."""
        return replace(self, members=1)

    @property
    def hidden(self) -> int:
        """How many layers but the last have units, that activations and dropout act on."""
        return sum(layer.has_units for layer in self.layers) - 1

    def for_each_layer(self, values: Sequence[Any]) -> tuple[Any, ...]:
        """Numbers for the hidden layers, or none, with 0 for layers between them.

        The number of units on which a parametric activation acts is that layer's.
        """
        found = [0.0] * (len(self.layers) - 1) if values else []
        units = [number for number, layer in enumerate(self.layers[:-1]) if layer.has_units]
        for number, value in zip(units, values, strict=bool(values)):
            found[acting(self.layers, number)] = value
        return tuple(found)

    @cached_property
    def skips(self) -> dict[int, int]:
        """For each layer that ends a block the number of the block's first, whose input it adds."""
        return {number: number - layer.layers for number, layer in enumerate(self.layers) if isinstance(layer, Add)}

    @cached_property
    def normalises_batches(self) -> bool:
        """Whether in training the rows of a batch depend on each other."""
        return any(layer.kind == "batch_norm" for layer in self.layers)

    @staticmethod
    def rows_together(batch_size: int) -> int:
        """How many rows of a batch of so many are normalised together: at most 1,024, and as many in each part.

        >>> Architecture.rows_together(256), Architecture.rows_together(3000)
        (256, 1000)
        """
        return -(-batch_size // -(-batch_size // MAX_TOGETHER))

    @property
    def is_dense(self) -> bool:
        """Whether all layers are."""
        return all(layer.kind == "dense" for layer in self.layers)

    def require_one(self, what: str) -> None:
        """ValueError where there are several members."""
        if self.members > 1:
            raise ValueError(f"{what} is for one network; " + ("net.member(i) is one of this one's members" if
                             self.sharing == "none" else f"this one has members with sharing={self.sharing!r}"))

    def require_dense(self, what: str) -> None:
        """ValueError where there is another layer, or more than one member."""
        self.require_one(what)
        if not self.is_dense:
            others = sorted({layer.kind for layer in self.layers} - {"dense"})
            raise ValueError(f"{what} is for networks of dense layers; this one has {' and '.join(others)} layers too")

    @property
    def scales_input(self) -> bool:
        """Whether the rows are scaled or shifted before the first layer."""
        return self.input_scale != (1.0,) or self.input_offset != (0.0,)

    @property
    def scales_output(self) -> bool:
        """Whether predictions and targets have a unit of their own."""
        return any(scale != 1 for scale in self.output_scale) or any(self.output_offset)

    @cached_property
    def flops(self) -> int:
        """Floating-point operations per row of a training step: products forward, back, and for the gradient."""
        own = [self.members if self.networks > 1 or i >= self.first_of_members else 1 for i in range(len(self.layers))]
        flops = [times * layer.flops for times, layer in zip(own, self.layers, strict=True)]
        return 3 * sum(flops) - flops[0]

    def __getstate__(self) -> dict:
        return {entry.name: getattr(self, entry.name) for entry in fields(self)}

    def __setstate__(self, state: dict) -> None:
        if "layers" not in state:                           # of fastsgd 0.1
            state = {**state, "layers": chain(state["sizes"], state["activations"])}
        old = {"members": 1, "sharing": "none", "ntk": False}           # what older pickles lack
        self.__dict__.update(old | {entry.name: state[entry.name] for entry in fields(self) if entry.name in state})


def _check_sizes(sizes) -> tuple[Any, ...]:
    """Whole numbers and, between them, layers."""
    try:
        sizes = None if isinstance(sizes, str | bytes) else list(sizes)
    except TypeError:
        sizes = None
    if sizes is None:
        raise TypeError("sizes must be a sequence of whole numbers such as [64, 128, 10]")
    if not any(isinstance(end, Residual) for end in (*sizes[:1], *sizes[-1:])):
        sizes = flat(sizes)
    for i, size in enumerate(sizes):
        if isinstance(size, Layer) and 0 < i < len(sizes) - 1 and size.kind != "dense":
            if size.only_first and i > 1:
                raise ValueError(f"sizes: {type(size).__name__} must stand right behind the number of columns, got "
                                 f"{sizes}")
            continue
        if isinstance(size, bool) or not isinstance(size, Integral):
            is_layer = isinstance(size, Layer | Residual)
            between = " (a layer such as fastsgd.layers.Scale() stands between two of them)" * is_layer
            raise TypeError(f"sizes must hold whole numbers{between}, got {size!r} in {sizes}")
        if size < 1:
            raise ValueError(f"sizes must be at least 1, got {size} in {sizes}")
    if len(sizes) < 2:
        raise ValueError(f"sizes must name at least the inputs and the outputs, got {sizes}")
    sizes = tuple(size if isinstance(size, Layer) else int(size) for size in sizes)
    layers = chain(sizes, [""] * len(sizes))
    parameters = Architecture(layers, "", ()).parameters
    if parameters > MAX_PARAMETERS:
        raise ValueError(f"sizes {list(sizes)} make {parameters:,} parameters; at most {MAX_PARAMETERS:,} are "
                         "supported")
    in_blocks(layers)
    for number, layer in enumerate(layers):
        if isinstance(layer, Add) and (received := layers[number - layer.layers].inputs) != layer.inputs:
            raise ValueError(f"sizes: a Residual block must end as wide as it begins; it receives {received} columns "
                             f"and gives {layer.inputs}")
    return sizes


def _without_those_of_others(sizes: tuple[Any, ...], hidden: tuple[str, ...]) -> tuple[str, ...]:
    """Names for the dense layers before the last, identity where a parametric activation acts on their units."""
    layers = chain(sizes, [*hidden, "identity"])
    dense = [number for number, layer in enumerate(layers) if layer.has_units][:-1]
    return tuple(name if acting(layers, number) == number else "identity"
                 for number, name in zip(dense, hidden, strict=True))


def _check_activation(activation, hidden: int) -> tuple[str, ...]:
    names = [activation] * max(1, hidden) if isinstance(activation, str) else activation
    if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"activation must be a name, or a sequence of one name per hidden layer, got {activation!r}")
    for name in names:
        check_activation("activation", name)
    if isinstance(activation, str):
        return (activation,) * hidden
    if len(names) != hidden:
        raise ValueError(f"activation must be one name or {hidden}, one per hidden layer, got {list(names)}")
    return tuple(names)


def _check_output(loss: Loss, output, outputs: int) -> str:
    if output is not None and output not in loss.outputs:
        raise ValueError(f"output for {loss.name} must be {' or '.join(loss.outputs)}, got {output!r}")
    if loss.outputs_for(loss.targets_of(outputs)) != outputs:
        raise ValueError(f"sizes: {loss.name} needs {loss.outputs_per_target} outputs per target, got {outputs}")
    if loss.targets.classes and loss.targets_of(outputs) < 2:
        raise ValueError(f"sizes: {loss.name} needs an output per class, at least 2, got 1; "
                         "for a quantity use loss='squared_error', for one yes-or-no output 'binary_cross_entropy'")
    return output or loss.outputs[0]


def _one_or_each(name: str, values, count: int, what: str) -> tuple[float, ...]:
    numbers = (values,) if is_number(values) else _sequence(name, values)
    if len(numbers) not in (1, count):
        raise ValueError(f"{name} must be one number or {count}, one per {what}, got {len(numbers)}")
    for number in numbers:
        if not is_number(number) or not abs(number) <= MAX_NUMBER:
            raise ValueError(f"{name} must hold numbers between -{MAX_NUMBER:g} and {MAX_NUMBER:g}, "
                             f"got {number!r}")
    return tuple(float(number) for number in numbers)


def _sequence(name: str, values) -> tuple:
    try:
        return tuple(values)
    except TypeError:
        raise TypeError(f"{name} must be a number or a sequence of numbers, got {values!r}") from None
