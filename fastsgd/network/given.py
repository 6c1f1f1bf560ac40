"""Functions that take a network also take a fitted estimator, and use its network."""
from __future__ import annotations

from typing import Any

from fastsgd.network.network import Network

THEIRS = ("MLPClassifier", "MLPRegressor", "SGDClassifier", "SGDRegressor")      # as scikit-learn calls them, too


def as_network(net: Any, name: str = "net") -> Network:
    """The network, or that of a fitted estimator.

    TypeError for anything else, and scikit-learn's NotFittedError.

    >>> as_network(Network([4, 8, 3], seed=0))
    Network([4, 8, 3], activation='relu', loss='cross_entropy', dtype='float32')
    >>> as_network(5)
    Traceback (most recent call last):
    ...
    TypeError: net must be a fastsgd.Network or a fitted estimator of fastsgd, got int
    """
    if isinstance(net, Network):
        return net
    if is_estimator(net):
        return net.network_
    raise TypeError(f"{name} must be a fastsgd.Network or a fitted estimator of fastsgd, got {_described(net)}")


def as_network_and_rows(net: Any, X: Any, y: Any) -> tuple[Network, Any, Any]:
    """The network, and X and y as it takes them: of an estimator, y in its own classes or targets is encoded."""
    found = as_network(net)
    return (found, X, y) if found is net else (found, *net._for_network(X, y))


def classes_of(net: Any) -> list | None:
    """The classes of an estimator that has such."""
    return None if isinstance(net, Network) or not hasattr(net, "classes_") else net.classes_.tolist()


def require_network(net: Any, name: str = "net") -> None:
    """TypeError for anything but a Network, where estimators have a way of their own."""
    if is_estimator(net):
        raise TypeError(f"{name} must be a fastsgd.Network, got {type(net).__name__}, which is trained by its fit or "
                        "partial_fit; its network_ can be trained by itself, with y as a network takes it: classes as "
                        "numbers from 0")
    if not isinstance(net, Network):
        raise TypeError(f"{name} must be a fastsgd.Network, got {_described(net)}")


def is_estimator(net: Any) -> bool:
    """Whether it is one of fastsgd's estimators, fitted or not."""
    return hasattr(type(net), "network_")


def _described(net: Any) -> str:
    """The type of what was given and, where it holds or could become a network, how to get at that."""
    name = net.__name__ if isinstance(net, type) else type(net).__name__
    if isinstance(net, type):
        return f"the class {name}"
    if hasattr(net, "best_estimator_"):
        return f"{name}; give its best_estimator_"
    if hasattr(net, "steps"):
        return f"{name}; give its last step, with X as the steps before it transform it"
    if name in THEIRS and type(net).__module__.startswith("sklearn."):
        return f"scikit-learn's {name}; fastsgd.interop.from_sklearn makes it fastsgd's"
    return name


def require_result(found: Any, name: str, attribute: str, source: str) -> None:
    """TypeError for what has no such attribute and so is not what ``source`` returns."""
    if not hasattr(found, attribute):
        raise TypeError(f"{name} must be what {source} returns, got {type(found).__name__}")
