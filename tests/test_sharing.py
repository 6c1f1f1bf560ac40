"""Members that share weights: the kernel, its twin, TabM's own code, and all else that knows of them."""
import functools
import pickle

import numpy as np
import pytest
from cases import OPTIMIZERS, TOLERANCE, StepConfig, agree, one_epoch

import fastsgd
from fastsgd.engine import _kernel, reference
from fastsgd.layers import PBLD, Columns, PiecewiseLinear, Scale, quantile_edges
from fastsgd.network import checked

TABLE = [8, Columns({3: 12}, numbers=PBLD(3, 4)), Scale(), 6, Scale(), 70, 3]
SIZES = {"plain": [8, 6, 5, 3], "narrow": [8, 1, 3], "table": TABLE, "one output": [8, 20, 1]}


def make(sizes, sharing, dtype="float64", members=4, **arguments):
    loss = "squared_error" if sizes[-1] == 1 else "cross_entropy"
    net = fastsgd.Network(sizes, "tanh", loss, members=members, sharing=sharing, dtype=dtype, seed=0, **arguments)
    net.params[:] += 0.1 * np.random.default_rng(0).standard_normal(net.params.size)
    return net


def rows(net, count=150, seed=1):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((count, 8))
    X[:, 3] = rng.integers(0, 12, count)
    return checked.check(net, X, rng.integers(0, 3, count).astype(int if net.sizes[-1] > 1 else float))


def compare(net, X, y, recipe, weights=None):
    order = np.random.default_rng(2).permutation(len(X))
    expected, its_state, _ = one_epoch(reference, net, X, y, order, recipe, sample_weight=weights)
    first = None
    for threads in (1, 2, 5):
        found, state, _ = one_epoch(_kernel, net, X, y, order, recipe, threads, weights)
        agree("params", found, expected, TOLERANCE[str(net.dtype)])
        agree("slots", state.slots, its_state.slots, TOLERANCE[str(net.dtype)])
        assert state.cost == pytest.approx(its_state.cost, rel=1e-6)
        first = found if first is None else first
        np.testing.assert_array_equal(found, first)
    assert (first != net.params).any()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("members", [2, 7])
@pytest.mark.parametrize("sharing", ["batch", "mini"])
@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
def test_kernel_and_reference_agree(sizes, sharing, members, dtype):
    net = make(sizes, sharing, dtype, members)
    X, y = rows(net)
    found, expected = np.empty((2, len(X), sizes[-1]), net.dtype)
    for kernel, out in ((_kernel, found), (reference, expected)):
        kernel.predict(net.architecture, net.params, X, out)
    agree("predictions", found, expected, TOLERANCE[dtype])
    gradients = np.empty((2, net.params.size), net.dtype)
    costs = [kernel.gradient(net.architecture, net.params, X, y, out)
             for kernel, out in zip((_kernel, reference), gradients, strict=True)]
    agree("gradient", *gradients, TOLERANCE[dtype])
    assert costs[0] == pytest.approx(costs[1], rel=1e-6)
    assert _kernel.cost(net.architecture, net.params, X, y) == pytest.approx(
        reference.cost(net.architecture, net.params, X, y), rel=1e-5)
    weights = np.random.default_rng(3).random(len(X))
    dropout = net.architecture.for_each_layer((0.25,) * net.architecture.hidden)
    compare(net, X, y, StepConfig(fastsgd.SGD(0.05, momentum=0.9), 30, dropout, seed=3), weights)
    compare(net, *rows(net, 1700), StepConfig(fastsgd.SGD(0.05), 600))


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda optimizer: optimizer.kind)
@pytest.mark.parametrize("sharing", ["batch", "mini"])
def test_every_optimizer(optimizer, sharing):
    net = make(SIZES["table"], sharing)
    compare(net, *rows(net), StepConfig(optimizer, 20))


@pytest.mark.parametrize("around", [{"clip_norm": 0.05}, {"clip_value": 0.002}, {"max_norm": 0.5}, {"average": 0.9}],
                         ids=str)
@pytest.mark.parametrize("sharing", ["batch", "mini"])
def test_limits_and_averages(around, sharing):
    net = make(SIZES["plain"], sharing)
    for batch_size in (7, 1000):
        compare(net, *rows(net), StepConfig(fastsgd.AdamW(0.01, epsilon=1e-3, **around), batch_size))


