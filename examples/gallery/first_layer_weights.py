"""
Weights of the first layer as images
====================================

Each hidden unit of a network on images has one weight for each pixel. :func:`fastsgd.plots.weights` draws them as
images, the units with the longest weights first, here of networks that were trained without and with weight decay.
"""
import matplotlib.pyplot as plt

import fastsgd
from fastsgd import plots

train, test = fastsgd.datasets.digits()


def trained(weight_decay):
    net = fastsgd.Network([64, 40, 10], seed=0)
    optimizer = fastsgd.AdamW(fastsgd.schedules.Cosine(0.01), weight_decay=weight_decay)
    fastsgd.train(net, *train, optimizer=optimizer, epochs=150, seed=0)
    return net


_, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
plots.weights(trained(weight_decay=0.0), units=32, ax=ax)
ax.set_title("without weight decay")
plt.show()

# %%
# With weight decay the units that the network does not need are empty.

_, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
plots.weights(trained(weight_decay=1.0), units=32, ax=ax)
ax.set_title("with weight decay")
plt.show()
