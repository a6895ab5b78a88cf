"""Batches of rows from any library, in memory or in a temporary file."""

import gc
import tempfile

import numpy as np
import polars as pl
import pytest

from refold.errors import ParameterError, SchemaError
from refold.sequences import Sequences, read_from_batches
from small_data import draw_ragged_sequences, fit_without_training

SEQUENCES = Sequences.from_list(draw_ragged_sequences())
TABLE = SEQUENCES.to_table(id="id").replace_schema_metadata()
# Batches of seven rows, which divide some sequences.
BATCHES = [TABLE.slice(start, 7) for start in range(0, TABLE.num_rows, 7)]


def generate_batches():
    yield from BATCHES


@pytest.mark.parametrize(
    "batches",
    [
        generate_batches,
        generate_batches(),
        TABLE,
        [batch.to_pandas() for batch in BATCHES],
        pl.from_arrow(TABLE),
        [batch.to_pydict() for batch in BATCHES],
        lambda: TABLE.to_reader(max_chunksize=5),
    ],
    ids=lambda value: type(value).__name__,
)
def test_all_types_of_batches(batches):
    sequences = read_from_batches(batches)
    np.testing.assert_array_equal(sequences.values, SEQUENCES.values)
    np.testing.assert_array_equal(sequences.ids, SEQUENCES.ids)


def test_large_batches_of_any_types():
    first, second = (batch.to_pandas().assign(page="b", day="x") for batch in BATCHES[:2])
    third = second.assign(page="a", day="w", id=second["id"] + 100)
    batches = [batch.astype({"day": "category"}) for batch in (first, second, third)]
    small, large = (read_from_batches(batches, memory_bytes=n) for n in (1 << 20, 1))
    assert (small.is_mapped, large.is_mapped) == (False, True)
    assert large.schema == small.schema
    np.testing.assert_array_equal(large.values, small.values)


def test_the_temporary_file_of_large_data_is_deleted_with_the_data(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    sequences = read_from_batches(generate_batches, memory_bytes=10)
    assert sequences.is_mapped
    renumbered = sequences.with_ids(np.arange(len(sequences)))
    del sequences
    gc.collect()
    assert len(list(renumbered.blocks())) == len(renumbered) == len(SEQUENCES)
    np.testing.assert_array_equal(renumbered.values, SEQUENCES.values)
    del renumbered
    gc.collect()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(SchemaError, match="Batch 1 has other columns"):
        read_from_batches([ONE_ROW, {"x": [1]}], memory_bytes=1)
    assert list(tmp_path.iterdir()) == []


def test_batches_may_begin_without_values_or_have_no_step():
    sequences = read_from_batches([{"id": [1], "x": [None]}, {"id": [1, 2], "x": [2.5, None]}])
    np.testing.assert_array_equal(sequences.values, [[np.nan], [2.5], [np.nan]])
    empty = read_from_batches([{"id": [1, 2], "x": [[], []]}], memory_bytes=1)
    assert (empty.is_mapped, empty.lengths.tolist()) == (True, [0, 0])


def test_fit_and_transform_accept_batches():
    ae = fit_without_training(generate_batches)
    np.testing.assert_array_equal(ae.transform(TABLE.to_reader()), ae.transform(SEQUENCES))


ONE_ROW = {"id": [1], "x": [1]}


@pytest.mark.parametrize(
    ("batches", "error", "message"),
    [
        (lambda: 3, ParameterError, "Expected batches of rows: .* Got a int."),
        ([], ParameterError, "There is no row in the batches. Give at least one"),
        ([[1.0]], ParameterError, "Batch 0 is a list. Expected a table"),
        ([ONE_ROW, {"x": [1]}], SchemaError, "Batch 1 has other .*: it has the columns x. Conv"),
        ([ONE_ROW, ONE_ROW | {"x": [0.5]}], SchemaError, "Batch 1 .* to the same, .*x: int64"),
        ([{"x": [1.0]}], SchemaError, "^The batches.*id"),
    ],
)
def test_bad_batches(batches, error, message):
    with pytest.raises(error, match=message):
        read_from_batches(batches)
