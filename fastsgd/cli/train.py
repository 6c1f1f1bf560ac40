"""``fastsgd train``: what it is asked for is checked, then a table learned by recipe or by the options of a network."""
from __future__ import annotations

import argparse
import math
from pathlib import Path

from fastsgd.cli import train_cluster, train_network, train_tabular
from fastsgd.cli.suffixes import refuse_other_suffix
from fastsgd.cli.train_config import CHECKPOINT, CONFIG, MODEL, RUN_FILES, files_of_run, is_ours, with_config
from fastsgd.cli.train_options import OF_LOSSES, OF_MODEL
from fastsgd.files.atomic import check_writable, refuse_replacing
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
    if options.resume and options.run is None:
        command.error("--resume needs the checkpoint of a --run FOLDER, which is missing")
    if options.resume and options.overwrite:
        command.error("--resume continues the run that --overwrite replaces: give one of them")
    for name in options.target:
        if options.target.count(name) > 1:
            raise ValueError(f"--target {name} is given twice; several targets must be different columns")
        if name in options.drop:
            raise ValueError(f"--drop {name} would drop the target")
    if not 0 <= options.validation < 1:
        raise ValueError(f"--validation must be at least 0 and below 1, got {options.validation}")
    if options.early_stopping is not None and options.early_stopping < 1:
        raise ValueError(f"--early-stopping must be at least 1, got {options.early_stopping}")
    if options.early_stopping and not options.validation:
        raise ValueError("--early-stopping needs rows held out: --validation above 0")
    if options.epochs != "auto" and options.epochs < 1:
        raise ValueError(f"--epochs must be at least 1, or auto, got {options.epochs}; a network that made no step "
                         "predicts nothing")
    if not 0 <= options.warm_up < math.inf:
        raise ValueError(f"--warm-up must be at least 0 and finite, got {options.warm_up}")
    _check_loss(options)
    if options.init_from and (settled := [name for name in OF_MODEL if name in options.given]):
        raise ValueError(f"--{settled[0].replace('_', '-')} does not go with --init-from: the model file settles it")
    if options.time_limit is not None and not 0 < options.time_limit < math.inf:
        raise ValueError(f"--time-limit must be above 0 and finite, got {options.time_limit}")
    if options.time_limit is not None and options.resume:
        raise ValueError("--resume does not go with --time-limit, which goes by the clock")
    if options.compare and options.report is None and options.run is None:
        raise ValueError("--compare is told in the report: give --report FILE or --run FOLDER, too")
    if options.report is not None:
        refuse_replacing(options.report, *filter(None, (options.data, options.config, options.out)))
        refuse_other_suffix("--report", options.report, (".html",), "a page")
        check_writable(options.report)
    if options.out is not None:
        refuse_replacing(options.out, *filter(None, (options.data, options.config)))
        refuse_other_suffix("--out", options.out, (".safetensors",), "a model file")
        check_writable(options.out)
    _check_folder(options)


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
