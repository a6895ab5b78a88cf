"""Files that are missing, empty, truncated or of another format give one clear line."""

import io
import os
import pickle
import zipfile

import numpy as np
import pytest

import refold
from refold.datasets import japanese_vowels, ramps
from refold.errors import FileFormatError, ParameterError, RefoldError, SchemaError
from refold.sequences import FileAccessError, MissingFileError, read, write

SUFFIXES = ["parquet", "csv", "jsonl", "npz", "npy", "txt", "ts"]


def array_bytes(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def archive_bytes(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def written(suffix: str) -> bytes:
    """Return the bytes of a file that Refold writes."""
    buffer = io.BytesIO()
    write(["abba", "b"] if suffix == "txt" else japanese_vowels().train[:3], buffer, format=suffix)
    return buffer.getvalue()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_missing(tmp_path, suffix):
    with pytest.raises(MissingFileError, match=rf"There is no file .*nothing\.{suffix}\.$"):
        read(tmp_path / f"nothing.{suffix}")
    with pytest.raises(FileNotFoundError, match="There is no file"):
        read(tmp_path / "no folder" / f"nothing.{suffix}")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_empty(tmp_path, suffix):
    (tmp_path / f"empty.{suffix}").touch()
    with pytest.raises(FileFormatError, match=rf"empty\.{suffix} is empty: it holds no bytes"):
        read(tmp_path / f"empty.{suffix}")


@pytest.mark.parametrize("name", ["data.xlsx", "data.csv.xz", "data.npz.gz", "data"])
def test_an_unknown_suffix_lists_the_known_ones(tmp_path, name):
    known = r"suffix( '\.\w+')?\. Known: \.parquet, \.pq, \.csv, \.tsv, \.jsonl, \.ndjson, \.js"
    with pytest.raises(FileFormatError, match=known):
        read(tmp_path / name)
    with pytest.raises(FileFormatError, match=known):
        write(ramps(), tmp_path / name)


@pytest.mark.parametrize("suffix", ["parquet", "npz", "npy"])
def test_truncated_anywhere(suffix):
    data = written(suffix)
    for end in sorted({*range(1, 40), *range(40, len(data), len(data) // 40), len(data) - 1}):
        with pytest.raises(FileFormatError, match=r"The stream is (cut short|damaged)"):
            read(io.BytesIO(data[:end]), format=suffix)


def test_truncated_text():
    with pytest.raises(FileFormatError, match=r"line 3 is not JSON: .* whole sequence per line"):
        read(io.BytesIO(written("jsonl")[:-20]), format="jsonl")
    with pytest.raises(FileFormatError, match=r"3 fields, but the header has 14\..*cut short"):
        read(io.BytesIO(written("csv").rsplit(b",", 11)[0]), format="csv")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_changed_bytes_never_cause_an_unexpected_error(suffix):
    data = written(suffix)
    rng = np.random.default_rng(0)
    messages = []
    for _ in range(60):
        changed = bytearray(data)
        changed[rng.integers(len(data))] = rng.integers(256)
        try:
            read(io.BytesIO(changed), format=suffix)
        except RefoldError as error:
            messages.append(str(error))
    assert messages
    assert not [message for message in messages if "\n" in message]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    ("other", "seems"),
    [
        ("parquet", "a Parquet file"),
        ("npz", r"a zip archive or \.npz file"),
        ("npy", r"an \.npy file"),
        (b"\x1f\x8b\x08\x00", "a gzip file"),
        (b"\x89HDF\r\n", "an HDF5 file"),
        (pickle.dumps([1, 2]), "a Python pickle, which is never loaded"),
        (b"\x00\x01\x02", "an unknown binary file"),
        ("id,x\n1,2\n".encode("utf-16"), "text in UTF-16"),
    ],
)
def test_another_format_than_the_name(tmp_path, suffix, other, seems):
    if other == suffix:
        other, seems = b"MATLAB 5.0", "a MATLAB file"
    path = tmp_path / f"data.{suffix}"
    path.write_bytes(written(other) if isinstance(other, str) else other)
    with pytest.raises(
        FileFormatError, match=rf"data\.{suffix} is not an? {suffix} file.*It seems to be {seems}"
    ):
        read(path)


@pytest.mark.parametrize("suffix", ["parquet", "npz", "npy"])
def test_text_under_a_binary_name(suffix):
    for text, seems in (("id,x\n1,2\n", "text"), ('{"x": [1]}', "JSON")):
        with pytest.raises(FileFormatError, match=f"It seems to be {seems}"):
            read(io.BytesIO(text.encode()), format=suffix)


def test_json_under_the_name_of_csv():
    with pytest.raises(FileFormatError, match=r"not a csv file\. It seems to be JSON"):
        read(io.BytesIO(b'{"x": [1]}'), format="csv")


def test_pickles_are_refused():
    objects = np.array([[1.0], None], dtype=object)
    for data, suffix in ((array_bytes(objects), "npy"), (archive_bytes(x=objects), "npz")):
        with pytest.raises(FileFormatError, match="Python objects as a pickle, which is never"):
            read(io.BytesIO(data), format=suffix)


def test_arrays_that_are_not_sequences():
    for array in (np.arange(3.0), np.float64(1.0), np.zeros((1, 1, 1, 1))):
        with pytest.raises(FileFormatError, match=r"Expected \(n, steps, features\) or \(n, step"):
            read(io.BytesIO(array_bytes(array)), format="npy")
    x = np.zeros((1, 2, 3))
    for arrays in ({"x": x, "y": x}, {"x": x[0, 0]}, {"x": x, "labels": x[0, 0]}):
        with pytest.raises(FileFormatError, match=r"holds x \(.*Expected one array of shape"):
            read(io.BytesIO(archive_bytes(**arrays)), format="npz")


def test_an_array_of_impossible_size_is_not_allocated():
    header = {"descr": "<f8", "fortran_order": False, "shape": (10**12, 10, 8)}
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, header)
    with pytest.raises(FileFormatError, match="cut short or damaged: Unable to allocate"):
        read(io.BytesIO(buffer.getvalue() + b"abc"), format="npy")


def test_an_archive_of_another_format():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    with pytest.raises(FileFormatError, match=r"'xl/workbook\.xml' in it, not an \.npz file"):
        read(io.BytesIO(buffer.getvalue()), format="npz")


def test_an_archive_that_contradicts_itself():
    own = {"values": np.zeros((3, 1)), "offsets": np.array([0, 9]), "ids": np.array([1])}
    schema = np.array('{"layout": "array", "columns": [{"name": "x", "type": "numeric"}]}')
    for text, reason in (
        (schema, "offsets must rise from 0 to the number of steps, 3"),
        (np.array("{"), "Expecting property name"),
        (np.array('{"columns": 3}'), "A schema must be a dictionary"),
    ):
        with pytest.raises(FileFormatError, match=f"does not hold sequences: {reason}"):
            read(io.BytesIO(archive_bytes(**own, schema=text)), format="npz")
    with pytest.raises(SchemaError, match=r"has column types of its own\. Leave column_types= out"):
        read(io.BytesIO(written("npz")), format="npz", column_types="numeric")


def test_damaged_metadata():
    data = written("parquet")
    at = data.rindex(b'"columns"')
    with pytest.raises(FileFormatError, match="has damaged metadata"):
        read(io.BytesIO(data[:at] + b"\xff" + data[at + 1 :]), format="parquet")


@pytest.mark.parametrize(
    ("suffix", "options", "message"),
    [
        ("npy", {"id": "user"}, "id= does not apply to the format npy, only to parquet, csv, tsv"),
        ("txt", {"column_types": "numeric"}, "column_types= does not apply to the format txt"),
        ("npy", {"sort": True}, "sort= does not apply to the format npy"),
        ("ts", {"time": "t"}, "time= does not apply to the format ts, only to parquet, csv"),
        ("csv", {"unit": "words"}, "unit= does not apply to the format csv, only to jsonl, json"),
        ("txt", {"unit": "letters"}, "unit must be 'characters' or 'words'. Got 'letters'"),
    ],
)
def test_an_argument_without_effect_is_refused(suffix, options, message):
    with pytest.raises(ParameterError, match=message):
        read(io.BytesIO(b"ab"), format=suffix, **options)


@pytest.mark.skipif(os.geteuid() == 0, reason="everything is readable for the superuser")
def test_not_readable(tmp_path):
    (tmp_path / "secret.txt").write_text("ab")
    (tmp_path / "secret.txt").chmod(0)
    with pytest.raises(FileAccessError, match=r"secret\.txt cannot be read: Permission denied"):
        read(tmp_path / "secret.txt")


BIG = "".join(f"{i // 9},{i}.5\n" for i in range(200_000))  # more than a block of Arrow


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('id,x\n1,2\n1,"3\n2,4\n', 3),
        ('id,"x\n1,2\n1,3\n', 1),
        ('id,x\n1,"a\nb"\n1,"c""\n2,d\n', 4),
        ('id;x\r\n1;2\r\n1;"3\r\n2;4\r\n', 3),
        (f'id,x\n{BIG}7,"1\n{BIG}', 200_002),
    ],
    ids=["cell", "header", "after others", "semicolons", "large"],
)
def test_an_open_quote_is_reported_with_its_line(text, line):
    with pytest.raises(FileFormatError, match=f"line {line}: the quote that begins a cell is"):
        read(io.BytesIO(text.encode()), format="csv")


def test_quotes_within_cells_are_characters():
    text = b'id,x\n1,5" pipe\n1,"a ""b"" c"\n2,""\n'
    assert read(io.BytesIO(text), format="csv")[0][:, 0].tolist() == ['5" pipe', 'a "b" c']


def test_addresses_are_refused_as_they_were_typed(tmp_path):
    model = refold.SequenceAutoencoder()
    for call in (
        lambda name: read(f"{name}.csv"),
        lambda name: write(ramps(), f"{name}.csv"),
        lambda name: read(f"{name}.parquet"),
        lambda name: refold.sequences.column_names(f"{name}.csv"),
        lambda name: refold.load(f"{name}.refold"),
        lambda name: model.fit(f"{name}.parquet"),
    ):
        with pytest.raises(FileAccessError, match=r"^s3://bucket/x\.\w+ is an address\."):
            call("s3://bucket/x")
