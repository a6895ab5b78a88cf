"""Bad input gives one line on standard error and exit code 2, and nothing is written."""

import numpy as np
import pytest

import refold
from refold.cli import main
from refold.sequences import write


@pytest.fixture
def model(sines):
    """Return a model of one feature with very little training."""
    return sines / "bare.refold"


@pytest.fixture
def mistake(tmp_path, capsys, monkeypatch):
    """Run a command that must fail without changing the files of the folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
        code = main([str(argument) for argument in arguments])
        shown = capsys.readouterr()
        assert code == 2
        assert shown.out == ""
        lines = shown.err.splitlines()
        assert lines[-1].startswith("Error: ")
        assert all(line.startswith("Warning: ") for line in lines[:-1])
        assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
        return lines[-1]

    return run


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fit"], ["argument DATA is missing", "Try: refold fit --help"]),
        (["fit", "a.csv"], ["option --output is missing", "Try: refold fit --help"]),
        (["fit", "a.csv", "-o"], ["option -o needs a value"]),
        (["nothing"], ['Unknown command "nothing"', "Try: refold --help"]),
        (["fit", "a.csv", "-o", "m.refold", "--latent-dim", "two"], ["--latent-dim", '"two"']),
        (["fit", "a.csv", "-o", "m.refold", "--wings", "2"], ["Unknown option: --wings"]),
        (["fit", "--colums", "a", "a.csv", "-o", "m.refold"], ["Did you mean --columns?"]),
        (["info", "m.refold", "n.refold"], ["too many arguments: n.refold"]),
        (["info", "--jsn"], ["Unknown option: --jsn. Did you mean --json?"]),
        (["fit", "a.csv", "-o", "m.refold"], ["no file a.csv"]),
        (["fit", "a.csv", "-o", "m.keras"], ["'m.keras' must end in .refold"]),
        (["fit", "a.csv", "-o", "x/m.refold"], ["no folder 'x'", "Create it first"]),
        (["fit", "a.doc", "-o", "m.refold"], ["unknown suffix '.doc'"]),
        (["fit", "-", "-o", "m.refold"], ["Add --format parquet|csv|"]),
        (["fit", "a.txt", "-o", "m.refold", "--unit", "lines"], ["--unit", "'lines'"]),
        (["fit", "a.csv", "-o", "m.refold", "--columns", "a,,b"], ["--columns", "empty name"]),
        (
            ["fit", "a.csv", "-o", "m.refold", "--column-types", "a=binary,b"],
            ["--column-types", "or for none"],
        ),
        (["encode", "m.refold", "a.csv", "-o", "c.txt"], ["'c.txt' must end in .parquet, .csv"]),
        (["encode", "-", "-"], ["Only one input can be standard input"]),
        (["info", "m.refold"], ["m.refold"]),
        (["data", "moving-zeros"], ["no data set 'moving-zeros'", "moving-ones"]),
        (["data", "moving-ones", "-n", "0"], ["must be a positive integer", "Got 0"]),
        (["data", "-o", "a.csv"], ["Name a data set to write", "moving-ones"]),
        (["data", "japanese-vowels", "-o", "v.csv", "--labels", "./v.csv"], ["another output"]),
        (["encode", "m.refold", "a.csv", "-o", "a.csv"], ["'a.csv' would overwrite an input"]),
        (["detect", "m.refold", "a.csv", "-o", "b.csv", "--steps", "b.csv"], ["another output"]),
        (
            ["detect", "m.refold", "a.csv", "-o", "c.csv", "--normal", "c.csv"],
            ["overwrite an input"],
        ),
        (["generate", "m.refold", "--compare", "a.csv", "-o", "a.csv"], ["overwrite an input"]),
        (["fit", "a.csv", "-o", "m.refold", "--seed", str(2**32)], ["--seed"]),
        (["fit", "a.csv", "-o", "m.refold", "--seed", "-1"], ["--seed"]),
        (["data", "ramps", "--format", "xlsx"], ["one of parquet, csv", "'xlsx'"]),
        (["demo", "-o", "/dev/null"], ["'/dev/null' is a file. Name a folder."]),
    ],
)
def test_bad_arguments(mistake, arguments, words):
    line = mistake(*arguments)
    assert all(word in line for word in words), line


def table(*rows):
    return "\n".join(rows) + "\n"


FILES = {
    "empty.csv": "",
    "header.csv": "id,x\n",
    "noid.csv": table("who,x", "1,2", "1,3"),
    "text.csv": table("id,x", "1,2", "1,many", "2,3"),
    "infinite.csv": table("id,x", "1,2", "1,inf", "2,3"),
    "unsorted.csv": table("id,time,x", "1,1,2", "1,0,3", "2,0,3"),
    "repeated.csv": table("id,time,x", "1,0,2", "1,0,3", "2,0,3"),
    "missing.csv": table("id,x,y", "1,2,", "1,3,", "2,4,"),
    "one.csv": table("id,x", "1,2", "1,3"),
    "two.csv": table("id,x,y", "1,2,3", "2,4,5"),
    "cut.jsonl": "[1, 2, 3]\n[1, 2",
    "none.jsonl": "\n",
    "ragged.jsonl": "[[1, 2], [3, 4]]\n[[1], [2]]\n",
    "fake.parquet": "no table",
    "fake.npz": "no archive",
    "fake.refold": "no model",
}


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("empty.csv", [], ["empty.csv"]),
        ("header.csv", [], ["header.csv", "no rows"]),
        ("noid.csv", [], ["no column 'id'", "Name one with --id", "who, x"]),
        ("noid.csv", ["--id", "whom"], ["no id column 'whom'", "who, x"]),
        ("noid.csv", ["--id", "who", "--columns", "z"], ["no column 'z'"]),
        ("text.csv", ["--column-types", "numeric"], ["many", "'x'"]),
        ("infinite.csv", [], ["inf", "'x'"]),
        (
            "unsorted.csv",
            [],
            ["unsorted.csv", "Id 1", "line 3", "Sort the table", "'time'", "--sort"],
        ),
        ("repeated.csv", [], ["repeated.csv", "time"]),
        ("missing.csv", [], ["'y'"]),
        ("one.csv", [], ["sequence"]),
        ("cut.jsonl", [], ["cut.jsonl", "line 2"]),
        ("none.jsonl", [], ["none.jsonl"]),
        ("ragged.jsonl", [], ["ragged.jsonl"]),
        ("fake.parquet", [], ["fake.parquet is not a parquet file"]),
        ("fake.npz", [], ["fake.npz is not an npz file"]),
        ("two.csv", ["--latent-dim", "0"], ["--latent-dim must be a positive integer", "Got 0"]),
        ("two.csv", ["--architecture", "tower"], ["--architecture must be one of", "'tower'"]),
        ("two.csv", ["--scale", "big"], ["--scale must be one of", "'big'"]),
        ("two.csv", ["--validation-fraction", "1.5"], ["--validation-fraction must be"]),
        ("two.csv", ["--max-epochs", "-1"], ["--max-epochs must be a positive integer"]),
    ],
)
def test_data_that_cannot_be_fitted(mistake, tmp_path, name, options, words):
    (tmp_path / name).write_text(FILES[name], encoding="utf-8")
    line = mistake("fit", name, "-o", "m.refold", "--max-epochs", "1", *options)
    assert all(word in line for word in words), line


def test_classic_models_refuse_empty_sequences(mistake, tmp_path):
    (tmp_path / "a.jsonl").write_text("[1.5, 2.5, 3.5]\n[]\n[2.5, 1.5, 3.5]\n", encoding="utf-8")
    line = mistake("fit", "a.jsonl", "-o", "m.refold", "--architecture", "repeat")
    assert "sequence 1 has length 0" in line
    assert "use --architecture default" in line


def test_data_of_another_schema(mistake, tmp_path, model):
    (tmp_path / "two.csv").write_text(FILES["two.csv"], encoding="utf-8")
    assert "2 features" in mistake("encode", model, "two.csv", "-o", "c.npy")


@pytest.mark.parametrize("command", ["info", "encode"])
def test_a_file_that_is_not_a_model(mistake, tmp_path, model, command):
    write(refold.datasets.noisy_sines(3, seed=0), tmp_path / "a.npz")
    (tmp_path / "fake.refold").write_text(FILES["fake.refold"], encoding="utf-8")
    (tmp_path / "cut.refold").write_bytes(model.read_bytes()[:-100])
    for name in ("fake.refold", "cut.refold"):
        line = mistake(command, name, *(["a.npz", "-o", "c.npy"] if command == "encode" else []))
        assert name in line


def test_codes_that_do_not_fit(mistake, tmp_path, model):
    np.save(tmp_path / "wide.npy", np.zeros((2, 5)))
    np.save(tmp_path / "codes.npy", np.zeros((2, 4)))
    assert "shape (n_sequences, 4)" in mistake("decode", model, "wide.npy", "-o", "b.npz")
    for lengths, words in [
        ("1,2,3", "3 lengths for 2"),
        ("-1", "negative"),
        ("a", "integers or a file"),
        ("codes.npy", "integers or a file"),  # a file without text
        ("3," * 300 + "x", "integers or a file"),  # longer than the name of a file
    ]:
        line = mistake("decode", model, "codes.npy", "-o", "b.npz", "--lengths", lengths)
        assert words in line


def test_an_error_of_refold_itself_keeps_its_traceback(monkeypatch):
    from refold.cli._process import run

    def broken():
        raise ZeroDivisionError("a fault")

    with pytest.raises(ZeroDivisionError, match="a fault"):
        run(broken)


def test_a_warning_is_one_line(capsys):
    import warnings

    from refold.cli._process import run

    assert run(lambda: warnings.warn("a constant\n feature", UserWarning, stacklevel=1)) == 0
    assert capsys.readouterr().err == "Warning: a constant feature\n"


def test_a_checkpoint_is_not_overwritten(mistake, tmp_path):
    (tmp_path / "two.csv").write_text(FILES["two.csv"], encoding="utf-8")
    (tmp_path / "m.refold.checkpoint").write_bytes(b"hours of work")
    line = mistake("fit", "two.csv", "-o", "m.refold")
    assert "'m.refold.checkpoint' of an interrupted training run would be overwritten" in line
