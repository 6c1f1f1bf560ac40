"""``fastsgd race`` and ``fastsgd descent``: descents compared, as a table, pictures and one HTML page."""
from __future__ import annotations

import argparse
import contextlib
import importlib.util
import math
import os
import platform
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import fastsgd
from fastsgd import descent, plots
from fastsgd.cli.console import say, tell, warn
from fastsgd.cli.option_types import above_zero, not_negative, path, whole
from fastsgd.cli.report import Report
from fastsgd.cli.train_options import sizes
from fastsgd.engine.machine import cpu_name
from fastsgd.files.atomic import check_writable, write_atomically
from fastsgd.model.architecture import ACTIVATIONS
from fastsgd.plots._axes import MISSING, last_picture_of
from fastsgd.tables.encoding import Encoding, rows_with_targets
from fastsgd.tables.read import read_table
from fastsgd.tables.reading import Reading, add_column_options, add_reading_options

SETS = {"digits": fastsgd.datasets.digits, "mnist": fastsgd.datasets.mnist,
        "fashion-mnist": fastsgd.datasets.fashion_mnist}
SURFACE_ROWS = 10_000
RATE, RATE_OF_QUANTITIES = 0.3, 0.01        # squared errors of many hidden units diverge with the former


def add_arguments(race_command: argparse.ArgumentParser, descent_command: argparse.ArgumentParser) -> None:
    """The options of both commands."""
    for command, run, out in ((race_command, race, "fastsgd-race"), (descent_command, look, "fastsgd-descent")):
        command.add_argument("data", type=path, metavar="DATA", nargs="?", default="digits", help="digits, mnist, "
                             "fashion-mnist, or a table: CSV, JSON lines, Parquet, .npz ... (%(default)s)")
        command.add_argument("--target", metavar="COLUMN", help="the column of a table to predict")
        command.add_argument("--hidden", type=sizes, default=[128], metavar="128,64", help="units of the hidden layers "
                             "(128); 0 for none")
        command.add_argument("--activation", default="relu", choices=ACTIVATIONS)
        command.add_argument("--seed", type=whole(0), default=0, help="of the weights and the order (%(default)s)")
        command.add_argument("--threads", type=whole(1))
        command.add_argument("--out", type=path, default=out, metavar="FOLDER", help="where to write the pictures and "
                             "report.html (%(default)s)")
        table = command.add_argument_group("the table")
        add_column_options(table)
        add_reading_options(table)
        command.set_defaults(run_command=run, refuse=command.error)
    race_command.add_argument("--seconds", type=above_zero, default=2.0, help="of each runner; looking for its "
                              "learning rate takes about as long (%(default)s)")
    race_command.add_argument("--batch-sizes", default="1,10,100,1000,all", metavar="1,10,all", help="(%(default)s)")
    descent_command.add_argument("--batch-size", type=whole(1), default=5, help="of the mini-batches (%(default)s)")
    descent_command.add_argument("--learning-rate", type=not_negative, help=f"of both descents ({RATE}; "
                                 f"{RATE_OF_QUANTITIES} where a quantity is predicted)")
    length = descent_command.add_mutually_exclusive_group()
    length.add_argument("--seconds", type=above_zero, help="of steps, for each descent; what full gradient descent "
                        "needs for 30 steps by default")
    length.add_argument("--steps", type=whole(2), help="as many for each descent, instead of equal time")
    descent_command.add_argument("--film", action="store_true", help="also an animation, descent.gif")


# ---- the commands ----

