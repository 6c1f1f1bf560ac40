"""Pictures of ``fastsgd.descent``: how good a mini-batch step is, what it saves, and what the path looks like."""
from __future__ import annotations

import math
import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from fastsgd.deprecation import keyword_only
from fastsgd.display.numbers import noise_in_rows, plain
from fastsgd.files.atomic import write_atomically
from fastsgd.network.given import require_result
from fastsgd.plots._axes import (
    BLUE,
    COLOURS,
    MISSING,
    ORANGE,
    axes_of,
    film_of,
    logarithmic,
    panels_below,
    title_and_legend,
)
from fastsgd.plots._drawn import CostSurface, GradientNoise, Path, Race, Runner, Trajectory

LEVELS = 28
GAP = 1.5               # times the last measurement of a race: where the next one is later, the line is dotted
LETTER, LINE = 0.0132, 0.07         # what a letter and a line take of the width and height of the plane
PANEL = 0.42       # of the plane's height, for the costs below it


@keyword_only
def race(race: Race, ax: Any = None, *, against: str = "seconds") -> Any:
    """Cost against wall time, or against the examples seen, of every runner; both axes are logarithmic.

    Points are measurements. The lines between them are dotted where the next one is far away. A dotted line lies where
    full gradient descent ends, and a large dot where a runner was first measured to be as far.

    Parameters
    ----------
    race : fastsgd.descent.Race
    ax : matplotlib axes, optional
    against : "seconds" or "examples"

    Returns
    -------
    matplotlib axes
    """
    require_result(race, "race", "runners", "fastsgd.descent.race")
    if against not in ("seconds", "examples"):
        raise ValueError(f"against must be 'seconds' or 'examples', got {against!r}")
    ax = axes_of(ax, (8, 5.5))
    handles = []
    for i, runner in enumerate(race.runners):
        full = runner.batch_size is None
        colour = "black" if full else COLOURS[i % len(COLOURS)]
        handles.append(_measured(ax, runner, against, color=colour, linewidth=2.2 if full else 1.6,
                                 label=f"{runner.name}, learning rate {plain(runner.learning_rate, 2)}"
                                       + (", diverged" if runner.diverged else "")))
    title = f"cost of all {race.rows:,} rows" + ("" if against == "seconds" else " against the examples seen")
    if race.full is not None and not math.isnan(race.goal) and len(race.runners) > 1:
        handles.append(ax.axhline(race.goal, color="black", linewidth=1, linestyle=":",
                                  label="where full gradient descent ends"))
        others = [runner for runner in race.runners if runner is not race.full]
        for i, runner in enumerate(race.runners):
            below = np.flatnonzero(runner.cost[1:] <= race.goal) + 1
            if runner is not race.full and len(below):
                ax.plot(getattr(runner, against)[below[0]], runner.cost[below[0]], "o",
                        color=COLOURS[i % len(COLOURS)], markersize=8, markeredgecolor="white", zorder=5)
        best = max(others, key=race.sooner)
        if against == "seconds" and race.reached(best).endswith("times sooner"):
            times, how = race.reached(best).split(", ")[1], best.name if best.batch_size == 1 else f"with {best.name}"
            title = f"full gradient descent's final cost is reached {times} {how}"
    seen = [getattr(runner, against)[1:] for runner in race.runners]
    logarithmic(ax.xaxis, [value for values in seen for value in values if value > 0])
    if all((runner.cost > 0).all() for runner in race.runners):
        logarithmic(ax.yaxis, [cost for runner in race.runners for cost in runner.cost if math.isfinite(cost)])
    if any(runner.diverged for runner in race.runners):
        top, start = ax.get_ylim()[1], float(race.runners[0].cost[0])
        ax.set_ylim(top=min(top, start + 9 * abs(start)))          # so that the others are seen
    ax.set_xlabel("seconds of steps" if against == "seconds" else "examples seen")
    ax.set_ylabel("mean cost over all rows")
    ax.grid(alpha=0.3)
    title_and_legend(ax, title, handles, columns=2)
    return ax


