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
    """A figure that Plotly draws in the browser."""

    data: Sequence[dict[str, Any]]  # traces, as plain JSON values
    layout: dict[str, Any]  # with a height
    name: str = ""  # text of its button, if the card has several views
    kind: str = "plot"


Token = tuple[str, bool]  # text, and whether it is marked
Row = tuple[str, Sequence[Token]]  # name and tokens


@dataclass(frozen=True)
class TextGroup:
    """Rows of tokens below a heading."""

    title: str
    rows: Sequence[Row]


@dataclass(frozen=True)
class Text:
    """Categorical sequences as text."""

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
    """A table."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    name: str = ""
    kind: str = "table"


@dataclass(frozen=True)
class Diagram:
    """Boxes in a row, with an arrow from each to the next."""

    # a title, the text below it, and the rows of a table
    boxes: Sequence[tuple[str, str, Sequence[Sequence[str]]]]
    name: str = ""
    kind: str = "diagram"


@dataclass(frozen=True)
class Card:
    """A titled block of the page, with a caption and one or more views."""

    title: str
    caption: str
    views: Sequence[Plot | Text | Table | Diagram]
    switch: bool = False  # whether buttons switch between views, which else are all shown


@dataclass(frozen=True)
class Section:
    """The part of the page about one data set and its model."""

    title: str
    summary: str
    facts: Sequence[tuple[str, str]] = ()  # key figures, shown large, each with its meaning
    cards: Sequence[Card] = ()
    result: Result | None = None  # row in the table of results


def check_packages() -> None:
    """Check that the packages for a report are installed, before any other work."""
    for package in PACKAGES:
        optional(package, extra="plots", purpose="The report")


def write_page(
    path: str | os.PathLike[str],
    sections: Sequence[Section],
    *,
    title: str = "Refold",
    introduction: str = "",
    downloads: Sequence[tuple[str, str]] = (),  # files in the same folder, and what they are
) -> None:
    """Write a page that opens in any browser without a network, in light and dark mode."""
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


def in_script(value: object) -> str:
    """Return JSON that is safe inside a ``<script>`` element, whatever text it contains."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _plotly_js() -> str:
    offline = optional("plotly.offline", extra="plots", purpose="The report")
    return offline.get_plotlyjs().replace("</script", "<\\/script")
