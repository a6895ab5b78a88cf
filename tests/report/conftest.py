"""Fixtures for tests of the page."""

from html.parser import HTMLParser

import pytest


class Outline(HTMLParser):
    """Collects the addresses and the text of a page, and checks that its elements are closed."""

    VOID = frozenset({"meta", "link", "img", "br", "hr"})

    def __init__(self, page):
        super().__init__()
        self.fetched, self.words, self.open = [], [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        if tag in {"script", "link", "img", "iframe", "object"}:
            self.fetched.append((tag, values.get("src") or values.get("href")))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


@pytest.fixture
def outline():
    """Return a function that parses a page."""
    return Outline
