"""Small HTML tables of names and values, for notebooks."""

from collections.abc import Iterable
from html import escape
from typing import Any

__all__ = ["columns_in_words", "facts"]

# Number of column names to show.
_FIRST = 5

# Inherits the colors of the page, to be readable in light and dark notebooks.
_ROW = (
    '<tr style="background: none"><th style="text-align: left; font-weight: normal; opacity: 0.7">'
    '{}</th><td style="text-align: left">{}</td></tr>'
)


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
