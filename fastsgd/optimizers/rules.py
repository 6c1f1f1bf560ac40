"""The optimizers' rules: a frozen dataclass each, whose docstring has the formula."""
from __future__ import annotations

import decimal
from dataclasses import dataclass, field
from functools import lru_cache
from typing import ClassVar

import numpy as np

from fastsgd.deprecation import renamed_fields
from fastsgd.layers import Tensor
from fastsgd.losses import LOSSES
from fastsgd.model.architecture import Architecture
from fastsgd.optimizers.base import Factors, Optimizer, Rates
from fastsgd.optimizers.state import State


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
    decoupled: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True, repr=False)
class NAdamW(AdamW):
    """AdamW with Nesterov momentum (Dozat 2016), as PyTorch's NAdam with decoupled_weight_decay.

    With mu_t = beta_1 (1 - 0.5 * 0.96^(t * momentum_decay)) and P_t = mu_1 mu_2 .. mu_t, and m and v as in Adam, step t
    shrinks w as AdamW does, and then w -= eta * (mu_(t+1) m / (1 - P_(t+1)) + (1 - mu_t) g / (1 - P_t)) /
    (sqrt(v / (1 - beta_2^t)) + epsilon). mu rises from beta_1 / 2 to beta_1; with a momentum_decay of 0.004 it is
    0.97 beta_1 after 17,000 steps.

    >>> NAdamW(0.003, momentum_decay=0.01).beta_1
    0.9
    """

    learning_rate: Rates = field(default=0.002, kw_only=False)
    momentum_decay: float = 0.004
    kind: ClassVar[str] = "nadamw"

    @property
    def mu_decay(self) -> float:
        """0.96^momentum_decay, whose power t is in mu_t."""
        return _power_of_0_96(self.momentum_decay)


@lru_cache
def _power_of_0_96(exponent: float) -> float:
    """e^(exponent * ln 0.96) in decimals, which come out the same on every system."""
    decimals = decimal.Context(prec=50)
    return float(decimals.exp(decimals.multiply(decimal.Decimal(exponent), decimals.ln(decimal.Decimal("0.96")))))


@dataclass(frozen=True, kw_only=True, repr=False)
class ScheduleFreeAdamW(Optimizer):
    """AdamW whose average takes the place of a schedule (Defazio et al. 2024, arXiv 2405.15682, algorithm 1).

    The gradient g is taken at y = beta_1 x + (1 - beta_1) z, of which z makes the steps and x is the average. With v as
    in Adam and gamma = eta * sqrt(1 - beta_2^t), step t has z -= gamma * (g / (sqrt(v) + epsilon) + weight_decay * y),
    then x += c * (z - x), where c = gamma^2 / (the sum of gamma^2 over all steps).

    A network that is being trained has y as its parameters; validation, checkpoints and the network that ``train``
    leaves have x. ``Network.step`` leaves y. The learning rate needs no schedule but a rise, such as
    ``schedules.WarmUp(100, 0.0025)``. ``average`` and ``max_norm`` are refused with a ValueError.

    >>> ScheduleFreeAdamW(0.0025, beta_1=0.95).averages
    True
    """

    learning_rate: Rates = field(default=0.0025, kw_only=False)
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    kind: ClassVar[str] = "schedule_free_adamw"
    decoupled: ClassVar[bool] = True

    def __post_init__(self):
        super().__post_init__()
        if self.average is not None:
            raise ValueError(f"average must be None, got {self.average!r}: ScheduleFreeAdamW has its own")
        if self.max_norm is not None:
            raise ValueError(f"max_norm must be None, got {self.max_norm!r}: ScheduleFreeAdamW makes its parameters "
                             "anew of others in each step")

    @property
    def slots(self) -> int:
        return 2

    @property
    def averages(self) -> bool:
        return True

    def memory(self, state: State) -> list[np.ndarray]:
        assert state.average is not None
        return [*state.slots, state.average]

    def state(self, params: np.ndarray) -> State:
        state = super().state(params)
        state.slots[0] = params
        return state


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
    decoupled: ClassVar[bool] = True

    @property
    def slots(self) -> int:
        return 1


@dataclass(frozen=True, kw_only=True, repr=False)
class Muon(AdamW):
    """Muon (Jordan 2024, https://kellerjordan.github.io/posts/muon): steps along matrices that are nearly orthogonal.

    It changes the weights of every dense layer but the last; AdamW changes all else, with beta_1, beta_2 and epsilon,
    as Gorishniy et al. (2026, arXiv 2604.15297) train networks on tables. With momentum mu: m = mu * m + g, and
    u = g + mu * m with ``nesterov``, else u = m. Five steps of Newton and Schulz lead from x = u / max(|u|, 1e-7) to
    the direction O: x = x (3.4445 - 4.775 G + 2.0315 G^2) with G = x^T x. Its singular vectors are those of u, and its
    singular values are 0.68 to 1.21 where those of the first x are above 0.002. Then
    w -= eta * (c * O + weight_decay * w).

    With ``scale="rms"`` c is 0.2 * sqrt(max(inputs, outputs)) (Liu et al. 2025, arXiv 2502.16982): the root mean square
    of a step is then 0.2 eta, as it mostly is with Adam, so that AdamW's learning rates and decays suit both parts.
    With "original" c is sqrt(max(1, outputs / inputs)), Jordan's, whose rates are about 0.02. The rate of AdamW's part
    is ``adam_rate`` times eta.

    For n inputs and outputs and B rows in a mini-batch, O takes 3.3 n / B times the operations of the layer's products.

    >>> Muon(0.002, weight_decay=0.1)
    Muon(0.002, weight_decay=0.1)
    """

    momentum: float = 0.95
    nesterov: bool = True
    scale: str = "rms"
    adam_rate: float = 1.0
    kind: ClassVar[str] = "muon"

    def rule_of(self, tensor: Tensor, architecture: Architecture) -> str:
        hidden = tensor.role == "weight" and tensor.layer < len(architecture.layers) - 1
        return self.kind if hidden else AdamW.kind

    def factors(self, tensor: Tensor, architecture: Architecture) -> Factors:
        factors = super().factors(tensor, architecture)
        return factors if self.rule_of(tensor, architecture) == self.kind else factors._replace(
            rate=self.adam_rate * factors.rate)


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
