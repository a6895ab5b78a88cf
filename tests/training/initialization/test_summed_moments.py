"""The initialization from sums over blocks equals that of one machine with all sequences."""

import numpy as np
import pytest

from refold.sequences import as_sequences
from refold.training.initialization._numeric_columns import (
    linear_initialization,
    summed_initialization,
)


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("shortest", [10, 30])
def test_sums_over_blocks_give_the_initialization_of_all_sequences(gaps, shortest):
    rng = np.random.default_rng(0)
    data = []
    for length in rng.integers(shortest, 31, 2100):
        wave = np.sin(np.arange(length) / rng.uniform(2, 5) + rng.uniform(0, 6))
        data.append(np.stack([wave, rng.normal(size=length).cumsum() / 4], axis=1))
        if gaps:
            data[-1][rng.random((length, 2)) < 0.1] = np.nan
    sequences = as_sequences(data)
    blocks = [sequences[i : i + 400] for i in range(0, 2100, 400)]

    def total(measure):
        return [sum(parts) for parts in zip(*map(measure, blocks), strict=True)]

    one = linear_initialization(sequences, [0, 1], 5, 30, seed=0)
    many = summed_initialization(total, [0, 1], 5, 30)
    for name in ("encoder", "encoder_bias", "decoder", "decoder_bias", "residual", "log_variance"):
        np.testing.assert_allclose(getattr(many, name), getattr(one, name), atol=1e-10)
    assert many.share == pytest.approx(one.share, abs=1e-10)
    # the sample decides only what sums cannot
    by_sums = linear_initialization(sequences[:50], [0, 1], 5, 30, seed=0, total=total)
    np.testing.assert_array_equal(by_sums.encoder, many.encoder)
