"""The page in a browser, on a real server."""

import json

import numpy as np
import pytest

from refold.explore._maps import BackgroundTask, NeighborMap

SECONDS = 30_000


class Opened:
    """A page, the messages of its console, and the addresses of its requests."""

    def __init__(self, browser, url, path="", width=1200, height=800, scheme="light"):
        self.url = url
        self.context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, accept_downloads=True
        )
        self.page = self.context.new_page()
        self.page.set_default_timeout(SECONDS)
        self.messages, self.foreign, self.asked = [], [], []
        self.page.on("console", lambda message: self.messages.append(message.text))
        self.page.on("pageerror", lambda error: self.messages.append(str(error)))
        self.page.on("request", self._note)
        self.page.goto(f"{url}/{path}")
        self.page.wait_for_selector("html[data-ready=true]")

    def _note(self, request):
        if not request.url.startswith((self.url, "blob:")):
            self.foreign.append(request.url)
        self.asked.append(request.url.removeprefix(self.url))

    def place_of(self, atlas, row, places=None):
        """Return the position of a point on the screen in the first view."""
        box = self.page.locator("#overlay").bounding_box()
        unit = min(box["width"], box["height"]) / 2.4
        x, y = (atlas.places if places is None else places)[row].tolist()
        return (box["x"] + box["width"] / 2 + x * unit, box["y"] + box["height"] / 2 - y * unit)

    def drag(self, x, y):
        """Drag the mouse over the map, which decodes at each place."""
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        for i in range(12):
            self.page.mouse.move(x + 6 * i, y + 4 * i)
            self.page.wait_for_timeout(20)
        self.page.mouse.up()
        self.wait("#name", "A place on the map")
        self.page.wait_for_function("() => location.hash.includes('at=')")

    def text(self, selector):
        return self.page.inner_text(selector)

    def wait(self, selector, text):
        self.page.wait_for_function(
            "([selector, text]) => document.querySelector(selector).innerText.includes(text)",
            arg=[selector, text],
        )

    def close(self):
        self.context.close()
        assert self.foreign == []
        assert self.messages == []


@pytest.fixture(scope="module")
def opened(browser, url):
    opened = Opened(browser, url)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def far_apart(atlas):
    """Return a point that no other point hides, and a point far from it."""
    places = atlas.places
    inside = (abs(places) < 1.1).all(axis=1)
    gaps = ((places[:, None] - places[None]) ** 2).sum(axis=2)
    gaps[range(len(places)), range(len(places))] = 9
    best = (gaps.min(axis=1) * inside).argsort()
    return int(best[-1]), int(best[-2])


# Number of drawn pixels on the canvas.
DRAWN = """() => new Promise((done) => {
    const count = (canvas) => {
        const copy = document.createElement("canvas");
        [copy.width, copy.height] = [canvas.width, canvas.height];
        const context = copy.getContext("2d");
        context.drawImage(canvas, 0, 0);
        const { data } = context.getImageData(0, 0, copy.width, copy.height);
        let found = 0;
        for (let i = 3; i < data.length; i += 4) found += data[i] > 0;
        return found;
    };
    document.querySelector("#fit").click();
    // after the frame that draws, and before the browser clears it
    requestAnimationFrame(() => done(count(document.querySelector("#points"))));
})"""


def test_the_map_draws_points(opened):
    opened.wait("#name", "A place on the map")  # there is one at the start
    opened.page.wait_for_timeout(100)
    assert opened.page.evaluate(DRAWN) > 200
    assert opened.page.is_visible("#mark")
    assert "drift" in opened.text("#title")
    assert opened.page.locator(".legend-item").count() == 3
    opened.page.click("[data-look='density']")
    opened.page.wait_for_timeout(100)
    assert opened.page.evaluate(DRAWN) > 20_000
    opened.page.click("[data-look='points']")


def test_a_click_shows_a_sequence_and_its_neighbors(opened, atlas, far_apart):
    row, _ = far_apart
    opened.page.mouse.click(*opened.place_of(atlas, row))
    opened.wait("#name", f"Sequence s{row}")
    opened.page.wait_for_selector("#neighbors button")
    facts = opened.text("#facts")
    assert f"{atlas.sequences.lengths[row]} steps" in facts
    assert "p-value" in facts
    number = atlas.model.num_calibrated
    assert f"which {number} normal sequences cannot decide" in opened.text("#reasons")
    assert opened.page.locator("#neighbors button").count() == 6
    assert opened.page.locator(".tokens .label").all_inner_texts() == ["Sequence", "Decoded"]


def test_a_drag_decodes_at_each_place(opened, atlas):
    before = len(opened.asked)
    opened.drag(*opened.place_of(atlas, 0))
    assert 2 <= opened.asked[before:].count("/explore/unfold") <= 12


