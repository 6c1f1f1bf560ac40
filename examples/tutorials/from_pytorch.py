"""
From PyTorch
============

A training script of a small network, before and after. Both start from the same weights and see the same
mini-batches in the same order, so that their costs can be compared number by number.
"""
import time

import matplotlib.pyplot as plt
import numpy as np
import torch

import fastsgd

torch.manual_seed(0)
torch.set_num_threads(1)                    # which is faster for a network of this size
(X, y), (X_test, y_test) = fastsgd.datasets.digits()
module = torch.nn.Sequential(torch.nn.Linear(64, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10))

# %%
# The network comes over with its weights. The loss belongs to it: ``CrossEntropyLoss`` of PyTorch takes what comes
# before the softmax, and here the softmax is part of the network.

net = fastsgd.interop.from_torch(module, loss="cross_entropy")
net

# %%
# Before: a loop
# --------------

shuffled = [np.random.default_rng(epoch).permutation(len(X)) for epoch in range(20)]
batches = [np.array_split(rows, 15) for rows in shuffled]

optimizer = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9)
loss = torch.nn.CrossEntropyLoss()
rows, labels = torch.from_numpy(X), torch.from_numpy(y.astype(np.int64))
costs_of_torch = []
begin = time.perf_counter()
for epoch in batches:
    for batch in epoch:
        optimizer.zero_grad()
        cost = loss(module(rows[batch]), labels[batch])
        cost.backward()
        optimizer.step()
        costs_of_torch.append(cost.item())
print(f"PyTorch: {time.perf_counter() - begin:.3f} s")

# %%
# After
# -----
#
# The same steps, one by one with :meth:`fastsgd.Network.step`, to see that they are the same:

sgd = fastsgd.SGD(0.1, momentum=0.9)
costs = [net.step(X[batch], y[batch], sgd) for epoch in batches for batch in epoch]
difference = max(abs(net.weights[0] - module[0].weight.detach().numpy().T).max(),
                 abs(net.weights[1] - module[2].weight.detach().numpy().T).max())
print(f"largest difference of a weight after {len(costs)} steps: {difference:.1e}")

_, ax = plt.subplots(figsize=(6, 3.2), layout="constrained")
ax.semilogy(costs_of_torch, ".", color="#d55e00", markersize=5, label="PyTorch")
ax.semilogy(costs, color="#0072b2", linewidth=1, label="fastsgd")
ax.set(xlabel="step", ylabel="cost of the mini-batch")
ax.legend()

# %%
# In a script of your own the loop goes away. :func:`fastsgd.train` shuffles, makes the steps of an epoch in one call of
# compiled code, and looks after validation, early stopping, logs and checkpoints.

net = fastsgd.Network([64, 128, 10], seed=0)
begin = time.perf_counter()
history = fastsgd.train(net, X, y, optimizer=sgd, batch_size=96, epochs=20, seed=0)
print(f"fastsgd: {time.perf_counter() - begin:.3f} s, test accuracy {net.score(X_test, y_test):.3f}")

# %%
# And back
# --------

again = fastsgd.interop.to_torch(net)
print(again)

# %%
# =====================================  =======================================================
# PyTorch                                fastsgd
# =====================================  =======================================================
# ``nn.Linear``, ``nn.ReLU`` ...         ``Network([64, 128, 10], activation="relu")``
# ``CrossEntropyLoss()``                 ``loss="cross_entropy"``
# ``CrossEntropyLoss(label_smoothing)``  ``train(..., label_smoothing=0.1)``
# ``nn.Dropout(0.2)``                    ``train(..., dropout=0.2)``
# ``optim.AdamW(lr, weight_decay)``      ``fastsgd.AdamW(lr, weight_decay=)``, with the same meaning
# ``clip_grad_norm_``                    ``AdamW(..., clip_norm=1.0)``
# ``lr_scheduler``                       ``AdamW(schedules.Cosine(0.003))``, or any function of the step
# ``StepLR(optimizer, 10)``, per epoch   ``schedules.StepDecay(0.1, every=10 * steps)``: schedules count steps
# ``ReduceLROnPlateau``                  ``callbacks=[fastsgd.ReduceOnPlateau(patience=5)]``
# validation, the best epoch kept        ``train(..., validation=0.2, callbacks=[fastsgd.EarlyStopping(10)])``
# ``DataLoader``                         arrays, a memory map, or ``train_stream`` of an iterator
# ``torch.save``, ``load``               ``net.save``, ``Network.load``, or ``train(..., checkpoint=)``
# ``model.eval()``, ``no_grad()``        ``net.predict``
# =====================================  =======================================================
#
# Convolutions, recurrence, attention, GPUs, and dropout in front of the first ``Linear`` have no counterpart. A loss of
# your own needs a loop around ``net.step``: :doc:`/howto/custom-loss-and-metrics`.
