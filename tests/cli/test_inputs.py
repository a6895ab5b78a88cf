"""Files in common formats and layouts as input of the commands."""

import bz2
import gzip
import io
import json
import sys

import pytest

from refold.cli import main
from refold.sequences import Sequences, write

STEPS = {"a": [0.5, 1.5, 2.5], "b": [1.25], "c": [3.5, 0.25]}
EVENTS = [
    {"id": name, "time": step, "x0": value}
    for name, series in STEPS.items()
    for step, value in enumerate(series)
]
LINES = "".join(json.dumps(event) + "\n" for event in EVENTS)
WIDE = "id,t0,t1,t2\na,0.5,1.5,2.5\nb,1.25,,\nc,3.5,0.25,\n"


def table(delimiter=",", *, decimal=".", events=EVENTS):
    rows = [["id", "time", "x0"], *(map(str, event.values()) for event in events)]
    return "".join(delimiter.join(row).replace(".", decimal) + "\n" for row in rows).encode()


FORMS = {
    "data.csv": (table(";", decimal=","), []),
    "tabs.tsv": (table("\t"), []),
    "data.csv.gz": (gzip.compress(table()), []),
    "events.jsonl.bz2": (bz2.compress(LINES.encode()), []),
    "records.json": (json.dumps(EVENTS, indent=1).encode(), []),
    "named.json": (LINES.replace('"id"', '"who"').encode(), ["--id", "who"]),
    "wide.csv": (WIDE.encode(), ["--layout", "wide"]),
    "unsorted.csv": (table(events=[*EVENTS[1::-1], *EVENTS[2:]]), ["--sort"]),
}
WITH_DATA = [
    "fit",
    "encode",
    "reconstruct",
    "detect",
    "forecast",
    "generate",
    "probe",
    "report",
    "curve",
]


@pytest.fixture
def model(sines):
    """Return a model of one feature with very little training."""
    return str(sines / "bare.refold")


@pytest.fixture
def encode(model, tmp_path):
    def run(*arguments):
        output = tmp_path / "codes.jsonl"
        assert main(["encode", model, *arguments, "-o", str(output), "-q"]) == 0
        return output.read_text()

    return run


@pytest.fixture
def expected(encode, tmp_path):
    """Return the codes of the three sequences."""
    sequences = Sequences.from_list(list(STEPS.values()), ids=list(STEPS))
    write(sequences, tmp_path / "expected.parquet")
    return encode(str(tmp_path / "expected.parquet"))


@pytest.mark.parametrize("name", FORMS)
def test_every_format_gives_the_same_codes(tmp_path, encode, expected, capsys, name):
    data, options = FORMS[name]
    (tmp_path / name).write_bytes(data)
    codes = encode(str(tmp_path / name), *options)
    if "--id" in options:  # the codes have the same id column
        codes = codes.replace(options[options.index("--id") + 1], "id")
    assert codes == expected
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", ["data.csv", "tabs.tsv", "data.csv.gz", "records.json"])
def test_standard_input_is_read_in_the_given_format(encode, expected, monkeypatch, name):
    data, options = FORMS[name]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert encode("-", "--format", name.partition(".")[2], *options) == expected


def test_ignoring_an_index_is_reported_in_one_line(tmp_path, encode, expected, capsys):
    lines = table().decode().splitlines()
    indexed = [f",{lines[0]}", *(f"{row},{line}" for row, line in enumerate(lines[1:]))]
    (tmp_path / "pandas.csv").write_text("\n".join(indexed) + "\n")
    assert encode(str(tmp_path / "pandas.csv")) == expected
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "numbers the rows, like an index of pandas. It is left out." in lines[0]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("unsorted.csv", "id,time,x0\n1,1,2\n1,0,3\n", ["in line 3", "Sort the table with --sort"]),
        ("wide.csv", "who,t0,t1,t2,t3\n1,1,2,3,4\n", ["no column 'id'", "pass --layout wide."]),
        ("both.csv", "id;x0\n1;0,5\n1;0.7\n", ["line 2, column 'x0'", "decimal comma"]),
        (
            "cut.csv.gz",
            gzip.compress(table(), mtime=0)[:30],
            ["cut.csv.gz", "gzip file, cut short"],
        ),
        ("cut.json", "[[1, 2], [3", ["cut.json, line 1 is not JSON", "cut short"]),
        (
            "mixed.jsonl",
            '{"id": 1, "x0": 1}\n{"id": 1, "x0": "a"}\n',
            ["line 2, 'x0': expected a number"],
        ),
    ],
)
def test_an_error_is_one_line(tmp_path, model, capsys, name, text, words):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert main(["encode", model, str(path)]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert len(shown.err.splitlines()) == 1
    assert all(word in shown.err for word in words), shown.err


def test_a_compressed_output_is_refused(tmp_path, model, capsys):
    assert main(["encode", model, "data.csv", "-o", str(tmp_path / "codes.csv.gz")]) == 2
    assert "must end in .parquet, .csv" in capsys.readouterr().err


def test_a_label_column_in_a_wide_table(tmp_path, model, capsys):
    rows = [f"{'high' if i % 2 else 'low'},{i % 2},{i % 2 + i / 50}" for i in range(20)]
    (tmp_path / "wide.csv").write_text("who,t0,t1\n" + "\n".join(rows) + "\n")
    arguments = ["--label", "who", "--layout", "wide", "--json", "-q"]
    assert main(["probe", model, str(tmp_path / "wide.csv"), *arguments]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert json.loads(shown.out)["Refold"]["num_classes"] == 2


@pytest.mark.parametrize("command", WITH_DATA)
def test_every_command_that_reads_data_has_the_options(command, capsys):
    assert main([command, "--help"]) == 0
    shown = capsys.readouterr().out.split()
    assert {"--sort", "--layout", "--id", "--time", "--format"} <= set(shown)
