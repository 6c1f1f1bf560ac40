"""Hashes of the parameters after training: over losses, activations, optimizers, extras, inputs and both dtypes.

    python tests/bits.py record FILE       # on one version
    python tests/bits.py compare FILE      # on another: names what differs

``tests/golden/1/bits.json`` has those of version 0.1; ``test_golden.py`` compares with it.
"""
import argparse
import hashlib
import json
import warnings
from pathlib import Path

import numpy as np

import fastsgd
from fastsgd import schedules

ROWS = 300
ACTIVATIONS = ["identity", "logistic", "tanh", "relu", "leaky_relu", "elu", "gelu", "silu", "softplus"]
MARGINS = ["hinge", "perceptron", "squared_hinge", "modified_huber"]
LOSSES = ["cross_entropy", "binary_cross_entropy", "squared_error", "absolute_error", "huber", "quantile", "poisson",
          "epsilon_insensitive", "squared_epsilon_insensitive", *MARGINS]
SGD = fastsgd.SGD
OPTIMIZERS = {
    "sgd": SGD(0.05), "momentum": SGD(0.05, momentum=0.9),
    "nesterov": SGD(0.05, momentum=0.9, nesterov=True, weight_decay=1e-3),
    "penalties": SGD(0.02, l1=1e-3, l2=1e-3, alpha=0.1),
    "cumulative l1": SGD(0.02, l1=1e-3, cumulative_l1=True),
    "polyak": SGD(0.02, average="polyak", average_from=7),
    "limits": SGD(0.02, average=0.9, clip_norm=1.0, max_norm=2.0),
    "clip_value": SGD(0.02, clip_value=0.1, bias_rate=0.5),
    "cosine": SGD(schedules.Cosine(0.05), clip_delta=0.5),
    "adam": fastsgd.Adam(0.005), "adamw": fastsgd.AdamW(0.005, weight_decay=0.1),
    "rmsprop": fastsgd.RMSprop(0.002), "rmsprop momentum": fastsgd.RMSprop(0.002, momentum=0.9),
    "adagrad": fastsgd.Adagrad(0.05),
}
WEIGHT = np.random.default_rng(2).random(ROWS)
EXTRAS = {
    "dropout": {"dropout": 0.3}, "smoothing": {"label_smoothing": 0.1}, "sample_weight": {"sample_weight": WEIGHT},
    "class_weight": {"class_weight": "balanced"}, "both weights": {"class_weight": [1, 2, 3], "sample_weight": WEIGHT},
    "accumulate": {"accumulate": 3}, "weighted_steps": {"sample_weight": WEIGHT, "weighted_steps": True},
    "validation": {"validation": 0.2}, "in order": {"shuffle": False}, "blas": {"backend": "blas"},
    "1 thread": {"threads": 1}, "2 threads": {"threads": 2},
}


def configurations():
    """``(name, sizes, activation, loss, dtype, optimizer, kind of rows, options of train)`` of each."""
    for dtype in ("float32", "float64"):
        for loss in LOSSES:
            one = 3 if loss == "cross_entropy" else 1
            for hidden in ([], [33, 20]):
                yield (f"{loss} {hidden} {dtype}", [40, *hidden, 3], "tanh", loss, dtype, "momentum", "dense", {})
                yield (f"{loss} {hidden} row by row {dtype}", [40, *hidden, one], "relu", loss, dtype, "sgd", "dense",
                       {"batch_size": 1})
        for activation in ACTIVATIONS:
            yield (f"{activation} {dtype}", [40, 65, 33, 3], activation, "cross_entropy", dtype, "adam", "dense", {})
        for optimizer in OPTIMIZERS:
            for hidden, loss in (([], "hinge"), ([48], "cross_entropy")):
                for kind in ("dense", "zeros", "bytes", "csr"):
                    for batch_size in (1, 25, None):
                        yield (f"{optimizer} {hidden} {kind} {batch_size} {dtype}", [120, *hidden, 10], "relu", loss,
                               dtype, optimizer, kind, {"batch_size": batch_size})
        for extra, options in EXTRAS.items():
            yield (f"{extra} {dtype}", [40, 50, 3], "gelu", "cross_entropy", dtype, "nesterov", "dense", options)
        yield (f"512 wide {dtype}", [784, 512, 512, 10], "relu", "cross_entropy", dtype, "sgd", "zeros",
               {"batch_size": 128})
        yield (f"1,100 wide {dtype}", [300, 1100, 1100, 10], "relu", "cross_entropy", dtype, "adam", "dense",
               {"batch_size": 256})


def data(loss, columns, outputs, kind, dtype):
    rng = np.random.default_rng(1)
    X = rng.standard_normal((ROWS, columns))
    if kind == "zeros":
        X *= rng.random(X.shape) < 0.1
    elif kind == "csr":
        from scipy.sparse import csr_array
        X = csr_array(X * (rng.random(X.shape) < 0.1))
    X = rng.integers(0, 255, (ROWS, columns)).astype(np.uint8) if kind == "bytes" else X.astype(dtype)
    labels = rng.integers(0, max(2, outputs), ROWS)
    if loss in ("cross_entropy", "binary_cross_entropy", *MARGINS):
        return X, labels if outputs > 1 else labels % 2
    return X, abs(rng.standard_normal((ROWS, outputs)))


def hash_of(sizes, activation, loss, dtype, optimizer, kind, options):
    """Of the parameters after three epochs, with the last cost; a run that diverges has a hash too."""
    X, y = data(loss, sizes[0], sizes[-1], kind, dtype)
    scale = {"input_scale": 1 / 255} if kind == "bytes" else {}
    net = fastsgd.Network(sizes, activation, loss, dtype=dtype, seed=3, **scale)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            history = fastsgd.train(net, X, y, optimizer=OPTIMIZERS[optimizer], seed=5,
                                    **{"batch_size": 25, "epochs": 3, **options})
        cost = repr(history.cost[-1])
    except FloatingPointError:
        cost = "diverged"
    return hashlib.sha256(net.params.tobytes() + cost.encode()).hexdigest()[:12]


def hashes():
    """Of all configurations, by name; and that of the random numbers beneath, which are NumPy's."""
    random = hashlib.sha256(np.random.default_rng(0).standard_normal(1000).tobytes()
                            + np.random.default_rng(0).permutation(1000).tobytes()).hexdigest()[:12]
    return {"random numbers": random, **{name: hash_of(*rest) for name, *rest in configurations()}}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("do", choices=["record", "compare"])
    parser.add_argument("file", type=Path)
    options = parser.parse_args()
    found = hashes()
    if options.do == "record":
        options.file.write_text(json.dumps(found, indent=0) + "\n")
        print(f"{len(found)} hashes")
        return 0
    expected = json.loads(options.file.read_text())
    other = [name for name in expected if found.get(name) != expected[name]]
    print(f"{len(expected) - len(other)} of {len(expected)} the same", *other, sep="\n  ")
    return bool(other)


if __name__ == "__main__":
    raise SystemExit(main())
