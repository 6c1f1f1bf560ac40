"""The first layer of a network for tables in C: a function of its own, with what it knows of the columns written in."""
from __future__ import annotations

from typing import Any

import numpy as np

from fastsgd.interop.c99_text import numbers
from fastsgd.layers import Columns

FUNCTION = """\
/* What the columns of a row become, in this order: numbers, features of levels, rows of tables. */
static void {name}_encode_columns(const {real} *restrict x, {parameters}{real} *restrict out)
{{
{body}
}}

"""
PLAIN = """\
    for (int i = 0; i < {count}; i++)
        *out++ = x[{name}_numbers[i]];
"""
PIECES = """\
    for (int i = 0; i < {features}; i++) {{
        const {real} y = x[{name}_numbers[i]] * {name}_slopes[i] + {name}_offsets[i];
        *out++ = y < {name}_lowest[i] ? {name}_lowest[i] : y > {name}_highest[i] ? {name}_highest[i] : y;
    }}
"""
MAP = """\
    for (int i = 0; i < {count}; i++) {{
        const {real} z = x[{name}_numbers[i]];
        int v = i;
        for (int j = i; j < {mapped}; j += {count})
            out[j] = column_biases[j];
{terms}    }}
{relu}    out += {mapped};
"""
TERMS = {           # a step of v is an output of a term, whose columns lie side by side
    "identity": """\
        for (int j = i; j < {mapped}; j += {count}, v += {count})
            out[j] += z * column_weights[v];
""",
    "piecewise": """\
        for (int t = i; t < {terms_all}; t += {count}) {{
            {real} y = z * {name}_slopes[t] + {name}_offsets[t];
            y = y < {name}_lowest[t] ? {name}_lowest[t] : y > {name}_highest[t] ? {name}_highest[t] : y;
            for (int j = i; j < {mapped}; j += {count}, v += {count})
                out[j] += y * column_weights[v];
        }}
""",
    "cosines": """\
        for (int t = i; t < {terms_all}; t += {count}) {{
            const {real} turns = z * frequencies[t];
            const {real} y = cos{f}(6.2831853071795865{f} * (turns - rint{f}(turns)) + phases[t]);
            for (int j = i; j < {mapped}; j += {count}, v += {count})
                out[j] += y * column_weights[v];
        }}
""",
    "waves": """\
        for (int t = i; t < {half}; t += {count}) {{
            const {real} turns = z * frequencies[t], angle = 6.2831853071795865{f} * (turns - rint{f}(turns));
            const {real} c = cos{f}(angle), s = sin{f}(angle);
            for (int j = i; j < {mapped}; j += {count}, v += {count})
                out[j] += c * column_weights[v] + s * column_weights[v + {half} * {outputs}];
        }}
""",
}
RELU = """\
    for (int j = 0; j < {mapped}; j++)
        out[j] = out[j] > 0 ? out[j] : 0;
"""
ONE_HOT = """\
    for (int i = 0; i < {one_hot}; i++)
        for (int level = 0; level < {name}_one_hot[i][1]; level++)
            *out++ = x[{name}_one_hot[i][0]] == level;
"""
EMBEDDED = """\
    for (int i = 0; i < {embedded}; i++) {{
        const {real} code = x[{name}_embedded[i][0]];
        const int known = code >= 0 && code < {name}_embedded[i][1];
        const {real} *row = embeddings + (known ? {name}_embedded[i][2] + (int)code : 0) * {size};
        for (int j = 0; j < {size}; j++)
            *out++ = known ? row[j] : 0;
    }}
"""


def columns_of(layer: Columns, given: dict[str, Any], dtype: np.dtype) -> str:
    """The tables and the function of the layer."""
    encoding, count = layer.numbers, len(layer.number_columns)
    outputs, terms = (0, 1) if encoding is None else (encoding.map_outputs, encoding.terms)
    fields = {**given, "count": count, "outputs": outputs, "mapped": outputs * count, "terms_all": terms * count,
              "half": terms * count // 2, "features": sum(layer.term_columns), "one_hot": len(layer.one_hot),
              "embedded": len(layer.embedded), "size": layer.embedding_size}
    tables: list[str] = []
    parts: list[str] = []
    picked = layer.number_columns
    if encoding is not None and encoding.basis == "piecewise":
        lines = encoding.lines(layer.number_order)                      # type: ignore[attr-defined]
        if not outputs:
            order = [place for own in layer.term_columns for place in layer.number_order[:own]]
            picked = tuple(layer.number_columns[place] for place in order)
            lines = [np.concatenate([line[t, :own] for t, own in enumerate(layer.term_columns)]) for line in lines]
        tables += [_reals(name, line.ravel().astype(dtype), fields) for name, line in
                   zip(("slopes", "offsets", "lowest", "highest"), lines, strict=True)]
    if count:
        tables.insert(0, _places("numbers", picked, fields))
    if outputs:
        assert encoding is not None
        fields |= {"terms": TERMS[encoding.basis].format(**fields),
                   "relu": RELU.format(**fields) if encoding.map_activation == "relu" else ""}
        parts += [MAP] + [PLAIN] * encoding.shortcut
    elif count:
        parts.append(PLAIN if encoding is None else PIECES)
    if layer.one_hot:
        pairs = [f"{{{column}, {levels}}}" for column, levels in layer.one_hot]
        tables.append(_places("one_hot", pairs, fields, "[2]"))
        parts.append(ONE_HOT)
    if layer.embedded:
        triples = [f"{{{column}, {levels}, {first}}}" for (column, levels), first in
                   zip(layer.embedded, layer.first_rows, strict=True)]
        tables.append(_places("embedded", triples, fields, "[3]"))
        parts.append(EMBEDDED)
    fields |= {"parameters": "".join(f"const {given['real']} *restrict {name}, " for name, _ in layer.tensors),
               "body": "".join(part.format(**fields) for part in parts).rstrip("\n")}
    return "".join(tables) + FUNCTION.format(**fields)


def _places(table: str, values: Any, fields: dict[str, Any], more: str = "") -> str:
    return f"static const int {fields['name']}_{table}[{len(values)}]{more} = {{\n{_listed(map(str, values))}}};\n\n"


def _reals(table: str, values: np.ndarray, fields: dict[str, Any]) -> str:
    texts = (text.replace("inff", "INFINITY").replace("inf", "INFINITY") for text in numbers(values))
    return f"static const {fields['real']} {fields['name']}_{table}[{len(values)}] = {{\n{_listed(texts)}}};\n\n"


def _listed(values: Any) -> str:
    texts = list(values)
    return "".join(f"    {', '.join(texts[start:start + 8])},\n" for start in range(0, len(texts), 8))
