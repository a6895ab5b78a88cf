"""Labels of sequences in each format: the ids and labels of the rows of a file."""

import contextlib
from typing import NoReturn

import pyarrow as pa

from refold.errors import SchemaError, argument
from refold.sequences._arrow_columns import integers_from_text
from refold.sequences.files.formats._csv import CsvFile
from refold.sequences.files.formats._json import parse_json, parse_jsonl
from refold.sequences.files.formats._parquet import opened
from refold.sequences.files.formats._ts import has_labels, ts_cases


def parquet_labels(data: bytes, name: str, label: str, id_column: str | None) -> tuple[list, list]:
    with opened(data, name) as file:
        names = file.schema_arrow.names
        table = file.read([column for column in names if column in (label, id_column or "id")])
    _check(names, name, label, id_column)
    return _columns(table, name, label, id_column)


def csv_labels(
    data: bytes, name: str, label: str, id_column: str | None, delimiter: str = ","
) -> tuple[list, list]:
    table = CsvFile(data, name, delimiter).table(text=[id_column or "id"])
    _check(table.column_names, name, label, id_column)
    return _columns(table, name, label, id_column)


def _columns(table: pa.Table, name: str, label: str, id_column: str | None) -> tuple[list, list]:
    id_column = id_column or "id"
    if pa.types.is_nested(table[label].type):
        _refuse_lists(name, label)
    if id_column in table.column_names and not pa.types.is_nested(table[id_column].type):
        # drop the repeats of a sequence with one row per step
        table = table.select([id_column, label]).group_by([id_column, label], use_threads=False)
        table = table.aggregate([])
    values = table[label].to_pylist()
    if id_column not in table.column_names:
        return list(range(len(values))), values
    ids = table[id_column]
    if pa.types.is_floating(ids.type):  # 1.0 is 1 if all are integers, as for ids of sequences
        with contextlib.suppress(pa.ArrowException):
            ids = ids.cast(pa.int64())
    return ids.to_pylist(), values


def json_labels(
    data: bytes, name: str, label: str, id_column: str | None, *, lines: bool
) -> tuple[list, list]:
    ids, values = [], []
    entries = (parse_jsonl if lines else parse_json)(data, name)
    for row, value in enumerate(entries.values):
        place = f"{name}, {entries.rows(row)}"
        if not isinstance(value, dict):
            raise SchemaError(f"{place} has no names, so it has no {label!r}.")
        _check(list(value), place, label, id_column)
        ids.append(value.get(id_column or "id", len(ids)))
        values.append(value[label])
    if any(isinstance(value, list | dict) for value in values):
        _refuse_lists(name, label)
    return ids, values


def ts_labels(data: bytes, name: str, label: str, id_column: str | None) -> tuple[list, list]:
    tags, cases = ts_cases(data, name)
    if id_column is not None:
        raise SchemaError(
            f"{name} has no ids: the cases of a .ts file are numbered from 0. Leave "
            f"{argument('id=')} out."
        )
    if not has_labels(tags):
        raise SchemaError(f"{name} has no labels: its header says @classLabel false.")
    _check(["label"], name, label, None)
    labels = pa.array([case.label for case in cases], pa.string())
    return list(range(len(labels))), integers_from_text(labels).to_pylist()


def _refuse_lists(name: str, label: str) -> NoReturn:
    raise SchemaError(f"{name}: column {label!r} holds lists. Expected one label per sequence.")


def _check(names: list[str], where: str, label: str, id_column: str | None) -> None:
    if label == (id_column or "id"):
        raise SchemaError(f"The label column {label!r} is the id column. Choose another one.")
    for wanted in (label, id_column):
        if wanted is not None and wanted not in names:
            raise SchemaError(f"{where} has no column {wanted!r}. It has {', '.join(names)}.")
