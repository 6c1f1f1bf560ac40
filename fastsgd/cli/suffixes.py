"""Suffixes of output files: one of another format is refused before anything is read."""
from __future__ import annotations

from pathlib import Path

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
        kind = MEANS[suffix]
        article = "an" if kind[0] in "AEIOU" else "a"
        raise ValueError(f"{option} {path}: {suffix} is the suffix of {article} {kind}, but {what} is written; name it "
                         f"{' or '.join(allowed)}")
