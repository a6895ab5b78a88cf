"""What a program says: warnings, lines on standard error, complete writes; numbers as text."""

import errno
import io
import math
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from decimal import ROUND_HALF_UP, Context, Decimal
from html import escape
from pathlib import Path
from typing import Any

from refold.errors import Message

_PACKAGE = str(Path(__file__).parent.parent) + os.sep
# scikit-learn's module between a user's line and ``transform``
_WRAPPER = "sklearn.utils._set_output"
# Part of every warning of sequences longer than in training, for filters.
LONGER = "longer than the longest in training"
# How `log` spells the arguments in a line: as in Python, or as options in a command.
spelling: ContextVar[Callable[[Message], str]] = ContextVar("spelling", default=str)


def warn(message: str | None) -> None:
    """Issue a ``UserWarning`` at the first line outside of the package, if there is a message."""
    if message is None:
        return
    level, frame = 1, sys._getframe()
    while frame is not None and (
        frame.f_code.co_filename.startswith(_PACKAGE) or frame.f_globals.get("__name__") == _WRAPPER
    ):
        level, frame = level + 1, frame.f_back
    warnings.warn(Message(message), UserWarning, stacklevel=level)


def log(line: str) -> None:
    """Write a line to standard error, with arguments as its reader writes them."""
    # not at the top, because it takes time to import rich
    from rich.console import Console

    text = spelling.get()(Message(line))
    Console(stderr=True, soft_wrap=True, highlight=False).print(text, markup=False)


def describe_epochs(best_epoch: int | None, epochs: int) -> str:
    """Describe which epoch was kept: 0 is the initialization, None the last without validation."""
    if best_epoch is None:
        return f"{epochs}, the last one kept"
    if best_epoch == 0:
        return f"initialization kept; no epoch of {epochs} was better"
    return f"epoch {best_epoch} of {epochs} kept"


def write_all(stream: Any, data: bytes | memoryview) -> None:
    """Write all bytes to a binary stream, or raise an OSError."""
    left = data
    while len(left):
        # an unbuffered stream may accept only some of the bytes, which only this number shows
        count = stream.write(left)
        if count is None and not isinstance(stream, io.RawIOBase):
            return  # not a stream of Python's io; its write returns None
        if not count:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        left = memoryview(left)[count:]


# Numbers and small tables for readers

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
    """Return whole numbers in full, and others with this number of digits, one decimal at least."""
    if value is None or math.isnan(value):
        return "–"
    value = float(value)
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    # from the shortest text, as in JavaScript: the exact value of 1e-7 is below 1e-7
    power = Decimal(repr(value)).adjusted() if value else 0
    if not _SMALLEST <= power <= _LARGEST:
        rounded = Context(prec=digits, rounding=ROUND_HALF_UP).create_decimal(Decimal(value))
        return re.sub(r"\.?0+e", "e", f"{rounded:.{digits - 1}e}")
    if value.is_integer():
        return str(int(value))
    step = Decimal(1).scaleb(-max(1, digits - 1 - power))
    return f"{Decimal(value).quantize(step, context=_EXACT):f}".rstrip("0").rstrip(".")


def counted(count: int, noun: str) -> str:
    """Return a number of things: ``1 step``, ``2 steps``."""
    return f"{count} {noun}{'s' * (count != 1)}"


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
