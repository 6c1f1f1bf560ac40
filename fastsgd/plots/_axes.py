"""What the plots share: colours, axes, legends, plain numbers, and writing a picture."""
from __future__ import annotations

import io
import math
import os
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

from fastsgd.display.bars import in_notebook
from fastsgd.display.numbers import plain
from fastsgd.files.atomic import write_atomically

BLUE, ORANGE, GREEN, PINK, YELLOW, SKY = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"
COLOURS = (BLUE, ORANGE, GREEN, PINK, YELLOW, SKY)    # for every kind of colour vision (Okabe and Ito 2008)
MISSING = 'plots need matplotlib: pip install "fastsgd[plot]"'
WORDS = 9                           # points of the letters of a legend
LEGEND_ROW, LEGEND_FRAME = 1.55 * WORDS, 0.5 * WORDS          # points that a row of it and its edges take


def axes_of(ax: Any, size: tuple[float, float] = (8, 5), shows: bool = True, **kind: Any) -> Any:
    """These axes, or those of a new figure of so many inches, a hundred pixels each.

    It is one of pyplot's in a notebook, which shows it below its cell, and where pyplot is in use, unless it is not to
    be shown.
    """
    if ax is not None:
        return ax
    flat = "projection" not in kind        # "constrained" leaves other axes in space no room, and says so
    settings: dict[str, Any] = {"figsize": size, "dpi": 100, **({"layout": "constrained"} if flat else {})}
    try:
        from matplotlib.figure import Figure
        if shows and (in_notebook() or "matplotlib.pyplot" in sys.modules):
            from matplotlib import pyplot
            figure = pyplot.figure(**settings)
        else:
            figure = Figure(**settings)
    except ImportError:
        raise ImportError(MISSING) from None
    return figure.add_subplot(**kind) if flat else figure.add_axes((0, 0, 1, 1), **kind)


def panels_below(ax: Any, shares: Sequence[float]) -> list[Any]:
    """New axes below these, which get smaller: as many as shares, each the height of one as a part of theirs."""
    figure, place = ax.figure, ax.get_subplotspec()
    if place is not None:
        between = 0.4 if figure.get_layout_engine() is None else 0     # else what is written there makes the room
        grid = place.subgridspec(1 + len(shares), 1, height_ratios=(1, *shares), hspace=between)
        ax.set_subplotspec(grid[0])
        return [figure.add_subplot(grid[i]) for i in range(1, 1 + len(shares))]
    box, gap = ax.get_position(), 0.3
    height = box.height / (1 + sum(shares) + gap * len(shares))
    top = box.y1 - height
    ax.set_position((box.x0, top, box.width, height))
    panels = []
    for share in shares:
        top -= (gap + share) * height
        panels.append(figure.add_axes((box.x0, top, box.width, share * height)))
    return panels


def title_and_legend(ax: Any, title: str, handles: Sequence[Any], columns: int = 1) -> None:
    """A title, and under it the legend, both above the axes, where no line can run below them."""
    columns = max(1, min(columns, len(handles)))
    rows = math.ceil(len(handles) / columns)
    ax.set_title(title, fontsize=11, wrap=True, pad=6 + (rows * LEGEND_ROW + LEGEND_FRAME if rows else 0))
    if handles:
        ax.legend(handles=handles, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=columns, fontsize=WORDS,
                  frameon=False, borderaxespad=0.2)


def logarithmic(axis: Any, values: Sequence[float]) -> None:
    """Makes an axis logarithmic, with plain numbers at its ticks: at powers of ten, or at 1, 2 and 5 where few are."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
    getattr(axis.axes, f"set_{axis.axis_name}scale")("log")
    decades = math.log10(max(values) / min(values)) if len(values) else 0
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 3 else (1,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: plain(value, 6)))
    axis.set_minor_formatter(NullFormatter())


def save(ax: Any, path: str | os.PathLike) -> None:
    """Writes the figure of these axes as a picture, of the kind that the path's ending says; complete or not at all.

    Raises
    ------
    ValueError
        For an ending that matplotlib does not know.
    OSError
        Where the file cannot be written.
    """
    write_atomically(path, [picture_of(ax, os.path.splitext(os.fspath(path))[1].lstrip(".") or "png")])


def picture_of(ax: Any, kind: str = "png") -> bytes:
    """The figure of these axes as the bytes of a picture."""
    picture = io.BytesIO()
    ax.figure.savefig(picture, format=kind, dpi=110, bbox_inches="tight")
    return picture.getvalue()


def last_picture_of(ax: Any) -> bytes:
    """The same, of a figure that is not shown again: if it is one of pyplot's, which keeps them, it is closed."""
    picture = picture_of(ax)
    if "matplotlib.pyplot" in sys.modules:
        from matplotlib import pyplot
        pyplot.close(ax.figure)
    return picture


def film_of(animation: Any, ending: str, writer: Any) -> bytes:
    """An animation as the bytes of a file with this ending, by way of one, which its writers need."""
    with tempfile.TemporaryDirectory() as folder:
        part = os.path.join(folder, "part" + ending)
        animation.save(part, writer=writer)
        with open(part, "rb") as file:
            return file.read()
