"""Split of calibration sequences before a fit, and their recognition afterwards."""

import numpy as np

from refold.errors import ParameterError, argument, spelled
from refold.sequences import Scan, Sequences


def set_aside(
    source: Sequences | Scan, fraction: float
) -> tuple[Sequences | Scan, Sequences | None]:
    """Split off a random share of sequences, always the same for the same number of sequences.

    Parameters
    ----------
    source : Sequences or Scan
        Sequences to split.
    fraction : float
        At least 0, below 1.

    Returns
    -------
    left : Sequences or Scan
    aside : Sequences or None
        None if the share is 0.

    Raises
    ------
    ParameterError
        If no sequence would be left, or the data is read in blocks.

    Examples
    --------
    >>> from refold.sequences import as_sequences
    >>> left, aside = set_aside(as_sequences([[float(i)] for i in range(10)]), 0.2)
    >>> len(left), len(aside)
    (8, 2)
    """
    if not fraction:
        return source, None
    if isinstance(source, Scan):
        raise ParameterError(
            "calibration_fraction needs sequences in memory, and these are read in blocks. "
            f"Keep some out, and {spelled('give them to calibrate()', 'give --normal DATA')}."
        )
    count = max(1, round(fraction * len(source)))
    if count >= len(source):
        raise ParameterError(
            f"{argument(calibration_fraction=fraction)} of {len(source)} "
            f"sequence{'' if len(source) == 1 else 's'} leaves nothing to train on. Give more, or "
            "a smaller share."
        )
    # a fixed seed, so that a resumed training has the same data
    order = np.random.default_rng(0xCA11).permutation(len(source))
    return source[np.sort(order[count:])], source[np.sort(order[:count])]


def first_of_each(found: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Mark the wanted fingerprints, each at most as often as it is wanted.

    Parameters
    ----------
    found : array of uint64 of shape (n,)
    wanted : array of uint64 of shape (m,)

    Returns
    -------
    array of bool of shape (n,)

    Examples
    --------
    >>> first_of_each(np.array([5, 7, 5, 5]), np.array([5, 5, 9])).tolist()
    [True, False, True, False]
    """
    if not len(wanted):
        return np.zeros(len(found), bool)
    values, counts = np.unique(wanted, return_counts=True)
    order = np.argsort(found, kind="stable")
    ordered = found[order]
    occurrence = np.arange(len(found)) - np.searchsorted(ordered, ordered)
    place = np.minimum(np.searchsorted(values, ordered), len(values) - 1)
    marked = np.empty(len(found), bool)
    marked[order] = (values[place] == ordered) & (occurrence < counts[place])
    return marked
