"""A model remembers the names of the id and time columns, and outputs use them."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

import refold
from refold.cli import main
from refold.sequences import read
from small_data import fits_without_epochs

TINY = [
    "--latent-dim",
    "2",
    "--units",
    "4",
    "--max-epochs",
    "1",
    "--latent-steps",
    "0",
    "--seed",
    "0",
]


def table(path, *, identity="patient", time="day", names=("a", "b", "c", "d", "e", "f")):
    rng = np.random.default_rng(0)
    rows = [
        f"{name},{t},{rng.normal():.3f},{rng.normal():.3f},later"
        for name in names
        for t in range(5)
    ]
    path.write_text("\n".join([f"{identity},{time},x,y,note", *rows]), encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("remembered")
    data = table(folder / "data.csv")
    options = ["--id", "patient", "--time", "day", "--columns", "x,y"]
    more = ["--forecast-steps", "2", "--calibration-fraction", "0.5"]
    output = str(folder / "m.refold")
    with fits_without_epochs():
        assert main(["fit", data, "-o", output, *options, *TINY, *more, "-q"]) == 0
    return folder


def header(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return next(csv.reader(stream))


def run(folder, command, output, *options, data="data.csv"):
    path = folder / output
    given = [str(folder / "m.refold"), str(folder / data), "-o", str(path)]
    assert main([command, *given, *options, "-q"]) == 0
    return path


def test_encode_and_decode_need_no_options(folder):
    expected = run(folder, "encode", "told.csv", "--id", "patient", "--time", "day")
    codes = run(folder, "encode", "codes.csv")
    assert codes.read_bytes() == expected.read_bytes()
    assert header(codes) == ["patient", "code0", "code1"]
    for suffix in ("csv", "jsonl", "parquet"):
        codes = run(folder, "encode", f"codes.{suffix}")
        back = run(folder, "decode", "back.csv", data=codes.name)
        assert header(back) == ["patient", "day", "x", "y"]
        assert read(back, id="patient", time="day").ids.tolist() == list("abcdef")


def test_reconstructions_have_the_names_and_can_be_encoded(folder):
    for suffix in ("csv", "jsonl", "parquet"):
        back = run(folder, "reconstruct", f"back.{suffix}")
        assert read(back, id="patient").ids.tolist() == list("abcdef")
        again = run(folder, "encode", "again.jsonl", data=back.name)
        assert json.loads(again.read_text().splitlines()[0])["patient"] == "a"


def test_tables_of_detect_and_forecast_have_the_names(folder):
    for command, column in (("detect", "score"), ("forecast", "step")):
        options = ["--alpha", "0.5"]
        if command == "detect":
            options += ["--steps", str(folder / "steps.csv")]
        found = header(run(folder, command, "table.csv", *options))
        assert found[:2] == ["patient", column]
    assert header(folder / "steps.csv")[:2] == ["patient", "step"]


def test_options_have_priority_and_default_names_are_found(folder):
    table(folder / "other.csv", identity="who")
    codes = run(folder, "encode", "who.csv", "--id", "who", data="other.csv")
    assert header(codes)[0] == "who"
    assert header(run(folder, "decode", "back.csv", data="who.csv"))[0] == "patient"
    table(folder / "plain.csv", identity="id", time="time")
    assert header(run(folder, "encode", "plain-codes.csv", data="plain.csv"))[0] == "id"


def test_the_error_names_the_columns_of_the_training_data(folder, capsys):
    data = table(folder / "other.csv", identity="who")
    assert main(["encode", str(folder / "m.refold"), data, "-o", str(folder / "no.csv")]) == 2
    assert "other.csv has no id column 'patient'. Its columns are who," in capsys.readouterr().err


def test_info_shows_the_names_and_old_models_can_be_loaded(folder, capsys, monkeypatch):
    model = str(folder / "m.refold")
    assert main(["info", model]) == 0
    rows = [line.split(maxsplit=1) for line in map(str.strip, capsys.readouterr().out.splitlines())]
    assert ["ids", "column patient"] in rows
    assert ["times", "column day"] in rows
    assert main(["info", model, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["id"], facts["time"]) == ("patient", "day")
    loaded = refold.load(model)
    old = loaded.schema.to_dict()
    assert (old.pop("id_name"), old.pop("time_name")) == ("patient", "day")
    fingerprints = loaded.fingerprints._replace(trained=None)
    schema = refold.sequences.Schema.from_dict(old)
    replace(loaded, schema=schema, fingerprints=fingerprints).save(folder / "old.refold")
    assert refold.load(folder / "old.refold").schema.id_name is None


def test_a_reserved_column_name_is_not_used_for_ids(folder, tmp_path):
    table(tmp_path / "data.csv", identity="score")
    model = refold.load(folder / "m.refold")
    schema = refold.sequences.Schema.from_dict(model.schema.to_dict() | {"id_name": "score"})
    replace(model, schema=schema).save(tmp_path / "m.refold")
    found = run(tmp_path, "detect", "odd.csv", "--alpha", "0.5")
    assert header(found)[:2] == ["id", "score"]
