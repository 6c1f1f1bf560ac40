"""A page of text, tables and pictures in one HTML file that opens without a network."""
from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence

from fastsgd.display.shown import Shown, columns_of_words

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
body { color: #222; background: #fff }
h1 { font-size: 1.6rem } h2 { font-size: 1.2rem; margin-top: 2.2rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; display: block; overflow-x: auto }
th, td { padding: .25rem .8rem; text-align: right; vertical-align: bottom }
td { border-bottom: 1px solid #ddd; white-space: nowrap }
th { border-bottom: 2px solid #888 } th:first-child, td:first-child, .words { text-align: left }
tr.marked { background: #e6f1f8; font-weight: 600 }
figure { margin: 1rem 0 } img { max-width: 100%; height: auto } figcaption, footer { color: #555; font-size: .9rem }
@media (max-width: 40rem) { figure { overflow-x: auto } img { max-width: none; width: 40rem } }
"""


class Report:
    """Built from top to bottom; :meth:`html` gives the page."""

    def __init__(self, title: str):
        self.title = title
        self._parts: list[str] = []

    def heading(self, text: str) -> None:
        """Begins a section."""
        self._parts.append(f"<h2>{html.escape(text)}</h2>")

    def text(self, text: str) -> None:
        """A paragraph."""
        self._parts.append(f"<p>{html.escape(text)}</p>")

    def table(self, head: Sequence[str], rows: Iterable[Sequence[str]], marked: int | None = None) -> None:
        """Cells are shown as they are; ``marked`` is the number of a row that matters most."""
        rows = list(rows)
        words = columns_of_words(rows)

        def cell(tag: str, at: int, text: str) -> str:
            return f"<{tag}{' class=words' if at in words else ''}>{html.escape(text)}</{tag}>"

        lines = ["<table><thead><tr>", *(cell("th", at, text) for at, text in enumerate(head)), "</tr></thead><tbody>"]
        for i, row in enumerate(rows):
            cells = "".join(cell("td", at, text) for at, text in enumerate(row))
            lines.append(f'<tr class="marked">{cells}</tr>' if i == marked else f"<tr>{cells}</tr>")
        self._parts.append("".join([*lines, "</tbody></table>"]))

    def show(self, result: Shown, marked: int | None = None) -> None:
        """The table that a result shows itself as."""
        table = result._shown()
        if table.about:
            self.text(f"{table.about[0].upper()}{table.about[1:]}.")
        self.table(table.head, table.rows, table.marked if marked is None else marked)

    def picture(self, content: bytes, caption: str, kind: str = "png") -> None:
        """A picture with what it shows, which is read out where it cannot be seen."""
        data = base64.b64encode(content).decode()
        words = html.escape(caption)
        self._parts.append(f'<figure><img src="data:image/{kind};base64,{data}" alt="{words}">'
                           f"<figcaption>{words}</figcaption></figure>")

    def html(self, about: str) -> bytes:
        """The page; ``about`` says at its end what it was made on."""
        title = html.escape(self.title)
        body = "\n".join(self._parts)
        return (f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
                f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head>\n'
                f"<body><h1>{title}</h1>\n{body}\n<footer><p>{html.escape(about)}</p></footer></body></html>\n").encode()
