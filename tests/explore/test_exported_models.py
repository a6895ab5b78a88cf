"""What the decoder in a page computes, next to Python, as tests/network does for all models."""

import re

import numpy as np
import pytest

from network.model_cases import MODEL_CASES, fitted
from refold.explore import Atlas
from refold.explore._exported_page import join_modules, make_data_blocks, make_data_element
from refold.explore._maps import BackgroundTask, NeighborMap
from refold.explore._server import PAGE_FOLDER


@pytest.fixture(scope="module")
def page(browser):
    page = browser.new_page()
    yield page
    page.close()


def load_atlas(page, atlas, *, umap=False):
    """Load the data and the decoder of an exported page into a page, without the map."""
    atlas.fields = [field for field in atlas.fields if field.name != "cluster"]
    blocks = make_data_blocks(atlas, "model", umap=umap)
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
    atlas._umap = BackgroundTask("UMAP", NeighborMap(places, atlas.codes, atlas.weighted_codes))
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
        expected = atlas.unfold(**question)
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
