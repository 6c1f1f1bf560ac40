"""Random networks and data for the tests that compare one implementation with another, and a day's sample of cases."""
import datetime
import itertools
import os

import numpy as np

import fastsgd
from fastsgd import losses
from fastsgd.layers import BatchNorm, LayerNorm, ParametricActivation, Residual, Scale
from fastsgd.model.architecture import ACTIVATIONS
from fastsgd.optimizers import StepConfig

LOSSES = [(loss, output) for loss, kind in losses.LOSSES.items() for output in kind.outputs]
MARGINS = losses.names(losses.MARGINS)
OPTIMIZERS = [  # epsilons well above rounding, so that a gradient of rounding errors is not blown up to a full step
    fastsgd.SGD(0.05),
    fastsgd.SGD(0.05, momentum=0.9),
    fastsgd.SGD(0.05, momentum=0.5, nesterov=True, weight_decay=0.01, l1=0.01, l2=0.02),
    fastsgd.SGD(0.05, weight_decay=0.1, l2=0.1, alpha=0.3),
    fastsgd.SGD(lambda step: 0.1 / (1 + step), l1=0.05),
    fastsgd.SGD(0.05, l1=0.05, l2=0.1, cumulative_l1=True, bias_rate=0.3),
    fastsgd.SGD(0.05, momentum=0.5, l1=0.05, cumulative_l1=True),
    fastsgd.Adam(0.01, epsilon=1e-3, weight_decay=0.01, l1=0.01),
    fastsgd.AdamW(0.01, epsilon=1e-3, weight_decay=0.1, l2=0.01),
    fastsgd.RMSprop(0.01, epsilon=1e-2, l2=0.1, bias_rate=2.0),
    fastsgd.RMSprop(0.01, epsilon=1e-2, momentum=0.5),
    fastsgd.Adagrad(0.05, epsilon=1e-3, l1=0.01),
    fastsgd.NAdamW(0.01, epsilon=1e-3, weight_decay=0.1, momentum_decay=0.1, l2=0.01),
    fastsgd.ScheduleFreeAdamW(lambda step: min(0.01, 0.003 + 0.003 * step), epsilon=1e-3, weight_decay=0.1, l1=0.01),
    fastsgd.Muon(0.01, epsilon=1e-3, weight_decay=0.1, l2=0.01, momentum=0.8),
]
AROUND = [  # what may go with any optimizer
    {"clip_norm": 0.05}, {"clip_value": 0.002}, {"clip_delta": 0.2}, {"max_norm": 0.5}, {"average": "polyak"},
    {"average": 0.9, "average_from": 2},
    {"clip_norm": 0.1, "max_norm": 1.0, "average": 0.5},
]
EXPONENTIAL = ("exp", "mean_and_deviation")
TOLERANCE = {"float64": 1e-10, "float32": 2e-5}

FULL = os.environ.get("FASTSGD_TEST_FULL", "") not in ("", "0")
# In the environment, so that the processes of pytest-xdist and tests' children draw the same, at midnight too.
SEED = int(os.environ.setdefault("FASTSGD_TEST_SEED", f"{datetime.date.today():%Y%m%d}"))

__all__ = ["ACTIVATIONS", "AROUND", "FULL", "LOSSES", "MARGINS", "OPTIMIZERS", "SEED", "TOLERANCE", "StepConfig",
           "agree", "fitting", "make_loss", "make_net", "make_targets", "one_epoch", "random_sizes",
           "randomise", "sample"]


def sample(*axes, share, salt=()):
    """The day's share of all combinations of the axes, in their order; every value of every axis is in it.

    With ``FASTSGD_TEST_FULL=1`` all of them. ``salt``, whole numbers, draws another sample: tests that are themselves
    one of many combinations give theirs, so that together they meet what each leaves out.
    """
    sizes = [len(axis) for axis in axes]
    chosen = list(itertools.product(*map(range, sizes)))
    if not FULL:
        rng = np.random.default_rng([SEED, *salt])
        cover = max(sizes)                # as many as the longest axis has values, shorter ones repeated, cover all
        columns = [np.resize(rng.permutation(size), cover) for size in sizes]
        covering = set(zip(*(rng.permutation(column).tolist() for column in columns), strict=True))
        others = [each for each in chosen if each not in covering]
        more = max(0, round(share * len(chosen)) - len(covering))
        chosen = sorted([*covering, *(others[i] for i in rng.permutation(len(others))[:more])])
    return [tuple(axis[i] for axis, i in zip(axes, each, strict=True)) for each in chosen]


