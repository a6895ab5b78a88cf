"""Sequences that a model was trained on, told again by their fingerprints."""

import warnings

import numpy as np

from refold.errors import DataError
from refold.sequences import Scan, Sequences, fingerprints

__all__ = ["check_untrained", "trained_fingerprints"]

# Fingerprints at most that a model keeps: the smallest, so that of any sequences the same are kept.
_MOST = 1 << 15
# Standard deviations above the expected number of equal sequences from which more are no chance.
_DEVIATIONS = 3.0


def trained_fingerprints(
    source: Sequences | Scan, held_back: np.ndarray | None = None
) -> np.ndarray:
    """Return the smallest fingerprints of sequences, sorted, 32,768 at most.

    Parameters
    ----------
    source : Sequences or Scan
    held_back : array of uint64, optional
        Fingerprints of sequences that were not trained on, which are left out.

    Returns
    -------
    array of uint64
        Equal sequences have equal fingerprints, each its own entry.

    Examples
    --------
    >>> from refold.sequences import as_sequences
    >>> found = trained_fingerprints(as_sequences([[1.0, 2.0], [3.0], [1.0, 2.0]]))
    >>> len(found), len(set(found.tolist()))
    (3, 2)
    """
    kept = np.zeros(0, np.uint64)
    for block in [source] if isinstance(source, Sequences) else source:
        found = fingerprints(block)
        if held_back is not None:
            found = found[~np.isin(found, held_back)]
        kept = np.sort(np.concatenate([kept, found]))[:_MOST]
    return kept


def check_untrained(normal: Sequences, trained: np.ndarray | None) -> None:
    """Refuse or report normal sequences that a model was trained on.

    Data in which sequences repeat has some that equal a training sequence by chance. As many as
    the training sequences lead to expect are accepted.

    Parameters
    ----------
    normal : Sequences
        With the schema of the training data.
    trained : array of uint64 or None
        As `trained_fingerprints` returned them; None where the model's file has none.

    Raises
    ------
    DataError
        If all of them are training sequences.

    Warns
    -----
    UserWarning
        If some are.
    """
    if trained is None or not len(trained) or not len(normal):
        return
    found = fingerprints(normal)
    if len(trained) == _MOST:  # larger ones were not kept
        found = found[found <= trained[-1]]
    known, count = int(np.isin(found, trained).sum()), len(found)
    _, copies = np.unique(trained, return_counts=True)
    twins = copies[copies > 1].sum() / len(trained)  # the chance that a new one equals another
    expected = twins * count + _DEVIATIONS * np.sqrt(twins * (1 - twins) * count)
    if known <= expected:
        return
    if known == count:
        raise DataError(
            "The normal sequences are those that the model was trained on. These come back better "
            "than new ones, so that normal new ones would look odd. Give others, or fit with "
            "calibration_fraction=0.2."
        )
    share = f"{known} of {count}" if count == len(normal) else f"{100 * known / count:.0f} % of the"
    warnings.warn(
        f"{share} normal sequences are among those that the model was trained on. These "
        "come back better than new ones, so that more false alarms than alpha are to be expected. "
        "Leave them out.",
        UserWarning,
        stacklevel=4,
    )
