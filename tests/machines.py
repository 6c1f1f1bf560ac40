"""A Dask cluster whose scheduler and workers are processes of their own, which tests may kill."""
from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import multiprocessing
import os
import sys
import time
from pathlib import Path
from unittest import mock

import dask.array as da
import numpy as np

import fastsgd
import fastsgd.distributed as fd

SECONDS = 60
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["distributed", "dask.array", "dask.dataframe", "fastsgd.distributed.estimators"])


class Machines:
    """A scheduler and workers in processes that are forked from one which has imported all they need."""

    def __init__(self, folder: Path, workers: int = 2, threads: int = 1):
        from distributed import Client
        self._folder, self._threads = folder, threads
        address = folder / "scheduler.address"
        self.scheduler = start(run_scheduler, str(address))
        self.address = wait_for(lambda: address.read_text() if address.exists() else "", "the scheduler to start")
        self.workers = [self.add() for _ in range(workers)]
        self.client = Client(self.address, timeout=SECONDS, set_as_default=False)
        self.client.wait_for_workers(workers, timeout=SECONDS) if workers else None

    def add(self, **environment: str):
        """The process of one more worker, which is there a moment later."""
        return start(run_worker, self.address, self._threads, str(self._folder), environment)

    def grow(self, workers: int) -> None:
        """Starts workers until there are so many that live, and waits for all."""
        self.workers = [process for process in self.workers if process.is_alive()]
        self.workers += [self.add() for _ in range(workers - len(self.workers))]
        self.client.wait_for_workers(workers, timeout=SECONDS)

    def shrink(self, workers: int) -> None:
        """Kills workers until so many are left, and waits until the scheduler knows."""
        while len(self.workers) > workers:
            self.kill()
        wait_for(lambda: len(self.client.scheduler_info()["workers"]) == workers, "workers to be gone")

    def kill(self) -> None:
        """Kills the oldest worker, as a system does that runs out of memory."""
        process = self.workers.pop(0)
        process.kill()
        process.join()

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self.client.close(timeout=2)
        for process in [*self.workers, self.scheduler]:
            process.kill()
            process.join()

    def __enter__(self) -> Machines:
        return self

    def __exit__(self, *_) -> None:
        self.close()


def start(function, *arguments):
    """A process of its own that calls a function of a module."""
    process = PROCESSES.Process(target=function, args=arguments, daemon=True)
    with mock.patch.dict(os.environ, PYTHONSAFEPATH="1"):        # a checkout here is not to hide the installed package
        process.start()
    return process


def wait_for(ready, what: str):
    """What ``ready()`` returns, once it is something."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        if found := ready():
            return found
        time.sleep(0.02)
    raise TimeoutError(f"waited in vain for {what}")


def run_scheduler(path: str) -> None:
    async def run() -> None:
        from distributed import Scheduler
        async with Scheduler(host="127.0.0.1", port=0, dashboard=False) as scheduler:
            with open(f"{path}.new", "w", encoding="ascii") as file:
                file.write(scheduler.address)
            os.replace(f"{path}.new", path)
            await scheduler.finished()

    _quietly(run)


def run_worker(address: str, threads: int, folder: str, environment: dict[str, str]) -> None:
    if environment:                      # what is read at import needs an interpreter of its own
        os.environ.update(environment)
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
        code = f"import machines; machines.run_worker({address!r}, {threads}, {folder!r}, {{}})"
        os.execv(sys.executable, [sys.executable, "-P", "-W", "ignore", "-c", code])

    async def run() -> None:
        from distributed import Worker
        async with Worker(address, host="127.0.0.1", nthreads=threads, local_directory=folder,
                          dashboard=False) as worker:
            await worker.finished()

    _quietly(run)


def _quietly(run) -> None:
    logging.disable(logging.CRITICAL)
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 2)
    asyncio.run(run())


# ---- what tests and the processes of tests do there ----

def collection(rows, chunk=360):
    X, y = rows
    return da.from_array(X, chunks=(chunk, X.shape[1])), da.from_array(y, chunks=chunk)


def train(client, data, **options):
    """``(sha256 of the parameters, history, network)``."""
    net = options.pop("net", None) or fastsgd.Network([64, 32, 10], seed=0)
    history = fd.train(net, data, client=client, **{"optimizer": fastsgd.SGD(0.1, momentum=0.9), "rounds": 4, "seed": 0,
                                                    "batch_size": 20, **options})
    return hashlib.sha256(net.params.tobytes()).hexdigest(), history, net


class Fault(fastsgd.Callback):
    """Calls a function once in every round, while its tasks run."""

    def __init__(self, function):
        self.function, self.round = function, 0

    def on_rows(self, run):
        if run.epoch > self.round:
            self.round = run.epoch
            self.function(run)


def run_client(address, checkpoint, out, rounds_done, is_to_be_killed):
    """Trains to the end, or until this process is killed, for which it waits in its last round."""
    net = fastsgd.Network([64, 32, 10], seed=0)

    def tell(run):
        rounds_done.value = run.epoch
        if is_to_be_killed and run.epoch == OF_CLIENT["rounds"]:
            time.sleep(SECONDS)

    (X, y), _ = fastsgd.datasets.digits()
    from distributed import Client
    with Client(address, set_as_default=False) as client:
        train(client, collection((X, y.astype(np.int32))), net=net, callbacks=[tell], resume=True,
              checkpoint=fastsgd.Checkpoint(checkpoint, epochs=1), **OF_CLIENT)
    net.save(out)


OF_CLIENT = {"rounds": 7, "optimizer": fastsgd.Adam(0.01), "memory": "keep"}


def pretend(version):
    from fastsgd.distributed import tasks
    own = tasks.__dict__.setdefault("_own_versions", tasks.versions)
    tasks.versions = own if version is None else lambda: own()._replace(fastsgd=version)
