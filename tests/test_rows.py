"""Do rows of every kind (float, bytes, scaled, mostly zeros, CSR) give the result that plain dense rows give?"""
import pickle

import numpy as np
import pytest
from cases import OPTIMIZERS, TOLERANCE, StepConfig, agree, make_net, one_epoch

import fastsgd
from fastsgd.data.checks import Csr
from fastsgd.engine import _kernel, reference
from fastsgd.network import checked

DTYPES = ["float32", "float64"]


def sparse_rows(rng, rows, columns, density=0.1):
    """Rows with zeros of both signs, one without any entry."""
    X = rng.standard_normal((rows, columns)) * (rng.random((rows, columns)) < density)
    X[rows // 2] = 0
    X[rng.random(X.shape) < 0.05] *= -0.0
    return X


def as_csr(X):
    entries = [np.flatnonzero(row) for row in X]
    indptr = np.concatenate([[0], np.cumsum([len(row) for row in entries])])
    return Csr(indptr, np.concatenate(entries).astype(np.int32), X[X != 0], X.shape)


def epoch(module, net, X, y, order, batch_size, optimizer, threads=1):
    params, state, steps = one_epoch(module, net, X, y, order, StepConfig(optimizer, batch_size), threads)
    gradient = np.empty_like(params)
    module.gradient(net.architecture, net.params, X, y, gradient, threads=threads)
    out = np.empty((len(X), net.sizes[-1]), params.dtype)
    module.predict(net.architecture, net.params, X, out, threads=threads)
    return [params, state.slots, np.array([state.cost, state.score, steps]), gradient, out,
            module.cost(net.architecture, net.params, X, y)[0]]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("outputs", [3, 33, 64, 150, 300])
@pytest.mark.parametrize("columns", [7, 500])
def test_skipping_zeros_changes_no_bit(columns, outputs, dtype):
    # Whether zeros are skipped is decided by a sample of 32 rows. Here every other of 64 rows belongs to the sample
    # and to no batch, so that the same batches are trained on with and without skipping.
    rng = np.random.default_rng([columns, outputs])
    X = np.zeros((64, columns), dtype)
    X[1::2] = sparse_rows(rng, 32, columns)
    y = rng.integers(0, 4, 64).astype(np.int32)
    net = make_net([columns, outputs, 4], "relu", "cross_entropy", None, dtype, rng)
    order = np.arange(1, 64, 2)
    for optimizer in OPTIMIZERS:
        results = []
        for sample in (0, 1):
            X[::2] = sample
            for threads in (1, 3):
                results.append(epoch(_kernel, net, X, y, order, 10, optimizer, threads)[:3])
        X[::2] = 0
        results.append(epoch(_kernel, net, as_csr(X), y, order, 10, optimizer, 2)[:3])
        for result in results[1:]:
            for found, expected in zip(result, results[0], strict=True):
                np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["bytes", "scaled bytes", "scaled", "mostly zeros", "scaled zero bytes", "csr"])
