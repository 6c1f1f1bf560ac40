"""Other libraries with threads of their own in the same process: right results in every order of import, and times.

    python tests/soak/shared_cores.py --count 120          # orders of import, each in a process of its own
    python tests/soak/shared_cores.py --times              # what each costs right after the other, and by itself

Each library multiplies matrices on its own threads before, between and after trainings by fastsgd. Right means: the
parameters have the same bits as in a process without the others, and the products are those of float64.
"""
import argparse
import hashlib
import importlib.util
import itertools
import os
import random
import subprocess
import sys
import time

PRODUCTS = {
    "numpy": "import numpy; product = lambda a, b: a @ b",
    "scipy": "import scipy.linalg.blas; product = lambda a, b: scipy.linalg.blas.sgemm(1, a, b)",
    "sklearn": "import sklearn.metrics; product = lambda a, b: "
               "-(sklearn.metrics.pairwise.euclidean_distances(a, b.T, squared=True) - (a * a).sum(1)[:, None] "
               "- (b * b).sum(0)) / 2",
    "torch": "import torch; product = lambda a, b: (torch.from_numpy(a) @ torch.from_numpy(b)).numpy()",
    "fastsgd": "import fastsgd; product = None",
}


def present() -> list[str]:
    return [name for name in PRODUCTS if importlib.util.find_spec(name)]


def multiply_with(names):
    """Functions of two matrices, of these libraries, imported in this order."""
    functions = {}
    for name in names:
        scope: dict = {}
        exec(PRODUCTS[name], scope)
        if scope["product"]:
            functions[name] = scope["product"]
    return functions


def train(epochs=2, rows=3000):
    import numpy as np

    import fastsgd
    rng = np.random.default_rng(0)
    X, y = rng.random((rows, 100), dtype=np.float32), rng.integers(0, 10, rows)
    net = fastsgd.Network([100, 200, 200, 10], seed=0)
    fastsgd.train(net, X, y, epochs=epochs, seed=0, threads=2)
    return hashlib.sha256(net.params.tobytes() + net.predict(X, threads=2).tobytes()).hexdigest()


def one_order(names) -> str:
    """Runs in a process of its own; the hash of what fastsgd computed among the others."""
    functions = multiply_with(names)
    import numpy as np
    rng = np.random.default_rng(1)
    a, b = (rng.random((400, 400), dtype=np.float32) for _ in range(2))
    right = a.astype(float) @ b.astype(float)
    hashes = set()
    for _ in range(3):
        for name, product in functions.items():
            np.testing.assert_allclose(product(a, b), right, rtol=1e-3, err_msg=name)
            hashes.add(train())
            np.testing.assert_allclose(product(a, b), right, rtol=1e-3, err_msg=name)
    assert len(hashes | {train()}) == 1, "the bits changed"
    return train()


def run_order(names) -> str:
    result = subprocess.run([sys.executable, __file__, "--order", ",".join(names)], capture_output=True, text=True,
                            timeout=300, check=False)
    if result.returncode:
        raise AssertionError(f"{' '.join(names)}: exit {result.returncode}\n{result.stdout}{result.stderr}")
    return result.stdout.strip()


def orders(count: int) -> list[tuple[str, ...]]:
    every = list(itertools.permutations(present()))
    random.Random(0).shuffle(every)
    return every[:count]


SPINS = 0.1             # seconds that OpenBLAS's idle threads go on after a product
STRANGER = """
import sys, time
for line in sys.stdin:
    end = time.monotonic() + float(line)
    while time.monotonic() < end:
        pass
"""


def times(repeats=15) -> list[str]:
    """Medians, in milliseconds, of a training by itself and right after each product, and the products likewise.

    What contention explains is seen beside a stranger: a process that only spins, as long as idle threads do.
    """
    functions = multiply_with(present())
    import numpy as np
    rng = np.random.default_rng(1)
    a, b = (rng.random((1000, 1000), dtype=np.float32) for _ in range(2))
    stranger = subprocess.Popen([sys.executable, "-c", STRANGER], stdin=subprocess.PIPE, text=True, bufsize=1)

    def spin():
        stranger.stdin.write(f"{SPINS}\n")

    def ours():
        return train(5, 20_000)

    def taken(function, before=lambda: None):
        time.sleep(0.3)
        before()
        begin = time.perf_counter()
        function()
        return 1e3 * (time.perf_counter() - begin)

    ours()
    heads = ("training", "after it", "beside a stranger", "product", "after ours")
    lines = [" " * 10 + "".join(f"{head:>18}" for head in heads)]
    for name, product in functions.items():
        def theirs(product=product):
            return product(a, b)
        theirs()
        rows = [[taken(ours), taken(ours, theirs), taken(ours, spin), taken(theirs), taken(theirs, ours)]
                for _ in range(repeats)]
        lines.append(f"{name:10}" + "".join(f"{median:18.1f}" for median in np.median(rows, axis=0)))
    stranger.stdin.close()
    stranger.wait()
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=120)
    parser.add_argument("--order", help="of import, in this process")
    parser.add_argument("--times", action="store_true")
    arguments = parser.parse_args()
    if arguments.order:
        print(one_order(arguments.order.split(",")))
    elif arguments.times:
        print("\n".join(times()))
    else:
        begin, alone = time.perf_counter(), run_order(["fastsgd"])
        tried = orders(arguments.count)
        for names in tried:
            assert run_order(names) == alone, names
        print(f"{len(tried)} orders of {', '.join(present())}: all right, {time.perf_counter() - begin:.0f} s, "
              f"{os.cpu_count()} cores")


if __name__ == "__main__":
    main()
