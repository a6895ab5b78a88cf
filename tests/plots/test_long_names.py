"""Names of columns that are longer than a figure is wide or high, and large numbers."""

import numpy as np
import pytest

from refold import plots
from refold.sequences import Sequences

NAMES = [
    "maximum_sustained_wind_speed_of_the_whole_storm_in_knots",
    "temperature_difference_between_sea_surface_and_upper_troposphere",
    "mean_precipitation_rate_of_the_inner_core_in_millimetres_per_hour",
]


@pytest.fixture(scope="module")
def tracks():
    rng = np.random.default_rng(0)
    arrays = [np.arange(12.0)[:, None] + rng.normal(0, 1, (12, 3)) for _ in range(5)]
    return Sequences.from_list([20040817 + one for one in arrays], names=NAMES)


def figures(tracks):
    """Draw each figure that has names of columns."""
    deviations = (-2, -1, 0, 1, 2)
    return {
        "sweep": plots.sweep(tracks, deviations=deviations, column=1),
        "anomalies": plots.anomalies(tracks[[0]], np.full(12, 0.5)),
        "errors": plots.error_by_feature({"Refold": [0.1, 0.2, 0.3], "PCA": [0.2] * 3}, NAMES),
        "map": plots.code_map(np.eye(12), np.arange(12), label_name=NAMES[1]),
    }


@pytest.mark.parametrize("name", ["sweep", "anomalies", "errors", "map"])
def test_names_are_inside_the_figure(tracks, name):
    ax = figures(tracks)[name]
    ax.figure.draw_without_rendering()
    width, height = ax.figure.bbox.size
    texts = [one.yaxis.label for one in ax.figure.axes]
    texts += [tick for tick in ax.get_yticklabels() if tick.get_text()[:1].isalpha()]
    texts += ax.get_legend().get_texts() if ax.get_legend() else []
    for text in filter(lambda text: text.get_text(), texts):
        box = text.get_window_extent()
        assert box.x0 >= -1, text.get_text()
        assert box.x1 <= width + 1, text.get_text()
        assert box.y0 >= -1, text.get_text()
        assert box.y1 <= height + 1, text.get_text()
    assert ax.get_window_extent().width > width / 4


def test_ticks_are_whole_numbers(tracks):
    ax = figures(tracks)["sweep"]
    ax.figure.draw_without_rendering()
    assert ax.yaxis.get_offset_text().get_text() == ""
    assert all(text.get_text().startswith("200408") for text in ax.get_yticklabels())
