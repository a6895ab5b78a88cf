"""The documentation site, as `make docs` builds it: links, reference pages, search."""

import html.parser
import json
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

from test_house import reference

ROOT = Path(__file__).parent.parent
SITE = ROOT / "site"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not Path(sys.executable).with_name("zensical").exists(),
        reason="the tools of `make docs` are not installed",
    ),
]


class Page(html.parser.HTMLParser):
    """The anchors and links of a page."""

    def __init__(self, path):
        super().__init__()
        self.anchors, self.links = set(), set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.anchors |= {given.get("id"), given.get("name")}
        self.links |= {given.get("href"), given.get("src")} - {None}


@pytest.fixture(scope="module")
def pages():
    """Build the site, and return its pages by path."""
    build = [sys.executable, ROOT / "scripts" / "build_site.py"]
    run = subprocess.run(build, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return {path: Page(path) for path in SITE.rglob("*.html") if path.name != "404.html"}


def test_links_have_targets(pages):
    dead = []
    for page, content in pages.items():
        for link in content.links:
            if not re.match("(https?|mailto|data):", link):
                path, _, anchor = unquote(link).partition("#")
                found = (page.parent / path).resolve() if path else page
                if not found.exists() or (
                    anchor and found in pages and anchor not in pages[found].anchors
                ):
                    dead.append(f"{page.relative_to(SITE)}: {link}")
    assert dead == []


def test_pages_load_nothing_from_other_sites(pages):
    for page in pages:
        loaded = re.findall(r"<(?:script|link|img)[^>]*https?://[^>]*>", page.read_text("utf-8"))
        assert loaded == [], page


def test_names_in_the_reference_are_on_the_site(pages):
    anchors = set().union(*(page.anchors for page in pages.values()))
    assert {name for name, _ in reference() if name not in anchors} == set()


@pytest.mark.parametrize(
    ("words", "page"),
    [
        ("embedding", "index.html"),
        ("latent", "how-to/size.html"),
        ("anomaly score", "how-to/anomalies.html"),
        ("kl divergence", "explanation/models.html"),
        ("teacher forcing", "explanation/models.html"),
    ],
)
def test_search_finds_terms_of_the_field(pages, words, page):
    index = json.loads((SITE / "search.json").read_text(encoding="utf-8"))
    found = [
        item["location"].partition("#")[0]
        for item in index["items"]
        if words in f"{item['title']} {item['text']}".lower()
    ]
    assert page in found
