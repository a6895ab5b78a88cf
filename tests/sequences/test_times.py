"""Times of steps: their forms, operations that keep times, repeated times, and future times."""

import datetime as dt

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import refold
from refold.errors import DataError, ParameterError
from refold.sequences import Sequences, concatenate, future_times, read, split_at, windows, write
from small_data import read_as_mapped

NOON = dt.datetime(2024, 5, 31, 12)
DAY, LEAP_DAY = dt.timedelta(1), dt.date(2024, 2, 29)
TWO_HOURS = dt.timezone(dt.timedelta(hours=2))


def with_times(times, **options):
    """Return a sequence with these times."""
    table = {"id": ["a"] * len(times), "at": times, "x": np.arange(len(times)) / 2}
    return Sequences.from_table(table, "id", "at", **options)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2024-05-31", NOON.replace(hour=0)),
        ("2024-05", dt.datetime(2024, 5, 1)),
        ("2024/05/31 12:00", NOON),
        ("20240531T120000", NOON),
        ("20240531 1200", NOON),
        (" 2024-05-31T12:00:00,5 ", NOON.replace(microsecond=500_000)),
        ("2024-05-31 12:00:00 UTC", NOON.replace(tzinfo=dt.UTC)),
        ("2024-05-31 12:00 +0200", NOON.replace(tzinfo=TWO_HOURS)),
        ("2024-05-31T12:00+02", NOON.replace(tzinfo=TWO_HOURS)),
        ("12:00:00.5", dt.time(12, 0, 0, 500_000)),
        ("7.5", 7.5),
    ],
)
def test_text_is_read_as_times(text, time):
    (value,) = with_times([text]).times.to_pylist()
    assert value == time
    assert getattr(value, "tzinfo", None) is None or value.utcoffset() == time.utcoffset()


@pytest.mark.parametrize(
    ("text", "form", "time"),
    [
        ("31.05.2024 12:00", "%d.%m.%Y %H:%M", NOON),
        ("05/31/24 12:00 PM", "%m/%d/%y %I:%M %p", NOON),
        ("31.05.2024 12:00:00.25", "%d.%m.%Y %H:%M:%S.%f", NOON.replace(microsecond=250_000)),
        ("31.05.2024 12:00 +0200", "%d.%m.%Y %H:%M %z", NOON.replace(tzinfo=TWO_HOURS)),
        (20240531, "%Y%m%d", NOON.replace(hour=0)),
    ],
)
def test_a_format_describes_text(text, form, time, tmp_path):
    assert with_times([text], time_format=form).times.to_pylist() == [time]
    (tmp_path / "x.csv").write_text(f"id;time;x\na;{text};0,5\n")
    assert read(tmp_path / "x.csv", time_format=form).times.to_pylist() == [time]


def test_local_times_keep_their_zone_if_their_offset_is_one():
    summer, winter = "2024-05-31T12:00:00+02:00", "2024-12-31T12:00:00+01:00"
    assert with_times([summer]).times.type.tz == "+02:00"
    assert with_times([summer, winter]).times.type.tz == "UTC"
    zoned = pd.to_datetime([summer, winter], utc=True).tz_convert("Europe/Berlin")
    assert with_times(zoned).times.to_pylist() == zoned.to_pydatetime().tolist()
    assert with_times(zoned).times.type.tz == "Europe/Berlin"


@pytest.mark.parametrize(
    ("times", "options", "message"),
    [
        (["2024-05-31", "31.05.2024"], {}, r"such as '31.05.2024', in row 1.* with time_format=,"),
        (["1.2.2024", "1.2024"], {"time_format": "%d.%m.%Y"}, r"row 1 holds '1.2024' \(time data "),
        (["1.2.2024"], {"time_format": "%d.%m.%Q"}, "'Q' is a bad directive"),
        ([1.5], {"time_format": "%Y"}, "'at' holds double, and time_format= describes .* text"),
    ],
)
def test_times_that_cannot_be_read(times, options, message):
    with pytest.raises(DataError, match=message):
        with_times(times, **options)


IN_UTC = NOON.replace(tzinfo=dt.UTC)
LATER = NOON + DAY, IN_UTC + DAY  # without a zone, and with one
CSV = "id,at,x\na,2024-05-31 12:00,1\na,2024-06-01 12:00Z,2\n"
JSONL = '{"id": 0, "at": "2024-05-31T12:00Z", "x": 1}\n{"id": 0, "at": "2024-06-01", "x": 2}'


