"""Fingerprints depend on values and not on ids, the sign of zero or the type of NaN."""

import numpy as np

from refold.sequences import Sequences, fingerprints


def test_fingerprints_depend_only_on_values_and_lengths():
    nan = np.array([0x7FC00001], np.uint32).view(np.float32)[0]
    values = np.array([0.0, 1.0, -0.0, 1.0, 1.0, 0.0, np.nan, nan], np.float32)[:, None]
    found = fingerprints(Sequences(values, [0, 2, 4, 6, 6, 7, 8, 8], ids=list("abcdefg")))
    same = (found[:, None] == found).astype(int)
    assert same.sum(axis=1).tolist() == [2, 2, 1, 2, 2, 2, 2]
    assert found.dtype == np.uint64
    assert fingerprints(Sequences(values[:0], [0])).shape == (0,)
