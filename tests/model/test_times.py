"""Times of results: those of the input, and those that follow at its usual gap."""

import datetime

import pyarrow as pa
import pytest

from refold.cli import main
from refold.sequences import Sequences, column_names, read, write
from small_data import sines, untrained

BEGIN = datetime.datetime(2024, 3, 1, tzinfo=datetime.UTC)


@pytest.fixture(scope="module")
def data():
    plain = sines(6)
    hours = [BEGIN + datetime.timedelta(hours=i) for i in range(len(plain.values))]
    times = pa.array(hours, pa.timestamp("s", "UTC"))
    schema = plain.schema.read_with("id", "at")
    return Sequences(plain.values, plain.offsets, plain.ids, schema, times)


def test_forecasts_continue_the_times(data):
    ahead = untrained(data, forecast_steps=2).forecast(data).to_table()
    last = data.times[int(data.offsets[1]) - 1].as_py()
    hours = [last + datetime.timedelta(hours=i) for i in (1, 2)]
    assert ahead["at"].to_pylist()[:2] == hours


def test_commands_write_the_times(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    untrained(data, calibration_fraction=0.5, forecast_steps=2).save("m.refold")
    write(data, "a.csv", time="at")
    for command, *options in (
        ("reconstruct", "-o", "back.csv"),
        ("detect", "-o", "rows.csv", "--steps", "steps.csv", "--alpha", "0.4"),
        ("forecast", "-o", "ahead.csv"),
    ):
        assert main([command, "m.refold", "a.csv", *options, "-q"]) == 0
    assert read("back.csv", time="at").times[0].as_py() == BEGIN
    for name in ("steps.csv", "ahead.csv"):
        assert "at" in column_names(name)
