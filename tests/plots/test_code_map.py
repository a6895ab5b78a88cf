import sys

import numpy as np
import pytest

from refold.errors import DataError, MissingExtraError, ParameterError
from refold.plots import code_map, code_plane


def points(ax):
    return np.concatenate([collection.get_offsets() for collection in ax.collections])


def test_codes_of_two_dimensions_are_not_projected():
    codes = np.array([[0.0, 1.0], [2.0, 3.0], [5.0, 1.0]])
    np.testing.assert_array_equal(points(code_map(codes)), codes)


def test_larger_codes_are_projected_onto_the_directions_of_largest_variance():
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(50, 6)) * [9.0, 0.1, 0.1, 4.0, 0.1, 0.1]
    drawn = points(code_map(codes))
    centred = codes - codes.mean(axis=0)
    assert abs(np.corrcoef(drawn[:, 0], centred[:, 0])[0, 1]) > 0.95
    assert abs(np.corrcoef(drawn[:, 1], centred[:, 3])[0, 1]) > 0.95


@pytest.mark.parametrize(("num", "latent_dim"), [(1, 1), (1, 5), (2, 3), (7, 1)])
def test_small_sets_and_short_codes_can_be_drawn(num, latent_dim):
    drawn = points(code_map(np.ones((num, latent_dim))))
    assert drawn.shape == (num, 2)
    assert np.isfinite(drawn).all()


def test_few_labels_have_a_legend_and_their_own_colors():
    codes = np.random.default_rng(0).normal(size=(30, 2))
    ax = code_map(codes, labels=np.repeat(["a", "b", "c"], 10), label_name="speaker")
    legend = ax.get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["a", "b", "c"]
    assert legend.get_title().get_text() == "speaker"
    assert len({tuple(part.get_facecolor()[0]) for part in ax.collections}) == 3


def test_many_numeric_labels_have_a_color_bar():
    codes = np.random.default_rng(0).normal(size=(30, 2))
    ax = code_map(codes, labels=np.arange(30), label_name="steps")
    assert ax.get_legend() is None
    assert [other.get_ylabel() for other in ax.figure.axes] == ["code 1", "steps"]


def test_rare_labels_are_one_gray_group():
    codes = np.random.default_rng(0).normal(size=(40, 2))
    ax = code_map(codes, labels=[f"w{i // 2}" if i < 20 else f"v{i}" for i in range(40)])
    named = [text.get_text() for text in ax.get_legend().get_texts()]
    assert len(named) == 10
    assert named[-1] == "21 others"
    assert len(ax.collections[-1].get_offsets()) == 22


def test_annotations_are_at_their_points():
    codes = np.array([[0.0, 1.0], [2.0, 3.0], [5.0, 1.0]])
    every = code_map(codes, annotations=["a", None, 3])
    assert [(text.get_text(), text.xy) for text in every.texts] == [
        ("a", (0.0, 1.0)),
        ("3", (5.0, 1.0)),
    ]
    some = code_map(codes, annotations={1: "here"})
    assert [(text.get_text(), text.xy) for text in some.texts] == [("here", (2.0, 3.0))]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"codes": np.zeros(3)}, r"Got an array of shape \(3,\)"),
        ({"codes": np.zeros((0, 3))}, r"not empty. Got shape \(0, 3\)"),
        ({"codes": np.array([[0.0, 1.0], [np.nan, 0.0]])}, "Row 1 is not"),
        ({"codes": np.zeros((2, 2)), "labels": [1]}, "1 labels for 2 codes"),
        ({"codes": np.zeros((2, 2)), "annotations": ["a"]}, "1 annotations for 2 codes"),
        ({"codes": np.zeros((2, 2)), "annotations": {2: "a"}}, "no code 2 to annotate"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises((DataError, ParameterError), match=message):
        code_map(**arguments)


def test_umap_keeps_groups_together():
    pytest.importorskip("umap", reason="the extra umap is not installed")
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(60, 5)) + 20 * np.repeat(np.eye(3, 5), 20, axis=0)
    found, names = code_plane(codes, "umap")
    assert names == ("UMAP 1", "UMAP 2")
    assert np.array_equal(found, code_plane(codes, "umap")[0])
    group = np.repeat(np.arange(3), 20)
    apart = np.linalg.norm(found[:, None] - found[None], axis=-1)
    np.fill_diagonal(apart, np.inf)
    assert (group[apart.argmin(axis=1)] == group).all()
    assert code_map(codes, method="umap").get_xlabel() == "UMAP 1"


def test_a_map_that_cannot_be_drawn_is_refused(monkeypatch):
    with pytest.raises(ParameterError, match=r"method must be 'pca' or 'umap'\. Got 'tsne'"):
        code_plane(np.eye(3), "tsne")
    with pytest.raises(ParameterError, match=r"UMAP needs at least 5 codes\. Got 3"):
        code_plane(np.eye(3), "umap")
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(MissingExtraError, match=r"'\.\[umap\]'"):
        code_plane(np.eye(8), "umap")
