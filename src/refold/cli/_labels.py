"""Labels of sequences, from the data file or from another file."""

import contextlib
from pathlib import Path
from typing import Any

import refold
from refold.errors import RefoldError, SchemaError

__all__ = ["columns_of", "labels_of", "leave_out"]


def leave_out(label: str, path: Path, options: dict[str, Any], schema: Any) -> None:
    """Set the option ``columns`` so that the column of labels is left out, unless it is set.

    The columns are those of the model's ``schema`` if the file has them all.
    """
    if "columns" in options or not (found := columns_of(path)):
        return
    beside = {
        label,
        options.get("id", "id" if schema.id_name not in found else schema.id_name),
        options.get("time", "time" if schema.time_name not in found else schema.time_name),
    }
    others = [name for name in found if name not in beside]
    if options.get("layout") == "wide":
        options["columns"] = refold.sequences.step_columns(others)
        return
    options["columns"] = list(schema.names) if set(schema.names) <= set(found) else others


def labels_of(path: Any, label: str, source: Any, asked: str | None) -> Any:
    """Read labels, matched by the id column `asked` or by that of the sequences."""
    if asked is None and source.schema.id_name is not None:
        with contextlib.suppress(SchemaError):  # its id column may have another name
            return refold.sequences.read_labels(path, label, source, id=source.schema.id_name)
    return refold.sequences.read_labels(path, label, source, id=asked)


def columns_of(path: Path) -> list[str]:
    """Return the column names of a file; an empty list if it has none or cannot be read."""
    import pyarrow as pa

    try:
        return refold.sequences.column_names(path)
    except (RefoldError, OSError, ValueError, pa.ArrowException):
        return []  # reading the file raises the error
