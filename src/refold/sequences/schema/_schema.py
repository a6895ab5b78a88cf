"""`Schema`: names, types and categories of the columns, and the user's layout."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np

from refold.errors import SchemaError
from refold.sequences.types import (
    BINARY,
    COLUMN_TYPES,
    UNKNOWN,
    ColumnType,
    number_mask,
)

Layout = Literal["array", "series", "tokens", "characters", "words"]
LAYOUTS: tuple[str, ...] = get_args(Layout)


@dataclass(frozen=True)
class Column:
    """One feature of the sequences.

    Parameters
    ----------
    name : str
        Name of the feature.
    type : str
        Type of the values, such as ``"numeric"``; the page on sequences lists all.
    categories : tuple of str or tuple of int
        Categories in the order of their index; empty unless the column is categorical.

    Raises
    ------
    SchemaError
        If the type is unknown, or the categories repeat or do not fit the type.

    Examples
    --------
    >>> Column("event", "categorical", ("buy", "view")).width
    2
    """

    name: str
    type: str
    categories: tuple[str, ...] | tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise SchemaError(f"A column name must be text that is not empty. Got {self.name!r}.")
        if self.type not in COLUMN_TYPES:
            raise SchemaError(
                f"Column {self.name!r} has the type {self.type!r}. "
                f"Expected one of {_list(tuple(COLUMN_TYPES))}."
            )
        object.__setattr__(self, "categories", tuple(self.categories))
        if not self.categories:
            return
        if not self.column_type.has_categories:
            raise SchemaError(
                f"Column {self.name!r} is {self.type} and cannot have categories. "
                "Make it categorical or leave the categories out."
            )
        if len(set(self.categories)) < len(self.categories):
            raise SchemaError(f"Column {self.name!r} has a repeated category: {self.categories!r}.")
        if {type(category) for category in self.categories} not in ({str}, {int}):
            raise SchemaError(
                f"Categories of column {self.name!r} must be all strings or all integers. "
                f"Got {self.categories[:5]!r}."
            )

    @property
    def width(self) -> int:
        """Width of a model's output for this column: 1, or the number of categories."""
        return self.column_type.width(len(self.categories))

    @property
    def column_type(self) -> ColumnType:
        """The column type: how values are encoded, written, compared and shown."""
        return COLUMN_TYPES[self.type]

    @property
    def has_integer_categories(self) -> bool:
        """Whether the categories are integers."""
        return bool(self.categories) and not isinstance(self.categories[0], str)

    @cached_property
    def forms(self) -> np.ndarray:
        """Decoded value of each index: the categories, then unknown, then missing.

        Strings give an object array with None for missing; integers give floats with NaN for
        unknown and missing.
        """
        if self.has_integer_categories:
            return np.array([*self.categories, np.nan, np.nan], dtype=np.float64)
        table = np.empty(len(self.categories) + 2, dtype=object)
        table[:] = [*self.categories, UNKNOWN, None]
        return table


