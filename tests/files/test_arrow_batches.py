"""Batches of rows from any library, in memory or in a temporary file."""

import gc
import tempfile

import numpy as np
import pandas as pd
import polars as pl
import pytest

from refold.errors import ParameterError, SchemaError
from refold.sequences import Sequences, read_batches
from small_data import ragged, untrained

SEQUENCES = Sequences.from_list(ragged())
TABLE = SEQUENCES.to_table(id="id").replace_schema_metadata()
# The rows of a sequence are in two batches.
PARTS = [TABLE.slice(start, 7) for start in range(0, TABLE.num_rows, 7)]


def parts():
    yield from PARTS


@pytest.mark.parametrize(
    "batches",
    [
        parts,
        parts(),
        TABLE,
        [part.to_pandas() for part in PARTS],
        pl.from_arrow(TABLE),
        [part.to_pydict() for part in PARTS],
        lambda: TABLE.to_reader(max_chunksize=5),
    ],
    ids=lambda value: type(value).__name__,
)
def test_all_types_of_batches(batches):
    found = read_batches(batches)
    np.testing.assert_array_equal(found.values, SEQUENCES.values)
    np.testing.assert_array_equal(found.ids, SEQUENCES.ids)


def test_large_batches_of_any_types():
    batches = [
        part.to_pandas().assign(page="b", day=pd.Categorical(["x"] * 7)) for part in PARTS[:2]
    ]
    batches += [
        batches[1].assign(page="a", id=batches[1]["id"] + 100, day=pd.Categorical(["w"] * 7))
    ]
    small, large = (read_batches(batches, memory_bytes=size) for size in (1 << 20, 1))
    assert (small.is_mapped, large.is_mapped) == (False, True)
    assert large.schema == small.schema
    np.testing.assert_array_equal(large.values, small.values)


def test_large_data_is_in_a_temporary_file_while_it_is_used(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    found = read_batches(parts, memory_bytes=10)
    assert found.is_mapped
    again = found.with_ids(np.arange(len(found)))
    del found
    gc.collect()
    assert len(list(again.blocks())) == len(again) == len(SEQUENCES)
    np.testing.assert_array_equal(again.values, SEQUENCES.values)
    del again
    gc.collect()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(SchemaError, match="Batch 1 has other columns"):
        read_batches([X, {"x": [1]}], memory_bytes=1)
    assert list(tmp_path.iterdir()) == []


def test_batches_may_begin_without_values():
    found = read_batches([{"id": [1], "x": [None]}, {"id": [1, 2], "x": [2.5, None]}])
    np.testing.assert_array_equal(found.values, [[np.nan], [2.5], [np.nan]])


def test_fit_and_transform_accept_batches():
    ae = untrained(parts)
    np.testing.assert_array_equal(ae.transform(TABLE.to_reader()), ae.transform(SEQUENCES))


X = {"id": [1], "x": [1]}


@pytest.mark.parametrize(
    ("batches", "error", "message"),
    [
        (lambda: 3, ParameterError, "Expected batches of rows: .* Got a int."),
        ([], ParameterError, "There is no row in the batches. Give at least one"),
        ([[1.0]], ParameterError, "Batch 0 is a list. Expected a table"),
        ([X, {"x": [1]}], SchemaError, "Batch 1 has other columns .*: it has the columns x. Conv"),
        ([X, {"id": [1], "x": [0.5]}], SchemaError, "Batch 1 has other .* to the same, .*x: int64"),
        ([{"x": [1.0]}], SchemaError, "^The batches.*id"),
    ],
)
def test_bad_batches(batches, error, message):
    with pytest.raises(error, match=message):
        read_batches(batches)
