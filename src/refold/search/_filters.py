"""Filters of LanceDB, which are written from ids and from the trees of conditions."""

import math
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa

from refold.search._where import (
    And,
    BooleanLiteral,
    ColumnName,
    Compare,
    Condition,
    Literal,
    Membership,
    Missing,
    Not,
    Or,
    Pattern,
)

_SMALLEST = -(2**63)
# Stands for numbers that are beyond the integers of a column.
_BEYOND = 1e300
_OPPOSITES = {"=": "<>", "<>": "=", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}
_TICKS = {"s": 1, "ms": 1000, "us": 10**6, "ns": 10**9}


def among(ids: list[Any]) -> str:
    """Return the filter for rows with one of the ids."""
    return f"id IN ({', '.join(map(_spelled, ids))})" if ids else "false"


def filter_of(condition: Condition, schema: pa.Schema, *, negated: bool = False) -> str:
    """Return the filter for rows of which a condition is true, or false if it is ``negated``."""
    # The filter has NOT only next to a column, and no NULL. LanceDB takes unknown for false or true
    # where it simplifies lists of values, which would change the rows under a NOT above them.
    match condition:
        case Not(inner):
            return filter_of(inner, schema, negated=not negated)
        case And(parts) | Or(parts):
            filters = [filter_of(part, schema, negated=negated) for part in parts]
            conjunction = isinstance(condition, And) != negated
            return " AND ".join(filters) if conjunction else f"({' OR '.join(filters)})"
        case BooleanLiteral(value):
            return _spelled(value != negated)
        case Missing(column):
            return f"{_quoted(column)} IS {'NOT ' * negated}NULL"
        case Pattern(column, pattern):
            return _test(column, _quoted(column), f"LIKE {_spelled(pattern)}", negated=negated)
        case Compare(_, _, None):
            return "FALSE"
        case Compare(column, operator, value):
            operator = _OPPOSITES[operator] if negated else operator
            if isinstance(value, ColumnName):
                return f"{_quoted(column)} {operator} {_quoted(value)}"
            left, (right,) = _comparable(column, [value], schema)
            return f"{left} {operator} {_spelled(right)}"
        case Membership(column, values):
            known = [value for value in values if value is not None]
            if not known or (negated and len(known) < len(values)):
                return "FALSE"
            left, right = _comparable(column, known, schema)
            return _test(column, left, f"IN ({', '.join(map(_spelled, right))})", negated=negated)


def _test(column: ColumnName, left: str, test: str, *, negated: bool) -> str:
    """Return a test, or its negation, which is false of missing values."""
    if not negated:
        return f"{left} {test}"
    return f"{_quoted(column)} IS NOT NULL AND {left} NOT {test}"


def _comparable(
    column: ColumnName, values: Sequence[Any], schema: pa.Schema
) -> tuple[str, list[Any]]:
    """Return a column and literals of one type, because LanceDB rounds or refuses others."""
    data_type = schema.field(column.name).type
    if pa.types.is_dictionary(data_type):
        data_type = data_type.value_type
    name, limits = _quoted(column), np.iinfo(np.int64)
    if pa.types.is_floating(data_type):
        return name, [float(value) for value in values]
    if pa.types.is_decimal(data_type):
        return f"CAST({name} AS DOUBLE)", [float(value) for value in values]
    if pa.types.is_timestamp(data_type):
        name = f"CAST({name} AS BIGINT)"
        values = [_since_1970(value) * _TICKS[data_type.unit] for value in values]
    elif pa.types.is_integer(data_type):
        limits = np.iinfo(data_type.to_pandas_dtype())
    else:
        return name, [*values]
    least, most = int(limits.min), int(limits.max)
    exact = [int(value) for value in values if least <= value <= most and value == int(value)]
    if exact:  # no value of the column is equal to the others
        return name, exact
    inexact = [v if least <= v <= most else math.copysign(_BEYOND, v) for v in values]
    return f"CAST({name} AS DOUBLE)", [float(value) for value in inexact]


def _since_1970(time: datetime) -> Fraction:
    """Return seconds."""
    return Fraction((time - datetime(1970, 1, 1)) // timedelta(microseconds=1), 10**6)


def _quoted(column: ColumnName) -> str:
    return '"' + column.name.replace('"', '""') + '"'


def _spelled(value: Literal) -> str:
    """Spell a literal."""
    if isinstance(value, bool):
        return str(value).upper()
    if value == _SMALLEST and isinstance(value, int):  # which LanceDB reads as a float
        return f"CAST('{value}' AS BIGINT)"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, date):
        return f"DATE '{value}'"
    return "'" + str(value).replace("'", "''") + "'"
