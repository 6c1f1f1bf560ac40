"""Does ``fastsgd train`` without options of a network learn a table by recipe, resume, report and predict?"""
import csv
import json
import re
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import numpy as np
import pytest

import fastsgd
from fastsgd import tabular
from fastsgd.cli.main import main
from fastsgd.tabular.model import load_model

pandas = pytest.importorskip("pandas")


def houses(rows=400, seed=0):
    rng = np.random.default_rng(seed)
    area, town = rng.uniform(40, 200, rows), rng.choice(["Basel", "Bern", "Thun"], rows)
    note = rng.choice(["quiet garden", "near the station", "loud street", "new kitchen"], rows)
    price = 2000 * area + 30_000 * (town == "Basel") + rng.normal(0, 5000, rows)
    return pandas.DataFrame({"row": np.arange(rows), "area": area, "town": town, "note": note, "zip": rng.choice(
        [4001, 3011, 3600], rows), "price": price.round(2), "dear": np.where(price > 250_000, "yes", "no")})


@pytest.fixture
def table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    houses().to_csv("houses.csv", index=False)
    return tmp_path


def train(*more, target="price", drop="dear"):
    return main(["train", "houses.csv", "--target", target, "--drop", drop, "--quality", "fast", *more])


def written(text):
    return list(csv.reader(text.splitlines()))


