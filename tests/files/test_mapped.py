"""Mapped files have the sequences of one table in memory, for any files and row groups."""

import warnings
from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refold.errors import RefoldError
from refold.sequences import Sequences, read, write
from sequences.equal import assert_equal
from small_data import mapped

rng = np.random.default_rng(0)
MIXED_LENGTHS = [3, 0, 1, 7, 2, 0, 0, 12, 5, 1]


def write_parts(table, folder, num_files, group_rows):
    """Write a table as several files, which may divide sequences."""
    folder.mkdir()
    bounds = np.linspace(0, len(table), num_files + 1).astype(int)
    for i, (start, stop) in enumerate(pairwise(bounds)):
        part = table.slice(start, stop - start)
        pq.write_table(part, folder / f"part-{i:03}.parquet", row_group_size=group_rows)
    return folder


def assert_same(found, whole):
    """Compare mapped sequences with the same data in memory."""
    # a table in memory with missing integers takes float64 where float32 is exact
    # a column without any value may have either
    assert found.dtype in (np.float32, whole.dtype) or np.isnan(found.values).all()
    assert len(found) == len(whole)
    assert found.ids.dtype.kind == whole.ids.dtype.kind
    blocks = list(found.blocks())
    assert {block.dtype for block in blocks} == {found.dtype}
    for parts in (blocks, [found]):
        assert all(part.schema == whole.schema for part in parts)
        for name in ("lengths", "ids"):
            together = np.concatenate([getattr(part, name) for part in parts])
            np.testing.assert_array_equal(together, getattr(whole, name))
    values = np.concatenate([block.values for block in blocks]).astype(whole.dtype)
    np.testing.assert_array_equal(bits(values), bits(whole.values))
    assert_equal(found[[-1, 0, 0]], whole[[-1, 0, 0]])


def bits(values):
    return values.view(f"u{values.itemsize}")


def compare(tmp_path, table, num_files=1, group_rows=4, block_bytes=40, **options):
    pq.write_table(table, tmp_path / "whole.parquet")
    folder = write_parts(table, tmp_path / "parts", num_files, group_rows)
    with warnings.catch_warnings(record=True) as expected:
        warnings.simplefilter("always")
        whole = read(tmp_path / "whole.parquet", **options)
    with warnings.catch_warnings(record=True) as got:
        warnings.simplefilter("always")
        found = read(folder, memory_bytes=1, **options)
    found.block_bytes = block_bytes
    assert [str(remark.message) for remark in got] == [str(remark.message) for remark in expected]
    assert [remark.filename for remark in got] == [__file__] * len(got)
    assert_same(found, whole)
    return found


def mixed_columns():
    """Return a column of each type with missing entries, for steps of these lengths."""
    steps = sum(MIXED_LENGTHS)
    event = [["view", "buy", None, "é"][i] for i in rng.integers(0, 4, steps)]
    return {
        "level": pa.array(rng.normal(size=steps), pa.float32()),
        "fine": pa.array(rng.normal(size=steps) * 1e5, pa.float64()),
        "event": pa.array(event),
        "labels": pa.array(event).dictionary_encode(),
        "on": pa.array([[True, False, None][i] for i in rng.integers(0, 3, steps)]),
        "bit": pa.array([[0, 1, None][i] for i in rng.integers(0, 3, steps)], pa.int8()),
        "count": pa.array(rng.integers(0, 300, steps), pa.int16()),
        "nothing": pa.array([None] * steps, pa.float32()),
        "no_text": pa.array([None] * steps, pa.string()),
    }


def long_table(lengths, columns, ids, time=True):
    rows = np.repeat(np.arange(len(lengths)), lengths)
    steps = np.concatenate([np.arange(length) for length in lengths])
    keys = {"id": pa.array(ids).take(pa.array(rows))}
    return pa.table(keys | ({"time": pa.array(steps)} if time else {}) | columns)


def list_table(lengths, columns, ids=None):
    bounds = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
    lists = {name: pa.ListArray.from_arrays(bounds, column) for name, column in columns.items()}
    return pa.table(({} if ids is None else {"id": pa.array(ids)}) | lists)


