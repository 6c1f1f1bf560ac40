"""
A stream that drifts
====================

``partial_fit`` of :class:`~fastsgd.SGDClassifier` learns from one batch after the other. The boundary between the
classes turns slowly. A model that goes on learning follows it, one that stops after the first batches does not.
"""
import copy

import matplotlib.pyplot as plt
import numpy as np

from fastsgd import SGDClassifier

rng = np.random.default_rng(0)


def batch(number):
    X = rng.normal(size=(200, 2))
    angle = np.pi * number / 150
    return X, (X @ [np.cos(angle), np.sin(angle)] + 0.3 * rng.normal(size=200) > 0).astype(int)


going_on = SGDClassifier("log_loss", learning_rate="constant", eta0=0.1, random_state=0)
stopped, scores = None, []
for number in range(150):
    X, y = batch(number)
    if number > 14:                       # each batch is predicted before it is learned
        scores.append((number, going_on.score(X, y), stopped.score(X, y)))
    going_on.partial_fit(X, y, classes=[0, 1])
    if number < 15:
        stopped = copy.deepcopy(going_on)

number, follows, stays = np.transpose(scores)
_, ax = plt.subplots(layout="constrained")
ax.plot(number, follows, label="goes on learning")
ax.plot(number, stays, label="stopped after 15 batches")
ax.axhline(0.5, color="0.6", linestyle=":", label="chance")
ax.set(xlabel="batch", ylabel="accuracy on the batch", title="A boundary that turns", ylim=(0, 1))
ax.legend(loc="lower left")
plt.show()