def test_kernel_agrees_with_reference(kind, dtype):
    rng = np.random.default_rng(3)
    net = make_net([30, 40, 3], "tanh", "cross_entropy", None, dtype, rng)
    X = rng.integers(0, 4, (90, 30)).astype(np.uint8)
    if "zero" in kind or kind == "csr":
        X *= rng.random(X.shape) < 0.2
    if "scaled" in kind:
        net.input_scale = rng.uniform(0.1, 1, 30)
        if "zero" not in kind:
            net.input_offset = rng.standard_normal(30)
    if "bytes" not in kind:
        X = X.astype(dtype)
    if kind == "csr":
        X = as_csr(X)
    y = rng.integers(0, 3, 90).astype(np.int32)
    for optimizer in OPTIMIZERS:
        found, expected = (epoch(module, net, X, y, rng.permutation(90) * 0 + np.arange(90)[::-1], 20, optimizer, 2)
                           for module in (_kernel, reference))
        for i, (ours, theirs) in enumerate(zip(found, expected, strict=True)):
            agree(f"{kind}, {optimizer}, result {i}", ours, theirs, TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("batch_size", [100, 1500])
def test_many_entries_and_large_batches(batch_size, dtype):
    rng = np.random.default_rng(1)
    X = sparse_rows(rng, 1600, 700, 0.3).astype(dtype)
    y = rng.integers(0, 3, 1600).astype(np.int32)
    net = make_net([700, 40, 3], "relu", "cross_entropy", None, dtype, rng)
    net.params *= 0.2
    order = rng.permutation(1600)
    for optimizer in (OPTIMIZERS[0], OPTIMIZERS[5]):
        found, again, expected = (epoch(*case, y, order, batch_size, optimizer, 2) for case in (
            (_kernel, net, X), (_kernel, net, as_csr(X)), (reference, net, X)))
        for ours, csr, theirs in zip(found, again, expected, strict=True):
            np.testing.assert_array_equal(ours, csr)
            agree("result", ours, theirs, TOLERANCE[dtype])


def test_bytes_are_used_as_they_lie_and_equal_scaled_floats():
    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 256, (300, 50), dtype=np.uint8), rng.integers(0, 3, 300)
    nets = [fastsgd.Network([50, 40, 3], seed=0, input_scale=scale) for scale in (1 / 255, 1.0)]
    rows = [X, X * np.float32(1 / 255)]
    assert checked.check_rows(nets[0], X) is X
    for net, x in zip(nets, rows, strict=True):
        fastsgd.train(net, x, y, epochs=3, seed=0)
    np.testing.assert_array_equal(nets[0].params, nets[1].params)
    np.testing.assert_array_equal(nets[0].predict(rows[0]), nets[1].predict(rows[1]))


def test_scale_and_offset_belong_to_the_network(tmp_path):
    net = fastsgd.Network([3, 4, 2], seed=0, input_scale=0.5, input_offset=[1, 2, 3])
    X = np.random.default_rng(0).standard_normal((5, 3)).astype("f4")
    plain = fastsgd.Network([3, 4, 2], seed=0)
    expected = plain.predict(X * np.float32(0.5) + np.array([1, 2, 3], "f4"))
    net.save(tmp_path / "net.safetensors")
    for other in (net, net.copy(), fastsgd.Network.load(tmp_path / "net.safetensors")):
        np.testing.assert_array_equal(other.predict(X), expected)
        assert other.input_scale == 0.5
        assert list(other.input_offset) == [1, 2, 3]
    net.input_scale, net.input_offset = 1, 0
    np.testing.assert_array_equal(net.predict(X), plain.predict(X))
    for name, value, error in (("input_scale", "a", "must hold numbers"), ("input_scale", None, "must be a number"),
                               ("input_offset", [1, 2], "must be one number or 3"),
                               ("input_scale", float("nan"), "must hold numbers between")):
        with pytest.raises((ValueError, TypeError), match=f"{name} {error}"):
            setattr(net, name, value)


def test_targets_and_predictions_have_their_own_unit(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 4)).astype("f4")
    y = np.column_stack([2e6 + 50 * X[:, 0], -3 + 0.01 * X[:, 1]])
    scale, offset = y.std(axis=0), y.mean(axis=0)
    net = fastsgd.Network([4, 8, 2], "tanh", "squared_error", seed=0, output_scale=scale, output_offset=offset)
    plain = fastsgd.Network([4, 8, 2], "tanh", "squared_error", seed=0)
    unit = (y - offset) / scale
    seen = []

    def error(targets, outputs):
        seen.append((targets, outputs))
        return abs(targets - outputs).max(axis=0)[1]

    arguments = {"optimizer": fastsgd.Adam(0.01), "epochs": 20, "seed": 0}
    history = fastsgd.train(net, X, y, validation=(X[:50], y[:50]), metrics=[error], **arguments)
    expected = fastsgd.train(plain, X, unit, validation=(X[:50], unit[:50]), **arguments)
    np.testing.assert_array_equal(net.params, plain.params)
    assert (history.cost, history.metric, history.validation_cost) == (
        expected.cost, expected.metric, expected.validation_cost)
    np.testing.assert_array_equal(seen[-1][0], y[:50].astype("f4"))         # a metric sees the user's own targets
    np.testing.assert_array_equal(seen[-1][1], net.predict(X[:50]))
    np.testing.assert_allclose(net.predict(X), plain.predict(X) * scale + offset, rtol=1e-6)
    assert net.score(X, y) == plain.score(X, unit) > 0.9
    np.testing.assert_array_equal(net.gradient(X, y), plain.gradient(X, unit))
    assert fastsgd.check_gradient(net, X[:8], y[:8]) < 1e-3
    net.save(tmp_path / "net.safetensors")
    for other in (net.copy(), pickle.loads(pickle.dumps(net)), fastsgd.Network.load(tmp_path / "net.safetensors")):
        for rows in (1, 40, 300):
            np.testing.assert_array_equal(other.predict(X[:rows]), net.predict(X)[:rows])
        np.testing.assert_array_equal(other.output_offset, offset)
    out = np.empty((300, 2), "f4")
    reference.predict(net.architecture, net.params, X, out)
    agree("predictions", net.predict(X), out, TOLERANCE["float32"])
    fastsgd.train_stream(net, [(X, y)], seed=0)
    fastsgd.train_stream(plain, [(X, unit)], seed=0)
    np.testing.assert_array_equal(net.params, plain.params)
    net.output_scale, net.output_offset = 1, 0
    np.testing.assert_array_equal(net.predict(X), plain.predict(X))


