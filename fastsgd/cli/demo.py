"""``fastsgd demo``: a digit network from the first step to predictions, in a few seconds."""
from __future__ import annotations

import sys

import numpy as np

import fastsgd

SIZES = [64, 128, 10]
SECONDS = 0.2  # of either kind of descent
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

    print(f"2. Mini-batches against full gradient descent: {SECONDS:g} s each from the same start, without momentum,")
    print("   each at its own best learning rate")
    race = fastsgd.descent.race(fastsgd.Network(SIZES, seed=0), X, y, (100, None), seconds=SECONDS, seed=0)
    print("   " + str(race).replace("\n", "\n   "))
    print('   fastsgd race and fastsgd descent draw it: pip install "fastsgd[plot]"\n')

    error = fastsgd.check_gradient(net, X[:8], y[:8])
    print(f"3. Backpropagation against finite differences: largest relative error {error:.1e}\n")

    net.save(out)
    loaded = fastsgd.Network.load(out)
    print(f"4. Saved as {out} and loaded again; it reads held-out digits:\n")
    draw(X_test[:6], loaded.predict(X_test[:6]), y_test[:6])
    return 0


def draw(images: np.ndarray, probabilities: np.ndarray, labels: np.ndarray) -> None:
    """Images (n, 64) side by side in characters, with what the network says of each."""
    for row in range(8):
        line = "   ".join("".join(INK[round(float(value) * 9)] * 2 for value in image[8 * row:8 * row + 8])
                          for image in images)
        print(f"   {line}")
    captions = [f"{p.argmax()} ({p.max():.0%})" + ("" if p.argmax() == label else f", is {label}")
                for p, label in zip(probabilities, labels, strict=True)]
    print("   " + "   ".join(f"{caption:16}" for caption in captions))
