"""
Bands between quantiles
=======================

A network with the loss :class:`fastsgd.losses.MeanQuantiles` predicts the mean and several quantiles of one target at
once. Here the noise is skewed and its spread depends on the input: the bands follow both.
"""
import matplotlib.pyplot as plt
import numpy as np

import fastsgd
from fastsgd import losses

rng = np.random.default_rng(0)
x = rng.uniform(0, 10, (3000, 1))
y = 3 * np.sin(x[:, 0]) + x[:, 0] + rng.exponential(0.3 + 0.25 * x[:, 0])

levels = [0.05, 0.25, 0.75, 0.95]
net = fastsgd.Network([1, 64, 64, 1 + len(levels)], activation="silu", loss=losses.MeanQuantiles(levels), seed=0,
                      input_scale=0.4, input_offset=-2.0, output_scale=y.std(), output_offset=y.mean())
fastsgd.train(net, x, y, optimizer=fastsgd.Adam(fastsgd.schedules.Cosine(0.01)), epochs=100, seed=0)

grid = np.linspace(0, 10, 300)
mean, low, lower, upper, high = net.predict(grid[:, np.newaxis]).T
_, ax = plt.subplots(layout="constrained")
ax.plot(x[::3, 0], y[::3], ".", color="0.6", markersize=3, label="a third of the rows")
ax.fill_between(grid, low, high, color="tab:blue", alpha=0.2, linewidth=0, label="quantiles 0.05 to 0.95")
ax.fill_between(grid, lower, upper, color="tab:blue", alpha=0.4, linewidth=0, label="quantiles 0.25 to 0.75")
ax.plot(grid, mean, color="tab:blue", label="mean")
ax.set(xlabel="x", ylabel="y", title="Mean and quantiles of one network")
ax.legend(loc="upper left")
plt.show()
