"""Atomic writing of result tables as JSON lines, CSV or Parquet."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import refold
from refold.cli._files_and_streams import format_of


class ResultTable(Protocol):
    """What is written of a `pyarrow.Table`, which is not imported before a command runs."""

    schema: Any

    def to_pylist(self) -> list[dict[str, Any]]:
        """Return a mapping of column names to values for each row."""
        ...


def write_table(path: Path, table: ResultTable) -> None:
    """Write a table in the format of the file suffix: ``.jsonl``, ``.csv`` or ``.parquet``."""
    write_tables(path, [table])


def write_tables(path: Path, tables: Iterable[ResultTable], **parquet: Any) -> None:
    """Write tables with the same columns as one, in the format of the file suffix."""
    import pyarrow.parquet as pq
    from pyarrow import csv

    chosen, writer = format_of(path), None
    with refold.sequences.atomic_writer(path) as stream:
        for table in tables:
            if chosen == "jsonl":
                stream.writelines(f"{json.dumps(row)}\n".encode() for row in table.to_pylist())
                continue
            if writer is None:
                writer = (
                    pq.ParquetWriter(stream, table.schema, **parquet)
                    if chosen == "parquet"
                    else csv.CSVWriter(stream, table.schema)
                )
            writer.write_table(table)
        if writer is not None:
            writer.close()
