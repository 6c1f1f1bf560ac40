"""Do files that older versions wrote still load, to the same predictions? A new layout adds a folder, none goes."""
import json
import pickle
from pathlib import Path

import bits
import numpy as np
import pytest

import fastsgd
from fastsgd.network import model_file
from fastsgd.runs import checkpoint

FOLDER = Path(__file__).parent / "golden"
PREDICTIONS = {  # of the rows np.resize(np.linspace(-1, 1, 6), (2, inputs)), when the file was written
    "1/classifier": [[0.2783321440219879, 0.7216678857803345], [0.4931947886943817, 0.5068052411079407]],
    "1/quantiles": [[0.9806327433435866, -0.43745837669643867, -0.7486946861516282],
                    [-0.13477213481449618, -0.0724035987300422, -0.2155715535907594]],
    "1/scaled": [[0.676462709903717], [0.7466756701469421]],
    "1/table": [[0.371167451, 0.216607571, 0.412225008], [0.069419339, 0.75431931, 0.176261365]],
    "1/piecewise": [[1.117341161, 2.621795654], [1.117341161, 2.621795654]],
    "1/members": [[0.363360375, 0.36444664, 0.272193015], [0.363360375, 0.36444664, 0.272193015]],
    "1/tabm": [[-0.445556909, 0.606622994], [-0.445556909, 0.606622994]],
    "1/normed": [[0.712845623, 0.251959532, 0.035194829], [0.489871919, 0.485457927, 0.024670191]],
    "1/ordinal": [[0.55506289, 0.487093091, 0.574883699], [0.55506289, 0.487093091, 0.574883699]],
}


@pytest.mark.parametrize("name", PREDICTIONS)
def test_models(name):
    net = fastsgd.Network.load(FOLDER / f"{name}.safetensors")
    X = np.resize(np.linspace(-1, 1, 6), (2, net.sizes[0]))
    for column, levels in net.layers[0].categories:
        X[:, column] = levels - 1, -1 if column == 0 else 0
    found = net.predict(X)
    np.testing.assert_allclose(found, PREDICTIONS[name], rtol=1e-6)
    assert net.metadata.get("note") == ("Zürich" if name.endswith("classifier") else None)


def test_checkpoints(digits):
    (X, y), _ = digits
    settings = {"optimizer": fastsgd.SGD(0.1, momentum=0.9, average=0.9), "epochs": 4, "seed": 0, "validation": 0.25,
                "batch_size": 50, "dropout": 0.2}
    path = FOLDER / "1" / "run.ckpt"
    net, twin = (fastsgd.Network([64, 3, 10], seed=0) for _ in range(2))
    history = fastsgd.train(net, X[:200], y[:200], **settings, callbacks=[fastsgd.EarlyStopping(3)], resume=path)
    expected = fastsgd.train(twin, X[:200], y[:200], **settings, callbacks=[fastsgd.EarlyStopping(3)])
    assert history.cost == pytest.approx(expected.cost, rel=1e-5)
    np.testing.assert_allclose(net.params, twin.params, rtol=1e-4, atol=1e-5)


def test_every_layout_has_its_folder():
    versions = {path.name for path in FOLDER.iterdir()}
    assert versions == {str(version) for version in range(1, int(model_file.VERSION) + 1)}
    assert checkpoint.VERSION == 1, "a new layout of checkpoints needs one of its own, the old to be refused"


def test_pickles_of_the_first_layout_load():
    objects = pickle.loads((FOLDER / "1" / "objects.pickle").read_bytes())
    assert objects["history"].epochs == 1
    assert objects["net"].predict(np.zeros((1, 4), "float32")).shape == (1, 2)
    assert [type(optimizer).__name__ for optimizer in objects["optimizers"]] == [
        "SGD", "AdamW", "RMSprop", "Adagrad", "Adam", "PassiveAggressive"]
    assert isinstance(objects["callbacks"][0], fastsgd.EarlyStopping)
    assert objects["state"].slots.shape == (1, objects["net"].params.size)


def test_public_classes_are_pickled_by_their_public_names():
    for name in fastsgd.__all__:
        thing = getattr(fastsgd, name)
        if isinstance(thing, type):
            assert pickle.loads(pickle.dumps(thing)) is thing
            assert thing.__module__ == "fastsgd", name


def test_training_gives_the_bits_of_version_0_1():
    """Native kernels with fused multiply-adds alone: BLAS and SSE2 promise less."""
    pytest.importorskip("scipy.sparse")
    if fastsgd.config()["isa"] == "sse2":
        pytest.skip("no fused multiply-adds")
    expected, found = json.loads((FOLDER / "1" / "bits.json").read_text()), bits.hashes()
    if found["random numbers"] != expected["random numbers"]:
        pytest.skip("this NumPy draws other random numbers")
    other = [name for name in expected if found[name] != expected[name] and not name.startswith(("blas", "1,100"))]
    assert len(expected) == 823
    assert other == []
