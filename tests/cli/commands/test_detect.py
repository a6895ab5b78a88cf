"""``refold detect`` and ``refold generate``, from files to files."""

import csv
import json
import re
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
from pyarrow import csv as csv_format

import refold
from refold.cli import main
from refold.sequences import as_sequences, read, write
from small_data import fits_without_epochs


@pytest.fixture(scope="module")
def folder(sines, fit_options, tmp_path_factory):
    """Return a folder with sines, a long series, and models of both."""
    folder = tmp_path_factory.mktemp("detect")
    shutil.copytree(sines, folder, dirs_exist_ok=True)
    time = np.arange(600) / 4
    long = np.sin(time) + 0.1 * np.random.default_rng(0).normal(size=600)
    write(as_sequences([long[200:400]]), folder / "long.npz")
    later = long[400:].copy()
    later[100:110] = 3.0
    write(as_sequences([later]), folder / "later.npz")
    windows = ["--window", "40", "--stride", "4", "-q"]
    write(as_sequences([long[:200]]), folder / "earlier.npz")
    fit = ["fit", str(folder / "long.npz"), "-o", str(folder / "long.refold"), *fit_options]
    with fits_without_epochs():
        assert main([*fit, *windows]) == 0
    return folder


def run(*arguments):
    return main([str(argument) for argument in arguments])


def test_one_row_per_sequence(folder, capsys):
    given = folder / "sines.refold", folder / "new.parquet"
    assert run("detect", *given, "--alpha", "0.05") == 0
    shown = capsys.readouterr()
    rows = [json.loads(line) for line in shown.out.splitlines()]
    assert [row["id"] for row in rows] == [0, 1, 2, 3, 4, 5]
    assert rows[-1]["anomalous"]
    assert rows[-1]["score"] == rows[-1]["error"] + rows[-1]["distance"]
    assert "of 6 sequences are anomalous at a false-alarm rate of 0.05" in shown.err


def test_training_sequences_cause_a_warning(folder, capsys):
    given = folder / "sines.refold", folder / "train.parquet", "--alpha", "0.05", "-q"
    assert run("detect", *given) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("Warning: 40 of 80 sequences are among those that the model was trained")


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_results_are_written_to_files(folder, tmp_path, suffix):
    out, steps = tmp_path / f"anomalies.{suffix}", tmp_path / f"steps.{suffix}"
    given = folder / "sines.refold", folder / "new.parquet"
    assert run("detect", *given, "-o", out, "--steps", steps, "--alpha", "0.1", "-q") == 0
    if suffix == "csv":
        tables = [list(csv.DictReader(path.read_text().splitlines())) for path in (out, steps)]
    else:
        tables = [pq.read_table(path).to_pylist() for path in (out, steps)]
    assert len(tables[0]) == 6
    assert len(tables[1]) == read(folder / "new.parquet").lengths.sum()
    assert list(tables[1][0]) == ["id", "step", "score", "p_value"]


def test_normal_sequences_can_be_given(folder, capsys):
    given = folder / "bare.refold", folder / "new.parquet"
    normal = "--normal", folder / "normal.parquet"
    assert run("detect", *given, *normal, "--alpha", "0.05", "-q") == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    model = refold.load(given[0]).calibrate(read(folder / "normal.parquet"))
    found = model.detect(read(given[1]), alpha=0.05)
    assert [row["p_value"] for row in rows] == found.p_values.tolist()


def test_normal_sequences_from_the_training_data_are_reported(folder, capsys):
    given = "detect", folder / "bare.refold", folder / "new.parquet", "--alpha", 0.1
    assert run(*given, "--normal", folder / "left.parquet") == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("Error: The normal sequences are those that the model was trained")
    assert shown.err.endswith("Give others, or fit with --calibration-fraction 0.2.\n")
    half = "detect", folder / "sines.refold", *given[2:], "--normal", folder / "train.parquet"
    assert run(*half) == 0
    assert "Warning: 40 of 80 normal sequences are among those" in capsys.readouterr().err


def test_a_long_series_in_windows_with_a_picture(folder, tmp_path, capsys):
    steps, picture = tmp_path / "steps.jsonl", tmp_path / "anomalies.png"
    given = folder / "long.refold", folder / "later.npz", "--window", 40, "--stride", 4
    normal = "--normal", folder / "earlier.npz"
    files = "--steps", steps, "--picture", picture
    assert run("detect", *given, *normal, *files, "--alpha", "0.05") == 0
    shown = capsys.readouterr()
    rows = [json.loads(line) for line in shown.out.splitlines()]
    assert rows[0]["id"] == "0[0:40]"
    assert "windows are anomalous" in shown.err
    by_step = [json.loads(line) for line in steps.read_text().splitlines()]
    assert len(by_step) == 200
    assert 95 <= max(by_step, key=lambda row: row["score"])["step"] <= 115
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_no_sequences_have_a_table_and_no_picture(folder, tmp_path, capsys):
    write(read(folder / "new.parquet")[:0], tmp_path / "none.npz")
    given = "detect", folder / "sines.refold", tmp_path / "none.npz"
    assert run(*given, "--picture", tmp_path / "p.png", "-o", tmp_path / "t.csv") == 2
    assert "--picture needs a sequence to draw" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["none.npz"]
    assert run(*given, "--alpha", 0.1, "-q") == 0
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("few_trees")
def test_generate_and_compare(folder, tmp_path, capsys):
    out, model = tmp_path / "new.parquet", folder / "sines.refold"
    csv_format.write_csv(
        read(folder / "normal.parquet").to_table(id="who"), tmp_path / "normal.csv"
    )
    compare = "--compare", tmp_path / "normal.csv", "--id", "who"
    assert run("generate", model, "-n", 30, "-o", out, "--seed", 1, *compare) == 0
    shown = capsys.readouterr().err
    assert f"Wrote 30 sequences to {out}" in shown
    assert "A classifier separates new from real sequences with " in shown
    assert "(chance: 50 %). Verdict: none, at least 50 of each are needed (got 30)." in shown
    new = refold.load(model).generate(30, random_state=1)
    assert all(np.allclose(a, b) for a, b in zip(read(out), new, strict=True))


