"""The map of codes, the effect of each latent dimension, and sweeps."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from refold.diagnosis import LatentDimensions
from refold.errors import DataError, ParameterError
from refold.plots import code_map, latent_dimensions, sweep
from refold.plots.charts import RAMP
from refold.sequences import Sequences

DIMENSIONS = LatentDimensions(("0", "1", "2"), np.ones(3), np.array([[0.1], [0.4], [0.2]]))
WAVES = Sequences.from_list(
    [np.stack([np.zeros(5), k * np.arange(5.0)], axis=1) for k in (1, 2, 3)], names=["a", "b"]
)


def drawn_points(ax):
    return np.concatenate([collection.get_offsets() for collection in ax.collections])


def test_codes_of_one_row_or_column_can_be_drawn():
    for shape in ((1, 5), (7, 1)):
        drawn = drawn_points(code_map(np.ones(shape)))
        assert drawn.shape == (shape[0], 2)
        assert np.isfinite(drawn).all()


def test_larger_codes_are_projected_onto_the_directions_of_largest_variance():
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(50, 6)) * [9.0, 0.1, 0.1, 4.0, 0.1, 0.1]
    drawn = drawn_points(code_map(codes))
    centered = codes - codes.mean(axis=0)
    assert abs(np.corrcoef(drawn[:, 0], centered[:, 0])[0, 1]) > 0.95
    assert abs(np.corrcoef(drawn[:, 1], centered[:, 3])[0, 1]) > 0.95


def test_few_labels_have_a_legend_and_many_numbers_a_color_bar():
    codes = np.random.default_rng(0).normal(size=(30, 2))
    ax = code_map(codes, labels=np.repeat(["a", "b", "c"], 10), label_name="speaker")
    legend = ax.get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["a", "b", "c"]
    assert legend.get_title().get_text() == "speaker"
    assert len({tuple(collection.get_facecolor()[0]) for collection in ax.collections}) == 3
    # numbers as text and with gaps, too
    for labels in (np.arange(30), [f"{i / 7:.3f}" for i in range(30)], [*np.arange(29), np.nan]):
        ax = code_map(codes, labels=labels, label_name="steps")
        assert ax.get_legend() is None
        assert [axes.get_ylabel() for axes in ax.figure.axes] == ["code 1", "steps"]
        assert ax.collections[0].get_array()[7] == pytest.approx(float(labels[7]))


def test_a_legend_is_sorted_by_numbers_by_a_categorical_or_by_names():
    def legend_names(labels):
        ax = code_map(np.random.default_rng(0).normal(size=(len(labels), 2)), labels)
        return [text.get_text() for text in ax.get_legend().get_texts()]

    assert legend_names(["10", "9", "-1", "2.5"]) == ["-1", "2.5", "9", "10"]
    assert legend_names(["noise", "10 (3)", "9 (5)"]) == ["9 (5)", "10 (3)", "noise"]
    levels = pd.Categorical(["low", "high", "mid"], categories=["low", "mid", "high"])
    assert legend_names(levels) == legend_names(pd.Series(levels)) == ["low", "mid", "high"]


def test_rare_labels_are_one_gray_group():
    codes = np.random.default_rng(0).normal(size=(40, 2))
    ax = code_map(codes, labels=[f"w{i // 2}" if i < 20 else f"v{i}" for i in range(40)])
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == [*(f"w{i}" for i in range(9)), "21 others"]
    assert len(ax.collections[-1].get_offsets()) == 22


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"codes": np.zeros((0, 3))}, "There is no code to draw"),
        ({"codes": np.array([[0.0, 1.0], [np.nan, 0.0]])}, "Row 1 is not"),
        ({"codes": np.zeros((2, 2)), "labels": [1]}, "1 labels for 2 codes"),
        ({"codes": np.zeros((2, 2)), "annotations": {2: "a"}}, "no code 2 to annotate"),
        ({"codes": np.eye(3), "method": "tsne"}, r"must be 'pca' or 'umap'\. Got 'tsne'"),
    ],
)
def test_bad_maps_are_refused(arguments, message):
    with pytest.raises((DataError, ParameterError), match=message):
        code_map(**arguments)


def test_dimensions_are_sorted_by_effect_and_have_the_colors_of_their_kinds():
    ax = latent_dimensions(DIMENSIONS, rocket_dim=1, length_dim=1, latent_dim=3)
    assert [text.get_text() for text in ax.get_xticklabels()] == ["1", "2", "0"]
    heights = {round(bar.get_x() + 0.4): bar.get_height() for bar in ax.patches}
    assert heights == {0: 0.4, 1: 0.2, 2: 0.1}
    assert len({bar.get_facecolor() for bar in ax.patches}) == 3
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert sorted(names) == ["ROCKET features", "learned", "length"]
    assert latent_dimensions(DIMENSIONS).get_legend() is None


def test_a_sweep_draws_a_line_for_each_value_of_the_most_affected_column():
    ax = sweep(WAVES, standard_deviations=(-1, 0, 1))
    assert ax.get_ylabel() == "b"
    assert [to_hex(line.get_color()) for line in ax.lines] == list(RAMP[::2])
    np.testing.assert_array_equal(ax.lines[2].get_ydata(), 3 * np.arange(5.0))
    with pytest.raises(DataError, match="Got 3 sequences for 7 values"):
        sweep(WAVES)
    with pytest.raises(DataError, match="A sweep without numeric columns cannot be drawn"):
        sweep(Sequences.from_list(["ab", "b"]), standard_deviations=(-1, 1))
