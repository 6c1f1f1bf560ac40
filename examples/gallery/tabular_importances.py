"""
Which columns of a table matter
===============================

A table with numbers, categories and missing values goes into :class:`~fastsgd.TabularClassifier` as it is.
:func:`fastsgd.plots.importances` draws its ``feature_importances_``: how much the log loss of held-out rows rises when
the values of one column are shuffled among them.
"""
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from fastsgd import TabularClassifier, plots

rng = np.random.default_rng(0)
rows = 1500
frame = pd.DataFrame({
    "monthly_fee": rng.normal(40, 12, rows).round(2),
    "months": rng.integers(1, 72, rows),
    "contract": rng.choice(["monthly", "one year", "two years"], rows, p=[0.6, 0.25, 0.15]),
    "payment": rng.choice(["card", "transfer", None], rows, p=[0.5, 0.4, 0.1]),
    "region": rng.choice(["north", "east", "south", "west"], rows),
})
contract = frame["contract"].map({"monthly": 1.5, "one year": 0.0, "two years": -1.5})
log_odds = 0.06 * (frame["monthly_fee"] - 40) - 0.04 * (frame["months"] - 36) + contract + (frame["payment"] == "card")
left = np.where(rng.random(rows) < 1 / (1 + np.exp(-log_odds)), "left", "stayed")
frame.loc[rng.random(rows) < 0.15, "monthly_fee"] = np.nan

# %%
# Categories and missing values need no preparation. ``columns_`` says what was made of each column.

model = TabularClassifier(quality="fast", random_state=0).fit(frame, left)
for column in model.columns_:
    print(f"{column.name}: {column.kind}")

# %%
# The target does not depend on the region.

_, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
plots.importances(model.feature_names_in_, model.feature_importances_, ax, unit="log loss")
plt.show()
