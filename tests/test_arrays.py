"""Whatever array comes in, is the result right or the refusal clear, and is the caller's array as it was?"""
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import fastsgd
from fastsgd.network import checked

COLUMNS = 5
DTYPES = ["?", "i1", "u1", "i2", "<i4", ">i4", "u4", "i8", "u8", "f2", "<f4", ">f4", "<f8", ">f8", "g", ">i2"]
NET = fastsgd.Network([COLUMNS, 4, 3], "tanh", seed=0)
WIDE = fastsgd.Network([COLUMNS, 4, 3], "tanh", dtype="float64", seed=0)


class Labelled(np.ndarray):
    """A subclass that answers in its own way."""

    def sum(self, *_, **__):
        return np.nan

    def astype(self, *_, **__):
        raise AssertionError("asked a subclass")


def misaligned(array):
    memory = np.empty(array.nbytes + 1, np.uint8)
    out = memory[1:].view(array.dtype).reshape(array.shape)
    out[...] = array
    return out


def overlapping(array):
    """Rows of which each begins where the one before has its second value."""
    flat = np.ascontiguousarray(array).reshape(-1)
    return np.lib.stride_tricks.as_strided(flat, (max(flat.size - COLUMNS, 1), COLUMNS), flat.strides * 2)


LAYOUTS = {
    "as it is": lambda a: a,
    "Fortran": np.asfortranarray,
    "backwards": lambda a: np.ascontiguousarray(a[::-1, ::-1])[::-1, ::-1],
    "every other row": lambda a: np.repeat(a, 2, axis=0)[::2],
    "every other column": lambda a: np.repeat(a, 2, axis=1)[:, ::2],
    "one row many times": lambda a: np.broadcast_to(a[:1], a.shape),
    "one column many times": lambda a: np.broadcast_to(a[:, :1], a.shape),
    "rows that overlap": overlapping,
    "misaligned": misaligned,
    "a part of a larger one": lambda a: np.pad(a, 3)[3:-3, 3:-3],
    "a subclass": lambda a: a.view(Labelled),
    "a matrix": lambda a: a.view(np.matrix),
    "mapped or lent memory": lambda a: np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape),
    "a list": lambda a: a.tolist(),
    "objects": lambda a: a.astype(object),
}


@st.composite
def tables(draw):
    """``(the rows as given, what they say as plain float64)``."""
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    shape = draw(st.integers(1, 20)), COLUMNS
    elements = {"allow_nan": False, "allow_infinity": False} if dtype.kind == "f" else {}
    if dtype.itemsize > 8:
        array = draw(arrays.arrays(np.float64, shape, elements=st.floats(allow_nan=False, allow_infinity=False)))
        array = array.astype(dtype)
    else:
        array = draw(arrays.arrays(dtype, shape, elements=arrays.from_dtype(dtype, **elements)))
    given = LAYOUTS[draw(st.sampled_from(sorted(LAYOUTS)))](array)
    if draw(st.booleans()) and isinstance(given, np.ndarray):
        given.flags.writeable = False
    with np.errstate(all="ignore"):
        return given, np.array(given, dtype="f8").reshape(-1, COLUMNS)


def content(rows):
    return rows.tobytes() if isinstance(rows, np.ndarray) and rows.dtype != object else repr(rows)


@pytest.mark.filterwarnings("ignore:(invalid value|overflow):RuntimeWarning")
@settings(max_examples=600, deadline=None)
@given(table=tables(), wide=st.booleans())
def test_rows_of_any_kind_are_computed_with_or_refused(table, wide):
    rows, plain = table
    net = WIDE if wide else NET
    before = content(rows)
    if not wide and np.isinf(plain.astype(net.dtype)).any():
        with pytest.raises(ValueError, match="too large for float32; scale the data or use float64"):
            net.predict(rows)
    else:
        found = net.predict(rows)
        np.testing.assert_array_equal(found, net.predict(plain.astype(net.dtype)))
        assert np.isfinite(found).all()
    assert content(rows) == before


