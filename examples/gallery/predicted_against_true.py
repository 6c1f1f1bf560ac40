"""
Predicted against true values
=============================

:class:`~fastsgd.TabularRegressor` predicts a mean and an interval for each row. :func:`fastsgd.plots.predicted` draws
both against the true values of held-out rows, and tells which part of them lies within its interval.
"""
import matplotlib.pyplot as plt
from sklearn.datasets import make_friedman1

from fastsgd import TabularRegressor, plots

X, y = make_friedman1(2500, noise=1.0, random_state=0)
train, test = slice(0, 1500), slice(1500, 2500)
model = TabularRegressor(quality="fast", random_state=0).fit(X[train], y[train])

_, ax = plt.subplots(figsize=(6.4, 5.2), layout="constrained")
interval = model.predict_interval(X[test], coverage=0.9)
plots.predicted(y[test], model.predict(X[test]), interval, ax)
plt.show()

# %%
# The part of the held-out rows that lies within intervals of several coverages.

for coverage in (0.5, 0.8, 0.9, 0.95):
    low, high = model.predict_interval(X[test], coverage=coverage).T
    print(f"coverage {coverage}: {((y[test] >= low) & (y[test] <= high)).mean():.3f}")
