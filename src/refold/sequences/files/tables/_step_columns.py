"""Numbered columns, such as t0 and t1: the steps of a wide table."""

import re
from collections.abc import Sequence
from itertools import pairwise

from refold.errors import SchemaError

__all__ = ["looks_wide", "step_columns"]

NUMBERED = re.compile(r"(.*?)(\d+(?:\.\d+)?)$")
# Minimum number of numbered columns for a table to look wide.
MIN_STEP_COLUMNS = 4


def looks_wide(names: Sequence[str]) -> bool:
    """Return whether the columns of a table look like steps: t0, t1 and so on."""
    series = _series(names)
    return len(series) == 1 and len(next(iter(series.values()))) >= MIN_STEP_COLUMNS


def step_columns(names: Sequence[str]) -> list[str]:
    """Return the step columns: those whose names end in a number, or all if none do.

    Raises
    ------
    SchemaError
        If there are several series of numbered columns, or their numbers do not ascend.

    Examples
    --------
    >>> step_columns(["label", "t0", "t1", "t2"])
    ['t0', 't1', 't2']
    """
    series = _series(names)
    if len(series) > 1 and any(map(str.isalpha, "".join(series))):
        first, second = (columns[0] for columns in list(series.values())[:2])
        raise SchemaError(
            f"has several series of numbered columns, such as {first!r} and "
            f"{second!r}. A wide table has one feature: name its steps with columns=."
        )
    for prefix, columns in series.items():
        for before, after in pairwise(columns):
            if float(before[len(prefix) :]) >= float(after[len(prefix) :]):
                raise SchemaError(
                    f"has the column {after!r} after {before!r}, so the steps are not in "
                    "order. Name them in order with columns=."
                )
    numbered = {column for columns in series.values() for column in columns}
    return [column for column in names if column in numbered or not series]


def _series(names: Sequence[str]) -> dict[str, list[str]]:
    """Return the series of numbered columns by the text before their numbers."""
    series: dict[str, list[str]] = {}
    for column in names:
        if numbered := NUMBERED.fullmatch(column):
            series.setdefault(numbered[1], []).append(column)
    return {prefix: columns for prefix, columns in series.items() if len(columns) > 1}
