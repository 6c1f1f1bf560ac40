"""
One prediction explained
========================

:meth:`fastsgd.TabularRegressor.explain` says what each column adds to a prediction, beginning with the mean prediction:
sampled Shapley values. The bars lead from this mean to the prediction of one row: orange ones raise it, blue ones lower
it.
"""
import matplotlib.pyplot as plt
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
# The values and the base add up to about the prediction, the more closely, the more ``samples`` are drawn.

flat = flats[:1]
explanation = model.explain(flat, samples=2000)
order = np.argsort(np.abs(explanation.values[0]))
values = explanation.values[0, order]
ends = explanation.base + np.cumsum(values)

_, ax = plt.subplots(figsize=(6.4, 4), layout="constrained")
places = range(len(order))
ax.barh(places, values, left=ends - values, color=np.where(values > 0, "tab:orange", "tab:blue"), height=0.6)
ax.set_yticks(places, [f"{flats.columns[column]} = {flat.iloc[0, column]}" for column in order])
ax.axvline(explanation.base, color="0.5", linestyle=":", label=f"mean prediction, {explanation.base:.0f}")
ax.axvline(model.predict(flat)[0], color="black", linestyle="--",
           label=f"prediction of this flat, {model.predict(flat)[0]:.0f}")
ax.use_sticky_edges = False
ax.margins(x=0.1)
ax.set(xlabel="rent", ylabel="column and its value", title="From the mean to the prediction of one row")
ax.figure.legend(loc="outside lower center", ncols=2, frameon=False)
plt.show()
