"""Model files: the safetensors format, read and written with nothing but NumPy.

A file is 8 bytes, the header's length as a little-endian integer; the header, JSON; and the tensors' bytes.
Ours holds ``weights.0`` (inputs, outputs), ``biases.0`` (outputs,), ``weights.1`` ... in F32 or F64, and under
``__metadata__``:

- ``fastsgd.version``: "1", the version of this layout;
- ``fastsgd.architecture``: JSON with ``sizes``, ``activations`` (one per layer), ``loss``, ``loss_parameters``, and
  where the rows are scaled or shifted, ``input_scale`` and ``input_offset`` (lists of one number or one per column);
- any other key: the network's own ``metadata``.

Nothing in a file is executed. A file is refused with a ValueError that says what is wrong before memory is
taken for its tensors; it may have been cut short, come from elsewhere, or claim what it does not hold.
"""
import json
import math
import os

import numpy as np

from fastsgd.architecture import Architecture
from fastsgd.files import write_atomically

VERSION = "1"
LARGEST_HEADER = 16 * 2**20
DTYPES: dict[str, np.dtype] = {"F32": np.dtype("<f4"), "F64": np.dtype("<f8")}


def save(path, architecture, params: np.ndarray, metadata: dict[str, str]) -> None:
    """Writes a network, complete or not at all."""
    for key, value in metadata.items():
        if not (isinstance(key, str) and isinstance(value, str)) or key.startswith("fastsgd."):
            raise ValueError(f"metadata must map strings to strings, no key beginning with 'fastsgd.'; got {key!r}")
    description = {"sizes": architecture.sizes, "activations": architecture.activations, "loss": architecture.loss,
                   "loss_parameters": architecture.loss_parameters}
    if architecture.scales_input:
        description |= {"input_scale": architecture.input_scale, "input_offset": architecture.input_offset}
    header: dict = {"__metadata__": {"fastsgd.version": VERSION, "fastsgd.architecture": json.dumps(description),
                                     **metadata}}
    kind = next(name for name, dtype in DTYPES.items() if dtype.itemsize == params.itemsize)
    for name, offset, shape in architecture.tensors:
        ends = [n * params.itemsize for n in (offset, offset + math.prod(shape))]
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": ends}
    text = json.dumps(header).encode()
    if len(text) > LARGEST_HEADER - 64:
        raise ValueError(f"metadata is too large: the header would take {len(text):,} bytes, {LARGEST_HEADER:,} are "
                         "allowed")
    text += b" " * (-(8 + len(text)) % 64)
    write_atomically(path, [len(text).to_bytes(8, "little"), text, params.astype(DTYPES[kind], copy=False)])


def load(path) -> tuple[Architecture, np.ndarray, dict[str, str]]:
    """``(architecture, flat params, metadata)`` of a file."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        header, start = _read_header(file, size, path)
        metadata = header.pop("__metadata__", None)
        if not isinstance(metadata, dict) or "fastsgd.architecture" not in metadata:
            raise ValueError(f"{path} was not written by fastsgd: it has no fastsgd.architecture")
        if not all(isinstance(value, str) for value in metadata.values()):
            raise ValueError(f"{path} has metadata that is not text")
        version = metadata.pop("fastsgd.version", None)
        if version != VERSION:
            raise ValueError(f"{path} has layout version {version!r}; this fastsgd reads version {VERSION!r}")
        architecture = _architecture(metadata.pop("fastsgd.architecture"), path)
        dtype = _check_tensors(header, architecture.tensors, size - start, path)
        params = np.empty(architecture.parameters, dtype=dtype.newbyteorder("="))
        for name, offset, shape in architecture.tensors:
            length = math.prod(shape)
            file.seek(start + header[name]["data_offsets"][0])
            params[offset:offset + length] = np.frombuffer(_read(file, length * dtype.itemsize, path), dtype)
    return architecture, params, metadata


def _architecture(text: str, path) -> Architecture:
    fields = _parse(text, path)
    try:
        loss = fields["loss"]
        if not isinstance(fields["activations"][-1], str):
            raise TypeError("an activation is not a name")
        given = [float(value) for value in fields["loss_parameters"]]
        return Architecture.checked(fields["sizes"], fields["activations"][:-1], loss, fields["activations"][-1],
                                    given[0] if loss == "huber" else 1.0, given if loss == "quantile" else 0.5,
                                    fields.get("input_scale", 1.0), fields.get("input_offset", 0.0))
    except (KeyError, IndexError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{path} does not describe a network: {error}") from None


def _read_header(file, size: int, path) -> tuple[dict, int]:
    if size < 8:
        raise ValueError(f"{path} is not a model file: it has only {size} bytes")
    length = int.from_bytes(file.read(8), "little")
    if length > LARGEST_HEADER:
        raise ValueError(f"{path} is not a model file: its header claims {length:,} bytes, at most {LARGEST_HEADER:,} "
                         "are allowed")
    if length > size - 8:
        raise ValueError(f"{path} is not a model file or cut short: its header claims {length:,} bytes, "
                         f"the file has {size:,}")
    header = _parse(_read(file, length, path), path)
    if not isinstance(header, dict):
        raise ValueError(f"{path} is not a model file: its header is not a JSON object")
    return header, 8 + length


def _parse(text: str | bytes, path):
    def without_duplicates(pairs):
        result = dict(pairs)
        if len(result) < len(pairs):
            raise ValueError("a key appears twice")
        return result
    try:
        return json.loads(text, object_pairs_hook=without_duplicates)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not a model file: its header is not valid JSON ({error})") from None


def _check_tensors(header: dict, tensors: list[tuple[str, int, tuple[int, ...]]], size: int, path) -> np.dtype:
    """The dtype that all tensors share; raises unless they are the ones expected and fill the file exactly."""
    if set(header) != {name for name, _, _ in tensors}:
        raise ValueError(f"{path} does not hold the tensors of its architecture: it has {sorted(header)[:8]}")
    ranges = []
    kinds = set()
    for name, _, shape in tensors:
        entry = header[name]
        if not isinstance(entry, dict) or entry.get("dtype") not in tuple(DTYPES) or entry.get("shape") != list(shape):
            raise ValueError(f"{path}: tensor {name} should be F32 or F64 of shape {list(shape)}, its header says "
                             f"{entry!r}")
        offsets = entry.get("data_offsets")
        length = DTYPES[entry["dtype"]].itemsize * math.prod(shape)
        if (not isinstance(offsets, list) or len(offsets) != 2 or not all(type(n) is int for n in offsets)
                or offsets[0] < 0 or offsets[1] - offsets[0] != length):
            raise ValueError(f"{path}: tensor {name} needs {length:,} bytes, its header gives the range {offsets!r}")
        kinds.add(entry["dtype"])
        ranges.append(offsets)
    if len(kinds) > 1:
        raise ValueError(f"{path} mixes F32 and F64 tensors")
    end = 0
    for begin, following in sorted(ranges):
        if begin != end:
            raise ValueError(f"{path}: tensors overlap or leave a gap at byte {end:,}")
        end = following
    if end != size:
        raise ValueError(f"{path} is cut short or too long: its tensors need {end:,} bytes, it has {size:,}")
    return DTYPES[kinds.pop()]


def _read(file, length: int, path) -> bytes:
    data = file.read(length)
    if len(data) != length:
        raise ValueError(f"{path} is cut short: {length:,} bytes were expected, {len(data):,} are there")
    return data
