"""A distributed run between hosts whose links delay and lose packets: the same bits, and what does a round take?

Hosts are network namespaces of this machine, joined by TUN devices; this process carries each packet from one to the
other after a delay, or drops it. Client, scheduler and three workers have a host each. A worker is killed on the way
in every other run, and another one joins. Needs Linux, root and the command ``ip``.
"""
from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import heapq
import json
import os
import random
import select
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

SET_DEVICE, TUN_WITHOUT_HEADER = 0x400454CA, 0x1001               # of linux/if_tun.h
PORT = 8786
KILLED_AFTER = 4                         # rounds
ROUNDS = 12


def unavailable() -> str:
    """Why there can be no such hosts here, or nothing."""
    if sys.platform != "linux" or not hasattr(os, "geteuid") or os.geteuid():
        return "needs Linux, and root"
    if not shutil.which("ip"):
        return "needs the command ip, of iproute2"
    try:
        with Hosts(1):
            return ""
    except (OSError, subprocess.CalledProcessError) as error:
        return f"network namespaces or TUN devices are not to be had here: {error}"


class Hosts:
    """Namespaces with an address each; every packet between two takes ``delay`` seconds, and a share is lost."""

    def __init__(self, count: int, delay: float = 0.0, loss: float = 0.0):
        self.delay, self.loss = delay, loss
        self.carried = self.lost = 0
        self._names, self._devices = [], {}
        self._stop = threading.Event()
        self._carrier = threading.Thread(target=self._carry, daemon=True)
        try:
            for i in range(count):
                self._add(f"fastsgd-{os.getpid()}-{i}", f"fsgd{i}", self.address(i))
        except BaseException:
            self.close()
            raise
        self._carrier.start()

    @staticmethod
    def address(host: int) -> str:
        return f"10.213.0.{host + 1}"

    def command(self, host: int, *arguments: str, **options) -> subprocess.Popen:
        """A Python process on a host."""
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONSAFEPATH": "1"}
        return subprocess.Popen(["ip", "netns", "exec", self._names[host], sys.executable, "-W", "ignore", *arguments],
                                env=environment, **options)

    def _add(self, name: str, device: str, address: str) -> None:
        _ip("netns", "add", name)
        self._names.append(name)
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        self._devices[bytes(map(int, address.split(".")))] = fd
        fcntl.ioctl(fd, SET_DEVICE, struct.pack("16sH22x", device.encode(), TUN_WITHOUT_HEADER))
        _ip("link", "set", device, "netns", name)
        _ip("-n", name, "addr", "add", f"{address}/24", "dev", device)
        for each in (device, "lo"):
            _ip("-n", name, "link", "set", each, "up")

    def _carry(self) -> None:
        rng, under_way, number = random.Random(0), [], 0
        while not self._stop.is_set():
            wait = under_way[0][0] - time.monotonic() if under_way else 0.1
            ready, _, _ = select.select(list(self._devices.values()), [], [], max(0.0, min(0.1, wait)))
            for fd in ready:
                with contextlib.suppress(BlockingIOError):
                    while True:
                        packet = os.read(fd, 65536)
                        target = self._devices.get(packet[16:20]) if packet[0] >> 4 == 4 else None
                        if target is None:
                            continue
                        if rng.random() < self.loss:
                            self.lost += 1
                            continue
                        number += 1
                        heapq.heappush(under_way, (time.monotonic() + self.delay, number, target, packet))
            while under_way and under_way[0][0] <= time.monotonic():
                *_, target, packet = heapq.heappop(under_way)
                with contextlib.suppress(OSError):                # of a host that is just being made or taken away
                    os.write(target, packet)
                    self.carried += 1

    def close(self) -> None:
        self._stop.set()
        if self._carrier.is_alive():
            self._carrier.join()
        for fd in self._devices.values():
            os.close(fd)
        for name in self._names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)

    def __enter__(self) -> Hosts:
        return self

    def __exit__(self, *_) -> None:
        self.close()


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


# ---- the run ----

