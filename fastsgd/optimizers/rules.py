"""The optimizers' rules: a frozen dataclass each, whose docstring has the formula."""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from fastsgd.deprecation import renamed_fields
from fastsgd.losses import LOSSES
from fastsgd.optimizers.base import Optimizer, Rates


@renamed_fields(truncate="cumulative_l1")
@dataclass(frozen=True, kw_only=True, repr=False)
class SGD(Optimizer):
    """Stochastic gradient descent, with momentum if wanted.

    w -= eta * g. With momentum mu: m = mu * m + g, then w -= eta * m, or with ``nesterov``
    w -= eta * (g + mu * m). (Sutskever, Martens, Dahl and Hinton 2013, in PyTorch's form.)

    ``nesterov`` without momentum is a ValueError.

    With ``cumulative_l1`` l1 does not act on the gradient but makes weights exactly zero: the cumulative penalty of
    Tsuruoka, Tsujii and Ananiadou (2009), a form of truncated gradient (Langford, Li and Zhang 2009). With u the sum of
    eta * l1 over all steps and q what a weight has received of it so far, each step ends with w = max(0, w - (u + q))
    for w > 0 and w = min(0, w + (u - q)) for w < 0; q gains the change.

    >>> SGD(0.1, momentum=0.9)
    SGD(0.1, momentum=0.9)
    """

    learning_rate: Rates = field(default=0.1, kw_only=False)
    momentum: float = 0.0
    nesterov: bool = False
    cumulative_l1: bool = False
    kind: ClassVar[str] = "sgd"

    def __post_init__(self):
        super().__post_init__()
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov=True needs a momentum above 0, got momentum=0.0")

    @property
    def slots(self) -> int:
        return (1 if self.momentum else 0) + self.cumulative_l1


@dataclass(frozen=True, kw_only=True, repr=False)
class Adam(Optimizer):
    """Adam (Kingma and Ba 2015, arXiv 1412.6980, algorithm 1).

    m = beta_1 m + (1 - beta_1) g and v = beta_2 v + (1 - beta_2) g^2; at step t
    w -= eta * (m / (1 - beta_1^t)) / (sqrt(v / (1 - beta_2^t)) + epsilon).

    >>> Adam().learning_rate
    0.001
    """

    learning_rate: Rates = field(default=0.001, kw_only=False)
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    kind: ClassVar[str] = "adam"

    @property
    def slots(self) -> int:
        return 2


@dataclass(frozen=True, kw_only=True, repr=False)
class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, arXiv 1711.05101).

    w -= eta * weight_decay * w, then Adam's step.

    >>> AdamW(weight_decay=0.1).weight_decay
    0.1
    """

    weight_decay: float = 0.01
    kind: ClassVar[str] = "adamw"


@dataclass(frozen=True, kw_only=True, repr=False)
class RMSprop(Optimizer):
    """RMSprop (Tieleman and Hinton, Coursera lecture 6e, 2012), in PyTorch's form.

    v = rho v + (1 - rho) g^2 and u = g / (sqrt(v) + epsilon); w -= eta * u, or with momentum mu
    b = mu b + u and w -= eta * b. PyTorch calls rho ``alpha``.

    >>> RMSprop(0.01).rho
    0.99
    """

    learning_rate: Rates = field(default=0.01, kw_only=False)
    rho: float = 0.99
    epsilon: float = 1e-8
    momentum: float = 0.0
    kind: ClassVar[str] = "rmsprop"

    @property
    def slots(self) -> int:
        return 2 if self.momentum else 1


@dataclass(frozen=True, kw_only=True, repr=False)
class Adagrad(Optimizer):
    """Adagrad (Duchi, Hazan and Singer 2011): s += g^2, w -= eta * g / (sqrt(s) + epsilon).

    >>> Adagrad(0.1).slots
    1
    """

    learning_rate: Rates = field(default=0.01, kw_only=False)
    epsilon: float = 1e-10
    kind: ClassVar[str] = "adagrad"

    @property
    def slots(self) -> int:
        return 1


@dataclass(frozen=True, kw_only=True, repr=False)
class Lion(Optimizer):
    """Lion (Chen et al. 2023, arXiv 2302.06675, algorithm 2): steps of one size, in the direction of an average's sign.

    w -= eta * (sign(beta_1 m + (1 - beta_1) g) + weight_decay * w), then m = beta_2 m + (1 - beta_2) g. It keeps one
    number a parameter, where Adam keeps two. Its authors use rates three to ten times smaller than AdamW's, and decays
    as many times larger.

    >>> Lion(1e-4, weight_decay=0.1).slots
    1
    """

    learning_rate: Rates = field(default=1e-4, kw_only=False)
    beta_1: float = 0.9
    beta_2: float = 0.99
    kind: ClassVar[str] = "lion"

    @property
    def slots(self) -> int:
        return 1


@dataclass(frozen=True, kw_only=True, repr=False)
class PassiveAggressive(Optimizer):
    """Passive-aggressive steps (Crammer et al. 2006), for networks without a hidden layer and hinge or
    epsilon_insensitive.

    A row x whose output costs c moves that output's weights by tau * x in the direction that lowers the cost, and its
    bias by tau. tau = min(eta, c / |x|^2) (PA-I: no step where x is 0), or with ``squared``
    tau = c / (|x|^2 + 1 / (2 * eta)) (PA-II): eta is what Crammer et al. call C. A mini-batch takes the mean over its
    rows. Penalties act with the rate eta.

    >>> PassiveAggressive(0.5)
    PassiveAggressive(0.5)
    """

    learning_rate: Rates = field(default=1.0, kw_only=False)
    squared: bool = False
    kind: ClassVar[str] = "passive_aggressive"
    losses: ClassVar[tuple[str, ...]] = tuple(name for name, loss in LOSSES.items() if loss.passive_aggressive)
