"""Do networks go to PyTorch and come back with every bit, and is what is no chain of dense layers refused by name?"""
import io
import pickle
import subprocess
import sys

import numpy as np
import pytest
from interop_cases import (
    ENCODINGS,
    MEMBERS,
    difference,
    encoding_name,
    random_layers,
    random_network,
    random_rows,
    table_networks,
    table_rows,
)

import fastsgd
from fastsgd.interop import from_torch, to_torch

torch = pytest.importorskip("torch")
nn = torch.nn
from fastsgd.interop.torch_own import ParametricActivation, Residual  # noqa: E402


def outputs(module, X):
    with torch.no_grad():
        return module(torch.from_numpy(X)).numpy()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_random_networks_agree_and_come_back(dtype):
    rng = np.random.default_rng(0)
    for _ in range(40):
        net = random_network(rng, dtype)
        X = random_rows(rng, net)
        module = to_torch(net)
        found = outputs(module, X)
        assert found.dtype == net.dtype
        assert difference(found, net.predict(X)) < {"float32": 1e-5, "float64": 1e-13}[dtype]
        twin = from_torch(module, net.loss_function)
        assert twin.architecture.activations == net.architecture.activations
        assert np.allclose(twin.output_scale, net.output_scale, rtol=1e-7)
        assert twin.dtype == net.dtype
        np.testing.assert_array_equal(twin.params, net.params)
        np.testing.assert_array_equal(twin.predict(X), net.predict(X))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_layers_of_all_kinds_agree_have_the_same_gradient_and_come_back(dtype):
    rng = np.random.default_rng(5)
    for _ in range(20):
        net = random_layers(rng, dtype)
        X, y = random_rows(rng, net), rng.integers(0, net.sizes[-1], 50)
        module, folded = to_torch(net), net.folded(("scale",))
        assert difference(outputs(module, X), net.predict(X)) < {"float32": 2e-5, "float64": 1e-13}[dtype]
        logits = to_torch(net, output_activation=False)
        assert not logits.training
        nn.functional.cross_entropy(logits(torch.from_numpy(X)), torch.from_numpy(y)).backward()
        expected = [(p.grad.T if p.ndim == 2 else p.grad).numpy().ravel() for p in logits.parameters()]
        trained = np.concatenate([np.full(t.size, t.role != "running") for t in folded.architecture.tensors])
        error = difference(folded.gradient(X, y)[trained], np.concatenate(expected))
        exact = 1e-11 if "hard_sigmoid" not in repr(net) else 1e-8          # whose slope is a float's 1/6 in torch
        assert error < {"float32": 5e-5, "float64": exact}[dtype], net
        twin = from_torch(module)
        assert [(layer.kind, layer.activation) for layer in twin.layers] == [
            (layer.kind, layer.activation) for layer in folded.layers]
        np.testing.assert_array_equal(twin.params, folded.params)
        np.testing.assert_array_equal(twin.predict(X), folded.predict(X))


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("members", "sharing"), MEMBERS)
@pytest.mark.parametrize("encoding", ENCODINGS, ids=encoding_name)
def test_columns_and_members_agree_have_the_same_gradient_and_are_refused_back(encoding, members, sharing, dtype):
    rng = np.random.default_rng(6)
    for net in table_networks(encoding, members, sharing, dtype):
        X, module = table_rows(rng, net), to_torch(net)
        found = outputs(module, X)
        assert found.dtype == net.dtype
        assert difference(found, net.predict(X)) < {"float32": 5e-6, "float64": 1e-13}[dtype]
        for column, levels in net.layers[0].categories:
            unknown, wrong = X.copy(), X.copy()
            unknown[:, column], wrong[:, column] = -1, rng.choice([levels, -2, 1e30, np.nan], len(X))
            np.testing.assert_array_equal(outputs(module, wrong), outputs(module, unknown))
        if net.layers[0].kind == "columns" or members > 1:
            ours = r"module\[\d\], (Columns|MemberLinear|AdaptedLinear)\((.|\n)*not part"
            with pytest.raises(ValueError, match=ours):
                from_torch(module)
        if net.loss != "cross_entropy":
            continue
        if dtype == "float32":
            np.testing.assert_allclose(outputs(torch.jit.script(module), X), found, rtol=1e-4, atol=1e-6)
        y = rng.integers(0, net.sizes[-1], len(X))
        logits = to_torch(net, output_activation=False)
        z, labels = logits(torch.from_numpy(X)), torch.from_numpy(y)
        if members > 1:
            assert z.shape == (members, len(X), net.sizes[-1])
            z, labels = z.flatten(0, 1), labels.repeat(members)
        nn.functional.cross_entropy(z, labels).backward()
        expected = torch.cat([p.grad.flatten() for p in logits.parameters()]).numpy()
        gradient = net.folded().gradient(X, y) / (members if sharing == "none" else 1)
        assert difference(np.sort(gradient), np.sort(expected)) < {"float32": 5e-5, "float64": 1e-11}[dtype]


