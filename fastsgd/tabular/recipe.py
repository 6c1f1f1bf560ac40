"""How a table is learned: the network, the descent and the ensemble, as functions of the table's size.

The numbers were chosen on the tables CHOSEN_ON of ``bench.tabular`` alone, and are judged on others
(docs/explanation/decisions.md).
"""
from __future__ import annotations

from dataclasses import dataclass, replace

from fastsgd.runs.feeds import steps_in

QUALITIES = ("fast", "good", "best")
STEPS = 2500                 # that a member makes at least, where the table is not too small for it
MOST_EPOCHS = 200
LEAST_BATCH, MOST_BATCH = 16, 256
ROWS_OF_A_BATCH = 40         # steps that an epoch has at least, by the size of its batches
FEW_ROWS = 800               # below which each row is held out once, as so few of them choose an epoch badly
VERY_FEW_ROWS = 150
MANY_ROWS = 20_000           # from which epochs become fewer


@dataclass(frozen=True)
class Recipe:
    """What a table is learned with.

    ``members`` networks side by side, of ``width`` units in each of ``depth`` hidden layers, on a piecewise-linear
    encoding of up to ``bins`` bins; AdamW in one cycle to ``learning_rate`` over ``epochs``, or fewer where the
    validation cost has not fallen for ``patience`` of them. Of ``folds`` each is held out in turn, and makes members of
    its own; with one fold a part of the rows is held out once.
    """

    members: int
    width: int
    depth: int
    activation: str
    bins: int
    dropout: float
    learning_rate: float
    weight_decay: float
    batch_size: int
    epochs: int
    patience: int
    folds: int = 1

    def within(self, seconds_per_epoch: float, seconds: float) -> Recipe:
        """One that ends in time: of fewer epochs, and where those would be fewer than 10, of fewer members."""
        epochs = int(seconds / max(seconds_per_epoch, 1e-9) / self.folds)
        if epochs >= min(self.epochs, 10):
            return replace(self, epochs=min(self.epochs, epochs))
        members = max(1, self.members * epochs // 10)
        return replace(self, members=members, folds=1, epochs=max(1, min(
            self.epochs, int(seconds / max(seconds_per_epoch * members / self.members, 1e-9)))))


def recipe_for(rows: int, classes: int, quality: str = "good") -> Recipe:
    """For so many rows to train on, of so many classes, 0 for a quantity.

    >>> recipe_for(5000, 3).members, recipe_for(5000, 3, "fast").members
    (8, 2)
    """
    if quality not in QUALITIES:
        raise ValueError(f"quality must be one of {', '.join(map(repr, QUALITIES))}, got {quality!r:.40}")
    rows = max(1, rows)
    batch_size = LEAST_BATCH
    while batch_size < MOST_BATCH and batch_size * 2 * ROWS_OF_A_BATCH <= rows:
        batch_size *= 2
    steps = steps_in(rows, batch_size)
    epochs = min(MOST_EPOCHS, max(64, STEPS // steps)) if rows < MANY_ROWS else max(10, 64 * MANY_ROWS // rows)
    members, folds = {"fast": (2, 1), "good": (8, 1), "best": (4, 8)}[quality]
    if quality == "good" and rows < FEW_ROWS:
        members, folds = (2, 10) if rows < VERY_FEW_ROWS else (4, 5)
    return Recipe(members=members, width=128, depth=2, activation="relu", bins=32, dropout=0.1 if classes else 0.0,
                  learning_rate=0.003, weight_decay=0.01, batch_size=batch_size, epochs=epochs,
                  patience=16, folds=folds)
