"""A network as PyTorch modules, and modules as a network."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from fastsgd import layers as kinds
from fastsgd.deprecation import keyword_only
from fastsgd.interop.layers import Layer, Other, arrays_of, network_of, third_party, unit_of_targets
from fastsgd.losses import Loss
from fastsgd.network.given import as_network
from fastsgd.network.network import Network

ELEMENTWISE: dict[str, tuple[str, dict]] = {      # the activation that a module is, and what its arguments must then be
    "ReLU": ("relu", {}), "LeakyReLU": ("leaky_relu", {"negative_slope": 0.01}), "ELU": ("elu", {"alpha": 1.0}),
    "GELU": ("gelu", {"approximate": "none"}), "SiLU": ("silu", {}), "Sigmoid": ("logistic", {}), "Tanh": ("tanh", {}),
    "Softplus": ("softplus", {"beta": 1.0}), "SELU": ("selu", {}), "Mish": ("mish", {}),
    "Hardsigmoid": ("hard_sigmoid", {}), "Hardswish": ("hard_swish", {}), "ReLU6": ("relu6", {}),
    "Hardtanh": ("hard_tanh", {"min_val": -1.0, "max_val": 1.0}),
    "CELU": ("elu", {"alpha": 1.0}),
}
WITHOUT_FUNCTION = ("layer_norm", "batch_norm", "add")       # an activation may follow, which becomes a layer
STRAIGHT_FROM = 15      # Softplus is z itself above a threshold; from here on that is 2e-8 of it


@keyword_only
def to_torch(net: Network | Any, *, output_activation: bool = True) -> Any:
    """The network as a ``torch.nn.Sequential`` in evaluation mode, with copies of the parameters, of the same dtype.

    It has a Linear per dense layer and a module per activation; where the network scales its input, a ``ScaleInput``
    comes first, and where it scales its output, a ``ScaleOutput`` last. Layers of other kinds become LayerNorm,
    BatchNorm1d or modules of our own, ``Scale``, ``ParametricActivation`` and ``Residual``. ``state_dict``,
    ``torch.jit.script`` and further training work as with any other module.

    ``output_activation=False`` leaves the last activation out, as torch's losses want it: CrossEntropyLoss takes
    what is before the softmax, BCEWithLogitsLoss what is before the logistic function, PoissonNLLLoss before exp.

    Columns of a table become a module of our own, ``Columns``, with an ``Embedding`` for categories of many levels; a
    code that its column has not counts as unknown, as -1 does. Members lie along a first axis, with parameters of our
    own modules for each, and the last module takes the mean of their predictions; with ``output_activation=False``
    there is none, and what comes is (members, rows, outputs). :func:`from_torch` reads neither back.

    Of a fitted estimator it is the network alone, ``estimator.network_``: probabilities of the classes in the order of
    ``classes_``, of the second one alone where there are two, and with more than two of SGDClassifier's each by itself,
    before they are divided by their sum. Labels are not part of it.

    Raises ImportError without PyTorch, TypeError for what is neither network nor estimator, and scikit-learn's
    NotFittedError.

    >>> import fastsgd
    >>> to_torch(fastsgd.Network([4, 8, 3], seed=0))
    Sequential(
      (0): Linear(in_features=4, out_features=8, bias=True)
      (1): ReLU()
      (2): Linear(in_features=8, out_features=3, bias=True)
      (3): Softmax(dim=1)
    )
    """
    net = as_network(net)
    net = net.folded(("scale", "batch_norm") if net.architecture.networks > 1 else ("scale",))
    torch = third_party("torch")
    from fastsgd.interop.torch_own import (
        Exp,
        MeanAndDeviation,
        ParametricActivation,
        Residual,
        Scale,
        ScaleInput,
        ScaleOutput,
        Sorted,
    )
    from fastsgd.interop.torch_tables import (
        AdaptedLinear,
        MeanOfMembers,
        MemberBatchNorm,
        MemberLinear,
        MemberNorm,
        columns,
    )
    nn = torch.nn
    architecture = net.architecture
    members, apart = architecture.members, architecture.networks > 1
    made = {
        "identity": nn.Identity,
        "logistic": nn.Sigmoid, "tanh": nn.Tanh, "relu": nn.ReLU, "leaky_relu": nn.LeakyReLU, "elu": nn.ELU,
        "gelu": nn.GELU, "silu": nn.SiLU, "selu": nn.SELU, "mish": nn.Mish, "hard_sigmoid": nn.Hardsigmoid,
        "hard_swish": nn.Hardswish, "hard_tanh": nn.Hardtanh, "relu6": nn.ReLU6, "exp": Exp,
        "softplus": lambda: nn.Softplus(threshold=40),       # beyond 20, its own, a float64 would lose digits
        "softmax": lambda: nn.Softmax(dim=1 if members == 1 else 2), "sorted": Sorted,
        "mean_and_deviation": MeanAndDeviation,
    }

    def tensors(*given):
        return (torch.from_numpy(np.array(values, net.dtype)) for values in given)

    def filled(module, weight, bias):
        with torch.no_grad():
            module.weight.copy_(torch.from_numpy(weight))
            module.bias.copy_(torch.from_numpy(bias))
        return module

    def modules_of(layer, arrays) -> list:
        if layer.kind == "columns":
            return [columns(layer, arrays, net.dtype, architecture.networks)]
        own = [made[layer.activation]()] if layer.activation != "identity" else []
        if layer.kind == "adapted_dense":
            W, r, *s, b = tensors(*arrays)
            return [AdaptedLinear(W, r, s[0] if s else None, b), *own]
        if layer.kind == "member_dense" or (layer.kind == "dense" and apart):
            return [MemberLinear(*tensors(*arrays)), *own]
        if apart:
            arrays = [array[:, np.newaxis] for array in arrays]
            if layer.kind == "layer_norm":
                gain, shift = tensors(*arrays)
                return [MemberNorm(gain, shift, layer.epsilon)]
            if layer.kind == "batch_norm":
                return [MemberBatchNorm(layer.epsilon, *tensors(*arrays))]
        if layer.kind == "dense":
            # Without the random weights that Linear begins with, which would move the caller's generator.
            linear = nn.utils.skip_init(nn.Linear, *arrays[0].shape, dtype=getattr(torch, str(net.dtype)))
            return [filled(linear, arrays[0].T, arrays[1]), *own]
        if layer.kind == "layer_norm":
            return [filled(nn.LayerNorm(layer.inputs, layer.epsilon, dtype=getattr(torch, str(net.dtype))), *arrays)]
        if layer.kind == "batch_norm":
            gain, shift, mean, variance = tensors(*arrays)
            norm = nn.BatchNorm1d(layer.inputs, layer.epsilon, layer.momentum, dtype=getattr(torch, str(net.dtype)))
            for name, values in (("running_mean", mean), ("running_var", variance)):
                getattr(norm, name).copy_(values)
            return [filled(norm, *arrays[:2])]
        if layer.kind == "parametric_activation":
            return [ParametricActivation(made[layer.function](), *tensors(*arrays))]
        return [Scale(*tensors(*arrays))]

    parts: list[list] = []                      # the modules of each layer, a block's with the last of them
    for number, (layer, arrays) in enumerate(zip(net.layers, architecture.arrays(net.params), strict=True)):
        if number in architecture.skips:
            first = architecture.skips[number]
            block = [module for part in parts[first:] for module in part]
            parts[first:] = [*([[]] * (number - first)), [Residual(nn.Sequential(*block))]]
        else:
            parts.append(modules_of(layer, arrays))
    modules = [module for part in parts for module in part]
    if architecture.scales_input:
        modules.insert(0, ScaleInput(*tensors(architecture.input_scale, architecture.input_offset)))
    if not output_activation and architecture.activations[-1] != "identity":
        modules.pop()
        if architecture.scales_output and architecture.activations[-1] == "mean_and_deviation":
            raise ValueError("output_activation=False leaves logarithms of deviations, which cannot be scaled: set "
                             "net.output_scale to 1 and net.output_offset to 0")
    if architecture.scales_output:
        modules.append(ScaleOutput(*tensors(*architecture.unit_of_outputs)))
    if members > 1 and output_activation:
        modules.append(MeanOfMembers())
    return nn.Sequential(*modules).eval()


def from_torch(module, loss: str | Loss | None = None) -> Network:
    """The network that a PyTorch module computes in evaluation mode, with copies of its parameters.

    Parameters
    ----------
    module : torch.nn.Module
        A Linear, or Sequentials, nested or not, of Linear (float32 or float64, with or without bias), ReLU, LeakyReLU
        (slope 0.01), ELU and CELU (alpha 1), GELU (exact), SiLU, Softplus (beta 1), SELU, Mish, Hardsigmoid,
        Hardswish, ReLU6, Hardtanh (-1 to 1), Sigmoid, Tanh, LayerNorm over the columns, BatchNorm1d, and
        at the end Softmax over them; and to_torch's own modules. An activation that follows a norm becomes a
        ``ParametricActivation`` that keeps its weights of 1. Learning-rate factors are the layers' defaults. Identity,
        Dropout and Flatten are passed over.
    loss : str or Loss, optional
        The network's loss. Without it the last activation decides: Softmax cross_entropy, Sigmoid
        binary_cross_entropy, Tanh and none squared_error. A module that ends without an activation is taken for what
        the loss' own output activation is applied to, as in torch's losses: with loss="cross_entropy", ``predict``
        gives the softmax of what the module gives.

    Raises
    ------
    ValueError
        For any other module, naming it; ImportError without PyTorch.

    Examples
    --------
    >>> from torch import nn
    >>> from_torch(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)), loss="cross_entropy")
    Network([4, 8, 3], activation='relu', loss='cross_entropy', dtype='float32')
    """
    torch = third_party("torch")
    from fastsgd.interop.torch_own import (
        Exp,
        MeanAndDeviation,
        ParametricActivation,
        Residual,
        Scale,
        ScaleInput,
        ScaleOutput,
        Sorted,
    )
    nn = torch.nn
    own = {Exp: "exp", Sorted: "sorted", MeanAndDeviation: "mean_and_deviation"}
    elementwise = [*(getattr(nn, name) for name in ELEMENTWISE), *own]
    layers: list[Layer | Other] = []
    starts: list[int] = []                      # of the blocks that are open
    scaling: dict[str, np.ndarray] = {}
    complete = True                             # no layer is waiting for its activation
    for where, part in _parts(nn, Residual, module, "module"):
        if part == "begin":
            starts.append(len(layers))
            complete = True
        elif part == "end":
            if len(layers) == starts[-1]:
                raise ValueError(f"{where} has no layer")
            layers.append(Other(kinds.Add(len(layers) - starts.pop())))
            complete = True
        elif "output_scale" in scaling:
            raise ValueError(f"{where} follows a ScaleOutput, which must come last")
        elif _is(part, nn.Linear):
            W = _array(part.weight, where).T
            layers.append(Layer(W, np.zeros(W.shape[1], W.dtype) if part.bias is None else _array(part.bias, where)))
            complete = False
        elif _is(part, nn.LayerNorm) and len(part.normalized_shape) == 1 and part.bias is not None:
            layers.append(Other(kinds.LayerNorm(part.eps), (_array(part.weight, where), _array(part.bias, where))))
            complete = True
        elif _is(part, nn.BatchNorm1d) and part.affine and part.track_running_stats and part.momentum:
            arrays = (part.weight, part.bias, part.running_mean, part.running_var)
            norm = kinds.BatchNorm(part.eps, part.momentum)
            layers.append(Other(norm, tuple(_array(each, where) for each in arrays)))
            complete = True
        elif _is(part, ParametricActivation):
            name = _activation(nn, part.function) if _is(part.function, nn.Identity, *elementwise) else None
            if name not in kinds.ACTIVATIONS:
                raise ValueError(f"{where} has a function for which fastsgd has no activation")
            layers.append(Other(kinds.ParametricActivation(name), (_array(part.weight, where),)))
            complete = True
        elif _is(part, Scale):
            layers.append(Other(kinds.Scale(), (_array(part.weight, where),)))
            complete = True
        elif _is(part, *elementwise, nn.Softmax):
            name = own.get(type(part)) or _activation(nn, part)
            last = layers[-1] if layers else None
            if name is None:
                raise ValueError(f"{where} has arguments for which fastsgd has no activation")
            if isinstance(last, Other) and last.kind.kind in WITHOUT_FUNCTION and name in kinds.ACTIVATIONS:
                layers.append(_fixed(name, layers))
            elif complete or not isinstance(last, Layer):
                raise ValueError(f"{where} must follow a Linear, which has one activation")
            else:
                layers[-1] = replace(last, activation=name)
            complete = True
        elif _is(part, ScaleInput) and (bool(layers) == isinstance(part, ScaleOutput)) and (layers or not scaling):
            prefix = "output" if layers else "input"
            scaling |= {f"{prefix}_{name}": _array(values, where).reshape(-1) for name, values in part.named_buffers()}
        elif not (_is(part, nn.Identity, nn.Dropout)
                  or (_is(part, nn.Flatten) and (part.start_dim, part.end_dim) == (1, -1))):
            raise ValueError(f"{where} is not part of a chain of dense layers; allowed are Sequential, Linear, "
                             f"{', '.join(ELEMENTWISE)}, Softmax, LayerNorm of the columns with weight and bias, "
                             "BatchNorm1d with weight, bias and running figures, "
                             "Identity, Dropout, Flatten, and to_torch's own Exp, Sorted, MeanAndDeviation, Scale, "
                             "ParametricActivation, Residual, ScaleInput and ScaleOutput")
    if "output_scale" in scaling and isinstance(layers[-1], Layer):
        scaling |= unit_of_targets(layers[-1].activation, scaling["output_scale"], scaling["output_offset"])
    return network_of(layers, loss, **scaling)


def _fixed(name: str, layers: list[Layer | Other]) -> Other:
    """An activation that is no dense layer's."""
    before = next(array for layer in reversed(layers) for array in reversed(arrays_of(layer)))
    return Other(kinds.ParametricActivation(name, 0.0), (np.ones_like(before),))


