"""The question's generator, step by step."""

import numpy as np
import pytest

from refold.datasets import moving_ones, question_array
from refold.errors import ParameterError


def test_moving_ones_have_their_one_at_the_step():
    ones = moving_ones(500)
    for length, sequence in zip(ones.lengths, ones, strict=True):
        expected = np.zeros((length, 8))
        for t in range(length):
            if t <= 7:
                expected[t, t] = 1
        np.testing.assert_array_equal(sequence, expected)


def test_all_lengths_occur_and_the_smallest_and_largest_half_as_often():
    counts = np.bincount(moving_ones(20_000).lengths, minlength=11)
    assert len(counts) == 11
    np.testing.assert_allclose(counts[1:10], 2000, rtol=0.1)
    np.testing.assert_allclose(counts[[0, 10]], 1000, rtol=0.15)


def test_columns_are_binary_in_the_smallest_sample():
    assert [column.type for column in moving_ones(1).schema.columns] == ["binary"] * 8


def test_question_array_is_padded_with_zeros():
    x, lengths = question_array()
    assert x.shape == (1200, 10, 5)
    assert x.dtype == np.float32
    assert set(lengths) == set(range(11))
    np.testing.assert_array_equal(x.sum(axis=(1, 2)), np.minimum(lengths, 5))
    np.testing.assert_array_equal(x[lengths == 10][0][:5], np.eye(5))
    assert not x[lengths == 10][0][5:].any()


def test_the_seed_determines_the_sequences():
    np.testing.assert_array_equal(moving_ones(50, seed=3).lengths, moving_ones(50, seed=3).lengths)
    assert (moving_ones(50, seed=3).lengths != moving_ones(50, seed=4).lengths).any()
    np.testing.assert_array_equal(question_array(seed=1)[0], question_array(seed=1)[0])


@pytest.mark.parametrize("n", [0, -3, 2.5, "many", True])
def test_a_bad_number_is_refused(n):
    with pytest.raises(ParameterError, match="n must be a positive integer"):
        moving_ones(n)
    with pytest.raises(ParameterError, match="n must be a positive integer"):
        question_array(n)


@pytest.mark.parametrize("seed", [-1, 1.5, None])
def test_a_bad_seed_is_refused(seed):
    for draw in (moving_ones, question_array):
        with pytest.raises(ParameterError, match="seed must be an integer of at least 0"):
            draw(5, seed=seed)
