"""Are predictions written as what the file's suffix says, beside the columns that tell whose they are?"""
import csv
import gzip
import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest

import fastsgd
from fastsgd.cli.main import main

pandas = pytest.importorskip("pandas")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model of classes, one of a quantity, and a table with an identifier that only text keeps."""
    folder = tmp_path_factory.mktemp("predict")
    x = np.linspace(-1, 1, 40)
    frame = pandas.DataFrame({"code": [f"{i:03d}" for i in range(40)], "x": x, "n": np.arange(40) // 2,
                              "kind": np.where(x > 0, "big", "small"), "price": 1000 + 10 * x, "note": None})
    frame.to_csv(folder / "table.csv", index=False)
    frame.to_parquet(folder / "table.parquet")
    quick = ["--hidden", "0", "--epochs", "60", "--learning-rate", "0.1", "--drop=code", "--drop=note", "--drop=n"]
    train = ["train", str(folder / "table.csv"), *quick]
    assert main([*train, "--target", "kind", "--drop", "price", "--out", str(folder / "kind.safetensors")]) == 0
    assert main([*train, "--target", "price", "--drop", "kind", "--out", str(folder / "price.safetensors")]) == 0
    return folder


@pytest.fixture
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)


def read(path):
    if path.endswith((".csv.gz", ".tsv.gz", ".csv", ".tsv")):
        content = Path(path).read_bytes()
        text = (gzip.decompress(content) if path.endswith(".gz") else content).decode()
        return pandas.DataFrame(list(csv.DictReader(io.StringIO(text), delimiter="\t" if ".tsv" in path else ",")))
    if path.endswith(".jsonl"):
        return pandas.DataFrame([json.loads(line) for line in Path(path).read_text().splitlines()])
    return pandas.read_parquet(path) if path.endswith(".parquet") else pandas.read_feather(path)


@pytest.mark.parametrize("suffix", ["csv", "tsv", "csv.gz", "tsv.gz", "parquet", "feather", "jsonl"])
def test_predictions_are_what_the_suffix_says(here, suffix, capsys):
    out = f"p.{suffix}"
    ids = ["--id", "code", "--id", "kind", "--id", "n"]
    assert main(["predict", "price.safetensors", "table.csv", "--out", out, *ids]) == 0
    found = read(out)
    assert list(found.columns) == ["code", "kind", "n", "predicted_price"]
    assert list(found["code"])[:2] == ["000", "001"]
    assert list(found["kind"])[::39] == ["small", "big"]
    np.testing.assert_allclose(found["predicted_price"].astype(float), 1000 + 10 * np.linspace(-1, 1, 40), atol=1)
    if suffix in ("parquet", "feather", "jsonl"):
        assert (found["predicted_price"].dtype, found["n"].dtype) == (float, int)


@pytest.mark.parametrize("data", ["table.csv", "table.parquet"])
def test_the_columns_of_the_input_are_kept(here, data, capsys):
    assert main(["predict", "kind.safetensors", data, "--keep-columns", "--probabilities"]) == 0
    out = capsys.readouterr()
    head, first, *_ = csv.reader(out.out.splitlines())
    assert head == ["code", "x", "n", "kind", "price", "note", "predicted_kind", "p_big", "p_small"]
    assert first[:7] == ["000", "-1.0", "0", "small", "990.0", "", "small"]
    assert "accuracy 1.0000 on 40 rows (always 'big': 0.5000), log loss 0." in out.err


@pytest.mark.parametrize(("arguments", "said"), [
    (["nowhere.csv", "--out", "p.xlsx"], "--out p.xlsx must be a file of the kind .csv, .tsv, .csv.gz, .tsv.gz, "
     ".parquet, .feather or .jsonl, got '.xlsx'"),
    (["nowhere.csv", "--out", "p"], "or .jsonl, got no suffix\n"),
    (["nowhere.csv", "--out", "."], "cannot write: it is a folder; give a file name: "),
    (["nowhere.csv", "--out", "p.parquet.gz"], "got '.parquet.gz'"),
    (["table.csv", "--id", "number"], "table.csv has no column 'number', which --id names; its columns are code, x, "),
    (["twice.csv", "--keep-columns"], "twice.csv has a column 'predicted_kind' itself; leave it out"),
])
def test_what_cannot_be_written_is_refused(here, arguments, said, capsys):
    pandas.DataFrame({"x": [0.5], "predicted_kind": ["big"]}).to_csv("twice.csv", index=False)
    assert main(["predict", "kind.safetensors", *arguments]) == 1
    out = capsys.readouterr()
    assert (said in out.err, out.out) == (True, "")


def test_parquet_needs_pyarrow_and_says_so_before_anything_is_read(here, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert main(["predict", "nowhere", "nowhere.csv", "--out", "p.parquet"]) == 1
    assert 'writing p.parquet needs pyarrow: pip install "fastsgd[table]"' in capsys.readouterr().err


def test_evaluate_shows_figures_beside_baselines(here, capsys):
    assert main(["evaluate", "price.safetensors", "table.csv"]) == 0
    out = capsys.readouterr()
    assert "(5.920 by predicting the mean)" in out.out
    assert out.err == ""
    assert main(["evaluate", "kind.safetensors", "table.csv", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["baseline"]["accuracy"] == 0.5
    assert figures["confusion"] == [[20, 0], [0, 20]]
    frame = pandas.read_csv("table.csv")
    frame["price"] = frame["price"].to_numpy()[::-1]
    frame.to_csv("turned.csv", index=False)
    assert main(["evaluate", "price.safetensors", "turned.csv"]) == 0
    assert capsys.readouterr().err.startswith("fastsgd: warning: no better than the same for every row: RMSE of 'p")


def test_a_model_file_whose_encoding_standardises_its_target_predicts_as_ever(here, capsys):
    """As files of fastsgd before networks had units."""
    net = fastsgd.Network.load("price.safetensors")
    scale, offset = float(net.output_scale), float(net.output_offset)
    old = net.copy()
    old.output_scale, old.output_offset = 1.0, 0.0
    old.metadata["table"] = old.metadata["table"].replace(', "own_units": true', "")
    old.save("old.safetensors")
    for model in ("price", "old"):
        assert main(["evaluate", f"{model}.safetensors", "table.csv", "--json"]) == 0
        assert main(["predict", f"{model}.safetensors", "table.csv", "--out", f"{model}.csv"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert json.loads(first)["rmse"] == json.loads(second)["rmse"]
    assert Path("price.csv").read_text() == Path("old.csv").read_text()
    assert 5 < scale < 7 < 990 < offset < 1010
