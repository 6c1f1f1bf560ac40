"""Threads and processes: 32 threads predict while another trains; children by fork, spawn, forkserver and loky train.

    python tests/soak/processes.py --calls 10000 --count 1000
"""
import argparse
import multiprocessing
import os
import signal
import threading
import time
from unittest import mock

import numpy as np

import fastsgd


def train(seed):
    """The parameters' bytes after a short training on two threads."""
    (X, y), _ = fastsgd.datasets.digits()
    net = fastsgd.Network([64, 32, 10], seed=seed)
    fastsgd.train(net, X[:600], y[:600], epochs=2, seed=seed, threads=2)
    return net.params.tobytes()


def predict_at_once(threads: int, calls: int) -> float:
    """So many threads predict with one network and one predictor while others train; seconds. All must be right."""
    (X, _), _ = fastsgd.datasets.digits()
    net = fastsgd.Network([64, 128, 10], seed=0)
    sizes = (1, 3, 100, 700)
    inputs = [np.ascontiguousarray(X[:rows], dtype=np.float32) for rows in sizes]
    expected = [net.predict(rows) for rows in inputs]
    predictor = net.compile_predictor(3)
    wrong: list = []
    over = threading.Event()
    trained: list = []

    def predict(number):
        for call in range(calls):
            kind = (number + call) % 16
            kind = kind if kind < 4 else kind % 2            # mostly few rows
            found = predictor(inputs[1]) if kind == 1 and call % 2 else net.predict(inputs[kind], threads=1 + call % 2)
            if not (found == expected[kind]).all():
                wrong.append((number, call))

    def keep_training():
        while not over.is_set():
            trained.append(train(len(trained) % 3))

    workers = [threading.Thread(target=predict, args=(number,)) for number in range(threads)]
    trainers = [threading.Thread(target=keep_training) for _ in range(2)]
    right = [train(seed) for seed in range(3)]
    begin = time.perf_counter()
    for thread in workers + trainers:
        thread.start()
    for thread in workers:
        thread.join()
    seconds = time.perf_counter() - begin
    over.set()
    for thread in trainers:
        thread.join()
    assert not wrong, wrong[:5]
    assert set(trained) <= set(right), "a training among the threads has other bits"
    return seconds


def forks(count: int, limit: float = 30.0) -> int:
    """Children forked while threads of this process train and predict; each trains to the right bits. How many did."""
    right = train(1)
    over = threading.Event()

    def work():
        while not over.is_set():
            train(0)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for number in range(count):
            child = os.fork()
            if child == 0:
                signal.alarm(int(limit))                     # ends a child that hangs
                os._exit(0 if train(1) == right else 3)
            _, status = os.waitpid(child, 0)
            assert status == 0, f"child {number} ended with status {status}: " + (
                "it hung" if os.WIFSIGNALED(status) else "its bits are others")
    finally:
        over.set()
        for thread in threads:
            thread.join()
    return count


def pools(method: str, count: int) -> int:
    """Children of a pool that train; how many were right."""
    right = [train(seed) for seed in range(4)]
    context = multiprocessing.get_context(method)
    # A fork server that begins here may import fastsgd (tests/machines.py): not from a checkout that is not compiled.
    with mock.patch.dict(os.environ, PYTHONSAFEPATH="1"), \
            context.Pool(2, maxtasksperchild=10 if method == "spawn" else 2) as pool:
        found = pool.map_async(train, [number % 4 for number in range(count)], chunksize=1).get(timeout=60 + 5 * count)
    assert all(found[number] == right[number % 4] for number in range(count)), method
    return count


def loky(count: int) -> int:
    import joblib
    right = [train(seed) for seed in range(4)]
    found = joblib.Parallel(n_jobs=2)(joblib.delayed(train)(number % 4) for number in range(count))
    assert all(found[number] == right[number % 4] for number in range(count)), "loky"
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--threads", type=int, default=32)
    parser.add_argument("--calls", type=int, default=10_000, help="of each thread")
    parser.add_argument("--count", type=int, default=1000, help="of children, for each way to start them")
    arguments = parser.parse_args()
    seconds = predict_at_once(arguments.threads, arguments.calls)
    print(f"{arguments.threads} threads, {arguments.calls} predictions each, beside trainings: all right, "
          f"{seconds:.1f} s", flush=True)
    ways = {"forks while threads train": forks, "loky": loky,
            **{method: lambda n, method=method: pools(method, n) for method in multiprocessing.get_all_start_methods()}}
    for name, way in ways.items():
        begin = time.perf_counter()
        print(f"{name}: {way(arguments.count)} children trained to the right bits, "
              f"{time.perf_counter() - begin:.1f} s", flush=True)


if __name__ == "__main__":
    main()
