"""What the plots share: colours, axes, and writing a picture."""
from __future__ import annotations

import io
import os
import tempfile
from typing import Any

from fastsgd.files import write_atomically

BLUE, ORANGE, GREEN, PINK, YELLOW, SKY = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"
COLOURS = (BLUE, ORANGE, GREEN, PINK, YELLOW, SKY)    # told apart by every eye (Okabe and Ito 2008)
MISSING = 'plots need matplotlib: pip install "fastsgd[plot]"'


def axes_of(ax: Any, size: tuple[float, float] = (8, 5), **kind: Any) -> Any:
    """These axes, or those of a new figure of so many inches, a hundred pixels each."""
    if ax is not None:
        return ax
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError(MISSING) from None
    if "projection" in kind:        # "constrained" leaves axes in space no room, and says so
        return Figure(figsize=size, dpi=100).add_axes((0, 0, 1, 1), **kind)
    return Figure(figsize=size, dpi=100, layout="constrained").add_subplot(**kind)


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


def film_of(animation: Any, ending: str, writer: Any) -> bytes:
    """An animation as the bytes of a file with this ending, by way of one, which its writers need."""
    with tempfile.TemporaryDirectory() as folder:
        part = os.path.join(folder, "part" + ending)
        animation.save(part, writer=writer)
        with open(part, "rb") as file:
            return file.read()
