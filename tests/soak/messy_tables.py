"""Tables with every kind of mess: each ends in a model with finite predictions, or in an error that names the column.

Each is learned by TabularClassifier or TabularRegressor as a data frame, and by ``fastsgd train`` as a CSV file, which
is then predicted. The short version is in tests/test_messy_tables.py.
"""
from __future__ import annotations

import argparse
import contextlib
import datetime
import io
import sys
import tempfile
import warnings
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd

from fastsgd import TabularClassifier, TabularRegressor
from fastsgd.cli.main import main as command
from fastsgd.tabular import Recipe

QUICK = Recipe(members=2, width=16, depth=2, activation="relu", bins=8, dropout=0.0, learning_rate=0.003,
               weight_decay=0.01, batch_size=32, epochs=3, patience=3)
WORDS = ("alpha", "Beta", "\u03b3", "naïve café", "", " ", "NA", "null", "-", "?", "x" * 300, "a,b", 'say "hi"',
         "line\nbreak", "🙂", "1,5", "007", "1e5", "inf", "nan", "True", "0x1F", "\ufeff", "=1+1", "ﬁ", "\u200b",
         "a\tb", ";", "None")
AWKWARD_NAMES = ("", " ", "x" * 500, "a,b", "line\nbreak", "🙂", "target ", "index", "Unnamed: 0", "__index_level_0__",
                 "id", "<b>", "%s", "{0}", "a=b", "'", '"', "\\", "NaN", "0", "C:\\x", "b;c")


def column(rng: np.random.Generator, rows: int):
    """Values of some kind, some of them missing."""
    kind = int(rng.integers(0, 27))
    x = rng.normal(size=rows)
    gaps = rng.random(rows) < rng.choice([0, 0, 0.1, 0.6])
    made = [
        lambda: x, lambda: x * 1e300, lambda: x * 1e-310, lambda: x + 1e15, lambda: np.full(rows, 7.0),
        lambda: np.full(rows, np.nan), lambda: np.where(rng.random(rows) < 0.2, np.inf * np.sign(x), x),
        lambda: rng.integers(0, 5, rows), lambda: rng.integers(-2**62, 2**62, rows), lambda: x > 0,
        lambda: [None if gap else bool(v > 0) for gap, v in zip(gaps, x, strict=True)],
        lambda: pd.array([None if gap else int(v * 9) for gap, v in zip(gaps, x, strict=True)], dtype="Int64"),
        lambda: [WORDS[i] for i in rng.integers(0, len(WORDS), rows)],
        lambda: [None if gap else WORDS[i] for gap, i in zip(gaps, rng.integers(0, 6, rows), strict=True)],
        lambda: [f"{v:,.2f} €" for v in x * 1e4], lambda: [f"{v:.3f}".replace(".", ",") for v in x],
        lambda: [f"{v:.1%}" if v > -1.5 else "n/a" for v in x],
        lambda: [" ".join(WORDS[i] for i in rng.integers(0, 5, 6)) + f" {n}" for n in range(rows)],
        lambda: [f"u{n}" for n in range(rows)], lambda: pd.Categorical(rng.choice(["lo", "mid", "hi"], rows)),
        lambda: pd.Timestamp("2020-01-01") + pd.to_timedelta((x * 1000).round(), unit="h"),
        lambda: [str(datetime.date(2000, 1, 1) + datetime.timedelta(int(abs(v) * 9000))) for v in x],
        lambda: [None if gap else Decimal(f"{v:.3f}") for gap, v in zip(gaps, x, strict=True)],
        lambda: [[1, 2] if v > 0 else [3] for v in x], lambda: [b"bytes" for _ in x],
        lambda: [v if i % 3 else WORDS[i % len(WORDS)] for i, v in enumerate(x.tolist())],
        lambda: x.astype(np.float16)]
    values = made[kind]()
    if gaps.any() and isinstance(values, np.ndarray) and values.dtype.kind == "f":
        values = np.where(gaps, np.nan, values)
    return values


