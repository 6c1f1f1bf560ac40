"""A picture of what the workers of a distributed run did."""
from __future__ import annotations

import re
from typing import Any

from fastsgd.deprecation import keyword_only
from fastsgd.display.numbers import plain
from fastsgd.network.given import require_result
from fastsgd.plots._axes import COLOURS, axes_of, title_and_legend

MAX_ROUNDS = 20                     # that are drawn where it is not said which
MAX_IN_LEGEND = 6                   # partitions that have a colour of their own, and an entry


@keyword_only
def rounds(history: Any, *, first: int | None = None, last: int | None = None, ax: Any = None) -> Any:
    """What each worker did when: a bar for each partition that it trained, in the partition's colour; white is waiting.

    Grey lines are where a round's results were in. Worker clocks are taken to agree.

    Parameters
    ----------
    history : RoundHistory
        Of ``fastsgd.distributed.train``.
    first, last : int, optional
        Numbers of rounds, from 1; the last 20 by default.
    ax : matplotlib axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib axes

    Examples
    --------
    >>> ax = fastsgd.plots.rounds(history, first=1, last=5)                          # doctest: +SKIP
    """
    require_result(history, "history", "compute_seconds", "fastsgd.distributed.train")
    done = history.tasks["round"]
    if not done:
        raise ValueError("history has no tasks: it is of no round, or of a run that ended where it was resumed")
    last = max(done) if last is None else last
    first = max(min(done), last - MAX_ROUNDS + 1) if first is None else first
    chosen = [i for i, number in enumerate(done) if first <= number <= last]
    if not chosen:
        raise ValueError(f"first={first} and last={last} hold none of the rounds {min(done)} to {max(done)}")
    tasks = {name: [values[i] for i in chosen] for name, values in history.tasks.items()}
    workers = sorted(set(tasks["worker"]))
    zero = min(tasks["began"])
    ax = axes_of(ax, (9, 2 + 0.45 * len(workers)))
    partitions = sorted(set(tasks["partition"]))
    for _, partition, worker, began, ended in zip(*tasks.values(), strict=True):
        ax.barh(workers.index(worker), ended - began, left=began - zero, height=0.7,
                color=COLOURS[partition % len(COLOURS)], edgecolor="white", linewidth=0.4)
    for number in range(first, last + 1):
        ends = [end for of, end in zip(tasks["round"], tasks["ended"], strict=True) if of == number]
        if ends:
            ax.axvline(max(ends) - zero, color="0.6", linewidth=0.7, zorder=0)
    ax.set_yticks(range(len(workers)), _short_names(workers))
    ax.set_ylabel("worker")
    ax.set_ylim(len(workers) - 0.5, -0.5)
    ax.set_xlabel("seconds")
    seconds, waiting = sum(history.seconds), sum(history.waiting_seconds)
    title = (f"rounds {first:,} to {last:,}, {len(partitions)} partitions on {len(workers)} "
             f"worker{'s' * (len(workers) != 1)}\n{plain(100 * waiting / max(seconds, 1e-9), 2)} % of the whole run's "
             f"{plain(seconds, 3)} s is waiting")
    shown = partitions if len(partitions) <= MAX_IN_LEGEND else []
    from matplotlib.patches import Patch
    title_and_legend(ax, title, [Patch(color=COLOURS[partition % len(COLOURS)], label=f"partition {partition}")
                                 for partition in shown], columns=MAX_IN_LEGEND)
    return ax


def _short_names(workers: list[str]) -> list[str]:
    """Their addresses, or the ports alone where all are on one host."""
    names = [name.split("://")[-1] for name in workers]
    hosts = {re.split(r"[:/](?!.*[:/])", name)[0] for name in names}
    return [re.split(r"[:/]", name)[-1] for name in names] if len(hosts) == 1 else names
