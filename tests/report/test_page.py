import pytest

from refold.errors import RefoldError
from refold.report import Figure, Result, Section, write_page

SVG = '<svg viewBox="0 0 2 2"><circle r="1"/></svg>'


@pytest.fixture
def page(tmp_path):
    def write(*sections, **options):
        write_page(tmp_path / "index.html", sections, **options)
        return (tmp_path / "index.html").read_text(encoding="utf-8")

    return write


def test_everything_given_is_on_the_page(page, outline):
    ones = Section(
        "Ones", "A one that moves.", [("4", "numbers")], [Figure("Dot", "One dot.", SVG)]
    )
    text = page(
        ones,
        title="A try",
        introduction="To begin with.",
        results=[Result("Ones", 1000, 4, "exact", 0.9996, 0.25, 12.34)],
        downloads=[("ones.refold", "the model")],
    )
    seen = outline(text)
    assert seen.open == []
    assert SVG in text
    for words in ("A try", "To begin with.", "A one that moves.", "4", "One dot.", "the model"):
        assert words in seen.text
    assert "Ones 1,000 4 99.9 % exact 25.0 % exact 12.3 s" in seen.text


def test_the_page_needs_no_network(page, outline):
    text = page(Section("Ones", "x", (), [Figure("Dot", "One dot.", SVG)]))
    assert outline(text).fetched == []
    assert "@import" not in text
    assert "url(" not in text


def test_there_is_a_light_and_a_dark_page(page):
    assert "prefers-color-scheme: dark" in page()


def test_text_is_escaped(page):
    text = page(Section("<b>&", '"<script>alert(1)</script>'), title="a < b")
    assert "<script>" not in text
    assert "&lt;b&gt;&amp;" in text
    assert "<title>a &lt; b</title>" in text


def test_the_better_of_two_results_is_marked(page):
    def marks(value, pca, quantity):
        text = page(results=[Result("x", 1, 1, quantity, value, pca, 1.0)])
        return [
            cell.split(">")[1].split("<")[0] for cell in text.split("<td")[1:] if "best" in cell
        ]

    assert marks(0.1, 0.2, "nmse") == ["NMSE 0.1"]
    assert marks(0.1, 0.2, "exact") == ["20.0 % exact"]
    assert marks(1.0, 1.0, "exact") == ["100 % exact", "100 % exact"]


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(RefoldError, match="no folder"):
        write_page(tmp_path / "nowhere" / "index.html", [])
    assert list(tmp_path.iterdir()) == []