def test_a_path_plays(opened, atlas, far_apart):
    page = opened.page
    for row, end in zip(far_apart, "01", strict=True):
        page.mouse.click(*opened.place_of(atlas, row))
        opened.wait("#name", f"Sequence s{row}")
        page.click(f"[data-end='{end}']")
    page.fill("#share", "0.5")
    opened.wait("#name", "Between A and B")
    page.click("#play")
    page.wait_for_function("() => document.querySelector('#share').value > 0.52")
    page.click("#play")
    assert opened.text("#play") == "Play"


def test_a_slider_changes_the_code(opened):
    opened.page.click("#sliders-section summary")
    slider = opened.page.locator("#sliders input").first
    slider.focus()
    slider.press("ArrowRight")
    opened.wait("#name", "A code")
    opened.page.wait_for_function("() => location.hash.includes('code=')")


def test_the_legend_filters(opened):
    item = opened.page.locator(".legend-item").first
    item.click()
    assert item.get_attribute("aria-pressed") == "false"
    opened.page.wait_for_function("() => location.hash.includes('hide=0')")
    opened.page.click("button:has-text('Select shown')")
    assert opened.text("#selected") == "32 selected"
    opened.page.click("#clear-selection")
    opened.page.click("button:has-text('Show all')")
    assert item.get_attribute("aria-pressed") == "true"


def test_a_lasso_selects_and_the_selection_downloads(opened, atlas, tmp_path):
    page = opened.page
    page.click("[data-mode='lasso']")
    box = page.locator("#overlay").bounding_box()
    left, top = box["x"] + 2, box["y"] + 2
    right, bottom = left + box["width"] - 4, top + box["height"] - 4
    page.mouse.move(left, top)
    page.mouse.down()
    for x, y in ((right, top), (right, bottom), (left, bottom)):
        page.mouse.move(x, y)
    page.mouse.up()
    page.click("[data-mode='decode']")
    count = int(opened.text("#selected").split()[0])
    assert 40 <= count <= len(atlas.codes)
    files = {}
    for what in ("table", "codes", "sequences"):
        with page.expect_download() as caught:
            page.click(f"[data-table='{what}']")
        caught.value.save_as(tmp_path / what)
        files[what] = (tmp_path / what).read_text()
    assert files["table"].startswith("id,site,length")
    assert files["codes"].startswith("id,code0,code1,code2\n")
    assert len(files["codes"].splitlines()) == count + 1
    assert len(json.loads(files["sequences"])) == count
    page.keyboard.press("Escape")
    assert page.is_hidden("#selection")


def test_the_keyboard_chooses_how_clusters_are_found(opened, atlas):
    page = opened.page
    assert page.is_hidden("#cluster-number")
    page.select_option("#color", "cluster")
    page.wait_for_selector(".legend-note")
    assert "k-means found" in opened.text(".legend-note")
    assert f"found {page.input_value('#cluster-number')} " in opened.text(".legend-note")
    page.focus("[data-method='kmeans']")
    page.keyboard.press("ArrowRight")
    opened.wait(".legend-note", "HDBSCAN found")
    assert page.is_hidden("#cluster-number")
    page.keyboard.press("ArrowLeft")
    opened.wait(".legend-note", "k-means found")
    page.focus("#cluster-number")
    page.keyboard.press("Control+a")
    page.keyboard.type("3")
    page.keyboard.press("Enter")
    opened.wait(".legend-note", "k-means found 3 clusters")
    assert page.locator(".legend-item").count() == 3
    page.wait_for_function("() => location.hash.includes('clusters=3')")
    page.click("[data-method='hdbscan']")
    opened.wait(".legend-note", "HDBSCAN found")
    assert [field.name for field in atlas.fields].count("cluster") == 1
    page.select_option("#color", "site")
    assert page.is_hidden("#clusters")


def test_a_missing_package_is_named_at_the_switch(opened, atlas, monkeypatch):
    monkeypatch.setattr("refold.explore._maps.is_installed", lambda package: package != "umap")
    monkeypatch.setattr(atlas, "_umap", BackgroundTask("UMAP", atlas._make_umap_map))
    opened.page.click("[data-map='umap']")
    opened.wait("#note", "needs the package 'umap-learn'")
    assert "pip install '.[umap]'" in opened.text("#note")
    opened.page.click("[data-map='pca']")
    assert opened.page.is_hidden("#note")
    opened.messages.clear()  # the browser logs the response with status 422


