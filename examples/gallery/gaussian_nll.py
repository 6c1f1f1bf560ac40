"""
A mean and its standard deviation
=================================

With the loss :class:`fastsgd.losses.GaussianNLL` a network predicts a mean and a standard deviation for each row. The
deviation of the noise varies with the input here, and the lower picture compares it with the predicted one.
"""
import matplotlib.pyplot as plt
import numpy as np

import fastsgd
from fastsgd import losses


def true_deviation(x):
    return 0.1 + 0.5 * np.sin(x) ** 2


rng = np.random.default_rng(0)
x = rng.uniform(-3, 3, (4000, 1))
y = np.sin(2 * x[:, 0]) + x[:, 0] + true_deviation(x[:, 0]) * rng.standard_normal(len(x))

net = fastsgd.Network([1, 64, 64, 2], activation="tanh", loss=losses.GaussianNLL(), seed=0, output_scale=y.std(),
                      output_offset=y.mean())
fastsgd.train(net, x, y, optimizer=fastsgd.Adam(fastsgd.schedules.Cosine(0.01)), epochs=100, seed=0)

grid = np.linspace(-3, 3, 300)
mean, deviation = net.predict(grid[:, np.newaxis]).T
_, (above, below) = plt.subplots(2, figsize=(6.4, 6), height_ratios=(2, 1), sharex=True, layout="constrained")
above.plot(x[::3, 0], y[::3], ".", color="0.6", markersize=3, label="a third of the rows")
above.fill_between(grid, mean - 2 * deviation, mean + 2 * deviation, color="tab:blue", alpha=0.3, linewidth=0,
                   label="mean ± 2 deviations")
above.plot(grid, mean, color="tab:blue", label="mean")
above.set(ylabel="y", title="What the network predicts")
above.legend(loc="upper left")
below.plot(grid, deviation, color="tab:blue", label="predicted")
below.plot(grid, true_deviation(grid), color="black", linestyle="--", label="true")
below.set(xlabel="x", ylabel="standard deviation", ylim=(0, None))
below.legend(loc="upper center")
plt.show()
