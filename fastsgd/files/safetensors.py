"""Named arrays and text in one file: the safetensors format, read and written with nothing but NumPy.

A file is 8 bytes, the header's length as a little-endian integer; the header, JSON; and the arrays' bytes. The header
maps each array's name to its dtype, shape and place, and ``__metadata__`` to text by text.

Nothing in a file is executed. A file is refused with a ValueError that says what is wrong before memory is taken for
its arrays; it may be truncated, of another format, or claim what it does not hold. JSON that would take more
memory than :mod:`fastsgd.files.bounded_json` allows is neither read nor written.
"""
from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterable
from typing import TypeGuard

import numpy as np

from fastsgd.files.atomic import require_regular, write_atomically
from fastsgd.files.bounded_json import check_json, parse_json

MAX_HEADER = 16 * 2**20
DTYPES: dict[str, np.dtype] = {"F32": np.dtype("<f4"), "F64": np.dtype("<f8"), "I64": np.dtype("<i8")}


def write(path, tensors: Iterable[tuple[str, np.ndarray]], metadata: dict[str, str]) -> None:
    """Writes arrays of the dtypes above and text, complete or not at all."""
    header: dict = {"__metadata__": metadata}
    contents = []
    end = 0
    for name, array in tensors:
        content = stored(array)
        kind = next((key for key, dtype in DTYPES.items() if dtype == content.dtype), None)
        if kind is None:
            raise TypeError(f"array {name!r} must have one of the dtypes float32, float64 and int64, got {array.dtype}")
        header[name] = {"dtype": kind, "shape": array.shape, "data_offsets": [end, end + array.nbytes]}
        contents.append(content)
        end += array.nbytes
    text = json.dumps(header)
    text += " " * (-(8 + len(text)) % 64)
    if len(text) > MAX_HEADER:
        raise ValueError(f"metadata is too large: the header would take {len(text):,} bytes, {MAX_HEADER:,} are "
                         "allowed")
    check_json((text, *metadata.values()), len(text))
    write_atomically(path, [len(text).to_bytes(8, "little"), text.encode(), *contents])


def begins_as_one(path) -> bool:
    """Whether a file begins with a header's length and, where it goes on, a header; it may be damaged nonetheless."""
    with open(path, "rb") as file:
        begin = file.read(9)
    return len(begin) >= 8 and int.from_bytes(begin[:8], "little") <= MAX_HEADER and begin[8:] in (b"{", b"")


def stored(array: np.ndarray) -> np.ndarray:
    """The array as a file holds it."""
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))


class TensorFile:
    """An open file: its ``metadata``, and the ``(dtype, shape)`` of its ``tensors``, whose contents ``read`` gives.

    Opening reads the header and refuses it unless the arrays fill the rest of the file exactly.
    """

    def __init__(self, path) -> None:
        self.path = path
        require_regular(path)
        self._file = open(path, "rb")  # noqa: SIM115 - closed by close()
        try:
            size = os.fstat(self._file.fileno()).st_size
            text = self._read_header(size)
            header = self.parse(text)
            if not isinstance(header, dict):
                raise ValueError(f"{path} is not a model file: its header is not a JSON object")
            self.metadata = header.pop("__metadata__", {})
            if not isinstance(self.metadata, dict) or not all(isinstance(text, str) for text in self.metadata.values()):
                raise ValueError(f"{path} has metadata that is not text")
            self._check_json(text, *self.metadata.values())
            self.tensors: dict[str, tuple[np.dtype, tuple[int, ...]]] = {}
            self._begin: dict[str, int] = {}
            self._check_tensors(header, size - self._start)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> TensorFile:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()

    def read(self, name: str, out: np.ndarray | None = None) -> np.ndarray:
        """An array of the file, in the machine's byte order; in a contiguous array of its size where one is given."""
        dtype, shape = self.tensors[name]
        array = np.empty(shape, dtype.newbyteorder("=")) if out is None else out
        self._file.seek(self._start + self._begin[name])
        length = self._file.readinto(array.reshape(-1).view(np.uint8).data)
        if length != array.nbytes:
            raise ValueError(f"{self.path} is cut short: {array.nbytes:,} bytes were expected, {length:,} are there")
        return array if sys.byteorder == "little" else array.byteswap(inplace=True)

    def parse(self, text: str):
        """The JSON of a text of this file; the ValueError of any that is not names the file."""
        try:
            return parse_json(text)
        except ValueError as error:
            raise ValueError(f"{self.path} is not a model file: its header is not valid JSON ({error})") from None

    def _check_json(self, *texts: str) -> None:
        try:
            check_json(texts, self._start - 8)
        except ValueError as error:
            raise ValueError(f"{self.path} is not a model file: its header is too large: {error}") from None

    def _read_header(self, size: int) -> str:
        if size < 8:
            raise ValueError(f"{self.path} is not a model file: it has only {size} bytes")
        length = int.from_bytes(self._file.read(8), "little")
        if length > MAX_HEADER:
            raise ValueError(f"{self.path} is not a model file: its header claims {length:,} bytes, at most "
                             f"{MAX_HEADER:,} are allowed")
        if length > size - 8:
            raise ValueError(f"{self.path} is not a model file or cut short: its header claims {length:,} bytes, "
                             f"the file has {size:,}")
        self._start = 8 + length
        try:
            text = self._file.read(length).decode()
        except UnicodeDecodeError as error:
            raise ValueError(f"{self.path} is not a model file: its header is not UTF-8 ({error.reason} at byte "
                             f"{error.start:,})") from None
        self._check_json(text)
        return text

    def _check_tensors(self, header: dict, size: int) -> None:
        ranges = []
        for name, entry in header.items():
            fields = entry if isinstance(entry, dict) else {}
            kind, shape, offsets = (fields.get(key) for key in ("dtype", "shape", "data_offsets"))
            if not isinstance(kind, str) or kind not in DTYPES or not _whole(shape) or not _whole(offsets) or \
                    len(offsets) != 2 or math.prod(n or 1 for n in shape) >= 2**59:
                raise ValueError(f"{self.path}: tensor {name:.80} should have a dtype ({', '.join(DTYPES)}), a shape "
                                 f"and two data_offsets, its header says {entry!r:.200}")
            length = DTYPES[kind].itemsize * math.prod(shape)
            if offsets[1] - offsets[0] != length:
                raise ValueError(f"{self.path}: tensor {name:.80} needs {length:,} bytes, its header gives the "
                                 f"range {offsets}")
            self.tensors[name] = DTYPES[kind], tuple(shape)
            self._begin[name] = offsets[0]
            ranges.append(offsets)
        end = 0
        for begin, following in sorted(ranges):
            if begin != end:
                raise ValueError(f"{self.path}: tensors overlap or leave a gap at byte {end:,}")
            end = following
        if end != size:
            raise ValueError(f"{self.path} is cut short or too long: its tensors need {end:,} bytes, it has {size:,}")


def _whole(numbers) -> TypeGuard[list[int]]:
    return isinstance(numbers, list) and len(numbers) <= 16 and all(type(n) is int and 0 <= n < 2**62 for n in numbers)
