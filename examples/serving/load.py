"""``python examples/serving/load.py``: starts the example on loopback and measures it under load.

Trains a small network on digits, serves it with one uvicorn worker, and lets so many connections send requests of one
row, each the next as soon as the last is answered: requests per second and percentiles of their latency, and how much
of it a prediction is. Every answer is compared with ``net.predict``.
"""
import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import fastsgd

HERE = Path(__file__).parent


def request_of(row: np.ndarray) -> bytes:
    body = json.dumps({"rows": [row.tolist()]}).encode()
    return b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
        len(body), body)


async def client(port: int, requests: list[bytes], expected: np.ndarray, until: float, latencies: list[float]) -> None:
    """One connection: a request, its answer, the next."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    number = np.random.default_rng(port + len(latencies)).integers(len(requests))
    while time.perf_counter() < until:
        number = (number + 1) % len(requests)
        begin = time.perf_counter()
        writer.write(requests[number])
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        body = await reader.readexactly(length)
        latencies.append(time.perf_counter() - begin)
        assert head.startswith(b"HTTP/1.1 200"), head
        np.testing.assert_allclose(json.loads(body)["outputs"][0], expected[number], rtol=1e-5, atol=1e-7)
    writer.close()


async def measure(port: int, connections: int, requests: list[bytes], expected: np.ndarray, seconds: float) -> str:
    latencies: list[float] = []
    begin = time.perf_counter()
    await asyncio.gather(*(client(port, requests, expected, begin + seconds, latencies) for _ in range(connections)))
    taken = time.perf_counter() - begin
    p50, p95, p99, p999 = (value * 1e3 for value in np.percentile(latencies, [50, 95, 99, 99.9]))
    return f"| {connections} | {len(latencies) / taken:,.0f} | {p50:.2f} | {p95:.2f} | {p99:.2f} | {p999:.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement (%(default)s)")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 8, 64])
    options = parser.parse_args()
    (X, y), (X_test, y_test) = fastsgd.datasets.digits()
    net = fastsgd.Network([64, 128, 10], seed=0)
    fastsgd.train(net, X, y, optimizer=fastsgd.SGD(0.1, momentum=0.9), epochs=20, seed=0)
    print(f"{net}, accuracy {net.score(X_test, y_test):.3f}")
    one, row = net.compile_predictor(1), np.ascontiguousarray(X_test[:1])
    begin = time.perf_counter()
    for _ in range(10_000):
        one(row)
    print(f"a prediction of one row takes {(time.perf_counter() - begin) / 10_000 * 1e6:.2f} us\n")
    with tempfile.TemporaryDirectory() as folder, socket.socket() as free:
        net.save(Path(folder) / "digits.safetensors")
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        server = subprocess.Popen([sys.executable, "-P", "-m", "uvicorn", "app:app", "--app-dir", HERE, "--port",
                                   str(port), "--log-level", "warning", "--no-access-log"],
                                  env={**os.environ, "MODEL": str(Path(folder) / "digits.safetensors")})
        try:
            for _ in range(100):
                time.sleep(0.1)
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
            else:
                sys.exit("the server did not come up; pip install fastapi uvicorn")
            requests, expected = [request_of(row) for row in X_test], net.predict(X_test)
            print("| connections | requests per second | median ms | 95 % | 99 % | 99.9 % |\n|---|---|---|---|---|---|")
            asyncio.run(measure(port, 4, requests, expected, 1.0))                       # warm
            for connections in options.connections:
                print(asyncio.run(measure(port, connections, requests, expected, options.seconds)), flush=True)
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
