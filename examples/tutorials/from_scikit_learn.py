"""
From scikit-learn
=================

The estimators have scikit-learn's names, parameters, defaults and attributes: the import is the whole change. What they
add comes after the parameters you know.
"""
import time
import warnings

import matplotlib.pyplot as plt
import sklearn.datasets
import sklearn.neural_network
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastsgd
from fastsgd import MLPClassifier

warnings.filterwarnings("ignore", "Stochastic Optimizer")           # few epochs are asked for below

X, y = sklearn.datasets.load_breast_cancer(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)

# %%
# The same pipeline with either
# -----------------------------

for module in (sklearn.neural_network, fastsgd):
    pipeline = make_pipeline(StandardScaler(), module.MLPClassifier((100,), max_iter=50, random_state=0))
    begin = time.perf_counter()
    pipeline.fit(X_train, y_train)
    seconds = time.perf_counter() - begin
    print(f"{module.__name__}: {seconds:.3f} s, accuracy {pipeline.score(X_test, y_test):.3f}")

# %%
# Random numbers are fastsgd's own, so the two fits are of the same kind, not equal: of 143 test rows one or two more or
# less are right, and over many seeds as many (:doc:`/generated/benchmarks`). A fitted network goes both ways
# exactly: :func:`fastsgd.interop.to_sklearn`, :func:`fastsgd.interop.from_sklearn`.

ours = pipeline[-1]
theirs = fastsgd.interop.to_sklearn(ours)
print(type(theirs).__module__, abs(theirs.predict_proba(X_test) - ours.predict_proba(X_test)).max())

# %%
# Searches, and what is added
# ---------------------------
#
# Parameters of the optimizer are searched like any other. ``scoring`` with ``early_stopping`` keeps the epoch that
# is best by any of scikit-learn's metrics, and a validation set of your own goes to ``fit``.

search = GridSearchCV(
    make_pipeline(StandardScaler(), MLPClassifier((64,), optimizer=fastsgd.SGD(0.1, momentum=0.9), max_iter=30,
                                                  random_state=0)),
    {"mlpclassifier__optimizer__learning_rate": [0.01, 0.1, 0.3], "mlpclassifier__dropout": [0.0, 0.2]}, cv=3)
search.fit(X_train, y_train)
print(search.best_params_, round(search.best_score_, 3))

# %%
scaler = StandardScaler().fit(X_train)
model = MLPClassifier((64, 32), activation=["gelu", "tanh"], class_weight="balanced", label_smoothing=0.05,
                      optimizer=fastsgd.AdamW(fastsgd.schedules.OneCycle(0.003)), early_stopping=True,
                      scoring="roc_auc", max_iter=60, random_state=0)
rows, X_val, labels, y_val = train_test_split(scaler.transform(X_train), y_train, test_size=0.2, random_state=0)
model.fit(rows, labels, X_val=X_val, y_val=y_val)
print(model.n_iter_, "epochs, accuracy of the test rows", round(model.score(scaler.transform(X_test), y_test), 4))

# %%
# ``loss_curve_`` and ``validation_scores_`` are there as usual, and ``validation_loss_curve_`` with them.

figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
left.plot(model.loss_curve_, label="training rows")
left.plot(model.validation_loss_curve_, label="validation rows")
left.set(xlabel="epoch", ylabel="loss")
left.legend()
right.plot(model.validation_scores_)
right.set(xlabel="epoch", ylabel="ROC AUC of the validation rows")

# %%
# What differs in detail stands in the explanation :doc:`/explanation/scikit-learn`.
