"""``cached_property`` without a lock, as Python has it from 3.12 on.

Before, all instances shared a lock, which a child that was forked while another thread held it would wait for in vain.
"""
from __future__ import annotations

import functools
from typing import Any


class cached_property(functools.cached_property):
    """A property that is computed once; by two threads at once twice, with the same result."""

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return self
        name = str(self.attrname)
        kept = instance.__dict__
        if name not in kept:
            kept[name] = self.func(instance)
        return kept[name]
