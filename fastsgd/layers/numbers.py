"""What columns of numbers become before the first dense layer.

An encoding has up to two parts. A *basis* turns each of d numbers into m terms: themselves, waves, or a
piecewise-linear encoding. A *map* on top of it, where there is one, is a small dense layer for each column by itself.
Arrays of both have the columns last, (m, d) and (m, h, d), so that neighbouring numbers belong to neighbouring columns.
"""
from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from fastsgd.arguments import check_factor, check_whole, is_number

MAX_TERMS = 2**24        # of a piecewise-linear basis, bins of the column that has the most times columns

TWO_PI = 2 * math.pi


@dataclass(frozen=True)
class NumberEncoding:
    """What the encodings share. Use one of its subclasses."""

    kind: ClassVar[str]
    basis: ClassVar[str] = "identity"        # "piecewise", "waves" (cosines, then sines) or "cosines"
    shortcut: ClassVar[bool] = False         # whether the numbers themselves follow

    @property
    def map_outputs(self) -> int:
        """h of the map, 0 where there is none."""
        return 0

    @property
    def map_activation(self) -> str:
        """What acts on the map's outputs: "identity" or "relu"."""
        return "identity"

    @property
    def terms(self) -> int:
        """m of the basis."""
        return 1

    def features(self, numbers: int) -> int:
        """What so many columns become."""
        return (self.map_outputs or self.terms) * numbers + self.shortcut * numbers

    def tensors(self, numbers: int) -> dict[str, tuple[int, ...]]:
        """Shapes by name."""
        if not self.map_outputs:
            return {}
        return {"column_weights": (self.terms, self.map_outputs, numbers), "column_biases": (self.map_outputs, numbers)}

    def initial(self, name: str, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
        """What a tensor begins as."""
        limit = inverse_root(self.terms)
        return rng.uniform(-limit, limit, shape)

    def rate_factor(self) -> float:
        """What the learning rate is multiplied by."""
        return 1.0

    def check(self, numbers: int) -> None:
        """ValueError where it is not for so many columns."""

    def options(self) -> dict[str, Any]:
        """What a model file must keep."""
        return {"kind": self.kind} | {entry.name: getattr(self, entry.name) for entry in fields(self)}


@dataclass(frozen=True)
class LinearReLU(NumberEncoding):
    """relu(w x + b), ``outputs`` of them for each column (Gorishniy et al. 2022, arXiv 2203.05556, "LR").

    Both begin uniform within +-1 / sqrt(outputs).

    >>> LinearReLU(8).features(20)
    160
    """

    outputs: int = 16
    kind: ClassVar[str] = "linear_relu"

    def __post_init__(self):
        object.__setattr__(self, "outputs", check_whole("outputs", self.outputs, 1))

    @property
    def map_outputs(self) -> int:
        return self.outputs

    @property
    def map_activation(self) -> str:
        return "relu"

    def initial(self, name: str, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
        limit = inverse_root(self.outputs)
        return rng.uniform(-limit, limit, shape)


@dataclass(frozen=True)
class Periodic(NumberEncoding):
    """relu(V [cos(2 pi w x), sin(2 pi w x)] + c), for each column by itself.

    (Gorishniy, Rubachev and Babenko 2022, arXiv 2203.05556, "PLR".) The ``frequencies`` w are trained; they begin
    normal with the deviation ``sigma``, cut at three deviations. V and c begin uniform within +-1 / sqrt(2
    frequencies). With ``activation="identity"`` there is no relu.

    >>> Periodic(outputs=8, frequencies=24).tensors(20)["column_weights"]
    (48, 8, 20)
    """

    outputs: int = 16
    frequencies: int = 48
    sigma: float = 0.01
    activation: str = "relu"
    kind: ClassVar[str] = "periodic"
    basis: ClassVar[str] = "waves"

    def __post_init__(self):
        object.__setattr__(self, "outputs", check_whole("outputs", self.outputs, 1))
        object.__setattr__(self, "frequencies", check_whole("frequencies", self.frequencies, 1))
        object.__setattr__(self, "sigma", check_factor("sigma", self.sigma))
        _check_activation(self.activation)

    @property
    def map_outputs(self) -> int:
        return self.outputs

    @property
    def map_activation(self) -> str:
        return self.activation

    @property
    def terms(self) -> int:
        return 2 * self.frequencies

    def tensors(self, numbers: int) -> dict[str, tuple[int, ...]]:
        return {"frequencies": (self.frequencies, numbers)} | super().tensors(numbers)

    def initial(self, name: str, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
        if name != "frequencies":
            return super().initial(name, shape, rng)
        drawn = rng.standard_normal(shape)
        while (beyond := abs(drawn) > 3).any():
            drawn[beyond] = rng.standard_normal(int(beyond.sum()))
        return self.sigma * drawn


@dataclass(frozen=True)
class PBLD(NumberEncoding):
    """V cos(2 pi w x + b) + c beside x itself (Holzmüller et al. 2024, arXiv 2407.04491: RealMLP's "PBLD").

    Each column becomes ``outputs`` features, the last of them the number as it is. ``frequencies`` w begin normal with
    the deviation ``sigma``, phases b uniform within +-pi, V and c uniform within +-1 / sqrt(frequencies). RealMLP
    multiplies their learning rate by 0.1.

    >>> PBLD().features(20)
    80
    """

    outputs: int = 4
    frequencies: int = 16
    sigma: float = 0.1
    learning_rate_factor: float = 0.1
    kind: ClassVar[str] = "pbld"
    basis: ClassVar[str] = "cosines"
    shortcut: ClassVar[bool] = True

    def __post_init__(self):
        object.__setattr__(self, "outputs", check_whole("outputs", self.outputs, 2))
        object.__setattr__(self, "frequencies", check_whole("frequencies", self.frequencies, 1))
        for name in ("sigma", "learning_rate_factor"):
            object.__setattr__(self, name, check_factor(name, getattr(self, name)))

    @property
    def map_outputs(self) -> int:
        return self.outputs - 1

    @property
    def terms(self) -> int:
        return self.frequencies

    def tensors(self, numbers: int) -> dict[str, tuple[int, ...]]:
        shape = (self.frequencies, numbers)
        return {"frequencies": shape, "phases": shape} | super().tensors(numbers)

    def initial(self, name: str, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
        if name == "frequencies":
            return self.sigma * rng.standard_normal(shape)
        if name == "phases":
            return rng.uniform(-math.pi, math.pi, shape)
        return super().initial(name, shape, rng)

    def rate_factor(self) -> float:
        return self.learning_rate_factor


@dataclass(frozen=True, repr=False)
class PiecewiseLinear(NumberEncoding):
    """Piecewise-linear encoding (Gorishniy et al. 2022, arXiv 2203.05556): how far a number has come through each bin.

    ``edges`` holds for each column of numbers the rising edges e_0 < e_1 < ... of its bins, as
    :func:`quantile_edges` and :func:`tree_edges` find them. Bin t of x is (x - e_t) / (e_(t+1) - e_t), cut to 0 .. 1;
    below the first edge and above the last it goes on, or with ``extrapolate=False`` stays. A column with fewer bins
    than others has fewer features. With ``with_numbers`` each column has one more, the number itself.

    With ``outputs`` a map of that many outputs for each column follows, beside a linear one, w x + b, that it starts
    from: V begins as 0, w and b uniform within +-1 / sqrt(outputs) (TabM, arXiv 2410.24210; its authors' version B).

    >>> encoding = PiecewiseLinear([[0.0, 1.0, 3.0], [0.0, 10.0]])
    >>> encoding.features(2), encoding
    (3, PiecewiseLinear(2 columns, up to 2 bins))
    """

    edges: Sequence[Sequence[float]] = field()
    outputs: int = 0
    extrapolate: bool = True
    with_numbers: bool = False
    kind: ClassVar[str] = "piecewise_linear"
    basis: ClassVar[str] = "piecewise"

    def __post_init__(self):
        object.__setattr__(self, "edges", _checked_edges(self.edges))
        object.__setattr__(self, "outputs", check_whole("outputs", self.outputs, 0))
        for name in ("extrapolate", "with_numbers"):
            if not isinstance(getattr(self, name), bool):
                raise TypeError(f"{name} must be True or False, got {getattr(self, name)!r}")

    def __repr__(self) -> str:
        mapped = f", outputs={self.outputs}" * bool(self.outputs)
        ends = ", extrapolate=False" * (not self.extrapolate) + ", with_numbers=True" * self.with_numbers
        return f"PiecewiseLinear({len(self.edges)} columns, up to {self.bins} bins{mapped}{ends})"

    @property
    def bins(self) -> int:
        """Of the column that has the most."""
        return max(map(len, self.edges)) - 1

    @property
    def map_outputs(self) -> int:
        return self.outputs

    @property
    def terms(self) -> int:
        """The bins, and the number itself where it is one, as below a map."""
        return self.bins + (self.with_numbers or self.outputs > 0)

    def terms_of(self, column: int) -> int:
        """Of one column, where no map follows."""
        return len(self.edges[column]) - 1 + self.with_numbers

    def features(self, numbers: int) -> int:
        return self.outputs * numbers if self.outputs else sum(map(self.terms_of, range(len(self.edges))))

    def initial(self, name: str, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
        limit = inverse_root(self.outputs)
        if name != "column_weights":
            return rng.uniform(-limit, limit, shape)
        weights = np.zeros(shape)
        weights[-1] = rng.uniform(-limit, limit, shape[1:])
        return weights

    def check(self, numbers: int) -> None:
        if len(self.edges) != numbers:
            raise ValueError(f"edges must be given for each of the {numbers} columns of numbers, got "
                             f"{len(self.edges)}")

    def lines(self, order: Sequence[int]) -> tuple[np.ndarray, ...]:
        """Slopes, offsets, and lowest and highest values of every term (terms, columns), of columns in this order.

        Term t of x is slope x + offset between its limits. Where a column has no such bin all of them are 0.
        """
        slopes, offsets, lowest, highest = np.zeros((4, self.terms, len(order)))
        for place, column in enumerate(order):
            edges = np.array(self.edges[column])
            bins = len(edges) - 1
            slopes[:bins, place] = 1 / np.diff(edges)
            offsets[:bins, place] = -edges[:-1] * slopes[:bins, place]
            highest[:bins, place] = 1
            if self.extrapolate:
                lowest[0, place], highest[bins - 1, place] = -math.inf, math.inf
            if self.outputs or self.with_numbers:
                at = self.bins if self.outputs else bins
                slopes[at, place] = 1
                lowest[at, place], highest[at, place] = (-math.inf, math.inf) if self.extrapolate else edges[[0, -1]]
        return slopes, offsets, lowest, highest


ENCODINGS = {kind.kind: kind for kind in (LinearReLU, Periodic, PBLD, PiecewiseLinear)}


def _check_activation(name: Any) -> None:
    if name not in ("identity", "relu"):
        raise ValueError(f"activation of an encoding must be identity or relu, got {name!r}")


def _checked_edges(edges: Any) -> tuple[tuple[float, ...], ...]:
    try:
        columns = [list(column) for column in edges]
    except TypeError:
        raise TypeError(f"edges must hold a sequence of numbers for each column, got {edges!r:.100}") from None
    if not columns:
        raise ValueError("edges must be given for at least one column, got none")
    for number, column in enumerate(columns):
        if not all(is_number(edge) and math.isfinite(edge) for edge in column):
            raise ValueError(f"edges[{number}] must hold finite numbers, got {column!r:.100}")
        if len(column) < 2 or any(low >= high for low, high in pairwise(column)):
            raise ValueError(f"edges[{number}] must hold at least two numbers that rise, got {column!r:.100}")
    if max(map(len, columns)) * len(columns) > MAX_TERMS:
        raise ValueError(f"edges: {max(map(len, columns)) - 1:,} bins for each of {len(columns):,} columns are more "
                         f"than {MAX_TERMS:,}")
    return tuple(tuple(map(float, column)) for column in columns)


def inverse_root(n: int) -> float:
    """n to the power -1/2, rounded once: by whole numbers, as what libm returns depends on the system.

    >>> inverse_root(16)
    0.25
    """
    return math.isqrt((1 << 220) // n) / (1 << 110)
