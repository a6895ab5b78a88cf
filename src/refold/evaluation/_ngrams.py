"""N-grams of tokens, and those that do not occur in reference sequences."""

import numpy as np

from refold.sequences import Sequences, as_sequences, concatenate

NGRAM_SIZES = (2, 3, 4, 5)
"""Sizes of the n-grams that `count_unseen` counts."""


def count_unseen(sequences: Sequences, reference: Sequences) -> tuple[np.ndarray, np.ndarray]:
    """Count n-grams that are not in the reference, and all, of each sequence and token column."""
    reference = as_sequences(reference)
    sequences = as_sequences(sequences, schema=reference.schema)
    parts = [reference, sequences]
    both = concatenate([part.with_ids(np.arange(len(part))) for part in parts])
    columns = np.flatnonzero(~both.schema.numeric)
    # The results have the shape (n_sequences, n_token_columns, n_sizes).
    shape = len(sequences), len(columns), len(NGRAM_SIZES)
    unseen, total = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    rows = np.repeat(np.arange(len(both)), both.lengths + 2)
    for i, column in enumerate(columns):
        tokens = _with_boundaries(both, column)
        ngrams = tokens
        for j, size in enumerate(NGRAM_SIZES):
            # n-grams are renumbered for each n, so that their ids stay small
            longer = ngrams[:-1] * (tokens.max(initial=0) + 1) + tokens[size - 1 :]
            ngrams = np.unique(longer, return_inverse=True)[1].reshape(-1)
            first, last = rows[: len(ngrams)], rows[size - 1 :]
            known = np.zeros(ngrams.max(initial=-1) + 1, bool)
            known[ngrams[(first == last) & (first < len(reference))]] = True
            new = (first == last) & (first >= len(reference))
            for counts, which in ((total, new), (unseen, new & ~known[ngrams])):
                sequence = first[which] - len(reference)
                counts[:, i, j] = np.bincount(sequence, minlength=len(sequences))
    return unseen, total


def _with_boundaries(sequences: Sequences, column: int) -> np.ndarray:
    """Return the tokens of a column as ids from 2 on, with 0 before and 1 after each sequence."""
    values = sequences.values[:, column]
    missing = np.isnan(values)
    greatest = values[~missing].max(initial=0)
    tokens = np.zeros(len(values) + 2 * len(sequences), np.int64)
    shift = 2 * np.arange(len(sequences)) + 1
    places = np.arange(len(values)) + np.repeat(shift, sequences.lengths)
    tokens[places] = np.where(missing, greatest + 1, values).astype(np.int64) + 2
    tokens[sequences.offsets[1:] + shift] = 1
    return tokens