def target(rng: np.random.Generator, rows: int):
    x = rng.normal(size=rows)
    return [lambda: rng.choice(["no", "yes"], rows), lambda: x, lambda: np.exp(9 * x), lambda: rng.integers(0, 4, rows),
            lambda: np.where(np.arange(rows) == 0, "rare", rng.choice(["a", "b"], rows)), lambda: np.full(rows, "one"),
            lambda: x > 0, lambda: np.full(rows, 3.5), lambda: x * 1e-300, lambda: x * 1e200 + 1e201,
            lambda: [WORDS[i] for i in rng.integers(0, 4, rows)], lambda: np.where(rng.random(rows) < 0.1, np.nan, x),
            lambda: [f"${v:,.2f}" for v in x * 1e5], lambda: rng.poisson(2, rows)][int(rng.integers(0, 14))]()


def table(number: int) -> tuple[pd.DataFrame, str]:
    """A frame and the name of its target."""
    rng = np.random.default_rng(number)
    rows = int(rng.choice([1, 2, 3, 8, 30, 120, 300]))
    frame = {}
    for i in range(int(rng.integers(1, 9))):
        frame[str(rng.choice(AWKWARD_NAMES)) if rng.random() < 0.2 else f"c{i}"] = column(rng, rows)
    return pd.DataFrame({**frame, "goal": target(rng, rows)}), "goal"


def told(error: BaseException, frame: pd.DataFrame) -> bool:
    """Whether an error says what is wrong, of which column or of the rows."""
    text = str(error)
    if not isinstance(error, ValueError | TypeError) or "Traceback" in text or len(text) > 3000:
        return False
    names = [repr(str(name)) for name in frame.columns] + [repr(f"x{i}") for i in range(frame.shape[1])]
    return any(name in text for name in names) or any(word in text for word in (
        "y ", "rows", "single class", "n_samples", "goal", "classes", "target", "column 'Unnamed: "))


def of_python(frame: pd.DataFrame, goal: str) -> str:
    """"a model", or the error."""
    y = frame[goal]
    kind = TabularRegressor if y.dtype.kind == "f" else TabularClassifier
    model = kind(recipe=QUICK, random_state=0, n_jobs=1)
    X = frame.drop(columns=goal)
    try:
        model.fit(X, y)
    except Exception as error:
        if not told(error, frame):
            raise
        return str(error)
    found = model.predict(X)
    assert len(found) == len(X)
    outputs = found if kind is TabularRegressor else model.predict_proba(X)
    assert np.isfinite(outputs).all(), "predictions are not finite"
    return "a model"


def of_the_command(frame: pd.DataFrame, goal: str, folder: Path) -> str:
    path, model = folder / "t.csv", folder / "m.safetensors"
    frame.to_csv(path, index=False)
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        code = command(["train", str(path), "--target", goal, "--out", str(model), "--time-limit", "0.2",
                        "--threads", "1"])
        if not code:
            code = command(["predict", str(model), str(path), "--out", str(folder / "p.csv")])
    last = said.getvalue().strip().splitlines()[-1] if said.getvalue().strip() else ""
    assert "Traceback" not in said.getvalue(), said.getvalue()
    if code:
        assert last.startswith("fastsgd: error: "), said.getvalue()
        assert told(ValueError(last), frame), last
        assert not (folder / "p.csv").exists()
        return last
    found = pd.read_csv(folder / "p.csv", keep_default_na=False)
    assert len(found)
    return "a model"


def check(number: int) -> tuple[str, str]:
    """What became of a table, by both ways."""
    frame, goal = table(number)
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        return of_python(frame, goal), of_the_command(frame, goal, Path(folder))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", nargs="?", type=int, default=200, help="of tables (%(default)s)")
    parser.add_argument("--first", type=int, default=0, help="the number of the first (%(default)s)")
    parser.add_argument("--show", action="store_true", help="what became of each")
    options = parser.parse_args()
    count = options.count
    models = failed = 0
    for number in range(options.first, options.first + count):
        try:
            outcomes = check(number)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            failed += 1
            print(f"table {number}: {type(error).__name__}: {str(error)[:600]}")
            continue
        models += sum(outcome == "a model" for outcome in outcomes)
        if options.show:
            print(number, *(outcome[:150] for outcome in outcomes), sep=" | ")
    print(f"{count} tables, each by two ways: {models} models, {2 * (count - failed) - models} clear errors, "
          f"{failed} faults")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
