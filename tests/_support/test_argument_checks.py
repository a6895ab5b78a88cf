"""Seeds that users pass as ``random_state``."""

import numpy as np
import pytest
from sklearn.utils import check_random_state

from refold._support.argument_checks import draw_seed
from refold.errors import ParameterError


@pytest.mark.parametrize("seed", [0, 7, 2**32 - 1, np.int64(7)])
def test_seeds_are_those_of_scikit_learn(seed):
    assert draw_seed(seed) == check_random_state(seed).randint(2**31)


def test_generators_are_seeds():
    drawn = [draw_seed(make(5)) for make in (np.random.default_rng, np.random.RandomState) * 2]
    assert drawn[:2] == drawn[2:]
    with pytest.raises(ParameterError, match="Got -1"):
        draw_seed(-1)
