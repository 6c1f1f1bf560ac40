"""Does a process that fits, predicts, saves and loads again and again stay as small as it was?"""
import argparse
import re
import tempfile
import time
from pathlib import Path

import fastsgd


def resident():
    """Bytes of this process that are in memory."""
    return 1024 * int(re.search(r"VmRSS:\s+(\d+) kB", Path("/proc/self/status").read_text())[1])


def grown(cycles, warm_up, estimator=False):
    """By how many bytes the process grows over so many cycles after a warm-up."""
    (X, y), _ = fastsgd.datasets.digits()
    X, y = X[:100], y[:100]
    with tempfile.TemporaryDirectory() as folder:
        for i in range(warm_up + cycles):
            if i == warm_up:
                before = resident()
            if estimator:
                model = fastsgd.MLPClassifier((8,), max_iter=2, n_iter_no_change=5, tol=0, random_state=i)
                model.fit(X, y).predict(X)
            net = fastsgd.Network([64, 128, 10], seed=i)
            fastsgd.train(net, X, y, epochs=2, batch_size=20, seed=i, checkpoint=f"{folder}/run.ckpt")
            net.predict(X)
            net.save(f"{folder}/net")
            fastsgd.Network.load(f"{folder}/net")
        return resident() - before


def main():
    import warnings
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--estimator", action="store_true", help="fit an MLPClassifier in each cycle, too")
    options = parser.parse_args()
    begin = time.monotonic()
    size = grown(options.count, 500, options.estimator)
    print(f"{options.count} cycles: {size / 2**20:+.2f} MiB, {time.monotonic() - begin:.0f} s")
    raise SystemExit(size >= 10**6)


if __name__ == "__main__":
    main()