def train(address: str, progress: Path) -> dict:
    """On the cluster of this scheduler; ``progress`` gets the number of each round that is over."""
    import dask.array as da
    from distributed import Client

    import fastsgd
    import fastsgd.distributed
    rng = np.random.default_rng(0)
    X = rng.standard_normal((4800, 784), dtype=np.float32)
    y = (X[:, :10].argmax(axis=1)).astype(np.int32)
    net = fastsgd.Network([784, 128, 10], seed=0)

    def tell(run) -> None:
        progress.write_text(str(run.epoch))
        time.sleep(0.5 if run.epoch == KILLED_AFTER else 0)        # so that the worker dies in the next round

    with Client(address, timeout=60, set_as_default=False) as client:
        client.wait_for_workers(3, timeout=120)
        history = fastsgd.distributed.train(
            net, (da.from_array(X, chunks=(1200, 784)), da.from_array(y, chunks=1200)), client=client, rounds=ROUNDS,
            seed=0, batch_size=50, optimizer=fastsgd.SGD(0.05, momentum=0.9), callbacks=[tell])
    return {"digest": hashlib.sha256(net.params.tobytes()).hexdigest(), "cost": history.cost[-1],
            "seconds": float(np.median(history.seconds[1:])), "waiting": float(np.median(history.waiting_seconds[1:])),
            "bytes": history.bytes_out[-1] + history.bytes_back[-1]}


def run(delay: float, loss: float, kills: bool) -> dict:
    """What :func:`train` found on hosts with such links."""
    processes = []
    with tempfile.TemporaryDirectory() as folder, Hosts(6, delay, loss) as hosts:
        address = f"tcp://{hosts.address(0)}:{PORT}"
        progress = Path(folder) / "round"
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}

        def worker(host: int) -> subprocess.Popen:
            processes.append(hosts.command(host, "-m", "dask", "worker", address, "--host", hosts.address(host),
                                           "--nthreads", "1", "--no-nanny", "--no-dashboard", "--local-directory",
                                           folder, **quiet))
            return processes[-1]

        try:
            processes.append(hosts.command(0, "-m", "dask", "scheduler", "--host", hosts.address(0), "--port",
                                           str(PORT), "--no-dashboard", **quiet))
            workers = [worker(host) for host in (2, 3, 4)]
            client = hosts.command(1, __file__, "--client", address, "--progress", str(progress),
                                   stdout=subprocess.PIPE, text=True)
            processes.append(client)
            if kills:
                while client.poll() is None and not (progress.exists() and progress.read_text() == str(KILLED_AFTER)):
                    time.sleep(0.01)
                time.sleep(0.6)
                workers[0].kill()
                worker(5)
            out, _ = client.communicate(timeout=600)
            if client.returncode:
                raise RuntimeError(f"the client ended with {client.returncode}")
            return {**json.loads(out), "carried": hosts.carried, "lost": hosts.lost}
        finally:
            for process in processes:
                process.kill()
                process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10, help="runs over such links")
    parser.add_argument("--delay", type=float, default=20.0, help="milliseconds from host to host")
    parser.add_argument("--loss", type=float, default=1.0, help="percent of the packets")
    parser.add_argument("--client", help=argparse.SUPPRESS)
    parser.add_argument("--progress", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.client:
        print(json.dumps(train(options.client, options.progress)))
        return
    if reason := unavailable():
        sys.exit(reason)
    straight = run(0.0, 0.0, False)
    print(f"links as they are: {1e3 * straight['seconds']:.0f} ms a round, {straight['bytes'] / 1e6:.1f} MB of it",
          flush=True)
    same = 0
    for i in range(options.count):
        found = run(options.delay / 1e3, options.loss / 100, kills=bool(i % 2))
        same += found["digest"] == straight["digest"]
        sent = found["carried"] + found["lost"]
        print(f"{options.delay:g} ms and {options.loss:g} % lost: {1e3 * found['seconds']:.0f} ms a round, of which "
              f"{1e3 * found['waiting']:.0f} waiting; {found['lost']:,} of {sent:,} packets lost"
              + (", a worker killed" if i % 2 else ""), flush=True)
    print(f"{same} of {options.count} runs to the same bits")
    sys.exit(same < options.count)


if __name__ == "__main__":
    main()
