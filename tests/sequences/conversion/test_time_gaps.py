"""The column of time gaps, from tables in memory and from files in blocks."""

import datetime
import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from refold.errors import DataError, ParameterError, SchemaError
from refold.sequences import (
    Scaler,
    Schema,
    Sequences,
    read,
    read_batches,
    write,
)
from small_data import mapped

EVENTS = (
    "id,time,page\na,2024-01-01T00:00,view\nb,2024-01-01T00:01,buy\na,2024-01-01T00:00:02.5,buy\n"
)
NANOSECONDS = np.cumsum(np.random.default_rng(0).integers(1, 10**10, 60))
TIMES = {
    "int64": (pa.array(NANOSECONDS), 1.0),
    "int8": (pa.array(np.arange(-120, 120, 4).astype(np.int8)), 1.0),
    "float32": (pa.array(np.arange(60, dtype=np.float32) / 4), 1.0),
    "uint64": (pa.array((NANOSECONDS + 2**62).astype(np.uint64)), 1.0),
    "decimal": (pa.array(np.arange(60)).cast(pa.decimal128(20, 1)), 1.0),
    "ns": (pa.array(NANOSECONDS, pa.timestamp("ns")), 1e9),
    "ms": (pa.array(NANOSECONDS, pa.timestamp("ms", "UTC")), 1e3),
    "duration": (pa.array(NANOSECONDS, pa.duration("us")), 1e6),
    "time": (pa.array(np.arange(60, dtype=np.int32)).cast(pa.time32("s")), 1.0),
    "date": (pa.array([datetime.date(2024, 1, 1) + datetime.timedelta(i) for i in range(60)]), 0),
    "text": (pa.array(np.datetime_as_string(NANOSECONDS.astype("M8[ns]"))), 1e9),
    "numbers as text": (pa.array([f"{i}.5" for i in range(60)]), 1.0),
}


@pytest.mark.parametrize("name", TIMES)
def test_gaps_are_the_same_in_memory_and_mapped(name, tmp_path):
    times, per_unit = TIMES[name]
    ids = np.random.default_rng(1).integers(0, 9, 60)
    table = pa.table({"id": ids, "time": times, "x": np.arange(60) / 8, "page": list("abc") * 20})
    pq.write_table(table, tmp_path / "events.parquet", row_group_size=7)
    whole = Sequences.from_table(table, "id", "time", time_gaps=True)
    raw = NANOSECONDS if name in {"int64", "uint64", "ns", "ms", "duration", "text"} else None
    for identity, values in zip(whole.ids, whole, strict=True):
        gaps = values[:, -1].astype(float)
        rows = np.flatnonzero(ids == identity)
        assert gaps[0] == 0
        if raw is not None:
            assert (gaps[1:] == np.diff(raw[rows]) / per_unit).all()
    expected = {"int8": 4, "float32": 0.25, "date": 86_400, "numbers as text": 1}.get(name)
    if expected is not None:
        gaps = whole.values[:, -1]
        assert gaps.sum() % expected == 0
        assert gaps[gaps > 0].min() == expected
    assert whole.schema.columns[-1].type == "numeric"
    assert whole.schema.time_gaps
    assert Schema.from_dict(whole.schema.to_dict()).time_gaps
    found = mapped(tmp_path / "events.parquet", time_gaps=True, block_bytes=100)
    batches = read_batches(table.to_batches(max_chunksize=7), time_gaps=True, memory_bytes=1)
    for other in (read(tmp_path / "events.parquet", time_gaps=True), found, batches):
        assert other.schema == whole.schema
        assert other.values.tobytes() == whole.values.tobytes()
    one, other = Scaler.fit(found), Scaler.fit(whole)
    assert np.allclose(one.mean_, other.mean_, rtol=1e-12)
    assert np.allclose(one.scale_, other.scale_, rtol=1e-12)


def test_files(tmp_path):
    for suffix, text in {
        "csv": EVENTS + "c,,\n",
        "jsonl": '{"id": "a", "time": 1, "page": "x"}\n{"id": "a", "time": 4, "page": "y"}\n',
    }.items():
        path = tmp_path / f"events.{suffix}"
        path.write_text(text)
        found = read(path, time_gaps=True)
        assert found.schema.names == ("page", "time_gap")
        assert found[0][:, 1].tolist() == ([0.0, 2.5] if suffix == "csv" else [0.0, 3.0])
    assert read(tmp_path / "events.csv", time_gaps=True).lengths.tolist() == [2, 1, 0]
    (tmp_path / "empty.csv").write_text("id,time,page\na,,\nb,,\n")
    empty = read(tmp_path / "empty.csv", time_gaps=True)
    assert (empty.lengths.tolist(), empty.schema.names) == ([0, 0], ("page", "time_gap"))
    unsorted = "id,time,x\na,5,1\na,2,2\n"
    found = read(io.BytesIO(unsorted.encode()), format="csv", sort=True, time_gaps=True)
    assert found[0].tolist() == [[2, 0], [1, 3]]


def test_gaps_are_numeric_even_if_they_look_binary():
    table = {"id": [1, 1, 1], "time": [4, 5, 6], "page": [3, 4, 3]}
    found = Sequences.from_table(table, "id", "time", column_types="categorical", time_gaps=True)
    assert [one.type for one in found.schema.columns] == ["categorical", "numeric"]
    assert found[0].tolist() == [[3, 0], [4, 1], [3, 1]]


def test_gaps_need_times(tmp_path):
    with pytest.raises(SchemaError, match="needs a long table with a column of times"):
        Sequences.from_table({"id": [1], "x": [2]}, "id", time_gaps=True)
    taken = {"id": [1], "time": [0], "time_gap": [2]}
    with pytest.raises(SchemaError, match="has a column 'time_gap' already"):
        Sequences.from_table(taken, "id", "time", time_gaps=True)
    write([[1.0, 2.0]], tmp_path / "lists.parquet")
    for open_file in (read, mapped):
        with pytest.raises(SchemaError, match="needs a long table with a column of times"):
            open_file(tmp_path / "lists.parquet", time_gaps=True)
    (tmp_path / "wide.csv").write_text("t0,t1\n1,2\n")
    with pytest.raises(SchemaError, match="needs a long table with a column of times"):
        read(tmp_path / "wide.csv", layout="wide", time_gaps=True)
    with pytest.raises(SchemaError, match="time_gaps= needs files with one object per step"):
        read(io.BytesIO(b"[1, 2]"), format="jsonl", time_gaps=True)
    with pytest.raises(ParameterError, match="time_gaps= does not apply to the format npy"):
        read(io.BytesIO(b"x"), format="npy", time_gaps=True)
    with pytest.raises(DataError, match="'id'"):
        read(io.BytesIO(b"time,x\n1,2\n"), format="csv", time_gaps=True)
