"""Records of single runs in a JSON file, with one line for each record."""

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from refold.sequences import atomic_writer

Record = dict[str, Any]


def read_records(path: Path) -> list[Record]:
    """Return the records of a file, or an empty list if it does not exist."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []


def write_records(path: Path, records: Iterable[Record]) -> None:
    """Write all records, or leave the file unchanged if writing fails."""
    lines = ",\n".join(json.dumps(record) for record in records)
    with atomic_writer(path) as file:
        file.write(f"[\n{lines}\n]\n".encode())


def newest(path: Path, **wanted: Any) -> Record | None:
    """Return the last record of a file that has these values, or None."""
    matches = (one for one in reversed(read_records(path)) if wanted.items() <= one.items())
    return next(matches, None)


def replace(path: Path, record: Record, *, same: Iterable[str]) -> Record:
    """Add a record in place of those with the same values of some fields; return what is stored."""
    # JSON has no NaN
    stored = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in record.items()
    }
    place = {name: stored[name] for name in same}
    kept = (one for one in read_records(path) if not place.items() <= one.items())
    write_records(path, (*kept, stored))
    return stored
