"""Pictures of a training run and of what it made."""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsgd.deprecation import keyword_only
from fastsgd.display.numbers import plain
from fastsgd.losses import MARGINS
from fastsgd.network.classes import labels_of, probabilities_of
from fastsgd.network.given import as_network, as_network_and_rows, classes_of, require_result
from fastsgd.network.network import Network
from fastsgd.plots._axes import (
    BLUE,
    GREEN,
    ORANGE,
    PINK,
    SKY,
    YELLOW,
    axes_of,
    logarithmic,
    panels_below,
    title_and_legend,
)
from fastsgd.runs.history import History

if TYPE_CHECKING:
    from fastsgd.data.typing import ArrayLike, RowsLike

SMALLEST = 8                        # of a square of inputs that is taken for an image without being told
LEFT = 1.25                         # inches from a confusion matrix, and its colour bar, to the mistakes
ROOM = 3.5                          # and for all columns of them
CHARACTER, LINE = 0.068, 0.14       # inches that a letter and a line of their captions take, in 8 points
MAX_NAME_LENGTH, MAX_NAMES = 20, 30      # letters of a class name, and how many names fit beside a matrix
PANEL = 0.35                        # of the height of a learning curve, for a metric that has a scale of its own


def history(history: History, ax: Any = None) -> Any:
    """The learning curve: cost (left, logarithmic) and metric (right) of training and validation rows, by epochs.

    A dot marks the lowest validation cost. What ``train(metrics=...)`` asked for is drawn on the right too where it
    lies between 0 and 1, else in axes of its own below.

    Parameters
    ----------
    history : History
    ax : matplotlib axes, optional
        Where to draw; a new figure by default. They get smaller where there are metrics below.

    Returns
    -------
    matplotlib axes
        Those of the cost. ImportError says what to install where matplotlib is missing, here and in all plots.

    Examples
    --------
    >>> import fastsgd
    >>> (X, y), _ = fastsgd.datasets.digits()
    >>> net = fastsgd.Network([64, 32, 10], seed=0)
    >>> ax = fastsgd.plots.history(fastsgd.train(net, X, y, validation=0.2))          # doctest: +SKIP
    """
    require_result(history, "history", "metric_name", "fastsgd.train")
    metric = {"r2": "R\N{SUPERSCRIPT TWO}"}.get(history.metric_name, history.metric_name)
    scores = {name: values for name, values in history.scores.items() if np.isfinite(values).any()}
    beside = {name: values for name, values in scores.items() if np.nanmin(values) >= 0 and np.nanmax(values) <= 1}
    below = {name: values for name, values in scores.items() if name not in beside}
    ax = axes_of(ax, (8, 5.5 + 1.8 * len(below)))
    panels = panels_below(ax, [PANEL] * len(below)) if below else []
    right = ax.twinx() if np.isfinite([*history.metric, *history.validation_metric]).any() or beside else None

    def draw(axes: Any, at: Sequence[float], values: Sequence[float], **look: Any) -> None:
        if axes is not None and np.isfinite(values).any():
            alone = {"marker": "o" if axes is ax else "d", "linestyle": "none"} if len(at) == 1 else {}
            axes.plot(at, values, **{**look, **alone})

    weighted = "weighted " if history.weighted else ""
    epochs = range(1, history.epochs + 1)
    dashed = {"linewidth": 1.5, "linestyle": "--"}
    draw(ax, epochs, history.cost, color=BLUE, linewidth=2,
         label=f"{weighted}cost, training rows as they were trained on")
    draw(right, epochs, history.metric, color=BLUE, label=f"{weighted}{metric}, training rows", **dashed)
    per_epoch = history.steps / max(1, history.epochs)
    at = [steps / per_epoch for steps in history.validation_steps]
    if history.validation_cost:
        best = min(range(len(at)), key=history.validation_cost.__getitem__)
        draw(ax, at, history.validation_cost, color=ORANGE, linewidth=2, label="cost, validation rows")
        found = history.validation_metric[best]
        ax.plot(at[best], history.validation_cost[best], "o", color=ORANGE,
                label=f"lowest, {history.validation_cost[best]:.4g}"
                      + (f", {metric} {found:.4g}" if math.isfinite(found) else ""))
        draw(right, at, history.validation_metric, color=ORANGE, label=f"{metric}, validation rows", **dashed)
    for i, (name, values) in enumerate(beside.items()):
        draw(right, at, values, color=(GREEN, PINK, YELLOW, SKY)[i % 4], label=f"{name}, validation rows",
             linewidth=1.5, linestyle="-.")
    if all(cost > 0 for cost in [*history.cost, *history.validation_cost]):
        logarithmic(ax.yaxis, [*history.cost, *history.validation_cost])
    if all(len(line.get_xdata()) == 1 for line in ax.get_lines()):
        ax.set_xlim(0.5, 1.5)
        if right is not None:
            right.margins(y=0.3)            # so that nothing lies upon one of the costs
    for panel, (name, values) in zip(panels, below.items(), strict=True):
        draw(panel, at, values, color=ORANGE, linewidth=1.5)
        panel.set_title(f"{name}, validation rows", fontsize=10)
        panel.set_xlim(ax.get_xlim())
        panel.grid(alpha=0.3)
    for axes in (ax, *panels):
        axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        axes.set_xlabel(f"{history.unit}s")
    ax.set_ylabel(f"{weighted}mean cost of a row" if not history.validation_cost else "mean cost of a row")
    ax.grid(alpha=0.3)
    handles = ax.get_legend_handles_labels()[0]
    if right is not None:
        right.set_ylabel(metric if not beside else ", ".join([metric, *beside]))
        handles += right.get_legend_handles_labels()[0]
    title = f"learning curve: {history.epochs:,} {history.unit}{'s' * (history.epochs != 1)}, " \
            f"{history.steps:,} steps, {plain(sum(history.seconds), 2)} s of training"
    title_and_legend(ax, title, handles, columns=2)
    return ax


