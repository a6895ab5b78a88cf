"""The figure of errors by size."""

from dataclasses import replace

import numpy as np
import pytest

from refold import ErrorCurve
from refold.errors import DataError
from refold.plots import error_by_size

CURVE = ErrorCurve((2, 8, 32), (0.4, 0.2, 0.1), (0.5, 0.3, 0.12), "NMSE", 100, 10)


def test_both_errors_are_drawn_at_their_sizes():
    ax = error_by_size(CURVE)
    lines = {line.get_label(): line.get_xydata() for line in ax.lines}
    np.testing.assert_array_equal(lines["Refold"], [[2, 0.4], [8, 0.2], [32, 0.1]])
    np.testing.assert_array_equal(lines["PCA, given the lengths"], [[2, 0.5], [8, 0.3], [32, 0.12]])
    assert [label.get_text() for label in ax.get_xticklabels()] == ["2", "8", "32"]
    assert ax.get_yscale() == "linear"


def test_errors_of_many_sizes_are_on_a_logarithmic_scale():
    assert error_by_size(replace(CURVE, errors=(0.4, 0.02, 0.001))).get_yscale() == "log"
    assert error_by_size(replace(CURVE, errors=(0.4, 0.02, 0.0))).get_yscale() == "linear"


def test_draws_on_the_given_axes():
    ax = error_by_size(CURVE)
    assert error_by_size(CURVE, ax) is ax


def test_an_empty_curve_is_refused():
    with pytest.raises(DataError, match="There is no size to draw"):
        error_by_size(replace(CURVE, sizes=(), errors=(), pca=()))