def gradient_noise(noise: GradientNoise, ax: Any = None) -> Any:
    """The mini-batch gradients beside the true one, each with its length and the angle between both.

    There are as many directions across as there are parameters; here all of them point up or down, by turns.

    Parameters
    ----------
    noise : fastsgd.descent.GradientNoise
    ax : matplotlib axes, optional

    Returns
    -------
    matplotlib axes
    """
    require_result(noise, "noise", "norm_ratios", "fastsgd.descent.gradient_noise")
    ax = axes_of(ax, (8, 5.5))
    along = noise.norm_ratios * noise.cosines
    by_turns = np.where(np.arange(len(along)) % 2, -1, 1)
    across = by_turns * noise.norm_ratios * np.sqrt(np.maximum(0, 1 - noise.cosines**2))
    for i, (x, y) in enumerate(zip(along, across, strict=True)):
        ax.plot([0, x], [0, y], color=ORANGE, linewidth=0.8, alpha=0.5)
        label = f"{len(along)} gradients of {noise.batch_size:,} rows each" if i == 0 else None
        ax.plot(x, y, "o", color=ORANGE, markersize=3.5, label=label)
    ax.annotate("", (1, 0), (0, 0),
                arrowprops={"arrowstyle": "-|>", "color": BLUE, "linewidth": 3, "mutation_scale": 18})
    ax.plot([], [], color=BLUE, linewidth=3, label=f"the true gradient of all {noise.rows:,} rows")
    angle = math.degrees(math.acos(min(1.0, max(-1.0, float(np.mean(noise.cosines))))))
    title = (f"cosine {np.mean(noise.cosines):.2f} on average, an angle of {angle:.0f}°; noise scale "
             f"{noise_in_rows(noise.noise_scale)}")
    ax.axhline(0, color="0.6", linewidth=0.8)
    ax.set_xlabel("along the true gradient, whose length is 1")
    ax.set_ylabel("across it, upwards and downwards by turns")
    room = 1.1 * max(float(np.abs(across).max()), 0.3)
    ax.set_ylim(-room, room)
    ax.set_xlim(min(-0.1, float(along.min()) * 1.1), max(1.15, float(along.max()) * 1.1))
    ax.grid(alpha=0.3)
    title_and_legend(ax, title, ax.get_legend_handles_labels()[0], columns=2)
    return ax


