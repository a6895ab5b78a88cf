"""Labels beside sequences: a column of their file, one value a sequence."""

import contextlib
import os
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from refold.errors import DataError, FileFormatError, ParameterError, SchemaError
from refold.sequences._sequences import Sequences
from refold.sequences.files._compression import read_content
from refold.sequences.files._file_access import decode_utf8
from refold.sequences.files._format_registry import format_of
from refold.sequences.files._integer_text import integers_from_text
from refold.sequences.files.formats._csv import csv_table
from refold.sequences.files.formats._csv_dialect import CsvText
from refold.sequences.files.formats._json_entries import parse_json, parse_lines
from refold.sequences.files.formats._ts import ts_cases

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
    if chosen not in _READERS:
        raise ParameterError(
            f"{name} has no column of labels, as .{chosen} files have no columns. Give labels in a "
            ".parquet, .csv or .jsonl file, with the ids of the sequences, or in a .ts file."
        )
    data = read_content(path, chosen, name)
    ids, values = _READERS[chosen](data, name, label, id)
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


def _parquet(data: bytes, name: str, label: str, identity: str | None) -> tuple[list, list]:
    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        names = file.schema_arrow.names
        table = file.read([one for one in names if one in (label, identity or "id")])
    except (pa.ArrowException, OSError, ValueError) as error:
        raise FileFormatError(f"{name} is damaged: {' '.join(str(error).split())}") from error
    _check(names, name, label, identity)
    return _columns(table, name, label, identity)


def _csv(
    data: bytes, name: str, label: str, identity: str | None, delimiter: str = ","
) -> tuple[list, list]:
    source = CsvText(decode_utf8(data, name), name, delimiter)
    table = csv_table(source, data, text=[identity or "id"])
    _check(table.column_names, name, label, identity)
    return _columns(table, name, label, identity)


def _columns(table: pa.Table, name: str, label: str, identity: str | None) -> tuple[list, list]:
    identity = identity or "id"
    if pa.types.is_nested(table[label].type):
        _refuse_lists(name, label)
    if identity in table.column_names and not pa.types.is_nested(table[identity].type):
        # one row a sequence, of as many as it has steps
        table = table.select([identity, label]).group_by([identity, label], use_threads=False)
        table = table.aggregate([])
    values = table[label].to_pylist()
    if identity not in table.column_names:
        return list(range(len(values))), values
    ids = table[identity]
    if pa.types.is_floating(ids.type):  # 1.0 is 1 if all are whole, as among ids of sequences
        with contextlib.suppress(pa.ArrowException):
            ids = ids.cast(pa.int64())
    return ids.to_pylist(), values


def _json(
    data: bytes, name: str, label: str, identity: str | None, *, lines: bool
) -> tuple[list, list]:
    ids, values = [], []
    for place, value in (parse_lines if lines else parse_json)(decode_utf8(data, name), name):
        if not isinstance(value, dict):
            raise SchemaError(f"{name}, {place} has no names, so no {label!r}.")
        _check(list(value), f"{name}, {place}", label, identity)
        ids.append(value.get(identity or "id", len(ids)))
        values.append(value[label])
    if any(isinstance(value, list | dict) for value in values):
        _refuse_lists(name, label)
    return ids, values


def _ts(data: bytes, name: str, label: str, identity: str | None) -> tuple[list, list]:
    header, cases = ts_cases(data, name)
    if identity is not None:
        raise SchemaError(
            f"{name} has no ids: the cases of a .ts file count from 0. Leave id= out."
        )
    if not header.labelled:
        raise SchemaError(f"{name} has no labels, as its header says by @classLabel false.")
    _check(["label"], name, label, None)
    labels = pa.array([case.label for case in cases], pa.string())
    return list(range(len(labels))), integers_from_text(labels).to_pylist()


def _refuse_lists(name: str, label: str) -> NoReturn:
    raise SchemaError(f"{name}: column {label!r} holds lists. A label is one value a sequence.")


def _check(names: list[str], where: str, label: str, identity: str | None) -> None:
    if label == (identity or "id"):
        raise SchemaError(f"The label {label!r} is the id, which tells every sequence apart.")
    for wanted in (label, identity):
        if wanted is not None and wanted not in names:
            raise SchemaError(f"{where} has no column {wanted!r}. It has {', '.join(names)}.")


_READERS = {
    "parquet": _parquet,
    "csv": _csv,
    "tsv": partial(_csv, delimiter="\t"),
    "jsonl": partial(_json, lines=True),
    "json": partial(_json, lines=False),
    "ts": _ts,
}
