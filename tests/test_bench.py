"""Do the benchmarks still run, and do their runners agree?"""
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_benchmarks_run_at_tiny_size():
    result = subprocess.run([sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", str(ROOT / "bench"),
                             "--rows", "300", "--benchmark-disable"], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-3000:]
    assert "29 passed" in result.stdout