def test_metrics_see_whole_numbers_as_such_where_rows_are_held_out():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((300, 2)), rng.poisson(3, 300)
    net = fastsgd.Network([2, 1], loss="squared_error", seed=0, output_scale=y.std(), output_offset=y.mean())

    def whole_score(targets, outputs):
        return (targets == targets.round()).mean()

    for validation in (0.5, (X, y)):
        history = fastsgd.train(net, X, y, epochs=1, seed=0, validation=validation, metrics=[whole_score])
        assert history.scores["whole_score"] == [1]


def test_an_offset_that_the_dtype_cannot_tell_apart_is_said():
    arguments = {"sizes": [3, 1], "loss": "squared_error", "seed": 0, "output_scale": 10.0, "output_offset": 1.7e9}
    with pytest.warns(UserWarning, match=r"output_offset is 1\.7e\+09, where float32 numbers lie 203 apart, but "
                                         r"output_scale only 10: predictions cannot tell targets apart"):
        fastsgd.Network(**arguments)
    fastsgd.Network(**arguments, dtype="float64")


def test_units_that_cannot_be():
    for arguments, message in (({"output_scale": 0}, "output_scale must be at least 1e-30, got 0.0"),
                               ({"output_scale": [1, -1]}, "output_scale must be at least 1e-30, got -1.0"),
                               ({"output_offset": [1, 2, 3]}, "output_offset must be one number or 2, one per output"),
                               ({"output_offset": float("nan")}, "output_offset must hold numbers between"),
                               ({"output_scale": 2, "loss": "poisson"}, "are for losses of quantities .* has poisson"),
                               ({"output_scale": 2, "output": "tanh"}, "with the output identity or .* with tanh")):
        with pytest.raises(ValueError, match=message):
            fastsgd.Network([3, 2], **{"loss": "squared_error", **arguments})
    net = fastsgd.Network([3, 2], seed=0)
    with pytest.raises(ValueError, match="this network has cross_entropy"):
        net.output_offset = 1
    assert net.output_offset == 0


def test_scipy_matrices_train_like_dense_ones():
    sparse = pytest.importorskip("scipy.sparse")
    rng = np.random.default_rng(0)
    X = sparse_rows(rng, 200, 60).astype("f4")
    y = rng.integers(0, 3, 200)
    expected = fastsgd.Network([60, 40, 3], seed=0)
    fastsgd.train(expected, X, y, epochs=3, seed=0)
    for kind in (sparse.csr_array, sparse.csr_matrix, sparse.csc_array, sparse.coo_array):
        net = fastsgd.Network([60, 40, 3], seed=0)
        fastsgd.train(net, kind(X), y, epochs=3, seed=0, validation=(kind(X[:20]), y[:20]))
        np.testing.assert_array_equal(net.params, expected.params)
        np.testing.assert_array_equal(net.predict(kind(X)), expected.predict(X))
        assert net.score(kind(X), y) == expected.score(X, y)
        assert fastsgd.check_gradient(net, kind(X[:8]), y[:8]) < 1e-3
    scaled = fastsgd.Network([60, 40, 3], seed=0, input_scale=2.0)
    np.testing.assert_allclose(scaled.predict(sparse.csr_array(X)), scaled.predict(X), rtol=1e-5)
    with pytest.raises(ValueError, match=r"^X\.data\[1\] is -2e\+38, which times input_scale 2 is too large for float"):
        scaled.predict(sparse.csr_array(([1, -2e38], ([0, 0], [1, 2])), shape=(1, 60)))


