"""Wide tables: one row a sequence, one column a step.

Empty cells at the end of a row are no steps; those between others are missing entries.
"""

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from refold.errors import DataError, FileFormatError, SchemaError
from refold.sequences._sequences import Sequences
from refold.sequences.conversion._arrow_columns import as_raw, check_id_type
from refold.sequences.conversion._lists import parts_from_list
from refold.sequences.files.tables._layout_detection import check_there, find_key
from refold.sequences.files.tables._step_columns import step_columns
from refold.sequences.schema._column_types import Kinds, is_missing
from refold.sequences.schema._parts import Rows
from refold.sequences.schema._schema import ColumnType

__all__ = ["find_wide", "from_wide_table", "kind_of_steps"]


def find_wide(
    names: Sequence[str],
    name: str,
    *,
    id: str | None,  # noqa: A002
    time: str | None,
    columns: Sequence[str] | None,
) -> tuple[str | None, list[str]]:
    """Return the column of ids, if there is one, and those of the steps in their order.

    Raises
    ------
    SchemaError
        If a column is not there, or it is not clear which ones are steps.
    """
    if time is not None:
        raise SchemaError(f"{name} is read as a wide table, which has no times. Leave time= out.")
    identity = find_key(id, "id", names, name)
    if columns is not None:
        check_there(columns, names, name)
        return identity, list(columns)
    others = [column for column in names if column != identity]
    try:
        steps = step_columns(others)
    except SchemaError as error:
        raise SchemaError(f"{name} {error}") from error
    if not steps:
        raise SchemaError(f"{name} has no column beside {', '.join(names)} to make steps of.")
    chosen = set(steps)
    if left := [column for column in others if column not in chosen]:
        listed = ", ".join(map(repr, left[:3])) + (", ..." if len(left) > 3 else "")
        warnings.warn(
            f"{name}: The steps are the {len(steps)} columns {steps[0]!r} to {steps[-1]!r}. "
            f"{listed} {'is' if len(left) == 1 else 'are'} left out; columns= names others.",
            UserWarning,
            stacklevel=5,
        )
    return identity, steps


def kind_of_steps(column_types: Kinds) -> ColumnType | None:
    """Return the kind of the one feature of a wide table.

    Raises
    ------
    SchemaError
        If there are several.
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
    identity: str | None,
    steps: Sequence[str],
    column_types: Kinds,
    rows: Rows,
) -> Sequences:
    """Convert a table with one row a sequence.

    Raises
    ------
    FileFormatError
        If it has no rows.
    SchemaError
        If some columns of steps hold text and others numbers.
    DataError
        If a row has no id.
    """
    if not table.num_rows:
        raise FileFormatError(f"{name} has columns ({', '.join(table.column_names)}), but no rows.")
    ids = None
    if identity is not None:
        check_id_type(table[identity].type, identity)
        ids = table[identity].to_pylist()
        if missing := [row for row, value in enumerate(ids) if is_missing(value)]:
            raise DataError(f"{rows(missing[0]).capitalize()} has no id in column {identity!r}.")
    raws = {column: as_raw(table[column], column)[0] for column in steps}
    texts = [column for column, raw in raws.items() if raw.dtype == object]
    if texts and kind_of_steps(column_types) is None and len(texts) < len(raws):
        _refuse_text(raws, texts[0], rows)
    x = np.stack(list(raws.values()), axis=1)
    gone = np.asarray(np.frompyfunc(is_missing, 1, 1)(x), bool) if texts else np.isnan(x)
    lengths = np.where(gone, 0, np.arange(1, x.shape[1] + 1)).max(axis=1)
    lines = [row[:length] for row, length in zip(x, lengths, strict=True)]
    return Sequences(*parts_from_list(lines, column_types=column_types, ids=ids, rows=rows))


def _refuse_text(raws: dict[str, np.ndarray], column: str, rows: Rows) -> None:
    row, value = next((i, one) for i, one in enumerate(raws[column]) if not is_missing(one))
    raise SchemaError(
        f"Column {column!r} holds text, {value!r} in {rows(row)}, beside columns of numbers. Name "
        "the columns of the steps with columns=, or that of ids with id=."
    )
