"""The ``fastsgd`` command: demo, train, predict, info."""
from __future__ import annotations

import argparse
import csv
import io
import os
import platform
import sys

import numpy as np

import fastsgd
from fastsgd.architecture import ACTIVATIONS
from fastsgd.data import generator
from fastsgd.demo import demo
from fastsgd.files import write_atomically
from fastsgd.machine import cpu_name
from fastsgd.table import Encoding, read_table

OPTIMIZERS = {kind.kind: kind
              for kind in (fastsgd.SGD, fastsgd.Adam, fastsgd.AdamW, fastsgd.RMSprop, fastsgd.Adagrad)}


def main(arguments: list[str] | None = None) -> int:
    """Runs the command. Its exit code: 0, 1 for an error that is reported, 2 for wrong usage, 130 for Ctrl-C."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except KeyboardInterrupt:
        print("fastsgd: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:                       # the reader of our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, TypeError, OSError, ImportError, ArithmeticError) as error:
        print(f"fastsgd: error: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fastsgd", description=fastsgd.__doc__)
    parser.add_argument("--version", action="version", version=f"fastsgd {fastsgd.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("demo", help="train a digit network and show what the descent does")
    command.add_argument("--out", default="digits.safetensors", help="where to save the model, replacing what is "
                         "there (%(default)s)")
    command.set_defaults(run=lambda options: demo(options.out))

    command = commands.add_parser("train", help="train a network on a CSV, Parquet or .npz table")
    command.add_argument("data", metavar="DATA")
    command.add_argument("--target", required=True, metavar="COLUMN", help="the column to predict")
    command.add_argument("--out", required=True, metavar="MODEL", help="the model file to write, .safetensors")
    command.add_argument("--hidden", type=_sizes, default=[128], metavar="128,64", help="units of the hidden layers "
                         "(128); 0 for none")
    command.add_argument("--task", default="auto", choices=["auto", "classification", "regression"])
    command.add_argument("--drop", action="append", default=[], metavar="COLUMN", help="a column to leave out")
    command.add_argument("--activation", default="relu", choices=ACTIVATIONS)
    command.add_argument("--optimizer", default="adam", choices=OPTIMIZERS)
    command.add_argument("--learning-rate", type=float, help="the optimizer's own by default")
    command.add_argument("--momentum", type=float, help="for sgd and rmsprop")
    command.add_argument("--weight-decay", type=float)
    command.add_argument("--batch-size", type=int, default=100, help="rows per step (%(default)s)")
    command.add_argument("--epochs", type=int, default=20, help="passes over the rows (%(default)s)")
    command.add_argument("--validation", type=float, default=0.2, metavar="FRACTION", help="of the rows, held out and "
                         "evaluated after every epoch (%(default)s)")
    command.add_argument("--dtype", default="float32", choices=["float32", "float64"])
    command.add_argument("--seed", type=int, default=0, help="of the split, the weights and the order (%(default)s)")
    command.add_argument("--threads", type=int)
    command.set_defaults(run=train)

    command = commands.add_parser("predict", help="predict the rows of a table with a trained model")
    command.add_argument("model", metavar="MODEL")
    command.add_argument("data", metavar="DATA")
    command.add_argument("--out", metavar="CSV", help="where to write; standard output by default")
    command.add_argument("--probabilities", action="store_true", help="a column for each class's probability")
    command.set_defaults(run=predict)

    command = commands.add_parser("info", help="CPU, instruction set, BLAS, threads, versions")
    command.set_defaults(run=info)
    return parser


def _sizes(text: str) -> list[int]:
    try:
        sizes = [int(part) for part in text.split(",")]
    except ValueError:
        sizes = [-1]
    if sizes == [0]:
        return []
    if min(sizes) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of layer sizes such as 128,64")
    return sizes


def train(options) -> int:
    """Learns the table's encoding, trains, and saves both in one file."""
    if not 0 <= options.validation < 1:
        raise ValueError(f"--validation must be at least 0 and below 1, got {options.validation}")
    given = {"learning_rate": options.learning_rate, "momentum": options.momentum, "weight_decay": options.weight_decay}
    kind = OPTIMIZERS[options.optimizer]
    given = {name: value for name, value in given.items() if value is not None}
    if "momentum" in given and not hasattr(kind(), "momentum"):
        raise ValueError(f"--momentum does not go with --optimizer {options.optimizer}")
    optimizer = kind(**given)
    if os.path.isdir(options.out):
        raise IsADirectoryError(f"--out {options.out} is a folder; give a file name")
    folder = os.path.dirname(os.path.abspath(options.out))
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"the folder {folder} of --out does not exist")
    if options.target in options.drop:
        raise ValueError(f"--drop {options.target} would drop the target")

    table = read_table(options.data)
    order = generator(options.seed).permutation(len(next(iter(table.values()))))
    held_out = order[:round(len(order) * options.validation)]
    kept = np.sort(order[len(held_out):])
    if not len(kept):
        raise ValueError(f"--validation {options.validation} leaves none of the {len(order)} rows to train on")
    encoding = Encoding.learn(table, options.target, options.task, tuple(options.drop), kept)
    X, y = encoding.rows(table, options.dtype), encoding.targets(table)
    outputs = len(encoding.classes) or 1
    net = fastsgd.Network([encoding.width, *options.hidden, outputs], options.activation,
                          "cross_entropy" if encoding.classes else "squared_error", dtype=options.dtype,
                          seed=options.seed)
    net.metadata["table"] = encoding.to_json()
    print(f"{net}, {net.params.size:,} parameters; {len(kept):,} rows to train on, {len(held_out):,} held out",
          file=sys.stderr)
    try:
        fastsgd.train(net, X[kept], y[kept], optimizer=optimizer, batch_size=options.batch_size, epochs=options.epochs,
                      seed=options.seed, threads=options.threads,
                      validation=(X[held_out], y[held_out]) if len(held_out) else None, callbacks=[fastsgd.Progress()])
    except KeyboardInterrupt:
        net.save(options.out)
        print(f"fastsgd: interrupted; the network trained so far is saved in {options.out}", file=sys.stderr)
        return 130
    net.save(options.out)
    print(f"saved {options.out}", file=sys.stderr)
    return 0


