"""Functions that warn, log and write, and functions that turn numbers and tables into text."""

import contextlib
import errno
import io
import math
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from decimal import ROUND_HALF_UP, Context, Decimal
from html import escape
from pathlib import Path
from typing import Any

from refold.errors import Message

# The folder of Refold's own code.
_PACKAGE_FOLDER = str(Path(__file__).parent.parent) + os.sep
# The module of scikit-learn that wraps ``transform``. It stands between the user's line and Refold.
_SKLEARN_WRAPPER_MODULE = "sklearn.utils._set_output"
# All warnings about sequences that are longer than those in training contain these words, so that
# filters of warnings can match them.
LONGER_THAN_TRAINING_WORDS = "longer than the longest in training"
# The function that `print_stderr` uses to turn a message into text. ``str`` spells arguments as in
# Python. The command line sets a function that spells arguments as its options.
argument_speller: ContextVar[Callable[[Message], str]] = ContextVar("spelling", default=str)
# The list of `collect_warnings` to which `warn` adds messages; None to issue warnings.
_collected_warnings: ContextVar[list[str] | None] = ContextVar("collected_warnings", default=None)


@contextlib.contextmanager
def collect_warnings() -> Iterator[list[str]]:
    """Collect the messages of `warn` in a list, each once, instead of issuing warnings."""
    # unlike `warnings.catch_warnings`, this has no effect on other threads
    messages: list[str] = []
    reset_token = _collected_warnings.set(messages)
    try:
        yield messages
    finally:
        _collected_warnings.reset(reset_token)


def warn_of_each(messages: Iterable[str]) -> None:
    """Issue a ``UserWarning`` for each message."""
    for message in messages:
        warn(message)


def warn(message: str | None) -> None:
    """Issue a ``UserWarning`` at the user's line that called Refold; None issues no warning."""
    if message is None:
        return
    if (collected := _collected_warnings.get()) is not None:
        if Message(message) not in collected:
            collected.append(Message(message))
        return
    stack_level, frame = 1, sys._getframe()
    while frame is not None and (
        frame.f_code.co_filename.startswith(_PACKAGE_FOLDER)
        or frame.f_globals.get("__name__") == _SKLEARN_WRAPPER_MODULE
    ):
        stack_level, frame = stack_level + 1, frame.f_back
    warnings.warn(Message(message), UserWarning, stacklevel=stack_level)


def print_stderr(line: str) -> None:
    """Print a line on standard error, with arguments spelled as in Python or as options."""
    # not at the top, because it takes time to import rich
    from rich.console import Console

    text = argument_speller.get()(Message(line))
    # Rich must not break or color the line, or take brackets in the text for markup
    Console(stderr=True, soft_wrap=True, highlight=False).print(text, markup=False)


def describe_kept_epoch(best_epoch: int | None, num_epochs: int) -> str:
    """Return text that says which epoch the weights come from."""
    # a best epoch of 0 means the initialization, and None means the last epoch
    if best_epoch is None:
        return f"{num_epochs}, the last one kept"
    if best_epoch == 0:
        return f"initialization kept; no epoch of {num_epochs} was better"
    return f"epoch {best_epoch} of {num_epochs} kept"


def write_all(stream: Any, data: bytes | memoryview) -> None:
    """Write all bytes to a binary stream, or raise an OSError."""
    remaining = data
    while len(remaining):
        # an unbuffered stream may accept only some of the bytes, and returns their number
        num_written = stream.write(remaining)
        if num_written is None and not isinstance(stream, io.RawIOBase):
            return  # streams of some libraries write all bytes and return no number
        if not num_written:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        remaining = memoryview(remaining)[num_written:]


# Numbers and small tables as text. `explore/page/numbers.js` has the same rules for numbers, and
# one table of cases tests both.

