"""Tables out: columns written as what the file's suffix says."""
from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from fastsgd.files.atomic import write_atomically
from fastsgd.tables.wording import suffix_in_words

TEXT = {".csv": ",", ".tsv": "\t"}
LINES = (".jsonl", ".ndjson")
ARROW = (".parquet", ".pq", ".feather")
KINDS = (*TEXT, ".csv.gz", ".tsv.gz", ".parquet", ".feather", ".jsonl")
Columns = Mapping[str, Sequence]


def check_kind(path: str | Path) -> str:
    """The suffix, such as ".csv.gz"; ValueError for one that nothing is written as, ImportError without pyarrow."""
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    kind = "".join(suffixes[-2:]) if suffixes[-1:] == [".gz"] else "".join(suffixes[-1:])
    if kind.removesuffix(".gz") not in (*TEXT, *LINES) and kind not in ARROW:
        raise ValueError(f"--out {path} must be a file of the kind {', '.join(KINDS[:-1])} or {KINDS[-1]}, got "
                         f"{suffix_in_words(kind)}")
    if kind in ARROW:
        _pyarrow(path)
    return kind


def write_table(path: str | Path, columns: Columns) -> None:
    """Writes columns of equal length, of numbers, strings, booleans, dates and None: the whole file or nothing.

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "table.tsv")
    >>> write_table(path, {"a": [1, 2], "b": ["x", None]})
    >>> path.read_text()
    'a\\tb\\n1\\tx\\n2\\t\\n'
    """
    kind = check_kind(path)
    if kind in ARROW:
        content = _arrow(path, kind, columns)
    else:
        plain = kind.removesuffix(".gz")
        content = (_json_lines(columns) if plain in LINES else as_text(columns, TEXT[plain])).encode()
        if kind.endswith(".gz"):
            content = gzip.compress(content, mtime=0)
    write_atomically(path, [content])


def as_text(columns: Columns, separator: str = ",") -> str:
    """CSV; nothing where a value is None."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue()


def _json_lines(columns: Columns) -> str:
    return "".join(json.dumps(dict(zip(columns, row, strict=True)), ensure_ascii=False, default=str) + "\n"
                   for row in zip(*columns.values(), strict=True))


def _arrow(path: str | Path, kind: str, columns: Columns) -> bytes:
    pyarrow = _pyarrow(path)
    arrays = {}
    for name, values in columns.items():
        kinds = {type(value) for value in values} - {type(None)}
        same = len(kinds) < 2 or kinds == {int, float}
        arrays[name] = pyarrow.array(values if same else [None if value is None else str(value) for value in values])
    table, out = pyarrow.table(arrays), io.BytesIO()
    if kind == ".feather":
        from pyarrow import feather
        feather.write_feather(table, out)
    else:
        from pyarrow import parquet
        parquet.write_table(table, out)
    return out.getvalue()


def _pyarrow(path: str | Path):
    try:
        import pyarrow
    except ImportError:
        raise ImportError(f'writing {path} needs pyarrow: pip install "fastsgd[table]"') from None
    return pyarrow
