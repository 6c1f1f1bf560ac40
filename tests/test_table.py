"""Does a table become what a network takes, and its outputs the table's own terms?"""
import datetime

import numpy as np
import pytest

from fastsgd.tables.columns import Category, Number
from fastsgd.tables.encoding import Encoding, rows_with_targets
from fastsgd.tables.read import Table, read_table
from fastsgd.tables.reading import Reading
from fastsgd.tables.wording import how_to_keep


def column(*values):
    return np.array(values, dtype=object)


def test_the_bounds_of_an_encoding():
    def learn(**table):
        return Encoding.learn(table, "y")

    y = np.arange(2000) % 2
    levels = np.array([f"n{i % 1000}" for i in range(2000)], object)
    assert learn(x=levels, y=y).width == 1000
    levels[-1] = "one more"
    assert learn(x=levels, y=y).width == 1001                  # the most frequent, and other
    assert len(learn(x=y, y=np.arange(100) % 20).classes) == 20
    assert learn(x=y, y=np.arange(100) % 21).classes == ()
    assert learn(x=y, y=y == 1).classes == (False, True)
    narrow = 1e9 + np.array([0.0, 1.0])                    # varies by 5e-10 of its mean, which is no rounding
    assert learn(x=narrow, y=np.arange(2)).columns == (Number("x", 1e9 + 0.5, 0.5, fill=1e9 + 0.5),)


def test_rows_of_two_columns_of_strings_and_a_number():
    table = {"a": column("u", "v", "w"), "b": column("x", "y", "z"), "c": np.array([-1.0, 0, 1]), "y": np.arange(3)}
    encoding = Encoding.learn({**table, "c": np.array([-1.0, 1, 0])}, "y", rows=slice(0, 2))
    assert encoding.columns == (Category("a", ("u", "v")), Category("b", ("x", "y")),
                                Number("c", 0.0, 1.0, fill=0.0))
    told = []
    assert encoding.rows(table, warn=told.append).tolist() == [[1, 0, 1, 0, -1], [0, 1, 0, 1, 0], [0, 0, 0, 0, 1]]
    assert told == [f"column {name!r}: values not in the training table: 1, such as {value!r}; they count as none of "
                    "its levels" for name, value in (("a", "w"), ("b", "z"))]
    three = Encoding.learn(table, "y")
    assert three.rows(table)[:, :5].tolist() == [[1, 0, 0, 1, 0], [0, 1, 0, 0, 1], [0, 0, 1, 0, 0]]


def test_a_quantity_is_standardised_by_the_training_rows_alone():
    encoding = Encoding.learn({"x": np.arange(4.0), "y": np.array([0.0, 2, 100, 200])}, "y", rows=slice(0, 2))
    assert encoding.target == Number("y", 1.0, 1.0, fill=1.0)


def test_an_encoding_with_a_level_twice_is_damaged():
    table = {"a": column("u", "v"), "y": np.arange(2)}
    text = Encoding.learn(table, "y").to_json().replace('"v"', '"u"')
    with pytest.raises(ValueError, match="table encoding is damaged: column 'a' has levels"):
        Encoding.from_json(text)


