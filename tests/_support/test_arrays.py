"""Seeds from random states."""

import numpy as np
import pytest
from sklearn.utils import check_random_state

from refold._support.arrays import to_integer_seed
from refold.errors import ParameterError


def test_seeds_are_drawn_from_integers_and_generators():
    assert to_integer_seed(np.int64(7)) == check_random_state(7).randint(2**31)
    seeds = [
        to_integer_seed(make(5)) for make in (np.random.default_rng, np.random.RandomState) * 2
    ]
    assert seeds[:2] == seeds[2:]
    assert seeds[0] != seeds[1] != to_integer_seed(np.random.RandomState(6))
    with pytest.raises(ParameterError, match="Got -1"):
        to_integer_seed(-1)
