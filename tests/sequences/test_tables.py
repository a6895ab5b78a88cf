"""Tables with one row per step, with time gaps, and with one row per sequence."""

import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from refold.errors import DataError, SchemaError
from refold.sequences import Schema, Sequences, as_sequences, read_from_batches
from small_data import read_as_mapped

COLUMNS = {
    "who": ["b", "b", "a", "b"],
    "when": [1, 2, 7, 3],
    "x": [0.1, 0.2, None, 0.3],
    "event": [None, "u", "v", "u"],
    "on": [False, True, True, True],
}


@pytest.mark.parametrize(
    "make_table", [pd.DataFrame, pl.DataFrame, pa.table, pa.record_batch, dict]
)
def test_interleaved_rows_of_an_id_are_joined(make_table):
    sequences = Sequences.from_table(make_table(COLUMNS), id="who", time="when")
    assert sequences.ids.tolist() == ["b", "a"]
    assert sequences.lengths.tolist() == [3, 1]
    assert str(sequences).endswith("1 numeric, 1 categorical, 1 binary)")
    np.testing.assert_array_equal(
        sequences.values, [[0.1, np.nan, 0], [0.2, 0, 1], [0.3, 0, 1], [np.nan, 1, 1]]
    )
    options = {"columns": ["on", "x"], "column_types": {"on": "numeric"}}
    selected = Sequences.from_table(make_table(COLUMNS), "who", "when", **options)
    assert str(selected).endswith("2 numeric)")


@pytest.mark.parametrize(
    "times",
    [
        [dt.time(1), dt.time(2)],
        pl.Series(["2024-01-01T12:00:00", "2024-01-02T00:00:00"]),
        ["9", "10"],
        [0.25, 0.5],
    ],
)
def test_times_of_any_type(times):
    table = {"id": [1, 1], "t": times, "x": [1.0, 2.0]}
    assert Sequences.from_table(table, "id", "t")[0][:, 0].tolist() == [1.0, 2.0]
    back = {"id": [1, 1], "t": times[::-1], "x": [2.0, 1.0]}
    with pytest.raises(DataError, match=r"Id 1 has .* in row 1, after .* in row 0\. Sort the"):
        Sequences.from_table(back, "id", "t")
    assert Sequences.from_table(back, "id", "t", sort=True)[0][:, 0].tolist() == [1.0, 2.0]


def test_categories_and_missing_entries_of_other_tools():
    frame = pd.DataFrame({"id": [1, 1], "code": pd.Categorical([30, 10])})
    assert Sequences.from_table(frame, id="id").schema.columns[0].categories == (10, 30)
    frame = pl.DataFrame({"id": ["p", "p", "q"], "event": ["u", "v", None]})
    frame = frame.cast({"id": pl.Categorical, "event": pl.Enum(["v", "u"])})
    sequences = Sequences.from_table(frame, id="id")
    assert sequences.ids.tolist() == ["p", "q"]
    np.testing.assert_array_equal(sequences.values[:, 0], [0, 1, np.nan])
    frame = pd.DataFrame({"id": 1, "x": pd.array([1, 0, None], dtype="Int64")})
    sequences = Sequences.from_table(frame, id="id")
    assert sequences.schema.columns[0].type == "binary"
    np.testing.assert_array_equal(sequences.values[:, 0], [1, 0, np.nan])
    chunks = [pa.table({"id": pa.array([name]).dictionary_encode(), "x": [1.0]}) for name in "aab"]
    assert Sequences.from_table(pa.concat_tables(chunks), id="id").lengths.tolist() == [2, 1]


def test_numbers_as_text():
    table = {"id": [1, 1], "x": ["1.5", None]}
    with pytest.warns(UserWarning, match="'x' holds numbers written as text") as caught:
        Sequences.from_table(table, id="id")
    assert caught[0].filename == __file__
    numeric = Sequences.from_table(table, id="id", column_types={"x": "numeric"})
    np.testing.assert_array_equal(numeric.values[:, 0], [1.5, np.nan])


