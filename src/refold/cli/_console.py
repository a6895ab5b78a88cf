"""Lines on standard error, and text, JSON and tables on standard output."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text


def log(message: str, *, label: str = "", color: str = "") -> None:
    """Write one line to standard error, with the label in color if it is a terminal."""
    line = " ".join(message.split())
    head = Text(label, style=f"bold {color}") + ": " if label else Text()
    Console(stderr=True, soft_wrap=True).print(head + line, highlight=False)


def print_line(text: str) -> None:
    """Write one line to standard output, at once."""
    print(text, flush=True)  # noqa: T201


def print_json(value: object) -> None:
    """Write one JSON object as a line to standard output."""
    print_line(json.dumps(value))


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> None:
    """Print a table of numbers, of which the first `left` columns are text."""
    table: Any = Table(box=None, pad_edge=False, header_style="bold")
    for i, heading in enumerate(headings):
        justify = "left" if i < left else "right"
        table.add_column(heading, justify=justify, no_wrap=i == 0 or i >= left)
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def print_facts(facts: Mapping[str, str | None]) -> None:
    """Print names and texts in two columns; a text is None if there is nothing to say."""
    table: Any = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for name, text in facts.items():
        if text is not None:
            table.add_row(name, text)
    Console(markup=False, emoji=False).print(table)  # a name may be "speed [m/s]"


@contextmanager
def loading(*, quiet: bool) -> Iterator[None]:
    """Show in a terminal that Keras and JAX are loading, which takes seconds."""
    if quiet:
        yield
        return
    with Console(stderr=True).status("loading Keras and JAX"):
        yield
