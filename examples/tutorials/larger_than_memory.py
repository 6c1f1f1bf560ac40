"""
Rows that do not fit memory
===========================

Three ways to train on more rows than there is memory for: a mapped file, a stream of batches, and Parquet files read in
pieces. Here with few rows, so that the page builds quickly; nothing in the code depends on how many there are.
"""
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas

import fastsgd

folder = Path(tempfile.mkdtemp())
rng = np.random.default_rng(0)
ROWS, PIECE, COLUMNS = 100_000, 10_000, 20
direction = rng.normal(size=COLUMNS)


def piece(number):
    """Rows of a table that is never in memory at once; the label says on which side of a surface they lie."""
    rng = np.random.default_rng(number)
    X = rng.normal(size=(PIECE, COLUMNS)).astype(np.float32)
    return X, ((X @ direction + X[:, 0] * X[:, 1]) > 0).astype(np.int64)


X_test, y_test = piece(10_000)

# %%
# A mapped file
# -------------
#
# An ``.npy`` file is written piece by piece, and trained on in place: its path is enough. Blocks of rows are
# shuffled and read ahead by a thread.

mapped = np.lib.format.open_memmap(folder / "rows.npy", "w+", np.float32, (ROWS, COLUMNS))
labels = np.empty(ROWS, np.int64)
for number in range(ROWS // PIECE):
    where = slice(number * PIECE, (number + 1) * PIECE)
    mapped[where], labels[where] = piece(number)
mapped.flush()
del mapped

net = fastsgd.Network([COLUMNS, 64, 2], seed=0)
looked_at = {"validation": (X_test, y_test), "evaluate_every": 100}                      # steps of 100 rows
from_map = fastsgd.train(net, folder / "rows.npy", labels, optimizer=fastsgd.Adam(0.003), epochs=2, seed=0, **looked_at)
print(f"mapped file: {net.score(X_test, y_test):.4f} of the test rows")

# %%
# A stream
# --------
#
# :func:`fastsgd.train_stream` takes batches from a function of the epoch's number, or from any iterator: a database
# cursor, a queue, a generator. Rows are shuffled within windows.


def batches(epoch):
    for number in range(ROWS // PIECE):
        yield piece(number)


net = fastsgd.Network([COLUMNS, 64, 2], seed=0)
streamed = fastsgd.train_stream(net, batches, optimizer=fastsgd.Adam(0.003), epochs=2, seed=0, **looked_at)
print(f"stream: {net.score(X_test, y_test):.4f}")

# %%
# Parquet files
# -------------
#
# :func:`fastsgd.streams.arrow` reads Parquet or Arrow files, or a folder of them, a piece at a time. Their columns
# must be numbers.

names = [f"x{i}" for i in range(COLUMNS)]
(folder / "parts").mkdir()
for number in range(ROWS // PIECE):
    X, y = piece(number)
    pandas.DataFrame(X, columns=names).assign(label=y).to_parquet(folder / "parts" / f"{number:03}.parquet")

source = fastsgd.streams.arrow(sorted((folder / "parts").glob("*.parquet")), target="label")
net = fastsgd.Network([COLUMNS, 64, 2], seed=0)
from_files = fastsgd.train_stream(net, source, optimizer=fastsgd.Adam(0.003), epochs=2, seed=0, **looked_at)
print(f"Parquet: {net.score(X_test, y_test):.4f}")

# %%
# Which one?
# ----------
#
# They learn alike: rows are shuffled in each.

_, ax = plt.subplots(figsize=(6, 3.2), layout="constrained")
for history, label in ((from_map, "mapped file"), (streamed, "stream"), (from_files, "Parquet")):
    ax.plot(100 * np.array(history.validation_steps), history.validation_cost, label=label)
ax.set(xlabel="rows seen", ylabel="cost of the test rows")
ax.legend()

# %%
# A mapped file is the fastest, and has checkpoints within an epoch. A stream needs no copy of the data. Tables with
# categories, dates or missing values that do not fit memory are learned in pieces by
# ``fastsgd train 'folder/*.parquet' --target label --workers 4 --out model.safetensors``, or see :doc:`many_machines`.
