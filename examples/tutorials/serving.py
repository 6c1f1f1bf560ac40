"""
Serving with FastAPI
====================

A model file becomes a small web service. A prediction of one row takes microseconds, so it is made right in the
handler: handing it to a thread would take longer.
"""
import json
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import fastapi
import matplotlib.pyplot as plt
import numpy as np
import pydantic
import uvicorn

import fastsgd

# %%
# Train and save
# --------------

(X, y), (X_test, y_test) = fastsgd.datasets.digits()
net = fastsgd.Network([64, 128, 10], seed=0)
fastsgd.train(net, X, y, optimizer=fastsgd.SGD(0.1, momentum=0.9), epochs=20, seed=0)
path = Path(tempfile.mkdtemp()) / "digits.safetensors"
net.save(path)

# %%
# The service
# -----------
#
# ``compile_predictor(1)`` makes checks and plans once. A wrong number of columns is a ValueError whose message says
# what is wanted; the client gets it with status 422.

net = fastsgd.Network.load(path)
predict_one = net.compile_predictor(1)
app = fastapi.FastAPI()


class Digit(pydantic.BaseModel):
    pixels: list[float]


@app.post("/read")
async def read(digit: Digit) -> dict:
    try:
        probabilities = predict_one(np.array([digit.pixels], dtype=net.dtype))[0]
    except ValueError as error:
        raise fastapi.HTTPException(422, str(error)) from None
    return {"digit": int(probabilities.argmax()), "probability": float(probabilities.max())}


# %%
# Ask it
# ------
#
# Usually ``uvicorn service:app`` starts it, with as many ``--workers`` as cores, and ``FASTSGD_NUM_THREADS=1``: one
# process a core. Here it runs in a thread of this page.

server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
threading.Thread(target=server.run, daemon=True).start()
while not server.started:
    time.sleep(0.01)
port = server.servers[0].sockets[0].getsockname()[1]


def ask(pixels):
    request = urllib.request.Request(f"http://127.0.0.1:{port}/read", json.dumps({"pixels": pixels}).encode(),
                                     {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)["detail"]


for row in range(3):
    print("a", y_test[row], "is read as", ask(X_test[row].tolist()))
print(ask([0.0, 1.0]))

# %%
# What a prediction takes
# -----------------------

row = X_test[:1].copy()
pixels = row[0].tolist()


def microseconds(function, argument, times):
    taken = np.empty(times)
    for i in range(times):
        begin = time.perf_counter()
        function(argument)
        taken[i] = time.perf_counter() - begin
    return taken * 1e6


alone, asked = microseconds(predict_one, row, 10_000), microseconds(ask, pixels, 300)
server.should_exit = True
print(f"medians: {np.median(alone):.1f} microseconds a prediction, {np.median(asked):.0f} a request")

_, ax = plt.subplots(figsize=(6, 3), layout="constrained")
edges = np.geomspace(0.1, 1e5, 90)
for taken, label in ((alone, "prediction of a row"), (asked, "request")):
    ax.hist(taken, edges, weights=np.full(len(taken), 100 / len(taken)), alpha=0.8, label=label)
ax.set(xscale="log", xlabel="microseconds", ylabel="%")
ax.legend()

# %%
# Predictors are safe to call from any number of threads. A whole program with a load test is in
# :doc:`/generated/serving`; where there is no Python, :func:`fastsgd.interop.to_c` and
# :func:`fastsgd.interop.to_onnx` write the model for C and for other runtimes.
