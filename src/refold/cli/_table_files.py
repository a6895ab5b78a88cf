"""Atomic writing of result tables as JSON lines, CSV or Parquet."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import refold
from refold.cli._files_and_streams import format_of

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["write_table"]


def write_table(path: Path, table: "pa.Table") -> None:
    """Write a table in the format of the file suffix: ``.jsonl``, ``.csv`` or ``.parquet``."""
    import pyarrow.parquet as pq
    from pyarrow import csv

    chosen = format_of(path)
    with refold.sequences.atomic_writer(path) as stream:
        if chosen == "parquet":
            pq.write_table(table, stream)
        elif chosen == "csv":
            csv.write_csv(table, stream)
        else:
            for row in table.to_pylist():
                stream.write((json.dumps(row) + "\n").encode())
