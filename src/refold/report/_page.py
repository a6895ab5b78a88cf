"""The HTML page: its building blocks, and writing it as one file that includes plotly.js."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from refold._support.optional_imports import optional
from refold.report._score import Result
from refold.sequences import atomic_writer

PACKAGES = ("jinja2", "plotly")
SHORT = 26  # characters of a row that fits into a third of the width


@dataclass(frozen=True)
class Plot:
    """A figure that Plotly draws in the browser.

    Parameters
    ----------
    data : list of dict
        Traces, as plain JSON values.
    layout : dict
        Layout with a ``height``.
    name : str
        Text of its button, if the card has several views.

    Examples
    --------
    >>> Plot([{"type": "scatter", "y": [1, 2]}], {"height": 300}).kind
    'plot'
    """

    data: Sequence[dict[str, Any]]
    layout: dict[str, Any]
    name: str = ""
    kind: str = "plot"


@dataclass(frozen=True)
class TextGroup:
    """Rows of tokens below a heading.

    Parameters
    ----------
    title : str
        Heading above the rows.
    rows : list of (str, list of (str, bool))
        Name of each row, and its tokens, each with whether it is marked.

    Examples
    --------
    >>> TextGroup("Best", [("original", [("a", False)])]).title
    'Best'
    """

    title: str
    rows: Sequence[tuple[str, Sequence[tuple[str, bool]]]]


@dataclass(frozen=True)
class Text:
    """Categorical sequences as text.

    Parameters
    ----------
    groups : list of TextGroup
        Groups of rows, such as one for each sequence.
    name : str
        Text of its button, if the card has several views.

    Examples
    --------
    >>> Text([]).kind
    'text'
    """

    groups: Sequence[TextGroup]
    name: str = ""
    kind: str = "text"

    @property
    def short(self) -> bool:
        """Whether groups fit side by side."""
        rows = [tokens for group in self.groups for _, tokens in group.rows]
        return max((sum(len(token) for token, _ in row) for row in rows), default=0) <= SHORT


@dataclass(frozen=True)
class Table:
    """A table.

    Parameters
    ----------
    header : list of str
        Names of the columns.
    rows : list of list of str
        Cells of each row.
    name : str
        Text of its button, if the card has several views.

    Examples
    --------
    >>> Table(["column"], [["height"]]).kind
    'table'
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    name: str = ""
    kind: str = "table"


@dataclass(frozen=True)
class Diagram:
    """Boxes in a row, with an arrow from each to the next.

    Parameters
    ----------
    boxes : list of (str, str, list of list of str)
        Title, the text below it, and the rows of a table.
    name : str
        Text of its button, if the card has several views.

    Examples
    --------
    >>> Diagram([("code", "16 dimensions", [])]).kind
    'diagram'
    """

    boxes: Sequence[tuple[str, str, Sequence[Sequence[str]]]]
    name: str = ""
    kind: str = "diagram"


@dataclass(frozen=True)
class Card:
    """A titled block of the page, with a caption and one or more views.

    Parameters
    ----------
    title : str
        Heading of the card.
    caption : str
        Text below the heading.
    views : list of Plot, Text, Table or Diagram
        Contents, in order.
    switch : bool
        Whether to show one view at a time, with buttons to switch; by default all views are shown,
        one below the other.

    Examples
    --------
    >>> Card("Data", "Some columns.", [Table(["column"], [["height"]])]).switch
    False
    """

    title: str
    caption: str
    views: Sequence[Plot | Text | Table | Diagram]
    switch: bool = False


@dataclass(frozen=True)
class Section:
    """The part of the page about one data set and its model.

    Parameters
    ----------
    title : str
        Heading of the section.
    summary : str
        A few sentences.
    facts : list of (str, str)
        Key figures, shown large, each with its meaning.
    cards : list of Card
        Blocks of the section, in order.
    result : Result, optional
        Row in the table of results.

    Examples
    --------
    >>> Section("Ones", "A one that moves.", [("100 %", "reconstructed exactly")]).cards
    ()
    """

    title: str
    summary: str
    facts: Sequence[tuple[str, str]] = ()
    cards: Sequence[Card] = ()
    result: Result | None = None


def check_packages() -> None:
    """Check that the packages for a report are installed, before any other work.

    Raises
    ------
    MissingExtraError
        If the extra ``plots`` is not installed.

    Examples
    --------
    >>> check_packages()
    """
    for package in PACKAGES:
        optional(package, extra="plots", purpose="The report")


def write_page(
    path: str | os.PathLike[str],
    sections: Sequence[Section],
    *,
    title: str = "Refold",
    introduction: str = "",
    downloads: Sequence[tuple[str, str]] = (),
) -> None:
    """Write a page that opens in any browser without a network, in light and dark mode.

    Parameters
    ----------
    path : str or PathLike
        File to write. If writing fails, there is no partial file.
    sections : sequence of Section
        One for each data set, in order. If there are several, a table of results is at the top.
    title : str
        Heading of the page.
    introduction : str
        A paragraph below the heading.
    downloads : sequence of (str, str)
        Files in the same folder, each with its description.

    Raises
    ------
    MissingExtraError
        If the extra ``plots`` is not installed.
    FileAccessError
        If the file cannot be written.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "index.html"
    >>> write_page(path, [Section("Ones", "Zeros & ones.")], title="A try")
    >>> "Zeros &amp; ones." in path.read_text(encoding="utf-8")
    True
    """
    check_packages()
    jinja2 = optional("jinja2", extra="plots", purpose="The report")
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    folder = files("refold.report")
    plots = [
        {"data": view.data, "layout": view.layout}
        for section in sections
        for card in section.cards
        for view in card.views
        if isinstance(view, Plot)
    ]
    source = folder.joinpath("page.html.jinja").read_text(encoding="utf-8")
    page = environment.from_string(source).render(
        title=title,
        introduction=introduction,
        sections=sections,
        results=[part.result for part in sections if part.result] if len(sections) > 1 else [],
        downloads=downloads,
        style=folder.joinpath("page.css").read_text(encoding="utf-8"),
        script=folder.joinpath("page.js").read_text(encoding="utf-8"),
        plots=in_script(plots),
        plotly=_plotly_js() if plots else "",
    )
    with atomic_writer(Path(path)) as stream:
        stream.write(page.encode("utf-8", "replace"))


def in_script(value: Any) -> str:
    r"""Return JSON that is safe inside a ``<script>`` element, whatever text it contains.

    Examples
    --------
    >>> in_script(["</script>"])
    '["\\u003c/script\\u003e"]'
    """
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _plotly_js() -> str:
    offline = optional("plotly.offline", extra="plots", purpose="The report")
    return offline.get_plotlyjs().replace("</script", "<\\/script")
