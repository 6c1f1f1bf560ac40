"""Reading IDX files, the format of MNIST, plain or gzipped."""
import gzip
import math
import os
import zlib

import numpy as np

from fastsgd.files.atomic import require_regular

MAX_EXPANSION = 1032           # of deflate


def read_idx(path) -> np.ndarray:
    """The uint8 array in an IDX file. ValueError says what is wrong with a file that is not one.

    Format (LeCun): two zero bytes, 8 for unsigned bytes, the number of dimensions, each dimension as a
    big-endian 32-bit integer, then the values. Memory is taken for values that are there only.
    """
    require_regular(path)
    zipped = os.fsdecode(path).endswith(".gz")
    most = os.stat(path).st_size * (MAX_EXPANSION if zipped else 1)
    opener = gzip.open if zipped else open
    try:
        with opener(path, "rb") as file:
            head = file.read(4)
            if len(head) < 4 or head[:3] != b"\0\0\x08" or not 1 <= head[3] <= 4:
                raise ValueError(f"{path} is no IDX file of bytes: it begins with {head!r}")
            dimensions = file.read(4 * head[3])
            shape = [int.from_bytes(dimensions[i:i + 4], "big") for i in range(0, len(dimensions), 4)]
            size = math.prod(shape)
            values = bytearray()
            while len(values) <= size <= most and (piece := file.read(min(2**20, size + 1 - len(values)))):
                values += piece
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path} is cut short or damaged: {error}") from None
    if len(shape) != head[3] or len(values) != size or math.prod(n or 1 for n in shape) >= 2**62:
        raise ValueError(f"{path} is cut short or too long: shape {tuple(shape)} does not fit what it holds")
    return np.frombuffer(values, dtype=np.uint8).reshape(shape)
