"""Column types known before the data of files are read, and the schema afterwards."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from refold.errors import SchemaError
from refold.sequences._as_sequences import union_of
from refold.sequences.conversion._arrow_columns import as_raw, is_text
from refold.sequences.conversion._long_tables import numbers_as_text
from refold.sequences.files.scan._chunked_columns import ScannedColumn
from refold.sequences.schema._column_types import ColumnTypes, resolve_column_types
from refold.sequences.schema._schema import Column, ColumnType, Layout, Schema

__all__ = ["KnownColumns"]


class KnownColumns:
    """Types and categories as requested, else as stored, else as hinted by the Arrow type.

    Parameters
    ----------
    names : list of str
        The features.
    column_types : str, list of str or dict, optional
        The requested types.
    stored : list of Schema
        The schemas stored in the files.

    Raises
    ------
    SchemaError
        If a type is unknown, or the files contradict each other.
    """

    def __init__(
        self, names: Sequence[str], column_types: ColumnTypes, stored: Sequence[Schema]
    ) -> None:
        self._names = tuple(names)
        self._asked = dict(zip(names, resolve_column_types(column_types, names), strict=True))
        self._stored = {
            name: _union(same)
            for name in names
            if not self._asked[name] and (same := _columns(name, stored))
        }
        self._categories = {
            name: _union(same).categories
            for name in names
            if (same := [column for column in _columns(name, stored) if column.categories])
        }
        self._known = {name for name in names if self._asked[name] or _columns(name, stored)}
        layouts: set[Layout] = {schema.layout for schema in stored if schema.names == self._names}
        self._has_stored = bool(stored)
        self._layout: Layout = layouts.pop() if len(layouts) == 1 else "array"

    def column(self, name: str, type_: pa.DataType) -> ScannedColumn:
        """Return a column before its first piece.

        Raises
        ------
        SchemaError
            If its Arrow type cannot be that of a feature.
        """
        empty, hint = as_raw(pa.chunked_array([], type_), name)
        if hint:
            self._known.add(name)
        text = is_text(type_.value_type if pa.types.is_dictionary(type_) else type_)
        stored = self._stored.get(name)
        known: Any = self._asked[name] or (stored.type if stored else None) or hint
        categories = self._categories.get(name)
        return ScannedColumn(name, known, categories, text=text, dtype=empty.dtype)

    def schema(self, columns: Sequence[ScannedColumn], *, lists: bool) -> Schema:
        """Return the schema of columns after `ScannedColumn.settle`.

        Parameters
        ----------
        columns : list of ScannedColumn
            One column per feature.
        lists : bool
            Whether a single column without a stored schema gives plain series or tokens.
        """
        found = tuple(column.column for column in columns)
        if lists and len(found) == 1 and not self._has_stored:
            return Schema(found, "tokens" if found[0].type == "categorical" else "series")
        return Schema(found, self._layout)

    def warnings(self, columns: Sequence[ScannedColumn]) -> list[str]:
        """Return warnings about inferred categories that are numbers."""
        found = [column.column for column in columns if column.name not in self._known]
        return [text for column in found if (text := numbers_as_text(column))]


def _columns(name: str, stored: Sequence[Schema]) -> list[Column]:
    return [column for schema in stored for column in schema.columns if column.name == name]


def _union(columns: Sequence[Column]) -> Column:
    try:
        return union_of(tuple(columns))
    except SchemaError as error:
        column_types: list[ColumnType] = sorted({column.type for column in columns})
        raise SchemaError(
            f"The files disagree about the type of column {columns[0].name!r}: "
            f"{' and '.join(column_types)}. Pass column_types={{{columns[0].name!r}: ...}} to "
            "choose."
        ) from error
