"""A first layer that encodes the columns of a table: the kernel, its twin, and the modules that papers came with."""
import pickle

import numpy as np
import pytest
from cases import OPTIMIZERS, TOLERANCE, StepConfig, agree, one_epoch

import fastsgd
from fastsgd.data import advice
from fastsgd.data.checks import Csr
from fastsgd.engine import _kernel, reference
from fastsgd.layers import PBLD, Columns, LinearReLU, Periodic, PiecewiseLinear, Scale, quantile_edges, tree_edges
from fastsgd.network import checked

CATEGORIES = {0: 3, 4: 12, 7: 40}
NUMBERS = (1, 2, 3, 5, 6)
SIZES = (Scale(), 16, 3)
EDGES = ((-1.0, 0.0, 0.5, 1.0), (-2.0, 0.1, 0.2), (-1.0, -0.5, 0.0, 0.5), (0.0, 1.0), (-1.0, 0.0, 1.0, 2.0))
ENCODINGS = [None, LinearReLU(4), Periodic(3, 5, 0.3), Periodic(3, 5, 0.3, "identity"), PBLD(4, 6, 0.5),
             PiecewiseLinear(EDGES), PiecewiseLinear(EDGES, 3), PiecewiseLinear(EDGES, 0, False, True)]


def named(encoding):
    return "plain" if encoding is None else f"{encoding.kind}{encoding.map_outputs}{encoding.map_activation}"


def rows(count=200, unknown=True, seed=1):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((count, 8))
    for column, levels in CATEGORIES.items():
        X[:, column] = rng.integers(-1 if unknown else 0, levels, count)
    return X, rng.integers(0, 3, count)


def make(encoding, dtype="float64", sizes=SIZES, **options):
    net = fastsgd.Network([8, Columns(CATEGORIES, numbers=encoding, **options), *sizes], "tanh", dtype=dtype, seed=0)
    net.params[:] += 0.1 * np.random.default_rng(0).standard_normal(net.params.size)
    return net


def compare(net, X, y, recipe):
    X, y = checked.check(net, X, y)
    order = np.random.default_rng(2).permutation(len(X))
    expected, its_state, _ = one_epoch(reference, net, X, y, order, recipe)
    first = None
    for threads in (1, 2, 5):
        found, state, _ = one_epoch(_kernel, net, X, y, order, recipe, threads)
        agree("params", found, expected, TOLERANCE[str(net.dtype)])
        agree("slots", state.slots, its_state.slots, TOLERANCE[str(net.dtype)])
        first = found if first is None else first
        np.testing.assert_array_equal(found, first)
    assert (first != net.params).any()
    return first


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("encoding", ENCODINGS, ids=named)
def test_predictions_gradients_and_steps_agree_with_the_reference(encoding, dtype):
    net = make(encoding, dtype)
    X, y = checked.check(net, *rows())
    expected = np.empty((len(X), 3), net.dtype)
    reference.predict(net.architecture, net.params, X, expected)
    found = net.predict(X)
    agree("predictions", found, expected, TOLERANCE[dtype])
    for few in (1, 3, 17, 150):
        np.testing.assert_array_equal(net.predict(X[:few]), found[:few])
    gradients = np.empty((2, net.params.size), net.dtype)
    for kernel, gradient in zip((_kernel, reference), gradients, strict=True):
        kernel.gradient(net.architecture, net.params, X, y, gradient)
    agree("gradient", *gradients, TOLERANCE[dtype])
    compare(net, X, y, StepConfig(fastsgd.SGD(0.05, momentum=0.9), 7))
    compare(net, *rows(3000), StepConfig(fastsgd.SGD(0.05, momentum=0.9), 1500))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("sizes", [[20, 3], [Scale(), Scale(), 70, 3], [1, 3], [3]], ids=str)
def test_zeros_of_many_one_hot_features_are_left_out(sizes, dtype):
    rng = np.random.default_rng(0)
    categories = {2: 90, 3: 150, 4: 5}
    net = fastsgd.Network([5, Columns(categories, one_hot_up_to=200), *sizes], "tanh", dtype=dtype, seed=0)
    for count, batch_size in ((200, 20), (2500, 1500)):
        codes = [rng.integers(-1, levels, count) for levels in categories.values()]
        X = np.column_stack([rng.standard_normal((count, 2)), *codes])
        compare(net, X, rng.integers(0, 3, count), StepConfig(fastsgd.AdamW(0.01, epsilon=1e-3), batch_size))
    X, y = checked.check(net, X, rng.integers(0, 3, len(X)))
    expected = np.empty((len(X), 3), net.dtype)
    reference.predict(net.architecture, net.params, X, expected)
    found = net.predict(X)
    agree("predictions", found, expected, TOLERANCE[dtype])
    for few in (1, 17, 150):
        np.testing.assert_array_equal(net.predict(X[:few]), found[:few])
    config = StepConfig(fastsgd.SGD(0.1), 100)
    state, rates = config.optimizer.state(net.params), config.optimizer.learning_rates(0, 25)
    kinds = _kernel.describe_plan(net.architecture, net.params, X, y, None, config, state, rates)
    assert ("zeros skipped" in str(kinds)) == (sizes[0] != 1)


