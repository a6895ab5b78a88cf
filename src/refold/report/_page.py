"""`write_page` writes an HTML page of sections, cards and plots, which contains plotly.js.

`make_plot` turns charts into figures of Plotly.
"""

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

from refold._support.atomic_files import atomic_writer
from refold._support.messages import format_number, format_rounded
from refold._support.optional_imports import import_optional
from refold.evaluation import as_percent
from refold.plots.charts import RAMP, Axis, Chart, Marks

Quantity = Literal["nmse", "accuracy", "exact"]
# What each quantity means, for people who read a page for the first time.
QUANTITY_MEANINGS = {
    "nmse": "NMSE: squared error divided by squared values",
    "accuracy": "accuracy: steps with all values right",
    "exact": "exact: sequences reconstructed exactly",
}
# Short names, which follow a value.
QUANTITY_NAMES = {"nmse": "NMSE", "accuracy": "accuracy", "exact": "reconstructed exactly"}


@dataclass(frozen=True)
class Plot:
    """A figure that Plotly draws in the browser."""

    traces: Sequence[dict[str, Any]]  # as plain JSON values
    layout: dict[str, Any]  # with a height
    button_text: str = ""  # of the button that shows this plot, if the card has a switch
    narrow_layout: dict[str, Any] = field(default_factory=dict)  # on a phone; empty: as ``layout``
    view_type: str = "plot"  # by which the template of the page tells views apart


# A text, and whether it is marked as wrong.
Token = tuple[str, bool]
# The name of a row of text, and its tokens.
TokenRow = tuple[str, Sequence[Token]]


@dataclass(frozen=True)
class TextGroup:
    """Rows of tokens below a heading."""

    title: str
    rows: Sequence[TokenRow]


@dataclass(frozen=True)
class TextView:
    """Categorical sequences as text."""

    groups: Sequence[TextGroup]
    view_type: str = "text"


@dataclass(frozen=True)
class Table:
    """A table of texts."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    view_type: str = "table"


@dataclass(frozen=True)
class Card:
    """A titled block of the page, with a caption and one or more views."""

    title: str
    caption: str
    views: Sequence[Plot | TextView | Table]
    has_switch: bool = False  # True: buttons switch between views. False: all views are shown.


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
        Value for PCA; None if PCA could not be fitted.

    Examples
    --------
    >>> Score("exact", 0.9999, 0.5).text(0.9999)
    '99.9 % exact'
    >>> Score("nmse", 0.1, 0.2).is_as_good_as_pca
    True
    """

    quantity: Quantity
    value: float
    pca: float | None

    @property
    def meaning(self) -> str:
        """Name of the quantity, with an explanation."""
        return QUANTITY_MEANINGS[self.quantity]

    @property
    def is_as_good_as_pca(self) -> bool:
        """Whether the model is at least as good as PCA."""
        if self.pca is None:
            return False
        return self.value <= self.pca if self.quantity == "nmse" else self.value >= self.pca

    @property
    def is_pca_as_good(self) -> bool:
        """Whether PCA is at least as good as the model."""
        # with equal values, both are as good as the other
        return self.pca is not None and (self.value == self.pca or not self.is_as_good_as_pca)

    @property
    def unit(self) -> str:
        """Short name of the quantity, to follow a value."""
        return QUANTITY_NAMES[self.quantity]

    def format_number(self, value: float) -> str:
        """Format a value without its quantity; shares are rounded down."""
        return format_rounded(value) if self.quantity == "nmse" else as_percent(value)

    def text(self, value: float | None) -> str:
        """Format a value with its quantity: ``99.2 % exact``, ``NMSE 0.031``."""
        if value is None:
            return "none"
        number = self.format_number(value)
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
        Number of components of PCA: ``code_size``, or fewer if the data do not allow so many.
    scores : tuple of Score
        The main score comes first.
    seconds : float or None
        Training time, if it is known.

    Examples
    --------
    >>> Result("ones", 1000, 4, 4, (Score("exact", 1.0, 0.25),), 12.0).scores[0].is_as_good_as_pca
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
    """What a page shows about one data set and its model."""

    title: str
    summary: str
    key_figures: Sequence[tuple[str, str]] = ()  # (value, meaning), in large type
    cards: Sequence[Card] = ()
    result: Result | None = None  # for the table at the top of a page with several sections


