"""``refold encode``, ``decode`` and ``reconstruct``: files, standard streams, names of columns."""

import bz2
import csv
import gzip
import io
import json
import os
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import refold
from refold import kernels
from refold.cli import main
from refold.cli._codes import read_codes
from refold.errors import DataError
from refold.sequences import Sequences, as_sequences, read, write
from small_data import fits_without_epochs, untrained

TINY = ["--latent-dim", "2", "--units", "4", "--max-epochs", "1", "--latent-steps", "0"]
TINY += ["--seed", "0"]


def standard_input(monkeypatch, data):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


# From sequences to codes and back


@pytest.fixture(scope="module")
def codes(sines):
    return refold.load(sines / "bare.refold").encode(read(sines / "new.parquet"))


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl", "npy"])
def test_codes_in_every_format_decode_to_the_same_sequences(sines, codes, tmp_path, suffix, run):
    model, data, path = sines / "bare.refold", sines / "new.parquet", tmp_path / f"codes.{suffix}"
    run("encode", model, data, "-o", path)
    np.testing.assert_array_equal(read_codes(path)[0], codes)
    shown = run("decode", model, path, "-o", tmp_path / "back.npz")
    assert shown.out == ""
    assert f"Wrote 6 sequences to {tmp_path / 'back.npz'}" in shown.err
    run("reconstruct", model, data, "-o", tmp_path / "same.npz")
    back, same = (read(tmp_path / f"{name}.npz") for name in ("back", "same"))
    np.testing.assert_array_equal(back.values, same.values)
    np.testing.assert_array_equal(back.offsets, same.offsets)


def test_codes_with_latent_optimization(sines, codes, tmp_path, run):
    model, path = sines / "bare.refold", tmp_path / "c.npy"
    run("encode", model, sines / "new.parquet", "-o", path, "--latent-steps", "3", "-q")
    optimized = refold.load(model).with_latent_steps(3).encode(read(sines / "new.parquet"))
    np.testing.assert_array_equal(np.load(path), optimized)
    assert not np.array_equal(optimized, codes)


def test_lengths_are_one_number_a_list_or_a_file(sines, codes, tmp_path, run):
    np.save(tmp_path / "codes.npy", codes[:3])
    (tmp_path / "lengths.txt").write_text("2\n0\n5\n", encoding="utf-8")
    for text, expected in {
        "4": [4, 4, 4],
        "2,0,5": [2, 0, 5],
        str(tmp_path / "lengths.txt"): [2, 0, 5],
    }.items():
        given = tmp_path / "codes.npy", "-o", tmp_path / "back.npz", "--lengths", text
        run("decode", sines / "bare.refold", *given)
        assert read(tmp_path / "back.npz").lengths.tolist() == expected


def test_pipes_give_the_same_results_as_files(sines, tmp_path, capfdbinary, monkeypatch):
    environment = dict(os.environ)
    if kernels.variant() is None:  # hides the message that every process prints without a kernel
        environment["REFOLD_KERNEL"] = "none"
    results = [b""]
    for command in (
        ["data", "ramps"],
        ["encode", sines / "bare.refold", "-", "--format", "jsonl"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "refold", *command],
            input=results[-1],
            capture_output=True,
            env=environment,
        )
        assert (done.returncode, done.stderr) == (0, b"")
        results.append(done.stdout)
    codes = np.float32([json.loads(line)["code"] for line in results[-1].splitlines()])
    (tmp_path / "ramps.jsonl").write_bytes(results[1])
    expected = refold.load(sines / "bare.refold").encode(tmp_path / "ramps.jsonl")
    np.testing.assert_array_equal(codes, expected)
    np.save(tmp_path / "codes.npy", codes)
    standard_input(monkeypatch, (sines / "bare.refold").read_bytes())
    assert main(["decode", "-", str(tmp_path / "codes.npy")]) == 0
    assert len(capfdbinary.readouterr().out.splitlines()) == len(codes)


def test_standard_output_has_the_requested_format(sines, tmp_path, capfdbinary):
    model, data, back = str(sines / "bare.refold"), str(tmp_path / "a.ts"), tmp_path / "back.ts"
    write(read(sines / "new.parquet"), data)
    assert main(["reconstruct", model, data, "-o", str(back), "-q"]) == 0
    Path(data).rename(tmp_path / "a.log")
    for options in (["--output-format", "ts", "--format", "ts"], ["--format", "ts"]):
        capfdbinary.readouterr()
        assert main(["reconstruct", model, str(tmp_path / "a.log"), *options, "-q"]) == 0
        assert capfdbinary.readouterr().out == back.read_bytes()