@pytest.mark.parametrize("values", [[2.5, 1.0], [2**63, -5], [dt.date(2024, 1, 1)]])
def test_ids_that_are_no_integers_of_64_bits_become_text(values):
    frame = pd.DataFrame({"id": values, "x": 1.0})
    assert Sequences.from_table(frame, id="id").ids.tolist() == list(map(str, values))


WHO, TIME, ID = {"id": "who"}, {"id": "who", "time": "when"}, {"id": "id"}
DAMAGED = pa.table({"id": [1], "x": [1]}).replace_schema_metadata({b"refold": b"{"})
LARGE = {"id": [1, 1], "code": np.array([1, 2**53 + 1])}
BAD = [
    (COLUMNS, {"id": "patient"}, "no column 'patient', which id= names. Its columns are 'who', "),
    (COLUMNS, {**WHO, "time_gaps": True}, "needs a long table with a column of times"),
    (COLUMNS | {"time_gap": [2] * 4}, {**TIME, "time_gaps": True}, "columns named 'time_gap'. Ren"),
    ({"who": [1, 1], "x": [1.0]}, WHO, "Got 1 rows of column 'x' for 2 rows of column 'who'"),
    ({"who": [1], "x": [dt.date(2024, 1, 1)]}, WHO, "'x' holds dates"),
    (pd.DataFrame({"who": [1, 1], "x": [1.0, "one"]}), WHO, "'x' cannot be read. .*'one' with"),
    (pd.DataFrame([[1, 2, 3]], columns=["id", "x", "x"]), ID, "two columns named 'x'"),
    (DAMAGED, ID, "metadata of the table hold a damaged schema"),
    (LARGE, {**ID, "column_types": "categorical"}, "Got 9007199254740993 at .* write them as text"),
    ([1, 2], ID, r"Expected a pandas, polars or Arrow table.* Got list"),
]
BAD_TIMES = [
    ([1, 3, 7, 3], "First, id 'b' has the time '3' in row 1 and in row 3. Keep one row"),
    (["1", "2", "7", "x3"], "it holds text such as 'x3', in row 3. Expected all numbers"),
    ([True, False, True, False], "cannot order the steps: it holds bool values"),
]


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [*BAD, *((COLUMNS | {"when": times}, TIME, message) for times, message in BAD_TIMES)],
)
def test_bad_long_tables(columns, options, message):
    with pytest.raises(DataError, match=message):
        Sequences.from_table(columns, **options)


def test_a_long_table_of_sequences():
    before = Sequences.from_table(COLUMNS, id="who", time="when")
    table = before.to_table(id="who", time="step")
    assert table.column_names == ["who", "step", "x", "event", "on"]
    assert table["step"].to_pylist() == [1, 2, 3, 7]
    with pytest.raises(SchemaError, match=r"two columns named 'x'\. Choose id= and"):
        before.to_table(time="x")
    with pytest.raises(DataError, match=r"ids must differ\. Got 'b' more than once"):
        before[[0, 0]].to_table()
    with pytest.warns(UserWarning, match="1 of 3 sequences are empty") as caught:
        table = Sequences.from_list([[1.0], [], [2.0]]).to_table()
    assert caught[0].filename == __file__
    assert table["id"].to_pylist() == [0, 2]


NANOSECONDS = np.cumsum(np.random.default_rng(0).integers(1, 10**10, 60))
ZONES = ["+02:00", "+01:00", "Z"]
DAYS = [dt.date(2024, 1, 1) + dt.timedelta(i) for i in range(60)]
# Times, the number of their ticks in a gap of 1, and for times other than `NANOSECONDS` a number of
# which all gaps are multiples.
TIMES = {
    "int8": (pa.array(np.arange(-120, 120, 4).astype(np.int8)), 1.0, 4),
    "ns": (pa.array(NANOSECONDS, pa.timestamp("ns", "Asia/Tokyo")), 1e9, None),
    "date": (pa.array(DAYS), 0, 86_400),
    "text": (pa.array(np.datetime_as_string(NANOSECONDS.astype("M8[ns]"))), 1e9, None),
    "numbers as text": (pa.array([f"{i / 2:g}" for i in range(60)]), 1.0, 0.5),
    "zones": (pa.array([f"{day}T12:00{ZONES[i % 3]}" for i, day in enumerate(DAYS)]), 0, 3600),
}


