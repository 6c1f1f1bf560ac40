"""
Learning rates compared
=======================

The same network, trained with plain :class:`~fastsgd.SGD` and five learning rates. Too small a rate is slow, with too
large a one the cost does not come down. :func:`fastsgd.train` returns both figures of each epoch in its
:class:`~fastsgd.History`.
"""
import matplotlib.pyplot as plt

import fastsgd

train, test = fastsgd.datasets.digits()
epochs = range(1, 31)
_, (above, below) = plt.subplots(2, figsize=(6.4, 6.4), sharex=True, layout="constrained")
for rate in (0.003, 0.03, 0.3, 1.0, 3.0):
    net = fastsgd.Network([64, 64, 10], seed=0)
    history = fastsgd.train(net, *train, optimizer=fastsgd.SGD(rate), batch_size=50, epochs=len(epochs), seed=0,
                            validation=test)
    above.plot(epochs, history.cost, label=f"{rate:g}")
    below.plot(epochs, history.validation_metric)

above.set(ylabel="mean cost of a training row", yscale="log", title="Learning rates of SGD")
below.set(xlabel="epoch", ylabel="accuracy on the test rows", ylim=(0, 1.02))
above.legend(title="learning rate", ncols=2)
plt.show()
