"""The map of the codes, and the text of its points."""

import numpy as np
import pytest

from refold.report import section
from refold.sequences import Sequences
from small_data import untrained


@pytest.fixture(scope="module")
def fitted():
    rng = np.random.default_rng(0)
    data = Sequences.from_list([rng.normal(size=(n, 1)) for n in rng.integers(4, 22, 40)])
    return data, untrained(data)


def code_map(fitted, **options):
    data, model = fitted
    part = section(model, data, title="x", **options)
    return next(card for card in part.cards if card.title == "Map of the codes")


def test_a_point_shows_id_length_label_and_error(fitted):
    data, _ = fitted
    labels = [f"k{i % 2}" for i in range(40)]
    traces = code_map(fitted, labels=labels, label_name="kind").views[0].data
    assert [trace["name"] for trace in traces] == ["k0", "k1"]
    text = traces[1]["hovertext"][0]
    assert text.startswith(f"<b>1</b><br>{data.lengths[1]} steps<br>kind: k1<br>error ")


def test_without_labels_colors_show_lengths(fitted):
    data, _ = fitted
    (trace,) = code_map(fitted).views[0].data
    assert trace["marker"]["color"] == data.lengths.tolist()


def test_umap_is_a_third_view_if_it_is_installed(fitted):
    pytest.importorskip("umap", reason="the extra umap is not installed")
    card = code_map(fitted)
    assert [view.name for view in card.views] == ["Features", "PCA", "UMAP"]
    assert "Under PCA and UMAP, points are codes." in card.caption
    assert card.switch


def test_very_many_points_are_sampled(fitted, monkeypatch):
    from refold.report import _code_map_card as _codes

    monkeypatch.setattr(_codes, "MAX_POINTS", 15)
    card = code_map(fitted, labels=np.arange(40) % 3)
    assert sum(len(trace["x"]) for trace in card.views[0].data) == 15
    assert "15 of 40 codes are drawn, chosen at random." in card.caption
