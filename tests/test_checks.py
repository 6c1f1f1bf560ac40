"""Does each check take what is allowed up to its bounds, as it should, and refuse the next in the words it should?"""
import errno
import json
import os
import pickle
import re

import numpy as np
import pytest
from test_modelfile import join, make, parts

import fastsgd
from fastsgd import losses
from fastsgd.arguments import check_whole
from fastsgd.data import checks
from fastsgd.data.checks import Csr
from fastsgd.files import atomic, safetensors
from fastsgd.model.architecture import Architecture
from fastsgd.network import model_file

F32, F64 = np.dtype("float32"), np.dtype("float64")
ROWS = Csr(np.array([0, 2, 2, 3]), np.array([0, 2, 1, 9], np.int32), np.array([1, 2, 3, 7], F32), (3, 3))
DENSE = np.array([[1, 0, 2], [0, 0, 0], [0, 3, 0]], F32)
NUMBERED = ("; np.unique(y, return_inverse=True)[1] numbers classes from 0, and quantities need a loss such as "
            "squared_error")


def says(error, message):
    return pytest.raises(error, match=f"^{re.escape(message)}$")


def test_sparse_rows_as_dense_ones_chosen_and_stacked():
    assert ROWS.dense().dtype == F32
    np.testing.assert_array_equal(ROWS.dense(), DENSE)                    # the entry beyond the last row is no entry
    for rows in ([2, 0], [1], [], [0, 0, 2]):
        chosen = ROWS[np.array(rows, int)]
        np.testing.assert_array_equal(chosen.dense(), DENSE[rows])
        assert (chosen.indptr.dtype, chosen.indices.dtype, len(chosen)) == (np.int64, np.int32, len(rows))
        assert len(chosen.values) == len(chosen.indices) == chosen.indptr[-1]
    assert checks.stack([ROWS]) is ROWS
    three = checks.stack([ROWS, ROWS[[2]], ROWS])
    np.testing.assert_array_equal(three.dense(), np.concatenate([DENSE, DENSE[2:], DENSE]))
    np.testing.assert_array_equal(checks.stack([DENSE, DENSE[:1]]), np.concatenate([DENSE, DENSE[:1]]))


def test_own_copies_what_is_shared_and_nothing_else():
    given = DENSE.copy()
    assert not np.shares_memory(checks.copy_if_shared(given, given), given)
    assert checks.copy_if_shared(given, given.tolist()) is given
    assert checks.copy_if_shared(given, DENSE) is given
    sparse = pytest.importorskip("scipy.sparse").csr_array(DENSE)
    mine = checks.copy_if_shared(Csr(sparse.indptr, sparse.indices, sparse.data, sparse.shape), sparse)
    for part, theirs in ((mine.indptr, sparse.indptr), (mine.indices, sparse.indices), (mine.values, sparse.data)):
        assert not np.shares_memory(part, theirs)
    assert checks.copy_if_shared(ROWS, sparse).values is ROWS.values


def test_mapped_rows(tmp_path):
    assert checks.check_mapped_rows(DENSE, 3) is DENSE
    assert checks.check_mapped_rows(DENSE[:1, :1], 1).shape == (1, 1)
    for bad, error, message in ((DENSE.astype(complex), TypeError, "X must hold real numbers, got dtype complex128"),
                                (DENSE[:0], ValueError, "X is empty, shape (0, 3)"),
                                (DENSE[0], ValueError, "X must be 2-D (rows, columns), got shape (3,); .reshape(1, -1) "
                                                       "makes it one row")):
        with says(error, message):
            checks.check_mapped_rows(bad, 3)
    np.save(tmp_path / "rows.npy", DENSE)
    content = (tmp_path / "rows.npy").read_bytes()
    for damaged in (pickle.dumps(DENSE), b"", b"plain text", content[:-1], content[:40],
                    content.replace(b"(3, 3)", b"(((((("), content.replace(b"<f4", b"|O ")):
        (tmp_path / "damaged.npy").write_bytes(damaged)
        with pytest.raises(ValueError, match=r"^X cannot be read from .*damaged\.npy: ") as caught:
            checks.open_npy(tmp_path / "damaged.npy", "X")
        assert "allow_pickle" not in str(caught.value)
    assert (checks.open_npy(tmp_path / "rows.npy", "X") == DENSE).all()
    with pytest.raises(FileNotFoundError, match=r"nowhere\.npy"):
        checks.open_npy(tmp_path / "nowhere.npy", "X")
    with says(TypeError, "X must hold real numbers or be the path of an .npy file, got 'rows.csv'"):
        checks.open_npy("rows.csv", "X")


