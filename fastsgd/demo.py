"""``fastsgd demo``: a digit network from the first step to predictions, in a few seconds."""
from __future__ import annotations

import sys

import numpy as np

import fastsgd

SIZES = [64, 128, 10]
RATES = (0.03, 0.1, 0.3, 1.0)  # learning rates tried for either kind of descent
INK = " .:-=+*#%@"


def demo(out: str) -> int:
    """Trains, compares mini-batch steps with full gradient descent, checks the gradients, saves and predicts."""
    (X, y), (X_test, y_test) = fastsgd.datasets.digits()
    config = fastsgd.config()
    print(f"fastsgd {fastsgd.__version__} on {config['isa']}, up to {config['cores']} threads")
    print(f"UCI optdigits: {len(X):,} handwritten digits of 8 x 8 pixels to train on, {len(X_test)} held out\n")

    print(f"1. Mini-batch SGD trains a {'-'.join(map(str, SIZES))} network, 100 digits a step")
    net = fastsgd.Network(SIZES, seed=0)
    fastsgd.train(net, X, y, optimizer=fastsgd.SGD(0.1, momentum=0.9), batch_size=100, epochs=20, seed=0,
                  validation=(X_test, y_test), callbacks=[fastsgd.Progress(sys.stdout)])
    print(f"   {net.score(X_test, y_test):.1%} of the held-out digits are read correctly\n")

    print("2. The same wall time for full gradient descent: every step follows the true gradient of all digits,")
    print("   each kind of descent from the same start, without momentum, at the best of the learning rates "
          f"{', '.join(map(str, RATES))}")
    compare(X, y, X_test, y_test)

    error = fastsgd.check_gradient(net, X[:8], y[:8])
    print(f"3. Backpropagation against finite differences: largest relative error {error:.1e}\n")

    net.save(out)
    loaded = fastsgd.Network.load(out)
    print(f"4. Saved as {out} and loaded again; it reads held-out digits:\n")
    draw(X_test[:6], loaded.predict(X_test[:6]), y_test[:6])
    return 0


def compare(X, y, X_test, y_test) -> None:
    """Prints a table of both descents after a quarter, half, and all of the same time."""
    start = fastsgd.Network(SIZES, seed=0)
    fastsgd.train(start.copy(), X, y, epochs=5)                     # wakes the threads before any clock runs
    seconds = sum(fastsgd.train(start.copy(), X, y, epochs=20, seed=0).seconds)
    print(f"   {'':24}{'steps':>7} {'time':>9} {'cost':>9} {'held-out accuracy':>19}")
    for name, batch_size in (("mini-batches of 100", 100), (f"full gradient, {len(X):,}", None)):
        runs = [descend(start.copy(), X, y, batch_size, rate, seconds) for rate in RATES]
        for time, steps, net in min(runs, key=lambda run: run[-1][2].cost(X, y)):
            print(f"   {name:24}{steps:7,} {time * 1e3:6.1f} ms {net.cost(X, y):9.4f} "
                  f"{net.score(X_test, y_test):19.1%}")
            name = ""
    print()


def descend(net, X, y, batch_size, rate, seconds):
    """``[(time, steps, network), ...]`` after a quarter, half and all of the seconds, steps alone counted."""
    marks = []

    def watch(run):
        elapsed = sum(run.history.seconds)
        while len(marks) < 3 and elapsed >= seconds * (0.25, 0.5, 1)[len(marks)]:
            marks.append((elapsed, run.history.steps, run.net.copy()))
        run.stop = len(marks) == 3

    fastsgd.train(net, X, y, optimizer=fastsgd.SGD(rate), batch_size=batch_size, epochs=100_000, seed=0,
                  callbacks=[watch])
    return marks


def draw(images: np.ndarray, probabilities: np.ndarray, labels: np.ndarray) -> None:
    """Images (n, 64) side by side in characters, with what the network says of each."""
    for row in range(8):
        line = "   ".join("".join(INK[round(float(value) * 9)] * 2 for value in image[8 * row:8 * row + 8])
                          for image in images)
        print(f"   {line}")
    captions = [f"{p.argmax()} ({p.max():.0%})" + ("" if p.argmax() == label else f", is {label}")
                for p, label in zip(probabilities, labels, strict=True)]
    print("   " + "   ".join(f"{caption:16}" for caption in captions))
