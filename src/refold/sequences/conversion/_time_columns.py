"""Parsing of time columns, and the order of the rows of a long table."""

import contextlib
from typing import Any

import numpy as np
import pyarrow as pa

from refold.errors import DataError
from refold.sequences.conversion._arrow_columns import is_text
from refold.sequences.schema._parts import Rows

__all__ = ["order_by_time", "sortable"]


def order_by_time(
    codes: np.ndarray, ids: np.ndarray, column: Any, name: str, rows: Rows, *, sort: bool
) -> np.ndarray:
    """Return row indices ordered by id, then time.

    Without ``sort``, times must ascend within each id.
    """
    times = sortable(column, name, rows)
    by_time = np.lexsort((times, codes))
    if same := _neighbours(by_time, codes, times, np.equal):
        first, second = same
        raise DataError(
            f"Id {ids[codes[first]].item()!r} has the time {str(column[first])!r} twice, in "
            f"{rows.both(first, second)}. Each step needs its own time in column {name!r}."
        )
    if sort:
        return by_time
    order = np.argsort(codes, kind="stable")
    if unsorted := _neighbours(order, codes, times, np.greater):
        before, row = unsorted
        hint = ", as numbers or dates, not as text" if is_text(column.type) else ""
        raise DataError(
            f"Id {ids[codes[row]].item()!r} has the time {str(column[row])!r} in {rows(row)}, "
            f"after {str(column[before])!r} in {rows(before)}. Sort the table with "
            f"sort=True, or by column {name!r}{hint}."
        )
    return order


def _neighbours(
    order: np.ndarray, codes: np.ndarray, times: np.ndarray, compare: np.ufunc
) -> list[int]:
    """Return the first two adjacent rows of one id whose times compare true, or none."""
    before, after = order[:-1], order[1:]
    matches = (codes[before] == codes[after]) & compare(times[before], times[after])
    at = int(np.argmax(matches)) if matches.any() else len(order)
    return order[at : at + 2].tolist()


def sortable(column: Any, name: str, rows: Rows) -> np.ndarray:
    """Return times as numbers."""
    wrong = f"Column {name!r} cannot order the steps"
    if isinstance(column, list):
        raise DataError(f"{wrong}: it mixes types. Expected numbers or dates.")
    if column.null_count:
        row = int(np.flatnonzero(column.is_null().to_numpy())[0])
        raise DataError(f"{wrong}: {rows(row)} has no time. Fill it in or drop the row.")
    if is_text(column.type):
        column = _parse_text(column, wrong, rows)
    if pa.types.is_date32(column.type) or pa.types.is_time32(column.type):
        column = column.cast(pa.int32())
    elif pa.types.is_temporal(column.type):
        column = column.cast(pa.int64())
    elif pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise DataError(f"{wrong}: it holds {column.type} values. Expected numbers or dates.")
    times = column.to_numpy()
    missing = np.flatnonzero(times != times)
    if len(missing):
        raise DataError(f"{wrong}: {rows(missing[0])} has no time. Fill it in or drop the row.")
    return times


def _parse_text(column: Any, wrong: str, rows: Rows) -> Any:
    if pa.types.is_string_view(column.type):  # Arrow cannot parse dates in string views
        column = column.cast(pa.large_string())
    types = pa.float64(), pa.timestamp("ns")
    for type_ in types:
        try:
            return column.cast(type_)
        except pa.ArrowInvalid:
            continue
    # The first text that differs in type from those before it.
    row = max(_num_parsed(column, type_) for type_ in types)
    raise DataError(
        f"{wrong}: it holds text such as {column[row].as_py()!r}, in {rows(row)}. Expected all "
        "numbers or all dates."
    )


def _num_parsed(column: Any, type_: Any) -> int:
    """Return the index of the first text that cannot be parsed as a type."""
    row = 0
    with contextlib.suppress(pa.ArrowInvalid):
        for row, text in enumerate(column):  # noqa: B007
            text.cast(type_)
    return row
