"""Figures of sequences: reconstructions, anomalies and forecasts."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from refold import datasets, plots
from refold.errors import DataError
from refold.model import Forecast
from refold.plots import reconstructions
from refold.sequences import Column, Schema, Sequences, as_sequences, split_at

# Reconstructions


def frames(ax):
    """Return the centers (step, row) of the frames around wrong entries."""
    return [tuple(np.mean(line.get_xydata()[:4], axis=0)) for line in ax.lines]


def reconstruction(original, back, **options):
    [ax] = reconstructions([original], [back], **options)
    return ax


def test_columns_of_different_scales_have_panels_and_in_each_the_four_of_largest_variance():
    x = np.random.default_rng(0).normal(size=(50, 6)) * [5, 9, 8, 7, 6, 0.01]
    x[:, 5] += 1000
    upper, lower = reconstruction(x, x[:40] + 0.1).figure.axes
    assert (len(upper.lines), len(lower.lines)) == (8, 2)
    np.testing.assert_allclose(upper.lines[0].get_ydata(), x[:, 1], rtol=1e-6)
    np.testing.assert_allclose(upper.lines[1].get_ydata(), x[:40, 1] + 0.1, rtol=1e-6)
    np.testing.assert_allclose(lower.lines[0].get_ydata(), x[:, 5], rtol=1e-6)
    assert (lower.get_ylabel(), lower.get_xlabel()) == ("x5", "5 of 6 columns")
    legend = upper.figure.legends[0]
    assert [text.get_text() for text in legend.get_texts()] == ["x1", "x2", "x3", "x4"]
    pair = list(Figure(layout="constrained").subplots(1, 2))
    assert reconstructions([x, x], [x, x], pair)[0].figure.legends  # the axes are equally wide
    caller_axes = Figure().add_axes((0.1, 0.1, 0.8, 0.8))  # axes without a grid are divided, too
    assert plots.anomalous_steps([x], np.ones(50), caller_axes) is caller_axes
    tops = [ax.get_position().y1 for ax in caller_axes.figure.axes]
    assert tops[0] == pytest.approx(0.9)
    assert tops[1] < caller_axes.get_position().y0


def test_runs_of_categories_are_strips_with_a_legend_and_wrong_steps_are_underlined():
    pages = [["home"] * 3 + ["cart"] * 2, ["item"] * 4]
    first, second = reconstructions(pages, [["home"] * 4, ["item"] * 4])
    names = [text.get_text() for text in first.figure.legends[0].get_texts()]
    assert names == ["cart", "home", "item", "wrong"]
    paths = [path for collection in first.collections for path in collection.get_paths()]
    runs = {tuple(np.round(path.get_extents().bounds[:3], 2)) for path in paths}
    assert runs == {(-0.5, -0.4, 3), (2.5, -0.4, 2), (-0.5, 0.6, 4), (2.5, 1.4, 2)}
    assert [text.get_text() for text in first.get_yticklabels()] == ["original", "reconstruction"]
    item_color = first.figure.legends[0].get_patches()[2].get_facecolor()
    # colors are those of all data
    assert {tuple(runs.get_facecolor()[0]) for runs in second.collections} == {item_color}
    ax = plots.anomalous_steps(pages[:1], np.array([1.0, 1.0, 0.0, 0.0, 1.0]))
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["cart", "home"]


def test_binary_columns_are_strips_and_errors_are_framed():
    x = np.eye(4)
    same = reconstruction(x, x, column_types="binary")
    assert len(same.images) == 2
    assert len(same.lines) == 0
    wrong = x.copy()
    wrong[2, 3] = 1.0
    assert frames(reconstruction(x, wrong, column_types="binary")) == [(2.0, 4 + 1 + 3)]


def test_an_extra_step_is_framed_and_an_empty_sequence_is_named():
    x = np.eye(3)
    assert len(frames(reconstruction(x[:2], x, column_types="binary"))) == 3
    ax = reconstructions([x, x[:0]], [x, x[:0]], column_types="binary")[1]
    assert {text.get_text() for text in ax.texts} == {"empty"}


def test_missing_values_are_neither_drawn_nor_framed():
    gaps = np.array([[1.0], [np.nan], [0.0]])
    assert frames(reconstruction(gaps, np.ones((3, 1)), column_types="binary")) == [(2.0, 1 + 1)]
    schema = Schema((Column("page", "categorical", ("a", "b")),))
    pages = Sequences(gaps, [0, 3], schema=schema)
    ax = reconstructions(pages, pages.with_values(np.array([[1.0], [1.0], [0.0]])))[0]
    assert frames(ax) == []
    assert ax.images[0].get_array().mask.tolist() == [[False, True, False]] * 2


def test_each_sequence_has_axes_named_by_its_id():
    x = [np.arange(5.0), np.arange(1.0)]
    axes = reconstructions(Sequences.from_list(x, ids=["a", "b"]), x)
    assert [ax.get_title(loc="left") for ax in axes] == ["a  ·  5 steps", "b  ·  1 step"]
    with pytest.raises(DataError, match="Got 1 reconstructions for 2 originals"):
        reconstructions(x, x[:1])
    with pytest.raises(DataError, match="0 axes for 2 sequences"):
        reconstructions(x, x, axes=[])


def test_runs_of_anomalous_steps_are_shaded():
    p = np.full(30, 0.5)
    p[[0, 1, 10, 29]] = 0.001
    ax = plots.anomalous_steps([np.sin(np.arange(30.0))], p)
    edges = sorted(patch.get_x() for patch in ax.patches)
    assert edges == [-0.5, 9.5, 28.5]
    assert len(ax.lines) == 1
    ax = plots.anomalous_steps(["abcabcab"], np.full(8, np.nan))
    assert [len(strips.get_paths()) for strips in ax.collections] == [3, 3, 2]
    with pytest.raises(DataError, match="a p-value for each of its steps"):
        plots.anomalous_steps([np.zeros(5)], np.zeros(4))


@pytest.fixture(scope="module")
def sines():
    return datasets.noisy_sines(60, seed=0)


@pytest.fixture(scope="module")
def ahead(sines):
    """Return a forecast of five steps with bounds; the figure does not need a fitted model."""
    values = np.random.default_rng(0).normal(size=(60, 5, 1))
    steps = Sequences.from_list(list(values), ids=sines.ids).convert_to_schema(sines.schema)
    return Forecast(steps, 0.1, values - 1, values + 1)


def test_a_line_continues_within_its_band(sines, ahead):
    before, after = split_at(sines, sines.lengths - 5)
    ax = plots.forecast(before, ahead, truth=after, index=-1)
    length = len(before[-1])
    past, truth, future, _ = ax.get_lines()
    assert np.array_equal(past.get_ydata(), before[-1])
    assert np.array_equal(truth.get_ydata(), after[-1])
    assert np.array_equal(future.get_ydata(), [before[-1][-1], *ahead.values[-1]])
    assert future.get_xdata().tolist() == list(range(length - 1, length + 5))
    assert len(ax.collections) == 1
    assert "bounds of 90 %" in ax.get_title(loc="left")


def test_the_last_steps_of_a_long_history_are_drawn(ahead):
    ax = plots.forecast([np.arange(4000.0)] * 60, ahead, index=3)
    past, future, _ = ax.get_lines()
    assert past.get_xdata().tolist() == list(range(3950, 4000))
    assert past.get_ydata()[0] == 3950
    assert future.get_xdata()[-1] == 4004
    assert ax.get_xlim() == (3949.5, 4004.5)


def test_forecasts_that_cannot_be_drawn_are_refused(sines, ahead):
    with pytest.raises(DataError, match="index 60"):
        plots.forecast(sines, ahead, index=60)
    words = as_sequences(["abab", "baba"])
    with pytest.raises(DataError, match="without numeric columns"):
        plots.forecast(words, Forecast(words))
