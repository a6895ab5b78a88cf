"""What is known of columns before their data are read: types, categories and the layout."""

import math
from collections.abc import Sequence
from typing import Any

from refold.errors import SchemaError, argument, spelled
from refold.sequences.schema._column_types import ColumnTypes, resolve_column_types
from refold.sequences.schema._schema import Column, Layout, Schema
from refold.sequences.types import CATEGORICAL, NUMERIC, common_type


class KnownColumns:
    """Types and categories as requested, else as stored, else as hinted by the Arrow type."""

    def __init__(
        self, names: Sequence[str], column_types: ColumnTypes, stored: Sequence[Schema]
    ) -> None:
        self._names = tuple(names)
        self._types: dict[str, str | None] = {}
        self.categories: dict[str, tuple[Any, ...]] = {}  # stored ones, of columns that have some
        for name, requested in zip(names, resolve_column_types(column_types, names), strict=True):
            columns = [column for schema in stored for column in schema.columns]
            columns = [column for column in columns if column.name == name]
            self._types[name] = requested or (_union(columns).type if columns else None)
            if categorical := [column for column in columns if column.categories]:
                self.categories[name] = _union(categorical).categories
        layouts: set[Layout] = {schema.layout for schema in stored if schema.names == self._names}
        self._layout: Layout = layouts.pop() if len(layouts) == 1 else "array"
        self._has_stored = bool(stored)

    def type(self, name: str, hint: str | None) -> str | None:
        """Return the type of a column, which the hint of its Arrow type may tell."""
        known: Any = self._types[name] or hint
        self._types[name] = known
        return known

    def schema(self, columns: tuple[Column, ...], *, lists: bool) -> Schema:
        """Return the schema; with lists, a single column without a stored one is a plain series."""
        if lists and len(columns) == 1 and not self._has_stored:
            return Schema(columns, "tokens" if columns[0].column_type.has_categories else "series")
        return Schema(columns, self._layout)

    def warnings(self, columns: Sequence[Column]) -> list[str]:
        """Return a warning for each inferred column whose categories are all numbers."""
        return [
            f"Column {column.name!r} holds numbers written as text and is treated as categorical. "
            f"Pass {argument(column_types={column.name: NUMERIC.name})} to read it as numbers."
            for column in columns
            if not self._types[column.name]
            and column.categories
            and all(map(_is_number, column.categories))
        ]


def _is_number(category: Any) -> bool:
    try:
        return isinstance(category, str) and math.isfinite(float(category))
    except ValueError:
        return False


def _union(columns: Sequence[Column]) -> Column:
    try:
        return union_of(tuple(columns))
    except SchemaError as error:
        column_types = sorted({column.type for column in columns})
        name = columns[0].name
        fix = spelled(f"column_types={{{name!r}: ...}}", f"--column-types {name}=...")
        raise SchemaError(
            f"The files disagree about the type of column {name!r}: "
            f"{' and '.join(column_types)}. Pass {fix} to choose."
        ) from error


def union_of(columns: tuple[Column, ...]) -> Column:
    """Return a column description that covers all of these."""
    first = columns[0]
    if all(column == first for column in columns):
        return first
    column_types = {column.type for column in columns}
    common = common_type(column_types)
    if common is not None and not common.has_categories:
        return Column(first.name, common.name)
    if common is None:
        raise SchemaError(
            f"Column {first.name!r} is {' in one set and '.join(sorted(column_types))} in another. "
            "Pass column_types= when you create the sets."
        )
    categories: set[Any] = {category for column in columns for category in column.categories}
    if len({isinstance(category, str) for category in categories}) > 1:
        raise SchemaError(
            f"The categories of column {first.name!r} are text in one set, integers in another."
        )
    return Column(first.name, CATEGORICAL.name, tuple(sorted(categories)))
