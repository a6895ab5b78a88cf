"""Column names of a file of sequences, and labels read from a column."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from refold.errors import DataError, ParameterError
from refold.sequences._sequences import Sequences
from refold.sequences.files._file_access import read_content
from refold.sequences.files._format_registry import format_of


def column_names(path: str | os.PathLike[str], format: str | None = None) -> list[str]:  # noqa: A002
    """Return the column names of a file, or none if the format has no names."""
    chosen, name = format_of(path, format), str(Path(path))
    if chosen.name == "parquet":  # the file may be larger than memory
        schema = pq.read_schema(path)
        # `read` ignores the other columns of a table with lists
        return [field.name for field in schema if pa.types.is_nested(field.type)] or schema.names
    if chosen.columns is None:
        return []
    return chosen.columns(read_content(path, chosen, name), name)


def read_labels(
    path: str | os.PathLike[str],
    label: str,
    sequences: Sequences,
    *,
    id: str | None = None,  # noqa: A002
    format: str | None = None,  # noqa: A002
) -> np.ndarray:
    r"""Read a label for each sequence from a column of a file.

    The file may be the one that holds the sequences, or another with the same ids.

    Parameters
    ----------
    path : path
        Parquet or CSV with one row per step or per sequence, JSON lines of objects, or ``.ts``.
    label : str
        The label column; ``"label"`` for a ``.ts`` file, whose labels have no name.
    sequences : Sequences
        The sequences to read labels for.
    id : str, optional
        The id column; by default ``"id"`` if it exists, else rows are numbered from 0.
    format : {"parquet", "csv", "jsonl", "ts"}, optional
        The format, if the suffix does not tell.

    Returns
    -------
    array of shape (n_sequences,)
        Integers if all labels are integers, else text.

    Raises
    ------
    SchemaError
        If there is no such column, or it is the id column.
    DataError
        If a sequence has two labels or none.
    FileFormatError
        If the file does not have the expected format.
    FileAccessError
        If the file cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "who.csv")
    >>> _ = path.write_text("id,who\n0,ann\n1,bob\n")
    >>> read_labels(path, "who", Sequences.from_list([[1.0, 2.0], [3.0]])).tolist()
    ['ann', 'bob']
    """
    name = str(Path(path))
    chosen = format_of(path, format)
    if chosen.labels is None:
        raise ParameterError(
            f"{name} has no column of labels, as .{chosen.name} files have no columns. Give labels "
            "in a .parquet, .csv or .jsonl file, with the ids of the sequences, or in a .ts file."
        )
    data = read_content(path, chosen, name)
    ids, values = chosen.labels(data, name, label, id)
    labels_by_id: dict[str, Any] = {}
    for identity, value in zip(ids, values, strict=True):
        if value is None:
            continue
        if labels_by_id.setdefault(str(identity), value) != value:
            raise DataError(
                f"{name}: the sequence with id {identity!r} has two labels, "
                f"{labels_by_id[str(identity)]!r} and {value!r}. Expected one label per sequence."
            )
    unlabeled = [
        identity for identity in sequences.ids.tolist() if str(identity) not in labels_by_id
    ]
    if unlabeled:
        raise DataError(
            f"{name} has no {label!r} for the sequence with id {unlabeled[0]!r}"
            f"{f' and {len(unlabeled) - 1} more' if len(unlabeled) > 1 else ''}. Give every "
            "sequence a label."
        )
    labels = [labels_by_id[str(identity)] for identity in sequences.ids.tolist()]
    if all(isinstance(label, int) for label in labels):
        return np.array(labels, dtype=np.int64)
    return np.array([str(label) for label in labels])
