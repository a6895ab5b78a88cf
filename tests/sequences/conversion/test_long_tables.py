import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from refold.errors import DataError, SchemaError
from refold.sequences import Sequences, read
from small_data import mapped

COLUMNS = {
    "who": ["b", "b", "a", "b"],
    "when": [1, 2, 7, 3],
    "x": [0.1, 0.2, None, 0.3],
    "event": [None, "u", "v", "u"],
    "on": [False, True, True, True],
}


@pytest.fixture(params=["pandas", "polars", "arrow", "dict"])
def table(request):
    made = {
        "pandas": pd.DataFrame,
        "polars": pl.DataFrame,
        "arrow": pa.table,
        "dict": dict,
    }
    return made[request.param](COLUMNS)


def test_interleaved_rows_of_an_id_are_joined(table):
    sequences = Sequences.from_table(table, id="who", time="when")
    assert sequences.ids.tolist() == ["b", "a"]
    assert sequences.lengths.tolist() == [3, 1]
    assert [column.type for column in sequences.schema.columns] == [
        "numeric",
        "categorical",
        "binary",
    ]
    np.testing.assert_array_equal(
        sequences.values, [[0.1, np.nan, 0], [0.2, 0, 1], [0.3, 0, 1], [np.nan, 1, 1]]
    )


def test_columns_and_column_types(table):
    sequences = Sequences.from_table(table, "who", "when", ["on", "x"], {"on": "numeric"})
    assert sequences.schema.names == ("on", "x")
    assert sequences.schema.columns[0].type == "numeric"


def test_without_time_rows_keep_their_order():
    sequences = Sequences.from_table({"id": [2, 2, 1], "x": [3.0, 1.0, 2.0]}, id="id")
    assert sequences.ids.tolist() == [2, 1]
    assert sequences[0][:, 0].tolist() == [3.0, 1.0]


@pytest.mark.parametrize(
    "times",
    [
        [dt.datetime(2024, 1, 1), dt.datetime(2024, 1, 2)],
        [dt.date(2024, 1, 1), dt.date(2024, 1, 2)],
        [dt.time(1), dt.time(2)],
        [dt.timedelta(1), dt.timedelta(2)],
        ["2024-01-01T12:00:00", "2024-01-02T00:00:00"],
        ["9", "10"],
        [0.25, 0.5],
        np.array([1, 2], np.uint8),
        np.array([-(2**63), 2**63 - 1]),
    ],
)
def test_times_of_any_type(times):
    sequences = Sequences.from_table({"id": [1, 1], "t": times, "x": [1.0, 2.0]}, "id", "t")
    assert sequences[0][:, 0].tolist() == [1.0, 2.0]
    back = {"id": [1, 1], "t": times[::-1], "x": [2.0, 1.0]}
    with pytest.raises(DataError, match=r"Id 1 has .* in row 1, after .* in row 0\. Sort the tab"):
        Sequences.from_table(back, "id", "t")


def test_sort_orders_the_steps_of_each_id_by_time():
    table = {"id": ["b", "a", "b", "a"], "t": [2, 9, 1, 3], "x": [2.0, 9.0, 1.0, 3.0]}
    with pytest.raises(
        DataError, match=r"in row 2, after '2' in row 0\. Sort the table with sort=True, or"
    ):
        Sequences.from_table(table, "id", "t")
    found = Sequences.from_table(table, "id", "t", sort=True)
    assert found.ids.tolist() == ["b", "a"]
    assert [one[:, 0].tolist() for one in found] == [[1.0, 2.0], [3.0, 9.0]]


def test_sort_needs_distinct_times():
    table = {"id": [1, 1], "t": [2, 2], "x": [0.0, 1.0]}
    with pytest.raises(DataError, match="Id 1 has the time '2' twice, in rows 0 and 1"):
        Sequences.from_table(table, "id", "t", sort=True)
    with pytest.raises(
        SchemaError, match=r"sort=True orders the steps by .* Name that column with time="
    ):
        Sequences.from_table(table, "id", columns=["x"], sort=True)


def test_times_of_different_ids_need_no_order():
    table = {"id": ["b", "a", "b", "a"], "t": [5, 1, 6, 2], "x": [0.0, 2.0, 1.0, 3.0]}
    sequences = Sequences.from_table(table, "id", "t")
    assert sequences.ids.tolist() == ["b", "a"]
    assert sequences.values[:, 0].tolist() == [0.0, 1.0, 2.0, 3.0]


def test_the_pandas_index_is_not_a_feature():
    frame = pd.DataFrame(COLUMNS).set_index("when")
    sequences = Sequences.from_table(frame, id="who", time="when", columns=["x"])
    assert sequences[0][:, 0].tolist() == [0.1, 0.2, 0.3]
    together = frame.sort_values("who")
    assert "when" not in Sequences.from_table(together, id="who").schema.names


