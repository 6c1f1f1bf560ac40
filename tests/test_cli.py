"""Does the command line train, predict and explain itself, from CSV, Parquet and .npz tables?"""
import argparse
import csv
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import fastsgd
from fastsgd.cli.main import COMMANDS, _parser, main
from fastsgd.cli.train_options import OPTIMIZERS, SCHEDULES
from fastsgd.tables.encoding import Category, Encoding, Number
from fastsgd.tables.read import read_table

pandas = pytest.importorskip("pandas")


def flowers(rows=400, seed=0):
    """A table with numbers, strings, booleans and a class that follows from them."""
    rng = np.random.default_rng(seed)
    length, colour, wild = rng.normal(50, 10, rows), rng.choice(["red", "blue", "white"], rows), rng.random(rows) < 0.5
    kind = np.where(length > 50, np.where(colour == "red", "rose", "tulip"), np.where(wild, "daisy", "lily"))
    return pandas.DataFrame({"length": length, "colour": colour, "wild": wild, "nothing": 1.0, "kind": kind})


def houses(rows=400, seed=0):
    rng = np.random.default_rng(seed)
    area = rng.uniform(40, 200, rows)
    return pandas.DataFrame({"area": area, "rooms": rng.integers(1, 6, rows), "price": 3000 * area + 50_000})