@keyword_only
def weights(net: Network, shape: tuple[int, int] | None = None, *, units: int = 32, ax: Any = None) -> Any:
    """The first layer's weights as images: what each hidden unit looks for, orange where it is for, purple against.

    Parameters
    ----------
    net : Network or fitted estimator
    shape : (height, width), optional
        Of an image; a square by default, where the inputs make one of at least 8 x 8.
    units : int
        At most so many, those with the largest weights first.
    ax : matplotlib axes, optional

    Returns
    -------
    matplotlib axes

    Raises
    ------
    ValueError
        Where the inputs do not have this shape.
    """
    net = as_network(net)
    found = _image_shape(net.sizes[0], shape)
    if found is None:
        raise ValueError(f"shape must be given: {net.sizes[0]} inputs do not make a square of at least {SMALLEST} x "
                         f"{SMALLEST}")
    height, width = found
    W = net.weights[0]
    lengths = np.linalg.norm(W, axis=0)
    chosen = np.argsort(-lengths, kind="stable")[:max(1, units)]
    columns = math.ceil(math.sqrt(len(chosen) * 1.6 * height / width))
    rows = math.ceil(len(chosen) / columns)
    columns = math.ceil(len(chosen) / rows)
    picture = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1), np.nan)
    for i, unit in enumerate(chosen):
        top, left = i // columns * (height + 1), i % columns * (width + 1)
        picture[top:top + height, left:left + width] = W[:, unit].reshape(height, width)
    ax = axes_of(ax)
    most = float(np.quantile(np.abs(W[:, chosen]), 0.995)) or 1.0
    drawn = ax.imshow(picture, cmap="PuOr_r", vmin=-most, vmax=most, interpolation="nearest")
    bar = ax.figure.colorbar(drawn, cax=ax.inset_axes((0.15, 0, 0.15, 1), transform=_beside(ax)[1]))
    bar.set_label("weight")
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_xlabel(f"inputs of a unit, {height} x {width}")
    ax.set_title(f"{len(chosen)} of {W.shape[1]} units of the first layer, those with the longest weights", fontsize=11)
    return ax


