"""`Schema`: names, types and categories of the columns, and the user's layout.

`to_user_layout` converts values to the user's layout, and `convert_to_schema` to another schema.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np

from refold._support.messages import warn
from refold._support.rules import Rule, check, check_not_empty, one_of
from refold.errors import SchemaError, argument, python_or_cli
from refold.sequences.types import (
    BINARY,
    CATEGORICAL,
    COLUMN_TYPES,
    UNKNOWN_TEXT,
    ColumnType,
    Locator,
    make_quantity_mask,
)

DecodedLayout = Literal["array", "series", "tokens", "characters", "words"]
# Stands for an unknown or missing character (U+FFFD).
REPLACEMENT_CHARACTER = "\ufffd"
# Maximum number of names or categories in a message, so that it stays short.
_MAX_NAMES_LISTED = 5
# What the name of a column can be.
_COLUMN_NAME_RULE = Rule("text that is not empty", lambda x: isinstance(x, str) and x != "")


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

    Examples
    --------
    >>> Column("event", "categorical", ("buy", "view")).output_width
    2
    """

    name: str
    type: str
    categories: tuple[str, ...] | tuple[int, ...] = ()

    def __post_init__(self) -> None:
        check("name", self.name, _COLUMN_NAME_RULE)
        check_column_type(self.type)
        object.__setattr__(self, "categories", tuple(self.categories))
        if not self.categories:
            return
        have_one_type = {type(category) for category in self.categories} in ({str}, {int})
        are_distinct = len(set(self.categories)) == len(self.categories)
        if not (have_one_type and are_distinct and self.column_type.has_categories):
            raise SchemaError(
                f"Categories must be distinct strings, or distinct integers, of a categorical "
                f"column. Got {self.categories[:_MAX_NAMES_LISTED]!r} of the {self.type} column "
                f"{self.name!r}."
            )

    @property
    def output_width(self) -> int:
        """Width of a model's output for this column: 1, or the number of categories."""
        return self.column_type.output_width(len(self.categories))

    @property
    def column_type(self) -> ColumnType:
        """The column type: how values are encoded, written, compared and shown."""
        return COLUMN_TYPES[self.type]

    @property
    def has_integer_categories(self) -> bool:
        """Whether the categories are integers."""
        return bool(self.categories) and not isinstance(self.categories[0], str)

    @cached_property
    def decoded_value_by_index(self) -> np.ndarray:
        """The categories in order, then what stands for unknown and for missing; (n + 2,)."""
        # "<unknown>" and None for categories that are text; NaN for both if they are integers
        if self.has_integer_categories:
            return np.array([*self.categories, np.nan, np.nan], dtype=np.float64)
        values = np.empty(len(self.categories) + 2, dtype=object)
        values[:] = [*self.categories, UNKNOWN_TEXT, None]
        return values

    @property
    def contents_description(self) -> str:
        """Description of the values for messages: ``numeric values`` or ``text categories``."""
        if self.column_type.has_categories:
            return "integer categories" if self.has_integer_categories else "text categories"
        return f"{self.type} values"


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
        outside 0 to 1. `Sequences.convert_to_schema` turns them into NaN.
    time_gaps : bool, default=False
        Whether the last column is the time since the previous step. Comparisons ignore it.
    id_name, time_name : str or None, default=None
        Names that the user gave for the id and time columns of the file. Comparisons ignore them.
    time_format : str or None, default=None
        Form of times as text in the file, if the user gave it. Comparisons ignore it.
    duplicates : str or None, default=None
        The user's choice for rows of equal times, such as ``"first"``. Comparisons ignore it.
    is_wide : bool, default=False
        Whether the file was a wide table, a row for each sequence. Comparisons ignore it.
    step_columns : tuple of str, optional
        Names that the user gave for the steps of a wide table. Comparisons ignore them.

    Examples
    --------
    >>> schema = Schema((Column("x0", "numeric"), Column("on", "binary")))
    >>> Schema.from_dict(schema.to_dict()) == schema
    True
    """

    columns: tuple[Column, ...]
    layout: DecodedLayout = "array"
    missing: tuple[float, ...] = ()
    time_gaps: bool = field(default=False, compare=False, repr=False)
    id_name: str | None = field(default=None, compare=False, repr=False)
    time_name: str | None = field(default=None, compare=False, repr=False)
    time_format: str | None = field(default=None, compare=False, repr=False)
    duplicates: str | None = field(default=None, compare=False, repr=False)
    is_wide: bool = field(default=False, compare=False, repr=False)
    step_columns: tuple[str, ...] = field(default=(), compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", tuple(self.columns))
        object.__setattr__(self, "missing", tuple(float(value) for value in self.missing))
        object.__setattr__(self, "step_columns", tuple(self.step_columns))
        check_not_empty(len(self.columns), "column", "in the schema")
        check_unique_names([column.name for column in self.columns])
        check("layout", self.layout, one_of(*get_args(DecodedLayout)))
        if self.layout == "array":
            return
        # A step of the other layouts is a single value: in "series" any, in the others a token.
        needs_tokens = self.layout != "series"
        if self.num_columns > 1 or (needs_tokens and not len(self.categorical_indices)):
            raise SchemaError(
                f"The layout {self.layout!r} needs one {'categorical ' * needs_tokens}column. "
                f"Got {describe_column_types(self)}. Use the layout 'array'."
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
        return make_quantity_mask(column.type for column in self.columns)

    @cached_property
    def centered_mask(self) -> np.ndarray:
        """Mask of the columns whose scaled values have a mean of 0, bool array of shape (F,)."""
        return np.array([COLUMN_TYPES[column.type].is_centered for column in self.columns])

    @cached_property
    def categorical_indices(self) -> np.ndarray:
        """Indices of the categorical columns, in order."""
        return np.flatnonzero([column.column_type.has_categories for column in self.columns])

    @cached_property
    def index_of_unknown(self) -> np.ndarray:
        """Index of the unknown category of each column (F,); NaN if it is not categorical."""
        index_of_unknown = np.full(self.num_columns, np.nan)
        for i in self.categorical_indices:
            index_of_unknown[i] = len(self.columns[i].categories)
        return index_of_unknown

    @cached_property
    def output_width(self) -> int:
        """Width of a model's output per step, ``P``: the sum of the columns' widths."""
        return sum(column.output_width for column in self.columns)

    def to_dict(self) -> dict[str, Any]:
        """Return the schema as plain JSON types."""
        columns = []
        for column in self.columns:
            entry: dict[str, Any] = {"name": column.name, "type": column.type}
            if column.column_type.has_categories:
                entry["categories"] = list(column.categories)
            columns.append(entry)
        state: dict[str, Any] = {"layout": self.layout, "columns": columns}
        for key in _OPTIONAL_FIELDS:
            if value := getattr(self, key):
                # JSON has no tuples
                state[key] = list(value) if isinstance(value, tuple) else value
        return state

    def choose_time_name(self, other_names: Iterable[str], *, has_times: bool = True) -> str:
        """Return a name for a column of times, or of step numbers, that no other column has."""
        # ``has_times``: whether the column holds times, not step numbers. If all candidates are
        # taken, the name is "time".
        used_names = {*other_names, *self.names}
        candidates = (self.time_name, "time") if has_times else ("time", "step")
        return next((name for name in candidates if name and name not in used_names), "time")

    def with_read_options(
        self,
        id: str | None,  # noqa: A002
        time: str | None,
        time_format: str | None = None,
        wide_columns: Sequence[str] | None = None,  # empty for all; None if it is no wide table
        duplicates: str | None = None,
    ) -> "Schema":
        """Return the schema with these options of reading; where one is None, the old one stays."""
        return replace(
            self,
            id_name=id or self.id_name,
            time_name=time or self.time_name,
            time_format=time_format or self.time_format,
            duplicates=duplicates or self.duplicates,
            is_wide=self.is_wide or wide_columns is not None,
            step_columns=self.step_columns if wide_columns is None else tuple(wide_columns),
        )

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> "Schema":
        """Return the schema from the output of `to_dict`."""
        try:
            columns = tuple(
                Column(entry["name"], entry["type"], tuple(entry.get("categories", ())))
                for entry in state["columns"]
            )
            options: dict[str, Any] = {key: state[key] for key in _OPTIONAL_FIELDS if key in state}
            return cls(columns, state["layout"], **options)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise SchemaError(
                "A schema must be a dictionary with 'layout' and 'columns', each column with "
                f"'name' and 'type'. Got {type(error).__name__}: {error}"
            ) from error


# Fields of a schema besides columns and layout, which are the first two. The output of `to_dict`
# has the optional fields that are set, in this order.
_OPTIONAL_FIELDS = [field_.name for field_ in fields(Schema)][2:]


def default_names(num_columns: int) -> tuple[str, ...]:
    """Return the names of unnamed columns: ``x0``, ``x1``, ..."""
    return tuple(f"x{i}" for i in range(num_columns))


def has_default_names(schema: Schema) -> bool:
    """Return whether the columns have the names that unnamed columns get."""
    # "token" is the default name of a single column of text or categories
    return schema.names == default_names(schema.num_columns) or schema.names == ("token",)


def describe_column_types(schema: Schema) -> str:
    """Return how many columns have each type: ``2 numeric, 1 binary``."""
    types = [column.type for column in schema.columns]
    return ", ".join(f"{types.count(name)} {name}" for name in dict.fromkeys(types))


def check_unique_names(names: Iterable[Any], advice: str = "Rename one.") -> None:
    """Raise ``SchemaError`` if two columns have the same name."""
    names = list(names)
    if len(set(names)) < len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        raise SchemaError(f"There are two columns named {repeated!r}. {advice}")


def check_column_type(type_name: Any) -> None:
    """Raise ``SchemaError`` if there is no column type of this name."""
    if type_name not in COLUMN_TYPES:
        raise SchemaError(
            f"The column type {type_name!r} is unknown. Expected one of "
            f"{', '.join(map(repr, COLUMN_TYPES))}."
        )


def join_names(names: Sequence[Any]) -> str:
    """Return the first names, categories or ids as text for a message: ``'a', 'b', ...``."""
    # without any names, the text is "no others"
    dots = ", ..." if len(names) > _MAX_NAMES_LISTED else ""
    return ", ".join(map(repr, names[:_MAX_NAMES_LISTED])) + dots or "no others"


def merge_column_descriptions(columns: Sequence[Column]) -> Column:
    """Return a column that can hold the values of all these columns, which have the same name."""
    first = columns[0]
    if all(column == first for column in columns):
        return first
    # {True} or {False} if the columns agree, else both
    category_flags = {column.column_type.has_categories for column in columns}
    if category_flags == {False}:  # numbers can be converted to the more general type
        return Column(first.name, max(columns, key=lambda c: c.column_type.generality).type)
    categories: set[Any] = {category for column in columns for category in column.categories}
    # numbers beside categories, or text beside integers
    if len(category_flags) > 1 or len({type(category) for category in categories}) > 1:
        # "numeric values in one set and text categories"
        contents = " in one set and ".join(sorted({c.contents_description for c in columns}))
        in_python, in_shell = f"{{{first.name!r}: ...}}", f"--column-types {first.name}=..."
        fix = python_or_cli(f"column_types={in_python}", in_shell)
        raise SchemaError(
            f"Column {first.name!r} holds {contents} in another. Pass {fix} to choose."
        )
    return Column(first.name, CATEGORICAL.name, tuple(sorted(categories)))


def indices_to_categories(column_values: np.ndarray, column: Column) -> np.ndarray:
    """Return the values (num_steps,) of a column with categories in place of their indices."""
    if not column.column_type.has_categories:
        return column_values
    # the last of the decoded values stands for missing
    indices = np.where(np.isnan(column_values), len(column.categories) + 1, column_values)
    return column.decoded_value_by_index[indices.astype(np.int64)]


def to_user_layout(values: np.ndarray, schema: Schema) -> Any:
    """Return the values (length, F) of one sequence in the user's layout."""
    if schema.layout == "array" and not len(schema.categorical_indices):
        return values.copy()
    decoded = [indices_to_categories(values[:, i].copy(), c) for i, c in enumerate(schema.columns)]
    if schema.layout == "array":
        return np.stack(decoded, axis=1)  # an array of objects if a column has text
    if schema.layout == "series":
        return decoded[0]
    tokens = decoded[0].tolist()
    if schema.layout == "characters":
        return "".join(
            REPLACEMENT_CHARACTER if token is None or token == UNKNOWN_TEXT else str(token)
            for token in tokens
        )
    if schema.columns[0].has_integer_categories:
        return [None if token != token else int(token) for token in tokens]  # NaN becomes None
    return tokens