@pytest.mark.parametrize("zone_row", [0, 1])
@pytest.mark.parametrize(
    "container", [list, np.array, lambda times: pd.Series(times, dtype=object), pd.Index]
)
def test_times_with_and_without_a_zone_are_refused(zone_row, container):
    times = [NOON, LATER[1]] if zone_row else [IN_UTC, LATER[0]]
    text = [str(time) for time in times]
    message = (
        f"Column 'at' has times with a zone and times without: {text[zone_row]!r} in row "
        f"{zone_row}, and {text[1 - zone_row]!r} in row {1 - zone_row}. "
    )
    index = pd.Index(times, dtype=object, name="at")
    frames = [pd.DataFrame({"id": 0, "x": [1.0, 2.0]}, index=index)]
    frames += [frame.reset_index() for frame in frames]
    model = refold.load("series")
    for read_times in (
        lambda: with_times(container(times)),
        lambda: with_times(container(text)),
        *(lambda frame=frame: Sequences.from_table(frame, "id", "at") for frame in frames),
        lambda: Sequences.from_table(frames[0], "id"),
        lambda: refold.sequences.read_from_batches(lambda: iter(frames), id="id", time="at"),
        lambda: model.adapt(frames[0].drop(columns="id"), window=8),
    ):
        with pytest.raises(DataError) as caught:
            read_times()
        assert message in str(caught.value)
    with pytest.raises(DataError, match="Column 'time' has times with a zone"):
        model.adapt({"time": container(times), "x": [1.0, 2.0]}, window=8)
    # a column that does not order the steps may hold anything
    unread = {"at": container(times), "x": [1.0, 2.0]}
    assert len(Sequences.from_table(unread, columns=["x"]).values) == 2


@pytest.mark.parametrize(
    ("name", "text", "rows"),
    [
        ("a.csv", CSV, "'2024-06-01 12:00Z' in line 3, and '2024-05-31 12:00' in line 2"),
        ("a.jsonl", JSONL, "'2024-05-31T12:00Z' in line 1, and '2024-06-01' in line 2"),
    ],
)
def test_files_of_times_with_and_without_a_zone_are_refused(tmp_path, name, text, rows):
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=f"times with a zone and times without: {rows}"):
        read(tmp_path / name, time="at")


def test_one_zone_stays_from_python_to_files(tmp_path):
    times = [time.replace(tzinfo=TWO_HOURS) for time in (NOON, NOON + DAY)]
    for column in (times, np.array(times), pd.Series(times, dtype=object), list(map(str, times))):
        steps = with_times(column)
        assert steps.to_table("id", "at")["at"].to_pylist() == times
        for name, options in (("a.csv", {}), ("a.parquet", {"layout": "long"})):
            write(steps, tmp_path / name, time="at", **options)
            back = read(tmp_path / name, time="at")
            assert back.times.type.tz == steps.times.type.tz == "+02:00"
            assert back.times.to_pylist() == times


STEPS = pa.table(
    {
        "id": ["b", "a", "b", "a", "c"],
        "time": pa.array([5, 1, 7, 4, 2], pa.date32()),
        "x": [0.5, 1.5, 2.5, 3.5, 4.5],
    }
)


def test_all_operations_keep_times():
    steps = Sequences.from_table(STEPS, "id", "time")
    assert steps.times.type == pa.date32()

    def days(sequences):
        return sequences.times.cast(pa.int32()).to_pylist()

    assert days(steps) == [5, 7, 1, 4, 2]
    assert days(steps[["c", "b"]]) == [2, 5, 7]
    assert days(steps[:0]) == []
    assert days(steps.block(1, 3)) == [1, 4, 2]
    assert days(steps.with_values(steps.values + 1).with_ids([1, 2, 3])) == days(steps)
    assert days(concatenate([steps, steps[1:]])) == [5, 7, 1, 4, 2, 1, 4, 2]
    untimed = Sequences.from_list([[1, 2]], column_types={"x": "numeric"}, names=["x"])
    assert concatenate([steps, untimed]).times is None
    assert [days(half) for half in split_at(steps, 1)] == [[5, 1, 2], [7, 4]]
    assert days(windows(steps[:2], 1, 1).sequences) == [5, 7, 1, 4]
    assert days(Sequences(steps.values, steps.offsets, times=steps.times)) == days(steps)
    table = steps.to_table("id", "time")
    assert table.equals(STEPS.take([0, 2, 1, 3, 4]))
    assert untimed.to_table()["time"].to_pylist() == [0, 1]
    for times, message in ((steps.times[1:], "Got 4 times for 5 steps"), ([1] * 5, "Got a list")):
        with pytest.raises(DataError, match=message):
            Sequences(steps.values, steps.offsets, times=times)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize(
    "times",
    [
        pa.array([3, 5], pa.int64()),
        pa.array([NOON, NOON.replace(year=2025)]),
        pa.array([NOON, NOON.replace(day=1, month=7)], pa.timestamp("us", "+02:00")),
        pa.array([19_000, 19_001], pa.date32()),
        pa.array([dt.time(1), dt.time(2, 30)]),
    ],
)
def test_long_files_keep_times(tmp_path, suffix, times):
    path = tmp_path / f"steps.{suffix}"
    table = pa.table({"id": ["a", "a"], "time": times, "x": [0.5, 1.5]})
    options = {"layout": "long"} if suffix == "parquet" else {}
    steps = Sequences.from_table(table, "id", "time")
    with_empty = Sequences(steps.values, [0, 2, 2], ["a", "b"], steps.schema, steps.times)
    write(with_empty, path, **options)
    back = read(path)
    assert back.ids.tolist() == ["a", "b"]
    assert back.times.to_pylist() == times.to_pylist()
    assert getattr(back.times.type, "tz", None) == getattr(times.type, "tz", None)


