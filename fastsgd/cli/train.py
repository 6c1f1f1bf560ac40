"""``fastsgd train``: what it is asked for is checked, then a table learned by recipe or by the options of a network."""
from __future__ import annotations

import argparse
from pathlib import Path

from fastsgd.cli import train_cluster, train_network, train_tabular
from fastsgd.cli.suffixes import check_output, require_model_file
from fastsgd.cli.train_config import CHECKPOINT, CONFIG, MODEL, RUN_FILES, files_of_run, is_ours, with_config
from fastsgd.cli.train_options import OF_LOSSES, OF_MODEL
from fastsgd.files.atomic import refuse_replacing
from fastsgd.losses import LOSSES
from fastsgd.tables.wording import shell_word


def train(options: argparse.Namespace, command: argparse.ArgumentParser) -> int:
    """Learns a table, and saves what it has learned in one file."""
    options = with_config(options, command)
    _check(options, command)
    if train_cluster.applies(options):
        return train_cluster.run(options)
    by_recipe = train_tabular.applies(options)
    if options.resume:
        _require_same_way(Path(options.run) / CONFIG, by_recipe)
    return train_tabular.run(options) if by_recipe else train_network.run(options)


def _check(options: argparse.Namespace, command: argparse.ArgumentParser) -> None:
    """What can be refused before anything is read."""
    for name, shown in (("data", "DATA"), ("target", "--target COLUMN")):
        if not getattr(options, name) and not (name == "target" and options.init_from):
            command.error(f"{shown} is missing")
    if options.out is None and options.run is None:
        command.error("--out MODEL or --run FOLDER is missing")
    _require_run(options, command)
    if options.resume and options.overwrite:
        command.error("--resume continues the run that --overwrite replaces: give one of them")
    for name in options.target:
        if options.target.count(name) > 1:
            raise ValueError(f"--target {name} is given twice; several targets must be different columns")
        if name in options.drop:
            raise ValueError(f"--drop {name} would drop the target")
    if options.early_stopping and not options.validation:
        raise ValueError("--early-stopping needs rows held out: --validation above 0")
    _check_loss(options)
    if options.init_from and (settled := [name for name in OF_MODEL if name in options.given]):
        raise ValueError(f"--{settled[0].replace('_', '-')} does not go with --init-from: the model file settles it")
    if options.time_limit is not None and options.resume:
        raise ValueError("--resume does not go with --time-limit, which goes by the clock")
    if options.compare and options.report is None and options.run is None:
        raise ValueError("--compare is told in the report: give --report FILE or --run FOLDER, too")
    if options.init_from is not None:
        require_model_file("--init-from", options.init_from)
    read = list(filter(None, (options.data, options.config)))
    if options.report is not None:
        refuse_replacing(options.report, *filter(None, [options.out]))
        check_output("--report", options.report, (".html",), "a page", read)
    if options.out is not None:
        check_output("--out", options.out, (".safetensors",), "a model file", read)
    _check_folder(options)


def _require_run(options: argparse.Namespace, command: argparse.ArgumentParser) -> None:
    """Refuses what is of a run folder where there is none."""
    asked = {"--resume needs the checkpoint": options.resume, "--overwrite replaces the files": options.overwrite,
             "--checkpoint-every is for the checkpoints": "checkpoint_every" in options.given}
    for what in (what for what, given in asked.items() if given and options.run is None):
        command.error(f"{what} of a --run FOLDER, which is missing")


def _require_same_way(config: Path, by_recipe: bool) -> None:
    """ValueError where a run was begun by recipe and would be resumed with options of a network, or the other way."""
    if is_ours(config) and ("\nquality = " in config.read_text(encoding="utf-8")) != by_recipe:
        begun = "with options of the network" if by_recipe else "by recipe, without options of the network"
        raise ValueError(f"--resume: this run was begun {begun}; fastsgd train --config {shell_word(config)} --resume "
                         "continues it")


def _check_loss(options: argparse.Namespace) -> None:
    for parameter, name in OF_LOSSES.items():
        loss = next(loss for loss, kind in LOSSES.items() if kind.parameter() == parameter)
        if getattr(options, name) is not None:
            options.loss = options.loss or loss
            if options.loss != loss:
                raise ValueError(f"--{name.replace('_', '-')} is for --loss {loss}, got --loss {options.loss}")
    if options.loss == "quantile" and options.quantile is None:
        options.quantile = [0.5]
    if options.sorted_quantiles and options.loss != "quantile":
        got = f", got --loss {options.loss}" if options.loss else ""
        raise ValueError(f"--sorted-quantiles is for --loss quantile{got}")
    if options.sorted_quantiles and len(options.target) > 1:
        raise ValueError(f"--sorted-quantiles is for one target, got {', '.join(options.target)}")
    if options.loss is None:
        return
    kind = "classification" if LOSSES[options.loss].targets.classes else "regression"
    if options.task not in ("auto", kind):
        raise ValueError(f"--loss {options.loss} is for {kind}, got --task {options.task}")
    options.task = kind


def _check_folder(options: argparse.Namespace) -> None:
    """Refuses a run folder whose files would be lost, and names that its config.toml cannot hold."""
    if options.run is None:
        return
    folder = Path(options.run)
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"--run {folder} is a file; give a folder, which need not exist")
    for name in RUN_FILES:
        refuse_replacing(folder / name, *filter(None, (options.data, options.init_from)))
    for text in filter(None, (options.data, options.run, options.out, options.init_from)):
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValueError(f"{CONFIG} cannot hold the name {text!a}, which is not UTF-8; rename the file") from None
    holds = [path.name for path in files_of_run(folder)]
    if not holds or options.overwrite:
        return
    if not ({CHECKPOINT, MODEL} & set(holds) or is_ours(folder / CONFIG)):
        raise FileExistsError(f"--run {folder} holds files that are not of a run ({', '.join(holds)}); give another "
                              "folder, or --overwrite replaces them")
    if not options.resume:
        raise FileExistsError(f"--run {folder} holds a run already ({', '.join(holds)}); --resume continues it, "
                              "--overwrite replaces it")
