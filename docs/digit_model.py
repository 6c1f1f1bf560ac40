"""A network that reads digits of 8 x 8 pixels, as ONNX."""
import numpy as np

import fastsgd


def train_and_export(path):
    (X, y), test = fastsgd.datasets.digits()
    moved = [np.roll(X.reshape(-1, 8, 8), shift, axis=(1, 2)).reshape(-1, 64)
             for shift in ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0))]
    net = fastsgd.Network([64, 128, 64, 10], seed=0)
    fastsgd.train(net, np.concatenate(moved), np.tile(y, len(moved)), optimizer=fastsgd.AdamW(0.003), dropout=0.2,
                  batch_size=64, epochs=30, seed=0)
    fastsgd.interop.to_onnx(net, path)
    return net.score(*test)