CUTS = [(1, 1, 1), (3, 1, 400), (3, 3, 1), (1, 3, 400), (3, 1000, 1 << 20), (1, 1000, 1)]


@pytest.mark.parametrize(("num_files", "group_rows", "block_bytes"), CUTS)
@pytest.mark.parametrize("time", [True, False])
def test_long(tmp_path, num_files, group_rows, block_bytes, time):
    lengths = [length for length in MIXED_LENGTHS if length]
    table = long_table(lengths, mixed_columns(), [f"id {i}" for i in range(len(lengths))], time)
    found = compare(tmp_path, table, num_files, group_rows, block_bytes)
    num_blocks = {1: len(lengths), 1 << 20: 1}
    assert block_bytes == 400 or len(list(found.blocks())) == num_blocks[block_bytes]


@pytest.mark.parametrize(("num_files", "group_rows", "block_bytes"), CUTS)
def test_lists(tmp_path, num_files, group_rows, block_bytes):
    columns = mixed_columns()
    columns["labels"] = columns["labels"].cast(pa.string())
    table = list_table(MIXED_LENGTHS, columns, [5, 3, 5, 1, 2, 7, 8, 9, 10, 11])
    compare(tmp_path, table, num_files, group_rows, block_bytes)


@pytest.mark.parametrize("layout", ["list", "long"])
@pytest.mark.parametrize(
    "data",
    [
        ["abba", "", "cab", "b"],
        [["view", "buy"], [], ["view", None]],
        [[1.0, 2.5], [], [3.0]],
        [[101, 205, 101], [307], []],
        [[], [], []],
    ],
)
def test_files_that_refold_wrote(tmp_path, layout, data):
    column_types = "categorical" if data[0][:1] == [101] else None
    sequences = Sequences.from_list(data, column_types=column_types).with_ids(
        ["x", "yy", "z", "w"][: len(data)]
    )
    write(sequences, tmp_path / "data.parquet", layout=layout)
    found = mapped(tmp_path / "data.parquet", block_bytes=4)
    assert_same(found, read(tmp_path / "data.parquet"))
    taken = found.to_list()
    assert [list(sequence) for sequence in taken] == [list(sequence) for sequence in data]


@pytest.mark.parametrize(
    ("columns", "options"),
    [
        ({"a": [None, 1, 0, 1], "b": [1, 2, 3, 4]}, {}),
        ({"a": [1, 1, 2, 5], "b": [1.5, None, 2.5, 1]}, {"column_types": {"a": "categorical"}}),
        ({"a": [0, 1, 0, 1]}, {"column_types": "numeric"}),
        ({"a": ["1.5", " ", None, "2"]}, {"column_types": "numeric"}),
        ({"a": ["1", "0", None, "1"]}, {"column_types": "binary"}),
        ({"a": ["1", "2", None, "<unknown>"]}, {}),
        ({"a": ["1", "2", None, "2"]}, {}),
        ({"a": [0.0, -0.0, 1e300, 1e-300]}, {}),
        ({"a": [2**60, 1, 2, 3], "b": [0.5, 1, 1, 1]}, {"columns": "a"}),
        ({"a": [1, 2, 3, 4], "b": [0.5, 1, 1, 1]}, {"columns": ["b", "a"]}),
    ],
)
@pytest.mark.parametrize("group_rows", [1, 4])
def test_column_types_are_those_of_all_data(tmp_path, columns, options, group_rows):
    arrays = {name: pa.array(values) for name, values in columns.items()}
    (tmp_path / "long").mkdir()
    (tmp_path / "lists").mkdir()
    table = long_table([1, 2, 1], arrays, ["a", "b", "c"])
    compare(tmp_path / "long", table, 2, group_rows, 1, **options)
    compare(tmp_path / "lists", list_table([1, 0, 2, 1], arrays), 2, group_rows, 1, **options)


@pytest.mark.parametrize(
    "nested",
    [
        [[[1, 0], [2, 1]], [], [[0, 0]], None],
        [[[1, 0], [2, None]], [[0, 1]]],
        [[[True, False]], [[True, True], [False, True]]],
        [[["a", "b"]], [["c", "b"], ["b", None]]],
        [[[0.5, 1.0]], [[0.0, 1.0], [1.0, 0.0]]],
        [[], None],
    ],
)
def test_lists_of_lists(tmp_path, nested):
    compare(tmp_path, pa.table({"x": nested}), 2, 1, 1)


