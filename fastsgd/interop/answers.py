"""How a model's labels and probabilities are made of its network's outputs."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastsgd.network.derived import before_output
from fastsgd.network.given import as_network, is_estimator
from fastsgd.network.network import Network
from fastsgd.tables.encoding import Encoding


@dataclass(frozen=True)
class Answers:
    """How labels and probabilities are made of a network's outputs.

    Attributes
    ----------
    net : Network
        Of a linear classifier that which gives its decision values.
    classes : tuple
        In order; none where a quantity is predicted.
    threshold : float, optional
        An output above it means yes: the second class where there is one output, each label by itself with
        ``several``. None means that the largest output is that of the class.
    several : bool
        Whether a row may have several labels, or none.
    share : str, optional
        How outputs become probabilities: "outputs" are such, "softmax", or "logistic" and "clipped" of each, divided
        by their sum where there are several, or "in order" where they are of a class above each. None where there are
        none, only decision values.
    """

    net: Network
    classes: tuple = ()
    threshold: float | None = None
    several: bool = False
    share: str | None = "outputs"

    @property
    def columns(self) -> int:
        """Of the probabilities, or of the decision values."""
        return len(self.classes) if self.share else self.net.sizes[-1]


def _plain(classes: np.ndarray) -> tuple:
    """As Python's own values."""
    return tuple(label.item() if isinstance(label, np.generic) else label for label in classes.tolist())


def answers_of(model: Any) -> Answers:
    """Of a fitted estimator; of a network its outputs alone. TypeError and NotFittedError as for a network."""
    net = as_network(model).folded()
    if not is_estimator(model):
        return Answers(net)
    from fastsgd.estimators.mlp import MLPClassifier
    from fastsgd.estimators.sgd import SGDClassifier
    if isinstance(model, MLPClassifier):
        kind, classes = model._label_binarizer.y_type_, _plain(model.classes_)
        if kind.startswith("multilabel"):
            return Answers(net, classes, 0.5, several=True)
        if len(classes) == 1:                   # a fit to one class, which is then all that is said
            classes *= 2
        return Answers(net, classes, None if kind == "multiclass" else 0.5)
    if isinstance(model, SGDClassifier):
        classes = _plain(model.classes_)
        share = "softmax" if net.loss == "cross_entropy" else {"log_loss": "logistic", "modified_huber": "clipped"}.get(
            model.loss)
        if net.architecture.activations[-1] != "identity":
            net = before_output(net)
        return Answers(net, classes, 0.0 if len(classes) == 2 else None, share=share)
    return Answers(net)


def with_its_table(model: Any) -> Any:
    """Of an estimator of a table its network, with the columns' encoding; any other model as it is."""
    return model._table_network() if hasattr(type(model), "_table_network") else model


def table_answers(net: Any) -> tuple[Answers, Encoding | None]:
    """Of a network with a table's encoding, and that; as :func:`answers_of` for all others.

    ValueError for an encoding that is damaged or another network's.
    """
    if not isinstance(net, Network) or "table" not in net.metadata:
        return answers_of(net), None
    encoding = Encoding.from_json(net.metadata["table"])
    if (encoding.width, encoding.outputs) != (net.sizes[0], net.architecture.targets):
        raise ValueError(f"net.metadata['table'] describes {encoding.width} inputs and {encoding.outputs} outputs, the "
                         f"network has {net.sizes[0]} and {net.architecture.targets}")
    if encoding.classes and net.architecture.loss_type.targets.in_order:
        return Answers(net, encoding.classes, 0.5, share="in order"), encoding
    tells = net.architecture.activations[-1] in ("softmax", "logistic")
    return Answers(net, encoding.classes, share="outputs" if tells or not encoding.classes else None), encoding


def class_array(classes: tuple) -> np.ndarray:
    """Classes as an array of bool, int64, float64 or strings; ValueError for others."""
    for kind, dtype in ((str, object), (bool, bool), (int, np.int64), (float, np.float64)):
        if all(type(label) is kind for label in classes) and (kind is not int or max(map(abs, classes)) < 2**63):
            return np.array(classes, dtype)
    raise ValueError("classes must be strings, whole numbers below 2^63, numbers or booleans, all of one kind, got "
                     f"{classes!r:.100}")
