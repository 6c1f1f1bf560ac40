"""``fastsgd evaluate`` and ``fastsgd predict``: a trained model on the rows of a table."""
from __future__ import annotations

import argparse
import sys

import numpy as np

import fastsgd
from fastsgd.cli.console import say, tell, warn
from fastsgd.cli.prediction_file import ARROW, KINDS, LINES, as_text, check_kind, write_table
from fastsgd.cli.scorecard import in_own_units, scorecard
from fastsgd.files.atomic import refuse_replacing
from fastsgd.network.classes import labels_of, probabilities_of
from fastsgd.runs.loggers import to_json
from fastsgd.tables.encoding import Encoding, rows_with_targets
from fastsgd.tables.read import read_for, read_table
from fastsgd.tables.reading import Reading, add_reading_options


def add_arguments(evaluate_command: argparse.ArgumentParser, predict_command: argparse.ArgumentParser) -> None:
    """The options of both commands."""
    for command, run in ((evaluate_command, evaluate), (predict_command, predict)):
        command.add_argument("model", metavar="MODEL")
        command.add_argument("data", metavar="DATA")
        add_reading_options(command.add_argument_group("the table"))
        command.set_defaults(run_command=run)
    evaluate_command.add_argument("--json", action="store_true", help="print the figures as JSON")
    predict_command.add_argument("--out", metavar="FILE", help=f"where to write, as what its suffix says: "
                                 f"{', '.join(KINDS)}; standard output, as CSV, by default")
    predict_command.add_argument("--probabilities", action="store_true", help="a column for each class's probability")
    predict_command.add_argument("--id", action="append", default=[], metavar="COLUMN", help="a column of DATA to "
                                 "write before the predictions; may be given more than once")
    predict_command.add_argument("--keep-columns", action="store_true", help="write all columns of DATA before the "
                                 "predictions")


def load(path: str) -> tuple[fastsgd.Network, Encoding]:
    """A model file's network and table encoding."""
    net = fastsgd.Network.load(path)
    if "table" not in net.metadata:
        raise ValueError(f"{path} has no table encoding: it was not written by 'fastsgd train'")
    encoding = Encoding.from_json(net.metadata["table"])
    if (encoding.width, encoding.outputs) != (net.sizes[0], net.architecture.targets):
        raise ValueError(f"{path} is damaged: its table encoding does not fit its network")
    return net, encoding


def evaluate(options: argparse.Namespace) -> int:
    """Prints figures of a model on a table's rows, each beside a baseline, and of classes how many are recognised."""
    net, encoding = load(options.model)
    table = read_for(encoding, options.data, Reading.of_options(options), tell)
    _require(table, encoding.target_names, options.data, "which the model predicts")
    table = rows_with_targets(table, encoding.target_names, tell)
    card = scorecard(net, encoding, encoding.rows(table, net.dtype, warn), encoding.targets(table, net.dtype))
    print(to_json(card.figures()) if options.json else card.text())
    if doubt := card.doubt():
        warn(doubt)
    return 0


def predict(options: argparse.Namespace) -> int:
    """Writes one prediction per row, and the score to standard error where the target is known."""
    if options.out:
        refuse_replacing(options.out, options.model, options.data)
        check_kind(options.out)
    net, encoding = load(options.model)
    if options.probabilities and not encoding.classes:
        raise ValueError("--probabilities needs a model of classes; this one predicts a quantity")
    table = read_for(encoding, options.data, Reading.of_options(options), tell)
    _require(table, options.id, options.data, "which --id names")
    X = encoding.rows(table, net.dtype, warn)
    found = _predictions(net, encoding, X, options.probabilities)
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
            y = encoding.targets(scored, net.dtype)
        except ValueError as error:
            warn(f"the predictions are not scored: {error}")
        else:
            card = scorecard(net, encoding, X if scored is table else encoding.rows(scored, net.dtype), y)
            say(card.line())
            if doubt := card.doubt():
                warn(doubt)
    return 0


def _require(table: dict[str, np.ndarray], names, path: str, what: str) -> None:
    for name in names:
        if name not in table:
            raise ValueError(f"{path} has no column {name!r}, {what}; its columns are {', '.join(table)}")


def _predictions(net: fastsgd.Network, encoding: Encoding, X: np.ndarray, probabilities: bool) -> dict[str, list]:
    """``predicted_TARGET``, of quantiles ``predicted_TARGET_q0.1``, of classes ``p_CLASS``, ``deviation_TARGET``."""
    if encoding.classes:
        outputs, kind = net.predict(X), net.architecture.loss_type.targets
        found = {f"predicted_{encoding.target.name}": [encoding.classes[i] for i in labels_of(outputs, kind)]}
        if probabilities:
            each = probabilities_of(outputs, kind).astype(float).T.tolist()
            found |= {f"p_{level}": values for level, values in zip(encoding.classes, each, strict=True)}
        return found
    names = [f"predicted_{name}" for name in encoding.target_names]
    outputs = in_own_units(net, encoding, X)
    if len(encoding.quantiles) > 1:
        names = [name if q is None else f"{name}_q{q:g}" for name in names for q in encoding.quantiles]
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