def test_batch_norms_of_others():
    rng = np.random.default_rng(0)
    module = nn.Sequential(nn.BatchNorm1d(6), nn.Linear(6, 5), nn.BatchNorm1d(5, eps=1e-3, momentum=0.3), nn.ReLU(),
                           nn.Linear(5, 2))
    X = rng.normal(1.0, 3.0, (500, 6)).astype("float32")
    module(torch.from_numpy(X))
    module.eval()
    net = from_torch(module, "cross_entropy")
    kinds = [layer.kind for layer in net.layers]
    assert kinds == ["batch_norm", "dense", "batch_norm", "parametric_activation", "dense"]
    assert difference(net.predict(X), torch.softmax(module(torch.from_numpy(X)), 1).detach().numpy()) < 1e-5
    again = to_torch(net)
    np.testing.assert_allclose(outputs(again, X), net.predict(X), rtol=1e-4, atol=1e-6)
    again.train()
    again(torch.from_numpy(X))
    assert (again[0].running_mean != module[0].running_mean).all()


def test_normalised_layers_of_others():
    torch.manual_seed(0)
    module = nn.Sequential(nn.LayerNorm(6), nn.Linear(6, 5), nn.LayerNorm(5, eps=1e-3), nn.ReLU(), nn.Dropout(0.5),
                           Residual(nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 5))), nn.Hardswish(),
                           nn.Linear(5, 3))
    with torch.no_grad():
        for p in module.parameters():
            p += 0.1 * torch.randn(p.shape)
    net = from_torch(module.eval(), "squared_error")
    X = np.random.default_rng(0).standard_normal((9, 6)).astype("float32")
    assert net.architecture.activations == ("identity",) * 4 + ("tanh",) + ("identity",) * 4
    first, second = net.layers[3], net.layers[7]
    assert (first.function, first.learning_rate_factor, second.function) == ("relu", 0, "hard_swish")
    np.testing.assert_allclose(net.predict(X), outputs(module, X), rtol=1e-5, atol=1e-6)


def test_logits_are_what_torch_losses_want():
    net = fastsgd.Network([4, 5, 3], seed=0)
    X, y = np.random.default_rng(0).standard_normal((6, 4)).astype("float32"), np.array([0, 1, 2, 0, 1, 2])
    logits = outputs(to_torch(net, output_activation=False), X)
    cost = nn.functional.cross_entropy(torch.from_numpy(logits), torch.from_numpy(y)).item()
    assert cost == pytest.approx(net.cost(X, y), rel=1e-6)
    identity = fastsgd.Network([4, 5, 3], loss="huber", seed=0)
    module = to_torch(identity, output_activation=False)
    np.testing.assert_array_equal(outputs(module, X), outputs(to_torch(identity), X))


def test_the_module_is_a_copy_in_evaluation_mode_that_scripts_pickles_and_trains():
    net = fastsgd.Network([4, 5, 1], "softplus", "poisson", seed=0, input_scale=[1, 2, 3, 4], input_offset=0.5)
    X = np.random.default_rng(0).standard_normal((6, 4)).astype("float32")
    before = torch.get_rng_state()
    module = to_torch(net)
    assert torch.equal(torch.get_rng_state(), before)
    assert not module.training
    assert list(module.state_dict()) == ["0.scale", "0.offset", "1.weight", "1.bias", "3.weight", "3.bias"]
    expected = outputs(module, X)
    buffer = io.BytesIO()
    torch.save(module.state_dict(), buffer)
    buffer.seek(0)
    twin = to_torch(fastsgd.Network([4, 5, 1], "softplus", "poisson", seed=1, input_scale=[9] * 4, input_offset=9))
    twin.load_state_dict(torch.load(buffer))
    for one in (twin, pickle.loads(pickle.dumps(module))):
        np.testing.assert_array_equal(outputs(one, X), expected)
    optimizer = torch.optim.SGD(module.parameters(), 0.01)
    module(torch.from_numpy(X)).sum().backward()
    optimizer.step()
    assert not np.array_equal(outputs(module, X), expected)
    np.testing.assert_allclose(net.predict(X), expected, rtol=1e-6)


