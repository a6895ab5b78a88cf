"""Figures as SVG that takes its text colour from the page, on light and on dark paper."""

import io
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

from refold._optional import optional

__all__ = ["themed_svg"]

INK = "#010203"  # a colour that nothing else has; in the page it becomes the colour of the text
STYLE: dict[str, Any] = {
    "axes.edgecolor": INK,
    "axes.facecolor": "none",
    "axes.labelcolor": INK,
    "figure.facecolor": "none",
    "font.size": 9.5,
    "svg.fonttype": "none",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


def themed_svg(draw: Callable[[], Any], *, name: str) -> str:
    """Draw a figure in the page's style and return it as an ``<svg>`` element.

    Parameters
    ----------
    draw : callable
        Returns axes; their figure is taken.
    name : str
        Unlike that of any other figure of the page: it starts every id inside the element.

    Returns
    -------
    str
    """
    matplotlib = optional("matplotlib", extra="plots", purpose="The page")
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": name}):
        axes = draw()
        buffer = io.StringIO()
        axes.figure.savefig(
            buffer, format="svg", transparent=True, dpi=160, metadata={"Date": None}
        )
    return _for_page(buffer.getvalue(), name)


class _UniqueIds:
    """Writes ids with a prefix; one that comes again, as equal pictures have it, gets a number."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.seen: Counter[str] = Counter()

    def __call__(self, found: re.Match[str]) -> str:
        self.seen[found[1]] += 1
        again = self.seen[found[1]]
        return f'id="{self.prefix}-{found[1]}{"" if again == 1 else f"-again{again}"}"'


def _for_page(text: str, name: str) -> str:
    svg = text[text.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'\bid="([^"]+)"', _UniqueIds(name), svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", svg)
    svg = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', svg)
    svg = re.sub(r"'DejaVu Sans'(?:, [^;\"]*)?", "var(--sans)", svg)
    return svg.replace(INK, "currentColor").strip()
