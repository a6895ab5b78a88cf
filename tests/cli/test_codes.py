"""``refold encode``, ``decode``, ``reconstruct`` and ``probe``, from files and streams."""

import csv
import gzip
import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from pyarrow import csv as arrow_csv

import refold
from refold.cli import _code_files, main
from refold.cli._code_files import read_code_file
from refold.cli._outputs import OutputTarget
from refold.errors import FileFormatError, RefoldError
from refold.sequences import Sequences, read, write
from small_data import fit_without_training, fits_without_epochs, json_lines

TINY = ["--latent-dim", "2", "--units", "4", "--max-epochs", "1", "--latent-steps", "0"]
TINY += ["--seed", "0"]


def set_standard_input(monkeypatch, data):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


# Files of codes

CODES = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
TEXTS = np.array(["0001", "b,", "1", "d é", "-0"])


def write_codes(path, blocks, **options):
    _code_files.write_codes(OutputTarget(path.name, path.suffix[1:], path), blocks, **options)


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl", "npy"])
@pytest.mark.parametrize("ids", [np.arange(5) + 7, TEXTS])
def test_written_codes_are_read_with_the_same_bits(tmp_path, suffix, ids):
    path = tmp_path / f"codes.{suffix}"
    write_codes(path, [(CODES[:2], ids[:2]), (CODES[2:], ids[2:])])
    codes, read_ids, _ = read_code_file(path)
    assert codes.dtype == np.float32
    np.testing.assert_array_equal(codes, CODES)
    assert read_ids.tolist() == ([*range(5)] if suffix == "npy" else ids.tolist())


def test_the_contents_of_files(tmp_path):
    for suffix in ("parquet", "csv", "jsonl"):
        write_codes(tmp_path / f"c.{suffix}", [(CODES, np.arange(5))])
    schema = pq.read_schema(tmp_path / "c.parquet")
    assert schema.names == ["id", "code"]
    assert str(schema.field("code").type).startswith("fixed_size_list<")
    assert (tmp_path / "c.csv").read_text().splitlines()[0] == '"id","code0","code1","code2"'
    first = json.loads((tmp_path / "c.jsonl").read_text().splitlines()[0])
    assert (first["id"], np.float32(first["code"]).tolist()) == (0, CODES[0].tolist())
    write_codes(tmp_path / "half.parquet", [(CODES, np.arange(5))], dtype="float16")
    codes, _, _ = read_code_file(tmp_path / "half.parquet")
    np.testing.assert_array_equal(codes, CODES.astype(np.float16).astype(np.float32))
    # as a spreadsheet writes it: a byte order mark comes first, and the id column has another name
    (tmp_path / "other.csv").write_bytes(b"\xef\xbb\xbfcodename,code0,code1\na,1,2\nb,3,4\n")
    codes, ids, _ = read_code_file(tmp_path / "other.csv")
    assert (codes.tolist(), ids.tolist()) == ([[1, 2], [3, 4]], ["a", "b"])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("fake.npz", "PK\x03\x04 and no more", "not a .npz file of codes"),
        ("fake.parquet", "PAR1 and no more", "not a .parquet file of codes"),
        ("other.csv", "a,b\n1,2\n", "names, separated by commas: id,code0.* Pass a file that"),
        ("excel.csv", "id;code0\n1;2\n", "excel.csv': The first line is 'id;code0'. Expected"),
        ("twice.csv", "id,code0,code0\n1,2,3\n", "Expected different names"),
        ("words.csv", "id,code0\n1,two\n", "not a .csv file of codes .*'two'"),
        ("words.jsonl", '\n{"code": ["a"]}\n', r"line 2: expected .* Got {\"code\": \[\"a\"\]}"),
        ("lists.jsonl", '{"code": [1]}\n[1, 2]\n', r"line 2: expected .* Got \[1, 2\]"),
        ("gap.jsonl", '{"code": [1]}\n{"id": 7, "code": [1]}\n', "Sequence 0 has no id"),
        ("codes.txt", "1 2 3", "must end in .parquet, .csv, .jsonl, .npy or .npz"),
    ],
)
def test_other_text_is_refused(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content.encode())
    with pytest.raises(FileFormatError, match=message):
        read_code_file(tmp_path / name)


