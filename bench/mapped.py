"""``python -m bench.mapped``: training on a file that is mapped into memory, against the same rows in memory.

Makes an .npy file, trains 784-128-10 on it by blocks and on a copy in memory by rows, each in a process of its own, in
turn, and prints seconds of an epoch and the most anonymous memory (RssAnon) that was resident. The file is deleted.
"""
from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np

from bench.machine import describe

CHILD = """
import json, sys
import numpy as np
from bench.mapped import Watch
import fastsgd
path, mapped, epochs = sys.argv[1], sys.argv[2] == "mapped", int(sys.argv[3])
with Watch() as watch:
    X = np.load(path, mmap_mode="r" if mapped else None)
    y = np.arange(len(X), dtype=np.int32) % 10
    net = fastsgd.Network([X.shape[1], 128, 10], seed=0)
    history = fastsgd.train(net, X, y, epochs=epochs, seed=0)
print(json.dumps({"seconds": history.seconds, "anonymous": watch.most}))
"""


class Watch:
    """Keeps the most anonymous memory of this process, in bytes, while it is entered."""

    def __enter__(self) -> Watch:
        self.most = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.02):
            found = re.search(r"RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text())
            self.most = max(self.most, 1024 * int(found[1]) if found else 0)


def make(path: Path, gigabytes: float, columns: int = 784) -> int:
    """Writes float32 rows without zeros; returns their number."""
    rows = int(gigabytes * 1e9 / 4 / columns)
    out = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(rows, columns))
    rng = np.random.default_rng(0)
    for first in range(0, rows, 20_000):
        part = out[first:first + 20_000]
        part[:] = rng.random(part.shape, dtype=np.float32) + 0.1
    out.flush()
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=4.0)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--folder", help="where to make the file; a temporary one by default")
    options = parser.parse_args()
    print(describe())
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder) / "rows.npy"
        rows = make(path, options.gigabytes)
        seconds: dict[str, list[float]] = {"memory": [], "mapped": []}
        anonymous: dict[str, int] = {"memory": 0, "mapped": 0}
        for _ in range(options.repeat):
            for kind in seconds:
                child = subprocess.run([sys.executable, "-c", CHILD, path, kind, str(options.epochs)], check=True,
                                       capture_output=True, text=True)
                found = json.loads(child.stdout)
                seconds[kind].append(statistics.median(found["seconds"][1:] or found["seconds"]))
                anonymous[kind] = max(anonymous[kind], found["anonymous"])
    print(f"\n{rows:,} rows of 784 float32, {path.name} of {options.gigabytes:g} GB\n\n"
          "| rows | seconds of an epoch | anonymous memory, MB |\n|---|---|---|")
    for kind, name in (("memory", "in memory, shuffled by rows"), ("mapped", "mapped, shuffled by blocks")):
        print(f"| {name} | {statistics.median(seconds[kind]):.3f} | {anonymous[kind] / 1e6:,.0f} |")
    ratio = statistics.median(a / b for a, b in zip(seconds["memory"], seconds["mapped"], strict=True))
    print(f"\nspeed of the mapped file: {ratio:.0%} of that in memory")


if __name__ == "__main__":
    main()
