"""Times of results: those of the input, and those that follow at its usual gap."""

import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from refold.cli import main
from refold.sequences import Sequences, read, write
from small_data import fit_without_training, sines

BEGIN, HOUR = datetime.datetime(2024, 3, 1, tzinfo=datetime.UTC), datetime.timedelta(hours=1)


@pytest.fixture(scope="module")
def data():
    sequences = sines(6)
    hours = [BEGIN + i * HOUR for i in range(len(sequences.values))]
    times = pa.array(hours, pa.timestamp("s", "UTC"))
    schema = sequences.schema.with_read_options("id", "at")
    return Sequences(sequences.values, sequences.offsets, sequences.ids, schema, times)


def test_forecasts_continue_the_times(data):
    forecast = fit_without_training(data, forecast_steps=2).forecast(data).to_table()
    last = data.times[int(data.offsets[1]) - 1].as_py()
    assert forecast["at"].to_pylist()[:2] == [last + HOUR, last + 2 * HOUR]


def test_a_path_is_read_with_the_columns_of_the_model(data, tmp_path):
    model = fit_without_training(data).model_
    path = tmp_path / "a.csv"
    write(data, path, time="at")
    assert np.allclose(model.encode(path), model.encode(data), atol=1e-5)
    table = model.reconstruct(path, as_table=True)
    assert table.column_names[:2] == ["id", "at"]
    assert table["at"][0].as_py() == BEGIN


def test_commands_write_the_times(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fit_without_training(data, calibration_fraction=0.5, forecast_steps=2).save("m.refold")
    write(data, "a.csv", time="at")
    assert main(["encode", "m.refold", "a.csv", "-o", "codes.csv", "-q"]) == 0
    second = data.times[int(data.offsets[1])].as_py()
    for command, source in (("reconstruct", "a.csv"), ("decode", "codes.csv")):
        assert main([command, "m.refold", source, "-o", "back.parquet", "-q"]) == 0
        decoded = read("back.parquet", time="at")
        times = decoded.times[int(decoded.offsets[1]) :].to_pylist()
        assert times[:2] == [second, second + HOUR]
    steps = ["--alpha", "0.4", "--steps", "steps.csv", "-o", "rows.csv", "-q"]
    assert main(["detect", "m.refold", "a.csv", *steps]) == 0
    assert Path("steps.csv").read_text().splitlines()[1].startswith("0,0,2024-03-01 00:00:00.")
    assert main(["forecast", "m.refold", "a.csv", "-o", "ahead.jsonl", "-q"]) == 0
    later = BEGIN + HOUR * int(data.lengths[0])
    assert f'"step": 1, "at": "{later:%Y-%m-%d %H:%M:%S}' in Path("ahead.jsonl").read_text()


def test_commands_write_the_zone(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    times = data.times.cast(pa.timestamp("s", "+02:00"))
    data = Sequences(data.values, data.offsets, data.ids, data.schema, times)
    fit_without_training(data, forecast_steps=2).save("m.refold")
    write(data, "a.csv", time="at")
    later = times[int(data.offsets[1]) - 1].as_py() + HOUR
    for name in ("ahead.jsonl", "ahead.csv", "ahead.parquet"):
        assert main(["forecast", "m.refold", "a.csv", "-o", name, "-q"]) == 0
        options = {"columns": ["x0"], "time": "at"}
        ahead = read(name, id="id", **options)
        assert ahead.times.type.tz == "+02:00"
        assert ahead.times[0].as_py() == later
