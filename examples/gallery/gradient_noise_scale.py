"""
Gradient noise during the training
==================================

The gradient noise scale says, in rows, how large a mini-batch must be before its gradient is mostly signal.
:class:`fastsgd.descent.NoiseLog` measures it on the way and :func:`fastsgd.descent.gradient_noise` at one place, which
:func:`fastsgd.plots.gradient_noise` draws.
"""
import matplotlib.pyplot as plt

import fastsgd
from fastsgd import descent, plots

(X, y), _ = fastsgd.datasets.digits()
net = fastsgd.Network([64, 64, 10], seed=0)

# %%
# Before the training the gradients of mini-batches point the way of the gradient of all rows.

_, ax = plt.subplots(layout="constrained")
plots.gradient_noise(descent.gradient_noise(net, X, y, batch_size=50, seed=0), ax)
plt.show()

# %%
# As the cost falls, the rows agree less and less about the direction, and the noise scale grows. ``share`` is the part
# of the time that the measurements may take, so that their number depends on the machine.

log = descent.NoiseLog(X, y, rows=256, share=1.0, memory=0.7, seed=0)
history = fastsgd.train(net, X, y, optimizer=fastsgd.SGD(0.1), batch_size=50, epochs=10, seed=0, callbacks=[log])

_, (above, below) = plt.subplots(2, sharex=True, layout="constrained")
steps = [history.steps // history.epochs * epoch for epoch in range(1, history.epochs + 1)]
above.plot(steps, history.cost, marker=".")
above.set(ylabel="training cost", ylim=(0, None), title="Cost and gradient noise scale")
below.plot(log.steps, log.noise_scale, color="tab:orange", marker=".")
below.set(xlabel="steps", ylabel="noise scale (rows)", ylim=(0, None))
plt.show()

# %%
# The same picture after the training.

_, ax = plt.subplots(layout="constrained")
plots.gradient_noise(descent.gradient_noise(net, X, y, batch_size=50, seed=0), ax)
plt.show()
