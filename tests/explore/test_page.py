"""The page in a browser, on a real server."""

import json

import numpy as np
import pytest

from refold.explore._maps import BackgroundTask, NeighborMap, compute_umap_places

TIMEOUT_MILLISECONDS = 30_000


class OpenPage:
    """A page, the messages of its console, and the addresses of its requests."""

    def __init__(self, browser, url, path="", width=1200, height=800, scheme="light"):
        self.url = url
        self.context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, accept_downloads=True
        )
        self.page = self.context.new_page()
        self.page.set_default_timeout(TIMEOUT_MILLISECONDS)
        self.messages, self.foreign_requests, self.requests = [], [], []
        self.page.on("console", lambda message: self.messages.append(message.text))
        self.page.on("pageerror", lambda error: self.messages.append(str(error)))
        self.page.on("request", self._record_request)
        self.page.goto(f"{url}/{path}")
        self.page.wait_for_selector("html[data-ready=true]")

    def _record_request(self, request):
        if not request.url.startswith((self.url, "blob:")):
            self.foreign_requests.append(request.url)
        self.requests.append(request.url.removeprefix(self.url))

    def screen_position(self, atlas, row, places=None):
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
        assert self.foreign_requests == []
        assert self.messages == []


@pytest.fixture(scope="module")
def open_page(browser, url):
    open_page = OpenPage(browser, url)
    yield open_page
    open_page.close()


@pytest.fixture(scope="module")
def distant_rows(atlas):
    """Return two rows whose points no other point hides."""
    places = atlas.places
    is_inside = (abs(places) < 1.1).all(axis=1)
    squared_distances = ((places[:, None] - places[None]) ** 2).sum(axis=2)
    squared_distances[range(len(places)), range(len(places))] = 9
    best = (squared_distances.min(axis=1) * is_inside).argsort()
    return int(best[-1]), int(best[-2])


# Number of drawn pixels on the canvas.
COUNT_DRAWN_PIXELS = """() => new Promise((done) => {
    const count = (canvas) => {
        const copy = document.createElement("canvas");
        [copy.width, copy.height] = [canvas.width, canvas.height];
        const context = copy.getContext("2d");
        context.drawImage(canvas, 0, 0);
        const { data } = context.getImageData(0, 0, copy.width, copy.height);
        let numDrawn = 0;
        for (let i = 3; i < data.length; i += 4) numDrawn += data[i] > 0;
        return numDrawn;
    };
    document.querySelector("#fit").click();
    // after the frame that draws, and before the browser clears it
    requestAnimationFrame(() => done(count(document.querySelector("#points"))));
})"""


def test_the_map_draws_points(open_page):
    open_page.wait("#name", "A place on the map")  # there is one at the start
    open_page.page.wait_for_timeout(100)
    assert open_page.page.evaluate(COUNT_DRAWN_PIXELS) > 200
    assert open_page.page.is_visible("#mark")
    assert "drift" in open_page.text("#title")
    assert open_page.page.locator(".legend-item").count() == 3
    open_page.page.click("[data-look='density']")
    open_page.page.wait_for_timeout(100)
    assert open_page.page.evaluate(COUNT_DRAWN_PIXELS) > 20_000
    open_page.page.click("[data-look='points']")


def test_a_click_shows_a_sequence_and_its_neighbors(open_page, atlas, distant_rows):
    row, _ = distant_rows
    open_page.page.mouse.click(*open_page.screen_position(atlas, row))
    open_page.wait("#name", f"Sequence s{row}")
    open_page.page.wait_for_selector("#neighbors button")
    facts = open_page.text("#facts")
    assert f"{atlas.sequences.lengths[row]} steps" in facts
    assert "p-value" in facts
    num_normal = atlas.model.num_calibrated
    assert f"which {num_normal} normal sequences cannot decide" in open_page.text("#reasons")
    assert open_page.page.locator("#neighbors button").count() == 6
    assert open_page.page.locator(".tokens .label").all_inner_texts() == ["Sequence", "Decoded"]


def test_a_drag_decodes_at_each_place(open_page, atlas):
    before = len(open_page.requests)
    open_page.drag(*open_page.screen_position(atlas, 0))
    assert 2 <= open_page.requests[before:].count("/explore/unfold") <= 12


