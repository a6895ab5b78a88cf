"""Labels beside sequences: a column of their file, one value a sequence."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from refold.errors import DataError, ParameterError
from refold.sequences._sequences import Sequences
from refold.sequences.files._compression import read_content
from refold.sequences.files._format_registry import format_of

__all__ = ["read_labels"]


def read_labels(
    path: str | os.PathLike[str],
    label: str,
    sequences: Sequences,
    *,
    id: str | None = None,  # noqa: A002
    format: str | None = None,  # noqa: A002
) -> np.ndarray:
    r"""Read a label for each sequence from a column of a file.

    The file may be the one that the sequences are from, or another with their ids.

    Parameters
    ----------
    path : path
        Parquet or CSV, one row a step or one a sequence; JSON lines of objects; or a ``.ts`` file.
    label : str
        The column; ``"label"`` of a ``.ts`` file, whose cases end in one without a name.
    sequences : Sequences
        Whose labels are wanted.
    id : str, optional
        The column of ids; ``"id"`` where there is such a column, and without one rows count from 0.
    format : {"parquet", "csv", "jsonl", "ts"}, optional
        Where the suffix does not say.

    Returns
    -------
    array of shape (n_sequences,)
        Of integers where all labels are, else of text.

    Raises
    ------
    SchemaError
        If there is no such column, or it is the one of ids.
    DataError
        If a sequence has two labels, or none.
    ParameterError
        If the format has no columns.
    FileFormatError
        If the file is not what its name says.
    FileAccessError
        If it cannot be read.

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
    known: dict[str, Any] = {}
    for one, value in zip(ids, values, strict=True):
        if value is None:
            continue
        if known.setdefault(str(one), value) != value:
            raise DataError(
                f"{name}: the sequence of id {one!r} has two labels, {known[str(one)]!r} and "
                f"{value!r}. A label is one value a sequence."
            )
    lacking = [one for one in sequences.ids.tolist() if str(one) not in known]
    if lacking:
        raise DataError(
            f"{name} has no {label!r} for the sequence of id {lacking[0]!r}"
            f"{f' and {len(lacking) - 1} others' if len(lacking) > 1 else ''}. Give every sequence "
            "a label."
        )
    found = [known[str(one)] for one in sequences.ids.tolist()]
    if all(isinstance(one, int) for one in found):
        return np.array(found, dtype=np.int64)
    return np.array([str(one) for one in found])