@pytest.mark.parametrize("encoding", ENCODINGS, ids=named)
def test_the_gradient_is_that_of_finite_differences(encoding):
    X, y = rows(12)
    fastsgd.check_gradient(make(encoding), X, y)


@pytest.mark.parametrize("lazy", [True, False], ids=["lazy", "all"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda optimizer: optimizer.kind)
def test_every_optimizer_moves_all_of_it(optimizer, lazy):
    compare(make(PBLD(4, 6, 0.5), lazy=lazy), *rows(), StepConfig(optimizer, 20))


@pytest.mark.parametrize("lazy", [True, False], ids=["lazy", "all"])
@pytest.mark.parametrize("around", [{"clip_norm": 0.05}, {"clip_value": 0.002}, {"max_norm": 0.5}, {"average": 0.9}],
                         ids=str)
@pytest.mark.parametrize("batch_size", [20, 1500])
def test_limits_and_large_batches(around, lazy, batch_size):
    X, y = rows(200 if batch_size == 20 else 3200)
    X[:, 7] = np.where(np.arange(len(X)) < 1100, X[:, 7], X[:, 7] % 5)     # rows of chunks that have no others' levels
    recipe = StepConfig(fastsgd.AdamW(0.01, epsilon=1e-3, weight_decay=0.1, **around), batch_size)
    compare(make(Periodic(3, 5, 0.3), lazy=lazy), X, y, recipe)


def test_lazy_tables_change_only_rows_that_a_batch_has():
    net = make(None)
    before = net.tensors["embeddings.0"].copy()
    X, y = rows(50)
    X[:, 7] = 3
    net.step(X, y, fastsgd.AdamW(0.01, weight_decay=0.1))
    first = dict(zip((4, 7), net.layers[0].first_rows, strict=True))[7]
    changed = (net.tensors["embeddings.0"] != before).any(axis=1)[first:]
    assert np.flatnonzero(changed).tolist() == [3]


def test_bytes_and_many_numbers_and_only_categories():
    X, y = rows(unknown=False)
    few = np.abs(X).astype(np.uint8)
    for encoding in (None, PBLD(4, 6, 0.5)):
        compare(make(encoding), few, y, StepConfig(fastsgd.SGD(0.05), 20))
    net = fastsgd.Network([3, Columns({0: 3, 1: 20, 2: 2}), 4, 3], dtype="float64", seed=0)
    compare(net, np.column_stack([y, y * 2, y % 2]), y, StepConfig(fastsgd.SGD(0.05), 20))
    wide = np.random.default_rng(0).standard_normal((40, 700))
    for encoding in (PBLD(3, 4, 0.5), PiecewiseLinear(quantile_edges(wide, 3)), LinearReLU(2)):
        net = fastsgd.Network([700, Columns(numbers=encoding), 5, 3], dtype="float64", seed=0)
        compare(net, wide, y[:40], StepConfig(fastsgd.Adam(0.01, epsilon=1e-3), 20))


@pytest.mark.parametrize("encoding", ENCODINGS, ids=named)
def test_files_pickles_copies_and_a_resume_within_an_epoch(encoding, tmp_path):
    net = make(encoding, "float32")
    X, y = rows(500)
    net.save(tmp_path / "net.safetensors")
    for again in (fastsgd.Network.load(tmp_path / "net.safetensors"), net.copy(), pickle.loads(pickle.dumps(net))):
        assert again.layers == net.layers
        assert repr(again) == repr(net)
        np.testing.assert_array_equal(again.predict(X), net.predict(X))
    whole, parted = net.copy(), net.copy()

    class StopAt(fastsgd.Callback):
        def on_evaluation(self, run):
            run.stop = run.steps == 3

    options = {"seed": 0, "optimizer": fastsgd.AdamW(0.01), "batch_size": 50, "epochs": 2, "validation": (X[:9], y[:9]),
               "evaluate_every": 3}
    fastsgd.train(whole, X, y, **options)
    history = fastsgd.train(parted, X, y, checkpoint=tmp_path / "run.ckpt", callbacks=[StopAt()], **options)
    assert history.steps == 3
    fastsgd.train(parted, X, y, checkpoint=tmp_path / "run.ckpt", resume=True, **options)
    np.testing.assert_array_equal(whole.params, parted.params)


def test_streams_and_mapped_files(tmp_path):
    net, (X, y) = make(PBLD(), "float32"), rows(600)
    X = X.astype("float32")
    np.save(tmp_path / "X.npy", X)
    trained = []
    for given in (X, np.load(tmp_path / "X.npy", mmap_mode="r")):
        again = net.copy()
        fastsgd.train(again, given, y, epochs=1, batch_size=50, shuffle=False, seed=0)
        trained.append(again.params)
    again = net.copy()
    batches = [(X[i:i + 50], y[i:i + 50]) for i in range(0, 600, 50)]
    fastsgd.train_stream(again, batches, batch_size=50, epochs=1, shuffle=False)
    for params in (*trained[1:], again.params):
        np.testing.assert_array_equal(params, trained[0])
    X[407, 4] = 12
    np.save(tmp_path / "bad.npy", X)
    for given in (X, np.load(tmp_path / "bad.npy", mmap_mode="r")):
        with pytest.raises(ValueError, match=r"X\[407, 4\] is 12; column 4 has codes 0 to 11, or -1"):
            fastsgd.train(net.copy(), given, y, epochs=1, batch_size=50, seed=0)


@pytest.mark.parametrize(("at", "value"), [((5, 4), 12), ((5, 0), -2), ((0, 7), 1.5)])
def test_codes_that_a_column_has_not_are_refused_by_name(at, value):
    net, (X, y) = make(None, "float32"), rows(20)
    X[at] = value
    message = rf"X\[{at[0]}, {at[1]}\] is {value:g}; column {at[1]} has codes 0 to {CATEGORIES[at[1]] - 1}"
    X32 = X.astype("float32")
    for call in (lambda: net.predict(X), lambda: net.predict(X32), lambda: net.cost(X, y),
                 lambda: fastsgd.train(net, X, y), lambda: net.compile_predictor(20)(X32),
                 lambda: net.compile_predictor(6)(X32[:6])):
        with pytest.raises(ValueError, match=message):
            call()


def test_a_missing_number_is_refused_by_its_place():
    X, y = rows(20)
    X[3, 2] = np.nan
    with pytest.raises(ValueError, match=r"X\[3, 2\] is nan"):
        fastsgd.train(make(None), X, y)


def test_what_cannot_be():
    with pytest.raises(ValueError, match="there is no column 8; the network has columns 0 to 7"):
        fastsgd.Network([8, Columns({8: 2}), 3])
    with pytest.raises(ValueError, match="Columns must stand right behind the number of columns"):
        fastsgd.Network([8, 4, Columns(), 3])
    with pytest.raises(ValueError, match="input_scale and input_offset must be 1 and 0 for column 0"):
        make(None).input_scale = 2.0
    with pytest.raises(ValueError, match="edges must be given for each of the 5 columns of numbers, got 1"):
        make(PiecewiseLinear([[0, 1]]))
    with pytest.raises(ValueError, match="numbers: all columns are categories"):
        fastsgd.Network([1, Columns({0: 2}, numbers=PBLD()), 3])
    for wrong in ([[0, 0]], [[1]], [[0, np.nan]], [], [["a", "b"]], 5):
        with pytest.raises((ValueError, TypeError), match="edges"):
            PiecewiseLinear(wrong)
    for wrong in ({0: 0}, {-1: 2}, {0.5: 2}, [(0, 1), (0, 2)], 7):
        with pytest.raises((ValueError, TypeError), match="categories"):
            Columns(wrong)
    with pytest.raises(TypeError, match="numbers must be None or an encoding"):
        Columns(numbers="pbld")
    X, y = rows(20)
    lists = Csr(np.arange(0, 161, 8), np.tile(np.arange(8, dtype=np.int32), 20), X.ravel(), X.shape)
    with pytest.raises(TypeError, match="X must be dense where columns hold codes"):
        make(None).cost(lists, y)


def test_tree_edges_are_those_of_rtdl_num_embeddings():
    torch, published = pytest.importorskip("torch"), pytest.importorskip("rtdl_num_embeddings")
    rng = np.random.default_rng(0)
    X = rng.standard_normal((2000, 3)).astype(np.float32)
    options = {"min_samples_leaf": 64, "min_impurity_decrease": 1e-4, "random_state": 0}
    for y in (np.sin(3 * X[:, 0]) + X[:, 1], (X[:, 0] > 0.3) + (X[:, 1] > 1).astype(int)):
        expected = published.compute_bins(torch.from_numpy(X), 8, tree_kwargs=options, y=torch.from_numpy(y),
                                          regression=y.dtype.kind == "f")
        for found, theirs in zip(tree_edges(X, y, 8), expected, strict=True):
            np.testing.assert_allclose(found, theirs, rtol=1e-6, atol=1e-7)
    assert len(tree_edges(X, y, 8)[2]) >= 2
    assert tree_edges(np.ones((100, 1)), np.arange(100.0)) == ((0.5, 1.5),)
    assert len(tree_edges(X, np.where(X[:, 0] > 0, "yes", "no"), 8)[0]) == 3
    for y, message in ((X[:5, 0], r"y must be \(rows,\) as X has them, \(2000,\), got \(5,\)"),
                       (np.full(2000, np.nan), "y has a value that is not finite")):
        with pytest.raises(ValueError, match=message):
            tree_edges(X, y)


def test_too_many_bins_for_too_many_columns_are_refused():
    edges = [list(range(10_000)), *[[0.0, 1.0]] * 2_000]
    with pytest.raises(ValueError, match="edges: 9,999 bins for each of 2,001 columns are more than 16,777,216"):
        PiecewiseLinear(edges)


def test_quantile_edges():
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.standard_normal(1000), rng.integers(0, 3, 1000), np.full(1000, 7.0)])
    edges = quantile_edges(X, 8)
    assert [len(column) for column in edges] == [9, 3, 2]
    counts = np.histogram(X[:, 0], edges[0])[0]
    assert (abs(counts - 125) <= 1).all()
    assert edges[1] == (0.0, 1.0, 2.0)
    assert edges[2][0] < 7 < edges[2][1]


