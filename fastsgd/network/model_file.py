"""Model files: a network in the safetensors format (``files.safetensors``).

A file holds ``weights.0`` (inputs, outputs), ``biases.0`` (outputs,), ``weights.1`` ... in F32 or F64, and as metadata:

- ``fastsgd.version``: "1", the version of this layout;
- ``fastsgd.architecture``: JSON with ``sizes``, ``activations`` (one per layer), ``loss``, ``loss_parameters``, and
  where the rows are scaled or shifted, ``input_scale`` and ``input_offset`` (lists of one number or one per column),
  where predictions are, ``output_scale`` and ``output_offset`` (of one or one per output); ``members``, where there are
  several: then they are the first axis of every tensor, or with ``sharing`` of those that each member has for itself;
  ``parametrisation`` where it is "ntk"; where not all layers are dense, ``layers``, the kind and the options of each;
- any other key: the network's own ``metadata``.

A checkpoint of a run (``runs.checkpoint``) is a model file too: it holds more, under names that begin with ``run.``,
which are ignored where only the model is read.
"""
from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

import numpy as np

from fastsgd.arguments import check_whole
from fastsgd.files import safetensors
from fastsgd.files.safetensors import TensorFile
from fastsgd.layers import KINDS, Dense, Layer
from fastsgd.losses import as_loss
from fastsgd.model.architecture import Architecture

VERSION = "1"
MAX_ADDS = 10_000       # the only layers without tensors, which a long text of them would make from nothing
CHECKPOINT = "fastsgd.checkpoint"
ROUNDS = "fastsgd.rounds"                # the same of a distributed run


def save(path, architecture: Architecture, params: np.ndarray, metadata: dict[str, str]) -> None:
    """Writes a network, complete or not at all."""
    safetensors.write(path, *describe(architecture, params, metadata))


def describe(architecture: Architecture, params: np.ndarray,
             metadata: dict[str, str]) -> tuple[list[tuple[str, np.ndarray]], dict[str, str]]:
    """The arrays and the metadata that make a network's file."""
    for key, value in metadata.items():
        if not (isinstance(key, str) and isinstance(value, str)) or key.startswith("fastsgd."):
            raise ValueError(f"metadata must map strings to strings, no key beginning with 'fastsgd.'; got {key!r}")
    tensors = [(tensor.name, tensor.of(params)) for tensor in architecture.tensors]
    return tensors, {"fastsgd.version": VERSION, "fastsgd.architecture": in_json(architecture), **metadata}


def in_json(architecture: Architecture) -> str:
    """What a file says of a network."""
    description: dict[str, object] = {
        "sizes": architecture.sizes, "activations": architecture.activations, "loss": architecture.loss,
        "loss_parameters": architecture.loss_parameters}
    if architecture.scales_input:
        description |= {"input_scale": architecture.input_scale, "input_offset": architecture.input_offset}
    if architecture.scales_output:
        description |= {"output_scale": architecture.output_scale, "output_offset": architecture.output_offset}
    if architecture.members > 1:
        description["members"] = architecture.members
    if architecture.sharing != "none":
        description["sharing"] = architecture.sharing
    if architecture.ntk:
        description["parametrisation"] = "ntk"
    if not all(isinstance(layer, Dense) for layer in architecture.layers):
        description["layers"] = [{"kind": "dense"} if isinstance(layer, Dense) else
                                 {"kind": layer.kind, **layer.options()} for layer in architecture.layers]
    return json.dumps(description)


def load(path) -> tuple[Architecture, np.ndarray, dict[str, str]]:
    """``(architecture, flat params, metadata)`` of a file."""
    with TensorFile(path) as file:
        return network_of(file)


