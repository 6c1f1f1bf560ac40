"""One epoch as each library does it best, from the same start. Every runner is a function that returns the mean cost.

Each runner copies the initial weights before it begins and gathers its mini-batches by index, in the same order. What
is compiled is compiled in the first run, which is not timed.
"""
from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable
from functools import partial

import numpy as np

from bench.cases import Start
from fastsgd.engine import _kernel, reference
from fastsgd.engine.machine import cores
from fastsgd.engine.step_model import choose_threads_of_step
from fastsgd.interop import to_torch
from fastsgd.optimizers import StepConfig

Runner = Callable[[], float]


def fastsgd(start: Start, threads: int | None = None, backend: str = "auto", module=_kernel) -> Runner:
    """What ``fastsgd.train`` calls once an epoch, on its default number of threads."""
    net, case = start.net, start.case
    adapts = threads is None
    threads = choose_threads_of_step(threads, net.architecture, case.batch_size, net.params.itemsize)
    rates = case.optimizer.learning_rates(0, start.steps)
    recipe = StepConfig(case.optimizer, case.batch_size, backend=backend)

    def run() -> float:
        params = net.copy().params
        state = case.optimizer.state(params)
        module.train_epoch(net.architecture, params, start.X, start.y, start.order, recipe, state, rates,
                           threads=threads, adapts=adapts)
        return state.cost / len(start.X)
    return run


def describe_plan(start: Start, threads: int) -> dict:
    """What is chosen for that pass."""
    net, case = start.net, start.case
    return _kernel.describe_plan(net.architecture, net.copy().params, start.X, start.y, start.order,
                                 StepConfig(case.optimizer, case.batch_size), case.optimizer.state(net.params),
                                 case.optimizer.learning_rates(0, start.steps), threads)


def numpy_reference(start: Start) -> Runner:
    """The same in NumPy, on its own BLAS and threads."""
    return fastsgd(start, module=reference)


