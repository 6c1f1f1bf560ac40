"""Is the house in order? Imports point downward, the twins have equal signatures, nothing is copied per dtype."""
import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import fastsgd
from fastsgd import _kernel, optimizers, reference
from fastsgd.architecture import ACTIVATIONS, OUTPUTS

PACKAGE = Path(fastsgd.__file__).parent

# From the top down: a module may import those of lower rows only. "reference" is for tests, benchmarks and train(),
# which may also ask "descent" for a batch size.
RANKS = [
    {"__main__"},
    {"cli"},
    {"demo", "descent_command", "train_command"},
    {"predict_command", "train_outcome"},
    {"train_config"},
    {"train_options", "option_parser", "scorecard"},
    {"__init__"},
    {"interop"},
    {"interop.onnx_writer", "interop.onnx_reader", "interop.torch_modules", "interop.c99", "interop.sklearn_models"},
    {"interop.answers", "interop.c99_table", "interop.onnx_table"},
    {"estimators"},
    {"estimators.mlp", "estimators.sgd"},
    {"estimators.perceptron", "estimators.linear"},
    {"estimators.base", "estimators.mlp_convergence", "estimators.linear_convergence", "estimators.lbfgs"},
    {"estimators.convergence", "estimators.diagnosis", "estimators.sklearn_callbacks"},
    {"interop.onnx_rows", "interop.torch_own", "interop.c99_templates", "interop.c99_text", "interop.onnx_graph",
     "descent"},
    {"descent.batch_size", "descent.surface"},
    {"descent.race"},
    {"descent.noise"},
    {"training"},
    {"baseline", "gradient_check", "loggers", "plots", "interop.layers", "interop.elementwise"},
    {"plots.training", "plots.descent", "interop.onnx_composed"},
    {"plots._axes"},
    {"run"},
    {"evaluation", "checkpoint", "streams", "given", "step_budget"},
    {"network", "callbacks", "feeds"},
    {"machine", "modelfile", "table", "datasets"},
    {"tensorfile", "report", "encoding", "object_rows", "advice", "prediction_file"},
    {"table_inputs", "table_targets", "delimited"},
    {"wording"},
    {"columns"},
    {"data", "history", "optimizers", "schedules", "_kernel", "reference", "bounded_json", "console", "bars", "scores",
     "suffixes",
     "datasets.idx", "spelling", "identifiers", "reading", "arrow_columns"},
    {"architecture", "files", "parameters", "shown"},
]
RANK = {name: rank for rank, names in enumerate(RANKS) for name in names}


def modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        yield name.removesuffix(".__init__"), path


def imports(path):
    """Names of our modules that a file imports, except for type checking only."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.body = []
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            if name.split(".")[0] == "fastsgd":
                rest = name.split(".")[1:]
                while rest and ".".join(rest) not in RANK:
                    rest = rest[:-1]
                yield ".".join(rest) or "__init__"


@pytest.mark.parametrize(("name", "path"), list(modules()), ids=[name for name, _ in modules()])
def test_imports_point_downward(name, path):
    assert name in RANK, f"{name} has no place in RANKS"
    for imported in imports(path):
        assert RANK[imported] > RANK[name] or (name, imported) == ("training", "descent"), f"{name} imports {imported}"
        assert imported != "reference" or name == "training"


def test_kernel_and_reference_have_equal_signatures_and_say_the_same():
    for name in ("train_epoch", "gradient", "cost", "cost_on_plane", "deltas", "predict"):
        ours, theirs = getattr(_kernel, name), getattr(reference, name)
        assert list(inspect.signature(theirs).parameters.values()) == parameters(ours), name
        assert inspect.getdoc(ours) == inspect.getdoc(theirs), name


def parameters(function):
    return [inspect.Parameter(p.name, p.kind, default=p.default) for p in
            inspect.signature(function).parameters.values()]


def test_the_stub_declares_what_the_kernel_has():
    stub = ast.parse((PACKAGE / "_kernel.pyi").read_text())
    for node in stub.body:
        if isinstance(node, ast.FunctionDef):
            found = list(inspect.signature(getattr(_kernel, node.name)).parameters)
            assert found == [argument.arg for argument in node.args.args], node.name


def test_the_names_of_losses_activations_and_optimizers_are_the_same_everywhere():
    assert set(_kernel.LOSSES) == set(OUTPUTS)
    outputs = {name for names in OUTPUTS.values() for name in names}
    assert set(_kernel.ACTIVATIONS) == set(ACTIVATIONS) | outputs
    assert set(_kernel.OPTIMIZERS) == {getattr(fastsgd, name).kind for name in optimizers.__all__
                                       if hasattr(getattr(fastsgd, name, None), "kind")}


def test_public_names_are_documented():
    things = {name: getattr(fastsgd, name) for name in fastsgd.__all__}
    for module in (fastsgd.descent, fastsgd.plots):
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
            "         'tensorboardX', 'onnx', 'onnxruntime', 'scipy_openblas32', 'fastsgd.reference',\n"
            "         'fastsgd.table'} & set(sys.modules)\n"
            "assert not extra, extra")
    result = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
