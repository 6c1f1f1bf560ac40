"""Does an import that cannot work say in one sentence why, and what to do?"""
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fastsgd
from fastsgd.engine import _kernel, unloadable

PACKAGE = Path(fastsgd.__file__).parent


def last_line(code: str, folder: Path) -> str:
    result = subprocess.run([sys.executable, "-P", "-c", f"import sys; sys.path.insert(0, {str(folder)!r}); {code}"],
                            capture_output=True, text=True)
    assert result.returncode
    return result.stderr.strip().splitlines()[-1]


@pytest.fixture
def package(tmp_path):
    """A copy of the package without its kernel."""
    shutil.copytree(PACKAGE, tmp_path / "fastsgd", ignore=shutil.ignore_patterns(
        "_kernel.*", "_libs", "csrc", "__pycache__", "digits"))
    return tmp_path


def test_a_kernel_that_is_missing(package):
    said = last_line("import fastsgd", package)
    assert said.startswith("ImportError: fastsgd's compiled kernel is missing. In its source folder")


def test_a_kernel_of_another_system(package):
    other = package / "fastsgd" / "engine" / Path(_kernel.__file__).name
    other.write_bytes(b"\0" * 4096)
    said = last_line("import fastsgd", package)
    assert said.startswith(f"ImportError: fastsgd's compiled kernel, {other}, does not load here (")
    assert "python -m pip install --force-reinstall fastsgd. The system says: " in said


def test_a_kernel_of_a_system_whose_modules_have_other_names(package):
    (package / "fastsgd" / "engine" / "_kernel.cpython-26-other.so").touch()
    assert "is of another system (_kernel.cpython-26-other.so), here is " in last_line("import fastsgd", package)


def test_a_python_that_is_too_old(package):
    said = last_line("sys.version_info = (3, 10, 9); sys.version = '3.10.9 (main)'; import fastsgd", package)
    assert said == "ImportError: fastsgd needs Python 3.11 or newer, this is 3.10.9"


@pytest.mark.skipif(os.name == "nt", reason="Windows holds a library that is open")
def test_an_openblas_that_cannot_be_opened_in_a_folder_whose_name_is_not_utf_8(package):
    folder = Path(os.fsdecode(os.fsencode(package) + b"\xff"))
    try:
        package.rename(folder)
    except OSError:
        pytest.skip("this file system has names of UTF-8 alone")
    engine = folder / "fastsgd" / "engine"
    shutil.copy(_kernel.__file__, engine)
    (engine / "_libs").mkdir()
    (engine / "_libs" / "libscipy_openblas-fastsgd.so").write_bytes(b"\0" * 100)
    said = last_line("import fastsgd", folder)
    assert said.startswith("ImportError: fastsgd cannot open its private BLAS library, libscipy_openblas-fastsgd.so (")
    assert said.endswith("reinstall fastsgd: python -m pip install --force-reinstall fastsgd")


@pytest.mark.parametrize(("found", "said"), [
    ("gone", "fastsgd needs NumPy: pip install numpy"),
    ("1.26.4", "fastsgd needs NumPy 2.0 or newer, this is 1.26.4: pip install --upgrade numpy"),
    ("without metadata", "fastsgd's compiled kernel cannot be imported: numpy._core.multiarray failed to import")])
def test_a_numpy_that_is_too_old_or_missing(monkeypatch, found, said):
    def version(name):
        if not found[0].isdigit():
            raise unloadable.PackageNotFoundError(name)
        return found

    monkeypatch.setattr(unloadable, "version", version)
    if found == "gone":
        monkeypatch.setattr(unloadable, "find_spec", lambda name: None)
    assert unloadable.explain(ImportError("numpy._core.multiarray failed to import")) == said


def test_another_error_is_told_as_it_is():
    assert unloadable.explain(ImportError("no more files")) == \
        "fastsgd's compiled kernel cannot be imported: no more files"
