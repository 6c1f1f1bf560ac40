"""
An ensemble of members
======================

``Network(..., members=16)`` is sixteen networks that begin with different seeds and train side by side in one call.
:meth:`fastsgd.Network.predict_members` gives the predictions of each, ``predict`` their mean. The mean of some members
is compared with each of them alone.
"""
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_classification

import fastsgd

X, y = make_classification(6000, 20, n_informative=6, n_classes=3, class_sep=0.6, flip_y=0, random_state=0)
train, test = slice(0, 1500), slice(1500, 6000)
seeds = list(range(16))
net = fastsgd.Network([20, 64, 3], members=16, seed=seeds)
fastsgd.train(net, X[train], y[train], optimizer=fastsgd.Adam(0.003), batch_size=50, epochs=40, seed=seeds)


def log_loss(probabilities):
    true_class = probabilities[..., np.arange(len(y[test])), y[test]]
    return -np.log(np.maximum(true_class, 1e-12)).mean(axis=-1)


each = net.predict_members(X[test])
count = np.arange(1, 17)
mean_of_first = np.cumsum(each, axis=0) / count[:, np.newaxis, np.newaxis]

_, ax = plt.subplots(layout="constrained")
ax.plot(count, log_loss(each), "o", color="0.6", label="each member alone")
ax.plot(count, log_loss(mean_of_first), color="tab:blue", marker="o", label="mean of the members up to this one")
ax.set(xlabel="member", ylabel="log loss of the test rows", title="Sixteen networks and their mean")
ax.margins(y=0.1)
ax.legend(loc="center right")
plt.show()
