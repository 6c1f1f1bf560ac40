"""
Paths on the loss surface
=========================

:func:`fastsgd.descent.trajectory` descends from the same weights with mini-batches and with the gradient of all rows,
and finds the plane that shows most of both ways. :func:`fastsgd.descent.cost_surface` computes the cost on this plane,
and :func:`fastsgd.plots.descent` draws the paths on it.
"""
import matplotlib.pyplot as plt

import fastsgd
from fastsgd import descent, plots

(X, y), _ = fastsgd.datasets.digits()
net = fastsgd.Network([64, 32, 10], seed=0)
both = descent.trajectory(net, X, y, batch_sizes=(10, None), steps=300, optimizer=fastsgd.SGD(0.2), seed=0)
surface = descent.cost_surface(net, X, y, both, resolution=31)

# %%
# Both make the same number of steps. A step with a mini-batch takes a fraction of the time.

_, ax = plt.subplots(figsize=(6.4, 7), layout="constrained")
plots.descent(both, surface, ax)
plt.show()

# %%
# The same as a landscape. The paths lie as high as their own cost.

ax = plt.figure(figsize=(6.4, 6)).add_axes((0, 0.05, 0.95, 0.79), projection="3d")
plots.descent(both, surface, ax, view="3d")
plt.show()
