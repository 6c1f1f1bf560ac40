"""
Class weights and thresholds
============================

Where one class is rare, a network seldom names it. ``class_weight="balanced"`` in :func:`fastsgd.train` makes both
classes count alike, which finds more of the rare rows and raises more false alarms. A lower threshold on the
probabilities of the unweighted network does about the same.
"""
import matplotlib.pyplot as plt
from sklearn.datasets import make_classification
from sklearn.metrics import precision_recall_curve, precision_score, recall_score

import fastsgd

X, y = make_classification(12000, 10, n_informative=5, weights=[0.96], class_sep=1.0, flip_y=0.01, random_state=0)
train, test = slice(0, 6000), slice(6000, 12000)

_, ax = plt.subplots(layout="constrained")
for class_weight, colour in ((None, "tab:blue"), ("balanced", "tab:orange")):
    net = fastsgd.Network([10, 32, 2], seed=0)
    fastsgd.train(net, X[train], y[train], optimizer=fastsgd.Adam(0.003, weight_decay=1e-3), epochs=20, seed=0,
                  class_weight=class_weight)
    probability = net.predict(X[test])[:, 1]
    precision, recall, _ = precision_recall_curve(y[test], probability)
    ax.plot(recall, precision, color=colour, label=f"class_weight={class_weight!r}")
    for threshold, marker in ((0.5, "o"), (0.1, "s")):
        named = probability > threshold
        ax.plot(recall_score(y[test], named), precision_score(y[test], named), marker, color=colour, markersize=9,
                markeredgecolor="black")

ax.plot([], [], "o", color="white", markeredgecolor="black", markersize=9, label="threshold 0.5")
ax.plot([], [], "s", color="white", markeredgecolor="black", markersize=9, label="threshold 0.1")
ax.set(xlabel="recall: part of the rare rows that are found", ylabel="precision: part of the alarms that are right",
       title="A class of few rows", ylim=(0, 1.03))
ax.legend(loc="lower left")
plt.show()