def _activation(nn, part) -> str | None:
    """The activation that a module is, None where its arguments make it another."""
    if _is(part, nn.Softmax):
        return "softmax" if part.dim in (1, -1) else None
    if _is(part, nn.Identity):
        return "identity"
    for kind, (name, arguments) in ELEMENTWISE.items():
        if _is(part, getattr(nn, kind)):
            same = all(getattr(part, key) == value for key, value in arguments.items())
            return name if same and getattr(part, "threshold", STRAIGHT_FROM) >= STRAIGHT_FROM else None
    return None


def _is(part, *kinds: type) -> bool:
    """Whether a module is of one of these kinds and computes what they do."""
    return "forward" not in vars(part) and any(
        isinstance(part, kind) and type(part).forward is kind.forward for kind in kinds)     # type: ignore


def _parts(nn, residual: type, module, name: str) -> Iterator[tuple[str, Any]]:
    """Every module that is not a Sequential, in order, after what to call it in a message.

    A block's are those within, after "begin" and before "end".
    """
    if not isinstance(module, nn.Module):
        raise TypeError(f"module must be a torch.nn.Module, got {module!r}")
    if module._forward_hooks or module._forward_pre_hooks:
        raise ValueError(f"{name} has forward hooks; remove them first")
    if _is(module, nn.Sequential):
        for i, part in enumerate(module):
            yield from _parts(nn, residual, part, f"{name}[{i}]")
    elif _is(module, residual):
        yield name, "begin"
        yield from _parts(nn, residual, module.block, f"{name}.block")
        yield name, "end"
    else:
        yield f"{name}, {module},", module


def _array(tensor, where: str) -> np.ndarray:
    try:
        return tensor.detach().cpu().numpy()
    except (NotImplementedError, TypeError, ValueError) as error:       # no data yet, or no type that NumPy has
        raise ValueError(f"{where} has parameters that cannot be used: {error}") from None
