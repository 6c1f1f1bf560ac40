"""Pictures of what a model says of rows that it has not seen, and of what it rests on."""
from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsgd.display.numbers import plain
from fastsgd.plots._axes import BLUE, COLOURS, ORANGE, SKY, axes_of, title_and_legend
from fastsgd.plots._drawn import Explanation

if TYPE_CHECKING:
    from fastsgd.data.typing import ArrayLike

MOST_BARS = 30               # columns that are shown
LONGEST = 30                 # letters of a name
BINS = 10                    # of probabilities, with the same number of rows each


def importances(names: Sequence[str], values: ArrayLike, ax: Any = None, *, unit: str = "cost") -> Any:
    """A bar for each column, the most important first.

    Parameters
    ----------
    names : sequence of str
        Of the columns, such as ``model.feature_names_in_``.
    values : array (columns,)
        Such as ``model.feature_importances_``.
    ax : matplotlib axes, optional
    unit : str
        What the values are an increase of.

    Returns
    -------
    matplotlib axes

    Examples
    --------
    >>> ax = fastsgd.plots.importances(["size", "colour"], [3.0, 0.5])                # doctest: +SKIP
    """
    found = np.asarray(values, dtype=float)
    if found.shape != (len(names),):
        raise ValueError(f"values must be one for each of the {len(names)} names, got an array of shape {found.shape}")
    order = np.argsort(-found, kind="stable")[:MOST_BARS]
    ax = axes_of(ax, (8, 1.2 + 0.28 * len(order)))
    places = np.arange(len(order))
    ax.barh(places, found[order], color=BLUE, height=0.7)
    ax.set_yticks(places, [_shortened(str(names[column])) for column in order])
    ax.invert_yaxis()
    ax.axvline(0, color="0.4", linewidth=0.8)
    ax.set_xlabel(f"increase of the {unit} where the column is shuffled")
    ax.set_ylabel("column")
    left = f", the first {len(order)} of {len(names)}" if len(order) < len(names) else ""
    ax.set_title(f"What the predictions rest on{left}", fontsize=11)
    return ax


def explanation(explained: Explanation, row: int = 0, ax: Any = None) -> Any:
    """From the mean prediction to that of one row: a bar for what each column adds, the largest at the top.

    Parameters
    ----------
    explained : Explanation
        What ``TabularRegressor.explain`` or ``TabularClassifier.explain`` returned.
    row : int
        Of the rows that were explained. Of a classifier, the class that this row's prediction names is drawn.
    ax : matplotlib axes, optional

    Returns
    -------
    matplotlib axes

    Examples
    --------
    >>> ax = fastsgd.plots.explanation(model.explain(frame[:1]))                      # doctest: +SKIP
    """
    values, base, named = explained.of_row(row)
    order = np.argsort(-np.abs(values), kind="stable")
    names = [_shortened(f"{explained.columns[column]} = {explained.cell(row, column)}") for column in order]
    if len(order) > MOST_BARS:
        others = order[MOST_BARS - 1:]
        names[MOST_BARS - 1:] = [f"{len(others):,} more columns"]
        steps = np.append(values[order[:MOST_BARS - 1]], values[others].sum())
    else:
        steps = values[order]
    begins = base + np.cumsum(np.append(0.0, steps[::-1]))[:-1][::-1]          # from the bottom to the top
    ax = axes_of(ax, (8, 1.7 + 0.3 * len(names)))
    places = np.arange(len(names))
    ax.barh(places, steps, left=begins, color=[ORANGE if step > 0 else BLUE for step in steps], height=0.7)
    ax.set_yticks(places, names)
    ax.invert_yaxis()
    reached = base + values.sum()
    mean = ax.axvline(base, color="0.5", linestyle=":", label=f"mean prediction, {plain(base, 4)}")
    end = ax.axvline(reached, color="black", linestyle="--", linewidth=1, label=f"prediction, {plain(reached, 4)}")
    ax.use_sticky_edges = False
    ax.margins(x=0.05)
    ax.set_xlabel("prediction" if named is None else f"probability of {_shortened(str(named))!r}")
    ax.set_ylabel("column and what it holds")
    title_and_legend(ax, "What each column adds to a prediction", [mean, end], 2)
    return ax


