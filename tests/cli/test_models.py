"""``refold info``, and defaults in the help of the service."""

import json
from dataclasses import replace
from importlib.metadata import version

import refold
from refold import kernels
from refold.sequences import Column, read
from refold.serve import ServeSettings


def parse_table(text):
    """Return the two columns of a text."""
    pairs = (line.split("  ", 1) for line in text.splitlines() if "  " in line)
    return {name: value.strip() for name, value in pairs}


def test_the_installation(run):
    properties = json.loads(run("info", "--json").out)
    captured = parse_table(run("info").out)
    for name in ("refold", "keras", "jax", "numpy"):
        assert properties[name] == captured[name] == version(name)
    assert properties["backend"] == captured["backend"] == "jax"
    assert properties["lstm_kernel"] == captured.get("lstm kernel") == kernels.variant()
    reasons = properties["why_no_lstm_kernel"], captured.get("why no lstm kernel")
    assert reasons == (kernels.why_not(), kernels.why_not())


def test_a_model_as_text_and_json(sines, tmp_path, run, monkeypatch):
    model = refold.load(sines / "bare.refold")
    monkeypatch.setenv("COLUMNS", "200")
    column = Column("speed [m/s]", "numeric")  # no markup of rich
    schema = replace(model.schema, columns=(column,), id_name="patient", time_name="day")
    history = replace(model.history, initial_loss=1e-9)
    path = tmp_path / "m.refold"
    replace(model, schema=schema, history=history).with_latent_steps(10).save(path)
    captured = parse_table(run("info", path).out)
    assert captured["columns"] == "1 numeric: speed [m/s]"
    assert (captured["id"], captured["time"], captured["max steps"]) == ("patient", "day", "40")
    assert (captured["decoder"], captured["latent steps"]) == ("parallel", "10")
    assert captured["best validation loss"] == "1e-9"
    properties = json.loads(run("info", path, "--json").out)
    assert properties["model_hash"] == refold.load(path).hash
    assert properties["refold_version"] == captured["refold version"] == version("refold")
    assert properties["architecture"] == captured["architecture"] == "default"
    assert properties["calibration_sequences"] == 0
    assert (properties["code_size"], properties["epochs"], properties["latent_steps"]) == (4, 1, 10)
    assert (properties["best_validation_loss"], properties["best_epoch"]) == (1e-9, 0)
    assert properties["parameters"]["units"] == 8


def test_what_a_file_of_codes_tells(sines, tmp_path, run):
    path, model = tmp_path / "codes.parquet", refold.load(sines / "sines.refold")
    run("encode", sines / "sines.refold", sines / "new.parquet", "-q", "-o", path)
    properties = json.loads(run("info", path, "--json").out)
    assert properties == {
        "codes": len(read(sines / "new.parquet")),
        "code_size": model.code_size,
        "id": "id",
        "model_hash": model.hash,
        "refold_version": version("refold"),
        "calibration_sequences": model.num_calibrated,
    }
    captured = parse_table(run("info", path).out)
    assert captured["calibration sequences"] == str(model.num_calibrated)
    message = run("info", sines / "new.parquet", exit_code=2).err
    assert "Pass a file that `refold encode` wrote" in message


def test_the_help_of_the_service_shows_its_defaults(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    captured = run("serve", "--help").out
    for name in ("port", "max_body", "max_steps", "max_seconds"):
        assert f"[default: {getattr(ServeSettings, name)}]" in captured