def race(options: argparse.Namespace) -> int:
    """Races batch sizes against full gradient descent."""
    sizes = [_batch_size(text) for text in options.batch_sizes.split(",")]
    if len(set(sizes)) < len(sizes):
        raise ValueError(f"--batch-sizes must differ from each other, got {options.batch_sizes!r}")
    net, X, y, what = _begin(options)
    say(f"{what}; {options.seconds:g} s for each batch size")
    found = descent.race(net, X, y, sizes, seconds=options.seconds, seed=options.seed, threads=options.threads,
                         progress=True)
    print(found)

    report = Report(f"Full gradient descent against mini-batches: {what}")
    report.text("Every runner starts from the same weights and follows plain gradient descent at the learning rate "
                "that brought it furthest in a short trial. The clock counts steps alone; all rows make the cost. "
                "The row of the lowest cost is marked.")
    best = min(range(len(found.runners)), key=lambda i: math.inf if found.runners[i].diverged
               else found.runners[i].cost[-1])
    report.show(found, best)
    pictures = {"race.png": (last_picture_of(found.plot()), "Cost against the seconds of the steps. Points are "
                             "measurements; a line is dotted where the next one is far away."),
                "race_examples.png": (last_picture_of(found.plot(against="examples")),
                                      "Cost against the examples seen: an example teaches most in a small batch.")}
    _picture(report, pictures)
    return _write(options, report, pictures)


def look(options: argparse.Namespace) -> int:
    """Measures the gradient noise, suggests a batch size, and draws the paths of both descents."""
    net, X, y, what = _begin(options)
    rate = options.learning_rate
    if rate is None:
        rate = RATE if net.metric == "accuracy" else RATE_OF_QUANTITIES
    optimizer, same = fastsgd.SGD(rate), {"seed": options.seed, "threads": options.threads}
    say(what)
    size = min(options.batch_size, len(X))
    say("1. how good a mini-batch step is")
    trained = net.copy()
    with _advising(rate):
        fastsgd.train(trained, X, y, optimizer=optimizer, batch_size=size, epochs=1, **same)
    noises = {"at the start": net, "after an epoch": trained}
    found = {when: descent.gradient_noise(each, X, y, size, **same) for when, each in noises.items()}
    for when, noise in found.items():
        print(f"{when}: {noise}\n")
    say("2. the batch size that is the fastest to a target cost on this machine")
    with _advising(rate):
        suggestion = descent.suggest_batch_size(net, X, y, optimizer, seconds=3.0, progress=True, **same)
    print(f"{suggestion}\n")
    say("3. both paths")
    with _advising(rate):
        both = descent.trajectory(net, X, y, (size, None), steps=options.steps, optimizer=optimizer, snapshots=300,
                                  seconds=options.seconds, progress=True, **same)
    chosen = np.sort(np.random.default_rng(options.seed).permutation(len(X))[:SURFACE_ROWS])
    surface = descent.cost_surface(net, X[chosen], y[chosen], both, threads=options.threads, progress=True)
    print(both)

    report = Report(f"Two ways down: {what}")
    pictures = {}
    report.heading("The paths")
    quick, careful = both.paths
    length = f"last {quick.seconds[-1]:.2g} s each" if options.steps is None else f"make {options.steps:,} steps each"
    report.text(f"Both descents start from the same weights and {length}, at learning rate {rate:g}. One follows the "
                f"gradient of {size:,} rows in each step and stumbles; the other that of all {len(X):,} rows, walks "
                f"straight, and takes {careful.seconds[1] / careful.steps[1] / (quick.seconds[1] / quick.steps[1]):.3g}"
                " times as long for a step. Seconds are steps times the time of one, which was measured before.")
    report.show(both)
    report.text(f"The picture shows the plane that holds most of both ways, {sum(both.explained):.0%} of their "
                "variance, and the paths moved straight onto it. The networks lie off the plane and cost something "
                "else than the place they are shown at: their own costs stand at the ends of the paths and are drawn "
                "below.")
    pictures["descent.png"] = (last_picture_of(plots.descent(both, surface)),
                               "The plane from above; lines join places of equal cost. Below, what the paths cost.")
    pictures["descent_3d.png"] = (last_picture_of(plots.descent(both, surface, view="3d")),
                                  "The same as a landscape. The paths lie as high as they themselves cost.")
    if options.film:
        say("   the film")
        with tempfile.TemporaryDirectory() as folder:
            film = Path(folder) / "descent.gif"
            plots.save_animation(both, surface, film)
            pictures["descent.gif"] = (film.read_bytes(), "Both descents, step by step.")
    _picture(report, pictures)
    report.heading("The steps")
    report.text("A mini-batch gradient is the true one and noise. Each orange line is the gradient of one mini-batch, "
                "the arrow that of all rows. The noise scale is how many rows a batch needs to have as much gradient "
                "as noise; it grows as the cost falls.")
    for when, noise in found.items():
        report.text(f"{when[0].upper()}{when[1:]}:")
        report.show(noise)
        shown = {f"noise_{when.replace(' ', '_')}.png": (last_picture_of(noise.plot()),
                                                         f"Mini-batch gradients {when}.")}
        _picture(report, shown)
        pictures |= shown
    report.heading("The batch size")
    report.text(f"Batches of {suggestion.batch_size:,} rows " + (
        f"are the fastest to cost {suggestion.target:.3g} here with {optimizer!r}." if suggestion.reached else
        f"have the lowest cost after equal time on this machine with {optimizer!r}.") + " Smaller batches need more "
        "steps, as there is more noise in each; larger ones need more time for a step.")
    report.show(suggestion)
    return _write(options, report, pictures)


