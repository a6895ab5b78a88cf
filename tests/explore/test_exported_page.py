"""A page that was written to a file, opened in a browser without a server."""

import json

import pytest

from explore.test_page import DRAWN, DROP, Opened, far_apart, find
from refold.explore import export_page

__all__ = ["far_apart"]


@pytest.fixture(scope="module")
def opened(browser, atlas, tmp_path_factory):
    path = tmp_path_factory.mktemp("exported") / "a page.html"
    export_page(atlas, path, name="drift")
    opened = Opened(browser, path.as_uri().removesuffix("/a%20page.html"), "a%20page.html")
    yield opened
    opened.close()
    assert opened.asked == ["/a%20page.html"]


def test_it_draws_and_decodes(opened, atlas, far_apart):
    opened.wait("#name", "A place on the map")
    opened.page.wait_for_timeout(100)
    assert opened.page.evaluate(DRAWN) > 200
    assert "drift" in opened.text("#title")
    opened.drag(*opened.place_of(atlas, 0))
    row, _ = far_apart
    opened.page.mouse.click(*opened.place_of(atlas, row))
    opened.wait("#name", f"Sequence s{row}")
    expected = atlas.show(row)
    assert f"{expected['length']} steps" in opened.text("#facts")
    assert f"p-value {expected['p_value']:.3g}" in opened.text("#facts")
    names = opened.page.locator("#neighbors button").all_inner_texts()
    assert names == [one["id"] for one in expected["neighbors"]]
    shown = opened.page.evaluate(f"atlas.sequence({row})")
    for name in ("error", "anomaly"):
        assert shown[name] == pytest.approx(expected[name])
    assert [part["step"] for part in shown["reasons"]] == [
        part["step"] for part in expected["reasons"]
    ]


def test_fields_and_files_need_no_server(opened, atlas):
    page = opened.page
    for name in ("error", "anomaly p-value", "cluster", "site"):
        page.select_option("#color", name)
        page.wait_for_selector(".gradient" if name[0] in "ea" else ".legend-item")
    page.keyboard.press("Escape")
    files = page.evaluate(
        """async () => {
            const files = ["table", "codes", "sequences"].map((what) => atlas.table(what, [2, 3]));
            return Promise.all((await Promise.all(files)).map((file) => file.text()));
        }"""
    )
    table, codes, sequences = files
    assert table.splitlines()[0].startswith("id,site,length")
    assert len(table.splitlines()) == 3
    assert codes.splitlines()[2] == ",".join(["s3", *map(repr, atlas.codes[3].tolist())])
    assert json.loads(sequences) == [[[a, b] for a, b in atlas.sequences[i]] for i in (2, 3)]
    assert page.is_hidden("#maps")  # it was exported without UMAP


def test_an_id_is_found(opened, atlas):
    find(opened, "s17")
    opened.wait("#name", "Sequence s17")
    for text in ("s4", "S4", "s47", "x"):
        assert opened.page.evaluate(f"atlas.find('{text}')") == atlas.find(text)


def test_adding_sequences_needs_a_server(opened):
    opened.page.evaluate(DROP, ["new.csv", "id,time,height,letter\nnew,0,0.5,a\n"])
    assert "needs a server: run refold explore" in opened.text("#adding-hint")
    opened.page.click("#adding-hint button")
    opened.page.click("#add")
    assert opened.page.is_hidden("#paste-dialog")
    opened.page.click("#adding-hint button")
    assert opened.page.is_hidden("#adding-hint")
