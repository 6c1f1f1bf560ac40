"""Is the house in order? Imports point downward, the twins have equal signatures, nothing is copied per dtype."""
import ast
import inspect
import subprocess
import sys
from pathlib import Path

import imports
import pytest

import fastsgd
from fastsgd import optimizers
from fastsgd.engine import _kernel, reference
from fastsgd.losses import LOSSES
from fastsgd.model.architecture import ACTIVATIONS

PACKAGE = Path(fastsgd.__file__).parent

# From the top down: a room, which is a sub-package or a module at the top, may import those below it only.
ORDER = [
    "__main__", "cli", "__init__",
    "interop", "distributed", "estimators", "tabular",
    "training", "descent", "plots", "streams", "runs",
    "network", "schedules", "engine",
    "tables", "datasets", "data",
    "optimizers", "model", "losses",
    "display", "layers", "files", "deprecation", "arguments", "cached",
]


@pytest.fixture(scope="module")
def arrows():
    return imports.imports(PACKAGE)


def test_imports_between_rooms_point_downward(arrows):
    rooms = imports.between_rooms(arrows)
    assert set(rooms) <= set(ORDER), "a new room needs its place in ORDER"
    assert imports.upward(rooms, ORDER) == []


def test_no_modules_import_each_other(arrows):
    assert imports.circles(arrows) == []


def test_only_a_runs_settings_ask_for_the_reference(arrows):
    assert {name for name, imported in arrows.items() if "engine.reference" in imported} <= {"runs.settings"}


def test_every_room_says_in_a_sentence_what_it_is_for():
    for room in sorted({path.parent for path in PACKAGE.rglob("__init__.py")}):
        text = ast.get_docstring(ast.parse((room / "__init__.py").read_text(encoding="utf-8")))
        assert text, room
        assert text.splitlines()[0].endswith((".", ";", ":")) or "\n" in text, room


def test_kernel_and_reference_have_equal_signatures_and_say_the_same():
    for name in ("train_epoch", "gradient", "cost", "cost_on_plane", "deltas", "predict"):
        ours, theirs = getattr(_kernel, name), getattr(reference, name)
        assert list(inspect.signature(theirs).parameters.values()) == parameters(ours), name
        assert inspect.getdoc(ours) == inspect.getdoc(theirs), name


def parameters(function):
    return [inspect.Parameter(p.name, p.kind, default=p.default) for p in
            inspect.signature(function).parameters.values()]


def test_the_stub_declares_what_the_kernel_has():
    stub = ast.parse((PACKAGE / "engine" / "_kernel.pyi").read_text())
    for node in stub.body:
        if isinstance(node, ast.FunctionDef):
            found = list(inspect.signature(getattr(_kernel, node.name)).parameters)
            assert found == [argument.arg for argument in node.args.args], node.name


def test_the_names_of_losses_activations_and_optimizers_are_the_same_everywhere():
    assert set(_kernel.LOSSES) == set(LOSSES)
    outputs = {name for loss in LOSSES.values() for name in loss.outputs}
    assert set(_kernel.ACTIVATIONS) == set(ACTIVATIONS) | outputs
    assert set(_kernel.OPTIMIZERS) == {getattr(fastsgd, name).kind for name in optimizers.__all__
                                       if hasattr(getattr(fastsgd, name, None), "kind")}


def test_public_names_are_documented():
    things = {name: getattr(fastsgd, name) for name in fastsgd.__all__}
    for module in (fastsgd.descent, fastsgd.plots, fastsgd.distributed):
        things |= {f"{module.__name__}.{name}": getattr(module, name) for name in module.__all__}
    for name, thing in things.items():
        assert inspect.getdoc(thing), name
        if inspect.isclass(thing):
            for attribute, value in vars(thing).items():
                if not attribute.startswith("_") and (inspect.isfunction(value) or isinstance(value, property)):
                    assert inspect.getdoc(value), f"{name}.{attribute}"


def test_importing_needs_no_network_and_no_optional_package():
    code = ("import sys, socket\n"
            "def refuse(*_): raise AssertionError('network at import')\n"
            "socket.socket.connect = refuse\n"
            "import fastsgd\n"
            "extra = {'pandas', 'pyarrow', 'scipy', 'sklearn', 'torch', 'matplotlib', 'tqdm', 'mlflow',\n"
            "         'tensorboardX', 'onnx', 'dask', 'distributed', 'onnxruntime', 'scipy_openblas32',\n"
            "         'fastsgd.engine.reference',\n"
            "         'fastsgd.tables.read'} & set(sys.modules)\n"
            "assert not extra, extra")
    result = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
