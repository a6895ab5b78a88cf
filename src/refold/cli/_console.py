"""Lines on standard error, and tables on standard output."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import typer
from rich.console import Console
from rich.table import Table


def log(message: str, *, label: str = "", colour: str | None = None) -> None:
    """Write one line to standard error, with the label in color if it is a terminal."""
    line = " ".join(message.split())
    head = f"{typer.style(label, fg=colour, bold=True)}: " if label else ""
    typer.echo(head + line, err=True)


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> None:
    """Print a table of numbers, of which the first `left` columns are names."""
    table: Any = Table(box=None, pad_edge=False, header_style="bold")
    for i, heading in enumerate(headings):
        table.add_column(heading, justify="left" if i < left else "right", no_wrap=True)
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
