"""What is known of the columns of files before their data are looked at, and the schema after."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from refold.errors import SchemaError
from refold.sequences._as_sequences import union_of
from refold.sequences.conversion._arrow_columns import as_raw, is_text
from refold.sequences.conversion._long_tables import numbers_as_text
from refold.sequences.files.scan._chunked_columns import ScannedColumn
from refold.sequences.schema._column_types import Kinds, resolve_kinds
from refold.sequences.schema._schema import Column, ColumnType, Layout, Schema

__all__ = ["KnownColumns"]


class KnownColumns:
    """Kinds and labels, by what is asked for, then written beside the data, then hinted at.

    Parameters
    ----------
    names : list of str
        The features.
    column_types : str, list of str or dict, optional
        What is asked for.
    stored : list of Schema
        What was written beside the data, by file.

    Raises
    ------
    SchemaError
        If a kind is unknown, or the files contradict each other.
    """

    def __init__(self, names: Sequence[str], column_types: Kinds, stored: Sequence[Schema]) -> None:
        self._names = tuple(names)
        self._asked = dict(zip(names, resolve_kinds(column_types, names), strict=True))
        self._stored = {
            name: _union(same)
            for name in names
            if not self._asked[name] and (same := _columns(name, stored))
        }
        self._labels = {
            name: _union(same).categories
            for name in names
            if (same := [column for column in _columns(name, stored) if column.categories])
        }
        self._told = {name for name in names if self._asked[name] or _columns(name, stored)}
        layouts: set[Layout] = {schema.layout for schema in stored if schema.names == self._names}
        self._has_stored = bool(stored)
        self._layout: Layout = layouts.pop() if len(layouts) == 1 else "array"

    def column(self, name: str, type_: pa.DataType) -> ScannedColumn:
        """Return a column that has not been looked at.

        Raises
        ------
        SchemaError
            If its type cannot be that of a feature.
        """
        empty, hint = as_raw(pa.chunked_array([], type_), name)
        if hint:
            self._told.add(name)
        text = is_text(type_.value_type if pa.types.is_dictionary(type_) else type_)
        stored = self._stored.get(name)
        kind: Any = self._asked[name] or (stored.type if stored else None) or hint
        return ScannedColumn(name, kind, self._labels.get(name), text=text, dtype=empty.dtype)

    def schema(self, columns: Sequence[ScannedColumn], *, lists: bool) -> Schema:
        """Return the schema of columns that have settled.

        Parameters
        ----------
        columns : list of ScannedColumn
            One a feature.
        lists : bool
            Whether a lone column without a stored schema makes plain series or tokens.
        """
        found = tuple(column.column for column in columns)
        if lists and len(found) == 1 and not self._has_stored:
            return Schema(found, "tokens" if found[0].type == "categorical" else "series")
        return Schema(found, self._layout)

    def remarks(self, columns: Sequence[ScannedColumn]) -> list[str]:
        """Return what is to be said of labels that nobody asked for and that are numbers."""
        found = [column.column for column in columns if column.name not in self._told]
        return [remark for column in found if (remark := numbers_as_text(column))]


def _columns(name: str, stored: Sequence[Schema]) -> list[Column]:
    return [column for schema in stored for column in schema.columns if column.name == name]


def _union(columns: Sequence[Column]) -> Column:
    try:
        return union_of(tuple(columns))
    except SchemaError as error:
        column_types: list[ColumnType] = sorted({column.type for column in columns})
        raise SchemaError(
            f"The files say of column {columns[0].name!r} that it is {' and '.join(column_types)}. "
            f"Pass column_types={{{columns[0].name!r}: ...}} to say which."
        ) from error