def test_mapped_times_of_two_kinds_are_refused(tmp_path):
    table = pa.table({"id": ["a", "b"], "time": ["2024-05-31", "7"], "x": [0.5, 1.5]})
    pq.write_table(table, tmp_path / "steps.parquet", row_group_size=1)
    with pytest.raises(DataError, match=r"id 'b' are double, but those before it are timestamp"):
        read_as_mapped(tmp_path / "steps.parquet")


REPEATED = {
    "id": ["a", "a", "b", "a", "b"],
    "time": [1, 1, 1, 2, 1],
    "x": [0.5, 2.5, None, 7.5, 3.5],
    "count": [1, 4, 1, 2, 7],
    "event": ["u", "v", "v", "u", "w"],
}


@pytest.mark.parametrize(
    ("duplicates", "x", "event"),
    [
        ("first", [0.5, 7.5, None], ["u", "u", "v"]),
        ("last", [2.5, 7.5, 3.5], ["v", "u", "w"]),
        ("mean", [1.5, 7.5, 3.5], ["u", "u", "v"]),
    ],
)
def test_repeated_times_become_one_step(duplicates, x, event, tmp_path):
    options = {"duplicates": duplicates, "column_types": {"count": "count"}}
    table = Sequences.from_table(REPEATED, "id", "time", **options).to_table()
    assert table["time"].to_pylist() == [1, 2, 1]
    assert table["x"].to_pylist() == x
    assert table["event"].to_pylist() == event
    assert table["count"].to_pylist() == ([4, 2, 7] if duplicates == "last" else [1, 2, 1])
    rows = pa.table(REPEATED).take([0, 1, 3, 2, 4])
    pq.write_table(rows, tmp_path / "rows.parquet", row_group_size=2)
    large = read_as_mapped(tmp_path / "rows.parquet", time_gaps=True, **options)
    assert large.to_table().drop_columns("time_gap").equals(table)
    assert large.values[:, -1].tolist() == [0, 1, 0]


def test_repeated_times_are_counted():
    with pytest.raises(DataError) as caught:
        Sequences.from_table(REPEATED, "id", "time")
    assert str(caught.value) == (
        "2 rows repeat a time of the same id, in 2 sequences. First, id 'a' has the time '1' in "
        "row 0 and in row 1. Keep one row for each time with duplicates= of Sequences.from_table "
        "or read, which is 'first', 'last' or 'mean'."
    )
    with pytest.raises(DataError, match=r"^1 row repeats a time of the same id, in 1 sequence\."):
        with_times([1, 1])
    with pytest.raises(ParameterError, match="must be one of 'error', 'first', 'last', 'mean'"):
        with_times([1, 1], duplicates="any")
    for options in ({"duplicates": "mean"}, {"time_format": "%Y"}):
        with pytest.raises(DataError, match="needs a long table with a column of times"):
            Sequences.from_table({"id": [1], "x": [1.0]}, "id", **options)


@pytest.mark.parametrize(
    ("times", "future"),
    [
        (pa.array([1, 3, 5, 6], pa.int8()), [8, 10]),
        (pa.array([0.5, 1.0]), [1.5, 2.0]),
        (pa.array([NOON, NOON + DAY]), [NOON + 2 * DAY, NOON + 3 * DAY]),
        (pa.array([LEAP_DAY - 2 * DAY, LEAP_DAY - DAY]), [LEAP_DAY, LEAP_DAY + DAY]),
        (pa.array([dt.time(22), dt.time(23)]), [dt.time(0), dt.time(1)]),
        (pa.array([NOON]), [None, None]),
    ],
)
def test_future_times_have_the_usual_gap(times, future):
    assert future_times(times, 2).to_pylist() == future
    assert future_times(times[:0], 2).to_pylist() == [None, None]


def test_future_times_are_exact_and_keep_their_zone():
    first = 1_700_000_000_123_456_789
    times = pa.array([first, first + 1], pa.timestamp("ns", "Europe/Berlin"))
    later = future_times(times, 2)
    assert later.type == times.type
    assert later.cast(pa.int64()).to_pylist() == [first + 2, first + 3]
