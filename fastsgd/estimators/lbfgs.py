"""SciPy's L-BFGS-B over the fused full gradient."""
from __future__ import annotations

import numpy as np
import scipy.optimize

from fastsgd.data.checks import Csr
from fastsgd.network import checked
from fastsgd.network.network import Network
from fastsgd.optimizers import SGD


def minimise(net: Network, X: np.ndarray | Csr, y: np.ndarray, weight: np.ndarray | None, *, alpha: float,
             max_iter: int, max_fun: int, tol: float, threads: int | None) -> scipy.optimize.OptimizeResult:
    """Minimises a float64 network's mean cost and ``alpha / (2 n) sum(w^2)`` in place, n being the rows' total weight.

    The result has the second of these two as ``penalty`` too.

    X, y and weight are as ``checked.check`` returns them.
    """
    total = float(len(X)) if weight is None else float(weight.sum())
    gradient = np.empty_like(net.params)
    of_weights = np.zeros_like(net.params)               # 1 where a parameter is a weight
    for tensor in net.architecture.tensors:
        tensor.of(of_weights)[...] = tensor.role == "weight"
    penalty = SGD(alpha=alpha).regularization_cost

    def cost_and_gradient(params: np.ndarray) -> tuple[float, np.ndarray]:
        net.params[:] = params
        cost = checked.gradient(net, X, y, threads, weight, gradient)
        return cost + penalty(net.weights, total), gradient + alpha / total * of_weights * net.params

    result = scipy.optimize.minimize(cost_and_gradient, net.params.copy(), method="L-BFGS-B", jac=True,
                                     options={"maxfun": max_fun, "maxiter": max_iter, "gtol": tol})
    net.params[:] = result.x
    result.penalty = penalty(net.weights, total)
    return result
