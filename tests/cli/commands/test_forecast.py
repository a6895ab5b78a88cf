"""``refold forecast``, from files to files."""

import contextlib
import csv
import io
import json
import shutil
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

import refold
from refold.cli import main
from refold.sequences import as_sequences, read, write


def waves(n, seed):
    rng = np.random.default_rng(seed)
    clean = np.sin(2 * np.pi * np.arange(30) / 8 + rng.uniform(0, 6.3, (n, 1)))
    return as_sequences(list(clean + 0.05 * rng.normal(size=clean.shape)))


OPTIONS = ["--latent-dim", "4", "--units", "8", "--max-epochs", "2", "--seed", "0"]
OPTIONS += ["--latent-steps", "0", "--no-refit"]


@pytest.fixture(scope="module")
def folder(sines, tmp_path_factory):
    folder = tmp_path_factory.mktemp("forecast")
    shutil.copy(sines / "bare.refold", folder)
    write(waves(100, 0), folder / "train.parquet")
    write(waves(40, 1), folder / "others.parquet")
    write(waves(3, 2), folder / "new.parquet")
    fit = ["fit", str(folder / "train.parquet"), *OPTIONS]
    with contextlib.redirect_stderr(io.StringIO()) as messages:
        assert main([*fit, "--forecast-steps", "4", "-o", str(folder / "waves.refold")]) == 0
    (folder / "messages.txt").write_text(messages.getvalue(), encoding="utf-8")
    return folder


def run(*arguments):
    return main([str(argument) for argument in arguments])


def test_one_row_per_step(folder, capsys):
    assert run("forecast", folder / "waves.refold", folder / "new.parquet", "--steps", 2) == 0
    shown = capsys.readouterr()
    rows = [json.loads(line) for line in shown.out.splitlines()]
    assert [(row["id"], row["step"]) for row in rows] == [(i, k) for i in range(3) for k in (1, 2)]
    assert list(rows[0]) == ["id", "step", "x0"]
    assert "Forecast 2 steps of 3 sequences, without prediction intervals." in shown.err


def test_clip(folder, tmp_path, capsys):
    far = waves(3, 2)
    write(far.with_values(far.values * 3), tmp_path / "far.parquet")
    most = {}
    for option in ("--clip", "--no-clip"):
        assert run("forecast", folder / "waves.refold", tmp_path / "far.parquet", option) == 0
        rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        most[option] = max(abs(row["x0"]) for row in rows)
    trained = read(folder / "train.parquet").values
    assert most["--clip"] <= np.abs(trained).max() + 1e-6 < most["--no-clip"]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_bounds_and_a_picture_in_files(folder, tmp_path, suffix, capsys):
    table, picture = tmp_path / f"next.{suffix}", tmp_path / "next.png"
    given = folder / "waves.refold", folder / "new.parquet", "--alpha", 0.2
    assert run(
        "forecast", *given, "--normal", folder / "others.parquet", "-o", table,
        "--picture", picture,
    ) == 0  # fmt: skip
    assert "with 80 % prediction intervals" in capsys.readouterr().err
    if suffix == "csv":
        rows = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))
    else:
        rows = pq.read_table(table).to_pylist()
    assert len(rows) == 12
    assert all(float(r["x0_lower"]) < float(r["x0"]) < float(r["x0_upper"]) for r in rows)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_errors_next_to_those_of_baselines(folder, capsys):
    given = "forecast", folder / "waves.refold", folder / "others.parquet", "--evaluate"
    assert run(*given) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["40", "sequences,", "4", "ahead", "NMSE"]
    assert [line.split()[0] for line in lines[1:5]] == ["Refold", "last", "linear", "last"]
    assert [line.split()[:2] for line in lines[8:12]] == [["x0", str(step)] for step in range(1, 5)]
    assert run(*given, "--json", "--season", 5, "--steps", 3, "-q") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["season"], found["steps"], found["num_sequences"]) == (5, 3, 40)
    assert found["model"] < found["last_value"]
    assert [row["step"] for row in found["by_step"]] == [1, 2, 3]
    assert found["by_step"][0]["model"] < found["by_step"][0]["linear"]
    assert run(*given[:2], folder / "train.parquet", "--evaluate", "-q") == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert "sequences are among those that the model was trained on" in line


def test_fit_reports_the_error_of_forecasts(folder):
    messages = (folder / "messages.txt").read_text(encoding="utf-8")
    assert "sequences), 4 steps ahead: NMSE" in " ".join(messages.split())


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ("bare", [], "not to forecast. Fit one with --forecast-steps 10, for ten steps."),
        ("waves", ["--steps", "5"], "--steps must be an integer from 1 to 4. Got 5."),
        (
            "waves",
            ["--alpha", "0.1"],
            "Got 0. Fit with --calibration-fraction 0.2, give more with --normal",
        ),
        ("waves", ["--season", "3"], "--season needs --evaluate"),
        ("waves", ["--evaluate", "--alpha", "0.1"], "writes no forecast"),
        ("waves", ["--context", "0"], "--context must be a positive integer"),
        ("waves", ["-o", "next.npz"], "csv"),
    ],
)
def test_bad_input(folder, capsys, model, options, message):
    assert run("forecast", folder / f"{model}.refold", folder / "new.parquet", *options) == 2
    shown = capsys.readouterr()
    assert message in " ".join(shown.err.split())
    assert "Traceback" not in shown.err


@pytest.mark.parametrize("name", ["id", "step"])
def test_a_reserved_column_name_is_refused_before_the_work(folder, tmp_path, capsys, name):
    series = as_sequences(waves(100, 0).values.reshape(100, 30, 1), names=[name])
    write(series, tmp_path / "train.npz")
    model = refold.load(folder / "waves.refold")
    replace(model, schema=series.schema).save(tmp_path / "m.refold")
    given = "forecast", tmp_path / "m.refold"
    assert run(*given, tmp_path / "there_is_none.npz") == 2
    assert f"The model has a column '{name}'" in " ".join(capsys.readouterr().err.split())
    assert run(*given, tmp_path / "train.npz", "--evaluate", "-q") == 0
