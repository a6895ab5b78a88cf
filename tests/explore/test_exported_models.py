"""What the decoder in a page computes, next to Python, for all kinds of models."""

import re

import numpy as np
import pytest

from refold._support.progress_bars import progress_bar
from refold.explore import Atlas
from refold.explore._exported_page import PAGE, data_element, exported_blocks, joined_modules
from refold.explore._maps import NeighborMap
from refold.model import Model
from refold.network.packed.network import PackedNetwork
from refold.network.specification import Specification, weights_of
from refold.sequences import Scaler, Sequences

STEPS, COUNT = 12, 16


def sequences(types, dtype=float):
    """Ragged sequences with columns of these types: numbers, with gaps, or few letters."""
    rng = np.random.default_rng(5)
    columns = {
        "numeric": lambda n: (rng.normal(40, 7, n) + 5 * np.sin(np.arange(n))).astype(dtype),
        "binary": lambda n: rng.integers(0, 2, n).astype(float),
        "count": lambda n: rng.poisson(3, n).astype(float),
        "categorical": lambda n: np.array([*"abcd"])[rng.integers(0, 4, n)],
    }
    lengths = [STEPS, *rng.integers(1, STEPS, COUNT - 1)]
    lists = [list(zip(*(columns[one](n) for one in types), strict=True)) for n in lengths]
    if types == ["numeric", "numeric"]:
        lists[3][0] = (np.nan, lists[3][0][1])
    names = [f"x{i}" for i in range(len(types))]
    column_types = dict(zip(names, types, strict=True))
    return Sequences.from_list(lists, names=names, column_types=column_types)


def fitted(types, scale="features", *, seed=1, **options):
    """A model with random weights, and data that it fits."""
    data = sequences(types)
    given = {"architecture": "default", "observed_flags": False, "units": 6, "depth": 1}
    given |= {"latent_dim": 5, "max_steps": STEPS, "dropout": 0.0}
    lengths = {"length_mean": data.lengths.mean().item(), "length_deviation": 3.0}
    num_categories = [len(column.categories) for column in data.schema.columns]
    specification = Specification(
        column_types=types, num_categories=num_categories, **(given | lengths | options)
    )
    rng = np.random.default_rng(seed)
    weights = {
        name: np.float32(rng.normal(size=shape) * 0.4)
        for name, shape, _ in weights_of(specification)
    }
    network = PackedNetwork(specification, weights)
    error_scaler = Scaler.fit(data)
    scaler = error_scaler if scale == "features" else Scaler.fit(data, scale)
    return Model(network, data.schema, scaler, error_scaler), data


MODELS = {
    "numbers with gaps": lambda: fitted(
        ["numeric", "numeric"], depth=2, observed_flags=True, length_dim=1, by_length=True
    ),
    "patches": lambda: fitted(["numeric"], patch=5, max_steps=9, rocket_dim=2),
    "scaled by sequence": lambda: fitted(["numeric", "binary", "numeric"], "sequence", depth=2),
    "counts": lambda: fitted(["count", "numeric"]),
    "counts, scaled by sequence": lambda: fitted(["count", "numeric"], "sequence"),
    "counts, autoregressive": lambda: fitted(["count", "binary"], decoder="autoregressive"),
    "tokens": lambda: fitted(["categorical"], decoder="autoregressive", depth=2),
    "tokens at once": lambda: fitted(["categorical"], linear_path=True, patch=2),
    "mixed, autoregressive": lambda: fitted(
        ["numeric", "categorical", "binary"], decoder="autoregressive", variational=True
    ),
}
# Decoded sequences and lengths, of all sequences of the page, and of random codes.
COMPUTED = """(codes) => {
    const { model } = atlas;
    const rows = atlas.ids.map((_, row) => {
        const values = atlas.valuesOf(row);
        const { back, error, own_length } = atlas.compare(row, values, atlas.codeOf(row));
        return { back, error, length: own_length };
    });
    const random = codes.map((code) => {
        const whole = Float32Array.from(code);
        const length = model.lengthOf(whole);
        return { length, back: model.lists(model.decode(whole, length)) };
    });
    return { rows, random };
}"""


@pytest.fixture(scope="module")
def page(browser):
    page = browser.new_page()
    yield page
    page.close()


def opened(page, atlas):
    """Let a page hold what an exported page holds, without the map that it draws."""
    atlas.fields = [field for field in atlas.fields if field.name != "cluster"]
    blocks = exported_blocks(atlas, "model", progress_bar(disable=True), umap="umap" in atlas._maps)
    script = joined_modules(PAGE / "embedded" / "atlas.js")
    last = re.findall(r"^const (module_\d+) =", script, re.MULTILINE)[-1]
    script += f"\nglobalThis.atlas = new {last}.Atlas();"
    script += "\natlas.start().then(() => (document.title = 'ready'));"
    elements = "".join(data_element(*block) for block in blocks)
    page.set_content(f"{elements}<script type='module'>{script}</script>")
    page.wait_for_function("() => document.title === 'ready'")


@pytest.mark.parametrize("name", MODELS)
def test_a_page_computes_as_python_does(name, page):
    model, data = MODELS[name]()
    atlas = Atlas(model, data)
    opened(page, atlas)
    rng = np.random.default_rng(2)
    codes = rng.normal(size=(20, atlas.codes.shape[1])).astype(np.float32)
    found = page.evaluate(COMPUTED, codes.tolist())
    unit = model.error_scaler.scale_
    for row, expected in zip(found["rows"], atlas.compare(data, atlas.codes), strict=True):
        same(row["back"], expected["back"], unit)
        assert row["length"] == expected["own_length"]
        assert row["error"] == pytest.approx(expected["error"], rel=1e-3, abs=1e-6)
    for row, code in zip(found["random"], codes, strict=True):
        expected = atlas.unfold(code=code)
        assert row["length"] == expected["length"]
        same(row["back"], expected["back"], unit)


def test_a_umap_map_in_a_page_decodes_as_the_server_does(page):
    model, data = MODELS["patches"]()
    atlas = Atlas(model, data)
    places = np.random.default_rng(3).normal(size=(COUNT, 2)).astype(np.float32)
    atlas._maps["umap"] = NeighborMap(places, atlas.codes, atlas.similar)
    opened(page, atlas)
    asked = [
        {"at": [0.1, 0.2], "on": "umap"},
        {"at": [9.0, 0.5], "on": "umap"},
        {"code": (atlas.codes[3] * 0.9).tolist(), "on": "umap"},
        {"at": [0.3, -0.1], "row": 2, "on": "pca"},
        {"code": (atlas.codes[3] + 9).tolist(), "on": "pca"},
    ]
    found = page.evaluate("asked => Promise.all(asked.map((one) => atlas.unfold(one)))", asked)
    for one, question in zip(found, asked, strict=True):
        expected = atlas.unfold(**question)
        for name in ("at", "code"):
            np.testing.assert_allclose(one[name], expected[name], rtol=1e-4, atol=1e-4)
        same(one["back"], expected["back"], model.error_scaler.scale_)
        for name in ("length", "far", "nearest", "id"):
            assert one[name] == expected[name]


def same(found, expected, unit):
    """Check decoded columns: numbers to 1e-4 standard deviations, and all else exactly."""
    for values, others, scale in zip(found, expected, unit, strict=True):
        if others and isinstance(others[0], float):
            np.testing.assert_allclose(values, others, atol=1e-4 * scale)
        else:
            assert values == others
