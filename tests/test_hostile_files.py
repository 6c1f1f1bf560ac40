"""Is every file that is no file of ours refused in words, in little time and memory?"""
import errno
import gzip
import json
import lzma
import os
import re
import struct
import subprocess
import sys
import time
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from test_checkpoint import forged, progress
from test_modelfile import join, make, parts

import fastsgd
from fastsgd.data.checks import open_npy
from fastsgd.datasets.idx import read_idx
from fastsgd.files import bounded_json, safetensors
from fastsgd.runs import checkpoint, run_state
from fastsgd.runs.history import History
from fastsgd.tables.encoding import Encoding
from fastsgd.tables.read import read_table

pytest.importorskip("resource", reason="limits of memory and of time are of POSIX systems")
from soak import fuzz

COUNTS = {"model": 1200, "checkpoint": 400, "idx": 800, "csv": 100, "jsonl": 100, "npz": 500, "onnx": 500}


@pytest.mark.parametrize("kind", COUNTS)
def test_mutated_files(tmp_path, kind):
    for name in {"csv": ["pandas"], "onnx": ["onnx"]}.get(kind, []):
        pytest.importorskip(name)
    counts, slowest, fullest = fuzz.run(kind, COUNTS[kind], 0, tmp_path / "kept", address_space=None)
    assert not any(outcome.startswith("failed") for outcome in counts), counts
    assert counts["accepted"] > 0 < counts["refused"]
    assert slowest < fuzz.SECONDS
    assert fullest < 1


