"""A run folder's files, and the options of ``fastsgd train`` as a TOML file and back."""
from __future__ import annotations

import argparse
import json
import tomllib
from collections.abc import Iterable
from pathlib import Path

from fastsgd.arguments import did_you_mean
from fastsgd.cli.train_options import OF_CLUSTERS, OF_MODEL
from fastsgd.files.atomic import require_regular, write_atomically

CHECKPOINT, LOG, MODEL, CONFIG, CURVE = "run.ckpt", "log.csv", "model.safetensors", "config.toml", "learning_curve.png"
REPORT = "report.html"
RUN_FILES = (CHECKPOINT, MODEL, LOG, CURVE, REPORT, CONFIG)
LATER_CHECKPOINTS = "run-*.ckpt"         # of the second fold and those after it
HEADING = "# fastsgd train --config with this file repeats the run\n"
ADDED = ("column", "drop", "keep", "na")           # of the file and of the command line
NOT_KEPT = ("run_command", "config", "resume", "overwrite", "given")


def with_config(options: argparse.Namespace, command: argparse.ArgumentParser) -> argparse.Namespace:
    """The options with those of their ``--config`` file where the command line does not have them.

    Columns to drop and to keep are those of both.
    """
    path = options.config
    if path is None:
        return options
    require_regular(path)
    try:
        with open(path, "rb") as file:
            config = tomllib.load(file)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"--config {path} is not valid TOML: {error}") from None
    actions = {action.dest: action for action in command._actions if action.dest not in ("help", "config")}
    arguments: list[str] = []
    for key, value in config.items():
        name = key.replace("-", "_")
        if name not in actions:
            raise ValueError(f"--config {path} has an unknown option {key!r}{did_you_mean(name, actions)}; it may have "
                             f"{', '.join(actions)}")
        flag, lists = isinstance(actions[name].const, bool), isinstance(actions[name].default, list)
        several = isinstance(value, list) and not lists and name != "quantile"
        if isinstance(value, dict) or several or flag != isinstance(value, bool):
            raise ValueError(f"--config {path}: {key} = {value!r} should be {'true or false' if flag else 'a value'}")
        if name == "data":
            options.data = options.data or str(value)
        elif flag:
            arguments += [actions[name].option_strings[0]] * value
        elif lists and actions[name].type is None:       # may be repeated
            for each in value if isinstance(value, list) else [value]:
                arguments += [f"{actions[name].option_strings[0]}={each}"]
        else:
            text = (",".join(map(str, value)) or "0") if isinstance(value, list) else str(value)
            arguments += [f"{actions[name].option_strings[0]}={text}"]
    found = command.parse_args(arguments)
    for name in found.given - {"data"}:
        if name in ADDED:
            setattr(options, name, [*getattr(found, name), *getattr(options, name)])
        elif name not in options.given:
            setattr(options, name, getattr(found, name))
    for name in ("resume", "overwrite"):
        setattr(options, name, getattr(options, name) or getattr(found, name))
    options.given = options.given | found.given
    return options


def checkpoint_of(folder: Path, fold: int) -> Path:
    """Of a fold, counted from 0."""
    return folder / (CHECKPOINT if fold == 0 else LATER_CHECKPOINTS.replace("*", str(fold + 1)))


def files_of_run(folder: Path) -> list[Path]:
    """Those that a folder holds."""
    return [*(folder / name for name in RUN_FILES if (folder / name).exists()), *sorted(folder.glob(LATER_CHECKPOINTS))]


def clear_folder(folder: Path) -> None:
    """Removes them."""
    for path in files_of_run(folder):
        path.unlink(missing_ok=True)


def write_config(path: Path, options: argparse.Namespace, left_out: Iterable[str] = ()) -> None:
    """The options as a file for ``--config``, without those that have no value and those to be left out."""
    lines = [HEADING]
    left_out = {*NOT_KEPT, *left_out, *(OF_MODEL if getattr(options, "init_from", None) else ())}
    if not any(getattr(options, name, None) for name in ("dask", "workers")):
        left_out |= {*OF_CLUSTERS}
    for name, value in vars(options).items():
        if name not in left_out and value is not None:
            lines.append(f"{name} = {_toml(value)}\n")
    write_atomically(path, ["".join(lines).encode()])


def is_ours(path: Path) -> bool:
    """Whether a file is what :func:`write_config` writes."""
    return path.is_file() and path.read_bytes().startswith(HEADING.encode())


def _toml(value) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
