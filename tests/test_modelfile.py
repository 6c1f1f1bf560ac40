"""Does a model file hold everything, open elsewhere, and is a damaged or foreign one refused in words?"""
import json
import os
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastsgd
from fastsgd import losses
from fastsgd.network import model_file


def make(**arguments):
    net = fastsgd.Network([5, 4, 3, 2], ["gelu", "tanh"], seed=0, **arguments)
    net.metadata["note"] = "Zürich"
    return net


NETS = [
    {}, {"dtype": "float64"}, {"loss": "squared_error", "output": "tanh"}, {"loss": losses.Huber(0.3)},
    {"loss": losses.Quantile([0.2, 0.7])}, {"loss": "poisson"}, {"loss": "binary_cross_entropy"},
    {"loss": losses.Quantile([0.2, 0.7]), "output": "sorted", "output_scale": 3.0}, {"loss": losses.Tweedie(1.3)},
    {"loss": "gaussian_nll", "output_scale": 3.0, "output_offset": 1.0}, {"loss": losses.Focal(0.5)},
    {"loss": "ordinal"},
]


@pytest.mark.parametrize("arguments", NETS)
def test_round_trip(tmp_path, arguments):
    net = make(**arguments)
    net.save(tmp_path / "net.safetensors")
    twin = fastsgd.Network.load(tmp_path / "net.safetensors")
    assert twin.architecture == net.architecture
    assert twin.metadata == net.metadata
    assert twin.dtype == net.dtype
    np.testing.assert_array_equal(twin.params, net.params)
    assert os.listdir(tmp_path) == ["net.safetensors"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_safetensors_library_reads_our_files_and_we_read_its(tmp_path, dtype):
    safetensors = pytest.importorskip("safetensors")
    numpy = pytest.importorskip("safetensors.numpy")
    net = make(dtype=dtype)
    net.save(tmp_path / "ours.safetensors")
    tensors = numpy.load_file(tmp_path / "ours.safetensors")
    for layer in range(3):
        np.testing.assert_array_equal(tensors[f"weights.{layer}"], net.weights[layer])
        np.testing.assert_array_equal(tensors[f"biases.{layer}"], net.biases[layer])
    with safetensors.safe_open(tmp_path / "ours.safetensors", "numpy") as file:
        metadata = file.metadata()
    assert metadata["note"] == "Zürich"
    numpy.save_file(tensors, tmp_path / "theirs.safetensors", metadata=metadata)   # in its own order
    np.testing.assert_array_equal(fastsgd.Network.load(tmp_path / "theirs.safetensors").params, net.params)


def parts(path):
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8:8 + length]), data[8 + length:]


def join(header, body):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def tampered():
    """Name and a function of (header, body) that returns a damaged file's bytes."""
    def edit(change):
        def damage(header, body):
            change(header)
            return join(header, body)
        return damage

    def architecture(**changes):
        def change(header):
            fields = json.loads(header["__metadata__"]["fastsgd.architecture"])
            header["__metadata__"]["fastsgd.architecture"] = json.dumps({**fields, **changes})
        return edit(change)

    first = "weights.0"
    return {
        "empty": lambda header, body: b"",
        "seven bytes": lambda header, body: b"1234567",
        "a header larger than the file": lambda header, body: (2**62).to_bytes(8, "little") + b"{}",
        "a header that is no JSON": lambda header, body: join(b"\xff\xfe{", body),
        "a header that is a list": lambda header, body: join(b"[1, 2]", body),
        "deeply nested JSON": lambda header, body: join(b"[" * 100_000, body),
        "a key twice": lambda header, body: join(json.dumps(header).encode()[:-1] + b', "weights.0": {}}', body),
        "cut short": lambda header, body: join(header, body[:-1]),
        "too long": lambda header, body: join(header, body + b"\0"),
        "no metadata": edit(lambda header: header.pop("__metadata__")),
        "metadata of another program": edit(lambda header: header.update(__metadata__={"format": "pt"})),
        "metadata that is not text": edit(lambda header: header["__metadata__"].update(note=1)),
        "a later version": edit(lambda header: header["__metadata__"].update({"fastsgd.version": "2"})),
        "a tensor missing": edit(lambda header: header.pop("biases.2")),
        "a tensor too many": edit(lambda header: header.update(extra=header[first])),
        "a tensor of another dtype": edit(lambda header: header[first].update(dtype="I32")),
        "mixed dtypes": edit(lambda header: header["biases.0"].update(dtype="F64")),
        "a tensor of another shape": edit(lambda header: header[first].update(shape=[4, 5])),
        "a tensor that is no object": edit(lambda header: header.update({first: 3})),
        "overlapping tensors": edit(lambda header: header[first].update(data_offsets=[8, 88])),
        "negative offsets": edit(lambda header: header[first].update(data_offsets=[-80, 0])),
        "offsets beyond the file": edit(lambda header: header[first].update(data_offsets=[2**40, 2**40 + 80])),
        "offsets that are no integers": edit(lambda header: header[first].update(data_offsets=[0.0, 80.0])),
        "a dtype that is a list": edit(lambda header: header[first].update(dtype=[])),
        "an activation that is null": architecture(activations=["gelu", "tanh", None]),
        "no offsets": edit(lambda header: header[first].pop("data_offsets")),
        "sizes that overflow": architecture(sizes=[2**31 - 1, 2**31 - 1, 2**31 - 1, 2**31 - 1]),
        "sizes that lie": architecture(sizes=[5, 4, 3, 3]),
        "sizes below one": architecture(sizes=[5, 4, 0, 2]),
        "sizes that are text": architecture(sizes="5432"),
        "sizes that are booleans": architecture(sizes=[5, 4, True, 2]),
        "an unknown activation": architecture(activations=["gelu", "step", "softmax"]),
        "activations missing": architecture(activations=["softmax"]),
        "activations of another kind": architecture(activations=7),
        "an unknown loss": architecture(loss="hinge"),
        "a loss of another kind": architecture(loss=["huber"]),
        "an output that does not go with the loss": architecture(activations=["gelu", "tanh", "exp"]),
        "no loss parameters": architecture(loss="huber", activations=["gelu", "tanh", "identity"], loss_parameters=[]),
        "a quantile of 7": architecture(loss="quantile", activations=["gelu", "tanh", "identity"],
                                        loss_parameters=[7, 7]),
    }


