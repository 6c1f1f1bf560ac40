"""Pictures of what happens, by matplotlib: ``pip install "fastsgd[plot]"``. Every plot takes axes and returns them."""
from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any

from fastsgd.files import write_atomically

if TYPE_CHECKING:
    from fastsgd.history import History

BLUE, ORANGE = "#0072b2", "#d55e00"               # told apart by every eye (Okabe and Ito 2008)


def history(history: History, ax: Any = None) -> Any:
    """The learning curve: cost against epochs, over the training rows and the validation rows.

    The cost axis is logarithmic. A dot marks the lowest validation cost.

    Parameters
    ----------
    history : History
    ax : matplotlib axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib axes

    >>> import fastsgd
    >>> (X, y), _ = fastsgd.datasets.digits()
    >>> net = fastsgd.Network([64, 32, 10], seed=0)
    >>> ax = fastsgd.plots.history(fastsgd.train(net, X, y, validation=0.2))          # doctest: +SKIP
    """
    ax = _axes(ax)
    epochs = range(1, history.epochs + 1)
    ax.plot(epochs, history.cost, color=BLUE, linewidth=2, label="training rows, as they were trained on")
    if history.validation_cost:
        per_epoch = history.steps / max(1, history.epochs)
        at = [steps / per_epoch for steps in history.validation_steps]
        best = min(range(len(at)), key=history.validation_cost.__getitem__)
        ax.plot(at, history.validation_cost, color=ORANGE, linewidth=2, label="validation rows")
        ax.plot(at[best], history.validation_cost[best], "o", color=ORANGE,
                label=f"lowest, {history.metric_name} {history.validation_metric[best]:.4g}")
    if all(cost > 0 for cost in [*history.cost, *history.validation_cost]):
        ax.set_yscale("log")
    ax.set_xlabel("epochs")
    ax.set_ylabel("mean cost of a row")
    ax.grid(alpha=0.3)
    ax.legend()
    return ax


def save(ax: Any, path: str | os.PathLike) -> None:
    """Writes the figure of these axes as a picture, of the kind that the path's ending says; complete or not at all."""
    picture = io.BytesIO()
    ax.figure.savefig(picture, format=os.path.splitext(os.fspath(path))[1].lstrip(".") or "png", dpi=120,
                      bbox_inches="tight")
    write_atomically(path, [picture.getvalue()])


def _axes(ax: Any) -> Any:
    if ax is not None:
        return ax
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError('plots need matplotlib: pip install "fastsgd[plot]"') from None
    return Figure(figsize=(8, 5)).add_subplot()
