import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from refold.cli._codes import read_codes
from refold.cli._codes import write_codes as write_blocks
from refold.errors import DataError, FileFormatError

FORMATS = ["parquet", "csv", "jsonl", "npy", "npz"]
ZEROS = np.array(["0001", "01", "1", "7", "-0"])


BINARY = ["parquet", "npy", "npz"]


def write_codes(path, codes, ids, dtype="float32"):
    write_blocks(path, [(codes, ids)], len(codes), dtype=dtype)


@pytest.fixture
def codes():
    return np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("ids", [np.arange(5) + 7, np.array(["a", "b", "c", "d é", "e,"]), ZEROS])
def test_written_codes_are_read_with_the_same_bits(tmp_path, codes, suffix, ids):
    path = tmp_path / f"codes.{suffix}"
    write_codes(path, codes, ids)
    read, read_ids = read_codes(path)
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, codes)
    expected = np.arange(5) if suffix == "npy" else ids
    assert read_ids.tolist() == expected.tolist()


@pytest.mark.parametrize("suffix", FORMATS)
def test_blocks_are_written_in_order(tmp_path, codes, suffix):
    path, ids = tmp_path / f"codes.{suffix}", np.arange(5)
    write_blocks(path, [(codes[:2], ids[:2]), (codes[2:], ids[2:])], 5)
    np.testing.assert_array_equal(read_codes(path)[0], codes)
    assert read_codes(path)[1].tolist() == ids.tolist()


def test_a_name_that_begins_like_a_column_of_codes(tmp_path):
    path = tmp_path / "c.csv"
    path.write_text("codename,code0,code1\na,1,2\nb,3,4\n")
    codes, ids = read_codes(path)
    assert codes.tolist() == [[1, 2], [3, 4]]
    assert ids.tolist() == ["a", "b"]


@pytest.mark.parametrize("suffix", BINARY)
def test_float16_codes_are_read_as_float32(tmp_path, codes, suffix):
    path, ids = tmp_path / f"codes.{suffix}", np.array(["a", "b", "c", "d é", "e,"])
    write_codes(path, codes, ids, "float16")
    read, read_ids = read_codes(path)
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, codes.astype(np.float16).astype(np.float32))
    assert read_ids.tolist() == (list(range(5)) if suffix == "npy" else ids.tolist())


@pytest.mark.parametrize("suffix", BINARY)
def test_float16_codes_are_smaller_and_do_not_depend_on_blocks(tmp_path, suffix):
    codes, ids = np.random.default_rng(0).normal(size=(2000, 3)).astype(np.float32), np.arange(2000)
    whole, parts = tmp_path / f"whole.{suffix}", tmp_path / f"parts.{suffix}"
    write_codes(whole, codes, ids, "float16")
    write_blocks(parts, [(codes[:7], ids[:7]), (codes[7:], ids[7:])], 2000, dtype="float16")
    np.testing.assert_array_equal(read_codes(whole)[0], read_codes(parts)[0])
    assert read_codes(parts)[1].tolist() == ids.tolist()
    plain = tmp_path / f"plain.{suffix}"
    write_codes(plain, codes, ids)
    assert whole.stat().st_size < plain.stat().st_size - 0.6 * 2 * codes.size


@pytest.mark.parametrize("suffix", BINARY)
def test_empty_codes_can_be_written_as_float16(tmp_path, suffix):
    path = tmp_path / f"codes.{suffix}"
    write_codes(path, np.zeros((0, 3), np.float32), np.arange(0), "float16")
    assert read_codes(path)[0].shape == (0, 3)


def test_a_code_too_large_for_float16_leaves_no_file(tmp_path):
    with pytest.raises(DataError, match="row 1 has a value that is too large for float16"):
        write_codes(tmp_path / "c.npy", np.float32([[1], [1e5]]), np.arange(2), "float16")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", FORMATS)
def test_empty_codes_can_be_written(tmp_path, suffix):
    path = tmp_path / f"codes.{suffix}"
    write_codes(path, np.zeros((0, 3), np.float32), np.arange(0))
    if suffix == "jsonl":
        assert path.read_bytes() == b""
    else:
        assert read_codes(path)[0].shape == (0, 3)


def test_parquet_has_one_fixed_size_list_column(tmp_path, codes):
    write_codes(tmp_path / "c.parquet", codes, np.arange(5))
    schema = pq.read_schema(tmp_path / "c.parquet")
    assert schema.names == ["id", "code"]
    assert str(schema.field("code").type).startswith("fixed_size_list<")
    assert schema.field("code").type.list_size == 3