def test_mutated_files_led_by_coverage(tmp_path):
    pytest.importorskip("atheris")
    command = [sys.executable, Path(fuzz.__file__).with_name("guided.py"), "--kind", "checkpoint", "--count", "400"]
    result = subprocess.run([*command, "--kept", tmp_path / "kept"], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "checkpoint: 400 inputs" in result.stdout
    assert re.search(r"accepted \d+, .*refused \d+", result.stdout)
    assert not list((tmp_path / "kept").iterdir())


def peak(function, *arguments):
    """The ValueError of a call, and the most memory it took."""
    tracemalloc.start()
    try:
        with pytest.raises(ValueError) as caught:       # noqa: PT011 - the callers look at it
            function(*arguments)
        return str(caught.value), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


LENGTH = 4 * 2**20
BOMBS = {
    "lists": b"[" + b"[]," * (LENGTH // 3) + b"0]",
    "lists of one": b"[" + b"[0]," * (LENGTH // 4) + b"0]",
    "objects": b"[" + b'{"":0},' * (LENGTH // 7) + b"0]",
    "keys": b"{" + b",".join(b'"%x":0' % i for i in range(LENGTH // 9)) + b"}",
    "keys that end in a backslash": b"{" + b",".join(b'"%x\\\\":0' % i for i in range(LENGTH // 11)) + b"}",
    "strings": b"[" + b'"ab",' * (LENGTH // 5) + b"0]",
    "numbers": b"[" + b"-9," * (LENGTH // 3) + b"0]",
    "a wide string": b'["' + b"a" * 3 * LENGTH + b'\\ud83d\\ude00"]',
    "an open string": b'["' + b'\\"' * (LENGTH // 2),
    "tensors": b"{" + b",".join(b'"%x":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}' % i
                                for i in range(LENGTH // 60)) + b"}",
}


@pytest.mark.parametrize(("name", "nested"), [*((name, False) for name in BOMBS), ("lists", True), ("strings", True)])
def test_json_takes_twice_its_length_and_64_mib_at_most(tmp_path, name, nested):
    path = tmp_path / "bomb.safetensors"
    header = BOMBS[name]
    if nested:
        metadata = {"fastsgd.version": "1", "fastsgd.architecture": header.decode()}
        header = json.dumps({"__metadata__": metadata}).encode()
    path.write_bytes(join(header, b""))
    message, memory = peak(fastsgd.Network.load, path)
    assert "bomb.safetensors" in message
    assert len(message) < 1000
    assert memory < 2 * len(header) + 64 * 2**20


def test_json_whose_characters_and_strings_take_all_that_is_allowed():
    text = '""' * (bounded_json.ROOM // 64)
    bounded_json.check_json([text], len(text))
    text += "["
    with pytest.raises(ValueError, match="may take more memory than twice"):
        bounded_json.check_json([text], len(text))


@pytest.mark.parametrize("text", ["é" * 2**22, "\U0001f600" * (2**22 - 2000), "\U0001f600" + "é" * 2**22])
@pytest.mark.parametrize("listed", [False, True])
def test_a_checkpoint_of_wide_characters_is_read_in_twice_its_size_and_64_mib(saved, text, listed):
    header, body = parts(saved)
    content = json.loads(header["__metadata__"]["fastsgd.checkpoint"])
    content["plan"] = [text] if listed else text
    header["__metadata__"]["fastsgd.checkpoint"] = json.dumps(content, ensure_ascii=False)
    saved.write_bytes(join(json.dumps(header, ensure_ascii=False).encode(), body))
    message, memory = peak(checkpoint.CheckpointData.read, saved)
    assert "run.ckpt is damaged: its checksum" in message
    assert memory < 2 * saved.stat().st_size + 64 * 2**20


def test_the_checksum_is_that_of_the_json(saved):
    header, _ = parts(saved)
    content = json.loads(header["__metadata__"]["fastsgd.checkpoint"])
    odd = '"\\\\"\x7f\n\0é漢\U0001f600\ud800\\u00e9"'
    for text in ("", odd, odd * 2**14, "a" + odd * 2**14):
        content["plan"] = {text: [text, 1.5, None, {"a": text}]}
        expected = zlib.crc32(json.dumps(content, sort_keys=True).encode())
        assert checkpoint._checksum(content, []) == f"{expected:08x}"


def test_what_would_not_be_read_is_not_written(tmp_path):
    net = make()
    net.metadata["bomb"] = "[]," * (LENGTH // 3)
    with pytest.raises(ValueError, match="may take more memory than twice"):
        net.save(tmp_path / "net.safetensors")
    for text in ("a" * LENGTH, "Zürich, 東京 \U0001f600 \\\\" * 10_000):
        net.metadata["bomb"] = text
        net.save(tmp_path / "net.safetensors")
        assert fastsgd.Network.load(tmp_path / "net.safetensors").metadata == net.metadata


def test_strings_are_left_out_in_linear_time():
    for text in ('["' + r"\"" * LENGTH, '"' * LENGTH, "\\" * LENGTH, '"\\' * LENGTH):
        begin = time.process_time()
        bounded_json._STRINGS.sub("", text)
        assert time.process_time() - begin < 5          # quadratic would be minutes


def test_a_network_is_read_in_twice_its_file(tmp_path):
    fastsgd.Network([3000, 1000], seed=0).save(tmp_path / "net.safetensors")
    tracemalloc.start()
    fastsgd.Network.load(tmp_path / "net.safetensors")
    memory = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert memory < 2.1 * (tmp_path / "net.safetensors").stat().st_size


@pytest.mark.parametrize(("changes", "message"), [
    ({"loss_parameters": [float("nan")] * 2}, "loss_parameters"),
    ({"loss_parameters": "11"}, "loss_parameters"),
    ({"input_scale": [1.0] * 4}, "input_scale must be one number or 5"),
    ({"input_scale": float("nan"), "input_offset": 0}, "input_scale must hold numbers"),
    ({"sizes": list(range(10**5))}, "sizes"),
])
def test_an_architecture_that_is_none(tmp_path, changes, message):
    path = tmp_path / "net.safetensors"
    make().save(path)
    header, body = parts(path)
    fields = json.loads(header["__metadata__"]["fastsgd.architecture"])
    header["__metadata__"]["fastsgd.architecture"] = json.dumps({**fields, **changes})
    path.write_bytes(join(header, body))
    with pytest.raises(ValueError, match=rf"net\.safetensors.*{message}") as caught:
        fastsgd.Network.load(path)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("header", [
    '{"__metadata__": {}, "é": {}}'.encode("utf-16"), b'{"a": \xff}',
    b'{"a":{"dtype":"F32","shape":[0,' + b"4611686018427387903," * 3 + b'1],"data_offsets":[0,0]}}',
    b'{"' + b"n" * 10**5 + b'": {"dtype": "' + b"F" * 10**5 + b'"}}'])
def test_headers_that_are_none(tmp_path, header):
    (tmp_path / "bad.safetensors").write_bytes(join(header, b""))
    with pytest.raises(ValueError, match=r"bad\.safetensors") as caught:
        safetensors.TensorFile(tmp_path / "bad.safetensors")
    assert len(str(caught.value)) < 1000


@pytest.fixture
def saved(digits, tmp_path):
    (X, y), _ = digits
    fastsgd.train(fastsgd.Network([64, 10], seed=0), X, y, epochs=1, checkpoint=tmp_path / "run.ckpt")
    return tmp_path / "run.ckpt"


@pytest.mark.parametrize("damage", [
    progress(rate_factor=float("nan")), progress(cost=float("inf")), progress(penalty=float("-inf")),
    progress(steps=2**60, steps_at_epoch=2**60), progress(factors=[[2.5, 1.0]]), progress(factors=[[-1, 1.0]] * 30),
    progress(steps=20, steps_at_epoch=0, factors=[[3, 1.0]]), forged(plan=lambda part: {**part, "batch_size": -5}),
    forged(plan=lambda part: {**part, "batch_size": "10"}), forged(plan=lambda part: {**part, "batch_size": 1e400}),
    forged(history=lambda part: {**part, "steps": 10**9}), forged(history=lambda part: {**part, "metric_name": "x"}),
    forged(tensors=lambda tensors: tensors["biases.0"].fill(np.nan)),
    forged(tensors=lambda tensors: tensors.update({"run.params": np.zeros(650, "f4"),
                                                    "biases.0": np.full(10, np.inf, "f4")})),
    forged(tensors=lambda tensors: tensors.update({"run.history.validation_steps": np.array([np.nan])})),
    forged(tensors=lambda tensors: tensors.update({"run.history.validation_steps": np.array([0.5])})),
    forged(tensors=lambda tensors: tensors.update({"run.history." + "n" * 10**5: np.array([0.5])})),
])
def test_forged_runs(saved, damage):
    damage(saved)
    with pytest.raises(ValueError, match=r"run\.ckpt is damaged: ") as caught:
        checkpoint.CheckpointData.read(saved)
    assert len(str(caught.value)) < 1000


def test_what_is_nested_too_deeply_for_one_of_the_steps(saved):
    header, body = parts(saved)
    content = json.loads(header["__metadata__"]["fastsgd.checkpoint"])
    content["plan"]["network"] = "deep"
    for depth in range(800, 1000):
        text = json.dumps(content).replace('"deep"', "[" * depth + "]" * depth)
        header["__metadata__"]["fastsgd.checkpoint"] = text
        saved.write_bytes(join(header, body))
        with pytest.raises(ValueError, match=r"run\.ckpt"):
            checkpoint.CheckpointData.read(saved)


def test_passes_longer_than_the_epoch_take_no_memory():
    draw = np.random.default_rng(0).bit_generator.state
    where = run_state.Counters(10, 4, 0.0, 0.0, 0.0, 1.0, [[2, 0.5], [2**50, 2.0], [7, 3.0]], draw, draw).checked()
    assert where.factors == [[2, 0.5], [4, 2.0]]


def test_a_name_that_is_no_unicode_has_a_checksum(saved):
    header, body = parts(saved)
    header["run.callback.\ud800"] = header.pop("run.slots")
    saved.write_bytes(join(header, body))
    with pytest.raises(ValueError, match=r"run\.ckpt is damaged: its checksum"):
        checkpoint.CheckpointData.read(saved)


def test_an_idx_file_takes_no_memory_for_what_it_does_not_hold(tmp_path):
    head = struct.pack(">HBB4I", 0, 8, 4, *[2**32 - 1] * 4)
    (tmp_path / "file").write_bytes(head + bytes(2**16))
    (tmp_path / "file.gz").write_bytes(gzip.compress(head + bytes(2**25)))
    for name in ("file", "file.gz"):
        message, memory = peak(read_idx, tmp_path / name)
        assert f"{name} is cut short or too long" in message
        assert memory < 2**20


@pytest.mark.parametrize("shape", [(2**31, 2**31, 2**31, 0), (0, 2**32 - 1, 2**32 - 1, 2**32 - 1)])
def test_an_empty_idx_file_of_a_shape_that_no_array_has(tmp_path, shape):
    (tmp_path / "file").write_bytes(struct.pack(">HBB4I", 0, 8, 4, *shape))
    with pytest.raises(ValueError, match="file is cut short or too long"):
        read_idx(tmp_path / "file")


def test_tables_that_pandas_does_not_read_in_its_own_way(tmp_path, monkeypatch):
    pytest.importorskip("pyarrow")
    (tmp_path / "table.parquet").write_bytes(b"PAR1 is not enough PAR1")
    with pytest.raises(ValueError, match=r"table\.parquet cannot be read"):
        read_table(tmp_path / "table.parquet")

    parquet = pytest.importorskip("pyarrow.parquet")

    def fail(error):
        def read(_):
            raise error
        return read

    monkeypatch.setattr(parquet, "ParquetFile", fail(NotImplementedError("a kind of column")))
    with pytest.raises(ValueError, match=r"table\.parquet cannot be read: it is damaged, or not of the kind"):
        read_table(tmp_path / "table.parquet")
    monkeypatch.setattr(parquet, "ParquetFile", fail(PermissionError(13, "Permission denied")))
    with pytest.raises(PermissionError):
        read_table(tmp_path / "table.parquet")


LONGER, TWICE = "a row holds more values than the header has", r"it has two columns of one name: \['a'\]$"


@pytest.mark.parametrize(("content", "message", "seconds"), [
    ("a,b\n1,2,3\n4,5,6\n", LONGER, 2), ("a,b\n1,2,3\n4,5\n", LONGER, 2),
    ("a\n" + "6," * 20_000 + "6\n", LONGER, 2),               # as row labels, 20,000 values a row would take five
    ("a,b,a\n1,2,3\n", TWICE, 5), ('"a",b,a\n', TWICE, 5),
    (",".join(["a"] * 50_000) + "\n1\n", TWICE, 5),           # pandas would look for new names for 40 s
])
def test_a_table_that_pandas_would_read_in_its_own_way(tmp_path, content, message, seconds):
    pytest.importorskip("pandas")
    (tmp_path / "table.csv").write_text(content)
    begin = time.process_time()
    with pytest.raises(ValueError, match=rf"table\.csv cannot be read: {message}"):
        read_table(tmp_path / "table.csv")
    assert time.process_time() - begin < seconds


@pytest.mark.parametrize("line", [b"\0", b"a,", b"\n", b'"\n",'])
def test_a_header_without_an_end(tmp_path, line):
    pytest.importorskip("pandas")
    with open(tmp_path / "table.csv", "wb") as file:
        file.write(line * 2**20)
        file.truncate(2**30)
    begin = time.process_time()
    message, memory = peak(read_table, tmp_path / "table.csv")
    assert re.match(r".*table\.csv cannot be read: its header is longer than the 16,777,216 characters", message)
    assert memory < 2**28
    assert time.process_time() - begin < 20


@pytest.mark.skipif(sys.platform == "win32", reason="makes a pipe")
@pytest.mark.parametrize("suffix", [".csv", ".npz", ".parquet", ".safetensors", ".idx", ".onnx", ".npy"])
def test_a_pipe_is_not_waited_for_nor_a_device_read(tmp_path, suffix):
    pipe, device = tmp_path / f"pipe{suffix}", tmp_path / f"zero{suffix}"
    os.mkfifo(pipe)
    device.symlink_to("/dev/zero")
    if suffix == ".onnx":
        pytest.importorskip("onnx")
    readers = {".safetensors": fastsgd.Network.load, ".idx": read_idx, ".onnx": fastsgd.interop.from_onnx,
               ".npy": lambda path: open_npy(path, "X")}
    for path in (pipe, device):
        with pytest.raises(OSError, match=rf"cannot read: it is not a regular file: '.*{suffix}'"):
            readers.get(suffix, read_table)(path)


def test_a_disk_that_cannot_be_read_is_no_damaged_table(tmp_path, monkeypatch):
    np.savez(tmp_path / "table.npz", x=np.zeros(3))

    def fail(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(zipfile, "ZipFile", fail)
    with pytest.raises(OSError, match=r"cannot read: Input/output error: '.*table\.npz'") as caught:
        read_table(tmp_path / "table.npz")
    assert caught.value.errno == errno.EIO


def test_a_comma_at_the_end_of_each_row_moves_no_column(tmp_path):
    pytest.importorskip("pandas")
    (tmp_path / "table.csv").write_text("a,b\n1,2,\n4,5,\n")
    assert {name: column.tolist() for name, column in read_table(tmp_path / "table.csv").items()} == {
        "a": [1, 4], "b": [2, 5]}


BOMB = 8 * 2**20


@pytest.mark.parametrize("name", ["t.csv.gz", "t.csv.xz", "t.csv.zip", "t.jsonl.gz", "line.jsonl.gz", "t.xlsx",
                                  "t.parquet"])
def test_a_packed_table_takes_no_memory_for_what_it_claims(tmp_path, name, monkeypatch):
    """Of 8 MiB where 64 KiB and four times its size are allowed."""
    pytest.importorskip("pandas")
    for limit, value in (("MAX_TEXT_BYTES", 2**16), ("TEXT_EXPANSION", 4), ("MAX_CELL_BYTES", 2**18),
                         ("CELLS_EXPANSION", 4)):
        monkeypatch.setattr(f"fastsgd.tables.read.{limit}", value)
    line = b'{"a": 0}\n' if "json" in name else b"0,1\n"
    content = (b" " if name.startswith("line") else line) * (BOMB // (1 if name.startswith("line") else len(line)))
    if name.endswith((".zip", ".xlsx")):
        with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            archive.writestr("xl/worksheets/sheet1.xml", content)
    elif name.endswith(".parquet"):
        pa = pytest.importorskip("pyarrow")
        from pyarrow import parquet
        parquet.write_table(pa.table({"a": pa.array(np.zeros(BOMB // 8))}), tmp_path / name, compression="zstd")
    else:
        (tmp_path / name).write_bytes(gzip.compress(content, 1) if name.endswith(".gz") else
                                      lzma.compress(content, preset=0))
    if name.endswith(".xlsx"):
        pytest.importorskip("openpyxl")
    message, memory = peak(read_table, tmp_path / name)
    assert re.match(rf".*{name} cannot be read: (it unpacks to more than|it claims|its 1,048,576 rows)", message)
    assert memory < 3 * BOMB / 4


def test_json_lines_of_ever_new_names_take_no_memory(tmp_path):
    (tmp_path / "t.jsonl").write_text("".join(f'{{"{i}": 0}}\n' for i in range(20_000)))
    message, memory = peak(read_table, tmp_path / "t.jsonl")
    assert re.match(r".*t\.jsonl cannot be read: its .* rows of .* columns are more than such a file can hold", message)
    assert memory < 2**29


def npz(path, **members):
    """A file of arrays whose headers claim what they like: (dtype, shape, content) each."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, (dtype, shape, content) in members.items():
            with archive.open(f"{name}.npy", "w") as file:
                np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})
                file.write(content)


@pytest.mark.parametrize(("dtype", "shape", "content", "message"), [
    ("<f8", (2**40,), b"", "does not have the 8,796,093,022,208 bytes that it claims"),
    ("<f8", (2**62, 2**62, 2), b"", "100,000 columns are allowed"),
    ("<f8", (2,), bytes(17), "does not have the 16 bytes that it claims"),
    ("<U0", (30_000_000,), b"", "holds <U0, neither numbers, dates nor strings"),
    ("|S0", (30_000_000,), b"", r"holds \|S0, neither numbers, dates nor strings"),
    ("|O", (2,), b"cos\nsystem\n.", "holds object, neither numbers, dates nor strings"),
    ([("n" * 10**4, "<f8")], (2,), bytes(16), "has no header of the .npy format"),
    ([(f"{i}", "<f8") for i in range(500)], (2,), bytes(8000), "neither numbers, dates nor strings"),
    ("|u1", (1, 10**6), bytes(10**6), r"has the shape \(1, 1000000\); 100,000 columns are allowed in all"),
    ("|u1", (0, 10**6), b"", "100,000 columns are allowed in all"),
])
def test_an_npz_table_takes_no_memory_for_what_it_does_not_hold(tmp_path, dtype, shape, content, message):
    npz(tmp_path / "table.npz", y=("|u1", (1,), b"1"), x=(dtype, shape, content))
    found, memory = peak(read_table, tmp_path / "table.npz")
    assert re.match(rf".*table\.npz cannot be read: .*{message}", found)
    assert len(found) < 1000
    assert memory < 2**21


def test_an_npz_table_that_claims_more_than_deflate_can_hold(tmp_path):
    npz(tmp_path / "table.npz", x=("<f8", (2**28 + 2**20,), b""))
    content = bytearray((tmp_path / "table.npz").read_bytes())
    at = content.index(b"PK\1\2") + 24                 # the member's size in the archive's directory
    content[at:at + 4] = (128 + 8 * (2**28 + 2**20)).to_bytes(4, "little")
    (tmp_path / "table.npz").write_bytes(content)
    found, memory = peak(read_table, tmp_path / "table.npz")
    assert "table.npz cannot be read: its arrays claim 2,155,872,384 bytes, more than it can hold" in found
    assert memory < 2**20


@pytest.mark.parametrize("text", ["[]," * LENGTH, "[" * 2**20,
                                  '{"columns": [{"kind": "number", "name": "a", "mean": 1' + "0" * 400
                                  + ', "scale": 1}], "target": {}}'])
def test_an_encoding_that_is_none(text):
    message, memory = peak(Encoding.from_json, text)
    assert "the model file's table encoding is damaged" in message
    assert memory < 2 * len(text) + 64 * 2**20


def test_evaluations_come_back_as_whole_numbers():
    names = {"metric_name": "r2", "steps": 9}
    history = History.checked(names, {"validation_steps": np.array([3.0, 9.0]), "cost": np.zeros(0)})
    assert history.validation_steps == [3, 9]
    assert all(type(step) is int for step in history.validation_steps)


@pytest.mark.parametrize("node", ["Mul", "MatMul", "Cast"])
def test_graphs_that_make_more_than_they_hold(tmp_path, node):
    onnx = pytest.importorskip("onnx")
    width = 1000 if node == "MatMul" else 100_000
    W = np.zeros((width, width) if node == "MatMul" else width, np.float32)
    nodes = [onnx.helper.make_node(node, ["W"] if node == "Cast" else [f"x{i}", "W"], [f"x{i + 1}"],
                                   **({"to": 11} if node == "Cast" else {})) for i in range(200)]
    model = onnx.helper.make_model(onnx.helper.make_graph(
        nodes, "bomb", [onnx.helper.make_tensor_value_info("x0", 1, ["rows", width])],
        [onnx.helper.make_tensor_value_info("x200", 1, ["rows", None])], [onnx.numpy_helper.from_array(W, "W")]),
        opset_imports=[onnx.helper.make_opsetid("", 17)])
    onnx.save(model, tmp_path / "bomb.onnx")
    size = (tmp_path / "bomb.onnx").stat().st_size
    message, memory = peak(fastsgd.interop.from_onnx, tmp_path / "bomb.onnx")
    assert "its nodes make arrays of more than 4 times the file's size" in message
    assert memory < 8 * size + 64 * 2**20


@pytest.mark.parametrize(("node", "attributes", "weights", "message"), [
    ("Gemm", {"alpha": [1.0] * 4000}, np.ones((4000, 1), np.float32), "alpha and beta must be numbers"),
    ("MatMul", {}, np.ones((0, 2**24), np.float32), r"its weights have shape \(0, 16777216\)"),
])
def test_a_layer_made_of_little(tmp_path, node, attributes, weights, message):
    onnx = pytest.importorskip("onnx")
    model = onnx.helper.make_model(onnx.helper.make_graph(
        [onnx.helper.make_node(node, ["x", "W"], ["y"], **attributes)], "bomb",
        [onnx.helper.make_tensor_value_info("x", 1, ["rows", "columns"])],
        [onnx.helper.make_tensor_value_info("y", 1, None)], [onnx.numpy_helper.from_array(weights, "W")]),
        opset_imports=[onnx.helper.make_opsetid("", 17)])
    onnx.save(model, tmp_path / "bomb.onnx")
    found, memory = peak(fastsgd.interop.from_onnx, tmp_path / "bomb.onnx")
    assert re.search(rf"bomb\.onnx: .*{message}", found)
    assert memory < 2**20


def test_a_gzipped_idx_file_takes_twice_what_its_header_claims_at_most(tmp_path):
    head = struct.pack(">HBBI", 0, 8, 1, 2**24)
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(head + bytes(2**26), 1))
    message, memory = peak(read_idx, tmp_path / "bomb.gz")
    assert "bomb.gz is cut short or too long" in message
    assert memory < 2 * 2**24


def test_the_room_for_json_is_64_mib():
    text = "[" * 2**20                                     # counts 2 + 64 bytes each
    bounded_json.check_json([text], 2**20)
    with pytest.raises(ValueError, match=r"twice 1,048,576 bytes and 67,108,864"):
        bounded_json.check_json([text, "[" * 2], 2**20)


def test_an_encoding_that_is_a_bomb():
    text = "[" + "[]," * (4 * 2**20) + "0]"
    message, memory = peak(Encoding.from_json, text)
    assert "the model file's table encoding is damaged: JSON of" in message
    assert memory < 2 * len(text) + 64 * 2**20