@keyword_only
def confusion(net: Network, X: RowsLike, y: ArrayLike, classes: Sequence[str] | None = None, *,
              shape: tuple[int, int] | None = None, worst: int = 9, ax: Any = None) -> Any:
    """Which classes are taken for which, and beside it the mistakes that the network was surest of.

    On the diagonal, in blue, are the rows of a class that are right, elsewhere, in orange, those that are taken for
    another class; the darker, the larger their share of the class. Long names are shortened.

    Parameters
    ----------
    net : Network or fitted estimator
        A classifier.
    X, y
        Rows and class labels, an estimator's own.
    classes : sequence of str, optional
        Their names; numbers by default, or an estimator's own.
    shape : (height, width), optional
        Of the rows as images; a square by default, where one of at least 8 x 8 fits. Without a shape the mistakes are
        left out.
    worst : int
        At most so many mistakes.
    ax : matplotlib axes, optional
        The images lie to the right of these axes.

    Returns
    -------
    matplotlib axes

    Raises
    ------
    ValueError
        For a network that is no classifier, labels or names that do not fit.
    """
    classes = classes_of(net) if classes is None else classes
    net, X, y = as_network_and_rows(net, X, y)
    if net.metric != "accuracy":
        raise ValueError(f"net must be a classifier, got one with loss {net.loss!r}")
    outputs, labels = net.predict(X), np.asarray(y)
    if labels.ndim == 2 and outputs.shape[1] == labels.shape[1] == 1:
        labels = labels[:, 0]
    count = max(2, net.architecture.targets)
    if labels.ndim != 1 or len(labels) != len(outputs) or labels.min() < 0 or labels.max() >= count:
        raise ValueError(f"y must be {len(outputs)} class labels from 0 to {count - 1}, got an array of shape "
                         f"{labels.shape}" + (f" from {labels.min()} to {labels.max()}" if labels.size else ""))
    names = [str(i) for i in range(count)] if classes is None else [str(name) for name in classes]
    if len(names) != count:
        raise ValueError(f"classes must have {count} names, got {len(names)}")
    kind, labels = net.architecture.loss_type.targets, labels.astype(int)
    if outputs.shape[1] == 1 and not kind.in_order:
        outputs = np.hstack([-outputs if kind is MARGINS else 1 - outputs, outputs])
    said, outputs = labels_of(outputs, kind), probabilities_of(outputs, kind)
    matrix = np.zeros((count, count), int)
    np.add.at(matrix, (labels, said), 1)
    shares = matrix / np.maximum(1, matrix.sum(axis=1, keepdims=True))
    diagonal = np.eye(count, dtype=bool)
    most = max(0.01, float(shares[~diagonal].max()))

    image = _image_shape(net.sizes[0], shape)
    if ax is None:
        ax = axes_of(None, (8, 5) if image is None else (10, 5))
        ax.set_anchor("C" if image is None else "W")            # with room to the right for the mistakes
    drawn = ax.imshow(np.ma.array(shares, mask=diagonal), cmap="Oranges", vmin=0, vmax=most)
    right = ax.imshow(np.ma.array(shares, mask=~diagonal), cmap="Blues", vmin=-0.25, vmax=1)
    if count <= 20:
        for i, j in zip(*np.nonzero(matrix), strict=True):
            colours = right if i == j else drawn
            ax.text(j, i, f"{matrix[i, j]:,}", ha="center", va="center", fontsize=8 if count <= 10 else 6,
                    color=_ink(colours.to_rgba(shares[i, j])))
    _name_classes(ax, names, classes is not None)
    ax.set_xlabel("class that the network says")
    ax.set_ylabel("class that it is")
    ax.set_title(f"{np.mean(said == labels):.2%} of {len(labels):,} rows are right (blue)", fontsize=11)
    bar = ax.figure.colorbar(drawn, cax=ax.inset_axes((0.15, 0.05, 0.15, 0.9), transform=_beside(ax)[1]))
    bar.ax.yaxis.set_major_formatter(lambda value, _: f"{plain(100 * value)}%")
    bar.set_label("share of the class that is mistaken")
    if image is not None:
        _show_mistakes(ax, X, labels, said, outputs, names, image, worst)
    return ax


