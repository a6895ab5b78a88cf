"""``refold report``, ``explore --export``, ``data`` and ``demo``."""

from functools import partial

import numpy as np

import refold
from refold.cli._code_files import read_code_file
from refold.datasets import moving_ones
from refold.sequences import read


def test_a_page_and_a_table(two_groups, tmp_path, run):
    page = tmp_path / "page.html"
    files = two_groups / "model.refold", two_groups / "labelled.parquet", "-o", page
    captured = run("report", *files, "--label", "kind")
    lines = captured.out.splitlines()
    assert lines[0].split() == ["codes", "of", "3", "dimensions", "Refold", "PCA"]
    assert lines[1].startswith("NMSE: squared error divided by squared values")
    assert f"Open {page} in a browser" in captured.err
    text = page.read_text(encoding="utf-8")
    assert "<h1>labelled.parquet</h1>" in text
    assert "Colors show kind, which is not a column of the model." in text
    assert [file.name for file in tmp_path.iterdir()] == ["page.html"]


def test_pca_of_training_data_and_labels_from_another_file(two_groups, tmp_path, run):
    page = tmp_path / "page.html"
    arguments = two_groups / "model.refold", two_groups / "data.parquet", "-q", "-o", page
    label_options = "--label", "who", "--labels", two_groups / "who.csv"
    more_options = "--train", two_groups / "labelled.parquet", "--max-sequences", "30"
    assert run("report", *arguments, *label_options, *more_options).err == ""
    text = page.read_text(encoding="utf-8")
    assert "fitted on 36 sequences of the training data" in text
    assert "30 sequences drawn at random" in text


def test_a_map_is_exported_as_a_page(sines, tmp_path, run):
    page = tmp_path / "page.html"
    arguments = sines / "sines.refold", sines / "normal.parquet", "--export", page
    captured = run("explore", *arguments, "--max-sequences", "30", "-n", "2")
    assert captured.out == ""
    assert "Showing 30 of 40 sequences, drawn at random." in captured.err
    content = page.read_text()
    assert 'data-name="about"' in content
    assert "https://" not in content


def test_data_sets_are_those_of_the_library(tmp_path, run):
    assert "japanese-vowels-test  370 other utterances" in run("data").out
    run("data", "moving-ones", "-n", "40", "--seed", "3", "-o", tmp_path / "ones.npz")
    expected = moving_ones(40, seed=3).values
    np.testing.assert_array_equal(read(tmp_path / "ones.npz").values, expected)
    data, labels = tmp_path / "vowels.ndjson", tmp_path / "who.csv"
    run("data", "japanese-vowels", "-n", "20", "-o", data, "--labels", labels)
    assert len(read(data)) == 20
    lines = labels.read_text().splitlines()
    assert (lines[:2], len(lines)) == (['"id","speaker"', "0,1"], 21)


def test_the_demo_leaves_models_codes_sequences_and_a_page(tmp_path, run, monkeypatch):
    vowels = refold.datasets.japanese_vowels()
    train, test = vowels.train[:40], vowels.test[:60]
    vowels = vowels._replace(train=train, test=test, test_labels=vowels.test_labels[:60])
    monkeypatch.setattr(refold.datasets, "moving_ones", lambda n, seed: moving_ones(50, seed=seed))
    monkeypatch.setattr(refold.datasets, "japanese_vowels", lambda: vowels)
    estimator = partial(refold.SequenceAutoencoder, units=8, latent_steps=0)
    monkeypatch.setattr(refold, "SequenceAutoencoder", estimator)
    folder = tmp_path / "new" / "demo"
    captured = run("demo", "--output", folder, "--max-epochs", "1", "--quiet")
    assert captured.err == ""
    rows = [line.split() for line in captured.out.splitlines()]
    assert rows[0][0] == "data"
    assert rows[1][:4] == ["Moving", "ones", "10", "4"]
    assert rows[2][:4] == ["Japanese", "vowels", "60", "16"]

    codes, ids, _ = read_code_file(folder / "moving-ones-codes.parquet")
    held_out = read(folder / "moving-ones.parquet")
    assert ids.tolist() == held_out.ids.tolist()
    model = refold.load(folder / "moving-ones.refold")
    np.testing.assert_allclose(codes, model.encode(held_out), atol=1e-6)
    assert len(read(folder / "japanese-vowels-reconstructed.parquet")) == 60
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert page.count("plotly.js v") == 1
    assert page.count('class="plot"') >= 16
    assert "Colors show speaker" in page
    assert len(list(folder.iterdir())) == 9
