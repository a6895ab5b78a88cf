"""The page: its contents, with escaped text."""

import html
import json
import re

import pytest

from refold.report import Result, Score, write_page
from refold.report._page import Card, Plot, Section, Table, Text, TextGroup

HOSTILE_TEXT = "</script><img src=x onerror=alert(1)>"
DOT = Plot([{"type": "scatter", "y": [1, 2], "name": HOSTILE_TEXT}], {"height": 200}, "dots")
RESULT = Result("Ones", 1000, 4, 4, (Score("exact", 0.9996, 0.25),), 12.34)


def text_of(page):
    """Return the text that a page shows."""
    without_tags = re.sub(r"<(script|style).*?</\1>|<[^>]*>", " ", page, flags=re.DOTALL)
    return html.unescape(" ".join(without_tags.split()))


@pytest.fixture
def page(tmp_path):
    def write(*sections, **options):
        write_page(tmp_path / "index.html", sections, **options)
        return (tmp_path / "index.html").read_text(encoding="utf-8")

    return write


def test_all_contents_are_on_the_page(page):
    cards = [
        Card("Dot", "One dot.", [DOT]),
        Card("Columns", "What they are.", [Table(["column"], [["height"]])]),
        Card("Words", "Two.", [Text([TextGroup("Best: 7", [("Refold", [("a", False)])])])]),
    ]
    ones_section = Section("Ones", "A one that moves.", [("4", "numbers")], cards, RESULT)
    text = page(
        ones_section,
        ones_section,
        title="A try",
        introduction="To begin with.",
        downloads=[("ones.refold", "the model")],
    )
    page_text = text_of(text)
    words = ["A try", "To begin with.", "A one that moves.", "One dot.", "the model"]
    for word in [*words, "height", "Best: 7"]:
        assert word in page_text
    assert page_text.index("numbers") < page_text.index("A one that moves.")  # caveats follow
    assert "Ones 1,000 4 99.9 % exact 25.0 % exact 12.3 s" in page_text


def test_text_is_escaped(page):
    group = TextGroup(HOSTILE_TEXT, [(HOSTILE_TEXT, [(HOSTILE_TEXT, True)])])
    views = [DOT, Table([HOSTILE_TEXT], [[HOSTILE_TEXT]]), Text([group])]
    section = Section(
        HOSTILE_TEXT,
        HOSTILE_TEXT,
        [(HOSTILE_TEXT, HOSTILE_TEXT)],
        [Card(HOSTILE_TEXT, HOSTILE_TEXT, views, has_switch=True)],
    )
    text = page(section, title=HOSTILE_TEXT)
    assert "<img" not in text
    assert text_of(text).count(HOSTILE_TEXT) > 8
    match = re.search(r'<script type="application/json" id="plots">(.*?)</script>', text)
    assert json.loads(match[1])[0]["data"][0]["name"] == HOSTILE_TEXT


def test_the_better_of_two_results_is_marked(page):
    def marks(value, pca, quantity):
        result = Result("x", 1, 1, 1, (Score(quantity, value, pca),))
        text = page(Section("x", "", result=result), Section("y", ""))
        return [
            cell.split(">")[1].split("<")[0] for cell in text.split("<td")[1:] if "best" in cell
        ]

    assert marks(0.1, 0.2, "nmse") == ["NMSE 0.1"]
    assert marks(0.1, 0.2, "exact") == ["20.0 % exact"]
    assert marks(1.0, 1.0, "exact") == ["100 % exact", "100 % exact"]
    assert marks(0.99999, None, "exact") == []  # never rounded to better than it is
    assert Score("exact", 0.99999, None).text(0.99999) == "99.9 % exact"