def write_page(
    path: str | os.PathLike[str],
    sections: Sequence[Section],
    *,
    title: str = "Refold",
    introduction: str = "",
    downloads: Sequence[tuple[str, str]] = (),  # names of files next to the page, and what they are
) -> None:
    """Write a page that opens in any browser without a network, in light and dark mode."""
    jinja2 = import_optional("jinja2", extra="plots", purpose="The report")
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    folder = files("refold.report")
    plots = [
        {"data": view.traces, "layout": view.layout, "narrow": view.narrow_layout or view.layout}
        for section in sections
        for card in section.cards
        for view in card.views
        if isinstance(view, Plot)
    ]
    plots_json = json.dumps(plots, allow_nan=False, separators=(",", ":"))
    for character in "<>&":  # escaped, so that no text can end the script element
        plots_json = plots_json.replace(character, f"\\u{ord(character):04x}")
    plotly = ""
    if plots:
        offline = import_optional("plotly.offline", extra="plots", purpose="The report")
        plotly = offline.get_plotlyjs()
    template = folder.joinpath("page.html.jinja").read_text(encoding="utf-8")
    page = environment.from_string(template).render(
        title=title,
        introduction=introduction,
        sections=sections,
        results=[section.result for section in sections if section.result and len(sections) > 1],
        downloads=downloads,
        style=folder.joinpath("page.css").read_text(encoding="utf-8"),
        script=folder.joinpath("page.js").read_text(encoding="utf-8"),
        plots=plots_json,
        # escaped, because this text would end the script element
        plotly=plotly.replace("</script", "<\\/script"),
    )
    with atomic_writer(Path(path)) as stream:
        # a half of a UTF-16 pair in a text of the user cannot be encoded, and becomes "?"
        stream.write(page.encode("utf-8", errors="replace"))


# Charts as figures of Plotly; `page.js` adds the colors of light and dark mode

# Options of lines, by the style of `Marks`.
LINE_OPTIONS_BY_STYLE: dict[str, dict[str, Any]] = {
    "": {"line": {"width": 2}},
    "dot": {"line": {"width": 2, "dash": "dot"}},
    "original": {"line": {"width": 5}, "opacity": 0.3},
    "reconstruction": {"line": {"width": 1.6}},
    "thin dots": {"line": {"width": 1.2, "dash": "dot"}, "opacity": 0.9},
}
# Symbols of points, by the style of `Marks`.
POINT_SYMBOLS_BY_STYLE = {"diamond": "diamond", "ring": "circle-open"}
# Largest number of points of a line. A longer line skips points, so that the page stays small.
MAX_LINE_POINTS = 1000
# An axis of integers with at most this range has a tick at each of them.
MAX_INTEGER_TICKS = 12
# The same limit for an axis in a panel, which is only about a third as wide as the page.
MAX_PANEL_INTEGER_TICKS = 4
# Largest number of characters in the name of a tick.
MAX_TICK_CHARACTERS = 48
# Largest number of characters in a line of a hover text.
MAX_HOVER_CHARACTERS = 200
# Largest number of characters of a name in a legend.
MAX_LEGEND_CHARACTERS = 30
# Largest number of characters in the title above a panel.
MAX_PANEL_TITLE_CHARACTERS = 32
# Largest number of characters in the subtitle above a panel.
MAX_SUBTITLE_CHARACTERS = 38
# Gap between panels, for ticks and titles, as a share of the height of a panel.
PANEL_GAP_SHARE = 0.35
# Largest number of characters in the name of a tick on a phone.
MAX_NARROW_TICK_CHARACTERS = 16
# Largest number of ticks with names on an axis on a phone.
MAX_NARROW_TICKS = 20
# Largest number of characters in a line of the title of an axis on a phone.
MAX_NARROW_TITLE_LINE_CHARACTERS = 24
# Largest number of characters in the subtitle above a panel on a phone.
MAX_NARROW_SUBTITLE_CHARACTERS = 32
# Height of a panel on a phone.
NARROW_PANEL_HEIGHT = 200


