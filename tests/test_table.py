"""Does a table become what a network takes, and its outputs the table's own terms?"""
import numpy as np
import pytest

from fastsgd.encoding import Category, Encoding, Number
from fastsgd.table import read_table


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
