"""Labels that stand beside sequences in their own file."""

import contextlib
from pathlib import Path
from typing import Any

import refold
from refold.errors import RefoldError, SchemaError

__all__ = ["columns_of", "labels_of", "leave_out"]


def leave_out(label: str, path: Path, options: dict[str, Any], schema: Any) -> None:
    """Choose the columns of a file without that of labels, unless columns were named.

    Those that the model was fitted on, by its ``schema``, where the file has them.
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
    """Read the labels of sequences, by the ids that were asked for, or else those of their file."""
    if asked is None and source.schema.id_name is not None:
        with contextlib.suppress(SchemaError):  # a file of labels may have another name for them
            return refold.sequences.read_labels(path, label, source, id=source.schema.id_name)
    return refold.sequences.read_labels(path, label, source, id=asked)


def columns_of(path: Path) -> list[str]:
    """Return the columns of a file; none where it has no names or cannot be read."""
    import pyarrow as pa

    try:
        return refold.sequences.column_names(path)
    except (RefoldError, OSError, ValueError, pa.ArrowException):
        return []  # what is wrong with it is said where it is read
