"""Cross-validation before training: folds and the 1.5-standard-error rule."""

from collections.abc import Iterator

import numpy as np

_FOLDS = 5
# Standard errors by which a mean gain must exceed 0.
_NUM_STANDARD_ERRORS = 1.5


def folds(n: int, seed: int) -> Iterator[np.ndarray]:
    """Yield which sequences are held out, bool (n,), for each of at most five folds."""
    fold = np.random.default_rng([seed, 0xF01D]).permutation(n) % _FOLDS
    for number in range(min(_FOLDS, n)):
        yield fold == number


def exceeds_standard_error(gains: np.ndarray) -> float:
    """Return the mean of gains (n,) minus 1.5 standard errors; above 0, it is unlikely chance."""
    return float(gains.mean() - _NUM_STANDARD_ERRORS * gains.std() / np.sqrt(len(gains)))
