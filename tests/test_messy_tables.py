"""Does each table end in a model or in an error that names the column? Some of those of tests/soak/messy_tables.py."""
import importlib.util
from pathlib import Path

import numpy as np
import pytest

pandas = pytest.importorskip("pandas")
pytest.importorskip("sklearn")

_spec = importlib.util.spec_from_file_location("messy_tables", Path(__file__).parent / "soak" / "messy_tables.py")
messy_tables = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(messy_tables)


@pytest.mark.parametrize("first", range(0, 40, 10))
def test_every_table_ends_well(first):
    outcomes = [outcome for number in range(first, first + 10) for outcome in messy_tables.check(number)]
    assert "a model" in outcomes


@pytest.mark.parametrize("rows", [2, 3, 4, 5, 9])
@pytest.mark.parametrize("quality", ["fast", "good", "best"])
@pytest.mark.filterwarnings("ignore:none of the [23] rows can be held out")
def test_a_few_rows_are_enough(rows, quality):
    from fastsgd import TabularClassifier, TabularRegressor
    x = np.arange(rows, dtype=float)[:, np.newaxis]
    assert np.isfinite(TabularRegressor(quality=quality, random_state=0).fit(x, x[:, 0]).predict(x)).all()
    model = TabularClassifier(quality=quality, random_state=0).fit(x, x[:, 0] > 0)
    assert np.isfinite(model.predict_proba(x)).all()


def test_numbers_of_tiny_size_and_words_among_percentages():
    from fastsgd import TabularRegressor
    rng = np.random.default_rng(0)
    x = rng.normal(size=60)
    frame = pandas.DataFrame({"tiny": np.where(np.arange(60) % 4 == 0, np.nan, x * 1e-310),
                              "share": [f"{v:.1%}" if i % 8 else "n/a" for i, v in enumerate(x)]})
    model = TabularRegressor(recipe=messy_tables.QUICK, random_state=0).fit(frame, x)
    assert [use.kind for use in model.columns_] == ["number", "number"]
    assert np.isfinite(model.predict(frame)).all()
