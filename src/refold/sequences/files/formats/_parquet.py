"""Parquet files in the list or the long layout, with the schema in the metadata."""

import io
import json
from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from refold.errors import FileFormatError
from refold.sequences._sequences import Sequences
from refold.sequences.conversion._arrow_columns import METADATA_KEY, pandas_index
from refold.sequences.files.tables._layout_detection import from_file_table
from refold.sequences.files.tables._long_layout import to_long_table
from refold.sequences.files.tables._wide_layout import find_wide, from_wide_table
from refold.sequences.schema._column_types import ColumnTypes
from refold.sequences.schema._parts import PLAIN_ROWS
from refold.sequences.schema._schema import Schema

__all__ = ["read_parquet", "write_parquet"]


def write_parquet(
    sequences: Sequences,
    *,
    layout: str | None = None,
    id: str = "id",  # noqa: A002
    time: str = "time",
) -> bytes:
    """Return a Parquet file, one row per sequence unless ``layout`` is ``"long"``."""
    long = layout == "long"
    table = to_long_table(sequences, id, time) if long else sequences.to_arrow(id)
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", write_page_checksum=True)
    return buffer.getvalue()


def read_parquet(
    data: bytes,
    name: str,
    *,
    id: str | None = None,  # noqa: A002
    time: str | None = None,
    columns: Sequence[str] | None = None,
    column_types: ColumnTypes = None,
    sort: bool = False,
    layout: str | None = None,
) -> Sequences:
    """Read a Parquet file of this package, or any other in the list, long or wide layout.

    Raises
    ------
    FileFormatError
        If the file is cut short or damaged.
    """
    if len(data) < 12 or not data.endswith(b"PAR1"):
        raise FileFormatError(f"{name} is cut short: it lacks the end of a Parquet file.")
    try:
        file = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
        table = file.read()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise FileFormatError(f"{name} is damaged: {' '.join(str(error).split())}") from error
    check_metadata(table.schema.metadata or {}, name)
    if layout == "wide":
        index = pandas_index(table.schema.metadata or {})
        names = [column for column in table.column_names if column not in index]
        id_column, steps = find_wide(names, name, id=id, time=time, columns=columns)
        return from_wide_table(table, name, id_column, steps, column_types, PLAIN_ROWS)
    return from_file_table(
        table,
        name,
        id=id,
        time=time,
        columns=columns,
        column_types=column_types,
        sort=sort,
        layout=layout,
    )


def check_metadata(metadata: Mapping[bytes, bytes], name: str) -> None:
    """Raise ``FileFormatError`` if the metadata cannot be parsed."""
    for key in (METADATA_KEY, b"pandas"):
        try:
            state = json.loads(metadata.get(key, b"null"))
            if key == METADATA_KEY and state is not None:
                Schema.from_dict(state)
        except ValueError as error:
            raise FileFormatError(f"{name} has damaged metadata: {error}") from error