def _image_shape(inputs: int, shape: tuple[int, int] | None) -> tuple[int, int] | None:
    """The shape that was given, else a square; None where there is none. ValueError where it does not fit."""
    if shape is None:
        side = math.isqrt(inputs)
        return (side, side) if side**2 == inputs and side >= SMALLEST else None
    height, width = shape
    if height * width != inputs:
        raise ValueError(f"shape must be (height, width) of the {inputs} inputs, got {(height, width)}")
    return height, width


def _show_mistakes(ax: Any, X, labels: np.ndarray, said: np.ndarray, outputs: np.ndarray, names: list[str],
                   shape: tuple[int, int], worst: int) -> None:
    wrong = np.flatnonzero(said != labels)
    chosen = wrong[np.argsort(-outputs[wrong, said[wrong]], kind="stable")][:max(0, worst)]
    if not len(chosen):
        return
    images = X.tocsr()[chosen].toarray() if hasattr(X, "tocsr") else np.asarray(X)[chosen]
    columns = math.ceil(math.sqrt(len(chosen)))
    room, size = (each / max(2, columns) for each in (ROOM, 2.4))
    captions = [f"{names[labels[row]]} read as {names[said[row]]}" for row in chosen]
    if max(map(len, captions)) * CHARACTER > room:
        shorter = _shortened(names, 14)
        captions = [f"{shorter[labels[row]]}\nread as\n{shorter[said[row]]}" for row in chosen]
    lines = [caption.splitlines() for caption in captions]
    longest = CHARACTER * (1 + max(len(line) for each in lines for line in each))
    smaller = min(1, room / longest)
    width = max(size + 0.1, longest * smaller)
    height = size + 0.06 + LINE * smaller * max(map(len, lines))
    inches, _ = _beside(ax)
    left = LEFT + (width - size) / 2
    for i, (image, caption) in enumerate(zip(images, captions, strict=True)):
        corner = left + i % columns * width, -(i // columns + 1) * height
        inset = ax.inset_axes((*corner, size, size), transform=inches)
        inset.imshow(image.reshape(shape), cmap="gray_r", interpolation="nearest")
        inset.set_xticks([])
        inset.set_yticks([])
        inset.set_title(caption, fontsize=8 * smaller, pad=2)
    ax.text(left, 0.02, "the mistakes it was surest of", transform=inches, fontsize=9, color="0.3")


def _beside(ax: Any) -> tuple[Any, Any]:
    """Coordinates beside axes: inches from their upper right corner, and the same with shares of their height."""
    from matplotlib.transforms import ScaledTranslation, blended_transform_factory
    inches = ax.figure.dpi_scale_trans + ScaledTranslation(1, 1, ax.transAxes)
    return inches, blended_transform_factory(inches, ax.transAxes)


def _name_classes(ax: Any, names: list[str], given: bool) -> None:
    """Ticks with the names of the classes, or of every so many where they are many."""
    count = len(names)
    if count > 20 and not given:
        return                              # numbers, which matplotlib places
    shown = _shortened(names, MAX_NAME_LENGTH)
    every = range(0, count, math.ceil(count / MAX_NAMES))
    size = 10 if count <= 10 else 8 if count <= 20 else 6
    slanted: dict[str, Any] = {}
    if max(map(len, shown)) > 3:
        slanted = {"rotation": 90} if count > 20 else {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
    ax.set_xticks(every, [shown[i] for i in every], fontsize=size, **slanted)
    ax.set_yticks(every, [shown[i] for i in every], fontsize=size)


def _ink(colour: tuple[float, ...]) -> str:
    """Black or white, whichever is easier to read on this colour (WCAG 2, relative luminance)."""
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour[:3])
    return "black" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 else "white"


def _shortened(names: list[str], most: int) -> list[str]:
    """Names of at most so many letters, what is too long without its middle; those that become alike get a number."""
    def cut(name: str, most: int) -> str:
        tail = (most - 1) // 2
        return name if len(name) <= most else f"{name[:most - 1 - tail]}\N{HORIZONTAL ELLIPSIS}{name[-tail:]}"
    short = [cut(name, most) for name in names]
    return [each if short.count(each) == 1 or names.count(name) > 1 else f"{cut(name, most - 3)} {i}"
            for i, (name, each) in enumerate(zip(names, short, strict=True))]
