"""Data sets by name."""

import numpy as np
import pytest

from refold.datasets import japanese_vowels, load, moving_ones, names
from refold.errors import ParameterError


@pytest.mark.parametrize("name", names())
def test_every_data_set_loads_with_n_sequences(name):
    assert len(load(name, n=3)) == 3
    assert len(load(name)) >= 4


def test_seed_and_number_are_passed_to_the_generator():
    np.testing.assert_array_equal(
        load("moving-ones", n=30, seed=2).lengths, moving_ones(30, seed=2).lengths
    )


def test_splits_of_japanese_vowels():
    vowels = japanese_vowels()
    np.testing.assert_array_equal(load("japanese-vowels").values, vowels.train.values)
    np.testing.assert_array_equal(load("japanese-vowels-test").values, vowels.test.values)


def test_an_unknown_name_lists_the_known_names():
    with pytest.raises(ParameterError, match=r"no data set 'ones'\. Known: moving-ones, "):
        load("ones")


def test_too_large_a_number_is_refused():
    with pytest.raises(ParameterError, match=r"ramps has 4 sequences\. Got n=5"):
        load("ramps", n=5)
    with pytest.raises(ParameterError, match="n must be a positive integer"):
        load("moving-ones", n=0)
