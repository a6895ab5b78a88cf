"""Code files in each format: what is written is read, and other files are refused."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from refold.cli._codes import read_codes
from refold.cli._codes import write_codes as write_blocks
from refold.errors import DataError, FileFormatError

FORMATS = ["parquet", "csv", "jsonl", "npy", "npz"]
BINARY = ["parquet", "npy", "npz"]
TEXTS = np.array(["a", "b", "c", "d é", "e,"])
ZEROS = np.array(["0001", "01", "1", "7", "-0"])


def write_codes(path, codes, ids, dtype="float32"):
    write_blocks(path, [(codes, ids)], len(codes), dtype=dtype)


@pytest.fixture
def codes():
    return np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("ids", [np.arange(5) + 7, TEXTS, ZEROS])
def test_written_codes_are_read_with_the_same_bits(tmp_path, codes, suffix, ids):
    path = tmp_path / f"codes.{suffix}"
    write_blocks(path, [(codes[:2], ids[:2]), (codes[2:], ids[2:])], 5)
    same, read_ids = read_codes(path)
    assert same.dtype == np.float32
    np.testing.assert_array_equal(same, codes)
    assert read_ids.tolist() == (list(range(5)) if suffix == "npy" else ids.tolist())


@pytest.mark.parametrize("suffix", BINARY)
def test_float16_codes_are_smaller_and_read_as_float32(tmp_path, suffix):
    codes, ids = np.random.default_rng(0).normal(size=(2000, 3)).astype(np.float32), np.arange(2000)
    whole, plain = tmp_path / f"whole.{suffix}", tmp_path / f"plain.{suffix}"
    write_codes(whole, codes, ids, "float16")
    write_codes(plain, codes, ids)
    same, read_ids = read_codes(whole)
    assert same.dtype == np.float32
    np.testing.assert_array_equal(same, codes.astype(np.float16).astype(np.float32))
    assert read_ids.tolist() == ids.tolist()
    assert whole.stat().st_size < plain.stat().st_size - 0.6 * 2 * codes.size


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("suffix", FORMATS)
def test_empty_codes_can_be_written(tmp_path, suffix, dtype):
    path = tmp_path / f"codes.{suffix}"
    write_codes(path, np.zeros((0, 3), np.float32), np.arange(0), dtype)
    if suffix == "jsonl":
        assert path.read_bytes() == b""
    else:
        assert read_codes(path)[0].shape == (0, 3)


def test_a_code_too_large_for_float16_leaves_no_file(tmp_path):
    with pytest.raises(DataError, match="row 1 has a value that is too large for float16"):
        write_codes(tmp_path / "c.npy", np.float32([[1], [1e5]]), np.arange(2), "float16")
    assert list(tmp_path.iterdir()) == []


def test_the_contents_of_files(tmp_path, codes):
    for suffix in ("parquet", "csv", "jsonl"):
        write_codes(tmp_path / f"c.{suffix}", codes, np.arange(5))
    schema = pq.read_schema(tmp_path / "c.parquet")
    assert schema.names == ["id", "code"]
    assert str(schema.field("code").type).startswith("fixed_size_list<")
    header = (tmp_path / "c.csv").read_text(encoding="utf-8").splitlines()[0]
    assert header == '"id","code0","code1","code2"'
    first = json.loads((tmp_path / "c.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert first["id"] == 0
    np.testing.assert_array_equal(np.float32(first["code"]), codes[0])


def test_a_name_that_begins_like_a_column_of_codes(tmp_path):
    path = tmp_path / "c.csv"
    path.write_text("codename,code0,code1\na,1,2\nb,3,4\n")
    codes, ids = read_codes(path)
    assert codes.tolist() == [[1, 2], [3, 4]]
    assert ids.tolist() == ["a", "b"]


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_a_byte_order_mark_is_ignored(tmp_path, codes, suffix):
    path = tmp_path / f"c.{suffix}"
    write_codes(path, codes, np.arange(5))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    back, ids = read_codes(path)
    assert (back.tolist(), ids.tolist()) == (codes.tolist(), list(range(5)))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("fake.npy", "no array", "not a .npy file of codes"),
        ("empty.npy", "", "is empty"),
        ("fake.npz", "PK\x03\x04 and no more", "not a .npz file of codes"),
        ("fake.parquet", "PAR1 and no more", "not a .parquet file of codes"),
        ("other.csv", "a,b\n1,2\n", "has no codes, but a, b. Pass a file that `refold encode`"),
        ("words.csv", "id,code0\n1,two\n", "not a .csv file of codes .*'two'"),
        ("twice.csv", "id,code0,code0\n1,2,3\n", "not a .csv file of codes .*code0"),
        ("other.jsonl", '{"id": 1}\n', "line 1: expected"),
        ("cut.jsonl", '{"id": 1, "code": [1.0, 2', "line 1 is not JSON: .* truncated"),
        ("blank.jsonl", '\n{"code": [1]}\n\n{"code": [1, 2]}\n', "code of row 1 has 2 entries"),
        ("words.jsonl", '\n{"code": ["a"]}\n', "line 2: expected"),
        ("ids.jsonl", '{"id": 1, "code": [1]}\n{"id": [1], "code": [1]}\n', "ids.jsonl'"),
        ("huge.jsonl", '{"code": [1' + "0" * 400 + "]}\n", "line 1: expected"),
        ("deep.jsonl", "[" * 100_000 + "\n", "line 1 is not JSON"),
        ("codes.txt", "1 2 3", "must end in .parquet, .csv, .jsonl, .npy or .npz"),
    ],
)
def test_other_text_is_refused(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content.encode())
    with pytest.raises(FileFormatError, match=message):
        read_codes(tmp_path / name)


def test_other_arrays_and_tables_are_refused(tmp_path):
    np.save(tmp_path / "flat.npy", np.zeros(3))
    np.save(tmp_path / "text.npy", np.array([["a"]]))
    np.savez(tmp_path / "other.npz", x=np.zeros((2, 3)))
    np.savez(tmp_path / "ids.npz", code=np.zeros((2, 3)), id=np.arange(3))
    pq.write_table(pa.table({"x": [1.0]}), tmp_path / "other.parquet")
    pq.write_table(pa.table({"code": [[1.0], [1.0, 2.0]]}), tmp_path / "ragged.parquet")
    for name, message in {
        "flat.npy": r"shape \(n_sequences, width\)\. Got an array of shape \(3,\)",
        "text.npy": "an array of numbers",
        "other.npz": "has no codes, but x",
        "ids.npz": "Got 3 ids for 2 sequences",
        "other.parquet": "has no codes, but x",
        "ragged.parquet": "The code of row 1 has 2 entries, but that of row 0 has 1",
    }.items():
        with pytest.raises(FileFormatError, match=f"{name}': .*{message}"):
            read_codes(tmp_path / name)


@pytest.mark.parametrize("suffix", ["parquet", "npy", "npz", "jsonl"])
def test_a_truncated_file_is_refused(tmp_path, codes, suffix):
    path = tmp_path / f"c.{suffix}"
    write_codes(path, codes, np.arange(5))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(FileFormatError, match=f"c.{suffix}"):
        read_codes(path)