def convert_to_schema(
    values: np.ndarray, data_schema: Schema, fitted_schema: Schema, locate: Locator
) -> np.ndarray:
    """Return values (num_steps, F) under a fitted schema; see `Sequences.convert_to_schema`."""
    # an empty list has no features, so its schema is only a default
    if not len(values) and has_default_names(data_schema):
        return np.zeros((0, fitted_schema.num_columns), dtype=values.dtype)
    # index in the data of each column of the fitted schema
    if set(data_schema.names) == set(fitted_schema.names):
        order = [data_schema.names.index(name) for name in fitted_schema.names]
    else:  # columns without names are matched by position
        order = list(range(fitted_schema.num_columns))
        by_position = has_default_names(data_schema) or has_default_names(fitted_schema)
        if not by_position or data_schema.num_columns != fitted_schema.num_columns:
            absent = [name for name in fitted_schema.names if name not in data_schema.names]
            extra = [name for name in data_schema.names if name not in fitted_schema.names]
            difference = f" (without {join_names(absent)}; with {join_names(extra)})"
            raise SchemaError(
                f"The data have {data_schema.num_columns} features"
                f"{'' if by_position else difference}, but the model was fitted on "
                f"{fitted_schema.num_columns}. Choose the same ones with {argument('columns=')}."
            )
    converted = np.empty((len(values), fitted_schema.num_columns), dtype=values.dtype)
    unseen: list[str] = []  # descriptions of categories that training did not see
    for i, (index, column) in enumerate(zip(order, fitted_schema.columns, strict=True)):
        data_values, data_column = values[:, index], data_schema.columns[index]
        if column.column_type.has_categories:
            converted[:, i], texts = _translate_categories(data_values, data_column, column, locate)
            unseen += texts
            continue
        # integer categories can become numbers, and text cannot
        if data_column.column_type.has_categories and not data_column.has_integer_categories:
            raise _make_mismatch_error(data_column, column)
        numbers = indices_to_categories(data_values, data_column)
        # Missing-value markers such as -99999 become NaN. They are compared in the dtype of the
        # data, which may have rounded them.
        if markers := column.column_type.filter_missing_markers(fitted_schema.missing):
            is_marker = np.isin(numbers, np.array(markers).astype(numbers.dtype))
            numbers = np.where(is_marker, np.array(np.nan, numbers.dtype), numbers)
        converted[:, i] = numbers
        column.column_type.check_values(converted[:, i], column.name, locate)
    if unseen:
        warn(f"Not among the fitted categories and treated as unknown: {'; '.join(unseen)}.")
    return converted


