"""Columns whose names are numbered, as the steps of a wide table are: t0, t1 and so on."""

import re
from collections.abc import Sequence
from itertools import pairwise

from refold.errors import SchemaError

__all__ = ["looks_wide", "step_columns"]

NUMBERED = re.compile(r"(.*?)(\d+(?:\.\d+)?)$")
# Columns with numbers at the end of their names from which on a table seems to be wide.
FEWEST = 4


def looks_wide(names: Sequence[str]) -> bool:
    """Say whether the columns of a table seem to be steps: t0, t1 and so on."""
    runs = _runs(names)
    return len(runs) == 1 and len(next(iter(runs.values()))) >= FEWEST


def step_columns(names: Sequence[str]) -> list[str]:
    """Return the columns of steps: those with a number at the end of their names, else all.

    Raises
    ------
    SchemaError
        If there are several runs of them, or their numbers do not ascend.

    Examples
    --------
    >>> step_columns(["label", "t0", "t1", "t2"])
    ['t0', 't1', 't2']
    """
    runs = _runs(names)
    if len(runs) > 1 and any(map(str.isalpha, "".join(runs))):
        first, second = (columns[0] for columns in list(runs.values())[:2])
        raise SchemaError(
            f"has columns that are numbered in more than one way, such as {first!r} and "
            f"{second!r}. A wide table has one feature: name its steps with columns=."
        )
    for prefix, columns in runs.items():
        for before, after in pairwise(columns):
            if float(before[len(prefix) :]) >= float(after[len(prefix) :]):
                raise SchemaError(
                    f"has the column {after!r} after {before!r}, so the steps are not in their "
                    "order. Name them in order with columns=."
                )
    found = {column for columns in runs.values() for column in columns}
    return [column for column in names if column in found or not runs]


def _runs(names: Sequence[str]) -> dict[str, list[str]]:
    """Return the columns whose names are one text with a number behind it, by that text."""
    runs: dict[str, list[str]] = {}
    for column in names:
        if found := NUMBERED.fullmatch(column):
            runs.setdefault(found[1], []).append(column)
    return {prefix: columns for prefix, columns in runs.items() if len(columns) > 1}
