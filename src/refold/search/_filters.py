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
    Column,
    Comparison,
    Condition,
    Constant,
    Membership,
    Missing,
    Not,
    Or,
    Pattern,
)

_SMALLEST = -(2**63)
# Stands for numbers that are beyond the integers of a column.
_BEYOND = 1e300
_TICKS = {"s": 1, "ms": 1000, "us": 10**6, "ns": 10**9}


def among(ids: list[Any]) -> str:
    """Return the filter for rows with one of the ids.

    Examples
    --------
    >>> among([3, 4])
    'id IN (3, 4)'
    """
    return f"id IN ({', '.join(map(_spelled, ids))})" if ids else "false"


def filter_of(condition: Condition, schema: pa.Schema) -> str:
    """Return the filter for rows that meet a condition.

    Examples
    --------
    >>> from refold.search._where import parse
    >>> schema = pa.schema({"id": pa.string(), "year": pa.int64()})
    >>> print(filter_of(parse("year > 2019.5 or id = 'it''s'", schema), schema))
    CAST("year" AS DOUBLE) > 2019.5 OR "id" = 'it''s'
    """
    match condition:
        case Constant(value):
            return _spelled(value)
        case Missing(column):
            return f"{_quoted(column)} IS NULL"
        case Pattern(column, pattern):
            return f"{_quoted(column)} LIKE {_spelled(pattern)}"
        case Comparison(column, operator, Column() as other):
            return f"{_quoted(column)} {operator} {_quoted(other)}"
        case Comparison(column, operator, value):
            left, (right,) = _comparable(column, [value], schema)
            return f"{left} {operator} {_spelled(right)}"
        case Membership(column, values):
            left, right = _comparable(column, values, schema)
            return f"{left} IN ({', '.join(map(_spelled, right))})"
        case Not(negated):
            return f"NOT ({filter_of(negated, schema)})"
        case And(parts):
            filters = [filter_of(part, schema) for part in parts]
            return " AND ".join(
                f"({text})" if isinstance(part, Or) else text
                for part, text in zip(parts, filters, strict=True)
            )
        case Or(parts):
            return " OR ".join(filter_of(part, schema) for part in parts)


def _comparable(column: Column, values: Sequence[Any], schema: pa.Schema) -> tuple[str, list[Any]]:
    """Return a column and literals of one type, because LanceDB rounds or refuses others."""
    data_type = schema.field(column.name).type
    if pa.types.is_dictionary(data_type):
        data_type = data_type.value_type
    name, limits = _quoted(column), np.iinfo(np.int64)
    if pa.types.is_floating(data_type) or pa.types.is_decimal(data_type):
        if pa.types.is_decimal(data_type):
            name = f"CAST({name} AS DOUBLE)"
        return name, [_each(float, value) for value in values]
    if pa.types.is_timestamp(data_type):
        name, ticks = f"CAST({name} AS BIGINT)", _TICKS[data_type.unit]
        values = [_each(lambda time: _since_1970(time) * ticks, value) for value in values]
    elif pa.types.is_integer(data_type):
        limits = np.iinfo(data_type.to_pandas_dtype())
    else:
        return name, [*values]
    exact = [one for one in values if one is None or (_within(one, limits) and one == int(one))]
    if exact:  # no value of the column is equal to the others
        return name, [_each(int, one) for one in exact]
    inexact = [one if _within(one, limits) else math.copysign(_BEYOND, one) for one in values]
    return f"CAST({name} AS DOUBLE)", [float(one) for one in inexact]


def _each(function: Any, value: Any) -> Any:
    return None if value is None else function(value)


def _within(number: Any, limits: Any) -> bool:
    return int(limits.min) <= number <= int(limits.max)


def _since_1970(time: datetime) -> Fraction:
    """Return seconds."""
    return Fraction((time - datetime(1970, 1, 1)) // timedelta(microseconds=1), 10**6)


def _quoted(column: Column) -> str:
    return '"' + column.name.replace('"', '""') + '"'


def _spelled(value: Any) -> str:
    """Spell a literal.

    Examples
    --------
    >>> _spelled("it's"), _spelled(3), _spelled(True), _spelled(None)
    ("'it''s'", '3', 'TRUE', 'NULL')
    """
    if value is None or isinstance(value, bool):
        return "NULL" if value is None else str(value).upper()
    if value == _SMALLEST and isinstance(value, int):  # which LanceDB reads as a float
        return f"CAST('{value}' AS BIGINT)"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, date):
        return f"DATE '{value}'"
    return "'" + str(value).replace("'", "''") + "'"
