"""Do the examples run?"""
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_serving():
    pytest.importorskip("fastapi")
    pytest.importorskip("uvicorn")
    if not EXAMPLES.exists():
        pytest.skip("the examples are not installed with the tests")
    result = subprocess.run([sys.executable, "-P", EXAMPLES / "serving" / "load.py", "--seconds", "0.3"],
                            capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("\n| ") == 4


@pytest.mark.parametrize(("name", "words"), [("mixed_table", "of 1000 unseen rows are right"),
                                            ("grid_search", "best: "), ("stream", "after 3,800 documents")])
def test_scikit_learn(name, words):
    pytest.importorskip("sklearn")
    pytest.importorskip("pandas")
    if not EXAMPLES.exists():
        pytest.skip("the examples are not installed with the tests")
    result = subprocess.run([sys.executable, "-P", EXAMPLES / "sklearn" / f"{name}.py"], capture_output=True, text=True,
                            timeout=120)
    assert result.returncode == 0, result.stderr
    assert words in result.stdout


@pytest.mark.parametrize(("name", "words"), [("search", "best: "), ("shops", "price  weekend")])
def test_dask(name, words):
    for package in ("sklearn", "distributed", "dask.dataframe", "joblib"):
        pytest.importorskip(package)
    if not EXAMPLES.exists():
        pytest.skip("the examples are not installed with the tests")
    result = subprocess.run([sys.executable, "-P", EXAMPLES / "dask" / f"{name}.py"], capture_output=True, text=True,
                            timeout=120)
    assert result.returncode == 0, result.stderr
    assert words in result.stdout
