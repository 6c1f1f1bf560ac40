"""
Optimizers compared
===================

Four optimizers train the same network on the same rows, each with a learning rate of its own: :class:`~fastsgd.SGD`
with momentum, :class:`~fastsgd.Adam` and :class:`~fastsgd.Muon` with a schedule that falls to zero, and
:class:`~fastsgd.ScheduleFreeAdamW`, whose rate rises once and stays.
"""
import matplotlib.pyplot as plt

import fastsgd
from fastsgd.schedules import Cosine, WarmUp

train, test = fastsgd.datasets.digits()
optimizers = {
    "SGD, momentum 0.9": fastsgd.SGD(Cosine(0.1), momentum=0.9),
    "Adam": fastsgd.Adam(Cosine(0.01)),
    "Muon": fastsgd.Muon(Cosine(0.01)),
    "ScheduleFreeAdamW": fastsgd.ScheduleFreeAdamW(WarmUp(50, 0.01)),
}

_, (left, right) = plt.subplots(1, 2, figsize=(8, 4.4), layout="constrained")
for name, optimizer in optimizers.items():
    net = fastsgd.Network([64, 64, 64, 10], seed=0)
    history = fastsgd.train(net, *train, optimizer=optimizer, epochs=30, seed=0, validation=test)
    left.plot(range(1, 31), history.cost, label=name)
    right.plot(range(1, 31), history.validation_cost, label=name)

left.set(xlabel="epoch", ylabel="mean cost of a row", yscale="log", title="training rows")
right.set(xlabel="epoch", yscale="log", title="test rows")
left.legend()
plt.show()
