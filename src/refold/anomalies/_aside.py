"""Sequences set aside before a fit, to calibrate by."""

import numpy as np

from refold.errors import ParameterError
from refold.sequences import Scan, Sequences

__all__ = ["set_aside"]


def set_aside(
    source: Sequences | Scan, fraction: float
) -> tuple[Sequences | Scan, Sequences | None]:
    """Take a share of sequences out at random, always the same ones of the same number.

    Parameters
    ----------
    source : Sequences or Scan
    fraction : float
        At least 0, below 1.

    Returns
    -------
    left : Sequences or Scan
    aside : Sequences or None
        None where the share is 0.

    Raises
    ------
    ParameterError
        If nothing would be left, or the data comes in blocks.

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
            "calibration_fraction sets aside sequences in memory, and these are read in blocks. "
            "Hold some back, and give them to calibrate()."
        )
    count = max(1, round(fraction * len(source)))
    if count >= len(source):
        raise ParameterError(
            f"calibration_fraction={fraction:g} of {len(source)} "
            f"sequence{'' if len(source) == 1 else 's'} leaves nothing to train on. Give more, or "
            "a smaller share."
        )
    # by no seed, so that a training that is resumed has the same data
    order = np.random.default_rng(0xCA11).permutation(len(source))
    return source[np.sort(order[count:])], source[np.sort(order[:count])]
