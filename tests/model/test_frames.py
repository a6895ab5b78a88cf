"""Tables in, tables out: ids, columns, layout and library stay."""

from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from refold import Sequences
from refold.errors import DataError, SchemaError
from small_data import fit_without_training

LIBRARIES = {"pandas": pa.Table.to_pandas, "polars": pl.from_arrow, "pyarrow": pa.table}


def build_visits():
    """Return a long table with its columns in any order, and one that is no feature."""
    rng, start = np.random.default_rng(0), datetime(2024, 1, 1)
    steps = [(f"p{i}", start + timedelta(days=k)) for i in range(24) for k in range(4 + i % 3)]
    who, day = zip(*steps, strict=True)
    columns = {"rate": 70 + rng.normal(size=len(who)), "who": who, "day": day}
    columns |= {"mood": np.resize(["good", "bad"], len(who)), "awake": rng.random(len(who)) < 0.5}
    return pa.table(columns | {"note": ["x"] * len(who)})


@pytest.fixture(scope="module")
def sequences():
    columns = ["rate", "mood", "awake"]
    return Sequences.from_table(build_visits(), id="who", time="day", columns=columns)


@pytest.fixture(scope="module")
def ae(sequences):
    return fit_without_training(sequences)


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_long_table_comes_back(ae, sequences, library):
    table = LIBRARIES[library](build_visits())
    back = ae.reconstruct(table)
    assert type(back) is type(table)
    back = pa.table(back)
    assert back.column_names == ["rate", "who", "day", "mood", "awake"]
    assert back["awake"].type == pa.bool_()
    decoded = ae.reconstruct(sequences)
    lengths = [len(rows) for rows in decoded]
    assert back["who"].to_pylist() == np.repeat(sequences.ids, lengths).tolist()
    assert back["rate"].to_pylist() == [row[0] for rows in decoded for row in rows]
    days, visits = {}, build_visits().to_pydict()
    for who, day in zip(visits["who"], visits["day"], strict=True):
        days.setdefault(who, []).append(day)
    padded = [(days[who] + [None] * 9)[:n] for who, n in zip(sequences.ids, lengths, strict=True)]
    assert back["day"].to_pylist() == [day for times in padded for day in times]
    assert isinstance(ae.reconstruct(table, as_table=False), list)
    from_sequences = ae.reconstruct(sequences[:3], as_table=True)
    assert from_sequences.column_names == ["who", "day", "rate", "mood", "awake"]
    assert set(from_sequences["who"].to_pylist()) == {"p0", "p1", "p2"}


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_table_of_lists_comes_back(ae, sequences, library):
    table = LIBRARIES[library](sequences.to_arrow("who"))
    back = ae.reconstruct(table)
    assert type(back) is type(table)
    assert pa.table(back).column_names == ["who", "rate", "mood", "awake"]
    rates = [rows[:, 0].tolist() for rows in ae.reconstruct(sequences)]
    assert [list(rate) for rate in pa.table(back)["rate"].to_pylist()] == rates
    without_ids = ae.reconstruct(table[["rate", "mood", "awake"]] if library == "pandas" else table)
    assert len(without_ids) == 24


def test_an_index_comes_back(ae, sequences):
    frame = build_visits().to_pandas().set_index(["who", "day"])
    assert ae.reconstruct(frame).index.names == ["who", "day"]
    lists = sequences.to_arrow("who").to_pandas().set_axis([f"row {i}" for i in range(24)])
    assert list(ae.reconstruct(lists).index) == list(lists.index)


def test_methods_take_long_tables(ae, sequences):
    frame = build_visits().to_pandas()
    assert np.array_equal(ae.transform(frame), ae.transform(sequences))
    assert np.array_equal(ae.errors(frame), ae.errors(sequences))
    assert ae.score(frame) == ae.score(sequences)
    renamed = frame.rename(columns={"who": "id", "day": "time"}).drop(columns="note")
    assert fit_without_training(renamed).schema_.names == ("rate", "mood", "awake")
    with pytest.raises(SchemaError, match=r"without 'rate'; with 'note'"):
        ae.transform(frame.drop(columns="rate"))
    with pytest.raises(SchemaError, match="one row per step needs a column 'id' that repeats"):
        ae.transform(frame.drop(columns="who"))
    with pytest.raises(SchemaError, match="no list column"):
        fit_without_training(renamed.drop_duplicates("id"))


SENSOR = pd.DataFrame({"level": np.sin(np.arange(80) / 4)})
WHEN = pd.date_range("2024-03-01", periods=80, freq="5min")


@pytest.mark.parametrize("name", ["when", None])
def test_an_index_of_times_has_the_times(name):
    frame = SENSOR.set_index(WHEN.rename(name))
    ae = fit_without_training(frame, window=20)
    assert ae.model_.windows(frame).to_table()["end_time"][0].as_py() == WHEN[19]
    pd.testing.assert_index_equal(ae.reconstruct(frame).index, frame.index, exact="equiv")
    with pytest.raises(DataError, match="1 row repeats a time"):
        ae.transform(frame.iloc[[0, *range(80)]])
    with_ids = Sequences.from_table(frame.assign(who=np.arange(80) % 2), "who")
    assert with_ids.times[1].as_py() == WHEN[2]


@pytest.mark.parametrize("form", ["%d.%m.%Y %H:%M", None])
def test_a_series_is_read_as_the_training_data_were(form):
    frame = SENSOR.assign(when=WHEN.strftime(form) if form else WHEN).iloc[[*range(9), *range(80)]]
    frame = frame.sort_index(kind="stable")  # the first nine times repeat
    with pytest.raises(SchemaError, match=r"times with time= of Sequences.from_table or read, and"):
        fit_without_training(SENSOR.assign(when=WHEN), window=20)
    options = {"time": "when", "duplicates": "mean", "time_format": form}
    series = Sequences.from_table(frame, **options)
    assert series.lengths.tolist() == [80]
    ae = fit_without_training(series, window=20)
    assert np.array_equal(ae.transform(frame.assign(note="x")), ae.transform(series))
    assert np.array_equal(ae.transform(SENSOR.assign(when=WHEN)), ae.transform(series))
    assert pd.to_datetime(ae.reconstruct(frame)["when"]).tolist() == WHEN.tolist()
