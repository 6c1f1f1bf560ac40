"""
A script that survives the night
================================

A long training that is killed loses at most a few seconds: it writes a checkpoint as it goes, and the same command
resumes from it, to the same bits as if nothing had happened.
"""
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import fastsgd

# %%
# The script
# ----------
#
# ``checkpoint=`` names a file, ``resume=True`` continues from it where it exists. So the script is the same for the
# first start and for every later one. A log goes to a CSV file; :class:`~fastsgd.EarlyStopping` and
# :class:`~fastsgd.TimeLimit` end it in good time.

SCRIPT = """
import fastsgd

(X, y), validation = fastsgd.datasets.digits()
net = fastsgd.Network([64, 512, 512, 10], seed=0)
history = fastsgd.train(net, X, y, optimizer=fastsgd.AdamW(fastsgd.schedules.Cosine(0.001)), epochs=60, seed=0,
                        batch_size=20, validation=validation, resume=True,
                        checkpoint=fastsgd.Checkpoint("run.ckpt", seconds=0.2),
                        callbacks=[fastsgd.CSVLogger("log.csv"), fastsgd.TimeLimit(8 * 3600)])
net.save("digits.safetensors")
print(f"{len(history.cost)} epochs, validation cost {history.validation_cost[-1]:.4f}")
"""

folder = Path(tempfile.mkdtemp())
(folder / "night.py").write_text(SCRIPT)


def start():
    return subprocess.Popen([sys.executable, "night.py"], cwd=folder, stdout=subprocess.PIPE, text=True)


# %%
# The night
# ---------
#
# The process is killed twice while it trains, by the signal that no process can catch. The third start is let alone.

killed = []
for _ in range(2):
    process = start()
    begin = time.perf_counter()
    written = (folder / "run.ckpt").stat().st_mtime if (folder / "run.ckpt").exists() else 0.0
    while process.poll() is None and time.perf_counter() - begin < 60:
        if (folder / "run.ckpt").exists() and (folder / "run.ckpt").stat().st_mtime > written:
            break
        time.sleep(0.01)
    time.sleep(0.3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    killed.append(len((folder / "log.csv").read_text().splitlines()) - 1)
    print("killed; the log has", killed[-1], "epochs")
print(start().communicate()[0], end="")

# %%
# The morning
# -----------
#
# The same script without interruptions gives the same parameters, to the bit.


def costs():
    return np.genfromtxt(folder / "log.csv", delimiter=",", names=True)["validation_cost"]


interrupted, costs_interrupted = fastsgd.Network.load(folder / "digits.safetensors"), costs()
for name in ("run.ckpt", "log.csv", "digits.safetensors"):
    (folder / name).unlink()
print(start().communicate()[0], end="")
in_one_go = fastsgd.Network.load(folder / "digits.safetensors")
print("the same bits:", np.array_equal(interrupted.params, in_one_go.params))

_, ax = plt.subplots(figsize=(6, 3.2), layout="constrained")
epochs = np.arange(1, len(costs_interrupted) + 1)
ax.semilogy(epochs, costs(), color="#0072b2", linewidth=1, label="in one go")
ax.semilogy(epochs, costs_interrupted, ".", color="#d55e00", label="killed twice")
for epoch in killed:
    ax.axvline(epoch + 0.5, color="#666", linestyle=":")
ax.set(xlabel="epoch", ylabel="validation cost")
ax.legend()

# %%
# A Ctrl-C, a full disk or a lost machine are no different: files are written whole or not at all. The command does the
# same with a folder: ``fastsgd train houses.csv --target price --run night``, and later the same with ``--resume``.
