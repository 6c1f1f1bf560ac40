"""Layers as data: what a network is made of, and which tensors each layer needs.

The sizes of :class:`fastsgd.Network` are numbers of units, each a dense layer, and between them layers of other kinds::

    Network([8, Scale(learning_rate_factor=6.0), 64, ParametricActivation("selu"), Residual(LayerNorm(), 64), 3])
    Network([25, Columns({20: 4, 21: 700}, numbers=PBLD()), 256, 3])

To add a kind: a class here and its place in KINDS, its twin in ``engine/reference_layers.py`` (LAYERS), its functions
in C (a file of ``engine/csrc`` and their line in the table of ``layers.inc``), and its line in KINDS of
``engine/_kernel.pyx``.
"""
from __future__ import annotations

from fastsgd.layers.base import ROLES, Dense, Layer, Tensor  # noqa: F401 (what is not in __all__ is for other rooms)
from fastsgd.layers.between import ACTIVATIONS, BatchNorm, LayerNorm, ParametricActivation, Scale
from fastsgd.layers.blocks import Add, Residual, acting, chain, flat, in_blocks  # noqa: F401
from fastsgd.layers.columns import UNKNOWN, Columns  # noqa: F401
from fastsgd.layers.edges import quantile_edges, tree_edges
from fastsgd.layers.numbers import PBLD, LinearReLU, NumberEncoding, Periodic, PiecewiseLinear
from fastsgd.layers.sharing import SHARINGS, AdaptedDense, MemberDense, share  # noqa: F401

__all__ = ["ACTIVATIONS", "PBLD", "AdaptedDense", "Add", "BatchNorm", "Columns", "Dense", "Layer", "LayerNorm",
           "LinearReLU", "MemberDense", "NumberEncoding", "ParametricActivation", "Periodic", "PiecewiseLinear",
           "Residual", "Scale", "Tensor", "quantile_edges", "tree_edges"]

KINDS = {kind.kind: kind for kind in (Dense, Scale, ParametricActivation, LayerNorm, BatchNorm, Add, Columns)}
