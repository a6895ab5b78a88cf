"""Labels that stand beside sequences in their own file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from refold.errors import RefoldError

__all__ = ["columns_of", "leave_out"]


def leave_out(label: str, path: Path, options: dict[str, Any], names: Sequence[str]) -> None:
    """Choose the columns of a file without that of labels, unless columns were named.

    Those that the model was fitted on, by ``names``, where the file has them.
    """
    from refold.sequences import step_columns

    if "columns" in options or not (found := columns_of(path)):
        return
    beside = {label, options.get("id", "id"), options.get("time", "time")}
    others = [name for name in found if name not in beside]
    if options.get("layout") == "wide":
        options["columns"] = step_columns(others)
        return
    options["columns"] = list(names) if set(names) <= set(found) else others


def columns_of(path: Path) -> list[str]:
    """Return the columns of a file; none where it has no names or cannot be read."""
    import pyarrow as pa

    from refold.sequences import column_names

    try:
        return column_names(path)
    except (RefoldError, OSError, ValueError, pa.ArrowException):
        return []  # what is wrong with it is said where it is read
