"""Are the figures of a model right, as scikit-learn has them, and is what is worse than a constant said?"""
import json

import numpy as np
import pytest

import fastsgd
from fastsgd.cli import scores
from fastsgd.cli.scorecard import Quantity, QuantityScores, scorecard
from fastsgd.runs.loggers import to_json
from fastsgd.tables.encoding import Encoding
from fastsgd.tabular.model import TabularModel


def labels_and_scores(classes, rows=200):
    """With many ties."""
    rng = np.random.default_rng(classes)
    found = rng.integers(1, 5, (rows, classes)).astype(float)
    return rng.integers(0, classes, rows), found / found.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("classes", [2, 5])
def test_scores_of_classes_are_those_of_scikit_learn(classes):
    metrics = pytest.importorskip("sklearn.metrics")
    labels, found = labels_and_scores(classes)
    predicted = found.argmax(axis=1)
    table = scores.confusion(labels, predicted, classes)
    assert (table == metrics.confusion_matrix(labels, predicted)).all()
    np.testing.assert_allclose(scores.precision(table), metrics.precision_score(labels, predicted, average=None))
    np.testing.assert_allclose(scores.recall(table), metrics.recall_score(labels, predicted, average=None))
    assert scores.log_loss(labels, found) == pytest.approx(metrics.log_loss(labels, found))
    one = found[:, 1] if classes == 2 else found
    assert scores.auc_of_classes(labels, found) == pytest.approx(metrics.roc_auc_score(labels, one, multi_class="ovr"))
    sure = np.eye(classes)[labels]
    sure[0] = np.roll(sure[0], 1)
    assert scores.log_loss(labels, sure) == pytest.approx(metrics.log_loss(labels, sure))


def test_scores_of_quantities_are_those_of_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    y, found = rng.poisson(3, 100).astype(float), rng.uniform(0.1, 9, 100)
    assert scores.rmse(y, found) == pytest.approx(metrics.root_mean_squared_error(y, found))
    assert scores.mae(y, found) == pytest.approx(metrics.mean_absolute_error(y, found))
    assert scores.r2(y, found) == pytest.approx(metrics.r2_score(y, found))
    assert scores.pinball(y, found, 0.2) == pytest.approx(metrics.mean_pinball_loss(y, found, alpha=0.2))
    assert scores.deviance(y, found) == pytest.approx(metrics.mean_poisson_deviance(y, found))


def test_a_class_without_rows_or_predictions_has_no_figure():
    table = scores.confusion(np.array([0, 0, 1]), np.array([0, 2, 2]), 3)
    assert np.isnan(scores.recall(table)).tolist() == [False, False, True]
    assert np.isnan(scores.precision(table)).tolist() == [False, True, False]
    assert np.isnan(scores.auc(np.ones(3, bool), np.arange(3.0)))
    assert np.isnan(scores.r2(np.full(3, 2.0), np.arange(3.0)))


def card_of(outputs, labels, classes):
    """Of a network that predicts these probabilities."""
    table = {**{f"x{i}": column for i, column in enumerate(np.log(outputs).T)},
             "y": np.array([classes[i] for i in labels], object)}
    encoding = Encoding.learn(table, "y", keep=[name for name in table if name != "y"])
    net = fastsgd.Network([len(classes), len(classes)], dtype="float64")
    net.params = np.r_[np.eye(len(classes)).ravel(), np.zeros(len(classes))]
    return scorecard(TabularModel(encoding, net), np.log(outputs), labels.astype(np.int32))


def test_a_model_of_classes_in_words_and_as_json():
    labels = np.repeat([0, 1], [30, 10])
    outputs = np.where((np.arange(40) % 5 == 0) ^ (labels == 1), 0.8, 0.3)
    card = card_of(np.stack([1 - outputs, outputs], axis=1), labels, ["no", "yes"])
    assert card.line().startswith("accuracy 0.8000 on 40 rows (always 'no': 0.7500), log loss 0.")
    text = card.text()
    assert "accuracy  0.8000  (0.7500 by always predicting 'no')" in text
    assert "log loss  0.5602  (0.5623 by predicting the classes' shares)" in text
    assert "no           30     0.9231  0.8000" in text
    assert text.splitlines()[-2:] == ["no          24    6", "yes          2    8"]
    assert card.doubt() is None
    figures = json.loads(to_json(card.figures()))
    assert figures["confusion"] == [[24, 6], [2, 8]]
    assert figures["classes"]["yes"] == {"rows": 10, "precision": pytest.approx(8 / 14), "recall": 0.8}
    assert figures["baseline"] == {"accuracy": 0.75, "log_loss": pytest.approx(0.5623, abs=1e-4)}


