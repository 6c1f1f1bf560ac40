"""Are tables read as people have them: packed, with semicolons, decimal commas, titles, of every kind of file?"""
import bz2
import datetime
import gzip
import io
import lzma
import sys
import zipfile
from decimal import Decimal

import numpy as np
import pytest

from fastsgd.tables import arrow_columns
from fastsgd.tables.encoding import Encoding
from fastsgd.tables.read import read_for, read_table
from fastsgd.tables.reading import Reading

pandas = pytest.importorskip("pandas")
PLAIN = "a,b\n1,x\n2.5,y\n"
FOUND = {"a": [1.0, 2.5], "b": ["x", "y"]}


def lists(table):
    return {name: values.tolist() for name, values in table.items()}


def zipped(text):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("t.csv", text)
    return out.getvalue()


@pytest.mark.parametrize(("name", "content", "told"), [
    ("t.csv", PLAIN, ""), ("t.tsv", PLAIN.replace(",", "\t"), ""),
    ("t.txt", PLAIN.replace(",", "\t"), "separated by tabs (--sep)"),
    ("t.csv", PLAIN.replace(",", ";"), "separated by semicolons (--sep)"),
    ("t.csv", PLAIN.replace(",", "|"), "separated by pipes (--sep)"),
    ("t.txt", PLAIN.replace(",", "   "), "separated by blanks (--sep)"),
    ("t.csv", "a;b\n1,0;x\n2,5;y\n", "separated by semicolons (--sep); decimal commas (--decimal)"),
    ("t.csv", f"Sales\n\n{PLAIN}", "lines above the header, which are passed over: 2, such as 'Sales'"),
    ("t.csv", f"# in May\n#\n{PLAIN}", "lines above the header, which are passed over: 2, such as '# in May'"),
    ("t.csv.gz", gzip.compress(PLAIN.encode()), ""), ("t.csv.bz2", bz2.compress(PLAIN.encode()), ""),
    ("t.CSV.xz", lzma.compress(PLAIN.encode()), ""), ("t.csv.zip", zipped(PLAIN), ""),
    ("t.tsv.gz", gzip.compress(PLAIN.replace(",", "\t").encode()), ""),
    ("t.csv", PLAIN.encode("utf-16"), ""), ("t.csv", PLAIN.replace("\n", "\r\n").encode("utf-8-sig"), ""),
    ("t.jsonl", '{"a": 1, "b": "x"}\n\n{"b": "y", "a": 2.5}\n', ""),
    ("t.ndjson.gz", gzip.compress(b'{"a": 1, "b": "x"}\n{"b": "y", "a": 2.5}'), ""),
])
def test_kinds_of_text(tmp_path, name, content, told):
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    said = []
    assert lists(read_table(tmp_path / name, tell=said.append)) == FOUND
    assert said == ([f"{name}: {told}"] if told else [])


@pytest.mark.parametrize(("content", "reading", "found"), [
    ("a;b\n1.234,5;2\n", Reading(decimal=",", thousands=".", usual=","), {"a": [1234.5], "b": [2]}),
    ("a:b\n1:2\n", Reading(sep=":"), {"a": [1], "b": [2]}),
    ("a,b\n-,2\n-9,x\n", Reading(na=("-", "x")), {"a": [None, -9], "b": [2, None]}),
    ("ä\nß\n".encode("cp850"), Reading(encoding="cp850"), {"ä": ["ß"]}),
])
def test_what_is_said_of_a_file_holds(tmp_path, content, reading, found):
    (tmp_path / "t.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    table = {name: [None if value != value else value for value in values]
             for name, values in lists(read_table(tmp_path / "t.csv", reading=reading)).items()}
    assert table == found


def test_characters_that_are_not_utf_8(tmp_path):
    said = []
    (tmp_path / "t.csv").write_bytes("größe,y\nä,1\n".encode("latin-1"))
    assert lists(read_table(tmp_path / "t.csv", tell=said.append)) == {"größe": ["ä"], "y": [1]}
    assert said == ["t.csv: its characters are read as Windows-1252, as they are not utf-8 (--encoding)"]
    with pytest.raises(ValueError, match=r"t\.csv cannot be read: its characters are not utf-8 \(--encoding\)"):
        read_table(tmp_path / "t.csv", reading=Reading(encoding="utf-8"))


