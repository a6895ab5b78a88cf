"""Rows on their way into an index, in a temporary file if they are many."""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

# Bytes that stay in memory.
_MOST_BYTES = 1 << 26


@contextmanager
def spooled(tables: Iterable[pa.Table], folder: Path | None) -> Iterator[pa.RecordBatchReader]:
    """Collect tables, of which there is at least one, and read them as one."""
    # An index gets all rows or none, so nothing is written to it before all of them are there. The
    # file has no name, so a process that is killed leaves none.
    with tempfile.SpooledTemporaryFile(_MOST_BYTES, dir=folder and str(folder)) as file:
        remaining = iter(tables)
        first = next(remaining)
        with pa.ipc.new_stream(file, first.schema) as writer:
            writer.write_table(first)
            for table in remaining:
                writer.write_table(table.cast(first.schema))
        file.seek(0)
        with pa.ipc.open_stream(file) as rows:
            yield rows
