"""
Many machines
=============

The same training on a Dask cluster. Here the cluster is two workers within this process; another address is all that
changes for a real one. The result has the same bits on any number of workers.
"""
import time

import dask.array as da
import matplotlib.pyplot as plt
import numpy as np
from dask.distributed import Client, LocalCluster

import fastsgd
import fastsgd.distributed
from fastsgd import plots

# %%
# Rows in pieces
# --------------
#
# A collection (dask.array, dask.dataframe, Parquet files, delayed objects) lies in chunks, on workers or on disk.

train, test = fastsgd.datasets.digits()
rows = tuple(da.from_array(each, chunks=(360, *each.shape[1:])) for each in train)
cluster = LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=":0")
client = Client(cluster)

# %%
# Rounds
# ------
#
# In each round every partition trains by itself from the same parameters, which then move by the mean of all
# partitions' changes. A round is an epoch where nothing else is said.

net = fastsgd.Network([64, 64, 10], seed=0)
history = fastsgd.distributed.train(net, rows, client=client, rounds=20, batch_size=20, seed=0, validation=test,
                                    optimizer=fastsgd.SGD(0.1, momentum=0.9))
print(history)
plots.rounds(history)

# %%
# The partitions are part of the mathematics, the workers are not:

cluster.scale(1)
while len(client.scheduler_info()["workers"]) > 1:
    time.sleep(0.05)
again = fastsgd.Network([64, 64, 10], seed=0)
fastsgd.distributed.train(again, rows, client=client, rounds=20, batch_size=20, seed=0,
                          optimizer=fastsgd.SGD(0.1, momentum=0.9))
print("the same bits on one worker:", np.array_equal(net.params, again.params))

# %%
# Against one machine
# -------------------

alone = fastsgd.Network([64, 64, 10], seed=0)
one = fastsgd.train(alone, *train, optimizer=fastsgd.SGD(0.1, momentum=0.9), batch_size=20, epochs=20, seed=0,
                    validation=test)
fig, ax = plt.subplots(figsize=(6, 3.5), layout="constrained")
ax.plot(range(1, 21), one.validation_metric, label="one machine")
ax.plot(range(1, 21), history.validation_metric, label="4 partitions")
ax.set(xlabel="epochs", ylabel="accuracy of held-out digits")
ax.legend()
client.close()
cluster.close()

# %%
# A round's communication costs tens of milliseconds, so a cluster pays where epochs take minutes or the rows fit no
# single machine. :doc:`/reference/distributed` has measurements, estimators on collections, and what happens when
# workers die.