# ---- their parts ----

def _begin(options: argparse.Namespace) -> tuple[fastsgd.Network, np.ndarray, np.ndarray, str]:
    """The network at its start, the rows, and both in words; what cannot be written later is said now."""
    if options.data not in SETS and options.target is None:
        options.refuse("--target COLUMN is missing")
    if importlib.util.find_spec("matplotlib") is None:
        raise ImportError(MISSING)
    if options.data in SETS:
        (X, y), _ = SETS[options.data]()
        outputs, loss = 10, "cross_entropy"
    else:
        table = rows_with_targets(read_table(options.data, reading=Reading.of_options(options), drop=options.drop,
                                             tell=tell), options.target, tell, options.missing)
        rows = np.arange(len(next(iter(table.values()))))
        encoding = Encoding.learn(table, options.target, rows=rows, warn=warn, keep=options.keep,
                                  missing=options.missing, tell=tell)
        X, y = encoding.rows(table, "float32"), encoding.targets(table)
        outputs, loss = encoding.outputs, encoding.loss
    net = fastsgd.Network([X.shape[1], *options.hidden, outputs], options.activation, loss, seed=options.seed)
    _check_folder(Path(options.out))
    shape = "-".join(map(str, net.sizes))
    return net, X, y, f"{os.path.basename(options.data)}, {len(X):,} rows, a {shape} network"


def _check_folder(folder: Path) -> None:
    """OSError unless it can be written to, or be made; nothing is made yet."""
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"--out {folder} cannot be written to: it is a file; give a folder")
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    try:
        check_writable(nearest / "report.html")
    except OSError as error:
        raise OSError(f"--out {folder} cannot be written to: {error.strerror}") from None


def _batch_size(text: str) -> int | None:
    text = text.strip()
    if text == "all":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"--batch-sizes must be a list such as 1,10,100,all, got {text!r} in it")
    return int(text)


@contextlib.contextmanager
def _advising(rate: float) -> Iterator[None]:
    """A descent within that diverges says what can be done about it here."""
    try:
        yield
    except FloatingPointError:
        raise FloatingPointError(f"the descent diverges with --learning-rate {rate:g}; try a smaller one") from None


def _picture(report: Report, pictures: dict[str, tuple[bytes, str]]) -> None:
    for name, (content, caption) in pictures.items():
        report.picture(content, caption, name.rpartition(".")[2])


def _write(options: argparse.Namespace, report: Report, pictures: dict[str, tuple[bytes, str]]) -> int:
    folder = Path(options.out)
    folder.mkdir(parents=True, exist_ok=True)
    config = fastsgd.config()
    about = (f"fastsgd {fastsgd.__version__} on {cpu_name()}, {config['isa']}, up to {config['cores']} threads; Python "
             f"{platform.python_version()}, NumPy {np.__version__}")
    for name, (content, _) in pictures.items():
        write_atomically(folder / name, [content])
    write_atomically(folder / "report.html", [report.html(about)])
    say(f"wrote {', '.join(pictures)} and report.html in {folder}")
    return 0
