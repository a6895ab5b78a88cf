"""Time warps in training, chosen by the data or by the argument."""

import numpy as np
import pytest

from refold import SequenceAutoencoder
from refold.errors import ParameterError
from refold.sequences import as_sequences
from refold.training._time_warps import choose_warp_std, draw_time_shifts, warp_time
from small_data import TINY

RNG = np.random.default_rng(0)
BUMPS = np.exp(-((np.arange(60) - RNG.uniform(20, 40, (60, 1))) ** 2) / 20)


def test_a_warp_keeps_the_ends_and_the_steps_after_them():
    lengths = np.array([8, 3, 1, 0])
    series = RNG.standard_normal((4, 8, 2))
    shifts = draw_time_shifts(lengths, 8, np.random.default_rng(1))
    warped = warp_time(series, lengths, shifts)
    for row, length in enumerate(lengths):
        if length:
            np.testing.assert_allclose(warped[row, [0, length - 1]], series[row, [0, length - 1]])
        np.testing.assert_array_equal(warped[row, length:], series[row, length:])
    assert np.abs(warped[0] - series[0]).max() > 0.1


def test_a_missing_value_is_not_spread():
    series = np.array([1.0, np.nan, 3.0, 4.0])[None, :, None]
    warped = warp_time(series, np.array([4]), np.array([[0.0, -0.4, 0.0, 0.0]]))
    np.testing.assert_array_equal(warped, series)
    nearer = warp_time(series, np.array([4]), np.array([[0.4, -0.6, 0.0, 0.0]]))
    assert nearer[0, :2, 0].tolist() == [1.0, 1.0]


def test_the_choice_depends_on_the_data():
    assert choose_warp_std(as_sequences(list(BUMPS)), 8, seed=0) > 0
    # two peaks of random heights, always at the same steps
    steps = np.arange(60) - np.array([[20], [40]])
    fixed = as_sequences(list(RNG.uniform(1, 2, (60, 2)) @ np.exp(-(steps**2) / 4)))
    for data in (fixed, as_sequences(list(BUMPS[:8])), as_sequences(["abc", "ab"] * 20)):
        assert choose_warp_std(data, 8, seed=0) == 0


def test_fit_reports_its_choice_is_reproducible_and_accepts_a_setting(capsys):
    def losses(**arguments):
        ae = SequenceAutoencoder(**TINY | {"latent_dim": 8} | arguments)
        return ae.fit(BUMPS).history_["loss"]

    warped = losses(verbose=1)
    assert "Training on time warps with a standard deviation of 1 steps" in capsys.readouterr().err
    assert warped == losses(time_warp=1.0)
    assert warped != losses(time_warp=0)
    with pytest.raises(ParameterError, match=r"time_warp=1\.0 needs numeric columns, but column"):
        SequenceAutoencoder(**TINY, time_warp=1.0).fit(["abc", "ab"] * 20)
