"""Optimizers as plain data: what to do with a gradient, not the doing of it.

An optimizer is a frozen dataclass. The kernel (and its NumPy reference) reads its fields and applies the
rule to each weight tile where the gradient is formed; the memory a rule needs between steps is a
:class:`State` that belongs to the training run, so one optimizer object can serve many networks.

In the formulas w is a parameter, g its gradient averaged over the mini-batch plus the penalties below,
and eta the learning rate. Every optimizer takes these penalties:

- ``weight_decay`` acts on every parameter, biases too, as in PyTorch: g gains ``weight_decay * w``
  (AdamW instead shrinks w by ``eta * weight_decay * w``, apart from the gradient).
- ``l2`` and ``l1`` act on weights only, as scikit-learn's ``alpha`` does: g gains ``l2 * w`` and
  ``l1 * sign(w)``, the derivatives of ``l2/2 * sum(w**2)`` and ``l1 * sum(abs(w))``.
- ``alpha`` is ``l2`` as MLPClassifier of scikit-learn means it: g gains ``alpha / n * w``, n being the rows of the
  mini-batch, or the sum of their weights.

Without momentum SGD shrinks w by the factor ``max(0, 1 - eta * (l2 + weight_decay))``, which never turns its sign.

Every optimizer also takes what acts around its rule:

- ``clip_value`` limits every entry of the mini-batch's gradient to [-clip_value, clip_value], or ``clip_norm`` its
  length: where it is longer, all of it is scaled down to that (Pascanu, Mikolov and Bengio 2013). Penalties come after.
- ``clip_delta`` limits the slope of every single cost, dC/dz of each output of each row, to [-clip_delta, clip_delta].
- ``max_norm`` limits the length of the weights into each unit of a hidden layer after each step (Srivastava 2014).
- ``average`` keeps a running average of the parameters, and training ends with it: below 1 the exponential one,
  a <- average * a + (1 - average) * w, begun as a plain mean so that it forgets where it started; 1 is the mean of the
  parameters after every step (Polyak and Juditsky 1992). It begins after ``average_from`` steps.
- ``bias_rate`` is what eta is multiplied by for biases; 0 keeps them as they are.
- ``groups`` gives some of the parameters a :class:`ParameterGroup` of factors: by role ("weight", "bias", "scale"), by
  the number of their layer, or by name ("weights.0"); where several apply, all of them multiply.

``learning_rate`` is a number, or a function from the step (0, 1, 2, ...) to a number such as those of
``fastsgd.schedules``; every other argument is given by its keyword. All are at least 0 and finite, and momentum,
beta_1, beta_2 and rho below 1: else a ValueError says so, or a TypeError for what is not a number.
"""
from fastsgd.optimizers.base import Optimizer, ParameterGroup, check_fits, check_optimizer, check_state
from fastsgd.optimizers.rules import SGD, Adagrad, Adam, AdamW, PassiveAggressive, RMSprop
from fastsgd.optimizers.state import State, aligned_zeros
from fastsgd.optimizers.step import StepConfig

__all__ = ["SGD", "Adagrad", "Adam", "AdamW", "Optimizer", "ParameterGroup", "PassiveAggressive", "RMSprop", "State",
           "StepConfig", "aligned_zeros", "check_fits", "check_optimizer", "check_state"]
