"""The system's C compiler, for tests that compile what ``to_c`` writes."""
import ctypes
import os
import shlex
import shutil
import subprocess
import sysconfig

import pytest

WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]
STRICT = ["-std=c99", *WARNINGS]


def compiler(*arguments):
    """A command that runs it; the test is skipped where there is none."""
    command = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    if os.name != "posix" or not shutil.which(command[0]):
        pytest.skip("needs a C compiler with the options of GCC")
    return [*command, *arguments]


def compile_c(folder, names, library="lib.so", more=("-O2",)):
    """A library made of exported networks, strictly C99."""
    subprocess.run(compiler(*STRICT, *more, "-shared", "-fPIC", "-o", folder / library,
                            *(folder / f"{name}.c" for name in names), "-lm"), check=True)
    return ctypes.CDLL(str(folder / library))
