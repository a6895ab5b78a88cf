"""Numbers, text, colors and layouts that all figures of the page share, in the form of Plotly."""

import html
import math
from typing import Any

import numpy as np

from refold.plots import PALETTE, RAMP

__all__ = [
    "ACCENT",
    "CONTRAST",
    "MUTED",
    "TITLED",
    "grid",
    "heat",
    "layout",
    "numbers",
    "plain",
    "ramp",
    "signed",
]

ACCENT, CONTRAST = PALETTE[0], PALETTE[1]
MUTED = "#8d95a3"
MAX_TEXT = 48  # characters
TITLED = {"l": 10, "r": 10, "t": 56, "b": 10}  # margins of panels whose titles have two lines


def numbers(values: Any, digits: int = 5) -> list[Any]:
    """Return an array as nested lists with few digits, and None for values that are not finite.

    Examples
    --------
    >>> numbers([1 / 3, float("nan"), 2])
    [0.33333, None, 2.0]
    """
    array = np.asarray(values)
    if array.dtype.kind in "iu":
        return array.tolist()
    if array.ndim > 1:
        return [numbers(row, digits) for row in array]
    return [
        float(f"{one:.{digits}g}") if math.isfinite(one) else None
        for one in array.astype(float).tolist()
    ]


def plain(text: Any, max_length: int = MAX_TEXT) -> str:
    """Return text escaped for Plotly, and shortened if it is long.

    Examples
    --------
    >>> plain("a <b>")
    'a &lt;b&gt;'
    >>> plain("%{x}")
    '%&#123;x}'
    """
    text = " ".join(str(text).split())
    if len(text) > max_length:
        text = f"{text[: max_length - 1]}…"
    return html.escape(text, quote=False).replace("%{", "%&#123;")  # a hover template would fill it


def layout(height: int, **settings: Any) -> dict[str, Any]:
    """Return a layout with small margins and, by default, the legend above."""
    base = {
        "height": height,
        "margin": {"l": 10, "r": 10, "t": 12, "b": 10},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
    }
    if settings.pop("legend_above", True):
        base["margin"]["t"] = 40
    return base | settings


def grid(titles: list[str], columns: int, *, gap: float = 0.07, row_gap: float = 0.2) -> Any:
    """Arrange panels in rows. Return axes by name, and annotations with the titles.

    Examples
    --------
    >>> axes, notes = grid(["a", "b"], 2)
    >>> sorted(axes), notes[1]["text"]
    (['xaxis', 'xaxis2', 'yaxis', 'yaxis2'], 'b')
    """
    rows = -(-len(titles) // columns)
    wide = (1 - gap * (columns - 1)) / columns
    high = (1 - row_gap * (rows - 1)) / rows
    axes, notes = {}, []
    for i, title in enumerate(titles):
        left, top = (i % columns) * (wide + gap), 1 - (i // columns) * (high + row_gap)
        name = "" if i == 0 else str(i + 1)
        axes[f"xaxis{name}"] = {"domain": _clipped(left, left + wide), "anchor": f"y{name}"}
        axes[f"yaxis{name}"] = {"domain": _clipped(top - high, top), "anchor": f"x{name}"}
        notes.append(
            {
                "text": title, "x": left, "y": top, "xref": "paper", "yref": "paper",
                "xanchor": "left", "yanchor": "bottom", "showarrow": False, "align": "left",
                "font": {"size": 12.5},
            }
        )  # fmt: skip
    return axes, notes


def ramp(share: float) -> str:
    """Return a color between blue and yellow, for a share from 0 to 1.

    Examples
    --------
    >>> ramp(0.0), ramp(1.0)
    ('#3f5fd8', '#e2b53c')
    """
    place = min(max(share, 0.0), 1.0) * (len(RAMP) - 1)
    i = min(int(place), len(RAMP) - 2)
    low, high = (
        np.array([int(RAMP[k][c : c + 2], 16) for c in (1, 3, 5)], float) for k in (i, i + 1)
    )
    return "#" + "".join(f"{round(c):02x}" for c in low + (high - low) * (place - i))


def heat(colour: str, *, least: float = 0.06) -> list[list[Any]]:
    """Return a color scale from nearly transparent to a color."""
    red, green, blue = (int(colour[c : c + 2], 16) for c in (1, 3, 5))
    return [[0, f"rgba({red},{green},{blue},{least})"], [1, colour]]


def signed(value: float) -> str:
    """Format a number of standard deviations with its sign.

    Examples
    --------
    >>> signed(4 / 3), signed(0.0)
    ('+1.3', '0')
    """
    return f"{value:+.1f}" if value else "0"


def _clipped(low: float, high: float) -> list[float]:
    return [round(max(0.0, low), 4), round(min(1.0, high), 4)]