def test_wide_numbers_in_lists_of_fixed_size(tmp_path):
    steps = pa.array(rng.normal(size=30), pa.float32())
    nested = pa.ListArray.from_arrays(
        pa.array([0, 4, 4, 10], pa.int32()), pa.FixedSizeListArray.from_arrays(steps, 3)
    )
    found = compare(tmp_path, pa.table({"x": nested}), 1, 2, 1)
    assert found.schema.names == ("x0", "x1", "x2")


def test_interleaved_rows_are_joined_by_time(tmp_path):
    table = long_table([5, 0, 9, 2, 6], {"x": pa.array(rng.normal(size=22))}, list("abcde"))
    order = np.argsort(table["time"].to_numpy() + rng.normal(size=22) * 1e-3, kind="stable")
    compare(tmp_path, table.take(order), 3, 4, 30)


@pytest.mark.parametrize("kind", ["text", "dates", "float", "decimal"])
def test_times_of_any_type(tmp_path, kind):
    times = {
        "text": pa.array([f"2024-01-0{day} 00:00:00" for day in (1, 2, 3, 1, 2)]),
        "dates": pa.array([1, 2, 3, 1, 2], pa.timestamp("us")),
        "float": pa.array([0.5, 0.6, 1e9, -1, 0]),
        "decimal": pa.array([1, 2, 3, 1, 2], pa.int64()).cast(pa.decimal128(22, 2)),
    }
    table = pa.table({"who": [1, 1, 1, 2, 2], "when": times[kind], "x": [1.0, 2, 3, 4, 5]})
    compare(tmp_path, table, 2, 1, 1, id="who", time="when")


@pytest.mark.parametrize("ids", [[7, 8, 9], [1.0, 2.0, 4.0], [1.5, 2.0, 3.0], [True, False, None]])
def test_ids_of_any_type_and_rows_for_empty_sequences(tmp_path, ids):
    ids = [identity for identity in ids if identity is not None]
    table = pa.table(
        {
            "id": [ids[0], ids[1], ids[1], *ids[2:]],
            "time": pa.array([None, 0, 1, *[None for _ in ids[2:]]], pa.int64()),
            "x": pa.array([None, 5.0, None, *[None for _ in ids[2:]]]),
        }
    )
    found = compare(tmp_path, table, 2, 1, 1)
    assert found.lengths.tolist() == [0, 2, 0][: len(ids)]


def test_empty_sequences_only(tmp_path):
    table = pa.table({"id": ["a", "b"], "time": pa.nulls(2, pa.int64()), "x": pa.nulls(2, "str")})
    compare(tmp_path, table, 2, 1, 1)


def test_categories_of_several_files_are_merged(tmp_path):
    (tmp_path / "parts").mkdir()
    parts = [["ab", "a"], ["cb", ""]]
    for i, part in enumerate(parts):
        write(Sequences.from_list(part), tmp_path / "parts" / f"{i}.parquet")
    found = mapped(tmp_path / "parts")
    assert found.schema.columns[0].categories == ("a", "b", "c")
    assert found.to_list() == ["ab", "a", "cb", ""]


