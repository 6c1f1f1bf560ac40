"""The ``fastsgd`` command: demo, train, evaluate, predict, export, race, descent, info."""
from __future__ import annotations

import argparse
import io
import os
import platform
import sys
import warnings

import numpy as np

import fastsgd
from fastsgd.cli import descent, predict, train, train_options
from fastsgd.cli.console import printable, say, warn
from fastsgd.cli.demo import demo
from fastsgd.cli.option_parser import CommandParser
from fastsgd.cli.option_types import path
from fastsgd.cli.suffixes import check_output, require_model_file
from fastsgd.engine.machine import cpu_name
from fastsgd.files.atomic import write_atomically
from fastsgd.tables.encoding import Encoding

EXPORTED = {"onnx": ((".onnx",), "an ONNX graph"), "c": ((".c", ".h"), "C source"),
            "torch": ((".pt2", ".pt", ".torch"), "a program for torch.export.load")}
COMMANDS = {                          # what each does, and examples, the first for errors
    "demo": ("train a digit network and show what the descent does", [
        "fastsgd demo --out digits.safetensors"]),
    "train": ("train a network on a table", [
        "fastsgd train iris.csv --target species --out iris.safetensors",
        "fastsgd train houses.parquet --target price --run night --quality best",
        "fastsgd train --config night/config.toml --resume",
        "fastsgd train houses.csv --target price --quantile 0.1,0.5,0.9 --out price.safetensors",
        "fastsgd train iris.csv --target species --hidden 64,64 --run own --epochs 100"]),
    "evaluate": ("measure a trained model on a table that has its target", [
        "fastsgd evaluate iris.safetensors iris.csv",
        "fastsgd evaluate iris.safetensors iris.csv --json"]),
    "predict": ("predict the rows of a table with a trained model", [
        "fastsgd predict iris.safetensors new.csv --out predicted.csv",
        "fastsgd predict iris.safetensors new.csv --probabilities --id number --out predicted.parquet",
        "fastsgd predict price.safetensors new.csv --quantiles 0.05,0.95"]),
    "export": ("write a trained model for other programs", [
        "fastsgd export iris.safetensors --to onnx --out iris.onnx",
        "fastsgd export iris.safetensors --to c --out iris.c",
        "fastsgd export iris.safetensors --to torch --out iris.pt2"]),
    "race": ("full gradient descent against mini-batches, on the clock", [
        "fastsgd race iris.csv --target species", "fastsgd race --seconds 5"]),
    "descent": ("how good mini-batch steps are, and both paths over the cost surface", [
        "fastsgd descent iris.csv --target species", "fastsgd descent --film"]),
    "info": ("CPU, instruction set, BLAS, threads, versions", [
        "fastsgd info"]),
}


def main(arguments: list[str] | None = None) -> int:
    """Runs the command. Its exit code: 0, 1 for an error that is reported, 2 for wrong usage, 130 for Ctrl-C."""
    try:
        options = _parser().parse_args(sys.argv[1:] if arguments is None else arguments)
        with warnings.catch_warnings():
            warnings.showwarning = _warned
            return options.run_command(options)
    except KeyboardInterrupt:
        say("fastsgd: interrupted")
        return 130
    except BrokenPipeError:                       # the pipe that reads our output was closed
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, TypeError, OSError, ImportError, ArithmeticError, MemoryError) as error:
        say(f"fastsgd: error: {printable(_in_words(error)) or 'not enough memory'}")
        return 1


def _in_words(error: Exception) -> str:
    """What an error says; of a file without the system's number, and where it is missing as of any other."""
    if not isinstance(error, OSError) or error.filename is None:
        return str(error)
    if isinstance(error, FileNotFoundError) and not str(error.strerror).startswith("cannot "):
        return f"{error.filename} does not exist"
    return f"{error.strerror}: {error.filename!r}"


def _warned(message, category, filename, lineno, file=None, line=None) -> None:
    """A warning of the library, without the line of code that it comes from."""
    warn(str(message))


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(prog="fastsgd", description=fastsgd.__doc__)
    parser.add_argument("--version", action="version", version=f"fastsgd {fastsgd.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str) -> CommandParser:
        what, examples = COMMANDS[name]
        return commands.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.", examples=examples)

    command = add("demo")
    command.add_argument("--out", type=path, default="digits.safetensors", metavar="MODEL", help="where to save the "
                         "model, replacing what is there (%(default)s)")
    command.set_defaults(run_command=_demo)

    command = add("train")
    train_options.add_arguments(command)
    command.set_defaults(run_command=lambda options, command=command: train.train(options, command))

    predict.add_arguments(add("evaluate"), add("predict"))

    command = add("export")
    command.add_argument("model", type=path, metavar="MODEL")
    command.add_argument("--to", required=True, choices=list(EXPORTED), help="an ONNX graph; a header and a "
                         "source of C99; a program for torch.export.load")
    command.add_argument("--out", type=path, required=True, metavar="PATH")
    command.add_argument("--encoded", action="store_true", help="of an ONNX graph: a single input, the network's own, "
                         "instead of one for each column of the table")
    command.set_defaults(run_command=export)

    descent.add_arguments(add("race"), add("descent"))

    command = add("info")
    command.set_defaults(run_command=info)
    return parser


def _demo(options) -> int:
    check_output("--out", options.out, (".safetensors",), "a model file")
    return demo(options.out)


def export(options) -> int:
    """Writes a model, checkpoints too, in another program's format."""
    check_output("--out", options.out, *EXPORTED[options.to], read=[options.model])
    require_model_file("MODEL", options.model)
    net = fastsgd.Network.load(options.model)
    columns = options.to == "onnx" and "table" in net.metadata and not options.encoded
    if options.to == "onnx":
        fastsgd.interop.to_onnx(net, options.out, columns=columns)
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
    encoding = Encoding.from_json(net.metadata["table"]) if "table" in net.metadata else None
    inputs = len(encoding.columns) if encoding and columns else net.sizes[0]
    say(f"wrote {options.out}: {inputs} inputs, {net.sizes[-1]} outputs")
    if encoding:
        takes = {"c": "net_predict takes the table's columns as the model file encodes them, "
                      f"net_{'classify' if encoding.classes else 'predict'}_row as they are: "}.get(
            options.to, f"its inputs are the table's columns{' as the model file encodes them' * (not columns)}: ")
        say(takes + printable(", ".join(column.name for column in encoding.columns)[:200]))
    return 0


def info(_) -> int:
    """Prints what runs here."""
    config = fastsgd.config()
    print(f"fastsgd {fastsgd.__version__}, Python {platform.python_version()}, NumPy {np.__version__}, "
          f"{platform.system()} {platform.machine()}")
    print(f"CPU              {cpu_name()}")
    print(f"instruction set  {config['isa']} (available: {', '.join(config['isa_available'])}; FASTSGD_ISA pins one)")
    caches = [f"{name} {size // 1024} KiB" for name, size in config["caches"].items() if size]
    print(f"caches           {', '.join(caches)} (FASTSGD_CACHES says others)")
    print(f"BLAS             {config['blas']}, one thread, private to fastsgd")
    print(f"threads          up to {config['cores']} (FASTSGD_NUM_THREADS lowers it)")
    return 0
