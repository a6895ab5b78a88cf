"""Synthetic series for measurements of speed: of very unequal lengths, and of equal ones."""

from typing import Any

import numpy as np

FEATURES = 4
SHORTEST, MEDIAN, LONGEST, SPREAD = 5, 60, 1000, 1.0


def log_normal(num_sequences: int) -> Any:
    """Draw smooth series of log-normal lengths, from 5 to 1000 steps with a median of 60."""
    rng = np.random.default_rng(0)
    lengths = np.exp(rng.normal(np.log(MEDIAN), SPREAD, num_sequences))
    return _series(np.clip(np.rint(lengths), SHORTEST, LONGEST).astype(int), rng)


def equal(num_sequences: int, num_steps: int) -> Any:
    """Draw series of equal length, with about ``num_steps`` steps in total."""
    length = max(1, round(num_steps / num_sequences))
    return _series(np.full(num_sequences, length), np.random.default_rng(0))


def _series(lengths: np.ndarray, rng: np.random.Generator) -> Any:
    from refold.sequences import Sequences

    offsets = np.concatenate([[0], np.cumsum(lengths)])
    frequency, phase = rng.uniform(0.02, 0.3, (2, len(lengths), FEATURES))
    step = (np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths))[:, None]
    values = np.sin(np.repeat(frequency, lengths, 0) * step + 20 * np.repeat(phase, lengths, 0))
    values += 0.1 * rng.normal(size=values.shape)
    return Sequences(values.astype(np.float32), offsets)
