"""Generators of random numbers of a run's members, side by side."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastsgd.data.checks import generator


class OwnGenerators:
    """One for each member, with what a run asks of ``numpy.random.Generator``: results have a first axis of members.

    >>> OwnGenerators([0, 0, 1]).permutation(3)
    array([[2, 0, 1],
           [2, 0, 1],
           [0, 1, 2]])
    """

    def __init__(self, seeds: Sequence[Any]):
        self._each = [generator(seed) for seed in seeds]

    def permutation(self, count: int) -> np.ndarray:
        """(members, count)."""
        return np.stack([each.permutation(count) for each in self._each])

    def integers(self, limit: int) -> np.ndarray:
        """(members,) below the limit."""
        return np.array([each.integers(limit) for each in self._each])

    @property
    def bit_generator(self) -> OwnGenerators:
        """It has the state, as that of NumPy's generators has."""
        return self

    @property
    def state(self) -> dict[str, Any]:
        """Of all of them, which may be assigned."""
        return {"bit_generator": "PCG64", "members": [each.bit_generator.state for each in self._each]}

    @state.setter
    def state(self, state: Any) -> None:
        check_state(state)
        states = state.get("members", [])
        if len(states) != len(self._each):
            raise ValueError(f"seed: there are {len(self._each)}, one per member; the checkpoint's run had "
                             f"{len(states) or 'one for all'}")
        for each, own in zip(self._each, states, strict=True):
            each.bit_generator.state = own


def check_state(state: Any) -> None:
    """ValueError unless this is the state of a generator of PCG64, or of several."""
    several = isinstance(state, dict) and isinstance(state.get("members"), list)
    for own in state["members"] if several else [state]:
        try:
            np.random.default_rng(0).bit_generator.state = own
        except (TypeError, KeyError, ValueError, OverflowError, AttributeError) as error:
            raise ValueError(f"the generator's state is not PCG64's: {error}") from None


def generators(seed: Any, networks: int) -> np.random.Generator | OwnGenerators:
    """The run's generator, or one for each of several networks that share nothing where there is a sequence of seeds.

    >>> generators([1, 2], 3)
    Traceback (most recent call last):
    ValueError: seed must be one or 3, one per member, got 2
    """
    if networks == 1 or not isinstance(seed, Sequence | np.ndarray) or isinstance(seed, str):
        return generator(seed)
    if len(seed) != networks:
        raise ValueError(f"seed must be one or {networks}, one per member, got {len(seed)}")
    return OwnGenerators(list(seed))
