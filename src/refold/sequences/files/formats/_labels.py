"""Labels beside sequences, as each format has them: ids and labels of the rows of a file."""

import contextlib
from typing import NoReturn

import pyarrow as pa
import pyarrow.parquet as pq

from refold.errors import FileFormatError, SchemaError
from refold.sequences.files._file_access import decode_utf8
from refold.sequences.files._integer_text import integers_from_text
from refold.sequences.files.formats._csv import csv_table
from refold.sequences.files.formats._csv_dialect import CsvText
from refold.sequences.files.formats._json_entries import parse_json, parse_lines
from refold.sequences.files.formats._ts import ts_cases

__all__ = ["csv_labels", "json_labels", "parquet_labels", "ts_labels"]


def parquet_labels(data: bytes, name: str, label: str, identity: str | None) -> tuple[list, list]:
    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        names = file.schema_arrow.names
        table = file.read([one for one in names if one in (label, identity or "id")])
    except (pa.ArrowException, OSError, ValueError) as error:
        raise FileFormatError(f"{name} is damaged: {' '.join(str(error).split())}") from error
    _check(names, name, label, identity)
    return _columns(table, name, label, identity)


def csv_labels(
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


def json_labels(
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


def ts_labels(data: bytes, name: str, label: str, identity: str | None) -> tuple[list, list]:
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