def test_a_path_plays(open_page, atlas, distant_rows):
    page = open_page.page
    for row, end in zip(distant_rows, "01", strict=True):
        page.mouse.click(*open_page.screen_position(atlas, row))
        open_page.wait("#name", f"Sequence s{row}")
        page.click(f"[data-end='{end}']")
    page.fill("#share", "0.5")
    open_page.wait("#name", "Between A and B")
    page.click("#play")
    page.wait_for_function("() => document.querySelector('#share').value > 0.52")
    page.click("#play")
    assert open_page.text("#play") == "Play"


def test_a_slider_changes_the_code(open_page):
    open_page.page.click("#sliders-section summary")
    slider = open_page.page.locator("#sliders input").first
    slider.focus()
    slider.press("ArrowRight")
    open_page.wait("#name", "A code")
    open_page.page.wait_for_function("() => location.hash.includes('code=')")


def test_the_legend_filters(open_page):
    item = open_page.page.locator(".legend-item").first
    item.click()
    assert item.get_attribute("aria-pressed") == "false"
    open_page.page.wait_for_function("() => location.hash.includes('hide=0')")
    open_page.page.click("button:has-text('Select shown')")
    assert open_page.text("#selected") == "32 selected"
    open_page.page.click("#clear-selection")
    open_page.page.click("button:has-text('Show all')")
    assert item.get_attribute("aria-pressed") == "true"


def test_a_lasso_selects_and_the_selection_downloads(open_page, atlas, tmp_path):
    page = open_page.page
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
    count = int(open_page.text("#selected").split()[0])
    assert 40 <= count <= len(atlas.codes)
    files = {}
    for table_name in ("table", "codes", "sequences"):
        with page.expect_download() as download:
            page.click(f"[data-table='{table_name}']")
        download.value.save_as(tmp_path / table_name)
        files[table_name] = (tmp_path / table_name).read_text()
    assert files["table"].startswith("id,site,length")
    assert files["codes"].startswith("id,code0,code1,code2\n")
    assert len(files["codes"].splitlines()) == count + 1
    assert len(json.loads(files["sequences"])) == count
    page.keyboard.press("Escape")
    assert page.is_hidden("#selection")


def test_the_keyboard_chooses_how_clusters_are_found(open_page, atlas):
    page = open_page.page
    assert page.is_hidden("#cluster-number")
    page.select_option("#color", "cluster")
    page.wait_for_selector(".legend-note")
    assert "k-means found" in open_page.text(".legend-note")
    assert f"found {page.input_value('#cluster-number')} " in open_page.text(".legend-note")
    page.focus("[data-method='kmeans']")
    page.keyboard.press("ArrowRight")
    open_page.wait(".legend-note", "HDBSCAN found")
    assert page.is_hidden("#cluster-number")
    page.keyboard.press("ArrowLeft")
    open_page.wait(".legend-note", "k-means found")
    page.focus("#cluster-number")
    page.keyboard.press("Control+a")
    page.keyboard.type("3")
    page.keyboard.press("Enter")
    open_page.wait(".legend-note", "k-means found 3 clusters")
    assert page.locator(".legend-item").count() == 3
    page.wait_for_function("() => location.hash.includes('clusters=3')")
    page.click("[data-method='hdbscan']")
    open_page.wait(".legend-note", "HDBSCAN found")
    assert [field.name for field in atlas.fields].count("cluster") == 1
    page.select_option("#color", "site")
    assert page.is_hidden("#clusters")


def test_a_missing_package_is_named_at_the_switch(open_page, atlas, monkeypatch):
    monkeypatch.setattr("refold.explore._maps.is_installed", lambda package: package != "umap")
    task = BackgroundTask("UMAP", lambda: compute_umap_places(atlas.weighted_codes.vectors))
    monkeypatch.setattr(atlas, "_umap_task", task)
    open_page.page.click("[data-map='umap']")
    open_page.wait("#note", "needs the package 'umap-learn'")
    assert "pip install '.[umap]'" in open_page.text("#note")
    open_page.page.click("[data-map='pca']")
    assert open_page.page.is_hidden("#note")
    open_page.messages.clear()  # the browser logs the response with status 422