@pytest.mark.skipif(os.name == "nt", reason="devices of another kind")
def test_a_device_is_not_replaced_by_a_file(run):
    run("data", "ramps", "-o", os.devnull, "--format", "csv", "-q")
    assert stat.S_ISCHR(Path(os.devnull).stat().st_mode)


def test_a_suffix_in_capitals_and_another_name_of_a_format(tmp_path, run):
    for name in ("a.CSV", "a.ndjson"):
        run("data", "ramps", "-o", tmp_path / name, "-q")
        assert len(read(tmp_path / name)) == 4


# Formats and layouts of the input

STEPS = {"a": [0.5, 1.5, 2.5], "b": [1.25], "c": [3.5, 0.25]}
EVENTS = [
    {"id": name, "time": step, "x0": value}
    for name, series in STEPS.items()
    for step, value in enumerate(series)
]
LINES = "".join(json.dumps(event) + "\n" for event in EVENTS)


def table(delimiter=",", *, decimal=".", events=EVENTS):
    rows = [["id", "time", "x0"], *(map(str, event.values()) for event in events)]
    return "".join(delimiter.join(row).replace(".", decimal) + "\n" for row in rows).encode()


FORMS = {
    "data.csv": (table(";", decimal=","), []),
    "data.csv.gz": (gzip.compress(table()), []),
    "data.jsonl.bz2": (bz2.compress(LINES.encode()), []),
    "list.json": (json.dumps(EVENTS, indent=1).encode(), []),
    "name.json": (LINES.replace('"id"', '"who"').encode(), ["--id", "who"]),
    "wide.csv": (b"id,t0,t1,t2\na,0.5,1.5,2.5\nb,1.25,,\nc,3.5,0.25,\n", ["--layout", "wide"]),
    "swap.csv": (table(events=[*EVENTS[1::-1], *EVENTS[2:]]), ["--sort"]),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_format_gives_the_same_codes(sines, tmp_path, monkeypatch, run, name):
    monkeypatch.chdir(tmp_path)
    data, options = FORMS[name]
    Path(name).write_bytes(data)
    write(Sequences.from_list(list(STEPS.values()), ids=list(STEPS)), "expected.parquet")
    results = []
    for given in (["expected.parquet"], [name, *options], ["-", "--format", name[5:], *options]):
        standard_input(monkeypatch, data)
        assert run("encode", sines / "bare.refold", *given, "-o", "codes.jsonl", "-q").err == ""
        results.append(Path("codes.jsonl").read_text().replace('"who"', '"id"'))
    assert results[0] == results[1] == results[2]


def test_a_known_suffix_has_priority_if_the_other_input_is_standard_input(sines, run, monkeypatch):
    standard_input(monkeypatch, b"id,x0\n1,0.5\n1,1.5\n2,2.5\n")
    normal = ["--normal", sines / "normal.parquet", "--alpha", "0.5", "-q"]
    shown = run("detect", sines / "bare.refold", "-", "--format", "csv", *normal)
    assert len(shown.out.splitlines()) == 2


# Codes of other types and models


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("suffix", ["parquet", "npz"])
def test_decode_refuses_codes_of_another_model(sines, tmp_path, run, suffix, dtype):
    model, other = sines / "bare.refold", tmp_path / "other.refold"
    untrained(refold.datasets.noisy_sines(40, seed=5, max_steps=40), latent_dim=4).save(other)
    codes, back = tmp_path / f"codes.{suffix}", tmp_path / "back.npz"
    run("encode", model, sines / "new.parquet", "-o", codes, "--dtype", dtype, "-q")
    stored = refold.load(model).encode(read(sines / "new.parquet"))
    np.testing.assert_array_equal(read_codes(codes)[0], stored.astype(dtype).astype(np.float32))
    (line,) = run("decode", other, codes, "-o", back, code=2).err.splitlines()
    hashes = [refold.load(path).hash[:12] for path in (model, other)]
    assert f"(hash {hashes[0]}, and this model has {hashes[1]})" in line
    assert not back.exists()
    # that of the calibrated model differs only in what no code depends on
    for own in ("bare", "sines"):
        assert run("decode", sines / f"{own}.refold", codes, "-o", back, "-q").err == ""
    expected = refold.load(model).decode(read_codes(codes)[0])
    assert all(np.array_equal(*pair) for pair in zip(read(back), expected, strict=True))


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "npy"])
def test_decode_warns_of_codes_of_an_unknown_model(sines, tmp_path, run, suffix):
    model, codes = sines / "bare.refold", tmp_path / f"codes.{suffix}"
    run("encode", model, sines / "new.parquet", "-o", codes, "-q")
    (line,) = run("decode", model, codes, "-o", tmp_path / "back.npz", "-q").err.splitlines()
    assert line.startswith("Warning: This file does not tell the model of its codes")


