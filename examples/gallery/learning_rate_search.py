"""
Many learning rates searched at once
====================================

An optimizer may have one learning rate for each member of a network. With the same seed for all of them, one call of
:func:`fastsgd.train` tries all the rates from the same initial weights. A member that diverges keeps what it had.
"""
import matplotlib.pyplot as plt
import numpy as np

import fastsgd

(X, y), (X_test, y_test) = fastsgd.datasets.digits()
rates = np.geomspace(1e-4, 3, 24)
_, ax = plt.subplots(layout="constrained")
for optimizer in (fastsgd.SGD(rates.tolist(), momentum=0.9), fastsgd.Adam(rates.tolist())):
    net = fastsgd.Network([64, 32, 10], members=len(rates), seed=[0] * len(rates))
    fastsgd.train(net, X, y, optimizer=optimizer, epochs=15, seed=0)
    costs = [net.member(i).cost(X_test, y_test) for i in range(len(rates))]
    best = int(np.argmin(costs))
    line, = ax.plot(rates, costs, marker=".", label=f"{type(optimizer).__name__}, best {rates[best]:.2g}")
    ax.plot(rates[best], costs[best], "o", color=line.get_color(), markersize=10)

ax.set(xlabel="learning rate", ylabel="mean cost of a test row", xscale="log", yscale="log", ylim=(None, 10),
       title="15 epochs with each of 24 learning rates")
ax.legend()
plt.show()