def test_umap_is_another_map_whose_places_decode(open_page, atlas, distant_rows, monkeypatch):
    page, (row, _) = open_page.page, distant_rows
    places = (atlas.places[:, ::-1] * [1, -1]).astype(np.float32)
    neighbor_map = NeighborMap(places, atlas.codes, atlas.weighted_codes)
    monkeypatch.setattr(atlas, "_umap_task", BackgroundTask("UMAP", neighbor_map))
    page.mouse.click(*open_page.screen_position(atlas, row))
    open_page.wait("#name", f"Sequence s{row}")
    page.click("[data-map='umap']")
    open_page.wait("#axes", "UMAP")
    page.wait_for_function("() => location.hash.includes('map=umap')")
    x, y = open_page.screen_position(atlas, row, places)
    page.mouse.click(x, y)
    open_page.wait("#name", f"Sequence s{row}")
    open_page.drag(x, y)
    page.click("[data-map='pca']")
    open_page.wait("#axes", "PC 1")
    open_page.wait("#name", "A code")


def type_id(open_page, text):
    """Type an id by the keyboard alone."""
    open_page.page.focus("#overlay")
    open_page.page.keyboard.press("/")
    open_page.page.keyboard.type(text)
    open_page.page.keyboard.press("Enter")


def test_an_id_is_found_by_the_keyboard(open_page):
    page = open_page.page
    type_id(open_page, "s17")
    open_page.wait("#name", "Sequence s17")
    page.wait_for_function("() => location.hash.includes('row=17')")
    type_id(open_page, "S")
    open_page.wait("#note", "Several ids begin with S: s0, s1, s2, …")
    assert page.locator("#find-ids option").count() == 12
    page.keyboard.type("47")
    open_page.wait("#name", "Sequence s17")
    page.keyboard.press("Enter")
    open_page.wait("#name", "Sequence s47")
    assert page.is_hidden("#note")
    # the map moves to a point outside of the view
    page.evaluate("location.hash = 'view=3,3,50&row=3'")
    open_page.wait("#name", "Sequence s3")
    type_id(open_page, "s5")
    open_page.wait("#name", "Sequence s5")
    page.wait_for_function("() => !location.hash.includes('view=3,3')")
    page.click("#fit")


DROP_FILE = """([name, content]) => {
    const data = new DataTransfer();
    data.items.add(new File([content], name));
    const options = { dataTransfer: data, bubbles: true, cancelable: true };
    document.querySelector("#overlay").dispatchEvent(new DragEvent("drop", options));
}"""


def test_pasted_sequences_and_dropped_files_appear_on_the_map(open_page):
    page = open_page.page
    page.click("#add")
    page.fill("#paste-text", "[oops")
    page.click("#paste-go")
    open_page.wait("#paste-error", "is not JSON")
    page.fill("#paste-text", '[[[0.5, "a"], [1.5, "b"], [0.1, "c"]]]')
    page.click("#paste-go")
    open_page.wait("#name", "Added: 0")
    assert page.is_hidden("#paste-dialog")
    assert "3 steps" in open_page.text("#pasted-list button")
    page.click("#add")
    page.fill("#paste-text", "id,time,height,letter\ntable,0,0.5,a\ntable,1,0.7,b\n")
    page.click("#paste-go")
    open_page.wait("#name", "Added: table")
    page.evaluate(DROP_FILE, ["new.jsonl", '{"id": "new", "height": [0.5], "letter": ["a"]}'])
    open_page.wait("#name", "Added: new")
    page.evaluate(DROP_FILE, ["new.doc", "?"])
    open_page.wait("#error", "cannot be read")
    page.click("#error button")
    open_page.messages.clear()  # the browser logs the responses with status 422


def test_keys_move_the_place_and_show_neighbors(open_page):
    page = open_page.page
    page.focus("#overlay")
    page.keyboard.press("ArrowLeft")
    open_page.wait("#name", "A place on the map")
    page.keyboard.press("Enter")
    open_page.wait("#name", "Sequence s")
    before = open_page.text("#name")
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
    phone_page = OpenPage(browser, url, path, width=390, height=800, scheme="dark")
    phone_page.wait("#name", "Sequence s5")
    phone_page.wait("#ends", "s3 to s7")
    page = phone_page.page
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator(".legend-item[aria-pressed='false']").count() == 1
    red = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0]")
    assert int(red) < 60
    page.evaluate("location.hash = 'at=4,4'")
    phone_page.page.wait_for_selector("#far:not([hidden])")
    phone_page.close()