def test_codes_in_arrays_with_names_are_read(tmp_path, sines):
    path, model = tmp_path / "codes.npz", refold.load(sines / "sines.refold")
    np.savez(path, code=CODES, id=TEXTS, model=np.array(model.hash))
    codes, ids, _ = read_code_file(path, model=model)  # no warning
    assert (codes.tolist(), ids.tolist()) == (CODES.tolist(), TEXTS.tolist())
    np.savez(path, code=CODES, model=np.array("0" * 64))
    with pytest.raises(RefoldError, match="codes of another model"):
        read_code_file(path, model=model)
    np.savez(path, code=CODES, id=TEXTS[1:])
    with pytest.raises(FileFormatError, match="Got 4 ids for 5"):
        read_code_file(path)


# From sequences to codes and back


@pytest.fixture(scope="module")
def codes(sines):
    return refold.load(sines / "bare.refold").encode(read(sines / "new.parquet"))


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_codes_decode_to_the_same_sequences(sines, codes, tmp_path, suffix, run):
    model, data, path = sines / "bare.refold", sines / "new.parquet", tmp_path / f"codes.{suffix}"
    run("encode", model, data, "-o", path)
    np.testing.assert_array_equal(read_code_file(path)[0], codes)
    captured = run("decode", model, path, "-o", tmp_path / "back.npz")
    assert captured.out == ""
    assert f"Wrote 6 sequences to {tmp_path / 'back.npz'}" in captured.err
    run("reconstruct", model, data, "-o", tmp_path / "same.npz")
    reconstructed, expected = (read(tmp_path / f"{name}.npz") for name in ("back", "same"))
    np.testing.assert_array_equal(reconstructed.values, expected.values)
    np.testing.assert_array_equal(reconstructed.offsets, expected.offsets)


def test_lengths_are_one_number_a_list_or_a_file(sines, codes, tmp_path, run):
    np.save(tmp_path / "codes.npy", codes[:3])
    (tmp_path / "lengths.txt").write_text("2\n0\n5\n", encoding="utf-8")
    files = "decode", sines / "bare.refold", tmp_path / "codes.npy", "-o", tmp_path / "back.npz"
    for text, expected in (("4", [4, 4, 4]), (tmp_path / "lengths.txt", [2, 0, 5])):
        run(*files, "--lengths", text)
        assert read(tmp_path / "back.npz").lengths.tolist() == expected


def test_pipes_give_the_same_results_as_files(sines, tmp_path):
    results = [b""]
    for command in (
        ["data", "ramps"],
        ["encode", sines / "bare.refold", "-", "--format", "jsonl"],
        ["decode", sines / "bare.refold", "-", "--format", "jsonl"],
    ):
        finished = subprocess.run(
            [sys.executable, "-m", "refold", *command], input=results[-1], capture_output=True
        )
        assert (finished.returncode, finished.stderr.count(b"\n")) == (0, command[0] == "decode")
        results.append(finished.stdout)
    codes = np.float32([json.loads(line)["code"] for line in results[2].splitlines()])
    (tmp_path / "ramps.jsonl").write_bytes(results[1])
    expected = refold.load(sines / "bare.refold").encode(tmp_path / "ramps.jsonl")
    np.testing.assert_array_equal(codes, expected)
    assert len(results[-1].splitlines()) == len(codes)


# Formats and layouts of the input

SEQUENCES = {"a": [0.5, 1.5, 2.5], "b": [1.25], "c": [3.5, 0.25]}
ROWS = [(name, t, x) for name, values in SEQUENCES.items() for t, x in enumerate(values)]
JSON_LINES = "".join(json.dumps({"who": name, "time": t, "x0": x}) + "\n" for name, t, x in ROWS)


