"""Runs a file of scikit-learn's tests on fastsgd's estimators."""
import importlib.util
from pathlib import Path

import pytest

GLOBAL_RANDOM_SEED = 42              # scikit-learn's own default


def take_over(namespace, package, file, replacements, private):
    """Puts the tests of a file into a test module's namespace, after replacing text in it.

    Those in ``private``, {name: reason}, must fail: a test that passes does not belong there.
    """
    path = Path(importlib.util.find_spec(package).origin).parent / "tests" / file
    source = path.read_text(encoding="utf-8")
    for old, new in replacements.items():
        assert old in source, f"{path} has no {old!r}"
        source = source.replace(old, new)
    exec(compile(source, str(path), "exec"), namespace)
    for name, reason in private.items():
        namespace[name] = pytest.mark.xfail(reason=reason, strict=True)(namespace[name])