def _translate_categories(
    column_values: np.ndarray, data_column: Column, fitted_column: Column, locate: Locator
) -> tuple[np.ndarray, list[str]]:
    """Return indices (num_steps,) of fitted categories, and descriptions of unseen ones."""
    indices, categories, fitted = column_values, data_column.categories, fitted_column.categories
    if not data_column.column_type.has_categories:
        # numbers in the data, which were categories in training
        indices, categories = CATEGORICAL.encode(column_values, data_column.name, locate, None)
    if categories and fitted and isinstance(categories[0], str) != isinstance(fitted[0], str):
        # Both are compared as text: a file of 1, 2 and N5 has text, and one of 1 and 2 integers.
        texts, fitted = tuple(map(str, categories)), tuple(map(str, fitted))
        if data_column.column_type is BINARY:
            # 0 and 1 in the spelling of the fitted column, which may have "False" and "TRUE"
            spellings = {text.lower(): text for text in fitted}
            texts = tuple(
                spellings.get("true" if value else "false", text)
                for value, text in zip(categories, texts, strict=True)
            )
        categories = texts
        if set(categories).isdisjoint(fitted):
            raise _make_mismatch_error(data_column, fitted_column)
    index_of, unknown = {category: i for i, category in enumerate(fitted)}, len(fitted)
    # fitted index of each category of the data, then of an unknown and of a missing category
    translation = [index_of.get(category, unknown) for category in categories]
    translation += [unknown, np.nan]
    indices = np.where(np.isnan(indices), len(categories) + 1, indices).astype(np.int64)
    counts = np.bincount(indices, minlength=len(translation))
    unseen = [i for i, category in enumerate(categories) if category not in index_of and counts[i]]
    descriptions = []
    if unseen:
        total = int(counts[unseen].sum())
        descriptions = [
            f"{total} {'entry' if total == 1 else 'entries'} of column {fitted_column.name!r} "
            f"({join_names([categories[i] for i in unseen])})"
        ]
    return np.array(translation)[indices], descriptions


def _make_mismatch_error(data_column: Column, fitted_column: Column) -> SchemaError:
    """Return the error about a column with other contents than the fitted one."""
    return SchemaError(
        f"Column {data_column.name!r} holds {data_column.contents_description}, but the model was "
        f"fitted on {fitted_column.contents_description}. Convert the column."
    )
