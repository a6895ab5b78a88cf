"""The HTML page: its building blocks, its file with plotly.js, and charts for Plotly."""

import html
import json
import math
import os
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from refold._support.optional_imports import optional
from refold._support.output import number_text, short_number
from refold._support.paths import atomic_writer
from refold.evaluation import as_percent
from refold.plots.charts import RAMP, Axis, Chart, Marks

PACKAGES = ("jinja2", "plotly")

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
    narrow: dict[str, Any] = field(default_factory=dict)  # the layout on a phone, if it is another
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


@dataclass(frozen=True)
class Table:
    """A table."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    name: str = ""
    kind: str = "table"


@dataclass(frozen=True)
class Card:
    """A titled block of the page, with a caption and one or more views."""

    title: str
    caption: str
    views: Sequence[Plot | Text | Table]
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
        {"data": view.data, "layout": view.layout, "narrow": view.narrow or view.layout}
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


# Charts of Plotly; `page.js` has the colors of light and dark

LINE_STYLES: dict[str, dict[str, Any]] = {
    "": {"line": {"width": 2}},
    "dot": {"line": {"width": 2, "dash": "dot"}},
    "original": {"line": {"width": 5}, "opacity": 0.3},
    "reconstruction": {"line": {"width": 1.6}},
    "thin dots": {"line": {"width": 1.2, "dash": "dot"}, "opacity": 0.9},
}
POINT_STYLES = {"diamond": "diamond", "ring": "circle-open"}
MAX_POINTS = 1000  # of a line
MAX_TICKS = 12  # whole numbers that each have a tick
MAX_TEXT, MAX_HOVER = 48, 200  # characters
MAX_NAME = 30  # characters in a legend
MAX_TITLE, MAX_SUBTITLE = 32, 38  # characters above a panel
ROW_GAP = 0.35  # share of the height of a panel, for ticks and titles
# On a phone.
NARROW_TEXT, NARROW_TICKS = 16, 20  # characters of the name of a tick, and ticks on an axis
NARROW_TITLE, NARROW_SUBTITLE = 24, 32  # characters in a line below an axis, and above a panel
NARROW_PANEL = 200  # pixels


def draw(
    charts: Chart | Sequence[Chart],
    height: int,
    name: str = "",
    *,
    columns: int = 1,
    by_column: bool = False,  # the panels go down the first column, then down the next one
    panel_height: int = NARROW_PANEL,  # on a phone, where panels are one below the other
    **layout: Any,
) -> Plot:
    """Return a chart, or several with axes of their own, as a figure of the page."""
    panels = [charts] if isinstance(charts, Chart) else charts
    traces, legend = [], set()
    names = list(dict.fromkeys(marks.name for chart in panels for marks in chart.marks))
    has_legend = len({*names} - {""}) > 1
    for i, chart in enumerate(panels):
        number = str(i + 1) if i else ""
        size = float(np.clip(180 / np.sqrt(max(1, sum(len(m.x) for m in chart.marks))), 5, 9))
        for marks in chart.marks:
            shown = has_legend and len(marks.x) > 0 and marks.name not in {"", *legend}
            legend |= {marks.name} if shown else set()
            place = {"xaxis": f"x{number}", "yaxis": f"y{number}", "showlegend": shown}
            place["legendrank"] = 1000 + names.index(marks.name)
            traces.append(_trace(marks, chart, size) | place)
    ids = [f"x{i or ''}y{i or ''}" for i in (0, *range(2, len(panels) + 1))]
    rows = -(-len(panels) // columns)
    ids += [""] * (rows * columns - len(ids))
    grid = [ids[i : i + columns] for i in range(0, len(ids), columns)]
    if by_column:
        grid = [ids[i::rows] for i in range(rows)]
    narrow = height if len(panels) == 1 else 120 + panel_height * len(panels)
    return Plot(
        traces,
        _layout(panels, grid, height) | layout,
        name,
        _layout(panels, [[place] for place in ids if place], narrow, is_narrow=True) | layout,
    )


def _layout(
    panels: Sequence[Chart], grid: Sequence[Sequence[str]], height: int, *, is_narrow: bool = False
) -> dict[str, Any]:
    """Return axes, titles and legend of panels, whose pairs of axes are in a grid."""
    first = panels[0]
    layout: dict[str, Any] = {}
    lowest = {[place for place in column if place][-1] for column in zip(*grid, strict=True)}
    max_length = NARROW_TEXT if is_narrow else MAX_TEXT
    max_ticks = NARROW_TICKS if is_narrow else None
    for i, chart in enumerate(panels):
        number = str(i + 1) if i else ""
        x_grid = chart.grid != "y" and not first.title
        titled = f"x{number}y{number}" in lowest
        x = _axis(chart.x, max_length, max_ticks, titled=titled, grid=x_grid)
        y = _axis(chart.y, max_length, grid=chart.grid != "x")
        for axis in (x, y) if is_narrow else ():
            lines = textwrap.wrap(axis["title"]["text"], NARROW_TITLE, break_long_words=False)
            axis["title"] = {"text": "<br>".join(lines)}
        _fit_axes(x, y, chart, is_panel=bool(first.title))
        layout |= {f"xaxis{number}": x, f"yaxis{number}": y}
    top = 16 if is_narrow else 40  # room for a legend and the buttons
    below = {"x": 0, "y": -56 / (height - 120), "yanchor": "top", "orientation": "h"}
    legend = {"x": 0, "y": 1.02, "yanchor": "bottom", "orientation": "h"}
    bar = {"thickness": 12, "outlinewidth": 0, "exponentformat": "none"}
    bar |= {"title": {"text": plain(first.legend, MAX_NAME)}}
    if first.title:
        top, legend = 56 if first.subtitle else 40, below
        layout["grid"] = {"subplots": grid, "pattern": "independent", "ygap": ROW_GAP}
        layout["annotations"] = _titled(panels, NARROW_SUBTITLE if is_narrow else MAX_SUBTITLE)
    elif is_narrow:
        legend = below
        bar |= {"x": 0, "y": below["y"], "xanchor": "left", "yanchor": "top", "orientation": "h"}
    elif first.grid is None:  # points may be anywhere
        legend = {"x": 1.01, "y": 1, "yanchor": "top", "itemsizing": "constant"}
    legend["title"] = {"text": plain(first.legend, MAX_NAME)}
    ramp = [[i / (len(RAMP) - 1), color] for i, color in enumerate(RAMP)]
    layout["coloraxis"] = {"colorscale": ramp, "colorbar": bar}
    if is_narrow:
        legend["title"]["side"] = "top"
        layout["dragmode"] = False  # a finger scrolls the page
    margin = {"l": 10, "r": 10, "t": top, "b": 10}
    return layout | {"height": height, "margin": margin, "legend": legend, "barmode": "overlay"}


def _trace(marks: Marks, chart: Chart, size: float) -> dict[str, Any]:
    every = -(-len(marks.x) // MAX_POINTS) if marks.kind == "lines" else 1
    x = [] if marks.kind == "runs" else numbers(marks.x[:: every or 1])
    y = numbers(marks.y[:: every or 1])
    trace: dict[str, Any] = {"type": "scatter", "x": x, "y": y, "name": plain(marks.name, MAX_NAME)}
    if marks.hover:
        trace |= {"hoverinfo": "text", "hovertext": [_hover(text) for text in marks.hover]}
    if marks.quantity:
        said = f"{plain(marks.quantity, MAX_HOVER)}: %{{text}}<extra>{chart.x.title} %{{x}}</extra>"
        trace |= {"hovertemplate": said, "text": [number_text(value) for value in y]}
    if marks.group:
        trace |= {"legendgroup": plain(marks.group)}
        trace |= {"visible": "legendonly"} if marks.hidden else {}
    if marks.kind == "bars":
        trace |= {"type": "bar", "width": marks.size, "marker": {"color": marks.color}}
        return trace | ({"x": y, "y": x, "orientation": "h"} if chart.horizontal else {})
    if marks.kind == "runs":
        begin, end = marks.x.T
        trace |= {"type": "bar", "base": numbers(begin), "x": numbers(end - begin), "y": y}
        return trace | {"orientation": "h", "width": marks.size, "marker": {"color": marks.color}}
    if marks.kind == "lines":
        style = LINE_STYLES[marks.style]
        trace |= style | {"line": {"color": marks.color} | style["line"]}
        return trace | {"mode": "lines+markers" if len(x) < 3 else "lines"}
    marker: dict[str, Any] = {"size": size, "opacity": 0.8, "color": marks.color}
    if marks.style:
        marker |= {"size": 11, "opacity": 1, "symbol": POINT_STYLES[marks.style]}
        marker["line"] = {"width": 2, "color": marks.color}
        trace["cliponaxis"] = False
    elif not isinstance(marks.color, str):
        marker |= {"color": numbers(marks.color), "coloraxis": "coloraxis"}
    return trace | {"mode": "markers", "marker": marker}


def _axis(
    axis: Axis, max_length: int, max_ticks: int | None = None, *, grid: bool, titled: bool = True
) -> dict[str, Any]:
    """Return the layout of an axis."""
    layout: dict[str, Any] = {"title": {"text": plain(axis.title) if titled else ""}}
    layout |= {"showgrid": grid, "zeroline": axis.from_zero}
    if axis.ticks:
        every = -(-len(axis.ticks) // (max_ticks or len(axis.ticks)))
        places = [*range(0, len(axis.ticks), every)]
        names = [plain(name, max_length) for name in axis.ticks[::every]]
        layout |= {"tickmode": "array", "tickvals": places, "ticktext": names}
    if axis.from_zero:
        layout["rangemode"] = "tozero"
    return layout


def _fit_axes(x: dict[str, Any], y: dict[str, Any], chart: Chart, *, is_panel: bool) -> None:
    """Choose the directions of two axes, and ticks that depend on the data."""
    if chart.horizontal:
        y["autorange"] = "reversed"
    if chart.y.log:
        y |= {"type": "log", "dtick": "D2"}  # ticks at 1, 2 and 5
    places = np.concatenate([np.ravel(marks.x) for marks in chart.marks])
    span = np.ptp(places) if len(places) else 0
    if chart.x.whole and span <= (MAX_TICKS / 3 if is_panel else MAX_TICKS):
        x["dtick"] = 1
    if is_panel:
        y["nticks"] = 5


def _titled(charts: Sequence[Chart], max_length: int) -> list[dict[str, Any]]:
    """Return the titles of panels as annotations."""
    titles = []
    for i, chart in enumerate(charts):
        number = str(i + 1) if i else ""
        lines = [f"<b>{plain(chart.title, MAX_TITLE)}</b>"] if chart.title else []
        lines += [plain(chart.subtitle, max_length)] if chart.subtitle else []
        text = "<br>".join(lines)
        titles.append({"text": text, "hovertext": plain(chart.subtitle, MAX_HOVER)})
        titles[-1] |= {"x": 0, "xref": f"x{number} domain", "xanchor": "left", "align": "left"}
        titles[-1] |= {"y": 1, "yref": f"y{number} domain", "yanchor": "bottom"}
        titles[-1] |= {"showarrow": False, "font": {"size": 12.5}}
    return titles


def numbers(values: ArrayLike) -> list[Any]:
    """Return numbers with few digits; None is a value that is not finite."""
    array = np.asarray(values)
    if array.dtype.kind in "iu":
        return array.tolist()
    return [
        float(f"{value:.7g}") if math.isfinite(value) else None
        for value in array.astype(float).tolist()
    ]


def plain(text: object, max_length: int = MAX_TEXT) -> str:
    """Return text escaped for Plotly, and shortened if it is long."""
    text = " ".join(str(text).split())
    if len(text) > max_length:
        text = f"{text[: max_length - 1]}…"
    return html.escape(text, quote=False).replace("%{", "%&#123;")  # a hover template would fill it


def _hover(text: str) -> str:
    first, *others = (plain(line, MAX_HOVER) for line in text.split("\n"))
    return "<br>".join([f"<b>{first}</b>", *others])
