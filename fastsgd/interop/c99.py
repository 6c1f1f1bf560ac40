"""A network as two C files, a header and a source, that need nothing but a C99 compiler and its math library."""
from __future__ import annotations

import itertools
import os
import re
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from fastsgd.files.atomic import write_atomically, written_beside
from fastsgd.interop import c99_templates as templates
from fastsgd.interop.answers import Answers, table_answers, with_its_table
from fastsgd.interop.c99_columns import columns_of
from fastsgd.interop.c99_table import table_of
from fastsgd.interop.c99_text import checked, numbers
from fastsgd.layers import BatchNorm, Columns, Layer, LayerNorm, ParametricActivation, Tensor
from fastsgd.model.architecture import Architecture
from fastsgd.network.given import as_network, is_estimator
from fastsgd.network.network import Network
from fastsgd.tabular.model import limits_and_about

MAX_STACK = 16 * 1024       # bytes; a network that needs more between its layers takes them from the caller
KEYWORDS = ("auto break case char const continue default do double else enum extern float for goto if inline int long "
            "register restrict return short signed sizeof static struct switch typedef union unsigned void volatile "
            "while")


def to_c(net: Network | Any, path, name: str = "net") -> None:
    """Writes the network as C99: ``path`` with .c and with .h, all that a program needs to predict.

    The header declares ``void net_predict(const float x[NET_INPUTS], float out[NET_OUTPUTS])``, which computes for one
    row what ``net.predict`` does; for a float64 network it is double. It can be called from C++, and by any number of
    threads at once. Up to 16 KiB for the layers lie on the stack; a wider network has its caller pass them, in a
    third argument ``float scratch[NET_SCRATCH]``.

    Columns of a table hold codes of categories as for ``net.predict``; here those that the column has not count as
    unknown, as -1 does. Of several members it is the mean that is computed.

    Of a fitted estimator ``net_predict`` computes what its network does, of SGDClassifier the decision values. With
    classes there are their names, ``net_classes[NET_CLASSES]``, and a function that returns the place among them of
    what ``predict`` says and fills ``out`` with what ``predict_proba`` says, or where there is none
    ``decision_function``:
    ``int net_classify(const float x[NET_INPUTS], float out[NET_CLASSES])``. With several yes-or-no labels a row it
    returns nothing and fills ``int yes[NET_CLASSES]`` before ``out``. ``net_columns[NET_INPUTS]`` are the names of the
    columns, if it was fitted to such.

    Of a network that ``fastsgd train`` made, and of a TabularClassifier or TabularRegressor, there are the table's
    columns, with the levels of texts and the scaling of numbers, and a struct ``net_row`` with a member for each,
    called like the column in lower case. From one ``int net_classify_row(const net_row *row, float out[NET_CLASSES])``
    tells the class, and of quantities ``int net_predict_row(const net_row *row, double out[NET_OUTPUTS])`` predicts
    them in their own units, of the default recipe the mean and 13 quantiles, from 0.025 to 0.975.

    ``cc -std=c99 -O2`` compiles it. Where the machine has fused multiply-add, ``-O3 -march=native -ffp-contract=fast``
    makes it faster, and the sums of layers with up to 512 inputs the same as fastsgd's to the bit.

    Parameters
    ----------
    net : Network or fitted estimator
    path : str or path
        Where the two files go, with or without .c.
    name : str
        What every name in them begins with.

    Raises
    ------
    ValueError
        For a name that is not a C identifier, a file name that C cannot include, parameters that are not finite, a
        class or level that no C string holds, or a table encoding that does not fit the network.
    TypeError, NotFittedError
        For what is neither network nor fitted estimator.
    OSError
        Where the files cannot be written; what was there before then stays.

    Examples
    --------
    >>> import os, tempfile
    >>> import fastsgd
    >>> path = os.path.join(tempfile.mkdtemp(), "digits.c")
    >>> to_c(fastsgd.Network([64, 32, 10], seed=0), path, name="digits")
    >>> with open(path) as file:
    ...     source = file.read()
    >>> print(source[source.index("void digits_predict"):], end="")
    void digits_predict(const float x[DIGITS_INPUTS], float out[DIGITS_OUTPUTS])
    {
        float a[32];
    <BLANKLINE>
        digits_dense(x, 64, digits_weights_0, digits_biases_0, 32, a);
        digits_relu(a, 32);
        digits_dense(a, 32, digits_weights_1, digits_biases_1, 10, out);
        digits_softmax(out, 10);
    }
    """
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) or name in KEYWORDS.split():
        raise ValueError(f"name must be a C identifier and no keyword, got {name!r}")
    stem = re.sub(r"\.[ch]$", "", os.fsdecode(path))
    file = os.path.basename(stem)
    if not re.fullmatch(r'[^"\\?\r\n]+', file):
        raise ValueError(f"path must name a file that C can include, got {path!r}")
    title = (f"{type(net).__name__}, " if is_estimator(net) else "") + repr(as_network(net))
    net = with_its_table(net)
    answers, encoding = table_answers(net)
    network = answers.net
    if not np.isfinite(network.params).all():
        raise ValueError("the network has parameters that are not finite")

    real, f = ("float", "f") if network.dtype == np.float32 else ("double", "")
    body, scratch = _body(network, name, real)
    NAME = name.upper()
    fields = {
        "title": title,
        "name": name, "NAME": NAME, "file": file, "real": real, "f": f, "body": body,
        "inputs": network.sizes[0], "outputs": network.sizes[-1], "meaning": _meaning(answers) + _codes(network),
        "memory": templates.MEMORY if scratch else "",
        "scratch": f"#define {NAME}_SCRATCH {scratch}\n" if scratch else "",
        "scratch_parameter": f", {real} scratch[{NAME}_SCRATCH]" if scratch else "",
        "scratch_argument": ", scratch" if scratch else "", "scratch_length": scratch,
        "more_headers": "#include <float.h>\n#include <limits.h>\n" if encoding else "",
        "string_header": "#include <string.h>\n" if encoding else "",
    }
    fields["signature"] = (f"void {name}_predict(const {real} x[{NAME}_INPUTS], {real} out[{NAME}_OUTPUTS]"
                           f"{fields['scratch_parameter']})")
    parts = [_features(net.feature_names_in_, fields)] if hasattr(net, "feature_names_in_") else []
    if answers.classes:
        parts.append(_classes(answers, fields))
    if encoding:
        limits, _ = limits_and_about(answers.net, "the network")
        parts.append(table_of(encoding, limits, fields, MAX_STACK))
    fields["more"] = "".join(header for header, _ in parts)
    sources = "".join(f"\n{source}" for _, source in parts)
    first = network.layers[0]
    fields["columns"] = columns_of(first, fields, network.dtype) if isinstance(first, Columns) else ""
    fields["checksum"] = zlib.crc32(network.params.tobytes(), zlib.crc32(
        f"{network.architecture!r}{fields['more']}{sources}{fields['columns']}".encode()))
    header = templates.HEADER.format(**fields).encode()
    takes_softmax = answers.share == "softmax" or (answers.share == "logistic" and network.sizes[-1] > 1)
    activations = (*network.architecture.activations, *(["softmax"] if takes_softmax else []))
    source = _source(network, activations, fields)
    _write_both((f"{stem}.c", itertools.chain(source, [sources.encode()])), (f"{stem}.h", [header]))