@pytest.fixture
def tables(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    flowers().to_csv("flowers.csv", index=False)
    flowers(seed=1).drop(columns="kind").to_csv("unknown.csv", index=False)
    flowers().to_parquet("flowers.parquet")
    houses().to_csv("houses.csv", index=False)
    (X, y), (X_test, y_test) = fastsgd.datasets.digits()
    np.savez("digits.npz", X=X, y=y)
    np.savez("digits_test.npz", X=X_test, y=y_test)
    return tmp_path


def read(path):
    with open(path, newline="") as file:
        return list(csv.reader(file))


@pytest.mark.parametrize("data", ["flowers.csv", "flowers.parquet"])
def test_classes_are_learned_and_come_back_as_strings(tables, data, capsys):
    assert main(["train", data, "--target", "kind", "--hidden", "32,16", "--out", "m.safetensors", "--epochs", "60",
                 "--batch-size", "20"]) == 0
    error = capsys.readouterr().err
    assert "Network([6, 32, 16, 4]" in error
    assert "320 rows to train on, 80 held out" in error
    assert main(["predict", "m.safetensors", data, "--out", "p.csv"]) == 0
    assert float(capsys.readouterr().err.split()[1]) > 0.95
    rows = read("p.csv")
    assert rows[0] == ["predicted_kind"]
    assert np.mean([row[0] for row in rows[1:]] == flowers()["kind"]) > 0.95
    assert main(["predict", "m.safetensors", "unknown.csv", "--probabilities"]) == 0
    out = capsys.readouterr()
    assert out.err == ""
    lines = list(csv.reader(out.out.splitlines()))
    assert lines[0] == ["predicted_kind", "p_daisy", "p_lily", "p_rose", "p_tulip"]
    assert len(lines) == 401
    assert sum(map(float, lines[1][1:])) == pytest.approx(1, abs=1e-6)


def test_quantities_come_back_in_their_own_unit(tables, capsys):
    assert main(["train", "houses.csv", "--target", "price", "--hidden", "0", "--out", "m.safetensors",
                 "--epochs", "200", "--optimizer", "sgd", "--learning-rate", "0.05", "--momentum", "0.9",
                 "--validation", "0"]) == 0
    assert main(["predict", "m.safetensors", "houses.csv", "--out", "p.csv"]) == 0
    predicted = [float(row[0]) for row in read("p.csv")[1:]]
    np.testing.assert_allclose(predicted, houses()["price"], rtol=1e-3)
    assert re.search(r"RMSE \d.* \(the mean: 141,.*R\^2 1\.0000 on 400 rows", capsys.readouterr().err)
    assert main(["predict", "m.safetensors", "houses.csv", "--probabilities"]) == 1
    assert "--probabilities needs a model of classes" in capsys.readouterr().err


def test_npz_tables(tables, capsys):
    assert main(["train", "digits.npz", "--target", "y", "--out", "m.safetensors"]) == 0
    assert main(["predict", "m.safetensors", "digits_test.npz", "--out", "p.csv"]) == 0
    assert float(capsys.readouterr().err.splitlines()[-1].split()[1]) > 0.96


def test_levels_never_seen_are_told(tables, capsys):
    main(["train", "flowers.csv", "--target", "kind", "--out", "m.safetensors", "--epochs", "1"])
    frame = flowers(seed=2)
    frame.loc[3, "colour"] = "green"
    frame.to_csv("green.csv", index=False)
    assert main(["predict", "m.safetensors", "green.csv", "--out", "p.csv"]) == 0
    told = capsys.readouterr().err
    assert "warning: column 'colour': values not in the training table: 1, such as 'green'" in told


@pytest.mark.parametrize("target", ["code", "y"])
def test_strings_of_digits_are_read_as_in_training(tables, target, capsys):
    """Whatever other rows are in the file."""
    codes = ["007", "012", "A"] * 20
    pandas.DataFrame({"code": codes, "y": ["0", "1", "x"] * 20, "z": range(60)}).to_csv("train.csv", index=False)
    pandas.DataFrame({"code": codes[:2], "y": ["0", "1"], "z": [0, 1]}).to_csv("digits.csv", index=False)
    assert main(["train", "train.csv", "--target", target, "--out", "m.safetensors", "--hidden", "0", "--epochs", "99",
                 "--learning-rate", "0.1"]) == 0
    capsys.readouterr()
    assert main(["predict", "m.safetensors", "digits.csv"]) == 0
    out = capsys.readouterr()
    assert out.out.split()[1:] == {"code": codes, "y": ["0", "1"]}[target][:2]
    assert out.err.startswith("accuracy 1.0000 on 2 rows (always '")
    assert main(["evaluate", "m.safetensors", "digits.csv"]) == 0
    assert capsys.readouterr().err == ""


def test_a_column_is_strings_throughout_if_a_late_row_is_one(tables):
    rows = 300_000                                      # more than pandas reads at once
    (tables / "late.csv").write_text("pad,code\n" + f"{'p' * 20},007\n" * rows + "p,A\n")
    assert set(read_table("late.csv")["code"]) == {"007", "A"}


def test_numbers_match_levels_that_are_written_alike():
    table = {"x": np.array(["7", "8", "A"] * 2, object), "y": np.array(["0", "1", "x"] * 2, object)}
    encoding = Encoding.learn(table, "y")
    assert encoding.text == ("x", "y")
    numbers = {"x": np.array([8, 7]), "y": np.array([1, 0])}
    assert encoding.rows(numbers).tolist() == [[0, 1, 0], [1, 0, 0]]
    assert encoding.targets(numbers).tolist() == [1, 0]
    whole = Encoding.learn({"x": np.arange(4.0), "y": np.array([3, 5, 3, 5])}, "y")
    assert whole.text == ()
    assert whole.targets({"y": np.array(["5", "3"], object)}).tolist() == [1, 0]
    with pytest.raises(ValueError, match=r"target 'y' is 4 in row 1, counted from 0, which is none of"):
        whole.targets({"y": np.array([5, 4])})


@pytest.mark.parametrize(("arguments", "message"), [
    (["train", "nowhere.csv", "--target", "y"], "nowhere.csv does not exist"),
    (["train", "flowers.csv", "--target", "species"], "there is no column 'species'; the columns are length, colour"),
    (["train", "flowers.csv", "--target", "kind", "--drop", "size"], "there is no column 'size'"),
    (["train", "flowers.csv", "--target", "kind", "--task", "regression"], "regression needs a target of numbers"),
    (["train", "houses.csv", "--target", "area", "--task", "classification"], "classification needs a target of"),
    (["train", "flowers.csv", "--target", "kind", "--momentum", "0.5"], "--momentum does not go with --optimizer adam"),
    (["train", "flowers.csv", "--target", "kind", "--optimizer", "schedule_free_adamw", "--average", "0.9"],
     "average must be None, got 0.9: ScheduleFreeAdamW has its own"),
    (["train", "houses.csv", "--target", "price", "--optimizer", "sgd", "--learning-rate", "1e9"], "the cost stopped"),
    (["train", "gaps.csv", "--target", "kind", "--missing", "error"],
     "values missing (as NA, None and null are in a CSV file, too) or infinite: column 'length' 1, the first in row 5, "
     "'colour' 1, the first in row 6, counted from 0; fill them, or drop the rows or the columns (--drop length "),
    (["train", "dates.csv", "--target", "when"], "target 'when' holds dates"),
    (["train", "empty.csv", "--target", "kind"], "empty.csv cannot be read"),
    (["train", "head.csv", "--target", "b"], "head.csv has no rows"),
    (["train", "one.csv", "--target", "b"], "target 'b' has a single class, 'x'"),
    (["train", "only.csv", "--target", "b"], "no columns are left to learn 'b' from"),
    (["train", "names.csv", "--target", "b"], "left out, an identifier: 1,500 different words of 1,500 (--keep a)"),
    (["train", "names.csv", "--target", "b", "--epochs", "9"],
     "left out, text: 1,200 different values in 1,200 rows (--keep a)"),
    (["train", "noise.parquet", "--target", "b"], "noise.parquet cannot be read"),
    (["train", "noise.npz", "--target", "b"], "noise.npz cannot be read"),
    (["train", "flowers.pdf", "--target", "b"], "must be a file of the kind .csv, .tsv or .txt (also with .gz, "),
    (["train", "flowers.csv", "--target", "kind", "--drop", "kind"], "--drop kind would drop the target"),
    (["train", "flowers.csv", "--target", "kind", "--validation", "0.9999"], "leaves none of the 400 rows to train on"),
    (["train", "huge.csv", "--target", "b"], "column 'a' holds values too large to standardise"),
    (["train", "twice.npz", "--target", "y"], "twice.npz cannot be read: two arrays give a column 'X0'"),
    (["train", "complex.npz", "--target", "y"], "complex.npz cannot be read: column 'X' holds complex128"),
    (["train", "renamed.npz", "--target", "y"], "renamed.npz cannot be read: it is no .npz file"),
    (["train", "damaged.npz", "--target", "y"], "damaged.npz cannot be read"),
    (["predict", "flowers.csv", "m.safetensors"],
     "MODEL flowers.csv is not a model file, it looks like a table; MODEL comes first, then DATA"),
    (["evaluate", "noise.parquet", "flowers.csv"], "noise.parquet is not a model file, it looks like a table; MODEL"),
    (["predict", "noise", "flowers.csv"], "MODEL noise is not a model file"),
    (["predict", "noise.safetensors", "flowers.csv"], "MODEL noise.safetensors is not a model file"),
    (["predict", "cut.safetensors", "flowers.csv"], "cut.safetensors is not a model file or cut short: its header"),
    (["export", "flowers.csv", "--to", "c", "--out", "n.c"], "MODEL flowers.csv is not a model file, it looks like a "
     "table"),
    (["train", "flowers.csv", "--init-from", "flowers.pdf"], "--init-from flowers.pdf is not a model file"),
    (["train", "flowers.csv", "--init-from", "houses.csv"], "--init-from houses.csv is not a model file, it looks "
     "like a table"),
    (["predict", "nope.safetensors", "flowers.csv"], "error: nope.safetensors does not exist"),
    (["export", "nope.safetensors", "--to", "c", "--out", "n.c"], "error: nope.safetensors does not exist"),
    (["train", "flowers.csv", "--init-from", "nope.safetensors"], "error: nope.safetensors does not exist"),
    (["train", "--config", "nope.toml"], "error: nope.toml does not exist"),
    (["predict", "plain.safetensors", "flowers.csv", "--out", "no/p.csv"],
     "error: cannot write: No such file or directory: "),
    (["train", ".", "--target", "b"], "error: cannot read: it is a folder; give a file name: '.'"),
    (["train", "noise", "--target", "b"], ".ods or .npz; got no suffix"),
    (["predict", ".", "flowers.csv"], "error: cannot read: it is a folder; give a file name: '.'"),
    (["train", "--config", "."], "error: cannot read: it is a folder; give a file name: '.'"),
    (["predict", "plain.safetensors", "flowers.csv"], "plain.safetensors has no table encoding"),
])
def test_errors_are_told_on_one_line_and_nothing_is_written(tables, arguments, message, capsys):
    frame = flowers()
    frame.loc[5, "length"], frame.loc[6, "colour"] = np.nan, None
    frame.to_csv("gaps.csv", index=False)
    frame["when"] = pandas.Timestamp("2020-01-01")
    frame.to_parquet("dates.parquet")
    (tables / "empty.csv").write_text("")
    (tables / "head.csv").write_text("a,b\n")
    (tables / "one.csv").write_text("a,b\n1,x\n2,x\n")
    (tables / "only.csv").write_text("b\nx\ny\n")
    (tables / "names.csv").write_text("a,b\n" + "".join(f"n{i},{i % 2}\n" for i in range(1500)))
    (tables / "huge.csv").write_text("a,b\n1e300,x\n-1e300,y\n")
    np.savez("twice.npz", X=np.zeros((3, 2)), X0=np.zeros(3), y=np.arange(3))
    np.savez("complex.npz", X=np.zeros((3, 2)) + 1j, y=np.arange(3))
    np.save("renamed.npy", np.zeros((3, 2)))
    os.rename("renamed.npy", "renamed.npz")
    np.savez_compressed("damaged.npz", X=np.random.default_rng(0).random((50, 50)), y=np.arange(50))
    damaged = bytearray((tables / "damaged.npz").read_bytes())
    damaged[200:400] = bytes(200)
    (tables / "damaged.npz").write_bytes(damaged)
    for name in ("noise.parquet", "noise.npz", "flowers.pdf", "noise", "noise.safetensors"):
        (tables / name).write_bytes(b"noise" * 100)
    fastsgd.Network([2, 2], seed=0).save("plain.safetensors")
    (tables / "cut.safetensors").write_bytes((tables / "plain.safetensors").read_bytes()[:20])
    arguments = [argument.replace("dates.csv", "dates.parquet") for argument in arguments]
    if arguments[0] == "train":
        arguments += ["--out", "m.safetensors"]
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert error.splitlines()[-1].startswith("fastsgd: error: ")
    assert message in error.splitlines()[-1]
    assert not (tables / "m.safetensors").exists()


def test_an_out_folder_that_does_not_exist_is_noticed_before_training(tables, capsys):
    assert main(["train", "flowers.csv", "--target", "kind", "--out", "no/m.safetensors", "--epochs", "1000000"]) == 1
    assert "cannot write: No such file or directory: " in capsys.readouterr().err
    assert main(["train", "flowers.csv", "--target", "kind", "--out", str(tables), "--epochs", "1000000"]) == 1
    assert "cannot write: it is a folder; give a file name: " in capsys.readouterr().err


@pytest.mark.parametrize(("value", "said"), [(None, " on 9 rows"),
                                             ("cactus", "warning: the predictions are not scored: ")])
def test_predictions_are_scored_where_the_target_is_known(tables, capsys, value, said):
    main(["train", "flowers.csv", "--target", "kind", "--out", "m.safetensors", "--epochs", "1"])
    frame = flowers(rows=10)
    frame.loc[4, "kind"] = value
    frame.to_csv("ten.csv", index=False)
    capsys.readouterr()
    assert main(["predict", "m.safetensors", "ten.csv"]) == 0
    out = capsys.readouterr()
    assert len(out.out.splitlines()) == 11
    assert said in out.err


def test_a_constant_column_stays_harmless():
    for value in (0.1, 1e-30, 3e7 + 0.1, 0.0):
        table = {"c": np.full(1000, value), "x": np.arange(1000.0), "y": np.arange(1000) % 2}
        encoding = Encoding.learn(table, "y")
        other = {"c": np.array([value + 1]), "x": np.array([0.0])}
        assert abs(encoding.rows(other)[0, 0]) == pytest.approx(1, rel=1e-5)


EXAMPLE = ", e.g. fastsgd train iris.csv --target species --out iris.safetensors"


@pytest.mark.parametrize(("arguments", "said"), [
    ([], "fastsgd: COMMAND is missing; the commands are demo, train, evaluate, predict, export, race, descent, info"),
    (["fly"], "fastsgd: there is no command 'fly'; the commands are demo, train, "),
    (["pedict"], "fastsgd: there is no command 'pedict'; did you mean predict?; the commands"),
    (["train"], f"fastsgd train: DATA is missing{EXAMPLE}"),
    (["train", "d.csv"], f"fastsgd train: --target COLUMN is missing{EXAMPLE}"),
    (["train", "d.csv", "--target", "y"], f"fastsgd train: --out MODEL or --run FOLDER is missing{EXAMPLE}"),
    (["train", "d.csv", "--target", "y", "--out"], f"fastsgd train: --out needs a value: --out MODEL{EXAMPLE}"),
    (["train", "d.csv", "--target", "y", "--out", "m", "--resume"],
     f"fastsgd train: --resume needs the checkpoint of a --run FOLDER, which is missing{EXAMPLE}"),
    (["train", "d.csv", "--target", "y", "--out", "m", "--overwrite"],
     f"fastsgd train: --overwrite replaces the files of a --run FOLDER, which is missing{EXAMPLE}"),
    (["train", "d.csv", "--target", "y", "--out", "m", "--checkpoint-every", "10"],
     f"fastsgd train: --checkpoint-every is for the checkpoints of a --run FOLDER, which is missing{EXAMPLE}"),
    (["train", "d.csv", "--hidden", "64,-1"], "fastsgd train: --hidden: '64,-1' is not a list of layer sizes"),
    (["train", "d.csv", "--quantile", "0.5,1"], "fastsgd train: --quantile: '0.5,1' is not a list of different"),
    (["train", "d.csv", "--learning_rate", "1"],
     f"fastsgd train: there is no option --learning_rate; did you mean --learning-rate?{EXAMPLE}"),
    (["train", "d.csv", "--seed", "x"],
     f"fastsgd train: --seed: it must be a whole number of at least 0, got 'x'{EXAMPLE}"),
    (["train", "d.csv", "--loss", "poison"], "fastsgd train: --loss: 'poison' is none of cross_entropy, "),
    (["train", "d.csv", "--out", "a", "--out", "b"], "fastsgd train: --out: given twice, 'a' and 'b'; it may be"),
    (["train", "d.csv", "e.csv"], f"fastsgd train: 'e.csv' is one too many{EXAMPLE}"),
    (["evaluate", "m"], "fastsgd evaluate: DATA is missing, e.g. fastsgd evaluate iris.safetensors iris.csv"),
    (["predict"], "fastsgd predict: MODEL and DATA are missing, e.g. fastsgd predict iris.safetensors new.csv"),
    (["export", "m", "--to", "c"], "fastsgd export: --out PATH is missing, e.g. fastsgd export iris.safetensors --to"),
    (["race", "d.csv", "--second", "1", "--second", "2"], "fastsgd race: --seconds: given twice, 1.0 and 2.0"),
    (["race", "d.csv"], "fastsgd race: --target COLUMN is missing, e.g. fastsgd race iris.csv --target species"),
    (["info", "--all"], "fastsgd info: there is no option --all, e.g. fastsgd info"),
    (["demo", "--out"], "fastsgd demo: --out needs a value: --out MODEL, e.g. fastsgd demo --out digits.safetensors"),
])
def test_wrong_usage_is_one_line_with_an_example(arguments, said, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    out = capsys.readouterr()
    assert (out.out, out.err.count("\n")) == ("", 1)
    assert out.err.startswith(said)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_examples_that_the_parser_takes(name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main([name, "--help"])
    shown = capsys.readouterr().out
    what, examples = COMMANDS[name]
    assert what[1:] in " ".join(shown.split())
    assert shown.rstrip().endswith("\n".join(["examples:", *(f"  {example}" for example in examples)]))
    for example in examples:
        _parser().parse_args(shlex.split(example)[1:])


def test_names_of_strangers_move_no_cursor(tables, capsys):
    odd = "k\x1b[2J\x07\u202e"
    pandas.DataFrame({odd: [1, 2, 3, 4], "y": ["a\x1b[A", "b"] * 2}).to_csv("odd.csv", index=False)
    assert main(["train", "odd.csv", "--target", "no", "--out", "m.safetensors"]) == 1
    assert main(["train", "odd.csv", "--target", "y", "--out", "m.safetensors", "--epochs", "1"]) == 0
    assert main(["evaluate", "m.safetensors", "odd.csv"]) == 0
    assert main(["export", "m.safetensors", "--to", "c", "--out", "m"]) == 0
    out = capsys.readouterr()
    assert r"k\x1b[2J\x07\u202e" in out.err
    assert r"a\x1b[A" in out.out
    assert (out.out + out.err).replace("\n", "").isprintable()


def test_info(capsys):
    assert main(["info"]) == 0
    out = capsys.readouterr().out
    assert f"instruction set  {fastsgd.config()['isa']}" in out
    assert "OpenBLAS" in out


def run(*arguments, **options):
    return subprocess.Popen([sys.executable, "-P", "-m", "fastsgd", *arguments], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, **options)


def test_demo(tmp_path):
    process = run("demo", cwd=tmp_path)
    out, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    for words in ("1. Mini-batch SGD trains", "2. Mini-batches against full gradient descent",
                  "full gradient, 1,438 rows", "3. Backpropagation", "4. Saved as"):
        assert words in out
    assert out.count("epoch ") == 20
    assert fastsgd.Network.load(tmp_path / "digits.safetensors").sizes == (64, 128, 10)


def test_demo_notices_before_training_that_it_cannot_save(tmp_path, capsys):
    for out, said in ((tmp_path / "no" / "m.safetensors", "cannot write: No such file or directory: "),
                      (tmp_path, "cannot write: it is a folder; give a file name: ")):
        assert main(["demo", "--out", str(out)]) == 1
        told = capsys.readouterr()
        assert (said in told.err, told.out) == (True, "")


def wait_for_an_epoch(process):
    lines = []
    while "epoch" not in (lines or [""])[-1]:
        lines.append(process.stderr.readline())
        assert lines[-1], "".join(lines)                # it has ended


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_ctrl_c_saves_the_network(tables):
    process = run("train", "flowers.csv", "--target", "kind", "--out", "m.safetensors", "--epochs", "100000000",
                  cwd=tables)
    wait_for_an_epoch(process)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted; the network trained so far is saved in m.safetensors" in error
    assert main(["predict", str(tables / "m.safetensors"), str(tables / "flowers.csv"), "--out", "p.csv"]) == 0


TRAIN = ["train", "flowers.csv", "--target", "kind", "--run", "run", "--hidden", "16", "--batch-size", "20"]


def test_a_run_folder_holds_all_of_a_run(tables, capsys):
    assert main([*TRAIN, "--epochs", "30", "--schedule", "cosine", "--warm-up", "0.5", "--dropout", "0.1",
                 "--early-stopping", "20", "--clip-norm", "1", "--average", "0.9", "--label-smoothing", "0.05",
                 "--class-weight", "balanced", "--drop", "nothing"]) == 0
    names = {"config.toml", "log.csv", "run.ckpt", "model.safetensors"}
    assert set(os.listdir("run")) - {"learning_curve.png"} == names
    assert [row[0] for row in read("run/log.csv")[:3]] == ["epoch", "1", "2"]
    capsys.readouterr()
    assert main(["evaluate", "run/model.safetensors", "flowers.csv"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("400 rows  cost 0.")
    assert "daisy" in shown
    assert main(["evaluate", "run/model.safetensors", "flowers.csv", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["accuracy"] > 0.6
    assert sum(found["rows"] for found in figures["classes"].values()) == figures["rows"] == 400
    assert main([*TRAIN, "--epochs", "30"]) == 1
    assert "--run run holds a run already (run.ckpt, model.safetensors, log.csv, " in capsys.readouterr().err
    assert main(["train", "--config", "run/config.toml", "--run", "again"]) == 0
    assert (fastsgd.Network.load("again/model.safetensors").params
            == fastsgd.Network.load("run/model.safetensors").params).all()
    assert main([*TRAIN, "--epochs", "2", "--overwrite"]) == 0
    assert len(read("run/log.csv")) == 3
    assert main(["train", "--config", "run/config.toml", "--resume", "--epochs", "4"]) == 0
    assert len(read("run/log.csv")) == 5
    assert main(["train", "--config", "run/config.toml", "--resume", "--learning-rate", "0.5"]) == 1
    assert "is a checkpoint of another run, nothing was changed; optimizer: " in capsys.readouterr().err

def test_an_old_run_stays_whole_until_the_new_one_begins(tables, capsys):
    assert main([*TRAIN, "--epochs", "2"]) == 0
    old = {path.name: path.read_bytes() for path in (tables / "run").iterdir()}
    for refused in (["--overwrite", "--drop", "species"], ["--overwrite", "--column", "species=text"],
                    ["--resume", "--activation", "tanh"]):
        assert main([*TRAIN, *refused]) == 1
        assert {path.name: path.read_bytes() for path in (tables / "run").iterdir()} == old
    with pytest.raises(SystemExit):
        main([*TRAIN, "--resume", "--overwrite"])
    assert "give one of them" in capsys.readouterr().err


def test_files_that_are_not_of_a_run_are_kept(tables, capsys):
    (tables / "run").mkdir()
    (tables / "run" / "log.csv").write_text("mine")
    (tables / "run" / "config.toml").write_text("mine = 1")
    for option in ([], ["--resume"]):
        assert main([*TRAIN, "--epochs", "1", *option]) == 1
        assert "--run run holds files that are not of a run (log.csv, config.toml); give" in capsys.readouterr().err
    assert (tables / "run" / "log.csv").read_text() == "mine"
    assert main([*TRAIN, "--epochs", "1", "--overwrite"]) == 0
    for name in ("run.ckpt", "model.safetensors"):
        os.unlink(f"run/{name}")                         # as where a run is killed before its first checkpoint
    assert main([*TRAIN, "--epochs", "1"]) == 1
    assert "holds a run already" in capsys.readouterr().err
    assert main([*TRAIN, "--epochs", "1", "--resume"]) == 0


@pytest.mark.skipif(sys.platform == "win32", reason="on Windows few may make links")
def test_what_is_read_is_not_replaced(tables, capsys):
    train = ["train", "flowers.csv", "--target", "kind", "--epochs", "1", "--out"]
    assert main([*train, "m.safetensors"]) == 0
    os.symlink("flowers.csv", "link.csv")
    os.makedirs("run")
    os.link("flowers.csv", "run/log.csv")
    before = {path.name: path.read_bytes() for path in tables.iterdir() if path.is_file()}
    capsys.readouterr()
    for arguments in ([*train, "./flowers.csv"], [*train, "link.csv"], [*TRAIN, "--overwrite"],
                      ["predict", "m.safetensors", "flowers.csv", "--out", "flowers.csv"],
                      ["predict", "m.safetensors", "flowers.csv", "--out", "m.safetensors"],
                      ["export", "m.safetensors", "--to", "c", "--out", "m.safetensors"]):
        assert main(arguments) == 1
        assert "which is read; write to another file" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in tables.iterdir() if path.is_file()} == before


def test_a_configuration_is_read_back(tables, capsys):
    frame = flowers().rename(columns={"nothing": "-\x7f"})
    frame.to_csv("odd.csv", index=False)
    assert main(["train", "odd.csv", "--target", "kind", "--run", "run", "--epochs", "2", "--drop=-\x7f",
                 "--checkpoint-every", "inf", "--clip-norm", "1e-7"]) == 0
    assert main(["train", "--config", "run/config.toml", "--resume", "--epochs", "3"]) == 0
    assert len(read("run/log.csv")) == 4


@pytest.mark.skipif(sys.platform != "linux", reason="names a file by bytes")
def test_a_file_name_that_is_not_utf_8(tables, capsys):
    name = os.fsdecode(b"\xff.csv")
    os.rename("flowers.csv", name)
    assert main(["train", name, *TRAIN[2:]]) == 1
    assert r"config.toml cannot hold the name '\udcff.csv', which is not UTF-8" in capsys.readouterr().err
    assert not (tables / "run").exists()


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_schedules_of_the_command_line(tables, schedule):
    assert main([*TRAIN, "--epochs", "6", "--schedule", schedule, "--warm-up", "2", "--optimizer", "sgd",
                 "--learning-rate", "0.1"]) == 0
    rates = [float(row[3]) for row in read("run/log.csv")[1:]]
    assert rates[0] < rates[1] or schedule == "one-cycle"
    assert rates[-1] == 0.1 if schedule == "constant" else rates[-1] < 0.1


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_optimizers_of_the_command_line(tables, optimizer):
    assert main([*TRAIN, "--epochs", "3", "--optimizer", optimizer, "--weight-decay", "0.01"]) == 0
    names, *rows = read("run/log.csv")
    costs = [float(row[names.index("cost")]) for row in rows]
    assert costs[-1] < costs[0]


def test_a_run_leaves_no_figure_of_pyplot_open(tables):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    before = pyplot.get_fignums()
    assert main([*TRAIN, "--epochs", "1"]) == 0
    assert os.path.exists("run/learning_curve.png")
    assert pyplot.get_fignums() == before


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_ctrl_c_says_how_to_go_on(tables):
    process = run(*TRAIN, "--epochs", "1000", cwd=tables)
    wait_for_an_epoch(process)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted; fastsgd train --config run/config.toml --resume continues" in error
    assert "Traceback" not in error
    whole = run(*TRAIN[:5], "whole", *TRAIN[6:], "--epochs", "1000", cwd=tables)
    assert whole.communicate(timeout=60)[1]
    process = run("train", "--config", "run/config.toml", "--resume", cwd=tables)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 0, error
    assert "resuming from run/run.ckpt" in error
    assert (fastsgd.Network.load(tables / "run" / "model.safetensors").params
            == fastsgd.Network.load(tables / "whole" / "model.safetensors").params).all()


@pytest.mark.parametrize(("config", "message"), [
    ("epochs = ", "c.toml is not valid TOML"),
    ("epoch = 3", "c.toml has an unknown option 'epoch'; did you mean epochs?; it may have data, out, run"),
    ("resume = 3", "c.toml: resume = 3 should be true or false"),
    ("epochs = true", "c.toml: epochs = True should be a value"),
    ("[epochs]", "c.toml: epochs = {} should be a value"),
    ('out = ["a", "b"]', "c.toml: out = ['a', 'b'] should be a value"),
])
def test_bad_configurations(tables, capsys, config, message):
    (tables / "c.toml").write_text(config)
    assert main([*TRAIN, "--config", "c.toml"]) == 1
    assert message in capsys.readouterr().err
    assert main([*TRAIN, "--config", "nowhere.toml"]) == 1
    assert "nowhere.toml" in capsys.readouterr().err
    assert not (tables / "run").exists()


def test_a_configuration_alone(tables):
    (tables / "c.toml").write_text('data = "flowers.csv"\ntarget = "kind"\nhidden = [8, 4]\n'
                                   'drop = ["wild", "nothing"]\nbatch-size = 20\nepochs = 2\noverwrite = false\n'
                                   'out = "m.safetensors"\n')
    assert main(["train", "--config", "c.toml"]) == 0
    assert fastsgd.Network.load("m.safetensors").sizes == (4, 8, 4, 4)
    flowers(rows=100).to_csv("few.csv", index=False)
    assert main(["train", "few.csv", "--config=c.toml", "--hidden", "0"]) == 0
    assert fastsgd.Network.load("m.safetensors").sizes == (4, 4)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("to", "needs"), [("c", "numpy"), ("onnx", "onnxruntime"), ("torch", "torch")])
def test_export(tables, capsys, to, needs):
    package = pytest.importorskip(needs)
    if to == "onnx":
        pytest.importorskip("onnx")
    assert main([*TRAIN, "--epochs", "2"]) == 0
    assert main(["export", "run/run.ckpt", "--to", to, "--out", f"model.{to}"]) == 0
    assert f"wrote model.{to}: {4 if to == 'onnx' else 6} inputs, 4 outputs" in capsys.readouterr().err
    net = fastsgd.Network.load("run/model.safetensors")
    X = np.random.default_rng(0).standard_normal((5, 6)).astype("float32")
    if to == "c":
        assert "net_classify_row" in (tables / "model.h").read_text()
        return
    if to == "onnx":
        assert main(["predict", "run/model.safetensors", "unknown.csv", "--out", "predicted.csv"]) == 0
        feed = {name: values.to_numpy(object if values.dtype.kind not in "bif" else float)[:, np.newaxis]
                for name, values in pandas.read_csv("unknown.csv").items()}
        session = package.InferenceSession("model.onnx")
        labels = session.run(["label"], {end.name: feed[end.name] for end in session.get_inputs()})[0]
        assert labels.tolist() == pandas.read_csv("predicted.csv")["predicted_kind"].tolist()
        assert main(["export", "run/run.ckpt", "--to", to, "--out", "model.onnx", "--encoded"]) == 0
        found = package.InferenceSession("model.onnx").run(None, {"X": X})[0]
    else:
        found = package.export.load("model.torch").module()(package.from_numpy(X)).detach().numpy()
    np.testing.assert_allclose(found, net.predict(X), rtol=1e-5)


def test_a_learning_curve_is_drawn(tables):
    pytest.importorskip("matplotlib")
    assert main([*TRAIN, "--epochs", "5"]) == 0
    assert (tables / "run" / "learning_curve.png").read_bytes().startswith(b"\x89PNG")


def test_encoding_survives_its_json():
    table = {"a": np.array([1.0, 2.0, 4.0]), "b": np.array(["x", "y", "x"], dtype=object),
             "c": np.array([True, False, True]), "y": np.array([3, 5, 3])}
    encoding = Encoding.learn(table, "y")
    assert encoding.target == Category("y", (3, 5))
    assert isinstance(encoding.columns[2], Number)
    assert Encoding.from_json(encoding.to_json()) == encoding
    assert encoding.width == 4
    for damaged in ("", "[]", "{}", encoding.to_json().replace("levels", "level"),
                    encoding.to_json().replace('"scale": 1', '"scale": -1')):
        with pytest.raises(ValueError, match="table encoding is damaged"):
            Encoding.from_json(damaged)


def test_numbers_are_standardised_by_the_training_rows_alone(tables):
    frame = houses(rows=50)
    frame.to_csv("small.csv", index=False)
    main(["train", "small.csv", "--target", "price", "--out", "m.safetensors", "--epochs", "1", "--seed", "3"])
    encoding = Encoding.from_json(fastsgd.Network.load("m.safetensors").metadata["table"])
    order = np.random.default_rng(3).permutation(50)
    assert encoding.columns[0].mean == pytest.approx(frame["area"].to_numpy()[order[10:]].mean())
    assert encoding.columns[0].mean != pytest.approx(frame["area"].mean())


def test_a_figure_that_is_none_is_null_in_json(tables, capsys):
    rows = np.arange(50.0)
    np.savez("rows.npz", x=rows, y=rows / 3)
    np.savez("constant.npz", x=rows, y=np.full(50, 2.5))
    assert main(["train", "rows.npz", "--target", "y", "--epochs", "2", "--out", "m.safetensors"]) == 0
    capsys.readouterr()
    assert main(["evaluate", "m.safetensors", "constant.npz", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert figures["r2"] is None
    assert figures["cost"] > 0


def test_reading_a_table_needs_pandas_and_says_so(tables, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r'reading flowers\.csv needs pandas: pip install "fastsgd\[table\]"'):
        read_table("flowers.csv")
    assert len(read_table("digits.npz")) == 65


def test_tables_that_cannot_be_read_are_refused_in_words(tables):
    (tables / "twice.csv").write_text("a,b\n1,2\n")
    pandas.DataFrame({"a": [1, 2], "b": [[1], [2]]}).to_parquet("lists.parquet")
    np.savez("lengths.npz", a=np.zeros(3), b=np.zeros(2))
    np.savez("complex.npz", a=np.zeros(3, complex))
    np.savez("clash.npz", x1=np.zeros(3), x=np.zeros((3, 2)))
    for path, message in (("lists.parquet", "column 'b' holds values of the type list"),
                          ("lengths.npz", "lengths.npz has columns of different lengths"),
                          ("complex.npz", "column 'a' holds complex128, neither numbers, dates nor strings"),
                          ("clash.npz", "two arrays give a column 'x1'")):
        with pytest.raises(ValueError, match=message):
            read_table(path)


def test_a_table_must_have_what_the_model_needs():
    table = {"x": np.arange(20.0), "colour": np.array(["red", "blue"] * 10, object), "y": np.arange(20.0)}
    encoding = Encoding.learn(table, "y", "regression", (), slice(None))
    words = np.array(["a"] * 20, object)
    for changed, message in (({"colour": table["colour"]}, "the table has no column 'x', which the model needs"),
                             ({**table, "x": words}, "column 'x' must hold numbers, got 'a' in row 0"),
                             ({**table, "x": np.array(["5.1", "?"], object)}, r"got '\?' in row 1, counted from 0"),
                             ({**table, "x": np.array([1, 1e300])}, "column 'x' holds 1e\\+300 in row 1, counted")):
        with pytest.raises(ValueError, match=message):
            encoding.rows(changed)
    with pytest.raises(ValueError, match="column 'y' must hold numbers, got 'a'"):
        encoding.targets({**table, "y": words})
    with pytest.raises(ValueError, match="task must be auto, classification or regression, got 'guess'"):
        Encoding.learn(table, "y", "guess", (), slice(None))
    with pytest.raises(ValueError, match="classification needs a target of strings or whole numbers"):
        Encoding.learn({**table, "y": np.arange(20.0) / 3}, "y", "classification", (), slice(None))
    many = np.arange(20_000).astype(str).astype(object)
    with pytest.raises(ValueError, match=r"has 20000 classes, more than .*is it a quantity"):
        Encoding.learn({"x": np.arange(20_000.0), "y": many}, "y", "classification", (), slice(None))


def test_training_tells_how_the_table_was_read(tables, capsys):
    assert main(["train", "flowers.csv", "--target", "kind", "--out", "m.safetensors", "--epochs", "1"]) == 0
    assert capsys.readouterr().err.startswith("length: number, colour: 3 levels, wild: number, nothing: number; target "
                                              "kind: classification, 4 classes\n")
    assert main(["train", "digits.npz", "--target", "y", "--out", "m.safetensors", "--epochs", "1"]) == 0
    assert "X5: number, 58 more; target y: classification, 10 classes\n" in capsys.readouterr().err
    assert main(["train", "houses.csv", "--target", "price", "--out", "m.safetensors", "--epochs", "1"]) == 0
    assert "rooms: number; target price: regression\n" in capsys.readouterr().err


def test_one_string_among_numbers_is_told(tables, capsys):
    said = "column 'a' is read as numbers; other values, which count as missing: 1, such as '7o' in row 7, counted"
    frame = pandas.DataFrame({"a": [*range(7), "7o", *range(7, 39), "?"], "code": ["1", "A"] * 20 + ["2"],
                              "y": ["u"] * 41})
    frame.loc[::2, "y"] = "v"
    frame.to_csv("typo.csv", index=False)
    assert main(["train", "typo.csv", "--target", "y", "--out", "m.safetensors", "--epochs", "1"]) == 0
    told = capsys.readouterr().err
    assert told.startswith(f"fastsgd: warning: {said} from 0\nstrings read as numbers: 'a' ('0')\n")
    assert "a: number, code: 3 levels" in told
    assert told.count("warning") == 1


def test_a_table_as_people_have_it(tables, capsys):
    """With an index, an identifier, gaps, decimal commas, dates, text; in a run folder that repeats it."""
    rng, rows = np.random.default_rng(0), 60
    frame = pandas.DataFrame({
        "id": rng.permutation(rows),
        "price": [f"{n:,}".replace(",", ".") + ",50 €" for n in rng.integers(500, 9999, rows)],
        "when": pandas.date_range("2024-01-01", periods=rows).astype(str), "note": [f"no {i}" for i in range(rows)],
        "odd": ["?", *range(rows - 1)], "colour": rng.choice(["red", "blue", None], rows),
        "y": [1.0, 0.0, np.nan] * 20})
    frame.to_csv("people.csv", sep=";")
    arguments = ["train", "people.csv", "--target", "y", "--run", "r", "--epochs", "1", "--keep", "id", "--na", "?",
                 "--drop", "odd"]
    assert main(arguments) == 0
    told = capsys.readouterr().err
    for line in ("people.csv: separated by semicolons (--sep)\n", "rows left out: 20 of 60, whose target is missing\n",
                 f"strings read as numbers: 'price' ({frame['price'][0]!r})\n", "strings read as dates: 'when' ('2024",
                 "left out: 'Unnamed: 0' (row numbers), 'note' (text: 32 different values in 32 rows); --keep",
                 "values missing (or infinite): 'colour' ", "target 'y': 2 different whole numbers, 0 to 1, taken for",
                 "id: number, price: number, when: date (days, month, day, weekday), colour: 2 levels and missing; "
                 "target y: cl"):
        assert line in told
    assert "warning: column" not in told
    assert main(["train", "--config", "r/config.toml", "--run", "again"]) == 0
    assert (fastsgd.Network.load("again/model.safetensors").params
            == fastsgd.Network.load("r/model.safetensors").params).all()
    capsys.readouterr()
    assert main(["evaluate", "r/model.safetensors", "people.csv"]) == 0
    out = capsys.readouterr()
    assert "rows left out: 20 of 60" in out.err
    assert out.out.startswith("40 rows")
    frame.head(3).drop(columns=["note", "odd", "y"]).to_csv("three.csv", sep=";", index=False)
    assert main(["predict", "r/model.safetensors", "three.csv", "--out", "p.csv"]) == 0
    assert [row[0] in ("0", "1") for row in read("p.csv")[1:]] == [True] * 3
    assert main([*arguments, "--overwrite", "--missing", "error"]) == 1
    assert "--drop colour" in capsys.readouterr().err
    assert main(["train", "people.csv", "--target", "y", "--out", "m", "--sep", "xx"]) == 1
    assert "sep must be one character, or one of tab, " in capsys.readouterr().err


def test_a_column_that_cannot_be_read_is_dropped(tables, capsys):
    frame = houses(rows=30)
    frame["list"] = [[1]] * 30
    frame.to_parquet("lists.parquet")
    train = ["train", "lists.parquet", "--target", "price", "--out", "m.safetensors", "--epochs", "1"]
    assert main(train) == 1
    assert "column 'list' holds values of the type list" in capsys.readouterr().err
    assert main([*train, "--drop", "list"]) == 0
    assert main(["evaluate", "m.safetensors", "lists.parquet"]) == 0          # the model does not need it


def test_another_value_of_a_constant_column_is_told(tables, capsys):
    rows = pandas.DataFrame({"year": 2023, "sign": [-1, 1] * 20, "y": [-5.5, 5.5] * 20})
    rows.to_csv("train.csv", index=False)
    rows["year"] = [2024, *[2023] * 39]
    rows.to_csv("later.csv", index=False)
    assert main(["train", "train.csv", "--target", "y", "--out", "m.safetensors", "--epochs", "1"]) == 0
    said = ("fastsgd: warning: column 'year' was 2023 in all rows of the training; other values: 1, such as 2024; what "
            "they mean was not learned\n")
    for table, warned in (("train.csv", ""), ("later.csv", said)):
        capsys.readouterr()
        assert main(["evaluate", "m.safetensors", table]) == 0
        assert capsys.readouterr().err == warned


@pytest.mark.parametrize(("system", "options"), [
    ("linux", {"it's": """--drop 'it'"'"'s'""", "-a b": "--drop='-a b'", "a": "--drop a"}),
    ("win32", {"it's": "--drop it's", "-a b": '--drop="-a b"', "a": "--drop a"})])
def test_advice_can_be_pasted_into_a_shell(system, options, monkeypatch):
    monkeypatch.setattr(sys, "platform", system)
    for name, option in options.items():
        with pytest.raises(ValueError, match=re.escape(f"({option})")):
            Encoding.learn({name: np.array([1.0, np.nan]), "y": np.arange(2)}, "y", missing="error")


AUTO = "a whole number of at least 1, or auto"
PART, NOT_NEGATIVE = "a number of at least 0 and below 1", "a number of at least 0 and finite"
ABOVE_ZERO = "a number above 0 and finite"


@pytest.mark.parametrize(("option", "values", "allowed"), [
    ("--batch-size", ["many", "0", "1.5"], AUTO), ("--epochs", ["0", "-1"], AUTO),
    ("--seed", ["-1", "0.5"], "a whole number of at least 0"),
    *((option, ["0", "-1", "x"], "a whole number of at least 1") for option in (
        "--threads", "--early-stopping", "--workers", "--rounds", "--local-epochs", "--local-steps", "--partitions")),
    *((option, ["1", "-0.1", "nan", "x"], PART) for option in (
        "--validation", "--dropout", "--label-smoothing", "--momentum")),
    *((option, ["-1", "nan", "inf"], NOT_NEGATIVE) for option in ("--learning-rate", "--weight-decay", "--warm-up")),
    *((option, ["0", "-1", "nan", "inf"], ABOVE_ZERO) for option in ("--clip-norm", "--max-norm", "--time-limit")),
    ("--checkpoint-every", ["-5", "0", "nan"], "a number above 0"),
    ("--average", ["2", "0", "mean"], "a number above 0 and below 1, or polyak"),
    ("--huber-delta", ["0"], "a number above 0, at most 1e+30"),
    ("--focal-gamma", ["-1", "101"], "a number of at least 0, at most 100"),
    ("--tweedie-power", ["1", "2", "nan"], "a number above 1 and below 2"),
])
def test_numbers_that_cannot_be_are_refused_before_anything_is_read(option, values, allowed, capsys):
    for value in values:
        with pytest.raises(SystemExit) as caught:
            main(["train", "nowhere.csv", "--target", "y", "--run", "r", f"{option}={value}"])
        assert caught.value.code == 2
        assert f"fastsgd train: {option}: it must be {allowed}, got {value!r}, e.g. " in capsys.readouterr().err


@pytest.mark.parametrize("name", COMMANDS)
def test_no_option_takes_a_number_without_limits_or_an_empty_path(name):
    """Of all commands, by what their parsers hold."""
    command, = (action.choices[name] for action in _parser()._actions if action.choices)
    for action in command._actions:
        assert action.type not in (int, float), action.dest
        if action.metavar in ("DATA", "MODEL", "FILE", "FOLDER", "PATH", "TOML"):
            with pytest.raises(argparse.ArgumentTypeError, match="it must be a path, got ''"):
                action.type("")


@pytest.mark.parametrize(("arguments", "option"), [
    *((["train", "flowers.csv", "--target", "kind", option, ""], option)
      for option in ("--run", "--out", "--report", "--init-from", "--config")),
    (["train", "", "--target", "kind", "--run", "r"], "DATA"),
    (["train", "flowers.csv", "--config", "empty.toml"], "--run"),
    (["predict", "", "flowers.csv"], "MODEL"), (["predict", "m", "flowers.csv", "--out="], "--out"),
    (["race", "--out", ""], "--out"), (["export", "m", "--to", "c", "--out", ""], "--out"),
])
def test_an_empty_path_is_refused_before_anything_starts(tables, arguments, option, capsys):
    (tables / "empty.toml").write_text('target = "kind"\nrun = ""\n')
    before = sorted(tables.iterdir())
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith(f"fastsgd {arguments[0]}: {option}: it must be a path, got '', e.g. ")
    assert sorted(tables.iterdir()) == before


def test_more_errors_on_one_line(tables, capsys):
    train = ["train", "flowers.csv", "--target", "kind", "--out", "m.safetensors", "--epochs", "1"]
    houses = ["train", "houses.csv", "--target", "price", "--out", "h.safetensors", "--epochs", "1"]
    assert main(train) == 0
    net = fastsgd.Network([3, 2])
    net.metadata["table"] = fastsgd.Network.load("m.safetensors").metadata["table"]
    net.save("other.safetensors")
    capsys.readouterr()
    for arguments, message in (([*train, "--drop", "kind"], "--drop kind would drop the target"),
                               ([*houses, "--class-weight", "balanced"], "--class-weight is for classes"),
                               (["evaluate", "m.safetensors", "unknown.csv"],
                                "unknown.csv has no column 'kind', which the model predicts"),
                               (["evaluate", "other.safetensors", "flowers.csv"],
                                "other.safetensors is damaged: its table encoding does not fit its network")):
        assert main(arguments) == 1
        assert message in capsys.readouterr().err


def test_ctrl_c_and_a_reader_that_has_gone(monkeypatch, capsys):
    def interrupted(_):
        raise KeyboardInterrupt
    monkeypatch.setattr("fastsgd.cli.main.info", interrupted)
    assert main(["info"]) == 130
    assert capsys.readouterr().err == "fastsgd: interrupted\n"


@pytest.mark.parametrize("said", ["", "Unable to allocate 8.00 TiB"])
def test_memory_that_is_missing_is_an_error_on_one_line(monkeypatch, capsys, said):
    def greedy(_):
        raise MemoryError(said)
    monkeypatch.setattr("fastsgd.cli.main.info", greedy)
    assert main(["info"]) == 1
    assert capsys.readouterr().err == f"fastsgd: error: {said or 'not enough memory'}\n"


@pytest.mark.skipif(os.name != "posix", reason="closes a pipe")
def test_a_reader_that_has_gone(tables):
    process = run("info", env={**os.environ, "PYTHONUNBUFFERED": "1"})
    process.stdout.close()
    process.stdout = None
    _, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (1, "")


def test_the_batch_size_found_on_the_way(tables, capsys):
    assert main(["train", "flowers.csv", "--target", "kind", "--out", "m.safetensors", "--epochs", "1", "--run", "r",
                 "--batch-size", "auto"]) == 0
    assert "looking for the batch size" in capsys.readouterr().err
    assert main(["train", "flowers.csv", "--target", "kind", "--out", "m.safetensors", "--epochs", "1", "--run", "r",
                 "--batch-size", "auto", "--resume"]) == 0
    assert "looking for the batch size" not in capsys.readouterr().err