def csr(indptr, indices, values, shape=(3, 3)):
    made = pytest.importorskip("scipy.sparse").csr_array(DENSE)
    made.indptr, made.indices, made.data = np.array(indptr), np.array(indices), np.array(values, F32)
    made._shape = shape
    return made


def test_sparse_matrices():
    def check(X, **more):
        return checks.check_rows(X, 3, F32, **more)

    np.testing.assert_array_equal(check(csr([0, 2, 2, 3], [0, 2, 1], [1, 2, 3])).dense(), DENSE)
    np.testing.assert_array_equal(check(csr([0, 2, 2, 3], [2, 0, 1], [2, 1, 3])).dense(), DENSE)       # not in order
    twice = csr([0, 3, 3, 4], [0, 2, 2, 1], [1, 1, 1, 3])
    twice.has_canonical_format = True                                                                   # a lie
    np.testing.assert_array_equal(check(twice).dense(), DENSE)
    in_order = csr([0, 1, 2, 3], [2, 1, 0], [1, 2, 3])                  # falls from row to row, which is no disorder
    assert np.shares_memory(check(in_order).values, in_order.data)
    empty = check(csr([0, 0, 0, 0], [], []))
    assert (empty.values.dtype, empty.values.shape, empty.indices.dtype) == (F32, (0,), np.int32)
    np.testing.assert_array_equal(check(csr([0, 2, 2, 3], [0, 2, 1], [1, 2, 3]), scale=(2.0, 3.0, 4.0)).dense(),
                                  DENSE * [2, 3, 4])
    broken = "X is not a CSR matrix: its indptr must rise from 0 to at most its number of entries"
    for indptr in ([0, 2, 3], [1, 2, 2, 3], [0, 2, 1, 3], [0, 2, 2, 4]):
        with says(ValueError, broken):
            check(csr(indptr, [0, 2, 1], [1, 2, 3]))
    with says(ValueError, broken):
        check(csr([0, 2, 2, 3], [0, 2, 1], [1, 2]))
    for column in (3, -1):
        with says(ValueError, f"X.indices[1] is {column}; allowed are 0 to 2"):
            check(csr([0, 2, 2, 3], [0, column, 1], [1, 2, 3]))
    with says(ValueError, "X is sparse, so the network's input_offset must be 0: it would make every zero something "
                          "else"):
        check(csr([0, 2, 2, 3], [0, 2, 1], [1, 2, 3]), offset=(1.0,))
    with says(ValueError, "X is empty, shape (0, 3)"):
        check(csr([0], [], [], (0, 3)))


def targets(y, outputs, loss, dtype=F32):
    return checks.check_targets(np.asarray(y), len(y), Architecture.checked([1, outputs], "relu", loss), dtype)


@pytest.mark.parametrize("loss", losses.names(losses.MARGINS))
def test_targets_of_margins(loss):
    for yes_or_no in ([0, 1, 1], [-1, 1, 1], [[0], [1], [1]]):
        found = targets(yes_or_no, 1, loss)
        assert found.dtype == F32
        np.testing.assert_array_equal(found, [[-1], [1], [1]])
    for labels, outputs in (([1, 0, 1], 2), ([2, 0, 1], 3)):
        found = targets(labels, outputs, loss)
        assert (found.dtype, found.tolist()) == (np.int32, labels)
    with says(ValueError, f"y must be -1 or 1, or 0 or 1, for {loss}, got 2.0"):
        targets([1, 2, 0.5], 1, loss)
    with says(ValueError, f"y must be class labels, whole numbers 0 to 1; y[2] is 2{NUMBERED}"):
        targets([0, 1, 2], 2, loss)