@pytest.mark.parametrize(("arguments", "message"), [
    ({"sep": "ab"}, "sep must be one character"), ({"decimal": ";"}, "decimal must be one of '.', ','"),
    ({"thousands": "x"}, "thousands must be one of"), ({"thousands": "."}, "thousands and decimal cannot both be '.'"),
    ({"encoding": "no such"}, "encoding must be one that Python knows"), ({"encoding": "zlib"}, "encoding must be"),
])
def test_readings_that_are_none(arguments, message):
    with pytest.raises(ValueError, match=message):
        Reading(**arguments)


def test_a_table_without_other_separators_is_one_column(tmp_path):
    for content, values in (("full name\nJo Li\nAl Bo\n", ["Jo Li", "Al Bo"]), ("note\na; b\nc\n", ["a; b", "c"])):
        (tmp_path / "t.csv").write_text(content)
        assert list(lists(read_table(tmp_path / "t.csv")).values()) == [values]


def kinds_of_arrow():
    pa = pytest.importorskip("pyarrow")
    day, moment = datetime.date(2024, 2, 29), datetime.datetime(2024, 2, 29, 23, 30, tzinfo=datetime.UTC)
    return pa, pa.table({
        "decimal": pa.array([Decimal("1.25"), None]), "day": [day, None],
        "zone": pa.array([moment, moment], pa.timestamp("ns", "Europe/Berlin")),
        "time": [datetime.time(1, 0, 5), None], "span": [datetime.timedelta(minutes=1), datetime.timedelta(0)],
        "flag": [True, None], "sure": [True, False], "whole": [3, None], "none": pa.nulls(2),
        "kind": pa.array(["u", None]).dictionary_encode()})


def test_a_python_that_was_built_without_a_compression(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "bz2", None)
    (tmp_path / "t.csv.bz2").write_bytes(b"")
    with pytest.raises(ValueError, match=r"cannot be read: this Python was built without bz2; unpack the file first$"):
        read_table(tmp_path / "t.csv.bz2")


def test_time_zones_where_pyarrow_knows_none(monkeypatch):
    """As on Windows."""
    pa, table = kinds_of_arrow()
    import pyarrow.compute as pc

    def missing(_):
        raise pa.ArrowInvalid("Cannot locate timezone 'Europe/Berlin'")

    expected = arrow_columns.values(table.column("zone"))
    monkeypatch.setattr(pc, "local_timestamp", missing)
    np.testing.assert_array_equal(arrow_columns.values(table.column("zone")), expected)


def test_kinds_of_parquet_and_arrow_columns(tmp_path):
    pa, table = kinds_of_arrow()
    from pyarrow import feather, parquet
    parquet.write_table(table, tmp_path / "t.parquet")
    feather.write_feather(table, tmp_path / "t.feather")
    for name in ("t.parquet", "t.feather"):
        found = read_table(tmp_path / name)
        np.testing.assert_array_equal(found["decimal"], [1.25, np.nan])
        np.testing.assert_array_equal(found["day"], np.array(["2024-02-29", "NaT"], "datetime64[us]"))
        assert str(found["zone"][0]) == "2024-03-01T00:30:00.000000"                # what the clocks there show
        np.testing.assert_array_equal(found["time"], [3605, np.nan])
        assert found["span"].tolist() == [60, 0]
        assert (found["flag"].tolist(), found["sure"].tolist()) == ([True, None], [True, False])
        np.testing.assert_array_equal(found["whole"], [3, np.nan])
        assert found["kind"].tolist() == ["u", None]
        assert np.isnan(found["none"]).all()
    odd = table.append_column("list", [[[1], [2]]]).append_column("struct", [[{"a": 1}, {"a": 2}]]).append_column(
        "bytes", pa.array([b"a", b"b"]))
    parquet.write_table(odd, tmp_path / "odd.parquet")
    with pytest.raises(ValueError, match=r"odd\.parquet cannot be read: column 'list' holds .*, 'struct' holds .*, "
                                         r"'bytes' holds .* \(--drop list --drop struct --drop bytes\)"):
        read_table(tmp_path / "odd.parquet")
    assert list(read_table(tmp_path / "odd.parquet", drop=["list", "struct", "bytes"])) == table.column_names
    assert list(read_table(tmp_path / "odd.parquet", needs=["whole"])) == table.column_names


