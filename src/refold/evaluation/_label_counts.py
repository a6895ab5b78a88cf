"""How often each label occurs in each sequence, and how the counts of two labels keep step."""

from itertools import combinations

import numpy as np

from refold.sequences import Sequences, sums_by_sequence

__all__ = ["label_counts"]

# Labels of a column that are counted, and those of which pairs are compared: the most frequent.
_COUNTED, _PAIRED = 64, 12


def label_counts(sequences: Sequences) -> np.ndarray:
    """Describe sequences by the counts of their labels.

    These are the counts of the most frequent labels, whether each is odd, and for pairs of labels
    the difference of the two counts: at the end, and its minimum and maximum on the way there.
    Brackets are balanced where the difference ends at 0 and never changes its sign. N-grams cannot
    show this.

    Parameters
    ----------
    sequences : Sequences

    Returns
    -------
    array of float of shape (n_sequences, n_features)
        Of all columns that are not numeric.

    Examples
    --------
    >>> label_counts(Sequences.from_list(["(())", "())("])).tolist()
    [[2.0, 2.0, 0.0, 0.0, 0.0, 0.0, 2.0], [2.0, 2.0, 0.0, 0.0, 0.0, -1.0, 1.0]]
    """
    parts = [np.zeros((len(sequences), 0))]
    for values in sequences.values[:, ~sequences.schema.numeric].T:
        labels, counts = np.unique(values[~np.isnan(values)], return_counts=True)
        labels = labels[np.argsort(-counts, kind="stable")[:_COUNTED]]
        found = sums_by_sequence(values[:, None] == labels, sequences)
        parts += [found, found % 2]
        for a, b in combinations(labels[:_PAIRED], 2):
            steps = (values == a).astype(np.int64) - (values == b)
            parts.append(_running(np.cumsum(steps), sequences))
    return np.concatenate(parts, axis=1)


def _running(sums: np.ndarray, sequences: Sequences) -> np.ndarray:
    """Return the last, the least and the greatest of sums that start at 0 in each sequence."""
    found = np.zeros((len(sequences), 3))
    full = sequences.lengths > 0
    if full.any():
        starts, ends = sequences.offsets[:-1][full], sequences.offsets[1:][full]
        before = np.where(starts > 0, sums[starts - 1], 0)
        found[full, 0] = sums[ends - 1] - before
        found[full, 1] = np.minimum(np.minimum.reduceat(sums, starts) - before, 0)
        found[full, 2] = np.maximum(np.maximum.reduceat(sums, starts) - before, 0)
    return found
