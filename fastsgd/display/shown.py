"""Small tables as text and as HTML, and results that show themselves as one."""
from __future__ import annotations

import html
from collections.abc import Sequence

# Of a table in a notebook: the page's own colours, light or dark, and no style that reaches other tables.
TABLE = "border-collapse: collapse; color: inherit; background: transparent; font-variant-numeric: tabular-nums"
CELL = "padding: .2em .8em; white-space: nowrap; border: 0; color: inherit; background: transparent; text-align: "
LINE = "; border-bottom: 1px solid rgba(128, 128, 128, .5)"


class Table:
    """A line of what it is about, a head and rows of cells; ``marked`` is the number of the row that matters most."""

    def __init__(self, about: str, head: Sequence[str], rows: Sequence[Sequence[str]], marked: int | None = None):
        self.about, self.head, self.rows, self.marked = about, head, rows, marked

    def text(self) -> str:
        """Columns under each other, the first to the left, the others to the right; the marked row ends in <."""
        widths = [max(map(len, column)) for column in zip(self.head, *self.rows, strict=True)]
        lines = [self.about] if self.about else []
        for i, cells in enumerate([self.head, *self.rows], -1):
            first, *others = (cell.rjust(width) if at else cell.ljust(width)
                              for at, (cell, width) in enumerate(zip(cells, widths, strict=True)))
            lines.append("  ".join([first, *others, *(["<"] if i == self.marked and i >= 0 else [])]).rstrip())
        return "\n".join(lines)

    def html(self) -> str:
        """The table for a notebook: escaped, without a script."""
        words = columns_of_words(self.rows)

        def row(cells: Sequence[str], tag: str, more: str = "") -> str:
            return "<tr>" + "".join(
                f'<{tag} style="{CELL}{"left" if not at or at in words else "right"}{LINE}{more}">{html.escape(cell)}'
                f"</{tag}>" for at, cell in enumerate(cells)) + "</tr>"
        body = "".join(row(cells, "td", "; font-weight: bold" if i == self.marked else "")
                       for i, cells in enumerate(self.rows))
        about = f"<div>{html.escape(self.about)}</div>" if self.about else ""
        return (f'<div style="overflow-x: auto">{about}<table style="{TABLE}"><thead>{row(self.head, "th")}</thead>'
                f"<tbody>{body}</tbody></table></div>")


def columns_of_words(rows: Sequence[Sequence[str]]) -> set[int]:
    """The numbers of the columns that begin with letters in some row: those of text, not of figures.

    >>> columns_of_words([["size", "number", "1"], ["colour", "3 levels", "nan"]])
    {0, 1}
    """
    return {at for row in rows for at, cell in enumerate(row) if cell[:1].isalpha() and cell not in ("nan", "inf")}


class Shown:
    """A result whose repr is the short table that printing it gives; notebooks show it as HTML."""

    def _shown(self) -> Table:
        raise NotImplementedError

    def __str__(self) -> str:
        return self._shown().text()

    def __repr__(self) -> str:
        return self._shown().text()

    def _repr_html_(self) -> str:
        return self._shown().html()
