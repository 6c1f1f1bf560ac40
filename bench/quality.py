"""``python -m bench.quality``: test scores of the estimators and of scikit-learn's, default settings, several seeds.

Rows are standardised (MNIST's pixels are divided by 255). A row is good where the mean score is at least that of
scikit-learn less half of its standard deviation.
"""
from __future__ import annotations

import argparse
import statistics
import time
import warnings

import numpy as np
import sklearn.datasets
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

import fastsgd
from bench import machine
from bench.estimators import estimator

CLASSIFIERS, REGRESSORS = ("MLPClassifier", "SGDClassifier"), ("MLPRegressor", "SGDRegressor")
DATA = {"digits": CLASSIFIERS, "breast_cancer": CLASSIFIERS, "wine": CLASSIFIERS, "diabetes": REGRESSORS,
        "MNIST": CLASSIFIERS}


def load(name: str) -> tuple:
    """``(X, X_test, y, y_test)``."""
    if name == "MNIST":
        (X, y), (X_test, y_test) = fastsgd.datasets.mnist(download=False)
        return X, X_test, y, y_test
    X, y = getattr(sklearn.datasets, f"load_{name}")(return_X_y=True)
    X, X_test, y, y_test = train_test_split(X, y, random_state=0)
    scaler = StandardScaler().fit(X)
    return scaler.transform(X), scaler.transform(X_test), y, y_test


def scores(kind: str, data: tuple, seeds: int) -> tuple[list[float], list[float], list[float]]:
    """Test scores, epochs and seconds of fits with so many seeds."""
    X, X_test, y, y_test = data
    found, epochs, seconds = [], [], []
    for seed in range(seeds):
        begin = time.perf_counter()
        model = kind(random_state=seed).fit(X, y)
        seconds.append(time.perf_counter() - begin)
        found.append(model.score(X_test, y_test))
        epochs.append(model.n_iter_)
    return found, epochs, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10, help="fits of each (%(default)s)")
    parser.add_argument("--data", default="", help="only data sets whose name contains this")
    options = parser.parse_args()
    print(f"{machine.describe('scikit-learn')}; {options.seeds} seeds\n")
    print("| data, estimator | fastsgd | scikit-learn | difference in its deviations | epochs | seconds of a fit |\n"
          "|---|---|---|---|---|---|")
    for name, kinds in DATA.items():
        if options.data not in name:
            continue
        data = load(name)
        for kind in kinds:
            rows = []
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                for module in (fastsgd, sklearn):
                    rows.append(scores(estimator(module, kind), data, options.seeds))
            (own, own_epochs, own_seconds), (other, other_epochs, other_seconds) = rows
            spread = statistics.stdev(other)
            distance = (statistics.mean(own) - statistics.mean(other)) / spread if spread else np.nan
            print(f"| {name}, {kind} | {statistics.mean(own):.4f} ± {statistics.stdev(own):.4f} | "
                  f"{statistics.mean(other):.4f} ± {spread:.4f} | {distance:+.2f} | "
                  f"{statistics.mean(own_epochs):.0f}, {statistics.mean(other_epochs):.0f} | "
                  f"{statistics.median(own_seconds):.3g}, {statistics.median(other_seconds):.3g} |", flush=True)


if __name__ == "__main__":
    main()