@keyword_only
def descent(trajectory: Trajectory, surface: CostSurface, ax: Any = None, *, view: str = "above") -> Any:
    """The paths of a trajectory over the cost of the plane they lie near, and what the paths themselves cost.

    From above there are contours of the plane's cost, and the paths moved straight onto it. A network on a path lies
    off the plane and costs something else: that is written at the ends of the paths and drawn below, against seconds or
    steps, whichever all descents had as much of. In a landscape the paths lie as high as they themselves cost.

    Parameters
    ----------
    trajectory : fastsgd.descent.Trajectory
    surface : fastsgd.descent.CostSurface
        Of the same plane.
    ax : matplotlib axes, optional
        Gets smaller, as the costs are drawn below it. For a landscape, axes with projection="3d".
    view : "above" or "3d"

    Returns
    -------
    matplotlib axes
        Those of the plane.
    """
    require_result(trajectory, "trajectory", "paths", "fastsgd.descent.trajectory")
    if view not in ("above", "3d"):
        raise ValueError(f"view must be 'above' or '3d', got {view!r}")
    if view == "3d":
        return _landscape(trajectory, surface, ax)
    ax = axes_of(ax, (8, 7.5))
    panel, = panels_below(ax, [PANEL])
    at_ends = _end_places(trajectory, surface)
    _contours(trajectory, surface, ax, at_ends)
    handles = {}
    for i, path in _careful_last(trajectory):
        points, colour = trajectory.coordinates(path), _colour(path, i)
        ax.plot(*points.T, color="white", linewidth=3.5, alpha=0.7)
        handles[i], = ax.plot(*points.T, color=colour, linewidth=1.8, marker=".", markersize=4, label=_label(path))
        ax.plot(*points[-1], "o", color=colour, markeredgecolor="white", markersize=10, zorder=5)
        ax.annotate(_own_cost(path), points[-1], at_ends[i], textcoords=ax.transAxes, ha="center", va="center",
                    fontsize=9, color=colour, fontweight="bold", zorder=7,
                    bbox={"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.8})
        panel.plot(getattr(path, trajectory.equal), path.cost, color=colour, linewidth=1.8, marker=".", markersize=3)
        panel.plot(getattr(path, trajectory.equal)[-1], path.cost[-1], "o", color=colour, markeredgecolor="white",
                   markersize=9, zorder=5, clip_on=False)
    costs = np.concatenate([path.cost for path in trajectory.paths])
    if (costs > 0).all():
        logarithmic(panel.yaxis, costs.tolist())
    panel.set_xlim(0, None)
    panel.set_xlabel("seconds of steps" if trajectory.equal == "seconds" else "steps")
    panel.set_ylabel("cost of the paths")
    panel.grid(alpha=0.3)
    start = _mark_start(trajectory, ax)
    title_and_legend(ax, _title(trajectory), [*(handles[i] for i in sorted(handles)), start])
    return ax


@keyword_only
def save_animation(trajectory: Trajectory, surface: CostSurface, path: str | os.PathLike, *, seconds: float = 6.0,
                   frames_per_second: int = 12) -> None:
    """Writes the descents as a film: GIF, or MP4 where ffmpeg is installed. Complete or not at all.

    Parameters
    ----------
    trajectory, surface
        As :func:`descent` takes them.
    path : path
        Ends in .gif or .mp4.
    seconds : float
        Of the film; its last picture stays for one more.
    frames_per_second : int

    Raises
    ------
    ValueError
        For another ending, or MP4 without ffmpeg.
    OSError
        Where the file cannot be written.
    """
    require_result(trajectory, "trajectory", "paths", "fastsgd.descent.trajectory")
    try:
        from matplotlib.animation import FFMpegWriter, FuncAnimation, PillowWriter
    except ImportError:
        raise ImportError(MISSING) from None
    ending = os.path.splitext(os.fspath(path))[1].lower()
    if ending not in (".gif", ".mp4"):
        raise ValueError(f"path must end in .gif or .mp4, got {os.fspath(path)!r}")
    if ending == ".mp4" and not FFMpegWriter.isAvailable():
        raise ValueError("an .mp4 needs ffmpeg, which is not installed here; a .gif does not")
    if not seconds > 0 or frames_per_second < 1:
        raise ValueError(f"seconds and frames_per_second must be above 0, got {seconds!r} and {frames_per_second!r}")
    ax = axes_of(None, (8, 5.5), shows=False)
    _contours(trajectory, surface, ax)
    drawn = []
    for i, each in _careful_last(trajectory):
        points, colour = trajectory.coordinates(each), _colour(each, i)
        line, = ax.plot([], [], color=colour, linewidth=1.8, marker=".", markersize=4, label=each.name)
        head, = ax.plot([], [], "o", color=colour, markeredgecolor="white", markersize=10, zorder=5)
        drawn.append((each, points, line, head))
    title_and_legend(ax, " ", [*(line for *_, line, _ in drawn), _mark_start(trajectory, ax)])
    words = ax.get_legend().get_texts()
    by_time = trajectory.equal == "seconds"
    last = max(getattr(each, trajectory.equal)[-1] for each, *_ in drawn)
    moving = max(2, round(seconds * frames_per_second))

    def show(frame: int) -> list:
        now = last * (min(frame, moving - 1) / (moving - 1)) ** 1.5      # the first steps are the longest
        for (each, points, line, head), text in zip(drawn, words, strict=False):
            known = int(np.searchsorted(getattr(each, trajectory.equal), now * (1 + 1e-9), side="right"))
            at = max(0, known - 1)
            line.set_data(*points[:known].T)
            head.set_data(*points[at][:, np.newaxis])
            text.set_text(f"{each.name}: {each.steps[at]:,} steps, cost {plain(each.cost[at])}")
        ax.title.set_text(f"after {plain(now, 2)} s of steps" if by_time else f"step {int(now):,}")
        return [ax.title]

    show(moving)                                # the longest words, for which there must be room in every picture
    ax.figure.draw_without_rendering()
    ax.figure.set_layout_engine("none")         # nothing is to move about, and laying out takes longer than drawing
    film = FuncAnimation(ax.figure, show, frames=moving + frames_per_second, blit=False)
    writer = (PillowWriter if ending == ".gif" else FFMpegWriter)(fps=frames_per_second)
    write_atomically(path, [film_of(film, ending, writer)])


# ---- their parts ----

def _careful_last(trajectory: Trajectory) -> list:
    """The paths, so that the careful one is drawn over those that stumble about it."""
    return sorted(enumerate(trajectory.paths), key=lambda entry: entry[1].batch_size is None)


def _colour(path: Path, i: int) -> str:
    return BLUE if path.batch_size is None else (ORANGE, *COLOURS[2:])[i % 5]


def _mark_start(trajectory: Trajectory, ax: Any) -> Any:
    start = trajectory.plane.coordinates(trajectory.paths[0].params[0])
    mark, = ax.plot(*start, "s", color="black", markeredgecolor="white", markersize=14, zorder=4, linestyle="none",
                    label=f"start, cost {plain(float(trajectory.paths[0].cost[0]))}")
    return mark


def _label(path: Path) -> str:
    return (f"{path.name}: {path.steps[-1]:,} steps, {path.seconds[-1]:.2g} s, cost {plain(float(path.cost[-1]))} "
            "at the end")


def _title(trajectory: Trajectory) -> str:
    return "descents of equal time" if trajectory.equal == "seconds" else "descents of equally many steps"


def _own_cost(path: Path) -> str:
    return f"own cost {plain(float(path.cost[-1]))}"


def _end_places(trajectory: Trajectory, surface: CostSurface) -> dict[int, np.ndarray]:
    """Where the cost of each path stands by its end, as shares of the axes: where the fewest points are."""
    points = np.concatenate([_shares(trajectory.coordinates(path), surface) for path in trajectory.paths])
    places: dict[int, np.ndarray] = {}
    for i, path in enumerate(trajectory.paths):
        half = np.array([LETTER * len(_own_cost(path)) / 2, LINE / 2])
        end = _shares(trajectory.coordinates(path)[-1:], surface)[0]
        best = math.inf
        for side in ((1, 0), (0, 1), (0, -1), (-1, 0), (0, 2), (0, -2), (0, 3), (0, -3)):
            further = max(0, abs(side[1]) - 1) * LINE * np.sign(side[1])
            middle = end + np.sign(side) * np.add(half, (0.022, 0.03)) + (0, further)
            covered = int((np.abs(points - middle) < half).all(axis=1).sum())
            covered += 10_000 * int((np.abs(middle - 0.5) + half > 0.5).any())
            covered += 1000 * sum(bool((np.abs(middle - other) < (2 * half[0], LINE)).all())
                                  for other in places.values())
            if covered < best:
                best, places[i] = covered, middle
    return places


def _shares(points: np.ndarray, surface: CostSurface) -> np.ndarray:
    """Points of the plane as shares of the picture's width and height."""
    corner, size = (surface.x[0], surface.y[0]), (np.ptp(surface.x), np.ptp(surface.y))
    return (points - corner) / size


def _measured(ax: Any, runner: Runner, against: str, **look: Any) -> Any:
    """A line with a point at each measurement, dotted where the next one is far away; returns its legend handle."""
    at, values = getattr(runner, against)[1:].astype(float), runner.cost[1:].astype(float)
    far = np.flatnonzero((at[1:] > GAP * at[:-1]) & (np.diff(runner.steps[1:]) > 1))
    whole = (np.insert(each, far + 1, np.nan) for each in (at, values))      # lines end at NaN
    line, = ax.plot(*whole, marker=".", markersize=2.5 * look["linewidth"], **look)
    for i in far:
        ax.plot(at[i:i + 2], values[i:i + 2], color=look["color"], linewidth=0.8, linestyle=":")
    return line


def _levels(surface: CostSurface) -> np.ndarray:
    """Costs to draw contours at: more of them low down, where the paths end."""
    finite = surface.cost[np.isfinite(surface.cost)]
    low, high = float(finite.min()), float(np.quantile(finite, 0.98))
    if low > 0 and high > 1.5 * low:
        return np.geomspace(low, high, LEVELS)
    return np.linspace(low, max(high, low + 1e-9), LEVELS)


def _contours(trajectory: Trajectory, surface: CostSurface, ax: Any,
              words: Mapping[int, np.ndarray] = MappingProxyType({})) -> None:
    levels = _levels(surface)
    cost = np.clip(surface.cost, levels[0], levels[-1])
    greys = [str(grey) for grey in np.linspace(0.97, 0.6, len(levels) - 1)]
    ax.contourf(surface.x, surface.y, cost, levels=levels, colors=greys)
    lines = ax.contour(surface.x, surface.y, cost, levels=levels[::3], colors="0.35", linewidths=0.6)
    paths = np.concatenate([_shares(trajectory.coordinates(path), surface) for path in trajectory.paths])
    beside = [np.add(place, (across, 0)) for place in words.values() for across in np.linspace(-0.08, 0.08, 5)]
    places = _label_places(lines, surface, [*paths[::max(1, len(paths) // 400)], *beside])
    if places:
        ax.clabel(lines, fmt=lambda value: plain(value, 2), fontsize=8, manual=places)
    ax.set_xlabel(f"first principal component of the paths, {trajectory.explained[0]:.1%} of their variance\n"
                  "grey, and numbers on lines: cost on the plane, onto which the paths are moved")
    ax.set_ylabel(f"second, {trajectory.explained[1]:.1%}")


def _label_places(lines: Any, surface: CostSurface, taken: list) -> list[tuple[float, float]]:
    """A point of each contour for its label: within the picture, and as far as can be from what is there already."""
    found = []
    for segments in lines.allsegs:
        points = np.concatenate([*segments, np.empty((0, 2))])
        inner = points[(np.abs(_shares(points, surface) - 0.5) < (0.43, 0.44)).all(axis=1)]
        if len(inner):
            shares = _shares(inner, surface)
            away = np.min(np.abs(shares[:, np.newaxis] - np.array(taken)) @ (1.0, 1.5), axis=1)
            if away.max() > 0.07:
                taken.append(shares[away.argmax()])
                found.append(tuple(inner[away.argmax()]))
    return found


def _landscape(trajectory: Trajectory, surface: CostSurface, ax: Any) -> Any:
    if ax is None:
        ax = axes_of(None, (8, 6), projection="3d")
        ax.set_position((0, 0.05, 1, 0.81))            # room for the legend
    if not hasattr(ax, "plot_surface"):
        raise ValueError("ax must have projection='3d' for view='3d'")
    levels = _levels(surface)
    own = np.concatenate([path.cost for path in trajectory.paths])
    logarithmic = levels[0] > 0 and (own > 0).all()
    height = np.log10 if logarithmic else np.asarray
    cost = np.clip(surface.cost, levels[0], levels[-1])
    across, up = np.meshgrid(surface.x, surface.y)
    ax.plot_surface(across, up, height(cost), cmap="Greys", alpha=0.55, rstride=1, cstride=1, linewidth=0.1,
                    edgecolor="0.6")
    lines = {}
    for i, path in _careful_last(trajectory):
        points, colour = trajectory.coordinates(path), _colour(path, i)
        at = height(path.cost)
        ground = height(np.clip(_interpolated(surface, points[-1:]), levels[0], levels[-1]))
        lines[i], = ax.plot(points[:, 0], points[:, 1], at, color=colour, linewidth=2, label=_label(path), zorder=10)
        ax.plot(points[-1:, 0], points[-1:, 1], at[-1:], "o", color=colour, markersize=9, zorder=11)
        ax.plot(points[-1:, 0].repeat(2), points[-1:, 1].repeat(2), [ground[0], at[-1]], color=colour, linewidth=1,
                linestyle=":", zorder=9)
        if i == 0:
            start, = ax.plot(points[:1, 0], points[:1, 1], at[:1], "s", color="black", markersize=8, label="start",
                             zorder=11)
    ax.set_xlabel("first principal component")
    ax.set_ylabel("second")
    ax.set_zlabel("mean cost", labelpad=12)
    ax.tick_params(axis="z", pad=7)
    if logarithmic:
        values = _round_costs(min(float(levels[0]), float(own.min())), max(float(levels[-1]), float(own.max())))
        ax.set_zticks(np.log10(values), [plain(value) for value in values])
    ax.view_init(elev=38, azim=-60)
    ax.legend(handles=[*(lines[i] for i in sorted(lines)), start], loc="lower center", bbox_to_anchor=(0.5, 0.98),
              fontsize=9, frameon=False, title=f"{_title(trajectory)}; the paths lie as high as they themselves cost")
    return ax


def _round_costs(low: float, high: float) -> list[float]:
    """Three to eight of them between both, for a logarithmic axis."""
    from matplotlib.ticker import MaxNLocator
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in ((1,), (1, 3), (1, 2, 3, 5, 7)):
        values = [digit * 10.0**decade for decade in decades[::1 + len(decades) // 8] for digit in digits]
        values = [value for value in values if low <= value <= high]
        if len(values) > 2:
            return values
    return [float(value) for value in MaxNLocator(5).tick_values(low, high) if low <= value <= high]


def _interpolated(surface: CostSurface, points: np.ndarray) -> np.ndarray:
    """The surface's cost at points of its plane, between its grid's."""
    i = np.clip(np.searchsorted(surface.x, points[:, 0]) - 1, 0, len(surface.x) - 2)
    j = np.clip(np.searchsorted(surface.y, points[:, 1]) - 1, 0, len(surface.y) - 2)
    u = np.clip((points[:, 0] - surface.x[i]) / (surface.x[i + 1] - surface.x[i]), 0, 1)
    v = np.clip((points[:, 1] - surface.y[j]) / (surface.y[j + 1] - surface.y[j]), 0, 1)
    cost = surface.cost
    return ((1 - v) * ((1 - u) * cost[j, i] + u * cost[j, i + 1])
            + v * ((1 - u) * cost[j + 1, i] + u * cost[j + 1, i + 1]))
