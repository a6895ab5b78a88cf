"""``refold detect``, ``forecast``, ``stream`` and ``generate``, from files to files."""

import csv
import io
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
from pyarrow import csv as csv_format

import refold
from refold.sequences import as_sequences, read, write
from small_data import fit_without_training, fits_without_epochs, json_lines


def read_rows(path):
    """Return the rows of a CSV or Parquet file."""
    if path.suffix == ".csv":
        return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    return pq.read_table(path).to_pylist()


# Anomalies


def test_one_row_per_sequence_and_per_step(sines, tmp_path, run):
    out, steps = tmp_path / "anomalies.parquet", tmp_path / "steps.csv"
    files = sines / "sines.refold", sines / "new.parquet", "-o", out, "--steps", steps
    captured = run("detect", *files, "--alpha", "0.05")
    assert "of 6 sequences are anomalous at a false-alarm rate of 0.05" in captured.err
    rows = read_rows(out)
    assert [row["id"] for row in rows] == [0, 1, 2, 3, 4, 5]
    assert rows[-1]["anomalous"]
    assert len(read_rows(steps)) == read(sines / "new.parquet").lengths.sum()
    assert list(read_rows(steps)[0]) == ["id", "step", "score", "p_value"]


def test_normal_sequences_from_a_file(sines, run):
    arguments = sines / "bare.refold", sines / "new.parquet", "--normal", sines / "normal.parquet"
    rows = json_lines(run("detect", *arguments, "--alpha", "0.05", "-q").out)
    model = refold.load(arguments[0]).calibrate(read(sines / "normal.parquet"))
    expected = model.detect(read(arguments[1]), alpha=0.05).p_values.tolist()
    assert [row["p_value"] for row in rows] == expected


def test_drift_is_reported_in_one_line(sines, run, tmp_path):
    train, model = read(sines / "train.parquet"), sines / "sines.refold"
    write(train.with_values(train.values + 2), tmp_path / "shifted.parquet")
    for path, count in ((tmp_path / "shifted.parquet", 1), (sines / "train.parquet", 0)):
        captured = run("detect", model, path, "--alpha", 0.1, "-o", tmp_path / "out.csv")
        assert captured.err.count("Drift: these sequences differ from the training data") == count


def test_a_file_without_ids_is_one_series_in_windows(fit_options, tmp_path, run):
    time = np.arange(600) / 4
    long_series = np.sin(time) + 0.1 * np.random.default_rng(0).normal(size=600)
    later_series = long_series[400:].copy()
    later_series[100:110] = 3.0
    for name, series in {"long": long_series[:400], "later": later_series}.items():
        (tmp_path / f"{name}.csv").write_text("\n".join(["level", *map(str, series)]))
    model = tmp_path / "long.refold"
    options = [*fit_options, "--window", 40, "--step", 4, "--calibration-fraction", 0.4]
    with fits_without_epochs():
        captured = run("fit", tmp_path / "long.csv", "-o", model, *options)
    assert "Trained on 1 series, in windows of 40 steps, in" in captured.err
    assert "few-sequences: 10 windows are few for 4 latent dimensions." in captured.err
    steps, picture = tmp_path / "steps.jsonl", tmp_path / "anomalies.png"
    files = "--steps", steps, "--picture", picture
    captured = run("detect", model, tmp_path / "later.csv", *files, "--alpha", "0.05")
    first = json_lines(captured.out)[0]
    assert (first["id"], first["start"], first["end"]) == (0, 0, 40)
    assert "windows are anomalous" in captured.err
    by_step = json_lines(steps.read_text())
    assert len(by_step) == 200
    assert 95 <= max(by_step, key=lambda row: row["score"])["step"] <= 115
    assert picture.read_bytes().startswith(b"\x89PNG")

    later_file, codes = tmp_path / "later.csv", tmp_path / "codes.csv"
    run("encode", model, later_file, "-o", codes)
    assert codes.read_text().splitlines()[1].startswith("0,0,40,")
    run("decode", model, codes, "-o", tmp_path / "decoded.npz")
    assert read(tmp_path / "decoded.npz").ids[1] == "0[4:44]"
    run("reconstruct", model, later_file, "-o", tmp_path / "back.csv")
    assert read(tmp_path / "back.csv", as_sequence=True).lengths.tolist() == [200]
    index = tmp_path / "long.index"
    run("index", model, tmp_path / "long.csv", "-o", index)
    condition = "--where", "series = 0 AND start > 100"
    captured = run("search", model, index, later_file, "-k", 1, *condition)
    assert json_lines(captured.out)[0]["start"] > 100
    arguments = model, later_file, "--codes", codes, "--export", tmp_path / "map.html"
    captured = run("explore", *arguments, "--max-sequences", 30)
    assert "Showing 30 of 41 windows of 1 series, drawn at random." in captured.err


