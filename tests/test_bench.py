"""Do the benchmarks still run, and do their runners agree?"""
import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fastsgd
from fastsgd import config

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.skipif(not (ROOT / "bench").exists(), reason="the benchmarks are not installed with the tests")


def test_the_benchmarks_run_at_tiny_size():
    result = subprocess.run([sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", str(ROOT / "bench"),
                             "--rows", "300", "--benchmark-disable"], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-3000:]
    assert "29 passed" in result.stdout


def output_of(folder, *command):
    """What a benchmark prints in a folder with a copy of bench/, by the package installed."""
    paths = [str(folder), str(Path(fastsgd.__file__).parents[1])]
    result = subprocess.run([sys.executable, "-P", "-m", *command], cwd=folder, capture_output=True, text=True,
                            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)})
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


def rows_of(folder, *command):
    """The rows on 32-64-64-1 in it."""
    return [line.split(" | ") for line in output_of(folder, *command).splitlines() if "32-64-64-1" in line]


def test_products_are_measured_alone(tmp_path):
    shutil.copytree(ROOT / "bench", tmp_path / "bench")
    rows = rows_of(tmp_path, "bench.products", "--shapes", "32-64-64-1", "--repeat", "1", "--adam")
    assert [row[1] for row in rows] == ["32 x 64", "64 x 64", "64 x 1"]
    assert rows[0][3] == "-"                       # nothing lies below the first layer
    assert all(0 < int(cell.split(" ")[0]) < 10_000 for cell in (rows[0][2], *rows[1][2:4]))


def test_the_comparison_says_its_plan_and_keeps_every_round(tmp_path):
    shutil.copytree(ROOT / "bench", tmp_path / "bench", ignore=shutil.ignore_patterns("results"))
    arguments = ["bench.compare", "--rows", "640", "--repeat", "1", "--peers", "NumPy", "--no-estimators", "--cases",
                 "32-64-64-1", "--json"]
    assert len(rows_of(tmp_path, *arguments)) == 3
    (kept,) = [json.loads(path.read_text()) for path in (tmp_path / "bench" / "results").glob("*.json")]
    (result,) = kept["results"]
    assert kept["date"]
    assert config()["isa"] in kept["machine"]
    assert {"fastsgd", "NumPy"} <= set(result["seconds"])
    assert [layer["products"] for layer in result["plan"]["layers"]] == ["tiles"] * 3
    if "avx2" in config()["isa_available"]:
        rows_of(tmp_path, *arguments, str(tmp_path / "held.json"), "--isa", "avx2")
        assert "L1d 32K, L2 512K, avx2" in json.loads((tmp_path / "held.json").read_text())["machine"]


def test_the_model_of_a_step_is_compared_with_measured_ones(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "path", [*sys.path, str(ROOT)])
    threads = importlib.import_module("bench.threads")
    monkeypatch.setattr(threads, "SHAPES", [shape for shape in threads.SHAPES if shape[0][0] == 32])
    monkeypatch.setattr(sys, "argv", ["threads", "--model", "8"])
    threads.main()
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("| 32-64-64-1")]
    assert len(rows) == 1
    assert all(0 < float(number) < 1e5 for cell in rows[0][1:3] for number in cell.split(", "))
    assert len(rows[0]) == 3 + 3 + 1


def test_a_checkout_against_itself_computes_the_same_bits(tmp_path):
    for name in ("before", "now"):
        shutil.copytree(ROOT / "bench", tmp_path / name / "bench")
    rows = rows_of(tmp_path / "now", "bench.versus", str(tmp_path / "before"), "--rows", "200", "--repeat", "1",
                   "--cases", "32-64-64-1")
    assert len(rows) == 3
    assert all(row[-1] == "same bits |" for row in rows)


def test_published_results_are_kept_and_not_repeated(mnist, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "path", [*sys.path, str(ROOT)])       # last: first comes the fastsgd installed
    published = importlib.import_module("bench.published")
    kept, told = tmp_path / "kept.json", []
    monkeypatch.setattr(sys, "argv", ["published", "--rows", "784-30-10", "--seeds", "2", "--epochs", "1", "--only",
                                      "accuracy", "--json", str(kept)])
    for _ in range(2):
        published.main()
        told.append(capsys.readouterr())
    assert told[0].err.count("784-30-10") == 2
    assert "784-30-10" not in told[1].err
    assert told[0].out == told[1].out
    (results,) = json.loads(kept.read_text()).values()
    assert len(results) == 2
    assert all(85 < accuracy < 96 for accuracy in results.values())
    assert f"{sum(results.values()) / 2:.2f}" in told[0].out


def test_all_results_are_told_as_tables(tmp_path):
    shutil.copytree(ROOT / "bench", tmp_path / "bench")
    told = output_of(tmp_path, "bench.report")
    kept = [path for path in (ROOT / "bench" / "results").iterdir() if path.suffix == ".json"]
    for path in kept:
        about = json.loads(path.read_text(encoding="utf-8"))
        assert about["machine"] in told
        for result in about.get("results", []):
            assert f"| {result['name']} | " in told
    assert kept
    assert all(f"| {method} | " in told for method in ("best", "good", "fast", "CatBoost", "XGBoost", "linear"))
