"""
Learning curves
===============

Cost and accuracy of training and validation rows, epoch by epoch. ``train`` returns a :class:`~fastsgd.History`,
which :func:`fastsgd.plots.history` draws.
"""
import fastsgd
from fastsgd import plots

train, test = fastsgd.datasets.digits()
net = fastsgd.Network([64, 128, 10], seed=0)
history = fastsgd.train(net, *train, optimizer=fastsgd.SGD(0.1, momentum=0.9), epochs=30, seed=0, validation=test)
plots.history(history)
