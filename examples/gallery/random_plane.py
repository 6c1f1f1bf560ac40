"""
A random plane through a trained network
========================================

:func:`fastsgd.descent.random_plane` draws two random directions, scaled unit by unit to the network's weights, and
:func:`fastsgd.descent.cost_surface` computes the cost on the plane along them. At 1 a direction is as long as the
weights themselves.
"""
import matplotlib.pyplot as plt
import numpy as np

import fastsgd
from fastsgd import descent

(X, y), _ = fastsgd.datasets.digits()
net = fastsgd.Network([64, 64, 10], seed=0)
fastsgd.train(net, X, y, optimizer=fastsgd.SGD(0.1, momentum=0.9), epochs=20, seed=0)
surface = descent.cost_surface(net, X, y, descent.random_plane(net, seed=0), resolution=41)

figure, ax = plt.subplots(figsize=(6.4, 5.2), layout="constrained")
levels = np.geomspace(surface.cost.min(), surface.cost.max(), 25)
filled = ax.contourf(surface.x, surface.y, surface.cost, levels, norm="log", cmap="viridis")
ax.contour(surface.x, surface.y, surface.cost, levels[::3], colors="white", linewidths=0.5)
ax.plot(0, 0, "o", color="tab:orange", markeredgecolor="white", markersize=9, label="the trained network")
bar = figure.colorbar(filled, label="mean cost", ticks=[0.01, 0.1, 1, 10], format="{x:g}")
bar.minorticks_off()
ax.set(xlabel="first direction", ylabel="second direction", aspect="equal", title="Cost on a random plane")
ax.legend(loc="upper right")
plt.show()
