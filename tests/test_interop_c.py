"""Does the C that to_c writes compile anywhere without a warning, and compute what net.predict does?"""
import ctypes
import os
import re
import shlex
import shutil
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from c_compiler import STRICT, WARNINGS, compile_c, compiler
from interop_cases import (
    COUNT,
    ENCODINGS,
    LARGE,
    MEMBERS,
    Differences,
    difference,
    encoding_name,
    random_layers,
    random_network,
    random_rows,
    table_networks,
    table_rows,
)

import fastsgd
from fastsgd.interop import to_c
from fastsgd.layers import Columns, PiecewiseLinear
from fastsgd.model.architecture import ACTIVATIONS


def predict(library, name, net, X, scratch=None):
    """What the compiled network makes of every row."""
    out = np.full((len(X), net.sizes[-1]), np.nan, net.dtype)
    function = getattr(library, f"{name}_predict")
    more = () if scratch is None else (ctypes.c_void_p(scratch.ctypes.data),)
    for row, result in zip(X, out, strict=True):
        function(ctypes.c_void_p(row.ctypes.data), ctypes.c_void_p(result.ctypes.data), *more)
    return out


def export(folder, net, X, name="net"):
    to_c(net, folder / name, name)
    return predict(compile_c(folder, [name], f"{name}.so"), name, net, X)


