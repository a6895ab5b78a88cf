"""Cross-validation of what is chosen before training: the parts, and when a gain is no accident."""

from collections.abc import Iterator

import numpy as np

from refold.training._progress import doing

__all__ = ["exceeds_standard_error", "folds"]

_FOLDS = 5
_SURE = 1.5  # standard errors


def folds(n: int, seed: int, what: str) -> Iterator[np.ndarray]:
    """Yield which of some sequences are held out, part by part; at most five parts.

    Parameters
    ----------
    n : int
    seed : int
    what : str
        Of which the progress says that it is being done.

    Yields
    ------
    array of bool of shape (n,)

    Examples
    --------
    >>> sum(held.astype(int) for held in folds(7, 0, "trying")).tolist()
    [1, 1, 1, 1, 1, 1, 1]
    """
    part = np.random.default_rng([seed, 0xF01D]).permutation(n) % _FOLDS
    num_parts = min(_FOLDS, n)
    for number in range(num_parts):
        doing(f"{what}, part {number + 1} of {num_parts}")
        yield part == number


def exceeds_standard_error(gains: np.ndarray) -> float:
    """Return a mean gain less one and a half standard errors: what is positive is no accident.

    Parameters
    ----------
    gains : array of shape (n,)
        Of each sequence when it was held out.

    Examples
    --------
    >>> clear, noisy = np.array([1.0, 2.0, 3.0]), np.array([9.0, -4.0, -4.0])
    >>> exceeds_standard_error(clear) > 0, exceeds_standard_error(noisy) > 0
    (True, False)
    """
    return float(gains.mean() - _SURE * gains.std() / np.sqrt(len(gains)))
