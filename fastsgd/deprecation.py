"""Old names that still work, with a DeprecationWarning that points at the caller."""
from __future__ import annotations

import functools
import inspect
import os
import sys
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable)
T = TypeVar("T")
PACKAGE = os.path.join(os.path.dirname(__file__), "")


def warn_at_caller(message: str, kind: type[Warning] = DeprecationWarning) -> None:
    """A warning that points at the first caller outside this package."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and _is_ours(frame):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, kind, stacklevel=level)


def _is_ours(frame) -> bool:
    """Whether a frame is of this package, generated for one of its dataclasses, or contextlib's."""
    file, module = frame.f_code.co_filename, str(frame.f_globals.get("__name__"))
    return file.startswith(PACKAGE) or module == "contextlib" or (file == "<string>" and module.startswith("fastsgd."))


def warn_of(old: str, new: str) -> None:
    """That ``old`` is deprecated, and what to use instead."""
    warn_at_caller(f"{old} is deprecated and will be removed: use {new}")


def keyword_only(function: F) -> F:
    """Lets what follows the * of a signature be given by its place, too, with a warning.

    >>> @keyword_only
    ... def add(a, *, b=0):
    ...     return a + b
    >>> add(1, b=2)
    3
    """
    parameters = inspect.signature(function).parameters.values()
    places = sum(p.kind is p.POSITIONAL_OR_KEYWORD for p in parameters)
    names = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]

    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        if len(args) > places:
            extra = dict(zip(names, args[places:places + len(names)], strict=False))
            if len(args) <= places + len(names) and not set(extra) & set(kwargs):    # else Python's own TypeError
                called = function.__qualname__.removesuffix(".__init__")
                shown = ", ".join(f"{name}=" for name in extra)
                warn_at_caller(f"{called}: {shown} by position is deprecated: give "
                               f"{'it by its name' if len(extra) == 1 else 'them by their names'}")
                args, kwargs = args[:places], {**extra, **kwargs}
        return function(*args, **kwargs)
    return wrapper                                                                   # type: ignore[return-value]


def renamed_arguments(**new_names: str) -> Callable[[F], F]:
    """Lets a function take arguments by their old names, too, with a warning.

    >>> @renamed_arguments(colour="color")
    ... def paint(color):
    ...     return color
    >>> paint(color="red")
    'red'
    """
    def decorate(function: F) -> F:
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            for old, new in new_names.items():
                if old in kwargs:
                    called = function.__qualname__.removesuffix(".__init__")
                    if new in kwargs:
                        raise TypeError(f"{called}: {old} is the old name of {new}; give {new} alone")
                    warn_of(f"{called}: {old}=", f"{new}=")
                    kwargs[new] = kwargs.pop(old)
            return function(*args, **kwargs)
        return wrapper                                                               # type: ignore[return-value]
    return decorate


def renamed_fields(**new_names: str) -> Callable[[type[T]], type[T]]:
    """Lets a dataclass be made, read, and unpickled by the old names of its fields, too; the first two with a warning.

    >>> from dataclasses import dataclass
    >>> @renamed_fields(colour="color")
    ... @dataclass
    ... class Paint:
    ...     color: str
    >>> Paint(color="red")
    Paint(color='red')
    """
    def decorate(cls: type[T]) -> type[T]:
        restore = getattr(cls, "__setstate__", lambda self, state: self.__dict__.update(state))

        def __setstate__(self, state):
            restore(self, {new_names.get(name, name): value for name, value in state.items()})

        def __getattr__(self, name):
            if name in new_names:
                warn_of(f"{cls.__name__}.{name}", new_names[name])
                return getattr(self, new_names[name])
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

        changed: Any = cls
        changed.__init__ = renamed_arguments(**new_names)(changed.__init__)
        changed.__setstate__, changed.__getattr__, changed.old_fields = __setstate__, __getattr__, new_names
        return cls
    return decorate


def old_names(module: str, **new_names: str) -> Callable[[str], Any]:
    """A module's ``__getattr__`` that knows its public things by their old names, too, with a warning."""
    def find(name: str) -> Any:
        if name in new_names:
            warn_of(f"{module}.{name}", f"{module}.{new_names[name]}")
            return getattr(sys.modules[module], new_names[name])
        raise AttributeError(f"module {module!r} has no attribute {name!r}")
    return find