def predict(options) -> int:
    """Writes one prediction per row as CSV, and the score to standard error where the target is known."""
    net = fastsgd.Network.load(options.model)
    if "table" not in net.metadata:
        raise ValueError(f"{options.model} has no table encoding: it was not written by 'fastsgd train'")
    encoding = Encoding.from_json(net.metadata["table"])
    if (encoding.width, len(encoding.classes) or 1) != (net.sizes[0], net.sizes[-1]):
        raise ValueError(f"{options.model} is damaged: its table encoding does not fit its network")
    if options.probabilities and not encoding.classes:
        raise ValueError("--probabilities needs a model of classes; this one predicts a quantity")
    table = read_table(options.data)
    X = encoding.rows(table, net.dtype, _warn)
    outputs = net.predict(X)
    name = f"predicted_{encoding.target.name}"
    head = [name] + ([f"p_{level}" for level in encoding.classes] if options.probabilities else [])
    rows = ([label, *(map(float, row) if options.probabilities else ())]
            for label, row in zip(encoding.labels(outputs), outputs, strict=True))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    if options.out:
        write_atomically(options.out, [text.getvalue().encode()])
    else:
        sys.stdout.write(text.getvalue())
        sys.stdout.flush()
    if encoding.target.name in table:
        try:
            y = encoding.targets(table)
        except ValueError as error:
            _warn(f"the predictions are not scored: {error}")
        else:
            print(f"{net.metric} {net.score(X, y):.4f} on {len(X):,} rows", file=sys.stderr)
    return 0


def _warn(text: str) -> None:
    print(f"fastsgd: warning: {text}", file=sys.stderr)


def info(_) -> int:
    """Prints what runs here."""
    config = fastsgd.config()
    print(f"fastsgd {fastsgd.__version__}, Python {platform.python_version()}, NumPy {np.__version__}, "
          f"{platform.system()} {platform.machine()}")
    print(f"CPU              {cpu_name()}")
    print(f"instruction set  {config['isa']} (available: {', '.join(config['isa_available'])}; FASTSGD_ISA pins one)")
    print(f"BLAS             {config['blas']}, one thread, private to fastsgd")
    print(f"threads          up to {config['cores']} (FASTSGD_NUM_THREADS lowers it)")
    return 0