def test_the_units_of_outputs_come_last():
    net = fastsgd.Network([4, 3], loss="huber", seed=0, output_scale=[1, 2, 3], output_offset=0.5)
    module = to_torch(net, output_activation=False)
    assert list(module.state_dict()) == ["0.weight", "0.bias", "1.scale", "1.offset"]
    assert from_torch(module, "huber").architecture == net.architecture
    for parts in ((module, nn.Linear(3, 2)), (module, module[1]), (module[1], module), (nn.Linear(3, 4), module[1])):
        with pytest.raises(ValueError, match=r"is not part of a chain|must come last|one number or 4, one per output"):
            from_torch(nn.Sequential(*parts))
    with pytest.raises(ValueError, match="output_scale and output_offset are for losses of quantities"):
        from_torch(module, "cross_entropy")


def test_the_units_of_means_and_of_sorted_outputs_come_back():
    means = fastsgd.Network([3, 4], loss="gaussian_nll", seed=0, output_scale=[2.0, 3.0], output_offset=[1.0, -1.0])
    ranks = fastsgd.Network([3, 2], loss=fastsgd.losses.Quantile([0.1, 0.6]), output="sorted", seed=0, output_scale=2.0)
    for net in (means, ranks):
        twin = from_torch(to_torch(net), net.loss_function)
        assert twin.architecture == net.architecture
    with pytest.raises(ValueError, match="output_activation=False leaves logarithms of deviations"):
        to_torch(means, output_activation=False)
    module = to_torch(means)
    module[-1].offset[3] = 1.0
    with pytest.raises(ValueError, match="deviations must be scaled as their means are"):
        from_torch(module, "gaussian_nll")
    with pytest.raises(ValueError, match="output 'sorted' needs quantiles that rise"):
        from_torch(to_torch(ranks))


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")
@pytest.mark.parametrize("loss", ["poisson", "gaussian_nll", "quantile"])
def test_the_module_can_be_scripted(loss):
    loss = fastsgd.losses.with_parameters(loss, quantile=[0.1, 0.9])
    net = fastsgd.Network([4, 5, 2], "gelu", loss, seed=0, input_scale=[1, 2, 3, 4], output=loss.outputs[-1])
    X = np.random.default_rng(0).standard_normal((6, 4)).astype("float32")
    module = to_torch(net)
    np.testing.assert_allclose(outputs(torch.jit.script(module), X), outputs(module, X), rtol=1e-6)


def test_softplus_keeps_all_digits_of_float64():
    net = fastsgd.Network([1, 1, 1], "softplus", "squared_error", dtype="float64")
    net.params = [1, 0, 1, 0]
    X = np.linspace(-50, 50, 1001)[:, None]
    np.testing.assert_allclose(outputs(to_torch(net), X), net.predict(X), rtol=1e-14)


def test_modules_of_others():
    torch.manual_seed(0)
    shared = nn.ReLU()
    module = nn.Sequential(nn.Flatten(), nn.Sequential(nn.Linear(6, 5), shared, nn.Dropout(0.9)),
                           nn.Linear(5, 4, bias=False), shared, nn.Identity(), nn.Linear(4, 4), nn.Linear(4, 3),
                           nn.Sigmoid())
    net = from_torch(module)
    assert repr(net) == ("Network([6, 5, 4, 4, 3], activation=['relu', 'relu', 'identity'], "
                         "loss='binary_cross_entropy', dtype='float32')")
    assert not net.biases[1].any()
    X = np.random.default_rng(0).standard_normal((7, 2, 3)).astype("float32")
    np.testing.assert_allclose(net.predict(X.reshape(7, 6)), outputs(module.eval(), X), rtol=1e-5)
    module[2].weight.data.zero_()
    assert net.weights[1].any()