def test_a_quantity_its_quantiles_and_its_limits(table, capsys):
    assert train("--out", "m.safetensors") == 0
    error = capsys.readouterr().err
    assert "quality fast: 2 networks of 2 x 128 side by side" in error
    assert re.search(r"held-out rows: RMSE [\d,]+ \(the mean: .*% of the rows in the interval of 90%\), MAE", error)
    far = houses(3)
    far["area"] = [1e6, -1e6, np.nan]
    far.to_csv("far.csv", index=False)
    assert main(["predict", "m.safetensors", "far.csv", "--quantiles", "0.1,0.33,0.9"]) == 0
    head, *rows = written(capsys.readouterr().out)
    assert head == ["predicted_price", "predicted_price_q0.1", "predicted_price_q0.33", "predicted_price_q0.9"]
    found = np.array(rows, float)
    assert (np.diff(found[:, 1:]) >= 0).all()
    assert found.min() >= houses().price.min() - 1e-6
    assert found.max() <= houses().price.max() + 1e-6
    assert main(["predict", "m.safetensors", "houses.csv"]) == 0
    out = capsys.readouterr()
    assert written(out.out)[0] == ["predicted_price"]
    predicted = np.array(written(out.out)[1:], float)[:, 0]
    assert np.corrcoef(predicted, houses().price)[0, 1] > 0.98
    assert main(["evaluate", "m.safetensors", "houses.csv", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["r2"] > 0.95
    assert 0.8 < figures["coverage_90"] <= 1


def test_what_quantiles_need(table, capsys):
    assert train("--out", "m.safetensors") == 0
    assert train("--out", "c.safetensors", target="dear", drop="price") == 0
    assert main(["train", "houses.csv", "--target", "price", "--out", "n.safetensors", "--epochs", "2"]) == 0
    for model, levels, message in (
            ("m", "0.01,0.5", "--quantiles must be from 0.025 to 0.975, got 0.01, 0.5"),
            ("c", "0.5", "--quantiles needs a model of a quantity; this one predicts classes"),
            ("n", "0.5", "--quantiles needs a model that 'fastsgd train' made without options of the network")):
        capsys.readouterr()
        assert main(["predict", f"{model}.safetensors", "houses.csv", "--quantiles", levels]) == 1
        assert message in capsys.readouterr().err


def test_python_reads_what_the_command_has_learned(table, capsys):
    pytest.importorskip("sklearn")
    assert train("--out", "m.safetensors", "--report", "r.html", target="dear", drop="price") == 0
    assert main(["predict", "m.safetensors", "houses.csv", "--probabilities", "--out", "p.csv"]) == 0
    model = tabular.load("m.safetensors")
    assert isinstance(model, fastsgd.TabularClassifier)
    frame = pandas.read_csv("houses.csv")
    written = pandas.read_csv("p.csv")
    assert model.predict(frame).tolist() == written["predicted_dear"].tolist()
    np.testing.assert_allclose(model.predict_proba(frame)[:, 1], written["p_yes"], rtol=1e-5)
    importances = dict(zip(model.feature_names_in_, model.feature_importances_, strict=True))
    assert max(importances, key=importances.get) == "area"
    assert importances["row"] == 0
    assert ("row", "left out: by fastsgd train", 0) in model.columns_
    assert (model.quality, model.validation_fraction, model.time_limit) == ("fast", 0.2, None)
    assert model.recipe_.members * model.recipe_.folds >= 1
    assert main(["train", "houses.csv", "--target", "dear", "--out", "n.safetensors", "--epochs", "2"]) == 0
    with pytest.raises(ValueError, match="options of its own, which fastsgd predict"):
        tabular.load("n.safetensors")


def test_columns_are_what_one_says(table, capsys):
    assert train("--out", "m.safetensors", "--column", "zip=number", "--column", "note=text", "--column",
                 "area=category") == 0
    kinds = {column.name: column.kind for column in load_model("m.safetensors").encoding.columns}
    assert kinds["zip"] == "number"
    assert kinds["note"].startswith("text, its words hashed")
    assert kinds["area"].endswith("levels")
    for said, message in (("zip", "--column must be NAME=KIND"), ("zip=drop", "--column must be NAME=KIND"),
                          ("nothing=number", "there is no column 'nothing'")):
        assert train("--out", "n.safetensors", "--column", said) == 1
        assert message in capsys.readouterr().err.splitlines()[-1]


KILLED = """
import os, sys
from fastsgd.cli.main import main
from fastsgd.runs import run
write, last = run.TrainingRun._write, sys.argv.pop(1)
def write_and_die(self, path):
    write(self, path)
    if os.path.basename(path) == last:
        os._exit(9)
run.TrainingRun._write = write_and_die
main(sys.argv[1:])
"""


@pytest.mark.parametrize("quality", ["fast", "best"])
def test_a_run_that_is_interrupted_resumes_to_the_same_bits(table, quality):
    arguments = ["train", "houses.csv", "--target", "price", "--quality", quality, "--checkpoint-every", "0.02",
                 "--threads", "1"]
    assert main([*arguments, "--run", "whole"]) == 0
    last = "run-3.ckpt" if quality == "best" else "run.ckpt"
    child = subprocess.run([sys.executable, "-P", "-c", KILLED, last, *arguments, "--run", "broken"])
    assert child.returncode != 0
    assert (table / "broken" / last).exists()
    assert not (table / "broken" / "model.safetensors").exists()
    assert main(["train", "--config", "broken/config.toml", "--resume"]) == 0
    for name in ("model.safetensors", "log.csv"):
        assert (table / "broken" / name).read_bytes() == (table / "whole" / name).read_bytes()
    assert main(["train", "--config", "broken/config.toml", "--resume"]) == 0              # nothing is left to do
    assert (table / "broken" / "model.safetensors").read_bytes() == (table / "whole" / "model.safetensors").read_bytes()
    config = tomllib.loads((table / "broken" / "config.toml").read_text())
    assert config["quality"] == quality
    assert "hidden" not in config


def test_ctrl_c_leaves_a_checkpoint_and_no_model(table, capsys, monkeypatch):
    def interrupt(self, run):
        raise KeyboardInterrupt
    monkeypatch.setattr(fastsgd.Progress, "on_epoch", interrupt)
    assert train("--run", "r") == 130
    assert f"interrupted; fastsgd train --config {Path('r/config.toml')} --resume continues" in capsys.readouterr().err
    assert sorted(path.name for path in (table / "r").iterdir()) == ["config.toml", "run.ckpt"]
    assert train("--out", "m.safetensors") == 130
    assert "interrupted; nothing is saved" in capsys.readouterr().err
    assert not (table / "m.safetensors").exists()


def test_a_run_goes_on_as_it_was_begun(table, capsys):
    assert train("--run", "recipe") == 0
    assert main(["train", "houses.csv", "--target", "price", "--run", "network", "--epochs", "2"]) == 0
    capsys.readouterr()
    assert train("--run", "network", "--resume") == 1
    assert f"begun with options of the network; fastsgd train --config {Path('network/config.toml')}" in \
        capsys.readouterr().err
    assert main(["train", "houses.csv", "--target", "price", "--run", "recipe", "--resume", "--epochs", "9"]) == 1
    assert "begun by recipe, without options of the network" in capsys.readouterr().err
    assert main(["train", "--config", "network/config.toml", "--resume", "--epochs", "3"]) == 0
    assert train("--run", "recipe") == 1
    assert "holds a run already (run.ckpt, model.safetensors, log.csv" in capsys.readouterr().err
    assert train("--run", "recipe", "--overwrite") == 0


@pytest.mark.parametrize(("more", "message"), [
    (["--hidden", "9"], "--quality is of a table that is learned by recipe, which --hidden rules out"),
    (["--validation", "0"], "which --validation 0 rules out"),
    (["--target", "area"], "which several targets rules out"),
    (["--compare"], "--compare is told in the report: give --report FILE or --run FOLDER, too"),
    (["--report", "r.csv"], "--report r.csv: .csv is the suffix of a table, but a page is written; name it .html"),
    (["--report", "houses.csv"], "houses.csv"),
    (["--run", "r", "--resume", "--time-limit", "9"], "--resume does not go with --time-limit"),
])
def test_contradictions_are_refused_before_anything_is_written(table, more, message, capsys):
    before = {path.name: path.read_bytes() for path in table.iterdir()}
    assert train("--out", "m.safetensors", *more) == 1
    assert message in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in table.iterdir()} == before


@pytest.mark.parametrize(("more", "folds"), [
    (["--quality", "best"], 8), (["--quality", "good"], 5), (["--quality", "fast"], 1)])
def test_validation_that_folds_do_not_use_is_told(table, more, folds, capsys):
    train = ["train", "houses.csv", "--target", "price", "--run", "r", *more]
    assert main([*train, "--validation", "0.3"]) == 0
    said = f"--validation 0.3 is not used: each of the {folds} folds is held out in turn\n"
    assert (f"fastsgd: warning: {said}" in capsys.readouterr().err) is (folds > 1)
    assert main([*train, "--overwrite"]) == 0
    assert main(["train", "--config", "r/config.toml", "--resume"]) == 0
    assert "--validation" not in capsys.readouterr().err


def test_a_time_limit_is_kept(table, capsys):
    began = time.monotonic()
    assert main(["train", "houses.csv", "--target", "price", "--out", "m.safetensors", "--quality", "best",
                 "--time-limit", "0.5"]) == 0
    assert time.monotonic() - began < 20                   # and not the time that 32 networks take
    assert "held-out rows: RMSE" in capsys.readouterr().err


@pytest.mark.parametrize("target", ["price", "dear"])
def test_the_report_is_one_page_that_opens_offline(table, target, capsys):
    pytest.importorskip("matplotlib")
    pytest.importorskip("sklearn")
    assert train("--run", "r", "--compare", target=target, drop={"price": "dear", "dear": "price"}[target]) == 0
    page = (table / "r" / "report.html").read_text()
    assert not re.search(r'(src|href)="(?!data:)', page)
    for text in ("gradient boosting", "held-out rows", "recognised as", "4 levels", "area", "The learning curve",
                 "Left out: &#x27;row&#x27; (row numbers)"):
        assert text in page, text
    assert page.count("<img") == 3
    assert "log loss" in page if target == "dear" else "RMSE" in page
    assert (table / "r" / "learning_curve.png").stat().st_size > 5000


def test_a_name_cannot_break_the_report(table):
    frame = houses().rename(columns={"area": "<script>alert(1)</script>"})
    frame.to_csv("houses.csv", index=False)
    assert train("--out", "m.safetensors", "--report", "r.html") == 0
    assert "<script" not in (table / "r.html").read_text()


def test_categories_are_found_as_pandas_writes_them(table, capsys):
    """Whole numbers beside a gap have a point; dates are a file's texts or Parquet's own; R writes TRUE."""
    pytest.importorskip("pyarrow")
    rng = np.random.default_rng(0)
    frame = pandas.DataFrame({"grade": rng.integers(1, 7, 300), "day": pandas.Timestamp("2024-07-01") + (
        pandas.to_timedelta(rng.integers(0, 5, 300), unit="D")), "yes": rng.random(300) < 0.5})
    frame["price"] = frame["grade"] % 2 * 10 + frame["day"].dt.day % 2 * 5 + frame["yes"]
    frame.to_csv("t.csv", index=False)
    frame.to_parquet("t.parquet")
    said = ["--column", "grade=category", "--column", "day=category", "--column", "yes=category"]
    new = frame[:50].astype({"grade": float})
    new.to_parquet("new.parquet")
    new.loc[50] = [np.nan, frame["day"][0], True, 0]
    new["yes"] = np.where(new["yes"].astype(bool), "TRUE", "FALSE")
    new.to_csv("new.csv", index=False, date_format="%Y-%m-%d %H:%M:%S")
    for suffix in ("csv", "parquet"):
        assert main(["train", f"t.{suffix}", "--target", "price", "--quality", "fast", "--out", "m.safetensors",
                     *said]) == 0
        capsys.readouterr()
        found = []
        for name in ("new.csv", "new.parquet", "t.csv", "t.parquet"):
            assert main(["predict", "m.safetensors", name]) == 0
            out = capsys.readouterr()
            assert "not in the training table" not in out.err
            found.append(written(out.out)[1:51])
        assert found[0] == found[1] == found[2] == found[3]