def test_targets_of_other_losses():
    assert targets([[1], [0]], 2, "cross_entropy").tolist() == [1, 0]
    assert targets([1, 0], 2, "binary_cross_entropy").dtype == np.int32
    assert targets([1, 0], 1, "binary_cross_entropy").tolist() == [[1], [0]]
    assert targets([0, 1], 1, "poisson").tolist() == [[0], [1]]
    np.testing.assert_array_equal(targets([1.5, 2], 3, "quantile"), [[1.5] * 3, [2] * 3])
    np.testing.assert_array_equal(targets([[1, 2], [3, 4]], 2, "quantile"), [[1, 2], [3, 4]])
    for loss in ("squared_error", "huber"):
        with says(ValueError, "y must have shape (2, 3), outputs being the network's last size; got (2, 1)"):
            targets([1, 2], 3, loss)
    with says(ValueError, "y must have rows that sum to 1 for cross_entropy; row 1 sums to 0.5"):
        targets([[0.5, 0.5], [0.5, 0]], 2, "cross_entropy")
    with says(ValueError, "y must have rows that sum to 1 for cross_entropy; row 1 sums to 2"):
        targets([[0.5, 0.5], [1, 1], [0.4, 0.4]], 2, "cross_entropy")
    with says(ValueError, "y must not be negative for poisson, got -0.5"):
        targets([1, -0.5], 1, "poisson")
    for wrong in (np.nan, np.inf, -1, 2, 0.5):
        with says(ValueError, f"y must be class labels, whole numbers 0 to 1; y[1] is {float(wrong)}{NUMBERED}"):
            targets([1.0, wrong], 2, "cross_entropy")


def test_weights_of_rows():
    weights = np.array([0, 2, 1])
    found = checks.check_sample_weight(weights, 3)
    assert (found.dtype, found.tolist()) == (F64, [0, 2, 1])
    given = np.array([1.0, 2.0])
    assert not np.shares_memory(checks.check_sample_weight(given, 2), given)
    assert checks.check_sample_weight(np.arange(8.0)[::2], 4).flags.c_contiguous
    assert checks.check_sample_weight([0, 0], 2, all_zero=True).tolist() == [0, 0]
    assert checks.check_sample_weight(None, 2) is None
    for bad, error, message in (([1], ValueError, "sample_weight must have shape (2,), one weight per row of X, got "
                                               "(1,)"),
                                ([1, -2], ValueError, "sample_weight must not be negative; sample_weight[1] is -2"),
                                ([0, 0], ValueError, "sample_weight is 0 throughout, so no row counts"),
                                (["ab"], TypeError, "sample_weight must hold real numbers, got dtype <U2; encode "
                                                  "strings as numbers first")):
        with says(error, message):
            checks.check_sample_weight(bad, 2)


