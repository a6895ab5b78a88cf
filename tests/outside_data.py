"""Synthetic data with the properties of outside data on which Refold once failed."""

import numpy as np


def employment(seed, *, industries=20, months=120, stride=6):
    """Return windows of 60 months of the employment in industries, one window per sequence.

    The industries share slow cycles, grow or shrink almost linearly, and are of very different
    sizes.
    """
    rng = np.random.default_rng(seed)
    month = np.arange(months)
    cycles = np.sin(2 * np.pi * (month / rng.uniform(80, 160, (3, 1)) + rng.random((3, 1))))
    level = 10 ** rng.uniform(2.7, 5.1, (industries, 1))
    growth = rng.normal(0.0, 0.02, (industries, 1)) * month / 12
    random_walk = np.cumsum(rng.normal(0.0, 2e-3, (industries, months)), axis=1)
    series = level * (1 + growth + 0.03 * rng.normal(0, 1, (industries, 3)) @ cycles + random_walk)
    starts = range(0, months - 59, stride)
    return [industry[start : start + 60, None] for industry in series for start in starts]


def draw_half_missing_sines(
    count: int, seed: int, *, share: float = 1.0
) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Return noisy sines in two columns, of which the second is missing in a random half.

    ``share`` of its steps are missing, at the end. Also returns the index of the frequency of each
    sequence, from 0 to 3, which both columns share, and whether the second column is missing.
    """
    rng = np.random.default_rng(seed)
    frequency_indices, is_second_missing = rng.integers(0, 4, count), rng.random(count) < 0.5
    series = []
    for frequency_index, second_missing in zip(frequency_indices, is_second_missing, strict=True):
        steps = np.arange(rng.integers(40, 61))[:, None]
        phases = rng.uniform(0, 2 * np.pi, 2)
        x = np.sin(2 * np.pi * [0.03, 0.06, 0.1, 0.16][frequency_index] * steps + phases)
        x += 0.1 * rng.standard_normal(x.shape)
        if second_missing:
            x[round((1 - share) * len(x)) :, 1] = np.nan
        series.append(x.astype(np.float32))
    return series, frequency_indices, is_second_missing
