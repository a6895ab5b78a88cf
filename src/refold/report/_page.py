"""The HTML page: its building blocks and results, and writing it as one file with plotly.js."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from refold._support.optional_imports import optional
from refold._support.output import short_number
from refold.evaluation import as_percent
from refold.sequences import atomic_writer

PACKAGES = ("jinja2", "plotly")
SHORT = 26  # characters of a row that fits into a third of the width

Quantity = Literal["nmse", "accuracy", "exact"]
MEANINGS = {
    "nmse": "NMSE: squared error over power",
    "accuracy": "accuracy: steps with all values right",
    "exact": "exact: sequences reconstructed exactly",
}
UNITS = {"nmse": "NMSE", "accuracy": "accuracy", "exact": "reconstructed exactly"}


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
class Score:
    """One measure, for the model and for PCA.

    Parameters
    ----------
    quantity : {"nmse", "accuracy", "exact"}
        Normalized squared error of the numeric columns, share of steps at which all binary and
        categorical values are right, or share of sequences that are reconstructed exactly.
    value : float
        Value for the model.
    pca : float or None
        None if PCA could not be fitted.

    Examples
    --------
    >>> Score("exact", 0.9999, 0.5).text(0.9999)
    '99.9 % exact'
    >>> Score("nmse", 0.1, 0.2).ahead
    True
    """

    quantity: Quantity
    value: float
    pca: float | None

    @property
    def meaning(self) -> str:
        """Name of the quantity, with an explanation."""
        return MEANINGS[self.quantity]

    @property
    def ahead(self) -> bool:
        """Whether the model is at least as good as PCA."""
        if self.pca is None:
            return False
        return self.value <= self.pca if self.quantity == "nmse" else self.value >= self.pca

    @property
    def behind(self) -> bool:
        """Whether PCA is at least as good as the model."""
        return self.pca is not None and (self.value == self.pca or not self.ahead)

    @property
    def unit(self) -> str:
        """Short name of the quantity, to follow a value."""
        return UNITS[self.quantity]

    def number(self, value: float) -> str:
        """Format a value without its quantity; shares are rounded down."""
        return short_number(value) if self.quantity == "nmse" else as_percent(value)

    def text(self, value: float | None) -> str:
        """Format a value with its quantity: ``99.2 % exact``, ``NMSE 0.031``."""
        if value is None:
            return "none"
        number = self.number(value)
        return f"NMSE {number}" if self.quantity == "nmse" else f"{number} {self.quantity}"


@dataclass(frozen=True)
class Result:
    """Scores on one data set.

    Parameters
    ----------
    name : str
        Name of the data.
    num_sequences : int
        Number of sequences that were measured.
    code_size : int
        Width of a code.
    pca_size : int
        Number of components of PCA: ``code_size``, or fewer if there are no more.
    scores : tuple of Score
        The main score comes first.
    seconds : float or None
        Training time, if it is known.

    Examples
    --------
    >>> Result("ones", 1000, 4, 4, (Score("exact", 1.0, 0.25),), 12.0).scores[0].ahead
    True
    """

    name: str
    num_sequences: int
    code_size: int
    pca_size: int
    scores: tuple[Score, ...]
    seconds: float | None = None


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
    text = json.dumps(plots, allow_nan=False, separators=(",", ":"))
    for character in "<>&":  # whatever a text contains, it does not end the script element
        text = text.replace(character, f"\\u{ord(character):04x}")
    plotly = ""
    if plots:
        plotly = optional("plotly.offline", extra="plots", purpose="The report").get_plotlyjs()
    source = folder.joinpath("page.html.jinja").read_text(encoding="utf-8")
    page = environment.from_string(source).render(
        title=title,
        introduction=introduction,
        sections=sections,
        results=[part.result for part in sections if part.result] if len(sections) > 1 else [],
        downloads=downloads,
        style=folder.joinpath("page.css").read_text(encoding="utf-8"),
        script=folder.joinpath("page.js").read_text(encoding="utf-8"),
        plots=text,
        plotly=plotly.replace("</script", "<\\/script"),
    )
    with atomic_writer(Path(path)) as stream:
        stream.write(page.encode("utf-8", "replace"))
