"""``refold probe``: accuracy on codes next to that of PCA, from files."""

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import csv

import refold
from refold.cli import main
from refold.sequences import as_sequences, write


@pytest.fixture(scope="module")
def folder(sines, tmp_path_factory):
    folder = tmp_path_factory.mktemp("probe")
    rng = np.random.default_rng(0)
    kind = np.arange(40) % 2
    series = as_sequences(rng.normal(size=(40, 12, 1)) + 3 * kind[:, None, None], names=["level"])
    write(series, folder / "data.parquet")
    table = series.to_arrow().append_column("kind", pa.array(kind))
    pq.write_table(table.append_column("same", pa.array([1] * 40)), folder / "labelled.parquet")
    row = np.repeat(kind, 12)
    pq.write_table(series.to_table().append_column("kind", pa.array(row)), folder / "long.parquet")
    csv.write_csv(series.to_table().append_column("kind", pa.array(row)), folder / "long.csv")
    lines = [
        json.dumps({"id": i, "level": one.ravel().tolist(), "kind": int(kind[i])})
        for i, one in enumerate(series)
    ]
    (folder / "lines.jsonl").write_text("\n".join(lines))
    cases = [",".join(map(str, one.ravel())) + f":{kind[i]}" for i, one in enumerate(series)]
    header = "@timeStamps false\n@classLabel true 0 1\n@data\n"
    (folder / "cases.ts").write_text(header + "\n".join(cases))
    model = refold.load(sines / "bare.refold")
    replace(model, schema=series.schema).save(folder / "model.refold")
    return folder


@pytest.mark.parametrize("name", ["labelled.parquet", "long.parquet", "lines.jsonl", "long.csv"])
def test_a_label_column_in_the_file_of_the_sequences(folder, capsys, name):
    assert main(["probe", str(folder / "model.refold"), str(folder / name), "--label", "kind"]) == 0
    shown = capsys.readouterr()
    assert "Refold" in shown.out
    assert "100.0 %" in shown.out
    assert (
        "2 classes, 5 folds. Always predicting the most frequent class has an accuracy of 50.0 %"
        in shown.err
    )


@pytest.mark.parametrize("name", ["lines.jsonl", "long.csv"])
def test_a_blank_line_at_the_start(folder, tmp_path, name):
    (tmp_path / name).write_bytes(b"\n" + (folder / name).read_bytes())
    given = [str(folder / "model.refold"), str(tmp_path / name), "--label", "kind"]
    assert main(["probe", *given]) == 0


@pytest.mark.parametrize("content", ["[" * 100_000, '"' + "x," * 100_000])
@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_a_first_line_that_cannot_be_read(folder, tmp_path, capsys, suffix, content):
    (tmp_path / f"bad.{suffix}").write_text(content, encoding="utf-8")
    given = [str(folder / "model.refold"), str(tmp_path / f"bad.{suffix}"), "--label", "kind"]
    assert main(["probe", *given]) == 2
    assert f"bad.{suffix}" in capsys.readouterr().err


def test_a_label_column_in_a_file_with_another_suffix(folder, tmp_path, capsys):
    for name in ("readings.log", "readings.txt"):
        (tmp_path / name).write_bytes((folder / "long.csv").read_bytes())
        given = [str(folder / "model.refold"), str(tmp_path / name), "--label", "kind"]
        assert main(["probe", *given, "--format", "csv", "-q", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["Refold"]["accuracy"] == 1.0


def test_the_label_of_a_ts_file(folder, capsys):
    given = [str(folder / "model.refold"), str(folder / "cases.ts"), "-q", "--json", "--label"]
    assert main(["probe", *given, "label"]) == 0
    assert json.loads(capsys.readouterr().out)["Refold"]["accuracy"] == 1.0
    assert main(["probe", *given, "kind"]) == 2
    assert "cases.ts has no column 'kind'. It has label." in capsys.readouterr().err


def test_labels_in_another_file(folder, tmp_path, capsys):
    (tmp_path / "who.csv").write_text(
        "id,who\n" + "".join(f"{i},{'ab'[i % 2]}\n" for i in range(40))
    )
    given = [str(folder / "model.refold"), str(folder / "data.parquet"), "--label", "who"]
    assert main(["probe", *given, "--labels", str(tmp_path / "who.csv"), "--json", "-q"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found) == ["Refold", "Refold, features", "PCA"]
    assert found["Refold"]["accuracy"] == found["PCA"]["accuracy"] == 1.0


def test_labels_of_japanese_vowels(tmp_path, capsys):
    data, labels = str(tmp_path / "vowels.parquet"), str(tmp_path / "who.csv")
    assert main(["data", "japanese-vowels", "-n", "20", "-o", data, "--labels", labels]) == 0
    lines = (tmp_path / "who.csv").read_text().splitlines()
    assert lines[:2] == ['"id","speaker"', "0,1"]
    assert len(lines) == 21
    assert main(["data", "ramps", "-o", data, "--labels", labels]) == 2
    assert "ramps has no labels" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["labelled.parquet", "--label", "id"], "The label column 'id' is the id column"),
        (["labelled.parquet", "--label", "same"], "There is only one label: 1"),
        (["labelled.parquet", "--label", "age"], "no column 'age'"),
        (["-", "--label", "kind"], "Standard input cannot be used"),
        (["labelled.parquet", "--label", "kind", "--folds", "1"], "--folds"),
        (["labelled.parquet"], "option --label is missing"),
    ],
)
def test_a_mistake_is_one_line(folder, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(folder)
    assert main(["probe", "model.refold", *arguments]) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert len(shown.err.splitlines()) == 1
    assert shown.out == ""


def test_a_model_file_without_codes_of_the_training_data(folder, tmp_path, capsys):
    replace(refold.load(folder / "model.refold"), reference=None).save(tmp_path / "old.refold")
    given = [str(tmp_path / "old.refold"), str(folder / "labelled.parquet"), "--label", "kind"]
    assert main(["probe", *given, "--json", "-q"]) == 0
    assert list(json.loads(capsys.readouterr().out)) == ["Refold", "PCA"]


def test_the_id_column_is_no_label(folder, tmp_path, capsys):
    table = pq.read_table(folder / "long.parquet").drop_columns(["kind"])
    table = table.rename_columns(["who" if name == "id" else name for name in table.column_names])
    pq.write_table(table, tmp_path / "who.parquet")
    model = refold.load(folder / "model.refold")
    schema = replace(model.schema, id_name="who")
    replace(model, schema=schema).save(tmp_path / "who.refold")
    given = [str(tmp_path / "who.refold"), str(tmp_path / "who.parquet"), "--label", "who"]
    for options in ([], ["--id", "who"]):
        assert main(["probe", *given, *options]) == 2
        message = "Error: The label column 'who' is the id column. Choose another one.\n"
        assert capsys.readouterr().err == message
