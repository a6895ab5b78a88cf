"""Times of results: those of the input, and those that follow at its usual gap."""

import datetime
from pathlib import Path

import pyarrow as pa
import pytest

from refold.cli import main
from refold.sequences import Sequences, read, write
from small_data import sines, untrained

BEGIN = datetime.datetime(2024, 3, 1, tzinfo=datetime.UTC)


@pytest.fixture(scope="module")
def data():
    plain = sines(6)
    hours = [BEGIN + datetime.timedelta(hours=i) for i in range(len(plain.values))]
    times = pa.array(hours, pa.timestamp("s", "UTC"))
    schema = plain.schema.read_with("id", "at")
    return Sequences(plain.values, plain.offsets, plain.ids, schema, times)


def test_steps_after_the_last_one_have_the_usual_gap(data):
    starts = data.lengths - 1
    last = data.times_between(starts, data.lengths + 2).to_pylist()
    assert [later - last[0] for later in last[:3]] == [
        datetime.timedelta(hours=i) for i in range(3)
    ]
    assert last[0] == data.times[int(data.offsets[1]) - 1].as_py()


def test_forecasts_continue_the_times(data):
    model = untrained(data, forecast_steps=2).model_
    ahead = model.forecast(data).to_table()
    assert ahead["at"][0].as_py() - data.times[int(data.offsets[1]) - 1].as_py() == (
        datetime.timedelta(hours=1)
    )


def test_tables_of_reconstructions_have_the_times(data):
    model = untrained(data).model_
    assert model.reconstruct(data, as_table=True)["at"][0].as_py() == BEGIN


def test_commands_write_the_times(data, tmp_path):
    model, source, back, steps, ahead = (
        str(tmp_path / name) for name in ("m.refold", "a.csv", "b.parquet", "steps.csv", "f.jsonl")
    )
    untrained(data, calibration_fraction=0.5, forecast_steps=2).save(model)
    write(data, source, time="at")
    codes = str(tmp_path / "codes.csv")
    assert main(["encode", model, source, "-o", codes, "-q"]) == 0
    for command, data_file in (("reconstruct", source), ("decode", codes)):
        assert main([command, model, data_file, "-o", back, "-q"]) == 0
        decoded = read(back, time="at")
        second = decoded.times[int(decoded.offsets[1]) :]
        expected = data.times[int(data.offsets[1]) :].to_pylist()[0]
        assert second[0].as_py() == expected
        assert second[1].as_py() == expected + datetime.timedelta(hours=1)
    files = [source, "--steps", steps, "-o", str(tmp_path / "d.csv"), "-q"]
    assert main(["detect", model, *files, "--alpha", "0.4"]) == 0
    assert Path(steps).read_text().splitlines()[1].startswith("0,0,2024-03-01 00:00:00.")
    assert main(["forecast", model, source, "-o", ahead, "-q"]) == 0
    later = BEGIN + datetime.timedelta(hours=int(data.lengths[0]))
    assert f'"step": 1, "at": "{later:%Y-%m-%d %H:%M:%S}' in Path(ahead).read_text()
