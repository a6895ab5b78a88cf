"""A small table of facts, as a notebook shows it."""

from collections.abc import Iterable
from html import escape
from typing import Any

__all__ = ["columns_in_words", "facts"]

# Names of columns that are shown.
_FIRST = 5

# Colours are those of the page around it, so that it can be read in light and in dark notebooks.
_ROW = (
    '<tr style="background: none"><th style="text-align: left; font-weight: normal; opacity: 0.7">'
    '{}</th><td style="text-align: left">{}</td></tr>'
)


def facts(title: str, rows: Iterable[tuple[str, str]]) -> str:
    """Return a table of names and values as HTML.

    Parameters
    ----------
    title : str
        Stands above it.
    rows : iterable of (str, str)
        Plain text, escaped here; a row without a value is left out.

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
    """Say how many columns there are of each kind, and the names of the first.

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
    counts = ", ".join(f"{column_types.count(kind)} {kind}" for kind in dict.fromkeys(column_types))
    names = ", ".join(schema.names[:_FIRST]) + (", ..." if len(column_types) > _FIRST else "")
    return f"{counts}: {names}"