def test_pandas_categories_of_integers():
    frame = pd.DataFrame({"id": [1, 1], "code": pd.Categorical([30, 10])})
    sequences = Sequences.from_table(frame, id="id")
    assert sequences.schema.columns[0].categories == (10, 30)


def test_integer_categories_that_floats_cannot_distinguish():
    frame = {"id": [1, 1], "code": np.array([1, 2**53 + 1])}
    match = r"Got 9007199254740993 at sequence 0 .*step 1, column 'code'\..* write them as text"
    with pytest.raises(DataError, match=match):
        Sequences.from_table(frame, id="id", column_types="categorical")


def test_numbers_as_text():
    table = {"id": [1, 1], "x": ["1.5", None]}
    with pytest.warns(UserWarning, match="'x' holds numbers written as text") as caught:
        Sequences.from_table(table, id="id")
    assert caught[0].filename == __file__
    numeric = Sequences.from_table(table, id="id", column_types={"x": "numeric"})
    np.testing.assert_array_equal(numeric.values[:, 0], [1.5, np.nan])


WHO, TIME = {"id": "who"}, {"id": "who", "time": "when"}
DOUBLE = pa.Table.from_arrays([pa.array([1])] * 3, names=["id", "x", "x"])
DAMAGED = pa.table({"id": [1], "x": [1]}).replace_schema_metadata({b"refold": b"{"})
BAD = [
    (COLUMNS, {"id": "patient"}, "no column 'patient', which id= names. Its columns are 'who', "),
    (COLUMNS, {"id": "who", "time": "t"}, "no column 't', which time= names"),
    (COLUMNS, {**TIME, "columns": ["z"]}, "no column 'z'"),
    (COLUMNS, WHO, "rows of id 'b' are not together: row 3 comes after"),
    (COLUMNS | {"who": [1, None, 2, 2]}, WHO, "Row 1 has no id in column"),
    ({"who": [], "x": []}, WHO, "The table has no rows"),
    ({"who": [1]}, WHO, "no column besides 'who'. Expected at least one"),
    ({"who": [1, 1], "x": [1.0]}, WHO, "'x' has 1 rows, but column 'who' has 2"),
    ({"who": 1, "x": [1.0]}, WHO, "Column 'who' is a int. Expected a list"),
    ({"who": [1], "x": [dt.date(2024, 1, 1)]}, WHO, "'x' holds dates"),
    ({"who": [1], "x": [[1.0]]}, WHO, "which is not supported"),
    ({"who": [[1], [1, 2]], "x": [1, 2]}, WHO, "'who' holds list.* Expected ids"),
    ({"who": [1, 1], "x": [1.0, "one"]}, WHO, r"'one' at sequence 0 \(id 1\), step 1, column 'x'"),
    ({"who": [7, 7], "x": [1.0, np.inf]}, WHO, r"infinite value at sequence 0 \(id 7\), step 1, c"),
    (pd.DataFrame([[1, 2, 3]], columns=["id", "x", "x"]), {"id": "id"}, "two columns named 'x'"),
    (DOUBLE, {"id": "id"}, "two columns named 'x'"),
    (DAMAGED, {"id": "id"}, "metadata of the table hold a damaged schema"),
]
BAD_TIMES = [
    ([3, 1, 7, 3], "Id 'b' has the time '3' twice, in rows 0 and 3. Each step needs its own time"),
    ([1, 3, 7, 2], "'b' has the time '2' in row 3, after '3' in row 1. Sort .* by column 'when'.$"),
    (["1", "10", "7", "9"], "'9' in row 3, after '10' in row 1. .*as numbers or dates, not as tex"),
    ([3, None, 7, 2], "Column 'when' cannot order the steps: row 1 has no time"),
    (["noon", "2", "3", "4"], "it holds text such as 'noon', in row 0"),
    (["1", "2", "7", "x3"], "it holds text such as 'x3', in row 3. Expected all numbers"),
    ([True, False, True, False], "cannot order the steps: it holds bool values"),
]


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [*BAD, *((COLUMNS | {"when": times}, TIME, message) for times, message in BAD_TIMES)],
)
def test_bad_input(columns, options, message):
    with pytest.raises(DataError, match=message):
        Sequences.from_table(columns, **options)


@pytest.mark.parametrize("type_", [pl.Categorical, pl.Enum(["v", "u"])])
def test_polars_categories(type_):
    frame = pl.DataFrame({"id": ["p", "p", "q"], "event": ["u", "v", None]})
    frame = frame.with_columns(pl.col("event").cast(type_), pl.col("id").cast(pl.Categorical))
    sequences = Sequences.from_table(frame, id="id")
    assert sequences.ids.tolist() == ["p", "q"]
    np.testing.assert_array_equal(sequences.values[:, 0], [0, 1, np.nan])


