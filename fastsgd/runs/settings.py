"""What every training run may be asked for, checked: before anything is changed, and by name."""
from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

import numpy as np

from fastsgd.arguments import check_whole
from fastsgd.data.checks import Csr, check_fraction, check_rates, check_sample_weight, check_targets
from fastsgd.engine import _kernel, ensemble
from fastsgd.losses import LOSSES
from fastsgd.network import checked
from fastsgd.network.given import require_network
from fastsgd.network.network import Network
from fastsgd.optimizers import Optimizer, check_fits, check_optimizer
from fastsgd.runs.callback import as_callback
from fastsgd.runs.checkpoint import Checkpoint
from fastsgd.runs.evaluation import Evaluation, check_metrics

KERNELS = ("fused", "reference")


class Settings:
    """The arguments that :func:`fastsgd.train` and :func:`fastsgd.train_stream` share, checked and as attributes.

    ``validation`` becomes ``evaluation``, of rows, or ``fraction``, of rows that are still to be drawn.
    """

    def __init__(self, net: Network, *, optimizer: Optimizer, epochs: int, threads: int | None, validation=None,
                 metrics=(), evaluate_every: int | None = None, callbacks: Iterable = (), dropout=0.0,
                 label_smoothing: float = 0.0, accumulate: int = 1, weighted_steps: bool = False, checkpoint=None,
                 kernel: str = "fused", backend: str = "auto"):
        require_network(net)
        check_optimizer(optimizer)
        check_fits(optimizer, net.architecture)
        self.net, self.optimizer, self.threads = net, optimizer, threads
        self.epochs = check_whole("epochs", epochs, least=0)
        self.accumulate = check_whole("accumulate", accumulate, least=1)
        self.metrics = check_metrics(metrics, net)
        self.evaluate_every = None if evaluate_every is None else check_whole("evaluate_every", evaluate_every, least=1)
        if validation is None and (self.metrics or self.evaluate_every):
            asked = "metrics" if self.metrics else "evaluate_every"
            raise ValueError(f"{asked} needs validation rows; give validation=")
        self.fraction: float | None = None
        self.evaluation: Evaluation | None = None
        if isinstance(validation, int | float | np.floating):
            check_fraction(validation, "validation")
            self.fraction = float(validation)
        elif validation is not None:
            X, y, weight = _check_validation(net, validation)
            self.evaluation = Evaluation(net, X, y, weight, metrics=self.metrics, threads=threads,
                                         metric_targets=self.metric_targets(validation[1], len(X)))
        self.dropout = net.architecture.for_each_layer(check_rates(dropout, net.architecture.hidden))
        check_fraction(label_smoothing, "label_smoothing", least_included=True)
        if label_smoothing and not net.architecture.loss_type.targets.probabilities:
            allowed = [name for name, loss in LOSSES.items() if loss.targets.probabilities]
            raise ValueError(f"label_smoothing is for classifiers with {' or '.join(allowed)}; this network has "
                             f"{net.loss}")
        self.label_smoothing = float(label_smoothing)
        if not isinstance(weighted_steps, bool):
            raise TypeError(f"weighted_steps must be True or False, got {weighted_steps!r}")
        self.weighted_steps = weighted_steps
        if kernel not in KERNELS:
            raise ValueError(f"kernel must be 'fused' or 'reference', got {kernel!r}")
        if backend not in _kernel.BACKENDS:
            raise ValueError(f"backend must be one of {', '.join(_kernel.BACKENDS)}, got {backend!r}")
        self.kernel, self.backend = kernel, backend
        if not isinstance(callbacks, Iterable):
            raise TypeError(f"callbacks must be a sequence of callbacks, got {callbacks!r}")
        self.callbacks = [as_callback(callback) for callback in callbacks]
        self.checkpoint = Checkpoint.checked(checkpoint)

    def metric_targets(self, y, rows: int) -> np.ndarray | None:
        """Targets for metrics in the unit they were given in, where the network learns them in another."""
        if not (self.metrics and self.net.architecture.scales_output):
            return None
        architecture = self.net.architecture.with_output(1.0, 0.0)
        return check_targets(y, rows, architecture, self.net.dtype, "validation y")

    @property
    def train_epoch(self) -> Callable:
        """The engine's function for a pass over rows."""
        if self.kernel == "fused":
            return ensemble.train_epoch
        from fastsgd.engine import reference
        return partial(ensemble.train_epoch, kernel=reference)


def _check_validation(net: Network, validation) -> tuple[np.ndarray | Csr, np.ndarray, np.ndarray | None]:
    if not isinstance(validation, tuple | list) or len(validation) not in (2, 3):
        raise TypeError("validation must be a pair (X, y), three (X, y, sample_weight), a fraction of the rows or "
                        f"None, got {type(validation).__name__}")
    X, y, *weight = validation
    X, y = checked.check(net, X, y, prefix="validation ")
    return X, y, check_sample_weight(weight[0] if weight else None, len(X), "validation sample_weight")