def test_what_is_dropped_is_never_looked_at(tmp_path):
    np.savez(tmp_path / "t.npz", a=np.arange(2), object=np.array([{}, None]), X=np.zeros((2, 3)))
    assert list(read_table(tmp_path / "t.npz", drop=["object", "X1"])) == ["a", "X0", "X2"]
    (tmp_path / "t.jsonl").write_text('{"a": 1, "b": [1]}\n{"a": 2, "b": {}}\n')
    assert lists(read_table(tmp_path / "t.jsonl", drop=["b"])) == {"a": [1, 2]}
    with pytest.raises(ValueError, match="column 'b' holds lists; turn"):
        read_table(tmp_path / "t.jsonl")
    for drop in (["c"], ["a", "c"]):
        with pytest.raises(ValueError, match="there is no column 'c'; the columns are a, b"):
            read_table(tmp_path / "t.jsonl", drop=drop)


def test_dates_and_durations_of_npz(tmp_path):
    np.savez(tmp_path / "t.npz", d=np.array(["2024-02-29", "NaT"], "M8[D]"), t=np.array([90, "NaT"], "m8[s]"))
    found = read_table(tmp_path / "t.npz")
    assert str(found["d"][0]) == "2024-02-29T00:00:00.000000"
    np.testing.assert_array_equal(found["t"], [90, np.nan])


