"""A series with shaded anomalous steps."""

import numpy as np
import pytest

from refold import plots
from refold.errors import DataError


def test_runs_of_anomalous_steps_are_shaded():
    p = np.full(30, 0.5)
    p[[0, 1, 10, 29]] = 0.001
    ax = plots.anomalies([np.sin(np.arange(30.0))], p)
    edges = sorted(patch.get_x() for patch in ax.patches)
    assert edges == [-0.5, 9.5, 28.5]
    assert len(ax.lines) == 1


def test_gaps_many_columns_and_labels():
    p = np.full(8, np.nan)
    assert len(plots.anomalies([np.random.default_rng(0).normal(size=(8, 6))], p).lines) == 4
    assert len(plots.anomalies(["abcabcab"], p).lines) == 1


@pytest.mark.parametrize("p", [np.zeros(4), np.zeros((5, 1))])
def test_one_p_value_per_step_is_required(p):
    with pytest.raises(DataError, match=r"a p-value for each of its steps|of shape \(n_steps,\)"):
        plots.anomalies([np.zeros(5)], p)
    with pytest.raises(DataError, match="Expected one sequence"):
        plots.anomalies([np.zeros(2), np.zeros(3)], np.zeros(5))