def test_umap_is_another_map_whose_places_decode(opened, atlas, far_apart, monkeypatch):
    page, (row, _) = opened.page, far_apart
    places = (atlas.places[:, ::-1] * [1, -1]).astype(np.float32)
    flat = NeighborMap(places, atlas.codes, atlas.similar)
    monkeypatch.setattr(atlas, "_umap", BackgroundTask("UMAP", flat))
    page.mouse.click(*opened.place_of(atlas, row))
    opened.wait("#name", f"Sequence s{row}")
    page.click("[data-map='umap']")
    opened.wait("#axes", "UMAP")
    page.wait_for_function("() => location.hash.includes('map=umap')")
    x, y = opened.place_of(atlas, row, places)
    page.mouse.click(x, y)
    opened.wait("#name", f"Sequence s{row}")
    opened.drag(x, y)
    page.click("[data-map='pca']")
    opened.wait("#axes", "PC 1")
    opened.wait("#name", "A code")


def find(opened, text):
    """Type an id by the keyboard alone."""
    opened.page.focus("#overlay")
    opened.page.keyboard.press("/")
    opened.page.keyboard.type(text)
    opened.page.keyboard.press("Enter")


def test_an_id_is_found_by_the_keyboard(opened):
    page = opened.page
    find(opened, "s17")
    opened.wait("#name", "Sequence s17")
    page.wait_for_function("() => location.hash.includes('row=17')")
    find(opened, "S")
    opened.wait("#note", "Several ids begin with S: s0, s1, s2, …")
    assert page.locator("#find-ids option").count() == 12
    page.keyboard.type("47")
    opened.wait("#name", "Sequence s17")
    page.keyboard.press("Enter")
    opened.wait("#name", "Sequence s47")
    assert page.is_hidden("#note")
    # the map moves to a point outside of the view
    page.evaluate("location.hash = 'view=3,3,50&row=3'")
    opened.wait("#name", "Sequence s3")
    find(opened, "s5")
    opened.wait("#name", "Sequence s5")
    page.wait_for_function("() => !location.hash.includes('view=3,3')")
    page.click("#fit")


DROP = """([name, content]) => {
    const data = new DataTransfer();
    data.items.add(new File([content], name));
    const options = { dataTransfer: data, bubbles: true, cancelable: true };
    document.querySelector("#overlay").dispatchEvent(new DragEvent("drop", options));
}"""


def test_pasted_sequences_and_dropped_files_appear_on_the_map(opened):
    page = opened.page
    page.click("#add")
    page.fill("#paste-text", "[oops")
    page.click("#paste-go")
    opened.wait("#paste-error", "is not JSON")
    page.fill("#paste-text", '[[[0.5, "a"], [1.5, "b"], [0.1, "c"]]]')
    page.click("#paste-go")
    opened.wait("#name", "Added: 0")
    assert page.is_hidden("#paste-dialog")
    assert "3 steps" in opened.text("#pasted-list button")
    page.click("#add")
    page.fill("#paste-text", "id,time,height,letter\ntable,0,0.5,a\ntable,1,0.7,b\n")
    page.click("#paste-go")
    opened.wait("#name", "Added: table")
    page.evaluate(DROP, ["new.jsonl", '{"id": "new", "height": [0.5], "letter": ["a"]}'])
    opened.wait("#name", "Added: new")
    page.evaluate(DROP, ["new.doc", "?"])
    opened.wait("#error", "cannot be read")
    page.click("#error button")
    opened.messages.clear()  # the browser logs the responses with status 422


def test_keys_move_the_place_and_show_neighbors(opened):
    page = opened.page
    page.focus("#overlay")
    page.keyboard.press("ArrowLeft")
    opened.wait("#name", "A place on the map")
    page.keyboard.press("Enter")
    opened.wait("#name", "Sequence s")
    before = opened.text("#name")
    page.keyboard.press("]")
    page.wait_for_function(
        "before => document.querySelector('#name').innerText !== before", arg=before
    )
    page.keyboard.press("?")
    assert page.is_visible("#help")
    page.keyboard.press("Escape")


def test_an_address_restores_a_narrow_dark_page(browser, url, atlas):
    """On a phone nothing is wider than the screen, and the address determines the view."""
    path = "#view=0.1,0.2,2&color=site&hide=1&row=5&a=3&b=7"
    narrow = Opened(browser, url, path, width=390, height=800, scheme="dark")
    narrow.wait("#name", "Sequence s5")
    narrow.wait("#ends", "s3 to s7")
    page = narrow.page
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator(".legend-item[aria-pressed='false']").count() == 1
    red = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0]")
    assert int(red) < 60
    page.evaluate("location.hash = 'at=4,4'")
    narrow.page.wait_for_selector("#far:not([hidden])")
    narrow.close()
