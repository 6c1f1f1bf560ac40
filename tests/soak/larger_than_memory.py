"""A dataset in Parquet that no worker could hold: does it train, with each worker under 1 GB?

Writes so many gigabytes of random columns with a class that depends on them, trains on two workers of 1 GB each, looks
at the most memory that each has had, and deletes the files.
"""
import argparse
import logging
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from dask.distributed import Client, LocalCluster

import fastsgd
import fastsgd.distributed

COLUMNS, ROWS = 50, 320_000               # of a file: 64 MB


def write(folder: Path, number: int, teacher: np.ndarray) -> int:
    """A file; its bytes."""
    rng = np.random.default_rng(number)
    X = rng.standard_normal((ROWS, COLUMNS), dtype=np.float32)
    y = (np.tanh(X @ teacher).sum(axis=1) > 0).astype(np.int8)
    table = pa.table({**{f"x{i}": X[:, i] for i in range(COLUMNS)}, "y": y})
    path = folder / f"part-{number:05}.parquet"
    pq.write_table(table, path, compression="none", use_dictionary=False, row_group_size=ROWS // 2)
    return path.stat().st_size


def peak(dask_worker=None) -> int:
    """The most memory that a worker's process has had, in bytes."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where to write (the system's temporary folder)")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=options.folder))
    teacher = np.random.default_rng(0).standard_normal((COLUMNS, 8)).astype(np.float32) / 4
    try:
        begin, written, number = time.monotonic(), 0, 0
        while written < options.gigabytes * 1e9:
            written += write(folder, number, teacher)
            number += 1
        seconds = time.monotonic() - begin
        print(f"wrote {written / 1e9:.1f} GB, {number} files, {number * ROWS:,} rows in {seconds:.0f} s", flush=True)
        with LocalCluster(n_workers=2, threads_per_worker=1, memory_limit="1GB", dashboard_address=":0",
                          silence_logs=logging.CRITICAL) as cluster, Client(cluster) as client:
            net, begin = fastsgd.Network([COLUMNS, 64, 2], seed=0), time.monotonic()
            history = fastsgd.distributed.train(
                net, str(folder / "*.parquet"), target="y", client=client, rounds=options.rounds, partitions=4, seed=0,
                batch_size=256, optimizer=fastsgd.SGD(0.05, momentum=0.9),
                callbacks=[lambda run: print(f"{run.epoch}: {run.history.named()}", flush=True)])
            most = max(client.run(peak).values())
        print(f"{history}, {time.monotonic() - begin:.0f} s in all; the most memory of a worker: {most / 1e6:.0f} MB")
    finally:
        shutil.rmtree(folder)
    sys.exit(most >= 1e9 or history.metric[-1] < 0.9)


if __name__ == "__main__":
    main()
