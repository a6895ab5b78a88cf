"""Files that are missing, empty, truncated or of another format give one clear line."""

import gzip
import io
import os
import pickle
import zipfile

import numpy as np
import pytest

import refold
from refold.datasets import japanese_vowels, ramps
from refold.errors import DataError, FileFormatError, ParameterError, RefoldError, SchemaError
from refold.sequences import FileAccessError, MissingFileError, read, write

BINARY = ["parquet", "npz", "npy"]
SUFFIXES = [*BINARY, "csv", "jsonl", "txt", "ts"]


def array_bytes(array):
    np.save(buffer := io.BytesIO(), array, allow_pickle=True)
    return buffer.getvalue()


def archive_bytes(**arrays):
    np.savez(buffer := io.BytesIO(), **arrays)
    return buffer.getvalue()


def zip_bytes(name):
    with zipfile.ZipFile(buffer := io.BytesIO(), "w") as archive:
        archive.writestr(name, "text")
    return buffer.getvalue()


def written(suffix):
    """Return the bytes of a file that Refold writes."""
    sequences = ["abba", "b"] if suffix == "txt" else japanese_vowels().train[:3]
    write(sequences, buffer := io.BytesIO(), format=suffix)
    return buffer.getvalue()


def huge_header():
    """Return the begin of an array that does not fit into memory."""
    header = {"descr": "<f8", "fortran_order": False, "shape": (10**12, 10, 8)}
    np.lib.format.write_array_header_1_0(buffer := io.BytesIO(), header)
    return buffer.getvalue() + b"abc"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_missing_and_empty(tmp_path, suffix):
    with pytest.raises(MissingFileError, match=rf"There is no file .*nothing\.{suffix}\.$"):
        read(tmp_path / f"nothing.{suffix}")
    with pytest.raises(FileNotFoundError, match="There is no file"):
        read(tmp_path / "no folder" / f"nothing.{suffix}")
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


@pytest.mark.parametrize("suffix", BINARY)
def test_truncated_anywhere(suffix):
    data = written(suffix)
    for end in sorted({*range(1, 40), *range(40, len(data), len(data) // 40), len(data) - 1}):
        with pytest.raises(FileFormatError, match=r"The stream is (cut short|damaged)"):
            read(io.BytesIO(data[:end]), format=suffix)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_changed_bytes_never_cause_an_unexpected_error(suffix):
    data, messages = written(suffix), []
    rng = np.random.default_rng(0)
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
    match = rf"data\.{suffix} is not an? {suffix} file.*It seems to be {seems}"
    with pytest.raises(FileFormatError, match=match):
        read(path)


X = np.zeros((1, 2, 3))
OWN = {"values": X[0, :, :1], "offsets": np.array([0, 9]), "ids": np.array([1])}
SCHEMA = '{"layout": "array", "columns": [{"name": "x", "type": "numeric"}]}'
OBJECTS = np.array([[1.0], None], dtype=object)
PICKLE = "Python objects as a pickle, which is never"
SHAPES = r".* \(n, T, features\), or \(n, T\) for series"
BROKEN = "does not hold sequences: "
PARQUET = written("parquet")
AT = PARQUET.rindex(b'"columns"')


@pytest.mark.parametrize(
    ("data", "suffix", "message"),
    [
        (b"id,x\n1,2\n", "npz", "It seems to be text"),
        (b'{"x": [1]}', "parquet", "It seems to be JSON"),
        (b"\xff" * 9, "npy", "It seems to be an unknown binary file"),
        (b'{"x": [1]}', "csv", r"not a csv file\. It seems to be JSON"),
        (b"a\n\xff\n", "txt", "line 2: byte 0xff is not UTF-8"),
        (gzip.compress(b""), "csv", "is empty: it holds no bytes"),
        (gzip.compress(b"id,x\n1,2\n")[:-6], "csv", r"not a csv file .* or damaged \(Trunc"),
        (written("jsonl")[:-20], "jsonl", "line 3 is not JSON: .* whole sequence per line"),
        (array_bytes(OBJECTS), "npy", PICKLE),
        (archive_bytes(x=OBJECTS), "npz", PICKLE),
        (array_bytes(np.arange(3.0)), "npy", SHAPES),
        (array_bytes(np.float64(1.0)), "npy", SHAPES),
        (archive_bytes(x=X, y=X), "npz", r"holds x \(.*Expected one array of shape"),
        (archive_bytes(x=X, labels=X[0, 0]), "npz", r"holds x \(.*Expected one array of shape"),
        (huge_header(), "npy", "cut short or damaged: Unable to allocate"),
        (zip_bytes("xl/book.xml"), "npz", r"'xl/book\.xml' in it, not an \.npz file"),
        (archive_bytes(**OWN, schema=SCHEMA), "npz", BROKEN + "offsets must rise from 0 to .* 2"),
        (archive_bytes(**OWN, schema="{"), "npz", BROKEN + "Expecting property name"),
        (archive_bytes(**OWN, schema='{"columns": 3}'), "npz", BROKEN + "A schema must be a dict"),
        (PARQUET[:AT] + b"\xff" + PARQUET[AT + 1 :], "parquet", "has damaged metadata"),
    ],
    ids=range(20),
)
def test_bad_content(data, suffix, message):
    with pytest.raises((FileFormatError, DataError), match=f"^The stream.*{message}"):
        read(io.BytesIO(data), format=suffix)


@pytest.mark.parametrize(
    ("suffix", "options", "message"),
    [
        ("npy", {"id": "user"}, "id= does not apply to the format npy, only to parquet, csv, tsv"),
        ("txt", {"column_types": "numeric"}, "column_types= does not apply to the format txt"),
        ("npy", {"sort": True}, "sort= does not apply to the format npy"),
        ("ts", {"time": "t"}, "time= does not apply to the format ts, only to parquet, csv"),
        ("csv", {"unit": "words"}, "unit= does not apply to the format csv, only to jsonl, json"),
        ("txt", {"unit": "letters"}, "unit must be 'characters' or 'words'. Got 'letters'"),
        *(("csv", {"memory_bytes": n}, "memory_bytes must be a positive") for n in (0, True, "1")),
    ],
)
def test_an_argument_without_effect_is_refused(suffix, options, message):
    with pytest.raises(ParameterError, match=message):
        read(io.BytesIO(b"ab"), format=suffix, **options)


def test_an_own_archive_has_its_column_types():
    with pytest.raises(SchemaError, match=r"has column types of its own\. Leave column_types= out"):
        read(io.BytesIO(written("npz")), format="npz", column_types="numeric")


@pytest.mark.skipif(os.geteuid() == 0, reason="everything is readable for the superuser")
def test_not_readable(tmp_path):
    (tmp_path / "secret.txt").write_text("ab")
    (tmp_path / "secret.txt").chmod(0)
    with pytest.raises(FileAccessError, match=r"secret\.txt cannot be read: Permission denied"):
        read(tmp_path / "secret.txt")


@pytest.mark.parametrize(
    ("call", "suffix"),
    [
        (read, "csv"),
        (read, "parquet"),
        (lambda name: write(ramps(), name), "csv"),
        (refold.sequences.column_names, "csv"),
        (refold.load, "refold"),
        (refold.SequenceAutoencoder().fit, "parquet"),
    ],
    ids=range(6),
)
def test_addresses_are_refused_as_they_were_typed(call, suffix):
    with pytest.raises(FileAccessError, match=rf"^s3://bucket/x\.{suffix} is an address\."):
        call(f"s3://bucket/x.{suffix}")