def test_spreadsheets(tmp_path, monkeypatch):
    pytest.importorskip("openpyxl")
    frame = pandas.DataFrame({"a": [1, 2.5], "b": ["x", "y"], "d": pandas.to_datetime(["2024-02-29", None])})
    with pandas.ExcelWriter(tmp_path / "t.xlsx") as writer:
        frame.to_excel(writer, sheet_name="first", index=False, startrow=2)
        writer.sheets["first"]["A1"] = "Sales"
        frame.to_excel(writer, sheet_name="second")
    said = []
    found = read_table(tmp_path / "t.xlsx", tell=said.append)
    assert said == ["t.xlsx: the first of 2 sheets is read, 'first'; rows above the header, which are passed over: 2"]
    assert {name: values.tolist() for name, values in found.items() if name != "d"} == FOUND
    np.testing.assert_array_equal(found["d"], np.array(["2024-02-29", "NaT"], "datetime64[us]"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"reading .*t\.xlsx needs openpyxl: pip install openpyxl"):
        read_table(tmp_path / "t.xlsx")


def test_a_header_of_numbers_is_told(tmp_path):
    note = "t.csv: its header is of numbers (5.1, 3); a file without a header needs one"
    for content, told in (("5.1,3\n1,2\n", [note]), ("0,1\n1,2\n", [])):
        said = []
        (tmp_path / "t.csv").write_text(content)
        read_table(tmp_path / "t.csv", tell=said.append)
        assert said == told


def test_a_model_reads_as_its_training_table_was_read(tmp_path):
    """Also a file of one row, in which nothing says what a comma is."""
    rng = np.random.default_rng(0)
    lines = [f"{a};{b:.1f};{c}".replace(".", ",") + ".000" for a, b, c in
             zip(rng.integers(0, 9, 30), rng.random(30), rng.integers(1, 9, 30), strict=True)]
    (tmp_path / "t.csv").write_text("y;b;c\n" + "\n".join(lines) + "\n")
    table = read_table(tmp_path / "t.csv")
    encoding = Encoding.from_json(Encoding.learn(table, "y").to_json())
    assert encoding.reading.usual == ","
    assert table["b"].dtype == float
    (tmp_path / "one.csv").write_text("y;b;c\n" + lines[3] + "\n")
    np.testing.assert_array_equal(encoding.rows(read_for(encoding, tmp_path / "one.csv")), encoding.rows(table)[3:4])
    said = Encoding.learn(read_table(tmp_path / "t.csv", reading=Reading(sep=";", na=("zz",))), "y")
    assert Encoding.from_json(said.to_json()).reading == Reading(sep=";", na=("zz",), usual=",")


UNREADABLE = {
    "quote.csv": (b'a,b\n1,"2\n3,4\n', "a quotation mark in line 2 is never closed"),
    "rag.csv": (b"a,b\n1,2\n1,2,3,4\n", "a row holds more values than the header has names: line 3 has 4, the"),
    "rag2.csv": (b"a;b;c\n1;2\n1;2;3;4;5\n", "a row holds more values than the header has names: line 3 has 5, the"),
    "report.csv": (b"Report, 2020\n\na,b,c\n1,2,3\n", "a row holds more values than the header has names"),
    "bytes.csv": (bytes(range(256)) * 9, "it is no text$"), "empty.csv": (b"\n\n", "it is empty"),
    "sheet.csv": (b"PK\3\4" + bytes(99), "it is no text but a zip archive"),
    "wide.csv": ("a,b\n1,2\n".encode("utf-16")[:-1], "its characters are not utf-16"),
    "cut.csv.gz": (gzip.compress(b"a,b\n1,2\n" * 999)[:50], "it is damaged, or not of the kind that '.csv.gz' says"),
    "no.csv.xz": (b"no", "it is damaged, or not of the kind"), "no.csv.zip": (b"no", "it is damaged, or"),
    "bad.jsonl": (b'{"a": 1}\n{"a":\n', "line 2: it is no JSON"), "deep.jsonl": (b"[" * 99_999, "line 1: it is no J"),
    "array.jsonl": (b"[1]\n", "line 1 holds no object"), "twice.jsonl": (b'{"a": 1, "a": 2}', "line 1: a name appears"),
    "no.parquet": (b"PAR1" + bytes(99) + b"PAR1", "it is damaged, or no Parquet file"),
    "no.feather": (b"ARROW1" + bytes(99), "it is damaged, or no Arrow file"),
    "no.npz": (b"no", "it is no .npz file, or cut short"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_broken_files_are_refused_in_our_words(tmp_path, name):
    content, message = UNREADABLE[name]
    if name.endswith((".parquet", ".feather")):
        pytest.importorskip("pyarrow")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"{name} cannot be read: {message}"):
        read_table(tmp_path / name)


def test_packed_files_of_none_or_many(tmp_path):
    with zipfile.ZipFile(tmp_path / "t.csv.zip", "w") as archive:
        archive.writestr("a.csv", PLAIN)
        archive.writestr("b.csv", PLAIN)
    with pytest.raises(ValueError, match="it holds 2 files; one is expected"):
        read_table(tmp_path / "t.csv.zip")


@pytest.mark.parametrize("content", ["v,y\n2024-01-01,0\n" + "2024-02-30,1\n", "v,y\n" + "".join(
    f"{day}/{month}/2024,{day % 2}\n" for day in range(1, 29) for month in (1, 2))])
def test_dates_of_no_calendar_and_of_no_iso_are_strings(tmp_path, content):
    (tmp_path / "t.csv").write_text(content)
    table = {**read_table(tmp_path / "t.csv"), "x": np.arange(content.count("\n") - 1)}
    told = []
    encoding = Encoding.learn(table, "y", tell=told.append)
    assert not any("dates" in line for line in told)
    assert encoding.columns[0].name == ("v" if len(table["y"]) == 2 else "x")


def test_another_spelling_at_prediction_is_understood():
    table = {"v": np.array(["$1,000", "$2,000", "$3,000"], object), "y": np.arange(3)}
    encoding = Encoding.learn(table, "y")
    plain = {"v": np.array(["2000", "1000.0"], object)}
    assert encoding.rows(plain)[:, 0].tolist() == pytest.approx([0, -1.2247449])
    german = {"v": np.array(["2.000,0", "1.000,0"], object)}
    assert encoding.rows(german)[:, 0].tolist() == pytest.approx([0, -1.2247449])
