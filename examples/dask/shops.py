"""One model for each shop: the rows of a dask.dataframe, grouped, each group fitted where it comes together."""
import dask.dataframe as dd
import numpy as np
import pandas as pd
from dask.distributed import Client

import fastsgd


def sales(rows: int = 20_000, shops: int = 8) -> pd.DataFrame:
    """Sales that depend on price and weekday, in each shop in another way."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"shop": rng.integers(0, shops, rows), "price": rng.uniform(-1, 1, rows),
                          "weekend": rng.integers(0, 2, rows)})
    effect = np.linspace(-2, -0.5, shops)
    frame["sold"] = 10 + effect[frame["shop"]] * frame["price"] + 3 * frame["weekend"] + rng.normal(0, 0.3, rows)
    return frame


def fit(group: pd.DataFrame) -> pd.DataFrame:
    """A row with what the model of a shop has learned."""
    X, y = group[["price", "weekend"]].to_numpy(float), group["sold"].to_numpy()
    model = fastsgd.SGDRegressor(random_state=0).fit(X, y)
    return pd.DataFrame({"price": [model.coef_[0]], "weekend": [model.coef_[1]], "R2": [model.score(X, y)]})


def main() -> None:
    frame = dd.from_pandas(sales(), npartitions=4)
    meta = pd.DataFrame({"price": [0.0], "weekend": [0.0], "R2": [0.0]})
    with Client(n_workers=2, threads_per_worker=1, dashboard_address=":0"):
        models = frame.groupby("shop").apply(fit, meta=meta).compute().droplevel(-1).sort_index()
    print(models.round(2).to_string())


if __name__ == "__main__":
    main()