# ---- the modules that the papers came with ----

def adam_in_torch(torch, module, X, y, steps):
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.01, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.02)
    for step in range(steps):
        batch = slice(step % 4 * 50, step % 4 * 50 + 50)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(module(X[batch]), y[batch]).backward()
        optimizer.step()


def train_both(torch, net, module, X, y, steps=100):
    tensors = torch.tensor(X), torch.tensor(y)
    with torch.no_grad():
        np.testing.assert_allclose(net.cost(X, y),
                                   torch.nn.functional.cross_entropy(module(tensors[0]), tensors[1]).item(), rtol=1e-12)
    adam_in_torch(torch, module, *tensors, steps)
    optimizer = fastsgd.AdamW(0.01, beta_1=0.9, beta_2=0.99, epsilon=1e-8, weight_decay=0.02)
    fastsgd.train(net, X, y, optimizer=optimizer, batch_size=50, epochs=steps // 4, shuffle=False)


@pytest.mark.filterwarnings("ignore:The 3-th feature has just two bin edges")
@pytest.mark.parametrize("encoding", [LinearReLU(4), Periodic(3, 5, 0.3), PiecewiseLinear(EDGES, 3)], ids=named)
def test_a_hundred_steps_beside_rtdl_num_embeddings(encoding):
    torch = pytest.importorskip("torch")
    rtdl = pytest.importorskip("rtdl_num_embeddings")
    torch.manual_seed(0)
    X, y = rows()
    X = np.ascontiguousarray(X[:, NUMBERS])
    if encoding.kind == "linear_relu":
        module = rtdl.LinearReLUEmbeddings(5, 4)
    elif encoding.kind == "periodic":
        module = rtdl.PeriodicEmbeddings(5, 3, n_frequencies=5, frequency_init_scale=0.3, activation=True, lite=False)
    else:
        module = rtdl.PiecewiseLinearEmbeddings([torch.tensor(edges, dtype=torch.float64) for edges in EDGES], 3,
                                                activation=False, version="B")
    h = encoding.map_outputs
    # theirs has the outputs of a column side by side, ours the columns of an output
    own = torch.nn.Sequential(module, torch.nn.Flatten(), torch.nn.Linear(5 * h, 3)).double()
    net = fastsgd.Network([5, Columns(numbers=encoding), 3], dtype="float64", seed=0)
    _, dense = own[1], own[2]
    tensors, theirs = net.tensors, dict(module.named_parameters())
    with torch.no_grad():
        tensors["weights.1"][:] = dense.weight.numpy().T.reshape(5, h, 3).transpose(1, 0, 2).reshape(5 * h, 3)
        tensors["biases.1"][:] = dense.bias.numpy()
        if encoding.kind == "linear_relu":
            tensors["column_weights.0"][0] = theirs["linear.weight"].numpy().T
            tensors["column_biases.0"][:] = theirs["linear.bias"].numpy().T
        elif encoding.kind == "periodic":
            tensors["frequencies.0"][:] = theirs["periodic.weight"].numpy().T
            tensors["column_weights.0"][:] = theirs["linear.weight"].numpy().transpose(1, 2, 0)
            tensors["column_biases.0"][:] = theirs["linear.bias"].numpy().T
        else:
            theirs["linear.weight"] += 0.1 * torch.randn(theirs["linear.weight"].shape)
            for column, edges in enumerate(EDGES):      # whose last bin is always the last of all
                bins = len(edges) - 1
                weights = theirs["linear.weight"][column].numpy()
                tensors["column_weights.0"][:bins, :, column] = weights[[*range(bins - 1), -1]]
            tensors["column_weights.0"][-1] = theirs["linear0.weight"].numpy().T
            tensors["column_biases.0"][:] = theirs["linear0.bias"].numpy().T
    train_both(torch, net, own, X, y)
    with torch.no_grad():
        np.testing.assert_allclose(net.predict(X), torch.softmax(own(torch.tensor(X)), 1).numpy(), atol=1e-8)
        bias = "linear0.bias" if encoding.kind == "piecewise_linear" else "linear.bias"
        np.testing.assert_allclose(tensors["column_biases.0"], theirs[bias].numpy().T, atol=1e-8)


def test_a_hundred_steps_beside_pytabkit_and_torchs_embeddings():
    torch = pytest.importorskip("torch")
    theirs = pytest.importorskip("pytabkit.models.nn_models.nn")
    base = pytest.importorskip("pytabkit.models.nn_models.base")
    net = make(PBLD(4, 6, 0.5, learning_rate_factor=1.0), sizes=(16, 3), lazy=False)
    own = net.tensors

    def parameter(values):
        return base.Variable(torch.tensor(np.ascontiguousarray(values)), trainable=True)

    class Both(torch.nn.Module):
        def __init__(self):
            super().__init__()
            vectors = (own[name].T[:, np.newaxis] for name in ("frequencies.0", "phases.0", "column_biases.0"))
            frequencies, phases, biases = map(parameter, vectors)
            weights = parameter(own["column_weights.0"].transpose(2, 0, 1))
            self.pbld = theirs.PLREmbeddingsLayerCosBias(None, frequencies, phases, weights, biases, "linear", True)
            first = net.layers[0].first_rows
            table = torch.tensor(own["embeddings.0"].copy())
            self.tables = torch.nn.ModuleList([
                torch.nn.Embedding.from_pretrained(part.clone(), freeze=False)
                for part in (table[first[0]:first[1]], table[first[1]:])])
            self.dense = torch.nn.ModuleList([torch.nn.Linear(W.shape[0], W.shape[1]).double() for W in net.weights])
            with torch.no_grad():
                for layer, W, b in zip(self.dense, net.weights, net.biases, strict=True):
                    layer.weight[:] = torch.tensor(W.T.copy())
                    layer.bias[:] = torch.tensor(b.copy())

        def forward(self, x):
            numbers = x[:, NUMBERS]
            found = self.pbld.forward_cont(numbers)
            mapped = found[:, :15].reshape(-1, 5, 3).transpose(1, 2).reshape(-1, 15)
            one_hot = torch.nn.functional.one_hot(x[:, 0].long(), 3)
            embedded = [table(x[:, column].long()) for column, table in zip((4, 7), self.tables, strict=True)]
            x = torch.cat([mapped, found[:, 15:], one_hot, *embedded], 1)
            return self.dense[1](torch.tanh(self.dense[0](x)))

    module = Both()
    X, y = rows(unknown=False)
    train_both(torch, net, module, X, y)
    with torch.no_grad():
        np.testing.assert_allclose(net.predict(X), torch.softmax(module(torch.tensor(X)), 1).numpy(), atol=1e-8)
        np.testing.assert_allclose(own["embeddings.0"], np.vstack([table.weight.numpy() for table in module.tables]),
                                   atol=1e-8)
        np.testing.assert_allclose(own["frequencies.0"], module.pbld.weight_1.numpy()[:, 0].T, atol=1e-8)


def test_codes_are_not_called_far_from_unit_size():
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.standard_normal(400), rng.integers(0, 300, 400)])
    net = fastsgd.Network([2, Columns({1: 300}), 3], seed=0)
    labels = rng.integers(0, 3, 400)
    assert not advice.far_from_unit_size(net.architecture, X, labels)
    X[:, 0] *= 20
    assert "Column 0 of X has mean" in advice.far_from_unit_size(net.architecture, X, labels)[0]
