"""Modules of a network's first layer for tables, and of several members; importing this file imports torch.

Rows are (rows, columns). From the first module on that has something for each member, an axis of members is in front.
"""
import math

import numpy as np
import torch

from fastsgd import layers


class Picked(torch.nn.Module):
    """Some of the columns."""

    columns: torch.Tensor

    def __init__(self, columns):
        super().__init__()
        self.register_buffer("columns", torch.tensor(list(columns)), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.index_select(-1, self.columns)


class Pieces(torch.nn.Module):
    """The terms of a piecewise-linear encoding."""

    slopes: torch.Tensor
    offsets: torch.Tensor
    lowest: torch.Tensor
    highest: torch.Tensor

    def __init__(self, slopes: torch.Tensor, offsets: torch.Tensor, lowest: torch.Tensor, highest: torch.Tensor):
        super().__init__()
        self.register_buffer("slopes", slopes)
        self.register_buffer("offsets", offsets)
        self.register_buffer("lowest", lowest)
        self.register_buffer("highest", highest)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.minimum(torch.maximum(x * self.slopes + self.offsets, self.lowest), self.highest)


class Waves(torch.nn.Module):
    """Cosines of 2 pi frequencies x, and sines behind them."""

    def __init__(self, frequencies: torch.Tensor):
        super().__init__()
        self.frequencies = torch.nn.Parameter(frequencies)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        turns = x * self.frequencies.unsqueeze(-3)
        angles = 2 * math.pi * (turns - torch.round(turns.detach()))
        return torch.cat([torch.cos(angles), torch.sin(angles)], -2)


class Cosines(torch.nn.Module):
    """Cosines of 2 pi frequencies x + phases."""

    def __init__(self, frequencies: torch.Tensor, phases: torch.Tensor):
        super().__init__()
        self.frequencies = torch.nn.Parameter(frequencies)
        self.phases = torch.nn.Parameter(phases)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        turns = x * self.frequencies.unsqueeze(-3)
        return torch.cos(2 * math.pi * (turns - torch.round(turns.detach())) + self.phases.unsqueeze(-3))


class Mapped(torch.nn.Module):
    """A dense layer for each column by itself, of the terms that its basis makes of a number.

    ``weight`` (terms, outputs, columns) and ``bias`` (outputs, columns) have the columns last, as the features have.
    """

    def __init__(self, basis: torch.nn.Module, weight: torch.Tensor, bias: torch.Tensor, activation: torch.nn.Module):
        super().__init__()
        self.basis = basis
        self.weight = torch.nn.Parameter(weight)
        self.bias = torch.nn.Parameter(bias)
        self.activation = activation

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = torch.einsum("...rtd,...thd->...rhd", self.basis(x.unsqueeze(-2)), self.weight)
        return self.activation(found + self.bias.unsqueeze(-3)).flatten(-2)


class OneHot(torch.nn.Module):
    """1 where the code in one of the columns is this level."""

    levels: torch.Tensor

    def __init__(self, levels):
        super().__init__()
        self.register_buffer("levels", torch.tensor(levels), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x == self.levels).to(x.dtype)


class Embedded(torch.nn.Module):
    """Rows of one table for the codes of several columns, zeros for codes that a column has not.

    A row of the table holds what its category becomes for each member, side by side.
    """

    first: torch.Tensor
    levels: torch.Tensor

    def __init__(self, table: torch.nn.Embedding, first, levels, members: int):
        super().__init__()
        self.table = table
        self.members = members
        self.register_buffer("first", torch.tensor(list(first)), persistent=False)
        self.register_buffer("levels", torch.tensor(list(levels)), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        known = (x >= 0) & (x < self.levels)
        found = self.table(torch.where(known, x, torch.zeros_like(x)).long() + self.first)
        found = torch.where(known.unsqueeze(-1), found, torch.zeros_like(found))
        if self.members == 1:
            return found.flatten(-2)
        return found.unflatten(-1, (self.members, -1)).permute(2, 0, 1, 3).flatten(-2)


class Columns(torch.nn.Module):
    """Features of the columns of a table: what its parts make of them, side by side."""

    def __init__(self, parts: torch.nn.ModuleList, members: int):
        super().__init__()
        self.parts = parts
        self.members = members

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: list[torch.Tensor] = []
        for part in self.parts:
            features = part(x)
            found.append(features if self.members == 1 else features.expand(self.members, -1, -1))
        return torch.cat(found, -1)


class MemberLinear(torch.nn.Module):
    """x weight + bias, (members, inputs, outputs) and (members, outputs)."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor):
        super().__init__()
        self.weight = torch.nn.Parameter(weight)
        self.bias = torch.nn.Parameter(bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.matmul(x, self.weight) + self.bias.unsqueeze(-2)


class AdaptedLinear(torch.nn.Module):
    """((x * r) weight) * s + bias with the weight (inputs, outputs) of all members, and r and s of each.

    Without s the bias is that of all, too.
    """

    def __init__(self, weight: torch.Tensor, r: torch.Tensor, s: torch.Tensor | None, bias: torch.Tensor):
        super().__init__()
        self.weight = torch.nn.Parameter(weight)
        self.r = torch.nn.Parameter(r)
        self.s = None if s is None else torch.nn.Parameter(s)
        self.bias = torch.nn.Parameter(bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = torch.matmul(x * self.r.unsqueeze(1), self.weight)
        s = self.s
        if s is not None:
            found = found * s.unsqueeze(1)
        return found + self.bias.unsqueeze(-2)


class MemberNorm(torch.nn.Module):
    """LayerNorm over the columns with a weight and a bias of each member, (members, 1, columns)."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor, epsilon: float):
        super().__init__()
        self.weight = torch.nn.Parameter(weight)
        self.bias = torch.nn.Parameter(bias)
        self.epsilon = epsilon

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.layer_norm(x, [x.shape[-1]], eps=self.epsilon) * self.weight + self.bias


class MemberBatchNorm(torch.nn.Module):
    """A batch norm with running figures, which stay as they are; all (members, 1, columns)."""

    mean: torch.Tensor
    variance: torch.Tensor

    def __init__(self, epsilon: float, weight: torch.Tensor, bias: torch.Tensor, mean: torch.Tensor,
                 variance: torch.Tensor):
        super().__init__()
        self.weight = torch.nn.Parameter(weight)
        self.bias = torch.nn.Parameter(bias)
        self.register_buffer("mean", mean)
        self.register_buffer("variance", variance)
        self.epsilon = epsilon

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x - self.mean) / torch.sqrt(self.variance + self.epsilon) * self.weight + self.bias


class MeanOfMembers(torch.nn.Module):
    """The mean of what members predict."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(0)


def columns(layer: layers.Columns, arrays: list[np.ndarray], dtype: np.dtype, members: int) -> Columns:
    """The module of a layer, whose tensors have an axis of members in front where there are several."""
    nn = torch.nn
    own = {name: torch.from_numpy(np.array(array)) for (name, _), array in zip(layer.tensors, arrays, strict=True)}
    encoding = layer.numbers
    parts: list[nn.Module] = []

    def of_columns(places, module: nn.Module) -> None:
        parts.append(nn.Sequential(Picked(places), module))

    def pieces(lines) -> Pieces:
        return Pieces(*(torch.from_numpy(np.array(line, dtype)) for line in lines))

    if encoding is None:
        parts += [Picked(layer.number_columns)] * bool(layer.number_columns)
    elif not encoding.map_outputs:
        lines = encoding.lines(layer.number_order)                          # type: ignore[attr-defined]
        order = [place for count in layer.term_columns for place in layer.number_order[:count]]
        of_columns([layer.number_columns[place] for place in order], pieces(
            np.concatenate([line[term, :count] for term, count in enumerate(layer.term_columns)]) for line in lines))
    else:
        basis: nn.Module = nn.Identity()
        if encoding.basis == "piecewise":
            basis = pieces(encoding.lines(layer.number_order))              # type: ignore[attr-defined]
        elif encoding.basis == "waves":
            basis = Waves(own["frequencies"])
        elif encoding.basis == "cosines":
            basis = Cosines(own["frequencies"], own["phases"])
        activation = nn.ReLU() if encoding.map_activation == "relu" else nn.Identity()
        of_columns(layer.number_columns, Mapped(basis, own["column_weights"], own["column_biases"], activation))
        parts += [Picked(layer.number_columns)] * encoding.shortcut
    if layer.one_hot:
        pairs = [(column, level) for column, levels in layer.one_hot for level in range(levels)]
        of_columns([column for column, _ in pairs], OneHot([level for _, level in pairs]))
    if layer.embedded:
        table = own["embeddings"]
        if members > 1:
            table = table.permute(1, 0, 2).flatten(-2).contiguous()
        embedding = nn.Embedding.from_pretrained(table, freeze=False)
        of_columns([column for column, _ in layer.embedded], Embedded(
            embedding, layer.first_rows, [levels for _, levels in layer.embedded], members))
    return Columns(nn.ModuleList(parts), members)
