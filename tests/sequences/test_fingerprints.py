"""Fingerprints: the same for the same values, whatever the id, the zero and the missing value."""

import numpy as np

from refold.sequences import Sequences, fingerprints


def test_values_and_lengths_count_and_nothing_else():
    nan = np.array([0x7FC00001], np.uint32).view(np.float32)[0]
    values = np.array([0.0, 1.0, -0.0, 1.0, 1.0, 0.0, np.nan, nan], np.float32)[:, None]
    found = fingerprints(Sequences(values, [0, 2, 4, 6, 6, 7, 8, 8], ids=list("abcdefg")))
    same = (found[:, None] == found).astype(int)
    assert same.sum(axis=1).tolist() == [2, 2, 1, 2, 2, 2, 2]
    assert found.dtype == np.uint64
    assert fingerprints(Sequences(values[:0], [0])).shape == (0,)
