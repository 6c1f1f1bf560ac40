"""Which neighbouring partitions one task trains, so that a round has few tasks; the bits do not depend on it."""
from __future__ import annotations

import math
from collections.abc import Callable


def bundles_of(partitions: int, slots: int, together: Callable[[range], bool]) -> list[range]:
    """Blocks of partitions, each a whole branch of the tree in which outcomes are added up.

    They are as large as they can be without making a round of so many tasks at once longer, and hold only partitions
    that belong together by ``together``.

    >>> bundles_of(8, 2, lambda block: True), bundles_of(8, 2, lambda block: block.start > 0)
    ([range(0, 4), range(4, 8)], [range(0, 1), range(1, 2), range(2, 4), range(4, 8)])
    """
    size, shortest = 1, math.ceil(partitions / slots)
    while size < partitions and math.ceil(math.ceil(partitions / (2 * size)) / slots) * 2 * size <= shortest:
        size *= 2
    found = []
    for first in range(0, partitions, size):
        found += _cut(range(first, min(first + size, partitions)), size, together)
    return found


def _cut(block: range, size: int, together: Callable[[range], bool]) -> list[range]:
    if len(block) == 1 or together(block):
        return [block]
    half = size // 2
    if len(block) <= half:
        return _cut(block, half, together)
    middle = block.start + half
    return _cut(range(block.start, middle), half, together) + _cut(range(middle, block.stop), half, together)
