"""Random networks for the tests of exports, and how far what an export computes may lie from ``net.predict``."""
import os

import numpy as np
from cases import LOSSES, fitting, make_loss, random_sizes

import fastsgd
from fastsgd import losses
from fastsgd.layers import (
    PBLD,
    Columns,
    LayerNorm,
    LinearReLU,
    ParametricActivation,
    Periodic,
    PiecewiseLinear,
    Residual,
    Scale,
)
from fastsgd.model.architecture import ACTIVATIONS

COUNT = int(os.environ.get("FASTSGD_NETWORKS", "60"))
AGREEMENT = 1e-6
LARGE = np.array([0, 1e-30, -1e-30, 0.5, -0.5, 3, -3, 20, -20, 90, -90, 800, -800, 1e4, -1e4, 1e15, -1e15])[:, None]


def random_network(rng, dtype="float32"):
    """0 to 4 hidden layers of 1 to 200 units, any activations, any loss, input and output scaled or not."""
    depth = int(rng.integers(0, 5))
    sizes = [round(200 ** rng.uniform()) for _ in range(depth + 2)]
    loss, output = LOSSES[rng.integers(len(LOSSES))]
    sizes[-1] = fitting(max(1 + losses.LOSSES[loss].targets.classes, sizes[-1]), loss)
    columns = sizes[0]
    scaling = [{}, {"input_scale": rng.uniform(0.1, 2)}, {"input_offset": rng.uniform(-1, 1)},
               {"input_scale": rng.uniform(0.1, 2, columns), "input_offset": rng.uniform(-1, 1, columns)}]
    activations = [str(name) for name in rng.choice(ACTIVATIONS, depth)]
    seed = int(rng.integers(2**31))
    loss = make_loss(loss, output, sizes[-1], rng)
    net = fastsgd.Network(sizes, activations, loss, output=output, dtype=dtype, seed=seed, **scaling[rng.integers(4)])
    for b in net.biases:
        b[:] = 0.1 * rng.standard_normal(b.shape)
    if net.architecture.takes_unit and rng.random() < 0.7:
        one, targets = output == "sorted", net.architecture.targets
        net.output_scale = rng.choice([1.0, 1000.0]) if one or rng.random() < 0.5 else rng.uniform(0.1, 9, targets)
        net.output_offset = rng.choice([0.0, -3.0]) if one or rng.random() < 0.5 else rng.uniform(-9, 9, targets)
    return net


def random_layers(rng, dtype="float32"):
    """A network with layers of all kinds, blocks among them."""
    net = fastsgd.Network(random_sizes(rng), "gelu", dtype=dtype, seed=int(rng.integers(2**31)),
                          input_offset=float(rng.integers(0, 2)))
    for name, array in net.tensors.items():
        if not name.startswith("weights"):
            array += 0.3 * rng.standard_normal(array.shape)
        if name.startswith("variance"):
            array[:] = abs(array)
    return net


CATEGORIES = {0: 3, 4: 12, 7: 40}
EDGES = ((-1.0, 0.0, 0.5, 1.0), (-2.0, 0.1, 0.2), (-1.0, -0.5, 0.0, 0.5), (0.0, 1.0), (-1.0, 0.0, 1.0, 2.0))
ENCODINGS = [None, LinearReLU(4), Periodic(3, 5, 0.3), Periodic(3, 5, 0.3, "identity"), PBLD(4, 6, 0.5),
             PiecewiseLinear(EDGES), PiecewiseLinear(EDGES, 3), PiecewiseLinear(EDGES, 0, False, True)]
MEMBERS = [(1, "none"), (3, "none"), (3, "batch"), (4, "mini")]


def encoding_name(encoding):
    return "plain" if encoding is None else f"{encoding.kind}{encoding.map_outputs}{encoding.map_activation}"