def test_accuracy_below_the_most_frequent_class_is_said():
    labels = np.repeat([0, 1], [30, 10])
    card = card_of(np.tile([0.4, 0.6], (40, 1)), labels, ["no", "yes"])
    assert card.doubt() == "accuracy 0.2500 is no better than always predicting 'no' (0.7500)"
    outputs = np.where((np.arange(40) % 3 == 0) | (labels == 1), 0.8, 0.3)       # every yes, and too many
    card = card_of(np.stack([1 - outputs, outputs], axis=1), labels, ["no", "yes"])
    assert card.doubt().endswith("found more often than by that, though: the mean recall is 0.8333")
    outputs = np.where(labels == 1, 0.3, 0.2)                                    # never yes, but ranked without fault
    card = card_of(np.stack([1 - outputs, outputs], axis=1), labels, ["no", "yes"])
    assert "(0.7500); the probabilities tell more, though: the AUC is 1.0000 (training " in card.doubt()
    assert card_of(np.tile([0.4, 0.6], (9, 1)), labels[22:31], ["no", "yes"]).doubt() is None     # too few to tell


@pytest.mark.parametrize("classes", [3, 40])
def test_long_names_and_many_classes_are_readable(classes):
    labels, outputs = labels_and_scores(classes, 400)
    names = [f"{i} {'a very long name of a class ' * 3}{i}" for i in range(classes)]
    text = card_of(outputs, labels, names).text()
    assert max(map(len, text.splitlines())) <= 120
    assert len(text.splitlines()) < 60
    assert ("most frequent confusions" in text) is (classes == 40)
    assert ("and 10 classes more" in text) is (classes == 40)


def test_quantities_are_told_in_their_own_units():
    y = 1000 + 10 * np.arange(20.0)
    card = QuantityScores(20, 0.1, 0.9, (Quantity("price", "squared_error", y, (y + 6)[:, np.newaxis]),))
    assert card.line() == "RMSE 6.000 (the mean: 57.66), MAE 6.000 (the median: 50.00), R^2 0.9892 on 20 rows"
    assert "RMSE  6.000  (57.66 by predicting the mean)" in card.text()
    assert card.doubt() is None
    assert card.figures()["baseline"] == {"rmse": pytest.approx(57.66, abs=0.01), "mae": 50.0}
    bad = QuantityScores(20, 0.1, 0.9, tuple(Quantity(name, "squared_error", y, (y + 60)[:, np.newaxis])
                                             for name in "ab"))
    assert bad.doubt() == ("no better than the same for every row: RMSE of 'a' 60.00 (the mean: 57.66), "
                           "RMSE of 'b' 60.00 (the mean: 57.66)")
    assert list(bad.figures()["targets"]) == ["a", "b"]
    assert bad.line().startswith("a: RMSE")
    each = Quantity("price", "quantile", y, np.stack([y - 5, y + 5], 1), (0.1, 0.9))
    quantile = QuantityScores(20, 0.1, 0.9, (each,))
    assert quantile.line().startswith("q0.1 pinball loss 0.5000 (a constant: 9.000; 0.0% of the rows below), q0.9 pin")
    assert quantile.figures()["quantiles"]["0.9"]["below"] == 1.0


@pytest.mark.filterwarnings("ignore:output_offset is")
def test_large_targets_that_differ_little_keep_their_digits():
    """float32 tells numbers of 1.7e9 to 128 only."""
    x = np.linspace(-1, 1, 50)
    encoding = Encoding.learn({"x": x, "y": 1.7e9 + 100 * x}, "y", "regression", own_units=True)
    net = fastsgd.Network([1, 1], loss="squared_error", output_scale=encoding.target_scale(),
                          output_offset=encoding.target_offset())
    net.params = [1, 0]
    X = encoding.rows({"x": x})
    np.testing.assert_allclose(TabularModel(encoding, net).outputs(X)[:, 0], 1.7e9 + 100 * x, atol=0.01, rtol=0)