# Significant digits of a number that is not whole: enough to compare results, and short to read.
_DEFAULT_DIGITS = 5
# The exponent of the smallest power of ten that is written in full: 0.00001.
_MIN_FULL_NOTATION_EXPONENT = -5
# The exponent of the largest power of ten that is written in full: 100000000000000.
_MAX_FULL_NOTATION_EXPONENT = 14
# The context of exact rounding. It has more digits than any number needs, and it rounds halves away
# from 0, as in JavaScript.
_EXACT_DECIMAL_CONTEXT = Context(prec=100, rounding=ROUND_HALF_UP)
# How many columns `describe_columns` names: a line has space for about this many names, and a
# schema may have hundreds of columns.
_MAX_LISTED_COLUMN_NAMES = 5
# A row of an HTML table: the name, then the value. It inherits the colors of the page, so that it
# is readable in light and in dark notebooks.
_ROW_HTML = (
    '<tr style="background: none"><th style="text-align: left; font-weight: normal; opacity: 0.7">'
    '{}</th><td style="text-align: left">{}</td></tr>'
)


def format_number(value: float | None, num_digits: int = _DEFAULT_DIGITS) -> str:
    """Return a number as text: integers in full, others with some significant digits."""
    if value is None or math.isnan(value):
        return "–"
    value = float(value)
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    # The exponent is that of the first digit. As in JavaScript, it is taken from the shortest text:
    # the exact value of the float 1e-7 is slightly less than 1e-7, and has the exponent -8.
    exponent = Decimal(repr(value)).adjusted() if value else 0
    if not _MIN_FULL_NOTATION_EXPONENT <= exponent <= _MAX_FULL_NOTATION_EXPONENT:
        rounded = Context(prec=num_digits, rounding=ROUND_HALF_UP).create_decimal(Decimal(value))
        # 1.5000e-07 becomes 1.5e-07, and 2.0000e+20 becomes 2e+20
        return re.sub(r"\.?0+e", "e", f"{rounded:.{num_digits - 1}e}")
    if value.is_integer():
        return str(int(value))
    # a number that is not whole has one decimal at least: 123456.7
    last_digit = Decimal(1).scaleb(-max(1, num_digits - 1 - exponent))
    rounded = Decimal(value).quantize(last_digit, context=_EXACT_DECIMAL_CONTEXT)
    return f"{rounded:f}".rstrip("0").rstrip(".")


def pluralize(count: int, noun: str) -> str:
    """Return a count and its noun, in the plural if necessary: ``1 step``, ``2 steps``."""
    return f"{count} {noun}{'s' * (count != 1)}"


def format_rounded(value: float | None) -> str:
    """Return a number with three significant digits, such as an error, a p-value or a distance."""
    return format_number(value, 3)


def format_distinct_numbers(*values: float | None, num_digits: int = _DEFAULT_DIGITS) -> list[str]:
    """Return numbers as text, with more digits if different numbers would look the same."""
    texts = [format_number(value, num_digits) for value in values]
    # with 17 digits, different floats always look different
    if num_digits < 17 and len({*texts}) < len({*values}):
        return format_distinct_numbers(*values, num_digits=num_digits + 1)
    return texts


def html_table(title: str, rows: Iterable[tuple[str, str]]) -> str:
    """Return an HTML table of names and values; a row whose value is empty is left out."""
    body = "".join(_ROW_HTML.format(escape(name), escape(value)) for name, value in rows if value)
    caption = f'<caption style="text-align: left">{escape(title)}</caption>'
    return f'<table style="color: inherit">{caption}<tbody>{body}</tbody></table>'


def describe_columns(schema: Any) -> str:
    """Return a schema in words: ``2 numeric, 1 binary: x, y, on``."""
    types = [column.type for column in schema.columns]
    # `dict.fromkeys` gives each type once, in the order of the columns
    counts = ", ".join(f"{types.count(type_)} {type_}" for type_ in dict.fromkeys(types))
    names = ", ".join(schema.names[:_MAX_LISTED_COLUMN_NAMES])
    return f"{counts}: {names}" + (", ..." if len(types) > _MAX_LISTED_COLUMN_NAMES else "")