def _meaning(answers: Answers) -> str:
    net, outputs = answers.net, answers.net.sizes[-1]
    output = net.architecture.activations[-1]
    targets = net.architecture.targets
    if net.architecture.loss_type.targets.in_order:
        return f"Of {targets} classes in order, out[k] is the probability of a class above class k."
    if answers.share != "outputs":
        return ("out[0] is the decision value: above 0 the row is of the second class." if outputs == 1 else
                f"Of {outputs} classes, out[k] is the decision value of class k; the largest wins.")
    if output == "softmax":
        return f"Of {outputs} classes, out[k] is the probability of class k."
    if net.loss == "binary_cross_entropy":
        return ("out[0] is the probability of yes." if outputs == 1 else
                f"Of {outputs} yes-or-no labels, out[k] is the probability of label k.")
    units = ", in the units of the targets" if net.architecture.scales_output else ""
    if output == "mean_and_deviation":
        return ("out[0] is the mean of the target and out[1] its standard deviation" if targets == 1 else
                f"Of {targets} targets, out[k] is the mean of target k and out[{targets} + k] its standard deviation"
                ) + f"{units}."
    return f"It was trained with the loss {net.loss}; its outputs are {output}{units}."


def _codes(net: Network) -> str:
    """Which of the inputs are no numbers."""
    columns = [f"x[{column}]" for column, _ in net.layers[0].categories]
    if not columns:
        return ""
    listed = ", ".join(columns[:12]) + f" and {len(columns) - 12} more" * (len(columns) > 12)
    return f"\n * {listed}: codes of categories, from 0; others than there are count as unknown, as -1 does."


def _features(names: Iterable[str], fields: dict) -> tuple[str, str]:
    """What the header and the source say of the columns that an estimator was fitted to."""
    more = _enumerated([checked(str(name), "the name of a column") for name in names])
    return templates.FEATURES.format(**fields, **more), templates.FEATURE_NAMES.format(**fields, **more)


def _enumerated(literals: list[str]) -> dict[str, str]:
    return {"listed": "\n".join(f" * {k}: {each}" for k, each in enumerate(literals)),
            "names": ",\n".join(f"    {each}" for each in literals)}