def test_a_csr_matrix_is_never_made_dense():
    sparse = pytest.importorskip("scipy.sparse")
    columns = 2_000_000                                  # 50 rows of it would take 800 MB
    rng = np.random.default_rng(0)
    X = sparse.csr_array((np.ones(500), rng.integers(0, columns, 500), np.arange(0, 501, 10)), (50, columns))
    net = fastsgd.Network([columns, 2], seed=0, init="normal")
    before = net.params.copy()
    fastsgd.train(net, X, np.arange(50) % 2, epochs=1, batch_size=10, seed=0)
    changed = np.flatnonzero((net.params != before)[:-2].reshape(-1, 2).any(axis=1))
    assert set(changed) <= set(X.indices)
    assert len(changed) > 300


def test_unsorted_columns_and_duplicates_are_put_right():
    sparse = pytest.importorskip("scipy.sparse")
    X = sparse.csr_array((np.array([1.0, 2, 3, 4]), np.array([2, 0, 2, 1]), np.array([0, 3, 4])), (2, 3))
    X.has_canonical_format = True                        # a lie
    before = X.indices.copy(), X.data.copy()
    net = fastsgd.Network([3, 4, 2], seed=0)
    np.testing.assert_allclose(net.predict(X), net.predict([[2, 0, 4], [0, 4, 0]]), rtol=1e-6)
    assert (X.indices == before[0]).all()
    assert (X.data == before[1]).all()


@pytest.mark.parametrize(("change", "message"), [
    (lambda X: X.indices.__setitem__(1, 5), r"X.indices\[1\] is 5; allowed are 0 to 4"),
    (lambda X: X.indices.__setitem__(0, -1), r"X.indices\[0\] is -1"),
    (lambda X: X.indptr.__setitem__(-1, 99), "X is not a CSR matrix: its indptr must rise"),
    (lambda X: X.indptr.__setitem__(1, 4), "X is not a CSR matrix"),
    (lambda X: X.data.__setitem__(1, np.nan), r"X\.data\[1\] is nan"),
])
def test_a_broken_csr_matrix_is_refused(change, message):
    sparse = pytest.importorskip("scipy.sparse")
    X = sparse.csr_array(np.eye(3, 5))
    change(X)
    with pytest.raises(ValueError, match=message):
        fastsgd.Network([5, 3], seed=0).predict(X)


def test_sparse_rows_and_arguments_that_do_not_go_together():
    sparse = pytest.importorskip("scipy.sparse")
    X = sparse.csr_array(np.eye(3, 5))
    with pytest.raises(ValueError, match="X is sparse, so the network's input_offset must be 0"):
        fastsgd.Network([5, 3], input_offset=1).predict(X)
    with pytest.raises(ValueError, match=r"X must have shape \(rows, 4\)"):
        fastsgd.Network([4, 3]).predict(X)
    with pytest.raises(TypeError, match="X must hold real numbers, got dtype complex128"):
        fastsgd.Network([5, 3]).predict(X.astype(complex))
    with pytest.raises(ValueError, match="X is empty"):
        fastsgd.Network([5, 3]).predict(X[:0])


def test_a_matrix_that_changes_under_training_does_no_harm():
    net = make_net([5, 40, 3], "relu", "cross_entropy", None, "float32", np.random.default_rng(0))
    X = as_csr(np.eye(5, dtype="f4"))
    X.indices[3] = 77
    with pytest.raises(ValueError, match="X has a column index out of range"):
        epoch(_kernel, net, X, np.zeros(5, np.int32), np.arange(5), 2, OPTIMIZERS[0])
    for size in (5, 40_000):            # columns that do not rise, those of a row and of very many
        net = fastsgd.Network([size, 8, 3], seed=0)
        X = Csr(np.array([0, size]), np.arange(size, dtype=np.int32)[::-1].copy(), np.ones(size, "f4"), (1, size))
        for call in (lambda net=net, X=X: net.gradient(X, [0]), lambda net=net, X=X: net.cost(X, [0])):
            with pytest.raises(ValueError, match="or columns that do not rise"):
                call()


