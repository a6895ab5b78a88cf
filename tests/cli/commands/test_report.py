"""``refold report``: a page from files, and errors."""

import io
import json
import sys
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import refold
from refold.cli import main
from refold.report import report
from refold.sequences import as_sequences, write
from small_data import fits_without_epochs, mapped


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    rng = np.random.default_rng(0)
    kind = np.arange(40) % 2
    values = rng.normal(size=(40, 12, 2)) + 3 * kind[:, None, None]
    series = as_sequences(values, names=["level", "flow"])
    write(series, folder / "data.parquet")
    table = series.to_arrow().append_column("kind", pa.array(kind))
    pq.write_table(table.append_column("same", pa.array([1] * 40)), folder / "labelled.parquet")
    write(as_sequences(values, names=["level", "other"]), folder / "other.parquet")
    (folder / "who.csv").write_text("id,who\n" + "".join(f"{i},w{i % 3}\n" for i in range(40)))
    (folder / "empty.csv").write_text("id,level,flow\n")
    options = ["--latent-dim", "2", "--units", "4", "--max-epochs", "1", "--seed", "0", "-q"]
    options += ["--latent-steps", "0"]
    fit = ["fit", str(folder / "data.parquet"), "-o", str(folder / "model.refold"), *options]
    with fits_without_epochs():
        assert main(fit) == 0
    return folder


def test_a_page_and_a_table(folder, tmp_path, capsys):
    page = tmp_path / "page.html"
    given = [str(folder / "model.refold"), str(folder / "labelled.parquet")]
    assert main(["report", *given, "--label", "kind", "-o", str(page)]) == 0
    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    assert lines[0].split() == ["codes", "of", "2", "dimensions", "Refold", "PCA"]
    assert lines[1].startswith("NMSE: squared error over power")
    assert f"Open {page} in a browser" in shown.err
    text = page.read_text(encoding="utf-8")
    assert "<h1>labelled.parquet</h1>" in text
    assert "Colors show kind, which is not a column of the model." in text
    assert [file.name for file in tmp_path.iterdir()] == ["page.html"]


def test_columns_that_the_model_does_not_have_are_ignored(folder, tmp_path):
    rows = ["id,time,level,flow,kind,note"]
    for i in range(12):
        rows += [f"{i},{t},{0.1 * t},{i},{i % 2},so {t}" for t in range(3)]
    (tmp_path / "rows.csv").write_text("\n".join(rows))
    page = str(tmp_path / "page.html")
    given = [str(folder / "model.refold"), str(tmp_path / "rows.csv"), "-q", "-o", page]
    assert main(["report", *given, "--label", "kind"]) == 0
    (tmp_path / "rows.csv").rename(tmp_path / "rows.txt")
    given[1] = str(tmp_path / "rows.txt")
    given += ["--format", "csv"]
    assert (
        main(["report", *given, "--label", "flow"]) == 0
    )  # a label can also be a column of the model
    assert "Colors show flow." in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_pca_of_training_data_and_labels_from_another_file(folder, tmp_path, capsys):
    page = tmp_path / "page.html"
    given = [str(folder / "model.refold"), str(folder / "data.parquet"), "-q", "-o", str(page)]
    beside = ["--label", "who", "--labels", str(folder / "who.csv")]
    more = ["--train", str(folder / "labelled.parquet"), "--max-sequences", "30"]
    assert main(["report", *given, *beside, *more]) == 0
    assert capsys.readouterr().err == ""
    text = page.read_text(encoding="utf-8")
    assert "fitted on 40 sequences of the training data" in text
    assert "30 sequences drawn at random" in text


def test_standard_input(folder, tmp_path, capsys, monkeypatch):
    lines = [json.dumps({"level": [i, 1, 2], "flow": [0, 1.5, i]}) for i in range(6)]
    stream = SimpleNamespace(buffer=io.BytesIO("\n".join(lines).encode()))
    monkeypatch.setattr(sys, "stdin", stream)
    page = str(tmp_path / "page.html")
    assert main(["report", str(folder / "model.refold"), "-", "--format", "jsonl", "-o", page]) == 0
    assert "<h1>standard input</h1>" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_data_in_blocks_are_sampled(folder, tmp_path):
    blocks = mapped(folder / "data.parquet", block_bytes=400)
    model = refold.load(folder / "model.refold")
    whole = report(model, blocks, tmp_path / "blocks.html", max_sequences=25)
    again = report(model, blocks[:], tmp_path / "whole.html", max_sequences=25)
    assert whole == again
    assert whole.num_sequences == 25


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["labelled.parquet", "--label", "id"], "The label column 'id' is the id column"),
        (["labelled.parquet", "--label", "same"], "There is only one label: 1"),
        (["labelled.parquet", "--label", "age"], "no column 'age'"),
        (["-", "--label", "kind"], "Standard input cannot be used"),
        (["data.parquet", "--labels", "who.csv"], "--labels needs --label. Add --label NAME."),
        (["-", "--train", "-"], "Only one input can be standard input"),
        (["other.parquet"], "flow"),
        (["empty.csv"], "empty"),
        (["data.parquet", "--train", "other.parquet"], "flow"),
        (["data.parquet", "--train", "gone.parquet"], "gone.parquet"),
        (["data.parquet", "--max-sequences", "0"], "--max-sequences"),
        (["data.parquet", "--seed", "-1"], "--seed"),
        (["data.parquet", "-o", "page.pdf"], "must end in .html"),
        (["data.parquet", "-o", "nowhere/page.html"], "there is no folder"),
        (["data.parquet", "-o", "-"], "--output cannot be standard output. Name a file."),
    ],
)
def test_a_mistake_is_one_line(folder, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(folder)
    before = sorted(file.name for file in folder.iterdir())
    output = [] if "-o" in arguments else ["-o", "page.html"]
    assert main(["report", "model.refold", *arguments, *output]) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert len(shown.err.splitlines()) == 1
    assert shown.out == ""
    assert sorted(file.name for file in folder.iterdir()) == before


def test_a_missing_package_is_named_before_the_work(folder, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "plotly", None)
    monkeypatch.chdir(folder)
    assert main(["report", "model.refold", "gone.parquet", "-o", "page.html"]) == 2
    assert "pip install '.[plots]'" in capsys.readouterr().err
