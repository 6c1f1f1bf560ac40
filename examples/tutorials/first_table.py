"""
A first table
=============

From a data frame with missing values and categories to a model that predicts with intervals, is explained, and is
saved to one file. The table is scikit-learn's diabetes data: ten measurements of 442 patients, and the progression of
the disease a year later.
"""
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import sklearn.datasets
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

import fastsgd
from fastsgd import TabularRegressor, plots

frame, progression = sklearn.datasets.load_diabetes(return_X_y=True, as_frame=True, scaled=False)

# %%
# Tables of your own are less tidy. Here the sex becomes a word, and a tenth of the blood pressures is missing:

rng = np.random.default_rng(0)
frame["sex"] = frame["sex"].map({1.0: "female", 2.0: "male"})
frame.loc[rng.random(len(frame)) < 0.1, "bp"] = np.nan
frame.head()

# %%
# Fit
# ---
#
# Nothing has to be scaled, encoded, filled or tuned.

train, test, y, y_test = train_test_split(frame, progression, test_size=0.25, random_state=0)
model = TabularRegressor(random_state=0).fit(train, y)
for name, kind, inputs in model.columns_:
    print(f"{name:5} {kind:30} {inputs}")

# %%
# ``columns_`` says what was made of each column. ``score`` is R², as scikit-learn's regressors have it; 0 is what
# the mean of the training rows gives.

print(f"R² on held-out rows: {model.score(test, y_test):.3f}")
plots.predicted(y_test, model.predict(test))

# %%
# Progression is known from these columns only in part, and nearly linearly: a linear model, which needs its columns
# filled and encoded, does about as well. On most tables it does not (:doc:`/benchmarks`).

prepared = make_column_transformer((OneHotEncoder(), ["sex"]), remainder=SimpleImputer())
linear = make_pipeline(prepared, LinearRegression()).fit(train, y)
print(f"linear regression: {linear.score(test, y_test):.3f}")

# %%
# How sure is it?
# ---------------
#
# ``predict_interval`` gives a range for each row that should hold the true value with the asked probability.

low, high = model.predict_interval(test, coverage=0.8).T
inside = ((low <= y_test) & (y_test <= high)).mean()
order = np.argsort(model.predict(test))
fig, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
ax.fill_between(range(len(test)), low[order], high[order], alpha=0.3, label="80 % interval")
ax.plot(y_test.to_numpy()[order], ".", label="true value")
ax.set(xlabel="held-out patients, by predicted progression", ylabel="progression")
ax.legend()
print(f"{inside:.0%} of the true values lie within their interval")

# %%
# What matters?
# -------------
#
# Importances say how much worse the model gets where a column is shuffled. Shapley values explain a single prediction.

plots.importances(model.feature_names_in_, model.feature_importances_)
print(model.explain(test[:3]))

# %%
# Save, load, export
# ------------------
#
# The file holds the encoding of the columns too: another table is read in the same way. The command reads it as well:
# ``fastsgd predict diabetes.fastsgd new_patients.csv``.

path = Path(tempfile.mkdtemp()) / "diabetes.fastsgd"
model.save(path)
again = fastsgd.tabular.load(path)
assert (again.predict(test) == model.predict(test)).all()
