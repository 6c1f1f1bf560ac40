"""A network for a table: how its columns become inputs, what it predicts in the table's own terms, and its file.

The file is a model file (``network.model_file``) with two texts of JSON beside the network: ``table``, the encoding,
and of what ``fastsgd.tabular`` has learned ``tabular``: its ``version``, the ``limits`` of a quantity, and what the
estimator that reads it must know.
"""
from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from fastsgd.files.bounded_json import parse_json
from fastsgd.network.network import Network
from fastsgd.tables.encoding import Encoding
from fastsgd.tabular.fitting import QUANTILES
from fastsgd.tabular.recipe import Recipe

KEY = "tabular"              # of the network's metadata, beside "table"
VERSION = 1


@dataclass
class TabularModel:
    """An encoding of columns, a network, and what is to be told of both.

    ``limits`` are the least and the largest quantity of the training rows, between which predictions stay, if they are
    to. ``about`` is JSON of what ``fastsgd.tabular`` has learned: the columns that are left out, and the like; {} of
    other networks.
    """

    encoding: Encoding
    net: Network
    limits: tuple[float, float] | None = None
    about: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        encoding, architecture = self.encoding, self.net.architecture
        unit: tuple = (1.0, 0.0)
        if not encoding.own_units:
            unit = encoding.target_scale(), encoding.target_offset()
        elif architecture.scales_output:
            unit = architecture.unit_of_outputs
        self._scale, self._offset = map(np.array, unit)

    @property
    def classes(self) -> int:
        """How many; 0 of a quantity."""
        return len(self.encoding.classes)

    def outputs(self, X: np.ndarray, threads: int | None = None) -> np.ndarray:
        """Of encoded rows: the network's outputs of classes, or quantities as :meth:`in_own_units` gives them."""
        net = self.net
        if self.classes:
            return net.predict(X, threads=threads)
        if net.architecture.scales_output:
            net = net.copy()
            net.output_scale, net.output_offset = 1.0, 0.0
        return self.in_own_units(net.predict(X, threads=threads))

    def in_own_units(self, outputs: np.ndarray) -> np.ndarray:
        """Quantities in the table's unit, float64 (rows, outputs), of standardised ones: within the limits, if any.

        They are scaled in float64: float32 would not tell large numbers that lie close to each other. Of a mean that is
        followed by quantiles these rise.
        """
        own = outputs.astype(float) * self._scale + self._offset
        if self.encoding.mean_and_quantiles:
            own[:, 1:].sort(axis=1)
        return own if self.limits is None else np.clip(own, *self.limits, out=own)

    def quantiles(self, outputs: np.ndarray, levels: tuple[float, ...]) -> np.ndarray:
        """(rows, levels) of outputs, those between two that were learned by a straight line."""
        found = np.empty((len(outputs), len(levels)))
        for place, level in enumerate(levels):
            found[:, place] = _between(outputs[:, 1:], level)
        return found

    def network(self) -> Network:
        """The network, whose metadata hold the rest, as they do in a file. It has the same parameters, not a copy."""
        value = {"version": VERSION, "limits": self.limits, **self.about}
        return Network._from_parts(self.net.architecture, self.net.params, {
            **self.net.metadata, "table": self.encoding.to_json(), KEY: json.dumps(value)})

    def save(self, path) -> None:
        """Writes both as one safetensors file: complete or not at all."""
        self.network().save(path)


def _between(quantiles: np.ndarray, level: float) -> np.ndarray:
    after = int(np.searchsorted(QUANTILES, level))
    if QUANTILES[after] == level:
        return quantiles[:, after]
    low, high = QUANTILES[after - 1], QUANTILES[after]
    share = (level - low) / (high - low)
    return (1 - share) * quantiles[:, after - 1] + share * quantiles[:, after]


def description(estimator: str, *, features: int, names: list[str] | None, left_out: dict[str, str],
                importances: list[float] | None, recipe: Recipe | None, parameters: dict[str, Any],
                classes: Sequence[str | int | bool | None] = (), dtype: np.dtype | None = None) -> dict[str, Any]:
    """``TabularModel.about``: what ``fastsgd.tabular.load`` makes an estimator of, its ``parameters`` JSON.

    ``classes`` are the encoding's, ``dtype`` that of ``classes_``; neither for a quantity.
    """
    about = {"estimator": estimator, "left_out": left_out, "features": features, "names": names,
             "importances": importances, "recipe": None if recipe is None else asdict(recipe), "parameters": parameters}
    if dtype is not None:
        about |= {"classes": list(classes), "classes_dtype": dtype.str}
    return about


def load_model(path) -> TabularModel:
    """A model of a table from its file; ValueError where the file is damaged or holds a network without a table."""
    net = Network.load(path)
    if "table" not in net.metadata:
        raise ValueError(f"{path} has no table encoding: it holds a network that was not made for a table")
    encoding = Encoding.from_json(net.metadata["table"])
    if (encoding.width, encoding.outputs) != (net.sizes[0], net.architecture.targets):
        raise ValueError(f"{path} is damaged: its table encoding does not fit its network")
    limits, about = limits_and_about(net, path)
    if about and not encoding.classes and encoding.quantiles != (None, *QUANTILES):
        raise ValueError(f"{path} is damaged: its quantiles are not those of version {VERSION}")
    return TabularModel(encoding, net, limits, about)


def limits_and_about(net: Network, name) -> tuple[tuple[float, float] | None, dict[str, Any]]:
    """What a network's metadata say beside the encoding: None and {} where nothing; ``name`` is for errors."""
    if KEY not in net.metadata:
        return None, {}
    try:
        about = parse_json(net.metadata[KEY])
        version, limits = about.pop("version"), about.pop("limits")
        if limits is not None:
            limits = tuple(map(float, limits))
            if len(limits) != 2 or not limits[0] <= limits[1]:
                raise ValueError("limits")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ValueError(f"{name} is damaged: what it says of the model cannot be read") from None
    if version != VERSION:
        raise ValueError(f"{name} is of version {version!r:.40} of these files, this fastsgd reads version {VERSION}")
    return limits, about
