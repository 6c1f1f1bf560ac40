"""Modules that PyTorch lacks; importing this file imports torch."""
import torch


class ScaleInput(torch.nn.Module):
    """x * scale + offset, each one number or one per column."""

    scale: torch.Tensor
    offset: torch.Tensor

    def __init__(self, scale: torch.Tensor, offset: torch.Tensor):
        super().__init__()
        self.register_buffer("scale", scale)
        self.register_buffer("offset", offset)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.scale + self.offset


class ScaleOutput(ScaleInput):
    """The same with the numbers of the last layer, as ``output_scale`` and ``output_offset`` of a network."""


class Scale(torch.nn.Module):
    """x * weight, a number for each column."""

    def __init__(self, weight: torch.Tensor):
        super().__init__()
        self.weight = torch.nn.Parameter(weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.weight


class ParametricActivation(torch.nn.Module):
    """x + weight * (f(x) - x), f being a module and weight a number for each column."""

    def __init__(self, function: torch.nn.Module, weight: torch.Tensor):
        super().__init__()
        self.function = function
        self.weight = torch.nn.Parameter(weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.weight * (self.function(x) - x)


class Residual(torch.nn.Module):
    """x + block(x)."""

    def __init__(self, block: torch.nn.Sequential):
        super().__init__()
        self.block = block

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.block(x)


class Sorted(torch.nn.Module):
    """The output of a network for quantiles that do not cross: each row sorted."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.sort(x, dim=-1)[0]


class MeanAndDeviation(torch.nn.Module):
    """The output of a network for means and standard deviations: exp of the second half of the columns."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean, logarithm = torch.chunk(x, 2, dim=-1)
        return torch.cat([mean, torch.exp(logarithm)], dim=-1)


class Exp(torch.nn.Module):
    """The output of a network for counts."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.exp(x)