def to_csv(rows):
    return "".join(f"{a},{b},{c}\n" for a, b, c in [("id", "time", "x0"), *rows]).encode()


FORMS = {
    "data.csv.gz": (gzip.compress(to_csv(ROWS)), []),
    "name.json": (JSON_LINES.encode(), ["--id", "who"]),
    "wide.csv": (b"id,t0,t1,t2\na,0.5,1.5,2.5\nb,1.25,,\nc,3.5,0.25,\n", ["--layout", "wide"]),
    "swap.csv": (to_csv([*ROWS[1::-1], *ROWS[2:]]), ["--sort"]),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_format_gives_the_same_codes(sines, tmp_path, monkeypatch, run, name):
    monkeypatch.chdir(tmp_path)
    data, options = FORMS[name]
    Path(name).write_bytes(data)
    sequences = Sequences.from_list([*SEQUENCES.values()], ids=[*SEQUENCES])
    write(sequences, "expected.parquet")
    from_stream = ["-", "--format", name[5:], *options]
    results = []
    for arguments in (["expected.parquet"], [name, *options], from_stream):
        set_standard_input(monkeypatch, data)
        assert run("encode", sines / "bare.refold", *arguments, "-o", "codes.jsonl", "-q").err == ""
        lines = map(json.loads, Path("codes.jsonl").read_text().splitlines())
        results.append([(line.get("who") or line["id"], line["code"]) for line in lines])
    assert results[0] == results[1] == results[2]


def test_a_known_suffix_has_priority_if_the_other_input_is_standard_input(sines, run, monkeypatch):
    set_standard_input(monkeypatch, b"id,x0\n1,0.5\n1,1.5\n2,2.5\n")
    normal = ["--normal", sines / "normal.parquet", "--alpha", "0.5", "-q"]
    captured = run("detect", sines / "bare.refold", "-", "--format", "csv", *normal)
    assert len(captured.out.splitlines()) == 2


# Codes of other models, clipping, drift


def test_decode_refuses_codes_of_another_model(sines, tmp_path, run):
    model, other_model = sines / "bare.refold", tmp_path / "other.refold"
    fit_without_training(read(sines / "normal.parquet"), latent_dim=4).save(other_model)
    codes, reconstructed = tmp_path / "codes.parquet", tmp_path / "back.npz"
    run("encode", model, sines / "new.parquet", "-o", codes, "-q")
    (line,) = run("decode", other_model, codes, "-o", reconstructed, exit_code=2).err.splitlines()
    hashes = [refold.load(path).hash[:12] for path in (model, other_model)]
    assert f"(hash {hashes[0]}, and this model has {hashes[1]})" in line
    assert not reconstructed.exists()
    # the calibrated model differs only in parts on which no code depends, so its codes are the same
    assert run("decode", sines / "sines.refold", codes, "-o", reconstructed, "-q").err == ""
    codes = tmp_path / "codes.csv"  # a CSV file has no place for the hash of the model
    run("encode", model, sines / "new.parquet", "-o", codes, "-q")
    (line,) = run("decode", other_model, codes, "-o", reconstructed, "-q").err.splitlines()
    assert line.startswith("Warning: This file does not tell the model of its codes")


def test_clip_keeps_numbers_within_their_range(sines, tmp_path, run):
    model, codes, out = sines / "sines.refold", tmp_path / "codes.npy", tmp_path / "out.npz"
    scaler = refold.load(model).scaler
    np.save(codes, 20 * np.eye(4, dtype=np.float32))
    generate, decode = ("generate", model, "-n", 1000, "--seed", 1), ("decode", model, codes)
    for command, option, is_clipped in [
        (generate, [], True),
        (generate, ["--no-clip"], False),
        (decode, [], False),
        (decode, ["--clip"], True),
        (decode, ["--clip-positive"], False),  # sines are negative in training
    ]:
        run(*command, *option, "-o", out, "-q")
        values = read(out).values
        is_in_range = (scaler.data_min_ <= values) & (values <= scaler.data_max_)
        assert is_in_range.all() == is_clipped


# Names of columns


def write_table(path, *, id_column="patient", time="day"):
    rng = np.random.default_rng(0)
    steps = [(name, t) for name in "abcdef" for t in range(5)]
    lines = [f"{name},{t},{rng.normal():.3f},{rng.normal():.3f},later" for name, t in steps]
    path.write_text("\n".join([f"{id_column},{time},x,y,note", *lines]), encoding="utf-8")
    return path


def header(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return next(csv.reader(stream))


@pytest.fixture(scope="module")
def patients(tmp_path_factory):
    """Return a folder with a table whose columns have names of their own, and a model of it."""
    folder = tmp_path_factory.mktemp("remembered")
    data = str(write_table(folder / "data.csv"))
    options = ["--id", "patient", "--time", "day", "--columns", "x,y"]
    more_options = ["--forecast-steps", "2", "--calibration-fraction", "0.5"]
    with fits_without_epochs():
        output = str(folder / "m.refold")
        assert main(["fit", data, "-o", output, *options, *TINY, *more_options, "-q"]) == 0
    return folder


@pytest.fixture
def with_model(patients, run):
    """Return a function that runs a command with the model, and returns its output file."""

    def call(command, output, *options, data="data.csv"):
        path = patients / output
        run(command, patients / "m.refold", patients / data, "-o", path, *options, "-q")
        return path

    return call


def test_a_model_remembers_the_names_of_ids_and_times(with_model):
    expected = with_model("encode", "told.csv", "--id", "patient", "--time", "day")
    codes = with_model("encode", "codes.csv")
    assert codes.read_bytes() == expected.read_bytes()
    reconstructed = with_model("decode", "back.csv", data=codes.name)
    assert header(reconstructed) == ["patient", "day", "x", "y"]
    assert read(reconstructed, id="patient", time="day").ids.tolist() == list("abcdef")
    reconstructed = with_model("reconstruct", "back.parquet")
    assert read(reconstructed, id="patient").ids.tolist() == list("abcdef")
    repeated = with_model("encode", "again.jsonl", data=reconstructed.name)
    assert json.loads(repeated.read_text().splitlines()[0])["patient"] == "a"


def test_tables_of_detect_and_forecast_have_the_names(patients, with_model):
    steps = ["--alpha", "0.5", "--steps", patients / "steps.csv"]
    assert header(with_model("detect", "table.csv", *steps))[:2] == ["patient", "score"]
    assert header(patients / "steps.csv")[:2] == ["patient", "step"]
    predicted = with_model("forecast", "table.csv", "--alpha", "0.5")
    assert header(predicted)[:2] == ["patient", "step"]


def test_numbers_of_steps_have_no_name_of_times(patients, run):
    model, new = patients / "m.refold", patients / "new.csv"
    run("generate", model, "-n", 5, "-o", new, "-q")
    assert header(new) == ["patient", "time", "x", "y"]
    run("cluster", model, new, "-n", 2, "--centers", patients / "centers.csv", "-q")
    assert header(patients / "centers.csv") == header(new)


def test_options_have_priority_and_default_names_are_read(patients, with_model, run):
    other_file = write_table(patients / "other.csv", id_column="who")
    codes = with_model("encode", "who.csv", "--id", "who", data="other.csv")
    assert header(codes) == ["who", "start_time", "time_gap", "code0", "code1"]
    assert header(with_model("decode", "back.csv", data="who.csv"))[0] == "patient"
    write_table(patients / "plain.csv", id_column="id", time="time")
    assert header(with_model("encode", "plain-codes.csv", data="plain.csv"))[0] == "id"
    files = patients / "m.refold", other_file, "-o", patients / "no.csv"
    captured = run("encode", *files, exit_code=2).err
    assert "other.csv has no column 'patient'. It has 'who'," in captured


def test_names_that_the_output_needs_for_itself(patients, tmp_path, run):
    data = write_table(tmp_path / "data.csv", id_column="score")
    model = refold.load(patients / "m.refold")
    schema = replace(model.schema, id_name="score")
    replace(model, schema=schema).save(tmp_path / "m.refold")
    run("detect", tmp_path / "m.refold", data, "-o", tmp_path / "odd.csv", "--alpha", "0.5", "-q")
    assert header(tmp_path / "odd.csv")[:2] == ["id", "score"]


# Times since the previous step


def test_later_commands_compute_the_gaps_or_read_them(tmp_path, run):
    data, model = write_table(tmp_path / "data.csv"), tmp_path / "m.refold"
    codes = tmp_path / "codes.npy"
    columns = "--id", "patient", "--time", "day", "--columns", "x,y"
    with fits_without_epochs():
        run("fit", data, "-o", model, *columns, "--time-gaps", *TINY, "-q")
    loaded = refold.load(model)
    assert loaded.schema.names == ("x", "y", "time_gap")
    with_gaps = read(data, id="patient", time="day", columns=["x", "y"], time_gaps=True)
    for options in ([], ["--time-gaps"]):
        run("encode", model, data, "-o", codes, *options, "-q")
        assert np.load(codes).tobytes() == loaded.encode(with_gaps).tobytes()
    run("reconstruct", model, data, "-o", tmp_path / "back.csv", "-q")
    assert header(tmp_path / "back.csv") == ["patient", "day", "x", "y", "note", "time_gap"]
    run("encode", model, tmp_path / "back.csv", "-o", codes, "-q")
    features = {"columns": ["x", "y", "time_gap"]}
    reconstructed = read(tmp_path / "back.csv", id="patient", time="day", **features)
    assert np.load(codes).tobytes() == loaded.encode(reconstructed).tobytes()


# Rows and columns of the data


MIXED_ROWS = ["007,2,0.5,a b", "b,1,1.50,", "007,1,-0.25,c", "b,3,0.75,d"]


@pytest.fixture(scope="module")
def mixed_rows(tmp_path_factory):
    """Return a folder with a model, and a table whose rows are in no order."""
    folder = tmp_path_factory.mktemp("mixed")
    (folder / "data.csv").write_text("\n".join(["who,day,x,note", *MIXED_ROWS, ""]))
    rng = np.random.default_rng(0)
    sequences = [rng.normal(size=(n, 1)) for n in rng.integers(2, 5, 30)]
    sequences = Sequences.from_list(sequences).with_schema(
        Sequences.from_table({"who": ["a"], "day": [1], "x": [0.0]}, id="who", time="day").schema
    )
    fit_without_training(sequences).save(folder / "m.refold")
    return folder


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
def test_rows_and_columns_come_back_in_the_order_of_the_file(mixed_rows, run, suffix):
    model, data = mixed_rows / "m.refold", mixed_rows / "data.csv"
    tables = {}
    for command in ("reconstruct", "residuals"):
        output = mixed_rows / f"{command}.{suffix}"
        run(command, model, data, "--sort", "-o", output, "-q")
        if suffix == "jsonl":
            tables[command] = json_lines(output.read_text())
        elif suffix == "parquet":
            tables[command] = pq.read_table(output).to_pylist()
        else:
            delimiter, lines = "\t" if suffix == "tsv" else ",", output.read_text().splitlines()
            tables[command] = [*csv.DictReader(lines, delimiter=delimiter)]
    for original, back, residual in zip(MIXED_ROWS, *tables.values(), strict=True):
        who, day, x, note = original.split(",")
        for row in (back, residual):
            assert [*row] == ["who", "day", "x", "note"]
            assert (row["who"], str(row["day"]), row["note"] or "") == (who, day, note)
        assert float(residual["x"]) == pytest.approx(float(x) - float(back["x"]), abs=1e-12)
    sequences = read(data, id="who", time="day", columns=["x"], sort=True)
    expected = refold.load(model).residuals(sequences)
    assert [float(row["x"]) for row in tables["residuals"]] == pytest.approx(
        [expected[0][1, 0], expected[1][0, 0], expected[0][0, 0], expected[1][1, 0]]
    )


def test_rows_of_json_and_of_a_folder_come_back(mixed_rows, run):
    model, data = mixed_rows / "m.refold", mixed_rows / "data.csv"
    rows = [*csv.DictReader(data.read_text().splitlines())]
    rows = [row | {"x": float(row["x"]), "day": int(row["day"]), "tags": {"n": 1}} for row in rows]
    (mixed_rows / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    back = run("reconstruct", model, mixed_rows / "data.jsonl", "--sort", "-q").out
    assert [row | {"x": 0} for row in json_lines(back)] == [row | {"x": 0} for row in rows]
    (mixed_rows / "folder").mkdir()
    table = arrow_csv.read_csv(data)
    for i in range(2):
        pq.write_table(table[2 * i : 2 * i + 2], mixed_rows / "folder" / f"{i}.parquet")
    output = mixed_rows / "from-folder.parquet"
    run("residuals", model, mixed_rows / "folder", "--sort", "-o", output, "-q")
    assert pq.read_table(output).drop_columns("x").equals(table.drop_columns("x"))


def test_json_lines_of_decode_keep_the_times(mixed_rows, run):
    model, codes = mixed_rows / "m.refold", mixed_rows / "codes.csv"
    run("encode", model, mixed_rows / "data.csv", "--sort", "-o", codes, "-q")
    rows = json_lines(run("decode", model, codes, "--lengths", "2", "-q").out)
    days = [(row["who"], row["day"]) for row in rows]
    assert days == [("007", 1), ("007", 2), ("b", 1), ("b", 3)]


def test_residuals_of_lists_are_lists(tmp_path, run):
    rng = np.random.default_rng(0)
    write(Sequences.from_list([rng.normal(size=(5, 2)) for _ in range(20)]), tmp_path / "x.npz")
    model = tmp_path / "m.refold"
    fit_without_training(read(tmp_path / "x.npz")).save(model)
    run("residuals", model, tmp_path / "x.npz", "-o", tmp_path / "r.npz", "-q")
    residuals = refold.load(model).residuals(read(tmp_path / "x.npz"))
    assert np.allclose(read(tmp_path / "r.npz").values, np.concatenate(residuals))


# Other options of tables


def wide(path, names="t0,t1,t2", id_column="who"):
    rows = [f"s{i},{i / 4},{i % 3}.5,{i % 5 if i % 4 else ''}\n" for i in range(20)]
    path.write_text(f"{id_column},{names}\n" + "".join(rows))
    return path


def test_models_of_wide_tables_read_wide_tables(tmp_path, run):
    data, model, codes = wide(tmp_path / "w.csv"), tmp_path / "m.refold", tmp_path / "codes.npy"
    with fits_without_epochs():
        run("fit", data, "-o", model, "--id", "who", "--layout", "wide", *TINY, "-q")
    run("encode", model, data, "-o", codes, "--id", "who", "--layout", "wide", "-q")
    expected = codes.read_bytes()
    series = read(data, id="who", layout="wide")
    write(series, tmp_path / "long.csv", id="who")
    write(series, tmp_path / "lists.parquet", id="who")
    renamed_file = wide(tmp_path / "other.csv", names="mon,tue,wed", id_column="id")
    table = arrow_csv.read_csv(data)
    (tmp_path / "folder").mkdir()
    for i, part in enumerate((table[:12], table[12:])):
        pq.write_table(part, tmp_path / f"folder/{i}.parquet")
    other_files = (tmp_path / name for name in ("long.csv", "lists.parquet", "folder"))
    for data_file in (data, *other_files, renamed_file):
        run("encode", model, data_file, "-o", codes, "-q")
        assert codes.read_bytes() == expected
    line = run("encode", model, data, "-o", codes, "--layout", "long", exit_code=2).err
    assert "The data have 3 features, but the model was fitted on 1" in line


def test_models_remember_the_steps_of_wide_tables(tmp_path, run):
    data, model, codes = wide(tmp_path / "w.csv"), tmp_path / "m.refold", tmp_path / "codes.npy"
    wide_options = "--id", "who", "--layout", "wide", "--columns", "t2,t0"
    with fits_without_epochs():
        run("fit", data, "-o", model, *wide_options, *TINY, "-q")
    results = []
    for options in (wide_options, []):
        run("encode", model, data, "-o", codes, *options, "-q")
        results.append(codes.read_bytes())
    assert results[0] == results[1]


def test_repeated_and_local_times(tmp_path, run):
    data, model, codes = tmp_path / "visits.csv", tmp_path / "m.refold", tmp_path / "codes.npy"
    visits = [(i, j) for i in range(20) for j in (0, 1, 1)]
    rows = [f"p{i},{1 + j}.05.2024 12:00,{(i + 3 * j) % 7}.5\n" for i, j in visits]
    data.write_text("patient,at,x\n" + "".join(rows))
    columns = "--id", "patient", "--time", "at", "--time-format", "%d.%m.%Y %H:%M"
    line = run("fit", data, "-o", model, *columns, exit_code=2).err
    assert "20 rows repeat a time of the same id, in 20 sequences." in line
    assert "in line 3 and in line 4. Keep one row for each time with --duplicates" in line
    line = run("fit", data, "-o", model, *columns[:4], exit_code=2).err
    assert "'1.05.2024 12:00', in line 2" in line
    assert "name another form with --time-format" in line
    with fits_without_epochs():
        run("fit", data, "-o", model, *columns, "--duplicates", "last", *TINY, "-q")
    run("encode", model, data, "-o", codes, "-q")
    options = {"id": "patient", "time": "at", "time_format": columns[-1]}
    last = read(data, duplicates="last", **options)
    assert np.load(codes).tobytes() == refold.load(model).encode(last).tobytes()
    line = run("encode", model, data, "-o", codes, "--duplicates", "error", exit_code=2).err
    assert "20 rows repeat a time of the same id" in line
    write(last, tmp_path / "lists.parquet", id="patient")  # which has no times
    run("encode", model, tmp_path / "lists.parquet", "-o", codes, "-q")


# Accuracy of a linear probe


@pytest.fixture
def probe(two_groups, run):
    """Return a function that runs the command and returns its accuracies."""

    def call(data, *options, model=two_groups / "model.refold"):
        results = json.loads(run("probe", model, data, *options, "--json", "-q").out)
        return {name: result["accuracy"] for name, result in results.items()}

    return call


def test_a_label_column_in_the_file_of_the_sequences(two_groups, tmp_path, probe, run):
    files = two_groups / "model.refold", two_groups / "labelled.parquet"
    captured = run("probe", *files, "--label", "kind")
    assert captured.out.count("100.0 %") == 3
    chance = "Always predicting the most frequent class has an accuracy of 50.0 %"
    assert f"2 classes, 5 folds. {chance}" in captured.err
    # a long table in a file with another suffix
    (tmp_path / "data.txt").write_bytes((two_groups / "long.csv").read_bytes())
    results = probe(tmp_path / "data.txt", "--label", "kind", "--format", "csv")
    assert results == {"Refold": 1.0, "Refold, features": 1.0, "PCA": 1.0}


def test_labels_in_another_file_and_in_a_wide_table(two_groups, sines, tmp_path, probe):
    labels = "--label", "who", "--labels", two_groups / "who.csv"
    assert probe(two_groups / "data.parquet", *labels)["Refold"] == 1.0
    rows = [f"{'high' if i % 2 else 'low'},{i % 2},{i % 2 + i / 50}" for i in range(20)]
    (tmp_path / "wide.csv").write_text("who,t0,t1\n" + "\n".join(rows) + "\n")
    options = "--label", "who", "--layout", "wide"
    assert probe(tmp_path / "wide.csv", *options, model=sines / "bare.refold")["Refold"] > 0.9
