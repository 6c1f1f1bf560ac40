"""Networks without their scales and batch norms: is the function the same, and are as many gone as can be?"""
from itertools import pairwise

import numpy as np
import pytest
from cases import SEED, random_sizes, randomise

import fastsgd
from fastsgd.layers import BatchNorm, Columns, LayerNorm, ParametricActivation, Residual, Scale

RELU = ParametricActivation("relu", 0.0)


def random(sizes, rng, activation="identity", **options):
    net = fastsgd.Network(sizes, activation, dtype="float64", seed=0, **options)
    randomise(net, 0.7, rng)
    return net


@pytest.mark.parametrize("seed", range(SEED, SEED + 20))
def test_random_chains_stay_the_same_function(seed):
    rng = np.random.default_rng(seed)
    for activation in ("identity", "gelu"):
        net = random(random_sizes(rng), rng, activation)
        X = rng.standard_normal((50, net.sizes[0]))
        found, expected = net.folded(), net.predict(X)
        np.testing.assert_allclose(found.predict(X), expected, rtol=1e-9, atol=1e-12)
        assert found.folded() is found
        kinds = [layer.kind for layer in found.layers]
        if not net.architecture.skips:                      # none is left beside a layer that takes it in
            assert not {("scale", "dense"), ("batch_norm", "dense")} & set(pairwise(kinds))


@pytest.mark.parametrize(("sizes", "left"), [
    ([4, Scale(), 8, 3], ["dense", "dense"]),
    ([4, BatchNorm(), Scale(), BatchNorm(), 8, 3], ["dense", "dense"]),
    ([4, 8, BatchNorm(), RELU, 3], ["dense", "parametric_activation", "dense"]),
    ([4, 8, Scale(), BatchNorm(), RELU, BatchNorm(), 3], ["dense", "parametric_activation", "dense"]),
    ([4, 8, RELU, BatchNorm(), RELU, 3],
     ["dense", "parametric_activation", "batch_norm", "parametric_activation", "dense"]),
    ([4, 4, Residual(BatchNorm(), 8, 4, Scale()), 3], ["dense", "dense", "dense", "add", "dense"]),
    ([4, Residual(Scale(), LayerNorm()), 3], ["scale", "layer_norm", "add", "dense"]),
    ([4, Scale(), Residual(4), 3], ["scale", "dense", "add", "dense"]),
    ([4, Residual(Residual(BatchNorm(), 4), 4), 3], ["dense", "add", "dense", "add", "dense"]),
], ids=str)
def test_what_is_left(sizes, left):
    rng = np.random.default_rng(0)
    net = random(sizes, rng)
    X = rng.standard_normal((20, 4))
    found = net.folded()
    assert [layer.kind for layer in found.layers] == left
    np.testing.assert_allclose(found.predict(X), net.predict(X), rtol=1e-9, atol=1e-12)


def test_kinds_may_be_chosen_and_members_and_columns_have_theirs_folded():
    rng = np.random.default_rng(0)
    net = random([4, Scale(), 8, BatchNorm(), RELU, 3], rng)
    assert [layer.kind for layer in net.folded(("scale",)).layers][:2] == ["dense", "batch_norm"]
    several = random([6, Columns({5: 4}), Scale(), 8, BatchNorm(), 3], rng, members=3)
    X = np.column_stack([rng.standard_normal((20, 5)), rng.integers(-1, 4, 20)])
    assert len(several.folded().layers) == 3
    np.testing.assert_allclose(several.folded().predict(X), several.predict(X), rtol=1e-9, atol=1e-12)
    shared = random([6, Scale(), 8, 3], rng, members=3, sharing="batch")
    np.testing.assert_allclose(shared.folded().predict(X), shared.predict(X), rtol=1e-9, atol=1e-12)
    assert len(shared.folded().layers) == 2
