"""Comparison of two sets of sequences."""

import numpy as np

from refold.sequences import Sequences


def assert_equal(one: Sequences, other: Sequences) -> None:
    np.testing.assert_array_equal(one.offsets, other.offsets)
    np.testing.assert_array_equal(one.values, other.values)
    np.testing.assert_array_equal(one.ids, other.ids)
    assert one.schema == other.schema
