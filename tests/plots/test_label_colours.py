"""Colors of labels."""

import datetime

import numpy as np

from refold.plots._label_colours import colour_groups


def test_few_labels_are_groups_many_numbers_a_color_scale_and_others_are_grouped_by_frequency():
    values, names, num_others = colour_groups(np.array([3, 1, 3]))
    assert (values.tolist(), names, num_others) == ([1, 0, 1], ["1", "3"], 0)
    values, names, _ = colour_groups(np.arange(30))
    assert (values.tolist(), names) == (list(range(30)), None)
    values, names, _ = colour_groups(np.array([f"{i / 7:.3f}" for i in range(30)]))
    assert names is None
    assert values[7] == 1.0
    labels = np.array([f"w{i}" for i in range(25)] + ["w3"] * 5 + ["w20"] * 4)
    values, names, num_others = colour_groups(labels)
    assert (len(names), num_others) == (10, 16)
    assert names[-1] == "16 others"
    assert {"w3", "w20"} <= set(names)
    assert all(names[v] == label for v, label in zip(values, labels, strict=True) if v < 9)
    assert (values == 9).sum() == 16


def test_a_missing_number_keeps_the_color_scale_and_dates_are_groups():
    values, names, _ = colour_groups(np.array([*np.arange(20) / 3, np.nan]))
    assert names is None
    assert np.isnan(values[-1])
    dates = np.array([datetime.date(2026, 1, 1 + i) for i in range(20)], dtype=object)
    _, names, num_others = colour_groups(dates)
    assert (names[0], num_others) == ("2026-01-01", 11)