def reliability(y: ArrayLike, probabilities: ArrayLike, ax: Any = None, *, label: str | None = None) -> Any:
    """How often the class that a model names is right, against how probable it says that is.

    Each dot is a tenth of the rows; on the diagonal probabilities hold (DeGroot and Fienberg 1983).

    Parameters
    ----------
    y : array (rows,)
        Class numbers.
    probabilities : array (rows, classes)
    ax : matplotlib axes, optional
        May hold those of other models, which keep their colours.
    label : str, optional
        What the legend calls these, such as the name of a model.

    Returns
    -------
    matplotlib axes
    """
    labels, p = np.asarray(y), np.asarray(probabilities, dtype=float)
    if p.ndim != 2 or labels.shape != p.shape[:1]:
        raise ValueError(f"probabilities must be (rows, classes) for the rows of y, {labels.shape}, got {p.shape}")
    sure, right = p.max(axis=1), p.argmax(axis=1) == labels
    parts = np.array_split(np.argsort(sure, kind="stable"), min(BINS, len(labels)))
    said = [sure[part].mean() for part in parts]
    held = [right[part].mean() for part in parts]
    errors = [np.sqrt(max(share * (1 - share), 1e-4) / len(part)) for share, part in zip(held, parts, strict=True)]
    ax = axes_of(ax, (8, 5))
    others = len(ax.containers)
    colour = COLOURS[others % len(COLOURS)]
    low = min(0.5, *said, *held)
    if not others:
        ax.axline((1, 1), slope=1, color="0.6", linewidth=1, label="as often as it says")
    name = "" if label is None else f"{_shortened(label)}: "
    ax.errorbar(said, held, yerr=errors, fmt="o", color=colour, ecolor=(colour, 0.5),
                label=f"{name}each dot {len(parts[0]):,} rows, with the standard error")
    ax.set_xlim(min(low - 0.02, *ax.get_xlim()) if others else low - 0.02, 1.02)
    ax.set_ylim(min(low - 0.02, *ax.get_ylim()) if others else low - 0.02, 1.02)
    ax.set_xlabel("probability of the class that is named")
    ax.set_ylabel("part of these rows that is of this class")
    title_and_legend(ax, "Do the probabilities hold?", ax.get_lines()[:1] + list(ax.containers))
    return ax


def predicted(y: ArrayLike, prediction: ArrayLike, interval: ArrayLike | None = None, ax: Any = None, *,
              name: str = "y") -> Any:
    """Predictions of a quantity against what it was, and how many rows lie within an interval.

    Parameters
    ----------
    y, prediction : array (rows,)
    interval : array (rows, 2), optional
        Such as ``model.predict_interval(X)``; drawn as lines.
    ax : matplotlib axes, optional
    name : str
        Of the quantity.

    Returns
    -------
    matplotlib axes
    """
    truth, mean = np.asarray(y, dtype=float), np.asarray(prediction, dtype=float)
    if truth.ndim != 1 or truth.shape != mean.shape:
        raise ValueError(f"y and prediction must be (rows,), got {truth.shape} and {mean.shape}")
    ax = axes_of(ax, (8, 5.5))
    title = f"R\N{SUPERSCRIPT TWO} {1 - np.mean((truth - mean) ** 2) / max(truth.var(), 1e-300):.3f}"
    if interval is not None:
        low, high = np.asarray(interval, dtype=float).T
        some = np.random.default_rng(0).permutation(len(truth))[:300]
        ax.vlines(mean[some], low[some], high[some], color=SKY, linewidth=0.8, alpha=0.5,
                  label="interval, of some rows")
        title += f"; {np.mean((truth >= low) & (truth <= high)):.1%} of the rows within the interval"
    ax.plot(mean, truth, ".", color=BLUE, markersize=4, alpha=0.5, label="a row")
    ends = [min(truth.min(), mean.min()), max(truth.max(), mean.max())]
    ax.plot(ends, ends, color=ORANGE, linewidth=1, label="right")
    ax.set_xlabel(f"{_shortened(name)} as predicted")
    ax.set_ylabel(f"{_shortened(name)} as it was")
    title_and_legend(ax, title, ax.get_legend_handles_labels()[0])
    return ax


def _shortened(name: str) -> str:
    name = "".join(character if character.isprintable() else "?" for character in name).replace("$", r"\$")
    return name if len(name) <= LONGEST else name[:LONGEST - 3] + "..."
