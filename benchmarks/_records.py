"""Results that are kept run by run: records in a JSON file, a line each."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from refold.sequences import atomic_writer


def read_records(path: Path) -> list[dict[str, Any]]:
    """Return what `write_records` wrote, or nothing where there is no file."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []


def write_records(path: Path, records: Iterable[dict[str, Any]]) -> None:
    """Write records, whole or not at all."""
    lines = ",\n".join(json.dumps(one) for one in records)
    with atomic_writer(path) as file:
        file.write(f"[\n{lines}\n]\n".encode())