@pytest.mark.parametrize("sharing", ["batch", "mini"])
@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
def test_the_gradient_is_that_of_finite_differences(sizes, sharing):
    net = make(sizes, sharing)
    fastsgd.check_gradient(net, *rows(net, 12))


@pytest.mark.parametrize("sharing", ["batch", "mini"])
def test_many_members_wide_layers_and_bytes(sharing):
    net = make([8, 40, 3], sharing, members=128)
    compare(net, *rows(net, 20), StepConfig(fastsgd.SGD(0.05, momentum=0.5), 7))
    net = make([8, 300, 70, 3], sharing, "float32", members=3)
    compare(net, *rows(net, 40), StepConfig(fastsgd.SGD(0.05, momentum=0.5), 30))
    net = make([8, 6, 3], sharing, input_scale=1 / 16, input_offset=0.5)
    few = np.random.default_rng(0).integers(0, 16, (50, 8)).astype(np.uint8)
    compare(net, few, rows(net, 50)[1], StepConfig(fastsgd.SGD(0.05), 20))


@pytest.mark.parametrize("sharing", ["batch", "mini"])
def test_files_pickles_copies_and_a_resume_within_an_epoch(sharing, tmp_path):
    net = make(SIZES["table"], sharing, "float32")
    X, y = rows(net, 400)
    net.save(tmp_path / "net.safetensors")
    for again in (fastsgd.Network.load(tmp_path / "net.safetensors"), net.copy(), pickle.loads(pickle.dumps(net))):
        assert again.architecture == net.architecture
        assert repr(again) == repr(net)
        np.testing.assert_array_equal(again.predict(X), net.predict(X))
        np.testing.assert_allclose(again.predict(X[:1]), net.predict(X)[:1], rtol=1e-6)
    assert "members=4, sharing=" in repr(net)

    class StopAt(fastsgd.Callback):
        def on_evaluation(self, run):
            run.stop = run.steps == 3

    options = {"seed": 0, "optimizer": fastsgd.AdamW(0.01), "batch_size": 50, "epochs": 2, "validation": (X[:9], y[:9]),
               "evaluate_every": 3, "dropout": 0.1}
    whole, parted = net.copy(), net.copy()
    fastsgd.train(whole, X, y, **options)
    fastsgd.train(parted, X, y, checkpoint=tmp_path / "run.ckpt", callbacks=[StopAt()], **options)
    fastsgd.train(parted, X, y, checkpoint=tmp_path / "run.ckpt", resume=True, **options)
    np.testing.assert_array_equal(whole.params, parted.params)


def test_scores_are_those_of_the_mean_prediction():
    net = make(SIZES["plain"], "batch")
    X, y = rows(net)
    assert net.score(X, y) == (net.predict(X).argmax(axis=1) == y).mean()


def test_the_quadratic_cost_learns_with_each_sharing():
    (X, y), test = fastsgd.datasets.digits()
    for sharing in ("batch", "mini"):
        net = fastsgd.Network([64, 32, 10], members=8, sharing=sharing, seed=0)
        fastsgd.train(net, X, y, optimizer=fastsgd.Adam(0.01), epochs=10, seed=0)
        assert net.score(*test) > 0.94


def test_what_cannot_be():
    with pytest.raises(ValueError, match="sharing must be one of none, batch, mini, got 'all'"):
        fastsgd.Network([4, 8, 3], members=2, sharing="all")
    with pytest.raises(ValueError, match="sharing='batch' needs a hidden layer"):
        fastsgd.Network([4, 3], members=2, sharing="batch")
    with pytest.raises(ValueError, match="members must be at most 128 where they share weights, got 129"):
        fastsgd.Network([4, 8, 3], members=129, sharing="mini")
    net = fastsgd.Network([4, 8, 3], members=2, sharing="mini", seed=0)
    with pytest.raises(ValueError, match="members with sharing='mini' are no networks by themselves"):
        net.member(0)
    with pytest.raises(ValueError, match="learning_rate must be one"):
        fastsgd.train(net, np.zeros((5, 4)), np.zeros(5, int), optimizer=fastsgd.SGD([0.1, 0.2]))
    with pytest.raises(ValueError, match="is for one network; this one has members with sharing='mini'"):
        net.compile_predictor()
    sparse = pytest.importorskip("scipy.sparse").csr_array(np.eye(4))
    with pytest.raises(ValueError, match="members that share weights take no sparse rows"):
        net.predict(sparse)


