"""Sequences of a stream of Arrow batches, which go through a temporary Parquet file."""

import shutil
import tempfile
import weakref
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from refold.errors import ParameterError, RefoldError, SchemaError
from refold.sequences._sequences import Sequences
from refold.sequences.conversion._arrow_columns import is_table
from refold.sequences.files._file_access import access_error
from refold.sequences.files._read_or_scan import MEMORY_BYTES, read_or_scan
from refold.sequences.files.scan._scan import Scan
from refold.sequences.schema._column_types import ColumnTypes


def read_batches(
    batches: Any,
    *,
    id: str | None = None,  # noqa: A002
    time: str | None = None,
    columns: Sequence[str] | None = None,
    column_types: ColumnTypes = None,
    time_gaps: bool = False,
    memory_bytes: int = MEMORY_BYTES,
) -> Sequences | Scan:
    """Read sequences from batches of rows, such as those of a database.

    The batches are one table: the rows of a sequence may lie in several of them. They are read
    once, one at a time, and written to a temporary Parquet file, because training needs several
    passes in random order.

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
    Sequences or Scan
        A ``Scan`` of the temporary file if the data is larger. The file is deleted with the
        ``Scan``, or when Python ends.

    Raises
    ------
    ParameterError
        If these are not batches of rows.
    SchemaError
        If a column does not exist, or a batch has other columns or types than the first.
    FileAccessError
        If the temporary file cannot be written, for example because the disk is full. The
        environment variable ``TMPDIR`` chooses another folder.
    RefoldError
        Like `read` and `scan`.

    Examples
    --------
    >>> def days():
    ...     yield {"id": ["a", "a"], "x": [0.5, 1.5]}
    ...     yield {"id": ["a", "b"], "x": [2.5, 0.5]}
    >>> read_batches(days)
    Sequences(n=2, lengths=1 to 3, 1 numeric)
    """
    folder = tempfile.mkdtemp(prefix="refold-")
    path = Path(folder) / "batches.parquet"
    in_file = False
    try:
        _write(_tables(batches), path)
        given = {"id": id, "time": time, "columns": columns, "column_types": column_types}
        given["time_gaps"] = time_gaps or None
        options = {name: value for name, value in given.items() if value is not None}
        found = read_or_scan(path, memory_bytes=memory_bytes, **options)
        in_file = isinstance(found, Scan)
    except RefoldError as error:
        message = error.message.marked.replace(str(path), "The batches")
        raise type(error)(message) from error
    finally:
        if not in_file:
            shutil.rmtree(folder, ignore_errors=True)
    if isinstance(found, Scan):  # all its copies share the files
        weakref.finalize(found._files, shutil.rmtree, folder, ignore_errors=True)
    return found


def is_batches(x: Any) -> bool:
    """Return whether data for a model is a stream of batches, and not a table or a list."""
    return callable(x) or isinstance(x, pa.RecordBatchReader)


def _tables(batches: Any) -> Iterator[pa.Table]:
    if callable(batches):
        batches = batches()
    if isinstance(batches, pa.RecordBatchReader | pa.Table | pa.RecordBatch):
        yield from _each(batches)
    elif is_table(batches):
        yield from _each(pa.RecordBatchReader.from_stream(batches))
    elif hasattr(batches, "__iter__") and not isinstance(batches, str | bytes | Mapping):
        for number, batch in enumerate(batches):
            if not (is_table(batch) or isinstance(batch, Mapping)):
                raise ParameterError(
                    f"Batch {number} is a {type(batch).__name__}. Expected a table, such as a "
                    "pyarrow.RecordBatch or a DataFrame. For a list of arrays, use Sequences."
                )
            yield batch if isinstance(batch, pa.Table) else pa.table(batch)
    else:
        raise ParameterError(
            f"Expected batches of rows: an iterable of tables, a pyarrow.RecordBatchReader, or a "
            f"function that returns one. Got a {type(batches).__name__}."
        )


def _each(stream: Any) -> Iterator[pa.Table]:
    if isinstance(stream, pa.RecordBatchReader):
        for batch in stream:
            yield pa.Table.from_batches([batch])
    else:
        yield stream if isinstance(stream, pa.Table) else pa.Table.from_batches([stream])


def _write(tables: Iterator[pa.Table], path: Path) -> None:
    writer = None
    try:
        for number, table in enumerate(tables):
            if writer is None:
                writer = pq.ParquetWriter(path, table.schema)
            writing = _like(table, writer.schema, number)
            try:
                writer.write_table(writing)
            except OSError as error:
                raise access_error(path, error, writing=True) from error
    finally:
        if writer is not None:
            writer.close()
    if writer is None:
        raise ParameterError("There is no batch. Give at least one, with a row.")


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
        raise SchemaError(
            f"Batch {number} has other types than batch 0: {error}. Convert all batches to the "
            f"same types, {_types(schema)}."
        ) from error


def _types(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name}: {field.type}" for field in schema)