def make_plot(
    chart_or_panels: Chart | Sequence[Chart],
    height: int,  # of the whole figure, in pixels
    button_text: str = "",
    *,
    num_columns: int = 1,  # of the grid of panels
    is_filled_by_column: bool = False,  # True: one column after the other, instead of rows
    narrow_panel_height: int = NARROW_PANEL_HEIGHT,  # in pixels; a phone has a single column
    **layout_options: Any,  # other options of the layout of Plotly
) -> Plot:
    """Return charts, each with its own axes, as a figure of the page."""
    panels = [chart_or_panels] if isinstance(chart_or_panels, Chart) else chart_or_panels
    traces, names_in_legend = [], set()
    # Names are sorted by their last occurrence, so that PCA, which is last in each panel, is last
    # in the legend.
    all_names = [marks.name for chart in panels for marks in chart.marks]
    names = [*dict.fromkeys(all_names[::-1])][::-1]
    # a legend with a single name would tell nothing; marks without a name have the name ""
    has_legend = len({*names} - {""}) > 1
    for i, chart in enumerate(panels):
        suffix = str(i + 1) if i else ""  # Plotly calls the axes x, x2, x3, ...
        # Diameter in pixels. Many points are small, so that they do not cover each other.
        point_size = float(np.clip(180 / np.sqrt(max(1, sum(len(m.x) for m in chart.marks))), 5, 9))
        for marks in chart.marks:
            # only the first trace of a name has an entry in the legend
            has_entry = has_legend and len(marks.x) > 0 and marks.name not in {"", *names_in_legend}
            names_in_legend |= {marks.name} if has_entry else set()
            options = {"xaxis": f"x{suffix}", "yaxis": f"y{suffix}", "showlegend": has_entry}
            options["legendrank"] = 1000 + names.index(marks.name)  # 1000 is the default
            traces.append(_make_trace(marks, chart, point_size) | options)
    # Plotly's names of the pairs of axes, in the rows and columns of a grid; "" is an empty place
    pairs = [f"x{i or ''}y{i or ''}" for i in (0, *range(2, len(panels) + 1))]
    narrow_grid = [[pair] for pair in pairs]
    num_rows = -(-len(panels) // num_columns)  # rounded up
    pairs += [""] * (num_rows * num_columns - len(pairs))
    grid = [pairs[i : i + num_columns] for i in range(0, len(pairs), num_columns)]
    if is_filled_by_column:
        grid = [pairs[i::num_rows] for i in range(num_rows)]
    # 120 pixels for what surrounds the panels, such as the legend
    narrow_height = height if len(panels) == 1 else 120 + narrow_panel_height * len(panels)
    return Plot(
        traces,
        _make_layout(panels, grid, height, is_narrow=False) | layout_options,
        button_text,
        _make_layout(panels, narrow_grid, narrow_height, is_narrow=True) | layout_options,
    )


def _make_layout(
    panels: Sequence[Chart], axis_pairs: Sequence[Sequence[str]], height: int, *, is_narrow: bool
) -> dict[str, Any]:
    """Return the axes, titles and legend of panels, given the grid of their pairs of axes."""
    first = panels[0]  # its legend and its kind of axes count for all panels
    is_grid = bool(first.title)  # a single chart has no title, because the card has one
    layout: dict[str, Any] = {}
    # in each column of the grid, only the lowest panel has a title of its x axis
    lowest = {[pair for pair in column if pair][-1] for column in zip(*axis_pairs, strict=True)}
    max_ticks = MAX_NARROW_TICKS if is_narrow else None
    max_subtitle = MAX_NARROW_SUBTITLE_CHARACTERS if is_narrow else MAX_SUBTITLE_CHARACTERS
    annotations = []
    for i, chart in enumerate(panels):
        suffix = str(i + 1) if i else ""
        has_x_grid = chart.grid_axis != "y" and not is_grid
        x = _make_axis(chart.x_axis, is_narrow=is_narrow, max_ticks=max_ticks, has_grid=has_x_grid)
        y = _make_axis(chart.y_axis, is_narrow=is_narrow, has_grid=chart.grid_axis != "x")
        if f"x{suffix}y{suffix}" not in lowest:
            x["title"] = {"text": ""}
        if chart.is_horizontal:
            y["autorange"] = "reversed"  # the first row is at the top
        if chart.y_axis.is_log:
            y |= {"type": "log", "dtick": "D2"}  # Plotly's code for ticks at 1, 2 and 5
        x_values = np.concatenate([np.ravel(marks.x) for marks in chart.marks])
        x_range = np.ptp(x_values) if len(x_values) else 0
        max_integer_ticks = MAX_PANEL_INTEGER_TICKS if is_grid else MAX_INTEGER_TICKS
        if chart.x_axis.has_integer_ticks and x_range <= max_integer_ticks:
            x["dtick"] = 1
        if is_grid:
            y["nticks"] = 5
        layout |= {f"xaxis{suffix}": x, f"yaxis{suffix}": y}
        title = escape_text(chart.title, MAX_PANEL_TITLE_CHARACTERS)
        lines = [f"<b>{title}</b>" if title else "", escape_text(chart.subtitle, max_subtitle)]
        # the annotation may shorten the subtitle, so the hover text repeats more of it
        hover_text = escape_text(chart.subtitle, MAX_HOVER_CHARACTERS)
        annotation = {"text": "<br>".join(filter(None, lines)), "hovertext": hover_text}
        annotation |= {"x": 0, "xref": f"x{suffix} domain", "xanchor": "left", "align": "left"}
        annotation |= {"y": 1, "yref": f"y{suffix} domain", "yanchor": "bottom"}
        annotations.append(annotation | {"showarrow": False, "font": {"size": 12.5}})
    top = 16 if is_narrow else 40  # pixels above the axes, for a legend and the buttons
    # 56 pixels below the axes, as a share of their height, which is about `height` - 120 pixels
    below = {"x": 0, "y": -56 / (height - 120), "yanchor": "top", "orientation": "h"}
    legend = {"x": 0, "y": 1.02, "yanchor": "bottom", "orientation": "h"}
    legend_title = escape_text(first.legend_title, MAX_LEGEND_CHARACTERS)
    bar = {"thickness": 12, "outlinewidth": 0, "exponentformat": "none"}
    bar |= {"title": {"text": legend_title}}
    if is_grid:
        top, legend = 56 if first.subtitle else 40, below
        layout["grid"] = {"subplots": axis_pairs, "pattern": "independent", "ygap": PANEL_GAP_SHARE}
        layout["annotations"] = annotations
    elif is_narrow:
        legend = below
        bar |= {"x": 0, "y": below["y"], "xanchor": "left", "yanchor": "top", "orientation": "h"}
    elif first.grid_axis is None:  # the points of a map may be anywhere, so the legend is beside
        legend = {"x": 1.01, "y": 1, "yanchor": "top", "itemsizing": "constant"}
    legend["title"] = {"text": legend_title}
    ramp = [[i / (len(RAMP) - 1), color] for i, color in enumerate(RAMP)]
    layout["coloraxis"] = {"colorscale": ramp, "colorbar": bar}
    if is_narrow:
        legend["title"]["side"] = "top"
        layout["dragmode"] = False  # so that a finger scrolls the page
    margin = {"l": 10, "r": 10, "t": top, "b": 10}
    return layout | {"height": height, "margin": margin, "legend": legend, "barmode": "overlay"}


def _make_trace(marks: Marks, chart: Chart, point_size: float) -> dict[str, Any]:
    """Return marks as a trace of Plotly."""
    stride = 1
    if marks.mark_type == "lines":
        stride = max(1, -(-len(marks.x) // MAX_LINE_POINTS))  # rounded up
    # the x of runs is (n, 2), begin and end, and is added below
    x = [] if marks.mark_type == "runs" else to_json_numbers(marks.x[::stride])
    y = to_json_numbers(marks.y[::stride])
    name = escape_text(marks.name, MAX_LEGEND_CHARACTERS)
    trace: dict[str, Any] = {"type": "scatter", "x": x, "y": y, "name": name}
    if marks.hover_texts:
        texts = []
        for hover_text in marks.hover_texts:
            first, *rest = (escape_text(t, MAX_HOVER_CHARACTERS) for t in hover_text.split("\n"))
            texts.append("<br>".join([f"<b>{first}</b>", *rest]))
        trace |= {"hoverinfo": "text", "hovertext": texts}
    if marks.value_label:
        label = escape_text(marks.value_label, MAX_HOVER_CHARACTERS)
        template = f"{label}: %{{text}}<extra>{chart.x_axis.title} %{{x}}</extra>"
        trace |= {"hovertemplate": template, "text": [format_number(value) for value in y]}
    if marks.legend_group:
        trace |= {"legendgroup": escape_text(marks.legend_group)}
        trace |= {"visible": "legendonly"} if marks.is_hidden else {}
    bars = {"type": "bar", "width": marks.thickness, "marker": {"color": marks.color}}
    if marks.mark_type == "bars":
        return trace | bars | ({"x": y, "y": x, "orientation": "h"} if chart.is_horizontal else {})
    if marks.mark_type == "runs":
        begin, end = marks.x.T
        bars |= {"base": to_json_numbers(begin), "x": to_json_numbers(end - begin)}
        return trace | bars | {"orientation": "h"}
    if marks.mark_type == "lines":
        style = LINE_OPTIONS_BY_STYLE[marks.style]
        trace |= style | {"line": {"color": marks.color} | style["line"]}
        # a line of one point is invisible
        return trace | {"mode": "lines+markers" if len(x) < 3 else "lines"}
    marker: dict[str, Any] = {"size": point_size, "opacity": 0.8, "color": marks.color}
    if marks.style:
        marker |= {"size": 11, "opacity": 1, "symbol": POINT_SYMBOLS_BY_STYLE[marks.style]}
        marker["line"] = {"width": 2, "color": marks.color}
        trace["cliponaxis"] = False  # large symbols at the edge are drawn in full
    elif not isinstance(marks.color, str):
        marker |= {"color": to_json_numbers(marks.color), "coloraxis": "coloraxis"}
    return trace | {"mode": "markers", "marker": marker}


def _make_axis(
    axis: Axis, *, is_narrow: bool, has_grid: bool, max_ticks: int | None = None
) -> dict[str, Any]:
    """Return the options of an axis; names of ticks are shortened and, if many, skipped."""
    title = escape_text(axis.title)
    if is_narrow:
        title_lines = textwrap.wrap(title, MAX_NARROW_TITLE_LINE_CHARACTERS, break_long_words=False)
        title = "<br>".join(title_lines)
    options: dict[str, Any] = {"title": {"text": title}}
    options |= {"showgrid": has_grid, "zeroline": axis.starts_at_zero}
    if axis.tick_names:
        stride = -(-len(axis.tick_names) // (max_ticks or len(axis.tick_names)))  # rounded up
        max_characters = MAX_NARROW_TICK_CHARACTERS if is_narrow else MAX_TICK_CHARACTERS
        names = [escape_text(name, max_characters) for name in axis.tick_names[::stride]]
        positions = [*range(0, len(axis.tick_names), stride)]
        options |= {"tickmode": "array", "tickvals": positions, "ticktext": names}
    if axis.starts_at_zero:
        options["rangemode"] = "tozero"
    return options


def to_json_numbers(values: ArrayLike) -> list[Any]:
    """Return numbers for JSON, rounded to 7 digits, with None for values that are not finite."""
    array = np.asarray(values)
    if array.dtype.kind in "iu":
        return array.tolist()
    # 7 digits are those of float32, and make the page smaller
    return [
        float(f"{value:.7g}") if math.isfinite(value) else None
        for value in array.astype(float).tolist()
    ]


def escape_text(text: object, max_characters: int = MAX_TICK_CHARACTERS) -> str:
    """Return text without line breaks, shortened, and escaped for Plotly."""
    text = " ".join(str(text).split())
    if len(text) > max_characters:
        text = f"{text[: max_characters - 1]}…"
    return html.escape(text, quote=False).replace("%{", "%&#123;")  # not a variable of a template
