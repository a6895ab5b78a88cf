"""Records of single runs in a JSON file, with one line for each record."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from refold.sequences import atomic_writer


def read_records(path: Path) -> list[dict[str, Any]]:
    """Return the records of a file, or an empty list if it does not exist."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []


def write_records(path: Path, records: Iterable[dict[str, Any]]) -> None:
    """Write all records, or leave the file unchanged if writing fails."""
    lines = ",\n".join(json.dumps(one) for one in records)
    with atomic_writer(path) as file:
        file.write(f"[\n{lines}\n]\n".encode())
