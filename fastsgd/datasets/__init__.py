"""Data sets: digits is part of the package, mnist and fashion_mnist are found on the disk or downloaded.

Each function returns ``(X, y), (X_test, y_test)``: X float32 (rows, pixels) in [0, 1], y int64 labels 0 to 9.
"""
from __future__ import annotations

import hashlib
import http.client
import os
import sys
import urllib.request
from pathlib import Path

import numpy as np

from fastsgd.datasets.idx import read_idx
from fastsgd.files.atomic import write_atomically

__all__ = ["digits", "fashion_mnist", "mnist"]

FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
# Where each set is published, and the SHA-256 of its four gzipped files in the order of FILES.
SOURCES = {
    "mnist": ("https://ossci-datasets.s3.amazonaws.com/mnist", (
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6")),
    "fashion-mnist": ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com", (
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5")),
}
TIMEOUT = 30  # seconds without a byte before a download is given up


def digits():
    """1,797 handwritten digits of 8 x 8 pixels: 1,438 to train on and a held-out fifth.

    The test part of the UCI set "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak 1998,
    doi 10.24432/C50P49, licence CC BY 4.0), as scikit-learn ships it, in a shuffled order.

    >>> (X, y), (X_test, y_test) = digits()
    >>> X.shape, y.shape, X_test.shape, float(X.max())
    ((1438, 64), (1438,), (359, 64), 1.0)
    """
    return _read(Path(__file__).parent / "digits", 16)


def mnist(download: bool = True):
    """MNIST: 60,000 and 10,000 handwritten digits of 28 x 28 pixels (LeCun, Cortes and Burges 1998).

    Looked for in ``$FASTSGD_DATA/mnist``, /usr/share/datasets/mnist and the user's cache; else downloaded there
    (11 MB), with progress on standard error and its SHA-256 checked. FileNotFoundError says where it was looked for
    when it is nowhere and ``download`` is False or fails.
    """
    return _find("mnist", download)


def fashion_mnist(download: bool = True):
    """Fashion-MNIST: 60,000 and 10,000 pictures of clothes, 28 x 28 pixels (Xiao, Rasul and Vollgraf 2017, MIT).

    Looked for in ``$FASTSGD_DATA/fashion-mnist``, in /usr/share/datasets/fashion-mnist (Debian's package
    dataset-fashion-mnist) and in the user's cache; else downloaded there (30 MB) as :func:`mnist` is.
    """
    return _find("fashion-mnist", download)


def _read(folder: Path, largest: int):
    parts = []
    for images, labels in (FILES[:2], FILES[2:]):
        X, y = read_idx(_file(folder, images)), read_idx(_file(folder, labels))
        if X.ndim != 3 or y.ndim != 1 or len(X) != len(y):
            raise ValueError(f"{folder} holds images {X.shape} and labels {y.shape}, which do not belong together")
        parts.append((X.reshape(len(X), -1).astype(np.float32) / np.float32(largest), y.astype(np.int64)))
    return tuple(parts)


def _file(folder: Path, name: str) -> Path:
    plain = folder / name
    return plain if plain.exists() else folder / f"{name}.gz"


def _find(name: str, download: bool):
    cache = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "fastsgd" / name
    folders = [Path("/usr/share/datasets") / name, cache]
    if os.environ.get("FASTSGD_DATA"):
        folders.insert(0, Path(os.environ["FASTSGD_DATA"]) / name)
    for folder in folders:
        if all(_file(folder, file).exists() for file in FILES):
            return _read(folder, 255)
    looked = f"{name} was not found in {', '.join(map(str, folders))} (FASTSGD_DATA names a folder that holds {name}/)"
    if not download:
        raise FileNotFoundError(looked)
    base, sums = SOURCES[name]
    cache.mkdir(parents=True, exist_ok=True)
    for file, sha256 in zip(FILES, sums, strict=True):
        target = cache / f"{file}.gz"
        if target.exists():
            continue
        url = f"{base}/{file}.gz"
        try:
            data = _download(url)
        except (OSError, ValueError, http.client.HTTPException) as error:
            said = repr(error) if isinstance(error, http.client.HTTPException) else str(error)
            raise FileNotFoundError(f"{looked}, and {url} could not be downloaded: {said:.300}") from error
        found = hashlib.sha256(data).hexdigest()
        if found != sha256:
            raise ValueError(f"{url} is not the published file: its SHA-256 is {found}, expected {sha256}")
        write_atomically(target, [data])
    return _read(cache, 255)


def _download(url: str) -> bytes:
    """The bytes at url, with progress on standard error."""
    pieces = []
    done = 0
    with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
        total = int(response.headers.get("Content-Length") or 0)
        live = sys.stderr.isatty()
        print(f"downloading {url} ({total / 1e6:.1f} MB)", file=sys.stderr)
        while piece := response.read(2**18):
            pieces.append(piece)
            done += len(piece)
            if live:
                print(f"\r{done / 1e6:8.1f} MB", end="", file=sys.stderr)
        if live:
            print(file=sys.stderr)
    if total and done != total:
        raise OSError(f"the connection ended after {done:,} of {total:,} bytes")
    return b"".join(pieces)
