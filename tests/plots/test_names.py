"""Names on pictures do not cover each other: ticks, titles, legends and labels of points."""

import itertools

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from refold.diagnosis import LatentDimensions
from refold.model import Forecast
from refold.plots import (
    anomalous_steps,
    code_map,
    error_by_feature,
    forecast,
    latent_dimensions,
    reconstructions,
)
from refold.sequences import Sequences


def boxes_of(figure):
    """Return text and box of all names on a figure, as they are drawn."""
    FigureCanvasAgg(figure).draw()
    texts = [text for legend in figure.legends for text in legend.get_texts()]
    for ax in figure.axes:
        for axis, limits in ((ax.xaxis, ax.get_xlim()), (ax.yaxis, ax.get_ylim())):
            low, high = sorted(limits)
            ticks = zip(axis.get_ticklocs(), axis.get_ticklabels(), strict=False)
            texts += [label for position, label in ticks if low <= position <= high]
        texts += [ax.xaxis.label, ax.yaxis.label, *ax.texts, ax.title, ax._left_title]
        texts += ax.get_legend().get_texts() if ax.get_legend() else []
    texts = [text for text in texts if text.get_visible() and text.get_text()]
    # without the line of an annotation
    return [(text.get_text(), Text.get_window_extent(text)) for text in texts]


def overlapping_names(figure):
    pairs = itertools.combinations(boxes_of(figure), 2)
    return [(a, b) for (a, box_a), (b, box_b) in pairs if box_a.count_overlaps([box_b])]


def test_ticks_are_turned_or_left_out():
    numbers = tuple(str(100 + i) for i in range(40))
    dimensions = LatentDimensions(numbers, np.ones(40), np.linspace(1, 2, 40)[:, None])
    assert overlapping_names(latent_dimensions(dimensions).figure) == []
    small_axes = Figure((2.5, 2), layout="constrained").add_subplot()
    assert overlapping_names(latent_dimensions(dimensions, small_axes).figure) == []
    names = [f"a feature with a long name {i}" for i in range(60)]
    small_axes = Figure((4, 3), layout="constrained").add_subplot()
    ax = error_by_feature({"Refold": np.ones(60)}, names, small_axes)
    assert overlapping_names(ax.figure) == []
    assert 5 < len(ax.get_yticklabels()) < 60


def test_labels_of_points_stay_apart_and_inside():
    points = np.random.default_rng(0).normal(size=(60, 2)) * 0.1
    labels = {i: f"sequence {i}" for i in range(12)}
    ax = code_map(np.concatenate([points, np.eye(2)]), ["a", "b"] * 31, labels)
    assert overlapping_names(ax.figure) == []
    assert len(ax.texts) == 12
    boxes = [Text.get_window_extent(text) for text in ax.texts]
    assert all(ax.bbox.count_contains(box.corners()) == 4 for box in boxes)


def test_names_of_sequences_and_columns():
    rng = np.random.default_rng(0)
    names = ["temperature of the air (C)", "dew point (C)", "pressure (Pa)", "speed_of_the_wind"]
    rows = [rng.normal([20, 18, 101300, 500], size=(30, 4)) for _ in range(4)]
    ids = [f"a station with a very long name in the north {i}" for i in range(4)]
    stations = Sequences.from_list(rows, names=names, ids=ids)
    page_sequences = [[f"page number {k}" for k in rng.integers(0, 14, 30)] for _ in range(4)]
    for ax in (
        reconstructions(stations, stations)[0],
        reconstructions(page_sequences, page_sequences)[0],
        anomalous_steps(stations[:1], np.ones(30)),
        anomalous_steps(page_sequences[:1], np.ones(30)),
        forecast(stations, Forecast(stations)),
    ):
        assert overlapping_names(ax.figure) == []