@pytest.mark.filterwarnings("ignore:the network predicts the rows it was trained on")
@settings(max_examples=200, deadline=None)
@given(table=tables(), data=st.data())
def test_training_computes_with_them_too(table, data):
    rows, plain = table
    assume(abs(plain).max() < 1e30)
    y = data.draw(arrays.arrays(data.draw(st.sampled_from(["i1", "u1", ">i8", "<f4", ">f8", "?"])), len(plain),
                                elements=st.integers(0, 1)))
    y = data.draw(st.sampled_from([lambda a: a, lambda a: a[:, None], lambda a: np.repeat(a, 3)[::3], np.flip,
                                   lambda a: a.view(Labelled), lambda a: a.tolist(), misaligned]))(y)
    weight = data.draw(st.sampled_from([None, np.broadcast_to(np.float32(2), len(plain)),
                                        np.arange(2.0 * len(plain))[::-2] + 1]))
    before = content(rows), content(y), content(weight)
    nets = [fastsgd.Network([COLUMNS, 4, 3], "tanh", seed=0) for _ in range(2)]
    plainly = plain.astype("f4"), np.array(y, dtype=int).reshape(-1)
    for net, (X, labels) in zip(nets, [(rows, y), plainly], strict=True):
        fastsgd.train(net, X, labels, optimizer=fastsgd.SGD(1e-3), batch_size=3, epochs=2, seed=0, sample_weight=weight)
    np.testing.assert_array_equal(nets[0].params, nets[1].params)
    assert (content(rows), content(y), content(weight)) == before


@pytest.mark.parametrize("dtype", ["f4", "f8", ">f8", "f2", "O"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_is_found_in_every_position(value, dtype):
    good = np.random.default_rng(0).random((7, COLUMNS)).astype(dtype)
    calls = {"X": lambda bad: NET.predict(bad), "y": lambda bad: fastsgd.train(
        fastsgd.Network([2, 5], loss="squared_error", output="identity"), np.ones((7, 2)), bad)}
    for name, call in calls.items():
        for at in np.ndindex(good.shape):
            bad = good.copy()
            bad[at] = value
            with pytest.raises(ValueError, match=rf"{name}\[{at[0]}, {at[1]}\] is {value}"):
                call(bad)
    weights = np.ones(7)
    for at in range(7):
        weights[at] = value
        with pytest.raises(ValueError, match=rf"sample_weight\[{at}\] is {value}"):
            fastsgd.train(NET, good.astype(float), np.zeros(7), sample_weight=weights)
        weights[at] = 1


@pytest.mark.parametrize(("rows", "error", "message"), [
    (np.empty((0, COLUMNS)), ValueError, "X is empty"),
    (np.empty((3, 0)), ValueError, "X is empty"),
    (np.ones(COLUMNS), ValueError, "X must be 2-D"),
    (np.ones((2, 1, COLUMNS)), ValueError, "X must be 2-D"),
    (np.float64(3), ValueError, "X must be 2-D"),
    (np.ma.masked_equal(np.arange(10.0).reshape(2, 5), 3), TypeError, "X has masked values"),
    (np.ones((2, COLUMNS), complex), TypeError, "X must hold real numbers, got dtype complex"),
    (np.ones((2, COLUMNS), "M8[s]"), TypeError, "X must hold real numbers"),
    (np.full((2, COLUMNS), "1.5"), TypeError, "encode strings as numbers first"),
    (np.zeros((2, COLUMNS), [("a", float)]), TypeError, "X must hold real numbers"),
    (np.full((2, COLUMNS), None), ValueError, r"X\[0, 0\] is nan"),
    (np.full((2, COLUMNS), object()), TypeError, "X must hold real numbers, got dtype object"),
    ([[1.0] * COLUMNS, [1.0]], ValueError, "X is not a rectangular array"),
    (np.full((2, COLUMNS), 1e39), ValueError, r"X\[0, 0\] is 1e\+39, too large for float32"),
])
def test_what_is_no_table_of_numbers(rows, error, message):
    with pytest.raises(error, match=message):
        NET.predict(rows)


def test_a_masked_array_without_masked_values_is_an_array():
    rows = np.ma.array(np.arange(10.0).reshape(2, 5))
    np.testing.assert_array_equal(NET.predict(rows), NET.predict(rows.data))


def test_denormal_and_huge_values_are_numbers():
    rows = np.full((2, COLUMNS), 5e-324)
    np.testing.assert_array_equal(WIDE.predict(rows), WIDE.predict(np.zeros((2, COLUMNS))))
    rows = np.full((2, COLUMNS), 1.7e308)
    assert np.isfinite(WIDE.predict(rows)).all()


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
def test_rows_of_a_fitting_dtype_are_read_where_they_lie(dtype):
    net = fastsgd.Network([5, 3], dtype="float32" if dtype == "uint8" else dtype)
    whole = np.ones((8, 10), dtype)
    for X in (np.ones((8, 5), dtype), whole[:, 3:8], whole[::2, :5]):
        assert np.shares_memory(checked.check_rows(net, X), X)
