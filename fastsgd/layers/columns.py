"""The first layer of a network for tables: columns of numbers beside columns of categories."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np

from fastsgd.arguments import check_whole
from fastsgd.cached import cached_property
from fastsgd.layers.base import Layer
from fastsgd.layers.numbers import ENCODINGS, NumberEncoding, PiecewiseLinear

UNKNOWN = -1             # the code of a category that no tensor has


@dataclass(frozen=True)
class Columns(Layer):
    """Encodes the columns of a table, right behind the number of columns.

    ``Network([25, Columns({20: 4, 21: 700}, numbers=PBLD()), 256, 3])``

    Parameters
    ----------
    categories : dict of int to int
        Columns that hold codes of categories, each with its number of levels n: whole numbers 0 .. n - 1, or -1 for a
        category that was not there at training. All other columns are numbers.
    numbers : NumberEncoding, optional
        What each column of numbers becomes: ``LinearReLU``, ``Periodic``, ``PBLD`` or ``PiecewiseLinear`` of
        ``fastsgd.layers``; None leaves them as they are.
    embedding_size : int
        A category of more than ``one_hot_up_to`` levels becomes so many trained numbers, a row of its column's table,
        which begins from the unit normal.
    one_hot_up_to : int
        Others become a feature for each level, 1 for the row's own and else 0. RealMLP embeds from 10 levels on.
    lazy : bool
        A step changes only rows of the tables whose categories its batch has: momentum, averages of gradients and
        weight decay of the others wait. With False the optimizer's rule acts on all of them, as PyTorch's do on an
        ``nn.Embedding``, which takes time where there are many levels.

    Notes
    -----
    A code of -1 becomes zeros, both ways. Features are, in this order: those of the numbers (for each output of the
    encoding all columns, side by side), the numbers themselves for PBLD, one-hot features column by column, and
    embeddings column by column. float32 holds codes exactly up to 16,777,216.

    >>> import fastsgd
    >>> net = fastsgd.Network([4, Columns({1: 3, 3: 50}), 8, 2], seed=0)
    >>> net.sizes
    (4, 13, 8, 2)
    >>> net.tensors["embeddings.0"].shape
    (50, 8)
    >>> net.predict([[0.5, 2, -0.3, 49]]).shape
    (1, 2)
    >>> net.predict([[0.5, 3, -0.3, 49]])
    Traceback (most recent call last):
    ...
    ValueError: X[0, 1] is 3; column 1 has codes 0 to 2, or -1 for an unknown category
    """

    categories: Any = field(default=())            # type: ignore[misc]
    numbers: NumberEncoding | None = None
    embedding_size: int = 8
    one_hot_up_to: int = 9
    lazy: bool = True
    kind: ClassVar[str] = "columns"
    only_first: ClassVar[bool] = True

    def __post_init__(self):
        object.__setattr__(self, "categories", _checked_categories(self.categories))
        numbers = self.numbers
        if isinstance(numbers, dict):                       # from a model file
            kind = ENCODINGS[numbers["kind"]]
            numbers = kind(**{name: value for name, value in numbers.items() if name != "kind"})
        if not (numbers is None or isinstance(numbers, NumberEncoding)):
            names = ", ".join(kind.__name__ for kind in ENCODINGS.values())
            raise TypeError(f"numbers must be None or an encoding such as layers.PBLD() ({names}), got {numbers!r}")
        object.__setattr__(self, "numbers", numbers)
        object.__setattr__(self, "embedding_size", check_whole("embedding_size", self.embedding_size, 1))
        object.__setattr__(self, "one_hot_up_to", check_whole("one_hot_up_to", self.one_hot_up_to, 0))
        if not isinstance(self.lazy, bool):
            raise TypeError(f"lazy must be True or False, got {self.lazy!r}")

    def __repr__(self) -> str:
        shown = [repr(dict(self.categories))] * bool(self.categories)
        shown += [f"numbers={self.numbers!r}"] * (self.numbers is not None)
        for name, default in (("embedding_size", 8), ("one_hot_up_to", 9), ("lazy", True)):
            shown += [f"{name}={getattr(self, name)!r}"] * (getattr(self, name) != default)
        return f"Columns({', '.join(shown)})"

    def placed(self, inputs: int) -> Self:
        for column, _ in self.categories:
            if column >= inputs:
                raise ValueError(f"categories: there is no column {column}; the network has columns 0 to {inputs - 1}")
        placed = replace(self, inputs=inputs)
        if self.numbers is not None:
            if not placed.number_columns:
                raise ValueError("numbers: all columns are categories")
            self.numbers.check(len(placed.number_columns))
        return replace(placed, outputs=placed._features())

    def _features(self) -> int:
        count = len(self.number_columns)
        numbers = count if self.numbers is None else self.numbers.features(count)
        return numbers + sum(levels for _, levels in self.one_hot) + self.embedding_size * len(self.embedded)

    @cached_property
    def number_columns(self) -> tuple[int, ...]:
        """The columns that hold numbers."""
        coded = {column for column, _ in self.categories}
        return tuple(column for column in range(self.inputs) if column not in coded)

    @cached_property
    def number_order(self) -> tuple[int, ...]:
        """The columns of numbers by their places among themselves, in the order of their features.

        It is their own, but where some have fewer features than others: then those with more come first.
        """
        places = range(len(self.number_columns))
        if not isinstance(self.numbers, PiecewiseLinear) or self.numbers.outputs:
            return tuple(places)
        bins = [len(edges) for edges in self.numbers.edges]
        return tuple(sorted(places, key=lambda place: -bins[place]))

    @cached_property
    def term_columns(self) -> tuple[int, ...]:
        """How many of the columns in that order have each term of the basis."""
        if isinstance(self.numbers, PiecewiseLinear) and not self.numbers.outputs:
            terms = [self.numbers.terms_of(place) for place in range(len(self.numbers.edges))]
            return tuple(sum(count > term for count in terms) for term in range(max(terms)))
        return (len(self.number_columns),) * (1 if self.numbers is None else self.numbers.terms)

    @cached_property
    def one_hot(self) -> tuple[tuple[int, int], ...]:
        """``((column, levels), ...)`` of categories with a feature for each level."""
        return tuple(pair for pair in self.categories if pair[1] <= self.one_hot_up_to)

    @cached_property
    def embedded(self) -> tuple[tuple[int, int], ...]:
        """The same of categories with rows of a table."""
        return tuple(pair for pair in self.categories if pair[1] > self.one_hot_up_to)

    @cached_property
    def first_rows(self) -> tuple[int, ...]:
        """Where the rows of each embedded column begin in the tensor "embeddings"."""
        levels = [levels for _, levels in self.embedded]
        return tuple(sum(levels[:i]) for i in range(len(levels)))

    @cached_property
    def _shapes(self) -> dict[str, tuple[int, ...]]:
        encoding = {} if self.numbers is None else self.numbers.tensors(len(self.number_columns))
        rows = sum(levels for _, levels in self.embedded)
        return encoding | ({"embeddings": (rows, self.embedding_size)} if rows else {})

    @property
    def tensors(self) -> tuple[tuple[str, str], ...]:              # type: ignore[override]
        return tuple((name, "embedding" if name == "embeddings" else "encoding") for name in self._shapes)

    def shapes(self) -> tuple[tuple[int, ...], ...]:
        return tuple(self._shapes.values())

    def initial(self, name: str, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
        if name == "embeddings":
            return rng.standard_normal(shape)
        assert self.numbers is not None
        return self.numbers.initial(name, shape, rng)

    def rate_factor(self, role: str) -> float:
        return self.numbers.rate_factor() if role == "encoding" and self.numbers is not None else 1.0

    @property
    def flops(self) -> int:
        terms = 0 if self.numbers is None else self.numbers.terms * (20 + 2 * self.numbers.map_outputs)
        return self.outputs + terms * len(self.number_columns)

    def options(self) -> dict[str, Any]:
        given = super().options() | {"categories": [list(pair) for pair in self.categories]}
        return given | {"numbers": None if self.numbers is None else self.numbers.options()}


def _checked_categories(categories: Any) -> tuple[tuple[int, int], ...]:
    pairs = list(categories.items()) if isinstance(categories, Mapping) else categories
    try:
        pairs = [(column, levels) for column, levels in pairs]
    except (TypeError, ValueError):
        raise TypeError("categories must map columns to their numbers of levels, such as {3: 12}, got "
                        f"{categories!r:.100}") from None
    for column, levels in pairs:
        for value, least, what in ((column, 0, "columns"), (levels, 1, "numbers of levels")):
            if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
                raise ValueError(f"categories: {what} must be whole numbers, at least {least}, got {value!r}")
    if len({column for column, _ in pairs}) < len(pairs):
        raise ValueError(f"categories: a column is given twice in {pairs!r:.100}")
    return tuple(sorted((int(column), int(levels)) for column, levels in pairs))