@pytest.mark.parametrize(("last", "loss", "expected"), [
    ([], None, ("squared_error", "identity")), ([], "cross_entropy", ("cross_entropy", "softmax")),
    ([], "huber", ("huber", "identity")), ([nn.Softmax(dim=-1)], None, ("cross_entropy", "softmax")),
    ([nn.Sigmoid()], None, ("binary_cross_entropy", "logistic")), ([nn.Tanh()], None, ("squared_error", "tanh")),
    ([nn.Sigmoid()], "squared_error", ("squared_error", "logistic")),
])
def test_the_last_activation_or_the_caller_decides_the_loss(last, loss, expected):
    net = from_torch(nn.Sequential(nn.Linear(3, 2), *last), loss)
    assert (net.loss, net.architecture.activations[-1]) == expected
    assert from_torch(nn.Linear(3, 2, dtype=torch.float64)).dtype == np.float64


def replaced():
    layer = nn.ReLU()
    layer.forward = lambda x: torch.where(x > 0.1, x, 0)
    return [nn.Linear(3, 2), layer, nn.Linear(2, 2)]


def hooked():
    layer = nn.Linear(3, 2)
    layer.register_forward_hook(lambda *_: None)
    return layer


class Squared(nn.Linear):
    def forward(self, x):
        return super().forward(x) ** 2


