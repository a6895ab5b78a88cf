"""Synthetic series for measurements of speed: of very unequal lengths, and of equal ones."""

from typing import Any

import numpy as np

FEATURES = 4
SHORTEST, LONGEST = 5, 1000


def log_normal(
    num_sequences: int,
    *,
    median: float = 60,
    log_std: float = 1.0,
    features: int = FEATURES,
    seed: int = 0,
    first_id: int = 0,
) -> Any:
    """Draw series whose lengths have a log-normal distribution, from 5 to 1000 steps."""
    rng = np.random.default_rng(seed)
    lengths = np.exp(rng.normal(np.log(median), log_std, num_sequences))
    lengths = np.clip(np.rint(lengths), SHORTEST, LONGEST).astype(int)
    return sines(lengths, rng, features, first_id)


def equal(num_sequences: int, num_steps: int) -> Any:
    """Draw series of equal length, with about ``num_steps`` steps in total."""
    length = max(1, round(num_steps / num_sequences))
    return sines(np.full(num_sequences, length), np.random.default_rng(0))


def sines(
    lengths: np.ndarray, rng: np.random.Generator, features: int = FEATURES, first_id: int = 0
) -> Any:
    """Draw noisy sines of random frequency and phase."""
    from refold.sequences import Sequences

    offsets = np.concatenate([[0], np.cumsum(lengths)])
    frequency, phase = rng.uniform(0.02, 0.3, (2, len(lengths), features))
    step = (np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths))[:, None]
    values = np.sin(np.repeat(frequency, lengths, 0) * step + 20 * np.repeat(phase, lengths, 0))
    values += 0.1 * rng.normal(size=values.shape)
    ids = np.arange(first_id, first_id + len(lengths))
    return Sequences(values.astype(np.float32), offsets, ids=ids)
