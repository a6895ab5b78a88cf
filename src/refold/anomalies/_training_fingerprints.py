"""Recognition of training sequences by their fingerprints."""

import warnings
from typing import Literal

import numpy as np

from refold.errors import DataError, argument
from refold.sequences import PartedScan, Scan, Sequences, fingerprints

# Cap on stored fingerprints. The smallest are kept, so the choice does not depend on the order.
_MOST = 1 << 15
# Standard deviations above the expected number of chance matches that are still accepted.
_DEVIATIONS = 3.0
Purpose = Literal["calibration", "detection", "forecast"]
# What the sequences are called, and what their small errors mean.
_PURPOSES = {
    "calibration": ("normal sequences", "expect more false alarms than alpha"),
    "detection": ("sequences", "their anomalies may be missed"),
    "forecast": ("sequences", "expect larger errors of new ones"),
}


def trained_fingerprints(
    source: Sequences | Scan, held_back: np.ndarray | None = None
) -> np.ndarray:
    """Return the at most 32,768 smallest fingerprints of sequences, sorted.

    Parameters
    ----------
    source : Sequences or Scan
        Sequences to hash.
    held_back : array of uint64, optional
        Fingerprints of sequences that were not trained on. They are left out.

    Returns
    -------
    array of uint64
        Equal sequences have equal fingerprints, with one entry for each sequence.

    Examples
    --------
    >>> from refold.sequences import as_sequences
    >>> found = trained_fingerprints(as_sequences([[1.0, 2.0], [3.0], [1.0, 2.0]]))
    >>> len(found), len(set(found.tolist()))
    (3, 2)
    """
    kept = np.zeros(0, np.uint64)
    for block in source.blocks():
        found = fingerprints(block)
        if held_back is not None:
            found = found[~np.isin(found, held_back)]
        kept = np.sort(np.concatenate([kept, found]))[:_MOST]
    if isinstance(source, PartedScan):  # the blocks were those of this process
        kept = np.sort(np.concatenate(source.gather(kept)))[:_MOST]
    return kept


def merge_fingerprints(
    held_back: np.ndarray, trained: np.ndarray, before: tuple[np.ndarray, np.ndarray | None]
) -> tuple[np.ndarray, np.ndarray]:
    """Join the fingerprints of further training with those of the training before.

    Parameters
    ----------
    held_back, trained : arrays of uint64
        Fingerprints of the sequences that were held back from further training, and of those that
        it used.
    before : tuple of arrays of uint64
        The same of the training before.

    Returns
    -------
    held_back, trained : arrays of uint64
        No held-back sequence was trained on in either of them.

    Examples
    --------
    >>> held_back, trained = np.array([1, 2], np.uint64), np.array([3], np.uint64)
    >>> held_back, trained = merge_fingerprints(held_back, trained, (trained, held_back[:1]))
    >>> held_back.tolist(), trained.tolist()
    ([2], [1, 3])
    """
    held_before, trained_before = before
    if trained_before is None:
        trained_before = np.zeros(0, np.uint64)
    held_before = held_before[~np.isin(held_before, np.concatenate([trained, held_back]))]
    held_back = np.concatenate([held_before, held_back[~np.isin(held_back, trained_before)]])
    return held_back, np.sort(np.concatenate([trained_before, trained]))[:_MOST]


def check_untrained(normal: Sequences, trained: np.ndarray | None) -> None:
    """Refuse or report normal sequences that a model was trained on.

    Parameters
    ----------
    normal : Sequences
        Sequences with the schema of the training data.
    trained : array of uint64 or None
        Fingerprints from `trained_fingerprints`; None if the model file has none.

    Raises
    ------
    DataError
        If all of them are training sequences.

    Warns
    -----
    UserWarning
        If some are.

    Examples
    --------
    >>> from refold.sequences import as_sequences
    >>> trained = trained_fingerprints(as_sequences([[1.0, 2.0], [3.0]]))
    >>> check_untrained(as_sequences([[4.0, 5.0]]), trained)
    """
    count, total = _count_trained(normal, trained)
    if 0 < count == total:
        raise DataError(
            "The normal sequences are those that the model was trained on. Their errors are "
            "smaller than those of new ones, so normal new ones would look anomalous. Give others, "
            f"or fit with {argument(calibration_fraction=0.2)}."
        )
    warn_of_trained(normal, trained, "calibration", stacklevel=4)


def describe_trained(
    sequences: Sequences, trained: np.ndarray | None, purpose: Purpose
) -> str | None:
    """Describe how many sequences a model was trained on, and what that means.

    Parameters
    ----------
    sequences : Sequences
        Sequences with the schema of the training data.
    trained : array of uint64 or None
        Fingerprints from `trained_fingerprints`; None if the model file has none.
    purpose : {"calibration", "detection", "forecast"}
        What the sequences are for.

    Returns
    -------
    str or None
        One line; None if there are no more of them than by chance.

    Examples
    --------
    >>> from refold.sequences import as_sequences
    >>> trained = trained_fingerprints(as_sequences([[1.0, 2.0], [3.0]]))
    >>> print(describe_trained(as_sequences([[3.0], [4.0, 5.0]]), trained, "forecast"))
    1 of 2 sequences is among those that the model was trained on. Their errors are smaller than \
those of new ones, so expect larger errors of new ones. Leave them out.
    """
    count, total = _count_trained(sequences, trained)
    if trained is None or not count:
        return None
    noun, consequence = _PURPOSES[purpose]
    all_compared = len(trained) < _MOST
    share = f"{count} of {total}" if all_compared else f"{100 * count / total:.0f} % of the"
    verb = "is" if all_compared and count == 1 else "are"
    return (
        f"{share} {noun} {verb} among those that the model was trained on. Their errors are "
        f"smaller than those of new ones, so {consequence}. Leave them out."
    )


def warn_of_trained(
    sequences: Sequences, trained: np.ndarray | None, purpose: Purpose, *, stacklevel: int = 3
) -> None:
    """Warn of sequences that a model was trained on, with the text of `describe_trained`.

    Examples
    --------
    >>> from refold.sequences import as_sequences
    >>> warn_of_trained(as_sequences([[4.0]]), np.zeros(1, np.uint64), "detection")
    """
    if text := describe_trained(sequences, trained, purpose):
        warnings.warn(text, UserWarning, stacklevel=stacklevel)


def _count_trained(sequences: Sequences, trained: np.ndarray | None) -> tuple[int, int]:
    """Return how many of how many sequences a model was trained on; none if by chance.

    If sequences repeat in the data, some equal a training sequence by chance. Matches up to the
    number expected from repeats among the training sequences are no matches.
    """
    if trained is None or not len(trained):
        return 0, 0
    found = fingerprints(sequences)[sequences.lengths > 0]  # all empty ones are equal
    if len(trained) == _MOST:  # larger ones were not kept
        found = found[found <= trained[-1]]
    places = np.minimum(np.searchsorted(trained, found), len(trained) - 1)
    count, total = int((trained[places] == found).sum()), len(found)
    if not count:
        return 0, total
    _, copies = np.unique(trained, return_counts=True)
    twins = copies[copies > 1].sum() / len(trained)  # the chance that a new one equals another
    expected = twins * total + _DEVIATIONS * np.sqrt(twins * (1 - twins) * total)
    return count if count > expected else 0, total
