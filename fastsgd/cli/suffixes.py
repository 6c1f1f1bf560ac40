"""Suffixes of files: what is of another format, or cannot be written, is refused before anything is read."""
from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from fastsgd.files.atomic import check_writable, refuse_replacing
from fastsgd.files.safetensors import begins_as_one

SAYS = {
    "table": (".csv", ".tsv", ".parquet", ".pq", ".feather", ".arrow", ".jsonl", ".ndjson", ".json", ".npz", ".npy",
              ".txt", ".xlsx", ".xls", ".ods", ".gz", ".bz2", ".xz", ".zip", ".zst"),
    "model file of fastsgd": (".safetensors",), "checkpoint of fastsgd": (".ckpt",), "ONNX file": (".onnx",),
    "PyTorch file": (".pt", ".pt2", ".pth", ".torch"), "C source": (".c", ".h"), "configuration": (".toml",),
    "picture": (".png", ".svg", ".pdf", ".jpg", ".gif"), "web page": (".html",), "pickle": (".pkl", ".joblib"),
}
MEANS = {suffix: what for what, suffixes in SAYS.items() for suffix in suffixes}


def refuse_other_suffix(option: str, path: str, allowed: tuple[str, ...], what: str) -> None:
    """ValueError where a path's suffix is known for files of another kind than those allowed.

    >>> refuse_other_suffix("--out", "m.safetensors", (".safetensors",), "a model file")
    >>> refuse_other_suffix("--out", "m.csv", (".safetensors",), "a model file")
    Traceback (most recent call last):
    ...
    ValueError: --out m.csv: .csv is the suffix of a table, but a model file is written; name it .safetensors
    """
    suffix = Path(path).suffix.lower()
    if suffix in MEANS and suffix not in allowed:
        raise ValueError(f"{option} {path}: {suffix} is the suffix of {_kind_of(suffix)}, but {what} is written; name "
                         f"it {' or '.join(allowed)}")


def check_output(option: str, path: str, allowed: tuple[str, ...], what: str, read: Iterable[str] = ()) -> None:
    """ValueError or OSError where a file cannot be written, or would be one of those that are ``read``."""
    refuse_replacing(path, *read)
    refuse_other_suffix(option, path, allowed, what)
    check_writable(path)


def require_model_file(option: str, path: str, advice: str = "") -> None:
    """ValueError where a file is there and is of another format; ``advice`` is for one that looks like a table."""
    if not Path(path).is_file() or begins_as_one(path):
        return                                          # whoever loads it says what is wrong with it, if anything is
    suffix = Path(path).suffix.lower()
    kind = MEANS.get(suffix, "")
    looks = f", it looks like {_kind_of(suffix)}" if kind and not kind.endswith("of fastsgd") else ""
    raise ValueError(f"{option} {path} is not a model file{looks}{advice * (kind == 'table')}")


def _kind_of(suffix: str) -> str:
    kind = MEANS[suffix]
    return f"{'an' if kind[0] in 'AEIOU' else 'a'} {kind}"