def test_the_contents_of_csv_and_json_lines(tmp_path, codes):
    write_codes(tmp_path / "c.csv", codes, np.arange(5))
    header = (tmp_path / "c.csv").read_text(encoding="utf-8").splitlines()[0]
    assert header == '"id","code0","code1","code2"'
    write_codes(tmp_path / "c.jsonl", codes, np.arange(5))
    first = json.loads((tmp_path / "c.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert first["id"] == 0
    np.testing.assert_array_equal(np.float32(first["code"]), codes[0])


def bad_files(folder):
    np.save(folder / "flat.npy", np.zeros(3))
    np.save(folder / "text.npy", np.array([["a"]]))
    (folder / "fake.npy").write_bytes(b"no array")
    (folder / "empty.npy").write_bytes(b"")
    (folder / "fake.parquet").write_bytes(b"PAR1 and no more")
    pq.write_table(pa.table({"x": [1.0]}), folder / "other.parquet")
    pq.write_table(pa.table({"code": [[1.0], [1.0, 2.0]]}), folder / "ragged.parquet")
    (folder / "other.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    (folder / "words.csv").write_text("id,code0\n1,two\n", encoding="utf-8")
    (folder / "holes.csv").write_text("id,code0\n1,2\n2,\n", encoding="utf-8")
    (folder / "other.jsonl").write_text('{"id": 1}\n', encoding="utf-8")
    (folder / "cut.jsonl").write_text('{"id": 1, "code": [1.0, 2', encoding="utf-8")
    (folder / "blank.jsonl").write_text('\n{"code": [1]}\n\n{"code": [1, 2]}\n', encoding="utf-8")
    (folder / "words.jsonl").write_text('{"code": ["a"]}\n', encoding="utf-8")
    (folder / "twice.csv").write_text("id,code0,code0\n1,2,3\n", encoding="utf-8")
    (folder / "ids.jsonl").write_text('{"id": 1, "code": [1]}\n{"id": [1], "code": [1]}\n')
    (folder / "huge.jsonl").write_text('{"code": [1' + "0" * 400 + "]}\n", encoding="utf-8")
    (folder / "deep.jsonl").write_text("[" * 100_000 + "\n", encoding="utf-8")
    (folder / "codes.txt").write_text("1 2 3", encoding="utf-8")
    np.savez(folder / "other.npz", x=np.zeros((2, 3)))
    np.savez(folder / "ids.npz", code=np.zeros((2, 3)), id=np.arange(3))
    (folder / "fake.npz").write_bytes(b"PK\x03\x04 and no more")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("flat.npy", r"\(n_sequences, latent_dim\). Got shape \(3,\)"),
        ("text.npy", "a numeric array"),
        ("fake.npy", "not a valid .npy file"),
        ("empty.npy", "is empty"),
        ("fake.parquet", "not a valid Parquet file"),
        ("other.parquet", "other.parquet' has no column 'code'; its columns are x"),
        (
            "ragged.parquet",
            "ragged.parquet': The code of row 1 has 2 entries, but that of row 0 has 1",
        ),
        ("other.csv", "no columns code0, code1, ...; its columns are a, b"),
        ("words.csv", "a value that is not a number"),
        ("holes.csv", "code of row 1 is not finite"),
        ("other.jsonl", "line 1: "),
        ("cut.jsonl", "line 1 is not JSON: .* cut short"),
        ("blank.jsonl", "line 4: the code has 2 dimensions"),
        ("words.jsonl", "line 1: "),
        ("twice.csv", "more than one column 'code0'"),
        ("ids.jsonl", "line 2: "),
        ("huge.jsonl", "line 1: "),
        ("deep.jsonl", "line 1 is not JSON"),
        ("other.npz", "no array 'code'"),
        ("ids.npz", r"has 2 codes and ids of shape \(3,\)"),
        ("fake.npz", "not a valid .npz file"),
        ("codes.txt", r"must end in .parquet, .csv, .jsonl, .npy or .npz"),
    ],
)
def test_other_files_are_refused(tmp_path, name, message):
    bad_files(tmp_path)
    with pytest.raises(FileFormatError, match=message):
        read_codes(tmp_path / name)


@pytest.mark.parametrize("suffix", ["parquet", "npy", "npz", "jsonl"])
def test_a_truncated_file_is_refused(tmp_path, codes, suffix):
    path = tmp_path / f"c.{suffix}"
    write_codes(path, codes, np.arange(5))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(FileFormatError, match=f"c.{suffix}"):
        read_codes(path)


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_a_byte_order_mark_is_ignored(tmp_path, codes, suffix):
    path = tmp_path / f"c.{suffix}"
    write_codes(path, codes, np.arange(5))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    back, ids = read_codes(path)
    assert (back.tolist(), ids.tolist()) == (codes.tolist(), list(range(5)))
