"""What the callbacks of a fit ask of the estimator that is fitted."""
from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Protocol

from fastsgd.network.network import Network


class FittedEstimator(Protocol):
    """An estimator whose fitted attributes can be those of another network for a while."""

    early_stopping: bool

    def _showing(self, net: Network) -> AbstractContextManager[None]:
        """Within the context the fitted attributes are views of this network's arrays."""

    def _init_callback_context(self, *, max_subtasks: int) -> Any:
        """scikit-learn's context of a fit, from 1.9 on."""