def table_networks(encoding, members, sharing, dtype):
    """Networks of tables with layers of all kinds, of a table without categories or numbers, and with other outputs."""
    columns = Columns(CATEGORIES, numbers=encoding)
    common = {"dtype": dtype, "seed": 0, "members": members, "sharing": sharing}
    behind = [Scale(), 16, ParametricActivation("selu"), Residual(LayerNorm(), 16), LayerNorm(), 12, 4]
    scaling = {"input_scale": [1, 2, 0.5, 1, 1, 1, 3, 1], "input_offset": [0, 1, 0, -1, 0, 0, 0, 0]}
    made = [fastsgd.Network([8, columns, *behind], "gelu", **common, **scaling),
            fastsgd.Network([8, columns, 12, 4], "tanh", "gaussian_nll", output_scale=[2.0, 3.0],
                            output_offset=[1.0, -4.0], **common),
            fastsgd.Network([5, Columns(numbers=encoding), LayerNorm(), 9, 3], "relu",
                            losses.Quantile([0.1, 0.5, 0.9]), output="sorted", output_scale=5.0, **common)]
    if encoding is None:
        made += [fastsgd.Network([3, Columns({0: 3, 1: 4, 2: 5}), 6, 2], **common),
                 fastsgd.Network([2, Columns({0: 30, 1: 40}, embedding_size=3), 6, 2], **common),
                 fastsgd.Network([8, 9, Scale(), 7, 3], "silu", **common, input_scale=0.5)]
    for net in made:
        net.params[:] += 0.1 * np.random.default_rng(0).standard_normal(net.params.size)
    return made


def table_rows(rng, net, rows=50):
    """Numbers from the unit normal, and codes of which some are unknown."""
    X = random_rows(rng, net, rows)
    for column, levels in net.layers[0].categories:
        X[:, column] = rng.integers(-1, levels, rows)
    return X


def random_rows(rng, net, rows=50):
    """From the unit normal, one number in a hundred ten times as large."""
    X = rng.standard_normal((rows, net.sizes[0]))
    X[rng.random(X.shape) < 0.01] *= 10
    return X.astype(net.dtype)


def difference(found, expected):
    """The largest difference over the largest expected output, of all rows of a network together."""
    found, expected = np.asarray(found, float), np.asarray(expected, float)
    with np.errstate(invalid="ignore"):                 # an infinity in the same place is no difference
        return np.where(found == expected, 0, abs(found - expected)).max() / abs(expected).max()


class Differences:
    """Between many networks' exports and ``net.predict``, each relative to the largest output of a network's rows.

    Nearly all are below 1e-6. Not every one can be: two ways of adding floats round differently, and an output of exp
    has the relative error that its logarithm has absolutely. ``rounding``, the same measure between ``net.predict``
    and a float64 copy of the network, says how far float32 itself is. Where an export differs by more than 1e-6,
    the export of that copy must agree with it to 1e-12, so that nothing but rounding is left.
    """

    def __init__(self, export):
        self.export = export            # of (network, rows): what its export makes of them
        self.exports, self.rounding, self.elementwise = [], [], []

    def add(self, net, X, found=None):
        found = self.export(net, X) if found is None else found
        expected = net.predict(X)
        assert found.shape == expected.shape
        assert found.dtype == expected.dtype
        error = difference(found, expected)
        self.exports.append(error)
        twin = fastsgd.Network._from_parts(net.architecture, net.params.astype(float), {})
        exact = twin.predict(X)
        self.rounding.append(difference(expected, exact))
        if error > AGREEMENT:
            assert error < 5 * AGREEMENT, f"{net}: {error:.3g}"
            assert difference(self.export(twin, X.astype(float)), exact) < 1e-12, net
        with np.errstate(all="ignore"):
            self.elementwise.append(np.nanmax(abs(found - expected) / abs(expected), initial=0))

    def report(self, name):
        """Prints the figures, and checks those that one network alone cannot show."""
        print(f"\n{name}, {len(self.exports)} networks")
        for title, values in (("export and predict", self.exports), ("predict and float64", self.rounding),
                              ("export and predict, each output by itself", self.elementwise)):
            print(f"{title}: median {np.median(values):.2g}, largest {max(values):.2g}, "
                  f"{np.sum(np.array(values) > AGREEMENT)} above {AGREEMENT:g}")
        assert np.median(self.exports) < 0.3 * AGREEMENT
        assert np.mean(np.array(self.exports) > AGREEMENT) < 0.1
