"""Pictures of ``fastsgd.descent``: how good a mini-batch step is, what it saves, and what the path looks like."""
from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsgd.files import write_atomically
from fastsgd.given import require_result
from fastsgd.plots._axes import BLUE, COLOURS, MISSING, ORANGE, axes_of, film_of

if TYPE_CHECKING:
    from fastsgd.descent import CostSurface, GradientNoise, Race, Trajectory

LEVELS = 28


def race(race: Race, ax: Any = None, against: str = "seconds") -> Any:
    """Cost against wall time, or against the examples seen, of every runner; both axes are logarithmic.

    A dotted line lies where full gradient descent ends.

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
    ax = axes_of(ax)
    for i, runner in enumerate(race.runners):
        full = runner.batch_size is None
        ax.plot(getattr(runner, against)[1:], runner.cost[1:], color="black" if full else COLOURS[i % len(COLOURS)],
                linewidth=2.5 if full else 2, label=f"{runner.name}, learning rate {runner.learning_rate:.2g}")
    if race.full is not None and not math.isnan(race.goal) and len(race.runners) > 1:
        end = race.goal
        ax.axhline(end, color="black", linewidth=1, linestyle=":")
        if against == "seconds":
            best = max((runner for runner in race.runners if runner is not race.full), key=race.sooner)
            for i, runner in enumerate(race.runners):
                reached = runner.time_to(end)
                if runner is not race.full and math.isfinite(reached) and reached > 0:
                    sooner = race.sooner(runner)
                    label = f"{sooner:,.0f}" if sooner >= 100 else f"{sooner:.3g}"
                    ax.plot(reached, end, "o", color=COLOURS[i % len(COLOURS)], markersize=6, label=(
                        f"{label} times sooner than full gradient descent" if runner is best and sooner > 1 else None))
    ax.set_xscale("log")
    if all((runner.cost > 0).all() for runner in race.runners):
        ax.set_yscale("log")
    ax.set_xlabel("seconds of steps" if against == "seconds" else "examples seen")
    ax.set_ylabel("mean cost over all rows")
    ax.grid(alpha=0.3, which="both")
    ax.legend(fontsize=9)
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
    ax = axes_of(ax)
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
    scale = "infinite" if noise.noise_scale == math.inf else f"{noise.noise_scale:.3g} rows"
    ax.set_title(f"cosine {np.mean(noise.cosines):.2f} on average, an angle of {angle:.0f}°; noise scale {scale}",
                 fontsize=11)
    ax.axhline(0, color="0.6", linewidth=0.8)
    ax.set_xlabel("along the true gradient, whose length is 1")
    ax.set_ylabel("across it, upwards and downwards by turns")
    room = 1.1 * max(float(np.abs(across).max()), 0.3)
    ax.set_ylim(-room, room)
    ax.set_xlim(min(-0.1, float(along.min()) * 1.1), max(1.15, float(along.max()) * 1.1))
    ax.grid(alpha=0.3)
    ax.legend(loc="upper left", fontsize=9)
    return ax


def descent(trajectory: Trajectory, surface: CostSurface, ax: Any = None, view: str = "above") -> Any:
    """The paths of a trajectory over the cost of the plane they lie near: contours from above, or a landscape.

    Parameters
    ----------
    trajectory : fastsgd.descent.Trajectory
    surface : fastsgd.descent.CostSurface
        Of the same plane.
    ax : matplotlib axes, optional
        For a landscape, axes with projection="3d".
    view : "above" or "3d"

    Returns
    -------
    matplotlib axes
    """
    require_result(trajectory, "trajectory", "paths", "fastsgd.descent.trajectory")
    if view not in ("above", "3d"):
        raise ValueError(f"view must be 'above' or '3d', got {view!r}")
    if view == "3d":
        return _landscape(trajectory, surface, ax)
    ax = axes_of(ax)
    _contours(trajectory, surface, ax)
    for i, path in _careful_last(trajectory):
        points, colour = trajectory.coordinates(path), _colour(path, i)
        ax.plot(*points.T, color="white", linewidth=3.5, alpha=0.7)
        ax.plot(*points.T, color=colour, linewidth=1.8, marker=".", markersize=4,
                label=f"{path.name}: {path.steps[-1]:,} steps, cost {path.cost[-1]:.3g} at the end")
        ax.plot(*points[-1], "o", color=colour, markeredgecolor="white", markersize=11, zorder=5)
    _mark_start(trajectory, ax)
    ax.legend(loc="best", fontsize=9)
    return ax


def animate_descent(trajectory: Trajectory, surface: CostSurface, path: str | os.PathLike, seconds: float = 6.0,
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
    ax = axes_of(None)
    _contours(trajectory, surface, ax)
    drawn = []
    for i, each in _careful_last(trajectory):
        points, colour = trajectory.coordinates(each), _colour(each, i)
        line, = ax.plot([], [], color=colour, linewidth=1.8, marker=".", markersize=4, label=each.name)
        head, = ax.plot([], [], "o", color=colour, markeredgecolor="white", markersize=11, zorder=5)
        drawn.append((each, points, line, head))
    _mark_start(trajectory, ax)
    ax.legend(loc="best", fontsize=9)
    last = max(each.steps[-1] for each, *_ in drawn)
    moving = max(2, round(seconds * frames_per_second))
    title = ax.set_title("")

    def show(frame: int) -> list:
        step = last * (min(frame, moving - 1) / (moving - 1)) ** 1.5     # the first steps are the longest
        for each, points, line, head in drawn:
            known = int(np.searchsorted(each.steps, step, side="right"))
            line.set_data(*points[:known].T)
            head.set_data(*points[max(0, known - 1)][:, np.newaxis])
        title.set_text(f"step {int(step):,}")
        return [title]

    film = FuncAnimation(ax.figure, show, frames=moving + frames_per_second, blit=False)
    writer = (PillowWriter if ending == ".gif" else FFMpegWriter)(fps=frames_per_second)
    write_atomically(path, [film_of(film, ending, writer)])


# ---- their parts ----

def _careful_last(trajectory: Trajectory) -> list:
    """The paths, so that the careful one is drawn over those that stumble about it."""
    return sorted(enumerate(trajectory.paths), key=lambda entry: entry[1].batch_size is None)


def _colour(path: Any, i: int) -> str:
    return BLUE if path.batch_size is None else (ORANGE, *COLOURS[2:])[i % 5]


def _mark_start(trajectory: Trajectory, ax: Any) -> None:
    start = trajectory.plane.coordinates(trajectory.paths[0].params[0])
    ax.plot(*start, "s", color="black", markeredgecolor="white", markersize=10, zorder=6, label="start")


def _levels(surface: CostSurface) -> np.ndarray:
    """Costs to draw contours at: more of them low down, where the paths end."""
    finite = surface.cost[np.isfinite(surface.cost)]
    low, high = float(finite.min()), float(np.quantile(finite, 0.98))
    if low > 0 and high > 1.5 * low:
        return np.geomspace(low, high, LEVELS)
    return np.linspace(low, max(high, low + 1e-9), LEVELS)


def _contours(trajectory: Trajectory, surface: CostSurface, ax: Any) -> None:
    levels = _levels(surface)
    cost = np.clip(surface.cost, levels[0], levels[-1])
    greys = [str(grey) for grey in np.linspace(0.97, 0.6, len(levels) - 1)]
    ax.contourf(surface.x, surface.y, cost, levels=levels, colors=greys)
    lines = ax.contour(surface.x, surface.y, cost, levels=levels[::3], colors="0.35", linewidths=0.6)
    ax.clabel(lines, fmt="%.2g", fontsize=8)
    ax.set_xlabel(f"first principal component of the paths, {trajectory.explained[0]:.1%} of their variance")
    ax.set_ylabel(f"second, {trajectory.explained[1]:.1%}")
    ax.set_title("mean cost on the plane (contours), and the paths moved onto it", fontsize=11)


def _landscape(trajectory: Trajectory, surface: CostSurface, ax: Any) -> Any:
    ax = axes_of(ax, (8, 6), projection="3d")
    if not hasattr(ax, "plot_surface"):
        raise ValueError("ax must have projection='3d' for view='3d'")
    levels = _levels(surface)
    logarithmic = levels[0] > 0
    height = np.log10 if logarithmic else np.asarray
    cost = np.clip(surface.cost, levels[0], levels[-1])
    across, up = np.meshgrid(surface.x, surface.y)
    ax.plot_surface(across, up, height(cost), cmap="Greys", alpha=0.55, rstride=1, cstride=1, linewidth=0.1,
                    edgecolor="0.6")
    lift = 0.02 * float(np.ptp(height(cost)))
    for i, path in _careful_last(trajectory):
        points = trajectory.coordinates(path)
        at = height(np.clip(_interpolated(surface, points), levels[0], levels[-1])) + lift
        ax.plot(points[:, 0], points[:, 1], at, color=_colour(path, i), linewidth=2, label=path.name, zorder=10)
        ax.plot(points[-1:, 0], points[-1:, 1], at[-1:], "o", color=_colour(path, i), markersize=9, zorder=11)
        if i == 0:
            ax.plot(points[:1, 0], points[:1, 1], at[:1], "s", color="black", markersize=8, label="start", zorder=11)
    ax.set_xlabel("first principal component")
    ax.set_ylabel("second")
    ax.set_zlabel("mean cost", labelpad=12)
    ax.tick_params(axis="z", pad=7)
    if logarithmic:
        values = _round_costs(float(levels[0]), float(levels[-1]))
        ax.set_zticks(np.log10(values), [f"{value:g}" for value in values])
    ax.view_init(elev=38, azim=-60)
    ax.legend(loc="upper left", fontsize=9)
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