def network_of(file: TensorFile) -> tuple[Architecture, np.ndarray, dict[str, str]]:
    """``(architecture, flat params, metadata)`` of an open file."""
    metadata = dict(file.metadata)
    if "fastsgd.architecture" not in metadata:
        raise ValueError(f"{file.path} was not written by fastsgd: it has no fastsgd.architecture")
    version = metadata.pop("fastsgd.version", None)
    if version != VERSION:
        raise ValueError(f"{file.path} has layout version {version!r:.40}; this fastsgd reads version {VERSION!r}")
    is_checkpoint = sum(metadata.pop(key, None) is not None for key in (CHECKPOINT, ROUNDS)) > 0
    fields = file.parse(metadata.pop("fastsgd.architecture"))
    try:
        architecture = architecture_of(fields, {name: shape for name, (_, shape) in file.tensors.items()})
    except (KeyError, IndexError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{file.path} does not describe a network: {error!s:.300}") from None
    expected = {tensor.name: tensor.shape for tensor in architecture.tensors}
    found = {name for name in file.tensors if not (is_checkpoint and name.startswith("run."))}
    if found != set(expected):
        raise ValueError(f"{file.path} does not hold the tensors of its architecture: it has "
                         f"{sorted(found)[:8]!r:.300}")
    dtypes = {file.tensors[name][0] for name in expected}
    if len(dtypes) > 1 or dtypes.pop().kind != "f":
        raise ValueError(f"{file.path} should have either F32 or F64 for all its tensors")
    for name, shape in expected.items():
        if file.tensors[name][1] != shape:
            raise ValueError(f"{file.path}: tensor {name} should have shape {list(shape)}, its header says "
                             f"{list(file.tensors[name][1])}")
    params = np.empty(architecture.parameters, dtype=file.tensors[next(iter(expected))][0].newbyteorder("="))
    for tensor in architecture.tensors:
        place = tensor.of(params)
        place[...] = file.read(tensor.name, place if place.flags.c_contiguous else None)
    return architecture, params, metadata


def architecture_of(fields: dict, shapes: Mapping[str, tuple[int, ...]]) -> Architecture:
    """What a text of :func:`in_json` says, where tensors of these names have these shapes.

    KeyError, IndexError, TypeError, ValueError or OverflowError for what describes no network, or another.
    """
    loss, members = fields["loss"], check_whole("members", fields.get("members", 1), 1)
    sizes, names = _sizes(fields, shapes, members), fields["activations"]
    if not isinstance(names[-1], str):
        raise TypeError("an activation is not a name")
    names = [name for name, size in zip(names, sizes[1:], strict=True) if not isinstance(size, Layer)]
    given = [float(value) for value in fields["loss_parameters"]]
    architecture = Architecture.checked(
        sizes, names[:-1], type(as_loss(loss)).from_parameters(given), names[-1],
        fields.get("input_scale", 1.0), fields.get("input_offset", 0.0),
        fields.get("output_scale", 1.0), fields.get("output_offset", 0.0), members, fields.get("sharing", "none"),
        _is_ntk(fields))
    if architecture.loss_parameters != tuple(given):
        raise ValueError(f"its loss_parameters {given} are not those of {loss}")
    return architecture


def _is_ntk(fields: dict) -> bool:
    if fields.get("parametrisation", "ntk") != "ntk":
        raise ValueError(f"its parametrisation should be 'ntk', it is {fields['parametrisation']!r:.40}")
    return "parametrisation" in fields


def _sizes(fields: dict, shapes: Mapping[str, tuple[int, ...]], members: int) -> list[int | Layer]:
    """The sizes and other layers of a description, where tensors have these shapes."""
    sizes, described = fields["sizes"], fields.get("layers")
    kinds = [{"kind": "dense"}] * (len(sizes) - 1) if described is None else described
    if len(kinds) > len(shapes) + MAX_ADDS:
        raise ValueError(f"its sizes make {len(kinds):,} layers, but it has only {len(shapes):,} tensors")
    chain: list[int | Layer] = [sizes[0]]
    for number, (shape, options) in enumerate(zip(pairwise(sizes), kinds, strict=True)):   # before any array is made
        kind = KINDS[options["kind"]]
        layer = kind(**{name: value for name, value in options.items() if name != "kind"})
        placed = replace(layer, inputs=shape[0], outputs=shape[1]) if kind is Dense else layer.placed(shape[0])
        for (name, _), expected in zip(placed.tensors, placed.shapes(), strict=True):
            shared = members == 1 or (fields.get("sharing", "none") != "none" and number < len(kinds) - 1)
            if name != "biases" and shapes.get(f"{name}.{number}") != (expected if shared else (members, *expected)):
                raise ValueError(f"its sizes {str(sizes)[:80]} are not those of its tensors")
        chain.append(shape[1] if kind is Dense else layer)
    return chain