@pytest.mark.parametrize("command", ["encode", "reconstruct", "detect"])
def test_one_line_says_that_the_units_differ(sines, tmp_path, run, command):
    new = read(sines / "new.parquet")[:5]
    write(new.with_values(1000 * new.values), tmp_path / "wrong.parquet")
    given = [sines / "sines.refold", tmp_path / "wrong.parquet", "-o", tmp_path / "out.parquet"]
    options = ["--alpha", "0.1"] if command == "detect" else []
    (line,) = run(command, *given, *options, "-q").err.splitlines()
    assert line.startswith("Warning: 100 ")
    assert "% of the values of column 'x0' are far outside of the training data" in line


def test_clip_keeps_numbers_within_their_range(sines, tmp_path, run):
    model, codes, out = sines / "sines.refold", tmp_path / "codes.npy", tmp_path / "out.npz"
    scaler = refold.load(model).scaler
    np.save(codes, 20 * np.eye(4, dtype=np.float32))
    write(as_sequences([np.full(20, 9.0)]), tmp_path / "far.npz")
    for command, by_default in [
        (("generate", model, "-n", 1000, "--seed", 1), True),
        (("decode", model, codes), False),
        (("reconstruct", model, tmp_path / "far.npz"), False),
    ]:
        for options, clipped in [((), by_default), (("--clip",), True), (("--no-clip",), False)]:
            run(*command, *options, "-o", out, "-q")
            values = read(out).values
            within = (scaler.least_ <= values) & (values <= scaler.greatest_)
            assert within.all() == clipped


# Names of columns


def test_a_column_name_that_the_format_needs_for_itself_is_refused(tmp_path, run):
    numbers = [[[1.0, 2.5], [3.0, 4.5]], [[5.5, 6.0]]]
    for name, suffix, is_free in (
        ("id", "csv", False),
        ("time", "csv", False),
        ("id", "npz", True),
        ("level", "csv", True),
    ):
        data = as_sequences(numbers, names=[name, "other"])
        model, codes = untrained(data), tmp_path / "c.npy"
        model.save(tmp_path / "m.refold")
        np.save(codes, model.transform(data))
        given = [tmp_path / "m.refold", codes, "-o", tmp_path / f"b.{suffix}", "-q"]
        shown = run("decode", *given, code=0 if is_free else 2).err
        assert is_free or f"column '{name}', and a .{suffix} file" in shown


def rows(path, *, identity="patient", time="day"):
    rng = np.random.default_rng(0)
    lines = [
        f"{name},{t},{rng.normal():.3f},{rng.normal():.3f},later"
        for name in "abcdef"
        for t in range(5)
    ]
    path.write_text("\n".join([f"{identity},{time},x,y,note", *lines]), encoding="utf-8")
    return path


