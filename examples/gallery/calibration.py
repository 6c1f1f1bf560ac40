"""
Calibration by a temperature
============================

A network that was trained for long is surer of itself than it should be. :func:`fastsgd.calibrate_temperature` divides
its last layer by one number, found on held-out rows. :func:`fastsgd.plots.reliability` draws how often the predicted
class is right against the probability it was given, before and after.
"""
from sklearn.datasets import make_classification

import fastsgd
from fastsgd import plots

X, y = make_classification(9000, 20, n_informative=6, n_classes=3, class_sep=0.6, flip_y=0, random_state=0)
train, held_out, test = slice(0, 3000), slice(3000, 6000), slice(6000, 9000)
net = fastsgd.Network([20, 64, 3], seed=0)
fastsgd.train(net, X[train], y[train], optimizer=fastsgd.Adam(0.003), epochs=60, seed=0)

ax = plots.reliability(y[test], net.predict(X[test]), label="before")
temperature = fastsgd.calibrate_temperature(net, X[held_out], y[held_out])
plots.reliability(y[test], net.predict(X[test]), ax, label=f"after, temperature {temperature:.2f}")
