"""``python -m bench.latency``: predictions of one row and of a few, fastsgd against onnxruntime and others.

First the predictions are shown equal, then the calls are timed in turn: microseconds, medians. onnxruntime runs on one
thread, its best setting here, through run() with the same inputs each time.
"""
from __future__ import annotations

import argparse
import importlib.util
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import fastsgd
from bench.machine import describe
from fastsgd.engine import reference
from fastsgd.interop import to_onnx, to_torch


@dataclass(frozen=True)
class Case:
    """So many rows through a network."""

    sizes: tuple[int, ...]
    rows: int

    @property
    def name(self) -> str:
        return f"{'-'.join(map(str, self.sizes))}, {self.rows} row{'s' * (self.rows > 1)}"


CASES = [Case((32, 64, 64, 1), 1), Case((784, 128, 10), 1), Case((32, 64, 64, 1), 16), Case((784, 128, 10), 32),
         Case((784, 128, 10), 1000)]


def network(case: Case) -> tuple[fastsgd.Network, np.ndarray]:
    loss = "cross_entropy" if case.sizes[-1] > 1 else "squared_error"
    X = np.random.default_rng(0).random((case.rows, case.sizes[0]), dtype=np.float32)
    return fastsgd.Network(case.sizes, loss=loss, seed=0), X


def onnxruntime(net: fastsgd.Network, X: np.ndarray) -> Callable[[], np.ndarray]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(to_onnx(net).SerializeToString(), options, ["CPUExecutionProvider"])
    names, feed = ["output"], {"X": X}
    return lambda: session.run(names, feed)[0]


def pytorch(net: fastsgd.Network, X: np.ndarray) -> Callable[[], np.ndarray]:
    import torch

    torch.set_num_threads(1)
    model, rows = to_torch(net), torch.from_numpy(X)

    @torch.inference_mode()
    def run() -> np.ndarray:
        return model(rows).numpy()
    return run


def numpy_reference(net: fastsgd.Network, X: np.ndarray) -> Callable[[], np.ndarray]:
    return lambda: reference.forward(net.architecture, net.params, X)[1][-1]


def callers(case: Case) -> dict[str, Callable[[], np.ndarray]]:
    net, X = network(case)
    predictor = net.compile_predictor(case.rows)
    found: dict[str, Callable[[], np.ndarray]] = {"fastsgd": lambda: net.predict(X), "compiled": lambda: predictor(X),
                                                  "NumPy": numpy_reference(net, X)}
    if importlib.util.find_spec("onnxruntime") and importlib.util.find_spec("onnx"):
        found["onnxruntime"] = onnxruntime(net, X)
    if importlib.util.find_spec("torch"):
        found["PyTorch"] = pytorch(net, X)
    return found


def measure(case: Case, repeat: int) -> dict[str, float]:
    """Microseconds a call, the median of so many rounds in turn."""
    found = callers(case)
    expected = found["fastsgd"]()
    for name, call in found.items():
        np.testing.assert_allclose(call(), expected, rtol=1e-4, atol=1e-5, err_msg=name)
    times: dict[str, list[float]] = {name: [] for name in found}
    for _ in range(repeat):
        for name, call in found.items():
            calls = 0
            begin = time.perf_counter()
            while calls < 200 or time.perf_counter() - begin < 0.01:
                for _ in range(20):
                    call()
                calls += 20
            times[name].append((time.perf_counter() - begin) / calls * 1e6)
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=15, help="rounds, the median counts (%(default)s)")
    options = parser.parse_args()
    print(describe("onnxruntime", "torch") + "\n")
    for number, case in enumerate(CASES):
        found = measure(case, options.repeat)
        if not number:
            print("| net, rows | " + " | ".join(found) + " | against onnxruntime |\n|" + "---|" * (len(found) + 2))
        ratio = f"{found['onnxruntime'] / found['fastsgd']:.1f}x" if "onnxruntime" in found else "-"
        print(f"| {case.name} | " + " | ".join(f"{value:.2f}" for value in found.values()) + f" | {ratio} |",
              flush=True)


if __name__ == "__main__":
    main()
