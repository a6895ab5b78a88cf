import os
from pathlib import Path

import pytest

from refold.cli._files_and_streams import (
    CODE_FORMATS,
    data_formats,
    input_format_of,
    plan_output,
    readable,
)
from refold.errors import DataError, ParameterError


def plan(name, format_name=None, formats=None):
    return plan_output(str(name), formats or data_formats(), format_name)


@pytest.mark.parametrize(
    ("name", "expected"), [("a.parquet", "parquet"), ("a.CSV", "csv"), ("a.ndjson", "jsonl")]
)
def test_the_suffix_determines_the_format(tmp_path, name, expected):
    target = plan(tmp_path / name)
    assert target.format == expected
    with target.writing() as path:
        assert path == tmp_path / name
    assert list(tmp_path.iterdir()) == []


def test_a_stream_has_the_given_format_or_the_default():
    assert plan("-").format == "jsonl"
    assert plan("-", "csv").format == "csv"


def test_a_device_is_not_replaced_by_a_file():
    target = plan(os.devnull, "csv")
    with target.writing() as path:
        path.write_text("x", encoding="utf-8")
    assert not Path(os.devnull).is_file()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.xlsx", "must end in .parquet, .csv, .jsonl, .npy or .npz"),
        ("a", "must end in"),
        ("nowhere/a.csv", "there is no folder"),
        ("folder.csv", "is a folder"),
        ("file.csv/a.csv", "there is no folder"),
    ],
)
def test_a_bad_output_is_refused_at_once(tmp_path, name, message):
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "file.csv").touch()
    with pytest.raises(ParameterError, match=message):
        plan(tmp_path / name, formats=CODE_FORMATS)


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder that takes no files")
def test_an_output_folder_that_is_not_writable_is_refused_at_once():
    with pytest.raises(ParameterError, match="is not writable"):
        plan("/proc/self/a.csv")


def test_an_unknown_format_of_a_stream_is_refused():
    with pytest.raises(ParameterError, match=r"one of parquet, csv.*Got 'xlsx'"):
        plan("-", "xlsx")
    with (
        pytest.raises(ParameterError, match=r"Add --format parquet\|csv"),
        readable("-", format_name=None, formats=data_formats()),
    ):
        pass


@pytest.mark.parametrize("name", ["readings.log", "readings.txt", "readings.html"])
def test_the_given_format_has_priority_over_the_suffix(tmp_path, name):
    source = tmp_path / name
    source.write_text("id,x\n", encoding="utf-8")
    with readable(str(source), format_name="csv", formats=data_formats()) as path:
        assert path.suffix == ".csv"
        assert path.read_text(encoding="utf-8") == "id,x\n"


def test_messages_name_the_file_of_the_user(tmp_path):
    source = tmp_path / "readings.log"
    source.touch()
    with (
        pytest.raises(DataError, match=r"^.*readings\.log: no good$"),
        readable(str(source), format_name="csv", formats=data_formats()) as path,
    ):
        raise DataError(f"{path}: no good")


def test_the_error_names_the_missing_file_of_the_user(tmp_path):
    source = str(tmp_path / "codes.txt")
    with (
        pytest.raises(FileNotFoundError, match=r"codes\.txt"),
        readable(source, format_name="csv", formats=CODE_FORMATS) as path,
    ):
        path.stat()


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("a.txt", None), ["csv"]),
        (("a.txt", "b.log"), ["csv", "csv"]),
        (("-", "b.txt"), ["csv", None]),
        (("a.log", "-"), ["csv", "csv"]),
    ],
)
def test_a_known_suffix_has_priority_if_another_input_is_standard_input(names, expected):
    found = [input_format_of(names, name, "csv") for name in names if name is not None]
    assert found == expected
