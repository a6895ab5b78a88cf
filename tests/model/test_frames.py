"""Tables in, tables out: ids, columns, layout and library stay."""

import warnings
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import refold
from refold import Sequences
from refold.errors import DataError, SchemaError
from small_data import TINY, fit_without_training

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


def shuffle_visits():
    """Return the visits with ids and rows out of order: by day, then by id from the last one."""
    return build_visits().sort_by([("day", "ascending"), ("who", "descending")])


def select_unread_columns(table):
    """Return the columns that the model does not decode."""
    return table.select(["who", "day", "note"]).to_pydict()


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_long_table_comes_back(ae, sequences, library):
    visits = shuffle_visits()
    table = LIBRARIES[library](visits)
    back = ae.reconstruct(table)
    assert type(back) is type(table)
    back = pa.table(back)
    assert back.column_names == visits.column_names
    assert select_unread_columns(back) == select_unread_columns(visits)
    assert back["awake"].type == pa.bool_()
    decoded = ae.decode(ae.encode(sequences), sequences.lengths)
    rates = dict(zip(sequences.ids.tolist(), (iter(rows[:, 0]) for rows in decoded), strict=True))
    assert back["rate"].to_pylist() == [next(rates[who]) for who in visits["who"].to_pylist()]
    assert isinstance(ae.reconstruct(table, as_table=False), list)
    from_sequences = ae.reconstruct(sequences[:3], as_table=True)
    assert from_sequences.column_names == ["who", "day", "rate", "mood", "awake"]
    assert from_sequences["day"].equals(pa.chunked_array([sequences[:3].times]))


@pytest.mark.parametrize("library", LIBRARIES)
def test_residuals_have_the_rows_of_a_table(ae, library):
    visits = shuffle_visits()
    table = LIBRARIES[library](visits)
    residuals, back = pa.table(ae.residuals(table)), pa.table(ae.reconstruct(table))
    assert select_unread_columns(residuals) == select_unread_columns(visits)
    difference = np.asarray(visits["rate"]) - np.asarray(back["rate"])
    assert np.array_equal(residuals["rate"], difference)
    is_wrong = np.asarray(visits["mood"]) != np.asarray(back["mood"])
    assert np.array_equal(residuals["mood"], is_wrong)


def test_residuals_have_the_shape_of_the_data():
    x = np.random.default_rng(0).normal(size=(30, 6, 2))
    x[0, 4:], x[1, 2, 1] = np.nan, np.nan  # two padded steps, and a missing value
    ae = fit_without_training(x)
    residuals = ae.residuals(x)
    assert residuals.shape == x.shape
    assert np.array_equal(np.isnan(residuals), np.isnan(x))
    codes = ae.encode(x)
    assert np.allclose(residuals[2], x[2] - ae.decode(codes, [4, *[6] * 29])[2])
    assert [rows.shape for rows in ae.residuals([x[0, :4], x[1]])] == [(4, 2), (6, 2)]
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice([*"abc"], rng.integers(2, 7))) for _ in range(30)]
    ae = refold.SequenceAutoencoder(**TINY).fit(words)
    assert ae.residuals(["ab", "cba"])[1].shape == (3,)
    assert refold.load("series").residuals(x[..., 0]).shape == (30, 6)


def test_steps_of_anomalies_have_the_rows_of_a_table(ae, sequences):
    visits = shuffle_visits()
    with warnings.catch_warnings():  # the model was trained on these sequences
        warnings.simplefilter("ignore")
        detection = ae.model_.calibrate(sequences).detect(visits, alpha=0.1)
    steps = detection.to_step_table("who", "day")
    assert steps.select(["who", "day"]).equals(visits.select(["who", "day"]))


def test_rows_of_equal_times_come_back(sequences):
    visits = shuffle_visits()
    twice = pa.concat_tables([visits, visits]).drop_columns("note")
    columns = {"id": "who", "time": "day", "sort": True, "duplicates": "mean"}
    merged = fit_without_training(Sequences.from_table(twice, **columns))
    back = merged.reconstruct(twice.sort_by("day").slice(3))  # one of the rows of each time is left
    assert back["day"].to_pylist() == sorted(twice["day"].to_pylist())[3:]


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_table_of_lists_comes_back(ae, sequences, library):
    table = LIBRARIES[library](sequences.to_arrow("who"))
    back = ae.reconstruct(table)
    assert type(back) is type(table)
    assert pa.table(back).column_names == ["who", "rate", "mood", "awake"]
    rates = [rows[:, 0].tolist() for rows in ae.reconstruct(sequences)]
    assert [list(rate) for rate in pa.table(back)["rate"].to_pylist()] == rates
    if library == "pandas":  # without ids, and with a column that is no feature
        others = table.drop(columns="who").assign(note="x")
        assert list(ae.reconstruct(others).columns) == ["rate", "mood", "awake", "note"]


def test_an_index_comes_back(ae, sequences):
    frame = build_visits().to_pandas().set_index(["who", "day"])
    assert ae.reconstruct(frame.iloc[::-1].sort_index(level="day")).index.names == ["who", "day"]
    shuffled = shuffle_visits().to_pandas().set_axis([f"row {i}" for i in range(frame.shape[0])])
    assert ae.reconstruct(shuffled).index.equals(shuffled.index)
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
    assert ae.reconstruct(frame)["when"].equals(frame["when"])  # repeated times stay
