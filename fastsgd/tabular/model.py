"""A network for a table: how its columns become inputs, what it predicts in the table's own terms, and its file."""
from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastsgd.files.bounded_json import parse_json
from fastsgd.network import model_file
from fastsgd.network.network import Network
from fastsgd.tables.encoding import Encoding
from fastsgd.tabular.fitting import QUANTILES

KEY = "tabular"              # of the network's metadata, beside "table"
VERSION = 1


@dataclass
class TabularModel:
    """What ``fastsgd.tabular`` has learned: an encoding of columns, a network, and what is to be told of both.

    ``limits`` are the least and the largest quantity of the training rows, between which predictions stay. ``about`` is
    JSON: the estimator's parameters, the columns that are left out, and the like.
    """

    encoding: Encoding
    net: Network
    limits: tuple[float, float] | None = None
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def classes(self) -> int:
        """How many; 0 of a quantity."""
        return len(self.encoding.classes)

    def outputs(self, X: np.ndarray, threads: int | None = None) -> np.ndarray:
        """Of encoded rows: probabilities (rows, classes), or the mean and the quantiles (rows, 1 + quantiles).

        Quantities are in the table's unit, rise from quantile to quantile, and lie within the limits.
        """
        found = self.net.predict(X, threads=threads)
        if self.classes:
            return found
        column = self.encoding.target_columns[0]
        own = found.astype(float) * column.scale + (column.offset + column.mean)       # type: ignore[union-attr]
        own[:, 1:].sort(axis=1)
        return own if self.limits is None else np.clip(own, *self.limits, out=own)

    def quantiles(self, outputs: np.ndarray, levels: tuple[float, ...]) -> np.ndarray:
        """(rows, levels) of outputs, those between two that were learned by a straight line."""
        return np.stack([_between(outputs[:, 1:], level) for level in levels], axis=1)

    def save(self, path) -> None:
        """Writes both as one safetensors file: complete or not at all."""
        value = {"version": VERSION, "limits": self.limits, **self.about}
        model_file.save(path, self.net.architecture, self.net.params, {
            **self.net.metadata, "table": self.encoding.to_json(), KEY: json.dumps(value)})


def _between(quantiles: np.ndarray, level: float) -> np.ndarray:
    after = int(np.searchsorted(QUANTILES, level))
    if QUANTILES[after] == level:
        return quantiles[:, after]
    low, high = QUANTILES[after - 1], QUANTILES[after]
    share = (level - low) / (high - low)
    return (1 - share) * quantiles[:, after - 1] + share * quantiles[:, after]


def load_model(path) -> TabularModel:
    """What :meth:`TabularModel.save` wrote; ValueError where the file is damaged or something else."""
    net = Network.load(path)
    if "table" not in net.metadata or KEY not in net.metadata:
        raise ValueError(f"{path} holds a network, but no model of TabularClassifier or TabularRegressor")
    encoding = Encoding.from_json(net.metadata["table"])
    try:
        about = parse_json(net.metadata[KEY])
        version, limits = about.pop("version"), about.pop("limits")
        if limits is not None:
            limits = tuple(map(float, limits))
            if len(limits) != 2 or not limits[0] <= limits[1]:
                raise ValueError("limits")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ValueError(f"{path} is damaged: what it says of the model cannot be read") from None
    if version != VERSION:
        raise ValueError(f"{path} is of version {version!r:.40} of these files, this fastsgd reads version {VERSION}")
    expected = len(encoding.classes) or 1 + len(QUANTILES)
    if (encoding.width, expected) != (net.sizes[0], net.sizes[-1]):
        raise ValueError(f"{path} is damaged: its table encoding does not fit its network")
    return TabularModel(encoding, net, limits, about)
