"""Does ``fastsgd train`` make enough steps, minimise what is asked for, and say when the result is worth nothing?"""
import json
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

import fastsgd
from fastsgd.cli.main import main
from fastsgd.runs.checkpoint import CheckpointData
from fastsgd.tables.encoding import Encoding

ROWS = 120


@pytest.fixture
def tables(tmp_path, monkeypatch):
    """.npz: three classes as hard as iris, and quantities of large numbers."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("fastsgd.plots.history", lambda history: None)           # which takes half a second
    monkeypatch.setattr("fastsgd.cli.train_outcome.draw", lambda ax, path: None)
    rng = np.random.default_rng(0)
    kind = np.arange(ROWS) % 3
    a, b = rng.normal([0, 3, 5], 1, (ROWS, 3))[np.arange(ROWS), kind], rng.normal(kind == 1, 1)
    np.savez("kinds.npz", a=a, b=b, kind=np.array(["x", "y", "z"])[kind])
    price, weight = 2e5 + 3e4 * a + 1e3 * rng.standard_normal(ROWS), 70 + b
    np.savez("prices.npz", a=a, b=b, price=price, weight=weight, visits=rng.poisson(np.exp(a / 3)), sign=a - 3)
    return tmp_path


KINDS = ["train", "kinds.npz", "--target", "kind", "--out", "m.safetensors"]
PRICES = ["train", "prices.npz", "--drop", "visits", "--drop", "sign", "--drop", "weight", "--target", "price", "--out",
          "m.safetensors", "--hidden", "8"]


def figure(text, name):
    return float(re.findall(rf"{re.escape(name)} ([-\d.,]+)", text)[-1].replace(",", "").rstrip("."))


@pytest.mark.parametrize(("more", "patience"), [
    (["--hidden", "128"], 50), (["--early-stopping", "10", "--schedule", "cosine"], 10)])
def test_a_small_table_is_given_enough_steps(tables, capsys, more, patience):
    """As good as logistic regression."""
    iris = pytest.importorskip("sklearn.datasets").load_iris()
    np.savez("iris.npz", X=iris.data, species=iris.target_names[iris.target])
    assert main(["train", "iris.npz", "--target", "species", "--out", "m.safetensors", *more]) == 0
    told = capsys.readouterr().err
    assert ("batches of 6 rows, at most 250 epochs, fewer where the validation cost has not fallen for "
            f"{patience}; the best parameters are kept (--epochs says how many)\n") in told
    assert len(re.findall("^epoch", told, re.M)) <= 23
    assert re.search(r"ended early, after \d+ of 250 epochs; the best parameters are kept, those of epoch \d+\n", told)
    assert main(["evaluate", "m.safetensors", "iris.npz"]) == 0
    assert figure(capsys.readouterr().out, "accuracy ") >= 0.96


def test_too_few_steps_and_too_many_are_said(tables, capsys):
    assert main([*KINDS, "--epochs", "8", "--batch-size", "100"]) == 0
    assert "the cost is still falling after 8 steps; try --epochs 1000\n" in capsys.readouterr().err
    assert main([*KINDS, "--epochs", "100", "--hidden", "100,100", "--learning-rate", "0.01"]) == 0
    told = capsys.readouterr().err
    assert re.search(r"the validation cost was lowest after epoch \d+ and has risen since; --early-stopping", told)
    assert "still falling" not in told


@pytest.mark.parametrize(("more", "code", "said"), [
    (["--learning-rate", "1e9", "--epochs", "3"], 1, "is worse than before its first step and is not saved; try "
     "--learning-rate 0.001 (it was 1e+09)"),
    (["--learning-rate", "1e12", "--dtype", "float64", "--optimizer", "sgd", "--epochs", "9"], 1, "--learning-rate 0."),
    (["--learning-rate", "1e-9", "--epochs", "3"], 0, "is no better than always predicting"),
])
def test_a_result_that_is_worth_nothing_is_said(tables, capsys, more, code, said):
    assert main([*KINDS, *more]) == code
    assert said in capsys.readouterr().err
    assert (tables / "m.safetensors").exists() is (code == 0)


def test_class_weights_alone_are_no_harm(tables, capsys):
    np.savez("rare.npz", a=np.random.default_rng(0).standard_normal(60), y=np.array(["no"] * 54 + ["yes"] * 6))
    assert main(["train", "rare.npz", "--target", "y", "--out", "m.safetensors", "--class-weight", "balanced",
                 "--epochs", "40"]) == 0


def test_a_quantity_is_learned_in_its_own_units(tables, capsys):
    assert main(PRICES) == 0
    told = capsys.readouterr().err
    assert figure(told, "RMSE") < 0.2 * float(re.search(r"the mean: ([\d,]+)", told)[1].replace(",", ""))
    net = fastsgd.Network.load("m.safetensors")
    assert net.output_offset == pytest.approx(3e5, rel=0.3)
    found = np.load("prices.npz")
    encoding = Encoding.from_json(net.metadata["table"])
    table = {name: found[name] for name in found.files}
    assert net.score(encoding.rows(table), found["price"]) > 0.95


def test_several_targets(tables, capsys):
    arguments = ["train", "prices.npz", "--target", "price", "--target", "weight", "--drop", "visits", "--drop", "sign"]
    assert main([*arguments, "--run", "r", "--hidden", "0", "--epochs", "3"]) == 0
    told = capsys.readouterr().err
    assert "a: number, b: number; targets price, weight: regression" in told
    assert "held-out rows: price: RMSE" in told
    assert "held-out rows: weight: RMSE" in told
    assert tomllib.loads((tables / "r" / "config.toml").read_text())["target"] == ["price", "weight"]
    assert main(["train", "--config", "r/config.toml", "--run", "again"]) == 0
    assert (fastsgd.Network.load("again/model.safetensors").params
            == fastsgd.Network.load("r/model.safetensors").params).all()
    assert main(["train", "--config", "r/config.toml", "--run", "one", "--target", "price"]) == 0
    assert fastsgd.Network.load("one/model.safetensors").sizes == (3, 1)         # weight is an input then
    capsys.readouterr()
    for more, said in ((["--target", "price"], "--target price is given twice"),
                       (["--task", "classification"], "several targets must be quantities")):
        assert main([*arguments, "--out", "m.safetensors", *more]) == 1
        assert said in capsys.readouterr().err
    assert main(["train", "kinds.npz", "--target", "a", "--target", "kind", "--out", "m.safetensors"]) == 1
    assert re.search("several targets must all be quantities: .*'kind' holds 'x' in row 0", capsys.readouterr().err)


@pytest.mark.parametrize(("more", "loss", "outputs"), [
    (["--loss", "absolute_error"], "absolute_error", 1), (["--loss", "huber", "--huber-delta", "0.5"], "huber", 1),
    (["--quantile", "0.9,0.1"], "quantile", 2), (["--loss", "quantile"], "quantile", 1)])
def test_losses_of_quantities(tables, capsys, more, loss, outputs):
    assert main([*PRICES, "--run", "r", *more]) == 0
    assert "no better" not in capsys.readouterr().err
    net = fastsgd.Network.load("m.safetensors")
    assert (net.loss, net.sizes[-1]) == (loss, outputs)
    assert net.architecture.loss_parameters == {"huber": (0.5,), "absolute_error": (0.0,)}.get(
        loss, (0.1, 0.9) if outputs == 2 else (0.5,))
    assert main(["train", "--config", "r/config.toml", "--run", "again", "--out", "n.safetensors"]) == 0
    assert (fastsgd.Network.load("n.safetensors").params == net.params).all()
    capsys.readouterr()
    assert main(["predict", "m.safetensors", "prices.npz"]) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head == ("predicted_price_q0.1,predicted_price_q0.9" if outputs == 2 else "predicted_price")
    price = np.load("prices.npz")["price"]
    found = np.array([list(map(float, row.split(","))) for row in rows])
    if outputs == 2:
        assert 0.5 < np.mean((price > found[:, 0]) & (price < found[:, 1])) <= 1
    else:
        assert np.median(abs(found[:, 0] - price)) < 1e4


def test_quantiles_of_several_targets(tables, capsys):
    assert main(["train", "prices.npz", "--target", "price", "--target", "weight", "--quantile", "0.25,0.75",
                 "--out", "m.safetensors", "--epochs", "200"]) == 0
    capsys.readouterr()
    assert main(["predict", "m.safetensors", "prices.npz"]) == 0
    head, first, *_ = capsys.readouterr().out.splitlines()
    assert head == "predicted_price_q0.25,predicted_price_q0.75,predicted_weight_q0.25,predicted_weight_q0.75"
    assert main(["export", "m.safetensors", "--to", "c", "--out", "m.c"]) == 0
    assert "out[3] = a[3];" in (tables / "m.c").read_text()
    numbers = list(map(float, first.split(",")))
    assert min(numbers[:2]) > 5e4
    assert 60 < min(numbers[2:]) <= max(numbers[2:]) < 80


def test_counts_by_poisson(tables, capsys):
    poisson = ["train", "prices.npz", "--loss", "poisson", "--out", "m.safetensors", "--hidden", "8"]
    assert main([*poisson, "--target", "visits", "--drop", "weight"]) == 0
    told = capsys.readouterr().err
    assert "target visits: regression" in told
    assert "held-out rows: deviance " in told
    assert "no better" not in told
    assert main([*poisson, "--target", "sign"]) == 1
    assert re.search(r"--loss poisson is for counts and other quantities of at least 0, but target 'sign' is -\d",
                     capsys.readouterr().err)


@pytest.mark.parametrize(("target", "more", "column"), [
    ("visits", ["--loss", "tweedie", "--tweedie-power", "1.2"], "predicted_visits"),
    ("price", ["--loss", "gamma"], "predicted_price"),
    ("price", ["--loss", "gaussian_nll"], "predicted_price,deviation_price"),
    ("price", ["--quantile", "0.1,0.5,0.9", "--sorted-quantiles"],
     "predicted_price_q0.1,predicted_price_q0.5,predicted_price_q0.9")])
def test_more_losses_of_quantities(tables, capsys, target, more, column):
    drop = [option for name in {"price", "visits", "weight", "sign"} - {target} for option in ("--drop", name)]
    arguments = ["train", "prices.npz", "--target", target, *drop, "--hidden", "8", *more, "--learning-rate", "0.01"]
    assert main([*arguments, "--run", "r", "--out", "m.safetensors"]) == 0
    told = capsys.readouterr().err
    assert "no better" not in told
    assert {"tweedie": "held-out rows: deviance ", "gamma": "held-out rows: deviance ",
            "gaussian_nll": "% of the rows within 1.96 deviations), RMSE"}.get(more[1], "q0.1 pinball loss") in told
    net = fastsgd.Network.load("m.safetensors")
    assert main(["train", "--config", "r/config.toml", "--run", "again", "--out", "n.safetensors"]) == 0
    assert (fastsgd.Network.load("n.safetensors").params == net.params).all()
    capsys.readouterr()
    assert main(["predict", "m.safetensors", "prices.npz"]) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head == column
    found = np.array([list(map(float, row.split(","))) for row in rows])
    if "sorted" in more[-1]:
        assert (np.diff(found) >= 0).all()
    if more[1] == "gaussian_nll":
        np.testing.assert_allclose(found, net.predict(Encoding.from_json(net.metadata["table"]).rows(
            dict(np.load("prices.npz")))), rtol=1e-4)
    assert main(["evaluate", "m.safetensors", "prices.npz", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    if more[1] == "gaussian_nll":
        assert 0.8 < figures["coverage_95"] <= 1
        assert figures["nll"] < figures["baseline"]["nll"]
    elif "loss" in more[0]:
        assert figures["deviance"] < figures["baseline"]["deviance"]


@pytest.mark.parametrize("more", [["--loss", "ordinal"], ["--loss", "focal", "--focal-gamma", "1"]])
def test_more_losses_of_classes(tables, capsys, more):
    rng = np.random.default_rng(0)
    a = rng.standard_normal(ROWS)
    np.savez("stars.npz", a=a, stars=np.digitize(a + 0.3 * rng.standard_normal(ROWS), [-1, 0, 1]) + 2,
             word=np.where(a > 0, "good", "bad"))
    stars = ["train", "stars.npz", "--out", "m.safetensors", "--hidden", "8", *more]
    assert main([*stars, "--target", "stars", "--drop", "word", "--class-weight", "balanced"]) == 0
    net = fastsgd.Network.load("m.safetensors")
    assert net.sizes[-1] == (3 if "ordinal" in more else 4)
    capsys.readouterr()
    assert main(["evaluate", "m.safetensors", "stars.npz", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["accuracy"] > 0.6
    assert figures["log_loss"] < figures["baseline"]["log_loss"]
    assert ("distance" in figures) is ("ordinal" in more)
    assert main(["evaluate", "m.safetensors", "stars.npz"]) == 0
    assert ("distance  0." in capsys.readouterr().out) is ("ordinal" in more)
    assert main(["predict", "m.safetensors", "stars.npz", "--probabilities"]) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head == "predicted_stars,p_2,p_3,p_4,p_5"
    found = np.array([list(map(float, row.split(","))) for row in rows])
    assert np.mean(found[:, 0] == np.load("stars.npz")["stars"]) == pytest.approx(figures["accuracy"])
    np.testing.assert_allclose(found[:, 1:].sum(axis=1), 1, rtol=1e-5)
    if "ordinal" in more:
        assert main([*stars, "--target", "word", "--drop", "stars"]) == 1
        assert ("--loss ordinal needs classes that are numbers, whose order is theirs; target 'word' has text such as "
                "'bad'") in capsys.readouterr().err


def test_gamma_needs_amounts_above_0(tables, capsys):
    assert main(["train", "prices.npz", "--loss", "gamma", "--target", "visits", "--out", "m.safetensors"]) == 1
    assert re.search(r"--loss gamma is for quantities above 0, but target 'visits' is 0 in row \d+, counted from 0",
                     capsys.readouterr().err)


@pytest.mark.parametrize(("more", "said"), [
    (["--sorted-quantiles"], "--sorted-quantiles is for --loss quantile"),
    (["--sorted-quantiles", "--loss", "huber"], "--sorted-quantiles is for --loss quantile, got --loss huber"),
    (["--sorted-quantiles", "--quantile", "0.1,0.9", "--target", "z"], "is for one target, got y, z"),
    (["--focal-gamma", "1", "--loss", "ordinal"], "--focal-gamma is for --loss focal, got --loss ordinal"),
    (["--loss", "ordinal", "--task", "regression"], "--loss ordinal is for classification, got --task regression"),
    (["--quantile", "0.5", "--loss", "huber"], "--quantile is for --loss quantile, got --loss huber"),
    (["--huber-delta", "1", "--loss", "poisson"], "--huber-delta is for --loss huber, got --loss poisson"),
    (["--loss", "poisson", "--task", "classification"], "--loss poisson is for regression, got --task classification"),
    (["--init-from", "m.safetensors", "--hidden", "4"], "--hidden does not go with --init-from: the model file"),
    (["--run", "kinds.npz"], "--run kinds.npz is a file; give a folder, which need not exist"),
])
def test_what_does_not_go_together_is_refused_before_anything_is_read(tables, capsys, more, said):
    assert main(["train", "nowhere.csv", "--target", "y", "--out", "m.safetensors", *more]) == 1
    assert said in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_refused_before_anything_is_read(tmp_path, capsys):
    for arguments, said in (
            (["train", "nowhere.csv", "--target", "y", "--out", "x.csv"], "x.csv: .csv is the suffix of a table, but"),
            (["demo", "--out", "x.onnx"], "x.onnx: .onnx is the suffix of an ONNX file, but a model file is written"),
            (["export", "nowhere", "--to", "onnx", "--out", "m.c"], "name it .onnx"),
            (["export", "nowhere", "--to", "c", "--out", "m.onnx"], "but C source is written; name it .c or .h"),
            (["export", "nowhere", "--to", "c", "--out", "no/m.c"], "error: cannot write: No such file or directory"),
            (["predict", "nowhere", "nowhere.csv", "--out", "p.png"], "p.png must be a file of the kind .csv, .tsv, ")):
        assert main(arguments) == 1
        assert said in capsys.readouterr().err


def test_a_finished_run_says_how_to_go_on(tables, capsys):
    assert main([*KINDS[:4], "--run", "r", "--epochs", "4"]) == 0
    capsys.readouterr()
    config = ["train", "--config", "r/config.toml", "--resume"]
    assert main(config) == 0
    assert ("nothing was left to do: the run had made its 4 epochs already; fastsgd train --config "
            f"{Path('r/config.toml')} --resume --epochs 8 continues\n") in capsys.readouterr().err
    assert main([*config, "--epochs", "8"]) == 0
    assert "nothing was left" not in capsys.readouterr().err
    assert CheckpointData.read("r/run.ckpt").history.epochs == 8


def test_a_run_that_ended_early_goes_on_with_more_patience(tables, capsys):
    assert main([*KINDS[:4], "--run", "r", "--early-stopping", "2", "--learning-rate", "0.01"]) == 0
    made = CheckpointData.read("r/run.ckpt").history.epochs
    assert made < 250
    config = ["train", "--config", "r/config.toml", "--resume"]
    capsys.readouterr()
    assert main(config) == 0
    assert (f"nothing was left to do: the run had ended early, after {made} epochs; a larger --early-stopping than 2 "
            "continues") in capsys.readouterr().err
    assert main([*config, "--early-stopping", "9"]) == 0
    assert CheckpointData.read("r/run.ckpt").history.epochs > made


def test_a_run_with_a_schedule_goes_on_as_a_new_one_from_its_model(tables, capsys):
    assert main([*KINDS[:4], "--run", "r", "--epochs", "4", "--schedule", "cosine"]) == 0
    advice = f"--init-from {Path('r/model.safetensors')} with another --run begins one from its model"
    for more, code in (([], 0), (["--epochs", "8"], 1)):
        capsys.readouterr()
        assert main(["train", "--config", "r/config.toml", "--resume", *more]) == code
        assert advice in capsys.readouterr().err
    first = fastsgd.Network.load("r/model.safetensors")
    assert main(["train", "kinds.npz", "--init-from", "r/model.safetensors", "--run", "s", "--epochs", "1",
                 "--learning-rate", "1e-9"]) == 0
    second = fastsgd.Network.load("s/model.safetensors")
    assert second.metadata["table"] == first.metadata["table"]
    np.testing.assert_allclose(second.params, first.params, atol=1e-6)
    assert main(["train", "--config", "s/config.toml", "--run", "t"]) == 0
    assert (fastsgd.Network.load("t/model.safetensors").params == second.params).all()
    assert main([*KINDS[:2], "--target", "a", "--init-from", "r/model.safetensors", "--run", "u"]) == 1
    assert "r/model.safetensors predicts kind, got --target a" in capsys.readouterr().err


def test_the_command_line_comes_before_the_configuration(tables, capsys):
    (tables / "c.toml").write_text('data = "kinds.npz"\ntarget = "kind"\nhidden = [4]\nepochs = 2\nseed = 5\n'
                                   'out = "c.safetensors"\ndrop = "b"\n')
    assert main(["train", "--config", "c.toml", "--out", "d.safetensors", "--hidden", "3"]) == 0
    assert fastsgd.Network.load("d.safetensors").sizes == (1, 3, 3)
    assert not (tables / "c.safetensors").exists()
    with pytest.raises(SystemExit):
        main(["train", "--config", "c.toml", "--config", "c.toml"])
    assert "--config: given twice" in capsys.readouterr().err
