"""Sequences of a stream of Arrow batches, such as those of a database."""

import itertools
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from refold.errors import ParameterError, SchemaError
from refold.sequences._arrow_columns import is_table, stored_schemas
from refold.sequences._parts import ColumnTypes
from refold.sequences._sequences import Sequences
from refold.sequences.files._folder import deleted_with, open_folder, temporary_folder
from refold.sequences.files._joined_parts import join
from refold.sequences.files._parquet_files import PART_BYTES, Part
from refold.sequences.files._read_write import MEMORY_BYTES, block_bytes_for
from refold.sequences.files._tables import (
    TableLayout,
    TableOptions,
    find_layout,
)


def read_batches(
    batches: Any,
    *,
    id: str | None = None,  # noqa: A002
    time: str | None = None,
    columns: Sequence[str] | None = None,
    column_types: ColumnTypes = None,
    time_gaps: bool = False,
    memory_bytes: int = MEMORY_BYTES,
) -> Sequences:
    """Read sequences from batches of rows, such as those of a database.

    The batches are one table: the rows of a sequence may lie in several of them. They are read
    once, one at a time. If they are large, their values are written to a temporary file, because
    training needs several passes in random order.

    Parameters
    ----------
    batches : iterable, RecordBatchReader or callable
        An iterable of tables (``pyarrow.RecordBatch``, Arrow, pandas or polars tables, dicts of
        columns); or one object with the Arrow stream interface, such as a
        ``pyarrow.RecordBatchReader`` or a DuckDB relation; or a function without arguments that
        returns one of these, such as a generator function.
    id, time, columns, column_types, time_gaps
        As in `refold.sequences.read`.
    memory_bytes : int, default=256 MiB
        Largest size of all values as float32 that is read into memory.

    Returns
    -------
    Sequences
        Mapped from the temporary file if the data is larger. The file is deleted with them, or when
        Python ends.

    Raises
    ------
    SchemaError
        If a column does not exist, or a batch has other columns or types than the first.
    FileAccessError
        If the temporary file cannot be written, for example because the disk is full. The
        environment variable ``TMPDIR`` chooses another folder.
    RefoldError
        Like `read`.

    Examples
    --------
    >>> def days():
    ...     yield {"id": ["a", "a"], "x": [0.5, 1.5]}
    ...     yield {"id": ["a", "b"], "x": [2.5, 0.5]}
    >>> read_batches(days)
    Sequences(n=2, lengths=1 to 3, 1 numeric)
    """
    tables = _tables(batches)
    first = next(tables, None)
    if first is None:
        raise ParameterError("There is no batch. Give at least one, with a row.")
    chosen = [columns] if isinstance(columns, str) else columns
    options = TableOptions(id, time, chosen, column_types, time_gaps=time_gaps)
    layout = find_layout(first.schema, "The batches", options)
    stored = stored_schemas(first.schema.metadata or {})
    with temporary_folder(keep=True) as folder:
        parts = _parts(itertools.chain([first], tables), layout)
        join(parts, folder, layout, first.schema, column_types, stored)
        is_small = 4 * np.load(folder / "values.npy", mmap_mode="r").size <= memory_bytes
        sequences = open_folder(folder, in_memory=is_small)
        if is_small:
            shutil.rmtree(folder)
        else:
            sequences.block_bytes = block_bytes_for(memory_bytes)
            deleted_with(sequences, folder)
    sequences.schema = sequences.schema.read_with(id, time)
    return sequences


def _parts(tables: Iterable[pa.Table], layout: TableLayout) -> Iterator[Part]:
    """Yield the rows of all batches, with the columns and types of the first."""
    schema, row = None, 0
    for number, table in enumerate(tables):
        schema = schema or table.schema
        table = _like(table, schema, number).select(layout.columns).replace_schema_metadata(None)
        rows = max(1, PART_BYTES * len(table) // max(1, table.nbytes))
        for start in range(0, len(table), rows):
            yield Part(table.slice(start, rows), None, row + start)
        row += len(table)
    if not row:
        raise ParameterError("There is no row in the batches. Give at least one.")


def is_batches(x: Any) -> bool:
    """Return whether data for a model is a stream of batches, and not a table or a list."""
    return callable(x) or isinstance(x, pa.RecordBatchReader)


def _tables(batches: Any) -> Iterator[pa.Table]:
    """Yield one table per batch."""
    if callable(batches):
        batches = batches()
    if isinstance(batches, pa.RecordBatch):
        batches = [batches]
    elif is_table(batches) and not isinstance(batches, pa.RecordBatchReader):
        batches = pa.RecordBatchReader.from_stream(batches)
    if isinstance(batches, str | bytes | Mapping) or not hasattr(batches, "__iter__"):
        raise ParameterError(
            f"Expected batches of rows: an iterable of tables, a pyarrow.RecordBatchReader, or a "
            f"function that returns one. Got a {type(batches).__name__}."
        )
    for number, batch in enumerate(batches):
        if not (is_table(batch) or isinstance(batch, Mapping)):
            raise ParameterError(
                f"Batch {number} is a {type(batch).__name__}. Expected a table, such as a "
                "pyarrow.RecordBatch or a DataFrame. For a list of arrays, use Sequences."
            )
        yield batch if isinstance(batch, pa.Table) else pa.table(batch)


def _like(table: pa.Table, schema: pa.Schema, number: int) -> pa.Table:
    """Return a table with the columns and types of the first batch."""
    if sorted(table.column_names) != sorted(schema.names):
        raise SchemaError(
            f"Batch {number} has the columns {table.column_names}, but batch 0 has {schema.names}. "
            "All batches need the same columns."
        )
    try:
        return table.select(schema.names).cast(schema)
    except pa.ArrowException as error:
        types = ", ".join(f"{field.name}: {field.type}" for field in schema)
        raise SchemaError(
            f"Batch {number} has other types than batch 0: {error}. Convert all batches to the "
            f"same types, {types}."
        ) from error
