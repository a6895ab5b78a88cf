"""A page that was written to a file, opened in a browser without a server."""

import json

import pytest

from explore.test_page import COUNT_DRAWN_PIXELS, DROP_FILE, OpenPage, distant_rows, type_id
from refold.explore import export_page

__all__ = ["distant_rows"]


@pytest.fixture(scope="module")
def open_page(browser, atlas, tmp_path_factory):
    path = tmp_path_factory.mktemp("exported") / "a page.html"
    export_page(atlas, path, name="drift")
    open_page = OpenPage(browser, path.as_uri().removesuffix("/a%20page.html"), "a%20page.html")
    yield open_page
    open_page.close()
    assert open_page.requests == ["/a%20page.html"]


def test_it_draws_and_decodes(open_page, atlas, distant_rows):
    open_page.wait("#name", "A place on the map")
    open_page.page.wait_for_timeout(100)
    assert open_page.page.evaluate(COUNT_DRAWN_PIXELS) > 200
    assert "drift" in open_page.text("#title")
    open_page.drag(*open_page.screen_position(atlas, 0))
    row, _ = distant_rows
    open_page.page.mouse.click(*open_page.screen_position(atlas, row))
    open_page.wait("#name", f"Sequence s{row}")
    expected = atlas.show(row)
    assert f"{expected['length']} steps" in open_page.text("#facts")
    assert f"p-value {expected['p_value']:.3g}" in open_page.text("#facts")
    names = open_page.page.locator("#neighbors button").all_inner_texts()
    assert names == [neighbor["id"] for neighbor in expected["neighbors"]]
    answer = open_page.page.evaluate(f"atlas.sequence({row})")
    for name in ("error", "anomaly"):
        assert answer[name] == pytest.approx(expected[name])
    assert [reason["step"] for reason in answer["reasons"]] == [
        reason["step"] for reason in expected["reasons"]
    ]


def test_fields_and_files_need_no_server(open_page, atlas):
    page = open_page.page
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


def test_an_id_is_found(open_page, atlas):
    type_id(open_page, "s17")
    open_page.wait("#name", "Sequence s17")
    for text in ("s4", "S4", "s47", "x"):
        assert open_page.page.evaluate(f"atlas.find('{text}')") == atlas.find(text)


def test_adding_sequences_needs_a_server(open_page):
    open_page.page.evaluate(DROP_FILE, ["new.csv", "id,time,height,letter\nnew,0,0.5,a\n"])
    assert "needs a server: run refold explore" in open_page.text("#adding-hint")
    open_page.page.click("#adding-hint button")
    open_page.page.click("#add")
    assert open_page.page.is_hidden("#paste-dialog")
    open_page.page.click("#adding-hint button")
    assert open_page.page.is_hidden("#adding-hint")
