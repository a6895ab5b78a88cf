"""Labels that stand beside sequences in their own file."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from refold.cli._io import format_of

__all__ = ["leave_out"]


def leave_out(label: str, path: Path, options: dict[str, Any], names: Sequence[str]) -> None:
    """Choose the columns of a file without that of labels, unless columns were named.

    Those that the model was fitted on, by ``names``, where the file has them.
    """
    if "columns" in options or not (found := _columns_of(path)):
        return
    beside = {label, options.get("id", "id"), options.get("time", "time")}
    known = set(names) <= set(found)
    options["columns"] = list(names) if known else [n for n in found if n not in beside]


def _columns_of(path: Path) -> list[str]:
    """Return the columns of a file that may hold labels beside its sequences, if it is one.

    In a Parquet file with a list a feature, what is no list is passed over anyway.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        chosen = format_of(path)
        if chosen == "parquet":
            schema = pq.read_schema(path)
            lists = [field.name for field in schema if pa.types.is_nested(field.type)]
            return lists or schema.names
        with path.open(encoding="utf-8-sig", newline="") as stream:
            if chosen == "csv":
                return next(filter(None, csv.reader(stream)), [])
            lines = filter(str.strip, stream if chosen == "jsonl" else ())
            first = json.loads(next(lines, "null"))
            return list(first) if isinstance(first, dict) else []
    except (OSError, ValueError, RecursionError, csv.Error, pa.ArrowException):
        return []  # what is wrong with it is said where it is read
