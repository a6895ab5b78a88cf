"""The page itself: one HTML file with everything in it."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from refold._optional import optional
from refold.report._measure import Result
from refold.sequences import atomic_writer

__all__ = ["Figure", "Section", "write_page"]


@dataclass(frozen=True)
class Figure:
    """A picture on the page.

    Parameters
    ----------
    title : str
    caption : str
        What to see in it.
    svg : str
        An ``<svg>`` element; it goes into the page as it is, so it must come from a trusted hand.
    wide : bool
        Whether it takes the whole width.

    Examples
    --------
    >>> Figure("Dot", "A dot.", "<svg viewBox='0 0 2 2'><circle r='1'/></svg>").wide
    False
    """

    title: str
    caption: str
    svg: str
    wide: bool = False


@dataclass(frozen=True)
class Section:
    """What the page says of one data set.

    Parameters
    ----------
    title : str
    summary : str
        A few sentences.
    facts : list of (str, str)
        Numbers in large type, each with what it is.
    figures : list of Figure

    Examples
    --------
    >>> Section("Ones", "A one that moves.", [("100 %", "recovered exactly")]).figures
    []
    """

    title: str
    summary: str
    facts: Sequence[tuple[str, str]] = ()
    figures: Sequence[Figure] = field(default_factory=list)


def write_page(
    path: str | os.PathLike[str],
    sections: Sequence[Section],
    *,
    title: str = "Refold",
    introduction: str = "",
    results: Sequence[Result] = (),
    downloads: Sequence[tuple[str, str]] = (),
) -> None:
    """Write a page that opens in any browser, without a network, in light and in dark.

    Parameters
    ----------
    path : str or PathLike
        File to write, whole or not at all.
    sections : sequence of Section
        One for each data set, in order.
    title : str
        Heading of the page.
    introduction : str
        A paragraph below the heading.
    results : sequence of Result
        Rows of the table of results.
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
    jinja2 = optional("jinja2", extra="plots", purpose="The page")
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    source = files("refold.report").joinpath("page.html.jinja").read_text(encoding="utf-8")
    page = environment.from_string(source).render(
        title=title,
        introduction=introduction,
        sections=sections,
        results=results,
        downloads=downloads,
    )
    with atomic_writer(Path(path)) as stream:
        stream.write(page.encode("utf-8"))
