"""Distributed runs on a cluster of processes that are killed: is every result the same bits?

Each kind of fault so many times: runs on 1, 2 and 4 workers; a worker killed by SIGKILL in every round; a worker that
joins midway; the client killed after a random round, and another that resumes from its checkpoint. Half of the runs
average the optimizer's memory, half keep it, and their changes travel as float16.
"""
import argparse
import hashlib
import random
import sys
import tempfile
import time
from pathlib import Path

import dask.array as da
import numpy as np
from distributed import Client

import fastsgd
import fastsgd.distributed
from fastsgd.distributed.checkpoint import RoundCheckpoint

sys.path.insert(0, str(Path(__file__).parents[1]))
from machines import PROCESSES, Fault, Machines, start, wait_for

WAYS = ({}, {"memory": "keep", "transfer": "float16", "optimizer": fastsgd.Adam(0.01)})
ROUNDS = 5


def rows(copies: int):
    (X, y), _ = fastsgd.datasets.digits()
    X, y = np.tile(X, (copies, 1)), np.tile(y.astype(np.int32), copies)
    return da.from_array(X, chunks=(len(X) // 6 + 1, 64)), da.from_array(y, chunks=len(X) // 6 + 1)


def train(client, copies: int, **options) -> str:
    net = fastsgd.Network([64, 32, 10], seed=0)
    fastsgd.distributed.train(net, rows(copies), client=client, **{
        "rounds": ROUNDS, "seed": 0, "batch_size": 20, "optimizer": fastsgd.SGD(0.05, momentum=0.9), **options})
    return hashlib.sha256(net.params.tobytes()).hexdigest()


def run_client(address: str, checkpoint: str, out: str, way: int, rounds_done) -> None:
    def tell(run):
        rounds_done.value = run.epoch

    with Client(address, set_as_default=False) as client:
        digest = train(client, 4, callbacks=[tell], resume=True, rounds=2 * ROUNDS,
                       checkpoint=fastsgd.Checkpoint(checkpoint, epochs=1), **WAYS[way])
    Path(out).write_text(digest)


def on_any_number(machines: Machines, count: int, expected: list[str]) -> tuple[int, int]:
    same = 0
    for workers in (1, 2, 4):
        machines.shrink(min(workers, len(machines.workers)))
        machines.grow(workers)
        same += sum(train(machines.client, 12, **WAYS[i % 2]) == expected[i % 2] for i in range(count))
    return same, 3 * count


def killed(machines: Machines, count: int, expected: list[str]) -> tuple[int, int]:
    machines.grow(3)
    same = kills = 0
    for i in range(count):
        def kill(_):
            nonlocal kills
            kills += 1
            machines.kill()
            machines.workers.append(machines.add())

        fault = Fault(kill)
        same += train(machines.client, 12, callbacks=[fault], local_epochs=3, **WAYS[i % 2]) == expected[2 + i % 2]
    print(f"  {kills} workers were killed")
    return same, count


def joined(machines: Machines, count: int, expected: list[str]) -> tuple[int, int]:
    same = 0
    for i in range(count):
        machines.shrink(1)

        def join(run):
            if run.epoch == 1:
                machines.grow(2)

        same += train(machines.client, 12, callbacks=[join], **WAYS[i % 2]) == expected[i % 2]
    return same, count


def resumed(machines: Machines, count: int, expected: list[str]) -> tuple[int, int]:
    machines.grow(2)
    same, rng = 0, random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        for i in range(count):
            arguments = machines.address, f"{folder}/{i}.ckpt", f"{folder}/{i}.txt", i % 2
            done, last = PROCESSES.Value("i", 0), rng.randrange(2 * ROUNDS - 2)
            process = start(run_client, *arguments, done)
            wait_for(lambda done=done, last=last: done.value > last, "a round")
            process.kill()
            process.join()
            if last:
                assert RoundCheckpoint.read(arguments[1]).round >= last
            process = start(run_client, *arguments, done)
            process.join()
            same += Path(arguments[2]).read_text() == expected[4 + i % 2]
    return same, count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=200, help="runs of each kind")
    options = parser.parse_args()
    failed = False
    with tempfile.TemporaryDirectory() as folder, Machines(Path(folder), workers=2) as machines:
        expected = [train(machines.client, 12, **way) for way in WAYS]
        expected += [train(machines.client, 12, local_epochs=3, **way) for way in WAYS]
        expected += [train(machines.client, 4, rounds=2 * ROUNDS, **way) for way in WAYS]
        for kind in (on_any_number, killed, joined, resumed):
            begin = time.monotonic()
            same, runs = kind(machines, options.count, expected)
            seconds = time.monotonic() - begin
            print(f"{kind.__name__}: {same} of {runs} runs to the same bits, {seconds:.0f} s", flush=True)
            failed |= same < runs
    sys.exit(failed)


if __name__ == "__main__":
    main()