@pytest.mark.parametrize("embedded", [False, True], ids=["plain", "piecewise"])
@pytest.mark.parametrize("sharing", ["batch", "mini"])
def test_a_hundred_steps_beside_tabm(sharing, embedded, monkeypatch):
    torch = pytest.importorskip("torch")
    tabm = pytest.importorskip("tabm")
    rtdl = pytest.importorskip("rtdl_num_embeddings")
    torch.manual_seed(0)
    monkeypatch.setattr(torch, "zeros", functools.partial(torch.zeros, dtype=torch.float64))   # of its bins
    rng = np.random.default_rng(0)
    numbers, codes, y = rng.standard_normal((200, 5)), rng.integers(0, 3, 200), rng.integers(0, 3, 200)
    edges = quantile_edges(numbers, 6)
    width = 4 if embedded else 1
    bins = [torch.tensor(column, dtype=torch.float64) for column in edges]
    module = tabm.TabM.make(
        n_num_features=5, cat_cardinalities=[3], d_out=3, n_blocks=2, d_block=16, dropout=0.0, k=4,
        arch_type="tabm" if sharing == "batch" else "tabm-mini",
        num_embeddings=rtdl.PiecewiseLinearEmbeddings(bins, 4, activation=False, version="B") if embedded else None,
    ).double()
    net = fastsgd.Network([6, Columns({5: 3}, numbers=PiecewiseLinear(edges, 4) if embedded else None), 16, 16, 3],
                          members=4, sharing=sharing, dtype="float64", seed=0)
    theirs, ours = dict(module.named_parameters()), net.tensors
    # theirs has the outputs of a column side by side, ours the columns of an output
    order = [*np.arange(5 * width).reshape(5, width).T.ravel(), *range(5 * width, 5 * width + 3)]
    with torch.no_grad():
        if embedded:
            theirs["num_module.linear.weight"] += 0.1 * torch.randn(theirs["num_module.linear.weight"].shape)
            weights = theirs["num_module.linear.weight"].numpy()                    # (columns, bins, outputs)
            ours["column_weights.0"][:-1] = weights.transpose(1, 2, 0)
            ours["column_weights.0"][-1] = theirs["num_module.linear0.weight"].numpy().T
            ours["column_biases.0"][:] = theirs["num_module.linear0.bias"].numpy().T
        for layer in (1, 2):
            own = f"backbone.blocks.{layer - 1}.0."
            W = theirs[own + "weight"].numpy().T
            ours[f"weights.{layer}"][:] = W[order] if layer == 1 else W
            ours[f"biases.{layer}"][:] = theirs[own + "bias"].numpy()
            if sharing == "batch":
                r = theirs[own + "r"].numpy()
                ours[f"input_adapters.{layer}"][:] = r[:, order] if layer == 1 else r
                ours[f"output_adapters.{layer}"][:] = theirs[own + "s"].numpy()
        if sharing == "mini":
            ours["input_adapters.1"][:] = theirs["backbone.affine.weight"].numpy()[:, order]
        ours["weights.3"][:] = theirs["output.weight"].numpy()
        ours["biases.3"][:] = theirs["output.bias"].numpy()

    X = np.column_stack([numbers, codes])
    inputs, labels = (torch.tensor(numbers), torch.tensor(codes)[:, None]), torch.tensor(y)
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.003, weight_decay=0.02, eps=1e-5)
    for step in range(100):
        batch = slice(step % 4 * 50, step % 4 * 50 + 50)
        optimizer.zero_grad()
        logits = module(inputs[0][batch], inputs[1][batch])
        torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels[batch].repeat_interleave(4)).backward()
        optimizer.step()
    rule = fastsgd.AdamW(0.003, weight_decay=0.02, epsilon=1e-5)      # or a gradient of rounding errors makes a step
    fastsgd.train(net, X, y, optimizer=rule, batch_size=50, epochs=25, shuffle=False)
    with torch.no_grad():
        expected = torch.softmax(module(*inputs), -1).mean(1).numpy()
        np.testing.assert_allclose(net.predict(X), expected, atol=1e-8)
        np.testing.assert_allclose(ours["weights.2"], theirs["backbone.blocks.1.0.weight"].numpy().T, atol=1e-8)
        np.testing.assert_allclose(ours["weights.3"], theirs["output.weight"].numpy(), atol=1e-8)
