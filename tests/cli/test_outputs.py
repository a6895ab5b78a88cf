"""Where the commands write, and the column names that an output needs for itself."""

import io
import os
import stat
import sys
from pathlib import Path

import numpy as np
import pytest

from refold.cli import main
from refold.cli._console import loading
from refold.sequences import as_sequences, read, write
from small_data import untrained

NUMBERS = [[[1.0, 2.5], [3.0, 4.5]], [[5.5, 6.0]]]


@pytest.mark.skipif(os.name == "nt", reason="devices of another kind")
def test_a_device_is_not_replaced_by_a_file():
    assert main(["data", "ramps", "-o", os.devnull, "--format", "csv", "-q"]) == 0
    assert stat.S_ISCHR(Path(os.devnull).stat().st_mode)


def test_a_suffix_in_capitals_and_another_name_of_a_format(tmp_path):
    for name in ("a.CSV", "a.ndjson"):
        assert main(["data", "ramps", "-o", str(tmp_path / name), "-q"]) == 0
        assert len(read(tmp_path / name)) == 4


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a", "must end in .parquet, .csv"),
        ("folder.csv", "is a folder"),
        ("file.csv/a.csv", "there is no folder"),
        pytest.param(
            "/proc/self/a.csv",
            "is not writable",
            marks=pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs /proc"),
        ),
    ],
)
def test_an_output_that_cannot_be_written_is_refused_before_the_work(
    tmp_path, monkeypatch, capsys, name, words
):
    monkeypatch.chdir(tmp_path)
    Path("folder.csv").mkdir()
    Path("file.csv").touch()
    assert main(["encode", "no.refold", "no.csv", "-o", name]) == 2
    assert words in capsys.readouterr().err


def test_a_known_suffix_has_priority_if_the_other_input_is_standard_input(
    sines, tmp_path, monkeypatch, capsys
):
    text = "id,x0\n1,0.5\n1,1.5\n2,2.5\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    normal = ["--normal", str(sines / "normal.parquet"), "--alpha", "0.5", "-q"]
    assert main(["detect", str(sines / "bare.refold"), "-", "--format", "csv", *normal]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_a_column_name_that_the_format_needs_for_itself_is_refused(tmp_path, capsys):
    for name, suffix, is_free in (
        ("id", "csv", False),
        ("time", "csv", False),
        ("id", "npz", True),
        ("level", "csv", True),
    ):
        model, codes = untrained(as_sequences(NUMBERS, names=[name, "other"])), tmp_path / "c.npy"
        model.save(tmp_path / "m.refold")
        np.save(codes, model.transform(as_sequences(NUMBERS, names=[name, "other"])))
        arguments = [str(tmp_path / "m.refold"), str(codes), "-o", str(tmp_path / f"b.{suffix}")]
        assert main(["decode", *arguments, "-q"]) == (0 if is_free else 2)
        shown = capsys.readouterr().err
        assert is_free or f"column '{name}', and a .{suffix} file" in shown


def test_an_error_names_the_file_that_the_user_named(sines, tmp_path, capsys):
    write(read(sines / "new.parquet"), tmp_path / "new.csv")
    text = (tmp_path / "new.csv").read_text()
    (tmp_path / "new.log").write_text(text + "9,0,many\n")
    model = str(sines / "bare.refold")
    assert main(["encode", model, str(tmp_path / "new.log"), "--format", "csv"]) == 2
    assert str(tmp_path / "new.log") in capsys.readouterr().err
    assert main(["encode", model, str(tmp_path / "no.log"), "--format", "csv"]) == 2
    assert str(tmp_path / "no.log") in capsys.readouterr().err
    (tmp_path / "new.log").write_text(text)
    assert main(["encode", model, str(tmp_path / "new.log"), "--format", "csv", "-q"]) == 0


@pytest.mark.parametrize("quiet", [False, True])
def test_loading_keras_is_shown_on_a_terminal_only(monkeypatch, capsys, quiet):
    for in_terminal in (True, False):
        monkeypatch.setenv("FORCE_COLOR", "1")
        if not in_terminal:
            monkeypatch.delenv("FORCE_COLOR")
        with loading(quiet=quiet):
            pass
        is_shown = "loading Keras and JAX" in capsys.readouterr().err
        assert is_shown == (in_terminal and not quiet)