def header(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return next(csv.reader(stream))


@pytest.fixture(scope="module")
def patients(tmp_path_factory):
    """Return a folder with a table whose columns have names of their own, and a model of it."""
    folder = tmp_path_factory.mktemp("remembered")
    data = str(rows(folder / "data.csv"))
    options = ["--id", "patient", "--time", "day", "--columns", "x,y"]
    more = ["--forecast-steps", "2", "--calibration-fraction", "0.5"]
    with fits_without_epochs():
        output = str(folder / "m.refold")
        assert main(["fit", data, "-o", output, *options, *TINY, *more, "-q"]) == 0
    return folder


@pytest.fixture
def with_model(patients, run):
    """Return a function that runs a command with the model, and returns its output file."""

    def call(command, output, *options, data="data.csv"):
        path = patients / output
        run(command, patients / "m.refold", patients / data, "-o", path, *options, "-q")
        return path

    return call


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_a_model_remembers_the_names_of_ids_and_times(with_model, suffix):
    expected = with_model("encode", f"told.{suffix}", "--id", "patient", "--time", "day")
    codes = with_model("encode", f"codes.{suffix}")
    assert codes.read_bytes() == expected.read_bytes()
    back = with_model("decode", "back.csv", data=codes.name)
    assert header(back) == ["patient", "day", "x", "y"]
    assert read(back, id="patient", time="day").ids.tolist() == list("abcdef")
    back = with_model("reconstruct", f"back.{suffix}")
    assert read(back, id="patient").ids.tolist() == list("abcdef")
    again = with_model("encode", "again.jsonl", data=back.name)
    assert json.loads(again.read_text().splitlines()[0])["patient"] == "a"


def test_tables_of_detect_and_forecast_have_the_names(patients, with_model):
    steps = ["--alpha", "0.5", "--steps", patients / "steps.csv"]
    assert header(with_model("detect", "table.csv", *steps))[:2] == ["patient", "score"]
    assert header(patients / "steps.csv")[:2] == ["patient", "step"]
    ahead = with_model("forecast", "table.csv", "--alpha", "0.5")
    assert header(ahead)[:2] == ["patient", "step"]


def test_options_have_priority_and_default_names_are_read(patients, with_model, run):
    other = rows(patients / "other.csv", identity="who")
    codes = with_model("encode", "who.csv", "--id", "who", data="other.csv")
    assert header(codes) == ["who", "code0", "code1"]
    assert header(with_model("decode", "back.csv", data="who.csv"))[0] == "patient"
    rows(patients / "plain.csv", identity="id", time="time")
    assert header(with_model("encode", "plain-codes.csv", data="plain.csv"))[0] == "id"
    shown = run("encode", patients / "m.refold", other, "-o", patients / "no.csv", code=2).err
    assert "other.csv has no id column 'patient'. Its columns are who," in shown


def test_a_name_of_the_output_table_is_not_used_for_ids(patients, tmp_path, run):
    data = rows(tmp_path / "data.csv", identity="score")
    model = refold.load(patients / "m.refold")
    schema = replace(model.schema, id_name="score")
    replace(model, schema=schema).save(tmp_path / "m.refold")
    run("detect", tmp_path / "m.refold", data, "-o", tmp_path / "odd.csv", "--alpha", "0.5", "-q")
    assert header(tmp_path / "odd.csv")[:2] == ["id", "score"]


# Times since the previous step


@pytest.fixture(scope="module")
def gaps(tmp_path_factory):
    """Return a folder with events of eight users, and a model that was fitted on their gaps."""
    folder = tmp_path_factory.mktemp("gaps")
    rng = np.random.default_rng(0)
    events = [
        {"user": name, "at": float(at), "x": float(rng.normal()), "kind": "known"}
        for name in "abcdefgh"
        for at in np.cumsum(rng.integers(1, 9, 5))
    ]
    with (folder / "data.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, events[0])
        writer.writeheader()
        writer.writerows(events)
    (folder / "data.jsonl").write_text("\n".join(map(json.dumps, events)))
    given = ["--id", "user", "--time", "at", "--columns", "x", "--time-gaps", "-q"]
    with fits_without_epochs():
        model = str(folder / "m.refold")
        assert main(["fit", str(folder / "data.csv"), "-o", model, *given, *TINY]) == 0
    return folder


@pytest.fixture(scope="module")
def gap_codes(gaps):
    data = read(gaps / "data.csv", id="user", time="at", columns=["x"], time_gaps=True)
    model = refold.load(gaps / "m.refold")
    assert model.schema.names == ("x", "time_gap")
    return model.encode(data)


def test_later_commands_compute_the_gaps_or_read_them(gaps, gap_codes, run):
    codes = gaps / "codes.npy"
    for data, options in (("data.csv", []), ("data.jsonl", []), ("data.csv", ["--time-gaps"])):
        run("encode", gaps / "m.refold", gaps / data, "-o", codes, *options, "-q")
        assert np.load(codes).tobytes() == gap_codes.tobytes()
    run("reconstruct", gaps / "m.refold", gaps / "data.csv", "-o", gaps / "back.csv", "-q")
    assert header(gaps / "back.csv") == ["user", "at", "x", "time_gap"]
    run("encode", gaps / "m.refold", gaps / "back.csv", "-o", codes, "-q")
    back = read(gaps / "back.csv", id="user", time="at")
    assert np.load(codes).tobytes() == refold.load(gaps / "m.refold").encode(back).tobytes()
    (gaps / "bare.csv").write_text("user,x\na,1\na,2\n")
    (line,) = run("encode", gaps / "m.refold", gaps / "bare.csv", code=2).err.splitlines()
    assert "no time column 'at'" in line


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_stream_computes_the_gaps(gaps, gap_codes, suffix, run):
    given = [gaps / "m.refold", gaps / f"data.{suffix}", "--id", "user", "--every", "5", "-q"]
    results = map(json.loads, run("stream", *given).out.splitlines())
    assert [result["code"] for result in results] == gap_codes.tolist()


def test_a_stream_of_times(gaps):
    stream = refold.load(gaps / "m.refold").stream()
    stream.push({"x": 1, "at": "2024-01-01T10:00"})
    stream.push([{"x": 1, "at": "2024-01-01T10:00:02.5"}])
    stream.push({"x": 0, "at": "2024-01-02T10:00:02.5"})
    assert stream.sequence.values[:, 1].tolist() == [0, 2.5, 86_400]
    with pytest.raises(DataError, match="Step 3 has the time '2024' after '2024-01-02T10"):
        stream.push({"x": 1, "at": "2024"})
    stream.push([2, 30])
    assert stream.sequence[0][-1].tolist() == [2, 30]