# Forecasts


@pytest.fixture(scope="module")
def waves(tmp_path_factory):
    """Return a folder with waves, and a model that forecasts four of their steps."""
    folder = tmp_path_factory.mktemp("forecast")
    for name, count, seed in (("train", 100, 0), ("others", 40, 1), ("new", 3, 2)):
        rng = np.random.default_rng(seed)
        clean = np.sin(2 * np.pi * np.arange(30) / 8 + rng.uniform(0, 6.3, (count, 1)))
        noisy = clean + 0.05 * rng.normal(size=clean.shape)
        write(as_sequences(list(noisy)), folder / f"{name}.parquet")
    train = read(folder / "train.parquet")
    fit_without_training(train, latent_dim=4, forecast_steps=4).save(folder / "waves.refold")
    return folder


def test_one_row_per_forecast_step(waves, run):
    captured = run("forecast", waves / "waves.refold", waves / "new.parquet", "--steps", 2)
    rows = json_lines(captured.out)
    assert [(row["id"], row["step"]) for row in rows] == [(i, k) for i in range(3) for k in (1, 2)]
    assert list(rows[0]) == ["id", "step", "x0"]
    assert "Forecast 2 steps of 3 sequences, without prediction intervals." in captured.err


@pytest.mark.parametrize("option", ["--clip", "--no-clip"])
def test_clipped_forecasts(waves, tmp_path, run, option):
    far, largest = read(waves / "new.parquet"), np.abs(read(waves / "train.parquet").values).max()
    write(far.with_values(far.values * 3), tmp_path / "far.parquet")
    captured = run("forecast", waves / "waves.refold", tmp_path / "far.parquet", option)
    predicted = max(abs(row["x0"]) for row in json_lines(captured.out))
    assert (predicted <= largest + 1e-6) == (option == "--clip")


def test_bounds_and_a_picture_in_files(waves, tmp_path, run):
    path, picture = tmp_path / "next.csv", tmp_path / "next.png"
    arguments = waves / "waves.refold", waves / "new.parquet", "--alpha", 0.2
    files = "--normal", waves / "others.parquet", "-o", path, "--picture", picture
    assert "with 80 % prediction intervals" in run("forecast", *arguments, *files).err
    rows = read_rows(path)
    assert len(rows) == 12
    assert all(float(r["x0_lower"]) < float(r["x0"]) < float(r["x0_upper"]) for r in rows)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_errors_next_to_those_of_baselines(waves, run):
    arguments = "forecast", waves / "waves.refold", waves / "others.parquet", "--evaluate"
    line = run(*arguments).out.splitlines()[0]
    assert line.startswith("40 sequences, 4 steps ahead: NMSE ")
    assert all(name in line for name in ("last value", "linear continuation", "seasonal naive"))
    errors = json.loads(run(*arguments, "--json", "--season", 5, "--steps", 3, "-q").out)
    assert (errors["season"], errors["steps"], errors["num_sequences"]) == (5, 3, 40)
    assert [row["step"] for row in errors["by_step"]] == [1, 2, 3]


# New sequences


@pytest.mark.usefixtures("small_forest")
def test_generate_and_compare(sines, tmp_path, run):
    out, model = tmp_path / "new.parquet", sines / "sines.refold"
    normal = read(sines / "normal.parquet").to_table(id="who")
    csv_format.write_csv(normal, tmp_path / "normal.csv")
    compare = "--compare", tmp_path / "normal.csv", "--id", "who"
    captured = run("generate", model, "-n", 30, "-o", out, "--seed", 1, *compare).err
    assert f"Wrote 30 sequences to {out}" in captured
    assert "A classifier separates new from real sequences with " in captured
    assert "(chance: 50 %). Verdict: none, at least 50 of each are needed (got 30)." in captured
    new = refold.load(model).generate(30, random_state=1)
    assert all(np.allclose(a, b) for a, b in zip(read(out), new, strict=True))


# Streams