def test_weights_of_classes():
    check = checks.check_class_weight
    y = np.array([0, 1, 1, 1])
    assert check(None, y, "cross_entropy", 3) is None
    np.testing.assert_allclose(check("balanced", y, "cross_entropy", 3), [2, 2 / 3, 2 / 3, 2 / 3])
    np.testing.assert_allclose(check({1: 3}, np.eye(3)[y], "cross_entropy", 3), [1, 3, 3, 3])
    np.testing.assert_allclose(check([0, 5], np.array([[0], [1], [0.5]]), "binary_cross_entropy", 1), [0, 5, 0])
    np.testing.assert_allclose(check([4, 5], np.array([[-1], [1]]), "hinge", 1), [4, 5])
    assert check([0, 0, 0], y, "cross_entropy", 3).tolist() == [0, 0, 0, 0]        # train looks at the product
    with says(ValueError, "class_weight needs cross_entropy, focal, ordinal, or class labels, or one output of "
                          "binary_cross_entropy, hinge, perceptron, squared_hinge, modified_huber; "
                          "this network has binary_cross_entropy"):
        check("balanced", np.eye(2), "binary_cross_entropy", 2)
    with says(ValueError, "class_weight needs cross_entropy, focal, ordinal, or class labels, or one output of "
                          "binary_cross_entropy, hinge, perceptron, squared_hinge, modified_huber; "
                          "this network has squared_error"):
        check("balanced", np.ones((2, 1)), "squared_error", 1)
    with says(ValueError, "class_weight of the rows must not be negative; class_weight of the rows[0] is -1"):
        check([-1, 1, 1], y, "cross_entropy", 3)
    for bad, error, message in (("even", ValueError, "class_weight must be 'balanced', a dict or a sequence, got "
                                                     "'even'"),
                                ({3: 1}, ValueError, "class_weight must be for classes 0 to 2, got 3"),
                                ({-1: 1}, ValueError, "class_weight must be for classes 0 to 2, got -1"),
                                ({True: 1}, ValueError, "class_weight must be for classes 0 to 2, got True"),
                                ({"a": 1}, ValueError, "class_weight must be for classes 0 to 2, got 'a'"),
                                ({0: "b"}, TypeError, "class_weight must hold numbers, got 'b' for class 0"),
                                ({2: True}, TypeError, "class_weight must hold numbers, got True for class 2"),
                                (None, TypeError, "class_weight must hold real numbers, got None"),
                                ([1], ValueError, "class_weight must have one weight for each of the 3 classes, got "
                                                  "shape (1,)")):
        with says(error, message):
            checks.weights_of_classes(bad, y, 3)
    weighted = checks.weights_of_classes("balanced", np.array([0, 1, 1, 1, 2]), 4, np.array([3.0, 1, 0.5, 0.5, 0]))
    np.testing.assert_allclose(weighted, [5 / 6, 5 / 4, 5 / 2, 5 / 2])      # the last two have no row that counts
    assert checks.weights_of_classes([1, 2, 3], y, 3).dtype == F64
    assert checks.weights_of_classes({0: 2, 2: 4}, y, 3).tolist() == [2, 1, 4]


def test_weights_of_outputs():
    check = checks.check_positive_weight
    y = np.array([0, 1, 1, 1])
    assert check(None, y, 3) == ()
    found = check([0, 2, 3], y, 3)
    assert found == (0.0, 2.0, 3.0)
    assert all(type(weight) is float for weight in found)
    assert check("balanced", y, 2) == (2.0, pytest.approx(2 / 3))
    assert check("balanced", y, 2, np.array([1.0, 0.5, 0.5, 0])) == (1.0, 1.0)
    assert check([0, 0], y, 2) == (0.0, 0.0)
    with says(ValueError, "class_weight must not be negative; class_weight[1] is -1"):
        check([1, -1], y, 2)


def test_numbers_of_rows_and_fractions():
    assert [checks.check_batch_size(size, 5) for size in (None, 1, 2, np.int64(5), 9)] == [5, 1, 2, 5, 5]
    for name, value, least in (("a", 0, 0), ("b", 1, 1), ("c", np.int32(7), 7)):
        check_whole(name, value, least)
    with says(ValueError, "a must be at least 1, got 0"):
        check_whole("a", 0, 1)
    for bad in (True, 1.0, "1", None):
        with says(TypeError, f"a must be a whole number, got {bad!r}"):
            check_whole("a", bad, 0)
        if bad is not None:
            with says(TypeError, f"batch_size must be a whole number, or None for all rows, got {bad!r}"):
                checks.check_batch_size(bad, 5)
    checks.check_fraction(0.999, "a")
    checks.check_fraction(0, "a", least_included=True)
    for value, included, allowed in ((0, False, "above"), (1, True, "at least"), (1, False, "above"),
                                     (-0.1, True, "at least"), (np.nan, False, "above")):
        with says(ValueError, f"a must be {allowed} 0 and below 1, got {value}"):
            checks.check_fraction(value, "a", included)
    with says(TypeError, "a must be a number between 0 and 1, got '0'"):
        checks.check_fraction("0", "a")


def test_dropout_rates():
    rates = checks.check_rates
    assert [rates(0.5, 2), rates([0.5, 0], 2), rates(0, 2), rates(0, 0), rates([0, 0], 2), rates([], 0)] == \
        [(0.5, 0.5), (0.5, 0.0), (), (), (), ()]
    for dropout, hidden, error, message in (
            (0.5, 0, ValueError, "dropout acts on hidden layers; this network has none"),
            ([0.5], 2, ValueError, "dropout must be one number or 2, one per hidden layer, got 1"),
            (1.0, 2, ValueError, "dropout must be at least 0 and below 1, got 1.0"),
            (None, 2, TypeError, "dropout must be a number, or one per hidden layer, got None")):
        with says(error, message):
            rates(dropout, hidden)


