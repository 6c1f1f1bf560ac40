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