@pytest.mark.usefixtures("few_trees")
def test_generate_compares_ngrams_of_tokens(tmp_path, capsys):
    words = ["on", "in", "no", "inn", "non", "noon", "onion", "nine"] * 4
    write(as_sequences(words), tmp_path / "words.parquet")
    options = [
        "--latent-dim",
        2,
        "--units",
        8,
        "--max-epochs",
        1,
        "--seed",
        0,
        "--latent-steps",
        0,
        "-q",
    ]
    model = tmp_path / "words.refold"
    assert run("fit", tmp_path / "words.parquet", "-o", model, *options) == 0
    out, compare = tmp_path / "new.parquet", ("--compare", tmp_path / "words.parquet")
    assert run("generate", model, "-n", 20, "-o", out, "--seed", 1, *compare, "-q") == 0
    ngrams, classifier = capsys.readouterr().err.splitlines()
    shares = r"((?:\d+\.\d(?:, )?){4}) %"
    found = re.fullmatch(
        r"N-grams \(n = 2, 3, 4, 5\) that do not occur in one half of the real sequences: "
        f"{shares} in the new sequences, {shares} in the other half of the real ones.",
        ngrams,
    )
    assert found is not None
    ours, theirs = (np.array(part.split(", "), float) for part in found.groups())
    assert (ours > theirs).all()
    assert classifier.endswith("Verdict: none, at least 50 of each are needed (got 16).")


def test_clip_keeps_numbers_within_their_range(folder, tmp_path):
    model, codes = folder / "sines.refold", tmp_path / "codes.npy"
    scaler = refold.load(model).scaler
    low, high = scaler.least_, scaler.greatest_
    np.save(codes, 20 * np.eye(4, dtype=np.float32))
    write(as_sequences([np.full(20, 9.0)]), tmp_path / "far.npz")
    out, given = tmp_path / "out.npz", ("-o", tmp_path / "out.npz", "-q")
    for command, by_default in [
        (("generate", model, "-n", 1000, "--seed", 1), True),
        (("decode", model, codes), False),
        (("reconstruct", model, tmp_path / "far.npz"), False),
    ]:
        for options, clipped in [((), by_default), (("--clip",), True), (("--no-clip",), False)]:
            assert run(*command, *options, *given) == 0
            values = read(out).values
            assert ((low <= values) & (values <= high)).all() == clipped


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["detect", "bare.refold", "new.parquet"], "Fit with --calibration-fraction"),
        (
            ["detect", "sines.refold", "new.parquet"],
            "--alpha 0.01 needs at least 99 calibration sequences",
        ),
        (["detect", "sines.refold", "new.parquet", "--alpha", "2"], "--alpha must be a rate"),
        (["detect", "sines.refold", "new.parquet", "--stride", "3"], "Add --window N"),
        (["detect", "sines.refold", "new.parquet", "--window", "99"], "fewer than the 99 of a"),
        (["detect", "sines.refold", "long.npz", "-o", "anomalies.png"], "must end in .jsonl, .csv"),
        (
            ["detect", "sines.refold", "new.parquet", "--picture", "anomalies.csv"],
            "must end in .png",
        ),
        (
            ["detect", "sines.refold", "new.parquet", "--steps", "-"],
            "--steps cannot be standard output",
        ),
        (["detect", "bare.refold", "new.parquet"], "give more with --normal DATA"),
        (["generate", "sines.refold", "--temperature", "-1"], "--temperature must be a number"),
        (
            ["generate", "sines.refold", "--components", "99"],
            "must be an integer from 1 to",
        ),
        (["generate", "sines.refold", "-n", "-2"], "Must be >= 1"),
        (["generate", "sines.refold", "-n", "3", "--compare", "new.parquet"], "at least -n 5"),
        (
            [
                "fit",
                "long.npz",
                "-o",
                "x.refold",
                "--window",
                "40",
                "--calibration-fraction",
                "0.3",
            ],
            "Overlapping windows share steps",
        ),
        (
            ["fit", "new.parquet", "-o", "x.refold", "--calibration-fraction", "1"],
            "--calibration-fraction must be a number",
        ),
    ],
)
def test_a_mistake_is_one_line(folder, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(folder)
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert len(shown.err.splitlines()) == 1
    assert shown.out == ""