@pytest.mark.parametrize("name", TIMES)
def test_times_and_gaps_are_the_same_in_memory_and_mapped(name, tmp_path):
    times, ticks, multiple = TIMES[name]
    ids = np.sort(np.random.default_rng(1).integers(0, 9, 60))
    table = pa.table({"id": ids, "time": times, "x": np.arange(60) / 8, "page": list("abc") * 20})
    in_memory = Sequences.from_table(table, "id", "time", time_gaps=True)
    for id_, values in zip(in_memory.ids, in_memory, strict=True):
        gaps = values[:, -1].astype(float)
        assert gaps[0] == 0
        if multiple is None:
            assert (gaps[1:] == np.diff(NANOSECONDS[ids == id_]) / ticks).all()
        else:
            assert not (gaps % multiple).any()
            assert (gaps[1:] >= multiple).all()
    assert Schema.from_dict(in_memory.schema.to_dict()).time_gaps
    pq.write_table(table, tmp_path / "events.parquet", row_group_size=7)
    batches = read_from_batches(table.to_batches(max_chunksize=7), time_gaps=True, memory_bytes=1)
    for from_file in (
        read_as_mapped(tmp_path / "events.parquet", time_gaps=True, block_bytes=100),
        batches,
    ):
        assert from_file.schema == in_memory.schema
        assert from_file.values.tobytes() == in_memory.values.tobytes()
        assert from_file.is_mapped
        joined = pa.concat_arrays([block.times for block in from_file.blocks()])
        for times_read in (from_file.times, joined, from_file[range(len(from_file))].times):
            assert times_read.equals(in_memory.times)


THREE = [[1, 2], [], [3]]
NESTED = [[[1.0, 2.0], [3.0, 4.0]], [], None]


@pytest.mark.parametrize(
    ("column", "lists"),
    [
        (pa.array(THREE, pa.large_list(pa.float32())), THREE),
        (pa.array(["abba", None]), ["abba", ""]),
        (pa.array(NESTED), [[[1, 2], [3, 4]], [], []]),
        (pa.array([[], None], pa.list_(pa.list_(pa.float64()))), [[], []]),
    ],
)
def test_a_column_of_lists(column, lists):
    sequences = Sequences.from_arrow(column)
    assert [getattr(form, "tolist", lambda form=form: form)() for form in sequences] == lists


def test_several_columns_of_lists_and_ids():
    table = {
        "id": [5, 6, 7],
        "x": [[1.0, None], None, [3.0]],
        "on": [[True, False], None, [None]],
        "event": [["u", None], None, ["v"]],
    }
    sequences = Sequences.from_arrow(pa.table(table))
    assert sequences.ids.tolist() == [5, 6, 7]
    assert sequences.lengths.tolist() == [2, 0, 1]
    assert str(sequences).endswith("1 numeric, 1 binary, 1 categorical)")
    np.testing.assert_array_equal(sequences.values[1], [np.nan, 0, np.nan])
    assert as_sequences(pd.DataFrame(table), names=["on"]).schema.names == ("on",)


def test_columns_without_lists_are_refused():
    with pytest.raises(DataError, match=r"no list column\. Expected one row per sequence"):
        Sequences.from_arrow({"x": [1.0]})
    with pytest.raises(DataError, match=r"'y' has the type double\. Expected"):
        Sequences.from_arrow({"x": [[1.0]], "y": [1.0]}, columns=["x", "y"])
