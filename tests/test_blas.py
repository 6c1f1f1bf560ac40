"""Is the BLAS private, on one thread, and no trouble to its neighbours?"""
import subprocess
import sys

import pytest

import fastsgd


def test_threadpoolctl_sees_our_copy_on_one_thread():
    threadpoolctl = pytest.importorskip("threadpoolctl")
    ours = [pool for pool in threadpoolctl.threadpool_info() if "fastsgd" in pool["filepath"].rsplit("/", 1)[1]]
    assert len(ours) == 1
    assert ours[0]["num_threads"] == 1
    assert ours[0]["version"] == "0.3.34.481.3"


def test_numpy_keeps_its_own_threads():
    threadpoolctl = pytest.importorskip("threadpoolctl")
    code = ("import threadpoolctl, numpy\n"
            "def others(): return [(p['filepath'], p['num_threads']) for p in threadpoolctl.threadpool_info()\n"
            "                      if 'fastsgd' not in p['filepath'].rsplit('/', 1)[1] + p['user_api']]\n"
            "before = others()\nimport fastsgd\nassert others() == before, (before, others())")
    assert threadpoolctl
    assert subprocess.run([sys.executable, "-P", "-c", code], capture_output=True).returncode == 0


def test_the_build_dependency_is_never_imported():
    assert "scipy_openblas32" not in sys.modules


def test_config():
    config = fastsgd.config()
    assert set(config) == {"isa", "isa_available", "blas", "cores"}
    assert config["blas"].startswith("OpenBLAS 0.3.34.481.3")