def test_random_networks_agree_to_a_millionth(tmp_path):
    rng = np.random.default_rng(1)
    nets = {f"net_{k}": random_network(rng) for k in range(COUNT)}
    for name, net in nets.items():
        to_c(net, tmp_path / name, name)
    names = list(nets)
    parts = [names[start:start + 20] for start in range(0, len(names), 20)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        libraries = list(pool.map(lambda part: compile_c(tmp_path, part, f"{part[0]}.so"), parts))
    differences = Differences(lambda net, X: export(tmp_path, net, X, f"copy_{len(differences.exports)}"))
    for part, library in zip(parts, libraries, strict=True):
        for name in part:
            X = random_rows(rng, nets[name])
            differences.add(nets[name], X, predict(library, name, nets[name], X))
    differences.report("C")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_layers_of_all_kinds(tmp_path, dtype):
    rng = np.random.default_rng(5)
    nets = {f"net_{k}": random_layers(rng, dtype) for k in range(40)}
    for name, net in nets.items():
        to_c(net, tmp_path / name, name)
    library = compile_c(tmp_path, list(nets))
    for name, net in nets.items():
        X = random_rows(rng, net)
        np.testing.assert_allclose(predict(library, name, net, X), net.predict(X), *{"float32": (2e-4, 1e-5)}.get(
            dtype, (1e-10, 1e-13)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("encoding", ENCODINGS, ids=encoding_name)
def test_columns_and_members(tmp_path, encoding, dtype):
    rng = np.random.default_rng(6)
    nets = [net for members, sharing in MEMBERS for net in table_networks(encoding, members, sharing, dtype)]
    names = [f"net_{k}" for k in range(len(nets))]
    for name, net in zip(names, nets, strict=True):
        to_c(net, tmp_path / name, name)
    library = compile_c(tmp_path, names)
    for name, net in zip(names, nets, strict=True):
        X = table_rows(rng, net)
        found = predict(library, name, net, X)
        assert difference(found, net.predict(X)) < {"float32": 5e-6, "float64": 1e-12}[dtype], net
        for column, levels in net.layers[0].categories:
            unknown, wrong = X.copy(), X.copy()
            unknown[:, column], wrong[:, column] = -1, rng.choice([levels, -2, 1e30, np.nan], len(X))
            np.testing.assert_array_equal(predict(library, name, net, wrong), predict(library, name, net, unknown))


def test_wide_members_take_their_memory_from_the_caller(tmp_path):
    net = fastsgd.Network([4, 5000, 20, 2], members=2, sharing="batch", seed=0)
    to_c(net, tmp_path / "wide", "wide")
    assert "#define WIDE_SCRATCH 5020\n" in (tmp_path / "wide.h").read_text()
    X = random_rows(np.random.default_rng(0), net, 5)
    found = predict(compile_c(tmp_path, ["wide"]), "wide", net, X, np.full(5020, np.nan, np.float32))
    np.testing.assert_allclose(found, net.predict(X), rtol=1e-5, atol=1e-6)


def test_a_header_of_other_bins_is_another(tmp_path):
    checksums = set()
    for edge in (0.5, 0.6):
        net = fastsgd.Network([1, Columns(numbers=PiecewiseLinear([[0, edge, 1]])), 2], seed=0)
        to_c(net, tmp_path / "net")
        checksums.add(re.search("CHECKSUM (0x[0-9a-f]+)", (tmp_path / "net.h").read_text())[1])
    assert len(checksums) == 2
    net = fastsgd.Network([3, Columns({0: 2, 2: 30}), 2], seed=0)
    to_c(net, tmp_path / "net")
    assert " * x[0], x[2]: codes of categories, from 0; others" in (tmp_path / "net.h").read_text()


@pytest.mark.parametrize("seed", range(8))
def test_float64(tmp_path, seed):
    rng = np.random.default_rng(seed)
    net = random_network(rng, "float64")
    X = random_rows(rng, net)
    np.testing.assert_allclose(export(tmp_path, net, X), net.predict(X), rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_activation_stands_large_inputs(tmp_path, dtype):
    X = LARGE.astype(dtype)
    nets = {f"{name}_net": fastsgd.Network([1, 2, 1], name, "absolute_error", dtype=dtype) for name in ACTIVATIONS}
    nets |= {"softmax_net": fastsgd.Network([1, 3], dtype=dtype),
             "logistic_out": fastsgd.Network([1, 2], loss="binary_cross_entropy", dtype=dtype),
             "tanh_out": fastsgd.Network([1, 2], loss="squared_error", output="tanh", dtype=dtype)}
    for name, net in nets.items():
        net.params[:] = 1
        to_c(net, tmp_path / name, name)
    library = compile_c(tmp_path, list(nets))
    tolerance = 1e-6 if dtype == "float32" else 1e-13
    for name, net in nets.items():
        np.testing.assert_allclose(predict(library, name, net, X), net.predict(X), tolerance, tolerance, err_msg=name)


def test_with_fused_multiply_add_the_sums_are_the_same_bits(tmp_path):
    flags = ["-O3", "-march=native", "-ffp-contract=fast"]
    macros = subprocess.run(compiler(*flags, "-dM", "-E", "-x", "c", os.devnull), capture_output=True, text=True)
    if "FP_FAST_FMAF" not in macros.stdout:
        pytest.skip("needs fused multiply-add, and a compiler that knows these flags")
    net = fastsgd.Network([512, 40, 7], "relu", "absolute_error", seed=0)
    net.params[:] += 0.01
    X = random_rows(np.random.default_rng(0), net)
    to_c(net, tmp_path / "net")
    np.testing.assert_array_equal(predict(compile_c(tmp_path, ["net"], more=flags), "net", net, X), net.predict(X))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers_at_the_ends_of_the_dtype_arrive_exactly(tmp_path, dtype):
    limits = np.finfo(dtype)
    net = fastsgd.Network([1, 8], loss="absolute_error", dtype=dtype)
    net.biases[0][:] = [limits.max, limits.min, limits.tiny, limits.smallest_subnormal, -limits.tiny,
                        1 + limits.eps, 1e10, 1 / 3]
    net.weights[0][:] = 0
    found = export(tmp_path, net, np.zeros((1, 1), dtype))
    assert found.tobytes() == net.biases[0].tobytes()


def test_a_wide_network_takes_its_memory_from_the_caller(tmp_path):
    rng = np.random.default_rng(0)
    for sizes, length in (([4, 4000, 100, 2], 4100), ([4, 4097, 2], 4097), ([4, 4096, 2], 0)):
        net = fastsgd.Network(sizes, seed=0)
        to_c(net, tmp_path / "wide", "wide")
        found = re.search(r"#define WIDE_SCRATCH (\d+)", (tmp_path / "wide.h").read_text())
        assert (int(found[1]) if found else 0) == length
        X = random_rows(rng, net, 5)
        scratch = np.full(length, np.nan, np.float32) if length else None
        library = compile_c(tmp_path, ["wide"], f"{length}.so")
        np.testing.assert_allclose(predict(library, "wide", net, X, scratch), net.predict(X), rtol=1e-5, atol=1e-6)


def test_threads_do_not_meet(tmp_path):
    net = fastsgd.Network([30, 100, 50, 4], "tanh", seed=0)
    X = random_rows(np.random.default_rng(0), net, 500)
    to_c(net, tmp_path / "net")
    library = compile_c(tmp_path, ["net"])
    expected = predict(library, "net", net, X)
    found = [None] * 4

    def work(k):
        found[k] = predict(library, "net", net, X)
    threads = [threading.Thread(target=work, args=[k]) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in found:
        np.testing.assert_array_equal(one, expected)


def test_a_c_plus_plus_program_can_call_it(tmp_path):
    cxx = shlex.split(os.environ.get("CXX", "g++"))
    if not shutil.which(cxx[0]):
        pytest.skip("needs a C++ compiler")
    net = fastsgd.Network([2, 4, 3], seed=0)
    to_c(net, tmp_path / "net.c")
    (tmp_path / "main.cpp").write_text(
        '#include "net.h"\n#include <cstdio>\n'
        "int main() {\n"
        "    const float x[NET_INPUTS] = {1, -1};\n"
        "    float out[NET_OUTPUTS];\n"
        "    net_predict(x, out);\n"
        '    for (float value : out) std::printf("%.9g ", value);\n'
        "}\n")
    subprocess.run(compiler(*STRICT, "-c", "-o", tmp_path / "net.o", tmp_path / "net.c"), check=True)
    subprocess.run([*cxx, *WARNINGS, "-o", tmp_path / "main", tmp_path / "main.cpp", tmp_path / "net.o", "-lm"],
                   check=True)
    result = subprocess.run([tmp_path / "main"], capture_output=True, text=True, check=True)
    np.testing.assert_allclose(np.array(result.stdout.split(), float), net.predict([[1, -1]])[0], rtol=1e-6)


def test_the_names_of_the_files(tmp_path):
    net = fastsgd.Network([2, 3], seed=0)
    for path in ("one", "one.c", "one.h", os.fsencode(tmp_path / "one.c")):
        to_c(net, os.path.join(tmp_path, path) if isinstance(path, str) else path, "two")
        assert sorted(os.listdir(tmp_path)) == ["one.c", "one.h"]
    assert '#include "one.h"' in (tmp_path / "one.c").read_text()
    assert "void two_predict(" in (tmp_path / "one.h").read_text()
    for name in ("", "2nd", "a-b", "a b", "größe", "int", "while", "a\n", None):
        with pytest.raises(ValueError, match="name must be a C identifier"):
            to_c(net, tmp_path / "other", name)
    for path in ('a"b', "a\nb", "", "a??(b", *(["a\\b"] * (os.sep == "/"))):
        with pytest.raises(ValueError, match="path must name a file that C can include"):
            to_c(net, os.path.join(tmp_path, path))
    assert len(os.listdir(tmp_path)) == 2


def test_parameters_that_c_cannot_write(tmp_path):
    net = fastsgd.Network([2, 3])
    net.params[3] = np.inf
    with pytest.raises(ValueError, match="not finite"):
        to_c(net, tmp_path / "net")
    assert not os.listdir(tmp_path)


def test_both_files_are_written_or_none(tmp_path, monkeypatch):
    first, second = fastsgd.Network([2, 3], seed=1), fastsgd.Network([2, 3], seed=2)

    def fail_at(last):
        def replace(source, target):
            if target.endswith(last):
                raise OSError(28, "No space left on device")
            rename(source, target)
        return replace
    rename = os.replace
    for old in (None, first):
        if old:
            to_c(old, tmp_path / "net")
        before = {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)}
        for last in (".c", ".h"):
            with monkeypatch.context() as patch:
                patch.setattr("os.replace", fail_at(last))
                with pytest.raises(OSError, match="No space left on device"):
                    to_c(second, tmp_path / "net")
            assert {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)} == before
    with pytest.raises(OSError, match="nowhere"):
        to_c(first, tmp_path / "nowhere" / "net")


def test_files_of_different_networks_do_not_compile(tmp_path):
    to_c(fastsgd.Network([2, 3], seed=1), tmp_path / "net")
    header = (tmp_path / "net.h").read_bytes()
    to_c(fastsgd.Network([2, 3], seed=2), tmp_path / "net")
    (tmp_path / "net.h").write_bytes(header)
    result = subprocess.run(compiler("-c", "-o", os.devnull, tmp_path / "net.c"), capture_output=True, text=True)
    assert result.returncode != 0
    assert "net.c and net.h are of different networks" in result.stderr


@pytest.mark.parametrize(("arguments", "text"), [
    ({}, "Of 2 classes, out[k] is the probability of class k."),
    ({"loss": "binary_cross_entropy"}, "Of 2 yes-or-no labels, out[k] is the probability of label k."),
    ({"sizes": [3, 1], "loss": "binary_cross_entropy"}, "out[0] is the probability of yes."),
    ({"loss": "poisson"}, "trained with the loss poisson; its outputs are exp."),
    ({"loss": "ordinal"}, "Of 3 classes in order, out[k] is the probability of a class above class k."),
    ({"loss": "gaussian_nll"}, "out[0] is the mean of the target and out[1] its standard deviation."),
    ({"loss": "gaussian_nll", "sizes": [3, 4], "output_scale": 2},
     "Of 2 targets, out[k] is the mean of target k and out[2 + k] its standard deviation, in the units of the "),
])
def test_the_header_says_what_comes_out(tmp_path, arguments, text):
    net = fastsgd.Network(**{"sizes": [3, 2]} | arguments)
    to_c(net, tmp_path / "net")
    header = (tmp_path / "net.h").read_text()
    assert text in header
    assert repr(net) in header
    assert f"#define NET_INPUTS 3\n#define NET_OUTPUTS {net.sizes[-1]}\n" in header
