"""Builds the extension and puts a private copy of OpenBLAS beside it. All metadata is in pyproject.toml.

Switches in the environment: DEBUG=1 for debug information and warnings; SANITIZE=1 for AddressSanitizer and
UndefinedBehaviorSanitizer, SANITIZE=thread for ThreadSanitizer (.ci/sanitize runs the tests with both); COVERAGE=1 for
gcov (.ci/coverage); FASTSGD_LIMITED_API=1 for an extension that every CPython from 3.11 loads. For tools/wheels.py, by
which other systems' wheels are built, FASTSGD_SYSTEM names one as sys.platform does, and FASTSGD_OPENBLAS is a folder
with its OpenBLAS.
"""
import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from concurrent.futures import ThreadPoolExecutor
from logging import INFO
from pathlib import Path

import numpy
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

CSRC = Path("fastsgd/engine/csrc")
(OPENBLAS,) = (each for each in tomllib.loads(Path("pyproject.toml").read_text())["build-system"]["requires"]
               if each.startswith("scipy-openblas32=="))


def openblas():
    """``{name of the copy: file}`` from the scipy-openblas32 wheel, which is needed to build and never imported.

    The copy's name keeps the prefix by which threadpoolctl knows an OpenBLAS.
    """
    if folder := os.environ.get("FASTSGD_OPENBLAS"):
        files = [path for path in Path(folder).rglob("*") if path.is_file()]
    else:
        try:
            files = [file.locate() for file in importlib.metadata.files("scipy-openblas32") or []]
        except importlib.metadata.PackageNotFoundError:
            sys.exit(f"fastsgd needs OpenBLAS to build: pip install {OPENBLAS}")
    copies = {}
    for file in map(Path, files):
        if file.stem == "libscipy_openblas" and file.suffix in (".so", ".dylib", ".dll"):
            copies["libscipy_openblas-fastsgd" + file.suffix] = file
        elif file.name == "LICENSE.txt":
            copies["LICENSE.OpenBLAS.txt"] = file
    if len(copies) != 2:
        sys.exit(f"the installed scipy-openblas32 lacks its library or its licence, found only {sorted(copies)}; "
                 f"reinstall it: pip install --force-reinstall {OPENBLAS}")
    return copies


def what_is_missing():
    """A sentence, or nothing."""
    if sys.maxsize < 2**32:
        return "it needs a 64-bit Python"
    if sys.platform == "win32":
        if platform.machine() != "AMD64" or sysconfig.get_config_var("Py_GIL_DISABLED"):
            return ("its C is not for Microsoft's compiler, and the wheel for Windows is for x86-64 and Pythons that "
                    "are not free-threaded; install fastsgd by such a Python")
        return ("its C is not for Microsoft's compiler; install the wheel (pip install --only-binary fastsgd fastsgd), "
                "which tools/wheels.py makes on Linux")
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    if not shutil.which(compiler):
        advice = {"darwin": "xcode-select --install"}.get(sys.platform, "Debian: apt-get install gcc libc6-dev")
        return f"it needs a C compiler, GCC or Clang, and {compiler!r} was not found ({advice})"
    if system == sys.platform and not Path(sysconfig.get_path("include"), "Python.h").exists():
        return "it needs the headers of Python, and Python.h was not found (Debian: apt-get install python3-dev)"
    return None


class BuildExt(build_ext):
    def get_ext_filename(self, fullname):
        name = super().get_ext_filename(fullname)
        return name.partition(".")[0] + ".pyd" if system == "win32" != sys.platform else name

    def build_extensions(self):
        """One compiler per core, each on a source of its own; where the flags are those of the last build, of C only
        what changed."""
        compile_in_turn = self.compiler.compile
        command = " ".join([*self.compiler.compiler_so, *flags, *links, *map("=".join, macros)])
        made_by = Path(self.build_temp, "command")
        known = made_by.exists() and made_by.read_text() == command
        self.force = self.force or not known
        newest_header = max(path.stat().st_mtime for path in CSRC.iterdir() if path.suffix in (".h", ".inc"))

        def compile_one(source, output_dir=None, **arguments):
            (made,) = self.compiler.object_filenames([source], output_dir=output_dir or "")
            if known and CSRC in Path(source).parents and os.path.exists(made) and \
                    os.path.getmtime(made) > max(os.path.getmtime(source), newest_header):
                return [made]
            return compile_in_turn([source], output_dir=output_dir, **arguments)

        def compile_at_once(sources, **arguments):
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                objects = pool.map(lambda source: compile_one(source, **arguments), sources)
                compiled = []
                for source, made in zip(sources, objects, strict=True):
                    compiled += made
                    self.announce(f"compiled {len(compiled)} of {len(sources)}: {source}", INFO)
                return compiled

        self.compiler.compile = compile_at_once
        if not known:
            made_by.unlink(missing_ok=True)
        super().build_extensions()
        made_by.parent.mkdir(parents=True, exist_ok=True)
        made_by.write_text(command)

    def run(self):
        if missing := what_is_missing():
            sys.exit(f"fastsgd cannot be built here: {missing}")
        copies = openblas()
        super().run()
        libs = Path(self.get_ext_fullpath("fastsgd.engine._kernel")).parent / "_libs"
        shutil.rmtree(libs, ignore_errors=True)
        libs.mkdir()
        for name, path in copies.items():
            shutil.copy(path, libs / name)
        if system == sys.platform == "linux" and shutil.which("strip"):
            subprocess.run(["strip", "--strip-unneeded", *libs.glob("*.so")], check=False)


flags = ["-O3", "-std=c11", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"]
flags += ["-g", "-Wall", "-Wextra"] if os.environ.get("DEBUG") else ["-g0"]
system = os.environ.get("FASTSGD_SYSTEM", sys.platform)
links = ["-ldl", "-lpthread"] if system == "linux" else []
limited = bool(os.environ.get("FASTSGD_LIMITED_API"))
macros = [("NPY_NO_DEPRECATED_API", "NPY_1_23_API_VERSION")]
macros += [("Py_LIMITED_API", "0x030B0000"), ("CYTHON_LIMITED_API", "1")] if limited else []
sanitizers = {"": None, "1": "address,undefined", "thread": "thread"}[os.environ.get("SANITIZE", "")]
if sanitizers:          # -O1: with -O3 the checks take the compiler more than ten minutes
    flags += ["-O1", f"-fsanitize={sanitizers}", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer", "-g1"]
    links += [f"-fsanitize={sanitizers}"]
if os.environ.get("COVERAGE"):
    flags += ["--coverage", "-O1"]
    links += ["--coverage"]

setup(
    ext_modules=[Extension(
        "fastsgd.engine._kernel",
        sources=["fastsgd/engine/_kernel.pyx", *map(str, sorted(CSRC.glob("*.c")))],
        depends=[str(path) for path in (*CSRC.glob("*"), *CSRC.parent.glob("*.p[xy]*"))
                 if path.suffix in (".h", ".inc", ".pxd", ".pxi")],
        include_dirs=["fastsgd/engine", numpy.get_include()],
        define_macros=macros,
        py_limited_api=limited,
        extra_compile_args=flags,
        extra_link_args=links,
    )],
    cmdclass={"build_ext": BuildExt},
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if limited else {},
)