def test_arrays_of_numbers():
    class Sparse:
        def toarray(self):
            return DENSE

    masked = np.ma.masked_greater(DENSE, 2)
    for bad, error, message in ((None, TypeError, "X must hold real numbers, got None"),
                                ("rows.npy", TypeError, "X must be an array of real numbers, got 'rows.npy'; np.load "
                                                        "reads an .npy file"),
                                (Sparse(), TypeError, "X must be dense; pass X.toarray()"),
                                (masked, TypeError, "X has masked values; fill or drop them first"),
                                ([], ValueError, "X is empty, shape (0,)"),
                                (["1"], TypeError, "X must hold real numbers, got dtype <U1; encode strings as numbers "
                                                   "first"),
                                ([1j], TypeError, "X must hold real numbers, got dtype complex128"),
                                (np.array(["2000"], "M8[D]"), TypeError,
                                 "X must hold real numbers, got dtype datetime64[D]"),
                                (np.array([1, b"2"], object), TypeError, "X must hold real numbers, got dtype object; "
                                                                         "encode strings as numbers first")):
        with says(error, message):
            checks.as_numbers(bad, "X")
    assert checks.as_numbers(np.array([1, 2.5], object), "X").tolist() == [1, 2.5]
    assert checks.as_numbers([True], "X").dtype == bool
    pandas = pytest.importorskip("pandas")
    with says(ValueError, "X[1, 0] is missing (pandas.NA); missing values must be removed or filled first"):
        checks.as_numbers(pandas.DataFrame({"a": pandas.array([1.5, None], dtype="Float32"), "b": 1}), "X")
    large = np.array([[1.0, 2.0], [3e38, 3e38]])
    np.testing.assert_array_equal(checks.to_dtype(large, F32, "X"), large.astype(F32))   # though their sum is not
    with says(ValueError, "X[1, 0] is 1e+39, too large for float32; scale the data or use float64"):
        checks.to_dtype(np.array([[1.0], [1e39]]), F32, "X")
    with says(ValueError, "X[0, 1] is nan; NaN and infinity must be removed or filled first"):
        checks.to_dtype(np.array([[1.0, np.nan]]), F64, "X")
    for seed in (-1, "a"):
        with says((TypeError, ValueError), f"seed must be None or a whole number at least 0, got {seed!r}"):
            checks.generator(seed)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has other pipes, and other error numbers")