def _classes(answers: Answers, fields: dict) -> tuple[str, str]:
    """What the header and the source say of classes: their names, and a function that tells a row's."""
    name, NAME, real, several = (fields[key] for key in ("name", "NAME", "real", "outputs"))
    names = [checked(str(label), "the name of a class") for label in answers.classes]
    out = "CLASSES" if answers.share else "OUTPUTS"
    says = "the probability of each" if answers.share else "the decision values"
    where = f"The class that a row is said to be of, by its place in {name}_classes; out gets {says}."
    fields = {
        **fields, **_enumerated(names), "classes": len(names),
        "what": f"yes[k] becomes 1 where a row has label k, else 0; out gets {says}." if answers.several else where,
        "classify": f"{'void' if answers.several else 'int'} {name}_classify(const {real} x[{NAME}_INPUTS], "
                    f"{f'int yes[{NAME}_CLASSES], ' if answers.several else ''}{real} out[{NAME}_{out}]"
                    f"{fields['scratch_parameter']})",
        "threshold": f"{answers.threshold}{fields['f']}",
    }
    share = answers.share
    each = None if share in (None, "softmax", "in order") else templates.SHARES[share].format(
        **fields, a="a[0]" if several == 1 else "out[k]")
    shared = ""
    if share == "softmax":
        shared = f"    {name}_softmax(out, {several});\n"
    elif share == "logistic":
        shared = templates.SHARED_LOGISTIC.format(**fields)
    elif share == "clipped":
        shared = templates.SHARED.format(**fields, each=each)
    kind = ("levels" if share == "in order" else "each" if answers.several else
            "largest" if answers.threshold is None else "second" if share else "side")
    return templates.CLASSES.format(**fields), templates.NAMES.format(**fields) + templates.CLASSIFY[kind].format(
        **fields, each=each, share=shared)


def _body(net: Network, name: str, real: str) -> tuple[str, int]:
    """The body of the function, and how many numbers it needs from its caller.

    What members have for themselves is in a loop over them.
    """
    architecture, skips = net.architecture, net.architecture.skips
    rooms: dict[str, int] = {}                  # the rows between x and out, and how many numbers each must hold
    received: list[str] = []                    # where the input of each layer lies
    calls = []
    row = "x"
    members = architecture.members > 1
    begin = (0 if architecture.networks > 1 else architecture.first_of_members) if members else -1
    kept: set[str] = set()                      # what members begin from

    def wanted() -> set[str]:
        """Inputs of blocks that are open, and what is needed for the next member."""
        return kept | {received[first] for end, first in skips.items() if first < len(received) <= end + 1}

    def another(width: int) -> str:
        """Room for a row that is neither the present one nor such an input."""
        taken = {row, *wanted()}
        rest = (f"a{i}" for i in itertools.count())
        found = next(room for room in itertools.chain("abcd", rest) if room not in taken)
        rooms[found] = max(rooms.get(found, 0), width)
        return found

    if architecture.scales_input:
        row = another(net.sizes[0])
        calls.append(f"{name}_scale(x, {row});")
    for number, layer in enumerate(architecture.layers):
        received.append(row)
        if number == begin:
            kept = {row, *wanted()}
            calls.append(f"for (int m = 0; m < {architecture.members}; m++) {{")
        calls_before = len(calls)
        own = [_argument(architecture, tensor, name) for tensor in architecture.tensors if tensor.layer == number]
        if number in skips:
            calls.append(f"{name}_add({received[skips[number]]}, {layer.inputs}, {row});")
        elif layer.has_units:
            target = "out" if number == len(architecture.layers) - 1 and not members else another(layer.outputs)
            if layer.kind == "adapted_dense" and len(own) == 3:
                own.insert(2, "0")
            function = "adapted_dense" if layer.kind == "adapted_dense" else "dense"
            calls.append(f"{name}_{function}({row}, {layer.inputs}, {', '.join(own)}, {layer.outputs}, {target});")
            if layer.activation != "identity":
                calls.append(f"{name}_{layer.activation}({target}, {layer.outputs});")
            row = target
        elif isinstance(layer, Columns):
            target = another(layer.outputs)
            calls.append(f"{name}_encode_columns({', '.join([row, *own, target])});")
            row = target
        else:
            target = another(layer.outputs) if row in {"x", *wanted()} else row
            options = numbers(np.array([layer.epsilon], net.dtype)) if isinstance(layer, BatchNorm | LayerNorm) else []
            calls.append(f"{name}_{_function(layer)}({', '.join([row, *own, *options, str(layer.inputs), target])});")
            row = target
        if begin >= 0 and number >= begin:
            calls[calls_before:] = [f"    {call}" for call in calls[calls_before:]]
    if members:
        calls += [f"    {name}_average({row}, m, out);", "}"]
    if architecture.scales_output:
        calls.append(f"{name}_scale_output(out);")
    total = sum(rooms.values())
    scratch = total if total * net.dtype.itemsize > MAX_STACK else 0
    begins = itertools.accumulate(rooms.values(), initial=0)
    declared = ([f"*{room} = scratch" + f" + {begin}" * (begin > 0) for room, begin in zip(rooms, begins, strict=False)]
                if scratch else [f"{room}[{width}]" for room, width in rooms.items()])
    lines = [f"{real} {', '.join(declared)};", "", *calls] if rooms else calls
    return "\n".join(f"    {line}".rstrip() for line in lines), scratch


