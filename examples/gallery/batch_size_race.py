"""
Batch sizes raced against the clock
===================================

:func:`fastsgd.descent.race` gives every batch size the same time from the same initial weights, each at the best
learning rate found for it. :func:`fastsgd.plots.race` draws the cost of all rows against the seconds of steps.
"""
import matplotlib.pyplot as plt

import fastsgd
from fastsgd import descent, plots

(X, y), _ = fastsgd.datasets.digits()
net = fastsgd.Network([64, 128, 10], seed=0)
race = descent.race(net, X, y, batch_sizes=(1, 10, 100, None), seconds=0.3, seed=0)
print(race)

_, ax = plt.subplots(figsize=(8, 5.5), layout="constrained")
plots.race(race, ax)
plt.show()

# %%
# The same against the examples seen. A small batch makes more of each example; a large one takes less time for it.

_, ax = plt.subplots(figsize=(8, 5.5), layout="constrained")
plots.race(race, ax, against="examples")
plt.show()
