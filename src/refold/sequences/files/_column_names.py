"""The names of the columns of a file, before its data are read."""

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from refold.sequences.files._compression import read_content
from refold.sequences.files._file_access import decode_utf8
from refold.sequences.files._format_registry import format_of
from refold.sequences.files.formats._csv import csv_columns
from refold.sequences.files.formats._json_entries import parse_json, parse_lines

__all__ = ["column_names"]


def column_names(path: str | os.PathLike[str], format: str | None = None) -> list[str]:  # noqa: A002
    r"""Return the names of the columns of a file.

    Parameters
    ----------
    path : str or PathLike
        A file of sequences.
    format : str, optional
        As in `read`.

    Returns
    -------
    list of str
        Of a Parquet file with lists, only those with lists, since others are passed over. None
        where the format has no names.

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
    if chosen == "parquet":
        return _parquet(path)
    if chosen not in {"csv", "tsv", "jsonl", "json"}:
        return []
    data = read_content(path, chosen, name)
    if chosen in {"csv", "tsv"}:
        return csv_columns(data, name, "\t" if chosen == "tsv" else ",")
    text = decode_utf8(data, name)
    if chosen == "jsonl":
        text = text.lstrip().partition("\n")[0]
    first = (parse_lines if chosen == "jsonl" else parse_json)(text, name)[0].value
    return list(first) if isinstance(first, dict) else []


def _parquet(path: str | os.PathLike[str]) -> list[str]:
    schema = pq.read_schema(path)
    lists = [field.name for field in schema if pa.types.is_nested(field.type)]
    return lists or schema.names
