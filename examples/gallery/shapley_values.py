"""
One prediction explained
========================

:meth:`fastsgd.TabularRegressor.explain` says what each column adds to a prediction, beginning with the mean prediction:
sampled Shapley values. The bars lead from this mean to the prediction of one row: orange ones raise it, blue ones lower
it.
"""
import numpy as np
import pandas as pd

from fastsgd import TabularRegressor

rng = np.random.default_rng(0)
rows = 1000
flats = pd.DataFrame({
    "size": rng.normal(70, 20, rows).clip(20).round(),
    "district": rng.choice(["centre", "north", "harbour"], rows),
    "balcony": rng.choice(["yes", "no"], rows),
    "year": rng.integers(1900, 2025, rows),
    "floor": rng.integers(0, 6, rows),
})
per_metre = flats["district"].map({"centre": 16, "north": 10, "harbour": 13}) + 0.02 * (flats["year"] - 1960)
rent = per_metre * flats["size"] + 80 * (flats["balcony"] == "yes") + 15 * flats["floor"] + rng.normal(0, 40, rows)
model = TabularRegressor(quality="fast", random_state=0).fit(flats[1:], rent[1:])

# %%
# The values and the base add up to the prediction. The more ``samples``, the less chance there is in each value.

explanation = model.explain(flats[:1], samples=1000)
print(explanation)
ax = explanation.plot()
ax.figure.set_size_inches(6.4, 3.2)
