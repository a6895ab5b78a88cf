"""Compressed files; files that are missing, empty, truncated or of another format."""

import bz2
import gzip
import io

import numpy as np
import pytest

from refold.datasets import japanese_vowels, ramps
from refold.errors import (
    DataError,
    FileAccessError,
    FileFormatError,
    MissingFileError,
    ParameterError,
    RefoldError,
)
from refold.sequences import column_names, read, write

BINARY = ["parquet", "npz", "npy"]
SUFFIXES = [*BINARY, "csv", "jsonl", "txt", "ts"]


def array_bytes(array):
    np.save(buffer := io.BytesIO(), array, allow_pickle=True)
    return buffer.getvalue()


def archive_bytes(**arrays):
    np.savez(buffer := io.BytesIO(), **arrays)
    return buffer.getvalue()


def written_bytes(suffix):
    """Return the bytes of a file that Refold writes."""
    sequences = ["abba", "b"] if suffix == "txt" else japanese_vowels().train[:3]
    write(sequences, buffer := io.BytesIO(), format=suffix)
    return buffer.getvalue()


@pytest.mark.parametrize("suffix", ["csv.gz", "tsv.bz2", "jsonl.zst"])
def test_written_files_are_read(tmp_path, suffix):
    write(ramps(), path := tmp_path / f"ramps.{suffix}")
    assert path.read_bytes()[:2] in (b"\x1f\x8b", b"BZ", b"\x28\xb5")
    np.testing.assert_array_equal(read(path).values.astype(np.float32), ramps().values)


def test_compression_is_recognized_with_any_name(tmp_path):
    text = b"id;x\n1;0,5\n1;2\n"
    for name, data in (("a.csv", gzip.compress(text)), ("b.CSV.GZ", text)):
        (tmp_path / name).write_bytes(data)
        assert read(tmp_path / name)[0][:, 0].tolist() == [0.5, 2]
        assert column_names(tmp_path / name) == ["id", "x"]
    assert read(io.BytesIO(bz2.compress(text)), format="csv")[0][:, 0].tolist() == [0.5, 2]
    assert read(io.BytesIO(b"BZh9 is no mark\n"), format="txt").lengths.tolist() == [15]


def test_a_small_file_that_unpacks_to_more_than_it_may(monkeypatch):
    monkeypatch.setattr("refold.files.formats._MAX_UNPACKED_BYTES", 1 << 20)
    packed = io.BytesIO(gzip.compress(b"[1.0]\n" * (1 << 18)))
    with pytest.raises(FileFormatError, match=r"unpacks to more than .* unpack it first"):
        read(packed, format="jsonl")


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_missing_and_empty_files(tmp_path, suffix):
    for folder in (tmp_path, tmp_path / "no folder"):
        with pytest.raises(MissingFileError, match=rf"There is no file .*nothing\.{suffix}\.$"):
            read(folder / f"nothing.{suffix}")
    (tmp_path / f"empty.{suffix}").touch()
    with pytest.raises(FileFormatError, match=rf"empty\.{suffix} is empty: it holds no bytes"):
        read(tmp_path / f"empty.{suffix}")


@pytest.mark.parametrize("name", ["data.xlsx", "data.npz.gz", "data"])
def test_an_unknown_suffix_lists_the_known_ones(tmp_path, name):
    for call in (read, lambda path: write(ramps(), path)):
        with pytest.raises(FileFormatError, match=r"suffix.*\. Known: \.parquet, \.pq, \.csv, "):
            call(tmp_path / name)


@pytest.mark.parametrize("suffix", BINARY)
def test_files_cut_at_any_byte(suffix):
    data = written_bytes(suffix)
    for end in sorted({*range(1, 40, 3), *range(40, len(data), len(data) // 20), len(data) - 1}):
        with pytest.raises(FileFormatError, match=r"The stream is (cut short|damaged)"):
            read(io.BytesIO(data[:end]), format=suffix)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_changed_bytes_never_cause_an_unexpected_error(suffix):
    data, messages = written_bytes(suffix), []
    rng = np.random.default_rng(0)
    for _ in range(40):
        changed = bytearray(data)
        changed[rng.integers(len(data))] = rng.integers(256)
        try:
            read(io.BytesIO(changed), format=suffix)
        except RefoldError as error:
            messages.append(str(error))
    assert messages
    assert not [message for message in messages if "\n" in message]


ARRAY = np.zeros((1, 2, 3))
SCHEMA = '{"layout": "array", "columns": [{"name": "x", "type": "numeric"}]}'
REFOLD_ARRAYS = {"values": ARRAY[0, :, :1], "offsets": [0, 9], "ids": [1], "schema": SCHEMA}
OBJECT_ARRAY = np.array([[1.0], None], dtype=object)
PICKLE_MESSAGE = "not an array of numbers: .* A pickle is never loaded"
SHAPE_MESSAGE = r".* \(n, T, features\), or \(n, T\) for series"
PARQUET_BYTES = written_bytes("parquet")


@pytest.mark.parametrize(
    ("data", "suffix", "message"),
    [
        (b"id,x\n1,2\n", "npz", r"is not an npz file: it begins with b'id,x\\n1,2\\n'\. W"),
        (written_bytes("npz"), "parquet", r"is not a parquet file: it begins with b'PK"),
        (PARQUET_BYTES, "csv", "is not a csv file: it holds zero bytes"),
        (b"a\n\xff\n", "txt", "line 2: byte 0xff is not UTF-8"),
        (gzip.compress(b"id,x\n1,2\n")[:-6], "csv", r"not a csv file .* or damaged \(Trunc"),
        (written_bytes("jsonl")[:-20], "jsonl", "line 3 is not JSON: .* whole sequence per line"),
        (array_bytes(OBJECT_ARRAY), "npy", PICKLE_MESSAGE),
        (array_bytes(np.arange(3.0)), "npy", SHAPE_MESSAGE),
        (archive_bytes(x=ARRAY, y=ARRAY), "npz", r"holds x \(.*Expected one array of shape"),
        (archive_bytes(**REFOLD_ARRAYS), "npz", "hold sequences: offsets must rise from 0 to .* 2"),
        (PARQUET_BYTES.replace(b'"columns"', b'\xffcolumns"'), "parquet", "hold a damaged schema"),
    ],
    ids=range(11),
)
def test_bad_content(data, suffix, message):
    with pytest.raises((FileFormatError, DataError), match=f"^The stream.*{message}"):
        read(io.BytesIO(data), format=suffix)


@pytest.mark.parametrize(
    ("suffix", "options", "message"),
    [
        ("npy", {"id": "user"}, "id= does not apply to the format npy, only to parquet, csv, tsv"),
        ("csv", {"text_unit": "words"}, "text_unit= does not apply .* csv, only to jsonl, json"),
        ("txt", {"text_unit": "lines"}, "text_unit must be 'characters' or 'words'. Got 'lines'"),
        *(("csv", {"memory_bytes": n}, "memory_bytes must be a positive") for n in (0, True)),
    ],
)
def test_an_argument_without_effect_is_refused(suffix, options, message):
    with pytest.raises(ParameterError, match=message):
        read(io.BytesIO(b"ab"), format=suffix, **options)


@pytest.mark.parametrize("call", [read, lambda name: write(ramps(), name), column_names])
def test_addresses_are_refused_as_they_were_typed(call):
    with pytest.raises(FileAccessError, match=r"^s3://bucket/x\.csv is an address\."):
        call("s3://bucket/x.csv")