def test_folders_are_read_in_the_order_of_names(tmp_path):
    for name in ("b/1.parquet", "a.parquet", "_x/1.parquet", ".h.parquet", "b/_2.parquet", "n.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        pq.write_table(pa.table({"id": [name], "x": [[1.0]]}), tmp_path / name)
    pq.write_table(pa.table({"id": ["z"], "x": [[1.0]]}).slice(1), tmp_path / "empty.parquet")
    assert mapped(tmp_path).ids.tolist() == ["a.parquet", "b/1.parquet"]


def test_blocks_have_about_the_given_size(tmp_path):
    write([[0.0] * length for length in (10, 10, 10, 50, 1, 1)], tmp_path / "x.parquet")
    found = mapped(tmp_path / "x.parquet", block_bytes=80)
    assert found.block_offsets.tolist() == [0, 2, 3, 4, 6]
    found.block_bytes = 200
    assert found.block_offsets.tolist() == [0, 3, 4, 6]
    assert repr(found) == "Sequences(n=6, lengths=1 to 50, 1 numeric)"
    with pytest.raises(IndexError, match="index 6 is out of bounds"):
        found[[6]]
    assert found[[True] + [False] * 5].ids.tolist() == [0]


def test_many_parts(tmp_path, monkeypatch):
    monkeypatch.setattr("refold.files.parquet.PART_BYTES", 600)
    rows = [[float(i + j) for j in range(i % 9)] for i in range(200)]
    write(rows, tmp_path / "lists.parquet")
    write(Sequences.from_list(rows), tmp_path / "long.parquet", layout="long")
    for name in ("lists", "long"):
        found = mapped(tmp_path / f"{name}.parquet")
        assert [list(one) for one in found.to_list()] == rows


def test_tables_of_pandas_and_odd_names(tmp_path):
    frame = pd.DataFrame(
        {
            "id": pd.Categorical(["u", "u", "v", "w"]),
            "a": [1.0, 2, 3, 4],
            "a.b": pd.Categorical(["x", "y", "z", None]),
            "c d": [1, 2, 3, 4],
        },
        index=[3, 5, 7, 11],
    )
    compare(tmp_path, pa.Table.from_pandas(frame), 2, 1, 1)


CELLS = {
    "int8": st.integers(-1, 2),
    "int64": st.integers(-(2**62), 2**62) | st.integers(0, 1),
    "float": st.sampled_from([0.0, 1.0, 0.5, -2.0, float("nan")]),
    "bool": st.booleans(),
    "string": st.sampled_from(["a", "b", "", "1", "<unknown>"]),
}


@st.composite
def tables(draw):
    """Draw a long table, which may be valid or not."""
    num_rows = draw(st.integers(1, 12))
    rows = {"min_size": num_rows, "max_size": num_rows}
    ids = draw(st.lists(st.sampled_from("abc"), **rows))
    if draw(st.booleans()):
        ids = sorted(ids)
    table = {"id": pa.array(ids)}
    if draw(st.booleans()):
        times = [time if draw(st.integers(0, 9)) else None for time in range(num_rows)]
        table["time"] = pa.array(times, pa.int32())
    for i in range(draw(st.integers(1, 2))):
        kind = draw(st.sampled_from(sorted(CELLS)))
        cells = draw(st.lists(CELLS[kind] | st.none(), **rows))
        if "time" in table:
            gone = table["time"].is_null().to_pylist()
            cells = [None if out else cell for out, cell in zip(gone, cells, strict=True)]
        table[f"x{i}"] = pa.array(cells, kind)
        if draw(st.integers(0, 3)) == 0:
            table[f"x{i}"] = table[f"x{i}"].dictionary_encode()
    return pa.table(table)


@settings(max_examples=150, deadline=None)
@given(
    table=tables(),
    column_types=st.sampled_from([None, None, "numeric", "binary", "categorical"]),
    cut=st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 60)),
)
def test_any_long_table_is_read_or_refused_as_in_memory(tmp_path_factory, table, column_types, cut):
    folder = tmp_path_factory.mktemp("any")
    pq.write_table(table, folder / "whole.parquet")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            read(folder / "whole.parquet", column_types=column_types)
        except RefoldError as error:
            with pytest.raises(type(error), match=str(folder)):
                mapped(write_parts(table, folder / "parts", *cut[:2]), column_types=column_types)
            return
        compare(folder, table, *cut, column_types=column_types)


@pytest.mark.parametrize("column_type", ["numeric", "binary", "count"])
def test_text_without_any_value_has_the_dtype_that_it_has_in_memory(tmp_path, column_type):
    texts = pa.array([None, None], pa.string()).dictionary_encode()
    pq.write_table(pa.table({"id": [0, 0], "x": texts}), path := tmp_path / "x.parquet")
    options = {"id": "id", "column_types": {"x": column_type}}
    assert read(path, memory_bytes=1, **options).dtype == read(path, **options).dtype == np.float32
