"""Column names of a file of sequences."""

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from refold.sequences.files._compression import read_content
from refold.sequences.files._format_registry import format_of

__all__ = ["column_names"]


def column_names(path: str | os.PathLike[str], format: str | None = None) -> list[str]:  # noqa: A002
    r"""Return the column names of a file.

    Parameters
    ----------
    path : str or PathLike
        A file of sequences.
    format : str, optional
        As in `read`.

    Returns
    -------
    list of str
        For a Parquet file with lists, only the columns of lists, since `read` ignores the others.
        Empty if the format has no names.

    Raises
    ------
    RefoldError
        If the file cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp(), "log.csv")
    >>> _ = file.write_text("id;x\n1;0,5\n")
    >>> column_names(file)
    ['id', 'x']
    """
    chosen, name = format_of(path, format), str(Path(path))
    if chosen.name == "parquet":  # the file may be larger than memory
        return _parquet(path)
    if chosen.columns is None:
        return []
    return chosen.columns(read_content(path, chosen, name), name)


def _parquet(path: str | os.PathLike[str]) -> list[str]:
    schema = pq.read_schema(path)
    lists = [field.name for field in schema if pa.types.is_nested(field.type)]
    return lists or schema.names
