"""Category counts of sequences, as features of the two-sample test."""

from itertools import combinations

import numpy as np

from refold.sequences import Sequences, sums_by_sequence

_COUNTED = 64  # most frequent categories of a column that are counted
_PAIRED = 12  # most frequent categories of a column whose pairs are compared


def label_counts(sequences: Sequences) -> np.ndarray:
    """Return features of the categories in each sequence, float (n_sequences, n_features)."""
    # The counts of the most frequent categories, the parity of each, and for pairs of categories
    # the running difference of the two counts: its last value, its minimum and its maximum. They
    # show, for example, whether brackets are balanced, which n-grams cannot.
    parts = [np.zeros((len(sequences), 0))]
    for values in sequences.values[:, ~sequences.schema.numeric].T:
        categories, frequency = np.unique(values[~np.isnan(values)], return_counts=True)
        categories = categories[np.argsort(-frequency, kind="stable")[:_COUNTED]]
        counts = sums_by_sequence(values[:, None] == categories, sequences)
        parts += [counts, counts % 2]
        for a, b in combinations(categories[:_PAIRED], 2):
            steps = (values == a).astype(np.int64) - (values == b)
            parts.append(_running(np.cumsum(steps), sequences))
    return np.concatenate(parts, axis=1)


def _running(sums: np.ndarray, sequences: Sequences) -> np.ndarray:
    """Return last value, minimum and maximum of sums that begin at 0 in each sequence."""
    result = np.zeros((len(sequences), 3))
    full = sequences.lengths > 0
    if full.any():
        starts, ends = sequences.offsets[:-1][full], sequences.offsets[1:][full]
        before = np.where(starts > 0, sums[starts - 1], 0)
        result[full, 0] = sums[ends - 1] - before
        result[full, 1] = np.minimum(np.minimum.reduceat(sums, starts) - before, 0)
        result[full, 2] = np.maximum(np.maximum.reduceat(sums, starts) - before, 0)
    return result