def random_sizes(rng):
    """Columns, a few entries of any kind, and outputs."""
    width = int(rng.integers(2, 40))

    def entries(count, width, deep):
        found = []
        for kind in rng.integers(0, 7, count):
            if kind == 0:
                found.append(ParametricActivation(str(rng.choice(ACTIVATIONS))))
            elif kind == 1:
                found.append(LayerNorm(float(rng.choice([1e-5, 0.1]))))
            elif kind == 2:
                found.append(Scale())
            elif kind == 6:
                found.append(BatchNorm(0.1, float(rng.choice([0.1, 1.0]))))
            elif kind == 3 and deep < 2:
                found.append(Residual(*entries(int(rng.integers(0, 3)), width, deep + 1), width))
            else:
                width = int(rng.integers(2, 40)) if deep == 0 else width
                found.append(width)
        return found

    return [width, *entries(int(rng.integers(1, 6)), width, 0), int(rng.integers(2, 5))]


def fitting(outputs, loss):
    """So many outputs, or one more where a loss needs two for each target."""
    kind = losses.LOSSES[loss]
    outputs = max(outputs, 1 + (loss == "mean_quantiles"))
    return kind.outputs_for(-(-outputs // kind.outputs_per_target) + kind.targets.in_order)


def make_loss(loss, output, outputs, rng):
    """A loss of that name with parameters that are not its defaults."""
    quantiles = rng.uniform(0.1, 0.9, outputs)
    return losses.with_parameters(loss, delta=0.7, quantile=np.sort(quantiles) if output == "sorted" else quantiles,
                                  quantiles=quantiles[1:], gamma=rng.choice([0.0, 0.5, 1.5, 3.0]),
                                  power=rng.uniform(1.2, 1.8))


def randomise(net, size, rng):
    """Parameters that are normal and of that size, running variances their absolute values."""
    net.params[:] = size * rng.standard_normal(net.params.size)
    for name, array in net.tensors.items():
        if name.startswith("variance"):
            array[:] = abs(array)


def make_net(sizes, activation, loss, output, dtype, rng):
    sizes = [*sizes[:-1], fitting(sizes[-1], loss)]
    net = fastsgd.Network(sizes, activation, make_loss(loss, output, sizes[-1], rng), output=output, dtype=dtype)
    # Small for exponentials: a run that diverges would compare one overflow with another.
    size = 0.16 if net.architecture.activations[-1] in EXPONENTIAL else 0.4
    randomise(net, size, rng)
    return net


def make_targets(loss, output, rows, outputs, rng):
    """For a network that was made with so many outputs."""
    kind = losses.LOSSES[loss].targets
    columns = losses.LOSSES[loss].targets_of(fitting(outputs, loss))
    if kind.classes and not kind.probabilities:
        return rng.integers(0, columns, rows)
    if loss == "cross_entropy":
        return rng.integers(0, outputs, rows) if rng.random() < 0.7 else rng.dirichlet(np.ones(outputs), rows)
    if loss == "binary_cross_entropy":
        if outputs > 1 and rng.random() < 0.3:
            return rng.integers(0, outputs, rows)
        return rng.integers(0, 2, (rows, outputs))
    if loss in MARGINS:
        labels = rng.integers(0, outputs, rows)
        return labels if outputs > 1 and rng.random() < 0.5 else rng.choice([-1, 1], (rows, outputs))
    if kind.sign:
        return rng.poisson(1.5, (rows, outputs)) if kind.sign == "at least 0" else rng.uniform(0.2, 3, (rows, outputs))
    return rng.standard_normal((rows, 1 if output == "sorted" else columns))


def one_epoch(module, net, X, y, order, recipe, threads=1, sample_weight=None, **more):
    """``(params, state, steps)`` after one pass of a module of kernels, from the network's parameters."""
    params, state = net.params.copy(), recipe.optimizer.state(net.params)
    steps = -(-(len(X) if order is None else len(order)) // recipe.batch_size)
    made = module.train_epoch(net.architecture, params, X, y, order, recipe, state,
                              recipe.optimizer.learning_rates(0, steps), sample_weight, threads, **more)
    return params, state, made


def agree(name, found, expected, tolerance):
    """Largest difference over largest magnitude, with a message that shows the first values."""
    found, expected = np.asarray(found, dtype=float), np.asarray(expected, dtype=float)
    least = 0.1 if "cost" in name else 1e-3          # a deviance near 0 is a small difference of terms of about 1
    error = np.abs(found - expected).max(initial=0) / max(np.abs(expected).max(initial=0), least)
    assert error <= tolerance, (f"{name}: relative error {error:.3g} above {tolerance:g}; found "
                                f"{found.ravel()[:5]}, expected {expected.ravel()[:5]}")
