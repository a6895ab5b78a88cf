"""A page that was written to a file, opened in a browser without a server, and its decoder."""

import json
import re

import numpy as np
import pytest

from explore.test_page import COUNT_DRAWN_PIXELS, DROP_FILE, OpenPage, distant_rows, type_id
from network.model_cases import MODEL_CASES, fitted
from refold.explore import Atlas, export_page
from refold.explore._exported_page import join_modules, make_data_blocks, make_data_element
from refold.explore._maps import BackgroundTask, NeighborMap
from refold.explore._server import PAGE_FOLDER

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
    expected = atlas.describe_sequence(row)
    assert f"{expected['length']} steps" in open_page.text("#facts")
    assert f"p-value {expected['p_value']:.3g}" in open_page.text("#facts")
    names = open_page.page.locator("#neighbors button").all_inner_texts()
    assert names == [neighbor["id"] for neighbor in expected["neighbors"]]
    answer = open_page.page.evaluate(f"atlas.sequence({row})")
    for name in ("error", "anomaly"):
        assert answer[name] == pytest.approx(expected[name])
    steps, expected_steps = ([x["step"] for x in a["reasons"]] for a in (answer, expected))
    assert steps == expected_steps


def test_fields_and_files_need_no_server(open_page, atlas):
    page = open_page.page
    for name in ("error", "anomaly p-value", "cluster", "site"):
        page.select_option("#color", name)
        page.wait_for_selector(".gradient" if name[0] in "ea" else ".legend-item")
    page.keyboard.press("Escape")
    names = ("table", "codes", "sequences")
    read_file = "async (name) => (await atlas.table(name, [2, 3])).text()"
    table, codes, sequences = (page.evaluate(read_file, name) for name in names)
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


@pytest.fixture(scope="module")
def page(browser):
    page = browser.new_page()
    yield page
    page.close()


def load_atlas(page, atlas, *, umap=False):
    """Load the data and the decoder of an exported page into a page, without the map."""
    atlas.fields = [field for field in atlas.fields if field.name != "cluster"]
    blocks = make_data_blocks(atlas, "model", includes_umap=umap)
    script = join_modules(PAGE_FOLDER / "embedded" / "atlas.js")
    entry_module = re.findall(r"^const (module_\d+) =", script, re.MULTILINE)[-1]
    script += f"\nglobalThis.atlas = new {entry_module}.Atlas();"
    script += "\natlas.start().then(() => (document.title = 'ready'));"
    elements = "".join(make_data_element(*block) for block in blocks)
    page.set_content(f"{elements}<script type='module'>{script}</script>")
    page.wait_for_function("() => document.title === 'ready'")


def test_a_page_computes_what_the_server_does(page):
    """Sequences with gaps, and places and codes on both maps."""
    data, options = MODEL_CASES["gaps"]
    atlas = Atlas(fitted(data, **options), data)
    places = np.random.default_rng(3).normal(size=(len(data), 2)).astype(np.float32)
    neighbor_map = NeighborMap(places, atlas.codes, atlas.weighted_codes)
    atlas._umap_task = BackgroundTask("UMAP", neighbor_map)
    load_atlas(page, atlas, umap=True)
    stds = atlas.model.error_scaler.scale_
    questions = [
        {"at": [0.1, 0.2], "on": "umap"},
        {"at": [9.0, 0.5], "on": "umap"},
        {"code": (atlas.codes[3] * 0.9).tolist(), "on": "umap"},
        {"at": [0.3, -0.1], "row": 2, "on": "pca"},
        {"code": (atlas.codes[3] + 9).tolist(), "on": "pca"},
    ]
    answers = page.evaluate(
        "all => Promise.all(all.map((question) => atlas.unfold(question)))", questions
    )
    for answer, question in zip(answers, questions, strict=True):
        place, code, base_row = map(question.get, ("at", "code", "row"))
        expected = atlas.decode_place_or_code(place, code, base_row, question["on"])
        for name in ("at", "code"):
            np.testing.assert_allclose(answer[name], expected[name], rtol=1e-4, atol=1e-4)
        check_columns(answer["back"], expected["back"], stds)
        for name in ("length", "far", "nearest", "id"):
            assert answer[name] == expected[name]


def check_columns(columns, expected, stds):
    """Check decoded columns: numbers to 1e-4 standard deviations, and all else exactly."""
    for values, expected_values, scale in zip(columns, expected, stds, strict=True):
        if expected_values and isinstance(expected_values[0], float):
            np.testing.assert_allclose(values, expected_values, atol=1e-4 * scale)
        else:
            assert values == expected_values
