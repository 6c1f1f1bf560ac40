"""The estimators against scikit-learn's: seconds of an epoch of ``fit``, microseconds of one row's prediction.

An epoch is the difference between fits of many and of one, divided by the epochs between. First both fit from the same
initial weights in the order of the rows, and must end alike.
"""
from __future__ import annotations

import statistics
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import fastsgd
from bench import machine
from bench.cases import _mnist
from fastsgd.engine.machine import cores

REST = 0.3


@dataclass(frozen=True)
class FitCase:
    """Fits of one estimator on some data, by fastsgd and by scikit-learn."""

    name: str
    kind: str                            # the estimator
    data: Callable[[], tuple]
    parameters: dict
    epochs: int                          # timed, after the first

    def timed(self, module, data: tuple, **more) -> Callable[[], float]:
        """A function that returns the seconds of an epoch."""
        def fit(epochs: int) -> float:
            begin = time.perf_counter()
            estimator(module, self.kind)(max_iter=epochs, random_state=0, **self.parameters, **more).fit(*data)
            return time.perf_counter() - begin

        def run() -> float:
            first = fit(1)
            return (fit(1 + self.epochs) - first) / self.epochs
        return run


def estimator(module, kind: str):
    """The class of this name of fastsgd or scikit-learn."""
    if module is fastsgd:
        return getattr(fastsgd, kind)
    import sklearn.linear_model
    import sklearn.neural_network
    return getattr(sklearn.neural_network, kind, None) or getattr(sklearn.linear_model, kind)


def digits(dtype: str) -> Callable[[], tuple]:
    """MNIST."""
    return lambda: (_mnist()[0].astype(dtype), _mnist()[1])


def text(classes: int) -> Callable[[], tuple]:
    """100,000 rows, 50,000 columns, 75 entries a row, of which some columns are far more frequent than others."""
    def make() -> tuple:
        from scipy.sparse import csr_matrix
        rng = np.random.default_rng(0)
        columns = np.sort((50_000 * rng.random((100_000, 75)) ** 2.5).astype(np.int32), axis=1)
        X = csr_matrix((rng.random(columns.size), columns.ravel(), np.arange(0, columns.size + 1, 75)),
                       shape=(100_000, 50_000))
        X.sum_duplicates()
        return X, rng.integers(0, classes, 100_000)
    return make


CASES = [
    FitCase("MLPClassifier, MNIST, float32", "MLPClassifier", digits("float32"), {}, 3),
    FitCase("MLPClassifier, MNIST, float64", "MLPClassifier", digits("float64"), {}, 3),
    FitCase("SGDClassifier, MNIST, float64", "SGDClassifier", digits("float64"), {"tol": None}, 1),
    FitCase("SGDClassifier, text, 2 classes", "SGDClassifier", text(2), {"tol": None}, 4),
    FitCase("SGDClassifier, text, 20 classes", "SGDClassifier", text(20), {"tol": None}, 2),
]


def check_equal(case: FitCase, data: tuple) -> float:
    """How far both end apart after an epoch in the order of the rows: losses, or the coefficients of linear models."""
    import sklearn.linear_model
    found, start = [], None
    same = {"shuffle": False, "max_iter": 1, "random_state": 0, **case.parameters}
    for module in (sklearn.linear_model, fastsgd):
        if case.kind == "SGDClassifier":
            found.append(estimator(module, case.kind)(**same).fit(*data).coef_)
            continue
        model = estimator(module, case.kind)(warm_start=True, **same).fit(data[0][:200], data[1][:200])
        if start is None:
            start = [[array.copy() for array in arrays] for arrays in (model.coefs_, model.intercepts_)]
        model.coefs_, model.intercepts_ = ([array.copy() for array in arrays] for arrays in start)
        found.append(np.array(model.fit(*data).loss_))
    difference = float(abs(found[0] - found[1]).max() / abs(found[0]).max())
    if not difference <= 1e-3:
        sys.exit(f"bench: {case.name}: the fits end {difference:g} apart: they do different work")
    return difference


def measure(repeat: int) -> None:
    """Prints both tables."""
    import sklearn.linear_model
    print("| seconds of an epoch | fastsgd | 1 thread | scikit-learn | times as long | as 1 thread's | end apart by |\n"
          "|---|---|---|---|---|---|---|")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for case in CASES:
            data = case.data()
            difference = check_equal(case, data)
            runs = {"own": case.timed(fastsgd, data), "alone": case.timed(fastsgd, data, n_jobs=1),
                    "theirs": case.timed(sklearn.linear_model, data)}
            seconds: dict[str, list[float]] = {name: [] for name in runs}
            for _ in range(repeat):
                for name, run in runs.items():
                    time.sleep(REST)
                    seconds[name].append(run())
            own, alone, theirs = (statistics.median(seconds[name]) for name in runs)
            ratios = [statistics.median(t / o for t, o in zip(seconds["theirs"], seconds[name], strict=True))
                      for name in ("own", "alone")]
            print(f"| {case.name} | {own:.4f} | {alone:.4f} | {theirs:.4f} | {ratios[0]:.1f}x | {ratios[1]:.1f}x | "
                  f"{difference:.0e} |", flush=True)
        print(f"\n({cores()} cores; scikit-learn's MLP multiplies on all of them)\n")
        predict_rows(repeat)


def predict_rows(repeat: int) -> None:
    """One row at a time."""
    import sklearn.linear_model
    print("| microseconds, one row | fastsgd | scikit-learn | times as long |\n|---|---|---|---|")
    X, y = _mnist()[0][:2000], _mnist()[1][:2000]
    for name, kind, method, parameters in (
            ("MLPClassifier.predict_proba", "MLPClassifier", "predict_proba", {"max_iter": 2}),
            ("MLPClassifier.predict", "MLPClassifier", "predict", {"max_iter": 2}),
            ("SGDClassifier.predict_proba", "SGDClassifier", "predict_proba", {"loss": "log_loss", "max_iter": 2}),
            ("SGDClassifier.predict", "SGDClassifier", "predict", {"max_iter": 2})):
        calls = [getattr(estimator(module, kind)(random_state=0, **parameters).fit(X, y), method)
                 for module in (fastsgd, sklearn.linear_model)]

        def thousand(call) -> None:
            for _ in range(1000):
                call(X[:1])
        seconds = machine.in_turn({i: (lambda call=call: thousand(call)) for i, call in enumerate(calls)}, repeat)
        own, theirs = (1e3 * statistics.median(seconds[i]) for i in range(2))
        print(f"| {name}, 784 columns | {own:.1f} | {theirs:.1f} | {theirs / own:.0f}x |", flush=True)