@pytest.mark.parametrize("part", ["indices", "indptr"])
@pytest.mark.parametrize("hidden", [[], [8]])
def test_a_sparse_matrix_may_change_during_a_training(part, hidden):
    sparse = pytest.importorskip("scipy.sparse")
    rng = np.random.default_rng(0)
    columns = np.sort(np.stack([rng.choice(3000, 50, replace=False) for _ in range(20_000)]))
    X = sparse.csr_matrix((np.ones(columns.size, "f4"), columns.ravel(), np.arange(20_001) * 50), shape=(20_000, 3000))
    X.indptr, y = X.indptr.astype(np.int64), rng.integers(0, 2, 20_000)
    nets, met = [fastsgd.Network([3000, *hidden, 2], seed=0) for _ in range(2)], []

    class Spoil(fastsgd.Callback):
        def on_rows(self, run):
            met.append(run.rows_done)
            if part == "indices":
                X.indices[:] = columns[:, ::-1].ravel()         # all of them within range still
            else:
                X.indptr[1:] = 2**40

    settings = {"batch_size": 50, "epochs": 20} if hidden else {"batch_size": 1, "epochs": 30}
    for net, callbacks in zip(nets, ([], [Spoil()]), strict=True):
        fastsgd.train(net, X, y, **settings, seed=0, callbacks=callbacks)
    assert met
    np.testing.assert_array_equal(nets[0].params, nets[1].params)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sizes", [[3, 2], [5, 40, 3], [70, 130, 33, 1], [2, 4096, 2]])
def test_a_few_rows_equal_many(sizes, dtype):
    rng = np.random.default_rng(sizes)
    net = fastsgd.Network(sizes, "tanh", "squared_error", dtype=dtype, seed=0)
    X = rng.standard_normal((40, sizes[0])).astype(dtype)
    many = net.predict(X)
    np.testing.assert_array_equal(many, np.concatenate([net.predict(X[i:i + 5]) for i in range(0, 40, 5)]))
    np.testing.assert_array_equal(many[3:4], net.predict(X[3:4]))
    for rows in (X, X[:3]):
        out = np.full((len(rows), sizes[-1]), 7, dtype)
        assert net.predict(rows, out) is out
        assert net.predict(rows, out=out, threads=2) is out
        np.testing.assert_array_equal(out, many[:len(rows)])
    net.input_offset = 1
    np.testing.assert_array_equal(net.predict(X[:2]), net.predict(X)[:2])


@pytest.mark.parametrize("rows", [2, 200])
@pytest.mark.parametrize("out", [np.empty((3, 2), "f4"), np.empty((200, 3), "f8"), np.empty((2, 3), "f8"),
                                 [[1, 2, 3]] * 2, np.empty((200, 6), "f4")[:, ::2], np.empty((2, 6), "f4")[:, ::2]])
def test_an_out_that_does_not_fit_is_refused(out, rows):
    with pytest.raises(ValueError, match=r"out must be a contiguous, writeable array of shape \(\d+, 3\) and dtype f"):
        fastsgd.Network([5, 3]).predict(np.ones((rows, 5), "f4"), out)


def test_out_may_be_the_rows_themselves():
    net = fastsgd.Network([4, 8, 4], loss="squared_error", seed=0)
    for rows in (3, 300):
        X = np.random.default_rng(0).standard_normal((rows, 4)).astype("f4")
        expected = net.predict(X.copy())
        np.testing.assert_array_equal(net.predict(X, out=X), expected)
        np.testing.assert_array_equal(X, expected)
    frozen = np.empty((3, 4), "f4")
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match="out must be a contiguous, writeable"):
        net.predict(X[:3], frozen)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_sparse_matrix_is_never_written(dtype):
    sparse = pytest.importorskip("scipy.sparse")
    X = sparse.csr_array(np.eye(3, 5, dtype=dtype))
    before = X.data.copy(), X.indices.copy(), X.indptr.copy()
    net = fastsgd.Network([5, 3], seed=0, dtype=dtype, input_scale=[2.0, 3, 4, 5, 6])
    net.predict(X)
    fastsgd.train(net, X, [0, 1, 2], epochs=1)
    for found, expected in zip((X.data, X.indices, X.indptr), before, strict=True):
        np.testing.assert_array_equal(found, expected)
