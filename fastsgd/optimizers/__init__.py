"""Optimizers as plain data: what to do with a gradient, not the doing of it.

An optimizer is a frozen dataclass. The kernel (and its NumPy reference) reads its fields and applies the
rule to each weight tile where the gradient is formed; the memory a rule needs between steps is a
:class:`State` that belongs to the training run, so one optimizer object can serve many networks.

In the formulas w is a parameter, g its gradient averaged over the mini-batch plus the penalties, and eta the learning
rate. The options that all optimizers share, penalties, limits and averages, stand in the help of each.

Without momentum SGD shrinks w by the factor ``max(0, 1 - eta * (l2 + weight_decay))``, which never turns its sign.
momentum, beta_1, beta_2 and rho are below 1. ValueError or TypeError say what cannot be used.
"""
from fastsgd.optimizers.base import (  # noqa: F401 (what is not in __all__ is for other rooms)
    Optimizer,
    ParameterGroup,
    Rates,
    check_fits,
    check_optimizer,
    check_state,
    over,
)
from fastsgd.optimizers.rules import (
    SGD,
    Adagrad,
    Adam,
    AdamW,
    Lion,
    Muon,
    NAdamW,
    PassiveAggressive,
    RMSprop,
    ScheduleFreeAdamW,
)
from fastsgd.optimizers.state import CARRIED, State, aligned_zeros  # noqa: F401
from fastsgd.optimizers.step import StepConfig  # noqa: F401

__all__ = ["SGD", "Adagrad", "Adam", "AdamW", "Lion", "Muon", "NAdamW", "Optimizer", "ParameterGroup",
           "PassiveAggressive", "RMSprop", "ScheduleFreeAdamW", "State"]
