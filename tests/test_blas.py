"""Is the BLAS private, on one thread, and no trouble to its neighbours?"""
import subprocess
import sys
from pathlib import Path

import pytest

import fastsgd
from fastsgd.engine import _kernel


def test_threadpoolctl_sees_our_copy_on_one_thread():
    threadpoolctl = pytest.importorskip("threadpoolctl")
    ours = [pool for pool in threadpoolctl.threadpool_info() if "fastsgd" in Path(pool["filepath"]).name]
    assert len(ours) == 1
    assert ours[0]["num_threads"] == 1
    assert ours[0]["version"] == "0.3.34.481.3"


def test_numpy_keeps_its_own_threads():
    threadpoolctl = pytest.importorskip("threadpoolctl")
    code = ("import os, threadpoolctl, numpy\n"
            "def others(): return [(p['filepath'], p['num_threads']) for p in threadpoolctl.threadpool_info()\n"
            "                      if 'fastsgd' not in os.path.basename(p['filepath']) + p['user_api']]\n"
            "before = others()\nimport fastsgd\nassert others() == before, (before, others())")
    assert threadpoolctl
    assert subprocess.run([sys.executable, "-P", "-c", code], capture_output=True).returncode == 0


def test_the_build_dependency_is_never_imported():
    assert "scipy_openblas32" not in sys.modules


def test_config():
    config = fastsgd.config()
    assert set(config) == {"isa", "isa_available", "caches", "blas", "cores"}
    assert config["blas"].startswith("OpenBLAS 0.3.34.481.3")


def test_a_library_that_is_none_is_refused_and_the_old_one_stays(tmp_path):
    (tmp_path / "text.so").write_text("no library")
    assert "text.so" in _kernel.load_blas(tmp_path / "text.so")
    assert "lacks cblas_sgemm" in _kernel.load_blas(_kernel.__file__)
    test_config()


def test_the_peak_is_a_number_of_operations_a_second():
    assert _kernel.peak(1000) > 1e6
    assert _kernel.peak(1000, 2) > 1e6


def test_an_instruction_set_that_is_unknown_is_refused():
    assert _kernel.select_isa("mmx")
    assert fastsgd.config()["isa"]
