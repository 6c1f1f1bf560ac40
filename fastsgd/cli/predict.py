"""``fastsgd evaluate`` and ``fastsgd predict``: a trained model on the rows of a table."""
from __future__ import annotations

import argparse
import sys

import numpy as np

from fastsgd.cli.console import say, tell, warn
from fastsgd.cli.option_types import path
from fastsgd.cli.prediction_file import ARROW, KINDS, LINES, as_text, check_kind, write_table
from fastsgd.cli.scorecard import scorecard
from fastsgd.cli.suffixes import require_model_file
from fastsgd.cli.train_options import quantiles
from fastsgd.files.atomic import check_writable, refuse_replacing
from fastsgd.network.classes import labels_of, probabilities_of
from fastsgd.runs.loggers import to_json
from fastsgd.tables.encoding import Encoding, rows_with_targets
from fastsgd.tables.read import read_for, read_table
from fastsgd.tables.reading import Reading, add_reading_options
from fastsgd.tabular.fitting import QUANTILES
from fastsgd.tabular.model import TabularModel, load_model

MODEL_FIRST = "; MODEL comes first, then DATA"


def add_arguments(evaluate_command: argparse.ArgumentParser, predict_command: argparse.ArgumentParser) -> None:
    """The options of both commands."""
    for command, run in ((evaluate_command, evaluate), (predict_command, predict)):
        command.add_argument("model", type=path, metavar="MODEL")
        command.add_argument("data", type=path, metavar="DATA")
        add_reading_options(command.add_argument_group("the table"))
        command.set_defaults(run_command=run)
    evaluate_command.add_argument("--json", action="store_true", help="print the figures as JSON")
    predict_command.add_argument("--out", type=path, metavar="FILE", help=f"where to write, as what its suffix says: "
                                 f"{', '.join(KINDS)}; standard output, as CSV, by default")
    predict_command.add_argument("--probabilities", action="store_true", help="a column for each class's probability")
    predict_command.add_argument("--quantiles", type=quantiles, metavar="0.1,0.9", help="a column for each of these "
                                 f"quantiles, from {QUANTILES[0]:g} to {QUANTILES[-1]:g}, of a model of a quantity")
    predict_command.add_argument("--id", action="append", default=[], metavar="COLUMN", help="a column of DATA to "
                                 "write before the predictions; may be given more than once")
    predict_command.add_argument("--keep-columns", action="store_true", help="write all columns of DATA before the "
                                 "predictions")


def evaluate(options: argparse.Namespace) -> int:
    """Prints figures of a model on a table's rows, each beside a baseline, and of classes how many are recognised."""
    require_model_file("MODEL", options.model, MODEL_FIRST)
    model = load_model(options.model)
    encoding, dtype = model.encoding, model.net.dtype
    table = read_for(encoding, options.data, Reading.of_options(options), tell)
    _require(table, encoding.target_names, options.data, "which the model predicts")
    table = rows_with_targets(table, encoding.target_names, tell)
    card = scorecard(model, encoding.rows(table, dtype, warn), encoding.targets(table, dtype))
    print(to_json(card.figures()) if options.json else card.text())
    if doubt := card.doubt():
        warn(doubt)
    return 0


def predict(options: argparse.Namespace) -> int:
    """Writes one prediction per row, and the score to standard error where the target is known."""
    if options.out:
        refuse_replacing(options.out, options.model, options.data)
        check_writable(options.out)
        check_kind(options.out)
    require_model_file("MODEL", options.model, MODEL_FIRST)
    model = load_model(options.model)
    encoding, dtype = model.encoding, model.net.dtype
    if options.probabilities and not encoding.classes:
        raise ValueError("--probabilities needs a model of classes; this one predicts a quantity")
    if options.quantiles:
        _check_quantiles(options.quantiles, model)
    table = read_for(encoding, options.data, Reading.of_options(options), tell)
    _require(table, options.id, options.data, "which --id names")
    X = encoding.rows(table, dtype, warn)
    found = _predictions(model, X, options.probabilities, options.quantiles or [])
    kept = _kept(options, encoding, table)
    if both := sorted(set(kept) & set(found)):
        raise ValueError(f"{options.data} has a column {both[0]!r} itself; leave it out of --id and --keep-columns")
    columns = {**kept, **found}
    if options.out:
        write_table(options.out, columns)
    else:
        sys.stdout.write(as_text(columns))
        sys.stdout.flush()
    if all(name in table for name in encoding.target_names):
        scored = rows_with_targets(table, encoding.target_names)
        try:
            y = encoding.targets(scored, dtype)
        except ValueError as error:
            warn(f"the predictions are not scored: {error}")
        else:
            card = scorecard(model, X if scored is table else encoding.rows(scored, dtype), y)
            say(card.line())
            if doubt := card.doubt():
                warn(doubt)
    return 0


