"""A Dask cluster whose scheduler and workers are processes of their own, which tests may kill."""
from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from distributed import Client

SECONDS = 60


class Machines:
    """A scheduler and workers, started as ``dask scheduler`` and ``dask worker`` are, without nannies."""

    def __init__(self, folder: Path, workers: int = 2, threads: int = 1):
        self._file, self._folder, self._threads = folder / "scheduler.json", folder, threads
        self.scheduler = self._start("dask_scheduler", "--port", "0", "--host", "127.0.0.1", "--scheduler-file",
                                     str(self._file))
        self._address = self._wait(self._read_address, "the scheduler has not started")
        self.workers = [self.add() for _ in range(workers)]
        self.client = Client(self._address, timeout=SECONDS, set_as_default=False)
        self.client.wait_for_workers(workers, timeout=SECONDS)

    def add(self, **environment: str) -> subprocess.Popen:
        """One more worker, which is there a few seconds later."""
        return self._start("dask_worker", self._address, "--no-nanny", "--nthreads", str(self._threads), "--host",
                           "127.0.0.1", "--death-timeout", "20", "--local-directory", str(self._folder), **environment)

    def kill(self, number: int = 0) -> None:
        """Kills the worker of this number, as the system does that runs out of memory."""
        process = self.workers.pop(number)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def close(self) -> None:
        self.client.close(timeout=2)
        for process in [*self.workers, self.scheduler]:
            process.kill()
            process.wait()

    def __enter__(self) -> Machines:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def _start(self, module: str, *options: str, **environment: str) -> subprocess.Popen:
        log = open(self._folder / f"{module}.log", "ab")                  # noqa: SIM115 - the process has it
        own = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **environment}
        with log:
            return subprocess.Popen([sys.executable, "-W", "ignore", "-m", f"distributed.cli.{module}", "--no-dashboard",
                                     *options], stdout=log, stderr=log, env={**os.environ, **own})

    def _read_address(self) -> str | None:
        try:
            return json.loads(self._file.read_text())["address"]
        except (OSError, ValueError, KeyError):
            return None

    def _wait(self, ready, what: str):
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            if found := ready():
                return found
            time.sleep(0.05)
        raise TimeoutError(what)
