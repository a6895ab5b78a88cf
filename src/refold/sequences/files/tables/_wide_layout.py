"""Wide tables: one row per sequence, one column per step.

Empty cells at the end of a row are not steps; empty cells before others are missing entries.
"""

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from refold.errors import DataError, FileFormatError, SchemaError
from refold.sequences._sequences import Sequences
from refold.sequences.conversion._arrow_columns import as_raw, check_id_type
from refold.sequences.conversion._lists import parts_from_list
from refold.sequences.files.tables._layout_detection import check_columns_exist, find_key
from refold.sequences.files.tables._step_columns import step_columns
from refold.sequences.schema._column_types import ColumnTypes, is_missing
from refold.sequences.schema._parts import Rows
from refold.sequences.schema._schema import ColumnType

__all__ = ["find_wide", "from_wide_table", "step_type"]


def find_wide(
    names: Sequence[str],
    name: str,
    *,
    id: str | None,  # noqa: A002
    time: str | None,
    columns: Sequence[str] | None,
) -> tuple[str | None, list[str]]:
    """Return the id column, if there is one, and the step columns in order.

    Raises
    ------
    SchemaError
        If a column does not exist, or it is unclear which columns are steps.
    """
    if time is not None:
        raise SchemaError(f"{name} is read as a wide table, which has no times. Leave time= out.")
    id_column = find_key(id, "id", names, name)
    if columns is not None:
        check_columns_exist(columns, names, name)
        return id_column, list(columns)
    others = [column for column in names if column != id_column]
    try:
        steps = step_columns(others)
    except SchemaError as error:
        raise SchemaError(f"{name} {error}") from error
    if not steps:
        raise SchemaError(f"{name} has no step columns besides {', '.join(names)}.")
    chosen = set(steps)
    if left := [column for column in others if column not in chosen]:
        listed = ", ".join(map(repr, left[:3])) + (", ..." if len(left) > 3 else "")
        warnings.warn(
            f"{name}: The steps are the {len(steps)} columns {steps[0]!r} to {steps[-1]!r}. "
            f"{listed} {'is' if len(left) == 1 else 'are'} left out. Choose others with columns=.",
            UserWarning,
            stacklevel=5,
        )
    return id_column, steps


def step_type(column_types: ColumnTypes) -> ColumnType | None:
    """Return the type of the one feature of a wide table.

    Raises
    ------
    SchemaError
        If there are several types.
    """
    if column_types is None or isinstance(column_types, str):
        return column_types  # type: ignore[return-value]
    given = list(column_types.values()) if isinstance(column_types, Mapping) else list(column_types)
    if len(given) != 1:
        raise SchemaError(
            f"column_types has {len(given)} entries, and a wide table has one feature. Give one "
            "type, such as column_types='numeric'."
        )
    return given[0]  # type: ignore[return-value]


def from_wide_table(
    table: pa.Table,
    name: str,
    id_column: str | None,
    steps: Sequence[str],
    column_types: ColumnTypes,
    rows: Rows,
) -> Sequences:
    """Convert a table with one row per sequence.

    Raises
    ------
    FileFormatError
        If the table has no rows.
    SchemaError
        If some step columns hold text and others numbers.
    DataError
        If a row has no id.
    """
    if not table.num_rows:
        raise FileFormatError(f"{name} has columns ({', '.join(table.column_names)}), but no rows.")
    ids = None
    if id_column is not None:
        check_id_type(table[id_column].type, id_column)
        ids = table[id_column].to_pylist()
        if missing := [row for row, value in enumerate(ids) if is_missing(value)]:
            raise DataError(f"{rows(missing[0]).capitalize()} has no id in column {id_column!r}.")
    raws = {column: as_raw(table[column], column)[0] for column in steps}
    texts = [column for column, raw in raws.items() if raw.dtype == object]
    if texts and step_type(column_types) is None and len(texts) < len(raws):
        _refuse_text(raws, texts[0], rows)
    x = np.stack(list(raws.values()), axis=1)
    empty = np.asarray(np.frompyfunc(is_missing, 1, 1)(x), bool) if texts else np.isnan(x)
    lengths = np.where(empty, 0, np.arange(1, x.shape[1] + 1)).max(axis=1)
    lines = [row[:length] for row, length in zip(x, lengths, strict=True)]
    return Sequences(*parts_from_list(lines, column_types=column_types, ids=ids, rows=rows))


def _refuse_text(raws: dict[str, np.ndarray], column: str, rows: Rows) -> None:
    row, value = next((i, one) for i, one in enumerate(raws[column]) if not is_missing(one))
    raise SchemaError(
        f"Column {column!r} holds text, {value!r} in {rows(row)}, but others hold numbers. Name "
        "the step columns with columns=, or the id column with id=."
    )