def test_the_spellings_of_a_table_s_file(tmp_path):
    pandas = pytest.importorskip("pandas")
    contents = {"mark.csv": b"\xef\xbb\xbfa,b\n1,2\n", "blank.csv": b"\na,b\n1,2\n", "LOUD.CSV": b"a,b\n1,2\n"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        assert {key: values.tolist() for key, values in read_table(tmp_path / name).items()} == {"a": [1], "b": [2]}
    for name, content in (("mark2.csv", b"\xef\xbb\xbfa,a\n1,2\n"), ("blank2.csv", b"\na,a\n1,2\n")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=r"has two columns of one name: \['a'\]"):
            read_table(tmp_path / name)
    (tmp_path / "unnamed.csv").write_bytes(b"a,,\n1,2,3\n")               # pandas numbers those
    assert len(read_table(tmp_path / "unnamed.csv")) == 3
    frame = pandas.DataFrame({"t": [True, False], "n": pandas.array([1, None], dtype="Int64")})
    frame.to_parquet(tmp_path / "short.pq")
    found = read_table(tmp_path / "short.pq")
    assert (found["t"].dtype, found["t"].tolist()) == (bool, [True, False])
    np.testing.assert_array_equal(found["n"], [1.0, np.nan])
    import pyarrow
    from pyarrow import parquet
    parquet.write_table(pyarrow.table([[1], [2]], names=["1", "1"]), tmp_path / "short.pq")
    with pytest.raises(ValueError, match=r"has two columns of one name: \['1'\]"):
        read_table(tmp_path / "short.pq")


def test_what_an_npz_table_gives(tmp_path):
    np.savez(tmp_path / "t.npz", X=np.arange(12).reshape(2, 2, 3), s=np.array([b"a", b"b"]), u=np.array(["c", "d"]))
    found = read_table(tmp_path / "t.npz")
    assert [found[f"X{i}"].tolist() for i in range(6)] == [[i, i + 6] for i in range(6)]
    assert (found["s"].dtype, found["s"].tolist(), found["u"].tolist()) == (object, ["a", "b"], ["c", "d"])
    np.savez(tmp_path / "all.npz", X=np.zeros((1, 60_000), "u1"), Y=np.zeros((1, 40_000), "u1"))
    assert len(read_table(tmp_path / "all.npz")) == 100_000
    np.savez(tmp_path / "more.npz", X=np.zeros((1, 60_000), "u1"), Y=np.zeros((1, 40_001), "u1"))
    with pytest.raises(ValueError, match="100,000 columns are allowed in all"):
        read_table(tmp_path / "more.npz")


def test_several_targets_are_quantities_with_an_output_each():
    table = {"x": np.arange(4.0), "a": np.array([0, 2, 0, 2]), "b": np.array([10.0, 10, 30, 30])}
    encoding = Encoding.learn(table, ("a", "b"))
    assert (encoding.target_names, encoding.outputs, encoding.loss) == (("a", "b"), 2, "squared_error")
    assert encoding.summary() == "x: number; targets a, b: regression"
    assert encoding.targets(table).tolist() == [[-1, -1], [1, -1], [-1, 1], [1, 1]]
    assert encoding.labels(np.array([[1.0, -1], [0, 0]])) == [(2, 10), (1, 20)]
    assert Encoding.from_json(encoding.to_json()) == encoding
    words = {**table, "b": column("u", "v", "u", "v")}
    for targets, task, message in ((("a", "b"), "classification", "several targets must be quantities"),
                                   (("a", "a"), "auto", r"several different ones, got \['a', 'a'\]"),
                                   ((), "auto", r"one column or several different ones, got \[\]")):
        with pytest.raises(ValueError, match=message):
            Encoding.learn(table, targets, task)
    with pytest.raises(ValueError, match="regression needs a target of numbers, but 'b' holds 'u'"):
        Encoding.learn(words, ("a", "b"))
    for damaged in (encoding.to_json().replace("number", "category"), encoding.to_json()[:-1] + ', "target": []}'):
        with pytest.raises(ValueError, match="table encoding is damaged"):
            Encoding.from_json(damaged)


def test_quantities_in_their_own_units():
    table = {"x": np.arange(2.0), "y": np.array([1e6, 3e6])}
    own = Encoding.learn(table, "y", "regression", own_units=True)
    assert (own.target_scale(), own.target_offset()) == ([1e6], [2e6])
    assert own.targets(table).tolist() == [1e6, 3e6]
    assert own.labels(np.array([[5e5]])) == [5e5]
    assert Encoding.from_json(own.to_json()) == own
    classes = Encoding.learn({**table, "y": column("u", "v")}, "y")
    assert (classes.target_scale(), classes.target_offset()) == ([1, 1], [0, 0])


OLD = ('{"columns": [{"kind": "number", "name": "area", "mean": 100.0, "scale": 50.0, "constant": false}, '
       '{"kind": "number", "name": "year", "mean": 2023.0, "scale": 1.0}, '
       '{"kind": "category", "name": "colour", "levels": ["blue", "red"]}], '
       '"target": {"kind": "number", "name": "price", "mean": 3000.0, "scale": 10.0, "constant": false}}')


def test_an_encoding_written_before_predicts_the_same():
    encoding = Encoding.from_json(OLD)
    table = {"area": np.array([150, 50]), "year": np.array([2023, 2024]), "colour": column("red", "green")}
    assert encoding.rows(table).tolist() == [[1, 0, 0, 1], [-1, 1, 0, 0]]
    assert encoding.labels(np.array([[2.0], [-1.0]])) == [3020.0, 2990.0]
    assert encoding.targets({"price": np.array([3010, 3000])}).tolist() == [1, 0]
    kinds = ('"number", "name": "price"', '"category", "levels": [3, 5], "name": "price"')
    classes = Encoding.from_json(OLD.replace(*kinds))
    assert classes.labels(np.array([[0.1, 0.9]])) == [5]
    with pytest.raises(ValueError, match=r"missing .*: column 'area' 1, the first in row 0"):
        encoding.rows({**table, "area": np.array([np.nan, 1])})


def learned(*values, **options):
    """What is learned of a column, and what is told of it."""
    told = []
    values = values[0] if isinstance(values[0], np.ndarray) else column(*values)
    table = {"v": values, "c": np.arange(len(values)) % 2, "y": np.arange(len(values)) % 2}
    encoding = Encoding.learn(table, "y", tell=told.append, warn=told.append, **options)
    assert Encoding.from_json(encoding.to_json()) == encoding
    return encoding, [line for line in told if not line.startswith("target")]


@pytest.mark.parametrize("values", [
    1.7e18 + np.random.default_rng(0).integers(0, 50_000, 400), 2**60 + np.arange(400),
    2**63 + np.arange(9, dtype="u8"), -1e15 - np.arange(5.0), np.array([-2**62, 0, 2**62]), 1e9 + np.array([0.0, 1.0])])
def test_large_numbers_of_a_small_spread_are_told_apart(values):
    encoding, _ = learned(values)
    table = {"v": values, "c": np.zeros(len(values)), "y": values}
    scores = encoding.rows(table, "float64")[:, 0]
    assert not encoding.columns[0].constant
    assert (scores.mean(), scores.std()) == (pytest.approx(0, abs=1e-6), pytest.approx(1, rel=1e-6))
    assert len(np.unique(scores)) == len(np.unique(values))
    quantity = Encoding.learn(table, "y", "regression").targets(table, "float64")
    assert len(np.unique(quantity)) == len(np.unique(values))


def test_constant_means_that_all_values_are_equal():
    for value in (2**60, 1.7e18, 0.1, 0, True):
        encoding, _ = learned(np.full(7, value))
        assert encoding.columns[0].constant
        table = {"v": np.full(2, value), "c": np.zeros(2)}
        table["v"][1] = np.nextafter(value, 2 * value) if isinstance(value, float) else value - 1
        told = []
        assert encoding.rows(table, warn=told.append)[0, 0] == pytest.approx(0, abs=1e-15)
        assert len(told) == (value != 0.1)            # 0.1 has no neighbour that a sum of values tells from it


@pytest.mark.parametrize(("values", "numbers"), [
    (("$1,234", "$5.5", None), [1234, 5.5, np.nan]), (("5.1%", "6 %"), [5.1, 6]), (("1 234", "22"), [1234, 22]),
    (("1\xa0234,5", "3"), [1234.5, 3]), (("0,126", "1,234"), [0.126, 1.234]), (("1,234", "5,678"), [1234, 5678]),
    (("1e3", "-2"), [1000, -2]), (("(5)", "7"), [-5, 7]), (("1.234", "5.678,9"), [1234, 5678.9]),
    (("\u22125", "\u20ac 3"), [-5, 3]), (("1'234", "5"), [1234, 5]),
    (("1", "2", *"3456789", "?"), [*range(1, 10), np.nan])])
def test_numbers_written_as_text_are_numbers(values, numbers):
    encoding, told = learned(*values)
    assert told[-1 if len(told) < 2 else told.index(next(line for line in told if "strings" in line))] == (
        f"strings read as numbers: 'v' ({values[0]!r})")
    assert encoding.text == ("v",)
    mean, std = np.nanmean(numbers), np.nanstd(numbers)
    found = encoding.rows({"v": column(*values), "c": np.zeros(len(values))}, "float64")[:, 0]
    there = np.isfinite(numbers)
    np.testing.assert_allclose(found[there], (np.array(numbers)[there] - mean) / std)
    plain = encoding.rows({"v": np.array(numbers), "c": np.zeros(len(values))}, "float64")[:, 0]
    np.testing.assert_array_equal(plain, found)


@pytest.mark.parametrize("values", [("007", "012"), ("5%", "1"), ("$5", "\u20ac5"), ("a1", "2"), ("1.2.3", "4"),
                                    ("12,34,56", "1"), ("", "-"), ("9" * 70, "1" * 70)])
def test_strings_that_are_no_numbers_are_levels(values):
    encoding, told = learned(*values)
    assert (encoding.columns[0], told) == (Category("v", tuple(sorted(values))), [])


def test_quantities_written_as_text():
    told = []
    y = column(*(f"${v},000" for v in range(1, 31)))
    encoding = Encoding.learn({"x": np.arange(30.0), "y": y}, "y", tell=told.append)
    assert told == ["target 'y': 30 different numbers, taken for a quantity (--task classification takes them for "
                    "classes)", "strings read as numbers: target 'y' ('$1,000')"]
    assert encoding.target.mean == 15_500
    assert Encoding.from_json(encoding.to_json()).targets({"y": column("$15,500")}).tolist() == [0]


@pytest.mark.parametrize("kind", ["datetime64[us]", "datetime64[D]", "text"])
def test_dates_are_years_months_days_weekdays_hours_and_days_since_the_first(kind):
    times = np.array(["2023-12-31T23:30", "2024-02-29T00:00", "NaT", "2024-03-01T06:00"], "datetime64[us]")
    given = column(*(None if np.isnat(time) else f"{time}"[:19] for time in times)) if kind == "text" else (
        times.astype(kind))
    encoding, told = learned(given)
    date = encoding.columns[0]
    names = ["days", "year", "month", "day", "weekday", "hour"][:5 if kind.endswith("[D]") else 6]
    assert ([part.name for part in date.parts], date.width) == (names, len(names) + 1)
    assert [part.mean for part in date.parts[1:5]] == [pytest.approx(mean) for mean in (
        (2023 + 2 * 2024) / 3, (12 + 2 + 3) / 3, (31 + 29 + 1) / 3, (6 + 3 + 4) / 3)]
    rows = encoding.rows({"v": given, "c": np.zeros(4)})
    assert rows[2, :date.width].tolist() == [*rows[1, :date.width - 1].tolist(), 1]         # the median's, and a gap
    assert told[0] == "strings read as dates: 'v' ('2023-12-31T23:30:00')" if kind == "text" else "missing" in told[0]
    with pytest.raises(ValueError, match="column 'v' must hold dates such as 2024-02-29, got 'May' in row 0"):
        encoding.rows({"v": column("May"), "c": np.zeros(1)})
    with pytest.raises(ValueError, match="target 'v' holds dates" if kind != "text" else "missing"):
        Encoding.learn({"v": given, "c": np.zeros(4)} if kind == "text" else {"v": times[:2], "c": np.zeros(2)}, "v")


def test_missing_values_are_filled_and_remembered():
    table = {"n": np.array([1.0, np.nan, 3, 8, np.inf]), "k": column("u", None, "v", "u", None),
             "b": column(True, None, False, True, True), "y": np.arange(5) % 2, "whole": np.arange(5.0)}
    told = []
    encoding = Encoding.learn(table, "y", tell=told.append)
    assert told[0].startswith("values missing (or infinite): 'n' 2, 'k' 2, 'b' 1; numbers and dates take the median")
    assert [column.width for column in encoding.columns] == [2, 3, 2, 1]
    encoding = Encoding.from_json(encoding.to_json())
    rows = encoding.rows(table, "float64")
    number = encoding.columns[0]
    assert rows[:, 1].tolist() == [0, 1, 0, 0, 1]
    assert rows[1, 0] == rows[4, 0] == (3 - number.mean) / number.scale
    assert rows[:, 2:5].tolist() == [[1, 0, 0], [0, 0, 1], [0, 1, 0], [1, 0, 0], [0, 0, 1]]
    assert rows[:, 6].tolist() == [0, 1, 0, 0, 0]
    assert len(np.unique(rows[:, 5])) == 2
    warned = []
    gap = {**table, "whole": np.array([np.nan, *range(1, 5)]), "k": np.full(5, np.nan)}
    assert encoding.rows(gap, warn=warned.append)[0, 7] == 0
    assert encoding.rows(gap)[:, 2:5].tolist() == [[0, 0, 1]] * 5
    assert warned == ["values missing where the training rows had none: column 'whole' (1); numbers and dates take "
                      "the median of those rows, categories none of the levels"]
    told_of = encoding.learn({"k": column("u", "v"), "y": np.arange(2)}, "y")
    assert told_of.rows({"k": column(None, "w")}, warn=warned.append).tolist() == [[0, 0], [0, 0]]
    assert "column 'k': values not in the training table: 1, such as 'w'" in warned[1]
    assert warned[2].startswith("values missing where the training rows had none: column 'k' (1); ")
    with pytest.raises(ValueError, match="column 'n' 2, the first in row 1, 'k' 2, the first in row 1, 'b' 1"):
        Encoding.learn(table, "y", missing="error")
    strict = Encoding.learn({name: table[name] for name in ("whole", "y")}, "y", missing="error")
    with pytest.raises(ValueError, match=r"missing .*: column 'whole' 1, the first in row 0"):
        strict.rows(gap)
    with pytest.raises(ValueError, match="missing must be fill or error, got 'drop'"):
        Encoding.learn(table, "y", missing="drop")


def test_gaps_are_those_of_the_training_rows():
    table = {"x": np.array([1.0, 2, np.nan]), "nothing": np.array([np.nan, np.nan, 1]), "y": np.arange(3)}
    told = []
    encoding = Encoding.learn(table, "y", rows=slice(0, 2), tell=told.append)
    assert encoding.columns == (Number("x", 1.5, 0.5, fill=1.5),)
    assert told[0] == "left out, as they hold nothing in the rows to train on: 'nothing'"


def test_rows_without_a_target_are_left_out():
    told = []
    table = {"x": np.arange(4.0), "y": np.array([1, np.nan, 3, 1]), "b": column(True, False, None, True)}
    found = rows_with_targets(table, "y", told.append)
    assert ({name: values.tolist() for name, values in found.items()}
            == {"x": [0, 2, 3], "y": [1, 3, 1], "b": [True, None, True]})
    assert found["y"].dtype.kind == "i"                     # the gap alone had made floats of them
    assert told == ["rows left out: 1 of 4, whose target is missing"]
    assert Encoding.learn(found, "y").classes == (1, 3)
    assert rows_with_targets(table, ("y", "b"))["b"].dtype == bool
    assert rows_with_targets(table, "y", None, "error") is table
    with pytest.raises(ValueError, match="column 'y' 1, the first in row 1"):
        Encoding.learn(table, "y")


@pytest.mark.parametrize(("name", "values", "why"), [
    ("Unnamed: 0", np.arange(30), "row numbers"), ("", np.arange(1, 31), "row numbers"),
    ("index", np.arange(30.0), "row numbers"), ("rownames", [f"car {i}" for i in range(30)], "row names"),
    ("__index_level_0__", np.arange(30) % 7, "row numbers"), ("Unnamed: 0", np.arange(30) * 7 % 31, "row numbers"),
    ("id", np.arange(30) * 7, "an identifier: all values are different"),
    ("PassengerId", np.arange(30), "an identifier: all values are different"),
    ("user_id", [f"u{i}" for i in range(30)], "an identifier: all values are different"),
    ("comment", [f"no {i}" for i in range(30)], "text: 30 different values in 30 rows"),
    ("Order", np.arange(30) + 1, "row numbers"), ("order", np.arange(30) + 2, ""), ("no", np.arange(30) * 2, ""),
    ("PID", np.arange(30) * 3, "an identifier: all values are different"), ("index", np.arange(30) / 7, ""),
    ("id", np.arange(30) % 9, ""), ("paid", np.arange(30), ""),
    ("price", np.arange(30) * 1000, ""), ("z", np.arange(30), ""), ("x", np.random.default_rng(0).random(30), ""),
    ("name", [f"n{i}" for i in range(20)] + ["n0"] * 10, ""), ("few", ["a", "b", "c"] * 10, ""),
])
def test_columns_that_tell_rows_apart_are_left_out(name, values, why):
    values = values if isinstance(values, np.ndarray) else column(*values)
    table = {name: values, "a": np.arange(len(values)) % 5, "y": np.arange(len(values)) % 2}
    told = []
    encoding = Encoding.learn(table, "y", tell=told.append)
    assert [each.name for each in encoding.columns] == ["a"] if why else [name, "a"]
    assert told[:-1] == ([f"left out: {name!r} ({why}); {how_to_keep(name)} keeps it"] if why else [])
    assert encoding.rows({"a": np.arange(2)}).shape == (2, 1) if why else True      # a model does not need it
    assert name in Encoding.learn(table, "y", keep=[name]).names


def test_what_is_kept_must_be_there_and_an_input():
    table = {"x": np.arange(3.0), "id": np.arange(3), "y": np.arange(3)}
    for keep, drop, message in ((["no"], (), "there is no column 'no'"), (["y"], (), "column 'y' cannot be an input"),
                                (["x"], ["x"], "column 'x' cannot be an input: it is dropped or a target")):
        with pytest.raises(ValueError, match=message):
            Encoding.learn(table, "y", keep=keep, drop=drop)
    with pytest.raises(ValueError, match=r"no columns are left to learn 'y' from; 'id' is left out, .* \(--keep id\)"):
        Encoding.learn(table, "y", drop=["x"])


def test_the_most_frequent_levels_and_other():
    values = column(*(f"n{i // 2}" for i in range(2400)))
    values[:60] = "n1199"
    told = []
    encoding = Encoding.learn({"v": values, "y": np.arange(2400) % 2}, "y", tell=told.append)
    assert encoding.width == 1001
    assert told[0].startswith("more than 1,000 levels: 'v'; the 1,000 most frequent are kept, the rest are one level, ")
    encoding = Encoding.from_json(encoding.to_json())
    rows = encoding.rows({"v": column("n1199", "never seen")}, warn=pytest.fail)
    assert rows.argmax(axis=1).tolist() == [encoding.columns[0].levels.index("n1199"), 1000]
    assert rows.sum(axis=1).tolist() == [1, 1]


@pytest.mark.parametrize(("y", "task", "classes", "told"), [
    (np.array([1.0, 0, 1]), "auto", (0, 1), "2 different whole numbers, 0 to 1, taken for classes (--task regression"),
    (np.arange(9), "auto", tuple(range(9)), "9 different whole numbers, 0 to 8, taken for classes (--task regression"),
    (np.arange(60), "auto", (), "60 different whole numbers, 0 to 59, taken for a quantity (--task classification"),
    (np.arange(3.0), "auto", (), "3 different whole numbers, 0 to 2, taken for a quantity (--task classification"),
    (np.arange(3.0), "classification", (0, 1, 2), None), (np.arange(3.0) / 2, "auto", (), None),
    (np.array([True, False]), "auto", (False, True), None), (column("a", "b"), "auto", ("a", "b"), None),
])
def test_how_the_task_is_chosen(y, task, classes, told):
    said = []
    encoding = Encoding.learn({"x": np.arange(len(y)) / 3, "y": y}, "y", task, tell=said.append)
    assert encoding.classes == classes
    assert all(type(level) is not float for level in encoding.classes)
    assert [line[:len(told or "") + 12] for line in said] == ([f"target 'y': {told}"] if told else [])
    if classes:
        assert [encoding.classes[i] for i in encoding.targets({"y": y})] == y.tolist()


def test_targets_that_are_no_classes():
    for y, message in ((column(*(f"n{i}" for i in range(30))), "has 30 classes, nearly all of its 30 values are diff"),
                       (np.arange(3.0) / 2, "strings or whole numbers, but 'y' holds 0.5 in row 1, counted from 0")):
        with pytest.raises(ValueError, match=message):
            Encoding.learn({"x": np.arange(len(y)), "y": y}, "y", "classification")


@pytest.mark.parametrize(("old", "new"), [
    ('"first": ', '"first": 1e400, "x": '), ('"name": "days"', '"name": "eons"'), ('"fill": 0', '"fill": NaN, "x": 0'),
    ('"unit": ""', '"unit": "kg"'), ('"decimal": ","', '"decimal": "x"'), ('"usual": ","', '"sep": 5'),
    ('"usual": ","', '"na": "x"'), ('"offset": ', '"offset": 1e400, "x": '),
    ('"levels": [0, 1]', '"levels": [0, null]')])
def test_an_encoding_that_is_damaged(old, new):
    table = Table({"d": np.array([0, 2**40], "datetime64[us]"), "n": column("1", "-1"), "o": 2**60 + np.arange(2),
                   "y": np.arange(2)})
    table.reading = Reading(usual=",")
    text = Encoding.learn(table, "y").to_json()
    assert Encoding.from_json(text).reading.usual == ","
    assert old in text
    with pytest.raises(ValueError, match="table encoding is damaged"):
        Encoding.from_json(text.replace(old, new, 1))


def test_quantiles_are_outputs_of_each_target():
    table = {"x": np.arange(4.0), "a": np.array([1.0, 3, 1, 3]), "b": np.array([10.0, 30, 10, 30])}
    encoding = Encoding.learn(table, ("a", "b"), own_units=True, quantiles=(0.1, 0.9))
    assert encoding.outputs == 4
    assert encoding.targets(table)[1].tolist() == [3, 3, 30, 30]
    assert (encoding.target_scale(), encoding.target_offset()) == ([1, 1, 10, 10], [2, 2, 20, 20])
    assert Encoding.from_json(encoding.to_json()) == encoding
    for damaged in ("[0.1, 1.9]", "[0.1, 0.1]", "3", '["a"]'):
        with pytest.raises(ValueError, match="table encoding is damaged"):
            Encoding.from_json(encoding.to_json().replace("[0.1, 0.9]", damaged))


def test_strings_of_many_levels_for_so_few_rows_are_told_of():
    dates = np.array([f"{1 + i % 12}/{1 + i % 28}/2024" for i in range(300)], dtype=object)
    kinds = np.array([f"k{i % 40}" for i in range(300)], dtype=object)
    told = []
    Encoding.learn({"when": dates, "kind": kinds, "y": np.arange(300.0)}, "y", "regression", tell=told.append)
    assert [line for line in told if "many levels" in line] == [
        "strings with many levels for so few rows: 'when' 84; dates or numbers in a form that is not known here? Turn "
        "them into numbers, or --drop when leaves it out"]


NIGHT = "2024-07-05 00:00:00"


@pytest.mark.parametrize(("levels", "values", "codes"), [
    (("1", "2", None), ("2.0", "1", "2", 1.0, "3.0", "2.5", None), [1, 0, 1, 0, -1, -1, 2]),
    (("-1", "0", "4", "4.0"), ("4.0", "4", "-1.0", "0.0"), [3, 2, 0, 1]), (("1", "1.5"), ("1.0", "1.5"), [0, 1]),
    (("1", "2", "many"), ("2.0", "2"), [-1, 1]), (("1.0", "2.0"), ("2", 1.0), [1, 0]), ((0, 4), ("4.0", 4), [1, 1]),
    (("False", "True"), ("TRUE", "false", True, "yes"), [1, 0, 1, -1]),
    (("2024-07-04", "2024-07-05"), (NIGHT, "2024-07-04T00:00:00", "2024-07-04T00:00:00.000000", "July"), [1, 0, 0, -1]),
    (("2024-07-04T00:00:00.000000", "2024-07-05T06:30:00.000000"),                    # as they were once learned
     ("2024-07-04", "2024-07-05 06:30:00", "2024-07-05", datetime.datetime(2024, 7, 5, 6, 30)), [0, 1, -1, 1]),
    (("2024-07-04", NIGHT), (NIGHT, "2024-07-05", datetime.date(2024, 7, 4)), [1, 1, 0]),
])
def test_levels_are_found_as_other_files_write_them(levels, values, codes):
    assert Category("v", levels).codes(column(*values)).tolist() == codes


def test_dates_that_are_categories_are_the_same_texts_from_everywhere():
    times = np.array(["2024-07-04", "2024-07-05", "NaT", "2024-07-04"], "datetime64[us]")
    there = column("2024-07-04", "2024-07-05", None, "2024-07-04")
    hours = times + np.timedelta64(6 * 3600, "s")
    encodings = {name: Encoding.learn({"v": values, "y": np.arange(4) % 2}, "y", kinds={"v": "category"})
                 for name, values in (("days", times), ("texts", there), ("hours", hours))}
    assert encodings["days"].columns == encodings["texts"].columns == (
        Category("v", ("2024-07-04", "2024-07-05", None)),)
    assert encodings["hours"].columns[0].levels == ("2024-07-04 06:00:00", "2024-07-05 06:00:00", None)
    expected = encodings["days"].rows({"v": times}, warn=pytest.fail)
    assert expected.argmax(axis=1).tolist() == [0, 1, 2, 0]
    np.testing.assert_array_equal(encodings["days"].rows({"v": there}, warn=pytest.fail), expected)
    np.testing.assert_array_equal(encodings["texts"].rows({"v": times}, warn=pytest.fail), expected)
    told = []
    encodings["days"].rows({"v": hours}, warn=told.append)
    assert told == ["column 'v': values not in the training table: 3, such as '2024-07-04 06:00:00'; they count as "
                    "none of its levels"]
    target = Encoding.learn({"x": np.arange(4), "y": column("2024-07-04", "2024-07-05").repeat(2)}, "y")
    assert target.targets({"y": times[:2]}).tolist() == [0, 1]
    with pytest.raises(ValueError, match="target 'y' is '2024-07-04 06:00:00' in row 0"):
        target.targets({"y": hours[:2]})


def test_times_that_are_said_to_be_text_keep_their_words():
    """What models have learned that were made before."""
    column_of_text = Encoding.learn({"v": np.array(["2024-07-04", "NaT"], "datetime64[us]"), "y": np.arange(2)}, "y",
                                    kinds={"v": "text"})
    found = column_of_text.rows({"v": np.array(["2024-07-04T06:00", "NaT"], "datetime64[us]")}, "float64")
    np.testing.assert_array_equal(found[0], column_of_text.columns[0].hashed("2024-07-04T06:00:00.000000"))
    assert not found[1].any()


@pytest.mark.parametrize("gap", [(), (None,)])
def test_true_and_false_may_be_text(gap):
    values = np.array([True, False, True, *gap])
    learnt = Encoding.learn({"v": values, "y": np.arange(len(values)) % 2}, "y")
    for encoding in (learnt, Encoding.from_json(learnt.to_json())):
        assert encoding.columns[0].boolean
        expected = encoding.rows({"v": np.array([True, False, True, False])}).tolist()
        for given in (("True", "False", "TRUE", "false"), (True, "false", " true", False), ("1", "0", "1.0", "0.0")):
            assert encoding.rows({"v": column(*given)}).tolist() == expected
        missing = encoding.rows({"v": column("true", "n/a", None)})
        assert missing[1].tolist() == missing[2].tolist() == encoding.rows({"v": column(True, None)})[1].tolist()
        for strange in ("maybe", "2024-07-04"):
            with pytest.raises(ValueError, match=f"column 'v' holds true or false at training; got '{strange}' in row "
                                                 "3, counted from 0"):
                encoding.rows({"v": column("true", "false", None, strange, *["true"] * 40)})
    old = learnt.to_json().replace(', "boolean": true', "")
    assert not Encoding.from_json(old).columns[0].boolean
    assert Encoding.from_json(old).rows({"v": values}).tolist() == learnt.rows({"v": values}).tolist()
    strict = Encoding.learn({"v": values[:2], "y": np.arange(2)}, "y", missing="error")
    assert strict.rows({"v": column("false")}).tolist() == [[-1]]
