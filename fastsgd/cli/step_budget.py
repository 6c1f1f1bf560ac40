"""How many rows a step and how many epochs a table of some size needs, and whether a run ended too soon."""
from __future__ import annotations

from fastsgd.runs.feeds import steps_in
from fastsgd.runs.history import History

STEPS = 5_000                   # that a small table is given, at most
STEPS_UNSEEN = 2_000            # without held-out rows, which would say when it is enough
MIN_EPOCHS, MAX_EPOCHS = 20, 1_000
MAX_BATCH, MIN_BATCH = 100, 5
STEPS_PER_EPOCH = 20            # where the rows allow batches of the smallest size


def batch_size_for(rows: int) -> int:
    """100, fewer where that would make less than 20 steps an epoch, but at least 5.

    >>> batch_size_for(100), batch_size_for(1_000), batch_size_for(100_000)
    (5, 50, 100)
    """
    return min(MAX_BATCH, max(MIN_BATCH, rows // STEPS_PER_EPOCH))


def epochs_for(rows: int, batch_size: int, held_out: bool = True) -> int:
    """So many that they make some thousands of steps, 20 to 1,000.

    >>> epochs_for(100, 5), epochs_for(1_000, 50), epochs_for(10_000, 100), epochs_for(100_000, 100)
    (250, 250, 50, 20)
    """
    steps = STEPS if held_out else STEPS_UNSEEN
    return min(MAX_EPOCHS, max(MIN_EPOCHS, -(-steps // steps_in(rows, batch_size))))


def patience_for(epochs: int) -> int:
    """Epochs without a lower validation cost that end a run of at most so many.

    >>> patience_for(20), patience_for(500)
    (10, 100)
    """
    return max(10, epochs // 5)


def still_falling(history: History) -> bool:
    """Whether the cost of the last quarter of the epochs lies clearly below that of the quarter before, on validation
    rows too where there are any.

    >>> still_falling(History("accuracy", cost=[1.0, 0.9, 0.8, 0.7]))
    True
    >>> still_falling(History("accuracy", cost=[1.0, 0.2, 0.11, 0.11]))
    False
    """
    epochs = history.epochs
    lists = [history.cost] + [history.validation_cost] * bool(history.validation_cost)
    if epochs < 4 or history.stopped or any(len(costs) != epochs for costs in lists):
        return False
    part = epochs // 4
    for costs in lists:
        late, before = sum(costs[-part:]) / part, sum(costs[-2 * part:-part]) / part
        if not before - late > max(0.05 * abs(late), 0.01 * abs(costs[0])):
            return False
    return True


def rising_since(history: History) -> int | None:
    """The epoch of the lowest validation cost, where that lies well behind and has clearly risen since.

    >>> rising_since(History("accuracy", validation_cost=[0.9, 0.5, 0.6, 0.7])), rising_since(History("accuracy"))
    (2, None)
    """
    costs = history.validation_cost
    if len(costs) < 4 or len(costs) - 1 - (best := costs.index(min(costs))) < len(costs) / 4:
        return None
    return best + 1 if costs[-1] > costs[best] + 0.1 * abs(costs[best]) else None
