"""Cross-validation before training: folds and the 1.5-standard-error rule."""

from collections.abc import Iterator

import numpy as np

from refold.training._progress import doing

_FOLDS = 5
# Standard errors by which a mean gain must exceed 0.
_NUM_STANDARD_ERRORS = 1.5


def folds(n: int, seed: int, what: str) -> Iterator[np.ndarray]:
    """Yield the held-out sequences of each fold, of at most five folds.

    Parameters
    ----------
    n : int
    seed : int
    what : str
        Description for the progress bar.

    Yields
    ------
    array of bool of shape (n,)

    Examples
    --------
    >>> sum(held.astype(int) for held in folds(7, 0, "trying")).tolist()
    [1, 1, 1, 1, 1, 1, 1]
    """
    fold = np.random.default_rng([seed, 0xF01D]).permutation(n) % _FOLDS
    num_folds = min(_FOLDS, n)
    for number in range(num_folds):
        doing(f"{what}, fold {number + 1} of {num_folds}")
        yield fold == number


def exceeds_standard_error(gains: np.ndarray) -> float:
    """Return the mean gain minus 1.5 standard errors: a positive result is unlikely to be chance.

    Parameters
    ----------
    gains : array of shape (n,)
        Gain on each sequence when it was held out.

    Examples
    --------
    >>> clear, noisy = np.array([1.0, 2.0, 3.0]), np.array([9.0, -4.0, -4.0])
    >>> exceeds_standard_error(clear) > 0, exceeds_standard_error(noisy) > 0
    (True, False)
    """
    return float(gains.mean() - _NUM_STANDARD_ERRORS * gains.std() / np.sqrt(len(gains)))