def _require(table: dict[str, np.ndarray], names, path: str, what: str) -> None:
    for name in names:
        if name not in table:
            raise ValueError(f"{path} has no column {name!r}, {what}; its columns are {', '.join(table)}")


def _check_quantiles(levels: list[float], model: TabularModel) -> None:
    if model.encoding.classes:
        raise ValueError("--quantiles needs a model of a quantity; this one predicts classes")
    if not model.encoding.mean_and_quantiles:
        raise ValueError("--quantiles needs a model that 'fastsgd train' made without options of the network, or "
                         "TabularRegressor; one of --loss quantile predicts those that it was trained for without it")
    if not QUANTILES[0] <= min(levels) <= max(levels) <= QUANTILES[-1]:
        raise ValueError(f"--quantiles must be from {QUANTILES[0]:g} to {QUANTILES[-1]:g}, got "
                         f"{', '.join(f'{level:g}' for level in levels)}")


def _predictions(model: TabularModel, X: np.ndarray, probabilities: bool, levels: list[float]) -> dict[str, list]:
    """``predicted_TARGET``, of quantiles ``predicted_TARGET_q0.1``, of classes ``p_CLASS``, ``deviation_TARGET``."""
    encoding, outputs = model.encoding, model.outputs(X)
    if encoding.classes:
        kind = model.net.architecture.loss_type.targets
        found = {f"predicted_{encoding.target.name}": [encoding.classes[i] for i in labels_of(outputs, kind)]}
        if probabilities:
            each = probabilities_of(outputs, kind).astype(float).T.tolist()
            found |= {f"p_{level}": values for level, values in zip(encoding.classes, each, strict=True)}
        return found
    names = [f"predicted_{name}" for name in encoding.target_names]
    if encoding.mean_and_quantiles:
        outputs = np.column_stack([outputs[:, 0], *model.quantiles(outputs, tuple(levels)).T])
        names += [f"{names[0]}_q{level:g}" for level in levels]
    elif len(encoding.quantiles) > 1:
        names = [f"{name}_q{q:g}" for name in names for q in encoding.quantiles]
    if outputs.shape[1] > len(names):
        names += [f"deviation_{name}" for name in encoding.target_names]
    return {name: outputs[:, i].tolist() for i, name in enumerate(names)}


def _kept(options: argparse.Namespace, encoding: Encoding, table: dict[str, np.ndarray]) -> dict[str, list]:
    """The columns of the input that are written too: as they stand in a text file, where text is written, and
    identifiers in any case."""
    names = list(table) if options.keep_columns else list(dict.fromkeys(options.id))
    if not names:
        return {}
    written = read_table(options.data, names, reading=Reading.of_options(options).or_else(encoding.reading),
                         needs=names)
    typed = options.out is not None and check_kind(options.out).removesuffix(".gz") in (*ARROW, *LINES)
    return {name: _plain(table[name] if typed and (name not in options.id or _as_written(table[name], written[name]))
                         else written[name]) for name in names}


def _as_written(values: np.ndarray, written: np.ndarray) -> bool:
    """Whether nothing of the text is lost, as the zeros of 007 would be."""
    return list(map(str, values.tolist())) == list(map(str, written.tolist()))


def _plain(values: np.ndarray) -> list:
    return [None if isinstance(value, float) and value != value else value for value in values.tolist()]