@dataclass(frozen=True)
class Schema:
    """The columns of a set of sequences, and the layout of one sequence.

    Parameters
    ----------
    columns : tuple of Column
        One for each feature, in order.
    layout : {"array", "series", "tokens", "characters", "words"}
        Form of one sequence: a ``(length, features)`` array, a ``(length,)`` array, a list of
        tokens, a ``str``, or a list of words.
    missing : tuple of float, optional
        Numbers that mark a missing value in numeric columns, and in binary columns if they are
        outside 0 to 1. `Sequences.align` turns them into NaN.
    id_name, time_name : str or None, default=None
        Names that the user gave for the id and time columns of the file. Comparisons of schemas
        ignore them.
    time_gaps : bool, default=False
        Whether the last column is the time since the previous step, which `read` computes from the
        column of times. Comparisons of schemas ignore it.

    Raises
    ------
    SchemaError
        If there is no column, a name repeats, or the layout does not fit the columns.

    Examples
    --------
    >>> schema = Schema((Column("x0", "numeric"), Column("on", "binary")))
    >>> schema.names
    ('x0', 'on')
    >>> Schema.from_dict(schema.to_dict()) == schema
    True
    """

    columns: tuple[Column, ...]
    layout: Layout = "array"
    missing: tuple[float, ...] = ()
    id_name: str | None = field(default=None, compare=False, repr=False)
    time_name: str | None = field(default=None, compare=False, repr=False)
    time_gaps: bool = field(default=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", tuple(self.columns))
        object.__setattr__(self, "missing", tuple(float(value) for value in self.missing))
        if not self.columns:
            raise SchemaError("A schema needs at least one column. Got none.")
        names = [column.name for column in self.columns]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise SchemaError(f"Column {twice!r} appears twice. Each column needs its own name.")
        if self.layout not in LAYOUTS:
            raise SchemaError(
                f"The layout {self.layout!r} is unknown. Expected one of {_list(LAYOUTS)}."
            )
        if self.layout != "array" and len(names) > 1:
            raise SchemaError(
                f"The layout {self.layout!r} has one column, but there are {len(names)}. "
                "Use the layout 'array'."
            )
        if self.layout in {"tokens", "characters", "words"} and not len(self.categorical):
            raise SchemaError(
                f"The layout {self.layout!r} needs a categorical column. "
                f"Column {names[0]!r} is {self.columns[0].type}."
            )

    @property
    def num_columns(self) -> int:
        """Number of columns, ``F``."""
        return len(self.columns)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return tuple(column.name for column in self.columns)

    @cached_property
    def numeric(self) -> np.ndarray:
        """Mask of the columns of quantities, bool array of shape (F,)."""
        return number_mask(column.type for column in self.columns)

    @cached_property
    def binary(self) -> np.ndarray:
        """Indices of the binary columns, in order."""
        return np.flatnonzero([column.column_type is BINARY for column in self.columns])

    @cached_property
    def categorical(self) -> np.ndarray:
        """Indices of the categorical columns, in order."""
        return np.flatnonzero([column.column_type.has_categories for column in self.columns])

    @cached_property
    def unknown(self) -> np.ndarray:
        """Index of the unknown category of each column; NaN if it is not categorical."""
        has_categories = [column.column_type.has_categories for column in self.columns]
        num_categories = [len(column.categories) for column in self.columns]
        return np.where(has_categories, num_categories, np.nan)

    @cached_property
    def output_width(self) -> int:
        """Width of a model's output per step, ``P``: the sum of the columns' widths."""
        return sum(column.width for column in self.columns)

    def to_dict(self) -> dict[str, Any]:
        """Return the schema as plain JSON types."""
        columns = []
        for column in self.columns:
            entry: dict[str, Any] = {"name": column.name, "type": column.type}
            if column.column_type.has_categories:
                entry["categories"] = list(column.categories)
            columns.append(entry)
        state: dict[str, Any] = {"layout": self.layout, "columns": columns}
        if self.missing:
            state["missing"] = list(self.missing)
        if self.time_gaps:
            state["time_gaps"] = True
        names = {"id_name": self.id_name, "time_name": self.time_name}
        return state | {key: name for key, name in names.items() if name is not None}

    def read_with(self, id: str | None, time: str | None) -> "Schema":  # noqa: A002
        """Return the schema with the names of the id and time columns, where given."""
        return replace(self, id_name=id or self.id_name, time_name=time or self.time_name)

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> "Schema":
        """Return the schema from the output of `to_dict`.

        Raises
        ------
        SchemaError
            If an entry is missing or of the wrong type.
        """
        try:
            columns = tuple(
                Column(entry["name"], entry["type"], tuple(entry.get("categories", ())))
                for entry in state["columns"]
            )
            layout = state["layout"]
            missing = tuple(float(value) for value in state.get("missing", ()))
            named = [state.get(key) for key in ("id_name", "time_name")]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise SchemaError(
                "A schema must be a dictionary with 'layout' and 'columns', each column with "
                f"'name' and 'type'. Got {type(error).__name__}: {error}."
            ) from error
        named = [name if isinstance(name, str) else None for name in named]
        return cls(columns, layout, missing, *named, time_gaps=bool(state.get("time_gaps")))


def default_names(num_columns: int) -> tuple[str, ...]:
    """Return the names of unnamed columns: ``x0``, ``x1``, ..."""
    return tuple(f"x{i}" for i in range(num_columns))


def column_counts(schema: Schema) -> str:
    """Return how many columns have each type: ``2 numeric, 1 binary``."""
    types = [column.type for column in schema.columns]
    return ", ".join(f"{types.count(name)} {name}" for name in dict.fromkeys(types))


def has_default_names(schema: Schema) -> bool:
    """Return whether the columns have default names."""
    return schema.names == default_names(schema.num_columns) or schema.names == ("token",)


def _list(words: tuple[str, ...]) -> str:
    return ", ".join(repr(word) for word in words)
