"""
Downhill
========

What mini-batches do, on a small digit network and in pictures: what backpropagation asks for, why an average over
all rows is slow, how good the approximation by a few rows is, and what both ways down look like.
"""
import matplotlib.pyplot as plt
import numpy as np

import fastsgd
from fastsgd import descent, plots

(X, y), (X_test, y_test) = fastsgd.datasets.digits()
net = fastsgd.Network([64, 32, 10], seed=0)

# %%
# What one example asks for
# -------------------------
#
# A network reads an image of 8 x 8 pixels and gives ten probabilities. The *cost* of a row is small where the
# probability of the right digit is large. Backpropagation computes the *gradient*: how the cost changes with each
# weight and bias. The opposite direction is what this row asks for. Here is what three rows ask for,
# of the weights between the pixels and the hidden unit that each wants to change most: another unit or another change,
# and only where the row's own pixels are dark.

fig, axes = plt.subplots(2, 3, figsize=(6, 4.2), layout="constrained")
for column, row in enumerate(np.unique(y, return_index=True)[1][[1, 3, 6]]):
    asks_for = -net.gradient(X[row:row + 1], y[row:row + 1])
    unit = asks_for[:64 * 32].reshape(64, 32)
    axes[0, column].imshow(X[row].reshape(8, 8), cmap="gray_r")
    axes[0, column].set_title(f"row {row}, a {y[row]}")
    strongest = np.abs(unit).sum(axis=0).argmax()
    axes[1, column].imshow(unit[:, strongest].reshape(8, 8), cmap="RdBu",
                           vmin=-np.abs(unit).max(), vmax=np.abs(unit).max())
    axes[1, column].set_title(f"asks of hidden unit {strongest}")
for ax in axes.flat:
    ax.set(xticks=[], yticks=[])

# %%
# Why mini-batches
# ----------------
#
# The cost to be lowered is the mean over *all* rows, so the true gradient is the mean of what all rows ask for. It
# takes a pass over all of them for a single step. :func:`fastsgd.descent.gradient_noise` draws many mini-batches
# instead, and compares the gradient of each with the true one: a cosine of 1 is the same direction, 0 a right
# angle.

cosines = {}
for batch_size in (1, 3, 10, 30, 100, 300):
    noise = descent.gradient_noise(net, X, y, batch_size=batch_size, seed=0)
    cosines[batch_size] = noise.cosines.mean()
    print(f"{batch_size:4} rows, {len(X) / batch_size:7.1f} steps in an epoch: cosine {cosines[batch_size]:.3f}")

fig, ax = plt.subplots(figsize=(6, 3.5), layout="constrained")
ax.semilogx(list(cosines), list(cosines.values()), "o-")
ax.set(xlabel="rows in a mini-batch", ylabel="cosine with the true gradient", ylim=(0, 1.02))
ax.grid(alpha=0.3)

# %%
# A mini-batch of 100 rows costs a fourteenth of a full gradient, and points nearly the same way. So the rows are
# shuffled and divided into mini-batches, and each step follows the gradient of one of them.
#
# Two ways down
# -------------
#
# Full gradient descent is a careful man, who looks at the whole slope before each slow step. Mini-batch descent is
# a drunk man, who stumbles down with quick steps. :func:`fastsgd.descent.trajectory` gives both the same time from
# the same start, and :func:`fastsgd.descent.cost_surface` computes the cost on the plane in which most of both
# paths lies.

both = descent.trajectory(net, X, y, batch_sizes=(10, None), optimizer=fastsgd.SGD(0.3), seconds=0.05, seed=0)
surface = descent.cost_surface(net, X, y, both)
plots.descent(both, surface, view="3d")
print(both)

# %%
# The race
# --------
#
# The clock decides. :func:`fastsgd.descent.race` tries learning rates for each batch size, and gives each its best.

race = descent.race(net, X, y, batch_sizes=(1, 10, 100, None), seconds=0.5, seed=0)
plots.race(race)
print(race)

# %%
# The same as a training
# ----------------------
#
# :func:`fastsgd.train` is this descent with everything around it: validation, schedules, early stopping, checkpoints.

history = fastsgd.train(net, X, y, optimizer=fastsgd.SGD(0.1, momentum=0.9), batch_size=20, epochs=20, seed=0,
                        validation=(X_test, y_test))
plots.history(history)
print(f"{net.score(X_test, y_test):.1%} of the held-out digits are read correctly")