@pytest.fixture
def push(sines, monkeypatch, run):
    """Run the command on text as standard input, and return its objects and messages."""

    def call(text, *options, exit_code=0, model="sines.refold"):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode("latin-1"))))
        captured = run("stream", sines / model, *options, exit_code=exit_code)
        return json_lines(captured.out), captured.err

    return call


def test_steps_as_json_lines(push, sines):
    values = read(sines / "new.parquet")[0][:5]
    results, messages = push("".join(f"{value!r}\n" for value in values.tolist()) + "\n")
    assert [result["num_steps"] for result in results] == [1, 2, 3, 4, 5]
    model = refold.load(sines / "sines.refold")
    assert results[-1]["code"] == model.encode([values])[0].tolist()
    assert results[-1]["p_value"] == model.detect([values], alpha=0.1).p_values[0]
    assert messages == "Read 5 steps.\n"
    objects, messages = push('{"x0": 1, "at": 3}\n[2]\n-1\n', "--every", "3", "--window", "2", "-q")
    assert [list(result.values())[:2] for result in objects] == [[3, 2]]
    assert messages == ""


def test_steps_with_ids_in_a_file(push, tmp_path):
    (tmp_path / "steps.jsonl").write_text(
        '{"who": "a", "x0": 0.5}\n{"who": "b", "x0": null}\n{"who": "a", "x0": 0.25}\n'
    )
    results, _ = push("", tmp_path / "steps.jsonl", "--id", "who", model="bare.refold")
    counts = [(result["id"], result["num_steps"], result["p_value"]) for result in results]
    assert counts == [("a", 1, None), ("b", 1, None), ("a", 2, None)]


def test_steps_as_csv(push, tmp_path):
    results, _ = push("who,x0,at\na,0.5,1\nb,NA,2\n\na,0.25,3\n", "--format", "csv", "--id", "who")
    counts = [(result["id"], result["num_steps"]) for result in results]
    assert counts == [("a", 1), ("b", 1), ("a", 2)]
    # the suffix says the format, and a model without names takes columns in their order
    (tmp_path / "steps.tsv").write_text("\ufeffwho\tlevel\na\t0.5\na\t0.25\n", encoding="utf-8")
    repeated, _ = push("", tmp_path / "steps.tsv", "--id", "who")
    assert repeated[-1]["code"] == results[-1]["code"]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("0.5\n[1, 2]\n", [], "Line 2: Step 1 has 2 values, but the model has 1 column: x0."),
        ("0.5\nx0\n", [], "Line 2: This is not JSON: Expecting value: line 1 column 1 (char 0)"),
        ('{"y": 1}\n', [], "Line 1: There is no column of the model, only 'y'. Expected 'x0'."),
        ('{"x0": 1}\n', ["--id", "who"], "Line 1: There is no id in 'who'. Expected text"),
        ("x0\nabc\n", ["--format", "csv"], "Line 2: Step 0 has the text 'abc' in column 'x0'."),
        ("x0,a\n1\n", ["--format", "csv"], "Line 2 has 1 cells, but the first line has 2."),
        ("a,b\n1,2\n", ["--format", "csv"], "Line 2: There is no column of the model, only 'a'"),
        ("x0\n\xff\n", ["--format", "csv"], "Line 1 or the next one is not CSV in UTF-8: 'utf-8"),
        ("0.5\n", ["--format", "npz"], 'Invalid value "npz" for --format. Choose from'),
        ('"\xff"\n', [], "Line 1: This is not JSON: 'utf-8' codec can't decode"),
    ],
)
def test_a_wrong_line_is_named(push, text, options, message):
    results, messages = push(text, *options, exit_code=2)
    assert messages.startswith(f"Error: {message}")
    assert messages.count("\n") == 1
    assert len(results) == (text.startswith("0.5") and "npz" not in options)


@pytest.mark.skipif(os.name == "nt", reason="signals of another kind")
def test_a_line_is_written_at_once_and_ctrl_c_ends(sines, ctrl_c):
    command = [sys.executable, "-m", "refold", "stream", str(sines / "sines.refold")]
    pipes = dict.fromkeys(["stdin", "stdout", "stderr"], subprocess.PIPE)
    with subprocess.Popen(command, **pipes, text=True) as process:
        process.stdin.write("0.5\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["num_steps"] == 1
        process.send_signal(signal.SIGINT)
        _, messages = process.communicate()
    assert process.returncode == 130
    assert messages == "Interrupted: Stopped by Ctrl-C after 1 steps.\n"
