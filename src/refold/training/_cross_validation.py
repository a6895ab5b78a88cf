"""Cross-validation before training: folds and the 1.5-standard-error rule."""

from collections.abc import Iterator

import numpy as np

from refold.training._progress import doing

_FOLDS = 5
# Standard errors by which a mean gain must exceed 0.
_NUM_STANDARD_ERRORS = 1.5


def folds(n: int, seed: int, what: str) -> Iterator[np.ndarray]:
    """Yield which sequences are held out, bool (n,), for each of at most five folds."""
    fold = np.random.default_rng([seed, 0xF01D]).permutation(n) % _FOLDS
    num_folds = min(_FOLDS, n)
    for number in range(num_folds):
        doing(f"{what}, fold {number + 1} of {num_folds}")
        yield fold == number


def exceeds_standard_error(gains: np.ndarray) -> float:
    """Return the mean of gains (n,) minus 1.5 standard errors; above 0, it is unlikely chance."""
    return float(gains.mean() - _NUM_STANDARD_ERRORS * gains.std() / np.sqrt(len(gains)))
