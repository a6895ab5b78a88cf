"""Numbers and small tables for readers."""

import math
import re
from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Context, Decimal
from html import escape
from typing import Any

# `explore/page/numbers.js` has the same rules, and one table of cases tests both.
DIGITS = 5
# Powers of ten of numbers that are written without an exponent.
_SMALLEST, _LARGEST = -5, 14
_EXACT = Context(prec=100, rounding=ROUND_HALF_UP)
# Number of column names to show.
_FIRST = 5
# Inherits the colors of the page, to be readable in light and dark notebooks.
_ROW = (
    '<tr style="background: none"><th style="text-align: left; font-weight: normal; opacity: 0.7">'
    '{}</th><td style="text-align: left">{}</td></tr>'
)


def number_text(value: float | None, digits: int = DIGITS) -> str:
    """Return a whole number in full, another one rounded, but to no less than one decimal."""
    if value is None or math.isnan(value):
        return "–"
    value = float(value)
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    # of the shortest text, as in JavaScript: 1e-7 is a little less than a tenth of 1e-6
    power = Decimal(repr(value)).adjusted() if value else 0
    if not _SMALLEST <= power <= _LARGEST:
        rounded = Context(prec=digits, rounding=ROUND_HALF_UP).create_decimal(Decimal(value))
        return re.sub(r"\.?0+e", "e", f"{rounded:.{digits - 1}e}")
    if value.is_integer():
        return str(int(value))
    step = Decimal(1).scaleb(-max(1, digits - 1 - power))
    return f"{Decimal(value).quantize(step, context=_EXACT):f}".rstrip("0").rstrip(".")


def short_number(value: float | None) -> str:
    """Return an error, a p-value or a distance with three significant digits."""
    return number_text(value, 3)


def number_texts(*values: float | None, digits: int = DIGITS) -> list[str]:
    """Return numbers as text, with more digits if different ones would look the same."""
    texts = [number_text(value, digits) for value in values]
    if digits < 17 and len({*texts}) < len({*values}):
        return number_texts(*values, digits=digits + 1)
    return texts


def facts(title: str, rows: Iterable[tuple[str, str]]) -> str:
    """Return an HTML table of names and values, which are escaped; empty values are left out."""
    body = "".join(_ROW.format(escape(name), escape(value)) for name, value in rows if value)
    caption = f'<caption style="text-align: left">{escape(title)}</caption>'
    return f'<table style="color: inherit">{caption}<tbody>{body}</tbody></table>'


def columns_in_words(schema: Any) -> str:
    """Return the number of columns of each type in a schema, and the first names."""
    column_types = [column.type for column in schema.columns]
    counts = ", ".join(f"{column_types.count(name)} {name}" for name in dict.fromkeys(column_types))
    names = ", ".join(schema.names[:_FIRST]) + (", ..." if len(column_types) > _FIRST else "")
    return f"{counts}: {names}"
