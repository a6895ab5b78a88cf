"""Synthetic data with the properties of outside data on which Refold once failed."""

import numpy as np


def sines_half_missing(
    count: int, seed: int, *, share: float = 1.0
) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Return noisy sines in two columns, of which the second is missing in a random half.

    ``share`` of its steps are missing, those at the end. Also returns the number of the frequency
    of each sequence, from 0 to 3, which both columns have, and whether the second is missing.
    """
    rng = np.random.default_rng(seed)
    frequency, missing = rng.integers(0, 4, count), rng.random(count) < 0.5
    series = []
    for number, is_missing in zip(frequency, missing, strict=True):
        steps = np.arange(rng.integers(40, 61))[:, None]
        phases = rng.uniform(0, 2 * np.pi, 2)
        x = np.sin(2 * np.pi * [0.03, 0.06, 0.1, 0.16][number] * steps + phases)
        x += 0.1 * rng.standard_normal(x.shape)
        if is_missing:
            x[round((1 - share) * len(x)) :, 1] = np.nan
        series.append(x.astype(np.float32))
    return series, frequency, missing
