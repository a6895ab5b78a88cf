"""Parquet files in the list or the long layout, with the schema in the metadata."""

import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from refold.errors import FileFormatError
from refold.sequences._arrow_columns import METADATA_KEY, pandas_index
from refold.sequences._schema import Schema
from refold.sequences._sequences import Sequences
from refold.sequences.files._tables import TableOptions, from_file_table, to_long_table


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


def read_parquet(data: bytes, name: str, **options: Any) -> Sequences:
    """Read a Parquet file of this package, or any other in the list, long or wide layout."""
    with opened(data, name) as file:
        table = file.read()
    metadata = table.schema.metadata or {}
    check_metadata(metadata, name)
    index = pandas_index(metadata)
    names = [column for column in table.column_names if column not in index]
    return from_file_table(table, name, TableOptions(**options), names=names)


@contextmanager
def opened(data: bytes, name: str) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file, and turn errors of Arrow into errors that name it."""
    try:
        yield pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise FileFormatError(f"{name} is damaged: {' '.join(str(error).split())}") from error


def check_metadata(metadata: Mapping[bytes, bytes], name: str) -> None:
    """Raise ``FileFormatError`` if the metadata cannot be parsed."""
    for key in (METADATA_KEY, b"pandas"):
        try:
            state = json.loads(metadata.get(key, b"null"))
            if key == METADATA_KEY and state is not None:
                Schema.from_dict(state)
        except ValueError as error:
            raise FileFormatError(f"{name} has damaged metadata: {error}") from error