@pytest.mark.parametrize(
    "values", [pd.array([1, 0, None], dtype="Int64"), pd.array([True, False, None])]
)
def test_nullable_pandas_columns(values):
    sequences = Sequences.from_table(pd.DataFrame({"id": 1, "x": values}), id="id")
    assert sequences.schema.columns[0].type == "binary"
    np.testing.assert_array_equal(sequences.values[:, 0], [1, 0, np.nan])


def test_ids_of_any_type():
    def ids(values):
        return Sequences.from_table({"id": values, "x": [1.0, 2.0]}, id="id").ids.tolist()

    assert ids([2.0, 1.0]) == [2, 1]
    assert ids([2.5, 1.0]) == ["2.5", "1.0"]
    assert ids([1, "a"]) == ["1", "a"]
    assert ids([2**63, 5]) == [str(2**63), "5"]
    assert ids(np.array([2**64 - 1, 5], np.uint64)) == [str(2**64 - 1), "5"]
    assert ids(np.array([7, 5], np.uint64)) == [7, 5]
    assert ids([dt.date(2024, 1, 1)] * 2) == ["2024-01-01"]


def test_several_chunks():
    first = pa.table({"id": pa.array(["a"]).dictionary_encode(), "x": [1.0]})
    second = pa.table({"id": pa.array(["a"]).dictionary_encode(), "x": [2.0]})
    third = pa.table({"id": pa.array(["b"]).dictionary_encode(), "x": [3.0]})
    sequences = Sequences.from_table(pa.concat_tables([first, second, third]), id="id")
    assert sequences.ids.tolist() == ["a", "b"]
    assert sequences.lengths.tolist() == [2, 1]


def test_a_pandas_column_of_mixed_types_and_what_is_no_table():
    frame = pd.DataFrame({"id": [1, 1, 1], "x": [1.0, "one", None]})
    with pytest.raises(DataError, match=r"Got the text 'one' at sequence 0 .*step 1, column 'x'"):
        Sequences.from_table(frame, id="id")
    with pytest.raises(DataError, match=r"Expected a pandas, polars or Arrow table.* Got list"):
        Sequences.from_table([1, 2], id="id")


def test_to_table_and_back():
    before = Sequences.from_table(COLUMNS, id="who", time="when")
    table = before.to_table(id="who", time="step")
    assert table.column_names == ["who", "step", "x", "event", "on"]
    assert table["step"].to_pylist() == [0, 1, 2, 0]
    assert table["event"].to_pylist() == [None, "u", "u", "v"]
    after = Sequences.from_table(table, id="who", time="step")
    assert after.schema == before.schema
    np.testing.assert_array_equal(after.values, before.values)
    np.testing.assert_array_equal(after.ids, before.ids)


def test_to_table_leaves_out_empty_sequences_with_a_warning():
    sequences = Sequences.from_list([[1.0], [], [2.0]])
    with pytest.warns(UserWarning, match="1 of 3 sequences are empty") as caught:
        table = sequences.to_table()
    assert caught[0].filename == __file__
    assert table["id"].to_pylist() == [0, 2]


def test_to_table_refuses_data_that_would_be_lost():
    sequences = Sequences.from_list([[1.0], [2.0]], ids=["a", "b"])[[0, 0]]
    with pytest.raises(DataError, match="The id 'a' appears twice"):
        sequences.to_table()
    assert sequences.with_ids(["a", "b"]).to_table()["id"].to_pylist() == ["a", "b"]
    with pytest.raises(SchemaError, match="would have two columns named 'x0'"):
        sequences.to_table(time="x0")


def test_dates_of_polars_are_text():
    table = pl.DataFrame({"id": ["a", "a"], "t": ["2024-01-01", "2024-01-02"], "x": [1.0, 2.0]})
    assert Sequences.from_table(table, "id", "t").values[:, 0].tolist() == [1.0, 2.0]


def test_the_ids_are_no_feature(tmp_path):
    table = {"id": ["a", "a", "b"], "x": [1.0, 2.0, 3.0]}
    message = "'id' has the ids of the sequences, and columns= names it as a feature"
    with pytest.raises(SchemaError, match=message):
        Sequences.from_table(table, columns=["id", "x"], id="id")
    pd.DataFrame(table).to_csv(tmp_path / "a.csv", index=False)
    pd.DataFrame(table).to_parquet(tmp_path / "a.parquet")
    for name, of in (("a.csv", read), ("a.parquet", read), ("a.parquet", mapped)):
        with pytest.raises(SchemaError, match=message):
            of(tmp_path / name, columns=["id", "x"])
    with pytest.raises(SchemaError, match=message):
        read(tmp_path / "a.csv", columns=["id", "x"], layout="wide", id="id")
    times = Sequences.from_table({**table, "t": [1, 2, 1]}, id="id", time="t", columns=["t", "x"])
    assert times.schema.names == ("t", "x")
