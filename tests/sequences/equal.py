"""Comparison of two sets of sequences."""

import numpy as np

from refold.sequences import Sequences


def assert_equal(actual: Sequences, expected: Sequences) -> None:
    np.testing.assert_array_equal(actual.offsets, expected.offsets)
    np.testing.assert_array_equal(actual.values, expected.values)
    assert actual.values.dtype == expected.values.dtype
    np.testing.assert_array_equal(actual.ids, expected.ids)
    assert actual.schema == expected.schema
