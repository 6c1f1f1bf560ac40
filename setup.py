"""Builds the extension and puts a private copy of OpenBLAS beside it. All metadata is in pyproject.toml."""
import importlib.metadata
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext


def vendored_blas():
    """The OpenBLAS library and its licence inside the installed scipy-openblas32 wheel, never importing it."""
    try:
        files = importlib.metadata.files("scipy-openblas32") or []
    except importlib.metadata.PackageNotFoundError:
        sys.exit("fastsgd needs OpenBLAS to build: pip install scipy-openblas32==0.3.34.481.3")
    wanted = [f for f in files if f.name.startswith("libscipy_openblas.") or f.name == "LICENSE.txt"]
    return [Path(f.locate()) for f in wanted]


class BuildExt(build_ext):
    def run(self):
        compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
        if not shutil.which(compiler):
            sys.exit(f"fastsgd needs a C compiler to build: {compiler!r} was not found (Debian: apt-get install gcc)")
        libraries = vendored_blas()
        super().run()
        libs = Path(self.get_ext_fullpath("fastsgd._kernel")).parent / "_libs"
        libs.mkdir(exist_ok=True)
        for path in libraries:
            name = path.name if path.name != "LICENSE.txt" else "LICENSE.OpenBLAS.txt"
            shutil.copy2(path, libs / name)
        if sys.platform == "linux" and shutil.which("strip"):
            subprocess.run(["strip", "--strip-unneeded", *libs.glob("libscipy_openblas*")], check=False)


flags = ["-O3", "-std=c11", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-g0"]
links = ["-ldl", "-lpthread"]
if os.environ.get("DEBUG"):
    flags += ["-O1", "-g", "-Wall", "-Wextra", "-Wno-unused-function"]
if os.environ.get("SANITIZE"):
    flags += ["-g", "-fno-omit-frame-pointer", "-fsanitize=address,undefined"]
    links += ["-fsanitize=address,undefined"]

kernel = Extension(
    "fastsgd._kernel",
    sources=["fastsgd/_kernel.pyx"] + [f"fastsgd/csrc/{name}.c" for name in ("operations", "isa", "blas", "team")],
    depends=[str(path) for path in Path("fastsgd/csrc").glob("*") if path.suffix in (".h", ".inc")],
    include_dirs=["fastsgd"],
    extra_compile_args=flags,
    extra_link_args=links,
)

setup(ext_modules=[kernel], cmdclass={"build_ext": BuildExt})
