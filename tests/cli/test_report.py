"""``refold report``, ``probe``, ``demo`` and ``explore --export``."""

import base64
import io
import json
import re
import sys
import zlib
from dataclasses import replace
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import csv

import refold
from refold.cli._codes import read_codes
from refold.sequences import as_sequences, read, write
from small_data import untrained


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with sequences of two kinds in several formats, and a model of them."""
    folder = tmp_path_factory.mktemp("report")
    kind = np.arange(40) % 2
    values = np.random.default_rng(0).normal(size=(40, 12, 2)) + 3 * kind[:, None, None]
    series = as_sequences(values, names=["level", "flow"])
    untrained(series).save(folder / "model.refold")
    write(series, folder / "data.parquet")
    labelled = series.to_arrow().append_column("kind", pa.array(kind))
    pq.write_table(labelled, folder / "labelled.parquet")
    steps = series.to_table().append_column("kind", pa.array(np.repeat(kind, 12)))
    pq.write_table(steps, folder / "long.parquet")
    csv.write_csv(steps, folder / "long.csv")
    lines = labelled.to_pylist()
    (folder / "lines.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (folder / "who.csv").write_text("id,who\n" + "".join(f"{i},w{i % 2}\n" for i in range(40)))
    return folder


# Pages


def test_a_page_and_a_table(folder, tmp_path, run):
    page = tmp_path / "page.html"
    given = folder / "model.refold", folder / "labelled.parquet", "--label", "kind", "-o", page
    shown = run("report", *given)
    lines = shown.out.splitlines()
    assert lines[0].split() == ["codes", "of", "3", "dimensions", "Refold", "PCA"]
    assert lines[1].startswith("NMSE: squared error over power")
    assert f"Open {page} in a browser" in shown.err
    text = page.read_text(encoding="utf-8")
    assert "<h1>labelled.parquet</h1>" in text
    assert "Colors show kind, which is not a column of the model." in text
    assert [file.name for file in tmp_path.iterdir()] == ["page.html"]


def test_other_columns_are_ignored_and_a_label_can_be_a_column(folder, tmp_path, run):
    rows = ["id,time,level,flow,kind,note"]
    for i in range(12):
        rows += [f"{i},{t},{0.1 * t},{i},{i % 2},so {t}" for t in range(3)]
    (tmp_path / "rows.log").write_text("\n".join(rows))
    page = tmp_path / "page.html"
    given = folder / "model.refold", tmp_path / "rows.log", "--format", "csv", "-q", "-o", page
    run("report", *given, "--label", "flow")
    assert "Colors show flow." in page.read_text(encoding="utf-8")


def test_pca_of_training_data_and_labels_from_another_file(folder, tmp_path, run):
    page = tmp_path / "page.html"
    given = folder / "model.refold", folder / "data.parquet", "-q", "-o", page
    beside = "--label", "who", "--labels", folder / "who.csv"
    more = "--train", folder / "labelled.parquet", "--max-sequences", "30"
    assert run("report", *given, *beside, *more).err == ""
    text = page.read_text(encoding="utf-8")
    assert "fitted on 36 sequences of the training data" in text
    assert "30 sequences drawn at random" in text


def test_a_page_about_standard_input(folder, tmp_path, run, monkeypatch):
    lines = [json.dumps({"level": [i, 1, 2], "flow": [0, 1.5, i]}) for i in range(6)]
    stream = io.TextIOWrapper(io.BytesIO("\n".join(lines).encode()))
    monkeypatch.setattr(sys, "stdin", stream)
    page = tmp_path / "page.html"
    run("report", folder / "model.refold", "-", "--format", "jsonl", "-o", page)
    assert "<h1>standard input</h1>" in page.read_text(encoding="utf-8")


# Accuracy of a linear probe


@pytest.fixture
def probe(folder, run):
    """Return a function that runs the command and returns its accuracies."""

    def call(data, *options, model=folder / "model.refold"):
        results = json.loads(run("probe", model, data, *options, "--json", "-q").out)
        return {name: result["accuracy"] for name, result in results.items()}

    return call


@pytest.mark.parametrize("name", ["labelled.parquet", "long.parquet", "lines.jsonl", "long.csv"])
def test_a_label_column_in_the_file_of_the_sequences(folder, tmp_path, probe, run, name):
    shown = run("probe", folder / "model.refold", folder / name, "--label", "kind")
    assert shown.out.count("100.0 %") == 3
    chance = "Always predicting the most frequent class has an accuracy of 50.0 %"
    assert f"2 classes, 5 folds. {chance}" in shown.err
    if not name.endswith("parquet"):  # a blank line at the start, and another suffix
        (tmp_path / "data.txt").write_bytes(b"\n" + (folder / name).read_bytes())
        options = "--label", "kind", "--format", name.partition(".")[2]
        results = probe(tmp_path / "data.txt", *options)
        assert results == {"Refold": 1.0, "Refold, features": 1.0, "PCA": 1.0}


def test_labels_in_another_file(folder, probe):
    labels = "--label", "who", "--labels", folder / "who.csv"
    assert probe(folder / "data.parquet", *labels)["Refold"] == 1.0


def test_labels_of_ts_files_and_of_wide_tables(sines, tmp_path, probe):
    header = "@timeStamps false\n@classLabel true 0 1\n@data\n"
    cases = [f"{i % 2},{i % 2 + i / 50}" for i in range(20)]
    lines = [f"{case}:{i % 2}" for i, case in enumerate(cases)]
    (tmp_path / "cases.ts").write_text(header + "\n".join(lines))
    rows = [f"{'high' if i % 2 else 'low'},{case}" for i, case in enumerate(cases)]
    (tmp_path / "wide.csv").write_text("who,t0,t1\n" + "\n".join(rows) + "\n")
    model = sines / "bare.refold"
    assert probe(tmp_path / "cases.ts", "--label", "label", model=model)["Refold"] > 0.9
    options = "--label", "who", "--layout", "wide"
    assert probe(tmp_path / "wide.csv", *options, model=model)["Refold"] > 0.9


def test_a_model_file_without_codes_of_the_training_data(folder, tmp_path, probe):
    old = tmp_path / "old.refold"
    replace(refold.load(folder / "model.refold"), reference=None).save(old)
    results = probe(folder / "labelled.parquet", "--label", "kind", model=old)
    assert list(results) == ["Refold", "PCA"]


# Two data sets from training to a page


@pytest.mark.parametrize(
    ("count", "settings"),
    [
        (50, {"units": 8, "latent_steps": 0}),
        pytest.param(5000, {}, marks=pytest.mark.slow),
    ],
)
def test_the_demo_leaves_models_codes_sequences_and_a_page(
    tmp_path, run, monkeypatch, count, settings
):
    vowels = refold.datasets.japanese_vowels()
    if count == 50:
        train, test = vowels.train[:40], vowels.test[:60]
        vowels = vowels._replace(train=train, test=test, test_labels=vowels.test_labels[:60])
    ones = refold.datasets.moving_ones
    monkeypatch.setattr(refold.datasets, "moving_ones", lambda n, seed: ones(count, seed=seed))
    monkeypatch.setattr(refold.datasets, "japanese_vowels", lambda: vowels)
    estimator = partial(refold.SequenceAutoencoder, **settings)
    monkeypatch.setattr(refold, "SequenceAutoencoder", estimator)
    folder = tmp_path / "new" / "demo"
    shown = run("demo", "--output", folder, "--max-epochs", "1", "--quiet")
    (warning,) = shown.err.splitlines()
    assert warning.startswith(
        f"Warning: 1 of {len(vowels.test)} sequences is longer than the longest in training"
    )
    rows = [line.split() for line in shown.out.splitlines()]
    assert rows[0][0] == "data"
    assert rows[1][:4] == ["Moving", "ones", f"{count // 5:,}", "4"]
    assert rows[2][:4] == ["Japanese", "vowels", f"{len(vowels.test)}", "16"]

    for name, size in (("moving-ones", 4), ("japanese-vowels", 16)):
        model = refold.load(folder / f"{name}.refold")
        held_out = read(folder / f"{name}.parquet")
        codes, ids = read_codes(folder / f"{name}-codes.parquet")
        assert codes.shape == (len(held_out), size)
        assert ids.tolist() == held_out.ids.tolist()
        np.testing.assert_allclose(codes, model.encode(held_out), atol=1e-6)
        assert read(folder / f"{name}-reconstructed.parquet").ids.tolist() == ids.tolist()
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert page.count("plotly.js v") == 1
    assert page.count('class="plot"') >= 16
    assert "Moving ones" in page
    assert "Colors show speaker" in page
    assert len(list(folder.iterdir())) == 9


# A map of codes


def test_a_map_is_exported_as_a_page(sines, tmp_path, run):
    page = tmp_path / "page.html"
    given = sines / "sines.refold", sines / "normal.parquet", "--export", page
    shown = run("explore", *given, "--max-sequences", "30", "-n", "2")
    assert shown.out == ""
    assert "Showing 30 of 40 sequences, drawn at random." in shown.err
    assert "page.html has 0." in shown.err
    content = page.read_text()
    (about,) = re.findall(r'data-name="about" data-type="json">([^<]*)<', content)
    info = json.loads(zlib.decompress(base64.b64decode(about)))["info"]
    assert (info["count"], info["model"]) == (30, "sines")
    names = [field["name"] for field in info["fields"]]
    assert names == ["length", "error", "anomaly p-value", "cluster"]
    assert info["fields"][3]["categories"] == ["0", "1"]
    assert "https://" not in content
