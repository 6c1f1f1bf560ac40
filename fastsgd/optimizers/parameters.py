"""Optimizers and schedules as parameters for scikit-learn: get_params, set_params and clone."""
from __future__ import annotations

import copy
from dataclasses import fields, replace
from typing import Any, Self

from fastsgd.deprecation import warn_of


class Parameters:
    """A frozen dataclass whose fields are read and changed by name; ``name__other`` is a field of the field name."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The fields by name; where it is ``deep`` with those of schedules among them.

        >>> from fastsgd import SGD, schedules
        >>> SGD(schedules.Cosine(0.1)).get_params()["learning_rate__rate"]
        0.1
        """
        params: dict[str, Any] = {}
        for entry in fields(self):                           # type: ignore[arg-type]
            value = params[entry.name] = getattr(self, entry.name)
            if deep and isinstance(value, Parameters):
                params.update((f"{entry.name}__{name}", inner) for name, inner in value.get_params().items())
        return params

    def set_params(self, **params) -> Self:
        """The same with other parameters: a new object, as this one is frozen. ValueError for a name it has not.

        >>> from fastsgd import SGD
        >>> SGD(0.1, momentum=0.9).set_params(learning_rate=0.5)
        SGD(0.5, momentum=0.9)
        """
        known = [entry.name for entry in fields(self)]       # type: ignore[arg-type]
        changed: dict[str, Any] = {}
        nested: dict[str, dict[str, Any]] = {}
        old_fields = getattr(self, "old_fields", {})
        for key, value in params.items():
            name, _, inner = key.partition("__")
            if name in old_fields:
                warn_of(f"{type(self).__name__}: {name}", old_fields[name])
                name = old_fields[name]
            if name not in known:
                raise ValueError(f"{type(self).__name__} has no parameter {name!r}; it has {', '.join(known)}")
            if inner:
                nested.setdefault(name, {})[inner] = value
            else:
                changed[name] = value
        for name, inner_params in nested.items():
            value = changed.get(name, getattr(self, name))
            if not isinstance(value, Parameters):
                raise ValueError(f"{type(self).__name__}: {name} is {value!r}, which has no parameter "
                                 f"{next(iter(inner_params))!r}")
            changed[name] = value.set_params(**inner_params)
        return replace(self, **changed)                      # type: ignore[type-var]

    def __sklearn_clone__(self) -> Self:
        return copy.deepcopy(self)
