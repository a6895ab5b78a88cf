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
    """Return an HTML table of names and values.

    Parameters
    ----------
    title : str
        Caption.
    rows : iterable of (str, str)
        Plain text, which is escaped. Rows with an empty value are left out.

    Returns
    -------
    str

    Examples
    --------
    >>> "a &lt; b</td>" in facts("Sequences", [("ids", "a < b")])
    True
    """
    body = "".join(_ROW.format(escape(name), escape(value)) for name, value in rows if value)
    caption = f'<caption style="text-align: left">{escape(title)}</caption>'
    return f'<table style="color: inherit">{caption}<tbody>{body}</tbody></table>'


def columns_in_words(schema: Any) -> str:
    """Return the number of columns of each type, and the first names.

    Parameters
    ----------
    schema : refold.sequences.Schema

    Returns
    -------
    str

    Examples
    --------
    >>> from refold import Sequences
    >>> columns_in_words(Sequences.from_list([[[1.5, 2.5]]], names=["x", "y"]).schema)
    '2 numeric: x, y'
    """
    column_types = [column.type for column in schema.columns]
    counts = ", ".join(f"{column_types.count(name)} {name}" for name in dict.fromkeys(column_types))
    names = ", ".join(schema.names[:_FIRST]) + (", ..." if len(column_types) > _FIRST else "")
    return f"{counts}: {names}"
