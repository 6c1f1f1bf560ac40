"""What callbacks keep in a checkpoint, and how they get it back."""
from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from fastsgd.runs.callback import Callback, Run
from fastsgd.runs.checkpoint import below

States = list[tuple[str, dict[str, Any]]]                # (class name, {name: value}) of each callback that has a state


class CallbackStates:
    """The callbacks of a run that have a state, in order."""

    def __init__(self, callbacks: Iterable[Callback]):
        self._callbacks = [callback for callback in callbacks if type(callback).state is not Callback.state]

    @property
    def names(self) -> list[str]:
        """Of their classes."""
        return [type(callback).__name__ for callback in self._callbacks]

    def take(self) -> States:
        """Their states now, as copies."""
        return [(type(callback).__name__, copy.deepcopy(callback.state())) for callback in self._callbacks]

    def restore(self, run: Run, entries: Sequence, arrays: dict[str, np.ndarray]) -> None:
        """Gives them back what :func:`divided` made of their states; ValueError where that cannot be one's state."""
        for i, callback in enumerate(self._callbacks):
            try:
                callback.restore(run, {**entries[i][1], **below(f"{i}.", arrays)})
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise ValueError(f"the checkpoint is damaged in what {type(callback).__name__} keeps: "
                                 f"{type(error).__name__}: {error!s:.300}") from error


def divided(states: States) -> tuple[list, dict[str, np.ndarray]]:
    """``(entries for JSON, arrays)``, an array ``best`` of the first being ``0.best``."""
    entries, arrays = [], {}
    for i, (name, values) in enumerate(states):
        entries.append([name, {key: value for key, value in values.items() if not isinstance(value, np.ndarray)}])
        arrays.update({f"{i}.{key}": value for key, value in values.items() if isinstance(value, np.ndarray)})
    return entries, arrays