def test_what_cannot_be_written_is_said_with_its_number(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, number, words in ((tmp_path, errno.EISDIR, "it is a folder; give a file name"),
                                (tmp_path / "pipe", errno.EEXIST, "it exists and is not a regular file"),
                                (tmp_path / "no" / "file", errno.ENOENT, "No such file or directory")):
        for write in (atomic.check_writable, lambda path: atomic.write_atomically(path, [b""])):
            with pytest.raises(OSError, match="cannot write") as caught:
                write(path)
            assert (caught.value.errno, caught.value.strerror, caught.value.filename) == \
                (number, f"cannot write: {words}", str(path))
    before = os.umask(0o022)
    try:
        atomic.write_atomically(tmp_path / "new", [b"a", b"b"])
    finally:
        os.umask(before)
    assert (tmp_path / "new").read_bytes() == b"ab"
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o644


def rewritten(tmp_path, change=None, **fields):
    """The path of a network's file, its header or its architecture's fields changed."""
    path = tmp_path / "net"
    make(**fields.pop("network", {})).save(path)
    header, body = parts(path)
    if fields:
        text = json.loads(header["__metadata__"]["fastsgd.architecture"])
        header["__metadata__"]["fastsgd.architecture"] = json.dumps({**text, **fields})
    path.write_bytes(join(change(header) or header if change else header, body))
    return path


def test_model_files_are_refused_in_these_words(tmp_path):
    def first(**entries):
        return lambda header: header["weights.0"].update(entries)

    def swapped(header):
        for name in ("biases.0", "biases.1"):
            header[name]["shape"] = [1, header[name]["shape"][0]]

    nothing = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    path = tmp_path / "net"
    described = f"{path} does not describe a network: "
    for arguments, message in (
            ({"change": lambda header: header.pop("__metadata__") and None},
             f"{path} was not written by fastsgd: it has no fastsgd.architecture"),
            ({"change": lambda header: header["__metadata__"].pop("fastsgd.version") and None},
             f"{path} has layout version None; this fastsgd reads version '1'"),
            ({"change": swapped}, f"{path}: tensor biases.0 should have shape [4], its header says [1, 4]"),
            ({"change": first(dtype="F16")}, f"{path}: tensor weights.0 should have a dtype (F32, F64, I64), a shape "
             "and two data_offsets, its header says {'dtype': 'F16', 'shape': [5, 4], 'data_offsets': [0, 80]}"),
            ({"sizes": [5, 4, 3, 3]}, described + "its sizes [5, 4, 3, 3] are not those of its tensors"),
            ({"sizes": [5, 4, 3, 2, 2]}, described + "its sizes [5, 4, 3, 2, 2] are not those of its tensors"),
            ({"activations": ["gelu", "tanh", None]}, described + "an activation is not a name"),
            ({"change": lambda header: header.update({f"extra.{i}": nothing for i in range(5)})},
             f"{path} does not hold the tensors of its architecture: it has ['biases.0', 'biases.1', 'biases.2', "
             "'extra.0', 'extra.1', 'extra.2', 'extra.3', 'extra.4']")):
        rewritten(tmp_path, **arguments)
        with says(ValueError, message):
            model_file.load(path)


def test_files_of_tensors(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"1234567")
    with says(ValueError, f"{path} is not a model file: it has only 7 bytes"):
        safetensors.TensorFile(path)
    path.write_bytes((3).to_bytes(8, "little") + b"{}")
    with says(ValueError, f"{path} is not a model file or cut short: its header claims 3 bytes, the file has 10"):
        safetensors.TensorFile(path)
    path.write_bytes((2**24 + 1).to_bytes(8, "little"))
    with says(ValueError, f"{path} is not a model file: its header claims 16,777,217 bytes, at most 16,777,216 are "
                          "allowed"):
        safetensors.TensorFile(path)
    path.write_bytes((15).to_bytes(8, "little") + b'{"a": 1,"a": 1}')
    with says(ValueError, f"{path} is not a model file: its header is not valid JSON (a key appears twice)"):
        safetensors.TensorFile(path)
    path.write_bytes((2).to_bytes(8, "little") + b"{}")
    with safetensors.TensorFile(path) as file:
        assert (file.metadata, file.tensors) == ({}, {})
    deep = np.zeros((1,) * 16)
    safetensors.write(path, [("deep", deep), ("whole", np.arange(3))], {"a": "b"})
    with safetensors.TensorFile(path) as file:
        assert file.read("deep").shape == deep.shape
        assert (file.read("whole").tolist(), file.metadata) == ([0, 1, 2], {"a": "b"})
        os.truncate(path, os.path.getsize(path) - 8)
        with says(ValueError, f"{path} is cut short: 24 bytes were expected, 16 are there"):
            file.read("whole")
    safetensors.write(path, [("deeper", deep[np.newaxis])], {})
    with pytest.raises(ValueError, match="tensor deeper should have a dtype"):
        safetensors.TensorFile(path)
    with says(TypeError, "array 'half' must have one of the dtypes float32, float64 and int64, got float16"):
        safetensors.write(path, [("half", np.zeros(1, "f2"))], {})


@pytest.mark.parametrize("loss", losses.LOSSES)
def test_parameters_of_losses_are_kept(tmp_path, loss):
    loss = losses.with_parameters(loss, delta=0.25, epsilon=0.25, quantile=[0.25, 0.75], quantiles=[0.25], gamma=0.25,
                                  power=1.25)
    net = fastsgd.Network([2, 2], loss=loss)
    net.save(tmp_path / "net")
    assert fastsgd.Network.load(tmp_path / "net").architecture == net.architecture
    assert net.loss_function == loss