REFUSED = {
    "a convolution": (lambda: [nn.Conv2d(1, 2, 3)], r"module\[0\], Conv2d.*not part.*allowed are Sequential"),
    "a normalisation over more": (lambda: [nn.Linear(3, 2), nn.LayerNorm((1, 2))], r"module\[1\], LayerNorm.*not part"),
    "one without its tensors": (lambda: [nn.Linear(3, 2), nn.LayerNorm(2, elementwise_affine=False)],
                                r"module\[1\], LayerNorm.*not part"),
    "a batch normalisation without figures": (
        lambda: [nn.Linear(3, 2), nn.BatchNorm1d(2, track_running_stats=False)], r"module\[1\], BatchNorm1d.*not part"),
    "a normalisation last": (lambda: [nn.Linear(3, 2), nn.LayerNorm(2)], "the last layer must have weights"),
    "an empty block": (lambda: [nn.Linear(3, 2), Residual(nn.Sequential()), nn.Linear(2, 2)],
                       r"module\[1\] has no layer"),
    "a block that changes the width": (lambda: [nn.Linear(3, 2), Residual(nn.Linear(2, 3)), nn.Linear(3, 2)],
                                       "a Residual block must end as wide as it begins"),
    "another parametric activation": (lambda: [ParametricActivation(nn.PReLU(), torch.ones(3)), nn.Linear(3, 2)],
                                      "has a function for which fastsgd has no activation"),
    "a normalisation": (lambda: [nn.Linear(3, 2), nn.InstanceNorm1d(2)], r"module\[1\], InstanceNorm1d.*not part"),
    "a nested one": (lambda: [nn.Sequential(nn.Linear(3, 2), nn.LSTM(2, 2))], r"module\[0\]\[1\], LSTM"),
    "another slope": (lambda: [nn.Linear(3, 2), nn.LeakyReLU(0.2), nn.Linear(2, 2)],
                      r"LeakyReLU\(negative_slope=0.2\)"),
    "a small slope": (lambda: [nn.Linear(3, 2), nn.LeakyReLU(1e-9), nn.Linear(2, 2)],
                      r"LeakyReLU\(negative_slope=1e-09\)"),
    "nearly the slope": (lambda: [nn.Linear(3, 2), nn.LeakyReLU(0.0100001), nn.Linear(2, 2)],
                         r"LeakyReLU\(negative_slope=0.0100001\)"),
    "a softplus that is straight from 8": (lambda: [nn.Linear(3, 2), nn.Softplus(threshold=8), nn.Linear(2, 2)],
                                           r"Softplus\(beta=1.0, threshold=8"),
    **{f"torch's {kind}": (lambda kind=kind, more=more: [nn.Linear(3, 2), getattr(nn, kind)(*more), nn.Linear(2, 2)],
                           rf"module\[1\], {kind}\(.*is not part of a chain")
       for kind, *more in (("Threshold", 0.1, 0), ("Hardshrink", 0.1), ("Softshrink", 0.1), ("PReLU",), ("RReLU",),
                           ("LogSigmoid",), ("Tanhshrink",))},
    "another hard tanh": (lambda: [nn.Linear(3, 2), nn.Hardtanh(-2, 2), nn.Linear(2, 2)], r"Hardtanh\(min_val=-2"),
    "another celu": (lambda: [nn.Linear(3, 2), nn.CELU(2.0), nn.Linear(2, 2)], r"CELU\(alpha=2.0\)"),
    "another function put there": (replaced, r"module\[1\], ReLU\(\), is not part of a chain"),
    "another alpha": (lambda: [nn.Linear(3, 2), nn.ELU(0.5), nn.Linear(2, 2)], r"ELU\(alpha=0.5\)"),
    "another gelu": (lambda: [nn.Linear(3, 2), nn.GELU("tanh"), nn.Linear(2, 2)], r"GELU\(approximate='tanh'\)"),
    "another softplus": (lambda: [nn.Linear(3, 2), nn.Softplus(2), nn.Linear(2, 2)], r"Softplus\(beta=2"),
    "softmax over rows": (lambda: [nn.Linear(3, 2), nn.Softmax(dim=0)], r"Softmax\(dim=0\)"),
    "softmax inside": (lambda: [nn.Linear(3, 2), nn.Softmax(dim=1), nn.Linear(2, 2)], "activation.*got 'softmax'"),
    "relu at the end": (lambda: [nn.Linear(3, 2), nn.ReLU()], "last layer's activation is relu; a network may end in"),
    "two activations": (lambda: [nn.Linear(3, 2), nn.ReLU(), nn.Tanh()], r"module\[2\], Tanh\(\), must follow a"),
    "an activation first": (lambda: [nn.ReLU(), nn.Linear(3, 2)], r"module\[0\], ReLU\(\), must follow a Linear"),
    "flattened rows": (lambda: [nn.Flatten(0), nn.Linear(3, 2)], r"Flatten\(start_dim=0"),
    "sizes that do not fit": (lambda: [nn.Linear(3, 2), nn.Linear(3, 2)], "layer 1 takes 3 inputs, .* gives 2"),
    "half precision": (lambda: [nn.Linear(3, 2, dtype=torch.float16)], "all float32 or all float64, got float16"),
    "bfloat16": (lambda: [nn.Linear(3, 2, dtype=torch.bfloat16)], "cannot be used: .*BFloat16"),
    "mixed precision": (lambda: [nn.Linear(3, 2), nn.Linear(2, 2, dtype=torch.float64)], "got float32 and float64"),
    "no data": (lambda: [nn.Linear(3, 2, device="meta")], "cannot be used: .*meta"),
    "nothing": (lambda: [], "there is no layer with weights"),
    "a hook": (lambda: [hooked()], r"module\[0\] has forward hooks"),
    "another forward": (lambda: [Squared(3, 2)], r"module\[0\], Squared\("),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_chain_of_dense_layers_is_refused_by_name(name):
    make, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        from_torch(nn.Sequential(*make()))


def test_a_loss_that_does_not_go_with_the_module():
    with pytest.raises(ValueError, match="output for huber must be identity, got 'tanh'"):
        from_torch(nn.Sequential(nn.Linear(3, 2), nn.Tanh()), "huber")
    with pytest.raises(ValueError, match="loss must be one of"):
        from_torch(nn.Linear(3, 2), "surprise")
    with pytest.raises(TypeError, match=r"must be a torch\.nn\.Module"):
        from_torch([nn.Linear(3, 2)])


def test_without_the_packages_the_error_says_what_to_install():
    code = ("import sys\n"
            "sys.modules['torch'] = sys.modules['onnx'] = None\n"
            "import fastsgd\n"
            "net = fastsgd.Network([2, 2])\n"
            "for function in ('to_torch', 'from_torch', 'to_onnx', 'from_onnx'):\n"
            "    try:\n"
            "        getattr(fastsgd.interop, function)(net)\n"
            "        raise AssertionError(function)\n"
            "    except ImportError as error:\n"
            "        assert f'pip install \"fastsgd[{function.split(chr(95))[1]}]\"' in str(error), error\n")
    result = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
