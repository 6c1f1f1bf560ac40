"""
Numeric embeddings
==================

A network has difficulty with a function that goes up and down many times in one input.
:class:`fastsgd.layers.Columns` encodes the number first: by trained periodic features
(:class:`~fastsgd.layers.Periodic`), or by how far it has come through each of several bins
(:class:`~fastsgd.layers.PiecewiseLinear`).
"""
import matplotlib.pyplot as plt
import numpy as np

import fastsgd
from fastsgd.layers import Columns, Periodic, PiecewiseLinear, quantile_edges


def wiggly(x):
    return np.sin(12 * x**2) + 0.5 * x


rng = np.random.default_rng(0)
x = rng.uniform(-2, 2, (2000, 1))
y = wiggly(x[:, 0]) + 0.1 * rng.standard_normal(len(x))
first_layers = {
    "the number itself": [],
    "Periodic": [Columns(numbers=Periodic(sigma=1.0))],
    "PiecewiseLinear, 64 bins": [Columns(numbers=PiecewiseLinear(quantile_edges(x, 64)))],
}

grid = np.linspace(-2, 2, 800)
_, axes = plt.subplots(3, figsize=(6.4, 7.5), sharex=True, sharey=True, layout="constrained")
for ax, (name, layers) in zip(axes, first_layers.items(), strict=True):
    net = fastsgd.Network([1, *layers, 64, 64, 1], loss="squared_error", seed=0)
    fastsgd.train(net, x, y, optimizer=fastsgd.Adam(fastsgd.schedules.Cosine(0.003)), batch_size=50, epochs=50, seed=0)
    error = np.sqrt(np.mean((net.predict(grid[:, np.newaxis])[:, 0] - wiggly(grid)) ** 2))
    ax.plot(grid, wiggly(grid), color="0.6", linewidth=3, label="true function")
    ax.plot(grid, net.predict(grid[:, np.newaxis]), color="tab:blue", label="network")
    ax.set(ylabel="y", title=f"{name}: root mean squared error {error:.2f}")
axes[0].legend(loc="upper left", ncols=2)
axes[-1].set_xlabel("x")
plt.show()