def scikit_learn(start: Start) -> Runner:
    """MLPClassifier or MLPRegressor continued for one epoch from given weights; float32, no penalty."""
    from sklearn.neural_network import MLPClassifier, MLPRegressor, _multilayer_perceptron

    net, case = start.net, start.case
    X, y = start.X, start.y.reshape(len(start.X))
    of_kind = MLPClassifier if start.y.ndim == 1 else MLPRegressor
    model = of_kind(hidden_layer_sizes=case.sizes[1:-1], solver=case.optimizer.kind, alpha=0.0, max_iter=1,
                    batch_size=case.batch_size, learning_rate_init=case.optimizer.learning_rate, momentum=0.0,
                    nesterovs_momentum=False, warm_start=True, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        few = np.arange(32)
        if of_kind is MLPClassifier:                  # one row of each class
            few = np.concatenate([np.flatnonzero(y == label)[:1] for label in range(case.sizes[-1])])
        model.set_params(batch_size="auto").fit(X[few], y[few])
        model.set_params(batch_size=case.batch_size)

    def run() -> float:
        model.coefs_ = [W.copy() for W in net.weights]
        model.intercepts_ = [b.copy() for b in net.biases]
        if hasattr(model, "_optimizer"):
            del model._optimizer                      # its moments belong to the last run
        shuffle = _multilayer_perceptron.shuffle
        _multilayer_perceptron.shuffle = lambda *_, **__: start.order
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model.fit(X, y)
        finally:
            _multilayer_perceptron.shuffle = shuffle
        return model.loss_
    return run


def pytorch(start: Start, threads: int, compiled: bool = False) -> Runner:
    """Eager or through torch.compile, with the fused optimizer."""
    import torch

    net, case = start.net, start.case
    torch.set_num_threads(threads)
    model = to_torch(net, output_activation=False)
    initial = {name: value.clone() for name, value in model.state_dict().items()}
    X, order = torch.from_numpy(start.X), torch.from_numpy(start.order)
    y = torch.from_numpy(start.y.astype(np.int64) if start.y.ndim == 1 else start.y)

    def loss_of(rows, targets):
        if targets.ndim == 1:
            return torch.nn.functional.cross_entropy(model(rows), targets)
        return ((model(rows) - targets) ** 2).sum() / (2 * len(rows))    # ours: half the squared error

    step = loss_of
    if compiled:
        torch._dynamo.reset()         # the cases before would count as recompilations, of which there is a limit
        torch._dynamo.config.recompile_limit = 64
        step = torch.compile(loss_of, dynamic=False)
    kind = torch.optim.Adam if case.optimizer.kind == "adam" else torch.optim.SGD

    def run() -> float:
        torch.set_num_threads(threads)
        model.load_state_dict(initial)
        optimizer = kind(model.parameters(), lr=case.optimizer.learning_rate, fused=True)
        total = torch.zeros(())
        for rows in order.split(case.batch_size):
            optimizer.zero_grad()
            loss = step(X[rows], y[rows])
            loss.backward()
            optimizer.step()
            total += loss.detach() * len(rows)
        return total.item() / len(X)
    return run


def jax(start: Start) -> Runner:
    """The whole epoch as one jitted scan over the mini-batches, the short last one after it."""
    import jax
    import jax.numpy as jnp

    net, case = start.net, start.case
    rate, full = case.optimizer.learning_rate, len(start.X) // case.batch_size
    initial = [(jnp.asarray(W), jnp.asarray(b)) for W, b in zip(net.weights, net.biases, strict=True)]
    X, y = jnp.asarray(start.X), jnp.asarray(start.y)
    batches = jnp.asarray(start.order[:full * case.batch_size].reshape(full, case.batch_size))
    rest = jnp.asarray(start.order[full * case.batch_size:])

    def cost_of(params, rows, targets):
        a = rows
        for W, b in params[:-1]:
            a = jax.nn.relu(a @ W + b)
        z = a @ params[-1][0] + params[-1][1]
        if targets.ndim == 1:
            return -jnp.take_along_axis(jax.nn.log_softmax(z), targets[:, None], axis=1).mean()
        return ((z - targets) ** 2).sum() / (2 * len(targets))

    def step(X, y, state, rows):
        params, moments, t = state
        cost, gradient = jax.value_and_grad(cost_of)(params, X[rows], y[rows])
        if case.optimizer.kind == "sgd":
            params = jax.tree.map(lambda w, g: w - rate * g, params, gradient)
        else:
            a = case.optimizer
            t = t + 1
            m = jax.tree.map(lambda m, g: a.beta_1 * m + (1 - a.beta_1) * g, moments[0], gradient)
            v = jax.tree.map(lambda v, g: a.beta_2 * v + (1 - a.beta_2) * g * g, moments[1], gradient)
            params = jax.tree.map(lambda w, m, v: w - rate * (m / (1 - a.beta_1 ** t))
                                  / (jnp.sqrt(v / (1 - a.beta_2 ** t)) + a.epsilon), params, m, v)
            moments = m, v
        return (params, moments, t), cost * len(rows)

    @jax.jit
    def epoch(params, X, y, batches, rest):
        zeros = jax.tree.map(jnp.zeros_like, params)
        state, costs = jax.lax.scan(partial(step, X, y), (params, (zeros, zeros), jnp.float32(0)), batches)
        total = costs.sum()
        if len(rest):
            state, cost = step(X, y, state, rest)
            total += cost
        return state[0], total

    def run() -> float:
        params, total = epoch(initial, X, y, batches, rest)
        jax.block_until_ready(params)
        return float(total) / len(X)
    return run


def all_runners(start: Start, only: str = "") -> dict[str, Runner]:
    """Every runner whose library is installed, fastsgd's first."""
    def has(module: str) -> bool:
        return importlib.util.find_spec(module) is not None

    makers: dict[str, Callable[[], Runner]] = {"fastsgd": lambda: fastsgd(start),
                                               "fastsgd, 1 thread": lambda: fastsgd(start, 1),
                                               "NumPy": lambda: numpy_reference(start)}
    if has("sklearn"):
        makers["scikit-learn"] = lambda: scikit_learn(start)
    if has("torch"):
        for threads in sorted({1, cores()}):
            makers[f"PyTorch eager, {threads}"] = lambda t=threads: pytorch(start, t)
        makers["torch.compile"] = lambda: pytorch(start, cores(), compiled=True)
    if has("jax"):
        makers["JAX"] = lambda: jax(start)
    chosen = {name: maker for name, maker in makers.items()
              if name.startswith("fastsgd") or any(part in name for part in only.split(","))}
    return {name: maker() for name, maker in chosen.items()}
