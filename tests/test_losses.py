"""Losses as data: their parameters, the plain names, the old arguments, and that the facts are told once."""
import ast
import pickle
from pathlib import Path

import numpy as np
import pytest

import fastsgd
from fastsgd import losses
from fastsgd.losses import LOSSES

PACKAGE = Path(fastsgd.__file__).parent


@pytest.mark.parametrize("name", LOSSES)
def test_a_name_and_an_object_mean_the_same(name):
    kind = LOSSES[name]
    nets = [fastsgd.Network([4, kind.outputs_for(3)], loss=loss, seed=0) for loss in (name, kind())]
    assert nets[0].architecture == nets[1].architecture
    assert (nets[1].loss, nets[1].loss_function, repr(nets[0])) == (name, kind(), repr(nets[1]))
    assert kind.__name__ in losses.__all__
    assert pickle.loads(pickle.dumps(kind())) == kind()
    assert "lope" in kind.__doc__, "the docstring has the formula and the slope"
    assert nets[0].metric == kind.targets.metric


def test_parameters():
    assert losses.Huber(2).parameters(2) == (2.0, 2.0)
    assert losses.Quantile(np.array([0.1, 0.9])) == losses.Quantile((0.1, 0.9))
    net = fastsgd.Network([2, 2], loss=losses.Quantile([0.1, 0.9]))
    assert net.architecture.loss_parameters == (0.1, 0.9)
    assert net.loss_function == losses.Quantile([0.1, 0.9])
    assert fastsgd.Network([2, 1], loss=losses.EpsilonInsensitive(0)).loss_function.epsilon == 0


@pytest.mark.parametrize(("make", "error", "message"), [
    (lambda: losses.Huber(0), ValueError, "Huber: delta must be a number above 0, at most 1e.30, got 0"),
    (lambda: losses.Huber(1e300), ValueError, "Huber: delta must be a number above 0, at most 1e.30, got 1e.300"),
    (lambda: losses.Huber(True), ValueError, "Huber: delta must be a number above 0, .* got True"),
    (lambda: losses.Quantile(1.0), ValueError, "Quantile: quantile must be a number above 0 and below 1, got 1.0"),
    (lambda: losses.Quantile([0.1, np.nan]), ValueError, "Quantile: quantile must be a number above 0 .*, got nan"),
    (lambda: losses.Quantile("0.1"), ValueError, "Quantile: quantile must be a number above 0 .*, got '0.1'"),
    (lambda: losses.Quantile(None), ValueError, "Quantile: quantile must be a number above 0 .*, got None"),
    (lambda: losses.MeanQuantiles([]), ValueError, "MeanQuantiles: quantiles must be one number or several, got .*"),
    (lambda: losses.MeanQuantiles([0.1, 1.0]), ValueError,
     "MeanQuantiles: quantiles must be a number above 0 .*, got 1.0"),
    (lambda: fastsgd.Network([2, 2], loss=losses.MeanQuantiles([0.1, 0.9])), ValueError,
     "loss: MeanQuantiles of 2 quantiles needs 3 outputs, got 2"),
    (lambda: losses.Quantile([]), ValueError, "Quantile: quantile must be a number or one for each output, got none"),
    (lambda: losses.SquaredEpsilonInsensitive(-1), ValueError,
     "SquaredEpsilonInsensitive: epsilon must be a number of at least 0, at most 1e.30, got -1"),
    (lambda: losses.Focal(-0.1), ValueError, "Focal: gamma must be a number of at least 0, at most 100, got -0.1"),
    (lambda: losses.Tweedie(1), ValueError, "Tweedie: power must be a number above 1 and below 2, got 1"),
    (lambda: fastsgd.Network([2, 3], loss="gaussian_nll"), ValueError,
     "sizes: gaussian_nll needs 2 outputs per target, got 3"),
    (lambda: fastsgd.Network([2, 3], loss=losses.Quantile([0.1, 0.9, 0.5]), output="sorted"), ValueError,
     r"output 'sorted' needs quantiles that rise from output to output, got \[0.1, 0.9, 0.5\]"),
    (lambda: fastsgd.Network([2, 2], loss=losses.Quantile([0.1, 0.9]), output="sorted", output_scale=[1, 2]),
     ValueError, r"output_scale and output_offset must be one number each where outputs are sorted, got \[1.0, 2.0\] "
                 r"and \[0.0\]"),
    (lambda: fastsgd.Network([2, 4], loss="gaussian_nll", output_scale=[1, 2, 3]), ValueError,
     "output_scale must be one number or 2, one per target, got 3"),
    (lambda: losses.Loss(), TypeError, "Loss is no loss to be used; allowed are CrossEntropy, .*"),
    (lambda: fastsgd.Network([2, 1], loss=losses.Huber), ValueError, r"loss must be one of .*, or of fastsgd.losses, "
                                                                     r"got the class Huber: give Huber\(\)"),
    (lambda: fastsgd.Network([2, 1], loss=3), ValueError, "loss must be one of .*, or of fastsgd.losses, got 3"),
])
def test_what_cannot_be_used_is_refused_by_name(make, error, message):
    with pytest.raises(error, match=f"^{message}$"):
        make()


@pytest.mark.parametrize(("arguments", "loss", "advice"), [
    ({"loss": "huber", "huber_delta": 0.5}, losses.Huber(0.5), r"loss=fastsgd\.losses\.Huber\(0\.5\)"),
    ({"loss": "quantile", "quantile": 0.9}, losses.Quantile(0.9), r"loss=fastsgd\.losses\.Quantile\(0\.9\)"),
    ({"loss": "squared_epsilon_insensitive", "epsilon": 0.5}, losses.SquaredEpsilonInsensitive(0.5),
     r"loss=fastsgd\.losses\.SquaredEpsilonInsensitive\(0\.5\)"),
    ({"loss": "hinge", "huber_delta": 0.5}, losses.Hinge(), "no such argument with the loss hinge"),
])
def test_the_old_arguments_still_work(arguments, loss, advice):
    with pytest.warns(DeprecationWarning, match=f"Network: .*= is deprecated .*: use {advice}") as seen:
        net = fastsgd.Network([2, 1], **arguments)
    assert net.loss_function == loss
    assert [warning.filename for warning in seen] == [__file__]


def test_an_old_argument_does_not_go_with_an_object():
    with pytest.raises(ValueError, match=r"huber_delta is deprecated and does not go with loss=Huber\(delta=1.0\)"):
        fastsgd.Network([2, 1], loss=losses.Huber(), huber_delta=0.5)


def test_arguments_by_position_still_work():
    with pytest.warns(DeprecationWarning, match="Network: output=, dtype= by position is deprecated: give them by "
                                                "their names"):
        net = fastsgd.Network([2, 1], "relu", "squared_error", "tanh", "float64")
    assert (net.architecture.activations[-1], net.dtype) == ("tanh", np.float64)
    with pytest.raises(TypeError, match="positional arguments"):
        fastsgd.Network([2, 1], *["relu"] * 20)


def test_no_other_module_spells_out_a_set_of_losses():
    """But the engine's cases and scikit-learn's own names."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            entries = node.keys if isinstance(node, ast.Dict) else getattr(node, "elts", [])
            names = {entry.value for entry in entries if isinstance(entry, ast.Constant)
                     and isinstance(entry.value, str)} & set(LOSSES)
            if len(names) > 1:
                found.setdefault(path.relative_to(PACKAGE).as_posix(), set()).update(names)
    assert set(found) <= {"engine/reference.py", "estimators/sgd.py", "interop/sklearn_models.py"}, found