def _argument(architecture: Architecture, tensor: Tensor, name: str) -> str:
    """A tensor as the argument of a function; of member m where each has its own."""
    own, layer = f"{name}_{tensor.name.replace('.', '_')}", architecture.layers[tensor.layer]
    apart = architecture.networks > 1 or layer.kind == "member_dense" or tensor.role == "adapter" or (
        tensor.role == "bias" and getattr(layer, "adapts_outputs", False))
    return f"{own} + m * {tensor.size // architecture.members}" if apart else own


def _function(layer: Layer) -> str:
    """That of a layer which is not dense, behind the network's name."""
    if isinstance(layer, ParametricActivation):
        return f"parametric_{layer.function}"
    return {"scale": "multiply"}.get(layer.kind, layer.kind)


def _source(net: Network, activations: Iterable[str], fields: dict) -> Iterator[bytes]:
    """The source file, piece by piece."""
    yield templates.SOURCE.format(**fields).encode()
    architecture = net.architecture
    arrays = [(tensor.name.replace(".", "_"), tensor.of(net.params).reshape(-1)) for tensor in architecture.tensors]
    scaled, arrays_of_input = _scaled(net, fields["name"], "input", "x[i]")
    scaled_output, arrays_of_output = _scaled(net, fields["name"], "output", "out[i]")
    arrays += arrays_of_input + arrays_of_output
    for table, values in arrays:
        yield f"static const {fields['real']} {fields['name']}_{table}[{len(values)}] = {{\n".encode()
        for start in range(0, len(values), 8):
            yield f"    {', '.join(numbers(values[start:start + 8]))},\n".encode()
        yield b"};\n\n"
    if architecture.scales_input:
        yield templates.SCALE.format(**fields, scaled=scaled).encode()
    if architecture.scales_output:
        yield templates.SCALE_OUTPUT.format(**fields, scaled=scaled_output).encode()
    yield templates.DENSE.format(**fields).encode()
    if architecture.members > 1:
        yield templates.AVERAGE.format(**fields, members=architecture.members).encode()
    for function, layer in {_function(layer): layer for layer in architecture.layers
                            if layer.kind not in ("dense", "member_dense")}.items():
        if isinstance(layer, Columns):
            yield fields["columns"].encode()
        elif isinstance(layer, ParametricActivation):
            expression = {"identity": "a[i]", **templates.EXPRESSIONS}[layer.function].format(**fields)
            yield templates.PARAMETRIC.format(**fields, activation=layer.function, expression=expression).encode()
        else:
            yield templates.LAYERS[function].format(**fields).encode()
    for activation in dict.fromkeys(activations):                       # each once
        if activation in templates.WHOLE_ROWS:
            yield templates.WHOLE_ROWS[activation].format(**fields).encode()
        elif activation != "identity":
            expression = templates.EXPRESSIONS[activation].format(**fields)
            yield templates.ELEMENTWISE.format(**fields, activation=activation, expression=expression).encode()
    yield templates.PREDICT.format(**fields).encode()


def _scaled(net: Network, name: str, end: str, number: str) -> tuple[str, list[tuple[str, np.ndarray]]]:
    """A number of the input or the output scaled, as an expression of i, and the tables that it takes."""
    tables = []
    own = net.architecture
    scale, offset = own.unit_of_outputs if end == "output" else (own.input_scale, own.input_offset)
    for table, sign, neutral, given in ((f"{end}_scale", "*", 1.0, scale), (f"{end}_offset", "+", 0.0, offset)):
        values = np.array(given, net.dtype)
        if len(given) > 1:
            tables.append((table, values))
            number += f" {sign} {name}_{table}[i]"
        elif given != (neutral,):
            number += f" {sign} {numbers(values)[0]}"
    return number, tables


def _write_both(first: tuple[str, Iterable[bytes]], second: tuple[str, Iterable[bytes]]) -> None:
    """Writes two files that belong together; where the second cannot be renamed, the first is put back."""
    with written_beside(*first) as put_first, written_beside(*second) as put_second:
        path = first[0]
        before = None
        if os.path.isfile(path):
            with open(path, "rb") as file:
                before = file.read()
        put_first()
        try:
            put_second()
        except BaseException:
            if before is None:
                os.unlink(path)
            else:
                write_atomically(path, [before])
            raise
