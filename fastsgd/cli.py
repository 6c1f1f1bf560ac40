"""The ``fastsgd`` command: demo, train, evaluate, predict, export, race, descent, info."""
from __future__ import annotations

import argparse
import csv
import io
import os
import platform
import sys

import numpy as np

import fastsgd
from fastsgd import descent_command, train_command
from fastsgd.console import printable, say, tell, warn
from fastsgd.demo import demo
from fastsgd.encoding import Encoding, rows_with_targets
from fastsgd.files import refuse_replacing, write_atomically
from fastsgd.loggers import to_json
from fastsgd.machine import cpu_name
from fastsgd.reading import Reading, add_reading_options
from fastsgd.table import read_for


def main(arguments: list[str] | None = None) -> int:
    """Runs the command. Its exit code: 0, 1 for an error that is reported, 2 for wrong usage, 130 for Ctrl-C."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser, train_parser = _parser()
    try:
        if arguments[:1] == ["train"]:
            arguments = ["train", *train_command.with_config(arguments[1:], train_parser)]
        options = parser.parse_args(arguments)
        return options.run_command(options)
    except KeyboardInterrupt:
        say("fastsgd: interrupted")
        return 130
    except BrokenPipeError:                       # the reader of our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, TypeError, OSError, ImportError, ArithmeticError, MemoryError) as error:
        say(f"fastsgd: error: {printable(str(error)) or 'not enough memory'}")
        return 1


def _parser() -> tuple[argparse.ArgumentParser, argparse.ArgumentParser]:
    """The whole command's, and that of its ``train``."""
    parser = argparse.ArgumentParser(prog="fastsgd", description=fastsgd.__doc__)
    parser.add_argument("--version", action="version", version=f"fastsgd {fastsgd.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("demo", help="train a digit network and show what the descent does")
    command.add_argument("--out", default="digits.safetensors", help="where to save the model, replacing what is "
                         "there (%(default)s)")
    command.set_defaults(run_command=lambda options: demo(options.out))

    command = commands.add_parser("train", help="train a network on a CSV, Parquet or .npz table")
    train_command.add_arguments(command)
    train_parser = command

    command = commands.add_parser("evaluate", help="measure a trained model on a table that has its target")
    command.add_argument("model", metavar="MODEL")
    command.add_argument("data", metavar="DATA")
    command.add_argument("--json", action="store_true", help="print the figures as JSON")
    add_reading_options(command.add_argument_group("the table"))
    command.set_defaults(run_command=evaluate)

    command = commands.add_parser("predict", help="predict the rows of a table with a trained model")
    command.add_argument("model", metavar="MODEL")
    command.add_argument("data", metavar="DATA")
    command.add_argument("--out", metavar="CSV", help="where to write; standard output by default")
    command.add_argument("--probabilities", action="store_true", help="a column for each class's probability")
    add_reading_options(command.add_argument_group("the table"))
    command.set_defaults(run_command=predict)

    command = commands.add_parser("export", help="write a trained model for other programs")
    command.add_argument("model", metavar="MODEL")
    command.add_argument("--to", required=True, choices=["onnx", "c", "torch"], help="an ONNX graph; a header and a "
                         "source of C99; a program for torch.export.load")
    command.add_argument("--out", required=True, metavar="PATH")
    command.add_argument("--encoded", action="store_true", help="of an ONNX graph: a single input, the network's own, "
                         "instead of one for each column of the table")
    command.set_defaults(run_command=export)

    descent_command.add_arguments(
        commands.add_parser("race", help="full gradient descent against mini-batches, on the clock"),
        commands.add_parser("descent", help="how good mini-batch steps are, and both paths over the cost surface"))

    command = commands.add_parser("info", help="CPU, instruction set, BLAS, threads, versions")
    command.set_defaults(run_command=info)
    return parser, train_parser


def _load(options) -> tuple[fastsgd.Network, Encoding]:
    """The model of a command and its table encoding."""
    net = fastsgd.Network.load(options.model)
    if "table" not in net.metadata:
        raise ValueError(f"{options.model} has no table encoding: it was not written by 'fastsgd train'")
    encoding = Encoding.from_json(net.metadata["table"])
    if (encoding.width, encoding.outputs) != (net.sizes[0], net.sizes[-1]):
        raise ValueError(f"{options.model} is damaged: its table encoding does not fit its network")
    return net, encoding


def evaluate(options) -> int:
    """Prints cost and metric of a model on a table's rows, and of each class how many are recognised."""
    net, encoding = _load(options)
    table = read_for(encoding, options.data, Reading.of_options(options), tell)
    if encoding.target.name not in table:
        raise ValueError(f"{options.data} has no column {encoding.target.name!r}, which the model predicts")
    table = rows_with_targets(table, encoding.target_names, tell)
    X, y = encoding.rows(table, net.dtype, warn), encoding.targets(table, net.dtype)
    cost, metric = net.evaluate(X, y)
    figures: dict = {"rows": len(X), "cost": cost, net.metric: metric}
    if encoding.classes:
        right = net.predict(X).argmax(axis=1) == y
        figures["classes"] = {str(name): {"rows": int((y == i).sum()), "recognised": float(right[y == i].mean())}
                              for i, name in enumerate(encoding.classes) if (y == i).any()}
    if options.json:
        print(to_json(figures))
        return 0
    print(f"{len(X):,} rows  cost {cost:.4f}  {net.metric} {metric:.4f}")
    for name, found in figures.get("classes", {}).items():
        print(f"  {printable(name):20} {found['rows']:>8,} rows  {found['recognised']:7.1%} recognised")
    return 0


def export(options) -> int:
    """Writes a model, checkpoints too, in another program's format."""
    refuse_replacing(options.out, options.model)
    net = fastsgd.Network.load(options.model)
    columns = options.to == "onnx" and "table" in net.metadata and not options.encoded
    if options.to == "onnx":
        fastsgd.interop.to_onnx(net, options.out, columns)
    elif options.to == "c":
        fastsgd.interop.to_c(net, options.out)
    else:
        module = fastsgd.interop.to_torch(net)
        import torch
        rows = torch.zeros(2, net.sizes[0], dtype=getattr(torch, str(net.dtype)))
        program = torch.export.export(module, (rows,), dynamic_shapes=({0: torch.export.Dim("rows")},))
        content = io.BytesIO()
        torch.export.save(program, content)
        write_atomically(options.out, [content.getvalue()])
    say(f"wrote {options.out}: {net.sizes[0]} inputs, {net.sizes[-1]} outputs")
    if "table" in net.metadata:
        encoding = Encoding.from_json(net.metadata["table"])
        takes = {"c": "net_predict takes the table's columns as the model file encodes them, "
                      f"net_{'classify' if encoding.classes else 'predict'}_row as they are: "}.get(
            options.to, f"its inputs are the table's columns{' as the model file encodes them' * (not columns)}: ")
        say(takes + printable(", ".join(column.name for column in encoding.columns)[:200]))
    return 0


def predict(options) -> int:
    """Writes one prediction per row as CSV, and the score to standard error where the target is known."""
    if options.out:
        refuse_replacing(options.out, options.model, options.data)
    net, encoding = _load(options)
    if options.probabilities and not encoding.classes:
        raise ValueError("--probabilities needs a model of classes; this one predicts a quantity")
    table = read_for(encoding, options.data, Reading.of_options(options), tell)
    X = encoding.rows(table, net.dtype, warn)
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
            y = encoding.targets(table, net.dtype)
        except ValueError as error:
            warn(f"the predictions are not scored: {error}")
        else:
            say(f"{net.metric} {net.score(X, y):.4f} on {len(X):,} rows")
    return 0


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