@pytest.mark.parametrize("name", tampered())
def test_damaged_files_are_refused_in_words(tmp_path, name):
    make().save(tmp_path / "good.safetensors")
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(tampered()[name](*parts(tmp_path / "good.safetensors")))
    with pytest.raises(ValueError, match=r"bad\.safetensors.{10,}"):
        fastsgd.Network.load(bad)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_mutated_files_load_or_raise_value_error(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("mutated")
    make().save(folder / "good.safetensors")
    content = bytearray((folder / "good.safetensors").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        action = data.draw(st.sampled_from(["flip", "cut", "insert"]))
        if action == "flip":
            content[at] = data.draw(st.integers(0, 255))
        elif action == "cut":
            del content[at:at + data.draw(st.integers(1, 30))]
        else:
            content[at:at] = data.draw(st.binary(max_size=8))
        if not content:
            break
    (folder / "bad.safetensors").write_bytes(content)
    try:
        net = fastsgd.Network.load(folder / "bad.safetensors")
    except ValueError as error:
        refusal = str(error)
    else:                                            # the mutation hit padding, metadata or a weight
        refusal = "bad.safetensors"
        assert net.predict(np.zeros((1, 5))).shape == (1, 2)
    assert "bad.safetensors" in refusal


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        fastsgd.Network.load(tmp_path / "nowhere.safetensors")


def test_a_save_that_fails_names_the_path_and_leaves_the_old_file(tmp_path, monkeypatch):
    net = make()
    path = tmp_path / "net.safetensors"
    net.save(path)
    before = path.read_bytes()
    net.params[:] = 0
    for function in ("fsync", "replace"):
        def fail(*_):
            raise OSError(28, "No space left on device")
        with monkeypatch.context() as patch:
            patch.setattr(os, function, fail)
            with pytest.raises(OSError, match=r"cannot write: No space left on device: .*net\.safetensors"):
                net.save(path)
        assert path.read_bytes() == before
        assert os.listdir(tmp_path) == ["net.safetensors"]
    with pytest.raises(OSError, match=r"nowhere"):
        net.save(tmp_path / "nowhere" / "net.safetensors")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps permissions otherwise, and few may make links")
def test_a_save_follows_links_keeps_permissions_and_spares_what_is_no_file(tmp_path):
    net = make()
    net.save(tmp_path / "target.safetensors")
    os.chmod(tmp_path / "target.safetensors", 0o640)
    (tmp_path / "link").symlink_to("target.safetensors")
    net.params[:] = 1
    net.save(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (fastsgd.Network.load(tmp_path / "target.safetensors").params == 1).all()
    assert os.stat(tmp_path / "target.safetensors").st_mode & 0o777 == 0o640
    net.save(os.fsencode(tmp_path / ("n" * 250)))
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(OSError, match="cannot write: "):
            net.save(path)
    assert len(os.listdir(tmp_path)) == 4


def test_a_long_name_of_wide_characters(tmp_path, monkeypatch):
    path = tmp_path / ("漢" * 80)                        # 240 bytes
    temporary = []
    monkeypatch.setattr(os, "replace", lambda source, _: temporary.append(os.path.basename(source)))
    make().save(path)
    assert len(os.fsencode(temporary[0])) <= 255
    stale = tmp_path / temporary[0]
    stale.write_text("left behind")
    os.utime(stale, (0, 0))
    make().save(path)
    assert not stale.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps permissions otherwise, and few may make links")
def test_a_private_file_is_private_while_it_is_replaced(tmp_path, monkeypatch):
    path = tmp_path / "net.safetensors"
    make().save(path)
    modes = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: modes.append(os.fstat(descriptor).st_mode & 0o777))
    for mode in (0o600, 0o644):
        os.chmod(path, mode)
        modes.clear()
        make().save(path)
        assert modes[0] == 0o600
        assert os.stat(path).st_mode & 0o777 == mode


def test_metadata_that_cannot_be_kept(tmp_path):
    for key, value in (("fastsgd.version", "9"), ("n", 3), (3, "n")):
        net = make()
        net.metadata[key] = value
        with pytest.raises(ValueError, match="metadata must map strings to strings"):
            net.save(tmp_path / "net.safetensors")
    net = make()
    net.metadata["large"] = "a" * 17 * 2**20
    with pytest.raises(ValueError, match="metadata is too large"):
        net.save(tmp_path / "net.safetensors")
    assert not os.listdir(tmp_path)


def test_tensors_begin_at_a_multiple_of_64(tmp_path):
    make().save(tmp_path / "net.safetensors")
    data = (tmp_path / "net.safetensors").read_bytes()
    assert (8 + int.from_bytes(data[:8], "little")) % 64 == 0
    assert model_file.VERSION == "1", "a new layout needs a golden file of version 1 in the tests"


def test_more_damaged_headers(tmp_path):
    net = fastsgd.Network([2, 2], seed=0)
    path = tmp_path / "net"

    def change(edit, body=None):
        net.save(path)
        header, content = parts(path)
        edit(header)
        path.write_bytes(join(header, content if body is None else body))

    def whole_numbers(header):                             # all of I64
        header["weights.0"].update(dtype="I64", data_offsets=[0, 32])
        header["biases.0"].update(dtype="I64", data_offsets=[32, 48])

    def mixed(header):                                     # F32 and F64, each of its right length
        header["biases.0"].update(dtype="F64", data_offsets=[16, 32])

    def of_a_run(header):                                  # "run." is a checkpoint's, and this is none
        header["run.x"] = {"dtype": "F32", "shape": [1], "data_offsets": [24, 28]}

    def gap(header):
        header["biases.0"]["data_offsets"] = [20, 28]

    def overlap(header):                                   # "overlapping tensors" of tampered() leaves a gap instead
        header["biases.0"]["data_offsets"] = [8, 16]

    def parameters(header):                                # a loss that has none
        text = json.loads(header["__metadata__"]["fastsgd.architecture"])
        header["__metadata__"]["fastsgd.architecture"] = json.dumps({**text, "loss_parameters": [0.5]})

    for edit, length, message in ((whole_numbers, 48, "should have either F32 or F64"),
                                  (mixed, 32, "should have either F32 or F64"),
                                  (of_a_run, 28, "does not hold the tensors of its architecture"),
                                  (overlap, 16, "tensors overlap or leave a gap at byte 16"),
                                  (gap, 28, "tensors overlap or leave a gap at byte 16"),
                                  (parameters, 24, r"its loss_parameters \[0.5\] are not those of cross_entropy"),
                                  (lambda header: header.update(__metadata__=["a"]), 24, "has metadata that is not t")):
        change(edit, bytes(length))
        with pytest.raises(ValueError, match=message):
            fastsgd.Network.load(path)


def test_an_offset_alone_is_kept(tmp_path):
    net = fastsgd.Network([3, 2], seed=0, input_offset=[1.0, 2, 3])
    net.save(tmp_path / "net")
    assert fastsgd.Network.load(tmp_path / "net").architecture == net.architecture
    for key in ("fastsgd.architecture", "fastsgd.checkpoint", "fastsgd.new"):
        net.metadata = {key: "{}"}
        with pytest.raises(ValueError, match=rf"no key beginning with 'fastsgd\.'; got '{key}'"):
            net.save(tmp_path / "net")


def test_a_network_of_a_checkpoint_can_be_saved(digits, tmp_path):
    (X, y), _ = digits
    fastsgd.train(fastsgd.Network([64, 10], seed=0), X, y, epochs=1, checkpoint=tmp_path / "run.ckpt")
    net = fastsgd.Network.load(tmp_path / "run.ckpt")
    assert net.metadata == {}
    net.save(tmp_path / "net")
