"""The page itself: one HTML file with everything in it, plotly.js included."""

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

__all__ = ["Card", "Diagram", "Plot", "Section", "Table", "Text", "TextGroup", "write_page"]

PACKAGES = ("jinja2", "plotly")
SHORT = 26  # symbols of a row that takes a third of the width at most


@dataclass(frozen=True)
class Plot:
    """A figure that Plotly draws in the browser.

    Parameters
    ----------
    data : list of dict
        Its traces, as plain JSON values.
    layout : dict
        With a ``height``.
    name : str
        Of its button, where a card has several views.

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
    """Rows of symbols below a heading.

    Parameters
    ----------
    title : str
    rows : list of (str, list of (str, bool))
        The name of a row, and its symbols, each with whether it is marked.

    Examples
    --------
    >>> TextGroup("Best", [("original", [("a", False)])]).title
    'Best'
    """

    title: str
    rows: Sequence[tuple[str, Sequence[tuple[str, bool]]]]


@dataclass(frozen=True)
class Text:
    """Sequences of symbols as text.

    Parameters
    ----------
    groups : list of TextGroup
    name : str

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
        """Whether groups have room beside each other."""
        rows = [symbols for group in self.groups for _, symbols in group.rows]
        return max((sum(len(one) for one, _ in row) for row in rows), default=0) <= SHORT


@dataclass(frozen=True)
class Table:
    """A table.

    Parameters
    ----------
    header : list of str
    rows : list of list of str
    name : str

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
        Title, what stands below it, and rows of a table.
    name : str

    Examples
    --------
    >>> Diagram([("code", "16 numbers", [])]).kind
    'diagram'
    """

    boxes: Sequence[tuple[str, str, Sequence[Sequence[str]]]]
    name: str = ""
    kind: str = "diagram"


@dataclass(frozen=True)
class Card:
    """One picture or more on the page, with what to see in it.

    Parameters
    ----------
    title : str
    caption : str
    views : list of Plot, Text, Table or Diagram
    switch : bool
        Whether one view at a time is seen, and buttons change it; else they stand one below the
        other.

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
    """What the page says of one data set and its model.

    Parameters
    ----------
    title : str
    summary : str
        A few sentences.
    facts : list of (str, str)
        Numbers in large type, each with what it is.
    cards : list of Card
    result : Result, optional
        Its row in the table of results.

    Examples
    --------
    >>> Section("Ones", "A one that moves.", [("100 %", "recovered exactly")]).cards
    ()
    """

    title: str
    summary: str
    facts: Sequence[tuple[str, str]] = ()
    cards: Sequence[Card] = ()
    result: Result | None = None


def check_packages() -> None:
    """Find a missing package before the work, not after it.

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
    """Write a page that opens in any browser, without a network, in light and in dark.

    Parameters
    ----------
    path : str or PathLike
        File to write, whole or not at all.
    sections : sequence of Section
        One for each data set, in order; of more than one, the results are a table at the top.
    title : str
        Heading of the page.
    introduction : str
        A paragraph below the heading.
    downloads : sequence of (str, str)
        Files beside the page, each with what it holds.

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
    room = files("refold.report")
    plots = [
        {"data": view.data, "layout": view.layout}
        for section in sections
        for card in section.cards
        for view in card.views
        if isinstance(view, Plot)
    ]
    source = room.joinpath("page.html.jinja").read_text(encoding="utf-8")
    page = environment.from_string(source).render(
        title=title,
        introduction=introduction,
        sections=sections,
        results=[part.result for part in sections if part.result] if len(sections) > 1 else [],
        downloads=downloads,
        style=room.joinpath("page.css").read_text(encoding="utf-8"),
        script=room.joinpath("page.js").read_text(encoding="utf-8"),
        plots=in_script(plots),
        plotly=_plotly_js() if plots else "",
    )
    with atomic_writer(Path(path)) as stream:
        stream.write(page.encode("utf-8", "replace"))


def in_script(value: Any) -> str:
    r"""Return JSON that can stand inside a ``<script>`` element, whatever text is in it.

    Examples
    --------
    >>> in_script(["</script>"])
    '["\\u003c/script\\u003e"]'
    """
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _plotly_js() -> str:
    offline = optional("plotly.offline", extra="plots", purpose="The report")
    return offline.get_plotlyjs().replace("</script", "<\\/script")
